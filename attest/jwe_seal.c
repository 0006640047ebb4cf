/* attest/jwe_seal.c - a secret for one key, in the bytes that its client expects. */
#include "attest/jwe_parts.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <stdlib.h>
#include <string.h>

#include "attest/json_writer.h"
#include "memscrub/guard.h"

static enum attest_status no_crypto(struct attest_error *e)
{
	return attest_fail(e, ATTEST_SYSTEM, "sealing", NULL, "libcrypto could not");
}

/* ---- header ------------------------------------------------------------------------ */

/* With an ephemeral key (EC), or without (RSA). The order of members is the canonical one. */
static bool header_print(const char *alg, const EVP_PKEY *ephemeral, struct jwe_box *b)
{
	char header[JWE_HEADER], epk[JWK_TEXT];
	struct json_writer w;
	struct jwk jwk;
	size_t n;

	jw_begin(&w, header, sizeof(header));
	jw_object(&w);
	jw_key(&w, "alg");
	jw_string(&w, alg);
	jw_key(&w, "enc");
	jw_string(&w, "A256GCM");
	if (ephemeral) {
		if (jwk_of(ephemeral, &jwk, NULL) != ATTEST_OK ||
		    !jwk_print(&jwk, JWK_EPK, epk, &n))
			return false;
		jw_key(&w, "epk");
		jw_raw(&w, epk, n);
	}
	jw_object_end(&w);
	if (!jw_end(&w, &n))
		return false;
	base64url_encode(header, n, b->aad);
	b->aad_len = strlen(b->aad);
	return true;
}

/* ---- the content key, for each kind of recipient ----------------------------------- */

static bool wrap_ec(EVP_PKEY *to, enum jwk_kind kind, struct jwe_keys *k, struct jwe_box *b)
{
	EVP_PKEY *ephemeral = EVP_EC_gen(jwk_curve(kind));
	bool done = ephemeral && header_print(JWE_ECDH, ephemeral, b) &&
		    jwe_agree(ephemeral, to, k) && jwe_wrap(k, b->wrapped);

	EVP_PKEY_free(ephemeral); /* zeroes its private half */
	b->wrapped_len = JWE_WRAPPED;
	return done;
}

/* RFC 7518, section 4.3: SHA-256 twice, no label. */
static bool wrap_rsa(EVP_PKEY *to, const struct jwe_keys *k, struct jwe_box *b)
{
	const OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_ASYM_CIPHER_PARAM_PAD_MODE,
						 (char[]){ OSSL_PKEY_RSA_PAD_MODE_OAEP }, 0),
		OSSL_PARAM_construct_utf8_string(OSSL_ASYM_CIPHER_PARAM_OAEP_DIGEST,
						 (char[]){ "SHA256" }, 0),
		OSSL_PARAM_construct_utf8_string(OSSL_ASYM_CIPHER_PARAM_MGF1_DIGEST,
						 (char[]){ "SHA256" }, 0),
		OSSL_PARAM_construct_end(),
	};
	EVP_PKEY_CTX *cx = EVP_PKEY_CTX_new_from_pkey(NULL, to, NULL);
	bool done;

	b->wrapped_len = sizeof(b->wrapped);
	done = cx && header_print(JWE_RSA, NULL, b) &&
	       EVP_PKEY_encrypt_init_ex(cx, params) == 1 &&
	       EVP_PKEY_encrypt(cx, b->wrapped, &b->wrapped_len, k->cek, sizeof(k->cek)) == 1;
	EVP_PKEY_CTX_free(cx);
	return done;
}

static bool seal(EVP_PKEY *to, struct jwe_keys *k, struct jwe_box *b, const void *secret)
{
	enum jwk_kind kind = jwk_kind_of(to);

	return RAND_priv_bytes(k->cek, sizeof(k->cek)) == 1 &&
	       RAND_bytes(b->iv, sizeof(b->iv)) == 1 &&
	       (kind == JWK_RSA ? wrap_rsa(to, k, b) : wrap_ec(to, kind, k, b)) &&
	       jwe_encrypt(k, b, secret);
}

/* ---- the text ---------------------------------------------------------------------- */

static void put_bytes(struct json_writer *w, const char *name, const uint8_t *bytes, size_t n,
		      char *scratch)
{
	base64url_encode(bytes, n, scratch);
	jw_key(w, name);
	jw_string(w, scratch);
}

static bool box_print(const struct jwe_box *b, char *scratch, char *ret, size_t size,
		      size_t *ret_len)
{
	struct json_writer w;

	jw_begin(&w, ret, size);
	jw_object(&w);
	put_bytes(&w, "ciphertext", b->ciphertext, b->len, scratch);
	put_bytes(&w, "encrypted_key", b->wrapped, b->wrapped_len, scratch);
	put_bytes(&w, "iv", b->iv, sizeof(b->iv), scratch);
	jw_key(&w, "protected");
	jw_string(&w, b->aad);
	put_bytes(&w, "tag", b->tag, sizeof(b->tag), scratch);
	jw_object_end(&w);
	return jw_end(&w, ret_len);
}

static enum attest_status box_text(const struct jwe_box *b, char **ret, size_t *ret_len,
				   struct attest_error *e)
{
	size_t room = BASE64URL_SIZE(b->len) + BASE64URL_SIZE(sizeof(b->wrapped));
	size_t size = room + sizeof(b->aad) + 256;
	char *scratch = malloc(room), *text = malloc(size);
	bool done = scratch && text && box_print(b, scratch, text, size, ret_len);

	free(scratch);
	if (!done) {
		free(text);
		return attest_fail(e, ATTEST_SYSTEM, "sealing", NULL, "no memory");
	}
	*ret = text;
	return ATTEST_OK;
}

/* ---- the whole --------------------------------------------------------------------- */

enum attest_status jwe_seal(EVP_PKEY *to, const void *secret, size_t len, char **ret,
			    size_t *ret_len, struct attest_error *reterr)
{
	struct jwe_box b = { .len = len };
	struct jwe_keys *k;
	enum attest_status s;

	if (!jwk_alg(jwk_kind_of(to), JWK_TEE))
		return attest_fail(reterr, ATTEST_REFUSED, "recipient's key",
				   "use EC with P-256", "nothing is sealed to such a key");
	if (len == 0 || len > JWE_SECRET_MAX)
		return attest_fail(reterr, ATTEST_REFUSED, "secret", NULL,
				   "is empty, or longer than %u bytes", JWE_SECRET_MAX);
	b.ciphertext = malloc(len);
	k = guard_alloc(sizeof(*k));
	if (!b.ciphertext || !k)
		s = attest_fail(reterr, ATTEST_SYSTEM, "sealing",
				"raise the limit of locked memory (ulimit -l)",
				"no memory: %m");
	else if (!seal(to, k, &b, secret))
		s = no_crypto(reterr);
	else
		s = box_text(&b, ret, ret_len, reterr);
	guard_free(k);
	free(b.ciphertext);
	return s;
}
