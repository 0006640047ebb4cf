/* tests/inside/attempts_files.h - files, /proc, devices, descriptors. */
#pragma once

#include <linux/openat2.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "tests/inside/attempt.h"

/* ---- what the caller left open --------------------------------------------------- */

/* Found before this program opened anything itself. */
static bool has_leak;

static void look_for_leaks(void)
{
	for (int fd = 3; fd < 65536; fd++)
		has_leak |= fcntl(fd, F_GETFD) >= 0;
}

static enum outcome leaked(void)
{
	errno = EBADF;
	return has_leak ? GOT_OUT : REFUSED;
}

static enum outcome through_leak(void)
{
	static const int numbers[] = { 5, 10, 251 };

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		if (openat(numbers[i], "proc/sys/kernel/version", O_RDONLY) >= 0)
			return GOT_OUT;
	return REFUSED;
}

static enum outcome folder_outside(void)
{
	char now[4096];

	errno = ENOENT;
	return getcwd(now, sizeof(now)) && now[0] == '/' ? REFUSED : GOT_OUT;
}

static enum outcome climbed(void)
{
	int fd = open("../../../../../../../../sys/kernel", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return got(fd);
}

/* Standard input was opened for reading by the caller; /proc would open it anew. */
static enum outcome input_for_writing(void)
{
	char file[64] = "";

	/* An ordinary user's workload has a pipe in the file's place, and that is its own. */
	if (readlink("/proc/self/fd/0", file, sizeof(file) - 1) > 0 &&
	    strncmp(file, "pipe:", 5) == 0)
		return errno = EACCES, REFUSED;
	return opened("/proc/self/fd/0", O_WRONLY);
}

static enum outcome input_linked(void)
{
	return got(linkat(AT_FDCWD, "/proc/self/fd/0", AT_FDCWD, "/tmp/in", AT_SYMLINK_FOLLOW));
}

static enum outcome input_cut(void)
{
	return got(truncate("/proc/self/fd/0", 6));
}

static enum outcome input_reopened_parent(void)
{
	return opened("/proc/self/fd/0/..", O_RDONLY);
}

/* ---- the host's files ------------------------------------------------------------ */

static const char *host_file(const char *name)
{
	static char path[512];
	const char *dir = word("host");

	snprintf(path, sizeof(path), "%s/%s", dir ? dir : "/nonexistent", name);
	return path;
}

static enum outcome host_read(void)
{
	return word("host") ? opened(host_file("canary"), O_RDONLY) : NOT_MADE;
}

static enum outcome host_written(void)
{
	return word("host") ? opened(host_file("canary"), O_WRONLY) : NOT_MADE;
}

static enum outcome host_state(void)
{
	const char *root = word("root");

	return root ? opened(root, O_RDONLY | O_DIRECTORY) : NOT_MADE;
}

static enum outcome host_shadow(void)
{
	static const char *const paths[] = { "/etc/shadow", "/etc/gshadow",    "/root",
					     "/boot",       "/var/log",        "/var/lib/dpkg",
					     "/run/cordon", "/var/lib/cordon", "/etc/cordon",
					     NULL };

	return any_opens(paths, O_RDONLY);
}

static enum outcome read_only_written(void)
{
	return opened("/mnt/bait/shown", O_WRONLY);
}

static enum outcome read_only_cut(void)
{
	return got(truncate("/mnt/bait/shown", 6));
}

static enum outcome read_only_mode(void)
{
	return got(chmod("/mnt/bait/shown", 0777));
}

static enum outcome read_only_renamed(void)
{
	return got(rename("/mnt/bait/shown", "/mnt/bait/shown"));
}

static enum outcome moved_across(void)
{
	return got(link("/mnt/bait/shown", "/tmp/shown"));
}

/* Every folder that is not the session's own memory. */
static enum outcome made_elsewhere(void)
{
	static const char *const folders[] = {
		"/",    "/usr",      "/usr/bin",   "/usr/lib", "/etc", "/etc/ssl/certs",
		"/var", "/var/lib",  "/home",      "/proc",    "/dev", "/dev/pts",
		"/mnt", "/mnt/bait", "/proc/self", NULL
	};
	char path[64];

	for (size_t i = 0; folders[i]; i++) {
		snprintf(path, sizeof(path), "%s/cordon-made", folders[i]);
		if (open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600) >= 0 ||
		    mkdir(path, 0700) == 0)
			return GOT_OUT;
	}
	return REFUSED;
}

static enum outcome passwd_written(void)
{
	static const char *const paths[] = { "/etc/passwd", "/etc/group", "/etc/hosts",
					     "/etc/nsswitch.conf", NULL };

	return any_opens(paths, O_WRONLY);
}

/* A private page of a host's file, changed by force, must not reach the file. */
static enum outcome page_cache(void)
{
	int file = open("/mnt/bait/shown", O_RDONLY | O_CLOEXEC), mem, p[2];
	char *page, now[7] = "";
	off_t at = 0;

	if (file < 0 || pipe(p) < 0)
		return NOT_MADE;
	page = mmap(NULL, 4096, PROT_READ, MAP_SHARED, file, 0);
	mem = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
	if (page != MAP_FAILED && mem >= 0)
		(void)!pwrite(mem, "CANARY", 6, (off_t)(uintptr_t)page);
	if (splice(file, &at, p[1], NULL, 1, 0) == 1) /* Dirty Pipe, CVE-2022-0847 */
		(void)!write(p[1], "ANARY", 5);
	errno = EROFS;
	if (pread(file, now, 6, 0) != 6)
		return NOT_MADE;
	return strcmp(now, "canary") == 0 ? REFUSED : GOT_OUT;
}

static enum outcome by_handle(void)
{
	char space[sizeof(struct file_handle) + MAX_HANDLE_SZ];
	struct file_handle *h = (struct file_handle *)space;
	int id;

	h->handle_bytes = MAX_HANDLE_SZ;
	return got(name_to_handle_at(AT_FDCWD, "/usr", h, &id, 0));
}

/* "Shocker": inode 2 is the root of an ext4 file system, whatever the sandbox sees of it. */
static enum outcome shocker(void)
{
	char space[sizeof(struct file_handle) + 8] = { 0 };
	struct file_handle *h = (struct file_handle *)space;
	const uint32_t root[2] = { 2, 0 };
	int usr = open("/usr", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (usr < 0)
		return NOT_MADE;
	h->handle_bytes = 8;
	h->handle_type = 1;
	memcpy(h->f_handle, root, sizeof(root));
	return got(open_by_handle_at(usr, h, O_RDONLY));
}

/* ---- programs that should not run ------------------------------------------------ */

static enum outcome copied_and_run(const char *path)
{
	char chunk[16384];
	int in = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	int out = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
	ssize_t n;
	pid_t pid;

	if (in < 0 || out < 0)
		return NOT_MADE;
	while ((n = read(in, chunk, sizeof(chunk))) > 0)
		if (write(out, chunk, (size_t)n) != n)
			return NOT_MADE;
	close(out);
	pid = fork();
	if (pid == 0) {
		execl(path, path, "--here", NULL);
		_exit(REFUSED);
	}
	errno = EACCES;
	return outcome_of(pid);
}

static enum outcome ran_in_tmp(void)
{
	return copied_and_run("/tmp/program");
}

static enum outcome ran_in_home(void)
{
	return copied_and_run("/home/tenant/program");
}

static enum outcome ran_in_scratch(void)
{
	return copied_and_run("/scratch/program");
}

static enum outcome mapped_code(void)
{
	int fd = open("/scratch/code", O_RDWR | O_CREAT | O_CLOEXEC, 0700);

	if (fd < 0 || ftruncate(fd, 4096) < 0)
		return NOT_MADE;
	return got(mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0) == MAP_FAILED
			   ? -1
			   : 0);
}

/* CVE-2019-5736: the runtime's program, reached through a process that still runs it. */
static enum outcome runtime_program(void)
{
	return opened("/proc/1/exe", O_RDONLY);
}

static enum outcome own_program(void)
{
	return opened("/proc/self/exe", O_RDWR);
}

/* The kernel opens the interpreter while the old program is still in place. */
static enum outcome interpreter(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		execl("/mnt/bait/interpreter", "interpreter", NULL);
		_exit(REFUSED);
	}
	/* It is this program again: confined as before, so nothing was won. */
	(void)outcome_of(pid);
	return opened("/proc/1/exe", O_WRONLY);
}

/* ---- /proc ----------------------------------------------------------------------- */

static enum outcome root_of_first(void)
{
	static const char *const paths[] = { "/proc/1/root/", "/proc/1/cwd/", "/proc/1/fd/",
					     NULL };

	return any_opens(paths, O_RDONLY | O_DIRECTORY);
}

static enum outcome facts_of_first(void)
{
	static const char *const paths[] = { "/proc/1/environ", "/proc/1/maps", "/proc/1/mem",
					     "/proc/1/auxv", NULL };
	char c;

	for (size_t i = 0; paths[i]; i++) {
		int fd = open(paths[i], O_RDONLY | O_CLOEXEC);

		if (fd >= 0 && read(fd, &c, 1) == 1)
			return GOT_OUT;
	}
	return REFUSED;
}

static enum outcome kernel_facts(void)
{
	static const char *const paths[] = { "/proc/cmdline", "/proc/kallsyms", "/proc/keys",
					     "/proc/meminfo", "/proc/version",  "/proc/sys",
					     "/proc/bus",     "/proc/asound",   NULL };

	return any_opens(paths, O_RDONLY);
}

static enum outcome kernel_settings(void)
{
	static const char *const paths[] = { "/proc/sysrq-trigger",
					     "/proc/sys/kernel/core_pattern",
					     "/proc/sys/kernel/modprobe",
					     "/proc/sys/kernel/hostname", NULL };

	(void)!setresuid(0, 0, 0); /* these ask for root, not for a capability */
	return any_opens(paths, O_WRONLY);
}

static enum outcome kernel_memory(void)
{
	static const char *const paths[] = { "/proc/kcore", "/dev/mem", "/dev/kmem", NULL };

	return any_opens(paths, O_RDONLY);
}

static enum outcome sysfs(void)
{
	static const char *const paths[] = { "/sys/kernel", "/sys/class", "/sys/firmware",
					     NULL };

	return any_opens(paths, O_RDONLY);
}

static enum outcome cgroup_files(void)
{
	static const char *const paths[] = { "/sys/fs/cgroup", "/sys/fs/cgroup/cgroup.procs",
					     "/sys/fs/cgroup/memory/release_agent", NULL };

	return any_opens(paths, O_RDONLY);
}

static enum outcome own_map(void)
{
	return opened("/proc/self/uid_map", O_WRONLY);
}

static enum outcome own_clock(void)
{
	return opened("/proc/self/timens_offsets", O_WRONLY);
}

static enum outcome spared_by_oom(void)
{
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	return fd < 0 ? REFUSED : got(write(fd, "0", 1));
}

static enum outcome own_memory(void)
{
	return opened("/proc/self/mem", O_RDWR);
}

/* ---- devices --------------------------------------------------------------------- */

static enum outcome host_devices(void)
{
	static const char *const paths[] = { "/dev/kvm",
					     "/dev/fuse",
					     "/dev/net/tun",
					     "/dev/vhost-net",
					     "/dev/loop-control",
					     "/dev/autofs",
					     "/dev/tty1",
					     "/dev/console",
					     "/dev/vda",
					     "/dev/sda",
					     "/dev/loop0",
					     "/dev/kmsg",
					     "/dev/cpu_dma_latency",
					     NULL };

	return any_opens(paths, O_RDONLY);
}

static enum outcome node_made(void)
{
	return got(mknod("/tmp/mem", S_IFCHR | 0666, makedev(1, 1)));
}

static enum outcome block_node_made(void)
{
	return got(mknod("/tmp/disk", S_IFBLK | 0666, makedev(254, 0)));
}

static enum outcome host_terminals(void)
{
	char path[32];

	for (int i = 0; i < 64; i++) {
		snprintf(path, sizeof(path), "/dev/pts/%d", i);
		if (opened(path, O_RDWR) == GOT_OUT)
			return GOT_OUT;
	}
	return REFUSED;
}

/* clang-format off */
#define FILE_ATTEMPTS \
	TRY("leaked-descriptors", leaked, "find a descriptor that the caller left open"), \
	TRY("leaked-folder", through_leak, "open a host's file through a leaked folder (CVE-2024-21626)"), \
	TRY("working-folder", folder_outside, "stand outside the root (CVE-2024-21626)"), \
	TRY("dot-dot", climbed, "climb out of the root"), \
	TRY("stdin-for-writing", input_for_writing, "open a read-only standard input for writing"), \
	TRY("stdin-truncate", input_cut, "cut the file behind standard input"), \
	TRY("stdin-link", input_linked, "link the file behind standard input"), \
	TRY("stdin-parent", input_reopened_parent, "reach the folder of standard input"), \
	TRY("host-file-read", host_read, "read a host's file that everybody may read"), \
	TRY("host-file-write", host_written, "write a host's file that everybody may write"), \
	TRY("host-state", host_state, "open cordon's state"), \
	TRY("host-secrets", host_shadow, "open places of the host"), \
	TRY("read-only-write", read_only_written, "write to a read-only mount"), \
	TRY("read-only-truncate", read_only_cut, "cut a file of a read-only mount"), \
	TRY("read-only-chmod", read_only_mode, "change a file of a read-only mount"), \
	TRY("read-only-rename", read_only_renamed, "rename a file of a read-only mount"), \
	TRY("link-across", moved_across, "link a file of a mount into /tmp"), \
	TRY("make-anywhere", made_elsewhere, "make a file outside the session's memory"), \
	TRY("etc-write", passwd_written, "change the sandbox's users"), \
	TRY("page-cache", page_cache, "change a read-only file's pages (CVE-2022-0847)"), \
	TRY("name-to-handle", by_handle, "get a file's handle"), \
	TRY("open-by-handle", shocker, "open the host's root by its handle"), \
	TRY("exec-tmp", ran_in_tmp, "run a program from /tmp"), \
	TRY("exec-home", ran_in_home, "run a program from the home"), \
	TRY("exec-scratch", ran_in_scratch, "run a program from memory of the policy"), \
	TRY("mmap-exec", mapped_code, "map a file of that memory as code"), \
	TRY("runtime-exe", runtime_program, "open the runtime's program (CVE-2019-5736)"), \
	TRY("own-exe", own_program, "open one's own program for writing"), \
	TRY("interpreter-exe", interpreter, "run /proc/self/exe as an interpreter (CVE-2019-5736)"), \
	TRY("proc-first-root", root_of_first, "enter the first process's root"), \
	TRY("proc-first-facts", facts_of_first, "read the first process's environment or memory"), \
	TRY("proc-kernel-facts", kernel_facts, "read the kernel's files in /proc"), \
	TRY("proc-settings", kernel_settings, "write the kernel's settings"), \
	TRY("kernel-memory", kernel_memory, "read the kernel's memory"), \
	TRY("sys", sysfs, "open /sys"), \
	TRY("cgroup-files", cgroup_files, "open the control groups"), \
	TRY("uid-map", own_map, "rewrite the id map"), \
	TRY("timens-offsets", own_clock, "shift the clocks"), \
	TRY("oom-score", spared_by_oom, "be spared when memory runs out"), \
	TRY("proc-self-mem", own_memory, "write memory past its protection"), \
	TRY("devices", host_devices, "open the host's devices"), \
	TRY("mknod-char", node_made, "make a node of the host's memory"), \
	TRY("mknod-block", block_node_made, "make a node of the host's disk"), \
	TRY("host-terminals", host_terminals, "open somebody's terminal")
/* clang-format on */
