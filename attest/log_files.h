/* attest/log_files.h - what the reader of a log and its judge share. Private to both. */
#pragma once

#include "attest/log_reader.h"

/* Opens a path below `dirfd`; no link is followed, no device or pipe waited for. */
int log_file_open(int dirfd, const char *path, int flags);
/* Why that, or reading it, failed, by errno: the log lacks it, it may not be read, or the
 * disk fails. */
__attribute__((warn_unused_result)) enum attest_status
log_file_failed(const char *path, struct attest_error *reterr);
/* How wide that tile, or bundle, of a log of `size` is; 0: it has none. */
unsigned log_tile_width(uint64_t size, unsigned level, uint64_t index);
/* The hashes of a tile, from its file or, cut, from that of the full tile. */
__attribute__((warn_unused_result)) enum attest_status
log_tile_hashes(int dirfd, const struct tlog_tile *t,
		struct tlog_hash ret[static TLOG_TILE_WIDTH], struct attest_error *reterr);
/* The entries of a bundle, likewise. *ret_bytes holds them, whatever the status: the
 * caller's to free; it must be NULL or so freed before. */
__attribute__((warn_unused_result)) enum attest_status
log_bundle_read(int dirfd, const struct tlog_tile *t, uint8_t **ret_bytes,
		struct log_bundle *ret, struct attest_error *reterr);
