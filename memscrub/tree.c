/*
 * memscrub/tree.c - every file of a tree, however deep.
 *
 * One folder is open at a time. Of the folders above it only the place is kept where
 * reading goes on: the way back leads through "..". So neither descriptors nor the stack
 * bound the depth.
 */
#include "memscrub/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A level costs a tenant a folder's worth of kernel memory, and us 16 bytes. */
#define DEPTH_MAX ((size_t)1 << 20)

struct level {
	ino_t ino;   /* of the folder */
	off_t where; /* behind the entry that we went down into */
};

struct walk {
	int at; /* the folder being read */
	ino_t ino;
	dev_t dev;
	struct level *above;
	size_t depth, room;
	struct scrub_result done;
	enum memscrub_status status;
	struct memscrub_error *err; /* NULL behind the first finding */
};

/* ---- findings -------------------------------------------------------------------- */

/* The entry's path below its mount, from the end where it is too long. */
static void path_of(int at, const char *name, char *ret, size_t size)
{
	char self[32], path[4096 + 256];
	ssize_t n;
	size_t len;

	snprintf(self, sizeof(self), "/proc/self/fd/%d", at);
	n = readlink(self, path, 4096);
	len = n > 0 && n < 4096 ? (size_t)n : 0;
	len += (size_t)snprintf(path + len, sizeof(path) - len, "%s%.255s",
				len > 0 && path[len - 1] != '/' ? "/" : "", name);
	if (len < size)
		memcpy(ret, path, len + 1);
	else
		snprintf(ret, size, "...%s", path + len - (size - 4));
}

static void found(struct walk *w, enum memscrub_status s, const char *name, const char *what)
{
	char where[sizeof(w->err->where)];

	w->status = s > w->status ? s : w->status;
	if (!w->err)
		return;
	path_of(w->at, name, where, sizeof(where));
	(void)memscrub_fail(w->err, s, where, "", "%s", what);
	w->err = NULL;
}

/* An entry of which nothing is known. */
static void unreached(struct walk *w, const char *name, const char *what)
{
	w->done.failed++;
	found(w, MEMSCRUB_RESIDUE, name, what);
}

/* ---- opening --------------------------------------------------------------------- */

/* Fails with EXDEV where a mount covers the name, even one of the same file system. */
static int open_here(int at, const char *name, uint64_t flags)
{
	struct open_how how = { .flags = flags | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK,
				.resolve = RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS };

	return (int)syscall(SYS_openat2, at, name, &how, sizeof(how));
}

/* Opens what its mode forbids, too. The name is known not to be a symbolic link, and nobody
 * is there to make it one. */
static int open_anyway(int at, const char *name, uint64_t flags, mode_t mode)
{
	int fd = open_here(at, name, flags);

	if (fd >= 0 || errno != EACCES || fchmodat(at, name, mode, 0) != 0)
		return fd;
	return open_here(at, name, flags);
}

/* The folder to begin with: a descriptor of our own that can be read. */
static int open_root(int dirfd)
{
	char self[32];
	int fd;

	snprintf(self, sizeof(self), "/proc/self/fd/%d", dirfd);
	fd = open(self, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 && errno == EACCES && chmod(self, 0700) == 0)
		fd = open(self, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT) /* no /proc here */
		fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd;
}

/* ---- down and up ----------------------------------------------------------------- */

static bool push(struct walk *w, off_t where)
{
	size_t room = w->room ? 2 * w->room : 256;
	struct level *more;

	if (w->depth == w->room) {
		more = room <= DEPTH_MAX ? realloc(w->above, room * sizeof(*more)) : NULL;
		if (!more)
			return false;
		w->above = more;
		w->room = room;
	}
	w->above[w->depth++] = (struct level){ w->ino, where };
	return true;
}

static void enter(struct walk *w, int fd, ino_t ino)
{
	close(w->at);
	w->at = fd;
	w->ino = ino;
}

/* Goes on in the folder `name`; what follows it here is read on the way back. */
static void down(struct walk *w, const char *name, off_t where)
{
	int fd = open_anyway(w->at, name, O_RDONLY | O_DIRECTORY, 0700);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) != 0) {
		unreached(w, name,
			  errno == EXDEV ? "another mount covers it" : strerror(errno));
	} else if (st.st_dev != w->dev || !push(w, where)) {
		unreached(w, name, "too deep, or of another file system");
	} else {
		enter(w, fd, st.st_ino);
		return;
	}
	if (fd >= 0)
		close(fd);
}

/* Back into the folder above, behind the entry we came from. False: it is not there. */
static bool up(struct walk *w)
{
	struct level above = w->above[--w->depth];
	int fd = open_anyway(w->at, "..", O_RDONLY | O_DIRECTORY, 0700);
	struct stat st;

	if (fd >= 0 && fstat(fd, &st) == 0 && st.st_ino == above.ino && st.st_dev == w->dev &&
	    lseek(fd, above.where, SEEK_SET) == above.where) {
		enter(w, fd, above.ino);
		return true;
	}
	if (fd >= 0)
		close(fd);
	w->done.failed++;
	found(w, MEMSCRUB_SYSTEM, "..", "the way back is gone: the tree is in use");
	return false;
}

/* ---- entries --------------------------------------------------------------------- */

static void scrub_entry(struct walk *w, const char *name)
{
	int fd = open_anyway(w->at, name, O_RDWR, 0600);
	struct memscrub_error err = { .what = "" };
	uint64_t before = w->done.failed;
	enum memscrub_status s;
	struct stat st;

	if (fd < 0) {
		unreached(w, name,
			  errno == EXDEV ? "another mount covers it" : strerror(errno));
		return;
	}
	if (fstat(fd, &st) != 0 || st.st_dev != w->dev || !S_ISREG(st.st_mode)) {
		unreached(w, name, "it is not the file that it was: the tree is in use");
	} else {
		s = scrub_file(fd, &w->done, &err);
		w->done.failed += s != MEMSCRUB_OK && w->done.failed == before;
		if (s != MEMSCRUB_OK)
			found(w, s == MEMSCRUB_REFUSED ? MEMSCRUB_RESIDUE : s, name, err.what);
	}
	close(fd);
}

struct entry { /* as getdents64(2) gives it */
	uint64_t ino;
	int64_t next;
	uint16_t len;
	uint8_t type;
	char name[];
};

static uint8_t type_of(const struct walk *w, const struct entry *e)
{
	struct stat st;

	if (e->type != DT_UNKNOWN)
		return e->type;
	if (fstatat(w->at, e->name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return DT_UNKNOWN;
	return (uint8_t)IFTODT(st.st_mode);
}

static bool is_dots(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* The entries in `buf`, up to a folder that is entered. */
static void take(struct walk *w, const char *buf, size_t n)
{
	size_t depth = w->depth;

	for (size_t i = 0; i < n && w->depth == depth;) {
		const struct entry *e = (const void *)(buf + i);
		uint8_t type = type_of(w, e);

		if (type == DT_REG)
			scrub_entry(w, e->name);
		else if (type == DT_DIR && !is_dots(e->name))
			down(w, e->name, e->next);
		else if (type == DT_UNKNOWN)
			unreached(w, e->name, "the kernel does not say what it is");
		i += e->len;
	}
}

static void walk_all(struct walk *w)
{
	_Alignas(struct entry) char buf[8192];

	for (;;) {
		ssize_t n = syscall(SYS_getdents64, w->at, buf, sizeof(buf));

		if (n > 0) {
			take(w, buf, (size_t)n);
			continue;
		}
		if (n < 0)
			unreached(w, "", strerror(errno));
		if (w->depth == 0 || !up(w))
			return;
	}
}

enum memscrub_status scrub_tree(int dirfd, struct scrub_result *add,
				struct memscrub_error *reterr)
{
	uint64_t begin = scrub_now_ns();
	struct walk w = { .at = open_root(dirfd), .err = reterr };
	enum scrub_fs fs;
	struct stat st;

	if (w.at < 0)
		return memscrub_fail(reterr, MEMSCRUB_SYSTEM, "", "", "cannot open it: %m");
	if (fstat(w.at, &st) != 0 || !scrub_fs_of(w.at, &fs)) {
		w.status = memscrub_fail(reterr, MEMSCRUB_SYSTEM, "", "", "%m");
	} else if (fs == SCRUB_FS_OTHER) {
		w.status = memscrub_fail(reterr, MEMSCRUB_REFUSED, "",
					 "only folders of tmpfs, ramfs and hugetlbfs",
					 "not a folder in memory");
	} else {
		w.ino = st.st_ino;
		w.dev = st.st_dev;
		walk_all(&w);
		w.done.ns = scrub_now_ns() - begin;
		scrub_result_add(add, &w.done);
	}
	close(w.at);
	free(w.above);
	return w.status;
}
