/*
 * attest/log_tiles.h - the tree of a growing log: what of it is kept in memory, and the
 * tiles and bundles that readers get.
 */
#pragma once

#include "attest/log_disk.h"

/* All that a tree of frontier.size entries needs to grow. */
struct log_tree {
	struct tlog_frontier frontier;
	/* The rightmost tile of each level, as far as it goes; a full one stays until the
	 * next hash of its level comes. */
	struct tlog_hash tiles[TLOG_LEVELS][TLOG_TILE_WIDTH];
};

void log_tree_add(struct log_tree *t, const void *entry, size_t len);

struct log_tiles {
	struct log_disk *disk;
	/* Of each level (bundles last) a folder to which all names on the way are durable. */
	char durable[TLOG_LEVELS + 1][TLOG_PATH_MAX];
};

/* The tree of `floor` entries, a multiple of 256, from the few tiles that tell it. A tile
 * that is not there is ATTEST_REFUSED. */
__attribute__((warn_unused_result)) enum attest_status log_tiles_load(struct log_tiles *t,
								      uint64_t floor,
								      struct log_tree *ret,
								      struct attest_error *e);
/* The tiles that `tree` fills, with the bundle below them: its size is a multiple of 256. */
__attribute__((warn_unused_result)) enum attest_status
log_tiles_full(struct log_tiles *t, const struct log_tree *tree, const uint8_t *bundle,
	       size_t len, struct attest_error *e);
/* The partial tiles of `tree` that a tree of `old` entries had not, and the partial bundle. */
__attribute__((warn_unused_result)) enum attest_status
log_tiles_partial(struct log_tiles *t, uint64_t old, const struct log_tree *tree,
		  const uint8_t *bundle, size_t len, struct attest_error *e);
/* Of the partial tiles where a tree between `from` and `to` entries can have had some, only
 * those of `keep` stay, as far as they can be removed: one too many harms nobody. */
void log_tiles_sweep(struct log_tiles *t, uint64_t from, uint64_t to, uint64_t keep);
