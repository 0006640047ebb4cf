/* runtime/rootfs_copy.c - one walk for both: what it does with an entry is a function. */
#include "runtime/rootfs_copy.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEPTH_MAX 64u
#define ENTRIES_MAX (1u << 20)
#define PAGE 4096u
#define ID_COUNT 65536u
#define SET_ID (S_ISUID | S_ISGID)

struct walk {
	uid_t first_id;
	bool ids, copy; /* copy: else only counted */
	uint64_t bytes;
	size_t entries;
	struct runtime_error *err;
};

static enum runtime_status fail(struct walk *w, const char *name, const char *what)
{
	return runtime_fail(w->err, RUNTIME_SYSTEM, name,
			    errno == ENOSPC ? "raise resources.memory" : "",
			    "workload.copy-rootfs: %s: %s", what, strerror(errno));
}

/* ---- one entry ------------------------------------------------------------------- */

static int give(const struct walk *w, int dir, const char *name, const struct stat *st)
{
	if (!w->ids)
		return 0;
	if (st->st_uid >= ID_COUNT || st->st_gid >= ID_COUNT) {
		errno = EOVERFLOW;
		return -1;
	}
	return fchownat(dir, name, w->first_id + st->st_uid, w->first_id + st->st_gid,
			AT_SYMLINK_NOFOLLOW | (*name ? 0 : AT_EMPTY_PATH));
}

static bool copy_bytes(int from, int to)
{
	ssize_t n;

	while ((n = sendfile(to, from, NULL, 1 << 30)) > 0)
		;
	return n == 0;
}

static enum runtime_status copy_file(struct walk *w, int from, int to, const char *name,
				     const struct stat *st)
{
	AUTO(closep)
	int in = openat(from, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	AUTO(closep) int out = -1;
	struct stat now;

	if (in < 0 || fstat(in, &now) < 0)
		return fail(w, name, "cannot open it");
	if (!S_ISREG(now.st_mode)) {
		errno = EAGAIN;
		return fail(w, name, "it changed while it was copied");
	}
	out = openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (out < 0 || !copy_bytes(in, out) || give(w, out, "", st) < 0 ||
	    fchmod(out, st->st_mode & 07777 & ~(mode_t)SET_ID) < 0)
		return fail(w, name, "cannot copy it");
	return RUNTIME_OK;
}

static enum runtime_status copy_link(struct walk *w, int from, int to, const char *name,
				     const struct stat *st)
{
	char target[PATH_MAX];
	ssize_t n = readlinkat(from, name, target, sizeof(target) - 1);

	if (n < 0)
		return fail(w, name, "cannot read the link");
	target[n] = '\0';
	return symlinkat(target, to, name) < 0 || give(w, to, name, st) < 0
		       ? fail(w, name, "cannot copy the link")
		       : RUNTIME_OK;
}

static enum runtime_status folder(struct walk *w, int from, int to, unsigned depth);

static enum runtime_status subfolder(struct walk *w, int from, int to, const char *name,
				     const struct stat *st, unsigned depth)
{
	AUTO(closep)
	int in = openat(from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	AUTO(closep) int out = -1;
	enum runtime_status s;

	if (in < 0)
		return fail(w, name, "cannot open the folder");
	if (w->copy && mkdirat(to, name, 0700) == 0)
		out = openat(to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (w->copy && out < 0)
		return fail(w, name, "cannot make the folder");
	s = folder(w, in, out, depth + 1);
	if (s == RUNTIME_OK && w->copy &&
	    (give(w, out, "", st) < 0 ||
	     fchmod(out, st->st_mode & 07777 & ~(mode_t)SET_ID) < 0))
		s = fail(w, name, "cannot copy the folder");
	return s;
}

static enum runtime_status entry(struct walk *w, int from, int to, const char *name,
				 unsigned depth)
{
	struct stat st;

	if (++w->entries > ENTRIES_MAX || depth > DEPTH_MAX)
		return runtime_fail(w->err, RUNTIME_REFUSED, name, "name a smaller folder",
				    "workload.copy-rootfs: the tree is too large or too deep");
	if (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return fail(w, name, "cannot look at it");
	w->bytes += PAGE + ((uint64_t)st.st_size + PAGE - 1) / PAGE * PAGE;
	switch (st.st_mode & S_IFMT) {
	case S_IFDIR:
		return subfolder(w, from, to, name, &st, depth);
	case S_IFREG:
		return w->copy ? copy_file(w, from, to, name, &st) : RUNTIME_OK;
	case S_IFLNK:
		return w->copy ? copy_link(w, from, to, name, &st) : RUNTIME_OK;
	default:
		return runtime_fail(w->err, RUNTIME_REFUSED, name, "remove it from the folder",
				    "workload.copy-rootfs: neither a file, a folder nor a "
				    "symbolic link");
	}
}

/* ---- the walk -------------------------------------------------------------------- */

static enum runtime_status folder(struct walk *w, int from, int to, unsigned depth)
{
	int fd = openat(from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	enum runtime_status s = RUNTIME_OK;
	struct dirent *e;

	if (!d) {
		closep(&fd);
		return fail(w, "rootfs", "cannot list a folder");
	}
	while (s == RUNTIME_OK && (e = readdir(d)))
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			s = entry(w, from, to, e->d_name, depth);
	closedir(d);
	return s;
}

enum runtime_status rootfs_copy(int from, int to, uid_t first_id, bool ids,
				struct runtime_error *reterr)
{
	struct walk w = { .first_id = first_id, .ids = ids, .copy = true, .err = reterr };

	return folder(&w, from, to, 0);
}

enum runtime_status rootfs_size(int from, uint64_t *ret, struct runtime_error *reterr)
{
	struct walk w = { .err = reterr };
	enum runtime_status s = folder(&w, from, -1, 0);

	if (s == RUNTIME_OK)
		*ret = w.bytes;
	return s;
}
