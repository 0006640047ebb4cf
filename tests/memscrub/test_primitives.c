/* tests/memscrub/test_primitives.c - every way to zero, every way to overlook a byte. */
#include "memscrub/primitives.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#define ROOM ((size_t)64 << 10)

static uint8_t *room; /* ends at a page that cannot be touched */

static int make_room(void **state)
{
	(void)state;
	room = mmap(NULL, ROOM + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		    0);
	return room == MAP_FAILED || mprotect(room + ROOM, 4096, PROT_NONE) != 0;
}

static int drop_room(void **state)
{
	(void)state;
	return munmap(room, ROOM + 4096);
}

/* Zeroes [at, at + n) and nothing else. */
static void zeroes_exactly(const struct scrub_primitive *how, size_t at, size_t n)
{
	memset(room, 0xff, ROOM);
	scrub_zero_by(how, room + at, n);
	for (size_t i = 0; i < ROOM; i++)
		if (room[i] != (i >= at && i < at + n ? 0 : 0xff))
			fail_msg("%s of %zu bytes at %zu: byte %zu is %02x", how->name, n, at,
				 i, room[i]);
}

static void every_way_zeroes_exactly_the_range(void **state)
{
	static const size_t sizes[] = { 0,    1,    63,   64,   65,    4095, 4096,
					4097, 4159, 4160, 8191, 12345, 40000 };

	(void)state;
	for (size_t k = 0; k < scrub_n_primitives; k++) {
		if (!scrub_primitives[k].usable())
			continue;
		for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++)
			for (size_t at = 64; at < 130; at += 13)
				zeroes_exactly(&scrub_primitives[k], at, sizes[s]);
	}
}

static void the_last_byte_before_a_guard_page_is_zeroed(void **state)
{
	(void)state;
	for (size_t k = 0; k < scrub_n_primitives; k++)
		for (size_t n = 1; n < 9000 && scrub_primitives[k].usable(); n += 251)
			zeroes_exactly(&scrub_primitives[k], ROOM - n, n);
}

static void the_chosen_way_has_a_name_and_zeroes(void **state)
{
	(void)state;
	assert_true(strlen(scrub_method()) > 0);
	memset(room, 0xff, ROOM);
	scrub_zero(room, ROOM);
	assert_true(scrub_is_zero(room, ROOM, NULL));
}

/* A dead store would be left out here: nobody reads the buffer any more. The stack below
 * is looked at through a pointer that the compiler cannot follow. */
static __attribute__((noinline)) uint8_t *leave_secret(bool scrub)
{
	uint8_t secret[512];
	uint8_t *where = secret;

	memset(secret, 0x5a, sizeof(secret));
	__asm__ volatile("" : "+r"(where) : : "memory");
	if (scrub)
		scrub_zero(secret, sizeof(secret));
	return where;
}

static void a_store_that_nobody_reads_is_still_made(void **state)
{
	volatile uint8_t *left;
	unsigned kept = 0, wiped = 0;

	(void)state;
#ifdef __SANITIZE_ADDRESS__
	print_message("skipped: the sanitizer forbids a look at a dead frame\n");
	skip();
#endif
	left = leave_secret(false);
	for (size_t i = 0; i < 256; i++)
		kept += left[256 + i] == 0x5a;
	left = leave_secret(true);
	for (size_t i = 0; i < 256; i++)
		wiped += left[256 + i] == 0x5a;
	assert_true(kept > 128);
	assert_true(wiped == 0);
}

/* One set bit, anywhere. */
static void finds_one_bit(size_t at, size_t n, size_t bad)
{
	size_t first = SIZE_MAX;

	room[at + bad] = (uint8_t)(1u << bad % 8);
	if (scrub_is_zero(room + at, n, &first) || first != bad)
		fail_msg("%zu bytes at %zu: byte %zu is set, found %zu", n, at, bad, first);
	room[at + bad] = 0;
}

static void every_byte_is_read(void **state)
{
	static const size_t sizes[] = { 1, 31, 32, 33, 4096, 4097, 4128, 8192, 8200 };

	(void)state;
	memset(room, 0, ROOM);
	for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++)
		for (size_t at = 0; at < 40; at += 13)
			for (size_t bad = 0; bad < sizes[s]; bad++)
				finds_one_bit(at, sizes[s], bad);
}

static void reads_up_to_a_guard_page_and_not_beyond(void **state)
{
	(void)state;
	memset(room, 0, ROOM);
	for (size_t n = 0; n < 9000; n++)
		assert_true(scrub_is_zero(room + ROOM - n, n, NULL));
	for (size_t n = 1; n < 9000; n += 7)
		finds_one_bit(ROOM - n, n, n - 1);
}

static void bytes_beside_the_range_do_not_count(void **state)
{
	(void)state;
	memset(room, 0xff, ROOM);
	memset(room + 100, 0, 9000);
	assert_true(scrub_is_zero(room + 100, 9000, NULL));
	assert_false(scrub_is_zero(room + 99, 9001, NULL));
	assert_false(scrub_is_zero(room + 100, 9001, NULL));
	assert_true(scrub_is_zero(room, 0, NULL));
}

static void calibration_zeroes_what_it_is_given(void **state)
{
	const size_t n = 1 << 20;
	uint8_t *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)state;
	assert_ptr_not_equal(p, MAP_FAILED);
	memset(p, 0xff, n);
	scrub_calibrate(p, n);
	assert_true(scrub_is_zero(p, n, NULL));
	assert_string_not_equal(scrub_method(), "memset");
	munmap(p, n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_way_zeroes_exactly_the_range),
		cmocka_unit_test(the_last_byte_before_a_guard_page_is_zeroed),
		cmocka_unit_test(the_chosen_way_has_a_name_and_zeroes),
		cmocka_unit_test(a_store_that_nobody_reads_is_still_made),
		cmocka_unit_test(every_byte_is_read),
		cmocka_unit_test(reads_up_to_a_guard_page_and_not_beyond),
		cmocka_unit_test(bytes_beside_the_range_do_not_count),
		cmocka_unit_test(calibration_zeroes_what_it_is_given),
	};

	return cmocka_run_group_tests_name("primitives", tests, make_room, drop_room);
}
