/*
 * attest/receipt.h - what the end of a session was worth, place by place, in words that
 * are signed.
 *
 * A receipt is one JSON object in canonical form (RFC 8785), schema cordon.receipt/1:
 *
 *   assurance  { held, kernel }: the weakest line of each group
 *   boot, host, class, session, tenant, started, ended (UTC), ran, recovered
 *   clean      both minima met and nothing failed
 *   lines      [ { group, place, assurance, bytes, failed, microseconds, method } ]
 *   minima     { held, kernel }: what the policy asked for
 *   signer     name of the key
 *   signature  base64 of the Ed25519 signature (RFC 8032) over the same object without
 *              this member, in canonical form
 *
 * What it may say is the scrubbing table of SECURITY.md. Thread-safe.
 */
#pragma once

#include "attest/note.h"

#define RECEIPT_SCHEMA "cordon.receipt/1"
#define RECEIPT_LINES 16u
#define RECEIPT_MAX 12288u /* bytes; it must fit into one entry of a log */
#define RECEIPT_TEXT 256u
#define RECEIPT_PLACE 48u

enum receipt_group {
	RECEIPT_HELD = 0, /* memory that the session held */
	RECEIPT_KERNEL,   /* what only the kernel can reach */
	RECEIPT_GROUPS,
};

/* From the weakest to the best; NONE is of both groups. */
enum receipt_assurance {
	RECEIPT_NONE = 0,  /* freed, and that is all */
	RECEIPT_SWEPT,     /* kernel: free memory was allocated and zeroed afterwards */
	RECEIPT_BY_KERNEL, /* kernel: init_on_free=1 was in force */
	RECEIPT_WIPED,     /* held: zeroed and read back at the exit stop */
	RECEIPT_VERIFIED,  /* held: the same, through a reference that outlived the workload */
	RECEIPT_HARDWARE,  /* held: its key is gone */
	RECEIPT_OWNED,     /* never left our hands, and has not been given back yet */
	RECEIPT_ASSURANCES,
};

struct receipt_line {
	enum receipt_group group;
	enum receipt_assurance assurance;
	char place[RECEIPT_PLACE];
	uint64_t bytes;  /* zeroed and read back (owned: kept) */
	uint64_t failed; /* known to be left; 0 does not mean that all was seen */
	uint64_t ns;
	char method[RECEIPT_TEXT]; /* how, or why not */
};

struct receipt {
	char session[40], tenant[64], class[16], host[64], boot[40];
	int64_t started, ended; /* CLOCK_REALTIME, ns */
	bool ran;       /* the tenant's code did, or an agent that could hold its keys */
	bool recovered; /* not by the session's own keeper */
	enum receipt_assurance minima[RECEIPT_GROUPS];
	struct receipt_line lines[RECEIPT_LINES];
	size_t n_lines;
};

const char *receipt_group_str(enum receipt_group g);
const char *receipt_assurance_str(enum receipt_assurance a);
bool receipt_assurance_parse(const char *s, enum receipt_assurance *ret);

/* The weakest line of a group; OWNED lines do not count, and a group without a line is
 * NONE. */
enum receipt_assurance receipt_worth(const struct receipt *r, enum receipt_group g);
/* Nothing is known to be left there, and its group's minimum is met; memory that is an
 * object of its own (shared memory, tmpfs) meets `wiped` only as `verified`. */
bool receipt_line_meets(const struct receipt *r, const struct receipt_line *l);
/* All lines do, and each group has one. */
bool receipt_clean(const struct receipt *r);

/* The signed object, *ret_len bytes of it and a final zero. */
__attribute__((warn_unused_result)) enum attest_status
receipt_sign(const struct receipt *r, const struct note_signer *signer,
	     char ret[static RECEIPT_MAX], size_t *ret_len, struct attest_error *reterr);
/*
 * Judges: one object of exactly these members, whose words follow from its lines, signed
 * by `key`. ATTEST_MALFORMED: not a receipt. ATTEST_REFUSED: not signed by that key, or its
 * words say more than its lines.
 */
__attribute__((warn_unused_result)) enum attest_status
receipt_verify(const char *bytes, size_t len, const uint8_t key[static 32], struct receipt *ret,
	       struct attest_error *reterr);
