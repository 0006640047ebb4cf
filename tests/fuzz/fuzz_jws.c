/* tests/fuzz/fuzz_jws.c - a token may say what it likes of itself; and any payload that we
 * sign ourselves verifies, unless it is no JSON object. */
#include "attest/jws.h"
#include "tests/attest/jose_sample.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct jws_rules any = { .algs = JWS_ES256 | JWS_ES384 };

static enum attest_status read_token(const char *text, size_t len, EVP_PKEY *key)
{
	const struct jws_certificate *x5c;
	struct jws_claims *claims = NULL;
	struct jws *token = NULL;
	enum attest_status s = jws_parse(text, len, &token, NULL);

	if (s != ATTEST_OK)
		return s;
	for (size_t i = jws_x5c(token, &x5c); i > 0; i--)
		must(x5c[i - 1].len > 0 && x5c[i - 1].len <= JWS_CERTIFICATE_MAX + 2);
	must(!jws_typ(token) || strlen(jws_typ(token)) < len);
	must(!jws_kid(token) || strlen(jws_kid(token)) < len);
	s = jws_verify(token, key, &any, &claims, NULL);
	must((s == ATTEST_OK) == (claims && jws_claims(claims)));
	jws_claims_free(claims);
	jws_free(token);
	return s;
}

static void check_signing(const uint8_t *data, size_t size, EVP_PKEY *key)
{
	struct jws_head head = { .typ = "JWT" };
	enum attest_status s;
	char *token = NULL;

	must(jws_sign(key, &head, (const char *)data, size, &token, NULL) == ATTEST_OK);
	s = read_token(token, strlen(token), key);
	must(s == ATTEST_OK || s == ATTEST_MALFORMED);
	free(token);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static EVP_PKEY *key;

	if (!key)
		key = rfc_key();
	(void)read_token((const char *)data, size, key);
	if (size > 0 && size < JWS_MAX / 2 && data[0] == '{')
		check_signing(data, size, key);
	return 0;
}
