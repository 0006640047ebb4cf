/* attest/cordon-verify.c - judges evidence and signed statements offline: no network, and no
 * clock but for the default of --at. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <jansson.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "attest/evidence_files.h"
#include "attest/hex.h"
#include "attest/receipt.h"
#include "policy/attestation.h"
#include "policy/text.h"

#define PATHS 64u
#define EVIDENCE_MAX (1u << 20)
#define REPORT_DATA 64u

struct options {
	const char *file, *key; /* of a receipt */
	const char *tee, *evidence, *policy, *report_data, *descriptor, *at;
	const char *endorsements[PATHS], *anchors[PATHS];
	size_t n_endorsements, n_anchors;
	bool receipt, json;
};

static void usage(FILE *to)
{
	fputs("usage: cordon verify [--tee sandbox|sev-snp|tdx] --evidence FILE [--anchors "
	      "PATH]...\n"
	      "           [--endorsements PATH]... [--policy FILE] [--report-data HEX]\n"
	      "           [--descriptor FILE] [--at RFC3339] [--json]\n"
	      "       cordon verify receipt FILE --key PUB [--json]\n"
	      "PATH: a file or a folder of certificates and CRLs, PEM or DER.\n"
	      "PUB: a public key as PEM (receipt.pub of the host), or a verifier key text.\n",
	      to);
}

/* ---- receipts ---------------------------------------------------------------------- */

/* A public key has no pass phrase: nobody is asked for one. */
static int no_phrase(char *buf, int size, int writing, void *arg)
{
	(void)buf;
	(void)size;
	(void)writing;
	(void)arg;
	return -1;
}

static bool key_from_pem(const char *text, size_t len, uint8_t ret[static 32])
{
	BIO *bio = BIO_new_mem_buf(text, (int)len);
	EVP_PKEY *key = bio ? PEM_read_bio_PUBKEY(bio, NULL, no_phrase, NULL) : NULL;
	size_t n = 32;
	bool ok = key && EVP_PKEY_get_id(key) == EVP_PKEY_ED25519 &&
		  EVP_PKEY_get_raw_public_key(key, ret, &n) == 1 && n == 32;

	EVP_PKEY_free(key);
	BIO_free(bio);
	return ok;
}

static enum attest_status read_key(const char *path, uint8_t ret[static 32],
				   struct attest_error *e)
{
	struct note_verifier v;
	char *text;
	size_t len;
	enum attest_status s = evidence_read_file(path, 4096, &text, &len, e);

	if (s != ATTEST_OK)
		return s;
	if (key_from_pem(text, len, ret))
		;
	else if (note_verifier_parse(text, &v, NULL) == ATTEST_OK && v.kind == NOTE_ED25519)
		memcpy(ret, v.key, sizeof(v.key));
	else
		s = attest_fail(e, ATTEST_MALFORMED, path,
				"take the receipt.pub of the host that wrote the receipt",
				"this is no Ed25519 public key");
	free(text);
	return s;
}

static const char *verdict(enum attest_status s)
{
	return s == ATTEST_OK          ? "accepted"
	       : s == ATTEST_REFUSED   ? "refused"
	       : s == ATTEST_MALFORMED ? "malformed"
				       : "unknown";
}

/* What a host has signed is still its own words: none of them reaches a terminal raw. */
static void print_receipt(const struct receipt *r)
{
	char class[4 * sizeof(r->class)], session[4 * sizeof(r->session)];
	char tenant[4 * sizeof(r->tenant)], host[4 * sizeof(r->host)];

	text_escape(class, sizeof(class), r->class);
	text_escape(session, sizeof(session), r->session);
	text_escape(tenant, sizeof(tenant), r->tenant);
	text_escape(host, sizeof(host), r->host);
	printf("accepted: %s session %s of tenant %s on %s: %s/%s, %s\n", class, session,
	       tenant, host, receipt_assurance_str(receipt_worth(r, RECEIPT_HELD)),
	       receipt_assurance_str(receipt_worth(r, RECEIPT_KERNEL)),
	       receipt_clean(r) ? "clean: what its policy asked for"
				: "not clean: less than its policy asked for");
	for (size_t i = 0; i < r->n_lines; i++) {
		const struct receipt_line *l = &r->lines[i];
		char method[4 * RECEIPT_TEXT], place[4 * RECEIPT_PLACE];

		text_escape(method, sizeof(method), l->method);
		text_escape(place, sizeof(place), l->place);
		printf("  %-6s  %-26s  %-8s  %10llu bytes  %s\n", receipt_group_str(l->group),
		       place, receipt_assurance_str(l->assurance), (unsigned long long)l->bytes,
		       method);
	}
}

/* A path that is not UTF-8 cannot stand in JSON; escaped, it can. */
static json_t *json_text(const char *s)
{
	char clean[4 * sizeof(((struct attest_error *)NULL)->what)];
	json_t *text = json_string(s);

	if (text)
		return text;
	text_escape(clean, sizeof(clean), s);
	return json_string(clean);
}

static bool print_json(enum attest_status s, const struct receipt *r,
		       const struct attest_error *e)
{
	json_t *o = json_pack("{s:s, s:s}", "schema", "cordon.verify-receipt/1", "verdict",
			      verdict(s));
	bool done;

	if (s == ATTEST_OK)
		json_object_update_new(
			o, json_pack("{s:s, s:s, s:b, s:s, s:s}", "session", r->session,
				     "tenant", r->tenant, "clean", receipt_clean(r), "held",
				     receipt_assurance_str(receipt_worth(r, RECEIPT_HELD)),
				     "kernel",
				     receipt_assurance_str(receipt_worth(r, RECEIPT_KERNEL))));
	else
		json_object_update_new(o, json_pack("{s:o, s:o}", "where", json_text(e->where),
						    "reason", json_text(e->what)));
	done = o && json_dumpf(o, stdout, JSON_INDENT(2)) == 0 && putchar('\n') >= 0;
	json_decref(o);
	return done;
}

/* Nobody may take an answer for given that was not written. */
static int end(bool printed, enum attest_status s)
{
	if (printed && fflush(stdout) == 0 && !ferror(stdout))
		return attest_exit(s);
	fputs("cordon verify: standard output: the answer could not be written\n", stderr);
	return attest_exit(ATTEST_SYSTEM);
}

static int verify_receipt(const struct options *o)
{
	struct attest_error e = { .what = "" };
	struct receipt r = { .n_lines = 0 };
	char *text = NULL;
	uint8_t key[32];
	size_t len;
	bool printed = true;
	enum attest_status s = read_key(o->key, key, &e);

	if (s == ATTEST_OK)
		s = evidence_read_file(o->file, RECEIPT_MAX + 1, &text, &len, &e);
	if (s == ATTEST_OK)
		s = receipt_verify(text, len, key, &r, &e);
	free(text);
	if (s != ATTEST_OK)
		attest_error_print(stderr, "cordon verify", &e);
	if (o->json)
		printed = print_json(s, &r, &e);
	else if (s == ATTEST_OK)
		print_receipt(&r);
	return end(printed, s);
}

/* ---- evidence ---------------------------------------------------------------------- */

/* All that the options name, read before any of it is judged. */
struct inputs {
	enum evidence_tee tee;
	char *bytes, *descriptor;
	size_t len;
	uint8_t report_data[REPORT_DATA];
	struct evidence_wants wants;
	struct endorsements *en;
	struct policy_attestation *policy;
	int64_t at;
};

static void inputs_end(struct inputs *in)
{
	free(in->bytes);
	free(in->descriptor);
	endorsements_free(in->en);
	policy_attestation_free(in->policy);
}

static enum attest_status bad_option(struct attest_error *e, const char *option,
				     const char *value, const char *hint, const char *what)
{
	return attest_fail(e, ATTEST_MALFORMED, option, hint, "%s: \"%.100s\"", what, value);
}

/* A shorter value has zeros behind it, as a digest has in the field of a report. */
static enum attest_status read_report_data(const char *hex, struct inputs *in,
					   struct attest_error *e)
{
	size_t n = strlen(hex) / 2;

	if (n < 1 || n > REPORT_DATA || !hex_parse(hex, strlen(hex), in->report_data, n))
		return bad_option(e, "--report-data", hex,
				  "give 1 to 64 bytes as lower-case hexadecimal digits",
				  "this is not report data");
	in->wants.report_data = in->report_data;
	return ATTEST_OK;
}

static enum attest_status read_at(const char *text, struct inputs *in, struct attest_error *e)
{
	in->at = (int64_t)time(NULL);
	if (text && !evidence_time_parse(text, &in->at))
		return bad_option(e, "--at", text, "write it as 2026-11-23T12:00:00Z",
				  "this is not a time");
	return ATTEST_OK;
}

static enum attest_status read_descriptor(const char *path, struct inputs *in,
					  struct attest_error *e)
{
	enum attest_status s = evidence_read_file(path, EVIDENCE_MAX, &in->descriptor,
						  &in->wants.descriptor_len, e);

	in->wants.descriptor = in->descriptor;
	return s;
}

static enum attest_status read_endorsements(const struct options *o, struct inputs *in,
					    struct attest_error *e)
{
	enum attest_status s = endorsements_new(&in->en, e);

	for (size_t i = 0; s == ATTEST_OK && i < o->n_anchors; i++)
		s = endorsements_load(in->en, ENDORSEMENT_ANCHOR, o->anchors[i], e);
	for (size_t i = 0; s == ATTEST_OK && i < o->n_endorsements; i++)
		s = endorsements_load(in->en, ENDORSEMENT_OTHER, o->endorsements[i], e);
	return s;
}

static enum attest_status read_evidence(const struct options *o, struct inputs *in,
					struct attest_error *e)
{
	enum attest_status s =
		evidence_read_file(o->evidence, EVIDENCE_MAX, &in->bytes, &in->len, e);

	if (s != ATTEST_OK)
		return s;
	in->tee =
		o->tee ? evidence_tee_by_name(o->tee) : evidence_tee_guess(in->bytes, in->len);
	return o->tee && in->tee == EVIDENCE_NONE
		       ? bad_option(e, "--tee", o->tee, "write sandbox, sev-snp or tdx",
				    "there is no such kind of evidence")
		       : ATTEST_OK;
}

static enum attest_status read_inputs(const struct options *o, struct inputs *in,
				      struct attest_error *e)
{
	enum attest_status s = read_at(o->at, in, e);

	if (s == ATTEST_OK && o->report_data)
		s = read_report_data(o->report_data, in, e);
	if (s == ATTEST_OK)
		s = read_evidence(o, in, e);
	if (s == ATTEST_OK && o->descriptor)
		s = read_descriptor(o->descriptor, in, e);
	if (s == ATTEST_OK && o->policy)
		s = evidence_load_policy(o->policy, &in->policy, e);
	return s == ATTEST_OK ? read_endorsements(o, in, e) : s;
}

/* *ret is an answer for every status but ATTEST_SYSTEM. */
static enum attest_status judge(const struct inputs *in, struct attest_result **ret,
				struct attest_error *e)
{
	struct evidence *ev = NULL;
	struct verified *v = NULL;
	enum attest_status s;

	s = evidence_parse(in->tee, in->bytes, in->len, &ev, ret, e);
	if (s == ATTEST_OK)
		s = evidence_verify(ev, in->en, in->at, &v, ret, e);
	if (s == ATTEST_OK)
		s = evidence_appraise(v, in->policy, &in->wants, in->at, ret, e);
	if (s == ATTEST_OK && attest_result_verdict(*ret) != VERDICT_ACCEPTED)
		s = ATTEST_REFUSED;
	verified_free(v);
	evidence_free(ev);
	return s;
}

static void say_first_failure(const struct attest_result *r, const char *path)
{
	struct attest_error e;

	for (unsigned i = 0; i < CHECKS; i++)
		if (attest_result_check(r, i)->outcome == OUTCOME_FAIL) {
			(void)attest_fail(&e, ATTEST_REFUSED, path, "", "%s: %s",
					  evidence_check_str(i),
					  attest_result_check(r, i)->detail);
			attest_error_print(stderr, "cordon verify", &e);
			return;
		}
}

static int verify_evidence(const struct options *o)
{
	struct attest_error e = { .what = "" };
	struct inputs in = { .at = 0 };
	struct attest_result *r = NULL;
	bool printed = true;
	enum attest_status s = read_inputs(o, &in, &e);

	if (s == ATTEST_OK)
		s = judge(&in, &r, &e);
	if (r)
		say_first_failure(r, o->evidence);
	else
		attest_error_print(stderr, "cordon verify", &e);
	if (r && o->json)
		printed = evidence_print_json(stdout, r);
	else if (r && s != ATTEST_MALFORMED)
		evidence_print(stdout, r);
	attest_result_free(r);
	inputs_end(&in);
	return end(printed, s);
}

/* ---- the verb ---------------------------------------------------------------------- */

/* An option that may stand once. */
static bool once(const char **to, const char *value)
{
	bool first = *to == NULL;

	*to = value;
	if (!first)
		fputs("cordon verify: an option is given twice\n", stderr);
	return first;
}

static bool one_more(const char **list, size_t *n, const char *value)
{
	if (*n < PATHS) {
		list[(*n)++] = value;
		return true;
	}
	fputs("cordon verify: too many paths; put the files into one folder\n", stderr);
	return false;
}

static bool take_option(struct options *o, int c, const char *value)
{
	switch (c) {
	case 'k':
		return once(&o->key, value);
	case 't':
		return once(&o->tee, value);
	case 'e':
		return once(&o->evidence, value);
	case 'p':
		return once(&o->policy, value);
	case 'r':
		return once(&o->report_data, value);
	case 'd':
		return once(&o->descriptor, value);
	case '@':
		return once(&o->at, value);
	case 'E':
		return one_more(o->endorsements, &o->n_endorsements, value);
	case 'A':
		return one_more(o->anchors, &o->n_anchors, value);
	case 'j':
		o->json = true;
		return true;
	case 'h':
		usage(stdout);
		exit(0);
	case 'V':
		puts("cordon-verify " CORDON_VERSION);
		exit(0);
	default:
		return false;
	}
}

/* What is of the one may not stand beside the other. */
static bool fits_together(const struct options *o)
{
	bool of_evidence = o->tee || o->evidence || o->policy || o->report_data ||
			   o->descriptor || o->at || o->n_endorsements || o->n_anchors;

	return o->receipt ? o->key && !of_evidence : o->evidence && !o->key;
}

static bool read_options(int argc, char **argv, struct options *o)
{
	static const struct option longs[] = { { "key", required_argument, NULL, 'k' },
					       { "tee", required_argument, NULL, 't' },
					       { "evidence", required_argument, NULL, 'e' },
					       { "endorsements", required_argument, NULL, 'E' },
					       { "anchors", required_argument, NULL, 'A' },
					       { "policy", required_argument, NULL, 'p' },
					       { "report-data", required_argument, NULL, 'r' },
					       { "descriptor", required_argument, NULL, 'd' },
					       { "at", required_argument, NULL, '@' },
					       { "json", no_argument, NULL, 'j' },
					       { "help", no_argument, NULL, 'h' },
					       { "version", no_argument, NULL, 'V' },
					       { 0 } };
	int c;

	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1)
		if (!take_option(o, c, optarg))
			return false;
	if (argc - optind == 2 && strcmp(argv[optind], "receipt") == 0) {
		o->receipt = true;
		o->file = argv[optind + 1];
	} else if (argc != optind) {
		return false;
	}
	return fits_together(o);
}

int main(int argc, char **argv)
{
	struct options o = { .file = NULL };

	if (!read_options(argc, argv, &o)) {
		usage(stderr);
		return 2;
	}
	return o.receipt ? verify_receipt(&o) : verify_evidence(&o);
}
