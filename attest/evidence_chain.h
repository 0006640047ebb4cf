/*
 * attest/evidence_chain.h - does this certificate lead to an anchor? For any evidence whose
 * signer is certified by X.509. Private to the evidence files.
 */
#pragma once

#include <openssl/x509.h>

#include "attest/evidence.h"

#define CHAIN_MAX 6u /* certificates, the anchor among them */

struct endorsements {
	STACK_OF(X509) * anchors, *others;
	STACK_OF(X509_CRL) * crls;
};

struct chain_found {
	bool development; /* some certificate of the chain carries the development marker */
	char anchor[65];  /* SHA-256 of the anchor's certificate, hexadecimal */
};

/*
 * `given` is the signer's certificate and behind it its issuers, in order, without the
 * anchor; issuers that are not there are looked for among the endorsements. Fills both
 * checks. ATTEST_SYSTEM: it could not be told.
 *
 * What is asked of a chain: it ends at an anchor; every certificate is valid at `at`, its
 * key is P-256 or P-384, its signature good and of no digest weaker than SHA-256; issuers
 * are CAs with keyCertSign and their path length is kept (RFC 5280); the first is no CA
 * and has digitalSignature. Extensions that are critical and unknown refuse it; the
 * development marker is known, and reported.
 */
__attribute__((warn_unused_result)) enum attest_status
evidence_chain(const struct endorsements *en, X509 *const *given, size_t n_given, int64_t at,
	       struct evidence_check *chain, struct evidence_check *revocation,
	       struct chain_found *ret, struct attest_error *reterr);
