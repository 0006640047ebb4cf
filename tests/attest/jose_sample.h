/*
 * tests/attest/jose_sample.h - keys, a token and sealed secrets for tests and fuzz targets.
 * The key of P-256 and the token are those of RFC 7515, appendix A.3. The sealed texts were
 * made from the RFCs' words with another implementation's AES and curves; in the second and
 * third the agreed coordinate begins with a zero byte.
 */
#pragma once

#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <stdlib.h>
#include <string.h>

#include "attest/base64.h"
#include "attest/jwk.h"

#define D256 "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"
#define X256 "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"
#define Y256 "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"
#define D521                                                                                   \
	"AADggjIl9upOvKnT3k_gKt6Q5H99FL_huwOgbYBUzSUKe9-TxOKp7B3loCFv"                         \
	"MIEQLngzJQnKxHOs4QEPt7xStcW2"
#define X521                                                                                   \
	"AaAsaDhK7pn2mtQBT2dAbrhMbvx3qpppTiZzwOadLFXvIuUrO5Ve5i49zzYG"                         \
	"Bb-6w8CzIvMrs5P30YG7jsRnpy7_"
#define Y521                                                                                   \
	"ALxEatSuy7Ezsoc2gw_OETPw1a-fa5BTzSZG1qQZs5l0pIoKC2GW1xhi7OPk"                         \
	"y4iLfehtW67Zm70_4UK-WqUPJuWN"

#define XY256 "\"x\":\"" X256 "\",\"y\":\"" Y256 "\""
#define EC256 "\"kty\":\"EC\",\"crv\":\"P-256\","
#define ECDH "\"alg\":\"ECDH-ES+A256KW\""

#define SECRET "the secret of the tenant"

static const char rfc_token[] __attribute__((unused)) =
	"eyJhbGciOiJFUzI1NiJ9."
	"eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFt"
	"cGxlLmNvbS9pc19yb290Ijp0cnVlfQ."
	"DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-"
	"Kg6NU1Q";

/* The header and its key are what differs; so does the tag. */
#define SEALED(protected, key, tag)                                                            \
	"{\"protected\":\"" protected "\",\"encrypted_key\":\"" key "\"," BODY                 \
				      ",\"tag\":\"" tag "\"}"
#define BODY "\"iv\":\"oKGio6Slpqeoqaqr\",\"ciphertext\":\"o-djH5GO_18cG2GR75xEnoo3gaKCDutZ\""

static const char sealed_p256[] __attribute__((unused)) = SEALED(
	"eyJhbGciOiJFQ0RILUVTK0EyNTZLVyIsImVuYyI6IkEyNTZHQ00iLCJlcGsiOnsiY3J2Ijoi"
	"UC0yNTYiLCJrdHkiOiJFQyIsIngiOiJtbmdjcHRCVnBfTU5ESl80ZVRiSE9mYUJidlgxNXl0"
	"TGxHUUVzS0dvT3lvIiwieSI6IndaLUVLVVhxS19aYW9XU2JLd0xfZVlWTWpWN1B6VUE0WXVp"
	"cGZxWnNjY0UifX0",
	"brzY6H2aiVDwOseRTzVaEQZr-Ed4YkHW1E5QRgMbymtLpOxDCUA9kw", "mEMNdfFYZItg_tiy2ATSnA");
static const char sealed_p521[] __attribute__((unused)) = SEALED(
	"eyJhbGciOiJFQ0RILUVTK0EyNTZLVyIsImVuYyI6IkEyNTZHQ00iLCJlcGsiOnsiY3J2Ijoi"
	"UC01MjEiLCJrdHkiOiJFQyIsIngiOiJBYUVCZ05KSXh1TmlWM2w4dG9XcFE0MXpLc1B5SUQ2"
	"WERxbXBrUk9VME9PSFdVWnJ0emJHVGlTcTdMcWFuSS1vMlBrMUc3N1Zlck9HNGxsNTViWlJh"
	"LWNtIiwieSI6IkFHci1BVXJVMGk0UkJ2aVppTjQydElDa1VhT0l2RW1SeTNyYmdBUnZqM19K"
	"VGtHLXZ1SnhsaFI4TzNnUEp1VE80TXBMTVp3dmU4QUFITUxISEF0QkFVZWIifX0",
	"zs80Syfk7-_39TimLbvZXSCycFbacOKe_9QnTOCSoExJcvtae5S08A", "8LKpaR3kdPwMU9jS4efIjQ");
static const char sealed_leading_zero[] __attribute__((unused)) = SEALED(
	"eyJhbGciOiJFQ0RILUVTK0EyNTZLVyIsImVuYyI6IkEyNTZHQ00iLCJlcGsiOnsiY3J2Ijoi"
	"UC0yNTYiLCJrdHkiOiJFQyIsIngiOiJraXVWNjBVd3FUMDNxYzU4TW5wUFQ0Yl9uQ0VsdHVz"
	"ZHVTX09TN1VLUS1FIiwieSI6InlrNjFFci1VS1E4NlZKLWdUWnUzSk9mZFYxR0hXT2FUQWVh"
	"OWhScTZ6THMifX0",
	"rLiZAgQUinccKp517clv3WsB34HooErRpaMlJ-zQasUPvNI2x2Oe5g", "BSo5zsCMNTc1kJBwmz72JQ");

static inline void must(bool done)
{
	if (!done)
		abort();
}

static inline size_t bytes_of(const char *text, uint8_t *ret, size_t size)
{
	size_t n = 0;

	must(base64url_decode(text, strlen(text), ret, size, &n));
	return n;
}

/* A key pair from its numbers in base64url. */
static inline EVP_PKEY *pair(enum jwk_kind kind, const char *d, const char *x, const char *y)
{
	EVP_PKEY_CTX *cx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
	OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
	uint8_t point[1 + 2 * JWK_B] = { 4 }, secret[JWK_B];
	size_t n = bytes_of(x, point + 1, JWK_B);
	BIGNUM *scalar = BN_bin2bn(secret, (int)bytes_of(d, secret, JWK_B), NULL);
	OSSL_PARAM *params;
	EVP_PKEY *key = NULL;

	n += bytes_of(y, point + 1 + n, JWK_B);
	must(OSSL_PARAM_BLD_push_utf8_string(build, "group", jwk_curve(kind), 0) == 1);
	must(OSSL_PARAM_BLD_push_octet_string(build, "pub", point, 1 + n) == 1);
	must(OSSL_PARAM_BLD_push_BN(build, "priv", scalar) == 1);
	params = OSSL_PARAM_BLD_to_param(build);
	must(EVP_PKEY_fromdata_init(cx) == 1);
	must(EVP_PKEY_fromdata(cx, &key, EVP_PKEY_KEYPAIR, params) == 1);
	OSSL_PARAM_free(params);
	OSSL_PARAM_BLD_free(build);
	EVP_PKEY_CTX_free(cx);
	BN_free(scalar);
	return key;
}

static inline EVP_PKEY *rfc_key(void)
{
	return pair(JWK_P256, D256, X256, Y256);
}
