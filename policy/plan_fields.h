/*
 * policy/plan_fields.h - what a plan consists of, as one table. The codec, the printed
 * text and the JSON form walk it, so that none of them can know a field that the others
 * do not. Private to the module; needs libc alone.
 */
#pragma once

#include "policy/policy.h"
#include "policy/words.h"

/* clang-format off */
enum field_type {          /* in the struct                     encoded as */
	FIELD_U32 = 1,     /* uint32_t, at most max             u32 */
	FIELD_OCTAL,       /* the same; printed as permissions  u32 */
	FIELD_I32,         /* int32_t, between -max and max     u32 */
	FIELD_U64,         /* uint64_t, at most max             u64 */
	FIELD_BOOL,        /* bool; printed as words, if any    u8 */
	FIELD_WORD,        /* uint32_t, one of words            u32 */
	FIELD_BITS32,      /* uint32_t, a sum of words          u32 */
	FIELD_BITS64,      /* uint64_t, a sum of words          u64 */
	FIELD_TEXT,        /* char *, at most max bytes         u32 length, bytes */
	FIELD_TEXTS,       /* char **, at most max of them      u32 count, texts */
	FIELD_NUMBERS,     /* uint32_t * and count              u32 count, u32s */
	FIELD_PROGRAM,     /* uint8_t * and count, 8 bytes each u32 count, bytes */
	FIELD_RECORD,      /* a struct                          its fields */
	FIELD_RECORDS,     /* struct * and count, at most max   u32 count, records */
};
/* clang-format on */

struct field {
	const char *name;
	enum field_type type;
	size_t at;       /* offset in the struct */
	size_t count_at; /* offset of its size_t count */
	uint64_t max;
	const struct word *words;
	bool (*form)(const char *text); /* TEXT, TEXTS: NULL = anything without a zero */
	const struct record *record;
};

struct record {
	size_t size;
	const struct field *fields; /* ends with a NULL name */
	/* What single fields cannot say: NULL, or what is wrong. */
	const char *(*check)(const void *record);
};

extern const struct record plan_record;

/* TEXT: NULL means "". The others: what is there. */
const char *field_text(const struct field *f, const void *record);
char *const *field_texts(const struct field *f, const void *record); /* never NULL */
uint64_t field_number(const struct field *f, const void *record);    /* I32: as it is stored */
size_t field_count(const struct field *f, const void *record);
const void *field_array(const struct field *f, const void *record);

/* NULL when the value is one that a plan may hold, else what is wrong with it.
 * RECORD and RECORDS: only the count; their members are fields of their own. */
const char *field_check(const struct field *f, const void *record);
