/* runtime/init.c - see runtime/init.h. */
#include "runtime/init.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/clerk_keys.h"
#include "runtime/fault.h"

#define ANCHOR_KEY "anchor.key"
#define ANCHOR_PEM "anchor.pem"

static enum runtime_status fail(struct runtime_error *e, const char *where, const char *what)
{
	return runtime_fail(e, RUNTIME_SYSTEM, where, "", "%s: %m", what);
}

/* ---- files and folders ----------------------------------------------------------- */

static bool write_all(int fd, const char *bytes, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, bytes, len);

		if (n < 0 && errno != EINTR)
			return false;
		if (n > 0) {
			bytes += n;
			len -= (size_t)n;
		}
	}
	return true;
}

/* Of a folder that nobody knows yet: half a file is seen by nobody. */
enum runtime_status init_put(int dir_fd, const char *name, mode_t mode, const char *text,
			     size_t len, struct runtime_error *reterr)
{
	AUTO(closep)
	int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
			mode);

	if (fd < 0 || fchmod(fd, mode) < 0 || !write_all(fd, text, len) || fsync(fd) < 0)
		return fail(reterr, name, "cannot write it");
	return RUNTIME_OK;
}

static enum runtime_status put_text(int dir_fd, const char *name, char *text,
				    struct runtime_error *e)
{
	enum runtime_status s =
		text ? init_put(dir_fd, name, 0644, text, strlen(text), e)
		     : runtime_fail(e, RUNTIME_SYSTEM, name, "", "no memory for it");

	free(text);
	return s;
}

static int make_folder(int dir_fd, const char *name, mode_t mode, struct runtime_error *e)
{
	int fd = -1;

	if (mkdirat(dir_fd, name, 0700) == 0)
		fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fchmod(fd, mode) < 0) {
		(void)fail(e, name, "cannot make the folder");
		closep(&fd);
	}
	return fd;
}

/* ---- the anchor ------------------------------------------------------------------ */

/* Of two with one name a chain might be tried with the wrong one first. */
static bool anchor_name(const struct init *i, char ret[static INIT_HOST])
{
	uint8_t random[4];

	if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
		return false;
	snprintf(ret, INIT_HOST, "development anchor of %.30s %02x%02x%02x%02x", i->host,
		 random[0], random[1], random[2], random[3]);
	return true;
}

static enum runtime_status make_anchor(int dir_fd, const struct init *i,
				       struct runtime_error *e)
{
	AUTO(closep) int anchors = make_folder(dir_fd, "anchors", 0755, e);
	struct attest_error ae = { .what = "" };
	EVP_PKEY *key = NULL;
	X509 *anchor = NULL;
	char name[INIT_HOST];
	enum attest_status s;

	if (anchors < 0)
		return RUNTIME_SYSTEM;
	if (!anchor_name(i, name))
		return fail(e, ANCHOR_PEM, "no random bytes");
	s = anchor_key_make(dir_fd, ANCHOR_KEY, ANCHOR_P256, &key, &ae);
	if (s == ATTEST_OK)
		s = anchor_make_development(key, name, i->valid, &anchor, &ae);
	if (s == ATTEST_OK)
		s = anchor_certificate_put(anchors, ANCHOR_PEM, anchor, &ae);
	X509_free(anchor);
	EVP_PKEY_free(key);
	return s == ATTEST_OK ? RUNTIME_OK : clerk_attest_fail(e, s, &ae);
}

static enum runtime_status make_service(int dir_fd, const struct init *i,
					uint8_t ret_ca[static INIT_DIGEST],
					struct runtime_error *e)
{
	AUTO(closep) int keyd = make_folder(dir_fd, "keyd", 0700, e);
	AUTO(closep) int store = keyd < 0 ? -1 : make_folder(keyd, "store", 0700, e);
	enum runtime_status s;

	if (store < 0)
		return RUNTIME_SYSTEM;
	s = init_tls(keyd, i->valid, ret_ca, e);
	if (s == RUNTIME_OK)
		s = put_text(keyd, "keyd.yaml", init_keyd_text(i), e);
	if (s == RUNTIME_OK && fsync(keyd) < 0)
		s = fail(e, "keyd", "cannot make it durable");
	return s;
}

enum runtime_status init_fill(int dir_fd, const struct init *i, struct runtime_error *reterr)
{
	uint8_t ca[INIT_DIGEST];
	enum runtime_status s = make_anchor(dir_fd, i, reterr);

	fault_point("init.anchor");
	if (s == RUNTIME_OK)
		s = make_service(dir_fd, i, ca, reterr);
	if (s == RUNTIME_OK)
		s = put_text(dir_fd, "policy.yaml", init_policy_text(i, ca), reterr);
	if (s == RUNTIME_OK && (fchmod(dir_fd, 0755) < 0 || fsync(dir_fd) < 0))
		s = fail(reterr, i->dir, "cannot make it durable");
	return s;
}

/* ---- the host -------------------------------------------------------------------- */

struct issuer {
	EVP_PKEY *key;
	X509 *certificate;
};

static enum attest_status issuer_open(int dir_fd, struct issuer *ret, struct attest_error *e)
{
	AUTO(closep)
	int anchors =
		openat(dir_fd, "anchors", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	enum attest_status s = anchor_key_open(dir_fd, ANCHOR_KEY, &ret->key, e);
	size_t n = 0;

	return s == ATTEST_OK ? anchor_certificates_open(anchors, ANCHOR_PEM, 1,
							 &ret->certificate, &n, e)
			      : s;
}

static void issuer_close(struct issuer *i)
{
	X509_free(i->certificate);
	EVP_PKEY_free(i->key);
}

static bool exists(int dir_fd, const char *name)
{
	return faccessat(dir_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT;
}

/* Whether a certificate that is there is one that we made of this key. */
static enum attest_status judge_certificate(int keys_fd, EVP_PKEY *key, const struct issuer *by,
					    struct attest_error *e)
{
	X509 *c = NULL;
	size_t n = 0;
	enum attest_status s =
		anchor_certificates_open(keys_fd, INIT_ATTESTATION_PEM, 1, &c, &n, e);

	if (s == ATTEST_OK &&
	    (X509_check_private_key(c, key) != 1 || X509_verify(c, by->key) != 1))
		s = attest_fail(e, ATTEST_REFUSED, "keys/" INIT_ATTESTATION_PEM,
				"remove it first, if nobody needs it",
				"there is such a file already");
	ERR_clear_error();
	X509_free(c);
	return s;
}

static enum attest_status certify(int keys_fd, EVP_PKEY *key, const struct issuer *by,
				  const struct init *i, struct attest_error *e)
{
	X509 *c = NULL;
	enum attest_status s;

	if (exists(keys_fd, INIT_ATTESTATION_PEM))
		return judge_certificate(keys_fd, key, by, e);
	s = anchor_certify(by->key, by->certificate, key, i->host, i->valid, &c, e);
	if (s == ATTEST_OK)
		s = anchor_certificate_put(keys_fd, INIT_ATTESTATION_PEM, c, e);
	X509_free(c);
	return s;
}

enum runtime_status init_host(int dir_fd, int keys_fd, const struct init *i,
			      struct runtime_error *reterr)
{
	struct attest_error ae = { .what = "" };
	struct issuer by = { .key = NULL };
	EVP_PKEY *key = NULL;
	enum attest_status s = issuer_open(dir_fd, &by, &ae);

	if (s == ATTEST_OK)
		s = exists(keys_fd, INIT_ATTESTATION_KEY)
			    ? anchor_key_open(keys_fd, INIT_ATTESTATION_KEY, &key, &ae)
			    : anchor_key_make(keys_fd, INIT_ATTESTATION_KEY, ANCHOR_P256, &key,
					      &ae);
	fault_point("init.keyed");
	if (s == ATTEST_OK)
		s = certify(keys_fd, key, &by, i, &ae);
	fault_point("init.certified");
	EVP_PKEY_free(key);
	issuer_close(&by);
	return s == ATTEST_OK ? RUNTIME_OK : clerk_attest_fail(reterr, s, &ae);
}
