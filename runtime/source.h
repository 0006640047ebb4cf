/*
 * runtime/source.h - host folders and files that a plan names.
 *
 * Whoever may write to a folder on the way could put a link there, and so choose what is
 * shown to a workload as its own: links are not followed. The descriptor is judged, not
 * the path, together with everything that is mounted below it.
 */
#pragma once

#include "runtime/runtime.h"

/* *ret_fd is an O_PATH descriptor. Refused: links on the way, the host's root and /dev,
 * devices, sockets, and file systems of the kernel's own, there or anywhere below. */
__attribute__((warn_unused_result)) enum runtime_status
source_open(const char *path, int *ret_fd, struct runtime_error *reterr);
