/* policy/arena.c - see policy/arena.h. */
#include "policy/arena.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_BYTES 4032u /* with the header and malloc's own, about a page */
#define ALIGN 16u

struct arena_block {
	struct arena_block *older;
	size_t size;
	_Alignas(ALIGN) char bytes[];
};

static struct arena_block *add_block(struct arena *a, size_t bytes)
{
	struct arena_block *b = calloc(1, sizeof(*b) + bytes);

	if (!b)
		return NULL;
	b->size = bytes;
	b->older = a->blocks;
	a->blocks = b;
	a->used = 0;
	return b;
}

void *arena_array(struct arena *a, size_t n, size_t size)
{
	struct arena_block *b = a->blocks;
	size_t bytes;
	void *piece;

	if (__builtin_mul_overflow(n, size, &bytes) || bytes > SIZE_MAX / 2)
		return NULL;
	bytes = (bytes + ALIGN - 1) & ~(size_t)(ALIGN - 1);
	if (!b || bytes > b->size - a->used)
		b = add_block(a, bytes > BLOCK_BYTES ? bytes : BLOCK_BYTES);
	if (!b)
		return NULL;
	piece = b->bytes + a->used;
	a->used += bytes;
	return piece;
}

char *arena_text(struct arena *a, const char *from, size_t len)
{
	char *to = len < SIZE_MAX ? arena_array(a, len + 1, 1) : NULL;

	if (to && len)
		memcpy(to, from, len);
	return to;
}

char *arena_printf(struct arena *a, const char *format, ...)
{
	va_list args, again;
	char *to = NULL;
	int len;

	va_start(args, format);
	va_copy(again, args);
	len = vsnprintf(NULL, 0, format, args);
	if (len >= 0)
		to = arena_array(a, (size_t)len + 1, 1);
	if (to)
		vsnprintf(to, (size_t)len + 1, format, again);
	va_end(again);
	va_end(args);
	return to;
}

void arena_free(struct arena *a)
{
	while (a->blocks) {
		struct arena_block *older = a->blocks->older;

		free(a->blocks);
		a->blocks = older;
	}
	a->used = 0;
}
