/*
 * attest/log_disk.h - the folder of a log as its writer sees it: files that appear whole or
 * not at all, and flushes that may fail once.
 *
 * What is written goes to `.state/temp` first, is flushed there, and only then gets its
 * name. So nothing half written ever stands beside what readers read, and what a crash
 * leaves over is one file of one name.
 */
#pragma once

#include "attest/log_writer.h"

#define LOG_TEMP "temp"

struct log_disk {
	int top;     /* the log's folder */
	int state;   /* .state in it */
	bool spoilt; /* a flush failed: nobody knows what the disk holds */
	struct log_flushes flushes;
};

/* Out of errno. No room is ATTEST_REFUSED, all else ATTEST_SYSTEM. */
enum attest_status log_disk_failed(const char *where, const char *what, struct attest_error *e);

/* Flushes spoil the disk when they fail: Linux may have dropped what it could not write,
 * and would call the next flush a success. */
__attribute__((warn_unused_result)) enum attest_status
log_disk_sync(struct log_disk *d, int fd, const char *where, struct attest_error *e);
__attribute__((warn_unused_result)) enum attest_status
log_disk_sync_data(struct log_disk *d, int fd, const char *where, struct attest_error *e);

/* All of it, in as many calls as the kernel wants. */
__attribute__((warn_unused_result)) enum attest_status log_disk_write(int fd, const void *bytes,
								      size_t n, size_t at,
								      const char *where,
								      struct attest_error *e);

/* A new `.state/temp`, as large as `size` says if that is not 0. */
__attribute__((warn_unused_result)) enum attest_status
log_disk_temp(struct log_disk *d, size_t size, int *ret_fd, struct attest_error *e);
/* Flushes what log_disk_temp made, gives it its name, and makes the name durable. Without
 * success there is no temp any more. */
__attribute__((warn_unused_result)) enum attest_status
log_disk_name(struct log_disk *d, int temp, int folder, const char *name, const char *where,
	      struct attest_error *e);
/* A whole file: both of the above. */
__attribute__((warn_unused_result)) enum attest_status
log_disk_replace(struct log_disk *d, int folder, const char *name, const void *bytes, size_t n,
		 const char *where, struct attest_error *e);
void log_disk_drop_temp(struct log_disk *d); /* whatever is left of one */

/* Reads a regular file of at most `size` bytes; a larger one is ATTEST_REFUSED, and so is
 * one that is none. There being none is ATTEST_OK with *ret_len = -1. */
__attribute__((warn_unused_result)) enum attest_status
log_disk_read(int folder, const char *name, void *to, size_t size, ssize_t *ret_len,
	      struct attest_error *e);
/* The same of an open file. */
__attribute__((warn_unused_result)) enum attest_status
log_disk_read_open(int fd, const char *name, void *to, size_t size, ssize_t *ret_len,
		   struct attest_error *e);
