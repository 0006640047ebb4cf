/* attest/keyd_verifier_judge.c - from the body of one request to a verdict about it. */
#include <jansson.h>
#include <string.h>

#include "attest/json_reader.h"
#include "attest/kbs.h"
#include "attest/keyd_verdict.h"
#include "attest/keyd_verifier.h"

#define AUTO(fn) __attribute__((cleanup(fn)))

/* {"token": JWS}, and nothing else. */
static bool take_token(const struct kbs_attestation *a, struct span *ret)
{
	static const char *const members[] = { "token", NULL };
	const char *token = json_is_object(a->primary) ? jr_text(a->primary, "token") : NULL;

	if (!token || !jr_only(a->primary, members))
		return false;
	*ret = span_of(token);
	return true;
}

static const struct tee {
	const char *name;
	enum evidence_tee kind;
	bool (*take)(const struct kbs_attestation *a, struct span *ret);
} tees[] = {
	{ "cordon-sandbox", EVIDENCE_SANDBOX, take_token },
};

static const struct tee *tee_find(const char *name)
{
	for (size_t i = 0; i < sizeof(tees) / sizeof(tees[0]); i++)
		if (strcmp(tees[i].name, name) == 0)
			return &tees[i];
	return NULL;
}

/* The four steps, less the last, which is the store's. *ret is an answer wherever there is
 * one. */
static enum attest_status steps(const struct tee *tee, struct span bytes,
				const struct endorsements *en,
				const struct evidence_wants *wants, int64_t at,
				struct attest_result **ret, struct attest_error *e)
{
	AUTO(evidence_freep) struct evidence *ev = NULL;
	AUTO(verified_freep) struct verified *v = NULL;
	enum attest_status s = evidence_parse(tee->kind, bytes.at, bytes.len, &ev, ret, e);

	if (s == ATTEST_OK)
		s = evidence_verify(ev, en, at, &v, ret, e);
	if (s == ATTEST_OK)
		s = evidence_appraise(v, NULL, wants, at, ret, e);
	return s;
}

static void judge(const struct keyd_verify *ask, const struct kbs_attestation *a,
		  const struct endorsements *en, struct keyd_verdict *ret)
{
	AUTO(attest_result_freep) struct attest_result *r = NULL;
	const struct tee *tee = tee_find(ask->tee);
	struct attest_error e = { .what = "it could not be judged" };
	struct span bytes = { "", 0 };
	/* The store's policies come later, and may name exceptions from the baseline. */
	struct evidence_wants wants = {
		.report_data = ask->report_data,
		.descriptor = a->init_data,
		.descriptor_len = a->init_data ? strlen(a->init_data) : 0,
		.exceptions_later = true,
	};

	if (!tee) {
		keyd_verdict_refuse(VERDICT_REFUSED,
				    "evidence of a kind that is not judged here", ret);
		return;
	}
	if (!a->init_data || !tee->take(a, &bytes)) {
		keyd_verdict_refuse(VERDICT_MALFORMED,
				    a->init_data ? "this is no evidence of its kind"
						 : "there is no session descriptor (init-data)",
				    ret);
		return;
	}
	(void)!steps(tee, bytes, en, &wants, ask->at, &r, &e);
	if (r)
		keyd_verdict_make(r, ret);
	else
		keyd_verdict_refuse(VERDICT_REFUSED, e.what, ret);
}

void keyd_verifier_judge(const struct keyd_verify *ask, const char *body, size_t len,
			 const struct endorsements *en, struct keyd_verdict *ret)
{
	struct kbs_attestation a = { .nonce = NULL };
	struct attest_error e = { .what = "" };

	if (kbs_attestation_parse((struct span){ body, len }, &a, &e) != ATTEST_OK) {
		keyd_verdict_refuse(VERDICT_MALFORMED, e.what, ret);
		return;
	}
	judge(ask, &a, en, ret);
	kbs_attestation_free(&a);
}
