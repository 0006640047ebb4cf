/* tests/memscrub/test_file.c - files of memory, what they hide and what becomes of them. */
#include "memscrub/memscrub.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#ifdef __SANITIZE_ADDRESS__
#define SANITIZED true
#else
#define SANITIZED false
#endif

#define PAGE ((off_t)4096)
#define MIB ((off_t)1 << 20)
#define GIB ((off_t)1 << 30)

static int memory(off_t size)
{
	int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, size), 0);
	return fd;
}

static void put(int fd, off_t at, size_t n)
{
	char text[PAGE];

	memset(text, 'x', sizeof(text));
	while (n > 0) {
		size_t now = n < sizeof(text) ? n : sizeof(text);

		assert_int_equal(pwrite(fd, text, now, at), now);
		at += (off_t)now;
		n -= now;
	}
}

/* By read(2): another way than the one that is tested. */
static bool reads_zero(int fd, off_t at, off_t n)
{
	static const char zero[PAGE];
	char text[PAGE];

	for (off_t end = at + n; at < end; at += PAGE) {
		ssize_t got = pread(fd, text, sizeof(text), at);

		assert_true(got > 0);
		if (memcmp(text, zero, (size_t)got) != 0)
			return false;
	}
	return true;
}

static off_t allocated(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	return st.st_blocks * 512;
}

/* The most that was ever resident. A sanitizer's own memory hides ours. */
static long peak_kib(void)
{
	FILE *f = fopen("/proc/self/status", "re");
	char line[128];
	long kib = 0;

	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		if (strncmp(line, "VmHWM:", 6) == 0)
			kib = strtol(line + 6, NULL, 10);
	fclose(f);
	return kib;
}

/* The whole file in order: status, counts, content. */
static void scrubs(int fd, uint64_t bytes, uint64_t parts)
{
	struct scrub_result r = { 0 };
	struct memscrub_error e = { .what = "" };
	enum memscrub_status s = scrub_file(fd, &r, &e);

	if (s != MEMSCRUB_OK)
		fail_msg("%s: %s", e.where, e.what);
	assert_int_equal(r.bytes, bytes);
	assert_int_equal(r.failed, 0);
	assert_int_equal(r.parts, parts);
}

static void every_byte_of_every_size(void **state)
{
	static const off_t sizes[] = { 1,           4095,     4096,     4097,
				       65535,       MIB + 63, 4 * MIB,  4 * MIB + 1,
				       8 * MIB - 1, 8 * MIB,  12345678, 16 * MIB + 9 };

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		int fd = memory(sizes[i]);

		put(fd, 0, (size_t)sizes[i]);
		scrubs(fd, (uint64_t)((sizes[i] + PAGE - 1) / PAGE * PAGE), 1);
		assert_true(reads_zero(fd, 0, sizes[i]));
		close(fd);
	}
}

static void an_empty_file_and_a_hole_hold_nothing(void **state)
{
	int fd = memory(0);

	(void)state;
	scrubs(fd, 0, 0);
	assert_int_equal(ftruncate(fd, GIB), 0);
	scrubs(fd, 0, 0);
	assert_int_equal(allocated(fd), 0);
	close(fd);
}

static void every_extent(void **state)
{
	int fd = memory(64 * MIB + 100);
	off_t pages = 0;

	(void)state;
	for (off_t at = 0; at < 64 * MIB; at += 3 * PAGE + at / 64 / PAGE * PAGE) {
		put(fd, at + PAGE - 3, 3);
		pages++;
	}
	put(fd, 64 * MIB + 99, 1);
	pages++;
	assert_int_equal(allocated(fd), pages * PAGE);
	scrubs(fd, (uint64_t)(pages * PAGE), (uint64_t)pages);
	assert_true(reads_zero(fd, 0, 64 * MIB + 100));
	assert_int_equal(allocated(fd), pages * PAGE); /* holes stayed holes */
	close(fd);
}

static void extents_that_cross_windows(void **state)
{
	int fd = memory(32 * MIB);

	(void)state;
	put(fd, 4 * MIB - PAGE, 2 * (size_t)PAGE);
	put(fd, 7 * MIB, 14 * (size_t)MIB);
	put(fd, 32 * MIB - PAGE, (size_t)PAGE);
	scrubs(fd, (uint64_t)(14 * MIB + 3 * PAGE), 3);
	assert_true(reads_zero(fd, 0, 32 * MIB));
	close(fd);
}

static void a_large_sparse_file_costs_what_it_holds(void **state)
{
	int fd = memory(64 * GIB);
	struct scrub_result r = { 0 };
	long before;

	(void)state;
	for (off_t i = 0; i < 1000; i++)
		put(fd, i * (64 * GIB / 1000) / PAGE * PAGE + PAGE - 8, 8);
	before = peak_kib();
	assert_int_equal(scrub_file(fd, &r, NULL), MEMSCRUB_OK);
	assert_int_equal(r.bytes, 1000 * PAGE);
	assert_int_equal(r.parts, 1000);
	assert_int_equal(allocated(fd), 1000 * PAGE);
	for (off_t i = 0; i < 1000; i++)
		assert_true(reads_zero(fd, i * (64 * GIB / 1000) / PAGE * PAGE, PAGE));
	assert_true(SANITIZED || peak_kib() - before < 8 * 1024);
	if (r.ns > 2000000000)
		fail_msg("1000 pages took %llu ms", (unsigned long long)r.ns / 1000000);
	close(fd);
}

static void a_dense_file_needs_one_window(void **state)
{
	int fd = memory(128 * MIB);
	long before;

	(void)state;
	put(fd, 0, 128 * (size_t)MIB);
	before = peak_kib();
	scrubs(fd, (uint64_t)(128 * MIB), 1);
	assert_true(SANITIZED || peak_kib() - before < 8 * 1024);
	close(fd);
}

/* A mapping reaches the bytes behind the end of file in the last page; read(2) does not. */
static void the_last_page_is_zeroed_to_its_end(void **state)
{
	int fd = memory(PAGE + 10);
	char *p = mmap(NULL, (size_t)PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, PAGE);

	(void)state;
	assert_ptr_not_equal(p, MAP_FAILED);
	memset(p, 'x', (size_t)PAGE);
	scrubs(fd, (uint64_t)PAGE, 1);
	assert_true(scrub_is_zero(p, (size_t)PAGE, NULL));
	munmap(p, (size_t)PAGE);
	close(fd);
}

static void results_add_up(void **state)
{
	struct scrub_result r = { .bytes = 1, .failed = 2, .parts = 3 };
	int fd = memory(PAGE);

	(void)state;
	put(fd, 0, 5);
	assert_int_equal(scrub_file(fd, &r, NULL), MEMSCRUB_OK);
	assert_int_equal(r.bytes, 1 + PAGE);
	assert_int_equal(r.failed, 2);
	assert_int_equal(r.parts, 4);
	close(fd);
}

static void a_read_only_descriptor_is_reopened(void **state)
{
	int fd = memory(3 * PAGE), ro, path;
	char name[32];

	(void)state;
	put(fd, 0, 3 * (size_t)PAGE);
	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	ro = open(name, O_RDONLY | O_CLOEXEC);
	scrubs(ro, (uint64_t)(3 * PAGE), 1);
	assert_true(reads_zero(fd, 0, 3 * PAGE));
	put(fd, 0, 1);
	path = open(name, O_PATH | O_CLOEXEC);
	scrubs(path, (uint64_t)(3 * PAGE), 1);
	assert_true(reads_zero(fd, 0, 3 * PAGE));
	close(fd);
	close(ro);
	close(path);
}

static void a_sealed_file_has_failed_with_its_reason(void **state)
{
	static const int seals[] = { F_SEAL_WRITE, F_SEAL_FUTURE_WRITE };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct scrub_result r = { 0 };
		struct memscrub_error e;
		int fd = memory(9 * PAGE);

		put(fd, 0, 1);
		put(fd, 4 * PAGE, 2 * (size_t)PAGE);
		assert_int_equal(fcntl(fd, F_ADD_SEALS, seals[i]), 0);
		assert_int_equal(scrub_file(fd, &r, &e), MEMSCRUB_RESIDUE);
		assert_int_equal(r.bytes, 0);
		assert_int_equal(r.failed, 3 * PAGE);
		assert_non_null(strstr(e.what, "sealed"));
		assert_string_equal(e.where, "offset 0");
		assert_false(reads_zero(fd, 0, PAGE));
		close(fd);
	}
}

static void seals_against_size_changes_do_not_matter(void **state)
{
	int fd = memory(PAGE + 1);

	(void)state;
	put(fd, 0, (size_t)PAGE + 1);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL), 0);
	scrubs(fd, 2 * (uint64_t)PAGE, 1);
	close(fd);
}

static void what_is_no_memory_is_refused_untouched(void **state)
{
	char name[] = "build/scrub-test.XXXXXX";
	int disk = mkstemp(name), ends[2];
	struct scrub_result r = { 0 };
	struct memscrub_error e;

	(void)state;
	assert_true(disk >= 0);
	put(disk, 0, 10);
	assert_int_equal(scrub_file(disk, &r, &e), MEMSCRUB_REFUSED);
	assert_non_null(strstr(e.what, "memory"));
	assert_false(reads_zero(disk, 0, 10));
	unlink(name);
	close(disk);

	assert_int_equal(pipe(ends), 0);
	assert_int_equal(scrub_file(ends[0], &r, &e), MEMSCRUB_REFUSED);
	close(ends[0]);
	close(ends[1]);
	assert_int_equal(scrub_file(-1, &r, &e), MEMSCRUB_SYSTEM);
	assert_int_equal(r.bytes + r.failed + r.parts, 0);
}

/* ---- others who do not keep still ------------------------------------------------- */

static struct {
	int fd;
	off_t size;
	char *page;
	atomic_bool stop;
	atomic_ulong writes;
} other;

static void *write_always(void *arg)
{
	const off_t at = *(const off_t *)arg;

	while (!atomic_load(&other.stop)) {
		*(volatile char *)(other.page + at) = 'x';
		atomic_fetch_add(&other.writes, 1);
	}
	return NULL;
}

/* Whether a scrub notices a writer of one byte, in `tries`. */
static bool notices(off_t at, int tries)
{
	struct memscrub_error e;
	pthread_t thread;
	bool noticed = false;

	atomic_store(&other.stop, false);
	assert_int_equal(pthread_create(&thread, NULL, write_always, &at), 0);
	while (tries-- > 0 && !noticed) {
		struct scrub_result r = { 0 };
		unsigned long before = atomic_load(&other.writes);

		while (atomic_load(&other.writes) == before) /* it runs */
			sched_yield();
		noticed = scrub_file(other.fd, &r, &e) == MEMSCRUB_RESIDUE;
		assert_int_equal(r.bytes + r.failed, other.size);
		assert_int_equal(r.failed, noticed ? PAGE : 0);
	}
	atomic_store(&other.stop, true);
	pthread_join(thread, NULL);
	if (noticed)
		assert_non_null(strstr(e.what, "read back"));
	return noticed;
}

/* What is read back is the whole of what was zeroed: the ends and the middle. */
static void a_writer_is_noticed_wherever_it_writes(void **state)
{
	(void)state;
	other.size = 16 * MIB;
	other.fd = memory(other.size);
	put(other.fd, 0, (size_t)other.size);
	other.page =
		mmap(NULL, (size_t)other.size, PROT_READ | PROT_WRITE, MAP_SHARED, other.fd, 0);
	assert_ptr_not_equal(other.page, MAP_FAILED);
	assert_true(notices(0, 2000));
	assert_true(notices(7 * MIB + 123, 2000));
	assert_true(notices(other.size - 1, 2000));
	munmap(other.page, (size_t)other.size);
	close(other.fd);
}

static void *cut_and_grow(void *arg)
{
	(void)arg;
	while (!atomic_load(&other.stop)) {
		if (ftruncate(other.fd, MIB) != 0 || ftruncate(other.fd, other.size) != 0)
			abort();
		put(other.fd, other.size - MIB, (size_t)MIB);
		atomic_fetch_add(&other.writes, 1);
	}
	return NULL;
}

static atomic_int bus_signals;

static void count_bus(int sig)
{
	(void)sig;
	atomic_fetch_add(&bus_signals, 1);
}

static void a_file_cut_short_meanwhile_is_survived(void **state)
{
	const struct sigaction mine = { .sa_handler = count_bus };
	struct sigaction now;
	int cut = 0;
	pthread_t thread;

	(void)state;
	other.size = 32 * MIB;
	other.fd = memory(other.size);
	put(other.fd, 0, (size_t)other.size);
	atomic_store(&other.stop, false);
	sigaction(SIGBUS, &mine, NULL);
	assert_int_equal(pthread_create(&thread, NULL, cut_and_grow, NULL), 0);
	for (int i = 0; i < 500 && cut < 5; i++) {
		struct scrub_result r = { 0 };
		struct memscrub_error e = { .what = "" };
		enum memscrub_status s = scrub_file(other.fd, &r, &e);

		assert_int_not_equal(s, MEMSCRUB_SYSTEM);
		assert_int_equal(s == MEMSCRUB_OK, r.failed == 0);
		cut += strstr(e.what, "cut short") || strstr(e.what, "no page");
	}
	atomic_store(&other.stop, true);
	pthread_join(thread, NULL);
	close(other.fd);
	assert_true(cut > 0);

	/* ours is gone, and saw nothing of it */
	assert_int_equal(sigaction(SIGBUS, NULL, &now), 0);
	assert_ptr_equal(now.sa_handler, count_bus);
	assert_int_equal(atomic_load(&bus_signals), 0);
	signal(SIGBUS, SIG_DFL);
}

static void *scrub_often(void *arg)
{
	sigset_t bus;
	int fd = memory(6 * MIB);

	/* A blocked SIGBUS would be deadly. */
	sigemptyset(&bus);
	sigaddset(&bus, SIGBUS);
	pthread_sigmask(SIG_BLOCK, &bus, NULL);
	for (int i = 0; i < 50; i++) {
		struct scrub_result r = { 0 };

		put(fd, 0, 5 * (size_t)MIB);
		if (scrub_file(fd, &r, NULL) != MEMSCRUB_OK || r.bytes != (uint64_t)(5 * MIB))
			*(bool *)arg = true;
	}
	pthread_sigmask(SIG_SETMASK, NULL, &bus);
	*(bool *)arg |= sigismember(&bus, SIGBUS) != 1;
	close(fd);
	return NULL;
}

static void threads_do_not_disturb_each_other(void **state)
{
	bool bad[4] = { false };
	struct sigaction before, after;
	pthread_t threads[4];

	(void)state;
	assert_int_equal(sigaction(SIGBUS, NULL, &before), 0); /* cmocka's */
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, scrub_often, &bad[i]), 0);
	for (int i = 0; i < 4; i++) {
		pthread_join(threads[i], NULL);
		assert_false(bad[i]);
	}
	assert_int_equal(sigaction(SIGBUS, NULL, &after), 0);
	assert_ptr_equal(after.sa_handler, before.sa_handler);
}

/* ---- huge pages ------------------------------------------------------------------- */

static void huge_pages_with_data_are_zeroed_and_holes_stay(void **state)
{
	const off_t huge = 2 * MIB;
	struct scrub_result r = { 0 };
	struct memscrub_error e = { .what = "" };
	int fd = memfd_create("test", MFD_CLOEXEC | MFD_HUGETLB | 21u << MAP_HUGE_SHIFT);
	char *p = MAP_FAILED;

	(void)state;
	if (fd >= 0 && ftruncate(fd, 64 * huge) == 0)
		p = mmap(NULL, (size_t)huge, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 63 * huge);
	if (p == MAP_FAILED) {
		print_message("skipped: no huge page is free here: %s\n", strerror(errno));
		if (fd >= 0)
			close(fd);
		skip();
	}
	p[huge - 1] = 'x';
	if (scrub_file(fd, &r, &e) != MEMSCRUB_OK)
		fail_msg("%s: %s", e.where, e.what);
	assert_int_equal(r.bytes, huge);
	assert_int_equal(allocated(fd), huge);
	assert_true(scrub_is_zero(p, (size_t)huge, NULL));
	munmap(p, (size_t)huge);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_byte_of_every_size),
		cmocka_unit_test(an_empty_file_and_a_hole_hold_nothing),
		cmocka_unit_test(every_extent),
		cmocka_unit_test(extents_that_cross_windows),
		cmocka_unit_test(a_large_sparse_file_costs_what_it_holds),
		cmocka_unit_test(a_dense_file_needs_one_window),
		cmocka_unit_test(the_last_page_is_zeroed_to_its_end),
		cmocka_unit_test(results_add_up),
		cmocka_unit_test(a_read_only_descriptor_is_reopened),
		cmocka_unit_test(a_sealed_file_has_failed_with_its_reason),
		cmocka_unit_test(seals_against_size_changes_do_not_matter),
		cmocka_unit_test(what_is_no_memory_is_refused_untouched),
		cmocka_unit_test(a_writer_is_noticed_wherever_it_writes),
		cmocka_unit_test(a_file_cut_short_meanwhile_is_survived),
		cmocka_unit_test(threads_do_not_disturb_each_other),
		cmocka_unit_test(huge_pages_with_data_are_zeroed_and_holes_stay),
	};

	return cmocka_run_group_tests_name("file", tests, NULL, NULL);
}
