/*
 * tests/attest/log_sample.h - a log in a scratch folder, entries that follow from their
 * index, and judges: the module's own, and one that shares nothing but the hashes.
 */
#pragma once

#include "attest/log_reader.h"
#include "attest/log_writer.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define SAMPLE_NAME "audit.example/host-a"
#define SAMPLE_ENTRIES 70000u

static char sample_top[64];
static int sample_fd = -1; /* the log's folder, inside of sample_top */
static struct note_signer *sample_signer;
static pid_t sample_pid;  /* of the process that runs the tests */
static size_t sample_pad; /* bytes that every entry has more */

/* ---- folders --------------------------------------------------------------------------- */

static inline void remove_tree(int folder, const char *name)
{
	int fd = openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *list = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *d;

	while (list && (d = readdir(list)) != NULL)
		if (strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0)
			remove_tree(fd, d->d_name);
	if (list)
		closedir(list);
	unlinkat(folder, name, fd < 0 ? 0 : AT_REMOVEDIR);
}

/* An empty folder for a log. */
static inline void sample_clear(void)
{
	int top = open(sample_top, O_PATH | O_DIRECTORY | O_CLOEXEC);

	assert_true(top >= 0);
	if (sample_fd >= 0)
		close(sample_fd);
	remove_tree(top, "log");
	assert_int_equal(mkdirat(top, "log", 0700), 0);
	sample_fd = openat(top, "log", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(sample_fd >= 0);
	close(top);
}

static inline bool sample_key(void)
{
	static const uint8_t seed[32] = "the seed of a key that is no key";

	return note_signer_new(SAMPLE_NAME, seed, &sample_signer, NULL) == ATTEST_OK;
}

/* A child has no part of its parent's secrets, and makes the key anew. It must end itself:
 * cmocka, which would go on with its parent's tests, no longer sees its faults. */
static inline pid_t sample_fork(void)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid > 0)
		return pid;
	signal(SIGSEGV, SIG_DFL);
	signal(SIGBUS, SIG_DFL);
	if (!sample_key())
		_exit(1);
	return 0;
}

/* In memory where there is such a file system: hundreds of logs are made. */
static inline int sample_begin(void **state)
{
	(void)state;
	sample_pid = getpid();
	strcpy(sample_top, "/dev/shm/cordon-test-XXXXXX");
	if (!mkdtemp(sample_top)) {
		strcpy(sample_top, "/tmp/cordon-test-XXXXXX");
		if (!mkdtemp(sample_top))
			return -1;
	}
	sample_clear();
	return sample_key() ? 0 : -1;
}

static inline int sample_end(void **state)
{
	(void)state;
	note_signer_free(sample_signer);
	close(sample_fd);
	sample_fd = -1;
	remove_tree(AT_FDCWD, sample_top);
	return 0;
}

/* All of a file; NULL when there is none. The caller's to free. */
static inline uint8_t *file_load(const char *path, size_t *ret_len)
{
	int fd = openat(sample_fd, path, O_RDONLY | O_CLOEXEC);
	uint8_t *bytes;
	struct stat st;

	if (fd < 0)
		return NULL;
	assert_int_equal(fstat(fd, &st), 0);
	bytes = malloc((size_t)st.st_size + 1);
	assert_non_null(bytes);
	assert_int_equal(read(fd, bytes, (size_t)st.st_size), st.st_size);
	bytes[st.st_size] = '\0';
	close(fd);
	*ret_len = (size_t)st.st_size;
	return bytes;
}

static inline void file_store(const char *path, const void *bytes, size_t len)
{
	int fd = openat(sample_fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, len), len);
	close(fd);
}

static inline bool file_there(const char *path)
{
	return faccessat(sample_fd, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* ---- entries --------------------------------------------------------------------------- */

static inline size_t sample_entry(uint64_t i, uint8_t to[static LOG_ENTRY_MAX])
{
	int n = snprintf((char *)to, 64, "{\"seq\":%llu,\"x\":\"", (unsigned long long)i);
	size_t len = (size_t)n + i % 7 + sample_pad;

	memset(to + n, 'a' + (int)(i % 26), len - (size_t)n);
	to[len] = '"';
	to[len + 1] = '}';
	return len + 2;
}

static inline enum attest_status sample_append(struct log_writer *w, unsigned n,
					       struct attest_error *e)
{
	uint8_t bytes[LOG_ENTRY_MAX];
	enum attest_status s = ATTEST_OK;

	for (; n > 0 && s == ATTEST_OK; n--) {
		uint64_t wanted = log_next(w), index = UINT64_MAX;
		size_t len = sample_entry(wanted, bytes);

		s = log_append(w, bytes, len, &index, e);
		assert_true(s != ATTEST_OK || index == wanted);
	}
	return s;
}

/* A child that fails ends: it would go on with the tests of its parent. */
static inline void must(enum attest_status s, const struct attest_error *e)
{
	if (s == ATTEST_OK)
		return;
	if (getpid() == sample_pid)
		fail_msg("status %d: %s: %s; %s", (int)s, e->where, e->what, e->hint);
	attest_error_print(stderr, "child", e);
	_exit(1);
}

/* n more entries, committed in groups. */
static inline void sample_grow(struct log_writer *w, uint64_t n)
{
	unsigned most = LOG_GROUP_BYTES / (unsigned)(sample_pad + 64);
	struct attest_error e = { .what = "" };

	most = most < LOG_GROUP ? most : LOG_GROUP;
	while (n > 0) {
		unsigned some = n < most ? (unsigned)n : most;

		must(sample_append(w, some, &e), &e);
		must(log_commit(w, &e), &e);
		n -= some;
	}
}

static inline struct log_writer *sample_open(struct log_start *ret)
{
	struct attest_error e = { .what = "" };
	struct log_writer *w = NULL;
	struct log_start start;

	must(log_open(sample_fd, sample_signer, &w, ret ? ret : &start, &e), &e);
	return w;
}

static inline void sample_close(struct log_writer *w)
{
	struct attest_error e = { .what = "" };

	must(log_close(w, &e), &e);
}

/* ---- judging ----------------------------------------------------------------------------- */

/* The leaf hashes that there must be, and what stands above them. */
static inline struct tlog_hash *sample_leaves(void)
{
	static struct tlog_hash leaves[SAMPLE_ENTRIES];
	static size_t made_for = SIZE_MAX;
	uint8_t bytes[LOG_ENTRY_MAX];

	if (made_for != sample_pad)
		for (uint64_t i = 0; i < SAMPLE_ENTRIES; i++)
			tlog_leaf(bytes, sample_entry(i, bytes), &leaves[i]);
	made_for = sample_pad;
	return leaves;
}

/* Hash `index` of level `level`, by the definition of RFC 6962 alone. */
static inline struct tlog_hash sample_hash(unsigned height, uint64_t index)
{
	struct tlog_hash left, right;

	if (height == 0)
		return sample_leaves()[index];
	left = sample_hash(height - 1, 2 * index);
	right = sample_hash(height - 1, 2 * index + 1);
	tlog_node(&left, &right, &left);
	return left;
}

static inline struct tlog_hash sample_root(uint64_t size)
{
	struct tlog_frontier f = { .size = 0 };
	struct tlog_hash root;

	for (uint64_t i = 0; i < size; i++)
		tlog_frontier_add(&f, &sample_leaves()[i]);
	tlog_frontier_root(&f, &root);
	return root;
}

static inline struct checkpoint checkpoint_of(const char *bytes, size_t len)
{
	struct attest_error e = { .what = "" };
	struct checkpoint c;
	struct note n;

	must(checkpoint_open(bytes, len, note_signer_verifier(sample_signer), 1, &c, &n, &e),
	     &e);
	return c;
}

static inline void assert_root(const struct checkpoint *c)
{
	struct tlog_hash root = sample_root(c->size);

	assert_memory_equal(root.bytes, c->root.bytes, TLOG_HASH);
}

/* The bytes that a tile (or bundle) of these entries has. */
static inline size_t sample_tile(const struct tlog_tile *t, uint8_t *to)
{
	size_t at = 0;

	for (uint64_t i = t->index * 256; i < t->index * 256 + t->width; i++) {
		if (t->level == TLOG_ENTRIES_LEVEL) {
			uint8_t bytes[LOG_ENTRY_MAX];
			size_t len = sample_entry(i, bytes);

			to[at] = (uint8_t)(len >> 8);
			to[at + 1] = (uint8_t)len;
			memcpy(to + at + 2, bytes, len);
			at += 2 + len;
		} else {
			struct tlog_hash h = sample_hash(8 * t->level, i);

			memcpy(to + at, h.bytes, TLOG_HASH);
			at += TLOG_HASH;
		}
	}
	return at;
}

static inline void judge_tile(const struct tlog_tile *t)
{
	uint8_t *wanted = malloc(256 * (LOG_ENTRY_MAX + 2)), *found;
	size_t wanted_len, len = 0;
	char path[TLOG_PATH_MAX];

	assert_non_null(wanted);
	wanted_len = sample_tile(t, wanted);
	assert_true(tlog_tile_path(t, path));
	found = file_load(path, &len);
	if (!found)
		fail_msg("%s is not there", path);
	if (len != wanted_len || memcmp(found, wanted, len) != 0)
		fail_msg("%s has not the bytes that it must have", path);
	free(found);
	free(wanted);
}

/* Checkpoint, root, and every tile and bundle, byte by byte; then what a reader judges. The
 * size. */
static inline uint64_t judge(void)
{
	size_t len = 0;
	char *bytes = (char *)file_load("checkpoint", &len);
	struct attest_error e = { .what = "" };
	struct log_judged judged;
	struct checkpoint c;

	assert_non_null(bytes);
	c = checkpoint_of(bytes, len);
	free(bytes);
	assert_root(&c);
	must(log_judge(sample_fd, &(struct log_judge){ .now = &c }, &judged, &e), &e);
	assert_true(judged.entries == c.size);
	for (unsigned i = 0; i <= TLOG_LEVELS; i++) {
		unsigned level = i < TLOG_LEVELS ? i : TLOG_ENTRIES_LEVEL;
		uint64_t n = tlog_level_count(c.size, level);
		struct tlog_tile t = { .level = level };

		for (; t.index <= n / 256; t.index++) {
			t.width = t.index < n / 256 ? 256 : (unsigned)(n % 256);
			if (t.width > 0)
				judge_tile(&t);
		}
	}
	return c.size;
}
