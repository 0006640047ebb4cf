/* runtime/agent_tls.c - OpenSSL on a descriptor, with one pinned certificate. */
#include "runtime/agent_tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "runtime/deadline.h"

#define SUITES "TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
#define SECURITY_LEVEL 2 /* 112 bits: RSA from 2048, no SHA-1 */
#define CHAIN_DEPTH 5    /* issuers between the server and the pinned certificate */

/* Why there was no more; OpenSSL itself only knows that there was not. */
enum stream_state { STREAM_OPEN = 0, STREAM_ENDED, STREAM_LATE, STREAM_BROKEN };

struct agent_tls {
	const struct agent_service *to;
	int fd;
	int64_t deadline;
	enum stream_state state;
	int stream_errno;
	bool not_pinned; /* the server did not send the pinned certificate */
	BIO_METHOD *method;
	SSL_CTX *ctx;
	SSL *ssl;
};

/* ---- the stream ------------------------------------------------------------------ */

static int stream_failed(struct agent_tls *t)
{
	t->stream_errno = errno;
	t->state = errno == ETIME ? STREAM_LATE : STREAM_BROKEN;
	return -1;
}

static bool would_block(void)
{
	return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
}

/* These block, until the deadline: OpenSSL sees a stream that never says "try again". */
static int stream_read(BIO *b, char *buf, int len)
{
	struct agent_tls *t = BIO_get_data(b);
	ssize_t n;

	do {
		if (!deadline_wait(t->fd, POLLIN, t->deadline))
			return stream_failed(t);
		n = recv(t->fd, buf, (size_t)len, MSG_DONTWAIT);
	} while (n < 0 && would_block());
	if (n < 0)
		return stream_failed(t);
	if (n == 0)
		t->state = STREAM_ENDED;
	return (int)n;
}

static int stream_write(BIO *b, const char *buf, int len)
{
	struct agent_tls *t = BIO_get_data(b);
	ssize_t n;

	do {
		if (!deadline_wait(t->fd, POLLOUT, t->deadline))
			return stream_failed(t);
		n = send(t->fd, buf, (size_t)len, MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (n < 0 && would_block());
	return n < 0 ? stream_failed(t) : (int)n;
}

static long stream_ctrl(BIO *b, int what, long number, void *pointer)
{
	(void)b;
	(void)number;
	(void)pointer;
	return what == BIO_CTRL_FLUSH; /* nothing is kept back */
}

static BIO *stream_bio(struct agent_tls *t)
{
	BIO *b;

	t->method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "stream");
	if (!t->method || !BIO_meth_set_read(t->method, stream_read) ||
	    !BIO_meth_set_write(t->method, stream_write) ||
	    !BIO_meth_set_ctrl(t->method, stream_ctrl))
		return NULL;
	b = BIO_new(t->method);
	if (b) {
		BIO_set_data(b, t);
		BIO_set_init(b, 1);
	}
	return b;
}

/* ---- errors ---------------------------------------------------------------------- */

static enum runtime_status no_libssl(struct runtime_error *e)
{
	return runtime_fail(e, RUNTIME_SYSTEM, "TLS", "is there memory left for the session?",
			    "libssl could not be set up");
}

/* What went wrong, as exactly as it is known. Leaves OpenSSL's queue of errors empty. */
static enum runtime_status failed(struct agent_tls *t, const char *doing,
				  struct runtime_error *e)
{
	long verify = SSL_get_verify_result(t->ssl);
	const char *reason = ERR_reason_error_string(ERR_peek_last_error());
	const char *where = t->to->authority;
	enum runtime_status s;

	if (t->state == STREAM_LATE)
		s = runtime_fail(e, RUNTIME_SYSTEM, where, "is it up, and reachable?",
				 "%s took too long", doing);
	else if (t->not_pinned)
		s = runtime_fail(e, RUNTIME_REFUSED, where,
				 "somebody else answers, or its chain lacks the certificate: "
				 "compare `service_ca` in the policy",
				 "it did not send the certificate that service_ca names");
	else if (verify != X509_V_OK)
		s = runtime_fail(
			e, RUNTIME_REFUSED, where,
			"its certificate must be valid now, name the host, and lead to "
			"service_ca",
			"its certificate does not hold: %s",
			X509_verify_cert_error_string(verify));
	else if (t->state == STREAM_ENDED)
		s = runtime_fail(e, RUNTIME_SYSTEM, where,
				 "is a TLS 1.3 service listening there?",
				 "the connection ended during %s", doing);
	else if (t->state == STREAM_BROKEN)
		s = runtime_fail(e, RUNTIME_SYSTEM, where, "",
				 "the connection broke during %s: %s", doing,
				 strerror(t->stream_errno));
	else
		s = runtime_fail(e, RUNTIME_REFUSED, where,
				 "it must speak TLS 1.3 with AES-256-GCM or ChaCha20-Poly1305",
				 "TLS failed during %s: %s", doing,
				 reason ? reason : "libssl does not say why");
	ERR_clear_error();
	return s;
}

/* ---- the pinned certificate ------------------------------------------------------ */

static bool is_pinned(const X509 *x, const uint8_t ca[static SERVICE_CA])
{
	uint8_t digest[EVP_MAX_MD_SIZE];
	unsigned n = 0;

	return x && X509_digest(x, EVP_sha256(), digest, &n) == 1 && n == SERVICE_CA &&
	       memcmp(digest, ca, SERVICE_CA) == 0;
}

/* Among what the server sent, its own first. Borrowed. */
static X509 *find_pinned(X509_STORE_CTX *c, const uint8_t ca[static SERVICE_CA])
{
	STACK_OF(X509) *sent = X509_STORE_CTX_get0_untrusted(c);

	if (is_pinned(X509_STORE_CTX_get0_cert(c), ca))
		return X509_STORE_CTX_get0_cert(c);
	for (int i = 0; i < sk_X509_num(sent); i++)
		if (is_pinned(sk_X509_value(sent, i), ca))
			return sk_X509_value(sent, i);
	return NULL;
}

static bool ends_in_pinned(X509_STORE_CTX *c, const uint8_t ca[static SERVICE_CA])
{
	STACK_OF(X509) *chain = X509_STORE_CTX_get0_chain(c);

	return is_pinned(sk_X509_value(chain, sk_X509_num(chain) - 1), ca);
}

/* In place of X509_verify_cert: the same, but with the pinned certificate for its only root
 * (X509_V_FLAG_PARTIAL_CHAIN lets that be one which is not self-signed). */
static int verify(X509_STORE_CTX *c, void *arg)
{
	struct agent_tls *t = arg;
	X509 *pinned = find_pinned(c, t->to->ca);
	STACK_OF(X509) *roots = sk_X509_new_null();
	int ok = 0;

	t->not_pinned = pinned == NULL;
	if (!pinned || !roots || sk_X509_push(roots, pinned) < 1) {
		X509_STORE_CTX_set_error(c, X509_V_ERR_CERT_UNTRUSTED);
	} else {
		X509_STORE_CTX_set0_trusted_stack(c, roots);
		ok = X509_verify_cert(c) == 1 && ends_in_pinned(c, t->to->ca);
		if (!ok && X509_STORE_CTX_get_error(c) == X509_V_OK)
			X509_STORE_CTX_set_error(c, X509_V_ERR_CERT_UNTRUSTED);
		X509_STORE_CTX_set0_trusted_stack(c, NULL);
	}
	sk_X509_free(roots);
	return ok;
}

/* ---- setting up ------------------------------------------------------------------ */

static bool set_rules(struct agent_tls *t)
{
	t->ctx = SSL_CTX_new(TLS_client_method());
	if (!t->ctx || !SSL_CTX_set_min_proto_version(t->ctx, TLS1_3_VERSION) ||
	    !SSL_CTX_set_max_proto_version(t->ctx, TLS1_3_VERSION) ||
	    !SSL_CTX_set_ciphersuites(t->ctx, SUITES))
		return false;
	SSL_CTX_set_security_level(t->ctx, SECURITY_LEVEL);
	SSL_CTX_set_session_cache_mode(t->ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_options(t->ctx, SSL_OP_NO_TICKET);
	SSL_CTX_set_verify(t->ctx, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_cert_verify_callback(t->ctx, verify, t);
	return true;
}

/* RFC 6066, section 3: an address is no server name. */
static bool set_name(struct agent_tls *t)
{
	X509_VERIFY_PARAM *p = SSL_get0_param(t->ssl);
	char host[sizeof(t->to->host)]; /* OpenSSL copies it, but does not take it const */

	X509_VERIFY_PARAM_set_depth(p, CHAIN_DEPTH);
	X509_VERIFY_PARAM_set_hostflags(p, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT |
						   X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	if (!X509_VERIFY_PARAM_set_flags(p, X509_V_FLAG_PARTIAL_CHAIN))
		return false;
	if (t->to->is_address)
		return X509_VERIFY_PARAM_set1_ip_asc(p, t->to->host);
	memcpy(host, t->to->host, sizeof(host));
	return X509_VERIFY_PARAM_set1_host(p, host, 0) &&
	       SSL_set_tlsext_host_name(t->ssl, host);
}

static bool set_up(struct agent_tls *t)
{
	BIO *b;

	if (!set_rules(t))
		return false;
	t->ssl = SSL_new(t->ctx);
	b = t->ssl ? stream_bio(t) : NULL;
	if (!b)
		return false;
	SSL_set_bio(t->ssl, b, b);
	return set_name(t);
}

enum runtime_status agent_tls_connect(int stream, const struct agent_service *to,
				      int64_t deadline, struct agent_tls **ret,
				      struct runtime_error *reterr)
{
	struct agent_tls *t = calloc(1, sizeof(*t));
	enum runtime_status s;

	if (!t)
		return no_libssl(reterr);
	t->to = to;
	t->fd = stream;
	t->deadline = deadline;
	ERR_clear_error();
	if (!set_up(t)) {
		ERR_clear_error();
		s = no_libssl(reterr);
	} else {
		s = SSL_connect(t->ssl) == 1 ? RUNTIME_OK
					     : failed(t, "the TLS handshake", reterr);
	}
	if (s == RUNTIME_OK)
		*ret = t;
	else
		agent_tls_free(t);
	return s;
}

void agent_tls_free(struct agent_tls *t)
{
	if (!t)
		return;
	SSL_free(t->ssl);
	SSL_CTX_free(t->ctx);
	BIO_meth_free(t->method);
	free(t);
}

/* ---- bytes ----------------------------------------------------------------------- */

enum runtime_status agent_tls_write(struct agent_tls *t, const void *bytes, size_t len,
				    struct runtime_error *reterr)
{
	size_t n = 0;

	if (len == 0)
		return RUNTIME_OK;
	ERR_clear_error();
	return SSL_write_ex(t->ssl, bytes, len, &n) == 1 ? RUNTIME_OK
							 : failed(t, "sending", reterr);
}

enum runtime_status agent_tls_read(struct agent_tls *t, void *buf, size_t size, size_t *ret_len,
				   struct runtime_error *reterr)
{
	ERR_clear_error();
	if (SSL_read_ex(t->ssl, buf, size, ret_len) == 1)
		return RUNTIME_OK;
	if (SSL_get_error(t->ssl, 0) == SSL_ERROR_ZERO_RETURN)
		t->state = STREAM_ENDED;
	return failed(t, "its answer", reterr);
}
