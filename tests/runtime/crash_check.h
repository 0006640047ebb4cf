/*
 * tests/runtime/crash_check.h - what must be true after a crash, and the running of many
 * of them: each in a process of its own, several at a time.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/random.h>

#include "tests/runtime/crash_log.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define WORKERS 4

static char bin[64]; /* copies of the programs, for every user to reach */
static uint64_t seed;
static bool soak, built;

/* splitmix64: enough, and the same everywhere. */
static inline uint64_t roll(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

/* ---- starting and killing -------------------------------------------------------- */

static inline void start_run(struct world *w, const char *fault, bool detached,
			     const char *script)
{
	char *argv[] = { (char[]){ "cordon" },
			 (char[]){ "--root" },
			 w->root,
			 (char[]){ "run" },
			 (char[]){ "--detach" },
			 (char[]){ "--" },
			 (char[]){ "/bin/sh" },
			 (char[]){ "-c" },
			 (char *)(uintptr_t)script,
			 NULL };

	if (!detached)
		memmove(argv + 4, argv + 5, 5 * sizeof(argv[0]));
	w->cli = start(w, fault, "out", argv);
}

static inline void kill_each(struct world *w, unsigned victims)
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

/* Lets one that stands go on; it may have died with its keeper. */
static inline void wake(struct world *w, unsigned who)
{
	pid_t pid = *role(w, who);

	must(w, pid > 0 && (kill(pid, SIGCONT) == 0 || errno == ESRCH), "it cannot go on: %m");
}

static inline void hold_still(struct world *w, unsigned who)
{
	pid_t pid = *role(w, who);

	must(w, pid > 0 && kill(pid, SIGSTOP) == 0, "it cannot be stopped: %m");
}

/* ---- what must be true ----------------------------------------------------------- */

static inline enum session_state state_by_name(const char *name)
{
	for (int s = 0; s < SESSION_STATES; s++)
		if (strcmp(session_state_str((enum session_state)s), name) == 0)
			return (enum session_state)s;
	return SESSION_STATES;
}

/* Right after the victims' death. */
static inline void status_is_true(struct world *w, bool keeper_died, unsigned victims)
{
	static struct journal before, after;
	bool was = read_session(w, &before), is;
	enum session_state from, to, shown;
	const char *words;
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
	must(w, shown != SESSION_CLEAN || to == SESSION_CLEAN, "status claims CLEAN");
	words = is ? journal_fact(&after, "assurance") : NULL;
	must(w,
	     strcmp(seen.assurance, "-/-") == 0 ||
		     (words && strcmp(seen.assurance, words) == 0),
	     "status claims %s, the journal says %s", seen.assurance,
	     words ? words : "nothing");
	must(w, !keeper_died || !seen.keeper_alive, "status thinks that a dead keeper lives");
	if (!keeper_died || session_final(to)) {
		must(w, shown >= from && shown <= to,
		     "status says %s, the journal went from %s to %s", seen.state,
		     session_state_str(from), session_state_str(to));
		return;
	}
	must(w, seen.note[0] || !is, "status says %s and not why", seen.state);
	if (to == SESSION_NONE)
		must(w, shown == (is ? SESSION_STOPPING : SESSION_NONE),
		     "status says %s of what had only begun", seen.state);
	else if (victims & CLERK)
		must(w, shown == SESSION_LOST, "status says %s, and nothing holds it",
		     seen.state);
	else
		must(w, shown == SESSION_STOPPING && seen.held > 0, "status says %s, %d held",
		     seen.state, seen.held);
}

/* Nothing of the tenant goes on. */
static inline void tenant_gone(struct world *w, int64_t ms)
{
	int64_t until = now_ms() + ms;

	while (alive(w->init) || alive(w->workload)) {
		must(w, now_ms() < until, "the workload outlived its end by %d ms", (int)ms);
		pause_us(1000);
	}
}

static inline void keeper_ends(struct world *w)
{
	int64_t until = now_ms() + 10000;

	while (alive(w->keeper)) {
		must(w, now_ms() < until, "the keeper does not come to an end");
		pause_us(1000);
	}
}

/* RUNNING, and a clerk holds its descriptors. */
static inline void goes_on(struct world *w)
{
	int64_t until = now_ms() + 10000;
	struct seen seen;

	do {
		status(w, &seen);
		must(w, now_ms() < until, "it should go on, and is %s with %d held", seen.state,
		     seen.held);
	} while (strcmp(seen.state, "RUNNING") != 0 || seen.held == 0);
	find_all(w);
	must(w, find_session(w) && alive(w->workload), "RUNNING, and no workload");
}

static inline void stop_it(struct world *w)
{
	const char *const words[] = { "stop", "--grace", "1s", w->hex, NULL };
	char answer[512];

	must(w, find_session(w), "no session to stop");
	must(w, cordon(w, answer, sizeof(answer), words) == 0, "stop: %s", answer);
	must(w, strstr(answer, "CLEAN"), "stop says %s", answer);
}

/* `mends`: how many sessions there are to mend; -1: does not matter. */
static inline void recover(struct world *w, int mends)
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

/* One recovery after all that there was to do: nothing is said, nothing is changed. */
static inline void recover_again(struct world *w)
{
	uint64_t before, after = state_sum(w);
	unsigned tries = 0;

	/* A clerk that a victim had called may just be coming up, and writes for itself. */
	do {
		before = after;
		recover(w, 0);
		after = state_sum(w);
	} while (after != before && ++tries < 10);
	must(w, after == before, "another recovery changed something");
}

/* How it must end after these died: its journal says how far it was. */
struct end {
	enum session_state state;
	bool mends; /* a recovery has something to do */
};

static inline struct end expected_end(struct world *w, unsigned victims)
{
	static struct journal j;
	bool is = read_session(w, &j);
	enum session_state now = is ? journal_state(&j) : SESSION_NONE;
	struct end end = { .state = SESSION_CLEAN };

	end.mends = (victims & KEEPER) && find_session(w) && !session_final(now);
	if (!end.mends)
		return end;
	if ((victims & CLERK) && now != SESSION_NONE)
		end.state = SESSION_LOST; /* nobody holds what it had */
	else if (is && state_since(&j, SESSION_RUNNING) && !journal_fact(&j, "scrub.anonymous"))
		end.state = SESSION_QUARANTINED; /* the kernel freed its memory unwiped */
	return end;
}

/* Ended, as was to be expected (SESSION_NONE: in any way), and shown as it is. */
static inline const struct journal *ended_truly(struct world *w, enum session_state wanted)
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
	must(w,
	     wanted == SESSION_NONE ? session_final(journal_state(&j))
				    : journal_state(&j) == wanted,
	     "it ended %s, not %s: %s", seen.state, session_state_str(wanted), last->why);
	/* What is lost is called so before its lines are known. */
	must(w, last->state == SESSION_LOST || strstr(last->why, seen.assurance),
	     "its end says: %s, status says %s", last->why, seen.assurance);
	must(w, seen.held == 0, "%d descriptors are held", seen.held);
	return &j;
}

/* The end of it: no trace of a session is left but in files, and these hold what they
 * say. The clerk ends, so that all of the log is signed. */
static inline void all_is_told(struct world *w, const struct journal *j)
{
	clerk_ends(w);
	nothing_left(w, j);
	log_publish(w);
	log_is_whole(w);
	if (j)
		log_agrees(w, j);
	no_file_left(w);
}

/* ---- many of them ---------------------------------------------------------------- */

struct job {
	void (*run)(struct world *w, const void *arg);
	const void *arg;
	bool user;
	char name[160];
};

static inline void work(const struct job *job)
{
	static struct world w;

	snprintf(w.name, sizeof(w.name), "%s", job->name);
	world_make(&w, bin, job->user);
	job->run(&w, job->arg);
	world_remove(&w);
	exit(0);
}

/* Several at a time: most of a crash is waiting. */
static inline void run_jobs(const struct job *jobs, size_t n)
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

static inline void need_programs(void)
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

static inline void need_root(void)
{
	need_programs();
	if (geteuid() == 0)
		return;
	print_message("only root can start root's sessions\n");
	skip();
}

/* ---- setup ----------------------------------------------------------------------- */

static inline bool copy_program(const char *from, const char *name)
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

static inline int crash_prepare(void **state)
{
	static const char *const programs[] = { "cordon", "cordon-keeper", "cordon-clerk",
						"cordon-audit", "cordon-verify" };
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

static inline int crash_tidy(void **state)
{
	(void)state;
	sweep();
	return nftw(bin, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}
