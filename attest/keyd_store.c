/* attest/keyd_store.c - the folder of a store: made, opened, kept in order. */
#include "attest/keyd_store.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "attest/keyd_files.h"
#include "attest/keyd_internal.h"

#define DATABASE "store.db"
#define NEW_DATABASE "new.db"
#define ROOT_KEY "root.kek"
#define LOG_KEY "log.key"
#define TOKEN_KEY "token.key"
#define SEED 32u
#define DER_MAX 512u
/* A tenant that nobody can have: its key shows that root.kek is this database's. */
#define WITNESS "-"
#define IDLE_MS 1000

int64_t keyd_now(const struct keyd_store *s)
{
	return s->config.now();
}

static int64_t clock_now(void)
{
	return (int64_t)time(NULL);
}

void keyd_path(const struct keyd_name *n, char ret[static KEYD_PATH])
{
	snprintf(ret, KEYD_PATH, "kbs:///%s/%s/%s", n->tenant, n->type, n->tag);
}

/* ---- making one ---------------------------------------------------------------------------- */

static enum attest_status no_random(struct attest_error *e)
{
	return attest_fail(e, ATTEST_SYSTEM, "libcrypto", "", "no random bytes");
}

/* One that is there already is kept: an earlier init came this far. */
static enum attest_status make_secret(int dirfd, const char *name, const void *bytes,
				      size_t len, struct attest_error *e)
{
	enum attest_status s = keyd_file_make(dirfd, name, 0400, bytes, len, e);

	return s == ATTEST_REFUSED ? ATTEST_OK : s;
}

static enum attest_status make_root(int dirfd, struct attest_error *e)
{
	AUTO(guard_freep) uint8_t *root = guard_alloc(KEYD_ROOT);

	if (!root)
		return keyd_no_memory(ROOT_KEY, e);
	if (RAND_priv_bytes(root, KEYD_ROOT) != 1)
		return no_random(e);
	return make_secret(dirfd, ROOT_KEY, root, KEYD_ROOT, e);
}

/* HOST/cordon-keyd/RANDOM, as a log's origin must be: no spaces, no plus. */
static bool new_origin(char ret[static NOTE_NAME])
{
	char host[64] = "";
	uint8_t random[4];

	(void)gethostname(host, sizeof(host) - 1); /* or it is called "host" */
	for (char *c = host; *c; c++)
		if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-",
			    *c))
			*c = '-';
	if (RAND_bytes(random, sizeof(random)) != 1)
		return false;
	snprintf(ret, NOTE_NAME, "%s/cordon-keyd/%02x%02x%02x%02x", host[0] ? host : "host",
		 random[0], random[1], random[2], random[3]);
	return true;
}

/* The seed, and behind it the log's name. */
static enum attest_status make_log_key(int dirfd, struct attest_error *e)
{
	AUTO(guard_freep) uint8_t *key = guard_alloc(SEED + NOTE_NAME);
	char *name = key ? (char *)key + SEED : NULL;

	if (!key)
		return keyd_no_memory(LOG_KEY, e);
	if (RAND_priv_bytes(key, SEED) != 1 || !new_origin(name))
		return no_random(e);
	return make_secret(dirfd, LOG_KEY, key, SEED + strlen(name), e);
}

static enum attest_status make_token_key(int dirfd, struct attest_error *e)
{
	AUTO(guard_freep) uint8_t *der = NULL;
	size_t len = 0;
	enum attest_status s = keyd_token_key_new(&der, &len, e);

	return s == ATTEST_OK ? make_secret(dirfd, TOKEN_KEY, der, len, e) : s;
}

static enum attest_status load_root(int dirfd, struct keyd_root **ret, struct attest_error *e)
{
	AUTO(guard_freep) uint8_t *bytes = guard_alloc(KEYD_ROOT + 1);
	size_t len = 0;
	enum attest_status s;

	if (!bytes)
		return keyd_no_memory(ROOT_KEY, e);
	s = keyd_file_secret(dirfd, ROOT_KEY, bytes, KEYD_ROOT + 1, &len, e);
	if (s == ATTEST_OK && len != KEYD_ROOT)
		s = attest_fail(e, ATTEST_REFUSED, ROOT_KEY, "restore it from a copy",
				"it has not the %u bytes of a root key", KEYD_ROOT);
	return s == ATTEST_OK ? keyd_root_new(bytes, ret, e) : s;
}

static enum attest_status fill_database(struct keyd_db *db, int dirfd, struct attest_error *e)
{
	uint8_t wrapped[KEYD_WRAPPED];
	struct keyd_root *root = NULL;
	enum attest_status s = load_root(dirfd, &root, e);

	if (s == ATTEST_OK)
		s = keyd_tenant_make(root, WITNESS, wrapped, e);
	if (s == ATTEST_OK)
		s = keyd_sqlite.tenant_add(db, WITNESS, wrapped, e);
	keyd_root_free(root);
	return s;
}

/* Under another name until it is whole: a database that is there is one. */
static enum attest_status make_database(int dirfd, struct attest_error *e)
{
	static const char *const left[] = { NEW_DATABASE, NEW_DATABASE "-wal",
					    NEW_DATABASE "-shm" };
	struct keyd_db *db = NULL;
	enum attest_status s;

	for (size_t i = 0; i < sizeof(left) / sizeof(*left); i++)
		if (unlinkat(dirfd, left[i], 0) != 0 && errno != ENOENT)
			return attest_fail(e, ATTEST_SYSTEM, left[i], "",
					   "it cannot be removed: %m");
	s = keyd_sqlite.open(dirfd, NEW_DATABASE, true, &db, e);
	if (s == ATTEST_OK)
		s = fill_database(db, dirfd, e);
	keyd_sqlite.close(db);
	if (s == ATTEST_OK &&
	    renameat2(dirfd, NEW_DATABASE, dirfd, DATABASE, RENAME_NOREPLACE) != 0)
		s = attest_fail(e, ATTEST_SYSTEM, DATABASE, "", "it cannot be made: %m");
	if (s == ATTEST_OK && fsync(dirfd) != 0)
		s = attest_fail(e, ATTEST_SYSTEM, DATABASE, "", "it cannot be flushed: %m");
	return s;
}

enum attest_status keyd_store_init(int dirfd, struct attest_error *reterr)
{
	enum attest_status s;

	if (faccessat(dirfd, DATABASE, F_OK, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT)
		return attest_fail(reterr, ATTEST_REFUSED, DATABASE, "name an empty folder",
				   "there is a store already");
	s = make_root(dirfd, reterr);
	if (s == ATTEST_OK)
		s = make_log_key(dirfd, reterr);
	if (s == ATTEST_OK)
		s = make_token_key(dirfd, reterr);
	return s == ATTEST_OK ? make_database(dirfd, reterr) : s;
}

/* ---- opening one ----------------------------------------------------------------------------- */

static enum attest_status judge_root(struct keyd_store *s, struct attest_error *e)
{
	uint8_t wrapped[KEYD_WRAPPED], *kek = NULL;
	enum attest_status status = s->engine->tenant_get(s->db, WITNESS, wrapped, e);

	if (status == ATTEST_OK)
		status = keyd_tenant_open(s->root, WITNESS, wrapped, &kek, e);
	guard_free(kek);
	return status != ATTEST_REFUSED
		       ? status
		       : attest_fail(e, ATTEST_REFUSED, ROOT_KEY,
				     "restore root.kek and store.db from one copy",
				     "it is not the root key of this database");
}

static enum attest_status open_log(struct keyd_store *s, struct attest_error *e)
{
	AUTO(guard_freep) char *key = guard_alloc(SEED + NOTE_NAME);
	struct note_signer *signer = NULL;
	char vkey[NOTE_VKEY], line[NOTE_VKEY + 1];
	size_t len = 0;
	enum attest_status status;

	if (!key)
		return keyd_no_memory(LOG_KEY, e);
	status = keyd_file_secret(s->config.dirfd, LOG_KEY, key, SEED + NOTE_NAME - 1, &len, e);
	if (status == ATTEST_OK && len <= SEED)
		status = attest_fail(e, ATTEST_REFUSED, LOG_KEY, "restore it from a copy",
				     "this is no key of a log");
	if (status == ATTEST_OK)
		status = note_signer_new(key + SEED, (const uint8_t *)key, &signer, e);
	if (status != ATTEST_OK)
		return status;
	note_verifier_print(note_signer_verifier(signer), vkey);
	snprintf(line, sizeof(line), "%s\n", vkey);
	status = keyd_file_show(s->config.dirfd, "log.vkey", line, strlen(line), e);
	if (status == ATTEST_OK)
		status = s->engine->log_size(s->db, &s->log_seen, e);
	if (status == ATTEST_OK)
		return keyd_log_open(s->config.dirfd, signer, s->log_seen, &s->log, e);
	note_signer_free(signer);
	return status;
}

static enum attest_status open_token_key(struct keyd_store *s, struct attest_error *e)
{
	AUTO(guard_freep) uint8_t *der = guard_alloc(DER_MAX);
	char pem[KEYD_PEM];
	size_t len = 0;
	enum attest_status status;

	if (!der)
		return keyd_no_memory(TOKEN_KEY, e);
	status = keyd_file_secret(s->config.dirfd, TOKEN_KEY, der, DER_MAX, &len, e);
	if (status != ATTEST_OK)
		return status;
	status = keyd_token_key_open(der, len, &s->token_key, pem, &len, e);
	if (status == ATTEST_OK)
		status = keyd_file_show(s->config.dirfd, "token.pub", pem, len, e);
	return status;
}

static bool take_config(struct keyd_store *s, const struct keyd_config *c)
{
	s->config = *c;
	if (!s->config.session_seconds)
		s->config.session_seconds = 300;
	if (!s->config.verify_seconds)
		s->config.verify_seconds = 30;
	if (!s->config.sessions_max)
		s->config.sessions_max = 4096;
	if (!s->config.now)
		s->config.now = clock_now;
	s->admins = calloc(c->n_admins + 1, sizeof(*s->admins));
	if (!s->admins)
		return false;
	for (size_t i = 0; i < c->n_admins; i++)
		s->admins[i] = c->admins[i];
	s->config.admins = s->admins;
	s->config.dirfd = fcntl(c->dirfd, F_DUPFD_CLOEXEC, 3);
	return s->config.dirfd >= 0;
}

static enum attest_status open_all(struct keyd_store *s, struct attest_error *e)
{
	enum attest_status status = load_root(s->config.dirfd, &s->root, e);

	if (status == ATTEST_OK)
		status = s->engine->open(s->config.dirfd, DATABASE, false, &s->db, e);
	if (status == ATTEST_OK)
		status = judge_root(s, e);
	if (status == ATTEST_OK)
		status = open_token_key(s, e);
	return status == ATTEST_OK ? open_log(s, e) : status;
}

enum attest_status keyd_store_open(const struct keyd_config *config, struct keyd_store **ret,
				   struct attest_error *reterr)
{
	struct keyd_store *s;
	enum attest_status status;

	if (!guard_process())
		return attest_fail(reterr, ATTEST_SYSTEM, "process", "",
				   "it cannot be kept out of core dumps: %m");
	s = calloc(1, sizeof(*s));
	if (!s)
		return attest_fail(reterr, ATTEST_SYSTEM, "store", "", "no memory");
	s->engine = &keyd_sqlite;
	s->pack = keyd_wire_new();
	s->config.dirfd = -1;
	if (!s->pack)
		status = keyd_no_memory("store", reterr);
	else if (!take_config(s, config))
		status = attest_fail(reterr, ATTEST_SYSTEM, "store", "", "%m");
	else
		status = open_all(s, reterr);
	if (status == ATTEST_OK)
		*ret = s;
	else
		keyd_store_close(s);
	return status;
}

/* The database remembers how long the log is: one that was cut or removed is seen. */
static void remember_log(struct keyd_store *s)
{
	uint64_t size = keyd_log_size(s->log);

	if (size > s->log_seen && s->engine->set_log_size(s->db, size, NULL) == ATTEST_OK)
		s->log_seen = size;
}

void keyd_store_close(struct keyd_store *s)
{
	if (!s)
		return;
	if (s->log)
		remember_log(s);
	keyd_log_close(s->log);
	if (s->db)
		s->engine->close(s->db);
	keyd_root_free(s->root);
	keyd_wire_free(s->pack);
	guard_free(s->token_key);
	free(s->admins);
	if (s->config.dirfd >= 0)
		close(s->config.dirfd);
	free(s);
}

const struct attest_error *keyd_store_trouble(const struct keyd_store *s)
{
	return keyd_log_trouble(s->log);
}

bool keyd_store_may_administer(const struct keyd_store *s, uid_t uid)
{
	bool may = uid == geteuid();

	for (size_t i = 0; i < s->config.n_admins; i++)
		may |= uid == s->config.admins[i];
	return may;
}

/* ---- now and then ------------------------------------------------------------------------------ */

static int64_t mono_ms(void)
{
	struct timespec t = { 0 };

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int keyd_store_tick(struct keyd_store *s)
{
	int64_t now = mono_ms(), due;

	(void)!s->engine->sessions_expire(s->db, keyd_now(s), NULL); /* or next time */
	(void)keyd_owed_pay(s, NULL);
	if (keyd_log_due(s->log) <= now) {
		keyd_log_publish(s->log);
		remember_log(s);
	}
	due = keyd_log_due(s->log);
	if (due >= now + IDLE_MS)
		return IDLE_MS;
	return due > now ? (int)(due - now) : 0;
}
