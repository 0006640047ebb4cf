/* tests/attest/test_tlog.c - the tree: hashes, roots, proofs, tiles and their paths. */
#include "attest/tlog.h"

#include "tests/attest/vectors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define BIG 70000u /* entries of the largest tree of the vectors */

/* ---- a tree in memory -------------------------------------------------------------- */

struct tree {
	struct tlog_hash *levels[3]; /* of tiles: 70000 entries need no more */
	uint64_t size;
	unsigned asked; /* hashes that were asked for */
};

static enum attest_status tree_hash(void *arg, unsigned level, uint64_t index,
				    struct tlog_hash *ret, struct attest_error *e)
{
	struct tree *t = arg;

	(void)e;
	t->asked++;
	/* A source is asked only for what a tree of its size has. */
	assert_true(level < 3 && index < tlog_level_count(t->size, level));
	*ret = t->levels[level][index];
	return ATTEST_OK;
}

/* The root of 256 hashes, by definition and not by the code under test. */
static struct tlog_hash root_of(const struct tlog_hash *h, size_t n)
{
	struct tlog_hash left, right, ret;

	if (n == 1)
		return *h;
	left = root_of(h, n / 2);
	right = root_of(h + n / 2, n / 2);
	tlog_node(&left, &right, &ret);
	return ret;
}

static size_t entry(const char *tag, uint64_t i, uint8_t to[static 512])
{
	struct tlog_hash h;
	char decimal[24];

	if (i % 97 == 13)
		return 0;
	if (i % 89 == 5) {
		for (unsigned b = 0; b < 256; b++)
			to[b] = (uint8_t)b;
		return 256;
	}
	if (i % 83 == 11)
		return (size_t)sprintf((char *)to, "entr\u00e9e %llu \u2014 \u00e9\n",
				       (unsigned long long)i);
	snprintf(decimal, sizeof(decimal), "%llu", (unsigned long long)i);
	tlog_sha256(decimal, strlen(decimal), &h);
	return (size_t)sprintf(
		(char *)to, "{\"seq\":%llu,\"t\":\"%s\",\"k\":\"%02x%02x%02x%02x\"}",
		(unsigned long long)i, tag, h.bytes[0], h.bytes[1], h.bytes[2], h.bytes[3]);
}

static struct tree tree_make(const char *tag, uint64_t size)
{
	struct tree t = { .size = size };
	uint8_t bytes[512];

	for (unsigned l = 0; l < 3; l++) {
		uint64_t n = tlog_level_count(size, l);

		t.levels[l] = calloc(n + 1, sizeof(**t.levels));
		assert_non_null(t.levels[l]);
		for (uint64_t i = 0; i < n; i++)
			if (l > 0)
				t.levels[l][i] = root_of(t.levels[l - 1] + 256 * i, 256);
			else
				tlog_leaf(bytes, entry(tag, i, bytes), &t.levels[0][i]);
	}
	return t;
}

static void tree_free(struct tree *t)
{
	for (unsigned l = 0; l < 3; l++)
		free(t->levels[l]);
}

static struct tlog_hash tree_root(struct tree *t, uint64_t size)
{
	struct tlog_source s = { tree_hash, t };
	struct tlog_hash h;

	assert_int_equal(tlog_root(&s, size, &h, NULL), ATTEST_OK);
	return h;
}

static void assert_hash(const struct tlog_hash *h, const char *hex)
{
	struct tlog_hash wanted = vector_hash(hex);

	assert_memory_equal(h->bytes, wanted.bytes, TLOG_HASH);
}

/* The vectors' entries carry a tag, and any entry of the file tells it. */
static void find_tag(json_t *entries, char to[static 64])
{
	json_t *first = json_array_get(json_object_get(entries, "entries"), 0);
	size_t len = 0;
	char *bytes = (char *)vector_hex(vector_text(first, "data_hex"), &len);
	char *tag = NULL;

	bytes[len] = '\0';
	tag = strstr(bytes, "\"t\":\"");
	assert_non_null(tag);
	snprintf(to, 64, "%.*s", (int)strcspn(tag + 5, "\""), tag + 5);
	free(bytes);
}

/* The vectors' tree, of BIG entries; false where there are no vectors. */
static bool vector_tree(struct tree *ret)
{
	json_t *entries = vector_load("entries.json");
	char tag[64];

	if (!entries)
		return false;
	find_tag(entries, tag);
	json_decref(entries);
	*ret = tree_make(tag, BIG);
	return true;
}

/* ---- vectors ------------------------------------------------------------------------ */

static void leaves_are_the_vectors(void **state)
{
	json_t *all = vector_load("entries.json"), *one;
	uint8_t made[512];
	char tag[64];
	size_t i;

	(void)state;
	if (!all)
		skip();
	find_tag(all, tag);
	json_array_foreach(json_object_get(all, "entries"), i, one)
	{
		size_t len = 0;
		uint8_t *bytes = vector_hex(vector_text(one, "data_hex"), &len);
		struct tlog_hash leaf;

		tlog_leaf(bytes, len, &leaf);
		assert_hash(&leaf, vector_text(one, "leaf"));
		assert_int_equal(entry(tag, vector_number(one, "i"), made), len);
		assert_memory_equal(made, bytes, len);
		free(bytes);
	}
	json_decref(all);
}

static void roots_are_the_vectors(void **state)
{
	json_t *all = vector_load("roots.json"), *one;
	struct tree t;
	size_t i;

	(void)state;
	if (!all || !vector_tree(&t)) {
		json_decref(all);
		skip();
	}
	json_array_foreach(json_object_get(all, "roots"), i, one)
	{
		struct tlog_hash root = tree_root(&t, vector_number(one, "size"));

		assert_hash(&root, vector_text(one, "root"));
	}
	json_decref(all);
	tree_free(&t);
}

static void the_eight_classic_leaves_have_their_roots(void **state)
{
	json_t *all = vector_load("ct8.json"), *one;
	struct tlog_frontier f = { .size = 0 };
	struct tlog_hash h;
	size_t i;

	(void)state;
	if (!all)
		skip();
	json_array_foreach(json_object_get(all, "leaves"), i, one)
	{
		size_t len = 0;
		uint8_t *bytes = vector_hex(json_string_value(one), &len);

		tlog_frontier_root(&f, &h);
		assert_hash(&h, json_string_value(
					json_array_get(json_object_get(all, "roots"), i)));
		tlog_leaf(bytes, len, &h);
		tlog_frontier_add(&f, &h);
		free(bytes);
	}
	tlog_frontier_root(&f, &h);
	assert_hash(&h, json_string_value(json_array_get(json_object_get(all, "roots"), 8)));
	json_decref(all);
}

/* False where the vector has more hashes than any proof can. */
static bool proof_load(json_t *list, struct tlog_proof *ret)
{
	json_t *one;
	size_t i;

	ret->n = 0;
	json_array_foreach(list, i, one)
	{
		if (i == TLOG_PROOF_MAX)
			return false;
		ret->hashes[ret->n++] = vector_hash(json_string_value(one));
	}
	return true;
}

static bool inclusion_holds(json_t *c, struct tlog_proof *p)
{
	struct tlog_hash leaf = vector_hash(vector_text(c, "leaf"));
	struct tlog_hash root = vector_hash(vector_text(c, "root"));

	return proof_load(json_object_get(c, "proof"), p) &&
	       tlog_check_inclusion(p, vector_number(c, "index"), vector_number(c, "size"),
				    &leaf, &root);
}

static bool consistency_holds(json_t *c, struct tlog_proof *p)
{
	struct tlog_hash one = vector_hash(vector_text(c, "root1"));
	struct tlog_hash two = vector_hash(vector_text(c, "root2"));

	return proof_load(json_object_get(c, "proof"), p) &&
	       tlog_check_consistency(p, vector_number(c, "size1"), vector_number(c, "size2"),
				      &one, &two);
}

static void assert_same_proof(const struct tlog_proof *a, const struct tlog_proof *b)
{
	assert_int_equal(a->n, b->n);
	assert_memory_equal(a->hashes, b->hashes, a->n * TLOG_HASH);
}

static void inclusion_proofs_are_the_vectors(void **state)
{
	json_t *all = vector_load("inclusion.json"), *c;
	struct tlog_proof wanted, made;
	struct tree t;
	struct tlog_source s = { tree_hash, &t };
	size_t i;

	(void)state;
	if (!all || !vector_tree(&t)) {
		json_decref(all);
		skip();
	}
	json_array_foreach(all, i, c)
	{
		assert_true(inclusion_holds(c, &wanted));
		assert_int_equal(tlog_prove_inclusion(&s, vector_number(c, "index"),
						      vector_number(c, "size"), &made, NULL),
				 ATTEST_OK);
		assert_same_proof(&made, &wanted);
	}
	json_decref(all);
	tree_free(&t);
}

static void consistency_proofs_are_the_vectors(void **state)
{
	json_t *all = vector_load("consistency.json"), *c;
	struct tlog_proof wanted, made;
	struct tree t;
	struct tlog_source s = { tree_hash, &t };
	size_t i;

	(void)state;
	if (!all || !vector_tree(&t)) {
		json_decref(all);
		skip();
	}
	json_array_foreach(all, i, c)
	{
		assert_true(consistency_holds(c, &wanted));
		assert_int_equal(tlog_prove_consistency(&s, vector_number(c, "size1"),
							vector_number(c, "size2"), &made, NULL),
				 ATTEST_OK);
		assert_same_proof(&made, &wanted);
	}
	json_decref(all);
	tree_free(&t);
}

static void refuses_the_bad_proofs_of_the_vectors(void **state)
{
	json_t *inclusion = vector_load("inclusion-bad.json"), *c;
	json_t *consistency = vector_load("consistency-bad.json");
	struct tlog_proof p;
	size_t i;

	(void)state;
	if (!inclusion || !consistency)
		skip();
	json_array_foreach(inclusion, i, c) assert_false(inclusion_holds(c, &p));
	json_array_foreach(consistency, i, c) assert_false(consistency_holds(c, &p));
	json_decref(inclusion);
	json_decref(consistency);
}

static void tile_paths_are_the_vectors(void **state)
{
	json_t *all = vector_load("tile-paths.json"), *c;
	char path[TLOG_PATH_MAX], wanted[TLOG_PATH_MAX];
	struct tlog_tile t = { .width = 256 };
	size_t i;

	(void)state;
	if (!all)
		skip();
	json_array_foreach(json_object_get(all, "index"), i, c)
	{
		t.index = vector_number(c, "n");
		snprintf(wanted, sizeof(wanted), "tile/0/%s", vector_text(c, "path"));
		assert_true(tlog_tile_path(&t, path));
		assert_string_equal(path, wanted);
	}
	json_array_foreach(json_object_get(all, "bad_paths"), i, c)
		assert_false(tlog_tile_parse(json_string_value(c), &t));
	json_decref(all);
}

static void tiles_hold_what_the_vectors_say(void **state)
{
	json_t *all = vector_load("tiles.json"), *c, *one;
	struct tlog_tile tile;
	struct tlog_hash h;
	struct tree t;
	size_t i, j, n = 0;

	(void)state;
	if (!all || !vector_tree(&t)) {
		json_decref(all);
		skip();
	}
	json_array_foreach(all, i, c) json_array_foreach(json_object_get(c, "tiles"), j, one)
	{
		assert_true(tlog_tile_parse(vector_text(one, "path"), &tile));
		assert_int_equal(tile.index, vector_number(one, "n"));
		assert_int_equal(tile.width, vector_number(one, "width"));
		assert_true(tile.index * 256 + tile.width <=
			    tlog_level_count(vector_number(c, "size"), tile.level));
		if (tile.level == TLOG_ENTRIES_LEVEL)
			continue;
		tlog_sha256(t.levels[tile.level] + 256 * tile.index, tile.width * TLOG_HASH,
			    &h);
		assert_hash(&h, vector_text(one, "sha256"));
		n++;
	}
	assert_true(n > 10);
	json_decref(all);
	tree_free(&t);
}

/* ---- by definition ------------------------------------------------------------------- */

/* Every proof for every size up to a few tiles' edges is taken, and no other one. */
static void every_small_proof_is_taken_and_no_changed_one(void **state)
{
	struct tree t = tree_make("t", 70);
	struct tlog_source s = { tree_hash, &t };
	struct tlog_proof p;

	(void)state;
	for (uint64_t n = 1; n <= t.size; n++)
		for (uint64_t i = 0; i < n; i++) {
			struct tlog_hash root = tree_root(&t, n);
			const struct tlog_hash *leaf = &t.levels[0][i];

			assert_int_equal(tlog_prove_inclusion(&s, i, n, &p, NULL), ATTEST_OK);
			assert_true(tlog_check_inclusion(&p, i, n, leaf, &root));
			assert_false(tlog_check_inclusion(&p, i ^ 1, n, leaf, &root));
			assert_false(tlog_check_inclusion(&p, n, n, leaf, &root));
			for (size_t k = 0; k < p.n; k++) {
				p.hashes[k].bytes[(k + i) % 32] ^= 1;
				assert_false(tlog_check_inclusion(&p, i, n, leaf, &root));
				p.hashes[k].bytes[(k + i) % 32] ^= 1;
			}
			p.hashes[p.n++] = root;
			assert_false(tlog_check_inclusion(&p, i, n, leaf, &root));
			if (p.n >= 2) {
				p.n -= 2;
				assert_false(tlog_check_inclusion(&p, i, n, leaf, &root));
			}
		}
	tree_free(&t);
}

static void every_small_growth_is_taken_and_no_changed_one(void **state)
{
	struct tree t = tree_make("t", 70);
	struct tlog_source s = { tree_hash, &t };
	struct tlog_proof p;

	(void)state;
	for (uint64_t n = 1; n <= t.size; n++)
		for (uint64_t m = 0; m <= n; m++) {
			struct tlog_hash root = tree_root(&t, n), old = tree_root(&t, m);

			assert_int_equal(tlog_prove_consistency(&s, m, n, &p, NULL), ATTEST_OK);
			assert_true(tlog_check_consistency(&p, m, n, &old, &root));
			for (size_t k = 0; k < p.n; k++) {
				p.hashes[k].bytes[(k + m) % 32] ^= 1;
				assert_false(tlog_check_consistency(&p, m, n, &old, &root));
				p.hashes[k].bytes[(k + m) % 32] ^= 1;
			}
			old.bytes[m % 32] ^= 1;
			assert_false(tlog_check_consistency(&p, m, n, &old, &root));
			old.bytes[m % 32] ^= 1;
			if (m < n)
				assert_false(tlog_check_consistency(&p, n, m, &root, &old));
			p.hashes[p.n++] = root;
			assert_false(tlog_check_consistency(&p, m, n, &old, &root));
			if (p.n >= 2) {
				p.n -= 2;
				assert_false(tlog_check_consistency(&p, m, n, &old, &root));
			}
		}
	tree_free(&t);
}

static void a_frontier_grows_as_the_tree_does(void **state)
{
	struct tree t = tree_make("t", 1000);
	struct tlog_source s = { tree_hash, &t };
	struct tlog_frontier grown = { .size = 0 }, loaded;
	struct tlog_hash a, b;

	(void)state;
	for (uint64_t n = 0; n <= t.size; n++) {
		a = tree_root(&t, n);
		tlog_frontier_root(&grown, &b);
		assert_true(tlog_hash_equal(&a, &b));
		assert_int_equal(tlog_frontier_load(&s, n, &loaded, NULL), ATTEST_OK);
		assert_int_equal(loaded.size, n);
		assert_int_equal(loaded.n, grown.n);
		assert_memory_equal(loaded.hashes, grown.hashes, grown.n * TLOG_HASH);
		if (n < t.size)
			tlog_frontier_add(&grown, &t.levels[0][n]);
	}
	tree_free(&t);
}

/* Answers for a log of any size: a hash made of level and index. */
static enum attest_status any_hash(void *arg, unsigned level, uint64_t index,
				   struct tlog_hash *ret, struct attest_error *e)
{
	uint64_t id[2] = { level, index };

	(void)e;
	assert_true(index < tlog_level_count(*(uint64_t *)arg, level));
	tlog_sha256(id, sizeof(id), ret);
	return ATTEST_OK;
}

/* Near the end of 63 bits nothing wraps, and only existing hashes are asked for. The
 * hashes do not fit each other above 256 entries, so proofs are made but not checked. */
static void the_largest_sizes_are_ordinary_ones(void **state)
{
	uint64_t size = TLOG_SIZE_MAX;
	struct tlog_source s = { any_hash, &size };
	struct tlog_frontier f;
	struct tlog_hash a, b;
	struct tlog_proof p;

	(void)state;
	assert_int_equal(tlog_root(&s, size, &a, NULL), ATTEST_OK);
	assert_int_equal(tlog_frontier_load(&s, size, &f, NULL), ATTEST_OK);
	assert_int_equal(f.n, 63);
	tlog_frontier_root(&f, &b);
	assert_true(tlog_hash_equal(&a, &b));
	assert_int_equal(tlog_prove_inclusion(&s, size - 1, size, &p, NULL), ATTEST_OK);
	assert_int_equal(p.n, 62);
	assert_int_equal(tlog_prove_inclusion(&s, 0, size, &p, NULL), ATTEST_OK);
	assert_int_equal(p.n, 63);
	assert_int_equal(tlog_prove_consistency(&s, 3, size, &p, NULL), ATTEST_OK);
	assert_int_equal(p.n, TLOG_PROOF_MAX);
	assert_int_equal(tlog_prove_consistency(&s, size - 2, size, &p, NULL), ATTEST_OK);
	assert_true(p.n <= TLOG_PROOF_MAX);
	assert_int_equal(tlog_prove_consistency(&s, 1, size, &p, NULL), ATTEST_OK);
	assert_true(p.n <= TLOG_PROOF_MAX);
}

static void sizes_beyond_63_bits_are_refused(void **state)
{
	uint64_t size = UINT64_MAX;
	struct tlog_source s = { any_hash, &size };
	struct tlog_proof p = { .n = 0 };
	struct tlog_frontier f;
	struct tlog_hash h = { { 0 } };

	(void)state;
	for (uint64_t n = TLOG_SIZE_MAX + 1; n != 0; n = n == UINT64_MAX ? 0 : UINT64_MAX) {
		assert_int_equal(tlog_root(&s, n, &h, NULL), ATTEST_MALFORMED);
		assert_int_equal(tlog_frontier_load(&s, n, &f, NULL), ATTEST_MALFORMED);
		assert_int_equal(tlog_prove_inclusion(&s, 0, n, &p, NULL), ATTEST_MALFORMED);
		assert_int_equal(tlog_prove_consistency(&s, 1, n, &p, NULL), ATTEST_MALFORMED);
		assert_false(tlog_check_inclusion(&p, 0, n, &h, &h));
		assert_false(tlog_check_consistency(&p, n, n, &h, &h));
		assert_false(tlog_check_consistency(&p, 1, n, &h, &h));
	}
	assert_int_equal(tlog_prove_inclusion(&s, 5, 5, &p, NULL), ATTEST_REFUSED);
	assert_int_equal(tlog_prove_consistency(&s, 6, 5, &p, NULL), ATTEST_REFUSED);
	p.n = TLOG_PROOF_MAX + 1; /* is not looked at */
	assert_false(tlog_check_inclusion(&p, 0, 1, &h, &h));
	assert_false(tlog_check_consistency(&p, 1, 1, &h, &h));
}

static enum attest_status no_hash(void *arg, unsigned level, uint64_t index,
				  struct tlog_hash *ret, struct attest_error *e)
{
	unsigned *left = arg;

	(void)level;
	(void)index;
	memset(ret, 0, sizeof(*ret));
	return (*left)-- > 0 ? ATTEST_OK
			     : attest_fail(e, ATTEST_REFUSED, "here", NULL, "this one is bad");
}

static void what_a_source_says_is_what_the_caller_gets(void **state)
{
	struct tlog_proof p = { .n = 7 };
	struct tlog_frontier f = { .n = 7 };
	struct attest_error e;
	struct tlog_hash h;

	(void)state;
	for (unsigned fails = 0; fails < 4; fails++) {
		unsigned left = fails;
		struct tlog_source s = { no_hash, &left };

		assert_int_equal(tlog_root(&s, 300, &h, &e), ATTEST_REFUSED);
		assert_string_equal(e.where, "here");
		left = fails;
		assert_int_equal(tlog_prove_inclusion(&s, 9, 300, &p, &e), ATTEST_REFUSED);
		left = fails;
		assert_int_equal(tlog_prove_consistency(&s, 9, 300, &p, &e), ATTEST_REFUSED);
		left = fails;
		assert_int_equal(tlog_frontier_load(&s, 300, &f, &e), ATTEST_REFUSED);
	}
	assert_int_equal(p.n, 7); /* untouched */
	assert_int_equal(f.n, 7);
}

/* ---- tiles --------------------------------------------------------------------------- */

static void a_tile_has_one_path_and_a_path_one_tile(void **state)
{
	static const uint64_t indices[] = { 0,       1,      999,         1000,     1234067,
					    1 << 20, 999999, 68719476735, INT64_MAX };
	static const unsigned levels[] = { 0, 1, 9, 10, 63, TLOG_ENTRIES_LEVEL };
	static const unsigned widths[] = { 1, 9, 10, 99, 100, 255, 256 };
	struct tlog_tile t, again;
	char path[TLOG_PATH_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(indices) / sizeof(*indices); i++)
		for (size_t l = 0; l < sizeof(levels) / sizeof(*levels); l++)
			for (size_t w = 0; w < sizeof(widths) / sizeof(*widths); w++) {
				t = (struct tlog_tile){ levels[l], indices[i], widths[w] };
				assert_true(tlog_tile_path(&t, path));
				assert_true(tlog_tile_parse(path, &again));
				assert_int_equal(again.level, t.level);
				assert_int_equal(again.index, t.index);
				assert_int_equal(again.width, t.width);
			}
	assert_true(tlog_tile_path(&(struct tlog_tile){ 64, INT64_MAX, 255 }, path));
	assert_string_equal(path, "tile/entries/x009/x223/x372/x036/x854/x775/807.p/255");
	assert_false(tlog_tile_path(&(struct tlog_tile){ 65, 0, 1 }, path));
	assert_false(tlog_tile_path(&(struct tlog_tile){ 0, 0, 0 }, path));
	assert_false(tlog_tile_path(&(struct tlog_tile){ 0, 0, 257 }, path));
	assert_false(tlog_tile_path(&(struct tlog_tile){ 0, TLOG_SIZE_MAX + 1, 1 }, path));
}

static void no_other_spelling_is_a_tile(void **state)
{
	static const char *const bad[] = {
		"",
		"tile",
		"tile/",
		"tile/0",
		"tile/0/",
		"tile//000",
		"tile/0//000",
		"tile/00/000",
		"tile/01/000",
		"tile/64/000",
		"tile/100/000",
		"tile/+1/000",
		"tile/ 0/000",
		"tile/0/0",
		"tile/0/0000",
		"tile/0/1000",
		"tile/0/x000/000",
		"tile/0/x001",
		"tile/0/x001/",
		"tile/0/x001/x000",
		"tile/0/001/000",
		"tile/0/X001/000",
		"tile/0/x01/000",
		"tile/0/x0001/000",
		"tile/0/000/",
		"tile/0/000.p",
		"tile/0/000.p/",
		"tile/0/000.p/0",
		"tile/0/000.p/01",
		"tile/0/000.p/256",
		"tile/0/000.p/257",
		"tile/0/000.p/1/",
		"tile/0/000.p/1 ",
		"tile/0/000.p/1000",
		"tile/0/000.P/1",
		"tile/0/000p/1",
		"tile/0/x001.p/000",
		"tile/entries",
		"tile/entries/0",
		"tile/entries/x1/000",
		"tile/data/000",
		"Tile/0/000",
		"/tile/0/000",
		"./tile/0/000",
		"tile/0/../000",
		"tile/0/000\n",
		"tile/0/x009/x223/x372/x036/x854/x775/808", /* 2^63 */
		"tile/0/x018/x446/x744/x073/x709/x551/616", /* 2^64: must not wrap to 0 */
		"tile/0/x001/x000/x000/x000/x000/x000/x000/000",
		"tile/0/x999/x999/x999/x999/x999/x999/x999/x999/x999/x999/x999/x999/999",
	};
	struct tlog_tile t = { 7, 7, 7 };
	char path[] = "tile/entries/x001/234.p/17", copy[sizeof(path) + 1] = "";

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_false(tlog_tile_parse(bad[i], &t));
	assert_int_equal(t.level, 7);
	/* Cut anywhere, it is another tile or none; a changed byte likewise. */
	for (size_t n = 0; n < sizeof(path); n++)
		for (int c = 0; c < 256; c++) {
			struct tlog_tile other;
			char again[TLOG_PATH_MAX];

			memcpy(copy, path, sizeof(path));
			copy[n] = (char)c;
			if (!tlog_tile_parse(copy, &other))
				continue;
			assert_true(tlog_tile_path(&other, again));
			assert_string_equal(again, copy);
		}
}

static void a_level_has_as_many_hashes_as_the_specification_says(void **state)
{
	(void)state;
	assert_int_equal(tlog_level_count(70000, 0), 70000);
	assert_int_equal(tlog_level_count(70000, 1), 273);
	assert_int_equal(tlog_level_count(70000, 2), 1);
	assert_int_equal(tlog_level_count(70000, 3), 0);
	assert_int_equal(tlog_level_count(70000, TLOG_ENTRIES_LEVEL), 70000);
	assert_int_equal(tlog_level_count(TLOG_SIZE_MAX, 7), 127);
	assert_int_equal(tlog_level_count(TLOG_SIZE_MAX, 8), 0);
	assert_int_equal(tlog_level_count(TLOG_SIZE_MAX, 63), 0);
	assert_int_equal(tlog_level_count(0, 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(leaves_are_the_vectors),
		cmocka_unit_test(roots_are_the_vectors),
		cmocka_unit_test(the_eight_classic_leaves_have_their_roots),
		cmocka_unit_test(inclusion_proofs_are_the_vectors),
		cmocka_unit_test(consistency_proofs_are_the_vectors),
		cmocka_unit_test(refuses_the_bad_proofs_of_the_vectors),
		cmocka_unit_test(tile_paths_are_the_vectors),
		cmocka_unit_test(tiles_hold_what_the_vectors_say),
		cmocka_unit_test(every_small_proof_is_taken_and_no_changed_one),
		cmocka_unit_test(every_small_growth_is_taken_and_no_changed_one),
		cmocka_unit_test(a_frontier_grows_as_the_tree_does),
		cmocka_unit_test(the_largest_sizes_are_ordinary_ones),
		cmocka_unit_test(sizes_beyond_63_bits_are_refused),
		cmocka_unit_test(what_a_source_says_is_what_the_caller_gets),
		cmocka_unit_test(a_tile_has_one_path_and_a_path_one_tile),
		cmocka_unit_test(no_other_spelling_is_a_tile),
		cmocka_unit_test(a_level_has_as_many_hashes_as_the_specification_says),
	};

	return cmocka_run_group_tests_name("tlog", tests, NULL, NULL);
}
