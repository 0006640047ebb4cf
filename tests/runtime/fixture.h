/*
 * tests/runtime/fixture.h - a root of its own, journals of keepers that live or died, and
 * a clerk of few words, for the tests of what `cordon` sees and does.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "policy/policy.h"
#include "runtime/clerk.h"
#include "runtime/journal.h"

struct fixture {
	char root[64];
	struct paths paths;
	pid_t clerk;
	unsigned next; /* the next session's id */
};

static inline int fixture_make(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	strcpy(f->root, "/tmp/cordon-test-XXXXXX");
	assert_non_null(mkdtemp(f->root));
	assert_int_equal(paths_open(f->root, true, &f->paths, NULL), RUNTIME_OK);
	*state = f;
	return 0;
}

static inline void fixture_clerk_end(struct fixture *f)
{
	if (f->clerk > 0) {
		kill(f->clerk, SIGKILL);
		waitpid(f->clerk, NULL, 0);
		unlinkat(f->paths.run_fd, "clerk.sock", 0);
	}
	f->clerk = 0;
}

static inline int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)type;
	(void)at;
	return remove(path);
}

static inline int fixture_end(void **state)
{
	struct fixture *f = *state;

	fixture_clerk_end(f);
	paths_close(&f->paths);
	assert_int_equal(nftw(f->root, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
	free(f);
	return 0;
}

/* ---- journals -------------------------------------------------------------------- */

/* A keeper that died: a number and a start time that no process has. */
static inline void dead_process(int32_t *ret_pid, uint64_t *ret_start)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	/* Still a zombie: its start time can be read. */
	assert_int_equal(waitid(P_PID, (id_t)pid, &(siginfo_t){ 0 }, WEXITED | WNOWAIT), 0);
	*ret_start = process_start_time(pid);
	*ret_pid = pid;
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static inline struct journal_begin begin_of(struct fixture *f, bool alive)
{
	struct journal_begin b = { .tenant = "acme",
				   .class = POLICY_CLASS_SANDBOX,
				   .euid = geteuid(),
				   .detached = true,
				   .builtin = true,
				   .held = POLICY_HELD_NONE,
				   .kernel = POLICY_KERNEL_NONE };
	struct timespec now;

	/* Ids that differ in their first bytes, so that a short prefix is enough. */
	b.id[0] = (uint8_t)++f->next;
	b.id[1] = 0xab;
	b.id[15] = 0x01;
	/* Cgroups are named by it, and other runs of this test have theirs. */
	memcpy(b.id + 8, &(pid_t){ getpid() }, sizeof(pid_t));
	assert_true(boot_id(b.boot));
	clock_gettime(CLOCK_REALTIME, &now);
	b.created = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
	if (alive) {
		b.keeper = getpid();
		b.keeper_start = process_start_time(getpid());
	} else {
		dead_process(&b.keeper, &b.keeper_start);
	}
	return b;
}

/* The events that lead to each state. */
static inline void move_to(struct journal_writer *w, enum session_state want)
{
	static const enum session_event way[SESSION_STATES][6] = {
		[SESSION_PREPARED] = { EV_HELD },
		[SESSION_ATTESTING] = { EV_HELD, EV_ATTEST },
		[SESSION_RUNNING] = { EV_HELD, EV_START },
		[SESSION_STOPPING] = { EV_HELD, EV_START, EV_ENDING },
		[SESSION_SCRUBBING] = { EV_HELD, EV_START, EV_ENDING, EV_GONE },
		[SESSION_CLEAN] = { EV_HELD, EV_START, EV_ENDING, EV_GONE, EV_CLEAN },
		[SESSION_QUARANTINED] = { EV_HELD, EV_START, EV_ENDING, EV_GONE, EV_RESIDUE },
		[SESSION_LOST] = { EV_LOST },
	};

	for (size_t i = 0; i < 6 && way[want][i]; i++)
		assert_int_equal(journal_move(w, way[want][i], "a test", NULL), RUNTIME_OK);
	assert_int_equal(journal_writer_state(w), want);
}

static inline void write_journal(struct fixture *f, const struct journal_begin *b,
				 enum session_state state, const struct journal_fact *facts,
				 size_t n)
{
	struct journal_writer *w = NULL;

	assert_int_equal(journal_create(f->paths.sessions_fd, b, &w, NULL), RUNTIME_OK);
	if (n)
		assert_int_equal(journal_note_all(w, facts, n, NULL), RUNTIME_OK);
	move_to(w, state);
	journal_close(w);
}

static inline void journal_name(const uint8_t id[static SESSION_ID_BYTES], char name[static 48])
{
	session_id_hex(id, name);
	strcat(name, ".journal");
}

/* Writes over the bytes of a journal, as a failing disk does. */
static inline void damage(struct fixture *f, const uint8_t id[static SESSION_ID_BYTES],
			  off_t at, const void *bytes, size_t n)
{
	char name[48];
	int fd;

	journal_name(id, name);
	fd = openat(f->paths.sessions_fd, name, O_WRONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, bytes, n, at), (ssize_t)n);
	close(fd);
}

static inline enum session_state state_of(struct fixture *f,
					  const uint8_t id[static SESSION_ID_BYTES])
{
	struct journal *j = calloc(1, sizeof(*j));
	enum session_state s;
	bool torn;

	assert_int_equal(journal_read(f->paths.sessions_fd, id, j, &torn, NULL), RUNTIME_OK);
	s = journal_state(j);
	free(j);
	return s;
}

/* ---- processes ------------------------------------------------------------------- */

static inline pid_t start_sleeper(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	assert_true(pid > 0);
	return pid;
}

static inline bool lives(pid_t pid)
{
	siginfo_t info = { 0 };

	assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT), 0);
	return info.si_pid == 0;
}

static inline void end_sleeper(pid_t pid)
{
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static inline struct journal_fact fact_process(const char *key, pid_t pid, uint64_t start)
{
	struct journal_fact fact;

	snprintf(fact.key, sizeof(fact.key), "%s", key);
	snprintf(fact.value, sizeof(fact.value), "%d %llu", pid, (unsigned long long)start);
	return fact;
}

/* ---- a session's memory ---------------------------------------------------------- */

/* A memory file system that is mounted nowhere, as a keeper leaves it with the clerk; -1
 * where this host lets the caller make none. */
static inline int tmpfs_mount(void)
{
	int context = fsopen("tmpfs", FSOPEN_CLOEXEC);
	bool made = context >= 0 &&
		    fsconfig(context, FSCONFIG_SET_STRING, "mode", "700", 0) == 0 &&
		    fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0;
	int mount = made ? fsmount(context, FSMOUNT_CLOEXEC, 0) : -1;

	if (context >= 0)
		close(context);
	return mount;
}

#define TENANT_BYTES 10000u /* more than two pages, and no whole number of them */

/* A file in it that is full of a tenant's bytes. */
static inline int tenant_file(int mount, const char *name)
{
	int fd = openat(mount, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	char bytes[TENANT_BYTES];

	memset(bytes, 'T', sizeof(bytes));
	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, sizeof(bytes)), sizeof(bytes));
	return fd;
}

/* How many of its bytes are not zero. */
static inline size_t tenant_bytes_left(int fd)
{
	char bytes[TENANT_BYTES];
	size_t left = 0;

	assert_int_equal(pread(fd, bytes, sizeof(bytes), 0), sizeof(bytes));
	for (size_t i = 0; i < sizeof(bytes); i++)
		left += bytes[i] != 0;
	return left;
}

/* ---- a clerk that holds one session's descriptors -------------------------------- */

struct clerk_stock {
	uint8_t id[SESSION_ID_BYTES];
	int fd;
	enum wire_slot slot;
	bool held;
};

static inline void answer(int sock, const struct wire_message *q, struct clerk_stock *stock)
{
	struct wire_message a = { .type = WIRE_NO, .text = "not held" };
	bool mine = stock->held && memcmp(q->id, stock->id, sizeof(q->id)) == 0;

	memcpy(a.id, q->id, sizeof(a.id));
	if (mine &&
	    (q->type == WIRE_TAKE || (q->type == WIRE_LOG && stock->slot == WIRE_SLOT_RING))) {
		a.type = WIRE_HELD;
		a.a = stock->slot;
		a.fds[0] = stock->fd;
		a.n_fds = 1;
		a.text[0] = '\0';
		if (wire_send(sock, &a, NULL) != RUNTIME_OK || q->type == WIRE_LOG)
			return;
		a.n_fds = 0;
	}
	if (q->type != WIRE_LOG) {
		a.type = WIRE_OK;
		a.a = q->type == WIRE_ASK && mine;
		a.text[0] = '\0';
	}
	if (mine &&
	    (q->type == WIRE_DROP || (q->type == WIRE_OVER && stock->slot != WIRE_SLOT_RING)))
		stock->held = false;
	if (wire_send(sock, &a, NULL) != RUNTIME_OK)
		return;
}

static inline void serve(int listener, struct clerk_stock *stock)
{
	for (;;) {
		struct wire_message q;
		bool closed = false;
		int sock = -1;

		if (wire_accept(listener, &sock, NULL) != RUNTIME_OK)
			continue;
		if (fork() == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			while (wire_receive(sock, &q, &closed, NULL) == RUNTIME_OK && !closed) {
				wire_close_fds(&q);
				answer(sock, &q, stock);
			}
			_exit(0);
		}
		close(sock);
	}
}

/* Serves until it is killed. `fd` stays the caller's. */
static inline void start_clerk(struct fixture *f, const uint8_t id[static SESSION_ID_BYTES],
			       enum wire_slot slot, int fd)
{
	struct clerk_stock *stock = mmap(NULL, sizeof(*stock), PROT_READ | PROT_WRITE,
					 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int listener;

	assert_ptr_not_equal(stock, MAP_FAILED);
	*stock = (struct clerk_stock){ .fd = fd, .slot = slot, .held = true };
	memcpy(stock->id, id, sizeof(stock->id));
	assert_int_equal(wire_listen(f->paths.run_fd, "clerk.sock", &listener, NULL),
			 RUNTIME_OK);
	f->clerk = fork();
	if (f->clerk == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		signal(SIGCHLD, SIG_IGN);
		serve(listener, stock);
	}
	munmap(stock, sizeof(*stock));
	close(listener);
}
