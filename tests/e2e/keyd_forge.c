/*
 * tests/e2e/keyd_forge.c - keyd_forge FOLDER: hosts for the tests of the key service, good
 * for an hour. A client signs with them what it likes.
 *
 *   production.pem, .crl     an anchor and its CRL
 *   development.pem, .crl    one with the marker, as `cordon init` makes it
 *   {production,development,stranger}.key, .leaf
 *                            a host's attestation key (PEM) and its certificate (DER);
 *                            nobody trusts the stranger's anchor
 *   descriptor.toml          of a session of tenant acme
 */
#include <openssl/pem.h>
#include <time.h>

#include "tests/attest/sandbox_sample.h"

#define HOUR 3600

static FILE *create(const char *folder, const char *name, const char *end)
{
	char path[4096];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s%s", folder, name, end);
	f = fopen(path, "we");
	sample_must(f);
	return f;
}

static void put_certificate(const char *folder, const char *name, X509 *c)
{
	FILE *f = create(folder, name, ".pem");

	sample_must(PEM_write_X509(f, c) == 1 && fclose(f) == 0);
}

static void put_host(const char *folder, const char *name, EVP_PKEY *key, X509 *leaf)
{
	FILE *f = create(folder, name, ".key");

	sample_must(PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL) == 1 &&
		    fclose(f) == 0);
	f = create(folder, name, ".leaf");
	sample_must(i2d_X509_fp(f, leaf) == 1 && fclose(f) == 0);
}

static void put_crl(const char *folder, const char *name, const struct sample_issuer *by,
		    int64_t now)
{
	X509_CRL *crl = sample_crl(by, NULL, now - HOUR, now + HOUR);
	FILE *f = create(folder, name, ".crl");

	sample_must(i2d_X509_CRL_fp(f, crl) == 1 && fclose(f) == 0);
	X509_CRL_free(crl);
}

static void put_development(const char *folder, int64_t now)
{
	const struct anchor_span valid = { now - HOUR, now + HOUR };
	EVP_PKEY *ca_key = sample_key("P-256"), *key = sample_key("P-256");
	X509 *ca = NULL, *leaf = NULL;

	sample_must(anchor_make_development(ca_key, "laptop", valid, &ca, NULL) == ATTEST_OK);
	sample_must(anchor_certify(ca_key, ca, key, SAMPLE_HOST, valid, &leaf, NULL) ==
		    ATTEST_OK);
	put_certificate(folder, "development", ca);
	put_crl(folder, "development", &(struct sample_issuer){ ca_key, ca }, now);
	put_host(folder, "development", key, leaf);
	X509_free(leaf);
	X509_free(ca);
	EVP_PKEY_free(key);
	EVP_PKEY_free(ca_key);
}

/* `trusted`: with its anchor and CRL. */
static void put_production(const char *folder, const char *name, int64_t now, bool trusted)
{
	struct sample_spec ca = SAMPLE_CA, host = SAMPLE_LEAF;
	EVP_PKEY *key = sample_key("P-256");
	struct sample_issuer anchor;
	X509 *leaf;

	ca.from = host.from = now - HOUR;
	ca.until = host.until = now + HOUR;
	ca.name = name;
	anchor = sample_anchor(&ca);
	leaf = sample_certificate(&host, key, &anchor);
	put_host(folder, name, key, leaf);
	if (trusted) {
		put_crl(folder, name, &anchor, now);
		put_certificate(folder, name, anchor.certificate);
	}
	X509_free(leaf);
	X509_free(anchor.certificate);
	EVP_PKEY_free(anchor.key);
	EVP_PKEY_free(key);
}

int main(int argc, char **argv)
{
	int64_t now = (int64_t)time(NULL);
	struct descriptor d = sample_descriptor();
	char text[DESCRIPTOR_MAX];
	FILE *f;

	if (argc != 2) {
		fputs("usage: keyd_forge FOLDER\n", stderr);
		return 2;
	}
	put_production(argv[1], "production", now, true);
	put_production(argv[1], "stranger", now, false);
	put_development(argv[1], now);
	sample_descriptor_text(&d, text);
	f = create(argv[1], "descriptor", ".toml");
	sample_must(fputs(text, f) >= 0 && fclose(f) == 0);
	return 0;
}
