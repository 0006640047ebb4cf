/* tests/attest/test_keyd_store.c - who gets a key, and who gets none. */
#include "tests/attest/keyd_sample.h"

#include "attest/base64.h"
#include "attest/kbs.h"

#define DATA "acme/volume/data-key"

/* ---- sessions -------------------------------------------------------------------------- */

static void an_attested_session_gets_its_key(void **state)
{
	struct client c = { NULL };

	push_policy(*state, "acme", "allow");
	put_key(*state, DATA, CANARY, 0);
	client_begin(&c, *state, "acme");
	client_gets(&c, *state, DATA, CANARY);
	client_gets(&c, *state, DATA, CANARY);
	assert_int_equal(entries_with("\"kind\":\"attest\""), 1);
	assert_int_equal(entries_with("\"kind\":\"key.release\""), 2);
	client_free(&c);
}

static void a_nonce_is_used_once(void **state)
{
	const struct keyd_verdict v = good_verdict("acme");
	struct client c = { NULL };

	client_auth(&c, *state);
	assert_int_equal(client_attest(&c, *state), KEYD_OK);
	assert_int_equal(client_attest(&c, *state), KEYD_NO_SESSION);
	assert_int_equal(client_verdict(&c, *state, &v), KEYD_OK);
	assert_int_equal(client_attest(&c, *state), KEYD_NO_SESSION);
	assert_int_equal(client_verdict(&c, *state, &v), KEYD_NO_SESSION);
	client_free(&c);
}

static void a_nonce_is_used_up_by_a_wrong_one(void **state)
{
	struct client c = { NULL };

	client_auth(&c, *state);
	c.attest.nonce[31] ^= 1;
	assert_int_equal(client_attest(&c, *state), KEYD_NO_SESSION);
	c.attest.nonce[31] ^= 1;
	assert_int_equal(client_attest(&c, *state), KEYD_NO_SESSION);
	client_free(&c);
}

static void used_nonces_outlive_the_process(void **state)
{
	struct client c = { NULL };

	client_auth(&c, *state);
	assert_int_equal(client_attest(&c, *state), KEYD_OK);
	keyd_store_close(*state);
	*state = sample_store_open();
	assert_int_equal(client_attest(&c, *state), KEYD_NO_SESSION);
	client_free(&c);
}

static void sessions_outlive_the_process_and_end_in_time(void **state)
{
	struct client c = { NULL };

	push_policy(*state, "acme", "allow");
	put_key(*state, DATA, CANARY, 0);
	client_begin(&c, *state, "acme");
	keyd_store_close(*state);
	*state = sample_store_open();
	keyd_time += 299;
	client_gets(&c, *state, DATA, CANARY);
	keyd_time += 1;
	client_gets_none(&c, *state, DATA, KEYD_NO_SESSION);
	keyd_time -= 301; /* before it was made: a clock that was set back revives nothing */
	client_gets_none(&c, *state, DATA, KEYD_NO_SESSION);
	client_free(&c);
}

static void unknown_sessions_get_nothing(void **state)
{
	struct client c = { NULL };

	push_policy(*state, "acme", "allow");
	put_key(*state, DATA, CANARY, 0);
	client_begin(&c, *state, "acme");
	for (unsigned i = 0; i < KEYD_SESSION; i++) {
		c.challenge.session[i] ^= 0x40;
		client_gets_none(&c, *state, DATA, KEYD_NO_SESSION);
		c.challenge.session[i] ^= 0x40;
	}
	client_free(&c);
}

static void steps_cannot_be_left_out(void **state)
{
	const struct keyd_verdict v = good_verdict("acme");
	struct client c = { NULL };

	push_policy(*state, "acme", "allow");
	put_key(*state, DATA, CANARY, 0);
	client_auth(&c, *state);
	client_gets_none(&c, *state, DATA, KEYD_NO_SESSION);
	assert_int_equal(client_verdict(&c, *state, &v), KEYD_NO_SESSION);
	assert_int_equal(client_attest(&c, *state), KEYD_OK);
	client_gets_none(&c, *state, DATA, KEYD_NO_SESSION);
	client_free(&c);
}

static void refused_evidence_gets_nothing(void **state)
{
	struct keyd_verdict bad[4] = { good_verdict("acme"), good_verdict("acme"),
				       good_verdict("acme"), good_verdict("acme") };

	push_policy(*state, "acme", "allow");
	put_key(*state, DATA, CANARY, 0);
	bad[0] = (struct keyd_verdict){ .verdict = VERDICT_REFUSED,
					.tier = TIER_CONTRAINDICATED };
	bad[1] = (struct keyd_verdict){ .verdict = VERDICT_MALFORMED };
	bad[2].class = ATTESTATION_SEV_SNP; /* of another kind than the session said */
	bad[3].verdict = VERDICT_REFUSED;
	for (size_t i = 0; i <= 4; i++) {
		struct client c = { NULL };

		client_auth(&c, *state);
		assert_int_equal(client_attest(&c, *state), KEYD_OK);
		assert_int_equal(client_verdict(&c, *state, i < 4 ? &bad[i] : NULL),
				 i < 4 ? KEYD_UNATTESTED : KEYD_FAILED);
		client_gets_none(&c, *state, DATA, KEYD_NO_SESSION);
		assert_int_equal(client_attest(&c, *state), KEYD_NO_SESSION);
		client_free(&c);
	}
	assert_int_equal(entries_with("\"kind\":\"attest\""), 5);
}

static void samples_are_never_welcome(void **state)
{
	static const char *const names[] = { "sample", "sgx", "", "snpx", "SNP" };
	struct keyd_challenge c;

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		struct keyd_auth in = { .tee = "" };

		snprintf(in.tee, sizeof(in.tee), "%s", names[i]);
		assert_int_equal(keyd_store_auth(*state, &in, &c, NULL), KEYD_UNATTESTED);
	}
}

static void there_is_an_end_to_sessions(void **state)
{
	struct keyd_config config = sample_config();
	static const struct keyd_auth in = { .tee = "snp" };
	struct keyd_store *s = NULL;
	struct keyd_challenge c;

	keyd_store_close(*state);
	config.sessions_max = 3;
	assert_int_equal(keyd_store_open(&config, &s, NULL), ATTEST_OK);
	*state = s;
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(keyd_store_auth(s, &in, &c, NULL), KEYD_OK);
	assert_int_equal(keyd_store_auth(s, &in, &c, NULL), KEYD_FULL);
	keyd_time += 300;
	assert_int_equal(keyd_store_auth(s, &in, &c, NULL), KEYD_OK);
}

/* spec: kbs-protocol.md section 5 has this vector; here the store has made the JSON. */
static void report_data_is_that_of_the_protocol(void **state)
{
	struct attest_error e = { .what = "" };
	uint8_t wanted[KEYD_BINDING];
	char nonce[BASE64_SIZE(KEYD_NONCE)], key[JWK_TEXT];
	struct client c = { NULL };
	struct jwk jwk;
	size_t len;

	client_auth(&c, *state);
	assert_int_equal(client_attest(&c, *state), KEYD_OK);
	base64_encode(c.challenge.nonce, KEYD_NONCE, nonce);
	assert_true(keyd_key_get(&c.attest.key, &jwk));
	assert_true(jwk_print(&jwk, JWK_TEE, key, &len));
	assert_int_equal(kbs_binding(KBS_SHA384, nonce, key, "", wanted, &e), ATTEST_OK);
	assert_memory_equal(c.verify.report_data, wanted, KEYD_BINDING);
	assert_string_equal(c.verify.tee, "cordon-sandbox");
	assert_int_equal(c.verify.at, keyd_time);
	client_free(&c);
}

static void a_key_off_its_curve_is_refused(void **state)
{
	struct client c = { NULL };

	client_auth(&c, *state);
	c.attest.key.b[5] ^= 1;
	assert_int_equal(client_attest(&c, *state), KEYD_UNATTESTED);
	client_free(&c);
}

/* ---- policies ---------------------------------------------------------------------------- */

static void without_a_policy_nothing_leaves(void **state)
{
	struct client c = { NULL };

	put_key(*state, DATA, CANARY, 0);
	client_begin(&c, *state, "acme");
	client_gets_none(&c, *state, DATA, KEYD_DENIED);
	push_policy(*state, "acme", "allow"); /* after it attested: its pin has none */
	client_gets_none(&c, *state, DATA, KEYD_DENIED);
	client_free(&c);
}

static void both_policies_must_allow(void **state)
{
	static const char *const texts[] = { "allow", "deny", "broken" };

	put_key(*state, DATA, CANARY, 0);
	for (unsigned pinned = 0; pinned < 3; pinned++)
		for (unsigned now = 0; now < 3; now++) {
			struct client c = { NULL };

			push_policy(*state, "acme", texts[pinned]);
			client_begin(&c, *state, "acme");
			push_policy(*state, "acme", texts[now]);
			push_policy(*state, "other", "allow");
			if (pinned == 0 && now == 0)
				client_gets(&c, *state, DATA, CANARY);
			else
				client_gets_none(&c, *state, DATA, KEYD_DENIED);
			client_free(&c);
		}
}

static void a_policy_without_references_is_not_stored(void **state)
{
	struct client c = { NULL };

	put_key(*state, DATA, CANARY, 0);
	assert_int_equal(try_push(*state, "acme", "allow no-references"), KEYD_REFUSED);
	client_begin(&c, *state, "acme");
	client_gets_none(&c, *state, DATA, KEYD_DENIED);
	client_free(&c);
}

static void the_path_alone_chooses_the_policy(void **state)
{
	struct client c = { NULL };

	push_policy(*state, "acme", "deny");
	push_policy(*state, "rival", "allow");
	put_key(*state, DATA, CANARY, 0);
	client_begin(&c, *state, "");
	client_gets_none(&c, *state, DATA, KEYD_DENIED);
	client_free(&c);
}

/* Whoever is not meant to have it cannot tell whether it is there. */
static void no_such_and_not_yours_are_one_answer(void **state)
{
	static struct keyd_sealed none, foreign;
	struct client c = { NULL };

	push_policy(*state, "acme", "allow");
	push_policy(*state, "rival", "allow");
	put_key(*state, DATA, CANARY, 0);
	client_begin(&c, *state, "rival");
	assert_int_equal(client_ask(&c, *state, "acme/volume/no-such", &none), KEYD_DENIED);
	assert_int_equal(client_ask(&c, *state, DATA, &foreign), KEYD_DENIED);
	assert_memory_equal(&none, &foreign, sizeof(none));
	assert_int_equal(client_ask(&c, *state, "nobody/volume/x", &none), KEYD_DENIED);
	client_gets_none(&c, *state, "rival/volume/no-such", KEYD_DENIED);
	client_free(&c);
}

/* ---- keys ---------------------------------------------------------------------------------- */

static void a_limit_of_uses_holds(void **state)
{
	struct client c = { NULL };

	push_policy(*state, "acme", "allow");
	put_key(*state, DATA, CANARY, 2);
	client_begin(&c, *state, "acme");
	client_gets(&c, *state, DATA, CANARY);
	keyd_store_close(*state);
	*state = sample_store_open();
	client_gets(&c, *state, DATA, CANARY);
	client_gets_none(&c, *state, DATA, KEYD_DENIED);
	assert_int_equal(entries_with("all uses of the key are used up"), 1);
	assert_int_equal(try_put(*state, KEYD_KEY_ROTATE, DATA, "next", 1), KEYD_OK);
	client_gets(&c, *state, DATA, "next");
	client_gets_none(&c, *state, DATA, KEYD_DENIED);
	client_free(&c);
}

static void a_rotated_key_is_the_new_one(void **state)
{
	struct client c = { NULL };

	push_policy(*state, "acme", "allow");
	assert_int_equal(try_put(*state, KEYD_KEY_ROTATE, DATA, "x", 0), KEYD_REFUSED);
	put_key(*state, DATA, "first", 0);
	assert_int_equal(try_put(*state, KEYD_KEY_PUT, DATA, "x", 0), KEYD_REFUSED);
	client_begin(&c, *state, "acme");
	client_gets(&c, *state, DATA, "first");
	assert_int_equal(try_put(*state, KEYD_KEY_ROTATE, DATA, "second", 0), KEYD_OK);
	client_gets(&c, *state, DATA, "second");
	assert_int_equal(try_put(*state, KEYD_KEY_ROTATE, DATA, NULL, 0), KEYD_OK); /* random */
	client_free(&c);
}

static void a_revoked_key_is_gone_at_once(void **state)
{
	struct keyd_done done;
	struct client c = { NULL };

	push_policy(*state, "acme", "allow");
	put_key(*state, DATA, "first", 0);
	assert_int_equal(try_put(*state, KEYD_KEY_ROTATE, DATA, CANARY, 0), KEYD_OK);
	client_begin(&c, *state, "acme");
	assert_int_equal(try_revoke(*state, DATA, &done), KEYD_OK);
	assert_int_equal(done.version, 2);
	assert_int_equal(done.logged, 1);
	client_gets_none(&c, *state, DATA, KEYD_DENIED);
	assert_int_equal(entries_with("the key was revoked"), 1);
	assert_int_equal(try_revoke(*state, DATA, &done), KEYD_REFUSED);
	assert_int_equal(try_put(*state, KEYD_KEY_ROTATE, DATA, "x", 0), KEYD_REFUSED);
	put_key(*state, DATA, "third", 0);
	client_gets(&c, *state, DATA, "third");
	assert_int_equal(entries_with("\"kind\":\"key.revoke\""), 1);
	client_free(&c);
}

struct lines {
	struct keyd_message of[8];
	size_t n;
};

static bool take_line(void *arg, const struct keyd_message *line)
{
	struct lines *l = arg;

	l->of[l->n++] = *line;
	return l->n < 8;
}

static void lists_say_what_is_there_and_no_value(void **state)
{
	static struct lines l;
	static struct keyd_message m;
	const struct keyd_peer peer = { .uid = geteuid(), .pid = 1 };
	struct keyd_done done;

	put_key(*state, DATA, CANARY, 7);
	assert_int_equal(try_put(*state, KEYD_KEY_ROTATE, DATA, CANARY, 0), KEYD_OK);
	put_key(*state, "acme/volume/other", CANARY, 0);
	assert_int_equal(try_revoke(*state, "acme/volume/other", &done), KEYD_OK);
	put_key(*state, "rival/a/b", CANARY, 0);
	m = (struct keyd_message){ .type = KEYD_KEY_LIST, .ticket = 9 };
	strcpy(m.list.tenant, "acme");
	l.n = 0;
	assert_int_equal(keyd_store_admin(*state, &peer, &m, take_line, &l, &done, NULL),
			 KEYD_OK);
	assert_int_equal(l.n, 3);
	assert_int_equal(done.version, 3);
	assert_string_equal(l.of[0].key.name.tag, "data-key");
	assert_int_equal(l.of[0].key.version, 1);
	assert_int_equal(l.of[0].key.uses_max, 7);
	assert_false(l.of[0].key.current);
	assert_true(l.of[1].key.current);
	assert_int_equal(l.of[1].ticket, 9);
	assert_true(l.of[2].key.revoked);
	assert_false(l.of[2].key.current);
	assert_null(memmem(&l, sizeof(l), CANARY, strlen(CANARY)));
	m.list.tenant[0] = '\0';
	l.n = 0;
	assert_int_equal(keyd_store_admin(*state, &peer, &m, take_line, &l, &done, NULL),
			 KEYD_OK);
	assert_int_equal(l.n, 4);
}

static void only_administrators_administer(void **state)
{
	static struct keyd_message m;
	struct keyd_config config = sample_config();
	const uid_t admins[] = { 4242 };
	struct keyd_peer peer = { .uid = 4243, .pid = 1 };
	struct keyd_store *s = NULL;
	struct keyd_done done;

	put_key(*state, DATA, CANARY, 0);
	keyd_store_close(*state);
	config.admins = admins;
	config.n_admins = 1;
	assert_int_equal(keyd_store_open(&config, &s, NULL), ATTEST_OK);
	*state = s;
	m = (struct keyd_message){ .type = KEYD_KEY_REVOKE };
	m.revoke.name = name_of(DATA);
	assert_int_equal(keyd_store_admin(s, &peer, &m, NULL, NULL, &done, NULL), KEYD_REFUSED);
	assert_int_equal(entries_with("none of its administrators"), 0);
	assert_int_equal(entries_with("is no administrator"), 1);
	peer.uid = 4242;
	assert_int_equal(keyd_store_admin(s, &peer, &m, NULL, NULL, &done, NULL), KEYD_OK);
	m.type = KEYD_AUTH;
	assert_int_equal(keyd_store_admin(s, &peer, &m, NULL, NULL, &done, NULL),
			 KEYD_MALFORMED);
}

/* ---- what is on the disk -------------------------------------------------------------------- */

static void a_value_is_nowhere_on_the_disk(void **state)
{
	char encoded[BASE64_SIZE(sizeof(CANARY))];
	struct client c = { NULL };

	push_policy(*state, "acme", "allow");
	put_key(*state, DATA, CANARY, 0);
	client_begin(&c, *state, "acme");
	client_gets(&c, *state, DATA, CANARY);
	assert_int_equal(try_put(*state, KEYD_KEY_ROTATE, DATA, CANARY "!", 0), KEYD_OK);
	(void)keyd_store_tick(*state);
	base64_encode(CANARY, strlen(CANARY) / 3 * 3, encoded);
	for (int closed = 0; closed < 2; closed++) {
		assert_int_equal(sought_in_files(CANARY, strlen(CANARY)), 0);
		assert_int_equal(sought_in_files(encoded, strlen(encoded)), 0);
		/* nor who the session is */
		assert_int_equal(sought_in_files(c.challenge.session, KEYD_SESSION), 0);
		/* and the search finds what is there */
		assert_true(sought_in_files("data-key", 8) > 0);
		if (!closed)
			keyd_store_close(*state);
	}
	*state = sample_store_open();
	client_free(&c);
}

static void files_are_for_the_owner_alone(void **state)
{
	static const struct {
		const char *name;
		mode_t mode;
	} files[] = { { "root.kek", 0400 },    { "log.key", 0400 },  { "token.key", 0400 },
		      { "store.db", 0600 },    { "log.vkey", 0644 }, { "token.pub", 0644 },
		      { "store.db-wal", 0600 } };
	struct stat st;

	(void)state;
	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++) {
		assert_int_equal(fstatat(keyd_fd, files[i].name, &st, 0), 0);
		assert_int_equal(st.st_mode & 07777, files[i].mode);
	}
}

static void a_store_is_made_once(void **state)
{
	struct keyd_store *other = NULL;
	const struct keyd_config c = sample_config();
	struct attest_error e = { .what = "" };

	assert_int_equal(keyd_store_init(keyd_fd, &e), ATTEST_REFUSED);
	/* Two at once: the second one cannot log, so it gives nothing. */
	assert_int_equal(keyd_store_open(&c, &other, &e), ATTEST_OK);
	assert_non_null(keyd_store_trouble(other));
	keyd_store_close(other);
	assert_null(keyd_store_trouble(*state));
}

static void replace_file(const char *name, const void *bytes, size_t len, mode_t mode)
{
	int fd;

	unlinkat(keyd_fd, name, 0);
	fd = openat(keyd_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, len), len);
	close(fd);
}

static void another_root_key_is_refused(void **state)
{
	const struct keyd_config c = sample_config();
	struct attest_error e = { .what = "" };
	struct keyd_store *s = NULL;
	uint8_t good[KEYD_ROOT], other[KEYD_ROOT] = { 1 };
	int fd = openat(keyd_fd, "root.kek", O_RDONLY | O_CLOEXEC);

	assert_int_equal(read(fd, good, sizeof(good)), sizeof(good));
	close(fd);
	keyd_store_close(*state);
	replace_file("root.kek", other, sizeof(other), 0400);
	assert_int_equal(keyd_store_open(&c, &s, &e), ATTEST_REFUSED);
	replace_file("root.kek", good, sizeof(good) - 1, 0400);
	assert_int_equal(keyd_store_open(&c, &s, &e), ATTEST_REFUSED);
	replace_file("root.kek", good, sizeof(good), 0440); /* open to a group */
	assert_int_equal(keyd_store_open(&c, &s, &e), ATTEST_REFUSED);
	unlinkat(keyd_fd, "root.kek", 0);
	assert_int_equal(keyd_store_open(&c, &s, &e), ATTEST_REFUSED);
	assert_int_equal(keyd_store_init(keyd_fd, &e), ATTEST_REFUSED); /* never made anew */
	replace_file("root.kek", good, sizeof(good), 0400);
	*state = sample_store_open();
}

static void a_log_that_was_removed_stops_attestations_and_releases(void **state)
{
	const struct keyd_verdict v = good_verdict("acme");
	struct client c = { NULL }, late = { NULL };
	struct keyd_done done;
	char path[128];

	push_policy(*state, "acme", "allow");
	put_key(*state, DATA, CANARY, 0);
	client_begin(&c, *state, "acme");
	client_auth(&late, *state);
	assert_int_equal(client_attest(&late, *state), KEYD_OK);
	keyd_store_close(*state);
	snprintf(path, sizeof(path), "%s/log", keyd_top);
	sample_rmtree(path);
	*state = sample_store_open();
	assert_non_null(keyd_store_trouble(*state));
	client_gets_none(&c, *state, DATA, KEYD_FAILED);
	assert_int_equal(client_verdict(&late, *state, &v), KEYD_FAILED);
	client_gets_none(&late, *state, DATA, KEYD_NO_SESSION);
	assert_int_equal(try_put(*state, KEYD_KEY_PUT, "acme/a/b", "x", 0), KEYD_FAILED);
	/* What takes away works all the same. */
	assert_int_equal(try_revoke(*state, DATA, &done), KEYD_OK);
	assert_int_equal(done.logged, 0);
	client_free(&c);
	client_free(&late);
}

int main(void)
{
#define STORE_TEST(f) cmocka_unit_test_setup_teardown(f, store_begin, store_end)
	const struct CMUnitTest tests[] = {
		STORE_TEST(an_attested_session_gets_its_key),
		STORE_TEST(a_nonce_is_used_once),
		STORE_TEST(a_nonce_is_used_up_by_a_wrong_one),
		STORE_TEST(used_nonces_outlive_the_process),
		STORE_TEST(sessions_outlive_the_process_and_end_in_time),
		STORE_TEST(unknown_sessions_get_nothing),
		STORE_TEST(steps_cannot_be_left_out),
		STORE_TEST(refused_evidence_gets_nothing),
		STORE_TEST(samples_are_never_welcome),
		STORE_TEST(there_is_an_end_to_sessions),
		STORE_TEST(report_data_is_that_of_the_protocol),
		STORE_TEST(a_key_off_its_curve_is_refused),
		STORE_TEST(without_a_policy_nothing_leaves),
		STORE_TEST(both_policies_must_allow),
		STORE_TEST(a_policy_without_references_is_not_stored),
		STORE_TEST(the_path_alone_chooses_the_policy),
		STORE_TEST(no_such_and_not_yours_are_one_answer),
		STORE_TEST(a_limit_of_uses_holds),
		STORE_TEST(a_rotated_key_is_the_new_one),
		STORE_TEST(a_revoked_key_is_gone_at_once),
		STORE_TEST(lists_say_what_is_there_and_no_value),
		STORE_TEST(only_administrators_administer),
		STORE_TEST(a_value_is_nowhere_on_the_disk),
		STORE_TEST(files_are_for_the_owner_alone),
		STORE_TEST(a_store_is_made_once),
		STORE_TEST(another_root_key_is_refused),
		STORE_TEST(a_log_that_was_removed_stops_attestations_and_releases),
	};

	return cmocka_run_group_tests_name("keyd_store", tests, NULL, NULL);
}
