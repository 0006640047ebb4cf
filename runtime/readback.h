/*
 * runtime/readback.h - asks the kernel, from outside, what the workload's process is
 * before its first instruction: ids, five capability sets, no_new_privs, seccomp, every
 * namespace, mounts, working folder, open files, limits, cgroups, signals. One difference
 * refuses the session.
 *
 * In two steps, because the first overlaps the loading of the filter: what no exec changes
 * is read once the workload is ready, the rest when it stands behind its exec.
 */
#pragma once

#include "runtime/launcher.h"

#define READBACK_NAMESPACES 8

/* The first process too: once its filter is loaded it has given up everything. Waits for
 * that, a few seconds at most. */
__attribute__((warn_unused_result)) enum runtime_status
readback_first(pid_t pid, const struct launcher_spec *spec, struct runtime_error *reterr);

/* What the keeper itself is, which a workload must not be. */
struct readback_host {
	struct {
		dev_t dev;
		ino_t ino;
	} namespaces[READBACK_NAMESPACES];
	unsigned long filters; /* seccomp filters that are inherited */
};

/* rlimits, mounts, cgroups: from READY on, when only the filter and the exec are to come. */
__attribute__((warn_unused_result)) enum runtime_status
readback_ready(pid_t pid, const struct launcher_spec *spec, struct runtime_error *reterr);

__attribute__((warn_unused_result)) enum runtime_status
readback_here(struct readback_host *ret, struct runtime_error *reterr);
__attribute__((warn_unused_result)) enum runtime_status
readback_workload(pid_t pid, const struct launcher_spec *spec, const struct readback_host *here,
		  struct runtime_error *reterr);
/* At the exec that ends the agent: of what an exec can leave, open files. */
__attribute__((warn_unused_result)) enum runtime_status
readback_again(pid_t pid, unsigned extra, struct runtime_error *reterr);
