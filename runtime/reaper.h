/*
 * runtime/reaper.h - what the keeper does at each task's exit stop: who dies there, who
 * still uses the same memory, and wiping it when nobody does.
 *
 * The tracer tells of every task. Tasks that share an address space (threads, vfork, spawn,
 * CLONE_VM) are counted together, and the kernel is asked (kcmp) before memory is touched
 * whose sharers are not all known to be on their way out: a live process must never be
 * wiped. Where that cannot be told, nothing is wiped and the result says so.
 */
#pragma once

#include "memscrub/process.h"
#include "runtime/tracer.h"

struct reaper_task {
	pid_t tid; /* 0: a free slot */
	uint32_t space;
	bool leaving; /* let go from its exit stop */
};

struct reaper_space {
	uint32_t users;   /* not leaving */
	uint32_t members; /* 0: a free slot */
	uint32_t seen;    /* the exit at which it was last listed */
	bool copied;      /* by a fork, or from one */
};

struct reaper {
	bool started, locked;      /* locked: the wiper cannot be paged out */
	bool blind;                /* it cannot be told who shares memory: nothing is wiped */
	struct reaper_task *tasks; /* open addressing by tid */
	struct reaper_space *spaces;
	pid_t *peers; /* room for both lists of struct process_peers */
	size_t capacity, n;
	uint32_t exits;
	int ipc; /* the workload's ipc namespace, or -1 */
	struct shared_set shared;
	struct process_result result;
	uint64_t processes, missed; /* wiped at the end; died without a stop */
	int64_t killed_at;          /* ns: when the first one that was killed stopped */
	uint64_t killed_ns;         /* from then until the last of them was wiped */
	struct memscrub_error why;  /* the first finding */
};

/* `spare` are n descriptors of the workload that are not the session's own. */
__attribute__((warn_unused_result)) enum runtime_status
reaper_init(struct reaper *r, const int *spare, size_t n, struct runtime_error *reterr);
/* The workload stands at its exec; from now on every task of `t` is followed. Before, there
 * is nothing of the tenant's in memory. `mounts` are the session's own n memory file systems:
 * their removed files are the reaper's, all others are not. */
__attribute__((warn_unused_result)) enum runtime_status
reaper_start(struct reaper *r, struct tracer *t, const int *mounts, size_t n,
	     struct runtime_error *reterr);

/* What was done, once no task is left. */
struct reaper_result {
	struct scrub_result anonymous; /* wiped at the exit stops */
	struct scrub_result in_place;  /* shared objects out of a holder's reach: wiped alike */
	struct scrub_result shared;    /* the others: scrubbed afterwards, verified */
	uint64_t processes;            /* address spaces wiped */
	uint64_t
		killed_ns; /* from the first SIGKILL that was seen to the last wipe after one */
	struct memscrub_error why; /* the first finding, when something failed */
};

/* Scrubs the objects that outlived the last task, and ends. Without reaper_start() all is
 * zero. Idempotent. */
void reaper_finish(struct reaper *r, struct reaper_result *ret);
