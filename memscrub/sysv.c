/* memscrub/sysv.c - the SysV segments of an ipc namespace, from a child that enters it. */
#include "memscrub/maps.h"
#include "memscrub/process.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096u
#define CHUNK 512 /* pages looked at, zeroed, and read back at once */
/* A segment may be as large as the address space and hold next to nothing: where it must be
 * gone through page by page there is an end to it, for all of them together. */
#define BUDGET ((size_t)1 << 26)

#ifndef SHM_STAT_ANY
#define SHM_STAT_ANY 15
#endif

struct report {
	enum memscrub_status status;
	struct scrub_result result;
	struct memscrub_error error;
};

static void found(struct report *r, enum memscrub_status s, int id, const char *what)
{
	char where[32];

	if (r->status == MEMSCRUB_OK) {
		snprintf(where, sizeof(where), "SysV segment %d", id);
		(void)memscrub_fail(&r->error, s, where, "", "%s: %s", what, strerror(errno));
	}
	if (s > r->status)
		r->status = s;
}

/* Capabilities over the namespace come with the user namespace that owns it. Whoever has them
 * without (root) stays outside, and keeps what he may do there. */
static bool enter(int ns)
{
	int owner = ioctl(ns, NS_GET_USERNS), own = open("/proc/self/ns/user", O_RDONLY);
	struct stat a, b;
	bool ok = owner >= 0 && own >= 0 && fstat(owner, &a) == 0 && fstat(own, &b) == 0;

	if (setns(ns, CLONE_NEWIPC) == 0)
		return true;
	if (ok && (a.st_ino != b.st_ino || a.st_dev != b.st_dev))
		ok = setns(owner, CLONE_NEWUSER) == 0;
	return ok && setns(ns, CLONE_NEWIPC) == 0;
}

/* A hole of a segment is not to be filled; mincore(2) tells, whoever touched the page. */
static void scrub_pages(uint8_t *base, size_t pages, struct report *r, int id)
{
	static uint8_t there[CHUNK];

	if (mincore(base, pages * PAGE, there) < 0)
		memset(there, 1, sizeof(there));
	for (size_t i = 0; i < pages; i++)
		if (there[i] & 1)
			scrub_zero(base + i * PAGE, PAGE);
	for (size_t i = 0; i < pages; i++) {
		if (!(there[i] & 1))
			continue;
		if (scrub_is_zero(base + i * PAGE, PAGE, NULL)) {
			r->result.bytes += PAGE;
			continue;
		}
		r->result.failed += PAGE;
		found(r, MEMSCRUB_RESIDUE, id, "it did not read back as zero");
	}
}

/* The segment as a file, as root may have it. It is longer than it was asked to be where it
 * is made of huge pages. */
static int open_segment(const uint8_t *base)
{
	static struct maps maps;
	struct mapping m = { 0 };
	char path[64];

	if (!maps_open(&maps, getpid()))
		return -1;
	while (maps_next(&maps, &m) && m.start != (uint64_t)(uintptr_t)base)
		;
	maps_close(&maps);
	if (m.start != (uint64_t)(uintptr_t)base)
		return -1;
	snprintf(path, sizeof(path), "/proc/self/map_files/%llx-%llx",
		 (unsigned long long)m.start, (unsigned long long)m.end);
	return open(path, O_RDWR | O_CLOEXEC);
}

static void scrub_through(int fd, struct report *r)
{
	struct memscrub_error e = { 0 };
	struct scrub_result done = { 0 };
	enum memscrub_status s = scrub_file(fd, &done, &e);

	r->result.bytes += done.bytes;
	r->result.failed += done.failed + (s != MEMSCRUB_OK && !done.failed);
	if (s != MEMSCRUB_OK && r->status == MEMSCRUB_OK)
		r->error = e;
	if (s > r->status)
		r->status = s;
	close(fd);
}

static void scrub_attached(int id, uint8_t *base, size_t size, struct report *r)
{
	static size_t budget = BUDGET;
	size_t pages = (size + PAGE - 1) / PAGE, n;

	if (pages > budget) {
		r->result.failed += size;
		errno = EFBIG;
		found(r, MEMSCRUB_RESIDUE, id, "too much to go through");
		return;
	}
	budget -= pages;
	for (size_t at = 0; at < pages; at += n) {
		n = pages - at < CHUNK ? pages - at : CHUNK;
		scrub_pages(base + at * PAGE, n, r, id);
	}
}

static void scrub_segment(int id, size_t size, struct report *r)
{
	uint8_t *base = shmat(id, NULL, 0);
	int fd;

	if (base == (void *)-1) {
		r->result.failed += size;
		found(r, MEMSCRUB_RESIDUE, id, "it cannot be attached");
		return;
	}
	fd = open_segment(base);
	if (fd >= 0)
		scrub_through(fd, r);
	else
		scrub_attached(id, base, size, r);
	r->result.parts++;
	(void)shmdt(base);
}

static void scrub_segments(struct report *r)
{
	struct shm_info info;
	struct shmid_ds ds;
	int last = shmctl(0, SHM_INFO, (struct shmid_ds *)(void *)&info);

	if (last < 0)
		found(r, MEMSCRUB_SYSTEM, 0, "the segments cannot be listed");
	for (int i = 0; i <= last; i++) {
		int id = shmctl(i, SHM_STAT_ANY, &ds);

		if (id >= 0)
			scrub_segment(id, ds.shm_segsz, r);
		else if (errno != EINVAL && errno != EIDRM)
			found(r, MEMSCRUB_SYSTEM, i, "it cannot be looked at");
	}
}

static _Noreturn void child(int ns, int to)
{
	static struct report r;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (enter(ns))
		scrub_segments(&r);
	else
		found(&r, MEMSCRUB_SYSTEM, 0, "the ipc namespace cannot be entered");
	_exit(write(to, &r, sizeof(r)) == sizeof(r) ? 0 : 1);
}

enum memscrub_status shared_scrub_sysv(int ns, struct scrub_result *add,
				       struct memscrub_error *reterr)
{
	struct report r = { 0 };
	struct timespec begun, end;
	int pair[2];
	pid_t pid;
	bool ok;

	clock_gettime(CLOCK_MONOTONIC, &begun);
	if (pipe2(pair, O_CLOEXEC) < 0)
		return memscrub_fail(reterr, MEMSCRUB_SYSTEM, "SysV segments", "",
				     "cannot make a pipe: %s", strerror(errno));
	pid = fork();
	if (pid == 0)
		child(ns, pair[1]);
	close(pair[1]);
	ok = pid > 0 && read(pair[0], &r, sizeof(r)) == sizeof(r);
	close(pair[0]);
	if (pid > 0)
		(void)waitpid(pid, NULL, 0);
	if (!ok) {
		add->failed++; /* of unknown size */
		return memscrub_fail(reterr, MEMSCRUB_SYSTEM, "SysV segments", "",
				     "the process that wipes them did not end well");
	}
	clock_gettime(CLOCK_MONOTONIC, &end);
	add->bytes += r.result.bytes;
	add->failed += r.result.failed + (r.status == MEMSCRUB_SYSTEM);
	add->parts += r.result.parts;
	add->ns += (uint64_t)(end.tv_sec - begun.tv_sec) * 1000000000u + (uint64_t)end.tv_nsec -
		   (uint64_t)begun.tv_nsec;
	if (r.status != MEMSCRUB_OK)
		*reterr = r.error;
	return r.status;
}
