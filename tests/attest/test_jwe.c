/* tests/attest/test_jwe.c - sealed secrets. */
#include "attest/hex.h"
#include "attest/json_reader.h"
#include "attest/jwe_parts.h"
#include "memscrub/guard.h"
#include "tests/attest/jose_sample.h"

#include <jansson.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/rsa.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

static enum attest_status open_text(EVP_PKEY *key, const char *text, size_t len, void **ret,
				    size_t *ret_len)
{
	struct attest_error e = { .what = "" };
	void *secret = NULL;
	enum attest_status s = jwe_open(key, text, len, &secret, ret_len, &e);

	assert_true((s == ATTEST_OK) == (secret != NULL));
	assert_true((s == ATTEST_OK) == (e.what[0] == '\0'));
	assert_int_not_equal(s, ATTEST_SYSTEM);
	assert_int_equal(ERR_peek_error(), 0); /* TLS in this thread would trip over it */
	if (ret)
		*ret = secret;
	else
		guard_free(secret);
	return s;
}

static void opens_as(EVP_PKEY *key, const char *text, const void *wanted, size_t wanted_len)
{
	void *secret = NULL;
	size_t len = 0;

	assert_int_equal(open_text(key, text, strlen(text), &secret, &len), ATTEST_OK);
	assert_int_equal(len, wanted_len);
	assert_int_equal(guard_size(secret), len); /* it is guarded memory */
	assert_memory_equal(secret, wanted, len);
	guard_free(secret);
}

static void the_key_encryption_key_is_the_vector(void **state)
{
	uint8_t z[32], kek[JWE_KEK];
	char hex[HEX_SIZE(JWE_KEK)];

	(void)state;
	for (size_t i = 0; i < sizeof(z); i++)
		z[i] = (uint8_t)i;
	assert_true(jwe_kek(z, sizeof(z), kek));
	hex_print(kek, sizeof(kek), hex);
	assert_string_equal(hex,
			    "ead36a3ab953bb6e5a6709471c0fd35fcc62cf920994cede2f3aa2544e9f47ac");
}

static void what_another_implementation_sealed_is_opened(void **state)
{
	EVP_PKEY *p256 = rfc_key(), *p521 = pair(JWK_P521, D521, X521, Y521);

	(void)state;
	opens_as(p256, sealed_p256, SECRET, strlen(SECRET));
	opens_as(p256, sealed_leading_zero, SECRET, strlen(SECRET));
	opens_as(p521, sealed_p521, SECRET, strlen(SECRET));
	assert_int_equal(
		open_text(p521, sealed_p256, strlen(sealed_p256), NULL, &(size_t){ 0 }),
		ATTEST_REFUSED);
	EVP_PKEY_free(p256);
	EVP_PKEY_free(p521);
}

/* A member of a JSON text; Static. */
static const char *member(const char *text, const char *name)
{
	static char value[JWE_TEXT_MAX];
	json_t *object = json_loads(text, 0, NULL);

	assert_true(jr_text(object, name) != NULL);
	snprintf(value, sizeof(value), "%s", jr_text(object, name));
	json_decref(object);
	return value;
}

/* Byte for byte what the client writes again from what it understood. */
static void has_the_clients_header(const char *text, enum jwk_kind kind)
{
	char header[JWE_HEADER] = "", wanted[JWE_HEADER], x[128], y[128];
	size_t n = 0, coordinate = BASE64URL_SIZE(jwk_coordinate(kind)) - 1;
	const char *protected = member(text, "protected");
	json_t *object, *epk;

	assert_true(
		base64url_decode(protected, strlen(protected), header, sizeof(header) - 1, &n));
	header[n] = '\0';
	object = json_loads(header, 0, NULL);
	epk = json_object_get(object, "epk");
	snprintf(x, sizeof(x), "%s", jr_text(epk, "x"));
	snprintf(y, sizeof(y), "%s", jr_text(epk, "y"));
	assert_int_equal(strlen(x), coordinate);
	assert_int_equal(strlen(y), coordinate);
	snprintf(wanted, sizeof(wanted),
		 "{\"alg\":\"ECDH-ES+A256KW\",\"enc\":\"A256GCM\",\"epk\":{\"crv\":\"%s\","
		 "\"kty\":\"EC\",\"x\":\"%s\",\"y\":\"%s\"}}",
		 jwk_curve(kind), x, y);
	assert_string_equal(header, wanted);
	json_decref(object);
}

static void secrets_of_every_size_go_round(void **state)
{
	static const size_t sizes[] = { 1, 2, 15, 16, 17, 32, 4096, JWE_SECRET_MAX };
	static const enum jwk_kind kinds[] = { JWK_P256, JWK_P521 };
	static uint8_t secret[JWE_SECRET_MAX];
	char *text = NULL;
	size_t len;

	(void)state;
	for (size_t i = 0; i < sizeof(secret); i++)
		secret[i] = (uint8_t)(i * 31 + i / 256);
	for (size_t k = 0; k < 2; k++) {
		EVP_PKEY *key = EVP_EC_gen(jwk_curve(kinds[k]));

		for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
			assert_int_equal(jwe_seal(key, secret, sizes[i], &text, &len, NULL),
					 ATTEST_OK);
			assert_int_equal(len, strlen(text));
			assert_true(len < JWE_TEXT_MAX);
			has_the_clients_header(text, kinds[k]);
			opens_as(key, text, secret, sizes[i]);
			free(text);
		}
		EVP_PKEY_free(key);
	}
}

/* The content key, as its recipient gets it. */
static void content_key(EVP_PKEY *own, const char *text, uint8_t ret[static JWE_CEK])
{
	char header[JWE_HEADER];
	struct jwe_keys k = { .z = { 0 } };
	uint8_t wrapped[JWE_WRAPPED];
	EVP_PKEY *peer = NULL;
	struct jwk epk;
	json_t *object;

	bytes_of(member(text, "encrypted_key"), wrapped, sizeof(wrapped));
	object = json_loadb(
		header, bytes_of(member(text, "protected"), (uint8_t *)header, sizeof(header)),
		0, NULL);
	assert_int_equal(jwk_parse(json_object_get(object, "epk"), JWK_EPK, &epk, NULL),
			 ATTEST_OK);
	assert_int_equal(jwk_key(&epk, &peer, NULL), ATTEST_OK);
	assert_true(jwe_agree(own, peer, &k) && jwe_unwrap(&k, wrapped));
	memcpy(ret, k.cek, JWE_CEK);
	EVP_PKEY_free(peer);
	json_decref(object);
}

static void nothing_is_used_twice(void **state)
{
	static const char *const names[] = { "protected", "encrypted_key", "iv", "ciphertext",
					     "tag" };
	EVP_PKEY *key = rfc_key();
	uint8_t one_cek[JWE_CEK], two_cek[JWE_CEK];
	char *one = NULL, *two = NULL, first[1024];
	size_t len;

	(void)state;
	assert_int_equal(jwe_seal(key, SECRET, 24, &one, &len, NULL), ATTEST_OK);
	assert_int_equal(jwe_seal(key, SECRET, 24, &two, &len, NULL), ATTEST_OK);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(first, sizeof(first), "%s", member(one, names[i]));
		assert_string_not_equal(first, member(two, names[i]));
	}
	content_key(key, one, one_cek);
	content_key(key, two, two_cek);
	assert_memory_not_equal(one_cek, two_cek, JWE_CEK);
	free(one);
	free(two);
	EVP_PKEY_free(key);
}

static void rsa_keys_are_sealed_to_with_oaep_of_sha256(void **state)
{
	static const char header[] = "{\"alg\":\"RSA-OAEP-256\",\"enc\":\"A256GCM\"}";
	EVP_PKEY *key = EVP_RSA_gen(2048);
	EVP_PKEY_CTX *cx = EVP_PKEY_CTX_new(key, NULL);
	struct jwe_keys keys = { .z = { 0 } };
	struct jwe_box b = { .len = strlen(SECRET) };
	uint8_t ciphertext[64], secret[64], cek[256];
	size_t len, n = sizeof(cek);
	char *text = NULL;

	(void)state;
	assert_int_equal(jwe_seal(key, SECRET, strlen(SECRET), &text, &len, NULL), ATTEST_OK);
	snprintf(b.aad, sizeof(b.aad), "%s", member(text, "protected"));
	b.aad_len = strlen(b.aad);
	assert_int_equal(bytes_of(b.aad, secret, sizeof(secret)), strlen(header));
	assert_memory_equal(secret, header, strlen(header));
	b.wrapped_len = bytes_of(member(text, "encrypted_key"), b.wrapped, sizeof(b.wrapped));
	bytes_of(member(text, "iv"), b.iv, sizeof(b.iv));
	bytes_of(member(text, "tag"), b.tag, sizeof(b.tag));
	b.ciphertext = ciphertext;
	assert_int_equal(bytes_of(member(text, "ciphertext"), ciphertext, 64), b.len);
	assert_int_equal(EVP_PKEY_decrypt_init(cx), 1);
	assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(cx, RSA_PKCS1_OAEP_PADDING), 1);
	assert_int_equal(EVP_PKEY_CTX_set_rsa_oaep_md(cx, EVP_sha256()), 1);
	assert_int_equal(EVP_PKEY_CTX_set_rsa_mgf1_md(cx, EVP_sha256()), 1);
	assert_int_equal(EVP_PKEY_decrypt(cx, cek, &n, b.wrapped, b.wrapped_len), 1);
	assert_int_equal(n, JWE_CEK);
	memcpy(keys.cek, cek, JWE_CEK);
	assert_true(jwe_decrypt(&keys, &b, secret));
	assert_memory_equal(secret, SECRET, b.len);
	/* Opening is for keys that we make. */
	assert_int_equal(open_text(key, text, len, NULL, &n), ATTEST_MALFORMED);
	free(text);
	EVP_PKEY_CTX_free(cx);
	EVP_PKEY_free(key);
}

static void every_truncation_and_flipped_byte_of_a_sealed_text_is_refused(void **state)
{
	size_t len = strlen(sealed_p256), n = 77;
	EVP_PKEY *key = rfc_key();
	char *copy;

	(void)state;
	for (size_t i = 0; i < len; i++) {
		copy = malloc(i ? i : 1);
		memcpy(copy, sealed_p256, i);
		assert_int_equal(open_text(key, copy, i, NULL, &n), ATTEST_MALFORMED);
		free(copy);
	}
	copy = strdup(sealed_p256);
	for (size_t i = 0; i < len * 8; i++) {
		char *at = copy + i / 8, was = *at;

		*at = (char)(was ^ 1 << i % 8);
		assert_int_not_equal(open_text(key, copy, len, NULL, &n), ATTEST_OK);
		*at = was;
	}
	free(copy);
	assert_int_equal(n, 77); /* untouched on failure */
	EVP_PKEY_free(key);
}

/* A sealed text with any header and members behind it, all that is computed being right.
 * `epk` of the header is at %s. The caller's to free. */
static char *seal_with(EVP_PKEY *to, const char *header, const char *members)
{
	enum jwk_kind kind = jwk_kind_of(to);
	EVP_PKEY *ephemeral = EVP_EC_gen(jwk_curve(kind));
	uint8_t ciphertext[4] = { 0 };
	struct jwe_box b = { .len = 4, .ciphertext = ciphertext };
	struct jwe_keys k = { .z = { 0 } };
	char text[2 * JWK_TEXT], epk[JWK_TEXT], wrapped[64], iv[32], body[32], tag[32],
		*ret = NULL;
	struct jwk jwk;
	size_t len;

	assert_int_equal(jwk_of(ephemeral, &jwk, NULL), ATTEST_OK);
	assert_true(jwk_print(&jwk, JWK_EPK, epk, &len));
	snprintf(text, sizeof(text), "%.*s%s%s", (int)strcspn(header, "%"), header, epk,
		 strchr(header, '%') + 1);
	assert_true(strlen(text) <= JWE_HEADER);
	base64url_encode(text, strlen(text), b.aad);
	b.aad_len = strlen(b.aad);
	assert_true(jwe_agree(ephemeral, to, &k));
	assert_true(jwe_wrap(&k, b.wrapped));
	assert_true(jwe_encrypt(&k, &b, "abcd"));
	base64url_encode(b.wrapped, JWE_WRAPPED, wrapped);
	base64url_encode(b.iv, JWE_IV, iv);
	base64url_encode(b.ciphertext, 4, body);
	base64url_encode(b.tag, JWE_TAG, tag);
	assert_true(asprintf(&ret,
			     "{\"protected\":\"%s\",\"encrypted_key\":\"%s\",\"iv\":\"%s\","
			     "\"ciphertext\":\"%s\",\"tag\":\"%s\"%s}",
			     b.aad, wrapped, iv, body, tag, members) > 0);
	EVP_PKEY_free(ephemeral);
	return ret;
}

#define ALG "\"alg\":\"ECDH-ES+A256KW\""
#define ENC "\"enc\":\"A256GCM\""

static void sealed_texts_have_one_form(void **state)
{
	static const struct {
		const char *header, *members;
		enum attest_status status;
	} cases[] = {
		{ "{" ALG "," ENC ",\"epk\":%}", "", ATTEST_OK },
		{ " {\"epk\":%," ENC "," ALG "}", "", ATTEST_OK },
		{ "{" ALG "," ENC ",\"epk\":%,\"apu\":\"\"}", "", ATTEST_MALFORMED },
		{ "{" ALG "," ENC ",\"epk\":%,\"apv\":\"AA\"}", "", ATTEST_MALFORMED },
		{ "{" ALG "," ENC ",\"epk\":%,\"zip\":\"DEF\"}", "", ATTEST_MALFORMED },
		{ "{" ALG "," ENC ",\"epk\":%,\"crit\":[\"x\"]}", "", ATTEST_MALFORMED },
		{ "{" ALG "," ENC ",\"epk\":%,\"kid\":\"1\"}", "", ATTEST_MALFORMED },
		{ "{" ALG "," ALG "," ENC ",\"epk\":%}", "", ATTEST_MALFORMED },
		{ "{\"alg\":\"ECDH-ES+A128KW\"," ENC ",\"epk\":%}", "", ATTEST_REFUSED },
		{ "{\"alg\":\"ECDH-ES\"," ENC ",\"epk\":%}", "", ATTEST_REFUSED },
		{ "{\"alg\":\"dir\"," ENC ",\"epk\":%}", "", ATTEST_REFUSED },
		{ "{" ALG ",\"enc\":\"A128GCM\",\"epk\":%}", "", ATTEST_REFUSED },
		{ "{" ALG ",\"enc\":1,\"epk\":%}", "", ATTEST_MALFORMED },
		{ "{" ALG "," ENC ",\"epk\":[%]}", "", ATTEST_MALFORMED },
		{ "{" ALG "," ENC ",\"x\":%}", "", ATTEST_MALFORMED },
		{ "{" ALG "," ENC ",\"epk\":%}", ",\"aad\":\"AA\"", ATTEST_MALFORMED },
		{ "{" ALG "," ENC ",\"epk\":%}", ",\"header\":{}", ATTEST_MALFORMED },
		{ "{" ALG "," ENC ",\"epk\":%}", ",\"unprotected\":{}", ATTEST_MALFORMED },
		{ "{" ALG "," ENC ",\"epk\":%}", ",\"recipients\":[]", ATTEST_MALFORMED },
		{ "{" ALG "," ENC ",\"epk\":%}", ",\"iv\":\"AAAAAAAAAAAAAAAA\"",
		  ATTEST_MALFORMED },
	};
	EVP_PKEY *key = rfc_key(), *other = EVP_EC_gen("P-256");
	size_t n;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *text = seal_with(key, cases[i].header, cases[i].members);
		enum attest_status s = open_text(key, text, strlen(text), NULL, &n);

		if (s != cases[i].status)
			print_error("%s %s\n", cases[i].header, cases[i].members);
		assert_int_equal(s, cases[i].status);
		if (s == ATTEST_OK)
			assert_int_equal(open_text(other, text, strlen(text), NULL, &n),
					 ATTEST_REFUSED);
		free(text);
	}
	EVP_PKEY_free(key);
	EVP_PKEY_free(other);
}

/* What an attacker sends who wants to learn the private key from what is agreed. */
static void foreign_points_are_refused(void **state)
{
	static const struct {
		const char *epk;
		enum attest_status status;
	} cases[] = {
		{ "{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"" X256 "\",\"y\":\"" X256 "\"}",
		  ATTEST_REFUSED },
		{ "{\"crv\":\"P-521\",\"kty\":\"EC\",\"x\":\"" X521 "\",\"y\":\"" Y521 "\"}",
		  ATTEST_REFUSED },
		{ "{\"crv\":\"P-384\",\"kty\":\"EC\",\"x\":\"" X256 "\",\"y\":\"" Y256 "\"}",
		  ATTEST_REFUSED },
		{ "{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"\",\"y\":\"\"}",
		  ATTEST_MALFORMED },
		{ "{" EC256 XY256 ",\"d\":\"" D256 "\"}", ATTEST_REFUSED },
		{ "null", ATTEST_MALFORMED },
		{ "\"P-256\"", ATTEST_MALFORMED },
	};
	json_t *object = json_loads(sealed_p256, 0, NULL);
	char header[JWE_HEADER], encoded[BASE64URL_SIZE(JWE_HEADER)], *text;
	EVP_PKEY *key = rfc_key();
	size_t n;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(header, sizeof(header), "{" ALG "," ENC ",\"epk\":%s}", cases[i].epk);
		base64url_encode(header, strlen(header), encoded);
		json_object_set_new(object, "protected", json_string(encoded));
		text = json_dumps(object, 0);
		assert_int_equal(open_text(key, text, strlen(text), NULL, &n), cases[i].status);
		free(text);
	}
	json_decref(object);
	EVP_PKEY_free(key);
}

static void only_some_keys_and_sizes_are_sealed(void **state)
{
	EVP_PKEY *p384 = EVP_EC_gen("P-384"), *key = rfc_key();
	static const uint8_t secret[JWE_SECRET_MAX + 1];
	char *text = NULL;
	size_t n;

	(void)state;
	assert_int_equal(jwe_seal(p384, SECRET, 24, &text, &n, NULL), ATTEST_REFUSED);
	assert_int_equal(jwe_seal(key, secret, 0, &text, &n, NULL), ATTEST_REFUSED);
	assert_int_equal(jwe_seal(key, secret, sizeof(secret), &text, &n, NULL),
			 ATTEST_REFUSED);
	assert_null(text);
	EVP_PKEY_free(p384);
	EVP_PKEY_free(key);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_key_encryption_key_is_the_vector),
		cmocka_unit_test(what_another_implementation_sealed_is_opened),
		cmocka_unit_test(secrets_of_every_size_go_round),
		cmocka_unit_test(nothing_is_used_twice),
		cmocka_unit_test(rsa_keys_are_sealed_to_with_oaep_of_sha256),
		cmocka_unit_test(every_truncation_and_flipped_byte_of_a_sealed_text_is_refused),
		cmocka_unit_test(sealed_texts_have_one_form),
		cmocka_unit_test(foreign_points_are_refused),
		cmocka_unit_test(only_some_keys_and_sizes_are_sealed),
	};

	return cmocka_run_group_tests_name("jwe", tests, NULL, NULL);
}
