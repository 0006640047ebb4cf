/*
 * runtime/journal.h - one session's durable memory: a small file, allocated whole
 * before the first record, of checksummed records that are only ever appended.
 *
 * File: JOURNAL_SLOTS slots of JOURNAL_SLOT bytes; a slot is empty (all zero) or a
 * record. Record: magic, sequence number, kind, payload (runtime/journal.c has the
 * table), CRC-32C of all before it. The first is BEGIN; then FACT and STATE. Each
 * append is durable (fdatasync) when the call returns. Not thread-safe.
 *
 * The last JOURNAL_RESERVE slots are for STATE records alone, so that facts cannot use
 * up the room that the session's end needs.
 */
#pragma once

#include "runtime/runtime.h"
#include "runtime/session.h"

#define JOURNAL_SLOT 512u
#define JOURNAL_SLOTS 64u
#define JOURNAL_RESERVE 16u
#define JOURNAL_BYTES (JOURNAL_SLOT * JOURNAL_SLOTS)
#define JOURNAL_KEY 32u
#define JOURNAL_VALUE 384u

struct journal_begin {
	uint8_t id[SESSION_ID_BYTES];
	uint8_t boot[16];
	char name[64]; /* label or "" */
	char tenant[64];
	uint32_t class; /* enum policy_class */
	uint32_t euid;  /* who started it */
	int32_t keeper; /* pid, in the initial pid namespace of the host side */
	uint64_t keeper_start;
	int64_t created; /* CLOCK_REALTIME, ns */
	bool detached, builtin;
	uint32_t held, kernel; /* the plan's scrub minima */
};

struct journal_state {
	uint32_t state; /* enum session_state, after the event */
	uint32_t event;
	int64_t at;              /* CLOCK_REALTIME, ns */
	char why[JOURNAL_VALUE]; /* in words */
};

/* Facts are what was obtained or made, each key as often as needed:
 *   cgroup           absolute path of a folder made for the session (before it is made)
 *   init             "PID STARTTIME" of the sandbox's first process, host view
 *   workload         "PID STARTTIME"
 *   uids             "FIRST COUNT", host view
 *   limit.NAME       enforced (how) | rlimit (how) | absent (why)
 *   isolation.NAME   what the kernel confirmed: landlock, seccomp, core-scheduling...
 *   status           the workload's wait status, decimal
 *   oom              "N killed at the memory limit", where there were any
 *   command          argv[0] (never the arguments: they may be secret) */
struct journal_fact {
	char key[JOURNAL_KEY];
	char value[JOURNAL_VALUE];
};

enum journal_kind { JOURNAL_BEGIN = 1, JOURNAL_STATE, JOURNAL_FACT };

/* A whole journal as read. Counts are bounded by JOURNAL_SLOTS. */
struct journal {
	struct journal_begin begin;
	struct journal_state states[JOURNAL_SLOTS];
	size_t n_states;
	struct journal_fact facts[JOURNAL_SLOTS];
	size_t n_facts;
	size_t slots_used;
};

/* The last state; SESSION_NONE when there is only BEGIN. */
enum session_state journal_state(const struct journal *j);
/* It was RUNNING once: the tenant's code ran. */
bool journal_ran(const struct journal *j);
/* That, or ATTESTING: its memory may hold something of the tenant's, a key at least. */
bool journal_begun(const struct journal *j);
/* The latest fact of that key, or NULL. */
const char *journal_fact(const struct journal *j, const char *key);

/* Judges and reads. A file that is not exactly one whole journal is RUNTIME_MALFORMED
 * with slot and byte offset. State records must be edges of the session table.
 * *ret_torn: all is good but the last append, which a crash cut short (its caller was
 * never told that it was durable): then *ret holds the good part, without any record of
 * that append, and the status is still RUNTIME_MALFORMED. A file of zeros, or none at
 * all, "never got its first record": nothing was held yet; see journal_discard. */
__attribute__((warn_unused_result)) enum runtime_status
journal_parse(const uint8_t *buf, size_t len, struct journal *ret, bool *ret_torn,
	      struct runtime_error *reterr);
/* Not for a process that has a writer of the same journal open: closing any descriptor
 * of the file ends the process's lock on it. RUNTIME_REFUSED: there is no such session,
 * or the file is not the caller's. */
__attribute__((warn_unused_result)) enum runtime_status
journal_read(int sessions_fd, const uint8_t id[static SESSION_ID_BYTES], struct journal *ret,
	     bool *ret_torn, struct runtime_error *reterr);

/* Removes a journal that never got its first record, under the writer's lock; any other
 * is RUNTIME_REFUSED, and so is one whose writer is just making it. */
__attribute__((warn_unused_result)) enum runtime_status
journal_discard(int sessions_fd, const uint8_t id[static SESSION_ID_BYTES],
		struct runtime_error *reterr);

struct journal_writer; /* an open journal; one writer at a time, by a lock on the file */

/* Makes ID.journal (it must not exist), writes BEGIN, makes file and folder durable. */
__attribute__((warn_unused_result)) enum runtime_status
journal_create(int sessions_fd, const struct journal_begin *b, struct journal_writer **ret,
	       struct runtime_error *reterr);
/* For recovery: opens, locks (RUNTIME_REFUSED when another process writes), reads; a torn
 * last append is cleared first. */
__attribute__((warn_unused_result)) enum runtime_status
journal_reopen(int sessions_fd, const uint8_t id[static SESSION_ID_BYTES],
	       struct journal_writer **ret, struct journal *ret_journal,
	       struct runtime_error *reterr);
/*
 * Applies `ev` to the current state (an edge that is not in the table is
 * RUNTIME_REFUSED and nothing is written), appends, makes durable. `why` may be NULL; it
 * is escaped and cut as it needs.
 *
 * When the record cannot be written, up to RUNNING the state stays what it was and the
 * record never was. From STOPPING on the state moves all the same, the status is
 * RUNTIME_SYSTEM, and the record waits in memory; every later append first writes what
 * waits. Only EV_CLEAN is refused while anything waits.
 */
__attribute__((warn_unused_result)) enum runtime_status
journal_move(struct journal_writer *w, enum session_event ev, const char *why,
	     struct runtime_error *reterr);
/* Keys are of a-z 0-9 . - _; a value that is too long or not clean text is
 * RUNTIME_MALFORMED (text_escape makes it clean). Failing writes: as above. */
__attribute__((warn_unused_result)) enum runtime_status
journal_note(struct journal_writer *w, const char *key, const char *value,
	     struct runtime_error *reterr);
/* Several facts, one append and one flush: after a crash all of them or none. */
__attribute__((warn_unused_result)) enum runtime_status
journal_note_all(struct journal_writer *w, const struct journal_fact *facts, size_t n,
		 struct runtime_error *reterr);
enum session_state journal_writer_state(const struct journal_writer *w);
size_t journal_room(const struct journal_writer *w); /* facts that it still takes */
void journal_close(struct journal_writer *w);        /* accepts NULL */
