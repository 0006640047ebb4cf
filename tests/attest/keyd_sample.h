/*
 * tests/attest/keyd_sample.h - a store in a scratch folder, a client that attests and opens
 * what it gets, and a judge that reads one word.
 */
#pragma once

#include "attest/evidence.h"
#include "attest/jwe.h"
#include "attest/keyd_internal.h"
#include "policy/attestation.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define CANARY "the canary of a store that sings nowhere"

static char keyd_top[64];
static int keyd_fd = -1;
static int64_t keyd_time = 1800000000;
static unsigned keyd_asked; /* how often a policy was evaluated */

static inline int64_t sample_now(void)
{
	return keyd_time;
}

/* ---- a judge: "allow", "deny" or "broken", whatever else stands in the policy --------------- */

static inline bool says(const char *text, size_t len, const char *word)
{
	return memmem(text, len, word, strlen(word)) != NULL;
}

static inline enum attest_status sample_check(void *arg, const char *tenant, const char *text,
					      size_t len, struct attest_error *e)
{
	(void)arg;
	(void)tenant;
	return says(text, len, "no-references")
		       ? attest_fail(e, ATTEST_REFUSED, "policy", "",
				     "it accepts sandboxes without a reference value")
		       : ATTEST_OK;
}

static inline enum attest_status sample_allows(void *arg, const struct keyd_name *name,
					       const char *text, size_t len,
					       const struct keyd_verdict *v, int64_t at,
					       struct attest_error *e)
{
	(void)arg;
	(void)name;
	(void)at;
	keyd_asked++;
	if (says(text, len, "broken"))
		return attest_fail(e, ATTEST_SYSTEM, "policy", "", "could not tell");
	return v->verdict == VERDICT_ACCEPTED && says(text, len, "allow")
		       ? ATTEST_OK
		       : attest_fail(e, ATTEST_REFUSED, "policy", "", "a clause is false");
}

/* ---- folders ----------------------------------------------------------------------------------- */

static inline int sample_remove(const char *path, const struct stat *st, int kind,
				struct FTW *at)
{
	(void)st;
	(void)kind;
	(void)at;
	return remove(path);
}

static inline void sample_rmtree(const char *path)
{
	nftw(path, sample_remove, 16, FTW_DEPTH | FTW_PHYS);
}

/* In memory where there is such a file system: thousands of flushes are made. */
static inline void sample_folder(void)
{
	snprintf(keyd_top, sizeof(keyd_top), "%s/cordon-keyd.XXXXXX",
		 access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	assert_non_null(mkdtemp(keyd_top));
	keyd_fd = open(keyd_top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(keyd_fd >= 0);
}

static inline struct keyd_config sample_config(void)
{
	return (struct keyd_config){ .dirfd = keyd_fd,
				     .judge = { .check = sample_check,
						.allows = sample_allows },
				     .now = sample_now };
}

static inline struct keyd_store *sample_store_open(void)
{
	const struct keyd_config c = sample_config();
	struct attest_error e = { .what = "" };
	struct keyd_store *s = NULL;

	if (keyd_store_open(&c, &s, &e) != ATTEST_OK) {
		attest_error_print(stderr, "test", &e);
		fail();
	}
	return s;
}

static inline int store_begin(void **state)
{
	struct attest_error e = { .what = "" };

	keyd_time = 1800000000;
	keyd_asked = 0;
	sample_folder();
	if (keyd_store_init(keyd_fd, &e) != ATTEST_OK) {
		attest_error_print(stderr, "test", &e);
		return -1;
	}
	*state = sample_store_open();
	return 0;
}

static inline int store_end(void **state)
{
	keyd_store_close(*state);
	close(keyd_fd);
	sample_rmtree(keyd_top);
	return 0;
}

/* ---- what is in files ---------------------------------------------------------------------------- */

static struct {
	const void *what;
	size_t len, times;
	uint64_t seqs[4096]; /* of entries that have it, each once */
	size_t n_seqs;
} sought;

static inline uint8_t *load_path(const char *path, size_t *ret_len)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	uint8_t *bytes;

	assert_true(fd >= 0 && fstat(fd, &st) == 0);
	bytes = malloc((size_t)st.st_size + 1);
	assert_non_null(bytes);
	assert_int_equal(read(fd, bytes, (size_t)st.st_size), st.st_size);
	bytes[st.st_size] = 0;
	close(fd);
	*ret_len = (size_t)st.st_size;
	return bytes;
}

static inline void note_seq(const uint8_t *from, size_t left)
{
	const uint8_t *at = memmem(from, left, "\"seq\":", 6);
	uint64_t seq;

	if (!at)
		return;
	seq = strtoull((const char *)at + 6, NULL, 10);
	for (size_t i = 0; i < sought.n_seqs; i++)
		if (sought.seqs[i] == seq)
			return;
	sought.seqs[sought.n_seqs++] = seq;
}

static inline int seek_in(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
	size_t len = 0;
	uint8_t *bytes, *at;

	(void)ftw;
	if (kind != FTW_F || !S_ISREG(st->st_mode))
		return 0;
	bytes = load_path(path, &len);
	for (at = bytes; (at = memmem(at, len - (size_t)(at - bytes), sought.what, sought.len));
	     at++) {
		sought.times++;
		note_seq(at, len - (size_t)(at - bytes));
	}
	free(bytes);
	return 0;
}

/* How often the bytes are anywhere in the store's files. */
static inline size_t sought_in_files(const void *what, size_t len)
{
	sought.what = what;
	sought.len = len;
	sought.times = sought.n_seqs = 0;
	nftw(keyd_top, seek_in, 16, FTW_PHYS);
	return sought.times;
}

/* How many entries of the log have that text in front of their number. */
static inline size_t entries_with(const char *text)
{
	sought_in_files(text, strlen(text));
	return sought.n_seqs;
}

/* ---- an administrator ------------------------------------------------------------------------------- */

static inline struct keyd_name name_of(const char *path)
{
	struct attest_error e;
	struct keyd_name n;

	assert_int_equal(keyd_name_parse(path, &n, &e), ATTEST_OK);
	return n;
}

static inline enum keyd_answer administer(struct keyd_store *s, const struct keyd_message *m,
					  struct keyd_done *ret, struct attest_error *e)
{
	const struct keyd_peer peer = { .uid = geteuid(), .pid = getpid() };
	struct keyd_done done;

	return keyd_store_admin(s, &peer, m, NULL, NULL, ret ? ret : &done, e);
}

static inline enum keyd_answer try_put(struct keyd_store *s, enum keyd_type type,
				       const char *path, const char *value, uint64_t uses)
{
	static struct keyd_message m;

	memset(&m, 0, sizeof(m));
	m.type = type;
	m.put.name = name_of(path);
	m.put.uses = uses;
	m.put.len = value ? (uint32_t)strlen(value) : 0;
	if (value)
		memcpy(m.put.value, value, m.put.len);
	return administer(s, &m, NULL, NULL);
}

static inline void put_key(struct keyd_store *s, const char *path, const char *value,
			   uint64_t uses)
{
	assert_int_equal(try_put(s, KEYD_KEY_PUT, path, value, uses), KEYD_OK);
}

static inline enum keyd_answer try_push(struct keyd_store *s, const char *tenant,
					const char *text)
{
	static struct keyd_message m;

	memset(&m, 0, sizeof(m));
	m.type = KEYD_POLICY_PUSH;
	snprintf(m.push.tenant, sizeof(m.push.tenant), "%s", tenant);
	m.push.len = (uint32_t)strlen(text);
	memcpy(m.push.text, text, m.push.len);
	return administer(s, &m, NULL, NULL);
}

static inline void push_policy(struct keyd_store *s, const char *tenant, const char *text)
{
	assert_int_equal(try_push(s, tenant, text), KEYD_OK);
}

static inline enum keyd_answer try_revoke(struct keyd_store *s, const char *path,
					  struct keyd_done *ret)
{
	static struct keyd_message m;

	memset(&m, 0, sizeof(m));
	m.type = KEYD_KEY_REVOKE;
	m.revoke.name = name_of(path);
	return administer(s, &m, ret, NULL);
}

/* ---- a client ------------------------------------------------------------------------------------------ */

struct client {
	EVP_PKEY *key;
	struct keyd_challenge challenge;
	struct keyd_attest attest;
	struct keyd_verify verify;
};

static inline void client_free(struct client *c)
{
	EVP_PKEY_free(c->key);
	c->key = NULL;
}

static inline void client_auth(struct client *c, struct keyd_store *s)
{
	static const struct keyd_auth in = { .tee = "cordon-sandbox" };
	struct attest_error e = { .what = "" };
	struct jwk jwk;

	c->key = EVP_EC_gen("P-256");
	assert_non_null(c->key);
	assert_int_equal(jwk_of(c->key, &jwk, &e), ATTEST_OK);
	assert_int_equal(keyd_store_auth(s, &in, &c->challenge, &e), KEYD_OK);
	memcpy(c->attest.session, c->challenge.session, KEYD_SESSION);
	memcpy(c->attest.nonce, c->challenge.nonce, KEYD_NONCE);
	keyd_key_set(&c->attest.key, &jwk);
}

static inline struct keyd_verdict good_verdict(const char *tenant)
{
	struct keyd_verdict v = { .verdict = VERDICT_ACCEPTED,
				  .tier = TIER_AFFIRMING,
				  .class = ATTESTATION_SANDBOX };

	snprintf(v.tenant, sizeof(v.tenant), "%s", tenant);
	v.checks[CHECK_FRESHNESS] = v.checks[CHECK_MEASUREMENT] = OUTCOME_PASS;
	return v;
}

static inline enum keyd_answer client_attest(struct client *c, struct keyd_store *s)
{
	return keyd_store_attest(s, &c->attest, &c->verify, NULL);
}

static inline enum keyd_answer client_verdict(struct client *c, struct keyd_store *s,
					      const struct keyd_verdict *v)
{
	struct keyd_attested attested;

	return keyd_store_attested(s, c->challenge.session, v, NULL, &attested, NULL);
}

/* A session of the tenant. */
static inline void client_begin(struct client *c, struct keyd_store *s, const char *tenant)
{
	const struct keyd_verdict v = good_verdict(tenant);

	client_auth(c, s);
	assert_int_equal(client_attest(c, s), KEYD_OK);
	assert_int_equal(client_verdict(c, s, &v), KEYD_OK);
}

static inline enum keyd_answer client_ask(struct client *c, struct keyd_store *s,
					  const char *path, struct keyd_sealed *ret)
{
	struct keyd_release in = { .name = name_of(path) };
	struct attest_error e = { .what = "" };
	enum keyd_answer a;

	memcpy(in.session, c->challenge.session, KEYD_SESSION);
	a = keyd_store_release(s, &in, ret, &e);
	assert_null(strstr(e.what, CANARY));
	return a;
}

/* The value that the client opens is `value`. */
static inline void client_gets(struct client *c, struct keyd_store *s, const char *path,
			       const char *value)
{
	static struct keyd_sealed sealed;
	struct attest_error e = { .what = "" };
	void *secret = NULL;
	size_t len = 0;

	memset(&sealed, 0, sizeof(sealed));
	assert_int_equal(client_ask(c, s, path, &sealed), KEYD_OK);
	assert_int_equal(jwe_open(c->key, sealed.jwe, strlen(sealed.jwe), &secret, &len, &e),
			 ATTEST_OK);
	assert_int_equal(len, strlen(value));
	assert_memory_equal(secret, value, len);
	guard_free(secret);
}

/* It gets nothing, not even a byte. */
static inline void client_gets_none(struct client *c, struct keyd_store *s, const char *path,
				    enum keyd_answer why)
{
	static struct keyd_sealed sealed;

	memset(&sealed, 0, sizeof(sealed));
	assert_int_equal(client_ask(c, s, path, &sealed), why);
	assert_int_equal(sealed.jwe[0], 0);
}
