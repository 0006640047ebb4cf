/* tests/attest/test_log_entry.c - one spelling of an entry, whatever the texts in it. */
#include "attest/json_writer.h"
#include "attest/log_entry.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "attest/base64.h"

static char out[LOG_ENTRY_MAX + 1];

/* ---- the writer --------------------------------------------------------------------------- */

/* jansson sorts and leaves no spaces as RFC 8785 does; it writes \u00XX in capitals. */
static char *canonical(json_t *v)
{
	char *text = json_dumps(v, JSON_SORT_KEYS | JSON_COMPACT | JSON_ENCODE_ANY);

	assert_non_null(text);
	for (char *u = strstr(text, "\\u00"); u; u = strstr(u + 1, "\\u00"))
		for (int i = 4; i < 6; i++)
			u[i] |= u[i] >= 'A' && u[i] <= 'F' ? 0x20 : 0;
	return text;
}

/* As jansson reads it, and as it would have written it. */
static json_t *read_back(const char *text, size_t len)
{
	json_error_t e;
	json_t *v = json_loadb(text, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &e);
	char *again;

	if (!v)
		fail_msg("%s: %s", e.text, text);
	again = canonical(v);
	assert_string_equal(again, text);
	free(again);
	return v;
}

static void assert_string(const char *s, const char *wanted)
{
	struct json_writer w;
	size_t len = 0;
	json_t *v;

	jw_begin(&w, out, sizeof(out));
	jw_string(&w, s);
	assert_true(jw_end(&w, &len));
	assert_int_equal(len, strlen(out));
	v = read_back(out, len);
	assert_string_equal(json_string_value(v), wanted);
	json_decref(v);
}

static void strings_have_one_spelling(void **state)
{
	static const char *const whole[] = {
		"",
		"plain",
		"\"\\/",
		"\b\t\n\f\r",
		"\x01\x1f\x7f",
		"\xc3\xa9\xe2\x82\xac",
		"\xf0\x9f\x98\x80 \xe2\x80\xae",
		"\xef\xbf\xbf\xef\xbb\xbf",
		"</script>'`=+-@",
		"\x1b[31mred",
		"\xf4\x8f\xbf\xbf\xed\x9f\xbf\xee\x80\x80",
	};
	static const struct {
		const char *text, *wanted;
	} broken[] = {
#define BAD "\xef\xbf\xbd"
		{ "a\xff"
		  "b",
		  "a" BAD "b" },
		{ "\xc3", BAD }, /* cut off */
		{ "\xe2\x82", BAD BAD },
		{ "\xf0\x9f\x98", BAD BAD BAD },
		{ "\xc0\xaf", BAD BAD }, /* longer than it must be */
		{ "\xe0\x9f\xbf", BAD BAD BAD },
		{ "\xf0\x8f\xbf\xbf", BAD BAD BAD BAD },
		{ "\xed\xa0\x80", BAD BAD BAD }, /* a surrogate */
		{ "\xf4\x90\x80\x80", BAD BAD BAD BAD },
		{ "\x80\xc3\xa9", BAD "\xc3\xa9" },
		{ "\xc3\"", BAD "\"" }, /* the quote is not swallowed */
		{ "\xe2\x82\\", BAD BAD "\\" },
#undef BAD
	};

	(void)state;
	for (size_t i = 0; i < sizeof(whole) / sizeof(whole[0]); i++)
		assert_string(whole[i], whole[i]);
	for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++)
		assert_string(broken[i].text, broken[i].wanted);
	assert_string("\x1f", "\x1f");
	assert_string_equal(out, "\"\\u001f\"");
}

static void any_bytes_become_a_string(void **state)
{
	char text[64];

	(void)state;
	srand(1); /* NOLINT(cert-msc32-c,cert-msc51-cpp): the same sequence each time */
	for (unsigned i = 0; i < 20000; i++) {
		struct json_writer w;
		size_t n = (size_t)rand() % sizeof(text), len = 0;

		for (size_t k = 0; k < n; k++)
			text[k] = (char)(rand() % 4 ? "\xc3\xa9\xe2\xf0\x80\xbf\"\\\x1f"
						      "a"[rand() % 10]
						    : 1 + rand() % 255);
		text[n ? n - 1 : 0] = '\0';
		jw_begin(&w, out, sizeof(out));
		jw_string(&w, text);
		assert_true(jw_end(&w, &len));
		json_decref(read_back(out, len));
	}
}

static void write_sample(struct json_writer *w)
{
	static const uint8_t bytes[100] = { 1, 2, 3, [99] = 0xff };

	jw_object(w);
	jw_key(w, "a");
	jw_array(w);
	jw_integer(w, 0);
	jw_integer(w, -1);
	jw_integer(w, (INT64_C(1) << 53) - 1);
	jw_object(w);
	jw_object_end(w);
	jw_array(w);
	jw_array_end(w);
	jw_array_end(w);
	jw_key(w, "ab");
	jw_bool(w, true);
	jw_key(w, "b");
	jw_object(w);
	jw_key(w, "a"); /* another object has its own order */
	jw_bool(w, false);
	jw_object_end(w);
	jw_key(w, "c");
	jw_base64(w, bytes, sizeof(bytes));
	jw_key(w, "d");
	jw_raw(w, "{\"x\":1}", 7);
	jw_object_end(w);
}

static void structure_is_kept(void **state)
{
	struct json_writer w;
	size_t len = 0;

	(void)state;
	jw_begin(&w, out, sizeof(out));
	write_sample(&w);
	assert_true(jw_end(&w, &len));
	json_decref(read_back(out, len));
}

static void what_does_not_fit_is_refused(void **state)
{
	struct json_writer w;
	size_t len = 0, need;
	char *buf;

	(void)state;
	jw_begin(&w, out, sizeof(out));
	write_sample(&w);
	assert_true(jw_end(&w, &need));
	for (size_t size = 0; size <= need + 1; size++) {
		buf = malloc(size ? size : 1);
		assert_non_null(buf);
		jw_begin(&w, buf, size);
		write_sample(&w);
		assert_int_equal(jw_end(&w, &len), size == need + 1);
		free(buf);
	}
}

/* Each would be another spelling, or none. */
static void slips_are_refused(void **state)
{
	static const char *const names[][2] = { { "b", "a" },   { "a", "a" },
						{ "a", "" },    { "a", "\xc3\xa9" },
						{ "a", "b\"" }, { "a", "b\n" },
						{ "ab", "a" } };
	struct json_writer w;
	size_t len = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		jw_begin(&w, out, sizeof(out));
		jw_object(&w);
		for (int k = 0; k < 2; k++) {
			jw_key(&w, names[i][k]);
			jw_integer(&w, 1);
		}
		jw_object_end(&w);
		assert_false(jw_end(&w, &len));
	}
	jw_begin(&w, out, sizeof(out));
	jw_array(&w);
	jw_key(&w, "a"); /* an array has no names */
	jw_array_end(&w);
	assert_false(jw_end(&w, &len));

	jw_begin(&w, out, sizeof(out));
	jw_object(&w);
	assert_false(jw_end(&w, &len)); /* open */

	jw_begin(&w, out, sizeof(out));
	jw_object(&w);
	jw_object_end(&w);
	jw_object_end(&w);
	assert_false(jw_end(&w, &len)); /* closed twice */

	jw_begin(&w, out, sizeof(out));
	for (unsigned i = 0; i <= JSON_DEPTH; i++)
		jw_array(&w);
	for (unsigned i = 0; i <= JSON_DEPTH; i++)
		jw_array_end(&w);
	assert_false(jw_end(&w, &len)); /* too deep */

	for (int sign = -1; sign <= 1; sign += 2) {
		jw_begin(&w, out, sizeof(out));
		jw_integer(&w, sign * (INT64_C(1) << 53));
		assert_false(jw_end(&w, &len));
	}
}

/* ---- entries ------------------------------------------------------------------------------ */

static struct log_entry sample(void)
{
	return (struct log_entry){
		.seq = 7,
		.t = INT64_C(1763923576123456789),
		.mono = INT64_C(12345678901234567),
		.boot = "0b",
		.host = "h\n\x1b[31m",
		.kind = "session.end",
		.uid = 1000,
		.pid = 42,
		.tenant = "acme",
		.object = "a1",
		.outcome = LOG_DENIED,
		.reason = "said \"no\"",
		.data = { { .name = "z", .text = "last" },
			  { .name = "bytes", .number = -5 },
			  { .name = "a.b", .text = "\xff" } },
		.n_data = 3,
	};
}

static json_t *print(const struct log_entry *e)
{
	struct attest_error err = { .what = "" };
	size_t len = 0;

	if (log_entry_print(e, out, &len, &err) != ATTEST_OK)
		fail_msg("%s", err.what);
	assert_int_equal(len, strlen(out));
	return read_back(out, len);
}

static void an_entry_says_all_of_it(void **state)
{
	struct log_entry e = sample();
	json_t *v = print(&e), *actor = json_object_get(v, "actor");
	json_t *data = json_object_get(v, "data");

	(void)state;
	assert_int_equal(json_integer_value(json_object_get(v, "v")), 1);
	assert_int_equal(json_integer_value(json_object_get(v, "seq")), 7);
	assert_string_equal(json_string_value(json_object_get(v, "t")),
			    "2025-11-23T18:46:16.123456Z");
	assert_string_equal(json_string_value(json_object_get(v, "mono")), "12345678901234567");
	assert_string_equal(json_string_value(json_object_get(v, "host")), e.host);
	assert_string_equal(json_string_value(json_object_get(v, "boot")), "0b");
	assert_string_equal(json_string_value(json_object_get(v, "kind")), "session.end");
	assert_string_equal(json_string_value(json_object_get(v, "tenant")), "acme");
	assert_string_equal(json_string_value(json_object_get(v, "object")), "a1");
	assert_string_equal(json_string_value(json_object_get(v, "outcome")), "denied");
	assert_string_equal(json_string_value(json_object_get(v, "reason")), "said \"no\"");
	assert_int_equal(json_integer_value(json_object_get(actor, "uid")), 1000);
	assert_int_equal(json_integer_value(json_object_get(actor, "pid")), 42);
	assert_string_equal(json_string_value(json_object_get(data, "a.b")), "\xef\xbf\xbd");
	assert_int_equal(json_integer_value(json_object_get(data, "bytes")), -5);
	assert_int_equal(json_object_size(data), 3);
	assert_int_equal(json_object_size(v), 14);
	json_decref(v);
}

static void what_is_not_said_is_left_out(void **state)
{
	struct log_entry e = { .kind = "log.start",
			       .actor = "cordon",
			       .data_json = "{\"a\":[1]}",
			       .data_json_len = 9 };
	json_t *v = print(&e);

	(void)state;
	assert_string_equal(
		json_string_value(json_object_get(json_object_get(v, "actor"), "type")),
		"cordon");
	assert_true(json_is_array(json_object_get(json_object_get(v, "data"), "a")));
	assert_int_equal(json_object_size(v), 9);
	json_decref(v);
}

static void salts_differ(void **state)
{
	struct log_entry e = sample();
	json_t *a = print(&e), *b = print(&e);
	const char *x = json_string_value(json_object_get(a, "salt"));
	const char *y = json_string_value(json_object_get(b, "salt"));
	uint8_t bytes[16];
	size_t n = 0;

	(void)state;
	assert_true(base64_decode(x, strlen(x), bytes, sizeof(bytes), &n) && n == 16);
	assert_string_not_equal(x, y);
	json_decref(a);
	json_decref(b);
}

static void what_no_entry_can_be_is_refused(void **state)
{
	static char large[LOG_ENTRY_MAX + 1];
	struct attest_error err = { .what = "" };
	struct log_entry e = sample();
	size_t len = 0, used;

	(void)state;
#define REFUSED(change)                                                                        \
	do {                                                                                   \
		e = sample();                                                                  \
		change;                                                                        \
		err.what[0] = '\0';                                                            \
		assert_int_equal(log_entry_print(&e, out, &len, &err), ATTEST_REFUSED);        \
		assert_true(err.what[0]);                                                      \
	} while (0)
	REFUSED(e.kind = NULL);
	REFUSED(e.kind = "");
	REFUSED(e.kind = "Session end");
	REFUSED(e.t = -1);
	REFUSED(e.mono = -1);
	REFUSED(e.seq = UINT64_MAX);
	REFUSED(e.outcome = (enum log_outcome)7);
	REFUSED(e.n_data = LOG_ENTRY_DATA + 1);
	REFUSED(e.data[1].name = "z");
	REFUSED(e.data[1].name = "");
	REFUSED(e.data[1].number = INT64_MAX);
	REFUSED(e.seq = INT64_MAX);
	memset(large, 'x', LOG_ENTRY_MAX);
	REFUSED(e.reason = large);
#undef REFUSED

	/* The largest that fits, and one byte more. */
	e = sample();
	json_decref(print(&e));
	used = strlen(out) - strlen(e.reason) - 2; /* two of its bytes are escaped */
	large[LOG_ENTRY_MAX - used] = '\0';
	e.reason = large;
	json_decref(print(&e));
	assert_int_equal(strlen(out), LOG_ENTRY_MAX);
	large[LOG_ENTRY_MAX - used] = 'x';
	large[LOG_ENTRY_MAX - used + 1] = '\0';
	assert_int_equal(log_entry_print(&e, out, &len, &err), ATTEST_REFUSED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(strings_have_one_spelling),
		cmocka_unit_test(any_bytes_become_a_string),
		cmocka_unit_test(structure_is_kept),
		cmocka_unit_test(what_does_not_fit_is_refused),
		cmocka_unit_test(slips_are_refused),
		cmocka_unit_test(an_entry_says_all_of_it),
		cmocka_unit_test(what_is_not_said_is_left_out),
		cmocka_unit_test(salts_differ),
		cmocka_unit_test(what_no_entry_can_be_is_refused),
	};

	return cmocka_run_group_tests_name("log_entry", tests, NULL, NULL);
}
