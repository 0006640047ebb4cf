/* attest/kbs_messages.c - Request, Challenge, Attestation, its response, errors. */
#include <jansson.h>
#include <string.h>
#include <strings.h>

#include "attest/json_reader.h"
#include "attest/kbs.h"
#include "policy/text.h"

#define AUTO(fn) __attribute__((cleanup(fn)))
#define HASHES_OFFERED "supported-hash-algorithms"
#define HASH_SELECTED "selected-hash-algorithm"
#define SMALL_MESSAGE (64u << 10) /* Request and Challenge are less than 1 KiB */

static void json_freep(json_t **v)
{
	json_decref(*v);
}

/* ---- members ----------------------------------------------------------------------- */

/* An object and its place in the message, for errors: "" is the message itself. */
struct place {
	json_t *object;
	const char *path;
};

static enum attest_status load(struct span body, size_t max, json_t **ret,
			       struct attest_error *e)
{
	struct json_caps caps = { .bytes = max, .depth = KBS_DEPTH, .values = KBS_VALUES };

	return jr_object(body, &caps, "message", ret, e);
}

static enum attest_status malformed(const struct place *p, const char *name, const char *what,
				    struct attest_error *e)
{
	char where[128];

	snprintf(where, sizeof(where), "%s%s%s", p->path, p->path[0] ? "." : "", name);
	return attest_fail(e, ATTEST_MALFORMED, where, NULL, "%s", what);
}

static enum attest_status take_any(const struct place *p, const char *name, json_t **ret,
				   struct attest_error *e)
{
	json_t *v = json_object_get(p->object, name);

	if (!v)
		return malformed(p, name, "is missing", e);
	*ret = v;
	return ATTEST_OK;
}

static enum attest_status take_object(const struct place *p, const char *name, json_t **ret,
				      struct attest_error *e)
{
	enum attest_status s = take_any(p, name, ret, e);

	if (s == ATTEST_OK && !json_is_object(*ret))
		return malformed(p, name, "is not an object", e);
	return s;
}

static enum attest_status take_string(const struct place *p, const char *name, const char **ret,
				      struct attest_error *e)
{
	json_t *v = NULL;
	enum attest_status s = take_any(p, name, &v, e);

	if (s == ATTEST_OK && !json_is_string(v))
		return malformed(p, name, "is not a string", e);
	*ret = json_string_value(v);
	return s;
}

/* The text of `root`, which is freed here; NULL for it is no memory. */
static enum attest_status print(json_t *root, char **ret, size_t *ret_len,
				struct attest_error *e)
{
	char *text = root ? json_dumps(root, JSON_COMPACT) : NULL;

	json_decref(root);
	if (!text)
		return attest_fail(e, ATTEST_SYSTEM, "message", NULL, "no memory");
	*ret = text;
	*ret_len = strlen(text);
	return ATTEST_OK;
}

/* ---- Request ----------------------------------------------------------------------- */

static bool hash_by_name(const char *name, enum kbs_hash *ret)
{
	for (enum kbs_hash h = KBS_SHA384; name && h < KBS_HASHES; h++)
		if (strcasecmp(name, kbs_hash_str(h)) == 0) {
			*ret = h;
			return true;
		}
	return false;
}

static bool is_tee(const char *s)
{
	size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-");

	return n > 0 && n < KBS_TEE && s[n] == '\0';
}

/* extra-params may be anything; where it holds no list, there is the default only. */
static unsigned hashes_offered(const json_t *extra)
{
	const json_t *list = json_object_get(extra, HASHES_OFFERED);
	unsigned all = 0;
	enum kbs_hash h = KBS_SHA384;

	if (!json_is_array(list))
		return 1u << KBS_SHA384;
	for (size_t i = 0; i < json_array_size(list); i++)
		if (hash_by_name(json_string_value(json_array_get(list, i)), &h))
			all |= 1u << h;
	return all;
}

/* The version comes first: the other members of another version are of another shape. */
static enum attest_status take_version(const struct place *p, struct attest_error *e)
{
	const char *version = NULL;
	enum attest_status s = take_string(p, "version", &version, e);

	if (s == ATTEST_OK && strcmp(version, KBS_VERSION) != 0)
		return attest_fail(e, ATTEST_REFUSED, "version", NULL,
				   "KBS Client Protocol Version Mismatch: only %s is spoken "
				   "here",
				   KBS_VERSION);
	return s;
}

enum attest_status kbs_request_parse(struct span body, struct kbs_request *ret,
				     struct attest_error *reterr)
{
	AUTO(json_freep) json_t *root = NULL;
	struct place top = { .path = "" };
	const char *tee = NULL;
	json_t *extra = NULL;
	enum attest_status s = load(body, SMALL_MESSAGE, &root, reterr);

	if (s != ATTEST_OK)
		return s;
	top.object = root;
	s = take_version(&top, reterr);
	if (s == ATTEST_OK)
		s = take_string(&top, "tee", &tee, reterr);
	if (s == ATTEST_OK && !is_tee(tee))
		s = malformed(&top, "tee", "is no name of a TEE", reterr);
	if (s == ATTEST_OK)
		s = take_any(&top, "extra-params", &extra, reterr);
	if (s != ATTEST_OK)
		return s;
	snprintf(ret->tee, sizeof(ret->tee), "%s", tee);
	ret->hashes = hashes_offered(extra);
	return ATTEST_OK;
}

enum attest_status kbs_request_write(const char *tee, char **ret, size_t *ret_len,
				     struct attest_error *reterr)
{
	if (!is_tee(tee))
		return attest_fail(reterr, ATTEST_MALFORMED, "tee", NULL,
				   "is no name of a TEE");
	return print(json_pack("{s:s, s:s, s:{s:[s,s,s]}}", "version", KBS_VERSION, "tee", tee,
			       "extra-params", HASHES_OFFERED, kbs_hash_str(KBS_SHA256),
			       kbs_hash_str(KBS_SHA384), kbs_hash_str(KBS_SHA512)),
		     ret, ret_len, reterr);
}

/* ---- Challenge --------------------------------------------------------------------- */

static bool is_nonce(const char *s)
{
	size_t n = strlen(s);

	return n > 0 && n < KBS_NONCE;
}

static enum attest_status take_nonce(const struct place *p, const char **ret,
				     struct attest_error *e)
{
	enum attest_status s = take_string(p, "nonce", ret, e);

	if (s == ATTEST_OK && !is_nonce(*ret))
		return malformed(p, "nonce", "is empty or too long", e);
	return s;
}

/* Nothing selected is the default; a selection that is not understood must not become it. */
static enum attest_status take_hash(const struct place *p, enum kbs_hash *ret,
				    struct attest_error *e)
{
	struct place extra = { .path = "extra-params" };
	enum attest_status s = take_any(p, extra.path, &extra.object, e);
	const json_t *selected;

	if (s != ATTEST_OK)
		return s;
	selected = json_object_get(extra.object, HASH_SELECTED);
	*ret = KBS_SHA384;
	if (selected && !hash_by_name(json_string_value(selected), ret))
		return malformed(&extra, HASH_SELECTED, "is no hash that is known here", e);
	return ATTEST_OK;
}

enum attest_status kbs_challenge_parse(struct span body, struct kbs_challenge *ret,
				       struct attest_error *reterr)
{
	AUTO(json_freep) json_t *root = NULL;
	struct place top = { .path = "" };
	const char *nonce = NULL;
	enum kbs_hash hash = KBS_SHA384;
	enum attest_status s = load(body, SMALL_MESSAGE, &root, reterr);

	if (s != ATTEST_OK)
		return s;
	top.object = root;
	s = take_nonce(&top, &nonce, reterr);
	if (s == ATTEST_OK)
		s = take_hash(&top, &hash, reterr);
	if (s != ATTEST_OK)
		return s;
	snprintf(ret->nonce, sizeof(ret->nonce), "%s", nonce);
	ret->hash = hash;
	return ATTEST_OK;
}

enum attest_status kbs_challenge_write(const struct kbs_challenge *c, char **ret,
				       size_t *ret_len, struct attest_error *reterr)
{
	json_t *extra = c->hash == KBS_SHA384
				? json_string("")
				: json_pack("{s:s}", HASH_SELECTED, kbs_hash_str(c->hash));

	return print(json_pack("{s:s, s:o}", "nonce", c->nonce, "extra-params", extra), ret,
		     ret_len, reterr);
}

/* ---- Attestation ------------------------------------------------------------------- */

static enum attest_status take_runtime_data(const struct place *top, struct kbs_attestation *a,
					    struct attest_error *e)
{
	struct place p = { .path = "runtime-data" };
	enum attest_status s = take_object(top, p.path, &p.object, e);

	if (s == ATTEST_OK)
		s = take_nonce(&p, &a->nonce, e);
	if (s == ATTEST_OK)
		s = take_object(&p, "tee-pubkey", &a->tee_pubkey, e);
	return s;
}

static enum attest_status take_evidence(const struct place *top, struct kbs_attestation *a,
					struct attest_error *e)
{
	struct place p = { .path = "tee-evidence" };
	enum attest_status s = take_object(top, p.path, &p.object, e);

	if (s == ATTEST_OK)
		s = take_any(&p, "primary_evidence", &a->primary, e);
	if (s == ATTEST_OK)
		s = take_string(&p, "additional_evidence", &a->additional, e);
	return s;
}

static enum attest_status take_init_data(const struct place *top, struct kbs_attestation *a,
					 struct attest_error *e)
{
	struct place p = { .path = "init-data" };
	const char *format = NULL;
	const json_t *v = json_object_get(top->object, p.path);
	enum attest_status s;

	a->init_data = NULL;
	if (!v || json_is_null(v))
		return ATTEST_OK;
	s = take_object(top, p.path, &p.object, e);
	if (s == ATTEST_OK)
		s = take_string(&p, "format", &format, e);
	if (s == ATTEST_OK && strcmp(format, "toml") != 0)
		s = malformed(&p, "format", "is not \"toml\"", e);
	if (s == ATTEST_OK)
		s = take_string(&p, "body", &a->init_data, e);
	return s;
}

enum attest_status kbs_attestation_parse(struct span body, struct kbs_attestation *ret,
					 struct attest_error *reterr)
{
	AUTO(json_freep) json_t *root = NULL;
	struct place top = { .path = "" };
	struct kbs_attestation a = { .nonce = NULL };
	enum attest_status s = load(body, KBS_BODY_MAX, &root, reterr);

	if (s != ATTEST_OK)
		return s;
	top.object = root;
	s = take_runtime_data(&top, &a, reterr);
	if (s == ATTEST_OK)
		s = take_evidence(&top, &a, reterr);
	if (s == ATTEST_OK)
		s = take_init_data(&top, &a, reterr);
	if (s != ATTEST_OK)
		return s;
	a.root = json_incref(root);
	*ret = a;
	return ATTEST_OK;
}

void kbs_attestation_free(struct kbs_attestation *a)
{
	json_decref(a->root);
	*a = (struct kbs_attestation){ .nonce = NULL };
}

enum attest_status kbs_attestation_write(const struct kbs_attestation *a, char **ret,
					 size_t *ret_len, struct attest_error *reterr)
{
	json_t *init_data =
		a->init_data ? json_pack("{s:s, s:s}", "format", "toml", "body", a->init_data)
			     : json_null();

	if (!is_nonce(a->nonce) || !json_is_object(a->tee_pubkey) || !a->primary) {
		json_decref(init_data);
		return attest_fail(reterr, ATTEST_MALFORMED, "attestation", NULL,
				   "it has no nonce, key or evidence");
	}
	return print(json_pack("{s:o, s:{s:s, s:O}, s:{s:O, s:s}}", "init-data", init_data,
			       "runtime-data", "nonce", a->nonce, "tee-pubkey", a->tee_pubkey,
			       "tee-evidence", "primary_evidence", a->primary,
			       "additional_evidence", a->additional ? a->additional : ""),
		     ret, ret_len, reterr);
}

/* ---- response ---------------------------------------------------------------------- */

/* RFC 7515, section 7.1: three parts, none empty. What they say is for others to judge. */
static bool is_token(const char *s)
{
	unsigned parts = 0;

	if (strlen(s) > KBS_TOKEN_MAX)
		return false;
	while (parts < 3) {
		size_t n = strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				     "0123456789-_");

		s += n;
		if (n == 0 || *s != (++parts < 3 ? '.' : '\0'))
			return false;
		s += *s == '.';
	}
	return true;
}

enum attest_status kbs_token_parse(struct span body, char **ret, struct attest_error *reterr)
{
	AUTO(json_freep) json_t *root = NULL;
	struct place top = { .path = "" };
	const char *token = NULL;
	char *copy;
	enum attest_status s = load(body, KBS_TOKEN_MAX + SMALL_MESSAGE, &root, reterr);

	if (s != ATTEST_OK)
		return s;
	top.object = root;
	s = take_string(&top, "token", &token, reterr);
	if (s != ATTEST_OK)
		return s;
	if (!is_token(token))
		return malformed(&top, "token", "is no compact JWS", reterr);
	copy = strdup(token);
	if (!copy)
		return attest_fail(reterr, ATTEST_SYSTEM, "token", NULL, "no memory");
	*ret = copy;
	return ATTEST_OK;
}

enum attest_status kbs_token_write(const char *token, char **ret, size_t *ret_len,
				   struct attest_error *reterr)
{
	if (!is_token(token))
		return attest_fail(reterr, ATTEST_MALFORMED, "token", NULL,
				   "is no compact JWS");
	return print(json_pack("{s:s}", "token", token), ret, ret_len, reterr);
}

/* ---- error ------------------------------------------------------------------------- */

enum attest_status kbs_error_parse(struct span body, struct kbs_error *ret,
				   struct attest_error *reterr)
{
	AUTO(json_freep) json_t *root = NULL;
	struct place top = { .path = "" };
	const char *type = NULL, *detail = NULL, *slash;
	enum attest_status s = load(body, SMALL_MESSAGE, &root, reterr);

	if (s != ATTEST_OK)
		return s;
	top.object = root;
	s = take_string(&top, "type", &type, reterr);
	if (s == ATTEST_OK)
		s = take_string(&top, "detail", &detail, reterr);
	if (s != ATTEST_OK)
		return s;
	slash = strrchr(type, '/');
	text_escape(ret->type, sizeof(ret->type), slash ? slash + 1 : type);
	text_escape(ret->detail, sizeof(ret->detail), detail);
	return ATTEST_OK;
}
