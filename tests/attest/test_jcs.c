/* tests/attest/test_jcs.c - canonical JSON. Numbers are those of RFC 8785, appendix B. */
#include "attest/jcs.h"

#include "attest/hex.h"
#include "attest/json_reader.h"

#include <float.h>
#include <jansson.h>
#include <openssl/evp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

static json_t *load(const char *text)
{
	json_t *v = json_loads(text, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL);

	assert_non_null(v);
	return v;
}

static enum attest_status print(const char *text, char **ret)
{
	struct attest_error e = { .what = "" };
	json_t *v = load(text);
	size_t len = 0;
	enum attest_status s = jcs_print(v, ret, &len, &e);

	assert_true((s == ATTEST_OK) == (e.what[0] == '\0'));
	if (s == ATTEST_OK)
		assert_int_equal(len, strlen(*ret));
	json_decref(v);
	return s;
}

static void is_printed(const char *text, const char *wanted)
{
	char *got = NULL;

	assert_int_equal(print(text, &got), ATTEST_OK);
	assert_string_equal(got, wanted);
	free(got);
}

static void the_examples_of_the_rfc(void **state)
{
	(void)state;
	/* Section 3.2.2 and 3.2.3 */
	is_printed("{\n\"numbers\": [333333333.33333329, 1E30, 4.50, 2e-3,"
		   " 0.000000000000000000000000001],\n"
		   "\"string\": \"\\u20ac$\\u000F\\u000aA'\\u0042\\u0022\\u005c\\\\\\\"\\/\",\n"
		   "\"literals\": [null, true, false]\n}",
		   "{\"literals\":[null,true,false],"
		   "\"numbers\":[333333333.3333333,1e+30,4.5,0.002,1e-27],"
		   "\"string\":\"\u20ac$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"}");
	is_printed("{\"\\u20ac\":\"Euro Sign\",\"\\r\":\"Carriage Return\","
		   "\"\\ufb33\":\"Hebrew Letter Dalet With Dagesh\",\"1\":\"One\","
		   "\"\\ud83d\\ude00\":\"Emoji: Grinning Face\",\"\\u0080\":\"Control\","
		   "\"\\u00f6\":\"Latin Small Letter O With Diaeresis\"}",
		   "{\"\\r\":\"Carriage Return\",\"1\":\"One\",\"\xc2\x80\":\"Control\","
		   "\"\u00f6\":\"Latin Small Letter O With Diaeresis\","
		   "\"\u20ac\":\"Euro Sign\",\"\U0001f600\":\"Emoji: Grinning Face\","
		   "\"\ufb33\":\"Hebrew Letter Dalet With Dagesh\"}");
}

static double double_of(uint64_t bits)
{
	double v;

	memcpy(&v, &bits, sizeof(v));
	return v;
}

static char *number(double v)
{
	json_t *real = json_real(v);
	char *text = NULL;
	size_t len;

	assert_non_null(real);
	assert_int_equal(jcs_print(real, &text, &len, NULL), ATTEST_OK);
	json_decref(real);
	return text;
}

static void numbers_are_those_of_ecmascript(void **state)
{
	static const struct {
		uint64_t bits;
		const char *text;
	} known[] = {
		{ 0x0000000000000000, "0" },
		{ 0x8000000000000000, "0" },
		{ 0x0000000000000001, "5e-324" },
		{ 0x8000000000000001, "-5e-324" },
		{ 0x7fefffffffffffff, "1.7976931348623157e+308" },
		{ 0xffefffffffffffff, "-1.7976931348623157e+308" },
		{ 0x4340000000000000, "9007199254740992" },
		{ 0xc340000000000000, "-9007199254740992" },
		{ 0x4430000000000000, "295147905179352830000" },
		{ 0x44b52d02c7e14af5, "9.999999999999997e+22" },
		{ 0x44b52d02c7e14af6, "1e+23" },
		{ 0x44b52d02c7e14af7, "1.0000000000000001e+23" },
		{ 0x444b1ae4d6e2ef4e, "999999999999999700000" },
		{ 0x444b1ae4d6e2ef4f, "999999999999999900000" },
		{ 0x444b1ae4d6e2ef50, "1e+21" },
		{ 0x3eb0c6f7a0b5ed8c, "9.999999999999997e-7" },
		{ 0x3eb0c6f7a0b5ed8d, "0.000001" },
		{ 0x41b3de4355555553, "333333333.3333332" },
		{ 0x41b3de4355555554, "333333333.33333325" },
		{ 0x41b3de4355555555, "333333333.3333333" },
		{ 0x41b3de4355555556, "333333333.3333334" },
		{ 0x41b3de4355555557, "333333333.33333343" },
		{ 0xbecbf647612f3696, "-0.0000033333333333333333" },
		{ 0x43143ff3c1cb0959, "1424953923781206.2" },
		/* Powers of two whose nearest 16 digits read as the double below. */
		{ 0x3d30000000000000, "5.684341886080802e-14" },
		{ 0x0060000000000000, "7.120236347223045e-307" },
		{ 0x3e70000000000000, "5.960464477539063e-8" },
		{ 0x7cf0000000000000, "6.386688990511104e+293" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		char *text = number(double_of(known[i].bits));

		assert_string_equal(text, known[i].text);
		free(text);
	}
}

/* Each power of two and its neighbours, and others; none has fewer digits that read back. */
static void numbers_read_back_and_none_is_shorter(void **state)
{
	uint64_t bits = 0x9e3779b97f4a7c15u;

	(void)state;
	for (int i = 0; i < 20000; i++) {
		double v = double_of(bits & ~(UINT64_C(1) << 63));
		char *text, shorter[40];

		bits = bits * 6364136223846793005u + 1442695040888963407u;
		if (i < 6138)
			v = double_of(((uint64_t)(i / 3 + 1) << 52) + (uint64_t)(i % 3) - 1);
		if (!(v <= DBL_MAX))
			continue;
		text = number(v);
		assert_true(strtod(text, NULL) == v);
		for (int n = 0; n < 17; n++) {
			size_t digits = 0;

			snprintf(shorter, sizeof(shorter), "%.*e", n, v);
			if (strtod(shorter, NULL) != v)
				continue;
			for (const char *c = text; *c && *c != 'e'; c++)
				digits += *c >= '0' && *c <= '9';
			if (strchr(text, 'e'))
				assert_true(digits <= (size_t)n + 1);
			break;
		}
		free(text);
	}
}

static void integers_are_doubles_or_refused(void **state)
{
	char *text = NULL;

	(void)state;
	is_printed("[9007199254740991,-9007199254740991,9007199254740992]",
		   "[9007199254740991,-9007199254740991,9007199254740992]");
	is_printed("1152921504606846976", "1152921504606847000");
	is_printed("-9223372036854775808", "-9223372036854776000");
	assert_int_equal(print("9007199254740993", &text), ATTEST_MALFORMED);
	assert_int_equal(print("9223372036854775807", &text), ATTEST_MALFORMED);
	assert_null(text);
}

static void names_are_sorted_by_utf16(void **state)
{
	(void)state;
	is_printed("{\"\U0010ffff\":1,\"\uffff\":2,\"\ue000\":3,\"\ud7ff\":4,\"\U00010000\":5,"
		   "\"\":6,\"a\":7,\"ab\":8,\"a\uffff\":9,\"a\U00010000\":10}",
		   "{\"\":6,\"a\":7,\"ab\":8,\"a\U00010000\":10,\"a\uffff\":9,\"\ud7ff\":4,"
		   "\"\U00010000\":5,\"\U0010ffff\":1,\"\ue000\":3,\"\uffff\":2}");
}

static void texts_have_the_shortest_escapes(void **state)
{
	(void)state;
	is_printed("\"\\u0008\\u0009\\u000a\\u000c\\u000d\\u0001\\u001f\\u007f\\/\\u2028\"",
		   "\"\\b\\t\\n\\f\\r\\u0001\\u001f\x7f/\u2028\"");
	is_printed(" [ ] ", "[]");
	is_printed("{ \"a\" : { } }", "{\"a\":{}}");
}

static void depth_is_capped(void **state)
{
	char text[2 * JCS_DEPTH + 3], *got = NULL;

	(void)state;
	for (size_t n = JCS_DEPTH; n <= JCS_DEPTH + 1; n++) {
		memset(text, '[', n);
		memset(text + n, ']', n);
		text[2 * n] = '\0';
		if (n == JCS_DEPTH)
			is_printed(text, text);
		else
			assert_int_equal(print(text, &got), ATTEST_MALFORMED);
	}
}

#define TEE                                                                                    \
	"\"nonce\":\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\",\"tee-pubkey\":"           \
	"{\"kty\":\"EC\",\"crv\":\"P-256\",\"alg\":\"ECDH-ES+A256KW\","                        \
	"\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","                               \
	"\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}"

/* What the protocol binds a key with. */
static void digests_are_those_of_other_implementations(void **state)
{
	static const char *const known[][2] = {
		{ "{\"b\":1,\"a\":\"test\",\"c\":{\"d\":\"e\"}}",
		  "e71ce8e70d814ba6639c3612ebee0ff1f76f650f8dbb5e47157e0f3f525cd22c"
		  "4597480a186427c813ca941da78870c3" },
		{ "{" TEE ",\"additional-evidence\":\"\"}",
		  "dfa65d498315212bdaf8857231cf0482172933db271f15856bf30db447227eb5"
		  "b1dd9e29fcc1fb9076fb00792c3bb7e7" },
		{ "{" TEE "}",
		  "cc12bca78af3e46d9ddb68eb97122047abb52703f1cec34bd0adc12c5ac8c860"
		  "b1ada6c8729e54f2172908b77572364a" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		char *text = NULL, hex[HEX_SIZE(48)];
		uint8_t digest[48];

		assert_int_equal(print(known[i][0], &text), ATTEST_OK);
		assert_int_equal(
			EVP_Q_digest(NULL, "SHA384", NULL, text, strlen(text), digest, NULL),
			1);
		hex_print(digest, sizeof(digest), hex);
		assert_string_equal(hex, known[i][1]);
		free(text);
	}
}

static enum attest_status read_object(const char *text, const struct json_caps *caps)
{
	json_t *object = NULL;
	enum attest_status s = jr_object(span_of(text), caps, "test", &object, NULL);

	assert_true((s == ATTEST_OK) == (object != NULL));
	json_decref(object);
	return s;
}

static void reading_holds_its_caps(void **state)
{
	static const struct json_caps caps = { .bytes = 40, .depth = 3, .values = 7 };
	static const char *const good[] = {
		"{}",
		" {\"a\":[[1]]} ",
		"{\"a\":\"[[[[{{{{\\\"[[[\"}",
		"{\"a\":1,\"b\":[2]}",
	};
	static const char *const bad[] = {
		"",
		"1",
		"[]",
		"{",
		"{}x",
		"{} {}",
		"{\"a\":1,\"a\":2}",
		"{\"a\":{\"b\":1,\"b\":1}}",
		"{\"a\":\"\\u0000\"}",
		"{\"a\":\"\xc0\x80\"}",
		"{\"a\":\"\\ud800\"}",
		"{\"a\":1e999}",
		"{\"a\":99999999999999999999}",
		"{\"a\":[[[1]]]}",
		"{\"a\":[1,2,3,4,5]}",
		"{\"a\":\"0123456789012345678901234567890123456789\"}",
		"{'a':1}",
		"{\"a\":01}",
		"{\"a\":1,}",
		"{\"a\":NaN}",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_int_equal(read_object(good[i], &caps), ATTEST_OK);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(read_object(bad[i], &caps), ATTEST_MALFORMED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_examples_of_the_rfc),
		cmocka_unit_test(numbers_are_those_of_ecmascript),
		cmocka_unit_test(numbers_read_back_and_none_is_shorter),
		cmocka_unit_test(integers_are_doubles_or_refused),
		cmocka_unit_test(names_are_sorted_by_utf16),
		cmocka_unit_test(texts_have_the_shortest_escapes),
		cmocka_unit_test(depth_is_capped),
		cmocka_unit_test(digests_are_those_of_other_implementations),
		cmocka_unit_test(reading_holds_its_caps),
	};

	return cmocka_run_group_tests_name("jcs", tests, NULL, NULL);
}
