/*
 * policy/attestation_claims.c - the words of an attestation block: classes of evidence,
 * their claims, exceptions from the baseline. Needs libc alone.
 */
#include "policy/attestation_internal.h"

#include <string.h>

#define SANDBOX ATTESTATION_SANDBOX
#define SNP ATTESTATION_SEV_SNP
#define TDX ATTESTATION_TDX
#define SIMULATED ATTESTATION_SIMULATED
#define ALL ATTESTATION_ALL_CLASSES

const struct word words_evidence[] = {
	{ SANDBOX, "sandbox" },     { SNP, "sev-snp" }, { TDX, "tdx" },
	{ SIMULATED, "simulated" }, { 0, NULL },
};

static const char *const tees[] = { "sandbox", "sev-snp", "tdx", "simulated", NULL };
const char *const words_coverage[] = { "binary", "rootfs", "image", NULL };
static const char *const custodies[] = { "file", "hsm", "tpm", NULL };
/* Bergamo and Siena have Genoa's keys, and its name. */
const char *const words_product_line[] = { "milan", "genoa", "turin", NULL };
static const char *const signing_keys[] = { "vcek", "vlek", NULL };
static const char *const pck_issuers[] = { "platform", "processor", NULL };

/* Intel PCS v4, TCB info, tcbStatus; the last two are of the quote verification library. */
static const char *const tcb_statuses[] = {
	"UpToDate",
	"SWHardeningNeeded",
	"ConfigurationNeeded",
	"ConfigurationAndSWHardeningNeeded",
	"OutOfDate",
	"OutOfDateConfigurationNeeded",
	"Revoked",
	"TDRelaunchAdvised",
	"TDRelaunchAdvisedConfigurationNeeded",
	NULL,
};

static const char *const snp_parts[] = {
	[CLAIM_SNP_FMC] = "fmc", [CLAIM_SNP_BOOTLOADER] = "bootloader", [CLAIM_SNP_TEE] = "tee",
	[CLAIM_SNP_SNP] = "snp", [CLAIM_SNP_MICROCODE] = "microcode",   NULL,
};
static const char *const tdx_parts[] = {
	"svn0", "svn1",  "svn2",  "svn3",  "svn4",  "svn5",  "svn6",  "svn7", "svn8",
	"svn9", "svn10", "svn11", "svn12", "svn13", "svn14", "svn15", NULL,
};

/* clang-format off */
#define BYTES(n) CLAIM_BYTES, .size = (n)
#define WORD(list) CLAIM_TEXT, .words = (list)
#define SNP_TCB CLAIM_TCB, .parts = snp_parts, .by_line = true
#define TDX_TCB CLAIM_TCB, .parts = tdx_parts

static const struct claim_info vocabulary[] = {
	/* of all evidence; the session's descriptor is bound to each kind of it */
	{ "tee",               WORD(tees),   .classes = ALL },
	{ "now",               CLAIM_TIME,   .classes = ALL },
	{ "report_data",       BYTES(64),    .classes = ALL },
	{ "tenant",            CLAIM_TEXT,   .classes = ALL },
	{ "session_id",        BYTES(16),    .classes = ALL },
	{ "plan_digest",       BYTES(32),    .classes = ALL },

	/* the sandbox token */
	{ "descriptor_digest", BYTES(32),    .classes = SANDBOX | SIMULATED },
	{ "workload_digest",   BYTES(32),    .classes = SANDBOX },
	{ "workload_coverage", WORD(words_coverage), .classes = SANDBOX },
	{ "cordon_digest",     BYTES(32),    .classes = SANDBOX },
	{ "filter_digest",     BYTES(32),    .classes = SANDBOX },
	{ "launcher_uid",      CLAIM_NUMBER, .classes = SANDBOX },
	{ "key_custody",       WORD(custodies), .classes = SANDBOX },
	{ "host_id",           CLAIM_TEXT,   .classes = SANDBOX },
	{ "host_kernel",       CLAIM_TEXT,   .classes = SANDBOX },
	{ "host_boot_id",      CLAIM_TEXT,   .classes = SANDBOX },
	{ "init_on_free",      CLAIM_TRUTH,  .classes = SANDBOX },
	{ "fault_points",      CLAIM_TRUTH,  .classes = SANDBOX },
	{ "development_anchor", CLAIM_TRUTH, .classes = SANDBOX },
	{ "issued_at",         CLAIM_TIME,   .classes = SANDBOX },

	/* AMD SEV-SNP ATTESTATION_REPORT, in its order */
	{ "guest_svn",         CLAIM_NUMBER, .classes = SNP },
	{ "policy_abi_minor",  CLAIM_NUMBER, .classes = SNP },
	{ "policy_abi_major",  CLAIM_NUMBER, .classes = SNP },
	{ "policy_smt_allowed", CLAIM_TRUTH, .classes = SNP },
	{ "policy_migrate_ma", CLAIM_TRUTH,  .classes = SNP },
	{ "policy_debug_allowed", CLAIM_TRUTH, .classes = SNP },
	{ "policy_single_socket", CLAIM_TRUTH, .classes = SNP },
	{ "policy_cxl_allowed", CLAIM_TRUTH, .classes = SNP },
	{ "policy_mem_aes_256_xts", CLAIM_TRUTH, .classes = SNP },
	{ "policy_rapl_dis",   CLAIM_TRUTH,  .classes = SNP },
	{ "policy_ciphertext_hiding", CLAIM_TRUTH, .classes = SNP },
	{ "policy_page_swap_disable", CLAIM_TRUTH, .classes = SNP },
	{ "family_id",         BYTES(16),    .classes = SNP },
	{ "image_id",          BYTES(16),    .classes = SNP },
	{ "vmpl",              CLAIM_NUMBER, .classes = SNP },
	{ "current_tcb",       SNP_TCB,      .classes = SNP },
	{ "platform_smt_enabled", CLAIM_TRUTH, .classes = SNP },
	{ "platform_tsme_enabled", CLAIM_TRUTH, .classes = SNP },
	{ "platform_ecc_enabled", CLAIM_TRUTH, .classes = SNP },
	{ "platform_rapl_disabled", CLAIM_TRUTH, .classes = SNP },
	{ "platform_ciphertext_hiding_enabled", CLAIM_TRUTH, .classes = SNP },
	{ "platform_alias_check_complete", CLAIM_TRUTH, .classes = SNP },
	{ "platform_tio_enabled", CLAIM_TRUTH, .classes = SNP },
	{ "signing_key",       WORD(signing_keys), .classes = SNP },
	{ "measurement",       BYTES(48),    .classes = SNP | SIMULATED },
	{ "host_data",         BYTES(32),    .classes = SNP | SIMULATED },
	{ "id_key_digest",     BYTES(48),    .classes = SNP },
	{ "author_key_digest", BYTES(48),    .classes = SNP },
	{ "report_id",         BYTES(32),    .classes = SNP },
	{ "report_id_ma",      BYTES(32),    .classes = SNP },
	{ "reported_tcb",      SNP_TCB,      .classes = SNP },
	{ "chip_id",           BYTES(64),    .classes = SNP },
	{ "committed_tcb",     SNP_TCB,      .classes = SNP },
	{ "current_build",     CLAIM_NUMBER, .classes = SNP },
	{ "committed_build",   CLAIM_NUMBER, .classes = SNP },
	{ "launch_tcb",        SNP_TCB,      .classes = SNP },
	/* and of the certificates behind it */
	{ "product_line",      WORD(words_product_line), .classes = SNP },
	{ "csp_id",            CLAIM_TEXT,   .classes = SNP },

	/* Intel TDX TD report, in its order */
	{ "tee_tcb_svn",       TDX_TCB,      .classes = TDX },
	{ "mrseam",            BYTES(48),    .classes = TDX },
	{ "mrsignerseam",      BYTES(48),    .classes = TDX },
	{ "seamattributes",    BYTES(8),     .classes = TDX },
	{ "tdattributes",      BYTES(8),     .classes = TDX },
	{ "xfam",              BYTES(8),     .classes = TDX },
	{ "mrtd",              BYTES(48),    .classes = TDX },
	{ "mrconfigid",        BYTES(48),    .classes = TDX },
	{ "mrowner",           BYTES(48),    .classes = TDX },
	{ "mrownerconfig",     BYTES(48),    .classes = TDX },
	{ "rtmr0",             BYTES(48),    .classes = TDX },
	{ "rtmr1",             BYTES(48),    .classes = TDX },
	{ "rtmr2",             BYTES(48),    .classes = TDX },
	{ "rtmr3",             BYTES(48),    .classes = TDX },
	{ "tee_tcb_svn2",      TDX_TCB,      .classes = TDX },
	{ "mrservicetd",       BYTES(48),    .classes = TDX },
	/* of the PCK certificate, and what the collateral says of the platform */
	{ "fmspc",             BYTES(6),     .classes = TDX },
	{ "pceid",             BYTES(2),     .classes = TDX },
	{ "pck_ca",            WORD(pck_issuers), .classes = TDX },
	{ "tcb_status",        WORD(tcb_statuses), .classes = TDX },
	{ "tcb_date",          CLAIM_TIME,   .classes = TDX },
	{ "tcb_evaluation_data_number", CLAIM_NUMBER, .classes = TDX },
	{ "advisory_ids",      CLAIM_TEXTS,  .classes = TDX },
	{ .name = NULL }
};

const struct reference reference_claims[] = {
	{ SANDBOX,   "plan_digest",     "what is run, and how it is isolated" },
	{ SANDBOX,   "workload_digest", "the program's content" },
	{ SNP,       "measurement",     "what is booted" },
	{ TDX,       "mrtd",            "the firmware" },
	{ TDX,       "rtmr1",           "the kernel, which mrtd does not cover" },
	{ TDX,       "rtmr2",           "the kernel's command line and initrd, which mrtd does not cover" },
	{ SIMULATED, "measurement",     "what is pretended" },
	{ .claim = NULL }
};

const struct exception_word exception_words[] = {
	{ ATTESTATION_DEVELOPMENT_ANCHOR, SANDBOX, "development-anchor",
	  "the host's attestation key is certified by a development anchor, which proves nothing" },
	{ ATTESTATION_COVERAGE_BINARY, SANDBOX, "coverage-binary",
	  "only the program's own file was hashed, no script or library that it loads" },
	{ ATTESTATION_LAUNCHER_UID, SANDBOX, "launcher-uid-any",
	  "the session was started by another user than root" },
	{ ATTESTATION_SKIPPED_REVOCATION, SANDBOX | SNP, "skipped-revocation",
	  "no list of revoked certificates was looked at" },
	{ ATTESTATION_DEBUG, SNP | TDX | SIMULATED, "debug",
	  "the host can read and change the guest's memory" },
	{ ATTESTATION_MIGRATION_AGENT, SNP | TDX, "migration-agent",
	  "a migration agent can move the guest's memory elsewhere" },
	{ ATTESTATION_VMPL, SNP, "vmpl-any",
	  "the report was asked for at a lower privilege level of the guest" },
	{ ATTESTATION_SKIPPED_MEASUREMENT, ALL, "skipped-measurement",
	  "there may be no reference values: any workload can get the keys" },
	{ .name = NULL }
};
/* clang-format on */

const char *attestation_class_name(uint32_t class)
{
	const struct word *w = word_by_value(words_evidence, class);

	return w ? w->name : NULL;
}

const char *attestation_exception_name(uint32_t exception)
{
	const struct exception_word *x = exception_words;

	while (x->name && x->bit != exception)
		x++;
	return x->name;
}

const char *attestation_outcome_str(enum attestation_outcome o)
{
	return o == ATTESTATION_TRUE ? "true" : o == ATTESTATION_FALSE ? "false" : "unknown";
}

const struct claim_info *claim_vocabulary(void)
{
	return vocabulary;
}

const struct claim_info *claim_info_find(const char *name)
{
	for (const struct claim_info *i = vocabulary; i->name; i++)
		if (strcmp(i->name, name) == 0)
			return i;
	return NULL;
}

bool words_have(const char *const *words, const char *text)
{
	for (; *words; words++)
		if (strcmp(*words, text) == 0)
			return true;
	return false;
}
