/*
 * runtime/keeper_internal.h - the inside of a keeper, for its five files: keeper.c (from
 * order to end), keeper_admit.c (may it start), keeper_start.c (up to RUNNING),
 * keeper_attest.c (keys first), keeper_end.c (what becomes of its memory).
 */
#pragma once

#include "runtime/clerk.h"
#include "runtime/fault.h"
#include "runtime/journal.h"
#include "runtime/launcher.h"
#include "runtime/reaper.h"
#include "runtime/wire.h"

struct keeper {
	int control;  /* whoever started us, or -1 */
	int listener; /* RUN/ID.sock */
	int clerk;
	int uid_lock; /* -1 for a user */
	int ring;     /* a detached session's output */
	int out;      /* read end of its pipe */
	int receipt;  /* where a copy of the receipt is wanted, or -1 */
	struct paths paths;
	uint8_t id[SESSION_ID_BYTES];
	char name[64];
	bool detached, stopping;
	bool ran;               /* the tenant's code may have */
	bool agent_ran;         /* the agent may have held one of the tenant's keys */
	bool keyed, refused;    /* what the agent said last */
	bool script;            /* the program is one for an interpreter */
	int agent;              /* our end of its socket, or -1 */
	int proxy, proxy_words; /* pidfd of the byte proxy, its standard error */
	int64_t attest_until;   /* ms, 0: not attesting */
	struct runtime_error refusal;
	char said[JOURNAL_VALUE]; /* the end in words */
	struct policy_plan *plan;
	struct journal_writer *journal;
	struct cgroup cgroup;
	bool cgroup_made;
	struct launcher_spec spec;
	struct launcher launcher;
	struct reaper reaper;
	int64_t kill_at;        /* ms, 0: none */
	int64_t clerk_retry_at; /* ms, 0: connected */
	struct journal_fact facts[32];
	size_t n_facts;
};

/* For what must not stop us when it fails: each caller says why. */
static inline void best_effort(enum runtime_status s)
{
	(void)s;
}

/* What a plan can say and this build or host cannot do is refused, never left out. */
__attribute__((warn_unused_result)) enum runtime_status
keeper_admit_plan(const struct keeper *k, struct runtime_error *reterr);
/* A label is unique among live sessions. The keeper's own journal exists already, so of two
 * that start at once at least one sees the other. */
__attribute__((warn_unused_result)) enum runtime_status
keeper_admit_label(const struct keeper *k, struct runtime_error *reterr);

/* The journal's first record. */
__attribute__((warn_unused_result)) enum runtime_status
keeper_begin(struct keeper *k, struct runtime_error *reterr);
/* Limits, streams, sandbox, holds: everything but the workload. `stdio` is borrowed. */
__attribute__((warn_unused_result)) enum runtime_status
keeper_prepare(struct keeper *k, const int stdio[3], struct runtime_error *reterr);
/* Checked, entered in the log, RUNNING. */
__attribute__((warn_unused_result)) enum runtime_status
keeper_start(struct keeper *k, struct runtime_error *reterr);
/* Gives the clerk duplicates of everything that must outlive a keeper. */
__attribute__((warn_unused_result)) enum runtime_status
keeper_hold(struct keeper *k, struct runtime_error *reterr);
/* Where the file system with the session's keys is among launcher.tmpfs: the last, or none. */
size_t keeper_keys_at(const struct keeper *k);
/* From STOPPING on a failed write is kept in memory by the journal and never stops us. */
void keeper_move(struct keeper *k, enum session_event ev, const char *why);
/* The step is entered in the audit log, durably. A clerk that died is started again. */
__attribute__((warn_unused_result)) enum runtime_status
keeper_record(struct keeper *k, enum wire_record what, struct runtime_error *reterr);
/* The wait status that the session ends with. */
int keeper_wait_status(const struct keeper *k);
/* A note for the journal, written with the next ones. */
__attribute__((format(printf, 3, 4))) void keeper_fact(struct keeper *k, const char *key,
						       const char *format, ...);
/* Program NAME in the folder of our own; NULL: no such path. Static memory. */
const char *keeper_beside(const char *name);
int64_t keeper_now_ms(void);
/* Serves all that there is until `over`. */
void keeper_watch(struct keeper *k, bool (*over)(const struct keeper *k));

struct agent_job;
/* What the evidence will say, as facts; and what the agent is told. */
__attribute__((warn_unused_result)) enum runtime_status
keeper_measure(struct keeper *k, struct agent_job *job, struct runtime_error *reterr);
/* ATTESTING: the agent runs. OK when every key is in its file and the workload stands at
 * its exec; else all is still there to be killed and wiped. */
__attribute__((warn_unused_result)) enum runtime_status
keeper_attest(struct keeper *k, const struct agent_job *job, struct runtime_error *reterr);
void keeper_hear_agent(struct keeper *k);

/* From the last task's death, or from a refusal (in words), to the final state: scrub,
 * receipt, log. */
void keeper_finish(struct keeper *k, const char *refused);
