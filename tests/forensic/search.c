/*
 * tests/forensic/search.c - looks for one case's canary in a guest's memory, from outside.
 *
 *   search MEMORY KEY CASE LINES [where]
 *
 * prints `LINES COPIES WORDS`: how many of the lines were found at least once, how many
 * places hold a whole line, and how many tag words lie outside of those. With `where` also
 * every run of lines, as `OFFSET FIRST-LINE COUNT`, on standard error. Exit 0 whatever was
 * found; 2 or 3 when it could not look. MEMORY is a file; its holes are not read.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/forensic/canary.h"

struct search {
	uint64_t tag, limit; /* line numbers are below `limit` */
	uint8_t *seen;       /* a bit a line */
	uint64_t lines, copies, words;
	bool where;
	uint64_t run_at, run_first, run_lines; /* lines in a row, not yet printed */
};

static void end_run(struct search *s)
{
	if (s->where && s->run_lines)
		fprintf(stderr, "%#llx %llu %llu\n", (unsigned long long)s->run_at,
			(unsigned long long)s->run_first, (unsigned long long)s->run_lines);
	s->run_lines = 0;
}

static void found_line(struct search *s, uint64_t at, uint64_t number)
{
	uint8_t *byte = &s->seen[number / 8], bit = (uint8_t)(1u << number % 8);

	s->lines += !(*byte & bit);
	*byte |= bit;
	s->copies++;
	if (at != s->run_at + s->run_lines * CANARY_LINE ||
	    number != s->run_first + s->run_lines)
		end_run(s);
	if (!s->run_lines++) {
		s->run_at = at;
		s->run_first = number;
	}
}

static bool whole_line(const struct search *s, const uint64_t *word, const uint64_t *end)
{
	if (end - word < CANARY_WORDS || word[CANARY_TAGS] >= s->limit)
		return false;
	for (int i = 0; i < CANARY_TAGS; i++)
		if (word[i] != s->tag)
			return false;
	return true;
}

static void look(struct search *s, const uint64_t *word, size_t n, uint64_t at)
{
	const uint64_t *begin = word, *end = word + n;

	while (word < end) {
		if (*word != s->tag) {
			word++;
		} else if (whole_line(s, word, end)) {
			found_line(s, at + (uint64_t)(word - begin) * sizeof(*word),
				   word[CANARY_TAGS]);
			word += CANARY_WORDS;
		} else {
			s->words++;
			word++;
		}
	}
}

/* One extent after the other. Their bounds are multiples of a page, and so no line that is
 * aligned to its size crosses one. */
static bool look_through(struct search *s, int fd)
{
	off_t end = 0, begin;

	while ((begin = lseek(fd, end, SEEK_DATA)) >= 0) {
		const uint64_t *words;

		end = lseek(fd, begin, SEEK_HOLE);
		if (end < 0)
			return false;
		words = mmap(NULL, (size_t)(end - begin), PROT_READ, MAP_SHARED, fd, begin);
		if (words == MAP_FAILED)
			return false;
		look(s, words, (size_t)(end - begin) / sizeof(*words), (uint64_t)begin);
		munmap((void *)(uintptr_t)words, (size_t)(end - begin));
	}
	end_run(s);
	return errno == ENXIO; /* no data behind `end` */
}

static bool number(const char *text, int base, uint64_t *ret)
{
	char *end;

	errno = 0;
	*ret = strtoull(text, &end, base);
	return errno == 0 && end != text && !*end;
}

int main(int argc, char **argv)
{
	struct search s = { 0 };
	uint64_t key, the_case;
	int fd, status = 3;

	if (argc < 5 || argc > 6 || !number(argv[2], 16, &key) ||
	    !number(argv[3], 10, &the_case) || !number(argv[4], 10, &s.limit) ||
	    s.limit > UINT64_C(1) << 32 || (argc == 6 && strcmp(argv[5], "where") != 0)) {
		fputs("usage: search MEMORY KEY CASE LINES [where]\n", stderr);
		return 2;
	}
	s.tag = canary_tag(key, the_case);
	s.where = argc == 6;
	s.seen = calloc(1, s.limit / 8 + 1);
	fd = open(argv[1], O_RDONLY | O_CLOEXEC);
	if (fd < 0 || !s.seen || !look_through(&s, fd)) {
		fprintf(stderr, "search: %s: %s\n", argv[1], strerror(errno));
	} else {
		printf("%llu %llu %llu\n", (unsigned long long)s.lines,
		       (unsigned long long)s.copies, (unsigned long long)s.words);
		status = 0;
	}
	if (fd >= 0)
		close(fd);
	free(s.seen);
	return status;
}
