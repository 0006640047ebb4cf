/* runtime/source.c - opened without links, judged with what is mounted on it. */
#include "runtime/source.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "runtime/files.h"

#define MOUNTINFO_MAX (1u << 20)

static enum runtime_status never(struct runtime_error *e, const char *path, const char *what)
{
	return runtime_fail(e, RUNTIME_REFUSED, path, "name a folder or file of ordinary data",
			    "a sandbox never gets %s", what);
}

/* ---- the descriptor -------------------------------------------------------------- */

static bool is_kernels(const struct statfs *fs)
{
	static const long magics[] = { PROC_SUPER_MAGIC,   SYSFS_MAGIC,
				       CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC,
				       DEVPTS_SUPER_MAGIC, SECURITYFS_MAGIC,
				       DEBUGFS_MAGIC,      TRACEFS_MAGIC,
				       BPF_FS_MAGIC,       NSFS_MAGIC };

	for (size_t i = 0; i < sizeof(magics) / sizeof(magics[0]); i++)
		if ((long)fs->f_type == magics[i])
			return true;
	return false;
}

static bool is_same(const struct stat *a, const char *path)
{
	struct stat b;

	return stat(path, &b) == 0 && a->st_dev == b.st_dev && a->st_ino == b.st_ino;
}

static enum runtime_status judge(int fd, const char *path, struct runtime_error *e)
{
	struct statfs fs;
	struct stat st;

	if (fstatfs(fd, &fs) < 0 || fstat(fd, &st) < 0)
		return runtime_fail(e, RUNTIME_SYSTEM, path, "", "cannot look at it: %s",
				    strerror(errno));
	if (is_kernels(&fs))
		return never(e, path, "a file system of the host's kernel");
	if (is_same(&st, "/") || is_same(&st, "/dev"))
		return never(e, path, "the host's root or its devices");
	if (!S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode))
		return never(e, path, "a device, a pipe or a socket of the host");
	return RUNTIME_OK;
}

/* ---- what is mounted on it and below --------------------------------------------- */

static bool is_below(const char *point, const char *path)
{
	size_t n = strlen(path);

	return strncmp(point, path, n) == 0 && point[n] == '/';
}

static bool is_kernels_type(const char *type)
{
	static const char *const types[] = {
		"proc",       "sysfs",     "cgroup",      "cgroup2", "devtmpfs", "devpts",
		"securityfs", "debugfs",   "tracefs",     "bpf",     "nsfs",     "configfs",
		"efivarfs",   "selinuxfs", "smackfs",     "pstore",  "fusectl",  "mqueue",
		"rpc_pipefs", "nfsd",      "binfmt_misc", "resctrl"
	};

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (strcmp(type, types[i]) == 0)
			return true;
	return false;
}

/* One line: ID PARENT DEV ROOT POINT OPTIONS [TAGS] - TYPE SOURCE SUPER. `mount` is the ID of
 * the mount that the path is on. */
static bool shows_kernel(char *line, const char *path, uint64_t mount)
{
	char *type = strstr(line, " - "), *point = line;
	uint64_t id = strtoull(line, NULL, 10);

	for (int i = 0; i < 4 && point; i++)
		point = strchr(point, ' ') ? strchr(point, ' ') + 1 : NULL;
	if (!type || !point)
		return true; /* not what the kernel writes: nothing is known */
	type += strlen(" - ");
	type[strcspn(type, " ")] = 0;
	point[strcspn(point, " ")] = 0;
	file_unescape(point);
	return (id == mount || is_below(point, path)) && is_kernels_type(type);
}

static enum runtime_status judge_mounts(int fd, const char *path, struct runtime_error *e)
{
	static char text[MOUNTINFO_MAX];
	char *save = NULL;
	struct statx own;
	ssize_t n;

	if (statx(fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &own) < 0 ||
	    !(own.stx_mask & STATX_MNT_ID))
		return runtime_fail(e, RUNTIME_SYSTEM, path, "Linux 5.8 or newer is needed",
				    "cannot tell which mount it is on");
	n = file_read_text(AT_FDCWD, "/proc/self/mountinfo", text, sizeof(text));
	if (n < 0 || (size_t)n == sizeof(text) - 1)
		return runtime_fail(e, RUNTIME_SYSTEM, path, "",
				    "cannot tell what is mounted on and below it: %s",
				    n < 0 ? strerror(errno) : "too many mounts");
	for (char *l = strtok_r(text, "\n", &save); l; l = strtok_r(NULL, "\n", &save))
		if (shows_kernel(l, path, own.stx_mnt_id))
			return never(e, path,
				     "what is mounted on or below this: a file system of "
				     "the host's kernel");
	return RUNTIME_OK;
}

enum runtime_status source_open(const char *path, int *ret_fd, struct runtime_error *reterr)
{
	struct open_how how = { .flags = O_PATH | O_CLOEXEC,
				.resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS };
	int fd = (int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof(how));
	enum runtime_status s;

	if (fd < 0 && errno == ELOOP)
		return runtime_fail(reterr, RUNTIME_REFUSED, path,
				    "name the place itself, as realpath(1) prints it",
				    "there is a symbolic link on the way, and whoever may "
				    "change it would choose what is shown");
	if (fd < 0)
		return runtime_fail(reterr, RUNTIME_SYSTEM, path, "", "cannot open it: %s",
				    strerror(errno));
	s = judge(fd, path, reterr);
	if (s == RUNTIME_OK)
		s = judge_mounts(fd, path, reterr);
	if (s == RUNTIME_OK)
		*ret_fd = fd;
	else
		close(fd);
	return s;
}
