/* policy/profile_resolve.c - which rules of a profile hold on this machine, with these
 * capabilities and with what the policy adds. */
#include "policy/profile_rules.h"
#include "policy/syscall_args.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Growing list of rules; `bad` is sticky. */
struct rules {
	struct profile_rule *items;
	size_t n, room;
	enum policy_status bad; /* why the list could not grow */
	struct policy_error *err;
};

static void add(struct rules *r, const struct profile_rule *rule)
{
	if (r->bad != POLICY_OK)
		return;
	if (r->n == PROFILE_RULES_MAX) {
		char key[64];

		snprintf(key, sizeof(key), "syscalls[%zu]", rule->entry);
		r->bad = policy_fail(r->err, POLICY_INVALID, key, "32768 at most",
				     "too many rules");
		return;
	}
	if (r->n == r->room) {
		size_t room = r->room ? 2 * r->room : 512;
		struct profile_rule *more = reallocarray(r->items, room, sizeof(*r->items));

		if (!more) {
			r->bad = policy_fail_memory(r->err);
			return;
		}
		r->items = more;
		r->room = room;
	}
	r->items[r->n++] = *rule;
}

/* ---- conditions ------------------------------------------------------------------ */

static bool kernel_at_least(const struct profile_context *cx, const unsigned kernel[2])
{
	return cx->kernel[0] > kernel[0] ||
	       (cx->kernel[0] == kernel[0] && cx->kernel[1] >= kernel[1]);
}

static bool included(const struct profile_condition *c, const struct profile_context *cx)
{
	return (cx->caps & c->caps) == c->caps && (!c->arches || c->arch_here) &&
	       (!c->has_kernel || kernel_at_least(cx, c->kernel));
}

static bool excluded(const struct profile_condition *c, const struct profile_context *cx)
{
	return (cx->caps & c->caps) != 0 || (c->arches && c->arch_here) ||
	       (c->has_kernel && kernel_at_least(cx, c->kernel));
}

/* ---- the profile's own ----------------------------------------------------------- */

static bool in_list(const char *const *list, const char *name)
{
	for (; list && *list; list++)
		if (strcmp(*list, name) == 0)
			return true;
	return false;
}

/* runc's reading: a parameter cannot be two things at once, so an entry with two
 * conditions on one of them means "or", and then for all of its conditions. */
static bool means_or(const struct profile_entry *e)
{
	unsigned seen = 0;

	for (size_t i = 0; i < e->n_args; i++) {
		if (seen & 1u << e->args[i].index)
			return true;
		seen |= 1u << e->args[i].index;
	}
	return false;
}

static void add_name(struct rules *r, const struct profile *p, size_t entry, const char *name)
{
	const struct profile_entry *e = &p->entries[entry];
	struct profile_rule rule = {
		.name = name,
		.entry = entry,
		.action = e->action,
		.errno_ret = e->errno_ret,
	};

	if (!means_or(e)) {
		rule.n_args = e->n_args; /* distinct parameters: PROFILE_PARAMETERS at most */
		if (e->n_args)
			memcpy(rule.args, e->args, e->n_args * sizeof(*e->args));
		add(r, &rule);
		return;
	}
	rule.n_args = 1;
	for (size_t i = 0; i < e->n_args; i++) {
		rule.args[0] = e->args[i];
		add(r, &rule);
	}
}

/* What the policy allows or denies is for it to say; only what kills or traps stays
 * beside a denial, which must not make it milder. */
static bool replaced(const struct profile_entry *e, const char *name,
		     const struct profile_context *cx)
{
	return in_list(cx->allow, name) ||
	       (in_list(cx->deny, name) && e->action >= PROFILE_ERRNO);
}

static void add_profile(struct rules *r, const struct profile *p,
			const struct profile_context *cx)
{
	for (size_t i = 0; i < p->n_entries; i++) {
		const struct profile_entry *e = &p->entries[i];

		if (!included(&e->includes, cx) || excluded(&e->excludes, cx))
			continue;
		for (const char *const *name = e->names; *name; name++)
			if (!replaced(e, *name, cx))
				add_name(r, p, i, *name);
	}
}

/* ---- the policy's lists ---------------------------------------------------------- */

/* What no policy may allow, because what is promised of a session would be untrue. */
static const struct {
	const char *name, *reason;
} never[] = {
	{ "io_setup",
	  "the kernel writes what it was asked to read into memory that was wiped" },
	{ "io_uring_setup", "its operations pass every filter by" },
	{ "io_uring_enter", "its operations pass every filter by" },
	{ "io_uring_register", "its operations pass every filter by" },
	{ "memfd_secret", "its memory cannot be wiped from outside" },
	{ "process_mrelease", "it frees a dying process's memory before it is wiped" },
	{ "process_vm_writev", "it writes into a dying process's memory after it was wiped" },
	{ "userfaultfd", "it can hold up whoever wipes the memory for ever" },
};

enum policy_status profile_judge_name(const char *name, bool allow, struct policy_error *reterr)
{
	for (size_t i = 0; allow && i < sizeof(never) / sizeof(never[0]); i++)
		if (strcmp(never[i].name, name) == 0)
			return policy_fail(reterr, POLICY_REFUSED, NULL, "remove it",
					   "%s is never given: %s", name, never[i].reason);
	if (syscall_number(name) == SYSCALL_UNKNOWN)
		return policy_fail(reterr, POLICY_INVALID, NULL, "check the spelling",
				   "unknown system call \"%.64s\"", name);
	return POLICY_OK;
}

/* A policy's lists were judged where they were read, with their position; whoever made
 * them, nothing that is never given gets into a filter. */
static enum policy_status judge_listed(const char *list, size_t i, const char *name,
				       struct policy_error *err)
{
	enum policy_status s = profile_judge_name(name, strcmp(list, "allow") == 0, err);

	if (s != POLICY_OK && err)
		snprintf(err->key, sizeof(err->key), "seccomp.%s[%zu]", list, i);
	return s;
}

static enum policy_status add_lists(struct rules *r, const struct profile *p,
				    const struct profile_context *cx)
{
	enum policy_status s = POLICY_OK;
	struct profile_rule allow = { .action = PROFILE_ALLOW, .errno_ret = EPERM };
	struct profile_rule deny = { .action = PROFILE_ERRNO, .errno_ret = EPERM };

	if (p->action < PROFILE_ERRNO) /* a denial must not be milder than none */
		deny.action = p->action;
	for (size_t i = 0; cx->allow && cx->allow[i] && s == POLICY_OK; i++) {
		s = judge_listed("allow", i, cx->allow[i], r->err);
		allow.name = cx->allow[i];
		add(r, &allow);
	}
	for (size_t i = 0; cx->deny && cx->deny[i] && s == POLICY_OK; i++) {
		s = judge_listed("deny", i, cx->deny[i], r->err);
		deny.name = cx->deny[i];
		add(r, &deny);
	}
	return s;
}

enum policy_status profile_resolve(const struct profile *p, const struct profile_context *cx,
				   struct profile_rule **ret, size_t *ret_n,
				   struct policy_error *reterr)
{
	struct rules r = { .err = reterr };
	enum policy_status s;

	add_profile(&r, p, cx);
	s = add_lists(&r, p, cx);
	if (s == POLICY_OK)
		s = r.bad;
	if (s != POLICY_OK) {
		free(r.items);
		return s;
	}
	*ret = r.items;
	*ret_n = r.n;
	return POLICY_OK;
}

/* ---- flat text ------------------------------------------------------------------- */

static const char letters[PROFILE_ACTIONS] = {
	[PROFILE_KILL_PROCESS] = 'P', [PROFILE_KILL_THREAD] = 'K', [PROFILE_TRAP] = 'S',
	[PROFILE_ERRNO] = 'E',        [PROFILE_TRACE] = 'T',       [PROFILE_LOG] = 'L',
	[PROFILE_ALLOW] = 'A',
};

static void print_rule(FILE *to, const struct profile_rule *r)
{
	fprintf(to, "%c %" PRIu32 " %s %zu", letters[r->action], r->errno_ret, r->name,
		r->n_args);
	for (size_t i = 0; i < r->n_args; i++)
		fprintf(to, " %" PRIu32 " %s %" PRIu64 " %" PRIu64, r->args[i].index,
			profile_op_names[r->args[i].op], r->args[i].value,
			r->args[i].value_two);
	fputc('\n', to);
}

enum policy_status profile_print_flat(FILE *to, const struct profile *p,
				      const struct profile_context *cx,
				      struct policy_error *reterr)
{
	struct profile_rule *rules = NULL;
	size_t n = 0;
	enum policy_status s = profile_resolve(p, cx, &rules, &n, reterr);

	if (s != POLICY_OK)
		return s;
	fprintf(to, "D %s %" PRIu32 "\n", profile_action_names[p->action], p->errno_ret);
	for (size_t i = 0; i < n; i++)
		print_rule(to, &rules[i]);
	free(rules);
	return POLICY_OK;
}
