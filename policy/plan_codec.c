/*
 * policy/plan_codec.c - plans as bytes, and the memory that a plan lives in.
 *
 * "CRDNPLAN", version u32, then the fields in the order of policy/plan_fields.c, numbers
 * little-endian; plan_fields.h says how each type is written. There is no other way to
 * write a value, so that what decodes encodes back to the same bytes. Linked into static
 * programs: libc only.
 */
#include "policy/plan_fields.h"
#include "policy/policy_internal.h"
#include "policy/reader.h"

#include <stdlib.h>
#include <string.h>

static const char magic[8] = { 'C', 'R', 'D', 'N', 'P', 'L', 'A', 'N' };
#define VERSION 1u
#define INSN_BYTES 8u

/* A plan and all its pieces; callers see the inner struct. */
struct owned_plan {
	struct policy_plan plan; /* first: the two share their address */
	struct arena arena;
};

void policy_plan_free(struct policy_plan *plan)
{
	struct owned_plan *own = (struct owned_plan *)plan;

	if (!own)
		return;
	arena_free(&own->arena);
	free(own);
}

/* ---- encoding -------------------------------------------------------------------- */

static size_t number_bytes(enum field_type type)
{
	switch (type) {
	case FIELD_BOOL:
		return 1;
	case FIELD_U64:
	case FIELD_BITS64:
		return 8;
	default:
		return 4;
	}
}

static void put_text(struct wr *w, const char *s)
{
	size_t n = strlen(s);

	w->bad |= n > POLICY_PLAN_MAX;
	wr_u32le(w, (uint32_t)n);
	wr_bytes(w, s, n);
}

static bool put_record(struct wr *w, const struct record *rec, const void *from);

/* False: the value is not one that a plan may hold. */
static bool put_field(struct wr *w, const struct field *f, const void *from)
{
	size_t n;

	if (field_check(f, from))
		return false;
	switch (f->type) {
	case FIELD_TEXT:
		put_text(w, field_text(f, from));
		return true;
	case FIELD_TEXTS:
		wr_u32le(w, (uint32_t)field_count(f, from));
		for (char *const *t = field_texts(f, from); *t; t++)
			put_text(w, *t);
		return true;
	case FIELD_NUMBERS:
		n = field_count(f, from);
		wr_u32le(w, (uint32_t)n);
		for (size_t i = 0; i < n; i++)
			wr_u32le(w, ((const uint32_t *)field_array(f, from))[i]);
		return true;
	case FIELD_PROGRAM:
		n = field_count(f, from);
		wr_u32le(w, (uint32_t)n);
		if (n)
			wr_bytes(w, field_array(f, from), n * INSN_BYTES);
		return true;
	case FIELD_RECORD:
		return put_record(w, f->record, (const char *)from + f->at);
	case FIELD_RECORDS:
		n = field_count(f, from);
		wr_u32le(w, (uint32_t)n);
		for (size_t i = 0; i < n; i++)
			if (!put_record(w, f->record,
					(const char *)field_array(f, from) +
						i * f->record->size))
				return false;
		return true;
	default:
		wr_number(w, field_number(f, from), number_bytes(f->type));
		return true;
	}
}

static bool put_record(struct wr *w, const struct record *rec, const void *from)
{
	for (const struct field *f = rec->fields; f->name; f++)
		if (!put_field(w, f, from))
			return false;
	return !rec->check || !rec->check(from);
}

enum policy_status policy_plan_encode(const struct policy_plan *plan, uint8_t **ret,
				      size_t *ret_len)
{
	uint8_t *buf = malloc(POLICY_PLAN_MAX), *fit;
	struct wr w = { .at = buf, .left = POLICY_PLAN_MAX };
	size_t len;

	if (!buf)
		return POLICY_SYSTEM;
	wr_bytes(&w, magic, sizeof(magic));
	wr_u32le(&w, VERSION);
	if (!put_record(&w, &plan_record, plan) || w.bad) {
		free(buf);
		return POLICY_INVALID;
	}
	len = POLICY_PLAN_MAX - w.left;
	fit = realloc(buf, len);
	*ret = fit ? fit : buf;
	*ret_len = len;
	return POLICY_OK;
}

/* ---- decoding -------------------------------------------------------------------- */

struct decoding {
	struct rd r;
	const uint8_t *start;
	struct arena *arena;
	char key[sizeof(((struct policy_error *)NULL)->key)]; /* the field being read */
	struct policy_error *err;
};

static enum policy_status bad(struct decoding *d, const char *what)
{
	return policy_fail(d->err, POLICY_INVALID, d->key,
			   "the plan was damaged, or made by another version",
			   "%s, at byte %zu", what, (size_t)(d->r.at - d->start));
}

static const char cut_short[] = "the plan ends within it";

/* A count of things of which each takes at least `least` bytes. Compared with the bytes
 * that are left, it bounds what is allocated by the length of the input. */
static enum policy_status get_count(struct decoding *d, uint64_t max, size_t least, size_t *ret)
{
	uint32_t n = rd_u32le(&d->r);

	if (d->r.bad)
		return bad(d, cut_short);
	if (n > max)
		return bad(d, "too many");
	if (n > d->r.left / least)
		return bad(d, cut_short);
	*ret = n;
	return POLICY_OK;
}

static enum policy_status get_text(struct decoding *d, uint64_t max, char **ret)
{
	size_t len = 0;
	enum policy_status s = get_count(d, max, 1, &len);
	const uint8_t *from = s == POLICY_OK ? rd_take(&d->r, len) : NULL;

	if (!from)
		return s == POLICY_OK ? bad(d, cut_short) : s;
	if (memchr(from, 0, len))
		return bad(d, "a zero byte in a text");
	*ret = arena_text(d->arena, (const char *)from, len);
	return *ret ? POLICY_OK : policy_fail_memory(d->err);
}

static enum policy_status get_texts(struct decoding *d, const struct field *f, char ***ret)
{
	size_t n = 0;
	enum policy_status s = get_count(d, f->max, 4, &n);

	if (s != POLICY_OK)
		return s;
	*ret = arena_array(d->arena, n + 1, sizeof(**ret));
	if (!*ret)
		return policy_fail_memory(d->err);
	for (size_t i = 0; i < n && s == POLICY_OK; i++)
		s = get_text(d, POLICY_PLAN_MAX, &(*ret)[i]);
	return s;
}

static enum policy_status get_number(struct decoding *d, const struct field *f, void *to)
{
	size_t bytes = number_bytes(f->type);
	uint64_t v = rd_number(&d->r, bytes);

	if (d->r.bad)
		return bad(d, cut_short);
	if (f->type == FIELD_BOOL && v > 1)
		return bad(d, "neither true nor false");
	if (f->type == FIELD_BOOL)
		*(bool *)to = v == 1;
	else if (bytes == 8)
		*(uint64_t *)to = v;
	else
		*(uint32_t *)to = (uint32_t)v;
	return POLICY_OK;
}

/* NUMBERS and PROGRAM: an array of plain values. */
static enum policy_status get_plain(struct decoding *d, const struct field *f, void *ret,
				    size_t *ret_n)
{
	size_t each = f->type == FIELD_PROGRAM ? INSN_BYTES : sizeof(uint32_t), n = 0;
	enum policy_status s = get_count(d, f->max, each, &n);
	void *array = s == POLICY_OK ? arena_array(d->arena, n, each) : NULL;

	if (!array)
		return s == POLICY_OK ? policy_fail_memory(d->err) : s;
	if (f->type == FIELD_PROGRAM)
		rd_copy(&d->r, array, n * each);
	else
		for (size_t i = 0; i < n; i++)
			((uint32_t *)array)[i] = rd_u32le(&d->r);
	memcpy(ret, &array, sizeof(array)); /* a pointer to whatever the field holds */
	*ret_n = n;
	return POLICY_OK;
}

static enum policy_status get_record(struct decoding *d, const struct record *rec, void *to);

static enum policy_status get_records(struct decoding *d, const struct field *f, void *ret,
				      size_t *ret_n)
{
	size_t end = strlen(d->key), n = 0;
	enum policy_status s = get_count(d, f->max, 4, &n);
	char *array = s == POLICY_OK ? arena_array(d->arena, n, f->record->size) : NULL;

	if (!array)
		return s == POLICY_OK ? policy_fail_memory(d->err) : s;
	for (size_t i = 0; i < n && s == POLICY_OK; i++) {
		snprintf(d->key + end, sizeof(d->key) - end, "[%zu]", i);
		s = get_record(d, f->record, array + i * f->record->size);
	}
	memcpy(ret, &array, sizeof(array)); /* a pointer to whatever the field holds */
	*ret_n = n;
	return s;
}

static enum policy_status get_field(struct decoding *d, const struct field *f, void *record)
{
	void *to = (char *)record + f->at;
	size_t *count = (size_t *)(void *)((char *)record + f->count_at);
	enum policy_status s;
	const char *wrong;

	switch (f->type) {
	case FIELD_TEXT:
		s = get_text(d, f->max, to);
		break;
	case FIELD_TEXTS:
		s = get_texts(d, f, to);
		break;
	case FIELD_NUMBERS:
	case FIELD_PROGRAM:
		s = get_plain(d, f, to, count);
		break;
	case FIELD_RECORD:
		return get_record(d, f->record, to);
	case FIELD_RECORDS:
		return get_records(d, f, to, count);
	default:
		s = get_number(d, f, to);
	}
	if (s != POLICY_OK)
		return s;
	wrong = field_check(f, record);
	return wrong ? bad(d, wrong) : POLICY_OK;
}

static enum policy_status get_record(struct decoding *d, const struct record *rec, void *to)
{
	size_t end = strlen(d->key);
	enum policy_status s = POLICY_OK;
	const char *wrong;

	for (const struct field *f = rec->fields; f->name && s == POLICY_OK; f++) {
		snprintf(d->key + end, sizeof(d->key) - end, "%s%s", end ? "." : "", f->name);
		s = get_field(d, f, to);
	}
	if (s != POLICY_OK)
		return s; /* the key still names the field */
	d->key[end] = '\0';
	wrong = rec->check ? rec->check(to) : NULL;
	return wrong ? bad(d, wrong) : POLICY_OK;
}

enum policy_status policy_plan_decode(const uint8_t *buf, size_t len, struct policy_plan **ret,
				      struct policy_error *reterr)
{
	struct decoding d = { .r = { .at = buf, .left = len }, .start = buf, .err = reterr };
	const uint8_t *m = rd_take(&d.r, sizeof(magic));
	struct owned_plan *own;
	enum policy_status s;

	if (len > POLICY_PLAN_MAX || !m || memcmp(m, magic, sizeof(magic)) != 0 ||
	    rd_u32le(&d.r) != VERSION)
		return bad(&d, "not a plan of this version");
	own = calloc(1, sizeof(*own));
	if (!own)
		return policy_fail_memory(reterr);
	d.arena = &own->arena;
	s = get_record(&d, &plan_record, &own->plan);
	if (s == POLICY_OK && d.r.left)
		s = bad(&d, "bytes behind the end");
	if (s != POLICY_OK) {
		policy_plan_free(&own->plan);
		return s;
	}
	*ret = &own->plan;
	return POLICY_OK;
}
