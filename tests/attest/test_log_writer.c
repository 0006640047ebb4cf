/* tests/attest/test_log_writer.c - a log as it grows, and the starts that are refused. */
#include "tests/attest/log_sample.h"

#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <time.h>

static bool soak(void)
{
	return getenv("CORDON_SOAK") != NULL;
}

/* ---- growth ------------------------------------------------------------------------------ */

static unsigned n_files; /* below tile/ */

static void assert_files(int folder, const char *path, const char *const wanted[])
{
	int fd = openat(folder, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *list = fdopendir(fd);
	const struct dirent *d;
	char below[400];
	struct stat st;

	assert_non_null(list);
	while ((d = readdir(list)) != NULL) {
		bool known = false;

		if (d->d_name[0] == '.')
			continue;
		snprintf(below, sizeof(below), "%s/%s", path, d->d_name);
		assert_int_equal(fstatat(folder, below, &st, AT_SYMLINK_NOFOLLOW), 0);
		assert_int_equal(st.st_mode & 07777, S_ISDIR(st.st_mode) ? 0700 : 0600);
		if (S_ISDIR(st.st_mode)) {
			assert_files(folder, below, wanted);
			continue;
		}
		for (size_t i = 0; wanted[i]; i++)
			known |= strcmp(below, wanted[i]) == 0;
		if (!known)
			fail_msg("%s should not be there", below);
		n_files++;
	}
	closedir(list);
}

static void assert_tiles(const char *const wanted[])
{
	size_t n = 0;

	while (wanted[n])
		n++;
	n_files = 0;
	assert_files(sample_fd, "tile", wanted);
	assert_int_equal(n_files, n);
}

static void partial_tiles_outlive_their_checkpoint_by_one(void **state)
{
	static const char *const at_300[] = { "tile/entries/000", "tile/entries/001.p/44",
					      "tile/0/000",       "tile/0/001.p/44",
					      "tile/1/000.p/1",   NULL };
	static const char *const at_517[] = { "tile/entries/000",
					      "tile/entries/001.p/44",
					      "tile/entries/001",
					      "tile/entries/002.p/5",
					      "tile/0/000",
					      "tile/0/001.p/44",
					      "tile/0/001",
					      "tile/0/002.p/5",
					      "tile/1/000.p/1",
					      "tile/1/000.p/2",
					      NULL };
	static const char *const at_518[] = { "tile/entries/000",     "tile/entries/001",
					      "tile/entries/002.p/5", "tile/entries/002.p/6",
					      "tile/0/000",           "tile/0/001",
					      "tile/0/002.p/5",       "tile/0/002.p/6",
					      "tile/1/000.p/2",       NULL };
	static const uint64_t sizes[] = { 300, 517, 518 };
	static const char *const *const wanted[] = { at_300, at_517, at_518 };
	struct attest_error e = { .what = "" };

	(void)state;
	for (int restart = 0; restart <= 1; restart++) {
		struct log_writer *w;

		sample_clear();
		w = sample_open(NULL);
		for (size_t i = 0; i < 3; i++) {
			if (restart && i > 0) {
				sample_close(w);
				w = sample_open(NULL);
			}
			sample_grow(w, sizes[i] - log_size(w));
			must(log_publish(w, &e), &e);
			assert_true(judge() == sizes[i] && log_published(w) == sizes[i]);
			assert_tiles(wanted[i]);
		}
		sample_close(w);
	}
}

/* A publish that did not come to its end leaves tiles that no checkpoint has. */
static void leftovers_are_removed(void **state)
{
	struct log_writer *w;

	(void)state;
	sample_clear();
	w = sample_open(NULL);
	sample_grow(w, 10);
	sample_close(w);
	file_store("tile/0/000.p/77", "x", 1);
	file_store("tile/entries/000.p/77", "x", 1);
	file_store(".state/temp", "x", 1);
	w = sample_open(NULL);
	assert_false(file_there(".state/temp"));
	sample_grow(w, 80);
	sample_close(w);
	assert_false(file_there("tile/0/000.p/77") || file_there("tile/entries/000.p/77"));
	assert_true(file_there("tile/0/000.p/10") && file_there("tile/0/000.p/90"));
}

static void goes_on_at_every_size(void **state)
{
	(void)state;
	sample_clear();
	for (uint64_t size = 0; size < 530; size++) {
		struct log_start start;
		struct log_writer *w = sample_open(&start);

		assert_true(start.size == size && start.fresh == (size == 0));
		assert_true(start.cut_bytes == 0 && !start.put_back);
		sample_grow(w, 1);
		sample_close(w);
		if (size % 50 == 0 || size % 256 > 253 || size % 256 < 3)
			assert_true(judge() == size + 1);
	}
}

static unsigned segments(void)
{
	int fd = openat(sample_fd, ".state", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *list = fdopendir(fd);
	const struct dirent *d;
	unsigned n = 0;

	assert_non_null(list);
	while ((d = readdir(list)) != NULL)
		n += strncmp(d->d_name, "journal.", 8) == 0;
	closedir(list);
	return n;
}

/* Three levels, many bundles in one publish, a journal of several segments that is short
 * again afterwards. */
static void grows_over_65536_entries(void **state)
{
	static const uint64_t sizes[] = { 1, 700, 30000, 65535, 65536, 65537, 66000 };
	struct attest_error e = { .what = "" };
	struct log_writer *w;

	(void)state;
	sample_clear();
	w = sample_open(NULL);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		sample_grow(w, sizes[i] - log_size(w));
		must(log_publish(w, &e), &e);
		assert_true(segments() <= 2);
		if (i % 2) {
			sample_close(w);
			w = sample_open(NULL);
		}
		if (sizes[i] > 60000)
			assert_true(judge() == sizes[i]);
	}
	sample_close(w);
	assert_true(file_there("tile/1/000") && file_there("tile/2/000.p/1"));
}

static void a_group_is_one_flush(void **state)
{
	struct attest_error e = { .what = "" };
	struct log_writer *w;
	uint8_t bytes[LOG_ENTRY_MAX + 1] = { 'x' };
	struct log_flushes before, after;
	uint64_t index;

	(void)state;
	sample_clear();
	w = sample_open(NULL);
	sample_grow(w, 1); /* makes the segment */
	before = log_flushes(w);
	for (unsigned i = 0; i < 10; i++) {
		must(sample_append(w, 100, &e), &e);
		must(log_commit(w, &e), &e);
	}
	must(log_commit(w, &e), &e); /* of nothing */
	after = log_flushes(w);
	assert_int_equal(after.commits - before.commits, 10);
	assert_int_equal(after.fsyncs, before.fsyncs);

	/* Its limits, and those of an entry. */
	must(sample_append(w, LOG_GROUP, &e), &e);
	assert_int_equal(sample_append(w, 1, &e), ATTEST_REFUSED);
	must(log_commit(w, &e), &e);
	sample_close(w);
	assert_true(judge() == 1001 + LOG_GROUP);

	w = sample_open(NULL);
	assert_int_equal(log_append(w, bytes, 0, &index, &e), ATTEST_REFUSED);
	assert_int_equal(log_append(w, bytes, LOG_ENTRY_MAX + 1, &index, &e), ATTEST_REFUSED);
	for (unsigned i = 0; i < LOG_GROUP_BYTES / (LOG_ENTRY_MAX + 16); i++)
		must(log_append(w, bytes, LOG_ENTRY_MAX, &index, &e), &e);
	assert_int_equal(log_append(w, bytes, LOG_ENTRY_MAX, &index, &e), ATTEST_REFUSED);
	assert_non_null(strstr(e.hint, "commit"));
	must(log_commit(w, &e), &e);
	sample_close(w);
}

static void there_is_one_writer(void **state)
{
	struct attest_error e = { .what = "" };
	struct log_writer *w, *other = NULL;
	struct log_start start;

	(void)state;
	sample_clear();
	w = sample_open(NULL);
	assert_int_equal(log_open(sample_fd, sample_signer, &other, &start, &e), ATTEST_SYSTEM);
	assert_null(other);
	assert_non_null(strstr(e.what, "another process"));
	sample_close(w);
	sample_close(sample_open(NULL));
}

/* ---- starts ------------------------------------------------------------------------------ */

/* Of another process, which ends without a word to its writer. */
static struct outcome {
	enum attest_status s;
	struct log_start start;
	struct attest_error e;
} * outcome;

static int begin(void **state)
{
	outcome = mmap(NULL, sizeof(*outcome), PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return outcome == MAP_FAILED ? -1 : sample_begin(state);
}

static void ended(pid_t pid)
{
	int status = 0;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		fail_msg("wait status %#x", (unsigned)status);
}

/* Opens, and appends `grow` entries that it commits and does not publish. */
static void try(unsigned grow)
{
	struct log_writer *w = NULL;
	pid_t pid = sample_fork();

	if (pid > 0) {
		ended(pid);
		return;
	}
	memset(outcome, 0, sizeof(*outcome));
	outcome->s = log_open(sample_fd, sample_signer, &w, &outcome->start, &outcome->e);
	if (outcome->s == ATTEST_OK && grow > 0)
		sample_grow(w, grow);
	_exit(0);
}

#define SIGNED 10u
#define WRITTEN 15u

/* SIGNED entries in a checkpoint, WRITTEN in the journal; its bytes. */
static uint8_t *journal_of_a_crash(size_t *ret_len)
{
	struct log_writer *w;

	sample_clear();
	w = sample_open(NULL);
	sample_grow(w, SIGNED);
	sample_close(w);
	try(WRITTEN - SIGNED);
	return file_load(".state/journal.0", ret_len);
}

/* Where frame i begins. */
static size_t frame_at(unsigned i)
{
	uint8_t bytes[LOG_ENTRY_MAX];
	size_t at = 0;

	for (unsigned k = 0; k < i; k++)
		at += 16 + sample_entry(k, bytes);
	return at;
}

static unsigned frame_of(size_t at)
{
	unsigned i = 0;

	while (i < WRITTEN && frame_at(i + 1) <= at)
		i++;
	return i;
}

/* What a journal is whose first bad frame is number i, of `bytes` behind the good ones. */
static void assert_outcome(size_t at, unsigned i, size_t cut)
{
	char number[32];

	snprintf(number, sizeof(number), "entry %u ", i);
	if (i < SIGNED) {
		if (outcome->s != ATTEST_REFUSED || !strstr(outcome->e.what, "tampered") ||
		    !strstr(outcome->e.what, number))
			fail_msg("byte %zu: status %d: %s", at, (int)outcome->s,
				 outcome->e.what);
	} else if (outcome->s != ATTEST_OK || outcome->start.size != i ||
		   outcome->start.cut_bytes != cut) {
		fail_msg("byte %zu: status %d, %llu entries, %llu bytes cut, not %zu: %s", at,
			 (int)outcome->s, (unsigned long long)outcome->start.size,
			 (unsigned long long)outcome->start.cut_bytes, cut, outcome->e.what);
	}
}

/* From one such start on: the cut is said until an entry follows, and then it was. */
static void assert_goes_on(void)
{
	uint64_t size = outcome->start.size, cut = outcome->start.cut_bytes;
	struct log_start start;
	struct log_writer *w;

	if (outcome->s != ATTEST_OK)
		return;
	try(0);
	assert_true(outcome->start.cut_bytes == cut);
	try(2);
	w = sample_open(&start);
	assert_true(start.size == size + 2 && start.cut_bytes == 0);
	sample_close(w);
	assert_true(judge() == size + 2);
}

static void every_changed_byte_of_the_journal_shows(void **state)
{
	size_t len = 0, used = frame_at(WRITTEN);
	uint8_t *bytes = journal_of_a_crash(&len);

	(void)state;
	assert_int_equal(len, 1 << 20);
	for (size_t at = 0; at < used + 20; at++) {
		unsigned i = frame_of(at);
		size_t end = at < used ? used : at + 1;

		bytes[at] ^= (uint8_t)(1u << at % 8);
		file_store(".state/journal.0", bytes, len);
		try(0);
		assert_outcome(at, i, end - frame_at(i));
		bytes[at] ^= (uint8_t)(1u << at % 8);
		if (at % 97 != 0 || i < SIGNED)
			continue;
		assert_goes_on();
		free(bytes);
		bytes = journal_of_a_crash(&len);
	}
	free(bytes);
}

static void every_truncation_of_the_journal_shows(void **state)
{
	size_t len = 0, cut, used = frame_at(WRITTEN);
	uint8_t *bytes = journal_of_a_crash(&len);

	(void)state;
	for (size_t n = 0; n <= used + 20; n++) {
		unsigned i = frame_of(n);

		file_store(".state/journal.0", bytes, n);
		try(0);
		cut = n < used ? n - frame_at(i) : 0;
		while (cut > 0 && bytes[frame_at(i) + cut - 1] == 0)
			cut--; /* nobody can tell zeros from nothing */
		assert_outcome(n, i, cut);
		if (n % 97 != 0 || i < SIGNED)
			continue;
		assert_goes_on();
		free(bytes);
		bytes = journal_of_a_crash(&len);
	}
	free(bytes);
}

/* What a torn write left behind its first bad block must not come back later, when good
 * frames stand before it again. */
static void good_frames_behind_a_bad_one_stay_away(void **state)
{
	size_t len = 0;
	uint8_t *bytes = journal_of_a_crash(&len);
	struct log_start start;

	(void)state;
	bytes[frame_at(12) + 20] ^= 1;
	file_store(".state/journal.0", bytes, len);
	free(bytes);
	try(1); /* entry 12 again, of the same length */
	assert_true(outcome->s == ATTEST_OK && outcome->start.size == 12);
	sample_close(sample_open(&start));
	assert_true(start.size == 13);
	assert_true(judge() == 13);
}

/* ---- what somebody put back, or changed --------------------------------------------------- */

/* The files of a log that a start believes. */
static const char *const kept[] = { "checkpoint", ".state/signed", ".state/journal.0" };

struct copy {
	uint8_t *bytes[3];
	size_t len[3];
};

static struct copy copy_take(void)
{
	struct copy c = { 0 };

	for (size_t i = 0; i < 3; i++) {
		c.bytes[i] = file_load(kept[i], &c.len[i]);
		assert_non_null(c.bytes[i]);
	}
	return c;
}

static void copy_put(const struct copy *c, size_t first, size_t last)
{
	for (size_t i = first; i <= last; i++)
		file_store(kept[i], c->bytes[i], c->len[i]);
}

static void copy_free(struct copy *c)
{
	for (size_t i = 0; i < 3; i++)
		free(c->bytes[i]);
}

/* Refused in words, and nothing is written. */
static void assert_tampered(const char *what)
{
	size_t before_len = 0, after_len = 0;
	uint8_t *before = file_load("checkpoint", &before_len), *after;

	try(0);
	if (outcome->s != ATTEST_REFUSED || !strstr(outcome->e.what, "tampered") ||
	    !strstr(outcome->e.what, what) || !outcome->e.where[0] || !outcome->e.hint[0])
		fail_msg("%s: status %d: %s: %s; %s", what, (int)outcome->s, outcome->e.where,
			 outcome->e.what, outcome->e.hint);
	after = file_load("checkpoint", &after_len);
	assert_true((before == NULL) == (after == NULL) && before_len == after_len);
	if (before)
		assert_memory_equal(before, after, after_len);
	free(before);
	free(after);
}

static void grow_and_close(uint64_t n)
{
	struct log_writer *w = sample_open(NULL);

	sample_grow(w, n);
	sample_close(w);
}

static void an_old_state_is_refused(void **state)
{
	struct copy old, now;

	(void)state;
	sample_clear();
	grow_and_close(5);
	old = copy_take();
	grow_and_close(4);
	now = copy_take();
	copy_put(&old, 1, 2); /* all of .state */
	assert_tampered("put back");
	copy_put(&now, 0, 2);
	copy_put(&old, 1, 1);
	assert_tampered("put back");
	copy_put(&now, 0, 2);
	copy_put(&old, 2, 2); /* the journal alone: it is short of what was signed */
	assert_tampered("entry 5 ");
	copy_put(&now, 0, 2);
	try(0);
	assert_int_equal(outcome->s, ATTEST_OK);
	copy_free(&old);
	copy_free(&now);
}

static void an_old_checkpoint_is_replaced(void **state)
{
	struct copy first, second;

	(void)state;
	sample_clear();
	grow_and_close(5);
	first = copy_take();
	grow_and_close(4);
	second = copy_take();
	grow_and_close(4);
	copy_put(&second, 0, 0); /* as a crash leaves it */
	try(0);
	assert_true(outcome->s == ATTEST_OK && !outcome->start.put_back);
	assert_true(judge() == 13);
	copy_put(&first, 0, 0); /* as none does */
	try(0);
	assert_true(outcome->s == ATTEST_OK && outcome->start.put_back);
	assert_true(judge() == 13);
	unlinkat(sample_fd, "checkpoint", 0);
	try(0);
	assert_true(outcome->s == ATTEST_OK && outcome->start.put_back);
	assert_true(judge() == 13);
	copy_free(&first);
	copy_free(&second);
}

static void store_checkpoint(const struct note_signer *signer, uint64_t size, uint8_t root)
{
	struct checkpoint c = { .origin = SAMPLE_NAME, .size = size };
	char text[NOTE_NAME + 80], *note = NULL;

	memset(c.root.bytes, root, TLOG_HASH);
	checkpoint_print(&c, text);
	assert_int_equal(note_sign(signer, text, &note, NULL), ATTEST_OK);
	file_store("checkpoint", note, strlen(note));
	free(note);
}

static void another_checkpoint_is_refused(void **state)
{
	static const uint8_t seed[32] = "another key, of the same name";
	struct note_signer *other = NULL;
	struct copy good;

	(void)state;
	sample_clear();
	grow_and_close(5);
	grow_and_close(4);
	good = copy_take();
	store_checkpoint(sample_signer, 9, 1);
	assert_tampered("another root of size 9");
	store_checkpoint(sample_signer, 5, 1);
	assert_tampered("another root of size 5");
	store_checkpoint(sample_signer, 10, 1);
	assert_tampered("its size 10 is above");
	assert_int_equal(note_signer_new(SAMPLE_NAME, seed, &other, NULL), ATTEST_OK);
	store_checkpoint(other, 9, 1);
	assert_tampered("not one that this log's key signed");
	note_signer_free(other);
	file_store("checkpoint", "", 0);
	assert_tampered("not one");
	for (size_t at = 0; at < good.len[0]; at++) {
		good.bytes[0][at] ^= 1;
		copy_put(&good, 0, 0);
		assert_tampered("");
		good.bytes[0][at] ^= 1;
	}
	unlinkat(sample_fd, "checkpoint", 0);
	assert_int_equal(symlinkat("tile", sample_fd, "checkpoint"), 0);
	try(0);
	assert_int_equal(outcome->s, ATTEST_REFUSED);
	copy_free(&good);
}

static void a_changed_state_is_refused(void **state)
{
	struct copy good;

	(void)state;
	sample_clear();
	grow_and_close(5);
	grow_and_close(4);
	good = copy_take();
	/* Its first three lines are what was signed; what was shown before it is there to be
	 * compared with a checkpoint of that size. */
	for (size_t at = 0; at < good.len[1] / 2; at++) {
		good.bytes[1][at] ^= 1;
		copy_put(&good, 1, 1);
		try(0);
		if (outcome->s == ATTEST_OK)
			fail_msg("byte %zu of .state/signed changes nothing", at);
		assert_int_equal(outcome->s, ATTEST_REFUSED);
		good.bytes[1][at] ^= 1;
	}
	for (size_t n = 0; n < good.len[1]; n++) {
		file_store(kept[1], good.bytes[1], n);
		assert_tampered("not what this log wrote");
	}
	unlinkat(sample_fd, ".state/signed", 0);
	assert_tampered("there is one, and no .state/signed");
	copy_put(&good, 1, 1);
	unlinkat(sample_fd, ".state/journal.0", 0);
	assert_tampered("entry 0 ");
	copy_put(&good, 0, 2);
	try(0);
	assert_int_equal(outcome->s, ATTEST_OK);
	remove_tree(sample_fd, ".state");
	assert_tampered("there is one, and no .state/signed");
	assert_false(file_there(".state"));
	copy_free(&good);
}

static void changed_tiles_above_the_journal_are_refused(void **state)
{
	uint8_t *tile;
	size_t len = 0;

	(void)state;
	sample_clear();
	grow_and_close(700); /* two full bundles: their hashes are in tile/1/000.p/2 */
	tile = file_load("tile/1/000.p/2", &len);
	assert_int_equal(len, 64);
	for (size_t at = 0; at < len; at++) {
		tile[at] ^= 1;
		file_store("tile/1/000.p/2", tile, len);
		assert_tampered("not those that were signed");
		tile[at] ^= 1;
	}
	file_store("tile/1/000.p/2", tile, len - 1);
	assert_tampered("not whole");
	unlinkat(sample_fd, "tile/1/000.p/2", 0);
	assert_tampered("not there");
	file_store("tile/1/000.p/2", tile, len);
	try(0);
	assert_int_equal(outcome->s, ATTEST_OK);
	free(tile);
}

/* The segment after this one was made when all before it was durable. */
static void a_damaged_frame_before_another_segment_is_refused(void **state)
{
	uint8_t *bytes;
	size_t len = 0;

	(void)state;
	sample_clear();
	grow_and_close(5);
	sample_pad = 8000;
	try(150);
	assert_true(outcome->s == ATTEST_OK && segments() == 2);
	sample_pad = 0;
	bytes = file_load(".state/journal.0", &len);
	bytes[len / 2] ^= 1;
	file_store(".state/journal.0", bytes, len);
	free(bytes);
	assert_tampered("was durable");
}

/* ---- a full disk --------------------------------------------------------------------------- */

static bool small_disk(void)
{
	char map[64];
	int fd;
	uid_t uid = geteuid();

	if (unshare(CLONE_NEWNS | (uid ? CLONE_NEWUSER : 0)) != 0)
		return false;
	if (uid) {
		snprintf(map, sizeof(map), "0 %u 1", uid);
		fd = open("/proc/self/uid_map", O_WRONLY | O_CLOEXEC);
		if (fd < 0 || write(fd, map, strlen(map)) < 0)
			return false;
		close(fd);
	}
	return mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
	       mount("none", sample_top, "tmpfs", 0, "size=5m") == 0;
}

/* In a child, where a failed assertion would go on with the parent's tests. */
static void held(bool it, const char *what)
{
	if (it)
		return;
	fprintf(stderr, "child: not so: %s\n", what);
	_exit(1);
}
#define HELD(it) held(it, #it)

static void live_on_a_small_disk(void)
{
	static uint8_t filler[3 << 20];
	struct attest_error e = { .what = "" };
	uint8_t bytes[LOG_ENTRY_MAX];
	enum attest_status s = ATTEST_OK;
	struct log_writer *w;
	uint64_t size, index = 0;
	int fd;

	if (!small_disk())
		_exit(50);
	sample_clear();
	w = sample_open(NULL);
	sample_grow(w, 1);
	fd = openat(sample_fd, "../filler", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	while (write(fd, filler, 4096) > 0)
		;
	sample_pad = 4000;
	while (s == ATTEST_OK) {
		s = sample_append(w, 10, &e);
		if (s == ATTEST_OK)
			s = log_commit(w, &e);
	}
	HELD(s == ATTEST_REFUSED);
	HELD(!log_failed(w));
	HELD(strstr(e.hint, "free space"));
	size = log_size(w);
	HELD(size > 200 && log_next(w) == size);

	must(log_last_words(w, bytes, sample_entry(size, bytes), &index, &e), &e);
	HELD(index == size && log_size(w) == size + 1);
	HELD(!file_there(".state/reserve"));
	must(sample_append(w, 1, &e), &e);
	HELD(log_commit(w, &e) == ATTEST_REFUSED); /* there is no reserve any more */
	HELD(log_size(w) == size + 1);

	HELD(ftruncate(fd, 0) == 0);
	close(fd);
	must(sample_append(w, 1, &e), &e);
	must(log_commit(w, &e), &e);
	HELD(file_there(".state/reserve"));
	sample_close(w);
	sample_close(sample_open(NULL));
	_exit(0);
}

static void a_full_disk_has_room_for_last_words(void **state)
{
	pid_t pid = sample_fork();
	int status = 0;

	(void)state;
	if (pid == 0)
		live_on_a_small_disk();
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 50) {
		print_message("skipped: no file system can be mounted here\n");
		skip();
	}
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* ---- kill -9 ------------------------------------------------------------------------------- */

static _Noreturn void write_for_ever(uint64_t *acknowledged)
{
	struct log_writer *w = sample_open(NULL);
	struct attest_error e = { .what = "" };

	*acknowledged = log_size(w);
	for (unsigned i = 0; log_size(w) < SAMPLE_ENTRIES - 1000; i++) {
		sample_grow(w, 1 + i % 40);
		*acknowledged = log_size(w);
		if (i % 3 == 0)
			must(log_publish(w, &e), &e);
	}
	_exit(0);
}

static void survives_kills(void **state)
{
	unsigned rounds = soak() ? 1000 : 15;
	uint64_t *acknowledged = mmap(NULL, sizeof(*acknowledged), PROT_READ | PROT_WRITE,
				      MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	(void)state;
	assert_true(acknowledged != MAP_FAILED);
	sample_clear();
	srand(1); /* NOLINT(cert-msc32-c,cert-msc51-cpp): the same sequence each time */
	for (unsigned i = 0; i < rounds; i++) {
		struct timespec t = { .tv_nsec = rand() % 40000000 };
		struct log_start start;
		struct log_writer *w;
		pid_t pid = sample_fork();
		int status = 0;

		if (pid == 0)
			write_for_ever(acknowledged);
		nanosleep(&t, NULL);
		kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
		w = sample_open(&start);
		assert_true(start.size >= *acknowledged && !start.put_back);
		sample_close(w);
		if (start.size > SAMPLE_ENTRIES - 2000) {
			assert_true(judge() == start.size);
			sample_clear();
			*acknowledged = 0;
		}
	}
	(void)judge();
	munmap(acknowledged, sizeof(*acknowledged));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(partial_tiles_outlive_their_checkpoint_by_one),
		cmocka_unit_test(leftovers_are_removed),
		cmocka_unit_test(goes_on_at_every_size),
		cmocka_unit_test(grows_over_65536_entries),
		cmocka_unit_test(a_group_is_one_flush),
		cmocka_unit_test(there_is_one_writer),
		cmocka_unit_test(every_changed_byte_of_the_journal_shows),
		cmocka_unit_test(every_truncation_of_the_journal_shows),
		cmocka_unit_test(good_frames_behind_a_bad_one_stay_away),
		cmocka_unit_test(an_old_state_is_refused),
		cmocka_unit_test(an_old_checkpoint_is_replaced),
		cmocka_unit_test(another_checkpoint_is_refused),
		cmocka_unit_test(a_changed_state_is_refused),
		cmocka_unit_test(changed_tiles_above_the_journal_are_refused),
		cmocka_unit_test(a_damaged_frame_before_another_segment_is_refused),
		cmocka_unit_test(a_full_disk_has_room_for_last_words),
		cmocka_unit_test(survives_kills),
	};

	return cmocka_run_group_tests_name("log_writer", tests, begin, sample_end);
}
