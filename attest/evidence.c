/* attest/evidence.c - the steps that are alike for every kind of evidence: parse, verify,
 * release; words, and the types' beginning and end. */
#include "attest/evidence.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "attest/evidence_internal.h"

/* ---- words ------------------------------------------------------------------------- */

/* A kind of evidence is a row here; what it has no function for, this build cannot judge. */
static const struct evidence_kind sev_snp = { .name = "sev-snp", .class = ATTESTATION_SEV_SNP };
static const struct evidence_kind tdx = { .name = "tdx", .class = ATTESTATION_TDX };
static const struct evidence_kind simulated = { .name = "simulated",
						.class = ATTESTATION_SIMULATED };
static const struct evidence_kind *const kinds[EVIDENCE_TEES] = {
	[EVIDENCE_SEV_SNP] = &sev_snp,
	[EVIDENCE_TDX] = &tdx,
	[EVIDENCE_SANDBOX] = &evidence_sandbox,
	[EVIDENCE_SIMULATED] = &simulated,
};

/* `vital`: not made is failed. */
static const struct {
	const char *name;
	bool vital;
} ids[CHECKS] = {
	[CHECK_FORMAT] = { "format", true },
	[CHECK_CHAIN] = { "chain", true },
	[CHECK_REVOCATION] = { "revocation", false },
	[CHECK_SIGNATURE] = { "signature", true },
	[CHECK_BINDING] = { "binding", true },
	[CHECK_IDENTITY] = { "identity", false },
	[CHECK_TCB] = { "tcb", false },
	[CHECK_DEBUG] = { "debug", true },
	[CHECK_GUEST_POLICY] = { "guest-policy", false },
	[CHECK_MEASUREMENT] = { "measurement", false },
	[CHECK_FRESHNESS] = { "freshness", false },
	[CHECK_HOST_DATA] = { "host-data", false },
	[CHECK_PLATFORM] = { "platform", false },
};

const struct evidence_kind *evidence_kind(enum evidence_tee tee)
{
	return (unsigned)tee < EVIDENCE_TEES ? kinds[tee] : NULL;
}

const char *evidence_tee_str(enum evidence_tee t)
{
	const struct evidence_kind *k = evidence_kind(t);

	return k ? k->name : "none";
}

enum evidence_tee evidence_tee_by_name(const char *name)
{
	for (unsigned t = EVIDENCE_NONE + 1; t < EVIDENCE_TEES; t++)
		if (strcmp(kinds[t]->name, name) == 0)
			return t;
	return EVIDENCE_NONE;
}

enum evidence_tee evidence_tee_guess(const void *bytes, size_t len)
{
	for (unsigned t = EVIDENCE_NONE + 1; t < EVIDENCE_TEES; t++)
		if (kinds[t]->guess && kinds[t]->guess(bytes, len))
			return t;
	return EVIDENCE_NONE;
}

const char *evidence_check_str(enum evidence_check_id id)
{
	return (unsigned)id < CHECKS ? ids[id].name : "?";
}

bool evidence_check_is_vital(enum evidence_check_id id)
{
	return ids[id].vital;
}

const char *evidence_outcome_str(enum evidence_outcome o)
{
	static const char *const words[] = { [OUTCOME_NOT_MADE] = "not made",
					     [OUTCOME_FAIL] = "fail",
					     [OUTCOME_SKIPPED] = "skipped",
					     [OUTCOME_PASS] = "pass" };

	return (unsigned)o <= OUTCOME_PASS ? words[o] : "?";
}

const char *evidence_verdict_str(enum evidence_verdict v)
{
	return v == VERDICT_ACCEPTED    ? "accepted"
	       : v == VERDICT_MALFORMED ? "malformed"
					: "refused";
}

const char *evidence_tier_str(enum evidence_tier t)
{
	static const char *const words[] = { [TIER_NONE] = "none",
					     [TIER_CONTRAINDICATED] = "contraindicated",
					     [TIER_WARNING] = "warning",
					     [TIER_AFFIRMING] = "affirming" };

	return (unsigned)t <= TIER_AFFIRMING ? words[t] : "?";
}

void evidence_time(int64_t at, char ret[static EVIDENCE_TIME])
{
	time_t seconds = (time_t)at;
	struct tm tm = { 0 };

	if (!gmtime_r(&seconds, &tm) ||
	    strftime(ret, EVIDENCE_TIME, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		snprintf(ret, EVIDENCE_TIME, "?");
}

/* ---- checks ------------------------------------------------------------------------ */

__attribute__((format(printf, 3, 0))) static void
set(struct evidence_check *c, enum evidence_outcome o, const char *detail, va_list ap)
{
	c->outcome = o;
	vsnprintf(c->detail, sizeof(c->detail), detail, ap);
}

void evidence_pass(struct evidence_check *c, const char *detail, ...)
{
	va_list ap;

	va_start(ap, detail);
	set(c, OUTCOME_PASS, detail, ap);
	va_end(ap);
}

void evidence_fail(struct evidence_check *c, const char *detail, ...)
{
	va_list ap;

	va_start(ap, detail);
	set(c, OUTCOME_FAIL, detail, ap);
	va_end(ap);
}

void evidence_skip(struct evidence_check *c, const char *detail, ...)
{
	va_list ap;

	va_start(ap, detail);
	set(c, OUTCOME_SKIPPED, detail, ap);
	va_end(ap);
}

void evidence_need(struct evidence_check *c, uint32_t exceptions)
{
	c->needs |= exceptions;
}

void evidence_conclude(struct attest_result *r)
{
	bool failed = false, warned = false;

	for (unsigned i = 0; i < CHECKS; i++) {
		struct evidence_check *c = &r->checks[i];

		if (ids[i].vital && c->outcome != OUTCOME_PASS && c->outcome != OUTCOME_FAIL)
			evidence_fail(c, "it was not made, and nothing is accepted without it");
		failed |= c->outcome == OUTCOME_FAIL;
		warned |= c->outcome == OUTCOME_SKIPPED || c->excepted || c->needs != 0;
	}
	r->verdict = failed ? VERDICT_REFUSED : VERDICT_ACCEPTED;
	r->tier = failed ? TIER_CONTRAINDICATED : warned ? TIER_WARNING : TIER_AFFIRMING;
}

/* ---- answers ----------------------------------------------------------------------- */

struct attest_result *attest_result_new(enum evidence_tee tee)
{
	struct attest_result *r = calloc(1, sizeof(*r));

	if (r)
		r->tee = tee;
	return r;
}

static enum attest_status no_memory(struct attest_error *e)
{
	return attest_fail(e, ATTEST_SYSTEM, "evidence", "", "no memory");
}

/* The answer of a step that has said no; nobody may want it. */
static enum attest_status answer_malformed(enum evidence_tee tee, struct attest_result **ret,
					   const struct attest_error *why,
					   struct attest_error *reterr)
{
	struct attest_result *r = ret ? attest_result_new(tee) : NULL;

	if (ret && !r)
		return no_memory(reterr);
	if (reterr)
		*reterr = *why;
	if (!r)
		return ATTEST_MALFORMED;
	evidence_fail(&r->checks[CHECK_FORMAT], "%.180s", why->what);
	r->verdict = VERDICT_MALFORMED;
	r->tier = TIER_NONE;
	*ret = r;
	return ATTEST_MALFORMED;
}

static enum attest_status answer_refused(const struct verified *v, struct attest_result **ret,
					 struct attest_error *reterr)
{
	struct attest_result *r = ret ? attest_result_new(v->tee) : NULL;

	if (ret && !r)
		return no_memory(reterr);
	if (r) {
		memcpy(r->checks, v->checks, sizeof(r->checks));
		evidence_conclude(r);
		*ret = r;
	}
	for (unsigned i = 0; i < CHECKS; i++)
		if (v->checks[i].outcome == OUTCOME_FAIL)
			return attest_fail(reterr, ATTEST_REFUSED, ids[i].name, "", "%s",
					   v->checks[i].detail);
	return ATTEST_REFUSED;
}

/* ---- parse ------------------------------------------------------------------------- */

enum attest_status evidence_parse(enum evidence_tee tee, const void *bytes, size_t len,
				  struct evidence **ret, struct attest_result **ret_answer,
				  struct attest_error *reterr)
{
	const struct evidence_kind *k = evidence_kind(tee);
	struct attest_error why = { .what = "" };
	struct evidence *ev;
	enum attest_status s;

	if (!k) {
		(void)attest_fail(&why, ATTEST_MALFORMED, "evidence",
				  "say what kind it should be",
				  "this is no evidence of a kind that can be told");
		return answer_malformed(tee, ret_answer, &why, reterr);
	}
	if (!k->parse)
		return attest_fail(reterr, ATTEST_SYSTEM, evidence_tee_str(tee),
				   "use a build that has a verifier for it",
				   "this build cannot judge such evidence");
	ev = calloc(1, sizeof(*ev));
	if (!ev)
		return no_memory(reterr);
	ev->tee = tee;
	s = k->parse(bytes, len, &ev->parsed, &why);
	if (s == ATTEST_OK) {
		*ret = ev;
		return ATTEST_OK;
	}
	free(ev);
	if (s == ATTEST_MALFORMED)
		return answer_malformed(tee, ret_answer, &why, reterr);
	if (reterr)
		*reterr = why;
	return ATTEST_SYSTEM;
}

/* ---- verify ------------------------------------------------------------------------ */

/* What must stand before anybody may read a claim; revocation alone may be skipped. */
static bool holds(const struct verified *v)
{
	for (unsigned i = CHECK_FORMAT; i <= CHECK_TCB; i++)
		if (v->checks[i].outcome == OUTCOME_FAIL ||
		    (ids[i].vital && v->checks[i].outcome != OUTCOME_PASS))
			return false;
	return true;
}

enum attest_status evidence_verify(const struct evidence *ev, const struct endorsements *en,
				   int64_t at, struct verified **ret,
				   struct attest_result **ret_answer,
				   struct attest_error *reterr)
{
	struct verified *v = calloc(1, sizeof(*v));
	struct attest_error why = { .what = "" };
	enum attest_status s;

	if (!v)
		return no_memory(reterr);
	v->tee = ev->tee;
	evidence_pass(&v->checks[CHECK_FORMAT], "%s evidence", kinds[ev->tee]->name);
	s = kinds[ev->tee]->verify(ev->parsed, en, at, v->checks, &v->claims, &why);
	if (s == ATTEST_OK && holds(v)) {
		*ret = v;
		return ATTEST_OK;
	}
	if (s == ATTEST_OK)
		s = answer_refused(v, ret_answer, reterr);
	else if (s == ATTEST_MALFORMED)
		s = answer_malformed(ev->tee, ret_answer, &why, reterr);
	else if (reterr)
		*reterr = why;
	verified_free(v);
	return s;
}

/* ---- release ----------------------------------------------------------------------- */

static enum attest_status withheld(struct attest_error *e, enum evidence_check_id id,
				   const char *what)
{
	return attest_fail(e, ATTEST_REFUSED, ids[id].name, "", "%s", what);
}

/* What lacks a name in the policy, or failed, or was skipped for a reason that none names. */
static enum attest_status judge_checks(const struct attest_result *r, uint32_t named,
				       struct attest_error *e)
{
	for (unsigned i = 0; i < CHECKS; i++) {
		const struct evidence_check *c = &r->checks[i];

		uint32_t missing = c->needs & ~named;

		if (missing)
			return attest_fail(e, ATTEST_REFUSED, ids[i].name, "",
					   "%s%sthe policy does not accept %s by name",
					   c->detail, c->detail[0] ? "; " : "",
					   attestation_exception_name(missing & -missing));
		if (c->outcome == OUTCOME_FAIL || (c->outcome == OUTCOME_SKIPPED && !c->needs))
			return withheld(e, i, c->detail);
	}
	return ATTEST_OK;
}

/* What one policy says about a result that may have been made under another, or none. */
static enum attest_status judge_again(const struct attest_result *r,
				      const struct policy_attestation *policy,
				      struct attest_error *e)
{
	uint32_t named = policy_attestation_exceptions(policy);
	struct attest_result *again = attest_result_new(r->tee);
	enum attest_status s;

	if (!again)
		return no_memory(e);
	memcpy(again->checks, r->checks, sizeof(again->checks));
	again->checks[CHECK_MEASUREMENT].outcome = OUTCOME_NOT_MADE;
	claims_copy(&again->claims, &r->claims);
	s = evidence_hold_policy(again, policy, e);
	if (s == ATTEST_OK)
		s = judge_checks(again, named, e);
	if (s == ATTEST_OK && again->checks[CHECK_MEASUREMENT].outcome != OUTCOME_PASS &&
	    !(named & ATTESTATION_SKIPPED_MEASUREMENT))
		s = withheld(e, CHECK_MEASUREMENT, "no reference value was held against it");
	attest_result_free(again);
	return s;
}

enum attest_status evidence_release(const struct attest_result *r,
				    const struct policy_attestation *policy,
				    struct release_input **ret, struct attest_error *reterr)
{
	struct release_input *in;
	enum attest_status s;

	if (r->verdict != VERDICT_ACCEPTED)
		return attest_fail(reterr, ATTEST_REFUSED, "verdict", "",
				   "the evidence was not accepted");
	if (r->checks[CHECK_FRESHNESS].outcome != OUTCOME_PASS)
		return withheld(reterr, CHECK_FRESHNESS,
				"it was not made for this request's nonce and key");
	if (policy_attestation_check_references(policy, NULL) != POLICY_OK)
		return withheld(reterr, CHECK_MEASUREMENT,
				"the policy has no reference values for what it accepts");
	s = judge_again(r, policy, reterr);
	if (s != ATTEST_OK)
		return s;
	in = calloc(1, sizeof(*in));
	if (!in)
		return no_memory(reterr);
	in->tee = r->tee;
	claims_copy(&in->claims, &r->claims);
	*ret = in;
	return ATTEST_OK;
}

/* ---- ends and looks ---------------------------------------------------------------- */

void evidence_free(struct evidence *ev)
{
	if (ev)
		kinds[ev->tee]->free(ev->parsed);
	free(ev);
}

void verified_free(struct verified *v)
{
	free(v);
}

void attest_result_free(struct attest_result *r)
{
	if (r)
		free(r->lines);
	free(r);
}

void release_input_free(struct release_input *r)
{
	free(r);
}

void evidence_freep(struct evidence **ev)
{
	evidence_free(*ev);
}

void verified_freep(struct verified **v)
{
	verified_free(*v);
}

void attest_result_freep(struct attest_result **r)
{
	attest_result_free(*r);
}

void release_input_freep(struct release_input **r)
{
	release_input_free(*r);
}

enum evidence_verdict attest_result_verdict(const struct attest_result *r)
{
	return r->verdict;
}

enum evidence_tier attest_result_tier(const struct attest_result *r)
{
	return r->tier;
}

enum evidence_tee attest_result_tee(const struct attest_result *r)
{
	return r->tee;
}

const struct evidence_check *attest_result_check(const struct attest_result *r,
						 enum evidence_check_id id)
{
	return &r->checks[id];
}

const struct claim *attest_result_claims(const struct attest_result *r, size_t *ret_n)
{
	*ret_n = r->claims.n;
	return r->claims.of;
}

const struct attestation_line *attest_result_lines(const struct attest_result *r, size_t *ret_n)
{
	*ret_n = r->n_lines;
	return r->lines;
}

const struct claim *release_input_claims(const struct release_input *r, size_t *ret_n)
{
	*ret_n = r->claims.n;
	return r->claims.of;
}
