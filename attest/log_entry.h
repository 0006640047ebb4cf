/*
 * attest/log_entry.h - one entry of our own log: what happened, to whom, by whom, as one
 * JSON object in canonical form (RFC 8785).
 *
 *   v       1
 *   seq     the entry's index
 *   t       UTC, RFC 3339 with microseconds: "2026-11-23T18:46:16.123456Z"
 *   mono    nanoseconds since boot, decimal, as a string (they outgrow 53 bits)
 *   boot, host      which boot of which machine
 *   kind    what happened: session.start, session.end, log.recovered ...
 *   actor   { pid, uid } of the peer that asked; { type } for ourselves
 *   tenant, object  whom it concerns, and which thing (a session's id)
 *   outcome ok | denied | error
 *   reason  in words
 *   data    more, as the kind has it: an object
 *   salt    16 random bytes: an entry that is gone cannot be guessed from its leaf hash
 *
 * Texts that are NULL, and an empty `data`, are left out. Thread-safe.
 */
#pragma once

#include "attest/attest.h"
#include "attest/log_writer.h"

#define LOG_ENTRY_DATA 32u /* members of `data` */

enum log_outcome { LOG_OK = 0, LOG_DENIED, LOG_ERROR };

struct log_datum {
	const char *name; /* plain ASCII */
	const char *text; /* or NULL: then the value is `number` */
	int64_t number;   /* of at most 53 bits */
};

struct log_entry {
	uint64_t seq;
	int64_t t, mono; /* CLOCK_REALTIME and CLOCK_BOOTTIME, ns; not negative */
	const char *boot, *host;
	const char *kind;  /* a-z 0-9 . - */
	const char *actor; /* "cordon" for ourselves; NULL: the peer `uid`, `pid` */
	uid_t uid;
	pid_t pid;
	const char *tenant, *object;
	enum log_outcome outcome;
	const char *reason;
	/* Either members in any order, or one canonical JSON value that takes their place. */
	struct log_datum data[LOG_ENTRY_DATA];
	size_t n_data;
	const char *data_json;
	size_t data_json_len;
};

/* The entry's bytes and a final zero behind them. ATTEST_REFUSED: it is too large, says a
 * member of `data` twice, or holds what no entry can; ATTEST_SYSTEM: no random bytes. */
__attribute__((warn_unused_result)) enum attest_status
log_entry_print(const struct log_entry *e, char ret[static LOG_ENTRY_MAX + 1], size_t *ret_len,
		struct attest_error *reterr);
