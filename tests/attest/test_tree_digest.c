/* tests/attest/test_tree_digest.c - one digest for all content of a folder. */
#include "attest/tree_digest.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

struct tree {
	char path[32];
	int fd;
};

static int drop(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

static void put(const struct tree *t, const char *name, const char *text)
{
	int fd = openat(t->fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

/* The same every time: a/, a/b, a/link, a.b, z */
static int make(void **state)
{
	struct tree *t = calloc(1, sizeof(*t));

	umask(022);
	strcpy(t->path, "build/tree.XXXXXX");
	if (!mkdtemp(t->path))
		return -1;
	t->fd = open(t->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	put(t, "z", "last");
	put(t, "a.b", "");
	assert_int_equal(mkdirat(t->fd, "a", 0755), 0);
	put(t, "a/b", "inner");
	assert_int_equal(symlinkat("../z", t->fd, "a/link"), 0);
	*state = t;
	return 0;
}

static int end(void **state)
{
	struct tree *t = *state;

	close(t->fd);
	nftw(t->path, drop, 16, FTW_DEPTH | FTW_PHYS);
	free(t);
	return 0;
}

static void digest(const struct tree *t, uint8_t ret[static TREE_DIGEST])
{
	struct attest_error e;

	assert_int_equal(tree_digest(t->fd, getuid(), ret, &e), ATTEST_OK);
}

/* Every change changes it, and taking the change back brings it back. */
static void every_change_counts(void **state)
{
	struct tree *t = *state;
	uint8_t was[TREE_DIGEST], now[TREE_DIGEST];

	digest(t, was);
#define CHANGES(change, back)                                                                  \
	do {                                                                                   \
		change;                                                                        \
		digest(t, now);                                                                \
		assert_memory_not_equal(now, was, TREE_DIGEST);                                \
		back;                                                                          \
		digest(t, now);                                                                \
		assert_memory_equal(now, was, TREE_DIGEST);                                    \
	} while (0)
#define OK(call) assert_int_equal(call, 0)
	CHANGES(put(t, "z", "Last"), put(t, "z", "last"));
	CHANGES(put(t, "z", "last "), put(t, "z", "last"));
	CHANGES(put(t, "a.b", "x"), put(t, "a.b", ""));
	CHANGES(put(t, "new", ""), OK(unlinkat(t->fd, "new", 0)));
	CHANGES(OK(mkdirat(t->fd, "d", 0755)), OK(unlinkat(t->fd, "d", AT_REMOVEDIR)));
	CHANGES(OK(fchmodat(t->fd, "z", 0755, 0)), OK(fchmodat(t->fd, "z", 0644, 0)));
	CHANGES(OK(fchmodat(t->fd, "a", 0700, 0)), OK(fchmodat(t->fd, "a", 0755, 0)));
	CHANGES(OK(fchmod(t->fd, 0711)), OK(fchmod(t->fd, 0700)));
	CHANGES(OK(renameat(t->fd, "z", t->fd, "y")), OK(renameat(t->fd, "y", t->fd, "z")));
	CHANGES(OK(renameat(t->fd, "z", t->fd, "a/z")), OK(renameat(t->fd, "a/z", t->fd, "z")));
	CHANGES(OK(unlinkat(t->fd, "a/link", 0)), OK(symlinkat("../z", t->fd, "a/link")));
	OK(unlinkat(t->fd, "a/link", 0));
	CHANGES(OK(symlinkat("../y", t->fd, "a/link")), OK(unlinkat(t->fd, "a/link", 0));
		OK(symlinkat("../z", t->fd, "a/link")));
	/* A link and a file of the same bytes. */
	CHANGES(OK(unlinkat(t->fd, "a/link", 0));
		put(t, "a/link", "../z"), OK(unlinkat(t->fd, "a/link", 0));
		OK(symlinkat("../z", t->fd, "a/link")));
}

static void times_hard_links_and_order_do_not_count(void **state)
{
	struct tree *t = *state, *other = NULL;
	uint8_t was[TREE_DIGEST], now[TREE_DIGEST];
	const struct timespec past[2] = { { 1, 2 }, { 3, 4 } };
	void *again = NULL;

	digest(t, was);
	assert_int_equal(utimensat(t->fd, "z", past, 0), 0);
	digest(t, now);
	assert_memory_equal(now, was, TREE_DIGEST);
	assert_int_equal(make(&again), 0);
	other = again;
	digest(other, now);
	assert_memory_equal(now, was, TREE_DIGEST);
	put(other, "z2", "last");
	assert_int_equal(unlinkat(other->fd, "z", 0), 0);
	assert_int_equal(linkat(other->fd, "z2", other->fd, "z", 0), 0);
	put(t, "z2", "last");
	digest(t, was);
	digest(other, now);
	assert_memory_equal(now, was, TREE_DIGEST);
	end(&again);
}

static void owners_are_counted_from_the_first_id(void **state)
{
	struct tree *t = *state;
	uint8_t was[TREE_DIGEST], now[TREE_DIGEST];
	struct attest_error e;

	digest(t, was);
	assert_int_equal(tree_digest(t->fd, getuid() + 1, now, &e), ATTEST_OK);
	assert_memory_not_equal(now, was, TREE_DIGEST);
}

static void what_is_no_content_is_refused(void **state)
{
	struct tree *t = *state;
	uint8_t d[TREE_DIGEST] = { 0 };
	struct attest_error e;

	assert_int_equal(mkfifoat(t->fd, "a/pipe", 0600), 0);
	assert_int_equal(tree_digest(t->fd, getuid(), d, &e), ATTEST_REFUSED);
	assert_string_equal(e.where, "a/pipe");
	for (size_t i = 0; i < sizeof(d); i++)
		assert_int_equal(d[i], 0);
}

static void depth_has_an_end(void **state)
{
	struct tree *t = *state;
	uint8_t d[TREE_DIGEST];
	struct attest_error e;
	char path[4 * TREE_DEPTH] = "d";

	for (unsigned i = 0; i < TREE_DEPTH + 2; i++) {
		assert_int_equal(mkdirat(t->fd, path, 0755), 0);
		strcat(path, "/d");
	}
	assert_int_equal(tree_digest(t->fd, getuid(), d, &e), ATTEST_REFUSED);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, make, end)
	const struct CMUnitTest tests[] = {
		TEST(every_change_counts),
		TEST(times_hard_links_and_order_do_not_count),
		TEST(owners_are_counted_from_the_first_id),
		TEST(what_is_no_content_is_refused),
		TEST(depth_has_an_end),
	};

	return cmocka_run_group_tests_name("tree-digest", tests, NULL, NULL);
}
