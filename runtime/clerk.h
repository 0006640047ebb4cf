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

/* Connects; where no clerk answers, `start` runs PROGRAM (the path of cordon-clerk)
 * and waits until it listens. RUNTIME_REFUSED when none runs and `start` is NULL. */
__attribute__((warn_unused_result)) enum runtime_status
clerk_connect(const struct paths *p, const char *start, int *ret_sock,
	      struct runtime_error *reterr);

/* One request, one answer (OK or NO; NO is RUNTIME_REFUSED with the clerk's words). */
__attribute__((warn_unused_result)) enum runtime_status
clerk_hold(int sock, const uint8_t id[static SESSION_ID_BYTES], enum wire_slot slot, int fd,
	   struct runtime_error *reterr);
__attribute__((warn_unused_result)) enum runtime_status
clerk_ask(int sock, const uint8_t id[static SESSION_ID_BYTES], unsigned *ret_held,
	  struct runtime_error *reterr);
/* Up to WIRE_FDS descriptors with their slots; the caller closes them. */
struct clerk_taken { int fds[WIRE_FDS]; enum wire_slot slots[WIRE_FDS]; size_t n; };
__attribute__((warn_unused_result)) enum runtime_status
clerk_take(int sock, const uint8_t id[static SESSION_ID_BYTES], struct clerk_taken *ret,
	   struct runtime_error *reterr);
__attribute__((warn_unused_result)) enum runtime_status
clerk_log(int sock, const uint8_t id[static SESSION_ID_BYTES], int *ret_ring,
	  struct runtime_error *reterr);
__attribute__((warn_unused_result)) enum runtime_status
clerk_ended(int sock, const uint8_t id[static SESSION_ID_BYTES], struct runtime_error *reterr);
__attribute__((warn_unused_result)) enum runtime_status
clerk_drop(int sock, const uint8_t id[static SESSION_ID_BYTES], struct runtime_error *reterr);

/* A filter by the key of policy_filter_key(). RUNTIME_REFUSED: the clerk has none. */
__attribute__((warn_unused_result)) enum runtime_status
clerk_filter_get(int sock, const uint8_t *key, size_t key_len, struct policy_filter *ret,
		 struct runtime_error *reterr);
__attribute__((warn_unused_result)) enum runtime_status
clerk_filter_put(int sock, const uint8_t *key, size_t key_len, const struct policy_filter *f,
		 struct runtime_error *reterr);

/* ---- a detached session's output ---------------------------------------------- */

/*
 * A memfd of RING_HEADER + capacity bytes, sealed against growing and shrinking.
 * Header (little-endian): magic u64, capacity u64, written u64 (bytes ever written;
 * the ring holds the last min(written, capacity)). One writer (the keeper), readers
 * through read-only mappings or pread; a reader that was overtaken says so.
 */
#define RING_HEADER 4096u
#define RING_CAPACITY (1u << 20)
int ring_make(void);                                   /* memfd or -1 */
bool ring_write(int ring, const void *bytes, size_t n); /* keeper only */
/* Copies what lies from *pos on (at most n); *pos moves; *ret_missed counts bytes that
 * were overwritten before they were read. -1: not a ring. */
ssize_t ring_read(int ring, uint64_t *pos, void *to, size_t n, uint64_t *ret_missed);
