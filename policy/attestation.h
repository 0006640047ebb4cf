/*
 * policy/attestation.h - what a policy demands of a session's evidence before it gets its
 * keys: the `attestation:` block, typed.
 *
 * The block is a total expression over named claims: it has no variables, no recursion
 * and no errors while it is evaluated. Whoever verified the evidence hands in what it
 * says as an array of claims; the answer is a verdict and a line for every clause. The
 * baseline that holds for all evidence is not here: a policy adds clauses to it, and names
 * exceptions from it.
 *
 * Fail closed: a claim that is missing, there twice, of another type or length than the
 * vocabulary says, or of another class than the evidence, is unknown. Unknown is neither
 * true nor false (Kleene's logic), also under `not`, and only true allows.
 *
 * Parsing needs libyaml, the rest libc alone. Nothing here prints unless told to, reads
 * files or looks at a clock. A parsed block is immutable; any thread may use it.
 */
#pragma once

#include "policy/policy.h"

/* Bits: the classes of evidence. Evidence has exactly one. */
enum attestation_class {
	ATTESTATION_SANDBOX = 1 << 0,
	ATTESTATION_SEV_SNP = 1 << 1,
	ATTESTATION_TDX = 1 << 2,
	ATTESTATION_SIMULATED = 1 << 3, /* tests; accepted only where it is written */
};

/* "sandbox", "sev-snp", "tdx", "simulated"; NULL for anything but one class. */
const char *attestation_class_name(uint32_t class);

/* ---- claims ---------------------------------------------------------------------- */

enum claim_type {
	CLAIM_BYTES = 1, /* of a fixed length */
	CLAIM_NUMBER,
	CLAIM_TRUTH,
	CLAIM_TEXT,
	CLAIM_TEXTS, /* a set, such as advisories; may be empty */
	CLAIM_TIME,
	CLAIM_TCB,
};

#define CLAIM_BYTES_MAX 64u
#define CLAIM_TCB_PARTS 16u

/* Which parts of a SEV-SNP TCB_VERSION there are depends on the product line; a TDX
 * TEE_TCB_SVN has all 16, by index. */
enum claim_snp_part {
	CLAIM_SNP_FMC, /* Turin alone */
	CLAIM_SNP_BOOTLOADER,
	CLAIM_SNP_TEE,
	CLAIM_SNP_SNP,
	CLAIM_SNP_MICROCODE,
};

struct claim_tcb {
	uint32_t have; /* bit n: svn[n] is there */
	uint8_t svn[CLAIM_TCB_PARTS];
};

union claim_value {
	struct {
		const uint8_t *at;
		size_t len;
	} bytes;
	uint64_t number;
	bool truth;
	const char *text;
	struct {
		const char *const *at;
		size_t n;
	} texts;
	int64_t time; /* seconds since 1970-01-01T00:00:00Z */
	struct claim_tcb tcb;
};

/* One thing that verified evidence says. All pointers are borrowed. */
struct claim {
	const char *name; /* from the vocabulary */
	enum claim_type type;
	union claim_value value;
};

/* The vocabulary: the vendors' names for their fields, in snake case. `tee` (the class)
 * and `now` (the time of the appraisal) are claims like others to whoever writes a policy;
 * `tee` is filled in here and need not be handed in. */
struct claim_info {
	const char *name;
	enum claim_type type;
	uint32_t classes;         /* whose evidence has it */
	size_t size;              /* BYTES: how many */
	const char *const *words; /* TEXT: the only ones, NULL-terminated; NULL = any */
	const char *const *parts; /* TCB: names, NULL-terminated */
	bool by_line;             /* TCB: floors may be written per product line */
};

/* Ends with a NULL name. */
const struct claim_info *claim_vocabulary(void);
const struct claim_info *claim_info_find(const char *name);

/* ---- the block ------------------------------------------------------------------- */

/* Bits: what the baseline refuses and a policy accepted by name. */
enum attestation_exception {
	ATTESTATION_DEVELOPMENT_ANCHOR = 1 << 0,  /* sandbox: a host key certified for tests */
	ATTESTATION_COVERAGE_BINARY = 1 << 1,     /* sandbox: only the program was hashed */
	ATTESTATION_LAUNCHER_UID = 1 << 2,        /* sandbox: started by another user than 0;
						     a launcher-uid clause may say which */
	ATTESTATION_SKIPPED_REVOCATION = 1 << 3,  /* sandbox, SEV-SNP: without a CRL */
	ATTESTATION_DEBUG = 1 << 4,               /* the host may read the guest's memory */
	ATTESTATION_MIGRATION_AGENT = 1 << 5,     /* SEV-SNP MIGRATE_MA; TDX service TD */
	ATTESTATION_VMPL = 1 << 6,                /* SEV-SNP: a report of VMPL 1 to 3 */
	ATTESTATION_SKIPPED_MEASUREMENT = 1 << 7, /* no reference values: any workload */
};

#define ATTESTATION_TEXT_MAX (256u << 10) /* bytes of a block */
#define ATTESTATION_DEPTH_MAX 12u         /* all, any and not within each other */
#define ATTESTATION_CLAUSES_MAX 256u      /* of a block, the inner ones counted */
#define ATTESTATION_VALUES_MAX 256u       /* of one clause */

struct policy_attestation; /* a parsed block; opaque, immutable */

/* Reads the block as a plan carries it (struct policy_plan, attestation). `name` is used
 * in findings; their lines count from the block's first. Nothing is returned on failure. */
__attribute__((warn_unused_result)) enum policy_status
policy_attestation_parse(const char *name, const char *text, size_t len,
			 struct policy_attestation **ret, struct policy_error *reterr);
void policy_attestation_free(struct policy_attestation *a);
void policy_attestation_freep(struct policy_attestation **a);

/* enum attestation_class bits: what is accepted at all. */
uint32_t policy_attestation_classes(const struct policy_attestation *a);
/* enum attestation_exception bits. */
uint32_t policy_attestation_exceptions(const struct policy_attestation *a);
/* The word in `accept:` (or the key) that names one exception. */
const char *attestation_exception_name(uint32_t exception);
/* Is a TDX platform of this status (Intel's word) within the baseline, UpToDate, or
 * accepted by tcb.tdx.accept? */
bool policy_attestation_accepts_tcb_status(const struct policy_attestation *a,
					   const char *status);
/* A key service must not store a block for which this is not OK: some class that it accepts
 * could be any workload at all. REFUSED, and reterr says which class lacks which claim. */
__attribute__((warn_unused_result)) enum policy_status
policy_attestation_check_references(const struct policy_attestation *a,
				    struct policy_error *reterr);

/* ---- evaluation ------------------------------------------------------------------ */

enum attestation_outcome {
	ATTESTATION_UNKNOWN = 0, /* refuses as false does */
	ATTESTATION_FALSE,
	ATTESTATION_TRUE,
};

const char *attestation_outcome_str(enum attestation_outcome o);

/* One clause: clean text, one line each, safe for a terminal. */
struct attestation_line {
	enum attestation_outcome outcome;
	uint32_t depth;   /* 0 for the block's own clauses; those within one follow it */
	char clause[192]; /* "measurement is one of 1f00.., 2e41..": the claim's name first */
	char seen[160];   /* the claim's value; "missing"; "" for all, any and not */
};

struct attestation_verdict {
	bool allowed;
	uint32_t n_lines; /* written */
	uint32_t n_lost;  /* more that had no room; `allowed` counts them all the same */
};

/* Does what verified evidence of one class says meet the block? Clauses of other classes
 * are left out. `lines` may be NULL when max_lines is 0; ATTESTATION_CLAUSES_MAX of them are
 * always enough. Never fails and allocates nothing; the same input has the same answer. */
struct attestation_verdict
policy_attestation_evaluate(const struct policy_attestation *a, uint32_t class,
			    const struct claim *claims, size_t n_claims,
			    struct attestation_line *lines, size_t max_lines);

/* What the block demands, in sentences. */
void policy_attestation_explain(FILE *to, const struct policy_attestation *a);
