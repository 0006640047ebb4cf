/* tests/runtime/test_journal.c - what a journal promises across crashes, full disks and
 * strangers' bytes. */
#include "policy/policy.h"
#include "runtime/journal.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <signal.h>
#include <unistd.h>

#include <cmocka.h>

static char top[] = "/tmp/cordon-test-XXXXXX";
static int folder = -1;
static const uint8_t id[SESSION_ID_BYTES] = { 0xa1, [15] = 7 };
#define FILE_NAME "a1000000000000000000000000000007.journal"

static struct journal_begin begin(void)
{
	struct journal_begin b = {
		.name = "web",
		.tenant = "acme",
		.class = POLICY_CLASS_SANDBOX,
		.euid = 1000,
		.keeper = 42,
		.keeper_start = 4242,
		.created = 1700000000000000000,
		.detached = true,
		.held = POLICY_HELD_WIPED,
		.kernel = POLICY_KERNEL_NONE,
	};

	memcpy(b.id, id, sizeof(id));
	memset(b.boot, 0xb0, sizeof(b.boot));
	return b;
}

static int make_folder(void **state)
{
	(void)state;
	strcpy(top, "/tmp/cordon-test-XXXXXX");
	if (!mkdtemp(top))
		return -1;
	folder = open(top, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return folder >= 0 ? 0 : -1;
}

static int remove_folder(void **state)
{
	(void)state;
	unlinkat(folder, FILE_NAME, 0);
	close(folder);
	return rmdir(top);
}

static void load(uint8_t to[static JOURNAL_BYTES])
{
	int fd = openat(folder, FILE_NAME, O_RDONLY | O_CLOEXEC);

	assert_int_equal(read(fd, to, JOURNAL_BYTES), JOURNAL_BYTES);
	close(fd);
}

static void store(const uint8_t *from, size_t n)
{
	int fd = openat(folder, FILE_NAME, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_int_equal(write(fd, from, n), n);
	close(fd);
}

static struct journal_writer *fresh(void)
{
	struct journal_begin b = begin();
	struct journal_writer *w = NULL;
	struct runtime_error e;

	unlinkat(folder, FILE_NAME, 0);
	assert_int_equal(journal_create(folder, &b, &w, &e), RUNTIME_OK);
	return w;
}

static void move_through(struct journal_writer *w, const enum session_event *events, size_t n)
{
	for (size_t i = 0; i < n; i++)
		assert_int_equal(journal_move(w, events[i], "as planned", NULL), RUNTIME_OK);
}

static const enum session_event whole_life[] = { EV_HELD, EV_START, EV_ENDING, EV_GONE,
						 EV_CLEAN };

/* BEGIN, a batch of three facts, a whole life and one last fact: ten slots. */
static void sample(uint8_t to[static JOURNAL_BYTES])
{
	const struct journal_fact facts[3] = { { "cgroup", "/sys/fs/cgroup/x" },
					       { "uids", "100000 65536" },
					       { "limit.memory", "enforced (cgroup)" } };
	struct journal_writer *w = fresh();

	assert_int_equal(journal_note_all(w, facts, 3, NULL), RUNTIME_OK);
	move_through(w, whole_life, 5);
	assert_int_equal(journal_note(w, "status", "0", NULL), RUNTIME_OK);
	journal_close(w);
	load(to);
}

static enum runtime_status parse(const uint8_t *buf, size_t len, struct journal *j, bool *torn)
{
	struct runtime_error e;

	return journal_parse(buf, len, j, torn, &e);
}

static void what_was_written_is_read(void **state)
{
	struct journal_begin b = begin();
	uint8_t buf[JOURNAL_BYTES];
	struct journal j;
	struct runtime_error e;
	bool torn;

	(void)state;
	sample(buf);
	assert_int_equal(journal_read(folder, id, &j, &torn, &e), RUNTIME_OK);
	assert_false(torn);
	assert_int_equal(j.slots_used, 10);
	assert_memory_equal(j.begin.id, b.id, sizeof(b.id));
	assert_memory_equal(j.begin.boot, b.boot, sizeof(b.boot));
	assert_string_equal(j.begin.tenant, "acme");
	assert_true(j.begin.detached);
	assert_false(j.begin.builtin);
	assert_int_equal(j.begin.created, b.created);
	assert_int_equal(j.n_states, 5);
	assert_string_equal(j.states[4].why, "as planned");
	assert_int_equal(journal_state(&j), SESSION_CLEAN);
	assert_int_equal(j.n_facts, 4);
	assert_string_equal(journal_fact(&j, "uids"), "100000 65536");
	assert_null(journal_fact(&j, "absent"));
}

static void the_checksum_is_crc32c(void **state)
{
	uint8_t buf[JOURNAL_BYTES];
	uint32_t crc = UINT32_MAX, stored = 0;

	(void)state;
	sample(buf);
	for (size_t i = 0; i < JOURNAL_SLOT - 4; i++) { /* bit by bit, polynomial 1EDC6F41h */
		crc ^= buf[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
	}
	for (int i = 3; i >= 0; i--)
		stored = stored << 8 | buf[JOURNAL_SLOT - 4 + i];
	assert_int_equal(stored, ~crc);
}

static void every_truncation_is_malformed(void **state)
{
	static uint8_t buf[JOURNAL_BYTES + 1];
	struct journal j = { .slots_used = 77 };
	bool torn;

	(void)state;
	sample(buf);
	for (size_t n = 0; n < JOURNAL_BYTES; n++) {
		assert_int_equal(parse(buf, n, &j, &torn), RUNTIME_MALFORMED);
		assert_false(torn);
	}
	assert_int_equal(parse(buf, JOURNAL_BYTES + 1, &j, &torn), RUNTIME_MALFORMED);
	assert_int_equal(j.slots_used, 77);
}

static void every_flipped_byte_is_malformed(void **state)
{
	static uint8_t buf[JOURNAL_BYTES];
	struct journal j;
	bool torn;

	(void)state;
	sample(buf);
	for (size_t i = 0; i < JOURNAL_BYTES; i++) {
		buf[i] ^= 0x40;
		assert_int_equal(parse(buf, JOURNAL_BYTES, &j, &torn), RUNTIME_MALFORMED);
		buf[i] ^= 0x40;
		/* Only the last record, or the slot after it, can look cut short. */
		assert_int_equal(torn, i / JOURNAL_SLOT == 9 || i / JOURNAL_SLOT == 10);
	}
	assert_int_equal(parse(buf, JOURNAL_BYTES, &j, &torn), RUNTIME_OK);
}

static void a_cut_record_leaves_the_good_part(void **state)
{
	static uint8_t buf[JOURNAL_BYTES], cut[JOURNAL_BYTES];
	struct journal j;
	bool torn;

	(void)state;
	sample(buf);
	for (size_t n = 9 * JOURNAL_SLOT + 1; n < 10 * JOURNAL_SLOT; n++) {
		memset(cut, 0, sizeof(cut));
		memcpy(cut, buf, n);
		assert_int_equal(parse(cut, sizeof(cut), &j, &torn), RUNTIME_MALFORMED);
		assert_true(torn);
		assert_int_equal(j.slots_used, 9);
		assert_int_equal(journal_state(&j), SESSION_CLEAN);
	}
}

/* A host that dies during an append of three may leave any of the three on disk. */
static void an_append_is_whole_or_never_was(void **state)
{
	static uint8_t buf[JOURNAL_BYTES], cut[JOURNAL_BYTES];
	struct journal j;
	bool torn;

	(void)state;
	sample(buf);
	memset(buf + 4 * JOURNAL_SLOT, 0, JOURNAL_BYTES - 4 * JOURNAL_SLOT);
	for (unsigned there = 1; there < 7; there++) {
		memcpy(cut, buf, sizeof(cut));
		for (unsigned i = 0; i < 3; i++)
			if (!(there & 1u << i))
				memset(cut + (i + 1) * JOURNAL_SLOT, 0, JOURNAL_SLOT);
		assert_int_equal(parse(cut, sizeof(cut), &j, &torn), RUNTIME_MALFORMED);
		assert_true(torn);
		assert_int_equal(j.n_facts, 0);
		assert_int_equal(j.slots_used, 1);
	}
	assert_int_equal(parse(buf, sizeof(buf), &j, &torn), RUNTIME_OK);
	assert_int_equal(j.n_facts, 3);
}

static void damage_behind_a_finished_append_is_not_called_torn(void **state)
{
	static uint8_t buf[JOURNAL_BYTES];
	struct journal j;
	bool torn;

	(void)state;
	sample(buf);
	memset(buf + 6 * JOURNAL_SLOT, 0, JOURNAL_SLOT); /* a state in the middle */
	assert_int_equal(parse(buf, sizeof(buf), &j, &torn), RUNTIME_MALFORMED);
	assert_false(torn);
}

static void reopening_clears_the_torn_end_and_goes_on(void **state)
{
	static uint8_t buf[JOURNAL_BYTES];
	struct journal_writer *w = fresh();
	struct journal j;
	struct runtime_error e;
	bool torn;

	(void)state;
	move_through(w, whole_life, 3);
	journal_close(w);
	load(buf);
	memset(buf + 4 * JOURNAL_SLOT, 0x5a, 100);
	store(buf, sizeof(buf));
	assert_int_equal(journal_read(folder, id, &j, &torn, &e), RUNTIME_MALFORMED);
	assert_true(torn);
	assert_int_equal(journal_state(&j), SESSION_STOPPING);

	assert_int_equal(journal_reopen(folder, id, &w, &j, &e), RUNTIME_OK);
	assert_int_equal(journal_writer_state(w), SESSION_STOPPING);
	assert_int_equal(journal_move(w, EV_LOST, "keeper gone", &e), RUNTIME_OK);
	journal_close(w);
	assert_int_equal(journal_read(folder, id, &j, &torn, &e), RUNTIME_OK);
	assert_int_equal(journal_state(&j), SESSION_LOST);
}

static void an_edge_outside_the_table_is_refused_and_not_written(void **state)
{
	static uint8_t before[JOURNAL_BYTES], after[JOURNAL_BYTES];
	struct journal_writer *w = fresh();
	struct runtime_error e;

	(void)state;
	load(before);
	assert_int_equal(journal_move(w, EV_CLEAN, "", &e), RUNTIME_REFUSED);
	assert_int_equal(journal_move(w, EV_START, "", &e), RUNTIME_REFUSED);
	assert_int_equal(journal_writer_state(w), SESSION_NONE);
	journal_close(w);
	load(after);
	assert_memory_equal(before, after, JOURNAL_BYTES);
}

static void an_edge_outside_the_table_is_not_read(void **state)
{
	static uint8_t one[JOURNAL_BYTES], two[JOURNAL_BYTES];
	static const enum session_event lost[] = { EV_LOST };
	struct journal_writer *w = fresh();
	struct journal j;
	bool torn;

	(void)state;
	move_through(w, whole_life, 2);
	journal_close(w);
	load(two);
	w = fresh();
	move_through(w, lost, 1);
	journal_close(w);
	load(one);
	/* LOST, then RUNNING: each record is sound, the story is not. */
	memcpy(two + JOURNAL_SLOT, one + JOURNAL_SLOT, JOURNAL_SLOT);
	assert_int_equal(parse(two, sizeof(two), &j, &torn), RUNTIME_MALFORMED);
	assert_false(torn);
}

static void an_empty_file_never_got_its_first_record(void **state)
{
	static const size_t sizes[] = { 0, 1, 4096, JOURNAL_BYTES };
	static uint8_t zeros[JOURNAL_BYTES];
	struct journal j;
	struct runtime_error e;
	bool torn;

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		store(zeros, sizes[i]);
		assert_int_equal(journal_read(folder, id, &j, &torn, &e), RUNTIME_MALFORMED);
		assert_false(torn);
		assert_non_null(strstr(e.what, "never got its first record"));
		assert_int_equal(journal_discard(folder, id, &e), RUNTIME_OK);
		assert_int_equal(journal_read(folder, id, &j, &torn, &e), RUNTIME_REFUSED);
	}
}

static void a_journal_with_records_cannot_be_discarded(void **state)
{
	static uint8_t buf[JOURNAL_BYTES];
	struct runtime_error e;

	(void)state;
	sample(buf);
	assert_int_equal(journal_discard(folder, id, &e), RUNTIME_REFUSED);
	store(buf, 1000);
	assert_int_equal(journal_discard(folder, id, &e), RUNTIME_REFUSED);
	assert_int_equal(faccessat(folder, FILE_NAME, F_OK, 0), 0);
}

static void a_journal_is_made_once(void **state)
{
	struct journal_begin b = begin();
	struct journal_writer *w = fresh(), *again = NULL;
	struct runtime_error e;

	(void)state;
	assert_int_equal(journal_create(folder, &b, &again, &e), RUNTIME_SYSTEM);
	assert_null(again);
	journal_close(w);
	memset(b.id, 0, sizeof(b.id));
	assert_int_equal(journal_create(folder, &b, &again, &e), RUNTIME_MALFORMED);
}

static void a_journal_under_another_name_is_malformed(void **state)
{
	static const uint8_t other[SESSION_ID_BYTES] = { 0xb2, [15] = 7 };
	struct journal_writer *w = fresh();
	struct journal j;
	struct runtime_error e;
	bool torn;

	(void)state;
	journal_close(w);
	assert_int_equal(
		renameat(folder, FILE_NAME, folder, "b2000000000000000000000000000007.journal"),
		0);
	assert_int_equal(journal_read(folder, other, &j, &torn, &e), RUNTIME_MALFORMED);
	unlinkat(folder, "b2000000000000000000000000000007.journal", 0);
}

/* Runs `body` in a child and tells what it returned. */
static int in_child(int (*body)(void))
{
	int status;
	pid_t pid = fork();

	if (pid == 0)
		_exit(body());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static int try_reopen(void)
{
	struct journal_writer *w;
	struct journal j;

	return (int)journal_reopen(folder, id, &w, &j, NULL);
}

static int try_discard(void)
{
	return (int)journal_discard(folder, id, NULL);
}

static void a_living_writer_keeps_others_out(void **state)
{
	struct journal_writer *w = fresh();

	(void)state;
	assert_int_equal(in_child(try_reopen), RUNTIME_REFUSED);
	assert_int_equal(in_child(try_discard), RUNTIME_REFUSED);
	journal_close(w);
	assert_int_equal(in_child(try_reopen), RUNTIME_OK);
}

/* The sandbox's init is forked from the keeper and inherits its descriptors: it must not
 * keep the lock when the keeper is killed. */
static void the_lock_ends_with_the_writer_not_with_its_children(void **state)
{
	int ready[2], hold[2];
	char c;
	pid_t keeper;

	(void)state;
	unlinkat(folder, FILE_NAME, 0);
	assert_int_equal(pipe(ready) | pipe(hold), 0);
	keeper = fork();
	if (keeper == 0) {
		struct journal_begin b = begin();
		struct journal_writer *w;

		if (journal_create(folder, &b, &w, NULL) != RUNTIME_OK)
			_exit(1);
		close(hold[1]);
		if (fork() == 0) { /* holds the descriptor until the test closes `hold` */
			(void)!read(hold[0], &c, 1);
			_exit(0);
		}
		(void)!write(ready[1], "r", 1);
		pause();
	}
	assert_int_equal(read(ready[0], &c, 1), 1);
	assert_int_equal(in_child(try_reopen), RUNTIME_REFUSED);
	kill(keeper, SIGKILL);
	waitpid(keeper, NULL, 0);
	assert_int_equal(in_child(try_reopen), RUNTIME_OK);
	close(ready[0]);
	close(ready[1]);
	close(hold[0]);
	close(hold[1]);
}

static void facts_leave_room_for_the_end(void **state)
{
	struct journal_writer *w = fresh();
	struct journal j;
	struct runtime_error e;
	bool torn;
	unsigned n = 0;

	(void)state;
	assert_int_equal(journal_move(w, EV_HELD, NULL, &e), RUNTIME_OK);
	while (journal_note(w, "command", "x", &e) == RUNTIME_OK)
		n++;
	assert_int_equal(n, JOURNAL_SLOTS - JOURNAL_RESERVE - 2);
	move_through(w, whole_life + 1, 4);
	journal_close(w);
	assert_int_equal(journal_read(folder, id, &j, &torn, &e), RUNTIME_OK);
	assert_int_equal(journal_state(&j), SESSION_CLEAN);
}

static void scrubs_end_while_their_outcome_still_fits(void **state)
{
	struct journal_writer *w = fresh();
	struct journal j;
	struct runtime_error e;
	bool torn;

	(void)state;
	move_through(w, whole_life, 4);
	assert_int_equal(journal_move(w, EV_RESIDUE, "one byte", &e), RUNTIME_OK);
	while (journal_move(w, EV_SCRUB, "again", &e) == RUNTIME_OK)
		assert_int_equal(journal_move(w, EV_RESIDUE, "still", &e), RUNTIME_OK);
	assert_int_equal(journal_writer_state(w), SESSION_QUARANTINED);
	assert_int_equal(journal_move(w, EV_LOST, "given up", &e), RUNTIME_OK);
	journal_close(w);
	assert_int_equal(journal_read(folder, id, &j, &torn, &e), RUNTIME_OK);
	assert_int_equal(journal_state(&j), SESSION_LOST);
}

static void unclean_facts_are_refused(void **state)
{
	struct journal_writer *w = fresh();
	char longest[JOURNAL_VALUE + 1];
	struct journal j;
	bool torn;

	(void)state;
	memset(longest, 'v', sizeof(longest));
	longest[JOURNAL_VALUE] = '\0';
	assert_int_equal(journal_note(w, "command", "a\nb", NULL), RUNTIME_MALFORMED);
	assert_int_equal(journal_note(w, "command", "\xff", NULL), RUNTIME_MALFORMED);
	assert_int_equal(journal_note(w, "Key", "x", NULL), RUNTIME_MALFORMED);
	assert_int_equal(journal_note(w, "", "x", NULL), RUNTIME_MALFORMED);
	assert_int_equal(journal_note(w, "command", longest, NULL), RUNTIME_MALFORMED);
	longest[JOURNAL_VALUE - 1] = '\0';
	assert_int_equal(journal_note(w, "command", longest, NULL), RUNTIME_OK);
	/* A reason is escaped instead: no text may keep a session from ending. */
	assert_int_equal(journal_move(w, EV_HELD, "\x1b[2J", NULL), RUNTIME_OK);
	journal_close(w);
	assert_int_equal(journal_read(folder, id, &j, &torn, NULL), RUNTIME_OK);
	assert_string_equal(j.states[0].why, "\\x1b[2J");
}

/* A limit on file size stands in for a disk that takes nothing more. */
static void set_writable_bytes(rlim_t n)
{
	const struct rlimit limit = { .rlim_cur = n, .rlim_max = RLIM_INFINITY };

	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void a_failed_write_before_the_end_stops_the_transition(void **state)
{
	struct journal_writer *w = fresh();
	struct journal j;
	bool torn;

	(void)state;
	move_through(w, whole_life, 1);
	set_writable_bytes(2 * JOURNAL_SLOT + 100);
	assert_int_equal(journal_move(w, EV_START, "", NULL), RUNTIME_SYSTEM);
	assert_int_equal(journal_writer_state(w), SESSION_PREPARED);
	assert_int_equal(journal_note(w, "uids", "1 1", NULL), RUNTIME_SYSTEM);
	set_writable_bytes(RLIM_INFINITY);
	assert_int_equal(journal_move(w, EV_REFUSED, "no record", NULL), RUNTIME_OK);
	journal_close(w);
	assert_int_equal(journal_read(folder, id, &j, &torn, NULL), RUNTIME_OK);
	assert_int_equal(j.n_states, 2);
	assert_int_equal(j.n_facts, 0);
}

static void a_failed_write_at_the_end_stops_nothing_but_clean(void **state)
{
	struct journal_writer *w = fresh();
	struct journal j;
	bool torn;

	(void)state;
	move_through(w, whole_life, 2);
	set_writable_bytes(3 * JOURNAL_SLOT + 100);
	assert_int_equal(journal_move(w, EV_ENDING, "", NULL), RUNTIME_SYSTEM);
	assert_int_equal(journal_writer_state(w), SESSION_STOPPING);
	assert_int_equal(journal_note(w, "status", "9", NULL), RUNTIME_SYSTEM);
	assert_int_equal(journal_move(w, EV_GONE, "", NULL), RUNTIME_SYSTEM);
	assert_int_equal(journal_writer_state(w), SESSION_SCRUBBING);
	assert_int_equal(journal_move(w, EV_CLEAN, "", NULL), RUNTIME_REFUSED);
	assert_int_equal(journal_writer_state(w), SESSION_SCRUBBING);
	set_writable_bytes(RLIM_INFINITY);
	assert_int_equal(journal_move(w, EV_CLEAN, "", NULL), RUNTIME_OK);
	journal_close(w);
	assert_int_equal(journal_read(folder, id, &j, &torn, NULL), RUNTIME_OK);
	assert_int_equal(journal_state(&j), SESSION_CLEAN);
	assert_string_equal(journal_fact(&j, "status"), "9");
}

/* kill -9 at any moment leaves a journal that is whole, torn, or not begun. */
static void a_killed_writer_leaves_a_readable_journal(void **state)
{
	const unsigned rounds = getenv("CORDON_SOAK") ? 2000 : 60;
	struct journal j;
	struct runtime_error e;
	bool torn;

	(void)state;
	for (unsigned i = 0; i < rounds; i++) {
		enum runtime_status s;
		pid_t pid;

		unlinkat(folder, FILE_NAME, 0);
		pid = fork();
		if (pid == 0) {
			struct journal_begin b = begin();
			struct journal_writer *w;

			if (journal_create(folder, &b, &w, NULL) == RUNTIME_OK)
				while (journal_note(w, "command", "x", NULL) == RUNTIME_OK)
					;
			pause();
		}
		usleep(i * 7919 % 3000);
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		s = journal_read(folder, id, &j, &torn, &e);
		assert_true(s == RUNTIME_OK || s == RUNTIME_REFUSED || torn ||
			    strstr(e.what, "never got its first record"));
	}
}

#define WITH_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_FOLDER(what_was_written_is_read),
		WITH_FOLDER(the_checksum_is_crc32c),
		WITH_FOLDER(every_truncation_is_malformed),
		WITH_FOLDER(every_flipped_byte_is_malformed),
		WITH_FOLDER(a_cut_record_leaves_the_good_part),
		WITH_FOLDER(an_append_is_whole_or_never_was),
		WITH_FOLDER(damage_behind_a_finished_append_is_not_called_torn),
		WITH_FOLDER(reopening_clears_the_torn_end_and_goes_on),
		WITH_FOLDER(an_edge_outside_the_table_is_refused_and_not_written),
		WITH_FOLDER(an_edge_outside_the_table_is_not_read),
		WITH_FOLDER(an_empty_file_never_got_its_first_record),
		WITH_FOLDER(a_journal_with_records_cannot_be_discarded),
		WITH_FOLDER(a_journal_is_made_once),
		WITH_FOLDER(a_journal_under_another_name_is_malformed),
		WITH_FOLDER(a_living_writer_keeps_others_out),
		WITH_FOLDER(the_lock_ends_with_the_writer_not_with_its_children),
		WITH_FOLDER(facts_leave_room_for_the_end),
		WITH_FOLDER(scrubs_end_while_their_outcome_still_fits),
		WITH_FOLDER(unclean_facts_are_refused),
		WITH_FOLDER(a_failed_write_before_the_end_stops_the_transition),
		WITH_FOLDER(a_failed_write_at_the_end_stops_nothing_but_clean),
		WITH_FOLDER(a_killed_writer_leaves_a_readable_journal),
	};
	return cmocka_run_group_tests_name("journal", tests, NULL, NULL);
}
