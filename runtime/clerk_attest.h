/*
 * runtime/clerk_attest.h - evidence for a session that is about to start: what its keeper
 * measured, as a token signed by the host's attestation key.
 *
 *   STATE/keys/attestation.key   the key (attest/anchor.h), 0600
 *   STATE/keys/attestation.pem   its certificate and those of its issuers, without the
 *                                anchor; the subject's CN is the host's id
 *
 * Whoever certified the key put both there (`cordon init`, for development). A host that
 * has none can run sandboxes and attest nothing. The facts come from the session's journal,
 * but for what the clerk sees by itself: the keeper's program, kernel, boot, who started it.
 */
#pragma once

#include "runtime/runtime.h"

#define CLERK_REPORT_DATA 64u

/* Facts of the journal that a token is made of: 64 hexadecimal digits each. */
#define FACT_ATTEST_PLAN "attest.plan"
#define FACT_ATTEST_FILTER "attest.filter"
#define FACT_ATTEST_WORKLOAD "attest.workload"
#define FACT_ATTEST_DESCRIPTOR "attest.descriptor"
#define FACT_ATTEST_COVERAGE "attest.coverage" /* binary, rootfs, image */

/* A sealed memfd with the token. RUNTIME_REFUSED: the session is not ATTESTING, its keeper
 * is gone, or the host has no key. */
__attribute__((warn_unused_result)) enum runtime_status
clerk_attest(int sessions_fd, const uint8_t id[static SESSION_ID_BYTES],
	     const uint8_t report_data[static CLERK_REPORT_DATA], int *ret_fd,
	     struct runtime_error *reterr);
