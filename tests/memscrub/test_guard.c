/* tests/memscrub/test_guard.c - memory for secrets: walls, lock, no copies. */
#include "memscrub/guard.h"
#include "memscrub/memscrub.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* The signal that touching `at` ends a child with; 0 if none. */
static int signal_at(volatile char *at)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		signal(SIGSEGV, SIG_DFL);
		*at = 1;
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

/* A flag of the mapping that holds `p`, from /proc/self/smaps. */
static bool has_flag(const void *p, const char *flag)
{
	FILE *f = fopen("/proc/self/smaps", "re");
	unsigned long from, to;
	bool inside = false, has = false;
	char line[512];

	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
			inside = (unsigned long)p >= from && (unsigned long)p < to;
		else if (inside && strncmp(line, "VmFlags:", 8) == 0)
			has = strstr(line, flag);
	}
	fclose(f);
	return has;
}

static void it_is_zeroed_writable_and_aligned(void **state)
{
	static const size_t sizes[] = { 1, 16, 17, 32, 4095, 4096, 4097, 10000 };

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		char *p = guard_alloc(sizes[i]);

		assert_non_null(p);
		assert_int_equal((uintptr_t)p % 16, 0);
		assert_true(scrub_is_zero(p, sizes[i], NULL));
		memset(p, 'x', sizes[i]);
		guard_free(p, sizes[i]);
	}
	guard_free(NULL, 1);
}

/* In this process: a child does not have the memory at all. */
static sigjmp_buf wall;

static void hit(int sig)
{
	siglongjmp(wall, sig);
}

static bool is_wall(volatile char *at)
{
	void (*before)(int) = signal(SIGSEGV, hit);
	bool walled = sigsetjmp(wall, 1) != 0;

	if (!walled)
		*at = 1;
	signal(SIGSEGV, before);
	return walled;
}

static void walls_stand_on_both_sides(void **state)
{
	char *p = guard_alloc(4096);

	(void)state;
	assert_non_null(p);
	assert_false(is_wall(p));
	assert_false(is_wall(p + 4095));
	assert_true(is_wall(p - 1));
	assert_true(is_wall(p + 4096));
	guard_free(p, 4096);
	p = guard_alloc(32);
	assert_non_null(p);
	assert_true(is_wall(p + 32));
	guard_free(p, 32);
}

/* The sanitizer's mlock does nothing. */
static void skip_if_sanitized(void)
{
#ifdef __SANITIZE_ADDRESS__
	print_message("skipped: the sanitizer locks no memory\n");
	skip();
#endif
}

static void it_is_locked_and_in_no_core_dump(void **state)
{
	char *p;

	(void)state;
	skip_if_sanitized();
	p = guard_alloc(64);
	assert_non_null(p);
	assert_true(has_flag(p, " lo"));
	assert_true(has_flag(p, " dd"));
	guard_free(p, 64);
}

static void a_child_does_not_have_it(void **state)
{
	char *p = guard_alloc(64);
	char here = 0;

	(void)state;
	assert_non_null(p);
	assert_int_equal(signal_at(&here), 0);
	assert_int_equal(signal_at(p), SIGSEGV);
	guard_free(p, 64);
}

static void no_lock_no_memory(void **state)
{
	struct rlimit none = { 0, 0 };
	pid_t pid;
	int status;

	(void)state;
	skip_if_sanitized();
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		if (setrlimit(RLIMIT_MEMLOCK, &none) != 0 ||
		    (geteuid() == 0 && setresuid(65534, 65534, 65534) != 0))
			_exit(2);
		errno = 0;
		_exit(guard_alloc(64) == NULL && errno != 0 ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void absurd_sizes_are_refused(void **state)
{
	(void)state;
	assert_null(guard_alloc(0));
	assert_int_equal(errno, EINVAL);
	assert_null(guard_alloc(SIZE_MAX));
	assert_null(guard_alloc(SIZE_MAX - 4096));
	assert_null(guard_alloc(SIZE_MAX / 2));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_is_zeroed_writable_and_aligned),
		cmocka_unit_test(walls_stand_on_both_sides),
		cmocka_unit_test(it_is_locked_and_in_no_core_dump),
		cmocka_unit_test(a_child_does_not_have_it),
		cmocka_unit_test(no_lock_no_memory),
		cmocka_unit_test(absurd_sizes_are_refused),
	};

	return cmocka_run_group_tests_name("guard", tests, NULL, NULL);
}
