/*
 * attest/keyd_wire.c - messages as bytes, and bytes over sockets. Each type's layout is a
 * table of fields; writing and reading walk the same one.
 */
#include "attest/keyd_wire.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "attest/evidence.h"
#include "attest/kbs.h"
#include "memscrub/guard.h"
#include "memscrub/memscrub.h"
#include "policy/attestation.h"
#include "policy/reader.h"
#include "policy/text.h"

#define MAGIC 0x31444b43u /* "CKD1" as bytes */
#define HEAD (4u + 4u + 8u)
#define LIVES_MAX (366 * 86400) /* seconds */
#define TIME_MAX (INT64_C(1) << 40)

/* ---- layouts ------------------------------------------------------------------------- */

enum field_kind { END = 0, U32, U64, TEXT, BYTES, LENGTH, COUNT };

/* LENGTH: a u32, and in `next` bytes of which so many are used. COUNT: a u32, and in `next`
 * elements of which so many are; the others are zero. */
struct field {
	enum field_kind kind;
	size_t at, size, next;
	uint64_t min, max;
	const struct field *element; /* COUNT: its fields */
	size_t stride;
};

/* clang-format off */
#define SIZE_OF(T, M)         sizeof(((T *)NULL)->M)
#define F_U32(T, M, MIN, MAX) { .kind = U32, .at = offsetof(T, M), .min = (MIN), .max = (MAX) }
#define F_U64(T, M, MAX)      { .kind = U64, .at = offsetof(T, M), .max = (MAX) }
#define F_TEXT(T, M)          { .kind = TEXT, .at = offsetof(T, M), .size = SIZE_OF(T, M) }
#define F_BYTES(T, M)         { .kind = BYTES, .at = offsetof(T, M), .size = SIZE_OF(T, M) }
#define F_COUNTED(T, LEN, M)  { .kind = LENGTH, .at = offsetof(T, LEN), .next = offsetof(T, M), \
				.size = SIZE_OF(T, M), .max = SIZE_OF(T, M) }
/* NOLINTNEXTLINE(bugprone-macro-parentheses): M is the path of a member */
#define F_NAME(T, M)          F_TEXT(T, M.tenant), F_TEXT(T, M.type), F_TEXT(T, M.tag)
#define F_END                 { .kind = END }
/* clang-format on */

static const struct field f_auth[] = {
	F_TEXT(struct keyd_auth, tee),
	F_U32(struct keyd_auth, hash, 0, KBS_HASHES - 1),
	F_END,
};

static const struct field f_challenge[] = {
	F_BYTES(struct keyd_challenge, session),
	F_BYTES(struct keyd_challenge, nonce),
	F_U32(struct keyd_challenge, seconds, 1, LIVES_MAX),
	F_END,
};

static const struct field f_attest[] = {
	F_BYTES(struct keyd_attest, session),
	F_BYTES(struct keyd_attest, nonce),
	F_U32(struct keyd_attest, key.kind, JWK_P256, JWK_KINDS - 1),
	F_COUNTED(struct keyd_attest, key.a_len, key.a),
	F_COUNTED(struct keyd_attest, key.b_len, key.b),
	F_END,
};

static const struct field f_attested[] = {
	F_U32(struct keyd_attested, tier, TIER_WARNING, TIER_AFFIRMING),
	F_U32(struct keyd_attested, seconds, 1, LIVES_MAX),
	F_TEXT(struct keyd_attested, token),
	F_END,
};

static const struct field f_release[] = {
	F_BYTES(struct keyd_release, session),
	F_NAME(struct keyd_release, name),
	F_END,
};

static const struct field f_sealed[] = { F_TEXT(struct keyd_sealed, jwe), F_END };

static const struct field f_no[] = {
	F_U32(struct keyd_no, answer, KEYD_OK + 1, KEYD_ANSWERS - 1),
	F_TEXT(struct keyd_no, text),
	F_TEXT(struct keyd_no, hint),
	F_END,
};

static const struct field f_verify[] = {
	F_TEXT(struct keyd_verify, tee),
	F_BYTES(struct keyd_verify, report_data),
	F_U64(struct keyd_verify, at, TIME_MAX),
	F_END,
};

static const struct field f_claim[] = {
	F_TEXT(struct keyd_claim, name),
	F_U32(struct keyd_claim, type, 0, CLAIM_TCB),
	F_U64(struct keyd_claim, number, UINT64_MAX),
	F_COUNTED(struct keyd_claim, len, bytes),
	F_END,
};

/* clang-format off */
#define F_VERDICT(T, M)                                                                        \
	F_U32(T, M verdict, VERDICT_REFUSED, VERDICT_ACCEPTED),                                \
	F_U32(T, M tier, TIER_NONE, TIER_AFFIRMING),                                           \
	F_U32(T, M class, 0, ATTESTATION_SIMULATED),                                           \
	F_BYTES(T, M checks), F_BYTES(T, M excepted),                                          \
	F_TEXT(T, M tenant), F_TEXT(T, M subject), F_TEXT(T, M reason),                        \
	{ .kind = COUNT, .at = offsetof(T, M n_claims), .next = offsetof(T, M claims),         \
	  .size = KEYD_CLAIMS, .element = f_claim, .stride = sizeof(struct keyd_claim) }
/* clang-format on */

static const struct field f_verdict[] = { F_VERDICT(struct keyd_verdict, ), F_END };

static const struct field f_stored[] = {
	F_BYTES(struct keyd_stored, nonce),
	F_TEXT(struct keyd_stored, auth.tee),
	F_U32(struct keyd_stored, auth.hash, 0, KBS_HASHES - 1),
	F_U32(struct keyd_stored, key.kind, 0, JWK_KINDS - 1),
	F_COUNTED(struct keyd_stored, key.a_len, key.a),
	F_COUNTED(struct keyd_stored, key.b_len, key.b),
	F_U64(struct keyd_stored, generation, INT64_MAX),
	F_VERDICT(struct keyd_stored, verdict.),
	F_END,
};

static const struct field f_put[] = {
	F_NAME(struct keyd_key_put, name),
	F_U64(struct keyd_key_put, uses, INT64_MAX),
	F_COUNTED(struct keyd_key_put, len, value),
	F_END,
};

static const struct field f_revoke[] = { F_NAME(struct keyd_key_revoke, name), F_END };
static const struct field f_list[] = { F_TEXT(struct keyd_list, tenant), F_END };

static const struct field f_push[] = {
	F_TEXT(struct keyd_policy_push, tenant),
	F_COUNTED(struct keyd_policy_push, len, text),
	F_END,
};

static const struct field f_key_line[] = {
	F_NAME(struct keyd_key_line, name),
	F_U64(struct keyd_key_line, version, INT64_MAX),
	F_U64(struct keyd_key_line, uses, INT64_MAX),
	F_U64(struct keyd_key_line, uses_max, INT64_MAX),
	F_U64(struct keyd_key_line, made, TIME_MAX),
	F_U32(struct keyd_key_line, revoked, 0, 1),
	F_U32(struct keyd_key_line, current, 0, 1),
	F_END,
};

static const struct field f_policy_line[] = {
	F_TEXT(struct keyd_policy_line, tenant),
	F_U64(struct keyd_policy_line, version, INT64_MAX),
	F_U64(struct keyd_policy_line, made, TIME_MAX),
	F_U32(struct keyd_policy_line, len, 0, KEYD_POLICY_MAX),
	F_BYTES(struct keyd_policy_line, sha256),
	F_END,
};

static const struct field f_done[] = {
	F_U64(struct keyd_done, version, INT64_MAX),
	F_U32(struct keyd_done, logged, 0, 1),
	F_END,
};

/* ---- what a table cannot say ---------------------------------------------------------- */

static bool segment_valid(const char *s)
{
	static const char inner[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789_-.";

	return s[0] && s[0] != '.' && s[strspn(s, inner)] == '\0';
}

bool keyd_tenant_valid(const char *tenant)
{
	return tenant[0] && tenant[0] != '-' &&
	       tenant[strspn(tenant, "abcdefghijklmnopqrstuvwxyz0123456789-")] == '\0';
}

bool keyd_name_valid(const struct keyd_name *n)
{
	return keyd_tenant_valid(n->tenant) && segment_valid(n->type) && segment_valid(n->tag);
}

bool keyd_key_get(const struct keyd_key *k, struct jwk *ret)
{
	struct jwk jwk = { .kind = (enum jwk_kind)k->kind,
			   .a_len = k->a_len,
			   .b_len = k->b_len };
	char text[JWK_TEXT];
	size_t len;

	if (k->a_len > sizeof(jwk.a) || k->b_len > sizeof(jwk.b))
		return false;
	memcpy(jwk.a, k->a, k->a_len);
	memcpy(jwk.b, k->b, k->b_len);
	*ret = jwk;
	return jwk_print(&jwk, JWK_TEE, text, &len);
}

void keyd_key_set(struct keyd_key *k, const struct jwk *from)
{
	*k = (struct keyd_key){ .kind = from->kind,
				.a_len = (uint32_t)from->a_len,
				.b_len = (uint32_t)from->b_len };
	memcpy(k->a, from->a, from->a_len);
	memcpy(k->b, from->b, from->b_len);
}

static bool claim_valid(const struct keyd_claim *c)
{
	if (!c->name[0])
		return false;
	switch (c->type) {
	case CLAIM_BYTES:
		return c->number == 0 && c->len <= CLAIM_BYTES_MAX;
	case CLAIM_NUMBER:
		return c->len == 0;
	case CLAIM_TIME:
		return c->number <= INT64_MAX && c->len == 0;
	case CLAIM_TRUTH:
		return c->number <= 1 && c->len == 0;
	case CLAIM_TEXT:
		return c->number == 0 && c->len < sizeof(c->bytes) &&
		       !memchr(c->bytes, 0, c->len);
	case CLAIM_TEXTS:
		return c->number == 0 && (c->len == 0 || c->bytes[c->len - 1] == 0);
	case CLAIM_TCB:
		return c->number < 1u << CLAIM_TCB_PARTS && c->len == CLAIM_TCB_PARTS;
	default:
		return false;
	}
}

/* Only an accepted one is anybody's; and it is of one class. */
static bool verdict_valid(const struct keyd_verdict *v)
{
	bool accepted = v->verdict == VERDICT_ACCEPTED;

	if (accepted != (v->tier >= TIER_WARNING) || (accepted && v->class == 0) ||
	    (v->class & (v->class - 1)) != 0)
		return false;
	for (size_t i = 0; i < KEYD_CHECKS; i++) {
		if (v->checks[i] > (i < CHECKS ? OUTCOME_PASS : 0) || v->excepted[i] > 1)
			return false;
		if (accepted && v->checks[i] == OUTCOME_FAIL)
			return false;
	}
	for (size_t i = 0; i < v->n_claims; i++)
		if (!claim_valid(&v->claims[i]))
			return false;
	return !v->tenant[0] || keyd_tenant_valid(v->tenant);
}

static bool check_auth(const struct keyd_message *m)
{
	return m->auth.tee[0] != '\0';
}

static bool check_attest(const struct keyd_message *m)
{
	struct jwk jwk;

	return keyd_key_get(&m->attest.key, &jwk);
}

static bool check_release(const struct keyd_message *m)
{
	return keyd_name_valid(&m->release.name);
}

static bool check_verify(const struct keyd_message *m)
{
	return m->verify.tee[0] != '\0';
}

static bool check_verdict(const struct keyd_message *m)
{
	return verdict_valid(&m->verdict);
}

static bool check_stored(const struct keyd_message *m)
{
	struct jwk jwk;

	return (m->stored.key.kind == 0 || keyd_key_get(&m->stored.key, &jwk)) &&
	       verdict_valid(&m->stored.verdict);
}

static bool check_put(const struct keyd_message *m)
{
	return keyd_name_valid(&m->put.name);
}

static bool check_revoke(const struct keyd_message *m)
{
	return keyd_name_valid(&m->revoke.name);
}

static bool check_list(const struct keyd_message *m)
{
	return !m->list.tenant[0] || keyd_tenant_valid(m->list.tenant);
}

static bool check_push(const struct keyd_message *m)
{
	return keyd_tenant_valid(m->push.tenant) && m->push.len > 0;
}

/* clang-format off */
static const struct rule {
	const char *name;
	const struct field *fields;
	bool (*check)(const struct keyd_message *m); /* NULL: the table says it all */
	size_t n_fds;
} rules[KEYD_TYPES] = {
	[KEYD_AUTH]        = { "AUTH",        f_auth,        check_auth,    0 },
	[KEYD_ATTEST]      = { "ATTEST",      f_attest,      check_attest,  1 },
	[KEYD_RELEASE]     = { "RELEASE",     f_release,     check_release, 0 },
	[KEYD_CHALLENGE]   = { "CHALLENGE",   f_challenge,   NULL,          0 },
	[KEYD_ATTESTED]    = { "ATTESTED",    f_attested,    NULL,          0 },
	[KEYD_SEALED]      = { "SEALED",      f_sealed,      NULL,          0 },
	[KEYD_NO]          = { "NO",          f_no,          NULL,          0 },
	[KEYD_VERIFY]      = { "VERIFY",      f_verify,      check_verify,  2 },
	[KEYD_VERDICT]     = { "VERDICT",     f_verdict,     check_verdict, 0 },
	[KEYD_KEY_PUT]     = { "KEY_PUT",     f_put,         check_put,     0 },
	[KEYD_KEY_LIST]    = { "KEY_LIST",    f_list,        check_list,    0 },
	[KEYD_KEY_ROTATE]  = { "KEY_ROTATE",  f_put,         check_put,     0 },
	[KEYD_KEY_REVOKE]  = { "KEY_REVOKE",  f_revoke,      check_revoke,  0 },
	[KEYD_POLICY_PUSH] = { "POLICY_PUSH", f_push,        check_push,    0 },
	[KEYD_POLICY_LIST] = { "POLICY_LIST", f_list,        check_list,    0 },
	[KEYD_KEY]         = { "KEY",         f_key_line,    NULL,          0 },
	[KEYD_POLICY]      = { "POLICY",      f_policy_line, NULL,          0 },
	[KEYD_DONE]        = { "DONE",        f_done,        NULL,          0 },
	[KEYD_STORED]      = { "STORED",      f_stored,      check_stored,  0 },
};
/* clang-format on */

static const struct rule *rule_of(uint32_t type)
{
	return type < KEYD_TYPES && rules[type].name ? &rules[type] : NULL;
}

const char *keyd_type_str(uint32_t type)
{
	const struct rule *r = rule_of(type);

	return r ? r->name : "unknown";
}

/* ---- walking the tables ----------------------------------------------------------------- */

static size_t fields_size(const struct field *f)
{
	size_t n = 0;

	for (; f->kind != END; f++)
		switch (f->kind) {
		case U32:
			n += 4;
			break;
		case U64:
			n += 8;
			break;
		case LENGTH:
			n += 4 + f->size;
			break;
		case COUNT:
			n += 4 + f->size * fields_size(f->element);
			break;
		case END:
		case TEXT:
		case BYTES:
			n += f->size;
			break;
		}
	return n;
}

size_t keyd_wire_size(uint32_t type)
{
	const struct rule *r = rule_of(type);

	return r ? HEAD + fields_size(r->fields) : 0;
}

static uint32_t u32_at(const void *record, size_t at)
{
	uint32_t v;

	memcpy(&v, (const char *)record + at, sizeof(v));
	return v;
}

static uint64_t u64_at(const void *record, size_t at)
{
	uint64_t v;

	memcpy(&v, (const char *)record + at, sizeof(v));
	return v;
}

static void write_fields(struct wr *w, const struct field *f, const void *record)
{
	const char *base = record;

	for (; f->kind != END; f++)
		switch (f->kind) {
		case U32:
			wr_u32le(w, u32_at(record, f->at));
			break;
		case U64:
			wr_u64le(w, u64_at(record, f->at));
			break;
		case TEXT:
			wr_text(w, base + f->at, f->size);
			break;
		case BYTES:
			wr_bytes(w, base + f->at, f->size);
			break;
		case LENGTH:
			wr_u32le(w, u32_at(record, f->at));
			wr_bytes(w, base + f->next, f->size);
			break;
		case COUNT:
			wr_u32le(w, u32_at(record, f->at));
			for (size_t i = 0; i < f->size; i++)
				write_fields(w, f->element, base + f->next + i * f->stride);
			break;
		case END:
			break;
		}
}

static uint32_t read_u32(struct rd *r, char *to, uint64_t min, uint64_t max)
{
	uint32_t v = rd_u32le(r);

	r->bad |= v < min || v > max;
	memcpy(to, &v, sizeof(v));
	return r->bad ? 0 : v;
}

static void read_u64(struct rd *r, char *to, uint64_t max)
{
	uint64_t v = rd_u64le(r);

	r->bad |= v > max;
	memcpy(to, &v, sizeof(v));
}

static void read_text(struct rd *r, char *to, size_t size)
{
	rd_text(r, to, size);
	r->bad |= !r->bad && !text_clean(to);
}

/* `used` bytes, then zeros. */
static void read_padded(struct rd *r, char *to, size_t used, size_t size)
{
	rd_copy(r, to, used);
	rd_zeros(r, size - used);
}

static void read_fields(struct rd *r, const struct field *f, void *record);

static void read_elements(struct rd *r, const struct field *f, char *base)
{
	uint32_t n = read_u32(r, base + f->at, 0, f->size);

	for (size_t i = 0; i < n; i++)
		read_fields(r, f->element, base + f->next + i * f->stride);
	rd_zeros(r, (f->size - n) * fields_size(f->element));
}

static void read_fields(struct rd *r, const struct field *f, void *record)
{
	char *base = record;

	for (; f->kind != END && !r->bad; f++)
		switch (f->kind) {
		case U32:
			read_u32(r, base + f->at, f->min, f->max);
			break;
		case U64:
			read_u64(r, base + f->at, f->max);
			break;
		case TEXT:
			read_text(r, base + f->at, f->size);
			break;
		case BYTES:
			rd_copy(r, base + f->at, f->size);
			break;
		case LENGTH:
			read_padded(r, base + f->next,
				    read_u32(r, base + f->at, f->min, f->max), f->size);
			break;
		case COUNT:
			read_elements(r, f, base);
			break;
		case END:
			break;
		}
}

static enum attest_status malformed(struct attest_error *e, const char *where, const char *what)
{
	return attest_fail(e, ATTEST_MALFORMED, where,
			   "both ends must be of the same version of cordon", "%s", what);
}

/* Fills `m` but for its descriptors; on failure it holds nothing of use. */
static enum attest_status decode(const uint8_t *bytes, size_t len, size_t n_fds,
				 struct keyd_message *m, struct attest_error *e)
{
	struct rd r = { .at = bytes, .left = len };
	uint32_t magic = rd_u32le(&r);
	const struct rule *rule;

	m->type = rd_u32le(&r);
	m->ticket = rd_u64le(&r);
	if (r.bad || magic != MAGIC)
		return malformed(e, "message", "is none of the key service's");
	rule = rule_of(m->type);
	if (!rule)
		return malformed(e, "message", "is of a type that is not known");
	if (n_fds != rule->n_fds)
		return malformed(e, rule->name, "has not the descriptors that it must have");
	read_fields(&r, rule->fields, &m->auth);
	if (r.bad || r.left != 0)
		return malformed(e, rule->name,
				 "has not the length, or not the values, of its "
				 "layout");
	if (rule->check && !rule->check(m))
		return malformed(e, rule->name, "holds what cannot be");
	return ATTEST_OK;
}

enum attest_status keyd_decode(struct keyd_wire *w, size_t len, size_t n_fds,
			       struct attest_error *reterr)
{
	enum attest_status s = decode(w->bytes, len, n_fds, &w->m, reterr);

	if (s != ATTEST_OK)
		scrub_zero(w, sizeof(*w));
	return s;
}

/* What the other end would refuse is a mistake of ours: found on this side. */
enum attest_status keyd_encode(struct keyd_wire *w, size_t *ret_len,
			       struct attest_error *reterr)
{
	const struct rule *rule = rule_of(w->m.type);
	struct wr wr = { .at = w->bytes, .left = sizeof(w->bytes) };
	enum attest_status s;

	if (!rule)
		return malformed(reterr, "message", "is of a type that is not known");
	wr_u32le(&wr, MAGIC);
	wr_u32le(&wr, w->m.type);
	wr_u64le(&wr, w->m.ticket);
	write_fields(&wr, rule->fields, &w->m.auth);
	if (wr.bad)
		return malformed(reterr, rule->name, "has a text without an end");
	s = decode(w->bytes, sizeof(w->bytes) - wr.left, w->m.n_fds, &w->check, reterr);
	if (s == ATTEST_OK)
		*ret_len = sizeof(w->bytes) - wr.left;
	return s;
}

/* ---- names -------------------------------------------------------------------------------- */

static bool take_segment(const char **at, char end, char *to, size_t size)
{
	const char *stop = strchr(*at, end);
	size_t n = stop ? (size_t)(stop - *at) : 0;

	if (!stop || n >= size)
		return false;
	memcpy(to, *at, n);
	memset(to + n, 0, size - n);
	*at = stop + 1;
	return true;
}

enum attest_status keyd_name_parse(const char *text, struct keyd_name *ret,
				   struct attest_error *reterr)
{
	static const char scheme[] = "kbs:///";
	const char *at = text;
	struct keyd_name n;

	if (strncmp(at, scheme, strlen(scheme)) == 0)
		at += strlen(scheme);
	if (!take_segment(&at, '/', n.tenant, sizeof(n.tenant)) ||
	    !take_segment(&at, '/', n.type, sizeof(n.type)) ||
	    !take_segment(&at, '\0', n.tag, sizeof(n.tag)) || !keyd_name_valid(&n))
		return attest_fail(reterr, ATTEST_MALFORMED, text,
				   "it is TENANT/TYPE/TAG, as in acme/volume/data-key",
				   "this is no name of a key");
	*ret = n;
	return ATTEST_OK;
}

/* ---- over a socket -------------------------------------------------------------------------- */

union control { /* aligned as the kernel's macros want it */
	char bytes[CMSG_SPACE(KEYD_FDS * sizeof(int))];
	struct cmsghdr align;
};

static void close_fds(struct keyd_message *m)
{
	for (size_t i = 0; i < m->n_fds; i++)
		close(m->fds[i]);
	m->n_fds = 0;
}

struct keyd_wire *keyd_wire_new(void)
{
	return guard_alloc(sizeof(struct keyd_wire));
}

void keyd_wire_clear(struct keyd_wire *w)
{
	close_fds(&w->m);
	scrub_zero(w, sizeof(*w));
}

void keyd_wire_free(struct keyd_wire *w)
{
	if (w)
		close_fds(&w->m);
	guard_free(w);
}

enum attest_status keyd_send(int sock, struct keyd_wire *w, struct attest_error *reterr)
{
	union control control = { .bytes = "" };
	struct iovec iov = { .iov_base = w->bytes };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	enum attest_status s = keyd_encode(w, &iov.iov_len, reterr);
	ssize_t n;

	if (s != ATTEST_OK)
		return s;
	if (w->m.n_fds > 0) {
		struct cmsghdr *c = &control.align;

		msg.msg_control = control.bytes;
		msg.msg_controllen = CMSG_SPACE(w->m.n_fds * sizeof(int));
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(w->m.n_fds * sizeof(int));
		memcpy(CMSG_DATA(c), w->m.fds, w->m.n_fds * sizeof(int));
	}
	do
		n = sendmsg(sock, &msg, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return attest_fail(reterr, ATTEST_SYSTEM, keyd_type_str(w->m.type), NULL,
				   "cannot be sent: %m");
	return ATTEST_OK; /* SOCK_SEQPACKET sends all or nothing */
}

/* Every descriptor that came is taken, so that every one is closed or used. */
static size_t take_fds(struct msghdr *msg, int to[static KEYD_FDS])
{
	size_t taken = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		if (n > KEYD_FDS - taken) /* more than our buffer has room for: never */
			n = KEYD_FDS - taken;
		memcpy(to + taken, CMSG_DATA(c), n * sizeof(int));
		taken += n;
	}
	return taken;
}

enum attest_status keyd_receive(int sock, struct keyd_wire *w, bool *ret_closed,
				struct attest_error *reterr)
{
	union control control;
	struct iovec iov = { .iov_base = w->bytes, .iov_len = sizeof(w->bytes) };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = control.bytes,
			      .msg_controllen = CMSG_LEN(KEYD_FDS * sizeof(int)) };
	int fds[KEYD_FDS];
	size_t n_fds;
	enum attest_status s;
	ssize_t n;

	/* ECONNRESET is told once, when the peer ended without reading all that we sent;
	 * what it had said before is read after it. */
	do
		n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
	while (n < 0 && (errno == EINTR || errno == ECONNRESET));
	if (n < 0)
		return attest_fail(reterr, ATTEST_SYSTEM, "socket", NULL, "cannot be read: %m");
	n_fds = take_fds(&msg, fds);
	if (n == 0) /* an empty datagram cannot be told from the end, and is as useless */
		s = ATTEST_OK;
	else if (msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC))
		s = malformed(reterr, "message", "is longer than a message can be");
	else
		s = decode(w->bytes, (size_t)n, n_fds, &w->m, reterr);
	*ret_closed = s == ATTEST_OK && n == 0;
	memcpy(w->m.fds, fds, n_fds * sizeof(int));
	w->m.n_fds = n_fds;
	if (s != ATTEST_OK || n == 0)
		keyd_wire_clear(w);
	return s;
}
