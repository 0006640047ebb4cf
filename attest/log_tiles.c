/* attest/log_tiles.c - hashes into tiles, tiles into files. */
#include "attest/log_tiles.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "attest/log_io.h"

#define WIDTH TLOG_TILE_WIDTH

/* ---- in memory ----------------------------------------------------------------------- */

/* The root of a full tile: pairs, pairs of pairs, eight times. */
static void tile_root(const struct tlog_hash tile[static WIDTH], struct tlog_hash *ret)
{
	struct tlog_hash level[WIDTH];

	memcpy(level, tile, sizeof(level));
	for (unsigned n = WIDTH / 2; n > 0; n /= 2)
		for (unsigned i = 0; i < n; i++)
			tlog_node(&level[2 * i], &level[2 * i + 1], &level[i]);
	*ret = level[0];
}

void log_tree_add(struct log_tree *t, const void *entry, size_t len)
{
	uint64_t index = t->frontier.size;
	struct tlog_hash hash;

	tlog_leaf(entry, len, &hash);
	tlog_frontier_add(&t->frontier, &hash);
	for (unsigned level = 0; level < TLOG_LEVELS; level++) {
		t->tiles[level][index % WIDTH] = hash;
		if (index % WIDTH != WIDTH - 1)
			break;
		tile_root(t->tiles[level], &hash);
		index /= WIDTH;
	}
}

/* The rightmost tile at `level` of a tree of `size`; width 0: none, or a full one. */
static struct tlog_tile rightmost(uint64_t size, unsigned level)
{
	uint64_t n = tlog_level_count(size, level);

	return (struct tlog_tile){ .level = level, .index = n / WIDTH, .width = n % WIDTH };
}

/* ---- folders ------------------------------------------------------------------------- */

/* "tile/0/x001/234.p/17" is the folder "tile/0/x001/234.p" and the name "17". */
static const char *split(const struct tlog_tile *t, char path[static TLOG_PATH_MAX])
{
	bool printed = tlog_tile_path(t, path);
	char *slash = strrchr(path, '/');

	assert(printed && slash);
	(void)printed;
	*slash = '\0';
	return slash + 1;
}

/* One step down; with `make` the folder is made, and its name made durable, before
 * anything is put into it. */
static enum attest_status step(struct log_disk *d, int at, const char *name, bool make,
			       int *ret_fd, struct attest_error *e)
{
	enum attest_status s = ATTEST_OK;
	int fd;

	if (make && log_io_mkdir(at, name) != 0 && errno != EEXIST)
		return log_disk_failed(name, "the folder cannot be made", e);
	if (make)
		s = log_disk_sync(d, at, name, e);
	if (s != ATTEST_OK)
		return s;
	fd = log_io_open(at, name, O_RDONLY | O_DIRECTORY);
	if (fd < 0)
		return log_disk_failed(name, "the folder cannot be opened", e);
	*ret_fd = fd;
	return ATTEST_OK;
}

/* From the log's folder down `path`, link by link: none of them may lead elsewhere. Folders
 * whose names begin at byte `new` or behind are made. With errno ENOENT when there is no
 * such folder. */
static enum attest_status walk(struct log_disk *d, const char *path, size_t new, int *ret_fd,
			       struct attest_error *e)
{
	int at = log_io_open(d->top, ".", O_RDONLY | O_DIRECTORY);
	enum attest_status s = ATTEST_OK;
	char name[TLOG_PATH_MAX];

	if (at < 0)
		return log_disk_failed(path, "the log's folder cannot be opened", e);
	for (size_t byte = 0; path[byte] && s == ATTEST_OK;) {
		size_t n = strcspn(path + byte, "/");
		int below = -1, saved;

		memcpy(name, path + byte, n);
		name[n] = '\0';
		s = step(d, at, name, byte >= new, &below, e);
		byte += n + (path[byte + n] == '/');
		saved = errno;
		close(at);
		errno = saved;
		at = below;
	}
	if (s == ATTEST_OK)
		*ret_fd = at;
	return s;
}

static enum attest_status find(struct log_disk *d, const char *path, int *ret_fd,
			       struct attest_error *e)
{
	return walk(d, path, SIZE_MAX, ret_fd, e);
}

static char *durable_of(struct log_tiles *t, unsigned level)
{
	return t->durable[level < TLOG_LEVELS ? level : TLOG_LEVELS];
}

/* How many bytes of `path` are folders on the way to `durable`. */
static size_t shared(const char *durable, const char *path)
{
	size_t known = 0, i = 0;

	for (; durable[i] && durable[i] == path[i]; i++)
		if (path[i] == '/')
			known = i + 1;
	if ((path[i] == '\0' || path[i] == '/') && (durable[i] == '\0' || durable[i] == '/'))
		known = i + (path[i] == '/');
	return known;
}

/* A folder that exists may be one whose name a process that crashed made and never
 * flushed: so the first visit flushes the whole way. */
static enum attest_status enter(struct log_tiles *t, unsigned level, const char *path,
				int *ret_fd, struct attest_error *e)
{
	char *durable = durable_of(t, level);
	size_t known = shared(durable, path);
	enum attest_status s = walk(t->disk, path, known, ret_fd, e);

	if (s == ATTEST_OK && known < strlen(path))
		memcpy(durable, path, strlen(path) + 1);
	return s;
}

/* ---- files --------------------------------------------------------------------------- */

static enum attest_status put(struct log_tiles *t, const struct tlog_tile *tile,
			      const void *bytes, size_t len, struct attest_error *e)
{
	char path[TLOG_PATH_MAX], whole[TLOG_PATH_MAX];
	const char *name = split(tile, path);
	enum attest_status s;
	int folder = -1;

	(void)tlog_tile_path(tile, whole);
	s = enter(t, tile->level, path, &folder, e);
	if (s != ATTEST_OK)
		return s;
	s = log_disk_replace(t->disk, folder, name, bytes, len, whole, e);
	close(folder);
	return s;
}

static enum attest_status put_hashes(struct log_tiles *t, const struct tlog_tile *tile,
				     const struct log_tree *tree, struct attest_error *e)
{
	return put(t, tile, tree->tiles[tile->level], tile->width * sizeof(struct tlog_hash),
		   e);
}

enum attest_status log_tiles_full(struct log_tiles *t, const struct log_tree *tree,
				  const uint8_t *bundle, size_t len, struct attest_error *e)
{
	uint64_t n = tree->frontier.size / WIDTH;
	struct tlog_tile tile = { TLOG_ENTRIES_LEVEL, n - 1, WIDTH };
	enum attest_status s = put(t, &tile, bundle, len, e);

	for (tile.level = 0; s == ATTEST_OK; tile.level++) {
		tile.index = n - 1;
		s = put_hashes(t, &tile, tree, e);
		if (n % WIDTH != 0 || tile.level + 1 == TLOG_LEVELS)
			break;
		n /= WIDTH;
	}
	return s;
}

enum attest_status log_tiles_partial(struct log_tiles *t, uint64_t old,
				     const struct log_tree *tree, const uint8_t *bundle,
				     size_t len, struct attest_error *e)
{
	uint64_t size = tree->frontier.size;
	struct tlog_tile tile = rightmost(size, TLOG_ENTRIES_LEVEL);
	enum attest_status s = ATTEST_OK;

	if (tile.width > 0 && size > old)
		s = put(t, &tile, bundle, len, e);
	for (unsigned level = 0; level < TLOG_LEVELS && s == ATTEST_OK; level++) {
		tile = rightmost(size, level);
		if (tile.width > 0 &&
		    tlog_level_count(size, level) > tlog_level_count(old, level))
			s = put_hashes(t, &tile, tree, e);
	}
	return s;
}

/* ---- reading them back at a start ---------------------------------------------------- */

static enum attest_status missing(const char *path, struct attest_error *e)
{
	return attest_fail(e, ATTEST_REFUSED, path,
			   "keep the folder as it is for whoever looks into it",
			   "tampered: a tile of the tree that was signed is not there, or not "
			   "whole");
}

static enum attest_status get(struct log_tiles *t, const struct tlog_tile *tile,
			      struct tlog_hash to[static WIDTH], struct attest_error *e)
{
	size_t size = tile->width * sizeof(struct tlog_hash);
	char path[TLOG_PATH_MAX], whole[TLOG_PATH_MAX];
	const char *name = split(tile, path);
	enum attest_status s;
	ssize_t len = -1;
	int folder = -1;

	(void)tlog_tile_path(tile, whole);
	s = find(t->disk, path, &folder, e);
	if (s != ATTEST_OK)
		return errno == ENOENT ? missing(whole, e) : s;
	s = log_disk_read(folder, name, to, size, &len, e);
	close(folder);
	if (s == ATTEST_OK && len != (ssize_t)size)
		return missing(whole, e);
	return s;
}

/* A frontier asks for hashes in the rightmost tiles alone. */
static enum attest_status hash_of(void *arg, unsigned level, uint64_t index,
				  struct tlog_hash *ret, struct attest_error *reterr)
{
	const struct log_tree *tree = arg;

	(void)reterr;
	*ret = tree->tiles[level][index % WIDTH];
	return ATTEST_OK;
}

enum attest_status log_tiles_load(struct log_tiles *t, uint64_t floor, struct log_tree *ret,
				  struct attest_error *e)
{
	const struct tlog_source source = { .hash = hash_of, .arg = ret };
	enum attest_status s = ATTEST_OK;

	assert(floor % WIDTH == 0);
	for (unsigned level = 1; level < TLOG_LEVELS && s == ATTEST_OK; level++) {
		struct tlog_tile tile = rightmost(floor, level);

		if (tile.width > 0)
			s = get(t, &tile, ret->tiles[level], e);
	}
	return s == ATTEST_OK ? tlog_frontier_load(&source, floor, &ret->frontier, e) : s;
}

/* ---- partial tiles that no checkpoint needs any more --------------------------------- */

static void remove_all_but(int folder, unsigned keep)
{
	DIR *list = fdopendir(folder);
	const struct dirent *d;
	char kept[16];

	if (!list) {
		close(folder);
		return;
	}
	snprintf(kept, sizeof(kept), "%u", keep);
	while ((d = readdir(list)) != NULL)
		if (strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0 &&
		    strcmp(d->d_name, kept) != 0)
			(void)log_io_unlink(folder, d->d_name, 0);
	closedir(list);
}

static void remove_folder(struct log_tiles *t, char *path, unsigned level)
{
	char *slash = strrchr(path, '/');
	char *durable = durable_of(t, level);
	int above = -1;

	if (strcmp(durable, path) == 0)
		durable[slash - path] = '\0';
	*slash = '\0';
	if (find(t->disk, path, &above, NULL) != ATTEST_OK)
		return;
	(void)log_io_unlink(above, slash + 1, AT_REMOVEDIR);
	close(above);
}

/* `keep` is a width, 0 for none. */
static void sweep_one(struct log_tiles *t, struct tlog_tile tile, unsigned keep)
{
	char path[TLOG_PATH_MAX];
	int folder = -1;

	tile.width = 1; /* any: it is its folder that counts */
	(void)split(&tile, path);
	if (find(t->disk, path, &folder, NULL) != ATTEST_OK)
		return;
	remove_all_but(folder, keep);
	if (keep == 0)
		remove_folder(t, path, tile.level);
}

void log_tiles_sweep(struct log_tiles *t, uint64_t from, uint64_t to, uint64_t keep)
{
	for (unsigned i = 0; i <= TLOG_LEVELS; i++) {
		unsigned level = i < TLOG_LEVELS ? i : TLOG_ENTRIES_LEVEL;
		struct tlog_tile kept = rightmost(keep, level);
		struct tlog_tile tile = rightmost(from, level);

		for (; tile.index <= rightmost(to, level).index; tile.index++)
			sweep_one(t, tile, tile.index == kept.index ? kept.width : 0);
	}
}
