/*
 * runtime/clerk_log.h - the clerk's pen: the host's audit log, the keys of log and
 * receipts, and what a session's journal becomes when it is entered.
 *
 *   STATE/log/               the log (attest/log_writer.h)
 *   STATE/log.vkey           its verifier key, for `cordon audit`
 *   STATE/receipt.pub        the public key of receipts, PEM
 *   STATE/keys/              the private halves, 0600, made at the first start
 *   STATE/sessions/ID.receipt
 *
 * A log that cannot be written stops nothing but new entries: each is refused with the
 * reason, the log is opened anew after a while, and whoever wanted the entry decides what
 * that means. Not thread-safe.
 */
#pragma once

#include "runtime/runtime.h"
#include "runtime/wire.h"

struct clerk_log;

/* NULL only for want of memory. */
struct clerk_log *clerk_log_start(int sessions_fd);
/* Takes the session's step from its journal; *ret_index is what its first entry will have.
 * Not durable before clerk_log_commit. */
__attribute__((warn_unused_result)) enum runtime_status
clerk_log_record(struct clerk_log *l, const uint8_t id[static SESSION_ID_BYTES],
		 enum wire_record what, int64_t *ret_index, struct runtime_error *reterr);
/* All that was recorded becomes durable, and receipts get their files; or none of it is. */
__attribute__((warn_unused_result)) enum runtime_status
clerk_log_commit(struct clerk_log *l, struct runtime_error *reterr);
/* When a checkpoint is due, CLOCK_MONOTONIC ms; INT64_MAX: all is published. */
int64_t clerk_log_due(const struct clerk_log *l);
void clerk_log_publish(struct clerk_log *l);
/* Publishes what is not yet; accepts NULL. */
void clerk_log_end(struct clerk_log *l);
