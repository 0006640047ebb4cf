/* tests/memscrub/test_tree.c - every file of a tree in memory. */
#include "memscrub/memscrub.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define PAGE 4096

/* A detached tmpfs of our own, as a keeper holds one: no path leads there. */
static int new_tmpfs(void)
{
	int fs = (int)syscall(SYS_fsopen, "tmpfs", 1u), mount_fd;

	if (fs < 0 || syscall(SYS_fsconfig, fs, 6u, NULL, NULL, 0) != 0) {
		print_message("skipped: no tmpfs can be made here: %s\n", strerror(errno));
		if (fs >= 0)
			close(fs);
		skip();
	}
	mount_fd = (int)syscall(SYS_fsmount, fs, 1u, 0u);
	assert_true(mount_fd >= 0);
	close(fs);
	return mount_fd;
}

static int put(int dir, const char *name, size_t n)
{
	int fd = openat(dir, name, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	char x[PAGE];

	memset(x, 'x', sizeof(x));
	assert_true(fd >= 0);
	for (size_t at = 0; at < n; at += sizeof(x))
		assert_true(write(fd, x, n - at < sizeof(x) ? n - at : sizeof(x)) > 0);
	return fd;
}

static void put_closed(int dir, const char *name, size_t n)
{
	close(put(dir, name, n));
}

static bool is_zero(int fd)
{
	char text[PAGE];
	off_t at = 0;
	ssize_t n;

	while ((n = pread(fd, text, sizeof(text), at)) > 0) {
		if (!scrub_is_zero(text, (size_t)n, NULL))
			return false;
		at += n;
	}
	assert_int_equal(n, 0);
	return true;
}

static bool is_zero_at(int dir, const char *name)
{
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	bool zero;

	assert_true(fd >= 0);
	zero = is_zero(fd);
	close(fd);
	return zero;
}

static void scrubs(int dir, uint64_t bytes)
{
	struct scrub_result r = { 0 };
	struct memscrub_error e = { .what = "" };
	enum memscrub_status s = scrub_tree(dir, &r, &e);

	if (s != MEMSCRUB_OK)
		fail_msg("%s: %s", e.where, e.what);
	assert_int_equal(r.failed, 0);
	assert_int_equal(r.bytes, bytes);
}

static void all_files_and_nothing_else(void **state)
{
	int dir = new_tmpfs();

	(void)state;
	put_closed(dir, "a", 1);
	put_closed(dir, "empty", 0);
	assert_int_equal(mkdirat(dir, "sub", 0755), 0);
	put_closed(dir, "sub/b", 3 * PAGE);
	assert_int_equal(mkdirat(dir, "sub/sub", 0755), 0);
	put_closed(dir, "sub/sub/c", 2 * PAGE + 1);
	put_closed(dir, "z", PAGE);
	assert_int_equal(mkfifoat(dir, "fifo", 0600), 0);
	assert_int_equal(symlinkat("/etc/passwd", dir, "link"), 0);
	assert_int_equal(symlinkat("..", dir, "sub/loop"), 0);
	scrubs(dir, 8 * PAGE);
	assert_true(is_zero_at(dir, "a") && is_zero_at(dir, "z"));
	assert_true(is_zero_at(dir, "sub/b") && is_zero_at(dir, "sub/sub/c"));
	close(dir);
}

static void an_empty_tree_is_done_at_once(void **state)
{
	int dir = new_tmpfs();

	(void)state;
	scrubs(dir, 0);
	close(dir);
}

/* More entries than one read of the folder gives, folders among them. */
static void wide_folders(void **state)
{
	int dir = new_tmpfs();
	char name[64];

	(void)state;
	for (int i = 0; i < 2000; i++) {
		snprintf(name, sizeof(name), "a-name-that-takes-some-room-%d", i);
		if (i % 3 == 0) {
			assert_int_equal(mkdirat(dir, name, 0700), 0);
			strcat(name, "/file");
		}
		put_closed(dir, name, 1);
	}
	scrubs(dir, 2000 * PAGE);
	close(dir);
}

static void a_path_descriptor_will_do(void **state)
{
	int dir = new_tmpfs(), path;

	(void)state;
	put_closed(dir, "a", 1);
	path = openat(dir, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	scrubs(path, PAGE);
	assert_true(is_zero_at(dir, "a"));
	close(path);
	close(dir);
}

/* 16384 folders deep, with a file at every level, and room for few descriptors. */
static void depth_needs_no_descriptors(void **state)
{
	const int depth = 16384;
	struct rlimit before, few;
	int dir = new_tmpfs(), at = dup(dir), next;

	(void)state;
	for (int i = 0; i < depth; i++) {
		put_closed(at, "b", 1);
		assert_int_equal(mkdirat(at, "d", 0700), 0);
		next = openat(at, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		assert_true(next >= 0);
		put_closed(at, "e", 1);
		close(at);
		at = next;
	}
	put_closed(at, "last", 1);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	few = before;
	few.rlim_cur = (rlim_t)at + 8;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	scrubs(dir, (2 * (uint64_t)depth + 1) * PAGE);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_true(is_zero_at(at, "last"));
	close(at);
	close(dir);
}

static void hidden_file(int dir, const char *name)
{
	int fd = put(dir, name, 5);

	assert_int_equal(fchmod(fd, 0), 0);
	close(fd);
}

/* In a child without privileges that owns the tree. */
static int as_nobody(int dir)
{
	struct scrub_result r = { 0 };
	int a;

	if (fchownat(dir, ".", 65534, 65534, 0) != 0 || setresgid(65534, 65534, 65534) != 0 ||
	    setresuid(65534, 65534, 65534) != 0)
		return 10;
	hidden_file(dir, "a");
	if (mkdirat(dir, "sub", 0700) != 0)
		return 11;
	hidden_file(dir, "sub/b");
	if (fchmodat(dir, "sub", 0, 0) != 0 || fchmodat(dir, ".", 0, 0) != 0)
		return 12;
	if (scrub_tree(dir, &r, NULL) != MEMSCRUB_OK || r.bytes != 2 * PAGE || r.failed != 0)
		return 13;
	a = openat(dir, "sub/b", O_RDONLY | O_CLOEXEC);
	return a >= 0 && is_zero(a) ? 0 : 14;
}

static void modes_do_not_hide_files_from_their_owner(void **state)
{
	int dir, status;
	pid_t pid;

	(void)state;
	if (geteuid() != 0) {
		print_message("skipped: only root can become another user\n");
		skip();
	}
	dir = new_tmpfs();
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(as_nobody(dir));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	close(dir);
}

/* A child that may not touch the files of others. */
static int as_stranger(int dir)
{
	struct scrub_result r = { 0 };
	struct memscrub_error e = { .what = "" };

	if (setresgid(65534, 65534, 65534) != 0 || setresuid(65534, 65534, 65534) != 0)
		return 10;
	if (scrub_tree(dir, &r, &e) != MEMSCRUB_RESIDUE)
		return 11;
	/* one file and one folder out of reach, one file within it */
	if (r.failed != 2 || r.bytes != PAGE)
		return 12;
	return strstr(e.where, "secret") && strstr(e.what, "ermi") ? 0 : 13;
}

static void what_cannot_be_reached_has_failed_with_its_path(void **state)
{
	int dir, status;
	pid_t pid;

	(void)state;
	if (geteuid() != 0) {
		print_message("skipped: only root can become another user\n");
		skip();
	}
	dir = new_tmpfs();
	put_closed(dir, "open", 1);
	assert_int_equal(fchmodat(dir, ".", 0755, 0), 0);
	assert_int_equal(fchmodat(dir, "open", 0666, 0), 0);
	hidden_file(dir, "secret");
	assert_int_equal(mkdirat(dir, "secrets", 0700), 0);
	put_closed(dir, "secrets/file", 1);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(as_stranger(dir));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	close(dir);
}

/* Another tmpfs lies over a folder, and one of the same over another. In a mount namespace
 * of its own. */
static int with_mounts(void)
{
	struct scrub_result r = { 0 };
	struct memscrub_error e = { .what = "" };
	int dir;

	if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("tmpfs", "/mnt", "tmpfs", 0, NULL) != 0)
		return 77;
	dir = open("/mnt", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	put_closed(dir, "a", 1);
	if (mkdir("/mnt/inner", 0700) || mkdir("/mnt/same", 0700) ||
	    mount("tmpfs", "/mnt/inner", "tmpfs", 0, NULL) ||
	    mount("/mnt", "/mnt/same", NULL, MS_BIND, NULL))
		return 10;
	put_closed(dir, "inner/other", 1);
	if (scrub_tree(dir, &r, &e) != MEMSCRUB_RESIDUE)
		return 11;
	if (r.bytes != PAGE || r.failed != 2 || !strstr(e.what, "mount"))
		return 12;
	if (is_zero_at(dir, "inner/other"))
		return 13;
	return is_zero_at(dir, "a") ? 0 : 14;
}

static void mounts_inside_are_named_and_not_entered(void **state)
{
	int status;
	pid_t pid;

	(void)state;
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(with_mounts());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77) {
		print_message("skipped: nothing can be mounted here\n");
		skip();
	}
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void no_folder_of_a_disk(void **state)
{
	struct scrub_result r = { 0 };
	struct memscrub_error e;
	int dir = open("tests", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	(void)state;
	assert_true(dir >= 0);
	assert_int_equal(scrub_tree(dir, &r, &e), MEMSCRUB_REFUSED);
	assert_int_equal(scrub_tree(-1, &r, &e), MEMSCRUB_SYSTEM);
	assert_int_equal(r.bytes + r.failed + r.parts, 0);
	close(dir);
}

static unsigned open_descriptors(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static void no_descriptor_is_left(void **state)
{
	int dir = new_tmpfs();
	struct scrub_result r = { 0 };
	unsigned before;

	(void)state;
	assert_int_equal(mkdirat(dir, "sub", 0755), 0);
	put_closed(dir, "sub/b", 3 * PAGE);
	assert_int_equal(fcntl(put(dir, "a", 1), F_GETFD) >= 0, 1);
	before = open_descriptors();
	assert_int_equal(scrub_tree(dir, &r, NULL), MEMSCRUB_OK);
	assert_int_equal(open_descriptors(), before);
	close(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_files_and_nothing_else),
		cmocka_unit_test(an_empty_tree_is_done_at_once),
		cmocka_unit_test(wide_folders),
		cmocka_unit_test(a_path_descriptor_will_do),
		cmocka_unit_test(depth_needs_no_descriptors),
		cmocka_unit_test(modes_do_not_hide_files_from_their_owner),
		cmocka_unit_test(what_cannot_be_reached_has_failed_with_its_path),
		cmocka_unit_test(mounts_inside_are_named_and_not_entered),
		cmocka_unit_test(no_folder_of_a_disk),
		cmocka_unit_test(no_descriptor_is_left),
	};

	return cmocka_run_group_tests_name("tree", tests, NULL, NULL);
}
