/*
 * runtime/keeper_internal.h - the inside of a keeper, for its three files: keeper.c (from
 * order to end), keeper_admit.c (may it start), keeper_start.c (up to RUNNING).
 */
#pragma once

#include "runtime/clerk.h"
#include "runtime/fault.h"
#include "runtime/journal.h"
#include "runtime/launcher.h"
#include "runtime/wire.h"

struct keeper {
	int control;  /* whoever started us, or -1 */
	int listener; /* RUN/ID.sock */
	int clerk;
	int uid_lock; /* -1 for a user */
	int ring;     /* a detached session's output */
	int out;      /* read end of its pipe */
	struct paths paths;
	uint8_t id[SESSION_ID_BYTES];
	char name[64];
	bool detached, stopping;
	struct policy_plan *plan;
	struct journal_writer *journal;
	struct cgroup cgroup;
	bool cgroup_made;
	struct launcher_spec spec;
	struct launcher launcher;
	int64_t kill_at;        /* ms, 0: none */
	int64_t clerk_retry_at; /* ms, 0: connected */
	struct journal_fact facts[24];
	size_t n_facts;
};

/* For what must not stop us when it fails: each caller says why. */
static inline void best_effort(enum runtime_status s)
{
	(void)s;
}

/* What a plan can say and this build or host cannot do is refused, never left out. */
__attribute__((warn_unused_result)) enum runtime_status
keeper_admit_plan(const struct policy_plan *p, struct runtime_error *reterr);
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
/* Filter, exec, read-back, RUNNING. */
__attribute__((warn_unused_result)) enum runtime_status
keeper_start(struct keeper *k, struct runtime_error *reterr);
/* Gives the clerk duplicates of everything that must outlive a keeper. */
__attribute__((warn_unused_result)) enum runtime_status
keeper_hold(struct keeper *k, struct runtime_error *reterr);
