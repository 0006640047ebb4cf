/* attest/keyd_files.h - the store's small files: whole and durable under their name, or not
 * there; secrets for their owner alone. Private to the store. */
#pragma once

#include "attest/attest.h"

/* Makes `name`; ATTEST_REFUSED: there is one. */
__attribute__((warn_unused_result)) enum attest_status
keyd_file_make(int dirfd, const char *name, mode_t mode, const void *bytes, size_t len,
	       struct attest_error *reterr);
/* Replaces `name` where it does not hold these bytes already: for what others may read. */
__attribute__((warn_unused_result)) enum attest_status
keyd_file_show(int dirfd, const char *name, const void *bytes, size_t len,
	       struct attest_error *reterr);
/* A regular file of ours that nobody else may open, of at most `size` bytes. ATTEST_REFUSED:
 * it is not there, not ours, larger, or open to others. */
__attribute__((warn_unused_result)) enum attest_status
keyd_file_secret(int dirfd, const char *name, void *ret, size_t size, size_t *ret_len,
		 struct attest_error *reterr);
