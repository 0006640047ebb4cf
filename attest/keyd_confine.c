/* attest/keyd_confine.c - see attest/keyd_confine.h. */
#include "attest/keyd_confine.h"

#include <errno.h>
#include <grp.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "memscrub/guard.h"

#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#else
#error "name this machine's system calls to the filter"
#endif

#define CALLS_MAX 96u

static enum attest_status system_fail(struct attest_error *e, const char *what)
{
	return attest_fail(e, ATTEST_SYSTEM, "confinement", "", "%s: %m", what);
}

/* ---- who --------------------------------------------------------------------------- */

enum attest_status keyd_identity_find(const char *user, struct keyd_identity *ret,
				      struct attest_error *reterr)
{
	const struct passwd *p;

	if (geteuid() != 0) {
		*ret = (struct keyd_identity){ .uid = geteuid(), .gid = getegid() };
		return ATTEST_OK;
	}
	errno = 0;
	p = getpwnam(user);
	if (!p || p->pw_uid == 0 || p->pw_gid == 0)
		return attest_fail(reterr, ATTEST_MALFORMED, "user",
				   "name an unprivileged user", "%s: %s", user,
				   p ? "this is root" : "no such user");
	*ret = (struct keyd_identity){ .uid = p->pw_uid, .gid = p->pw_gid, .change = true };
	return ATTEST_OK;
}

static bool drop_capabilities(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = { { 0 } };

	return syscall(SYS_capset, &head, none) == 0 &&
	       prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) == 0;
}

enum attest_status keyd_confine_identity(const struct keyd_identity *id,
					 struct attest_error *reterr)
{
	/* The bounding set is root's to drop, so it goes before the rest of root does. */
	for (unsigned long c = 0; id->change && prctl(PR_CAPBSET_READ, c, 0, 0, 0) >= 0; c++)
		if (prctl(PR_CAPBSET_DROP, c, 0, 0, 0) != 0)
			return system_fail(reterr, "the bounding set of capabilities");
	if (id->change &&
	    (setgroups(0, NULL) != 0 || setresgid(id->gid, id->gid, id->gid) != 0 ||
	     setresuid(id->uid, id->uid, id->uid) != 0))
		return system_fail(reterr, "another user");
	if (!drop_capabilities())
		return system_fail(reterr, "capabilities");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return system_fail(reterr, "no_new_privs");
	if (!guard_process())
		return system_fail(reterr, "core dumps");
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0)
		return system_fail(reterr, "the parent's end");
	return ATTEST_OK;
}

/* ---- what -------------------------------------------------------------------------- */

enum attest_status keyd_confine_calls(const uint32_t *calls, size_t n,
				      struct attest_error *reterr)
{
	struct sock_filter f[2 * CALLS_MAX + 5];
	struct sock_fprog program = { .filter = f };
	unsigned short at = 0;

	if (n > CALLS_MAX)
		return attest_fail(reterr, ATTEST_SYSTEM, "confinement", "", "too many calls");
	f[at++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
					       offsetof(struct seccomp_data, arch));
	f[at++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCH, 1, 0);
	f[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
	f[at++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
					       offsetof(struct seccomp_data, nr));
	for (size_t i = 0; i < n; i++) {
		f[at++] =
			(struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, calls[i], 0, 1);
		f[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	}
	f[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
	program.len = at;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
	    syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) != 0)
		return system_fail(reterr, "the filter of system calls");
	return ATTEST_OK;
}

/* ---- where ------------------------------------------------------------------------- */

/* fork() cannot make namespaces; the raw call does for a process of one thread. */
static pid_t fork_into(unsigned long namespaces)
{
	return (pid_t)syscall(SYS_clone, namespaces | SIGCHLD, NULL, NULL, NULL, 0);
}

pid_t keyd_confine_fork(void)
{
	static const unsigned long all =
		CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWPID;
	pid_t pid = fork_into(geteuid() == 0 ? all : all | CLONE_NEWUSER);

	if (pid < 0 && geteuid() == 0)
		pid = fork_into(all | CLONE_NEWUSER);
	return pid < 0 ? fork() : pid;
}
