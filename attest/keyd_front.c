/* attest/keyd_front.c - the front as a process: who may come in, and the talk with the store. */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "attest/keyd_front_internal.h"

#define END_MS 1000    /* for answers that are on their way when the service ends */
#define BREATHE_MS 200 /* without descriptors, before the next try */
#define SPARE_FDS 64u  /* beside the connections: the loop, the store, bodies on their way */

int64_t front_now(void)
{
	struct timespec t = { 0 };

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static struct timeval after_ms(int64_t ms)
{
	return (struct timeval){ .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };
}

/* ---- who comes in ------------------------------------------------------------------ */

bool peer_equal(const struct peer *a, const struct peer *b)
{
	return a->len == b->len && memcmp(a->of, b->of, a->len) == 0;
}

static struct peer peer_of(const struct sockaddr *sa)
{
	struct peer p = { .len = 0 };
	const struct sockaddr_in6 *six = (const void *)sa;
	const struct sockaddr_in *four = (const void *)sa;

	if (sa->sa_family == AF_INET) {
		p.len = 4;
		memcpy(p.of, &four->sin_addr, 4);
	} else if (sa->sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&six->sin6_addr)) {
		p.len = 4;
		memcpy(p.of, &six->sin6_addr.s6_addr[12], 4);
	} else if (sa->sa_family == AF_INET6) {
		p.len = 8;
		memcpy(p.of, &six->sin6_addr, 8);
	}
	return p;
}

/* Of this address (NULL: of any), the connection that has waited longest for nothing. */
static struct conn *longest_waiting(const struct front *f, const struct peer *p)
{
	struct conn *c;

	TAILQ_FOREACH(c, &f->waiting, waiting)
	if (!p || peer_equal(&c->peer, p))
		return c;
	return NULL;
}

static size_t count_of(const struct front *f, const struct peer *p)
{
	const struct conn *c;
	size_t n = 0;

	TAILQ_FOREACH(c, &f->all, all)
	n += peer_equal(&c->peer, p);
	return n;
}

/* Room for one more from there; an idle one gives way. */
static bool make_room(struct front *f, const struct peer *p)
{
	struct conn *idle = NULL;

	if (count_of(f, p) >= f->limits->connections_per_address)
		idle = longest_waiting(f, p);
	else if (f->n_conns >= f->limits->connections)
		idle = longest_waiting(f, NULL);
	else
		return true;
	if (idle)
		conn_free(idle);
	return idle != NULL;
}

static void accepted(struct evconnlistener *l, evutil_socket_t fd, struct sockaddr *sa, int len,
		     void *arg)
{
	struct front *f = arg;
	struct peer p = peer_of(sa);
	const int one = 1;

	(void)l;
	(void)len;
	if (!make_room(f, &p)) {
		close(fd);
		return;
	}
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one,
			 sizeof(one)); /* answers are whole */
	conn_new(f, fd, &p);
}

/* Out of descriptors or memory: the kernel's queue keeps the others for a while. */
static void not_accepted(struct evconnlistener *l, void *arg)
{
	struct front *f = arg;
	struct timeval soon = after_ms(BREATHE_MS);

	evconnlistener_disable(l);
	evtimer_add(f->again, &soon);
}

static void accept_again(evutil_socket_t fd, short what, void *arg)
{
	struct front *f = arg;

	(void)fd;
	(void)what;
	if (!f->ending)
		evconnlistener_enable(f->listener);
}

/* ---- how often --------------------------------------------------------------------- */

static size_t place_of(const struct peer *p)
{
	uint64_t hash =
		1469598103934665603u; /* FNV-1a: only the table's own size is at stake */

	for (size_t i = 0; i < p->len; i++)
		hash = (hash ^ p->of[i]) * 1099511628211u;
	return (size_t)(hash % FRONT_PEERS);
}

/* A bucket of `challenges` that fills up again in a minute. Two addresses that share a place
 * push each other out, to a full bucket. */
bool front_allows(struct front *f, const struct peer *p)
{
	struct allowance *a = &f->allowances[place_of(p)];
	double most = (double)f->limits->challenges;
	int64_t now = front_now();

	if (!peer_equal(&a->peer, p))
		*a = (struct allowance){ .peer = *p, .at = now, .left = most };
	a->left += (double)(now - a->at) * most / 60000.0;
	if (a->left > most)
		a->left = most;
	a->at = now;
	if (a->left < 1)
		return false;
	a->left -= 1;
	return true;
}

/* ---- the store --------------------------------------------------------------------- */

struct keyd_message *front_ask(struct front *f, struct conn *c, enum keyd_type type)
{
	for (uint32_t i = 0; i < FRONT_QUESTIONS; i++) {
		struct question *q = &f->questions[i];

		if (q->open)
			continue;
		*q = (struct question){ .from = c, .turn = q->turn + 1, .open = true };
		keyd_wire_clear(f->out);
		f->out->m.type = type;
		f->out->m.ticket = (uint64_t)q->turn << 32 | i;
		return &f->out->m;
	}
	return NULL;
}

static struct question *question_of(struct front *f, uint64_t ticket)
{
	struct question *q = &f->questions[ticket % FRONT_QUESTIONS];

	return (uint32_t)ticket < FRONT_QUESTIONS && q->open && q->turn == ticket >> 32 ? q
											: NULL;
}

bool front_send(struct front *f)
{
	bool sent = keyd_send(f->given->store, f->out, NULL) == ATTEST_OK;

	if (!sent)
		f->questions[f->out->m.ticket % FRONT_QUESTIONS].open = false;
	keyd_wire_clear(f->out);
	return sent;
}

/* The place stays taken until the store has answered, so that nobody can have more questions
 * under way by hanging up. */
void front_forget(struct front *f, const struct conn *c)
{
	for (size_t i = 0; i < FRONT_QUESTIONS; i++)
		if (f->questions[i].from == c)
			f->questions[i].from = NULL;
}

static void end_now(evutil_socket_t fd, short what, void *arg)
{
	struct front *f = arg;

	(void)fd;
	(void)what;
	event_base_loopbreak(f->base);
}

/* Without the store there are no answers: those that are waited for are refused, those that
 * are on their way get their time. */
static void end(struct front *f)
{
	struct timeval soon = after_ms(END_MS);
	struct conn *c, *next;

	if (f->ending)
		return;
	f->ending = true;
	evconnlistener_disable(f->listener);
	event_del(f->from_store);
	for (c = TAILQ_FIRST(&f->all); c; c = next) {
		next = TAILQ_NEXT(c, all);
		if (c->phase == CONN_ASKED)
			conn_refuse(c, KBS_BUSY, NULL);
		else if (c->phase != CONN_ANSWER && c->phase != CONN_LINGER)
			conn_free(c);
	}
	if (f->n_conns == 0)
		event_base_loopbreak(f->base);
	else
		evtimer_add(f->end, &soon);
}

static void store_says(evutil_socket_t fd, short what, void *arg)
{
	struct front *f = arg;
	struct question *q;
	bool closed = false;

	(void)what;
	if (keyd_receive(fd, f->in, &closed, NULL) != ATTEST_OK || closed) {
		keyd_wire_clear(f->in);
		end(f);
		return;
	}
	q = question_of(f, f->in->m.ticket);
	if (q) {
		q->open = false;
		if (q->from)
			request_answer(q->from, &f->in->m);
		q->from = NULL;
	}
	keyd_wire_clear(f->in);
}

/* ---- the process ------------------------------------------------------------------- */

static const uint32_t calls[] = {
#ifdef SYS_epoll_wait
	SYS_epoll_wait,
#endif
	SYS_epoll_pwait,  SYS_epoll_pwait2,   SYS_epoll_ctl,    SYS_accept4,
	SYS_read,         SYS_write,          SYS_readv,        SYS_writev,
	SYS_recvmsg,      SYS_sendmsg,        SYS_recvfrom,     SYS_sendto,
	SYS_shutdown,     SYS_getsockopt,     SYS_setsockopt,   SYS_ioctl,
	SYS_fcntl,        SYS_lseek,          SYS_close,        SYS_memfd_create,
	SYS_mmap,         SYS_munmap,         SYS_mremap,       SYS_brk,
	SYS_madvise,      SYS_mprotect,       SYS_getrandom,    SYS_clock_gettime,
	SYS_gettimeofday, SYS_futex,          SYS_getpid,       SYS_gettid,
	SYS_tgkill,       SYS_rt_sigprocmask, SYS_rt_sigreturn, SYS_restart_syscall,
	SYS_exit,         SYS_exit_group,
};

#ifdef __SANITIZE_ADDRESS__
#define SANITIZED true
#else
#define SANITIZED false
#endif

/* A connection is a descriptor, and so is the body of a request on its way. */
static enum attest_status make_descriptors(const struct keyd_limits *l, struct attest_error *e)
{
	rlim_t want = l->connections + FRONT_QUESTIONS + SPARE_FDS;
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) != 0)
		return attest_fail(e, ATTEST_SYSTEM, "front", "", "RLIMIT_NOFILE: %m");
	if (r.rlim_max < want && geteuid() == 0)
		r.rlim_max = want;
	r.rlim_cur = want;
	if (r.rlim_max < want || setrlimit(RLIMIT_NOFILE, &r) != 0)
		return attest_fail(e, ATTEST_REFUSED, "limits.connections",
				   "raise the limit of open files (ulimit -n), or lower this",
				   "%llu descriptors are needed", (unsigned long long)want);
	return ATTEST_OK;
}

static enum attest_status make_loop(struct front *f, struct attest_error *e)
{
	const struct keyd_front *g = f->given;

	f->base = event_base_new();
	if (f->base)
		f->listener = evconnlistener_new(f->base, accepted, f,
						 LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_DISABLED, 0,
						 g->listener);
	if (f->listener) {
		evconnlistener_set_error_cb(f->listener, not_accepted);
		f->from_store =
			event_new(f->base, g->store, EV_READ | EV_PERSIST, store_says, f);
		f->again = evtimer_new(f->base, accept_again, f);
		f->end = evtimer_new(f->base, end_now, f);
	}
	f->in = keyd_wire_new();
	f->out = keyd_wire_new();
	if (!f->from_store || !f->again || !f->end || !f->in || !f->out ||
	    event_add(f->from_store, NULL) != 0)
		return attest_fail(e, ATTEST_SYSTEM, "front", "",
				   "no memory, or no locked memory");
	return ATTEST_OK;
}

static void silent(int severity, const char *text)
{
	(void)severity;
	(void)text;
}

static enum attest_status prepare(struct front *f, struct attest_error *e)
{
	const struct keyd_front *g = f->given;
	const struct keyd_options *o = g->options;
	enum attest_status s = make_descriptors(f->limits, e);

	(void)prctl(PR_SET_NAME, "cordon-k-front");
	event_set_log_callback(silent);
	/* What is read from files on first use is read now: later nothing can be opened. */
	tzset();
	json_object_seed(0);
	if (s == ATTEST_OK)
		s = front_tls_new(o->certificate, o->key, &f->tls, e);
	if (s == ATTEST_OK && (evutil_make_socket_nonblocking(g->listener) != 0 ||
			       evutil_make_socket_nonblocking(g->store) != 0))
		s = attest_fail(e, ATTEST_SYSTEM, "front", "", "its sockets: %m");
	if (s == ATTEST_OK)
		s = keyd_confine_identity(g->identity, e);
	if (s == ATTEST_OK)
		s = make_loop(f, e);
	if (s == ATTEST_OK && !SANITIZED)
		s = keyd_confine_calls(calls, sizeof(calls) / sizeof(calls[0]), e);
	return s;
}

static void clear(struct front *f)
{
	struct conn *c;

	while ((c = TAILQ_FIRST(&f->all)))
		conn_free(c);
	if (f->listener)
		evconnlistener_free(f->listener);
	if (f->from_store)
		event_free(f->from_store);
	if (f->again)
		event_free(f->again);
	if (f->end)
		event_free(f->end);
	if (f->base)
		event_base_free(f->base);
	SSL_CTX_free(f->tls);
	keyd_wire_free(f->in);
	keyd_wire_free(f->out);
	free(f);
}

enum attest_status keyd_front_run(const struct keyd_front *given, struct attest_error *reterr)
{
	struct front *f = calloc(1, sizeof(*f));
	enum attest_status s;

	if (!f)
		return attest_fail(reterr, ATTEST_SYSTEM, "front", "", "no memory");
	f->given = given;
	f->limits = &given->options->limits;
	f->held_max = (size_t)((f->limits->memory << 20) -
			       f->limits->connections * KEYD_CONNECTION_BYTES);
	TAILQ_INIT(&f->all);
	TAILQ_INIT(&f->waiting);
	s = prepare(f, reterr);
	if (s == ATTEST_OK && write(given->ready, "r", 1) == 1) {
		close(given->ready);
		evconnlistener_enable(f->listener);
		event_base_dispatch(f->base);
	}
	clear(f);
	close(given->listener);
	close(given->store);
	return s;
}
