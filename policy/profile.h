/*
 * policy/profile.h - seccomp profiles: the OCI/Docker JSON form, our own default, and
 * the way from either to a BPF program. Private to the module.
 *
 * profile_parse reads, profile_resolve applies includes/excludes for one machine and
 * one set of capabilities, profile_compile hands the rules to libseccomp.
 */
#pragma once

#include "policy/policy.h"

struct profile; /* opaque; a parsed profile, whole, unresolved */

/* What includes/excludes are judged against, and what the policy adds. */
struct profile_context {
	uint64_t caps;                          /* granted capabilities, bit n = capability n */
	unsigned kernel[2];                     /* running kernel: major, minor */
	const char *const *allow, *const *deny; /* policy lists, NULL-terminated or NULL */
};

__attribute__((warn_unused_result)) enum policy_status
profile_parse(const char *name, const char *json, size_t len, struct profile **ret,
	      struct policy_error *reterr);
/* Our own profile, from its table. */
__attribute__((warn_unused_result)) enum policy_status
profile_default(struct profile **ret, struct policy_error *reterr);
void profile_free(struct profile *p);
void profile_freep(struct profile **p);

/* May a policy's list name this call, `allow` or deny it? INVALID when nobody knows it,
 * REFUSED when it is never given; the finding is for the caller to place. */
__attribute__((warn_unused_result)) enum policy_status
profile_judge_name(const char *name, bool allow, struct policy_error *reterr);

/* What holds a profile as a part of it and is often given in its place. */
struct profile_wrapper {
	const char *key; /* NULL ends the table */
	const char *what, *hint;
};
extern const struct profile_wrapper profile_wrappers[];

/* The rules that hold here, one a line, as
 *   D ACTION ERRNO
 *   A|E ERRNO SYSCALL NARGS [INDEX OP VALUE VALUETWO]...
 * in the profile's order: what the check vectors of other projects are compared with.
 * Other actions have letters as well: P kill process, K kill thread, S trap (SIGSYS),
 * T trace, L log. */
__attribute__((warn_unused_result)) enum policy_status
profile_print_flat(FILE *to, const struct profile *p, const struct profile_context *cx,
		   struct policy_error *reterr);

__attribute__((warn_unused_result)) enum policy_status
profile_compile(const struct profile *p, const struct profile_context *cx,
		struct policy_filter *ret, struct policy_error *reterr);

/* The deliberate exclusions of the default profile and why: NULL-terminated pairs. */
struct profile_exclusion {
	const char *names, *reason;
};
const struct profile_exclusion *profile_default_exclusions(void);
