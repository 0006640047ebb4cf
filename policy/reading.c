/* policy/reading.c - see policy/reading.h. */
#include "policy/reading.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define TEXT_BYTES 4095u

/* ---- findings -------------------------------------------------------------------- */

__attribute__((format(printf, 6, 0))) static enum policy_status
finding(struct reading *rd, const struct node *n, const struct node *other,
	enum policy_status s, const char *hint, const char *what, va_list args)
{
	char text[sizeof(rd->err->what)];
	struct policy_error *e = rd->err;

	vsnprintf(text, sizeof(text), what, args);
	policy_fail(e, s, rd->path, hint, "%s", text);
	if (e && n) {
		e->line = n->line;
		e->column = n->column;
	}
	if (e && other) {
		e->other_line = other->line;
		e->other_column = other->column;
	}
	return s;
}

enum policy_status reading_fail(struct reading *rd, const struct node *n, enum policy_status s,
				const char *hint, const char *what, ...)
{
	va_list args;

	va_start(args, what);
	s = finding(rd, n, NULL, s, hint, what, args);
	va_end(args);
	return s;
}

enum policy_status reading_clash(struct reading *rd, const struct node *n,
				 const struct node *other, const char *hint, const char *what,
				 ...)
{
	enum policy_status s;
	va_list args;

	va_start(args, what);
	s = finding(rd, n, other, POLICY_INVALID, hint, what, args);
	va_end(args);
	return s;
}

size_t reading_enter(struct reading *rd, const char *name)
{
	size_t mark = strlen(rd->path);

	snprintf(rd->path + mark, sizeof(rd->path) - mark, "%s%s", mark ? "." : "", name);
	return mark;
}

size_t reading_enter_item(struct reading *rd, size_t index)
{
	size_t mark = strlen(rd->path);

	snprintf(rd->path + mark, sizeof(rd->path) - mark, "[%zu]", index);
	return mark;
}

void reading_leave(struct reading *rd, size_t mark)
{
	rd->path[mark] = '\0';
}

static enum policy_status wrong_type(struct reading *rd, const struct node *n,
				     const char *wanted)
{
	static const char *const kinds[] = {
		[NODE_SCALAR] = "a single value",
		[NODE_LIST] = "a list",
		[NODE_MAPPING] = "a mapping",
	};

	return reading_fail(rd, n, POLICY_INVALID, NULL, "%s is wanted here, not %s", wanted,
			    kinds[n->kind]);
}

/* ---- mappings -------------------------------------------------------------------- */

static const struct key *find_key(const struct key *keys, const char *name)
{
	for (; keys->name; keys++)
		if (strcmp(keys->name, name) == 0)
			return keys;
	return NULL;
}

static enum policy_status unknown_key(struct reading *rd, const struct node *key,
				      const struct key *keys)
{
	char hint[256] = "known here:";
	size_t used = strlen(hint), mark;
	enum policy_status s;

	for (; keys->name && used < sizeof(hint); keys++)
		used += (size_t)snprintf(hint + used, sizeof(hint) - used, " %s", keys->name);
	mark = reading_enter(rd, key->text);
	s = reading_fail(rd, key, POLICY_INVALID, hint, "there is no such key");
	reading_leave(rd, mark);
	return s;
}

static bool for_this_class(const struct reading *rd, const struct key *k)
{
	unsigned only = k->flags & (KEY_SANDBOX | KEY_GUEST);
	bool sandbox = rd->policy->draft.class == POLICY_CLASS_SANDBOX;

	return !only || only == (sandbox ? KEY_SANDBOX : KEY_GUEST);
}

static enum policy_status read_key(struct reading *rd, const struct node *mapping,
				   const struct key *k, void *to)
{
	const struct node *n = node_find(mapping, k->name);

	if (n && !for_this_class(rd, k))
		return reading_clash(rd, n->key, node_at(rd->root, "isolation.class"), NULL,
				     "this belongs to a %s",
				     k->flags & KEY_GUEST ? "guest" : "sandbox");
	if (n)
		return k->read(rd, n, k, (char *)to + k->at);
	if (k->flags & KEY_REQUIRED && for_this_class(rd, k))
		return reading_fail(rd, mapping, POLICY_INVALID,
				    "it has no default and must be written",
				    "the key is missing");
	return POLICY_OK;
}

/* In the order of the table, not of the file: later keys may rest on earlier ones. */
static enum policy_status read_keys(struct reading *rd, const struct node *n,
				    const struct key *keys, void *to)
{
	enum policy_status s = POLICY_OK;

	if (n->kind != NODE_MAPPING)
		return wrong_type(rd, n, "a mapping");
	for (const struct node *c = n->first; c; c = c->next)
		if (!find_key(keys, c->key->text))
			return unknown_key(rd, c->key, keys);
	for (; keys->name && s == POLICY_OK; keys++) {
		size_t mark = reading_enter(rd, keys->name);

		s = read_key(rd, n, keys, to);
		reading_leave(rd, mark);
	}
	return s;
}

enum policy_status read_mapping(struct reading *rd, const struct node *n, const struct key *k,
				void *to)
{
	return read_keys(rd, n, k->keys, to);
}

/* ---- lists ----------------------------------------------------------------------- */

enum policy_status want_list(struct reading *rd, const struct node *n, size_t min, size_t max)
{
	if (n->kind != NODE_LIST)
		return wrong_type(rd, n, "a list");
	if (n->count < min)
		return reading_fail(rd, n, POLICY_INVALID, NULL, "the list is empty");
	if (n->count > max)
		return reading_fail(rd, n, POLICY_INVALID, NULL, "more than %zu of them", max);
	return POLICY_OK;
}

enum policy_status read_records(struct reading *rd, const struct node *n, const struct key *k,
				void *to)
{
	enum policy_status s = want_list(rd, n, k->min, k->max);
	size_t i = 0, *count = (size_t *)(void *)((char *)to - k->at + k->count_at);
	char *array;

	if (s != POLICY_OK)
		return s;
	array = arena_array(rd->arena, n->count, k->size);
	if (!array)
		return policy_fail_memory(rd->err);
	for (const struct node *c = n->first; c && s == POLICY_OK; c = c->next, i++) {
		size_t mark = reading_enter_item(rd, i);

		if (k->initial)
			memcpy(array + i * k->size, k->initial, k->size);
		s = read_keys(rd, c, k->keys, array + i * k->size);
		reading_leave(rd, mark);
	}
	memcpy(to, &array, sizeof(array)); /* a pointer to whatever the records are */
	*count = n->count;
	return s;
}

/* ---- texts ----------------------------------------------------------------------- */

/* Would another reader of YAML see a number, a truth or nothing in these bare letters? */
static const char *type_in_disguise(const struct node *n)
{
	static const char *const truths[] = { "true", "false", "yes", "no", "on", "off" };
	const char *s = n->text;
	char *end;

	if (!n->plain)
		return NULL;
	if (s[0] == '\0' || strcmp(s, "~") == 0 || strcasecmp(s, "null") == 0)
		return "nothing";
	for (size_t i = 0; i < sizeof(truths) / sizeof(truths[0]); i++)
		if (strcasecmp(s, truths[i]) == 0)
			return "a truth value";
	if (!strchr("0123456789+-.", s[0]))
		return NULL;
	(void)strtod(s, &end);
	return *end == '\0' && end != s ? "a number" : NULL;
}

static enum policy_status text_of(struct reading *rd, const struct node *n, const char **ret)
{
	const char *disguise;

	if (n->kind != NODE_SCALAR)
		return wrong_type(rd, n, "a text");
	disguise = type_in_disguise(n);
	if (disguise)
		return reading_fail(rd, n, POLICY_INVALID, "put it in quotes if it is meant",
				    "a text is wanted here, and this is %s", disguise);
	*ret = n->text;
	return POLICY_OK;
}

enum policy_status read_plain_text(struct reading *rd, const struct node *n, const char **ret)
{
	enum policy_status s = text_of(rd, n, ret);

	if (s != POLICY_OK)
		return s;
	if ((*ret)[strcspn(*ret, "\t\n")])
		return reading_fail(rd, n, POLICY_INVALID, NULL, "a tab or a line end in it");
	if (strlen(*ret) > TEXT_BYTES)
		return reading_fail(rd, n, POLICY_INVALID, NULL, "longer than %u bytes",
				    TEXT_BYTES);
	if ((*ret)[0] == '\0')
		return reading_fail(rd, n, POLICY_INVALID, NULL, "the text is empty");
	return POLICY_OK;
}

static enum policy_status check_form(struct reading *rd, const struct node *n,
				     const struct key *k, const char *text)
{
	if (k->form && !k->form(text))
		return reading_fail(rd, n, POLICY_INVALID, NULL, "this is not %s", k->wanted);
	return POLICY_OK;
}

static enum policy_status copy_text(struct reading *rd, const char *text, char **ret)
{
	*ret = arena_text(rd->arena, text, strlen(text));
	return *ret ? POLICY_OK : policy_fail_memory(rd->err);
}

enum policy_status read_text(struct reading *rd, const struct node *n, const struct key *k,
			     void *to)
{
	const char *text = "";
	enum policy_status s = read_plain_text(rd, n, &text);

	if (s == POLICY_OK)
		s = check_form(rd, n, k, text);
	return s == POLICY_OK ? copy_text(rd, text, to) : s;
}

static const struct node *earlier_twin(const struct node *list, const struct node *n)
{
	for (const struct node *c = list->first; c != n; c = c->next)
		if (strcmp(c->text, n->text) == 0)
			return c;
	return NULL;
}

static enum policy_status read_item(struct reading *rd, const struct node *list,
				    const struct node *n, const struct key *k, char **ret)
{
	const char *text = "";
	enum policy_status s = k->form ? read_plain_text(rd, n, &text) : text_of(rd, n, &text);
	const struct node *twin;

	if (s == POLICY_OK)
		s = check_form(rd, n, k, text);
	if (s != POLICY_OK)
		return s;
	twin = k->flags & KEY_UNIQUE ? earlier_twin(list, n) : NULL;
	if (twin)
		return reading_clash(rd, n, twin, "remove one of the two", "%s is there twice",
				     text);
	return copy_text(rd, text, ret);
}

enum policy_status read_texts(struct reading *rd, const struct node *n, const struct key *k,
			      void *to)
{
	enum policy_status s = want_list(rd, n, k->min, k->max);
	char **texts;
	size_t i = 0;

	if (s != POLICY_OK)
		return s;
	texts = arena_array(rd->arena, n->count + 1, sizeof(*texts));
	if (!texts)
		return policy_fail_memory(rd->err);
	for (const struct node *c = n->first; c && s == POLICY_OK; c = c->next, i++) {
		size_t mark = reading_enter_item(rd, i);

		s = read_item(rd, n, c, k, &texts[i]);
		reading_leave(rd, mark);
	}
	*(char ***)to = texts;
	return s;
}

/* ---- words and truths ------------------------------------------------------------ */

static enum policy_status word_of(struct reading *rd, const struct node *n,
				  const struct word *words, uint64_t *ret)
{
	char hint[128] = "one of:";
	size_t used = strlen(hint);
	const struct word *w;

	if (n->kind != NODE_SCALAR)
		return wrong_type(rd, n, "a word");
	w = word_by_name(words, n->text);
	if (w) {
		*ret = w->value;
		return POLICY_OK;
	}
	for (w = words; w->name && used < sizeof(hint); w++)
		used += (size_t)snprintf(hint + used, sizeof(hint) - used, " %s", w->name);
	return reading_fail(rd, n, POLICY_INVALID, hint,
			    "%.60s is none of the words allowed here",
			    n->text[0] ? n->text : "nothing");
}

enum policy_status read_word(struct reading *rd, const struct node *n, const struct key *k,
			     void *to)
{
	uint64_t v = 0;
	enum policy_status s = word_of(rd, n, k->words, &v);

	if (s == POLICY_OK)
		*(uint32_t *)to = (uint32_t)v;
	return s;
}

enum policy_status read_word_bool(struct reading *rd, const struct node *n, const struct key *k,
				  void *to)
{
	uint64_t v = 0;
	enum policy_status s = word_of(rd, n, k->words, &v);

	if (s == POLICY_OK)
		*(bool *)to = v != 0;
	return s;
}

enum policy_status read_bool(struct reading *rd, const struct node *n, const struct key *k,
			     void *to)
{
	static const struct word truths[] = { { 0, "false" }, { 1, "true" }, { 0, NULL } };
	uint64_t v = 0;
	enum policy_status s = POLICY_OK;

	(void)k;
	if (n->kind == NODE_SCALAR && !n->plain)
		s = reading_fail(rd, n, POLICY_INVALID, "write true or false without quotes",
				 "a truth value is wanted here, and this is a text");
	if (s == POLICY_OK)
		s = word_of(rd, n, truths, &v);
	if (s == POLICY_OK)
		*(bool *)to = v != 0;
	return s;
}

/* ---- numbers --------------------------------------------------------------------- */

bool read_digits(const char *s, uint64_t *ret, const char **ret_end)
{
	uint64_t v = 0;
	const char *p = s;

	for (; *p >= '0' && *p <= '9'; p++)
		if (__builtin_mul_overflow(v, 10u, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(*p - '0'), &v))
			return false;
	*ret = v;
	*ret_end = p;
	return p != s && (s[0] != '0' || p == s + 1);
}

static enum policy_status not_a(struct reading *rd, const struct node *n, const char *wanted,
				const char *like)
{
	if (n->kind != NODE_SCALAR)
		return wrong_type(rd, n, wanted);
	return reading_fail(rd, n, POLICY_INVALID, like, "%s is wanted here", wanted);
}

static enum policy_status in_range(struct reading *rd, const struct node *n, uint64_t v,
				   uint64_t min, uint64_t max)
{
	if (v < min || v > max)
		return reading_fail(rd, n, POLICY_INVALID, NULL,
				    "out of range: from %" PRIu64 " to %" PRIu64, min, max);
	return POLICY_OK;
}

static bool is_number_like(const struct node *n)
{
	return n->kind == NODE_SCALAR && n->plain;
}

enum policy_status read_number(struct reading *rd, const struct node *n, uint64_t min,
			       uint64_t max, uint64_t *ret)
{
	const char *end;

	if (!is_number_like(n) || !read_digits(n->text, ret, &end) || *end)
		return not_a(rd, n, "a whole number", "decimal digits, without quotes: 128");
	return in_range(rd, n, *ret, min, max);
}

enum policy_status read_u32(struct reading *rd, const struct node *n, const struct key *k,
			    void *to)
{
	uint64_t v = 0;
	enum policy_status s = read_number(rd, n, k->min, k->max, &v);

	if (s == POLICY_OK)
		*(uint32_t *)to = (uint32_t)v;
	return s;
}

enum policy_status read_u64(struct reading *rd, const struct node *n, const struct key *k,
			    void *to)
{
	uint64_t v = 0;
	enum policy_status s = read_number(rd, n, k->min, k->max, &v);

	if (s == POLICY_OK)
		*(uint64_t *)to = v;
	return s;
}

/* "M" and "MB" mean different sizes to different programs; only the exact units pass. */
enum policy_status read_size(struct reading *rd, const struct node *n, const struct key *k,
			     void *to)
{
	static const struct word units[] = {
		{ 1, "" },
		{ 1ull << 10, "KiB" },
		{ 1ull << 20, "MiB" },
		{ 1ull << 30, "GiB" },
		{ 1ull << 40, "TiB" },
		{ 0, NULL },
	};
	static const char like[] = "bytes, or KiB, MiB, GiB, TiB without a space: 512MiB";
	const struct word *unit = NULL;
	const char *end;
	uint64_t v = 0;
	enum policy_status s;

	if (is_number_like(n) && read_digits(n->text, &v, &end))
		unit = word_by_name(units, end);
	if (!unit)
		return not_a(rd, n, "a size", like);
	if (__builtin_mul_overflow(v, unit->value, &v))
		v = UINT64_MAX;
	s = in_range(rd, n, v, k->min, k->max);
	if (s == POLICY_OK)
		*(uint64_t *)to = v;
	return s;
}

/* A decimal number with at most three places, kept in thousandths. */
enum policy_status read_milli(struct reading *rd, const struct node *n, const struct key *k,
			      void *to)
{
	static const char like[] = "a decimal number with at most three places: 1.5";
	const char *end = NULL;
	uint64_t v = 0;
	unsigned places = 0;

	if (!is_number_like(n) || !read_digits(n->text, &v, &end) || v > 1000000)
		return not_a(rd, n, "a number", like);
	if (*end == '.' && end[1])
		for (end++; *end >= '0' && *end <= '9' && places < 3; end++, places++)
			v = v * 10 + (uint64_t)(*end - '0');
	if (*end)
		return not_a(rd, n, "a number", like);
	for (; places < 3; places++)
		v *= 10;
	if (v < k->min || v > k->max)
		return reading_fail(rd, n, POLICY_INVALID, NULL, "out of range: from %g to %g",
				    (double)k->min / 1000, (double)k->max / 1000);
	*(uint64_t *)to = v;
	return POLICY_OK;
}
