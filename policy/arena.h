/*
 * policy/arena.h - memory that is made piece by piece and freed at once. What was parsed
 * or decoded never changes afterwards, so none of its pieces has a life of its own.
 * Private to the module; needs libc alone.
 */
#pragma once

#include <stddef.h>

struct arena_block;

struct arena {
	struct arena_block *blocks; /* newest first */
	size_t used;                /* bytes taken of the newest */
};

/* Zeroed memory, aligned for any type; NULL when there is none. `n` and `size` may be
 * anything: the product is checked. */
void *arena_array(struct arena *a, size_t n, size_t size);
/* A copy of `len` bytes with a zero behind them. */
char *arena_text(struct arena *a, const char *from, size_t len);
__attribute__((format(printf, 2, 3))) char *arena_printf(struct arena *a, const char *format,
							 ...);
void arena_free(struct arena *a);
