/* tests/fuzz/fuzz_policy.c - a text that is a policy makes a plan, and the plan survives
 * its own bytes, and its attestation block can be read again; a text that is none is said to
 * be none. */
#include "policy/attestation.h"
#include "tests/policy/sample.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t occurrences(const uint8_t *data, size_t size, const char *word)
{
	const uint8_t *end = data + size, *at = data;
	size_t n = 0;

	while ((at = memmem(at, (size_t)(end - at), word, strlen(word)))) {
		at++;
		n++;
	}
	return n;
}

/* A profile would be read from wherever the text says: none of this host's files is. */
static bool names_a_file(const uint8_t *data, size_t size)
{
	return occurrences(data, size, "profile") !=
	       occurrences(data, size, "profile: default");
}

/* The key service has nothing but the plan's text of it. */
static void read_again(const char *text)
{
	struct policy_attestation *a = NULL;

	if (text[0] &&
	    policy_attestation_parse("plan", text, strlen(text), &a, NULL) != POLICY_OK)
		abort();
	policy_attestation_free(a);
}

static void judge(const struct policy *p)
{
	static char word[] = "ls";
	char *argv[] = { word, NULL };
	struct policy_filter f = sample_filter(), g = sample_filter();
	struct policy_plan *plan = NULL, *again = NULL;
	uint8_t *bytes = NULL;
	size_t len = 0;
	enum policy_status s = policy_plan_make(p, argv, &f, &plan, NULL);

	if (s == POLICY_REFUSED)
		s = policy_plan_make(p, NULL, &g, &plan, NULL);
	policy_filter_clear(&g);
	if (s != POLICY_OK || policy_plan_encode(plan, &bytes, &len) != POLICY_OK ||
	    policy_plan_decode(bytes, len, &again, NULL) != POLICY_OK)
		abort();
	read_again(again->attestation);
	free(bytes);
	policy_plan_free(plan);
	policy_plan_free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct policy_error e = { .line = 0 };
	struct policy *p = NULL;
	enum policy_status s;

	if (names_a_file(data, size))
		return 0;
	s = policy_parse("fuzz", (const char *)data, size, &p, &e);
	if (s == POLICY_OK)
		judge(p);
	else if ((s != POLICY_INVALID && s != POLICY_REFUSED) || !e.what[0] ||
		 strchr(e.what, '\n'))
		abort();
	policy_free(p);
	return 0;
}
