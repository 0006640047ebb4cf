/* attest/keyd_front_internal.h - the inside of the front: its connections, and its questions
 * to the store. */
#pragma once

#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <event2/listener.h>
#include <openssl/types.h>
#include <sys/queue.h>
#include <sys/socket.h>

#include "attest/http.h"
#include "attest/kbs.h"
#include "attest/keyd_front.h"
#include "attest/keyd_wire.h"

/* ---- connections (keyd_front_conn.c) ------------------------------------------------- */

enum conn_phase {
	CONN_HANDSHAKE = 0,
	CONN_IDLE, /* between requests */
	CONN_HEAD,
	CONN_BODY,
	CONN_ASKED,  /* the store has the question */
	CONN_ANSWER, /* the answer is on its way */
	CONN_LINGER, /* it is out; what still comes in is thrown away */
	CONN_PHASES,
};

/* Whom a connection is from: the 4 bytes of an IPv4 address, or the first 8 of an IPv6 one. */
struct peer {
	uint8_t of[8];
	uint8_t len;
};

struct conn {
	struct front *f;
	struct bufferevent *bev;
	struct http_reader *reader;
	struct event deadline;
	enum conn_phase phase;
	struct peer peer;
	int64_t since;    /* ms: when this phase began */
	int64_t made;     /* ms */
	int64_t asked_at; /* ms: the first byte of the request */
	uint64_t requests;
	size_t held;    /* bytes of the request that the reader has */
	bool continued; /* 100 Continue was said */
	bool close;     /* this answer is the last one */
	TAILQ_ENTRY(conn) all, waiting;
	bool is_waiting; /* in f->waiting: nobody has promised it anything yet */
};

void conn_new(struct front *f, int fd, const struct peer *peer);
void conn_free(struct conn *c);
/* The answer to its request. */
void conn_answer(struct conn *c, unsigned status, const char *body, size_t len,
		 const struct http_line *lines, size_t n_lines);
void conn_refuse(struct conn *c, enum kbs_answer why, const char *detail);
/* The request is with the store: nothing of it is needed here any more. */
void conn_wait(struct conn *c);

/* ---- requests (keyd_front_kbs.c) ------------------------------------------------------ */

/* What can be said as soon as the head is there; false: the request has been answered. */
bool request_welcome(struct conn *c, const struct http_head *h);
/* A whole request: it is answered, or asked. */
void request_serve(struct conn *c, const struct http_head *h, struct span body);
/* What the store says to a question; the wire is the caller's to clear. */
void request_answer(struct conn *c, const struct keyd_message *m);

/* ---- the process (keyd_front.c) -------------------------------------------------------- */

#define FRONT_QUESTIONS 256u
#define FRONT_PEERS 1024u

struct question {
	struct conn *from; /* NULL: it has gone, the answer is still to come */
	uint32_t turn;
	bool open;
};

/* Challenges that one address was given. */
struct allowance {
	struct peer peer;
	int64_t at; /* ms: when it was full again, last */
	double left;
};

struct front {
	const struct keyd_front *given;
	const struct keyd_limits *limits;
	struct event_base *base;
	struct evconnlistener *listener;
	SSL_CTX *tls;
	struct event *from_store, *again, *end;
	struct keyd_wire *in, *out;
	struct question questions[FRONT_QUESTIONS];
	struct allowance allowances[FRONT_PEERS];
	TAILQ_HEAD(conns, conn) all;
	struct conns waiting; /* the longest first */
	size_t n_conns;
	size_t held, held_max; /* bytes of requests */
	bool ending;
};

int64_t front_now(void); /* ms, monotonic */
bool peer_equal(const struct peer *a, const struct peer *b);
/* A message to be filled in; NULL: as many questions as there may be. */
struct keyd_message *front_ask(struct front *f, struct conn *c, enum keyd_type type);
/* Sends it; false: the store takes no more now. Its descriptors are closed. */
bool front_send(struct front *f);
void front_forget(struct front *f, const struct conn *c);
/* Whether this address may have one more challenge now. */
bool front_allows(struct front *f, const struct peer *p);

/* ---- TLS (keyd_front_tls.c) ------------------------------------------------------------ */

/* TLS 1.3 with two suites, and nothing that outlives a connection. */
__attribute__((warn_unused_result)) enum attest_status
front_tls_new(const char *certificate, const char *key, SSL_CTX **ret, struct attest_error *e);
