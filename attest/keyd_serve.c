/*
 * attest/keyd_serve.c - the store as a process: one thread, one poll loop, fixed tables. A
 * verification is a socket that waits for its one verdict; whatever has no room in a table
 * is answered no.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "attest/keyd_internal.h"
#include "policy/text.h"

#define CALLS 64u  /* verifications under way */
#define ADMINS 16u /* connections of administrators */
#define ADMIN_SECONDS 10
/* Whoever does not take what it asked for holds up everybody: so long, and no longer. */
#define PATIENCE_SECONDS 2

struct call {
	int sock;
	uint64_t ticket;
	uint8_t session[KEYD_SESSION];
	int64_t until; /* ms */
};

struct admin {
	int sock;
	struct keyd_peer peer;
	int64_t until;
};

struct serving {
	struct keyd_store *s;
	struct keyd_sockets at;
	struct keyd_wire *in, *out;
	struct call calls[CALLS];
	size_t n_calls;
	struct admin admins[ADMINS];
	size_t n_admins;
	bool over; /* the front or the zygote is gone, or does not listen */
};

static int64_t now_ms(void)
{
	struct timespec t = { 0 };

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static bool be_impatient(int sock)
{
	const struct timeval patience = { .tv_sec = PATIENCE_SECONDS };

	return setsockopt(sock, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) == 0;
}

/* ---- answers ----------------------------------------------------------------------------- */

static struct keyd_message *begin(struct serving *v, enum keyd_type type, uint64_t ticket)
{
	keyd_wire_clear(v->out);
	v->out->m.type = type;
	v->out->m.ticket = ticket;
	return &v->out->m;
}

static bool say(struct serving *v, int sock)
{
	bool said = keyd_send(sock, v->out, NULL) == ATTEST_OK;

	keyd_wire_clear(v->out);
	return said;
}

static void to_front(struct serving *v)
{
	if (!say(v, v->at.front))
		v->over = true;
}

static void no(struct serving *v, uint64_t ticket, enum keyd_answer why)
{
	begin(v, KEYD_NO, ticket)->no.answer = why;
	to_front(v);
}

/* ---- the front ------------------------------------------------------------------------------ */

static void do_auth(struct serving *v)
{
	uint64_t ticket = v->in->m.ticket;
	struct keyd_message *m = begin(v, KEYD_CHALLENGE, ticket);
	enum keyd_answer a = keyd_store_auth(v->s, &v->in->m.auth, &m->challenge, NULL);

	if (a == KEYD_OK)
		to_front(v);
	else
		no(v, ticket, a);
}

/* One end for the verifier, with the body of the request; the other waits here. */
static bool send_out(struct serving *v, int *ret_sock)
{
	struct keyd_message *m = &v->out->m;
	int pair[2];
	bool sent;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
		return false;
	m->fds[0] = v->in->m.fds[0];
	m->fds[1] = pair[1];
	m->n_fds = 2;
	sent = keyd_send(v->at.zygote, v->out, NULL) == ATTEST_OK;
	m->n_fds = 0; /* the body goes with `in` */
	close(pair[1]);
	if (sent)
		*ret_sock = pair[0];
	else
		close(pair[0]);
	return sent;
}

static void do_attest(struct serving *v)
{
	const struct keyd_attest *in = &v->in->m.attest;
	uint64_t ticket = v->in->m.ticket;
	struct call *c = &v->calls[v->n_calls];
	struct keyd_message *m;
	enum keyd_answer a;

	if (v->n_calls == CALLS) { /* the nonce is as it was */
		no(v, ticket, KEYD_FULL);
		return;
	}
	m = begin(v, KEYD_VERIFY, ticket);
	a = keyd_store_attest(v->s, in, &m->verify, NULL);
	if (a == KEYD_OK && !send_out(v, &c->sock)) {
		a = KEYD_FAILED;
		v->over = true;
	}
	if (a != KEYD_OK) {
		no(v, ticket, a);
		return;
	}
	c->ticket = ticket;
	c->until = now_ms() + (int64_t)v->s->config.verify_seconds * 1000;
	memcpy(c->session, in->session, sizeof(c->session));
	v->n_calls++;
}

static void do_release(struct serving *v)
{
	uint64_t ticket = v->in->m.ticket;
	struct keyd_message *m = begin(v, KEYD_SEALED, ticket);
	enum keyd_answer a = keyd_store_release(v->s, &v->in->m.release, &m->sealed, NULL);

	if (a == KEYD_OK)
		to_front(v);
	else
		no(v, ticket, a);
}

static void (*const front_verbs[KEYD_TYPES])(struct serving *v) = {
	[KEYD_AUTH] = do_auth,
	[KEYD_ATTEST] = do_attest,
	[KEYD_RELEASE] = do_release,
};

/* A front that sends what is no message of its is no front any more. */
static void serve_front(struct serving *v)
{
	bool closed = false;

	if (keyd_receive(v->at.front, v->in, &closed, NULL) != ATTEST_OK || closed ||
	    !front_verbs[v->in->m.type])
		v->over = true;
	else
		front_verbs[v->in->m.type](v);
	keyd_wire_clear(v->in);
}

/* ---- verdicts --------------------------------------------------------------------------------- */

static void end_call(struct serving *v, size_t i, const struct keyd_verdict *verdict,
		     const char *why)
{
	struct call c = v->calls[i];
	struct keyd_message *m = begin(v, KEYD_ATTESTED, c.ticket);
	enum keyd_answer a =
		keyd_store_attested(v->s, c.session, verdict, why, &m->attested, NULL);

	close(c.sock);
	v->calls[i] = v->calls[--v->n_calls];
	if (a == KEYD_OK)
		to_front(v);
	else
		no(v, c.ticket, a);
}

static void serve_call(struct serving *v, size_t i)
{
	bool closed = false;
	enum attest_status s = keyd_receive(v->calls[i].sock, v->in, &closed, NULL);

	if (s == ATTEST_OK && !closed && v->in->m.type == KEYD_VERDICT)
		end_call(v, i, &v->in->m.verdict, NULL);
	else
		end_call(v, i, NULL,
			 closed ? "the verifier ended without a verdict"
				: "what the verifier said is no verdict");
	keyd_wire_clear(v->in);
}

/* ---- administrators ------------------------------------------------------------------------------ */

struct audience {
	struct serving *v;
	int sock;
};

static bool say_line(void *arg, const struct keyd_message *line)
{
	const struct audience *a = arg;

	keyd_wire_clear(a->v->out);
	a->v->out->m = *line;
	return say(a->v, a->sock);
}

/* Clean, and cut where they are too long. */
static void put_words(struct keyd_no *to, const struct attest_error *e)
{
	char text[sizeof(e->where) + sizeof(e->what) + 4];

	snprintf(text, sizeof(text), "%s%s%s", e->where, e->where[0] ? ": " : "", e->what);
	text_escape(to->text, sizeof(to->text), text);
	text_escape(to->hint, sizeof(to->hint), e->hint);
}

static void answer_admin(struct serving *v, const struct admin *a)
{
	struct audience audience = { .v = v, .sock = a->sock };
	struct attest_error e = { .what = "" };
	struct keyd_done done = { .version = 0 };
	uint64_t ticket = v->in->m.ticket;
	enum keyd_answer answer =
		keyd_store_admin(v->s, &a->peer, &v->in->m, say_line, &audience, &done, &e);
	struct keyd_message *m = begin(v, answer == KEYD_OK ? KEYD_DONE : KEYD_NO, ticket);

	if (answer == KEYD_OK) {
		m->done = done;
	} else {
		m->no.answer = answer;
		put_words(&m->no, &e);
	}
	(void)say(v, a->sock); /* who hung up does not want it */
}

static void end_admin(struct serving *v, size_t i)
{
	close(v->admins[i].sock);
	v->admins[i] = v->admins[--v->n_admins];
}

static void serve_admin(struct serving *v, size_t i)
{
	bool closed = false;

	if (keyd_receive(v->admins[i].sock, v->in, &closed, NULL) == ATTEST_OK && !closed)
		answer_admin(v, &v->admins[i]);
	keyd_wire_clear(v->in);
	end_admin(v, i);
}

/* Whoever may not has no place in the table, which he could keep full. */
static void send_away(struct serving *v, int sock, const struct keyd_peer *peer)
{
	struct keyd_message *m = begin(v, KEYD_NO, 0);
	struct attest_error e = { .what = "" };

	(void)!keyd_forbid(v->s, peer, "connect", &e);
	m->no.answer = KEYD_REFUSED;
	put_words(&m->no, &e);
	(void)say(v, sock);
	close(sock);
}

static void accept_admin(struct serving *v)
{
	int sock = accept4(v->at.admin, NULL, NULL, SOCK_CLOEXEC);
	struct ucred cred = { 0 };
	socklen_t len = sizeof(cred);
	struct keyd_peer peer;

	if (sock < 0)
		return;
	if (v->n_admins == ADMINS || !be_impatient(sock) ||
	    getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &cred, &len) != 0) {
		close(sock);
		return;
	}
	peer = (struct keyd_peer){ .uid = cred.uid, .pid = cred.pid };
	if (!keyd_store_may_administer(v->s, peer.uid))
		send_away(v, sock, &peer);
	else
		v->admins[v->n_admins++] = (struct admin){
			.sock = sock,
			.peer = peer,
			.until = now_ms() + ADMIN_SECONDS * 1000,
		};
}

/* ---- the loop ---------------------------------------------------------------------------------------- */

enum { FRONT, ZYGOTE, ADMIN, STOP, FIXED };

static void expire(struct serving *v, int64_t now)
{
	for (size_t i = v->n_calls; i > 0; i--)
		if (v->calls[i - 1].until <= now)
			end_call(v, i - 1, NULL, "the verifier took too long");
	for (size_t i = v->n_admins; i > 0; i--)
		if (v->admins[i - 1].until <= now)
			end_admin(v, i - 1);
}

/* Waits and serves once; false: the end. */
static bool turn(struct serving *v)
{
	struct pollfd polled[FIXED + CALLS + ADMINS] = {
		[FRONT] = { .fd = v->at.front, .events = POLLIN },
		[ZYGOTE] = { .fd = v->at.zygote, .events = POLLIN },
		[ADMIN] = { .fd = v->at.admin, .events = POLLIN },
		[STOP] = { .fd = v->at.stop, .events = POLLIN },
	};
	struct pollfd *calls = polled + FIXED, *admins = calls + v->n_calls;
	size_t n_calls = v->n_calls, n_admins = v->n_admins;

	for (size_t i = 0; i < n_calls; i++)
		calls[i] = (struct pollfd){ .fd = v->calls[i].sock, .events = POLLIN };
	for (size_t i = 0; i < n_admins; i++)
		admins[i] = (struct pollfd){ .fd = v->admins[i].sock, .events = POLLIN };
	if (poll(polled, (nfds_t)(FIXED + n_calls + n_admins), keyd_store_tick(v->s)) < 0)
		return errno == EINTR;
	/* Nobody talks on the zygote's socket: it can only end. */
	if (polled[STOP].revents || polled[ZYGOTE].revents)
		return false;
	/* From the end, so that the last one may take a closed one's place. */
	for (size_t i = n_calls; i > 0; i--)
		if (calls[i - 1].revents)
			serve_call(v, i - 1);
	for (size_t i = n_admins; i > 0; i--)
		if (admins[i - 1].revents)
			serve_admin(v, i - 1);
	expire(v, now_ms());
	if (polled[FRONT].revents)
		serve_front(v);
	if (polled[ADMIN].revents)
		accept_admin(v);
	return !v->over;
}

static void end_all(struct serving *v)
{
	while (v->n_calls > 0)
		end_call(v, v->n_calls - 1, NULL, "the key service ended");
	while (v->n_admins > 0)
		end_admin(v, v->n_admins - 1);
	keyd_wire_free(v->in);
	keyd_wire_free(v->out);
}

enum attest_status keyd_store_serve(struct keyd_store *s, const struct keyd_sockets *sockets,
				    struct attest_error *reterr)
{
	struct serving v = { .s = s, .at = *sockets };
	enum attest_status status = ATTEST_OK;

	v.in = keyd_wire_new();
	v.out = keyd_wire_new();
	if (!v.in || !v.out)
		status = keyd_no_memory("store", reterr);
	else if (!be_impatient(v.at.front) || !be_impatient(v.at.zygote))
		status = attest_fail(reterr, ATTEST_SYSTEM, "store", "", "its sockets: %m");
	while (status == ATTEST_OK && turn(&v))
		;
	end_all(&v);
	return status;
}
