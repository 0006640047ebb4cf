/* tests/attest/test_http.c - one message has one reading, however it was cut; whatever has
 * two is refused. */
#include "attest/http.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <cmocka.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const struct http_limits limits = {
	.head = 2048, .target = 256, .fields = 16, .body = 1024
};

/* ---- one way to read --------------------------------------------------------------- */

/* What there is to know about a message, as text. */
struct reading {
	enum http_progress progress;
	size_t used;
	char all[4096];
};

static int add_span(char *to, size_t size, struct span s)
{
	return snprintf(to, size, "<%.*s>", (int)s.len, s.at ? s.at : "");
}

static void describe(const struct http_reader *r, struct reading *ret)
{
	const struct http_fault *fault = http_fault(r);
	const struct http_head *h = http_read_head(r);
	char *at = ret->all;
	size_t left = sizeof(ret->all);

#define ADD(n) (at += (n), left = sizeof(ret->all) - (size_t)(at - ret->all))
	ret->all[0] = '\0';
	if (fault)
		ADD(snprintf(at, left, "%u %s", fault->status, fault->what));
	if (!h)
		return;
	ADD(snprintf(at, left, "%d %u %zu %d%d%d", (int)h->method, h->status, h->length,
		     h->has_length, h->keep_alive, h->expect_continue));
	ADD(add_span(at, left, h->path));
	ADD(add_span(at, left, h->query));
	for (size_t i = 0; i < h->n_fields; i++) {
		ADD(add_span(at, left, h->fields[i].name));
		ADD(add_span(at, left, h->fields[i].value));
	}
	ADD(add_span(at, left, http_read_body(r)));
#undef ADD
	assert_true(left > 1);
}

static struct http_reader *reader_new(enum http_kind kind, const struct http_limits *l)
{
	struct http_reader *r = http_reader_new(kind, l);

	assert_non_null(r);
	return r;
}

/* In pieces of `first` and then `step` bytes, each in memory of exactly its size. */
static struct reading read_cut(enum http_kind kind, const char *text, size_t len, size_t first,
			       size_t step)
{
	struct http_reader *r = reader_new(kind, &limits);
	struct reading ret = { .progress = HTTP_MORE };
	size_t at = 0, n = first, used = 0;

	while (at < len && ret.progress == HTTP_MORE) {
		char *piece;

		n = n < len - at ? n : len - at;
		piece = malloc(n ? n : 1);
		assert_non_null(piece);
		memcpy(piece, text + at, n);
		ret.progress = http_feed(r, piece, n, &used);
		free(piece);
		assert_true(used <= n);
		assert_true(ret.progress != HTTP_MORE || used == n);
		at += used;
		n = step;
	}
	ret.used = at;
	describe(r, &ret);
	http_reader_free(r);
	return ret;
}

static struct reading read_text(enum http_kind kind, const char *text, size_t len)
{
	return read_cut(kind, text, len, len, len);
}

static unsigned fault_of(enum http_kind kind, const char *text, size_t len)
{
	struct reading r = read_text(kind, text, len);

	return r.progress == HTTP_BAD ? (unsigned)strtoul(r.all, NULL, 10) : 0;
}

/* A reader whose message is whole; the caller's to free. */
static struct http_reader *whole(enum http_kind kind, const char *text)
{
	struct http_reader *r = reader_new(kind, &limits);
	size_t used;

	assert_int_equal(http_feed(r, text, strlen(text), &used), HTTP_DONE);
	assert_int_equal(used, strlen(text));
	return r;
}

static void assert_span(struct span s, const char *text)
{
	assert_int_equal(s.len, strlen(text));
	assert_memory_equal(s.at, text, s.len);
}

#define POST_SAMPLE                                                                            \
	"POST /kbs/v0/attest?a=b%20c HTTP/1.1\r\nHost: keys.internal:8443\r\n"                 \
	"Content-Type: application/json\r\nCookie: kbs-session-id=0123\r\n"                    \
	"Authorization: Bearer a.b.c\r\nContent-Length: 7\r\nConnection: keep-alive\r\n"       \
	"X:\t odd value \t\r\n\r\n{\"a\":1}"
#define GET_SAMPLE "GET /kbs/v0/resource/a/b/c HTTP/1.1\r\nHost: [::1]:80\r\n\r\n"
#define RESPONSE_SAMPLE                                                                        \
	"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nSet-Cookie: a=b; Expires=x\r\n\r\nhello"

static const struct sample {
	enum http_kind kind;
	const char *text;
} samples[] = {
	{ HTTP_REQUESTS, POST_SAMPLE },
	{ HTTP_REQUESTS, GET_SAMPLE },
	{ HTTP_REQUESTS, "DELETE /a HTTP/1.1\r\nhost:h\r\ncontent-length:0\r\n\r\n" },
	{ HTTP_RESPONSES, RESPONSE_SAMPLE },
	{ HTTP_RESPONSES, "HTTP/1.1 204 \r\n\r\n" },
};

/* ---- what is read ------------------------------------------------------------------ */

static void a_request_is_read_whole(void **state)
{
	struct http_reader *r = whole(HTTP_REQUESTS, POST_SAMPLE);
	const struct http_head *h = http_read_head(r);
	struct span value;

	(void)state;
	assert_int_equal(h->method, HTTP_POST);
	assert_span(h->path, "/kbs/v0/attest");
	assert_span(h->query, "a=b%20c");
	assert_true(h->keep_alive && h->has_length && !h->expect_continue);
	assert_span(http_read_body(r), "{\"a\":1}");
	assert_int_equal(http_field(h, "x", &value), HTTP_FOUND);
	assert_span(value, "odd value");
	assert_int_equal(http_field(h, "y", &value), HTTP_ABSENT);
	assert_int_equal(http_bearer(h, &value), HTTP_FOUND);
	assert_span(value, "a.b.c");
	assert_null(http_fault(r));
	http_reader_free(r);
}

static void a_response_is_read_whole(void **state)
{
	struct http_reader *r = whole(HTTP_RESPONSES, RESPONSE_SAMPLE);
	struct span value;

	(void)state;
	assert_int_equal(http_read_head(r)->status, 200);
	assert_span(http_read_body(r), "hello");
	assert_int_equal(http_set_cookie(http_read_head(r), "a", &value), HTTP_FOUND);
	assert_span(value, "b");
	http_reader_free(r);
}

static void what_follows_is_the_next_message(void **state)
{
	static const char two[] = POST_SAMPLE GET_SAMPLE;
	struct http_reader *r = reader_new(HTTP_REQUESTS, &limits);
	size_t used, again;

	(void)state;
	assert_int_equal(http_feed(r, two, sizeof(two) - 1, &used), HTTP_DONE);
	assert_int_equal(used, strlen(POST_SAMPLE));
	assert_int_equal(http_feed(r, two + used, sizeof(two) - 1 - used, &again), HTTP_DONE);
	assert_int_equal(again, 0); /* not before it is asked for */
	http_next(r);
	assert_null(http_read_head(r));
	assert_int_equal(http_feed(r, two + used, sizeof(two) - 1 - used, &again), HTTP_DONE);
	assert_int_equal(used + again, sizeof(two) - 1);
	assert_int_equal(http_read_head(r)->method, HTTP_GET);
	assert_int_equal(http_read_body(r).len, 0);
	http_reader_free(r);
}

static void a_fault_is_for_good(void **state)
{
	struct http_reader *r = reader_new(HTTP_REQUESTS, &limits);
	size_t used;

	(void)state;
	assert_int_equal(http_feed(r, "\n", 1, &used), HTTP_BAD);
	http_next(r);
	assert_int_equal(http_feed(r, GET_SAMPLE, strlen(GET_SAMPLE), &used), HTTP_BAD);
	assert_int_equal(used, 0);
	assert_null(http_read_head(r));
	assert_non_null(http_fault(r));
	http_reader_free(r);
}

static void the_head_is_seen_before_the_body(void **state)
{
	static const char text[] = "PUT /a HTTP/1.1\r\nHost: h\r\nExpect: 100-Continue\r\n"
				   "Content-Length: 3\r\n\r\n";
	struct http_reader *r = reader_new(HTTP_REQUESTS, &limits);
	size_t used;

	(void)state;
	assert_int_equal(http_feed(r, text, sizeof(text) - 2, &used), HTTP_MORE);
	assert_null(http_read_head(r));
	assert_int_equal(http_feed(r, "\n", 1, &used), HTTP_MORE);
	assert_non_null(http_read_head(r));
	assert_true(http_read_head(r)->expect_continue);
	assert_int_equal(http_feed(r, "ab", 2, &used), HTTP_MORE);
	assert_span(http_read_body(r), "ab");
	assert_int_equal(http_feed(r, "cd", 2, &used), HTTP_DONE);
	assert_int_equal(used, 1);
	http_reader_free(r);
}

static void guarded_memory_reads_the_same(void **state)
{
	struct http_limits l = limits;
	struct http_reader *r;
	size_t used;

	(void)state;
	l.secret = true;
	r = reader_new(HTTP_REQUESTS, &l);
	assert_int_equal(http_feed(r, POST_SAMPLE, strlen(POST_SAMPLE), &used), HTTP_DONE);
	assert_span(http_read_body(r), "{\"a\":1}");
	http_reader_free(r);
}

/* ---- cuts, truncations, changes ---------------------------------------------------- */

static void where_it_is_cut_changes_nothing(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(samples); i++) {
		const struct sample *s = &samples[i];
		size_t len = strlen(s->text);
		struct reading once = read_text(s->kind, s->text, len);

		assert_int_equal(once.progress, HTTP_DONE);
		for (size_t cut = 0; cut <= len; cut++) {
			struct reading two = read_cut(s->kind, s->text, len, cut, len);

			assert_int_equal(two.progress, once.progress);
			assert_int_equal(two.used, once.used);
			assert_string_equal(two.all, once.all);
		}
		for (size_t step = 1; step < 9; step++)
			assert_string_equal(read_cut(s->kind, s->text, len, step, step).all,
					    once.all);
	}
}

static void a_part_is_never_the_whole(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(samples); i++)
		for (size_t n = 0; n < strlen(samples[i].text); n++)
			assert_int_equal(
				read_text(samples[i].kind, samples[i].text, n).progress,
				HTTP_MORE);
}

/* Any other byte in any place: refused, or read as something else, or as a longer message;
 * cut or whole, with the same result. */
static void every_changed_byte_counts(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(samples); i++) {
		const struct sample *s = &samples[i];
		size_t len = strlen(s->text);
		char *text = strdup(s->text);
		struct reading good = read_text(s->kind, s->text, len);

		assert_non_null(text);
		for (size_t at = 0; at < len; at++) {
			for (unsigned c = 0; c < 256; c++) {
				struct reading r, bytes;
				bool same;

				if ((uint8_t)s->text[at] == c)
					continue;
				text[at] = (char)c;
				r = read_text(s->kind, text, len);
				bytes = read_cut(s->kind, text, len, 1, 1);
				assert_int_equal(r.progress, bytes.progress);
				assert_int_equal(r.used, bytes.used);
				assert_string_equal(r.all, bytes.all);
				/* a reason phrase says nothing, and space is space */
				same = r.progress == HTTP_DONE && strcmp(r.all, good.all) == 0;
				if (same && s->kind == HTTP_REQUESTS)
					assert_true(strchr(" \t", (int)c) &&
						    strchr(" \t", s->text[at]));
				if (same && s->kind == HTTP_RESPONSES)
					assert_true(at >= 13 || strchr(" \t", (int)c));
			}
			text[at] = s->text[at];
		}
		free(text);
	}
}

/* ---- what is refused --------------------------------------------------------------- */

#define GET "GET /a HTTP/1.1\r\n"
#define POST "POST /a HTTP/1.1\r\n"
#define HOST "Host: h\r\n"
#define CL3 "Content-Length: 3\r\n"
#define END "\r\nabc"

struct bad {
	const char *text;
	size_t len;
	unsigned status;
};
#define BAD(status, text)                                                                      \
	{                                                                                      \
		(text), sizeof(text) - 1, (status)                                             \
	}

static void assert_refused(enum http_kind kind, const struct bad *bad, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (fault_of(kind, bad[i].text, bad[i].len) != bad[i].status)
			fail_msg("not %u but %u: %s", bad[i].status,
				 fault_of(kind, bad[i].text, bad[i].len), bad[i].text);
}

static void two_lengths_are_refused(void **state)
{
	static const struct bad bad[] = {
		BAD(400, POST HOST CL3 CL3 END),
		BAD(400, POST HOST CL3 "Content-Length: 4\r\n" END),
		BAD(400, POST HOST CL3 "content-LENGTH: 3\r\n" END),
		BAD(400, POST HOST "Content-Length: 3, 3\r\n" END),
		BAD(400, POST HOST "Content-Length: 3,4\r\n" END),
		BAD(400, POST HOST "Content-Length: +3\r\n" END),
		BAD(400, POST HOST "Content-Length: -3\r\n" END),
		BAD(400, POST HOST "Content-Length: 0x3\r\n" END),
		BAD(400, POST HOST "Content-Length: 03\r\n" END),
		BAD(400, POST HOST "Content-Length: 3 \t3\r\n" END),
		BAD(400, POST HOST "Content-Length: 3.0\r\n" END),
		BAD(400, POST HOST "Content-Length: \"3\"\r\n" END),
		BAD(400, POST HOST "Content-Length:\r\n" END),
		BAD(400, POST HOST "Content-Length: 9223372036854775808\r\n" END),
		BAD(400, POST HOST "Content-Length: 18446744073709551619\r\n" END),
		BAD(413, POST HOST "Content-Length: 9223372036854775807\r\n" END),
		BAD(413, POST HOST "Content-Length: 1025\r\n" END),
		BAD(400, GET HOST CL3 END),
		BAD(400, "DELETE /a HTTP/1.1\r\n" HOST CL3 END),
		BAD(411, POST HOST END),
		BAD(411, "PUT /a HTTP/1.1\r\n" HOST END),
	};

	(void)state;
	assert_refused(HTTP_REQUESTS, bad, COUNT(bad));
}

static void transfer_codings_are_refused(void **state)
{
	static const struct bad bad[] = {
		BAD(400, POST HOST CL3 "Transfer-Encoding: chunked\r\n" END),
		BAD(400, POST HOST "Transfer-Encoding: chunked\r\n" CL3 END),
		BAD(400, POST HOST "Transfer-Encoding: identity\r\n" CL3 END),
		BAD(411, POST HOST "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
		BAD(411, POST HOST "transfer-encoding:\tCHUNKED \r\n\r\n0\r\n\r\n"),
		BAD(411, GET HOST "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
		BAD(501, POST HOST "Transfer-Encoding: gzip, chunked\r\n" END),
		BAD(501, POST HOST "Transfer-Encoding: chunked, identity\r\n" END),
		BAD(501, POST HOST "Transfer-Encoding: xchunked\r\n" END),
		BAD(501, POST HOST "Transfer-Encoding: chunked;a=b\r\n" END),
		BAD(501, POST HOST "Transfer-Encoding: \"chunked\"\r\n" END),
		BAD(501, POST HOST "Transfer-Encoding:\r\n" END),
		BAD(400, POST HOST "Transfer-Encoding: chunked\r\n"
				   "Transfer-Encoding: identity\r\n" END),
		/* what somebody else may take for Transfer-Encoding is no field at all */
		BAD(400, POST HOST CL3 "Transfer-Encoding : chunked\r\n" END),
		BAD(400, POST HOST CL3 "Transfer-Encoding\t: chunked\r\n" END),
		BAD(400, POST HOST CL3 " Transfer-Encoding: chunked\r\n" END),
		BAD(400, POST HOST CL3 "X: y\r\n Transfer-Encoding: chunked\r\n" END),
		BAD(400, POST HOST CL3 "X: y\nTransfer-Encoding: chunked\r\n" END),
		BAD(400, POST HOST CL3 "X: y\rTransfer-Encoding: chunked\r\n" END),
		BAD(400, POST HOST CL3 "Transfer-Encoding\0: chunked\r\n" END),
		BAD(400, POST HOST CL3 "Transfer-Encoding:\x0b"
				       "chunked\r\n" END),
	};

	(void)state;
	assert_refused(HTTP_REQUESTS, bad, COUNT(bad));
}

static void lines_have_one_form(void **state)
{
	static const struct bad bad[] = {
		BAD(400, "GET /a HTTP/1.1\nHost: h\r\n\r\n"),
		BAD(400, GET "Host: h\n\r\n"),
		BAD(400, GET HOST "\n"),
		BAD(400, GET HOST "X: a\rb\r\n\r\n"),
		BAD(400, GET HOST "X: a\r\r\n\r\n"),
		BAD(400, GET HOST "\r\r\n"),
		BAD(400, "\r\n" GET HOST "\r\n"),
		BAD(400, GET " Host: h\r\n\r\n"),
		BAD(400, GET "\tHost: h\r\n\r\n"),
		BAD(400, GET HOST "X: a\r\n b\r\n\r\n"),
		BAD(400, GET HOST "X: a\r\n\tb\r\n\r\n"),
		BAD(400, GET HOST " \r\n\r\n"),
		BAD(400, GET "Host : h\r\n\r\n"),
		BAD(400, GET HOST ": a\r\n\r\n"),
		BAD(400, GET HOST "X\r\n\r\n"),
		BAD(400, GET HOST "X y: a\r\n\r\n"),
		BAD(400, GET HOST "X(: a\r\n\r\n"),
		BAD(400, GET HOST "X: a\0b\r\n\r\n"),
		BAD(400, GET HOST "X: a\x01"
				  "b\r\n\r\n"),
		BAD(400, GET HOST "X: a\x7f\r\n\r\n"),
		BAD(400, GET HOST "X: \xc3\xa9\r\n\r\n"),
		BAD(400, "G\0ET /a HTTP/1.1\r\n" HOST "\r\n"),
		BAD(400, "\x16\x03\x01\x02\x00\x01"), /* somebody speaks TLS */
	};

	(void)state;
	assert_refused(HTTP_REQUESTS, bad, COUNT(bad));
}

static void first_lines_have_one_form(void **state)
{
	static const struct bad bad[] = {
		BAD(400, "GET /a\r\n\r\n"),
		BAD(400, "GET\r\n\r\n"),
		BAD(400, "GET  /a HTTP/1.1\r\n" HOST "\r\n"),
		BAD(400, "GET /a  HTTP/1.1\r\n" HOST "\r\n"),
		BAD(400, "GET\t/a HTTP/1.1\r\n" HOST "\r\n"),
		BAD(400, " GET /a HTTP/1.1\r\n" HOST "\r\n"),
		BAD(400, "GET /a HTTP/1.1 \r\n" HOST "\r\n"),
		BAD(400, "GET /a b HTTP/1.1\r\n" HOST "\r\n"),
		BAD(400, "G@T /a HTTP/1.1\r\n" HOST "\r\n"),
		BAD(501, "get /a HTTP/1.1\r\n" HOST "\r\n"),
		BAD(501, "HEAD /a HTTP/1.1\r\n" HOST "\r\n"),
		BAD(501, "OPTIONS * HTTP/1.1\r\n" HOST "\r\n"),
		BAD(501, "CONNECT h:1 HTTP/1.1\r\n" HOST "\r\n"),
		BAD(501, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
		BAD(505, "GET /a HTTP/1.0\r\n" HOST "\r\n"),
		BAD(505, "GET /a HTTP/2.0\r\n" HOST "\r\n"),
		BAD(400, "GET /a HTTP/1.10\r\n" HOST "\r\n"),
		BAD(400, "GET /a http/1.1\r\n" HOST "\r\n"),
		BAD(400, "GET /a HTTP/1,1\r\n" HOST "\r\n"),
	};

	(void)state;
	assert_refused(HTTP_REQUESTS, bad, COUNT(bad));
}

static void paths_have_one_spelling(void **state)
{
	static const char *const refused[] = {
		"*",       "a",      "h:80",   "http://h/a", "https://h/a", "?a",
		"/a#b",    "/a?b#c", "/a%2fb", "/a%2Fb",     "/%2e%2e/a",   "/%2e/a",
		"/a%00",   "/a%",    "/%41",   "/..",        "/../a",       "/a/..",
		"/a/../b", "/.",     "/./a",   "/a/.",       "/a/./b",      "/a\\b",
		"/a\"b",   "/a<b",   "/a>b",   "/a^b",       "/a`b",        "/a{b",
		"/a|b",    "/a[b",   "/a?b%2", "/a?b%zz",    "/a?b<c",      "/a?b\\c",
	};
	static const char *const taken[] = { "/",         "/a",   "/a//b",        "//a",
					     "/a/",       "/...", "/..a",         "/.a",
					     "/a?b/../c", "/a?",  "/a?b=%2e%2E?/" };
	char text[512];

	(void)state;
	for (size_t i = 0; i < COUNT(refused); i++) {
		int n = snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\n" HOST "\r\n",
				 refused[i]);

		assert_int_equal(fault_of(HTTP_REQUESTS, text, (size_t)n), 400);
	}
	for (size_t i = 0; i < COUNT(taken); i++) {
		int n = snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\n" HOST "\r\n",
				 taken[i]);

		assert_int_equal(read_text(HTTP_REQUESTS, text, (size_t)n).progress, HTTP_DONE);
	}
}

static void there_is_one_host(void **state)
{
	static const char *const refused[] = {
		"",     "h h",   "h,h",  "h:",       "h:0", "h:65536", "h:080",
		"h:8x", "h:1:2", "[::1", "[]",       "[g]", "[::1]x",  "[::1]:",
		"::1",  "u@h",   "h/a",  "http://h", "h?",  "h#",      "[fe80::1%25eth0]",
	};
	static const char *const taken[] = { "h",     "a.b-c",   "10.0.0.1:8443",
					     "[::1]", "[::1]:1", "h:65535" };
	static const struct bad bad[] = {
		BAD(400, GET "\r\n"),
		BAD(400, GET "X: y\r\n\r\n"),
		BAD(400, GET HOST HOST "\r\n"),
		BAD(400, GET HOST "hOST: other\r\n\r\n"),
		BAD(400, GET HOST "Cookie: a=b\r\nCookie: c=d\r\n\r\n"),
		BAD(400, GET HOST "Authorization: Bearer a\r\nAuthorization: Bearer b\r\n\r\n"),
		BAD(400, POST HOST CL3 "Content-Type: a/b\r\nContent-Type: c/d\r\n" END),
	};
	char text[512];

	(void)state;
	assert_refused(HTTP_REQUESTS, bad, COUNT(bad));
	for (size_t i = 0; i < COUNT(refused); i++) {
		int n = snprintf(text, sizeof(text), GET "Host: %s\r\n\r\n", refused[i]);

		assert_int_equal(fault_of(HTTP_REQUESTS, text, (size_t)n), 400);
	}
	for (size_t i = 0; i < COUNT(taken); i++) {
		int n = snprintf(text, sizeof(text), GET "Host: %s\r\n\r\n", taken[i]);

		assert_int_equal(fault_of(HTTP_REQUESTS, text, (size_t)n), 0);
	}
}

static void connections_and_expectations(void **state)
{
	static const struct {
		const char *fields;
		unsigned status;
		bool keep_alive;
	} cases[] = {
		{ "", 0, true },
		{ "Connection: close\r\n", 0, false },
		{ "Connection: Keep-Alive\r\n", 0, true },
		{ "Connection: keep-alive, CLOSE\r\n", 0, false },
		{ "Connection: close ,\tX-y\r\n", 0, false },
		{ "Connection: closed\r\n", 0, true },
		{ "Connection:\r\n", 400, false },
		{ "Connection: a,,b\r\n", 400, false },
		{ "Connection: a,\r\n", 400, false },
		{ "Connection: a b\r\n", 400, false },
		{ "Connection: a\r\nConnection: close\r\n", 400, false },
		{ "Expect: 100-continue\r\n", 0, true },
		{ "Expect: 200-ok\r\n", 417, false },
		{ "Expect:\r\n", 417, false },
		{ "Expect: 100-continue, x\r\n", 417, false },
		{ "Expect: 100-continue\r\nExpect: 100-continue\r\n", 400, false },
	};
	char text[512];

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct http_reader *r;

		snprintf(text, sizeof(text), GET HOST "%s\r\n", cases[i].fields);
		assert_int_equal(fault_of(HTTP_REQUESTS, text, strlen(text)), cases[i].status);
		if (cases[i].status)
			continue;
		r = whole(HTTP_REQUESTS, text);
		assert_int_equal(http_read_head(r)->keep_alive, cases[i].keep_alive);
		assert_false(http_read_head(r)->expect_continue); /* there is no body */
		http_reader_free(r);
	}
}

static void responses_have_one_form(void **state)
{
	static const struct bad bad[] = {
		BAD(411, "HTTP/1.1 200 OK\r\n\r\nuntil the end"),
		BAD(411, "HTTP/1.1 304 Not Modified\r\n\r\n"),
		BAD(411, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
		BAD(400, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n" CL3 END),
		BAD(400, "HTTP/1.1 200 OK\r\n" CL3 CL3 END),
		BAD(413, "HTTP/1.1 200 OK\r\nContent-Length: 1025\r\n" END),
		BAD(400, "HTTP/1.1 204 No Content\r\n" CL3 END),
		BAD(400, "HTTP/1.1 100 Continue\r\n\r\n"),
		BAD(400, "HTTP/1.1 101 Switching Protocols\r\n\r\n"),
		BAD(505, "HTTP/1.0 200 OK\r\n" CL3 END),
		BAD(400, "HTTP/1.1 200\r\n" CL3 END),
		BAD(400, "HTTP/1.1  200 OK\r\n" CL3 END),
		BAD(400, "HTTP/1.1 2000 OK\r\n" CL3 END),
		BAD(400, "HTTP/1.1 600 OK\r\n" CL3 END),
		BAD(400, "HTTP/1.1 099 OK\r\n" CL3 END),
		BAD(400, "HTTP/1.1 +20 OK\r\n" CL3 END),
		BAD(400, "GET /a HTTP/1.1\r\n\r\n"),
		BAD(400, "HTTP/1.1 200 OK\n" CL3 END),
	};

	(void)state;
	assert_refused(HTTP_RESPONSES, bad, COUNT(bad));
	assert_int_equal(fault_of(HTTP_RESPONSES, "HTTP/1.1 404 \r\n" CL3 END, 37), 0);
}

/* ---- limits ------------------------------------------------------------------------ */

/* The longest that is taken, and one byte more; byte by byte, and all at once. */
static void assert_limit(const char *before, size_t n, const char *after, unsigned status)
{
	for (size_t extra = 0; extra < 2; extra++) {
		size_t len = strlen(before) + n + extra + strlen(after);
		char *text = malloc(len + 1), *at;
		struct reading all, bytes;

		assert_non_null(text);
		at = stpcpy(text, before);
		memset(at, 'x', n + extra);
		stpcpy(at + n + extra, after);
		all = read_text(HTTP_REQUESTS, text, len);
		bytes = read_cut(HTTP_REQUESTS, text, len, 1, 1);
		assert_int_equal(all.progress, extra ? HTTP_BAD : HTTP_DONE);
		assert_int_equal(bytes.progress, all.progress);
		assert_int_equal(bytes.used, all.used);
		if (extra)
			assert_int_equal(strtoul(all.all, NULL, 10), status);
		free(text);
	}
}

static void limits_are_exact(void **state)
{
	static const char head[] = GET HOST "X: ";
	char fields[HTTP_FIELDS_MAX * 8] = "";

	(void)state;
	assert_limit("GET /", limits.target - 1, " HTTP/1.1\r\n" HOST "\r\n", 414);
	for (size_t n = 1; n < limits.fields; n++) /* and Host */
		snprintf(fields + strlen(fields), sizeof(fields) - strlen(fields), "X: y\r\n");
	for (unsigned extra = 0; extra < 2; extra++) {
		char text[1024];
		int n = snprintf(text, sizeof(text), GET HOST "%s%s\r\n", fields,
				 extra ? "X: y\r\n" : "");

		assert_int_equal(fault_of(HTTP_REQUESTS, text, (size_t)n), extra ? 431 : 0);
	}
	/* a head is too long when its limit is reached and its end is not */
	for (size_t extra = 0; extra < 2; extra++) {
		size_t n = limits.head + extra - strlen(head) - 4;
		char *text = malloc(limits.head + 2), *at;

		assert_non_null(text);
		at = stpcpy(text, head);
		memset(at, 'x', n);
		stpcpy(at + n, "\r\n\r\n");
		assert_int_equal(fault_of(HTTP_REQUESTS, text, limits.head + extra),
				 extra ? 431 : 0);
		free(text);
	}
}

/* Whatever a caller allows, a head has room for so many. */
static void there_is_room_for_no_more_fields(void **state)
{
	struct http_limits l = { .head = 4096, .target = 64, .fields = 1000 };

	(void)state;
	for (size_t n = HTTP_FIELDS_MAX; n <= HTTP_FIELDS_MAX + 1; n++) {
		struct http_reader *r = reader_new(HTTP_REQUESTS, &l);
		char text[4096], *at = stpcpy(text, GET HOST);
		size_t used;

		for (size_t i = 1; i < n; i++)
			at = stpcpy(at, "X: y\r\n");
		at = stpcpy(at, "\r\n");
		assert_int_equal(http_feed(r, text, (size_t)(at - text), &used),
				 n > HTTP_FIELDS_MAX ? HTTP_BAD : HTTP_DONE);
		if (n > HTTP_FIELDS_MAX)
			assert_int_equal(http_fault(r)->status, 431);
		http_reader_free(r);
	}
}

static double seconds_to_feed(size_t head, size_t body, size_t step)
{
	struct http_limits l = { .head = head, .target = 64, .fields = 8, .body = body };
	struct http_reader *r = reader_new(HTTP_REQUESTS, &l);
	char *text = malloc(head + body), *from;
	clock_t begin;
	enum http_progress p = HTTP_MORE;
	size_t used, at = 0;

	assert_non_null(text);
	from = text + snprintf(text, head, POST HOST "Content-Length: %zu\r\nX: ", body);
	memset(from, 'x', (size_t)(text + head - 4 - from));
	from = stpcpy(text + head - 4, "\r\n\r\n");
	memset(from, 'x', body);
	begin = clock();
	for (; at < head + body; at += used)
		p = http_feed(r, text + at, step < head + body - at ? step : head + body - at,
			      &used);
	assert_int_equal(p, HTTP_DONE);
	assert_int_equal(http_read_body(r).len, body);
	free(text);
	http_reader_free(r);
	return (double)(clock() - begin) / CLOCKS_PER_SEC;
}

/* 128 KiB and 4 MiB byte by byte: quadratic work would be 10^12 steps and more. */
static void single_bytes_cost_no_more_than_their_number(void **state)
{
	(void)state;
	assert_true(seconds_to_feed(HTTP_GUEST_HEAD, 4u << 20, 1) < 10);
	assert_true(seconds_to_feed(HTTP_GUEST_HEAD, 4u << 20, 1460) < 2);
}

/* ---- cookies and tokens ------------------------------------------------------------ */

static enum http_found
look(enum http_kind kind, const char *field,
     enum http_found (*find)(const struct http_head *, const char *, struct span *), char *ret)
{
	struct http_reader *r;
	struct span value = { "", 0 };
	enum http_found found;
	char text[512];

	snprintf(text, sizeof(text), "%s%s\r\n\r\n",
		 kind == HTTP_REQUESTS ? GET HOST : "HTTP/1.1 204 \r\n", field);
	r = whole(kind, text);
	found = find(http_read_head(r), "id", &value);
	snprintf(ret, 64, "%.*s", (int)value.len, value.at);
	http_reader_free(r);
	return found;
}

static enum http_found find_bearer(const struct http_head *h, const char *name,
				   struct span *ret)
{
	(void)name;
	return http_bearer(h, ret);
}

static void cookies_and_tokens_are_found_once(void **state)
{
	static const struct {
		const char *field, *value;
		enum http_found (*find)(const struct http_head *, const char *, struct span *);
		enum http_found found;
	} cases[] = {
		{ "Cookie: id=a", "a", http_cookie, HTTP_FOUND },
		{ "cookie: x=y; id=a; z=", "a", http_cookie, HTTP_FOUND },
		{ "Cookie: id=", "", http_cookie, HTTP_FOUND },
		{ "X: id=a", "", http_cookie, HTTP_ABSENT },
		{ "Cookie: ID=a", "", http_cookie, HTTP_ABSENT },
		{ "Cookie: xid=a", "", http_cookie, HTTP_ABSENT },
		{ "Cookie: id=a; id=a", NULL, http_cookie, HTTP_AMBIGUOUS },
		{ "Cookie: id=a; id=b", NULL, http_cookie, HTTP_AMBIGUOUS },
		{ "Cookie: id=a;id=b", NULL, http_cookie, HTTP_AMBIGUOUS },
		{ "Cookie: id=a,b", NULL, http_cookie, HTTP_AMBIGUOUS },
		{ "Cookie: id=\"a\"", NULL, http_cookie, HTTP_AMBIGUOUS },
		{ "Cookie: id", NULL, http_cookie, HTTP_AMBIGUOUS },
		{ "Cookie: id=a;", NULL, http_cookie, HTTP_AMBIGUOUS },
		{ "Cookie: id =a", NULL, http_cookie, HTTP_AMBIGUOUS },
		{ "Cookie:", NULL, http_cookie, HTTP_AMBIGUOUS },
		{ "Authorization: Bearer a.b-_~+/==", "a.b-_~+/==", find_bearer, HTTP_FOUND },
		{ "Authorization: bEARER a", "a", find_bearer, HTTP_FOUND },
		{ "X: Bearer a", "", find_bearer, HTTP_ABSENT },
		{ "Authorization: Bearer", NULL, find_bearer, HTTP_AMBIGUOUS },
		{ "Authorization: Bearer  a", NULL, find_bearer, HTTP_AMBIGUOUS },
		{ "Authorization: Bearer a b", NULL, find_bearer, HTTP_AMBIGUOUS },
		{ "Authorization: Bearer a,b", NULL, find_bearer, HTTP_AMBIGUOUS },
		{ "Authorization: Bearer =", NULL, find_bearer, HTTP_AMBIGUOUS },
		{ "Authorization: Bearer a=b", NULL, find_bearer, HTTP_AMBIGUOUS },
		{ "Authorization: Basic YTpi", NULL, find_bearer, HTTP_AMBIGUOUS },
		{ "Set-Cookie: id=a; Expires=x", "a", http_set_cookie, HTTP_FOUND },
		{ "Set-Cookie: id=a", "a", http_set_cookie, HTTP_FOUND },
		{ "Set-Cookie: x=y\r\nSet-Cookie: id=a; Secure", "a", http_set_cookie,
		  HTTP_FOUND },
		{ "Set-Cookie: x=y; id=a", "", http_set_cookie, HTTP_ABSENT },
		{ "Set-Cookie: id=a\r\nSet-Cookie: id=b", NULL, http_set_cookie,
		  HTTP_AMBIGUOUS },
	};
	char value[64];

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		enum http_kind kind =
			cases[i].find == http_set_cookie ? HTTP_RESPONSES : HTTP_REQUESTS;

		if (look(kind, cases[i].field, cases[i].find, value) != cases[i].found)
			fail_msg("%s", cases[i].field);
		if (cases[i].value)
			assert_string_equal(value, cases[i].value);
	}
}

static void segments_are_what_stands_between(void **state)
{
	struct span s[3];
	size_t n = 9;

	(void)state;
	assert_true(http_segments(span_of("/a//b"), s, 3, &n));
	assert_int_equal(n, 3);
	assert_span(s[0], "a");
	assert_int_equal(s[1].len, 0);
	assert_span(s[2], "b");
	assert_true(http_segments(span_of("/"), s, 3, &n));
	assert_int_equal(n, 1);
	assert_false(http_segments(span_of("/a/b/c/d"), s, 3, &n));
	assert_int_equal(n, 1); /* untouched */
}

/* ---- writing ----------------------------------------------------------------------- */

static void an_answer_reads_back(void **state)
{
	static const struct http_line lines[] = { { "Set-Cookie", "id=a; HttpOnly" } };
	struct http_answer a = { .status = 401,
				 .type = "application/json",
				 .length = 2,
				 .close = true,
				 .date = 784111777, /* RFC 9110, section 5.6.7 */
				 .lines = lines,
				 .n_lines = 1 };
	struct http_reader *r;
	struct span value;
	char text[512];
	size_t len;

	(void)state;
	assert_true(http_write_answer(&a, text, sizeof(text) - 2, &len));
	assert_int_equal(strlen(text), len);
	for (size_t n = 0; n <= len; n++)
		assert_false(http_write_answer(&a, text, n, &(size_t){ 0 }));
	assert_true(http_write_answer(&a, text, len + 1, &len));
	memcpy(text + len, "{}", 3);
	r = whole(HTTP_RESPONSES, text);
	assert_int_equal(http_read_head(r)->status, 401);
	assert_false(http_read_head(r)->keep_alive);
	assert_int_equal(http_field(http_read_head(r), "date", &value), HTTP_FOUND);
	assert_span(value, "Sun, 06 Nov 1994 08:49:37 GMT");
	assert_int_equal(http_field(http_read_head(r), "cache-control", &value), HTTP_FOUND);
	assert_span(value, "no-store");
	assert_int_equal(http_field(http_read_head(r), "www-authenticate", &value), HTTP_FOUND);
	assert_int_equal(http_set_cookie(http_read_head(r), "id", &value), HTTP_FOUND);
	http_reader_free(r);
}

static void a_call_reads_back(void **state)
{
	static const struct http_line lines[] = { { "Cookie", "id=a" } };
	struct http_call c = { .method = HTTP_POST,
			       .host = "[::1]:8443",
			       .target = "/kbs/v0/auth?x",
			       .type = "application/json",
			       .length = 2,
			       .lines = lines,
			       .n_lines = 1 };
	struct http_reader *r;
	char text[512];
	size_t len;

	(void)state;
	assert_true(http_write_call(&c, text, sizeof(text) - 2, &len));
	memcpy(text + len, "{}", 3);
	r = whole(HTTP_REQUESTS, text);
	assert_span(http_read_head(r)->path, "/kbs/v0/auth");
	assert_span(http_read_head(r)->query, "x");
	assert_span(http_read_body(r), "{}");
	http_reader_free(r);
}

static void nothing_is_smuggled_into_a_head(void **state)
{
	static const struct http_line bad[] = {
		{ "X", "a\r\nY: b" }, { "X", "a\n" },   { "X", " a" }, { "X", "a " },
		{ "X", "\xc3\xa9" },  { "X:", "a" },    { "", "a" },   { "X\r\nY", "a" },
		{ "X Y", "a" },       { "X", "a\x7f" },
	};
	static const char *const targets[] = { "", "a", "/a b", "/a\r\n", "/%2e", "/..", "*" };
	static const char *const hosts[] = { "", "h\r\nX: y", "h h", "h:0", "[::1" };
	struct http_answer a = { .status = 200, .n_lines = 1 };
	struct http_call c = { .method = HTTP_GET, .host = "h", .target = "/a" };
	char text[512];
	size_t len;

	(void)state;
	assert_true(http_write_call(&c, text, sizeof(text), &len));
	for (size_t i = 0; i < COUNT(bad); i++) {
		a.lines = c.lines = &bad[i];
		c.n_lines = 1;
		assert_false(http_write_answer(&a, text, sizeof(text), &len));
		assert_false(http_write_call(&c, text, sizeof(text), &len));
	}
	c.n_lines = 0;
	for (size_t i = 0; i < COUNT(targets); i++) {
		c.target = targets[i];
		assert_false(http_write_call(&c, text, sizeof(text), &len));
	}
	c.target = "/a";
	for (size_t i = 0; i < COUNT(hosts); i++) {
		c.host = hosts[i];
		assert_false(http_write_call(&c, text, sizeof(text), &len));
	}
	a = (struct http_answer){ .status = 299 };
	assert_false(http_write_answer(&a, text, sizeof(text), &len));
	a = (struct http_answer){ .status = 204, .length = 1 };
	assert_false(http_write_answer(&a, text, sizeof(text), &len));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_is_read_whole),
		cmocka_unit_test(a_response_is_read_whole),
		cmocka_unit_test(what_follows_is_the_next_message),
		cmocka_unit_test(a_fault_is_for_good),
		cmocka_unit_test(the_head_is_seen_before_the_body),
		cmocka_unit_test(guarded_memory_reads_the_same),
		cmocka_unit_test(where_it_is_cut_changes_nothing),
		cmocka_unit_test(a_part_is_never_the_whole),
		cmocka_unit_test(every_changed_byte_counts),
		cmocka_unit_test(two_lengths_are_refused),
		cmocka_unit_test(transfer_codings_are_refused),
		cmocka_unit_test(lines_have_one_form),
		cmocka_unit_test(first_lines_have_one_form),
		cmocka_unit_test(paths_have_one_spelling),
		cmocka_unit_test(there_is_one_host),
		cmocka_unit_test(connections_and_expectations),
		cmocka_unit_test(responses_have_one_form),
		cmocka_unit_test(limits_are_exact),
		cmocka_unit_test(there_is_room_for_no_more_fields),
		cmocka_unit_test(single_bytes_cost_no_more_than_their_number),
		cmocka_unit_test(cookies_and_tokens_are_found_once),
		cmocka_unit_test(segments_are_what_stands_between),
		cmocka_unit_test(an_answer_reads_back),
		cmocka_unit_test(a_call_reads_back),
		cmocka_unit_test(nothing_is_smuggled_into_a_head),
	};

	return cmocka_run_group_tests_name("http", tests, NULL, NULL);
}
