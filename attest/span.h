/*
 * attest/span.h - a stretch of text that somebody else wrote, read from its front. For the
 * line formats of a log: notes, checkpoints, proofs, policies. It allocates nothing.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct span {
	const char *at; /* borrowed */
	size_t len;
};

static inline struct span span_of(const char *text)
{
	return (struct span){ text, strlen(text) };
}

static inline bool span_equal(struct span a, struct span b)
{
	return a.len == b.len && memcmp(a.at, b.at, a.len) == 0;
}

static inline bool span_is(struct span s, const char *text)
{
	return span_equal(s, span_of(text));
}

/* Takes `prefix` off the front. */
static inline bool span_skip(struct span *s, const char *prefix)
{
	size_t n = strlen(prefix);

	if (s->len < n || memcmp(s->at, prefix, n) != 0)
		return false;
	s->at += n;
	s->len -= n;
	return true;
}

/* Takes all up to the next `end`, and `end` itself; false (and nothing taken) where there
 * is none. A line is what ends in a newline. */
static inline bool span_until(struct span *s, char end, struct span *ret)
{
	const char *stop = s->len ? memchr(s->at, end, s->len) : NULL;

	if (!stop)
		return false;
	*ret = (struct span){ s->at, (size_t)(stop - s->at) };
	s->len -= ret->len + 1;
	s->at = stop + 1;
	return true;
}

/* The whole of `s` as the one decimal spelling of a number of at most 63 bits. */
static inline bool span_decimal(struct span s, uint64_t *ret)
{
	uint64_t v = 0;

	if (s.len == 0 || (s.at[0] == '0' && s.len > 1))
		return false;
	for (size_t i = 0; i < s.len; i++) {
		unsigned digit = (unsigned char)s.at[i] - (unsigned)'0';

		if (digit > 9 || v > ((uint64_t)INT64_MAX - digit) / 10)
			return false;
		v = v * 10 + digit;
	}
	*ret = v;
	return true;
}
