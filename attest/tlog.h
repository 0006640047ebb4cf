/*
 * attest/tlog.h - the Merkle tree of a log: hashes, roots, tiles, proofs. Pure
 * computation over SHA-256; no file, no clock, no allocation.
 *
 * Sources: RFC 6962 section 2.1 (tree, proofs), RFC 9162 section 2.1 (checking them),
 * C2SP tlog-tiles v0.1 (tiles of height 8, their paths). Sizes and indices fit 63 bits;
 * every function refuses larger ones. Thread-safe.
 */
#pragma once

#include "attest/attest.h"

#define TLOG_HASH 32u
#define TLOG_SIZE_MAX ((uint64_t)INT64_MAX)
#define TLOG_PROOF_MAX 64u    /* hashes of a proof: 63 of inclusion, 64 of consistency */
#define TLOG_ENTRY_MAX 65535u /* bytes of an entry: its length is a uint16 in a bundle */
#define TLOG_TILE_WIDTH 256u
#define TLOG_LEVELS 8u /* of tiles: 256^8 entries */

struct tlog_hash {
	uint8_t bytes[TLOG_HASH];
};

bool tlog_hash_equal(const struct tlog_hash *a, const struct tlog_hash *b);
void tlog_leaf(const void *entry, size_t len, struct tlog_hash *ret); /* H(0 || entry) */
void tlog_node(const struct tlog_hash *left, const struct tlog_hash *right,
	       struct tlog_hash *ret);  /* H(1 || left || right) */
void tlog_empty(struct tlog_hash *ret); /* H("") */
void tlog_sha256(const void *bytes, size_t len, struct tlog_hash *ret); /* H(bytes) */

/* ---- where hashes come from ------------------------------------------------------ */

/* Hash number `index` of tile level `level`: the root of the complete subtree over the
 * entries index*256^level up to (index+1)*256^level. Only those are asked for that a tree
 * of the given size has. Where a source cannot answer, its status and *reterr are what
 * the caller gets. */
struct tlog_source {
	enum attest_status (*hash)(void *arg, unsigned level, uint64_t index,
				   struct tlog_hash *ret, struct attest_error *reterr);
	void *arg;
};

/* Root of the first `size` entries. */
__attribute__((warn_unused_result)) enum attest_status tlog_root(const struct tlog_source *s,
								 uint64_t size,
								 struct tlog_hash *ret,
								 struct attest_error *reterr);

struct tlog_proof {
	struct tlog_hash hashes[TLOG_PROOF_MAX];
	size_t n;
};

/* That entry `index` is in the tree of `size`. */
__attribute__((warn_unused_result)) enum attest_status
tlog_prove_inclusion(const struct tlog_source *s, uint64_t index, uint64_t size,
		     struct tlog_proof *ret, struct attest_error *reterr);
/* That the tree of `size` begins with the tree of `old`. */
__attribute__((warn_unused_result)) enum attest_status
tlog_prove_consistency(const struct tlog_source *s, uint64_t old, uint64_t size,
		       struct tlog_proof *ret, struct attest_error *reterr);

/* ---- checking: true or false, nothing in between ---------------------------------- */

bool tlog_check_inclusion(const struct tlog_proof *p, uint64_t index, uint64_t size,
			  const struct tlog_hash *leaf, const struct tlog_hash *root);
bool tlog_check_consistency(const struct tlog_proof *p, uint64_t old, uint64_t size,
			    const struct tlog_hash *old_root, const struct tlog_hash *root);

/* ---- a growing tree ---------------------------------------------------------------- */

/* The roots of the complete subtrees that a tree of `size` consists of, the largest first:
 * enough to append and to tell the root, O(log n) memory. */
struct tlog_frontier {
	uint64_t size;
	struct tlog_hash hashes[64];
	unsigned n;
};

void tlog_frontier_add(struct tlog_frontier *f, const struct tlog_hash *leaf);
void tlog_frontier_root(const struct tlog_frontier *f, struct tlog_hash *ret);
/* From a source, for a tree of `size`. */
__attribute__((warn_unused_result)) enum attest_status
tlog_frontier_load(const struct tlog_source *s, uint64_t size, struct tlog_frontier *ret,
		   struct attest_error *reterr);

/* ---- tiles --------------------------------------------------------------------------- */

#define TLOG_ENTRIES_LEVEL 64u /* stands for `entries` in a tile's level */
#define TLOG_PATH_MAX 64u

struct tlog_tile {
	unsigned level; /* 0..63, or TLOG_ENTRIES_LEVEL for a bundle of entries */
	uint64_t index;
	unsigned width; /* 1..256; below 256 it is a partial tile */
};

/* "tile/0/x001/234.p/17"; false when a number is out of range. */
bool tlog_tile_path(const struct tlog_tile *t, char ret[static TLOG_PATH_MAX]);
/* The exact inverse: any other spelling of a tile is refused. */
bool tlog_tile_parse(const char *path, struct tlog_tile *ret);
/* How many hashes (entries, for TLOG_ENTRIES_LEVEL) a tree of `size` has at `level`. */
uint64_t tlog_level_count(uint64_t size, unsigned level);
