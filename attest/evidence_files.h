/*
 * attest/evidence_files.h - what the programs that judge evidence read from files, and how
 * they show an answer. Findings are returned, not printed.
 */
#pragma once

#include "attest/evidence.h"

/* A whole file of at most `max` bytes and a zero behind it; the caller's to free.
 * ATTEST_MALFORMED: it cannot be read, or is larger. */
__attribute__((warn_unused_result)) enum attest_status
evidence_read_file(const char *path, size_t max, char **ret, size_t *ret_len,
		   struct attest_error *reterr);
/* A file, or each file of a folder (not those whose names begin with a dot, and not those
 * of folders within). An empty folder is ATTEST_MALFORMED: somebody meant another. */
__attribute__((warn_unused_result)) enum attest_status
endorsements_load(struct endorsements *en, enum endorsement_role role, const char *path,
		  struct attest_error *reterr);
/* The attestation block of a policy's file. */
__attribute__((warn_unused_result)) enum attest_status
evidence_load_policy(const char *path, struct policy_attestation **ret,
		     struct attest_error *reterr);

/* RFC 3339 with seconds, in any zone; a fraction is cut off. */
bool evidence_time_parse(const char *text, int64_t *ret);

/* The answer as aligned tables for people. */
void evidence_print(FILE *to, const struct attest_result *r);
/* One object, schema cordon.verify/1; false: no memory, or it could not be written. */
bool evidence_print_json(FILE *to, const struct attest_result *r);
