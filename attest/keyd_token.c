/*
 * attest/keyd_token.c - what a session shows to others after it was attested: a signed token
 * that says so (JWS, ES256). It opens nothing here: releases go by the session.
 */
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <string.h>

#include "attest/base64.h"
#include "attest/evidence.h"
#include "attest/json_writer.h"
#include "attest/jws.h"
#include "attest/keyd_internal.h"

#define PAYLOAD 3000u

static enum attest_status no_crypto(struct attest_error *e, const char *what)
{
	return attest_fail(e, ATTEST_SYSTEM, "token key", "", "%s", what);
}

enum attest_status keyd_token_key_new(uint8_t **ret, size_t *ret_len, struct attest_error *e)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	int len = key ? i2d_PrivateKey(key, NULL) : 0;
	uint8_t *der = len > 0 ? guard_alloc((size_t)len) : NULL;
	uint8_t *at = der;
	bool done = der && i2d_PrivateKey(key, &at) == len;

	EVP_PKEY_free(key);
	if (!done) {
		guard_free(der);
		return no_crypto(e, "it could not be made");
	}
	*ret = der;
	*ret_len = (size_t)len;
	return ATTEST_OK;
}

/* ---- the key in memory ----------------------------------------------------------- */

/* As EVP_PKEY_fromdata takes them: libcrypto needs a tenth of the time for that which it needs
 * to decode DER. */
struct keyd_token_key {
	uint8_t scalar[32]; /* in this machine's order of bytes */
	uint8_t point[65];  /* uncompressed */
};

static bool take(EVP_PKEY *key, struct keyd_token_key *ret)
{
	char group[16] = "";
	BIGNUM *scalar = NULL;
	size_t n = 0;
	bool taken = EVP_PKEY_get_group_name(key, group, sizeof(group), NULL) == 1 &&
		     strcmp(group, SN_X9_62_prime256v1) == 0 &&
		     EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_PRIV_KEY, &scalar) == 1 &&
		     BN_bn2nativepad(scalar, ret->scalar, sizeof(ret->scalar)) > 0 &&
		     EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_PUB_KEY, ret->point,
						     sizeof(ret->point), &n) == 1 &&
		     n == sizeof(ret->point) && ret->point[0] == POINT_CONVERSION_UNCOMPRESSED;

	BN_clear_free(scalar);
	return taken;
}

static bool show(EVP_PKEY *key, char pem[static KEYD_PEM], size_t *ret_len)
{
	BIO *bio = BIO_new(BIO_s_mem());
	int len = bio && PEM_write_bio_PUBKEY(bio, key) == 1 ? BIO_read(bio, pem, (int)KEYD_PEM)
							     : 0;

	BIO_free(bio);
	*ret_len = len > 0 ? (size_t)len : 0;
	return len > 0 && len < (int)KEYD_PEM;
}

enum attest_status keyd_token_key_open(const uint8_t *der, size_t len,
				       struct keyd_token_key **ret, char pem[static KEYD_PEM],
				       size_t *ret_len, struct attest_error *e)
{
	AUTO(guard_freep) struct keyd_token_key *k = guard_alloc(sizeof(*k));
	EVP_PKEY *key;
	bool good;

	if (!k)
		return keyd_no_memory("token key", e);
	key = d2i_AutoPrivateKey(NULL, &der, (long)len);
	good = key && take(key, k) && show(key, pem, ret_len);
	EVP_PKEY_free(key);
	if (!good)
		return attest_fail(e, ATTEST_REFUSED, "token.key", "restore it from a copy",
				   "this is no key of ours");
	*ret = k;
	k = NULL;
	return ATTEST_OK;
}

/* Made anew for each use: what libcrypto keeps is not locked. */
static EVP_PKEY *load(struct keyd_token_key *k)
{
	char group[] = SN_X9_62_prime256v1;
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group, 0),
		OSSL_PARAM_construct_BN(OSSL_PKEY_PARAM_PRIV_KEY, k->scalar, sizeof(k->scalar)),
		OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, k->point,
						  sizeof(k->point)),
		OSSL_PARAM_construct_end(),
	};
	EVP_PKEY_CTX *cx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
	EVP_PKEY *key = NULL;

	if (cx && EVP_PKEY_fromdata_init(cx) == 1)
		(void)EVP_PKEY_fromdata(cx, &key, EVP_PKEY_KEYPAIR, params);
	EVP_PKEY_CTX_free(cx);
	return key;
}

/* ---- the token ------------------------------------------------------------------- */

/* The client of the KBS protocol wants numbers in exp; other key brokers find the session's
 * key where the original has it. */
static void put_evidence(struct json_writer *w, const struct keyd_stored *st,
			 const char *tee_key, size_t len)
{
	jw_key(w, "submods");
	jw_object(w);
	jw_key(w, "cpu0");
	jw_object(w);
	jw_key(w, "ear.status");
	jw_string(w, evidence_tier_str((enum evidence_tier)st->verdict.tier));
	jw_key(w, "ear.veraison.annotated-evidence");
	jw_object(w);
	jw_key(w, "runtime_data_claims");
	jw_object(w);
	jw_key(w, "nonce");
	jw_base64(w, st->nonce, sizeof(st->nonce));
	jw_key(w, "tee-pubkey");
	jw_raw(w, tee_key, len);
	jw_object_end(w);
	jw_object_end(w);
	jw_object_end(w);
	jw_object_end(w);
}

static bool payload(const struct keyd_store *s, char ret[static PAYLOAD], size_t *ret_len)
{
	const struct keyd_stored *st = &s->stored;
	char key[JWK_TEXT];
	struct json_writer w;
	struct jwk jwk;
	size_t len;

	if (!keyd_key_get(&st->key, &jwk) || !jwk_print(&jwk, JWK_TEE, key, &len))
		return false;
	jw_begin(&w, ret, PAYLOAD);
	jw_object(&w);
	jw_key(&w, "exp");
	jw_integer(&w, s->session.expires);
	jw_key(&w, "iat");
	jw_integer(&w, keyd_now(s));
	jw_key(&w, "iss");
	jw_string(&w, "cordon-keyd");
	if (st->verdict.subject[0]) {
		jw_key(&w, "sub");
		jw_string(&w, st->verdict.subject);
	}
	put_evidence(&w, st, key, len);
	if (st->verdict.tenant[0]) {
		jw_key(&w, "tenant");
		jw_string(&w, st->verdict.tenant);
	}
	jw_object_end(&w);
	return jw_end(&w, ret_len);
}

enum attest_status keyd_token_make(const struct keyd_store *s, char **ret,
				   struct attest_error *e)
{
	static const struct jws_head head = { .typ = "JWT" };
	EVP_PKEY *key = load(s->token_key);
	char text[PAYLOAD];
	size_t len;
	enum attest_status status;

	if (!key || !payload(s, text, &len))
		status = no_crypto(e, "a token could not be made");
	else
		status = jws_sign(key, &head, text, len, ret, e);
	EVP_PKEY_free(key);
	return status;
}
