/* attest/descriptor_digest.c - what evidence says of a descriptor. */
#include <openssl/evp.h>

#include "attest/descriptor.h"

enum attest_status descriptor_digest(enum descriptor_hash h, const char *text, size_t len,
				     uint8_t ret[static DESCRIPTOR_DIGEST_MAX],
				     struct attest_error *reterr)
{
	const char *name = h == DESCRIPTOR_SHA384 ? "SHA384" : "SHA256";
	size_t n = 0;

	if (descriptor_hash_size(h) == 0 ||
	    EVP_Q_digest(NULL, name, NULL, text, len, ret, &n) != 1 ||
	    n != descriptor_hash_size(h))
		return attest_fail(reterr, ATTEST_SYSTEM, "descriptor", "",
				   "libcrypto could not make its digest");
	return ATTEST_OK;
}
