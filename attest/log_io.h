/*
 * attest/log_io.h - every system call by which the writer of a log changes the disk.
 *
 * They stand alone so that a test can put its own in their place when it is linked (a
 * program that defines all of them never takes log_io.o out of the archive): it counts
 * steps, fails one, or ends the process between two. Results and errno are the kernel's.
 */
#pragma once

#include <sys/types.h>

/* O_CLOEXEC and O_NOFOLLOW always; what is made is for its owner alone. */
int log_io_open(int folder, const char *name, int flags);
int log_io_mkdir(int folder, const char *name);
ssize_t log_io_pwrite(int fd, const void *from, size_t n, off_t at);
int log_io_allocate(int fd, off_t size);
int log_io_fdatasync(int fd);
int log_io_fsync(int fd);
int log_io_rename(int from_folder, const char *from, int to_folder, const char *to);
int log_io_unlink(int folder, const char *name, int flags);
