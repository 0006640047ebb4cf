/* attest/evidence_endorse.c - anchors, certificates and CRLs, told apart by content. */
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

#include "attest/evidence_chain.h"

#define ENDORSEMENTS_MAX 1024 /* of each sort */

enum attest_status endorsements_new(struct endorsements **ret, struct attest_error *reterr)
{
	struct endorsements *en = calloc(1, sizeof(*en));

	if (en) {
		en->anchors = sk_X509_new_null();
		en->others = sk_X509_new_null();
		en->crls = sk_X509_CRL_new_null();
	}
	if (en && en->anchors && en->others && en->crls) {
		*ret = en;
		return ATTEST_OK;
	}
	endorsements_free(en);
	return attest_fail(reterr, ATTEST_SYSTEM, "endorsements", "", "no memory");
}

void endorsements_free(struct endorsements *en)
{
	if (!en)
		return;
	sk_X509_pop_free(en->anchors, X509_free);
	sk_X509_pop_free(en->others, X509_free);
	sk_X509_CRL_pop_free(en->crls, X509_CRL_free);
	free(en);
}

/* ---- one thing --------------------------------------------------------------------- */

/* Takes it over; false where it is none, or one too many. */
static bool keep_certificate(struct endorsements *en, enum endorsement_role role, X509 *x)
{
	STACK_OF(X509) *to = role == ENDORSEMENT_ANCHOR ? en->anchors : en->others;

	if (x && sk_X509_num(to) < ENDORSEMENTS_MAX && sk_X509_push(to, x) > 0)
		return true;
	X509_free(x);
	return false;
}

/* A CRL beside an anchor is as good as one beside the evidence: it must be signed. */
static bool keep_crl(struct endorsements *en, X509_CRL *crl)
{
	if (crl && sk_X509_CRL_num(en->crls) < ENDORSEMENTS_MAX &&
	    sk_X509_CRL_push(en->crls, crl) > 0)
		return true;
	X509_CRL_free(crl);
	return false;
}

/* Exactly one certificate or CRL in DER. */
static bool add_der(struct endorsements *en, enum endorsement_role role, const uint8_t *der,
		    long len)
{
	const uint8_t *end = der;
	X509_CRL *crl;
	X509 *x = d2i_X509(NULL, &end, len);

	if (x && end == der + len)
		return keep_certificate(en, role, x);
	X509_free(x);
	end = der;
	crl = d2i_X509_CRL(NULL, &end, len);
	if (crl && end == der + len)
		return keep_crl(en, crl);
	X509_CRL_free(crl);
	return false;
}

/* ---- PEM --------------------------------------------------------------------------- */

static bool is_ours(const char *name)
{
	return strcmp(name, PEM_STRING_X509) == 0 || strcmp(name, PEM_STRING_X509_CRL) == 0;
}

/* Every block of the text must be one; what stands between them is for people. */
static bool add_pem(struct endorsements *en, enum endorsement_role role, BIO *text)
{
	char *name = NULL, *header = NULL;
	uint8_t *der = NULL;
	bool ok = true;
	size_t n = 0;
	long len;

	while (ok && PEM_read_bio(text, &name, &header, &der, &len) == 1) {
		ok = is_ours(name) && add_der(en, role, der, len);
		n++;
		OPENSSL_free(name);
		OPENSSL_free(header);
		OPENSSL_free(der);
	}
	/* It ends with "no further block", and not in the middle of one. */
	return ok && n > 0 && ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
}

enum attest_status endorsements_add(struct endorsements *en, enum endorsement_role role,
				    const char *name, const void *bytes, size_t len,
				    struct attest_error *reterr)
{
	int before = sk_X509_num(en->anchors);
	BIO *text;
	bool ok;

	if (len == 0 || len > ENDORSEMENT_MAX)
		return attest_fail(reterr, ATTEST_MALFORMED, name, "",
				   "it is empty, or too large");
	ERR_clear_error();
	if (*(const uint8_t *)bytes == 0x30) {
		ok = add_der(en, role, bytes, (long)len);
	} else {
		text = BIO_new_mem_buf(bytes, (int)len);
		ok = text && add_pem(en, role, text);
		BIO_free(text);
	}
	ERR_clear_error();
	if (!ok)
		return attest_fail(reterr, ATTEST_MALFORMED, name, "give PEM or DER",
				   "it holds what is neither a certificate nor a CRL");
	if (role == ENDORSEMENT_ANCHOR && sk_X509_num(en->anchors) == before)
		return attest_fail(reterr, ATTEST_MALFORMED, name,
				   "CRLs belong to --endorsements", "it holds no certificate");
	return ATTEST_OK;
}
