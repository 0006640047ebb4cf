/* attest/jws.c - tokens from elsewhere: what they say, and then whether it is true. */
#include "attest/jws.h"

#include <jansson.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "attest/base64.h"
#include "attest/json_reader.h"
#include "attest/jws_alg.h"

struct jws {
	char *text;          /* the token, our copy */
	size_t signed_len;   /* header, dot and payload: what was signed */
	struct span payload; /* in `text`, encoded */
	const struct jws_algorithm *alg;
	uint8_t sig[JWS_SIGNATURE_MAX]; /* r and s */
	json_t *header;
	struct jws_certificate x5c[JWS_CERTIFICATES]; /* each is ours to free */
	size_t n_x5c;
};

struct jws_claims {
	json_t *object;
};

static const struct json_caps caps = { .bytes = JWS_MAX, .depth = JWS_DEPTH, .values = 8192 };

static enum attest_status malformed(struct attest_error *e, const char *what)
{
	return attest_fail(e, ATTEST_MALFORMED, "token", NULL, "%s", what);
}

/* ---- parts ------------------------------------------------------------------------- */

/* A part as JSON, decoded into memory that is given back at once. */
static enum attest_status json_part(struct span part, const char *where, json_t **ret,
				    struct attest_error *e)
{
	uint8_t *bytes = malloc(part.len + 1);
	enum attest_status s;
	size_t n = 0;

	if (!bytes)
		return attest_fail(e, ATTEST_SYSTEM, where, NULL, "no memory");
	if (base64url_decode(part.at, part.len, bytes, part.len, &n))
		s = jr_object((struct span){ (const char *)bytes, n }, &caps, where, ret, e);
	else
		s = attest_fail(e, ATTEST_MALFORMED, where, NULL, "is not base64url");
	free(bytes);
	return s;
}

/* ---- header ------------------------------------------------------------------------ */

static enum attest_status take_alg(struct jws *j, struct attest_error *e)
{
	const char *alg = jr_text(j->header, "alg");

	if (!alg)
		return malformed(e, "its header names no algorithm");
	for (size_t i = 0; i < JWS_ALGORITHMS; i++)
		if (strcmp(jws_algorithms[i].name, alg) == 0)
			j->alg = &jws_algorithms[i];
	if (!j->alg)
		return attest_fail(e, ATTEST_REFUSED, "token", "sign with ES256 or ES384",
				   "its algorithm is not taken");
	return ATTEST_OK;
}

/* Standard base64, with padding (RFC 7515, section 4.1.6). */
static bool take_certificate(struct jws *j, const char *text)
{
	size_t len = text ? strlen(text) : 0, n;
	uint8_t *der;

	if (len == 0 || len >= BASE64_SIZE(JWS_CERTIFICATE_MAX) || j->n_x5c == JWS_CERTIFICATES)
		return false;
	der = malloc(len);
	if (!der || !base64_decode(text, len, der, len, &n)) {
		free(der);
		return false;
	}
	j->x5c[j->n_x5c++] = (struct jws_certificate){ der, n };
	return true;
}

static bool take_x5c(struct jws *j)
{
	const json_t *list = json_object_get(j->header, "x5c");

	if (!list)
		return true;
	for (size_t i = 0; i < json_array_size(list); i++)
		if (!take_certificate(j, json_string_value(json_array_get(list, i))))
			return false;
	return j->n_x5c > 0;
}

static bool text_or_none(const json_t *header, const char *name)
{
	const json_t *v = json_object_get(header, name);

	return !v || json_is_string(v);
}

static enum attest_status take_header(struct jws *j, struct span part, struct attest_error *e)
{
	enum attest_status s = json_part(part, "token header", &j->header, e);

	if (s == ATTEST_OK)
		s = take_alg(j, e);
	if (s != ATTEST_OK)
		return s;
	if (json_object_get(j->header, "crit"))
		return attest_fail(e, ATTEST_REFUSED, "token", NULL,
				   "demands extensions (crit), and none is known here");
	/* RFC 7797: the payload would not be what it looks like. */
	if (json_object_get(j->header, "b64"))
		return attest_fail(e, ATTEST_REFUSED, "token", NULL,
				   "has an option (b64) that changes what is signed");
	if (!text_or_none(j->header, "typ") || !text_or_none(j->header, "kid"))
		return malformed(e, "its header has a typ or kid that is no text");
	if (!take_x5c(j))
		return malformed(e, "its header has certificates (x5c) that are no list of "
				    "base64, or too many, or too long");
	return ATTEST_OK;
}

/* ---- parsing ----------------------------------------------------------------------- */

static enum attest_status take_parts(struct jws *j, struct span text, struct attest_error *e)
{
	struct span header;
	enum attest_status s;
	size_t n = 0;

	if (!span_until(&text, '.', &header) || !span_until(&text, '.', &j->payload) ||
	    memchr(text.at, '.', text.len))
		return malformed(e, "it has not three parts");
	s = take_header(j, header, e);
	if (s != ATTEST_OK)
		return s;
	if (!base64url_decode(text.at, text.len, j->sig, sizeof(j->sig), &n) ||
	    n != 2 * j->alg->half)
		return malformed(e, "its signature is not base64url, or not of its "
				    "algorithm's length");
	j->signed_len = (size_t)(text.at - j->text) - 1;
	return ATTEST_OK;
}

enum attest_status jws_parse(const char *text, size_t len, struct jws **ret,
			     struct attest_error *reterr)
{
	struct jws *j;
	enum attest_status s;

	if (len > JWS_MAX)
		return malformed(reterr, "it is too long");
	j = calloc(1, sizeof(*j));
	if (j)
		j->text = malloc(len + 1);
	if (!j || !j->text) {
		jws_free(j);
		return attest_fail(reterr, ATTEST_SYSTEM, "token", NULL, "no memory");
	}
	memcpy(j->text, text, len);
	j->text[len] = '\0';
	s = take_parts(j, (struct span){ j->text, len }, reterr);
	if (s != ATTEST_OK) {
		jws_free(j);
		return s;
	}
	*ret = j;
	return ATTEST_OK;
}

void jws_free(struct jws *j)
{
	if (!j)
		return;
	for (size_t i = 0; i < j->n_x5c; i++)
		free((void *)(uintptr_t)j->x5c[i].der);
	json_decref(j->header);
	free(j->text);
	free(j);
}

enum jws_alg jws_alg(const struct jws *j)
{
	return j->alg->id;
}

const char *jws_typ(const struct jws *j)
{
	return jr_text(j->header, "typ");
}

const char *jws_kid(const struct jws *j)
{
	return jr_text(j->header, "kid");
}

size_t jws_x5c(const struct jws *j, const struct jws_certificate **ret)
{
	*ret = j->x5c;
	return j->n_x5c;
}

/* ---- verifying --------------------------------------------------------------------- */

/* 0 < v < order. */
static bool in_range(const BIGNUM *v, const BIGNUM *order)
{
	return v && order && !BN_is_zero(v) && BN_cmp(v, order) < 0;
}

/* r and s as the DER that libcrypto reads; 0 where they are out of range. */
static int der_of_raw(const EVP_PKEY *key, const uint8_t *raw, size_t half, uint8_t **ret)
{
	BIGNUM *r = BN_bin2bn(raw, (int)half, NULL);
	BIGNUM *s = BN_bin2bn(raw + half, (int)half, NULL);
	ECDSA_SIG *sig = ECDSA_SIG_new();
	BIGNUM *order = NULL;
	int n = 0;

	(void)EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_EC_ORDER, &order);
	if (sig && in_range(r, order) && in_range(s, order) && ECDSA_SIG_set0(sig, r, s) == 1) {
		r = s = NULL; /* they are the signature's now */
		n = i2d_ECDSA_SIG(sig, ret);
	}
	BN_free(r);
	BN_free(s);
	BN_free(order);
	ECDSA_SIG_free(sig);
	return n > 0 ? n : 0;
}

static bool signature_holds(const struct jws *j, EVP_PKEY *key)
{
	uint8_t *der = NULL;
	int n = der_of_raw(key, j->sig, j->alg->half, &der);
	EVP_MD_CTX *cx = EVP_MD_CTX_new();
	bool good =
		n > 0 && cx &&
		EVP_DigestVerifyInit_ex(cx, NULL, j->alg->digest, NULL, NULL, key, NULL) == 1 &&
		EVP_DigestVerify(cx, der, (size_t)n, (const uint8_t *)j->text, j->signed_len) ==
			1;

	EVP_MD_CTX_free(cx);
	OPENSSL_free(der);
	return good;
}

enum attest_status jws_verify(const struct jws *j, EVP_PKEY *key, const struct jws_rules *rules,
			      struct jws_claims **ret, struct attest_error *reterr)
{
	const char *typ = jws_typ(j);
	struct jws_claims *c;
	enum attest_status s;
	bool good;

	if (!(rules->algs & j->alg->id) || jwk_kind_of(key) != j->alg->kind)
		return attest_fail(reterr, ATTEST_REFUSED, "token", NULL,
				   "its algorithm is not accepted here, or not its key's");
	if (rules->typ && (!typ || strcmp(typ, rules->typ) != 0))
		return attest_fail(reterr, ATTEST_REFUSED, "token", NULL,
				   "is of another type than %s", rules->typ);
	ERR_set_mark(); /* a wrong signature is no error of this thread's */
	good = signature_holds(j, key);
	ERR_pop_to_mark();
	if (!good)
		return attest_fail(reterr, ATTEST_REFUSED, "token", NULL,
				   "this key has not signed it");
	c = calloc(1, sizeof(*c));
	if (!c)
		return attest_fail(reterr, ATTEST_SYSTEM, "token", NULL, "no memory");
	s = json_part(j->payload, "token payload", &c->object, reterr);
	if (s != ATTEST_OK) {
		jws_claims_free(c);
		return s;
	}
	*ret = c;
	return ATTEST_OK;
}

void jws_claims_free(struct jws_claims *c)
{
	if (!c)
		return;
	json_decref(c->object);
	free(c);
}

const json_t *jws_claims(const struct jws_claims *c)
{
	return c->object;
}
