/* attest/keyd_files.c - see attest/keyd_files.h. */
#include "attest/keyd_files.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static enum attest_status failed(struct attest_error *e, const char *name, const char *what)
{
	return attest_fail(e, ATTEST_SYSTEM, name, "look at it in the store's folder", "%s: %m",
			   what);
}

static bool write_all(int fd, const void *bytes, size_t len)
{
	return write(fd, bytes, len) == (ssize_t)len && fsync(fd) == 0;
}

static bool sync_folder(int dirfd)
{
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool done = fd >= 0 && fsync(fd) == 0;

	if (fd >= 0)
		close(fd);
	return done;
}

/* The bytes under a name that nobody reads, then under their own. */
static bool put(int dirfd, const char *name, mode_t mode, const void *bytes, size_t len,
		bool replace)
{
	char temp[64];
	bool done;
	int fd;

	snprintf(temp, sizeof(temp), ".%s.new", name);
	if (unlinkat(dirfd, temp, 0) != 0 && errno != ENOENT)
		return false;
	fd = openat(dirfd, temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return false;
	done = write_all(fd, bytes, len) && fchmod(fd, mode) == 0 && fsync(fd) == 0;
	close(fd);
	done = done && renameat2(dirfd, temp, dirfd, name, replace ? 0 : RENAME_NOREPLACE) == 0;
	if (!done) {
		int saved = errno;

		(void)unlinkat(dirfd, temp, 0);
		errno = saved;
	}
	return done && sync_folder(dirfd);
}

enum attest_status keyd_file_make(int dirfd, const char *name, mode_t mode, const void *bytes,
				  size_t len, struct attest_error *reterr)
{
	if (put(dirfd, name, mode, bytes, len, false))
		return ATTEST_OK;
	return errno == EEXIST
		       ? attest_fail(reterr, ATTEST_REFUSED, name, "", "there is one already")
		       : failed(reterr, name, "it cannot be made");
}

enum attest_status keyd_file_show(int dirfd, const char *name, const void *bytes, size_t len,
				  struct attest_error *reterr)
{
	int fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	char now[1024];
	ssize_t n = fd < 0 ? -1 : read(fd, now, sizeof(now));

	if (fd >= 0)
		close(fd);
	if (n == (ssize_t)len && memcmp(now, bytes, len) == 0)
		return ATTEST_OK;
	return put(dirfd, name, 0644, bytes, len, true)
		       ? ATTEST_OK
		       : failed(reterr, name, "it cannot be written");
}

static enum attest_status read_secret(int fd, const char *name, void *ret, size_t size,
				      size_t *ret_len, struct attest_error *e)
{
	struct stat st;
	ssize_t n;

	if (fstat(fd, &st) != 0)
		return failed(e, name, "it cannot be read");
	if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 077))
		return attest_fail(e, ATTEST_REFUSED, name,
				   "chown and chmod it, if it is yours",
				   "it is not a file of user %u that nobody else may open",
				   (unsigned)geteuid());
	if (st.st_size > (off_t)size)
		return attest_fail(e, ATTEST_REFUSED, name, "restore it from a copy",
				   "it is too large to be one");
	n = read(fd, ret, size);
	if (n < 0)
		return failed(e, name, "it cannot be read");
	*ret_len = (size_t)n;
	return ATTEST_OK;
}

enum attest_status keyd_file_secret(int dirfd, const char *name, void *ret, size_t size,
				    size_t *ret_len, struct attest_error *reterr)
{
	int fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	enum attest_status s;

	if (fd < 0 && errno == ENOENT)
		return attest_fail(reterr, ATTEST_REFUSED, name,
				   "restore it from a copy; a new store needs a new folder",
				   "it is not there");
	if (fd < 0)
		return failed(reterr, name, "it cannot be opened");
	s = read_secret(fd, name, ret, size, ret_len, reterr);
	close(fd);
	return s;
}
