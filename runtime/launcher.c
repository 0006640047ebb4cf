/* runtime/launcher.c - the keeper's side of making a sandbox. */
#include "runtime/launcher.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <linux/securebits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "runtime/fault.h"
#include "runtime/files.h"
#include "runtime/readback.h"

#define EXIT_REFUSED 125
#define SETUP_SECONDS 30 /* a network file system that hangs must not hang the keeper */

static enum runtime_status fail(struct runtime_error *e, const char *where, const char *what)
{
	return runtime_fail(e, RUNTIME_SYSTEM, where, "`cordon doctor` says what this host can",
			    "%s: %s", what, strerror(errno));
}

static void closefd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* ---- the first process's environment --------------------------------------------- */

static int write_proc(pid_t pid, const char *name, const char *text)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	return file_write_text(AT_FDCWD, path, text);
}

static enum runtime_status map_ids(pid_t pid, const struct launcher_spec *spec,
				   struct runtime_error *e)
{
	const struct policy_process *p = &spec->plan->process;
	char uids[64], gids[64];

	if (spec->ids.range) {
		snprintf(uids, sizeof(uids), "0 %u 65536\n", spec->ids.first);
		memcpy(gids, uids, sizeof(gids));
	} else {
		/* Without the deny the kernel refuses the group map (CVE-2014-8989). */
		if (write_proc(pid, "setgroups", "deny") < 0)
			return fail(e, "setgroups", "cannot deny it");
		snprintf(uids, sizeof(uids), "%u %u 1\n", p->uid, geteuid());
		snprintf(gids, sizeof(gids), "%u %u 1\n", p->gid, getegid());
	}
	if (write_proc(pid, "uid_map", uids) < 0 || write_proc(pid, "gid_map", gids) < 0)
		return fail(e, "user ids", "cannot map them");
	return RUNTIME_OK;
}

static enum runtime_status place(pid_t pid, const struct launcher_spec *spec,
				 struct runtime_error *e)
{
	enum runtime_status s = map_ids(pid, spec, e);
	char text[16];

	snprintf(text, sizeof(text), "%d", spec->plan->process.oom_score_adj);
	if (s == RUNTIME_OK && write_proc(pid, "oom_score_adj", text) < 0)
		s = fail(e, "oom_score_adj", "cannot set it");
	return s;
}

/* ---- waiting --------------------------------------------------------------------- */

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void drain(int sigfd)
{
	struct signalfd_siginfo info;

	while (read(sigfd, &info, sizeof(info)) > 0)
		;
}

/* Nothing of the tenant's runs yet: what stops now are few, and all are waited for. */
static void pump(struct launcher *l)
{
	while (tracer_pump(&l->tracer))
		;
}

/* ---- create ---------------------------------------------------------------------- */

static void launcher_init(struct launcher *l)
{
	memset(l, 0, sizeof(*l));
	l->pidfd = l->sock = l->sigchld = l->master = l->program = -1;
	l->exit_code = EXIT_REFUSED;
}

/* The kernel counts what goes on in a user namespace (inotify instances, queued signals and
 * messages, locked memory) against whoever made it as well. Made by an id of the session's
 * own, it uses up neither root's share nor another session's. */
static long clone_owned(const struct launcher_spec *spec, struct clone_args *args)
{
	int saved;
	long pid;

	if (!spec->ids.range)
		return syscall(SYS_clone3, args, sizeof(*args));
	/* Capabilities stay as they are over both changes. */
	if (prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP) < 0 ||
	    setresuid((uid_t)-1, spec->ids.first, (uid_t)-1) < 0)
		return -1;
	pid = syscall(SYS_clone3, args, sizeof(*args));
	if (pid == 0)
		return 0;
	saved = errno;
	if (setresuid((uid_t)-1, 0, (uid_t)-1) < 0 || prctl(PR_SET_SECUREBITS, 0) < 0)
		abort(); /* its child ends with the socket, and no session goes on as nobody */
	errno = saved;
	return pid;
}

static enum runtime_status clone_first(const struct launcher_spec *spec, struct mounts *m,
				       struct launcher *l, struct runtime_error *e)
{
	struct clone_args args = {
		/* The cgroup namespace comes later, from inside the session's cgroups. */
		.flags = (spec->plan->namespaces & ~(uint64_t)CLONE_NEWCGROUP) | CLONE_PIDFD |
			 CLONE_CLEAR_SIGHAND,
		.pidfd = (uint64_t)(uintptr_t)&l->pidfd,
		.exit_signal = SIGCHLD,
	};
	struct inside_spec inside = { .plan = spec->plan,
				      .ids = spec->ids,
				      .mounts = m,
				      .terminal = spec->terminal,
				      .agent = spec->with_agent ? spec->agent : -1,
				      .agent_sock = spec->with_agent ? spec->agent_sock : -1,
				      .cgroup = { .into = -1 } };
	int pair[2];
	long pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return fail(e, "setup", "cannot make a socket pair");
	l->sock = pair[0];
	if (spec->cgroup && cgroup_open(spec->cgroup, &inside.cgroup, e) != RUNTIME_OK) {
		close(pair[1]);
		return RUNTIME_SYSTEM;
	}
	if (inside.cgroup.into >= 0) {
		args.flags |= CLONE_INTO_CGROUP;
		args.cgroup = (uint64_t)inside.cgroup.into;
	}
	memcpy(inside.stdio, spec->stdio, sizeof(inside.stdio));
	memcpy(inside.extra, spec->extra, sizeof(inside.extra));
	inside.n_extra = spec->n_extra;
	inside.sock = pair[1];
	pid = clone_owned(spec, &args);
	if (pid == 0) {
		close(pair[0]); /* or its own copy would hide the keeper's end */
		inside_main(&inside);
	}
	close(pair[1]);
	cgroup_close(&inside.cgroup);
	if (pid < 0) {
		l->pidfd = -1;
		return fail(e, "namespaces", "cannot make them");
	}
	l->init_pid = (pid_t)pid;
	return RUNTIME_OK;
}

static enum runtime_status keep_built(struct launcher *l, const struct launcher_spec *spec,
				      const struct inside_message *m, const int *fds, size_t n,
				      struct runtime_error *e)
{
	enum runtime_status s;
	size_t at = 0;

	if (spec->with_agent && n)
		l->program = fds[--n];
	if (spec->terminal && n)
		l->master = fds[at++];
	while (at < n)
		l->tmpfs[l->n_tmpfs++] = fds[at++];
	l->noswap = m->noswap;
	l->measured = m->measured;
	memcpy(l->digest, m->digest, sizeof(l->digest));
	l->report = m->report;
	if (!l->n_tmpfs || (spec->terminal && l->master < 0) ||
	    (spec->with_agent && l->program < 0))
		return runtime_fail(e, RUNTIME_SYSTEM, "setup", "",
				    "the sandbox's memory was not handed over");
	/* While the workload loads its filter. */
	s = readback_ready(l->tracer.workload, spec, e);
	return s == RUNTIME_OK ? readback_first(l->init_pid, spec, e) : s;
}

static bool readable(int sock)
{
	struct pollfd p = { .fd = sock, .events = POLLIN };

	return poll(&p, 1, 0) > 0;
}

static enum runtime_status killed_first(struct runtime_error *e)
{
	return runtime_fail(e, RUNTIME_REFUSED, "exec",
			    "does the seccomp profile allow execve?",
			    "the workload was killed before it could start");
}

/* All that the inside has said so far. The socket ends at the exec (CLOEXEC), or brings the
 * reason why there is none. */
static enum runtime_status take_messages(struct launcher *l, const struct launcher_spec *spec,
					 struct runtime_error *e)
{
	enum runtime_status s = RUNTIME_OK;
	struct inside_message m;
	int fds[INSIDE_FDS];
	bool dying = false;
	size_t n;

	while (s == RUNTIME_OK && l->sock >= 0 && readable(l->sock)) {
		if (!inside_receive(l->sock, &m, fds, &n)) {
			if (errno)
				s = fail(e, "setup", "cannot hear the sandbox");
			closefd(&l->sock);
		} else if (m.kind == INSIDE_READY && !l->n_tmpfs) {
			s = keep_built(l, spec, &m, fds, n, e);
			pump(l);
			/* Of one that is dying not everything can be read; why it does, it may
			 * have said. */
			dying = s != RUNTIME_OK && l->tracer.workload_leaving;
			s = dying ? RUNTIME_OK : s;
		} else {
			l->exit_code = m.exit_code;
			*e = m.error;
			s = m.exit_code == EXIT_REFUSED ? RUNTIME_SYSTEM : RUNTIME_REFUSED;
		}
	}
	return s == RUNTIME_OK && dying ? killed_first(e) : s;
}

/* Until the workload stands at its exec, its READY taken. */
static enum runtime_status await_exec(struct launcher *l, const struct launcher_spec *spec,
				      struct runtime_error *e)
{
	int64_t end = now_ms() + SETUP_SECONDS * 1000;

	for (;;) {
		struct pollfd p[2] = { { .fd = l->sigchld, .events = POLLIN },
				       { .fd = -1, .events = POLLIN } };
		int64_t left = end - now_ms();
		enum runtime_status s;
		bool over;

		if (left <= 0)
			return runtime_fail(
				e, RUNTIME_SYSTEM, "setup", "is a mounted server gone?",
				"the sandbox was not ready within %d s", SETUP_SECONDS);
		/* The workload may be READY before the kernel has told whose child it is. */
		if (l->tracer.workload)
			p[1].fd = l->sock;
		if (poll(p, 2, (int)left) < 0 && errno != EINTR)
			return fail(e, "setup", "cannot wait");
		drain(l->sigchld);
		pump(l);
		/* Looked at before the messages: then a last word is not missed. */
		over = l->tracer.workload_gone || tracer_empty(&l->tracer);
		s = l->tracer.workload || over ? take_messages(l, spec, e) : RUNTIME_OK;
		if (s != RUNTIME_OK)
			return s;
		if (l->tracer.exec_stop && l->n_tmpfs)
			return RUNTIME_OK;
		if (over)
			break;
	}
	if (l->n_tmpfs)
		return killed_first(e);
	return runtime_fail(e, RUNTIME_SYSTEM, "setup", "the kernel's log may say why",
			    "the sandbox ended before it was ready");
}

static enum runtime_status say_go(int sock, struct runtime_error *e)
{
	struct inside_message m = { .kind = INSIDE_GO };

	return inside_send(sock, &m, NULL, 0) ? RUNTIME_OK : fail(e, "setup", "cannot go on");
}

static enum runtime_status build(struct launcher *l, const struct launcher_spec *spec,
				 struct mounts *m, struct runtime_error *e)
{
	enum runtime_status s = clone_first(spec, m, l, e);
	struct readback_host here;

	fault_point("cloned");
	/* Seized before it may move: every later task of the sandbox descends from it. */
	if (s == RUNTIME_OK)
		s = tracer_seize(&l->tracer, l->init_pid, e);
	if (s == RUNTIME_OK)
		s = place(l->init_pid, spec, e);
	fault_point("placed");
	if (s == RUNTIME_OK)
		s = say_go(l->sock, e);
	if (s == RUNTIME_OK) /* while it builds */
		s = readback_here(&here, e);
	if (s == RUNTIME_OK)
		s = await_exec(l, spec, e);
	closefd(&l->sock);
	l->workload_pid = l->tracer.workload;
	if (s == RUNTIME_OK)
		s = readback_workload(l->workload_pid, spec, &here, e);
	return s;
}

enum runtime_status launcher_create(const struct launcher_spec *spec, struct launcher *ret,
				    struct runtime_error *reterr)
{
	enum runtime_status s = RUNTIME_OK;
	struct mounts m;
	sigset_t chld;

	launcher_init(ret);
	mounts_init(&m);
	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	ret->sigchld = signalfd(-1, &chld, SFD_CLOEXEC | SFD_NONBLOCK);
	if (ret->sigchld < 0)
		s = fail(reterr, "setup", "cannot make a signalfd");
	if (s == RUNTIME_OK && spec->ids.range)
		s = mounts_prepare(spec->plan, &spec->ids, &m, reterr);
	if (s == RUNTIME_OK)
		s = build(ret, spec, &m, reterr);
	mounts_close(&m);
	if (s != RUNTIME_OK)
		launcher_end(ret);
	return s;
}

/* ---- start, end ------------------------------------------------------------------ */

enum runtime_status launcher_check(struct launcher *l, struct runtime_error *reterr)
{
	return tracer_standing(&l->tracer)
		       ? RUNTIME_OK
		       : runtime_fail(reterr, RUNTIME_REFUSED, "workload", "",
				      "it was killed before it could start");
}

void launcher_start(struct launcher *l)
{
	tracer_resume(&l->tracer, false);
}

void launcher_start_agent(struct launcher *l)
{
	tracer_resume(&l->tracer, true);
}

enum runtime_status launcher_check_again(struct launcher *l, unsigned extra,
					 struct runtime_error *reterr)
{
	enum runtime_status s = launcher_check(l, reterr);

	return s == RUNTIME_OK ? readback_again(l->workload_pid, extra, reterr) : s;
}

void launcher_kill(struct launcher *l)
{
	if (l->pidfd >= 0)
		(void)pidfd_send_signal(l->pidfd, SIGKILL, NULL, 0);
}

void launcher_end(struct launcher *l)
{
	struct pollfd p = { .fd = l->sigchld, .events = POLLIN };

	if (l->pidfd >= 0 && !l->tracer.init && l->init_pid) {
		/* Cloned, but never seized: it is our child, and no tracee. */
		launcher_kill(l);
		(void)waitpid(l->init_pid, NULL, __WALL);
	}
	while (!tracer_empty(&l->tracer)) {
		launcher_kill(l);
		pump(l);
		if (!tracer_empty(&l->tracer))
			(void)poll(&p, 1, 100);
		drain(l->sigchld);
	}
	closefd(&l->pidfd);
	closefd(&l->sock);
	closefd(&l->sigchld);
	closefd(&l->master);
	closefd(&l->program);
	for (size_t i = 0; i < l->n_tmpfs; i++)
		closefd(&l->tmpfs[i]);
	l->n_tmpfs = 0;
	l->init_pid = 0;
}
