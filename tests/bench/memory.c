/*
 * tests/bench/memory.c - what stays resident while a sandbox runs: memory ROOT CORDON
 */
#include <fcntl.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>

#include "tests/bench/clerk.h"

#define KEEPER_LIMIT_KIB 2048.0
#define CLERK_LIMIT_KIB 8192.0

static bool read_line(pid_t pid, const char *file, char *to, size_t size)
{
	char path[64];
	FILE *f;
	bool ok;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, file);
	f = fopen(path, "re");
	ok = f && fgets(to, (int)size, f);
	if (f)
		fclose(f);
	return ok;
}

static double resident_kib(pid_t pid)
{
	char path[64], line[256];
	double kib = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (strncmp(line, "VmRSS:", 6) == 0)
			kib = strtod(line + 6, NULL);
	if (!f || kib == 0)
		die(path);
	fclose(f);
	return kib;
}

static pid_t only_child(pid_t pid)
{
	char file[64], line[64];

	snprintf(file, sizeof(file), "task/%d/children", pid);
	return read_line(pid, file, line, sizeof(line)) ? (pid_t)strtol(line, NULL, 10) : 0;
}

/* The keeper's child is the sandbox's first process, and that one's is the workload. */
static pid_t await_keeper(pid_t run)
{
	const struct timespec pause = { .tv_nsec = 10 * 1000 * 1000 };
	char name[32];

	for (int i = 0; i < 500; i++) {
		pid_t keeper = only_child(run), init = keeper ? only_child(keeper) : 0;
		pid_t workload = init ? only_child(init) : 0;

		if (workload && read_line(workload, "comm", name, sizeof(name)) &&
		    strcmp(name, "sleep\n") == 0)
			return keeper;
		nanosleep(&pause, NULL);
	}
	die("the sandbox does not start");
}

int main(int argc, char **argv)
{
	const struct timespec settle = { .tv_nsec = 100 * 1000 * 1000 };
	double keeper, clerk;
	int status = 0;
	pid_t run;

	if (argc != 3)
		return 2;
	char *command[] = { argv[2],          (char[]){ "--root" },
			    argv[1],          (char[]){ "run" },
			    (char[]){ "--" }, (char[]){ "/bin/sleep" },
			    (char[]){ "2" },  NULL };

	if (posix_spawn(&run, argv[2], NULL, NULL, command, environ))
		die(argv[2]);
	pid_t pid = await_keeper(run);

	nanosleep(&settle, NULL);
	keeper = resident_kib(pid);
	clerk = resident_kib(clerk_of(argv[1]));
	if (waitpid(run, &status, 0) < 0 || status != 0)
		die("cordon run");
	end_clerk(argv[1]);

	printf("\n%-34s %9s\n", "memory", "VmRSS");
	printf("%-34s %5.0f KiB %8.2fx the limit of %.0f KiB\n", "keeper", keeper,
	       keeper / KEEPER_LIMIT_KIB, KEEPER_LIMIT_KIB);
	printf("%-34s %5.0f KiB %8.2fx the limit of %.0f KiB\n", "clerk", clerk,
	       clerk / CLERK_LIMIT_KIB, CLERK_LIMIT_KIB);
	row("memory", "keeper VmRSS", keeper, "KiB", "limit", KEEPER_LIMIT_KIB);
	row("memory", "clerk VmRSS", clerk, "KiB", "limit", CLERK_LIMIT_KIB);
	return 0;
}
