/*
 * attest/keyd_release.c - a secret leaves: evaluate, count durably, log durably, seal. Each
 * step is done, and durable, before the next begins; the secret is not even opened before
 * the last.
 */
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "attest/jwe.h"
#include "attest/keyd_fault.h"
#include "attest/keyd_internal.h"

#define TRIES 8 /* another store may count at the same time */

/* ---- evaluate ------------------------------------------------------------------------------ */

static enum attest_status no(struct attest_error *e, const char *why)
{
	return attest_fail(e, ATTEST_REFUSED, "release", "", "%s", why);
}

/* A row that was changed is damage, not an answer. */
static enum attest_status checked(enum attest_status check)
{
	return check == ATTEST_REFUSED ? ATTEST_MALFORMED : check;
}

static enum attest_status policy_at(struct keyd_store *s, const char *tenant,
				    uint64_t generation, struct keyd_policy_row *ret,
				    struct attest_error *e)
{
	enum attest_status status = s->engine->policy_at(s->db, tenant, generation, ret, e);

	if (status == ATTEST_REFUSED)
		return no(e, "the tenant had no policy when the session attested");
	return status == ATTEST_OK ? checked(keyd_policy_check(s->root, ret, e)) : status;
}

/* A judge that could not tell has not allowed. */
static enum attest_status allows(struct keyd_store *s, const struct keyd_name *name,
				 const struct keyd_policy_row *policy, struct attest_error *e)
{
	const struct keyd_judge *j = &s->config.judge;
	enum attest_status status = j->allows(j->arg, name, policy->text, policy->len,
					      &s->stored.verdict, keyd_now(s), e);

	return status == ATTEST_OK ? ATTEST_OK : ATTEST_REFUSED;
}

/* The resource's path alone chooses the policies; what the session says of its tenant is
 * compared, and a session that says nothing is the policies' to judge. */
static enum attest_status evaluate(struct keyd_store *s, const struct keyd_name *name,
				   struct attest_error *e)
{
	const char *tenant = s->stored.verdict.tenant;
	enum attest_status status;

	if (tenant[0] && strcmp(tenant, name->tenant) != 0)
		return no(e, "the session is another tenant's");
	status = policy_at(s, name->tenant, s->stored.generation, &s->pinned, e);
	if (status == ATTEST_OK)
		status = policy_at(s, name->tenant, UINT64_MAX, &s->current, e);
	if (status == ATTEST_OK)
		status = allows(s, name, &s->pinned, e);
	if (status == ATTEST_OK && s->current.generation != s->pinned.generation)
		status = allows(s, name, &s->current, e);
	return status;
}

/* ---- count ------------------------------------------------------------------------------------ */

enum attest_status keyd_key_newest(struct keyd_store *s, const struct keyd_name *name,
				   struct attest_error *e)
{
	enum attest_status status = s->engine->key_newest(s->db, name, &s->key, e);

	if (status == ATTEST_OK)
		status = checked(keyd_key_check(s->root, &s->key, e));
	if (status == ATTEST_OK && s->key.successor > 0)
		status = attest_fail(e, ATTEST_MALFORMED, "key",
				     "restore the database from a copy",
				     "its version %llu is gone from the database",
				     (unsigned long long)s->key.successor);
	return status;
}

static enum attest_status find(struct keyd_store *s, const struct keyd_name *name,
			       struct attest_error *e)
{
	struct keyd_key_row *k = &s->key;
	enum attest_status status = keyd_key_newest(s, name, e);

	if (status == ATTEST_REFUSED)
		return no(e, "there is no such key");
	if (status != ATTEST_OK)
		return status;
	if (k->sealed_len == 0)
		return no(e, "the key was revoked");
	return k->uses_max && k->uses >= k->uses_max ? no(e, "all uses of the key are used up")
						     : ATTEST_OK;
}

static enum attest_status count(struct keyd_store *s, const struct keyd_name *name,
				struct attest_error *e)
{
	enum attest_status status = ATTEST_REFUSED;

	for (int i = 0; i < TRIES && status == ATTEST_REFUSED; i++) {
		status = find(s, name, e);
		if (status != ATTEST_OK)
			return status;
		s->key.uses++;
		status = keyd_key_mark(s->root, &s->key);
		if (status == ATTEST_OK)
			status = s->engine->key_count(s->db, &s->key, s->key.uses - 1, e);
	}
	return status;
}

/* ---- log --------------------------------------------------------------------------------------- */

static enum attest_status record(struct keyd_store *s, const struct keyd_name *name,
				 enum log_outcome outcome, const char *why,
				 struct attest_error *e)
{
	char handle[KEYD_HANDLE], path[KEYD_PATH];
	struct log_entry entry;

	keyd_session_handle(s, handle);
	keyd_path(name, path);
	keyd_log_begin(s->log, &entry, "key.release");
	entry.tenant = name->tenant;
	entry.object = path;
	entry.outcome = outcome;
	entry.reason = why;
	keyd_say(&entry, "session", handle);
	keyd_say(&entry, "subject", s->stored.verdict.subject);
	keyd_say(&entry, "tee", s->stored.auth.tee);
	if (outcome == LOG_OK) {
		keyd_say_number(&entry, "version", s->key.version);
		keyd_say_number(&entry, "use", s->key.uses);
		keyd_say_number(&entry, "policy.current", s->current.version);
		keyd_say_number(&entry, "policy.pinned", s->pinned.version);
	}
	return keyd_log_put(s->log, &entry, e);
}

/* ---- seal --------------------------------------------------------------------------------------- */

static enum attest_status seal_to(const struct keyd_key *to, const uint8_t *secret, size_t len,
				  struct keyd_sealed *ret, struct attest_error *e)
{
	EVP_PKEY *key = NULL;
	size_t text_len = 0;
	char *text = NULL;
	struct jwk jwk;
	enum attest_status status;

	if (!keyd_key_get(to, &jwk))
		return attest_fail(e, ATTEST_MALFORMED, "session", "", "its key is none");
	status = jwk_key(&jwk, &key, e);
	if (status == ATTEST_OK)
		status = jwe_seal(key, secret, len, &text, &text_len, e);
	if (status == ATTEST_OK && text_len >= sizeof(ret->jwe))
		status = attest_fail(e, ATTEST_SYSTEM, "secret", "", "it is too long sealed");
	if (status == ATTEST_OK) {
		memset(ret->jwe, 0, sizeof(ret->jwe));
		memcpy(ret->jwe, text, text_len);
	}
	EVP_PKEY_free(key);
	free(text);
	return status;
}

/* To the key that the evidence was bound to, and no other. */
static enum attest_status seal(struct keyd_store *s, const struct keyd_name *name,
			       struct keyd_sealed *ret, struct attest_error *e)
{
	AUTO(guard_freep) uint8_t *kek = NULL;
	AUTO(guard_freep) uint8_t *secret = NULL;
	size_t len = 0;
	enum attest_status status = keyd_tenant_key(s, name->tenant, false, &kek, e);

	if (status == ATTEST_OK)
		status = keyd_secret_open(kek, &s->key, &secret, &len, e);
	return status == ATTEST_OK ? seal_to(&s->stored.key, secret, len, ret, e) : status;
}

/* ---- all of it ------------------------------------------------------------------------------------ */

static enum keyd_answer refused(struct keyd_store *s, const struct keyd_name *name,
				enum attest_status status, struct attest_error *e)
{
	bool denied = status == ATTEST_REFUSED;
	char why[sizeof(e->where) + sizeof(e->what) + 2];

	snprintf(why, sizeof(why), "%s%s%s", e->where, e->where[0] ? ": " : "", e->what);
	/* Nothing leaves: a log that fails changes nothing about that. */
	(void)!record(s, name, denied ? LOG_DENIED : LOG_ERROR, why, NULL);
	return denied ? KEYD_DENIED : KEYD_FAILED;
}

enum keyd_answer keyd_store_release(struct keyd_store *s, const struct keyd_release *in,
				    struct keyd_sealed *ret, struct attest_error *reterr)
{
	const struct keyd_name *name = &in->name;
	struct attest_error own = { .what = "" }, *e = reterr ? reterr : &own;
	enum attest_status status = keyd_session_load(s, in->session, KEYD_STATE_ATTESTED, e);

	if (status != ATTEST_OK)
		return status == ATTEST_REFUSED ? KEYD_NO_SESSION : KEYD_FAILED;
	status = evaluate(s, name, e);
	keyd_fault_point("keyd.evaluated");
	if (status == ATTEST_OK)
		status = count(s, name, e);
	if (status != ATTEST_OK)
		return refused(s, name, status, e);
	keyd_fault_point("keyd.counted");
	if (record(s, name, LOG_OK, NULL, e) != ATTEST_OK)
		return KEYD_FAILED;
	keyd_fault_point("keyd.logged");
	status = seal(s, name, ret, e);
	keyd_fault_point("keyd.sealed");
	/* The log says that it left; that it did not is one more entry. */
	return status == ATTEST_OK ? KEYD_OK : refused(s, name, ATTEST_SYSTEM, e);
}
