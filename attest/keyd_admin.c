/*
 * attest/keyd_admin.c - keys and policies come in, and go. Each verb is in the log before it
 * acts; a revocation acts at once, and what it could not log is owed.
 */
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <string.h>

#include "attest/keyd_fault.h"
#include "attest/keyd_internal.h"

#define RANDOM_KEY 32u

struct request {
	struct keyd_store *s;
	const struct keyd_peer *peer;
	const struct keyd_message *in;
	keyd_line *line;
	void *arg;
	struct keyd_done *ret;
	struct attest_error *e;
};

/* ---- the log ------------------------------------------------------------------------------- */

static enum attest_status note(const struct request *r, const char *kind, const char *tenant,
			       const char *object, uint64_t version, const char *failure)
{
	struct log_entry entry;

	keyd_log_begin(r->s->log, &entry, kind);
	entry.actor = NULL;
	entry.uid = r->peer->uid;
	entry.pid = r->peer->pid;
	entry.tenant = tenant[0] ? tenant : NULL;
	entry.object = object;
	entry.outcome = failure ? LOG_ERROR : LOG_OK;
	entry.reason = failure;
	if (version)
		keyd_say_number(&entry, "version", version);
	return keyd_log_put(r->s->log, &entry, failure ? NULL : r->e);
}

/* It was logged, and then it was not done. */
static enum attest_status undone(const struct request *r, enum attest_status status,
				 const char *kind, const char *tenant, const char *object,
				 uint64_t version)
{
	if (status != ATTEST_OK)
		(void)!note(r, kind, tenant, object, version,
			    r->e->what[0] ? r->e->what : "it failed");
	return status;
}

/* ---- tenants' keys ---------------------------------------------------------------------------- */

static enum attest_status make_tenant(struct keyd_store *s, const char *tenant,
				      uint8_t wrapped[static KEYD_WRAPPED],
				      struct attest_error *e)
{
	enum attest_status status = keyd_tenant_make(s->root, tenant, wrapped, e);

	if (status == ATTEST_OK)
		status = s->engine->tenant_add(s->db, tenant, wrapped, e);
	/* Another store was faster: then its key is the key. */
	return status == ATTEST_REFUSED ? s->engine->tenant_get(s->db, tenant, wrapped, e)
					: status;
}

enum attest_status keyd_tenant_key(struct keyd_store *s, const char *tenant, bool make,
				   uint8_t **ret, struct attest_error *e)
{
	uint8_t wrapped[KEYD_WRAPPED];
	enum attest_status status = s->engine->tenant_get(s->db, tenant, wrapped, e);

	if (status == ATTEST_REFUSED && make)
		status = make_tenant(s, tenant, wrapped, e);
	return status == ATTEST_OK ? keyd_tenant_open(s->root, tenant, wrapped, ret, e)
				   : status;
}

/* ---- put, rotate --------------------------------------------------------------------------------- */

static enum attest_status seal_value(const struct request *r, const uint8_t *value, size_t len)
{
	struct keyd_key_row *k = &r->s->key, *before = &r->s->before;
	AUTO(guard_freep) uint8_t *kek = NULL;
	enum attest_status status = keyd_tenant_key(r->s, k->name.tenant, true, &kek, r->e);

	if (status == ATTEST_OK)
		status = keyd_secret_seal(kek, k, value, len, r->e);
	if (status == ATTEST_OK)
		status = keyd_key_mark(r->s->root, k);
	if (status == ATTEST_OK && before->version > 0)
		status = keyd_key_mark(r->s->root, before);
	if (status != ATTEST_OK)
		return status;
	return r->s->engine->key_add(r->s->db, before->version > 0 ? before : NULL, k, r->e);
}

static enum attest_status store_value(const struct request *r)
{
	const struct keyd_key_put *p = &r->in->put;
	AUTO(guard_freep) uint8_t *random = NULL;

	if (p->len > 0)
		return seal_value(r, p->value, p->len);
	random = guard_alloc(RANDOM_KEY);
	if (!random)
		return keyd_no_memory("random key", r->e);
	if (RAND_priv_bytes(random, RANDOM_KEY) != 1)
		return attest_fail(r->e, ATTEST_SYSTEM, "libcrypto", "", "no random bytes");
	return seal_value(r, random, RANDOM_KEY);
}

/* The version that a put or a rotation makes; s->before learns of it. */
static enum attest_status next_version(const struct request *r, bool rotate, uint64_t *ret)
{
	struct keyd_store *s = r->s;
	enum attest_status status = keyd_key_newest(s, &r->in->put.name, r->e);
	bool there = status == ATTEST_OK;

	if (status != ATTEST_OK && status != ATTEST_REFUSED)
		return status;
	if (rotate && !there)
		return attest_fail(r->e, ATTEST_REFUSED, r->in->put.name.tag,
				   "put makes the first version", "there is no such key");
	if (rotate && s->key.sealed_len == 0)
		return attest_fail(r->e, ATTEST_REFUSED, r->in->put.name.tag,
				   "put makes a new version", "the key was revoked");
	if (!rotate && there && s->key.sealed_len > 0)
		return attest_fail(r->e, ATTEST_REFUSED, r->in->put.name.tag,
				   "rotate makes a new version", "there is that key already");
	*ret = there ? s->key.version + 1 : 1;
	memset(&s->before, 0, sizeof(s->before));
	if (there)
		s->before = s->key;
	s->before.successor = *ret;
	return ATTEST_OK;
}

static enum attest_status new_version(const struct request *r, const char *kind, bool rotate)
{
	const struct keyd_key_put *p = &r->in->put;
	char path[KEYD_PATH];
	uint64_t version = 0;
	enum attest_status status = next_version(r, rotate, &version);

	if (status != ATTEST_OK)
		return status;
	keyd_path(&p->name, path);
	status = note(r, kind, p->name.tenant, path, version, NULL);
	keyd_fault_point("keyd.put-logged");
	if (status != ATTEST_OK)
		return status;
	memset(&r->s->key, 0, sizeof(r->s->key));
	r->s->key.name = p->name;
	r->s->key.version = version;
	r->s->key.made = keyd_now(r->s);
	r->s->key.uses_max = p->uses;
	status = store_value(r);
	*r->ret = (struct keyd_done){ .version = version, .logged = 1 };
	return undone(r, status, kind, p->name.tenant, path, version);
}

static enum attest_status do_put(const struct request *r)
{
	return new_version(r, "key.put", false);
}

static enum attest_status do_rotate(const struct request *r)
{
	return new_version(r, "key.rotate", true);
}

/* ---- revoke -------------------------------------------------------------------------------------- */

static bool pay_one(struct keyd_store *s, const struct keyd_owed *owed, struct attest_error *e)
{
	char path[KEYD_PATH];
	struct log_entry entry;

	keyd_path(&owed->name, path);
	keyd_log_begin(s->log, &entry, "key.revoke");
	entry.actor = NULL;
	entry.uid = (uid_t)owed->peer.uid;
	entry.pid = (pid_t)owed->peer.pid;
	entry.tenant = owed->name.tenant;
	entry.object = path;
	keyd_say_number(&entry, "at", (uint64_t)(owed->t / 1000000000));
	keyd_say_number(&entry, "owed", owed->id);
	if (keyd_log_put(s->log, &entry, e) != ATTEST_OK)
		return false;
	keyd_fault_point("keyd.owed-logged"); /* it will be there twice, with one number */
	return s->engine->owed_drop(s->db, owed->id, e) == ATTEST_OK;
}

bool keyd_owed_pay(struct keyd_store *s, struct attest_error *e)
{
	struct keyd_owed owed;
	enum attest_status status;

	while ((status = s->engine->owed_first(s->db, &owed, e)) == ATTEST_OK)
		if (!pay_one(s, &owed, e))
			return false;
	return status == ATTEST_REFUSED;
}

static enum attest_status do_revoke(const struct request *r)
{
	const struct keyd_name *name = &r->in->revoke.name;
	struct keyd_store *s = r->s;
	struct log_entry now;
	struct keyd_owed owed = { .peer = { r->peer->uid, r->peer->pid } };
	uint64_t versions = 0;
	enum attest_status status;

	keyd_log_begin(s->log, &now, "key.revoke"); /* for its time */
	owed.t = now.t;
	status = s->engine->key_revoke(s->db, name, &owed, &versions, r->e);
	keyd_fault_point("keyd.revoked");
	if (status == ATTEST_REFUSED)
		return attest_fail(r->e, ATTEST_REFUSED, name->tag, "",
				   "there is no such key, or it was revoked before");
	if (status == ATTEST_OK)
		*r->ret = (struct keyd_done){ .version = versions,
					      .logged = keyd_owed_pay(s, NULL) };
	return status;
}

/* ---- policies --------------------------------------------------------------------------------------- */

static enum attest_status next_policy(const struct request *r, uint64_t *ret_generation,
				      uint64_t *ret_version)
{
	struct keyd_store *s = r->s;
	enum attest_status status = s->engine->generation(s->db, ret_generation, r->e);

	if (status != ATTEST_OK)
		return status;
	++*ret_generation;
	status = s->engine->policy_at(s->db, r->in->push.tenant, UINT64_MAX, &s->current, r->e);
	*ret_version = status == ATTEST_OK ? s->current.version + 1 : 1;
	return status == ATTEST_REFUSED ? ATTEST_OK : status;
}

static enum attest_status add_policy(const struct request *r, uint64_t generation,
				     uint64_t version)
{
	const struct keyd_policy_push *p = &r->in->push;
	struct keyd_policy_row *row = &r->s->current;
	enum attest_status status;

	memset(row, 0, sizeof(*row));
	row->generation = generation;
	row->version = version;
	row->made = keyd_now(r->s);
	memcpy(row->tenant, p->tenant, sizeof(row->tenant));
	memcpy(row->text, p->text, p->len);
	row->len = p->len;
	status = keyd_policy_mark(r->s->root, row);
	return status == ATTEST_OK ? r->s->engine->policy_add(r->s->db, row, r->e) : status;
}

static enum attest_status do_push(const struct request *r)
{
	const struct keyd_policy_push *p = &r->in->push;
	const struct keyd_judge *j = &r->s->config.judge;
	uint64_t generation = 0, version = 0;
	enum attest_status status = j->check(j->arg, p->tenant, p->text, p->len, r->e);

	if (status == ATTEST_OK)
		status = next_policy(r, &generation, &version);
	if (status == ATTEST_OK)
		status = note(r, "policy.push", p->tenant, NULL, version, NULL);
	if (status != ATTEST_OK)
		return status;
	status = add_policy(r, generation, version);
	*r->ret = (struct keyd_done){ .version = version, .logged = 1 };
	return undone(r, status, "policy.push", p->tenant, NULL, version);
}

/* ---- lists ------------------------------------------------------------------------------------------- */

/* A line is said when the next one is known: the last of a name is the one in use. */
struct listing {
	const struct request *r;
	struct keyd_message line; /* type 0: none yet */
	uint64_t n;
};

static bool same_name(const struct keyd_name *a, const struct keyd_name *b)
{
	return strcmp(a->tenant, b->tenant) == 0 && strcmp(a->type, b->type) == 0 &&
	       strcmp(a->tag, b->tag) == 0;
}

static bool say_pending(struct listing *l, const struct keyd_name *next)
{
	if (!l->line.type)
		return true;
	l->line.key.current =
		!l->line.key.revoked && (!next || !same_name(&l->line.key.name, next));
	l->n++;
	return l->r->line(l->r->arg, &l->line);
}

static bool list_key(void *arg, const struct keyd_key_row *k)
{
	struct listing *l = arg;

	if (!say_pending(l, &k->name))
		return false;
	l->line = (struct keyd_message){
		.type = KEYD_KEY,
		.ticket = l->r->in->ticket,
		.key = { .name = k->name,
			 .version = k->version,
			 .uses = k->uses,
			 .uses_max = k->uses_max,
			 .made = k->made,
			 .revoked = k->sealed_len == 0 },
	};
	return true;
}

static enum attest_status do_key_list(const struct request *r)
{
	static struct listing l; /* large */
	const char *tenant = r->in->list.tenant;
	enum attest_status status = note(r, "key.list", tenant, NULL, 0, NULL);

	if (status != ATTEST_OK)
		return status;
	l = (struct listing){ .r = r };
	status = r->s->engine->keys_list(r->s->db, tenant, list_key, &l, r->e);
	if (status == ATTEST_OK && !say_pending(&l, NULL))
		return attest_fail(r->e, ATTEST_SYSTEM, "list", "", "nobody listens any more");
	*r->ret = (struct keyd_done){ .version = l.n, .logged = 1 };
	return status;
}

static bool list_policy(void *arg, const struct keyd_policy_row *p)
{
	struct listing *l = arg;
	struct keyd_policy_line *line = &l->line.policy;
	size_t n = 0;

	l->line = (struct keyd_message){ .type = KEYD_POLICY, .ticket = l->r->in->ticket };
	memcpy(line->tenant, p->tenant, sizeof(line->tenant));
	line->version = p->version;
	line->made = p->made;
	line->len = p->len;
	l->n++;
	return EVP_Q_digest(NULL, "SHA256", NULL, p->text, p->len, line->sha256, &n) == 1 &&
	       l->r->line(l->r->arg, &l->line);
}

static enum attest_status do_policy_list(const struct request *r)
{
	static struct listing l; /* large */
	const char *tenant = r->in->list.tenant;
	enum attest_status status = note(r, "policy.list", tenant, NULL, 0, NULL);

	if (status != ATTEST_OK)
		return status;
	l = (struct listing){ .r = r };
	status = r->s->engine->policies_list(r->s->db, tenant, list_policy, &l, r->e);
	*r->ret = (struct keyd_done){ .version = l.n, .logged = 1 };
	return status;
}

/* ---- all of them ------------------------------------------------------------------------------------- */

/* One entry a minute tells that somebody knocks who may not: he must not fill the log. */
enum attest_status keyd_forbid(struct keyd_store *s, const struct keyd_peer *peer,
			       const char *what, struct attest_error *e)
{
	struct log_entry entry;
	uint64_t since = s->forbidden++;

	if (keyd_now(s) >= s->forbidden_at + 60 || keyd_now(s) < s->forbidden_at) {
		keyd_log_begin(s->log, &entry, "admin");
		entry.actor = NULL;
		entry.uid = peer->uid;
		entry.pid = peer->pid;
		entry.outcome = LOG_DENIED;
		entry.reason = "the user is no administrator of the key service";
		keyd_say(&entry, "verb", what);
		keyd_say_number(&entry, "others", since);
		if (keyd_log_put(s->log, &entry, NULL) == ATTEST_OK) {
			s->forbidden_at = keyd_now(s);
			s->forbidden = 0;
		}
	}
	return attest_fail(e, ATTEST_REFUSED, "key service", "",
			   "user %u is none of its administrators", (unsigned)peer->uid);
}

static enum attest_status (*const verbs[KEYD_TYPES])(const struct request *r) = {
	[KEYD_KEY_PUT] = do_put,       [KEYD_KEY_LIST] = do_key_list,
	[KEYD_KEY_ROTATE] = do_rotate, [KEYD_KEY_REVOKE] = do_revoke,
	[KEYD_POLICY_PUSH] = do_push,  [KEYD_POLICY_LIST] = do_policy_list,
};

enum keyd_answer keyd_store_admin(struct keyd_store *s, const struct keyd_peer *peer,
				  const struct keyd_message *in, keyd_line *line, void *arg,
				  struct keyd_done *ret, struct attest_error *reterr)
{
	static const enum keyd_answer answers[] = { [ATTEST_OK] = KEYD_OK,
						    [ATTEST_REFUSED] = KEYD_REFUSED,
						    [ATTEST_MALFORMED] = KEYD_MALFORMED,
						    [ATTEST_SYSTEM] = KEYD_FAILED };
	struct attest_error own = { .what = "" };
	struct keyd_done done = { .version = 0 };
	const struct request r = { .s = s,
				   .peer = peer,
				   .in = in,
				   .line = line,
				   .arg = arg,
				   .ret = &done,
				   .e = reterr ? reterr : &own };
	enum attest_status status;

	if (!keyd_store_may_administer(s, peer->uid))
		status = keyd_forbid(s, peer, keyd_type_str(in->type), r.e);
	else if (in->type >= KEYD_TYPES || !verbs[in->type])
		status = attest_fail(r.e, ATTEST_MALFORMED, keyd_type_str(in->type), "",
				     "this is no verb of an administrator's");
	else
		status = verbs[in->type](&r);
	if (status == ATTEST_OK)
		*ret = done;
	return answers[status];
}
