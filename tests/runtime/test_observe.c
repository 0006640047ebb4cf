/* tests/runtime/test_observe.c - what a session truthfully is. */
#include "tests/runtime/fixture.h"

#include "runtime/observe.h"

/* ---- the rules, all of them ------------------------------------------------------ */

typedef void each_fn(const struct observe_facts *f, enum session_state shown, const char *note);

static void each_combination(each_fn *check)
{
	for (int j = 0; j < OBSERVE_JOURNALS; j++)
		for (int s = 0; s < SESSION_STATES; s++)
			for (int b = 0; b < 2; b++)
				for (int k = 0; k < OBSERVE_KEEPERS; k++)
					for (int h = 0; h < OBSERVE_HELDS; h++) {
						struct observe_facts f = { j, s, b, k, h };
						char note[OBSERVE_NOTE] = "unset";

						check(&f, observe_judge(&f, note), note);
					}
}

static void judge_one(const struct observe_facts *f, enum session_state shown, const char *note)
{
	bool readable = f->journal == OBSERVE_WHOLE || f->journal == OBSERVE_TORN;

	assert_null(strstr(note, "fit no rule"));
	assert_true(shown < SESSION_STATES);
	if (f->journal == OBSERVE_BAD)
		assert_int_equal(shown, SESSION_LOST);
	if (f->journal == OBSERVE_UNBORN)
		assert_int_equal(shown, SESSION_NONE);
	if (!readable)
		return;
	if (session_final(f->state)) {
		assert_int_equal(shown, f->state);
		assert_string_equal(note, "");
		return;
	}
	if (!f->same_boot) {
		assert_int_equal(shown, SESSION_LOST);
		return;
	}
	if (f->keeper != OBSERVE_KEEPER_GONE) {
		assert_int_equal(shown, f->state);
		return;
	}
	/* Nobody supervises it: it must never look alive, nor ever look clean. */
	assert_true(shown == SESSION_STOPPING || shown == SESSION_LOST);
	assert_true(note[0] != '\0');
	if (f->state == SESSION_NONE)
		assert_int_equal(shown, SESSION_STOPPING);
	else
		assert_int_equal(shown, f->held == OBSERVE_HELD_NONE ? SESSION_LOST
								     : SESSION_STOPPING);
}

static void every_combination_of_facts_has_a_true_answer(void **state)
{
	(void)state;
	each_combination(judge_one);
}

static void the_note_names_the_state_it_died_in(void **state)
{
	struct observe_facts f = { OBSERVE_WHOLE, SESSION_RUNNING, true, OBSERVE_KEEPER_GONE,
				   OBSERVE_HELD_SOME };
	char note[OBSERVE_NOTE];

	(void)state;
	observe_judge(&f, note);
	assert_string_equal(note, "keeper died while RUNNING; the kernel killed the workload; "
				  "`cordon recover` cleans up");
}

/* ---- looking --------------------------------------------------------------------- */

static struct observed see(struct fixture *f, const uint8_t id[static SESSION_ID_BYTES])
{
	struct observer ob;
	struct observed o;

	observe_open(&f->paths, &ob);
	observe_session(&ob, id, &o, NULL);
	observe_close(&ob);
	return o;
}

static void a_living_keepers_word_stands(void **state)
{
	struct fixture *f = *state;
	struct journal_begin b = begin_of(f, true);
	struct observed o;

	write_journal(f, &b, SESSION_RUNNING, NULL, 0);
	o = see(f, b.id);
	assert_int_equal(o.shown, SESSION_RUNNING);
	assert_int_equal(o.facts.keeper, OBSERVE_KEEPER_ALIVE);
	assert_false(o.attested);
	assert_string_equal(o.assurance[0], "-");
	assert_string_equal(o.note, "");
}

static void a_pid_with_another_start_time_is_not_the_keeper(void **state)
{
	struct fixture *f = *state;
	struct journal_begin b = begin_of(f, true);

	b.keeper_start++;
	write_journal(f, &b, SESSION_RUNNING, NULL, 0);
	assert_int_equal(see(f, b.id).facts.keeper, OBSERVE_KEEPER_GONE);
	assert_int_equal(see(f, b.id).shown, SESSION_LOST);
}

static void a_keeper_that_ended_and_was_not_waited_for_is_gone(void **state)
{
	struct fixture *f = *state;
	struct journal_begin b = begin_of(f, true);

	b.keeper = fork();
	if (b.keeper == 0)
		_exit(0);
	assert_int_equal(waitid(P_PID, (id_t)b.keeper, &(siginfo_t){ 0 }, WEXITED | WNOWAIT),
			 0);
	b.keeper_start = process_start_time(b.keeper);
	assert_true(b.keeper_start != 0);
	write_journal(f, &b, SESSION_RUNNING, NULL, 0);
	assert_int_equal(see(f, b.id).facts.keeper, OBSERVE_KEEPER_GONE);
	waitpid(b.keeper, NULL, 0);
}

static void a_dead_keepers_session_is_lost_unless_the_clerk_holds_it(void **state)
{
	struct fixture *f = *state;
	struct journal_begin b = begin_of(f, false);
	struct observed o;

	write_journal(f, &b, SESSION_RUNNING, NULL, 0);
	assert_int_equal(see(f, b.id).shown, SESSION_LOST);
	start_clerk(f, b.id, WIRE_SLOT_TMPFS, STDERR_FILENO);
	o = see(f, b.id);
	assert_int_equal(o.shown, SESSION_STOPPING);
	assert_int_equal(o.held, 1);
	fixture_clerk_end(f);
}

static void another_boot_is_lost_even_where_the_pid_lives(void **state)
{
	struct fixture *f = *state;
	struct journal_begin b = begin_of(f, true);

	b.boot[3] ^= 1;
	write_journal(f, &b, SESSION_RUNNING, NULL, 0);
	assert_int_equal(see(f, b.id).shown, SESSION_LOST);
	assert_non_null(strstr(see(f, b.id).note, "restarted while it was RUNNING"));
}

static void a_final_state_stands_whoever_lives(void **state)
{
	struct fixture *f = *state;
	struct journal_begin b = begin_of(f, false);

	write_journal(f, &b, SESSION_CLEAN, NULL, 0);
	assert_int_equal(see(f, b.id).shown, SESSION_CLEAN);
	assert_true(({
		struct observed o = see(f, b.id);
		observe_ended(&o);
	}));
}

static void facts_give_attestation_and_assurance(void **state)
{
	struct fixture *f = *state;
	struct journal_begin b = begin_of(f, true);
	const struct journal_fact fact = { "assurance", "wiped/swept" };
	struct journal_writer *w = NULL;
	struct observed o;

	assert_int_equal(journal_create(f->paths.sessions_fd, &b, &w, NULL), RUNTIME_OK);
	assert_int_equal(journal_note_all(w, &fact, 1, NULL), RUNTIME_OK);
	move_to(w, SESSION_ATTESTING);
	assert_int_equal(journal_move(w, EV_AFFIRMED, "", NULL), RUNTIME_OK);
	journal_close(w);
	o = see(f, b.id);
	assert_true(o.attested);
	assert_string_equal(o.assurance[0], "wiped");
	assert_string_equal(o.assurance[1], "swept");
}

static void a_torn_journal_counts_up_to_its_tear(void **state)
{
	struct fixture *f = *state;
	struct journal_begin b = begin_of(f, true);
	static const uint8_t half[100] = { 1, 2, 3 };

	write_journal(f, &b, SESSION_PREPARED, NULL, 0);
	damage(f, b.id, 2 * JOURNAL_SLOT + 4, half, sizeof(half));
	assert_int_equal(see(f, b.id).facts.journal, OBSERVE_TORN);
	assert_int_equal(see(f, b.id).shown, SESSION_PREPARED);
}

static void a_malformed_journal_is_shown_as_lost_with_its_reason(void **state)
{
	struct fixture *f = *state;
	struct journal_begin b = begin_of(f, true);
	struct observed o;

	write_journal(f, &b, SESSION_RUNNING, NULL, 0);
	damage(f, b.id, 40, "?", 1);
	o = see(f, b.id);
	assert_int_equal(o.facts.journal, OBSERVE_BAD);
	assert_int_equal(o.shown, SESSION_LOST);
	assert_true(o.error.what[0] != '\0');
}

static void zeros_alone_are_a_session_that_never_was(void **state)
{
	struct fixture *f = *state;
	uint8_t id[SESSION_ID_BYTES] = { 0xee };
	char name[48];
	int fd;

	journal_name(id, name);
	fd = openat(f->paths.sessions_fd, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(see(f, id).facts.journal, OBSERVE_UNBORN);
	assert_int_equal(ftruncate(fd, JOURNAL_BYTES), 0);
	assert_int_equal(see(f, id).facts.journal, OBSERVE_UNBORN);
	assert_int_equal(ftruncate(fd, JOURNAL_BYTES + 1), 0);
	assert_int_equal(see(f, id).facts.journal, OBSERVE_BAD);
	close(fd);
}

/* ---- listing and finding --------------------------------------------------------- */

static void an_absent_root_has_no_sessions(void **state)
{
	struct paths none = { .sessions_fd = -1, .run_fd = -1 };
	struct observer ob;
	struct observed *all = NULL;
	size_t n = 9;

	(void)state;
	observe_open(&none, &ob);
	assert_int_equal(observe_all(&ob, &all, &n, NULL), RUNTIME_OK);
	assert_int_equal(n, 0);
	observe_close(&ob);
	free(all);
}

static void the_list_is_by_age_and_of_journals_alone(void **state)
{
	struct fixture *f = *state;
	struct journal_begin young = begin_of(f, true), old = begin_of(f, true);
	static const char *const strangers[] = { "notes.journal", "x", "00.journal",
						 "00000000000000000000000000000000.journa1" };
	struct observer ob;
	struct observed *all = NULL;
	size_t n;

	old.created -= 1000000000;
	write_journal(f, &young, SESSION_RUNNING, NULL, 0);
	write_journal(f, &old, SESSION_CLEAN, NULL, 0);
	for (size_t i = 0; i < 4; i++)
		close(openat(f->paths.sessions_fd, strangers[i], O_CREAT | O_WRONLY, 0600));
	observe_open(&f->paths, &ob);
	assert_int_equal(observe_all(&ob, &all, &n, NULL), RUNTIME_OK);
	assert_int_equal(n, 2);
	assert_memory_equal(all[0].id, old.id, SESSION_ID_BYTES);
	assert_memory_equal(all[1].id, young.id, SESSION_ID_BYTES);
	observe_close(&ob);
	free(all);
}

static enum runtime_status find(struct fixture *f, const char *text, struct observed *ret,
				struct runtime_error *e)
{
	struct observer ob;
	enum runtime_status s;

	observe_open(&f->paths, &ob);
	s = observe_find(&ob, text, ret, e);
	observe_close(&ob);
	return s;
}

static void a_session_is_found_by_id_prefix_and_label(void **state)
{
	struct fixture *f = *state;
	struct journal_begin b = begin_of(f, true);
	struct observed o;
	struct runtime_error e;
	char hex[SESSION_ID_HEX];

	strcpy(b.name, "web");
	write_journal(f, &b, SESSION_RUNNING, NULL, 0);
	session_id_hex(b.id, hex);
	assert_int_equal(find(f, hex, &o, &e), RUNTIME_OK);
	assert_int_equal(find(f, "web", &o, &e), RUNTIME_OK);
	assert_int_equal(find(f, "we", &o, &e), RUNTIME_REFUSED);
	assert_int_equal(find(f, "", &o, &e), RUNTIME_REFUSED);
	for (size_t n = 32; n > 0; n--) {
		hex[n] = '\0';
		assert_int_equal(find(f, hex, &o, &e),
				 n < OBSERVE_PREFIX ? RUNTIME_REFUSED : RUNTIME_OK);
	}
	assert_int_equal(find(f, "01ab00000000000000000000000000010", &o, &e), RUNTIME_REFUSED);
}

static void two_that_fit_are_both_named(void **state)
{
	struct fixture *f = *state;
	struct journal_begin a = begin_of(f, true), b = begin_of(f, true);
	struct observed o;
	struct runtime_error e;
	char hex[2][SESSION_ID_HEX];

	memcpy(b.id, a.id, 8);
	b.id[15] = 2;
	write_journal(f, &a, SESSION_RUNNING, NULL, 0);
	write_journal(f, &b, SESSION_RUNNING, NULL, 0);
	session_id_hex(a.id, hex[0]);
	session_id_hex(b.id, hex[1]);
	assert_int_equal(find(f, "01ab00", &o, &e), RUNTIME_MALFORMED);
	assert_non_null(strstr(e.hint, hex[0]));
	assert_non_null(strstr(e.hint, hex[1]));
	assert_int_equal(find(f, hex[1], &o, &e), RUNTIME_OK);
	assert_memory_equal(o.id, b.id, SESSION_ID_BYTES);
}

static void many_candidates_do_not_overflow_the_hint(void **state)
{
	struct fixture *f = *state;
	struct observed o;
	struct runtime_error e;

	for (uint8_t i = 0; i < 20; i++) {
		struct journal_begin b = begin_of(f, true);

		memset(b.id, 0xcc, 8);
		b.id[15] = i;
		write_journal(f, &b, SESSION_RUNNING, NULL, 0);
	}
	assert_int_equal(find(f, "cccc", &o, &e), RUNTIME_MALFORMED);
	assert_non_null(strstr(e.what, "20 sessions"));
	assert_non_null(strstr(e.hint, " ..."));
}

static void a_label_means_the_live_session_else_the_newest_ended_one(void **state)
{
	struct fixture *f = *state;
	struct journal_begin b[3];
	struct observed o;
	struct runtime_error e;

	for (int i = 0; i < 3; i++) {
		b[i] = begin_of(f, true);
		strcpy(b[i].name, "web");
		b[i].created += i;
	}
	write_journal(f, &b[1], SESSION_CLEAN, NULL, 0);
	write_journal(f, &b[2], SESSION_QUARANTINED, NULL, 0);
	assert_int_equal(find(f, "web", &o, &e), RUNTIME_OK);
	assert_memory_equal(o.id, b[2].id, SESSION_ID_BYTES);
	write_journal(f, &b[0], SESSION_RUNNING, NULL, 0);
	assert_int_equal(find(f, "web", &o, &e), RUNTIME_OK);
	assert_memory_equal(o.id, b[0].id, SESSION_ID_BYTES);
}

/* A start that was refused leaves a journal that never came to RUNNING. */
static void write_refused(struct fixture *f, const struct journal_begin *b)
{
	static const enum session_event way[] = { EV_HELD, EV_REFUSED, EV_RESIDUE };
	struct journal_writer *w = NULL;

	assert_int_equal(journal_create(f->paths.sessions_fd, b, &w, NULL), RUNTIME_OK);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(journal_move(w, way[i], "it never ran; so be it", NULL),
				 RUNTIME_OK);
	journal_close(w);
}

static void a_refused_start_takes_no_label_from_one_that_ran(void **state)
{
	struct fixture *f = *state;
	struct journal_begin b[4];
	struct observed o;
	struct runtime_error e;

	for (int i = 0; i < 4; i++) {
		b[i] = begin_of(f, true);
		strcpy(b[i].name, "web");
		b[i].created += i;
	}
	write_refused(f, &b[2]);
	write_refused(f, &b[3]);
	assert_int_equal(find(f, "web", &o, &e), RUNTIME_OK);
	assert_memory_equal(o.id, b[3].id, SESSION_ID_BYTES); /* nothing ran: the newest */
	assert_false(o.ran);
	write_journal(f, &b[0], SESSION_QUARANTINED, NULL, 0);
	assert_int_equal(find(f, "web", &o, &e), RUNTIME_OK);
	assert_memory_equal(o.id, b[0].id, SESSION_ID_BYTES);
	assert_true(o.ran);
	write_journal(f, &b[1], SESSION_QUARANTINED, NULL, 0);
	assert_int_equal(find(f, "web", &o, &e), RUNTIME_OK);
	assert_memory_equal(o.id, b[1].id, SESSION_ID_BYTES); /* the newest that ran */
}

static void a_live_session_that_runs_comes_before_one_being_prepared(void **state)
{
	struct fixture *f = *state;
	struct journal_begin runs = begin_of(f, true), prepared = begin_of(f, true);
	struct observed o;
	struct runtime_error e;

	strcpy(runs.name, "web");
	strcpy(prepared.name, "web");
	prepared.created = runs.created + 1;
	write_journal(f, &runs, SESSION_RUNNING, NULL, 0);
	write_journal(f, &prepared, SESSION_PREPARED, NULL, 0);
	assert_int_equal(find(f, "web", &o, &e), RUNTIME_OK);
	assert_memory_equal(o.id, runs.id, SESSION_ID_BYTES);
}

static void a_final_state_comes_with_the_journals_last_reason(void **state)
{
	struct fixture *f = *state;
	struct journal_begin refused = begin_of(f, false), lost = begin_of(f, false),
			     live = begin_of(f, true);

	write_refused(f, &refused);
	assert_string_equal(see(f, refused.id).note, "it never ran; so be it");
	write_journal(f, &lost, SESSION_LOST, NULL, 0);
	assert_string_equal(see(f, lost.id).note, "a test");
	write_journal(f, &live, SESSION_RUNNING, NULL, 0);
	assert_string_equal(see(f, live.id).note, "");
}

#define WITH_ROOT(test) cmocka_unit_test_setup_teardown(test, fixture_make, fixture_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_combination_of_facts_has_a_true_answer),
		cmocka_unit_test(the_note_names_the_state_it_died_in),
		WITH_ROOT(a_living_keepers_word_stands),
		WITH_ROOT(a_pid_with_another_start_time_is_not_the_keeper),
		WITH_ROOT(a_keeper_that_ended_and_was_not_waited_for_is_gone),
		WITH_ROOT(a_dead_keepers_session_is_lost_unless_the_clerk_holds_it),
		WITH_ROOT(another_boot_is_lost_even_where_the_pid_lives),
		WITH_ROOT(a_final_state_stands_whoever_lives),
		WITH_ROOT(facts_give_attestation_and_assurance),
		WITH_ROOT(a_torn_journal_counts_up_to_its_tear),
		WITH_ROOT(a_malformed_journal_is_shown_as_lost_with_its_reason),
		WITH_ROOT(zeros_alone_are_a_session_that_never_was),
		cmocka_unit_test(an_absent_root_has_no_sessions),
		WITH_ROOT(the_list_is_by_age_and_of_journals_alone),
		WITH_ROOT(a_session_is_found_by_id_prefix_and_label),
		WITH_ROOT(two_that_fit_are_both_named),
		WITH_ROOT(many_candidates_do_not_overflow_the_hint),
		WITH_ROOT(a_label_means_the_live_session_else_the_newest_ended_one),
		WITH_ROOT(a_refused_start_takes_no_label_from_one_that_ran),
		WITH_ROOT(a_live_session_that_runs_comes_before_one_being_prepared),
		WITH_ROOT(a_final_state_comes_with_the_journals_last_reason),
	};

	return cmocka_run_group_tests_name("observe", tests, NULL, NULL);
}
