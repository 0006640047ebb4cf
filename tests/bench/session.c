/*
 * tests/bench/session.c - where a whole session's time goes: session ROOT CORDON
 *
 * Runs ROUNDS sessions of /bin/true, one after the other, and reads their journals: each
 * transition is dated. What is before the first record and after the last one is the rest
 * of `cordon run`'s own time.
 */
#include <fcntl.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/observe.h"
#include "tests/bench/clerk.h"

/* Each step ends with the state that follows it; the first begins with the journal. */
static const struct {
	enum session_state state;
	const char *name;
} steps[] = {
	{ SESSION_PREPARED, "limits, sandbox, filter, read-back, hold" },
	{ SESSION_RUNNING, "facts, start entered in the log" },
	{ SESSION_STOPPING, "/bin/true runs, is wiped, ends" },
	{ SESSION_SCRUBBING, "its other processes end" },
	{ SESSION_CLEAN, "scrub, receipt signed and in the log" },
};
#define STEPS (sizeof(steps) / sizeof(steps[0]))

static double took[STEPS][ROUNDS], whole[ROUNDS], rest[ROUNDS];

static void run_once(const char *cordon, const char *root, size_t round)
{
	char *command[] = { (char *)(uintptr_t)cordon,
			    (char[]){ "--root" },
			    (char *)(uintptr_t)root,
			    (char[]){ "run" },
			    (char[]){ "--" },
			    (char[]){ "/bin/true" },
			    NULL };
	uint64_t begin = now_ns();
	int status = -1;
	pid_t pid;

	if (posix_spawn(&pid, cordon, NULL, NULL, command, environ))
		die(cordon);
	if (waitpid(pid, &status, 0) < 0 || status != 0)
		die("cordon run");
	whole[round] = (double)(now_ns() - begin) / 1e6;
}

/* The journals lie in the order of their sessions, which is that of the rounds. */
static void read_session(const struct observer *ob, const uint8_t id[static SESSION_ID_BYTES],
			 size_t round)
{
	static struct journal j;
	struct observed o;
	int64_t last;

	observe_session(ob, id, &o, &j);
	if (o.facts.journal != OBSERVE_WHOLE || j.n_states != STEPS)
		die("a session's journal");
	last = j.begin.created;
	for (size_t i = 0; i < STEPS; i++) {
		if (j.states[i].state != (uint32_t)steps[i].state)
			die("a session's states");
		took[i][round] = (double)(j.states[i].at - last) / 1e6;
		last = j.states[i].at;
	}
	rest[round] = whole[round] - (double)(last - j.begin.created) / 1e6;
}

static void print_step(const char *name, double *values, double all)
{
	double ms = median(values, ROUNDS);

	printf("%-44s %9.3f %8.1f%%\n", name, ms, ms / all * 100);
	row("session", name, ms, "ms", "whole session", all);
}

int main(int argc, char **argv)
{
	struct runtime_error e;
	struct observed *all;
	struct observer ob;
	struct paths paths;
	double total;
	size_t n;

	if (argc != 3)
		return 2;
	run_once(argv[2], argv[1], 0); /* the clerk starts, files come into the cache */
	for (size_t i = 0; i < ROUNDS; i++)
		run_once(argv[2], argv[1], i);
	if (paths_open(argv[1], false, &paths, &e) != RUNTIME_OK)
		die(argv[1]);
	observe_open(&paths, &ob);
	if (observe_all(&ob, &all, &n, &e) != RUNTIME_OK || n != ROUNDS + 1)
		die("the sessions");
	for (size_t i = 0; i < ROUNDS; i++)
		read_session(&ob, all[i + 1].id, i);
	observe_close(&ob);
	end_clerk(argv[1]);

	total = median(whole, ROUNDS);
	printf("\n%-44s %9s %9s   %d whole sessions\n", "where the time goes", "ms", "share",
	       ROUNDS);
	for (size_t i = 0; i < STEPS; i++)
		print_step(steps[i].name, took[i], total);
	print_step("policy, keeper's start and end, cordon's own", rest, total);
	printf("%-44s %9.3f\n", "whole session", total);
	free(all);
	paths_close(&paths);
	return 0;
}
