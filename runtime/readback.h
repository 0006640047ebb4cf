/*
 * runtime/readback.h - asks the kernel, from outside, what the workload's process is
 * before its first instruction: ids, five capability sets, no_new_privs, seccomp, every
 * namespace, mounts, working folder, open files, signals. One difference refuses the session.
 */
#pragma once

#include "runtime/launcher.h"

__attribute__((warn_unused_result)) enum runtime_status
readback_workload(pid_t pid, const struct launcher_spec *spec, struct runtime_error *reterr);
