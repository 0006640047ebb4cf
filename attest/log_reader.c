/* attest/log_reader.c - files of a log's folder, one tile or bundle at a time. */
#include "attest/log_reader.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "attest/log_files.h"

#define BUNDLE_MAX (TLOG_TILE_WIDTH * (2u + TLOG_ENTRY_MAX)) /* bytes */

/* ---- files -------------------------------------------------------------------------- */

int log_file_open(int dirfd, const char *path, int flags)
{
	struct open_how how = {
		.flags = (uint64_t)(flags | O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK),
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS
	};

	return (int)syscall(SYS_openat2, dirfd, path, &how, sizeof(how));
}

enum attest_status log_file_failed(const char *path, struct attest_error *e)
{
	switch (errno) {
	case ENOENT:
		return attest_fail(e, ATTEST_REFUSED, path, NULL, "the file is missing");
	case ELOOP:
	case EXDEV:
	case ENOTDIR:
	case ENXIO:
		return attest_fail(e, ATTEST_REFUSED, path, NULL,
				   "it, or what it is in, is a link or not a folder");
	case EACCES:
	case EPERM:
		return attest_fail(e, ATTEST_MALFORMED, path, "read it as its owner",
				   "it may not be read: %m");
	default:
		return attest_fail(e, ATTEST_SYSTEM, path, NULL, "it cannot be read: %m");
	}
}

static bool read_whole(int fd, uint8_t *to, size_t size)
{
	ssize_t n = 1;

	for (size_t at = 0; at < size; at += (size_t)n) {
		n = read(fd, to + at, size - at);
		if (n <= 0) {
			errno = n == 0 ? EIO : errno; /* it shrank just now */
			return false;
		}
	}
	return true;
}

/* All of a regular file of at most `max` bytes, with a zero behind it. */
static enum attest_status file_read(int dirfd, const char *path, size_t max, uint8_t **ret,
				    size_t *ret_len, struct attest_error *e)
{
	int fd = log_file_open(dirfd, path, 0);
	enum attest_status s = ATTEST_OK;
	uint8_t *bytes = NULL;
	struct stat st;

	if (fd < 0)
		return log_file_failed(path, e);
	if (fstat(fd, &st) != 0) {
		s = log_file_failed(path, e);
	} else if (!S_ISREG(st.st_mode)) {
		s = attest_fail(e, ATTEST_REFUSED, path, NULL, "it is not a file");
	} else if (st.st_size > (off_t)max) {
		s = attest_fail(e, ATTEST_REFUSED, path, NULL,
				"it has %lld bytes, more than it can have",
				(long long)st.st_size);
	} else {
		bytes = calloc(1, (size_t)st.st_size + 1);
		if (!bytes || !read_whole(fd, bytes, (size_t)st.st_size))
			s = attest_fail(e, ATTEST_SYSTEM, path, NULL, "it cannot be read: %m");
	}
	close(fd);
	if (s != ATTEST_OK) {
		free(bytes);
		return s;
	}
	*ret = bytes;
	*ret_len = (size_t)st.st_size;
	return ATTEST_OK;
}

enum attest_status log_checkpoint_read(int dirfd, char **ret, size_t *ret_len,
				       struct attest_error *reterr)
{
	struct attest_error why = { .what = "" };
	uint8_t *bytes = NULL;
	enum attest_status s =
		file_read(dirfd, "checkpoint", NOTE_MAX, &bytes, ret_len, reterr);

	if (s == ATTEST_REFUSED) {
		if (reterr)
			why = *reterr;
		return attest_fail(reterr, ATTEST_MALFORMED, "checkpoint",
				   "name the folder that holds `checkpoint` and `tile`",
				   "this folder is not a log: %s", why.what);
	}
	if (s == ATTEST_OK)
		*ret = (char *)bytes;
	return s;
}

/* ---- the reader ----------------------------------------------------------------------- */

struct cached {
	bool valid;
	uint64_t index;
	struct tlog_hash hashes[TLOG_TILE_WIDTH];
};

struct log_reader {
	int dirfd; /* borrowed */
	uint64_t size;
	struct cached tiles[TLOG_LEVELS]; /* the last one of each level */
	uint8_t *bundle;                  /* bytes of the last one */
};

enum attest_status log_reader_new(int dirfd, uint64_t size, struct log_reader **ret,
				  struct attest_error *reterr)
{
	struct log_reader *r = calloc(1, sizeof(*r));

	if (!r)
		return attest_fail(reterr, ATTEST_SYSTEM, "log", NULL, "no memory");
	r->dirfd = dirfd;
	r->size = size;
	*ret = r;
	return ATTEST_OK;
}

void log_reader_free(struct log_reader *r)
{
	if (r)
		free(r->bundle);
	free(r);
}

unsigned log_tile_width(uint64_t size, unsigned level, uint64_t index)
{
	uint64_t n = tlog_level_count(size, level), full = n / TLOG_TILE_WIDTH;

	if (index < full)
		return TLOG_TILE_WIDTH;
	return index == full ? (unsigned)(n % TLOG_TILE_WIDTH) : 0;
}

/* The file of `t`, or, where a partial one is gone, that of the full tile that took its
 * place; *t is then the full one. */
static enum attest_status tile_read(int dirfd, struct tlog_tile *t, size_t max, uint8_t **ret,
				    size_t *ret_len, struct attest_error *e)
{
	char path[TLOG_PATH_MAX] = "";
	struct tlog_tile full = *t;
	struct attest_error missing;
	enum attest_status s;

	(void)tlog_tile_path(t, path);
	if (t->width == TLOG_TILE_WIDTH)
		return file_read(dirfd, path, max, ret, ret_len, e);
	s = file_read(dirfd, path, max, ret, ret_len, &missing);
	if (s == ATTEST_OK)
		return s;
	full.width = TLOG_TILE_WIDTH;
	(void)tlog_tile_path(&full, path);
	if (s != ATTEST_REFUSED ||
	    file_read(dirfd, path, max, ret, ret_len, NULL) != ATTEST_OK) {
		if (e)
			*e = missing;
		return s;
	}
	*t = full;
	return ATTEST_OK;
}

enum attest_status log_tile_hashes(int dirfd, const struct tlog_tile *t,
				   struct tlog_hash ret[static TLOG_TILE_WIDTH],
				   struct attest_error *reterr)
{
	struct tlog_tile got = *t;
	uint8_t *bytes = NULL;
	size_t len = 0;
	char path[TLOG_PATH_MAX] = "";
	enum attest_status s = tile_read(
		dirfd, &got, sizeof(struct tlog_hash) * TLOG_TILE_WIDTH, &bytes, &len, reterr);

	if (!bytes)
		return s;
	(void)tlog_tile_path(&got, path);
	if (len != got.width * (size_t)TLOG_HASH)
		s = attest_fail(reterr, ATTEST_REFUSED, path, NULL,
				"it has %zu bytes, and %u hashes have %zu", len, got.width,
				got.width * (size_t)TLOG_HASH);
	else
		memcpy(ret, bytes, t->width * (size_t)TLOG_HASH);
	free(bytes);
	return s;
}

static enum attest_status tile_load(struct log_reader *r, unsigned level, uint64_t index,
				    struct attest_error *e)
{
	struct tlog_tile t = { level, index, log_tile_width(r->size, level, index) };
	struct cached *c = &r->tiles[level];
	enum attest_status s;

	if (c->valid && c->index == index)
		return ATTEST_OK;
	c->valid = false;
	s = log_tile_hashes(r->dirfd, &t, c->hashes, e);
	c->index = index;
	c->valid = s == ATTEST_OK;
	return s;
}

static enum attest_status source_hash(void *arg, unsigned level, uint64_t index,
				      struct tlog_hash *ret, struct attest_error *e)
{
	struct log_reader *r = arg;
	enum attest_status s = tile_load(r, level, index / TLOG_TILE_WIDTH, e);

	if (s == ATTEST_OK)
		*ret = r->tiles[level].hashes[index % TLOG_TILE_WIDTH];
	return s;
}

struct tlog_source log_reader_source(struct log_reader *r)
{
	return (struct tlog_source){ source_hash, r };
}

/* ---- bundles ---------------------------------------------------------------------------- */

static enum attest_status cut_off(struct attest_error *e, const char *path, uint64_t entry)
{
	return attest_fail(e, ATTEST_REFUSED, path, NULL, "it ends before or within entry %llu",
			   (unsigned long long)entry);
}

/* `file` of them are in the bytes, and no byte more; the first `wanted` go to *ret. */
static enum attest_status entries_parse(const uint8_t *bytes, size_t len, unsigned file,
					unsigned wanted, const char *path,
					struct log_bundle *ret, struct attest_error *e)
{
	uint16_t n;

	for (unsigned i = 0; i < file; i++) {
		if (len < sizeof(n))
			return cut_off(e, path, ret->first + i);
		memcpy(&n, bytes, sizeof(n));
		n = be16toh(n);
		bytes += sizeof(n);
		len -= sizeof(n);
		if (len < n)
			return cut_off(e, path, ret->first + i);
		if (i < wanted) {
			ret->entries[i] = bytes;
			ret->lengths[i] = n;
			ret->n++;
		}
		bytes += n;
		len -= n;
	}
	if (len > 0)
		return attest_fail(e, ATTEST_REFUSED, path, NULL,
				   "%zu bytes are left behind the last entry", len);
	return ATTEST_OK;
}

enum attest_status log_bundle_read(int dirfd, const struct tlog_tile *t, uint8_t **ret_bytes,
				   struct log_bundle *ret, struct attest_error *reterr)
{
	struct tlog_tile got = *t;
	char path[TLOG_PATH_MAX] = "";
	size_t len = 0;
	enum attest_status s;

	ret->first = t->index * TLOG_TILE_WIDTH;
	ret->n = 0;
	s = tile_read(dirfd, &got, BUNDLE_MAX, ret_bytes, &len, reterr);
	if (!*ret_bytes)
		return s;
	(void)tlog_tile_path(&got, path);
	return entries_parse(*ret_bytes, len, got.width, t->width, path, ret, reterr);
}

enum attest_status log_reader_bundle(struct log_reader *r, uint64_t index,
				     struct log_bundle *ret, struct attest_error *reterr)
{
	struct tlog_tile t = { TLOG_ENTRIES_LEVEL, index,
			       log_tile_width(r->size, TLOG_ENTRIES_LEVEL, index) };

	free(r->bundle);
	r->bundle = NULL;
	ret->n = 0;
	if (t.width == 0)
		return attest_fail(reterr, ATTEST_REFUSED, "", NULL,
				   "no entry %llu in a log of %llu",
				   (unsigned long long)index * TLOG_TILE_WIDTH,
				   (unsigned long long)r->size);
	return log_bundle_read(r->dirfd, &t, &r->bundle, ret, reterr);
}

/* Proving any entry of a tile uses all hashes of the tile: when one is proven, all are. */
enum attest_status log_reader_proven(struct log_reader *r, uint64_t index,
				     const struct tlog_hash *root, struct log_bundle *ret,
				     struct attest_error *reterr)
{
	struct tlog_source source = log_reader_source(r);
	struct tlog_proof p;
	struct tlog_hash leaf;
	enum attest_status s = log_reader_bundle(r, index, ret, reterr);

	if (s == ATTEST_OK)
		s = tlog_prove_inclusion(&source, ret->first, r->size, &p, reterr);
	if (s == ATTEST_OK)
		s = tile_load(r, 0, index, reterr);
	if (s != ATTEST_OK)
		return s;
	if (!tlog_check_inclusion(&p, ret->first, r->size, r->tiles[0].hashes, root))
		return attest_fail(reterr, ATTEST_REFUSED, "", "cordon audit verify says where",
				   "the tiles above entry %llu do not lead to the root",
				   (unsigned long long)ret->first);
	for (unsigned i = 0; i < ret->n; i++) {
		tlog_leaf(ret->entries[i], ret->lengths[i], &leaf);
		if (!tlog_hash_equal(&leaf, &r->tiles[0].hashes[i]))
			return attest_fail(reterr, ATTEST_REFUSED, "", NULL,
					   "entry %llu is not the one that was logged",
					   (unsigned long long)(ret->first + i));
	}
	return ATTEST_OK;
}
