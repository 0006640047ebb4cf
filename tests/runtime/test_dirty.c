/* tests/runtime/test_dirty.c - the host's mark that a tenant's bytes lie in free memory:
 * against whom it stands, and what may take it away. */
#include "tests/runtime/fixture.h"

#include "runtime/dirty.h"

static void id_of(unsigned n, uint8_t ret[static SESSION_ID_BYTES])
{
	memset(ret, 0, SESSION_ID_BYTES);
	ret[0] = (uint8_t)n;
	ret[15] = 1;
}

static void mark(struct fixture *f, unsigned n, const char *tenant)
{
	uint8_t id[SESSION_ID_BYTES];

	id_of(n, id);
	assert_int_equal(dirty_mark(f->paths.sessions_fd, id, tenant, NULL), RUNTIME_OK);
}

/* Against a plan of `tenant`, on a kernel that zeroes nothing. */
static bool stands(struct fixture *f, const char *tenant, char by[static DIRTY_BY])
{
	bool ret = false;

	assert_int_equal(dirty_stands(f->paths.sessions_fd, tenant, false, &ret, by, NULL),
			 RUNTIME_OK);
	return ret;
}

static char *path_of_mark(struct fixture *f)
{
	static char path[96];

	snprintf(path, sizeof(path), "%s/dirty", f->root);
	return path;
}

static void write_mark(struct fixture *f, const char *text)
{
	int fd = open(path_of_mark(f), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static off_t mark_size(struct fixture *f)
{
	struct stat st;

	return stat(path_of_mark(f), &st) == 0 ? st.st_size : -1;
}

/* A whole line of another boot than this. */
#define OLD_LINE "00000000000000000000000000000001 00000000000000000000000000000002 acme\n"

/* ---- marking --------------------------------------------------------------------- */

static void a_clean_host_has_no_mark(void **state)
{
	char by[DIRTY_BY];

	assert_false(stands(*state, "acme", by));
	assert_string_equal(by, "");
}

static void a_mark_stands_against_every_other_tenant(void **state)
{
	struct fixture *f = *state;
	char by[DIRTY_BY];
	struct stat st;

	mark(f, 0xab, "acme");
	assert_true(stands(f, "rival", by));
	assert_string_equal(by, "session ab0000000000 of tenant acme");
	assert_true(stands(f, "acm", by));
	assert_true(stands(f, "acme2", by));
	assert_false(stands(f, "acme", by)); /* what lies there is its own */
	assert_int_equal(stat(path_of_mark(f), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
}

static void with_two_tenants_marks_it_stands_against_both(void **state)
{
	struct fixture *f = *state;
	char by[DIRTY_BY];

	mark(f, 1, "acme");
	mark(f, 2, "rival");
	assert_true(stands(f, "acme", by));
	assert_non_null(strstr(by, "tenant rival"));
	assert_true(stands(f, "rival", by));
	assert_non_null(strstr(by, "tenant acme"));
}

static void a_tenant_is_marked_once_in_a_boot(void **state)
{
	struct fixture *f = *state;
	off_t size;

	mark(f, 1, "acme");
	size = mark_size(f);
	for (unsigned n = 2; n < 200; n++)
		mark(f, n, "acme");
	assert_int_equal(mark_size(f), size);
	mark(f, 1, "rival");
	assert_true(mark_size(f) > size);
}

static void a_mark_of_an_older_boot_does_not_stand_for_this_one(void **state)
{
	struct fixture *f = *state;
	off_t size;

	write_mark(f, OLD_LINE);
	size = mark_size(f);
	mark(f, 1, "acme");
	assert_true(mark_size(f) > size);
}

/* A mark that cannot be written is told: its session must not be taken for harmless. */
static void a_mark_that_cannot_be_written_is_told(void **state)
{
	struct fixture *f = *state;
	uint8_t id[SESSION_ID_BYTES];
	struct runtime_error e = { .what = "" };
	bool yes = false;
	char by[DIRTY_BY];

	id_of(1, id);
	assert_int_equal(mkdir(path_of_mark(f), 0700), 0);
	assert_int_equal(dirty_mark(f->paths.sessions_fd, id, "acme", &e), RUNTIME_SYSTEM);
	assert_non_null(strstr(e.what, "mark"));
	assert_int_equal(dirty_stands(f->paths.sessions_fd, "acme", false, &yes, by, &e),
			 RUNTIME_SYSTEM);
	assert_int_equal(rmdir(path_of_mark(f)), 0);
}

static void no_mark_is_written_through_a_link(void **state)
{
	struct fixture *f = *state;
	uint8_t id[SESSION_ID_BYTES];
	char target[96];

	id_of(1, id);
	snprintf(target, sizeof(target), "%s/elsewhere", f->root);
	assert_int_equal(symlink(target, path_of_mark(f)), 0);
	assert_int_equal(dirty_mark(f->paths.sessions_fd, id, "acme", NULL), RUNTIME_SYSTEM);
	assert_int_not_equal(access(target, F_OK), 0);
}

/* ---- what cannot be read --------------------------------------------------------- */

static void a_line_that_is_no_mark_stands_against_everybody(void **state)
{
	static const char *const texts[] = {
		"\n",
		"x\n",
		"acme\n",
		"00000000000000000000000000000001 acme\n",
		"00000000000000000000000000000001 00000000000000000000000000000002\n",
		"00000000000000000000000000000001 00000000000000000000000000000002 \n",
		"00000000000000000000000000000001 00000000000000000000000000000002 acme x\n",
		"0000000000000000000000000000000100 00000000000000000000000000000002 acme\n",
		"\x01\x02\xff\n",
	};
	struct fixture *f = *state;
	char by[DIRTY_BY];

	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		write_mark(f, texts[i]);
		if (!stands(f, "acme", by))
			fail_msg("text %zu is passed over", i);
		assert_string_equal(by, "a mark that cannot be read");
	}
}

/* A crash may cut the last line: what is left of it is nobody's to be trusted with. */
static void a_line_that_was_cut_still_stands_against_the_others(void **state)
{
	struct fixture *f = *state;
	char text[192] = "", by[DIRTY_BY];
	ssize_t len;
	int fd;

	mark(f, 1, "acme");
	fd = open(path_of_mark(f), O_RDONLY | O_CLOEXEC);
	len = read(fd, text, sizeof(text) - 1);
	close(fd);
	for (ssize_t n = len - 1; n > 0; n--) {
		text[n] = '\0';
		write_mark(f, text);
		if (!stands(f, "rival", by))
			fail_msg("%zd bytes of %zd are passed over", n, len);
	}
}

static void more_than_can_be_read_stands_against_everybody(void **state)
{
	struct fixture *f = *state;
	char by[DIRTY_BY], boot[SESSION_ID_HEX], line[128];
	uint8_t id[16];
	FILE *to;

	assert_true(boot_id(id));
	session_id_hex(id, boot);
	snprintf(line, sizeof(line), "%s 00000000000000000000000000000002 acme\n", boot);
	to = fopen(path_of_mark(f), "we");
	assert_non_null(to);
	for (int i = 0; i < 1000; i++)
		fputs(line, to);
	assert_int_equal(fclose(to), 0);
	assert_true(stands(f, "acme", by));
}

/* ---- taking it away -------------------------------------------------------------- */

static void a_sweep_takes_away_what_stood_before_it(void **state)
{
	struct fixture *f = *state;
	char by[DIRTY_BY];
	int64_t seen;

	mark(f, 1, "acme");
	assert_int_equal(dirty_seen(f->paths.sessions_fd, &seen, NULL), RUNTIME_OK);
	assert_int_equal(dirty_clear(f->paths.sessions_fd, seen, NULL), RUNTIME_OK);
	assert_false(stands(f, "rival", by));
	assert_int_equal(mark_size(f), -1);
	assert_int_equal(dirty_seen(f->paths.sessions_fd, &seen, NULL), RUNTIME_OK);
	assert_int_equal(seen, 0);
	assert_int_equal(dirty_clear(f->paths.sessions_fd, seen, NULL), RUNTIME_OK);
}

static void a_mark_that_came_during_the_sweep_stays(void **state)
{
	struct fixture *f = *state;
	char by[DIRTY_BY];
	int64_t seen;

	mark(f, 1, "acme");
	assert_int_equal(dirty_seen(f->paths.sessions_fd, &seen, NULL), RUNTIME_OK);
	mark(f, 2, "rival");
	assert_int_equal(dirty_clear(f->paths.sessions_fd, seen, NULL), RUNTIME_OK);
	assert_true(stands(f, "acme", by));
	assert_non_null(strstr(by, "rival"));
}

static void the_first_mark_that_came_during_the_sweep_stays(void **state)
{
	struct fixture *f = *state;
	char by[DIRTY_BY];
	int64_t seen;

	assert_int_equal(dirty_seen(f->paths.sessions_fd, &seen, NULL), RUNTIME_OK);
	mark(f, 2, "rival");
	assert_int_equal(dirty_clear(f->paths.sessions_fd, seen, NULL), RUNTIME_OK);
	assert_true(stands(f, "acme", by));
}

/* The tenant's own mark of before says nothing of what it gave back during the sweep. */
static void the_same_tenants_mark_during_the_sweep_stays_too(void **state)
{
	struct fixture *f = *state;
	char by[DIRTY_BY];
	int64_t seen;

	mark(f, 1, "acme");
	assert_int_equal(dirty_seen(f->paths.sessions_fd, &seen, NULL), RUNTIME_OK);
	mark(f, 2, "acme");
	assert_int_equal(dirty_clear(f->paths.sessions_fd, seen, NULL), RUNTIME_OK);
	assert_true(stands(f, "rival", by));
}

static void a_restart_takes_it_away_only_where_the_kernel_zeroes(void **state)
{
	struct fixture *f = *state;
	char by[DIRTY_BY];
	bool yes = false;

	write_mark(f, OLD_LINE);
	assert_true(stands(f, "rival", by));
	assert_int_equal(dirty_stands(f->paths.sessions_fd, "rival", true, &yes, by, NULL),
			 RUNTIME_OK);
	assert_false(yes);
	assert_int_equal(mark_size(f), -1);
}

static void a_mark_of_this_boot_outlives_a_kernel_that_zeroes(void **state)
{
	struct fixture *f = *state;
	char by[DIRTY_BY];
	bool yes = false;

	write_mark(f, OLD_LINE);
	mark(f, 1, "acme");
	assert_int_equal(dirty_stands(f->paths.sessions_fd, "rival", true, &yes, by, NULL),
			 RUNTIME_OK);
	assert_true(yes);
	assert_true(mark_size(f) > 0);
}

static void what_cannot_be_read_is_not_taken_away_by_a_restart(void **state)
{
	struct fixture *f = *state;
	char by[DIRTY_BY];
	bool yes = false;

	write_mark(f, OLD_LINE "damaged\n");
	assert_int_equal(dirty_stands(f->paths.sessions_fd, "acme", true, &yes, by, NULL),
			 RUNTIME_OK);
	assert_true(yes);
	assert_true(mark_size(f) > 0);
}

/* ---- at once --------------------------------------------------------------------- */

static void marks_of_many_processes_are_all_kept(void **state)
{
	enum { TENANTS = 12 };
	struct fixture *f = *state;
	char tenant[32], by[DIRTY_BY], text[8192] = "";
	pid_t pid[TENANTS];
	int fd, status;

	for (unsigned i = 0; i < TENANTS; i++) {
		pid[i] = fork();
		if (pid[i] == 0) {
			uint8_t id[SESSION_ID_BYTES];

			id_of(i + 1, id);
			snprintf(tenant, sizeof(tenant), "tenant-%u", i);
			_exit(dirty_mark(f->paths.sessions_fd, id, tenant, NULL));
		}
	}
	for (unsigned i = 0; i < TENANTS; i++) {
		assert_int_equal(waitpid(pid[i], &status, 0), pid[i]);
		assert_int_equal(status, 0);
	}
	fd = open(path_of_mark(f), O_RDONLY | O_CLOEXEC);
	assert_true(read(fd, text, sizeof(text) - 1) > 0);
	close(fd);
	for (unsigned i = 0; i < TENANTS; i++) {
		snprintf(tenant, sizeof(tenant), " tenant-%u\n", i);
		assert_non_null(strstr(text, tenant));
	}
	assert_true(stands(f, "tenant-0", by));
}

/* Nothing that was marked is lost, whatever a sweep's end and a mark do to each other. */
static void a_mark_is_never_lost_to_a_clear_at_the_same_time(void **state)
{
	struct fixture *f = *state;
	unsigned rounds = getenv("CORDON_SOAK") ? 5000 : 200;
	char by[DIRTY_BY];

	for (unsigned i = 0; i < rounds; i++) {
		int64_t seen;
		int status;
		pid_t pid;

		mark(f, 1, i % 2 ? "old" : "new"); /* it adds a line, or only renews one */
		assert_int_equal(dirty_seen(f->paths.sessions_fd, &seen, NULL), RUNTIME_OK);
		pid = fork();
		if (pid == 0) {
			uint8_t id[SESSION_ID_BYTES];

			id_of(2, id);
			_exit(dirty_mark(f->paths.sessions_fd, id, "new", NULL));
		}
		assert_int_equal(dirty_clear(f->paths.sessions_fd, seen, NULL), RUNTIME_OK);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(status, 0);
		if (!stands(f, "other", by) || !strstr(by, i % 2 ? "tenant" : "tenant new"))
			fail_msg("round %u: the new mark is gone", i);
		assert_int_equal(unlink(path_of_mark(f)), 0);
	}
}

#define WITH_ROOT(test) cmocka_unit_test_setup_teardown(test, fixture_make, fixture_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_ROOT(a_clean_host_has_no_mark),
		WITH_ROOT(a_mark_stands_against_every_other_tenant),
		WITH_ROOT(with_two_tenants_marks_it_stands_against_both),
		WITH_ROOT(a_tenant_is_marked_once_in_a_boot),
		WITH_ROOT(a_mark_of_an_older_boot_does_not_stand_for_this_one),
		WITH_ROOT(a_mark_that_cannot_be_written_is_told),
		WITH_ROOT(no_mark_is_written_through_a_link),
		WITH_ROOT(a_line_that_is_no_mark_stands_against_everybody),
		WITH_ROOT(a_line_that_was_cut_still_stands_against_the_others),
		WITH_ROOT(more_than_can_be_read_stands_against_everybody),
		WITH_ROOT(a_sweep_takes_away_what_stood_before_it),
		WITH_ROOT(a_mark_that_came_during_the_sweep_stays),
		WITH_ROOT(the_first_mark_that_came_during_the_sweep_stays),
		WITH_ROOT(the_same_tenants_mark_during_the_sweep_stays_too),
		WITH_ROOT(a_restart_takes_it_away_only_where_the_kernel_zeroes),
		WITH_ROOT(a_mark_of_this_boot_outlives_a_kernel_that_zeroes),
		WITH_ROOT(what_cannot_be_read_is_not_taken_away_by_a_restart),
		WITH_ROOT(marks_of_many_processes_are_all_kept),
		WITH_ROOT(a_mark_is_never_lost_to_a_clear_at_the_same_time),
	};

	return cmocka_run_group_tests_name("dirty", tests, NULL, NULL);
}
