/* tests/fuzz/fuzz_jwe.c - only what was sealed to our key opens: the secrets in the corpus
 * are all the same. */
#include "attest/jwe.h"
#include "memscrub/guard.h"
#include "tests/attest/jose_sample.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_opening(EVP_PKEY *key, const uint8_t *data, size_t size)
{
	void *secret = NULL;
	size_t len = 0;

	if (jwe_open(key, (const char *)data, size, &secret, &len, NULL) != ATTEST_OK) {
		must(!secret && len == 0);
		return;
	}
	must(len == strlen(SECRET) && memcmp(secret, SECRET, len) == 0);
	guard_free(secret);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static EVP_PKEY *p256, *p521;

	if (!p256) {
		p256 = rfc_key();
		p521 = pair(JWK_P521, D521, X521, Y521);
	}
	check_opening(p256, data, size);
	check_opening(p521, data, size);
	return 0;
}
