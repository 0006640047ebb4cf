/* attest/jws_sign.c - tokens that we sign. */
#include "attest/jws.h"

#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "attest/base64.h"
#include "attest/json_writer.h"
#include "attest/jws_alg.h"
#include "attest/jwk.h"

const struct jws_algorithm jws_algorithms[JWS_ALGORITHMS] = {
	{ JWS_ES256, "ES256", "SHA256", JWK_P256, 32 },
	{ JWS_ES384, "ES384", "SHA384", JWK_P384, 48 },
};

static const struct jws_algorithm *algorithm_of(const EVP_PKEY *key)
{
	enum jwk_kind kind = jwk_kind_of(key);

	for (size_t i = 0; i < JWS_ALGORITHMS; i++)
		if (jws_algorithms[i].kind == kind)
			return &jws_algorithms[i];
	return NULL;
}

/* ---- header ------------------------------------------------------------------------ */

/* With room for quotes, commas and texts that are all escapes. */
static size_t header_room(const struct jws_head *h)
{
	size_t room = 128;

	room += 6 * (h->typ ? strlen(h->typ) : 0) + 6 * (h->kid ? strlen(h->kid) : 0);
	for (size_t i = 0; i < h->n_x5c; i++)
		room += BASE64_SIZE(h->x5c[i].len) + 3;
	return room;
}

/* What jws_parse will take. */
static bool certificates_fit(const struct jws_head *h)
{
	if (h->n_x5c > JWS_CERTIFICATES)
		return false;
	for (size_t i = 0; i < h->n_x5c; i++)
		if (h->x5c[i].len == 0 || h->x5c[i].len > JWS_CERTIFICATE_MAX)
			return false;
	return true;
}

static void put_text(struct json_writer *w, const char *name, const char *text)
{
	jw_key(w, name);
	jw_string(w, text);
}

static bool header_print(const struct jws_head *h, const char *alg, char *ret, size_t size,
			 size_t *ret_len)
{
	struct json_writer w;

	jw_begin(&w, ret, size);
	jw_object(&w);
	put_text(&w, "alg", alg);
	if (h->kid)
		put_text(&w, "kid", h->kid);
	if (h->typ)
		put_text(&w, "typ", h->typ);
	if (h->n_x5c > 0) {
		jw_key(&w, "x5c");
		jw_array(&w);
		for (size_t i = 0; i < h->n_x5c; i++)
			jw_base64(&w, h->x5c[i].der, h->x5c[i].len);
		jw_array_end(&w);
	}
	jw_object_end(&w);
	return jw_end(&w, ret_len);
}

/* ---- signature --------------------------------------------------------------------- */

/* libcrypto's DER as r and s of full size (RFC 7518, section 3.4). */
static bool raw_of_der(const uint8_t *der, size_t len, size_t half, uint8_t *ret)
{
	ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &der, (long)len);
	bool done = sig && BN_bn2binpad(ECDSA_SIG_get0_r(sig), ret, (int)half) >= 0 &&
		    BN_bn2binpad(ECDSA_SIG_get0_s(sig), ret + half, (int)half) >= 0;

	ECDSA_SIG_free(sig);
	return done;
}

static bool sign(EVP_PKEY *key, const struct jws_algorithm *alg, const char *text, size_t len,
		 uint8_t *ret)
{
	EVP_MD_CTX *cx = EVP_MD_CTX_new();
	uint8_t der[JWS_SIGNATURE_MAX + 16];
	size_t n = sizeof(der);
	bool done = cx &&
		    EVP_DigestSignInit_ex(cx, NULL, alg->digest, NULL, NULL, key, NULL) == 1 &&
		    EVP_DigestSign(cx, der, &n, (const uint8_t *)text, len) == 1 &&
		    raw_of_der(der, n, alg->half, ret);

	EVP_MD_CTX_free(cx);
	return done;
}

/* ---- the whole --------------------------------------------------------------------- */

/* Behind the text `to` of length `at`: a dot, where there is something before, and a part.
 * Returns the new length. */
static size_t append(char *to, size_t at, const void *part, size_t len)
{
	if (at > 0)
		to[at++] = '.';
	base64url_encode(part, len, to + at);
	return at + strlen(to + at);
}

static enum attest_status token_make(EVP_PKEY *key, const struct jws_algorithm *alg,
				     const char *header, size_t header_len, const char *payload,
				     size_t len, char **ret, struct attest_error *e)
{
	size_t room = BASE64URL_SIZE(header_len) + BASE64URL_SIZE(len) +
		      BASE64URL_SIZE(2 * alg->half);
	uint8_t sig[JWS_SIGNATURE_MAX];
	char *token;
	size_t at;

	if (room > JWS_MAX)
		return attest_fail(e, ATTEST_REFUSED, "token", NULL, "is too long");
	token = malloc(room);
	if (!token)
		return attest_fail(e, ATTEST_SYSTEM, "token", NULL, "no memory");
	at = append(token, 0, header, header_len);
	at = append(token, at, payload, len);
	if (!sign(key, alg, token, at, sig)) {
		free(token);
		return attest_fail(e, ATTEST_SYSTEM, "token", NULL, "libcrypto could not sign");
	}
	append(token, at, sig, 2 * alg->half);
	*ret = token;
	return ATTEST_OK;
}

enum attest_status jws_sign(EVP_PKEY *key, const struct jws_head *head, const char *payload,
			    size_t len, char **ret, struct attest_error *reterr)
{
	const struct jws_algorithm *alg = algorithm_of(key);
	enum attest_status s;
	size_t header_len;
	char *header;

	if (!alg)
		return attest_fail(reterr, ATTEST_REFUSED, "signing key",
				   "use a key of P-256 or P-384",
				   "its curve signs no tokens here");
	if (len > JWS_MAX || !certificates_fit(head))
		return attest_fail(reterr, ATTEST_REFUSED, "token", NULL,
				   "is too long, or has too many or too long certificates");
	header = malloc(header_room(head));
	if (!header)
		return attest_fail(reterr, ATTEST_SYSTEM, "token", NULL, "no memory");
	if (header_print(head, alg->name, header, header_room(head), &header_len))
		s = token_make(key, alg, header, header_len, payload, len, ret, reterr);
	else
		s = attest_fail(reterr, ATTEST_REFUSED, "token", NULL,
				"its header cannot be written");
	free(header);
	return s;
}
