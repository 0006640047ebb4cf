/*
 * policy/profile_default.c - the profile that sandboxes get unless their policy names
 * another.
 *
 * It allows by name and answers EPERM to all else, ENOSYS where libc or a program has a
 * way around a missing call. In no call is it milder than Docker's profile without
 * capabilities; what that allows and this does not stands in the list of exclusions.
 */
#include "policy/profile_rules.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/sched.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

/* ---- calls ----------------------------------------------------------------------- */

/* clang-format off */
static const char allowed[] =
	/* files */
	"access chdir chmod chown close close_range copy_file_range creat dup dup2 dup3 "
	"faccessat faccessat2 fadvise64 fallocate fchdir fchmod fchmodat fchmodat2 fchown "
	"fchownat fcntl fdatasync fgetxattr flistxattr flock fremovexattr fsetxattr fstat "
	"fstatfs fsync ftruncate futimesat getcwd getdents getdents64 getxattr getxattrat "
	"inotify_add_watch inotify_init inotify_init1 inotify_rm_watch lchown lgetxattr "
	"link linkat listxattr listxattrat llistxattr lremovexattr lseek lsetxattr lstat "
	"mkdir mkdirat newfstatat open openat openat2 pipe pipe2 pread64 preadv preadv2 "
	"pwrite64 pwritev pwritev2 read readahead readlink readlinkat readv removexattr "
	"removexattrat rename renameat renameat2 rmdir sendfile setxattr setxattrat splice "
	"stat statfs statx symlink symlinkat sync sync_file_range syncfs tee truncate umask "
	"unlink unlinkat utime utimensat utimes write writev ioctl mknod mknodat "
	/* memory */
	"brk madvise map_shadow_stack memfd_create mincore mlock mlock2 mlockall mmap "
	"mprotect mremap mseal msync munlock munlockall munmap pkey_alloc pkey_free "
	"pkey_mprotect "
	/* processes, threads, their properties */
	"arch_prctl capget capset execve execveat exit exit_group fork get_robust_list getcpu "
	"getegid geteuid getgid getgroups getpgid getpgrp getpid getppid getpriority "
	"getresgid getresuid getrlimit getrusage getsid gettid getuid ioprio_get ioprio_set "
	"landlock_add_rule landlock_create_ruleset landlock_restrict_self membarrier "
	"pidfd_open prctl prlimit64 restart_syscall rseq sched_get_priority_max "
	"sched_get_priority_min sched_getaffinity sched_getattr sched_getparam "
	"sched_getscheduler sched_rr_get_interval sched_setaffinity sched_setattr "
	"sched_setparam sched_setscheduler sched_yield seccomp set_robust_list "
	"set_tid_address setfsgid setfsuid setgid setgroups setpgid setpriority setregid "
	"setresgid setresuid setreuid setrlimit setsid setuid sysinfo times uname uretprobe "
	"vfork wait4 waitid "
	/* signals */
	"kill pause pidfd_send_signal rt_sigaction rt_sigpending rt_sigprocmask "
	"rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_tgsigqueueinfo "
	"sigaltstack signalfd signalfd4 tgkill tkill "
	/* waiting */
	"epoll_create epoll_create1 epoll_ctl epoll_pwait epoll_pwait2 epoll_wait eventfd "
	"eventfd2 futex futex_requeue futex_wait futex_waitv futex_wake io_cancel io_destroy "
	"io_getevents io_pgetevents io_submit poll ppoll pselect6 select "
	/* time */
	"alarm clock_getres clock_gettime clock_nanosleep getitimer gettimeofday nanosleep "
	"setitimer time timer_create timer_delete timer_getoverrun timer_gettime "
	"timer_settime timerfd_create timerfd_gettime timerfd_settime "
	/* sockets, but for making them */
	"accept accept4 bind connect getpeername getsockname getsockopt listen recvfrom "
	"recvmmsg recvmsg sendmmsg sendmsg sendto setsockopt shutdown "
	/* System V and POSIX objects: the session has its own namespace of them */
	"mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedsend mq_unlink msgctl msgget "
	"msgrcv msgsnd semctl semget semop semtimedop shmat shmctl shmdt shmget "
	/* randomness */
	"getrandom";

/* Asked for by programs that go on without: "not there" is what they understand. */
static const char absent[] =
	"cachestat clone3 io_setup io_uring_enter io_uring_register io_uring_setup listmount "
	"lsm_get_self_attr lsm_list_modules lsm_set_self_attr memfd_secret process_mrelease "
	"statmount";

#define NEW_NAMESPACES \
	(CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | \
	 CLONE_NEWPID | CLONE_NEWNET)

/* Other protocols are modules that the kernel loads for whoever asks. */
#define INET(family, protocol) \
	{ "socket", PROFILE_ALLOW, \
	  { { 0, PROFILE_EQ, family, 0 }, { 2, PROFILE_EQ, protocol, 0 } }, 2 }

static const struct conditional {
	const char *name;
	enum profile_action action;
	struct profile_arg args[2];
	size_t n_args;
} conditional[] = {
	{ "socket", PROFILE_ALLOW, { { 0, PROFILE_EQ, AF_UNIX, 0 } }, 1 },
	INET(AF_INET, IPPROTO_IP),
	INET(AF_INET, IPPROTO_TCP),
	INET(AF_INET, IPPROTO_UDP),
	INET(AF_INET, IPPROTO_ICMP),
	INET(AF_INET6, IPPROTO_IP),
	INET(AF_INET6, IPPROTO_TCP),
	INET(AF_INET6, IPPROTO_UDP),
	INET(AF_INET6, IPPROTO_ICMPV6),
	/* glibc asks the routing protocol which addresses there are */
	{ "socket", PROFILE_ALLOW,
	  { { 0, PROFILE_EQ, AF_NETLINK, 0 }, { 2, PROFILE_EQ, 0, 0 } }, 2 },
	{ "socketpair", PROFILE_ALLOW, { { 0, PROFILE_EQ, AF_UNIX, 0 } }, 1 },

	{ "personality", PROFILE_ALLOW, { { 0, PROFILE_EQ, 0, 0 } }, 1 },
	{ "personality", PROFILE_ALLOW, { { 0, PROFILE_EQ, 0x8, 0 } }, 1 },
	{ "personality", PROFILE_ALLOW, { { 0, PROFILE_EQ, 0x20000, 0 } }, 1 },
	{ "personality", PROFILE_ALLOW, { { 0, PROFILE_EQ, 0x20008, 0 } }, 1 },
	{ "personality", PROFILE_ALLOW, { { 0, PROFILE_EQ, 0xffffffff, 0 } }, 1 },

	{ "clone", PROFILE_ALLOW,
	  { { 0, PROFILE_MASKED_EQ, NEW_NAMESPACES | CLONE_UNTRACED, 0 } }, 1 },

	{ "ioctl", PROFILE_ERRNO, { { 1, PROFILE_EQ, TIOCSTI, 0 } }, 1 },
	{ "ioctl", PROFILE_ERRNO, { { 1, PROFILE_EQ, TIOCLINUX, 0 } }, 1 },
	{ "ioctl", PROFILE_ERRNO, { { 1, PROFILE_EQ, TIOCCONS, 0 } }, 1 },
	{ "ioctl", PROFILE_ERRNO, { { 1, PROFILE_EQ, TIOCSETD, 0 } }, 1 },

	{ "mknod", PROFILE_ERRNO, { { 1, PROFILE_MASKED_EQ, S_IFMT, S_IFCHR } }, 1 },
	{ "mknod", PROFILE_ERRNO, { { 1, PROFILE_MASKED_EQ, S_IFMT, S_IFBLK } }, 1 },
	{ "mknodat", PROFILE_ERRNO, { { 2, PROFILE_MASKED_EQ, S_IFMT, S_IFCHR } }, 1 },
	{ "mknodat", PROFILE_ERRNO, { { 2, PROFILE_MASKED_EQ, S_IFMT, S_IFBLK } }, 1 },
};

/* A capability opens a call only where that reaches no further than the session itself.
 * CAP_SYS_ADMIN opens none: what it is wanted for is making namespaces and mounts, and
 * that is the launcher's. */
static const struct { unsigned cap; const char *names; } by_capability[] = {
	{ CAP_SYS_CHROOT, "chroot" },
	{ CAP_SYS_NICE, "get_mempolicy mbind set_mempolicy set_mempolicy_home_node" },
};

/* ---- what Docker's profile allows and this one does not -------------------------- */

static const struct profile_exclusion exclusions[] = {
	{ "ptrace process_vm_readv process_vm_writev",
	  "one process steering another; the keeper alone traces the session's processes" },
	{ "memfd_secret",
	  "memory that cannot be wiped from outside, so no receipt could vouch for it" },
	{ "process_mrelease",
	  "frees the memory of a dying process before the keeper has wiped it" },
	{ "clone",
	  "CLONE_UNTRACED makes a process that its tracer, the keeper, does not learn of" },
	{ "socket socketpair",
	  "only unix, tcp, udp and icmp over inet and inet6, and netlink protocol 0: others reach "
	  "the hypervisor (vsock), the page cache (alg) or rarely used parsers in the kernel" },
	{ "ioctl",
	  "TIOCSTI and TIOCLINUX put input into a terminal, TIOCCONS takes the console's "
	  "output, TIOCSETD loads line disciplines; the rest is allowed" },
	{ "mknod mknodat",
	  "no device nodes: the session's are made for it; pipes, sockets and files are allowed" },
	{ "name_to_handle_at",
	  "its handles serve open_by_handle_at, which walks out of a root folder" },
	{ "vmsplice",
	  "gives a process's own pages to a pipe: a history of page cache and reference bugs, "
	  "and writev does the same work" },
	{ "modify_ldt",
	  "segments for 16-bit and Wine programs; a history of kernel bugs" },
	{ "remap_file_pages",
	  "obsolete, emulated, and a source of bugs; mmap does the same" },
	{ "fanotify_mark",
	  "of no use without fanotify_init, which needs a capability" },
	{ "adjtimex clock_adjtime",
	  "the host's clock and its state are not the session's" },
	{ "io_setup",
	  "the host has one count of asynchronous operations for all, which a single session "
	  "could use up" },
	{ "cachestat",
	  "tells what others read of files that are shared, such as the host's programs" },
	{ "listmount statmount",
	  "young calls into mount code; /proc/self/mountinfo says the same" },
	{ "epoll_ctl_old epoll_wait_old get_thread_area set_thread_area",
	  "numbers that 64-bit kernels do not implement" },
	{ NULL, NULL },
};
/* clang-format on */

const struct profile_exclusion *profile_default_exclusions(void)
{
	return exclusions;
}

/* ---- from tables to a profile ---------------------------------------------------- */

static size_t count_words(const char *names)
{
	size_t n = 1;

	for (; *names; names++)
		n += *names == ' ';
	return n;
}

/* A NULL-terminated list of the words between single spaces; NULL without memory. */
static const char **words_of(struct arena *a, const char *names)
{
	const char **list = arena_array(a, count_words(names) + 1, sizeof(*list));

	for (size_t i = 0; list && *names; i++) {
		size_t len = strcspn(names, " ");

		list[i] = arena_text(a, names, len);
		if (!list[i])
			return NULL;
		names += len + (names[len] == ' ');
	}
	return list;
}

static bool add_entry(struct profile *p, const struct profile_entry *e, const char *names)
{
	struct profile_entry *to = &p->entries[p->n_entries];

	*to = *e;
	to->names = words_of(&p->arena, names);
	if (!to->names)
		return false;
	p->n_entries++;
	return true;
}

static bool add_conditional(struct profile *p, const struct conditional *c)
{
	struct profile_entry e = { .action = c->action, .errno_ret = EPERM };

	e.args = arena_array(&p->arena, c->n_args, sizeof(*e.args));
	if (!e.args)
		return false;
	memcpy(e.args, c->args, c->n_args * sizeof(*e.args));
	e.n_args = c->n_args;
	return add_entry(p, &e, c->name);
}

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static bool fill(struct profile *p)
{
	const struct profile_entry allow = { .action = PROFILE_ALLOW, .errno_ret = EPERM };
	const struct profile_entry missing = { .action = PROFILE_ERRNO, .errno_ret = ENOSYS };
	bool ok;

	p->action = PROFILE_ERRNO;
	p->errno_ret = EPERM;
	p->entries = arena_array(&p->arena, 2 + COUNT(conditional) + COUNT(by_capability),
				 sizeof(*p->entries));
	ok = p->entries && add_entry(p, &allow, allowed) && add_entry(p, &missing, absent);
	for (size_t i = 0; ok && i < COUNT(conditional); i++)
		ok = add_conditional(p, &conditional[i]);
	for (size_t i = 0; ok && i < COUNT(by_capability); i++) {
		struct profile_entry e = allow;

		e.includes.caps = UINT64_C(1) << by_capability[i].cap;
		ok = add_entry(p, &e, by_capability[i].names);
	}
	return ok;
}

enum policy_status profile_default(struct profile **ret, struct policy_error *reterr)
{
	struct profile *p = profile_new(POLICY_PROFILE_DEFAULT);

	if (p && fill(p)) {
		*ret = p;
		return POLICY_OK;
	}
	profile_free(p);
	return policy_fail_memory(reterr);
}
