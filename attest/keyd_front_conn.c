/*
 * attest/keyd_front_conn.c - one connection: TLS, one request after the other, the end.
 *
 * Reading stops while a request is answered, so a client's next one waits in the kernel. The
 * last answer is followed by the end of our side alone: closing at once would throw away what
 * the client still sends, and with it (a reset) the answer that it has not read yet.
 */
#include <event2/buffer.h>
#include <event2/bufferevent_ssl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "attest/keyd_front_internal.h"

#define CHUNK (16u << 10) /* bytes that are taken in at once: a record of TLS */
#define LINGER_MS 2000
#define VERIFY_MORE_MS 5000 /* the store ends a verification itself, before this */
#define ANSWER_HEAD 8192u   /* bytes of an answer's head */
#define TARGET_MAX 2048u
#define FIELD_COUNT HTTP_FIELDS_MAX

/* ---- phases ------------------------------------------------------------------------ */

/* In these nothing is under way that a newcomer could not take the place of. */
static const bool gives_way[CONN_PHASES] = {
	[CONN_HANDSHAKE] = true,
	[CONN_IDLE] = true,
	[CONN_HEAD] = true,
	[CONN_LINGER] = true,
};

/* ms from now to the phase's end. A request's time runs from its first byte. */
static int64_t time_left(const struct conn *c, enum conn_phase p)
{
	const struct keyd_limits *l = c->f->limits;
	int64_t age = front_now() - c->asked_at;

	switch (p) {
	case CONN_HANDSHAKE:
		return (int64_t)l->handshake * 1000;
	case CONN_IDLE:
		return (int64_t)l->idle * 1000;
	case CONN_HEAD:
		return (int64_t)l->head * 1000 - age;
	case CONN_BODY:
		return (int64_t)l->request * 1000 - age;
	case CONN_ASKED:
		return (int64_t)l->verify * 1000 + VERIFY_MORE_MS;
	case CONN_ANSWER:
		return (int64_t)l->answer * 1000;
	default:
		return LINGER_MS;
	}
}

static void enter(struct conn *c, enum conn_phase p)
{
	int64_t ms = time_left(c, p);
	struct timeval until;

	if (ms < 0)
		ms = 0;
	until = (struct timeval){ .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };
	if (c->is_waiting)
		TAILQ_REMOVE(&c->f->waiting, c, waiting);
	c->is_waiting = gives_way[p];
	if (c->is_waiting)
		TAILQ_INSERT_TAIL(&c->f->waiting, c, waiting);
	c->phase = p;
	evtimer_add(&c->deadline, &until);
}

static void too_late(evutil_socket_t fd, short what, void *arg)
{
	struct conn *c = arg;

	(void)fd;
	(void)what;
	if (c->phase != CONN_ASKED) {
		conn_free(c);
		return;
	}
	front_forget(c->f, c);
	conn_refuse(c, KBS_BUSY, NULL);
}

/* ---- the answer -------------------------------------------------------------------- */

static bool is_last(const struct conn *c)
{
	const struct keyd_limits *l = c->f->limits;

	return c->close || c->f->ending || c->requests >= l->requests ||
	       front_now() - c->made > (int64_t)l->connection_age * 1000;
}

/* The request is not needed any more. */
static void release_request(struct conn *c)
{
	c->f->held -= c->held;
	c->held = 0;
	http_next(c->reader);
}

void conn_answer(struct conn *c, unsigned status, const char *body, size_t len,
		 const struct http_line *lines, size_t n_lines)
{
	char head[ANSWER_HEAD];
	struct http_answer a = {
		.status = status,
		.type = "application/json",
		.length = len,
		.date = (int64_t)time(NULL),
		.lines = lines,
		.n_lines = n_lines,
	};
	size_t head_len = 0;

	c->close = is_last(c);
	a.close = c->close;
	release_request(c);
	bufferevent_disable(c->bev, EV_READ);
	if (!http_write_answer(&a, head, sizeof(head), &head_len) ||
	    bufferevent_write(c->bev, head, head_len) != 0 ||
	    bufferevent_write(c->bev, body, len) != 0)
		event_active(&c->deadline, EV_TIMEOUT, 0); /* no memory: it ends */
	enter(c, CONN_ANSWER);
}

static void refuse(struct conn *c, enum kbs_answer why, unsigned status, const char *detail)
{
	static const struct http_line gets = { "Allow", "GET" }, posts = { "Allow", "POST" };
	const struct http_head *h = http_read_head(c->reader);
	char body[KBS_ERROR_BODY];
	size_t len = 0;
	struct span path = h ? h->path : (struct span){ "", 0 };
	const struct http_line *allow =
		span_skip(&path, KBS_PREFIX "/resource") ? &gets : &posts;

	kbs_error_write(why, detail, body, &len);
	conn_answer(c, status, body, len, allow, why == KBS_NO_SUCH_METHOD);
}

void conn_refuse(struct conn *c, enum kbs_answer why, const char *detail)
{
	refuse(c, why, kbs_answer_status(why), detail);
}

void conn_wait(struct conn *c)
{
	bufferevent_disable(c->bev, EV_READ);
	release_request(c);
	enter(c, CONN_ASKED);
}

/* ---- the request ------------------------------------------------------------------- */

/* Where the next message begins nobody knows: this connection is over. */
static void not_http(struct conn *c, unsigned status, const char *what)
{
	c->close = true;
	refuse(c, KBS_HTTP_FAULT, status, what);
}

/* The bytes of a body count against what all requests may take up together. */
static bool hold(struct conn *c)
{
	size_t len = http_read_body(c->reader).len;

	c->f->held += len - c->held;
	c->held = len;
	return c->f->held <= c->f->held_max;
}

static void head_is_there(struct conn *c, const struct http_head *h)
{
	if (!request_welcome(c, h))
		return;
	if (h->expect_continue && !c->continued)
		bufferevent_write(c->bev, HTTP_CONTINUE, strlen(HTTP_CONTINUE));
	c->continued = true;
	enter(c, CONN_BODY);
}

static void more(struct conn *c)
{
	const struct http_head *h = http_read_head(c->reader);

	if (h && c->phase == CONN_HEAD) {
		c->close = true; /* refused now, the rest of it is never read */
		head_is_there(c, h);
		if (c->phase == CONN_BODY)
			c->close = false;
	}
	if (c->phase == CONN_BODY && !hold(c)) {
		c->close = true;
		conn_refuse(c, KBS_BUSY, NULL);
	}
}

static void whole(struct conn *c)
{
	const struct http_head *h = http_read_head(c->reader);

	c->requests++;
	c->close = !h->keep_alive;
	if (c->phase == CONN_BODY || request_welcome(c, h))
		request_serve(c, h, http_read_body(c->reader));
}

static void begin(struct conn *c)
{
	c->asked_at = front_now();
	c->continued = false;
	c->close = false;
	enter(c, CONN_HEAD);
}

static bool is_reading(const struct conn *c)
{
	return c->phase == CONN_IDLE || c->phase == CONN_HEAD || c->phase == CONN_BODY;
}

/* As many bytes of the input as one step takes. */
static void feed(struct conn *c, struct evbuffer *in)
{
	struct evbuffer_iovec v;
	const struct http_fault *fault;
	enum http_progress p;
	size_t used = 0;

	if (evbuffer_peek(in, -1, NULL, &v, 1) < 1 || v.iov_len == 0) {
		evbuffer_drain(in, evbuffer_get_length(in));
		return;
	}
	if (c->phase == CONN_IDLE)
		begin(c);
	p = http_feed(c->reader, v.iov_base, v.iov_len, &used);
	evbuffer_drain(in, used);
	fault = http_fault(c->reader);
	if (p == HTTP_BAD)
		not_http(c, fault->status, fault->what);
	else if (p == HTTP_DONE)
		whole(c);
	else
		more(c);
}

static void readable(struct bufferevent *bev, void *arg)
{
	struct evbuffer *in = bufferevent_get_input(bev);
	struct conn *c = arg;

	if (c->phase == CONN_LINGER)
		evbuffer_drain(in, evbuffer_get_length(in));
	while (is_reading(c) && evbuffer_get_length(in) > 0)
		feed(c, in);
}

/* ---- the end ----------------------------------------------------------------------- */

static void linger(struct conn *c)
{
	SSL *ssl = bufferevent_openssl_get_ssl(c->bev);

	ERR_clear_error();
	(void)SSL_shutdown(ssl); /* says goodbye; nobody waits for the other's */
	ERR_clear_error();
	(void)shutdown(bufferevent_getfd(c->bev), SHUT_WR);
	bufferevent_enable(c->bev, EV_READ);
	enter(c, CONN_LINGER);
	readable(c->bev, c);
}

static void written(struct bufferevent *bev, void *arg)
{
	struct conn *c = arg;

	if (c->phase != CONN_ANSWER || evbuffer_get_length(bufferevent_get_output(bev)) > 0)
		return;
	if (c->close) {
		linger(c);
		return;
	}
	enter(c, CONN_IDLE);
	bufferevent_enable(bev, EV_READ);
	readable(bev, c); /* what came behind the last request */
}

static void happened(struct bufferevent *bev, short what, void *arg)
{
	struct conn *c = arg;

	(void)bev;
	if (what & BEV_EVENT_CONNECTED) {
		enter(c, CONN_IDLE);
		return;
	}
	ERR_clear_error();
	conn_free(c);
}

/* ---- birth and death ---------------------------------------------------------------- */

/* Takes over `fd` and `ssl` where it gives a bufferevent. */
static struct bufferevent *tls_over(struct front *f, int fd)
{
	SSL *ssl = SSL_new(f->tls);
	struct bufferevent *bev;

	if (!ssl)
		return NULL;
	bev = bufferevent_openssl_socket_new(f->base, fd, ssl, BUFFEREVENT_SSL_ACCEPTING,
					     BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS);
	if (!bev)
		SSL_free(ssl);
	return bev;
}

void conn_new(struct front *f, int fd, const struct peer *peer)
{
	const struct http_limits limits = {
		.head = HTTP_GUEST_HEAD,
		.target = TARGET_MAX,
		.fields = FIELD_COUNT,
		.body = (size_t)f->limits->body << 10,
	};
	struct conn *c = calloc(1, sizeof(*c));

	if (c) {
		*c = (struct conn){ .f = f, .peer = *peer, .made = front_now() };
		c->reader = http_reader_new(HTTP_REQUESTS, &limits);
		c->bev = c->reader ? tls_over(f, fd) : NULL;
	}
	if (!c || !c->bev) {
		if (c)
			http_reader_free(c->reader);
		free(c);
		close(fd);
		return;
	}
	TAILQ_INSERT_TAIL(&f->all, c, all);
	f->n_conns++;
	evtimer_assign(&c->deadline, f->base, too_late, c);
	enter(c, CONN_HANDSHAKE);
	bufferevent_setcb(c->bev, readable, written, happened, c);
	bufferevent_setwatermark(c->bev, EV_READ, 0, CHUNK);
	bufferevent_openssl_set_allow_dirty_shutdown(c->bev, 1);
	bufferevent_enable(c->bev, EV_READ | EV_WRITE);
}

void conn_free(struct conn *c)
{
	struct front *f = c->f;

	front_forget(f, c);
	release_request(c);
	if (c->is_waiting)
		TAILQ_REMOVE(&f->waiting, c, waiting);
	TAILQ_REMOVE(&f->all, c, all);
	f->n_conns--;
	event_del(&c->deadline);
	bufferevent_free(c->bev);
	http_reader_free(c->reader);
	free(c);
	if (f->ending && f->n_conns == 0)
		event_base_loopbreak(f->base);
}
