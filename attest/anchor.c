/* attest/anchor.c - certificates of anchors and of attestation keys. */
#include <openssl/asn1.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/objects.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "attest/anchor.h"
#include "attest/certificate.h"

bool anchor_is_host_id(const char *s)
{
	size_t n =
		strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");

	return n >= 1 && n <= 64 && s[n] == '\0';
}

bool anchor_is_marker(X509_EXTENSION *x)
{
	char oid[128];
	int n = OBJ_obj2txt(oid, sizeof(oid), X509_EXTENSION_get_object(x), 1);

	return n > 0 && (size_t)n < sizeof(oid) && strcmp(oid, ANCHOR_OID_DEVELOPMENT) == 0;
}

bool anchor_is_development(X509 *certificate)
{
	for (int i = 0; i < X509_get_ext_count(certificate); i++)
		if (anchor_is_marker(X509_get_ext(certificate, i)))
			return true;
	return false;
}

/* ---- parts of a certificate ------------------------------------------------------ */

static bool set_validity(X509 *c, struct anchor_span valid)
{
	return valid.from < valid.until && ASN1_TIME_set(X509_getm_notBefore(c), valid.from) &&
	       ASN1_TIME_set(X509_getm_notAfter(c), valid.until);
}

static bool add_extension(X509 *c, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX cx;
	X509_EXTENSION *x;
	bool ok;

	X509V3_set_ctx(&cx, issuer, c, NULL, NULL, 0);
	x = X509V3_EXT_conf_nid(NULL, &cx, nid, value);
	ok = x && X509_add_ext(c, x, -1) == 1;
	X509_EXTENSION_free(x);
	return ok;
}

static bool add_marker(X509 *c)
{
	static const uint8_t null[] = { 0x05, 0x00 };
	ASN1_OBJECT *oid = OBJ_txt2obj(ANCHOR_OID_DEVELOPMENT, 1);
	ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();
	X509_EXTENSION *x = NULL;
	bool ok;

	if (oid && value && ASN1_OCTET_STRING_set(value, null, sizeof(null)) == 1)
		x = X509_EXTENSION_create_by_OBJ(NULL, oid, 1, value);
	ok = x && X509_add_ext(c, x, -1) == 1;
	X509_EXTENSION_free(x);
	ASN1_OCTET_STRING_free(value);
	ASN1_OBJECT_free(oid);
	return ok;
}

/* Version 3, serial, subject, validity, key: what every certificate of ours begins with. */
static X509 *new_certificate(EVP_PKEY *key, const char *name, struct anchor_span valid)
{
	X509 *c = X509_new();

	if (c && X509_set_version(c, X509_VERSION_3) == 1 && certificate_set_serial(c) &&
	    certificate_set_name(c, name) && set_validity(c, valid) &&
	    X509_set_pubkey(c, key) == 1)
		return c;
	X509_free(c);
	return NULL;
}

static bool sign(X509 *c, EVP_PKEY *key)
{
	return X509_sign(c, key,
			 anchor_key_curve(key) == ANCHOR_P384 ? EVP_sha384() : EVP_sha256()) >
	       0;
}

static enum attest_status finish(bool ok, X509 *c, X509 **ret, struct attest_error *e)
{
	ERR_clear_error();
	if (ok) {
		*ret = c;
		return ATTEST_OK;
	}
	X509_free(c);
	return attest_fail(e, ATTEST_SYSTEM, "certificate", "", "libcrypto could not make it");
}

static enum attest_status refused(struct attest_error *e, const char *what)
{
	return attest_fail(e, ATTEST_REFUSED, "certificate", "", "%s", what);
}

/* ---- the two kinds --------------------------------------------------------------- */

enum attest_status anchor_make_development(EVP_PKEY *key, const char *name,
					   struct anchor_span valid, X509 **ret,
					   struct attest_error *reterr)
{
	X509 *c;
	bool ok;

	if (!anchor_key_curve(key))
		return refused(reterr, "an anchor's key is of P-256 or P-384");
	if (valid.from >= valid.until)
		return refused(reterr, "it would never be valid");
	c = new_certificate(key, name, valid);
	ok = c && X509_set_issuer_name(c, X509_get_subject_name(c)) == 1 &&
	     add_extension(c, c, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
	     add_extension(c, c, NID_key_usage, "critical,keyCertSign,cRLSign") &&
	     add_extension(c, c, NID_subject_key_identifier, "hash") && add_marker(c) &&
	     sign(c, key);
	return finish(ok, c, ret, reterr);
}

enum attest_status anchor_certify(EVP_PKEY *anchor_key, X509 *anchor, EVP_PKEY *attestation_key,
				  const char *host_id, struct anchor_span valid, X509 **ret,
				  struct attest_error *reterr)
{
	X509 *c;
	bool ok;

	if (anchor_key_curve(attestation_key) != ANCHOR_P256)
		return refused(reterr, "an attestation key is of P-256");
	if (!anchor_is_host_id(host_id))
		return refused(reterr, "this is no host's id");
	if (valid.from >= valid.until)
		return refused(reterr, "it would never be valid");
	if (X509_check_private_key(anchor, anchor_key) != 1) {
		ERR_clear_error();
		return refused(reterr, "the key is not that of the anchor's certificate");
	}
	c = new_certificate(attestation_key, host_id, valid);
	ok = c && X509_set_issuer_name(c, X509_get_subject_name(anchor)) == 1 &&
	     add_extension(c, anchor, NID_basic_constraints, "critical,CA:FALSE") &&
	     add_extension(c, anchor, NID_key_usage, "critical,digitalSignature") &&
	     add_extension(c, anchor, NID_ext_key_usage, "critical," ANCHOR_OID_ATTESTATION) &&
	     add_extension(c, anchor, NID_subject_key_identifier, "hash") &&
	     add_extension(c, anchor, NID_authority_key_identifier, "keyid:always") &&
	     (!anchor_is_development(anchor) || add_marker(c)) && sign(c, anchor_key);
	return finish(ok, c, ret, reterr);
}
