/*
 * attest/keyd_sqlite.c - the rows of one store in one SQLite file. Each change is one
 * transaction in a write-ahead log that is flushed before the call returns (synchronous=
 * FULL); a condition is part of the statement that changes, so that it cannot be overtaken.
 * All SQL is constant.
 */
#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "attest/keyd_engine.h"

#define APPLICATION 1129006916 /* "CKYD" */
#define SCHEMA 1
#define BUSY_MS 5000

/* clang-format off */
static const char schema[] =
	"CREATE TABLE tenant ("
	" name TEXT PRIMARY KEY,"
	" wrapped BLOB NOT NULL"
	") STRICT, WITHOUT ROWID;"
	"CREATE TABLE key ("
	" tenant TEXT NOT NULL REFERENCES tenant (name),"
	" type TEXT NOT NULL, tag TEXT NOT NULL,"
	" version INTEGER NOT NULL CHECK (version > 0),"
	" made INTEGER NOT NULL,"
	" uses INTEGER NOT NULL CHECK (uses >= 0),"
	" uses_max INTEGER NOT NULL CHECK (uses_max >= 0 AND (uses_max = 0 OR uses <= uses_max)),"
	" successor INTEGER NOT NULL DEFAULT 0,"
	" sealed BLOB NOT NULL," /* empty: revoked */
	" mac BLOB NOT NULL,"
	" PRIMARY KEY (tenant, type, tag, version)"
	") STRICT, WITHOUT ROWID;"
	"CREATE TABLE policy ("
	" generation INTEGER PRIMARY KEY,"
	" tenant TEXT NOT NULL, version INTEGER NOT NULL,"
	" made INTEGER NOT NULL, text BLOB NOT NULL, mac BLOB NOT NULL,"
	" UNIQUE (tenant, version)"
	") STRICT;"
	"CREATE TABLE session ("
	" id BLOB PRIMARY KEY,"
	" state INTEGER NOT NULL, made INTEGER NOT NULL, expires INTEGER NOT NULL,"
	" body BLOB NOT NULL, mac BLOB NOT NULL"
	") STRICT, WITHOUT ROWID;"
	"CREATE INDEX session_expires ON session (expires);"
	"CREATE TABLE owed ("
	" id INTEGER PRIMARY KEY AUTOINCREMENT,"
	" t INTEGER NOT NULL, uid INTEGER NOT NULL, pid INTEGER NOT NULL,"
	" tenant TEXT NOT NULL, type TEXT NOT NULL, tag TEXT NOT NULL"
	") STRICT;"
	"CREATE TABLE log (one INTEGER PRIMARY KEY CHECK (one = 1), size INTEGER NOT NULL) STRICT;"
	"INSERT INTO log VALUES (1, 0);";

enum statement {
	BEGIN, COMMIT, ROLLBACK,
	SESSION_ADD, SESSION_GET, SESSION_SWAP, SESSIONS_EXPIRE,
	TENANT_ADD, TENANT_GET,
	KEY_ADD, KEY_SUCCEED, KEY_NEWEST, KEY_COUNT, KEY_REVOKE, KEYS_LIST,
	POLICY_ADD, POLICY_AT, POLICIES_LIST, GENERATION,
	OWED_ADD, OWED_FIRST, OWED_DROP, LOG_SIZE, SET_LOG_SIZE,
	STATEMENTS,
};

static const char *const sql[STATEMENTS] = {
	[BEGIN] = "BEGIN IMMEDIATE",
	[COMMIT] = "COMMIT",
	[ROLLBACK] = "ROLLBACK",
	[SESSION_ADD] =
		"INSERT INTO session (id, state, made, expires, body, mac)"
		" SELECT ?1, ?2, ?3, ?4, ?5, ?6"
		" WHERE (SELECT count(*) FROM session WHERE expires > ?7) < ?8",
	[SESSION_GET] = "SELECT state, made, expires, body, mac FROM session WHERE id = ?1",
	[SESSION_SWAP] =
		"UPDATE session SET state = ?2, made = ?3, expires = ?4, body = ?5, mac = ?6"
		" WHERE id = ?1 AND state = ?7",
	[SESSIONS_EXPIRE] = "DELETE FROM session WHERE expires <= ?1",
	[TENANT_ADD] = "INSERT INTO tenant (name, wrapped) VALUES (?1, ?2)",
	[TENANT_GET] = "SELECT wrapped FROM tenant WHERE name = ?1",
	[KEY_ADD] =
		"INSERT INTO key (tenant, type, tag, version, made, uses, uses_max, sealed, mac)"
		" VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
	[KEY_SUCCEED] =
		"UPDATE key SET successor = ?5, mac = ?6"
		" WHERE tenant = ?1 AND type = ?2 AND tag = ?3 AND version = ?4",
	[KEY_NEWEST] =
		"SELECT version, made, uses, uses_max, successor, sealed, mac FROM key"
		" WHERE tenant = ?1 AND type = ?2 AND tag = ?3 ORDER BY version DESC LIMIT 1",
	[KEY_COUNT] =
		"UPDATE key SET uses = ?5, mac = ?6"
		" WHERE tenant = ?1 AND type = ?2 AND tag = ?3 AND version = ?4"
		" AND uses = ?7 AND length(sealed) > 0"
		" AND version = (SELECT max(version) FROM key"
		"  WHERE tenant = ?1 AND type = ?2 AND tag = ?3)",
	[KEY_REVOKE] =
		"UPDATE key SET sealed = x''"
		" WHERE tenant = ?1 AND type = ?2 AND tag = ?3 AND length(sealed) > 0",
	[KEYS_LIST] =
		"SELECT tenant, type, tag, version, made, uses, uses_max, length(sealed) FROM key"
		" WHERE ?1 = '' OR tenant = ?1 ORDER BY tenant, type, tag, version",
	[POLICY_ADD] =
		"INSERT INTO policy (generation, tenant, version, made, text, mac)"
		" SELECT ?1, ?2, ?3, ?4, ?5, ?6"
		" WHERE (SELECT coalesce(max(generation), 0) + 1 FROM policy) = ?1",
	[POLICY_AT] =
		"SELECT generation, tenant, version, made, text, mac FROM policy"
		" WHERE tenant = ?1 AND generation <= ?2 ORDER BY generation DESC LIMIT 1",
	[POLICIES_LIST] =
		"SELECT generation, tenant, version, made, text, mac FROM policy"
		" WHERE ?1 = '' OR tenant = ?1 ORDER BY tenant, version",
	[GENERATION] = "SELECT coalesce(max(generation), 0) FROM policy",
	[OWED_ADD] =
		"INSERT INTO owed (t, uid, pid, tenant, type, tag) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
	[OWED_FIRST] = "SELECT id, t, uid, pid, tenant, type, tag FROM owed ORDER BY id LIMIT 1",
	[OWED_DROP] = "DELETE FROM owed WHERE id = ?1",
	[LOG_SIZE] = "SELECT size FROM log WHERE one = 1",
	[SET_LOG_SIZE] = "UPDATE log SET size = max(size, ?1) WHERE one = 1",
};

static const char settings[] =
	"PRAGMA trusted_schema = OFF;"
	"PRAGMA cell_size_check = ON;"
	"PRAGMA foreign_keys = ON;"
	"PRAGMA synchronous = FULL;"
	"PRAGMA secure_delete = ON;" /* a revoked key's bytes are zeroed, not just let go */
	"PRAGMA temp_store = MEMORY;";
/* clang-format on */

struct keyd_db {
	sqlite3 *db;
	sqlite3_stmt *statements[STATEMENTS];
};

static enum attest_status failed(const struct keyd_db *d, int code, struct attest_error *e)
{
	static const char where[] = "database";
	/* SQLite's words about damage and disks name no values. */
	const char *what = sqlite3_errstr(sqlite3_extended_errcode(d->db));

	switch (code & 0xff) {
	case SQLITE_CONSTRAINT:
		return attest_fail(e, ATTEST_REFUSED, where, "",
				   "such a row is there already, or cannot be");
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return attest_fail(e, ATTEST_MALFORMED, where,
				   "restore the database from a copy", "it is damaged");
	default:
		return attest_fail(e, ATTEST_SYSTEM, where, "", "%s", what);
	}
}

static enum attest_status damaged(struct attest_error *e)
{
	return attest_fail(e, ATTEST_MALFORMED, "database", "restore the database from a copy",
			   "a row is not as the store writes it");
}

/* ---- one statement ---------------------------------------------------------------------- */

struct query {
	struct keyd_db *d;
	sqlite3_stmt *st;
	int next;
	bool bad; /* sticky: a value could not be bound, or is not what it must be */
};

static struct query query(struct keyd_db *d, enum statement which)
{
	return (struct query){ .d = d, .st = d->statements[which], .next = 1 };
}

static void put_number(struct query *q, int64_t v)
{
	q->bad |= sqlite3_bind_int64(q->st, q->next++, v) != SQLITE_OK;
}

/* Borrowed until done(). */
static void put_text(struct query *q, const char *text)
{
	q->bad |= sqlite3_bind_text(q->st, q->next++, text, -1, SQLITE_STATIC) != SQLITE_OK;
}

static void put_blob(struct query *q, const void *bytes, size_t len)
{
	q->bad |= sqlite3_bind_blob64(q->st, q->next++, bytes, len, SQLITE_STATIC) != SQLITE_OK;
}

static void put_name(struct query *q, const struct keyd_name *n)
{
	put_text(q, n->tenant);
	put_text(q, n->type);
	put_text(q, n->tag);
}

static void done(struct query *q)
{
	sqlite3_reset(q->st);
	sqlite3_clear_bindings(q->st);
}

/* ATTEST_OK: a row; its columns are read in order. ATTEST_REFUSED: none is left. */
static enum attest_status row(struct query *q, struct attest_error *e)
{
	int code = q->bad ? SQLITE_NOMEM : sqlite3_step(q->st);

	q->next = 0;
	if (code == SQLITE_ROW)
		return ATTEST_OK;
	return code == SQLITE_DONE
		       ? attest_fail(e, ATTEST_REFUSED, "database", "", "there is no such row")
		       : failed(q->d, code, e);
}

/* A change. *ret_rows: how many rows it was of. */
static enum attest_status run(struct query *q, uint64_t *ret_rows, struct attest_error *e)
{
	int code = q->bad ? SQLITE_NOMEM : sqlite3_step(q->st);
	enum attest_status s = code == SQLITE_DONE ? ATTEST_OK : failed(q->d, code, e);

	*ret_rows = (uint64_t)sqlite3_changes64(q->d->db);
	done(q);
	return s;
}

/* A change of one row, or of none: then it is refused. */
static enum attest_status run_one(struct query *q, const char *refusal, struct attest_error *e)
{
	uint64_t rows;
	enum attest_status s = run(q, &rows, e);

	if (s == ATTEST_OK && rows != 1)
		return attest_fail(e, ATTEST_REFUSED, "database", "", "%s", refusal);
	return s;
}

static int64_t get_number(struct query *q)
{
	q->bad |= sqlite3_column_type(q->st, q->next) != SQLITE_INTEGER;
	return sqlite3_column_int64(q->st, q->next++);
}

static uint64_t get_count(struct query *q)
{
	int64_t v = get_number(q);

	q->bad |= v < 0;
	return (uint64_t)v;
}

/* Into a field of `size` with room for the zero. */
static void get_text(struct query *q, char *to, size_t size)
{
	const unsigned char *text = sqlite3_column_text(q->st, q->next);
	int len = sqlite3_column_bytes(q->st, q->next++);

	if (!text || (size_t)len >= size || strlen((const char *)text) != (size_t)len) {
		q->bad = true;
		return;
	}
	memset(to, 0, size);
	memcpy(to, text, (size_t)len);
}

static size_t get_blob(struct query *q, void *to, size_t least, size_t most)
{
	const void *bytes = sqlite3_column_blob(q->st, q->next);
	size_t len = (size_t)sqlite3_column_bytes(q->st, q->next);

	q->bad |= sqlite3_column_type(q->st, q->next++) != SQLITE_BLOB || len < least ||
		  len > most;
	if (!q->bad && len > 0)
		memcpy(to, bytes, len);
	return q->bad ? 0 : len;
}

static void get_name(struct query *q, struct keyd_name *to)
{
	get_text(q, to->tenant, sizeof(to->tenant));
	get_text(q, to->type, sizeof(to->type));
	get_text(q, to->tag, sizeof(to->tag));
}

/* What a row that was read is worth. */
static enum attest_status got(struct query *q, struct attest_error *e)
{
	enum attest_status s = q->bad ? damaged(e) : ATTEST_OK;

	done(q);
	return s;
}

/* ---- opening ------------------------------------------------------------------------------ */

static void sqlite_close(struct keyd_db *d)
{
	if (!d)
		return;
	for (size_t i = 0; i < STATEMENTS; i++)
		sqlite3_finalize(d->statements[i]);
	sqlite3_close(d->db);
	free(d);
}

static enum attest_status execute(struct keyd_db *d, const char *text, struct attest_error *e)
{
	int code = sqlite3_exec(d->db, text, NULL, NULL, NULL);

	return code == SQLITE_OK ? ATTEST_OK : failed(d, code, e);
}

/* The one value of a pragma. */
static enum attest_status pragma(struct keyd_db *d, const char *text, char ret[static 32],
				 struct attest_error *e)
{
	sqlite3_stmt *st = NULL;
	int code = sqlite3_prepare_v2(d->db, text, -1, &st, NULL);
	const unsigned char *value = NULL;

	if (code == SQLITE_OK && (code = sqlite3_step(st)) == SQLITE_ROW)
		value = sqlite3_column_text(st, 0);
	if (value)
		snprintf(ret, 32, "%s", (const char *)value);
	sqlite3_finalize(st);
	return value ? ATTEST_OK : failed(d, code, e);
}

static enum attest_status expect(struct keyd_db *d, const char *text, const char *wanted,
				 const char *otherwise, struct attest_error *e)
{
	char value[32];
	enum attest_status s = pragma(d, text, value, e);

	if (s == ATTEST_OK && strcmp(value, wanted) != 0)
		return attest_fail(e, ATTEST_MALFORMED, "database", "", "%s", otherwise);
	return s;
}

#define TEXT_OF(x) #x
#define TEXT(x) TEXT_OF(x)

static enum attest_status judge_schema(struct keyd_db *d, struct attest_error *e)
{
	enum attest_status s = expect(d, "PRAGMA application_id", TEXT(APPLICATION),
				      "it is no database of a key service", e);

	if (s == ATTEST_OK)
		s = expect(d, "PRAGMA user_version", TEXT(SCHEMA),
			   "it is of another version of cordon", e);
	if (s == ATTEST_OK)
		s = expect(d, "PRAGMA quick_check(1)", "ok", "it is damaged", e);
	return s;
}

static enum attest_status prepare_all(struct keyd_db *d, struct attest_error *e)
{
	for (size_t i = 0; i < STATEMENTS; i++) {
		int code = sqlite3_prepare_v3(d->db, sql[i], -1, SQLITE_PREPARE_PERSISTENT,
					      &d->statements[i], NULL);

		if (code != SQLITE_OK)
			return code == SQLITE_ERROR ? damaged(e) : failed(d, code, e);
	}
	return ATTEST_OK;
}

static enum attest_status set_up(struct keyd_db *d, bool make, struct attest_error *e)
{
	enum attest_status s;

	sqlite3_extended_result_codes(d->db, 1);
	sqlite3_busy_timeout(d->db, BUSY_MS);
	sqlite3_db_config(d->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	s = execute(d, settings, e);
	if (s == ATTEST_OK)
		s = expect(d, "PRAGMA journal_mode = WAL", "wal",
			   "it cannot be used with a "
			   "write-ahead log",
			   e);
	if (s == ATTEST_OK && make) {
		s = execute(d,
			    "BEGIN IMMEDIATE; PRAGMA application_id = " TEXT(
				    APPLICATION) "; PRAGMA user_version = " TEXT(SCHEMA) ";",
			    e);
		if (s == ATTEST_OK)
			s = execute(d, schema, e);
		if (s == ATTEST_OK)
			s = execute(d, "COMMIT", e);
	}
	if (s == ATTEST_OK)
		s = judge_schema(d, e);
	return s == ATTEST_OK ? prepare_all(d, e) : s;
}

/* SQLite would make it for everyone to read. */
static enum attest_status make_file(int dirfd, const char *where, struct attest_error *e)
{
	int fd = openat(dirfd, where, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0)
		return attest_fail(e, errno == EEXIST ? ATTEST_REFUSED : ATTEST_SYSTEM, where,
				   "", "it cannot be made: %m");
	close(fd);
	return ATTEST_OK;
}

static enum attest_status sqlite_open(int dirfd, const char *where, bool make,
				      struct keyd_db **ret, struct attest_error *e)
{
	struct keyd_db *d = calloc(1, sizeof(*d));
	enum attest_status s = ATTEST_OK;
	char path[128];

	if (!d)
		return attest_fail(e, ATTEST_SYSTEM, where, "", "no memory");
	if (make)
		s = make_file(dirfd, where, e);
	snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", dirfd, where);
	if (s == ATTEST_OK &&
	    sqlite3_open_v2(path, &d->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) !=
		    SQLITE_OK)
		s = attest_fail(e, ATTEST_SYSTEM, where, "restore it from a copy",
				"it cannot be opened: %s",
				d->db ? sqlite3_errmsg(d->db) : "no memory");
	if (s == ATTEST_OK)
		s = set_up(d, make, e);
	if (s == ATTEST_OK)
		*ret = d;
	else
		sqlite_close(d);
	return s;
}

/* ---- sessions -------------------------------------------------------------------------------- */

static void put_session(struct query *q, const struct keyd_session_row *r)
{
	put_blob(q, r->id, sizeof(r->id));
	put_number(q, r->state);
	put_number(q, r->made);
	put_number(q, r->expires);
	put_blob(q, r->body, r->body_len);
	put_blob(q, r->mac, sizeof(r->mac));
}

static enum attest_status session_add(struct keyd_db *d, const struct keyd_session_row *r,
				      uint64_t most, int64_t now, struct attest_error *e)
{
	struct query q = query(d, SESSION_ADD);

	put_session(&q, r);
	put_number(&q, now);
	put_number(&q, (int64_t)most);
	return run_one(&q, "there are as many sessions as there may be", e);
}

static enum attest_status session_get(struct keyd_db *d, const uint8_t id[static KEYD_ID],
				      struct keyd_session_row *ret, struct attest_error *e)
{
	struct query q = query(d, SESSION_GET);
	enum attest_status s;

	put_blob(&q, id, KEYD_ID);
	s = row(&q, e);
	if (s != ATTEST_OK) {
		done(&q);
		return s;
	}
	memcpy(ret->id, id, KEYD_ID);
	ret->state = (uint32_t)get_number(&q);
	ret->made = get_number(&q);
	ret->expires = get_number(&q);
	ret->body_len = (uint32_t)get_blob(&q, ret->body, 0, sizeof(ret->body));
	get_blob(&q, ret->mac, sizeof(ret->mac), sizeof(ret->mac));
	return got(&q, e);
}

static enum attest_status session_swap(struct keyd_db *d, enum keyd_state from,
				       const struct keyd_session_row *r, struct attest_error *e)
{
	struct query q = query(d, SESSION_SWAP);

	put_session(&q, r);
	put_number(&q, from);
	return run_one(&q, "the session is not in that state", e);
}

static enum attest_status sessions_expire(struct keyd_db *d, int64_t now,
					  struct attest_error *e)
{
	struct query q = query(d, SESSIONS_EXPIRE);
	uint64_t rows;

	put_number(&q, now);
	return run(&q, &rows, e);
}

/* ---- tenants and keys -------------------------------------------------------------------------- */

static enum attest_status tenant_add(struct keyd_db *d, const char *tenant,
				     const uint8_t wrapped[static KEYD_WRAPPED],
				     struct attest_error *e)
{
	struct query q = query(d, TENANT_ADD);

	put_text(&q, tenant);
	put_blob(&q, wrapped, KEYD_WRAPPED);
	return run_one(&q, "there is that tenant", e);
}

static enum attest_status tenant_get(struct keyd_db *d, const char *tenant,
				     uint8_t ret[static KEYD_WRAPPED], struct attest_error *e)
{
	struct query q = query(d, TENANT_GET);
	enum attest_status s;

	put_text(&q, tenant);
	s = row(&q, e);
	if (s == ATTEST_OK) {
		get_blob(&q, ret, KEYD_WRAPPED, KEYD_WRAPPED);
		return got(&q, e);
	}
	done(&q);
	return s;
}

static enum attest_status key_insert(struct keyd_db *d, const struct keyd_key_row *r,
				     struct attest_error *e)
{
	struct query q = query(d, KEY_ADD);

	put_name(&q, &r->name);
	put_number(&q, (int64_t)r->version);
	put_number(&q, r->made);
	put_number(&q, (int64_t)r->uses);
	put_number(&q, (int64_t)r->uses_max);
	put_blob(&q, r->sealed, r->sealed_len);
	put_blob(&q, r->mac, sizeof(r->mac));
	return run_one(&q, "there is that version", e);
}

static enum attest_status key_succeed(struct keyd_db *d, const struct keyd_key_row *before,
				      struct attest_error *e)
{
	struct query q = query(d, KEY_SUCCEED);

	put_name(&q, &before->name);
	put_number(&q, (int64_t)before->version);
	put_number(&q, (int64_t)before->successor);
	put_blob(&q, before->mac, sizeof(before->mac));
	return run_one(&q, "the version before is gone", e);
}

static enum attest_status key_newest(struct keyd_db *d, const struct keyd_name *name,
				     struct keyd_key_row *ret, struct attest_error *e)
{
	struct query q = query(d, KEY_NEWEST);
	enum attest_status s;

	put_name(&q, name);
	s = row(&q, e);
	if (s != ATTEST_OK) {
		done(&q);
		return s;
	}
	ret->name = *name;
	ret->version = get_count(&q);
	ret->made = get_number(&q);
	ret->uses = get_count(&q);
	ret->uses_max = get_count(&q);
	ret->successor = get_count(&q);
	ret->sealed_len = (uint32_t)get_blob(&q, ret->sealed, 0, sizeof(ret->sealed));
	get_blob(&q, ret->mac, sizeof(ret->mac), sizeof(ret->mac));
	return got(&q, e);
}

static enum attest_status key_count(struct keyd_db *d, const struct keyd_key_row *r,
				    uint64_t from, struct attest_error *e)
{
	struct query q = query(d, KEY_COUNT);

	put_name(&q, &r->name);
	put_number(&q, (int64_t)r->version);
	put_number(&q, (int64_t)r->uses);
	put_blob(&q, r->mac, sizeof(r->mac));
	put_number(&q, (int64_t)from);
	return run_one(&q, "the key was used, rotated or revoked meanwhile", e);
}

static enum attest_status revoke_and_owe(struct keyd_db *d, const struct keyd_name *name,
					 struct keyd_owed *owed, uint64_t *ret_versions,
					 struct attest_error *e)
{
	struct query q = query(d, KEY_REVOKE);
	uint64_t versions;
	enum attest_status s;

	put_name(&q, name);
	s = run(&q, &versions, e);
	if (s == ATTEST_OK && versions == 0)
		return attest_fail(e, ATTEST_REFUSED, "database", "",
				   "there is no such key, or it was revoked before");
	if (s != ATTEST_OK)
		return s;
	q = query(d, OWED_ADD);
	put_number(&q, owed->t);
	put_number(&q, owed->peer.uid);
	put_number(&q, owed->peer.pid);
	put_name(&q, name);
	s = run_one(&q, "it cannot be owed", e);
	if (s == ATTEST_OK) {
		owed->id = (uint64_t)sqlite3_last_insert_rowid(d->db);
		*ret_versions = versions;
	}
	return s;
}

static enum attest_status plain(struct keyd_db *d, enum statement which, struct attest_error *e)
{
	struct query q = query(d, which);
	uint64_t rows;

	return run(&q, &rows, e);
}

static enum attest_status key_add(struct keyd_db *d, const struct keyd_key_row *before,
				  const struct keyd_key_row *r, struct attest_error *e)
{
	enum attest_status s = plain(d, BEGIN, e);

	if (s != ATTEST_OK)
		return s;
	if (before)
		s = key_succeed(d, before, e);
	if (s == ATTEST_OK)
		s = key_insert(d, r, e);
	if (s == ATTEST_OK)
		s = plain(d, COMMIT, e);
	if (s != ATTEST_OK)
		(void)!plain(d, ROLLBACK, NULL); /* it may be over already */
	return s;
}

static enum attest_status key_revoke(struct keyd_db *d, const struct keyd_name *name,
				     struct keyd_owed *owed, uint64_t *ret_versions,
				     struct attest_error *e)
{
	enum attest_status s = plain(d, BEGIN, e);

	if (s != ATTEST_OK)
		return s;
	s = revoke_and_owe(d, name, owed, ret_versions, e);
	if (s == ATTEST_OK)
		s = plain(d, COMMIT, e);
	if (s != ATTEST_OK)
		(void)!plain(d, ROLLBACK, NULL); /* it may be over already */
	else /* out of the write-ahead log as well; later, where a reader is in the way */
		(void)sqlite3_wal_checkpoint_v2(d->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL,
						NULL);
	return s;
}

static enum attest_status keys_list(struct keyd_db *d, const char *tenant,
				    bool (*each)(void *arg, const struct keyd_key_row *row),
				    void *arg, struct attest_error *e)
{
	struct query q = query(d, KEYS_LIST);
	enum attest_status s;

	put_text(&q, tenant);
	while ((s = row(&q, e)) == ATTEST_OK && !q.bad) {
		struct keyd_key_row r = { .version = 0 };

		get_name(&q, &r.name);
		r.version = get_count(&q);
		r.made = get_number(&q);
		r.uses = get_count(&q);
		r.uses_max = get_count(&q);
		r.sealed_len = (uint32_t)get_count(&q);
		if (!q.bad && !each(arg, &r))
			break;
	}
	s = s == ATTEST_REFUSED ? ATTEST_OK : s; /* the end */
	return s == ATTEST_OK ? got(&q, e) : (done(&q), s);
}

/* ---- policies ----------------------------------------------------------------------------------- */

static enum attest_status policy_add(struct keyd_db *d, const struct keyd_policy_row *r,
				     struct attest_error *e)
{
	struct query q = query(d, POLICY_ADD);

	put_number(&q, (int64_t)r->generation);
	put_text(&q, r->tenant);
	put_number(&q, (int64_t)r->version);
	put_number(&q, r->made);
	put_blob(&q, r->text, r->len);
	put_blob(&q, r->mac, sizeof(r->mac));
	return run_one(&q, "another policy was stored meanwhile", e);
}

static void get_policy(struct query *q, struct keyd_policy_row *r)
{
	r->generation = get_count(q);
	get_text(q, r->tenant, sizeof(r->tenant));
	r->version = get_count(q);
	r->made = get_number(q);
	r->len = (uint32_t)get_blob(q, r->text, 1, sizeof(r->text));
	get_blob(q, r->mac, sizeof(r->mac), sizeof(r->mac));
}

static enum attest_status policy_at(struct keyd_db *d, const char *tenant, uint64_t generation,
				    struct keyd_policy_row *ret, struct attest_error *e)
{
	struct query q = query(d, POLICY_AT);
	enum attest_status s;

	put_text(&q, tenant);
	put_number(&q, generation > INT64_MAX ? INT64_MAX : (int64_t)generation);
	s = row(&q, e);
	if (s == ATTEST_OK) {
		get_policy(&q, ret);
		return got(&q, e);
	}
	done(&q);
	return s;
}

static enum attest_status policies_list(struct keyd_db *d, const char *tenant,
					bool (*each)(void *arg,
						     const struct keyd_policy_row *row),
					void *arg, struct attest_error *e)
{
	static struct keyd_policy_row r; /* large */
	struct query q = query(d, POLICIES_LIST);
	enum attest_status s;

	put_text(&q, tenant);
	while ((s = row(&q, e)) == ATTEST_OK && !q.bad) {
		get_policy(&q, &r);
		if (!q.bad && !each(arg, &r))
			break;
	}
	s = s == ATTEST_REFUSED ? ATTEST_OK : s; /* the end */
	return s == ATTEST_OK ? got(&q, e) : (done(&q), s);
}

static enum attest_status number_of(struct keyd_db *d, enum statement which, uint64_t *ret,
				    struct attest_error *e)
{
	struct query q = query(d, which);
	enum attest_status s = row(&q, e);
	uint64_t v;

	if (s != ATTEST_OK) {
		done(&q);
		return s;
	}
	v = get_count(&q);
	s = got(&q, e);
	if (s == ATTEST_OK)
		*ret = v;
	return s;
}

static enum attest_status generation(struct keyd_db *d, uint64_t *ret, struct attest_error *e)
{
	return number_of(d, GENERATION, ret, e);
}

/* ---- owed entries, and the log's size ---------------------------------------------------------- */

static enum attest_status owed_first(struct keyd_db *d, struct keyd_owed *ret,
				     struct attest_error *e)
{
	struct query q = query(d, OWED_FIRST);
	enum attest_status s = row(&q, e);

	if (s != ATTEST_OK) {
		done(&q);
		return s;
	}
	ret->id = get_count(&q);
	ret->t = get_number(&q);
	ret->peer.uid = get_number(&q);
	ret->peer.pid = get_number(&q);
	get_name(&q, &ret->name);
	return got(&q, e);
}

static enum attest_status owed_drop(struct keyd_db *d, uint64_t id, struct attest_error *e)
{
	struct query q = query(d, OWED_DROP);

	put_number(&q, (int64_t)id);
	return run_one(&q, "there is no such entry", e);
}

static enum attest_status get_log_size(struct keyd_db *d, uint64_t *ret, struct attest_error *e)
{
	return number_of(d, LOG_SIZE, ret, e);
}

static enum attest_status set_log_size(struct keyd_db *d, uint64_t size, struct attest_error *e)
{
	struct query q = query(d, SET_LOG_SIZE);

	put_number(&q, (int64_t)size);
	return run_one(&q, "the row is gone", e);
}

const struct keyd_engine keyd_sqlite = {
	.name = "sqlite",
	.open = sqlite_open,
	.close = sqlite_close,
	.session_add = session_add,
	.session_get = session_get,
	.session_swap = session_swap,
	.sessions_expire = sessions_expire,
	.tenant_add = tenant_add,
	.tenant_get = tenant_get,
	.key_add = key_add,
	.key_newest = key_newest,
	.key_count = key_count,
	.key_revoke = key_revoke,
	.keys_list = keys_list,
	.policy_add = policy_add,
	.policy_at = policy_at,
	.policies_list = policies_list,
	.generation = generation,
	.owed_first = owed_first,
	.owed_drop = owed_drop,
	.log_size = get_log_size,
	.set_log_size = set_log_size,
};
