/* runtime/inside.c - the sandbox's first process and the workload before its exec. */
#include "runtime/inside.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <net/if.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/agent.h"
#include "runtime/fault.h"

#define EXIT_REFUSED 125
#define EXIT_CANNOT_RUN 126
#define EXIT_NOT_FOUND 127

/* ---- messages -------------------------------------------------------------------- */

union control {
	char bytes[CMSG_SPACE(sizeof(int) * INSIDE_FDS)];
	struct cmsghdr align;
};

bool inside_send(int sock, const struct inside_message *m, const int *fds, size_t n_fds)
{
	struct inside_message copy = *m;
	struct iovec iov = { .iov_base = &copy, .iov_len = sizeof(copy) };
	struct msghdr h = { .msg_iov = &iov, .msg_iovlen = 1 };
	union control c = { .bytes = { 0 } };

	if (n_fds) {
		struct cmsghdr *cm = &c.align;

		h.msg_control = c.bytes;
		h.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
		cm->cmsg_level = SOL_SOCKET;
		cm->cmsg_type = SCM_RIGHTS;
		cm->cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
		memcpy(CMSG_DATA(cm), fds, sizeof(int) * n_fds);
	}
	/* Not tried again: neither side has a signal handler that could interrupt it, and the
	 * workload's own filter may answer EINTR for ever. */
	return sendmsg(sock, &h, MSG_NOSIGNAL) == (ssize_t)sizeof(copy);
}

bool inside_receive(int sock, struct inside_message *ret, int ret_fds[static INSIDE_FDS],
		    size_t *ret_n)
{
	struct iovec iov = { .iov_base = ret, .iov_len = sizeof(*ret) };
	union control c = { .bytes = { 0 } };
	struct msghdr h = { .msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_control = c.bytes,
			    .msg_controllen = CMSG_LEN(sizeof(int) * INSIDE_FDS) };
	ssize_t n;

	*ret_n = 0;
	/* ECONNRESET is told once, when the other side ended without reading all that was
	 * sent to it; its last word is read after that. */
	do
		n = recvmsg(sock, &h, MSG_CMSG_CLOEXEC);
	while (n < 0 && (errno == EINTR || errno == ECONNRESET));
	for (struct cmsghdr *cm = n > 0 ? CMSG_FIRSTHDR(&h) : NULL; cm;
	     cm = CMSG_NXTHDR(&h, cm))
		if (cm->cmsg_level == SOL_SOCKET && cm->cmsg_type == SCM_RIGHTS) {
			*ret_n = (cm->cmsg_len - CMSG_LEN(0)) / sizeof(int);
			memcpy(ret_fds, CMSG_DATA(cm), *ret_n * sizeof(int));
		}
	/* Memory that was not handed over whole could not be wiped whole. */
	if (n > 0 && (h.msg_flags & MSG_CTRUNC)) {
		while (*ret_n > 0)
			close(ret_fds[--*ret_n]);
		errno = EMFILE;
		return false;
	}
	if (n >= 0 && n != (ssize_t)sizeof(*ret))
		errno = 0;
	return n == (ssize_t)sizeof(*ret);
}

static _Noreturn void give_up(int sock, int exit_code, const struct runtime_error *e)
{
	struct inside_message m = { .kind = INSIDE_FAILED,
				    .exit_code = exit_code,
				    .error = *e };

	(void)inside_send(sock, &m, NULL, 0);
	_exit(exit_code);
}

static _Noreturn void give_up_errno(int sock, const char *where, const char *what)
{
	struct runtime_error e = { 0 };

	runtime_fail(&e, RUNTIME_SYSTEM, where, "`cordon doctor` says what this host can",
		     "%s: %s", what, strerror(errno));
	give_up(sock, EXIT_REFUSED, &e);
}

/* Waits for the keeper's word; a keeper that is gone ends this process. */
static void await_go(int sock)
{
	struct inside_message m;
	int fds[INSIDE_FDS];
	size_t n;

	if (!inside_receive(sock, &m, fds, &n) || m.kind != INSIDE_GO || n)
		_exit(EXIT_REFUSED);
}

/* ---- the workload before its exec ------------------------------------------------ */

static bool runnable(const char *path, int *ret_errno)
{
	struct stat st;

	if (stat(path, &st) < 0) {
		*ret_errno = errno;
		return false;
	}
	if (!S_ISREG(st.st_mode)) {
		*ret_errno = S_ISDIR(st.st_mode) ? EISDIR : EACCES;
		return false;
	}
	if (faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) < 0) {
		*ret_errno = errno;
		return false;
	}
	return true;
}

static const char *path_of(char *const *env)
{
	for (; *env; env++)
		if (strncmp(*env, "PATH=", 5) == 0)
			return *env + 5;
	return "/usr/bin:/bin";
}

/* As execvp searches, but seen as the workload sees it; the result is absolute or holds
 * a slash. A name that is found but may not be run is EACCES, as `env` has it. */
static bool find_program(const struct policy_process *p, char *ret, size_t size, int *ret_errno)
{
	const char *name = p->argv[0], *dir = path_of(p->env);
	bool denied = false;

	*ret_errno = ENOENT;
	if (strchr(name, '/')) {
		snprintf(ret, size, "%s", name);
		return strlen(name) < size && runnable(ret, ret_errno);
	}
	while (name[0] && dir) {
		const char *end = strchrnul(dir, ':');
		int err, n = snprintf(ret, size, "%.*s%s%s", (int)(end - dir), dir,
				      end > dir ? "/" : "./", name);

		if (n > 0 && (size_t)n < size) {
			if (runnable(ret, &err))
				return true;
			denied |= err == EACCES;
		}
		dir = *end ? end + 1 : NULL;
	}
	if (denied)
		*ret_errno = EACCES;
	return false;
}

static _Noreturn void cannot_run(int sock, const char *name, int err)
{
	struct runtime_error e = { 0 };

	runtime_fail(&e, RUNTIME_REFUSED, "command",
		     err == ENOENT ? "name a program that exists inside the sandbox"
				   : "it must be an executable file on a mount with exec",
		     "cannot run %s: %s", name, strerror(err));
	give_up(sock, err == ENOENT ? EXIT_NOT_FOUND : EXIT_CANNOT_RUN, &e);
}

/* A script without "#!" runs in sh, as execvp does it. */
static void exec_workload(const char *path, const struct policy_process *p)
{
	char *argv[256];
	size_t n = 0;

	execve(path, p->argv, p->env);
	if (errno != ENOEXEC)
		return;
	while (p->argv[n])
		n++;
	if (n + 2 > sizeof(argv) / sizeof(argv[0])) {
		errno = E2BIG;
		return;
	}
	argv[0] = p->argv[0];
	argv[1] = strdup(path);
	if (!argv[1])
		return;
	memcpy(argv + 2, p->argv + 1, n * sizeof(argv[0]));
	execve("/bin/sh", argv, p->env);
}

static void take_stdio(const struct inside_spec *spec, int slave)
{
	int from[3];

	if (setsid() < 0)
		give_up_errno(spec->sock, "session", "cannot make a session");
	if (spec->terminal && ioctl(slave, TIOCSCTTY, 0) < 0)
		give_up_errno(spec->sock, "terminal",
			      "cannot make it the controlling terminal");
	for (int i = 0; i < 3; i++) {
		from[i] =
			fcntl(spec->stdio[i] < 0 ? slave : spec->stdio[i], F_DUPFD_CLOEXEC, 10);
		if (from[i] < 0)
			give_up_errno(spec->sock, "stdio", "cannot keep it");
	}
	for (int i = 0; i < 3; i++)
		if (dup2(from[i], i) < 0)
			give_up_errno(spec->sock, "stdio", "cannot set it");
}

/* Handlers were cleared by clone3; ignored signals and the mask are inherited still. By
 * the system call, because libc hides two signals that somebody may have ignored. */
static void default_signals(void)
{
	const struct {
		void *handler;
		unsigned long flags;
		void *restorer;
		uint64_t mask;
	} def = { 0 };
	const uint64_t none = 0;

	for (int sig = 1; sig <= 64; sig++) /* KILL and STOP refuse */
		(void)syscall(SYS_rt_sigaction, sig, &def, NULL, sizeof(none));
	(void)syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, NULL, sizeof(none));
}

/* CVE-2024-21626: a working folder that is not below the root must not survive. */
static bool enter_folder(const char *cwd)
{
	char now[4096];

	return chdir(cwd) == 0 && getcwd(now, sizeof(now)) && now[0] == '/';
}

/* The keeper needs the terminal's master and every memory file system. */
static void say_ready(const struct inside_spec *spec, int master, int program,
		      struct inside_message *m)
{
	int fds[INSIDE_FDS];
	size_t n = 0;

	if (spec->terminal)
		fds[n++] = master;
	for (size_t i = 0; i < spec->mounts->n_tmpfs; i++)
		fds[n++] = spec->mounts->tmpfs[i];
	if (program >= 0)
		fds[n++] = program;
	m->kind = INSIDE_READY;
	m->noswap = spec->mounts->noswap;
	m->measured = spec->mounts->copy != 0;
	memcpy(m->digest, spec->mounts->digest, sizeof(m->digest));
	if (!inside_send(spec->sock, m, fds, n))
		_exit(EXIT_REFUSED);
}

/* Descriptor AGENT_SOCK is the agent's, whatever stood there. */
static void make_room(struct inside_spec *spec)
{
	int *const fds[] = { &spec->sock, &spec->agent, &spec->agent_sock };

	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
		*fds[i] = fcntl(*fds[i], F_DUPFD_CLOEXEC, 10);
		if (*fds[i] < 0)
			_exit(EXIT_REFUSED);
	}
}

/* What the agent executes is the file that the keeper measures. */
static int open_program(const struct inside_spec *spec, const char *path)
{
	int fd = open(path, O_PATH | O_CLOEXEC);
	struct stat program, root;
	struct runtime_error e = { 0 };

	if (fd < 0 || fstat(fd, &program) < 0 || stat("/", &root) < 0)
		give_up_errno(spec->sock, path, "cannot open the workload's program");
	if (spec->plan->rootfs_copy && program.st_dev != root.st_dev) {
		runtime_fail(&e, RUNTIME_REFUSED, path, "name one that is in workload.rootfs",
			     "the program is not in the root that was measured");
		give_up(spec->sock, EXIT_REFUSED, &e);
	}
	return fd;
}

static void hand_over(const struct inside_spec *spec)
{
	if (dup2(spec->agent_sock, AGENT_SOCK) < 0)
		give_up_errno(spec->sock, "agent", "cannot give it its socket");
}

static _Noreturn void exec_agent(const struct inside_spec *spec, const struct policy_process *p)
{
	struct runtime_error e = { 0 };

	(void)syscall(SYS_execveat, spec->agent, "", p->argv, p->env, AT_EMPTY_PATH);
	runtime_fail(&e, RUNTIME_REFUSED, "cordon-agent",
		     "does the seccomp profile allow execveat?", "cannot run it: %s",
		     strerror(errno));
	give_up(spec->sock, EXIT_REFUSED, &e);
}

static _Noreturn void workload_main(const struct inside_spec *given, int master, int slave,
				    struct inside_message *m)
{
	struct inside_spec copy = *given, *spec = &copy;
	const struct policy_plan *plan = spec->plan;
	const struct policy_process *p = &plan->process;
	char path[4096];
	int err, sock, program = -1;

	if (spec->agent >= 0)
		make_room(spec);
	sock = spec->sock;
	take_stdio(spec, slave);
	default_signals();
	if (confine_attributes(p, &m->report, &m->error) != RUNTIME_OK ||
	    confine_rlimits(p->rlimits, p->n_rlimits, plan->limits.demanded, &m->report,
			    &m->error) != RUNTIME_OK ||
	    confine_rlimits(spec->extra, spec->n_extra, false, &m->report, &m->error) !=
		    RUNTIME_OK ||
	    confine_identity(p->uid, p->gid, p->groups, p->n_groups, p->caps, spec->ids.range,
			     &m->report, &m->error) != RUNTIME_OK ||
	    confine_files(plan, spec->mounts->tmpfs[0], spec->agent, &m->report, &m->error) !=
		    RUNTIME_OK)
		give_up(sock, EXIT_REFUSED, &m->error);
	if (!enter_folder(p->cwd))
		give_up_errno(sock, p->cwd, "cannot enter the working folder");
	if (!find_program(p, path, sizeof(path), &err))
		cannot_run(sock, p->argv[0], err);
	if (close_range(3, ~0u, CLOSE_RANGE_CLOEXEC) < 0)
		give_up_errno(sock, "descriptors", "cannot mark them");
	if (spec->agent >= 0) {
		program = open_program(spec, path);
		hand_over(spec);
	}
	fault_point("inside.ready");
	say_ready(spec, master, program, m);
	err = confine_calls(plan);
	if (err) {
		errno = err;
		give_up_errno(sock, "seccomp", "cannot load the filter");
	}
	if (spec->agent >= 0)
		exec_agent(spec, p);
	exec_workload(path, p);
	cannot_run(sock, p->argv[0], errno);
}

/* ---- the first process ----------------------------------------------------------- */

static void loopback_up(int sock)
{
	struct ifreq r = { .ifr_name = "lo" };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || ioctl(fd, SIOCGIFFLAGS, &r) < 0)
		give_up_errno(sock, "network", "cannot find the loopback interface");
	r.ifr_flags |= IFF_UP;
	if (ioctl(fd, SIOCSIFFLAGS, &r) < 0)
		give_up_errno(sock, "network", "cannot raise the loopback interface");
	close(fd);
}

static void enter_cgroups(const struct inside_spec *spec)
{
	struct cgroup_entry entry = spec->cgroup;

	if (!cgroup_enter(&entry))
		give_up_errno(spec->sock, "cgroup", "cannot enter the session's");
	cgroup_close(&entry);
}

static void become_inner_root(const struct inside_spec *spec)
{
	if (spec->ids.range &&
	    (setresgid(0, 0, 0) < 0 || setgroups(0, NULL) < 0 || setresuid(0, 0, 0) < 0))
		give_up_errno(spec->sock, "user ids", "cannot become the namespace's root");
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		give_up_errno(spec->sock, "dumpable", "cannot clear it");
	/* From inside our cgroups, so that they are what is hidden. */
	if (unshare(CLONE_NEWCGROUP) < 0)
		give_up_errno(spec->sock, "cgroup namespace", "cannot make it");
	if (sethostname(spec->plan->hostname, strlen(spec->plan->hostname)) < 0 ||
	    setdomainname("", 0) < 0)
		give_up_errno(spec->sock, "hostname", "cannot set it");
}

/* From here on it owns nothing and can do nothing but wait: no file, no id of the
 * workload, no capability, three system calls. */
static void drop_everything(const struct inside_spec *spec)
{
	static const uint64_t none[POLICY_CAPSETS];
	struct confine_report r = { 0 };
	struct runtime_error e = { 0 };
	uint32_t uid = spec->ids.range ? INSIDE_FIRST_ID : spec->plan->process.uid;
	uint32_t gid = spec->ids.range ? INSIDE_FIRST_ID : spec->plan->process.gid;

	if (confine_identity(uid, gid, NULL, 0, none, spec->ids.range, &r, &e) != RUNTIME_OK)
		give_up(spec->sock, EXIT_REFUSED, &e);
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		give_up_errno(spec->sock, "dumpable", "cannot clear it");
	if (close_range(0, ~0u, 0) < 0 || confine_init_calls() != 0)
		_exit(EXIT_REFUSED);
}

static _Noreturn void reap_until(pid_t workload)
{
	int status;
	pid_t pid;

	for (;;) {
		pid = wait4(-1, &status, __WALL, NULL);
		if (pid == workload && (WIFEXITED(status) || WIFSIGNALED(status)))
			_exit(0); /* the kernel ends whatever else is in here */
		if (pid < 0 && errno == ECHILD)
			_exit(0);
	}
}

_Noreturn void inside_main(const struct inside_spec *spec)
{
	struct inside_message m = { 0 };
	int master = -1, slave = -1;
	pid_t pid;

	enter_cgroups(spec); /* while the keeper maps the ids */
	await_go(spec->sock);
	fault_point("inside.begun");
	umask(0); /* modes below are meant as they are written */
	become_inner_root(spec);
	if (!spec->ids.range &&
	    mounts_prepare(spec->plan, &spec->ids, spec->mounts, &m.error) != RUNTIME_OK)
		give_up(spec->sock, EXIT_REFUSED, &m.error);
	if (mounts_enter(spec->plan, &spec->ids, spec->mounts, spec->terminal, &master, &slave,
			 &m.error) != RUNTIME_OK)
		give_up(spec->sock, EXIT_REFUSED, &m.error);
	loopback_up(spec->sock);
	confine_core(&m.report);
	if (spec->plan->limits.core_sched == POLICY_CORE_REQUIRE && !m.report.core_sched) {
		errno = m.report.core_errno;
		give_up_errno(spec->sock, "core scheduling", "the policy requires it");
	}
	fault_point("inside.built");
	pid = fork();
	if (pid < 0)
		give_up_errno(spec->sock, "fork", "cannot make the workload's process");
	if (pid == 0)
		workload_main(spec, master, slave, &m);
	drop_everything(spec);
	reap_until(pid);
}
