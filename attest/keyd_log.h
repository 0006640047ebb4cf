/*
 * attest/keyd_log.h - the key service's own audit log: an entry is durable, or it is not
 * there and nobody acts on it. A log that cannot be written is opened anew after a while.
 */
#pragma once

#include "attest/log_entry.h"

struct keyd_log;

/* The folder `log` below `dirfd`, and its signer: taken over, also on failure. `least`: how
 * many entries there must be at least. A log that cannot be written is no failure here, or a
 * store could not even revoke: keyd_log_trouble says why, and each keyd_log_put. */
__attribute__((warn_unused_result)) enum attest_status
keyd_log_open(int dirfd, struct note_signer *signer, uint64_t least, struct keyd_log **ret,
	      struct attest_error *reterr);
/* NULL: none. Borrowed until the next call. */
const struct attest_error *keyd_log_trouble(const struct keyd_log *l);
void keyd_log_close(struct keyd_log *l); /* publishes; accepts NULL */

/* An entry of ours, now: time, host and boot are set, nothing else. */
void keyd_log_begin(const struct keyd_log *l, struct log_entry *e, const char *kind);
/* Durable when ATTEST_OK; otherwise (always ATTEST_SYSTEM) it is not in the log, as far as
 * anybody may rely on it. Sets e->seq. */
__attribute__((warn_unused_result)) enum attest_status
keyd_log_put(struct keyd_log *l, struct log_entry *e, struct attest_error *reterr);

/* Entries that are durable; 0 while the log is not open. */
uint64_t keyd_log_size(const struct keyd_log *l);
/* When a checkpoint is due, CLOCK_MONOTONIC ms; INT64_MAX: all is published. */
int64_t keyd_log_due(const struct keyd_log *l);
void keyd_log_publish(struct keyd_log *l);
