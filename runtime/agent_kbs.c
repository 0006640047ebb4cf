/* runtime/agent_kbs.c - one request, one answer, three times. */
#include "runtime/agent_kbs.h"

#include <stdlib.h>
#include <string.h>

#include "attest/jwe.h"

#define HEAD_MAX (16u << 10) /* of an answer; ours ask for less than 2 KiB */
#define CALL_MAX 4096u
#define CHALLENGE_MAX (64u << 10)
#define RESULT_MAX (KBS_TOKEN_MAX + (64u << 10))
#define PATH_BYTES (sizeof(KBS_PREFIX "/resource/") + KBS_RESOURCE_PATH)
#define JSON "application/json"

enum runtime_status agent_attest_failed(enum attest_status s, const char *step,
					const struct attest_error *from,
					struct runtime_error *reterr)
{
	char where[sizeof(from->where) + 64];

	snprintf(where, sizeof(where), "%s%s%s", step, from->where[0] ? ": " : "", from->where);
	runtime_fail(reterr, RUNTIME_SYSTEM, where, from->hint, "%s", from->what);
	switch (s) {
	case ATTEST_OK:
	case ATTEST_SYSTEM:
		break;
	case ATTEST_REFUSED:
		return RUNTIME_REFUSED;
	case ATTEST_MALFORMED:
		return RUNTIME_MALFORMED;
	}
	return RUNTIME_SYSTEM;
}

/* ---- asking ---------------------------------------------------------------------- */

struct call {
	enum http_method method;
	const char *step; /* for errors */
	const char *path; /* behind /kbs/v0 */
	struct span body;
	size_t answer_max;
};

static enum runtime_status send_call(struct agent_kbs *k, const struct call *c,
				     struct runtime_error *e)
{
	char target[sizeof(k->to->prefix) + PATH_BYTES], cookie[96], head[CALL_MAX];
	const struct http_line lines[] = { { "Accept", JSON }, { "Cookie", cookie } };
	struct http_call h = { .method = c->method,
			       .host = k->to->authority,
			       .target = target,
			       .type = c->body.at ? JSON : NULL,
			       .length = c->body.len,
			       .lines = lines,
			       .n_lines = k->session[0] ? 2 : 1 };
	enum runtime_status s;
	size_t n = 0;

	snprintf(target, sizeof(target), "%s%s%s", k->to->prefix, KBS_PREFIX, c->path);
	snprintf(cookie, sizeof(cookie), "%s=%s", KBS_COOKIE, k->session);
	if (!http_write_call(&h, head, sizeof(head), &n))
		return runtime_fail(e, RUNTIME_REFUSED, c->step,
				    "write `service` and the key's resource without \"//\", "
				    "\".\" and \"..\"",
				    "no request can be made for %s", c->path);
	s = agent_tls_write(k->tls, head, n, e);
	return s == RUNTIME_OK ? agent_tls_write(k->tls, c->body.at, c->body.len, e) : s;
}

/* ---- the answer ------------------------------------------------------------------ */

static const char *hint_of(unsigned status)
{
	switch (status) {
	case 401:
		return "its session was not accepted; start again";
	case 403:
		return "the key service's log says which clause of the key's policy refused";
	case 404:
		return "does `service` name a key service, with its path?";
	case 429:
	case 503:
		return "it is busy: try again later";
	default:
		return "the key service's log may say more";
	}
}

/* Words of a stranger, which kbs_error_parse has escaped. */
static enum runtime_status refused(const struct call *c, const struct http_reader *r,
				   struct runtime_error *e)
{
	unsigned status = http_read_head(r)->status;
	struct kbs_error why;

	if (kbs_error_parse(http_read_body(r), &why, NULL) != ATTEST_OK)
		return runtime_fail(e, RUNTIME_REFUSED, c->step, hint_of(status),
				    "the key service answered %u", status);
	return runtime_fail(e, RUNTIME_REFUSED, c->step, hint_of(status),
			    "the key service answered %u %s: %.200s", status, why.type,
			    why.detail);
}

static enum runtime_status bad_answer(const struct call *c, const char *what,
				      struct runtime_error *e)
{
	return runtime_fail(e, RUNTIME_MALFORMED, c->step, "does `service` name a key service?",
			    "the key service's answer is not proper: %s", what);
}

static enum runtime_status read_answer(struct agent_kbs *k, const struct call *c,
				       struct http_reader *r, struct runtime_error *e)
{
	enum http_progress now = HTTP_MORE;
	enum runtime_status s;
	size_t n = 0, used = 0;
	char buf[4096];

	while (now == HTTP_MORE) {
		s = agent_tls_read(k->tls, buf, sizeof(buf), &n, e);
		if (s != RUNTIME_OK)
			return s;
		now = http_feed(r, buf, n, &used);
	}
	if (now == HTTP_BAD)
		return bad_answer(c, http_fault(r)->what, e);
	/* Nothing was asked that these could be the answer to. */
	if (used != n)
		return bad_answer(c, "there is more behind it", e);
	return http_read_head(r)->status == 200 ? RUNTIME_OK : refused(c, r, e);
}

/* Only what is sealed or public comes back: the reader's common memory will do. */
static enum runtime_status ask(struct agent_kbs *k, const struct call *c,
			       struct http_reader **ret, struct runtime_error *e)
{
	const struct http_limits limits = { .head = HEAD_MAX,
					    .fields = HTTP_FIELDS_MAX,
					    .body = c->answer_max };
	struct http_reader *r = http_reader_new(HTTP_RESPONSES, &limits);
	enum runtime_status s;

	if (!r)
		return runtime_fail(e, RUNTIME_SYSTEM, c->step, "", "no memory");
	s = send_call(k, c, e);
	if (s == RUNTIME_OK)
		s = read_answer(k, c, r, e);
	if (s == RUNTIME_OK)
		*ret = r;
	else
		http_reader_free(r);
	return s;
}

/* ---- the three calls ------------------------------------------------------------- */

#define STEP_AUTH "key service, challenge"
#define STEP_ATTEST "key service, attestation"

static enum runtime_status take_challenge(struct agent_kbs *k, const struct http_reader *r,
					  struct kbs_challenge *ret, struct runtime_error *e)
{
	struct attest_error why = { .what = "" };
	enum attest_status s = kbs_challenge_parse(http_read_body(r), ret, &why);

	if (s != ATTEST_OK)
		return agent_attest_failed(s, STEP_AUTH, &why, e);
	if (kbs_set_session(http_read_head(r), k->session) != HTTP_FOUND)
		return runtime_fail(e, RUNTIME_MALFORMED, STEP_AUTH,
				    "does `service` name a key service?",
				    "the key service's answer names no session");
	return RUNTIME_OK;
}

enum runtime_status agent_kbs_auth(struct agent_kbs *k, const char *tee,
				   struct kbs_challenge *ret, struct runtime_error *reterr)
{
	AUTO(http_reader_freep) struct http_reader *r = NULL;
	AUTO(freep) char *text = NULL;
	struct attest_error why = { .what = "" };
	struct call c = { .method = HTTP_POST,
			  .step = STEP_AUTH,
			  .path = "/auth",
			  .answer_max = CHALLENGE_MAX };
	enum attest_status made = kbs_request_write(tee, &text, &c.body.len, &why);
	enum runtime_status s;

	if (made != ATTEST_OK)
		return agent_attest_failed(made, STEP_AUTH, &why, reterr);
	c.body.at = text;
	s = ask(k, &c, &r, reterr);
	return s == RUNTIME_OK ? take_challenge(k, r, ret, reterr) : s;
}

enum runtime_status agent_kbs_attest(struct agent_kbs *k, const struct kbs_attestation *a,
				     struct runtime_error *reterr)
{
	AUTO(http_reader_freep) struct http_reader *r = NULL;
	AUTO(freep) char *text = NULL;
	AUTO(freep) char *token = NULL;
	struct attest_error why = { .what = "" };
	struct call c = { .method = HTTP_POST,
			  .step = STEP_ATTEST,
			  .path = "/attest",
			  .answer_max = RESULT_MAX };
	enum attest_status made = kbs_attestation_write(a, &text, &c.body.len, &why);
	enum runtime_status s;

	if (made != ATTEST_OK)
		return agent_attest_failed(made, STEP_ATTEST, &why, reterr);
	c.body.at = text;
	s = ask(k, &c, &r, reterr);
	if (s != RUNTIME_OK)
		return s;
	made = kbs_token_parse(http_read_body(r), &token, &why);
	return made == ATTEST_OK ? RUNTIME_OK
				 : agent_attest_failed(made, STEP_ATTEST, &why, reterr);
}

enum runtime_status agent_kbs_resource(struct agent_kbs *k, const char *resource,
				       struct http_reader **ret, struct runtime_error *reterr)
{
	char path[PATH_BYTES];
	struct span name = span_of(resource);
	struct call c = {
		.method = HTTP_GET, .step = resource, .path = path, .answer_max = JWE_TEXT_MAX
	};

	if (!span_skip(&name, "kbs:///") || name.len >= KBS_RESOURCE_PATH + 1)
		return runtime_fail(reterr, RUNTIME_REFUSED, resource,
				    "a resource is kbs:///REPOSITORY/TYPE/TAG",
				    "this names no resource");
	snprintf(path, sizeof(path), "/resource/%.*s", (int)name.len, name.at);
	return ask(k, &c, ret, reterr);
}
