/* runtime/keeper.c - a session from its order to its end. */
#include "runtime/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "runtime/keeper_internal.h"

#define EXIT_REFUSED 125
#define LOST_CLI_GRACE_MS 5000
#define CLERK_RETRY_MS 1000

int64_t keeper_now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ---- the order ------------------------------------------------------------------- */

static enum runtime_status read_plan(int fd, struct policy_plan **ret, struct runtime_error *e)
{
	struct policy_error pe = { 0 };
	struct stat st;
	uint8_t *bytes;
	enum policy_status s;

	if (fstat(fd, &st) < 0 || st.st_size <= 0 || st.st_size > (off_t)POLICY_PLAN_MAX)
		return runtime_fail(e, RUNTIME_MALFORMED, "plan", "", "its size cannot be");
	bytes = malloc((size_t)st.st_size);
	if (!bytes || pread(fd, bytes, (size_t)st.st_size, 0) != st.st_size) {
		free(bytes);
		return runtime_fail(e, RUNTIME_SYSTEM, "plan", "", "cannot read it: %s",
				    strerror(errno));
	}
	s = policy_plan_decode(bytes, (size_t)st.st_size, ret, &pe);
	free(bytes);
	if (s != POLICY_OK)
		return runtime_fail(e, RUNTIME_MALFORMED, "plan", pe.hint, "%s: %s", pe.key,
				    pe.what);
	return RUNTIME_OK;
}

static enum runtime_status take_order(struct keeper *k, int stdio[3], struct runtime_error *e)
{
	struct wire_message m;
	bool closed = false;
	enum runtime_status s = wire_receive(k->control, &m, &closed, e);

	if (s != RUNTIME_OK || closed)
		return closed ? runtime_fail(e, RUNTIME_SYSTEM, "control", "", "no order came")
			      : s;
	if (m.type != WIRE_START || m.n_fds < 6) {
		wire_close_fds(&m);
		return runtime_fail(e, RUNTIME_MALFORMED, "control", "",
				    "not an order to start");
	}
	memcpy(k->id, m.id, sizeof(k->id));
	snprintf(k->name, sizeof(k->name), "%.63s", m.text);
	k->detached = m.a & WIRE_DETACHED;
	memcpy(stdio, m.fds + 1, 3 * sizeof(stdio[0]));
	k->paths.sessions_fd = m.fds[4];
	k->paths.run_fd = m.fds[5];
	k->receipt = m.n_fds > 6 ? m.fds[6] : -1;
	s = read_plan(m.fds[0], &k->plan, e);
	close(m.fds[0]);
	return s;
}

/* ---- the clerk ------------------------------------------------------------------- */

const char *keeper_beside(const char *name)
{
	static char path[4096];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - strlen(name) - 1);
	char *slash = n > 0 ? memrchr(path, '/', (size_t)n) : NULL;

	if (!slash)
		return NULL;
	memcpy(slash + 1, name, strlen(name) + 1);
	return path;
}

size_t keeper_keys_at(const struct keeper *k)
{
	size_t n = k->launcher.n_tmpfs;

	return n > 0 && k->plan->n_keys > 0 ? n - 1 : n;
}

enum runtime_status keeper_hold(struct keeper *k, struct runtime_error *e)
{
	const struct {
		enum wire_slot slot;
		int fd;
	} own[] = { { WIRE_SLOT_INIT, k->launcher.pidfd },
		    { WIRE_SLOT_RING, k->ring },
		    { WIRE_SLOT_UIDS, k->uid_lock } };
	enum runtime_status s =
		clerk_connect(&k->paths, keeper_beside("cordon-clerk"), &k->clerk, e);

	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]) && s == RUNTIME_OK; i++)
		if (own[i].fd >= 0)
			s = clerk_hold(k->clerk, k->id, own[i].slot, own[i].fd, e);
	for (size_t i = 0; i < k->launcher.n_tmpfs && s == RUNTIME_OK; i++)
		s = clerk_hold(k->clerk, k->id,
			       i < keeper_keys_at(k) ? WIRE_SLOT_TMPFS : WIRE_SLOT_KEYS,
			       k->launcher.tmpfs[i], e);
	if (s != RUNTIME_OK) {
		if (k->clerk >= 0)
			close(k->clerk);
		k->clerk = -1;
	}
	return s;
}

/* A clerk that died is started again and given everything anew. */
static void hold_again(struct keeper *k)
{
	struct runtime_error ignored;

	if (k->clerk >= 0)
		close(k->clerk);
	k->clerk = -1;
	k->clerk_retry_at =
		keeper_hold(k, &ignored) == RUNTIME_OK ? 0 : keeper_now_ms() + CLERK_RETRY_MS;
}

enum runtime_status keeper_record(struct keeper *k, enum wire_record what,
				  struct runtime_error *reterr)
{
	enum runtime_status s = RUNTIME_SYSTEM;
	int64_t index;

	if (k->clerk >= 0)
		s = clerk_record(k->clerk, k->id, what, &index, reterr);
	if (s == RUNTIME_OK || s == RUNTIME_REFUSED)
		return s;
	hold_again(k);
	if (k->clerk < 0)
		return runtime_fail(reterr, RUNTIME_SYSTEM, "audit log",
				    "`cordon recover` tries again",
				    "no clerk answers, and none could be started");
	return clerk_record(k->clerk, k->id, what, &index, reterr);
}

/* ---- ends ------------------------------------------------------------------------ */

void keeper_move(struct keeper *k, enum session_event ev, const char *why)
{
	struct runtime_error ignored;

	best_effort(journal_move(k->journal, ev, why, &ignored));
}

static void signal_workload(struct keeper *k, int sig)
{
	pid_t pid = k->launcher.workload_pid;

	/* Traced and not yet reaped by us: the pid is still its. Signals of a terminal go
	 * to the whole process group, as a terminal would send them. */
	if (!pid || k->launcher.tracer.workload_gone)
		return;
	if (sig == SIGINT || sig == SIGQUIT || sig == SIGSTOP || sig == SIGCONT ||
	    sig == SIGHUP)
		(void)kill(-pid, sig);
	else
		(void)kill(pid, sig);
}

static void stop(struct keeper *k, int64_t grace_ms, const char *why)
{
	int64_t at = keeper_now_ms() + grace_ms;

	if (!k->stopping) {
		k->stopping = true;
		signal_workload(k, SIGTERM);
		signal_workload(k, SIGCONT); /* a stopped one could not end */
		if (journal_writer_state(k->journal) == SESSION_RUNNING)
			keeper_move(k, EV_ENDING, why);
		fault_point("stopping");
	}
	if (!k->kill_at || at < k->kill_at) /* a shorter grace than before wins */
		k->kill_at = at;
}

static int64_t kill_due(struct keeper *k)
{
	if (k->kill_at && keeper_now_ms() >= k->kill_at) {
		launcher_kill(&k->launcher);
		k->kill_at = 0;
	}
	return k->kill_at;
}

static void pump_output(struct keeper *k)
{
	static char chunk[16384];
	ssize_t n = -1;

	for (int i = 0; i < 16; i++) {
		n = read(k->out, chunk, sizeof(chunk));
		if (n <= 0)
			break;
		(void)ring_write(k->ring, chunk, (size_t)n);
	}
	if (n == 0) { /* nobody can write any more; polled on, it would say so for ever */
		close(k->out);
		k->out = -1;
	}
}

/* ---- messages -------------------------------------------------------------------- */

static void obey(struct keeper *k, const struct wire_message *m, const char *whose)
{
	char why[128];

	if (m->type == WIRE_SIGNAL) {
		signal_workload(k, (int)m->a);
	} else if (m->type == WIRE_STOP) {
		snprintf(why, sizeof(why), "stopped by %s", whose);
		stop(k, m->a, why);
	}
}

static void lose_control(struct keeper *k)
{
	close(k->control);
	k->control = -1;
	if (!k->detached)
		stop(k, LOST_CLI_GRACE_MS, "the command that started it ended");
}

static void hear_control(struct keeper *k)
{
	struct runtime_error ignored;
	struct wire_message m;
	bool closed = false;

	if (wire_receive(k->control, &m, &closed, &ignored) != RUNTIME_OK || closed) {
		lose_control(k);
		return;
	}
	obey(k, &m, "the command that started it");
	wire_close_fds(&m);
}

static void hear_visitor(struct keeper *k)
{
	struct timeval patience = { .tv_usec = 200 * 1000 };
	struct wire_message m, ok = { .type = WIRE_OK };
	struct runtime_error ignored;
	bool closed = false;
	int sock;

	if (wire_accept(k->listener, &sock, &ignored) != RUNTIME_OK)
		return;
	if (setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) == 0 &&
	    wire_receive(sock, &m, &closed, &ignored) == RUNTIME_OK && !closed) {
		obey(k, &m, "cordon stop");
		wire_close_fds(&m);
		best_effort(wire_send(sock, &ok, &ignored));
	}
	close(sock);
}

static void tell(struct keeper *k, struct wire_message *m)
{
	struct runtime_error ignored;

	memcpy(m->id, k->id, sizeof(m->id));
	if (k->control >= 0)
		best_effort(wire_send(k->control, m, &ignored));
}

static void tell_running(struct keeper *k)
{
	struct wire_message m = { .type = WIRE_RUNNING };

	if (k->launcher.master >= 0)
		m.fds[m.n_fds++] = k->launcher.master;
	tell(k, &m);
	/* The caller's copy is the only one: when it goes, the workload gets its SIGHUP. */
	if (k->launcher.master >= 0)
		close(k->launcher.master);
	k->launcher.master = -1;
}

/* ---- the loop -------------------------------------------------------------------- */

/* 0 is never. */
static int64_t soonest(int64_t a, int64_t b)
{
	return a && (!b || a < b) ? a : b;
}

static int until(int64_t a, int64_t b)
{
	int64_t at = soonest(a, b), left;

	if (!at)
		return -1;
	left = at - keeper_now_ms();
	return left < 0 ? 0 : left > 60000 ? 60000 : (int)left;
}

static bool empty(const struct keeper *k)
{
	return tracer_empty(&k->launcher.tracer);
}

void keeper_watch(struct keeper *k, bool (*over)(const struct keeper *k))
{
	bool more = false;

	while (!over(k)) {
		struct pollfd p[] = {
			{ .fd = k->launcher.sigchld, .events = POLLIN },
			{ .fd = k->control, .events = POLLIN },
			{ .fd = k->listener, .events = POLLIN },
			{ .fd = k->clerk, .events = POLLIN },
			{ .fd = k->out, .events = POLLIN },
			{ .fd = k->agent, .events = POLLIN },
		};
		char drained[1024];

		if (poll(p, sizeof(p) / sizeof(p[0]),
			 more ? 0
			      : until(soonest(kill_due(k), k->attest_until),
				      k->clerk_retry_at)) < 0 &&
		    errno != EINTR)
			break;
		while (read(k->launcher.sigchld, drained, sizeof(drained)) > 0)
			;
		more = tracer_pump(&k->launcher.tracer);
		if (k->launcher.tracer.workload_gone &&
		    journal_writer_state(k->journal) == SESSION_RUNNING)
			keeper_move(k, EV_ENDING, "the workload ended");
		if (p[1].revents)
			hear_control(k);
		if (p[2].revents)
			hear_visitor(k);
		if (p[3].revents || (k->clerk_retry_at && keeper_now_ms() >= k->clerk_retry_at))
			hold_again(k);
		if (p[4].revents)
			pump_output(k);
		if (p[5].revents)
			keeper_hear_agent(k);
	}
	if (k->out >= 0)
		pump_output(k);
}

/* ---- the whole session ----------------------------------------------------------- */

static void put_words(char *to, size_t size, const struct runtime_error *e)
{
	snprintf(to, size, "%.120s%s%.220s%s%.130s", e->where, e->where[0] ? ": " : "", e->what,
		 e->hint[0] ? "; " : "", e->hint);
}

static int fail_session(struct keeper *k, int exit_code, const struct runtime_error *e)
{
	struct wire_message m = { .type = WIRE_FAILED, .a = exit_code };

	put_words(m.text, sizeof(m.text), e);
	if (k->agent_ran) { /* then there is something to wipe, and it is still held */
		launcher_kill(&k->launcher);
		keeper_watch(k, empty);
	} else {
		launcher_end(&k->launcher);
	}
	if (k->journal)
		keeper_finish(k, m.text);
	launcher_end(&k->launcher);
	tell(k, &m);
	return 1;
}

static void close_streams(struct keeper *k, int stdio[3])
{
	if (k->detached && k->spec.stdio[1] >= 0)
		close(k->spec.stdio[1]);
	for (int i = 0; i < 3; i++) {
		close(stdio[i]);
		k->spec.stdio[i] = -1;
	}
}

static int run_session(struct keeper *k, int stdio[3])
{
	struct wire_message ended = { .type = WIRE_ENDED };
	struct runtime_error e = { 0 };
	enum runtime_status s = keeper_admit_plan(k, &e);

	if (s == RUNTIME_OK)
		s = keeper_begin(k, &e);
	fault_point("begun");
	if (s == RUNTIME_OK)
		s = keeper_prepare(k, stdio, &e);
	close_streams(k, stdio);
	if (s == RUNTIME_OK)
		s = keeper_start(k, &e);
	if (s != RUNTIME_OK)
		return fail_session(
			k, k->launcher.exit_code ? k->launcher.exit_code : EXIT_REFUSED, &e);
	tell_running(k);
	keeper_watch(k, empty);
	fault_point("gone");
	ended.a = keeper_wait_status(k);
	keeper_finish(k, NULL);
	launcher_end(&k->launcher);
	ended.b = journal_writer_state(k->journal);
	snprintf(ended.text, sizeof(ended.text), "%s", k->said);
	tell(k, &ended);
	return 0;
}

/* Out of everybody's reach: own session, nothing inherited, no core, no debugger of the
 * same uid once the workload runs. */
static bool harden(void)
{
	struct rlimit core = { 1, 1 };
	sigset_t block;

	umask(077);
	sigfillset(&block);
	sigdelset(&block, SIGSEGV);
	sigdelset(&block, SIGBUS);
	sigdelset(&block, SIGABRT);
	(void)setsid();
	/* A user's keeper must stay readable until it has mapped the sandbox's ids: the
	 * kernel gives /proc/PID of a process that is not to root alone. */
	if (geteuid() == 0 && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return false;
	return close_range(KEEPER_CONTROL + 1, ~0u, 0) == 0 && chdir("/") == 0 &&
	       setrlimit(RLIMIT_CORE, &core) == 0 &&
	       sigprocmask(SIG_SETMASK, &block, NULL) == 0 &&
	       fcntl(KEEPER_CONTROL, F_SETFD, FD_CLOEXEC) == 0;
}

int keeper_main(void)
{
	static struct keeper k = { .control = KEEPER_CONTROL,
				   .receipt = -1,
				   .listener = -1,
				   .clerk = -1,
				   .uid_lock = -1,
				   .ring = -1,
				   .out = -1,
				   .agent = -1,
				   .proxy = -1,
				   .proxy_words = -1,
				   .spec = { .agent = -1, .agent_sock = -1 } };
	struct runtime_error e = { 0 };
	int stdio[3] = { -1, -1, -1 }, r;

	k.launcher.pidfd = k.launcher.sock = k.launcher.sigchld = -1;
	k.launcher.master = k.launcher.program = -1;
	if (!harden()) {
		fputs("cordon-keeper: started by `cordon run`, not by hand\n", stderr);
		return 2;
	}
	if (take_order(&k, stdio, &e) != RUNTIME_OK)
		return fail_session(&k, EXIT_REFUSED, &e);
	r = run_session(&k, stdio);
	journal_close(k.journal);
	policy_plan_free(k.plan);
	return r;
}
