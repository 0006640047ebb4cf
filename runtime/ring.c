/* runtime/ring.c - the last megabyte of a detached session's output, in memory. */
#include "policy/reader.h"
#include "runtime/clerk.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define RING_MAGIC UINT64_C(0x31474e4952445243) /* "CRDRING1" as bytes */
#define RING_CAPACITY_MAX (UINT64_C(1) << 30)
#define SIZE_SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

struct head {
	uint64_t capacity, begun, written;
};

static bool put(int fd, const void *from, size_t n, uint64_t at)
{
	while (n > 0) {
		ssize_t done = pwrite(fd, from, n, (off_t)at);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return false;
		from = (const uint8_t *)from + done;
		at += (uint64_t)done;
		n -= (size_t)done;
	}
	return true;
}

static bool get(int fd, void *to, size_t n, uint64_t at)
{
	while (n > 0) {
		ssize_t done = pread(fd, to, n, (off_t)at);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return false;
		to = (uint8_t *)to + done;
		at += (uint64_t)done;
		n -= (size_t)done;
	}
	return true;
}

static bool head_get(int ring, struct head *ret)
{
	uint8_t bytes[32];
	struct rd r = { .at = bytes, .left = sizeof(bytes) };
	uint64_t magic;

	if (!get(ring, bytes, sizeof(bytes), 0))
		return false;
	magic = rd_u64le(&r);
	ret->capacity = rd_u64le(&r);
	ret->begun = rd_u64le(&r);
	ret->written = rd_u64le(&r);
	return magic == RING_MAGIC && ret->capacity > 0 && ret->capacity <= RING_CAPACITY_MAX &&
	       ret->written <= ret->begun;
}

static bool head_put(int ring, const struct head *h)
{
	uint8_t bytes[32];
	struct wr w = { .at = bytes, .left = sizeof(bytes) };

	wr_u64le(&w, RING_MAGIC);
	wr_u64le(&w, h->capacity);
	wr_u64le(&w, h->begun);
	wr_u64le(&w, h->written);
	return put(ring, bytes, sizeof(bytes), 0);
}

int ring_make(void)
{
	const struct head h = { .capacity = RING_CAPACITY };
	int fd = memfd_create("cordon-ring", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd >= 0 && (ftruncate(fd, RING_HEADER + RING_CAPACITY) != 0 || !head_put(fd, &h) ||
			fcntl(fd, F_ADD_SEALS, SIZE_SEALS) != 0))
		closep(&fd);
	return fd;
}

bool ring_is(int fd)
{
	int seals = fcntl(fd, F_GET_SEALS);
	struct stat st;
	struct head h;

	/* Sealed against writing it could not be zeroed. */
	if (seals < 0 || (seals & SIZE_SEALS) != SIZE_SEALS ||
	    (seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)))
		return false;
	return fstat(fd, &st) == 0 && head_get(fd, &h) &&
	       (uint64_t)st.st_size == RING_HEADER + h.capacity;
}

/* `n` bytes at place `pos` of the stream; at most a capacity, so at most two pieces. */
static bool place(int ring, const struct head *h, uint64_t pos, const uint8_t *from, size_t n)
{
	uint64_t at = pos % h->capacity;
	size_t first = n < h->capacity - at ? n : (size_t)(h->capacity - at);

	return put(ring, from, first, RING_HEADER + at) &&
	       put(ring, from + first, n - first, RING_HEADER);
}

bool ring_write(int ring, const void *bytes, size_t n)
{
	const uint8_t *from = bytes;
	size_t skip = 0;
	struct head h;

	if (!head_get(ring, &h) || n > UINT64_MAX - h.begun)
		return false;
	if (n > h.capacity)
		skip = n - (size_t)h.capacity; /* these would be overwritten at once */
	h.begun = h.written + n;
	if (!head_put(ring, &h) || !place(ring, &h, h.written + skip, from + skip, n - skip))
		return false;
	h.written = h.begun;
	return head_put(ring, &h);
}

ssize_t ring_read(int ring, uint64_t *pos, void *to, size_t n, uint64_t *ret_missed)
{
	uint64_t from, oldest, missed = 0;
	size_t first, len;
	struct head h, after;
	uint8_t *out = to;

	if (!head_get(ring, &h))
		return -1;
	from = *pos;
	oldest = h.written > h.capacity ? h.written - h.capacity : 0;
	if (from < oldest)
		from = oldest;
	len = from >= h.written ? 0 : (size_t)(h.written - from);
	if (len > n)
		len = n;
	first = len < h.capacity - from % h.capacity ? len
						     : (size_t)(h.capacity - from % h.capacity);
	if (!get(ring, out, first, RING_HEADER + from % h.capacity) ||
	    !get(ring, out + first, len - first, RING_HEADER) || !head_get(ring, &after))
		return -1;

	/* What the writer has begun to replace meanwhile is not what was asked for. */
	oldest = after.begun > h.capacity ? after.begun - h.capacity : 0;
	if (from < oldest) {
		size_t stale = oldest - from < len ? (size_t)(oldest - from) : len;

		memmove(out, out + stale, len - stale);
		len -= stale;
		from += stale;
	}
	missed = from > *pos ? from - *pos : 0;
	*pos = from > *pos ? from + len : *pos + len;
	*ret_missed = missed;
	return (ssize_t)len;
}

bool ring_zero(int ring)
{
	static const uint8_t zeros[4096];
	struct stat st;

	if (fstat(ring, &st) != 0)
		return false;
	for (uint64_t at = 0; at < (uint64_t)st.st_size; at += sizeof(zeros)) {
		uint64_t left = (uint64_t)st.st_size - at;

		if (!put(ring, zeros, left < sizeof(zeros) ? (size_t)left : sizeof(zeros), at))
			return false;
	}
	return true;
}
