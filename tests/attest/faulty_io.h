/*
 * tests/attest/faulty_io.h - a disk that fails, fills up, or loses its power at a chosen
 * step. A test that includes this links these instead of attest/log_io.c.
 *
 * Power loss: what a flush has not made durable is taken back before the process ends -
 * bytes that were not flushed, names that their folder did not flush, or both. That is
 * stricter than any one file system: none of them may be relied on for more.
 */
#pragma once

#include "attest/log_io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/attest/log_sample.h"

/* The true calls, under other names. */
#define log_io_open true_open
#define log_io_mkdir true_mkdir
#define log_io_pwrite true_pwrite
#define log_io_allocate true_allocate
#define log_io_fdatasync true_fdatasync
#define log_io_fsync true_fsync
#define log_io_rename true_rename
#define log_io_unlink true_unlink
int log_io_open(int folder, const char *name, int flags);
int log_io_mkdir(int folder, const char *name);
ssize_t log_io_pwrite(int fd, const void *from, size_t n, off_t at);
int log_io_allocate(int fd, off_t size);
int log_io_fdatasync(int fd);
int log_io_fsync(int fd);
int log_io_rename(int from_folder, const char *from, int to_folder, const char *to);
int log_io_unlink(int folder, const char *name, int flags);
#include "attest/log_io.c" /* NOLINT(bugprone-suspicious-include): the same code, renamed */
#undef log_io_open
#undef log_io_mkdir
#undef log_io_pwrite
#undef log_io_allocate
#undef log_io_fdatasync
#undef log_io_fsync
#undef log_io_rename
#undef log_io_unlink

enum { LOSE_NOTHING, LOSE_DATA, LOSE_NAMES, LOSE_BOTH, LOSSES };
enum { FAIL_ONCE = 1, FAIL_FROM_NOW_ON, FAIL_SHORT, CRASH };

#define CRASHED 77 /* exit status */

static struct {
	unsigned step; /* calls so far */
	unsigned at;   /* 0: none fails */
	int how;       /* FAIL_..., CRASH */
	int error;     /* of a call that fails */
	int loss;      /* of a crash */
	unsigned then; /* 0, or: step of the successor's crash */
	void (*successor)(void);
	bool flushes_only; /* nothing else is a step: most is lost just before a flush */
	bool remember;     /* what could be lost is noted: needed for a crash */
	unsigned hit;      /* calls that failed */
	unsigned saves;
	void (*shown)(int folder, const char *name); /* a file got its name */
} fault;

/* ---- what a power loss takes back -------------------------------------------------------- */

enum undo_kind { UNDO_DATA, UNDO_CREATE, UNDO_MKDIR, UNDO_RENAME, UNDO_UNLINK, UNDO_RMDIR };

static struct undo {
	enum undo_kind kind;
	int fd, from_fd; /* duplicates: the file; or the folder of a name, and the old one */
	char name[64], from[64];
	char saved[24]; /* another name, outside of the log, of what stood there before */
	uint8_t *bytes; /* before the write */
	size_t n;
	off_t at, size;
} undo[1024];
static size_t n_undo;

static inline struct undo *note_undo(enum undo_kind kind, int fd, const char *name)
{
	struct undo *u = &undo[n_undo++];

	assert_true(n_undo <= sizeof(undo) / sizeof(undo[0]));
	*u = (struct undo){ .kind = kind, .fd = dup(fd), .from_fd = -1 };
	snprintf(u->name, sizeof(u->name), "%s", name);
	return u;
}

static inline void note_data(int fd, size_t n, off_t at)
{
	struct undo *u = note_undo(UNDO_DATA, fd, "");
	struct stat st;
	ssize_t had;

	assert_int_equal(fstat(fd, &st), 0);
	u->size = st.st_size;
	u->at = at;
	u->bytes = malloc(n);
	had = pread(fd, u->bytes, n, at);
	u->n = had > 0 ? (size_t)had : 0;
}

/* Keeps what `name` is, by one more link beside the log. */
static inline void save(struct undo *u, int folder, const char *name)
{
	char path[96];

	snprintf(u->saved, sizeof(u->saved), "saved-%u", fault.saves++);
	snprintf(path, sizeof(path), "%s/%s", sample_top, u->saved);
	unlink(path);
	if (linkat(folder, name, AT_FDCWD, path, 0) != 0)
		u->saved[0] = '\0';
}

static inline void bring_back(const struct undo *u)
{
	char path[96];

	snprintf(path, sizeof(path), "%s/%s", sample_top, u->saved);
	if (u->saved[0])
		(void)!linkat(AT_FDCWD, path, u->fd, u->name, 0);
}

static inline bool same_file(int a, int b)
{
	struct stat x, y;

	return fstat(a, &x) == 0 && fstat(b, &y) == 0 && x.st_ino == y.st_ino;
}

static inline void forget(struct undo *u)
{
	close(u->fd);
	if (u->from_fd >= 0)
		close(u->from_fd);
	free(u->bytes);
}

static inline void now_durable(int fd)
{
	size_t kept = 0;

	for (size_t i = 0; i < n_undo; i++)
		if (same_file(undo[i].fd, fd))
			forget(&undo[i]);
		else
			undo[kept++] = undo[i];
	n_undo = kept;
}

static inline void take_back(const struct undo *u)
{
	switch (u->kind) {
	case UNDO_DATA:
		(void)!pwrite(u->fd, u->bytes, u->n, u->at);
		(void)!ftruncate(u->fd, u->size);
		break;
	case UNDO_CREATE:
		unlinkat(u->fd, u->name, 0);
		break;
	case UNDO_MKDIR: /* and whatever is in it */
		remove_tree(u->fd, u->name);
		break;
	case UNDO_RENAME:
		renameat(u->fd, u->name, u->from_fd, u->from);
		bring_back(u);
		break;
	case UNDO_UNLINK:
		bring_back(u);
		break;
	case UNDO_RMDIR:
		mkdirat(u->fd, u->name, 0700);
		break;
	}
}

static inline _Noreturn void power_off(void)
{
	for (size_t i = n_undo; i > 0; i--) {
		const struct undo *u = &undo[i - 1];

		if (fault.loss & (u->kind == UNDO_DATA ? LOSE_DATA : LOSE_NAMES))
			take_back(u);
	}
	_exit(CRASHED);
}

static inline bool is_ours(int fd)
{
	bool ours = fd < 3 || fd == sample_fd;

	for (size_t i = 0; i < n_undo; i++)
		ours |= fd == undo[i].fd || fd == undo[i].from_fd;
	return ours;
}

/* The writer's process ends, the machine does not, and its successor crashes in turn: what
 * neither of them has flushed may be lost by then. */
static inline _Noreturn void crash(void)
{
	if (fault.then == 0)
		power_off();
	for (int fd = 3; fd < 256; fd++)
		if (!is_ours(fd))
			close(fd);
	fault.step = 0;
	fault.at = fault.then;
	fault.loss = LOSE_BOTH;
	fault.then = 0;
	fault.successor();
	_exit(0);
}

/* ---- the calls --------------------------------------------------------------------------- */

enum { GROWS = 1, FLUSHES = 2, CALLS = 4 }; /* what a call does to the disk */

/* Whether this call fails. A full disk fails what needs room, and nothing else. */
static inline bool fails(int what)
{
	if (fault.flushes_only && !(what & FLUSHES))
		return false;
	fault.step++;
	if (fault.at == 0 || fault.step < fault.at)
		return false;
	if (fault.how == CRASH && fault.step == fault.at)
		crash();
	if (fault.how == FAIL_ONCE ? fault.step != fault.at
				   : fault.how != FAIL_FROM_NOW_ON || !(what & GROWS))
		return false;
	fault.hit |= what | CALLS;
	errno = fault.error;
	return true;
}

int log_io_open(int folder, const char *name, int flags)
{
	bool makes = (flags & O_CREAT) && faccessat(folder, name, F_OK, 0) != 0;
	int fd;

	if (fails(makes ? GROWS : 0))
		return -1;
	fd = true_open(folder, name, flags);
	if (fault.remember && makes && fd >= 0)
		note_undo(UNDO_CREATE, folder, name);
	return fd;
}

int log_io_mkdir(int folder, const char *name)
{
	int r;

	if (faccessat(folder, name, F_OK, 0) == 0) {
		errno = EEXIST;
		return -1;
	}
	if (fails(GROWS))
		return -1;
	r = true_mkdir(folder, name);
	if (fault.remember && r == 0)
		note_undo(UNDO_MKDIR, folder, name);
	return r;
}

ssize_t log_io_pwrite(int fd, const void *from, size_t n, off_t at)
{
	if (fails(GROWS))
		return -1;
	if (fault.remember)
		note_data(fd, n, at);
	if (fault.how == FAIL_SHORT && fault.step == fault.at && n > 1) {
		fault.hit = CALLS;
		n /= 2;
	}
	return true_pwrite(fd, from, n, at);
}

int log_io_allocate(int fd, off_t size)
{
	if (fails(GROWS))
		return -1;
	if (fault.remember)
		note_data(fd, 0, 0);
	return true_allocate(fd, size);
}

int log_io_fdatasync(int fd)
{
	if (fails(FLUSHES))
		return -1;
	if (fault.remember)
		now_durable(fd);
	return 0; /* the disk of this test is ours */
}

int log_io_fsync(int fd)
{
	return log_io_fdatasync(fd);
}

int log_io_rename(int from_folder, const char *from, int to_folder, const char *to)
{
	struct undo *u;

	if (fails(GROWS))
		return -1;
	if (fault.remember) {
		u = note_undo(UNDO_RENAME, to_folder, to);
		u->from_fd = dup(from_folder);
		snprintf(u->from, sizeof(u->from), "%s", from);
		save(u, to_folder, to);
	}
	if (true_rename(from_folder, from, to_folder, to) != 0)
		return -1;
	if (fault.shown)
		fault.shown(to_folder, to);
	return 0;
}

int log_io_unlink(int folder, const char *name, int flags)
{
	if (fails(0))
		return -1;
	if (faccessat(folder, name, F_OK, AT_SYMLINK_NOFOLLOW) != 0)
		return -1;
	if (fault.remember && flags == 0)
		save(note_undo(UNDO_UNLINK, folder, name), folder, name);
	if (true_unlink(folder, name, flags) != 0)
		return -1;
	if (fault.remember && flags != 0)
		note_undo(UNDO_RMDIR, folder, name);
	return 0;
}
