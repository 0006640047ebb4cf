/*
 * runtime/confine.h - what a process gives up before it becomes the workload: ids,
 * capabilities, privileges to come, files outside its rules, system calls. Each step is
 * read back by the process itself where only it can (securebits, Landlock); the keeper
 * reads the rest from outside (runtime/readback.h).
 */
#pragma once

#include "policy/policy.h"
#include "runtime/runtime.h"

/* What was obtained; goes into the session's journal. */
struct confine_report {
	int landlock_abi; /* 0: this kernel has none */
	bool core_sched;  /* a cookie of its own */
	int core_errno;   /* why not */
	int store_bypass; /* PR_GET_SPECULATION_CTRL's answer, or -errno */
	int indirect_branch;
	bool rlimit_clamped;
	bool groups_kept; /* an ordinary user cannot drop supplementary groups */
};

/* One cookie for the whole sandbox: its tasks share a core with nobody else's. Called in
 * the first process, before it forks. */
void confine_core(struct confine_report *r);

/* Speculation controls, umask, keyring. */
__attribute__((warn_unused_result)) enum runtime_status
confine_attributes(const struct policy_process *p, struct confine_report *r,
		   struct runtime_error *reterr);

/* A limit above the host's hard one is refused where the policy demands it, else
 * clamped and reported. */
__attribute__((warn_unused_result)) enum runtime_status
confine_rlimits(const struct policy_rlimit *limits, size_t n, bool demanded,
		struct confine_report *r, struct runtime_error *reterr);

/* Ids and all five capability sets, securebits locked, no_new_privs; read back. `ids`
 * false: the process has only one id already and cannot change its groups. */
__attribute__((warn_unused_result)) enum runtime_status
confine_identity(uint32_t uid, uint32_t gid, const uint32_t *groups, size_t n_groups,
		 const uint64_t caps[static POLICY_CAPSETS], bool ids, struct confine_report *r,
		 struct runtime_error *reterr);

/* Landlock at the newest ABI that kernel and build know. `probe` is a folder that no
 * rule covers: it must open before and must not after. `agent` (or -1) is a program of the
 * host's that is executed first. */
__attribute__((warn_unused_result)) enum runtime_status
confine_files(const struct policy_plan *plan, int probe, int agent, struct confine_report *r,
	      struct runtime_error *reterr);

/* The filter, on a floor that no profile opens; nothing but the exec may follow. Returns
 * 0 or an errno. */
int confine_calls(const struct policy_plan *plan);
/* How many filters confine_calls() adds. */
unsigned confine_filters(const struct policy_plan *plan);
/* The filter of the sandbox's first process: it may wait and end. */
int confine_init_calls(void);
