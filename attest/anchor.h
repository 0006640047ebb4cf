/*
 * attest/anchor.h - the keys and certificates behind evidence of class `sandbox`.
 *
 * A host's attestation key (P-256) is certified by the host's anchor: a CA (P-256 or P-384)
 * whose certificate the relying party was given by hand, directly or through intermediate
 * CAs. What makes a certificate one of an attestation key:
 *
 *   subject            CN = the host's id, the one that its tokens say
 *   basicConstraints   critical, no CA
 *   keyUsage           critical, digitalSignature alone
 *   extKeyUsage        critical, ANCHOR_OID_ATTESTATION alone: what the same CA certified
 *                      for something else cannot sign evidence, and the other way round
 *
 * Development anchors, which `cordon init` makes and whose keys lie in a file, say so: they
 * and the certificates below them carry the critical extension ANCHOR_OID_DEVELOPMENT (its
 * value is an ASN.1 NULL). Software that does not know it must refuse them, and our own
 * refuses them wherever the policy does not name `development-anchor`.
 *
 * Both identifiers lie under a UUID of ours (221f1883-2d2d-4ef6-aec3-3e757946510f), which
 * ITU-T X.667 lets anybody use below 2.25 without a registration.
 *
 * Private keys are files of mode 0600 (PKCS#8, PEM, no pass phrase): made once, whole and
 * durable before the call returns, never over a file that exists. They are read only when
 * they belong to the caller and nobody else may read them. Needs libcrypto. No clock: times
 * are arguments, in seconds since 1970 (UTC). Thread-safe.
 */
#pragma once

#include <openssl/x509.h>

#include "attest/attest.h"

#define ANCHOR_ARC "2.25.45355210230003096342853154951703974159"
#define ANCHOR_OID_DEVELOPMENT ANCHOR_ARC ".1"
#define ANCHOR_OID_ATTESTATION ANCHOR_ARC ".2"

enum anchor_curve { ANCHOR_P256 = 1, ANCHOR_P384 };

/* ---- keys -------------------------------------------------------------------------- */

/* Makes a key and stores it as `name` in the folder. ATTEST_REFUSED: there is such a file.
 * The key is the caller's: EVP_PKEY_free. */
__attribute__((warn_unused_result)) enum attest_status
anchor_key_make(int dir_fd, const char *name, enum anchor_curve curve, EVP_PKEY **ret,
		struct attest_error *reterr);
/* ATTEST_REFUSED: no such file, or others may read it; ATTEST_MALFORMED: no P-256 or P-384
 * key. */
__attribute__((warn_unused_result)) enum attest_status
anchor_key_open(int dir_fd, const char *name, EVP_PKEY **ret, struct attest_error *reterr);

/* ---- certificates ------------------------------------------------------------------ */

/* From and until when a certificate is valid. */
struct anchor_span {
	int64_t from, until;
};

/* A self-signed CA with the development marker, `name` as its CN (1 to 64 characters), that
 * may certify attestation keys and CRLs but no further CA. The caller's: X509_free. */
__attribute__((warn_unused_result)) enum attest_status
anchor_make_development(EVP_PKEY *key, const char *name, struct anchor_span valid, X509 **ret,
			struct attest_error *reterr);
/* Certifies an attestation key (P-256; its public half is enough); carries the marker where
 * the anchor does. ATTEST_REFUSED: `anchor` is not the certificate of `anchor_key`, the key
 * is of another curve, or the host's id is none. */
__attribute__((warn_unused_result)) enum attest_status
anchor_certify(EVP_PKEY *anchor_key, X509 *anchor, EVP_PKEY *attestation_key,
	       const char *host_id, struct anchor_span valid, X509 **ret,
	       struct attest_error *reterr);

/* One certificate as PEM, for everyone to read. Like a key, it is never written over a file
 * that exists. */
__attribute__((warn_unused_result)) enum attest_status
anchor_certificate_put(int dir_fd, const char *name, X509 *certificate,
		       struct attest_error *reterr);
/* The certificates of a PEM file, at most `max`, in order; the caller's: X509_free. */
__attribute__((warn_unused_result)) enum attest_status
anchor_certificates_open(int dir_fd, const char *name, size_t max, X509 **ret, size_t *ret_n,
			 struct attest_error *reterr);

/* ---- what a certificate says ------------------------------------------------------- */

/* [A-Za-z0-9._-]{1,64} */
bool anchor_is_host_id(const char *s);
/* The curve of a key, 0 for any other kind. */
enum anchor_curve anchor_key_curve(EVP_PKEY *key);
bool anchor_is_marker(X509_EXTENSION *x);
bool anchor_is_development(X509 *certificate); /* it carries the marker */
