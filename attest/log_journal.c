/* attest/log_journal.c - frames, and the segments that they stand in. */
#include "attest/log_journal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "attest/crc32c.h"
#include "attest/log_io.h"

#define PREFIX "journal."
#define NAME_MAX_BYTES 40u

/* ---- frames -------------------------------------------------------------------------- */

static uint32_t checksum(uint64_t seq, const uint8_t *entry, size_t len)
{
	uint8_t number[8] = { 0 };
	struct wr w = { .at = number, .left = sizeof(number) };

	wr_u64le(&w, seq);
	return crc32c(crc32c(0, number, sizeof(number)), entry, len);
}

void log_frame_write(struct wr *w, uint64_t seq, const void *entry, size_t len)
{
	wr_u32le(w, (uint32_t)len);
	wr_u32le(w, checksum(seq, entry, len));
	wr_u64le(w, seq);
	wr_bytes(w, entry, len);
}

bool log_frame_read(struct rd *r, uint64_t seq, struct log_frame *ret)
{
	struct rd ahead = *r;
	uint32_t len = rd_u32le(&ahead);
	uint32_t crc = rd_u32le(&ahead);
	uint64_t number = rd_u64le(&ahead);
	const uint8_t *entry = rd_take(&ahead, len);

	if (ahead.bad || len == 0 || len > LOG_ENTRY_MAX || number != seq ||
	    crc != checksum(seq, entry, len))
		return false;
	*ret = (struct log_frame){ .entry = entry, .len = len };
	*r = ahead;
	return true;
}

enum attest_status log_segment_read(const uint8_t *bytes, size_t len, uint64_t first,
				    uint64_t end, log_take *take, void *arg,
				    struct log_segment *ret, struct attest_error *e)
{
	struct rd r = { .at = bytes, .left = len };
	struct log_segment found = { .next = first };
	struct log_frame f;

	while (found.next < end && log_frame_read(&r, found.next, &f)) {
		enum attest_status s = take(arg, found.next, &f, e);

		if (s != ATTEST_OK)
			return s;
		found.next++;
	}
	found.used = len - r.left;
	found.torn = r.left;
	while (found.torn > 0 && r.at[found.torn - 1] == 0)
		found.torn--;
	*ret = found;
	return ATTEST_OK;
}

/* ---- reading the files --------------------------------------------------------------- */

void log_journal_init(struct log_journal *j, struct log_disk *d)
{
	*j = (struct log_journal){ .disk = d, .fd = -1 };
}

void log_journal_close(struct log_journal *j)
{
	if (j->fd >= 0)
		close(j->fd);
	j->fd = -1;
}

static void name_of(uint64_t first, char name[static NAME_MAX_BYTES])
{
	snprintf(name, NAME_MAX_BYTES, PREFIX "%" PRIu64, first);
}

/* journal.N as it is written, and no other spelling. */
static bool name_read(const char *name, uint64_t *ret)
{
	char again[NAME_MAX_BYTES];

	if (strncmp(name, PREFIX, strlen(PREFIX)) != 0)
		return false;
	*ret = strtoull(name + strlen(PREFIX), NULL, 10);
	name_of(*ret, again);
	return *ret <= TLOG_SIZE_MAX && strcmp(name, again) == 0;
}

static int by_number(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static enum attest_status list(struct log_journal *j, struct attest_error *e)
{
	int fd = openat(j->disk->state, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *folder = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *d;
	uint64_t first;

	if (!folder) {
		if (fd >= 0)
			close(fd);
		return log_disk_failed(".state", "cannot be listed", e);
	}
	while (errno = 0, (d = readdir(folder)) != NULL) {
		if (!name_read(d->d_name, &first))
			continue;
		if (j->n == 2 * LOG_SEGMENTS)
			break;
		j->first[j->n++] = first;
	}
	first = (uint64_t)errno;
	closedir(folder);
	errno = (int)first;
	if (d)
		return attest_fail(e, ATTEST_REFUSED, ".state", NULL,
				   "tampered: more than %u segments of a journal",
				   2 * LOG_SEGMENTS);
	if (errno != 0)
		return log_disk_failed(".state", "cannot be listed", e);
	qsort(j->first, j->n, sizeof(j->first[0]), by_number);
	return ATTEST_OK;
}

/*
 * One segment as the disk has it. A predecessor may have ended before its flush: then what
 * it wrote is flushed here. It may have ended because its flush failed: then the page cache
 * may call clean what never reached the disk, and is not asked.
 */
static enum attest_status load(struct log_journal *j, size_t i, uint8_t *bytes, int *ret_fd,
			       size_t *ret_len, struct attest_error *e)
{
	char name[NAME_MAX_BYTES];
	enum attest_status s;
	ssize_t len = 0;
	int fd;

	name_of(j->first[i], name);
	fd = log_io_open(j->disk->state, name, O_RDWR);
	if (fd < 0)
		return log_disk_failed(name, "cannot be opened", e);
	s = log_disk_sync(j->disk, fd, name, e);
	if (s == ATTEST_OK) {
		(void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
		s = log_disk_read_open(fd, name, bytes, LOG_SEGMENT, &len, e);
	}
	if (s != ATTEST_OK) {
		close(fd);
		return s;
	}
	*ret_fd = fd;
	*ret_len = (size_t)len;
	return ATTEST_OK;
}

/* Only entries from the floor on are the reader's; those before are in bundles. */
struct above {
	uint64_t floor;
	log_take *take;
	void *arg;
};

static enum attest_status take_above(void *arg, uint64_t seq, const struct log_frame *f,
				     struct attest_error *e)
{
	const struct above *a = arg;

	return seq < a->floor ? ATTEST_OK : a->take(a->arg, seq, f, e);
}

/* Segment i, where i is not a superseded one. *torn is what no entry ever followed. */
static enum attest_status read_one(struct log_journal *j, size_t i, uint8_t *bytes,
				   struct above *above, struct log_segment *found,
				   uint64_t *torn, struct attest_error *e)
{
	bool last = i + 1 == j->n;
	uint64_t end = last ? UINT64_MAX : j->first[i + 1];
	enum attest_status s;
	size_t len = 0;
	int fd = -1;

	s = load(j, i, bytes, &fd, &len, e);
	if (s == ATTEST_OK)
		s = log_segment_read(bytes, len, j->first[i], end, take_above, above, found, e);
	/* The next segment was made when all entries before it were durable. */
	if (s == ATTEST_OK && !last && found->next < end)
		s = attest_fail(e, ATTEST_REFUSED, ".state",
				"keep the folder as it is for whoever looks into it",
				"tampered: entry %" PRIu64
				" was durable, and its frame in the journal is damaged",
				found->next);
	if (s == ATTEST_OK && found->used > 0)
		*torn = 0;
	if (s == ATTEST_OK)
		*torn += found->torn;
	/* Behind a torn tail nothing is written: good frames in it could come back. */
	if (s == ATTEST_OK && last && len == LOG_SEGMENT && found->torn == 0) {
		j->fd = fd;
		j->used = found->used;
	} else if (fd >= 0) {
		close(fd);
	}
	return s;
}

enum attest_status log_journal_read(struct log_journal *j, uint64_t floor, log_take *take,
				    void *arg, uint64_t *ret_size, uint64_t *ret_torn,
				    struct attest_error *e)
{
	struct above above = { .floor = floor, .take = take, .arg = arg };
	struct log_segment found = { .next = floor };
	enum attest_status s = list(j, e);
	uint64_t torn = 0;
	uint8_t *bytes = NULL;
	size_t i = 0;

	if (s != ATTEST_OK)
		return s;
	if (j->n > 0 && j->first[0] > floor)
		return attest_fail(e, ATTEST_REFUSED, ".state", NULL,
				   "tampered: the journal lacks entry %" PRIu64, floor);
	bytes = malloc(LOG_SEGMENT);
	if (!bytes)
		return log_disk_failed("journal", "no memory", e);
	/* Segments that a trim left behind may have gaps between them. */
	while (i + 1 < j->n && j->first[i + 1] <= floor)
		i++;
	for (; i < j->n && s == ATTEST_OK; i++)
		s = read_one(j, i, bytes, &above, &found, &torn, e);
	free(bytes);
	if (s != ATTEST_OK)
		return s;
	*ret_size = found.next;
	*ret_torn = torn;
	return ATTEST_OK;
}

/* ---- writing ------------------------------------------------------------------------- */

static enum attest_status fill_with_zeros(int fd, struct attest_error *e)
{
	uint8_t *zeros = calloc(1, LOG_SEGMENT);
	enum attest_status s;

	if (!zeros)
		return log_disk_failed("journal", "no memory", e);
	s = log_disk_write(fd, zeros, LOG_SEGMENT, 0, "journal", e);
	free(zeros);
	return s;
}

/* The segment that entry `seq` begins. One of the same name holds no entry that counts. */
static enum attest_status make(struct log_journal *j, uint64_t seq, struct attest_error *e)
{
	char name[NAME_MAX_BYTES];
	enum attest_status s;
	int fd = -1;

	if (j->n >= LOG_SEGMENTS)
		return attest_fail(e, ATTEST_REFUSED, "journal", "publish a checkpoint",
				   "as many entries wait for a checkpoint as may");
	name_of(seq, name);
	s = log_disk_temp(j->disk, LOG_SEGMENT, &fd, e);
	if (s != ATTEST_OK)
		return s;
	s = fill_with_zeros(fd, e);
	if (s == ATTEST_OK)
		s = log_disk_name(j->disk, fd, j->disk->state, name, name, e);
	else
		log_disk_drop_temp(j->disk);
	if (s != ATTEST_OK) {
		close(fd);
		return s;
	}
	if (j->n == 0 || j->first[j->n - 1] != seq)
		j->first[j->n++] = seq;
	j->fd = fd;
	j->used = 0;
	return ATTEST_OK;
}

enum attest_status log_journal_commit(struct log_journal *j, uint64_t seq,
				      const uint8_t *frames, size_t len, struct attest_error *e)
{
	enum attest_status s = ATTEST_OK;

	if (j->fd >= 0 && len > LOG_SEGMENT - j->used)
		log_journal_close(j);
	if (j->fd < 0)
		s = make(j, seq, e);
	if (s != ATTEST_OK)
		return s;
	s = log_disk_write(j->fd, frames, len, j->used, "journal", e);
	if (s == ATTEST_OK)
		s = log_disk_sync_data(j->disk, j->fd, "journal", e);
	if (s != ATTEST_OK) {
		log_journal_close(j);
		return s;
	}
	j->used += len;
	return ATTEST_OK;
}

void log_journal_trim(struct log_journal *j, uint64_t floor)
{
	char name[NAME_MAX_BYTES];

	while (j->n > 1 && j->first[1] <= floor) {
		name_of(j->first[0], name);
		(void)log_io_unlink(j->disk->state, name, 0); /* else the next start does */
		memmove(&j->first[0], &j->first[1], --j->n * sizeof(j->first[0]));
	}
}
