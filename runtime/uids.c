/* runtime/uids.c - a block is a byte, its owner a lock. */
#include "runtime/uids.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

/* Host-wide on purpose, whatever root a session uses: ids are the kernel's, and two
 * roots must not hand out the same ones. */
#define LOCK_FOLDER "/run/cordon"
#define LOCK_FILE LOCK_FOLDER "/uids"

enum runtime_status uids_reserve(int *ret_lock, uid_t *ret_first, struct runtime_error *reterr)
{
	unsigned start = 0;
	struct stat st;
	int fd;

	if (mkdir(LOCK_FOLDER, 0700) < 0 && errno != EEXIST)
		return runtime_fail(reterr, RUNTIME_SYSTEM, LOCK_FOLDER, "",
				    "cannot make it: %s", strerror(errno));
	fd = open(LOCK_FILE, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0 || fstat(fd, &st) < 0 || st.st_uid != geteuid() || (st.st_mode & 077) ||
	    getrandom(&start, sizeof(start), 0) != sizeof(start)) {
		if (fd >= 0)
			close(fd);
		return runtime_fail(reterr, RUNTIME_SYSTEM, LOCK_FILE,
				    "it must be root's own file, mode 600",
				    "cannot use the register of user ids");
	}
	for (unsigned i = 0; i < UIDS_BLOCKS; i++) {
		unsigned block = (start % UIDS_BLOCKS + i) % UIDS_BLOCKS;
		struct flock l = {
			.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = block, .l_len = 1
		};

		if (fcntl(fd, F_OFD_SETLK, &l) == 0) {
			*ret_lock = fd;
			*ret_first = UIDS_FIRST + block * UIDS_BLOCK;
			return RUNTIME_OK;
		}
	}
	close(fd);
	return runtime_fail(reterr, RUNTIME_REFUSED, LOCK_FILE, "stop a session first",
			    "all %u blocks of user ids are in use", UIDS_BLOCKS);
}

/* ---- one id for many ------------------------------------------------------------- */

/* The file has two regions, for sessions that do not share and for those that do; in each, a
 * tenant is a byte, by a hash of 60 bits: two tenants of one hash would be taken for one. */
#define REGION (1ll << 61)

static off_t tenant_at(const char *tenant, bool accept)
{
	uint64_t hash = 0xcbf29ce484222325u; /* FNV-1a */

	for (; *tenant; tenant++)
		hash = (hash ^ (uint8_t)*tenant) * 0x100000001b3u;
	return (off_t)(hash >> 4) + (accept ? REGION : 0);
}

/* Whether somebody else holds a byte from `from` up to, and without, `to`. */
static enum runtime_status taken(int fd, off_t from, off_t to, bool *ret,
				 struct runtime_error *e)
{
	struct flock l = {
		.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = from, .l_len = to - from
	};

	if (from == to) {
		*ret = false;
		return RUNTIME_OK;
	}
	if (fcntl(fd, F_OFD_GETLK, &l) < 0)
		return runtime_fail(e, RUNTIME_SYSTEM, "user ids", "",
				    "cannot tell who shares this user's id: %s",
				    strerror(errno));
	*ret = l.l_type != F_UNLCK;
	return RUNTIME_OK;
}

static int open_share(char *path, size_t size, uid_t uid)
{
	struct stat st;
	int fd;

	snprintf(path, size, "/run/user/%u", uid);
	if (stat(path, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == uid)
		snprintf(path, size, "/run/user/%u/cordon-tenants", uid);
	else
		snprintf(path, size, "/tmp/.cordon-tenants-%u", uid);
	fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0600);
	if (fd >= 0 && (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_uid != uid)) {
		close(fd);
		errno = EPERM;
		return -1;
	}
	return fd;
}

enum runtime_status uids_share(const char *tenant, bool accept, int *ret_lock,
			       struct runtime_error *reterr)
{
	off_t own = tenant_at(tenant, accept), twin = tenant_at(tenant, !accept);
	off_t low = own < twin ? own : twin, high = own < twin ? twin : own;
	/* One that accepts minds only tenants that do not: the first region. */
	off_t end = accept ? REGION : 2 * REGION;
	struct flock mine = {
		.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = own, .l_len = 1
	};
	bool others[3] = { false, false, false };
	enum runtime_status s;
	char path[64];
	int fd = open_share(path, sizeof(path), geteuid());

	/* First claimed, then looked: of two that start at once at least one is refused. */
	if (fd < 0 || fcntl(fd, F_OFD_SETLK, &mine) < 0) {
		s = runtime_fail(reterr, RUNTIME_SYSTEM, path, "is it your own file?",
				 "cannot use the register of this user's tenants: %s",
				 strerror(errno));
		if (fd >= 0)
			close(fd);
		return s;
	}
	s = taken(fd, 0, low, &others[0], reterr);
	if (s == RUNTIME_OK)
		s = taken(fd, low + 1, accept ? REGION : high, &others[1], reterr);
	if (s == RUNTIME_OK && !accept)
		s = taken(fd, high + 1, end, &others[2], reterr);
	if (s == RUNTIME_OK && (others[0] || others[1] || others[2]))
		s = runtime_fail(
			reterr, RUNTIME_REFUSED, "isolation.shared-uid",
			"stop it, start sessions as root, or accept it in both policies",
			"another tenant has a live session under this user's one id");
	if (s == RUNTIME_OK)
		*ret_lock = fd;
	else
		close(fd);
	return s;
}
