/* attest/certificate.c - see attest/certificate.h. */
#include "attest/certificate.h"

#include <openssl/bn.h>
#include <openssl/rand.h>
#include <stdint.h>

#define SERIAL 16u

bool certificate_set_serial(X509 *c)
{
	uint8_t bytes[SERIAL];
	BIGNUM *number;
	bool ok;

	if (RAND_bytes(bytes, sizeof(bytes)) != 1)
		return false;
	bytes[0] = (uint8_t)((bytes[0] & 0x7f) | 0x40); /* positive, and always as long */
	number = BN_bin2bn(bytes, sizeof(bytes), NULL);
	ok = number && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(c));
	BN_free(number);
	return ok;
}

bool certificate_set_name(X509 *c, const char *name)
{
	return X509_NAME_add_entry_by_txt(X509_get_subject_name(c), "CN", MBSTRING_UTF8,
					  (const unsigned char *)name, -1, -1, 0) == 1;
}
