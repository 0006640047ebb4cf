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

/* *ret_lock keeps the block; closing its last duplicate frees it. */
__attribute__((warn_unused_result)) enum runtime_status
uids_reserve(int *ret_lock, uid_t *ret_first, struct runtime_error *reterr);
