/*
 * policy/attestation_explain.c - clauses and claims in words. What is shown may be read on
 * a terminal by whoever runs the key service. Needs libc alone.
 */
#include "policy/attestation_internal.h"
#include "policy/text.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>

/* ---- a text of bounded size ------------------------------------------------------ */

/* The text filled its room: it ends in "..", behind a whole character of UTF-8. */
static void cut(struct line_text *t)
{
	size_t at = t->size > 3 ? t->size - 3 : 0;

	while (at > 0 && ((unsigned char)t->at[at] & 0xc0) == 0x80)
		at--;
	snprintf(t->at + at, t->size - at, "..");
	t->used = t->size;
}

void line_add(struct line_text *t, const char *format, ...)
{
	size_t left = t->used < t->size ? t->size - t->used : 0;
	va_list args;
	int n;

	if (left == 0)
		return;
	va_start(args, format);
	n = vsnprintf(t->at + t->used, left, format, args);
	va_end(args);
	if (n >= 0 && (size_t)n < left) {
		t->used += (size_t)n;
		return;
	}
	cut(t);
}

/* ---- values ---------------------------------------------------------------------- */

#define BYTES_IN_SHORT 8u

static void add_bytes(struct line_text *t, const uint8_t *at, size_t len, bool whole)
{
	char hex[2 * CLAIM_BYTES_MAX + 1] = "";
	size_t shown = whole || len <= BYTES_IN_SHORT ? len : BYTES_IN_SHORT;

	if (shown > CLAIM_BYTES_MAX)
		shown = CLAIM_BYTES_MAX;
	for (size_t i = 0; i < shown; i++)
		snprintf(hex + 2 * i, 3, "%02x", at[i]);
	line_add(t, "%s%s", hex, shown < len ? ".." : "");
}

/* Evidence may say anything in a text, and a terminal must not obey it. */
static void add_text(struct line_text *t, const char *text)
{
	char clean[128];

	text_escape(clean, sizeof(clean), text);
	line_add(t, "%s", clean);
}

static void add_texts(struct line_text *t, const char *const *texts, size_t n)
{
	line_add(t, "%s", n ? "" : "none");
	for (size_t i = 0; i < n && t->used < t->size; i++) {
		line_add(t, "%s", i ? ", " : "");
		add_text(t, texts[i]);
	}
}

static void add_time(struct line_text *t, int64_t when)
{
	char text[64] = "";
	time_t seconds = (time_t)when;
	struct tm tm;

	if (gmtime_r(&seconds, &tm) && strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm))
		line_add(t, "%s", text);
	else
		line_add(t, "%" PRId64 " seconds", when);
}

static void add_tcb(struct line_text *t, const struct claim_info *info,
		    const struct claim_tcb *tcb)
{
	const char *gap = "";

	for (size_t i = 0; i < CLAIM_TCB_PARTS && info->parts[i]; i++) {
		if (!(tcb->have >> i & 1))
			continue;
		line_add(t, "%s%s %u", gap, info->parts[i], tcb->svn[i]);
		gap = ", ";
	}
}

void line_add_value(struct line_text *t, const struct claim_info *info,
		    const union claim_value *v, bool whole)
{
	switch (info->type) {
	case CLAIM_BYTES:
		add_bytes(t, v->bytes.at, v->bytes.len, whole);
		break;
	case CLAIM_NUMBER:
		line_add(t, "%" PRIu64, v->number);
		break;
	case CLAIM_TRUTH:
		line_add(t, "%s", v->truth ? "true" : "false");
		break;
	case CLAIM_TEXT:
		add_text(t, v->text);
		break;
	case CLAIM_TEXTS:
		add_texts(t, v->texts.at, v->texts.n);
		break;
	case CLAIM_TIME:
		add_time(t, v->time);
		break;
	case CLAIM_TCB:
		add_tcb(t, info, &v->tcb);
		break;
	}
}

/* ---- clauses --------------------------------------------------------------------- */

static void add_operand(struct line_text *t, const struct clause *c, size_t i, bool whole)
{
	/* What a set is compared with are texts, one by one. */
	static const struct claim_info one_text = { .type = CLAIM_TEXT };
	const struct operand *o = &c->operands[i];

	if (o->line)
		line_add(t, "%s: ", o->line);
	line_add_value(t, c->claim->type == CLAIM_TEXTS ? &one_text : c->claim, &o->value,
		       whole);
}

static const char *relation(const struct clause *c)
{
	switch (c->kind) {
	case CLAUSE_AT_LEAST:
		return "is at least";
	case CLAUSE_AT_MOST:
		return "is at most";
	case CLAUSE_NOT_BEFORE:
		return "is not before";
	case CLAUSE_NOT_AFTER:
		return "is not after";
	default:
		if (c->claim->type == CLAIM_TEXTS)
			return "are all of";
		return c->n_operands == 1 ? "is" : "is one of";
	}
}

/* "measurement is one of"; "all of this holds". */
static void add_head(struct line_text *t, const struct clause *c)
{
	if (c->kind == CLAUSE_ALL)
		line_add(t, "all of this holds");
	else if (c->kind == CLAUSE_ANY)
		line_add(t, "at least one of this holds");
	else if (c->kind == CLAUSE_NOT)
		line_add(t, "this does not hold");
	else
		line_add(t, "%s %s", c->claim->name, relation(c));
}

void clause_text(const struct clause *c, char *to, size_t size)
{
	struct line_text t = { to, size, 0 };

	if (size)
		to[0] = '\0';
	add_head(&t, c);
	for (size_t i = 0; i < c->n_operands && t.used < t.size; i++) {
		line_add(&t, "%s", i == 0 ? " " : c->operands[i].line ? "; " : ", ");
		add_operand(&t, c, i, c->n_operands == 1);
	}
}

/* ---- a block --------------------------------------------------------------------- */

static void indent(FILE *to, unsigned depth)
{
	fprintf(to, "%*s", (int)(2 * depth), "");
}

static void put_names(FILE *to, uint32_t classes, const char *gap)
{
	const char *before = "";

	for (const struct word *w = words_evidence; w->name; w++)
		if (classes & w->value) {
			fprintf(to, "%s%s", before, w->name);
			before = gap;
		}
}

/* One value behind the clause, several below it: nobody compares digests across a line. */
static void put_clause(FILE *to, const struct clause *c, uint32_t accepted, unsigned depth)
{
	char text[512] = "";
	struct line_text t = { text, sizeof(text), 0 };

	indent(to, depth);
	if (accepted & ~c->classes) {
		fputs("of ", to);
		put_names(to, accepted & c->classes, " and ");
		fputs(" evidence ", to);
	}
	add_head(&t, c);
	if (c->n_operands == 1) {
		line_add(&t, " ");
		add_operand(&t, c, 0, true);
	}
	fprintf(to, "%s%s\n", text, c->first || c->n_operands > 1 ? ":" : ".");
	for (size_t i = 0; i < c->n_operands && c->n_operands > 1; i++) {
		t = (struct line_text){ text, sizeof(text), 0 };
		add_operand(&t, c, i, true);
		indent(to, depth + 1);
		fprintf(to, "%s\n", text);
	}
	for (const struct clause *i = c->first; i; i = i->next)
		put_clause(to, i, accepted, depth + 1);
}

static void put_exceptions(FILE *to, uint32_t exceptions)
{
	for (const struct exception_word *x = exception_words; x->name; x++)
		if (exceptions & x->bit)
			fprintf(to, "WEAKENED, %s: %s.\n", x->name, x->meaning);
}

static void put_statuses(FILE *to, const struct policy_attestation *a)
{
	for (size_t i = 0; i < a->n_statuses; i++)
		if (strcmp(a->statuses[i].value.text, TCB_STATUS_BASELINE) != 0)
			fprintf(to, "WEAKENED, tcb: a platform may be of the status %s.\n",
				a->statuses[i].value.text);
}

void policy_attestation_explain(FILE *to, const struct policy_attestation *a)
{
	struct policy_error lack;

	fputs("Its keys are released to evidence of the class ", to);
	put_names(to, a->classes, " or ");
	fputs(" that passes the baseline, and only where all of this holds:\n", to);
	for (const struct clause *c = a->root.first; c; c = c->next)
		put_clause(to, c, a->classes, 1);
	put_exceptions(to, a->exceptions);
	put_statuses(to, a);
	if (a->classes & ATTESTATION_SIMULATED)
		fputs("WEAKENED, simulated: such evidence proves nothing.\n", to);
	if (policy_attestation_check_references(a, &lack) != POLICY_OK)
		fprintf(to, "A key service does not store this: %s.\n", lack.what);
}
