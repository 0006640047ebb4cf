/* runtime/init_tls.c - certificates for a key service on this machine. */
#include "runtime/init.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "attest/certificate.h"
#include "runtime/clerk_keys.h"

#define CA_NAME "cordon development CA, not for production"
#define SERVER_NAME "cordon development key service"
#define NAMES "DNS:localhost,IP:127.0.0.1,IP:::1"
/* Whoever gets its key cannot pretend to be anybody else. */
#define CONSTRAINTS                                                                            \
	"critical,permitted;DNS:localhost,permitted;IP:127.0.0.1/255.255.255.255,"             \
	"permitted;IP:::1/ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"

struct extension {
	int nid;
	const char *value;
};

static const struct extension of_ca[] = {
	{ NID_basic_constraints, "critical,CA:TRUE,pathlen:0" },
	{ NID_key_usage, "critical,keyCertSign" },
	{ NID_name_constraints, CONSTRAINTS },
	{ NID_subject_key_identifier, "hash" },
	{ NID_undef, NULL },
};

static const struct extension of_server[] = {
	{ NID_basic_constraints, "critical,CA:FALSE" },
	{ NID_key_usage, "critical,digitalSignature" },
	{ NID_ext_key_usage, "serverAuth" },
	{ NID_subject_alt_name, NAMES },
	{ NID_subject_key_identifier, "hash" },
	{ NID_authority_key_identifier, "keyid:always" },
	{ NID_undef, NULL },
};

static enum runtime_status crypto_failed(struct runtime_error *e)
{
	ERR_clear_error();
	return runtime_fail(e, RUNTIME_SYSTEM, "TLS certificate", "",
			    "libcrypto could not make it");
}

/* ---- one certificate ------------------------------------------------------------- */

static bool add_extensions(X509 *c, X509 *issuer, const struct extension *list)
{
	bool ok = true;

	for (; list->value && ok; list++) {
		X509V3_CTX cx;
		X509_EXTENSION *x;

		X509V3_set_ctx(&cx, issuer, c, NULL, NULL, 0);
		x = X509V3_EXT_conf_nid(NULL, &cx, list->nid, list->value);
		ok = x && X509_add_ext(c, x, -1) == 1;
		X509_EXTENSION_free(x);
	}
	return ok;
}

/* `issuer` NULL: self-signed. NULL on failure. */
static X509 *certificate(EVP_PKEY *key, const char *name, struct anchor_span valid,
			 X509 *issuer, EVP_PKEY *issuer_key, const struct extension *list)
{
	X509 *c = X509_new();

	if (c && X509_set_version(c, X509_VERSION_3) == 1 && certificate_set_serial(c) &&
	    certificate_set_name(c, name) &&
	    ASN1_TIME_set(X509_getm_notBefore(c), valid.from) &&
	    ASN1_TIME_set(X509_getm_notAfter(c), valid.until) && X509_set_pubkey(c, key) == 1 &&
	    X509_set_issuer_name(c, X509_get_subject_name(issuer ? issuer : c)) == 1 &&
	    add_extensions(c, issuer ? issuer : c, list) &&
	    X509_sign(c, issuer_key, EVP_sha256()) > 0)
		return c;
	X509_free(c);
	return NULL;
}

/* The CA goes along: a client that pins it must be shown it. */
static enum runtime_status put_chain(int dir_fd, const char *name, X509 *first, X509 *second,
				     struct runtime_error *e)
{
	BIO *pem = BIO_new(BIO_s_mem());
	enum runtime_status s;
	char *text;
	long len;

	if (!pem || PEM_write_bio_X509(pem, first) != 1 ||
	    (second && PEM_write_bio_X509(pem, second) != 1)) {
		s = crypto_failed(e);
	} else {
		len = BIO_get_mem_data(pem, &text);
		s = init_put(dir_fd, name, 0644, text, (size_t)len, e);
	}
	BIO_free(pem);
	return s;
}

static enum runtime_status make_key(int dir_fd, const char *name, EVP_PKEY **ret,
				    struct runtime_error *e)
{
	struct attest_error ae = { .what = "" };
	enum attest_status s = anchor_key_make(dir_fd, name, ANCHOR_P256, ret, &ae);

	return s == ATTEST_OK ? RUNTIME_OK : clerk_attest_fail(e, s, &ae);
}

/* ---- both ------------------------------------------------------------------------ */

static bool digest_of(const X509 *c, uint8_t ret[static INIT_DIGEST])
{
	unsigned n = 0;

	return X509_digest(c, EVP_sha256(), ret, &n) == 1 && n == INIT_DIGEST;
}

enum runtime_status init_tls(int keyd_fd, struct anchor_span valid,
			     uint8_t ret_ca[static INIT_DIGEST], struct runtime_error *reterr)
{
	EVP_PKEY *ca_key = NULL, *key = NULL;
	X509 *ca = NULL, *server = NULL;
	enum runtime_status s = make_key(keyd_fd, "ca.key", &ca_key, reterr);

	if (s == RUNTIME_OK)
		s = make_key(keyd_fd, "server.key", &key, reterr);
	if (s == RUNTIME_OK) {
		ca = certificate(ca_key, CA_NAME, valid, NULL, ca_key, of_ca);
		if (ca)
			server = certificate(key, SERVER_NAME, valid, ca, ca_key, of_server);
		if (!server || !digest_of(ca, ret_ca))
			s = crypto_failed(reterr);
	}
	if (s == RUNTIME_OK)
		s = put_chain(keyd_fd, "ca.pem", ca, NULL, reterr);
	if (s == RUNTIME_OK)
		s = put_chain(keyd_fd, "server.pem", server, ca, reterr);
	X509_free(server);
	X509_free(ca);
	EVP_PKEY_free(key);
	EVP_PKEY_free(ca_key);
	return s;
}
