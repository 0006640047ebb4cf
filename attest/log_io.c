/* attest/log_io.c - the system calls themselves. */
#include "attest/log_io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

int log_io_open(int folder, const char *name, int flags)
{
	return openat(folder, name, flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
}

int log_io_mkdir(int folder, const char *name)
{
	return mkdirat(folder, name, 0700);
}

ssize_t log_io_pwrite(int fd, const void *from, size_t n, off_t at)
{
	return pwrite(fd, from, n, at);
}

int log_io_allocate(int fd, off_t size)
{
	errno = posix_fallocate(fd, 0, size);
	return errno == 0 ? 0 : -1;
}

int log_io_fdatasync(int fd)
{
	return fdatasync(fd);
}

int log_io_fsync(int fd)
{
	return fsync(fd);
}

int log_io_rename(int from_folder, const char *from, int to_folder, const char *to)
{
	return renameat(from_folder, from, to_folder, to);
}

int log_io_unlink(int folder, const char *name, int flags)
{
	return unlinkat(folder, name, flags);
}
