/*
 * policy/reader.h - a cursor over bytes that somebody else wrote.
 * One bounds check, sticky failure, little-endian numbers. It allocates nothing
 * and never looks behind `left`. Used by every binary decoder of the tree.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct rd {
	const uint8_t *at; /* next unread byte; borrowed */
	size_t left;       /* bytes from `at` to the end */
	bool bad;          /* sticky: some read did not fit or did not match */
};

/* The one bounds check. It compares with what is left; no sum can wrap. */
static inline const uint8_t *rd_take(struct rd *r, size_t n)
{
	const uint8_t *p = r->at;

	if (r->bad || n > r->left) {
		r->bad = true;
		return NULL;
	}
	r->at += n;
	r->left -= n;
	return p;
}

static inline uint64_t rd_number(struct rd *r, size_t bytes)
{
	const uint8_t *p = rd_take(r, bytes);
	uint64_t v = 0;

	for (size_t i = 0; p && i < bytes; i++)
		v |= (uint64_t)p[i] << (8 * i);
	return v;
}

static inline uint8_t rd_u8(struct rd *r)
{
	return (uint8_t)rd_number(r, 1);
}

static inline uint32_t rd_u32le(struct rd *r)
{
	return (uint32_t)rd_number(r, 4);
}

static inline uint64_t rd_u64le(struct rd *r)
{
	return rd_number(r, 8);
}

static inline void rd_copy(struct rd *r, void *to, size_t n)
{
	const uint8_t *p = rd_take(r, n);

	if (p)
		memcpy(to, p, n);
}

static inline void rd_zeros(struct rd *r, size_t n) /* reserved fields */
{
	const uint8_t *p = rd_take(r, n);

	for (size_t i = 0; p && i < n; i++)
		r->bad |= p[i] != 0;
}

/* A fixed field that holds a text: it must end in zeros and carry no byte behind
 * the first zero, so that one text has one encoding. */
static inline void rd_text(struct rd *r, char *to, size_t n)
{
	const uint8_t *p = rd_take(r, n);
	size_t len = p ? strnlen((const char *)p, n) : 0;

	r->bad |= !p || len == n;
	for (size_t i = len; p && i < n; i++)
		r->bad |= p[i] != 0;
	if (!r->bad)
		memcpy(to, p, n);
}

/* The writing half: the same numbers into a buffer of known size. */
struct wr {
	uint8_t *at;
	size_t left;
	bool bad; /* sticky: something did not fit */
};

static inline void wr_bytes(struct wr *w, const void *from, size_t n)
{
	if (w->bad || n > w->left) {
		w->bad = true;
		return;
	}
	memcpy(w->at, from, n);
	w->at += n;
	w->left -= n;
}

static inline void wr_number(struct wr *w, uint64_t v, size_t bytes)
{
	uint8_t b[8];

	for (size_t i = 0; i < bytes; i++)
		b[i] = (uint8_t)(v >> (8 * i));
	wr_bytes(w, b, bytes);
}

static inline void wr_u32le(struct wr *w, uint32_t v)
{
	wr_number(w, v, 4);
}

static inline void wr_u64le(struct wr *w, uint64_t v)
{
	wr_number(w, v, 8);
}

/* `n` bytes: the text, then zeros; a text without room for one zero is bad. */
static inline void wr_text(struct wr *w, const char *text, size_t n)
{
	size_t len = strnlen(text, n);

	if (w->bad || n > w->left || len == n) {
		w->bad = true;
		return;
	}
	memset(w->at, 0, n);
	memcpy(w->at, text, len);
	w->at += n;
	w->left -= n;
}
