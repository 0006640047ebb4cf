/* tests/inside/attempts_processes.h - other processes, privileges, namespaces, mounts. */
#pragma once

#include <grp.h>
#include <linux/capability.h>
#include <linux/kcmp.h>
#include <linux/sched.h>
#include <linux/securebits.h>
#include <linux/seccomp.h>
#include <linux/filter.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/uio.h>

#include "tests/inside/attempt.h"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x80
#endif
#ifndef SYS_process_madvise
#define SYS_process_madvise 440
#endif

/* ---- other processes ------------------------------------------------------------- */

static pid_t sleeper(void)
{
	pid_t pid = fork();

	if (pid == 0)
		for (;;)
			pause();
	return pid;
}

static enum outcome and_end(pid_t pid, long r)
{
	int saved = errno;

	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	errno = saved;
	return got(r);
}

static enum outcome trace_first(void)
{
	return got(ptrace(PTRACE_SEIZE, 1, NULL, NULL));
}

static enum outcome trace_child(void)
{
	pid_t pid = sleeper();

	return and_end(pid, ptrace(PTRACE_SEIZE, pid, NULL, NULL));
}

static enum outcome read_memory_of(pid_t pid)
{
	char buf[8];
	struct iovec mine = { buf, sizeof(buf) }, its = { (void *)&environ, sizeof(buf) };

	/* Its address may be another: then the question was answered, not refused. */
	return reached(process_vm_readv(pid, &mine, 1, &its, 1, 0));
}

static enum outcome memory_of_first(void)
{
	return read_memory_of(1);
}

static enum outcome memory_of_child(void)
{
	pid_t pid = sleeper();
	enum outcome o = read_memory_of(pid);

	return and_end(pid, o == GOT_OUT ? 0 : -1);
}

static enum outcome file_of_first(void)
{
	int fd = (int)syscall(SYS_pidfd_open, 1, 0);

	return fd < 0 ? REFUSED : got(syscall(SYS_pidfd_getfd, fd, 0, 0));
}

static enum outcome compared(void)
{
	pid_t pid = sleeper();

	return and_end(pid, syscall(SYS_kcmp, getpid(), pid, KCMP_FILE, 1, 1));
}

static enum outcome advised(void)
{
	pid_t pid = sleeper();
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);
	long r;

	errno = 0;
	r = syscall(SYS_process_madvise, fd, NULL, 0, 20 /* MADV_COLD */, 0);
	return and_end(pid, r < 0 && errno == EPERM ? -1 : 0);
}

static enum outcome kill_first(void)
{
	/* The kernel protects a namespace's first process from its own, so that only a
	 * question can be asked. */
	return got(kill(1, 0));
}

static enum outcome signal_host(void)
{
	const char *pid = word("pid");

	return pid ? got(kill((pid_t)atol(pid), 0)) : NOT_MADE;
}

static enum outcome see_host(void)
{
	const char *pid = word("pid");
	char path[64], name[32] = "";
	int fd;

	if (!pid)
		return NOT_MADE;
	snprintf(path, sizeof(path), "/proc/%s/comm", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return REFUSED;
	errno = ESRCH;
	return read(fd, name, sizeof(name) - 1) > 0 && strncmp(name, "cordon-bait", 11) == 0
		       ? GOT_OUT
		       : REFUSED;
}

static enum outcome unseen_child(void)
{
	long pid = syscall(SYS_clone, CLONE_UNTRACED | SIGCHLD, NULL, NULL, NULL, 0);

	if (pid == 0)
		_exit(0);
	if (pid > 0)
		waitpid((pid_t)pid, NULL, 0);
	return got(pid);
}

/* ---- privileges ------------------------------------------------------------------ */

static enum outcome become_root(void)
{
	return got(setresuid(0, 0, 0));
}

static enum outcome group_root(void)
{
	return got(setresgid(0, 0, 0));
}

static enum outcome join_groups(void)
{
	gid_t g[] = { 0, 5, 6, 42 };

	return got(setgroups(4, g));
}

static enum outcome raise_caps(void)
{
	struct __user_cap_header_struct h = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct d[2] = { { .effective = 1u << CAP_SYS_ADMIN,
						 .permitted = 1u << CAP_SYS_ADMIN } };

	return got(syscall(SYS_capset, &h, d));
}

static enum outcome unlock_securebits(void)
{
	return got(prctl(PR_SET_SECUREBITS, 0, 0, 0, 0));
}

static enum outcome ambient(void)
{
	return got(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_NET_RAW, 0, 0));
}

static enum outcome privileges_again(void)
{
	return got(prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0));
}

/* Runs this program from another file; `breakout --privileged` says whether the exec
 * raised anything. */
static enum outcome run_raised(const char *path)
{
	pid_t pid;

	if (access(path, X_OK) < 0)
		return NOT_MADE;
	pid = fork();
	if (pid == 0) {
		execl(path, path, "--privileged", NULL);
		_exit(REFUSED);
	}
	return outcome_of(pid);
}

static enum outcome set_uid(void)
{
	return run_raised("/mnt/bait/set-uid");
}

static enum outcome file_caps(void)
{
	return run_raised("/mnt/bait/file-caps");
}

/* A real one of the host: `su` waits for a password, as root or as nobody. */
static enum outcome real_set_uid(void)
{
	char status[128], line[256];
	int in[2], started[2], out = open("/dev/null", O_WRONLY | O_CLOEXEC);
	unsigned uid = 0, euid = 0;
	pid_t pid;
	FILE *f;

	if (pipe(in) < 0 || pipe2(started, O_CLOEXEC) < 0 || (pid = fork()) < 0)
		return NOT_MADE;
	if (pid == 0) {
		dup2(in[0], 0);
		dup2(out, 1);
		dup2(out, 2);
		execl("/usr/bin/su", "su", NULL);
		_exit(NOT_MADE);
	}
	close(started[1]);
	(void)!read(started[0], line, 1); /* ends at its exec, just before its ids change */
	usleep(20000);
	snprintf(status, sizeof(status), "/proc/%d/status", pid);
	f = fopen(status, "re");
	/* A program that was raised is hidden from whoever started it. */
	if (!f)
		return and_end(pid, waitpid(pid, NULL, WNOHANG) == 0 ? 0 : -1);
	while (fgets(line, sizeof(line), f))
		(void)sscanf(line, "Uid: %u %u", &uid, &euid);
	fclose(f);
	errno = EPERM;
	return and_end(pid, euid != uid ? 0 : -1);
}

/* ---- namespaces ------------------------------------------------------------------ */

static enum outcome unshared(int flag)
{
	return got(syscall(SYS_unshare, flag));
}

#define UNSHARE(name, flag)                                                                    \
	static enum outcome name(void)                                                         \
	{                                                                                      \
		return unshared(flag);                                                         \
	}
UNSHARE(unshare_user, CLONE_NEWUSER)
UNSHARE(unshare_mounts, CLONE_NEWNS)
UNSHARE(unshare_pids, CLONE_NEWPID)
UNSHARE(unshare_net, CLONE_NEWNET)
UNSHARE(unshare_ipc, CLONE_NEWIPC)
UNSHARE(unshare_names, CLONE_NEWUTS)
UNSHARE(unshare_cgroup, CLONE_NEWCGROUP)
UNSHARE(unshare_time, CLONE_NEWTIME)

static enum outcome cloned(unsigned long flags)
{
	long pid = syscall(SYS_clone, flags | SIGCHLD, NULL, NULL, NULL, 0);

	if (pid == 0)
		_exit(0);
	if (pid > 0)
		waitpid((pid_t)pid, NULL, 0);
	return got(pid);
}

static enum outcome clone_user(void)
{
	return cloned(CLONE_NEWUSER);
}

static enum outcome clone_user_high(void)
{
	return cloned(1ul << 32 | CLONE_NEWUSER);
}

static enum outcome clone3_user(void)
{
	struct clone_args a = { .flags = CLONE_NEWUSER, .exit_signal = SIGCHLD };
	long pid = syscall(SYS_clone3, &a, sizeof(a));

	if (pid == 0)
		_exit(0);
	if (pid > 0)
		waitpid((pid_t)pid, NULL, 0);
	return got(pid);
}

static enum outcome join_own(void)
{
	int fd = open("/proc/self/ns/uts", O_RDONLY | O_CLOEXEC);

	return fd < 0 ? NOT_MADE : got(setns(fd, 0));
}

static enum outcome join_first(void)
{
	int fd = open("/proc/1/ns/mnt", O_RDONLY | O_CLOEXEC);

	return fd < 0 ? REFUSED : reached(setns(fd, 0));
}

/* A second filter that allows everything must not weaken the first. */
static enum outcome milder_filter(void)
{
	struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog prog = { .len = 1, .filter = &allow };

	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog) < 0)
		return NOT_MADE;
	return unshared(CLONE_NEWUSER);
}

/* ---- mounts ---------------------------------------------------------------------- */

static enum outcome mount_memory(void)
{
	return got(mount("none", "/tmp", "tmpfs", 0, NULL));
}

static enum outcome mount_proc_whole(void)
{
	return got(mount("proc", "/tmp", "proc", 0, NULL));
}

static enum outcome mount_cgroups(void)
{
	return got(mount("none", "/tmp", "cgroup2", 0, NULL));
}

static enum outcome mount_bind(void)
{
	return got(mount("/usr", "/tmp", NULL, MS_BIND | MS_REC, NULL));
}

static enum outcome remount_usr(void)
{
	return got(
		mount(NULL, "/usr", NULL, MS_REMOUNT | MS_BIND | MS_NOSUID | MS_NODEV, NULL));
}

static enum outcome unmount_usr(void)
{
	return got(umount2("/usr", MNT_DETACH));
}

static enum outcome pivoted(void)
{
	return chdir("/tmp") < 0 ? NOT_MADE : reached(syscall(SYS_pivot_root, ".", "."));
}

static enum outcome chrooted(void)
{
	return got(syscall(SYS_chroot, "/tmp"));
}

static enum outcome fs_opened(void)
{
	return got(syscall(SYS_fsopen, "tmpfs", 0));
}

static enum outcome tree_cloned(void)
{
	return got(syscall(SYS_open_tree, AT_FDCWD, "/usr", OPEN_TREE_CLONE | AT_RECURSIVE));
}

static enum outcome tree_moved(void)
{
	return got(syscall(SYS_move_mount, AT_FDCWD, "/usr", AT_FDCWD, "/tmp", 0));
}

static enum outcome attributes_cleared(void)
{
	struct mount_attr a = { .attr_clr = MOUNT_ATTR_RDONLY };

	return got(syscall(SYS_mount_setattr, AT_FDCWD, "/usr", 0, &a, sizeof(a)));
}

/* clang-format off */
#define PROCESS_ATTEMPTS \
	TRY("ptrace-first", trace_first, "trace the sandbox's first process"), \
	TRY("ptrace-child", trace_child, "trace a process of one's own"), \
	TRY("memory-of-first", memory_of_first, "read the first process's memory"), \
	TRY("memory-of-child", memory_of_child, "read a child's memory"), \
	TRY("pidfd-getfd-first", file_of_first, "take a descriptor of the first process"), \
	TRY("kcmp", compared, "compare kernel objects"), \
	TRY("process-madvise", advised, "advise on another process's memory"), \
	TRY("signal-first", kill_first, "signal the first process"), \
	TRY("signal-host", signal_host, "signal a process of the host"), \
	TRY("see-host", see_host, "see a process of the host"), \
	TRY("clone-untraced", unseen_child, "make a process that the keeper does not learn of"), \
	TRY("setuid-0", become_root, "become the namespace's root"), \
	TRY("setgid-0", group_root, "take group 0"), \
	TRY("setgroups", join_groups, "join other groups"), \
	TRY("capset", raise_caps, "raise a capability"), \
	TRY("securebits", unlock_securebits, "unlock the secure bits"), \
	TRY("ambient", ambient, "raise an ambient capability"), \
	TRY("no-new-privs-off", privileges_again, "switch no_new_privs off"), \
	TRY("set-uid-file", set_uid, "run a set-uid program of a mount"), \
	TRY("file-capabilities", file_caps, "run a program with file capabilities"), \
	TRY("set-uid-su", real_set_uid, "run the host's su"), \
	TRY("unshare-user", unshare_user, "make a user namespace"), \
	TRY("unshare-mount", unshare_mounts, "make a mount namespace"), \
	TRY("unshare-pid", unshare_pids, "make a pid namespace"), \
	TRY("unshare-net", unshare_net, "make a network namespace"), \
	TRY("unshare-ipc", unshare_ipc, "make an IPC namespace"), \
	TRY("unshare-uts", unshare_names, "make a UTS namespace"), \
	TRY("unshare-cgroup", unshare_cgroup, "make a cgroup namespace"), \
	TRY("unshare-time", unshare_time, "make a time namespace"), \
	TRY("clone-user", clone_user, "make a user namespace by clone"), \
	TRY("clone-user-high-bits", clone_user_high, "the same, with a bit that the kernel drops"), \
	TRY("clone3-user", clone3_user, "make a user namespace by clone3, whose flags no filter sees"), \
	TRY("setns-own", join_own, "enter a namespace"), \
	TRY("setns-first", join_first, "enter the first process's mount namespace"), \
	TRY("milder-filter", milder_filter, "load a filter that allows everything"), \
	TRY("mount-tmpfs", mount_memory, "mount memory"), \
	TRY("mount-proc", mount_proc_whole, "mount a whole /proc"), \
	TRY("mount-cgroup", mount_cgroups, "mount the control groups (CVE-2022-0492)"), \
	TRY("mount-bind", mount_bind, "mount /usr elsewhere"), \
	TRY("remount-usr", remount_usr, "make /usr writable"), \
	TRY("umount-usr", unmount_usr, "take /usr away"), \
	TRY("pivot-root", pivoted, "change the root"), \
	TRY("chroot", chrooted, "change the root the old way"), \
	TRY("fsopen", fs_opened, "make a file system (CVE-2022-0185)"), \
	TRY("open-tree", tree_cloned, "clone a mount"), \
	TRY("move-mount", tree_moved, "move a mount"), \
	TRY("mount-setattr", attributes_cleared, "clear a mount's attributes")
/* clang-format on */
