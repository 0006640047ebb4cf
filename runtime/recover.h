/*
 * runtime/recover.h - cleaning up after sessions whose keeper died. What is left of
 * their processes is killed, by pidfd after the start time matched; their cgroups and
 * sockets are removed; what the clerk still holds of their memory is wiped; their journals
 * reach an end that is true, with a receipt in the audit log. Sessions that ended in
 * QUARANTINE with memory held, or without their entry in the log, are tried again.
 *
 * Only journals of the caller's own euid are touched. It may be killed at any point and
 * run again, and two at once are safe: a journal's lock decides who mends it.
 */
#pragma once

#include "runtime/journal.h"

enum recover_outcome {
	RECOVER_MENDED = 1, /* the journal came to an end */
	RECOVER_REMOVED,    /* a journal without a first record: nothing had been held */
	RECOVER_UNREADABLE, /* a malformed journal, left as it is; `error` says why */
	RECOVER_FAILED,     /* something could not be done; `error` says what */
};

struct recovered {
	char hex[SESSION_ID_HEX];
	char name[64];
	enum recover_outcome outcome;
	enum session_state was, now;
	char why[JOURNAL_VALUE];
	unsigned killed, folders; /* processes that still lived, cgroups named in the journal */
	struct runtime_error error;
};

/* Looks at every session and calls `say` for each that it mended or could not mend;
 * *ret_worst is the worst of those (RUNTIME_SYSTEM, RUNTIME_MALFORMED, RUNTIME_OK).
 * `clerk` is the path of cordon-clerk: where none runs, one is started for the log. */
typedef void recover_say(void *arg, const struct recovered *r);
__attribute__((warn_unused_result)) enum runtime_status
recover_all(const struct paths *p, const char *clerk, recover_say *say, void *arg,
	    enum runtime_status *ret_worst, struct runtime_error *reterr);

/* Whether the path of a journal's `cgroup` fact may be removed for that session: it is
 * absolute, without "." and "..", and its last part is "cordon-" and the whole id. */
bool recover_cgroup_path(const char *path, const char hex[static SESSION_ID_HEX]);
