/*
 * tests/bench/scrub.c - what zeroing and reading back costs, beside the C library's calls
 * over the same memory.
 */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "memscrub/memscrub.h"
#include "tests/bench/bench.h"

#define REGION ((size_t)256 << 20)
#define CHUNK ((size_t)2 << 20)
#define SPARSE ((off_t)64 << 30)
#define SPARSE_PAGES 1000
#define SCRUB_ROUNDS 11

static char *region;
static int dense, sparse; /* memfds */

static void check(bool ok, const char *what)
{
	if (!ok)
		die(what);
}

static void zero_by_memset(void)
{
	memset(region, 0, REGION);
	__asm__ volatile("" : : "r"(region) : "memory");
}

static void zero_by_chunks(void)
{
	for (size_t i = 0; i < REGION; i += CHUNK)
		scrub_zero(region + i, CHUNK);
}

static void check_by_memcmp(void)
{
	check(region[0] == 0 && memcmp(region, region + 1, REGION - 1) == 0, "memcmp");
}

static void check_by_scrub(void)
{
	check(scrub_is_zero(region, REGION, NULL), "scrub_is_zero");
}

static void memfd_by_memset(void)
{
	char *p =
		mmap(NULL, REGION, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, dense, 0);

	check(p != MAP_FAILED, "mmap");
	memset(p, 0, REGION);
	check(p[0] == 0 && memcmp(p, p + 1, REGION - 1) == 0, "memcmp");
	munmap(p, REGION);
}

static void memfd_by_scrub(void)
{
	struct scrub_result r = { 0 };

	check(scrub_file(dense, &r, NULL) == MEMSCRUB_OK && r.bytes == REGION, "scrub_file");
}

static off_t sparse_at(int i)
{
	return (off_t)i * (SPARSE / SPARSE_PAGES) / 4096 * 4096;
}

/* Knows where the pages are. */
static void sparse_by_pwrite(void)
{
	char page[4096] = { 0 };

	for (int i = 0; i < SPARSE_PAGES; i++) {
		check(pwrite(sparse, page, sizeof(page), sparse_at(i)) == sizeof(page),
		      "pwrite");
		check(pread(sparse, page, sizeof(page), sparse_at(i)) == sizeof(page) &&
			      page[0] == 0 && memcmp(page, page + 1, sizeof(page) - 1) == 0,
		      "pread");
	}
}

static void sparse_by_scrub(void)
{
	struct scrub_result r = { 0 };

	check(scrub_file(sparse, &r, NULL) == MEMSCRUB_OK && r.parts == SPARSE_PAGES,
	      "scrub_file");
}

static const struct pair {
	const char *name, *against;
	void (*ours)(void), (*limit)(void);
	double amount; /* for one unit */
	const char *unit;
} pairs[] = {
	{ "zero, 2 MiB pieces", "one memset", zero_by_chunks, zero_by_memset, 0.25, "ms/GiB" },
	{ "read back", "memcmp", check_by_scrub, check_by_memcmp, 0.25, "ms/GiB" },
	{ "memfd, dense", "memset, memcmp", memfd_by_scrub, memfd_by_memset, 0.25, "ms/GiB" },
	{ "memfd, 1000 pages in 64 GiB", "pwrite, pread", sparse_by_scrub, sparse_by_pwrite, 1,
	  "ms" },
};

static double timed(void (*fn)(void), double amount)
{
	uint64_t begin = now_ns();

	fn();
	return (double)(now_ns() - begin) / 1e6 / amount;
}

static void compare(const struct pair *p)
{
	double ours[SCRUB_ROUNDS], limit[SCRUB_ROUNDS];

	(void)timed(p->limit, 1);
	(void)timed(p->ours, 1);
	for (int i = 0; i < SCRUB_ROUNDS; i++) {
		limit[i] = timed(p->limit, p->amount);
		ours[i] = timed(p->ours, p->amount);
	}
	printf("%-30s %9.2f %-7s %6.2fx %s (%.2f)\n", p->name, median(ours, SCRUB_ROUNDS),
	       p->unit, median(ours, SCRUB_ROUNDS) / median(limit, SCRUB_ROUNDS), p->against,
	       median(limit, SCRUB_ROUNDS));
	row("scrub", p->name, median(ours, SCRUB_ROUNDS), p->unit, p->against,
	    median(limit, SCRUB_ROUNDS));
}

int main(void)
{
	region = mmap(NULL, REGION, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	dense = memfd_create("dense", MFD_CLOEXEC);
	sparse = memfd_create("sparse", MFD_CLOEXEC);
	check(region != MAP_FAILED && dense >= 0 && sparse >= 0 &&
		      ftruncate(dense, (off_t)REGION) == 0 && ftruncate(sparse, SPARSE) == 0,
	      "scrub: memory");
	memset(region, 'x', REGION);
	memfd_by_memset();
	sparse_by_pwrite();
	printf("\n%-30s\n", "scrub, medians");
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
		compare(&pairs[i]);
	return 0;
}
