/* tests/attest/test_jwk.c - base64url, and public keys in JSON. */
#include "attest/jcs.h"
#include "tests/attest/jose_sample.h"

#include <jansson.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/rsa.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

static void base64url_is_strict(void **state)
{
	static const char *const bad[] = { "A",    "AAAAA", "AA==",   "AAA=", "AA A",
					   "AA\n", "AB",    "AAB",    "AA+A", "AA/A",
					   "AA.A", "AAAA=", "AAA\x80" };
	uint8_t bytes[260], again[260];
	char text[BASE64URL_SIZE(260)];
	size_t n;

	(void)state;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 167 + i / 3);
	for (size_t len = 0; len <= sizeof(bytes); len++) {
		base64url_encode(bytes, len, text);
		assert_int_equal(strlen(text) + 1, BASE64URL_SIZE(len));
		assert_true(base64url_decode(text, strlen(text), again, len, &n));
		assert_int_equal(n, len);
		assert_memory_equal(again, bytes, len);
		if (len > 0)
			assert_false(base64url_decode(text, strlen(text), again, len - 1, &n));
	}
	base64url_encode("\xfb\xff\xfe", 3, text);
	assert_string_equal(text, "-__-");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(base64url_decode(bad[i], strlen(bad[i]), again, 260, &n));
}

static enum attest_status parse_key(const char *text, enum jwk_use use, struct jwk *ret)
{
	struct attest_error e = { .what = "" };
	json_t *object = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	enum attest_status s;

	assert_non_null(object);
	s = jwk_parse(object, use, ret, &e);
	assert_true((s == ATTEST_OK) == (e.what[0] == '\0'));
	json_decref(object);
	return s;
}

/* Numbers, text, numbers, key, numbers: nothing is lost. */
static void goes_round(const EVP_PKEY *key, enum jwk_use use)
{
	struct jwk jwk = { 0 }, again = { 0 }, last = { 0 };
	char text[JWK_TEXT], *canonical = NULL;
	EVP_PKEY *public = NULL;
	size_t len, canonical_len;
	json_t *object;

	assert_int_equal(jwk_of(key, &jwk, NULL), ATTEST_OK);
	assert_true(jwk_print(&jwk, use, text, &len));
	assert_int_equal(len, strlen(text));
	assert_int_equal(parse_key(text, use, &again), ATTEST_OK);
	assert_memory_equal(&jwk, &again, sizeof(jwk));
	assert_int_equal(jwk_key(&again, &public, NULL), ATTEST_OK);
	assert_int_equal(EVP_PKEY_eq(key, public), 1);
	assert_int_equal(jwk_of(public, &last, NULL), ATTEST_OK);
	assert_memory_equal(&jwk, &last, sizeof(jwk));
	object = json_loads(text, 0, NULL);
	assert_int_equal(jcs_print(object, &canonical, &canonical_len, NULL), ATTEST_OK);
	assert_string_equal(canonical, text);
	free(canonical);
	json_decref(object);
	EVP_PKEY_free(public);
}

static void keys_go_round_for_each_use(void **state)
{
	EVP_PKEY *key;
	struct jwk jwk;
	char text[JWK_TEXT];
	size_t len;

	(void)state;
	for (enum jwk_kind kind = JWK_P256; kind < JWK_KINDS; kind++) {
		key = kind == JWK_RSA ? EVP_RSA_gen(2048) : EVP_EC_gen(jwk_curve(kind));
		assert_int_equal(jwk_kind_of(key), kind);
		assert_int_equal(jwk_of(key, &jwk, NULL), ATTEST_OK);
		for (enum jwk_use use = JWK_TEE; use < JWK_USES; use++) {
			if (jwk_alg(kind, use))
				goes_round(key, use);
			else
				assert_false(jwk_print(&jwk, use, text, &len));
		}
		EVP_PKEY_free(key);
	}
}

static void keys_of_other_kinds_have_no_numbers(void **state)
{
	EVP_PKEY *keys[] = { EVP_PKEY_Q_keygen(NULL, NULL, "X25519"), EVP_EC_gen("secp256k1"),
			     EVP_EC_gen("brainpoolP256r1"), EVP_RSA_gen(1024) };
	struct jwk jwk;

	(void)state;
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		assert_non_null(keys[i]);
		assert_int_equal(jwk_of(keys[i], &jwk, NULL), ATTEST_REFUSED);
		EVP_PKEY_free(keys[i]);
	}
}

static void keys_start_with_zeros_where_their_numbers_do(void **state)
{
	EVP_PKEY *key = NULL;
	struct jwk jwk;
	int tries = 0;

	(void)state;
	do {
		EVP_PKEY_free(key);
		key = EVP_EC_gen("P-256");
		assert_int_equal(jwk_of(key, &jwk, NULL), ATTEST_OK);
	} while (jwk.a[0] != 0 && jwk.b[0] != 0 && ++tries < 5000);
	assert_int_equal(jwk.a_len, 32);
	assert_int_equal(jwk.b_len, 32);
	goes_round(key, JWK_TEE);
	EVP_PKEY_free(key);
}

static void keys_have_one_spelling(void **state)
{
	static const struct {
		enum jwk_use use;
		const char *text;
		enum attest_status status;
	} cases[] = {
		{ JWK_TEE, "{" EC256 XY256 "," ECDH "}", ATTEST_OK },
		{ JWK_EPK, "{" EC256 XY256 "}", ATTEST_OK },
		{ JWK_SIGNER, "{" EC256 XY256 "}", ATTEST_OK },
		{ JWK_SIGNER, "{" EC256 XY256 ",\"alg\":\"ES256\",\"kid\":\"1\"}", ATTEST_OK },
		{ JWK_SIGNER, "{" EC256 XY256 ",\"alg\":\"ES384\"}", ATTEST_REFUSED },
		{ JWK_SIGNER, "{" EC256 XY256 "," ECDH "}", ATTEST_REFUSED },
		{ JWK_TEE, "{" EC256 XY256 ",\"alg\":\"ES256\"}", ATTEST_REFUSED },
		{ JWK_TEE, "{" EC256 XY256 ",\"alg\":\"ECDH-ES\"}", ATTEST_REFUSED },
		{ JWK_TEE, "{" EC256 XY256 ",\"alg\":7}", ATTEST_MALFORMED },
		{ JWK_TEE, "{" EC256 XY256 "}", ATTEST_MALFORMED },
		{ JWK_TEE, "{" EC256 XY256 "," ECDH ",\"kid\":\"1\"}", ATTEST_MALFORMED },
		{ JWK_EPK, "{" EC256 XY256 "," ECDH "}", ATTEST_MALFORMED },
		{ JWK_TEE, "{" EC256 XY256 "," ECDH ",\"d\":\"" D256 "\"}", ATTEST_REFUSED },
		{ JWK_SIGNER, "{" EC256 XY256 ",\"d\":null}", ATTEST_REFUSED },
		{ JWK_TEE, "{\"crv\":\"P-256\"," XY256 "," ECDH "}", ATTEST_MALFORMED },
		{ JWK_TEE, "{\"kty\":\"EC\"," XY256 "," ECDH "}", ATTEST_MALFORMED },
		{ JWK_TEE, "{\"kty\":\"EC\",\"crv\":\"P-224\"," XY256 "," ECDH "}",
		  ATTEST_REFUSED },
		{ JWK_TEE, "{\"kty\":\"EC\",\"crv\":\"P-384\"," XY256 "," ECDH "}",
		  ATTEST_REFUSED },
		{ JWK_SIGNER, "{\"kty\":\"EC\",\"crv\":\"P-521\"," XY256 "}", ATTEST_REFUSED },
		{ JWK_TEE, "{\"kty\":\"EC\",\"crv\":\"P-521\"," XY256 "," ECDH "}",
		  ATTEST_MALFORMED },
		{ JWK_TEE, "{\"kty\":\"OKP\",\"crv\":\"X25519\"," XY256 "," ECDH "}",
		  ATTEST_REFUSED },
		{ JWK_TEE, "{\"kty\":\"oct\",\"k\":\"AAAA\"," ECDH "}", ATTEST_REFUSED },
		{ JWK_TEE, "{" EC256 "\"x\":\"" X256 "\"," ECDH "}", ATTEST_MALFORMED },
		{ JWK_TEE, "{" EC256 "\"x\":\"" X256 "\",\"y\":\"" Y256 "=\"," ECDH "}",
		  ATTEST_MALFORMED },
		{ JWK_TEE, "{" EC256 "\"x\":\"" X256 "\",\"y\":\"AA" Y256 "\"," ECDH "}",
		  ATTEST_MALFORMED },
		{ JWK_TEE, "{" EC256 "\"x\":\"" X256 "\",\"y\":\"\"," ECDH "}",
		  ATTEST_MALFORMED },
		{ JWK_TEE, "{" EC256 "\"x\":[\"" X256 "\"],\"y\":\"" Y256 "\"," ECDH "}",
		  ATTEST_MALFORMED },
		{ JWK_TEE, "{\"kty\":\"RSA\",\"alg\":\"RSA1_5\",\"n\":\"1w\",\"e\":\"AQAB\"}",
		  ATTEST_REFUSED },
		{ JWK_TEE, "{\"kty\":\"RSA\",\"alg\":\"RSA-OAEP\",\"n\":\"1w\",\"e\":\"AQAB\"}",
		  ATTEST_REFUSED },
		{ JWK_TEE,
		  "{\"kty\":\"RSA\",\"alg\":\"RSA-OAEP-256\",\"n\":\"1w\",\"e\":\"AQAB\"}",
		  ATTEST_MALFORMED },
		{ JWK_SIGNER, "{\"kty\":\"RSA\",\"n\":\"1w\",\"e\":\"AQAB\"}", ATTEST_REFUSED },
		{ JWK_EPK, "{\"kty\":\"RSA\",\"n\":\"1w\",\"e\":\"AQAB\"}", ATTEST_REFUSED },
		{ JWK_TEE, "{}", ATTEST_MALFORMED },
		{ JWK_TEE, "[]", ATTEST_MALFORMED },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct jwk jwk = { .kind = 77 };
		enum attest_status s = parse_key(cases[i].text, cases[i].use, &jwk);

		if (s != cases[i].status)
			print_error("%s\n", cases[i].text);
		assert_int_equal(s, cases[i].status);
		assert_true((s == ATTEST_OK) == (jwk.kind != 77));
	}
}

static enum attest_status key_status(const struct jwk *jwk)
{
	EVP_PKEY *key = NULL;
	enum attest_status s = jwk_key(jwk, &key, NULL);

	assert_int_equal(ERR_peek_error(), 0); /* TLS in this thread would trip over it */
	assert_true((s == ATTEST_OK) == (key != NULL));
	EVP_PKEY_free(key);
	return s;
}

static void points_off_the_curve_are_refused(void **state)
{
	struct jwk good, bad;

	(void)state;
	assert_int_equal(parse_key("{" EC256 XY256 "}", JWK_EPK, &good), ATTEST_OK);
	assert_int_equal(key_status(&good), ATTEST_OK);
	for (size_t i = 0; i < 64; i++) {
		bad = good;
		(i < 32 ? bad.a : bad.b)[i % 32] ^= 1;
		assert_int_equal(key_status(&bad), ATTEST_REFUSED);
	}
	bad = good;
	memset(bad.a, 0, 32);
	memset(bad.b, 0, 32);
	assert_int_equal(key_status(&bad), ATTEST_REFUSED);
	memset(bad.a, 0xff, 32); /* not below the field's prime */
	assert_int_equal(key_status(&bad), ATTEST_REFUSED);
	bad = good;
	bad.kind = JWK_P384;
	assert_int_equal(key_status(&bad), ATTEST_REFUSED);
	bad.kind = JWK_KINDS;
	assert_int_equal(key_status(&bad), ATTEST_REFUSED);
}

static void unsound_rsa_keys_are_refused(void **state)
{
	EVP_PKEY *key = EVP_RSA_gen(2048);
	struct jwk good, bad;

	(void)state;
	assert_int_equal(jwk_of(key, &good, NULL), ATTEST_OK);
	EVP_PKEY_free(key);
	assert_int_equal(key_status(&good), ATTEST_OK);
	bad = good;
	bad.a[good.a_len - 1] ^= 1; /* even */
	assert_int_equal(key_status(&bad), ATTEST_REFUSED);
	bad = good;
	bad.b_len = 1;
	bad.b[0] = 1; /* encrypts nothing */
	assert_int_equal(key_status(&bad), ATTEST_REFUSED);
	bad.b[0] = 3;
	assert_int_equal(key_status(&bad), ATTEST_REFUSED);
	bad = good;
	bad.a[0] = 0;
	assert_int_equal(key_status(&bad), ATTEST_REFUSED);
	bad = good;
	bad.a_len = 128;
	assert_int_equal(key_status(&bad), ATTEST_REFUSED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(base64url_is_strict),
		cmocka_unit_test(keys_go_round_for_each_use),
		cmocka_unit_test(keys_of_other_kinds_have_no_numbers),
		cmocka_unit_test(keys_start_with_zeros_where_their_numbers_do),
		cmocka_unit_test(keys_have_one_spelling),
		cmocka_unit_test(points_off_the_curve_are_refused),
		cmocka_unit_test(unsound_rsa_keys_are_refused),
	};

	return cmocka_run_group_tests_name("jwk", tests, NULL, NULL);
}
