/*
 * tests/fuzz/fuzz_http.c - a message has one reading, wherever it is cut, and what was read
 * can be written and read again. The first byte chooses requests or responses, the second
 * the size of the pieces.
 */
#include "attest/http.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct http_limits limits = {
	.head = 4096, .target = 512, .fields = HTTP_FIELDS_MAX, .body = 65536
};

static struct http_reader *read_in_pieces(enum http_kind kind, const uint8_t *data, size_t size,
					  size_t step, enum http_progress *ret,
					  size_t *ret_used)
{
	struct http_reader *r = http_reader_new(kind, &limits);
	size_t at = 0, used = 0;

	if (!r)
		abort();
	*ret = HTTP_MORE;
	while (at < size && *ret == HTTP_MORE) {
		size_t n = step < size - at ? step : size - at;

		*ret = http_feed(r, data + at, n, &used);
		if (used > n || (*ret == HTTP_MORE && used < n))
			abort();
		at += used;
	}
	*ret_used = at;
	return r;
}

static bool same_head(const struct http_head *a, const struct http_head *b)
{
	if (!a || !b)
		return !a && !b;
	if (a->method != b->method || a->status != b->status || a->length != b->length ||
	    a->has_length != b->has_length || a->keep_alive != b->keep_alive ||
	    a->expect_continue != b->expect_continue || a->n_fields != b->n_fields)
		return false;
	if (a->method && (!span_equal(a->path, b->path) || a->query.len != b->query.len))
		return false;
	for (size_t i = 0; i < a->n_fields; i++)
		if (!span_equal(a->fields[i].name, b->fields[i].name) ||
		    !span_equal(a->fields[i].value, b->fields[i].value))
			return false;
	return true;
}

static char *text_of(struct span s)
{
	return s.len ? strndup(s.at, s.len) : strdup("");
}

static void check_written(const char *text, size_t len, const struct http_head *h)
{
	enum http_progress p = HTTP_MORE;
	size_t used;
	struct http_reader *r =
		read_in_pieces(HTTP_REQUESTS, (const uint8_t *)text, len, len, &p, &used);

	if (p != HTTP_DONE || used != len || !span_equal(http_read_head(r)->path, h->path))
		abort();
	http_reader_free(r);
}

/* The same fields as a head of ours, which reads back as it was; one field more, and some
 * spaces, may come to them. */
static void check_again(const struct http_head *h)
{
	struct http_line lines[HTTP_FIELDS_MAX];
	char *host = NULL, *path = text_of(h->path), buf[8192];
	struct http_call c = { .method = h->method, .target = path, .lines = lines };
	size_t len = 0;

	for (size_t i = 0; i < h->n_fields; i++) {
		char *name = text_of(h->fields[i].name), *value = text_of(h->fields[i].value);

		if (!name || !value)
			abort();
		if (strcasecmp(name, "host") == 0) {
			host = value;
			free(name);
		} else if (strcasecmp(name, "content-length") == 0 ||
			   strcasecmp(name, "content-type") == 0) {
			free(name);
			free(value);
		} else {
			lines[c.n_lines++] = (struct http_line){ name, value };
		}
	}
	c.host = host;
	c.type = h->method == HTTP_POST || h->method == HTTP_PUT ? "a/b" : NULL;
	if (!http_write_call(&c, buf, sizeof(buf), &len))
		abort();
	if (len <= limits.head && h->n_fields + 2 <= HTTP_FIELDS_MAX)
		check_written(buf, len, h);
	for (size_t i = 0; i < c.n_lines; i++) {
		free((char *)(uintptr_t)lines[i].name);
		free((char *)(uintptr_t)lines[i].value);
	}
	free(host);
	free(path);
}

static void check_path(struct span path)
{
	char *text = text_of(path);

	if (!text || text[0] != '/' || strchr(text, '%') || strstr(text, "/../") ||
	    strstr(text, "/./") || strchr(text, '\\'))
		abort();
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum http_kind kind = size && data[0] & 1 ? HTTP_RESPONSES : HTTP_REQUESTS;
	size_t step = size > 1 ? 1 + data[1] : 1, skip = size < 2 ? size : 2, used, again;
	enum http_progress p, q;
	struct http_reader *a, *b;
	const struct http_head *h;
	struct span ignored;

	data += skip;
	size -= skip;
	a = read_in_pieces(kind, data, size, size ? size : 1, &p, &used);
	b = read_in_pieces(kind, data, size, step, &q, &again);
	h = http_read_head(a);
	if (p != q || used != again || !same_head(h, http_read_head(b)) ||
	    !span_equal(http_read_body(a), http_read_body(b)) ||
	    (p == HTTP_BAD) != (http_fault(a) != NULL))
		abort();
	if (p == HTTP_BAD && http_fault(a)->status != http_fault(b)->status)
		abort();
	if (p == HTTP_DONE && (!h || http_read_body(a).len != h->length))
		abort();
	if (h) {
		(void)http_cookie(h, "kbs-session-id", &ignored);
		(void)http_set_cookie(h, "kbs-session-id", &ignored);
		(void)http_bearer(h, &ignored);
	}
	if (h && kind == HTTP_REQUESTS) {
		check_path(h->path);
		check_again(h);
	}
	http_reader_free(a);
	http_reader_free(b);
	return 0;
}
