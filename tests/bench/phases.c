/*
 * tests/bench/phases.c - where a launch's time goes: phases PLAN
 *
 * The launcher's own steps, one after the other in the order in which it takes them, each
 * between two clock readings, in the process in which it happens. They are its very
 * functions, or the same calls where it has none to offer; nothing waits for anybody and
 * nobody is traced. What a whole launch takes beyond their sum is tracing, messages and
 * waiting for the other process to be scheduled.
 */
#include <fcntl.h>
#include <grp.h>
#include <linux/sched.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/launcher.h"
#include "runtime/readback.h"
#include "runtime/uids.h"
#include "tests/bench/clerk.h"

enum phase {
	CGROUP,
	PREPARE,
	CLONE,
	MAPS,
	NAMES,
	ENTER,
	FORK,
	ATTRIBUTES,
	IDENTITY,
	LANDLOCK,
	SECCOMP,
	EXEC,
	TEARDOWN,
	READBACK,
	UNCGROUP,
	PHASES,
	WHOLE = PHASES,
};

static const char *const names[PHASES] = {
	[CGROUP] = "cgroups: find, make, limit",
	[PREPARE] = "mounts: prepare (detached)",
	[CLONE] = "clone3, seven namespaces",
	[MAPS] = "id maps, oom_score_adj",
	[NAMES] = "cgroups, ids, names, lo",
	[ENTER] = "mounts: enter, pivot",
	[FORK] = "fork of the workload",
	[ATTRIBUTES] = "attributes, rlimits",
	[IDENTITY] = "ids, capabilities, securebits",
	[LANDLOCK] = "Landlock",
	[SECCOMP] = "seccomp filter",
	[EXEC] = "exec and run of /bin/true",
	[TEARDOWN] = "namespaces' end",
	[READBACK] = "read-back",
	[UNCGROUP] = "cgroups: remove",
};

static uint64_t took[PHASES + 1][ROUNDS];
static uint64_t *inside; /* of this round, shared with the processes inside */

/* The time since the last call, in this process or the one that forked it. */
static uint64_t lap(uint64_t *since)
{
	uint64_t now = now_ns(), passed = now - *since;

	*since = now;
	return passed;
}

/* ---- inside ---------------------------------------------------------------------- */

static void check(enum runtime_status s, const struct runtime_error *e)
{
	if (s != RUNTIME_OK)
		runtime_failed(e);
}

static _Noreturn void workload(const struct policy_plan *plan, const struct mounts *m)
{
	const struct policy_process *p = &plan->process;
	struct confine_report r = { 0 };
	struct runtime_error e;
	uint64_t at = now_ns();

	check(confine_attributes(p, &r, &e), &e);
	check(confine_rlimits(p->rlimits, p->n_rlimits, false, &r, &e), &e);
	inside[ATTRIBUTES] = lap(&at);
	check(confine_identity(p->uid, p->gid, p->groups, p->n_groups, p->caps, true, &r, &e),
	      &e);
	inside[IDENTITY] = lap(&at);
	check(confine_files(plan, m->tmpfs[0], -1, &r, &e), &e);
	inside[LANDLOCK] = lap(&at);
	if (close_range(3, ~0u, CLOSE_RANGE_CLOEXEC) < 0 || confine_calls(plan) != 0)
		die("seccomp");
	inside[SECCOMP] = lap(&at);
	inside[EXEC] = at;
	execve(p->argv[0], p->argv, p->env);
	_exit(127);
}

static void take_names(void)
{
	struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int net = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	umask(0);
	if (setresgid(0, 0, 0) < 0 || setgroups(0, NULL) < 0 || setresuid(0, 0, 0) < 0 ||
	    unshare(CLONE_NEWCGROUP) < 0 || sethostname("sandbox", 7) < 0 ||
	    setdomainname("", 0) < 0 || ioctl(net, SIOCSIFFLAGS, &lo) < 0)
		die("names");
	close(net);
}

static _Noreturn void first_process(const struct policy_plan *plan,
				    const struct mounts_ids *ids, struct mounts *m,
				    struct cgroup_entry *cg, int go)
{
	struct runtime_error e;
	int master, slave, status;
	uint64_t at;
	pid_t pid;
	char byte;

	if (read(go, &byte, 1) != 1)
		die("go");
	at = now_ns();
	if (!cgroup_enter(cg))
		die("cgroup");
	cgroup_close(cg);
	take_names();
	inside[NAMES] = lap(&at);
	check(mounts_enter(plan, ids, m, false, &master, &slave, &e), &e);
	inside[ENTER] = lap(&at);
	pid = fork();
	if (pid == 0)
		workload(plan, m);
	inside[FORK] = lap(&at);
	if (pid < 0 || waitpid(pid, &status, 0) < 0 || status != 0)
		die("workload");
	inside[TEARDOWN] = now_ns();
	inside[EXEC] = inside[TEARDOWN] - inside[EXEC];
	_exit(0);
}

/* ---- around it ------------------------------------------------------------------- */

static void write_to(pid_t pid, const char *name, const char *text)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		die(path);
	close(fd);
}

static void place(pid_t pid, const struct mounts_ids *ids)
{
	char map[64];

	snprintf(map, sizeof(map), "0 %u 65536\n", ids->first);
	write_to(pid, "uid_map", map);
	write_to(pid, "gid_map", map);
	write_to(pid, "oom_score_adj", "1000");
}

/* All but what needs a tracer. */
static void steps(const struct launcher_spec *spec, size_t round)
{
	const struct policy_plan *plan = spec->plan;
	struct clone_args args = {
		.flags = (plan->namespaces & ~(uint64_t)CLONE_NEWCGROUP) | CLONE_CLEAR_SIGHAND,
		.exit_signal = SIGCHLD,
	};
	struct runtime_error e;
	struct cgroup_entry cg;
	struct mounts m;
	int go[2], status;
	uint64_t at;
	long pid;

	memset(inside, 0, sizeof(inside[0]) * PHASES);
	if (pipe2(go, O_CLOEXEC) < 0)
		die("pipe");
	at = now_ns();
	check(mounts_prepare(plan, &spec->ids, &m, &e), &e);
	inside[PREPARE] = lap(&at);
	check(cgroup_open(spec->cgroup, &cg, &e), &e);
	if (cg.into >= 0) {
		args.flags |= CLONE_INTO_CGROUP;
		args.cgroup = (uint64_t)cg.into;
	}
	pid = syscall(SYS_clone3, &args, sizeof(args));
	if (pid == 0)
		first_process(plan, &spec->ids, &m, &cg, go[0]);
	cgroup_close(&cg);
	inside[CLONE] = lap(&at);
	if (pid < 0)
		die("clone3");
	place((pid_t)pid, &spec->ids);
	inside[MAPS] = lap(&at);
	if (write(go[1], "", 1) != 1 || waitpid((pid_t)pid, &status, 0) < 0 || status != 0)
		die("steps");
	/* The mounts' end is part of it: these are the last references. */
	mounts_close(&m);
	inside[TEARDOWN] = now_ns() - inside[TEARDOWN];
	close(go[0]);
	close(go[1]);
	for (size_t i = PREPARE; i <= TEARDOWN; i++)
		took[i][round] = inside[i];
}

static void run_to_end(struct launcher *l)
{
	struct pollfd p = { .fd = l->sigchld, .events = POLLIN };
	struct signalfd_siginfo info;

	while (!tracer_empty(&l->tracer)) {
		(void)poll(&p, 1, -1);
		while (read(l->sigchld, &info, sizeof(info)) > 0)
			;
		tracer_pump(&l->tracer);
	}
	launcher_end(l);
}

/* The real thing; its read-back is made twice and the second one timed. */
static void whole(const struct launcher_spec *spec, size_t round)
{
	struct readback_host here;
	struct runtime_error e;
	struct launcher l;
	uint64_t at, sum;

	check(readback_here(&here, &e), &e);
	at = now_ns();
	check(launcher_create(spec, &l, &e), &e);
	sum = lap(&at);
	check(readback_workload(l.workload_pid, spec, &here, &e), &e);
	took[READBACK][round] = lap(&at);
	check(launcher_check(&l, &e), &e);
	launcher_start(&l);
	run_to_end(&l);
	took[WHOLE][round] = sum + lap(&at);
}

static void one_round(struct launcher_spec *spec, size_t round)
{
	struct cgroup cg = { .n = 0 };
	uint8_t id[SESSION_ID_BYTES];
	struct runtime_error e;
	uint64_t at;

	if (getrandom(id, sizeof(id), 0) != (ssize_t)sizeof(id))
		die("getrandom");
	at = now_ns();
	check(cgroup_find(CGROUP_ALL, false, id, &cg, &e), &e);
	check(cgroup_make(&cg, &spec->plan->limits, &e), &e);
	took[CGROUP][round] = lap(&at);
	spec->cgroup = &cg;
	steps(spec, round);
	whole(spec, round);
	at = now_ns();
	for (size_t i = 0; i < cg.n; i++)
		check(cgroup_remove(cg.dirs[i].path, &e), &e);
	took[UNCGROUP][round] = lap(&at);
	took[WHOLE][round] += took[CGROUP][round] + took[UNCGROUP][round];
	spec->cgroup = NULL;
}

static double phase_ms(size_t phase)
{
	double ms[ROUNDS];

	for (size_t i = 0; i < ROUNDS; i++)
		ms[i] = (double)took[phase][i] / 1e6;
	return median(ms, ROUNDS);
}

static void report(void)
{
	double all = phase_ms(WHOLE), rest = all;

	printf("\n%-34s %9s %9s   of a launch with cgroups, %d rounds\n", "where the time goes",
	       "ms", "share", ROUNDS);
	for (size_t i = 0; i < PHASES; i++) {
		printf("%-34s %9.3f %8.1f%%\n", names[i], phase_ms(i), phase_ms(i) / all * 100);
		row("phases", names[i], phase_ms(i), "ms", "whole launch", all);
		rest -= phase_ms(i);
	}
	printf("%-34s %9.3f %8.1f%%\n%-34s %9.3f\n", "the rest: tracing, messages, waiting",
	       rest, rest / all * 100, "whole launch", all);
	row("phases", "the rest: tracing, messages, waiting", rest, "ms", "whole launch", all);
}

static struct policy_plan *read_plan(const char *path)
{
	static uint8_t bytes[1 << 16];
	struct policy_plan *plan = NULL;
	struct policy_error e = { 0 };
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, bytes, sizeof(bytes));

	if (n < 0 || policy_plan_decode(bytes, (size_t)n, &plan, &e) != POLICY_OK)
		die(path);
	close(fd);
	return plan;
}

int main(int argc, char **argv)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC), lock;
	struct launcher_spec spec = { .stdio = { null, null, null }, .ids = { .range = true } };
	struct policy_plan *plan;
	struct runtime_error e;
	sigset_t block;

	sigemptyset(&block);
	sigaddset(&block, SIGCHLD);
	inside = mmap(NULL, sizeof(inside[0]) * PHASES, PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (argc != 2 || null < 0 || inside == MAP_FAILED ||
	    sigprocmask(SIG_BLOCK, &block, NULL) < 0)
		return 2;
	plan = read_plan(argv[1]);
	spec.plan = plan;
	check(uids_reserve(&lock, &spec.ids.first, &e), &e);
	for (size_t round = 0; round < ROUNDS; round++)
		one_round(&spec, round);
	report();
	policy_plan_free(plan);
	return 0;
}
