/*
 * policy/attestation.c - the value of an attestation block for what some evidence says,
 * and what can be told of a block without any. Needs libc alone, and allocates nothing.
 */
#include "policy/attestation_internal.h"
#include "policy/text.h"

#include <stdlib.h>
#include <string.h>

/* Kleene's logic. Unknown is what nothing can be concluded from, so it is turned into true
 * nowhere: whoever leaves a claim out gains nothing that some value of it would not give. */
static enum attestation_outcome both(enum attestation_outcome a, enum attestation_outcome b)
{
	if (a == ATTESTATION_FALSE || b == ATTESTATION_FALSE)
		return ATTESTATION_FALSE;
	return a == ATTESTATION_TRUE && b == ATTESTATION_TRUE ? ATTESTATION_TRUE
							      : ATTESTATION_UNKNOWN;
}

static enum attestation_outcome opposite(enum attestation_outcome a)
{
	if (a == ATTESTATION_UNKNOWN)
		return ATTESTATION_UNKNOWN;
	return a == ATTESTATION_TRUE ? ATTESTATION_FALSE : ATTESTATION_TRUE;
}

static enum attestation_outcome either(enum attestation_outcome a, enum attestation_outcome b)
{
	return opposite(both(opposite(a), opposite(b)));
}

static enum attestation_outcome truth(bool b)
{
	return b ? ATTESTATION_TRUE : ATTESTATION_FALSE;
}

/* ---- claims ---------------------------------------------------------------------- */

struct evaluation {
	uint32_t class;
	const struct claim *claims;
	size_t n_claims;
	struct claim tee; /* said by the class alone */
	struct attestation_line *lines;
	size_t max_lines, n_lines;
};

/* Is the value one that the vocabulary allows? */
static bool fits(const struct claim_info *info, const struct claim *c)
{
	const union claim_value *v = &c->value;

	if (c->type != info->type)
		return false;
	switch (c->type) {
	case CLAIM_BYTES:
		return v->bytes.at && v->bytes.len == info->size;
	case CLAIM_TEXT:
		return v->text && (!info->words || words_have(info->words, v->text));
	case CLAIM_TEXTS:
		for (size_t i = 0; i < v->texts.n; i++)
			if (!v->texts.at || !v->texts.at[i])
				return false;
		return true;
	default:
		return true;
	}
}

/* What the evidence says of this claim; NULL and why, where it says nothing usable. */
static const union claim_value *claimed(const struct evaluation *e,
					const struct claim_info *info, const char **ret_why)
{
	const struct claim *found = NULL;

	*ret_why = "missing";
	if (!(info->classes & e->class))
		return NULL;
	if (strcmp(info->name, e->tee.name) == 0)
		return &e->tee.value;
	for (size_t i = 0; i < e->n_claims; i++) {
		if (!e->claims[i].name || strcmp(e->claims[i].name, info->name) != 0)
			continue;
		if (found) {
			*ret_why = "there twice";
			return NULL;
		}
		found = &e->claims[i];
	}
	if (!found)
		return NULL;
	*ret_why = "not of its type, length or words";
	return fits(info, found) ? &found->value : NULL;
}

/* ---- clauses --------------------------------------------------------------------- */

static bool text_in(const struct clause *c, const char *text)
{
	for (size_t i = 0; i < c->n_operands; i++)
		if (strcmp(c->operands[i].value.text, text) == 0)
			return true;
	return false;
}

static bool equal(enum claim_type type, const union claim_value *a, const union claim_value *b)
{
	switch (type) {
	case CLAIM_BYTES:
		return a->bytes.len == b->bytes.len &&
		       memcmp(a->bytes.at, b->bytes.at, a->bytes.len) == 0;
	case CLAIM_NUMBER:
		return a->number == b->number;
	case CLAIM_TRUTH:
		return a->truth == b->truth;
	case CLAIM_TEXT:
		return strcmp(a->text, b->text) == 0;
	default:
		return false;
	}
}

static bool is_in(const struct clause *c, const union claim_value *v)
{
	if (c->claim->type == CLAIM_TEXTS) {
		for (size_t i = 0; i < v->texts.n; i++)
			if (!text_in(c, v->texts.at[i]))
				return false;
		return true;
	}
	for (size_t i = 0; i < c->n_operands; i++)
		if (equal(c->claim->type, v, &c->operands[i].value))
			return true;
	return false;
}

/* Part by part, never as one number: each is a firmware of its own. */
static enum attestation_outcome tcb_at_least(const struct claim_tcb *have,
					     const struct claim_tcb *floor)
{
	enum attestation_outcome o = ATTESTATION_TRUE;

	for (size_t i = 0; i < CLAIM_TCB_PARTS; i++) {
		if (!(floor->have >> i & 1))
			continue;
		o = both(o, have->have >> i & 1 ? truth(have->svn[i] >= floor->svn[i])
						: ATTESTATION_UNKNOWN);
	}
	return o;
}

/* A product line for which no floor is written is below every floor. */
static enum attestation_outcome tcb_of_line(const struct evaluation *e, const struct clause *c,
					    const struct claim_tcb *have)
{
	const union claim_value *line;
	const char *why;

	if (!c->operands[0].line)
		return tcb_at_least(have, &c->operands[0].value.tcb);
	line = claimed(e, claim_info_find("product_line"), &why);
	if (!line)
		return ATTESTATION_UNKNOWN;
	for (size_t i = 0; i < c->n_operands; i++)
		if (strcmp(c->operands[i].line, line->text) == 0)
			return tcb_at_least(have, &c->operands[i].value.tcb);
	return ATTESTATION_FALSE;
}

static enum attestation_outcome compare(const struct evaluation *e, const struct clause *c,
					const union claim_value *v)
{
	const union claim_value *bound = &c->operands[0].value;

	switch (c->kind) {
	case CLAUSE_IN:
		return truth(is_in(c, v));
	case CLAUSE_AT_LEAST:
		return c->claim->type == CLAIM_TCB ? tcb_of_line(e, c, &v->tcb)
						   : truth(v->number >= bound->number);
	case CLAUSE_AT_MOST:
		return truth(v->number <= bound->number);
	case CLAUSE_NOT_BEFORE:
		return truth(v->time >= bound->time);
	case CLAUSE_NOT_AFTER:
		return truth(v->time <= bound->time);
	default:
		return ATTESTATION_UNKNOWN;
	}
}

/* A clause's own line comes before those of what is within it. */
static struct attestation_line *begin_line(struct evaluation *e, const struct clause *c,
					   uint32_t depth)
{
	struct attestation_line *l = e->n_lines < e->max_lines ? &e->lines[e->n_lines] : NULL;

	e->n_lines++;
	if (!l)
		return NULL;
	memset(l, 0, sizeof(*l));
	l->depth = depth;
	clause_text(c, l->clause, sizeof(l->clause));
	return l;
}

static enum attestation_outcome evaluate(struct evaluation *e, const struct clause *c,
					 uint32_t depth);

/* Everything is looked at, also where the outcome stands: the explanation is whole. */
static enum attestation_outcome within(struct evaluation *e, const struct clause *c,
				       uint32_t depth)
{
	enum attestation_outcome o = truth(c->kind != CLAUSE_ANY), one;

	for (const struct clause *i = c->first; i; i = i->next) {
		if (!(i->classes & e->class))
			continue;
		one = evaluate(e, i, depth);
		o = c->kind == CLAUSE_ANY ? either(o, one) : both(o, one);
	}
	return c->kind == CLAUSE_NOT ? opposite(o) : o;
}

static enum attestation_outcome evaluate(struct evaluation *e, const struct clause *c,
					 uint32_t depth)
{
	struct attestation_line *l = begin_line(e, c, depth);
	enum attestation_outcome o;

	if (c->claim) {
		const char *why = "";
		const union claim_value *v = claimed(e, c->claim, &why);
		struct line_text seen = { l ? l->seen : NULL, l ? sizeof(l->seen) : 0, 0 };

		o = v ? compare(e, c, v) : ATTESTATION_UNKNOWN;
		if (v)
			line_add_value(&seen, c->claim, v, true);
		else
			line_add(&seen, "%s", why);
	} else {
		o = within(e, c, depth + 1);
	}
	if (l)
		l->outcome = o;
	return o;
}

struct attestation_verdict
policy_attestation_evaluate(const struct policy_attestation *a, uint32_t class,
			    const struct claim *claims, size_t n_claims,
			    struct attestation_line *lines, size_t max_lines)
{
	const char *name = attestation_class_name(class);
	struct evaluation e = {
		.class = class,
		.claims = claims,
		.n_claims = n_claims,
		.tee = { .name = "tee", .type = CLAIM_TEXT, .value.text = name },
		.lines = lines,
		.max_lines = max_lines,
	};
	enum attestation_outcome o = name ? within(&e, &a->root, 0) : ATTESTATION_FALSE;
	size_t written = e.n_lines < max_lines ? e.n_lines : max_lines;

	return (struct attestation_verdict){
		/* A class that nothing was written about has no clauses that could say no. */
		.allowed = a->classes & class && o == ATTESTATION_TRUE,
		.n_lines = (uint32_t)written,
		.n_lost = (uint32_t)(e.n_lines - written),
	};
}

/* ---- without evidence ------------------------------------------------------------ */

#define BIT(outcome) (1u << (outcome))
#define ANY_OUTCOME (BIT(ATTESTATION_UNKNOWN) | BIT(ATTESTATION_FALSE) | BIT(ATTESTATION_TRUE))

static unsigned leaf_outcomes(const struct clause *c, uint32_t class)
{
	if (!(c->claim->classes & class))
		return BIT(ATTESTATION_UNKNOWN);
	if (strcmp(c->claim->name, "tee") == 0)
		return BIT(truth(text_in(c, attestation_class_name(class))));
	return ANY_OUTCOME;
}

/* Every outcome of one with every outcome of the other. */
static unsigned combine(unsigned a, unsigned b,
			enum attestation_outcome (*rule)(enum attestation_outcome,
							 enum attestation_outcome))
{
	unsigned set = 0;

	for (unsigned i = 0; i <= ATTESTATION_TRUE; i++)
		for (unsigned j = 0; j <= ATTESTATION_TRUE; j++)
			if (a & BIT(i) && b & BIT(j))
				set |= BIT(rule(i, j));
	return set;
}

unsigned clause_outcomes(const struct clause *c, uint32_t class)
{
	unsigned set = BIT(truth(c->kind != CLAUSE_ANY)), turned = 0;

	if (c->claim)
		return leaf_outcomes(c, class);
	for (const struct clause *i = c->first; i; i = i->next)
		if (i->classes & class)
			set = combine(set, clause_outcomes(i, class),
				      c->kind == CLAUSE_ANY ? either : both);
	if (c->kind != CLAUSE_NOT)
		return set;
	for (unsigned i = 0; i <= ATTESTATION_TRUE; i++)
		if (set & BIT(i))
			turned |= BIT(opposite(i));
	return turned;
}

bool clause_binds(const struct clause *c, uint32_t class, const char *claim)
{
	bool all_that_can = true, one = false;

	if (c->kind == CLAUSE_IN)
		return c->claim->classes & class && strcmp(c->claim->name, claim) == 0;
	if (c->kind != CLAUSE_ALL && c->kind != CLAUSE_ANY)
		return false;
	for (const struct clause *i = c->first; i; i = i->next) {
		bool binds;

		if (!(i->classes & class))
			continue;
		binds = clause_binds(i, class, claim);
		one |= binds;
		if (!binds && clause_outcomes(i, class) & BIT(ATTESTATION_TRUE))
			all_that_can = false;
	}
	return one && (c->kind == CLAUSE_ALL || all_that_can);
}

enum policy_status policy_attestation_check_references(const struct policy_attestation *a,
						       struct policy_error *reterr)
{
	if (a->exceptions & ATTESTATION_SKIPPED_MEASUREMENT)
		return POLICY_OK;
	for (const struct reference *r = reference_claims; r->claim; r++)
		if (a->classes & r->class && !clause_binds(&a->root, r->class, r->claim))
			return policy_fail(
				reterr, POLICY_REFUSED, "attestation",
				"cordon measure --policy FILE computes them; or write "
				"accept: [skipped-measurement]",
				"no reference values: %s evidence is accepted with "
				"any %s (%s)",
				attestation_class_name(r->class), r->claim, r->why);
	return POLICY_OK;
}

uint32_t policy_attestation_classes(const struct policy_attestation *a)
{
	return a->classes;
}

uint32_t policy_attestation_exceptions(const struct policy_attestation *a)
{
	return a->exceptions;
}

bool policy_attestation_accepts_tcb_status(const struct policy_attestation *a,
					   const char *status)
{
	if (strcmp(status, TCB_STATUS_BASELINE) == 0)
		return true;
	for (size_t i = 0; i < a->n_statuses; i++)
		if (strcmp(a->statuses[i].value.text, status) == 0)
			return true;
	return false;
}

void policy_attestation_free(struct policy_attestation *a)
{
	if (!a)
		return;
	arena_free(&a->arena);
	free(a);
}

void policy_attestation_freep(struct policy_attestation **a)
{
	policy_attestation_free(*a);
}
