/* tests/runtime/test_source.c - what of the host a plan may name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/source.h"

static char dir[32];

static const char *in_dir(const char *name)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static enum runtime_status opens(const char *path, struct runtime_error *e)
{
	int fd = -1;
	enum runtime_status s;

	memset(e, 0, sizeof(*e));
	s = source_open(path, &fd, e);
	if (s == RUNTIME_OK)
		close(fd);
	else
		assert_int_equal(fd, -1);
	return s;
}

static void refused(const char *path, const char *why)
{
	struct runtime_error e;

	assert_int_equal(opens(path, &e), RUNTIME_REFUSED);
	if (!strstr(e.what, why))
		fail_msg("%s: %s", path, e.what);
}

static void opens_folders_and_files(void **state)
{
	struct runtime_error e;

	(void)state;
	assert_int_equal(opens(in_dir("data"), &e), RUNTIME_OK);
	assert_int_equal(opens(in_dir("data/file"), &e), RUNTIME_OK);
	assert_int_equal(opens(in_dir("a name\twith \\ all"), &e), RUNTIME_OK);
	assert_int_equal(opens(in_dir("missing"), &e), RUNTIME_SYSTEM);
}

/* A local user who owns a folder on the way would else choose what root shows. */
static void refuses_links_at_the_end_and_on_the_way(void **state)
{
	(void)state;
	refused(in_dir("link"), "symbolic link");
	refused(in_dir("link/file"), "symbolic link");
	refused("/proc/self/cwd", "symbolic link");
}

static void refuses_what_is_no_data(void **state)
{
	(void)state;
	refused("/", "root");
	refused("/dev", "devices");
	refused("/dev/null", "device");
	refused("/proc", "kernel");
	refused("/proc/sys", "kernel");
	refused(in_dir("fifo"), "pipe");
	refused(in_dir("socket"), "socket");
}

/* In a mount namespace of its own: 0 when all is as it should be. */
static int with_mounts_below(void)
{
	struct runtime_error e;
	int fd, file;

	if (unshare(CLONE_NEWNS | CLONE_NEWIPC) < 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return 10;
	if (mount("none", in_dir("a name\twith \\ all/sub"), "tmpfs", 0, NULL) < 0)
		return 11;
	if (source_open(in_dir("a name\twith \\ all"), &fd, &e) != RUNTIME_OK)
		return 12; /* ordinary mounts come along */
	if (mount("none", in_dir("a name\twith \\ all/sub"), "proc", 0, NULL) < 0)
		return 13;
	if (source_open(in_dir("a name\twith \\ all"), &fd, &e) != RUNTIME_REFUSED)
		return 14;
	if (source_open(dir, &fd, &e) != RUNTIME_REFUSED)
		return 15;
	if (source_open(in_dir("a name"), &fd, &e) != RUNTIME_OK)
		return 16; /* no folder above it, though a beginning of its name */
	/* A kernel's file system that only its type tells, and what lies in it. */
	if (mount("none", in_dir("data"), "mqueue", 0, NULL) < 0)
		return 17;
	if (source_open(in_dir("data"), &fd, &e) != RUNTIME_REFUSED)
		return 18;
	file = open(in_dir("data/queue"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (file < 0 || source_open(in_dir("data/queue"), &fd, &e) != RUNTIME_REFUSED)
		return 19;
	close(file);
	unlink(in_dir("data/queue"));
	return 0;
}

static void refuses_the_kernels_files_mounted_on_and_below_a_folder(void **state)
{
	int status;
	pid_t pid;

	(void)state;
	if (geteuid() != 0) {
		print_message("mounting takes root\n");
		skip();
	}
	pid = fork();
	if (pid == 0)
		_exit(with_mounts_below());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static int make_folders(void **state)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), file;

	(void)state;
	strcpy(dir, "/tmp/cordon-source-XXXXXX");
	if (!mkdtemp(dir) || fd < 0)
		return -1;
	snprintf(un.sun_path, sizeof(un.sun_path), "%s/socket", dir);
	if (bind(fd, (struct sockaddr *)&un, sizeof(un)) < 0 ||
	    mkfifo(in_dir("fifo"), 0600) < 0 || mkdir(in_dir("data"), 0700) < 0 ||
	    symlink("data", in_dir("link")) < 0 || mkdir(in_dir("a name"), 0700) < 0 ||
	    mkdir(in_dir("a name\twith \\ all"), 0700) < 0 ||
	    mkdir(in_dir("a name\twith \\ all/sub"), 0700) < 0)
		return -1;
	close(fd);
	file = open(in_dir("data/file"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	return file < 0 ? -1 : close(file);
}

static int remove_folders(void **state)
{
	static const char *const names[] = { "data/file",
					     "data",
					     "link",
					     "fifo",
					     "socket",
					     "a name",
					     "a name\twith \\ all/sub",
					     "a name\twith \\ all" };

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (remove(in_dir(names[i])) < 0)
			return -1;
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(opens_folders_and_files),
		cmocka_unit_test(refuses_links_at_the_end_and_on_the_way),
		cmocka_unit_test(refuses_what_is_no_data),
		cmocka_unit_test(refuses_the_kernels_files_mounted_on_and_below_a_folder),
	};

	return cmocka_run_group_tests_name("source", tests, make_folders, remove_folders);
}
