/* runtime/clerk_keys.c - see runtime/clerk_keys.h. */
#include "runtime/clerk_keys.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "attest/base64.h"

#define SEED 32u
#define FOLDER "keys"
#define PUBLISHED "published"

enum runtime_status clerk_attest_fail(struct runtime_error *e, enum attest_status s,
				      const struct attest_error *from)
{
	static const enum runtime_status as[] = { [ATTEST_OK] = RUNTIME_OK,
						  [ATTEST_REFUSED] = RUNTIME_REFUSED,
						  [ATTEST_MALFORMED] = RUNTIME_MALFORMED,
						  [ATTEST_SYSTEM] = RUNTIME_SYSTEM };

	return runtime_fail(e, as[s], from->where, from->hint, "%s", from->what);
}

static enum runtime_status fail(struct runtime_error *e, const char *where, const char *what)
{
	return runtime_fail(e, RUNTIME_SYSTEM, where, "look at it in the state folder",
			    "%s: %m", what);
}

/* ---- files ----------------------------------------------------------------------- */

/* Whole and durable under its name, or not there. */
static bool put_file(int dir, const char *name, mode_t mode, const void *bytes, size_t len)
{
	char temp[64];
	int fd;
	bool ok;

	snprintf(temp, sizeof(temp), ".%s.new", name);
	if (unlinkat(dir, temp, 0) < 0 && errno != ENOENT)
		return false;
	fd = openat(dir, temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
	if (fd < 0)
		return false;
	ok = fchmod(fd, mode) == 0 && write(fd, bytes, len) == (ssize_t)len && fsync(fd) == 0;
	closep(&fd);
	ok = ok && renameat(dir, temp, dir, name) == 0;
	if (!ok)
		(void)unlinkat(dir, temp, 0); /* half a secret is one as well */
	fd = ok ? openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	ok = fd >= 0 && fsync(fd) == 0;
	closep(&fd);
	return ok;
}

/* At most `size` bytes; -1 with errno. Nobody else's file, and nobody else may read it. */
static ssize_t get_secret(int dir, const char *name, void *ret, size_t size)
{
	AUTO(closep) int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -1;
	if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 077)) {
		errno = EPERM;
		return -1;
	}
	return read(fd, ret, size);
}

static int open_folder(int state_fd)
{
	if (mkdirat(state_fd, FOLDER, 0700) < 0 && errno != EEXIST)
		return -1;
	return openat(state_fd, FOLDER, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* ---- names ----------------------------------------------------------------------- */

/* HOST/cordon/RANDOM: another host of the same name, or a second root on this one, is
 * another log. */
static bool new_origin(char ret[static NOTE_NAME])
{
	char host[64] = "host";
	uint8_t random[4];

	(void)gethostname(host, sizeof(host) - 1); /* then it is called "host" */
	host[sizeof(host) - 1] = '\0';
	for (char *c = host; *c; c++)
		if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-",
			    *c))
			*c = '-';
	if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
		return false;
	snprintf(ret, NOTE_NAME, "%s/cordon/%02x%02x%02x%02x", host[0] ? host : "host",
		 random[0], random[1], random[2], random[3]);
	return true;
}

/* ---- one key --------------------------------------------------------------------- */

struct stored {
	uint8_t seed[SEED];
	char name[NOTE_NAME];
};

static enum runtime_status make(int dir, const char *file, const char *name, struct stored *k,
				struct runtime_error *e)
{
	if (getrandom(k->seed, sizeof(k->seed), 0) != (ssize_t)sizeof(k->seed))
		return fail(e, file, "no random bytes");
	snprintf(k->name, sizeof(k->name), "%s", name);
	return put_file(dir, file, 0600, k, SEED + strlen(k->name))
		       ? RUNTIME_OK
		       : fail(e, file, "cannot store the key");
}

/* The key in `file`; where there is none, one of that name is made, unless one is in use. */
static enum runtime_status open_key(int dir, const char *file, const char *name, bool in_use,
				    struct note_signer **ret, struct runtime_error *e)
{
	struct attest_error ae = { .what = "" };
	struct stored k = { .name = "" };
	ssize_t n = get_secret(dir, file, &k, sizeof(k) - 1);
	enum runtime_status s = RUNTIME_OK;

	if (n < 0 && errno == ENOENT && in_use)
		s = runtime_fail(e, RUNTIME_REFUSED, file, "restore it from a copy",
				 "this key was removed, and others know its public half");
	else if (n < 0 && errno == ENOENT)
		s = make(dir, file, name, &k, e);
	else if (n < 0)
		s = fail(e, file, "cannot read the key");
	else if (n <= (ssize_t)SEED || (size_t)n == sizeof(k) - 1)
		s = runtime_fail(e, RUNTIME_MALFORMED, file, "restore it from a copy",
				 "this is no key of the clerk's");
	if (s == RUNTIME_OK) {
		enum attest_status as = note_signer_new(k.name, k.seed, ret, &ae);

		if (as != ATTEST_OK)
			s = clerk_attest_fail(e, as, &ae);
	}
	explicit_bzero(&k, sizeof(k));
	return s;
}

/* ---- public halves --------------------------------------------------------------- */

/* SubjectPublicKeyInfo of an Ed25519 key (RFC 8410, section 4) as PEM. */
static void pem(const uint8_t key[static 32], char *ret, size_t size)
{
	uint8_t der[44] = { 0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21 };
	char text[BASE64_SIZE(sizeof(der))];

	memcpy(der + 12, key, 32);
	base64_encode(der, sizeof(der), text);
	snprintf(ret, size, "-----BEGIN PUBLIC KEY-----\n%s\n-----END PUBLIC KEY-----\n", text);
}

/* Written only where it is not already the same, so that a start costs no flush. */
static bool show(int state_fd, const char *name, const char *text)
{
	char now[1024];
	AUTO(closep)
	int fd = openat(state_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, now, sizeof(now));

	if (n == (ssize_t)strlen(text) && memcmp(now, text, (size_t)n) == 0)
		return true;
	return put_file(state_fd, name, 0644, text, strlen(text));
}

static enum runtime_status show_public(int state_fd, const struct clerk_keys *k,
				       struct runtime_error *e)
{
	char vkey[NOTE_VKEY], text[NOTE_VKEY + 1];

	note_verifier_print(note_signer_verifier(k->log), vkey);
	snprintf(text, sizeof(text), "%s\n", vkey);
	if (!show(state_fd, "log.vkey", text))
		return fail(e, "log.vkey", "cannot write it");
	pem(note_signer_verifier(k->receipt)->key, text, sizeof(text));
	if (!show(state_fd, "receipt.pub", text))
		return fail(e, "receipt.pub", "cannot write it");
	return RUNTIME_OK;
}

/* ---- both ------------------------------------------------------------------------ */

enum runtime_status clerk_keys_open(int state_fd, struct clerk_keys *ret,
				    struct runtime_error *reterr)
{
	AUTO(closep) int dir = open_folder(state_fd);
	struct clerk_keys k = { NULL, NULL, "" };
	char name[NOTE_NAME];
	enum runtime_status s;
	/* Both keys are durable before anything is signed. */
	bool in_use = clerk_keys_published(state_fd) ||
		      faccessat(state_fd, "log/.state/signed", F_OK, 0) == 0;

	if (dir < 0)
		return fail(reterr, FOLDER, "cannot open the keys' folder");
	if (!new_origin(name))
		return fail(reterr, FOLDER, "no random bytes");
	s = open_key(dir, "log.key", name, in_use, &k.log, reterr);
	if (s == RUNTIME_OK) {
		snprintf(k.origin, sizeof(k.origin), "%s", note_signer_verifier(k.log)->name);
		snprintf(name, sizeof(name), "%.240s/receipt", k.origin);
		s = open_key(dir, "receipt.key", name, in_use, &k.receipt, reterr);
	}
	if (s == RUNTIME_OK)
		s = show_public(state_fd, &k, reterr);
	if (s == RUNTIME_OK)
		*ret = k;
	else
		clerk_keys_close(&k);
	return s;
}

void clerk_keys_close(struct clerk_keys *k)
{
	note_signer_free(k->log);
	note_signer_free(k->receipt);
	k->log = k->receipt = NULL;
}

bool clerk_keys_published(int state_fd)
{
	return faccessat(state_fd, FOLDER "/" PUBLISHED, F_OK, AT_SYMLINK_NOFOLLOW) == 0 ||
	       errno != ENOENT;
}

enum runtime_status clerk_keys_set_published(int state_fd, struct runtime_error *reterr)
{
	AUTO(closep) int dir = open_folder(state_fd);

	return dir >= 0 && put_file(dir, PUBLISHED, 0600, "", 0)
		       ? RUNTIME_OK
		       : fail(reterr, PUBLISHED, "cannot write it");
}
