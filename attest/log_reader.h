/*
 * attest/log_reader.h - a log's folder, read and judged by somebody who did not write it.
 *
 * Any folder of C2SP tlog-tiles: `checkpoint` and `tile/...`; what else is there is not
 * looked at. No symbolic link below the folder is followed, a file of another length than
 * it must have is refused, and nothing is believed: see log_judge. Entries are opaque.
 *
 * A tile that is not there, or not what it should be, is ATTEST_REFUSED: the checkpoint
 * promised it. ATTEST_MALFORMED: there is no log, or it may not be read. ATTEST_SYSTEM: the
 * disk fails. Not thread-safe.
 */
#pragma once

#include "attest/note.h"

/* The note as it is, with a zero behind it; the caller's to free. */
__attribute__((warn_unused_result)) enum attest_status
log_checkpoint_read(int dirfd, char **ret, size_t *ret_len, struct attest_error *reterr);

struct log_reader;

/* A reader of the first `size` entries in `dirfd`, which is borrowed. */
__attribute__((warn_unused_result)) enum attest_status
log_reader_new(int dirfd, uint64_t size, struct log_reader **ret, struct attest_error *reterr);
void log_reader_free(struct log_reader *r); /* accepts NULL */

/* What tiles say; the source lives as long as the reader. */
struct tlog_source log_reader_source(struct log_reader *r);

/* Up to 256 entries; in the reader's memory until the next call. */
struct log_bundle {
	uint64_t first; /* index of the first one */
	unsigned n;
	const uint8_t *entries[TLOG_TILE_WIDTH];
	uint16_t lengths[TLOG_TILE_WIDTH];
};

/* What bundle number `index` says. Where it is not whole, *ret holds the entries before
 * that and the status is ATTEST_REFUSED. */
__attribute__((warn_unused_result)) enum attest_status
log_reader_bundle(struct log_reader *r, uint64_t index, struct log_bundle *ret,
		  struct attest_error *reterr);
/* The same, and its entries are those of the tree with this root. */
__attribute__((warn_unused_result)) enum attest_status
log_reader_proven(struct log_reader *r, uint64_t index, const struct tlog_hash *root,
		  struct log_bundle *ret, struct attest_error *reterr);

struct log_judge {
	const struct checkpoint *now; /* opened: its signature holds */
	const struct checkpoint *old; /* one from before that the log must extend; or NULL */
	/* Each entry in turn, as it stands in a bundle that agrees with its tile; NULL: none
	 * is asked. Anything but ATTEST_OK ends the judgement. */
	enum attest_status (*entry)(void *arg, uint64_t index, const uint8_t *bytes, size_t len,
				    struct attest_error *reterr);
	/* A file below `tile` that is no part of the log, which it does not spoil. */
	void (*extra)(void *arg, const char *path, const char *what);
	void *arg;
};

/* Where the log first went wrong, and how far it was good. */
struct log_judged {
	uint64_t entries;        /* that agree with all tiles above them */
	uint64_t tiles, bundles; /* files that agree */
	uint64_t leftovers;      /* partial ones of an older size, which agree too */
	bool has_index;
	uint64_t index; /* the first bad entry, or the first that a bad tile stands for */
	char tile[TLOG_PATH_MAX]; /* the file; "" where it is none */
};

/*
 * Every entry, every tile, every tile's parent, the root, the older checkpoint, and every
 * other tile of the folder, one bundle in memory at a time. *ret is written in any case.
 */
__attribute__((warn_unused_result)) enum attest_status log_judge(int dirfd,
								 const struct log_judge *j,
								 struct log_judged *ret,
								 struct attest_error *reterr);
