/* attest/anchor_key.c - private keys and certificates as files: whole, durable, once. */
#include <errno.h>
#include <fcntl.h>
#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/obj_mac.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "attest/anchor.h"

#define FILE_MAX 65536u /* bytes; a key has 250, a chain of certificates a few thousand */
#define NAME_SIZE 128u

static const struct {
	enum anchor_curve curve;
	const char *group;
	int nid;
} curves[] = {
	{ ANCHOR_P256, "P-256", NID_X9_62_prime256v1 },
	{ ANCHOR_P384, "P-384", NID_secp384r1 },
};
#define CURVES (sizeof(curves) / sizeof(curves[0]))

enum anchor_curve anchor_key_curve(EVP_PKEY *key)
{
	char group[32] = "";

	if (!key || !EVP_PKEY_is_a(key, "EC") ||
	    EVP_PKEY_get_group_name(key, group, sizeof(group), NULL) != 1)
		return 0;
	for (size_t i = 0; i < CURVES; i++)
		if (OBJ_txt2nid(group) == curves[i].nid)
			return curves[i].curve;
	return 0;
}

/* What libcrypto found is in its queue; nothing of it goes to a caller, who could not act
 * on it. */
static enum attest_status crypto_failed(struct attest_error *e, const char *name)
{
	ERR_clear_error();
	return attest_fail(e, ATTEST_SYSTEM, name, "", "libcrypto could not do it");
}

/* ---- files ----------------------------------------------------------------------- */

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

static bool sync_folder(int dir_fd)
{
	int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool ok = fd >= 0 && fsync(fd) == 0;

	if (fd >= 0)
		close(fd);
	return ok;
}

/* The whole file under a name of its own, durable; link(2) then gives it `name`, and unlike
 * rename(2) never takes that name from another. */
static bool write_file(int dir_fd, const char *temp, mode_t mode, const char *bytes, size_t len)
{
	int fd;
	bool ok;

	if (unlinkat(dir_fd, temp, 0) < 0 && errno != ENOENT)
		return false; /* left by a crash */
	fd = openat(dir_fd, temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
	if (fd < 0)
		return false;
	ok = fchmod(fd, mode) == 0 && write_all(fd, bytes, len) && fsync(fd) == 0;
	return close(fd) == 0 && ok;
}

static enum attest_status give_name(int dir_fd, const char *temp, const char *name,
				    struct attest_error *e)
{
	if (linkat(dir_fd, temp, dir_fd, name, 0) == 0)
		return ATTEST_OK;
	if (errno == EEXIST)
		return attest_fail(e, ATTEST_REFUSED, name,
				   "remove it first, if nobody needs it",
				   "there is such a file already");
	return attest_fail(e, ATTEST_SYSTEM, name, "", "cannot write it: %m");
}

static enum attest_status put_file(int dir_fd, const char *name, mode_t mode, const char *bytes,
				   size_t len, struct attest_error *e)
{
	char temp[NAME_SIZE + 8];
	enum attest_status s;

	if (strlen(name) >= NAME_SIZE || strchr(name, '/'))
		return attest_fail(e, ATTEST_REFUSED, name, "", "this is no name for a file");
	snprintf(temp, sizeof(temp), ".%s.new", name);
	if (!write_file(dir_fd, temp, mode, bytes, len))
		return attest_fail(e, ATTEST_SYSTEM, name, "", "cannot write it: %m");
	s = give_name(dir_fd, temp, name, e);
	(void)unlinkat(dir_fd, temp, 0); /* the next call would */
	if (s == ATTEST_OK && !sync_folder(dir_fd))
		s = attest_fail(e, ATTEST_SYSTEM, name, "", "cannot make it durable: %m");
	return s;
}

/* At most FILE_MAX bytes. A secret is the caller's own file, and nobody else may read it. */
static enum attest_status get_file(int dir_fd, const char *name, bool secret,
				   char ret[static FILE_MAX], size_t *ret_len,
				   struct attest_error *e)
{
	int fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	ssize_t n = 0;
	struct stat st;
	size_t have = 0;

	if (fd < 0)
		return attest_fail(e, ATTEST_REFUSED, name, "", "cannot read it: %m");
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) ||
	    (secret && (st.st_uid != geteuid() || (st.st_mode & 077)))) {
		close(fd);
		return attest_fail(e, ATTEST_REFUSED, name,
				   secret ? "it must be yours, with mode 0600" : "",
				   "this is not a file to read %s from",
				   secret ? "a secret" : "a certificate");
	}
	while (have < FILE_MAX && (n = read(fd, ret + have, FILE_MAX - have)) > 0)
		have += (size_t)n;
	close(fd);
	if (n < 0)
		return attest_fail(e, ATTEST_SYSTEM, name, "", "cannot read it: %m");
	if (have == FILE_MAX)
		return attest_fail(e, ATTEST_MALFORMED, name, "", "it is too large");
	*ret_len = have;
	return ATTEST_OK;
}

/* ---- keys ------------------------------------------------------------------------ */

static EVP_PKEY *new_key(enum anchor_curve curve)
{
	for (size_t i = 0; i < CURVES; i++)
		if (curves[i].curve == curve)
			return EVP_EC_gen(curves[i].group);
	return NULL;
}

enum attest_status anchor_key_make(int dir_fd, const char *name, enum anchor_curve curve,
				   EVP_PKEY **ret, struct attest_error *reterr)
{
	BIO *pem = BIO_new(BIO_s_secmem()); /* wiped when it is freed */
	EVP_PKEY *key = new_key(curve);
	enum attest_status s;
	char *text;
	long len;

	if (!pem || !key ||
	    PEM_write_bio_PKCS8PrivateKey(pem, key, NULL, NULL, 0, NULL, NULL) != 1)
		s = crypto_failed(reterr, name);
	else {
		len = BIO_get_mem_data(pem, &text);
		s = put_file(dir_fd, name, 0600, text, (size_t)len, reterr);
	}
	BIO_free(pem);
	if (s == ATTEST_OK)
		*ret = key;
	else
		EVP_PKEY_free(key);
	return s;
}

/* A key that asks for a pass phrase is none of ours. */
static int no_phrase(char *buf, int size, int writing, void *arg)
{
	(void)buf;
	(void)size;
	(void)writing;
	(void)arg;
	return -1;
}

enum attest_status anchor_key_open(int dir_fd, const char *name, EVP_PKEY **ret,
				   struct attest_error *reterr)
{
	char text[FILE_MAX];
	EVP_PKEY *key;
	size_t len;
	BIO *bio;
	enum attest_status s = get_file(dir_fd, name, true, text, &len, reterr);

	if (s != ATTEST_OK)
		return s;
	bio = BIO_new_mem_buf(text, (int)len);
	key = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_phrase, NULL) : NULL;
	BIO_free(bio);
	explicit_bzero(text, len);
	ERR_clear_error();
	if (anchor_key_curve(key)) {
		*ret = key;
		return ATTEST_OK;
	}
	EVP_PKEY_free(key);
	return attest_fail(reterr, ATTEST_MALFORMED, name, "restore it from a copy",
			   "this is no private key of P-256 or P-384");
}

/* ---- certificates ---------------------------------------------------------------- */

enum attest_status anchor_certificate_put(int dir_fd, const char *name, X509 *certificate,
					  struct attest_error *reterr)
{
	BIO *pem = BIO_new(BIO_s_mem());
	enum attest_status s;
	char *text;
	long len;

	if (!pem || PEM_write_bio_X509(pem, certificate) != 1)
		s = crypto_failed(reterr, name);
	else {
		len = BIO_get_mem_data(pem, &text);
		s = put_file(dir_fd, name, 0644, text, (size_t)len, reterr);
	}
	BIO_free(pem);
	return s;
}

enum attest_status anchor_certificates_open(int dir_fd, const char *name, size_t max,
					    X509 **ret, size_t *ret_n,
					    struct attest_error *reterr)
{
	char text[FILE_MAX];
	bool whole;
	size_t len, n = 0;
	BIO *bio;
	enum attest_status s = get_file(dir_fd, name, false, text, &len, reterr);

	if (s != ATTEST_OK)
		return s;
	bio = BIO_new_mem_buf(text, (int)len);
	while (bio && n < max && (ret[n] = PEM_read_bio_X509(bio, NULL, no_phrase, NULL)))
		n++;
	whole = bio && BIO_eof(bio);
	BIO_free(bio);
	ERR_clear_error();
	if (n > 0 && whole) {
		*ret_n = n;
		return ATTEST_OK;
	}
	while (n > 0)
		X509_free(ret[--n]);
	return attest_fail(reterr, ATTEST_MALFORMED, name, "",
			   "this is no list of at most %zu certificates", max);
}
