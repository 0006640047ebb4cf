/* tests/attest/test_log_reader.c - a log's folder read and judged; every damage is named. */
#include "attest/log_reader.h"

#include "attest/audit_entry.h"
#include "tests/attest/log_folder.h"
#include "tests/attest/vectors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define SIZE 300u

/* ---- a log to damage ------------------------------------------------------------------ */

static size_t plain(uint64_t i, char to[static 512])
{
	if (i % 50 == 7)
		return 0; /* is legal */
	return (size_t)sprintf(to, "entry %llu%s", (unsigned long long)i,
			       i % 20 ? "" : ", a longer one than those around it");
}

/* One log for all tests of it; each leaves it as it was. */
static int make_log(void **state)
{
	struct folder *f = malloc(sizeof(*f));

	*state = f;
	return f && folder_make(f) && folder_fill(f, SIZE, plain) && folder_publish(f, SIZE)
		       ? 0
		       : -1;
}

static int remove_log(void **state)
{
	folder_remove(*state);
	free(*state);
	return 0;
}

struct seen {
	struct log_judged judged;
	struct attest_error e;
	unsigned extras;
	char extra[256];
	struct audit_rules rules;
};

static void count_extra(void *arg, const char *path, const char *what)
{
	struct seen *s = arg;

	assert_non_null(what);
	snprintf(s->extra, sizeof(s->extra), "%s", path);
	s->extras++;
}

static enum attest_status ask_rules(void *arg, uint64_t index, const uint8_t *bytes, size_t len,
				    struct attest_error *e)
{
	struct seen *s = arg;

	return audit_rules_check(&s->rules, index, bytes, len, e);
}

static enum attest_status open_checkpoint(const struct folder *f, struct checkpoint *ret,
					  struct attest_error *e)
{
	struct note_verifier v = folder_key();
	struct note n;
	char *text = NULL;
	size_t len = 0;
	enum attest_status s = log_checkpoint_read(f->fd, &text, &len, e);

	if (s == ATTEST_OK)
		s = checkpoint_open(text, len, &v, 1, ret, &n, e);
	free(text);
	return s;
}

/* As the program does it: the checkpoint, then everything below. */
static enum attest_status judge(const struct folder *f, const struct checkpoint *old,
				struct seen *ret)
{
	struct checkpoint now;
	struct log_judge rules = {
		.now = &now, .old = old, .entry = ask_rules, .extra = count_extra, .arg = ret
	};
	enum attest_status s;

	memset(ret, 0, sizeof(*ret));
	s = open_checkpoint(f, &now, &ret->e);
	if (s == ATTEST_OK)
		s = log_judge(f->fd, &rules, &ret->judged, &ret->e);
	assert_true((s == ATTEST_OK) == (ret->e.what[0] == '\0'));
	return s;
}

static void assert_judged(const struct folder *f, enum attest_status wanted)
{
	struct seen seen;
	enum attest_status s = judge(f, NULL, &seen);

	if (s != wanted)
		fail_msg("status %d, not %d: %s: %s", s, wanted, seen.e.where, seen.e.what);
}

/* ---- a good log --------------------------------------------------------------------------- */

static void a_good_log_is_good(void **state)
{
	struct seen seen;

	assert_int_equal(judge(*state, NULL, &seen), ATTEST_OK);
	assert_int_equal(seen.judged.entries, SIZE);
	assert_int_equal(seen.judged.bundles, 2);
	assert_int_equal(seen.judged.tiles, 3);
	assert_int_equal(seen.judged.leftovers, 0);
	assert_int_equal(seen.extras, 0);
	assert_int_equal(seen.rules.own, 0); /* entries are opaque */
	assert_false(seen.judged.has_index);
}

/* Sizes around the edges of tiles, the empty log among them. */
static void logs_of_every_shape_are_good(void **state)
{
	static const uint64_t sizes[] = { 0, 1, 2, 255, 256, 257, 511, 512, 513, 1000 };
	struct seen seen;
	struct folder f;

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		assert_true(folder_make(&f) && folder_fill(&f, sizes[i], plain) &&
			    folder_publish(&f, sizes[i]));
		assert_int_equal(judge(&f, NULL, &seen), ATTEST_OK);
		assert_int_equal(seen.judged.entries, sizes[i]);
		folder_remove(&f);
	}
}

static void the_shared_logs_are_good(void **state)
{
	static const char *const names[] = { "log-300", "log-517" };
	json_t *keys = vector_load("keys.json");
	struct note_verifier v;
	struct folder f = { .fd = -1 };
	char path[4096];

	(void)state;
	if (!keys)
		skip();
	assert_int_equal(note_verifier_parse(vector_text(json_object_get(keys, "log"), "vkey"),
					     &v, NULL),
			 ATTEST_OK);
	json_decref(keys);
	for (size_t i = 0; i < 2; i++) {
		struct checkpoint now;
		struct log_judge rules = { .now = &now };
		struct log_judged judged;
		struct note n;
		char *text = NULL;
		size_t len = 0;

		f.fd = open(vector_path(names[i], path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		assert_true(f.fd >= 0);
		assert_int_equal(log_checkpoint_read(f.fd, &text, &len, NULL), ATTEST_OK);
		assert_int_equal(checkpoint_open(text, len, &v, 1, &now, &n, NULL), ATTEST_OK);
		assert_int_equal(log_judge(f.fd, &rules, &judged, NULL), ATTEST_OK);
		assert_int_equal(judged.entries, now.size);
		free(text);
		close(f.fd);
	}
}

/* The consistency proof between the two shared logs, made from the larger one's tiles. */
static void a_folder_proves_its_growth(void **state)
{
	json_t *all = vector_load("log-growth.json"), *one;
	struct log_reader *r = NULL;
	struct tlog_source source;
	struct tlog_proof p;
	char path[4096];
	size_t i;
	int fd;

	(void)state;
	if (!all)
		skip();
	snprintf(path, sizeof(path), "log-%llu",
		 (unsigned long long)vector_number(all, "size2"));
	fd = open(vector_path(strdupa(path), path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(log_reader_new(fd, vector_number(all, "size2"), &r, NULL), ATTEST_OK);
	source = log_reader_source(r);
	assert_int_equal(tlog_prove_consistency(&source, vector_number(all, "size1"),
						vector_number(all, "size2"), &p, NULL),
			 ATTEST_OK);
	assert_int_equal(p.n, json_array_size(json_object_get(all, "consistency")));
	json_array_foreach(json_object_get(all, "consistency"), i, one)
	{
		struct tlog_hash wanted = vector_hash(json_string_value(one));

		assert_memory_equal(p.hashes[i].bytes, wanted.bytes, TLOG_HASH);
	}
	log_reader_free(r);
	close(fd);
	json_decref(all);
}

/* ---- every file, every byte ------------------------------------------------------------------ */

static const struct {
	const char *path;
	uint64_t first; /* the entry that it begins with */
	unsigned unit;  /* bytes of it that stand for `entries`; 0: a bundle */
	unsigned entries;
} files[] = {
	{ "tile/0/000", 0, 32, 1 },
	{ "tile/0/001.p/44", 256, 32, 1 },
	{ "tile/1/000.p/1", 0, 32, 256 },
	{ "tile/entries/000", 0, 0, 1 },
	{ "tile/entries/001.p/44", 256, 0, 1 },
};

/* The entry that byte `at` of a bundle belongs to. */
static uint64_t entry_at(const uint8_t *bundle, size_t at, uint64_t first)
{
	size_t end = 0;

	for (;; first++) {
		end += 2 + (size_t)(bundle[end] << 8 | bundle[end + 1]);
		if (at < end)
			return first;
	}
}

static void every_changed_byte_is_found_and_named(void **state)
{
	static uint8_t bytes[65536], copy[65536];
	struct folder *f = *state;
	size_t step = getenv("CORDON_SOAK") ? 1 : 13;
	struct seen seen;

	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++) {
		size_t len = folder_get(f, files[i].path, bytes, sizeof(bytes));

		assert_true(len > 0);
		for (size_t at = 0; at < len; at += step) {
			uint64_t wanted =
				files[i].unit
					? files[i].first + at / files[i].unit * files[i].entries
					: entry_at(bytes, at, files[i].first);

			memcpy(copy, bytes, len);
			copy[at] ^= (uint8_t)(1u << at % 8);
			assert_true(folder_put(f, files[i].path, copy, len));
			assert_int_equal(judge(f, NULL, &seen), ATTEST_REFUSED);
			assert_true(seen.judged.has_index);
			if (seen.judged.index != wanted ||
			    strcmp(seen.judged.tile, files[i].path) != 0)
				fail_msg("byte %zu of %s was found as entry %llu of %s", at,
					 files[i].path, (unsigned long long)seen.judged.index,
					 seen.judged.tile);
		}
		assert_true(folder_put(f, files[i].path, bytes, len));
	}
	assert_judged(f, ATTEST_OK);
}

static void every_cut_file_is_found(void **state)
{
	static uint8_t bytes[65536];
	struct folder *f = *state;
	size_t step = getenv("CORDON_SOAK") ? 1 : 13;
	struct seen seen;

	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++) {
		size_t len = folder_get(f, files[i].path, bytes, sizeof(bytes));

		for (size_t n = 0; n < len; n += n + step < len ? step : 1) {
			assert_true(folder_put(f, files[i].path, bytes, n));
			assert_int_equal(judge(f, NULL, &seen), ATTEST_REFUSED);
			assert_string_equal(seen.judged.tile, files[i].path);
		}
		bytes[len] = 0; /* one byte too many */
		assert_true(folder_put(f, files[i].path, bytes, len + 1));
		assert_int_equal(judge(f, NULL, &seen), ATTEST_REFUSED);
		assert_int_equal(unlinkat(f->fd, files[i].path, 0), 0);
		assert_int_equal(judge(f, NULL, &seen), ATTEST_REFUSED);
		assert_string_equal(seen.judged.tile, files[i].path);
		assert_non_null(strstr(seen.e.what, "missing"));
		assert_true(folder_put(f, files[i].path, bytes, len));
	}
	assert_judged(f, ATTEST_OK);
}

static void every_cut_or_changed_checkpoint_is_found(void **state)
{
	static uint8_t bytes[4096], copy[4096];
	struct folder *f = *state;
	size_t len = folder_get(f, "checkpoint", bytes, sizeof(bytes));
	struct seen seen;

	for (size_t at = 0; at < len; at++) {
		enum attest_status s;

		assert_true(folder_put(f, "checkpoint", bytes, at));
		assert_judged(f, ATTEST_MALFORMED);
		memcpy(copy, bytes, len);
		copy[at] ^= (uint8_t)(1u << at % 8);
		assert_true(folder_put(f, "checkpoint", copy, len));
		s = judge(f, NULL, &seen);
		assert_true(s == ATTEST_REFUSED || s == ATTEST_MALFORMED);
	}
	unlinkat(f->fd, "checkpoint", 0);
	assert_judged(f, ATTEST_MALFORMED);
	assert_int_equal(symlinkat("/dev/null", f->fd, "checkpoint"), 0);
	assert_judged(f, ATTEST_MALFORMED);
	unlinkat(f->fd, "checkpoint", 0);
	assert_int_equal(mkdirat(f->fd, "checkpoint", 0700), 0);
	assert_judged(f, ATTEST_MALFORMED);
	unlinkat(f->fd, "checkpoint", AT_REMOVEDIR);
	assert_true(folder_put(f, "checkpoint", bytes, len));
	assert_judged(f, ATTEST_OK);
}

/* Whoever changes an entry and every hash above it still has not the root's signature. */
static size_t forged(uint64_t i, char to[static 512])
{
	return i == 137 ? (size_t)sprintf(to, "nothing happened") : plain(i, to);
}

static void a_log_that_was_made_anew_has_another_root(void **state)
{
	struct folder f;
	struct seen seen;
	char *note;

	assert_true(folder_make(&f) && folder_fill(&f, SIZE, forged));
	note = folder_sign(*state, SIZE); /* the checkpoint of the true log */
	assert_true(folder_put(&f, "checkpoint", note, strlen(note)));
	assert_int_equal(judge(&f, NULL, &seen), ATTEST_REFUSED);
	assert_string_equal(seen.e.where, "checkpoint");
	assert_int_equal(seen.judged.entries, SIZE); /* all of it agrees with itself */
	free(note);
	folder_remove(&f);
}

/* ---- links, pipes, other files ------------------------------------------------------------------ */

static void links_and_pipes_are_no_tiles(void **state)
{
	struct folder *f = *state;

	assert_int_equal(renameat(f->fd, "tile/0/000", f->fd, "elsewhere"), 0);
	assert_int_equal(symlinkat("../../elsewhere", f->fd, "tile/0/000"), 0);
	assert_judged(f, ATTEST_REFUSED);
	unlinkat(f->fd, "tile/0/000", 0);
	assert_int_equal(mkfifoat(f->fd, "tile/0/000", 0600), 0); /* must not be waited for */
	assert_judged(f, ATTEST_REFUSED);
	unlinkat(f->fd, "tile/0/000", 0);
	assert_int_equal(mkdirat(f->fd, "tile/0/000", 0700), 0);
	assert_judged(f, ATTEST_REFUSED);
	unlinkat(f->fd, "tile/0/000", AT_REMOVEDIR);
	assert_int_equal(renameat(f->fd, "elsewhere", f->fd, "tile/0/000"), 0);
	assert_judged(f, ATTEST_OK);

	assert_int_equal(renameat(f->fd, "tile/1", f->fd, "elsewhere"), 0);
	assert_int_equal(symlinkat("../elsewhere", f->fd, "tile/1"), 0);
	assert_judged(f, ATTEST_REFUSED);
	unlinkat(f->fd, "tile/1", 0);
	assert_int_equal(renameat(f->fd, "elsewhere", f->fd, "tile/1"), 0);
	assert_judged(f, ATTEST_OK);
}

static void a_full_tile_stands_in_for_a_partial_one(void **state)
{
	struct folder f;
	struct seen seen;
	char path[] = "tile/0/001";

	(void)state;
	assert_true(folder_make(&f) && folder_fill(&f, 600, plain) && folder_publish(&f, SIZE));
	/* Level 1 of 300 entries is one hash of a tile that is partial at 600, too. */
	assert_int_equal(judge(&f, NULL, &seen), ATTEST_REFUSED);
	assert_string_equal(seen.judged.tile, "tile/1/000.p/1");
	assert_true(folder_put_tile(&f, 1, 0, 1));
	assert_int_equal(judge(&f, NULL, &seen), ATTEST_OK);
	assert_int_equal(seen.judged.entries, SIZE);
	assert_int_equal(seen.extras, 2); /* tile 2 of level 0, and its bundle: beyond */

	/* What the checkpoint covers of it is judged, and the rest as well as can be. */
	f.hashes[0][256 + 43].bytes[0] ^= 1;
	assert_true(folder_put_tile(&f, 0, 1, 256));
	assert_int_equal(judge(&f, NULL, &seen), ATTEST_REFUSED);
	assert_int_equal(seen.judged.index, 256 + 43);
	f.hashes[0][256 + 43].bytes[0] ^= 1;
	f.hashes[0][256 + 44].bytes[0] ^= 1;
	assert_true(folder_put_tile(&f, 0, 1, 256));
	assert_int_equal(judge(&f, NULL, &seen), ATTEST_OK);
	assert_int_equal(
		truncate(strcat(strcat(strcpy((char[128]){ 0 }, f.path), "/"), path), 255 * 32),
		0);
	assert_int_equal(judge(&f, NULL, &seen), ATTEST_REFUSED);
	folder_remove(&f);
}

static void older_partial_tiles_must_agree(void **state)
{
	struct folder *f = *state;
	struct seen seen;

	assert_true(folder_put_tile(f, 0, 0, 17) && folder_put_tile(f, 0, 1, 3) &&
		    folder_put_bundle(f, 0, 200, plain) && folder_put_bundle(f, 1, 1, plain));
	assert_int_equal(judge(f, NULL, &seen), ATTEST_OK);
	assert_int_equal(seen.judged.leftovers, 4);
	assert_int_equal(seen.extras, 0);

	f->hashes[0][16].bytes[31] ^= 1;
	assert_true(folder_put_tile(f, 0, 0, 17));
	f->hashes[0][16].bytes[31] ^= 1;
	assert_int_equal(judge(f, NULL, &seen), ATTEST_REFUSED);
	assert_string_equal(seen.judged.tile, "tile/0/000.p/17");
	assert_true(folder_put_tile(f, 0, 0, 17));
	assert_true(folder_put_bundle(f, 0, 200, forged));
	assert_int_equal(judge(f, NULL, &seen), ATTEST_REFUSED);
	assert_string_equal(seen.judged.tile, "tile/entries/000.p/200");
	unlinkat(f->fd, "tile/0/000.p/17", 0);
	unlinkat(f->fd, "tile/0/000.p", AT_REMOVEDIR);
	unlinkat(f->fd, "tile/0/001.p/3", 0);
	unlinkat(f->fd, "tile/entries/000.p/200", 0);
	unlinkat(f->fd, "tile/entries/000.p", AT_REMOVEDIR);
	unlinkat(f->fd, "tile/entries/001.p/1", 0);
	assert_judged(f, ATTEST_OK);
}

static void files_that_are_no_tiles_are_named_and_harm_nothing(void **state)
{
	static const char *const extras[] = { "tile/readme", "tile/0/000.new",
					      "tile/0/00",   "tile/9/000",
					      "tile/0/005",  "tile/a/b/c/d/e/f/g/h/i/j/k/l/m" };
	struct folder f;
	struct seen seen;

	(void)state;
	assert_true(folder_make(&f) && folder_fill(&f, SIZE, plain) &&
		    folder_publish(&f, SIZE));
	for (unsigned i = 0; i < sizeof(extras) / sizeof(*extras); i++) {
		assert_true(folder_put(&f, extras[i], "x", 1));
		assert_int_equal(judge(&f, NULL, &seen), ATTEST_OK);
		assert_int_equal(seen.extras, i + 1);
	}
	assert_true(folder_put(&f, ".state/journal.1", "x", 1)); /* a writer's own business */
	assert_int_equal(judge(&f, NULL, &seen), ATTEST_OK);
	assert_int_equal(seen.extras, sizeof(extras) / sizeof(*extras));
	folder_remove(&f);
}

/* ---- an older checkpoint ------------------------------------------------------------------------- */

static void a_log_extends_what_it_signed_before(void **state)
{
	struct folder *f = *state;
	struct note_verifier v = folder_key();
	struct checkpoint old;
	struct seen seen;
	struct note n;

	for (uint64_t size = 0; size <= SIZE; size++) {
		char *note = folder_sign(f, size);

		assert_int_equal(checkpoint_open(note, strlen(note), &v, 1, &old, &n, NULL),
				 ATTEST_OK);
		free(note);
		assert_int_equal(judge(f, &old, &seen), ATTEST_OK);
		old.root.bytes[size % 32] ^= 1;
		if (size > 0)
			assert_int_equal(judge(f, &old, &seen), ATTEST_REFUSED);
	}
	old.size = SIZE + 1;
	assert_int_equal(judge(f, &old, &seen), ATTEST_REFUSED);
	assert_non_null(strstr(seen.e.what, "cut off"));
}

/* ---- the rules of our own entries ---------------------------------------------------------------- */

static uint64_t odd_one; /* the entry that breaks a rule */
static const char *odd_text;

static size_t own(uint64_t i, char to[static 512])
{
	if (odd_text && i == odd_one)
		return (size_t)sprintf(to, "%s", odd_text);
	return (size_t)sprintf(to,
			       "{\"data\":{\"x\":\"}\\\"\"},\"kind\":\"k\",\"seq\":%llu,"
			       "\"t\":\"2026-11-23T18:%02u:%02u.000000Z\",\"v\":1}",
			       (unsigned long long)i, (unsigned)(i / 60), (unsigned)(i % 60));
}

static enum attest_status judge_own(const char *text, struct seen *ret)
{
	struct folder f;
	enum attest_status s;

	odd_one = 5;
	odd_text = text;
	assert_true(folder_make(&f) && folder_fill(&f, 10, own) && folder_publish(&f, 10));
	s = judge(&f, NULL, ret);
	folder_remove(&f);
	return s;
}

static void our_own_entries_keep_number_and_time(void **state)
{
	static const struct {
		const char *text;
		enum attest_status status;
		uint64_t index;
	} cases[] = {
		{ NULL, ATTEST_OK, 0 },
		{ "anything", ATTEST_OK, 0 },
		{ "{\"kind\":\"k\",\"seq\":6,\"t\":\"2026-11-23T18:00:05.000000Z\",\"v\":1}",
		  ATTEST_REFUSED, 5 },
		{ "{\"kind\":\"k\",\"seq\":5,\"t\":\"2026-11-23T17:00:05.000000Z\",\"v\":1}",
		  ATTEST_REFUSED, 5 },
		{ "{\"kind\":\"k\",\"seq\":5,\"t\":\"2026-11-23T19:00:05.000000Z\",\"v\":1}",
		  ATTEST_REFUSED, 6 },
		{ "{\"kind\":\"clock.step\",\"seq\":5,\"t\":\"2026-11-23T17:00:05.000000Z\","
		  "\"v\":1}",
		  ATTEST_OK, 0 },
		{ "{\"kind\":\"clock.step\",\"seq\":5,\"t\":\"2026-11-23T19:00:05.000000Z\","
		  "\"v\":1}",
		  ATTEST_OK, 0 },
		{ "{\"kind\":\"log.start\",\"seq\":5,\"t\":\"2026-11-23T17:00:05.000000Z\","
		  "\"v\":1}",
		  ATTEST_OK, 0 },
		/* Not ours: not canonical, another version, no time, no number. */
		{ "{\"kind\":\"k\", \"seq\":6,\"t\":\"2026-11-23T18:00:05.000000Z\",\"v\":1}",
		  ATTEST_OK, 0 },
		{ "{\"seq\":6,\"kind\":\"k\",\"t\":\"2026-11-23T18:00:05.000000Z\",\"v\":1}",
		  ATTEST_OK, 0 },
		{ "{\"kind\":\"k\",\"seq\":6,\"t\":\"2026-11-23T18:00:05.000000Z\",\"v\":2}",
		  ATTEST_OK, 0 },
		{ "{\"kind\":\"k\",\"seq\":6,\"t\":\"yesterday\",\"v\":1}", ATTEST_OK, 0 },
		{ "{\"kind\":\"k\",\"seq\":06,\"t\":\"2026-11-23T18:00:05.000000Z\",\"v\":1}",
		  ATTEST_OK, 0 },
		{ "{\"kind\":\"k\",\"seq\":6,\"t\":\"2026-11-23T18:00:05.000000Z\",\"v\":1} ",
		  ATTEST_OK, 0 },
	};
	struct seen seen;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		if (judge_own(cases[i].text, &seen) != cases[i].status)
			fail_msg("case %zu: %s", i, seen.e.what);
		if (cases[i].status == ATTEST_OK)
			continue;
		assert_true(seen.judged.has_index);
		assert_int_equal(seen.judged.index, cases[i].index);
	}
}

/* Cut anywhere, an entry of ours is none; no byte behind the end is read. */
static void a_cut_entry_is_not_ours(void **state)
{
	struct audit_entry e;
	char text[512];
	size_t len;

	(void)state;
	odd_text = NULL;
	len = own(77, text);
	for (size_t n = 0; n <= len; n++) {
		uint8_t *copy = malloc(n ? n : 1);

		memcpy(copy, text, n);
		assert_int_equal(audit_entry_scan(copy, n, &e), n == len);
		free(copy);
	}
	assert_int_equal(e.seq, 77);
}

/* ---- bundles ---------------------------------------------------------------------------------------- */

static void a_proven_bundle_is_the_one_that_was_signed(void **state)
{
	static uint8_t bytes[65536];
	struct folder *f = *state;
	struct checkpoint now;
	struct log_reader *r = NULL;
	struct log_bundle b;
	size_t len = folder_get(f, "tile/entries/001.p/44", bytes, sizeof(bytes));
	char text[512];

	assert_int_equal(open_checkpoint(f, &now, NULL), ATTEST_OK);
	assert_int_equal(log_reader_new(f->fd, SIZE, &r, NULL), ATTEST_OK);
	assert_int_equal(log_reader_proven(r, 1, &now.root, &b, NULL), ATTEST_OK);
	assert_int_equal(b.first, 256);
	assert_int_equal(b.n, 44);
	for (unsigned i = 0; i < b.n; i++) {
		assert_int_equal(b.lengths[i], plain(256 + i, text));
		assert_memory_equal(b.entries[i], text, b.lengths[i]);
	}
	assert_int_equal(log_reader_proven(r, 0, &now.root, &b, NULL), ATTEST_OK);
	assert_int_equal(log_reader_proven(r, 2, &now.root, &b, NULL), ATTEST_REFUSED);
	now.root.bytes[0] ^= 1;
	assert_int_equal(log_reader_proven(r, 0, &now.root, &b, NULL), ATTEST_REFUSED);
	now.root.bytes[0] ^= 1;
	bytes[5] ^= 1;
	assert_true(folder_put(f, "tile/entries/001.p/44", bytes, len));
	assert_int_equal(log_reader_proven(r, 1, &now.root, &b, NULL), ATTEST_REFUSED);
	bytes[5] ^= 1;
	assert_true(folder_put(f, "tile/entries/001.p/44", bytes, len));
	log_reader_free(r);
	log_reader_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_good_log_is_good),
		cmocka_unit_test(logs_of_every_shape_are_good),
		cmocka_unit_test(the_shared_logs_are_good),
		cmocka_unit_test(a_folder_proves_its_growth),
		cmocka_unit_test(every_changed_byte_is_found_and_named),
		cmocka_unit_test(every_cut_file_is_found),
		cmocka_unit_test(every_cut_or_changed_checkpoint_is_found),
		cmocka_unit_test(a_log_that_was_made_anew_has_another_root),
		cmocka_unit_test(links_and_pipes_are_no_tiles),
		cmocka_unit_test(a_full_tile_stands_in_for_a_partial_one),
		cmocka_unit_test(older_partial_tiles_must_agree),
		cmocka_unit_test(files_that_are_no_tiles_are_named_and_harm_nothing),
		cmocka_unit_test(a_log_extends_what_it_signed_before),
		cmocka_unit_test(our_own_entries_keep_number_and_time),
		cmocka_unit_test(a_cut_entry_is_not_ours),
		cmocka_unit_test(a_proven_bundle_is_the_one_that_was_signed),
	};

	return cmocka_run_group_tests_name("log_reader", tests, make_log, remove_log);
}
