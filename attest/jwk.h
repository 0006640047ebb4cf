/*
 * attest/jwk.h - public keys as JSON Web Keys (RFC 7517, RFC 7518 section 6), for what we use
 * them for and nothing else. Three steps on three types, so that each can be in a process of
 * its own: JSON to numbers (jwk_parse), numbers to a key that was checked (jwk_key), and
 * numbers to their one JSON text (jwk_print). No private key is read or written here.
 *
 * Only jwk_parse needs jansson; it is in a file of its own. What is refused here and in jws.h
 * and jwe.h leaves libcrypto's error queue as it was.
 */
#pragma once

#include <openssl/types.h>

#include "attest/attest.h"

enum jwk_kind {
	JWK_P256 = 1,
	JWK_P384,
	JWK_P521,
	JWK_RSA, /* 2048 to 4096 bits */
	JWK_KINDS,
};

/* What a key is for; each use knows one "alg" for each kind that it may have. */
enum jwk_use {
	JWK_TEE, /* secrets are sealed to it. P-256, P-521: ECDH-ES+A256KW; RSA: RSA-OAEP-256 */
	JWK_SIGNER, /* it signs tokens. P-256: ES256; P-384: ES384 */
	JWK_EPK,    /* the ephemeral key of a sealed secret: P-256, P-521, without "alg" */
	JWK_USES,
};

#define JWK_A 512u
#define JWK_B 66u

/* Big-endian. x and y are of their curve's full size, n and e have no zero in front. */
struct jwk {
	enum jwk_kind kind;
	size_t a_len, b_len;
	uint8_t a[JWK_A]; /* x, or n */
	uint8_t b[JWK_B]; /* y, or e: 3 to 8 bytes */
};

struct json_t; /* jansson's */

/*
 * The numbers of a key in JSON; whether they are a good key is not asked yet. One spelling is
 * read: base64url without padding, exact lengths, texts only. JWK_TEE and JWK_EPK have just
 * the members that jwk_print writes (a JWK_TEE that had others could not be hashed again from
 * its numbers); a JWK_SIGNER may leave out "alg", and have others, which are ignored.
 *
 * ATTEST_REFUSED: a private key (it has "d", a place that shows it to everyone), or a kind,
 * curve or algorithm that this use has not, RSA1_5 among them. ATTEST_MALFORMED: no such key.
 */
__attribute__((warn_unused_result)) enum attest_status jwk_parse(const struct json_t *object,
								 enum jwk_use use,
								 struct jwk *ret,
								 struct attest_error *reterr);

/* A public key for libcrypto; the caller's to EVP_PKEY_free. ATTEST_REFUSED: the point is not
 * on its curve; a modulus or exponent that no sound key has (SP 800-56B). */
__attribute__((warn_unused_result)) enum attest_status
jwk_key(const struct jwk *jwk, EVP_PKEY **ret, struct attest_error *reterr);

/* The public half of a key. ATTEST_REFUSED: of another kind than those above. */
__attribute__((warn_unused_result)) enum attest_status
jwk_of(const EVP_PKEY *key, struct jwk *ret, struct attest_error *reterr);
/* JWK_KINDS: none of them. */
enum jwk_kind jwk_kind_of(const EVP_PKEY *key);

/* Canonical JSON (RFC 8785) with a final zero, for json_writer's jw_raw among others. False:
 * this use has no such kind, or the lengths are not the kind's. */
#define JWK_TEXT 800u
bool jwk_print(const struct jwk *jwk, enum jwk_use use, char ret[static JWK_TEXT],
	       size_t *ret_len);

/* "P-256"; NULL for RSA. */
const char *jwk_curve(enum jwk_kind kind);
/* Bytes of a coordinate, and of the secret that is agreed on the curve; 0 for RSA. */
size_t jwk_coordinate(enum jwk_kind kind);
/* "ES256"; "" for JWK_EPK, which goes without; NULL: the use has no such kind. */
const char *jwk_alg(enum jwk_kind kind, enum jwk_use use);
/* Whether the lengths are the kind's. */
bool jwk_formed(const struct jwk *jwk);
