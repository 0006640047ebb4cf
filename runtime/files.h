/*
 * runtime/files.h - small files of the kernel: read whole, written with one write(2), as
 * procfs and cgroupfs want it.
 */
#pragma once

#include <sys/types.h>

/* The whole of a file below the folder `dir` (or of an absolute path), zero-terminated
 * and cut off at size - 1 bytes. The length, or -1 with errno. */
ssize_t file_read_text(int dir, const char *name, char *buf, size_t size);
/* 0, or -1 with errno. */
int file_write_text(int dir, const char *name, const char *text);
/* mountinfo writes space, tab, newline and backslash as \ooo: back to what they were. */
void file_unescape(char *s);
