/* attest/jwe.c - what both sides of a sealed secret do: keys, wrapping, encryption. */
#include "attest/jwe_parts.h"

#include <openssl/core_names.h>
#include <openssl/kdf.h>
#include <string.h>

/* NIST SP 800-56A with SHA-256; OtherInfo is the algorithm's name, no PartyUInfo, no
 * PartyVInfo, and the 256 bits that are wanted (RFC 7518, section 4.6.2). */
bool jwe_kek(const uint8_t *z, size_t z_len, uint8_t ret[static JWE_KEK])
{
	static const char info[] = "\0\0\0\x0e" JWE_ECDH "\0\0\0\0"
				   "\0\0\0\0"
				   "\0\0\1\0";
	const OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char[]){ "SHA256" },
						 0),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SECRET, (void *)(uintptr_t)z,
						  z_len),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, (void *)(uintptr_t)info,
						  sizeof(info) - 1),
		OSSL_PARAM_construct_end(),
	};
	EVP_KDF *kdf = EVP_KDF_fetch(NULL, "SSKDF", NULL);
	EVP_KDF_CTX *cx = EVP_KDF_CTX_new(kdf);
	bool done = cx && EVP_KDF_derive(cx, ret, JWE_KEK, params) == 1;

	EVP_KDF_CTX_free(cx);
	EVP_KDF_free(kdf);
	return done;
}

bool jwe_agree(EVP_PKEY *own, EVP_PKEY *peer, struct jwe_keys *k)
{
	size_t n = sizeof(k->z);
	EVP_PKEY_CTX *cx = EVP_PKEY_CTX_new_from_pkey(NULL, own, NULL);
	bool done = cx && EVP_PKEY_derive_init(cx) == 1 &&
		    EVP_PKEY_derive_set_peer(cx, peer) == 1 &&
		    EVP_PKEY_derive(cx, k->z, &n) == 1 &&
		    n == jwk_coordinate(jwk_kind_of(own)) && jwe_kek(k->z, n, k->kek);

	EVP_PKEY_CTX_free(cx);
	return done;
}

/* RFC 3394: 32 bytes become 40, and back where their check value is right. */
static bool key_wrap(const uint8_t *kek, const uint8_t *in, int in_len, uint8_t *out,
		     int out_len, int direction)
{
	EVP_CIPHER_CTX *cx = EVP_CIPHER_CTX_new();
	EVP_CIPHER *aes = EVP_CIPHER_fetch(NULL, "id-aes256-wrap", NULL);
	int n = 0, rest = 0;
	bool done;

	if (cx)
		EVP_CIPHER_CTX_set_flags(cx, EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
	done = cx && aes && EVP_CipherInit_ex2(cx, aes, kek, NULL, direction, NULL) == 1 &&
	       EVP_CipherUpdate(cx, out, &n, in, in_len) == 1 &&
	       EVP_CipherFinal_ex(cx, out + n, &rest) == 1 && n + rest == out_len;
	EVP_CIPHER_free(aes);
	EVP_CIPHER_CTX_free(cx);
	return done;
}

bool jwe_wrap(const struct jwe_keys *k, uint8_t ret[static JWE_WRAPPED])
{
	return key_wrap(k->kek, k->cek, sizeof(k->cek), ret, JWE_WRAPPED, 1);
}

bool jwe_unwrap(struct jwe_keys *k, const uint8_t wrapped[static JWE_WRAPPED])
{
	return key_wrap(k->kek, wrapped, JWE_WRAPPED, k->cek, sizeof(k->cek), 0);
}

/* AES-256-GCM up to its end, which is where the directions differ. */
static bool gcm_begin(EVP_CIPHER_CTX *cx, const struct jwe_keys *k, const struct jwe_box *b,
		      const uint8_t *in, uint8_t *out, int direction)
{
	EVP_CIPHER *aes = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
	int n = 0, body = 0;
	bool done =
		aes && EVP_CipherInit_ex2(cx, aes, k->cek, b->iv, direction, NULL) == 1 &&
		EVP_CipherUpdate(cx, NULL, &n, (const uint8_t *)b->aad, (int)b->aad_len) == 1 &&
		EVP_CipherUpdate(cx, out, &body, in, (int)b->len) == 1 &&
		(size_t)body == b->len;

	EVP_CIPHER_free(aes);
	return done;
}

bool jwe_encrypt(const struct jwe_keys *k, struct jwe_box *b, const void *secret)
{
	EVP_CIPHER_CTX *cx = EVP_CIPHER_CTX_new();
	int n = 0;
	bool done = cx && gcm_begin(cx, k, b, secret, b->ciphertext, 1) &&
		    EVP_CipherFinal_ex(cx, b->tag, &n) == 1 && n == 0 &&
		    EVP_CIPHER_CTX_ctrl(cx, EVP_CTRL_AEAD_GET_TAG, JWE_TAG, b->tag) == 1;

	EVP_CIPHER_CTX_free(cx);
	return done;
}

bool jwe_decrypt(const struct jwe_keys *k, struct jwe_box *b, void *ret)
{
	EVP_CIPHER_CTX *cx = EVP_CIPHER_CTX_new();
	uint8_t none[16];
	int n = 0;
	bool done = cx && gcm_begin(cx, k, b, b->ciphertext, ret, 0) &&
		    EVP_CIPHER_CTX_ctrl(cx, EVP_CTRL_AEAD_SET_TAG, JWE_TAG, b->tag) == 1 &&
		    EVP_CipherFinal_ex(cx, none, &n) == 1 && n == 0;

	EVP_CIPHER_CTX_free(cx);
	return done;
}
