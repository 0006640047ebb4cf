/*
 * attest/attest.h - what all of attest/ shares: statuses and findings. What an outsider
 * can check lives in this module: the audit log, signed statements, evidence.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

enum attest_status {
	ATTEST_OK = 0,
	ATTEST_REFUSED,   /* the answer is no: a signature, proof, tile or rule does not hold */
	ATTEST_MALFORMED, /* not this format at all, or unreadable */
	ATTEST_SYSTEM,    /* could not tell: disk, memory, libcrypto */
};

/* Exit status of a program: 0, 1, 2, 3. */
int attest_exit(enum attest_status s);

struct attest_error {
	char what[320];  /* one line: what is wrong */
	char where[192]; /* file, offset, line, index; may be empty */
	char hint[256];  /* what to do; may be empty */
};

/* Fills `e` (NULL is allowed) and returns `s`; errno stays as it was. */
__attribute__((format(printf, 5, 6))) enum attest_status
attest_fail(struct attest_error *e, enum attest_status s, const char *where, const char *hint,
	    const char *what, ...);
/* The status as a value that compilers and analyzers see at the call. */
#define attest_fail(e, s, ...)                                                                 \
	({                                                                                     \
		(void)(attest_fail)(e, s, __VA_ARGS__);                                        \
		(s);                                                                           \
	})
/* "PROGRAM: WHERE: WHAT; HINT" as one line, control bytes escaped. */
void attest_error_print(FILE *to, const char *program, const struct attest_error *e);
