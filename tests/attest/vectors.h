/* tests/attest/vectors.h - vectors that live beside the repository, read with jansson. */
#pragma once

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "attest/base64.h"
#include "attest/tlog.h"

static inline const char *vector_path(const char *name, char to[static 4096])
{
	const char *root = getenv("CORDON_VECTORS");

	snprintf(to, 4096, "%s/tlog/%s", root ? root : "../shared/vectors", name);
	return to;
}

/* NULL, said loudly, where the vectors are not there. */
static inline json_t *vector_load(const char *name)
{
	char path[4096];
	json_error_t e;
	json_t *v = json_load_file(vector_path(name, path), 0, &e);

	if (!v)
		printf("skipped: vectors are absent: %s (set CORDON_VECTORS)\n", path);
	return v;
}

static inline const char *vector_text(json_t *o, const char *member)
{
	return json_string_value(json_object_get(o, member));
}

static inline uint64_t vector_number(json_t *o, const char *member)
{
	return (uint64_t)json_integer_value(json_object_get(o, member));
}

/* `ok` may also be words that say under which condition. */
static inline bool vector_good(json_t *o)
{
	return !json_is_false(json_object_get(o, "ok"));
}

/* Bytes of a hex text; the caller's to free. */
static inline uint8_t *vector_hex(const char *hex, size_t *ret_len)
{
	size_t n = strlen(hex) / 2;
	uint8_t *bytes = malloc(n + 1);

	for (size_t i = 0; bytes && i < n; i++) {
		char pair[3] = { hex[2 * i], hex[2 * i + 1], '\0' };

		bytes[i] = (uint8_t)strtoul(pair, NULL, 16);
	}
	*ret_len = n;
	return bytes;
}

static inline struct tlog_hash vector_hash(const char *hex)
{
	struct tlog_hash h = { { 0 } };
	size_t n;
	uint8_t *bytes = vector_hex(hex, &n);

	if (bytes && n == TLOG_HASH)
		memcpy(h.bytes, bytes, n);
	free(bytes);
	return h;
}

/* Bytes of a base64 text and a zero behind them; the caller's to free. */
static inline char *vector_base64(const char *text, size_t *ret_len)
{
	size_t size = strlen(text) / 4 * 3;
	char *bytes = calloc(1, size + 1);

	if (bytes && !base64_decode(text, strlen(text), bytes, size, ret_len)) {
		free(bytes);
		return NULL;
	}
	return bytes;
}
