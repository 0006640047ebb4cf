/*
 * policy/profile_compile.c - from rules to the program that the kernel runs.
 *
 * Of all rules that match a call the strictest holds; without any, the default does.
 * libseccomp knows the numbers, kills foreign architectures and makes the search tree
 * for every call whose verdict does not depend on arguments. Calls with conditions are
 * judged by blocks of our own in front of it: its tree for arguments (2.5.4) loses
 * matches where the conditions of several rules overlap, cannot look at the low half of
 * a parameter but for equality, and lets an unconditional rule hide a stricter one.
 *
 *   arch is not ours, or the call is of the x32 kind -> the last part, which kills
 *   number above the newest that the profile knows   -> ENOSYS (only for an errno default)
 *   one block for each call with conditions          -> its verdict
 *   libseccomp's program                             -> all the others
 */
#include "policy/profile_rules.h"
#include "policy/syscall_args.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define X32_BIT 0x40000000u
#define TREE_FROM 8 /* rules; libseccomp's binary tree fails when there are none */

/* ---- verdicts -------------------------------------------------------------------- */

/* One encoding for libseccomp and for seccomp(2): their numbers are the same. */
static uint32_t verdict(enum profile_action a, uint32_t errno_ret)
{
	static const uint32_t values[PROFILE_ACTIONS] = {
		[PROFILE_KILL_PROCESS] = SECCOMP_RET_KILL_PROCESS,
		[PROFILE_KILL_THREAD] = SECCOMP_RET_KILL_THREAD,
		[PROFILE_TRAP] = SECCOMP_RET_TRAP,
		[PROFILE_ERRNO] = SECCOMP_RET_ERRNO,
		[PROFILE_TRACE] = SECCOMP_RET_TRACE,
		[PROFILE_LOG] = SECCOMP_RET_LOG,
		[PROFILE_ALLOW] = SECCOMP_RET_ALLOW,
	};

	return values[a] | (profile_action_has_errno(a) ? errno_ret : 0);
}

/* ---- rules by number ------------------------------------------------------------- */

struct numbered {
	int number;
	size_t place; /* in the profile: of two rules of one strictness the first holds */
	const struct profile_rule *rule;
};

/* By number; then strictest first; then in the profile's order. */
static int compare_numbered(const void *a, const void *b)
{
	const struct numbered *x = a, *y = b;

	if (x->number != y->number)
		return x->number < y->number ? -1 : 1;
	if (x->rule->action != y->rule->action)
		return x->rule->action < y->rule->action ? -1 : 1;
	return x->place < y->place ? -1 : x->place > y->place;
}

/* A name that nobody knows cannot be called where the default denies. Where it lets
 * calls run, a denial that cannot be made must not be dropped in silence. */
static bool loses_denial(const struct profile *p, const struct profile_rule *r)
{
	return profile_action_runs(p->action) && r->action < p->action;
}

static enum policy_status judge_rule(const struct profile *p, const struct profile_rule *r,
				     int number, struct policy_error *reterr)
{
	char key[64];

	if (number != SYSCALL_UNKNOWN || !loses_denial(p, r))
		return POLICY_OK;
	snprintf(key, sizeof(key), "syscalls[%zu]", r->entry);
	return policy_fail(reterr, POLICY_INVALID, key,
			   "remove it, or make defaultAction an SCMP_ACT_ERRNO",
			   "cannot deny \"%.64s\": neither libseccomp nor this program "
			   "knows its number, and the default lets it run",
			   r->name);
}

static enum policy_status number_rules(const struct profile *p,
				       const struct profile_rule *rules, size_t n,
				       struct numbered *to, size_t *ret_n,
				       struct policy_error *reterr)
{
	size_t kept = 0;

	for (size_t i = 0; i < n; i++) {
		int number = syscall_number(rules[i].name);
		enum policy_status s = judge_rule(p, &rules[i], number, reterr);

		if (s != POLICY_OK)
			return s;
		if (number >= 0)
			to[kept++] = (struct numbered){ number, i, &rules[i] };
	}
	qsort(to, kept, sizeof(*to), compare_numbered);
	*ret_n = kept;
	return POLICY_OK;
}

/* ---- a program as it grows ------------------------------------------------------- */

struct program {
	struct sock_filter at[BPF_MAXINSNS];
	size_t n;
	bool full; /* sticky */
};

static void emit(struct program *b, uint16_t code, uint8_t jt, uint8_t jf, uint32_t k)
{
	if (b->n == BPF_MAXINSNS) {
		b->full = true;
		return;
	}
	b->at[b->n++] = (struct sock_filter){ .code = code, .jt = jt, .jf = jf, .k = k };
}

static void load(struct program *b, size_t offset)
{
	emit(b, BPF_LD | BPF_W | BPF_ABS, 0, 0, (uint32_t)offset);
}

static void answer(struct program *b, uint32_t value)
{
	emit(b, BPF_RET | BPF_K, 0, 0, value);
}

/* "Leave this rule" until its end is known; no rule is so long that it is a distance. */
#define MISS UINT8_MAX

/* Compares the loaded word by BPF_JEQ, BPF_JGT or BPF_JGE. */
static void test(struct program *b, uint16_t how, uint32_t k, uint8_t jt, uint8_t jf)
{
	emit(b, (uint16_t)(BPF_JMP | how | BPF_K), jt, jf, k);
}

static size_t arg_offset(uint32_t index, bool high)
{
	bool second = high == (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__);

	return offsetof(struct seccomp_data, args) + 8 * (size_t)index + (second ? 4 : 0);
}

static void masked_half(struct program *b, const struct profile_arg *a, bool high)
{
	unsigned shift = high ? 32 : 0;
	uint32_t mask = (uint32_t)(a->value >> shift);

	if (mask == 0)
		return;
	load(b, arg_offset(a->index, high));
	if (mask != UINT32_MAX)
		emit(b, BPF_ALU | BPF_AND | BPF_K, 0, 0, mask);
	test(b, BPF_JEQ, (uint32_t)(a->value_two >> shift), 0, MISS);
}

/* What the low half decides, once the upper ones are equal or do not count. */
static void low_half(struct program *b, const struct profile_arg *a)
{
	uint32_t low = (uint32_t)a->value;

	load(b, arg_offset(a->index, false));
	switch (a->op) {
	case PROFILE_EQ:
		test(b, BPF_JEQ, low, 0, MISS);
		break;
	case PROFILE_NE:
		test(b, BPF_JEQ, low, MISS, 0);
		break;
	case PROFILE_GT:
		test(b, BPF_JGT, low, 0, MISS);
		break;
	case PROFILE_GE:
		test(b, BPF_JGE, low, 0, MISS);
		break;
	case PROFILE_LT:
		test(b, BPF_JGE, low, MISS, 0);
		break;
	default: /* PROFILE_LE */
		test(b, BPF_JGT, low, MISS, 0);
		break;
	}
}

#define LOW_HALF_LENGTH 2

/* What the upper half decides by itself; where it cannot, low_half() goes on. */
static void high_half(struct program *b, const struct profile_arg *a)
{
	uint32_t high = (uint32_t)(a->value >> 32);

	load(b, arg_offset(a->index, true));
	switch (a->op) {
	case PROFILE_EQ:
		test(b, BPF_JEQ, high, 0, MISS);
		break;
	case PROFILE_NE:
		test(b, BPF_JEQ, high, 0, LOW_HALF_LENGTH);
		break;
	case PROFILE_GT:
	case PROFILE_GE:
		test(b, BPF_JGT, high, 1 + LOW_HALF_LENGTH, 0);
		test(b, BPF_JEQ, high, 0, MISS);
		break;
	default: /* PROFILE_LT, PROFILE_LE */
		test(b, BPF_JGT, high, MISS, 0);
		test(b, BPF_JEQ, high, 0, LOW_HALF_LENGTH);
		break;
	}
}

static void condition(struct program *b, const char *name, const struct profile_arg *a)
{
	bool narrow = syscall_narrow(name, a->index);

	if (a->op == PROFILE_MASKED_EQ) {
		if (!narrow)
			masked_half(b, a, true);
		masked_half(b, a, false);
		return;
	}
	if (!narrow)
		high_half(b, a);
	low_half(b, a);
}

/* A narrow parameter never holds more than 32 bits. For equality a value is cut to as many,
 * since a negative one is often written sign-extended. An order is kept: everything is
 * below a value with high bits, and nothing is at or above it. */
static bool beyond(const struct profile_rule *r, const struct profile_arg *a)
{
	return a->value > UINT32_MAX && syscall_narrow(r->name, a->index);
}

static bool always_holds(const struct profile_rule *r, const struct profile_arg *a)
{
	return (a->op == PROFILE_LT || a->op == PROFILE_LE) && beyond(r, a);
}

static bool never_holds(const struct profile_rule *r)
{
	for (size_t i = 0; i < r->n_args; i++)
		if ((r->args[i].op == PROFILE_GT || r->args[i].op == PROFILE_GE) &&
		    beyond(r, &r->args[i]))
			return true;
	return false;
}

/* Six conditions of at most six instructions: MISS is no distance within a rule. */
static void rule_block(struct program *b, const struct profile_rule *r)
{
	size_t from = b->n;

	if (never_holds(r))
		return;
	for (size_t i = 0; i < r->n_args; i++)
		if (!always_holds(r, &r->args[i]))
			condition(b, r->name, &r->args[i]);
	answer(b, verdict(r->action, r->errno_ret));
	for (size_t i = from; i < b->n; i++) {
		if (BPF_CLASS(b->at[i].code) != BPF_JMP)
			continue;
		if (b->at[i].jt == MISS)
			b->at[i].jt = (uint8_t)(b->n - i - 1);
		if (b->at[i].jf == MISS)
			b->at[i].jf = (uint8_t)(b->n - i - 1);
	}
}

/* ---- one call -------------------------------------------------------------------- */

/* The rules of one number, strictest first. */
struct group {
	const struct numbered *rules;
	size_t n;
	size_t n_asked; /* rules before the first without conditions: the rest cannot count */
	uint32_t otherwise;
};

static struct group group_at(const struct numbered *rules, size_t left,
			     uint32_t default_verdict)
{
	struct group g = { .rules = rules, .otherwise = default_verdict };
	const struct profile_rule *always = NULL;

	for (; g.n < left && rules[g.n].number == rules[0].number; g.n++) {
		const struct profile_rule *r = rules[g.n].rule;

		if (!always && r->n_args == 0)
			always = r;
		if (!always)
			g.n_asked++;
	}
	if (always)
		g.otherwise = verdict(always->action, always->errno_ret);
	return g;
}

/* `ja` reaches any length; a conditional jump only 255 instructions. */
static void call_block(struct program *b, const struct group *g)
{
	size_t jump = b->n + 1;

	test(b, BPF_JEQ, (uint32_t)g->rules[0].number, 1, 0);
	emit(b, BPF_JMP | BPF_JA, 0, 0, 0);
	for (size_t i = 0; i < g->n_asked; i++)
		rule_block(b, g->rules[i].rule);
	answer(b, g->otherwise);
	if (!b->full)
		b->at[jump].k = (uint32_t)(b->n - jump - 1);
}

/* ---- both parts ------------------------------------------------------------------ */

struct compiler {
	const struct profile *p;
	struct numbered *rules;
	size_t n;
	int newest; /* the highest number that the profile or the policy names */
	scmp_filter_ctx seccomp;
	size_t n_plain; /* rules in it */
	struct program b;
	struct policy_error *err;
};

static enum policy_status seccomp_failed(const struct compiler *c, const char *what, int status)
{
	return policy_fail(c->err, POLICY_SYSTEM, NULL, NULL, "libseccomp: %s: %s", what,
			   strerror(-status));
}

/* Names count even when their entry does not hold here: their author knew them. */
static int newest_number(const struct profile *p, const struct numbered *rules, size_t n)
{
	int newest = n ? rules[n - 1].number : -1;

	for (size_t i = 0; i < p->n_entries; i++)
		for (const char *const *name = p->entries[i].names; *name; name++) {
			int number = syscall_number(*name);

			newest = number > newest ? number : newest;
		}
	return newest;
}

static void begin(struct compiler *c)
{
	struct program *b = &c->b;

	load(b, offsetof(struct seccomp_data, arch));
	test(b, BPF_JEQ, seccomp_arch_native(), 1, 0);
	emit(b, BPF_JMP | BPF_JA, 0, 0, 0); /* end() knows where to */
	load(b, offsetof(struct seccomp_data, nr));
#ifdef __x86_64__
	test(b, BPF_JGE, X32_BIT, 0, 1);
	emit(b, BPF_JMP | BPF_JA, 0, 0, 0);
#endif
	/* Calls that are younger than the profile: libc has a way around them, and takes it
	 * only on ENOSYS. A default that kills or traps stays what it is. */
	if (c->p->action == PROFILE_ERRNO && c->newest >= 0) {
		test(b, BPF_JGT, (uint32_t)c->newest, 0, 1);
		answer(b, verdict(PROFILE_ERRNO, ENOSYS));
	}
}

static enum policy_status calls(struct compiler *c)
{
	uint32_t otherwise = verdict(c->p->action, c->p->errno_ret);
	struct group g;

	for (size_t i = 0; i < c->n; i += g.n) {
		int status = 0;

		g = group_at(c->rules + i, c->n - i, otherwise);
		if (g.n_asked) {
			call_block(&c->b, &g);
		} else if (g.otherwise != otherwise) {
			status = seccomp_rule_add_exact_array(c->seccomp, g.otherwise,
							      g.rules[0].number, 0, NULL);
			c->n_plain++;
		}
		if (status)
			return seccomp_failed(c, g.rules[0].rule->name, status);
	}
	return POLICY_OK;
}

static bool read_whole(int fd, void *to, size_t size)
{
	size_t got = 0;

	while (got < size) {
		ssize_t n = pread(fd, (char *)to + got, size - got, (off_t)got);

		if (n <= 0)
			return false;
		got += (size_t)n;
	}
	return true;
}

/* libseccomp writes its program to a file. */
static enum policy_status append_plain(struct compiler *c, int fd)
{
	struct program *b = &c->b;
	int status = seccomp_export_bpf(c->seccomp, fd);
	struct stat st;
	size_t n;

	if (status)
		return seccomp_failed(c, "export", status);
	if (fstat(fd, &st) < 0 || st.st_size % (off_t)sizeof(b->at[0]))
		return policy_fail(c->err, POLICY_SYSTEM, NULL, NULL,
				   "libseccomp wrote an odd program");
	n = (size_t)st.st_size / sizeof(b->at[0]);
	if (b->full || n > BPF_MAXINSNS - b->n) {
		b->full = true;
		return POLICY_OK;
	}
	if (!read_whole(fd, b->at + b->n, n * sizeof(b->at[0])))
		return policy_fail(c->err, POLICY_SYSTEM, NULL, NULL,
				   "cannot read libseccomp's program back");
	b->n += n;
	return POLICY_OK;
}

/* Our two jumps to the last part are the unconditional ones of begin(). */
static void aim(struct compiler *c, size_t last_part)
{
	c->b.at[2].k = (uint32_t)(last_part - 3);
#ifdef __x86_64__
	c->b.at[5].k = (uint32_t)(last_part - 6);
#endif
}

static enum policy_status end(struct compiler *c)
{
	size_t last_part = c->b.n;
	int status = 0, fd;
	enum policy_status s;

	if (c->n_plain >= TREE_FROM)
		status = seccomp_attr_set(c->seccomp, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	if (status)
		return seccomp_failed(c, "optimize", status);
	fd = memfd_create("cordon-filter", MFD_CLOEXEC);
	if (fd < 0)
		return policy_fail(c->err, POLICY_SYSTEM, NULL, NULL, "memfd_create: %m");
	s = append_plain(c, fd);
	close(fd);
	if (s == POLICY_OK && c->b.full)
		return policy_fail(c->err, POLICY_INVALID, "syscalls",
				   "fewer conditions on arguments make it shorter",
				   "the filter needs more than the %d instructions that the "
				   "kernel takes",
				   BPF_MAXINSNS);
	aim(c, last_part);
	return s;
}

static enum policy_status open_seccomp(struct compiler *c)
{
	uint32_t otherwise = verdict(c->p->action, c->p->errno_ret);
	int status;

	c->seccomp = seccomp_init(otherwise);
	if (!c->seccomp)
		return policy_fail(c->err, POLICY_SYSTEM, NULL, NULL,
				   "libseccomp: cannot make a filter with %s as default",
				   profile_action_names[c->p->action]);
	status = seccomp_attr_set(c->seccomp, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	if (!status) /* whoever loads the program has set it */
		status = seccomp_attr_set(c->seccomp, SCMP_FLTATR_CTL_NNP, 0);
	return status ? seccomp_failed(c, "attributes", status) : POLICY_OK;
}

static enum policy_status compile(struct compiler *c)
{
	enum policy_status s = open_seccomp(c);

	if (s != POLICY_OK)
		return s;
	begin(c);
	s = calls(c);
	return s == POLICY_OK ? end(c) : s;
}

static enum policy_status hand_over(const struct compiler *c, struct policy_filter *ret)
{
	size_t size = c->b.n * sizeof(c->b.at[0]);
	uint8_t *insns = malloc(size);

	if (!insns)
		return policy_fail_memory(c->err);
	memcpy(insns, c->b.at, size);
	ret->insns = insns;
	ret->n_insns = c->b.n;
	ret->flags = c->p->flags;
	return POLICY_OK;
}

/* `rules` are borrowed; `numbers` has room for all of them. */
static enum policy_status compile_rules(const struct profile *p,
					const struct profile_rule *rules, size_t n,
					struct numbered *numbers, struct policy_filter *ret,
					struct policy_error *reterr)
{
	struct compiler *c = calloc(1, sizeof(*c)); /* with its 32 KiB program */
	enum policy_status s;

	if (!c)
		return policy_fail_memory(reterr);
	c->p = p;
	c->rules = numbers;
	c->err = reterr;
	s = number_rules(p, rules, n, numbers, &c->n, reterr);
	if (s == POLICY_OK) {
		c->newest = newest_number(p, numbers, c->n);
		s = compile(c);
	}
	if (s == POLICY_OK)
		s = hand_over(c, ret);
	if (c->seccomp)
		seccomp_release(c->seccomp);
	free(c);
	return s;
}

enum policy_status profile_compile(const struct profile *p, const struct profile_context *cx,
				   struct policy_filter *ret, struct policy_error *reterr)
{
	struct profile_rule *rules = NULL;
	struct numbered *numbers = NULL;
	size_t n = 0;
	enum policy_status s = profile_resolve(p, cx, &rules, &n, reterr);

	if (s == POLICY_OK) {
		numbers = calloc(n + 1, sizeof(*numbers));
		s = numbers ? compile_rules(p, rules, n, numbers, ret, reterr)
			    : policy_fail_memory(reterr);
	}
	if (s != POLICY_OK && reterr)
		snprintf(reterr->file, sizeof(reterr->file), "%s", p->name);
	free(numbers);
	free(rules);
	return s;
}
