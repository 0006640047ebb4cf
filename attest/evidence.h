/*
 * attest/evidence.h - from bytes that somebody sent to an answer about them, in four steps
 * on four types (RATS, RFC 9334):
 *
 *   evidence_parse      bytes            -> struct evidence        it is of this format
 *   evidence_verify     struct evidence  -> struct verified        its signer is who it says
 *   evidence_appraise   struct verified  -> struct attest_result   it is good enough
 *   evidence_release    struct attest_result -> struct release_input   for a key
 *
 * Each type is opaque and made by its step alone, so that what was not verified cannot be
 * appraised, and what was not appraised cannot reach the code that releases a key. A step
 * that says no has made no value of the next type; what it found is a struct attest_result
 * as well, with the verdict `refused` or `malformed`: one type for every answer.
 *
 * No clock, no network, no files: the time is an argument (seconds since 1970, UTC), and
 * endorsements are given. All state is in the arguments; any thread may call. A kind of
 * evidence is a row of one table (evidence_internal.h).
 */
#pragma once

#include "attest/attest.h"

/* ---- kinds of evidence ------------------------------------------------------------- */

enum evidence_tee {
	EVIDENCE_NONE = 0,
	EVIDENCE_SEV_SNP,
	EVIDENCE_TDX,
	EVIDENCE_SANDBOX,
	EVIDENCE_SIMULATED,
	EVIDENCE_TEES,
};

const char *evidence_tee_str(enum evidence_tee t);        /* "sev-snp" ... */
enum evidence_tee evidence_tee_by_name(const char *name); /* EVIDENCE_NONE: no such name */
/* Which kind these bytes look like; EVIDENCE_NONE where no kind knows them. A guess: parsing
 * alone says that they are. */
enum evidence_tee evidence_tee_guess(const void *bytes, size_t len);

/* ---- checks ------------------------------------------------------------------------ */

/* In the order in which they are made and shown. */
enum evidence_check_id {
	CHECK_FORMAT = 0,
	CHECK_CHAIN,
	CHECK_REVOCATION,
	CHECK_SIGNATURE,
	CHECK_BINDING,
	CHECK_IDENTITY,
	CHECK_TCB,
	CHECK_DEBUG,
	CHECK_GUEST_POLICY,
	CHECK_MEASUREMENT,
	CHECK_FRESHNESS,
	CHECK_HOST_DATA,
	CHECK_PLATFORM,
	CHECKS,
};

enum evidence_outcome {
	OUTCOME_NOT_MADE = 0, /* does not apply, was not asked for, or an earlier one failed */
	OUTCOME_FAIL,
	OUTCOME_SKIPPED, /* applies, and could not be made: `detail` says why */
	OUTCOME_PASS,
};

struct evidence_check {
	enum evidence_outcome outcome;
	bool excepted;  /* passed only because the policy accepts by name what the baseline
			   refuses */
	uint32_t needs; /* enum attestation_exception: what a key's policy must accept by name
			   for this check to be as good as passed */
	char detail[256];
};

const char *evidence_check_str(enum evidence_check_id id); /* "format" ... */
const char *evidence_outcome_str(enum evidence_outcome o); /* pass, fail, skipped */

/* ---- endorsements ------------------------------------------------------------------ */

/* Whom the relying party trusts (anchors), and what vendors and issuers have signed:
 * certificates and CRLs. Only anchors are believed; all else must lead to one. */
struct endorsements;

#define ENDORSEMENT_MAX (1u << 20) /* bytes given at once */

enum endorsement_role { ENDORSEMENT_ANCHOR = 1, ENDORSEMENT_OTHER };

__attribute__((warn_unused_result)) enum attest_status
endorsements_new(struct endorsements **ret, struct attest_error *reterr);
/* Certificates and CRLs as PEM (any number) or DER (one), told apart by content. `name` is
 * used in findings. ATTEST_MALFORMED: something among it is neither; an anchor without a
 * certificate. */
__attribute__((warn_unused_result)) enum attest_status
endorsements_add(struct endorsements *en, enum endorsement_role role, const char *name,
		 const void *bytes, size_t len, struct attest_error *reterr);
void endorsements_free(struct endorsements *en); /* NULL is allowed */

/* ---- the four steps ---------------------------------------------------------------- */

struct evidence;
struct verified;
struct attest_result;
struct release_input;

/* Every step: ATTEST_OK with *ret; ATTEST_REFUSED or ATTEST_MALFORMED with *ret_answer
 * (where it is not NULL), which says why, and no *ret; ATTEST_SYSTEM: it could not be told,
 * reterr says why, nothing is made. What is made is the caller's to free. */

/* ATTEST_SYSTEM as well for a kind that this build cannot judge; EVIDENCE_NONE, what
 * evidence_tee_guess could not tell, is malformed. */
__attribute__((warn_unused_result)) enum attest_status
evidence_parse(enum evidence_tee tee, const void *bytes, size_t len, struct evidence **ret,
	       struct attest_result **ret_answer, struct attest_error *reterr);

/* format, chain, revocation, signature, binding. */
__attribute__((warn_unused_result)) enum attest_status
evidence_verify(const struct evidence *ev, const struct endorsements *en, int64_t at,
		struct verified **ret, struct attest_result **ret_answer,
		struct attest_error *reterr);

/* What this one call asked for; all may be left out. Borrowed. */
struct evidence_wants {
	const uint8_t *report_data; /* 64 bytes */
	const char *descriptor;     /* the exact text of the session descriptor */
	size_t descriptor_len;
	const char *const
		*hosts_denied; /* ids that the operator refuses at once; ends in NULL */
	const char *const *hosts_allowed; /* NULL: all others; else no host but these */
	/* The policy of the key is not known yet: what only lacks an exception by name is
	 * `excepted` instead of failed, and evidence_release judges it. */
	bool exceptions_later;
};

struct policy_attestation; /* policy/attestation.h */

/*
 * debug, guest-policy, measurement, freshness, host-data, platform, against the baseline
 * and the policy (NULL: the baseline alone). Expected values come from `policy` and `wants`
 * only. A refusal is ATTEST_OK here: *ret has the verdict, whatever it is.
 */
__attribute__((warn_unused_result)) enum attest_status
evidence_appraise(const struct verified *v, const struct policy_attestation *policy,
		  const struct evidence_wants *wants, int64_t at, struct attest_result **ret,
		  struct attest_error *reterr);

/*
 * A result that a key may be released on: accepted; `freshness` and `measurement` were
 * made and passed; the tier is affirming, or all that keeps it from it is what the key's
 * policy names. ATTEST_REFUSED else; reterr says what is missing.
 */
__attribute__((warn_unused_result)) enum attest_status
evidence_release(const struct attest_result *r, const struct policy_attestation *policy,
		 struct release_input **ret, struct attest_error *reterr);

/* All four accept NULL; the _freep ones are for AUTO(). */
void evidence_free(struct evidence *ev);
void verified_free(struct verified *v);
void attest_result_free(struct attest_result *r);
void release_input_free(struct release_input *r);
void evidence_freep(struct evidence **ev);
void verified_freep(struct verified **v);
void attest_result_freep(struct attest_result **r);
void release_input_freep(struct release_input **r);

/* ---- an answer --------------------------------------------------------------------- */

enum evidence_verdict { VERDICT_REFUSED = 0, VERDICT_MALFORMED, VERDICT_ACCEPTED };
/* TIER_NONE: malformed; contraindicated: refused. */
enum evidence_tier { TIER_NONE = 0, TIER_CONTRAINDICATED, TIER_WARNING, TIER_AFFIRMING };

const char *evidence_verdict_str(enum evidence_verdict v);
const char *evidence_tier_str(enum evidence_tier t);

enum evidence_verdict attest_result_verdict(const struct attest_result *r);
enum evidence_tier attest_result_tier(const struct attest_result *r);
enum evidence_tee attest_result_tee(const struct attest_result *r);
const struct evidence_check *attest_result_check(const struct attest_result *r,
						 enum evidence_check_id id);

struct claim;            /* policy/attestation.h */
struct attestation_line; /* the same */

/* What verified evidence says; nothing where it was not verified. Borrowed. */
const struct claim *attest_result_claims(const struct attest_result *r, size_t *ret_n);
/* The policy clause by clause; none without a policy. Borrowed. */
const struct attestation_line *attest_result_lines(const struct attest_result *r,
						   size_t *ret_n);
const struct claim *release_input_claims(const struct release_input *r, size_t *ret_n);
