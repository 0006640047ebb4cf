/*
 * policy/words.h - the words that policies and printed plans share, and the forms that
 * their texts must have. Private to the module; needs libc alone.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct word {
	uint64_t value;
	const char *name;
};

/* Each ends with a NULL name. */
extern const struct word words_class[], words_tee[], words_shared_uid[], words_core_sched[],
	words_network[], words_protocol[], words_held[], words_kernel[], words_witness[],
	words_mount_kind[], words_mount_attr[], words_namespace[], words_capability[],
	words_rlimit[], words_hook_stage[], words_filter_flag[];

const struct word *word_by_name(const struct word *words, const char *name);
const struct word *word_by_value(const struct word *words, uint64_t value);
/* All values together: what a set of bits may hold. */
uint64_t words_mask(const struct word *words);

/* Forms. A path is absolute and normal: no "//", ".", ".." and no "/" at its end. */
bool text_is_tenant(const char *s);   /* [a-z0-9][a-z0-9-]{0,62} */
bool text_is_name(const char *s);     /* [a-z0-9._-]{1,64}, not beginning with a dot */
bool text_is_user(const char *s);     /* [a-z_][a-z0-9_-]{0,31} */
bool text_is_hostname(const char *s); /* letters, digits, "-", "."; 1..63 */
bool text_is_path(const char *s);
bool text_is_path_or_empty(const char *s);
bool text_is_sha256_or_empty(const char *s); /* 64 lower-case hexadecimal digits */
bool text_is_variable(const char *s);        /* NAME=VALUE with a NAME */
bool text_is_variable_name(const char *s);
bool text_is_cidr(const char *s);       /* canonical address, "/", bits; no host bits set */
bool text_is_syscall(const char *s);    /* [a-z0-9_]{1,63} */
bool text_is_resource(const char *s);   /* kbs:///REPOSITORY/TYPE/TAG */
bool text_is_service(const char *s);    /* https://HOST[:PORT][/PATH] */
bool text_is_service_ca(const char *s); /* sha256:64 lower-case hexadecimal digits */

/* Is `path` the folder `top` or something below it? Both are normal paths. */
bool path_is_within(const char *path, const char *top);
