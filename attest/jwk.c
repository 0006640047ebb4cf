/* attest/jwk.c - numbers of a public key to libcrypto's key, to their JSON, and back. */
#include "attest/jwk.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <string.h>

#include "attest/base64.h"
#include "attest/json_writer.h"

#define RSA_MIN 256u /* bytes of n; JWK_A at most */
/* Bytes of e. The least is 65537 (SP 800-56B, section 6.2); libcrypto would take 3. */
#define RSA_E_MIN 3u
#define RSA_E_MAX 8u

/* ---- kinds and uses ---------------------------------------------------------------- */

static const struct kind {
	const char *curve, *group; /* libcrypto's name of it */
	size_t size;               /* bytes of a coordinate */
	const char *alg[JWK_USES]; /* "": without; NULL: not for this use */
} kinds[JWK_KINDS] = {
	[JWK_P256] = { "P-256",
		       "prime256v1",
		       32,
		       { [JWK_TEE] = "ECDH-ES+A256KW",
			 [JWK_SIGNER] = "ES256",
			 [JWK_EPK] = "" } },
	[JWK_P384] = { "P-384", "secp384r1", 48, { [JWK_SIGNER] = "ES384" } },
	[JWK_P521] = { "P-521",
		       "secp521r1",
		       66,
		       { [JWK_TEE] = "ECDH-ES+A256KW", [JWK_EPK] = "" } },
	[JWK_RSA] = { NULL, NULL, 0, { [JWK_TEE] = "RSA-OAEP-256" } },
};

static const struct kind *kind_of(enum jwk_kind kind)
{
	return &kinds[kind > 0 && kind < JWK_KINDS ? kind : 0];
}

const char *jwk_curve(enum jwk_kind kind)
{
	return kind_of(kind)->curve;
}

size_t jwk_coordinate(enum jwk_kind kind)
{
	return kind_of(kind)->size;
}

const char *jwk_alg(enum jwk_kind kind, enum jwk_use use)
{
	return use < JWK_USES ? kind_of(kind)->alg[use] : NULL;
}

bool jwk_formed(const struct jwk *k)
{
	if (k->kind == JWK_RSA)
		return k->a_len >= RSA_MIN && k->a_len <= JWK_A && k->a[0] != 0 &&
		       k->b_len >= RSA_E_MIN && k->b_len <= RSA_E_MAX && k->b[0] != 0;
	return kind_of(k->kind)->curve && k->a_len == jwk_coordinate(k->kind) &&
	       k->b_len == k->a_len;
}

/* ---- JSON -------------------------------------------------------------------------- */

static void put_text(struct json_writer *w, const char *name, const char *text)
{
	jw_key(w, name);
	jw_string(w, text);
}

static void put_bytes(struct json_writer *w, const char *name, const uint8_t *bytes, size_t n)
{
	char text[BASE64URL_SIZE(JWK_A)];

	base64url_encode(bytes, n, text);
	put_text(w, name, text);
}

bool jwk_print(const struct jwk *jwk, enum jwk_use use, char ret[static JWK_TEXT],
	       size_t *ret_len)
{
	const char *alg = jwk_alg(jwk->kind, use);
	struct json_writer w;

	if (!alg || !jwk_formed(jwk))
		return false;
	jw_begin(&w, ret, JWK_TEXT);
	jw_object(&w);
	if (alg[0])
		put_text(&w, "alg", alg);
	if (jwk->kind == JWK_RSA) {
		put_bytes(&w, "e", jwk->b, jwk->b_len);
		put_text(&w, "kty", "RSA");
		put_bytes(&w, "n", jwk->a, jwk->a_len);
	} else {
		put_text(&w, "crv", jwk_curve(jwk->kind));
		put_text(&w, "kty", "EC");
		put_bytes(&w, "x", jwk->a, jwk->a_len);
		put_bytes(&w, "y", jwk->b, jwk->b_len);
	}
	jw_object_end(&w);
	return jw_end(&w, ret_len);
}

/* ---- to libcrypto ------------------------------------------------------------------ */

static bool push_point(OSSL_PARAM_BLD *to, const struct jwk *k, uint8_t *point)
{
	point[0] = 4; /* SEC 1, section 2.3.3: x and y follow */
	memcpy(point + 1, k->a, k->a_len);
	memcpy(point + 1 + k->a_len, k->b, k->b_len);
	return OSSL_PARAM_BLD_push_utf8_string(to, OSSL_PKEY_PARAM_GROUP_NAME,
					       kind_of(k->kind)->group, 0) == 1 &&
	       OSSL_PARAM_BLD_push_octet_string(to, OSSL_PKEY_PARAM_PUB_KEY, point,
						1 + k->a_len + k->b_len) == 1;
}

static bool push_modulus(OSSL_PARAM_BLD *to, const BIGNUM *n, const BIGNUM *e)
{
	return n && e && OSSL_PARAM_BLD_push_BN(to, OSSL_PKEY_PARAM_RSA_N, n) == 1 &&
	       OSSL_PARAM_BLD_push_BN(to, OSSL_PKEY_PARAM_RSA_E, e) == 1;
}

/* NULL where libcrypto does not take them, whatever its reason. */
static EVP_PKEY *key_of(const char *type, const OSSL_PARAM *params)
{
	EVP_PKEY_CTX *cx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
	EVP_PKEY *key = NULL;

	/* The type checks what the parameters hold: it is const in all but its name. */
	if (cx && EVP_PKEY_fromdata_init(cx) == 1)
		(void)EVP_PKEY_fromdata(cx, &key, EVP_PKEY_PUBLIC_KEY,
					(OSSL_PARAM *)(uintptr_t)params);
	EVP_PKEY_CTX_free(cx);
	return key;
}

/* On the curve, not the neutral point, of the group's order; or SP 800-56B's checks of a
 * modulus. */
static bool sound(EVP_PKEY *key)
{
	EVP_PKEY_CTX *cx = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
	bool good = cx && EVP_PKEY_public_check(cx) == 1;

	EVP_PKEY_CTX_free(cx);
	return good;
}

enum attest_status jwk_key(const struct jwk *jwk, EVP_PKEY **ret, struct attest_error *reterr)
{
	bool rsa = jwk->kind == JWK_RSA;
	uint8_t point[1 + 2 * JWK_B];
	OSSL_PARAM_BLD *build;
	OSSL_PARAM *params = NULL;
	BIGNUM *n, *e;
	EVP_PKEY *key;
	bool good;

	if (!jwk_formed(jwk))
		return attest_fail(reterr, ATTEST_REFUSED, "public key", NULL,
				   "no key has numbers of this length");
	ERR_set_mark(); /* another's bad numbers are no error of this thread's */
	build = OSSL_PARAM_BLD_new();
	n = rsa ? BN_bin2bn(jwk->a, (int)jwk->a_len, NULL) : NULL;
	e = rsa ? BN_bin2bn(jwk->b, (int)jwk->b_len, NULL) : NULL;
	if (build && (rsa ? push_modulus(build, n, e) : push_point(build, jwk, point)))
		params = OSSL_PARAM_BLD_to_param(build);
	key = params ? key_of(rsa ? "RSA" : "EC", params) : NULL;
	good = key && sound(key);
	ERR_pop_to_mark();
	BN_free(n);
	BN_free(e);
	OSSL_PARAM_BLD_free(build);
	if (!params)
		return attest_fail(reterr, ATTEST_SYSTEM, "public key", NULL, "no memory");
	OSSL_PARAM_free(params);
	if (!good) {
		EVP_PKEY_free(key);
		return attest_fail(reterr, ATTEST_REFUSED, "public key", NULL,
				   rsa ? "no sound RSA key has these numbers"
				       : "its point is not on its curve");
	}
	*ret = key;
	return ATTEST_OK;
}

/* ---- from libcrypto ---------------------------------------------------------------- */

enum jwk_kind jwk_kind_of(const EVP_PKEY *key)
{
	char group[64] = "";
	size_t n;

	if (EVP_PKEY_is_a(key, "RSA"))
		return JWK_RSA;
	if (!EVP_PKEY_is_a(key, "EC"))
		return JWK_KINDS;
	ERR_set_mark();
	if (EVP_PKEY_get_group_name(key, group, sizeof(group), &n) != 1)
		group[0] = '\0'; /* a curve of its own making */
	ERR_pop_to_mark();
	for (enum jwk_kind k = JWK_P256; k < JWK_KINDS; k++)
		if (kinds[k].group && strcmp(kinds[k].group, group) == 0)
			return k;
	return JWK_KINDS;
}

/* A number of the key, big-endian; of `size` bytes, or (0) without zeros in front. */
static bool take_number(const EVP_PKEY *key, const char *name, size_t size, uint8_t *ret,
			size_t room, size_t *ret_len)
{
	BIGNUM *v = NULL;
	size_t len;
	bool done;

	if (EVP_PKEY_get_bn_param(key, name, &v) != 1)
		return false;
	len = size ? size : (size_t)BN_num_bytes(v);
	done = len <= room && BN_bn2binpad(v, ret, (int)len) >= 0;
	BN_free(v);
	*ret_len = len;
	return done;
}

enum attest_status jwk_of(const EVP_PKEY *key, struct jwk *ret, struct attest_error *reterr)
{
	struct jwk k = { .kind = jwk_kind_of(key) };
	bool rsa = k.kind == JWK_RSA;
	size_t size = jwk_coordinate(k.kind);

	if (k.kind == JWK_KINDS ||
	    !take_number(key, rsa ? OSSL_PKEY_PARAM_RSA_N : OSSL_PKEY_PARAM_EC_PUB_X, size, k.a,
			 JWK_A, &k.a_len) ||
	    !take_number(key, rsa ? OSSL_PKEY_PARAM_RSA_E : OSSL_PKEY_PARAM_EC_PUB_Y, size, k.b,
			 rsa ? RSA_E_MAX : JWK_B, &k.b_len) ||
	    !jwk_formed(&k))
		return attest_fail(reterr, ATTEST_REFUSED, "public key", NULL,
				   "is neither of P-256, P-384 or P-521 nor RSA of 2048 to "
				   "4096 bits");
	*ret = k;
	return ATTEST_OK;
}
