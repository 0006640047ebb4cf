/* attest/jwk_parse.c - a public key in JSON as its numbers. */
#include "attest/jwk.h"

#include <jansson.h>
#include <string.h>

#include "attest/base64.h"
#include "attest/json_reader.h"

static enum attest_status malformed(struct attest_error *e, const char *where, const char *what)
{
	return attest_fail(e, ATTEST_MALFORMED, where, NULL, "%s", what);
}

/* A member as bytes. */
static bool take_bytes(const json_t *object, const char *name, uint8_t *ret, size_t size,
		       size_t *ret_len)
{
	const char *text = jr_text(object, name);

	return text && base64url_decode(text, strlen(text), ret, size, ret_len);
}

/* What the texts say of the kind; "alg" decides nothing, it must fit. */
static enum attest_status take_kind(const json_t *object, enum jwk_kind *ret,
				    struct attest_error *e)
{
	const char *kty = jr_text(object, "kty"), *curve = jr_text(object, "crv");

	if (!kty)
		return malformed(e, "kty", "is missing, or is no text");
	if (strcmp(kty, "RSA") == 0) {
		*ret = JWK_RSA;
		return ATTEST_OK;
	}
	if (strcmp(kty, "EC") != 0)
		return attest_fail(e, ATTEST_REFUSED, "kty", "use EC",
				   "keys of this type are not taken");
	if (!curve)
		return malformed(e, "crv", "is missing, or is no text");
	for (enum jwk_kind k = JWK_P256; k < JWK_KINDS; k++) {
		if (jwk_curve(k) && strcmp(jwk_curve(k), curve) == 0) {
			*ret = k;
			return ATTEST_OK;
		}
	}
	return attest_fail(e, ATTEST_REFUSED, "crv", "use P-256", "this curve is not taken");
}

static enum attest_status check_alg(const json_t *object, enum jwk_kind kind, enum jwk_use use,
				    struct attest_error *e)
{
	const char *wanted = jwk_alg(kind, use), *alg = jr_text(object, "alg");

	if (!wanted)
		return attest_fail(e, ATTEST_REFUSED, kind == JWK_RSA ? "kty" : "crv",
				   "use EC with P-256", "is not taken for this use of a key");
	if (use != JWK_TEE && !json_object_get(object, "alg"))
		return ATTEST_OK;
	if (!wanted[0])
		return malformed(e, "alg", "is no member of such a key");
	if (!alg)
		return malformed(e, "alg", "is missing, or is no text");
	if (strcmp(alg, "RSA1_5") == 0)
		return attest_fail(e, ATTEST_REFUSED, "alg", "use ECDH-ES+A256KW with P-256",
				   "RSA1_5 is never used: its padding tells secrets");
	if (strcmp(alg, wanted) != 0)
		return attest_fail(e, ATTEST_REFUSED, "alg", NULL,
				   "must be %s for this key and its use", wanted);
	return ATTEST_OK;
}

/* Of a key that is written again from its numbers nothing may get lost. */
static bool has_others(const json_t *object, enum jwk_kind kind, enum jwk_use use)
{
	static const char *const ec[] = { "crv", "kty", "x", "y", "alg", NULL };
	static const char *const epk[] = { "crv", "kty", "x", "y", NULL };
	static const char *const rsa[] = { "alg", "e", "kty", "n", NULL };

	if (use == JWK_SIGNER)
		return false;
	return !jr_only(object, kind == JWK_RSA ? rsa : use == JWK_EPK ? epk : ec);
}

enum attest_status jwk_parse(const json_t *object, enum jwk_use use, struct jwk *ret,
			     struct attest_error *reterr)
{
	struct jwk k = { .kind = JWK_KINDS };
	enum attest_status s;
	const char *a, *b;

	if (json_object_get(object, "d"))
		return attest_fail(reterr, ATTEST_REFUSED, "d",
				   "make a new key: others may have seen this one",
				   "this is a private key");
	s = take_kind(object, &k.kind, reterr);
	if (s == ATTEST_OK)
		s = check_alg(object, k.kind, use, reterr);
	if (s != ATTEST_OK)
		return s;
	if (has_others(object, k.kind, use))
		return malformed(reterr, "", "has members that such a key has not");
	a = k.kind == JWK_RSA ? "n" : "x";
	b = k.kind == JWK_RSA ? "e" : "y";
	if (!take_bytes(object, a, k.a, sizeof(k.a), &k.a_len))
		return malformed(reterr, a, "is missing, or is not base64url of its length");
	if (!take_bytes(object, b, k.b, sizeof(k.b), &k.b_len))
		return malformed(reterr, b, "is missing, or is not base64url of its length");
	if (!jwk_formed(&k))
		return malformed(
			reterr, a,
			"and the other number have not the length that they must have");
	*ret = k;
	return ATTEST_OK;
}
