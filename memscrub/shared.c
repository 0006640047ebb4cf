/* memscrub/shared.c - duplicates of a session's shared objects, until nobody uses them. */
#include "memscrub/shared.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define PIDFD_OF_THREAD O_EXCL /* 6.9 */

void shared_lose(struct shared_set *s, uint64_t bytes, const char *what)
{
	if (s->lost == 0)
		(void)memscrub_fail(&s->why, MEMSCRUB_RESIDUE, "shared memory", "", "%s", what);
	s->lost += bytes ? bytes : 1;
}

/* ---- which ones ------------------------------------------------------------------ */

static bool add_device(struct shared_set *s, unsigned flags)
{
	int fd = memfd_create("cordon-scrub", MFD_CLOEXEC | flags);
	bool ok = true;
	struct stat st;

	if (fd < 0) /* no pages of that size here */
		return flags != 0;
	ok = fstat(fd, &st) == 0 && s->n_devices < SHARED_DEVICES;
	if (ok)
		s->devices[s->n_devices++] = st.st_dev;
	close(fd);
	return ok;
}

enum memscrub_status shared_init(struct shared_set *s, struct memscrub_error *reterr)
{
	bool ok;

	memset(s, 0, sizeof(*s));
	ok = add_device(s, 0);
	for (unsigned log2 = 14; log2 <= 34; log2++) /* the sizes of huge pages that exist */
		ok &= add_device(s, MFD_HUGETLB | log2 << MAP_HUGE_SHIFT);
	return ok ? MEMSCRUB_OK
		  : memscrub_fail(reterr, MEMSCRUB_SYSTEM, "shared memory", "",
				  "cannot tell where the kernel keeps it: %s", strerror(errno));
}

bool shared_lives_on(const struct shared_set *s, dev_t dev)
{
	for (size_t i = 0; i < s->n_devices; i++)
		if (s->devices[i] == dev)
			return true;
	return false;
}

/* A file there has a name, by which it is scrubbed at the end, unless it was removed. */
static bool on_mount(const struct shared_set *s, dev_t dev)
{
	for (size_t i = 0; i < s->n_mounts; i++)
		if (s->mounts[i] == dev)
			return true;
	return false;
}

bool shared_mount(struct shared_set *s, int fd)
{
	struct stat st;

	if (s->n_mounts == SHARED_MOUNTS || fstat(fd, &st) < 0)
		return false;
	s->mounts[s->n_mounts++] = st.st_dev;
	return true;
}

bool shared_is_nameless(const struct shared_set *s, const struct mapping *m)
{
	return m->deleted && on_mount(s, m->dev);
}

/* Names on the kernel's own mounts are the kernel's: a memfd's begins with "memfd:". */
static struct shared_key key_of(const struct mapping *m)
{
	return (struct shared_key){ .dev = m->dev,
				    .inode = m->inode,
				    .sysv = strncmp(m->name, "/SYSV", 5) == 0 };
}

static bool same(struct shared_key a, struct shared_key b)
{
	return a.inode == b.inode && a.dev == b.dev && a.sysv == b.sysv && a.born == b.born;
}

bool shared_same_object(const struct mapping *a, const struct mapping *b)
{
	return same(key_of(a), key_of(b));
}

static bool among(const struct shared_key *keys, size_t n, struct shared_key key)
{
	for (size_t i = 0; i < n; i++)
		if (same(keys[i], key))
			return true;
	return false;
}

static bool known(const struct shared_set *s, struct shared_key key)
{
	return among(s->own, s->n_own, key) || among(s->keys, s->n, key);
}

bool shared_spare(struct shared_set *s, int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return false;
	if (!shared_lives_on(s, st.st_dev))
		return true;
	if (s->n_own == SHARED_OWN)
		return false;
	s->own[s->n_own++] = (struct shared_key){ .dev = st.st_dev, .inode = st.st_ino };
	return true;
}

bool shared_is_held(const struct shared_set *s, const struct mapping *m)
{
	return known(s, key_of(m));
}

/* ---- left to others -------------------------------------------------------------- */

static void forget(struct shared_set *s, struct shared_key key)
{
	for (size_t i = 0; i < s->n_owed; i++)
		if (same(s->owed[i].key, key))
			s->owed[i--] = s->owed[--s->n_owed];
}

void shared_settled(struct shared_set *s, const struct mapping *m)
{
	forget(s, key_of(m));
}

void shared_owe(struct shared_set *s, const struct mapping *m)
{
	shared_settled(s, m);
	if (s->n_owed == SHARED_OWED) {
		shared_lose(s, m->end - m->start, "more objects than there is room for");
		return;
	}
	s->owed[s->n_owed].key = key_of(m);
	s->owed[s->n_owed++].bytes = m->end - m->start;
}

/* ---- taking hold ----------------------------------------------------------------- */

static uint64_t birth(int fd)
{
	struct statx st;

	if (statx(fd, "", AT_EMPTY_PATH, STATX_BTIME, &st) < 0 || !(st.stx_mask & STATX_BTIME))
		return 0;
	return (uint64_t)st.stx_btime.tv_sec * 1000000000u + st.stx_btime.tv_nsec;
}

/* Keeps `fd`, or closes it. */
static void keep(struct shared_set *s, int fd, bool sysv)
{
	struct shared_key key;
	struct stat st;

	if (fstat(fd, &st) < 0 ||
	    !(shared_lives_on(s, st.st_dev) || (on_mount(s, st.st_dev) && st.st_nlink == 0))) {
		close(fd); /* another process gave the number to something else meanwhile */
		return;
	}
	key = (struct shared_key){ .dev = st.st_dev, .inode = st.st_ino, .sysv = sysv };
	forget(s, key);
	key.born = sysv ? birth(fd) : 0;
	if (known(s, key) || s->n == SHARED_OBJECTS) {
		if (!known(s, key))
			shared_lose(s, (uint64_t)st.st_blocks * 512,
				    "more objects than there is room for");
		close(fd);
		return;
	}
	s->keys[s->n] = key;
	s->fds[s->n++] = fd;
}

bool shared_take_mapping(struct shared_set *s, pid_t pid, const struct mapping *m)
{
	char path[96];
	int fd;

	if (shared_is_held(s, m))
		return true;
	snprintf(path, sizeof(path), "/proc/%d/map_files/%llx-%llx", pid,
		 (unsigned long long)m->start, (unsigned long long)m->end);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0 && errno == ETXTBSY) /* somebody runs it: opened anew when nobody does */
		fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	keep(s, fd, key_of(m).sysv);
	return true;
}

void shared_take_program(struct shared_set *s, pid_t pid)
{
	struct statx st;
	char path[32];
	dev_t dev;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/exe", pid);
	if (statx(AT_FDCWD, path, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, STATX_INO | STATX_NLINK,
		  &st) < 0) {
		if (errno != ENOENT) /* its file system is gone, or it has none */
			shared_lose(s, 1, "the file that a process runs cannot be looked at");
		return;
	}
	dev = makedev(st.stx_dev_major, st.stx_dev_minor);
	if (!shared_lives_on(s, dev) && !(on_mount(s, dev) && st.stx_nlink == 0))
		return;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0)
		keep(s, fd, false);
	else
		shared_lose(s, 1, "the file that a process runs cannot be opened");
}

/* As pidfd_getfd; where the thread group's first thread is gone, and the kernel knows no
 * pidfds of others, the object itself is opened. */
static int duplicate(pid_t tid, int dir, const char *name)
{
	int pidfd = (int)syscall(SYS_pidfd_open, tid, PIDFD_OF_THREAD), fd = -1;

	if (pidfd < 0)
		pidfd = pidfd_open(tid, 0);
	if (pidfd >= 0) {
		fd = pidfd_getfd(pidfd, (int)strtol(name, NULL, 10), 0);
		close(pidfd);
	}
	return fd >= 0 ? fd : openat(dir, name, O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
}

static void take_fd(struct shared_set *s, pid_t tid, int dir, const char *name)
{
	struct statx st;
	bool nameless;
	dev_t dev;
	int fd;

	/* DONT_SYNC: a file system that hangs must not be asked. */
	if (statx(dir, name, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT,
		  STATX_INO | STATX_NLINK | STATX_TYPE, &st) < 0)
		return;
	dev = makedev(st.stx_dev_major, st.stx_dev_minor);
	nameless = on_mount(s, dev) && st.stx_nlink == 0 && S_ISREG(st.stx_mode);
	if (!(shared_lives_on(s, dev) || nameless) ||
	    known(s, (struct shared_key){ .dev = dev, .inode = st.stx_ino }))
		return;
	fd = duplicate(tid, dir, name);
	if (fd >= 0)
		keep(s, fd, false);
	else
		shared_lose(s, st.stx_blocks * 512,
			    "a process's descriptor cannot be duplicated");
}

void shared_take_fds(struct shared_set *s, pid_t tid)
{
	_Alignas(struct dirent64) char names[2048];
	char path[32];
	int dir;
	long n;

	snprintf(path, sizeof(path), "/proc/%d/fd", tid);
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0) {
		shared_lose(s, 1, "a process's descriptors cannot be listed");
		return;
	}
	while ((n = syscall(SYS_getdents64, dir, names, sizeof(names))) > 0) {
		const struct dirent64 *e;

		for (long at = 0; at < n; at += e->d_reclen) {
			e = (const struct dirent64 *)(const void *)(names + at);
			if (e->d_name[0] != '.')
				take_fd(s, tid, dir, e->d_name);
		}
	}
	if (n < 0)
		shared_lose(s, 1, "a process's descriptors cannot be listed");
	close(dir);
}

/* ---- the end --------------------------------------------------------------------- */

enum memscrub_status shared_scrub(struct shared_set *s, struct scrub_result *add,
				  struct memscrub_error *reterr)
{
	enum memscrub_status worst = MEMSCRUB_OK;

	for (size_t i = 0; i < s->n_owed; i++)
		shared_lose(s, s->owed[i].bytes,
			    "an object was not met again at its last user's end");
	s->n_owed = 0;
	if (s->lost) {
		worst = MEMSCRUB_RESIDUE;
		*reterr = s->why;
		add->failed += s->lost;
		s->lost = 0;
	}
	for (size_t i = 0; i < s->n; i++) {
		struct memscrub_error e = { 0 };
		uint64_t failed = add->failed;
		enum memscrub_status r = scrub_file(s->fds[i], add, &e);

		close(s->fds[i]);
		if (r != MEMSCRUB_OK && add->failed == failed)
			add->failed++; /* of unknown size */
		if (r != MEMSCRUB_OK && worst == MEMSCRUB_OK)
			*reterr = e;
		if (r > worst)
			worst = r;
	}
	s->n = 0;
	return worst;
}

void shared_drop(struct shared_set *s)
{
	for (size_t i = 0; i < s->n; i++)
		close(s->fds[i]);
	s->n = s->n_owed = 0;
}
