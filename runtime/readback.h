/*
 * runtime/readback.h - asks the kernel, from outside, what the workload's process is
 * before its first instruction: ids, five capability sets, no_new_privs, seccomp, every
 * namespace, mounts, working folder, open files, signals. One difference refuses the session.
 */
#pragma once

#include "runtime/launcher.h"

/* The first process too: once its filter is loaded it has given up everything. Waits for
 * that, a second at most. */
__attribute__((warn_unused_result)) enum runtime_status
readback_first(pid_t pid, const struct launcher_spec *spec, struct runtime_error *reterr);

__attribute__((warn_unused_result)) enum runtime_status
readback_workload(pid_t pid, const struct launcher_spec *spec, struct runtime_error *reterr);
