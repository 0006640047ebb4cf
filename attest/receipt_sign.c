/* attest/receipt_sign.c - a receipt as canonical JSON, without and with its signature. */
#include "attest/receipt.h"

#include <stdlib.h>
#include <time.h>

#include "attest/json_writer.h"
#include "attest/receipt_json.h"

static void put_text(struct json_writer *w, const char *name, const char *value)
{
	jw_key(w, name);
	jw_string(w, value);
}

static void put_number(struct json_writer *w, const char *name, uint64_t value)
{
	const uint64_t most = (UINT64_C(1) << 53) - 1; /* that every JSON reader keeps */

	jw_key(w, name);
	jw_integer(w, (int64_t)(value > most ? most : value));
}

static void put_flag(struct json_writer *w, const char *name, bool value)
{
	jw_key(w, name);
	jw_bool(w, value);
}

void receipt_time(int64_t ns, char ret[static RECEIPT_TIME])
{
	time_t seconds = (time_t)(ns / 1000000000);
	struct tm tm = { 0 };
	char day[32] = "";

	if (gmtime_r(&seconds, &tm))
		strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(ret, RECEIPT_TIME, "%.30s.%06uZ", day, (unsigned)(ns % 1000000000 / 1000));
}

static void put_time(struct json_writer *w, const char *name, int64_t ns)
{
	char text[RECEIPT_TIME];

	receipt_time(ns, text);
	put_text(w, name, text);
}

static void put_words(struct json_writer *w, const char *name, enum receipt_assurance held,
		      enum receipt_assurance kernel)
{
	jw_key(w, name);
	jw_object(w);
	put_text(w, "held", receipt_assurance_str(held));
	put_text(w, "kernel", receipt_assurance_str(kernel));
	jw_object_end(w);
}

static void put_line(struct json_writer *w, const struct receipt_line *l)
{
	jw_object(w);
	put_text(w, "assurance", receipt_assurance_str(l->assurance));
	put_number(w, "bytes", l->bytes);
	put_number(w, "failed", l->failed);
	put_text(w, "group", receipt_group_str(l->group));
	put_text(w, "method", l->method);
	put_number(w, "microseconds", l->ns / 1000);
	put_text(w, "place", l->place);
	jw_object_end(w);
}

bool receipt_print(const struct receipt *r, const char *signer, const uint8_t *signature,
		   char ret[static RECEIPT_MAX], size_t *ret_len)
{
	struct json_writer w;

	jw_begin(&w, ret, RECEIPT_MAX);
	jw_object(&w);
	put_words(&w, "assurance", receipt_worth(r, RECEIPT_HELD),
		  receipt_worth(r, RECEIPT_KERNEL));
	put_text(&w, "boot", r->boot);
	put_text(&w, "class", r->class);
	put_flag(&w, "clean", receipt_clean(r));
	put_time(&w, "ended", r->ended);
	put_text(&w, "host", r->host);
	jw_key(&w, "lines");
	jw_array(&w);
	for (size_t i = 0; i < r->n_lines; i++)
		put_line(&w, &r->lines[i]);
	jw_array_end(&w);
	put_words(&w, "minima", r->minima[RECEIPT_HELD], r->minima[RECEIPT_KERNEL]);
	put_flag(&w, "ran", r->ran);
	put_flag(&w, "recovered", r->recovered);
	put_text(&w, "schema", RECEIPT_SCHEMA);
	put_text(&w, "session", r->session);
	if (signature) {
		jw_key(&w, "signature");
		jw_base64(&w, signature, 64);
	}
	put_text(&w, "signer", signer);
	put_time(&w, "started", r->started);
	put_text(&w, "tenant", r->tenant);
	jw_object_end(&w);
	return jw_end(&w, ret_len);
}

enum attest_status receipt_sign(const struct receipt *r, const struct note_signer *signer,
				char ret[static RECEIPT_MAX], size_t *ret_len,
				struct attest_error *reterr)
{
	const char *name = note_signer_verifier(signer)->name;
	uint8_t signature[64];
	enum attest_status s;

	if (!receipt_print(r, name, NULL, ret, ret_len))
		return attest_fail(reterr, ATTEST_REFUSED, "receipt", "",
				   "is too large to be written");
	s = note_sign_raw(signer, ret, *ret_len, signature, reterr);
	if (s == ATTEST_OK && !receipt_print(r, name, signature, ret, ret_len))
		s = attest_fail(reterr, ATTEST_REFUSED, "receipt", "",
				"is too large to be written");
	return s;
}
