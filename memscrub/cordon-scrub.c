/* cordon-scrub - zero memory by hand, and measure how fast that is here. */
#include "memscrub/primitives.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static const char usage[] =
	"usage: cordon-scrub file  [--json] FILE...\n"
	"       cordon-scrub bench [--json]\n"
	"file zeroes files in memory (tmpfs, hugetlbfs, /proc/PID/fd/N of a memfd) in place "
	"and\n"
	"reads them back; size and holes stay. bench prints rates.\n"
	"exit status: 0 done, 1 residue or refused, 2 usage or unreadable, 3 could not tell\n";

enum exit_status { EXIT_YES = 0, EXIT_NO = 1, EXIT_INPUT = 2, EXIT_SYSTEM = 3 };

static void put_json_text(const char *s)
{
	putchar('"');
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;

		if (c < 0x20 || c == '"' || c == '\\')
			printf("\\u%04x", c);
		else
			putchar(c < 0x7f ? c : '?');
	}
	putchar('"');
}

/* ---- file ------------------------------------------------------------------------ */

struct outcome {
	int exit;
	struct scrub_result done;
	struct memscrub_error err;
};

static void scrub_named(const char *file, struct outcome *o)
{
	int fd = open(file, O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	enum memscrub_status s;

	if (fd < 0) {
		(void)memscrub_fail(&o->err, MEMSCRUB_SYSTEM, "", "",
				    "cannot be opened for writing: %m");
		o->exit = EXIT_INPUT;
		return;
	}
	s = scrub_file(fd, &o->done, &o->err);
	o->exit = memscrub_exit(s);
	if (s == MEMSCRUB_REFUSED)
		snprintf(o->err.hint, sizeof(o->err.hint),
			 "overwriting a file on disk says nothing of the blocks it had before; "
			 "encrypt such data instead");
	close(fd);
}

static void print_file(const char *file, const struct outcome *o)
{
	unsigned long long bytes = o->done.bytes, failed = o->done.failed;
	unsigned long long extents = o->done.parts;
	struct memscrub_error e = o->err;

	if (o->exit == EXIT_YES) {
		printf("%s: %llu bytes in %llu extents zeroed and read back (%s, %.3f ms)\n",
		       file, bytes, extents, scrub_method(), (double)o->done.ns / 1e6);
		return;
	}
	snprintf(e.where, sizeof(e.where), "%.120s%s%.32s", file, o->err.where[0] ? ": " : "",
		 o->err.where);
	if (failed)
		snprintf(e.what, sizeof(e.what), "%llu of %llu bytes failed: %.180s", failed,
			 failed + bytes, o->err.what);
	memscrub_error_print(stderr, "cordon-scrub", &e);
}

static void print_file_json(const char *file, const struct outcome *o)
{
	static const char *const words[] = { "ok", "no", "unreadable", "system" };

	printf("{\"file\":");
	put_json_text(file);
	printf(",\"result\":\"%s\",\"bytes\":%llu,\"failed\":%llu,\"extents\":%llu,\"ns\":%llu",
	       words[o->exit], (unsigned long long)o->done.bytes,
	       (unsigned long long)o->done.failed, (unsigned long long)o->done.parts,
	       (unsigned long long)o->done.ns);
	if (o->exit != EXIT_YES) {
		printf(",\"what\":");
		put_json_text(o->err.what);
		printf(",\"where\":");
		put_json_text(o->err.where);
	}
	putchar('}');
}

static int file_verb(char **files, bool json)
{
	int worst = EXIT_YES;

	if (json)
		printf("{\"schema\":\"cordon.scrub-file/1\",\"method\":\"%s\",\"files\":[",
		       scrub_method());
	for (char **f = files; *f; f++) {
		struct outcome o = { .exit = EXIT_SYSTEM };

		scrub_named(*f, &o);
		worst = o.exit > worst ? o.exit : worst;
		if (json && f > files)
			putchar(',');
		(json ? print_file_json : print_file)(*f, &o);
	}
	if (json)
		puts("]}");
	return worst;
}

/* ---- bench ----------------------------------------------------------------------- */

#define REGION ((size_t)256 << 20)
#define CHUNK ((size_t)2 << 20)
#define ROUNDS 7
#define CASES 16

struct bench {
	char *region;
	int file; /* a memfd as large as the region, all data */
	bool bad; /* what was measured did not do its work */
	const struct scrub_primitive *how;
};

static void zero_by_chunks(struct bench *b)
{
	for (size_t i = 0; i < REGION; i += CHUNK)
		scrub_zero_by(b->how, b->region + i, CHUNK);
}

static void zero_by_memset(struct bench *b)
{
	memset(b->region, 0, REGION);
	__asm__ volatile("" : : "r"(b->region) : "memory");
}

static void check(struct bench *b)
{
	b->bad |= !scrub_is_zero(b->region, REGION, NULL);
}

static void check_by_memcmp(struct bench *b)
{
	b->bad |= b->region[0] != 0 || memcmp(b->region, b->region + 1, REGION - 1) != 0;
}

static void scrub_memfd(struct bench *b)
{
	struct scrub_result r = { 0 };

	b->bad |= scrub_file(b->file, &r, NULL) != MEMSCRUB_OK || r.bytes != REGION;
}

/* The same kernel objects by the plainest means. */
static void memset_memfd(struct bench *b)
{
	char *p = mmap(NULL, REGION, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, b->file,
		       0);

	if (p == MAP_FAILED) {
		b->bad = true;
		return;
	}
	memset(p, 0, REGION);
	b->bad |= p[0] != 0 || memcmp(p, p + 1, REGION - 1) != 0;
	munmap(p, REGION);
}

struct bench_case {
	const char *name, *detail;
	void (*run)(struct bench *b);
	const struct scrub_primitive *how;
	const char *against; /* another case's name; NULL: this is the limit */
	double rates[ROUNDS];
};

static size_t list_cases(struct bench_case *c)
{
	size_t n = 0;

	c[n++] = (struct bench_case){ .name = "memset", .detail = "", .run = zero_by_memset };
	for (size_t i = 0; i < scrub_n_primitives; i++)
		if (scrub_primitives[i].usable())
			c[n++] = (struct bench_case){ .name = "zero",
						      .detail = scrub_primitives[i].name,
						      .run = zero_by_chunks,
						      .how = &scrub_primitives[i],
						      .against = "memset" };
	c[n++] = (struct bench_case){ .name = "memcmp", .detail = "", .run = check_by_memcmp };
	c[n++] = (struct bench_case){
		.name = "read back", .detail = "", .run = check, .against = "memcmp"
	};
	c[n++] = (struct bench_case){ .name = "memset and memcmp of a memfd",
				      .detail = "",
				      .run = memset_memfd };
	c[n++] = (struct bench_case){ .name = "scrub of a memfd",
				      .detail = "",
				      .run = scrub_memfd,
				      .against = "memset and memcmp of a memfd" };
	return n;
}

static double gib_per_s(struct bench *b, const struct bench_case *c)
{
	struct timespec from, to;
	double took;

	b->how = c->how;
	clock_gettime(CLOCK_MONOTONIC, &from);
	c->run(b);
	clock_gettime(CLOCK_MONOTONIC, &to);
	took = (double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) * 1e-9;
	return (double)REGION / took / (double)(1u << 30);
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double against(const struct bench_case *c, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(c[i].name, name) == 0)
			return c[i].rates[ROUNDS / 2];
	return 0;
}

static void print_rates(const struct bench_case *c, size_t n)
{
	printf("%-30s %-10s %9s  %s\n", "", "", "GiB/s", "of the limit");
	for (size_t i = 0; i < n; i++) {
		printf("%-30s %-10s %9.2f", c[i].name, c[i].detail, c[i].rates[ROUNDS / 2]);
		if (c[i].against)
			printf("  %.2f of %s",
			       c[i].rates[ROUNDS / 2] / against(c, n, c[i].against),
			       c[i].against);
		putchar('\n');
	}
	printf("large ranges are zeroed by %s; medians of %d, %zu MiB\n", scrub_method(),
	       ROUNDS, REGION >> 20);
}

static void print_rates_json(const struct bench_case *c, size_t n)
{
	printf("{\"schema\":\"cordon.scrub-bench/"
	       "1\",\"method\":\"%s\",\"bytes\":%zu,\"rows\":[",
	       scrub_method(), REGION);
	for (size_t i = 0; i < n; i++) {
		printf("%s{\"case\":\"%s\",\"method\":\"%s\",\"gib_per_s\":%.3f", i ? "," : "",
		       c[i].name, c[i].detail, c[i].rates[ROUNDS / 2]);
		if (c[i].against)
			printf(",\"against\":\"%s\",\"ratio\":%.3f", c[i].against,
			       c[i].rates[ROUNDS / 2] / against(c, n, c[i].against));
		putchar('}');
	}
	puts("]}");
}

/* Round by round in turn, so that a busy machine slows all alike. */
static int measure(struct bench *b, bool json)
{
	struct bench_case cases[CASES];
	size_t n = list_cases(cases);

	scrub_calibrate(b->region, CHUNK);
	for (int round = -1; round < ROUNDS; round++) /* the first makes the pages */
		for (size_t i = 0; i < n; i++)
			cases[i].rates[round < 0 ? 0 : round] = gib_per_s(b, &cases[i]);
	if (b->bad) {
		fputs("cordon-scrub: what was zeroed did not read back as zero\n", stderr);
		return EXIT_NO;
	}
	for (size_t i = 0; i < n; i++)
		qsort(cases[i].rates, ROUNDS, sizeof(double), by_value);
	(json ? print_rates_json : print_rates)(cases, n);
	return EXIT_YES;
}

static int bench_verb(char **args, bool json)
{
	struct bench b = { .file = memfd_create("cordon-scrub", MFD_CLOEXEC) };
	int status = EXIT_SYSTEM;

	(void)args;
	b.region =
		mmap(NULL, REGION, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (b.region == MAP_FAILED || b.file < 0 || ftruncate(b.file, (off_t)REGION) != 0) {
		perror("cordon-scrub: bench");
	} else {
		memset(b.region, 0xa5, REGION);
		memset_memfd(&b);
		status = measure(&b, json);
	}
	if (b.file >= 0)
		close(b.file);
	if (b.region != MAP_FAILED)
		munmap(b.region, REGION);
	return status;
}

/* ---- all ------------------------------------------------------------------------- */

static const struct verb {
	const char *name;
	int (*run)(char **args, bool json);
	bool args;
} verbs[] = {
	{ "file", file_verb, true },
	{ "bench", bench_verb, false },
	{ .name = NULL },
};

static int misuse(const char *what, const char *which)
{
	fprintf(stderr, "cordon-scrub: %s%s%s; see cordon-scrub --help\n", what,
		which ? ": " : "", which ? which : "");
	return EXIT_INPUT;
}

static int finish(int status)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return status;
	perror("cordon-scrub: standard output");
	return EXIT_SYSTEM;
}

int main(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'v' },
		{ NULL, 0, NULL, 0 },
	};
	const struct verb *v = verbs;
	bool json = false;
	int c;

	opterr = 0;
	while ((c = getopt_long(argc, argv, "hv", longs, NULL)) != -1)
		switch (c) {
		case 'j':
			json = true;
			break;
		case 'h':
			fputs(usage, stdout);
			return finish(EXIT_YES);
		case 'v':
			puts("cordon-scrub " CORDON_VERSION);
			return finish(EXIT_YES);
		default:
			return misuse("unknown option", argv[optind - 1]);
		}
	if (optind == argc)
		return misuse("no verb", NULL);
	while (v->name && strcmp(v->name, argv[optind]) != 0)
		v++;
	if (!v->name)
		return misuse("unknown verb", argv[optind]);
	optind++;
	if (v->args && optind == argc)
		return misuse("no file", NULL);
	if (!v->args && optind < argc)
		return misuse("this is too much", argv[optind]);
	return finish(v->run(argv + optind, json));
}
