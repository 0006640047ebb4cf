/* runtime/agent_token.c - see runtime/agent_token.h. */
#include "runtime/agent_token.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "attest/base64.h"
#include "attest/json_reader.h"
#include "attest/sandbox_token.h"
#include "runtime/agent_kbs.h"

#define WHERE "evidence"
#define SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

static enum runtime_status refused(struct runtime_error *e, const char *what)
{
	return runtime_fail(e, RUNTIME_REFUSED, WHERE,
			    "keeper, clerk and agent must be of one version of cordon", "%s",
			    what);
}

/* ---- taking ---------------------------------------------------------------------- */

static enum runtime_status read_all(int fd, char *to, size_t len, struct runtime_error *e)
{
	for (size_t at = 0; at < len;) {
		ssize_t n = pread(fd, to + at, len - at, (off_t)at);

		if (n <= 0)
			return runtime_fail(e, RUNTIME_SYSTEM, WHERE, "",
					    "cannot read the token: %s",
					    n < 0 ? strerror(errno) : "it ends too early");
		at += (size_t)n;
	}
	return RUNTIME_OK;
}

enum runtime_status agent_token_take(int fd, char **ret, size_t *ret_len,
				     struct runtime_error *reterr)
{
	AUTO(freep) char *text = NULL;
	int seals = fcntl(fd, F_GET_SEALS);
	enum runtime_status s;
	struct stat st;
	size_t len;

	if (seals < 0 || (seals & SEALS) != SEALS)
		return refused(reterr, "the token is in a file that could still change");
	if (fstat(fd, &st) < 0 || st.st_size < 1 || st.st_size > (off_t)AGENT_TOKEN_MAX)
		return refused(reterr, "the token is empty or too large");
	len = (size_t)st.st_size;
	text = malloc(len + 1);
	if (!text)
		return runtime_fail(reterr, RUNTIME_SYSTEM, WHERE, "", "no memory");
	s = read_all(fd, text, len, reterr);
	if (s != RUNTIME_OK)
		return s;
	text[len] = '\0';
	if (strlen(text) != len)
		return refused(reterr, "the token is no text");
	*ret = text;
	*ret_len = len;
	text = NULL;
	return RUNTIME_OK;
}

/* ---- comparing ------------------------------------------------------------------- */

static enum runtime_status read_facts(const char *token, size_t len, struct sandbox_facts *ret,
				      struct runtime_error *e)
{
	static const struct json_caps caps = { SANDBOX_PAYLOAD_MAX, 8, 256 };
	struct span rest = { token, len }, header, payload;
	char text[SANDBOX_PAYLOAD_MAX];
	struct attest_error why = { .what = "" };
	json_t *root = NULL;
	enum attest_status s;
	size_t n = 0;

	if (!span_until(&rest, '.', &header) || !span_until(&rest, '.', &payload) ||
	    !base64url_decode(payload.at, payload.len, text, sizeof(text), &n))
		return refused(e, "the token is no compact JWS");
	s = jr_object((struct span){ text, n }, &caps, "token", &root, &why);
	if (s == ATTEST_OK)
		s = sandbox_facts_read(root, ret, &why);
	json_decref(root);
	return s == ATTEST_OK ? RUNTIME_OK : agent_attest_failed(s, WHERE, &why, e);
}

enum runtime_status agent_token_check(const char *token, size_t len,
				      const struct agent_job *job,
				      const uint8_t report_data[static AGENT_REPORT_DATA],
				      struct runtime_error *reterr)
{
	uint8_t digest[DESCRIPTOR_DIGEST_MAX];
	struct sandbox_facts facts;
	struct attest_error why = { .what = "" };
	enum attest_status made;
	enum runtime_status s = read_facts(token, len, &facts, reterr);

	if (s != RUNTIME_OK)
		return s;
	made = descriptor_digest(DESCRIPTOR_SHA256, job->descriptor, job->descriptor_len,
				 digest, &why);
	if (made != ATTEST_OK)
		return agent_attest_failed(made, WHERE, &why, reterr);
	if (memcmp(facts.descriptor, digest, sizeof(facts.descriptor)) != 0)
		return refused(reterr, "the token is of another session's descriptor");
	if (memcmp(facts.report_data, report_data, sizeof(facts.report_data)) != 0)
		return refused(reterr, "the token is not for what was asked");
	return RUNTIME_OK;
}
