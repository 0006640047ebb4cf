/* attest/jwe_open.c - a secret that was sealed to our key. */
#include "attest/jwe_parts.h"

#include <jansson.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>

#include "attest/json_reader.h"
#include "memscrub/guard.h"

static const struct json_caps caps = { .bytes = JWE_TEXT_MAX, .depth = 4, .values = 64 };

static enum attest_status malformed(struct attest_error *e, const char *where)
{
	return attest_fail(e, ATTEST_MALFORMED, where, NULL,
			   "is missing, or not of its form, in what was sealed");
}

/* One answer for all that can be wrong with a key or a byte. */
static enum attest_status not_ours(struct attest_error *e)
{
	return attest_fail(e, ATTEST_REFUSED, "sealed secret", NULL,
			   "is not sealed to this key, or was changed on the way");
}

/* ---- the text ---------------------------------------------------------------------- */

static bool take_bytes(const json_t *object, const char *name, uint8_t *ret, size_t wanted)
{
	const char *text = jr_text(object, name);
	size_t n = 0;

	return text && base64url_decode(text, strlen(text), ret, wanted, &n) && n == wanted;
}

static bool take_ciphertext(const json_t *object, struct jwe_box *b)
{
	const char *text = jr_text(object, "ciphertext");
	size_t len = text ? strlen(text) : 0;

	if (len == 0 || len >= BASE64URL_SIZE(JWE_SECRET_MAX))
		return false;
	b->ciphertext = malloc(len);
	return b->ciphertext && base64url_decode(text, len, b->ciphertext, len, &b->len);
}

static enum attest_status take_box(const json_t *object, struct jwe_box *b,
				   struct attest_error *e)
{
	static const char *const members[] = { "ciphertext", "encrypted_key", "iv",
					       "protected",  "tag",           NULL };
	const char *protected = jr_text(object, "protected");

	if (!jr_only(object, members))
		return attest_fail(e, ATTEST_MALFORMED, "sealed secret", NULL,
				   "has members that the one form taken here has not");
	if (!protected || strlen(protected) >= sizeof(b->aad))
		return malformed(e, "protected");
	b->aad_len = strlen(protected);
	memcpy(b->aad, protected, b->aad_len + 1);
	b->wrapped_len = JWE_WRAPPED;
	if (!take_bytes(object, "encrypted_key", b->wrapped, JWE_WRAPPED))
		return malformed(e, "encrypted_key");
	if (!take_bytes(object, "iv", b->iv, JWE_IV))
		return malformed(e, "iv");
	if (!take_bytes(object, "tag", b->tag, JWE_TAG))
		return malformed(e, "tag");
	return take_ciphertext(object, b) ? ATTEST_OK : malformed(e, "ciphertext");
}

/* ---- the protected header ---------------------------------------------------------- */

static enum attest_status take_epk(const json_t *header, struct jwk *ret,
				   struct attest_error *e)
{
	/* Nothing else: apu, apv, zip and crit would all change what is computed. */
	static const char *const members[] = { "alg", "enc", "epk", NULL };
	const char *alg = jr_text(header, "alg"), *enc = jr_text(header, "enc");

	if (!alg || !enc || !jr_only(header, members))
		return malformed(e, "protected header");
	if (strcmp(alg, JWE_ECDH) != 0 || strcmp(enc, "A256GCM") != 0)
		return attest_fail(e, ATTEST_REFUSED, "protected header", NULL,
				   "names other algorithms than " JWE_ECDH " and A256GCM");
	return jwk_parse(json_object_get(header, "epk"), JWK_EPK, ret, e);
}

static enum attest_status read_header(const struct jwe_box *b, struct jwk *ret_epk,
				      struct attest_error *e)
{
	char text[JWE_HEADER];
	json_t *header = NULL;
	enum attest_status s;
	size_t n = 0;

	if (!base64url_decode(b->aad, b->aad_len, text, sizeof(text), &n))
		return malformed(e, "protected");
	s = jr_object((struct span){ text, n }, &caps, "protected header", &header, e);
	if (s == ATTEST_OK)
		s = take_epk(header, ret_epk, e);
	json_decref(header);
	return s;
}

/* ---- opening ----------------------------------------------------------------------- */

/* Into guarded memory from the first byte. */
static enum attest_status decrypt(struct jwe_keys *k, struct jwe_box *b, void **ret,
				  size_t *ret_len, struct attest_error *e)
{
	void *secret = guard_alloc(b->len);

	if (!secret)
		return attest_fail(e, ATTEST_SYSTEM, "sealed secret",
				   "raise the limit of locked memory (ulimit -l)",
				   "no locked memory: %m");
	if (!jwe_decrypt(k, b, secret)) {
		guard_free(secret);
		return not_ours(e);
	}
	*ret = secret;
	*ret_len = b->len;
	return ATTEST_OK;
}

static enum attest_status open_box(EVP_PKEY *own, struct jwe_box *b, void **ret,
				   size_t *ret_len, struct attest_error *e)
{
	struct jwk epk = { .kind = JWK_KINDS };
	struct jwe_keys *k = NULL;
	EVP_PKEY *peer = NULL;
	enum attest_status s = read_header(b, &epk, e);

	if (s != ATTEST_OK)
		return s;
	/* A point of another curve would make the agreed secret tell of our key. */
	if (epk.kind != jwk_kind_of(own))
		return not_ours(e);
	s = jwk_key(&epk, &peer, e);
	if (s != ATTEST_OK)
		return s;
	k = guard_alloc(sizeof(*k));
	if (!k)
		s = attest_fail(e, ATTEST_SYSTEM, "sealed secret",
				"raise the limit of locked memory (ulimit -l)",
				"no locked memory: %m");
	else if (!jwe_agree(own, peer, k) || !jwe_unwrap(k, b->wrapped))
		s = not_ours(e);
	else
		s = decrypt(k, b, ret, ret_len, e);
	guard_free(k);
	EVP_PKEY_free(peer);
	return s;
}

enum attest_status jwe_open(EVP_PKEY *private_key, const char *text, size_t len, void **ret,
			    size_t *ret_len, struct attest_error *reterr)
{
	struct jwe_box b = { .len = 0 };
	json_t *object = NULL;
	enum attest_status s;

	s = jr_object((struct span){ text, len }, &caps, "sealed secret", &object, reterr);
	if (s != ATTEST_OK)
		return s;
	ERR_set_mark(); /* another's bad bytes are no error of this thread's */
	s = take_box(object, &b, reterr);
	if (s == ATTEST_OK)
		s = open_box(private_key, &b, ret, ret_len, reterr);
	ERR_pop_to_mark();
	json_decref(object);
	free(b.ciphertext);
	return s;
}
