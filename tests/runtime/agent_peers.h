/*
 * tests/runtime/agent_peers.h - the two that an agent talks to, as threads of a test: a key
 * service on one end of a stream (OpenSSL, and the server's half of attest/kbs.h), and a
 * keeper on one end of a SOCK_SEQPACKET pair. Each can be told to do one thing wrong.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <jansson.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "attest/base64.h"
#include "attest/hex.h"
#include "attest/jwe.h"
#include "attest/jwk.h"
#include "attest/kbs.h"
#include "attest/sandbox_token.h"
#include "runtime/agent_obtain.h"
#include "runtime/deadline.h"

/* ---- certificates ---------------------------------------------------------------- */

#define DAY (24L * 60 * 60)

struct identity {
	EVP_PKEY *key;
	X509 *certificate;
};

static inline void extend(X509 *x, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX c;
	X509_EXTENSION *e;

	X509V3_set_ctx(&c, issuer, x, NULL, NULL, 0);
	e = X509V3_EXT_conf_nid(NULL, &c, nid, value);
	assert_non_null(e);
	assert_int_equal(X509_add_ext(x, e, -1), 1);
	X509_EXTENSION_free(e);
}

/* Without an issuer it signs itself. `names` is a subjectAltName, or NULL for an issuer. */
static inline struct identity certify(const char *name, const struct identity *issuer,
				      const char *names, long from, long until)
{
	struct identity new = { EVP_EC_gen("P-256"), X509_new() };
	static long serial = 1;
	X509_NAME *subject;

	assert_non_null(new.key);
	if (!issuer)
		issuer = &new;
	X509_set_version(new.certificate, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(new.certificate), serial++);
	X509_gmtime_adj(X509_getm_notBefore(new.certificate), from);
	X509_gmtime_adj(X509_getm_notAfter(new.certificate), until);
	subject = X509_get_subject_name(new.certificate);
	X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const uint8_t *)name, -1, -1,
				   0);
	X509_set_issuer_name(new.certificate, X509_get_subject_name(issuer->certificate));
	X509_set_pubkey(new.certificate, new.key);
	if (names)
		extend(new.certificate, issuer->certificate, NID_subject_alt_name, names);
	else
		extend(new.certificate, issuer->certificate, NID_basic_constraints,
		       "critical,CA:TRUE");
	assert_true(X509_sign(new.certificate, issuer->key, EVP_sha256()) > 0);
	return new;
}

static inline void identity_free(struct identity *i)
{
	EVP_PKEY_free(i->key);
	X509_free(i->certificate);
}

/* ---- one run --------------------------------------------------------------------- */

#define SERVICE "https://keys.internal:8443/prefix"
#define RESOURCE "kbs:///acme/volume/data-key"
#define SECRETS 8

enum twist {
	AS_IT_SHOULD = 0,
	/* of the service, at `at` */
	STATUS,    /* answers `status` */
	SILENCE,   /* never answers */
	CUT,       /* ends after `cut` bytes of its answer */
	GARBAGE,   /* no HTTP */
	OVERSIZED, /* a body larger than any */
	TRAILING,  /* bytes behind its answer */
	NO_COOKIE,
	NOT_JSON,
	WRONG_TAG, /* the sealed secret was changed on the way */
	HUGE,      /* a secret larger than a session takes */
	/* of the keeper */
	OTHER_REPORT_DATA,
	OTHER_DESCRIPTOR,
	UNSEALED,
	TOO_LARGE,
	EMPTY,
	NO_TOKEN, /* no JWS at all */
	WRONG_TURN,
	LEAVES,
};

struct run {
	/* how it is to be */
	const struct identity *server; /* and what it sends along */
	X509 *chain[3];
	X509 *pinned;
	const char *service; /* SERVICE */
	int tls_max;         /* 0: 1.3 */
	const char *suites;
	enum kbs_hash hash;
	enum twist twist;
	enum kbs_endpoint at;
	unsigned status;
	size_t cut;
	const char *secret; /* of the first key; the others' end in their number */
	size_t n_keys;      /* 0: 1 */
	int program;        /* 0: some file */

	/* what became of it */
	struct runtime_error error;
	struct agent_message last; /* the agent's last word to its keeper */
	bool ready;
	bool good_evidence; /* the service saw evidence for what it had asked */
	bool sni;           /* and was called by its name */
	size_t answered;    /* bytes of the answer at `at` */
	bool ended;         /* the service has cut it off */
	int files[AGENT_KEYS];
	uint8_t logged[SECRETS][64]; /* secrets of the connection */
	size_t logged_len[SECRETS], n_logged;

	/* between the threads */
	pthread_t service_thread, keeper_thread;
	int service_end, keeper_end, stream_end;
	char descriptor[DESCRIPTOR_MAX], jwk[JWK_TEXT];
	size_t descriptor_len;
	struct kbs_challenge challenge;
	uint8_t asked[AGENT_REPORT_DATA]; /* of the keeper by the agent */
	EVP_PKEY *to;
};

/* ---- the key service ------------------------------------------------------------- */

#define COOKIE "00112233445566778899aabbccddeeff"

static inline bool here(const struct run *r, enum twist t, enum kbs_endpoint at)
{
	return r->twist == t && r->at == at;
}

static inline void answer(struct run *r, SSL *ssl, enum kbs_endpoint at, unsigned status,
			  const char *body, size_t len)
{
	char cookie[KBS_SET_COOKIE], *whole = malloc(len + 4096);
	const struct http_line line = { "Set-Cookie", cookie };
	struct http_answer a = { .status = status,
				 .type = "application/json",
				 .length = len,
				 .lines = &line,
				 .n_lines = !here(r, NO_COOKIE, at) };
	size_t n = 0, sent = 0;

	kbs_set_cookie(COOKIE, 300, true, cookie);
	if (!whole || !http_write_answer(&a, whole, 4096, &n))
		abort();
	memcpy(whole + n, body, len);
	n += len;
	if (r->at == at)
		r->answered = n;
	if (here(r, TRAILING, at))
		whole[n++] = 'H';
	if (here(r, GARBAGE, at))
		memset(whole, 'x', 64);
	if (here(r, CUT, at)) {
		n = r->cut;
		r->ended = true;
	}
	if (n > 0)
		(void)SSL_write_ex(ssl, whole, n, &sent);
	free(whole);
}

static inline void answer_error(struct run *r, SSL *ssl, enum kbs_endpoint at)
{
	enum kbs_answer kind = r->status == 401   ? KBS_NO_SESSION
			       : r->status == 403 ? KBS_DENIED
						  : KBS_INTERNAL;
	char body[KBS_ERROR_BODY];
	size_t n;

	kbs_error_write(kind, NULL, body, &n);
	answer(r, ssl, at, r->status, body, n);
}

static inline char *challenge_text(struct run *r, size_t *ret_len)
{
	char *text = NULL;

	r->challenge.hash = r->hash;
	strcpy(r->challenge.nonce, "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=");
	if (kbs_challenge_write(&r->challenge, &text, ret_len, NULL) != ATTEST_OK)
		abort();
	return text;
}

/* Is it for this key and nonce, with what the keeper was asked for? */
static inline bool judge(struct run *r, struct span body)
{
	uint8_t want[KBS_BINDING];
	struct kbs_attestation a;
	struct jwk jwk;
	size_t n;
	bool good;

	if (kbs_attestation_parse(body, &a, NULL) != ATTEST_OK)
		return false;
	good = jwk_parse(a.tee_pubkey, JWK_TEE, &jwk, NULL) == ATTEST_OK &&
	       jwk_key(&jwk, &r->to, NULL) == ATTEST_OK &&
	       jwk_print(&jwk, JWK_TEE, r->jwk, &n) &&
	       kbs_binding(r->hash, r->challenge.nonce, r->jwk, "", want, NULL) == ATTEST_OK &&
	       memcmp(want, r->asked, sizeof(want)) == 0 &&
	       strcmp(a.nonce, r->challenge.nonce) == 0 && a.init_data &&
	       strcmp(a.init_data, r->descriptor) == 0 &&
	       json_is_string(json_object_get(a.primary, "token"));
	kbs_attestation_free(&a);
	return good;
}

static inline char *sealed_text(struct run *r, struct span tag, size_t *ret_len)
{
	static const char big[AGENT_SECRET_MAX + 1];
	char secret[256], *text = NULL, *at;
	int n = snprintf(secret, sizeof(secret), "%s", r->secret);

	if (tag.at[tag.len - 1] >= '0' && tag.at[tag.len - 1] <= '9')
		n = snprintf(secret, sizeof(secret), "%s%c", r->secret, tag.at[tag.len - 1]);
	if (jwe_seal(r->to, r->twist == HUGE ? big : secret,
		     r->twist == HUGE ? sizeof(big) : (size_t)n, &text, ret_len,
		     NULL) != ATTEST_OK)
		abort();
	explicit_bzero(secret, sizeof(secret));
	if (r->twist == WRONG_TAG) {
		at = strstr(text, "\"tag\":\"") + strlen("\"tag\":\"");
		*at = *at == 'A' ? 'B' : 'A';
	}
	return text;
}

static inline void serve_one(struct run *r, SSL *ssl, const struct http_reader *request)
{
	struct kbs_resource what = { .tag = { "x", 1 } };
	struct http_head h = *http_read_head(request);
	char *text = NULL, id[KBS_SESSION_ID];
	enum kbs_endpoint e;
	size_t n = 0;

	if (!span_skip(&h.path, "/prefix"))
		abort();
	e = kbs_endpoint(&h, &what);
	if (here(r, STATUS, e)) {
		answer_error(r, ssl, e);
		return;
	}
	if (e == KBS_AUTH) {
		text = challenge_text(r, &n);
	} else if (kbs_session(&h, id) != HTTP_FOUND || strcmp(id, COOKIE) != 0) {
		abort();
	} else if (e == KBS_ATTEST) {
		r->good_evidence = judge(r, http_read_body(request));
		if (kbs_token_write("e30.e30.AA", &text, &n, NULL) != ATTEST_OK)
			abort();
	} else {
		text = sealed_text(r, what.tag, &n);
	}
	if (here(r, NOT_JSON, e))
		memset(text, 'x', n);
	if (here(r, OVERSIZED, e)) {
		free(text);
		n = 1u << 20;
		text = calloc(1, n);
		if (!text)
			abort();
	}
	answer(r, ssl, e, 200, text, n);
	free(text);
}

/* False: the connection is over. */
static inline bool serve_next(struct run *r, SSL *ssl)
{
	const struct http_limits limits = {
		.head = HTTP_GUEST_HEAD, .target = 2048, .fields = 32, .body = KBS_BODY_MAX
	};
	struct http_reader *request = http_reader_new(HTTP_REQUESTS, &limits);
	enum http_progress now = HTTP_MORE;
	char c[4096];
	size_t n, used;

	while (now == HTTP_MORE && SSL_read_ex(ssl, c, sizeof(c), &n) == 1)
		now = http_feed(request, c, n, &used);
	if (now == HTTP_DONE && r->twist != SILENCE)
		serve_one(r, ssl, request);
	http_reader_free(request);
	return now == HTTP_DONE && !r->ended;
}

static struct run *logged_run;

static inline void log_secret(const SSL *ssl, const char *line)
{
	const char *hex = strrchr(line, ' ') + 1;
	struct run *r = logged_run;
	size_t n = strlen(hex) / 2;

	(void)ssl;
	if (r && r->n_logged < SECRETS && n <= sizeof(r->logged[0]) &&
	    hex_parse(hex, 2 * n, r->logged[r->n_logged], n))
		r->logged_len[r->n_logged++] = n;
}

static inline void *service_main(void *arg)
{
	struct run *r = arg;
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	SSL *ssl;

	if (r->tls_max)
		SSL_CTX_set_max_proto_version(ctx, r->tls_max);
	if (r->suites)
		SSL_CTX_set_ciphersuites(ctx, r->suites);
	SSL_CTX_use_certificate(ctx, r->server->certificate);
	SSL_CTX_use_PrivateKey(ctx, r->server->key);
	for (size_t i = 0; i < 3 && r->chain[i]; i++)
		SSL_CTX_add1_chain_cert(ctx, r->chain[i]);
	SSL_CTX_set_mode(ctx, SSL_MODE_NO_AUTO_CHAIN);
	logged_run = r;
	SSL_CTX_set_keylog_callback(ctx, log_secret);
	ssl = SSL_new(ctx);
	SSL_set_fd(ssl, r->service_end);
	if (!here(r, SILENCE, KBS_NO_ENDPOINT) && SSL_accept(ssl) == 1) {
		const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);

		r->sni = name && strcmp(name, "keys.internal") == 0;
		while (serve_next(r, ssl))
			;
		if (r->twist == CUT)
			SSL_shutdown(ssl);
	}
	if (r->twist == SILENCE) { /* until the other side has had enough */
		char c;

		while (read(r->service_end, &c, 1) > 0)
			;
	}
	shutdown(r->service_end, SHUT_RDWR);
	SSL_free(ssl);
	SSL_CTX_free(ctx);
	ERR_clear_error();
	return NULL;
}

/* ---- the keeper ------------------------------------------------------------------ */

static inline void make_token(const struct run *r, char *ret, size_t size)
{
	struct sandbox_facts f = { .coverage = SANDBOX_BINARY,
				   .host_id = "host",
				   .kernel_release = "6.1",
				   .boot_id = "00000000-0000-0000-0000-000000000000",
				   .key_custody = "file",
				   .issued = 1 };
	char payload[SANDBOX_PAYLOAD_MAX], text[BASE64URL_SIZE(SANDBOX_PAYLOAD_MAX)];
	uint8_t digest[DESCRIPTOR_DIGEST_MAX];
	size_t n = 0;

	if (descriptor_digest(DESCRIPTOR_SHA256, r->descriptor, r->descriptor_len, digest,
			      NULL) != ATTEST_OK)
		abort();
	memcpy(f.descriptor, digest, sizeof(f.descriptor));
	memcpy(f.report_data, r->asked, sizeof(f.report_data));
	f.descriptor[0] ^= r->twist == OTHER_DESCRIPTOR;
	f.report_data[63] ^= r->twist == OTHER_REPORT_DATA;
	if (sandbox_facts_print(&f, payload, &n, NULL) != ATTEST_OK)
		abort();
	base64url_encode(payload, n, text);
	snprintf(ret, size, r->twist == NO_TOKEN ? "%s" : "e30.%s.AA", text);
}

static inline int token_file(const struct run *r)
{
	int fd = memfd_create("token", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	char text[BASE64URL_SIZE(SANDBOX_PAYLOAD_MAX) + 16];

	make_token(r, text, sizeof(text));
	if (r->twist == EMPTY)
		text[0] = '\0';
	if (write(fd, text, strlen(text)) != (ssize_t)strlen(text) ||
	    (r->twist == TOO_LARGE && ftruncate(fd, AGENT_TOKEN_MAX + 1) < 0))
		abort();
	if (fcntl(fd, F_ADD_SEALS,
		  F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL |
			  (r->twist == UNSEALED ? 0 : F_SEAL_WRITE)) < 0)
		abort();
	return fd;
}

static inline void give_token(struct run *r)
{
	struct agent_message m = { .kind = AGENT_TOKEN };
	int fd;

	memcpy(r->asked, r->last.report_data, sizeof(r->asked));
	fd = token_file(r);
	if (r->twist == WRONG_TURN)
		m.kind = AGENT_READY;
	(void)agent_send(r->keeper_end, &m, &fd, m.kind == AGENT_TOKEN);
	close(fd);
}

static inline void send_job(struct run *r)
{
	static struct agent_message m;
	int fds[AGENT_FDS];
	size_t n = 0, n_keys = r->n_keys ? r->n_keys : 1;

	memset(&m, 0, sizeof(m));
	m.kind = AGENT_JOB;
	memcpy(m.job.descriptor, r->descriptor, r->descriptor_len);
	m.job.descriptor_len = (uint32_t)r->descriptor_len;
	m.job.n_keys = (uint32_t)n_keys;
	fds[n++] = r->stream_end;
	fds[n++] = r->program;
	for (size_t i = 0; i < n_keys; i++) {
		snprintf(m.job.resources[i], AGENT_RESOURCE, i ? RESOURCE "%zu" : RESOURCE, i);
		fds[n++] = r->files[i];
	}
	if (!agent_send(r->keeper_end, &m, fds, n))
		abort();
}

static inline void *keeper_main(void *arg)
{
	struct run *r = arg;
	int fds[AGENT_FDS];
	size_t n;

	send_job(r);
	close(r->stream_end);
	while (agent_receive(r->keeper_end, &r->last, fds, &n)) {
		if (r->last.kind == AGENT_READY)
			r->ready = true;
		if (r->last.kind == AGENT_TOKEN_WANTED && r->twist != LEAVES)
			give_token(r);
		if (r->last.kind != AGENT_TOKEN_WANTED || r->twist == LEAVES)
			break;
	}
	shutdown(r->keeper_end, SHUT_RDWR);
	return NULL;
}

/* ---- together -------------------------------------------------------------------- */

static inline void describe(struct run *r)
{
	struct descriptor d = { .hash = DESCRIPTOR_SHA256, .tenant = "acme" };
	char hex[HEX_SIZE(32)];
	uint8_t ca[32];
	unsigned n;

	snprintf(d.service, sizeof(d.service), "%s", r->service ? r->service : SERVICE);
	assert_int_equal(X509_digest(r->pinned, EVP_sha256(), ca, &n), 1);
	hex_print(ca, sizeof(ca), hex);
	snprintf(d.service_ca, sizeof(d.service_ca), "sha256:%s", hex);
	assert_int_equal(descriptor_print(&d, r->descriptor, &r->descriptor_len, NULL),
			 ATTEST_OK);
}

/* Both threads; the agent's end of the keeper's socket comes back. */
static inline int peers_start(struct run *r)
{
	int stream[2], sock[2];

	describe(r);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, stream), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sock), 0);
	r->service_end = stream[0];
	r->stream_end = stream[1];
	r->keeper_end = sock[0];
	if (!r->program)
		r->program = memfd_create("program", MFD_CLOEXEC);
	for (size_t i = 0; i < AGENT_KEYS; i++)
		r->files[i] = memfd_create("key", MFD_CLOEXEC);
	assert_int_equal(pthread_create(&r->service_thread, NULL, service_main, r), 0);
	assert_int_equal(pthread_create(&r->keeper_thread, NULL, keeper_main, r), 0);
	return sock[1];
}

static inline void peers_join(struct run *r)
{
	assert_int_equal(pthread_join(r->keeper_thread, NULL), 0);
	assert_int_equal(pthread_join(r->service_thread, NULL), 0);
	EVP_PKEY_free(r->to);
	r->to = NULL;
	close(r->service_end);
	close(r->keeper_end);
	close(r->program);
}

static inline void run_end(struct run *r)
{
	for (size_t i = 0; i < AGENT_KEYS; i++)
		close(r->files[i]);
}

static inline void assert_key(const struct run *r, size_t i, const char *want)
{
	char text[256];
	ssize_t n = pread(r->files[i], text, sizeof(text), 0);

	assert_int_equal(n, (ssize_t)strlen(want));
	assert_memory_equal(text, want, (size_t)n);
}
