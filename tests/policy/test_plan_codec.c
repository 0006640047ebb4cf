/* tests/policy/test_plan_codec.c - plans as bytes: one plan, one encoding, and no bytes
 * that do harm. */
#include "tests/policy/sample.h"

#include <linux/mount.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

struct bytes {
	uint8_t *at;
	size_t len;
};

static struct bytes encoded(const struct policy_plan *plan)
{
	struct bytes b = { NULL, 0 };

	assert_int_equal(policy_plan_encode(plan, &b.at, &b.len), POLICY_OK);
	return b;
}

static struct policy_plan *sample_plan(void)
{
	struct policy_filter f = sample_filter();
	struct policy_plan *plan = NULL;
	struct policy *p = NULL;
	struct policy_error e;

	assert_int_equal(policy_parse("f", sample_policy, strlen(sample_policy), &p, &e),
			 POLICY_OK);
	assert_int_equal(policy_plan_make(p, NULL, &f, &plan, &e), POLICY_OK);
	policy_free(p);
	return plan;
}

/* Everything that no policy fills but an OCI bundle may. */
static struct bytes sample_bytes(void)
{
	static char path[] = "/usr/bin/hook", empty[] = "", proc[] = "/proc", a[] = "a",
		    b[] = "B=c";
	static char *argv[] = { a, empty, NULL }, *env[] = { b, NULL };
	static uint32_t groups[] = { 5, 4294967295u };
	struct policy_hook hook = { 2, path, argv, env, 30 };
	struct policy_mount mount = { POLICY_MOUNT_PROC, empty, proc, MOUNT_ATTR_NOSUID, 0, 0 };
	struct policy_plan *plan = sample_plan(), full = *plan;
	struct bytes bytes;

	full.hooks = &hook;
	full.n_hooks = 1;
	full.mounts = &mount;
	full.n_mounts = 1;
	full.process.groups = groups;
	full.process.n_groups = 2;
	full.process.oom_score_adj = -500;
	full.root_writable = true;
	full.terminal = true;
	bytes = encoded(&full);
	policy_plan_free(plan);
	return bytes;
}

/* What decodes must encode to the same bytes. The input is a copy of exactly its length,
 * so that a sanitizer sees a single byte read behind it. */
static bool decodes(const uint8_t *bytes, size_t len)
{
	uint8_t *exact = malloc(len ? len : 1), *again = NULL;
	struct policy_plan *plan = NULL;
	struct policy_error e = { .line = 0 };
	enum policy_status s;
	size_t again_len;

	assert_non_null(exact);
	memcpy(exact, bytes, len);
	s = policy_plan_decode(exact, len, &plan, &e);
	if (s == POLICY_OK) {
		assert_int_equal(policy_plan_encode(plan, &again, &again_len), POLICY_OK);
		assert_int_equal(again_len, len);
		assert_memory_equal(again, exact, len);
	} else {
		assert_int_equal(s, POLICY_INVALID);
		assert_null(plan);
		assert_true(e.what[0] != '\0');
	}
	free(again);
	free(exact);
	policy_plan_free(plan);
	return s == POLICY_OK;
}

static void carries_every_field(void **state)
{
	struct bytes b = sample_bytes();
	struct policy_plan *plan = NULL;
	struct policy_error e;

	(void)state;
	assert_true(decodes(b.at, b.len));
	assert_int_equal(policy_plan_decode(b.at, b.len, &plan, &e), POLICY_OK);
	assert_string_equal(plan->hooks[0].path, "/usr/bin/hook");
	assert_string_equal(plan->hooks[0].argv[1], "");
	assert_null(plan->hooks[0].argv[2]);
	assert_string_equal(plan->hooks[0].env[0], "B=c");
	assert_int_equal(plan->hooks[0].timeout_s, 30);
	assert_int_equal(plan->process.groups[1], 4294967295u);
	assert_int_equal(plan->process.oom_score_adj, -500);
	assert_true(plan->root_writable && plan->terminal);
	assert_int_equal(plan->mounts[0].kind, POLICY_MOUNT_PROC);
	assert_int_equal(plan->filter.insns[7], 0x7f);
	assert_string_equal(plan->keys[0].service_ca, SAMPLE_CA);
	policy_plan_free(plan);
	free(b.at);
}

static void refuses_every_truncation(void **state)
{
	struct bytes b = sample_bytes();

	(void)state;
	for (size_t n = 0; n < b.len; n++)
		assert_false(decodes(b.at, n));
	free(b.at);
}

static void refuses_a_byte_too_many(void **state)
{
	struct bytes b = sample_bytes();
	uint8_t *longer = calloc(1, b.len + 1);

	(void)state;
	assert_non_null(longer);
	memcpy(longer, b.at, b.len);
	assert_false(decodes(longer, b.len + 1));
	free(longer);
	free(b.at);
}

static void survives_every_flipped_byte(void **state)
{
	static const uint8_t flips[] = { 0x01, 0x80, 0xff, 0x20 };
	struct bytes b = sample_bytes();
	size_t good = 0, n = 0;

	(void)state;
	for (size_t i = 0; i < b.len; i++)
		for (size_t k = 0; k < sizeof(flips); k++, n++) {
			b.at[i] ^= flips[k];
			good += decodes(b.at, b.len);
			b.at[i] ^= flips[k];
		}
	assert_in_range(good, 1, n - 1);
	for (size_t i = 0; i < 12; i++) { /* magic and version */
		b.at[i] ^= 1;
		assert_false(decodes(b.at, b.len));
		b.at[i] ^= 1;
	}
	free(b.at);
}

static void survives_every_mutation(void **state)
{
	size_t rounds = getenv("CORDON_SOAK") ? 200000 : 10000;
	struct bytes b = sample_bytes();
	uint8_t *buf = malloc(b.len + 64);
	uint64_t seed = 7;

	(void)state;
	assert_non_null(buf);
	for (size_t i = 0; i < rounds; i++) {
		size_t len = b.len;

		memcpy(buf, b.at, len);
		for (size_t n = 1 + i % 3; n > 0; n--)
			len = sample_mutate(buf, len, b.len + 64, &seed);
		(void)decodes(buf, len);
	}
	free(buf);
	free(b.at);
}

/* Each place where a number may be a length gets the largest ones. */
static void huge_counts_cost_nothing(void **state)
{
	static const uint32_t huge[] = { UINT32_MAX, 0x7fffffff, 0x10000000, POLICY_PLAN_MAX };
	struct bytes b = sample_bytes();
	uint8_t was[4];

	(void)state;
	for (size_t i = 12; i + 4 <= b.len; i++)
		for (size_t k = 0; k < sizeof(huge) / sizeof(huge[0]); k++) {
			memcpy(was, b.at + i, 4);
			for (size_t n = 0; n < 4; n++)
				b.at[i + n] = (uint8_t)(huge[k] >> (8 * n));
			(void)decodes(b.at, b.len);
			memcpy(b.at + i, was, 4);
		}
	free(b.at);
}

static void says_where_the_damage_is(void **state)
{
	struct bytes b = sample_bytes();
	struct policy_plan *plan = NULL;
	struct policy_error e;
	const uint8_t *target = memmem(b.at, b.len, "/usr/bin/hook", 13);

	(void)state;
	assert_non_null(target);
	b.at[target - b.at] = 'x'; /* no absolute path any more */
	assert_int_equal(policy_plan_decode(b.at, b.len, &plan, &e), POLICY_INVALID);
	assert_string_equal(e.key, "hooks[0].path");
	assert_non_null(strstr(e.what, "at byte"));
	free(b.at);
}

static enum policy_status encode(const struct policy_plan *plan)
{
	uint8_t *at = NULL;
	size_t len;
	enum policy_status s = policy_plan_encode(plan, &at, &len);

	free(at);
	return s;
}

/* One change each that no plan may have; what cannot be encoded cannot be carried out. */
static void refuses_what_no_plan_may_hold(void **state)
{
	static char proc[] = "/proc/self", up[] = "/a/../b", empty[] = "", slash[] = "/",
		    x[] = "/x";
	struct policy_plan *plan = sample_plan();
	struct policy_mount mount = { POLICY_MOUNT_BIND, x, x, 0, 0, 0 };
	struct policy_rlimit limit = { 0, 2, 1 };

#define REFUSED(change)                                                                        \
	do {                                                                                   \
		struct policy_plan was = *plan;                                                \
		struct policy_mount mount_was = mount;                                         \
		change;                                                                        \
		assert_int_equal(encode(plan), POLICY_INVALID);                                \
		*plan = was;                                                                   \
		mount = mount_was;                                                             \
	} while (0)

	(void)state;
	plan->mounts = &mount;
	plan->n_mounts = 1;
	assert_int_equal(encode(plan), POLICY_OK);
	REFUSED(mount.target = proc);
	REFUSED(mount.target = up);
	REFUSED(mount.target = slash);
	REFUSED(mount.source = empty);
	REFUSED(mount.kind = 0);
	REFUSED(mount.kind = POLICY_MOUNT_TMPFS);
	REFUSED(mount.attr = MOUNT_ATTR_IDMAP);
	REFUSED(mount.size = 1);
	REFUSED(plan->class = 0);
	REFUSED(plan->class = POLICY_CLASS_GUEST);
	REFUSED(plan->tee = POLICY_TEE_TDX);
	REFUSED(plan->tenant = up);
	REFUSED(plan->held = 0);
	REFUSED(plan->kernel = 9);
	REFUSED(plan->network = 0);
	REFUSED(plan->network = POLICY_NET_NONE); /* with rules */
	REFUSED(plan->rootfs = up);
	REFUSED(plan->namespaces |= 1);
	REFUSED(plan->hostname = empty);
	REFUSED(plan->process.argv = NULL);
	REFUSED(plan->process.cwd = empty);
	REFUSED(plan->process.user = empty);
	REFUSED(plan->process.uid = UINT32_MAX);
	REFUSED(plan->process.umask = 01000);
	REFUSED(plan->process.caps[0] = 1ull << 63);
	REFUSED(plan->process.oom_score_adj = -1001);
	REFUSED(plan->process.rlimits = &limit; plan->process.n_rlimits = 1);
	REFUSED(plan->process.n_rlimits = 17);
	REFUSED(plan->filter.flags = 1u << 3); /* NEW_LISTENER */
	REFUSED(plan->filter.n_insns = 4097);
	REFUSED(plan->filter.n_insns = 0);
	REFUSED(plan->n_mounts = 257);
	REFUSED(plan->profile = empty);
	REFUSED(plan->guest.vcpus = 1);
	assert_int_equal(encode(plan), POLICY_OK);
	policy_plan_free(plan);
}

static void refuses_two_spellings_of_a_truth(void **state)
{
	struct policy_plan *plan = sample_plan();
	struct bytes off, on;
	size_t at = 0;

	(void)state;
	plan->terminal = false;
	off = encoded(plan);
	plan->terminal = true;
	on = encoded(plan);
	while (off.at[at] == on.at[at])
		at++;
	assert_int_equal(on.at[at], 1);
	on.at[at] = 2;
	assert_false(decodes(on.at, on.len));
	free(off.at);
	free(on.at);
	policy_plan_free(plan);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(carries_every_field),
		cmocka_unit_test(refuses_every_truncation),
		cmocka_unit_test(refuses_a_byte_too_many),
		cmocka_unit_test(survives_every_flipped_byte),
		cmocka_unit_test(survives_every_mutation),
		cmocka_unit_test(huge_counts_cost_nothing),
		cmocka_unit_test(says_where_the_damage_is),
		cmocka_unit_test(refuses_what_no_plan_may_hold),
		cmocka_unit_test(refuses_two_spellings_of_a_truth),
	};

	return cmocka_run_group_tests_name("plan_codec", tests, NULL, NULL);
}
