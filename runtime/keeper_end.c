/* runtime/keeper_end.c - from the last task's death to CLEAN or QUARANTINED. */
#include "runtime/keeper_internal.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/dirty.h"
#include "runtime/scrubbing.h"

#define OOM_REAPER_NS UINT64_C(1900000000)

/* ---- what the kernel must let go of ---------------------------------------------- */

static void clean_up(struct keeper *k)
{
	char sock[SESSION_SOCKET], kills[64];
	struct runtime_error e;

	if (k->cgroup_made && cgroup_oom_kills(&k->cgroup)) {
		snprintf(kills, sizeof(kills), "%u killed at the memory limit",
			 cgroup_oom_kills(&k->cgroup));
		best_effort(journal_note(k->journal, "oom", kills, &e));
	}
	for (size_t i = 0; k->cgroup_made && i < k->cgroup.n; i++)
		if (cgroup_remove(k->cgroup.dirs[i].path, &e) != RUNTIME_OK)
			best_effort(journal_note(k->journal, "left-behind",
						 k->cgroup.dirs[i].path, &e));
	if (k->listener >= 0) {
		session_socket(k->id, sock);
		(void)unlinkat(k->paths.run_fd, sock, 0);
	}
}

/* ---- the scrub ------------------------------------------------------------------- */

/* A sweep also takes away what earlier sessions left, as far as it was marked before. */
static void scrub_kernel(struct keeper *k, struct receipt *r)
{
	struct runtime_error ignored;
	int64_t marked = 0;
	bool swept;

	best_effort(dirty_seen(k->paths.sessions_fd, &marked, &ignored));
	scrubbing_kernel(r, &swept);
	if (swept)
		best_effort(dirty_clear(k->paths.sessions_fd, marked, &ignored));
}

/* Two seconds after a kill at the memory limit the kernel begins to take the victim's memory
 * as it is (OOM_REAPER_DELAY): what was wiped later may have been gone before. */
static void doubt_late_wipes(const struct keeper *k, struct reaper_result *processes)
{
	if (processes->killed_ns < OOM_REAPER_NS || !k->cgroup_made ||
	    !cgroup_oom_kills(&k->cgroup))
		return;
	processes->anonymous.failed++;
	if (!processes->why.what[0])
		snprintf(processes->why.what, sizeof(processes->why.what),
			 "killed at the memory limit and wiped only %llu ms later: the kernel "
			 "may have taken some of it before",
			 (unsigned long long)(processes->killed_ns / 1000000));
}

/* A copied root has the tenant's bytes before any of its code runs. */
static bool scrub_files(const struct keeper *k, struct receipt *r)
{
	const size_t keys = keeper_keys_at(k);
	bool wiped = scrubbing_files(r, PLACE_TMPFS, k->launcher.tmpfs, keys);

	if (keys < k->launcher.n_tmpfs)
		wiped &= scrubbing_files(r, PLACE_CREDENTIALS, &k->launcher.tmpfs[keys], 1);
	return wiped;
}

/* False: something that could not be wiped stays held. */
static bool scrub(struct keeper *k, struct receipt *r)
{
	struct reaper_result processes;
	bool wiped;

	scrubbing_begin(r, k->plan->held, k->plan->kernel, k->ran || k->agent_ran);
	if (r->ran) {
		reaper_finish(&k->reaper, &processes);
		doubt_late_wipes(k, &processes);
		scrubbing_processes(r, &processes);
		fault_point("scrub.processes");
	} else {
		scrubbing_never_ran(r);
	}
	wiped = scrub_files(k, r);
	fault_point("scrub.tmpfs");
	if (r->ran)
		scrubbing_ring(r, k->ring);
	scrub_kernel(k, r);
	return wiped;
}

/* The lines are in the journal before anything of it is given back. */
static bool note(struct keeper *k, const struct receipt *r)
{
	struct journal_fact facts[PLACES + 2] = { 0 };
	size_t n = scrubbing_facts(r, facts);
	struct runtime_error ignored;

	if (k->ran) {
		snprintf(facts[n].key, sizeof(facts[n].key), "status");
		snprintf(facts[n].value, sizeof(facts[n].value), "%d", keeper_wait_status(k));
		n++;
	}
	return journal_note_all(k->journal, facts, n, &ignored) == RUNTIME_OK;
}

/* Bytes of a tenant's went back to free memory, and nobody wipes it there. */
static bool soils(const struct receipt *r)
{
	return r->ran && !receipt_clean(r) && receipt_worth(r, RECEIPT_HELD) == RECEIPT_NONE &&
	       receipt_worth(r, RECEIPT_KERNEL) == RECEIPT_NONE;
}

/* ---- its end in words, in the log, in a file -------------------------------------- */

static bool copy_receipt(const struct keeper *k)
{
	char name[SESSION_ID_HEX + 8], hex[SESSION_ID_HEX], text[RECEIPT_MAX + 1];
	int fd;
	ssize_t n;

	session_id_hex(k->id, hex);
	snprintf(name, sizeof(name), "%s.receipt", hex);
	fd = openat(k->paths.sessions_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, sizeof(text));
	if (fd >= 0)
		close(fd);
	return n > 0 && ftruncate(k->receipt, 0) == 0 &&
	       pwrite(k->receipt, text, (size_t)n, 0) == n && fsync(k->receipt) == 0;
}

/* Without an entry in the log no session is CLEAN: `cordon recover` asks the clerk again.
 * The entry is made from the journal: of lines that are not there (`noted`) it knows
 * nothing. False: the end is not on disk either. */
static bool conclude(struct keeper *k, const struct receipt *r, bool noted)
{
	struct runtime_error e = { 0 };
	char words[JOURNAL_VALUE / 2];
	enum runtime_status logged =
		noted ? keeper_record(k, WIRE_RECORD_END, &e)
		      : runtime_fail(&e, RUNTIME_SYSTEM, "journal", "",
				     "the session's journal cannot be written");

	fault_point("logged");
	scrubbing_say(r, words, sizeof(words));
	if (logged == RUNTIME_OK) {
		snprintf(k->said, sizeof(k->said), "%s", words);
	} else {
		snprintf(k->said, sizeof(k->said), "%s; not in the audit log: %.160s", words,
			 e.what);
		best_effort(journal_note(k->journal, "unlogged", "end", &e));
	}
	if (k->receipt >= 0 && logged == RUNTIME_OK && !copy_receipt(k))
		snprintf(k->said, sizeof(k->said), "%s; the receipt could not be copied",
			 words);
	if (logged == RUNTIME_OK && receipt_clean(r) &&
	    journal_move(k->journal, EV_CLEAN, k->said, &e) == RUNTIME_OK)
		return true;
	return journal_move(k->journal, EV_RESIDUE, k->said, &e) == RUNTIME_OK;
}

/* ---- all of it ------------------------------------------------------------------- */

int keeper_wait_status(const struct keeper *k)
{
	return k->launcher.tracer.workload_gone ? k->launcher.tracer.workload_status : SIGKILL;
}

static void to_scrubbing(struct keeper *k, const char *refused)
{
	switch (journal_writer_state(k->journal)) {
	case SESSION_NONE:
		keeper_move(k, EV_HOLD_FAILED, refused);
		break;
	case SESSION_PREPARED:
	case SESSION_ATTESTING:
		keeper_move(k, EV_REFUSED, refused);
		break;
	case SESSION_RUNNING:
		keeper_move(k, EV_ENDING, refused ? refused : "the workload ended");
		/* fall through */
	default:
		keeper_move(k, EV_GONE, "no process of the session is left");
	}
}

void keeper_finish(struct keeper *k, const char *refused)
{
	struct runtime_error ignored;
	struct receipt r;
	bool wiped, noted, ended;

	to_scrubbing(k, refused);
	fault_point("scrubbing");
	wiped = scrub(k, &r);
	fault_point("scrubbed");
	noted = note(k, &r);
	fault_point("noted.lines");
	if (soils(&r))
		best_effort(dirty_mark(k->paths.sessions_fd, k->id, k->plan->tenant, &ignored));
	clean_up(k);
	fault_point("cleaned");
	ended = conclude(k, &r, noted);
	fault_point("final");
	/* What could not be wiped stays with the clerk: in quarantine, for another try. So does
	 * all of a session whose journal does not say how it ended: it is recovered. */
	if (k->clerk >= 0 && wiped && ended)
		best_effort(clerk_ended(k->clerk, k->id, &ignored));
}
