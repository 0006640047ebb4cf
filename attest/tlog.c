/*
 * attest/tlog.c - the tree: RFC 6962 section 2.1 makes, RFC 9162 section 2.1 checks, and
 * C2SP tlog-tiles names the files that its hashes are kept in.
 */
/* OpenSSL would rather have hashes made through EVP: that allocates, can fail, and costs
 * half as much again for a node. These functions do and can none of it. */
#define OPENSSL_API_COMPAT 0x10100000L

#include "attest/tlog.h"

#include <assert.h>
#include <openssl/sha.h>
#include <string.h>

_Static_assert(TLOG_HASH == SHA256_DIGEST_LENGTH, "hashes are SHA-256");

bool tlog_hash_equal(const struct tlog_hash *a, const struct tlog_hash *b)
{
	return memcmp(a->bytes, b->bytes, TLOG_HASH) == 0;
}

void tlog_sha256(const void *bytes, size_t len, struct tlog_hash *ret)
{
	SHA256_CTX cx;

	SHA256_Init(&cx);
	SHA256_Update(&cx, bytes, len);
	SHA256_Final(ret->bytes, &cx);
}

void tlog_leaf(const void *entry, size_t len, struct tlog_hash *ret)
{
	SHA256_CTX cx;

	SHA256_Init(&cx);
	SHA256_Update(&cx, "\0", 1);
	SHA256_Update(&cx, entry, len);
	SHA256_Final(ret->bytes, &cx);
}

void tlog_node(const struct tlog_hash *left, const struct tlog_hash *right,
	       struct tlog_hash *ret)
{
	SHA256_CTX cx;

	SHA256_Init(&cx);
	SHA256_Update(&cx, "\1", 1);
	SHA256_Update(&cx, left->bytes, TLOG_HASH);
	SHA256_Update(&cx, right->bytes, TLOG_HASH);
	SHA256_Final(ret->bytes, &cx);
}

void tlog_empty(struct tlog_hash *ret)
{
	tlog_sha256("", 0, ret);
}

/* ---- roots and proofs from a source ---------------------------------------------- */

/* The number of the highest bit; n > 0. */
static unsigned log2_floor(uint64_t n)
{
	return 63u - (unsigned)__builtin_clzll(n);
}

/* The largest power of two below n; n > 1. */
static uint64_t split(uint64_t n)
{
	return UINT64_C(1) << log2_floor(n - 1);
}

/* Complete subtree number `index` of height `height`. Every eighth height is in a tile. */
static enum attest_status subtree(const struct tlog_source *s, unsigned height, uint64_t index,
				  struct tlog_hash *ret, struct attest_error *e)
{
	struct tlog_hash left, right;
	enum attest_status status;

	if (height % 8 == 0)
		return s->hash(s->arg, height / 8, index, ret, e);
	status = subtree(s, height - 1, 2 * index, &left, e);
	if (status == ATTEST_OK)
		status = subtree(s, height - 1, 2 * index + 1, &right, e);
	if (status == ATTEST_OK)
		tlog_node(&left, &right, ret);
	return status;
}

/* MTH(D[begin:end]) of RFC 6962, for ranges that its definition leads to: they begin at a
 * multiple of the power of two that their length rounds up to. */
static enum attest_status range(const struct tlog_source *s, uint64_t begin, uint64_t end,
				struct tlog_hash *ret, struct attest_error *e)
{
	uint64_t n = end - begin;
	struct tlog_hash left, right;
	enum attest_status status;

	if ((n & (n - 1)) == 0)
		return subtree(s, log2_floor(n), begin / n, ret, e);
	status = range(s, begin, begin + split(n), &left, e);
	if (status == ATTEST_OK)
		status = range(s, begin + split(n), end, &right, e);
	if (status == ATTEST_OK)
		tlog_node(&left, &right, ret);
	return status;
}

static enum attest_status too_large(struct attest_error *e)
{
	return attest_fail(e, ATTEST_MALFORMED, "", NULL, "a log's size fits 63 bits");
}

enum attest_status tlog_root(const struct tlog_source *s, uint64_t size, struct tlog_hash *ret,
			     struct attest_error *reterr)
{
	if (size > TLOG_SIZE_MAX)
		return too_large(reterr);
	if (size > 0)
		return range(s, 0, size, ret, reterr);
	tlog_empty(ret);
	return ATTEST_OK;
}

/* Appends the hash of a range: both kinds of proof are lists of such, nearest the leaf
 * first. */
static enum attest_status prove_range(const struct tlog_source *s, uint64_t begin, uint64_t end,
				      struct tlog_proof *p, struct attest_error *e)
{
	enum attest_status status;

	assert(p->n < TLOG_PROOF_MAX);
	status = range(s, begin, end, &p->hashes[p->n], e);
	if (status == ATTEST_OK)
		p->n++;
	return status;
}

/* PATH(index, D[begin:end]), RFC 6962 section 2.1.1. */
static enum attest_status path(const struct tlog_source *s, uint64_t index, uint64_t begin,
			       uint64_t end, struct tlog_proof *p, struct attest_error *e)
{
	enum attest_status status;
	uint64_t middle;

	if (end - begin == 1)
		return ATTEST_OK;
	middle = begin + split(end - begin);
	if (index < middle) {
		status = path(s, index, begin, middle, p, e);
		return status == ATTEST_OK ? prove_range(s, middle, end, p, e) : status;
	}
	status = path(s, index, middle, end, p, e);
	return status == ATTEST_OK ? prove_range(s, begin, middle, p, e) : status;
}

enum attest_status tlog_prove_inclusion(const struct tlog_source *s, uint64_t index,
					uint64_t size, struct tlog_proof *ret,
					struct attest_error *reterr)
{
	struct tlog_proof p = { .n = 0 };
	enum attest_status status;

	if (size > TLOG_SIZE_MAX)
		return too_large(reterr);
	if (index >= size)
		return attest_fail(reterr, ATTEST_REFUSED, "", NULL,
				   "no entry %llu in a log of %llu", (unsigned long long)index,
				   (unsigned long long)size);
	status = path(s, index, 0, size, &p, reterr);
	if (status == ATTEST_OK)
		*ret = p;
	return status;
}

/* SUBPROOF(old, D[begin:end], known), RFC 6962 section 2.1.2; `known`: the checker has the
 * root of D[begin:old], for it is the old tree's. */
static enum attest_status subproof(const struct tlog_source *s, uint64_t old, uint64_t begin,
				   uint64_t end, bool known, struct tlog_proof *p,
				   struct attest_error *e)
{
	enum attest_status status;
	uint64_t middle;

	if (old == end)
		return known ? ATTEST_OK : prove_range(s, begin, end, p, e);
	middle = begin + split(end - begin);
	if (old <= middle) {
		status = subproof(s, old, begin, middle, known, p, e);
		return status == ATTEST_OK ? prove_range(s, middle, end, p, e) : status;
	}
	status = subproof(s, old, middle, end, false, p, e);
	return status == ATTEST_OK ? prove_range(s, begin, middle, p, e) : status;
}

enum attest_status tlog_prove_consistency(const struct tlog_source *s, uint64_t old,
					  uint64_t size, struct tlog_proof *ret,
					  struct attest_error *reterr)
{
	struct tlog_proof p = { .n = 0 };
	enum attest_status status = ATTEST_OK;

	if (size > TLOG_SIZE_MAX)
		return too_large(reterr);
	if (old > size)
		return attest_fail(reterr, ATTEST_REFUSED, "", NULL,
				   "a log of %llu cannot begin with one of %llu",
				   (unsigned long long)size, (unsigned long long)old);
	if (old > 0)
		status = subproof(s, old, 0, size, true, &p, reterr);
	if (status == ATTEST_OK)
		*ret = p;
	return status;
}

/* ---- checking --------------------------------------------------------------------- */

bool tlog_check_inclusion(const struct tlog_proof *p, uint64_t index, uint64_t size,
			  const struct tlog_hash *leaf, const struct tlog_hash *root)
{
	uint64_t fn = index, sn = size - 1; /* the names of RFC 9162, section 2.1.3.2 */
	struct tlog_hash r = *leaf;

	if (size > TLOG_SIZE_MAX || index >= size || p->n > TLOG_PROOF_MAX)
		return false;
	for (size_t i = 0; i < p->n; i++) {
		if (sn == 0)
			return false;
		if ((fn & 1) || fn == sn) {
			tlog_node(&p->hashes[i], &r, &r);
			for (; !(fn & 1) && fn != 0; fn >>= 1)
				sn >>= 1;
		} else {
			tlog_node(&r, &p->hashes[i], &r);
		}
		fn >>= 1;
		sn >>= 1;
	}
	return sn == 0 && tlog_hash_equal(&r, root);
}

/* RFC 9162, section 2.1.4.2, for 0 < old < size. A tree whose size is a power of two is a
 * complete subtree of the new one: its root is the first hash, and not in the proof. */
static bool check_growth(const struct tlog_proof *p, uint64_t old, uint64_t size,
			 const struct tlog_hash *old_root, const struct tlog_hash *root)
{
	uint64_t fn = old - 1, sn = size - 1;
	bool complete = (old & (old - 1)) == 0;
	struct tlog_hash fr, sr;

	if (p->n == 0)
		return false;
	for (; fn & 1; fn >>= 1)
		sn >>= 1;
	fr = sr = complete ? *old_root : p->hashes[0];
	for (size_t i = complete ? 0 : 1; i < p->n; i++) {
		const struct tlog_hash *c = &p->hashes[i];

		if (sn == 0)
			return false;
		if ((fn & 1) || fn == sn) {
			tlog_node(c, &fr, &fr);
			tlog_node(c, &sr, &sr);
			for (; !(fn & 1) && fn != 0; fn >>= 1)
				sn >>= 1;
		} else {
			tlog_node(&sr, c, &sr);
		}
		fn >>= 1;
		sn >>= 1;
	}
	return sn == 0 && tlog_hash_equal(&fr, old_root) && tlog_hash_equal(&sr, root);
}

bool tlog_check_consistency(const struct tlog_proof *p, uint64_t old, uint64_t size,
			    const struct tlog_hash *old_root, const struct tlog_hash *root)
{
	struct tlog_hash empty;

	if (size > TLOG_SIZE_MAX || old > size || p->n > TLOG_PROOF_MAX)
		return false;
	tlog_empty(&empty);
	if (old == 0 && !tlog_hash_equal(old_root, &empty))
		return false;
	if (old == size)
		return p->n == 0 && tlog_hash_equal(old_root, root);
	return old == 0 ? p->n == 0 : check_growth(p, old, size, old_root, root);
}

/* ---- a growing tree ---------------------------------------------------------------- */

void tlog_frontier_add(struct tlog_frontier *f, const struct tlog_hash *leaf)
{
	assert(f->size < TLOG_SIZE_MAX);
	f->hashes[f->n++] = *leaf;
	/* One more leaf joins as many pairs as the old size ends in one bits. */
	for (uint64_t size = f->size++; size & 1; size >>= 1) {
		f->n--;
		tlog_node(&f->hashes[f->n - 1], &f->hashes[f->n], &f->hashes[f->n - 1]);
	}
}

void tlog_frontier_root(const struct tlog_frontier *f, struct tlog_hash *ret)
{
	struct tlog_hash r;

	if (f->n == 0) {
		tlog_empty(ret);
		return;
	}
	r = f->hashes[f->n - 1];
	for (unsigned i = f->n - 1; i > 0; i--)
		tlog_node(&f->hashes[i - 1], &r, &r);
	*ret = r;
}

enum attest_status tlog_frontier_load(const struct tlog_source *s, uint64_t size,
				      struct tlog_frontier *ret, struct attest_error *reterr)
{
	struct tlog_frontier f = { .size = size };
	enum attest_status status = ATTEST_OK;
	uint64_t begin = 0;

	if (size > TLOG_SIZE_MAX)
		return too_large(reterr);
	for (unsigned height = 63; height-- > 0 && status == ATTEST_OK;) {
		if (!(size >> height & 1))
			continue;
		status = subtree(s, height, begin >> height, &f.hashes[f.n++], reterr);
		begin += UINT64_C(1) << height;
	}
	if (status == ATTEST_OK)
		*ret = f;
	return status;
}

/* ---- tiles --------------------------------------------------------------------------- */

/* Groups of three digits, an x before all but the last: 1234067 is x001/x234/067. */
static void index_print(uint64_t index, char ret[static 40])
{
	char *at = ret;
	uint64_t unit = 1;

	while (index / unit >= 1000)
		unit *= 1000;
	for (; unit > 1; unit /= 1000)
		at += sprintf(at, "x%03u/", (unsigned)(index / unit % 1000));
	sprintf(at, "%03u", (unsigned)(index % 1000));
}

bool tlog_tile_path(const struct tlog_tile *t, char ret[static TLOG_PATH_MAX])
{
	char level[8] = "entries", index[40], width[8] = "";

	if (t->level > TLOG_ENTRIES_LEVEL || t->index > TLOG_SIZE_MAX || t->width == 0 ||
	    t->width > TLOG_TILE_WIDTH)
		return false;
	if (t->level < TLOG_ENTRIES_LEVEL)
		snprintf(level, sizeof(level), "%u", t->level);
	if (t->width < TLOG_TILE_WIDTH)
		snprintf(width, sizeof(width), ".p/%u", t->width);
	index_print(t->index, index);
	snprintf(ret, TLOG_PATH_MAX, "tile/%s/%s%s", level, index, width);
	return true;
}

/* Decimal digits at *at, at most `most` of them; moves behind them. */
static bool digits(const char **at, unsigned most, uint64_t *ret)
{
	uint64_t v = 0;
	unsigned n = 0;

	for (; n < most && **at >= '0' && **at <= '9'; n++)
		v = v * 10 + (uint64_t)(*(*at)++ - '0');
	*ret = v;
	return n > 0;
}

static bool skip(const char **at, const char *word)
{
	size_t n = strlen(word);

	if (strncmp(*at, word, n) != 0)
		return false;
	*at += n;
	return true;
}

/* Reads any numbers of about the right form; printing what was read then tells whether it
 * was the one spelling. */
bool tlog_tile_parse(const char *path, struct tlog_tile *ret)
{
	struct tlog_tile t = { .width = TLOG_TILE_WIDTH };
	uint64_t level = TLOG_ENTRIES_LEVEL, group, width;
	const char *at = path;
	char again[TLOG_PATH_MAX];
	bool more;

	if (!skip(&at, "tile/") ||
	    (!skip(&at, "entries/") && !(digits(&at, 2, &level) && skip(&at, "/"))))
		return false;
	t.level = (unsigned)level;
	do {
		more = skip(&at, "x");
		if (t.index > TLOG_SIZE_MAX / 1000 || !digits(&at, 3, &group))
			return false;
		t.index = t.index * 1000 + group;
	} while (more && skip(&at, "/"));
	if (skip(&at, ".p/")) {
		if (!digits(&at, 3, &width))
			return false;
		t.width = (unsigned)width;
	}
	if (!tlog_tile_path(&t, again) || strcmp(again, path) != 0)
		return false;
	*ret = t;
	return true;
}

uint64_t tlog_level_count(uint64_t size, unsigned level)
{
	if (level == TLOG_ENTRIES_LEVEL)
		return size;
	return level < TLOG_LEVELS ? size >> (8 * level) : 0;
}
