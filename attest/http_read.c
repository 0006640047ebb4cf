/*
 * attest/http_read.c - from bytes to a whole message, however they are cut.
 *
 * While a head arrives, only its bytes and its line ends are judged; its grammar is looked at
 * once, when it is whole. That keeps the work linear for a peer that sends byte by byte.
 */
#include <stdlib.h>

#include "attest/http_internal.h"
#include "memscrub/guard.h"

#define FIRST_SIZE 1024u
#define AROUND_TARGET (sizeof("DELETE  HTTP/1.1\r\n") - 1)

/* ---- memory ------------------------------------------------------------------------ */

struct buffer {
	char *at;
	size_t len, size;
	bool secret;
};

static void buffer_drop(struct buffer *b)
{
	if (b->secret) {
		guard_free(b->at);
	} else if (b->at) {
		explicit_bzero(b->at, b->size);
		free(b->at);
	}
	*b = (struct buffer){ .secret = b->secret };
}

/* Twice as much each time, at most `most`: what is moved stays proportional to what came. */
static bool buffer_room(struct buffer *b, size_t n, size_t most)
{
	struct buffer bigger = { .len = b->len, .secret = b->secret };

	if (n <= b->size - b->len)
		return true;
	bigger.size = b->size > most / 2 ? most : 2 * b->size;
	if (bigger.size < FIRST_SIZE)
		bigger.size = most < FIRST_SIZE ? most : FIRST_SIZE;
	if (bigger.size - b->len < n)
		bigger.size = b->len + n;
	bigger.at = b->secret ? guard_alloc(bigger.size) : malloc(bigger.size);
	if (!bigger.at)
		return false;
	if (b->len)
		memcpy(bigger.at, b->at, b->len);
	buffer_drop(b);
	*b = bigger;
	return true;
}

static bool buffer_add(struct buffer *b, const char *bytes, size_t n, size_t most)
{
	if (n == 0)
		return true;
	if (!buffer_room(b, n, most))
		return false;
	memcpy(b->at + b->len, bytes, n);
	b->len += n;
	return true;
}

/* ---- reader ------------------------------------------------------------------------ */

enum state { IN_HEAD = 0, IN_BODY, WHOLE, BROKEN };

struct http_reader {
	enum http_kind kind;
	struct http_limits limits;
	enum state state;
	struct buffer text, body;
	bool cr;      /* the last byte was a CR */
	size_t line;  /* bytes of the line that is being read */
	size_t lines; /* whole ones */
	struct http_head head;
	struct http_fault fault;
};

struct http_reader *http_reader_new(enum http_kind kind, const struct http_limits *limits)
{
	struct http_reader *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->kind = kind;
	r->limits = *limits;
	r->text.secret = r->body.secret = limits->secret;
	return r;
}

void http_reader_free(struct http_reader *r)
{
	if (!r)
		return;
	buffer_drop(&r->text);
	buffer_drop(&r->body);
	free(r);
}

void http_reader_freep(struct http_reader **r)
{
	http_reader_free(*r);
}

void http_next(struct http_reader *r)
{
	if (r->state == BROKEN)
		return;
	buffer_drop(&r->text);
	buffer_drop(&r->body);
	r->state = IN_HEAD;
	r->cr = false;
	r->line = r->lines = 0;
}

const struct http_head *http_read_head(const struct http_reader *r)
{
	return r->state == IN_BODY || r->state == WHOLE ? &r->head : NULL;
}

struct span http_read_body(const struct http_reader *r)
{
	return (struct span){ r->body.at ? r->body.at : "", r->body.len };
}

const struct http_fault *http_fault(const struct http_reader *r)
{
	return r->state == BROKEN ? &r->fault : NULL;
}

static void refuse(struct http_reader *r, unsigned status, const char *what)
{
	r->state = BROKEN;
	r->fault = (struct http_fault){ status, what };
}

/* ---- head -------------------------------------------------------------------------- */

/* One line more. True: it was the empty one, and the head is whole. */
static bool line_ends(struct http_reader *r)
{
	bool last = r->line == 0;

	r->line = 0;
	r->lines += !last;
	if (r->lines > r->limits.fields + 1)
		refuse(r, 431, "too many fields");
	return last;
}

/* True: the head is whole, or refused. */
static bool take_byte(struct http_reader *r, uint8_t c)
{
	bool cr = r->cr;

	r->cr = c == '\r';
	if (cr != (c == '\n')) {
		refuse(r, 400, cr ? "a CR without LF" : "a LF without CR");
		return true;
	}
	if (c == '\n')
		return line_ends(r) || r->state == BROKEN;
	if (c == '\r')
		return false;
	if ((c < 0x20 && c != '\t') || c > 0x7e) {
		refuse(r, 400, "a byte that no head has");
		return true;
	}
	r->line++;
	if (r->kind == HTTP_REQUESTS && r->lines == 0 &&
	    r->line > r->limits.target + AROUND_TARGET) {
		refuse(r, 414, "the target is too long");
		return true;
	}
	return false;
}

static void head_ends(struct http_reader *r)
{
	struct span text = { r->text.at, r->text.len };

	if (!http_head_parse(r->kind, &r->limits, text, &r->head, &r->fault))
		r->state = BROKEN;
	else
		r->state = r->head.length ? IN_BODY : WHOLE;
}

static size_t take_head(struct http_reader *r, const char *bytes, size_t len)
{
	size_t room = r->limits.head - r->text.len, n = 0;
	bool ends = false;

	while (n < len && n < room && !ends)
		ends = take_byte(r, (uint8_t)bytes[n++]);
	if (r->state == BROKEN)
		return n;
	if (!buffer_add(&r->text, bytes, n, r->limits.head))
		refuse(r, 503, "no memory for the head");
	else if (ends)
		head_ends(r);
	else if (n == room)
		refuse(r, 431, "the head is too long");
	return n;
}

/* ---- body -------------------------------------------------------------------------- */

static size_t take_body(struct http_reader *r, const char *bytes, size_t len)
{
	size_t left = r->head.length - r->body.len, n = len < left ? len : left;

	if (!buffer_add(&r->body, bytes, n, r->head.length))
		refuse(r, 503, "no memory for the body");
	else if (n == left)
		r->state = WHOLE;
	return n;
}

enum http_progress http_feed(struct http_reader *r, const void *bytes, size_t len,
			     size_t *ret_used)
{
	const char *from = bytes;
	size_t used = 0;

	if (r->state == IN_HEAD)
		used = take_head(r, from, len);
	if (r->state == IN_BODY)
		used += take_body(r, from + used, len - used);
	*ret_used = used;
	if (r->state == BROKEN)
		return HTTP_BAD;
	return r->state == WHOLE ? HTTP_DONE : HTTP_MORE;
}
