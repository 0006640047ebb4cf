/*
 * runtime/uids.h - host user ids that belong to one session at a time.
 *
 * Root sessions get a block of 65536 ids, never shared: a lock on one byte of a host-wide
 * file reserves it, for as long as some process has the descriptor open. The range lies
 * above what systemd gives to containers and below 2^31.
 */
#pragma once

#include "runtime/runtime.h"

#define UIDS_FIRST 0x70000000u
#define UIDS_BLOCK 65536u
#define UIDS_BLOCKS 4094u

/*
 * An ordinary user's sessions all run under the user's one id. A lock in a file of the user's,
 * the same whatever root a session uses, lets several of one tenant run at once and refuses
 * another tenant's, unless both `accept` it. *ret_lock keeps the claim.
 */
__attribute__((warn_unused_result)) enum runtime_status
uids_share(const char *tenant, bool accept, int *ret_lock, struct runtime_error *reterr);

/* *ret_lock keeps the block; closing its last duplicate frees it. */
__attribute__((warn_unused_result)) enum runtime_status
uids_reserve(int *ret_lock, uid_t *ret_first, struct runtime_error *reterr);
