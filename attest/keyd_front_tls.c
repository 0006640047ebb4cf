/* attest/keyd_front_tls.c - the TLS that the front speaks. */
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "attest/keyd_front_internal.h"

#define SUITES "TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
/* The first list where this libssl knows the hybrid, else the second. */
#define GROUPS "X25519MLKEM768:X25519:P-256:P-384"
#define GROUPS_CLASSIC "X25519:P-256:P-384"

static enum attest_status tls_fail(struct attest_error *e, const char *where, const char *what)
{
	char why[160];
	unsigned long code = ERR_peek_last_error();

	ERR_error_string_n(code, why, sizeof(why));
	ERR_clear_error();
	return attest_fail(e, ATTEST_MALFORMED, where, "", "%s (%s)", what, code ? why : "-");
}

/* A private key has no pass phrase here: nobody is asked for one. */
static int no_phrase(char *buf, int size, int writing, void *arg)
{
	(void)buf;
	(void)size;
	(void)writing;
	(void)arg;
	return -1;
}

/* For its owner alone, as every key of ours. */
static enum attest_status use_key(SSL_CTX *tls, const char *path, struct attest_error *e)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;
	FILE *file = NULL;
	EVP_PKEY *key = NULL;
	enum attest_status s = ATTEST_OK;

	if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
		s = attest_fail(e, ATTEST_MALFORMED, path, "", "cannot be read: %m");
	} else if (st.st_mode & 077) {
		s = attest_fail(e, ATTEST_REFUSED, path, "chmod 600",
				"others may read the TLS key");
	} else {
		file = fdopen(fd, "r");
		key = file ? PEM_read_PrivateKey(file, NULL, no_phrase, NULL) : NULL;
		if (!key || SSL_CTX_use_PrivateKey(tls, key) != 1 ||
		    SSL_CTX_check_private_key(tls) != 1)
			s = tls_fail(e, path, "this is not the private key of the certificate");
	}
	EVP_PKEY_free(key);
	if (file)
		fclose(file);
	else if (fd >= 0)
		close(fd);
	return s;
}

static bool configure(SSL_CTX *tls)
{
	SSL_CTX_set_options(tls, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION |
					 SSL_OP_NO_COMPRESSION |
					 SSL_OP_CIPHER_SERVER_PREFERENCE);
	SSL_CTX_set_mode(tls, SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_session_cache_mode(tls, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_verify(tls, SSL_VERIFY_NONE, NULL);
	if (SSL_CTX_set1_groups_list(tls, GROUPS) != 1 &&
	    SSL_CTX_set1_groups_list(tls, GROUPS_CLASSIC) != 1)
		return false;
	ERR_clear_error();
	return SSL_CTX_set_min_proto_version(tls, TLS1_3_VERSION) == 1 &&
	       SSL_CTX_set_max_proto_version(tls, TLS1_3_VERSION) == 1 &&
	       SSL_CTX_set_ciphersuites(tls, SUITES) == 1 &&
	       SSL_CTX_set_num_tickets(tls, 0) == 1 && SSL_CTX_set_max_early_data(tls, 0) == 1;
}

enum attest_status front_tls_new(const char *certificate, const char *key, SSL_CTX **ret,
				 struct attest_error *e)
{
	SSL_CTX *tls = SSL_CTX_new(TLS_server_method());
	enum attest_status s = ATTEST_OK;

	if (!tls || !configure(tls))
		s = tls_fail(e, "TLS", "libssl cannot do what is needed");
	else if (SSL_CTX_use_certificate_chain_file(tls, certificate) != 1)
		s = tls_fail(e, certificate, "this is no certificate that can be used");
	else
		s = use_key(tls, key, e);
	if (s == ATTEST_OK)
		*ret = tls;
	else
		SSL_CTX_free(tls);
	return s;
}
