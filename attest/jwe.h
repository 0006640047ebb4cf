/*
 * attest/jwe.h - a secret sealed to one key: JSON Web Encryption, flattened JSON (RFC 7516,
 * RFC 7518 sections 4.3, 4.6, 5.3), in the one form that the KBS protocol's client opens.
 *
 *   EC key (P-256, P-521)   ECDH-ES+A256KW, A256GCM, without apu and apv
 *   RSA key                 RSA-OAEP-256, A256GCM; sealing only
 *
 * That client writes the protected header again from what it understood and takes that text
 * as the additional data, so the header's bytes are fixed: alg, enc, epk, and in it crv, kty,
 * x, y; no spaces. The agreed secret, the keys made of it and the opened secret lie in guarded
 * memory (memscrub/guard.h) and are zeroed on every path. Thread-safe.
 */
#pragma once

#include <openssl/types.h>

#include "attest/attest.h"

#define JWE_SECRET_MAX (64u << 10) /* bytes; at least 1 */
#define JWE_TEXT_MAX (96u << 10)   /* characters of the JSON text, with a final zero */

/* `to` is a public key as jwk_key gives it, for every call with a new content key, initial
 * vector and ephemeral key. *ret has *ret_len characters and a final zero, and is the
 * caller's to free. ATTEST_REFUSED: a key of another kind, a secret of another size. */
__attribute__((warn_unused_result)) enum attest_status jwe_seal(EVP_PKEY *to,
								const void *secret, size_t len,
								char **ret, size_t *ret_len,
								struct attest_error *reterr);

/*
 * *ret is guarded memory, the caller's to guard_free. ATTEST_MALFORMED: not such a text; each
 * member stands there once and no others. ATTEST_REFUSED: another algorithm, a key that is
 * not on our curve, or not sealed to this key, or changed on the way: which of them is not
 * told.
 */
__attribute__((warn_unused_result)) enum attest_status jwe_open(EVP_PKEY *private_key,
								const char *text, size_t len,
								void **ret, size_t *ret_len,
								struct attest_error *reterr);

/* The key-encryption key of ECDH-ES+A256KW from the agreed x coordinate (RFC 7518, section
 * 4.6.2, one round). Shown for its known answer. False: libcrypto could not. */
#define JWE_KEK 32u
bool jwe_kek(const uint8_t *z, size_t z_len, uint8_t ret[static JWE_KEK]);
