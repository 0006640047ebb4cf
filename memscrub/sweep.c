/*
 * memscrub/sweep.c - have free memory zeroed: ask the kernel for it.
 *
 * The work is a child's: the kernel may kill it at any time, and its death gives all memory
 * back. It talks to us through one shared page.
 */
#include "memscrub/file.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

#define STEP ((uint64_t)2 << 20)
#define LEAST_FREE ((uint64_t)64 << 20)

/* Percent of the last ten seconds in which somebody waited for memory: then we wait. */
#define PRESSURE_MAX 10

/* Others' shortage that lasts this long ends the sweep. */
#define PATIENCE_NS ((uint64_t)10 * 1000000000)
#define PAUSE_NS ((uint64_t)100 * 1000000)

struct progress { /* the page that both see */
	_Atomic uint64_t bytes, free_left;
	atomic_int end;
	atomic_bool residue, said;
};

struct sweeper {
	const struct scrub_sweep_limits *limits;
	struct progress *shared;
	uint64_t keep, free_before, begin;
	int meminfo, pressure; /* open: -1 where the kernel has none */
};

/* ---- what the kernel says --------------------------------------------------------- */

/* The beginning of a file in /proc, as text. */
static bool peek(int fd, char *buf, size_t size)
{
	ssize_t n = fd < 0 ? -1 : pread(fd, buf, size - 1, 0);

	buf[n > 0 ? n : 0] = '\0';
	return n > 0;
}

static uint64_t free_memory(int meminfo)
{
	char text[512], *at;

	if (!peek(meminfo, text, sizeof(text)))
		return 0;
	at = strstr(text, "MemFree:");
	return at ? strtoull(at + 8, NULL, 10) * 1024 : 0;
}

static bool others_wait(int pressure)
{
	char text[256], *at;

	if (!peek(pressure, text, sizeof(text)))
		return false;
	at = strstr(text, "avg10=");
	return at && strtoul(at + 6, NULL, 10) >= PRESSURE_MAX;
}

/* Twice the sum of the zones' low-water marks ("min" in /proc/zoneinfo), or LEAST_FREE. */
static bool memory_to_keep(uint64_t *ret)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), sum = 0, pages;
	FILE *f = fopen("/proc/zoneinfo", "re");
	char line[256];

	if (!f)
		return false;
	while (fgets(line, sizeof(line), f)) {
		const char *at = line + strspn(line, " ");

		if (strncmp(at, "min ", 4) == 0) {
			pages = strtoull(at + 4, NULL, 10);
			sum += pages * page;
		}
	}
	fclose(f);
	*ret = 2 * sum > LEAST_FREE ? 2 * sum : LEAST_FREE;
	return true;
}

/* ---- the child: nothing here allocates but the sweep itself ------------------------ */

static void pause_ns(uint64_t ns)
{
	const struct timespec t = { .tv_sec = (time_t)(ns / 1000000000u),
				    .tv_nsec = (long)(ns % 1000000000u) };

	nanosleep(&t, NULL);
}

/* First of all to be killed, last of all to run, gone when our parent is. */
static bool stand_back(pid_t parent)
{
	const struct sched_param none = { 0 };
	int fd;
	bool ok;

	if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent)
		return false;
	prctl(PR_SET_NAME, "cordon-sweep");
	prctl(PR_SET_DUMPABLE, 0);
	sched_setscheduler(0, SCHED_IDLE, &none);
	fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	ok = fd >= 0 && write(fd, "1000", 4) == 4;
	if (fd >= 0)
		close(fd);
	return ok;
}

/* A write to each page has the kernel zero it and give it to us. Not in huge pages: to make
 * them the kernel would move other pages about, and leave the old ones unwiped. */
static bool take_step(struct progress *p)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	char *at = mmap(NULL, STEP, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (at == MAP_FAILED)
		return false;
	madvise(at, STEP, MADV_NOHUGEPAGE);
	madvise(at, STEP, MADV_POPULATE_WRITE); /* faster where there is it */
	for (size_t i = 0; i < STEP; i += page)
		*(volatile char *)(at + i) = 0;
	if (!scrub_is_zero(at, STEP, NULL)) {
		atomic_store(&p->residue, true);
		return false;
	}
	atomic_fetch_add(&p->bytes, STEP);
	return true;
}

static bool limit_reached(const struct sweeper *s, uint64_t bytes)
{
	const struct scrub_sweep_limits *l = s->limits;

	return (l->bytes && bytes + STEP > l->bytes) ||
	       (l->ns && scrub_now_ns() - s->begin >= l->ns) ||
	       (l->percent && bytes * 100 / s->free_before >= l->percent);
}

/* How long the next step has to wait to keep to the rate. */
static uint64_t early_by(const struct sweeper *s, uint64_t bytes)
{
	uint64_t rate = s->limits->bytes_per_second, now = scrub_now_ns(), due;

	if (rate == 0)
		return 0;
	due = s->begin + (uint64_t)((double)bytes / (double)rate * 1e9);
	return due > now ? due - now : 0;
}

static enum scrub_sweep_end sweep(struct sweeper *s)
{
	struct progress *p = s->shared;
	uint64_t waited = 0, early;

	for (;;) {
		uint64_t bytes = atomic_load(&p->bytes);
		uint64_t left = free_memory(s->meminfo);

		atomic_store(&p->free_left, left);
		if (left < s->keep + STEP || waited >= PATIENCE_NS)
			return SWEEP_FLOOR;
		if (limit_reached(s, bytes))
			return SWEEP_LIMIT;
		early = early_by(s, bytes);
		if (others_wait(s->pressure)) {
			pause_ns(PAUSE_NS);
			waited += PAUSE_NS;
		} else if (early) {
			pause_ns(early < PAUSE_NS ? early : PAUSE_NS);
		} else if (take_step(p)) {
			waited = 0;
		} else {
			return SWEEP_REFUSED;
		}
	}
}

static _Noreturn void child(struct sweeper *s, pid_t parent)
{
	if (stand_back(parent)) {
		atomic_store(&s->shared->end, (int)sweep(s));
		atomic_store(&s->shared->said, true);
	}
	_exit(0);
}

/* ---- the parent -------------------------------------------------------------------- */

/* Of what was free at the start, or of what the sweeper had and left, if that is more. */
static unsigned percent_of(uint64_t bytes, uint64_t before, uint64_t left)
{
	uint64_t all = bytes + left > before ? bytes + left : before;

	return (unsigned)(bytes * 100 / all);
}

static enum memscrub_status judge(const struct sweeper *s, struct scrub_sweep_result *ret,
				  int wait_status, struct memscrub_error *reterr)
{
	struct progress *p = s->shared;
	uint64_t bytes = atomic_load(&p->bytes);

	if (atomic_load(&p->residue))
		return memscrub_fail(reterr, MEMSCRUB_RESIDUE, "", "",
				     "a page came from the kernel and was not zero");
	if (!WIFSIGNALED(wait_status) && !atomic_load(&p->said))
		return memscrub_fail(reterr, MEMSCRUB_SYSTEM, "", "",
				     "the sweeper cannot offer itself to be killed first");
	*ret = (struct scrub_sweep_result){
		.bytes = bytes,
		.free_before = s->free_before,
		.ns = scrub_now_ns() - s->begin,
		.percent = percent_of(bytes, s->free_before, atomic_load(&p->free_left)),
		.end = WIFSIGNALED(wait_status) ? SWEEP_REFUSED
						: (enum scrub_sweep_end)atomic_load(&p->end),
	};
	return MEMSCRUB_OK;
}

static enum memscrub_status run(struct sweeper *s, struct scrub_sweep_result *ret,
				struct memscrub_error *reterr)
{
	pid_t parent = getpid(), pid = fork();
	int status;

	if (pid < 0)
		return memscrub_fail(reterr, MEMSCRUB_SYSTEM, "", "", "fork: %m");
	if (pid == 0)
		child(s, parent);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return memscrub_fail(reterr, MEMSCRUB_SYSTEM, "", "", "waitpid: %m");
	return judge(s, ret, status, reterr);
}

enum memscrub_status scrub_sweep(const struct scrub_sweep_limits *limits,
				 struct scrub_sweep_result *ret, struct memscrub_error *reterr)
{
	struct sweeper s = { .limits = limits, .begin = scrub_now_ns() };
	enum memscrub_status status;

	s.shared = mmap(NULL, sizeof(*s.shared), PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (s.shared == MAP_FAILED)
		return memscrub_fail(reterr, MEMSCRUB_SYSTEM, "", "", "%m");
	s.meminfo = open("/proc/meminfo", O_RDONLY | O_CLOEXEC);
	s.pressure = open("/proc/pressure/memory", O_RDONLY | O_CLOEXEC);
	s.free_before = free_memory(s.meminfo);
	if (s.free_before == 0 || !memory_to_keep(&s.keep))
		status = memscrub_fail(reterr, MEMSCRUB_SYSTEM, "", "",
				       "/proc does not say how much memory is free");
	else
		status = run(&s, ret, reterr);
	if (s.meminfo >= 0)
		close(s.meminfo);
	if (s.pressure >= 0)
		close(s.pressure);
	munmap(s.shared, sizeof(*s.shared));
	return status;
}
