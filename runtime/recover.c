/* runtime/recover.c - see recover.h. */
#include "runtime/recover.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/pidfd.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "policy/policy.h"
#include "runtime/cgroup.h"
#include "runtime/clerk.h"
#include "runtime/dirty.h"
#include "runtime/fault.h"
#include "runtime/observe.h"
#include "runtime/scrubbing.h"

#define GONE_MS 5000 /* a killed process that is not gone by then hangs in the kernel */

struct work {
	const struct paths *paths;
	struct observer *observer;
	const char *clerk; /* its program */
	struct journal *journal;
	struct journal_writer *writer;
	struct clerk_taken taken; /* what the clerk held of it */
	struct recovered done;
	uint8_t id[SESSION_ID_BYTES];
	bool unlogged; /* its journal says that its end is not in the log */
	bool entered;  /* now it is */
	bool full; /* its journal had no room for the lines: its receipt knows none of them */
};

/* ---- processes ------------------------------------------------------------------- */

static enum runtime_status kill_open(struct work *w, int pidfd)
{
	struct pollfd exited = { .fd = pidfd, .events = POLLIN };
	int n;

	if (poll(&exited, 1, 0) > 0)
		return RUNTIME_OK;
	if (pidfd_send_signal(pidfd, SIGKILL, NULL, 0) != 0 && errno != ESRCH)
		return runtime_fail(&w->done.error, RUNTIME_SYSTEM, w->done.hex,
				    "run `cordon recover` as the user that started it",
				    "a process of it could not be killed: %m");
	do
		n = poll(&exited, 1, GONE_MS);
	while (n < 0 && errno == EINTR);
	if (n != 1)
		return runtime_fail(&w->done.error, RUNTIME_SYSTEM, w->done.hex,
				    "run `cordon recover` again; a process that hangs in the "
				    "kernel goes with a reboot",
				    "a killed process of it is not gone after %d s",
				    GONE_MS / 1000);
	w->done.killed++;
	return RUNTIME_OK;
}

/* "PID STARTTIME", exactly. */
static bool parse_process(const char *value, pid_t *ret_pid, uint64_t *ret_start)
{
	unsigned long long start;
	char *end;
	long pid;

	errno = 0;
	pid = strtol(value, &end, 10);
	if (errno || value[0] < '1' || value[0] > '9' || *end != ' ' || pid != (pid_t)pid)
		return false;
	value = end + 1;
	start = strtoull(value, &end, 10);
	if (errno || value[0] < '1' || value[0] > '9' || *end != '\0')
		return false;
	*ret_pid = (pid_t)pid;
	*ret_start = start;
	return true;
}

static enum runtime_status kill_noted(struct work *w, const struct journal_fact *f)
{
	AUTO(closep) int pidfd = -1;
	uint64_t start;
	pid_t pid;

	if (!parse_process(f->value, &pid, &start))
		return runtime_fail(&w->done.error, RUNTIME_MALFORMED, w->done.hex,
				    "look whether processes of it are left, by hand",
				    "its fact %s is not \"PID STARTTIME\"", f->key);
	pidfd = process_open(pid, start);
	if (pidfd < 0 && errno == ESRCH)
		return RUNTIME_OK;
	if (pidfd < 0)
		return runtime_fail(&w->done.error, RUNTIME_SYSTEM, w->done.hex, "",
				    "could not tell whether its %s process lives: %m", f->key);
	return kill_open(w, pidfd);
}

static enum runtime_status kill_rest(struct work *w)
{
	enum runtime_status s = RUNTIME_OK;

	for (size_t i = 0; i < w->taken.n && s == RUNTIME_OK; i++)
		if (w->taken.slots[i] == WIRE_SLOT_INIT)
			s = kill_open(w, w->taken.fds[i]);
	for (size_t i = 0; i < w->journal->n_facts && s == RUNTIME_OK; i++) {
		const struct journal_fact *f = &w->journal->facts[i];

		if (strcmp(f->key, "init") == 0 || strcmp(f->key, "workload") == 0)
			s = kill_noted(w, f);
	}
	return s;
}

/* ---- cgroups --------------------------------------------------------------------- */

bool recover_cgroup_path(const char *path, const char hex[static SESSION_ID_HEX])
{
	const char *last = strrchr(path, '/');

	if (path[0] != '/' || strncmp(last, "/cordon-", 8) != 0 || strcmp(last + 8, hex) != 0)
		return false;
	for (const char *part = path; *part; part += strcspn(part, "/")) {
		size_t n = strcspn(++part, "/");

		if (n == 0 || (part[0] == '.' && (n == 1 || (n == 2 && part[1] == '.'))))
			return false;
	}
	return true;
}

/* 1: a cgroup folder; 0: nothing is there; -1: something else is. */
static int is_cgroup(const char *path)
{
	AUTO(closep) int fd = open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct statfs fs;

	if (fd < 0)
		return errno == ENOENT ? 0 : -1;
	if (fstatfs(fd, &fs) != 0)
		return -1;
	return fs.f_type == CGROUP_SUPER_MAGIC || fs.f_type == CGROUP2_SUPER_MAGIC ? 1 : -1;
}

static enum runtime_status remove_cgroups(struct work *w)
{
	enum runtime_status s = RUNTIME_OK;

	for (size_t i = 0; i < w->journal->n_facts && s == RUNTIME_OK; i++) {
		const struct journal_fact *f = &w->journal->facts[i];
		int there;

		if (strcmp(f->key, "cgroup") != 0)
			continue;
		there = recover_cgroup_path(f->value, w->done.hex) ? is_cgroup(f->value) : -1;
		if (there < 0)
			return runtime_fail(&w->done.error, RUNTIME_MALFORMED, w->done.hex,
					    "look at it by hand",
					    "not this session's cgroup: %s", f->value);
		if (there)
			s = cgroup_remove(f->value, &w->done.error);
		if (there && s == RUNTIME_OK)
			w->done.folders++;
	}
	return s;
}

/* ---- what is left of its memory --------------------------------------------------- */

/* What its keeper wrote before it died, or else that it wrote nothing. */
static void keep_line(struct receipt *r, const struct journal *j, enum place p)
{
	struct receipt_line l;

	if (place_find(j, p, &l))
		r->lines[r->n_lines++] = l;
	else
		scrubbing_none(r, p,
			       "its keeper died: the kernel killed the workload and freed its "
			       "memory, and nobody wiped it");
}

/* What the clerk held of one place; else what was known of it before. */
static bool scrub_files(struct work *w, struct receipt *r, enum place p, enum wire_slot slot)
{
	int mounts[WIRE_FDS];
	size_t n = 0;

	for (size_t i = 0; i < w->taken.n; i++)
		if (w->taken.slots[i] == slot)
			mounts[n++] = w->taken.fds[i];
	if (n == 0 && p == PLACE_CREDENTIALS && !journal_fact(w->journal, "keys"))
		return true; /* a session without keys */
	if (n > 0 || !r->ran)
		return scrubbing_files(r, p, mounts, n);
	keep_line(r, w->journal, p);
	return true;
}

/* False: something that could not be wiped stays held. */
static bool scrub_held(struct work *w, struct receipt *r)
{
	int ring = -1;
	bool wiped;

	for (size_t i = 0; i < w->taken.n; i++)
		if (w->taken.slots[i] == WIRE_SLOT_RING)
			ring = w->taken.fds[i];
	scrubbing_ring(r, ring);
	wiped = scrub_files(w, r, PLACE_TMPFS, WIRE_SLOT_TMPFS);
	return scrub_files(w, r, PLACE_CREDENTIALS, WIRE_SLOT_KEYS) && wiped;
}

static void scrub_kernel(struct work *w, struct receipt *r, bool old)
{
	struct runtime_error ignored;
	int64_t marked;
	bool swept = false, known;

	if (old) {
		scrubbing_no_kernel(r,
				    "the host was restarted: what that boot did is not known");
		return;
	}
	known = dirty_seen(w->paths->sessions_fd, &marked, &ignored) == RUNTIME_OK;
	scrubbing_kernel(r, &swept);
	if (swept && known &&
	    dirty_clear(w->paths->sessions_fd, marked, &ignored) != RUNTIME_OK)
		return; /* the mark stands on, which is on the safe side */
}

/* False: something that could not be wiped stays held. */
static bool scrub(struct work *w, struct receipt *r, bool old)
{
	const struct journal_begin *b = &w->journal->begin;
	bool wiped;

	scrubbing_begin(r, b->held, b->kernel, journal_begun(w->journal));
	if (r->ran) {
		keep_line(r, w->journal, PLACE_ANONYMOUS);
		keep_line(r, w->journal, PLACE_SHARED);
	} else {
		scrubbing_never_ran(r);
	}
	wiped = scrub_held(w, r);
	scrub_kernel(w, r, old);
	return wiped;
}

static const char *behind_words(const char *s, unsigned n)
{
	for (; n > 0 && *s; n--) {
		s += strcspn(s, " ");
		s += *s == ' ';
	}
	return s;
}

/* Another try that came to the same end takes no room in the journal. A line's fourth word,
 * the time that it took, is no news. */
static bool fact_known(const struct journal *j, const struct journal_fact *f)
{
	const char *old = journal_fact(j, f->key), *now = f->value;
	size_t same;

	if (!old || strncmp(f->key, "scrub.", 6) != 0)
		return old && strcmp(old, now) == 0;
	same = (size_t)(behind_words(now, 3) - now);
	return strncmp(old, now, same) == 0 &&
	       strcmp(behind_words(old, 4), behind_words(now, 4)) == 0;
}

struct news {
	struct journal_fact facts[PLACES + 2];
	size_t n;
};

/* What its receipt would say and its journal does not yet. */
static void find_news(const struct work *w, const struct receipt *r, struct news *ret)
{
	struct journal_fact facts[PLACES + 2] = { 0 };
	size_t n = scrubbing_facts(r, facts);

	snprintf(facts[n].key, sizeof(facts[n].key), "recovered");
	snprintf(facts[n].value, sizeof(facts[n].value), "yes");
	n++;
	ret->n = 0;
	for (size_t i = 0; i < n; i++)
		if (!fact_known(w->journal, &facts[i]))
			ret->facts[ret->n++] = facts[i];
}

/* A journal that has no room for the lines must still come to its end: its receipt then
 * says less than there was. */
static enum runtime_status note_lines(struct work *w, const struct news *news)
{
	w->full = news->n > journal_room(w->writer);
	if (w->full || news->n == 0)
		return RUNTIME_OK;
	return journal_note_all(w->writer, news->facts, news->n, &w->done.error);
}

static enum runtime_status mark_dirty(struct work *w, const struct receipt *r)
{
	if (!r->ran || receipt_clean(r) || receipt_worth(r, RECEIPT_HELD) != RECEIPT_NONE ||
	    receipt_worth(r, RECEIPT_KERNEL) != RECEIPT_NONE)
		return RUNTIME_OK;
	return dirty_mark(w->paths->sessions_fd, w->id, w->journal->begin.tenant,
			  &w->done.error);
}

/* ---- the journal's way to its end ------------------------------------------------ */

/* From each state the event that leads on to SCRUBBING. */
static const enum session_event onward[SESSION_STATES] = {
	[SESSION_NONE] = EV_HOLD_FAILED,  [SESSION_PREPARED] = EV_REFUSED,
	[SESSION_ATTESTING] = EV_REFUSED, [SESSION_RUNNING] = EV_ENDING,
	[SESSION_STOPPING] = EV_GONE,     [SESSION_QUARANTINED] = EV_SCRUB,
};

/* Somebody must ask the clerk again ("end"), or need not ("no"). */
static enum runtime_status note_unlogged(struct work *w, const char *value)
{
	bool unlogged = strcmp(value, "end") == 0;

	if (unlogged == w->unlogged || journal_room(w->writer) == 0)
		return RUNTIME_OK;
	w->unlogged = unlogged;
	return journal_note(w->writer, "unlogged", value, &w->done.error);
}

static enum runtime_status move_to_scrubbing(struct work *w, bool lost)
{
	enum runtime_status s = RUNTIME_OK;

	if (lost && session_final(journal_writer_state(w->writer)))
		return RUNTIME_OK;
	/* That is its last state, and it comes before its entry. */
	if (lost)
		s = note_unlogged(w, "end");
	if (lost && s == RUNTIME_OK)
		return journal_move(w->writer, EV_LOST, w->done.why, &w->done.error);
	while (s == RUNTIME_OK && journal_writer_state(w->writer) != SESSION_SCRUBBING)
		s = journal_move(w->writer, onward[journal_writer_state(w->writer)],
				 w->done.why, &w->done.error);
	return s;
}

/* The clerk that the observer found, or a new one for the log. */
static enum runtime_status enter(struct work *w, struct runtime_error *e)
{
	int64_t index;

	if (w->observer->clerk < 0 && w->clerk &&
	    clerk_connect(w->paths, w->clerk, &w->observer->clerk, e) != RUNTIME_OK)
		return RUNTIME_SYSTEM;
	if (w->observer->clerk < 0)
		return runtime_fail(e, RUNTIME_SYSTEM, "audit log", "", "no clerk runs");
	return clerk_record(w->observer->clerk, w->id, WIRE_RECORD_END, &index, e);
}

/* Entered in the log, then the last state. */
static enum runtime_status conclude(struct work *w, const struct receipt *r)
{
	char words[160];
	enum runtime_status s;
	bool logged, clean;

	logged = w->entered || enter(w, &w->done.error) == RUNTIME_OK;
	fault_point("recover.logged");
	scrubbing_say(r, words, sizeof(words));
	if (!logged)
		snprintf(words + strlen(words), sizeof(words) - strlen(words),
			 "; not in the audit log: %.100s", w->done.error.what);
	snprintf(w->done.why + strlen(w->done.why), sizeof(w->done.why) - strlen(w->done.why),
		 "; %s%s", words,
		 w->full ? "; its journal is full: its receipt says less" : "");
	/* No state says more than the receipt that was signed. */
	clean = logged && !w->full && receipt_clean(r);
	s = note_unlogged(w, logged ? "no" : "end");
	if (s == RUNTIME_OK && journal_writer_state(w->writer) == SESSION_SCRUBBING)
		s = journal_move(w->writer, clean ? EV_CLEAN : EV_RESIDUE, w->done.why,
				 &w->done.error);
	w->done.now = journal_writer_state(w->writer);
	return s;
}

static void remove_socket(const struct paths *p, const uint8_t id[static SESSION_ID_BYTES])
{
	char name[SESSION_SOCKET];

	session_socket(id, name);
	if (p->run_fd >= 0)
		(void)unlinkat(p->run_fd, name, 0); /* most often there is none */
}

/* ---- one session ----------------------------------------------------------------- */

/* What an ended session may have left: its socket, its output at the clerk, and a cgroup
 * that its keeper could not remove. */
static enum runtime_status tidy(struct work *w)
{
	int clerk = w->observer->clerk;
	unsigned held = 0;
	enum runtime_status s = RUNTIME_OK;

	remove_socket(w->paths, w->id);
	if (clerk >= 0)
		s = clerk_ask(clerk, w->id, &held, &w->done.error);
	if (s == RUNTIME_OK && held)
		s = clerk_drop(clerk, w->id, &w->done.error);
	if (s == RUNTIME_OK && journal_fact(w->journal, "left-behind"))
		s = remove_cgroups(w);
	return s == RUNTIME_OK ? s : RUNTIME_SYSTEM;
}

/* All but its last output: somebody will want to know what it said before it died. The
 * next recovery finds it ended, and drops that as well. What could not be wiped stays. */
static enum runtime_status give_up(struct work *w, bool wiped)
{
	remove_socket(w->paths, w->id);
	if (w->taken.n == 0 || !wiped)
		return RUNTIME_OK;
	return clerk_ended(w->observer->clerk, w->id, &w->done.error);
}

static enum runtime_status take(struct work *w)
{
	if (w->observer->clerk >= 0)
		return clerk_take(w->observer->clerk, w->id, &w->taken, &w->done.error);
	if (w->observer->without == OBSERVE_HELD_NONE)
		return RUNTIME_OK;
	return runtime_fail(&w->done.error, RUNTIME_SYSTEM, w->done.hex,
			    "run `cordon recover` again when it does",
			    "the clerk, which may hold its memory, does not answer");
}

static void give_back(struct clerk_taken *taken)
{
	for (size_t i = 0; i < taken->n; i++)
		closep(&taken->fds[i]);
	taken->n = 0;
}

static bool ends_unlogged(const struct journal *j)
{
	const char *unlogged = journal_fact(j, "unlogged");

	return unlogged && strcmp(unlogged, "end") == 0;
}

/* In quarantine with memory at the clerk, or ended without its entry in the log. */
static enum runtime_status worth_another_try(struct work *w, bool *ret)
{
	enum session_state now = journal_state(w->journal);
	struct clerk_taken held = { .n = 0 };
	enum runtime_status s = RUNTIME_OK;
	bool worth = (now == SESSION_QUARANTINED || now == SESSION_LOST) &&
		     ends_unlogged(w->journal);

	if (!worth && now == SESSION_QUARANTINED && w->observer->clerk >= 0)
		s = clerk_take(w->observer->clerk, w->id, &held, &w->done.error);
	for (size_t i = 0; i < held.n; i++)
		worth |= held.slots[i] == WIRE_SLOT_TMPFS || held.slots[i] == WIRE_SLOT_KEYS;
	give_back(&held);
	*ret = worth;
	return s;
}

static void say_why(struct work *w, bool old, bool lost)
{
	snprintf(w->done.why, sizeof(w->done.why), "%s",
		 old                                  ? "the host was restarted"
		 : w->done.was == SESSION_QUARANTINED ? "tried again"
		 : w->done.was == SESSION_LOST        ? "lost before"
		 : lost                               ? "keeper and holder died"
		 : w->done.was == SESSION_NONE
			 ? "keeper died before anything of the tenant ran"
			 : "keeper died; what the clerk held of it is wiped");
}

static enum runtime_status finish(struct work *w, const struct receipt *r,
				  const struct news *news, bool wiped)
{
	enum runtime_status s = note_lines(w, news);

	fault_point("recover.scrubbed");
	if (s == RUNTIME_OK)
		s = mark_dirty(w, r);
	if (s == RUNTIME_OK)
		s = conclude(w, r);
	fault_point("recover.moved");
	return s == RUNTIME_OK ? give_up(w, wiped) : s;
}

static enum runtime_status scrub_and_conclude(struct work *w, bool old, bool lost)
{
	enum runtime_status s = move_to_scrubbing(w, lost);
	struct receipt r;
	struct news news;
	bool wiped;

	if (s != RUNTIME_OK)
		return s;
	wiped = scrub(w, &r, old);
	find_news(w, &r, &news);
	return finish(w, &r, &news, wiped);
}

/* It is in quarantine. A try that comes to the same end takes no room in its journal, or
 * tries without end would fill it: so here the scrub comes before the states. */
static enum runtime_status scrub_again(struct work *w, bool old, bool lost)
{
	struct receipt r;
	struct news news;
	bool wiped = scrub(w, &r, old);
	enum runtime_status s;

	find_news(w, &r, &news);
	w->entered = news.n == 0 && w->unlogged && enter(w, &w->done.error) == RUNTIME_OK;
	if (news.n == 0 && !w->entered) {
		snprintf(w->done.why, sizeof(w->done.why),
			 "tried again, to the same end%s%.100s",
			 w->unlogged ? "; not in the audit log: " : "",
			 w->unlogged ? w->done.error.what : "");
		return give_up(w, wiped);
	}
	s = move_to_scrubbing(w, lost);
	return s == RUNTIME_OK ? finish(w, &r, &news, wiped) : s;
}

/* Locked, and with the journal as it is now. Processes and folders of another boot are
 * gone, and their numbers and paths may be somebody else's. */
static enum runtime_status mend(struct work *w)
{
	uint8_t boot[16];
	bool old, lost;
	enum runtime_status s = RUNTIME_OK;

	if (!boot_id(boot))
		return runtime_fail(&w->done.error, RUNTIME_SYSTEM, w->done.hex, "",
				    "the kernel does not say which boot this is");
	old = memcmp(boot, w->journal->begin.boot, sizeof(boot)) != 0;
	fault_point("recover.locked");
	if (!old)
		s = take(w);
	fault_point("recover.taken");
	lost = w->done.was == SESSION_LOST || old ||
	       (w->taken.n == 0 && w->done.was != SESSION_NONE &&
		w->done.was != SESSION_QUARANTINED);
	say_why(w, old, lost);
	if (s == RUNTIME_OK && !old)
		s = kill_rest(w);
	fault_point("recover.killed");
	if (s == RUNTIME_OK && !old)
		s = remove_cgroups(w);
	fault_point("recover.removed");
	if (s != RUNTIME_OK)
		return s;
	return w->done.was == SESSION_QUARANTINED ? scrub_again(w, old, lost)
						  : scrub_and_conclude(w, old, lost);
}

/* The lock of a keeper that was killed may outlive it by a moment, in a child that the
 * kernel is killing as well; another recovery takes moments, too. */
static enum runtime_status reopen(struct work *w)
{
	static const struct timespec pause = { .tv_nsec = 50 * 1000 * 1000 };
	enum runtime_status s = RUNTIME_REFUSED;

	for (unsigned tries = 0; tries < 40 && s == RUNTIME_REFUSED; tries++) {
		if (tries > 0)
			nanosleep(&pause, NULL);
		s = journal_reopen(w->paths->sessions_fd, w->id, &w->writer, w->journal,
				   &w->done.error);
	}
	return s;
}

static enum recover_outcome outcome(enum runtime_status s)
{
	switch (s) {
	case RUNTIME_OK:
		return RECOVER_MENDED;
	case RUNTIME_MALFORMED:
		return RECOVER_UNREADABLE;
	default:
		return RECOVER_FAILED;
	}
}

/* False: there is nothing to say, another recovery came first. */
static bool mend_locked(struct work *w)
{
	enum runtime_status s = reopen(w);
	bool worth = true;

	if (s == RUNTIME_OK) {
		w->done.was = w->done.now = journal_state(w->journal);
		w->unlogged = ends_unlogged(w->journal);
		if (session_final(w->done.was))
			s = worth_another_try(w, &worth);
	}
	if (s == RUNTIME_OK && !worth)
		return false; /* another recovery has done it since */
	if (s == RUNTIME_OK)
		s = mend(w);
	w->done.outcome = outcome(s);
	return true;
}

/* The writer's lock keeps it away from a session that is just being made. */
static bool remove_unborn(struct work *w)
{
	enum runtime_status s = journal_discard(w->paths->sessions_fd, w->id, &w->done.error);

	if (s == RUNTIME_REFUSED)
		return false;
	w->done.outcome = s == RUNTIME_OK ? RECOVER_REMOVED : RECOVER_FAILED;
	return true;
}

/* False: there is nothing to say. */
static bool recover_one(struct work *w, const struct observed *o)
{
	bool say, worth = true;

	switch (o->facts.journal) {
	case OBSERVE_UNBORN:
		return remove_unborn(w);
	case OBSERVE_WHOLE:
	case OBSERVE_TORN:
		break;
	default:
		w->done.error = o->error;
		w->done.outcome = RECOVER_UNREADABLE;
		return true;
	}
	if (o->begin.euid != geteuid() || o->facts.keeper == OBSERVE_KEEPER_ALIVE)
		return false;
	memcpy(w->done.name, o->begin.name, sizeof(w->done.name));
	w->done.was = w->done.now = o->facts.state;
	if (session_final(o->facts.state)) {
		enum runtime_status s = worth_another_try(w, &worth);

		if (s == RUNTIME_OK && !worth)
			s = tidy(w);
		if (s != RUNTIME_OK || !worth) {
			w->done.outcome = outcome(s);
			return w->done.outcome != RECOVER_MENDED;
		}
	}
	if (o->facts.keeper == OBSERVE_KEEPER_UNKNOWN) {
		(void)runtime_fail(&w->done.error, RUNTIME_SYSTEM, o->hex, "run it again",
				   "could not tell whether its keeper lives");
		w->done.outcome = RECOVER_FAILED;
		return true;
	}
	say = mend_locked(w);
	give_back(&w->taken);
	journal_close(w->writer);
	w->writer = NULL;
	return say;
}

/* A clerk that was killed left its name behind. It goes under the clerk's lock, so that it
 * is never a successor's. */
static void remove_clerk_socket(const struct paths *p)
{
	AUTO(closep) int lock = -1;

	if (p->run_fd >= 0)
		lock = openat(p->run_fd, CLERK_LOCK, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (lock >= 0 && flock(lock, LOCK_EX | LOCK_NB) == 0)
		(void)unlinkat(p->run_fd, CLERK_SOCKET, 0); /* most often there is none */
}

/* The worst of what happened: could not do it, cannot read it, fine. */
static enum runtime_status worse(enum runtime_status s, enum recover_outcome o)
{
	enum runtime_status now = o == RECOVER_FAILED       ? RUNTIME_SYSTEM
				  : o == RECOVER_UNREADABLE ? RUNTIME_MALFORMED
							    : RUNTIME_OK;

	return now > s ? now : s;
}

enum runtime_status recover_all(const struct paths *p, const char *clerk, recover_say *say,
				void *arg, enum runtime_status *ret_worst,
				struct runtime_error *reterr)
{
	AUTO(freep) uint8_t(*ids)[SESSION_ID_BYTES] = NULL;
	AUTO(freep) struct journal *j = calloc(1, sizeof(*j));
	enum runtime_status s, worst = RUNTIME_OK;
	struct observer ob;
	size_t n;

	if (!j)
		return runtime_fail(reterr, RUNTIME_SYSTEM, p->state, "", "no memory");
	s = observe_ids(p, &ids, &n, reterr);
	if (s != RUNTIME_OK)
		return s;
	observe_open(p, &ob);
	for (size_t i = 0; i < n; i++) {
		struct work w = { .paths = p, .observer = &ob, .clerk = clerk, .journal = j };
		struct observed o;

		observe_session(&ob, ids[i], &o, j);
		memcpy(w.id, ids[i], sizeof(w.id));
		memcpy(w.done.hex, o.hex, sizeof(w.done.hex));
		if (!recover_one(&w, &o))
			continue;
		worst = worse(worst, w.done.outcome);
		say(arg, &w.done);
	}
	observe_close(&ob);
	remove_clerk_socket(p);
	*ret_worst = worst;
	return RUNTIME_OK;
}
