/*
 * memscrub/file.c - zero and read back what a file of memory holds.
 *
 * The file is mapped a window at a time, so that any size of it costs the same memory here.
 * Only what holds data is touched: a hole that is read through a writable mapping becomes a
 * page.
 */
#include "memscrub/file.h"
#include "memscrub/primitives.h"
#include "memscrub/sigbus.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif

/* Address space costs nothing; pages that are mapped count as ours until they are unmapped. */
#define WINDOW ((off_t)1 << 30)
#define MAPPED ((off_t)4 << 20)

#define PAGE_TABLE 4096 /* a page far from others needs one of its own */

/* Holes of hugetlbfs have to be read to be known for holes: there is an end to it. */
#define HUGE_HOLES ((uint64_t)4 << 30)

/* Where calibration is soon paid back. */
#define LARGE ((uint64_t)256 << 20)

struct extent {
	off_t from, to; /* whole pages */
};

struct window {
	char *base; /* NULL: nothing is mapped */
	off_t from, to;
	off_t mapped; /* bytes touched through it */
};

struct job {
	int fd;
	off_t size;  /* when we came, in whole pages */
	off_t block; /* bytes that come and go together */
	bool huge;   /* of hugetlbfs */
	bool large;
	struct window window;
	struct scrub_result done;
	enum memscrub_status status; /* the worst so far */
	struct memscrub_error *err;  /* NULL behind the first finding */
};

uint64_t scrub_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static off_t round_up(off_t n, off_t unit)
{
	return (n + unit - 1) / unit * unit;
}

void scrub_result_add(struct scrub_result *to, const struct scrub_result *part)
{
	to->bytes += part->bytes;
	to->failed += part->failed;
	to->ns += part->ns;
	to->parts += part->parts;
}

/* `n` bytes from `at` on were not seen to be zero. */
static void lost(struct job *j, enum memscrub_status s, off_t at, uint64_t n, const char *why,
		 const char *hint)
{
	char where[64];

	j->done.failed += n;
	j->status = s > j->status ? s : j->status;
	snprintf(where, sizeof(where), "offset %lld", (long long)at);
	(void)memscrub_fail(j->err, s, where, hint, "%s", why);
	j->err = NULL;
}

/* ---- where data is --------------------------------------------------------------- */

/* hugetlbfs takes the whole of a file for data. Reading tells: a read(2) of a hole gives
 * zeros and makes no page. What cannot be read counts as set. */
static bool reads_as_zero(int fd, off_t from, off_t to)
{
	char piece[16384];

	while (from < to) {
		ssize_t n = pread(fd, piece, sizeof(piece), from);

		if (n <= 0 || !scrub_is_zero(piece, (size_t)n, NULL))
			return false;
		from += n;
	}
	return true;
}

static int next_huge_page(const struct job *j, off_t at, struct extent *ret)
{
	while (at < j->size && reads_as_zero(j->fd, at, at + j->block))
		at += j->block;
	*ret = (struct extent){ at, at + j->block };
	return at < j->size;
}

/* The next data at or behind `at`: 1, or 0 if there is no more, or -1. */
static int next_data(const struct job *j, off_t at, struct extent *ret)
{
	off_t from, to;

	if (j->huge)
		return next_huge_page(j, at, ret);
	from = lseek(j->fd, at, SEEK_DATA);
	if (from < 0)
		return errno == ENXIO ? 0 : -1;
	to = lseek(j->fd, from, SEEK_HOLE);
	if (to < 0) /* ENXIO: it has just been cut off */
		return errno == ENXIO ? 0 : -1;
	*ret = (struct extent){ from / j->block * j->block, round_up(to, j->block) };
	return 1;
}

static int count_data(const struct job *j, uint64_t *ret)
{
	struct extent e;
	int more;

	*ret = 0;
	for (off_t at = 0; (more = next_data(j, at, &e)) > 0; at = e.to)
		*ret += (uint64_t)(e.to - e.from);
	return more;
}

/* ---- one piece: data within the window ------------------------------------------- */

static void window_close(struct window *w)
{
	if (w->base)
		munmap(w->base, (size_t)(w->to - w->from));
	w->base = NULL;
}

/* Maps the window around `at`. hugetlbfs would reserve pages for holes, and lets a mapping
 * past its end make the file longer. */
static bool window_open(struct job *j, off_t at)
{
	off_t unit = j->block > WINDOW ? j->block : WINDOW, end;
	void *p;

	if (j->window.base && at >= j->window.from && at < j->window.to &&
	    j->window.mapped < MAPPED)
		return true;
	window_close(&j->window);
	at = at / unit * unit;
	end = at + unit;
	if (j->huge && end > j->size)
		end = j->size;
	p = mmap(NULL, (size_t)(end - at), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE,
		 j->fd, at);
	if (p == MAP_FAILED)
		return false;
	j->window = (struct window){ .base = p, .from = at, .to = end };
	return true;
}

struct piece {
	char *at;
	size_t n;
	bool large;
	bool clean;
	size_t first_bad;
};

static void zero_piece(void *arg)
{
	struct piece *p = arg;

	if (p->large)
		scrub_calibrate(p->at, p->n);
	scrub_zero(p->at, p->n);
}

static void check_piece(void *arg)
{
	struct piece *p = arg;

	p->clean = scrub_is_zero(p->at, p->n, &p->first_bad);
}

static off_t offset_of(const struct job *j, const char *at)
{
	return j->window.from + (at - j->window.base);
}

static struct piece piece_of(const struct job *j, off_t from, off_t to)
{
	return (struct piece){ .at = j->window.base + (from - j->window.from),
			       .n = (size_t)(to - from),
			       .large = j->large };
}

/* The first byte behind `at` that a fault there does not speak of. */
static off_t fault_end(const struct job *j, off_t at, off_t end, const struct sigbus_fault *f,
		       const char **ret_why)
{
	off_t unit = f->poisoned && f->extent ? (off_t)f->extent : j->block;
	struct stat st;

	*ret_why = f->poisoned ? "a poisoned frame" : "the kernel has no page for it";
	if (!f->poisoned && fstat(j->fd, &st) == 0 && at >= st.st_size) {
		*ret_why = "the file was cut short meanwhile";
		return end;
	}
	at = at / unit * unit + unit;
	return at < end ? at : end;
}

/* What cannot be written is left to read_back, which judges. */
static void write_zeros(struct job *j, off_t at, off_t end)
{
	while (at < end) {
		struct piece p = piece_of(j, at, end);
		struct sigbus_fault f;
		const char *why;

		if (sigbus_try(zero_piece, &p, &f))
			break;
		at = fault_end(j, offset_of(j, f.at), end, &f, &why);
	}
	scrub_fence();
}

/* Reads [at, end). True: all zero. Else what keeps it from being so lies in
 * [*ret_from, *ret_to). */
static bool all_zero(struct job *j, off_t at, off_t end, off_t *ret_from, off_t *ret_to,
		     const char **ret_why)
{
	struct piece p = piece_of(j, at, end);
	struct sigbus_fault f;
	off_t bad;

	if (!sigbus_try(check_piece, &p, &f)) {
		bad = offset_of(j, f.at);
		*ret_to = fault_end(j, bad, end, &f, ret_why);
	} else if (!p.clean) {
		bad = at + (off_t)p.first_bad;
		*ret_to = bad / j->block * j->block + j->block;
		*ret_why = "not zero when it was read back";
	} else {
		return true;
	}
	bad = bad / j->block * j->block;
	*ret_from = bad > at ? bad : at;
	return false;
}

static void read_back(struct job *j, off_t at, off_t end)
{
	off_t stop = end, from, to;
	const char *why;

	while (at < end) {
		if (all_zero(j, at, stop, &from, &to, &why)) {
			j->done.bytes += (uint64_t)(stop - at);
			at = stop;
			stop = end;
		} else if (from == at) {
			lost(j, MEMSCRUB_RESIDUE, at, (uint64_t)(to - at), why, "");
			at = to;
			stop = end;
		} else {
			stop = from; /* what lies before is read again, by itself */
		}
	}
}

/* ---- the whole file -------------------------------------------------------------- */

/* The rest of an extent that cannot be mapped; errno says why. */
static void unmappable(struct job *j, struct extent e)
{
	enum memscrub_status s =
		errno == EPERM || errno == EACCES ? MEMSCRUB_RESIDUE : MEMSCRUB_SYSTEM;
	uint64_t n = (uint64_t)(e.to - e.from);
	const char *why = strerror(errno);
	int seals = fcntl(j->fd, F_GET_SEALS);

	if (seals > 0 && (seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)))
		lost(j, s, e.from, n, "the file is sealed against writing",
		     "hand out mappings, or descriptors that cannot be sealed");
	else
		lost(j, s, e.from, n, why, "");
}

/* As much of `e` as is taken at once through the window. */
static off_t piece_end(const struct job *j, struct extent e)
{
	off_t to = e.from + (j->block > MAPPED ? j->block : MAPPED);

	to = to < j->window.to ? to : j->window.to;
	return to < e.to ? to : e.to;
}

static void scrub_extent(struct job *j, struct extent e)
{
	for (off_t to; e.from < e.to; e.from = to) {
		if (!window_open(j, e.from)) {
			unmappable(j, e);
			return;
		}
		to = piece_end(j, e);
		/* Maps many pages at once, and only those that are there. Where it fails,
		 * they are faulted in one by one. */
		if (to - e.from > j->block)
			madvise(j->window.base + (e.from - j->window.from),
				(size_t)(to - e.from), MADV_POPULATE_READ);
		write_zeros(j, e.from, to);
		read_back(j, e.from, to);
		j->window.mapped += to - e.from + PAGE_TABLE;
	}
}

static void seek_failed(struct job *j, off_t at)
{
	lost(j, MEMSCRUB_SYSTEM, at, 1, strerror(errno), "");
}

/* All data, then once more where there is data now. On hugetlbfs that finds pages that are
 * not zero, elsewhere all pages. */
static void scrub_data(struct job *j)
{
	uint64_t known, now;
	struct extent e;
	off_t at = 0;
	int more;

	while ((more = next_data(j, at, &e)) > 0) {
		scrub_extent(j, e);
		j->done.parts++;
		at = e.to;
	}
	window_close(&j->window);
	if (more < 0 || count_data(j, &now) < 0) {
		seek_failed(j, at);
		return;
	}
	known = j->done.failed + (j->huge ? 0 : j->done.bytes);
	if (now > known)
		lost(j, MEMSCRUB_RESIDUE, 0, now - known, "data appeared meanwhile",
		     "end whoever uses the file first");
}

/* Pages of hugetlbfs that were zero already count as what they are: read as zero. */
static void add_untouched(struct job *j, uint64_t allocated)
{
	uint64_t seen = j->done.bytes + j->done.failed;

	if (j->huge && allocated > seen && j->status == MEMSCRUB_OK)
		j->done.bytes += allocated - seen;
}

static void scrub_open_file(struct job *j, const struct stat *st)
{
	uint64_t allocated = (uint64_t)st->st_blocks * 512;
	struct sigbus_saved saved;

	if (j->huge && (uint64_t)j->size > allocated + HUGE_HOLES) {
		if (allocated)
			lost(j, MEMSCRUB_RESIDUE, 0, allocated,
			     "too few huge pages in too long a file to look for them", "");
		return;
	}
	if (!sigbus_enter(&saved)) {
		seek_failed(j, 0);
		return;
	}
	scrub_data(j);
	sigbus_leave(&saved);
	add_untouched(j, allocated);
}

bool scrub_fs_of(int fd, enum scrub_fs *ret)
{
	struct statfs fs;

	if (fstatfs(fd, &fs) != 0)
		return false;
	*ret = SCRUB_FS_OTHER;
	if (fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC)
		*ret = SCRUB_FS_PAGES;
	else if (fs.f_type == HUGETLBFS_MAGIC)
		*ret = SCRUB_FS_HUGE;
	return true;
}

/* `fd` itself, or one of our own in *ret_own, that can be mapped for writing; or -1. */
static int writable(int fd, int *ret_own)
{
	int flags = fcntl(fd, F_GETFL);
	char path[32];

	if (flags < 0)
		return -1;
	if ((flags & O_ACCMODE) == O_RDWR && !(flags & O_PATH))
		return fd;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	*ret_own = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	return *ret_own;
}

enum memscrub_status scrub_file(int fd, struct scrub_result *add, struct memscrub_error *reterr)
{
	uint64_t begin = scrub_now_ns();
	struct job j = { .err = reterr };
	enum scrub_fs fs;
	struct stat st;
	int own = -1;

	if (fstat(fd, &st) != 0 || !scrub_fs_of(fd, &fs))
		return memscrub_fail(reterr, MEMSCRUB_SYSTEM, "", "", "%m");
	if (!S_ISREG(st.st_mode) || fs == SCRUB_FS_OTHER)
		return memscrub_fail(reterr, MEMSCRUB_REFUSED, "",
				     "only files of tmpfs, ramfs and hugetlbfs, and memfds",
				     "not a file that is memory");
	j.huge = fs == SCRUB_FS_HUGE;
	j.block = j.huge ? st.st_blksize : sysconf(_SC_PAGESIZE);
	j.size = round_up(st.st_size, j.block);
	j.large = (uint64_t)st.st_blocks * 512 >= LARGE;
	j.fd = writable(fd, &own);
	if (j.fd < 0) /* ramfs does not count blocks */
		lost(&j, MEMSCRUB_RESIDUE, 0,
		     (uint64_t)(st.st_blocks ? st.st_blocks * 512 : j.size),
		     "it cannot be opened for writing", "");
	else
		scrub_open_file(&j, &st);
	if (own >= 0)
		close(own);
	j.done.ns = scrub_now_ns() - begin;
	scrub_result_add(add, &j.done);
	return j.status;
}
