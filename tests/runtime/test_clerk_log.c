/* tests/runtime/test_clerk_log.c - the clerk's pen: what it enters for whom, what is durable
 * and shown when, and what it does when keys or log are not as it left them. */
#include "tests/runtime/log_fixture.h"

#include "runtime/places.h"

static void write_state(struct fixture *f, struct journal_begin *b, enum session_state s)
{
	*b = begin_of(f, true);
	write_journal(f, b, s, NULL, 0);
}

static void entered(struct fixture *f, const struct journal_begin *b, enum wire_record what,
		    int64_t *ret_index)
{
	struct runtime_error e = { .what = "" };

	if (record(f, b->id, what, ret_index, &e) != RUNTIME_OK)
		fail_msg("%s: %s", e.where, e.what);
}

static void refused(struct fixture *f, const struct journal_begin *b, enum wire_record what,
		    const char *why)
{
	struct runtime_error e = { .what = "" };
	int64_t index;

	assert_int_equal(record(f, b->id, what, &index, &e), RUNTIME_REFUSED);
	if (!strstr(e.what, why))
		fail_msg("no \"%s\" in: %s", why, e.what);
}

static char *in_state(struct fixture *f, const char *name)
{
	static char path[2][128];
	static unsigned turn;
	char *ret = path[turn++ % 2];

	snprintf(ret, sizeof(path[0]), "%s/%s", f->root, name);
	return ret;
}

/* ---- who may be entered ---------------------------------------------------------- */

static void a_start_is_entered_before_it_and_at_no_other_time(void **state)
{
	struct fixture *f = *state;

	start_real_clerk(f);
	for (int s = SESSION_NONE; s < SESSION_STATES; s++) {
		struct journal_begin b;
		int64_t index;

		write_state(f, &b, (enum session_state)s);
		if (s == SESSION_PREPARED || s == SESSION_ATTESTING)
			entered(f, &b, WIRE_RECORD_START, &index);
		else
			refused(f, &b, WIRE_RECORD_START, "not about to start");
	}
}

static void an_end_is_entered_at_the_end_and_at_no_other_time(void **state)
{
	struct fixture *f = *state;

	start_real_clerk(f);
	for (int s = SESSION_NONE; s < SESSION_STATES; s++) {
		struct journal_begin b;
		int64_t index;
		char *text;

		write_state(f, &b, (enum session_state)s);
		if (s == SESSION_SCRUBBING || s == SESSION_LOST)
			entered(f, &b, WIRE_RECORD_END, &index);
		else
			refused(f, &b, WIRE_RECORD_END, "has not ended");
		text = receipt_text(f, b.id, NULL);
		assert_int_equal(text != NULL, s == SESSION_SCRUBBING || s == SESSION_LOST);
		free(text);
	}
}

static void a_session_without_a_journal_is_not_entered(void **state)
{
	struct fixture *f = *state;
	struct journal_begin b = begin_of(f, true);

	start_real_clerk(f);
	refused(f, &b, WIRE_RECORD_START, "");
	refused(f, &b, WIRE_RECORD_END, "");
	write_state(f, &b, SESSION_SCRUBBING);
	damage(f, b.id, 40, "?", 1);
	refused(f, &b, WIRE_RECORD_END, "");
}

/* ---- what is written ------------------------------------------------------------- */

static void a_session_is_three_entries_and_a_receipt(void **state)
{
	static const char *const kinds[] = { "log.start", "session.start", "session.end",
					     "wipe" };
	struct fixture *f = *state;
	struct journal_begin b = begin_of(f, true);
	struct journal_writer *w = NULL;
	char hex[SESSION_ID_HEX], *text;
	struct log_seen seen;
	int64_t index;
	size_t len;
	json_t *receipt;

	start_real_clerk(f);
	assert_int_equal(journal_create(f->paths.sessions_fd, &b, &w, NULL), RUNTIME_OK);
	assert_int_equal(journal_note(w, "command", "sh", NULL), RUNTIME_OK);
	move_to(w, SESSION_PREPARED);
	entered(f, &b, WIRE_RECORD_START, &index);
	assert_int_equal(index, 1);
	assert_int_equal(journal_move(w, EV_START, NULL, NULL), RUNTIME_OK);
	assert_int_equal(journal_move(w, EV_ENDING, "the workload ended", NULL), RUNTIME_OK);
	assert_int_equal(journal_move(w, EV_GONE, NULL, NULL), RUNTIME_OK);
	entered(f, &b, WIRE_RECORD_END, &index);
	assert_int_equal(index, 2);
	journal_close(w);

	end_real_clerk(f);
	see_log(f, &seen);
	assert_int_equal(seen.n, 4);
	session_id_hex(b.id, hex);
	for (size_t i = 0; i < 4; i++) {
		assert_string_equal(entry_text(&seen, i, "kind"), kinds[i]);
		assert_string_equal(entry_text(&seen, i, "object"), i ? hex : "");
		assert_string_equal(entry_text(&seen, i, "tenant"), i ? "acme" : "");
	}
	assert_string_equal(entry_text(&seen, 2, "reason"), "the workload ended");
	/* The entry has the receipt that is shown, and no other. */
	text = receipt_text(f, b.id, &len);
	receipt = json_loads(text, 0, NULL);
	assert_true(json_equal(receipt, json_object_get(seen.entries[3], "data")));
	json_decref(receipt);
	free(text);
	forget_log(&seen);
}

static void a_journal_without_lines_makes_a_receipt_that_claims_nothing(void **state)
{
	struct fixture *f = *state;
	struct journal_begin b = begin_of(f, true);
	struct receipt r;
	int64_t index;

	b.held = POLICY_HELD_WIPED;
	write_journal(f, &b, SESSION_SCRUBBING, NULL, 0);
	start_real_clerk(f);
	entered(f, &b, WIRE_RECORD_END, &index);
	r = receipt_of(f, b.id);
	assert_false(receipt_clean(&r) || r.recovered);
	assert_int_equal(receipt_worth(&r, RECEIPT_HELD), RECEIPT_NONE);
	assert_non_null(strstr(line_of(&r, "tmpfs")->method, "no word of it"));
}

static void no_byte_of_a_receipt_can_be_changed(void **state)
{
	struct fixture *f = *state;
	struct journal_begin b;
	struct receipt r;
	uint8_t key[32];
	int64_t index;
	char *text;
	size_t len;

	write_state(f, &b, SESSION_SCRUBBING);
	start_real_clerk(f);
	entered(f, &b, WIRE_RECORD_END, &index);
	text = receipt_text(f, b.id, &len);
	receipt_key(f, key);
	assert_int_equal(receipt_verify(text, len, key, &r, NULL), ATTEST_OK);
	for (size_t i = 0; i < len; i++)
		for (unsigned bit = 0; bit < 8; bit += getenv("CORDON_SOAK") ? 1 : 3) {
			text[i] = (char)(text[i] ^ 1 << bit);
			if (receipt_verify(text, len, key, &r, NULL) == ATTEST_OK)
				fail_msg("byte %zu, bit %u may be changed", i, bit);
			text[i] = (char)(text[i] ^ 1 << bit);
		}
	for (size_t n = 0; n + 1 < len; n++) /* the last byte is a newline */
		if (receipt_verify(text, n, key, &r, NULL) == ATTEST_OK)
			fail_msg("%zu bytes of %zu are enough", n, len);
	key[0] ^= 1;
	assert_int_equal(receipt_verify(text, len, key, &r, NULL), ATTEST_REFUSED);
	free(text);
}

/* ---- durable, shown -------------------------------------------------------------- */

static uint64_t shown_size(struct fixture *f)
{
	char *note = state_file(f, "log/checkpoint", NULL), *line;
	uint64_t size = 0;

	line = note ? strchr(note, '\n') : NULL;
	if (line)
		size = strtoull(line + 1, NULL, 10);
	free(note);
	return size;
}

static void what_was_entered_is_shown_about_a_second_later(void **state)
{
	struct fixture *f = *state;
	struct journal_begin b;
	int64_t index;
	unsigned ms = 0;

	write_state(f, &b, SESSION_PREPARED);
	start_real_clerk(f);
	entered(f, &b, WIRE_RECORD_START, &index);
	while ((shown_size(f) <= (uint64_t)index ||
		access(in_state(f, "keys/published"), F_OK) != 0) &&
	       ms < 5000) {
		usleep(20 * 1000);
		ms += 20;
	}
	assert_in_range(ms, 0, 3000);
}

static void what_was_entered_is_shown_before_the_clerk_ends(void **state)
{
	struct fixture *f = *state;
	struct journal_begin b;
	int64_t index;

	write_state(f, &b, SESSION_PREPARED);
	start_real_clerk(f);
	entered(f, &b, WIRE_RECORD_START, &index);
	end_real_clerk(f);
	assert_int_equal(shown_size(f), (uint64_t)index + 1);
}

/* Told that it is durable, then the clerk is killed: the next one has it. */
static void what_was_entered_outlives_a_killed_clerk(void **state)
{
	struct fixture *f = *state;
	int64_t index[5];
	struct journal_begin b[5];
	struct log_seen seen;

	for (size_t i = 0; i < 5; i++) {
		write_state(f, &b[i], SESSION_PREPARED);
		start_real_clerk(f);
		entered(f, &b[i], WIRE_RECORD_START, &index[i]);
		fixture_clerk_end(f); /* by SIGKILL */
	}
	start_real_clerk(f);
	end_real_clerk(f);
	see_log(f, &seen);
	for (size_t i = 0; i < 5; i++) {
		char hex[SESSION_ID_HEX];

		session_id_hex(b[i].id, hex);
		assert_string_equal(entry_text(&seen, (size_t)index[i], "object"), hex);
	}
	forget_log(&seen);
}

static void a_clerk_that_starts_again_goes_on_with_the_same_log(void **state)
{
	struct fixture *f = *state;
	struct journal_begin b;
	char *first = NULL, *pub = NULL;
	struct log_seen seen;
	int64_t index;

	for (int i = 0; i < 3; i++) {
		char *vkey, *now;

		write_state(f, &b, SESSION_SCRUBBING);
		start_real_clerk(f);
		entered(f, &b, WIRE_RECORD_END, &index);
		end_real_clerk(f);
		vkey = state_file(f, "log.vkey", NULL);
		now = state_file(f, "receipt.pub", NULL);
		if (i == 0) {
			first = vkey;
			pub = now;
			continue;
		}
		assert_string_equal(vkey, first);
		assert_string_equal(now, pub);
		free(vkey);
		free(now);
	}
	see_log(f, &seen);
	assert_int_equal(seen.n, 9); /* a start, an end and a receipt each */
	forget_log(&seen);
	free(first);
	free(pub);
}

/* ---- many at once ---------------------------------------------------------------- */

#define AT_ONCE 100u /* more than one flush takes */

static void ask_all(struct fixture *f, const struct journal_begin *b, int *socks,
		    enum wire_record what)
{
	assert_int_equal(kill(f->clerk, SIGSTOP), 0);
	for (size_t i = 0; i < AT_ONCE; i++) {
		struct wire_message m = { .type = WIRE_RECORD, .a = what };

		memcpy(m.id, b[i].id, sizeof(m.id));
		assert_int_equal(wire_send(socks[i], &m, NULL), RUNTIME_OK);
	}
	assert_int_equal(kill(f->clerk, SIGCONT), 0);
}

/* Every one is answered OK, with an index of its own. */
static void hear_all(int *socks)
{
	bool seen[4 * AT_ONCE] = { false };

	for (size_t i = 0; i < AT_ONCE; i++) {
		struct wire_message m;
		bool closed;

		assert_int_equal(wire_receive(socks[i], &m, &closed, NULL), RUNTIME_OK);
		assert_false(closed);
		if (m.type != WIRE_OK)
			fail_msg("number %zu: %s", i, m.text);
		assert_true(m.a >= 0 && m.a < (int64_t)(4 * AT_ONCE) && !seen[m.a]);
		seen[m.a] = true;
	}
}

static void connect_all(struct fixture *f, int *socks)
{
	for (size_t i = 0; i < AT_ONCE; i++)
		socks[i] = ask_clerk(f);
}

static void close_all(int *socks)
{
	for (size_t i = 0; i < AT_ONCE; i++)
		close(socks[i]);
}

/* Calls that wrote anything, by the kernel's account; -1: it keeps none. */
static long writes_of(pid_t pid)
{
	char path[64], text[512], *at;

	snprintf(path, sizeof(path), "/proc/%d/io", pid);
	if (file_read_text(AT_FDCWD, path, text, sizeof(text)) <= 0)
		return -1;
	at = strstr(text, "syscw: ");
	return at ? strtol(at + 7, NULL, 10) : -1;
}

static void those_who_ask_at_once_share_a_flush(void **state)
{
	struct fixture *f = *state;
	struct journal_begin b[AT_ONCE];
	int socks[AT_ONCE];
	long before;

	for (size_t i = 0; i < AT_ONCE; i++)
		write_state(f, &b[i], SESSION_PREPARED);
	start_real_clerk(f);
	connect_all(f, socks);
	before = writes_of(f->clerk);
	ask_all(f, b, socks, WIRE_RECORD_START);
	hear_all(socks);
	if (before >= 0)
		assert_in_range(writes_of(f->clerk) - before, 1, AT_ONCE / 5);
	close_all(socks);
}

/* However much they have to say. */
static void ends_that_come_at_once_are_all_entered(void **state)
{
	struct fixture *f = *state;
	struct receipt_line line = { .assurance = RECEIPT_NONE,
				     .bytes = UINT64_MAX,
				     .failed = UINT64_MAX,
				     .ns = UINT64_MAX };
	struct journal_fact facts[PLACES];
	struct journal_begin b[AT_ONCE];
	int socks[AT_ONCE];

	memset(line.method, 'm', sizeof(line.method) - 1);
	for (unsigned p = 0; p < PLACES; p++)
		place_fact((enum place)p, &line, &facts[p]);
	for (size_t i = 0; i < AT_ONCE; i++) {
		b[i] = begin_of(f, true);
		write_journal(f, &b[i], SESSION_SCRUBBING, facts, PLACES);
	}
	start_real_clerk(f);
	connect_all(f, socks);
	ask_all(f, b, socks, WIRE_RECORD_END);
	hear_all(socks);
	close_all(socks);
	for (size_t i = 0; i < AT_ONCE; i++)
		assert_int_equal(receipt_of(f, b[i].id).n_lines, PLACES);
}

/* Who hung up gets no answer; the others do. */
static void one_that_hung_up_does_not_harm_the_others(void **state)
{
	struct fixture *f = *state;
	struct journal_begin b, other;
	struct wire_message m = { .type = WIRE_RECORD, .a = WIRE_RECORD_START };
	int64_t index;
	int sock;

	write_state(f, &b, SESSION_PREPARED);
	write_state(f, &other, SESSION_PREPARED);
	start_real_clerk(f);
	sock = ask_clerk(f);
	memcpy(m.id, b.id, sizeof(m.id));
	assert_int_equal(wire_send(sock, &m, NULL), RUNTIME_OK);
	close(sock);
	entered(f, &other, WIRE_RECORD_START, &index);
}

/* ---- keys ------------------------------------------------------------------------ */

static mode_t mode_of(struct fixture *f, const char *name)
{
	struct stat st;

	assert_int_equal(lstat(in_state(f, name), &st), 0);
	return st.st_mode & 07777;
}

static void private_halves_are_the_clerks_alone(void **state)
{
	struct fixture *f = *state;

	start_real_clerk(f);
	end_real_clerk(f);
	assert_int_equal(mode_of(f, "keys"), 0700);
	assert_int_equal(mode_of(f, "keys/log.key"), 0600);
	assert_int_equal(mode_of(f, "keys/receipt.key"), 0600);
	assert_int_equal(mode_of(f, "log"), 0700);
	assert_int_equal(mode_of(f, "log.vkey"), 0644);
	assert_int_equal(mode_of(f, "receipt.pub"), 0644);
}

static void public_halves_that_were_changed_are_written_anew(void **state)
{
	struct fixture *f = *state;
	char *vkey, *again;

	start_real_clerk(f);
	end_real_clerk(f);
	vkey = state_file(f, "log.vkey", NULL);
	assert_int_equal(truncate(in_state(f, "log.vkey"), 3), 0);
	assert_int_equal(unlink(in_state(f, "receipt.pub")), 0);
	start_real_clerk(f);
	end_real_clerk(f);
	again = state_file(f, "log.vkey", NULL);
	assert_string_equal(vkey, again);
	assert_int_equal(access(in_state(f, "receipt.pub"), F_OK), 0);
	free(vkey);
	free(again);
}

static void open_to_others(struct fixture *f, const char *key)
{
	assert_int_equal(chmod(key, 0640), 0);
	(void)f;
}

static void of_another_user(struct fixture *f, const char *key)
{
	(void)f;
	assert_int_equal(chown(key, 65534, 65534), 0);
}

static void a_link(struct fixture *f, const char *key)
{
	const char *to = in_state(f, "key");

	assert_int_equal(rename(key, to), 0);
	assert_int_equal(symlink(to, key), 0);
}

static void cut_short(struct fixture *f, const char *key)
{
	(void)f;
	assert_int_equal(truncate(key, 32), 0);
}

static void emptied(struct fixture *f, const char *key)
{
	(void)f;
	assert_int_equal(truncate(key, 0), 0);
}

static void not_a_name(struct fixture *f, const char *key)
{
	int fd = open(key, O_WRONLY | O_CLOEXEC);

	(void)f;
	assert_int_equal(pwrite(fd, "a b\n", 4, 32), 4);
	close(fd);
}

/* Nothing is entered with a key that others may have had in their hands, and none is made
 * in its place: the log's readers know the old one. */
static void a_key_that_is_not_as_it_was_left_is_not_used(void **state)
{
	static void (*const changes[])(struct fixture *, const char *) = {
		open_to_others, a_link, cut_short, emptied, not_a_name, of_another_user
	};
	static const char *const keys[] = { "keys/log.key", "keys/receipt.key" };
	size_t n = sizeof(changes) / sizeof(*changes) - (geteuid() != 0);

	for (size_t i = 0; i < 2 * n; i++) {
		struct journal_begin b;
		char *before, *after;
		void *one;
		struct fixture *f;

		assert_int_equal(fixture_make(&one), 0);
		f = one;
		write_state(f, &b, SESSION_PREPARED);
		start_real_clerk(f);
		end_real_clerk(f);
		before = state_file(f, "log.vkey", NULL);
		changes[i / 2](f, in_state(f, keys[i % 2]));
		start_real_clerk(f);
		refused(f, &b, WIRE_RECORD_START, "key");
		end_real_clerk(f);
		after = state_file(f, "log.vkey", NULL);
		assert_string_equal(before, after);
		free(before);
		free(after);
		assert_int_equal(fixture_end(&one), 0);
	}
	(void)state;
}

/* ---- the log's folder ------------------------------------------------------------ */

static void remove_log(struct fixture *f)
{
	assert_int_equal(nftw(in_state(f, "log"), remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

static void a_log_that_was_removed_is_not_begun_anew(void **state)
{
	struct fixture *f = *state;
	struct journal_begin b, end;
	int64_t index;

	write_state(f, &b, SESSION_PREPARED);
	write_state(f, &end, SESSION_SCRUBBING);
	start_real_clerk(f);
	entered(f, &b, WIRE_RECORD_START, &index);
	end_real_clerk(f);
	remove_log(f);
	for (int again = 0; again < 2; again++) {
		start_real_clerk(f);
		refused(f, &b, WIRE_RECORD_START, "the audit log was removed");
		refused(f, &end, WIRE_RECORD_END, "the audit log was removed");
		assert_null(receipt_text(f, end.id, NULL));
		end_real_clerk(f);
		assert_int_not_equal(access(in_state(f, "log/checkpoint"), F_OK), 0);
	}
}

/* What it holds for sessions does not depend on its log. */
static void without_a_log_it_still_holds_descriptors(void **state)
{
	struct fixture *f = *state;
	struct journal_begin b;
	unsigned held = 0;
	int64_t index;
	int sock;

	write_state(f, &b, SESSION_PREPARED);
	start_real_clerk(f);
	entered(f, &b, WIRE_RECORD_START, &index);
	end_real_clerk(f);
	remove_log(f);
	start_real_clerk(f);
	sock = ask_clerk(f);
	assert_int_equal(clerk_hold(sock, b.id, WIRE_SLOT_INIT, STDERR_FILENO, NULL),
			 RUNTIME_OK);
	assert_int_equal(clerk_ask(sock, b.id, &held, NULL), RUNTIME_OK);
	assert_int_equal(held, 1);
	close(sock);
}

static void a_log_that_was_put_back_whole_is_gone_on_with(void **state)
{
	struct fixture *f = *state;
	struct journal_begin b;
	int64_t first, second;
	char away[128];

	write_state(f, &b, SESSION_PREPARED);
	start_real_clerk(f);
	entered(f, &b, WIRE_RECORD_START, &first);
	end_real_clerk(f);
	snprintf(away, sizeof(away), "%s/away", f->root);
	assert_int_equal(rename(in_state(f, "log"), away), 0);
	start_real_clerk(f);
	refused(f, &b, WIRE_RECORD_START, "the audit log was removed");
	end_real_clerk(f);
	assert_int_equal(rename(away, in_state(f, "log")), 0);
	start_real_clerk(f);
	entered(f, &b, WIRE_RECORD_START, &second);
	assert_true(second > first);
	end_real_clerk(f);
}

/* Readers would see two logs of one name. */
static void a_log_that_was_changed_is_not_gone_on_with(void **state)
{
	struct fixture *f = *state;
	struct journal_begin b;
	int64_t index;
	int fd;

	write_state(f, &b, SESSION_PREPARED);
	start_real_clerk(f);
	entered(f, &b, WIRE_RECORD_START, &index);
	end_real_clerk(f);
	fd = open(in_state(f, "log/.state/signed"), O_WRONLY | O_CLOEXEC);
	assert_int_equal(pwrite(fd, "?", 1, 20), 1);
	close(fd);
	start_real_clerk(f);
	refused(f, &b, WIRE_RECORD_START, "");
	end_real_clerk(f);
}

#define WITH_ROOT(test) cmocka_unit_test_setup_teardown(test, fixture_make, fixture_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_ROOT(a_start_is_entered_before_it_and_at_no_other_time),
		WITH_ROOT(an_end_is_entered_at_the_end_and_at_no_other_time),
		WITH_ROOT(a_session_without_a_journal_is_not_entered),
		WITH_ROOT(a_session_is_three_entries_and_a_receipt),
		WITH_ROOT(a_journal_without_lines_makes_a_receipt_that_claims_nothing),
		WITH_ROOT(no_byte_of_a_receipt_can_be_changed),
		WITH_ROOT(what_was_entered_is_shown_about_a_second_later),
		WITH_ROOT(what_was_entered_is_shown_before_the_clerk_ends),
		WITH_ROOT(what_was_entered_outlives_a_killed_clerk),
		WITH_ROOT(a_clerk_that_starts_again_goes_on_with_the_same_log),
		WITH_ROOT(those_who_ask_at_once_share_a_flush),
		WITH_ROOT(ends_that_come_at_once_are_all_entered),
		WITH_ROOT(one_that_hung_up_does_not_harm_the_others),
		WITH_ROOT(private_halves_are_the_clerks_alone),
		WITH_ROOT(public_halves_that_were_changed_are_written_anew),
		cmocka_unit_test(a_key_that_is_not_as_it_was_left_is_not_used),
		WITH_ROOT(a_log_that_was_removed_is_not_begun_anew),
		WITH_ROOT(without_a_log_it_still_holds_descriptors),
		WITH_ROOT(a_log_that_was_put_back_whole_is_gone_on_with),
		WITH_ROOT(a_log_that_was_changed_is_not_gone_on_with),
	};

	return cmocka_run_group_tests_name("clerk_log", tests, NULL, NULL);
}
