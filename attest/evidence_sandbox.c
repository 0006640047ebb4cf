/* attest/evidence_sandbox.c - evidence of class `sandbox` (attest/sandbox_token.h). */
#include <inttypes.h>
#include <openssl/err.h>
#include <openssl/objects.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "attest/anchor.h"
#include "attest/evidence_chain.h"
#include "attest/evidence_internal.h"
#include "attest/sandbox_token.h"

/* ---- parse ------------------------------------------------------------------------- */

/* The beginning of {"alg" in base64url, which no report or quote of hardware has. */
static bool guess(const char *bytes, size_t len)
{
	return len > 3 && memcmp(bytes, "eyJ", 3) == 0;
}

static enum attest_status parse(const char *bytes, size_t len, void **ret,
				struct attest_error *reterr)
{
	struct sandbox_token *t;
	enum attest_status s = sandbox_token_parse(bytes, len, &t, reterr);

	if (s == ATTEST_OK)
		*ret = t;
	return s;
}

static void release(void *parsed)
{
	sandbox_token_free(parsed);
}

/* ---- binding ----------------------------------------------------------------------- */

/* Is it for attestation, and for nothing else? */
static bool is_for_attestation(X509 *c)
{
	EXTENDED_KEY_USAGE *usage = X509_get_ext_d2i(c, NID_ext_key_usage, NULL, NULL);
	char oid[128] = "";
	bool one = sk_ASN1_OBJECT_num(usage) == 1;

	if (one)
		OBJ_obj2txt(oid, sizeof(oid), sk_ASN1_OBJECT_value(usage, 0), 1);
	EXTENDED_KEY_USAGE_free(usage);
	ERR_clear_error();
	return one && strcmp(oid, ANCHOR_OID_ATTESTATION) == 0;
}

/* Is this its one common name, to the last byte? */
static bool is_of_host(X509 *c, const char *host)
{
	const X509_NAME *name = X509_get_subject_name(c);
	int at = X509_NAME_get_index_by_NID(name, NID_commonName, -1);
	const ASN1_STRING *text;

	if (at < 0 || X509_NAME_get_index_by_NID(name, NID_commonName, at) >= 0)
		return false;
	text = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at));
	return (size_t)ASN1_STRING_length(text) == strlen(host) &&
	       memcmp(ASN1_STRING_get0_data(text), host, strlen(host)) == 0;
}

/* notBefore and notAfter are whole seconds; X509_cmp_time has no answer of "equal". */
static bool issued_while_valid(X509 *c, int64_t issued)
{
	time_t t = (time_t)issued;

	return X509_cmp_time(X509_get0_notBefore(c), &t) < 0 &&
	       X509_cmp_time(X509_get0_notAfter(c), &t) > 0;
}

/* The certificate is one of an attestation key, of the host that speaks, at that time. */
static void check_binding(X509 *signer, const struct sandbox_facts *f, struct evidence_check *c)
{
	if (!is_for_attestation(signer))
		evidence_fail(c, "the signer's certificate is not one of an attestation key");
	else if (!is_of_host(signer, f->host_id))
		evidence_fail(c, "the signer's certificate is of another host than %s",
			      f->host_id);
	else if (!issued_while_valid(signer, f->issued))
		evidence_fail(c, "it was signed outside the validity of its certificate");
	else
		evidence_pass(c, "signed by the attestation key of host %s", f->host_id);
}

/* ---- verify ------------------------------------------------------------------------ */

static void make_claims(const struct sandbox_facts *f, const struct chain_found *found,
			struct claims *c)
{
	claims_bytes(c, "report_data", f->report_data, sizeof(f->report_data));
	claims_bytes(c, "plan_digest", f->plan, sizeof(f->plan));
	claims_bytes(c, "descriptor_digest", f->descriptor, sizeof(f->descriptor));
	claims_bytes(c, "workload_digest", f->workload, sizeof(f->workload));
	claims_text(c, "workload_coverage", sandbox_coverage_str(f->coverage));
	claims_bytes(c, "cordon_digest", f->cordon, sizeof(f->cordon));
	claims_bytes(c, "filter_digest", f->filter, sizeof(f->filter));
	claims_number(c, "launcher_uid", f->launcher_uid);
	claims_text(c, "key_custody", f->key_custody);
	claims_text(c, "host_id", f->host_id);
	claims_text(c, "host_kernel", f->kernel_release);
	claims_text(c, "host_boot_id", f->boot_id);
	claims_truth(c, "init_on_free", f->init_on_free);
	claims_truth(c, "fault_points", f->fault_points);
	claims_truth(c, "development_anchor", found->development);
	claims_time(c, "issued_at", f->issued);
}

static enum attest_status verify(const void *parsed, const struct endorsements *en, int64_t at,
				 struct evidence_check checks[static CHECKS],
				 struct claims *ret, struct attest_error *reterr)
{
	struct attest_error why = { .what = "" };
	struct chain_found found = { .development = true };
	struct sandbox_facts f;
	size_t n;
	X509 *const *chain = sandbox_token_chain(parsed, &n);
	enum attest_status s;

	s = evidence_chain(en, chain, n, at, &checks[CHECK_CHAIN], &checks[CHECK_REVOCATION],
			   &found, reterr);
	if (s != ATTEST_OK)
		return s;
	if (checks[CHECK_REVOCATION].outcome == OUTCOME_SKIPPED)
		evidence_need(&checks[CHECK_REVOCATION], ATTESTATION_SKIPPED_REVOCATION);
	s = sandbox_token_verify(parsed, &f, &why);
	if (s == ATTEST_REFUSED) {
		evidence_fail(&checks[CHECK_SIGNATURE],
			      "the certified key has not signed this token");
		return ATTEST_OK;
	}
	if (s != ATTEST_OK)
		return attest_fail(reterr, s, why.where, why.hint, "%s", why.what);
	evidence_pass(&checks[CHECK_SIGNATURE], "ES256 by the certified key");
	check_binding(chain[0], &f, &checks[CHECK_BINDING]);
	make_claims(&f, &found, ret);
	return ATTEST_OK;
}

/* ---- baseline ---------------------------------------------------------------------- */

static bool is_true(const struct claims *claims, const char *name)
{
	const struct claim *c = claims_find(claims, name);

	return !c || c->value.truth; /* not known: the worse of the two */
}

/* A development anchor's key lies in a file that anybody may have; a build with fault
 * points stops where whoever starts it says. Neither is production, and both have one
 * name in a policy. */
static void check_debug(const struct claims *claims, struct evidence_check *c)
{
	bool development = is_true(claims, "development_anchor");
	bool fault_points = is_true(claims, "fault_points");

	evidence_pass(c, "%s%s%s", development ? "certified by a development anchor" : "",
		      development && fault_points ? ", and " : "",
		      fault_points ? "a build with fault points" : "");
	if (development || fault_points)
		evidence_need(c, ATTESTATION_DEVELOPMENT_ANCHOR);
	else
		evidence_pass(c, "a production anchor and build");
}

static void check_guest_policy(const struct claims *claims, struct evidence_check *c)
{
	const struct claim *uid = claims_find(claims, "launcher_uid");
	const struct claim *coverage = claims_find(claims, "workload_coverage");
	bool binary = !coverage || strcmp(coverage->value.text, "binary") == 0;

	evidence_pass(c, "launched by uid %" PRIu64 ", coverage %s",
		      uid ? uid->value.number : UINT64_MAX,
		      coverage ? coverage->value.text : "unknown");
	if (!uid || uid->value.number != 0)
		evidence_need(c, ATTESTATION_LAUNCHER_UID);
	if (binary)
		evidence_need(c, ATTESTATION_COVERAGE_BINARY);
}

static void baseline(const struct claims *claims, struct evidence_check checks[static CHECKS])
{
	check_debug(claims, &checks[CHECK_DEBUG]);
	check_guest_policy(claims, &checks[CHECK_GUEST_POLICY]);
}

const struct evidence_kind evidence_sandbox = {
	.name = "sandbox",
	.class = ATTESTATION_SANDBOX,
	.parse = parse,
	.verify = verify,
	.baseline = baseline,
	.free = release,
	.guess = guess,
	.host_data = "descriptor_digest",
	.platform = "host_id",
};
