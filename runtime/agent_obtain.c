/* runtime/agent_obtain.c - from a job to keys in their files. */
#include "runtime/agent_obtain.h"

#include <errno.h>
#include <jansson.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "attest/jwe.h"
#include "attest/jwk.h"
#include "memscrub/guard.h"
#include "runtime/agent_kbs.h"
#include "runtime/agent_token.h"
#include "runtime/deadline.h"

#define TEE "cordon-sandbox"

enum job_fd { FD_STREAM, FD_PROGRAM, FD_KEYS }; /* runtime/agent.h's order */

struct obtain {
	int sock;
	int64_t deadline;
	struct agent_message m; /* the job, once it came */
	int fds[AGENT_FDS];
	size_t n_fds;
	struct agent_service service;
	EVP_PKEY *pair;     /* what keys are sealed to; it ends with agent_obtain */
	char jwk[JWK_TEXT]; /* its public half */
	struct agent_kbs kbs;
};

/* ---- the keeper ------------------------------------------------------------------ */

static void close_all(int *fds, size_t *n)
{
	while (*n > 0)
		closep(&fds[--*n]);
}

static enum runtime_status no_word(struct runtime_error *e, const char *why)
{
	return runtime_fail(e, RUNTIME_SYSTEM, "keeper",
			    "keeper and agent must be of one version of cordon",
			    "its next message did not come: %s", why);
}

/* The next message, which is of this kind. */
static enum runtime_status expect(const struct obtain *o, enum agent_kind kind,
				  struct agent_message *ret, int ret_fds[static AGENT_FDS],
				  size_t *ret_n, struct runtime_error *e)
{
	if (!deadline_wait(o->sock, POLLIN, o->deadline))
		return no_word(e, strerror(errno));
	if (!agent_receive(o->sock, ret, ret_fds, ret_n))
		return no_word(e, errno ? strerror(errno) : "it is gone, or sent none");
	if (ret->kind != kind) {
		close_all(ret_fds, ret_n);
		return no_word(e, "it sent another");
	}
	return RUNTIME_OK;
}

static enum runtime_status take_job(struct obtain *o, struct runtime_error *e)
{
	struct descriptor d;
	struct attest_error why = { .what = "" };
	enum runtime_status s = expect(o, AGENT_JOB, &o->m, o->fds, &o->n_fds, e);
	enum attest_status parsed;

	if (s != RUNTIME_OK)
		return s;
	parsed = descriptor_parse(o->m.job.descriptor, o->m.job.descriptor_len, &d, &why);
	if (parsed != ATTEST_OK)
		return agent_attest_failed(parsed, "job", &why, e);
	/* A sandbox's evidence carries no other digest than this. */
	if (d.hash != DESCRIPTOR_SHA256 ||
	    !agent_service_parse(d.service, d.service_ca, &o->service))
		return runtime_fail(e, RUNTIME_REFUSED, "job", "",
				    "the descriptor names no key service for a sandbox");
	return RUNTIME_OK;
}

/* ---- the key pair ---------------------------------------------------------------- */

static enum runtime_status make_pair(struct obtain *o, struct runtime_error *e)
{
	struct attest_error why = { .what = "libcrypto could not make it" };
	enum attest_status s = ATTEST_SYSTEM;
	struct jwk jwk;
	size_t n;

	o->pair = EVP_EC_gen("P-256");
	if (o->pair)
		s = jwk_of(o->pair, &jwk, &why);
	if (s == ATTEST_OK && !jwk_print(&jwk, JWK_TEE, o->jwk, &n))
		s = ATTEST_SYSTEM;
	return s == ATTEST_OK ? RUNTIME_OK : agent_attest_failed(s, "ephemeral key", &why, e);
}

/* ---- evidence -------------------------------------------------------------------- */

/* From the keeper, and of this session. */
static enum runtime_status get_token(const struct obtain *o,
				     const uint8_t report_data[static AGENT_REPORT_DATA],
				     char **ret, struct runtime_error *e)
{
	struct agent_message m = { .kind = AGENT_TOKEN_WANTED };
	int fds[AGENT_FDS];
	size_t n_fds = 0, len;
	enum runtime_status s;

	memcpy(m.report_data, report_data, sizeof(m.report_data));
	if (!agent_send(o->sock, &m, NULL, 0))
		return runtime_fail(e, RUNTIME_SYSTEM, "keeper", "",
				    "cannot ask it for evidence: %s", strerror(errno));
	s = expect(o, AGENT_TOKEN, &m, fds, &n_fds, e);
	if (s != RUNTIME_OK)
		return s;
	s = agent_token_take(fds[0], ret, &len, e);
	close_all(fds, &n_fds);
	return s == RUNTIME_OK ? agent_token_check(*ret, len, &o->m.job, report_data, e) : s;
}

static enum runtime_status send_evidence(struct obtain *o, const char *nonce, const char *token,
					 struct runtime_error *e)
{
	struct kbs_attestation a = { .nonce = nonce,
				     .tee_pubkey = json_loads(o->jwk, 0, NULL),
				     .primary = json_pack("{s:s}", "token", token),
				     .additional = "",
				     .init_data = o->m.job.descriptor };
	enum runtime_status s;

	if (a.tee_pubkey && a.primary)
		s = agent_kbs_attest(&o->kbs, &a, e);
	else
		s = runtime_fail(e, RUNTIME_SYSTEM, "evidence", "", "no memory");
	json_decref(a.tee_pubkey);
	json_decref(a.primary);
	return s;
}

static enum runtime_status attest(struct obtain *o, struct runtime_error *e)
{
	AUTO(freep) char *token = NULL;
	uint8_t report_data[AGENT_REPORT_DATA];
	struct attest_error why = { .what = "" };
	struct kbs_challenge challenge;
	enum attest_status bound;
	enum runtime_status s = agent_kbs_auth(&o->kbs, TEE, &challenge, e);

	if (s != RUNTIME_OK)
		return s;
	bound = kbs_binding(challenge.hash, challenge.nonce, o->jwk, "", report_data, &why);
	if (bound != ATTEST_OK)
		return agent_attest_failed(bound, "evidence", &why, e);
	s = get_token(o, report_data, &token, e);
	return s == RUNTIME_OK ? send_evidence(o, challenge.nonce, token, e) : s;
}

/* ---- keys ------------------------------------------------------------------------ */

static bool write_all(int fd, const char *from, size_t len)
{
	for (size_t at = 0; at < len;) {
		ssize_t n = pwrite(fd, from + at, len - at, (off_t)at);

		if (n <= 0)
			return false;
		at += (size_t)n;
	}
	return true;
}

enum runtime_status agent_put_key(int fd, const char *name, const void *secret, size_t len,
				  struct runtime_error *reterr)
{
	struct stat st;

	if (len < 1 || len > AGENT_SECRET_MAX)
		return runtime_fail(reterr, RUNTIME_REFUSED, name, "a session takes keys only",
				    "the key is empty or longer than %u bytes",
				    AGENT_SECRET_MAX);
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size != 0)
		return runtime_fail(reterr, RUNTIME_SYSTEM, name, "",
				    "the file for the key is not new and empty");
	errno = 0;
	if (!write_all(fd, secret, len) || fstat(fd, &st) < 0 || st.st_size != (off_t)len)
		return runtime_fail(reterr, RUNTIME_SYSTEM, name,
				    "is the session's memory for keys full?",
				    "the key cannot be written whole: %s", strerror(errno));
	return RUNTIME_OK;
}

static enum runtime_status get_key(struct obtain *o, size_t i, struct runtime_error *e)
{
	AUTO(http_reader_freep) struct http_reader *r = NULL;
	AUTO(guard_freep) void *secret = NULL;
	const char *name = o->m.job.resources[i];
	struct attest_error why = { .what = "" };
	enum attest_status opened;
	struct span sealed;
	size_t len = 0;
	enum runtime_status s = agent_kbs_resource(&o->kbs, name, &r, e);

	if (s != RUNTIME_OK)
		return s;
	sealed = http_read_body(r);
	opened = jwe_open(o->pair, sealed.at, sealed.len, &secret, &len, &why);
	if (opened != ATTEST_OK)
		return agent_attest_failed(opened, name, &why, e);
	return agent_put_key(o->fds[FD_KEYS + i], name, secret, len, e);
}

/* ---- all of it ------------------------------------------------------------------- */

static enum runtime_status run(struct obtain *o, struct runtime_error *e)
{
	enum runtime_status s = take_job(o, e);

	if (s == RUNTIME_OK)
		s = make_pair(o, e);
	if (s == RUNTIME_OK)
		s = agent_tls_connect(o->fds[FD_STREAM], &o->service, o->deadline, &o->kbs.tls,
				      e);
	if (s == RUNTIME_OK)
		s = attest(o, e);
	for (size_t i = 0; s == RUNTIME_OK && i < o->m.job.n_keys; i++)
		s = get_key(o, i, e);
	return s;
}

enum runtime_status agent_obtain(int sock, int64_t deadline, int *ret_program,
				 struct runtime_error *reterr)
{
	struct obtain o = { .sock = sock, .deadline = deadline };
	enum runtime_status s;

	o.kbs.to = &o.service;
	s = run(&o, reterr);
	agent_tls_free(o.kbs.tls);
	EVP_PKEY_free(o.pair);
	if (s == RUNTIME_OK) {
		*ret_program = o.fds[FD_PROGRAM];
		o.fds[FD_PROGRAM] = -1;
	}
	close_all(o.fds, &o.n_fds);
	explicit_bzero(&o, sizeof(o));
	return s;
}
