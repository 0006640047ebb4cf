/*
 * attest/jwe_parts.h - what sealing and opening share. Private to jwe*.c. Where a function
 * says false, libcrypto could not, or would not: the two look alike.
 */
#pragma once

#include <openssl/evp.h>

#include "attest/base64.h"
#include "attest/jwe.h"
#include "attest/jwk.h"

#define JWE_ECDH "ECDH-ES+A256KW"
#define JWE_RSA "RSA-OAEP-256"
#define JWE_CEK 32u
#define JWE_WRAPPED 40u
#define JWE_IV 12u
#define JWE_TAG 16u
#define JWE_HEADER 512u /* characters of the protected header, decoded */

/* Secret all of it: in guarded memory. */
struct jwe_keys {
	uint8_t z[JWK_B]; /* the agreed x coordinate */
	uint8_t kek[JWE_KEK];
	uint8_t cek[JWE_CEK];
};

/* Public all of it. */
struct jwe_box {
	char aad[BASE64URL_SIZE(JWE_HEADER)]; /* the protected header, encoded */
	size_t aad_len;
	uint8_t iv[JWE_IV], tag[JWE_TAG];
	uint8_t wrapped[JWK_A]; /* encrypted_key */
	size_t wrapped_len;
	uint8_t *ciphertext; /* `len` bytes, as the secret has */
	size_t len;
};

/* z and kek of two keys on one curve. */
bool jwe_agree(EVP_PKEY *own, EVP_PKEY *peer, struct jwe_keys *k);
bool jwe_wrap(const struct jwe_keys *k, uint8_t ret[static JWE_WRAPPED]);
bool jwe_unwrap(struct jwe_keys *k, const uint8_t wrapped[static JWE_WRAPPED]);
/* Fills ciphertext and tag. */
bool jwe_encrypt(const struct jwe_keys *k, struct jwe_box *b, const void *secret);
/* `ret` has room for b->len; on false it holds what must not be used. */
bool jwe_decrypt(const struct jwe_keys *k, struct jwe_box *b, void *ret);
