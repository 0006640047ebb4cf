/*
 * tests/runtime/test_crash.c - kill -9 of keeper, clerk, command, first process and
 * workload, and of pairs of them, at every point of a session: what `cordon status` says
 * next is true, and `cordon recover` leaves nothing of it behind.
 *
 * Drives the programs of the fault build (make VARIANT=fault programs), which stop where
 * CORDON_FAULT says. By default each process dies once at every point, and pairs, an
 * ordinary user and detached sessions take turns, by a seed that is printed and that
 * CORDON_SEED sets; CORDON_SOAK=1 goes through all of it. Afterwards journals, receipts and
 * the audit log must tell the same story (crash_log.h).
 */
#include "tests/runtime/crash_check.h"

/* ---- the points of a session ----------------------------------------------------- */

enum phase {
	BEFORE, /* nothing of the tenant has run */
	RAN,    /* its first instruction may have come */
	TOLD,   /* and a detached session's command has ended */
	ENDED,  /* the workload has ended by itself */
};

struct point {
	const char *name;
	unsigned stops;  /* who stands there */
	unsigned exists; /* whom a test can kill there */
	enum phase phase;
};

#define EARLY (KEEPER | CLERK | CLI)
#define ALL (EARLY | INIT | WORKLOAD)

static const struct point points[] = {
	/* clang-format off */
	{ "run.planned",     CLI,      CLERK | CLI,  BEFORE },
	{ "run.spawned",     CLI,      EARLY,        BEFORE },
	{ "run.ordered",     CLI,      EARLY,        RAN },
	{ "begun",           KEEPER,   EARLY,        BEFORE },
	{ "noted",           KEEPER,   EARLY,        BEFORE },
	{ "limited",         KEEPER,   EARLY,        BEFORE },
	{ "cloned",          KEEPER,   EARLY | INIT, BEFORE },
	{ "placed",          KEEPER,   EARLY | INIT, BEFORE },
	{ "inside.begun",    INIT,     EARLY | INIT, BEFORE },
	{ "inside.built",    INIT,     EARLY | INIT, BEFORE },
	{ "inside.ready",    WORKLOAD, ALL,          BEFORE },
	{ "built",           KEEPER,   ALL,          BEFORE },
	{ "held",            KEEPER,   ALL,          BEFORE },
	{ "prepared",        KEEPER,   ALL,          BEFORE },
	{ "recorded",        KEEPER,   ALL,          BEFORE },
	{ "started",         KEEPER,   ALL,          RAN },
	{ "running",         KEEPER,   ALL,          RAN },
	{ "stopping",        KEEPER,   ALL,          TOLD },
	{ "gone",            KEEPER,   EARLY,        ENDED },
	{ "scrubbing",       KEEPER,   EARLY,        ENDED },
	{ "scrub.processes", KEEPER,   EARLY,        ENDED },
	{ "scrub.tmpfs",     KEEPER,   EARLY,        ENDED },
	{ "scrubbed",        KEEPER,   EARLY,        ENDED },
	{ "noted.lines",     KEEPER,   EARLY,        ENDED },
	{ "cleaned",         KEEPER,   EARLY,        ENDED },
	{ "logged",          KEEPER,   EARLY,        ENDED },
	{ "final",           KEEPER,   EARLY,        ENDED },
	/* clang-format on */
};
#define POINTS (sizeof(points) / sizeof(points[0]))

static const unsigned singles[] = { KEEPER, CLERK, CLI, INIT, WORKLOAD };
static const unsigned pairs[] = {
	KEEPER | CLERK, KEEPER | CLI,     KEEPER | INIT, KEEPER | WORKLOAD, CLERK | CLI,
	CLERK | INIT,   CLERK | WORKLOAD, CLI | INIT,    CLI | WORKLOAD,    INIT | WORKLOAD,
};

static void say_victims(unsigned victims, char *to, size_t size)
{
	static const char *const names[] = { "keeper", "clerk", "cli", "init", "workload" };
	size_t at = 0;

	to[0] = 0;
	for (unsigned i = 0; i < 5; i++)
		if (victims & (1u << i))
			at += (size_t)snprintf(to + at, size - at, "%s%s", at ? "+" : "",
					       names[i]);
}

struct scenario {
	const struct point *point;
	unsigned victims;
	bool user, detached;
};

/* ---- one scenario ---------------------------------------------------------------- */

/* What `cordon run` ends with. */
static bool exit_is_right(const struct scenario *s, int got)
{
	const struct point *p = s->point;
	int killed = s->detached ? 0 : 128 + SIGKILL;

	if (s->detached && p->phase >= TOLD)
		return got == 0; /* it had ended before */
	/* It may have said that the workload runs before it died. */
	if (s->victims & KEEPER)
		return got == 125 ||
		       (got == 0 && s->detached && p->stops == CLI && p->phase == RAN);
	if ((s->victims & WORKLOAD) && p->phase == BEFORE)
		return got == 125;
	/* The first process dies, and takes the workload along, when the keeper that traces
	 * it goes on: that may be after the exec. */
	if ((s->victims & INIT) && p->phase == BEFORE)
		return got == 125 || (got == killed && (p->exists & WORKLOAD));
	if (p->phase == TOLD) /* it was asked to end before it was killed */
		return got == 128 + SIGTERM ||
		       (got == killed && (s->victims & (INIT | WORKLOAD)));
	if (s->victims & (INIT | WORKLOAD))
		return got == killed;
	return s->detached ? got == 0 : got == (p->phase == ENDED ? 3 : 128 + SIGTERM);
}

static pid_t start_stop(struct world *w)
{
	char *argv[] = { (char[]){ "cordon" },
			 (char[]){ "--root" },
			 w->root,
			 (char[]){ "stop" },
			 w->hex,
			 NULL };

	return start(w, NULL, "stop", argv);
}

/* It comes to its end without being asked once more. */
static bool session_is_over(const struct scenario *s)
{
	const struct point *p = s->point;

	if (p->phase >= TOLD || (s->victims & (KEEPER | INIT | WORKLOAD)))
		return true;
	if (!(s->victims & CLI))
		return false;
	/* A detached one goes on when its keeper has its order. */
	return !s->detached || (p->stops == CLI && p->phase == BEFORE);
}

/* Up to the moment at which everybody stands where the scenario wants them. Returns the
 * `cordon stop` that was needed for that, or 0. */
static pid_t bring_to_point(struct world *w, const struct scenario *s)
{
	const struct point *p = s->point;
	pid_t stopper = 0;

	start_run(w, p->name, s->detached,
		  p->phase == ENDED ? "echo " MARK "; exit 3"
				    : "echo " MARK "; sleep 1000; exit 4");
	if (p->phase == TOLD) {
		goes_on(w);
		stopper = start_stop(w);
	}
	await_stopped(w, p->stops);
	find_session(w);
	return stopper;
}

/* Killed as it is let go, the workload can pass its last stop unseen: then that is what its
 * end says. */
static bool missed_its_last_stop(struct world *w, const struct scenario *s)
{
	static struct journal j;

	return !(s->victims & KEEPER) && (s->victims & (INIT | WORKLOAD)) &&
	       (s->point->exists & WORKLOAD) && s->point->phase <= RAN && read_session(w, &j) &&
	       journal_state(&j) == SESSION_QUARANTINED &&
	       strstr(j.states[j.n_states - 1].why, "without a last stop");
}

static void play(struct world *w, const struct scenario *s)
{
	pid_t stopper = bring_to_point(w, s);
	struct end end;

	kill_each(w, s->victims);
	if (!(s->victims & s->point->stops))
		wake(w, s->point->stops);
	status_is_true(w, s->victims & KEEPER, s->victims);
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
	end = expected_end(w, s->victims);
	if (missed_its_last_stop(w, s))
		end.state = SESSION_QUARANTINED;
	recover(w, end.mends);
	recover_again(w);
	all_is_told(w, ended_truly(w, end.state));
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

static bool possible(const struct point *p, unsigned victims, bool detached)
{
	bool cli_ended = detached && p->phase >= TOLD;

	return (victims & p->exists) == victims && !(cli_ended && (victims & CLI));
}

/* Every point with every set of victims; of all that only every `share`-th. */
static void add_table(struct list *l, const unsigned *victims, size_t n, bool user,
		      bool detached, unsigned share)
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
	add_table(&list, pairs, COUNT(pairs), false, false, soak ? 1 : 6);
	run_jobs(list.jobs, list.n);
}

static void detached_sessions_die_as_well(void **state)
{
	(void)state;
	need_root();
	list.n = 0;
	add_table(&list, singles, COUNT(singles), false, true, soak ? 1 : 5);
	add_table(&list, pairs, COUNT(pairs), false, true, soak ? 1 : 16);
	run_jobs(list.jobs, list.n);
}

static void an_ordinary_users_sessions_die_as_well(void **state)
{
	(void)state;
	need_programs();
	list.n = 0;
	add_table(&list, singles, COUNT(singles), true, false, soak ? 1 : 6);
	add_table(&list, pairs, COUNT(pairs), true, false, soak ? 1 : 16);
	add_table(&list, singles, COUNT(singles), true, true, soak ? 1 : 8);
	add_table(&list, pairs, COUNT(pairs), true, true, soak ? 1 : 24);
	run_jobs(list.jobs, list.n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_process_dies_at_every_point),
		cmocka_unit_test(pairs_die_at_every_point),
		cmocka_unit_test(detached_sessions_die_as_well),
		cmocka_unit_test(an_ordinary_users_sessions_die_as_well),
	};

	return cmocka_run_group_tests_name("crash", tests, crash_prepare, crash_tidy);
}
