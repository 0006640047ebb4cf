/*
 * attest/log_journal.h - the write-ahead journal of a log: entries that were acknowledged,
 * from the last full bundle that is durable to the newest.
 *
 * Segments `.state/journal.N` of LOG_SEGMENT bytes hold frames, the first that of entry N;
 * a segment ends where the next one begins, whatever stands behind. Frame, little-endian:
 *
 *   000h length u32   1..LOG_ENTRY_MAX; 0 where nothing was written yet
 *   004h CRC-32C u32  of the sequence number and the entry
 *   008h sequence number u64
 *   010h the entry
 *
 * A segment's blocks are allocated, written with zeros and durable before its first frame,
 * so that a commit is one write into them and one flush, and a full disk is met where a
 * segment is made, not in the middle of one.
 */
#pragma once

#include "attest/log_disk.h"
#include "policy/reader.h"

#define LOG_SEGMENT (1u << 20)
#define LOG_SEGMENTS 64u /* that one journal may have; more wait for a publish */
#define LOG_FRAME_HEAD 16u

/* ---- bytes -------------------------------------------------------------------------- */

struct log_frame {
	const uint8_t *entry; /* in the reader's bytes */
	size_t len;
};

void log_frame_write(struct wr *w, uint64_t seq, const void *entry, size_t len);
/* The frame of entry `seq`; false, and the reader where it was, when there is none. */
bool log_frame_read(struct rd *r, uint64_t seq, struct log_frame *ret);

/* What was found in one segment. */
struct log_segment {
	uint64_t next; /* the entry behind the last good frame */
	size_t used;   /* bytes of good frames */
	size_t torn;   /* bytes behind them, up to the last one that is not zero */
};

/* Called for each entry in order; anything but ATTEST_OK ends the reading. */
typedef enum attest_status log_take(void *arg, uint64_t seq, const struct log_frame *f,
				    struct attest_error *e);

/* Frames from entry `first` on, up to entry `end` or the first that is not good. */
__attribute__((warn_unused_result)) enum attest_status
log_segment_read(const uint8_t *bytes, size_t len, uint64_t first, uint64_t end, log_take *take,
		 void *arg, struct log_segment *ret, struct attest_error *e);

/* ---- files -------------------------------------------------------------------------- */

struct log_journal {
	struct log_disk *disk;
	int fd;      /* the last segment; -1: the next commit makes a new one */
	size_t used; /* bytes of it */
	uint64_t first[2 * LOG_SEGMENTS]; /* of each segment, ascending; at a start with
					   * those that a crash brought back */
	size_t n;
};

void log_journal_init(struct log_journal *j, struct log_disk *d);
/* Reads what the disk (not the page cache) holds: `take` gets the entries from `floor` on.
 * *ret_size is the entry behind the last; *ret_torn the bytes of a torn tail. A journal
 * that begins behind `floor`, or lacks an entry that was durable, is ATTEST_REFUSED. */
__attribute__((warn_unused_result)) enum attest_status
log_journal_read(struct log_journal *j, uint64_t floor, log_take *take, void *arg,
		 uint64_t *ret_size, uint64_t *ret_torn, struct attest_error *e);
/* Makes frames, the first that of entry `seq`, durable. Without success (and unless a flush
 * failed) nothing of them counts, and what comes next goes to another segment. */
__attribute__((warn_unused_result)) enum attest_status
log_journal_commit(struct log_journal *j, uint64_t seq, const uint8_t *frames, size_t len,
		   struct attest_error *e);
/* Removes segments whose entries are all below `floor`. */
void log_journal_trim(struct log_journal *j, uint64_t floor);
void log_journal_close(struct log_journal *j);
