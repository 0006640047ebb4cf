/* tests/runtime/test_places.c - what became of a place, as a fact of the journal and back. */
#include "tests/runtime/fixture.h"

#include "runtime/places.h"

/* The longest that a receipt may say of a method, in bytes that need no escape. */
static struct receipt_line longest(void)
{
	struct receipt_line l = { .assurance = RECEIPT_VERIFIED,
				  .bytes = UINT64_MAX,
				  .failed = UINT64_MAX,
				  .ns = UINT64_MAX };

	memset(l.method, 'm', sizeof(l.method) - 1);
	return l;
}

static struct journal *one_fact(const struct journal_fact *f)
{
	struct journal *j = calloc(1, sizeof(*j));

	assert_non_null(j);
	j->facts[0] = *f;
	j->n_facts = 1;
	return j;
}

static void same_line(const struct receipt_line *a, const struct receipt_line *b)
{
	assert_int_equal(a->assurance, b->assurance);
	assert_true(a->bytes == b->bytes && a->failed == b->failed && a->ns == b->ns);
	assert_string_equal(a->method, b->method);
}

static void places_have_names_and_groups_of_their_own(void **state)
{
	(void)state;
	for (unsigned p = 0; p < PLACES; p++) {
		struct receipt_line l = { .method = "" };
		struct journal_fact a, b;

		assert_true(strlen(place_str((enum place)p)) < sizeof(l.place));
		assert_int_equal(place_group((enum place)p),
				 p < PLACE_EXECVE ? RECEIPT_HELD : RECEIPT_KERNEL);
		place_fact((enum place)p, &l, &a);
		for (unsigned q = 0; q < p; q++) {
			place_fact((enum place)q, &l, &b);
			/* Of the kernel's places nothing can be told apart. */
			assert_int_equal(strcmp(a.key, b.key) == 0, q >= PLACE_EXECVE);
			assert_string_not_equal(place_str((enum place)p),
						place_str((enum place)q));
		}
	}
	assert_true(PLACES <= RECEIPT_LINES);
}

/* Through the file and back, as recovery and the clerk read it. */
static void every_line_survives_the_journal(void **state)
{
	struct fixture *f = *state;
	struct journal_begin b = begin_of(f, false);
	struct receipt_line lines[PLACES];
	struct journal_fact facts[PLACES];
	struct journal *j = calloc(1, sizeof(*j));
	bool torn;

	for (unsigned p = 0; p < PLACES; p++) {
		if (p > PLACE_EXECVE) { /* they share a fact */
			lines[p] = lines[PLACE_EXECVE];
			facts[p] = facts[PLACE_EXECVE];
			continue;
		}
		lines[p] = longest();
		lines[p].assurance = (enum receipt_assurance)(p % RECEIPT_ASSURANCES);
		lines[p].bytes -= p;
		lines[p].failed = p;
		lines[p].ns = p ? UINT64_C(1) << (6 * p) : 0;
		lines[p].method[p * 20] = '\0';
		place_fact((enum place)p, &lines[p], &facts[p]);
	}
	write_journal(f, &b, SESSION_SCRUBBING, facts, PLACES);
	assert_int_equal(journal_read(f->paths.sessions_fd, b.id, j, &torn, NULL), RUNTIME_OK);
	for (unsigned p = 0; p < PLACES; p++) {
		struct receipt_line back;

		assert_true(place_find(j, (enum place)p, &back));
		same_line(&back, &lines[p]);
		assert_string_equal(back.place, place_str((enum place)p));
		assert_int_equal(back.group, place_group((enum place)p));
	}
	free(j);
}

static void every_word_and_the_largest_numbers_survive(void **state)
{
	(void)state;
	for (unsigned a = 0; a < RECEIPT_ASSURANCES; a++) {
		struct receipt_line l = longest(), back;
		struct journal_fact fact;
		struct journal *j;

		l.assurance = (enum receipt_assurance)a;
		place_fact(PLACE_SHARED, &l, &fact);
		assert_true(text_clean(fact.value));
		j = one_fact(&fact);
		assert_true(place_find(j, PLACE_SHARED, &back));
		same_line(&back, &l);
		free(j);
	}
}

/* Paths of a tenant's choosing stand in there. It may be cut; it may not spoil the fact. */
static void a_method_of_any_bytes_is_clean_text_in_the_journal(void **state)
{
	struct fixture *f = *state;
	struct journal_begin b = begin_of(f, false);
	struct receipt_line l = { .assurance = RECEIPT_NONE, .failed = 7 }, back;
	struct journal_fact fact;
	struct journal *j;

	for (unsigned i = 0; i + 1 < sizeof(l.method); i++)
		l.method[i] = (char)(i + 1);
	place_fact(PLACE_TMPFS, &l, &fact);
	assert_true(text_clean(fact.value));
	write_journal(f, &b, SESSION_SCRUBBING, &fact, 1);
	j = one_fact(&fact);
	assert_true(place_find(j, PLACE_TMPFS, &back));
	assert_int_equal(back.failed, 7);
	free(j);
}

static void the_newest_line_counts(void **state)
{
	const struct receipt_line first = { .assurance = RECEIPT_NONE, .method = "was not" };
	const struct receipt_line second = { .assurance = RECEIPT_VERIFIED, .method = "was" };
	struct journal *j = calloc(1, sizeof(*j));
	struct receipt_line back;

	(void)state;
	place_fact(PLACE_TMPFS, &first, &j->facts[0]);
	place_fact(PLACE_TMPFS, &second, &j->facts[1]);
	place_fact(PLACE_RING, &first, &j->facts[2]);
	j->n_facts = 3;
	assert_true(place_find(j, PLACE_TMPFS, &back));
	same_line(&back, &second);
	assert_false(place_find(j, PLACE_ANONYMOUS, &back));
	free(j);
}

/* Of such a place nothing is known: its line must not be made up from what is left. */
static void a_damaged_value_is_no_line(void **state)
{
	static const char *const values[] = {
		"",
		" ",
		"wiped",
		"wiped ",
		"wiped 1",
		"wiped 1 ",
		"wiped 1 2",
		"wiped 1 2 3",
		" wiped 1 2 3 method",
		"wiped  1 2 3 method",
		"Wiped 1 2 3 method",
		"wipe 1 2 3 method",
		"hardwarehardware 1 2 3 method",
		"wiped -1 2 3 method",
		"wiped +1 2 3 method",
		"wiped 1 2 x method",
		"wiped 1x 2 3 method",
		"wiped 0x1 2 3 method",
		"wiped 1\t2 3 method",
		"wiped 18446744073709551616 2 3 method",
		"wiped 1 99999999999999999999999 3 method",
		"wiped 1 2 18446744073709551616 method",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(values) / sizeof(*values); i++) {
		struct receipt_line back;
		struct journal_fact fact;
		struct journal *j;

		place_fact(PLACE_ANONYMOUS, &(struct receipt_line){ .ns = 0 }, &fact);
		strcpy(fact.value, values[i]);
		j = one_fact(&fact);
		if (place_find(j, PLACE_ANONYMOUS, &back))
			fail_msg("read as a line: \"%s\"", values[i]);
		free(j);
	}
}

static void a_line_cut_anywhere_before_its_method_is_no_line(void **state)
{
	struct receipt_line l = longest(), back;
	struct journal_fact fact;
	struct journal *j;
	size_t end;

	(void)state;
	place_fact(PLACE_ANONYMOUS, &l, &fact);
	end = (size_t)(strchr(fact.value, 'm') - fact.value);
	for (size_t n = 0; n < end; n++) {
		j = one_fact(&fact);
		j->facts[0].value[n] = '\0';
		if (place_find(j, PLACE_ANONYMOUS, &back))
			fail_msg("%zu of %zu bytes are read as a line", n, end);
		free(j);
	}
}

#define WITH_ROOT(test) cmocka_unit_test_setup_teardown(test, fixture_make, fixture_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(places_have_names_and_groups_of_their_own),
		WITH_ROOT(every_line_survives_the_journal),
		cmocka_unit_test(every_word_and_the_largest_numbers_survive),
		WITH_ROOT(a_method_of_any_bytes_is_clean_text_in_the_journal),
		cmocka_unit_test(the_newest_line_counts),
		cmocka_unit_test(a_damaged_value_is_no_line),
		cmocka_unit_test(a_line_cut_anywhere_before_its_method_is_no_line),
	};

	return cmocka_run_group_tests_name("places", tests, NULL, NULL);
}
