/*
 * attest/proof.h - one entry's proof in one file, checked without the log (C2SP tlog-proof).
 *
 *   c2sp.org/tlog-proof@v1
 *   [extra BASE64]                 not authenticated: nothing may rely on it
 *   index N
 *   HASH ...                       base64, the leaf's sibling first
 *   (empty line)
 *   the checkpoint, with its cosignatures
 *
 * Thread-safe.
 */
#pragma once

#include "attest/log_policy.h"

#define PROOF_MAX (NOTE_MAX + (1u << 20)) /* bytes of a whole file */

struct proof {
	uint64_t index;
	struct tlog_proof path;
	const char *extra; /* base64, `extra_len` characters; NULL: none. Borrowed */
	size_t extra_len;
	const char *checkpoint; /* the signed note as it is; borrowed */
	size_t checkpoint_len;
};

/* *ret points into `bytes`. The checkpoint is not looked at. */
__attribute__((warn_unused_result)) enum attest_status
proof_parse(const char *bytes, size_t len, struct proof *ret, struct attest_error *reterr);
/* The file's text; *ret is the caller's to free. */
__attribute__((warn_unused_result)) enum attest_status
proof_print(const struct proof *p, char **ret, struct attest_error *reterr);
/* That the policy's logs and witnesses vouch for the entry with this leaf hash, at the
 * proof's index. */
__attribute__((warn_unused_result)) enum attest_status
proof_check(const struct proof *p, const struct tlog_hash *leaf,
	    const struct log_policy *policy, struct checkpoint *ret, struct note *ret_note,
	    struct attest_error *reterr);
