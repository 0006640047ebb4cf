/*
 * tests/forensic/canary.h - what a tenant leaves in memory for us to look for: lines of 64
 * bytes, seven times the case's tag and the line's number.
 *
 * A tag is computed from a key of this run and the number of the case, so that no command
 * line, script or page of a program's own file holds one.
 */
#pragma once

#include <stdint.h>

#define CANARY_TAGS 7 /* of a line's words; then its number */
#define CANARY_WORDS (CANARY_TAGS + 1)
#define CANARY_LINE (CANARY_WORDS * sizeof(uint64_t))

/* The finalizer of MurmurHash3: a bijection in which every bit depends on every other. */
static inline uint64_t canary_tag(uint64_t key, uint64_t number)
{
	uint64_t x = key + number * UINT64_C(0x9e3779b97f4a7c15);

	x = (x ^ x >> 33) * UINT64_C(0xff51afd7ed558ccd);
	x = (x ^ x >> 33) * UINT64_C(0xc4ceb9fe1a85ec53);
	return x ^ x >> 33;
}

static inline void canary_fill(void *at, uint64_t tag, uint64_t first, uint64_t lines)
{
	uint64_t *word = at;

	for (uint64_t n = first; n < first + lines; n++) {
		for (int i = 0; i < CANARY_TAGS; i++)
			*word++ = tag;
		*word++ = n;
	}
}
