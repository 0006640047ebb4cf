/* tests/runtime/test_ring.c - the last megabyte of output, read while it is written. */
#include "runtime/clerk.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* The byte at place `at` of the stream: no period divides a page or a capacity. */
static uint8_t pattern(uint64_t at)
{
	return (uint8_t)(at % 251);
}

static void write_pattern(int ring, uint64_t from, size_t n)
{
	static uint8_t bytes[2 * RING_CAPACITY];

	for (size_t i = 0; i < n; i++)
		bytes[i] = pattern(from + i);
	assert_true(ring_write(ring, bytes, n));
}

static void assert_pattern(const uint8_t *bytes, uint64_t from, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (bytes[i] != pattern(from + i))
			fail_msg("byte %zu of a read is not byte %llu of the stream", i,
				 (unsigned long long)(from + i));
}

static void what_was_written_is_read_in_order(void **state)
{
	uint64_t pos = 0, missed = 1;
	int ring = ring_make();
	char buf[16];

	(void)state;
	assert_true(ring_is(ring));
	assert_int_equal(ring_read(ring, &pos, buf, sizeof(buf), &missed), 0);
	assert_true(ring_write(ring, "hello ", 6));
	assert_true(ring_write(ring, "world", 5));
	assert_true(ring_write(ring, "", 0));
	assert_int_equal(ring_read(ring, &pos, buf, 8, &missed), 8);
	assert_memory_equal(buf, "hello wo", 8);
	assert_int_equal(ring_read(ring, &pos, buf, sizeof(buf), &missed), 3);
	assert_memory_equal(buf, "rld", 3);
	assert_int_equal(missed, 0);
	assert_int_equal(pos, 11);
	close(ring);
}

static void only_the_last_capacity_stays_and_the_rest_is_told(void **state)
{
	static uint8_t buf[RING_CAPACITY + 10];
	uint64_t pos = 0, missed = 0;
	int ring = ring_make();

	(void)state;
	write_pattern(ring, 0, 1000);
	write_pattern(ring, 1000, RING_CAPACITY - 500);
	assert_int_equal(ring_read(ring, &pos, buf, sizeof(buf), &missed), RING_CAPACITY);
	assert_int_equal(missed, 500);
	assert_pattern(buf, 500, RING_CAPACITY);

	pos = 0; /* one write larger than the ring */
	write_pattern(ring, RING_CAPACITY + 500, RING_CAPACITY + 12345);
	assert_int_equal(ring_read(ring, &pos, buf, sizeof(buf), &missed), RING_CAPACITY);
	assert_int_equal(missed, RING_CAPACITY + 500 + 12345);
	assert_pattern(buf, missed, RING_CAPACITY);
	close(ring);
}

static void a_place_beyond_the_end_has_nothing_to_read(void **state)
{
	uint64_t pos = 100, missed = 1;
	int ring = ring_make();
	char c;

	(void)state;
	assert_true(ring_write(ring, "x", 1));
	assert_int_equal(ring_read(ring, &pos, &c, 1, &missed), 0);
	assert_int_equal(pos, 100);
	assert_int_equal(missed, 0);
	close(ring);
}

static void the_size_cannot_be_changed(void **state)
{
	int ring = ring_make();

	(void)state;
	assert_int_equal(ftruncate(ring, 0), -1);
	assert_int_equal(ftruncate(ring, 2 * RING_CAPACITY), -1);
	assert_int_equal(fcntl(ring, F_ADD_SEALS, F_SEAL_WRITE), -1);
	close(ring);
}

static void a_zeroed_ring_is_no_ring_and_holds_nothing(void **state)
{
	static uint8_t buf[RING_HEADER + RING_CAPACITY];
	uint64_t pos = 0, missed;
	int ring = ring_make();

	(void)state;
	write_pattern(ring, 0, RING_CAPACITY + 77);
	assert_true(ring_zero(ring));
	assert_false(ring_is(ring));
	assert_false(ring_write(ring, "x", 1));
	assert_int_equal(ring_read(ring, &pos, buf, 1, &missed), -1);
	assert_int_equal(pread(ring, buf, sizeof(buf), 0), sizeof(buf));
	for (size_t i = 0; i < sizeof(buf); i++)
		assert_int_equal(buf[i], 0);
	close(ring);
}

static void what_is_not_a_ring_is_refused(void **state)
{
	int other = memfd_create("other", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int ring = ring_make();
	uint8_t head[32];

	(void)state;
	assert_false(ring_is(-1));
	assert_false(ring_is(null));
	assert_int_equal(ftruncate(other, RING_HEADER + RING_CAPACITY), 0);
	assert_int_equal(pread(ring, head, sizeof(head), 0), sizeof(head));
	assert_int_equal(pwrite(other, head, sizeof(head), 0), sizeof(head));
	assert_false(ring_is(other)); /* all but the seals */
	head[9] ^= 0x10;              /* a capacity that the file does not have */
	assert_int_equal(pwrite(ring, head, sizeof(head), 0), sizeof(head));
	assert_false(ring_is(ring));
	close(other);
	close(null);
	close(ring);
}

/* Every byte that is handed out is the stream's own at its place, however often the
 * writer laps the reader. */
static void a_reader_beside_a_writer_never_gets_a_wrong_byte(void **state)
{
	const uint64_t total = (getenv("CORDON_SOAK") ? 4096u : 64u) * (uint64_t)RING_CAPACITY;
	static uint8_t buf[RING_CAPACITY];
	uint64_t pos = 0, missed, seen = 0;
	int ring = ring_make(), status;
	pid_t writer = fork();

	(void)state;
	if (writer == 0) {
		static uint8_t bytes[50000 + 251];
		uint64_t at = 0;

		for (size_t i = 0; i < sizeof(bytes); i++)
			bytes[i] = pattern(i);
		while (at < total) {
			size_t n = (size_t)(at * 7919 % 50000 + 1);

			if (n > total - at)
				n = (size_t)(total - at);
			if (!ring_write(ring, bytes + at % 251, n))
				_exit(1);
			at += n;
		}
		_exit(0);
	}
	while (pos < total) {
		uint64_t before = pos;
		ssize_t n = ring_read(ring, &pos, buf, sizeof(buf), &missed);

		assert_true(n >= 0);
		assert_int_equal(pos, before + missed + (uint64_t)n);
		assert_pattern(buf, pos - (uint64_t)n, (size_t)n);
		seen += (uint64_t)n;
		if (waitpid(writer, &status, WNOHANG) == writer) {
			assert_int_equal(status, 0);
			writer = -1;
		}
	}
	assert_true(seen > 0);
	if (writer > 0)
		assert_int_equal(waitpid(writer, &status, 0), writer);
	close(ring);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_written_is_read_in_order),
		cmocka_unit_test(only_the_last_capacity_stays_and_the_rest_is_told),
		cmocka_unit_test(a_place_beyond_the_end_has_nothing_to_read),
		cmocka_unit_test(the_size_cannot_be_changed),
		cmocka_unit_test(a_zeroed_ring_is_no_ring_and_holds_nothing),
		cmocka_unit_test(what_is_not_a_ring_is_refused),
		cmocka_unit_test(a_reader_beside_a_writer_never_gets_a_wrong_byte),
	};
	return cmocka_run_group_tests_name("ring", tests, NULL, NULL);
}
