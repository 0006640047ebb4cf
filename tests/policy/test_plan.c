/* tests/policy/test_plan.c - what a policy becomes. */
#include "policy/profile.h"
#include "tests/policy/sample.h"

#include <linux/mount.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/resource.h>
#include <cmocka.h>

#define HEAD                                                                                   \
	"cordon: 1\ntenant: acme\nisolation: { class: sandbox }\n"                             \
	"scrub: { held: wiped, kernel: none }\n"
#define GUEST                                                                                  \
	"cordon: 1\ntenant: acme\nisolation: { class: guest, tee: [sev-snp, tdx] }\n"          \
	"scrub: { held: wiped, kernel: none }\n"                                               \
	"workload: { kernel: /boot/k, vcpus: 2, memory: 1GiB }\n"

static char word_ls[] = "ls", word_l[] = "-l";
static char *command_ls[] = { word_ls, word_l, NULL };

static enum policy_status make_of(const char *text, char *const *argv, struct policy_plan **ret,
				  struct policy_error *e)
{
	struct policy_filter f = sample_filter();
	struct policy *p = NULL;
	enum policy_status s;

	assert_int_equal(policy_parse("f", text, strlen(text), &p, e), POLICY_OK);
	s = policy_plan_make(p, argv, &f, ret, e);
	assert_null(f.insns); /* taken over, whatever came of it */
	policy_free(p);
	return s;
}

static struct policy_plan *plan_of(const char *text, char *const *argv)
{
	struct policy_plan *plan = NULL;
	struct policy_error e;

	if (make_of(text, argv, &plan, &e) != POLICY_OK)
		fail_msg("%s: %s", e.key, e.what);
	return plan;
}

static char *text_of(void (*print)(FILE *, const struct policy_plan *),
		     const struct policy_plan *plan)
{
	char *text = NULL;
	size_t len;
	FILE *to = open_memstream(&text, &len);

	assert_non_null(to);
	print(to, plan);
	assert_int_equal(fclose(to), 0);
	return text;
}

static void builtin_is_modest_and_not_demanded(void **state)
{
	struct policy *p = NULL;
	struct policy_plan *plan = NULL;
	struct policy_filter f = sample_filter();
	struct policy_error e;

	(void)state;
	assert_int_equal(policy_builtin(&p, &e), POLICY_OK);
	assert_int_equal(policy_plan_make(p, command_ls, &f, &plan, &e), POLICY_OK);
	policy_free(p); /* a plan owes nothing to its policy */

	assert_string_equal(plan->tenant, "local");
	assert_int_equal(plan->class, POLICY_CLASS_SANDBOX);
	assert_true(plan->builtin);
	assert_false(plan->shared_uid);
	assert_false(plan->root_writable);
	assert_int_equal(plan->network, POLICY_NET_NONE);
	assert_int_equal(plan->held, POLICY_HELD_WIPED);
	assert_int_equal(plan->kernel, POLICY_KERNEL_NONE);
	assert_true(plan->namespaces ==
		    (CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC |
		     CLONE_NEWUTS | CLONE_NEWCGROUP | CLONE_NEWTIME));
	assert_false(plan->limits.demanded);
	assert_true(plan->limits.memory && plan->limits.cpu_milli && plan->limits.pids);
	assert_int_equal(plan->process.uid, 1000);
	for (size_t i = 0; i < POLICY_CAPSETS; i++)
		assert_int_equal(plan->process.caps[i], 0);
	assert_string_equal(plan->process.argv[1], "-l");
	assert_null(plan->process.argv[2]);
	assert_int_equal(plan->filter.n_insns, 1);
	assert_string_equal(plan->rootfs, "");
	assert_string_equal(plan->guest.kernel, "");
	policy_plan_free(plan);
}

static void one_command_from_one_place(void **state)
{
	static char nothing[] = "";
	char *const empty[] = { nothing, NULL };
	struct policy_plan *plan = NULL;
	struct policy_error e;

	(void)state;
	assert_int_equal(make_of(HEAD, NULL, &plan, &e), POLICY_REFUSED);
	assert_int_equal(make_of(HEAD, empty, &plan, &e), POLICY_REFUSED);
	assert_int_equal(make_of(HEAD "workload: { command: [id] }\n", command_ls, &plan, &e),
			 POLICY_REFUSED);
	assert_string_equal(e.key, "workload.command");
	assert_int_equal(make_of(GUEST, command_ls, &plan, &e), POLICY_REFUSED);
	assert_null(plan);

	plan = plan_of(HEAD "workload: { command: [id, -u] }\n", NULL);
	assert_string_equal(plan->process.argv[1], "-u");
	policy_plan_free(plan);
}

static void core_dumps_are_stopped_by_the_limit_of_one(void **state)
{
	struct policy_plan *plan = plan_of(HEAD, command_ls);
	bool seen = false;

	(void)state;
	for (size_t i = 0; i < plan->process.n_rlimits; i++)
		if (plan->process.rlimits[i].resource == RLIMIT_CORE) {
			seen = true;
			assert_int_equal(plan->process.rlimits[i].soft, 1);
			assert_int_equal(plan->process.rlimits[i].hard, 1);
		}
	assert_true(seen);
	policy_plan_free(plan);
}

static void environment_is_defaults_and_what_is_written(void **state)
{
	static const char *const wanted[] = {
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"HOME=/home/me",
		"USER=me",
		"LANG=de_DE.UTF-8",
		"TERM=xterm",
		"PATHS=/x",
		"A=b=c",
	};
	struct policy_plan *plan = plan_of(
		HEAD
		"workload: { user: { name: me }, environment: { PATHS: /x, LANG: de_DE.UTF-8,"
		" A: b=c } }\n",
		command_ls);

	(void)state;
	for (size_t i = 0; i < 7; i++)
		assert_string_equal(plan->process.env[i], wanted[i]);
	assert_null(plan->process.env[7]);
	policy_plan_free(plan);
}

static void mounts_are_data_unless_more_is_written(void **state)
{
	const uint64_t data = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC |
			      MOUNT_ATTR_NOSYMFOLLOW;
	struct policy_plan *plan =
		plan_of(HEAD "workload:\n  mounts:\n"
			     "  - { source: /a, target: /m/a }\n"
			     "  - { source: /b, target: /m/b, write: true }\n"
			     "  - { source: /c, target: /m/c, exec: true }\n"
			     "  - { source: /d, target: /m/d, write: true, exec: true }\n"
			     "  - { tmpfs: 1MiB, target: /m/e }\n",
			command_ls);

	(void)state;
	assert_int_equal(plan->n_mounts, 5);
	assert_true(plan->mounts[0].attr == (data | MOUNT_ATTR_RDONLY));
	assert_true(plan->mounts[1].attr == data);
	assert_true(plan->mounts[2].attr ==
		    (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_RDONLY));
	assert_true(plan->mounts[3].attr == (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV));
	assert_true(plan->mounts[4].attr == data);
	assert_int_equal(plan->mounts[4].kind, POLICY_MOUNT_TMPFS);
	assert_int_equal(plan->mounts[4].size, 1 << 20);
	policy_plan_free(plan);
}

static void capabilities_reach_all_five_sets(void **state)
{
	struct policy_plan *plan =
		plan_of(HEAD "capabilities: [CAP_NET_BIND_SERVICE]\n", command_ls);

	(void)state;
	for (size_t i = 0; i < POLICY_CAPSETS; i++)
		assert_int_equal(plan->process.caps[i], 1 << 10);
	policy_plan_free(plan);
}

static void limits_are_exact(void **state)
{
	struct policy_plan *plan =
		plan_of(HEAD "resources: { memory: 48MiB, cpus: 0.25, pids: 7, files: 99 }\n",
			command_ls);

	(void)state;
	assert_int_equal(plan->limits.memory, 48 << 20);
	assert_int_equal(plan->limits.cpu_milli, 250);
	assert_int_equal(plan->limits.pids, 7);
	assert_int_equal(plan->limits.tmpfs, 48 << 20); /* no more than there is memory */
	assert_int_equal(plan->limits.core_sched, POLICY_CORE_PREFER);
	assert_true(plan->limits.demanded);
	for (size_t i = 0; i < plan->process.n_rlimits; i++)
		if (plan->process.rlimits[i].resource == RLIMIT_NOFILE)
			assert_int_equal(plan->process.rlimits[i].hard, 99);
	policy_plan_free(plan);
}

static void attestation_is_kept_as_written(void **state)
{
	static const struct {
		const char *text, *wanted;
	} cases[] = {
		{ "attestation:\n  classes:\n    - sandbox  # why\n    # \xc3\xa4\n    - "
		  "tdx\n\n# end\n"
		  "audit: { witness: required }\n",
		  "  classes:\n    - sandbox  # why\n    # \xc3\xa4\n    - tdx" },
		{ "# \xc3\xa4\xc3\xb6\nattestation:   { classes: [sandbox,\n  tdx] }  # why\n",
		  "{ classes: [sandbox,\n  tdx] }" },
		{ "attestation:\r\n  classes: [\"sandbox\"]\r\n", "  classes: [\"sandbox\"]" },
		{ "attestation:\n  classes:\n    - >-\n      sandbox\naudit: {}\n",
		  "  classes:\n    - >-\n      sandbox" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char text[512];
		struct policy_plan *plan;

		snprintf(text, sizeof(text), "%s%s", HEAD, cases[i].text);
		plan = plan_of(text, command_ls);
		assert_string_equal(plan->attestation, cases[i].wanted);
		policy_plan_free(plan);
	}
}

static void a_guest_has_nothing_of_a_sandbox(void **state)
{
	struct policy_plan *plan = plan_of(GUEST "capabilities: [CAP_KILL]\n", NULL);

	(void)state;
	assert_int_equal(plan->tee, POLICY_TEE_SEV_SNP | POLICY_TEE_TDX);
	assert_int_equal(plan->namespaces, 0);
	assert_int_equal(plan->filter.n_insns, 0);
	assert_null(plan->process.argv[0]);
	assert_int_equal(plan->limits.memory, 1 << 30);
	assert_int_equal(plan->guest.vcpus, 2);
	policy_plan_free(plan);
}

static void explains_what_matters(void **state)
{
	struct policy_plan *plan = plan_of(HEAD "capabilities: [CAP_SYS_ADMIN]\n", command_ls);
	char *text = text_of(policy_plan_explain, plan);

	(void)state;
	assert_non_null(strstr(text, "Whoever is root on this host can see all of it."));
	assert_non_null(
		strstr(text, "NOT limited by this policy: memory processors processes."));
	assert_non_null(strstr(text, "DANGEROUS"));
	assert_non_null(strstr(text, "CAP_SYS_ADMIN"));
	assert_non_null(strstr(text, "no network but its own loopback"));
	assert_non_null(strstr(text, "Denied: "));
	free(text);
	policy_plan_free(plan);
	plan = plan_of(sample_policy, NULL);
	text = text_of(policy_plan_explain, plan);
	assert_non_null(strstr(text, "This policy allows in addition: ptrace"));
	assert_non_null(strstr(text, "out to 10.0.0.0/8, tcp ports 443 to 443"));
	assert_non_null(strstr(text, "workload_digest is 0123456789abcdef"));
	assert_non_null(strstr(text, "A key service does not store this: no reference values"));
	assert_non_null(strstr(text, "Denied: "));
	assert_null(strstr(text, "Denied: ptrace")); /* allowed by this policy */
	assert_null(strstr(text, "DANGEROUS"));
	assert_null(strstr(text, "NOT limited"));
	free(text);
	policy_plan_free(plan);
}

/* The text of a file between two words of it; the caller frees. */
static char *part_of(const char *path, const char *from, const char *to)
{
	static char whole[1 << 17];
	FILE *f = fopen(path, "r");
	char *begin, *end;
	size_t len;

	assert_non_null(f);
	len = fread(whole, 1, sizeof(whole) - 1, f);
	fclose(f);
	whole[len] = '\0';
	begin = strstr(whole, from);
	assert_non_null(begin);
	end = strstr(begin, to);
	assert_non_null(end);
	return strndup(begin, (size_t)(end - begin));
}

/* Each text of `part` that stands behind `mark`, up to one of `ends`, is said in `text`;
 * returns how many there are. */
static size_t says_all(const char *text, const char *part, const char *mark, const char *ends)
{
	size_t n = 0;

	for (const char *at = strstr(part, mark); at; at = strstr(at, mark), n++) {
		char word[64];

		at += strlen(mark);
		snprintf(word, sizeof(word), "%.*s", (int)strcspn(at, ends), at);
		if (strncmp(word, "io_uring_", 9) == 0)
			word[8] = '\0';
		if (!strstr(text, word))
			fail_msg("%s is not named", word);
	}
	return n;
}

/* What the launcher shows and refuses, from its own tables. */
static void explains_what_the_launcher_does(void **state)
{
	struct policy_plan *plan = plan_of(HEAD, command_ls);
	char *text = text_of(policy_plan_explain, plan);
	char *views = part_of("runtime/mounts.c", "} host_views[] = {", "};");
	char *floor = part_of("runtime/confine_calls.c", "load_floor(void)", "};");

	(void)state;
	assert_in_range(says_all(text, views, "{ \"", "\""), 5, 50);
	assert_in_range(says_all(text, floor, "ABSENT(SYS_", ")"), 5, 50);
	assert_non_null(strstr(floor, "CLONE_UNTRACED"));
	assert_non_null(strstr(text, "CLONE_UNTRACED"));
	assert_non_null(strstr(text, "new user namespaces"));
	assert_non_null(strstr(text, "nothing else of the host's files.\n"));
	free(floor);
	free(views);
	free(text);
	policy_plan_free(plan);
	plan = plan_of(GUEST, NULL);
	text = text_of(policy_plan_explain, plan);
	assert_null(strstr(text, "Refused below every profile"));
	free(text);
	policy_plan_free(plan);
}

/* A plan whose filter is of a profile with that default. */
static struct policy_plan *plan_with_default(const char *action)
{
	static char path[] = "/p.json";
	const struct profile_context cx = { .kernel = { 6, 18 } };
	struct policy_filter f = { .insns = NULL };
	struct policy_plan *plan = NULL;
	struct policy *policy = NULL;
	struct profile *p = NULL;
	char json[256];
	struct policy_error e;

	snprintf(json, sizeof(json),
		 "{\"defaultAction\":\"SCMP_ACT_%s\",\"syscalls\":[{\"names\":[\"read\"],"
		 "\"action\":\"SCMP_ACT_ALLOW\"},{\"names\":[\"mseal\"],\"action\":"
		 "\"SCMP_ACT_KILL\"}]}",
		 action);
	assert_int_equal(profile_parse("p.json", json, strlen(json), &p, &e), POLICY_OK);
	assert_int_equal(profile_compile(p, &cx, &f, &e), POLICY_OK);
	assert_int_equal(policy_parse("f", HEAD, strlen(HEAD), &policy, &e), POLICY_OK);
	assert_int_equal(policy_plan_make(policy, command_ls, &f, &plan, &e), POLICY_OK);
	policy_free(policy);
	profile_free(p);
	plan->profile = path;
	return plan;
}

static void explains_the_default_of_a_foreign_profile(void **state)
{
	static const struct {
		const char *action, *wanted;
	} cases[] = {
		{ "ERRNO", "profile /p.json: what it does not name is denied.\n" },
		{ "ALLOW", "what it does not name is ALLOWED.\n" },
		{ "LOG", "what it does not name is ALLOWED, and logged" },
		{ "TRACE", "what it does not name is denied.\n" },
		{ "TRAP", "SIGSYS.\n" },
		{ "KILL_THREAD", "what it does not name kills the thread.\n" },
		{ "KILL_PROCESS", "what it does not name kills the process.\n" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct policy_plan *plan = plan_with_default(cases[i].action);
		char *text = text_of(policy_plan_explain, plan);

		if (!strstr(text, cases[i].wanted))
			fail_msg("%s: no \"%s\" in\n%s", cases[i].action, cases[i].wanted,
				 text);
		assert_non_null(strstr(text, "Refused below every profile"));
		free(text);
		policy_plan_free(plan);
	}
}

/* A filter from elsewhere, with an instruction that ours never has. */
static void does_not_guess_what_a_filter_says(void **state)
{
	struct policy_plan *plan = plan_with_default("ALLOW");
	char *text;

	(void)state;
	plan->filter.insns[0] = 0xff;
	text = text_of(policy_plan_explain, plan);
	assert_non_null(strstr(text, "cannot be told"));
	free(text);
	policy_plan_free(plan);
}

/* Whatever an argument holds, the printed plan has one line for all of them. */
static void a_value_cannot_look_like_a_line(void **state)
{
	static char evil[] = "x\"\nheld: none\n\x1b[2J\\";
	char *argv[] = { evil, NULL };
	struct policy_plan *plan = plan_of(HEAD, argv);
	char *text = text_of(policy_plan_print, plan);

	(void)state;
	assert_non_null(
		strstr(text, "process.argv: [\"x\\\"\\nheld: none\\n\\x1b[2J\\\\\"]\n"));
	assert_null(strstr(text, "\nheld: none"));
	free(text);
	text = text_of(policy_plan_explain, plan);
	assert_null(strchr(text, '\x1b'));
	assert_null(strstr(text, "\nheld: none"));
	free(text);
	policy_plan_free(plan);
}

static void a_command_may_not_outgrow_the_plan(void **state)
{
	static char long_word[100001];
	char *argv[20];
	struct policy_plan *plan = NULL;
	struct policy_error e;

	(void)state;
	memset(long_word, 'x', sizeof(long_word) - 1);
	for (size_t i = 0; i < 19; i++)
		argv[i] = long_word;
	argv[19] = NULL;
	assert_int_equal(make_of(HEAD, argv, &plan, &e), POLICY_INVALID);
	assert_null(plan);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(builtin_is_modest_and_not_demanded),
		cmocka_unit_test(one_command_from_one_place),
		cmocka_unit_test(core_dumps_are_stopped_by_the_limit_of_one),
		cmocka_unit_test(environment_is_defaults_and_what_is_written),
		cmocka_unit_test(mounts_are_data_unless_more_is_written),
		cmocka_unit_test(capabilities_reach_all_five_sets),
		cmocka_unit_test(limits_are_exact),
		cmocka_unit_test(attestation_is_kept_as_written),
		cmocka_unit_test(a_guest_has_nothing_of_a_sandbox),
		cmocka_unit_test(explains_what_matters),
		cmocka_unit_test(explains_what_the_launcher_does),
		cmocka_unit_test(explains_the_default_of_a_foreign_profile),
		cmocka_unit_test(does_not_guess_what_a_filter_says),
		cmocka_unit_test(a_value_cannot_look_like_a_line),
		cmocka_unit_test(a_command_may_not_outgrow_the_plan),
	};

	return cmocka_run_group_tests_name("plan", tests, NULL, NULL);
}
