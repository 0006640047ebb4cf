/* attest/jws_alg.h - the algorithms of tokens: RFC 7518, section 3.4. Private to jws*.c. */
#pragma once

#include "attest/jwk.h"
#include "attest/jws.h"

#define JWS_SIGNATURE_MAX 96u /* bytes of r and s */
#define JWS_ALGORITHMS 2u

struct jws_algorithm {
	enum jws_alg id;
	const char *name, *digest;
	enum jwk_kind kind; /* of the key */
	size_t half;        /* bytes of r, and of s */
};

extern const struct jws_algorithm jws_algorithms[JWS_ALGORITHMS];
