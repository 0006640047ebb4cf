/*
 * runtime/clerk_server.c - one thread, one poll loop, fixed tables.
 *
 * Every answer is sent without waiting: a client that does not read its answers loses
 * its connection, as does one whose bytes are no message. Whatever a table has no room
 * for is answered NO, in words.
 */
#include "runtime/clerk.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "attest/hex.h"
#include "runtime/clerk_attest.h"
#include "runtime/clerk_log.h"
#include "runtime/fault.h"

#define SESSIONS_MAX 4096u
#define CONNECTIONS_MAX 1024u
#define FILTERS_MAX 64u
#define RECORDS_MAX 16u /* steps of sessions that one flush takes: the longest ones fit */
#define SPARE_FDS 32u   /* listener, lock, signals, and one message's descriptors */

struct session {
	uint8_t id[SESSION_ID_BYTES];
	int fds[WIRE_FDS];
	enum wire_slot slots[WIRE_FDS];
	size_t n;
	int64_t until; /* 0: it lives; else its ring is kept until then */
};

struct filter {
	int64_t hash, used; /* `used`: the order of last use */
	int fd;
};

/* Somebody who is answered once the log is durable. */
struct waiting {
	int sock;
	int64_t index;
};

struct clerk {
	struct clerk_log *log;
	struct waiting waiting[RECORDS_MAX];
	size_t n_waiting;
	struct session sessions[SESSIONS_MAX];
	size_t n_sessions;
	struct filter filters[FILTERS_MAX];
	size_t n_filters;
	int64_t uses;
	int connections[CONNECTIONS_MAX];
	size_t n_connections;
	size_t held, held_max, connections_max; /* as many as the descriptor limit allows */
	int listener, signals, sessions_fd;
	int64_t active; /* when something last happened */
};

static int64_t now_ms(void)
{
	struct timespec t = { 0 };

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ---- sessions -------------------------------------------------------------------- */

static struct session *session_find(struct clerk *c, const uint8_t id[static SESSION_ID_BYTES])
{
	for (size_t i = 0; i < c->n_sessions; i++)
		if (memcmp(c->sessions[i].id, id, SESSION_ID_BYTES) == 0)
			return &c->sessions[i];
	return NULL;
}

static int session_ring(const struct session *s)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->slots[i] == WIRE_SLOT_RING)
			return s->fds[i];
	return -1;
}

/* Drops one descriptor; a ring holds a tenant's bytes and is zeroed before. */
static void session_release(struct clerk *c, struct session *s, size_t i)
{
	if (s->slots[i] == WIRE_SLOT_RING)
		(void)ring_zero(s->fds[i]); /* checked at HOLD: it can be written */
	closep(&s->fds[i]);
	s->n--;
	c->held--;
	s->fds[i] = s->fds[s->n];
	s->slots[i] = s->slots[s->n];
}

static void session_drop(struct clerk *c, struct session *s)
{
	while (s->n > 0)
		session_release(c, s, s->n - 1);
	*s = c->sessions[--c->n_sessions];
}

static void sessions_expire(struct clerk *c, int64_t now)
{
	for (size_t i = c->n_sessions; i > 0; i--)
		if (c->sessions[i - 1].until && c->sessions[i - 1].until <= now)
			session_drop(c, &c->sessions[i - 1]);
}

/* ---- answers --------------------------------------------------------------------- */

/* All handlers return whether the connection may stay. */
static bool answer(int sock, enum wire_type type, int64_t a)
{
	const struct wire_message m = { .type = type, .a = a };

	return wire_send(sock, &m, NULL) == RUNTIME_OK;
}

static bool answer_no(int sock, const char *why)
{
	struct wire_message m = { .type = WIRE_NO };

	snprintf(m.text, sizeof(m.text), "%s", why);
	return wire_send(sock, &m, NULL) == RUNTIME_OK;
}

static bool answer_fd(int sock, const uint8_t id[static SESSION_ID_BYTES], int64_t slot, int fd)
{
	struct wire_message m = { .type = WIRE_HELD, .a = slot, .fds = { fd }, .n_fds = 1 };

	memcpy(m.id, id, sizeof(m.id));
	return wire_send(sock, &m, NULL) == RUNTIME_OK;
}

/* ---- requests -------------------------------------------------------------------- */

static const char *may_hold(const struct clerk *c, const struct session *s,
			    const struct wire_message *m)
{
	if (c->held >= c->held_max)
		return "the clerk holds as many descriptors as it may";
	if (!s && c->n_sessions == SESSIONS_MAX)
		return "the clerk knows as many sessions as it may";
	if (s && s->until)
		return "the session is over";
	if (s && s->n == WIRE_FDS)
		return "the session has as many descriptors here as it may";
	if (m->a == WIRE_SLOT_RING && s && session_ring(s) >= 0)
		return "the session has a ring already";
	if (m->a == WIRE_SLOT_RING && !ring_is(m->fds[0]))
		return "this is no ring";
	return NULL;
}

static bool do_hold(struct clerk *c, int sock, struct wire_message *m)
{
	struct session *s = session_find(c, m->id);
	const char *why_not = may_hold(c, s, m);

	if (why_not)
		return answer_no(sock, why_not);
	if (!s) {
		s = &c->sessions[c->n_sessions++];
		memset(s, 0, sizeof(*s));
		memcpy(s->id, m->id, sizeof(s->id));
	}
	s->fds[s->n] = m->fds[0];
	s->slots[s->n++] = (enum wire_slot)m->a;
	c->held++;
	m->n_fds = 0; /* ours now */
	fault_point("clerk.hold");
	return answer(sock, WIRE_OK, 0);
}

static bool do_take(struct clerk *c, int sock, struct wire_message *m)
{
	const struct session *s = session_find(c, m->id);

	for (size_t i = 0; s && i < s->n; i++)
		if (!answer_fd(sock, m->id, s->slots[i], s->fds[i]))
			return false;
	return answer(sock, WIRE_OK, 0);
}

static bool do_ask(struct clerk *c, int sock, struct wire_message *m)
{
	const struct session *s = session_find(c, m->id);

	return answer(sock, WIRE_OK, s ? (int64_t)s->n : 0);
}

static bool do_log(struct clerk *c, int sock, struct wire_message *m)
{
	const struct session *s = session_find(c, m->id);
	int ring = s ? session_ring(s) : -1;

	if (ring < 0)
		return answer_no(sock, "no output of this session is held");
	return answer_fd(sock, m->id, WIRE_SLOT_RING, ring);
}

static bool do_over(struct clerk *c, int sock, struct wire_message *m)
{
	struct session *s = session_find(c, m->id);

	fault_point("clerk.over");
	for (size_t i = s ? s->n : 0; i > 0; i--)
		if (s->slots[i - 1] != WIRE_SLOT_RING)
			session_release(c, s, i - 1);
	if (s && s->n == 0)
		session_drop(c, s);
	else if (s && !s->until)
		s->until = now_ms() + CLERK_RING_SECONDS * 1000;
	return answer(sock, WIRE_OK, 0);
}

static bool do_drop(struct clerk *c, int sock, struct wire_message *m)
{
	struct session *s = session_find(c, m->id);

	if (s)
		session_drop(c, s);
	return answer(sock, WIRE_OK, 0);
}

/* One flush for all that came in the same turn. */
static void answer_records(struct clerk *c)
{
	struct runtime_error e = { 0 };
	enum runtime_status s;

	if (c->n_waiting == 0)
		return;
	s = clerk_log_commit(c->log, &e);
	fault_point("clerk.recorded");
	for (size_t i = 0; i < c->n_waiting; i++) /* who hung up is seen in the next turn */
		(void)(s == RUNTIME_OK
			       ? answer(c->waiting[i].sock, WIRE_OK, c->waiting[i].index)
			       : answer_no(c->waiting[i].sock, e.what));
	c->n_waiting = 0;
}

static bool do_record(struct clerk *c, int sock, struct wire_message *m)
{
	struct runtime_error e;
	int64_t index;

	if (c->n_waiting == RECORDS_MAX)
		answer_records(c);
	if (clerk_log_record(c->log, m->id, (enum wire_record)m->a, &index, &e) != RUNTIME_OK)
		return answer_no(sock, e.what);
	fault_point("clerk.record");
	c->waiting[c->n_waiting++] = (struct waiting){ .sock = sock, .index = index };
	return true;
}

static bool do_token(struct clerk *c, int sock, struct wire_message *m)
{
	uint8_t report_data[CLERK_REPORT_DATA];
	AUTO(closep) int token = -1;
	struct runtime_error e = { .what = "report_data has another form" };

	if (!hex_parse(m->text, strlen(m->text), report_data, sizeof(report_data)) ||
	    clerk_attest(c->sessions_fd, m->id, report_data, &token, &e) != RUNTIME_OK)
		return answer_no(sock, e.what);
	fault_point("clerk.token");
	return answer_fd(sock, m->id, 0, token);
}

static struct filter *filter_find(struct clerk *c, int64_t hash)
{
	for (size_t i = 0; i < c->n_filters; i++)
		if (c->filters[i].hash == hash)
			return &c->filters[i];
	return NULL;
}

/* A new place, or that of the filter that was not used for the longest time. */
static struct filter *filter_place(struct clerk *c)
{
	struct filter *f = &c->filters[0];

	if (c->n_filters < FILTERS_MAX) {
		f = &c->filters[c->n_filters++];
		f->fd = -1;
		return f;
	}
	for (size_t i = 1; i < c->n_filters; i++)
		if (c->filters[i].used < f->used)
			f = &c->filters[i];
	return f;
}

static bool do_filter_put(struct clerk *c, int sock, struct wire_message *m)
{
	struct filter *f = filter_find(c, m->a);

	if (!clerk_filter_sealed(m->fds[0]))
		return answer_no(sock, "this is no sealed filter");
	if (!f)
		f = filter_place(c);
	closep(&f->fd);
	*f = (struct filter){ .hash = m->a, .used = ++c->uses, .fd = m->fds[0] };
	m->n_fds = 0; /* ours now */
	return answer(sock, WIRE_OK, 0);
}

static bool do_filter_get(struct clerk *c, int sock, struct wire_message *m)
{
	struct filter *f = filter_find(c, m->a);

	if (!f)
		return answer_no(sock, "no such filter is held");
	f->used = ++c->uses;
	return answer_fd(sock, m->id, 0, f->fd);
}

/* What is not here is a message for somebody else. */
static bool (*const handlers[WIRE_TYPES])(struct clerk *, int, struct wire_message *) = {
	[WIRE_HOLD] = do_hold,
	[WIRE_TAKE] = do_take,
	[WIRE_ASK] = do_ask,
	[WIRE_LOG] = do_log,
	[WIRE_OVER] = do_over,
	[WIRE_DROP] = do_drop,
	[WIRE_RECORD] = do_record,
	[WIRE_TOKEN] = do_token,
	[WIRE_FILTER_PUT] = do_filter_put,
	[WIRE_FILTER_GET] = do_filter_get,
};

/* One message of one client. */
static bool serve_one(struct clerk *c, int sock)
{
	struct wire_message m;
	bool closed = true, stay;

	if (wire_receive(sock, &m, &closed, NULL) != RUNTIME_OK || closed)
		return false;
	stay = handlers[m.type] && handlers[m.type](c, sock, &m);
	wire_close_fds(&m);
	return stay;
}

/* ---- the loop -------------------------------------------------------------------- */

static void accept_one(struct clerk *c)
{
	int sock = -1;

	if (wire_accept(c->listener, &sock, NULL) != RUNTIME_OK)
		return;
	if (fcntl(sock, F_SETFL, O_NONBLOCK) != 0) {
		close(sock);
	} else if (c->n_connections >= c->connections_max) {
		(void)answer_no(sock, "the clerk has as many connections as it may");
		close(sock);
	} else {
		c->connections[c->n_connections++] = sock;
	}
}

/* When the loop must look again without being called: -1 is never. */
static int wait_ms(const struct clerk *c, int64_t now, int64_t idle_ms)
{
	int64_t next = clerk_log_due(c->log);

	for (size_t i = 0; i < c->n_sessions; i++)
		if (c->sessions[i].until && c->sessions[i].until < next)
			next = c->sessions[i].until;
	if (c->held == 0 && c->n_connections == 0 && c->active + idle_ms < next)
		next = c->active + idle_ms;
	if (next == INT64_MAX)
		return -1;
	return next > now ? (int)(next - now) : 0;
}

/* Waits and serves once; false when the clerk was told to end. */
static bool turn(struct clerk *c, int64_t idle_ms)
{
	static struct pollfd polled[2 + CONNECTIONS_MAX];
	size_t n = c->n_connections;

	polled[0] = (struct pollfd){ .fd = c->signals, .events = POLLIN };
	polled[1] = (struct pollfd){ .fd = c->listener, .events = POLLIN };
	for (size_t i = 0; i < n; i++)
		polled[2 + i] = (struct pollfd){ .fd = c->connections[i], .events = POLLIN };
	if (poll(polled, 2 + n, wait_ms(c, now_ms(), idle_ms)) <= 0)
		return true;
	if (polled[0].revents)
		return false;
	/* From the end, so that the last one may take a closed one's place. */
	for (size_t i = n; i > 0; i--) {
		if (!polled[1 + i].revents || serve_one(c, c->connections[i - 1]))
			continue;
		close(c->connections[i - 1]);
		c->connections[i - 1] = c->connections[--c->n_connections];
	}
	answer_records(c);
	if (polled[1].revents)
		accept_one(c);
	c->active = now_ms();
	return true;
}

/* Until idle or told to end. Sessions that still live are their keepers' to scrub. */
static void loop(struct clerk *c, int64_t idle_ms)
{
	c->active = now_ms();
	while (turn(c, idle_ms)) {
		int64_t now = now_ms();

		sessions_expire(c, now);
		if (clerk_log_due(c->log) <= now)
			clerk_log_publish(c->log);
		if (c->held == 0 && c->n_connections == 0 && now - c->active >= idle_ms)
			break;
	}
	sessions_expire(c, INT64_MAX);
}

/* ---- starting -------------------------------------------------------------------- */

/* Tables as large as the descriptor limit allows; what does not fit is refused later,
 * never half received. */
static bool set_limits(struct clerk *c)
{
	struct rlimit files;
	size_t n;

	if (getrlimit(RLIMIT_NOFILE, &files) != 0)
		return false;
	files.rlim_cur = files.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &files) != 0)
		return false;
	n = files.rlim_cur < 1 << 20 ? (size_t)files.rlim_cur : 1 << 20;
	if (n < 2 * (SPARE_FDS + FILTERS_MAX)) {
		errno = EMFILE;
		return false;
	}
	n -= SPARE_FDS + FILTERS_MAX;
	c->connections_max = n / 4 < CONNECTIONS_MAX ? n / 4 : CONNECTIONS_MAX;
	c->held_max = n - c->connections_max;
	return true;
}

static int signals_open(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	if (sigprocmask(SIG_BLOCK, &set, NULL) != 0)
		return -1;
	return signalfd(-1, &set, SFD_CLOEXEC);
}

static enum runtime_status failed(struct runtime_error *e, const char *step)
{
	return runtime_fail(e, RUNTIME_SYSTEM, step, NULL, "failed: %m");
}

/* The lock makes one clerk per root, for as long as this process lives. */
static enum runtime_status lock_root(int run_fd, int *ret_lock, bool *ret_other,
				     struct runtime_error *e)
{
	AUTO(closep)
	int fd = openat(run_fd, CLERK_LOCK, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	*ret_other = fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
	if (*ret_other)
		return RUNTIME_OK;
	if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) != 0)
		return failed(e, CLERK_LOCK);
	*ret_lock = fd;
	fd = -1;
	return RUNTIME_OK;
}

enum runtime_status clerk_serve(int run_fd, int sessions_fd, int ready, unsigned idle_s,
				struct runtime_error *reterr)
{
	static struct clerk c; /* zero: no session, no filter, no connection */
	AUTO(closep) int lock = -1;
	bool other = false;
	enum runtime_status s;

	c.listener = c.signals = -1;
	c.sessions_fd = sessions_fd;
	if (!set_limits(&c))
		return failed(reterr, "resource limits");
	s = lock_root(run_fd, &lock, &other, reterr);
	if (s != RUNTIME_OK || other)
		return s;
	fault_point("clerk.locked");
	c.log = clerk_log_start(sessions_fd);
	if (!c.log)
		return failed(reterr, "memory");
	c.signals = signals_open();
	if (c.signals < 0)
		return failed(reterr, "signals");
	s = wire_listen(run_fd, CLERK_SOCKET, &c.listener, reterr);
	if (s != RUNTIME_OK) {
		clerk_log_end(c.log);
		return s;
	}
	fault_point("clerk.listening");
	/* Whoever started this clerk may be gone by now; it serves the others all the same. */
	signal(SIGPIPE, SIG_IGN);
	if (ready >= 0) {
		(void)!write(ready, "r", 1);
		close(ready);
	}

	loop(&c, (int64_t)idle_s * 1000);
	clerk_log_end(c.log);

	/* The name goes while the lock is held, so it is not a successor's. Whoever is in
	 * the backlog by now is cut off unanswered, and asks the next clerk. */
	unlinkat(run_fd, CLERK_SOCKET, 0);
	return RUNTIME_OK;
}
