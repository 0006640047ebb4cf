/* runtime/reaper.c - every task of a sandbox, by the memory that it uses. */
#include "runtime/reaper.h"

#include "runtime/fault.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define FIRST_CAPACITY 64

/* One keeper, one tracing thread, one wiper: made beforehand, so that a tenant's death for
 * want of memory does not have to wait for some. */
static struct process_wiper wiper;

static void finding(struct reaper *r, uint64_t bytes, const char *what)
{
	r->result.private_memory.failed += bytes;
	if (!r->why.what[0])
		(void)memscrub_fail(&r->why, MEMSCRUB_RESIDUE, "processes", "", "%s", what);
}

/* ---- the table ------------------------------------------------------------------- */

static size_t home(const struct reaper *r, pid_t tid)
{
	return (uint32_t)tid * UINT32_C(2654435761) & (r->capacity - 1);
}

static size_t slot(const struct reaper *r, pid_t tid)
{
	size_t i = home(r, tid);

	while (r->tasks[i].tid && r->tasks[i].tid != tid)
		i = (i + 1) & (r->capacity - 1);
	return i;
}

static struct reaper_task *find(const struct reaper *r, pid_t tid)
{
	size_t i = slot(r, tid);

	return r->tasks[i].tid ? &r->tasks[i] : NULL;
}

/* Spaces never outnumber tasks, and less than half of the slots are in use. */
static bool resize(struct reaper *r, size_t capacity)
{
	struct reaper_task *tasks = calloc(capacity, sizeof(*tasks)), *old = r->tasks;
	struct reaper_space *spaces = calloc(capacity, sizeof(*spaces));
	pid_t *peers = calloc(capacity, sizeof(*peers));
	size_t n = r->capacity;

	if (!tasks || !spaces || !peers) {
		free(tasks);
		free(spaces);
		free(peers);
		return false;
	}
	if (n)
		memcpy(spaces, r->spaces, n * sizeof(*spaces));
	free(r->spaces);
	free(r->peers);
	r->tasks = tasks;
	r->spaces = spaces;
	r->peers = peers;
	r->capacity = capacity;
	for (size_t i = 0; i < n; i++)
		if (old[i].tid)
			r->tasks[slot(r, old[i].tid)] = old[i];
	free(old);
	return true;
}

static uint32_t new_space(struct reaper *r)
{
	uint32_t i = 0;

	while (r->spaces[i].members)
		i++;
	r->spaces[i].copied = false;
	return i;
}

static void join(struct reaper *r, struct reaper_task *t, uint32_t space)
{
	t->space = space;
	r->spaces[space].members++;
	r->spaces[space].users += !t->leaving;
}

static void part(struct reaper *r, const struct reaper_task *t)
{
	r->spaces[t->space].members--;
	r->spaces[t->space].users -= !t->leaving;
}

/* A live task; of a space of its own where `mate` is NULL. */
static struct reaper_task *add(struct reaper *r, pid_t tid, const struct reaper_task *mate)
{
	uint32_t space = mate ? mate->space : 0;
	struct reaper_task *t;

	if (2 * (r->n + 1) > r->capacity && !resize(r, 2 * r->capacity)) {
		r->blind = true;
		finding(r, 1, "no memory is left to keep track of tasks");
		return NULL;
	}
	t = &r->tasks[slot(r, tid)];
	t->tid = tid;
	t->leaving = false;
	join(r, t, mate ? space : new_space(r));
	r->n++;
	return t;
}

static void drop(struct reaper *r, struct reaper_task *t)
{
	size_t hole = (size_t)(t - r->tasks), mask = r->capacity - 1;

	part(r, t);
	r->n--;
	/* Whoever would not be found past the hole moves into it. */
	for (size_t i = (hole + 1) & mask; r->tasks[i].tid; i = (i + 1) & mask)
		if (((i - home(r, r->tasks[i].tid)) & mask) >= ((i - hole) & mask)) {
			r->tasks[hole] = r->tasks[i];
			hole = i;
		}
	r->tasks[hole].tid = 0;
}

/* ---- who shares ------------------------------------------------------------------ */

enum sharing { APART, TOGETHER, NOT_THERE };

static enum sharing compare(struct reaper *r, pid_t a, pid_t b, int type)
{
	long n = syscall(SYS_kcmp, a, b, type, 0, 0);

	if (n == 0)
		return TOGETHER;
	if (n > 0)
		return APART;
	if (errno == ESRCH)
		return NOT_THERE;
	if (!r->blind)
		finding(r, 1, "the kernel does not say who shares memory (kcmp)");
	r->blind = true;
	return TOGETHER;
}

/* A live task whose memory (KCMP_VM) or descriptors (KCMP_FILES) are those of `tid`. */
static struct reaper_task *sharer(struct reaper *r, pid_t tid, uint32_t space, int type)
{
	for (size_t i = 0; i < r->capacity; i++) {
		struct reaper_task *t = &r->tasks[i];

		if (t->tid && t->tid != tid && !t->leaving && t->space == space &&
		    compare(r, tid, t->tid, type) == TOGETHER)
			return t;
	}
	return NULL;
}

/* Seen before whoever made it told of it. It has not run yet, so its memory is its
 * maker's or nobody's. */
static struct reaper_task *adopt(struct reaper *r, pid_t tid)
{
	struct reaper_task *t;

	for (size_t i = 0; i < r->capacity; i++) {
		t = &r->tasks[i];
		if (t->tid && !t->leaving && compare(r, tid, t->tid, KCMP_VM) == TOGETHER)
			return add(r, tid, t);
	}
	t = add(r, tid, NULL);
	if (t)
		r->spaces[t->space].copied = true;
	return t;
}

/*
 * SIGKILL takes a task out of the stop in which it would have told of its child, so a child
 * that uses its memory may be unknown. Asked only where that can have been: it goes through
 * all processes of the host.
 */
static bool has_stranger(struct reaper *r, const struct reaper_task *t)
{
	_Alignas(struct dirent64) char names[4096];
	int dir = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	pid_t tid = t->tid;
	bool found = false;
	long n;

	while (dir >= 0 && (n = syscall(SYS_getdents64, dir, names, sizeof(names))) > 0) {
		const struct dirent64 *e;

		for (long at = 0; at < n && !found; at += e->d_reclen) {
			pid_t pid;

			e = (const struct dirent64 *)(const void *)(names + at);
			pid = (pid_t)strtol(e->d_name, NULL, 10); /* 0: no process */
			/* EPERM too is no: all of ours let their tracer look. */
			found = pid > 0 && !find(r, pid) &&
				syscall(SYS_kcmp, tid, pid, KCMP_VM, 0, 0) == 0;
			if (found)
				(void)add(r, pid, t);
		}
	}
	if (dir < 0 || n < 0) {
		r->blind = true;
		finding(r, 1, "the processes of the host cannot be listed");
	} else {
		close(dir);
	}
	return found;
}

/* ---- at an exit stop ------------------------------------------------------------- */

/* Everybody but the space that ends. */
static struct process_peers peers_of(struct reaper *r, uint32_t space)
{
	struct process_peers p = { .live = r->peers, .copied = r->spaces[space].copied };
	pid_t *leaving = r->peers + r->capacity;

	r->exits++;
	for (size_t i = 0; i < r->capacity; i++) {
		const struct reaper_task *t = &r->tasks[i];
		struct reaper_space *s = &r->spaces[t->space];

		if (!t->tid || t->space == space)
			continue;
		if (t->leaving) {
			*--leaving = t->tid;
		} else if (s->seen != r->exits) {
			s->seen = r->exits;
			r->peers[p.n_live++] = t->tid;
		}
	}
	p.leaving = leaving;
	p.n_leaving = (size_t)(r->peers + r->capacity - leaving);
	return p;
}

static bool stands(pid_t tid, unsigned long *ret_status)
{
	return ptrace(PTRACE_GETEVENTMSG, tid, NULL, ret_status) == 0;
}

static void wipe(struct reaper *r, const struct reaper_task *t)
{
	struct process_peers peers = peers_of(r, t->space);
	struct memscrub_error e = { 0 };
	unsigned long ignored;

	if (fault_set("no-scrub"))
		return;
	if (process_wipe(&wiper, t->tid, &peers, &r->shared, &r->result, &e) != MEMSCRUB_OK &&
	    !r->why.what[0])
		r->why = e;
	r->processes++;
	if (!stands(t->tid, &ignored))
		finding(r, 1, "a process was taken out of its last stop before it was wiped");
}

/* The last user of the memory, for all that the table and the kernel know? */
static bool last_user(struct reaper *r, const struct reaper_task *t, unsigned long status)
{
	const struct reaper_space *s = &r->spaces[t->space];
	bool killed = (status & 0x7f) == SIGKILL;

	if (s->users > 0 && sharer(r, t->tid, t->space, KCMP_VM))
		return false;
	return !((killed || s->members > 1) && has_stranger(r, t));
}

static int64_t now_ns(void)
{
	struct timespec t = { 0 };

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* The kernel takes the memory of what it killed for want of memory when it is slow to go, and
 * wipes nothing: how long the killed had to wait decides whether that can have been. */
static void clock_killed(struct reaper *r, unsigned long status)
{
	if ((status & 0x7f) != SIGKILL)
		return;
	if (!r->killed_at)
		r->killed_at = now_ns();
	r->killed_ns = (uint64_t)(now_ns() - r->killed_at);
}

static void at_exit(pid_t tid, void *arg)
{
	struct reaper *r = arg;
	struct reaper_task *t = find(r, tid);
	unsigned long status = 0;

	if (!t)
		t = adopt(r, tid);
	if (!t)
		return;
	if (!stands(tid, &status))
		return; /* gone_by() will find that it has not left */
	clock_killed(r, status);
	part(r, t);
	t->leaving = true; /* it may have been: a thread that was killed at its exec */
	join(r, t, t->space);
	if (!sharer(r, tid, t->space, KCMP_FILES))
		shared_take_fds(&r->shared, tid);
	t = last_user(r, t, status) ? find(r, tid) : NULL; /* it may have moved */
	if (t && r->blind)
		finding(r, 1, "it cannot be told who shares memory");
	else if (t)
		wipe(r, t);
	clock_killed(r, status);
}

/* ---- what the tracer tells ------------------------------------------------------- */

/* Not any more once its death was reported, though its parent may not have heard of it. */
static bool traced(pid_t tid)
{
	siginfo_t info;

	return waitid(P_PID, (id_t)tid, &info,
		      WEXITED | WSTOPPED | WNOHANG | WNOWAIT | __WALL) == 0;
}

static struct reaper_task *made_by(struct reaper *r, const struct reaper_task *p, pid_t child)
{
	if (!p)
		return adopt(r, child);
	switch (compare(r, p->tid, child, KCMP_VM)) {
	case TOGETHER:
		return add(r, child, p);
	case APART:
		return add(r, child, NULL);
	case NOT_THERE: /* killed already; if it still stops, it is adopted */
		break;
	}
	return NULL;
}

static void born(pid_t parent, pid_t child, void *arg)
{
	struct reaper *r = arg;
	struct reaper_task *p = find(r, parent), *c = find(r, child);

	if (!c && traced(child))
		c = made_by(r, p, child);
	p = find(r, parent); /* it may have moved */
	if (p && (!c || c->space != p->space))
		r->spaces[p->space].copied = true;
	if (c && (!p || c->space != p->space))
		r->spaces[c->space].copied = true;
}

static void appeared(pid_t tid, void *arg)
{
	struct reaper *r = arg;

	if (!find(r, tid))
		(void)adopt(r, tid);
}

/* A thread that is not the first takes over the first one's id, whose own death nobody
 * hears of. */
static void execed(pid_t tid, pid_t former, void *arg)
{
	struct reaper *r = arg;
	struct reaper_task *t = former != tid ? find(r, former) : NULL;

	if (t)
		drop(r, t);
	t = find(r, tid);
	if (!t) {
		(void)add(r, tid, NULL);
		return;
	}
	part(r, t);
	t->leaving = false;
	join(r, t, new_space(r));
}

static void gone_by(pid_t tid, void *arg)
{
	struct reaper *r = arg;
	struct reaper_task *t = find(r, tid);

	if (!t) /* it never ran */
		return;
	if (!t->leaving) {
		r->missed++;
		finding(r, 1, "a process died without a last stop");
	}
	drop(r, t);
}

/* ---- begin, end ------------------------------------------------------------------ */

enum runtime_status reaper_init(struct reaper *r, const int *spare, size_t n,
				struct runtime_error *reterr)
{
	struct memscrub_error e = { 0 };

	memset(r, 0, sizeof(*r));
	r->ipc = -1;
	if (!resize(r, FIRST_CAPACITY))
		return runtime_fail(reterr, RUNTIME_SYSTEM, "scrub", "", "no memory");
	if (shared_init(&r->shared, &e) != MEMSCRUB_OK)
		return runtime_fail(reterr, RUNTIME_SYSTEM, e.where, "", "%s", e.what);
	for (size_t i = 0; i < n; i++)
		if (spare[i] >= 0 && !shared_spare(&r->shared, spare[i]))
			return runtime_fail(reterr, RUNTIME_SYSTEM, "scrub", "",
					    "cannot tell whose memory descriptor %d is",
					    spare[i]);
	process_wiper_init(&wiper);
	r->locked = mlock(&wiper, sizeof(wiper)) == 0;
	return RUNTIME_OK;
}

enum runtime_status reaper_start(struct reaper *r, struct tracer *t, const int *mounts,
				 size_t n, struct runtime_error *reterr)
{
	char path[40];

	snprintf(path, sizeof(path), "/proc/%d/ns/ipc", t->workload);
	r->ipc = open(path, O_RDONLY | O_CLOEXEC);
	if (r->ipc < 0)
		return runtime_fail(reterr, RUNTIME_SYSTEM, "scrub", "",
				    "cannot hold the ipc namespace: %s", strerror(errno));
	for (size_t i = 0; i < n; i++)
		if (!shared_mount(&r->shared, mounts[i]))
			return runtime_fail(reterr, RUNTIME_SYSTEM, "scrub", "",
					    "cannot look at the session's memory");
	if (!add(r, t->workload, NULL))
		return runtime_fail(reterr, RUNTIME_SYSTEM, "scrub", "", "no memory");
	r->started = true;
	t->exit_stop = at_exit;
	t->born = born;
	t->appeared = appeared;
	t->execed = execed;
	t->gone = gone_by;
	t->arg = r;
	return RUNTIME_OK;
}

/* The first finding stays. */
static void note(struct reaper *r, enum memscrub_status s, const struct memscrub_error *e)
{
	if (s != MEMSCRUB_OK && !r->why.what[0])
		r->why = *e;
}

void reaper_finish(struct reaper *r, struct reaper_result *ret)
{
	struct memscrub_error e = { 0 };

	memset(ret, 0, sizeof(*ret));
	if (r->started && !fault_set("no-scrub")) {
		note(r, shared_scrub(&r->shared, &ret->shared, &e), &e);
		note(r, shared_scrub_sysv(r->ipc, &ret->shared, &e), &e);
		if (r->n > 0)
			finding(r, r->n, "tasks are left");
	}
	ret->anonymous = r->result.private_memory;
	ret->in_place = r->result.shared;
	ret->processes = r->processes;
	ret->killed_ns = r->killed_ns;
	ret->why = r->why;
	shared_drop(&r->shared);
	if (r->ipc >= 0)
		close(r->ipc);
	free(r->tasks);
	free(r->spaces);
	free(r->peers);
	memset(r, 0, sizeof(*r));
	r->ipc = -1;
}
