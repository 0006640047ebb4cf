/*
 * attest/sandbox_token_read.c - a token from a host: the reading half. The payload stays
 * closed until the signature over it was found good (attest/jws.h).
 */
#include <jansson.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

#include "attest/anchor.h"
#include "attest/hex.h"
#include "attest/json_reader.h"
#include "attest/jws.h"
#include "attest/sandbox_internal.h"

/* ---- facts ----------------------------------------------------------------------- */

/* Each takes one member; false where it is missing or not of its form. */
static bool take_text(const json_t *o, const char *name, char *ret, size_t size)
{
	const char *text = jr_text(o, name);

	if (!text || strlen(text) >= size)
		return false;
	memcpy(ret, text, strlen(text) + 1);
	return true;
}

static bool take_bytes(const json_t *o, const char *name, uint8_t *ret, size_t n)
{
	const char *text = jr_text(o, name);

	return text && hex_parse(text, strlen(text), ret, n);
}

static bool take_flag(const json_t *o, const char *name, bool *ret)
{
	const json_t *v = json_object_get(o, name);

	*ret = json_is_true(v);
	return json_is_boolean(v);
}

static bool take_number(const json_t *o, const char *name, int64_t max, int64_t *ret)
{
	const json_t *v = json_object_get(o, name);

	*ret = json_integer_value(v);
	return json_is_integer(v) && *ret >= 0 && *ret <= max;
}

/* An object of exactly these members; NULL else, which no take_x above finds a thing in. */
static const json_t *part(const json_t *payload, const char *name, const char *const members[])
{
	const json_t *o = json_object_get(payload, name);

	return json_is_object(o) && jr_only(o, members) ? o : NULL;
}

#define MEMBERS(...) ((const char *const[]){ __VA_ARGS__, NULL })

static bool take_cordon(const json_t *payload, struct sandbox_facts *f)
{
	const json_t *o = part(payload, "cordon", MEMBERS("digest", "fault_points"));

	return take_bytes(o, "digest", f->cordon, sizeof(f->cordon)) &&
	       take_flag(o, "fault_points", &f->fault_points);
}

static bool take_digest(const json_t *payload, const char *name,
			uint8_t ret[static SANDBOX_DIGEST])
{
	return take_bytes(part(payload, name, MEMBERS("digest")), "digest", ret,
			  SANDBOX_DIGEST);
}

static bool take_host(const json_t *payload, struct sandbox_facts *f)
{
	const json_t *o = part(payload, "host",
			       MEMBERS("boot_id", "id", "init_on_free", "kernel_release"));

	return take_text(o, "boot_id", f->boot_id, sizeof(f->boot_id)) &&
	       take_text(o, "id", f->host_id, sizeof(f->host_id)) &&
	       take_flag(o, "init_on_free", &f->init_on_free) &&
	       take_text(o, "kernel_release", f->kernel_release, sizeof(f->kernel_release));
}

static bool take_key(const json_t *payload, struct sandbox_facts *f)
{
	return take_text(part(payload, "key", MEMBERS("custody")), "custody", f->key_custody,
			 sizeof(f->key_custody));
}

static bool take_launcher(const json_t *payload, struct sandbox_facts *f)
{
	int64_t uid;

	if (!take_number(part(payload, "launcher", MEMBERS("uid")), "uid", UINT32_MAX, &uid))
		return false;
	f->launcher_uid = (uint32_t)uid;
	return true;
}

static bool take_workload(const json_t *payload, struct sandbox_facts *f)
{
	const json_t *o = part(payload, "workload", MEMBERS("coverage", "digest"));
	const char *word = jr_text(o, "coverage");

	for (unsigned c = SANDBOX_BINARY; word && c <= SANDBOX_IMAGE; c++)
		if (strcmp(word, sandbox_coverage_str(c)) == 0)
			f->coverage = c;
	return f->coverage && take_bytes(o, "digest", f->workload, sizeof(f->workload));
}

/* The first member that is not as it must be, or NULL. */
static const char *take_facts(const json_t *o, struct sandbox_facts *f)
{
	const char *schema = jr_text(o, "schema");

	if (!schema || strcmp(schema, SANDBOX_SCHEMA) != 0)
		return "schema";
	if (!jr_only(o, MEMBERS("cordon", "descriptor", "filter", "host", "iat", "key",
				"launcher", "plan", "report_data", "schema", "workload")))
		return "a further one";
	if (!take_cordon(o, f))
		return "cordon";
	if (!take_digest(o, "descriptor", f->descriptor))
		return "descriptor";
	if (!take_digest(o, "filter", f->filter))
		return "filter";
	if (!take_host(o, f))
		return "host";
	if (!take_number(o, "iat", INT64_MAX, &f->issued))
		return "iat";
	if (!take_key(o, f))
		return "key";
	if (!take_launcher(o, f))
		return "launcher";
	if (!take_digest(o, "plan", f->plan))
		return "plan";
	if (!take_bytes(o, "report_data", f->report_data, sizeof(f->report_data)))
		return "report_data";
	if (!take_workload(o, f))
		return "workload";
	return sandbox_facts_wrong(f);
}

enum attest_status sandbox_facts_read(const struct json_t *payload, struct sandbox_facts *ret,
				      struct attest_error *reterr)
{
	struct sandbox_facts f = { .issued = 0 };
	const char *wrong = take_facts(payload, &f);

	if (wrong)
		return attest_fail(reterr, ATTEST_MALFORMED, "token", "",
				   "its member is missing or not of its form: %s", wrong);
	*ret = f;
	return ATTEST_OK;
}

/* ---- the token ------------------------------------------------------------------- */

struct sandbox_token {
	struct jws *jws;
	X509 *chain[SANDBOX_CERTIFICATES];
	size_t n_chain;
};

static enum attest_status malformed(struct attest_error *e, const char *what)
{
	return attest_fail(e, ATTEST_MALFORMED, "token",
			   "a sandbox's token is what `cordon-clerk` signs", "%s", what);
}

/* Exactly one certificate, with nothing behind it. */
static X509 *read_certificate(const struct jws_certificate *c)
{
	const uint8_t *end = c->der;
	X509 *x = c->len <= INT32_MAX ? d2i_X509(NULL, &end, (long)c->len) : NULL;

	ERR_clear_error();
	if (x && end == c->der + c->len && X509_get0_pubkey(x))
		return x;
	ERR_clear_error();
	X509_free(x);
	return NULL;
}

static enum attest_status read_chain(struct sandbox_token *t, struct attest_error *e)
{
	const struct jws_certificate *x5c;
	size_t n = jws_x5c(t->jws, &x5c);

	if (n < 1 || n > SANDBOX_CERTIFICATES)
		return malformed(e, "it has no certificates, or too many");
	for (; t->n_chain < n; t->n_chain++) {
		t->chain[t->n_chain] = read_certificate(&x5c[t->n_chain]);
		if (!t->chain[t->n_chain])
			return malformed(e, "x5c holds what is no certificate");
	}
	return ATTEST_OK;
}

static enum attest_status read_header(const struct sandbox_token *t, struct attest_error *e)
{
	const char *typ = jws_typ(t->jws);

	if (!typ || strcmp(typ, SANDBOX_TYP) != 0)
		return malformed(e, "its header does not say \"" SANDBOX_TYP "\"");
	if (jws_alg(t->jws) != JWS_ES256)
		return malformed(e, "its algorithm is not ES256");
	return ATTEST_OK;
}

/* Both "no" and "not this format" of a JWS are "no such token" here. */
static enum attest_status parse_jws(const char *text, size_t len, struct sandbox_token *t,
				    struct attest_error *e)
{
	enum attest_status s;

	if (len > SANDBOX_TOKEN_MAX)
		return malformed(e, "it is larger than any such token");
	s = jws_parse(text, len, &t->jws, e);
	return s == ATTEST_REFUSED ? ATTEST_MALFORMED : s;
}

enum attest_status sandbox_token_parse(const char *text, size_t len, struct sandbox_token **ret,
				       struct attest_error *reterr)
{
	struct sandbox_token *t = calloc(1, sizeof(*t));
	enum attest_status s;

	if (!t)
		return attest_fail(reterr, ATTEST_SYSTEM, "token", "", "no memory");
	if (len > 0 && text[len - 1] == '\n')
		len--;
	s = parse_jws(text, len, t, reterr);
	if (s == ATTEST_OK)
		s = read_header(t, reterr);
	if (s == ATTEST_OK)
		s = read_chain(t, reterr);
	if (s == ATTEST_OK)
		*ret = t;
	else
		sandbox_token_free(t);
	return s;
}

X509 *const *sandbox_token_chain(const struct sandbox_token *t, size_t *ret_n)
{
	*ret_n = t->n_chain;
	return t->chain;
}

enum attest_status sandbox_token_verify(const struct sandbox_token *t,
					struct sandbox_facts *ret, struct attest_error *reterr)
{
	static const struct jws_rules rules = { .algs = JWS_ES256, .typ = SANDBOX_TYP };
	struct jws_claims *claims = NULL;
	enum attest_status s;

	s = jws_verify(t->jws, X509_get0_pubkey(t->chain[0]), &rules, &claims, reterr);
	if (s == ATTEST_OK)
		s = sandbox_facts_read(jws_claims(claims), ret, reterr);
	jws_claims_free(claims);
	return s;
}

void sandbox_token_free(struct sandbox_token *t)
{
	if (!t)
		return;
	while (t->n_chain > 0)
		X509_free(t->chain[--t->n_chain]);
	jws_free(t->jws);
	free(t);
}
