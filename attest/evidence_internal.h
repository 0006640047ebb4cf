/*
 * attest/evidence_internal.h - the insides of the four steps' types, and what a kind of
 * evidence must bring along. Private to the evidence files.
 */
#pragma once

#include "attest/evidence.h"
#include "policy/attestation.h"

#define CLAIMS_MAX 64u
#define CLAIM_TEXT_SIZE 256u /* of one text, with its zero */

/* Claims with memory of their own: of[i] borrows from value[i], so a set is copied by
 * claims_copy alone. */
struct claims {
	struct claim of[CLAIMS_MAX];
	union {
		uint8_t bytes[CLAIM_BYTES_MAX];
		char text[CLAIM_TEXT_SIZE];
	} value[CLAIMS_MAX];
	size_t n;
};

/* A claim too many, or one that does not fit, is an error of ours. Names are not copied. */
void claims_bytes(struct claims *c, const char *name, const uint8_t *bytes, size_t n);
void claims_number(struct claims *c, const char *name, uint64_t number);
void claims_truth(struct claims *c, const char *name, bool truth);
void claims_time(struct claims *c, const char *name, int64_t time);
void claims_text(struct claims *c, const char *name, const char *text);
const struct claim *claims_find(const struct claims *c, const char *name);
void claims_copy(struct claims *to, const struct claims *from);

/* ---- kinds ------------------------------------------------------------------------- */

struct evidence_kind {
	const char *name;
	uint32_t class; /* enum attestation_class */
	/* Bytes to a value of the kind's own type; REFUSED is none of its answers. NULL: this
	 * build has no code for the kind. */
	enum attest_status (*parse)(const char *bytes, size_t len, void **ret,
				    struct attest_error *reterr);
	/* The checks from `chain` to `binding`, and what the evidence says, for which the
	 * signature stands. The claims are used only where no check failed. MALFORMED: what
	 * was signed is not of the format. */
	enum attest_status (*verify)(const void *parsed, const struct endorsements *en,
				     int64_t at, struct evidence_check checks[static CHECKS],
				     struct claims *ret, struct attest_error *reterr);
	/* `debug` and `guest-policy` of the baseline, from the claims alone. */
	void (*baseline)(const struct claims *claims,
			 struct evidence_check checks[static CHECKS]);
	void (*free)(void *parsed);
	bool (*guess)(const char *bytes, size_t len);
	const char *host_data; /* the claim that binds the descriptor */
	const char *platform;  /* the claim that names the machine; a text */
};

const struct evidence_kind *evidence_kind(enum evidence_tee tee); /* NULL: no such */
extern const struct evidence_kind evidence_sandbox;

/* ---- the types --------------------------------------------------------------------- */

struct evidence {
	enum evidence_tee tee;
	void *parsed;
};

struct verified {
	enum evidence_tee tee;
	struct evidence_check checks[CHECKS];
	struct claims claims;
};

struct attest_result {
	enum evidence_tee tee;
	enum evidence_verdict verdict;
	enum evidence_tier tier;
	struct evidence_check checks[CHECKS];
	struct claims claims;           /* none where the evidence was not verified */
	struct attestation_line *lines; /* of the policy */
	size_t n_lines;
};

struct release_input {
	struct claims claims;
	enum evidence_tee tee;
};

/* ---- checks ------------------------------------------------------------------------ */

__attribute__((format(printf, 2, 3))) void evidence_pass(struct evidence_check *c,
							 const char *detail, ...);
__attribute__((format(printf, 2, 3))) void evidence_fail(struct evidence_check *c,
							 const char *detail, ...);
__attribute__((format(printf, 2, 3))) void evidence_skip(struct evidence_check *c,
							 const char *detail, ...);
/* Stays what it is, but is good only where these exceptions (enum attestation_exception)
 * are named; the detail so far should say why. */
void evidence_need(struct evidence_check *c, uint32_t exceptions);

bool evidence_check_is_vital(enum evidence_check_id id); /* never skippable */
/* A vital check that was not made is a failed one; then the verdict and the tier. */
void evidence_conclude(struct attest_result *r);
/* A new answer, nothing in it; NULL: no memory. */
struct attest_result *attest_result_new(enum evidence_tee tee);
/* Holds the policy (not NULL) to what the evidence says: fills `guest-policy`,
 * `measurement` and `platform` where it has clauses about them, and the lines. */
__attribute__((warn_unused_result)) enum attest_status
evidence_hold_policy(struct attest_result *r, const struct policy_attestation *policy,
		     struct attest_error *reterr);

/* RFC 3339, UTC: 2026-11-23T12:00:00Z. */
#define EVIDENCE_TIME 32u
void evidence_time(int64_t at, char ret[static EVIDENCE_TIME]);
