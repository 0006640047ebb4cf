/* attest/tree_digest.c - see attest/tree_digest.h. */
#include "attest/tree_digest.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sha2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

_Static_assert(TREE_DIGEST == SHA256_DIGEST_LENGTH, "a tree's digest is a SHA-256");

struct walk {
	SHA2_CTX sha;
	uid_t first_id;
	size_t entries;
	char path[PATH_MAX]; /* of the entry that is looked at; "" for the folder itself */
	struct attest_error *err;
};

static enum attest_status failed(struct walk *w)
{
	return attest_fail(w->err, ATTEST_SYSTEM, w->path, NULL, "cannot be measured: %s",
			   strerror(errno));
}

/* ---- records --------------------------------------------------------------------- */

static void put_number(SHA2_CTX *sha, uint64_t v, size_t bytes)
{
	uint8_t b[8];

	for (size_t i = 0; i < bytes; i++)
		b[i] = (uint8_t)(v >> (8 * i));
	SHA256Update(sha, b, bytes);
}

static void put_record(struct walk *w, char kind, const struct stat *st, uint64_t len,
		       const uint8_t content[static TREE_DIGEST])
{
	const char *path = w->path[0] ? w->path : ".";

	put_number(&w->sha, (uint8_t)kind, 1);
	put_number(&w->sha, kind == 'l' ? 0 : st->st_mode & 01777, 4);
	put_number(&w->sha, st->st_uid - w->first_id, 4);
	put_number(&w->sha, st->st_gid - w->first_id, 4);
	SHA256Update(&w->sha, (const uint8_t *)path, strlen(path) + 1);
	put_number(&w->sha, len, 8);
	SHA256Update(&w->sha, content, TREE_DIGEST);
}

static void digest(const void *bytes, size_t n, uint8_t ret[static TREE_DIGEST])
{
	SHA2_CTX sha;

	SHA256Init(&sha);
	SHA256Update(&sha, bytes, n);
	SHA256Final(ret, &sha);
}

static enum attest_status put_file(struct walk *w, int dir, const char *name)
{
	static const size_t CHUNK = 65536;
	int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	uint8_t *chunk = malloc(CHUNK), content[TREE_DIGEST];
	enum attest_status s = ATTEST_OK;
	uint64_t len = 0;
	struct stat st;
	SHA2_CTX sha;
	ssize_t n = -1;

	SHA256Init(&sha);
	if (fd >= 0 && chunk && fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		while ((n = read(fd, chunk, CHUNK)) > 0) {
			SHA256Update(&sha, chunk, (size_t)n);
			len += (uint64_t)n;
		}
	if (n < 0)
		s = failed(w);
	SHA256Final(content, &sha);
	if (s == ATTEST_OK)
		put_record(w, 'f', &st, len, content);
	free(chunk);
	if (fd >= 0)
		close(fd);
	return s;
}

static enum attest_status put_link(struct walk *w, int dir, const char *name,
				   const struct stat *st)
{
	char target[PATH_MAX];
	uint8_t content[TREE_DIGEST];
	ssize_t n = readlinkat(dir, name, target, sizeof(target));

	if (n < 0 || (size_t)n == sizeof(target))
		return failed(w);
	digest(target, (size_t)n, content);
	put_record(w, 'l', st, (uint64_t)n, content);
	return ATTEST_OK;
}

/* ---- the walk -------------------------------------------------------------------- */

static int by_bytes(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int not_dots(const struct dirent *d)
{
	return strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0;
}

static enum attest_status put_folder(struct walk *w, int dir, unsigned depth);

static enum attest_status put_subfolder(struct walk *w, int dir, const char *name,
					unsigned depth)
{
	int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	enum attest_status s;

	if (fd < 0)
		return failed(w);
	s = put_folder(w, fd, depth + 1);
	close(fd);
	return s;
}

static enum attest_status put_entry(struct walk *w, int dir, const char *name, unsigned depth)
{
	struct stat st;

	if (++w->entries > TREE_ENTRIES || depth > TREE_DEPTH)
		return attest_fail(w->err, ATTEST_REFUSED, w->path, NULL,
				   "the tree is larger or deeper than what is measured");
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return failed(w);
	switch (st.st_mode & S_IFMT) {
	case S_IFDIR:
		return put_subfolder(w, dir, name, depth);
	case S_IFREG:
		return put_file(w, dir, name);
	case S_IFLNK:
		return put_link(w, dir, name, &st);
	default:
		return attest_fail(w->err, ATTEST_REFUSED, w->path, "remove it",
				   "neither a file, a folder nor a symbolic link");
	}
}

static enum attest_status put_names(struct walk *w, int dir, struct dirent **names, size_t n,
				    unsigned depth)
{
	size_t base = strlen(w->path);
	enum attest_status s = ATTEST_OK;

	for (size_t i = 0; i < n && s == ATTEST_OK; i++) {
		int len = snprintf(w->path + base, sizeof(w->path) - base, "%s%s",
				   base ? "/" : "", names[i]->d_name);

		if (len < 0 || (size_t)len >= sizeof(w->path) - base) {
			errno = ENAMETOOLONG;
			s = failed(w);
		} else {
			s = put_entry(w, dir, names[i]->d_name, depth);
		}
		w->path[base] = '\0';
	}
	return s;
}

static enum attest_status put_folder(struct walk *w, int dir, unsigned depth)
{
	static const uint8_t nothing[TREE_DIGEST];
	struct dirent **names = NULL;
	enum attest_status s;
	struct stat st;
	int n;

	if (fstat(dir, &st) < 0)
		return failed(w);
	put_record(w, 'd', &st, 0, nothing);
	n = scandirat(dir, ".", &names, not_dots, by_bytes);
	if (n < 0)
		return failed(w);
	s = put_names(w, dir, names, (size_t)n, depth);
	for (int i = 0; i < n; i++)
		free(names[i]);
	free(names);
	return s;
}

enum attest_status tree_digest(int dir_fd, uid_t first_id, uint8_t ret[static TREE_DIGEST],
			       struct attest_error *reterr)
{
	struct walk *w = calloc(1, sizeof(*w));
	enum attest_status s;

	if (!w)
		return attest_fail(reterr, ATTEST_SYSTEM, "tree", NULL, "no memory");
	w->first_id = first_id;
	w->err = reterr;
	SHA256Init(&w->sha);
	s = put_folder(w, dir_fd, 0);
	if (s == ATTEST_OK)
		SHA256Final(ret, &w->sha);
	free(w);
	return s;
}
