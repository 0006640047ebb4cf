/*
 * attest/note.c - signed notes and the keys that sign them.
 *
 * A note is its text, an empty line, and signature lines "— NAME BASE64"; BASE64 is four
 * bytes of key id, then the signature. The id is the beginning of SHA-256(name, newline,
 * kind, public key), so name and id say which key and which algorithm.
 */
#include "attest/note.h"

#include <assert.h>
#include <endian.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "attest/base64.h"
#include "attest/span.h"
#include "memscrub/guard.h"

#define KEY_MAX 1312u /* bytes of the longest public key: ML-DSA-44 */
#define ID 4u
#define SIGNATURE 64u                /* Ed25519 */
#define COSIGNATURE (8u + SIGNATURE) /* its time is in front */
#define LINE_MAX_BYTES                                                                         \
	8192u /* of a decoded signature line; the longest known
					     kind has just under 5000 */

/* ---- characters ------------------------------------------------------------------ */

/* Bytes of the one character that `s` starts with; 0 when that is not UTF-8 (RFC 3629:
 * shortest forms only, no surrogates, nothing above 10FFFF). */
static size_t utf8(struct span s, uint32_t *ret)
{
	static const struct {
		uint8_t mask, lead;
		uint32_t least;
	} forms[] = { { 0x80, 0x00, 0 },
		      { 0xe0, 0xc0, 0x80 },
		      { 0xf0, 0xe0, 0x800 },
		      { 0xf8, 0xf0, 0x10000 } };
	uint8_t lead = (uint8_t)s.at[0];

	for (size_t n = 1; n <= 4; n++) {
		uint32_t c = lead & (uint8_t)~forms[n - 1].mask;

		if ((lead & forms[n - 1].mask) != forms[n - 1].lead)
			continue;
		if (n > s.len)
			return 0;
		for (size_t i = 1; i < n; i++) {
			if (((uint8_t)s.at[i] & 0xc0) != 0x80)
				return 0;
			c = c << 6 | ((uint8_t)s.at[i] & 0x3fu);
		}
		if (c < forms[n - 1].least || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
			return 0;
		*ret = c;
		return n;
	}
	return 0;
}

/* What Unicode calls White_Space, less the controls that no note may have anyway. */
static bool is_space(uint32_t c)
{
	return c == 0x20 || c == 0x85 || c == 0xa0 || c == 0x1680 ||
	       (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f ||
	       c == 0x205f || c == 0x3000;
}

/* UTF-8 without control characters but `allowed`; *ret_at is where that ends. */
static bool is_text(struct span s, uint32_t allowed, size_t *ret_at)
{
	const char *begin = s.at;
	uint32_t c = 0;

	while (s.len > 0) {
		size_t n = utf8(s, &c);

		*ret_at = (size_t)(s.at - begin);
		if (n == 0 || (c < 0x20 && c != allowed))
			return false;
		s.at += n;
		s.len -= n;
	}
	return true;
}

static bool is_name(struct span s)
{
	size_t at = 0;
	uint32_t c = 0;

	if (s.len == 0 || !is_text(s, 0x20, &at))
		return false;
	while (s.len > 0) {
		size_t n = utf8(s, &c);

		if (is_space(c) || c == '+')
			return false;
		s.at += n;
		s.len -= n;
	}
	return true;
}

/* ---- verifier keys ----------------------------------------------------------------- */

static void key_id(struct span name, const uint8_t *typed_key, size_t len,
		   uint8_t ret[static ID])
{
	uint8_t bytes[NOTE_NAME + 1 + KEY_MAX];
	struct tlog_hash digest;

	memcpy(bytes, name.at, name.len);
	bytes[name.len] = '\n';
	memcpy(bytes + name.len + 1, typed_key, len);
	tlog_sha256(bytes, name.len + 1 + len, &digest);
	memcpy(ret, digest.bytes, ID);
}

static void id_print(const uint8_t id[static ID], char ret[static 2 * ID + 1])
{
	for (size_t i = 0; i < ID; i++)
		snprintf(ret + 2 * i, 3, "%02x", (unsigned)id[i]);
}

/* A kind and its public key, as they stand in a verifier key's base64. */
static bool key_take(const uint8_t *typed_key, size_t len, struct note_verifier *v)
{
	struct tlog_hash digest;

	v->kind = (enum note_kind)typed_key[0];
	switch (v->kind) {
	case NOTE_ED25519:
	case NOTE_COSIGNATURE:
		if (len != 1 + sizeof(v->key))
			return false;
		memcpy(v->key, typed_key + 1, sizeof(v->key));
		return true;
	case NOTE_MLDSA44:
		if (len != 1 + KEY_MAX)
			return false;
		tlog_sha256(typed_key + 1, KEY_MAX, &digest);
		memcpy(v->key, digest.bytes, sizeof(v->key));
		return true;
	}
	return false;
}

static enum attest_status bad_key(struct attest_error *e, const char *what)
{
	return attest_fail(e, ATTEST_MALFORMED, "verifier key",
			   "it is one line: NAME+8 HEX DIGITS+BASE64", "%s", what);
}

enum attest_status note_verifier_parse(const char *text, struct note_verifier *ret,
				       struct attest_error *reterr)
{
	struct span rest = { text, strcspn(text, "\n") }, name, id;
	uint8_t key[1 + KEY_MAX];
	struct note_verifier v = { .name = "" };
	char hex[2 * ID + 1];
	size_t len;

	if (rest.at[rest.len] == '\n' && rest.at[rest.len + 1] != '\0')
		return bad_key(reterr, "more than one line");
	if (!span_until(&rest, '+', &name) || !span_until(&rest, '+', &id))
		return bad_key(reterr, "it has not three parts");
	if (!is_name(name) || name.len >= sizeof(v.name))
		return bad_key(reterr, "no key can have this name");
	if (!base64_decode(rest.at, rest.len, key, sizeof(key), &len) || len == 0)
		return bad_key(reterr, "its last part is not a key in base64");
	if (!key_take(key, len, &v))
		return attest_fail(reterr, ATTEST_MALFORMED, "verifier key", NULL,
				   "a key of kind %u with %zu bytes is not known here",
				   (unsigned)key[0], len - 1);
	key_id(name, key, len, v.id);
	id_print(v.id, hex);
	if (!span_is(id, hex))
		return attest_fail(reterr, ATTEST_MALFORMED, "verifier key", NULL,
				   "its id is not that of its name and key, which is %s", hex);
	memcpy(v.name, name.at, name.len);
	*ret = v;
	return ATTEST_OK;
}

bool note_verifier_make(const char *name, enum note_kind kind, const uint8_t key[static 32],
			struct note_verifier *ret)
{
	struct note_verifier v = { .kind = kind };
	uint8_t typed_key[1 + sizeof(v.key)];
	struct span s = span_of(name);

	if (kind == NOTE_MLDSA44 || !is_name(s) || s.len >= sizeof(v.name))
		return false;
	typed_key[0] = (uint8_t)kind;
	memcpy(typed_key + 1, key, sizeof(v.key));
	memcpy(v.name, name, s.len);
	memcpy(v.key, key, sizeof(v.key));
	key_id(s, typed_key, sizeof(typed_key), v.id);
	*ret = v;
	return true;
}

void note_verifier_print(const struct note_verifier *v, char ret[static NOTE_VKEY])
{
	uint8_t typed_key[1 + sizeof(v->key)];
	char hex[2 * ID + 1], key[BASE64_SIZE(sizeof(typed_key))];

	assert(v->kind != NOTE_MLDSA44); /* only its digest was kept */
	typed_key[0] = (uint8_t)v->kind;
	memcpy(typed_key + 1, v->key, sizeof(v->key));
	base64_encode(typed_key, sizeof(typed_key), key);
	id_print(v->id, hex);
	snprintf(ret, NOTE_VKEY, "%s+%s+%s", v->name, hex, key);
}

/* ---- signing ----------------------------------------------------------------------- */

struct note_signer {
	struct note_verifier verifier;
	uint8_t seed[32];
};

static enum attest_status no_crypto(struct attest_error *e, const char *what)
{
	return attest_fail(e, ATTEST_SYSTEM, "libcrypto", NULL, "%s", what);
}

enum attest_status note_signer_new(const char *name, const uint8_t seed[static 32],
				   struct note_signer **ret, struct attest_error *reterr)
{
	EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, 32);
	uint8_t public[32];
	size_t len = sizeof(public);
	bool done = key && EVP_PKEY_get_raw_public_key(key, public, &len) == 1;
	struct note_verifier v;
	struct note_signer *s;

	EVP_PKEY_free(key);
	if (!done)
		return no_crypto(reterr, "the public key cannot be told");
	if (!note_verifier_make(name, NOTE_ED25519, public, &v))
		return attest_fail(reterr, ATTEST_MALFORMED, "key name",
				   "it is a name without space or plus, like a URL without "
				   "its scheme",
				   "no key can be called \"%s\"", name);
	s = guard_alloc(sizeof(*s));
	if (!s)
		return attest_fail(reterr, ATTEST_SYSTEM, "private key",
				   "raise the limit of locked memory (ulimit -l)",
				   "no locked memory: %m");
	s->verifier = v;
	memcpy(s->seed, seed, sizeof(s->seed));
	*ret = s;
	return ATTEST_OK;
}

void note_signer_free(struct note_signer *s)
{
	guard_free(s);
}

const struct note_verifier *note_signer_verifier(const struct note_signer *s)
{
	return &s->verifier;
}

/* The key is made anew for each signature: what libcrypto keeps is not locked. */
enum attest_status note_sign_raw(const struct note_signer *s, const void *data, size_t len,
				 uint8_t ret[static 64], struct attest_error *reterr)
{
	EVP_PKEY *key =
		EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, s->seed, sizeof(s->seed));
	EVP_MD_CTX *cx = EVP_MD_CTX_new();
	uint8_t sig[SIGNATURE];
	size_t sig_len = sizeof(sig);
	bool done = key && cx && EVP_DigestSignInit(cx, NULL, NULL, NULL, key) == 1 &&
		    EVP_DigestSign(cx, sig, &sig_len, data, len) == 1 && sig_len == sizeof(sig);

	EVP_MD_CTX_free(cx);
	EVP_PKEY_free(key);
	if (!done)
		return no_crypto(reterr, "it could not sign");
	memcpy(ret, sig, sizeof(sig));
	return ATTEST_OK;
}

bool note_verify_raw(const uint8_t key[static 32], const void *data, size_t len,
		     const uint8_t sig[static 64])
{
	EVP_PKEY *pkey = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, key, 32);
	EVP_MD_CTX *cx = EVP_MD_CTX_new();
	bool good = pkey && cx && EVP_DigestVerifyInit(cx, NULL, NULL, NULL, pkey) == 1 &&
		    EVP_DigestVerify(cx, sig, SIGNATURE, data, len) == 1;

	EVP_MD_CTX_free(cx);
	EVP_PKEY_free(pkey);
	return good;
}

enum attest_status note_sign(const struct note_signer *s, const char *text, char **ret,
			     struct attest_error *reterr)
{
	struct span t = span_of(text);
	uint8_t bytes[ID + SIGNATURE];
	char line[BASE64_SIZE(sizeof(bytes))];
	enum attest_status status;
	size_t at = 0;

	if (t.len == 0 || t.len > NOTE_MAX / 2 || t.at[t.len - 1] != '\n' ||
	    !is_text(t, '\n', &at))
		return attest_fail(reterr, ATTEST_MALFORMED, "note", NULL,
				   "its text is not lines of clean UTF-8");
	memcpy(bytes, s->verifier.id, ID);
	status = note_sign_raw(s, text, t.len, bytes + ID, reterr);
	if (status != ATTEST_OK)
		return status;
	base64_encode(bytes, sizeof(bytes), line);
	if (asprintf(ret, "%s\n\u2014 %s %s\n", text, s->verifier.name, line) < 0)
		return attest_fail(reterr, ATTEST_SYSTEM, "note", NULL, "no memory");
	return ATTEST_OK;
}

/* ---- reading ----------------------------------------------------------------------- */

struct line {
	struct span name;
	uint8_t bytes[LINE_MAX_BYTES]; /* id and signature */
	size_t len;
};

static bool line_parse(struct span s, struct line *ret)
{
	return span_skip(&s, "\u2014 ") && span_until(&s, ' ', &ret->name) &&
	       is_name(ret->name) &&
	       base64_decode(s.at, s.len, ret->bytes, sizeof(ret->bytes), &ret->len) &&
	       ret->len > ID;
}

/* The message of a cosignature: "cosignature/v1", its time, and the text. */
static bool cosignature_holds(const struct note_verifier *v, const uint8_t *sig, size_t len,
			      struct span text, int64_t *ret_time)
{
	uint64_t time;
	char *message = NULL;
	bool good;
	int n;

	if (len != COSIGNATURE)
		return false;
	memcpy(&time, sig, sizeof(time));
	time = be64toh(time);
	if (time > INT64_MAX)
		return false;
	n = asprintf(&message, "cosignature/v1\ntime %llu\n%.*s", (unsigned long long)time,
		     (int)text.len, text.at);
	good = n > 0 && note_verify_raw(v->key, message, (size_t)n, sig + sizeof(time));
	if (n >= 0)
		free(message);
	*ret_time = (int64_t)time;
	return good;
}

static bool holds(const struct note_verifier *v, const struct line *line, struct span text,
		  int64_t *ret_time)
{
	const uint8_t *sig = line->bytes + ID;
	size_t len = line->len - ID;

	if (v->kind == NOTE_COSIGNATURE)
		return cosignature_holds(v, sig, len, text, ret_time);
	*ret_time = 0;
	return len == SIGNATURE && note_verify_raw(v->key, text.at, text.len, sig);
}

/* The key that the line names; NULL for one that is not known, or not judged. */
static const struct note_verifier *signed_by(const struct line *line,
					     const struct note_verifier *known, size_t n_known)
{
	for (size_t i = 0; i < n_known; i++)
		if (known[i].kind != NOTE_MLDSA44 && span_is(line->name, known[i].name) &&
		    memcmp(line->bytes, known[i].id, ID) == 0)
			return &known[i];
	return NULL;
}

/* A second line of a key adds nothing, but it must hold as well. */
static void mark(struct note *n, const struct note_verifier *by, int64_t time)
{
	for (size_t i = 0; i < n->n_marks; i++)
		if (n->marks[i].by == by)
			return;
	n->marks[n->n_marks++] = (struct note_mark){ by, time };
}

static enum attest_status bad_note(struct attest_error *e, const char *what)
{
	return attest_fail(e, ATTEST_MALFORMED, "", NULL, "not a signed note: %s", what);
}

/* Where the last empty line of `s` is: between text and signatures. */
static bool split(struct span s, struct span *ret_text, struct span *ret_lines)
{
	const char *cut = NULL;

	for (size_t i = s.len; i > 1 && !cut; i--)
		if (s.at[i - 1] == '\n' && s.at[i - 2] == '\n')
			cut = s.at + i - 1;
	if (!cut)
		return false;
	*ret_text = (struct span){ s.at, (size_t)(cut - s.at) };
	*ret_lines = (struct span){ cut + 1, s.len - ret_text->len - 1 };
	return true;
}

/* All lines are read before the first is judged: a note is one as a whole, or not. */
static enum attest_status lines_parse(struct span lines, struct attest_error *e)
{
	struct line line;
	struct span s;
	size_t n = 0;

	if (lines.len == 0)
		return bad_note(e, "it has no signature");
	for (; span_until(&lines, '\n', &s); n++) {
		if (n == NOTE_SIGNATURES)
			return bad_note(e, "it has too many signatures");
		if (!line_parse(s, &line))
			return attest_fail(e, ATTEST_MALFORMED, "", NULL,
					   "not a signed note: signature line %zu is none",
					   n + 1);
	}
	return lines.len == 0 ? ATTEST_OK : bad_note(e, "its last line is cut off");
}

static bool has_signer(const struct note *n)
{
	for (size_t i = 0; i < n->n_marks; i++)
		if (n->marks[i].by->kind == NOTE_ED25519)
			return true;
	return false;
}

static enum attest_status lines_judge(struct span lines, const struct note_verifier *known,
				      size_t n_known, struct note *n, struct attest_error *e)
{
	struct span text = { n->text, n->text_len }, s;
	const struct note_verifier *by;
	struct line line;
	int64_t time = 0;

	while (span_until(&lines, '\n', &s) && line_parse(s, &line)) {
		by = signed_by(&line, known, n_known);
		if (!by)
			n->unknown++;
		else if (holds(by, &line, text, &time))
			mark(n, by, time);
		else
			return attest_fail(e, ATTEST_REFUSED, "", NULL,
					   "the signature of %s does not hold", by->name);
	}
	if (!has_signer(n))
		return attest_fail(e, ATTEST_REFUSED, "", "is it this log's verifier key?",
				   "no known key has signed");
	return ATTEST_OK;
}

enum attest_status note_open(const char *bytes, size_t len, const struct note_verifier *known,
			     size_t n_known, struct note *ret, struct attest_error *reterr)
{
	struct span all = { bytes, len }, text, lines;
	struct note n = { .n_marks = 0 };
	enum attest_status status;
	size_t at = 0;

	if (len > NOTE_MAX)
		return bad_note(reterr, "it is too long");
	if (!is_text(all, '\n', &at))
		return attest_fail(reterr, ATTEST_MALFORMED, "", NULL,
				   "not a signed note: byte %zu is not clean UTF-8", at);
	if (!split(all, &text, &lines))
		return bad_note(reterr, "no empty line before signatures");
	status = lines_parse(lines, reterr);
	if (status != ATTEST_OK)
		return status;
	n.text = text.at;
	n.text_len = text.len;
	status = lines_judge(lines, known, n_known < NOTE_KNOWN ? n_known : NOTE_KNOWN, &n,
			     reterr);
	if (status == ATTEST_OK)
		*ret = n;
	return status;
}
