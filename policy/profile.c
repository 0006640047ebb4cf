/*
 * policy/profile.c - reads the JSON form of seccomp profiles: OCI's linux.seccomp and
 * what Docker and containers-common made of it.
 *
 * Strict: unknown and duplicate keys, wrong types, words nobody knows and
 * contradictions are errors. null means "not there", as all writers of this form use it.
 */
#include "policy/profile_rules.h"
#include "policy/syscall_args.h"
#include "policy/words.h"

#include <ctype.h>
#include <errno.h>
#include <jansson.h>
#include <linux/seccomp.h>
#include <stdlib.h>
#include <string.h>

#define PROFILE_DEPTH_MAX 16u
#define PROFILE_LIST_MAX 4096u   /* members of any list */
#define PROFILE_NAMES_MAX 16384u /* of all entries together */
#define PROFILE_ARGS_MAX 16u     /* of one entry */
#define ERRNO_MAX 4095u          /* the kernel's MAX_ERRNO */

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1u << 5)
#endif

/* Names as libseccomp, Go and the profiles spell this machine. */
#if defined(__x86_64__)
#define NATIVE_SCMP "SCMP_ARCH_X86_64"
#define NATIVE_GO "amd64"
#elif defined(__aarch64__)
#define NATIVE_SCMP "SCMP_ARCH_AARCH64"
#define NATIVE_GO "arm64"
#else
#error "name this architecture here, and check the widths in policy/syscall_args.c"
#endif

const char *const profile_action_names[PROFILE_ACTIONS] = {
	[PROFILE_KILL_PROCESS] = "SCMP_ACT_KILL_PROCESS",
	[PROFILE_KILL_THREAD] = "SCMP_ACT_KILL_THREAD",
	[PROFILE_TRAP] = "SCMP_ACT_TRAP",
	[PROFILE_ERRNO] = "SCMP_ACT_ERRNO",
	[PROFILE_TRACE] = "SCMP_ACT_TRACE",
	[PROFILE_LOG] = "SCMP_ACT_LOG",
	[PROFILE_ALLOW] = "SCMP_ACT_ALLOW",
};

const char *const profile_op_names[PROFILE_OPS] = {
	[PROFILE_NE] = "SCMP_CMP_NE",
	[PROFILE_LT] = "SCMP_CMP_LT",
	[PROFILE_LE] = "SCMP_CMP_LE",
	[PROFILE_EQ] = "SCMP_CMP_EQ",
	[PROFILE_GE] = "SCMP_CMP_GE",
	[PROFILE_GT] = "SCMP_CMP_GT",
	[PROFILE_MASKED_EQ] = "SCMP_CMP_MASKED_EQ",
};

bool profile_action_has_errno(enum profile_action a)
{
	return a == PROFILE_ERRNO || a == PROFILE_TRACE;
}

bool profile_action_runs(enum profile_action a)
{
	return a == PROFILE_TRACE || a == PROFILE_LOG || a == PROFILE_ALLOW;
}

/* ---- where we are ---------------------------------------------------------------- */

struct in {
	struct profile *p;
	struct policy_error *err;
	char path[128]; /* syscalls[12].args[0].op */
	size_t n_names;
	bool has_action, has_default_errno, has_default_errno_name;
	const char *arch_key; /* architectures or archMap: the one that names any */
	bool arch_here;       /* and among them is this machine's */
};

static enum policy_status fail(const struct in *in, const char *hint, const char *what)
{
	return policy_fail(in->err, POLICY_INVALID, in->path, hint, "%s", what);
}

static size_t enter_key(struct in *in, const char *key)
{
	size_t old = strlen(in->path);

	snprintf(in->path + old, sizeof(in->path) - old, "%s%s", old ? "." : "", key);
	return old;
}

static size_t enter_index(struct in *in, size_t i)
{
	size_t old = strlen(in->path);

	snprintf(in->path + old, sizeof(in->path) - old, "[%zu]", i);
	return old;
}

static void leave(struct in *in, size_t old)
{
	in->path[old] = '\0';
}

/* ---- forms of values ------------------------------------------------------------- */

typedef enum policy_status read_fn(struct in *in, json_t *v, void *into);

struct field {
	const char *key;
	read_fn *read;
};

static enum policy_status read_field(struct in *in, const struct field *fields, const char *key,
				     json_t *v, void *into)
{
	const struct field *f = fields;
	size_t old = enter_key(in, key);
	enum policy_status s = POLICY_OK;

	while (f->key && strcmp(f->key, key) != 0)
		f++;
	if (!f->key)
		s = fail(in, "remove it, or check its spelling and place", "unknown key");
	else if (!json_is_null(v))
		s = f->read(in, v, into);
	if (s == POLICY_OK) /* a failure keeps the path for its finding */
		leave(in, old);
	return s;
}

/* `fields` ends with a NULL key. */
static enum policy_status read_object(struct in *in, json_t *v, const struct field *fields,
				      void *into)
{
	enum policy_status s = POLICY_OK;

	if (!json_is_object(v))
		return fail(in, NULL, "must be an object");
	for (void *i = json_object_iter(v); i && s == POLICY_OK;
	     i = json_object_iter_next(v, i))
		s = read_field(in, fields, json_object_iter_key(i), json_object_iter_value(i),
			       into);
	return s;
}

static enum policy_status read_list(struct in *in, json_t *v, read_fn *each, void *into)
{
	enum policy_status s = POLICY_OK;

	if (!json_is_array(v))
		return fail(in, NULL, "must be a list");
	if (json_array_size(v) > PROFILE_LIST_MAX)
		return fail(in, "4096 at most", "has too many members");
	for (size_t i = 0; i < json_array_size(v) && s == POLICY_OK; i++) {
		size_t old = enter_index(in, i);

		s = each(in, json_array_get(v, i), into);
		if (s == POLICY_OK)
			leave(in, old);
	}
	return s;
}

/* A whole number up to 2^64-1. json_quote() made strings of those that jansson cannot
 * hold, and some writers quote them themselves, in decimal or as 0x... */
static enum policy_status read_u64(struct in *in, json_t *v, void *into)
{
	const char *text = json_string_value(v);
	char *end = NULL;

	if (json_is_integer(v)) {
		if (json_integer_value(v) < 0)
			return fail(in, "write the bits as an unsigned number",
				    "must not be negative");
		*(uint64_t *)into = (uint64_t)json_integer_value(v);
		return POLICY_OK;
	}
	if (!text || !isdigit((unsigned char)text[0]))
		return fail(in, NULL, "must be a whole number");
	errno = 0;
	*(uint64_t *)into = strtoull(text, &end, strncmp(text, "0x", 2) == 0 ? 16 : 10);
	if (*end)
		return fail(in, NULL, "must be a whole number");
	if (errno == ERANGE)
		return fail(in, "arguments of system calls are registers of 64 bits",
			    "is above 18446744073709551615");
	return POLICY_OK;
}

static enum policy_status read_u32_max(struct in *in, json_t *v, uint32_t max, uint32_t *to)
{
	uint64_t n = 0;
	enum policy_status s = read_u64(in, v, &n);

	if (s == POLICY_OK && n > max)
		return policy_fail(in->err, POLICY_INVALID, in->path, NULL,
				   "must be at most %u", max);
	if (s == POLICY_OK)
		*to = (uint32_t)n;
	return s;
}

/* The place of a word in `words`, in which holes are NULL. */
static enum policy_status read_word(struct in *in, json_t *v, const char *const *words,
				    size_t n, unsigned *to)
{
	const char *text = json_string_value(v);

	for (size_t i = 0; text && i < n; i++)
		if (words[i] && strcmp(words[i], text) == 0) {
			*to = (unsigned)i;
			return POLICY_OK;
		}
	if (!text)
		return fail(in, NULL, "must be a string");
	return policy_fail(in->err, POLICY_INVALID, in->path, "check the spelling",
			   "unknown word \"%.64s\"", text);
}

static enum policy_status read_action(struct in *in, json_t *v, void *into)
{
	const char *text = json_string_value(v);
	unsigned word = PROFILE_KILL_THREAD;

	if (text && strcmp(text, "SCMP_ACT_NOTIFY") == 0)
		return policy_fail(in->err, POLICY_REFUSED, in->path,
				   "decide by action and errno instead",
				   "SCMP_ACT_NOTIFY needs a supervisor that answers in the "
				   "kernel's place; there is none");
	if (!text || strcmp(text, "SCMP_ACT_KILL") != 0) { /* the old name of KILL_THREAD */
		enum policy_status s =
			read_word(in, v, profile_action_names, PROFILE_ACTIONS, &word);

		if (s != POLICY_OK)
			return s;
	}
	*(enum profile_action *)into = (enum profile_action)word;
	return POLICY_OK;
}

static const struct {
	const char *name;
	uint32_t number;
} errno_aliases[] = {
	{ "ENOTSUP", ENOTSUP },
	{ "EWOULDBLOCK", EWOULDBLOCK },
	{ "EDEADLOCK", EDEADLOCK },
};

/* Zero when nobody knows it. */
static uint32_t errno_by_name(const char *name)
{
	for (size_t i = 0; i < sizeof(errno_aliases) / sizeof(errno_aliases[0]); i++)
		if (strcmp(errno_aliases[i].name, name) == 0)
			return errno_aliases[i].number;
	for (uint32_t n = 1; n <= ERRNO_MAX; n++) {
		const char *known = strerrorname_np((int)n);

		if (known && strcmp(known, name) == 0)
			return n;
	}
	return 0;
}

/* "" means "not there": containers-common writes it. */
static enum policy_status read_errno_name(struct in *in, json_t *v, uint32_t *to, bool *has)
{
	const char *text = json_string_value(v);
	uint32_t n = text ? errno_by_name(text) : 0;

	if (!text)
		return fail(in, "errnoRet takes numbers",
			    "must be the name of an error: EPERM");
	*has = text[0] != '\0';
	if (*has && n == 0)
		return policy_fail(in->err, POLICY_INVALID, in->path,
				   "check the spelling: EPERM", "unknown error \"%.64s\"",
				   text);
	if (*has)
		*to = n;
	return POLICY_OK;
}

static enum policy_status read_comment(struct in *in, json_t *v, void *into)
{
	(void)into;
	return json_is_string(v) ? POLICY_OK : fail(in, NULL, "must be a string");
}

/* ---- includes, excludes ---------------------------------------------------------- */

static enum policy_status read_cap(struct in *in, json_t *v, void *into)
{
	const char *text = json_string_value(v);
	const struct word *w = text ? word_by_name(words_capability, text) : NULL;

	if (!w)
		return fail(in, "names are written as CAP_SYS_ADMIN", "is no capability");
	((struct profile_condition *)into)->caps |= w->value;
	return POLICY_OK;
}

static enum policy_status read_caps(struct in *in, json_t *v, void *into)
{
	return read_list(in, v, read_cap, into);
}

/* Architectures that nobody knows are not this one; there is nothing to refuse. */
static enum policy_status read_go_arch(struct in *in, json_t *v, void *into)
{
	struct profile_condition *c = into;

	if (!json_is_string(v))
		return fail(in, NULL, "must be a string");
	c->arches = true;
	c->arch_here |= strcmp(json_string_value(v), NATIVE_GO) == 0;
	return POLICY_OK;
}

static enum policy_status read_go_arches(struct in *in, json_t *v, void *into)
{
	return read_list(in, v, read_go_arch, into);
}

/* Up to five digits; NULL, or what comes behind them. */
static const char *short_number(const char *text, unsigned *to)
{
	size_t n = strspn(text, "0123456789");

	*to = 0;
	for (size_t i = 0; i < n; i++)
		*to = *to * 10 + (unsigned)(text[i] - '0');
	return n > 0 && n <= 5 ? text + n : NULL;
}

static enum policy_status read_kernel(struct in *in, json_t *v, void *into)
{
	struct profile_condition *c = into;
	const char *text = json_string_value(v);

	if (text && text[0] == '\0')
		return POLICY_OK;
	if (text)
		text = short_number(text, &c->kernel[0]);
	if (text)
		text = *text == '.' ? short_number(text + 1, &c->kernel[1]) : NULL;
	if (!text || *text)
		return fail(in, NULL, "must be a kernel version: \"4.8\"");
	c->has_kernel = true;
	return POLICY_OK;
}

static enum policy_status read_condition(struct in *in, json_t *v, void *into)
{
	static const struct field fields[] = {
		{ "caps", read_caps },
		{ "arches", read_go_arches },
		{ "minKernel", read_kernel },
		{ NULL, NULL },
	};

	return read_object(in, v, fields, into);
}

/* ---- one argument ---------------------------------------------------------------- */

struct arg_in {
	struct profile_arg arg;
	bool has_index, has_value, has_op;
};

static enum policy_status arg_index(struct in *in, json_t *v, void *into)
{
	struct arg_in *a = into;

	a->has_index = true;
	return read_u32_max(in, v, PROFILE_PARAMETERS - 1, &a->arg.index);
}

static enum policy_status arg_value(struct in *in, json_t *v, void *into)
{
	struct arg_in *a = into;

	a->has_value = true;
	return read_u64(in, v, &a->arg.value);
}

static enum policy_status arg_value_two(struct in *in, json_t *v, void *into)
{
	return read_u64(in, v, &((struct arg_in *)into)->arg.value_two);
}

static enum policy_status arg_op(struct in *in, json_t *v, void *into)
{
	struct arg_in *a = into;
	unsigned op = PROFILE_EQ;
	enum policy_status s = read_word(in, v, profile_op_names, PROFILE_OPS, &op);

	a->has_op = true;
	a->arg.op = (enum profile_op)op;
	return s;
}

static enum policy_status judge_arg(const struct in *in, const struct arg_in *a)
{
	bool masked = a->arg.op == PROFILE_MASKED_EQ;

	if (!a->has_index || !a->has_value || !a->has_op)
		return fail(in, NULL, "needs index, value and op");
	if (!masked && a->arg.value_two != 0)
		return fail(in, "only SCMP_CMP_MASKED_EQ has a second value",
			    "valueTwo has no meaning with this op");
	return POLICY_OK;
}

static enum policy_status read_arg(struct in *in, json_t *v, void *into)
{
	static const struct field fields[] = {
		{ "index", arg_index }, { "value", arg_value }, { "valueTwo", arg_value_two },
		{ "op", arg_op },       { NULL, NULL },
	};
	struct profile_entry *e = into;
	struct arg_in a = { .arg.index = 0 };
	enum policy_status s = read_object(in, v, fields, &a);

	if (s == POLICY_OK)
		s = judge_arg(in, &a);
	if (s == POLICY_OK)
		e->args[e->n_args++] = a.arg;
	return s;
}

/* ---- one entry ------------------------------------------------------------------- */

struct entry_in {
	struct profile_entry e;
	bool has_action, has_errno_name;
	size_t n_names;
};

static enum policy_status entry_each_name(struct in *in, json_t *v, void *into)
{
	struct entry_in *e = into;
	const char *text = json_string_value(v);
	char *copy;

	if (!text || !text_is_syscall(text))
		return fail(in, NULL, "must be the name of a system call");
	if (++in->n_names > PROFILE_NAMES_MAX)
		return fail(in, "16384 at most", "too many names in this profile");
	copy = arena_text(&in->p->arena, text, strlen(text));
	if (!copy)
		return policy_fail_memory(in->err);
	e->e.names[e->n_names++] = copy;
	return POLICY_OK;
}

static enum policy_status make_names(struct in *in, struct entry_in *e, size_t n)
{
	if (e->e.names)
		return fail(in, "keep names", "both name and names are given");
	e->e.names = arena_array(&in->p->arena, n + 1, sizeof(*e->e.names));
	return e->e.names ? POLICY_OK : policy_fail_memory(in->err);
}

static enum policy_status entry_names(struct in *in, json_t *v, void *into)
{
	enum policy_status s = make_names(in, into, json_array_size(v));

	return s == POLICY_OK ? read_list(in, v, entry_each_name, into) : s;
}

/* The form before Docker 1.12: one name an entry. */
static enum policy_status entry_name(struct in *in, json_t *v, void *into)
{
	enum policy_status s;

	if (json_is_string(v) && json_string_length(v) == 0)
		return POLICY_OK;
	s = make_names(in, into, 1);
	return s == POLICY_OK ? entry_each_name(in, v, into) : s;
}

static enum policy_status entry_action(struct in *in, json_t *v, void *into)
{
	struct entry_in *e = into;

	e->has_action = true;
	return read_action(in, v, &e->e.action);
}

/* The name wins over the number, as in containers-common, in whichever order. */
static enum policy_status entry_errno_ret(struct in *in, json_t *v, void *into)
{
	struct entry_in *e = into;
	uint32_t n = 0;
	enum policy_status s = read_u32_max(in, v, ERRNO_MAX, &n);

	e->e.has_errno = true;
	if (s == POLICY_OK && !e->has_errno_name)
		e->e.errno_ret = n;
	return s;
}

static enum policy_status entry_errno_name(struct in *in, json_t *v, void *into)
{
	struct entry_in *e = into;
	enum policy_status s = read_errno_name(in, v, &e->e.errno_ret, &e->has_errno_name);

	e->e.has_errno |= e->has_errno_name;
	return s;
}

static enum policy_status entry_args(struct in *in, json_t *v, void *into)
{
	struct entry_in *e = into;

	if (json_array_size(v) > PROFILE_ARGS_MAX)
		return fail(in, "16 at most; write more entries", "has too many members");
	e->e.args = arena_array(&in->p->arena, PROFILE_ARGS_MAX, sizeof(*e->e.args));
	if (!e->e.args)
		return policy_fail_memory(in->err);
	return read_list(in, v, read_arg, &e->e);
}

static enum policy_status entry_includes(struct in *in, json_t *v, void *into)
{
	return read_condition(in, v, &((struct entry_in *)into)->e.includes);
}

static enum policy_status entry_excludes(struct in *in, json_t *v, void *into)
{
	return read_condition(in, v, &((struct entry_in *)into)->e.excludes);
}

/* Without a number it is EPERM. An action that carries none may have a zero beside it, which
 * some writers add everywhere; false for any other. */
static bool settle_errno(enum profile_action a, bool has, uint32_t *number)
{
	bool carries = profile_action_has_errno(a);
	bool good = carries || !has || *number == 0;

	if (!carries || !has)
		*number = EPERM;
	return good;
}

/* Bits of the second value that the mask takes away, where any of the calls has them. */
static bool never_matches(const struct profile_entry *e, const struct profile_arg *a)
{
	uint64_t odd = a->op == PROFILE_MASKED_EQ ? a->value_two & ~a->value : 0;

	if (odd <= UINT32_MAX)
		return odd;
	for (const char *const *name = e->names; *name; name++)
		if (!syscall_narrow(*name, a->index))
			return true;
	return (uint32_t)odd;
}

static enum policy_status judge_masks(struct in *in, const struct profile_entry *e)
{
	for (size_t i = 0; i < e->n_args; i++) {
		if (!never_matches(e, &e->args[i]))
			continue;
		enter_key(in, "args");
		enter_index(in, i);
		return fail(in, "value is the mask, valueTwo what is left of the argument",
			    "can never match: valueTwo has bits that value masks out");
	}
	return POLICY_OK;
}

static enum policy_status judge_entry(struct in *in, struct entry_in *e)
{
	if (e->n_names == 0)
		return fail(in, "give it names", "an entry without system calls");
	if (!e->has_action)
		return fail(in, NULL, "needs an action");
	if (!settle_errno(e->e.action, e->e.has_errno, &e->e.errno_ret))
		return fail(in, "only SCMP_ACT_ERRNO and SCMP_ACT_TRACE carry a number",
			    "contradiction: an errno with an action that has none");
	return judge_masks(in, &e->e);
}

static enum policy_status read_entry(struct in *in, json_t *v, void *into)
{
	static const struct field fields[] = {
		{ "names", entry_names },       { "name", entry_name },
		{ "action", entry_action },     { "errnoRet", entry_errno_ret },
		{ "errno", entry_errno_name },  { "args", entry_args },
		{ "includes", entry_includes }, { "excludes", entry_excludes },
		{ "comment", read_comment },    { NULL, NULL },
	};
	struct entry_in e = { .has_action = false };
	enum policy_status s = read_object(in, v, fields, &e);

	(void)into;
	if (s == POLICY_OK)
		s = judge_entry(in, &e);
	if (s == POLICY_OK)
		in->p->entries[in->p->n_entries++] = e.e;
	return s;
}

/* ---- the whole ------------------------------------------------------------------- */

static enum policy_status read_default_action(struct in *in, json_t *v, void *into)
{
	(void)into;
	in->has_action = true;
	return read_action(in, v, &in->p->action);
}

static enum policy_status read_default_errno(struct in *in, json_t *v, void *into)
{
	uint32_t n = 0;
	enum policy_status s = read_u32_max(in, v, ERRNO_MAX, &n);

	(void)into;
	in->has_default_errno = true;
	if (s == POLICY_OK && !in->has_default_errno_name)
		in->p->errno_ret = n;
	return s;
}

static enum policy_status read_default_errno_name(struct in *in, json_t *v, void *into)
{
	enum policy_status s =
		read_errno_name(in, v, &in->p->errno_ret, &in->has_default_errno_name);

	(void)into;
	in->has_default_errno |= in->has_default_errno_name;
	return s;
}

static enum policy_status read_arch(struct in *in, json_t *v, void *into)
{
	const char *text = json_string_value(v);

	(void)into;
	if (!text || strncmp(text, "SCMP_ARCH_", 10) != 0)
		return fail(in, NULL, "must be an architecture: \"" NATIVE_SCMP "\"");
	in->arch_here |=
		strcmp(text, NATIVE_SCMP) == 0 || strcmp(text, "SCMP_ARCH_NATIVE") == 0;
	return POLICY_OK;
}

static enum policy_status name_arches(struct in *in, json_t *v, const char *key, read_fn *each)
{
	if (json_array_size(v) && in->arch_key)
		return fail(in, "keep one of them", "both architectures and archMap are given");
	if (json_array_size(v))
		in->arch_key = key;
	return read_list(in, v, each, NULL);
}

static enum policy_status read_arches(struct in *in, json_t *v, void *into)
{
	(void)into;
	return name_arches(in, v, "architectures", read_arch);
}

static enum policy_status each_sub_arch(struct in *in, json_t *v, void *into)
{
	(void)into;
	return json_is_string(v) ? POLICY_OK : fail(in, NULL, "must be a string");
}

/* Read, and then left out: processes of another word size are killed. */
static enum policy_status read_sub_arches(struct in *in, json_t *v, void *into)
{
	return read_list(in, v, each_sub_arch, into);
}

static enum policy_status each_arch_map(struct in *in, json_t *v, void *into)
{
	static const struct field fields[] = {
		{ "architecture", read_arch },
		{ "subArchitectures", read_sub_arches },
		{ NULL, NULL },
	};

	return read_object(in, v, fields, into);
}

static enum policy_status read_arch_map(struct in *in, json_t *v, void *into)
{
	(void)into;
	return name_arches(in, v, "archMap", each_arch_map);
}

static enum policy_status each_flag(struct in *in, json_t *v, void *into)
{
	static const char *const names[] = {
		"SECCOMP_FILTER_FLAG_TSYNC",
		"SECCOMP_FILTER_FLAG_LOG",
		"SECCOMP_FILTER_FLAG_SPEC_ALLOW",
		"SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
	};
	/* The last is about a listener; without one the kernel refuses the filter. */
	static const uint32_t bits[] = {
		SECCOMP_FILTER_FLAG_TSYNC,
		SECCOMP_FILTER_FLAG_LOG,
		SECCOMP_FILTER_FLAG_SPEC_ALLOW,
		0,
	};
	unsigned i = 0;
	enum policy_status s = read_word(in, v, names, sizeof(names) / sizeof(names[0]), &i);

	(void)into;
	if (s == POLICY_OK)
		in->p->flags |= bits[i];
	return s;
}

static enum policy_status read_flags(struct in *in, json_t *v, void *into)
{
	return read_list(in, v, each_flag, into);
}

static enum policy_status read_listener(struct in *in, json_t *v, void *into)
{
	(void)into;
	if (!json_is_string(v))
		return fail(in, NULL, "must be a string");
	if (json_string_length(v) == 0)
		return POLICY_OK;
	return policy_fail(in->err, POLICY_REFUSED, in->path, "remove it",
			   "no supervisor is told about system calls");
}

static enum policy_status read_entries(struct in *in, json_t *v, void *into)
{
	size_t n = json_array_size(v);

	if (n > PROFILE_LIST_MAX)
		return fail(in, "4096 at most", "has too many members");
	in->p->entries = arena_array(&in->p->arena, n + 1, sizeof(*in->p->entries));
	if (!in->p->entries)
		return policy_fail_memory(in->err);
	return read_list(in, v, read_entry, into);
}

static enum policy_status judge_profile(const struct in *in)
{
	if (!in->has_action)
		return policy_fail(in->err, POLICY_INVALID, "defaultAction",
				   "say what happens to calls that no entry names",
				   "is missing");
	if (!settle_errno(in->p->action, in->has_default_errno, &in->p->errno_ret))
		return policy_fail(in->err, POLICY_INVALID, "defaultErrnoRet",
				   "only SCMP_ACT_ERRNO and SCMP_ACT_TRACE carry a number",
				   "contradiction: defaultAction has no errno");
	if (in->arch_key && !in->arch_here)
		return policy_fail(in->err, POLICY_REFUSED, in->arch_key,
				   "add " NATIVE_SCMP " if the profile was made for it",
				   "the profile does not cover this machine, " NATIVE_SCMP);
	return POLICY_OK;
}

const struct profile_wrapper profile_wrappers[] = {
	{ "ociVersion", "this is a whole OCI configuration",
	  "a seccomp profile is its linux.seccomp object: pass that alone" },
	{ "apiVersion", "this is a Kubernetes resource",
	  "a seccomp profile is the spec of a SeccompProfile: pass that alone, as JSON" },
	{ .key = NULL },
};

static enum policy_status check_wrappers(const struct in *in, json_t *root)
{
	for (const struct profile_wrapper *w = profile_wrappers; w->key; w++)
		if (json_object_get(root, w->key))
			return policy_fail(in->err, POLICY_INVALID, w->key, w->hint, "%s",
					   w->what);
	return POLICY_OK;
}

static enum policy_status read_profile(struct in *in, json_t *root)
{
	static const struct field fields[] = {
		{ "defaultAction", read_default_action },
		{ "defaultErrnoRet", read_default_errno },
		{ "defaultErrno", read_default_errno_name },
		{ "architectures", read_arches },
		{ "archMap", read_arch_map },
		{ "flags", read_flags },
		{ "listenerPath", read_listener },
		{ "listenerMetadata", read_listener },
		{ "syscalls", read_entries },
		{ "comment", read_comment },
		{ NULL, NULL },
	};
	enum policy_status s = check_wrappers(in, root);

	if (s == POLICY_OK)
		s = read_object(in, root, fields, NULL);
	return s == POLICY_OK ? judge_profile(in) : s;
}

/* ---- text ------------------------------------------------------------------------ */

static void place(const char *text, size_t len, size_t at, struct policy_error *e)
{
	e->line = e->column = 1;
	for (size_t i = 0; i < at && i < len; i++) {
		e->column++;
		if (text[i] == '\n') {
			e->line++;
			e->column = 1;
		}
	}
}

/*
 * jansson's integers end at 2^63-1 and masks go to 2^64-1, so larger numbers get
 * quotes before it sees the text. This knows just enough of JSON for that: what is a
 * string, and what is a number between them. It measures the depth on its way.
 */
struct quoted {
	char *text;
	size_t len;
	size_t deep; /* offset of the first bracket that is too deep, or the text's length */
};

static size_t number_length(const char *text, size_t left)
{
	size_t n = 0;

	while (n < left && text[n] && strchr("0123456789.eE+-", text[n]))
		n++;
	return n;
}

/* Digits alone, no zero in front, and above 2^63-1. */
static bool number_is_large(const char *text, size_t n)
{
	static const char most[] = "9223372036854775807";
	const size_t digits = sizeof(most) - 1;

	if (text[0] < '1' || text[0] > '9')
		return false;
	for (size_t i = 0; i < n; i++)
		if (!isdigit((unsigned char)text[i]))
			return false;
	return n > digits || (n == digits && memcmp(text, most, digits) > 0);
}

static size_t string_length(const char *text, size_t left)
{
	size_t n = 1;

	while (n < left && text[n] != '"')
		n += text[n] == '\\' ? 2 : 1;
	return n < left ? n + 1 : left;
}

static size_t depth_after(char c, size_t depth)
{
	if (c == '{' || c == '[')
		return depth + 1;
	return (c == '}' || c == ']') && depth ? depth - 1 : depth;
}

static bool json_quote(const char *text, size_t len, struct quoted *ret)
{
	size_t depth = 0;

	/* Two bytes for each number of at least 19: never more than twice the text. */
	*ret = (struct quoted){ .text = malloc(2 * len + 1), .deep = len };
	for (size_t i = 0, n; ret->text && i < len; i += n) {
		bool large = false;

		n = number_length(text + i, len - i);
		if (n)
			large = number_is_large(text + i, n);
		else
			n = text[i] == '"' ? string_length(text + i, len - i) : 1;
		depth = depth_after(text[i], depth);
		if (depth > PROFILE_DEPTH_MAX && ret->deep == len)
			ret->deep = i;
		if (large)
			ret->text[ret->len++] = '"';
		memcpy(ret->text + ret->len, text + i, n);
		ret->len += n;
		if (large)
			ret->text[ret->len++] = '"';
	}
	return ret->text;
}

/* Where byte `at` of the quoted text was before: it differs by quotes alone. */
static size_t unquoted_offset(const char *text, size_t len, const struct quoted *q, size_t at)
{
	size_t i = 0;

	for (size_t k = 0; k < at && k < q->len && i < len; k++)
		i += q->text[k] == text[i];
	return i;
}

static enum policy_status syntax_error(const char *text, size_t len, const struct quoted *q,
				       const json_error_t *je, struct policy_error *reterr)
{
	bool memory = json_error_code(je) == json_error_out_of_memory;
	size_t at = je->position > 0 ? (size_t)je->position : 0;

	if (memory)
		return policy_fail_memory(reterr);
	policy_fail(reterr, POLICY_INVALID, NULL, NULL, "%s", je->text);
	if (reterr)
		place(text, len, unquoted_offset(text, len, q, at), reterr);
	return POLICY_INVALID;
}

static enum policy_status load(const char *text, size_t len, json_t **ret,
			       struct policy_error *reterr)
{
	enum policy_status s = POLICY_OK;
	struct quoted q;
	json_error_t je;

	if (len > POLICY_PROFILE_MAX)
		return policy_fail(reterr, POLICY_INVALID, NULL, "1 MiB at most",
				   "the profile is too long");
	if (!json_quote(text, len, &q))
		return policy_fail_memory(reterr);
	if (q.deep < len) {
		s = policy_fail(reterr, POLICY_INVALID, NULL, NULL, "nested too deeply");
		if (reterr)
			place(text, len, q.deep, reterr);
	} else {
		*ret = json_loadb(q.text, q.len, JSON_REJECT_DUPLICATES, &je);
		if (!*ret)
			s = syntax_error(text, len, &q, &je, reterr);
	}
	free(q.text);
	return s;
}

struct profile *profile_new(const char *name)
{
	struct arena a = { .blocks = NULL };
	struct profile *p = arena_array(&a, 1, sizeof(*p));

	if (!p)
		return NULL;
	p->name = arena_text(&a, name, strlen(name));
	p->errno_ret = EPERM;
	p->arena = a;
	if (!p->name) {
		profile_free(p);
		return NULL;
	}
	return p;
}

enum policy_status profile_parse(const char *name, const char *json, size_t len,
				 struct profile **ret, struct policy_error *reterr)
{
	struct profile *p = profile_new(name);
	struct in in = { .p = p, .err = reterr };
	json_t *root = NULL;
	enum policy_status s = p ? load(json, len, &root, reterr) : policy_fail_memory(reterr);

	if (s == POLICY_OK)
		s = read_profile(&in, root);
	json_decref(root);
	if (s == POLICY_OK) {
		*ret = p;
		return POLICY_OK;
	}
	if (reterr)
		snprintf(reterr->file, sizeof(reterr->file), "%s", name);
	profile_free(p);
	return s;
}

/* The profile lives in its own arena, so the arena is moved out before it ends. */
void profile_free(struct profile *p)
{
	struct arena a;

	if (!p)
		return;
	a = p->arena;
	arena_free(&a);
}

void profile_freep(struct profile **p)
{
	profile_free(*p);
}
