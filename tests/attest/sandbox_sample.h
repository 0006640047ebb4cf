/*
 * tests/attest/sandbox_sample.h - hosts, anchors and tokens, good ones and any other kind.
 * Certificates are made here, not by attest/anchor.h, because that makes good ones only.
 * Whatever cannot be made ends the program.
 */
#pragma once

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "attest/anchor.h"
#include "attest/descriptor.h"
#include "attest/jws.h"
#include "attest/sandbox_token.h"

#define SAMPLE_AT INT64_C(1767268800) /* 2026-01-01T12:00:00Z */
#define SAMPLE_DAY 86400
#define SAMPLE_HOST "host-1.example"

#define sample_must(condition)                                                                 \
	((condition) ? (void)0                                                                 \
		     : (fprintf(stderr, "%s:%d: cannot make the sample: %s\n", __FILE__,       \
				__LINE__, #condition),                                         \
			abort()))

/* ---- certificates -------------------------------------------------------------------- */

/* NULL: without that extension. */
struct sample_spec {
	const char *name, *second; /* common names */
	int name_len;              /* 0: up to its zero */
	int64_t from, until;
	const char *basic, *usage, *purpose;
	const char *critical; /* an OID of our choice, critical */
	bool marker;
	const EVP_MD *md; /* NULL: SHA-256 */
};

#define SAMPLE_CA                                                                              \
	{                                                                                      \
		.name = "anchor", .from = SAMPLE_AT - 30 * SAMPLE_DAY,                         \
		.until = SAMPLE_AT + 30 * SAMPLE_DAY, .basic = "critical,CA:TRUE",             \
		.usage = "critical,keyCertSign,cRLSign"                                        \
	}
#define SAMPLE_LEAF                                                                            \
	{                                                                                      \
		.name = SAMPLE_HOST, .from = SAMPLE_AT - 3 * SAMPLE_DAY,                       \
		.until = SAMPLE_AT + 3 * SAMPLE_DAY, .basic = "critical,CA:FALSE",             \
		.usage = "critical,digitalSignature",                                          \
		.purpose = "critical," ANCHOR_OID_ATTESTATION                                  \
	}

struct sample_issuer {
	EVP_PKEY *key;
	X509 *certificate;
};

static inline EVP_PKEY *sample_key(const char *curve)
{
	EVP_PKEY *key = strcmp(curve, "RSA") == 0 ? EVP_RSA_gen(2048) : EVP_EC_gen(curve);

	sample_must(key);
	return key;
}

static inline void sample_extension(X509 *c, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX cx;
	X509_EXTENSION *x;

	X509V3_set_ctx(&cx, issuer, c, NULL, NULL, 0);
	x = X509V3_EXT_conf_nid(NULL, &cx, nid, value);
	sample_must(x && X509_add_ext(c, x, -1) == 1);
	X509_EXTENSION_free(x);
}

static inline void sample_critical(X509 *c, const char *oid)
{
	static const uint8_t null[] = { 5, 0 };
	ASN1_OBJECT *object = OBJ_txt2obj(oid, 1);
	ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();
	X509_EXTENSION *x;

	sample_must(object && value && ASN1_OCTET_STRING_set(value, null, sizeof(null)));
	x = X509_EXTENSION_create_by_OBJ(NULL, object, 1, value);
	sample_must(x && X509_add_ext(c, x, -1) == 1);
	X509_EXTENSION_free(x);
	ASN1_OCTET_STRING_free(value);
	ASN1_OBJECT_free(object);
}

static inline void sample_name(X509 *c, const char *name, int len)
{
	sample_must(X509_NAME_add_entry_by_txt(X509_get_subject_name(c), "CN", MBSTRING_ASC,
					       (const uint8_t *)name, len, -1, 0));
}

/* `by` NULL: self-signed. */
static inline X509 *sample_certificate(const struct sample_spec *s, EVP_PKEY *key,
				       const struct sample_issuer *by)
{
	static long serial = 1000;
	X509 *c = X509_new(), *issuer = by ? by->certificate : c;

	sample_must(c && X509_set_version(c, X509_VERSION_3));
	sample_must(ASN1_INTEGER_set(X509_get_serialNumber(c), serial++));
	sample_name(c, s->name, s->name_len ? s->name_len : -1);
	if (s->second)
		sample_name(c, s->second, -1);
	sample_must(X509_set_issuer_name(c, X509_get_subject_name(issuer)));
	sample_must(ASN1_TIME_set(X509_getm_notBefore(c), s->from));
	sample_must(ASN1_TIME_set(X509_getm_notAfter(c), s->until));
	sample_must(X509_set_pubkey(c, key));
	if (s->basic)
		sample_extension(c, issuer, NID_basic_constraints, s->basic);
	if (s->usage)
		sample_extension(c, issuer, NID_key_usage, s->usage);
	if (s->purpose)
		sample_extension(c, issuer, NID_ext_key_usage, s->purpose);
	if (s->critical)
		sample_critical(c, s->critical);
	if (s->marker)
		sample_critical(c, ANCHOR_OID_DEVELOPMENT);
	sample_extension(c, issuer, NID_subject_key_identifier, "hash");
	if (by)
		sample_extension(c, issuer, NID_authority_key_identifier, "keyid:always");
	sample_must(X509_sign(c, by ? by->key : key, s->md ? s->md : EVP_sha256()));
	return c;
}

static inline struct sample_issuer sample_anchor(const struct sample_spec *s)
{
	struct sample_issuer i = { .key = sample_key("P-256") };

	i.certificate = sample_certificate(s, i.key, NULL);
	return i;
}

/* A CRL of `by`, with `revoked` on it where it is not NULL. */
static inline X509_CRL *sample_crl(const struct sample_issuer *by, X509 *revoked, int64_t from,
				   int64_t until)
{
	X509_CRL *crl = X509_CRL_new();
	ASN1_TIME *t = ASN1_TIME_set(NULL, from);
	X509_REVOKED *one;

	sample_must(crl && t && X509_CRL_set_version(crl, X509_CRL_VERSION_2));
	sample_must(X509_CRL_set_issuer_name(crl, X509_get_subject_name(by->certificate)));
	sample_must(X509_CRL_set1_lastUpdate(crl, t));
	if (revoked) {
		one = X509_REVOKED_new();
		sample_must(one && X509_REVOKED_set_revocationDate(one, t));
		sample_must(X509_REVOKED_set_serialNumber(one, X509_get_serialNumber(revoked)));
		sample_must(X509_CRL_add0_revoked(crl, one));
	}
	sample_must(ASN1_TIME_set(t, until) && X509_CRL_set1_nextUpdate(crl, t));
	ASN1_TIME_free(t);
	sample_must(X509_CRL_sign(crl, by->key, EVP_sha256()));
	return crl;
}

/* ---- facts and tokens ------------------------------------------------------------------ */

static inline struct descriptor sample_descriptor(void)
{
	struct descriptor d = {
		.hash = DESCRIPTOR_SHA256,
		.tenant = "acme",
		.session = { 1, 2, 3 },
		.service = "https://keys.example:8443",
		.service_ca = "sha256:0123456789abcdef0123456789abcdef"
			      "0123456789abcdef0123456789abcdef",
	};

	memset(d.plan, 0x11, sizeof(d.plan));
	return d;
}

static inline size_t sample_descriptor_text(const struct descriptor *d,
					    char ret[static DESCRIPTOR_MAX])
{
	size_t n = 0;

	sample_must(descriptor_print(d, ret, &n, NULL) == ATTEST_OK);
	return n;
}

static inline struct sandbox_facts sample_facts(void)
{
	struct descriptor d = sample_descriptor();
	uint8_t digest[DESCRIPTOR_DIGEST_MAX];
	char text[DESCRIPTOR_MAX];
	size_t n = sample_descriptor_text(&d, text);
	struct sandbox_facts f = {
		.coverage = SANDBOX_ROOTFS,
		.host_id = SAMPLE_HOST,
		.kernel_release = "6.1.0-1-amd64",
		.boot_id = "01234567-89ab-cdef-0123-456789abcdef",
		.init_on_free = true,
		.key_custody = "file",
		.issued = SAMPLE_AT,
	};

	sample_must(descriptor_digest(d.hash, text, n, digest, NULL) == ATTEST_OK);
	memcpy(f.descriptor, digest, sizeof(f.descriptor));
	memset(f.plan, 0x11, sizeof(f.plan));
	memset(f.filter, 0x22, sizeof(f.filter));
	memset(f.workload, 0x33, sizeof(f.workload));
	memset(f.cordon, 0x44, sizeof(f.cordon));
	memset(f.report_data, 0x55, sizeof(f.report_data));
	return f;
}

/* Any payload, signed by any key, with any certificates. */
static inline char *sample_sign(const char *payload, EVP_PKEY *key, const char *typ,
				X509 *const *chain, size_t n)
{
	struct jws_certificate x5c[8];
	struct jws_head head = { .typ = typ, .x5c = x5c, .n_x5c = n };
	char *token = NULL;

	sample_must(n <= 8);
	for (size_t i = 0; i < n; i++) {
		uint8_t *der = NULL;
		int len = i2d_X509(chain[i], &der);

		sample_must(len > 0);
		x5c[i] = (struct jws_certificate){ der, (size_t)len };
	}
	sample_must(jws_sign(key, &head, payload, strlen(payload), &token, NULL) == ATTEST_OK);
	for (size_t i = 0; i < n; i++)
		OPENSSL_free((void *)(uintptr_t)x5c[i].der);
	return token;
}

static inline char *sample_token(const struct sandbox_facts *f, EVP_PKEY *key,
				 X509 *const *chain, size_t n)
{
	char payload[SANDBOX_PAYLOAD_MAX];
	size_t len;

	sample_must(sandbox_facts_print(f, payload, &len, NULL) == ATTEST_OK);
	return sample_sign(payload, key, SANDBOX_TYP, chain, n);
}
