/*
 * tests/bench/engine.c - the launcher alone: no policy, clerk, journal or keeper.
 *
 *	engine PLAN [--cgroup] [--stamps]
 *
 * Reads a ready plan, runs its command, ends when the sandbox is gone. With --stamps it
 * writes the nanoseconds of its own steps to standard output (enum stamp).
 * Linked as a keeper is.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "runtime/launcher.h"
#include "runtime/uids.h"
#include "tests/bench/bench.h"

static _Noreturn void failed(const struct runtime_error *e)
{
	runtime_error_print(stderr, "engine", e);
	exit(3);
}

static struct policy_plan *read_plan(const char *path)
{
	static uint8_t bytes[1 << 16];
	struct policy_plan *plan = NULL;
	struct policy_error e = { 0 };
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, bytes, sizeof(bytes));

	if (n < 0)
		die(path);
	close(fd);
	if (policy_plan_decode(bytes, (size_t)n, &plan, &e) != POLICY_OK) {
		policy_error_print(stderr, &e);
		exit(3);
	}
	return plan;
}

static void make_cgroups(const struct policy_plan *plan, struct cgroup *ret)
{
	uint8_t id[SESSION_ID_BYTES];
	struct runtime_error e;

	if (getrandom(id, sizeof(id), 0) != (ssize_t)sizeof(id))
		die("getrandom");
	if (cgroup_find(CGROUP_ALL, false, id, ret, &e) != RUNTIME_OK ||
	    cgroup_make(ret, &plan->limits, &e) != RUNTIME_OK)
		failed(&e);
}

static void remove_cgroups(const struct cgroup *cg)
{
	struct runtime_error e;

	for (size_t i = 0; i < cg->n; i++)
		if (cgroup_remove(cg->dirs[i].path, &e) != RUNTIME_OK)
			failed(&e);
}

static void own_ids(struct mounts_ids *ret)
{
	struct runtime_error e;
	int lock; /* held until we exit */

	*ret = (struct mounts_ids){ .first = geteuid(), .range = geteuid() == 0 };
	if (ret->range && uids_reserve(&lock, &ret->first, &e) != RUNTIME_OK)
		failed(&e);
}

static void run_to_end(struct launcher *l)
{
	struct pollfd p = { .fd = l->sigchld, .events = POLLIN };
	struct signalfd_siginfo info;

	while (!tracer_empty(&l->tracer)) {
		if (poll(&p, 1, -1) < 0)
			die("poll");
		while (read(l->sigchld, &info, sizeof(info)) > 0)
			;
		tracer_pump(&l->tracer);
	}
}

int main(int argc, char **argv)
{
	struct launcher_spec spec = { .stdio = { 0, 1, 2 } };
	struct cgroup cgroup = { .n = 0 };
	uint64_t at[STAMPS] = { [BEGUN] = now_ns() };
	bool limits = false, stamps = false;
	struct policy_plan *plan;
	struct runtime_error e;
	struct launcher l;
	sigset_t block;

	for (int i = 2; i < argc; i++) {
		limits |= strcmp(argv[i], "--cgroup") == 0;
		stamps |= strcmp(argv[i], "--stamps") == 0;
	}
	sigemptyset(&block);
	sigaddset(&block, SIGCHLD);
	if (argc < 2 || sigprocmask(SIG_BLOCK, &block, NULL) < 0)
		return 2;
	plan = read_plan(argv[1]);
	spec.plan = plan;
	own_ids(&spec.ids);
	at[PLANNED] = now_ns();
	if (limits) {
		make_cgroups(plan, &cgroup);
		spec.cgroup = &cgroup;
	}
	at[LIMITED] = now_ns();
	if (launcher_create(&spec, &l, &e) != RUNTIME_OK)
		failed(&e);
	at[CREATED] = now_ns();
	if (launcher_check(&l, &e) != RUNTIME_OK)
		failed(&e);
	launcher_start(&l);
	at[STARTED] = now_ns();
	run_to_end(&l);
	at[GONE] = now_ns();
	launcher_end(&l);
	remove_cgroups(&cgroup);
	at[ENDED] = now_ns();
	if (stamps && write(STDOUT_FILENO, at, sizeof(at)) != (ssize_t)sizeof(at))
		die("stamps");
	policy_plan_free(plan);
	return l.tracer.workload_status == 0 ? 0 : 3;
}
