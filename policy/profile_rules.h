/*
 * policy/profile_rules.h - the inside of a profile, and the rules that are left of it
 * once includes and excludes are judged. Shared by the files policy/profile*.c.
 */
#pragma once

#include "policy/policy_internal.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Strictest first, in the order in which the kernel ranks them: of several rules that
 * match a call the one with the smallest action holds. */
enum profile_action {
	PROFILE_KILL_PROCESS,
	PROFILE_KILL_THREAD,
	PROFILE_TRAP,
	PROFILE_ERRNO,
	PROFILE_TRACE,
	PROFILE_LOG,
	PROFILE_ALLOW,
	PROFILE_ACTIONS,
};

enum profile_op {
	PROFILE_NE = 1,
	PROFILE_LT,
	PROFILE_LE,
	PROFILE_EQ,
	PROFILE_GE,
	PROFILE_GT,
	PROFILE_MASKED_EQ, /* (argument & value) == value_two */
	PROFILE_OPS,
};

#define PROFILE_PARAMETERS 6 /* of a system call */

struct profile_arg {
	uint32_t index;
	enum profile_op op;
	uint64_t value, value_two;
};

/* zero: nothing is asked for */
struct profile_condition {
	uint64_t caps;
	bool arches;    /* architectures are listed */
	bool arch_here; /* and this one is among them */
	bool has_kernel;
	unsigned kernel[2];
};

struct profile_entry {
	const char **names; /* NULL-terminated */
	enum profile_action action;
	bool has_errno;
	uint32_t errno_ret; /* what ERRNO and TRACE carry */
	struct profile_arg *args;
	size_t n_args;
	struct profile_condition includes, excludes;
};

struct profile {
	struct arena arena; /* holds the profile as well */
	char *name;         /* in findings */
	enum profile_action action;
	uint32_t errno_ret;
	uint32_t flags;
	struct profile_entry *entries;
	size_t n_entries;
};

/* An empty profile; NULL without memory. */
struct profile *profile_new(const char *name);

/* One name, one action, conditions that all must hold: at most one per parameter. */
struct profile_rule {
	const char *name; /* borrowed from the profile or the context */
	enum profile_action action;
	uint32_t errno_ret;
	struct profile_arg args[PROFILE_PARAMETERS];
	size_t n_args;
	size_t entry; /* it is of syscalls[entry]; 0 for the policy's lists, too */
};

/* A profile's rules in its order, then those of the policy's lists. Entries with two
 * conditions on one parameter are one rule per condition, as runc reads them; an
 * allowed name of the policy replaces what the profile says of it. */
#define PROFILE_RULES_MAX 32768u
__attribute__((warn_unused_result)) enum policy_status
profile_resolve(const struct profile *p, const struct profile_context *cx,
		struct profile_rule **ret, size_t *ret_n, struct policy_error *reterr);

extern const char *const profile_action_names[PROFILE_ACTIONS]; /* SCMP_ACT_... */
extern const char *const profile_op_names[PROFILE_OPS];         /* SCMP_CMP_... */
bool profile_action_has_errno(enum profile_action a);
/* Would a call with that action be executed? */
bool profile_action_runs(enum profile_action a);
