/* attest/cordon-verify.c - judges signed statements offline: no network, no clock. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <jansson.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "attest/receipt.h"
#include "policy/text.h"

struct options {
	const char *file, *key;
	bool json;
};

static void usage(FILE *to)
{
	fputs("usage: cordon verify receipt FILE --key PUB [--json]\n"
	      "PUB: a public key as PEM (receipt.pub of the host), or a verifier key text.\n",
	      to);
}

/* ---- input ----------------------------------------------------------------------- */

static enum attest_status read_file(const char *path, char *ret, size_t size, size_t *ret_len,
				    struct attest_error *e)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = 0;
	size_t have = 0;

	if (fd < 0)
		return attest_fail(e, ATTEST_MALFORMED, path, "name a file that can be read",
				   "%s", strerror(errno));
	while (have < size && (n = read(fd, ret + have, size - have)) > 0)
		have += (size_t)n;
	if (n < 0)
		attest_fail(e, ATTEST_MALFORMED, path, "", "%s", strerror(errno));
	else if (have == size)
		attest_fail(e, ATTEST_MALFORMED, path, "", "it is too large to be one");
	close(fd);
	*ret_len = have;
	return n < 0 || have == size ? ATTEST_MALFORMED : ATTEST_OK;
}

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
	char text[4096];
	size_t len;
	enum attest_status s = read_file(path, text, sizeof(text) - 1, &len, e);

	if (s != ATTEST_OK)
		return s;
	text[len] = '\0';
	if (key_from_pem(text, len, ret))
		return ATTEST_OK;
	if (note_verifier_parse(text, &v, NULL) != ATTEST_OK || v.kind != NOTE_ED25519)
		return attest_fail(e, ATTEST_MALFORMED, path,
				   "take the receipt.pub of the host that wrote the receipt",
				   "this is no Ed25519 public key");
	memcpy(ret, v.key, sizeof(v.key));
	return ATTEST_OK;
}

/* ---- output ---------------------------------------------------------------------- */

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

/* ---- the verb -------------------------------------------------------------------- */

static int verify_receipt(const struct options *o)
{
	struct attest_error e = { .what = "" };
	struct receipt r = { .n_lines = 0 };
	char text[RECEIPT_MAX + 2];
	uint8_t key[32];
	size_t len;
	bool printed = true;
	enum attest_status s = read_key(o->key, key, &e);

	if (s == ATTEST_OK)
		s = read_file(o->file, text, sizeof(text), &len, &e);
	if (s == ATTEST_OK)
		s = receipt_verify(text, len, key, &r, &e);
	if (s != ATTEST_OK)
		attest_error_print(stderr, "cordon verify", &e);
	if (o->json)
		printed = print_json(s, &r, &e);
	else if (s == ATTEST_OK)
		print_receipt(&r);
	if (printed && fflush(stdout) == 0 && !ferror(stdout))
		return attest_exit(s);
	fputs("cordon verify: standard output: the answer could not be written\n", stderr);
	return attest_exit(ATTEST_SYSTEM);
}

static bool read_options(int argc, char **argv, struct options *o)
{
	static const struct option longs[] = { { "key", required_argument, NULL, 'k' },
					       { "json", no_argument, NULL, 'j' },
					       { "help", no_argument, NULL, 'h' },
					       { "version", no_argument, NULL, 'V' },
					       { 0 } };
	int c;

	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		switch (c) {
		case 'k':
			o->key = optarg;
			break;
		case 'j':
			o->json = true;
			break;
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
	if (argc - optind != 2 || strcmp(argv[optind], "receipt") != 0 || !o->key)
		return false;
	o->file = argv[optind + 1];
	return true;
}

int main(int argc, char **argv)
{
	struct options o = { NULL };

	if (!read_options(argc, argv, &o)) {
		usage(stderr);
		return 2;
	}
	return verify_receipt(&o);
}
