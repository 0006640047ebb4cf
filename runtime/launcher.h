/*
 * runtime/launcher.h - carries a plan out: a sandbox whose workload stands before its
 * first instruction, proven to be confined, until it is resumed.
 *
 *   launcher_create   every namespace, mount, limit, drop; the workload stands before its
 *                     first instruction and all is read back
 *   launcher_check    it stands there still; asked before anybody writes that it runs
 *   launcher_start    it runs
 *
 * With an agent the program that stands there first is the agent: launcher_start_agent
 * lets it run, launcher_check_again looks at the workload that stands in its place.
 *
 * The caller must be single-threaded, have SIGCHLD blocked and stay the same thread:
 * it becomes the tracer. Nothing is written to disk here and no session is known: a
 * keeper, a benchmark and an OCI front end can all use it.
 */
#pragma once

#include "runtime/cgroup.h"
#include "runtime/inside.h"
#include "runtime/tracer.h"

#define LAUNCHER_EXTRA INSIDE_EXTRA

struct launcher_spec {
	const struct policy_plan *plan;
	int stdio[3];                /* -1: the terminal */
	bool terminal;               /* make a pty inside; its master comes back */
	struct mounts_ids ids;       /* host ids; range only as root */
	const struct cgroup *cgroup; /* made; NULL: none */
	struct policy_rlimit
		extra[LAUNCHER_EXTRA]; /* beside the plan's: for want of a cgroup */
	size_t n_extra;
	bool with_agent;       /* `agent` is executed first, with `agent_sock` as AGENT_SOCK */
	int agent, agent_sock; /* borrowed */
};

struct launcher {
	struct tracer tracer;
	int pidfd;   /* of the sandbox's first process */
	int sock;    /* to the inside, until the exec */
	int sigchld; /* signalfd */
	int master;  /* of the terminal, or -1 */
	int tmpfs
		[MOUNTS_TMPFS]; /* the session's memory file systems: they outlive the sandbox */
	size_t n_tmpfs;
	int program; /* the workload's, O_PATH, where an agent runs first; else -1 */
	bool noswap;
	bool measured; /* the root is a copy of the session's own, with this digest */
	uint8_t digest[TREE_DIGEST];
	struct confine_report report;
	pid_t init_pid, workload_pid; /* host view; kept after they are gone */
	int exit_code;                /* on failure: 125, 126 or 127 */
};

/* On failure nothing of the sandbox is left and ret->exit_code is set. */
__attribute__((warn_unused_result)) enum runtime_status
launcher_create(const struct launcher_spec *spec, struct launcher *ret,
		struct runtime_error *reterr);
__attribute__((warn_unused_result)) enum runtime_status
launcher_check(struct launcher *l, struct runtime_error *reterr);
void launcher_start(struct launcher *l);
/* The agent runs, and what it executes will stand. To be called once, before the start. */
void launcher_start_agent(struct launcher *l);
/* The workload stands where the agent was, with nothing more open than the agent may leave:
 * `extra` descriptors. */
__attribute__((warn_unused_result)) enum runtime_status
launcher_check_again(struct launcher *l, unsigned extra, struct runtime_error *reterr);
/* SIGKILL to the first process: the kernel ends all of them. */
void launcher_kill(struct launcher *l);
/* Kills what is left, waits for the last task, closes everything. Idempotent. */
void launcher_end(struct launcher *l);
