/*
 * tests/runtime/test_crash.c - kill -9 of keeper, clerk, command, first process and
 * workload, and of pairs of them, at every point of a session: what `cordon status` says
 * next is true, and `cordon recover` leaves nothing of it behind.
 *
 * Drives the programs of the fault build (make VARIANT=fault programs), which stop where
 * CORDON_FAULT says. By default each process dies once at every point, and pairs, an
 * ordinary user and detached sessions take turns, by a seed that is printed and that
 * CORDON_SEED sets; CORDON_SOAK=1 goes through all of it, and kills at random 1,000 times.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/random.h>

#include "policy/policy.h"
#include "tests/runtime/crash.h"

#define WORKERS 4

static char bin[64]; /* copies of the programs, for every user to reach */
static uint64_t seed;
static bool soak, built;

/* splitmix64: enough, and the same everywhere. */
static uint64_t roll(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

/* ---- the points of a session -------------------------------------------------------- */

struct point {
	const char *name;
	unsigned stops;  /* who stands there */
	unsigned exists; /* whom a test can kill there */
	bool ran;        /* the workload's first instruction may have come */
	bool ends;       /* the workload has ended by itself */
};

#define EARLY (KEEPER | CLERK | CLI)
#define ALL (EARLY | INIT | WORKLOAD)

static const struct point points[] = {
	/* clang-format off */
	{ "run.planned",   CLI,      CLERK | CLI,  false, false },
	{ "run.spawned",   CLI,      EARLY,        false, false },
	{ "run.ordered",   CLI,      EARLY,        true,  false },
	{ "begun",         KEEPER,   EARLY,        false, false },
	{ "noted",         KEEPER,   EARLY,        false, false },
	{ "limited",       KEEPER,   EARLY,        false, false },
	{ "cloned",        KEEPER,   EARLY | INIT, false, false },
	{ "placed",        KEEPER,   EARLY | INIT, false, false },
	{ "inside.begun",  INIT,     EARLY | INIT, false, false },
	{ "inside.built",  INIT,     EARLY | INIT, false, false },
	{ "inside.ready",  WORKLOAD, ALL,          false, false },
	{ "built",         KEEPER,   ALL,          false, false },
	{ "held",          KEEPER,   ALL,          false, false },
	{ "prepared",      KEEPER,   ALL,          false, false },
	{ "inside.start",  WORKLOAD, ALL,          false, false },
	{ "started",       KEEPER,   ALL,          true,  false },
	{ "running",       KEEPER,   ALL,          true,  false },
	{ "stopping",      KEEPER,   ALL,          true,  false },
	{ "gone",          KEEPER,   EARLY,        true,  true },
	{ "scrubbing",     KEEPER,   EARLY,        true,  true },
	{ "cleaned",       KEEPER,   EARLY,        true,  true },
	{ "final",         KEEPER,   EARLY,        true,  true },
	/* clang-format on */
};
#define POINTS (sizeof(points) / sizeof(points[0]))

static const unsigned singles[] = { KEEPER, CLERK, CLI, INIT, WORKLOAD };
static const unsigned pairs[] = {
	KEEPER | CLERK, KEEPER | CLI,  KEEPER | INIT,  KEEPER | WORKLOAD, CLERK | CLI,
	CLERK | INIT,   CLERK | WORKLOAD, CLI | INIT,  CLI | WORKLOAD,    INIT | WORKLOAD,
};

static void say_victims(unsigned victims, char *to, size_t size)
{
	static const char *const names[] = { "keeper", "clerk", "cli", "init", "workload" };
	size_t at = 0;

	to[0] = 0;
	for (unsigned i = 0; i < 5; i++)
		if (victims & (1u << i))
			at += (size_t)snprintf(to + at, size - at, "%s%s", at ? "+" : "", names[i]);
}

struct scenario {
	const struct point *point;
	unsigned victims;
	bool user, detached;
};

/* ---- starting and killing ------------------------------------------------------------ */

static void start_run(struct world *w, const char *fault, bool detached, const char *script)
{
	char *argv[] = { (char[]){ "cordon" },	(char[]){ "--root" }, w->root,
			 (char[]){ "run" },	(char[]){ "--detach" }, (char[]){ "--" },
			 (char[]){ "/bin/sh" }, (char[]){ "-c" },
			 (char *)(uintptr_t)script, NULL };

	if (!detached)
		memmove(argv + 4, argv + 5, 5 * sizeof(argv[0]));
	w->cli = start(w, fault, "out", argv);
}

static void kill_each(struct world *w, unsigned victims)
{
	struct pollfd gone[5];

	for (unsigned i = 0; i < 5; i++) {
		gone[i] = (struct pollfd){ .fd = -1, .events = POLLIN };
		if (victims & 1u << i)
			gone[i].fd = pidfd_open(*role(w, 1u << i), 0);
		must(w, gone[i].fd >= 0 || !(victims & 1u << i), "no such victim: %m");
	}
	for (unsigned i = 0; i < 5; i++) {
		if (gone[i].fd < 0)
			continue;
		/* One that is gone already died with another one. */
		must(w, pidfd_send_signal(gone[i].fd, SIGKILL, NULL, 0) == 0 || errno == ESRCH,
		     "cannot kill a victim: %m");
		/* What is traced by a process that stands still dies only after it. */
		if (!((INIT | WORKLOAD) & 1u << i))
			must(w, poll(&gone[i], 1, 5000) == 1, "a victim does not die");
		close(gone[i].fd);
	}
}

/* ---- what must be true ----------------------------------------------------------------- */

static enum session_state state_by_name(const char *name)
{
	for (int s = 0; s < SESSION_STATES; s++)
		if (strcmp(session_state_str((enum session_state)s), name) == 0)
			return (enum session_state)s;
	return SESSION_STATES;
}

/* Right after the victims' death. */
static void status_is_true(struct world *w, bool keeper_died, unsigned victims)
{
	static struct journal before, after;
	bool was = read_session(w, &before), is;
	enum session_state from, to, shown;
	struct seen seen;

	status(w, &seen);
	is = read_session(w, &after);
	if (!seen.there) {
		must(w, !was, "status hides the session");
		return;
	}
	from = was ? journal_state(&before) : SESSION_NONE;
	to = is ? journal_state(&after) : SESSION_NONE;
	shown = state_by_name(seen.state);
	must(w, strstr(seen.assurance, "wiped") == NULL && strstr(seen.assurance, "veri") == NULL &&
			shown != SESSION_CLEAN,
	     "status claims %s, %s", seen.state, seen.assurance);
	must(w, !keeper_died || !seen.keeper_alive, "status thinks that a dead keeper lives");
	if (!keeper_died || session_final(to)) {
		must(w, (shown >= from && shown <= to) || (!seen.keeper_alive && !keeper_died),
		     "status says %s, the journal went from %s to %s", seen.state,
		     session_state_str(from), session_state_str(to));
		return;
	}
	must(w, seen.note[0] || !is, "status says %s and not why", seen.state);
	if (to == SESSION_NONE)
		must(w, shown == (is ? SESSION_STOPPING : SESSION_NONE),
		     "status says %s of what had only begun", seen.state);
	else if (victims & CLERK)
		must(w, shown == SESSION_LOST, "status says %s, and nothing holds it", seen.state);
	else
		must(w, shown == SESSION_STOPPING && seen.held > 0,
		     "status says %s, %d held", seen.state, seen.held);
}

/* Nothing of the tenant goes on. */
static void tenant_gone(struct world *w, int64_t ms)
{
	int64_t until = now_ms() + ms;

	while (alive(w->init) || alive(w->workload)) {
		must(w, now_ms() < until, "the workload outlived its end by %d ms", (int)ms);
		pause_us(1000);
	}
}

static void keeper_ends(struct world *w)
{
	int64_t until = now_ms() + 10000;

	while (alive(w->keeper)) {
		must(w, now_ms() < until, "the keeper does not come to an end");
		pause_us(1000);
	}
}

/* RUNNING, and a clerk holds its descriptors. */
static void goes_on(struct world *w)
{
	int64_t until = now_ms() + 10000;
	struct seen seen;

	do {
		status(w, &seen);
		must(w, now_ms() < until, "it should go on, and is %s with %d held", seen.state,
		     seen.held);
	} while (strcmp(seen.state, "RUNNING") != 0 || seen.held == 0);
	find_all(w);
	must(w, alive(w->workload), "RUNNING, and no workload");
}

static void stop_it(struct world *w)
{
	const char *const words[] = { "stop", "--grace", "1s", w->hex, NULL };
	char answer[512];

	must(w, find_session(w), "no session to stop");
	must(w, cordon(w, answer, sizeof(answer), words) == 0, "stop: %s", answer);
	must(w, strstr(answer, "QUARANTINED"), "stop says %s", answer);
}

/* `mends`: how many sessions there are to mend; -1: does not matter. */
static void recover(struct world *w, int mends)
{
	static const char *const words[] = { "recover", "--json", NULL };
	char answer[8192];
	int exit_status = cordon(w, answer, sizeof(answer), words);
	json_t *whole = json_loads(answer, 0, NULL);
	int n = (int)json_array_size(json_object_get(whole, "sessions"));

	json_decref(whole);
	must(w, whole && exit_status == 0, "recover: exit %d, %s", exit_status, answer);
	must(w, mends < 0 || n == mends, "recover mended %d, not %d: %s", n, mends, answer);
}

/* Ended, and in words that do not pretend. */
static const struct journal *ended_truly(struct world *w, enum session_state wanted)
{
	static struct journal j;
	const struct journal_state *last;
	struct seen seen;

	status(w, &seen);
	must(w, read_session(w, &j) == seen.there, "status and folder differ");
	if (!seen.there)
		return NULL;
	last = &j.states[j.n_states - 1];
	must(w, j.n_states > 0 && strcmp(seen.state, session_state_str(journal_state(&j))) == 0,
	     "status says %s", seen.state);
	must(w, journal_state(&j) == wanted || (wanted == SESSION_NONE &&
						(journal_state(&j) == SESSION_LOST ||
						 journal_state(&j) == SESSION_QUARANTINED)),
	     "it ended %s: %s", seen.state, last->why);
	must(w, strstr(last->why, "nothing was wiped"), "its end says: %s", last->why);
	must(w, strcmp(seen.assurance, "none/none") == 0, "its assurance is %s", seen.assurance);
	must(w, seen.held == 0, "%d descriptors are held", seen.held);
	return &j;
}

/* ---- one scenario ---------------------------------------------------------------------------- */

/* What `cordon run` ends with; -1: it was killed. */
static bool exit_is_right(const struct scenario *s, int got)
{
	const struct point *p = s->point;
	bool told = p->ran && (s->detached && strcmp(p->name, "started") != 0 &&
			       strcmp(p->name, "running") != 0 && p->stops == KEEPER);

	if (told)
		return got == 0; /* it had ended before */
	if (s->victims & KEEPER)
		return got == 125;
	if (s->victims & (INIT | WORKLOAD)) {
		int killed = s->detached ? 0 : 137;

		if (!p->ran) /* the first process takes the workload along when its keeper lets it */
			return got == 125 || (got == killed && !(s->victims & WORKLOAD) &&
					      (p->exists & WORKLOAD));
		return got == killed || (got == 143 && strcmp(p->name, "stopping") == 0);
	}
	return s->detached ? got == 0 : p->ends ? got == 3 : got == 143;
}

static pid_t start_stop(struct world *w)
{
	char *argv[] = { (char[]){ "cordon" }, (char[]){ "--root" }, w->root, (char[]){ "stop" },
			 w->hex, NULL };

	return start(w, NULL, "stop", argv);
}

static bool session_is_over(const struct scenario *s)
{
	if (s->point->ends || strcmp(s->point->name, "stopping") == 0)
		return true;
	if (s->victims & (KEEPER | INIT | WORKLOAD))
		return true;
	return (s->victims & CLI) && !(s->detached && (s->point->stops != CLI ||
						       strcmp(s->point->name, "run.ordered") == 0));
}

static enum session_state expected_end(struct world *w, const struct scenario *s, bool *ret_mends)
{
	static struct journal j;
	enum session_state now = read_session(w, &j) ? journal_state(&j) : SESSION_NONE;

	*ret_mends = (s->victims & KEEPER) && find_session(w) && !session_final(now);
	return *ret_mends && (s->victims & CLERK) && now != SESSION_NONE ? SESSION_LOST
									  : SESSION_QUARANTINED;
}

/* Up to the moment at which everybody stands where the scenario wants them. */
static pid_t bring_to_point(struct world *w, const struct scenario *s)
{
	const struct point *p = s->point;
	bool stopping = strcmp(p->name, "stopping") == 0;
	int64_t until = now_ms() + 10000;
	pid_t stopper = 0;
	struct seen seen;

	start_run(w, p->name, s->detached, p->ends ? "exit 3" : "sleep 1000; exit 4");
	do {
		if (!stopping)
			break;
		status(w, &seen);
		must(w, now_ms() < until, "it does not run: %s", seen.state);
	} while (strcmp(seen.state, "RUNNING") != 0);
	if (stopping) {
		must(w, find_session(w), "no session to stop");
		find_all(w);
		stopper = start_stop(w);
	}
	await_stopped(w, p->stops);
	return stopper;
}

static void play(struct world *w, const struct scenario *s)
{
	pid_t stopper = bring_to_point(w, s);
	bool mends, keeper_died = s->victims & KEEPER;
	enum session_state end;

	for (unsigned i = 0; i < 5; i++)
		must(w, !(s->victims & 1u << i) || alive(*role(w, 1u << i)), "no such victim");
	find_session(w);
	kill_each(w, s->victims);
	for (unsigned i = 0; i < 5; i++)
		if (s->point->stops == 1u << i && !(s->victims & 1u << i))
			(void)kill(*role(w, 1u << i), SIGCONT); /* its end may have come with its keeper's */
	status_is_true(w, keeper_died, s->victims);
	if (session_is_over(s)) {
		find_all(w);
		tenant_gone(w, 2000);
		keeper_ends(w);
	} else {
		goes_on(w);
		stop_it(w);
	}
	if (s->victims & CLI) {
		(void)finish(w, w->cli, 1000, "a killed command");
	} else {
		int got = finish(w, w->cli, 15000, "cordon run");

		must(w, exit_is_right(s, got), "cordon run ended with %d", got);
	}
	if (stopper)
		(void)finish(w, stopper, 15000, "cordon stop");
	end = expected_end(w, s, &mends);
	recover(w, mends);
	recover(w, 0);
	nothing_left(w, ended_truly(w, end));
}

/* ---- many of them ----------------------------------------------------------------------------- */

struct job {
	void (*run)(struct world *w, const void *arg);
	const void *arg;
	bool user;
	char name[160];
};

static void work(const struct job *job)
{
	static struct world w;

	snprintf(w.name, sizeof(w.name), "%s", job->name);
	world_make(&w, bin, job->user);
	job->run(&w, job->arg);
	world_remove(&w);
	exit(0);
}

/* Several at a time: most of a crash is waiting. */
static void run_jobs(const struct job *jobs, size_t n)
{
	size_t next = 0, busy = 0, failed = 0;
	int st;

	while (next < n || busy > 0) {
		if (next < n && busy < WORKERS) {
			pid_t pid;

			fflush(NULL);
			pid = fork();
			assert_true(pid >= 0);
			if (pid == 0)
				work(&jobs[next]);
			next++;
			busy++;
			continue;
		}
		assert_true(wait(&st) > 0);
		busy--;
		failed += st != 0;
	}
	print_message("%zu crashes, %zu not as they should be\n", n, failed);
	assert_int_equal(failed, 0);
}

static void run_scenario(struct world *w, const void *arg)
{
	play(w, arg);
}

#define SCENARIOS_MAX 2048

struct list {
	struct scenario scenarios[SCENARIOS_MAX];
	struct job jobs[SCENARIOS_MAX];
	size_t n;
};

static void add(struct list *l, struct scenario s)
{
	struct job *job = &l->jobs[l->n];
	char victims[64];

	assert_true(l->n < SCENARIOS_MAX);
	l->scenarios[l->n] = s;
	say_victims(s.victims, victims, sizeof(victims));
	*job = (struct job){ .run = run_scenario, .arg = &l->scenarios[l->n], .user = s.user };
	snprintf(job->name, sizeof(job->name), "%s dies at %s, %s, %s", victims, s.point->name,
		 s.user ? "user" : "root", s.detached ? "detached" : "foreground");
	l->n++;
}

/* Where a command that starts a detached session still is. */
static bool possible(const struct point *p, unsigned victims, bool detached)
{
	bool cli_left = detached && p->ran && p->stops == KEEPER &&
			strcmp(p->name, "started") != 0 && strcmp(p->name, "running") != 0;

	return (victims & p->exists) == victims && !(cli_left && (victims & CLI));
}

/* Every point with every set of victims; of all that only every `share`-th. */
static void add_table(struct list *l, const unsigned *victims, size_t n, bool user, bool detached,
		      unsigned share)
{
	uint64_t at = roll(&seed);

	for (size_t p = 0; p < POINTS; p++)
		for (size_t v = 0; v < n; v++)
			if (possible(&points[p], victims[v], detached) && at++ % share == 0)
				add(l, (struct scenario){ .point = &points[p],
							  .victims = victims[v],
							  .user = user,
							  .detached = detached });
}

static void need_programs(void)
{
#ifdef __SANITIZE_ADDRESS__
	print_message("drives the fault build, which the release tests do\n");
	skip();
#endif
	if (built)
		return;
	print_message("no fault build: make VARIANT=fault programs\n");
	skip();
}

static void need_root(void)
{
	need_programs();
	if (geteuid() == 0)
		return;
	print_message("only root can start root's sessions\n");
	skip();
}

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
static struct list list;

static void each_process_dies_at_every_point(void **state)
{
	(void)state;
	need_root();
	list.n = 0;
	add_table(&list, singles, COUNT(singles), false, false, 1);
	run_jobs(list.jobs, list.n);
}

static void pairs_die_at_every_point(void **state)
{
	(void)state;
	need_root();
	list.n = 0;
	add_table(&list, pairs, COUNT(pairs), false, false, soak ? 1 : 4);
	run_jobs(list.jobs, list.n);
}

static void detached_sessions_die_as_well(void **state)
{
	(void)state;
	need_root();
	list.n = 0;
	add_table(&list, singles, COUNT(singles), false, true, soak ? 1 : 3);
	add_table(&list, pairs, COUNT(pairs), false, true, soak ? 1 : 10);
	run_jobs(list.jobs, list.n);
}

static void an_ordinary_users_sessions_die_as_well(void **state)
{
	(void)state;
	need_programs();
	list.n = 0;
	add_table(&list, singles, COUNT(singles), true, false, soak ? 1 : 2);
	add_table(&list, pairs, COUNT(pairs), true, false, soak ? 1 : 10);
	add_table(&list, singles, COUNT(singles), true, true, soak ? 1 : 6);
	add_table(&list, pairs, COUNT(pairs), true, true, soak ? 1 : 20);
	run_jobs(list.jobs, list.n);
}

/* ---- recovery itself, and the clerk, die ------------------------------------------------------- */

/* A detached session that runs. */
static void run_detached(struct world *w, const char *script)
{
	const char *const words[] = { "run", "--detach", "--", "/bin/sh", "-c", script, NULL };
	char answer[256];
	struct seen seen;
	int got = cordon(w, answer, sizeof(answer), words);

	must(w, got == 0 && strlen(answer) == SESSION_ID_HEX, "run: exit %d, %s", got, answer);
	snprintf(w->hex, sizeof(w->hex), "%.32s", answer);
	status(w, &seen);
	w->keeper = seen.keeper;
	w->init = w->workload = 0;
	find_all(w);
}

struct recovery {
	const char *point;
	unsigned with; /* dies before recovery, together with the keeper */
	unsigned then; /* dies together with recovery */
};

static void recovery_dies(struct world *w, const void *arg)
{
	char *argv[] = { (char[]){ "cordon" }, (char[]){ "--root" }, w->root,
			 (char[]){ "recover" }, NULL };
	const struct recovery *r = arg;
	static struct journal j;
	bool lost, moved;

	run_detached(w, "sleep 1000");
	kill_each(w, KEEPER | r->with);
	w->cli = start(w, r->point, "out", argv);
	await_stopped(w, CLI);
	kill_each(w, CLI | r->then);
	status_is_true(w, true, r->with | r->then);
	tenant_gone(w, 2000);
	moved = read_session(w, &j) && session_final(journal_state(&j));
	lost = moved ? journal_state(&j) == SESSION_LOST : (r->with | r->then) & CLERK;
	recover(w, !moved);
	recover(w, 0);
	nothing_left(w, ended_truly(w, lost ? SESSION_LOST : SESSION_QUARANTINED));
}

/* Whoever comes second says so and touches nothing. */
static void recovery_waits_for_recovery(struct world *w, const void *arg)
{
	static const char *const words[] = { "recover", NULL };
	char *argv[] = { (char[]){ "cordon" }, (char[]){ "--root" }, w->root,
			 (char[]){ "recover" }, NULL };
	char answer[512];

	(void)arg;
	run_detached(w, "sleep 1000");
	kill_each(w, KEEPER);
	w->cli = start(w, "recover.taken", "out", argv);
	await_stopped(w, CLI);
	must(w, cordon(w, answer, sizeof(answer), words) == 3, "the second one says: %s", answer);
	must(w, kill(w->cli, SIGCONT) == 0 && finish(w, w->cli, 5000, "the first one") == 0,
	     "the first one failed");
	recover(w, 0);
	nothing_left(w, ended_truly(w, SESSION_QUARANTINED));
}

static void two_recoveries_at_once(struct world *w, const void *arg)
{
	char *argv[] = { (char[]){ "cordon" }, (char[]){ "--root" }, w->root,
			 (char[]){ "recover" }, NULL };
	char hex[4][SESSION_ID_HEX];
	static struct journal last;
	pid_t both[2];

	(void)arg;
	for (int i = 0; i < 4; i++) {
		run_detached(w, "sleep 1000");
		kill_each(w, KEEPER);
		memcpy(hex[i], w->hex, sizeof(hex[i]));
	}
	for (int i = 0; i < 2; i++)
		both[i] = start(w, NULL, "out", argv);
	for (int i = 0; i < 2; i++)
		must(w, finish(w, both[i], 10000, "recover") == 0, "one of two failed");
	recover(w, 0);
	for (int i = 0; i < 4; i++) {
		memcpy(w->hex, hex[i], sizeof(hex[i]));
		last = *ended_truly(w, SESSION_QUARANTINED);
		no_cgroup_left(w, &last);
	}
	nothing_left(w, &last);
}

/* Not even when its keeper stands still. */
static void recovery_leaves_the_living_alone(struct world *w, const void *arg)
{
	(void)arg;
	run_detached(w, "sleep 1000");
	recover(w, 0);
	goes_on(w);
	must(w, kill(w->keeper, SIGSTOP) == 0, "no keeper: %m");
	recover(w, 0);
	must(w, kill(w->keeper, SIGCONT) == 0, "no keeper: %m");
	goes_on(w);
	stop_it(w);
	recover(w, 0);
	recover(w, 0);
	nothing_left(w, ended_truly(w, SESSION_QUARANTINED));
}

static void start_clerk(struct world *w, const char *fault)
{
	char *argv[] = { (char[]){ "cordon-clerk" }, (char[]){ "--root" }, w->root,
			 (char[]){ "--foreground" }, (char[]){ "--idle" }, (char[]){ "1" }, NULL };

	w->clerk = start(w, fault, "out", argv);
}

/* A session that ends by itself, and the clerk dies on the way. */
static void clerk_dies(struct world *w, const void *arg)
{
	const char *point = arg;
	bool at_start = strcmp(point, "clerk.locked") == 0 || strcmp(point, "clerk.listening") == 0;
	int got;

	start_clerk(w, point);
	if (at_start) {
		await_stopped(w, CLERK);
		kill_each(w, CLERK);
	}
	pause_us(at_start ? 0 : 50000); /* it listens before somebody starts another one */
	start_run(w, NULL, false, "exit 3");
	if (!at_start) {
		await_stopped(w, CLERK);
		status_is_true(w, false, 0);
		kill_each(w, CLERK);
	}
	got = finish(w, w->cli, 15000, "cordon run");
	/* Before all is held a session may be refused, not be left half held. */
	must(w, got == 3 || (got == 125 && strcmp(point, "clerk.hold") == 0),
	     "cordon run ended with %d", got);
	recover(w, 0);
	recover(w, 0);
	nothing_left(w, ended_truly(w, SESSION_QUARANTINED));
}

static void an_idle_clerk_ends(struct world *w, const void *arg)
{
	(void)arg;
	start_clerk(w, NULL);
	pause_us(50000);
	run_detached(w, "exit 3");
	keeper_ends(w);
	recover(w, 0);
	must(w, finish(w, w->clerk, 10000, "an idle clerk") == 0, "it did not end well");
	w->clerk = 0;
	nothing_left(w, ended_truly(w, SESSION_QUARANTINED));
}

/* A clerk that does not answer is not one that died: nothing may be called lost. */
static void a_silent_clerk_loses_nothing(struct world *w, const void *arg)
{
	static const char *const words[] = { "recover", NULL };
	char answer[512];
	struct seen seen;
	int got;

	(void)arg;
	run_detached(w, "sleep 1000");
	must(w, kill(w->clerk, SIGSTOP) == 0, "no clerk: %m");
	kill_each(w, KEEPER);
	tenant_gone(w, 2000);
	status(w, &seen);
	must(w, strcmp(seen.state, "STOPPING") == 0, "status says %s: %s", seen.state, seen.note);
	got = cordon(w, answer, sizeof(answer), words);
	must(w, got == 3, "recover: exit %d, %s", got, answer);
	must(w, kill(w->clerk, SIGCONT) == 0, "no clerk: %m");
	recover(w, 1);
	recover(w, 0);
	nothing_left(w, ended_truly(w, SESSION_QUARANTINED));
}

/* ---- journals that no crash of ours makes -------------------------------------------------------- */

struct old_journal {
	bool other_boot, torn, full;
	enum session_state end;
};

static void note_innocent(struct world *w, struct journal_writer *j, pid_t innocent, bool boot)
{
	char text[64];

	/* Of another boot the start time may well be the same. */
	snprintf(text, sizeof(text), "%d %llu", innocent,
		 (unsigned long long)process_start_time(innocent) + !boot);
	must(w, journal_note(j, "init", text, NULL) == RUNTIME_OK, "cannot note");
}

static void tear(struct world *w, const struct journal_begin *b)
{
	static const char cut[100] = "CRDNJRNL and then the power went";
	char path[160], hex[SESSION_ID_HEX];
	static struct journal j;
	int fd;

	session_id_hex(b->id, hex);
	must(w, read_session(w, &j), "no journal");
	snprintf(path, sizeof(path), "%s/sessions/%s.journal", w->root, hex);
	fd = open(path, O_RDWR | O_CLOEXEC);
	must(w, fd >= 0 && pwrite(fd, cut, sizeof(cut), (off_t)(j.slots_used * JOURNAL_SLOT)) ==
				   sizeof(cut),
	     "cannot tear it");
	close(fd);
}

static void an_old_journal_comes_to_its_end(struct world *w, const void *arg)
{
	const struct old_journal *o = arg;
	struct journal_begin b = { .tenant = "acme",
				   .class = POLICY_CLASS_SANDBOX,
				   .euid = geteuid(),
				   .held = POLICY_HELD_NONE,
				   .kernel = POLICY_KERNEL_NONE };
	struct journal_writer *j = NULL;
	pid_t keeper, innocent = fork();
	struct paths p;

	if (innocent == 0)
		for (;;)
			pause();
	keeper = fork();
	if (keeper == 0)
		_exit(0);
	b.keeper = keeper;
	b.keeper_start = process_start_time(keeper);
	(void)finish(w, keeper, 5000, "a keeper");
	b.id[0] = 0xab;
	b.created = 1;
	must(w, boot_id(b.boot) && paths_open(w->root, true, &p, NULL) == RUNTIME_OK, "no root");
	b.boot[3] ^= o->other_boot;
	must(w, journal_create(p.sessions_fd, &b, &j, NULL) == RUNTIME_OK, "no journal");
	note_innocent(w, j, innocent, o->other_boot);
	must(w, journal_move(j, EV_HELD, "", NULL) == RUNTIME_OK &&
			journal_move(j, EV_START, "", NULL) == RUNTIME_OK,
	     "cannot move it");
	while (o->full && journal_note(j, "limit.x", "y", NULL) == RUNTIME_OK)
		;
	journal_close(j);
	paths_close(&p);
	if (o->torn)
		tear(w, &b);
	status_is_true(w, true, CLERK);
	recover(w, 1);
	recover(w, 0);
	(void)ended_truly(w, SESSION_LOST);
	must(w, alive(innocent), "recover killed somebody else");
	(void)kill(innocent, SIGKILL);
	(void)finish(w, innocent, 5000, "a child");
	nothing_left(w, NULL);
}

static void recovery_is_as_safe_as_it_mends(void **state)
{
	static const struct recovery recoveries[] = {
		{ "recover.locked", 0, 0 },	 { "recover.locked", CLERK, 0 },
		{ "recover.locked", 0, CLERK },	 { "recover.taken", 0, 0 },
		{ "recover.taken", CLERK, 0 },	 { "recover.taken", 0, CLERK },
		{ "recover.killed", 0, 0 },	 { "recover.killed", CLERK, 0 },
		{ "recover.killed", 0, CLERK },	 { "recover.removed", 0, 0 },
		{ "recover.removed", CLERK, 0 }, { "recover.removed", 0, CLERK },
		{ "recover.moved", 0, 0 },	 { "recover.moved", CLERK, 0 },
		{ "recover.moved", 0, CLERK },
	};
	static const char *const clerks[] = { "clerk.locked", "clerk.listening", "clerk.hold",
					      "clerk.over" };
	static const struct old_journal journals[] = {
		{ .other_boot = true }, { .torn = true }, { .full = true },
		{ .other_boot = true, .torn = true, .full = true },
	};
	static const struct {
		void (*run)(struct world *w, const void *arg);
		const char *name;
	} others[] = {
		{ a_silent_clerk_loses_nothing, "a silent clerk" }, /* the longest first */
		{ recovery_waits_for_recovery, "a second recovery" },
		{ two_recoveries_at_once, "two recoveries at once" },
		{ recovery_leaves_the_living_alone, "recovery beside a live session" },
		{ an_idle_clerk_ends, "an idle clerk" },
	};
	static struct job jobs[COUNT(recoveries) + COUNT(clerks) + COUNT(journals) + COUNT(others)];
	size_t n = 0;

	(void)state;
	need_programs();
	for (size_t i = 0; i < COUNT(others); i++, n++) {
		jobs[n] = (struct job){ .run = others[i].run };
		snprintf(jobs[n].name, sizeof(jobs[n].name), "%s", others[i].name);
	}
	for (size_t i = 0; i < COUNT(recoveries); i++, n++) {
		jobs[n] = (struct job){ .run = recovery_dies, .arg = &recoveries[i] };
		snprintf(jobs[n].name, sizeof(jobs[n].name), "recovery dies at %s, %s%s",
			 recoveries[i].point, recoveries[i].with ? "clerk dead" : "",
			 recoveries[i].then ? "with the clerk" : "");
	}
	for (size_t i = 0; i < COUNT(clerks); i++, n++) {
		jobs[n] = (struct job){ .run = clerk_dies, .arg = clerks[i] };
		snprintf(jobs[n].name, sizeof(jobs[n].name), "clerk dies at %s", clerks[i]);
	}
	for (size_t i = 0; i < COUNT(journals); i++, n++) {
		jobs[n] = (struct job){ .run = an_old_journal_comes_to_its_end,
					.arg = &journals[i] };
		snprintf(jobs[n].name, sizeof(jobs[n].name), "old journal %zu", i);
	}
	run_jobs(jobs, n);
}

/* ---- at random ------------------------------------------------------------------------------------ */

static const char *const scripts[] = {
	"sleep 1000",
	"exit 3",
	"while :; do :; done",
	"for i in 1 2 3 4; do (sleep 1000 & sleep 1000) & done; wait",
	"while :; do dd if=/dev/zero of=/tmp/x bs=64k count=16 2>/dev/null; done",
	"trap '' TERM HUP INT; while :; do sleep 0.01; done",
	"while :; do /bin/true; done",
	"yes | head -c 300000; sleep 1000",
};

/* One or two of those that live now. */
static unsigned choose(struct world *w, uint64_t *random)
{
	unsigned living = 0, victims = 0;

	find_all(w);
	for (unsigned i = 0; i < 5; i++)
		if (alive(*role(w, 1u << i)))
			living |= 1u << i;
	for (unsigned tries = 0; living && tries < 1 + roll(random) % 2;) {
		unsigned who = 1u << roll(random) % 5;

		if (!(living & who))
			continue;
		victims |= who;
		tries++;
	}
	return victims;
}

static void kill_at_random(struct world *w, const void *arg)
{
	uint64_t random = *(const uint64_t *)arg;
	bool detached = roll(&random) % 2, mended;
	const char *script = scripts[roll(&random) % COUNT(scripts)];
	const char *const stop[] = { "stop", "--grace", "100ms", w->hex, NULL };
	int64_t until = now_ms() + 20000;
	unsigned victims;
	char answer[512];

	start_run(w, NULL, detached, script);
	/* Most of it happens in the first 30 ms. */
	pause_us((long)(roll(&random) % (roll(&random) % 4 ? 40000 : 200000)));
	victims = choose(w, &random);
	find_session(w);
	kill_each(w, victims);
	mended = victims & KEEPER;
	status_is_true(w, mended, victims);
	find_all(w);
	while (alive(w->keeper)) {
		must(w, now_ms() < until, "the keeper does not come to an end");
		if (find_session(w))
			(void)cordon(w, answer, sizeof(answer), stop);
		find_all(w);
	}
	tenant_gone(w, 2000);
	(void)finish(w, w->cli, 15000, "cordon run");
	recover(w, -1);
	recover(w, 0);
	nothing_left(w, ended_truly(w, SESSION_NONE));
}

static void random_kills_leave_nothing(void **state)
{
	static struct job jobs[1000];
	static uint64_t seeds[COUNT(jobs)];
	size_t n = soak ? COUNT(jobs) : 25;

	(void)state;
	need_programs();
	for (size_t i = 0; i < n; i++) {
		seeds[i] = roll(&seed);
		jobs[i] = (struct job){ .run = kill_at_random,
					.arg = &seeds[i],
					.user = geteuid() != 0 || seeds[i] >> 63 };
		snprintf(jobs[i].name, sizeof(jobs[i].name), "random kill %zu", i);
	}
	run_jobs(jobs, n);
}

/* ---- again and again ------------------------------------------------------------------------------ */

static void start_and_stop(struct world *w, const void *arg)
{
	static const char *const brief[] = { "run", "--", "/bin/true", NULL };
	int cycles = *(const int *)arg, fds = -1;
	static struct journal last;
	char answer[512];

	for (int i = 0; i < cycles; i++) {
		run_detached(w, "sleep 1000");
		goes_on(w);
		stop_it(w);
		keeper_ends(w);
		recover(w, 0);
		last = *ended_truly(w, SESSION_QUARANTINED);
		no_cgroup_left(w, &last);
		must(w, cordon(w, answer, sizeof(answer), brief) == 0, "run: %s", answer);
		if (fds < 0)
			fds = clerk_fds(w);
	}
	must(w, clerk_fds(w) == fds, "the clerk had %d descriptors, and has %d", fds, clerk_fds(w));
	nothing_left(w, &last);
}

static void start_and_stop_leave_nothing(void **state)
{
	static int cycles[2];
	const struct job jobs[] = {
		{ start_and_stop, &cycles[0], geteuid() != 0, "start and stop" },
		{ start_and_stop, &cycles[1], true, "start and stop as a user" },
	};

	(void)state;
	need_programs();
	cycles[0] = soak ? 200 : 10;
	cycles[1] = soak ? 50 : 3;
	run_jobs(jobs, COUNT(jobs));
}

/* ---- setup --------------------------------------------------------------------------------------- */

static bool copy_program(const char *from, const char *name)
{
	char path[PATH_MAX], to[128], bytes[1 << 16];
	ssize_t n = -1;
	int in, out;

	snprintf(path, sizeof(path), "%s/%s", from, name);
	snprintf(to, sizeof(to), "%s/%s", bin, name);
	in = open(path, O_RDONLY | O_CLOEXEC);
	out = open(to, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
	while (in >= 0 && out >= 0 && (n = read(in, bytes, sizeof(bytes))) > 0)
		if (write(out, bytes, (size_t)n) != n)
			break;
	if (in >= 0)
		close(in);
	return out >= 0 && close(out) == 0 && n == 0;
}

static int prepare(void **state)
{
	static const char *const programs[] = { "cordon", "cordon-keeper", "cordon-clerk" };
	const char *from = getenv("CORDON_FAULT_BIN"), *given = getenv("CORDON_SEED");

	(void)state;
	soak = getenv("CORDON_SOAK") != NULL;
	if (given)
		seed = strtoull(given, NULL, 0);
	else if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
		return -1;
	print_message("CORDON_SEED=%llu\n", (unsigned long long)seed);
	umask(022);
	strcpy(bin, "/tmp/cordon-crash-bin-XXXXXX");
	if (prctl(PR_SET_CHILD_SUBREAPER, 1) != 0 || !mkdtemp(bin) || chmod(bin, 0755) != 0)
		return -1;
	built = true;
	for (size_t i = 0; i < COUNT(programs); i++)
		built &= copy_program(from ? from : "build/fault/bin", programs[i]);
	return 0;
}

static int tidy(void **state)
{
	(void)state;
	sweep();
	return nftw(bin, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_process_dies_at_every_point),
		cmocka_unit_test(pairs_die_at_every_point),
		cmocka_unit_test(detached_sessions_die_as_well),
		cmocka_unit_test(an_ordinary_users_sessions_die_as_well),
		cmocka_unit_test(recovery_is_as_safe_as_it_mends),
		cmocka_unit_test(random_kills_leave_nothing),
		cmocka_unit_test(start_and_stop_leave_nothing),
	};

	return cmocka_run_group_tests_name("crash", tests, prepare, tidy);
}
