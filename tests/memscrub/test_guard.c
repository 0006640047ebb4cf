/* tests/memscrub/test_guard.c - memory for secrets: walls, lock, no copies. */
#include "memscrub/guard.h"
#include "memscrub/memscrub.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
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
		assert_int_equal(guard_size(p), sizes[i]);
		guard_free(p);
	}
	guard_free(NULL);
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
	guard_free(p);
	p = guard_alloc(32);
	assert_non_null(p);
	assert_true(is_wall(p + 32));
	guard_free(p);
}

static void reading_beyond_it_dies(void **state)
{
	volatile char *p = guard_alloc(48);
	char sum = 0;

	(void)state;
	assert_non_null(p);
	signal(SIGSEGV, hit);
	if (sigsetjmp(wall, 1) == 0) {
		for (size_t i = 0; i < 8192; i++)
			sum = (char)(sum + p[i]);
		fail();
	}
	signal(SIGSEGV, SIG_DFL);
	guard_free((char *)(uintptr_t)p);
}

/* How a child ends that writes at `offset` of a secret of 20 bytes, and frees it. */
static int signal_of_writing_at(long offset)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		char *p = guard_alloc(20);

		signal(SIGSEGV, SIG_DFL);
		signal(SIGABRT, SIG_DFL);
		if (!p)
			_exit(1);
		p[offset] = 'x';
		guard_free(p);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);
}

static void bytes_beside_it_end_the_process(void **state)
{
	(void)state;
	assert_int_equal(signal_of_writing_at(0), 0);
	assert_int_equal(signal_of_writing_at(19), 0);
	assert_int_equal(signal_of_writing_at(20), SIGABRT);
	assert_int_equal(signal_of_writing_at(31), SIGABRT);
	assert_int_equal(signal_of_writing_at(32), SIGSEGV);
	assert_int_equal(signal_of_writing_at(-1), SIGABRT);
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
	guard_free(p);
}

static void a_child_does_not_have_it(void **state)
{
	char *p = guard_alloc(64);
	char here = 0;

	(void)state;
	assert_non_null(p);
	assert_int_equal(signal_at(&here), 0);
	assert_int_equal(signal_at(p), SIGSEGV);
	guard_free(p);
}

/* The exit status of `body` in a child that is nobody and may lock so many bytes. */
static int limited(size_t bytes, int (*body)(void))
{
	const struct rlimit limit = { bytes, bytes };
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		if (setrlimit(RLIMIT_MEMLOCK, &limit) != 0 ||
		    (geteuid() == 0 && setresuid(65534, 65534, 65534) != 0))
			_exit(99);
		_exit(body());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static int nothing_is_given(void)
{
	errno = 0;
	return guard_alloc(64) == NULL && errno == ENOMEM ? 0 : 1;
}

/* Over and over: nothing of a refused or freed secret stays accounted. */
static int one_at_a_time(void)
{
	for (int i = 0; i < 100; i++) {
		char *first = guard_alloc(64);

		if (!first)
			return 1;
		errno = 0;
		if (guard_alloc(64) || errno != ENOMEM)
			return 2;
		guard_free(first);
	}
	return 0;
}

static void no_lock_no_memory(void **state)
{
	(void)state;
	skip_if_sanitized();
	assert_int_equal(limited(0, nothing_is_given), 0);
	assert_int_equal(limited((size_t)getpagesize(), one_at_a_time), 0);
}

/* Where the kernel has secret memory, it is what one gets, and nobody else reads it. */
static void secret_memory_is_out_of_reach(void **state)
{
	static const char plain[] = "as plain as can be";
	struct iovec to, from;
	char got[sizeof(plain)];
	char *p = guard_alloc(sizeof(plain));
	int probe = (int)syscall(447 /* memfd_secret */, 0);
	int memory = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);

	(void)state;
	assert_non_null(p);
	assert_int_equal(guard_kind(p), probe < 0 ? GUARD_LOCKED : GUARD_SECRET);
	if (probe < 0) {
		guard_free(p);
		close(memory);
		print_message("skipped: this kernel has no secret memory\n");
		skip();
	}
	close(probe);
	memcpy(p, plain, sizeof(plain));
	to = (struct iovec){ got, sizeof(got) };
	from = (struct iovec){ (void *)(uintptr_t)plain, sizeof(plain) };
	assert_int_equal(process_vm_readv(getpid(), &to, 1, &from, 1, 0), sizeof(got));
	from.iov_base = p;
	assert_int_equal(process_vm_readv(getpid(), &to, 1, &from, 1, 0), -1);
	assert_true(memory >= 0);
	assert_int_equal(pread(memory, got, sizeof(got), (off_t)(uintptr_t)plain), sizeof(got));
	assert_int_equal(pread(memory, got, sizeof(got), (off_t)(uintptr_t)p), -1);
	close(memory);
	guard_free(p);
}

/* ---- core files ---------------------------------------------------------------------- */

/* Two words that stand nowhere in this program: only their negatives do. */
static void unmask(char to[static 17], const char masked[static 16])
{
	for (int i = 0; i < 16; i++)
		to[i] = (char)~masked[i];
	to[16] = '\0';
}

static void die_with_secrets(const char *folder, bool guarded_process,
			     const char *masked_common, const char *masked_secret)
{
	const struct rlimit most = { RLIM_INFINITY, RLIM_INFINITY };
	char *common = malloc(17), *secret = guard_alloc(17);

	signal(SIGABRT, SIG_DFL);
	if (!common || !secret || chdir(folder) != 0)
		_exit(1);
	if (guarded_process ? !guard_process()
			    : (prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) != 0 ||
			       setrlimit(RLIMIT_CORE, &most) != 0))
		_exit(1);
	unmask(common, masked_common);
	unmask(secret, masked_secret);
	abort();
}

static void remove_file(const char *folder, const char *name)
{
	char path[300];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	assert_int_equal(unlink(path), 0);
}

static bool file_has(const char *folder, const char *name, const char *masked)
{
	char path[300], word[17];
	struct stat st;
	bool has;
	char *bytes;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0 && fstat(fd, &st) == 0);
	bytes = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	assert_true(bytes != MAP_FAILED);
	unmask(word, masked);
	has = memmem(bytes, (size_t)st.st_size, word, 16) != NULL;
	munmap(bytes, (size_t)st.st_size);
	close(fd);
	return has;
}

/* The name of the one file in `folder`; empty: there is none. */
static void only_file(const char *folder, char ret[static 256])
{
	DIR *list = opendir(folder);
	const struct dirent *d;

	ret[0] = '\0';
	assert_non_null(list);
	while ((d = readdir(list)))
		if (d->d_name[0] != '.')
			snprintf(ret, 256, "%s", d->d_name);
	closedir(list);
}

static bool cores_are_files_beside(void)
{
	char pattern[128] = "";
	FILE *f = fopen("/proc/sys/kernel/core_pattern", "re");
	bool read = f && fgets(pattern, sizeof(pattern), f);

	if (f)
		fclose(f);
	return read && !strpbrk(pattern, "|/@");
}

static void it_is_in_no_core_file(void **state)
{
	static const char common[16] =
		"\x9b\x90\x8a\x9d\x91\x88\x86\x8c\x9a\x93\x8d\x96\x8b\x87"
		"\x9e\x85";
	static const char secret[16] =
		"\x85\x9e\x87\x8b\x96\x8d\x93\x9a\x8c\x86\x88\x91\x9d\x8a"
		"\x90\x9b";
	char folder[] = "/tmp/cordon-guard-XXXXXX", name[256];
	int status;

	(void)state;
	skip_if_sanitized();
	if (!cores_are_files_beside()) {
		print_message("skipped: core_pattern puts no core file beside a process\n");
		skip();
	}
	assert_non_null(mkdtemp(folder));
	for (int guarded = 1; guarded >= 0; guarded--) {
		pid_t pid = fork();

		assert_true(pid >= 0);
		if (pid == 0)
			die_with_secrets(folder, guarded, common, secret);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
		only_file(folder, name);
		assert_int_equal(name[0] == '\0', guarded);
	}
	assert_true(file_has(folder, name, common));
	assert_false(file_has(folder, name, secret));
	remove_file(folder, name);
	assert_int_equal(rmdir(folder), 0);
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
		cmocka_unit_test(reading_beyond_it_dies),
		cmocka_unit_test(bytes_beside_it_end_the_process),
		cmocka_unit_test(it_is_locked_and_in_no_core_dump),
		cmocka_unit_test(a_child_does_not_have_it),
		cmocka_unit_test(no_lock_no_memory),
		cmocka_unit_test(secret_memory_is_out_of_reach),
		cmocka_unit_test(it_is_in_no_core_file),
		cmocka_unit_test(absurd_sizes_are_refused),
	};

	return cmocka_run_group_tests_name("guard", tests, NULL, NULL);
}
