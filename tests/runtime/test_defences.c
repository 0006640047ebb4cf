/*
 * tests/runtime/test_defences.c - each break-out against a sandbox with walls left out.
 *
 * A sandbox is put together here from the runtime's own parts, in the launcher's order,
 * but any part can be left out. For every attempt of tests/inside/breakout.c that the
 * table names:
 *
 *   with all walls                    it is refused
 *   without the walls of its row      it gets out: the attempt is a real one
 *   with any one of them put back     it is refused: each wall of the row holds alone
 *
 * Attempts without a row are in `unproven`, with the reason. tests/e2e/test_breakouts
 * makes all of them in real sessions.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <grp.h>
#include <linux/capability.h>
#include <linux/sched.h>
#include <pty.h>
#include <sched.h>
#include <stdbool.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/wait.h>

#include "policy/policy.h"
#include "runtime/confine.h"
#include "runtime/mounts.h"
#include "tests/inside/bait.h"

enum wall {
	FILTER = 1 << 0,   /* the seccomp filter */
	CAPS = 1 << 1,     /* no capabilities */
	PRIVS = 1 << 2,    /* no_new_privs, and the bounding set beside it */
	LANDLOCK = 1 << 3, /* files, abstract sockets, signals, tracing */
	USERNS = 1 << 4,   /* ids that are nobody's on the host, mounts of that owner */
	PIDNS = 1 << 5,
	NETNS = 1 << 6,
	IPCNS = 1 << 7,
	UTSNS = 1 << 8,
	ROOT = 1 << 9,      /* the file system of its own, with its own /proc and /dev */
	FDS = 1 << 10,      /* descriptors closed at exec */
	KEYRING = 1 << 11,  /* session keyring of its own */
	LIMITS = 1 << 12,   /* resource limits */
	FIRST = 1 << 13,    /* the first process gives everything up, too */
	READONLY = 1 << 14, /* mount attributes of the bait's mount and of /scratch */
	NOEXEC = 1 << 15,
	NOSUID = 1 << 16,
	SIZE = 1 << 17,    /* of the memory file system */
	FOLDER = 1 << 18,  /* a working folder inside the root */
	SESSION = 1 << 19, /* a session without the caller's terminal */
};

/* clang-format off */
static const struct proof {
	const char *attempt;
	unsigned walls;
	unsigned also; /* left out in all runs but the first: without that it cannot be made */
} proofs[] = {
	/* what the caller left open */
	{ "leaked-descriptors", FDS, 0 },
	{ "leaked-folder", FDS | LANDLOCK, 0 },
	{ "working-folder", FOLDER, 0 },
	{ "dot-dot", FOLDER | LANDLOCK, 0 },
	{ "stdin-for-writing", LANDLOCK, 0 },
	{ "stdin-truncate", LANDLOCK, 0 },
	{ "callers-keyring", KEYRING | FILTER, 0 },
	/* the host's files */
	{ "host-file-read", ROOT, LANDLOCK },
	{ "host-file-write", ROOT, LANDLOCK },
	{ "host-secrets", ROOT, LANDLOCK },
	{ "read-only-write", READONLY, 0 },
	{ "read-only-truncate", READONLY, 0 },
	{ "read-only-chmod", READONLY, 0 },
	{ "read-only-rename", READONLY, 0 },
	{ "etc-write", ROOT | USERNS | CAPS | LANDLOCK, 0 },
	{ "host-state", ROOT | USERNS | CAPS, LANDLOCK },
	{ "clerk-socket", ROOT | USERNS | CAPS, LANDLOCK },
	{ "name-to-handle", FILTER, 0 },
	{ "open-by-handle", FILTER | CAPS | USERNS, LANDLOCK },
	{ "exec-scratch", NOEXEC, 0 },
	{ "mmap-exec", NOEXEC, 0 },
	{ "tmpfs-hog", SIZE, 0 },
	{ "inode-hog", SIZE, 0 },
	{ "pty-hog", ROOT, LANDLOCK },
	/* /proc, /sys and devices */
	{ "runtime-exe", FIRST | LANDLOCK, 0 },
	{ "proc-first-root", FIRST | LANDLOCK, 0 },
	{ "proc-first-facts", FIRST | LANDLOCK, 0 },
	{ "proc-kernel-facts", ROOT, LANDLOCK },
	{ "proc-settings", ROOT | USERNS | CAPS | LANDLOCK, 0 },
	{ "sys", ROOT, LANDLOCK },
	{ "cgroup-files", ROOT, LANDLOCK },
	{ "oom-score", ROOT | LANDLOCK, 0 },
	{ "proc-self-mem", ROOT | LANDLOCK, 0 },
	{ "uid-map", ROOT | LANDLOCK, 0 },
	{ "timens-offsets", ROOT | LANDLOCK, 0 },
	{ "devices", ROOT, LANDLOCK },
	{ "mknod-char", FILTER | CAPS | USERNS | LANDLOCK, 0 },
	{ "mknod-block", FILTER | CAPS | USERNS | LANDLOCK, 0 },
	/* processes */
	{ "ptrace-first", FILTER | FIRST | LANDLOCK, 0 },
	{ "ptrace-child", FILTER, 0 },
	{ "memory-of-first", FILTER | FIRST | LANDLOCK, 0 },
	{ "memory-of-child", FILTER, 0 },
	{ "pidfd-getfd-first", FILTER | FIRST | LANDLOCK, 0 },
	{ "kcmp", FILTER, 0 },
	{ "process-madvise", FILTER | CAPS | USERNS, 0 },
	{ "signal-first", FIRST | LANDLOCK, 0 },
	{ "signal-host", PIDNS | USERNS | CAPS | LANDLOCK, ROOT },
	{ "see-host", ROOT, LANDLOCK },
	{ "clone-untraced", FILTER, 0 },
	/* privileges */
	{ "setuid-0", CAPS, 0 },
	{ "setgid-0", CAPS, 0 },
	{ "setgroups", CAPS, 0 },
	{ "capset", CAPS, 0 },
	{ "set-uid-file", NOSUID | PRIVS | USERNS, LANDLOCK | FILTER },
	{ "file-capabilities", NOSUID | PRIVS, LANDLOCK | FILTER | USERNS },
	{ "set-uid-su", ROOT | PRIVS | USERNS, LANDLOCK | FILTER | PIDNS },
	{ "sched-fifo", CAPS | USERNS, 0 },
	{ "nice", CAPS | USERNS, 0 },
	{ "ioprio", CAPS | USERNS, 0 },
	/* namespaces */
	{ "unshare-user", FILTER, 0 },
	{ "unshare-mount", FILTER | CAPS, 0 },
	{ "unshare-pid", FILTER | CAPS, 0 },
	{ "unshare-net", FILTER | CAPS, 0 },
	{ "unshare-ipc", FILTER | CAPS, 0 },
	{ "unshare-uts", FILTER | CAPS, 0 },
	{ "unshare-cgroup", FILTER | CAPS, 0 },
	{ "unshare-time", FILTER | CAPS, 0 },
	{ "clone-user", FILTER, 0 },
	{ "clone-user-high-bits", FILTER, 0 },
	{ "clone3-user", FILTER, 0 },
	{ "setns-own", FILTER | CAPS, 0 },
	{ "setns-first", FILTER | CAPS | FIRST | LANDLOCK, 0 },
	{ "milder-filter", FILTER, 0 },
	/* mounts */
	{ "mount-tmpfs", FILTER | CAPS | LANDLOCK, 0 },
	{ "mount-proc", FILTER | CAPS | LANDLOCK, 0 },
	{ "mount-cgroup", FILTER | CAPS | LANDLOCK, 0 },
	{ "mount-bind", FILTER | CAPS | LANDLOCK, 0 },
	{ "remount-usr", FILTER | CAPS | LANDLOCK, 0 },
	{ "umount-usr", FILTER | CAPS | LANDLOCK, 0 },
	{ "pivot-root", FILTER | CAPS | LANDLOCK, 0 },
	{ "chroot", FILTER | CAPS, 0 },
	{ "fsopen", FILTER | CAPS, 0 },
	{ "open-tree", FILTER | CAPS, 0 },
	{ "move-mount", FILTER | CAPS | LANDLOCK, 0 },
	{ "mount-setattr", FILTER | CAPS, 0 },
	/* sockets and objects */
	{ "af-packet", FILTER | CAPS, 0 },
	{ "af-packet-high-bits", FILTER | CAPS, 0 },
	{ "af-vsock", FILTER, 0 },
	{ "af-vsock-high-bits", FILTER, 0 },
	{ "af-alg", FILTER, 0 },
	{ "af-xdp", FILTER | CAPS, 0 },
	{ "netlink-netfilter", FILTER, 0 },
	{ "netlink-high-bits", FILTER, 0 },
	{ "rare-families", FILTER, 0 },
	{ "raw-socket", CAPS, 0 },
	{ "low-port", CAPS, 0 },
	{ "interface", CAPS, 0 },
	{ "host-tcp", NETNS, 0 },
	{ "host-abstract", NETNS | LANDLOCK, 0 },
	{ "host-shm", IPCNS, ROOT | LANDLOCK },
	{ "host-mqueue", IPCNS, ROOT | LANDLOCK },
	/* the kernel */
	{ "io-uring", FILTER, 0 },
	{ "aio", FILTER, 0 },
	{ "userfaultfd", FILTER, 0 },
	{ "bpf", FILTER | CAPS | USERNS, 0 },
	{ "perf-event", FILTER, 0 },
	{ "fanotify", FILTER, 0 },
	{ "memfd-secret", FILTER, 0 },
	{ "modify-ldt", FILTER, 0 },
	{ "vmsplice", FILTER, 0 },
	{ "move-pages", FILTER, 0 },
	{ "statmount", FILTER, 0 },
	{ "add-key", FILTER, 0 },
	{ "request-key", FILTER, 0 },
	{ "settimeofday", FILTER | CAPS | USERNS, 0 },
	{ "reboot", FILTER | CAPS, 0 },
	{ "init-module", FILTER | CAPS | USERNS, 0 },
	{ "finit-module", FILTER | CAPS | USERNS, 0 },
	{ "kexec", FILTER | CAPS | USERNS, 0 },
	{ "swapoff", FILTER | CAPS | USERNS, 0 },
	{ "syslog", FILTER | CAPS | USERNS, 0 },
	{ "quotactl", FILTER, 0 },
	{ "iopl", FILTER | CAPS | USERNS, 0 },
	{ "sethostname", FILTER | CAPS, 0 },
	{ "personality", FILTER, 0 },
	{ "personality-high-bits", FILTER, 0 },
	{ "personality-page-zero", FILTER, 0 },
	{ "int80", FILTER, 0 },
	{ "int80-socket", FILTER, 0 },
	{ "x32", FILTER, 0 },
	{ "tiocsti", FILTER, 0 },
	{ "tiocsti-high-bits", FILTER, 0 },
	{ "tioclinux", FILTER, 0 },
	{ "tioclinux-high-bits", FILTER, 0 },
	{ "tiocsetd", FILTER, 0 },
	{ "dev-tty", SESSION, 0 },
	{ "dev-tty-tiocsti", SESSION | FILTER, 0 },
	{ "many-files", LIMITS, 0 },
	{ "core-dump", LIMITS, 0 },
};

static const struct {
	const char *attempt, *why;
} unproven[] = {
	{ "fork-bomb", "test_breakouts shows it, with a policy without that limit" },
	{ "memory-hog", "the same" },
	{ "memfd-hog", "the same" },
	{ "exec-tmp", "as exec-scratch; no plan can change the attributes of /tmp" },
	{ "exec-home", "the same" },
	{ "make-anywhere", "it would leave files on the host" },
	{ "stdin-link", "the kernel links within one mount only" },
	{ "stdin-parent", "the kernel finds no folder above a file of /proc/self/fd" },
	{ "link-across", "the kernel links within one mount only" },
	{ "page-cache", "a kernel without that bug refuses" },
	{ "own-exe", "the kernel writes to no program that runs" },
	{ "interpreter-exe", "the same; test_breakouts starts a session with it" },
	{ "host-terminals", "it takes somebody else's terminal" },
	{ "kernel-memory", "a host may show it to nobody" },
	{ "securebits", "the kernel unlocks none that are locked" },
	{ "ambient", "the same" },
	{ "no-new-privs-off", "the kernel never switches it off" },
	{ "outside", "this host may have no network either" },
	{ "mlock", "the host's own limit may be as low" },
	{ "hard-limit", "takes CAP_SYS_RESOURCE, which a container's root lacks" },
};
/* clang-format on */

#define N_PROOFS (sizeof(proofs) / sizeof(proofs[0]))
#define ENOUGH 60 /* that a kernel with the usual parts lets us show */
#define HARNESS_FAILED 99

static const char policy_text[] = "cordon: 1\n"
				  "tenant: walls\n"
				  "isolation: { class: sandbox, shared-uid: accept }\n"
				  "workload:\n"
				  "  rootfs: host\n"
				  "  mounts:\n"
				  "    - { source: %s, target: /mnt/bait, exec: true }\n"
				  "    - { tmpfs: 4MiB, target: /scratch }\n"
				  "resources: { tmpfs: 8MiB }\n"
				  "seccomp: { profile: default }\n"
				  "capabilities: []\n"
				  "network: { mode: none }\n"
				  "scrub: { held: none, kernel: none }\n";

static struct {
	char dir[64], program[64];
	struct bait bait;
	struct policy_plan *plan;
} host;

/* ---- a sandbox with walls left out ----------------------------------------------- */

struct sandbox {
	struct policy_plan *plan;
	struct mounts_ids ids;
	struct mounts mounts;
	unsigned without;
	int output;
};

static void step(bool done, const char *what, const struct runtime_error *e)
{
	if (done)
		return;
	dprintf(2, "# harness: %s: %s: %s (%s)\n", what, e ? e->where : "", e ? e->what : "",
		strerror(errno));
	_exit(HARNESS_FAILED);
}

#define STEP(what, call) step((call) == RUNTIME_OK, what, &e)

/* All that this process has: without CAPS the workload keeps it over the change of ids. */
static uint64_t own_caps(void)
{
	struct __user_cap_header_struct h = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct d[2];

	step(syscall(SYS_capget, &h, d) == 0, "capget", NULL);
	return d[0].permitted | (uint64_t)d[1].permitted << 32;
}

/* Ids change as they do for a login: the kernel clears the capabilities by itself. */
static void identity_of_old(const struct policy_process *p)
{
	step(setgroups(0, NULL) == 0 && setresgid(p->gid, p->gid, p->gid) == 0 &&
		     setresuid(p->uid, p->uid, p->uid) == 0,
	     "ids", NULL);
}

static void give_up_ids(const struct sandbox *s)
{
	struct policy_process *p = &s->plan->process;
	struct confine_report r = { 0 };
	struct runtime_error e = { 0 };
	uint64_t caps[POLICY_CAPSETS] = { 0 };

	if (s->without & PRIVS) {
		identity_of_old(p);
		return;
	}
	for (size_t i = 0; i < POLICY_CAPSETS && s->without & CAPS; i++)
		caps[i] = own_caps();
	STEP("identity", confine_identity(p->uid, p->gid, NULL, 0, caps, true, &r, &e));
}

static _Noreturn void workload(const struct sandbox *s, const char *attempt)
{
	struct confine_report r = { 0 };
	struct runtime_error e = { 0 };
	char *argv[BAIT_WORDS + 4], *env[] = { NULL };
	size_t n = 0;

	argv[n++] = s->without & ROOT ? host.program : (char[]){ "/mnt/bait/breakout" };
	for (size_t i = 0; i < host.bait.n; i++)
		argv[n++] = host.bait.words[i];
	argv[n++] = (char[]){ "tmpfs=8388608" };
	argv[n++] = (char *)(uintptr_t)attempt;
	argv[n] = NULL;
	step((s->without & SESSION || setsid() > 0) && dup2(s->output, 1) == 1, "session",
	     NULL);
	if (!(s->without & KEYRING))
		STEP("attributes", confine_attributes(&s->plan->process, &r, &e));
	if (!(s->without & LIMITS))
		STEP("limits", confine_rlimits(s->plan->process.rlimits,
					       s->plan->process.n_rlimits, false, &r, &e));
	give_up_ids(s);
	if (!(s->without & LANDLOCK))
		STEP("landlock", confine_files(s->plan, s->mounts.tmpfs[0], -1, &r, &e));
	step((s->without & FOLDER ? fchdir(5) : chdir("/")) == 0, "chdir", NULL);
	/* Those of the harness go in any case: only the caller's are in question. */
	for (int fd = 3; fd < 4096; fd++)
		if (!(s->without & FDS) || (fd != 5 && fd != 10 && fd != 251))
			(void)fcntl(fd, F_SETFD, FD_CLOEXEC);
	if (!(s->without & FILTER))
		step(confine_calls(s->plan) == 0, "filter", NULL);
	execve(argv[0], argv, env);
	_exit(HARNESS_FAILED);
}

static _Noreturn void reap_until(pid_t pid)
{
	int status = 0;

	while (wait4(-1, &status, 0, NULL) != pid)
		;
	_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
}

/* On the host's root Landlock still wants the places that its rules name. */
static void make_ruled_places(void)
{
	step(unshare(CLONE_NEWNS) == 0 &&
		     mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
		     mount("none", "/dev", "tmpfs", 0, NULL) == 0 &&
		     mkdir("/dev/mqueue", 0755) == 0,
	     "/dev", NULL);
}

/* The sandbox's first process, as runtime/inside.c has it. */
static _Noreturn void first(struct sandbox *s, const char *attempt)
{
	static const uint64_t none[POLICY_CAPSETS];
	const struct policy_process *p = &s->plan->process;
	struct confine_report r = { 0 };
	struct runtime_error e = { 0 };
	int master, slave;
	pid_t pid;

	umask(0);
	step(setresgid(0, 0, 0) == 0 && setgroups(0, NULL) == 0 && setresuid(0, 0, 0) == 0 &&
		     prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0 && unshare(CLONE_NEWCGROUP) == 0,
	     "first process", NULL);
	if (!(s->without & ROOT))
		STEP("mounts",
		     mounts_enter(s->plan, &s->ids, &s->mounts, false, &master, &slave, &e));
	else if (!(s->without & LANDLOCK))
		make_ruled_places();
	pid = fork();
	if (pid == 0)
		workload(s, attempt);
	if (s->without & FIRST) {
		STEP("first", confine_identity(p->uid, p->gid, NULL, 0, none, true, &r, &e));
		step(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) == 0, "dumpable", NULL);
		reap_until(pid);
	}
	STEP("first", confine_identity(65534, 65534, NULL, 0, none, true, &r, &e));
	step(prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0, "dumpable", NULL);
	reap_until(pid); /* it must tell the outcome, so it keeps its system calls */
}

static void write_map(pid_t pid, const char *name, uid_t to)
{
	char path[64], text[64];
	int fd, n;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	n = snprintf(text, sizeof(text), "0 %u 65536", to);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	step(fd >= 0 && write(fd, text, (size_t)n) == n, name, NULL);
	close(fd);
}

static uint64_t namespaces(unsigned without)
{
	static const struct {
		unsigned wall;
		uint64_t flag;
	} all[] = { { USERNS, CLONE_NEWUSER }, { PIDNS, CLONE_NEWPID }, { NETNS, CLONE_NEWNET },
		    { IPCNS, CLONE_NEWIPC },   { UTSNS, CLONE_NEWUTS }, { ROOT, CLONE_NEWNS } };
	uint64_t flags = 0;

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (!(without & all[i].wall))
			flags |= all[i].flag;
	return flags;
}

/* Attributes that the policy would not give, where a wall is a mount's attribute. */
static void open_mounts(struct policy_plan *plan, unsigned without)
{
	struct policy_mount *bait = &plan->mounts[0], *scratch = &plan->mounts[1];

	if (without & READONLY)
		bait->attr &= ~(uint64_t)MOUNT_ATTR_RDONLY;
	if (without & NOSUID)
		bait->attr &= ~(uint64_t)MOUNT_ATTR_NOSUID;
	if (without & NOEXEC)
		scratch->attr &= ~(uint64_t)MOUNT_ATTR_NOEXEC;
	if (without & SIZE)
		plan->limits.tmpfs = 256u << 20;
	if (without & ROOT) {
		/* Landlock's rule for the program, where it lies now. */
		bait->target = bait->source;
		plan->n_mounts = 1;
	}
}

/* Whoever starts a session at a prompt has one. */
static void callers_terminal(void)
{
	int master, slave;

	step(setsid() > 0 && openpty(&master, &slave, NULL, NULL, NULL) == 0 &&
		     ioctl(slave, TIOCSCTTY, 0) == 0,
	     "terminal", NULL);
}

static _Noreturn void supervise(unsigned without, const char *attempt, int output)
{
	struct policy_mount mounts[2];
	struct policy_plan plan = *host.plan;
	struct sandbox s = { .plan = &plan, .without = without, .output = output };
	struct clone_args args = { .flags = namespaces(without), .exit_signal = SIGCHLD };
	struct runtime_error e = { 0 };
	int go[2], status;
	pid_t pid;
	char c;

	bait_leak(&host.bait);
	callers_terminal();
	memcpy(mounts, plan.mounts, sizeof(mounts));
	plan.mounts = mounts;
	open_mounts(&plan, without);
	s.ids.range = !(without & USERNS);
	s.ids.first = s.ids.range ? 0x6fff0000 : 0;
	STEP("prepare", mounts_prepare(&plan, &s.ids, &s.mounts, &e));
	step(pipe2(go, O_CLOEXEC) == 0, "pipe", NULL);
	pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
	step(pid >= 0, "clone3", NULL);
	if (pid == 0) {
		step(read(go[0], &c, 1) == 1, "go", NULL);
		first(&s, attempt);
	}
	if (s.ids.range) {
		write_map(pid, "uid_map", s.ids.first);
		write_map(pid, "gid_map", s.ids.first);
	}
	step(write(go[1], "g", 1) == 1, "go", NULL);
	while (waitpid(pid, &status, 0) < 0)
		;
	_exit(WIFEXITED(status) ? WEXITSTATUS(status) : HARNESS_FAILED);
}

/* 0: it got out; 1: refused; anything else: it could not be made. */
static int outcome(const char *attempt, unsigned without, char *ret_said, size_t size)
{
	int output = memfd_create("output", MFD_CLOEXEC), status;
	pid_t pid;
	ssize_t n;

	assert_true(output >= 0);
	pid = fork();
	if (pid == 0)
		supervise(without, attempt, output);
	assert_true(pid > 0);
	while (waitpid(pid, &status, 0) < 0)
		;
	n = pread(output, ret_said, size - 1, 0);
	ret_said[n < 0 ? 0 : n] = 0;
	close(output);
	return WIFEXITED(status) ? WEXITSTATUS(status) : HARNESS_FAILED;
}

/* ---- the three sentences --------------------------------------------------------- */

static bool expect(const struct proof *p, unsigned without, int wanted, const char *sentence)
{
	char said[512];
	int got = outcome(p->attempt, without, said, sizeof(said));

	if (got == wanted)
		return true;
	print_message("# %s %s: outcome %d, wanted %d; left out: 0x%x; %s\n", p->attempt,
		      sentence, got, wanted, without, said);
	return false;
}

/* What a kernel was built without cannot be reached on it, whatever is left out. */
static bool is_missing_here(const struct proof *p)
{
	char said[512];

	return outcome(p->attempt, p->walls | p->also, said, sizeof(said)) == 1 &&
	       strstr(said, strerror(ENOSYS));
}

/* A sanitizer does at start what no workload does, and needs what no sandbox shows. */
#ifdef __SANITIZE_ADDRESS__
#define SANITIZED true
#else
#define SANITIZED false
#endif

static bool can_run(void)
{
	return geteuid() == 0 && !SANITIZED;
}

static void need_root(void)
{
	if (can_run())
		return;
	print_message(SANITIZED ? "walls are tested without sanitizers\n"
				: "leaving walls out takes root\n");
	skip();
}

static void is_refused_by_all_walls(void **state)
{
	bool ok = true;

	(void)state;
	need_root();
	for (size_t i = 0; i < N_PROOFS; i++)
		ok &= expect(&proofs[i], 0, 1, "with all walls");
	assert_true(ok);
}

static void gets_out_without_its_walls(void **state)
{
	size_t proven = 0, missing = 0;

	(void)state;
	need_root();
	for (size_t i = 0; i < N_PROOFS; i++)
		if (expect(&proofs[i], proofs[i].walls | proofs[i].also, 0,
			   "without its walls"))
			proven++;
		else if (is_missing_here(&proofs[i]))
			missing++;
	print_message("# %zu shown to get out, %zu not in this kernel\n", proven, missing);
	assert_int_equal(proven + missing, N_PROOFS);
	assert_true(proven >= ENOUGH);
}

static void is_refused_by_each_wall_alone(void **state)
{
	bool ok = true;

	(void)state;
	need_root();
	for (size_t i = 0; i < N_PROOFS; i++)
		for (unsigned w = 1; w <= proofs[i].walls; w <<= 1)
			if (proofs[i].walls & w && (proofs[i].walls != w || proofs[i].also))
				ok &= expect(&proofs[i],
					     (proofs[i].walls & ~w) | proofs[i].also, 1,
					     "with one wall put back");
	assert_true(ok);
}

static bool is_listed(const char *attempt)
{
	for (size_t i = 0; i < N_PROOFS; i++)
		if (strcmp(proofs[i].attempt, attempt) == 0)
			return true;
	for (size_t i = 0; i < sizeof(unproven) / sizeof(unproven[0]); i++)
		if (strcmp(unproven[i].attempt, attempt) == 0)
			return true;
	return false;
}

static void every_attempt_is_proven_or_has_a_reason(void **state)
{
	char command[96], name[64];
	bool ok = true;
	FILE *names;

	(void)state;
	need_root();
	snprintf(command, sizeof(command), "%s list", host.program);
	names = popen(command, "re");
	assert_non_null(names);
	while (fscanf(names, "%63s", name) == 1)
		if (!is_listed(name)) {
			print_message("# neither proven nor excused: %s\n", name);
			ok = false;
		}
	assert_int_equal(pclose(names), 0);
	assert_true(ok);
}

/* ---- the host's side ------------------------------------------------------------- */

static int put_out_bait(void **state)
{
	char text[sizeof(policy_text) + 64], here[4096], program[4200];
	char *command[] = { (char[]){ "x" }, NULL };
	struct policy *policy = NULL;
	struct policy_error e;
	ssize_t n = readlink("/proc/self/exe", here, sizeof(here) - 1);

	(void)state;
	if (!can_run())
		return 0;
	here[n < 0 ? 0 : n] = 0;
	*strstr(here, "/tests/runtime/") = 0;
	snprintf(program, sizeof(program), "%s/tests/inside/breakout", here);
	strcpy(host.dir, "/tmp/cordon-walls-XXXXXX");
	bait_need(mkdtemp(host.dir) && chmod(host.dir, 0755) == 0, host.dir);
	snprintf(host.program, sizeof(host.program), "%.40s/breakout", host.dir);
	bait_make(&host.bait, host.dir, program);
	snprintf(text, sizeof(text), policy_text, host.dir);
	if (policy_parse("walls", text, strlen(text), &policy, &e) != POLICY_OK ||
	    policy_plan_make(policy, command, NULL, &host.plan, &e) != POLICY_OK) {
		policy_error_print(stderr, &e);
		return -1;
	}
	policy_free(policy);
	return 0;
}

static int take_bait_in(void **state)
{
	char command[160];

	(void)state;
	if (!can_run())
		return 0;
	bait_end(&host.bait);
	policy_plan_free(host.plan);
	snprintf(command, sizeof(command), "rm -rf --one-file-system %s %s.host", host.dir,
		 host.dir);
	return system(command);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(is_refused_by_all_walls),
		cmocka_unit_test(gets_out_without_its_walls),
		cmocka_unit_test(is_refused_by_each_wall_alone),
		cmocka_unit_test(every_attempt_is_proven_or_has_a_reason),
	};

	return cmocka_run_group_tests_name("defences", tests, put_out_bait, take_bait_in);
}
