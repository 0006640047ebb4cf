/* policy/plan_text.c - a plan as stable text: one line a field, in the order of the table.
 * Texts are quoted and escaped as in C, so that no value can look like another line. */
#include "policy/plan_fields.h"

#include <inttypes.h>
#include <string.h>

#define KEY_BYTES 128 /* a dotted key; names are the table's own, and short */

static void print_text(FILE *to, const char *s)
{
	putc('"', to);
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;

		if (c == '"' || c == '\\')
			fprintf(to, "\\%c", c);
		else if (c == '\n')
			fputs("\\n", to);
		else if (c < 0x20 || c == 0x7f)
			fprintf(to, "\\x%02x", c);
		else
			putc(c, to);
	}
	putc('"', to);
}

static void print_texts(FILE *to, char *const *t)
{
	putc('[', to);
	for (size_t i = 0; t[i]; i++) {
		fputs(i ? ", " : "", to);
		print_text(to, t[i]);
	}
	putc(']', to);
}

static void print_bits(FILE *to, const struct word *words, uint64_t bits)
{
	const char *gap = "";

	if (!bits)
		fputs("-", to);
	for (; words->name; words++)
		if (bits & words->value) {
			fprintf(to, "%s%s", gap, words->name);
			gap = " ";
		}
}

static void print_number(FILE *to, const struct field *f, uint64_t v)
{
	const struct word *w = f->words ? word_by_value(f->words, v) : NULL;

	if (w)
		fputs(w->name, to);
	else if (f->type == FIELD_BOOL)
		fputs(v ? "true" : "false", to);
	else if (f->type == FIELD_OCTAL)
		fprintf(to, "%04" PRIo64, v);
	else if (f->type == FIELD_I32)
		fprintf(to, "%" PRId32, (int32_t)(uint32_t)v);
	else
		fprintf(to, "%" PRIu64, v);
}

static void print_value(FILE *to, const struct field *f, const void *record)
{
	switch (f->type) {
	case FIELD_TEXT:
		print_text(to, field_text(f, record));
		return;
	case FIELD_TEXTS:
		print_texts(to, field_texts(f, record));
		return;
	case FIELD_NUMBERS:
		putc('[', to);
		for (size_t i = 0; i < field_count(f, record); i++)
			fprintf(to, "%s%" PRIu32, i ? ", " : "",
				((const uint32_t *)field_array(f, record))[i]);
		putc(']', to);
		return;
	case FIELD_PROGRAM:
		fprintf(to, "%zu instructions", field_count(f, record));
		return;
	case FIELD_BITS32:
	case FIELD_BITS64:
		print_bits(to, f->words, field_number(f, record));
		return;
	default:
		print_number(to, f, field_number(f, record));
	}
}

static void print_record(FILE *to, const char *key, const struct record *rec, const void *from);

static void print_field(FILE *to, const char *key, const struct field *f, const void *record)
{
	char inner[KEY_BYTES];
	size_t n;

	if (f->type == FIELD_RECORD) {
		print_record(to, key, f->record, (const char *)record + f->at);
		return;
	}
	if (f->type != FIELD_RECORDS) {
		fprintf(to, "%s: ", key);
		print_value(to, f, record);
		putc('\n', to);
		return;
	}
	n = field_count(f, record);
	if (!n)
		fprintf(to, "%s: []\n", key);
	for (size_t i = 0; i < n; i++) {
		snprintf(inner, sizeof(inner), "%.*s[%zu]", KEY_BYTES / 2, key, i);
		print_record(to, inner, f->record,
			     (const char *)field_array(f, record) + i * f->record->size);
	}
}

static void print_record(FILE *to, const char *key, const struct record *rec, const void *from)
{
	char inner[KEY_BYTES];

	for (const struct field *f = rec->fields; f->name; f++) {
		snprintf(inner, sizeof(inner), "%.*s%s%s", KEY_BYTES / 2, key,
			 key[0] ? "." : "", f->name);
		print_field(to, inner, f, from);
	}
}

void policy_plan_print(FILE *to, const struct policy_plan *plan)
{
	print_record(to, "", &plan_record, plan);
}
