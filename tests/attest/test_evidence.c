/* tests/attest/test_evidence.c - the four steps, with evidence of class sandbox: each check
 * by a sample that only it refuses. */
#include "tests/attest/sandbox_sample.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "attest/evidence_files.h"
#include "attest/evidence_internal.h"
#include "policy/attestation.h"
#include <openssl/pem.h>

#define HEX11 "1111111111111111111111111111111111111111111111111111111111111111"
#define HEX22 "2222222222222222222222222222222222222222222222222222222222222222"
#define HEX33 "3333333333333333333333333333333333333333333333333333333333333333"

#define HEX55                                                                                  \
	"5555555555555555555555555555555555555555555555555555555555555555"                     \
	"5555555555555555555555555555555555555555555555555555555555555555"

/* One attempt: who signs what, what is given, what is asked. Starts as one that passes
 * every check. */
struct attempt {
	struct sample_issuer anchor;
	EVP_PKEY *key, *signing_key;
	X509 *chain[SANDBOX_CERTIFICATES];
	size_t n_chain;
	struct sandbox_facts facts;
	char *token; /* NULL: made of all above */
	X509 *given_anchor, *given_other;
	X509_CRL *crls[2];
	const char *policy;
	char descriptor[DESCRIPTOR_MAX];
	uint8_t report_data[SANDBOX_REPORT_DATA];
	struct evidence_wants wants;
	int64_t at;
};

static struct attempt a;
static struct attest_result *result;

static void begin_with(const struct sample_spec *ca, const struct sample_spec *host)
{
	struct descriptor d = sample_descriptor();

	a = (struct attempt){ .facts = sample_facts(), .at = SAMPLE_AT, .n_chain = 1 };
	a.anchor = sample_anchor(ca);
	a.key = sample_key("P-256");
	a.signing_key = a.key;
	a.chain[0] = sample_certificate(host, a.key, &a.anchor);
	a.given_anchor = a.anchor.certificate;
	a.crls[0] = sample_crl(&a.anchor, NULL, SAMPLE_AT - SAMPLE_DAY, SAMPLE_AT + SAMPLE_DAY);
	a.wants.descriptor = a.descriptor;
	a.wants.descriptor_len = sample_descriptor_text(&d, a.descriptor);
	memset(a.report_data, 0x55, sizeof(a.report_data));
	a.wants.report_data = a.report_data;
}

static void begin(void)
{
	static const struct sample_spec ca = SAMPLE_CA, host = SAMPLE_LEAF;

	begin_with(&ca, &host);
}

static void end(void)
{
	for (size_t i = 0; i < a.n_chain; i++)
		X509_free(a.chain[i]);
	X509_free(a.anchor.certificate);
	X509_CRL_free(a.crls[0]);
	X509_CRL_free(a.crls[1]);
	if (a.signing_key != a.key)
		EVP_PKEY_free(a.signing_key);
	EVP_PKEY_free(a.anchor.key);
	EVP_PKEY_free(a.key);
	free(a.token);
	attest_result_free(result);
	result = NULL;
}

/* ---- one run of the steps -------------------------------------------------------------- */

static void give(struct endorsements *en, enum endorsement_role role, X509 *x, X509_CRL *crl)
{
	uint8_t *der = NULL;
	int n = x ? i2d_X509(x, &der) : i2d_X509_CRL(crl, &der);

	assert_true(n > 0);
	assert_int_equal(endorsements_add(en, role, "sample", der, (size_t)n, NULL), ATTEST_OK);
	OPENSSL_free(der);
}

static struct endorsements *endorsements(void)
{
	struct endorsements *en = NULL;

	assert_int_equal(endorsements_new(&en, NULL), ATTEST_OK);
	if (a.given_anchor)
		give(en, ENDORSEMENT_ANCHOR, a.given_anchor, NULL);
	if (a.given_other)
		give(en, ENDORSEMENT_OTHER, a.given_other, NULL);
	for (size_t i = 0; i < 2; i++)
		if (a.crls[i])
			give(en, ENDORSEMENT_OTHER, NULL, a.crls[i]);
	return en;
}

static struct policy_attestation *policy(const char *text)
{
	struct policy_attestation *p = NULL;
	struct policy_error e = { .what = "" };

	if (text && policy_attestation_parse("sample", text, strlen(text), &p, &e) != POLICY_OK)
		fail_msg("%s: %s", text, e.what);
	return p;
}

static enum attest_status judge(void)
{
	struct endorsements *en = endorsements();
	struct policy_attestation *p = policy(a.policy);
	struct evidence *ev = NULL;
	struct verified *v = NULL;
	enum attest_status s;

	if (!a.token)
		a.token = sample_token(&a.facts, a.signing_key, a.chain, a.n_chain);
	attest_result_free(result);
	result = NULL;
	s = evidence_parse(EVIDENCE_SANDBOX, a.token, strlen(a.token), &ev, &result, NULL);
	if (s == ATTEST_OK)
		s = evidence_verify(ev, en, a.at, &v, &result, NULL);
	if (s == ATTEST_OK)
		s = evidence_appraise(v, p, &a.wants, a.at, &result, NULL);
	if (s == ATTEST_OK && attest_result_verdict(result) != VERDICT_ACCEPTED)
		s = ATTEST_REFUSED;
	verified_free(v);
	evidence_free(ev);
	policy_attestation_free(p);
	endorsements_free(en);
	return s;
}

static void show(void)
{
	for (unsigned i = 0; result && i < CHECKS; i++)
		print_message("%s: %s: %s\n", evidence_check_str(i),
			      evidence_outcome_str(attest_result_check(result, i)->outcome),
			      attest_result_check(result, i)->detail);
}

static void accepted(enum evidence_tier tier)
{
	if (judge() != ATTEST_OK || attest_result_tier(result) != tier) {
		show();
		fail_msg("not accepted, or not as %s", evidence_tier_str(tier));
	}
}

/* Refused, and by this check alone (and what cannot be made without it). */
static void refused_by(enum evidence_check_id id)
{
	enum attest_status s = judge();

	assert_non_null(result);
	if (s != ATTEST_REFUSED || attest_result_check(result, id)->outcome != OUTCOME_FAIL) {
		show();
		fail_msg("%s did not refuse it", evidence_check_str(id));
	}
	assert_int_equal(attest_result_tier(result), TIER_CONTRAINDICATED);
	for (unsigned i = 0; i < CHECKS; i++)
		if (i != id && attest_result_check(result, i)->outcome == OUTCOME_FAIL &&
		    !strstr(attest_result_check(result, i)->detail, "it was not made")) {
			show();
			fail_msg("%s refuses it as well", evidence_check_str(i));
		}
}

static void outcome(enum evidence_check_id id, enum evidence_outcome o)
{
	assert_int_equal(attest_result_check(result, id)->outcome, o);
}

/* ---- what is good ---------------------------------------------------------------------- */

static void good_evidence_is_affirming(void **state)
{
	size_t n;

	(void)state;
	begin();
	a.policy = "classes: [sandbox]\naccept: []\n"
		   "plan: [\"" HEX11 "\"]\nworkload: [\"" HEX33 "\"]\n";
	accepted(TIER_AFFIRMING);
	for (unsigned i = 0; i < CHECKS; i++)
		if (i != CHECK_IDENTITY && i != CHECK_TCB && i != CHECK_PLATFORM)
			outcome(i, OUTCOME_PASS);
	assert_non_null(attest_result_claims(result, &n));
	assert_true(n >= 15);
	end();
}

static void a_policy_is_not_needed_offline(void **state)
{
	(void)state;
	begin();
	a.wants = (struct evidence_wants){ .report_data = NULL };
	accepted(TIER_AFFIRMING);
	outcome(CHECK_MEASUREMENT, OUTCOME_NOT_MADE);
	outcome(CHECK_FRESHNESS, OUTCOME_NOT_MADE);
	outcome(CHECK_HOST_DATA, OUTCOME_NOT_MADE);
	outcome(CHECK_PLATFORM, OUTCOME_NOT_MADE);
	end();
}

static void without_a_crl_revocation_is_skipped_and_warned_of(void **state)
{
	(void)state;
	begin();
	X509_CRL_free(a.crls[0]);
	a.crls[0] = NULL;
	accepted(TIER_WARNING);
	outcome(CHECK_REVOCATION, OUTCOME_SKIPPED);
	end();
}

static void coverage_of_a_binary_is_warned_of(void **state)
{
	(void)state;
	begin();
	a.facts.coverage = SANDBOX_BINARY;
	accepted(TIER_WARNING);
	end();
}

/* ---- format ---------------------------------------------------------------------------- */

static void what_is_no_token_is_malformed(void **state)
{
	static const char *const texts[] = { "", "a", "..", "eyJ.e.e", "{}" };

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		begin();
		a.token = strdup(texts[i]);
		assert_int_equal(judge(), ATTEST_MALFORMED);
		assert_int_equal(attest_result_verdict(result), VERDICT_MALFORMED);
		assert_int_equal(attest_result_tier(result), TIER_NONE);
		outcome(CHECK_FORMAT, OUTCOME_FAIL);
		end();
	}
}

static void a_signed_payload_of_another_schema_is_malformed(void **state)
{
	(void)state;
	begin();
	a.token = sample_sign("{\"schema\":\"cordon.sandbox-evidence/2\"}", a.key, SANDBOX_TYP,
			      a.chain, 1);
	assert_int_equal(judge(), ATTEST_MALFORMED);
	outcome(CHECK_FORMAT, OUTCOME_FAIL);
	end();
}

static void hardware_cannot_be_judged_by_this_build(void **state)
{
	static const enum evidence_tee tees[] = { EVIDENCE_SEV_SNP, EVIDENCE_TDX,
						  EVIDENCE_SIMULATED };
	struct attest_result *answer = NULL;
	struct evidence *ev = NULL;

	(void)state;
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(evidence_parse(tees[i], "x", 1, &ev, &answer, NULL),
				 ATTEST_SYSTEM);
	assert_int_equal(evidence_parse(EVIDENCE_NONE, "x", 1, &ev, &answer, NULL),
			 ATTEST_MALFORMED);
	assert_null(ev);
	attest_result_free(answer);
}

static void every_changed_byte_is_refused_or_malformed(void **state)
{
	size_t len, step = getenv("CORDON_SOAK") ? 1 : 7;

	(void)state;
	begin();
	accepted(TIER_AFFIRMING);
	len = strlen(a.token);
	for (size_t i = 0; i < len; i += step) {
		a.token[i] = (char)(a.token[i] ^ 1);
		assert_int_not_equal(judge(), ATTEST_OK);
		assert_int_not_equal(attest_result_verdict(result), VERDICT_ACCEPTED);
		a.token[i] = (char)(a.token[i] ^ 1);
	}
	accepted(TIER_AFFIRMING);
	end();
}

/* ---- chain ----------------------------------------------------------------------------- */

/* The certificates are replaced by ones of these specifications. */
static void chain_of(const struct sample_spec *ca, const struct sample_spec *host,
		     bool is_accepted)
{
	begin_with(ca, host);
	if (is_accepted)
		accepted(TIER_AFFIRMING);
	else
		refused_by(CHECK_CHAIN);
	end();
}

static void without_an_anchor_nothing_is_accepted(void **state)
{
	(void)state;
	begin();
	a.given_anchor = NULL;
	refused_by(CHECK_CHAIN);
	end();
}

static void another_anchor_of_the_same_name_refuses(void **state)
{
	struct sample_spec ca = SAMPLE_CA;
	struct sample_issuer other = sample_anchor(&ca);

	(void)state;
	begin();
	a.given_anchor = other.certificate;
	refused_by(CHECK_CHAIN);
	end();
	X509_free(other.certificate);
	EVP_PKEY_free(other.key);
}

/* Everything about it points to the anchor, but for the key that signed it. */
static void a_forged_certificate_refuses(void **state)
{
	struct sample_spec ca = SAMPLE_CA, host = SAMPLE_LEAF;
	struct sample_issuer forger = { .key = sample_key("P-256") };

	(void)state;
	begin_with(&ca, &host);
	forger.certificate = a.anchor.certificate;
	X509_free(a.chain[0]);
	a.chain[0] = sample_certificate(&host, a.key, &forger);
	refused_by(CHECK_CHAIN);
	end();
	EVP_PKEY_free(forger.key);
}

/* What came with the evidence, or beside it, is not believed. */
static void endorsements_are_no_anchors(void **state)
{
	(void)state;
	begin();
	a.given_other = a.anchor.certificate;
	a.given_anchor = NULL;
	refused_by(CHECK_CHAIN);
	end();
}

static void certificates_are_valid_at_the_time_asked_for(void **state)
{
	struct sample_spec ca = SAMPLE_CA, host = SAMPLE_LEAF;

	(void)state;
	begin();
	a.at = host.from - 1;
	refused_by(CHECK_CHAIN);
	a.at = host.until + 1;
	refused_by(CHECK_CHAIN);
	end();
	ca.until = SAMPLE_AT - 1;
	chain_of(&ca, &host, false);
	ca.until = SAMPLE_AT + SAMPLE_DAY;
	chain_of(&ca, &host, true);
	ca.from = SAMPLE_AT + 1;
	chain_of(&ca, &host, false);
}

static void an_issuer_must_be_a_ca_that_may_sign(void **state)
{
	struct sample_spec ca = SAMPLE_CA, host = SAMPLE_LEAF;

	(void)state;
	ca.basic = "critical,CA:FALSE";
	chain_of(&ca, &host, false);
	ca.basic = NULL;
	chain_of(&ca, &host, false);
	ca = (struct sample_spec)SAMPLE_CA;
	ca.usage = NULL;
	chain_of(&ca, &host, false);
	ca.usage = "critical,cRLSign";
	chain_of(&ca, &host, false);
	ca.usage = "critical,digitalSignature";
	chain_of(&ca, &host, false);
}

static void a_signer_must_be_one_and_no_ca(void **state)
{
	struct sample_spec ca = SAMPLE_CA, host = SAMPLE_LEAF;

	(void)state;
	host.usage = NULL;
	chain_of(&ca, &host, false);
	host.usage = "critical,keyAgreement";
	chain_of(&ca, &host, false);
	host.usage = "critical,digitalSignature,cRLSign";
	chain_of(&ca, &host, false);
	host.basic = "critical,CA:TRUE";
	host.usage = "critical,digitalSignature";
	chain_of(&ca, &host, false);
	host.usage = "critical,digitalSignature,keyCertSign";
	chain_of(&ca, &host, false);
}

static void an_unknown_critical_extension_refuses(void **state)
{
	struct sample_spec ca = SAMPLE_CA, host = SAMPLE_LEAF;

	(void)state;
	host.critical = ANCHOR_ARC ".99";
	chain_of(&ca, &host, false);
	host.critical = NULL;
	ca.critical = "1.2.3.4";
	chain_of(&ca, &host, false);
}

static void a_weak_digest_refuses(void **state)
{
	struct sample_spec ca = SAMPLE_CA, host = SAMPLE_LEAF;

	(void)state;
	host.md = EVP_sha1();
	chain_of(&ca, &host, false);
}

/* An intermediate CA below the anchor, and the host below it. */
static struct sample_issuer begin_below(const struct sample_spec *ca,
					const struct sample_spec *middle, const char *curve)
{
	struct sample_spec host = SAMPLE_LEAF;
	struct sample_issuer by = { .key = sample_key(curve) };

	begin_with(ca, &host);
	by.certificate = sample_certificate(middle, by.key, &a.anchor);
	X509_free(a.chain[0]);
	a.chain[0] = sample_certificate(&host, a.key, &by);
	a.crls[1] = sample_crl(&by, NULL, SAMPLE_AT - SAMPLE_DAY, SAMPLE_AT + SAMPLE_DAY);
	a.chain[1] = by.certificate;
	a.n_chain = 2;
	return by;
}

static void issuers_between_come_along_or_beside(void **state)
{
	struct sample_spec ca = SAMPLE_CA, middle = SAMPLE_CA;
	struct sample_issuer by;

	(void)state;
	middle.name = "between";
	by = begin_below(&ca, &middle, "P-384");
	accepted(TIER_AFFIRMING);
	free(a.token);
	a.token = sample_token(&a.facts, a.key, a.chain, 1);
	refused_by(CHECK_CHAIN);
	a.given_other = by.certificate;
	accepted(TIER_AFFIRMING);
	/* an anchor need not be a root */
	a.given_other = NULL;
	a.given_anchor = by.certificate;
	accepted(TIER_AFFIRMING);
	end();
	EVP_PKEY_free(by.key);
}

static void a_path_length_is_kept(void **state)
{
	struct sample_spec ca = SAMPLE_CA, middle = SAMPLE_CA;
	struct sample_issuer by;

	(void)state;
	middle.name = "between";
	ca.basic = "critical,CA:TRUE,pathlen:0";
	by = begin_below(&ca, &middle, "P-256");
	refused_by(CHECK_CHAIN);
	end();
	EVP_PKEY_free(by.key);
}

static void keys_of_other_curves_refuse(void **state)
{
	struct sample_spec ca = SAMPLE_CA, middle = SAMPLE_CA;
	static const char *const kinds[] = { "P-521", "secp256k1", "RSA" };

	(void)state;
	middle.name = "between";
	for (size_t i = 0; i < 3; i++) {
		struct sample_issuer by = begin_below(&ca, &middle, kinds[i]);

		refused_by(CHECK_CHAIN);
		end();
		EVP_PKEY_free(by.key);
	}
}

static void what_comes_along_is_the_chain_and_no_more(void **state)
{
	struct sample_spec ca = SAMPLE_CA;
	struct sample_issuer stranger = sample_anchor(&ca);

	(void)state;
	begin();
	a.chain[1] = stranger.certificate; /* that nobody needs */
	a.n_chain = 2;
	refused_by(CHECK_CHAIN);
	a.chain[1] = X509_dup(a.anchor.certificate); /* "up to but not including" */
	free(a.token);
	a.token = NULL;
	refused_by(CHECK_CHAIN);
	X509_free(a.chain[1]);
	a.n_chain = 1;
	/* a certificate that is an anchor itself certifies nothing */
	free(a.token);
	a.token = NULL;
	a.given_anchor = a.chain[0];
	refused_by(CHECK_CHAIN);
	end();
	X509_free(stranger.certificate);
	EVP_PKEY_free(stranger.key);
}

/* ---- revocation ------------------------------------------------------------------------ */

static void crl(const struct sample_issuer *by, X509 *revoked, int64_t from, int64_t until)
{
	X509_CRL_free(a.crls[0]);
	a.crls[0] = sample_crl(by, revoked, from, until);
}

static void a_revoked_certificate_refuses(void **state)
{
	(void)state;
	begin();
	crl(&a.anchor, a.chain[0], SAMPLE_AT - SAMPLE_DAY, SAMPLE_AT + SAMPLE_DAY);
	refused_by(CHECK_REVOCATION);
	end();
}

static void a_revoked_issuer_refuses(void **state)
{
	struct sample_spec ca = SAMPLE_CA, middle = SAMPLE_CA;
	struct sample_issuer by;

	(void)state;
	middle.name = "between";
	by = begin_below(&ca, &middle, "P-256");
	crl(&a.anchor, by.certificate, SAMPLE_AT - SAMPLE_DAY, SAMPLE_AT + SAMPLE_DAY);
	refused_by(CHECK_REVOCATION);
	end();
	EVP_PKEY_free(by.key);
}

static void a_crl_that_is_not_current_or_not_the_issuers_refuses(void **state)
{
	struct sample_spec ca = SAMPLE_CA;
	struct sample_issuer other = sample_anchor(&ca);

	(void)state;
	begin();
	crl(&a.anchor, NULL, SAMPLE_AT - 2 * SAMPLE_DAY, SAMPLE_AT - SAMPLE_DAY);
	refused_by(CHECK_REVOCATION);
	crl(&a.anchor, NULL, SAMPLE_AT + SAMPLE_DAY, SAMPLE_AT + 2 * SAMPLE_DAY);
	refused_by(CHECK_REVOCATION);
	crl(&other, NULL, SAMPLE_AT - SAMPLE_DAY, SAMPLE_AT + SAMPLE_DAY); /* same name */
	refused_by(CHECK_REVOCATION);
	end();
	X509_free(other.certificate);
	EVP_PKEY_free(other.key);
}

/* ---- signature and binding ------------------------------------------------------------- */

static void another_keys_signature_refuses(void **state)
{
	(void)state;
	begin();
	a.signing_key = sample_key("P-256");
	refused_by(CHECK_SIGNATURE);
	end();
}

static void claims_of_what_is_not_verified_are_not_shown(void **state)
{
	size_t n = 77;

	(void)state;
	begin();
	a.given_anchor = NULL;
	refused_by(CHECK_CHAIN);
	(void)attest_result_claims(result, &n);
	assert_int_equal(n, 0);
	outcome(CHECK_FRESHNESS, OUTCOME_NOT_MADE);
	end();
}

static void binding_of(const struct sample_spec *host)
{
	struct sample_spec ca = SAMPLE_CA;

	begin_with(&ca, host);
	refused_by(CHECK_BINDING);
	end();
}

static void a_certificate_for_something_else_refuses(void **state)
{
	struct sample_spec host = SAMPLE_LEAF;

	(void)state;
	host.purpose = NULL;
	binding_of(&host);
	host.purpose = "serverAuth";
	binding_of(&host);
	host.purpose = "serverAuth," ANCHOR_OID_ATTESTATION;
	binding_of(&host);
}

static void another_hosts_certificate_refuses(void **state)
{
	struct sample_spec host = SAMPLE_LEAF;

	(void)state;
	host.name = "host-2.example";
	binding_of(&host);
	host.name = SAMPLE_HOST "x";
	binding_of(&host);
	host.name = SAMPLE_HOST "\0x";
	host.name_len = sizeof(SAMPLE_HOST "\0x") - 1;
	binding_of(&host);
	host.name_len = 0;
	host.second = "host-2.example";
	binding_of(&host);
}

static void what_was_signed_outside_the_certificates_time_refuses(void **state)
{
	struct sample_spec host = SAMPLE_LEAF;

	(void)state;
	begin();
	a.facts.issued = host.from - 1;
	refused_by(CHECK_BINDING);
	free(a.token);
	a.token = NULL;
	a.facts.issued = host.until + 1;
	refused_by(CHECK_BINDING);
	end();
}

/* ---- debug and guest-policy ------------------------------------------------------------ */

static void marked(bool anchor, bool leaf)
{
	struct sample_spec ca = SAMPLE_CA, host = SAMPLE_LEAF;

	ca.marker = anchor;
	host.marker = leaf;
	begin_with(&ca, &host);
	refused_by(CHECK_DEBUG);
	a.policy = "classes: [sandbox]\naccept: [development-anchor]\n";
	accepted(TIER_WARNING);
	assert_true(attest_result_check(result, CHECK_DEBUG)->excepted);
	end();
}

static void a_development_anchor_needs_the_policys_word(void **state)
{
	(void)state;
	marked(true, true);
	marked(true, false);
	marked(false, true);
}

static void a_build_with_fault_points_needs_it_too(void **state)
{
	(void)state;
	begin();
	a.facts.fault_points = true;
	refused_by(CHECK_DEBUG);
	a.policy = "classes: [sandbox]\naccept: [development-anchor]\n";
	accepted(TIER_WARNING);
	end();
}

static void a_launcher_that_is_not_root_needs_the_policys_word(void **state)
{
	(void)state;
	begin();
	a.facts.launcher_uid = 1000;
	refused_by(CHECK_GUEST_POLICY);
	a.policy = "classes: [sandbox]\naccept: [launcher-uid-any]\n";
	accepted(TIER_WARNING);
	a.policy = "classes: [sandbox]\naccept: []\nlauncher-uid: [0, 1000]\n";
	accepted(TIER_WARNING);
	a.policy = "classes: [sandbox]\naccept: []\nlauncher-uid: [0, 1001]\n";
	refused_by(CHECK_GUEST_POLICY);
	end();
}

static void an_exception_is_good_for_itself_alone(void **state)
{
	(void)state;
	begin();
	a.facts.launcher_uid = 1000;
	a.policy = "classes: [sandbox]\naccept: [development-anchor, coverage-binary]\n";
	refused_by(CHECK_GUEST_POLICY);
	end();
}

static void a_class_that_the_policy_does_not_name_refuses(void **state)
{
	(void)state;
	begin();
	a.policy = "classes: [simulated]\naccept: []\n";
	refused_by(CHECK_GUEST_POLICY);
	end();
}

static void other_clauses_hold_as_well(void **state)
{
	(void)state;
	begin();
	a.policy = "classes: [sandbox]\naccept: []\ninit_on_free: { equals: true }\n";
	accepted(TIER_AFFIRMING);
	a.policy = "classes: [sandbox]\naccept: []\ninit_on_free: { equals: false }\n";
	refused_by(CHECK_GUEST_POLICY);
	/* A filter is no part of a plan: it may be asked for by itself. */
	a.policy = "classes: [sandbox]\naccept: []\nfilter_digest: { equals: \"" HEX22 "\" }\n";
	accepted(TIER_AFFIRMING);
	free(a.token); /* another one is made */
	a.token = NULL;
	a.facts.filter[31] ^= 1;
	refused_by(CHECK_GUEST_POLICY);
	end();
}

/* ---- what is asked for ----------------------------------------------------------------- */

static void reference_values_come_from_the_policy(void **state)
{
	static const char *const wrong[] = { "plan: [\"" HEX22 "\"]\n",
					     "workload: [\"" HEX22 "\"]\n",
					     "cordon: [\"" HEX22 "\"]\n" };
	char text[512];

	(void)state;
	begin();
	for (size_t i = 0; i < 3; i++) {
		snprintf(text, sizeof(text), "classes: [sandbox]\naccept: []\n%s", wrong[i]);
		a.policy = text;
		refused_by(CHECK_MEASUREMENT);
	}
	end();
}

static void report_data_is_what_was_asked_for(void **state)
{
	uint8_t other[SANDBOX_REPORT_DATA];

	(void)state;
	begin();
	memset(other, 0x55, sizeof(other));
	other[63] ^= 1;
	a.wants.report_data = other;
	refused_by(CHECK_FRESHNESS);
	memset(other, 0, sizeof(other));
	refused_by(CHECK_FRESHNESS);
	end();
}

static void the_descriptor_is_the_one_that_was_bound(void **state)
{
	struct descriptor d = sample_descriptor();

	(void)state;
	begin();
	accepted(TIER_AFFIRMING);
	a.policy = "classes: [sandbox]\naccept: []\ntenant: { equals: acme }\n";
	accepted(TIER_AFFIRMING);
	d.session[0] ^= 1;
	a.wants.descriptor_len = sample_descriptor_text(&d, a.descriptor);
	a.policy = NULL;
	refused_by(CHECK_HOST_DATA);
	d = sample_descriptor();
	d.hash = DESCRIPTOR_SHA384;
	a.wants.descriptor_len = sample_descriptor_text(&d, a.descriptor);
	refused_by(CHECK_HOST_DATA);
	a.wants.descriptor_len--;
	refused_by(CHECK_HOST_DATA);
	end();
}

static void descriptor_and_token_are_of_one_plan(void **state)
{
	(void)state;
	begin();
	memset(a.facts.plan, 0x12, sizeof(a.facts.plan));
	refused_by(CHECK_HOST_DATA);
	end();
}

static void hosts_are_allowed_and_denied_at_once(void **state)
{
	static const char *const this[] = { "host-0", SAMPLE_HOST, NULL };
	static const char *const others[] = { "host-0", NULL };

	(void)state;
	begin();
	a.wants.hosts_allowed = this;
	a.wants.hosts_denied = others;
	accepted(TIER_AFFIRMING);
	outcome(CHECK_PLATFORM, OUTCOME_PASS);
	a.wants.hosts_denied = this;
	refused_by(CHECK_PLATFORM);
	a.wants.hosts_denied = NULL;
	a.wants.hosts_allowed = others;
	refused_by(CHECK_PLATFORM);
	a.wants.hosts_allowed = NULL;
	a.policy = "classes: [sandbox]\naccept: []\nplatform: { deny: { hosts: [" SAMPLE_HOST
		   "] } }\n";
	refused_by(CHECK_PLATFORM);
	end();
}

/* ---- verdicts -------------------------------------------------------------------------- */

/* Whatever a kind of evidence forgets to make: without these nothing is accepted. */
static void vital_checks_that_were_not_made_have_failed(void **state)
{
	static const enum evidence_check_id vital[] = { CHECK_FORMAT, CHECK_CHAIN,
							CHECK_SIGNATURE, CHECK_BINDING,
							CHECK_DEBUG };
	static const enum evidence_outcome missing[] = { OUTCOME_NOT_MADE, OUTCOME_SKIPPED };

	(void)state;
	for (size_t i = 0; i < 5; i++)
		for (size_t j = 0; j < 2; j++) {
			struct attest_result *r = attest_result_new(EVIDENCE_SANDBOX);

			assert_non_null(r);
			for (size_t k = 0; k < 5; k++)
				evidence_pass(&r->checks[vital[k]], "good");
			r->checks[vital[i]].outcome = missing[j];
			evidence_conclude(r);
			assert_int_equal(attest_result_verdict(r), VERDICT_REFUSED);
			assert_int_equal(attest_result_tier(r), TIER_CONTRAINDICATED);
			attest_result_free(r);
		}
}

static void an_empty_answer_says_no(void **state)
{
	struct attest_result *r = attest_result_new(EVIDENCE_SANDBOX);

	(void)state;
	assert_int_equal(attest_result_verdict(r), VERDICT_REFUSED);
	attest_result_free(r);
}

/* ---- release --------------------------------------------------------------------------- */

#define REFERENCES "plan: [\"" HEX11 "\"]\nworkload: [\"" HEX33 "\"]\n"

static enum attest_status release(const char *text)
{
	struct policy_attestation *p = policy(text);
	struct release_input *in = NULL;
	struct attest_error e = { .what = "" };
	enum attest_status s = evidence_release(result, p, &in, &e);

	assert_true((s == ATTEST_OK) == (in != NULL));
	assert_true((s == ATTEST_OK) == (e.what[0] == '\0'));
	release_input_free(in);
	policy_attestation_free(p);
	return s;
}

static void a_release_needs_freshness_and_measurement(void **state)
{
	(void)state;
	begin();
	accepted(TIER_AFFIRMING);
	assert_int_equal(release("classes: [sandbox]\naccept: []\n" REFERENCES), ATTEST_OK);
	assert_int_equal(release("classes: [sandbox]\naccept: []\n"), ATTEST_REFUSED);
	assert_int_equal(release("classes: [sandbox]\naccept: []\nplan: [\"" HEX11 "\"]\n"),
			 ATTEST_REFUSED);
	assert_int_equal(release("classes: [sandbox]\naccept: [skipped-measurement]\n"),
			 ATTEST_OK);
	assert_int_equal(release("classes: [sandbox]\naccept: []\nplan: [\"" HEX22 "\"]\n"
				 "workload: [\"" HEX33 "\"]\n"),
			 ATTEST_REFUSED);
	assert_int_equal(release("classes: [simulated]\naccept: [skipped-measurement]\n"),
			 ATTEST_REFUSED);
	a.wants.report_data = NULL;
	a.policy = "classes: [sandbox]\naccept: []\nreport_data: { equals: \"" HEX55 "\" }\n";
	accepted(TIER_AFFIRMING);
	assert_int_equal(release("classes: [sandbox]\naccept: []\n" REFERENCES),
			 ATTEST_REFUSED);
	end();
}

static void a_release_needs_a_name_for_each_warning(void **state)
{
	(void)state;
	begin();
	X509_CRL_free(a.crls[0]);
	a.crls[0] = NULL;
	a.facts.coverage = SANDBOX_BINARY;
	accepted(TIER_WARNING);
	assert_int_equal(release("classes: [sandbox]\naccept: []\n" REFERENCES),
			 ATTEST_REFUSED);
	assert_int_equal(release("classes: [sandbox]\naccept: [coverage-binary]\n" REFERENCES),
			 ATTEST_REFUSED);
	assert_int_equal(
		release("classes: [sandbox]\naccept: [skipped-revocation]\n" REFERENCES),
		ATTEST_REFUSED);
	assert_int_equal(release("classes: [sandbox]\naccept: [skipped-revocation, "
				 "coverage-binary]\n" REFERENCES),
			 ATTEST_OK);
	end();
}

static void exceptions_may_be_judged_by_the_release_alone(void **state)
{
	(void)state;
	begin();
	a.facts.launcher_uid = 1000;
	a.wants.exceptions_later = true;
	accepted(TIER_WARNING);
	assert_int_equal(release("classes: [sandbox]\naccept: []\n" REFERENCES),
			 ATTEST_REFUSED);
	assert_int_equal(release("classes: [sandbox]\naccept: [launcher-uid-any]\n" REFERENCES),
			 ATTEST_OK);
	end();
}

static void what_was_refused_is_never_released(void **state)
{
	(void)state;
	begin();
	a.facts.launcher_uid = 1000;
	refused_by(CHECK_GUEST_POLICY);
	assert_int_equal(release("classes: [sandbox]\naccept: [launcher-uid-any]\n" REFERENCES),
			 ATTEST_REFUSED);
	end();
}

/* ---- endorsements ---------------------------------------------------------------------- */

static void only_certificates_and_crls_are_endorsements(void **state)
{
	static const char *const texts[] = {
		"",
		"hello",
		"0",
		"-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n",
		"-----BEGIN PRIVATE KEY-----\nMA==\n-----END PRIVATE KEY-----\n",
	};
	struct endorsements *en = NULL;

	(void)state;
	assert_int_equal(endorsements_new(&en, NULL), ATTEST_OK);
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_int_equal(endorsements_add(en, ENDORSEMENT_OTHER, "sample", texts[i],
						  strlen(texts[i]), NULL),
				 ATTEST_MALFORMED);
	endorsements_free(en);
}

static void pem_holds_several_and_is_read_whole(void **state)
{
	struct endorsements *en = NULL;
	BIO *pem = BIO_new(BIO_s_mem());
	char *text;
	long n;

	(void)state;
	begin();
	BIO_puts(pem, "what this is\n");
	assert_int_equal(PEM_write_bio_X509(pem, a.chain[0]), 1);
	assert_int_equal(PEM_write_bio_X509_CRL(pem, a.crls[0]), 1);
	n = BIO_get_mem_data(pem, &text);
	assert_int_equal(endorsements_new(&en, NULL), ATTEST_OK);
	assert_int_equal(
		endorsements_add(en, ENDORSEMENT_OTHER, "sample", text, (size_t)n, NULL),
		ATTEST_OK);
	assert_int_equal(
		endorsements_add(en, ENDORSEMENT_OTHER, "sample", text, (size_t)n - 30, NULL),
		ATTEST_MALFORMED);
	assert_int_equal(
		endorsements_add(en, ENDORSEMENT_ANCHOR, "sample", text, (size_t)n, NULL),
		ATTEST_OK);
	endorsements_free(en);
	BIO_free(pem);
	end();
}

static void times_are_read_as_rfc_3339_has_them(void **state)
{
	static const char *const wrong[] = {
		"",
		"2026-01-01",
		"2026-01-01T12:00:00",
		"2026-02-30T12:00:00Z",
		"2026-01-01T24:00:00Z",
		"2026-01-01T12:00:00ZZ",
		"2026-01-01T12:00:00.Z",
		"2026-1-01T12:00:00Z",
		"2026-01-01T12:00:00+24:00",
		"@1767268800",
	};
	int64_t t = 77;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_false(evidence_time_parse(wrong[i], &t));
	assert_int_equal(t, 77);
	assert_true(evidence_time_parse("2026-01-01T12:00:00Z", &t));
	assert_int_equal(t, SAMPLE_AT);
	assert_true(evidence_time_parse("2026-01-01T13:30:00.25+01:30", &t));
	assert_int_equal(t, SAMPLE_AT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_evidence_is_affirming),
		cmocka_unit_test(a_policy_is_not_needed_offline),
		cmocka_unit_test(without_a_crl_revocation_is_skipped_and_warned_of),
		cmocka_unit_test(coverage_of_a_binary_is_warned_of),
		cmocka_unit_test(what_is_no_token_is_malformed),
		cmocka_unit_test(a_signed_payload_of_another_schema_is_malformed),
		cmocka_unit_test(hardware_cannot_be_judged_by_this_build),
		cmocka_unit_test(every_changed_byte_is_refused_or_malformed),
		cmocka_unit_test(without_an_anchor_nothing_is_accepted),
		cmocka_unit_test(another_anchor_of_the_same_name_refuses),
		cmocka_unit_test(a_forged_certificate_refuses),
		cmocka_unit_test(endorsements_are_no_anchors),
		cmocka_unit_test(certificates_are_valid_at_the_time_asked_for),
		cmocka_unit_test(an_issuer_must_be_a_ca_that_may_sign),
		cmocka_unit_test(a_signer_must_be_one_and_no_ca),
		cmocka_unit_test(an_unknown_critical_extension_refuses),
		cmocka_unit_test(a_weak_digest_refuses),
		cmocka_unit_test(issuers_between_come_along_or_beside),
		cmocka_unit_test(a_path_length_is_kept),
		cmocka_unit_test(keys_of_other_curves_refuse),
		cmocka_unit_test(what_comes_along_is_the_chain_and_no_more),
		cmocka_unit_test(a_revoked_certificate_refuses),
		cmocka_unit_test(a_revoked_issuer_refuses),
		cmocka_unit_test(a_crl_that_is_not_current_or_not_the_issuers_refuses),
		cmocka_unit_test(another_keys_signature_refuses),
		cmocka_unit_test(claims_of_what_is_not_verified_are_not_shown),
		cmocka_unit_test(a_certificate_for_something_else_refuses),
		cmocka_unit_test(another_hosts_certificate_refuses),
		cmocka_unit_test(what_was_signed_outside_the_certificates_time_refuses),
		cmocka_unit_test(a_development_anchor_needs_the_policys_word),
		cmocka_unit_test(a_build_with_fault_points_needs_it_too),
		cmocka_unit_test(a_launcher_that_is_not_root_needs_the_policys_word),
		cmocka_unit_test(an_exception_is_good_for_itself_alone),
		cmocka_unit_test(a_class_that_the_policy_does_not_name_refuses),
		cmocka_unit_test(other_clauses_hold_as_well),
		cmocka_unit_test(reference_values_come_from_the_policy),
		cmocka_unit_test(report_data_is_what_was_asked_for),
		cmocka_unit_test(the_descriptor_is_the_one_that_was_bound),
		cmocka_unit_test(descriptor_and_token_are_of_one_plan),
		cmocka_unit_test(hosts_are_allowed_and_denied_at_once),
		cmocka_unit_test(vital_checks_that_were_not_made_have_failed),
		cmocka_unit_test(an_empty_answer_says_no),
		cmocka_unit_test(a_release_needs_freshness_and_measurement),
		cmocka_unit_test(a_release_needs_a_name_for_each_warning),
		cmocka_unit_test(exceptions_may_be_judged_by_the_release_alone),
		cmocka_unit_test(what_was_refused_is_never_released),
		cmocka_unit_test(only_certificates_and_crls_are_endorsements),
		cmocka_unit_test(pem_holds_several_and_is_read_whole),
		cmocka_unit_test(times_are_read_as_rfc_3339_has_them),
	};

	return cmocka_run_group_tests_name("evidence", tests, NULL, NULL);
}
