/*
 * tests/bench/bare.c - the limit: the kernel objects of a sandbox, made the cheapest way
 * we know, and nothing else.
 *
 *	bare FILTER [+FOLDER FILE=VALUE...]...
 *
 * It makes what the launcher makes for the built-in policy: eight namespaces, a map of
 * 65536 ids, the host view with its 19 mounts, a first process and a workload, both without
 * ids, capabilities and privileges to come, Landlock, the filter; each +FOLDER is a cgroup
 * to make, limit, enter and remove. What it leaves out is all that proves something: it
 * traces nobody, reads nothing back, takes every path as it is, says no reason when it
 * fails and keeps no descriptor. Root only, x86-64 and the kernels that have all of it.
 */
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/keyctl.h>
#include <linux/landlock.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <linux/securebits.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/bench/bench.h"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x80
#endif
#ifndef PR_SCHED_CORE
#define PR_SCHED_CORE 62
#define PR_SCHED_CORE_CREATE 1
#endif

#define FIRST_ID "2147352576" /* above the blocks that sessions get, below 2^31 */
#define USER 1000
#define NOBODY 65534

#define SAFE (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV)
#define DATA (SAFE | MOUNT_ATTR_NOEXEC)
#define DEVICE (MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC)

static const struct {
	const char *from, *to;
	uint64_t attr;
} views[] = {
	{ "/usr", "usr", SAFE | MOUNT_ATTR_RDONLY },
	{ "/etc/alternatives", "etc/alternatives", DATA | MOUNT_ATTR_RDONLY },
	{ "/etc/ld.so.cache", "etc/ld.so.cache", DATA | MOUNT_ATTR_RDONLY },
	{ "/etc/ssl/certs", "etc/ssl/certs", DATA | MOUNT_ATTR_RDONLY },
	{ "/etc/ssl/openssl.cnf", "etc/ssl/openssl.cnf", DATA | MOUNT_ATTR_RDONLY },
	{ "/dev/null", "dev/null", DEVICE },
	{ "/dev/zero", "dev/zero", DEVICE },
	{ "/dev/full", "dev/full", DEVICE },
	{ "/dev/random", "dev/random", DEVICE },
	{ "/dev/urandom", "dev/urandom", DEVICE },
	{ "/dev/tty", "dev/tty", DEVICE },
};
#define VIEWS (sizeof(views) / sizeof(views[0]))

static struct sock_filter filter[BPF_MAXINSNS];
static struct sock_fprog program = { .filter = filter };
static int root, memory, view[VIEWS], go[2], into = -1, tasks[3];
static size_t n_tasks;

/* Calls whose failure makes the measurement void. */
#define MUST(call)                                                                             \
	do {                                                                                   \
		if ((call) < 0)                                                                \
			die(#call);                                                            \
	} while (0)

/* ---- mounts ---------------------------------------------------------------------- */

static int make_fs(const char *type, const char *const *options, uint64_t attr)
{
	int fs = fsopen(type, FSOPEN_CLOEXEC), fd;

	for (; options[0]; options += 2)
		MUST(fsconfig(fs, options[1] ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG,
			      options[0], options[1], 0));
	MUST(fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0));
	MUST(fd = fsmount(fs, FSMOUNT_CLOEXEC, (unsigned)attr));
	close(fs);
	return fd;
}

static int make_tmpfs(const char *size, const char *inodes, uint64_t attr)
{
	const char *options[] = { "size",   size,  "nr_inodes", inodes,   "mode", "755", "uid",
				  FIRST_ID, "gid", FIRST_ID,    "noswap", NULL,   NULL };

	return make_fs("tmpfs", options, attr);
}

static void move(int fd, const char *to)
{
	MUST(move_mount(fd, "", AT_FDCWD, to, MOVE_MOUNT_F_EMPTY_PATH));
}

static void prepare_mounts(void)
{
	root = make_tmpfs("4194304", "1024", SAFE);
	for (size_t i = 0; i < VIEWS; i++) {
		struct mount_attr a = { .attr_set = views[i].attr };

		MUST(view[i] = open_tree(AT_FDCWD, views[i].from,
					 OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE));
		MUST(mount_setattr(view[i], "", AT_EMPTY_PATH | AT_RECURSIVE, &a, sizeof(a)));
	}
	memory = make_tmpfs("67108864", "16384", DATA);
}

static void file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		die(path);
	close(fd);
}

static void fill_root(void)
{
	static const char *const folders[] = { "dev",     "dev/pts",
					       "dev/shm", "dev/mqueue",
					       "etc",     "etc/alternatives",
					       "etc/ssl", "etc/ssl/certs",
					       "home",    "home/tenant",
					       "proc",    "run",
					       "tmp",     "usr",
					       "var",     "var/lib" };
	static const char *const links[][2] = {
		{ "usr/bin", "bin" },
		{ "usr/sbin", "sbin" },
		{ "usr/lib", "lib" },
		{ "usr/lib64", "lib64" },
		{ "../tmp", "var/tmp" },
		{ "../run", "var/run" },
		{ "/proc/self/fd", "dev/fd" },
		{ "/proc/self/fd/0", "dev/stdin" },
		{ "/proc/self/fd/1", "dev/stdout" },
		{ "/proc/self/fd/2", "dev/stderr" },
		{ "pts/ptmx", "dev/ptmx" },
		{ "/usr/share/zoneinfo/Etc/UTC", "etc/localtime" },
	};

	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++)
		MUST(mkdir(folders[i], 0755));
	for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++)
		MUST(symlink(links[i][0], links[i][1]));
	for (size_t i = 0; i < VIEWS; i++)
		if (strncmp(views[i].to, "dev/", 4) == 0 ||
		    strstr(views[i].to, "ssl/openssl") || strstr(views[i].to, "ld.so"))
			file(views[i].to, "");
	file("etc/passwd", "root:x:0:0:root:/:/usr/sbin/nologin\n"
			   "tenant:x:1000:1000:tenant:/home/tenant:/bin/sh\n"
			   "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n");
	file("etc/group", "root:x:0:\ntty:x:5:\ntenant:x:1000:\nnogroup:x:65534:\n");
	file("etc/hosts", "127.0.0.1 localhost sandbox\n::1 localhost\n");
	file("etc/hostname", "sandbox");
	file("etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\n");
}

static void mount_memory(void)
{
	static const struct {
		const char *name, *to;
		mode_t mode;
		bool own;
	} folders[] = { { "shm", "dev/shm", 01777, false },
			{ "home", "home/tenant", 0700, true },
			{ "run", "run", 0755, true },
			{ "tmp", "tmp", 01777, false } };

	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
		int fd;

		MUST(mkdirat(memory, folders[i].name, folders[i].mode));
		if (folders[i].own)
			MUST(fchownat(memory, folders[i].name, USER, USER, 0));
		MUST(fd = open_tree(memory, folders[i].name,
				    OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
		move(fd, folders[i].to);
		close(fd);
	}
}

static void enter_mounts(void)
{
	const char *pts[] = { "ptmxmode", "0666", "mode", "0620", "gid", "5", NULL };
	const char *proc[] = { "subset", "pid", "hidepid", "ptraceable", NULL };
	const char *none[] = { NULL };
	struct mount_attr private = { .propagation = MS_PRIVATE };
	struct mount_attr read_only = { .attr_set = MOUNT_ATTR_RDONLY };

	MUST(mount_setattr(AT_FDCWD, "/", AT_RECURSIVE, &private, sizeof(private)));
	/* The memory's own top lies between the old root and ours and goes with the old one:
	 * only an attached mount's folders can be cloned everywhere. */
	move(memory, "/dev"); /* to be cloned from, until the old root goes */
	move(root, "/");
	MUST(fchdir(root));
	fill_root();
	move(make_fs("devpts", pts, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC), "dev/pts");
	move(make_fs("mqueue", none, DATA), "dev/mqueue");
	move(make_fs("proc", proc, DATA | MOUNT_ATTR_RDONLY), "proc");
	mount_memory();
	for (size_t i = 0; i < VIEWS; i++)
		move(view[i], views[i].to);
	MUST(mount_setattr(root, "", AT_EMPTY_PATH, &read_only, sizeof(read_only)));
	MUST(syscall(SYS_pivot_root, ".", "."));
	MUST(umount2(".", MNT_DETACH));
	MUST(chdir("/"));
}

/* ---- what is given up ------------------------------------------------------------ */

#define SECUREBITS                                                                             \
	(SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP |                       \
	 SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_KEEP_CAPS_LOCKED |                             \
	 SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED)

static void drop(unsigned id)
{
	struct __user_cap_header_struct h = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[2] = { 0 };

	MUST(prctl(PR_SET_SECUREBITS, SECUREBITS));
	for (unsigned long c = 0; prctl(PR_CAPBSET_DROP, c, 0, 0, 0) == 0; c++)
		;
	MUST(setgroups(0, NULL));
	MUST(setresgid(id, id, id));
	MUST(setresuid(id, id, id));
	MUST(syscall(SYS_capset, &h, none));
	MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
}

static void restrict_files(void)
{
	enum {
		READ = 0x4 | 0x8,
		WRITE = 0x2 | 0x30 | 0x80 | 0x100 | 0x200 | 0x400 | 0x1000 | 0x2000 | 0x4000
	};
	static const struct {
		const char *path;
		uint64_t access;
	} rules[] = { { "/usr", 0x1 },
		      { "/", READ },
		      { "/dev", READ | 0x2 | 0x8000 },
		      { "/dev/shm", READ | WRITE },
		      { "/dev/mqueue", READ | WRITE },
		      { "/tmp", READ | WRITE },
		      { "/run", READ | WRITE },
		      { "/home/tenant", READ | WRITE } };
	const uint64_t attr[3] = { 0xffff, 0, 0x3 }; /* all of ABI 6 but the network */
	int set = (int)syscall(SYS_landlock_create_ruleset, attr, sizeof(attr), 0);

	MUST(set);
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		struct landlock_path_beneath_attr rule = {
			.parent_fd = open(rules[i].path, O_PATH | O_CLOEXEC),
			.allowed_access = rules[i].access,
		};

		MUST(syscall(SYS_landlock_add_rule, set, LANDLOCK_RULE_PATH_BENEATH, &rule, 0));
		close(rule.parent_fd);
	}
	MUST(syscall(SYS_landlock_restrict_self, set, 0));
	close(set);
}

/* What the launcher puts below every profile. */
static struct sock_filter floor_filter[] = {
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone3, 0, 1),
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | 38),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 3),
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
	BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, CLONE_UNTRACED, 0, 1),
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | 1),
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
};
static struct sock_fprog floor_program = { sizeof(floor_filter) / sizeof(floor_filter[0]),
					   floor_filter };

static void limit(__rlimit_resource_t what, rlim_t soft, rlim_t hard)
{
	struct rlimit l = { soft, hard };

	MUST(setrlimit(what, &l));
}

static _Noreturn void workload(void)
{
	char *argv[] = { (char[]){ "/bin/true" }, NULL };
	char *env[] = { (char[]){ "PATH=/usr/bin:/bin" }, (char[]){ "HOME=/home/tenant" },
			(char[]){ "USER=tenant" }, (char[]){ "LANG=C.UTF-8" }, NULL };

	MUST(setsid());
	(void)prctl(PR_SET_SPECULATION_CTRL, PR_SPEC_STORE_BYPASS, PR_SPEC_FORCE_DISABLE, 0, 0);
	(void)prctl(PR_SET_SPECULATION_CTRL, PR_SPEC_INDIRECT_BRANCH, PR_SPEC_FORCE_DISABLE, 0,
		    0);
	umask(022);
	MUST(syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL));
	limit(RLIMIT_CORE, 1, 1);
	limit(RLIMIT_NOFILE, 1024, 4096);
	limit(RLIMIT_MEMLOCK, 65536, 65536);
	limit(RLIMIT_MSGQUEUE, 819200, 819200);
	limit(RLIMIT_SIGPENDING, 1024, 1024);
	drop(USER);
	restrict_files();
	MUST(close_range(3, ~0u, CLOSE_RANGE_CLOEXEC));
	MUST(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &floor_program));
	MUST(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program));
	execve(argv[0], argv, env);
	_exit(127);
}

static _Noreturn void first_process(void)
{
	static struct sock_filter waits[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_wait4, 2, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog wait_program = { sizeof(waits) / sizeof(waits[0]), waits };
	struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };
	char byte;
	int net, status = 0;
	pid_t pid;

	for (size_t i = 0; i < n_tasks; i++)
		MUST(write(tasks[i], "0", 1));
	MUST(read(go[0], &byte, 1));
	umask(0);
	MUST(setresgid(0, 0, 0));
	MUST(setgroups(0, NULL));
	MUST(setresuid(0, 0, 0));
	MUST(unshare(CLONE_NEWCGROUP));
	MUST(sethostname("sandbox", 7));
	MUST(setdomainname("", 0));
	enter_mounts();
	MUST(net = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
	MUST(ioctl(net, SIOCSIFFLAGS, &lo));
	(void)prctl(PR_SCHED_CORE, PR_SCHED_CORE_CREATE, 0, 1, 0);
	MUST(pid = fork());
	if (pid == 0)
		workload();
	drop(NOBODY);
	MUST(close_range(0, ~0u, 0));
	MUST(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &wait_program));
	MUST(wait4(pid, &status, __WALL, NULL));
	_exit(status ? 1 : 0);
}

/* ---- around it ------------------------------------------------------------------- */

static int open_in(const char *folder, const char *name)
{
	char path[512];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		die(path);
	return fd;
}

static void write_to(const char *folder, const char *name, const char *text)
{
	int fd = open_in(folder, name);

	if (write(fd, text, strlen(text)) < 0)
		die(name);
	close(fd);
}

/* A v2 folder is one to be born into, v1 folders are entered. */
static void way_in(const char *folder)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/tasks", folder);
	if (access(path, F_OK) < 0)
		into = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	else if (n_tasks < sizeof(tasks) / sizeof(tasks[0]))
		tasks[n_tasks++] = open_in(folder, "tasks");
}

static void make_cgroups(int argc, char **argv)
{
	const char *folder = "";

	for (int i = 2; i < argc; i++) {
		char *value = strchr(argv[i], '=');

		if (argv[i][0] == '+') {
			folder = argv[i] + 1;
			MUST(mkdir(folder, 0755));
			way_in(folder);
		} else if (value) {
			*value = 0;
			write_to(folder, argv[i], value + 1);
		}
	}
}

static void remove_cgroups(int argc, char **argv)
{
	for (int i = 2; i < argc; i++)
		if (argv[i][0] == '+')
			MUST(rmdir(argv[i] + 1));
}

static void read_filter(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, filter, sizeof(filter));

	if (n <= 0)
		die(path);
	close(fd);
	program.len = (unsigned short)((size_t)n / sizeof(filter[0]));
}

int main(int argc, char **argv)
{
	struct clone_args args = {
		.flags = CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET |
			 CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWTIME | CLONE_CLEAR_SIGHAND,
		.exit_signal = SIGCHLD,
	};
	char proc[32];
	int status = 0;
	long pid;

	if (argc < 2)
		return 2;
	read_filter(argv[1]);
	make_cgroups(argc, argv);
	prepare_mounts();
	MUST(pipe2(go, O_CLOEXEC));
	if (into >= 0) {
		args.flags |= CLONE_INTO_CGROUP;
		args.cgroup = (uint64_t)into;
	}
	MUST(pid = syscall(SYS_clone3, &args, sizeof(args)));
	if (pid == 0)
		first_process();
	snprintf(proc, sizeof(proc), "/proc/%ld", pid);
	write_to(proc, "uid_map", "0 " FIRST_ID " 65536\n");
	write_to(proc, "gid_map", "0 " FIRST_ID " 65536\n");
	write_to(proc, "oom_score_adj", "1000");
	MUST(write(go[1], "", 1));
	MUST(wait4((pid_t)pid, &status, __WALL, NULL));
	remove_cgroups(argc, argv);
	return status ? 3 : 0;
}
