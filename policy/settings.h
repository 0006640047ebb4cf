/*
 * policy/settings.h - the configuration file of a program: one YAML mapping of known keys,
 * read as strictly as a policy. What a key may hold is said by a table; what is not in the
 * table is an error with line and column. Values are plain: texts, numbers, lists of numbers.
 * Needs libyaml. Nothing here prints.
 */
#pragma once

#include "policy/policy.h"

enum setting_kind {
	SETTING_TEXT = 1, /* not empty */
	SETTING_NUMBER,
	SETTING_NUMBERS, /* a list, which may be empty */
};

struct setting {
	const char *name; /* "limits.memory" is `memory` of the mapping `limits` */
	enum setting_kind kind;
	bool required;
	uint64_t min, max; /* of a number */
	void *to;          /* TEXT: char; NUMBER, NUMBERS: uint64_t */
	size_t size;       /* TEXT: bytes with the zero; NUMBERS: how many */
	size_t *n;         /* NUMBERS: how many there are */
};

#define SETTINGS_MAX (64u << 10) /* bytes of a file */

/* `table` ends with a NULL name. What is not in the file stays as it was; after a failure
 * the values are not to be used. */
__attribute__((warn_unused_result)) enum policy_status
settings_load(const char *path, const struct setting *table, struct policy_error *reterr);
/* The same from memory; `name` is used in findings. */
__attribute__((warn_unused_result)) enum policy_status
settings_parse(const char *name, const char *text, size_t len, const struct setting *table,
	       struct policy_error *reterr);
