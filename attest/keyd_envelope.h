/*
 * attest/keyd_envelope.h - what the store's database holds, so that whoever reads it learns
 * no secret and whoever writes it makes none.
 *
 *   root.kek      32 random bytes; two keys are derived from it (HMAC-SHA256 of a label)
 *   tenant key    32 random bytes, AES-256-GCM under the first, bound to the tenant
 *   secret        AES-256-GCM under its tenant's key, bound to tenant, type, tag, version and
 *                 limit of uses
 *   row           HMAC-SHA256 under the second, over all that a row says
 *
 * Sealed is: nonce (96 random bits), ciphertext, tag. What is bound is written with its
 * lengths, so that no two things have one encoding. GCM's bound of 2^32 random nonces for
 * one key is per tenant and far away. Not ours to see: that an old state of the whole
 * database was brought back.
 */
#pragma once

#include "attest/keyd_engine.h"

#define KEYD_ROOT 32u
#define KEYD_KEK 32u

struct keyd_root; /* in guarded memory */

__attribute__((warn_unused_result)) enum attest_status
keyd_root_new(const uint8_t bytes[static KEYD_ROOT], struct keyd_root **ret,
	      struct attest_error *reterr);
void keyd_root_free(struct keyd_root *r); /* accepts NULL */

/* A new key for a tenant, wrapped. */
__attribute__((warn_unused_result)) enum attest_status
keyd_tenant_make(const struct keyd_root *r, const char *tenant,
		 uint8_t ret[static KEYD_WRAPPED], struct attest_error *reterr);
/* *ret is guarded memory of KEYD_KEK bytes, the caller's to guard_free. ATTEST_REFUSED: it
 * was changed, or is another tenant's. */
__attribute__((warn_unused_result)) enum attest_status
keyd_tenant_open(const struct keyd_root *r, const char *tenant,
		 const uint8_t wrapped[static KEYD_WRAPPED], uint8_t **ret,
		 struct attest_error *reterr);

/* Fills row->sealed for the row's name, version and uses_max. */
__attribute__((warn_unused_result)) enum attest_status
keyd_secret_seal(const uint8_t kek[static KEYD_KEK], struct keyd_key_row *row,
		 const uint8_t *secret, size_t len, struct attest_error *reterr);
/* *ret is guarded memory, the caller's to guard_free. ATTEST_REFUSED: changed, or of another
 * tenant, name, version or limit. */
__attribute__((warn_unused_result)) enum attest_status
keyd_secret_open(const uint8_t kek[static KEYD_KEK], const struct keyd_key_row *row,
		 uint8_t **ret, size_t *ret_len, struct attest_error *reterr);

/* Sets, and checks, the mac of a row. ATTEST_REFUSED: the row is not as the store wrote it. */
__attribute__((warn_unused_result)) enum attest_status
keyd_session_mark(const struct keyd_root *r, struct keyd_session_row *row);
__attribute__((warn_unused_result)) enum attest_status
keyd_session_check(const struct keyd_root *r, const struct keyd_session_row *row,
		   struct attest_error *reterr);
__attribute__((warn_unused_result)) enum attest_status keyd_key_mark(const struct keyd_root *r,
								     struct keyd_key_row *row);
__attribute__((warn_unused_result)) enum attest_status
keyd_key_check(const struct keyd_root *r, const struct keyd_key_row *row,
	       struct attest_error *reterr);
__attribute__((warn_unused_result)) enum attest_status
keyd_policy_mark(const struct keyd_root *r, struct keyd_policy_row *row);
__attribute__((warn_unused_result)) enum attest_status
keyd_policy_check(const struct keyd_root *r, const struct keyd_policy_row *row,
		  struct attest_error *reterr);
