/*
 * tests/attest/test_keyd_crash.c - the store is killed between each two steps, and its log's
 * disk fails: a use may be lost, and none is ever had twice.
 */
#include "tests/attest/faulty_io.h"
#include "tests/attest/keyd_sample.h"

#include <sqlite3.h>
#include <sys/mman.h>
#include <sys/wait.h>

/* The code itself, with its points: these take the place of the archive's. */
#ifndef CORDON_FAULT_POINTS
#define CORDON_FAULT_POINTS
#endif
#include "attest/keyd_admin.c"   /* NOLINT(bugprone-suspicious-include): see above */
#include "attest/keyd_release.c" /* NOLINT(bugprone-suspicious-include) */
#include "attest/keyd_session.c" /* NOLINT(bugprone-suspicious-include) */

#define DATA "acme/volume/data-key"

/* What a child and its parent both see: the client, whose session outlives the store. */
static struct shared {
	struct client client;
	char private_key[512];
	long private_len;
	enum keyd_answer answer;
	bool answered;
} * shared;

static void share_client(struct client *c)
{
	unsigned char *at = (unsigned char *)shared->private_key;

	shared->private_len = i2d_PrivateKey(c->key, &at);
	shared->client = *c;
}

static void take_client(struct client *c)
{
	const unsigned char *at = (unsigned char *)shared->private_key;

	*c = shared->client;
	c->key = d2i_AutoPrivateKey(NULL, &at, shared->private_len);
	assert_non_null(c->key);
}

/* ---- killing -------------------------------------------------------------------------------- */

typedef void act(struct keyd_store *s, struct client *c);

/* A store of its own does that in a child, which is killed when it comes to the point. */
static void killed_at(const char *point, act *what)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		const struct keyd_config config = sample_config();
		struct client c = { NULL };
		struct keyd_store *s;

		signal(SIGSEGV, SIG_DFL);
		signal(SIGABRT, SIG_DFL);
		setenv("CORDON_FAULT", point, 1);
		if (keyd_store_open(&config, &s, NULL) != ATTEST_OK)
			_exit(1);
		take_client(&c);
		what(s, &c);
		_exit(2); /* it never came there */
	}
	assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
	if (!WIFSTOPPED(status))
		fail_msg("%s: the child was not stopped there: %d", point, status);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
}

static void ask(struct keyd_store *s, struct client *c)
{
	static struct keyd_sealed sealed;

	shared->answer = client_ask(c, s, DATA, &sealed);
	shared->answered = true;
}

static void attest(struct keyd_store *s, struct client *c)
{
	(void)client_attest(c, s);
}

static void verdict(struct keyd_store *s, struct client *c)
{
	const struct keyd_verdict v = good_verdict("acme");

	(void)client_verdict(c, s, &v);
}

static void revoke_it(struct keyd_store *s, struct client *c)
{
	struct keyd_done done;

	(void)c;
	(void)try_revoke(s, DATA, &done);
}

static void put_new(struct keyd_store *s, struct client *c)
{
	(void)c;
	(void)try_put(s, KEYD_KEY_PUT, "acme/volume/new", "x", 0);
}

static uint64_t uses_of(struct keyd_store *s)
{
	const struct keyd_name n = name_of(DATA);
	static struct keyd_key_row row;

	assert_int_equal(s->engine->key_newest(s->db, &n, &row, NULL), ATTEST_OK);
	return row.uses;
}

static void a_crash_in_a_release_burns_a_use(void **state)
{
	static const struct {
		const char *point;
		uint64_t uses;  /* afterwards */
		size_t entries; /* of releases in the log */
		bool one_more;  /* of its one use */
	} points[] = { { "keyd.evaluated", 0, 0, true },
		       { "keyd.counted", 1, 0, false },
		       { "keyd.logged", 1, 1, false },
		       { "keyd.sealed", 1, 1, false } };

	store_end(state);
	for (size_t i = 0; i < sizeof(points) / sizeof(*points); i++) {
		struct client c = { NULL };
		struct keyd_store *s;

		store_begin(state);
		s = *state;
		push_policy(s, "acme", "allow");
		put_key(s, DATA, CANARY, 1);
		client_begin(&c, s, "acme");
		share_client(&c);
		keyd_store_close(s);
		shared->answered = false;
		killed_at(points[i].point, ask);
		assert_false(shared->answered);
		*state = s = sample_store_open();
		assert_int_equal(uses_of(s), points[i].uses);
		assert_int_equal(entries_with("\"kind\":\"key.release\""), points[i].entries);
		if (points[i].one_more)
			client_gets(&c, s, DATA, CANARY);
		client_gets_none(&c, s, DATA, KEYD_DENIED);
		client_free(&c);
		store_end(state);
	}
	store_begin(state);
}

static void a_crash_in_attesting_burns_the_nonce(void **state)
{
	const struct keyd_verdict v = good_verdict("acme");
	struct client c = { NULL };

	client_auth(&c, *state);
	share_client(&c);
	keyd_store_close(*state);
	killed_at("keyd.consumed", attest);
	*state = sample_store_open();
	assert_int_equal(client_attest(&c, *state), KEYD_NO_SESSION);
	/* The verdict was logged, the session not yet attested: the verifier is asked anew. */
	keyd_store_close(*state);
	killed_at("keyd.verdict-logged", verdict);
	*state = sample_store_open();
	client_gets_none(&c, *state, DATA, KEYD_NO_SESSION);
	assert_int_equal(client_verdict(&c, *state, &v), KEYD_OK);
	client_free(&c);
}

static void a_crash_in_a_revocation_keeps_it_and_its_entry(void **state)
{
	struct client c = { NULL };

	push_policy(*state, "acme", "allow");
	put_key(*state, DATA, CANARY, 0);
	client_begin(&c, *state, "acme");
	share_client(&c);
	keyd_store_close(*state);
	killed_at("keyd.revoked", revoke_it);
	assert_int_equal(entries_with("\"kind\":\"key.revoke\""), 0);
	*state = sample_store_open();
	client_gets_none(&c, *state, DATA, KEYD_DENIED);
	(void)keyd_store_tick(*state);
	assert_int_equal(entries_with("\"kind\":\"key.revoke\""), 1);
	(void)keyd_store_tick(*state);
	assert_int_equal(entries_with("\"kind\":\"key.revoke\""), 1);
	client_free(&c);
}

static void a_crash_before_a_key_is_stored_stores_none(void **state)
{
	struct client c = { NULL };

	push_policy(*state, "acme", "allow");
	client_begin(&c, *state, "acme");
	share_client(&c);
	keyd_store_close(*state);
	killed_at("keyd.put-logged", put_new);
	*state = sample_store_open();
	assert_int_equal(entries_with("\"kind\":\"key.put\""), 1);
	client_gets_none(&c, *state, "acme/volume/new", KEYD_DENIED);
	put_key(*state, "acme/volume/new", "x", 0);
	client_gets(&c, *state, "acme/volume/new", "x");
	client_free(&c);
}

/* ---- a log whose disk fails -------------------------------------------------------------------- */

static void log_fails(int how, int error)
{
	fault.at = fault.step + 1;
	fault.how = how;
	fault.error = error;
}

static void log_works(void)
{
	fault.at = 0;
}

static void without_a_log_nothing_leaves(void **state)
{
	static const int errors[] = { ENOSPC, EIO };
	const struct keyd_verdict good = good_verdict("acme");

	for (size_t i = 0; i < 2; i++) {
		struct keyd_done done;
		struct client c = { NULL }, late = { NULL };

		store_end(state);
		store_begin(state);
		push_policy(*state, "acme", "allow");
		put_key(*state, DATA, CANARY, 0);
		put_key(*state, "acme/volume/other", CANARY, 0);
		client_begin(&c, *state, "acme");
		client_auth(&late, *state);
		assert_int_equal(client_attest(&late, *state), KEYD_OK);
		log_fails(FAIL_FROM_NOW_ON, errors[i]);
		assert_int_equal(client_verdict(&late, *state, &good), KEYD_FAILED);
		client_gets_none(&late, *state, DATA, KEYD_NO_SESSION);
		client_gets_none(&c, *state, DATA, KEYD_FAILED);
		client_gets_none(&c, *state, DATA, KEYD_FAILED);
		assert_int_equal(try_put(*state, KEYD_KEY_PUT, "acme/a/b", "x", 0),
				 KEYD_FAILED);
		assert_int_equal(try_push(*state, "acme", "allow"), KEYD_FAILED);
		assert_int_equal(try_revoke(*state, "acme/volume/other", &done), KEYD_OK);
		assert_int_equal(done.logged, 0);
		log_works();
		/* As after a new start, which looks at the disk afresh. */
		keyd_store_close(*state);
		*state = sample_store_open();
		(void)keyd_store_tick(*state);
		assert_int_equal(entries_with("\"kind\":\"key.revoke\""), 1);
		client_gets_none(&c, *state, "acme/volume/other", KEYD_DENIED);
		client_gets_none(&c, *state, "acme/a/b", KEYD_DENIED);
		client_gets(&c, *state, DATA, CANARY);
		client_free(&c);
		client_free(&late);
	}
}

/* One failing call of the log at each of its steps. */
static void no_single_failure_lets_a_key_out_unlogged(void **state)
{
	static struct keyd_sealed sealed;

	for (unsigned step = 1; step <= 12; step++) {
		struct client c = { NULL };
		enum keyd_answer a;

		store_end(state);
		store_begin(state);
		push_policy(*state, "acme", "allow");
		put_key(*state, DATA, CANARY, 0);
		client_begin(&c, *state, "acme");
		log_fails(FAIL_ONCE, EIO);
		fault.at = fault.step + step;
		memset(&sealed, 0, sizeof(sealed));
		a = client_ask(&c, *state, DATA, &sealed);
		log_works();
		assert_true(a == KEYD_OK || a == KEYD_FAILED);
		assert_true((a == KEYD_OK) == (sealed.jwe[0] != '\0'));
		if (a == KEYD_OK)
			assert_int_equal(entries_with("\"kind\":\"key.release\""), 1);
		client_free(&c);
	}
}

/* ---- two at once ------------------------------------------------------------------------------------ */

#define RACES 100u

/* What one of two processes does; it counts what it won. */
typedef void racer(struct keyd_db *db, unsigned *wins);

static uint8_t ids[RACES][KEYD_ID];

static void take_sessions(struct keyd_db *db, unsigned *wins)
{
	static struct keyd_session_row row = { .state = KEYD_STATE_VERIFYING };

	for (unsigned i = 0; i < RACES; i++) {
		enum attest_status s;

		memcpy(row.id, ids[i], KEYD_ID);
		s = keyd_sqlite.session_swap(db, KEYD_STATE_AUTHED, &row, NULL);
		if (s == ATTEST_OK)
			__atomic_add_fetch(&wins[i], 1, __ATOMIC_SEQ_CST);
		else if (s != ATTEST_REFUSED)
			_exit(1);
	}
}

/* From each count to the next: whoever was overtaken has not counted. */
static void count_uses(struct keyd_db *db, unsigned *wins)
{
	static struct keyd_key_row row;

	row.name = name_of(DATA);
	row.version = 1;
	for (unsigned i = 0; i < RACES; i++) {
		enum attest_status s;

		row.uses = i + 1;
		s = keyd_sqlite.key_count(db, &row, i, NULL);
		if (s == ATTEST_OK)
			__atomic_add_fetch(&wins[i], 1, __ATOMIC_SEQ_CST);
		else if (s != ATTEST_REFUSED)
			_exit(1);
	}
}

static _Noreturn void race(racer *what, unsigned *wins, volatile unsigned *go)
{
	struct keyd_db *db = NULL;

	if (keyd_sqlite.open(keyd_fd, "store.db", false, &db, NULL) != ATTEST_OK)
		_exit(1);
	__atomic_add_fetch(go, 1, __ATOMIC_SEQ_CST);
	while (*go < 2)
		;
	what(db, wins);
	keyd_sqlite.close(db);
	_exit(0);
}

static void run_race(racer *what)
{
	unsigned *wins = mmap(NULL, sizeof(*wins) * (RACES + 1), PROT_READ | PROT_WRITE,
			      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int status;

	assert_true(wins != MAP_FAILED);
	for (unsigned i = 0; i < 2; i++)
		if (fork() == 0)
			race(what, wins, &wins[RACES]);
	for (unsigned i = 0; i < 2; i++) {
		assert_true(wait(&status) > 0);
		assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	}
	for (unsigned i = 0; i < RACES; i++)
		assert_int_equal(wins[i], 1);
	munmap(wins, sizeof(*wins) * (RACES + 1));
}

static void of_two_at_once_one_wins(void **state)
{
	struct keyd_store *s = *state;
	struct keyd_session_row row = { .state = KEYD_STATE_AUTHED, .expires = INT64_MAX / 2 };

	put_key(s, DATA, CANARY, 0);
	for (unsigned i = 0; i < RACES; i++) {
		memcpy(ids[i], &i, sizeof(i));
		memcpy(row.id, ids[i], KEYD_ID);
		assert_int_equal(s->engine->session_add(s->db, &row, 1000, 0, NULL), ATTEST_OK);
	}
	keyd_store_close(s); /* no open database goes into a fork */
	run_race(take_sessions);
	run_race(count_uses);
	*state = sample_store_open();
}

int main(void)
{
#define STORE_TEST(f) cmocka_unit_test_setup_teardown(f, store_begin, store_end)
	const struct CMUnitTest tests[] = {
		STORE_TEST(a_crash_in_a_release_burns_a_use),
		STORE_TEST(a_crash_in_attesting_burns_the_nonce),
		STORE_TEST(a_crash_in_a_revocation_keeps_it_and_its_entry),
		STORE_TEST(a_crash_before_a_key_is_stored_stores_none),
		STORE_TEST(without_a_log_nothing_leaves),
		STORE_TEST(no_single_failure_lets_a_key_out_unlogged),
		STORE_TEST(of_two_at_once_one_wins),
	};

	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		      -1, 0);
	if (shared == MAP_FAILED)
		return 1;
	return cmocka_run_group_tests_name("keyd_crash", tests, NULL, NULL);
}
