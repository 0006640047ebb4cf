/* tests/policy/test_filter.c - compiled filters do what their profile says: judged by
 * running them on calls, beside a slow model that reads the flat text of the profile. */
#include "policy/profile.h"
#include "policy/syscall_args.h"
#include "tests/policy/bpf_eval.h"
#include "tests/policy/seccomp_vectors.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define NEWEST_TRIED 600
#define EPERM_VERDICT (SECCOMP_RET_ERRNO | EPERM)
#define ENOSYS_VERDICT (SECCOMP_RET_ERRNO | ENOSYS)

static const struct profile_context nothing = { .kernel = { 6, 18 } };

static enum policy_status compile(const char *json, const struct profile_context *cx,
				  struct policy_filter *f, struct policy_error *e)
{
	struct profile *p = NULL;
	enum policy_status s = profile_parse("p.json", json, strlen(json), &p, e);

	if (s == POLICY_OK)
		s = profile_compile(p, cx, f, e);
	profile_free(p);
	return s;
}

static struct policy_filter filter_of(const char *json)
{
	struct policy_filter f = { .insns = NULL };
	struct policy_error e = { .what = "" };
	enum policy_status s = compile(json, &nothing, &f, &e);

	if (s != POLICY_OK)
		print_message("%s: %s\n", e.key, e.what);
	assert_int_equal(s, POLICY_OK);
	return f;
}

/* ---- the model ------------------------------------------------------------------- */

struct model_arg {
	unsigned index;
	char op[32];
	uint64_t value, value_two;
};

struct model_rule {
	int number;
	char letter;
	uint32_t errno_ret;
	bool narrow[6];
	struct model_arg args[6];
	unsigned n_args;
};

struct model {
	uint32_t otherwise;
	struct model_rule *rules;
	size_t n;
};

static const struct {
	char letter;
	const char *name;
	uint32_t action;
	bool data;
} actions[] = {
	/* strictest first */
	{ 'P', "SCMP_ACT_KILL_PROCESS", SECCOMP_RET_KILL_PROCESS, false },
	{ 'K', "SCMP_ACT_KILL_THREAD", SECCOMP_RET_KILL_THREAD, false },
	{ 'S', "SCMP_ACT_TRAP", SECCOMP_RET_TRAP, false },
	{ 'E', "SCMP_ACT_ERRNO", SECCOMP_RET_ERRNO, true },
	{ 'T', "SCMP_ACT_TRACE", SECCOMP_RET_TRACE, true },
	{ 'L', "SCMP_ACT_LOG", SECCOMP_RET_LOG, false },
	{ 'A', "SCMP_ACT_ALLOW", SECCOMP_RET_ALLOW, false },
};
#define ACTIONS (sizeof(actions) / sizeof(actions[0]))

/* The calls with conditions that the tests use; which of their parameters are 32 bits
 * wide is said here anew. */
static const struct {
	const char *name;
	bool narrow[6];
} widths[] = {
	{ "socket", { true, true, true } },
	{ "personality", { true } },
	{ "clone", { true } },
	{ "mmap", { false, false, true, true, true, false } },
	{ "pread64", { true, false, false, false } },
	{ "kill", { true, true } },
};

static void read_rule(const char *line, struct model_rule *r)
{
	char name[64];
	int used = 0;

	assert_int_equal(sscanf(line, "%c %" SCNu32 " %63s %u%n", &r->letter, &r->errno_ret,
				name, &r->n_args, &used),
			 4);
	assert_true(r->n_args <= 6);
	r->number = syscall_number(name);
	for (unsigned i = 0; i < r->n_args; i++) {
		struct model_arg *a = &r->args[i];
		int more = 0;

		assert_int_equal(sscanf(line + used, " %u %31s %" SCNu64 " %" SCNu64 "%n",
					&a->index, a->op, &a->value, &a->value_two, &more),
				 4);
		used += more;
	}
	for (size_t i = 0; i < sizeof(widths) / sizeof(widths[0]); i++)
		if (strcmp(widths[i].name, name) == 0)
			memcpy(r->narrow, widths[i].narrow, sizeof(r->narrow));
}

static struct model model_of(char *flat)
{
	struct model m = { .rules = calloc(40000, sizeof(*m.rules)) };
	char *save = NULL, *line = strtok_r(flat, "\n", &save);
	char name[64];
	uint32_t errno_ret = 0;

	assert_non_null(m.rules);
	assert_int_equal(sscanf(line, "D %63s %" SCNu32, name, &errno_ret), 2);
	for (size_t i = 0; i < ACTIONS; i++)
		if (strcmp(actions[i].name, name) == 0)
			m.otherwise = actions[i].action | (actions[i].data ? errno_ret : 0);
	while ((line = strtok_r(NULL, "\n", &save)))
		read_rule(line, &m.rules[m.n++]);
	return m;
}

static bool model_arg_matches(const struct model_rule *r, const struct model_arg *a,
			      const struct seccomp_data *d)
{
	uint64_t mask = r->narrow[a->index] ? UINT32_MAX : UINT64_MAX;
	uint64_t x = d->args[a->index] & mask, v = a->value;

	if (strcmp(a->op, "SCMP_CMP_EQ") == 0)
		return x == (v & mask);
	if (strcmp(a->op, "SCMP_CMP_NE") == 0)
		return x != (v & mask);
	if (strcmp(a->op, "SCMP_CMP_LT") == 0)
		return x < v;
	if (strcmp(a->op, "SCMP_CMP_LE") == 0)
		return x <= v;
	if (strcmp(a->op, "SCMP_CMP_GT") == 0)
		return x > v;
	if (strcmp(a->op, "SCMP_CMP_GE") == 0)
		return x >= v;
	assert_string_equal(a->op, "SCMP_CMP_MASKED_EQ");
	return (x & v) == (a->value_two & mask);
}

static uint32_t model_call(const struct model *m, const struct seccomp_data *d)
{
	size_t best = ACTIONS;
	uint32_t result = m->otherwise;

	for (size_t i = 0; i < m->n; i++) {
		const struct model_rule *r = &m->rules[i];
		bool all = r->number == d->nr;
		size_t rank = 0;

		for (unsigned k = 0; all && k < r->n_args; k++)
			all = model_arg_matches(r, &r->args[k], d);
		if (!all)
			continue;
		while (actions[rank].letter != r->letter)
			rank++;
		if (rank < best) {
			best = rank;
			result = actions[rank].action | (actions[rank].data ? r->errno_ret : 0);
		}
	}
	return result;
}

/* ---- published profiles ---------------------------------------------------------- */

static const uint64_t values[] = {
	0,
	1,
	2,
	3,
	8,
	9,
	10,
	15,
	16,
	17,
	37,
	38,
	39,
	40,
	41,
	0x20000,
	0x20008,
	0x10000000,
	0x7e020000,
	0x7fffffff,
	0x80000000,
	0xffffffff,
	0x100000000,
	0x100000010,
	0x100000028,
	0x100000027,
	0x110000000,
	0xffffffff00000000,
	0xffffffff00000028,
	UINT64_MAX,
};
#define VALUES (sizeof(values) / sizeof(values[0]))

static void compare_call(const struct policy_filter *f, const struct model *m, int newest,
			 const struct seccomp_data *d)
{
	uint32_t wanted = d->nr > newest ? ENOSYS_VERDICT : model_call(m, d);
	uint32_t got = bpf_eval(f, d);

	if (got != wanted)
		print_message("call %d(0x%" PRIx64 ", 0x%" PRIx64 ", 0x%" PRIx64 ")\n", d->nr,
			      (uint64_t)d->args[0], (uint64_t)d->args[1], (uint64_t)d->args[2]);
	assert_int_equal(got, wanted);
}

static void compare_published(const char *json_name, const char *flat_name, int newest)
{
	size_t len = 0;
	char *json = vector_read(json_name, &len), *flat = vector_read(flat_name, &len);
	struct policy_filter f;
	struct model m;

	if (!json || !flat) {
		free(json);
		free(flat);
		skip();
	}
	f = filter_of(json);
	m = model_of(flat);
	for (int nr = 0; nr <= NEWEST_TRIED; nr++)
		for (size_t i = 0; i < VALUES; i++)
			for (size_t k = 0; k < VALUES; k++) {
				struct seccomp_data d = {
					.nr = nr,
					.arch = BPF_NATIVE,
					.args = { values[i], values[(i + k) % 7], values[k] }
				};

				compare_call(&f, &m, newest, &d);
			}
	policy_filter_clear(&f);
	free(m.rules);
	free(json);
	free(flat);
}

static void dockers_profile_does_what_its_flat_form_says(void **state)
{
	(void)state;
	compare_published("moby-default.json", "moby.amd64.nocaps.flat.txt",
			  syscall_number("removexattrat"));
}

static void the_containers_profile_does_what_its_flat_form_says(void **state)
{
	(void)state;
	compare_published("containers-common-seccomp.json", "common.amd64.nocaps.flat.txt",
			  syscall_number("futex_requeue"));
}

/* The rule "family above 40" lets vsock, 40, through when all 64 bits are compared. */
static void high_bits_do_not_open_dockers_profile(void **state)
{
	size_t len = 0;
	char *json = vector_read("moby-default.json", &len);
	struct policy_filter f;

	(void)state;
	if (!json)
		skip();
	f = filter_of(json);
	assert_int_equal(bpf_call(&f, SYS_socket, 40, 1, 0), EPERM_VERDICT);
	assert_int_equal(bpf_call(&f, SYS_socket, 0x100000028, 1, 0), EPERM_VERDICT);
	assert_int_equal(bpf_call(&f, SYS_socket, 0x100000026, 1, 0), EPERM_VERDICT);
	assert_int_equal(bpf_call(&f, SYS_socket, 0x100000002, 1, 0), SECCOMP_RET_ALLOW);
	assert_int_equal(bpf_call(&f, SYS_clone, 0x110000000, 0, 0), EPERM_VERDICT);
	policy_filter_clear(&f);
	free(json);
}

/* ---- random profiles ------------------------------------------------------------- */

static const char *const ops[] = { "NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ" };

static uint64_t pick(unsigned *seed)
{
	static const uint64_t wide[] = { 0x100000000, 0x100000001, 0x1ffffffff, 0x200000003,
					 0xffffffff00000000 };
	static const uint64_t low[] = {
		0,          1,          2,          3,          5,          40,
		0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff, UINT64_MAX, 0xffffffff80000000
	};
	unsigned n = (unsigned)rand_r(seed);

	return n % 2 ? wide[n / 2 % 5] : low[n / 2 % 12];
}

static void write_arg(FILE *to, unsigned *seed, size_t call, unsigned index)
{
	const char *op = ops[(unsigned)rand_r(seed) % 7];
	uint64_t v = pick(seed), two = strcmp(op, "MASKED_EQ") == 0 ? v & pick(seed) : 0;

	if (two && widths[call].narrow[index]) /* bits that nobody looks at */
		two ^= (uint64_t)rand_r(seed) << 32;

	fprintf(to,
		"{\"index\":%u,\"value\":%" PRIu64 ",\"valueTwo\":%" PRIu64
		",\"op\":\"SCMP_CMP_%s\"}",
		index, v, two, op);
}

static void write_entry(FILE *to, unsigned *seed)
{
	size_t call = (unsigned)rand_r(seed) % (sizeof(widths) / sizeof(widths[0]));
	const char *action = actions[(unsigned)rand_r(seed) % ACTIONS].name;
	unsigned n = (unsigned)rand_r(seed) % 4, first = (unsigned)rand_r(seed) % 3;

	fprintf(to, "{\"names\":[\"%s\"],\"action\":\"%s\",", widths[call].name, action);
	if (strcmp(action, "SCMP_ACT_ERRNO") == 0)
		fprintf(to, "\"errnoRet\":%u,", (unsigned)rand_r(seed) % 4);
	fputs("\"args\":[", to);
	for (unsigned i = 0; i < n; i++) {
		fputs(i ? "," : "", to);
		write_arg(to, seed, call, rand_r(seed) % 8 ? (first + i) % 3 : first);
	}
	fputs("]}", to);
}

static char *random_profile(unsigned *seed)
{
	char *text = NULL;
	size_t size = 0;
	FILE *to = open_memstream(&text, &size);
	unsigned n = 1 + (unsigned)rand_r(seed) % 7;

	assert_non_null(to);
	fprintf(to, "{\"defaultAction\":\"%s\",\"syscalls\":[",
		actions[(unsigned)rand_r(seed) % ACTIONS].name);
	for (unsigned i = 0; i < n; i++) {
		fputs(i ? "," : "", to);
		write_entry(to, seed);
	}
	fputs("]}", to);
	fclose(to);
	return text;
}

static char *flat_of(const char *json)
{
	struct profile *p = NULL;
	struct policy_error e;
	char *text = NULL;
	size_t size = 0;
	FILE *to = open_memstream(&text, &size);

	assert_non_null(to);
	assert_int_equal(profile_parse("p", json, strlen(json), &p, &e), POLICY_OK);
	assert_int_equal(profile_print_flat(to, p, &nothing, &e), POLICY_OK);
	fclose(to);
	profile_free(p);
	return text;
}

/* Above it ENOSYS is the answer, where the default is an errno. */
static int newest_of(const struct model *m)
{
	int newest = -1;

	for (size_t i = 0; i < m->n; i++)
		newest = m->rules[i].number > newest ? m->rules[i].number : newest;
	return (m->otherwise & SECCOMP_RET_ACTION_FULL) == SECCOMP_RET_ERRNO ? newest : INT_MAX;
}

static void compare_random(unsigned *seed)
{
	char *json = random_profile(seed), *flat = flat_of(json);
	struct policy_filter f = filter_of(json);
	struct model m = model_of(flat);

	for (int i = 0; i < 600; i++) {
		const char *name = widths[(unsigned)i % 6].name;
		struct seccomp_data d = { .nr = syscall_number(name), .arch = BPF_NATIVE };

		for (int k = 0; k < 3; k++)
			d.args[k] = pick(seed) + (uint64_t)(rand_r(seed) % 3) - 1;
		compare_call(&f, &m, newest_of(&m), &d);
	}
	policy_filter_clear(&f);
	free(m.rules);
	free(flat);
	free(json);
}

static void random_profiles_do_what_their_flat_form_says(void **state)
{
	int rounds = getenv("CORDON_SOAK") ? 20000 : 500;
	unsigned seed = 1;

	(void)state;
	for (int i = 0; i < rounds; i++)
		compare_random(&seed);
}

/* ---- which rule holds ------------------------------------------------------------ */

static void the_strictest_matching_rule_holds_in_any_order(void **state)
{
	static const char *const orders[] = {
		"{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"syscalls\":["
		"{\"names\":[\"ptrace\",\"kill\"],\"action\":\"SCMP_ACT_ALLOW\"},"
		"{\"names\":[\"ptrace\"],\"action\":\"SCMP_ACT_ERRNO\",\"errnoRet\":1},"
		"{\"names\":[\"kill\"],\"action\":\"SCMP_ACT_KILL\",\"args\":"
		"[{\"index\":1,\"value\":9,\"op\":\"SCMP_CMP_EQ\"}]}]}",
		"{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"syscalls\":["
		"{\"names\":[\"kill\"],\"action\":\"SCMP_ACT_KILL\",\"args\":"
		"[{\"index\":1,\"value\":9,\"op\":\"SCMP_CMP_EQ\"}]},"
		"{\"names\":[\"ptrace\"],\"action\":\"SCMP_ACT_ERRNO\",\"errnoRet\":1},"
		"{\"names\":[\"ptrace\",\"kill\"],\"action\":\"SCMP_ACT_ALLOW\"}]}",
	};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct policy_filter f = filter_of(orders[i]);

		assert_int_equal(bpf_call(&f, SYS_ptrace, 0, 0, 0), EPERM_VERDICT);
		assert_int_equal(bpf_call(&f, SYS_kill, 1, 15, 0), SECCOMP_RET_ALLOW);
		assert_int_equal(bpf_call(&f, SYS_kill, 1, 9, 0), SECCOMP_RET_KILL_THREAD);
		assert_int_equal(bpf_call(&f, SYS_kill, 1, 0x700000009, 0),
				 SECCOMP_RET_KILL_THREAD);
		policy_filter_clear(&f);
	}
}

static void foreign_architectures_and_x32_are_killed(void **state)
{
	struct policy_filter f = filter_of(
		"{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"archMap\":[{\"architecture\":"
		"\"SCMP_ARCH_X86_64\",\"subArchitectures\":[\"SCMP_ARCH_X86\",\"SCMP_ARCH_"
		"X32\"]},"
		"{\"architecture\":\"SCMP_ARCH_AARCH64\"}]}");
	struct seccomp_data d = { .nr = 1, .arch = AUDIT_ARCH_I386 };

	(void)state;
	assert_int_equal(bpf_eval(&f, &d), SECCOMP_RET_KILL_PROCESS);
	d.arch = 0;
	assert_int_equal(bpf_eval(&f, &d), SECCOMP_RET_KILL_PROCESS);
#ifdef __x86_64__
	for (int nr = 0; nr <= NEWEST_TRIED; nr++)
		assert_int_equal(bpf_call(&f, nr | 0x40000000, 0, 0, 0),
				 SECCOMP_RET_KILL_PROCESS);
#endif
	assert_int_equal(bpf_call(&f, 1, 0, 0, 0), SECCOMP_RET_ALLOW);
	policy_filter_clear(&f);
}

static void calls_younger_than_the_profile_are_not_there(void **state)
{
	struct policy_filter f = filter_of(
		"{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"syscalls\":[{\"names\":[\"read\"],"
		"\"action\":\"SCMP_ACT_ALLOW\"},{\"names\":[\"mseal\"],\"action\":"
		"\"SCMP_ACT_ALLOW\",\"includes\":{\"caps\":[\"CAP_BPF\"]}}]}");
	int newest = syscall_number("mseal");

	(void)state;
	assert_int_equal(bpf_call(&f, newest, 0, 0, 0), EPERM_VERDICT);
	assert_int_equal(bpf_call(&f, newest + 1, 0, 0, 0), ENOSYS_VERDICT);
	assert_int_equal(bpf_call(&f, SYS_read, 0, 0, 0), SECCOMP_RET_ALLOW);
	policy_filter_clear(&f);
	f = filter_of("{\"defaultAction\":\"SCMP_ACT_KILL_PROCESS\",\"syscalls\":[{\"names\":"
		      "[\"read\"],\"action\":\"SCMP_ACT_ALLOW\"}]}");
	assert_int_equal(bpf_call(&f, 5000, 0, 0, 0), SECCOMP_RET_KILL_PROCESS);
	policy_filter_clear(&f);
	f = filter_of("{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":"
		      "[\"read\"],\"action\":\"SCMP_ACT_ERRNO\"}]}");
	assert_int_equal(bpf_call(&f, 5000, 0, 0, 0), SECCOMP_RET_ALLOW);
	policy_filter_clear(&f);
}

/* ---- names ----------------------------------------------------------------------- */

#define ONE(dflt, act, name)                                                                   \
	"{\"defaultAction\":\"" dflt "\",\"syscalls\":[{\"names\":[\"" name                    \
	"\"],\"action\":\"" act "\"}]}"

static void a_denial_that_cannot_be_made_is_an_error(void **state)
{
	struct policy_filter f = { .insns = NULL };
	struct policy_error e;

	(void)state;
	assert_int_equal(compile(ONE("SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO", "no_such_call"),
				 &nothing, &f, &e),
			 POLICY_INVALID);
	assert_non_null(strstr(e.what, "no_such_call"));
	assert_string_equal(e.key, "syscalls[0]");
	assert_int_equal(
		compile("{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":"
			"[\"read\"],\"action\":\"SCMP_ACT_ERRNO\"},{\"names\":[\"kill\","
			"\"no_such_call\"],\"action\":\"SCMP_ACT_ERRNO\"}]}",
			&nothing, &f, &e),
		POLICY_INVALID);
	assert_string_equal(e.key, "syscalls[1]");
	assert_int_equal(
		compile(ONE("SCMP_ACT_LOG", "SCMP_ACT_KILL", "no_such_call"), &nothing, &f, &e),
		POLICY_INVALID);
	assert_null(f.insns);
	/* harmless: what is not known is denied anyway, or allowed anyway, or elsewhere */
	f = filter_of(ONE("SCMP_ACT_ERRNO", "SCMP_ACT_ALLOW", "no_such_call"));
	policy_filter_clear(&f);
	f = filter_of(ONE("SCMP_ACT_ERRNO", "SCMP_ACT_KILL", "no_such_call"));
	policy_filter_clear(&f);
	f = filter_of(ONE("SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO", "socketcall"));
	policy_filter_clear(&f);
	/* younger than libseccomp, and denied all the same */
	f = filter_of(ONE("SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO", "open_tree_attr"));
	assert_int_equal(bpf_call(&f, 467, 0, 0, 0), EPERM_VERDICT);
	policy_filter_clear(&f);
}

/* An entry on kill, whose second parameter is an int. */
#define ON_SIGNAL(op, value, two)                                                              \
	"{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"kill\"],"           \
	"\"action\":"                                                                          \
	"\"SCMP_ACT_ERRNO\",\"args\":[{\"index\":1,\"value\":" value ",\"valueTwo\":" two      \
	",\"op\":\"SCMP_CMP_" op "\"}]}]}"

static void narrow_parameters_are_compared_on_32_bits_whatever_is_written(void **state)
{
	static const struct {
		const char *json;
		uint64_t arg;
		bool denied;
	} cases[] = {
		/* 0x100000009, 0xffffffffffffffff */
		{ ON_SIGNAL("EQ", "4294967305", "0"), 9, true },
		{ ON_SIGNAL("EQ", "4294967305", "0"), 0x700000009, true },
		{ ON_SIGNAL("EQ", "4294967305", "0"), 10, false },
		{ ON_SIGNAL("EQ", "18446744073709551615", "0"), 0xffffffff, true },
		{ ON_SIGNAL("EQ", "18446744073709551615", "0"), 0x1ffffffff, true },
		{ ON_SIGNAL("NE", "4294967305", "0"), 0x100000009, false },
		{ ON_SIGNAL("NE", "4294967305", "0"), 9, false },
		{ ON_SIGNAL("NE", "4294967305", "0"), 10, true },
		{ ON_SIGNAL("MASKED_EQ", "4294967551", "4294967305"), 0x309, true },
		{ ON_SIGNAL("MASKED_EQ", "255", "4294967305"), 0xfffffff00000309, true },
		{ ON_SIGNAL("MASKED_EQ", "4294967551", "9"), 0x30a, false },
		{ ON_SIGNAL("MASKED_EQ", "18446744069414584320", "0"), 7, true },
		{ ON_SIGNAL("LT", "4294967296", "0"), UINT64_MAX, true },
		{ ON_SIGNAL("LE", "4294967296", "0"), 0, true },
		{ ON_SIGNAL("GT", "4294967296", "0"), UINT64_MAX, false },
		{ ON_SIGNAL("GE", "4294967296", "0"), 0x200000000, false },
		{ ON_SIGNAL("GE", "18446744073709551615", "0"), UINT64_MAX, false },
		{ ON_SIGNAL("LT", "4294967295", "0"), UINT64_MAX, false },
		{ ON_SIGNAL("GE", "4294967295", "0"), UINT64_MAX, true },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct policy_filter f = filter_of(cases[i].json);
		uint32_t wanted = cases[i].denied ? EPERM_VERDICT : SECCOMP_RET_ALLOW;

		if (bpf_call(&f, SYS_kill, 1, cases[i].arg, 0) != wanted)
			fail_msg("0x%" PRIx64 ": %s", cases[i].arg, cases[i].json);
		policy_filter_clear(&f);
	}
}

/* ---- the policy's lists ---------------------------------------------------------- */

static const char small[] =
	"{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"syscalls\":["
	"{\"names\":[\"read\",\"write\"],\"action\":\"SCMP_ACT_ALLOW\"},"
	"{\"names\":[\"clone3\",\"mount\"],\"action\":\"SCMP_ACT_ERRNO\",\"errnoRet\":38},"
	"{\"names\":[\"kill\"],\"action\":\"SCMP_ACT_KILL\",\"args\":"
	"[{\"index\":1,\"value\":9,\"op\":\"SCMP_CMP_EQ\"}]}]}";

static void the_policys_lists_replace_what_the_profile_says(void **state)
{
	static const char *const allow[] = { "mount", "write", "ioctl", NULL };
	static const char *const deny[] = { "write", "clone3", "kill", "mseal", NULL };
	struct profile_context cx = { .kernel = { 6, 18 }, .allow = allow, .deny = deny };
	struct policy_filter f = { .insns = NULL };
	struct policy_error e;

	(void)state;
	assert_int_equal(compile(small, &cx, &f, &e), POLICY_OK);
	assert_int_equal(bpf_call(&f, SYS_mount, 0, 0, 0), SECCOMP_RET_ALLOW);
	assert_int_equal(bpf_call(&f, SYS_ioctl, 0, 0x5412, 0), SECCOMP_RET_ALLOW);
	assert_int_equal(bpf_call(&f, SYS_write, 0, 0, 0), EPERM_VERDICT);
	assert_int_equal(bpf_call(&f, SYS_clone3, 0, 0, 0), EPERM_VERDICT);
	assert_int_equal(bpf_call(&f, SYS_kill, 1, 15, 0), EPERM_VERDICT);
	assert_int_equal(bpf_call(&f, SYS_kill, 1, 9, 0), SECCOMP_RET_KILL_THREAD);
	assert_int_equal(bpf_call(&f, syscall_number("mseal"), 0, 0, 0), EPERM_VERDICT);
	policy_filter_clear(&f);
	/* a denial is not milder than a default that kills */
	assert_int_equal(compile("{\"defaultAction\":\"SCMP_ACT_KILL_PROCESS\"}", &cx, &f, &e),
			 POLICY_OK);
	assert_int_equal(bpf_call(&f, SYS_kill, 0, 0, 0), SECCOMP_RET_KILL_PROCESS);
	policy_filter_clear(&f);
}

static void the_policys_lists_are_judged_by_name(void **state)
{
	static const struct {
		const char *list[3];
		bool deny;
		enum policy_status status;
		const char *key;
	} cases[] = {
		{ { "reed" }, false, POLICY_INVALID, "seccomp.allow[0]" },
		{ { "read", "reed" }, true, POLICY_INVALID, "seccomp.deny[1]" },
		{ { "read", "io_uring_setup" }, false, POLICY_REFUSED, "seccomp.allow[1]" },
		{ { "memfd_secret" }, false, POLICY_REFUSED, "seccomp.allow[0]" },
		{ { "io_uring_setup", "socketcall" }, true, POLICY_OK, "" },
		{ { "socketcall" }, false, POLICY_OK, "" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct profile_context cx = { .kernel = { 6, 18 } };
		struct policy_filter f = { .insns = NULL };
		struct policy_error e = { .key = "" };

		*(cases[i].deny ? &cx.deny : &cx.allow) = cases[i].list;
		assert_int_equal(compile(small, &cx, &f, &e), cases[i].status);
		assert_string_equal(e.key, cases[i].key);
		policy_filter_clear(&f);
	}
}

/* ---- size, flags, the kernel ----------------------------------------------------- */

static void a_filter_that_is_too_long_is_an_error(void **state)
{
	char *text = NULL;
	size_t size = 0;
	FILE *to = open_memstream(&text, &size);
	struct policy_filter f = { .insns = NULL };
	struct policy_error e;

	(void)state;
	assert_non_null(to);
	fputs("{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"syscalls\":[", to);
	for (int i = 0; i < 2000; i++)
		fprintf(to,
			"%s{\"names\":[\"kill\"],\"action\":\"SCMP_ACT_ALLOW\",\"args\":"
			"[{\"index\":1,\"value\":%d,\"op\":\"SCMP_CMP_EQ\"}]}",
			i ? "," : "", i);
	fputs("]}", to);
	fclose(to);
	assert_int_equal(compile(text, &nothing, &f, &e), POLICY_INVALID);
	assert_non_null(strstr(e.what, "4096"));
	assert_null(f.insns);
	free(text);
}

static void flags_are_those_that_the_profile_names(void **state)
{
	struct policy_filter f = filter_of("{\"defaultAction\":\"SCMP_ACT_ALLOW\"}");

	(void)state;
	assert_int_equal(f.flags, 0);
	policy_filter_clear(&f);
	assert_null(f.insns);
	f = filter_of("{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"flags\":["
		      "\"SECCOMP_FILTER_FLAG_LOG\",\"SECCOMP_FILTER_FLAG_SPEC_ALLOW\","
		      "\"SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV\"]}");
	assert_int_equal(f.flags, SECCOMP_FILTER_FLAG_LOG | SECCOMP_FILTER_FLAG_SPEC_ALLOW);
	policy_filter_clear(&f);
}

/* In a child: 0 when the kernel took the filter and it works. */
static int under_filter(const struct policy_filter *f)
{
	struct sock_fprog prog = { .len = (unsigned short)f->n_insns,
				   .filter = (struct sock_filter *)(uintptr_t)f->insns };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, f->flags, &prog))
		return 1;
	if (syscall(SYS_getppid) <= 0 || syscall(SYS_getpriority, 0, 0) < 0)
		return 2;
	if (syscall(SYS_socket, 0x100000028, 1, 0) != -1 || errno != EPERM)
		return 3;
	if (syscall(SYS_clone3, NULL, 0) != -1 || errno != ENOSYS)
		return 4;
	return syscall(4000) == -1 && errno == ENOSYS ? 0 : 5;
}

static void the_kernel_takes_the_default_filter(void **state)
{
	struct profile *p = NULL;
	struct policy_filter f = { .insns = NULL };
	struct policy_error e;
	int status = -1;
	pid_t child;

	(void)state;
	assert_int_equal(profile_default(&p, &e), POLICY_OK);
	assert_int_equal(profile_compile(p, &nothing, &f, &e), POLICY_OK);
	child = fork();
	assert_true(child >= 0);
	if (child == 0)
		_exit(under_filter(&f));
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	policy_filter_clear(&f);
	profile_free(p);
}

static void the_same_profile_gives_the_same_bytes(void **state)
{
	struct policy_filter a = filter_of(small), b = filter_of(small);

	(void)state;
	assert_int_equal(a.n_insns, b.n_insns);
	assert_memory_equal(a.insns, b.insns, a.n_insns * 8);
	policy_filter_clear(&a);
	policy_filter_clear(&b);
}

/* ---- in words -------------------------------------------------------------------- */

static char *printed(const struct policy_filter *f)
{
	char *text = NULL;
	size_t size = 0;
	FILE *to = open_memstream(&text, &size);

	assert_non_null(to);
	policy_filter_print(to, f);
	fclose(to);
	return text;
}

static void prints_one_instruction_a_line_in_words(void **state)
{
	struct sock_filter insns[] = {
		{ BPF_LD | BPF_W | BPF_ABS, 0, 0, 4 },
		{ BPF_JMP | BPF_JEQ | BPF_K, 1, 0, AUDIT_ARCH_X86_64 },
		{ BPF_RET | BPF_K, 0, 0, SECCOMP_RET_KILL_PROCESS },
		{ BPF_LD | BPF_W | BPF_ABS, 0, 0, 0 },
		{ BPF_JMP | BPF_JEQ | BPF_K, 0, 3, SYS_mount },
		{ BPF_LD | BPF_W | BPF_ABS, 0, 0, 16 },
		{ BPF_ALU | BPF_AND | BPF_K, 0, 0, 0xf000 },
		{ BPF_JMP | BPF_JEQ | BPF_K, 9, 0, SYS_mount },
		{ BPF_RET | BPF_K, 0, 0, EPERM_VERDICT },
		{ BPF_JMP | BPF_JA, 0, 0, 0xffffffff },
		{ 0xffff, 1, 2, 3 },
		{ BPF_RET | BPF_K, 0, 0, 0x12345678 },
	};
	struct policy_filter f = { .insns = (uint8_t *)insns,
				   .n_insns = sizeof(insns) / sizeof(insns[0]) };
	char wanted[2048], *got = printed(&f);

	(void)state;
	snprintf(wanted, sizeof(wanted),
		 "   0: ld arch\n"
		 "   1: jeq x86_64 -> 3 else 2 (KILL_PROCESS)\n"
		 "   2: ret KILL_PROCESS\n"
		 "   3: ld syscall\n"
		 "   4: jeq mount -> 5 else 8 (ERRNO EPERM)\n"
		 "   5: ld arg0.low\n"
		 "   6: and 0xf000\n"
		 "   7: jeq 0x%x -> 17 (outside) else 8 (ERRNO EPERM)\n"
		 "   8: ret ERRNO EPERM\n"
		 "   9: ja -> 4294967305 (outside)\n"
		 "  10: 0xffff jt 1 jf 2 k 0x3\n"
		 "  11: ret 0x12345678\n",
		 SYS_mount);
	assert_string_equal(got, wanted);
	free(got);
}

static void prints_any_bytes(void **state)
{
	uint8_t *bytes = malloc(64 * 8);
	struct policy_filter f = { .insns = bytes };
	unsigned seed = 1;

	(void)state;
	assert_non_null(bytes);
	for (int round = 0; round < 2000; round++) {
		f.n_insns = (unsigned)rand_r(&seed) % 65;
		for (size_t i = 0; i < f.n_insns * 8; i++)
			bytes[i] = (uint8_t)(rand_r(&seed) % 5 ? rand_r(&seed) % 40
							       : rand_r(&seed));
		free(printed(&f));
	}
	free(bytes);
}

static void names_calls_in_real_filters(void **state)
{
	struct policy_filter f = filter_of(small);
	char *text = printed(&f);

	(void)state;
	assert_non_null(strstr(text, "jeq kill -> "));
	assert_non_null(strstr(text, "ret ERRNO ENOSYS"));
	assert_null(strstr(text, "outside"));
	free(text);
	policy_filter_clear(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(dockers_profile_does_what_its_flat_form_says),
		cmocka_unit_test(the_containers_profile_does_what_its_flat_form_says),
		cmocka_unit_test(high_bits_do_not_open_dockers_profile),
		cmocka_unit_test(random_profiles_do_what_their_flat_form_says),
		cmocka_unit_test(the_strictest_matching_rule_holds_in_any_order),
		cmocka_unit_test(foreign_architectures_and_x32_are_killed),
		cmocka_unit_test(calls_younger_than_the_profile_are_not_there),
		cmocka_unit_test(a_denial_that_cannot_be_made_is_an_error),
		cmocka_unit_test(narrow_parameters_are_compared_on_32_bits_whatever_is_written),
		cmocka_unit_test(the_policys_lists_replace_what_the_profile_says),
		cmocka_unit_test(the_policys_lists_are_judged_by_name),
		cmocka_unit_test(a_filter_that_is_too_long_is_an_error),
		cmocka_unit_test(flags_are_those_that_the_profile_names),
		cmocka_unit_test(the_kernel_takes_the_default_filter),
		cmocka_unit_test(the_same_profile_gives_the_same_bytes),
		cmocka_unit_test(prints_one_instruction_a_line_in_words),
		cmocka_unit_test(prints_any_bytes),
		cmocka_unit_test(names_calls_in_real_filters),
	};

	return cmocka_run_group_tests_name("filter", tests, NULL, NULL);
}
