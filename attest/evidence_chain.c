/* attest/evidence_chain.c - certificate chains, at a time that is an argument. */
#include <openssl/asn1.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/objects.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "attest/anchor.h"
#include "attest/evidence_chain.h"
#include "attest/evidence_internal.h"
#include "attest/hex.h"
#include "policy/text.h"

#define AUTH_LEVEL 3 /* SSL_CTX_set_security_level(3): nothing below 128 bits */

/* ---- the callback: what libcrypto cannot know ------------------------------------ */

/* libcrypto says only that there is one; each must be looked at. */
static bool only_marker_unknown(X509 *c)
{
	for (int i = 0; i < X509_get_ext_count(c); i++) {
		X509_EXTENSION *x = X509_get_ext(c, i);

		if (X509_EXTENSION_get_critical(x) && !X509_supported_extension(x) &&
		    !anchor_is_marker(x))
			return false;
	}
	return true;
}

static int judge_error(int ok, X509_STORE_CTX *cx)
{
	if (!ok && X509_STORE_CTX_get_error(cx) == X509_V_ERR_UNHANDLED_CRITICAL_EXTENSION &&
	    only_marker_unknown(X509_STORE_CTX_get_current_cert(cx))) {
		X509_STORE_CTX_set_error(cx, X509_V_OK);
		return 1;
	}
	return ok;
}

/* Whether an anchor is still good is for whoever gave it to say, not for a CRL: of one that
 * is no root, not even the issuer is here. All else about the anchor was judged before, by
 * the same rules without CRLs. */
static int judge_revocation(int ok, X509_STORE_CTX *cx)
{
	int anchor = sk_X509_num(X509_STORE_CTX_get0_chain(cx)) - 1;

	if (!ok && X509_STORE_CTX_get_error_depth(cx) == anchor) {
		X509_STORE_CTX_set_error(cx, X509_V_OK);
		return 1;
	}
	return judge_error(ok, cx);
}

/* ---- libcrypto's part ------------------------------------------------------------ */

struct path {
	X509_STORE *store;
	STACK_OF(X509) * untrusted;
	X509_STORE_CTX *cx;
};

static void path_end(struct path *p)
{
	X509_STORE_CTX_free(p->cx);
	sk_X509_free(p->untrusted); /* the certificates are borrowed */
	X509_STORE_free(p->store);
	ERR_clear_error();
}

static bool path_fill(struct path *p, const struct endorsements *en, X509 *const *given,
		      size_t n_given)
{
	for (int i = 0; i < sk_X509_num(en->anchors); i++)
		if (X509_STORE_add_cert(p->store, sk_X509_value(en->anchors, i)) != 1)
			return false;
	for (int i = 0; i < sk_X509_CRL_num(en->crls); i++)
		if (X509_STORE_add_crl(p->store, sk_X509_CRL_value(en->crls, i)) != 1)
			return false;
	for (size_t i = 1; i < n_given; i++)
		if (sk_X509_push(p->untrusted, given[i]) <= 0)
			return false;
	for (int i = 0; i < sk_X509_num(en->others); i++)
		if (sk_X509_push(p->untrusted, sk_X509_value(en->others, i)) <= 0)
			return false;
	return true;
}

/* An anchor need not be a root: PARTIAL_CHAIN lets a chain end at whatever is trusted. */
static bool path_begin(struct path *p, const struct endorsements *en, X509 *const *given,
		       size_t n_given, int64_t at, unsigned long crl_flags)
{
	X509_VERIFY_PARAM *param;

	p->store = X509_STORE_new();
	p->untrusted = sk_X509_new_null();
	p->cx = X509_STORE_CTX_new();
	if (!p->store || !p->untrusted || !p->cx || !path_fill(p, en, given, n_given) ||
	    X509_STORE_CTX_init(p->cx, p->store, given[0], p->untrusted) != 1)
		return false;
	X509_STORE_CTX_set_verify_cb(p->cx, crl_flags ? judge_revocation : judge_error);
	param = X509_STORE_CTX_get0_param(p->cx);
	X509_VERIFY_PARAM_set_time(param, at);
	X509_VERIFY_PARAM_set_depth(param, CHAIN_MAX - 2); /* certificates between the ends */
	X509_VERIFY_PARAM_set_auth_level(param, AUTH_LEVEL);
	return X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_X509_STRICT |
							  X509_V_FLAG_PARTIAL_CHAIN |
							  crl_flags) == 1;
}

/* ---- our part -------------------------------------------------------------------- */

/* A certificate without keyUsage counts as one with every bit, and is refused for it. */
static bool usable_signer(X509 *c)
{
	uint32_t usage = X509_get_key_usage(c);

	return !(X509_get_extension_flags(c) & EXFLAG_CA) && (usage & KU_DIGITAL_SIGNATURE) &&
	       !(usage & (KU_KEY_CERT_SIGN | KU_CRL_SIGN));
}

static bool keys_are_allowed(const STACK_OF(X509) * chain)
{
	for (int i = 0; i < sk_X509_num(chain); i++)
		if (!anchor_key_curve(X509_get0_pubkey(sk_X509_value(chain, i))))
			return false;
	return true;
}

/* What came with the evidence is the chain's beginning, whole and in order: nothing can
 * ride along that nobody judges. */
static bool all_are_used(const STACK_OF(X509) * chain, X509 *const *given, size_t n_given)
{
	if (n_given >= (size_t)sk_X509_num(chain))
		return false;
	for (size_t i = 0; i < n_given; i++)
		if (X509_cmp(sk_X509_value(chain, (int)i), given[i]) != 0)
			return false;
	return true;
}

/* NULL: nothing is wrong. */
static const char *what_is_wrong(const STACK_OF(X509) * chain, X509 *const *given,
				 size_t n_given)
{
	if (!keys_are_allowed(chain))
		return "a key of the chain is neither P-256 nor P-384";
	if (!usable_signer(given[0]))
		return "the first certificate's keyUsage is not that of a signer that is no CA";
	if (!all_are_used(chain, given, n_given))
		return "the certificates that came along are not the chain up to its anchor";
	return NULL;
}

static bool describe(const STACK_OF(X509) * chain, int64_t at, struct chain_found *ret,
		     struct evidence_check *c)
{
	X509 *anchor = sk_X509_value(chain, sk_X509_num(chain) - 1);
	char time[EVIDENCE_TIME], subject[128] = "", clean[512];
	uint8_t digest[EVP_MAX_MD_SIZE];
	unsigned n = 0;

	if (X509_digest(anchor, EVP_sha256(), digest, &n) != 1 || n != 32)
		return false;
	hex_print(digest, n, ret->anchor);
	ret->development = false;
	for (int i = 0; i < sk_X509_num(chain); i++)
		ret->development |= anchor_is_development(sk_X509_value(chain, i));
	X509_NAME_oneline(X509_get_subject_name(anchor), subject, sizeof(subject));
	text_escape(clean, sizeof(clean), subject);
	evidence_time(at, time);
	evidence_pass(c, "%d certificates to the given anchor %.100s (%.16s...), valid at %s",
		      sk_X509_num(chain), clean, ret->anchor, time);
	return true;
}

/* ---- the two checks -------------------------------------------------------------- */

static enum attest_status no_memory(struct attest_error *e)
{
	return attest_fail(e, ATTEST_SYSTEM, "chain", "", "libcrypto could not judge it");
}

/* What X509_verify_cert could not judge it says as an error like others: refused too. */
static void say_error(struct evidence_check *c, X509_STORE_CTX *cx)
{
	evidence_fail(c, "certificate %d of the chain: %s",
		      X509_STORE_CTX_get_error_depth(cx) + 1,
		      X509_verify_cert_error_string(X509_STORE_CTX_get_error(cx)));
}

static enum attest_status check_chain(const struct endorsements *en, X509 *const *given,
				      size_t n_given, int64_t at, struct evidence_check *c,
				      struct chain_found *ret, struct attest_error *e)
{
	struct path p = { .cx = NULL };
	enum attest_status s = ATTEST_OK;
	const char *wrong;

	if (!path_begin(&p, en, given, n_given, at, 0))
		s = no_memory(e);
	else if (X509_verify_cert(p.cx) != 1)
		say_error(c, p.cx);
	else {
		wrong = what_is_wrong(X509_STORE_CTX_get0_chain(p.cx), given, n_given);
		if (wrong)
			evidence_fail(c, "%s", wrong);
		else if (!describe(X509_STORE_CTX_get0_chain(p.cx), at, ret, c))
			s = no_memory(e);
	}
	path_end(&p);
	return s;
}

static enum attest_status check_revocation(const struct endorsements *en, X509 *const *given,
					   size_t n_given, int64_t at, struct evidence_check *c,
					   struct attest_error *e)
{
	struct path p = { .cx = NULL };
	enum attest_status s = ATTEST_OK;

	if (!path_begin(&p, en, given, n_given, at,
			X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL))
		s = no_memory(e);
	else if (X509_verify_cert(p.cx) != 1)
		say_error(c, p.cx);
	else
		evidence_pass(c, "on no CRL of its issuers");
	path_end(&p);
	return s;
}

enum attest_status evidence_chain(const struct endorsements *en, X509 *const *given,
				  size_t n_given, int64_t at, struct evidence_check *chain,
				  struct evidence_check *revocation, struct chain_found *ret,
				  struct attest_error *reterr)
{
	enum attest_status s;

	if (sk_X509_num(en->anchors) == 0) {
		evidence_fail(chain, "no anchor was given to which it could lead");
		return ATTEST_OK;
	}
	s = check_chain(en, given, n_given, at, chain, ret, reterr);
	if (s != ATTEST_OK || chain->outcome != OUTCOME_PASS)
		return s;
	if (sk_X509_CRL_num(en->crls) == 0) {
		evidence_skip(revocation, "no CRL was given");
		return ATTEST_OK;
	}
	return check_revocation(en, given, n_given, at, revocation, reterr);
}
