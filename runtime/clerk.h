/*
 * runtime/clerk.h - the client's side of the clerk: the process that keeps duplicates
 * of every session's descriptors so that they outlive a keeper, and compiled filters so
 * that they need not be compiled again. It is started on demand and ends when idle.
 *
 * Filters are trusted code. They live only in the clerk's memory, as sealed memfds that
 * came from a process of the clerk's own euid (SO_PEERCRED); none is ever on disk. A
 * client compares the whole key, not the hash that it asks by.
 */
#pragma once

#include "policy/policy.h"
#include "runtime/runtime.h"
#include "runtime/wire.h"

#define CLERK_SOCKET "clerk.sock"
#define CLERK_LOCK "clerk.lock"
#define CLERK_RUN_FD 3      /* `cordon-clerk --serve` finds the run folder here */
#define CLERK_SESSIONS_FD 4 /* the sessions folder here, in the state folder */
#define CLERK_READY_FD 5    /* and writes one byte here when it listens */

/* Connects to a clerk that has answered once. Where none answers, `start` (the path of
 * cordon-clerk, or NULL) is run, as nobody's child, without environment, terminal and
 * descriptors of the caller's, and waited for: 10 s at most. RUNTIME_REFUSED when none
 * runs and `start` is NULL. Forks, so only for single-threaded callers; it reaps its own
 * child. An answer that takes longer than 10 s is RUNTIME_SYSTEM, here and below. */
__attribute__((warn_unused_result)) enum runtime_status
clerk_connect(const struct paths *p, const char *start, int *ret_sock,
	      struct runtime_error *reterr);

/* One request, one answer (OK or NO; NO is RUNTIME_REFUSED with the clerk's words). After
 * RUNTIME_SYSTEM or RUNTIME_MALFORMED the connection is of no more use.
 * A session may have up to WIRE_FDS descriptors, one of them a ring. */
__attribute__((warn_unused_result)) enum runtime_status
clerk_hold(int sock, const uint8_t id[static SESSION_ID_BYTES], enum wire_slot slot, int fd,
	   struct runtime_error *reterr);
__attribute__((warn_unused_result)) enum runtime_status
clerk_ask(int sock, const uint8_t id[static SESSION_ID_BYTES], unsigned *ret_held,
	  struct runtime_error *reterr);
/* Duplicates, with their slots; the caller closes them. The clerk keeps its own. */
struct clerk_taken {
	int fds[WIRE_FDS];
	enum wire_slot slots[WIRE_FDS];
	size_t n;
};
__attribute__((warn_unused_result)) enum runtime_status
clerk_take(int sock, const uint8_t id[static SESSION_ID_BYTES], struct clerk_taken *ret,
	   struct runtime_error *reterr);
__attribute__((warn_unused_result)) enum runtime_status
clerk_log(int sock, const uint8_t id[static SESSION_ID_BYTES], int *ret_ring,
	  struct runtime_error *reterr);
/* The session ended: all but its ring is dropped at once, the ring is zeroed and dropped
 * after CLERK_RING_SECONDS. */
#define CLERK_RING_SECONDS 60
__attribute__((warn_unused_result)) enum runtime_status
clerk_ended(int sock, const uint8_t id[static SESSION_ID_BYTES], struct runtime_error *reterr);
/* Everything is dropped, the ring zeroed first. */
__attribute__((warn_unused_result)) enum runtime_status
clerk_drop(int sock, const uint8_t id[static SESSION_ID_BYTES], struct runtime_error *reterr);

/* What the session's journal says of `what` becomes entries of the audit log; they are
 * durable when this returns. RUNTIME_REFUSED: the log cannot take them, and why. */
__attribute__((warn_unused_result)) enum runtime_status
clerk_record(int sock, const uint8_t id[static SESSION_ID_BYTES], enum wire_record what,
	     int64_t *ret_index, struct runtime_error *reterr);

/* Evidence of an ATTESTING session for this report_data (CLERK_REPORT_DATA bytes), made of
 * what its journal says: a sealed memfd with a token. */
__attribute__((warn_unused_result)) enum runtime_status
clerk_token(int sock, const uint8_t id[static SESSION_ID_BYTES], const uint8_t *report_data,
	    int *ret_fd, struct runtime_error *reterr);

/* A filter by the key of policy_filter_key(). RUNTIME_REFUSED: the clerk has none. */
__attribute__((warn_unused_result)) enum runtime_status
clerk_filter_get(int sock, const uint8_t *key, size_t key_len, struct policy_filter *ret,
		 struct runtime_error *reterr);
__attribute__((warn_unused_result)) enum runtime_status
clerk_filter_put(int sock, const uint8_t *key, size_t key_len, const struct policy_filter *f,
		 struct runtime_error *reterr);

/*
 * A filter's memfd, little-endian, sealed against shrinking, growing, writing and more
 * seals: magic u64, key length u64, key, instructions u64, flags u64, instructions of 8
 * bytes each, and no byte more.
 */
#define CLERK_FILTER_MAX (2u << 20)
bool clerk_filter_sealed(int fd); /* such seals, and a size that it may have */

/* ---- the server ------------------------------------------------------------------ */

/* Serves on RUN/clerk.sock until nothing was held, connected or used for `idle_s`
 * seconds, or until SIGTERM, SIGINT or SIGHUP. RUNTIME_OK as well when another clerk
 * serves this root already. `ready` (or -1) gets one byte when it listens. */
__attribute__((warn_unused_result)) enum runtime_status
clerk_serve(int run_fd, int sessions_fd, int ready, unsigned idle_s,
	    struct runtime_error *reterr);

/* ---- a detached session's output ------------------------------------------------- */

/*
 * A memfd of RING_HEADER + capacity bytes, sealed against growing and shrinking.
 * Header (little-endian): magic u64, capacity u64, begun u64, written u64 (bytes ever
 * written; the ring holds the last min(written, capacity)). `begun` runs ahead while
 * bytes are replaced, so that a reader knows which ones to distrust. One writer (the
 * keeper); a reader that was overtaken is told how much it missed.
 */
#define RING_HEADER 4096u
#define RING_CAPACITY (1u << 20)
int ring_make(void);                                    /* memfd or -1 */
bool ring_is(int fd);                                   /* sealed, sized and marked as one */
bool ring_write(int ring, const void *bytes, size_t n); /* keeper only */
/* Copies what lies from *pos on (at most n); *pos moves; *ret_missed counts bytes that
 * were overwritten before they were read. -1: not a ring. */
ssize_t ring_read(int ring, uint64_t *pos, void *to, size_t n, uint64_t *ret_missed);
bool ring_zero(int ring); /* all of it: it is a ring no more */
