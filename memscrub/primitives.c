/*
 * memscrub/primitives.c - zero and read back, as fast as the machine allows.
 *
 * Zeroing goes past the caches where the CPU can: that is twice as fast as a memset in
 * pieces, it leaves other programs' lines in the caches, and what is read back afterwards
 * comes from memory. Such stores are weakly ordered, so each way ends in a fence.
 */
#include "memscrub/primitives.h"

#include <stdatomic.h>
#include <string.h>
#include <time.h>

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#endif

#define LINE 64u

/* Below this the fence and the choice cost more than they bring. */
#define SMALL 4096u

/* Whatever was stored must be in memory, and whatever is read must be read again. */
static inline void compiler_barrier(const void *p)
{
	__asm__ volatile("" : : "r"(p) : "memory");
}

static void memset_zero(void *p, size_t n)
{
	memset(p, 0, n);
	compiler_barrier(p);
}

static bool always(void)
{
	return true;
}

#if defined(__x86_64__)

void scrub_fence(void)
{
	_mm_sfence();
}

/* ---- what the CPU can, and the kernel lets it ------------------------------------ */

#define XCR0_AVX 0x06u    /* SSE and AVX state is saved */
#define XCR0_AVX512 0xe6u /* and the masks and upper halves */

static bool state_saved(unsigned bits)
{
	unsigned a, b, c, d, low, high;

	if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE))
		return false;
	__asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
	return (low & bits) == bits;
}

static bool leaf7(unsigned bit)
{
	unsigned a, b, c, d;

	return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & bit);
}

static bool can_avx2(void)
{
	return leaf7(bit_AVX2) && state_saved(XCR0_AVX);
}

static bool can_avx512(void)
{
	return leaf7(bit_AVX512F) && state_saved(XCR0_AVX512);
}

static bool can_clzero(void) /* AMD 24594, CPUID Fn8000_0008_EBX[0] */
{
	unsigned a, b, c, d;

	return __get_cpuid(0x80000008u, &a, &b, &c, &d) && (b & 1);
}

/* ---- ways to zero ---------------------------------------------------------------- */

__attribute__((target("avx512f"))) static void avx512_zero(void *p, size_t n)
{
	const __m512i zero = _mm512_setzero_si512();

	for (char *at = p, *end = at + n; at < end; at += LINE)
		_mm512_stream_si512((__m512i *)(void *)at, zero);
}

__attribute__((target("avx2"))) static void avx_zero(void *p, size_t n)
{
	const __m256i zero = _mm256_setzero_si256();

	for (char *at = p, *end = at + n; at < end; at += LINE) {
		_mm256_stream_si256((__m256i *)(void *)at, zero);
		_mm256_stream_si256((__m256i *)(void *)(at + 32), zero);
	}
}

static void clzero_zero(void *p, size_t n)
{
	for (char *at = p, *end = at + n; at < end; at += LINE)
		__asm__ volatile("clzero" : : "a"(at) : "memory");
}

static void sse2_zero(void *p, size_t n)
{
	const __m128i zero = _mm_setzero_si128();

	for (char *at = p, *end = at + n; at < end; at += LINE)
		for (size_t i = 0; i < LINE; i += sizeof(zero))
			_mm_stream_si128((__m128i *)(void *)(at + i), zero);
}

#else

void scrub_fence(void)
{
	atomic_thread_fence(memory_order_seq_cst);
}

#endif

/* The first that is usable is taken unless measured otherwise. */
const struct scrub_primitive scrub_primitives[] = {
#if defined(__x86_64__)
	{ "avx512-nt", can_avx512, avx512_zero }, { "avx-nt", can_avx2, avx_zero },
	{ "clzero", can_clzero, clzero_zero },    { "sse2-nt", always, sse2_zero },
#endif
	{ "memset", always, memset_zero },
};
const size_t scrub_n_primitives = sizeof(scrub_primitives) / sizeof(scrub_primitives[0]);

static _Atomic(const struct scrub_primitive *) chosen;

/* Threads that come here at once find the same. */
static const struct scrub_primitive *choice(void)
{
	const struct scrub_primitive *how = atomic_load(&chosen);

	if (how)
		return how;
	how = scrub_primitives;
	while (!how->usable())
		how++;
	atomic_store(&chosen, how);
	return how;
}

const char *scrub_method(void)
{
	return choice()->name;
}

void scrub_zero_by(const struct scrub_primitive *how, void *p, size_t n)
{
	size_t head = -(uintptr_t)p % LINE, body;
	char *at = p;

	if (n < SMALL) {
		memset_zero(at, n);
	} else {
		body = (n - head) / LINE * LINE;
		memset_zero(at, head);
		how->zero(at + head, body);
		memset_zero(at + head + body, n - head - body);
	}
	scrub_fence();
	compiler_barrier(p);
}

void scrub_zero(void *p, size_t n)
{
	scrub_zero_by(choice(), p, n);
}

/* ---- calibration ----------------------------------------------------------------- */

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void scrub_calibrate(void *p, size_t n)
{
	static atomic_flag done = ATOMIC_FLAG_INIT;
	uint64_t best[sizeof(scrub_primitives) / sizeof(scrub_primitives[0])];
	size_t fastest = 0;

	if (n < 1u << 20 || atomic_flag_test_and_set(&done))
		return;
	memset(best, 0xff, sizeof(best));
	for (int round = 0; round < 3; round++)
		for (size_t i = 0; i + 1 < scrub_n_primitives; i++) {
			uint64_t begin = now_ns(), took;

			/* memset stays out of the race: on a piece that fits in the caches
			 * it would win, and lose on what does not. */
			if (!scrub_primitives[i].usable())
				continue;
			begin = now_ns();
			scrub_zero_by(&scrub_primitives[i], p, n);
			took = now_ns() - begin;
			best[i] = took < best[i] ? took : best[i];
		}
	for (size_t i = 1; i < scrub_n_primitives; i++)
		fastest = best[i] < best[fastest] ? i : fastest;
	if (best[fastest] != UINT64_MAX)
		atomic_store(&chosen, &scrub_primitives[fastest]);
}

/* ---- reading back ---------------------------------------------------------------- */

#define BLOCK 4096u /* ORed together before a look at the result */

static bool bytes_are_zero(const uint8_t *p, size_t n, size_t *ret_first_bad)
{
	for (size_t i = 0; i < n; i++)
		if (p[i] != 0) {
			*ret_first_bad = i;
			return false;
		}
	return true;
}

typedef uint64_t vec __attribute__((vector_size(32)));

/*
 * Whether a block, aligned to vectors, is zero. The barrier of each step keeps the loads in
 * address order: unrolled into strided streams, as compilers like it, they outrun the
 * prefetcher and take three times as long.
 */
static inline __attribute__((always_inline)) bool block_is_zero(const uint8_t *p)
{
	const vec *v = (const void *)p;
	vec any = { 0 };

	for (size_t i = 0; i < BLOCK / sizeof(vec); i += 4) {
		any |= v[i] | v[i + 1] | v[i + 2] | v[i + 3];
		compiler_barrier(p);
	}
	return (any[0] | any[1] | any[2] | any[3]) == 0;
}

/* The number of leading blocks that are zero. */
static size_t zero_blocks(const uint8_t *p, size_t n)
{
	size_t i = 0;

	while (i < n && block_is_zero(p + i * BLOCK))
		i++;
	return i;
}

#if defined(__x86_64__)

__attribute__((target("avx2"))) static size_t zero_blocks_avx2(const uint8_t *p, size_t n)
{
	size_t i = 0;

	while (i < n && block_is_zero(p + i * BLOCK))
		i++;
	return i;
}

static size_t count_zero_blocks(const uint8_t *p, size_t n)
{
	static atomic_int wide; /* 0 not known yet, 1 yes, 2 no */

	if (n > 0 && atomic_load(&wide) == 0)
		atomic_store(&wide, can_avx2() ? 1 : 2);
	return atomic_load(&wide) == 1 ? zero_blocks_avx2(p, n) : zero_blocks(p, n);
}

#else

static size_t count_zero_blocks(const uint8_t *p, size_t n)
{
	return zero_blocks(p, n);
}

#endif

bool scrub_is_zero(const void *base, size_t n, size_t *ret_first_bad)
{
	const uint8_t *p = base;
	size_t head = -(uintptr_t)p % sizeof(vec), bad = 0, good;

	head = head < n ? head : n;
	compiler_barrier(p);
	if (bytes_are_zero(p, head, &bad)) {
		good = head + count_zero_blocks(p + head, (n - head) / BLOCK) * BLOCK;
		if (bytes_are_zero(p + good, n - good, &bad))
			return true;
		bad += good;
	}
	if (ret_first_bad)
		*ret_first_bad = bad;
	return false;
}
