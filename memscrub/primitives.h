/* memscrub/primitives.h - the ways to zero; private to the module, its tests and benchmarks. */
#pragma once

#include "memscrub/memscrub.h"

struct scrub_primitive {
	const char *name;
	bool (*usable)(void);
	/* `p` and `n` are multiples of 64; the caller fences. */
	void (*zero)(void *p, size_t n);
};

extern const struct scrub_primitive scrub_primitives[];
extern const size_t scrub_n_primitives;

/* Orders all stores before it, also those past the caches. */
void scrub_fence(void);

/* As scrub_zero, in one way. */
void scrub_zero_by(const struct scrub_primitive *how, void *p, size_t n);

/*
 * Times the usable ways on `p`, which is zeroed by it, and has scrub_zero take the fastest
 * from then on. Once per process; later calls return at once. Worth it before a few hundred
 * MiB: it writes `n`, 1 MiB or more, about ten times.
 */
void scrub_calibrate(void *p, size_t n);
