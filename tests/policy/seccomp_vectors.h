/* tests/policy/seccomp_vectors.h - profiles of other projects, which live beside the
 * repository. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The whole file with a zero behind it. NULL where the vectors are not there, and then the
 * reason is printed that a skipped test needs. */
static inline char *vector_read(const char *name, size_t *ret_len)
{
	const char *root = getenv("CORDON_VECTORS");
	char path[4096], *text = NULL;
	FILE *f;
	long size;

	snprintf(path, sizeof(path), "%s/seccomp/%s", root ? root : "../shared/vectors", name);
	f = fopen(path, "rb");
	if (!f) {
		print_message("skipped: %s is not there (set CORDON_VECTORS)\n", path);
		return NULL;
	}
	if (fseek(f, 0, SEEK_END) == 0 && (size = ftell(f)) >= 0 &&
	    fseek(f, 0, SEEK_SET) == 0) {
		text = calloc(1, (size_t)size + 1);
		if (text && fread(text, 1, (size_t)size, f) != (size_t)size) {
			free(text);
			text = NULL;
		}
		*ret_len = (size_t)size;
	}
	fclose(f);
	return text;
}
