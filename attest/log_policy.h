/*
 * attest/log_policy.h - whose word about a log counts: which logs, which witnesses, and how
 * many of them (C2SP tlog-policy).
 *
 *   log VKEY [URL]
 *   witness NAME VKEY [URL]
 *   group NAME all|any|K MEMBER...     members are defined above it, and in one group each
 *   quorum NAME|none                   exactly once
 *
 * Words are separated by spaces and tabs; a line that begins with # is a comment. A witness
 * with a key of a kind that is not judged here is one that never cosigns. Thread-safe.
 */
#pragma once

#include "attest/note.h"

#define LOG_POLICY_MAX (256u << 10) /* bytes */
#define LOG_POLICY_LOGS 64u
#define LOG_POLICY_WITNESSES 64u
#define LOG_POLICY_GROUPS 64u

struct log_policy;

/* A policy that names no log says nothing: ATTEST_MALFORMED. */
__attribute__((warn_unused_result)) enum attest_status
log_policy_parse(const char *bytes, size_t len, struct log_policy **ret,
		 struct attest_error *reterr);
/* One log and no witness. ATTEST_MALFORMED: not the key of a log. */
__attribute__((warn_unused_result)) enum attest_status
log_policy_of_key(const struct note_verifier *key, struct log_policy **ret,
		  struct attest_error *reterr);
void log_policy_free(struct log_policy *p); /* accepts NULL */

/* Opens a checkpoint of any log of the policy that its quorum has cosigned. Marks in
 * *ret_note point into the policy. */
__attribute__((warn_unused_result)) enum attest_status
log_policy_open(const struct log_policy *p, const char *bytes, size_t len,
		struct checkpoint *ret, struct note *ret_note, struct attest_error *reterr);
