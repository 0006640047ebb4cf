/*
 * attest/log_writer.h - the one writer of an audit log on disk: log before act, group
 * commit, signed checkpoints, recovery.
 *
 * Files below the log's folder (C2SP tlog-tiles, and a state of our own):
 *   checkpoint, tile/...             what readers read and judge
 *   .state/lock                      one writer
 *   .state/journal.N                 entries that were acknowledged, framed, checksummed
 *   .state/signed                    last size and root signed, durable before a signature
 *                                    is shown to anybody, and the checkpoint before it
 *   .state/reserve                   room for the end on a full disk
 *   .state/temp                      what is just being written
 * All are for their owner alone.
 *
 * Orders of writes and the rules of a start after a crash: log_writer.c. A failed flush
 * spoils the writer for good: log_failed() says so, everything but log_close is refused
 * with ATTEST_SYSTEM from then on, and only a new start may write again. Not thread-safe.
 */
#pragma once

#include "attest/note.h"

#define LOG_ENTRY_MAX 16384u         /* bytes of an entry that we write */
#define LOG_GROUP 256u               /* entries that one commit takes ... */
#define LOG_GROUP_BYTES (256u << 10) /* ... and bytes, with 16 more for each entry */
/* One more segment of the journal and the tiles of what is in it, with entries of common
 * size. */
#define LOG_RESERVE (2u << 20)

struct log_writer;

/* What a start found. */
struct log_start {
	uint64_t size;      /* entries there are */
	uint64_t cut_bytes; /* of a torn tail that nobody was told about; said at each start
			     * until the next entry: the caller logs it as its first */
	bool fresh;         /* there was no log: it was made */
	bool put_back;      /* the checkpoint was older than a crash leaves it: somebody put
			     * an old one there (or none); it was replaced */
};

/*
 * Opens or makes the log in `dirfd` (a folder whose name is durable; borrowed). `origin` of
 * its checkpoints is the signer's name; the signer is borrowed until log_close. Time and
 * reading are proportional to the journal's tail, not to the log.
 *
 * ATTEST_REFUSED: what was signed is not there or not the same (tampered, or an old copy
 * was restored), or the disk is full; what is there stays as it is. ATTEST_SYSTEM: another
 * writer, disk, memory.
 */
__attribute__((warn_unused_result)) enum attest_status
log_open(int dirfd, const struct note_signer *signer, struct log_writer **ret,
	 struct log_start *ret_start, struct attest_error *reterr);
/* The index that the next log_append gives. */
uint64_t log_next(const struct log_writer *w);
/* Buffers an entry (1..LOG_ENTRY_MAX bytes) and says the index that it will have. Nothing
 * is durable yet. ATTEST_REFUSED: the group is full, commit first; or no such entry. */
__attribute__((warn_unused_result)) enum attest_status log_append(struct log_writer *w,
								  const void *entry, size_t len,
								  uint64_t *ret_index,
								  struct attest_error *reterr);
/* Makes all that was appended durable: one write, one flush. Otherwise none of it counts,
 * its indexes are given anew, and nothing may be done that relied on it (a later start may
 * still find it). ATTEST_REFUSED: the disk is full; the writer goes on, and takes entries
 * again when there is room for a reserve. A failed flush spoils. */
__attribute__((warn_unused_result)) enum attest_status log_commit(struct log_writer *w,
								  struct attest_error *reterr);
/* For a full disk: gives up the reserve, and commits this one entry in the room that it
 * leaves. Can be said again as long as there is room. What was appended before must be
 * committed or refused by then. */
__attribute__((warn_unused_result)) enum attest_status
log_last_words(struct log_writer *w, const void *entry, size_t len, uint64_t *ret_index,
	       struct attest_error *reterr);
/* Some of the next log_publish's work ahead of it: one full bundle and its tile, where there
 * is one; *ret_more: and there is another. For a writer whose waiters should not wait for
 * long, called when they have their answers. */
__attribute__((warn_unused_result)) enum attest_status
log_publish_ahead(struct log_writer *w, bool *ret_more, struct attest_error *reterr);
/* Tiles, then `.state/signed`, then a checkpoint over everything committed. A full disk is
 * ATTEST_REFUSED; what was committed stays so, and a later call does the rest. */
__attribute__((warn_unused_result)) enum attest_status log_publish(struct log_writer *w,
								   struct attest_error *reterr);
uint64_t log_size(const struct log_writer *w);      /* committed entries */
uint64_t log_published(const struct log_writer *w); /* size of the checkpoint */
bool log_failed(const struct log_writer *w);
/* How many flushes were made; for tests and benchmarks. */
struct log_flushes {
	uint64_t commits, fsyncs; /* of groups in the journal; of all else */
};
struct log_flushes log_flushes(const struct log_writer *w);
/* Publishes what is not yet published (unless spoilt), unlocks, frees. Accepts NULL. */
__attribute__((warn_unused_result)) enum attest_status log_close(struct log_writer *w,
								 struct attest_error *reterr);
