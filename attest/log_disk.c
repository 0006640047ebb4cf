/* attest/log_disk.c - write, flush, name, flush the name. */
#include "attest/log_disk.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "attest/log_io.h"

enum attest_status log_disk_failed(const char *where, const char *what, struct attest_error *e)
{
	if (errno == ENOSPC || errno == EDQUOT)
		return attest_fail(e, ATTEST_REFUSED, where,
				   "free space on the log's file system",
				   "%s: %m; the log takes no more entries", what);
	return attest_fail(e, ATTEST_SYSTEM, where, NULL, "%s: %m", what);
}

static enum attest_status flushed(struct log_disk *d, int result, const char *where,
				  struct attest_error *e)
{
	if (result == 0)
		return ATTEST_OK;
	d->spoilt = true;
	return attest_fail(e, ATTEST_SYSTEM, where,
			   "mend the disk, then start again: a start reads what it holds",
			   "a flush failed: %m; what the disk holds is not known");
}

enum attest_status log_disk_sync(struct log_disk *d, int fd, const char *where,
				 struct attest_error *e)
{
	d->flushes.fsyncs++;
	return flushed(d, log_io_fsync(fd), where, e);
}

enum attest_status log_disk_sync_data(struct log_disk *d, int fd, const char *where,
				      struct attest_error *e)
{
	d->flushes.commits++;
	return flushed(d, log_io_fdatasync(fd), where, e);
}

enum attest_status log_disk_write(int fd, const void *bytes, size_t n, size_t at,
				  const char *where, struct attest_error *e)
{
	const uint8_t *from = bytes;

	while (n > 0) {
		ssize_t done = log_io_pwrite(fd, from, n, (off_t)at);

		if (done < 0 && errno == EINTR)
			continue;
		if (done == 0)
			errno = EIO;
		if (done <= 0)
			return log_disk_failed(where, "cannot be written", e);
		from += done;
		at += (size_t)done;
		n -= (size_t)done;
	}
	return ATTEST_OK;
}

/* ---- files that appear whole ----------------------------------------------------- */

void log_disk_drop_temp(struct log_disk *d)
{
	int saved = errno;

	(void)log_io_unlink(d->state, LOG_TEMP, 0);
	errno = saved;
}

enum attest_status log_disk_temp(struct log_disk *d, size_t size, int *ret_fd,
				 struct attest_error *e)
{
	int fd = log_io_open(d->state, LOG_TEMP, O_RDWR | O_CREAT | O_EXCL);
	enum attest_status s;

	if (fd < 0)
		return log_disk_failed(".state/" LOG_TEMP, "cannot be made", e);
	if (size > 0 && log_io_allocate(fd, (off_t)size) != 0) {
		s = log_disk_failed(".state/" LOG_TEMP, "no room can be kept", e);
		close(fd);
		log_disk_drop_temp(d);
		return s;
	}
	*ret_fd = fd;
	return ATTEST_OK;
}

enum attest_status log_disk_name(struct log_disk *d, int temp, int folder, const char *name,
				 const char *where, struct attest_error *e)
{
	enum attest_status s = log_disk_sync(d, temp, where, e);

	if (s == ATTEST_OK && log_io_rename(d->state, LOG_TEMP, folder, name) != 0)
		s = log_disk_failed(where, "cannot be put in place", e);
	if (s != ATTEST_OK) {
		log_disk_drop_temp(d);
		return s;
	}
	return log_disk_sync(d, folder, where, e);
}

enum attest_status log_disk_replace(struct log_disk *d, int folder, const char *name,
				    const void *bytes, size_t n, const char *where,
				    struct attest_error *e)
{
	int fd = -1;
	enum attest_status s = log_disk_temp(d, 0, &fd, e);

	if (s != ATTEST_OK)
		return s;
	s = log_disk_write(fd, bytes, n, 0, where, e);
	if (s == ATTEST_OK)
		s = log_disk_name(d, fd, folder, name, where, e);
	else
		log_disk_drop_temp(d);
	close(fd);
	return s;
}

/* ---- reading --------------------------------------------------------------------- */

static ssize_t read_all(int fd, uint8_t *to, size_t size)
{
	size_t have = 0;

	while (have < size) {
		ssize_t n = pread(fd, to + have, size - have, (off_t)have);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		if (n == 0)
			break;
		have += (size_t)n;
	}
	return (ssize_t)have;
}

enum attest_status log_disk_read_open(int fd, const char *name, void *to, size_t size,
				      ssize_t *ret_len, struct attest_error *e)
{
	struct stat st;
	ssize_t n;

	if (fstat(fd, &st) != 0)
		return log_disk_failed(name, "cannot be read", e);
	if (!S_ISREG(st.st_mode) || st.st_size > (off_t)size)
		return attest_fail(e, ATTEST_REFUSED, name, NULL,
				   "tampered: no file of at most %zu bytes", size);
	n = read_all(fd, to, size);
	if (n < 0)
		return log_disk_failed(name, "cannot be read", e);
	*ret_len = n;
	return ATTEST_OK;
}

enum attest_status log_disk_read(int folder, const char *name, void *to, size_t size,
				 ssize_t *ret_len, struct attest_error *e)
{
	int fd = log_io_open(folder, name, O_RDONLY);
	enum attest_status s;

	if (fd < 0 && errno == ENOENT) {
		*ret_len = -1;
		return ATTEST_OK;
	}
	if (fd < 0 && errno == ELOOP)
		return attest_fail(e, ATTEST_REFUSED, name, NULL, "tampered: a symbolic link");
	if (fd < 0)
		return log_disk_failed(name, "cannot be opened", e);
	s = log_disk_read_open(fd, name, to, size, ret_len, e);
	close(fd);
	return s;
}
