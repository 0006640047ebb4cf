/* tests/runtime/test_scrubbing.c - what a session's end is called, and what may be CLEAN. */
#include "tests/runtime/fixture.h"

#include "runtime/scrubbing.h"

static const struct scrub_result some = { .bytes = 4096, .ns = 1000 };

/* Held memory as a session's own keeper leaves it when all went well. */
static struct receipt good(uint32_t held, uint32_t kernel)
{
	struct receipt r;

	scrubbing_begin(&r, held, kernel, true);
	scrubbing_add(&r, PLACE_ANONYMOUS, RECEIPT_WIPED, "at the exit stops", &some,
		      MEMSCRUB_OK, NULL);
	scrubbing_add(&r, PLACE_SHARED, RECEIPT_VERIFIED, "by duplicates", &some, MEMSCRUB_OK,
		      NULL);
	scrubbing_add(&r, PLACE_TMPFS, RECEIPT_VERIFIED, "by extents", &some, MEMSCRUB_OK,
		      NULL);
	return r;
}

static struct receipt_line *line(struct receipt *r, enum place p)
{
	for (size_t i = 0; i < r->n_lines; i++)
		if (strcmp(r->lines[i].place, place_str(p)) == 0)
			return &r->lines[i];
	fail_msg("no line of %s", place_str(p));
	return NULL;
}

static void same_words(const struct receipt *r, const char *want)
{
	char words[SCRUBBING_WORDS];

	scrubbing_words(r, words);
	assert_string_equal(words, want);
}

/* What it says begins with the words, and holds that text. */
static void says(const struct receipt *r, const char *text)
{
	char said[JOURNAL_VALUE];

	scrubbing_say(r, said, sizeof(said));
	if (!strstr(said, text))
		fail_msg("no \"%s\" in: %s", text, said);
}

/* ---- words ----------------------------------------------------------------------- */

static void the_words_are_each_groups_weakest_line(void **state)
{
	struct receipt r = good(POLICY_HELD_WIPED, POLICY_KERNEL_NONE);

	(void)state;
	scrubbing_no_kernel(&r, "not known");
	same_words(&r, "wiped/none");
	line(&r, PLACE_TMPFS)->assurance = RECEIPT_NONE;
	same_words(&r, "none/none");
	for (size_t i = 0; i < r.n_lines; i++)
		r.lines[i].assurance =
			r.lines[i].group == RECEIPT_HELD ? RECEIPT_VERIFIED : RECEIPT_BY_KERNEL;
	same_words(&r, "verified/kernel");
	line(&r, PLACE_SLAB)->assurance = RECEIPT_SWEPT;
	same_words(&r, "verified/swept");
}

static void a_group_without_a_line_is_worth_nothing(void **state)
{
	struct receipt r;

	(void)state;
	scrubbing_begin(&r, POLICY_HELD_WIPED, POLICY_KERNEL_NONE, true);
	same_words(&r, "none/none");
	assert_false(receipt_clean(&r));
}

static void output_that_the_clerk_still_keeps_does_not_weigh(void **state)
{
	struct receipt r = good(POLICY_HELD_WIPED, POLICY_KERNEL_NONE);
	int ring = ring_make();

	(void)state;
	assert_true(ring >= 0);
	scrubbing_ring(&r, ring);
	scrubbing_no_kernel(&r, "not known");
	assert_int_equal(line(&r, PLACE_RING)->assurance, RECEIPT_OWNED);
	assert_true(line(&r, PLACE_RING)->bytes > 0);
	same_words(&r, "wiped/none");
	assert_true(receipt_clean(&r));
	close(ring);
}

static void without_a_ring_there_is_no_line_of_it(void **state)
{
	struct receipt r = good(POLICY_HELD_WIPED, POLICY_KERNEL_NONE);
	size_t n = r.n_lines;

	(void)state;
	scrubbing_ring(&r, -1);
	assert_int_equal(r.n_lines, n);
}

/* ---- what keeps a session from CLEAN --------------------------------------------- */

static void every_minimum_is_met_or_its_first_shortfall_is_named(void **state)
{
	static const struct {
		uint32_t held, kernel;
		enum receipt_assurance worth; /* of the kernel's places */
		bool clean;
	} cases[] = {
		{ POLICY_HELD_NONE, POLICY_KERNEL_NONE, RECEIPT_NONE, true },
		{ POLICY_HELD_WIPED, POLICY_KERNEL_NONE, RECEIPT_NONE, true },
		{ POLICY_HELD_WIPED, POLICY_KERNEL_SWEPT, RECEIPT_NONE, false },
		{ POLICY_HELD_WIPED, POLICY_KERNEL_SWEPT, RECEIPT_SWEPT, true },
		{ POLICY_HELD_WIPED, POLICY_KERNEL_SWEPT, RECEIPT_BY_KERNEL, true },
		{ POLICY_HELD_WIPED, POLICY_KERNEL_KERNEL, RECEIPT_NONE, false },
		{ POLICY_HELD_WIPED, POLICY_KERNEL_KERNEL, RECEIPT_SWEPT, false },
		{ POLICY_HELD_WIPED, POLICY_KERNEL_KERNEL, RECEIPT_BY_KERNEL, true },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct receipt r = good(cases[i].held, cases[i].kernel);

		scrubbing_no_kernel(&r, "because");
		for (size_t k = 0; k < r.n_lines; k++)
			if (r.lines[k].group == RECEIPT_KERNEL)
				r.lines[k].assurance = cases[i].worth;
		assert_int_equal(receipt_clean(&r), cases[i].clean);
		says(&r, cases[i].clean ? ": what the policy asks for"
					: "; memory replaced by execve: because");
	}
}

/* An object can outlive whoever wiped it through his own mapping. */
static void a_shared_object_needs_more_than_its_last_user(void **state)
{
	static const enum place objects[] = { PLACE_SHARED, PLACE_TMPFS };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct receipt r = good(POLICY_HELD_WIPED, POLICY_KERNEL_NONE);
		struct receipt_line *l = line(&r, objects[i]);

		scrubbing_no_kernel(&r, "not known");
		l->assurance = RECEIPT_WIPED;
		snprintf(l->method, sizeof(l->method), "by its user");
		assert_false(receipt_clean(&r));
		same_words(&r, "wiped/none");
		says(&r, i == 0 ? "shared memory: by its user" : "tmpfs: by its user");
		l->assurance = RECEIPT_HARDWARE;
		assert_true(receipt_clean(&r));
		r.minima[RECEIPT_HELD] = RECEIPT_NONE;
		l->assurance = RECEIPT_NONE;
		assert_true(receipt_clean(&r));
	}
}

static void memory_wiped_in_place_is_told_from_that_of_duplicates(void **state)
{
	struct reaper_result done = { .anonymous = some, .shared = some, .processes = 3 };
	struct receipt r;

	(void)state;
	scrubbing_begin(&r, POLICY_HELD_WIPED, POLICY_KERNEL_NONE, true);
	scrubbing_processes(&r, &done);
	assert_int_equal(line(&r, PLACE_ANONYMOUS)->assurance, RECEIPT_WIPED);
	assert_non_null(strstr(line(&r, PLACE_ANONYMOUS)->method, "3 address spaces"));
	assert_int_equal(line(&r, PLACE_SHARED)->assurance, RECEIPT_VERIFIED);

	done.in_place = some;
	scrubbing_begin(&r, POLICY_HELD_WIPED, POLICY_KERNEL_NONE, true);
	scrubbing_processes(&r, &done);
	assert_int_equal(line(&r, PLACE_SHARED)->assurance, RECEIPT_WIPED);
	assert_int_equal(line(&r, PLACE_SHARED)->bytes, 2 * some.bytes);
	assert_false(receipt_line_meets(&r, line(&r, PLACE_SHARED)));
}

/* However much was wiped: a byte that was not is what counts. */
static void failed_bytes_make_a_line_worth_nothing(void **state)
{
	const struct scrub_result part = { .bytes = 1 << 20, .failed = 1 };
	const struct memscrub_error why = { .where = "/x", .what = "it was sealed" };
	const struct memscrub_error silent = { .what = "" };
	struct receipt r;

	(void)state;
	scrubbing_begin(&r, POLICY_HELD_NONE, POLICY_KERNEL_NONE, true);
	scrubbing_add(&r, PLACE_TMPFS, RECEIPT_VERIFIED, "by extents", &part, MEMSCRUB_RESIDUE,
		      &why);
	assert_int_equal(line(&r, PLACE_TMPFS)->assurance, RECEIPT_NONE);
	assert_string_equal(line(&r, PLACE_TMPFS)->method, "/x: it was sealed");
	scrubbing_no_kernel(&r, "not known");
	assert_false(receipt_clean(&r)); /* even where the policy asks for nothing */
	says(&r, "tmpfs: /x: it was sealed");

	scrubbing_begin(&r, POLICY_HELD_NONE, POLICY_KERNEL_NONE, true);
	scrubbing_add(&r, PLACE_SHARED, RECEIPT_VERIFIED, "by duplicates", &part, MEMSCRUB_OK,
		      &silent);
	assert_int_equal(line(&r, PLACE_SHARED)->assurance, RECEIPT_NONE);
	assert_string_equal(line(&r, PLACE_SHARED)->method, "some of it could not be wiped");
}

static void a_scrub_that_failed_as_a_whole_has_failed_bytes(void **state)
{
	const struct scrub_result nothing = { 0 };
	const struct memscrub_error why = { .what = "no such device" };
	struct receipt r;

	(void)state;
	scrubbing_begin(&r, POLICY_HELD_NONE, POLICY_KERNEL_NONE, true);
	scrubbing_add(&r, PLACE_TMPFS, RECEIPT_VERIFIED, "by extents", &nothing,
		      MEMSCRUB_SYSTEM, &why);
	assert_true(line(&r, PLACE_TMPFS)->failed > 0);
	assert_int_equal(line(&r, PLACE_TMPFS)->assurance, RECEIPT_NONE);
}

/* ---- what never ran -------------------------------------------------------------- */

static void what_never_ran_left_nothing_to_wipe(void **state)
{
	struct receipt r;

	(void)state;
	scrubbing_begin(&r, POLICY_HELD_WIPED, POLICY_KERNEL_NONE, false);
	scrubbing_never_ran(&r);
	assert_true(scrubbing_files(&r, PLACE_TMPFS, NULL, 0));
	scrubbing_no_kernel(&r, "not known");
	same_words(&r, "wiped/none");
	assert_true(receipt_clean(&r));
	for (size_t i = 0; i < r.n_lines; i++)
		assert_int_equal(r.lines[i].bytes, 0);
	says(&r, "the workload never ran; wiped/none: what the policy asks for");
}

/* ---- tmpfs ----------------------------------------------------------------------- */

static void every_file_of_every_mount_is_wiped(void **state)
{
	int mounts[2] = { tmpfs_mount(), tmpfs_mount() }, files[3];
	struct receipt r;

	(void)state;
	if (mounts[1] < 0) {
		print_message("skipped: this user can mount no memory file system\n");
		skip();
	}
	assert_int_equal(mkdirat(mounts[1], "sub", 0), 0); /* closed even to its owner */
	assert_int_equal(fchmodat(mounts[1], "sub", 0700, 0), 0);
	files[0] = tenant_file(mounts[0], "a");
	files[1] = tenant_file(mounts[1], "b");
	files[2] = tenant_file(mounts[1], "sub/c");
	assert_int_equal(fchmodat(mounts[1], "sub", 0, 0), 0);
	scrubbing_begin(&r, POLICY_HELD_WIPED, POLICY_KERNEL_NONE, true);
	assert_true(scrubbing_files(&r, PLACE_TMPFS, mounts, 2));
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(tenant_bytes_left(files[i]), 0);
		close(files[i]);
	}
	assert_int_equal(line(&r, PLACE_TMPFS)->assurance, RECEIPT_VERIFIED);
	assert_true(line(&r, PLACE_TMPFS)->bytes >= 3 * TENANT_BYTES);
	close(mounts[0]);
	close(mounts[1]);
}

static void one_mount_that_resists_spoils_the_line_and_not_the_others(void **state)
{
	int mounts[2] = { -1, tmpfs_mount() }, file;
	struct receipt r;

	(void)state;
	if (mounts[1] < 0) {
		print_message("skipped: this user can mount no memory file system\n");
		skip();
	}
	file = tenant_file(mounts[1], "a");
	scrubbing_begin(&r, POLICY_HELD_WIPED, POLICY_KERNEL_NONE, true);
	assert_false(scrubbing_files(&r, PLACE_TMPFS, mounts, 2));
	assert_int_equal(tenant_bytes_left(file), 0);
	assert_int_equal(line(&r, PLACE_TMPFS)->assurance, RECEIPT_NONE);
	assert_true(line(&r, PLACE_TMPFS)->failed > 0);
	close(file);
	close(mounts[1]);
}

/* ---- kernel ---------------------------------------------------------------------- */

static void the_kernels_places_have_one_word_and_a_reason(void **state)
{
	struct receipt r;
	struct scrub_floor floor;
	char why[256];
	bool swept = true, zeroing;

	(void)state;
	scrub_floor_read("", &floor);
	zeroing = scrub_floor_kernel(&floor, why);
	scrubbing_begin(&r, POLICY_HELD_NONE, POLICY_KERNEL_NONE, true);
	scrubbing_kernel(&r, &swept);
	assert_false(swept); /* nobody asked for one */
	for (unsigned p = PLACE_EXECVE; p < PLACES; p++) {
		const struct receipt_line *l = line(&r, (enum place)p);

		assert_int_equal(l->assurance, zeroing ? RECEIPT_BY_KERNEL : RECEIPT_NONE);
		assert_string_equal(l->method, why);
		assert_int_equal(l->failed, 0);
	}
}

static void a_sweep_is_worth_its_word_when_it_had_enough(void **state)
{
	static const struct {
		struct scrub_sweep_result done;
		bool worth;
	} cases[] = {
		{ { .end = SWEEP_FLOOR, .percent = 50 }, true },
		{ { .end = SWEEP_LIMIT, .percent = SCRUBBING_SWEPT_PERCENT }, true },
		{ { .end = SWEEP_LIMIT, .percent = SCRUBBING_SWEPT_PERCENT - 1 }, false },
		{ { .end = SWEEP_REFUSED, .percent = SCRUBBING_SWEPT_PERCENT - 1 }, false },
		{ { .end = SWEEP_REFUSED, .percent = 99 }, true },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		assert_int_equal(scrubbing_swept(&cases[i].done), cases[i].worth);
}

/* ---- facts ----------------------------------------------------------------------- */

static void the_facts_are_the_lines_and_the_words(void **state)
{
	struct receipt r = good(POLICY_HELD_WIPED, POLICY_KERNEL_NONE);
	struct journal_fact facts[PLACES + 1];
	struct journal *j = calloc(1, sizeof(*j));
	size_t n;

	(void)state;
	scrubbing_no_kernel(&r, "not known");
	n = scrubbing_facts(&r, facts);
	assert_int_equal(n, 5); /* three places, the kernel's as one, the words */
	memcpy(j->facts, facts, n * sizeof(facts[0]));
	j->n_facts = n;
	assert_string_equal(journal_fact(j, "assurance"), "wiped/none");
	for (unsigned p = 0; p < PLACES; p++) {
		const bool in_all = p != PLACE_RING && p != PLACE_CREDENTIALS;
		struct receipt_line back;

		assert_int_equal(place_find(j, (enum place)p, &back), in_all);
		if (in_all)
			assert_string_equal(back.method, line(&r, (enum place)p)->method);
	}
	free(j);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_words_are_each_groups_weakest_line),
		cmocka_unit_test(a_group_without_a_line_is_worth_nothing),
		cmocka_unit_test(output_that_the_clerk_still_keeps_does_not_weigh),
		cmocka_unit_test(without_a_ring_there_is_no_line_of_it),
		cmocka_unit_test(every_minimum_is_met_or_its_first_shortfall_is_named),
		cmocka_unit_test(a_shared_object_needs_more_than_its_last_user),
		cmocka_unit_test(memory_wiped_in_place_is_told_from_that_of_duplicates),
		cmocka_unit_test(failed_bytes_make_a_line_worth_nothing),
		cmocka_unit_test(a_scrub_that_failed_as_a_whole_has_failed_bytes),
		cmocka_unit_test(what_never_ran_left_nothing_to_wipe),
		cmocka_unit_test(every_file_of_every_mount_is_wiped),
		cmocka_unit_test(one_mount_that_resists_spoils_the_line_and_not_the_others),
		cmocka_unit_test(the_kernels_places_have_one_word_and_a_reason),
		cmocka_unit_test(a_sweep_is_worth_its_word_when_it_had_enough),
		cmocka_unit_test(the_facts_are_the_lines_and_the_words),
	};

	return cmocka_run_group_tests_name("scrubbing", tests, NULL, NULL);
}
