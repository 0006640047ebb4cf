/*
 * tests/attest/test_keyd_tamper.c - somebody else has written to the database: swapped what
 * belongs elsewhere, turned back a count, flipped bytes. What comes out is the key, or
 * nothing.
 */
#include "tests/attest/keyd_sample.h"

#include <sqlite3.h>

#define DATA "acme/volume/data-key"

/* ---- envelopes ---------------------------------------------------------------------------- */

static struct keyd_root *root_of(uint8_t first)
{
	const uint8_t bytes[KEYD_ROOT] = { first };
	struct keyd_root *r = NULL;

	assert_int_equal(keyd_root_new(bytes, &r, NULL), ATTEST_OK);
	return r;
}

static void a_tenant_key_opens_for_its_tenant_alone(void **state)
{
	struct keyd_root *r = root_of(1), *other = root_of(2);
	uint8_t wrapped[KEYD_WRAPPED], *kek = NULL;
	struct attest_error e = { .what = "" };

	(void)state;
	assert_int_equal(keyd_tenant_make(r, "acme", wrapped, NULL), ATTEST_OK);
	assert_int_equal(keyd_tenant_open(r, "acme", wrapped, &kek, NULL), ATTEST_OK);
	guard_free(kek);
	assert_int_equal(keyd_tenant_open(r, "acm", wrapped, &kek, &e), ATTEST_REFUSED);
	assert_true(strlen(e.what) > 0 && strlen(e.hint) > 0);
	assert_int_equal(keyd_tenant_open(r, "acme2", wrapped, &kek, NULL), ATTEST_REFUSED);
	assert_int_equal(keyd_tenant_open(other, "acme", wrapped, &kek, NULL), ATTEST_REFUSED);
	for (size_t i = 0; i < 8 * sizeof(wrapped); i++) {
		wrapped[i / 8] ^= (uint8_t)(1u << i % 8);
		assert_int_equal(keyd_tenant_open(r, "acme", wrapped, &kek, NULL),
				 ATTEST_REFUSED);
		wrapped[i / 8] ^= (uint8_t)(1u << i % 8);
	}
	keyd_root_free(r);
	keyd_root_free(other);
}

static struct keyd_key_row sealed_row(const uint8_t kek[static KEYD_KEK])
{
	struct keyd_key_row row = { .name = name_of("acme/volume/data"),
				    .version = 3,
				    .uses_max = 5 };

	assert_int_equal(
		keyd_secret_seal(kek, &row, (const uint8_t *)CANARY, strlen(CANARY), NULL),
		ATTEST_OK);
	return row;
}

static void must_not_open(const uint8_t kek[static KEYD_KEK], const struct keyd_key_row *row)
{
	struct attest_error e = { .what = "" };
	uint8_t *secret = NULL;
	size_t len;

	assert_int_equal(keyd_secret_open(kek, row, &secret, &len, &e), ATTEST_REFUSED);
	assert_null(secret);
	assert_true(strlen(e.what) > 0);
}

static void a_secret_opens_in_its_own_place_alone(void **state)
{
	static const uint8_t kek[KEYD_KEK] = { 7 }, other[KEYD_KEK] = { 8 };
	struct keyd_key_row good = sealed_row(kek), row;
	uint8_t *secret = NULL;
	size_t len = 0;

	(void)state;
	assert_int_equal(keyd_secret_open(kek, &good, &secret, &len, NULL), ATTEST_OK);
	assert_int_equal(len, strlen(CANARY));
	assert_memory_equal(secret, CANARY, len);
	guard_free(secret);
	must_not_open(other, &good);
	row = good;
	strcpy(row.name.tenant, "rival");
	must_not_open(kek, &row);
	row = good;
	strcpy(row.name.type, "volumes");
	must_not_open(kek, &row);
	row = good;
	strcpy(row.name.tag, "dat");
	must_not_open(kek, &row);
	row = good; /* the same letters, cut elsewhere */
	strcpy(row.name.type, "volumed");
	strcpy(row.name.tag, "ata");
	must_not_open(kek, &row);
	row = good;
	row.version++;
	must_not_open(kek, &row);
	row = good;
	row.uses_max = 0;
	must_not_open(kek, &row);
}

static void every_bit_of_a_secret_counts(void **state)
{
	static const uint8_t kek[KEYD_KEK] = { 7 };
	struct keyd_key_row row = sealed_row(kek);
	uint32_t len = row.sealed_len;

	(void)state;
	for (size_t i = 0; i < 8 * (size_t)len; i++) {
		row.sealed[i / 8] ^= (uint8_t)(1u << i % 8);
		must_not_open(kek, &row);
		row.sealed[i / 8] ^= (uint8_t)(1u << i % 8);
	}
	for (row.sealed_len = 0; row.sealed_len < len; row.sealed_len++)
		must_not_open(kek, &row);
	row.sealed_len = KEYD_SEALED_MAX + 1;
	must_not_open(kek, &row);
}

static void no_two_sealings_are_the_same(void **state)
{
	static const uint8_t kek[KEYD_KEK] = { 7 };
	struct keyd_key_row a = sealed_row(kek), b = sealed_row(kek);

	(void)state;
	assert_memory_not_equal(a.sealed, b.sealed, 12);
	assert_memory_not_equal(a.sealed + 12, b.sealed + 12, strlen(CANARY));
}

static void secrets_have_a_size(void **state)
{
	static const uint8_t kek[KEYD_KEK] = { 7 };
	static uint8_t large[KEYD_SECRET_MAX + 1];
	struct keyd_key_row row = { .name = name_of("a/b/c"), .version = 1 };

	(void)state;
	assert_int_equal(keyd_secret_seal(kek, &row, large, 0, NULL), ATTEST_REFUSED);
	assert_int_equal(keyd_secret_seal(kek, &row, large, sizeof(large), NULL),
			 ATTEST_REFUSED);
	assert_int_equal(keyd_secret_seal(kek, &row, large, sizeof(large) - 1, NULL),
			 ATTEST_OK);
}

static void every_part_of_a_row_is_marked(void **state)
{
	struct keyd_root *r = root_of(1);
	struct keyd_key_row k = { .name = name_of("a/b/c"), .version = 1, .uses = 2 };
	static struct keyd_policy_row p = {
		.generation = 4, .tenant = "a", .version = 2, .len = 5, .text = "allow"
	};
	static struct keyd_session_row s = { .state = KEYD_STATE_AUTHED,
					     .expires = 9,
					     .body_len = 3 };

	(void)state;
	assert_int_equal(keyd_key_mark(r, &k), ATTEST_OK);
	assert_int_equal(keyd_key_check(r, &k, NULL), ATTEST_OK);
	k.uses = 1;
	assert_int_equal(keyd_key_check(r, &k, NULL), ATTEST_REFUSED);
	k.uses = 2;
	k.uses_max = 1;
	assert_int_equal(keyd_key_check(r, &k, NULL), ATTEST_REFUSED);
	k.uses_max = 0;
	k.successor = 2;
	assert_int_equal(keyd_key_check(r, &k, NULL), ATTEST_REFUSED);
	assert_int_equal(keyd_policy_mark(r, &p), ATTEST_OK);
	p.generation++;
	assert_int_equal(keyd_policy_check(r, &p, NULL), ATTEST_REFUSED);
	p.generation--;
	p.text[0] = 'A';
	assert_int_equal(keyd_policy_check(r, &p, NULL), ATTEST_REFUSED);
	p.text[0] = 'a';
	p.tenant[0] = 'b';
	assert_int_equal(keyd_policy_check(r, &p, NULL), ATTEST_REFUSED);
	assert_int_equal(keyd_session_mark(r, &s), ATTEST_OK);
	s.state = KEYD_STATE_ATTESTED;
	assert_int_equal(keyd_session_check(r, &s, NULL), ATTEST_REFUSED);
	s.state = KEYD_STATE_AUTHED;
	s.expires++;
	assert_int_equal(keyd_session_check(r, &s, NULL), ATTEST_REFUSED);
	s.expires--;
	s.id[0]++;
	assert_int_equal(keyd_session_check(r, &s, NULL), ATTEST_REFUSED);
	s.id[0]--;
	s.body[0]++;
	assert_int_equal(keyd_session_check(r, &s, NULL), ATTEST_REFUSED);
	keyd_root_free(r);
}

/* ---- a database that somebody edits ---------------------------------------------------------- */

static void edit(const char *statement)
{
	char path[128], *why = NULL;
	sqlite3 *db = NULL;

	snprintf(path, sizeof(path), "%s/store.db", keyd_top);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	if (sqlite3_exec(db, statement, NULL, NULL, &why) != SQLITE_OK)
		fail_msg("%s: %s", statement, why);
	assert_true(sqlite3_changes(db) > 0);
	sqlite3_close(db);
}

/* Two tenants, a key of two versions, a session of each tenant. */
struct scene {
	struct client acme, rival, fresh;
};

static void set_scene(struct scene *c, struct keyd_store *s)
{
	memset(c, 0, sizeof(*c));
	push_policy(s, "acme", "deny for now");
	push_policy(s, "acme", "allow");
	push_policy(s, "rival", "allow");
	put_key(s, DATA, "old", 0);
	assert_int_equal(try_put(s, KEYD_KEY_ROTATE, DATA, CANARY, 2), KEYD_OK);
	put_key(s, "acme/volume/other", "of another name", 0);
	put_key(s, "rival/volume/data-key", "of another tenant", 0);
	client_begin(&c->acme, s, "acme");
	client_begin(&c->rival, s, "rival");
	client_auth(&c->fresh, s);
	client_gets(&c->acme, s, DATA, CANARY);
}

static void leave_scene(struct scene *c)
{
	client_free(&c->acme);
	client_free(&c->rival);
	client_free(&c->fresh);
}

static void what_belongs_elsewhere_does_not_come_out(void **state)
{
	static const char *const edits[] = {
		/* a secret, with and without the rest of its row */
		"UPDATE key SET sealed = (SELECT sealed FROM key WHERE tenant = 'rival')"
		" WHERE tenant = 'acme' AND tag = 'data-key'",
		"UPDATE key SET (sealed, mac) = (SELECT sealed, mac FROM key WHERE tenant = "
		"'rival') WHERE tenant = 'acme' AND tag = 'data-key'",
		"UPDATE key SET (sealed, mac) = (SELECT sealed, mac FROM key WHERE tag = "
		"'other')"
		" WHERE tenant = 'acme' AND tag = 'data-key'",
		"UPDATE key SET sealed = (SELECT sealed FROM key WHERE tag = 'data-key' AND"
		" tenant = 'acme' AND version = 1) WHERE tenant = 'acme' AND tag = 'data-key'",
		/* a tenant's key, then its secrets too */
		"UPDATE tenant SET wrapped = (SELECT wrapped FROM tenant WHERE name = 'rival')"
		" WHERE name = 'acme'",
		/* counts and limits */
		"UPDATE key SET uses = 0 WHERE version = 2",
		"UPDATE key SET uses_max = 0 WHERE version = 2",
		"UPDATE key SET uses_max = 1000 WHERE version = 2",
		"UPDATE key SET version = 9 WHERE version = 1 AND tag = 'data-key' AND tenant ="
		" 'acme'",
		"DELETE FROM key WHERE version = 2",
		/* policies */
		"UPDATE policy SET text = CAST('allow all' AS BLOB) WHERE tenant = 'acme'",
		"UPDATE policy SET generation = 99 WHERE tenant = 'acme' AND version = 1",
		"DELETE FROM policy WHERE tenant = 'acme'",
		"UPDATE policy SET tenant = 'acme', version = 77 WHERE tenant = 'rival'",
	};

	store_end(state);
	for (size_t i = 0; i < sizeof(edits) / sizeof(*edits); i++) {
		static struct keyd_sealed sealed;
		struct scene c;
		enum keyd_answer a;

		store_begin(state);
		set_scene(&c, *state);
		edit(edits[i]);
		memset(&sealed, 0, sizeof(sealed));
		a = client_ask(&c.acme, *state, DATA, &sealed);
		if ((a != KEYD_FAILED && a != KEYD_DENIED) || sealed.jwe[0])
			fail_msg("it came out after: %s", edits[i]);
		leave_scene(&c);
		store_end(state);
	}
	store_begin(state);
}

static void a_session_cannot_be_made_in_the_database(void **state)
{
	static const char *const edits[] = {
		"UPDATE session SET state = 3 WHERE state = 1",
		/* another one's verdict under this one's id */
		"UPDATE session SET (state, made, expires, body, mac) = (SELECT state, made,"
		" expires, body, mac FROM session WHERE state = 3 LIMIT 1) WHERE state = 1",
	};

	for (size_t i = 0; i < sizeof(edits) / sizeof(*edits); i++) {
		struct scene c;

		store_end(state);
		store_begin(state);
		set_scene(&c, *state);
		edit(edits[i]);
		client_gets_none(&c.fresh, *state, DATA, KEYD_FAILED);
		leave_scene(&c);
	}
}

static void a_session_does_not_live_longer_by_an_edit(void **state)
{
	struct scene c;

	set_scene(&c, *state);
	edit("UPDATE session SET expires = expires + 100000");
	keyd_time += 301;
	client_gets_none(&c.acme, *state, DATA, KEYD_FAILED);
	leave_scene(&c);
}

/* ---- flipped bytes ----------------------------------------------------------------------------- */

static void write_file(const char *name, const uint8_t *bytes, size_t len)
{
	int fd = openat(keyd_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, len), len);
	close(fd);
}

/* The store on such a database: it opens or not, and gives the right key or none. */
static bool try_database(struct scene *c, const uint8_t *bytes, size_t len)
{
	const struct keyd_config config = sample_config();
	static struct keyd_sealed sealed;
	struct keyd_store *s = NULL;
	void *secret = NULL;
	size_t secret_len = 0;
	bool out = false;

	unlinkat(keyd_fd, "store.db-wal", 0);
	unlinkat(keyd_fd, "store.db-shm", 0);
	write_file("store.db", bytes, len);
	if (keyd_store_open(&config, &s, NULL) != ATTEST_OK)
		return false;
	memset(&sealed, 0, sizeof(sealed));
	if (client_ask(&c->acme, s, DATA, &sealed) == KEYD_OK) {
		assert_int_equal(jwe_open(c->acme.key, sealed.jwe, strlen(sealed.jwe), &secret,
					  &secret_len, NULL),
				 ATTEST_OK);
		assert_int_equal(secret_len, strlen(CANARY));
		assert_memory_equal(secret, CANARY, secret_len);
		guard_free(secret);
		out = true;
	} else {
		assert_int_equal(sealed.jwe[0], 0);
	}
	keyd_store_close(s);
	return out;
}

static void a_flipped_byte_yields_the_key_or_nothing(void **state)
{
	size_t len = 0, came = 0, tried = 0, step = getenv("CORDON_SOAK") ? 7 : 97;
	struct scene c;
	uint8_t *bytes;
	char path[128];

	set_scene(&c, *state);
	keyd_store_close(*state); /* the write-ahead log goes into the file */
	*state = NULL;
	snprintf(path, sizeof(path), "%s/store.db", keyd_top);
	bytes = load_path(path, &len);
	assert_true(try_database(&c, bytes, len));
	for (size_t i = 0; i < len; i += step) {
		bytes[i] ^= 0xff;
		came += try_database(&c, bytes, len);
		bytes[i] ^= 0xff;
		tried++;
	}
	/* Most of the file is empty, and most of the rest does not bear on this key. */
	assert_true(came > 0 && came < tried);
	assert_true(try_database(&c, bytes, len));
	for (size_t n = 0; n < len; n += len / 16)
		assert_false(try_database(&c, bytes, n));
	write_file("store.db", bytes, len);
	free(bytes);
	leave_scene(&c);
	*state = sample_store_open();
}

int main(void)
{
#define STORE_TEST(f) cmocka_unit_test_setup_teardown(f, store_begin, store_end)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_tenant_key_opens_for_its_tenant_alone),
		cmocka_unit_test(a_secret_opens_in_its_own_place_alone),
		cmocka_unit_test(every_bit_of_a_secret_counts),
		cmocka_unit_test(no_two_sealings_are_the_same),
		cmocka_unit_test(secrets_have_a_size),
		cmocka_unit_test(every_part_of_a_row_is_marked),
		STORE_TEST(what_belongs_elsewhere_does_not_come_out),
		STORE_TEST(a_session_cannot_be_made_in_the_database),
		STORE_TEST(a_session_does_not_live_longer_by_an_edit),
		STORE_TEST(a_flipped_byte_yields_the_key_or_nothing),
	};

	return cmocka_run_group_tests_name("keyd_tamper", tests, NULL, NULL);
}
