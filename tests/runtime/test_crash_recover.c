/*
 * tests/runtime/test_crash_recover.c - kill -9 of recovery itself, at each of its steps, of
 * the clerk at its own, and of anybody at random moments; journals that only a host's crash
 * makes; sessions started and stopped again and again. CORDON_SOAK=1: 1,000 random kills
 * and 200 cycles. CORDON_SEED repeats what a run printed.
 */
#include "policy/policy.h"
#include "tests/runtime/crash_check.h"

/* ---- recovery itself, and the clerk, die ----------------------------------------- */

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
	find_all(w); /* recovery may have started another clerk, for its entry */
	kill_each(w, CLI | (alive(w->clerk) ? r->then : 0));
	status_is_true(w, true, r->with | r->then);
	tenant_gone(w, 2000);
	moved = read_session(w, &j) && session_final(journal_state(&j));
	lost = moved ? journal_state(&j) == SESSION_LOST : (r->with | r->then) & CLERK;
	/* What it had no time to give back is wiped once more. */
	recover(w, moved ? -1 : 1);
	recover_again(w);
	all_is_told(w, ended_truly(w, lost ? SESSION_LOST : SESSION_QUARANTINED));
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
	must(w, cordon(w, answer, sizeof(answer), words) == 3, "the second one says: %s",
	     answer);
	wake(w, CLI);
	must(w, finish(w, w->cli, 5000, "the first one") == 0, "the first one failed");
	recover_again(w);
	all_is_told(w, ended_truly(w, SESSION_QUARANTINED));
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
	all_is_told(w, &last);
}

/* Not even when its keeper stands still. */
static void recovery_leaves_the_living_alone(struct world *w, const void *arg)
{
	(void)arg;
	run_detached(w, "sleep 1000");
	recover(w, 0);
	goes_on(w);
	hold_still(w, KEEPER);
	recover(w, 0);
	wake(w, KEEPER);
	goes_on(w);
	stop_it(w);
	recover(w, 0);
	recover_again(w);
	all_is_told(w, ended_truly(w, SESSION_CLEAN));
}

static void start_clerk(struct world *w, const char *fault)
{
	char *argv[] = { (char[]){ "cordon-clerk" },
			 (char[]){ "--root" },
			 w->root,
			 (char[]){ "--foreground" },
			 (char[]){ "--idle" },
			 (char[]){ "1" },
			 NULL };

	w->clerk = start(w, fault, "out", argv);
}

struct clerk_death {
	const char *point;
	unsigned passes; /* how often it goes on from there before it dies */
	unsigned with;   /* dies at the same time */
};

static bool is_at_start(const char *point)
{
	return strcmp(point, "clerk.locked") == 0 || strcmp(point, "clerk.listening") == 0;
}

static void bring_clerk_to_point(struct world *w, const struct clerk_death *d)
{
	await_stopped(w, CLERK);
	for (unsigned i = 0; i < d->passes; i++) {
		wake(w, CLERK);
		await_stopped(w, CLERK);
	}
}

/* A session that ends by itself, and the clerk dies on the way. */
static void clerk_dies(struct world *w, const void *arg)
{
	const struct clerk_death *d = arg;
	struct end end;
	int got;

	start_clerk(w, d->point);
	if (is_at_start(d->point)) {
		await_stopped(w, CLERK);
		kill_each(w, CLERK);
	} else {
		pause_us(50000); /* it listens before somebody starts another one */
	}
	start_run(w, NULL, false, "echo " MARK "; exit 3");
	if (!is_at_start(d->point)) {
		bring_clerk_to_point(w, d);
		kill_each(w, CLERK | d->with);
		status_is_true(w, d->with & KEEPER, CLERK | d->with);
		keeper_ends(w);
	}
	got = finish(w, w->cli, 15000, "cordon run");
	/* Before all is held a session may be refused, not be left half held. */
	must(w,
	     got == ((d->with & CLI)      ? 128 + SIGKILL
		     : (d->with & KEEPER) ? 125
					  : 3) ||
		     (got == 125 && strcmp(d->point, "clerk.hold") == 0),
	     "cordon run ended with %d", got);
	end = expected_end(w, CLERK | d->with);
	recover(w, end.mends);
	recover_again(w);
	all_is_told(w, ended_truly(w, end.state));
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
	all_is_told(w, ended_truly(w, SESSION_CLEAN));
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
	hold_still(w, CLERK);
	kill_each(w, KEEPER);
	tenant_gone(w, 2000);
	if (soak) { /* each waits for the clerk as long as it may, 10 s */
		status(w, &seen);
		must(w, strcmp(seen.state, "STOPPING") == 0, "status says %s: %s", seen.state,
		     seen.note);
	}
	got = cordon(w, answer, sizeof(answer), words);
	must(w, got == 3, "recover: exit %d, %s", got, answer);
	wake(w, CLERK);
	recover(w, 1);
	recover_again(w);
	all_is_told(w, ended_truly(w, SESSION_QUARANTINED));
}

/* ---- journals that no crash of ours makes ---------------------------------------- */

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
	must(w,
	     fd >= 0 && pwrite(fd, cut, sizeof(cut), (off_t)(j.slots_used * JOURNAL_SLOT)) ==
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
	struct seen seen;
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
	must(w, boot_id(b.boot) && paths_open(w->root, true, &p, NULL) == RUNTIME_OK,
	     "no root");
	b.boot[3] ^= o->other_boot;
	must(w, journal_create(p.sessions_fd, &b, &j, NULL) == RUNTIME_OK, "no journal");
	note_innocent(w, j, innocent, o->other_boot);
	must(w,
	     journal_move(j, EV_HELD, "", NULL) == RUNTIME_OK &&
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
	status(w, &seen);
	must(w, strcmp(seen.state, "LOST") == 0, "it ended %s", seen.state);
	if (!o->full) /* else there is no room to say more */
		(void)ended_truly(w, SESSION_LOST);
	must(w, alive(innocent), "recover killed somebody else");
	(void)kill(innocent, SIGKILL);
	(void)finish(w, innocent, 5000, "a child");
	all_is_told(w, NULL);
}

static void recovery_is_as_safe_as_it_mends(void **state)
{
	static const char *const points[] = { "recover.locked",   "recover.taken",
					      "recover.killed",   "recover.removed",
					      "recover.scrubbed", "recover.logged",
					      "recover.moved" };
	static const struct {
		unsigned with, then;
	} also[] = { { 0, 0 }, { CLERK, 0 }, { 0, CLERK } };
	static struct recovery recoveries[COUNT(points) * COUNT(also)];
	static const struct clerk_death clerks[] = {
		{ "clerk.locked", 0, 0 },
		{ "clerk.listening", 0, 0 },
		{ "clerk.hold", 0, 0 },
		{ "clerk.hold", 1, KEEPER },
		{ "clerk.over", 0, 0 },
		{ "clerk.published", 0, 0 },
		/* the start's entry, and then the end's */
		{ "clerk.record", 0, 0 },
		{ "clerk.record", 1, 0 },
		{ "clerk.record", 0, KEEPER },
		{ "clerk.record", 1, KEEPER },
		{ "clerk.record", 0, CLI },
		{ "clerk.record", 1, CLI },
		{ "clerk.committed", 0, 0 },
		{ "clerk.committed", 1, 0 },
		{ "clerk.committed", 0, KEEPER },
		{ "clerk.committed", 1, KEEPER },
		{ "clerk.recorded", 0, 0 },
		{ "clerk.recorded", 1, 0 },
		{ "clerk.recorded", 0, KEEPER },
		{ "clerk.recorded", 1, KEEPER },
		{ "clerk.recorded", 1, CLI },
	};
	static const struct old_journal journals[] = {
		{ .other_boot = true },
		{ .torn = true },
		{ .full = true },
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
	static struct job
		jobs[COUNT(recoveries) + COUNT(clerks) + COUNT(journals) + COUNT(others)];
	size_t n = 0;

	(void)state;
	need_programs();
	for (size_t i = 0; i < COUNT(others); i++, n++) {
		jobs[n] = (struct job){ .run = others[i].run };
		snprintf(jobs[n].name, sizeof(jobs[n].name), "%s", others[i].name);
	}
	for (size_t i = 0; i < COUNT(recoveries); i++, n++) {
		recoveries[i] =
			(struct recovery){ points[i / COUNT(also)], also[i % COUNT(also)].with,
					   also[i % COUNT(also)].then };
		jobs[n] = (struct job){ .run = recovery_dies, .arg = &recoveries[i] };
		snprintf(jobs[n].name, sizeof(jobs[n].name), "recovery dies at %s, %s%s",
			 recoveries[i].point, recoveries[i].with ? "clerk dead" : "",
			 recoveries[i].then ? "with the clerk" : "");
	}
	for (size_t i = 0; i < COUNT(clerks); i++, n++) {
		jobs[n] = (struct job){ .run = clerk_dies, .arg = &clerks[i] };
		snprintf(jobs[n].name, sizeof(jobs[n].name), "clerk dies at %s %u%s",
			 clerks[i].point, clerks[i].passes,
			 clerks[i].with == KEEPER ? ", with the keeper"
			 : clerks[i].with == CLI  ? ", with the command"
						  : "");
	}
	for (size_t i = 0; i < COUNT(journals); i++, n++) {
		jobs[n] = (struct job){ .run = an_old_journal_comes_to_its_end,
					.arg = &journals[i] };
		snprintf(jobs[n].name, sizeof(jobs[n].name), "old journal %zu", i);
	}
	run_jobs(jobs, n);
}

/* ---- at random ------------------------------------------------------------------- */

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

/* Killed at once with others, or just as it is let go, a process can miss its last stop, or
 * its child be unknown yet: then that is what its end says. */
static bool could_not_be_wiped(struct world *w, unsigned victims)
{
	static struct journal j;
	const char *why;

	if ((victims & KEEPER) || !read_session(w, &j) ||
	    journal_state(&j) != SESSION_QUARANTINED)
		return false;
	why = j.states[j.n_states - 1].why;
	return strstr(why, "last stop") || strstr(why, "a process outside the session");
}

/* A keeper may be started only now, and does not bear its name from the first moment. */
static bool anybody_but_clerks(void)
{
	pid_t list[CHILDREN];
	size_t n = children(getpid(), list);
	struct process p;

	for (size_t i = 0; i < n; i++)
		if (look_at(list[i], &p) && p.state != 'Z' &&
		    strcmp(p.name, "cordon-clerk") != 0)
			return true;
	return false;
}

static void kill_once(struct world *w, uint64_t *random)
{
	bool detached = roll(random) % 2;
	const char *script = scripts[roll(random) % COUNT(scripts)];
	const char *const stop[] = { "stop", "--grace", "100ms", w->hex, NULL };
	int64_t until = now_ms() + 20000;
	unsigned victims;
	struct end end;
	char answer[512];

	start_run(w, NULL, detached, script);
	/* Most of it happens in the first 30 ms. */
	pause_us((long)(roll(random) % (roll(random) % 4 ? 40000 : 200000)));
	victims = choose(w, random);
	find_session(w);
	kill_each(w, victims);
	status_is_true(w, victims & KEEPER, victims);
	find_all(w);
	while (anybody_but_clerks()) {
		must(w, now_ms() < until, "it does not come to an end");
		if (find_session(w))
			(void)cordon(w, answer, sizeof(answer), stop);
		find_all(w);
	}
	tenant_gone(w, 2000);
	(void)finish(w, w->cli, 15000, "cordon run");
	end = expected_end(w, victims);
	if (could_not_be_wiped(w, victims))
		end.state = SESSION_QUARANTINED;
	recover(w, -1);
	recover_again(w);
	all_is_told(w, ended_truly(w, end.state));
	forget_session(w);
}

#define ROUNDS 10 /* in one root, whose log and mark grow */

static void kill_at_random(struct world *w, const void *arg)
{
	uint64_t random = *(const uint64_t *)arg;

	for (unsigned i = 0; i < (soak ? ROUNDS : 3); i++)
		kill_once(w, &random);
}

static void random_kills_leave_nothing(void **state)
{
	static struct job jobs[1000 / ROUNDS];
	static uint64_t seeds[COUNT(jobs)];
	size_t n = soak ? COUNT(jobs) : 8;

	(void)state;
	need_programs();
	for (size_t i = 0; i < n; i++) {
		seeds[i] = roll(&seed);
		jobs[i] = (struct job){ .run = kill_at_random,
					.arg = &seeds[i],
					.user = geteuid() != 0 || seeds[i] >> 63 };
		snprintf(jobs[i].name, sizeof(jobs[i].name), "random kills %zu", i);
	}
	run_jobs(jobs, n);
}

/* ---- again and again ------------------------------------------------------------- */

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
		last = *ended_truly(w, SESSION_CLEAN);
		no_cgroup_left(w, &last);
		must(w, cordon(w, answer, sizeof(answer), brief) == 0, "run: %s", answer);
		if (fds < 0)
			fds = clerk_fds(w);
	}
	pause_us(100000); /* for the clerk to see that its last client is gone */
	must(w, clerk_fds(w) <= fds, "the clerk had %d descriptors, and has %d", fds,
	     clerk_fds(w));
	all_is_told(w, &last);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(recovery_is_as_safe_as_it_mends),
		cmocka_unit_test(random_kills_leave_nothing),
		cmocka_unit_test(start_and_stop_leave_nothing),
	};

	return cmocka_run_group_tests_name("crash-recover", tests, crash_prepare, crash_tidy);
}
