/*
 * policy/policy_internal.h - the inside of struct policy, and what the files of this
 * module need of each other. Nothing outside policy/ includes it.
 */
#pragma once

#include "policy/arena.h"
#include "policy/policy.h"
#include "policy/profile.h"

#define AUTO(fn) __attribute__((cleanup(fn)))

#define POLICY_PROFILE_DEFAULT "default" /* plan.profile where no file is named */
#define POLICY_PROFILE_MAX (1u << 20)    /* bytes of a profile's file */

struct policy {
	struct arena arena;
	/* All that the plan will say but the command line's command and the filter. */
	struct policy_plan draft;
	/* The text of the profile's file as it was when the policy was read, so that key
	 * and filter are of the same one; NULL for the default profile. */
	char *profile_text;
	size_t profile_len;
};

/* policy_parse, with the folder (ending in "/", or "" for the current one) in which
 * relative profile paths are looked up. */
__attribute__((warn_unused_result)) enum policy_status
policy_parse_in(const char *folder, const char *name, const char *text, size_t len,
		struct policy **ret, struct policy_error *reterr);

/* The profile that the policy names, parsed. */
__attribute__((warn_unused_result)) enum policy_status
policy_profile(const struct policy *p, struct profile **ret, struct policy_error *reterr);
/* What it is to be resolved against: the policy's lists and capabilities, this kernel.
 * The context borrows from the policy. */
__attribute__((warn_unused_result)) enum policy_status
policy_profile_context(const struct policy *p, struct profile_context *ret,
		       struct policy_error *reterr);

/* What the filter says to a native call without arguments; false when it holds what no
 * compiler of ours makes. */
bool policy_filter_answer(const struct policy_filter *f, uint32_t number, uint32_t *ret);

/* Fills `e` (NULL is allowed) but for file and position, and returns `s`, so that it can
 * be returned at once. Control bytes in what is quoted become "?". */
__attribute__((format(printf, 5, 6))) enum policy_status
policy_fail(struct policy_error *e, enum policy_status s, const char *key, const char *hint,
	    const char *what, ...);
/* The status as a value that compilers and analyzers see at the call. */
#define policy_fail(e, s, ...)                                                                 \
	({                                                                                     \
		(void)(policy_fail)(e, s, __VA_ARGS__);                                        \
		(s);                                                                           \
	})
enum policy_status policy_fail_memory(struct policy_error *e);

/* Reads at most `max` bytes of a file or a pipe ("-": of standard input, whatever it is),
 * with a zero behind them. `what` says in findings what the file should be. A file that
 * is not there or cannot be one is INVALID, trouble of this machine SYSTEM. */
__attribute__((warn_unused_result)) enum policy_status
policy_read_file(const char *path, const char *what, size_t max, char **ret, size_t *ret_len,
		 struct policy_error *reterr);
