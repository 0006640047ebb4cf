/*
 * tests/runtime/crash.h - a small world for each crash: a root of its own, the programs of
 * the fault build, and every process that comes of them. The process that makes a world
 * adopts its orphans, so nothing that was started can hide from it: when it has no child
 * left, nothing is left.
 *
 * A world lives in a process of its own and ends with it; what does not hold is said on
 * standard error, and the process ends with 1.
 */
#pragma once

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <grp.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "runtime/clerk.h"
#include "runtime/journal.h"

#define NOBODY 65534

/* Who may die. */
enum { KEEPER = 1, CLERK = 2, CLI = 4, INIT = 8, WORKLOAD = 16 };

struct world {
	char name[160]; /* of the case, for what is said about it */
	const char *bin;
	char dir[64], root[80];
	bool user;             /* sessions are an ordinary user's */
	bool no_receipt_files; /* there was no room for them; the log has the receipts */
	pid_t cli, keeper, clerk, init, workload;
	char hex[SESSION_ID_HEX];      /* of its session, once there is a journal */
	char past[16][SESSION_ID_HEX]; /* sessions before it in the same root */
	size_t n_past;
	int64_t log_size; /* entries that its audit log had at the last look */
};

static inline bool ends_in(const char *name, const char *end)
{
	size_t n = strlen(name), m = strlen(end);

	return n >= m && strcmp(name + n - m, end) == 0;
}

struct seen { /* one session as `cordon status --json` shows it */
	bool there, keeper_alive;
	pid_t keeper;
	char state[16], note[200], assurance[40];
	int held;
};

static inline int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static inline void pause_us(long us)
{
	nanosleep(&(struct timespec){ us / 1000000, us % 1000000 * 1000 }, NULL);
}

/* ---- processes ------------------------------------------------------------------- */

struct process {
	char state, name[16];
	pid_t session;
};

static inline bool look_at(pid_t pid, struct process *ret)
{
	char path[32], text[512], *name, *rest;
	int parent, group, fd;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	fd = pid > 0 ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;
	if (fd >= 0)
		close(fd);
	if (n <= 0)
		return false;
	text[n] = 0;
	name = strchr(text, '(');
	rest = strrchr(text, ')');
	if (!name || !rest)
		return false;
	*rest = 0;
	snprintf(ret->name, sizeof(ret->name), "%.15s", name + 1);
	return sscanf(rest + 1, " %c %d %d %d", &ret->state, &parent, &group, &ret->session) ==
	       4;
}

static inline bool alive(pid_t pid)
{
	struct process p;

	return look_at(pid, &p) && p.state != 'Z' && p.state != 'X';
}

/* The first process of a pid namespace, seen from outside. */
static inline bool is_first(pid_t pid)
{
	char path[32], line[256];
	bool first = false;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f)) {
		const char *last = strncmp(line, "NSpid:", 6) == 0 ? strrchr(line, '\t') : NULL;

		first |= last && last > line + 6 && atoi(last) == 1;
	}
	if (f)
		fclose(f);
	return first;
}

#define CHILDREN 64

static inline size_t children(pid_t pid, pid_t ret[static CHILDREN])
{
	char path[64];
	size_t n = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", pid, pid);
	f = pid > 0 ? fopen(path, "re") : NULL;
	while (f && n < CHILDREN && fscanf(f, "%d", &ret[n]) == 1)
		n++;
	if (f)
		fclose(f);
	return n;
}

/* Kills all that is left and waits for it. */
static inline void sweep(void)
{
	pid_t list[CHILDREN];

	for (;;) {
		size_t n = children(getpid(), list);

		for (size_t i = 0; i < n; i++)
			(void)kill(list[i], SIGKILL); /* not reaped: still our child */
		while (waitpid(-1, NULL, WNOHANG | __WALL) > 0)
			;
		if (waitpid(-1, NULL, WNOHANG | __WALL) < 0 && errno == ECHILD)
			return;
		pause_us(2000);
	}
}

/* ---- saying what does not hold --------------------------------------------------- */

static inline int remove_entry(const char *path, const struct stat *st, int type,
			       struct FTW *at)
{
	(void)st;
	(void)type;
	(void)at;
	return remove(path);
}

static inline void world_remove(struct world *w)
{
	sweep();
	(void)nftw(w->dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

__attribute__((noreturn, format(printf, 2, 3))) static inline void
broken(struct world *w, const char *format, ...)
{
	char path[80], line[512];
	va_list ap;
	FILE *f;

	fprintf(stderr, "%s: ", w->name);
	va_start(ap, format);
	vfprintf(stderr, format, ap);
	va_end(ap);
	fputc('\n', stderr);
	snprintf(path, sizeof(path), "%s/out", w->dir);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		fprintf(stderr, "    %s", line);
	if (f)
		fclose(f);
	world_remove(w);
	exit(1);
}

#define must(w, condition, ...)                                                                \
	do {                                                                                   \
		if (!(condition))                                                              \
			broken((w), __VA_ARGS__);                                              \
	} while (0)

/* ---- making one ------------------------------------------------------------------ */

static inline void world_make(struct world *w, const char *bin, bool user)
{
	w->bin = bin;
	w->user = user;
	strcpy(w->dir, "/tmp/cordon-crash-XXXXXX");
	if (prctl(PR_SET_CHILD_SUBREAPER, 1) != 0 || !mkdtemp(w->dir) ||
	    chmod(w->dir, 0711) != 0) {
		perror(w->dir);
		exit(1);
	}
	snprintf(w->root, sizeof(w->root), "%s/root", w->dir);
	must(w, mkdir(w->root, 0700) == 0, "no root: %m");
	if (user && geteuid() == 0)
		must(w, chown(w->root, NOBODY, NOBODY) == 0, "no user's root: %m");
}

static inline void become_user(void)
{
	if (geteuid() == 0 &&
	    (setgroups(0, NULL) != 0 || setresgid(NOBODY, NOBODY, NOBODY) != 0 ||
	     setresuid(NOBODY, NOBODY, NOBODY) != 0))
		_exit(99);
}

/* A program of the fault build; its standard output goes to the file `to` of the world's
 * folder. */
static inline pid_t start(struct world *w, const char *fault, const char *to,
			  char *const argv[])
{
	char program[128], path[96];
	pid_t pid;

	snprintf(program, sizeof(program), "%s/%s", w->bin, argv[0]);
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		int null = open("/dev/null", O_RDWR | O_CLOEXEC), out, err;

		snprintf(path, sizeof(path), "%s/%s", w->dir, to);
		out = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
		snprintf(path, sizeof(path), "%s/out", w->dir);
		err = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
		if (null < 0 || dup2(null, 0) < 0 || dup2(out, 1) < 0 || dup2(err, 2) < 0)
			_exit(99);
		if (w->user)
			become_user();
		(void)unsetenv("CORDON_FAULT");
		if (fault)
			(void)setenv("CORDON_FAULT", fault, 1);
		execv(program, argv);
		_exit(99);
	}
	must(w, pid > 0, "fork: %m");
	return pid;
}

/* The exit status of a child that ends in time; 128 + n for a signal. */
static inline int finish(struct world *w, pid_t pid, int64_t ms, const char *what)
{
	int64_t until = now_ms() + ms;
	int st;

	while (waitpid(pid, &st, WNOHANG) == 0) {
		must(w, now_ms() < until, "%s did not end within %d ms", what, (int)ms);
		pause_us(1000);
	}
	return WIFSIGNALED(st) ? 128 + WTERMSIG(st) : WEXITSTATUS(st);
}

/* What a program prints on standard output is returned in `answer`. */
static inline int ask(struct world *w, char *answer, size_t size, char *const argv[])
{
	char path[96];
	int status, fd;
	ssize_t got;

	snprintf(path, sizeof(path), "%s/answer", w->dir);
	(void)unlink(path);
	status = finish(w, start(w, NULL, "answer", argv), 30000, argv[0]);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	got = fd >= 0 ? read(fd, answer, size - 1) : 0;
	if (fd >= 0)
		close(fd);
	answer[got > 0 ? got : 0] = 0;
	return status;
}

/* `cordon --root ROOT VERB...` */
static inline int cordon(struct world *w, char *answer, size_t size, const char *const words[])
{
	char *argv[12] = { (char[]){ "cordon" }, (char[]){ "--root" }, w->root };
	size_t n = 3;

	for (size_t i = 0; words[i] && n < 11; i++)
		argv[n++] = (char *)(uintptr_t)words[i];
	return ask(w, answer, size, argv);
}

/* ---- who is who ------------------------------------------------------------------ */

static inline void find_own(struct world *w)
{
	pid_t own[CHILDREN];
	size_t n = children(getpid(), own);
	struct process p;

	for (size_t i = 0; i < n; i++) {
		if (!look_at(own[i], &p) || p.state == 'Z')
			continue;
		if (strcmp(p.name, "cordon-clerk") == 0)
			w->clerk = own[i];
		/* Not a fork of it that is to become a clerk: that leads no session. */
		else if (!w->keeper && strcmp(p.name, "cordon-keeper") == 0 &&
			 p.session == own[i])
			w->keeper = own[i];
	}
}

static inline void find_all(struct world *w)
{
	pid_t list[CHILDREN];
	struct process p;
	size_t n;

	find_own(w);
	n = w->keeper ? 0 : children(w->cli, list);
	for (size_t i = 0; i < n; i++)
		if (look_at(list[i], &p) && strcmp(p.name, "cordon-keeper") == 0)
			w->keeper = list[i];
	n = w->init ? 0 : children(w->keeper, list);
	for (size_t i = 0; i < n; i++)
		if (is_first(list[i]))
			w->init = list[i];
	if (!w->workload && children(w->init, list) > 0)
		w->workload = list[0];
}

static inline pid_t *role(struct world *w, unsigned who)
{
	switch (who) {
	case KEEPER:
		return &w->keeper;
	case CLERK:
		return &w->clerk;
	case CLI:
		return &w->cli;
	case INIT:
		return &w->init;
	default:
		return &w->workload;
	}
}

/* Until that process stands at its point. One that is traced shows the same letter at
 * every stop, but stays only there. */
static inline void await_stopped(struct world *w, unsigned who)
{
	int64_t until = now_ms() + 10000;
	struct process p;
	unsigned still = 0;

	while (still < ((who & (INIT | WORKLOAD)) ? 5 : 1)) {
		find_all(w);
		if (look_at(*role(w, who), &p) &&
		    p.state == ((who & (INIT | WORKLOAD)) ? 't' : 'T'))
			still++;
		else
			still = 0;
		must(w, now_ms() < until, "it never came to its point");
		pause_us(still ? 3000 : 500);
	}
	find_all(w);
}

/* ---- sessions -------------------------------------------------------------------- */

static inline bool is_past(const struct world *w, const char *name)
{
	for (size_t i = 0; i < w->n_past; i++)
		if (strncmp(w->past[i], name, SESSION_ID_HEX - 1) == 0)
			return true;
	return false;
}

static inline bool find_session(struct world *w)
{
	const struct dirent *entry;
	char path[96];
	DIR *d;

	snprintf(path, sizeof(path), "%s/sessions", w->root);
	d = w->hex[0] ? NULL : opendir(path);
	while (d && (entry = readdir(d)))
		if (strlen(entry->d_name) == 40 && ends_in(entry->d_name, ".journal") &&
		    !is_past(w, entry->d_name))
			snprintf(w->hex, sizeof(w->hex), "%.32s", entry->d_name);
	if (d)
		closedir(d);
	return w->hex[0] != 0;
}

/* The world has room for another one. */
static inline void forget_session(struct world *w)
{
	if (w->hex[0]) {
		must(w, w->n_past < sizeof(w->past) / sizeof(w->past[0]), "too many sessions");
		memcpy(w->past[w->n_past++], w->hex, sizeof(w->hex));
	}
	w->hex[0] = 0;
	w->cli = w->keeper = w->clerk = w->init = w->workload = 0;
}

/* False: there is none, or not one byte of it. */
static inline bool read_session(struct world *w, struct journal *ret)
{
	uint8_t bytes[JOURNAL_BYTES + 1] = { 0 };
	struct runtime_error e = { 0 };
	bool torn = false;
	char path[160];
	ssize_t n;
	int fd;

	if (!find_session(w))
		return false;
	snprintf(path, sizeof(path), "%s/sessions/%s.journal", w->root, w->hex);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd >= 0 ? read(fd, bytes, sizeof(bytes)) : 0;
	if (fd >= 0)
		close(fd);
	if (n <= 0 || !memchr(bytes, bytes[0] ? bytes[0] : 1, (size_t)n))
		return false;
	must(w, journal_parse(bytes, (size_t)n, ret, &torn, &e) == RUNTIME_OK || torn,
	     "its journal is %s", e.what);
	return ret->slots_used > 0;
}

static inline void copy_text(const json_t *o, const char *key, char *to, size_t size)
{
	const char *text = json_string_value(json_object_get(o, key));

	snprintf(to, size, "%s", text ? text : "");
}

static inline json_t *shown_session(const struct world *w, const json_t *list)
{
	for (size_t i = 0; i < json_array_size(list); i++) {
		json_t *s = json_array_get(list, i);

		if (!is_past(w, json_string_value(json_object_get(s, "id"))))
			return s;
	}
	return NULL;
}

static inline void status(struct world *w, struct seen *ret)
{
	const char *const words[] = { "status", "--json", find_session(w) ? w->hex : NULL,
				      NULL };
	char answer[1 << 14];
	int exit_status = cordon(w, answer, sizeof(answer), words);
	json_t *whole = json_loads(answer, 0, NULL), *s, *a;

	memset(ret, 0, sizeof(*ret));
	if (exit_status == 1 && w->hex[0]) /* there was one, and it was removed */
		return;
	must(w, exit_status == 0 && whole, "status: exit %d, %s", exit_status, answer);
	s = shown_session(w, json_object_get(whole, "sessions"));
	if (s) {
		a = json_object_get(s, "assurance");
		ret->there = true;
		copy_text(s, "state", ret->state, sizeof(ret->state));
		copy_text(s, "note", ret->note, sizeof(ret->note));
		snprintf(ret->assurance, sizeof(ret->assurance), "%s/%s",
			 json_string_value(json_object_get(a, "held")),
			 json_string_value(json_object_get(a, "kernel")));
		ret->held = (int)json_integer_value(json_object_get(s, "held_descriptors"));
		a = json_object_get(s, "keeper");
		ret->keeper_alive = json_is_true(json_object_get(a, "alive"));
		ret->keeper = (pid_t)json_integer_value(json_object_get(a, "pid"));
	}
	json_decref(whole);
}

/* ---- nothing is left ------------------------------------------------------------- */

/* What the clerk may have open when it holds nothing: its folder, lock and sockets, and
 * compiled filters, which belong to no session. */
static inline bool clerk_fd_fine(const struct world *w, const char *target)
{
	static const char *const fine[] = { "/dev/null", "socket:[", "anon_inode:[signalfd]",
					    "/memfd:cordon-filter" };

	if (strncmp(target, w->root, strlen(w->root)) == 0)
		return true;
	for (size_t i = 0; i < sizeof(fine) / sizeof(fine[0]); i++)
		if (strncmp(target, fine[i], strlen(fine[i])) == 0)
			return true;
	return false;
}

/* How many descriptors it has, all of them fine; -1 where it cannot be looked at (only
 * root can). */
static inline int clerk_fds(struct world *w)
{
	char path[64], link[96], target[256];
	const struct dirent *entry;
	int n = 0;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/fd", w->clerk);
	d = opendir(path);
	if (!d)
		return -1;
	while ((entry = readdir(d))) {
		ssize_t len;

		snprintf(link, sizeof(link), "%s/%.16s", path, entry->d_name);
		len = entry->d_name[0] == '.' ? -1 : readlink(link, target, sizeof(target) - 1);
		if (len < 0)
			continue;
		target[len] = 0;
		/* One that has just started has not yet said so. */
		must(w, clerk_fd_fine(w, target) || atoi(entry->d_name) == CLERK_READY_FD,
		     "the clerk still holds %s", target);
		n++;
	}
	closedir(d);
	return n;
}

static inline void end_clerk(struct world *w)
{
	int got;

	must(w, kill(w->clerk, SIGTERM) == 0, "no clerk to end: %m");
	got = finish(w, w->clerk, 5000, "the clerk");
	/* One that has just started does not yet take signals as messages. */
	must(w, got == 0 || got == 128 + SIGTERM, "the clerk ended with %d", got);
	w->clerk = 0;
}

static inline void clerk_ends(struct world *w)
{
	find_own(w);
	if (!alive(w->clerk))
		return;
	(void)clerk_fds(w);
	end_clerk(w);
}

static inline bool childless(void)
{
	while (waitpid(-1, NULL, WNOHANG | __WALL) > 0)
		;
	return waitpid(-1, NULL, WNOHANG | __WALL) < 0 && errno == ECHILD;
}

/* A process that was killed in the middle of starting a clerk may have left one that is
 * not yet called so. */
static inline void no_process_left(struct world *w)
{
	pid_t list[CHILDREN];
	struct process p = { 0 };

	for (int tries = 0; tries < 100; tries++) {
		if (childless())
			return;
		find_own(w);
		if (alive(w->clerk))
			end_clerk(w);
		usleep(20 * 1000);
	}
	must(w, children(getpid(), list) > 0 && look_at(list[0], &p), "a child that hides");
	broken(w, "process %d (%s, %c) is left", list[0], p.name, p.state);
}

static inline void no_mount_left(struct world *w)
{
	char line[4096];
	FILE *f = fopen("/proc/self/mountinfo", "re");

	must(w, f, "no mountinfo");
	while (fgets(line, sizeof(line), f))
		must(w, !strstr(line, w->dir), "a mount is left: %s", line);
	fclose(f);
}

static inline void no_cgroup_left(struct world *w, const struct journal *j)
{
	struct stat st;

	for (size_t i = 0; i < j->n_facts; i++)
		if (strcmp(j->facts[i].key, "cgroup") == 0)
			must(w, stat(j->facts[i].value, &st) != 0 && errno == ENOENT,
			     "a cgroup is left: %s", j->facts[i].value);
}

/* The folder has these files at most. */
static inline void only_files(struct world *w, const char *folder, const char *one,
			      const char *other)
{
	const struct dirent *entry;
	char path[128];
	DIR *d;

	snprintf(path, sizeof(path), "%s/%s", w->root, folder);
	d = opendir(path);
	while (d && (entry = readdir(d)))
		must(w,
		     strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
			     ends_in(entry->d_name, one) || ends_in(entry->d_name, other),
		     "%s/%s is left", folder, entry->d_name);
	if (d)
		closedir(d);
}

static inline void no_file_left(struct world *w)
{
	only_files(w, "run", "clerk.lock", "clerk.lock");
	only_files(w, "sessions", ".journal", ".receipt");
}

static inline void nothing_left(struct world *w, const struct journal *j)
{
	no_process_left(w);
	no_mount_left(w);
	no_file_left(w);
	if (j)
		no_cgroup_left(w, j);
}
