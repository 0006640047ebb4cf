/* tests/policy/test_attestation.c - what an attestation block accepts as a block, and which
 * claims each of its clauses lets through. */
#include "policy/attestation.h"
#include "policy/text.h"
#include "tests/policy/sample.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#define D32(c) c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c
#define H32(hex) "\"" D32(hex) "\""
#define H48(hex)                                                                               \
	"\"" D32(hex) hex hex hex hex hex hex hex hex hex hex hex hex hex hex hex hex "\""
#define H64(hex) "\"" D32(hex) D32(hex) "\""

#define SB ATTESTATION_SANDBOX
#define SNP ATTESTATION_SEV_SNP
#define TDX ATTESTATION_TDX
#define SIM ATTESTATION_SIMULATED

static enum policy_status parse(const char *text, struct policy_attestation **ret,
				struct policy_error *e)
{
	memset(e, 0, sizeof(*e));
	return policy_attestation_parse("block", text, strlen(text), ret, e);
}

static struct policy_attestation *block(const char *text)
{
	struct policy_attestation *a = NULL;
	struct policy_error e;

	if (parse(text, &a, &e) != POLICY_OK)
		fail_msg("%s\nwas refused at %u:%u: %s: %s", text, e.line, e.column, e.key,
			 e.what);
	return a;
}

static char *explained(const struct policy_attestation *a)
{
	char *text = NULL;
	size_t len = 0;
	FILE *to = open_memstream(&text, &len);

	assert_non_null(to);
	policy_attestation_explain(to, a);
	assert_int_equal(fclose(to), 0);
	return text;
}

/* ---- claims ---------------------------------------------------------------------- */

/* A byte repeated: as many of its kind as a claim wants. */
static const uint8_t *filled(uint8_t byte)
{
	static uint8_t of[256][CLAIM_BYTES_MAX];

	memset(of[byte], byte, CLAIM_BYTES_MAX);
	return of[byte];
}

static struct claim bytes(const char *name, uint8_t byte, size_t len)
{
	return (struct claim){ name, CLAIM_BYTES, { .bytes = { filled(byte), len } } };
}

static struct claim number(const char *name, uint64_t v)
{
	return (struct claim){ name, CLAIM_NUMBER, { .number = v } };
}

static struct claim truth(const char *name, bool v)
{
	return (struct claim){ name, CLAIM_TRUTH, { .truth = v } };
}

static struct claim text(const char *name, const char *v)
{
	return (struct claim){ name, CLAIM_TEXT, { .text = v } };
}

static struct claim when(const char *name, int64_t v)
{
	return (struct claim){ name, CLAIM_TIME, { .time = v } };
}

static struct claim snp_tcb(uint8_t bootloader, uint8_t snp)
{
	struct claim c = { "reported_tcb", CLAIM_TCB, { .tcb = { .have = 0 } } };

	c.value.tcb.have = 1 << CLAIM_SNP_BOOTLOADER | 1 << CLAIM_SNP_SNP;
	c.value.tcb.svn[CLAIM_SNP_BOOTLOADER] = bootloader;
	c.value.tcb.svn[CLAIM_SNP_SNP] = snp;
	return c;
}

static bool allows(const struct policy_attestation *a, uint32_t class, const struct claim *c,
		   size_t n)
{
	static struct attestation_line lines[ATTESTATION_CLAUSES_MAX];
	struct attestation_verdict v =
		policy_attestation_evaluate(a, class, c, n, lines, ATTESTATION_CLAUSES_MAX);
	bool whole = true;

	assert_int_equal(v.n_lost, 0);
	for (size_t i = 0; i < v.n_lines; i++) {
		assert_true(text_clean(lines[i].clause) && text_clean(lines[i].seen));
		assert_true(lines[i].clause[0] != '\0');
		if (lines[i].depth == 0)
			whole &= lines[i].outcome == ATTESTATION_TRUE;
	}
	assert_true(v.n_lines > 0 && whole == v.allowed);
	/* The answer does not depend on whether somebody wants to hear why. */
	assert_int_equal(policy_attestation_evaluate(a, class, c, n, NULL, 0).allowed,
			 v.allowed);
	return v.allowed;
}

/* ---- blocks ---------------------------------------------------------------------- */

/* Every key and every operation. */
/* clang-format off */
static const char whole[] =
	"classes: [sandbox, sev-snp, tdx]\n"
	"accept: [development-anchor, skipped-revocation]\n"
	"measurement: [" H48("aa") ", " H48("ab") "]\n"
	"tcb:\n"
	"  sev-snp:\n"
	"    milan: { min: { bootloader: 4, tee: 0, snp: 24, microcode: 219 } }\n"
	"    turin: { min: { fmc: 1, snp: 4 } }\n"
	"  tdx: { accept: [UpToDate, SWHardeningNeeded] }\n"
	"platform:\n"
	"  allow: { hosts: [node-1, node-2], product-lines: [milan, turin], fmspcs: [\"00806f050000\"] }\n"
	"  deny: { chip-ids: [" H64("dd") "] }\n"
	"plan: [" H32("01") "]\n"
	"workload: [" H32("02") "]\n"
	"cordon: [" H32("03") "]\n"
	"coverage: [rootfs, image]\n"
	"launcher-uid: 0\n"
	"now: { not-before: 2026-01-01T00:00:00Z, not-after: 2027-01-01T00:00:00Z }\n"
	"any:\n"
	"  - tee: { in: [sandbox] }\n"
	"  - { guest_svn: { at-least: 2, at-most: 9 }, policy_smt_allowed: { equals: false } }\n"
	"  - all:\n"
	"      - rtmr1: { in: [" H48("11") "] }\n"
	"      - rtmr2: { equals: " H48("12") " }\n"
	"      - tee_tcb_svn: { at-least: { svn0: 5, svn2: 3 } }\n"
	"      - advisory_ids: { in: [INTEL-SA-00837] }\n"
	"      - not: { pck_ca: { equals: processor } }\n";
/* clang-format on */

static void accepts_every_form(void **state)
{
	static const char *const good[] = {
		whole,
		"classes: [sandbox]",
		"{\"classes\": [\"sandbox\"], \"launcher-uid\": [0, 1000]}",
		"  classes: [sev-snp]\n  measurement: { in: [" H48("00") "] }\n",
		"classes: [sev-snp, tdx]\nmeasurement: " H48("00") "\n",
		"classes: [sev-snp]\ntcb: { sev-snp: { genoa: { min: { snp: 1 } } } }\n",
		"classes: [sev-snp]\nreported_tcb: { at-least: { genoa: { snp: 1 } } }\n",
		"classes: [sev-snp]\nreported_tcb: { at-least: { snp: 1, fmc: 2 } }\n",
		"classes: [sandbox]\naccept: []\n",
		"classes: [sandbox]\naccept: [coverage-binary]\ncoverage: [binary]\n",
		"classes: [simulated]\naccept: [debug, skipped-measurement]\n",
		"classes: [sandbox]\nnot: { not: { init_on_free: { equals: true } } }\n",
		"classes: [sev-snp, tdx]\nany: [{ mrtd: { equals: " H48(
			"00") " } }, { measurement: { equals: " H48("00") " } }]\n",
		"classes: [sandbox, tdx]\nplatform: { deny: { hosts: [a] } }\n",
		"classes: [sandbox]\nnow: { not-after: 2028-02-29T23:59:59Z }\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		struct policy_attestation *a = block(good[i]);

		policy_attestation_free(a);
	}
	policy_attestation_free(NULL);
}

struct bad {
	const char *text;
	unsigned line, column;
	const char *key, *what;
};

static void check_bad(const struct bad *bad, size_t n, enum policy_status wanted)
{
	for (size_t i = 0; i < n; i++) {
		struct policy_attestation *a = (void *)-1;
		struct policy_error e;
		enum policy_status s = parse(bad[i].text, &a, &e);

		if (s != wanted || e.line != bad[i].line || e.column != bad[i].column ||
		    !strstr(e.what, bad[i].what) || strcmp(e.key, bad[i].key) != 0)
			fail_msg("%s\ngave %s at %u:%u: %s: %s", bad[i].text,
				 policy_status_str(s), e.line, e.column, e.key, e.what);
		assert_string_equal(e.file, "block");
		assert_ptr_equal(a, (void *)-1);
	}
}

static void says_where_a_block_is_wrong(void **state)
{
#define C "classes: [sandbox]\n"
#define S "classes: [sev-snp]\n"
#define T "classes: [tdx]\n"
	static const struct bad bad[] = {
		/* shape */
		{ "[a]", 1, 1, "attestation", "a mapping" },
		{ "a", 1, 1, "attestation", "a mapping" },
		{ "{}", 1, 1, "attestation", "nothing" },
		{ "", 1, 1, "", "nothing" },
		{ "accept: [debug]\n", 1, 1, "attestation", "classes is missing" },
		{ "now: { not-before: 2026-01-01T00:00:00Z }\n", 1, 1, "attestation",
		  "classes is missing" },
		{ "classes: []\n", 1, 10, "attestation.classes", "empty" },
		{ "classes: sandbox\n", 1, 10, "attestation.classes", "a list" },
		{ "classes: [snp]\n", 1, 11, "attestation.classes[0]", "none of the words" },
		{ "classes: [tdx, tdx]\n", 1, 16, "attestation.classes[1]", "twice" },
		{ C "x: 1\n", 2, 1, "attestation.x", "no such key or claim" },
		{ C "plan-digest: []\n", 2, 1, "attestation.plan-digest", "no such key" },
		/* values */
		{ C "plan: [\"ab\"]\n", 2, 8, "attestation.plan[0]", "64 digits" },
		{ C "plan: []\n", 2, 7, "attestation.plan", "empty" },
		{ C "plan: [" H32("AB") "]\n", 2, 8, "attestation.plan[0]", "lower-case" },
		{ C "plan: [" H32("zz") "]\n", 2, 8, "attestation.plan[0]", "lower-case" },
		{ C "plan: [" D32("00") "]\n", 2, 8, "attestation.plan[0]", "a number" },
		{ C "plan: [" H32("01") ", " H32("01") "]\n", 2, 76, "attestation.plan[1]",
		  "twice" },
		{ C "launcher-uid: \"0\"\n", 2, 15, "attestation.launcher-uid", "number" },
		{ C "launcher-uid: -1\n", 2, 15, "attestation.launcher-uid", "number" },
		{ C "init_on_free: { equals: yes }\n", 2, 25, "attestation.init_on_free.equals",
		  "none of the words" },
		{ C "init_on_free: { equals: \"true\" }\n", 2, 25,
		  "attestation.init_on_free.equals", "truth" },
		{ C "init_on_free: true\n", 2, 15, "attestation.init_on_free", "a mapping" },
		{ C "init_on_free: {}\n", 2, 15, "attestation.init_on_free", "nothing" },
		{ C "workload_coverage: { equals: all }\n", 2, 30,
		  "attestation.workload_coverage.equals", "not a word" },
		{ C "coverage: [all]\n", 2, 12, "attestation.coverage[0]", "not a word" },
		{ C "now: { not-before: 2026-02-30T00:00:00Z }\n", 2, 20,
		  "attestation.now.not-before", "not a time" },
		{ C "now: { not-before: 2026-01-01T00:00:60Z }\n", 2, 20,
		  "attestation.now.not-before", "not a time" },
		{ C "now: { not-before: 2026-01-01T00:00:00+01:00 }\n", 2, 20,
		  "attestation.now.not-before", "not a time" },
		{ C "now: { not-before: 2026-01-01 }\n", 2, 20, "attestation.now.not-before",
		  "not a time" },
		{ C "now: { not-before: 2027-01-01T00:00:00Z, not-after: 2026-01-01T00:00:00Z "
		    "}\n",
		  2, 6, "attestation.now", "nothing is within" },
		{ C "launcher_uid: { at-least: 2, at-most: 1 }\n", 2, 15,
		  "attestation.launcher_uid", "nothing is within" },
		/* operations */
		{ C "launcher_uid: { not-before: 1 }\n", 2, 17,
		  "attestation.launcher_uid.not-before", "cannot be asked" },
		{ C "plan_digest: { at-least: 1 }\n", 2, 16, "attestation.plan_digest.at-least",
		  "cannot be asked" },
		{ C "plan_digest: { matches: 1 }\n", 2, 16, "attestation.plan_digest.matches",
		  "cannot be asked" },
		{ C "plan_digest: { in: " H32("00") " }\n", 2, 20, "attestation.plan_digest.in",
		  "a list" },
		{ T "advisory_ids: { equals: a }\n", 2, 17, "attestation.advisory_ids.equals",
		  "cannot be asked" },
		/* groups */
		{ C "all: { tee: { equals: sandbox } }\n", 2, 6, "attestation.all", "a list" },
		{ C "all: []\n", 2, 6, "attestation.all", "empty" },
		{ C "any: [{}]\n", 2, 7, "attestation.any[0]", "nothing" },
		{ C "any: [a]\n", 2, 7, "attestation.any[0]", "a mapping" },
		{ C "not: [a]\n", 2, 6, "attestation.not", "a mapping" },
		{ C "any: [{ plan: [" H32("00") "] }]\n", 2, 9, "attestation.any[0].plan",
		  "no such key or claim" },
		/* classes that have no such claim */
		{ C "measurement: [" H48("00") "]\n", 2, 1, "attestation.measurement",
		  "is of sev-snp or tdx or simulated evidence, which is not accepted" },
		{ S "plan: [" H32("00") "]\nworkload: [" H32("00") "]\n", 3, 1,
		  "attestation.workload", "is of sandbox evidence" },
		{ S "coverage: [image]\n", 2, 1, "attestation.coverage",
		  "of sandbox evidence" },
		{ S "any: [{ mrtd: { equals: " H48("00") " } }]\n", 2, 9,
		  "attestation.any[0].mrtd", "mrtd is of tdx evidence" },
		{ "classes: [sev-snp, tdx]\nmrtd: { equals: " H48("00") " }\n", 2, 9,
		  "attestation", "sev-snp evidence has no mrtd" },
		{ "classes: [sev-snp, tdx]\nall: [{ any: [{ mrtd: { equals: " H48(
			  "00") " } }] }]\n",
		  2, 9, "attestation", "no sev-snp evidence is ever accepted" },
		{ "classes: [sev-snp, tdx]\ntee: { equals: tdx }\n", 2, 8, "attestation",
		  "no sev-snp evidence is ever accepted" },
		{ "classes: [sev-snp, tdx]\nnot: { mrtd: { equals: " H48("00") " } }\n", 2, 1,
		  "attestation", "no sev-snp evidence is ever accepted" },
		{ S "tcb: { tdx: { accept: [UpToDate] } }\n", 2, 8, "attestation.tcb.tdx",
		  "of tdx evidence" },
		{ S "accept: [launcher-uid-any]\n", 2, 10, "attestation.accept[0]",
		  "of sandbox evidence" },
		{ S "platform: { allow: { hosts: [a] } }\n", 2, 22,
		  "attestation.platform.allow.hosts", "of sandbox evidence" },
		{ "classes: [sev-snp, tdx]\nplatform: { allow: { fmspcs: [\"00806f050000\"] } "
		  "}\n",
		  2, 20, "attestation.platform.allow", "which sev-snp platforms" },
		/* exceptions */
		{ C "accept: [everything]\n", 2, 10, "attestation.accept[0]", "everything" },
		{ S "accept: [debug, debug]\n", 2, 17, "attestation.accept[1]", "twice" },
		{ C "coverage: [binary]\n", 2, 11, "attestation.coverage", "baseline refuses" },
		{ C "accept: [launcher-uid-any]\nlauncher-uid: 1\n", 3, 15,
		  "attestation.launcher-uid", "at once" },
		/* TCB */
		{ S "tcb: { sev-snp: { rome: { min: { snp: 1 } } } }\n", 2, 19,
		  "attestation.tcb.sev-snp.rome", "no product line" },
		{ S "tcb: { sev-snp: { milan: { min: { fmc: 1 } } } }\n", 2, 35,
		  "attestation.tcb.sev-snp.milan.fmc", "milan has no part fmc" },
		{ S "tcb: { sev-snp: { milan: { max: { snp: 1 } } } }\n", 2, 26,
		  "attestation.tcb.sev-snp.milan", "min and nothing else" },
		{ S "tcb: { sev-snp: { milan: { min: { svn: 1 } } } }\n", 2, 35,
		  "attestation.tcb.sev-snp.milan.svn", "no part svn" },
		{ S "tcb: { sev-snp: { milan: { min: { snp: 256 } } } }\n", 2, 40,
		  "attestation.tcb.sev-snp.milan.snp", "out of range" },
		{ S "tcb: { sev-snp: { milan: { min: {} } } }\n", 2, 33,
		  "attestation.tcb.sev-snp.milan", "nothing" },
		{ S "tcb: { sandbox: { } }\n", 2, 8, "attestation.tcb.sandbox", "no TCB" },
		{ T "tcb: { tdx: { min: 1 } }\n", 2, 13, "attestation.tcb.tdx", "accept and" },
		{ T "tcb: { tdx: { accept: [Fine] } }\n", 2, 24,
		  "attestation.tcb.tdx.accept[0]", "not a word" },
		{ S "reported_tcb: { at-least: 3 }\n", 2, 27,
		  "attestation.reported_tcb.at-least", "a mapping" },
		{ S "reported_tcb: { at-least: { milan: { snp: 1 }, snp: 1 } }\n", 2, 48,
		  "attestation.reported_tcb.at-least.snp", "no product line" },
		{ T "tee_tcb_svn: { at-least: { svn16: 1 } }\n", 2, 28,
		  "attestation.tee_tcb_svn.at-least.svn16", "no part" },
		{ S "platform: { allowed: {} }\n", 2, 13, "attestation.platform.allowed",
		  "no such key" },
		{ S "platform: { deny: { cpus: [a] } }\n", 2, 21,
		  "attestation.platform.deny.cpus", "no such key" },
	};
	static const struct bad never[] = {
		{ T "tcb: { tdx: { accept: [UpToDate, Revoked] } }\n", 2, 23,
		  "attestation.tcb.tdx.accept", "revoked" },
	};

	(void)state;
	check_bad(bad, sizeof(bad) / sizeof(bad[0]), POLICY_INVALID);
	check_bad(never, 1, POLICY_REFUSED);
}

/* ---- clauses --------------------------------------------------------------------- */

static void every_clause_says_yes_and_no(void **state)
{
	static const char *const one[] = { "INTEL-SA-00837" };
	static const char *const two[] = { "INTEL-SA-00837", "INTEL-SA-01" };
	const struct {
		uint32_t class;
		const char *block;
		struct claim yes, no;
	} cases[] = {
		{ SNP, "measurement: [" H48("aa") ", " H48("ab") "]",
		  bytes("measurement", 0xab, 48), bytes("measurement", 0xac, 48) },
		{ TDX, "measurement: [" H48("aa") "]", bytes("mrtd", 0xaa, 48),
		  bytes("mrtd", 0, 48) },
		{ SIM, "measurement: [" H48("aa") "]", bytes("measurement", 0xaa, 48),
		  bytes("measurement", 0xab, 48) },
		{ SB, "plan: [" H32("01") "]", bytes("plan_digest", 1, 32),
		  bytes("plan_digest", 2, 32) },
		{ SB, "workload: [" H32("01") "]", bytes("workload_digest", 1, 32),
		  bytes("workload_digest", 2, 32) },
		{ SB, "cordon: [" H32("01") "]", bytes("cordon_digest", 1, 32),
		  bytes("cordon_digest", 2, 32) },
		{ SB, "coverage: [rootfs, image]", text("workload_coverage", "image"),
		  text("workload_coverage", "binary") },
		{ SB, "launcher-uid: [0, 1000]", number("launcher_uid", 1000),
		  number("launcher_uid", 1001) },
		{ TDX, "tcb: { tdx: { accept: [UpToDate] } }", text("tcb_status", "UpToDate"),
		  text("tcb_status", "OutOfDate") },
		{ SB, "platform: { allow: { hosts: [a, b] } }", text("host_id", "b"),
		  text("host_id", "c") },
		{ SB, "platform: { deny: { hosts: [a, b] } }", text("host_id", "c"),
		  text("host_id", "b") },
		{ SNP, "platform: { allow: { chip-ids: [" H64("aa") "] } }",
		  bytes("chip_id", 0xaa, 64), bytes("chip_id", 0xab, 64) },
		{ SNP, "platform: { deny: { product-lines: [milan] } }",
		  text("product_line", "genoa"), text("product_line", "milan") },
		{ TDX, "platform: { deny: { fmspcs: [\"aaaaaaaaaaaa\"] } }",
		  bytes("fmspc", 0xab, 6), bytes("fmspc", 0xaa, 6) },
		{ SNP, "guest_svn: { equals: 3 }", number("guest_svn", 3),
		  number("guest_svn", 4) },
		{ SNP, "guest_svn: { in: [1, 3] }", number("guest_svn", 3),
		  number("guest_svn", 2) },
		{ SNP, "guest_svn: { at-least: 3 }", number("guest_svn", 3),
		  number("guest_svn", 2) },
		{ SNP, "guest_svn: { at-most: 3 }", number("guest_svn", 3),
		  number("guest_svn", 4) },
		{ SNP, "guest_svn: { at-least: 3, at-most: 5 }", number("guest_svn", 5),
		  number("guest_svn", 6) },
		{ SNP, "guest_svn: { at-most: 18446744073709551615 }",
		  number("guest_svn", UINT64_MAX), bytes("guest_svn", 0, 8) },
		{ SNP, "policy_smt_allowed: { equals: false }",
		  truth("policy_smt_allowed", false), truth("policy_smt_allowed", true) },
		{ TDX,
		  "advisory_ids: { in: [INTEL-SA-00837, INTEL-SA-02] }",
		  { "advisory_ids", CLAIM_TEXTS, { .texts = { one, 1 } } },
		  { "advisory_ids", CLAIM_TEXTS, { .texts = { two, 2 } } } },
		{ TDX,
		  "advisory_ids: { in: [INTEL-SA-00837] }",
		  { "advisory_ids", CLAIM_TEXTS, { .texts = { NULL, 0 } } },
		  { "advisory_ids", CLAIM_TEXTS, { .texts = { NULL, 1 } } } },
		{ SB, "now: { not-before: 2026-01-01T00:00:00Z }", when("now", 1767225600),
		  when("now", 1767225599) },
		{ SB, "now: { not-after: 2026-01-01T00:00:00Z }", when("now", 1767225600),
		  when("now", 1767225601) },
		{ SB, "issued_at: { not-before: 1970-01-01T00:00:00Z }", when("issued_at", 0),
		  when("issued_at", -1) },
		{ SNP, "reported_tcb: { at-least: { bootloader: 3, snp: 8 } }", snp_tcb(3, 8),
		  snp_tcb(4, 7) },
		{ SNP, "not: { guest_svn: { equals: 3 } }", number("guest_svn", 4),
		  number("guest_svn", 3) },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char written[1024];
		struct policy_attestation *a;

		snprintf(written, sizeof(written), "classes: [%s]\n%s\n",
			 attestation_class_name(cases[i].class), cases[i].block);
		a = block(written);
		if (!allows(a, cases[i].class, &cases[i].yes, 1) ||
		    allows(a, cases[i].class, &cases[i].no, 1) ||
		    allows(a, cases[i].class, NULL, 0))
			fail_msg("%s", written);
		policy_attestation_free(a);
	}
}

static void floors_are_of_a_product_line(void **state)
{
	struct policy_attestation *a =
		block(S "tcb: { sev-snp: { milan: { min: { bootloader: 3, snp: 8 } },"
			" turin: { min: { snp: 4 } } } }");
	struct claim c[] = { snp_tcb(3, 8), text("product_line", "milan") };

	(void)state;
	assert_true(allows(a, SNP, c, 2));
	c[0] = snp_tcb(2, 9);
	assert_false(allows(a, SNP, c, 2));
	c[1].value.text = "turin";
	assert_true(allows(a, SNP, c, 2));
	/* a line for which nothing was written, one that nobody knows, none at all */
	c[0] = snp_tcb(255, 255);
	c[1].value.text = "genoa";
	assert_false(allows(a, SNP, c, 2));
	c[1].value.text = "venice";
	assert_false(allows(a, SNP, c, 2));
	assert_false(allows(a, SNP, c, 1));
	/* a part that is not there is not high enough */
	c[1].value.text = "milan";
	c[0].value.tcb.have = 1 << CLAIM_SNP_SNP;
	assert_false(allows(a, SNP, c, 2));
	policy_attestation_free(a);
}

/* ---- truth tables ---------------------------------------------------------------- */

static enum attestation_outcome outcome_of(const char *expression, const struct claim *c,
					   size_t n)
{
	struct attestation_line lines[16];
	struct attestation_verdict v;
	struct policy_attestation *a;
	char written[256];

	snprintf(written, sizeof(written), S "%s\n", expression);
	a = block(written);
	v = policy_attestation_evaluate(a, SNP, c, n, lines, 16);
	policy_attestation_free(a);
	assert_true(v.n_lines >= 2 && v.n_lost == 0);
	assert_int_equal(lines[1].depth, 0);
	assert_int_equal(v.allowed, lines[1].outcome == ATTESTATION_TRUE);
	return lines[1].outcome;
}

/* The claims that make `guest_svn` and `vmpl` "equal 1" come out as `a` and `b`. */
static size_t claims_for(struct claim *c, enum attestation_outcome a,
			 enum attestation_outcome b)
{
	size_t n = 0;

	if (a != ATTESTATION_UNKNOWN)
		c[n++] = number("guest_svn", a == ATTESTATION_TRUE);
	if (b != ATTESTATION_UNKNOWN)
		c[n++] = number("vmpl", b == ATTESTATION_TRUE);
	return n;
}

#define A "{ guest_svn: { equals: 1 } }"
#define B "{ vmpl: { equals: 1 } }"
#define U ATTESTATION_UNKNOWN
#define F ATTESTATION_FALSE
#define Y ATTESTATION_TRUE

static void truth_tables_are_kleenes(void **state)
{
	static const enum attestation_outcome all[3][3] = { { U, F, U },
							    { F, F, F },
							    { U, F, Y } };
	static const enum attestation_outcome any[3][3] = { { U, U, Y },
							    { U, F, Y },
							    { Y, Y, Y } };
	static const enum attestation_outcome not [3] = { U, Y, F };

	(void)state;
	for (enum attestation_outcome a = U; a <= Y; a++)
		for (enum attestation_outcome b = U; b <= Y; b++) {
			struct claim c[2];
			size_t n = claims_for(c, a, b);

			assert_int_equal(outcome_of("all: [" A ", " B "]", c, n), all[a][b]);
			assert_int_equal(outcome_of("any: [" A ", " B "]", c, n), any[a][b]);
			assert_int_equal(outcome_of("not: " A, c, n), not [a]);
			assert_int_equal(outcome_of("not: { not: " A " }", c, n), a);
			assert_int_equal(outcome_of("not: { all: [" A ", " B "] }", c, n),
					 not [all[a][b]]);
			assert_int_equal(outcome_of("not: { any: [" A ", " B "] }", c, n),
					 not [any[a][b]]);
			/* several keys of one mapping mean all */
			assert_int_equal(outcome_of("any: [{ guest_svn: { equals: 1 }, "
						    "vmpl: { equals: 1 } }]",
						    c, n),
					 all[a][b]);
		}
}

static void what_is_not_a_claim_is_unknown(void **state)
{
	const struct claim twice[] = { number("guest_svn", 1), number("guest_svn", 1) };
	const struct claim differ[] = { number("guest_svn", 1), number("guest_svn", 0) };
	const struct claim typed = text("guest_svn", "1");
	const struct claim other = number("launcher_uid", 1);
	const struct claim nameless = { NULL, CLAIM_NUMBER, { .number = 1 } };
	const struct claim shorter = bytes("measurement", 0xaa, 47);
	const struct claim longer = bytes("measurement", 0xaa, 49);
	const struct claim none = { "measurement", CLAIM_BYTES, { .bytes = { NULL, 48 } } };
	const struct claim word = text("product_line", "venice");
	const struct claim null = text("product_line", NULL);
	static const char is_a[] = "measurement: { equals: " H48("aa") " }";
	static const char not_a[] = "not: { measurement: { equals: " H48("aa") " } }";
	static const char not_milan[] = "not: { product_line: { equals: milan } }";

	(void)state;
	assert_int_equal(outcome_of("not: " A, twice, 2), U);
	assert_int_equal(outcome_of("not: " A, differ, 2), U);
	assert_int_equal(outcome_of("not: " A, &typed, 1), U);
	assert_int_equal(outcome_of("not: " A, &other, 1), U);
	assert_int_equal(outcome_of("not: " A, &nameless, 1), U);
	assert_int_equal(outcome_of("not: " A, NULL, 0), U);
	assert_int_equal(outcome_of(is_a, &shorter, 1), U);
	assert_int_equal(outcome_of(not_a, &shorter, 1), U);
	assert_int_equal(outcome_of(not_a, &longer, 1), U);
	assert_int_equal(outcome_of(not_a, &none, 1), U);
	assert_int_equal(outcome_of(not_milan, &word, 1), U);
	assert_int_equal(outcome_of(not_milan, &null, 1), U);
}

/* A host that leaves claims out, or says others, gets nothing that it would not get by
 * some value of them. */
static void leaving_claims_out_never_helps(void **state)
{
	static const char *const expressions[] = {
		"any: [" A ", { not: " B " }]",
		"not: { all: [" A ", { not: " B " }] }",
		"any: [{ all: [" A ", " B "] }, { all: [{ not: " A " }, { not: " B " }] }]",
		"not: { any: [{ not: " A " }, " B "] }",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(expressions) / sizeof(expressions[0]); i++)
		for (enum attestation_outcome a = U; a <= Y; a++)
			for (enum attestation_outcome b = U; b <= Y; b++) {
				struct claim c[2];
				enum attestation_outcome o =
					outcome_of(expressions[i], c, claims_for(c, a, b));

				if (o != Y)
					continue;
				for (enum attestation_outcome x = F; x <= Y; x++)
					for (enum attestation_outcome y = F; y <= Y; y++)
						assert_int_equal(
							outcome_of(expressions[i], c,
								   claims_for(c, a ? a : x,
									      b ? b : y)),
							Y);
			}
}

/* ---- classes --------------------------------------------------------------------- */

static void clauses_hold_for_the_classes_that_have_them(void **state)
{
	struct policy_attestation *a = block("classes: [sandbox, sev-snp]\nmeasurement: [" H48(
		"aa") "]\nworkload: [" H32("bb") "]\n");
	const struct claim guest = bytes("measurement", 0xaa, 48);
	const struct claim sandbox = bytes("workload_digest", 0xbb, 32);
	const struct claim both[] = { guest, sandbox, text("tee", "sandbox") };

	(void)state;
	assert_true(allows(a, SNP, &guest, 1));
	assert_true(allows(a, SB, &sandbox, 1));
	assert_false(allows(a, SNP, &sandbox, 1));
	assert_false(allows(a, SB, &guest, 1));
	/* what is not accepted is not, whatever it claims, its class included */
	assert_false(allows(a, TDX, both, 3));
	assert_false(allows(a, SIM, both, 3));
	policy_attestation_free(a);
}

static void evidence_has_exactly_one_class(void **state)
{
	struct policy_attestation *a = block("classes: [sandbox, sev-snp, tdx, simulated]");

	(void)state;
	assert_true(allows(a, SIM, NULL, 0));
	assert_false(policy_attestation_evaluate(a, 0, NULL, 0, NULL, 0).allowed);
	assert_false(policy_attestation_evaluate(a, SB | SNP, NULL, 0, NULL, 0).allowed);
	assert_false(policy_attestation_evaluate(a, 1u << 31, NULL, 0, NULL, 0).allowed);
	assert_null(attestation_class_name(SB | SNP));
	policy_attestation_free(a);
}

static void names_exceptions_one_by_one(void **state)
{
	struct policy_attestation *a = block(whole);

	(void)state;
	assert_int_equal(policy_attestation_classes(a), SB | SNP | TDX);
	assert_int_equal(policy_attestation_exceptions(a),
			 ATTESTATION_DEVELOPMENT_ANCHOR | ATTESTATION_SKIPPED_REVOCATION);
	assert_true(policy_attestation_accepts_tcb_status(a, "UpToDate"));
	assert_true(policy_attestation_accepts_tcb_status(a, "SWHardeningNeeded"));
	assert_false(policy_attestation_accepts_tcb_status(a, "OutOfDate"));
	policy_attestation_free(a);
	a = block(C "launcher-uid: [0, 7]\n");
	assert_int_equal(policy_attestation_exceptions(a), ATTESTATION_LAUNCHER_UID);
	policy_attestation_free(a);
	for (uint32_t bit = 1; bit <= ATTESTATION_SKIPPED_MEASUREMENT; bit <<= 1) {
		char written[128];

		snprintf(written, sizeof(written),
			 "classes: [sandbox, sev-snp, tdx]\naccept: [%s]\n",
			 attestation_exception_name(bit));
		a = block(written);
		assert_int_equal(policy_attestation_exceptions(a), bit);
		policy_attestation_free(a);
	}
	assert_null(attestation_exception_name(ATTESTATION_SKIPPED_MEASUREMENT << 1));
}

#define IS(claim, hex) claim ": { in: [" H48(hex) "] }"

static const char either_class[] =
	"classes: [sev-snp, tdx]\n"
	"measurement: [" H48("00") "]\n"
				   "any:\n"
				   "  - tee: { equals: sev-snp }\n"
				   "  - " IS("rtmr1", "00") "\n"
							    "    " IS("rtmr2", "00") "\n";

static void wants_reference_values_for_every_class(void **state)
{
	static const struct {
		const char *block, *lacks; /* NULL: nothing */
	} cases[] = {
		{ whole, NULL }, /* under any, beside branches that tdx evidence never takes */
		{ C, "plan_digest" },
		{ C "plan: [" H32("00") "]\n", "workload_digest" },
		{ C "plan: [" H32("00") "]\nworkload: [" H32("00") "]\n", NULL },
		{ C "accept: [skipped-measurement]\n", NULL },
		{ S, "measurement" },
		{ S "measurement: [" H48("00") "]\n", NULL },
		{ S IS("measurement", "00"), NULL },
		{ S "not: { " IS("measurement", "00") " }\n", "measurement" },
		{ S "any: [{ " IS("measurement", "00") " }, { vmpl: { equals: 0 } }]\n",
		  "measurement" },
		{ S "any: [{ " IS("measurement", "00") " }, { vmpl: { equals: 0 }, " IS(
			  "measurement", "01") " }]\n",
		  NULL },
		{ T "measurement: [" H48("00") "]\n", "rtmr1" },
		{ T "measurement: [" H48("00") "]\n" IS("rtmr1", "00") "\n", "rtmr2" },
		{ T "measurement: [" H48("00") "]\n" IS("rtmr1", "00") "\n" IS("rtmr2", "00"),
		  NULL },
		{ either_class, NULL },
		{ "classes: [simulated]\n", "measurement" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct policy_attestation *a = block(cases[i].block);
		struct policy_error e = { .what = "" };
		enum policy_status s = policy_attestation_check_references(a, &e);

		if (s != (cases[i].lacks ? POLICY_REFUSED : POLICY_OK) ||
		    (cases[i].lacks && !strstr(e.what, cases[i].lacks)))
			fail_msg("%s\ngave %s: %s", cases[i].block, policy_status_str(s),
				 e.what);
		policy_attestation_free(a);
	}
}

/* ---- limits ---------------------------------------------------------------------- */

static void bounds_depth_clauses_values_and_bytes(void **state)
{
	char *written = malloc(ATTESTATION_TEXT_MAX + 64);
	struct policy_attestation *a = NULL;
	struct policy_error e;
	size_t used;

	(void)state;
	assert_non_null(written);
	for (unsigned depth = 1; depth <= 13; depth++) {
		used = (size_t)sprintf(written, S);
		for (unsigned i = 0; i < depth; i++)
			used += (size_t)sprintf(written + used, i ? "[{ all: " : "all: ");
		used += (size_t)sprintf(written + used, "[" A "]");
		for (unsigned i = 1; i < depth; i++)
			used += (size_t)sprintf(written + used, " }]");
		assert_int_equal(parse(written, &a, &e),
				 depth <= ATTESTATION_DEPTH_MAX ? POLICY_OK : POLICY_INVALID);
		if (depth <= ATTESTATION_DEPTH_MAX)
			policy_attestation_free(a);
		else
			assert_non_null(strstr(e.what, "levels"));
	}
	/* the classes are a clause, and any is one */
	for (unsigned n = ATTESTATION_CLAUSES_MAX - 2; n <= ATTESTATION_CLAUSES_MAX; n++) {
		used = (size_t)sprintf(written, S "any:\n");
		for (unsigned i = 0; i < n; i++)
			used += (size_t)sprintf(written + used, "  - vmpl: { equals: %u }\n",
						i);
		if (parse(written, &a, &e) == POLICY_OK) {
			assert_int_equal(n, ATTESTATION_CLAUSES_MAX - 2);
			assert_false(allows(a, SNP, NULL, 0)); /* all of its lines fit */
			policy_attestation_free(a);
		} else {
			assert_true(n > ATTESTATION_CLAUSES_MAX - 2);
			assert_non_null(strstr(e.what, "more than 256"));
		}
	}
	for (unsigned n = ATTESTATION_VALUES_MAX; n <= ATTESTATION_VALUES_MAX + 1; n++) {
		used = (size_t)sprintf(written, S "vmpl: { in: [");
		for (unsigned i = 0; i < n; i++)
			used += (size_t)sprintf(written + used, "%u, ", i);
		strcpy(written + used, "] }\n");
		assert_int_equal(parse(written, &a, &e),
				 n <= ATTESTATION_VALUES_MAX ? POLICY_OK : POLICY_INVALID);
		if (n <= ATTESTATION_VALUES_MAX)
			policy_attestation_free(a);
	}
	used = (size_t)sprintf(written, S "#");
	memset(written + used, 'x', ATTESTATION_TEXT_MAX - used + 1);
	assert_int_equal(
		policy_attestation_parse("block", written, ATTESTATION_TEXT_MAX, &a, &e),
		POLICY_OK);
	policy_attestation_free(a);
	assert_int_equal(
		policy_attestation_parse("block", written, ATTESTATION_TEXT_MAX + 1, &a, &e),
		POLICY_INVALID);
	used = (size_t)sprintf(written, C "host_id: { equals: ");
	memset(written + used, 'x', 256);
	strcpy(written + used + 256, " }");
	assert_int_equal(parse(written, &a, &e), POLICY_INVALID);
	free(written);
}

/* ---- damage ---------------------------------------------------------------------- */

/* What `whole` refuses: a sandbox whose coverage is binary, an SNP guest of another
 * measurement, a TDX guest of an old TCB. */
static bool lets_anything_in(const struct policy_attestation *a)
{
	const struct claim sandbox[] = {
		bytes("plan_digest", 1, 32),   bytes("workload_digest", 2, 32),
		bytes("cordon_digest", 3, 32), text("workload_coverage", "binary"),
		number("launcher_uid", 0),     text("host_id", "node-1"),
		when("now", 1780000000),
	};
	const struct claim snp[] = {
		bytes("measurement", 0xac, 48),     snp_tcb(255, 255),
		text("product_line", "turin"),      bytes("chip_id", 0, 64),
		bytes("plan_digest", 1, 32),        number("guest_svn", 3),
		truth("policy_smt_allowed", false), when("now", 1780000000),
	};
	const struct claim tdx[] = {
		bytes("mrtd", 0xaa, 48),
		text("tcb_status", "OutOfDate"),
		bytes("plan_digest", 1, 32),
		when("now", 1780000000),
	};

	return allows(a, SB, sandbox, 7) || allows(a, SNP, snp, 8) || allows(a, TDX, tdx, 4);
}

/* A damaged block is none, or it says something else: where it lets in what the whole one
 * kept out, whoever reads its explanation sees another one. */
static void judge_damaged(const char *damaged, size_t len, const char *original)
{
	struct policy_attestation *a = NULL;
	struct policy_error e = { .what = "" };
	enum policy_status s = policy_attestation_parse("block", damaged, len, &a, &e);
	char *now;

	if (s != POLICY_OK) {
		assert_true(s == POLICY_INVALID || s == POLICY_REFUSED);
		assert_true(e.what[0] && !a);
		return;
	}
	now = explained(a);
	if (lets_anything_in(a))
		assert_string_not_equal(now, original);
	free(now);
	policy_attestation_free(a);
}

static void damage_never_crashes_nor_hides(void **state)
{
	struct policy_attestation *a = block(whole);
	char *original = explained(a), damaged[sizeof(whole)];
	const uint8_t bits[] = { 0x01, 0x02, 0x20, 0x80, 0xff };

	(void)state;
	assert_false(lets_anything_in(a));
	for (size_t n = 0; n < sizeof(whole); n++)
		judge_damaged(whole, n, original);
	memcpy(damaged, whole, sizeof(whole));
	for (size_t i = 0; i < sizeof(whole) - 1; i++)
		for (size_t b = 0; b < sizeof(bits); b++) {
			damaged[i] = (char)(whole[i] ^ bits[b]);
			judge_damaged(damaged, sizeof(whole) - 1, original);
			damaged[i] = whole[i];
		}
	free(original);
	policy_attestation_free(a);
}

static void random_damage_never_crashes(void **state)
{
	size_t rounds = getenv("CORDON_SOAK") ? 100000 : 2000;
	struct policy_attestation *a = block(whole);
	char *original = explained(a);
	uint64_t seed = 7;

	(void)state;
	for (size_t i = 0; i < rounds; i++) {
		uint8_t damaged[2 * sizeof(whole)];
		size_t len = sizeof(whole) - 1;

		memcpy(damaged, whole, len);
		for (uint64_t n = 1 + sample_random(&seed) % 4; n > 0; n--)
			len = sample_mutate(damaged, len, sizeof(damaged), &seed);
		judge_damaged((const char *)damaged, len, original);
	}
	free(original);
	policy_attestation_free(a);
}

/* ---- explanations ---------------------------------------------------------------- */

static void explains_clause_by_clause(void **state)
{
	struct policy_attestation *a = block(C "any:\n  - launcher_uid: { equals: 0 }\n"
					       "  - not: { host_id: { in: [a, b] } }\n");
	const struct claim c[] = { number("launcher_uid", 5), text("host_id", "b") };
	struct attestation_line l[8];
	struct attestation_verdict v = policy_attestation_evaluate(a, SB, c, 2, l, 8);
	static const struct {
		unsigned depth;
		enum attestation_outcome outcome;
		const char *clause, *seen;
	} wanted[] = {
		{ 0, Y, "tee is sandbox", "sandbox" },
		{ 0, F, "at least one of this holds", "" },
		{ 1, F, "launcher_uid is 0", "5" },
		{ 1, F, "this does not hold", "" },
		{ 2, Y, "host_id is one of a, b", "b" },
	};

	(void)state;
	assert_int_equal(v.n_lines, 5);
	for (size_t i = 0; i < 5; i++) {
		assert_int_equal(l[i].depth, wanted[i].depth);
		assert_int_equal(l[i].outcome, wanted[i].outcome);
		assert_string_equal(l[i].clause, wanted[i].clause);
		assert_string_equal(l[i].seen, wanted[i].seen);
	}
	assert_string_equal(attestation_outcome_str(l[0].outcome), "true");
	v = policy_attestation_evaluate(a, SB, NULL, 0, l, 3);
	assert_int_equal(v.n_lines, 3);
	assert_int_equal(v.n_lost, 2);
	assert_false(v.allowed);
	assert_string_equal(l[2].seen, "missing");
	assert_string_equal(attestation_outcome_str(l[2].outcome), "unknown");
	policy_attestation_free(a);
}

static void shows_a_terminal_nothing_that_it_obeys(void **state)
{
	struct policy_attestation *a =
		block(C "host_id: { in: [\"a\xc3\xa4\", b] }\nhost_kernel: { equals: x }\n");
	char longer[600];
	struct claim c[] = { text("host_id", "\x1b[31m\n\xff"), text("host_kernel", longer) };
	struct attestation_line l[3];

	(void)state;
	memset(longer, '\x1b', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	assert_false(allows(a, SB, c, 2));
	policy_attestation_evaluate(a, SB, c, 2, l, 3);
	assert_string_equal(l[1].seen, "\\x1b[31m\\x0a\\xff");
	assert_string_equal(l[1].clause, "host_id is one of a\xc3\xa4, b");
	policy_attestation_free(a);
}

/* However long what it shows is: the line ends behind a whole character, and says that it
 * was cut. */
static void cuts_lines_that_are_too_long(void **state)
{
	struct attestation_line l[2];
	struct policy_attestation *a;
	char written[8192];

	(void)state;
	for (int pad = 1; pad <= 8; pad++) {
		size_t used =
			(size_t)sprintf(written, C "host_id: { in: [%.*s", pad, "pppppppp");

		for (unsigned i = 0; i < 100; i++)
			used += (size_t)sprintf(written + used, ", \"\xc3\xa4\xe2\x82\xac%u\"",
						i);
		strcpy(written + used, "] }\n");
		a = block(written);
		assert_int_equal(policy_attestation_evaluate(a, SB, NULL, 0, l, 2).n_lines, 2);
		used = strlen(l[1].clause);
		assert_true(text_clean(l[1].clause));
		assert_in_range(used, sizeof(l[1].clause) - 4, sizeof(l[1].clause) - 1);
		assert_string_equal(l[1].clause + used - 2, "..");
		policy_attestation_free(a);
	}
}

static void says_in_sentences_what_it_demands(void **state)
{
	static const char *const sentences[] = {
		"class sandbox or sev-snp or tdx ",
		"  of sev-snp evidence reported_tcb is at least:\n"
		"    milan: bootloader 4, tee 0, snp 24, microcode 219\n"
		"    turin: fmc 1, snp 4\n",
		"  of sandbox evidence workload_coverage is one of:\n    rootfs\n    image\n",
		"  of sandbox evidence launcher_uid is 0.\n",
		"  now is not before 2026-01-01T00:00:00Z.\n",
		"  at least one of this holds:\n    tee is sandbox.\n    all of this holds:\n"
		"      guest_svn is at least 2.\n",
		"      this does not hold:\n        pck_ca is processor.\n",
		"WEAKENED, development-anchor: ",
		"WEAKENED, tcb: a platform may be of the status SWHardeningNeeded.\n",
	};
	struct policy_attestation *a = block(whole);
	char *said = explained(a), *again = explained(a);

	(void)state;
	for (size_t i = 0; i < sizeof(sentences) / sizeof(sentences[0]); i++)
		if (!strstr(said, sentences[i]))
			fail_msg("%s\nis not in\n%s", sentences[i], said);
	assert_null(strstr(said, "does not store"));
	assert_string_equal(said, again);
	free(said);
	free(again);
	policy_attestation_free(a);
	a = block("classes: [simulated]\n");
	said = explained(a);
	assert_non_null(strstr(said, "proves nothing"));
	assert_non_null(strstr(said, "does not store this: no reference values: simulated"));
	free(said);
	policy_attestation_free(a);
}

/* ---- in a policy ----------------------------------------------------------------- */

#define HEAD                                                                                   \
	"cordon: 1\ntenant: acme\nisolation: { class: guest, tee: [sev-snp, tdx] }\n"          \
	"workload: { kernel: /k, vcpus: 1, memory: 1GiB }\n"                                   \
	"scrub: { held: wiped, kernel: none }\n"

/* The plan carries the text; whoever stores it reads the same out of it. */
static void a_plans_text_means_what_the_policy_said(void **state)
{
	char written[2 * sizeof(whole)], *line, *rest = NULL, copy[sizeof(whole)];
	struct policy_plan *plan = NULL;
	struct policy *p = NULL;
	struct policy_error e = { .what = "" };
	struct policy_attestation *a = block(whole), *b;
	char *first = explained(a), *second;
	size_t used = (size_t)sprintf(written, HEAD "attestation:  # of the key service\n");

	(void)state;
	memcpy(copy, whole, sizeof(whole));
	for (line = strtok_r(copy, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
		used += (size_t)sprintf(written + used, "  %s\n", line);
	assert_int_equal(policy_parse("p", written, used, &p, &e), POLICY_OK);
	assert_int_equal(policy_plan_make(p, NULL, NULL, &plan, &e), POLICY_OK);
	b = block(plan->attestation);
	second = explained(b);
	assert_string_equal(first, second);
	free(first);
	free(second);
	policy_attestation_free(a);
	policy_attestation_free(b);
	policy_plan_free(plan);
	policy_free(p);
}

static void a_policy_says_where_in_the_file(void **state)
{
	static const struct bad bad[] = {
		{ HEAD "attestation:\n  classes: [tdx]\n  any:\n    - rtmr9: {}\n", 9, 7,
		  "attestation.any[0].rtmr9", "no such key or claim" },
		{ HEAD "attestation: { classes: [sandbox] }\n", 6, 25, "attestation",
		  "no session of this policy" },
		{ HEAD "attestation: [a]\n", 6, 14, "attestation", "a mapping" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct policy_error e = { .what = "" };
		struct policy *p = NULL;

		assert_int_equal(policy_parse("p", bad[i].text, strlen(bad[i].text), &p, &e),
				 POLICY_INVALID);
		if (e.line != bad[i].line || e.column != bad[i].column ||
		    strcmp(e.key, bad[i].key) != 0 || !strstr(e.what, bad[i].what))
			fail_msg("%u:%u: %s: %s", e.line, e.column, e.key, e.what);
	}
}

static void the_vocabulary_is_sound(void **state)
{
	(void)state;
	for (const struct claim_info *i = claim_vocabulary(); i->name; i++) {
		assert_ptr_equal(claim_info_find(i->name), i); /* none twice */
		assert_true(i->classes && !(i->classes & ~(uint32_t)(SB | SNP | TDX | SIM)));
		assert_int_equal(i->type == CLAIM_BYTES, i->size > 0);
		assert_true(i->size <= CLAIM_BYTES_MAX);
		assert_int_equal(i->type == CLAIM_TCB, i->parts != NULL);
		assert_true(!i->words || i->type == CLAIM_TEXT);
	}
	assert_null(claim_info_find("nonce"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(accepts_every_form),
		cmocka_unit_test(says_where_a_block_is_wrong),
		cmocka_unit_test(every_clause_says_yes_and_no),
		cmocka_unit_test(floors_are_of_a_product_line),
		cmocka_unit_test(truth_tables_are_kleenes),
		cmocka_unit_test(what_is_not_a_claim_is_unknown),
		cmocka_unit_test(leaving_claims_out_never_helps),
		cmocka_unit_test(clauses_hold_for_the_classes_that_have_them),
		cmocka_unit_test(evidence_has_exactly_one_class),
		cmocka_unit_test(names_exceptions_one_by_one),
		cmocka_unit_test(wants_reference_values_for_every_class),
		cmocka_unit_test(bounds_depth_clauses_values_and_bytes),
		cmocka_unit_test(damage_never_crashes_nor_hides),
		cmocka_unit_test(random_damage_never_crashes),
		cmocka_unit_test(explains_clause_by_clause),
		cmocka_unit_test(shows_a_terminal_nothing_that_it_obeys),
		cmocka_unit_test(cuts_lines_that_are_too_long),
		cmocka_unit_test(says_in_sentences_what_it_demands),
		cmocka_unit_test(a_plans_text_means_what_the_policy_said),
		cmocka_unit_test(a_policy_says_where_in_the_file),
		cmocka_unit_test(the_vocabulary_is_sound),
	};

	return cmocka_run_group_tests_name("attestation", tests, NULL, NULL);
}
