/*
 * attest/descriptor.h - the session descriptor: which session, of which plan, may get keys
 * from which service.
 *
 * It is the init-data of Confidential Containers (format "toml"), bound into evidence by
 * its digest: HOST_DATA of an SNP report is its SHA-256, MRCONFIGID of a TDX quote its
 * SHA-384, and a sandbox's token carries the one or the other. The digest is of the exact
 * text, so the text has one spelling:
 *
 *   algorithm = "sha256"
 *   version = "0.1.0"
 *
 *   [data]
 *   "cordon.toml" = '''
 *   schema = "cordon.descriptor/1"
 *   tenant = "acme"
 *   session = "00112233445566778899aabbccddeeff"
 *   plan_digest = "HEX OF A SHA-256"
 *   service = "https://keys.internal:8443"
 *   service_ca = "sha256:HEX"
 *
 *   [volumes]
 *   "data" = 7
 *   '''
 *
 * `service` and `service_ca` are both "" for a session without keys; without volumes the
 * blank line and the table are left out. Lines end in one newline, the last one too. No
 * value can hold a quote, so no reader of TOML sees more or less in it than we do.
 * Text only: nothing here allocates or needs a library. Thread-safe.
 */
#pragma once

#include "attest/attest.h"

#define DESCRIPTOR_SCHEMA "cordon.descriptor/1"
#define DESCRIPTOR_MAX 8192u /* bytes of the text */
#define DESCRIPTOR_VOLUMES 32u
#define DESCRIPTOR_DIGEST_MAX 48u /* bytes of the longer digest */
#define DESCRIPTOR_PLAN 32u       /* bytes of the plan's SHA-256 */
#define DESCRIPTOR_SESSION 16u    /* bytes of a session id */

/* Which digest binds it; the text names it. */
enum descriptor_hash { DESCRIPTOR_SHA256 = 1, DESCRIPTOR_SHA384 };

struct descriptor_volume {
	char name[65];       /* [a-z0-9._-]{1,64}, as in the policy */
	uint64_t generation; /* at most 2^63 - 1; grows each time the volume is sealed anew */
};

struct descriptor {
	enum descriptor_hash hash;
	char tenant[64];
	uint8_t session[DESCRIPTOR_SESSION];
	uint8_t plan[DESCRIPTOR_PLAN];
	char service[513];   /* https://HOST[:PORT][/PATH], or "" */
	char service_ca[72]; /* sha256: and 64 hexadecimal digits, or "" */
	struct descriptor_volume volumes[DESCRIPTOR_VOLUMES]; /* ascending by name */
	size_t n_volumes;
};

/* The text and a final zero. ATTEST_REFUSED: a member is not of its form, or the volumes do
 * not ascend. */
__attribute__((warn_unused_result)) enum attest_status
descriptor_print(const struct descriptor *d, char ret[static DESCRIPTOR_MAX], size_t *ret_len,
		 struct attest_error *reterr);
/* Reads exactly what descriptor_print writes. Any other text, other TOML as well, is
 * ATTEST_MALFORMED; reterr names the line. */
__attribute__((warn_unused_result)) enum attest_status
descriptor_parse(const char *text, size_t len, struct descriptor *ret,
		 struct attest_error *reterr);

/* Bytes of a digest: 32 or 48; 0 for what is no enum descriptor_hash. */
size_t descriptor_hash_size(enum descriptor_hash h);
/* The digest of the exact text (descriptor_digest.c, which needs libcrypto). */
__attribute__((warn_unused_result)) enum attest_status
descriptor_digest(enum descriptor_hash h, const char *text, size_t len,
		  uint8_t ret[static DESCRIPTOR_DIGEST_MAX], struct attest_error *reterr);
