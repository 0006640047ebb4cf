/*
 * policy/reading.h - tables that say which keys a mapping may have and where their values
 * go, and the readers for the kinds of values. Private to the module.
 */
#pragma once

#include "policy/policy_internal.h"
#include "policy/words.h"
#include "policy/yaml.h"

struct reading {
	struct arena *arena;
	struct policy *policy; /* being filled */
	const struct node *root;
	const char *text;   /* the whole file */
	const char *folder; /* where relative profile paths begin; "" = here */
	char path[512];     /* of the value being read: resources.memory */
	struct policy_error *err;
};

enum key_flags {
	KEY_REQUIRED = 1 << 0, /* where the class allows it at all */
	KEY_SANDBOX = 1 << 1,  /* only in a sandbox */
	KEY_GUEST = 1 << 2,    /* only in a guest */
	KEY_UNIQUE = 1 << 3,   /* TEXTS: none twice */
};

struct key;
typedef enum policy_status read_fn(struct reading *rd, const struct node *n,
				   const struct key *k, void *to);

struct key {
	const char *name; /* NULL ends a table */
	read_fn *read;
	size_t at; /* where in the struct being filled the value goes */
	unsigned flags;
	uint64_t min, max;              /* numbers; lists: how many */
	const struct word *words;       /* words */
	bool (*form)(const char *text); /* texts; NULL = anything but nothing */
	const char *wanted;             /* the form in words */
	const struct key *keys;         /* mappings, and the mappings of a list */
	size_t size, count_at;          /* records: of one; where their number goes */
	const void *initial;            /* records: what one is before it is read */
};

/* read_mapping reads into the same struct: its keys' offsets are from there. */
read_fn read_mapping, read_text, read_texts, read_word, read_word_bool, read_bool, read_u32,
	read_u64, read_size, read_milli, read_records;

/* One clean line of text that is not a number or another of YAML's types in disguise. */
enum policy_status read_plain_text(struct reading *rd, const struct node *n, const char **ret);
enum policy_status read_number(struct reading *rd, const struct node *n, uint64_t min,
			       uint64_t max, uint64_t *ret);
/* Decimal digits without a leading zero (which YAML 1.1 takes for octal), then whatever
 * *ret_end points to. */
bool read_digits(const char *s, uint64_t *ret, const char **ret_end);
enum policy_status want_list(struct reading *rd, const struct node *n, size_t min, size_t max);

/* Findings at `n`, or at what holds it when `n` is NULL. */
__attribute__((format(printf, 5, 6))) enum policy_status
reading_fail(struct reading *rd, const struct node *n, enum policy_status s, const char *hint,
	     const char *what, ...);
/* A contradiction between two places is never settled by taking one of them. */
__attribute__((format(printf, 5, 6))) enum policy_status
reading_clash(struct reading *rd, const struct node *n, const struct node *other,
	      const char *hint, const char *what, ...);

/* Names the member being read in rd->path; leave with the value that enter returned. */
size_t reading_enter(struct reading *rd, const char *name);
size_t reading_enter_item(struct reading *rd, size_t index);
void reading_leave(struct reading *rd, size_t mark);
