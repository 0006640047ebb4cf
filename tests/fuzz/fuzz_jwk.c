/* tests/fuzz/fuzz_jwk.c - a key that is read is written as what was read, for each use; one
 * that libcrypto takes has the numbers it was made of. */
#include "attest/jcs.h"
#include "attest/json_reader.h"
#include "attest/jwk.h"

#include <jansson.h>
#include <openssl/evp.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct json_caps caps = { .bytes = 8192, .depth = 4, .values = 64 };

static void check_numbers(const struct jwk *jwk)
{
	struct jwk again = { .kind = JWK_KINDS };
	EVP_PKEY *key = NULL;

	if (jwk_key(jwk, &key, NULL) != ATTEST_OK)
		return;
	if (jwk_of(key, &again, NULL) != ATTEST_OK || again.kind != jwk->kind ||
	    again.a_len != jwk->a_len || memcmp(again.a, jwk->a, jwk->a_len) != 0 ||
	    again.b_len != jwk->b_len || memcmp(again.b, jwk->b, jwk->b_len) != 0)
		abort();
	EVP_PKEY_free(key);
}

static void check_use(const json_t *object, enum jwk_use use)
{
	char text[JWK_TEXT], *canonical = NULL;
	size_t len, canonical_len;
	struct jwk jwk;

	if (jwk_parse(object, use, &jwk, NULL) != ATTEST_OK)
		return;
	if (!jwk_print(&jwk, use, text, &len))
		abort();
	/* Nothing of a tee's key may be lost: it is hashed again from its numbers. */
	if (use != JWK_SIGNER &&
	    (jcs_print(object, &canonical, &canonical_len, NULL) != ATTEST_OK ||
	     canonical_len != len || memcmp(canonical, text, len) != 0))
		abort();
	free(canonical);
	/* The arithmetic is libcrypto's, and a modulus takes long to check. */
	if (jwk.kind != JWK_RSA)
		check_numbers(&jwk);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	json_t *object = NULL;

	if (jr_object((struct span){ (const char *)data, size }, &caps, "", &object, NULL) !=
	    ATTEST_OK)
		return 0;
	for (enum jwk_use use = JWK_TEE; use < JWK_USES; use++)
		check_use(object, use);
	json_decref(object);
	return 0;
}
