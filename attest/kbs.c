/* attest/kbs.c - paths, sessions and errors of the protocol. */
#include "attest/kbs.h"

#include <string.h>

#include "attest/json_writer.h"
#include "policy/text.h"

/* ---- paths ------------------------------------------------------------------------- */

static const struct {
	const char *name;
	enum http_method method;
	enum kbs_endpoint endpoint;
} fixed[] = {
	{ "auth", HTTP_POST, KBS_AUTH },
	{ "attest", HTTP_POST, KBS_ATTEST },
};

/* All characters of a path's segment, less those that the grammar leaves out. */
static bool is_part(struct span s)
{
	for (size_t i = 0; i < s.len; i++) {
		char c = s.at[i];

		if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') &&
		    !(c >= '0' && c <= '9') && c != '-' && c != '_' && !(c == '.' && i > 0))
			return false;
	}
	return s.len > 0;
}

static bool take_resource(const struct span *parts, size_t n, struct kbs_resource *ret)
{
	if (n == 4 && parts[0].len == 0) { /* "resource//": see the header */
		parts++;
		n--;
	}
	if (n != 3 || !is_part(parts[0]) || !is_part(parts[1]) || !is_part(parts[2]) ||
	    parts[0].len + parts[1].len + parts[2].len + 2 > KBS_RESOURCE_PATH)
		return false;
	*ret = (struct kbs_resource){ parts[0], parts[1], parts[2] };
	return true;
}

enum kbs_endpoint kbs_endpoint(const struct http_head *h, struct kbs_resource *ret)
{
	struct span parts[7]; /* kbs, v0, resource, and its four */
	struct kbs_resource resource;
	size_t n = 0;

	if (!http_segments(h->path, parts, sizeof(parts) / sizeof(parts[0]), &n) || n < 3 ||
	    !span_is(parts[0], "kbs") || !span_is(parts[1], "v0"))
		return KBS_NO_ENDPOINT;
	for (size_t i = 0; n == 3 && i < sizeof(fixed) / sizeof(fixed[0]); i++)
		if (span_is(parts[2], fixed[i].name))
			return h->method == fixed[i].method ? fixed[i].endpoint
							    : KBS_BAD_METHOD;
	if (!span_is(parts[2], "resource") || !take_resource(parts + 3, n - 3, &resource))
		return KBS_NO_ENDPOINT;
	if (h->method != HTTP_GET)
		return KBS_BAD_METHOD;
	*ret = resource;
	return KBS_RESOURCE;
}

/* ---- sessions ---------------------------------------------------------------------- */

static enum http_found take_id(enum http_found found, struct span value,
			       char ret[static KBS_SESSION_ID])
{
	if (found != HTTP_FOUND)
		return found;
	if (value.len != KBS_SESSION_ID - 1)
		return HTTP_AMBIGUOUS;
	for (size_t i = 0; i < value.len; i++)
		if (!(value.at[i] >= '0' && value.at[i] <= '9') &&
		    !(value.at[i] >= 'a' && value.at[i] <= 'f'))
			return HTTP_AMBIGUOUS;
	memcpy(ret, value.at, value.len);
	ret[value.len] = '\0';
	return HTTP_FOUND;
}

enum http_found kbs_session(const struct http_head *h, char ret[static KBS_SESSION_ID])
{
	struct span value = { "", 0 };
	enum http_found found = http_cookie(h, KBS_COOKIE, &value);

	return take_id(found, value, ret);
}

enum http_found kbs_set_session(const struct http_head *h, char ret[static KBS_SESSION_ID])
{
	struct span value = { "", 0 };
	enum http_found found = http_set_cookie(h, KBS_COOKIE, &value);

	return take_id(found, value, ret);
}

/* No Path: what the client takes then is the folder of /kbs/v0/auth, and stays right where
 * a proxy puts something in front. */
void kbs_set_cookie(const char id[static KBS_SESSION_ID], unsigned max_age_seconds, bool secure,
		    char ret[static KBS_SET_COOKIE])
{
	snprintf(ret, KBS_SET_COOKIE, "%s=%s; Max-Age=%u; HttpOnly; SameSite=Strict%s",
		 KBS_COOKIE, id, max_age_seconds, secure ? "; Secure" : "");
}

/* ---- errors ------------------------------------------------------------------------ */

#define ERROR_TYPE "https://github.com/confidential-containers/kbs/errors/"

static const struct {
	unsigned status;
	const char *type, *words;
} answers[KBS_ANSWERS] = {
	// clang-format off
	[KBS_NO_SESSION]     = { 401, "TokenNotFound", "no valid session: attest first" },
	[KBS_BAD_TOKEN]      = { 401, "TokenVerifierError", "the token does not verify" },
	[KBS_DENIED]         = { 403, "PolicyDeny", "denied" },
	[KBS_MALFORMED]      = { 400, "SerdeError", "the message is malformed" },
	[KBS_WRONG_VERSION]  = { 400, "AttestationError", "KBS Client Protocol Version Mismatch" },
	[KBS_NOT_ATTESTED]   = { 403, "AttestationError", "the evidence is refused" },
	[KBS_NO_PATH]        = { 404, "InvalidRequestPath", "no such path" },
	[KBS_NO_SUCH_METHOD] = { 405, "InvalidRequestPath", "no such method here" },
	[KBS_SLOW_DOWN]      = { 429, "HTTPFailed", "too many requests" },
	[KBS_INTERNAL]       = { 500, "PluginInternalError", "internal error" },
	[KBS_BUSY]           = { 503, "PluginInternalError", "busy: try again later" },
	[KBS_HTTP_FAULT]     = { 400, "HTTPFailed", "the request is not proper HTTP/1.1" },
	// clang-format on
};

unsigned kbs_answer_status(enum kbs_answer a)
{
	return answers[a].status;
}

void kbs_error_write(enum kbs_answer a, const char *detail, char ret[static KBS_ERROR_BODY],
		     size_t *ret_len)
{
	char type[128], clean[768]; /* escaped once more, at most twice as long: it fits */
	struct json_writer w;

	snprintf(type, sizeof(type), "%s%s", ERROR_TYPE, answers[a].type);
	if (!detail || a == KBS_DENIED)
		detail = answers[a].words;
	text_escape(clean, sizeof(clean), detail);
	jw_begin(&w, ret, KBS_ERROR_BODY);
	jw_object(&w);
	jw_key(&w, "detail");
	jw_string(&w, clean);
	jw_key(&w, "type");
	jw_string(&w, type);
	jw_object_end(&w);
	if (!jw_end(&w, ret_len)) { /* cannot be */
		ret[0] = '\0';
		*ret_len = 0;
	}
}
