/*
 * tests/bench/race.c - whole processes, from before their start until they are reaped.
 *
 *	race BENCH side NAME [stamps] [fd N PATH]... [clerk|fresh-clerk ROOT] -- CMD... ';' ...
 *	     [compare NAME NAME]...
 *
 * All sides run ROUNDS times, in turn but in another order each time, one at a time. A
 * side that fails its trial run is left out and the table says why. `fd` opens PATH for
 * the process as descriptor N; `stamps` collects what engine.c writes; `clerk` ends the
 * clerk of that root at the end, `fresh-clerk` before each run as well. `compare` makes
 * one row of the two medians.
 */
#include <fcntl.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/bench/clerk.h"

#define SIDES 12
#define FILES 12

struct side {
	const char *name, *clerk_root;
	char **argv;
	bool fresh_clerk, stamps, runs;
	struct {
		int fd;
		const char *path;
	} files[FILES];
	size_t n_files;
	double took[ROUNDS], inside[ROUNDS]; /* ms */
	char why[256];
};

static struct side sides[SIDES];
static size_t n_sides;

/* ---- one run --------------------------------------------------------------------- */

static pid_t start(const struct side *s, int out, const char *errors)
{
	posix_spawn_file_actions_t fa;
	pid_t pid;

	if (posix_spawn_file_actions_init(&fa) ||
	    posix_spawn_file_actions_addopen(&fa, 0, "/dev/null", O_RDONLY, 0) ||
	    posix_spawn_file_actions_adddup2(&fa, out, 1) ||
	    posix_spawn_file_actions_addopen(&fa, 2, errors, O_WRONLY | O_CREAT | O_TRUNC,
					     0600) ||
	    posix_spawn_file_actions_addclose(&fa, ROWS_FD))
		die("posix_spawn_file_actions");
	for (size_t i = 0; i < s->n_files; i++)
		if (posix_spawn_file_actions_addopen(&fa, s->files[i].fd, s->files[i].path,
						     O_RDONLY, 0))
			die(s->files[i].path);
	if (posix_spawnp(&pid, s->argv[0], &fa, NULL, s->argv, environ))
		pid = -1;
	posix_spawn_file_actions_destroy(&fa);
	return pid;
}

/* The side's time in ms, and where it stamps, the time of its own steps. */
static bool run_once(struct side *s, int null, const char *errors, double *ret,
		     double *ret_inside)
{
	uint64_t at[STAMPS] = { 0 }, begin;
	int pipe_fds[2] = { -1, -1 }, status = -1;
	pid_t pid;

	if (s->fresh_clerk)
		end_clerk(s->clerk_root);
	if (s->stamps && pipe2(pipe_fds, O_CLOEXEC) < 0)
		die("pipe");
	begin = now_ns();
	pid = start(s, s->stamps ? pipe_fds[1] : null, errors);
	if (pid > 0 && waitpid(pid, &status, 0) < 0)
		die("waitpid");
	*ret = (double)(now_ns() - begin) / 1e6;
	if (s->stamps) {
		close(pipe_fds[1]);
		if (status == 0 && read(pipe_fds[0], at, sizeof(at)) != (ssize_t)sizeof(at))
			die("stamps");
		close(pipe_fds[0]);
		*ret_inside = (double)(at[ENDED] - at[BEGUN]) / 1e6;
	}
	return status == 0;
}

/* The first run also brings everything into the page cache. */
static void try_out(struct side *s, int null)
{
	char path[] = "race-errors.XXXXXX";
	int fd = mkstemp(path);
	double ms, inside;
	ssize_t n;

	if (fd < 0)
		die(path);
	s->runs = run_once(s, null, path, &ms, &inside);
	n = read(fd, s->why, sizeof(s->why) - 1);
	s->why[n < 0 ? 0 : n] = 0;
	s->why[strcspn(s->why, "\n")] = 0;
	close(fd);
	unlink(path);
}

/* ---- the race -------------------------------------------------------------------- */

static struct side *find(const char *name)
{
	for (size_t i = 0; i < n_sides; i++)
		if (strcmp(sides[i].name, name) == 0)
			return &sides[i];
	fprintf(stderr, "race: no side is called %s\n", name);
	exit(2);
}

/* What the last side left to the kernel to take down later, and what it has warmed up
 * (an RCU wait just paid for spares the next one), must not be the next one's. */
static void settle(void)
{
	const struct timespec pause = { .tv_nsec = 20 * 1000 * 1000 };

	nanosleep(&pause, NULL);
}

/* A new order each round, the same ones in every run: nobody always follows the same
 * side. */
static void shuffle(size_t order[static SIDES])
{
	for (size_t i = 0; i < n_sides; i++) {
		size_t j = (size_t)rand() % (i + 1);

		order[i] = order[j];
		order[j] = i;
	}
}

static void take_turn(struct side *s, size_t round, int null)
{
	if (!s->runs)
		return;
	settle();
	if (!run_once(s, null, "/dev/null", &s->took[round], &s->inside[round])) {
		fprintf(stderr, "race: %s failed in round %zu\n", s->name, round);
		exit(3);
	}
}

static void race(int null)
{
	for (size_t i = 0; i < n_sides; i++)
		try_out(&sides[i], null);
	for (size_t round = 0; round < ROUNDS; round++) {
		size_t order[SIDES] = { 0 };

		shuffle(order);
		for (size_t i = 0; i < n_sides; i++)
			take_turn(&sides[order[i]], round, null);
	}
	for (size_t i = 0; i < n_sides; i++)
		if (sides[i].clerk_root)
			end_clerk(sides[i].clerk_root);
}

static void print_sides(const char *bench)
{
	printf("\n%-34s %9s %9s %9s   ms, %d rounds in turn\n", bench, "median", "p10", "p90",
	       ROUNDS);
	for (size_t i = 0; i < n_sides; i++) {
		struct side *s = &sides[i];

		if (!s->runs) {
			printf("%-34s does not run here: %s\n", s->name, s->why);
			continue;
		}
		printf("%-34s %9.2f %9.2f %9.2f\n", s->name, median(s->took, ROUNDS),
		       quantile(s->took, ROUNDS, 0.1), quantile(s->took, ROUNDS, 0.9));
		if (s->stamps)
			printf("%-34s %9.2f %9.2f %9.2f\n", "  main() alone",
			       median(s->inside, ROUNDS), quantile(s->inside, ROUNDS, 0.1),
			       quantile(s->inside, ROUNDS, 0.9));
	}
}

static void compare(const char *bench, struct side *a, struct side *b)
{
	char name[128];

	if (!a->runs || !b->runs)
		return;
	printf("%-34s %8.2fx %s\n", a->name, median(a->took, ROUNDS) / median(b->took, ROUNDS),
	       b->name);
	row(bench, a->name, median(a->took, ROUNDS), "ms", b->name, median(b->took, ROUNDS));
	snprintf(name, sizeof(name), "%s, p90", a->name);
	row(bench, name, quantile(a->took, ROUNDS, 0.9), "ms", b->name,
	    quantile(b->took, ROUNDS, 0.9));
}

/* ---- the order ------------------------------------------------------------------- */

/* One side, from behind the word `side`; returns what follows its ';'. */
static char **read_side(char **a)
{
	struct side *s = &sides[n_sides++];

	if (n_sides > SIDES || !a[0])
		exit(2);
	s->name = *a++;
	for (; *a && strcmp(*a, "--") != 0; a++) {
		if (strcmp(*a, "stamps") == 0) {
			s->stamps = true;
		} else if (strstr(*a, "clerk") && a[1]) {
			s->fresh_clerk = strcmp(*a, "fresh-clerk") == 0;
			s->clerk_root = *++a;
		} else if (strcmp(*a, "fd") == 0 && a[1] && a[2] && s->n_files < FILES) {
			s->files[s->n_files].fd = (int)strtol(a[1], NULL, 10);
			s->files[s->n_files++].path = a[2];
			a += 2;
		} else {
			exit(2);
		}
	}
	if (!a[0] || !a[1])
		exit(2);
	for (s->argv = ++a; *a && strcmp(*a, ";") != 0; a++)
		;
	if (!*a)
		exit(2);
	*a = NULL;
	return a + 1;
}

int main(int argc, char **argv)
{
	const char *bench = argv[1];
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	char **a = argv + 2;

	if (argc < 3 || null < 0)
		return 2;
	while (*a && strcmp(*a, "side") == 0)
		a = read_side(a + 1);
	race(null);
	print_sides(bench);
	putchar('\n');
	for (; a[0] && a[1] && a[2] && strcmp(a[0], "compare") == 0; a += 3)
		compare(bench, find(a[1]), find(a[2]));
	for (size_t i = 0; i < n_sides; i++)
		if (sides[i].runs && sides[i].stamps)
			row(bench, "engine: its main() alone", median(sides[i].inside, ROUNDS),
			    "ms", sides[i].name, median(sides[i].took, ROUNDS));
	return *a ? 2 : 0;
}
