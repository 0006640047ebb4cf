/*
 * tests/e2e/sandbox_forge.c - sandbox_forge FOLDER: an anchor, a host, and tokens of that
 * host, good ones and others, for tests/e2e/test_verify. All are of the first days of 2026.
 */
#include <fcntl.h>
#include <openssl/pem.h>

#include "tests/attest/sandbox_sample.h"

static FILE *create(const char *folder, const char *name)
{
	char path[4096];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	f = fopen(path, "we");
	sample_must(f);
	return f;
}

static void put_text(const char *folder, const char *name, const char *text)
{
	FILE *f = create(folder, name);

	sample_must(fputs(text, f) >= 0 && fclose(f) == 0);
}

static void put_certificate(const char *folder, const char *name, X509 *c)
{
	FILE *f = create(folder, name);

	sample_must(PEM_write_X509(f, c) == 1 && fclose(f) == 0);
}

static void put_crl(const char *folder, const char *name, X509_CRL *crl)
{
	FILE *f = create(folder, name);

	sample_must(i2d_X509_CRL_fp(f, crl) == 1 && fclose(f) == 0); /* DER */
	X509_CRL_free(crl);
}

static void put_token(const char *folder, const char *name, const struct sandbox_facts *f,
		      EVP_PKEY *key, X509 *leaf)
{
	char *token = sample_token(f, key, &leaf, 1);

	put_text(folder, name, token);
	free(token);
}

/* A host below an anchor with the marker, as `cordon init` will make it. */
static void put_development(const char *folder, const struct sandbox_facts *f, EVP_PKEY *key)
{
	static const struct anchor_span valid = { SAMPLE_AT - SAMPLE_DAY,
						  SAMPLE_AT + SAMPLE_DAY };
	EVP_PKEY *ca_key = sample_key("P-256");
	X509 *ca = NULL, *leaf = NULL;
	char *token = NULL;

	sample_must(anchor_make_development(ca_key, "laptop", valid, &ca, NULL) == ATTEST_OK);
	sample_must(anchor_certify(ca_key, ca, key, SAMPLE_HOST, valid, &leaf, NULL) ==
		    ATTEST_OK);
	sample_must(sandbox_token_sign(f, key, &leaf, 1, &token, NULL) == ATTEST_OK);
	put_certificate(folder, "development.pem", ca);
	put_text(folder, "development.jws", token);
	free(token);
	X509_free(leaf);
	X509_free(ca);
	EVP_PKEY_free(ca_key);
}

int main(int argc, char **argv)
{
	static const struct sample_spec ca = SAMPLE_CA, host = SAMPLE_LEAF;
	struct sample_issuer anchor = sample_anchor(&ca), other = sample_anchor(&ca);
	EVP_PKEY *key = sample_key("P-256"), *stranger = sample_key("P-256");
	X509 *leaf = sample_certificate(&host, key, &anchor);
	struct descriptor d = sample_descriptor();
	struct sandbox_facts f = sample_facts();
	char text[DESCRIPTOR_MAX];
	const char *to = argv[1];

	if (argc != 2) {
		fputs("usage: sandbox_forge FOLDER\n", stderr);
		return 2;
	}
	sample_descriptor_text(&d, text);
	put_text(to, "descriptor.toml", text);
	d.session[0] ^= 1;
	sample_descriptor_text(&d, text);
	put_text(to, "other-descriptor.toml", text);
	put_certificate(to, "anchor.pem", anchor.certificate);
	put_certificate(to, "other-anchor.pem", other.certificate);
	put_crl(to, "good.crl",
		sample_crl(&anchor, NULL, SAMPLE_AT - SAMPLE_DAY, SAMPLE_AT + SAMPLE_DAY));
	put_crl(to, "revoked.crl",
		sample_crl(&anchor, leaf, SAMPLE_AT - SAMPLE_DAY, SAMPLE_AT + SAMPLE_DAY));
	put_token(to, "good.jws", &f, key, leaf);
	put_token(to, "forged.jws", &f, stranger, leaf);
	f.launcher_uid = 1000;
	put_token(to, "user.jws", &f, key, leaf);
	f = sample_facts();
	put_development(to, &f, key);
	X509_free(leaf);
	X509_free(anchor.certificate);
	X509_free(other.certificate);
	EVP_PKEY_free(anchor.key);
	EVP_PKEY_free(other.key);
	EVP_PKEY_free(key);
	EVP_PKEY_free(stranger);
	return 0;
}
