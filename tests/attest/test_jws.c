/* tests/attest/test_jws.c - signed tokens. */
#include "attest/hex.h"
#include "attest/jcs.h"
#include "attest/jws.h"
#include "tests/attest/jose_sample.h"

#include <jansson.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

static const struct jws_rules any = { .algs = JWS_ES256 | JWS_ES384 };

static enum attest_status verify(const char *text, size_t len, EVP_PKEY *key,
				 const struct jws_rules *rules, char **ret)
{
	struct attest_error e = { .what = "" };
	struct jws_claims *claims = NULL;
	struct jws *token = NULL;
	enum attest_status s = jws_parse(text, len, &token, &e);
	size_t n;

	assert_true((s == ATTEST_OK) == (token != NULL));
	if (s == ATTEST_OK)
		s = jws_verify(token, key, rules, &claims, &e);
	jws_free(token); /* claims live without it */
	assert_true((s == ATTEST_OK) == (claims != NULL));
	assert_true((s == ATTEST_OK) == (e.what[0] == '\0'));
	assert_int_not_equal(s, ATTEST_SYSTEM);
	assert_int_equal(ERR_peek_error(), 0); /* TLS in this thread would trip over it */
	if (ret && claims)
		assert_int_equal(jcs_print(jws_claims(claims), ret, &n, NULL), ATTEST_OK);
	jws_claims_free(claims);
	return s;
}

static enum attest_status parse_only(const char *text)
{
	struct jws *token = NULL;
	enum attest_status s = jws_parse(text, strlen(text), &token, NULL);

	jws_free(token);
	return s;
}

/* A token of any header and payload, rightly signed as ES384 for a key of P-384, else as
 * ES256. Static. */
static char *craft(EVP_PKEY *key, const char *header, const char *payload)
{
	static char text[2 * JWS_MAX];
	bool small = jwk_kind_of(key) != JWK_P384;
	EVP_MD_CTX *cx = EVP_MD_CTX_new();
	uint8_t der[160], raw[96];
	const uint8_t *at = der;
	size_t len, n = sizeof(der), half = small ? 32 : 48;
	ECDSA_SIG *sig;

	base64url_encode(header, strlen(header), text);
	strcat(text, ".");
	base64url_encode(payload, strlen(payload), text + strlen(text));
	len = strlen(text);
	assert_int_equal(EVP_DigestSignInit_ex(cx, NULL, small ? "SHA256" : "SHA384", NULL,
					       NULL, key, NULL),
			 1);
	assert_int_equal(EVP_DigestSign(cx, der, &n, (uint8_t *)text, len), 1);
	EVP_MD_CTX_free(cx);
	sig = d2i_ECDSA_SIG(NULL, &at, (long)n);
	assert_non_null(sig);
	BN_bn2binpad(ECDSA_SIG_get0_r(sig), raw, (int)half);
	BN_bn2binpad(ECDSA_SIG_get0_s(sig), raw + half, (int)half);
	ECDSA_SIG_free(sig);
	text[len++] = '.';
	base64url_encode(raw, 2 * half, text + len);
	return text;
}

static void the_token_of_the_rfc_verifies(void **state)
{
	EVP_PKEY *key = rfc_key();
	char *claims = NULL;

	(void)state;
	assert_int_equal(verify(rfc_token, strlen(rfc_token), key, &any, &claims), ATTEST_OK);
	assert_string_equal(
		claims,
		"{\"exp\":1300819380,\"http://example.com/is_root\":true,\"iss\":\"joe\"}");
	free(claims);
	EVP_PKEY_free(key);
}

static void a_token_says_who_claims_to_have_signed_it(void **state)
{
	static const uint8_t der[2][5] = { "leaf", "root" };
	static const struct jws_certificate x5c[2] = { { der[0], 4 }, { der[1], 5 } };
	static const struct jws_head head = {
		.typ = "cordon", .kid = "k\"\u00e9", .x5c = x5c, .n_x5c = 2
	};
	static const struct jws_rules rules = { .algs = JWS_ES384, .typ = "cordon" };
	EVP_PKEY *key = EVP_EC_gen("P-384");
	const struct jws_certificate *certificates = NULL;
	char *token = NULL, *claims = NULL;
	struct jws *j = NULL;

	(void)state;
	assert_int_equal(jws_sign(key, &head, "{ \"b\":1, \"a\":2 }", 16, &token, NULL),
			 ATTEST_OK);
	assert_int_equal(jws_parse(token, strlen(token), &j, NULL), ATTEST_OK);
	assert_int_equal(jws_alg(j), JWS_ES384);
	assert_string_equal(jws_typ(j), "cordon");
	assert_string_equal(jws_kid(j), "k\"\u00e9");
	assert_int_equal(jws_x5c(j, &certificates), 2);
	assert_int_equal(certificates[0].len, 4);
	assert_memory_equal(certificates[0].der, "leaf", 4);
	assert_int_equal(certificates[1].len, 5);
	jws_free(j);
	assert_int_equal(verify(token, strlen(token), key, &rules, &claims), ATTEST_OK);
	assert_string_equal(claims, "{\"a\":2,\"b\":1}");
	free(claims);
	free(token);
	EVP_PKEY_free(key);
}

static void a_token_without_extras_has_none(void **state)
{
	static const struct jws_head head = { .typ = NULL };
	static const char header[] = "eyJhbGciOiJFUzI1NiJ9."; /* {"alg":"ES256"} */
	const struct jws_certificate *certificates;
	EVP_PKEY *key = rfc_key();
	char *token = NULL;
	struct jws *j = NULL;

	(void)state;
	assert_int_equal(jws_sign(key, &head, "{}", 2, &token, NULL), ATTEST_OK);
	assert_memory_equal(token, header, strlen(header));
	assert_int_equal(jws_parse(token, strlen(token), &j, NULL), ATTEST_OK);
	assert_null(jws_typ(j));
	assert_null(jws_kid(j));
	assert_int_equal(jws_x5c(j, &certificates), 0);
	jws_free(j);
	free(token);
	EVP_PKEY_free(key);
}

static void every_truncation_and_flipped_byte_of_a_token_is_refused(void **state)
{
	size_t len = strlen(rfc_token);
	EVP_PKEY *key = rfc_key();
	char *copy;

	(void)state;
	for (size_t n = 0; n < len; n++) {
		copy = malloc(n ? n : 1); /* of exactly its size: a byte too far is seen */
		memcpy(copy, rfc_token, n);
		assert_int_not_equal(verify(copy, n, key, &any, NULL), ATTEST_OK);
		free(copy);
	}
	copy = strdup(rfc_token);
	for (size_t i = 0; i < len * 8; i++) {
		char *at = copy + i / 8, was = *at;

		*at = (char)(was ^ 1 << i % 8);
		assert_int_not_equal(verify(copy, len, key, &any, NULL), ATTEST_OK);
		*at = was;
	}
	assert_int_equal(verify(copy, len, key, &any, NULL), ATTEST_OK);
	free(copy);
	EVP_PKEY_free(key);
}

static void a_token_has_three_parts(void **state)
{
	static const char *const bad[] = { "",      ".",     "..",       "...",    "a.b",
					   "a.b.c", "e30..", "e30.e30.", "e30.e30" };
	char text[sizeof(rfc_token) + 8];
	EVP_PKEY *key = rfc_key();
	char *large;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(parse_only(bad[i]), ATTEST_MALFORMED);
	snprintf(text, sizeof(text), "%s.", rfc_token);
	assert_int_equal(parse_only(text), ATTEST_MALFORMED);
	snprintf(text, sizeof(text), "%s\n", rfc_token);
	assert_int_equal(parse_only(text), ATTEST_MALFORMED);
	snprintf(text, sizeof(text), "%s==", rfc_token);
	assert_int_equal(parse_only(text), ATTEST_MALFORMED);
	large = calloc(1, JWS_MAX + 2);
	memset(large, 'e', JWS_MAX + 1);
	assert_int_equal(verify(large, JWS_MAX + 1, key, &any, NULL), ATTEST_MALFORMED);
	free(large);
	EVP_PKEY_free(key);
}

static void headers_that_mean_more_are_refused(void **state)
{
	static const struct {
		const char *header;
		enum attest_status status;
	} cases[] = {
		{ "{\"alg\":\"ES256\"}", ATTEST_OK },
		{ " {\"typ\":\"JWT\",\"alg\":\"ES256\",\"jku\":\"https://evil\",\"x\":[1]} ",
		  ATTEST_OK },
		{ "{\"alg\":\"none\"}", ATTEST_REFUSED },
		{ "{\"alg\":\"HS256\"}", ATTEST_REFUSED },
		{ "{\"alg\":\"es256\"}", ATTEST_REFUSED },
		{ "{\"alg\":\"ES384\"}", ATTEST_MALFORMED }, /* the signature is too short */
		{ "{\"alg\":\"ES256\",\"crit\":[\"x\"],\"x\":1}", ATTEST_REFUSED },
		{ "{\"alg\":\"ES256\",\"crit\":[]}", ATTEST_REFUSED },
		{ "{\"alg\":\"ES256\",\"b64\":false}", ATTEST_REFUSED },
		{ "{\"alg\":\"ES256\",\"alg\":\"ES256\"}", ATTEST_MALFORMED },
		{ "{\"alg\":\"ES256\",\"x\":{\"a\":1,\"a\":1}}", ATTEST_MALFORMED },
		{ "{\"alg\":256}", ATTEST_MALFORMED },
		{ "{}", ATTEST_MALFORMED },
		{ "[\"ES256\"]", ATTEST_MALFORMED },
		{ "\"ES256\"", ATTEST_MALFORMED },
		{ "", ATTEST_MALFORMED },
		{ "{\"alg\":\"ES256\"}{}", ATTEST_MALFORMED },
		{ "{\"alg\":\"ES256\",\"typ\":1}", ATTEST_MALFORMED },
		{ "{\"alg\":\"ES256\",\"kid\":{}}", ATTEST_MALFORMED },
		{ "{\"alg\":\"ES256\",\"kid\":\"\\u0000\"}", ATTEST_MALFORMED },
		{ "{\"alg\":\"ES256\",\"x5c\":[]}", ATTEST_MALFORMED },
		{ "{\"alg\":\"ES256\",\"x5c\":\"AAAA\"}", ATTEST_MALFORMED },
		{ "{\"alg\":\"ES256\",\"x5c\":[\"\"]}", ATTEST_MALFORMED },
		{ "{\"alg\":\"ES256\",\"x5c\":[\"AA\"]}", ATTEST_MALFORMED },
		{ "{\"alg\":\"ES256\",\"x5c\":[\"AA==\",1]}", ATTEST_MALFORMED },
		{ "{\"alg\":\"ES256\",\"x5c\":[\"AA==\"]}", ATTEST_OK },
		{ "{\"alg\":\"ES256\",\"x5c\":[\"AAAA\",\"AAAA\",\"AAAA\",\"AAAA\",\"AAAA\","
		  "\"AAAA\",\"AAAA\",\"AAAA\"]}",
		  ATTEST_OK },
		{ "{\"alg\":\"ES256\",\"x5c\":[\"AAAA\",\"AAAA\",\"AAAA\",\"AAAA\",\"AAAA\","
		  "\"AAAA\",\"AAAA\",\"AAAA\",\"AAAA\"]}",
		  ATTEST_MALFORMED },
	};
	EVP_PKEY *key = rfc_key();

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *token = craft(key, cases[i].header, "{}");
		enum attest_status s = verify(token, strlen(token), key, &any, NULL);

		if (s != cases[i].status)
			print_error("%s\n", cases[i].header);
		assert_int_equal(s, cases[i].status);
	}
	EVP_PKEY_free(key);
}

static void payloads_are_objects_with_each_member_once(void **state)
{
	static const char *const bad[] = { "",
					   "1",
					   "[]",
					   "{",
					   "{}{}",
					   "{\"a\":1,\"a\":2}",
					   "{\"a\":\"\xff\"}",
					   "{\"a\":[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]}" };
	EVP_PKEY *key = rfc_key();
	const char *token;
	char *huge = calloc(1, 80000);

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		token = craft(key, "{\"alg\":\"ES256\"}", bad[i]);
		assert_int_equal(parse_only(token), ATTEST_OK); /* it was not looked at */
		assert_int_equal(verify(token, strlen(token), key, &any, NULL),
				 ATTEST_MALFORMED);
	}
	token = craft(key, "{\"alg\":\"ES256\"}", "{\"a\":[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]}");
	assert_int_equal(verify(token, strlen(token), key, &any, NULL), ATTEST_OK);
	memset(huge, '[', 79999);
	token = craft(key, "{\"alg\":\"ES256\"}", huge);
	assert_int_equal(verify(token, strlen(token), key, &any, NULL), ATTEST_MALFORMED);
	free(huge);
	EVP_PKEY_free(key);
}

/* The RFC's token with other bytes for its signature. */
static enum attest_status with_signature(const uint8_t *sig, size_t len, EVP_PKEY *key)
{
	char text[512];
	size_t at = (size_t)(strrchr(rfc_token, '.') - rfc_token) + 1;

	memcpy(text, rfc_token, at);
	base64url_encode(sig, len, text + at);
	return verify(text, strlen(text), key, &any, NULL);
}

static void signatures_are_two_numbers_in_range(void **state)
{
	static const char order[] =
		"ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
	uint8_t good[64], bad[97], n[32], der[80], *at = der;
	EVP_PKEY *key = rfc_key();
	ECDSA_SIG *sig = ECDSA_SIG_new();
	int len;

	(void)state;
	assert_true(hex_parse(order, 64, n, 32));
	assert_int_equal(bytes_of(strrchr(rfc_token, '.') + 1, good, 64), 64);
	assert_int_equal(with_signature(good, 64, key), ATTEST_OK);
	for (size_t half = 0; half < 64; half += 32) {
		memcpy(bad, good, 64);
		memset(bad + half, 0, 32);
		assert_int_equal(with_signature(bad, 64, key), ATTEST_REFUSED);
		memcpy(bad + half, n, 32);
		assert_int_equal(with_signature(bad, 64, key), ATTEST_REFUSED);
		memset(bad + half, 0xff, 32);
		assert_int_equal(with_signature(bad, 64, key), ATTEST_REFUSED);
	}
	memset(bad, 0, sizeof(bad));
	assert_int_equal(with_signature(bad, 64, key), ATTEST_REFUSED);
	for (size_t i = 0; i <= sizeof(bad); i++)
		if (i != 64)
			assert_int_equal(with_signature(bad, i, key), ATTEST_MALFORMED);
	/* What libcrypto makes, and other libraries have sent. */
	assert_int_equal(
		ECDSA_SIG_set0(sig, BN_bin2bn(good, 32, NULL), BN_bin2bn(good + 32, 32, NULL)),
		1);
	len = i2d_ECDSA_SIG(sig, &at);
	assert_true(len > 64 && len < 80);
	assert_int_equal(with_signature(der, (size_t)len, key), ATTEST_MALFORMED);
	ECDSA_SIG_free(sig);
	EVP_PKEY_free(key);
}

static void rules_and_keys_must_fit(void **state)
{
	static const struct jws_rules small = { .algs = JWS_ES256 },
				      large = { .algs = JWS_ES384 };
	static const struct jws_rules none = { .algs = 0 };
	static const struct jws_rules typed = { .algs = JWS_ES256, .typ = "JWT" };
	EVP_PKEY *key = rfc_key(), *other = EVP_EC_gen("P-256"), *p384 = EVP_EC_gen("P-384"),
		 *odd = EVP_EC_gen("secp256k1");
	size_t len = strlen(rfc_token);
	const char *token;

	(void)state;
	assert_int_equal(verify(rfc_token, len, key, &small, NULL), ATTEST_OK);
	assert_int_equal(verify(rfc_token, len, key, &large, NULL), ATTEST_REFUSED);
	assert_int_equal(verify(rfc_token, len, key, &none, NULL), ATTEST_REFUSED);
	assert_int_equal(verify(rfc_token, len, key, &typed, NULL), ATTEST_REFUSED);
	assert_int_equal(verify(rfc_token, len, other, &any, NULL), ATTEST_REFUSED);
	assert_int_equal(verify(rfc_token, len, p384, &any, NULL), ATTEST_REFUSED);
	assert_int_equal(verify(rfc_token, len, odd, &any, NULL), ATTEST_REFUSED);
	token = craft(key, "{\"alg\":\"ES256\",\"typ\":\"JWT\"}", "{}");
	assert_int_equal(verify(token, strlen(token), key, &typed, NULL), ATTEST_OK);
	token = craft(key, "{\"alg\":\"ES256\",\"typ\":\"jwt\"}", "{}");
	assert_int_equal(verify(token, strlen(token), key, &typed, NULL), ATTEST_REFUSED);
	/* The right numbers, of a curve that ES256 is not. */
	token = craft(odd, "{\"alg\":\"ES256\"}", "{}");
	assert_int_equal(verify(token, strlen(token), odd, &any, NULL), ATTEST_REFUSED);
	token = craft(p384, "{\"alg\":\"ES384\"}", "{}");
	assert_int_equal(verify(token, strlen(token), p384, &large, NULL), ATTEST_OK);
	EVP_PKEY_free(key);
	EVP_PKEY_free(other);
	EVP_PKEY_free(p384);
	EVP_PKEY_free(odd);
}

static void a_key_in_the_header_is_nobodys(void **state)
{
	EVP_PKEY *key = rfc_key(), *evil = EVP_EC_gen("P-256");
	char header[JWK_TEXT + 64], text[JWK_TEXT];
	const char *token;
	struct jwk jwk;
	size_t len;

	(void)state;
	assert_int_equal(jwk_of(evil, &jwk, NULL), ATTEST_OK);
	assert_true(jwk_print(&jwk, JWK_SIGNER, text, &len));
	snprintf(header, sizeof(header), "{\"alg\":\"ES256\",\"jwk\":%s}", text);
	token = craft(evil, header, "{}");
	assert_int_equal(verify(token, strlen(token), evil, &any, NULL), ATTEST_OK);
	assert_int_equal(verify(token, strlen(token), key, &any, NULL), ATTEST_REFUSED);
	EVP_PKEY_free(key);
	EVP_PKEY_free(evil);
}

static void what_could_not_be_read_is_not_signed(void **state)
{
	static const uint8_t der[JWS_CERTIFICATE_MAX + 1] = { 1 };
	static const struct jws_certificate fits[] = { { der, JWS_CERTIFICATE_MAX } };
	static const struct jws_certificate long_one[] = { { der, JWS_CERTIFICATE_MAX + 1 } };
	static const struct jws_certificate many[JWS_CERTIFICATES + 1] = { { der, 1 } };
	struct jws_head head = { .x5c = fits, .n_x5c = 1 };
	EVP_PKEY *key = rfc_key(), *p521 = EVP_EC_gen("P-521");
	char *token = NULL, *large = calloc(1, JWS_MAX);

	(void)state;
	assert_int_equal(jws_sign(key, &head, "{}", 2, &token, NULL), ATTEST_OK);
	assert_int_equal(verify(token, strlen(token), key, &any, NULL), ATTEST_OK);
	free(token);
	token = NULL;
	assert_int_equal(jws_sign(p521, &head, "{}", 2, &token, NULL), ATTEST_REFUSED);
	assert_int_equal(jws_sign(key, &head, large, JWS_MAX, &token, NULL), ATTEST_REFUSED);
	assert_int_equal(jws_sign(key, &head, large, SIZE_MAX, &token, NULL), ATTEST_REFUSED);
	head.x5c = long_one;
	assert_int_equal(jws_sign(key, &head, "{}", 2, &token, NULL), ATTEST_REFUSED);
	head = (struct jws_head){ .x5c = many, .n_x5c = JWS_CERTIFICATES + 1 };
	assert_int_equal(jws_sign(key, &head, "{}", 2, &token, NULL), ATTEST_REFUSED);
	assert_null(token);
	free(large);
	EVP_PKEY_free(p521);
	EVP_PKEY_free(key);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_token_of_the_rfc_verifies),
		cmocka_unit_test(a_token_says_who_claims_to_have_signed_it),
		cmocka_unit_test(a_token_without_extras_has_none),
		cmocka_unit_test(every_truncation_and_flipped_byte_of_a_token_is_refused),
		cmocka_unit_test(a_token_has_three_parts),
		cmocka_unit_test(headers_that_mean_more_are_refused),
		cmocka_unit_test(payloads_are_objects_with_each_member_once),
		cmocka_unit_test(signatures_are_two_numbers_in_range),
		cmocka_unit_test(rules_and_keys_must_fit),
		cmocka_unit_test(a_key_in_the_header_is_nobodys),
		cmocka_unit_test(what_could_not_be_read_is_not_signed),
	};

	return cmocka_run_group_tests_name("jws", tests, NULL, NULL);
}
