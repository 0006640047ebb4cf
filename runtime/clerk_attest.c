/* runtime/clerk_attest.c - see runtime/clerk_attest.h. */
#include "runtime/clerk_attest.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "attest/anchor.h"
#include "attest/hex.h"
#include "attest/sandbox_token.h"
#include "memscrub/memscrub.h"
#include "runtime/clerk_keys.h"
#include "runtime/journal.h"

#define KEY "attestation.key"
#define CERTIFICATES "attestation.pem"

_Static_assert(CLERK_REPORT_DATA == SANDBOX_REPORT_DATA, "one report_data");

static enum runtime_status refuse(struct runtime_error *e, const char *where, const char *what)
{
	return runtime_fail(e, RUNTIME_REFUSED, where, "", "%s", what);
}

/* ---- what the journal says ------------------------------------------------------- */

static bool digest_fact(const struct journal *j, const char *key,
			uint8_t ret[static SANDBOX_DIGEST])
{
	const char *hex = journal_fact(j, key);

	return hex && hex_parse(hex, strlen(hex), ret, SANDBOX_DIGEST);
}

static bool coverage_fact(const struct journal *j, enum sandbox_coverage *ret)
{
	const char *word = journal_fact(j, FACT_ATTEST_COVERAGE);

	for (*ret = SANDBOX_BINARY; word && *ret <= SANDBOX_IMAGE; (*ret)++)
		if (strcmp(word, sandbox_coverage_str(*ret)) == 0)
			return true;
	return false;
}

static enum runtime_status take_facts(const struct journal *j, struct sandbox_facts *f,
				      struct runtime_error *e)
{
	if (journal_state(j) != SESSION_ATTESTING)
		return runtime_fail(e, RUNTIME_REFUSED, "evidence", "",
				    "a session that is %s attests nothing",
				    session_state_str(journal_state(j)));
	if (!digest_fact(j, FACT_ATTEST_PLAN, f->plan) ||
	    !digest_fact(j, FACT_ATTEST_FILTER, f->filter) ||
	    !digest_fact(j, FACT_ATTEST_WORKLOAD, f->workload) ||
	    !digest_fact(j, FACT_ATTEST_DESCRIPTOR, f->descriptor) ||
	    !coverage_fact(j, &f->coverage))
		return refuse(e, "evidence", "its keeper has not measured it");
	f->launcher_uid = j->begin.euid;
	return RUNTIME_OK;
}

/* ---- what the clerk sees by itself ----------------------------------------------- */

static bool hash_file(int fd, uint8_t ret[static SANDBOX_DIGEST])
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	uint8_t chunk[16384];
	bool ok = md && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1;
	ssize_t n = ok ? read(fd, chunk, sizeof(chunk)) : -1;

	for (; n > 0 && ok; n = read(fd, chunk, sizeof(chunk)))
		ok = EVP_DigestUpdate(md, chunk, (size_t)n) == 1;
	ok = ok && n == 0 && EVP_DigestFinal_ex(md, ret, NULL) == 1;
	EVP_MD_CTX_free(md);
	return ok;
}

/* The program that the session's keeper is running. Opened before it is checked that the
 * process is still the same one. */
static enum runtime_status measure_keeper(const struct journal *j,
					  uint8_t ret[static SANDBOX_DIGEST],
					  struct runtime_error *e)
{
	AUTO(closep) int exe = -1;
	AUTO(closep) int keeper = -1;
	char path[40];

	snprintf(path, sizeof(path), "/proc/%d/exe", j->begin.keeper);
	exe = open(path, O_RDONLY | O_CLOEXEC);
	keeper = process_open(j->begin.keeper, j->begin.keeper_start);
	if (exe < 0 || keeper < 0)
		return refuse(e, "evidence", "its keeper is gone");
	if (!hash_file(exe, ret))
		return runtime_fail(e, RUNTIME_SYSTEM, path, "", "cannot measure the keeper");
	return RUNTIME_OK;
}

static bool boot_text(char ret[static 37])
{
	uint8_t b[16];
	char hex[HEX_SIZE(16)];

	if (!boot_id(b))
		return false;
	hex_print(b, sizeof(b), hex);
	snprintf(ret, 37, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16,
		 hex + 20);
	return true;
}

static enum runtime_status look_around(struct sandbox_facts *f, struct runtime_error *e)
{
	struct scrub_floor floor;
	struct utsname host;
	char why[256];

	if (uname(&host) < 0 || !boot_text(f->boot_id))
		return runtime_fail(e, RUNTIME_SYSTEM, "evidence", "",
				    "the kernel does not say what it is");
	snprintf(f->kernel_release, sizeof(f->kernel_release), "%.64s", host.release);
	scrub_floor_read("", &floor);
	f->init_on_free = scrub_floor_kernel(&floor, why);
	snprintf(f->key_custody, sizeof(f->key_custody), "file");
	f->issued = (int64_t)time(NULL);
#ifdef CORDON_FAULT_POINTS
	f->fault_points = true;
#endif
	return RUNTIME_OK;
}

/* ---- the key --------------------------------------------------------------------- */

struct signer {
	EVP_PKEY *key;
	X509 *chain[SANDBOX_CERTIFICATES];
	size_t n;
};

static void signer_close(struct signer *s)
{
	EVP_PKEY_free(s->key);
	for (size_t i = 0; i < s->n; i++)
		X509_free(s->chain[i]);
}

static enum runtime_status signer_open(int sessions_fd, struct signer *ret,
				       struct runtime_error *e)
{
	AUTO(closep)
	int dir =
		openat(sessions_fd, "../keys", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct attest_error ae = { .what = "" };
	enum attest_status s;

	if (dir < 0)
		return runtime_fail(e, RUNTIME_SYSTEM, "keys", "",
				    "cannot open the folder: %m");
	if (faccessat(dir, KEY, F_OK, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT)
		return runtime_fail(e, RUNTIME_REFUSED, "keys/" KEY,
				    "have one certified, or make one for development with "
				    "`cordon init`",
				    "this host has no attestation key");
	s = anchor_key_open(dir, KEY, &ret->key, &ae);
	if (s == ATTEST_OK)
		s = anchor_certificates_open(dir, CERTIFICATES, SANDBOX_CERTIFICATES,
					     ret->chain, &ret->n, &ae);
	return s == ATTEST_OK ? RUNTIME_OK : clerk_attest_fail(e, s, &ae);
}

/* The certificate says under which name the relying party knows this host. */
static enum runtime_status host_id(X509 *certificate, char *ret, size_t size,
				   struct runtime_error *e)
{
	int n = X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName,
					  ret, (int)size);

	return n > 0 && (size_t)n < size && anchor_is_host_id(ret)
		       ? RUNTIME_OK
		       : refuse(e, "keys/" CERTIFICATES, "its subject is no host's id");
}

/* ---- the token ------------------------------------------------------------------- */

static enum runtime_status seal(const char *token, int *ret_fd, struct runtime_error *e)
{
	AUTO(closep) int fd = memfd_create("token", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	size_t len = strlen(token);

	if (fd < 0 || write(fd, token, len) != (ssize_t)len ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_WRITE | F_SEAL_SEAL) <
		    0)
		return runtime_fail(e, RUNTIME_SYSTEM, "evidence", "",
				    "no memory for the token: %m");
	*ret_fd = fd;
	fd = -1;
	return RUNTIME_OK;
}

static enum runtime_status sign(int sessions_fd, struct sandbox_facts *f, int *ret_fd,
				struct runtime_error *e)
{
	struct attest_error ae = { .what = "" };
	struct signer signer = { .key = NULL };
	AUTO(freep) char *token = NULL;
	enum runtime_status s = signer_open(sessions_fd, &signer, e);

	if (s == RUNTIME_OK)
		s = host_id(signer.chain[0], f->host_id, sizeof(f->host_id), e);
	if (s == RUNTIME_OK) {
		enum attest_status as =
			sandbox_token_sign(f, signer.key, signer.chain, signer.n, &token, &ae);

		if (as != ATTEST_OK)
			s = clerk_attest_fail(e, as, &ae);
	}
	signer_close(&signer);
	return s == RUNTIME_OK ? seal(token, ret_fd, e) : s;
}

enum runtime_status clerk_attest(int sessions_fd, const uint8_t id[static SESSION_ID_BYTES],
				 const uint8_t report_data[static CLERK_REPORT_DATA],
				 int *ret_fd, struct runtime_error *reterr)
{
	static struct journal j;
	struct sandbox_facts f = { .issued = 0 };
	bool torn = false;
	enum runtime_status s = journal_read(sessions_fd, id, &j, &torn, reterr);

	memcpy(f.report_data, report_data, sizeof(f.report_data));
	if (s == RUNTIME_OK)
		s = take_facts(&j, &f, reterr);
	if (s == RUNTIME_OK)
		s = measure_keeper(&j, f.cordon, reterr);
	if (s == RUNTIME_OK)
		s = look_around(&f, reterr);
	return s == RUNTIME_OK ? sign(sessions_fd, &f, ret_fd, reterr) : s;
}
