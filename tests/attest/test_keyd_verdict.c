/*
 * tests/attest/test_keyd_verdict.c - from the body of a request to the release of a key, with
 * the verdict in the middle that crosses between two processes; and what a verifier that was
 * taken over may say instead.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <openssl/pem.h>

#include "attest/json_writer.h"
#include "attest/keyd_verdict.h"
#include "attest/keyd_verifier.h"
#include "policy/attestation.h"
#include "tests/attest/sandbox_sample.h"

#define BODY_MAX 65536u

struct fixture {
	struct endorsements *anchors;
	char body[BODY_MAX];
	size_t len;
	struct keyd_verify ask;
};

static const struct keyd_name data_key = { "acme", "volume", "data-key" };

static void make_body(struct fixture *f, const char *token, const char *descriptor)
{
	struct json_writer w;

	jw_begin(&w, f->body, sizeof(f->body));
	jw_object(&w);
	jw_key(&w, "init-data");
	jw_object(&w);
	jw_key(&w, "body");
	jw_string(&w, descriptor);
	jw_key(&w, "format");
	jw_string(&w, "toml");
	jw_object_end(&w);
	jw_key(&w, "runtime-data");
	jw_object(&w);
	jw_key(&w, "nonce");
	jw_string(&w, "bm9uY2U=");
	jw_key(&w, "tee-pubkey");
	jw_object(&w);
	jw_object_end(&w);
	jw_object_end(&w);
	jw_key(&w, "tee-evidence");
	jw_object(&w);
	jw_key(&w, "additional_evidence");
	jw_string(&w, "");
	jw_key(&w, "primary_evidence");
	jw_object(&w);
	jw_key(&w, "token");
	jw_string(&w, token);
	jw_object_end(&w);
	jw_object_end(&w);
	jw_object_end(&w);
	assert_true(jw_end(&w, &f->len));
}

static void trust(struct fixture *f, X509 *anchor)
{
	uint8_t *der = NULL;
	int len = i2d_X509(anchor, &der);

	assert_true(len > 0);
	assert_int_equal(endorsements_new(&f->anchors, NULL), ATTEST_OK);
	assert_int_equal(endorsements_add(f->anchors, ENDORSEMENT_ANCHOR, "anchor", der,
					  (size_t)len, NULL),
			 ATTEST_OK);
	OPENSSL_free(der);
}

static int setup(void **state)
{
	static const struct sample_spec ca = SAMPLE_CA, host = SAMPLE_LEAF;
	static struct fixture f;
	struct sample_issuer anchor = sample_anchor(&ca);
	EVP_PKEY *key = sample_key("P-256");
	X509 *leaf = sample_certificate(&host, key, &anchor);
	const struct sandbox_facts facts = sample_facts();
	const struct descriptor d = sample_descriptor();
	char *token = sample_token(&facts, key, &leaf, 1), text[DESCRIPTOR_MAX];

	f = (struct fixture){ .ask = { .tee = "cordon-sandbox", .at = SAMPLE_AT } };
	memset(f.ask.report_data, 0x55, sizeof(f.ask.report_data));
	sample_descriptor_text(&d, text);
	make_body(&f, token, text);
	trust(&f, anchor.certificate);
	free(token);
	X509_free(leaf);
	X509_free(anchor.certificate);
	EVP_PKEY_free(anchor.key);
	EVP_PKEY_free(key);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	endorsements_free(f->anchors);
	return 0;
}

static struct keyd_verdict judged(const struct fixture *f)
{
	struct keyd_verdict v;

	keyd_verifier_judge(&f->ask, f->body, f->len, f->anchors, &v);
	return v;
}

#define POLICY                                                                                 \
	"classes: [sandbox]\naccept: [skipped-revocation]\n"                                   \
	"plan: [\"1111111111111111111111111111111111111111111111111111111111111111\"]\n"       \
	"workload: [\"3333333333333333333333333333333333333333333333333333333333333333\"]\n"

static enum attest_status allowed(const struct keyd_verdict *v, const char *policy)
{
	return keyd_judge.allows(NULL, &data_key, policy, strlen(policy), v, SAMPLE_AT + 60,
				 NULL);
}

static struct keyd_claim *claim(struct keyd_verdict *v, const char *name)
{
	for (uint32_t i = 0; i < v->n_claims; i++)
		if (strcmp(v->claims[i].name, name) == 0)
			return &v->claims[i];
	print_message("no claim %s\n", name);
	abort();
}

/* ---- good evidence -------------------------------------------------------------------- */

static void good_evidence_gets_the_key(void **state)
{
	struct keyd_verdict v = judged(*state);

	assert_int_equal(v.verdict, VERDICT_ACCEPTED);
	assert_int_equal(v.class, ATTESTATION_SANDBOX);
	assert_string_equal(v.tenant, "acme");
	assert_string_equal(v.subject, "01020300000000000000000000000000");
	assert_string_equal(v.reason, "");
	assert_int_equal(allowed(&v, POLICY), ATTEST_OK);
}

static void a_verdict_survives_the_wire(void **state)
{
	struct keyd_wire *w = keyd_wire_new();
	struct keyd_verdict v = judged(*state);
	size_t len = 0;

	assert_non_null(w);
	w->m = (struct keyd_message){ .type = KEYD_VERDICT, .verdict = v };
	assert_int_equal(keyd_encode(w, &len, NULL), ATTEST_OK);
	assert_int_equal(keyd_decode(w, len, 0, NULL), ATTEST_OK);
	assert_memory_equal(&w->m.verdict, &v, sizeof(v));
	keyd_wire_free(w);
}

static void a_policy_has_the_last_word(void **state)
{
	static const char *const others[] = {
		"classes: [sandbox]\naccept: []\n" /* the revocation was skipped */
		"plan: "
		"[\"1111111111111111111111111111111111111111111111111111111111111111\"]\n",
		"classes: [sandbox]\naccept: [skipped-revocation]\n"
		"plan: "
		"[\"1211111111111111111111111111111111111111111111111111111111111111\"]\n",
		"classes: [sandbox]\naccept: [skipped-revocation]\n", /* no reference values */
		"classes: [sev-snp]\nmeasurement: [\"\"]\n",
		"",
	};
	struct keyd_verdict v = judged(*state);

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		assert_int_not_equal(allowed(&v, others[i]), ATTEST_OK);
}

static void policies_without_reference_values_are_not_stored(void **state)
{
	static const char none[] = "classes: [sandbox]\naccept: []\n";

	(void)state;
	assert_int_equal(keyd_judge.check(NULL, "acme", POLICY, strlen(POLICY), NULL),
			 ATTEST_OK);
	assert_int_equal(keyd_judge.check(NULL, "acme", none, strlen(none), NULL),
			 ATTEST_REFUSED);
	assert_int_equal(keyd_judge.check(NULL, "acme", "x", 1, NULL), ATTEST_MALFORMED);
}

/* ---- other evidence ------------------------------------------------------------------- */

static void evidence_for_another_request_is_refused(void **state)
{
	struct fixture *f = *state;
	struct keyd_verdict v;

	f->ask.report_data[63] ^= 1;
	v = judged(f);
	f->ask.report_data[63] ^= 1;
	assert_int_equal(v.verdict, VERDICT_REFUSED);
	assert_non_null(strstr(v.reason, "freshness"));
	assert_int_not_equal(allowed(&v, POLICY), ATTEST_OK);
}

static void evidence_of_other_kinds_is_refused(void **state)
{
	static const char *const tees[] = { "snp", "tdx", "cordon-simulated", "sample", "" };
	struct fixture f = *(struct fixture *)*state;

	for (size_t i = 0; i < sizeof(tees) / sizeof(tees[0]); i++) {
		struct keyd_verdict v;

		memset(f.ask.tee, 0, sizeof(f.ask.tee));
		memcpy(f.ask.tee, tees[i], strlen(tees[i]));
		v = judged(&f);
		assert_int_equal(v.verdict, VERDICT_REFUSED);
	}
}

/* Every cut and, at some distance, every flip: no accepted verdict, or the same one. */
static void a_damaged_body_is_never_accepted_as_another(void **state)
{
	struct fixture *f = *state;
	struct keyd_verdict good = judged(f);
	size_t step = getenv("CORDON_SOAK") ? 1 : 7, len = f->len;

	for (f->len = 0; f->len < len; f->len += step)
		assert_int_not_equal(judged(f).verdict, VERDICT_ACCEPTED);
	f->len = len;
	for (size_t i = 0; i < len; i += step) {
		struct keyd_verdict v;

		f->body[i] ^= 1;
		v = judged(f);
		f->body[i] ^= 1;
		if (v.verdict == VERDICT_ACCEPTED) /* what nobody signs: nonce, spare members */
			assert_memory_equal(&v, &good, sizeof(v));
	}
}

/* ---- verdicts that no honest verifier says ---------------------------------------------- */

static void refused_verdict(struct keyd_verdict *v)
{
	v->verdict = VERDICT_REFUSED;
}

static void stale_check(struct keyd_verdict *v)
{
	v->checks[CHECK_FRESHNESS] = OUTCOME_NOT_MADE;
}

static void failed_check(struct keyd_verdict *v)
{
	v->checks[CHECK_SIGNATURE] = OUTCOME_FAIL;
}

static void unknown_outcome(struct keyd_verdict *v)
{
	v->checks[CHECK_CHAIN] = 77;
}

static void no_class(struct keyd_verdict *v)
{
	v->class = 0;
}

static void class_without_judge(struct keyd_verdict *v)
{
	v->class = ATTESTATION_SEV_SNP;
}

static void claim_twice(struct keyd_verdict *v)
{
	v->claims[v->n_claims++] = *claim(v, "plan_digest");
}

static void unknown_claim(struct keyd_verdict *v)
{
	memcpy(claim(v, "plan_digest")->name, "plan_digesu", 12);
}

static void long_claim(struct keyd_verdict *v)
{
	claim(v, "plan_digest")->len = 256;
}

static void short_claim(struct keyd_verdict *v)
{
	claim(v, "plan_digest")->len = 31;
}

static void claim_of_another_type(struct keyd_verdict *v)
{
	claim(v, "plan_digest")->type = CLAIM_TEXT;
}

static void text_without_end(struct keyd_verdict *v)
{
	struct keyd_claim *c = claim(v, "host_id");

	memset(c->bytes, 'a', sizeof(c->bytes));
	c->len = sizeof(c->bytes);
}

static void text_with_a_zero(struct keyd_verdict *v)
{
	claim(v, "host_id")->bytes[0] = 0;
}

static void truth_of_two(struct keyd_verdict *v)
{
	claim(v, "init_on_free")->number = 2;
}

static void time_without_end(struct keyd_verdict *v)
{
	claim(v, "issued_at")->number = UINT64_MAX;
}

static void claims_everywhere(struct keyd_verdict *v)
{
	v->n_claims = KEYD_CLAIMS;
}

/* It calls its own anchor a production one; what it cannot hide is asked again. */
static void development_without_exception(struct keyd_verdict *v)
{
	claim(v, "development_anchor")->number = 1;
}

static void another_users_launch(struct keyd_verdict *v)
{
	claim(v, "launcher_uid")->number = 1000;
}

static void what_no_verifier_may_say_gets_nothing(void **state)
{
	static void (*const lies[])(struct keyd_verdict *) = {
		refused_verdict,
		stale_check,
		failed_check,
		unknown_outcome,
		no_class,
		class_without_judge,
		claim_twice,
		unknown_claim,
		long_claim,
		short_claim,
		claim_of_another_type,
		text_without_end,
		text_with_a_zero,
		truth_of_two,
		time_without_end,
		claims_everywhere,
		development_without_exception,
		another_users_launch,
	};
	const struct keyd_verdict good = judged(*state);

	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		struct keyd_verdict v = good;

		lies[i](&v);
		if (allowed(&v, POLICY) == ATTEST_OK)
			fail_msg("lie %zu got the key", i);
	}
	assert_int_equal(allowed(&good, POLICY), ATTEST_OK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_evidence_gets_the_key),
		cmocka_unit_test(a_verdict_survives_the_wire),
		cmocka_unit_test(a_policy_has_the_last_word),
		cmocka_unit_test(policies_without_reference_values_are_not_stored),
		cmocka_unit_test(evidence_for_another_request_is_refused),
		cmocka_unit_test(evidence_of_other_kinds_is_refused),
		cmocka_unit_test(a_damaged_body_is_never_accepted_as_another),
		cmocka_unit_test(what_no_verifier_may_say_gets_nothing),
	};

	return cmocka_run_group_tests_name("keyd_verdict", tests, setup, teardown);
}
