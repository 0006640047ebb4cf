/*
 * attest/log_judge.c - a whole log, from its entries up.
 *
 * Every tile is computed from the entries and compared with its file: a bundle at a time,
 * and of each level the one tile that is still growing. What those hold in the end are the
 * complete subtrees that the root is made of.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "attest/log_files.h"

#define DEPTH 12u /* of folders below `tile`: the longest path of a tile has nine */

struct judge {
	int dirfd;
	uint64_t size;
	const struct log_judge *rules;
	struct log_reader *reader;
	struct log_judged *found;
	struct attest_error *e;

	struct level {
		struct tlog_hash hashes[TLOG_TILE_WIDTH];
		uint64_t tile; /* its index */
		unsigned n;
	} levels[TLOG_LEVELS];
};

static struct tlog_tile tile_of(const struct judge *j, unsigned level, uint64_t index)
{
	return (struct tlog_tile){ level, index, log_tile_width(j->size, level, index) };
}

/* The first bad place: a file, and the first entry that it is about. */
static void blame(struct judge *j, const struct tlog_tile *t, uint64_t entry)
{
	(void)tlog_tile_path(t, j->found->tile);
	j->found->has_index = true;
	j->found->index = entry;
}

/* The growing tiles as a source: of a tree of exactly the entries they were made from, the
 * only hashes asked for are those at its right edge. */
static enum attest_status growing_hash(void *arg, unsigned level, uint64_t index,
				       struct tlog_hash *ret, struct attest_error *e)
{
	struct judge *j = arg;

	(void)e;
	*ret = j->levels[level].hashes[index % TLOG_TILE_WIDTH];
	return ATTEST_OK;
}

static enum attest_status growing_root(struct judge *j, uint64_t size, struct tlog_hash *ret)
{
	struct tlog_source s = { growing_hash, j };

	return tlog_root(&s, size, ret, j->e);
}

/* ---- where two things disagree ------------------------------------------------------ */

/* Whether the checkpoint's root vouches for hash `h` of entry `index`. */
static bool vouched_for(struct judge *j, uint64_t index, const struct tlog_hash *h)
{
	struct tlog_source s = log_reader_source(j->reader);
	struct tlog_proof p;
	struct attest_error ignored;

	return tlog_prove_inclusion(&s, index, j->size, &p, &ignored) == ATTEST_OK &&
	       tlog_check_inclusion(&p, index, j->size, h, &j->rules->now->root);
}

/* Entry and level 0 disagree; the root knows which of them is right. */
static enum attest_status entry_disagrees(struct judge *j, uint64_t index,
					  const struct tlog_hash *stored)
{
	uint64_t tile = index / TLOG_TILE_WIDTH;
	bool entry = vouched_for(j, index, stored);
	struct tlog_tile t = tile_of(j, entry ? TLOG_ENTRIES_LEVEL : 0, tile);

	blame(j, &t, index);
	return attest_fail(j->e, ATTEST_REFUSED, j->found->tile, NULL,
			   entry ? "entry %llu is not the one that was logged"
				 : "the hash of entry %llu is not that of the entry",
			   (unsigned long long)index);
}

static enum attest_status tile_disagrees(struct judge *j, const struct tlog_tile *t, unsigned i,
					 const struct tlog_hash *stored)
{
	uint64_t place = t->index * TLOG_TILE_WIDTH + i;

	if (t->level == 0)
		return entry_disagrees(j, place, stored);
	blame(j, t, place << 8 * t->level);
	return attest_fail(j->e, ATTEST_REFUSED, j->found->tile, NULL,
			   "its hash %u is not that of the tile below it, which begins with "
			   "entry %llu",
			   i, (unsigned long long)j->found->index);
}

/* The bundle is not whole: an entry before the break may be what is wrong. */
static enum attest_status bundle_broken(struct judge *j, uint64_t index,
					const struct log_bundle *b, enum attest_status s)
{
	struct tlog_tile t = tile_of(j, 0, index);
	struct tlog_hash stored[TLOG_TILE_WIDTH], leaf;
	struct attest_error ignored;

	if (s != ATTEST_REFUSED)
		return s;
	if (b->n > 0 && log_tile_hashes(j->dirfd, &t, stored, &ignored) == ATTEST_OK)
		for (unsigned i = 0; i < b->n; i++) {
			tlog_leaf(b->entries[i], b->lengths[i], &leaf);
			if (!tlog_hash_equal(&leaf, &stored[i]))
				return entry_disagrees(j, b->first + i, &stored[i]);
		}
	t.level = TLOG_ENTRIES_LEVEL;
	blame(j, &t, b->first + b->n);
	return s;
}

/* ---- from the entries to the root ------------------------------------------------------ */

/* The root of 256 hashes, in place. */
static struct tlog_hash fold(struct tlog_hash *h)
{
	for (unsigned n = TLOG_TILE_WIDTH; n > 1; n /= 2)
		for (unsigned i = 0; i < n / 2; i++)
			tlog_node(&h[2 * i], &h[2 * i + 1], &h[i]);
	return h[0];
}

/* Compares the growing tile of `level` with its file. */
static enum attest_status compare(struct judge *j, unsigned level)
{
	struct level *l = &j->levels[level];
	struct tlog_tile t = tile_of(j, level, l->tile);
	struct tlog_hash stored[TLOG_TILE_WIDTH];
	enum attest_status s = log_tile_hashes(j->dirfd, &t, stored, j->e);

	if (s == ATTEST_REFUSED)
		blame(j, &t, (t.index * TLOG_TILE_WIDTH) << 8 * level);
	if (s != ATTEST_OK)
		return s;
	for (unsigned i = 0; i < t.width; i++)
		if (!tlog_hash_equal(&stored[i], &l->hashes[i]))
			return tile_disagrees(j, &t, i, &stored[i]);
	j->found->tiles++;
	return ATTEST_OK;
}

/* A full tile is compared and becomes one hash of the level above. Those of the top level
 * are never full: sizes have 63 bits. */
static enum attest_status carry(struct judge *j, unsigned level)
{
	for (; level + 1 < TLOG_LEVELS && j->levels[level].n == TLOG_TILE_WIDTH; level++) {
		struct level *l = &j->levels[level], *up = l + 1;
		enum attest_status s = compare(j, level);

		if (s != ATTEST_OK)
			return s;
		up->hashes[up->n++] = fold(l->hashes);
		l->tile++;
		l->n = 0;
	}
	return ATTEST_OK;
}

static enum attest_status ask_rules(struct judge *j, const struct log_bundle *b)
{
	enum attest_status s = ATTEST_OK;
	unsigned i;

	if (!j->rules->entry)
		return s;
	for (i = 0; i < b->n && s == ATTEST_OK; i++)
		s = j->rules->entry(j->rules->arg, b->first + i, b->entries[i], b->lengths[i],
				    j->e);
	if (s == ATTEST_REFUSED) {
		struct tlog_tile t = tile_of(j, TLOG_ENTRIES_LEVEL, b->first / TLOG_TILE_WIDTH);

		blame(j, &t, b->first + i - 1);
	}
	return s;
}

/* An older checkpoint within this bundle; its tree's right edge is in the growing tiles. */
static enum attest_status check_old(struct judge *j, const struct log_bundle *b)
{
	const struct checkpoint *old = j->rules->old;
	struct tlog_hash root;
	enum attest_status s;

	if (!old || old->size < b->first || old->size >= b->first + b->n)
		return ATTEST_OK;
	s = growing_root(j, old->size, &root);
	if (s != ATTEST_OK || tlog_hash_equal(&root, &old->root))
		return s;
	return attest_fail(j->e, ATTEST_REFUSED, "older checkpoint", NULL,
			   "the first %llu entries are not those it was signed for",
			   (unsigned long long)old->size);
}

static enum attest_status judge_bundle(struct judge *j, uint64_t index)
{
	struct level *leaves = &j->levels[0];
	struct log_bundle b;
	enum attest_status s = log_reader_bundle(j->reader, index, &b, j->e);

	if (s != ATTEST_OK)
		return bundle_broken(j, index, &b, s);
	for (leaves->n = 0; leaves->n < b.n; leaves->n++)
		tlog_leaf(b.entries[leaves->n], b.lengths[leaves->n],
			  &leaves->hashes[leaves->n]);
	s = check_old(j, &b);
	if (s == ATTEST_OK)
		s = leaves->n < TLOG_TILE_WIDTH ? compare(j, 0) : carry(j, 0);
	if (s == ATTEST_OK)
		s = ask_rules(j, &b);
	if (s != ATTEST_OK)
		return s;
	j->found->bundles++;
	j->found->entries += b.n;
	return ATTEST_OK;
}

static enum attest_status judge_root(struct judge *j)
{
	const struct checkpoint *now = j->rules->now, *old = j->rules->old;
	struct tlog_hash root;
	enum attest_status s = ATTEST_OK;

	for (unsigned level = 1; level < TLOG_LEVELS && s == ATTEST_OK; level++)
		if (j->levels[level].n > 0)
			s = compare(j, level);
	if (s == ATTEST_OK)
		s = growing_root(j, j->size, &root);
	if (s != ATTEST_OK)
		return s;
	if (!tlog_hash_equal(&root, &now->root))
		return attest_fail(j->e, ATTEST_REFUSED, "checkpoint", NULL,
				   "entries and tiles agree, but their root is not the one "
				   "that was signed");
	if (old && old->size == now->size && !tlog_hash_equal(&old->root, &now->root))
		return attest_fail(j->e, ATTEST_REFUSED, "older checkpoint", NULL,
				   "it has the same size and another root: two logs were "
				   "signed");
	return ATTEST_OK;
}

/* ---- what else is in the folder ---------------------------------------------------------- */

static bool same_entries(const struct log_bundle *a, const struct log_bundle *b, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (a->lengths[i] != b->lengths[i] ||
		    memcmp(a->entries[i], b->entries[i], a->lengths[i]) != 0)
			return false;
	return true;
}

/* A bundle that is not the log's own file: what it has in common with the log must be the
 * log's. */
static enum attest_status leftover_bundle(struct judge *j, const struct tlog_tile *t,
					  unsigned shared, bool *ret_same)
{
	struct log_bundle own, other;
	uint8_t *bytes = NULL;
	enum attest_status s = log_bundle_read(j->dirfd, t, &bytes, &other, j->e);

	if (s == ATTEST_OK)
		s = log_reader_bundle(j->reader, t->index, &own, j->e);
	if (s == ATTEST_OK)
		*ret_same = same_entries(&own, &other, shared);
	free(bytes);
	return s;
}

static enum attest_status leftover_tile(struct judge *j, const struct tlog_tile *t,
					unsigned shared, bool *ret_same)
{
	struct tlog_hash own[TLOG_TILE_WIDTH], other[TLOG_TILE_WIDTH];
	struct tlog_tile mine = tile_of(j, t->level, t->index);
	enum attest_status s = log_tile_hashes(j->dirfd, t, other, j->e);

	if (s == ATTEST_OK)
		s = log_tile_hashes(j->dirfd, &mine, own, j->e);
	if (s == ATTEST_OK)
		*ret_same = memcmp(own, other, shared * sizeof(*own)) == 0;
	return s;
}

/* Of a tile that the tree has not in this width: older partial ones, and those that a
 * writer has made for its next checkpoint. */
static enum attest_status judge_leftover(struct judge *j, const struct tlog_tile *t)
{
	unsigned width = log_tile_width(j->size, t->level, t->index);
	unsigned shared = t->width < width ? t->width : width;
	bool same = false;
	enum attest_status s;

	if (width == 0 || t->width == width)
		return ATTEST_OK;
	s = t->level == TLOG_ENTRIES_LEVEL ? leftover_bundle(j, t, shared, &same)
					   : leftover_tile(j, t, shared, &same);
	if (s == ATTEST_OK && same) {
		j->found->leftovers += t->width < width;
		return ATTEST_OK;
	}
	blame(j, t,
	      t->level < TLOG_LEVELS ? (t->index * TLOG_TILE_WIDTH) << 8 * t->level
				     : t->index * TLOG_TILE_WIDTH);
	return s != ATTEST_OK ? s
			      : attest_fail(j->e, ATTEST_REFUSED, j->found->tile, NULL,
					    "it is not part of this log: it disagrees with the "
					    "tile that is");
}

static void extra(struct judge *j, const char *path, const char *what)
{
	if (j->rules->extra)
		j->rules->extra(j->rules->arg, path, what);
}

static enum attest_status walk(struct judge *j, const char *path, unsigned depth);

static enum attest_status walk_entry(struct judge *j, const char *path, unsigned depth)
{
	struct tlog_tile t;
	struct stat st;

	if (fstatat(j->dirfd, path, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return ATTEST_OK; /* a writer took it away just now */
	if (S_ISDIR(st.st_mode))
		return walk(j, path, depth + 1);
	if (!tlog_tile_parse(path, &t))
		extra(j, path, "not the name of a tile");
	else if (log_tile_width(j->size, t.level, t.index) == 0)
		extra(j, path, "beyond the checkpoint");
	else
		return judge_leftover(j, &t);
	return ATTEST_OK;
}

static enum attest_status walk(struct judge *j, const char *path, unsigned depth)
{
	char below[DEPTH * (NAME_MAX + 1)];
	enum attest_status s = ATTEST_OK;
	struct dirent *d;
	DIR *folder;
	int fd;

	if (depth == DEPTH) {
		extra(j, path, "a folder deeper than any tile");
		return ATTEST_OK;
	}
	fd = log_file_open(j->dirfd, path, O_DIRECTORY);
	if (fd < 0 && errno == ENOENT)
		return ATTEST_OK;
	folder = fd < 0 ? NULL : fdopendir(fd);
	if (!folder) {
		s = log_file_failed(path, j->e);
		if (fd >= 0)
			close(fd);
		return s;
	}
	while (s == ATTEST_OK && (errno = 0, d = readdir(folder))) {
		if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
			continue;
		snprintf(below, sizeof(below), "%s/%s", path, d->d_name);
		s = walk_entry(j, below, depth);
	}
	if (s == ATTEST_OK && errno != 0)
		s = log_file_failed(path, j->e);
	closedir(folder);
	return s;
}

/* ---- a judgement ---------------------------------------------------------------------- */

static enum attest_status judge_all(struct judge *j)
{
	uint64_t bundles = j->size / TLOG_TILE_WIDTH + (j->size % TLOG_TILE_WIDTH != 0);
	enum attest_status s = ATTEST_OK;

	if (j->rules->old && j->rules->old->size > j->size)
		return attest_fail(j->e, ATTEST_REFUSED, "older checkpoint", NULL,
				   "it is of %llu entries, and the log has %llu: the newest "
				   "were cut off",
				   (unsigned long long)j->rules->old->size,
				   (unsigned long long)j->size);
	for (uint64_t i = 0; i < bundles && s == ATTEST_OK; i++)
		s = judge_bundle(j, i);
	if (s == ATTEST_OK)
		s = judge_root(j);
	return s == ATTEST_OK ? walk(j, "tile", 0) : s;
}

enum attest_status log_judge(int dirfd, const struct log_judge *rules, struct log_judged *ret,
			     struct attest_error *reterr)
{
	struct judge *j = calloc(1, sizeof(*j));
	enum attest_status s;

	*ret = (struct log_judged){ .entries = 0 };
	if (!j)
		return attest_fail(reterr, ATTEST_SYSTEM, "log", NULL, "no memory");
	*j = (struct judge){ .dirfd = dirfd,
			     .size = rules->now->size,
			     .rules = rules,
			     .found = ret,
			     .e = reterr };
	s = log_reader_new(dirfd, j->size, &j->reader, reterr);
	if (s == ATTEST_OK)
		s = judge_all(j);
	log_reader_free(j->reader);
	free(j);
	return s;
}
