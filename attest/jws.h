/*
 * attest/jws.h - signed tokens: JSON Web Signatures in compact form (RFC 7515) with ES256
 * (P-256) and ES384 (P-384). Nothing here reads a clock: exp and nbf are for whoever judges
 * the claims. Signing (jws_sign.c) needs libcrypto only, reading jansson too.
 *
 * Reading has two steps on two types. A struct jws is what the text says and may be asked who
 * claims to have signed it; it does not give its payload away. A struct jws_claims comes only
 * from jws_verify.
 */
#pragma once

#include <openssl/types.h>

#include "attest/attest.h"

#define JWS_MAX (128u << 10) /* characters of a token */
#define JWS_CERTIFICATES 8u
#define JWS_CERTIFICATE_MAX (16u << 10) /* bytes of one */
#define JWS_DEPTH 16u                   /* of JSON */

enum jws_alg {
	JWS_ES256 = 1u << 0,
	JWS_ES384 = 1u << 1,
};

struct jws_certificate {
	const uint8_t *der;
	size_t len;
};

/* ---- signing ----------------------------------------------------------------------- */

struct jws_head {
	const char *typ, *kid;             /* NULL: left out */
	const struct jws_certificate *x5c; /* leaf first */
	size_t n_x5c;
};

/*
 * Signs `payload`, a JSON object; the algorithm is that of the key. *ret is the token, with a
 * final zero, the caller's to free. ATTEST_REFUSED: a key of another curve, a token longer
 * than JWS_MAX, more certificates than are read again.
 */
__attribute__((warn_unused_result)) enum attest_status
jws_sign(EVP_PKEY *key, const struct jws_head *head, const char *payload, size_t len,
	 char **ret, struct attest_error *reterr);

/* ---- reading ----------------------------------------------------------------------- */

struct jws;

/*
 * Header and signature of a token; nothing of it is true yet, and its payload is not looked
 * at. ATTEST_MALFORMED: not three parts, a header that is no JSON object in base64url or has a
 * member of the wrong type, a signature that is not r and s of its algorithm's length.
 * ATTEST_REFUSED: an algorithm that is not known ("none" is one), a "crit" or "b64" header.
 * jku, jwk, x5u and other members are ignored.
 */
__attribute__((warn_unused_result)) enum attest_status
jws_parse(const char *text, size_t len, struct jws **ret, struct attest_error *reterr);
void jws_free(struct jws *j); /* accepts NULL */

/* What the header claims. Borrowed from `j`; NULL or 0 where it says nothing. */
enum jws_alg jws_alg(const struct jws *j);
const char *jws_typ(const struct jws *j);
const char *jws_kid(const struct jws *j);
/* Its certificates, leaf first; they are bytes, of which only the base64 was looked at. */
size_t jws_x5c(const struct jws *j, const struct jws_certificate **ret);

struct jws_rules {
	unsigned algs;   /* those of enum jws_alg that are accepted */
	const char *typ; /* what the token must call itself, letter by letter; NULL: anything */
};

struct jws_claims;

/*
 * Whether `key`, which the caller trusts, signed it. ATTEST_REFUSED: no; or the algorithm is
 * not among the rules' or not the key's; another typ. ATTEST_MALFORMED: it did, but the
 * payload is no JSON object (members that come twice, deeper than JWS_DEPTH).
 */
__attribute__((warn_unused_result)) enum attest_status
jws_verify(const struct jws *j, EVP_PKEY *key, const struct jws_rules *rules,
	   struct jws_claims **ret, struct attest_error *reterr);
void jws_claims_free(struct jws_claims *c); /* accepts NULL; `j` may be gone before */

struct json_t; /* jansson's */

/* An object. Borrowed from `c`. */
const struct json_t *jws_claims(const struct jws_claims *c);
