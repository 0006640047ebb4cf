/* attest/http_write.c - heads as they are sent; nothing that http_head.c would refuse. */
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "attest/http_internal.h"
#include "policy/reader.h"

static const struct {
	unsigned status;
	const char *reason;
} reasons[] = {
	{ 200, "OK" },
	{ 201, "Created" },
	{ 204, "No Content" },
	{ 400, "Bad Request" },
	{ 401, "Unauthorized" },
	{ 403, "Forbidden" },
	{ 404, "Not Found" },
	{ 405, "Method Not Allowed" },
	{ 408, "Request Timeout" },
	{ 409, "Conflict" },
	{ 411, "Length Required" },
	{ 413, "Content Too Large" },
	{ 414, "URI Too Long" },
	{ 415, "Unsupported Media Type" },
	{ 417, "Expectation Failed" },
	{ 429, "Too Many Requests" },
	{ 431, "Request Header Fields Too Large" },
	{ 500, "Internal Server Error" },
	{ 501, "Not Implemented" },
	{ 503, "Service Unavailable" },
	{ 505, "HTTP Version Not Supported" },
};

const char *http_reason(unsigned status)
{
	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		if (reasons[i].status == status)
			return reasons[i].reason;
	return NULL;
}

static void put(struct wr *w, const char *text)
{
	wr_bytes(w, text, strlen(text));
}

static void put_line(struct wr *w, const char *name, const char *value)
{
	w->bad |= !http_is_token(span_of(name)) || !http_is_value(span_of(value));
	put(w, name);
	put(w, ": ");
	put(w, value);
	put(w, "\r\n");
}

static void put_lines(struct wr *w, const struct http_line *lines, size_t n)
{
	for (size_t i = 0; i < n; i++)
		put_line(w, lines[i].name, lines[i].value);
}

static void put_length(struct wr *w, size_t length)
{
	char digits[24];

	snprintf(digits, sizeof(digits), "%zu", length);
	put_line(w, "Content-Length", digits);
}

/* RFC 9110, section 5.6.7, in English whatever the locale. */
static void put_date(struct wr *w, int64_t seconds)
{
	static const char days[][4] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
	static const char months[][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
					  "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
	time_t t = (time_t)seconds;
	struct tm tm;
	char text[64];

	if (!gmtime_r(&t, &tm) || tm.tm_year < 0 || tm.tm_year > 8099) {
		w->bad = true;
		return;
	}
	snprintf(text, sizeof(text), "%s, %02d %s %04d %02d:%02d:%02d GMT", days[tm.tm_wday],
		 tm.tm_mday, months[tm.tm_mon], 1900 + tm.tm_year, tm.tm_hour, tm.tm_min,
		 tm.tm_sec);
	put_line(w, "Date", text);
}

static bool finish(struct wr *w, const char *buf, size_t *ret_len)
{
	put(w, "\r\n");
	wr_bytes(w, "", 1);
	if (w->bad)
		return false;
	*ret_len = (size_t)((const char *)w->at - buf) - 1;
	return true;
}

bool http_write_answer(const struct http_answer *a, char *buf, size_t size, size_t *ret_len)
{
	struct wr w = { .at = (uint8_t *)buf, .left = size };
	const char *reason = http_reason(a->status);
	char first[64];

	if (!reason || (a->status == 204 && a->length > 0))
		return false;
	snprintf(first, sizeof(first), "HTTP/1.1 %u %s\r\n", a->status, reason);
	put(&w, first);
	if (a->date)
		put_date(&w, a->date);
	if (a->type)
		put_line(&w, "Content-Type", a->type);
	if (a->status != 204) /* RFC 9110, section 8.6 */
		put_length(&w, a->length);
	put_line(&w, "Cache-Control", "no-store");
	if (a->status == 401) /* RFC 9110, section 15.5.2 */
		put_line(&w, "WWW-Authenticate", "Bearer");
	if (a->close)
		put_line(&w, "Connection", "close");
	put_lines(&w, a->lines, a->n_lines);
	return finish(&w, buf, ret_len);
}

bool http_write_call(const struct http_call *c, char *buf, size_t size, size_t *ret_len)
{
	struct wr w = { .at = (uint8_t *)buf, .left = size };
	bool carries = c->method == HTTP_POST || c->method == HTTP_PUT;
	struct span path, query;

	if (c->method == HTTP_NO_METHOD || carries != (c->type != NULL) ||
	    !http_is_target(span_of(c->target), &path, &query) ||
	    !http_is_host(span_of(c->host)))
		return false;
	put(&w, http_method_str(c->method));
	put(&w, " ");
	put(&w, c->target);
	put(&w, " HTTP/1.1\r\n");
	put_line(&w, "Host", c->host);
	if (c->type) {
		put_line(&w, "Content-Type", c->type);
		put_length(&w, c->length);
	}
	put_lines(&w, c->lines, c->n_lines);
	return finish(&w, buf, ret_len);
}
