/*
 * attest/receipt_verify.c - a receipt from another machine.
 *
 * The JSON is read into a struct, the struct is written again, and both spellings must be
 * the same, byte for byte: so nothing can stand in a receipt that is not judged, and the
 * words that follow from the lines are the ones that were signed.
 */
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "attest/base64.h"
#include "attest/receipt_json.h"

static enum attest_status malformed(struct attest_error *e, const char *where, const char *what)
{
	return attest_fail(e, ATTEST_MALFORMED, where,
			   "a receipt is what `cordon run --receipt` writes", "%s", what);
}

/* ---- members --------------------------------------------------------------------- */

static bool take_text(const json_t *object, const char *name, char *ret, size_t size)
{
	const char *text = json_string_value(json_object_get(object, name));

	if (!text || strlen(text) >= size)
		return false;
	memcpy(ret, text, strlen(text) + 1);
	return true;
}

static bool take_number(const json_t *object, const char *name, uint64_t *ret)
{
	const json_t *v = json_object_get(object, name);

	if (!json_is_integer(v) || json_integer_value(v) < 0)
		return false;
	*ret = (uint64_t)json_integer_value(v);
	return true;
}

static bool take_flag(const json_t *object, const char *name, bool *ret)
{
	const json_t *v = json_object_get(object, name);

	*ret = json_is_true(v);
	return json_is_boolean(v);
}

/* What receipt_time writes; whether it is that is seen when it is written again. */
static bool take_time(const json_t *object, const char *name, int64_t *ret)
{
	const char *text = json_string_value(json_object_get(object, name)), *end;
	struct tm tm = { 0 };
	unsigned long micros;
	char *rest;

	end = text ? strptime(text, "%Y-%m-%dT%H:%M:%S", &tm) : NULL;
	if (!end || end[0] != '.' || end[1] < '0' || end[1] > '9' || tm.tm_year < 70 ||
	    tm.tm_year > 300)
		return false;
	micros = strtoul(end + 1, &rest, 10);
	if (micros > 999999 || strcmp(rest, "Z") != 0)
		return false;
	*ret = (int64_t)timegm(&tm) * 1000000000 + (int64_t)micros * 1000;
	return true;
}

static bool take_assurance(const json_t *object, const char *name, enum receipt_assurance *ret)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text && receipt_assurance_parse(text, ret);
}

/* ---- lines ----------------------------------------------------------------------- */

/* Each word belongs to one group; "none" is of both. */
static bool word_fits(enum receipt_group g, enum receipt_assurance a)
{
	return a == RECEIPT_NONE ||
	       (a == RECEIPT_SWEPT || a == RECEIPT_BY_KERNEL) == (g == RECEIPT_KERNEL);
}

static bool take_line(const json_t *object, struct receipt_line *ret)
{
	char group[16];
	uint64_t micros;

	if (!take_text(object, "group", group, sizeof(group)) ||
	    !take_text(object, "place", ret->place, sizeof(ret->place)) ||
	    !take_text(object, "method", ret->method, sizeof(ret->method)) ||
	    !take_number(object, "bytes", &ret->bytes) ||
	    !take_number(object, "failed", &ret->failed) ||
	    !take_number(object, "microseconds", &micros) || micros > INT64_MAX / 1000 ||
	    !take_assurance(object, "assurance", &ret->assurance))
		return false;
	ret->ns = micros * 1000;
	ret->group = strcmp(group, "kernel") == 0 ? RECEIPT_KERNEL : RECEIPT_HELD;
	return strcmp(group, receipt_group_str(ret->group)) == 0 &&
	       word_fits(ret->group, ret->assurance);
}

static bool take_lines(const json_t *object, struct receipt *ret)
{
	const json_t *lines = json_object_get(object, "lines");

	if (!json_is_array(lines) || json_array_size(lines) > RECEIPT_LINES)
		return false;
	ret->n_lines = json_array_size(lines);
	for (size_t i = 0; i < ret->n_lines; i++)
		if (!take_line(json_array_get(lines, i), &ret->lines[i]))
			return false;
	return true;
}

static bool take_minima(const json_t *object, struct receipt *ret)
{
	const json_t *minima = json_object_get(object, "minima");

	return take_assurance(minima, "held", &ret->minima[RECEIPT_HELD]) &&
	       take_assurance(minima, "kernel", &ret->minima[RECEIPT_KERNEL]) &&
	       word_fits(RECEIPT_HELD, ret->minima[RECEIPT_HELD]) &&
	       word_fits(RECEIPT_KERNEL, ret->minima[RECEIPT_KERNEL]);
}

/* ---- the whole ------------------------------------------------------------------- */

/* The first member that is not as it must be, or NULL. */
static const char *take_receipt(const json_t *o, struct receipt *r, char *signer,
				uint8_t signature[static 64])
{
	const char *sig = json_string_value(json_object_get(o, "signature"));
	char schema[32];
	size_t n = 0;

	if (!take_text(o, "schema", schema, sizeof(schema)) ||
	    strcmp(schema, RECEIPT_SCHEMA) != 0)
		return "schema";
	if (!sig || !base64_decode(sig, strlen(sig), signature, 64, &n) || n != 64)
		return "signature";
	if (!take_text(o, "signer", signer, NOTE_NAME))
		return "signer";
	if (!take_text(o, "session", r->session, sizeof(r->session)))
		return "session";
	if (!take_text(o, "tenant", r->tenant, sizeof(r->tenant)))
		return "tenant";
	if (!take_text(o, "class", r->class, sizeof(r->class)))
		return "class";
	if (!take_text(o, "host", r->host, sizeof(r->host)))
		return "host";
	if (!take_text(o, "boot", r->boot, sizeof(r->boot)))
		return "boot";
	if (!take_time(o, "started", &r->started))
		return "started";
	if (!take_time(o, "ended", &r->ended))
		return "ended";
	if (!take_flag(o, "ran", &r->ran))
		return "ran";
	if (!take_flag(o, "recovered", &r->recovered))
		return "recovered";
	if (!take_minima(o, r))
		return "minima";
	return take_lines(o, r) ? NULL : "lines";
}

/* One final newline is allowed, as an editor leaves it. */
static enum attest_status same_bytes(const char *bytes, size_t len, const char *again,
				     size_t again_len, struct attest_error *e)
{
	size_t at = 0;

	if (len > 0 && bytes[len - 1] == '\n')
		len--;
	if (len == again_len && memcmp(bytes, again, len) == 0)
		return ATTEST_OK;
	while (at < len && at < again_len && bytes[at] == again[at])
		at++;
	return attest_fail(e, ATTEST_REFUSED, "receipt", "ask for the file as it was written",
			   "says at byte %zu what does not follow from its lines, or is not "
			   "spelled as it was signed",
			   at);
}

enum attest_status receipt_verify(const char *bytes, size_t len, const uint8_t key[static 32],
				  struct receipt *ret, struct attest_error *reterr)
{
	char again[RECEIPT_MAX], signer[NOTE_NAME];
	struct receipt r = { .n_lines = 0 };
	const char *wrong;
	enum attest_status s;
	uint8_t sig[64];
	json_error_t je;
	json_t *object;
	size_t n;

	if (len >= RECEIPT_MAX)
		return malformed(reterr, "receipt", "is larger than any receipt");
	object = json_loadb(bytes, len, JSON_REJECT_DUPLICATES, &je);
	if (!json_is_object(object)) {
		json_decref(object);
		return malformed(reterr, "receipt", "is not a JSON object");
	}
	wrong = take_receipt(object, &r, signer, sig);
	json_decref(object);
	if (wrong)
		return malformed(reterr, wrong, "this member is missing or not of its form");
	if (!receipt_print(&r, signer, sig, again, &n))
		return malformed(reterr, "receipt", "cannot be written again");
	s = same_bytes(bytes, len, again, n, reterr);
	if (s != ATTEST_OK)
		return s;
	if (!receipt_print(&r, signer, NULL, again, &n) || !note_verify_raw(key, again, n, sig))
		return attest_fail(reterr, ATTEST_REFUSED, "signature",
				   "take the receipt.pub of the host that wrote it",
				   "this key has not signed this receipt");
	*ret = r;
	return ATTEST_OK;
}
