/*
 * attest/json_writer.h - canonical JSON (RFC 8785) into a buffer of known size.
 *
 * What is written has one spelling: no spaces, the members of an object in ascending
 * order of their names, the shortest escapes. The caller writes members in that order; a
 * name that does not ascend, or anything that does not fit, makes the writer `bad` for
 * good, so that a slip is a refusal and never a second spelling. Names are plain ASCII,
 * numbers are integers that every JSON reader keeps (53 bits). Allocates nothing.
 * (The names of its functions begin with jw_: jansson has the others.)
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JSON_DEPTH 8u

struct json_writer {
	char *begin, *at;
	size_t left;
	unsigned depth;
	bool bad;   /* sticky: something did not fit, or came in the wrong order */
	bool comma; /* a value stands before the next one */
	const char *last[JSON_DEPTH]; /* the last name of each open object; borrowed */
};

void jw_begin(struct json_writer *w, char *buf, size_t size);
/* Bytes written, without the final zero that is put behind them; false when `bad` or when
 * something is still open. */
bool jw_end(struct json_writer *w, size_t *ret_len);

void jw_object(struct json_writer *w);
void jw_object_end(struct json_writer *w);
void jw_array(struct json_writer *w);
void jw_array_end(struct json_writer *w);
/* The name of the value that follows; it must stay as it is until the object's end. */
void jw_key(struct json_writer *w, const char *name);

/* Whatever is no UTF-8 becomes U+FFFD, byte by byte. */
void jw_string(struct json_writer *w, const char *s);
void jw_integer(struct json_writer *w, int64_t v); /* beyond +-(2^53 - 1): bad */
void jw_bool(struct json_writer *w, bool v);
void jw_base64(struct json_writer *w, const void *bytes, size_t n); /* a string */
/* A value that is canonical JSON already. */
void jw_raw(struct json_writer *w, const char *json, size_t n);
