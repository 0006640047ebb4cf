/* attest/jcs.c - RFC 8785: one value, one spelling. */
#include "attest/jcs.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define DIGITS 17 /* of a double, at most: then every one reads back */

/* ---- numbers ----------------------------------------------------------------------- */

/* v = 0.DIGITS * 10^point; the last digit is not zero. */
struct decimal {
	char digits[DIGITS + 1];
	int n, point;
};

/* "d.ddde-xx", as printf writes it in the C locale. */
static bool reads_back(const char *text, double v)
{
	return strtod(text, NULL) == v;
}

/* The next decimal of as many digits, away from zero; in place. */
static void step_up(char *text)
{
	char *e = strchr(text, 'e'), *at = e - 1;
	int exponent;

	for (; at >= text; at--) {
		if (*at == '.')
			continue;
		if (*at != '9') {
			(*at)++;
			return;
		}
		*at = '0';
	}
	text[0] = '1'; /* 9.99 became 0.00: it is 1.00 of the next power */
	exponent = (int)strtol(e + 1, NULL, 10) + 1;
	snprintf(e, 13, "e%+03d", exponent);
}

/*
 * ECMA-262, Number::toString, step 5, with note 2: as few digits as read back, and of those
 * the nearest. printf gives the nearest of each length. Where v is a power of two, doubles
 * below it are closer than those above: the nearest decimal may lie below and read as
 * another double, while the next one above, though farther, reads back.
 */
static void shortest(double v, char text[static 32])
{
	for (int n = 0; n < DIGITS; n++) {
		snprintf(text, 32, "%.*e", n, v);
		if (reads_back(text, v))
			return;
		step_up(text);
		if (reads_back(text, v))
			return;
	}
}

static struct decimal decimal_of(double v)
{
	struct decimal d = { .n = 0 };
	char text[32], *e;

	shortest(v, text);
	e = strchr(text, 'e');
	for (const char *c = text; c < e; c++)
		if (*c != '.')
			d.digits[d.n++] = *c;
	while (d.n > 1 && d.digits[d.n - 1] == '0')
		d.n--;
	d.point = (int)strtol(e + 1, NULL, 10) + 1;
	return d;
}

static void put_zeros(FILE *to, int n)
{
	for (; n > 0; n--)
		fputc('0', to);
}

/* ECMA-262, Number::toString, steps 6 to 12. */
static void put_decimal(FILE *to, const struct decimal *d)
{
	if (d->n <= d->point && d->point <= 21) {
		fprintf(to, "%.*s", d->n, d->digits);
		put_zeros(to, d->point - d->n);
	} else if (0 < d->point && d->point < d->n) {
		fprintf(to, "%.*s.%.*s", d->point, d->digits, d->n - d->point,
			d->digits + d->point);
	} else if (-6 < d->point && d->point <= 0) {
		fputs("0.", to);
		put_zeros(to, -d->point);
		fprintf(to, "%.*s", d->n, d->digits);
	} else {
		fprintf(to, "%c%s%.*se%+d", d->digits[0], d->n > 1 ? "." : "", d->n - 1,
			d->digits + 1, d->point - 1);
	}
}

static bool put_number(FILE *to, double v)
{
	struct decimal d;

	if (!isfinite(v))
		return false;
	if (v == 0) {
		fputc('0', to); /* -0 as well */
		return true;
	}
	if (v < 0)
		fputc('-', to);
	d = decimal_of(fabs(v));
	put_decimal(to, &d);
	return true;
}

/* An integer is a double to every reader in ECMAScript: one that none holds would be hashed
 * as another number than it says. */
static bool put_integer(FILE *to, json_int_t v)
{
	double d = (double)v;

	if (d >= 0x1p63 || (json_int_t)d != v)
		return false;
	return put_number(to, d);
}

/* ---- texts ------------------------------------------------------------------------- */

/* RFC 8785, section 3.2.2.2; jansson has seen to the UTF-8. */
static void put_text(FILE *to, const char *text, size_t len)
{
	static const char short_forms[0x20] = {
		['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r',
	};

	fputc('"', to);
	for (size_t i = 0; i < len; i++) {
		uint8_t c = (uint8_t)text[i];

		if (c == '"' || c == '\\')
			fprintf(to, "\\%c", c);
		else if (c < 0x20 && short_forms[c])
			fprintf(to, "\\%c", short_forms[c]);
		else if (c < 0x20)
			fprintf(to, "\\u%04x", c);
		else
			fputc(c, to);
	}
	fputc('"', to);
}

/* UTF-8 sorts by code points, and so does UTF-16 but for one thing: the surrogates that stand
 * for U+10000 and above (in UTF-8 F0..F4) come before U+E000..U+FFFF (EE, EF). */
static int rank(char c)
{
	uint8_t byte = (uint8_t)c;

	return byte == 0xee || byte == 0xef ? byte + 0x10 : byte;
}

static int by_utf16(const void *left, const void *right)
{
	const char *a = *(const char *const *)left, *b = *(const char *const *)right;

	while (*a && *a == *b) {
		a++;
		b++;
	}
	return rank(*a) - rank(*b);
}

/* ---- values ------------------------------------------------------------------------ */

enum outcome { DONE, NO_NUMBER, TOO_DEEP, NO_MEMORY };

static enum outcome put_value(FILE *to, const json_t *v, unsigned depth);

/* The names of an object's members in their order; the caller's to free. */
static const char **sorted_names(const json_t *object)
{
	const char **names = calloc(json_object_size(object) + 1, sizeof(*names));
	json_t *o = (json_t *)(uintptr_t)object; /* jansson's loop takes no const */
	const char *name;
	size_t n = 0;
	json_t *v;

	if (!names)
		return NULL;
	json_object_foreach(o, name, v) names[n++] = name;
	qsort(names, n, sizeof(*names), by_utf16);
	return names;
}

static enum outcome put_object(FILE *to, const json_t *object, unsigned depth)
{
	const char **names = sorted_names(object);
	enum outcome s = names ? DONE : NO_MEMORY;

	fputc('{', to);
	for (size_t i = 0; s == DONE && names[i]; i++) {
		if (i > 0)
			fputc(',', to);
		put_text(to, names[i], strlen(names[i]));
		fputc(':', to);
		s = put_value(to, json_object_get(object, names[i]), depth);
	}
	fputc('}', to);
	free(names);
	return s;
}

static enum outcome put_array(FILE *to, const json_t *array, unsigned depth)
{
	enum outcome s = DONE;

	fputc('[', to);
	for (size_t i = 0; s == DONE && i < json_array_size(array); i++) {
		if (i > 0)
			fputc(',', to);
		s = put_value(to, json_array_get(array, i), depth);
	}
	fputc(']', to);
	return s;
}

/* `depth` more objects and arrays may be entered. */
static enum outcome put_value(FILE *to, const json_t *v, unsigned depth)
{
	switch (json_typeof(v)) {
	case JSON_OBJECT:
		return depth ? put_object(to, v, depth - 1) : TOO_DEEP;
	case JSON_ARRAY:
		return depth ? put_array(to, v, depth - 1) : TOO_DEEP;
	case JSON_STRING:
		put_text(to, json_string_value(v), json_string_length(v));
		return DONE;
	case JSON_INTEGER:
		return put_integer(to, json_integer_value(v)) ? DONE : NO_NUMBER;
	case JSON_REAL:
		return put_number(to, json_real_value(v)) ? DONE : NO_NUMBER;
	case JSON_TRUE:
		fputs("true", to);
		return DONE;
	case JSON_FALSE:
		fputs("false", to);
		return DONE;
	case JSON_NULL:
		break;
	}
	fputs("null", to);
	return DONE;
}

static enum attest_status told(enum outcome o, struct attest_error *e)
{
	switch (o) {
	case DONE:
		return ATTEST_OK;
	case NO_NUMBER:
		return attest_fail(e, ATTEST_MALFORMED, "", "write it as a text",
				   "a number that no double holds has no canonical form");
	case TOO_DEEP:
		return attest_fail(e, ATTEST_MALFORMED, "", NULL,
				   "values are nested more than %u deep", JCS_DEPTH);
	case NO_MEMORY:
		break;
	}
	return attest_fail(e, ATTEST_SYSTEM, "", NULL, "no memory");
}

enum attest_status jcs_print(const json_t *value, char **ret, size_t *ret_len,
			     struct attest_error *reterr)
{
	enum outcome o;
	char *text = NULL;
	size_t len = 0;
	FILE *to = open_memstream(&text, &len);

	if (!to)
		return told(NO_MEMORY, reterr);
	o = put_value(to, value, JCS_DEPTH);
	if (ferror(to))
		o = NO_MEMORY;
	if (fclose(to) != 0)
		o = NO_MEMORY;
	if (o != DONE) {
		free(text);
		return told(o, reterr);
	}
	*ret = text;
	*ret_len = len;
	return ATTEST_OK;
}
