/*
 * tests/runtime/test_reaper.c - who is wiped when, over all the ways in which processes
 * share memory and die. Each act is this program again, under the tracer, in the place of
 * a workload; at every exit stop it is searched for its canary after the reaper was there.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/reaper.h"

#define PAGE 4096u
#define LINE 64u

/* ---- the canary ------------------------------------------------------------------ */

/* Made where it is needed: the program's own text must not hold it. */
static void canary(uint8_t line[static 16])
{
	for (unsigned i = 0; i < 16; i++)
		line[i] = (uint8_t)((i * 37 + 11) ^ 0xa5);
}

static void fill(void *memory, size_t n)
{
	uint8_t *to = memory;

	for (size_t i = 0; i < n; i += LINE)
		canary(to + i);
}

static bool intact(const void *memory, size_t n)
{
	const uint8_t *at = memory;
	uint8_t line[16];
	bool ok = true;

	canary(line);
	for (size_t i = 0; i < n; i += LINE)
		ok &= memcmp(at + i, line, sizeof(line)) == 0;
	explicit_bzero(line, sizeof(line));
	return ok;
}

static uint8_t *mapped(size_t n, int flags)
{
	void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		_exit(99);
	return p;
}

static uint8_t *filled(size_t n)
{
	uint8_t *p = mapped(n, MAP_PRIVATE);

	fill(p, n);
	return p;
}

/* ---- the acts: what the workload does. 0 is well. --------------------------------- */

static const size_t some = 64 * PAGE;

static int act_exit(void)
{
	filled(some);
	return 0;
}

static int act_sigkill(void)
{
	filled(some);
	raise(SIGKILL);
	return 1;
}

static int act_segv(void)
{
	static const struct rlimit none;

	setrlimit(RLIMIT_CORE, &none);
	filled(some);
	(void)signal(SIGSEGV, SIG_DFL);
	raise(SIGSEGV);
	return 1;
}

static int act_large(void)
{
	filled((size_t)64 << 20);
	return 0;
}

static void *thread_fills(void *arg)
{
	fill(arg, some);
	return NULL;
}

static int act_thread_ends(void)
{
	uint8_t *p = mapped(some, MAP_PRIVATE), *q = filled(some);
	pthread_t t;

	if (pthread_create(&t, NULL, thread_fills, p) || pthread_join(t, NULL))
		return 1;
	return intact(p, some) && intact(q, some) ? 0 : 2;
}

static void *thread_waits(void *arg)
{
	filled(some);
	(void)arg;
	pause();
	return NULL;
}

static int act_exit_group(void)
{
	pthread_t t;

	for (int i = 0; i < 8; i++)
		if (pthread_create(&t, NULL, thread_waits, NULL))
			return 1;
	filled(some);
	return 0;
}

static void *thread_outlives(void *arg)
{
	uint8_t *p = filled(some);

	(void)arg;
	usleep(20000);
	_exit(intact(p, some) ? 0 : 2);
}

static int act_first_thread_ends(void)
{
	pthread_t t;

	if (pthread_create(&t, NULL, thread_outlives, NULL))
		return 1;
	syscall(SYS_exit, 0); /* this thread alone, without pthread_exit's unwinding */
	return 1;
}

/* `first` ends 0: both at once, 1: the parent first, 2: the child first. */
static int forked(int first)
{
	uint8_t *p = filled(some), *q = filled(some);
	int gate[2];
	char byte;
	pid_t pid;

	if (pipe(gate) < 0)
		return 1;
	pid = fork();
	if (pid == 0) {
		fill(q, some); /* its own copy */
		if (first != 2) {
			close(gate[1]);
			(void)!read(gate[0], &byte, 1); /* until the parent is gone */
		}
		if (first == 1)
			usleep(50000);
		_exit(intact(p, some) && intact(q, some) ? 0 : 2);
	}
	if (first == 2) {
		int status;

		if (waitpid(pid, &status, 0) != pid || status)
			return 3;
	}
	return intact(p, some) && intact(q, some) ? 0 : 2;
}

static int act_fork_together(void)
{
	return forked(0);
}

static int act_fork_parent_first(void)
{
	return forked(1);
}

static int act_fork_child_first(void)
{
	return forked(2);
}

/* Thirty processes with the same pages, killed at the same moment. */
static int act_fork_killed(void)
{
	filled(some);
	for (int i = 0; i < 30; i++)
		if (fork() == 0)
			for (;;)
				pause();
	usleep(20000);
	kill(0, SIGKILL);
	return 1;
}

static int act_vfork(void)
{
	uint8_t *p = filled(some);
	int status;

	for (int i = 0; i < 20; i++) {
		pid_t pid = vfork(); /* NOLINT */

		if (pid == 0)
			_exit(0);
		if (waitpid(pid, &status, 0) != pid || !intact(p, some))
			return 2;
	}
	return 0;
}

static int act_vfork_killed(void)
{
	uint8_t *p = filled(some);

	for (int i = 0; i < 20; i++) {
		pid_t pid = vfork(); /* NOLINT */

		if (pid == 0) {
			kill(getpid(), SIGKILL);
			_exit(0);
		}
		if (waitpid(pid, NULL, 0) != pid || !intact(p, some))
			return 2;
	}
	return 0;
}

static int act_spawn_fails(void)
{
	char *const argv[] = { (char[]){ "no" }, NULL };
	uint8_t *p = filled(some);
	pid_t pid;

	for (int i = 0; i < 20; i++)
		if (posix_spawn(&pid, "/nonexistent", NULL, NULL, argv, argv) != ENOENT ||
		    !intact(p, some))
			return 2;
	return 0;
}

static int act_spawn(void)
{
	char *const argv[] = { (char[]){ "true" }, NULL };
	uint8_t *p = filled(some);
	pid_t pid;
	int status;

	for (int i = 0; i < 20; i++)
		if (posix_spawn(&pid, "/bin/true", NULL, NULL, argv, argv + 1) ||
		    waitpid(pid, &status, 0) != pid || status || !intact(p, some))
			return 2;
	return 0;
}

static int same_memory(void *arg)
{
	fill(arg, some);
	return 0;
}

/* Not a thread, not vfork: the parent runs beside it. */
static int act_clone_vm(void)
{
	static uint8_t stack[64 * 1024] __attribute__((aligned(64)));
	uint8_t *p = mapped(some, MAP_PRIVATE), *q = filled(some);
	int status;

	for (int i = 0; i < 20; i++) {
		pid_t pid = clone(same_memory, stack + sizeof(stack),
				  CLONE_VM | (i & 1 ? 0 : SIGCHLD), p);

		if (pid < 0 || waitpid(pid, &status, __WALL) != pid || status)
			return 1;
		if (!intact(p, some) || !intact(q, some))
			return 2;
	}
	return 0;
}

static int outlives(void *arg)
{
	usleep(30000);
	_exit(intact(arg, some) ? 0 : 2);
}

/* The first process ends, its memory lives on. */
static int act_clone_vm_survives(void)
{
	static uint8_t stack[64 * 1024] __attribute__((aligned(64)));
	uint8_t *p = filled(some);

	if (clone(outlives, stack + sizeof(stack), CLONE_VM | SIGCHLD, p) < 0)
		return 1;
	syscall(SYS_exit_group, 0);
	return 1;
}

static void *thread_execs(void *arg)
{
	char *const argv[] = { (char[]){ "reaper" }, (char[]){ "exit" }, NULL };

	(void)arg;
	filled(some);
	execv("/proc/self/exe", argv);
	_exit(3);
}

/* execve by a thread that is not the first: all others are killed under it. */
static int act_thread_execs(void)
{
	pthread_t t;

	for (int i = 0; i < 4; i++)
		if (pthread_create(&t, NULL, thread_waits, NULL))
			return 1;
	if (pthread_create(&t, NULL, thread_execs, NULL))
		return 1;
	for (;;)
		pause();
}

static int act_execs(void)
{
	char *const argv[] = { (char[]){ "reaper" }, (char[]){ "exit" }, NULL };

	filled(some);
	execv("/proc/self/exe", argv);
	return 3;
}

static int act_protected(void)
{
	mprotect(filled(some), some, PROT_READ);
	mprotect(filled(some), some, PROT_NONE);
	madvise(filled(some), some, MADV_DONTFORK);
	madvise(filled(some), some, MADV_WIPEONFORK);
	madvise(filled(some), some, MADV_FREE);
	(void)mlock(filled(some), some);
	(void)mmap(NULL, (size_t)1 << 40, PROT_NONE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	return 0;
}

static int act_huge(void)
{
	size_t n = (size_t)8 << 20;
	uint8_t *p = mapped(n, MAP_PRIVATE);

	madvise(p, n, MADV_HUGEPAGE);
	fill(p, n);
	/* The child writes a page and ends; the huge page is the parent's again. */
	if (fork() == 0)
		_exit(0);
	wait(NULL);
	return intact(p, n) ? 0 : 2;
}

static int act_shared_anonymous(void)
{
	uint8_t *p = mapped(some, MAP_SHARED);

	if (fork() == 0) {
		fill(p, some);
		_exit(0);
	}
	wait(NULL);
	if (!intact(p, some))
		return 2;
	/* The last user has not touched what the child wrote. */
	p = mapped(some, MAP_SHARED);
	if (fork() == 0) {
		fill(p, some);
		_exit(0);
	}
	wait(NULL);
	return 0;
}

static int act_memfd(void)
{
	int fd = memfd_create("tenant", 0);
	uint8_t *p;

	if (fd < 0 || ftruncate(fd, (off_t)some) < 0)
		return 1;
	p = mmap(NULL, some, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		return 1;
	fill(p, some);
	munmap(p, some); /* only the descriptor is left */
	if (fork() == 0) {
		usleep(20000); /* outlives the parent, and still has it whole */
		p = mmap(NULL, some, PROT_READ, MAP_SHARED, fd, 0);
		_exit(p != MAP_FAILED && intact(p, some) ? 0 : 2);
	}
	return 0;
}

static int act_memfd_closed(void)
{
	int fd = memfd_create("tenant", 0);
	uint8_t *p;

	if (fd < 0 || ftruncate(fd, (off_t)some) < 0)
		return 1;
	p = mmap(NULL, some, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		return 1;
	close(fd);
	fill(p, some);
	return 0;
}

static int act_sysv(void)
{
	int kept = shmget(IPC_PRIVATE, some, 0600), marked = shmget(IPC_PRIVATE, some, 0600);
	uint8_t *p = shmat(kept, NULL, 0), *q = shmat(marked, NULL, 0);

	if (p == (void *)-1 || q == (void *)-1)
		return 1;
	fill(p, some);
	fill(q, some);
	shmctl(marked, IPC_RMID, NULL); /* goes with its last user */
	shmdt(p);                       /* stays without any */
	return 0;
}

static int act_shell(void)
{
	execl("/bin/sh", "sh", "-c", "for i in $(seq 50); do /bin/true; done; (exit 0) | cat",
	      (char *)NULL);
	return 1;
}

/* Grows until its memory cgroup is full. */
static int act_oom(void)
{
	for (int i = 0; i < 4096; i++)
		filled((size_t)1 << 20);
	return 1;
}

enum kind { PRIVATE, SHARED }; /* where the canary lies at the last end */

static const struct act {
	const char *name;
	int (*run)(void);
	int status; /* of the workload, as wait(2) has it */
	enum kind kind;
} acts[] = {
	{ "exit", act_exit, 0, PRIVATE },
	{ "sigkill", act_sigkill, SIGKILL, PRIVATE },
	{ "segv", act_segv, SIGSEGV, PRIVATE },
	{ "large", act_large, 0, PRIVATE },
	{ "thread_ends", act_thread_ends, 0, PRIVATE },
	{ "exit_group", act_exit_group, 0, PRIVATE },
	{ "first_thread_ends", act_first_thread_ends, 0, PRIVATE },
	{ "fork_together", act_fork_together, 0, PRIVATE },
	{ "fork_parent_first", act_fork_parent_first, 0, PRIVATE },
	{ "fork_child_first", act_fork_child_first, 0, PRIVATE },
	{ "fork_killed", act_fork_killed, SIGKILL, PRIVATE },
	{ "vfork", act_vfork, 0, PRIVATE },
	{ "vfork_killed", act_vfork_killed, 0, PRIVATE },
	{ "spawn_fails", act_spawn_fails, 0, PRIVATE },
	{ "spawn", act_spawn, 0, PRIVATE },
	{ "clone_vm", act_clone_vm, 0, PRIVATE },
	{ "clone_vm_survives", act_clone_vm_survives, 0, PRIVATE },
	{ "thread_execs", act_thread_execs, 0, PRIVATE },
	{ "execs", act_execs, 0, PRIVATE },
	{ "protected", act_protected, 0, PRIVATE },
	{ "huge", act_huge, 0, PRIVATE },
	{ "shared_anonymous", act_shared_anonymous, 0, SHARED },
	{ "memfd", act_memfd, 0, SHARED },
	{ "memfd_closed", act_memfd_closed, 0, SHARED },
	{ "sysv", act_sysv, 0, SHARED },
	{ "shell", act_shell, 0, PRIVATE },
	{ "oom", act_oom, SIGKILL, PRIVATE },
};
#define ACTS (sizeof(acts) / sizeof(acts[0]))

/* ---- the stage ------------------------------------------------------------------- */

struct stage {
	struct tracer tracer;
	struct reaper reaper;
	struct reaper_result result;
	void (*at_exit)(pid_t pid, void *arg); /* the reaper's */
	uint64_t before, after, last; /* canaries at the exit stops of those who were wiped */
	bool idle;                    /* nobody wipes: the positive control */
	int into;                     /* cgroup.procs of the act's cgroup, or -1 */
	int held[SHARED_OBJECTS];     /* what the reaper held at its end */
	size_t n_held;
};

/* Lines in all that the process has in memory, shared or not. */
static uint64_t lines_in(pid_t pid)
{
	static struct maps maps;
	static uint8_t chunk[1 << 20];
	struct mapping m;
	uint64_t n = 0;
	char path[32];
	uint8_t line[16];
	int mem;

	canary(line);
	snprintf(path, sizeof(path), "/proc/%d/mem", pid);
	mem = open(path, O_RDONLY | O_CLOEXEC);
	if (mem < 0 || !maps_open(&maps, pid)) {
		assert_true(mem < 0 || close(mem) == 0);
		return UINT64_MAX; /* a thread whose group ended meanwhile */
	}
	while (maps_next(&maps, &m)) {
		if (m.end - m.start > (uint64_t)1 << 32)
			continue;
		for (uint64_t at = m.start; at < m.end; at += sizeof(chunk)) {
			size_t want = m.end - at < sizeof(chunk) ? m.end - at : sizeof(chunk);
			ssize_t got = pread(mem, chunk, want, (off_t)at);

			for (ssize_t i = 0; i + 16 <= got; i += LINE)
				n += memcmp(chunk + i, line, 16) == 0;
		}
	}
	maps_close(&maps);
	close(mem);
	return n;
}

static void watched_exit(pid_t pid, void *arg)
{
	struct stage *s = (struct stage *)((char *)arg - offsetof(struct stage, reaper));
	uint64_t processes = s->reaper.processes, before = lines_in(pid), after;

	if (!s->idle)
		s->at_exit(pid, &s->reaper);
	after = lines_in(pid);
	if (s->idle || s->reaper.processes != processes) {
		s->before += before;
		s->after += after;
		s->last = after;
	} else {
		assert_true(after >= before); /* not touched; others may run and fill it */
	}
}

/* A first process, as a sandbox has one, whose only child becomes the act. */
static _Noreturn void first_process(int gate, int into, const char *act)
{
	char byte;

	if (into >= 0 && write(into, "0", 1) != 1)
		_exit(96);
	(void)!read(gate, &byte, 1); /* until it is seized */
	(void)prctl(PR_SET_CHILD_SUBREAPER, 1);
	if (unshare(CLONE_NEWUSER | CLONE_NEWIPC) < 0)
		_exit(98);
	if (fork() == 0) {
		setpgid(0, 0);
		execl("/proc/self/exe", "reaper", act, (char *)NULL);
		_exit(97);
	}
	while (wait(NULL) > 0 || errno == EINTR)
		;
	_exit(0);
}

static void pump(struct stage *s)
{
	if (!tracer_pump(&s->tracer))
		usleep(100);
}

static void run(struct stage *s, const char *act)
{
	struct runtime_error e = { 0 };
	int gate[2];
	pid_t init;

	assert_int_equal(pipe2(gate, O_CLOEXEC), 0);
	init = fork();
	if (init == 0) {
		close(gate[1]);
		first_process(gate[0], s->into, act);
	}
	assert_int_equal(tracer_seize(&s->tracer, init, &e), RUNTIME_OK);
	close(gate[0]);
	close(gate[1]);
	while (!s->tracer.exec_stop && !tracer_empty(&s->tracer))
		pump(s);
	assert_true(s->tracer.exec_stop);
	assert_int_equal(reaper_init(&s->reaper, NULL, 0, &e), RUNTIME_OK);
	assert_int_equal(reaper_start(&s->reaper, &s->tracer, NULL, 0, &e), RUNTIME_OK);
	s->at_exit = s->tracer.exit_stop;
	s->tracer.exit_stop = watched_exit;
	tracer_resume(&s->tracer, false);
	while (!tracer_empty(&s->tracer))
		pump(s);
	for (size_t i = 0; i < s->reaper.shared.n; i++)
		s->held[s->n_held++] = dup(s->reaper.shared.fds[i]);
	reaper_finish(&s->reaper, &s->result);
}

static struct stage *stage(void)
{
	static struct stage s;

	memset(&s, 0, sizeof(s));
	s.into = -1;
	return &s;
}

/* ---- what must hold -------------------------------------------------------------- */

static void held_are_zero(const struct stage *s)
{
	static uint8_t bytes[64 * PAGE];

	for (size_t i = 0; i < s->n_held; i++) {
		ssize_t n = pread(s->held[i], bytes, sizeof(bytes), 0);

		assert_true(n > 0);
		assert_true(scrub_is_zero(bytes, (size_t)n, NULL));
		close(s->held[i]);
	}
}

static void nothing_is_left(const struct stage *s, const struct act *a)
{
	const struct reaper_result *r = &s->result;

	if (r->why.what[0])
		print_message("%s: %s: %s\n", a->name, r->why.where, r->why.what);
	assert_int_equal(s->tracer.workload_status & 0x7f, a->status);
	assert_int_equal(WEXITSTATUS(s->tracer.workload_status), 0);
	assert_int_equal(r->anonymous.failed, 0);
	assert_int_equal(r->in_place.failed, 0);
	assert_int_equal(r->shared.failed, 0);
	assert_true(r->anonymous.bytes > 0);
	if (a->kind == PRIVATE)
		assert_int_equal(s->last, 0);
	else
		assert_true(r->shared.bytes + r->in_place.bytes >= some);
	held_are_zero(s);
}

static void wiped_when_the_last_user_ends(void **state)
{
	const struct act *a = *state;
	struct stage *s = stage();

	run(s, a->name);
	nothing_is_left(s, a);
	/* The shell's children have none: it is there for its many processes. */
	assert_true(s->before > 0 || strcmp(a->name, "shell") == 0);
	if (strcmp(a->name, "shell") == 0)
		assert_true(s->result.processes > 50);
}

/* Memory cgroup v1 or v2 below ours, or -1 with the reason printed. */
static int make_cgroup(char *path, size_t size, const char *limit)
{
	static const char *const files[] = { "memory.limit_in_bytes", "memory.max" };
	static const char *const bases[] = { "/sys/fs/cgroup/memory", "/sys/fs/cgroup" };

	for (size_t i = 0; i < 2; i++) {
		char file[160];
		int fd;

		snprintf(path, size, "%s/cordon-test-%d", bases[i], getpid());
		if (mkdir(path, 0700) < 0)
			continue;
		snprintf(file, sizeof(file), "%s/%s", path, files[i]);
		fd = open(file, O_WRONLY | O_CLOEXEC);
		if (fd >= 0 && write(fd, limit, strlen(limit)) > 0) {
			close(fd);
			snprintf(file, sizeof(file), "%s/cgroup.procs", path);
			fd = open(file, O_WRONLY | O_CLOEXEC);
			if (fd >= 0)
				return fd;
		} else if (fd >= 0) {
			close(fd);
		}
		(void)rmdir(path);
	}
	return -1;
}

/* The kernel's own reaper frees a victim's memory two seconds later, unwiped. */
static void wiped_when_memory_runs_out(void **state)
{
	struct stage *s = stage();
	char path[128];

	s->into = make_cgroup(path, sizeof(path), "67108864");
	if (s->into < 0) {
		print_message("skipped: no memory cgroup can be made here\n");
		skip();
	}
	run(s, "oom");
	close(s->into);
	for (int i = 0; i < 100 && rmdir(path) < 0; i++)
		usleep(10000);
	nothing_is_left(s, *state);
	assert_true(s->before * LINE > (48u << 20));
}

/* What is searched for is there, and found, when nobody wipes; and a death without a wipe
 * is no success. */
static void found_when_nobody_wipes(void **state)
{
	struct stage *s = stage();

	(void)state;
	s->idle = true;
	run(s, "exit");
	assert_int_equal(s->last, some / LINE);
	assert_true(s->result.anonymous.failed > 0);
	assert_non_null(strstr(s->result.why.what, "without a last stop"));
}

static int as_user(void)
{
	int status = 1;
	pid_t pid = fork();

	if (pid == 0) {
		if (setgid(65534) < 0 || setuid(65534) < 0)
			_exit(99);
		execl("/proc/self/exe", "reaper", "as-user", (char *)NULL);
		_exit(98);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return 1;
	return status ? 1 : 0;
}

int main(int argc, char **argv)
{
	static struct CMUnitTest tests[ACTS + 1];
	bool user = argc == 2 && strcmp(argv[1], "as-user") == 0;
	int failed;

#ifdef __SANITIZE_ADDRESS__
	puts("1..0 # SKIP the sanitizer's own threads and stops are no tenant's: tested "
	     "without");
	return 0;
#endif
	for (size_t i = 0; i < ACTS; i++) {
		if (argc == 2 && strcmp(argv[1], acts[i].name) == 0)
			_exit(acts[i].run()); /* nothing of a sanitizer's runs at the end */
		tests[i] = (struct CMUnitTest){ .name = acts[i].name,
						.test_func =
							acts[i].run == act_oom
								? wiped_when_memory_runs_out
								: wiped_when_the_last_user_ends,
						.initial_state = (void *)(uintptr_t)&acts[i] };
	}
	tests[ACTS] = (struct CMUnitTest)cmocka_unit_test(found_when_nobody_wipes);
	(void)alarm(120);
	failed = cmocka_run_group_tests_name(user ? "reaper, as a user" : "reaper", tests, NULL,
					     NULL);
	return !user && geteuid() == 0 ? failed + as_user() : failed;
}
