/*
 * runtime/rootfs_copy.h - a root file system of the session's own: a copy of a folder, in
 * memory that nobody else can write, so that what was measured is what runs.
 */
#pragma once

#include "runtime/runtime.h"

/* Copies what is below `from` (folders, files, symbolic links; modes; owners raised by
 * `first_id` where `ids`, else all the caller's) to the empty folder `to`. Set-id bits,
 * extended attributes and times are left behind; anything else, such as a device, is
 * refused. Nothing is followed. */
__attribute__((warn_unused_result)) enum runtime_status
rootfs_copy(int from, int to, uid_t first_id, bool ids, struct runtime_error *reterr);
/* The bytes that the copy will take, in whole pages. */
__attribute__((warn_unused_result)) enum runtime_status
rootfs_size(int from, uint64_t *ret, struct runtime_error *reterr);
