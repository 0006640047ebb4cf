/* tests/policy/test_profile.c - reading profiles, and which of their rules hold. */
#include "policy/profile.h"
#include "tests/policy/seccomp_vectors.h"

#include <linux/capability.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static const struct profile_context nothing = { .kernel = { 6, 18 } };

static enum policy_status parse(const char *json, struct policy_error *e)
{
	struct profile *p = NULL;
	enum policy_status s = profile_parse("p.json", json, strlen(json), &p, e);

	assert_true((s == POLICY_OK) == (p != NULL));
	profile_free(p);
	return s;
}

/* The flat text of a profile; the caller frees. */
static char *flat(const char *json, size_t len, const struct profile_context *cx)
{
	struct profile *p = NULL;
	struct policy_error e;
	char *text = NULL;
	size_t size = 0;
	FILE *to = open_memstream(&text, &size);

	assert_non_null(to);
	assert_int_equal(profile_parse("p.json", json, len, &p, &e), POLICY_OK);
	assert_int_equal(profile_print_flat(to, p, cx, &e), POLICY_OK);
	fclose(to);
	profile_free(p);
	return text;
}

static void assert_flat(const char *json, const struct profile_context *cx, const char *wanted)
{
	char *got = flat(json, strlen(json), cx);

	assert_string_equal(got, wanted);
	free(got);
}

/* ---- vectors --------------------------------------------------------------------- */

static void compare_vector(const char *json_name, const char *flat_name)
{
	size_t len = 0, wanted_len = 0;
	char *json = vector_read(json_name, &len);
	char *wanted = vector_read(flat_name, &wanted_len);
	bool there = json && wanted;

	if (there) {
		char *got = flat(json, len, &nothing);

		assert_string_equal(got, wanted);
		free(got);
	}
	free(json);
	free(wanted);
	if (!there)
		skip();
}

static void flattens_dockers_profile_as_published(void **state)
{
	(void)state;
	compare_vector("moby-default.json", "moby.amd64.nocaps.flat.txt");
}

static void flattens_the_containers_profile_as_published(void **state)
{
	(void)state;
	compare_vector("containers-common-seccomp.json", "common.amd64.nocaps.flat.txt");
}

/* ---- forms ----------------------------------------------------------------------- */

static const struct {
	const char *json;
	const char *wanted;
} accepted[] = {
	{ "{\"defaultAction\":\"SCMP_ACT_ALLOW\"}", "D SCMP_ACT_ALLOW 1\n" },
	{ "{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"defaultErrnoRet\":null,\"archMap\":null,"
	  "\"architectures\":[],\"flags\":null,\"syscalls\":null,\"listenerPath\":\"\"}",
	  "D SCMP_ACT_ERRNO 1\n" },
	{ "{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"defaultErrno\":\"ENOSYS\","
	  "\"defaultErrnoRet\":1}",
	  "D SCMP_ACT_ERRNO 38\n" },
	{ "{\"defaultAction\":\"SCMP_ACT_KILL\",\"syscalls\":[{\"name\":\"read\","
	  "\"action\":\"SCMP_ACT_ALLOW\",\"args\":null}]}",
	  "D SCMP_ACT_KILL_THREAD 1\nA 1 read 0\n" },
	{ "{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"syscalls\":[{\"names\":[\"read\",\"write\"],"
	  "\"name\":\"\",\"action\":\"SCMP_ACT_LOG\",\"args\":[],\"comment\":\"\","
	  "\"includes\":{},\"excludes\":null,\"errno\":\"\"}]}",
	  "D SCMP_ACT_ERRNO 1\nL 1 read 0\nL 1 write 0\n" },
	{ "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"mount\"],"
	  "\"action\":\"SCMP_ACT_ERRNO\",\"errnoRet\":1,\"errno\":\"ENOENT\"}]}",
	  "D SCMP_ACT_ALLOW 1\nE 2 mount 0\n" },
	{ "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"mmap\"],"
	  "\"action\":\"SCMP_ACT_TRAP\",\"args\":[{\"index\":0,\"value\":18446744073709551615,"
	  "\"op\":\"SCMP_CMP_EQ\"},{\"index\":1,\"value\":\"0xffffffff00000000\",\"valueTwo\":"
	  "9223372036854775808,\"op\":\"SCMP_CMP_MASKED_EQ\"}]}]}",
	  "D SCMP_ACT_ALLOW 1\nS 1 mmap 2 0 SCMP_CMP_EQ 18446744073709551615 0 "
	  "1 SCMP_CMP_MASKED_EQ 18446744069414584320 9223372036854775808\n" },
	/* a zero beside an action that has no errno is nothing */
	{ "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"defaultErrnoRet\":0,\"syscalls\":[{"
	  "\"names\":"
	  "[\"read\"],\"action\":\"SCMP_ACT_KILL\",\"errnoRet\":0},{\"names\":[\"write\"],"
	  "\"action\":\"SCMP_ACT_ERRNO\",\"errnoRet\":0}]}",
	  "D SCMP_ACT_ALLOW 1\nK 1 read 0\nE 0 write 0\n" },
	/* two conditions on one argument: or, for all of the entry's conditions */
	{ "{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"syscalls\":[{\"names\":[\"socket\"],"
	  "\"action\":\"SCMP_ACT_ALLOW\",\"args\":["
	  "{\"index\":0,\"value\":1,\"op\":\"SCMP_CMP_EQ\"},"
	  "{\"index\":0,\"value\":2,\"op\":\"SCMP_CMP_EQ\"},"
	  "{\"index\":1,\"value\":3,\"op\":\"SCMP_CMP_EQ\"}]}]}",
	  "D SCMP_ACT_ERRNO 1\nA 1 socket 1 0 SCMP_CMP_EQ 1 0\n"
	  "A 1 socket 1 0 SCMP_CMP_EQ 2 0\nA 1 socket 1 1 SCMP_CMP_EQ 3 0\n" },
	{ "{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"flags\":[\"SECCOMP_FILTER_FLAG_LOG\"],"
	  "\"architectures\":[\"SCMP_ARCH_X86\",\"SCMP_ARCH_X86_64\",\"SCMP_ARCH_AARCH64\"]}",
	  "D SCMP_ACT_ERRNO 1\n" },
};

static void reads_every_form_that_is_in_use(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(accepted) / sizeof(accepted[0]); i++)
		assert_flat(accepted[i].json, &nothing, accepted[i].wanted);
}

#define RULE(x) "{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"syscalls\":[{" x "}]}"
#define ARG(x) RULE("\"names\":[\"kill\"],\"action\":\"SCMP_ACT_ALLOW\",\"args\":[{" x "}]")

static const struct {
	const char *json;
	enum policy_status status;
	const char *key, *what; /* what: a part of it */
} wrong[] = {
	{ "[]", POLICY_INVALID, "", "must be an object" },
	{ "{}", POLICY_INVALID, "defaultAction", "missing" },
	{ "{\"defaultAction\":null}", POLICY_INVALID, "defaultAction", "missing" },
	{ "{\"defaultAction\":7}", POLICY_INVALID, "defaultAction", "must be a string" },
	{ "{\"defaultAction\":\"ALLOW\"}", POLICY_INVALID, "defaultAction", "unknown word" },
	{ "{\"defaultaction\":\"SCMP_ACT_ALLOW\"}", POLICY_INVALID, "defaultaction",
	  "unknown key" },
	{ "{\"defaultAction\":\"SCMP_ACT_NOTIFY\"}", POLICY_REFUSED, "defaultAction",
	  "supervisor" },
	{ "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"defaultErrnoRet\":1}", POLICY_INVALID,
	  "defaultErrnoRet", "contradiction" },
	{ "{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"defaultErrnoRet\":4096}", POLICY_INVALID,
	  "defaultErrnoRet", "4095" },
	{ "{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"defaultErrno\":\"EWHAT\"}", POLICY_INVALID,
	  "defaultErrno", "unknown error" },
	{ "{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"listenerPath\":\"/run/x\"}", POLICY_REFUSED,
	  "listenerPath", "supervisor" },
	{ "{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"listenerMetadata\":\"x\"}", POLICY_REFUSED,
	  "listenerMetadata", "supervisor" },
	{ "{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"flags\":[\"SECCOMP_FILTER_FLAG_X\"]}",
	  POLICY_INVALID, "flags[0]", "unknown word" },
	{ "{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"architectures\":[\"SCMP_ARCH_S390X\"]}",
	  POLICY_REFUSED, "architectures", "does not cover" },
	{ "{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"archMap\":[{\"architecture\":"
	  "\"SCMP_ARCH_S390X\",\"subArchitectures\":[\"SCMP_ARCH_X86_64\"]}]}",
	  POLICY_REFUSED, "archMap", "does not cover" },
	{ "{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"architectures\":[\"SCMP_ARCH_X86_64\"],"
	  "\"archMap\":[{\"architecture\":\"SCMP_ARCH_X86_64\"}]}",
	  POLICY_INVALID, "archMap", "both" },
	{ RULE("\"names\":[]"), POLICY_INVALID, "syscalls[0]", "without system calls" },
	{ RULE("\"action\":\"SCMP_ACT_ALLOW\""), POLICY_INVALID, "syscalls[0]",
	  "without system calls" },
	{ RULE("\"names\":[\"kill\"]"), POLICY_INVALID, "syscalls[0]", "needs an action" },
	{ RULE("\"names\":[\"kill\"],\"name\":\"kill\",\"action\":\"SCMP_ACT_ALLOW\""),
	  POLICY_INVALID, "syscalls[0].name", "both" },
	{ RULE("\"names\":[\"no such\"]"), POLICY_INVALID, "syscalls[0].names[0]", "name of" },
	{ RULE("\"names\":[7]"), POLICY_INVALID, "syscalls[0].names[0]", "name of" },
	{ RULE("\"names\":[\"kill\"],\"action\":\"SCMP_ACT_NOTIFY\""), POLICY_REFUSED,
	  "syscalls[0].action", "supervisor" },
	{ RULE("\"names\":[\"kill\"],\"action\":\"SCMP_ACT_ALLOW\",\"errnoRet\":1"),
	  POLICY_INVALID, "syscalls[0]", "contradiction" },
	{ "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"defaultErrnoRet\":1}", POLICY_INVALID,
	  "defaultErrnoRet", "contradiction" },
	{ "{\"process\":{},\"ociVersion\":\"1.2.0\",\"linux\":{\"seccomp\":{}}}",
	  POLICY_INVALID, "ociVersion", "OCI configuration" },
	{ "{\"kind\":\"SeccompProfile\",\"apiVersion\":\"x/v1\",\"spec\":{}}", POLICY_INVALID,
	  "apiVersion", "Kubernetes" },
	{ RULE("\"names\":[\"mmap\"],\"action\":\"SCMP_ACT_ALLOW\",\"args\":[{\"index\":0,"
	       "\"value\":255,\"valueTwo\":4294967296,\"op\":\"SCMP_CMP_MASKED_EQ\"}]"),
	  POLICY_INVALID, "syscalls[0].args[0]", "never match" },
	{ ARG("\"index\":0,\"value\":0,\"op\":\"SCMP_CMP_EQ\"},{\"index\":1,\"value\":255,"
	      "\"valueTwo\":256,\"op\":\"SCMP_CMP_MASKED_EQ\""),
	  POLICY_INVALID, "syscalls[0].args[1]", "never match" },
	{ RULE("\"names\":[\"kill\"],\"action\":\"SCMP_ACT_KILL\",\"errno\":\"EPERM\""),
	  POLICY_INVALID, "syscalls[0]", "contradiction" },
	{ RULE("\"names\":[\"kill\"],\"includes\":{\"caps\":[\"CAP_NO\"]}"), POLICY_INVALID,
	  "syscalls[0].includes.caps[0]", "capability" },
	{ RULE("\"names\":[\"kill\"],\"excludes\":{\"minKernel\":\"4\"}"), POLICY_INVALID,
	  "syscalls[0].excludes.minKernel", "kernel version" },
	{ RULE("\"names\":[\"kill\"],\"excludes\":{\"minKernel\":\"4.8x\"}"), POLICY_INVALID,
	  "syscalls[0].excludes.minKernel", "kernel version" },
	{ RULE("\"names\":[\"kill\"],\"includes\":{\"maxKernel\":\"4.8\"}"), POLICY_INVALID,
	  "syscalls[0].includes.maxKernel", "unknown key" },
	{ ARG("\"index\":0,\"value\":1"), POLICY_INVALID, "syscalls[0].args[0]", "needs" },
	{ ARG("\"index\":0,\"op\":\"SCMP_CMP_EQ\""), POLICY_INVALID, "syscalls[0].args[0]",
	  "needs" },
	{ ARG("\"index\":6,\"value\":1,\"op\":\"SCMP_CMP_EQ\""), POLICY_INVALID,
	  "syscalls[0].args[0].index", "at most 5" },
	{ ARG("\"index\":0,\"value\":-1,\"op\":\"SCMP_CMP_EQ\""), POLICY_INVALID,
	  "syscalls[0].args[0].value", "negative" },
	{ ARG("\"index\":0,\"value\":1.5,\"op\":\"SCMP_CMP_EQ\""), POLICY_INVALID,
	  "syscalls[0].args[0].value", "whole number" },
	{ ARG("\"index\":0,\"value\":18446744073709551616,\"op\":\"SCMP_CMP_EQ\""),
	  POLICY_INVALID, "syscalls[0].args[0].value", "above 18446744073709551615" },
	{ ARG("\"index\":0,\"value\":\"0x1g\",\"op\":\"SCMP_CMP_EQ\""), POLICY_INVALID,
	  "syscalls[0].args[0].value", "whole number" },
	{ ARG("\"index\":0,\"value\":1,\"op\":\"EQ\""), POLICY_INVALID,
	  "syscalls[0].args[0].op", "unknown word" },
	{ ARG("\"index\":0,\"value\":1,\"valueTwo\":2,\"op\":\"SCMP_CMP_EQ\""), POLICY_INVALID,
	  "syscalls[0].args[0]", "no meaning" },
	{ ARG("\"index\":0,\"value\":1,\"valueTwo\":2,\"op\":\"SCMP_CMP_MASKED_EQ\""),
	  POLICY_INVALID, "syscalls[0].args[0]", "never match" },
};

static void says_what_is_wrong_and_where(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct policy_error e = { .what = "" };

		print_message("%s\n", wrong[i].json);
		assert_int_equal(parse(wrong[i].json, &e), wrong[i].status);
		assert_string_equal(e.file, "p.json");
		assert_string_equal(e.key, wrong[i].key);
		assert_non_null(strstr(e.what, wrong[i].what));
	}
}

static void assert_place(const char *json, unsigned line, unsigned column)
{
	struct policy_error e;

	assert_int_equal(parse(json, &e), POLICY_INVALID);
	assert_int_equal(e.line, line);
	assert_int_equal(e.column, column);
}

static void syntax_errors_have_line_and_column(void **state)
{
	struct policy_error e;

	(void)state;
	assert_place("{\n  \"defaultAction\": \"SCMP_ACT_ALLOW\"\n  x\n}", 3, 4);
	/* numbers that were quoted on the way do not move what comes behind them */
	assert_place("[18446744073709551615, 18446744073709551615 x]", 1, 46);
	assert_int_equal(parse("{\"flags\":[],\n\"flags\":[]}", &e), POLICY_INVALID);
	assert_int_equal(e.line, 2);
	assert_non_null(strstr(e.what, "duplicate"));
	assert_int_equal(parse("{\"defaultAction\":\"SCMP_ACT_ALLOW\"} x", &e), POLICY_INVALID);
	assert_int_equal(parse("", &e), POLICY_INVALID);
}

static void refuses_what_is_too_large(void **state)
{
	struct policy_error e;
	struct profile *p = NULL;
	size_t len = (1u << 20) + 1;
	char *text = malloc(len);

	(void)state;
	assert_non_null(text);
	memset(text, ' ', len);
	assert_int_equal(profile_parse("p", text, len, &p, &e), POLICY_INVALID);
	assert_non_null(strstr(e.what, "too long"));
	memset(text, '[', len);
	assert_int_equal(profile_parse("p", text, len - 1, &p, &e), POLICY_INVALID);
	assert_non_null(strstr(e.what, "too deep"));
	assert_null(p);
	free(text);
}

/* ---- conditions ------------------------------------------------------------------ */

static const char conditions[] =
	"{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"syscalls\":["
	"{\"names\":[\"bpf\"],\"action\":\"SCMP_ACT_ALLOW\","
	" \"includes\":{\"caps\":[\"CAP_BPF\",\"CAP_SYS_ADMIN\"]}},"
	"{\"names\":[\"mount\"],\"action\":\"SCMP_ACT_ALLOW\","
	" \"excludes\":{\"caps\":[\"CAP_BPF\",\"CAP_SYS_ADMIN\"]}},"
	"{\"names\":[\"ptrace\"],\"action\":\"SCMP_ACT_ALLOW\","
	" \"includes\":{\"minKernel\":\"4.8\"}},"
	"{\"names\":[\"acct\"],\"action\":\"SCMP_ACT_ALLOW\","
	" \"excludes\":{\"minKernel\":\"4.8\"}},"
	"{\"names\":[\"read\"],\"action\":\"SCMP_ACT_ALLOW\","
	" \"includes\":{\"arches\":[\"sparc\"]}},"
	"{\"names\":[\"write\"],\"action\":\"SCMP_ACT_ALLOW\","
	" \"includes\":{\"arches\":[\"amd64\",\"arm64\"]},\"excludes\":{\"arches\":[\"x\"]}}]}";

static void includes_want_all_and_excludes_any(void **state)
{
	struct profile_context cx = { .kernel = { 4, 8 } };

	(void)state;
	assert_flat(conditions, &cx,
		    "D SCMP_ACT_ERRNO 1\nA 1 mount 0\nA 1 ptrace 0\nA 1 write 0\n");
	cx.caps = UINT64_C(1) << CAP_SYS_ADMIN;
	cx.kernel[1] = 7;
	assert_flat(conditions, &cx, "D SCMP_ACT_ERRNO 1\nA 1 acct 0\nA 1 write 0\n");
	cx.caps |= UINT64_C(1) << CAP_BPF;
	cx.kernel[0] = 5;
	cx.kernel[1] = 0;
	assert_flat(conditions, &cx,
		    "D SCMP_ACT_ERRNO 1\nA 1 bpf 0\nA 1 ptrace 0\nA 1 write 0\n");
}

/* ---- damage ---------------------------------------------------------------------- */

/* Small, and with every key of the form. */
static const char whole[] =
	"{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"defaultErrnoRet\":1,\"defaultErrno\":"
	"\"EPERM\","
	"\"archMap\":[{\"architecture\":\"SCMP_ARCH_X86_64\",\"subArchitectures\":null},"
	"{\"architecture\":\"SCMP_ARCH_AARCH64\"}],\"flags\":[\"SECCOMP_FILTER_FLAG_LOG\"],"
	"\"syscalls\":[{\"names\":[\"clone\",\"kill\"],\"action\":\"SCMP_ACT_ERRNO\","
	"\"errnoRet\":22,\"errno\":\"EINVAL\",\"comment\":\"c\",\"args\":[{\"index\":0,"
	"\"value\":2114060288,\"valueTwo\":0,\"op\":\"SCMP_CMP_MASKED_EQ\"}],"
	"\"includes\":{\"caps\":[\"CAP_KILL\"],\"arches\":[\"amd64\"],\"minKernel\":\"4.8\"},"
	"\"excludes\":{}}]}";

/* Whatever the bytes are, the answer is about them and never "could not tell". */
static void take(const char *text, size_t len, bool compile)
{
	struct profile *p = NULL;
	struct policy_error e = { .what = "" };
	struct policy_filter f = { .insns = NULL };
	char *copy = malloc(len ? len : 1); /* exact: a sanitizer sees what is read behind it */
	enum policy_status s;

	assert_non_null(copy);
	memcpy(copy, text, len);
	s = profile_parse("p", copy, len, &p, &e);
	if (s == POLICY_OK && compile)
		s = profile_compile(p, &nothing, &f, &e);
	assert_int_not_equal(s, POLICY_SYSTEM);
	if (s != POLICY_OK)
		assert_true(e.what[0] != '\0');
	policy_filter_clear(&f);
	profile_free(p);
	free(copy);
}

static void survives_every_truncation_and_every_flipped_byte(void **state)
{
	char text[sizeof(whole)];

	(void)state;
	for (size_t n = 0; n < sizeof(whole) - 1; n++) {
		struct profile *p = NULL;
		struct policy_error e;

		assert_int_equal(profile_parse("p", whole, n, &p, &e), POLICY_INVALID);
		take(whole, n, true);
	}
	for (size_t n = 0; n < sizeof(whole) - 1; n++)
		for (unsigned bit = 0; bit < 8; bit++) {
			memcpy(text, whole, sizeof(whole));
			text[n] = (char)(text[n] ^ 1 << bit);
			take(text, sizeof(whole) - 1, true);
		}
}

/* One change: a byte, a cut, a doubled stretch, or a word of the form put elsewhere. */
static size_t mutate(char *text, size_t len, unsigned *seed)
{
	static const char *const pieces[] = { "null",   "-1", "18446744073709551616", "\"",
					      "{",      "]",  "[[[[[[[[[[[[[[[[[[[[", "1e400",
					      "\\u0000" };
	const char *piece = pieces[(size_t)rand_r(seed) % (sizeof(pieces) / sizeof(pieces[0]))];
	size_t at = (size_t)rand_r(seed) % len, n = strlen(piece);

	switch (rand_r(seed) % 4) {
	case 0:
		text[at] = (char)rand_r(seed);
		return len;
	case 1:
		n = 1 + (size_t)rand_r(seed) % 40;
		n = n > len - at ? len - at : n;
		memmove(text + at, text + at + n, len - at - n);
		return len - n;
	case 2:
		n = n > len - at ? len - at : n;
		memcpy(text + at, piece, n);
		return len;
	default:
		n = (size_t)rand_r(seed) % 60;
		n = n > len - at ? len - at : n;
		memmove(text + (size_t)rand_r(seed) % (len - n + 1), text + at, n);
		return len;
	}
}

static void survives_mutations_of_real_profiles(void **state)
{
	static const char *const names[] = { "moby-default.json",
					     "containers-common-seccomp.json" };
	int rounds = getenv("CORDON_SOAK") ? 10000 : 400;

	(void)state;
	for (size_t v = 0; v < sizeof(names) / sizeof(names[0]); v++) {
		size_t len = 0;
		char *text = vector_read(names[v], &len);
		char *copy = text ? malloc(len) : NULL;
		unsigned seed = (unsigned)v + 1;

		if (!copy) {
			free(text);
			skip();
		}
		for (int i = 0; i < rounds; i++) {
			size_t n = len;

			memcpy(copy, text, len);
			for (int k = rand_r(&seed) % 4; k >= 0 && n; k--)
				n = mutate(copy, n, &seed);
			take(copy, n, i % 8 == 0);
		}
		free(copy);
		free(text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(flattens_dockers_profile_as_published),
		cmocka_unit_test(flattens_the_containers_profile_as_published),
		cmocka_unit_test(reads_every_form_that_is_in_use),
		cmocka_unit_test(says_what_is_wrong_and_where),
		cmocka_unit_test(syntax_errors_have_line_and_column),
		cmocka_unit_test(refuses_what_is_too_large),
		cmocka_unit_test(includes_want_all_and_excludes_any),
		cmocka_unit_test(survives_every_truncation_and_every_flipped_byte),
		cmocka_unit_test(survives_mutations_of_real_profiles),
	};

	return cmocka_run_group_tests_name("profile", tests, NULL, NULL);
}
