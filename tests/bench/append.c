/*
 * tests/bench/append.c - what it takes until an entry is durable: append FOLDER
 *
 * Waiters that know nothing of each other hand in entries, so many a second, at random
 * moments. One thread commits, as the clerk does: whatever came while a commit ran is the
 * next group; after each it writes a full bundle, if there is one, and each second it
 * publishes. An entry's time is from its waiter's wish to the
 * return of the commit that it was in. Beside it, in turn: the same entry written to a file
 * that is as large already, and flushed, alone.
 */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "attest/log_writer.h"
#include "tests/bench/bench.h"

#define SECONDS 4u
#define TURNS 2u /* of each side */
#define ENTRY 400u
#define MOST 20000u /* entries a second */

static double took[MOST * SECONDS * TURNS], alone[1000 * TURNS], between[MOST * SECONDS];
static uint8_t entry[ENTRY];

static _Noreturn void failed(const struct attest_error *e)
{
	attest_error_print(stderr, "append", e);
	exit(3);
}

static void must(enum attest_status s, const struct attest_error *e)
{
	if (s != ATTEST_OK)
		failed(e);
}

static struct log_writer *open_log(const char *path)
{
	static const uint8_t seed[32] = "a benchmark's key";
	static struct note_signer *signer;
	struct attest_error e = { .what = "" };
	struct log_writer *w = NULL;
	struct log_start start;
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		die(path);
	must(note_signer_new("bench.example/log", seed, &signer, &e), &e);
	must(log_open(fd, signer, &w, &start, &e), &e);
	close(fd);
	return w;
}

static void add(struct log_writer *w)
{
	struct attest_error e = { .what = "" };
	uint64_t index;

	must(log_append(w, entry, sizeof(entry), &index, &e), &e);
}

/* ---- waiters ----------------------------------------------------------------------------- */

static void wait_until(uint64_t at)
{
	const struct timespec t = { .tv_sec = (time_t)(at / 1000000000),
				    .tv_nsec = (long)(at % 1000000000) };

	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
}

static int by_time(const void *a, const void *b)
{
	return by_value(a, b);
}

/* When n entries are wished for within the run, in ns from its begin. */
static void wish(size_t n)
{
	for (size_t i = 0; i < n; i++)
		between[i] = (double)random() / (double)RAND_MAX * SECONDS * 1e9;
	qsort(between, n, sizeof(between[0]), by_time);
}

/* Serves n wishes; their times go to `to`. */
static void serve(struct log_writer *w, size_t n, double *to)
{
	struct attest_error e = { .what = "" };
	uint64_t begin = now_ns(), publish = begin + 1000000000;
	size_t next = 0, first;
	bool more;

	wish(n);
	while (next < n) {
		uint64_t now;

		wait_until(begin + (uint64_t)between[next]);
		now = now_ns();
		for (first = next; next < n && next - first < LOG_GROUP &&
				   begin + (uint64_t)between[next] <= now;
		     next++)
			add(w);
		must(log_commit(w, &e), &e);
		now = now_ns();
		for (; first < next; first++)
			to[first] = (double)(now - begin - (uint64_t)between[first]) / 1e6;
		must(log_publish_ahead(w, &more, &e), &e);
		if (now < publish)
			continue;
		must(log_publish(w, &e), &e);
		publish = now + 1000000000;
	}
}

/* ---- alone ------------------------------------------------------------------------------- */

static int plain_file(void)
{
	static uint8_t zeros[1 << 20];
	int fd = openat(AT_FDCWD, "plain", O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0 || write(fd, zeros, sizeof(zeros)) != (ssize_t)sizeof(zeros) ||
	    fsync(fd) != 0)
		die("plain file");
	return fd;
}

static void write_alone(int fd, size_t n, double *to)
{
	for (size_t i = 0; i < n; i++) {
		uint64_t begin = now_ns();

		if (pwrite(fd, entry, sizeof(entry), (off_t)(i * sizeof(entry))) < 0 ||
		    fdatasync(fd) != 0)
			die("plain file");
		to[i] = (double)(now_ns() - begin) / 1e6;
	}
}

/* ---- rows -------------------------------------------------------------------------------- */

static void offered(struct log_writer *w, int fd, unsigned rate)
{
	struct log_flushes before = log_flushes(w), after;
	size_t n = (size_t)rate * SECONDS;
	double flushes, middle, tail;
	char name[64];

	for (unsigned turn = 0; turn < TURNS; turn++) {
		serve(w, n, took + turn * n);
		write_alone(fd, 1000, alone + turn * 1000);
	}
	after = log_flushes(w);
	flushes = (double)(after.commits - before.commits) / (double)(n * TURNS);
	middle = median(took, n * TURNS);
	tail = quantile(took, n * TURNS, 0.99);
	printf("%6u/s offered: median %6.3f ms, p99 %6.3f ms; %.2f flushes an entry; alone "
	       "%6.3f ms, p99 %6.3f ms\n",
	       rate, middle, tail, flushes, median(alone, 1000 * TURNS),
	       quantile(alone, 1000 * TURNS, 0.99));
	snprintf(name, sizeof(name), "%u/s offered, median", rate);
	row("append", name, middle, "ms", "write and flush alone", median(alone, 1000 * TURNS));
	snprintf(name, sizeof(name), "%u/s offered, p99", rate);
	row("append", name, tail, "ms", "write and flush alone",
	    quantile(alone, 1000 * TURNS, 0.99));
	snprintf(name, sizeof(name), "%u/s offered, flushes", rate);
	row("append", name, flushes, "an entry", "one for each entry", 1);
}

static void groups(struct log_writer *w)
{
	struct attest_error e = { .what = "" };
	double each[2] = { 0 };

	for (unsigned size = 1, side = 0; side < 2; side++, size = LOG_GROUP) {
		uint64_t begin = now_ns();

		for (unsigned i = 0; i < 20 * LOG_GROUP; i++) {
			add(w);
			if ((i + 1) % size == 0)
				must(log_commit(w, &e), &e);
		}
		each[side] = (double)(now_ns() - begin) / 1e3 / (20 * LOG_GROUP);
		must(log_publish(w, &e), &e);
	}
	printf("one entry in a group of %u: %.2f us; alone: %.2f us\n", LOG_GROUP, each[1],
	       each[0]);
	row("append", "an entry of a full group", each[1], "us", "each alone", each[0]);
}

int main(int argc, char **argv)
{
	struct attest_error e = { .what = "" };
	struct log_writer *w;
	int fd;

	if (argc != 2 || chdir(argv[1]) != 0) {
		fputs("usage: append FOLDER\n", stderr);
		return 2;
	}
	memset(entry, 'x', sizeof(entry));
	w = open_log(".");
	fd = plain_file();
	printf("\nappend: entries of %u bytes, durable\n", ENTRY);
	offered(w, fd, 1000);
	offered(w, fd, MOST);
	groups(w);
	must(log_close(w, &e), &e);
	close(fd);
	return 0;
}
