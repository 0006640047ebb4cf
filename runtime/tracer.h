/*
 * runtime/tracer.h - the keeper's hold on every task of a sandbox: from before the first
 * one runs until the last one is gone.
 *
 * All tasks are seized (TRACECLONE and its kin make each child arrive traced), so that
 * each stops once more when it dies, with its memory still there: that stop is the only
 * moment at which private memory can be overwritten. EXITKILL: a keeper that dies takes
 * the sandbox with it. One thread only: ptrace belongs to the thread that seized.
 */
#pragma once

#include "runtime/runtime.h"

struct tracer {
	pid_t init;     /* first process of the sandbox; 0 once it is gone */
	pid_t workload; /* the process that becomes the workload; 0 until it was forked */
	bool workload_gone, exec_stop;    /* exec_stop: it stands at an exec, unresumed */
	bool workload_leaving;            /* it has been at its exit stop */
	bool hold;                        /* its next exec is left standing */
	int workload_status, init_status; /* wait statuses, once gone */
	/* Called at each task's exit stop, before the kernel frees its memory. */
	void (*exit_stop)(pid_t pid, void *arg);
	/* What else there is to know of tasks; each may be NULL. The tracer's order is not
	 * the kernel's: a child may have appeared, and even be gone, before it was born. */
	void (*born)(pid_t parent, pid_t child, void *arg);
	void (*appeared)(pid_t pid, void *arg); /* stands; at the first time it has not run */
	void (*execed)(pid_t pid, pid_t former, void *arg); /* former: its id until then */
	void (*gone)(pid_t pid, void *arg);                 /* it was reaped */
	void *arg;
};

/* Seizes `init`, which must not have forked yet. */
__attribute__((warn_unused_result)) enum runtime_status
tracer_seize(struct tracer *t, pid_t init, struct runtime_error *reterr);

/* Handles the stops and deaths that are there now; never blocks. The first exec of the
 * workload is left standing until tracer_resume(), and with `hold` there the next one. Call on SIGCHLD. True: there may be more,
 * call again soon; a sandbox that stops as fast as it can must not hold its keeper. */
bool tracer_pump(struct tracer *t);
/* Is the workload still at its exec stop? Asked once, right before it is told to run. */
bool tracer_standing(struct tracer *t);
void tracer_resume(struct tracer *t, bool hold);
/* True when no task of the sandbox is left (all were reaped). */
bool tracer_empty(const struct tracer *t);
