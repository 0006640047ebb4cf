/* policy/syscall_args.c - tables of system calls: numbers and widths of parameters. */
#include "policy/syscall_args.h"

#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * A filter sees six 64-bit registers; the kernel then drops the upper half of whatever
 * it declares as int, unsigned or the like. A rule that compares all 64 bits can be
 * passed by setting a bit that the kernel does not look at (CVE-2019-10063), so rules on
 * such parameters look at the low half alone.
 *
 * One letter a parameter, in the order of 64-bit architectures: `i` when a call with a
 * bit set in the upper half does what it does without or fails, `.` when that half
 * counts, or may. Parameters behind the last `i` are left out, and so are calls without
 * any. Source: the SYSCALL_DEFINE prototypes of Linux up to 6.18, and where these say
 * "long", what is done with it: clone takes lower_32_bits(flags), readv and mmap hand
 * their descriptor on as unsigned int, unshare refuses unknown flags.
 */
/* clang-format off */
static const struct { const char *name, *widths; } widths[] = {
	{ "accept", "i" }, { "accept4", "i..i" }, { "access", ".i" }, { "add_key", "....i" },
	{ "alarm", "i" }, { "arch_prctl", "i" }, { "bind", "i.i" }, { "bpf", "i.i" },
	{ "cachestat", "i..i" }, { "chmod", ".i" }, { "chown", ".ii" },
	{ "clock_adjtime", "i" }, { "clock_getres", "i" }, { "clock_gettime", "i" },
	{ "clock_nanosleep", "ii" }, { "clock_settime", "i" }, { "clone", "i" },
	{ "close", "i" }, { "close_range", "iii" }, { "connect", "i.i" },
	{ "copy_file_range", "i.i..i" }, { "creat", ".i" }, { "delete_module", ".i" },
	{ "dup", "i" }, { "dup2", "ii" }, { "dup3", "iii" }, { "epoll_create", "i" },
	{ "epoll_create1", "i" }, { "epoll_ctl", "iii" }, { "epoll_pwait", "i.ii" },
	{ "epoll_pwait2", "i.i" }, { "epoll_wait", "i.ii" }, { "eventfd", "i" },
	{ "eventfd2", "ii" }, { "execveat", "i...i" }, { "exit", "i" },
	{ "exit_group", "i" }, { "faccessat", "i.i" }, { "faccessat2", "i.ii" },
	{ "fadvise64", "i..i" }, { "fallocate", "ii" }, { "fanotify_init", "ii" },
	{ "fanotify_mark", "ii.i" }, { "fchdir", "i" }, { "fchmod", "ii" },
	{ "fchmodat", "i.i" }, { "fchmodat2", "i.ii" }, { "fchown", "iii" },
	{ "fchownat", "i.iii" }, { "fcntl", "ii" }, { "fdatasync", "i" },
	{ "fgetxattr", "i" }, { "file_getattr", "i...i" }, { "file_setattr", "i...i" },
	{ "finit_module", "i.i" }, { "flistxattr", "i" }, { "flock", "ii" },
	{ "fremovexattr", "i" }, { "fsconfig", "ii..i" }, { "fsetxattr", "i...i" },
	{ "fsmount", "iii" }, { "fsopen", ".i" }, { "fspick", "i.i" }, { "fstat", "i" },
	{ "fstatfs", "i" }, { "fsync", "i" }, { "ftruncate", "i" },
	{ "futex", ".ii..i" }, { "futex_requeue", ".iii" }, { "futex_wait", "...i.i" },
	{ "futex_waitv", ".ii.i" }, { "futex_wake", "..ii" }, { "futimesat", "i" },
	{ "get_mempolicy", "....i" }, { "get_robust_list", "i" }, { "getdents", "i.i" },
	{ "getdents64", "i.i" }, { "getgroups", "i" }, { "getitimer", "i" },
	{ "getpeername", "i" }, { "getpgid", "i" }, { "getpriority", "ii" },
	{ "getrandom", "..i" }, { "getrlimit", "i" }, { "getrusage", "i" },
	{ "getsid", "i" }, { "getsockname", "i" }, { "getsockopt", "iii" },
	{ "getxattrat", "i.i" }, { "inotify_add_watch", "i.i" }, { "inotify_init1", "i" },
	{ "inotify_rm_watch", "ii" }, { "io_setup", "i" }, { "io_uring_enter", "iiii" },
	{ "io_uring_register", "ii.i" }, { "io_uring_setup", "i" }, { "ioctl", "ii" },
	{ "ioperm", "..i" }, { "iopl", "i" }, { "ioprio_get", "ii" },
	{ "ioprio_set", "iii" }, { "kcmp", "iii" }, { "kexec_file_load", "ii..i" },
	{ "kexec_load", "...i" }, { "keyctl", "i" }, { "kill", "ii" },
	{ "landlock_add_rule", "ii.i" }, { "landlock_create_ruleset", "..i" },
	{ "landlock_restrict_self", "ii" }, { "lchown", ".ii" }, { "linkat", "i.i.i" },
	{ "listen", "ii" }, { "listmount", "...i" }, { "listxattrat", "i.i" },
	{ "lseek", "i.i" }, { "lsetxattr", "....i" }, { "lsm_get_self_attr", "i..i" },
	{ "lsm_list_modules", "..i" }, { "lsm_set_self_attr", "i.ii" },
	{ "madvise", "..i" }, { "map_shadow_stack", "..i" }, { "mbind", "..i..i" },
	{ "membarrier", "iii" }, { "memfd_create", ".i" }, { "memfd_secret", "i" },
	{ "migrate_pages", "i" }, { "mkdir", ".i" }, { "mkdirat", "i.i" },
	{ "mknod", ".ii" }, { "mknodat", "i.ii" }, { "mlock2", "..i" },
	{ "mlockall", "i" }, { "mmap", "..iii" }, { "modify_ldt", "i" },
	{ "mount", "...i" }, { "mount_setattr", "i.i" }, { "move_mount", "i.i.i" },
	{ "move_pages", "i....i" }, { "mprotect", "..i" }, { "mq_getsetattr", "i" },
	{ "mq_notify", "i" }, { "mq_open", ".ii" }, { "mq_timedreceive", "i" },
	{ "mq_timedsend", "i..i" }, { "mremap", "...i" }, { "mseal", "..i" },
	{ "msgctl", "ii" }, { "msgget", "ii" }, { "msgrcv", "i...i" },
	{ "msgsnd", "i..i" }, { "msync", "..i" }, { "name_to_handle_at", "i...i" },
	{ "newfstatat", "i..i" }, { "nfsservctl", "i" }, { "open", ".ii" },
	{ "open_by_handle_at", "i.i" }, { "open_tree", "i.i" },
	{ "open_tree_attr", "i.i" }, { "openat", "i.ii" }, { "openat2", "i" },
	{ "perf_event_open", ".iiii" }, { "personality", "i" }, { "pidfd_getfd", "iii" },
	{ "pidfd_open", "ii" }, { "pidfd_send_signal", "ii.i" }, { "pipe2", ".i" },
	{ "pkey_alloc", "ii" }, { "pkey_free", "i" }, { "pkey_mprotect", "..ii" },
	{ "poll", ".ii" }, { "ppoll", ".i" }, { "prctl", "i" }, { "pread64", "i" },
	{ "preadv", "i" }, { "preadv2", "i....i" }, { "prlimit64", "ii" },
	{ "process_madvise", "i..ii" }, { "process_mrelease", "ii" },
	{ "process_vm_readv", "i....i" }, { "process_vm_writev", "i....i" },
	{ "pselect6", "i" }, { "ptrace", ".i" }, { "pwrite64", "i" }, { "pwritev", "i" },
	{ "pwritev2", "i....i" }, { "quotactl", "i.i" }, { "quotactl_fd", "iii" },
	{ "read", "i" }, { "readahead", "i" }, { "readlink", "..i" },
	{ "readlinkat", "i..i" }, { "readv", "i" }, { "reboot", "iii" },
	{ "recvfrom", "i..i" }, { "recvmmsg", "i.ii" }, { "recvmsg", "i.i" },
	{ "remap_file_pages", "..i.i" }, { "removexattrat", "i.i" },
	{ "renameat", "i.i" }, { "renameat2", "i.i.i" }, { "request_key", "...i" },
	{ "rseq", ".iii" }, { "rt_sigaction", "i" }, { "rt_sigprocmask", "i" },
	{ "rt_sigqueueinfo", "ii" }, { "rt_tgsigqueueinfo", "iii" },
	{ "sched_get_priority_max", "i" }, { "sched_get_priority_min", "i" },
	{ "sched_getaffinity", "ii" }, { "sched_getattr", "i.ii" },
	{ "sched_getparam", "i" }, { "sched_getscheduler", "i" },
	{ "sched_rr_get_interval", "i" }, { "sched_setaffinity", "ii" },
	{ "sched_setattr", "i.i" }, { "sched_setparam", "i" },
	{ "sched_setscheduler", "ii" }, { "seccomp", "ii" }, { "select", "i" },
	{ "semctl", "iii" }, { "semget", "iii" }, { "semop", "i.i" },
	{ "semtimedop", "i.i" }, { "sendfile", "ii" }, { "sendmmsg", "i.ii" },
	{ "sendmsg", "i.i" }, { "sendto", "i..i.i" }, { "set_mempolicy", "i" },
	{ "set_mempolicy_home_node", "..ii" }, { "setdomainname", ".i" },
	{ "setfsgid", "i" }, { "setfsuid", "i" }, { "setgid", "i" },
	{ "setgroups", "i" }, { "sethostname", ".i" }, { "setitimer", "i" },
	{ "setns", "ii" }, { "setpgid", "ii" }, { "setpriority", "iii" },
	{ "setregid", "ii" }, { "setresgid", "iii" }, { "setresuid", "iii" },
	{ "setreuid", "ii" }, { "setrlimit", "i" }, { "setsockopt", "iii.i" },
	{ "setuid", "i" }, { "setxattr", "....i" }, { "setxattrat", "i.i" },
	{ "shmat", "i.i" }, { "shmctl", "ii" }, { "shmget", "i.i" },
	{ "shutdown", "ii" }, { "signalfd", "i" }, { "signalfd4", "i..i" },
	{ "socket", "iii" }, { "socketpair", "iii" }, { "splice", "i.i..i" },
	{ "statmount", "...i" }, { "statx", "i.ii" }, { "swapon", ".i" },
	{ "symlinkat", ".i" }, { "sync_file_range", "i..i" },
	{ "sync_file_range2", "ii" }, { "syncfs", "i" }, { "sysfs", "i" },
	{ "syslog", "i.i" }, { "tee", "ii.i" }, { "tgkill", "iii" },
	{ "timer_create", "i" }, { "timer_delete", "i" }, { "timer_getoverrun", "i" },
	{ "timer_gettime", "i" }, { "timer_settime", "ii" }, { "timerfd_create", "ii" },
	{ "timerfd_gettime", "i" }, { "timerfd_settime", "ii" }, { "tkill", "ii" },
	{ "umask", "i" }, { "umount2", ".i" }, { "unlinkat", "i.i" },
	{ "unshare", "i" }, { "userfaultfd", "i" }, { "ustat", "i" },
	{ "utimensat", "i..i" }, { "vmsplice", "i..i" }, { "wait4", "i.i" },
	{ "waitid", "ii.i" }, { "write", "i" }, { "writev", "i" },
};

/* Calls that may be younger than libseccomp: numbers from 424 on are the same on every
 * architecture, and a denied name must not be lost because the library is old. */
static const struct { const char *name; int number; } newer[] = {
#ifdef __x86_64__
	{ "uretprobe", 335 }, { "uprobe", 336 },
#endif
	{ "set_mempolicy_home_node", 450 }, { "cachestat", 451 }, { "fchmodat2", 452 },
	{ "map_shadow_stack", 453 }, { "futex_wake", 454 }, { "futex_wait", 455 },
	{ "futex_requeue", 456 }, { "statmount", 457 }, { "listmount", 458 },
	{ "lsm_get_self_attr", 459 }, { "lsm_set_self_attr", 460 },
	{ "lsm_list_modules", 461 }, { "mseal", 462 }, { "setxattrat", 463 },
	{ "getxattrat", 464 }, { "listxattrat", 465 }, { "removexattrat", 466 },
	{ "open_tree_attr", 467 }, { "file_getattr", 468 }, { "file_setattr", 469 },
};
/* clang-format on */

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

int syscall_number(const char *name)
{
	int n = seccomp_syscall_resolve_name(name);

	if (n >= 0)
		return n;
	for (size_t i = 0; i < COUNT(newer); i++)
		if (strcmp(newer[i].name, name) == 0)
			return newer[i].number;
	return n == __NR_SCMP_ERROR ? SYSCALL_UNKNOWN : SYSCALL_ELSEWHERE;
}

bool syscall_name(int number, char *to, size_t size)
{
	char *found = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, number);
	bool known = found;

	if (known)
		snprintf(to, size, "%s", found);
	free(found);
	for (size_t i = 0; !known && i < COUNT(newer); i++) {
		known = newer[i].number == number;
		if (known)
			snprintf(to, size, "%s", newer[i].name);
	}
	return known;
}

bool syscall_narrow(const char *name, unsigned index)
{
	const char *found = "";

	for (size_t i = 0; i < COUNT(widths); i++)
		if (strcmp(widths[i].name, name) == 0)
			found = widths[i].widths;
	return index < strlen(found) && found[index] == 'i';
}
