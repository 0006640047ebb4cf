/*
 * attest/sandbox_token.h - evidence of class `sandbox`: what a host says of one session
 * before the tenant's code runs there, signed by the host's attestation key.
 *
 * A compact JWS (RFC 7515), ES256. Header:
 *
 *   alg   "ES256"
 *   typ   "cordon-sandbox+jwt"
 *   x5c   [base64 DER]: the attestation key's certificate first, then each issuer, up to
 *         but not including the anchor
 *
 * Payload, in canonical JSON (RFC 8785) where we write it:
 *
 *   cordon        { digest: of the keeper's program file, fault_points: bool }
 *   descriptor    { digest: of the text of the session's descriptor (attest/descriptor.h) }
 *   filter        { digest: of the compiled seccomp filter }
 *   host          { boot_id, id, init_on_free: bool, kernel_release }
 *   iat           seconds since 1970 (UTC): when the clerk signed it
 *   key           { custody: "file" | "hsm" | "tpm" }
 *   launcher      { uid }
 *   plan          { digest }
 *   report_data   128 hexadecimal digits: what was asked for, as in hardware's reports
 *   schema        "cordon.sandbox-evidence/1"
 *   workload      { coverage: "binary" | "rootfs" | "image", digest }
 *
 * Digests are SHA-256, lower-case hexadecimal. The words are the host's: it sees and can do
 * everything that the session can, which is why the class is called sandbox. Writing needs
 * libcrypto alone (the clerk does it); reading needs jansson too and is a file of its own.
 * Thread-safe.
 */
#pragma once

#include <openssl/types.h>

#include "attest/attest.h"

#define SANDBOX_SCHEMA "cordon.sandbox-evidence/1"
#define SANDBOX_TYP "cordon-sandbox+jwt"
#define SANDBOX_DIGEST 32u
#define SANDBOX_REPORT_DATA 64u
#define SANDBOX_CERTIFICATES 4u   /* in x5c */
#define SANDBOX_PAYLOAD_MAX 4096u /* bytes of JSON */
#define SANDBOX_TOKEN_MAX 32768u  /* characters */

/* What the workload's digest is of; the better, the later. */
enum sandbox_coverage {
	SANDBOX_BINARY =
		1,      /* the executed file alone: what a script's interpreter runs is not */
	SANDBOX_ROOTFS, /* all content, which cannot change after it was hashed */
	SANDBOX_IMAGE,  /* the image that the content was made of, by its own digest */
};

const char *sandbox_coverage_str(enum sandbox_coverage c); /* "?" for no word */

struct sandbox_facts {
	uint8_t plan[SANDBOX_DIGEST], filter[SANDBOX_DIGEST];
	uint8_t workload[SANDBOX_DIGEST], cordon[SANDBOX_DIGEST];
	enum sandbox_coverage coverage;
	bool fault_points; /* a build with CORDON_FAULT_POINTS, which tests may stop anywhere */
	uint8_t descriptor[SANDBOX_DIGEST];
	uint8_t report_data[SANDBOX_REPORT_DATA];
	char host_id[65];        /* [A-Za-z0-9._-]{1,64}; that of the certificate */
	char kernel_release[65]; /* uname(2); printable ASCII */
	char boot_id[37];        /* 36 characters, as the kernel writes it */
	bool init_on_free;       /* init_on_free=1 is in force on this boot */
	uint32_t launcher_uid;   /* in the initial user namespace */
	char key_custody[16];    /* file, hsm or tpm */
	int64_t issued;          /* seconds since 1970, UTC; at least 0 */
};

/* The payload and a final zero. ATTEST_REFUSED: some fact is not of its form. */
__attribute__((warn_unused_result)) enum attest_status
sandbox_facts_print(const struct sandbox_facts *f, char ret[static SANDBOX_PAYLOAD_MAX],
		    size_t *ret_len, struct attest_error *reterr);

/* The token, with a final zero, the caller's to free. `key` is the attestation key (P-256);
 * `chain` is its certificate and those of its issuers, without the anchor. ATTEST_REFUSED: a
 * fact is not of its form, the first certificate is not the key's, there are too many. */
__attribute__((warn_unused_result)) enum attest_status
sandbox_token_sign(const struct sandbox_facts *f, EVP_PKEY *key, X509 *const *chain,
		   size_t n_chain, char **ret, struct attest_error *reterr);

/* ---- reading (sandbox_token_read.c) ------------------------------------------------ */

/* A token taken apart: it has the form, and certificates. It gives its facts away only to
 * the key that signed them. */
struct sandbox_token;

/* One newline may follow the token. ATTEST_MALFORMED: anything else; ATTEST_SYSTEM: no
 * memory. */
__attribute__((warn_unused_result)) enum attest_status
sandbox_token_parse(const char *text, size_t len, struct sandbox_token **ret,
		    struct attest_error *reterr);
/* Its certificates, the signer's first; at least one. Borrowed. */
X509 *const *sandbox_token_chain(const struct sandbox_token *t, size_t *ret_n);
/* The facts, where the first certificate's key has signed them (whether anybody trusts that
 * key is not asked here). ATTEST_REFUSED: it has not; ATTEST_MALFORMED: it has signed
 * something else. */
__attribute__((warn_unused_result)) enum attest_status
sandbox_token_verify(const struct sandbox_token *t, struct sandbox_facts *ret,
		     struct attest_error *reterr);
void sandbox_token_free(struct sandbox_token *t); /* NULL is allowed */

struct json_t; /* jansson's */

/* A payload: exactly the members above, each of its form. reterr names the first that is
 * not. */
__attribute__((warn_unused_result)) enum attest_status
sandbox_facts_read(const struct json_t *payload, struct sandbox_facts *ret,
		   struct attest_error *reterr);
