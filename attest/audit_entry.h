/*
 * attest/audit_entry.h - entries of a log as its judge sees them: cordon's own ones, and
 * the rules that they keep. Any other entry is opaque and breaks none.
 *
 * An entry is cordon's own when it is a JSON object in canonical form (names ascend, no
 * spaces) with "v":1, a number "seq" and a time "t" as log_entry.h has it. Then:
 *   - its seq is its index;
 *   - its time is not before that of the own entry in front of it, unless one of the two
 *     is of kind clock.step or log.start and so says why.
 */
#pragma once

#include "attest/attest.h"
#include "attest/span.h"

struct audit_entry {
	uint64_t seq;
	struct span t, kind; /* within the entry, without quotes; kind may be empty */
};

/* False: not one of cordon's own. Values that are not asked for are skipped, not judged. */
bool audit_entry_scan(const uint8_t *bytes, size_t len, struct audit_entry *ret);

/* What the rules must know of the entries before; all zero in the beginning. */
struct audit_rules {
	char last[32];  /* time of the last own entry */
	bool explained; /* it says why time may go back */
	uint64_t own;   /* how many there were */
};

/* ATTEST_REFUSED: the entry breaks a rule. */
__attribute__((warn_unused_result)) enum attest_status
audit_rules_check(struct audit_rules *r, uint64_t index, const uint8_t *bytes, size_t len,
		  struct attest_error *reterr);
