/*
 * attest/evidence_appraise.c - is it good enough? The baseline, what was asked for, and the
 * policy. Everything here looks at claims, which only verified evidence has.
 */
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#include "attest/descriptor.h"
#include "attest/evidence_internal.h"
#include "attest/hex.h"

/* These keep evidence from `affirming` and from a release; they do not refuse it. */
#define WARNINGS (ATTESTATION_COVERAGE_BINARY | ATTESTATION_SKIPPED_REVOCATION)

/* ---- what was asked for ------------------------------------------------------------ */

static bool claim_equals(const struct claims *claims, const char *name, const void *bytes,
			 size_t n)
{
	const struct claim *c = claims_find(claims, name);

	return c && c->type == CLAIM_BYTES && c->value.bytes.len == n &&
	       CRYPTO_memcmp(c->value.bytes.at, bytes, n) == 0;
}

static void check_freshness(struct attest_result *r, const struct evidence_wants *w)
{
	struct evidence_check *c = &r->checks[CHECK_FRESHNESS];

	if (!w->report_data)
		return;
	if (claim_equals(&r->claims, "report_data", w->report_data, 64))
		evidence_pass(c, "report_data is what was asked for");
	else
		evidence_fail(c, "report_data is not what was asked for");
}

/* A bound descriptor says who and which session it is: from here on those are claims. */
static void claim_descriptor(struct claims *claims, const struct descriptor *d)
{
	claims_text(claims, "tenant", d->tenant);
	claims_bytes(claims, "session_id", d->session, sizeof(d->session));
}

static enum attest_status
check_host_data(struct attest_result *r, const struct evidence_wants *w, struct attest_error *e)
{
	const struct evidence_kind *k = evidence_kind(r->tee);
	struct evidence_check *c = &r->checks[CHECK_HOST_DATA];
	uint8_t digest[DESCRIPTOR_DIGEST_MAX];
	struct attest_error why;
	struct descriptor d;
	enum attest_status s;

	if (!w->descriptor)
		return ATTEST_OK;
	if (descriptor_parse(w->descriptor, w->descriptor_len, &d, &why) != ATTEST_OK) {
		evidence_fail(c, "%.80s: %.160s", why.where, why.what);
		return ATTEST_OK;
	}
	s = descriptor_digest(d.hash, w->descriptor, w->descriptor_len, digest, e);
	if (s != ATTEST_OK)
		return s;
	if (!claim_equals(&r->claims, k->host_data, digest, descriptor_hash_size(d.hash)))
		evidence_fail(c, "%s is not that of the descriptor", k->host_data);
	else if (claims_find(&r->claims, "plan_digest") &&
		 !claim_equals(&r->claims, "plan_digest", d.plan, sizeof(d.plan)))
		evidence_fail(c, "the descriptor is of another plan than the evidence");
	else {
		evidence_pass(c, "%s is that of the descriptor of tenant %s", k->host_data,
			      d.tenant);
		claim_descriptor(&r->claims, &d);
	}
	return ATTEST_OK;
}

static bool is_listed(const char *const *list, const char *name)
{
	for (; list && *list; list++)
		if (strcmp(*list, name) == 0)
			return true;
	return false;
}

static void check_platform(struct attest_result *r, const struct evidence_wants *w)
{
	const struct claim *c = claims_find(&r->claims, evidence_kind(r->tee)->platform);
	struct evidence_check *check = &r->checks[CHECK_PLATFORM];

	if (!w->hosts_denied && !w->hosts_allowed)
		return;
	if (!c || c->type != CLAIM_TEXT)
		evidence_fail(check, "it does not say which machine it is of");
	else if (is_listed(w->hosts_denied, c->value.text))
		evidence_fail(check, "%s is denied", c->value.text);
	else if (w->hosts_allowed && !is_listed(w->hosts_allowed, c->value.text))
		evidence_fail(check, "%s is not among those allowed", c->value.text);
	else
		evidence_pass(check, "%s is allowed", c->value.text);
}

/* ---- the policy -------------------------------------------------------------------- */

/* Where a clause's answer is shown: with the check that asks the same; the rest is
 * `guest-policy`. No clause stands for what only this call can ask (freshness, host-data). */
/* clang-format off */
static const struct {
	const char *claim;
	enum evidence_check_id id;
} places[] = {
	{ "plan_digest",     CHECK_MEASUREMENT },
	{ "workload_digest", CHECK_MEASUREMENT },
	{ "cordon_digest",   CHECK_MEASUREMENT },
	{ "measurement",     CHECK_MEASUREMENT },
	{ "mrtd",            CHECK_MEASUREMENT },
	{ "rtmr0",           CHECK_MEASUREMENT },
	{ "rtmr1",           CHECK_MEASUREMENT },
	{ "rtmr2",           CHECK_MEASUREMENT },
	{ "rtmr3",           CHECK_MEASUREMENT },
	{ "host_id",         CHECK_PLATFORM },
	{ "chip_id",         CHECK_PLATFORM },
	{ "fmspc",           CHECK_PLATFORM },
};
/* clang-format on */

/* A clause's text begins with its claim. */
static enum evidence_check_id place_of(const struct attestation_line *l)
{
	size_t n = strcspn(l->clause, " ");

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		if (strlen(places[i].claim) == n && memcmp(l->clause, places[i].claim, n) == 0)
			return places[i].id;
	return CHECK_GUEST_POLICY;
}

/* Of one clause of the block with all that is within it. What tells workloads apart is
 * shown as the measurement, also where it is one part of several. */
static enum evidence_check_id place_of_all(const struct attestation_line *lines, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (place_of(&lines[i]) == CHECK_MEASUREMENT)
			return CHECK_MEASUREMENT;
	return place_of(&lines[n - 1]);
}

/* Whether the clause holds. */
static bool hold_clause(struct attest_result *r, const struct attestation_line *lines, size_t n)
{
	struct evidence_check *c = &r->checks[place_of_all(lines, n)];
	bool holds = lines[0].outcome == ATTESTATION_TRUE;

	if (!holds && c->outcome != OUTCOME_FAIL)
		evidence_fail(c, "the policy asks that %.120s: seen %.100s", lines[0].clause,
			      lines[0].seen[0] ? lines[0].seen : "nothing of it");
	else if (c->outcome == OUTCOME_NOT_MADE)
		evidence_pass(c, "%.240s", lines[0].clause);
	return holds;
}

/* Whether all of them hold. */
static bool hold_clauses(struct attest_result *r)
{
	bool holds = true;
	size_t begin = 0;

	for (size_t i = 1; i <= r->n_lines; i++) {
		if (i < r->n_lines && r->lines[i].depth > 0)
			continue;
		holds &= hold_clause(r, &r->lines[begin], i - begin);
		begin = i;
	}
	return holds;
}

enum attest_status evidence_hold_policy(struct attest_result *r,
					const struct policy_attestation *policy,
					struct attest_error *reterr)
{
	const struct evidence_kind *k = evidence_kind(r->tee);
	struct attestation_verdict v;

	r->lines = calloc(ATTESTATION_CLAUSES_MAX, sizeof(*r->lines));
	if (!r->lines)
		return attest_fail(reterr, ATTEST_SYSTEM, "policy", "", "no memory");
	v = policy_attestation_evaluate(policy, k->class, r->claims.of, r->claims.n, r->lines,
					ATTESTATION_CLAUSES_MAX);
	r->n_lines = v.n_lines;
	/* The expression as a whole has the last word, whatever its lines show. */
	if (hold_clauses(r) && !v.allowed)
		evidence_fail(&r->checks[CHECK_GUEST_POLICY],
			      "the policy does not accept %s evidence", k->name);
	return ATTEST_OK;
}

/* ---- exceptions -------------------------------------------------------------------- */

static void name_missing(struct evidence_check *c, uint32_t missing)
{
	char detail[sizeof(c->detail)];
	const char *name = attestation_exception_name(missing & ~(missing - 1));

	memcpy(detail, c->detail, sizeof(detail));
	evidence_fail(c, "%.180s; no policy accepts %s", detail, name ? name : "it");
}

/* What the baseline refuses is good where the policy says so by name, and only there. */
static void judge_exceptions(struct attest_result *r, uint32_t named, bool later)
{
	for (unsigned i = 0; i < CHECKS; i++) {
		struct evidence_check *c = &r->checks[i];
		uint32_t refusing = c->needs & ~(uint32_t)WARNINGS;

		if (c->outcome == OUTCOME_FAIL || refusing == 0)
			continue;
		if ((refusing & ~named) && !later)
			name_missing(c, refusing & ~named);
		else
			c->excepted = true;
	}
}

/* ---- the step ---------------------------------------------------------------------- */

static enum attest_status appraise(struct attest_result *r, const struct verified *v,
				   const struct policy_attestation *policy,
				   const struct evidence_wants *wants, int64_t at,
				   struct attest_error *e)
{
	uint32_t named = policy ? policy_attestation_exceptions(policy) : 0;
	enum attest_status s;

	memcpy(r->checks, v->checks, sizeof(r->checks));
	claims_copy(&r->claims, &v->claims);
	claims_time(&r->claims, "now", at);
	evidence_kind(r->tee)->baseline(&r->claims, r->checks);
	judge_exceptions(r, named, wants->exceptions_later);
	check_freshness(r, wants);
	check_platform(r, wants);
	s = check_host_data(r, wants, e);
	if (s == ATTEST_OK && policy)
		s = evidence_hold_policy(r, policy, e);
	if (s == ATTEST_OK)
		evidence_conclude(r);
	return s;
}

enum attest_status evidence_appraise(const struct verified *v,
				     const struct policy_attestation *policy,
				     const struct evidence_wants *wants, int64_t at,
				     struct attest_result **ret, struct attest_error *reterr)
{
	struct attest_result *r = attest_result_new(v->tee);
	enum attest_status s;

	if (!r)
		return attest_fail(reterr, ATTEST_SYSTEM, "evidence", "", "no memory");
	s = appraise(r, v, policy, wants, at, reterr);
	if (s == ATTEST_OK)
		*ret = r;
	else
		attest_result_free(r);
	return s;
}
