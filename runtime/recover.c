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

#include "runtime/cgroup.h"
#include "runtime/clerk.h"
#include "runtime/fault.h"
#include "runtime/observe.h"

#define GONE_MS 5000 /* a killed process that is not gone by then hangs in the kernel */

struct work {
	const struct paths *paths;
	const struct observer *observer;
	struct journal *journal;
	struct journal_writer *writer;
	struct clerk_taken taken; /* what the clerk held of it */
	struct recovered done;
	uint8_t id[SESSION_ID_BYTES];
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

/* ---- the journal's way to its end ------------------------------------------------ */

/* From each state the event that leads on to QUARANTINED. */
static const enum session_event onward[SESSION_STATES] = {
	[SESSION_NONE] = EV_HOLD_FAILED,  [SESSION_PREPARED] = EV_REFUSED,
	[SESSION_ATTESTING] = EV_REFUSED, [SESSION_RUNNING] = EV_ENDING,
	[SESSION_STOPPING] = EV_GONE,     [SESSION_SCRUBBING] = EV_RESIDUE,
};

static enum runtime_status move_to_end(struct work *w, bool lost)
{
	enum runtime_status s = RUNTIME_OK;

	/* Nothing was wiped, and the receipt will have to say so. A journal that has no
	 * room for another fact must still come to its end. */
	if (!journal_fact(w->journal, "assurance") &&
	    w->journal->slots_used < JOURNAL_SLOTS - JOURNAL_RESERVE)
		s = journal_note(w->writer, "assurance", "none/none", &w->done.error);
	if (s == RUNTIME_OK && lost)
		s = journal_move(w->writer, EV_LOST, w->done.why, &w->done.error);
	while (s == RUNTIME_OK && !session_final(journal_writer_state(w->writer)))
		s = journal_move(w->writer, onward[journal_writer_state(w->writer)],
				 w->done.why, &w->done.error);
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
 * next recovery finds it ended, and drops that as well. */
static enum runtime_status give_up(struct work *w)
{
	remove_socket(w->paths, w->id);
	if (w->taken.n == 0)
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
	lost = old || (w->taken.n == 0 && w->done.was != SESSION_NONE);
	snprintf(w->done.why, sizeof(w->done.why),
		 "%s; nothing was wiped: this build has no scrub",
		 old    ? "the host was restarted"
		 : lost ? "keeper and holder died"
		 : w->done.was == SESSION_NONE
			 ? "keeper died before anything of the tenant ran"
			 : "keeper died; what was held of it is given back");
	if (s == RUNTIME_OK && !old)
		s = kill_rest(w);
	fault_point("recover.killed");
	if (s == RUNTIME_OK && !old)
		s = remove_cgroups(w);
	fault_point("recover.removed");
	if (s == RUNTIME_OK)
		s = move_to_end(w, lost);
	fault_point("recover.moved");
	return s == RUNTIME_OK ? give_up(w) : s;
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

	if (s == RUNTIME_OK) {
		w->done.was = w->done.now = journal_state(w->journal);
		if (session_final(w->done.was))
			return false;
		s = mend(w);
	}
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
	bool say;

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
	if (session_final(o->facts.state)) {
		w->done.outcome = outcome(tidy(w));
		return w->done.outcome != RECOVER_MENDED;
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

enum runtime_status recover_all(const struct paths *p, recover_say *say, void *arg,
				enum runtime_status *ret_worst, struct runtime_error *reterr)
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
		struct work w = { .paths = p, .observer = &ob, .journal = j };
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
