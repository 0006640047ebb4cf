/*
 * tests/bench/calls.c - what a filter adds to one system call: calls FILTER [DOCKER]
 *
 * Each round, a child without filter, one with ours and one with the Docker profile's
 * make the same calls: getppid is allowed whatever its arguments, so the kernel's cache
 * answers; socket and personality are decided by an argument; keyctl is denied by ours
 * and Docker's (without a filter the kernel itself refuses this one).
 */
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/confine.h"
#include "tests/bench/bench.h"

#define TIMES 5000

static const struct {
	const char *name;
	long nr, a, b, c;
} calls[] = {
	{ "getppid", SYS_getppid, 0, 0, 0 },
	{ "personality, allowed by argument", SYS_personality, 0xffffffff, 0, 0 },
	{ "socket, family denied", SYS_socket, AF_VSOCK, SOCK_STREAM, 77 },
	{ "keyctl, denied", SYS_keyctl, -1, 0, 0 },
};
#define CALLS (sizeof(calls) / sizeof(calls[0]))

enum filter { NONE, OURS, DOCKER, FILTERS };

static struct sock_filter insns[FILTERS][BPF_MAXINSNS];
static struct sock_fprog program[FILTERS];
static double took[FILTERS][CALLS][ROUNDS]; /* ns a call */

static bool read_program(const char *path, enum filter f)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, insns[f], sizeof(insns[f]));

	if (fd >= 0)
		close(fd);
	program[f].filter = insns[f];
	program[f].len = n > 0 ? (unsigned short)((size_t)n / sizeof(insns[f][0])) : 0;
	return n > 0;
}

/* Ours is what a workload really gets: the floor below every profile, and the profile. */
static bool confine(enum filter f)
{
	const struct policy_plan ours = { .filter = { .insns = (uint8_t *)insns[f],
						      .n_insns = program[f].len } };

	if (f == NONE)
		return true;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return false;
	return f == OURS ? confine_calls(&ours) == 0
			 : syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program[f]) == 0;
}

static _Noreturn void child(enum filter f, double *ret)
{
	if (!confine(f))
		_exit(1);
	for (size_t c = 0; c < CALLS; c++) {
		uint64_t begin = now_ns();

		for (unsigned i = 0; i < TIMES; i++)
			(void)syscall(calls[c].nr, calls[c].a, calls[c].b, calls[c].c);
		ret[c] = (double)(now_ns() - begin) / TIMES;
	}
	_exit(0);
}

static void measure(enum filter f, size_t round, double *shared)
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0)
		child(f, shared);
	if (pid < 0 || waitpid(pid, &status, 0) < 0 || status != 0)
		die("a filter cannot be measured");
	for (size_t c = 0; c < CALLS; c++)
		took[f][c][round] = shared[c];
}

static void report(const char *call, double none, double ours, const double *docker)
{
	printf("%-34s %9.0f %9.0f", call, none, ours);
	row("calls", call, ours, "ns", "no filter", none);
	if (docker) {
		printf(" %9.0f", *docker);
		row("calls", call, ours, "ns", "the Docker profile", *docker);
	}
	putchar('\n');
}

int main(int argc, char **argv)
{
	double *shared = mmap(NULL, sizeof(double) * CALLS, PROT_READ | PROT_WRITE,
			      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	bool docker;

	if (argc < 2 || shared == MAP_FAILED || !read_program(argv[1], OURS))
		return 2;
	docker = argc > 2 && read_program(argv[2], DOCKER);
	for (size_t round = 0; round < ROUNDS; round++)
		for (enum filter f = NONE; f < (docker ? FILTERS : DOCKER); f++)
			measure(f, round, shared);

	printf("\n%-34s %9s %9s %9s   ns a call, %d rounds in turn\n", "calls", "no filter",
	       "ours", docker ? "Docker's" : "", ROUNDS);
	if (!docker)
		printf("%-34s left out: no profile here (CORDON_VECTORS)\n", "Docker's");
	for (size_t c = 0; c < CALLS; c++) {
		double d = docker ? median(took[DOCKER][c], ROUNDS) : 0;

		report(calls[c].name, median(took[NONE][c], ROUNDS),
		       median(took[OURS][c], ROUNDS), docker ? &d : NULL);
	}
	return 0;
}
