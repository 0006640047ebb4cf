/* tests/memscrub/test_sweep.c - free memory, had and given back. */
#include "memscrub/memscrub.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define MIB ((uint64_t)1 << 20)

static struct scrub_sweep_result sweeps(const struct scrub_sweep_limits *limits)
{
	struct scrub_sweep_result r = { 0 };
	struct memscrub_error e = { .what = "" };

	if (scrub_sweep(limits, &r, &e) != MEMSCRUB_OK)
		fail_msg("%s", e.what);
	assert_true(r.free_before > 0);
	assert_true(r.percent < 100);
	return r;
}

static void skip_without_memory(uint64_t wanted)
{
	const struct scrub_sweep_limits little = { .bytes = 2 * MIB };

	if (sweeps(&little).free_before < 2 * wanted + 128 * MIB) {
		print_message("skipped: too little memory is free\n");
		skip();
	}
}

static void bytes_are_a_limit_and_rounded_down(void **state)
{
	const struct scrub_sweep_limits limits = { .bytes = 33 * MIB };
	struct scrub_sweep_result r;

	(void)state;
	skip_without_memory(128 * MIB);
	r = sweeps(&limits);
	assert_int_equal(r.bytes, 32 * MIB);
	assert_int_equal(r.end, SWEEP_LIMIT);
	assert_true(r.percent <= 32 * MIB * 100 / r.free_before);
}

static void time_is_a_limit(void **state)
{
	const struct scrub_sweep_limits limits = { .ns = 50 * 1000000,
						   .bytes_per_second = 64 * MIB };
	struct scrub_sweep_result r;

	(void)state;
	skip_without_memory(128 * MIB);
	r = sweeps(&limits);
	assert_int_equal(r.end, SWEEP_LIMIT);
	assert_true(r.ns < 5000000000u);
	assert_true(r.bytes < 64 * MIB);
}

static void the_rate_is_held(void **state)
{
	const struct scrub_sweep_limits limits = { .bytes = 32 * MIB,
						   .bytes_per_second = 128 * MIB };
	struct scrub_sweep_result r;

	(void)state;
	skip_without_memory(128 * MIB);
	r = sweeps(&limits);
	assert_int_equal(r.bytes, 32 * MIB);
	/* the last of 16 steps comes after 15 */
	assert_true(r.ns >= 30 * (uint64_t)1000000000 / 128);
}

static void a_share_is_a_limit(void **state)
{
	const struct scrub_sweep_limits limits = { .percent = 1, .bytes = 1024 * MIB };
	struct scrub_sweep_result r;

	(void)state;
	r = sweeps(&limits);
	assert_true(r.percent <= 1);
	assert_true(r.bytes <= r.free_before / 100 + 2 * MIB);
}

/* Finds the sweeper by its name among our children. */
static pid_t sweeper(void)
{
	char path[64], name[32];
	pid_t pid = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/task/%d/children", getpid());
	f = fopen(path, "re");
	assert_non_null(f);
	if (fscanf(f, "%d", &pid) != 1)
		pid = 0;
	fclose(f);
	if (pid == 0)
		return 0;
	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	f = fopen(path, "re");
	if (!f || !fgets(name, sizeof(name), f) || strcmp(name, "cordon-sweep\n") != 0)
		pid = 0;
	if (f)
		fclose(f);
	return pid;
}

static long number_of(pid_t pid, const char *file)
{
	char path[64];
	long n = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, file);
	f = fopen(path, "re");
	if (f && fscanf(f, "%ld", &n) != 1)
		n = -1;
	if (f)
		fclose(f);
	return n;
}

static void rest(void)
{
	const struct timespec t = { .tv_nsec = 5000000 };

	nanosleep(&t, NULL);
}

static long oom_score;

static void *kill_the_sweeper(void *arg)
{
	pid_t pid = 0;

	(void)arg;
	for (int i = 0; i < 1000 && pid == 0; i++, rest())
		pid = sweeper();
	for (int i = 0; i < 1000 && oom_score != 1000; i++, rest())
		oom_score = number_of(pid, "oom_score_adj");
	for (int i = 0; i < 40; i++)
		rest();
	if (pid > 0)
		kill(pid, SIGKILL);
	return NULL;
}

/* As the kernel does when it needs memory. */
static void killed_it_tells_what_it_had(void **state)
{
	const struct scrub_sweep_limits limits = { .bytes = 128 * MIB,
						   .bytes_per_second = 20 * MIB };
	struct scrub_sweep_result r;
	pthread_t thread;

	(void)state;
	skip_without_memory(128 * MIB);
	assert_int_equal(pthread_create(&thread, NULL, kill_the_sweeper, NULL), 0);
	r = sweeps(&limits);
	pthread_join(thread, NULL);
	assert_int_equal(r.end, SWEEP_REFUSED);
	assert_true(r.bytes > 0 && r.bytes < 128 * MIB);
	assert_int_equal(oom_score, 1000);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
}

/* The sweeper of a process that is killed does not outlive it: it becomes ours, as its
 * parent's parent, and ends. */
static void it_ends_with_its_parent(void **state)
{
	const struct scrub_sweep_limits limits = { .bytes = 128 * MIB,
						   .bytes_per_second = 20 * MIB };
	struct scrub_sweep_result r;
	int status;
	pid_t pid;

	(void)state;
	skip_without_memory(128 * MIB);
	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(scrub_sweep(&limits, &r, NULL) == MEMSCRUB_OK ? 0 : 1);
	for (int i = 0; i < 60; i++)
		rest();
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_true(waitpid(-1, &status, 0) > 0); /* the sweeper */
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGKILL);
	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 0), 0);
}

/* All that is free, as a host would do it. Takes it from whoever else runs here. */
static void all_free_memory_is_had(void **state)
{
	const struct scrub_sweep_limits none = { 0 };
	struct scrub_sweep_result r;

	(void)state;
	if (!getenv("CORDON_SOAK")) {
		print_message("skipped: CORDON_SOAK is not set\n");
		skip();
	}
	r = sweeps(&none);
	print_message("%u%% of %llu MiB in %.1f s\n", r.percent,
		      (unsigned long long)(r.free_before / MIB), (double)r.ns / 1e9);
	/* Whoever else runs here may have wanted some of it back at the end. */
	assert_true(r.end == SWEEP_FLOOR || r.end == SWEEP_REFUSED);
	assert_true(r.percent >= 80);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_are_a_limit_and_rounded_down),
		cmocka_unit_test(time_is_a_limit),
		cmocka_unit_test(the_rate_is_held),
		cmocka_unit_test(a_share_is_a_limit),
		cmocka_unit_test(killed_it_tells_what_it_had),
		cmocka_unit_test(it_ends_with_its_parent),
		cmocka_unit_test(all_free_memory_is_had),
	};

	return cmocka_run_group_tests_name("sweep", tests, NULL, NULL);
}
