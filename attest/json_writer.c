/* attest/json_writer.c - RFC 8785: one value, one spelling. */
#include "attest/json_writer.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "attest/base64.h"

#define INTEGER_MAX ((INT64_C(1) << 53) - 1) /* RFC 7493, section 2.2 */

static void put(struct json_writer *w, const char *s, size_t n)
{
	if (w->bad || n > w->left) {
		w->bad = true;
		return;
	}
	memcpy(w->at, s, n);
	w->at += n;
	w->left -= n;
}

static void put_char(struct json_writer *w, char c)
{
	put(w, &c, 1);
}

void jw_begin(struct json_writer *w, char *buf, size_t size)
{
	*w = (struct json_writer){ .begin = buf, .at = buf, .left = size };
}

bool jw_end(struct json_writer *w, size_t *ret_len)
{
	w->bad |= w->depth != 0;
	put_char(w, '\0');
	if (w->bad)
		return false;
	*ret_len = (size_t)(w->at - w->begin) - 1;
	return true;
}

/* ---- structure ------------------------------------------------------------------- */

/* Before every value, and before every name. */
static void separate(struct json_writer *w)
{
	if (w->comma)
		put_char(w, ',');
	w->comma = true;
}

static void enter(struct json_writer *w, char bracket)
{
	separate(w);
	put_char(w, bracket);
	w->comma = false;
	if (w->depth == JSON_DEPTH) {
		w->bad = true;
		return;
	}
	w->last[w->depth++] = bracket == '{' ? "" : NULL; /* an array has no names */
}

static void leave(struct json_writer *w, char bracket)
{
	put_char(w, bracket);
	w->comma = true;
	if (w->depth == 0)
		w->bad = true;
	else
		w->depth--;
}

void jw_object(struct json_writer *w)
{
	enter(w, '{');
}

void jw_object_end(struct json_writer *w)
{
	leave(w, '}');
}

void jw_array(struct json_writer *w)
{
	enter(w, '[');
}

void jw_array_end(struct json_writer *w)
{
	leave(w, ']');
}

/* Printable ASCII that needs no escape: there the order of bytes is that of UTF-16 code
 * units, which RFC 8785 sorts by. */
static bool plain(const char *name)
{
	for (; *name; name++)
		if (*name < 0x20 || *name > 0x7e || *name == '"' || *name == '\\')
			return false;
	return true;
}

void jw_key(struct json_writer *w, const char *name)
{
	const char **last = w->depth ? &w->last[w->depth - 1] : NULL;

	if (!last || !*last || !plain(name) || strcmp(*last, name) >= 0) {
		w->bad = true;
		return;
	}
	*last = name;
	separate(w);
	put_char(w, '"');
	put(w, name, strlen(name));
	put(w, "\":", 2);
	w->comma = false;
}

/* ---- values ---------------------------------------------------------------------- */

/* Bytes of the UTF-8 character that `s` starts with, 0 for none (RFC 3629, section 4:
 * shortest forms, no surrogates, at most 10FFFF). A final zero ends any form. */
static size_t character(const uint8_t *s)
{
	static const struct {
		uint8_t first, last, low, high; /* first byte from..to; second byte from..to */
		size_t bytes;
	} forms[] = {
		{ 0x01, 0x7f, 0, 0xff, 1 },    { 0xc2, 0xdf, 0x80, 0xbf, 2 },
		{ 0xe0, 0xe0, 0xa0, 0xbf, 3 }, { 0xe1, 0xec, 0x80, 0xbf, 3 },
		{ 0xed, 0xed, 0x80, 0x9f, 3 }, { 0xee, 0xef, 0x80, 0xbf, 3 },
		{ 0xf0, 0xf0, 0x90, 0xbf, 4 }, { 0xf1, 0xf3, 0x80, 0xbf, 4 },
		{ 0xf4, 0xf4, 0x80, 0x8f, 4 },
	};

	for (size_t f = 0; f < sizeof(forms) / sizeof(forms[0]); f++) {
		if (s[0] < forms[f].first || s[0] > forms[f].last)
			continue;
		if (forms[f].bytes == 1)
			return 1;
		if (s[1] < forms[f].low || s[1] > forms[f].high)
			return 0;
		for (size_t i = 2; i < forms[f].bytes; i++)
			if ((s[i] & 0xc0) != 0x80)
				return 0;
		return forms[f].bytes;
	}
	return 0;
}

/* RFC 8785, section 3.2.2.2. */
static void put_escaped(struct json_writer *w, uint8_t c)
{
	static const char short_forms[0x20] = {
		['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r',
	};
	char escape[7];

	if (c == '"' || c == '\\')
		snprintf(escape, sizeof(escape), "\\%c", c);
	else if (short_forms[c])
		snprintf(escape, sizeof(escape), "\\%c", short_forms[c]);
	else
		snprintf(escape, sizeof(escape), "\\u%04x", c);
	put(w, escape, strlen(escape));
}

void jw_string(struct json_writer *w, const char *s)
{
	separate(w);
	put_char(w, '"');
	while (*s) {
		uint8_t c = (uint8_t)*s;
		size_t n = character((const uint8_t *)s);

		if (n == 0)
			put(w, "\xef\xbf\xbd", 3);
		else if (c < 0x20 || c == '"' || c == '\\')
			put_escaped(w, c);
		else
			put(w, s, n);
		s += n ? n : 1;
	}
	put_char(w, '"');
}

void jw_integer(struct json_writer *w, int64_t v)
{
	char digits[24];

	w->bad |= v > INTEGER_MAX || v < -INTEGER_MAX;
	snprintf(digits, sizeof(digits), "%" PRId64, v);
	separate(w);
	put(w, digits, strlen(digits));
}

void jw_bool(struct json_writer *w, bool v)
{
	separate(w);
	if (v)
		put(w, "true", 4);
	else
		put(w, "false", 5);
}

void jw_base64(struct json_writer *w, const void *bytes, size_t n)
{
	const uint8_t *from = bytes;
	char text[BASE64_SIZE(48)];

	separate(w);
	put_char(w, '"');
	while (n > 0) {
		size_t some = n < 48 ? n : 48; /* a multiple of 3: no padding but at the end */

		base64_encode(from, some, text);
		put(w, text, strlen(text));
		from += some;
		n -= some;
	}
	put_char(w, '"');
}

void jw_raw(struct json_writer *w, const char *json, size_t n)
{
	separate(w);
	put(w, json, n);
}
