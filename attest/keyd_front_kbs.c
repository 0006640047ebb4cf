/* attest/keyd_front_kbs.c - requests of the KBS protocol as questions to the store, and its
 * answers as JSON. */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "attest/base64.h"
#include "attest/hex.h"
#include "attest/jwk.h"
#include "attest/keyd_front_internal.h"

#define AUTH_MAX (16u << 10) /* bytes of a Request */

/* ---- what the head says ------------------------------------------------------------- */

static bool refuse(struct conn *c, enum kbs_answer why, const char *detail)
{
	conn_refuse(c, why, detail);
	return false;
}

/* The session of its cookie. Bearer tokens are for other services: ours releases keys to
 * sessions alone. */
static bool session_of(const struct http_head *h, uint8_t ret[static KEYD_SESSION])
{
	char id[KBS_SESSION_ID];

	return kbs_session(h, id) == HTTP_FOUND && hex_parse(id, strlen(id), ret, KEYD_SESSION);
}

bool request_welcome(struct conn *c, const struct http_head *h)
{
	struct kbs_resource resource;
	uint8_t session[KEYD_SESSION];

	switch (kbs_endpoint(h, &resource)) {
	case KBS_AUTH:
		if (h->length > AUTH_MAX)
			return refuse(c, KBS_MALFORMED, "the message is too long");
		if (!front_allows(c->f, &c->peer))
			return refuse(c, KBS_SLOW_DOWN, NULL);
		return true;
	case KBS_ATTEST:
	case KBS_RESOURCE:
		return session_of(h, session) || refuse(c, KBS_NO_SESSION, NULL);
	case KBS_BAD_METHOD:
		return refuse(c, KBS_NO_SUCH_METHOD, NULL);
	default:
		return refuse(c, KBS_NO_PATH, NULL);
	}
}

/* ---- questions ---------------------------------------------------------------------- */

static void send_question(struct conn *c)
{
	if (front_send(c->f))
		conn_wait(c);
	else
		conn_refuse(c, KBS_BUSY, NULL);
}

/* Where the message is wrong, as its parser says it: words about the client's own bytes. */
static void malformed(struct conn *c, enum attest_status s, const struct attest_error *e)
{
	char detail[sizeof(e->where) + sizeof(e->what) + 2];

	snprintf(detail, sizeof(detail), "%s%s%s", e->where, e->where[0] ? ": " : "", e->what);
	if (s == ATTEST_SYSTEM)
		conn_refuse(c, KBS_INTERNAL, NULL);
	else
		conn_refuse(c, KBS_MALFORMED, detail);
}

static void serve_auth(struct conn *c, struct span body)
{
	struct kbs_request request = { .hashes = 0 };
	struct attest_error e = { .what = "" };
	enum attest_status s = kbs_request_parse(body, &request, &e);
	struct keyd_message *m;

	if (s == ATTEST_REFUSED) {
		conn_refuse(c, KBS_WRONG_VERSION, e.what);
		return;
	}
	if (s != ATTEST_OK) {
		malformed(c, s, &e);
		return;
	}
	m = front_ask(c->f, c, KEYD_AUTH);
	if (!m) {
		conn_refuse(c, KBS_BUSY, NULL);
		return;
	}
	_Static_assert(KBS_TEE == KEYD_TEE, "one size of a name");
	memcpy(m->auth.tee, request.tee, sizeof(m->auth.tee));
	m->auth.hash = KBS_SHA384;
	send_question(c);
}

/* The body as the verifier will read it: nobody can change it any more. -1 with errno. */
static int seal_body(struct span body)
{
	int fd = memfd_create("attest", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0)
		return -1;
	for (size_t at = 0; at < body.len;) {
		ssize_t n = write(fd, body.at + at, body.len - at);

		if (n <= 0) {
			close(fd);
			return -1;
		}
		at += (size_t)n;
	}
	if (lseek(fd, 0, SEEK_SET) == 0 &&
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) ==
		    0)
		return fd;
	close(fd);
	return -1;
}

/* The nonce, the key: what the store must know. All else of the body is for the verifier. */
static enum attest_status take_attestation(struct span body, struct keyd_attest *to,
					   struct attest_error *e)
{
	struct kbs_attestation a = { .nonce = NULL };
	struct jwk key;
	size_t n = 0;
	enum attest_status s = kbs_attestation_parse(body, &a, e);

	if (s != ATTEST_OK)
		return s;
	if (a.additional[0])
		s = attest_fail(e, ATTEST_MALFORMED, "tee-evidence.additional_evidence", "",
				"there are no further devices here");
	else if (!base64_decode(a.nonce, strlen(a.nonce), to->nonce, sizeof(to->nonce), &n) ||
		 n != sizeof(to->nonce))
		s = attest_fail(e, ATTEST_MALFORMED, "runtime-data.nonce", "",
				"it is not the challenge's");
	else
		s = jwk_parse(a.tee_pubkey, JWK_TEE, &key, e);
	if (s == ATTEST_OK)
		keyd_key_set(&to->key, &key);
	kbs_attestation_free(&a);
	return s;
}

static void serve_attest(struct conn *c, const struct http_head *h, struct span body)
{
	struct keyd_attest ask = { .nonce = { 0 } };
	struct attest_error e = { .what = "" };
	enum attest_status s = take_attestation(body, &ask, &e);
	struct keyd_message *m;
	int fd;

	if (s != ATTEST_OK) {
		malformed(c, s, &e);
		return;
	}
	fd = seal_body(body);
	m = fd >= 0 && session_of(h, ask.session) ? front_ask(c->f, c, KEYD_ATTEST) : NULL;
	if (!m) {
		if (fd >= 0)
			close(fd);
		conn_refuse(c, KBS_BUSY, NULL);
		return;
	}
	m->attest = ask;
	m->fds[0] = fd;
	m->n_fds = 1;
	send_question(c);
}

static bool take_part(struct span from, char *to, size_t size)
{
	if (from.len >= size)
		return false;
	memcpy(to, from.at, from.len);
	to[from.len] = '\0';
	return true;
}

/* A name that there cannot be is answered as one that there is not. */
static void serve_resource(struct conn *c, const struct http_head *h,
			   const struct kbs_resource *r)
{
	struct keyd_release ask = { .session = { 0 } };
	struct keyd_message *m;

	if (!session_of(h, ask.session)) {
		conn_refuse(c, KBS_NO_SESSION, NULL);
		return;
	}
	if (!take_part(r->repository, ask.name.tenant, sizeof(ask.name.tenant)) ||
	    !take_part(r->type, ask.name.type, sizeof(ask.name.type)) ||
	    !take_part(r->tag, ask.name.tag, sizeof(ask.name.tag)) ||
	    !keyd_name_valid(&ask.name)) {
		conn_refuse(c, KBS_DENIED, NULL);
		return;
	}
	m = front_ask(c->f, c, KEYD_RELEASE);
	if (!m) {
		conn_refuse(c, KBS_BUSY, NULL);
		return;
	}
	m->release = ask;
	send_question(c);
}

void request_serve(struct conn *c, const struct http_head *h, struct span body)
{
	struct kbs_resource resource;

	switch (kbs_endpoint(h, &resource)) {
	case KBS_AUTH:
		serve_auth(c, body);
		break;
	case KBS_ATTEST:
		serve_attest(c, h, body);
		break;
	case KBS_RESOURCE:
		serve_resource(c, h, &resource);
		break;
	default: /* request_welcome has refused it */
		conn_refuse(c, KBS_NO_PATH, NULL);
	}
}

/* ---- answers ------------------------------------------------------------------------ */

static void good(struct conn *c, const char *body, size_t len, const char *cookie)
{
	const struct http_line line = { "Set-Cookie", cookie };

	conn_answer(c, 200, body, len, &line, cookie != NULL);
}

static void answer_challenge(struct conn *c, const struct keyd_challenge *in)
{
	struct kbs_challenge out = { .hash = KBS_SHA384 };
	char id[KBS_SESSION_ID], cookie[KBS_SET_COOKIE];
	char *body = NULL;
	size_t len = 0;

	_Static_assert(BASE64_SIZE(KEYD_NONCE) <= KBS_NONCE, "a nonce fits");
	base64_encode(in->nonce, sizeof(in->nonce), out.nonce);
	hex_print(in->session, sizeof(in->session), id);
	kbs_set_cookie(id, in->seconds, true, cookie);
	if (kbs_challenge_write(&out, &body, &len, NULL) == ATTEST_OK)
		good(c, body, len, cookie);
	else
		conn_refuse(c, KBS_INTERNAL, NULL);
	free(body);
}

static void answer_attested(struct conn *c, const struct keyd_attested *in)
{
	char *body = NULL;
	size_t len = 0;

	if (kbs_token_write(in->token, &body, &len, NULL) == ATTEST_OK)
		good(c, body, len, NULL);
	else
		conn_refuse(c, KBS_INTERNAL, NULL);
	free(body);
}

static const enum kbs_answer answers[KEYD_ANSWERS] = {
	[KEYD_OK] = KBS_INTERNAL,      [KEYD_NO_SESSION] = KBS_NO_SESSION,
	[KEYD_DENIED] = KBS_DENIED,    [KEYD_UNATTESTED] = KBS_NOT_ATTESTED,
	[KEYD_FULL] = KBS_BUSY,        [KEYD_FAILED] = KBS_INTERNAL,
	[KEYD_REFUSED] = KBS_INTERNAL, [KEYD_MALFORMED] = KBS_INTERNAL,
};

void request_answer(struct conn *c, const struct keyd_message *m)
{
	switch (m->type) {
	case KEYD_CHALLENGE:
		answer_challenge(c, &m->challenge);
		break;
	case KEYD_ATTESTED:
		answer_attested(c, &m->attested);
		break;
	case KEYD_SEALED:
		good(c, m->sealed.jwe, strlen(m->sealed.jwe), NULL);
		break;
	case KEYD_NO:
		conn_refuse(c, answers[m->no.answer], NULL);
		break;
	default:
		conn_refuse(c, KBS_INTERNAL, NULL);
	}
}
