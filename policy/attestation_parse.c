/*
 * policy/attestation_parse.c - an attestation block as somebody wrote it. A key of the
 * block is all, any, not, a claim, or a short form (`measurement: [...]`, `tcb:`) that
 * becomes clauses over claims here, so that nothing behind this file knows of it.
 */
#include "policy/attestation_internal.h"
#include "policy/reading.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TEXT_VALUE_MAX 255u

struct block {
	struct reading *rd;
	struct policy_attestation *to;
	const struct node *classes; /* where they are written */
	size_t clauses;
	unsigned depth;
};

/* ---- clauses --------------------------------------------------------------------- */

static void append(struct clause *parent, struct clause *c)
{
	if (parent->last)
		parent->last->next = c;
	else
		parent->first = c;
	parent->last = c;
}

static enum policy_status add(struct block *b, struct clause *parent, const struct node *at,
			      const struct clause *c)
{
	struct clause *copy;

	if (++b->clauses > ATTESTATION_CLAUSES_MAX)
		return reading_fail(b->rd, at, POLICY_INVALID, NULL, "more than %u clauses",
				    ATTESTATION_CLAUSES_MAX);
	copy = arena_array(b->rd->arena, 1, sizeof(*copy));
	if (!copy)
		return policy_fail_memory(b->rd->err);
	*copy = *c;
	copy->line = at->line;
	copy->column = at->column;
	append(parent, copy);
	return POLICY_OK;
}

static void put_classes(char *to, size_t size, uint32_t classes)
{
	struct line_text t = { to, size, 0 };
	const char *gap = "";

	to[0] = '\0';
	for (const struct word *w = words_evidence; w->name; w++)
		if (classes & w->value) {
			line_add(&t, "%s%s", gap, w->name);
			gap = " or ";
		}
}

/* Something about classes of which none is accepted says nothing, or was meant otherwise. */
static enum policy_status want_class(struct block *b, const struct node *n, uint32_t classes,
				     const char *what)
{
	char names[64];

	if (classes & b->to->classes)
		return POLICY_OK;
	put_classes(names, sizeof(names), classes);
	return reading_clash(b->rd, n, b->classes, "remove it, or accept the class",
			     "%.60s is of %s evidence, which is not accepted", what, names);
}

/* ---- values ---------------------------------------------------------------------- */

typedef enum policy_status value_fn(struct block *b, const struct node *n,
				    const struct claim_info *info, union claim_value *ret);

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static enum policy_status read_bytes(struct block *b, const struct node *n,
				     const struct claim_info *info, union claim_value *ret)
{
	const char *text = "";
	enum policy_status s = read_plain_text(b->rd, n, &text);
	size_t len = strlen(text);
	uint8_t *bytes;

	if (s != POLICY_OK)
		return s;
	if (text[strspn(text, "0123456789abcdef")])
		return reading_fail(b->rd, n, POLICY_INVALID, "0 to 9 and a to f, in quotes",
				    "lower-case hexadecimal digits are wanted here");
	if (len != 2 * info->size)
		return reading_fail(b->rd, n, POLICY_INVALID, NULL,
				    "%s has %zu bytes: %zu digits are wanted here, not %zu",
				    info->name, info->size, 2 * info->size, len);
	bytes = arena_array(b->rd->arena, info->size, 1);
	if (!bytes)
		return policy_fail_memory(b->rd->err);
	for (size_t i = 0; i < info->size; i++)
		bytes[i] = (uint8_t)(hex_digit(text[2 * i]) << 4 | hex_digit(text[2 * i + 1]));
	ret->bytes.at = bytes;
	ret->bytes.len = info->size;
	return POLICY_OK;
}

static enum policy_status read_whole(struct block *b, const struct node *n,
				     const struct claim_info *info, union claim_value *ret)
{
	(void)info;
	return read_number(b->rd, n, 0, UINT64_MAX, &ret->number);
}

static enum policy_status read_truth(struct block *b, const struct node *n,
				     const struct claim_info *info, union claim_value *ret)
{
	(void)info;
	return read_bool(b->rd, n, NULL, &ret->truth);
}

static enum policy_status not_a_word(struct block *b, const struct node *n,
				     const struct claim_info *info, const char *text)
{
	char hint[192];
	struct line_text t = { hint, sizeof(hint), 0 };

	line_add(&t, "one of:");
	for (const char *const *w = info->words; *w; w++)
		line_add(&t, " %s", *w);
	return reading_fail(b->rd, n, POLICY_INVALID, hint,
			    "%.60s is not a word that %s can be", text, info->name);
}

static enum policy_status read_word_or_text(struct block *b, const struct node *n,
					    const struct claim_info *info,
					    union claim_value *ret)
{
	const char *text = "";
	enum policy_status s = read_plain_text(b->rd, n, &text);

	if (s != POLICY_OK)
		return s;
	if (info->words && !words_have(info->words, text))
		return not_a_word(b, n, info, text);
	if (strlen(text) > TEXT_VALUE_MAX)
		return reading_fail(b->rd, n, POLICY_INVALID, NULL, "longer than %u bytes",
				    TEXT_VALUE_MAX);
	ret->text = arena_text(b->rd->arena, text, strlen(text));
	return ret->text ? POLICY_OK : policy_fail_memory(b->rd->err);
}

/* RFC 3339 in UTC. What is no date (a 30th of February) does not come back unchanged. */
static bool time_of(const char *text, int64_t *ret)
{
	static const char form[] = "0000-00-00T00:00:00Z", format[] = "%Y-%m-%dT%H:%M:%SZ";
	char again[sizeof(form)];
	struct tm tm = { .tm_sec = 0 };
	time_t seconds;

	if (strlen(text) != strlen(form))
		return false;
	for (size_t i = 0; form[i]; i++)
		if (form[i] == '0' ? text[i] < '0' || text[i] > '9' : text[i] != form[i])
			return false;
	if (!strptime(text, format, &tm))
		return false;
	seconds = timegm(&tm);
	if (seconds < 0 || !gmtime_r(&seconds, &tm) ||
	    strftime(again, sizeof(again), format, &tm) == 0 || strcmp(again, text) != 0)
		return false;
	*ret = seconds;
	return true;
}

static enum policy_status read_time(struct block *b, const struct node *n,
				    const struct claim_info *info, union claim_value *ret)
{
	const char *text = "";
	enum policy_status s = read_plain_text(b->rd, n, &text);

	(void)info;
	if (s == POLICY_OK && !time_of(text, &ret->time))
		return reading_fail(b->rd, n, POLICY_INVALID,
				    "a time in UTC: 2026-01-31T00:00:00Z",
				    "%.40s is not a time", text);
	return s;
}

static enum policy_status read_value(struct block *b, const struct node *n,
				     const struct claim_info *info, union claim_value *ret)
{
	static value_fn *const readers[] = {
		[CLAIM_BYTES] = read_bytes,        [CLAIM_NUMBER] = read_whole,
		[CLAIM_TRUTH] = read_truth,        [CLAIM_TEXT] = read_word_or_text,
		[CLAIM_TEXTS] = read_word_or_text, /* one of the set */
		[CLAIM_TIME] = read_time,
	};

	return readers[info->type](b, n, info, ret);
}

/* ---- TCB floors ------------------------------------------------------------------ */

static enum policy_status read_part(struct block *b, const struct node *n,
				    const struct claim_info *info, const char *line,
				    struct claim_tcb *tcb)
{
	const char *name = n->key->text;
	char hint[192];
	struct line_text t = { hint, sizeof(hint), 0 };
	enum policy_status s;
	uint64_t v = 0;
	size_t i = 0;

	line_add(&t, "one of:");
	for (; info->parts[i] && strcmp(info->parts[i], name) != 0; i++)
		line_add(&t, " %s", info->parts[i]);
	if (!info->parts[i])
		return reading_fail(b->rd, n->key, POLICY_INVALID, hint, "%s has no part %.40s",
				    info->name, name);
	if (line && i == CLAIM_SNP_FMC && strcmp(line, "turin") != 0)
		return reading_fail(b->rd, n->key, POLICY_INVALID, "only turin has",
				    "%s has no part fmc", line);
	s = read_number(b->rd, n, 0, UINT8_MAX, &v);
	tcb->have |= 1u << i;
	tcb->svn[i] = (uint8_t)v;
	return s;
}

static enum policy_status want_members(struct block *b, const struct node *n)
{
	if (n->kind != NODE_MAPPING)
		return reading_fail(b->rd, n, POLICY_INVALID, NULL, "a mapping is wanted here");
	if (n->count == 0)
		return reading_fail(b->rd, n, POLICY_INVALID, NULL, "nothing is in it");
	return POLICY_OK;
}

static enum policy_status read_parts(struct block *b, const struct node *n,
				     const struct claim_info *info, struct operand *to)
{
	enum policy_status s = want_members(b, n);

	for (const struct node *c = n->first; c && s == POLICY_OK; c = c->next) {
		size_t mark = reading_enter(b->rd, c->key->text);

		s = read_part(b, c, info, to->line, &to->value.tcb);
		reading_leave(b->rd, mark);
	}
	return s;
}

/* `deeper` names the key within each line's mapping under which its parts are, or is NULL. */
static enum policy_status read_line(struct block *b, const struct node *n,
				    const struct claim_info *info, const char *deeper,
				    struct operand *to)
{
	const struct node *parts = n;

	for (const char *const *w = words_product_line; *w; w++)
		if (strcmp(*w, n->key->text) == 0)
			to->line = *w;
	if (!to->line)
		return reading_fail(b->rd, n->key, POLICY_INVALID,
				    "one of: milan genoa turin (siena and bergamo are genoa)",
				    "there is no product line %.40s", n->key->text);
	if (deeper) {
		enum policy_status s = want_members(b, n);

		if (s != POLICY_OK)
			return s;
		parts = node_find(n, deeper);
		if (!parts || n->count != 1)
			return reading_fail(b->rd, n, POLICY_INVALID, NULL,
					    "%s and nothing else is wanted here", deeper);
	}
	return read_parts(b, parts, info, to);
}

static enum policy_status read_lines(struct block *b, struct clause *parent,
				     const struct node *at, const struct node *n,
				     const char *deeper, const struct clause *form)
{
	enum policy_status s = want_members(b, n);
	struct clause c = *form;
	struct operand *lines;
	size_t i = 0;

	if (s != POLICY_OK)
		return s;
	if (n->count > ATTESTATION_VALUES_MAX)
		return reading_fail(b->rd, n, POLICY_INVALID, NULL, "more than %u of them",
				    ATTESTATION_VALUES_MAX);
	lines = arena_array(b->rd->arena, n->count, sizeof(*lines));
	if (!lines)
		return policy_fail_memory(b->rd->err);
	for (const struct node *m = n->first; m && s == POLICY_OK; m = m->next, i++) {
		size_t mark = reading_enter(b->rd, m->key->text);

		s = read_line(b, m, c.claim, deeper, &lines[i]);
		reading_leave(b->rd, mark);
	}
	c.operands = lines;
	c.n_operands = n->count;
	return s == POLICY_OK ? add(b, parent, at, &c) : s;
}

/* Parts, or product lines with parts: the first key tells which. */
static enum policy_status read_floor(struct block *b, struct clause *parent,
				     const struct node *n, const struct clause *form)
{
	bool lines = form->claim->by_line && n->kind == NODE_MAPPING && n->first &&
		     n->first->kind == NODE_MAPPING;
	struct operand *parts;
	struct clause c = *form;
	enum policy_status s;

	if (lines)
		return read_lines(b, parent, n->key, n, NULL, form);
	parts = arena_array(b->rd->arena, 1, sizeof(*parts));
	if (!parts)
		return policy_fail_memory(b->rd->err);
	s = read_parts(b, n, c.claim, parts);
	c.operands = parts;
	c.n_operands = 1;
	return s == POLICY_OK ? add(b, parent, n->key, &c) : s;
}

/* ---- lists of values ------------------------------------------------------------- */

static const struct node *twin(const struct node *list, const struct node *n)
{
	for (const struct node *c = list->first; c != n; c = c->next)
		if (strcmp(c->text, n->text) == 0)
			return c;
	return NULL;
}

/* The values of a list, or the one that stands for it. */
static enum policy_status read_values(struct block *b, const struct node *n,
				      const struct claim_info *info, struct operand **ret,
				      size_t *ret_n)
{
	bool list = n->kind == NODE_LIST;
	size_t count = list ? n->count : 1, i = 0;
	enum policy_status s =
		list ? want_list(b->rd, n, 1, ATTESTATION_VALUES_MAX) : POLICY_OK;
	struct operand *values =
		s == POLICY_OK ? arena_array(b->rd->arena, count, sizeof(*values)) : NULL;

	if (s != POLICY_OK)
		return s;
	if (!values)
		return policy_fail_memory(b->rd->err);
	for (const struct node *c = list ? n->first : n; i < count && s == POLICY_OK;
	     c = c->next, i++) {
		size_t mark = list ? reading_enter_item(b->rd, i) : strlen(b->rd->path);
		const struct node *other;

		s = read_value(b, c, info, &values[i].value);
		other = s == POLICY_OK && list ? twin(n, c) : NULL;
		if (other)
			s = reading_clash(b->rd, c, other, "remove one of the two",
					  "%.70s is there twice", c->text);
		reading_leave(b->rd, mark);
	}
	*ret = values;
	*ret_n = count;
	return s;
}

/* ---- all, any, not, claims ------------------------------------------------------- */

static enum policy_status read_in(struct block *b, struct clause *parent, const struct node *n,
				  const struct clause *form)
{
	struct clause c = *form;
	struct operand *values = NULL;
	enum policy_status s = want_list(b->rd, n, 1, ATTESTATION_VALUES_MAX);

	if (s == POLICY_OK)
		s = read_values(b, n, c.claim, &values, &c.n_operands);
	c.operands = values;
	return s == POLICY_OK ? add(b, parent, n->key, &c) : s;
}

static enum policy_status read_one(struct block *b, struct clause *parent, const struct node *n,
				   const struct clause *form)
{
	struct clause c = *form;
	struct operand *value;
	enum policy_status s;

	if (c.claim->type == CLAIM_TCB)
		return read_floor(b, parent, n, form);
	value = arena_array(b->rd->arena, 1, sizeof(*value));
	if (!value)
		return policy_fail_memory(b->rd->err);
	s = read_value(b, n, c.claim, &value->value);
	c.operands = value;
	c.n_operands = 1;
	return s == POLICY_OK ? add(b, parent, n->key, &c) : s;
}

#define OF(type) (1u << CLAIM_##type)

static const struct operation {
	const char *name;
	enum clause_kind kind;
	unsigned types; /* of the claims that have it */
	enum policy_status (*read)(struct block *b, struct clause *parent, const struct node *n,
				   const struct clause *form);
} operations[] = {
	{ "equals", CLAUSE_IN, OF(BYTES) | OF(NUMBER) | OF(TRUTH) | OF(TEXT), read_one },
	{ "in", CLAUSE_IN, OF(BYTES) | OF(NUMBER) | OF(TEXT) | OF(TEXTS), read_in },
	{ "at-least", CLAUSE_AT_LEAST, OF(NUMBER) | OF(TCB), read_one },
	{ "at-most", CLAUSE_AT_MOST, OF(NUMBER), read_one },
	{ "not-before", CLAUSE_NOT_BEFORE, OF(TIME), read_one },
	{ "not-after", CLAUSE_NOT_AFTER, OF(TIME), read_one },
	{ .name = NULL },
};

static enum policy_status read_operation(struct block *b, struct clause *parent,
					 const struct node *n, const struct claim_info *info)
{
	const struct operation *op = operations;
	struct clause form = { .classes = ATTESTATION_ALL_CLASSES, .claim = info };
	char hint[96];
	struct line_text t = { hint, sizeof(hint), 0 };

	while (op->name && strcmp(op->name, n->key->text) != 0)
		op++;
	if (op->name && op->types >> info->type & 1) {
		form.kind = op->kind;
		return op->read(b, parent, n, &form);
	}
	line_add(&t, "it has:");
	for (op = operations; op->name; op++)
		if (op->types >> info->type & 1)
			line_add(&t, " %s", op->name);
	return reading_fail(b->rd, n->key, POLICY_INVALID, hint, "%s cannot be asked for %.40s",
			    info->name, n->key->text);
}

/* A range that is empty can never be met, so it is not what was meant. */
static enum policy_status check_range(struct block *b, const struct node *n,
				      const struct clause *lower, const struct clause *upper)
{
	const union claim_value *low, *high;
	bool empty;

	if (!lower || !upper)
		return POLICY_OK;
	low = &lower->operands[0].value;
	high = &upper->operands[0].value;
	empty = lower->kind == CLAUSE_AT_LEAST ? low->number > high->number
					       : low->time > high->time;
	return empty ? reading_fail(b->rd, n, POLICY_INVALID, "exchange the two",
				    "nothing is within these bounds")
		     : POLICY_OK;
}

static enum policy_status read_claim(struct block *b, struct clause *parent,
				     const struct node *n, const struct claim_info *info)
{
	const struct clause *lower = NULL, *upper = NULL, *before = parent->last;
	enum policy_status s = want_class(b, n->key, info->classes, info->name);

	if (s == POLICY_OK)
		s = want_members(b, n);
	for (const struct node *c = n->first; c && s == POLICY_OK; c = c->next) {
		size_t mark = reading_enter(b->rd, c->key->text);

		s = read_operation(b, parent, c, info);
		reading_leave(b->rd, mark);
	}
	for (const struct clause *c = before ? before->next : parent->first; c; c = c->next) {
		if (c->kind == CLAUSE_AT_LEAST || c->kind == CLAUSE_NOT_BEFORE)
			lower = c;
		if (c->kind == CLAUSE_AT_MOST || c->kind == CLAUSE_NOT_AFTER)
			upper = c;
	}
	return s == POLICY_OK ? check_range(b, n, lower, upper) : s;
}

static enum policy_status read_term(struct block *b, struct clause *parent,
				    const struct node *n);

/* The clauses of one mapping: all of them must hold. */
static enum policy_status read_terms(struct block *b, struct clause *parent,
				     const struct node *n)
{
	enum policy_status s = want_members(b, n);

	for (const struct node *c = n->first; c && s == POLICY_OK; c = c->next) {
		size_t mark = reading_enter(b->rd, c->key->text);

		s = read_term(b, parent, c);
		reading_leave(b->rd, mark);
	}
	return s;
}

/* One mapping as one clause. */
static enum policy_status read_expression(struct block *b, struct clause *parent,
					  const struct node *n)
{
	struct clause all = { .kind = CLAUSE_ALL, .classes = ATTESTATION_ALL_CLASSES };
	enum policy_status s = read_terms(b, &all, n);

	if (s != POLICY_OK)
		return s;
	if (all.first != all.last)
		return add(b, parent, n, &all);
	append(parent, all.first);
	return POLICY_OK;
}

static enum policy_status read_group(struct block *b, struct clause *parent,
				     const struct node *n, enum clause_kind kind)
{
	struct clause group = { .kind = kind, .classes = ATTESTATION_ALL_CLASSES };
	enum policy_status s;
	size_t i = 0;

	if (b->depth == ATTESTATION_DEPTH_MAX)
		return reading_fail(b->rd, n->key, POLICY_INVALID, NULL,
				    "more than %u levels of all, any and not",
				    ATTESTATION_DEPTH_MAX);
	b->depth++;
	if (kind == CLAUSE_NOT) {
		s = read_expression(b, &group, n);
	} else {
		s = want_list(b->rd, n, 1, ATTESTATION_CLAUSES_MAX);
		for (const struct node *c = n->first; c && s == POLICY_OK; c = c->next, i++) {
			size_t mark = reading_enter_item(b->rd, i);

			s = read_expression(b, &group, c);
			reading_leave(b->rd, mark);
		}
	}
	b->depth--;
	return s == POLICY_OK ? add(b, parent, n->key, &group) : s;
}

static enum policy_status read_term(struct block *b, struct clause *parent,
				    const struct node *n)
{
	static const struct word groups[] = {
		{ CLAUSE_ALL, "all" }, { CLAUSE_ANY, "any" }, { CLAUSE_NOT, "not" }, { 0, NULL }
	};
	const struct word *group = word_by_name(groups, n->key->text);
	const struct claim_info *info = claim_info_find(n->key->text);

	if (group)
		return read_group(b, parent, n, (enum clause_kind)group->value);
	if (info)
		return read_claim(b, parent, n, info);
	return reading_fail(b->rd, n->key, POLICY_INVALID,
			    "cordon-attestation(5) has the names of all claims",
			    "there is no such key or claim");
}

/* ---- short forms ----------------------------------------------------------------- */

/* `claim` is one of the values of `n`, for those of the accepted classes that have it. */
static enum policy_status make_in(struct block *b, const struct node *n, const char *claim,
				  struct clause *ret)
{
	struct clause c = { .kind = CLAUSE_IN, .claim = claim_info_find(claim) };
	struct operand *values = NULL;
	enum policy_status s = read_values(b, n, c.claim, &values, &c.n_operands);

	c.classes = c.claim->classes & b->to->classes;
	c.operands = values;
	*ret = c;
	return s;
}

static enum policy_status add_in(struct block *b, const struct node *n, const char *claim)
{
	struct clause c;
	enum policy_status s = make_in(b, n, claim, &c);

	return s == POLICY_OK ? add(b, &b->to->root, n->key, &c) : s;
}

/* Bits of words, none twice. */
static enum policy_status read_bits(struct block *b, const struct node *n,
				    const struct word *words, uint32_t *ret)
{
	const struct key k = { .words = words };
	enum policy_status s = want_list(b->rd, n, 1, ATTESTATION_VALUES_MAX);
	size_t i = 0;

	for (const struct node *c = n->first; c && s == POLICY_OK; c = c->next, i++) {
		size_t mark = reading_enter_item(b->rd, i);
		uint32_t bit = 0;

		s = read_word(b->rd, c, &k, &bit);
		if (s == POLICY_OK && *ret & bit)
			s = reading_clash(b->rd, c, twin(n, c), "remove one of the two",
					  "%.40s is there twice", c->text);
		*ret |= bit;
		reading_leave(b->rd, mark);
	}
	return s;
}

/* Unlike any other short form it is a clause for all evidence, of other classes above all. */
static enum policy_status read_classes(struct block *b, const struct node *n)
{
	enum policy_status s = read_bits(b, n, words_evidence, &b->to->classes);
	struct clause tee;

	b->classes = n;
	if (s == POLICY_OK)
		s = make_in(b, n, "tee", &tee);
	if (s != POLICY_OK)
		return s;
	tee.classes = ATTESTATION_ALL_CLASSES;
	return add(b, &b->to->root, n->key, &tee);
}

static enum policy_status read_exception(struct block *b, const struct node *n)
{
	const struct exception_word *x = exception_words;
	char hint[192];
	struct line_text t = { hint, sizeof(hint), 0 };
	const char *text = "";
	enum policy_status s = read_plain_text(b->rd, n, &text);

	if (s != POLICY_OK)
		return s;
	line_add(&t, "one of:");
	for (; x->name && strcmp(x->name, text) != 0; x++)
		line_add(&t, " %s", x->name);
	if (!x->name)
		return reading_fail(b->rd, n, POLICY_INVALID, hint,
				    "%.60s is nothing that can be accepted", text);
	b->to->exceptions |= x->bit;
	return want_class(b, n, x->classes, x->name);
}

static enum policy_status read_accept(struct block *b, const struct node *n)
{
	enum policy_status s = want_list(b->rd, n, 0, ATTESTATION_VALUES_MAX);
	size_t i = 0;

	for (const struct node *c = n->first; c && s == POLICY_OK; c = c->next, i++) {
		size_t mark = reading_enter_item(b->rd, i);
		const struct node *other;

		s = read_exception(b, c);
		other = s == POLICY_OK ? twin(n, c) : NULL;
		if (other)
			s = reading_clash(b->rd, c, other, "remove one of the two",
					  "%.40s is there twice", c->text);
		reading_leave(b->rd, mark);
	}
	return s;
}

/* What a guest's launch was measured to be has two names. */
static enum policy_status read_measurement(struct block *b, const struct node *n)
{
	static const char *const claims[] = { "measurement", "mrtd" };
	enum policy_status s = want_class(
		b, n->key, ATTESTATION_SEV_SNP | ATTESTATION_TDX | ATTESTATION_SIMULATED,
		n->key->text);

	for (size_t i = 0; i < 2 && s == POLICY_OK; i++)
		if (claim_info_find(claims[i])->classes & b->to->classes)
			s = add_in(b, n, claims[i]);
	return s;
}

static enum policy_status read_one_claim(struct block *b, const struct node *n,
					 const char *claim)
{
	enum policy_status s =
		want_class(b, n->key, claim_info_find(claim)->classes, n->key->text);

	return s == POLICY_OK ? add_in(b, n, claim) : s;
}

static enum policy_status read_plan(struct block *b, const struct node *n)
{
	return read_one_claim(b, n, "plan_digest");
}

static enum policy_status read_workload(struct block *b, const struct node *n)
{
	return read_one_claim(b, n, "workload_digest");
}

static enum policy_status read_cordon(struct block *b, const struct node *n)
{
	return read_one_claim(b, n, "cordon_digest");
}

static bool names_binary(const struct node *n)
{
	const struct node *c = n->kind == NODE_LIST ? n->first : n;

	for (; c && c->kind == NODE_SCALAR; c = c->next) {
		if (strcmp(c->text, words_coverage[0]) == 0)
			return true;
		if (n->kind != NODE_LIST)
			break;
	}
	return false;
}

/* The baseline refuses `binary` whatever is written here, so it must be accepted too. */
static enum policy_status read_coverage(struct block *b, const struct node *n)
{
	enum policy_status s = read_one_claim(b, n, "workload_coverage");

	if (s == POLICY_OK && names_binary(n) &&
	    !(b->to->exceptions & ATTESTATION_COVERAGE_BINARY))
		return reading_fail(b->rd, n, POLICY_INVALID,
				    "write accept: [coverage-binary], or leave binary out",
				    "the baseline refuses the coverage binary");
	return s;
}

static bool names_other_than_root(const struct clause *c)
{
	for (size_t i = 0; i < c->n_operands; i++)
		if (c->operands[i].value.number != 0)
			return true;
	return false;
}

/* Users other than root are an exception as well, if a narrower one than any user. */
static enum policy_status read_launcher(struct block *b, const struct node *n)
{
	enum policy_status s = read_one_claim(b, n, "launcher_uid");

	if (s == POLICY_OK && b->to->exceptions & ATTESTATION_LAUNCHER_UID)
		return reading_fail(b->rd, n, POLICY_INVALID, "write one of the two",
				    "certain users, and any user at once");
	if (s == POLICY_OK && names_other_than_root(b->to->root.last))
		b->to->exceptions |= ATTESTATION_LAUNCHER_UID;
	return s;
}

static enum policy_status read_statuses(struct block *b, const struct node *n)
{
	struct policy_attestation *to = b->to;
	struct operand *values = NULL;
	enum policy_status s = want_list(b->rd, n, 1, ATTESTATION_VALUES_MAX);

	if (s == POLICY_OK)
		s = read_values(b, n, claim_info_find("tcb_status"), &values, &to->n_statuses);
	if (s == POLICY_OK)
		to->statuses = values;
	for (size_t i = 0; s == POLICY_OK && i < to->n_statuses; i++)
		if (strcmp(values[i].value.text, TCB_STATUS_NEVER) == 0)
			return reading_fail(
				b->rd, n, POLICY_REFUSED, NULL,
				"a platform whose TCB is revoked is never accepted");
	return s == POLICY_OK ? add_in(b, n, "tcb_status") : s;
}

static enum policy_status read_tcb_class(struct block *b, const struct node *n)
{
	const struct word *class = word_by_name(words_evidence, n->key->text);
	const struct clause floor = {
		.kind = CLAUSE_AT_LEAST,
		.classes = ATTESTATION_SEV_SNP,
		.claim = claim_info_find("reported_tcb"),
	};
	const struct node *accept;
	enum policy_status s;
	size_t mark;

	if (!class || !(class->value & (ATTESTATION_SEV_SNP | ATTESTATION_TDX)))
		return reading_fail(b->rd, n->key, POLICY_INVALID, "one of: sev-snp tdx",
				    "%.40s has no TCB", n->key->text);
	s = want_class(b, n->key, (uint32_t) class->value, "this");
	if (s == POLICY_OK)
		s = want_members(b, n);
	if (s != POLICY_OK)
		return s;
	if (class->value == ATTESTATION_SEV_SNP)
		return read_lines(b, &b->to->root, n->key, n, "min", &floor);
	accept = node_find(n, "accept");
	if (!accept || n->count != 1)
		return reading_fail(b->rd, n, POLICY_INVALID, "tcb: { tdx: { accept: [...] } }",
				    "accept and nothing else is wanted here");
	mark = reading_enter(b->rd, "accept");
	s = read_statuses(b, accept);
	reading_leave(b->rd, mark);
	return s;
}

static enum policy_status read_tcb(struct block *b, const struct node *n)
{
	enum policy_status s = want_members(b, n);

	for (const struct node *c = n->first; c && s == POLICY_OK; c = c->next) {
		size_t mark = reading_enter(b->rd, c->key->text);

		s = read_tcb_class(b, c);
		reading_leave(b->rd, mark);
	}
	return s;
}

static const struct platform_list {
	const char *name, *claim;
} platform_lists[] = {
	{ "hosts", "host_id" }, { "chip-ids", "chip_id" },
	{ "fmspcs", "fmspc" },  { "product-lines", "product_line" },
	{ NULL, NULL },
};

/* A denied platform's claim that is missing is unknown: what cannot be told apart from it is
 * refused as well. */
static enum policy_status add_denied(struct block *b, const struct node *n, const char *claim)
{
	struct clause denied = { .kind = CLAUSE_NOT }, in;
	enum policy_status s = make_in(b, n, claim, &in);

	denied.classes = in.classes;
	if (s == POLICY_OK)
		s = add(b, &denied, n->key, &in);
	return s == POLICY_OK ? add(b, &b->to->root, n->key, &denied) : s;
}

static enum policy_status read_platform_list(struct block *b, const struct node *n, bool allow,
					     uint32_t *covered)
{
	const struct platform_list *l = platform_lists;
	uint32_t classes;
	enum policy_status s;

	while (l->name && strcmp(l->name, n->key->text) != 0)
		l++;
	if (!l->name)
		return reading_fail(b->rd, n->key, POLICY_INVALID,
				    "one of: hosts chip-ids fmspcs product-lines",
				    "there is no such key");
	classes = claim_info_find(l->claim)->classes;
	*covered |= classes;
	s = want_class(b, n->key, classes, l->name);
	if (s == POLICY_OK)
		s = want_list(b->rd, n, 1, ATTESTATION_VALUES_MAX);
	if (s != POLICY_OK)
		return s;
	return allow ? add_in(b, n, l->claim) : add_denied(b, n, l->claim);
}

/* A list of what is allowed that says nothing of a class would allow all of it. */
static enum policy_status check_covered(struct block *b, const struct node *n, uint32_t covered)
{
	char names[64];

	if (!(b->to->classes & ~covered))
		return POLICY_OK;
	put_classes(names, sizeof(names), b->to->classes & ~covered);
	return reading_clash(b->rd, n, b->classes, "allow some of these too, or deny others",
			     "this leaves open which %s platforms are allowed", names);
}

static enum policy_status read_platforms(struct block *b, const struct node *n)
{
	bool allow = strcmp(n->key->text, "allow") == 0;
	enum policy_status s = POLICY_OK;
	uint32_t covered = 0;

	if (!allow && strcmp(n->key->text, "deny") != 0)
		return reading_fail(b->rd, n->key, POLICY_INVALID, "one of: allow deny",
				    "there is no such key");
	s = want_members(b, n);
	for (const struct node *c = n->first; c && s == POLICY_OK; c = c->next) {
		size_t mark = reading_enter(b->rd, c->key->text);

		s = read_platform_list(b, c, allow, &covered);
		reading_leave(b->rd, mark);
	}
	return s == POLICY_OK && allow ? check_covered(b, n, covered) : s;
}

static enum policy_status read_platform(struct block *b, const struct node *n)
{
	enum policy_status s = want_members(b, n);

	for (const struct node *c = n->first; c && s == POLICY_OK; c = c->next) {
		size_t mark = reading_enter(b->rd, c->key->text);

		s = read_platforms(b, c);
		reading_leave(b->rd, mark);
	}
	return s;
}

/* ---- the block ------------------------------------------------------------------- */

/* What other keys rest on is read first; the rest in the order of the file. */
static const struct short_form {
	const char *name;
	enum policy_status (*read)(struct block *b, const struct node *n);
	bool first;
} short_forms[] = {
	{ "classes", read_classes, true },
	{ "accept", read_accept, true },
	{ "measurement", read_measurement, false },
	{ "tcb", read_tcb, false },
	{ "platform", read_platform, false },
	{ "plan", read_plan, false },
	{ "workload", read_workload, false },
	{ "cordon", read_cordon, false },
	{ "coverage", read_coverage, false },
	{ "launcher-uid", read_launcher, false },
	{ .name = NULL },
};

/* `measurement: { in: [...] }` is a clause over the claim of that name. */
static const struct short_form *short_form_of(const struct node *n)
{
	if (n->kind == NODE_MAPPING && claim_info_find(n->key->text))
		return NULL;
	for (const struct short_form *f = short_forms; f->name; f++)
		if (strcmp(f->name, n->key->text) == 0)
			return f;
	return NULL;
}

static enum policy_status read_key(struct block *b, const struct node *n)
{
	const struct short_form *f = short_form_of(n);
	size_t mark = reading_enter(b->rd, n->key->text);
	enum policy_status s = f ? f->read(b, n) : read_term(b, &b->to->root, n);

	reading_leave(b->rd, mark);
	return s;
}

static enum policy_status read_first(struct block *b, const struct node *n)
{
	enum policy_status s = POLICY_OK;

	if (!node_find(n, "classes"))
		return reading_fail(b->rd, n, POLICY_INVALID,
				    "write classes: which evidence is accepted",
				    "the key classes is missing");
	for (const struct short_form *f = short_forms; f->first && s == POLICY_OK; f++) {
		const struct node *c = node_find(n, f->name);

		if (c)
			s = read_key(b, c);
	}
	return s;
}

/* The clause that keeps a class out, as deep within as one alone does. */
static const struct clause *obstacle(const struct clause *c, uint32_t class)
{
	const struct clause *inner = c->kind == CLAUSE_ALL ? c->first : NULL;

	while (inner && (!(inner->classes & class) ||
			 clause_outcomes(inner, class) & 1u << ATTESTATION_TRUE))
		inner = inner->next;
	return inner ? obstacle(inner, class) : c;
}

/* A class that is accepted, and yet never is, whatever its evidence says. */
static enum policy_status check_classes(struct block *b)
{
	const struct policy_attestation *a = b->to;

	for (const struct word *w = words_evidence; w->name; w++) {
		uint32_t class = a->classes & (uint32_t)w->value;
		const struct clause *c;
		struct node at = { .line = 0 };

		if (!class || clause_outcomes(&a->root, class) & 1u << ATTESTATION_TRUE)
			continue;
		c = obstacle(&a->root, class);
		at.line = c->line;
		at.column = c->column;
		if (c->claim && !(c->claim->classes & class))
			return reading_clash(b->rd, &at, b->classes,
					     "leave the class out, or put this under any",
					     "%s evidence has no %s, so none is ever accepted",
					     w->name, c->claim->name);
		return reading_clash(b->rd, &at, b->classes, "leave the class out",
				     "no %s evidence is ever accepted because of this",
				     w->name);
	}
	return POLICY_OK;
}

enum policy_status attestation_read(struct reading *rd, const struct node *n,
				    struct policy_attestation *to)
{
	struct block b = { .rd = rd, .to = to };
	enum policy_status s = want_members(&b, n);

	to->root = (struct clause){ .kind = CLAUSE_ALL, .classes = ATTESTATION_ALL_CLASSES };
	if (s == POLICY_OK)
		s = read_first(&b, n);
	for (const struct node *c = n->first; c && s == POLICY_OK; c = c->next) {
		const struct short_form *f = short_form_of(c);

		if (!f || !f->first)
			s = read_key(&b, c);
	}
	return s == POLICY_OK ? check_classes(&b) : s;
}

enum policy_status policy_attestation_parse(const char *name, const char *text, size_t len,
					    struct policy_attestation **ret,
					    struct policy_error *reterr)
{
	AUTO(policy_attestation_freep) struct policy_attestation *a = calloc(1, sizeof(*a));
	struct reading rd = { .text = text, .folder = "", .err = reterr };
	struct node *root = NULL;
	enum policy_status s;

	if (!a)
		return policy_fail_memory(reterr);
	rd.arena = &a->arena;
	if (len > ATTESTATION_TEXT_MAX)
		s = policy_fail(reterr, POLICY_INVALID, NULL, NULL, "longer than %u bytes",
				ATTESTATION_TEXT_MAX);
	else
		s = yaml_read(text, len, rd.arena, &root, reterr);
	rd.root = root;
	if (s == POLICY_OK) {
		reading_enter(&rd, "attestation");
		s = attestation_read(&rd, root, a);
	}
	if (s != POLICY_OK) {
		if (reterr)
			snprintf(reterr->file, sizeof(reterr->file), "%s", name);
		return s;
	}
	*ret = a;
	a = NULL;
	return POLICY_OK;
}
