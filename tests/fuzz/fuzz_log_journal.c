/*
 * tests/fuzz/fuzz_log_journal.c - whatever a segment of a log's journal holds, what is read
 * of it are frames that encode back unchanged, in order, and all bytes are accounted for.
 *
 * The checksums would stop almost every mutant at the door, so the input is also read with
 * each frame's sequence number and checksum as they must be.
 */
#include "attest/log_journal.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool held)
{
	if (!held)
		abort();
}

struct again {
	uint8_t *bytes;
	struct wr out;
	uint64_t next;
};

static enum attest_status take(void *arg, uint64_t seq, const struct log_frame *f,
			       struct attest_error *e)
{
	struct again *a = arg;

	(void)e;
	must(seq == a->next++ && f->len > 0 && f->len <= LOG_ENTRY_MAX);
	log_frame_write(&a->out, seq, f->entry, f->len);
	must(!a->out.bad);
	return ATTEST_OK;
}

static void read_segment(const uint8_t *data, size_t size, uint64_t first, uint64_t end)
{
	struct again a = { .bytes = malloc(size ? size : 1), .next = first };
	struct log_segment found;

	must(a.bytes != NULL);
	a.out = (struct wr){ .at = a.bytes, .left = size };
	must(log_segment_read(data, size, first, end, take, &a, &found, NULL) == ATTEST_OK);
	must(found.next == a.next && found.next <= end);
	must(found.used == size - a.out.left && memcmp(a.bytes, data, found.used) == 0);
	must(found.torn <= size - found.used);
	must(found.torn == 0 || data[found.used + found.torn - 1] != 0);
	for (size_t i = found.used + found.torn; i < size; i++)
		must(data[i] == 0);
	free(a.bytes);
}

static void mend(uint8_t *bytes, size_t size, uint64_t seq)
{
	uint8_t entry[UINT16_MAX];

	for (size_t at = 0; size - at >= LOG_FRAME_HEAD; seq++) {
		struct wr out = { .at = bytes + at, .left = size - at };
		size_t len = bytes[at] | (size_t)bytes[at + 1] << 8;

		if (len == 0 || len > size - at - LOG_FRAME_HEAD)
			return;
		memcpy(entry, bytes + at + LOG_FRAME_HEAD, len);
		log_frame_write(&out, seq, entry, len);
		at += LOG_FRAME_HEAD + len;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *mended = malloc(size ? size : 1);

	must(mended != NULL);
	if (size > 0)
		memcpy(mended, data, size);
	read_segment(data, size, 0, UINT64_MAX);
	mend(mended, size, 0);
	read_segment(mended, size, 0, UINT64_MAX);
	read_segment(mended, size, 0, 2); /* as far as the next segment lets it */
	mend(mended, size, TLOG_SIZE_MAX - 3);
	read_segment(mended, size, TLOG_SIZE_MAX - 3, TLOG_SIZE_MAX);
	free(mended);
	return 0;
}
