/* attest/keyd_envelope.c - see attest/keyd_envelope.h. */
#include "attest/keyd_envelope.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <string.h>

#include "attest/keyd_internal.h"
#include "policy/reader.h"

#define NONCE 12u
#define TAG 16u

struct keyd_root {
	uint8_t wrap[32], mark[32];
};

/* ---- what is bound, and to what -------------------------------------------------------- */

/* Parts with their lengths in front; the first says what it is. */
struct parts {
	uint8_t bytes[1024];
	struct wr w;
};

static void part(struct parts *p, const void *bytes, size_t len)
{
	wr_u32le(&p->w, (uint32_t)len);
	wr_bytes(&p->w, bytes, len);
}

static void part_text(struct parts *p, const char *text)
{
	part(p, text, strlen(text));
}

static void part_u64(struct parts *p, uint64_t v)
{
	wr_u32le(&p->w, 8);
	wr_u64le(&p->w, v);
}

static void parts_begin(struct parts *p, const char *what)
{
	p->w = (struct wr){ .at = p->bytes, .left = sizeof(p->bytes) };
	part_text(p, what);
}

static size_t parts_len(const struct parts *p)
{
	return sizeof(p->bytes) - p->w.left;
}

static void part_name(struct parts *p, const struct keyd_name *n)
{
	part_text(p, n->tenant);
	part_text(p, n->type);
	part_text(p, n->tag);
}

/* ---- AES-256-GCM ------------------------------------------------------------------------- */

static enum attest_status no_crypto(struct attest_error *e)
{
	return attest_fail(e, ATTEST_SYSTEM, "libcrypto", "", "it could not seal or open");
}

/* `ret` has room for NONCE + len + TAG. */
static enum attest_status gcm_seal(const uint8_t key[static 32], const struct parts *bound,
				   const uint8_t *in, size_t len, uint8_t *ret,
				   struct attest_error *e)
{
	EVP_CIPHER_CTX *cx = EVP_CIPHER_CTX_new();
	int n = 0;
	bool done = cx && !bound->w.bad && RAND_bytes(ret, NONCE) == 1 &&
		    EVP_EncryptInit_ex2(cx, EVP_aes_256_gcm(), key, ret, NULL) == 1 &&
		    EVP_EncryptUpdate(cx, NULL, &n, bound->bytes, (int)parts_len(bound)) == 1 &&
		    EVP_EncryptUpdate(cx, ret + NONCE, &n, in, (int)len) == 1 &&
		    n == (int)len && EVP_EncryptFinal_ex(cx, ret + NONCE + len, &n) == 1 &&
		    EVP_CIPHER_CTX_ctrl(cx, EVP_CTRL_AEAD_GET_TAG, TAG, ret + NONCE + len) == 1;

	EVP_CIPHER_CTX_free(cx);
	return done ? ATTEST_OK : no_crypto(e);
}

/* `ret` has room for len - NONCE - TAG, and is to be forgotten unless ATTEST_OK. */
static enum attest_status gcm_open(const uint8_t key[static 32], const struct parts *bound,
				   const uint8_t *in, size_t len, uint8_t *ret,
				   const char *where, struct attest_error *e)
{
	EVP_CIPHER_CTX *cx = EVP_CIPHER_CTX_new();
	uint8_t tag[TAG];
	int n = 0, rest = (int)(len - NONCE - TAG);
	bool ready, done;

	memcpy(tag, in + len - TAG, TAG);
	ready = cx && !bound->w.bad &&
		EVP_DecryptInit_ex2(cx, EVP_aes_256_gcm(), key, in, NULL) == 1 &&
		EVP_DecryptUpdate(cx, NULL, &n, bound->bytes, (int)parts_len(bound)) == 1 &&
		EVP_DecryptUpdate(cx, ret, &n, in + NONCE, rest) == 1 && n == rest &&
		EVP_CIPHER_CTX_ctrl(cx, EVP_CTRL_AEAD_SET_TAG, TAG, tag) == 1;
	done = ready && EVP_DecryptFinal_ex(cx, ret + n, &n) == 1;
	EVP_CIPHER_CTX_free(cx);
	if (!ready)
		return no_crypto(e);
	return done ? ATTEST_OK
		    : attest_fail(e, ATTEST_REFUSED, where, "restore the database from a copy",
				  "it was changed in the database, or belongs elsewhere");
}

/* ---- the root ----------------------------------------------------------------------------- */

static bool hmac(const uint8_t key[static 32], const void *bytes, size_t len,
		 uint8_t ret[static 32])
{
	size_t n = 0;

	return EVP_Q_mac(NULL, "HMAC", NULL, "SHA256", NULL, key, 32, bytes, len, ret, 32,
			 &n) != NULL &&
	       n == 32;
}

enum attest_status keyd_root_new(const uint8_t bytes[static KEYD_ROOT], struct keyd_root **ret,
				 struct attest_error *reterr)
{
	static const char wrap[] = "cordon keyd 1: tenant keys";
	static const char mark[] = "cordon keyd 1: rows";
	struct keyd_root *r = guard_alloc(sizeof(*r));

	if (!r)
		return keyd_no_memory("root key", reterr);
	if (!hmac(bytes, wrap, strlen(wrap), r->wrap) ||
	    !hmac(bytes, mark, strlen(mark), r->mark)) {
		guard_free(r);
		return no_crypto(reterr);
	}
	*ret = r;
	return ATTEST_OK;
}

void keyd_root_free(struct keyd_root *r)
{
	guard_free(r);
}

/* ---- tenants -------------------------------------------------------------------------------- */

static void bind_tenant(struct parts *p, const char *tenant)
{
	parts_begin(p, "tenant key");
	part_text(p, tenant);
}

enum attest_status keyd_tenant_make(const struct keyd_root *r, const char *tenant,
				    uint8_t ret[static KEYD_WRAPPED],
				    struct attest_error *reterr)
{
	AUTO(guard_freep) uint8_t *kek = guard_alloc(KEYD_KEK);
	struct parts bound;

	if (!kek)
		return keyd_no_memory(tenant, reterr);
	if (RAND_priv_bytes(kek, KEYD_KEK) != 1)
		return no_crypto(reterr);
	bind_tenant(&bound, tenant);
	return gcm_seal(r->wrap, &bound, kek, KEYD_KEK, ret, reterr);
}

enum attest_status keyd_tenant_open(const struct keyd_root *r, const char *tenant,
				    const uint8_t wrapped[static KEYD_WRAPPED], uint8_t **ret,
				    struct attest_error *reterr)
{
	AUTO(guard_freep) uint8_t *kek = guard_alloc(KEYD_KEK);
	struct parts bound;
	enum attest_status s;

	if (!kek)
		return keyd_no_memory(tenant, reterr);
	bind_tenant(&bound, tenant);
	s = gcm_open(r->wrap, &bound, wrapped, KEYD_WRAPPED, kek, "the tenant's key", reterr);
	if (s == ATTEST_OK) {
		*ret = kek;
		kek = NULL;
	}
	return s;
}

/* ---- secrets -------------------------------------------------------------------------------- */

static void bind_secret(struct parts *p, const struct keyd_key_row *row)
{
	parts_begin(p, "secret");
	part_name(p, &row->name);
	part_u64(p, row->version);
	part_u64(p, row->uses_max);
}

enum attest_status keyd_secret_seal(const uint8_t kek[static KEYD_KEK],
				    struct keyd_key_row *row, const uint8_t *secret, size_t len,
				    struct attest_error *reterr)
{
	struct parts bound;

	if (len == 0 || len > KEYD_SECRET_MAX)
		return attest_fail(reterr, ATTEST_REFUSED, row->name.tag, "",
				   "a secret has 1 to %u bytes", KEYD_SECRET_MAX);
	bind_secret(&bound, row);
	row->sealed_len = (uint32_t)(NONCE + len + TAG);
	return gcm_seal(kek, &bound, secret, len, row->sealed, reterr);
}

enum attest_status keyd_secret_open(const uint8_t kek[static KEYD_KEK],
				    const struct keyd_key_row *row, uint8_t **ret,
				    size_t *ret_len, struct attest_error *reterr)
{
	size_t len = row->sealed_len;
	AUTO(guard_freep) uint8_t *secret = NULL;
	struct parts bound;
	enum attest_status s;

	if (len <= NONCE + TAG || len > sizeof(row->sealed))
		return attest_fail(reterr, ATTEST_REFUSED, "the secret", "",
				   "it was revoked, or is none");
	secret = guard_alloc(len - NONCE - TAG);
	if (!secret)
		return keyd_no_memory("the secret", reterr);
	bind_secret(&bound, row);
	s = gcm_open(kek, &bound, row->sealed, len, secret, "the secret", reterr);
	if (s == ATTEST_OK) {
		*ret = secret;
		*ret_len = len - NONCE - TAG;
		secret = NULL;
	}
	return s;
}

/* ---- rows ------------------------------------------------------------------------------------ */

/* What is large goes in by its digest. */
static void part_digest(struct parts *p, const void *bytes, size_t len)
{
	uint8_t digest[32];
	size_t n = 0;

	p->w.bad |= EVP_Q_digest(NULL, "SHA256", NULL, bytes, len, digest, &n) != 1 || n != 32;
	part(p, digest, sizeof(digest));
}

static void row_session(struct parts *p, const struct keyd_session_row *row)
{
	parts_begin(p, "session");
	part(p, row->id, sizeof(row->id));
	part_u64(p, row->state);
	part_u64(p, (uint64_t)row->made);
	part_u64(p, (uint64_t)row->expires);
	part_digest(p, row->body, row->body_len);
}

static void row_key(struct parts *p, const struct keyd_key_row *row)
{
	parts_begin(p, "key");
	part_name(p, &row->name);
	part_u64(p, row->version);
	part_u64(p, (uint64_t)row->made);
	part_u64(p, row->uses_max);
	part_u64(p, row->uses);
	part_u64(p, row->successor);
}

static void row_policy(struct parts *p, const struct keyd_policy_row *row)
{
	parts_begin(p, "policy");
	part_text(p, row->tenant);
	part_u64(p, row->generation);
	part_u64(p, row->version);
	part_u64(p, (uint64_t)row->made);
	part_digest(p, row->text, row->len);
}

static enum attest_status mark(const struct keyd_root *r, const struct parts *p,
			       uint8_t ret[static KEYD_MAC])
{
	return !p->w.bad && hmac(r->mark, p->bytes, parts_len(p), ret) ? ATTEST_OK
								       : ATTEST_SYSTEM;
}

static enum attest_status check(const struct keyd_root *r, const struct parts *p,
				const uint8_t mac[static KEYD_MAC], const char *where,
				struct attest_error *e)
{
	uint8_t wanted[KEYD_MAC];

	if (mark(r, p, wanted) != ATTEST_OK)
		return no_crypto(e);
	if (CRYPTO_memcmp(wanted, mac, KEYD_MAC) == 0)
		return ATTEST_OK;
	return attest_fail(e, ATTEST_REFUSED, where, "restore the database from a copy",
			   "its row was changed in the database, or belongs elsewhere");
}

enum attest_status keyd_session_mark(const struct keyd_root *r, struct keyd_session_row *row)
{
	struct parts p;

	row_session(&p, row);
	return mark(r, &p, row->mac);
}

enum attest_status keyd_session_check(const struct keyd_root *r,
				      const struct keyd_session_row *row,
				      struct attest_error *reterr)
{
	struct parts p;

	row_session(&p, row);
	return check(r, &p, row->mac, "session", reterr);
}

enum attest_status keyd_key_mark(const struct keyd_root *r, struct keyd_key_row *row)
{
	struct parts p;

	row_key(&p, row);
	return mark(r, &p, row->mac);
}

enum attest_status keyd_key_check(const struct keyd_root *r, const struct keyd_key_row *row,
				  struct attest_error *reterr)
{
	struct parts p;

	row_key(&p, row);
	return check(r, &p, row->mac, "key", reterr);
}

enum attest_status keyd_policy_mark(const struct keyd_root *r, struct keyd_policy_row *row)
{
	struct parts p;

	row_policy(&p, row);
	return mark(r, &p, row->mac);
}

enum attest_status keyd_policy_check(const struct keyd_root *r,
				     const struct keyd_policy_row *row,
				     struct attest_error *reterr)
{
	struct parts p;

	row_policy(&p, row);
	return check(r, &p, row->mac, "policy", reterr);
}
