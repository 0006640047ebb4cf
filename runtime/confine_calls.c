/* runtime/confine_calls.c - system calls: the profile's filter and what lies below it. */
#include "runtime/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int load(const struct sock_filter *insns, size_t n, unsigned flags)
{
	/* The kernel only reads them; its header forgot to say so. */
	struct sock_fprog prog = { .len = (unsigned short)n,
				   .filter = (struct sock_filter *)(uintptr_t)insns };

	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &prog) < 0 ? errno : 0;
}

#if defined(__x86_64__)
#define NATIVE_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define NATIVE_ARCH AUDIT_ARCH_AARCH64
#else
#error "name this architecture's AUDIT_ARCH"
#endif

#define CALL offsetof(struct seccomp_data, nr)
#define ARG(i) (offsetof(struct seccomp_data, args) + 8 * (i)) /* the low half: little-endian */
#define LOAD(at) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, at)
#define ANSWER(e) BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (e))
#define ALLOW BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
/* Goes on with the next instruction if the call is this one, else behind `n` of them. */
#define IF_CALL(number, n) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, n)
#define IF_BITS(bits, n) BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, bits, 0, n)

#define ABSENT(number) IF_CALL(number, 1), ANSWER(ENOSYS)

#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452
#endif

/* A call whose argument `i` is the mode of a file. */
#define MODE_IN(number, i)                                                                     \
	IF_CALL(number, 4), LOAD(ARG(i)), IF_BITS(S_ISUID | S_ISGID, 1), ANSWER(EPERM), ALLOW
/* The same where the mode counts only if flags, the argument before it, ask for a file. */
#define MODE_IF_MADE(number, i)                                                                \
	IF_CALL(number, 6), LOAD(ARG((i)-1)),                                                  \
		IF_BITS(O_CREAT | (O_TMPFILE & ~O_DIRECTORY), 3), LOAD(ARG(i)),                \
		IF_BITS(S_ISUID | S_ISGID, 1), ANSWER(EPERM), ALLOW

/* Below every profile, whatever its author allows:
 * - each task of a sandbox is traced, or its memory could not be wiped when it dies; clone3
 *   hides its flags behind a pointer, libc takes ENOSYS as "use clone";
 * - no memory that cannot be wiped from outside, none freed before it is wiped, none that
 *   makes its reader wait for ever, none written after it was wiped: by another process, or
 *   by the kernel for a read that was asked for long ago (/proc/PID/mem is read-only);
 * - no calls that pass the filter by (io_uring);
 * - no user namespace inside: it would give capabilities over kernel code that most of its
 *   bugs are found in. */
static int load_floor(void)
{
	static const struct sock_filter insns[] = {
		LOAD(CALL),
		ABSENT(SYS_clone3),
		ABSENT(SYS_memfd_secret),
		ABSENT(SYS_process_mrelease),
		ABSENT(SYS_process_vm_writev),
		ABSENT(SYS_io_setup),
		ABSENT(SYS_userfaultfd),
		ABSENT(SYS_io_uring_setup),
		ABSENT(SYS_io_uring_enter),
		ABSENT(SYS_io_uring_register),
		IF_CALL(SYS_clone, 4),
		LOAD(ARG(0)),
		IF_BITS(CLONE_UNTRACED | CLONE_NEWUSER, 1),
		ANSWER(EPERM),
		ALLOW,
		IF_CALL(SYS_unshare, 3),
		LOAD(ARG(0)),
		IF_BITS(CLONE_NEWUSER, 1),
		ANSWER(EPERM),
		ALLOW,
	};

	return load(insns, sizeof(insns) / sizeof(insns[0]), 0);
}

/* Where a plan lets the workload change files of the host, they are the owner's out there: a
 * set-user-id program made here would run as him. Calls that hide a mode behind a pointer
 * are absent. */
static int load_no_set_id(void)
{
	static const struct sock_filter insns[] = {
		LOAD(CALL),
		ABSENT(SYS_openat2),
#ifdef SYS_chmod
		MODE_IN(SYS_chmod, 1),
		MODE_IN(SYS_creat, 1),
		MODE_IN(SYS_mknod, 1),
		MODE_IF_MADE(SYS_open, 2),
#endif
		MODE_IN(SYS_fchmod, 1),
		MODE_IN(SYS_fchmodat, 2),
		MODE_IN(SYS_fchmodat2, 2),
		MODE_IN(SYS_mknodat, 2),
		MODE_IF_MADE(SYS_openat, 3),
		ALLOW,
	};

	return load(insns, sizeof(insns) / sizeof(insns[0]), 0);
}

static bool writes_host(const struct policy_plan *plan)
{
	for (size_t i = 0; i < plan->n_mounts; i++)
		if (plan->mounts[i].kind == POLICY_MOUNT_BIND &&
		    !(plan->mounts[i].attr & MOUNT_ATTR_RDONLY))
			return true;
	return plan->root_writable;
}

unsigned confine_filters(const struct policy_plan *plan)
{
	return writes_host(plan) ? 3 : 2;
}

int confine_calls(const struct policy_plan *plan)
{
	const struct policy_filter *f = &plan->filter;
	const void *insns = f->insns;
	int err = f->n_insns == 0 || f->n_insns > BPF_MAXINSNS ? EINVAL : load_floor();

	if (!err && writes_host(plan))
		err = load_no_set_id();
	return err ? err : load(insns, f->n_insns, f->flags);
}

#define ALLOW_CALL(name)                                                                       \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_##name, 0, 1),                                 \
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

int confine_init_calls(void)
{
	static const struct sock_filter insns[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, NATIVE_ARCH, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		ALLOW_CALL(wait4),
		ALLOW_CALL(exit_group),
		ALLOW_CALL(restart_syscall),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
	};

	return load(insns, sizeof(insns) / sizeof(insns[0]), 0);
}
