/* attest/keyd_verdict.c - see attest/keyd_verdict.h. */
#include "attest/keyd_verdict.h"

#include <stdlib.h>
#include <string.h>

#include "attest/evidence_internal.h"
#include "attest/hex.h"
#include "policy/text.h"

/* ---- an answer as a verdict --------------------------------------------------------- */

static bool put_bytes(struct keyd_claim *to, const void *bytes, size_t len)
{
	if (len > sizeof(to->bytes))
		return false;
	if (len > 0)
		memcpy(to->bytes, bytes, len);
	to->len = (uint32_t)len;
	return true;
}

static bool put_texts(struct keyd_claim *to, const union claim_value *v)
{
	size_t at = 0;

	for (size_t i = 0; i < v->texts.n; i++) {
		size_t size = strlen(v->texts.at[i]) + 1;

		if (size > sizeof(to->bytes) - at)
			return false;
		memcpy(to->bytes + at, v->texts.at[i], size);
		at += size;
	}
	to->len = (uint32_t)at;
	return true;
}

static bool put_claim(struct keyd_claim *to, const struct claim *c)
{
	if (strlen(c->name) >= sizeof(to->name))
		return false;
	memcpy(to->name, c->name, strlen(c->name));
	to->type = c->type;
	switch (c->type) {
	case CLAIM_BYTES:
		return put_bytes(to, c->value.bytes.at, c->value.bytes.len);
	case CLAIM_NUMBER:
		to->number = c->value.number;
		return true;
	case CLAIM_TRUTH:
		to->number = c->value.truth;
		return true;
	case CLAIM_TEXT:
		return put_bytes(to, c->value.text, strlen(c->value.text));
	case CLAIM_TEXTS:
		return put_texts(to, &c->value);
	case CLAIM_TIME:
		to->number = (uint64_t)c->value.time;
		return true;
	case CLAIM_TCB:
		to->number = c->value.tcb.have;
		return put_bytes(to, c->value.tcb.svn, sizeof(c->value.tcb.svn));
	}
	return false;
}

static void put_claims(const struct attest_result *r, struct keyd_verdict *v)
{
	size_t n;
	const struct claim *claims = attest_result_claims(r, &n);

	for (size_t i = 0; i < n && v->n_claims < KEYD_CLAIMS; i++) {
		struct keyd_claim c = { .type = 0 };

		if (put_claim(&c, &claims[i]))
			v->claims[v->n_claims++] = c;
		if (strcmp(claims[i].name, "tenant") == 0)
			snprintf(v->tenant, sizeof(v->tenant), "%s", claims[i].value.text);
		if (strcmp(claims[i].name, "session_id") == 0)
			hex_print(claims[i].value.bytes.at, claims[i].value.bytes.len,
				  v->subject);
	}
}

void keyd_verdict_refuse(enum evidence_verdict verdict, const char *reason,
			 struct keyd_verdict *ret)
{
	*ret = (struct keyd_verdict){ .verdict = verdict };
	if (verdict == VERDICT_REFUSED)
		ret->tier = TIER_CONTRAINDICATED;
	text_escape(ret->reason, sizeof(ret->reason), reason);
}

static void put_reason(const struct attest_result *r, struct keyd_verdict *v)
{
	for (unsigned i = 0; i < CHECKS; i++) {
		const struct evidence_check *c = attest_result_check(r, i);
		char reason[sizeof(c->detail) + 32];

		if (c->outcome != OUTCOME_FAIL)
			continue;
		snprintf(reason, sizeof(reason), "%s: %s", evidence_check_str(i), c->detail);
		text_escape(v->reason, sizeof(v->reason), reason);
		return;
	}
}

void keyd_verdict_make(const struct attest_result *r, struct keyd_verdict *ret)
{
	const struct evidence_kind *k = evidence_kind(attest_result_tee(r));

	_Static_assert(CHECKS <= KEYD_CHECKS, "a check has its place");
	keyd_verdict_refuse(attest_result_verdict(r), "", ret);
	ret->tier = attest_result_tier(r);
	ret->class = k ? k->class : 0;
	for (unsigned i = 0; i < CHECKS; i++) {
		const struct evidence_check *c = attest_result_check(r, i);

		ret->checks[i] = (uint8_t)c->outcome;
		ret->excepted[i] = c->excepted;
	}
	put_claims(r, ret);
	put_reason(r, ret);
}

/* ---- a verdict as an answer --------------------------------------------------------- */

static enum evidence_tee tee_of(uint32_t class)
{
	for (unsigned t = EVIDENCE_NONE + 1; t < EVIDENCE_TEES; t++)
		if (evidence_kind(t) && evidence_kind(t)->class == class)
			return (enum evidence_tee)t;
	return EVIDENCE_NONE;
}

/* A text of the message: no zero in it, and room for one behind it. */
static bool take_text(struct claims *to, const char *name, const struct keyd_claim *c)
{
	char text[sizeof(c->bytes) + 1] = "";

	if (memchr(c->bytes, 0, c->len) || c->len >= CLAIM_TEXT_SIZE)
		return false;
	memcpy(text, c->bytes, c->len);
	claims_text(to, name, text);
	return true;
}

/* Only what the vocabulary has, in its own form: a verifier may have been taken over. */
static bool take_claim(struct claims *to, const struct keyd_claim *c, uint32_t class)
{
	const struct claim_info *info = claim_info_find(c->name);

	if (!info || c->type != (uint32_t)info->type || !(info->classes & class) ||
	    claims_find(to, info->name) || to->n == CLAIMS_MAX)
		return false;
	switch (info->type) {
	case CLAIM_BYTES:
		if (c->len != info->size || c->len > CLAIM_BYTES_MAX)
			return false;
		claims_bytes(to, info->name, c->bytes, c->len);
		return true;
	case CLAIM_NUMBER:
		claims_number(to, info->name, c->number);
		return true;
	case CLAIM_TRUTH:
		claims_truth(to, info->name, c->number != 0);
		return c->number <= 1;
	case CLAIM_TEXT:
		return take_text(to, info->name, c);
	case CLAIM_TIME:
		claims_time(to, info->name, (int64_t)c->number);
		return c->number <= INT64_MAX;
	default: /* no evidence that this build can judge has any */
		return false;
	}
}

/* `now` is the time of the release, not that of the verification. */
static bool take_claims(const struct keyd_verdict *v, int64_t at, struct claims *to)
{
	claims_time(to, "now", at);
	for (uint32_t i = 0; i < v->n_claims; i++)
		if (strcmp(v->claims[i].name, "now") != 0 &&
		    !take_claim(to, &v->claims[i], v->class))
			return false;
	return true;
}

static bool take_checks(const struct keyd_verdict *v, struct attest_result *r)
{
	for (unsigned i = 0; i < CHECKS; i++) {
		if (v->checks[i] > OUTCOME_PASS || v->excepted[i] > 1)
			return false;
		r->checks[i].outcome = v->checks[i];
		r->checks[i].excepted = v->excepted[i];
	}
	/* What a policy must accept by name follows from the claims: it is made again here. */
	evidence_kind(r->tee)->baseline(&r->claims, r->checks);
	if (r->checks[CHECK_REVOCATION].outcome == OUTCOME_SKIPPED)
		evidence_need(&r->checks[CHECK_REVOCATION], ATTESTATION_SKIPPED_REVOCATION);
	return true;
}

static enum attest_status result_of(const struct keyd_verdict *v, int64_t at,
				    struct attest_result **ret, struct attest_error *e)
{
	enum evidence_tee tee = tee_of(v->class);
	struct attest_result *r = tee == EVIDENCE_NONE ? NULL : attest_result_new(tee);

	if (!r)
		return attest_fail(e, ATTEST_SYSTEM, "verdict", "", "no memory, or no class");
	if (!take_claims(v, at, &r->claims) || !take_checks(v, r)) {
		attest_result_free(r);
		return attest_fail(e, ATTEST_MALFORMED, "verdict", "",
				   "it says what no evidence of its class can say");
	}
	r->verdict = (enum evidence_verdict)v->verdict;
	r->tier = (enum evidence_tier)v->tier;
	*ret = r;
	return ATTEST_OK;
}

/* ---- the judge ---------------------------------------------------------------------- */

static enum attest_status from_policy(enum policy_status s, const struct policy_error *why,
				      struct attest_error *e)
{
	char where[192];

	if (s == POLICY_OK)
		return ATTEST_OK;
	snprintf(where, sizeof(where), "policy:%u:%u%s%.100s", why->line, why->column,
		 why->key[0] ? ": " : "", why->key);
	return attest_fail(e,
			   s == POLICY_SYSTEM    ? ATTEST_SYSTEM
			   : s == POLICY_REFUSED ? ATTEST_REFUSED
						 : ATTEST_MALFORMED,
			   where, why->hint, "%s", why->what);
}

static enum attest_status check(void *arg, const char *tenant, const char *text, size_t len,
				struct attest_error *reterr)
{
	struct policy_attestation *policy = NULL;
	struct policy_error why = { .what = "" };
	enum policy_status s = policy_attestation_parse(tenant, text, len, &policy, &why);

	(void)arg;
	if (s == POLICY_OK)
		s = policy_attestation_check_references(policy, &why);
	policy_attestation_free(policy);
	return from_policy(s, &why, reterr);
}

static enum attest_status allows(void *arg, const struct keyd_name *name, const char *text,
				 size_t len, const struct keyd_verdict *verdict, int64_t at,
				 struct attest_error *reterr)
{
	struct policy_attestation *policy = NULL;
	struct release_input *input = NULL;
	struct attest_result *r = NULL;
	struct policy_error why = { .what = "" };
	enum policy_status p = policy_attestation_parse(name->tenant, text, len, &policy, &why);
	enum attest_status s = from_policy(p, &why, reterr);

	(void)arg;
	if (s == ATTEST_OK)
		s = result_of(verdict, at, &r, reterr);
	if (s == ATTEST_OK)
		s = evidence_release(r, policy, &input, reterr);
	release_input_free(input);
	attest_result_free(r);
	policy_attestation_free(policy);
	return s;
}

const struct keyd_judge keyd_judge = { .check = check, .allows = allows };
