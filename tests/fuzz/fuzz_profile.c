/* tests/fuzz/fuzz_profile.c - a profile is read, refused with a reason, or compiled to
 * a program whose every path ends in a verdict. */
#include "policy/profile.h"
#include "tests/policy/bpf_eval.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_filter(const struct policy_filter *f)
{
	for (int nr = -1; nr < 480; nr++)
		if (bpf_call(f, nr, (uint64_t)nr, UINT64_MAX, 0) == BPF_STUCK)
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct profile_context cx = { .kernel = { 6, 18 } };
	struct policy_filter f = { .insns = NULL };
	struct policy_error e = { .what = "" };
	struct profile *p = NULL;
	enum policy_status s = profile_parse("p", (const char *)data, size, &p, &e);

	if (s == POLICY_OK)
		s = profile_compile(p, &cx, &f, &e);
	if (s == POLICY_OK)
		check_filter(&f);
	else if (s == POLICY_SYSTEM || !e.what[0] || f.insns)
		abort();
	policy_filter_clear(&f);
	profile_free(p);
	return 0;
}
