/*
 * tests/memscrub/test_process.c - one process that stands still: every kind of mapping is
 * wiped, what could not be is said, and a wiper that leaves bytes is found out.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "memscrub/process.h"

#define PAGE 4096u
#define SIZE ((size_t)64 * PAGE)

static struct process_wiper wiper;
static struct shared_set set;
static const struct process_peers nobody = { .copied = true };

struct victim {
	pid_t pid;
	uint8_t *memory; /* the same address there and here */
	struct process_result result;
	struct memscrub_error error;
};

/* A child that fills `memory` after the fork, gets it into the state wanted, and stands. */
static struct victim victim(int flags, int fd, void (*finish)(uint8_t *memory))
{
	struct victim v = { 0 };
	int status;

	v.memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, flags, fd, 0);
	assert_true(v.memory != MAP_FAILED);
	v.pid = fork();
	if (v.pid == 0) {
		memset(v.memory, 0xa5, SIZE);
		if (finish)
			finish(v.memory);
		(void)ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		raise(SIGSTOP);
		_exit(0);
	}
	assert_int_equal(waitpid(v.pid, &status, 0), v.pid);
	assert_true(WIFSTOPPED(status));
	return v;
}

static void end(struct victim *v)
{
	kill(v->pid, SIGKILL);
	(void)waitpid(v->pid, NULL, 0);
	munmap(v->memory, SIZE);
}

static size_t residue(const struct victim *v)
{
	static uint8_t bytes[SIZE];
	char path[32];
	size_t n = 0;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/mem", v->pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	if (pread(fd, bytes, SIZE, (off_t)(uintptr_t)v->memory) == (ssize_t)SIZE)
		for (size_t i = 0; i < SIZE; i++)
			n += bytes[i] != 0;
	close(fd);
	return n;
}

/* The test's own pages that the fork copied are `left` to it: it is a live peer. */
static enum memscrub_status wipe(struct victim *v)
{
	pid_t self = getpid();
	struct process_peers peers = nobody;

	peers.live = &self;
	peers.n_live = 1;
	return process_wipe(&wiper, v->pid, &peers, &set, &v->result, &v->error);
}

static void wiped(int flags, void (*finish)(uint8_t *memory))
{
	struct victim v = victim(flags, -1, finish);

	assert_int_equal(residue(&v), SIZE);
	assert_int_equal(wipe(&v), MEMSCRUB_OK);
	assert_int_equal(residue(&v), 0);
	assert_int_equal(v.result.private_memory.failed, 0);
	assert_true(v.result.private_memory.bytes >= SIZE);
	assert_true(v.result.private_memory.parts > 0);
	end(&v);
}

static void plain(void **state)
{
	(void)state;
	wiped(MAP_PRIVATE | MAP_ANONYMOUS, NULL);
}

static void read_only(uint8_t *memory)
{
	mprotect(memory, SIZE, PROT_READ);
}

static void no_access(uint8_t *memory)
{
	mprotect(memory, SIZE, PROT_NONE);
}

static void striped(uint8_t *memory)
{
	for (size_t i = 0; i < SIZE; i += 2 * PAGE)
		mprotect(memory + i, PAGE, i % (4 * PAGE) ? PROT_NONE : PROT_READ);
}

static void lazily_freed(uint8_t *memory)
{
	madvise(memory, SIZE, MADV_FREE);
}

static void protected(void **state)
{
	(void)state;
	wiped(MAP_PRIVATE | MAP_ANONYMOUS, read_only);
	wiped(MAP_PRIVATE | MAP_ANONYMOUS, no_access);
	wiped(MAP_PRIVATE | MAP_ANONYMOUS, striped);
	wiped(MAP_PRIVATE | MAP_ANONYMOUS, lazily_freed);
}

/* A written page of a file's private mapping is anonymous; the file is not touched. */
static void copies_of_file_pages(void **state)
{
	char name[] = "/tmp/cordon-test-XXXXXX";
	uint8_t page[PAGE];
	int fd = mkstemp(name);
	struct victim v;

	(void)state;
	assert_true(fd >= 0 && unlink(name) == 0);
	memset(page, 0x5a, sizeof(page));
	for (size_t i = 0; i < SIZE; i += PAGE)
		assert_int_equal(pwrite(fd, page, PAGE, (off_t)i), PAGE);
	v = victim(MAP_PRIVATE, fd, NULL);
	assert_int_equal(wipe(&v), MEMSCRUB_OK);
	assert_int_equal(residue(&v), 0);
	for (size_t i = 0; i < SIZE; i += PAGE) {
		assert_int_equal(pread(fd, page, PAGE, (off_t)i), PAGE);
		assert_int_equal(page[0], 0x5a);
	}
	end(&v);
	close(fd);
}

/* What a live process shares stays, and is said to have been left. */
static void pages_of_live_peers_stay(void **state)
{
	struct victim v;
	uint8_t *ours =
		mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)state;
	assert_true(ours != MAP_FAILED);
	memset(ours, 0x77, SIZE);
	v = victim(MAP_PRIVATE | MAP_ANONYMOUS, -1, NULL);
	assert_int_equal(wipe(&v), MEMSCRUB_OK);
	assert_true(v.result.left >= SIZE);
	for (size_t i = 0; i < SIZE; i++)
		assert_int_equal(ours[i], 0x77);
	end(&v);
	munmap(ours, SIZE);
}

/* The same without a known peer: somebody else has the bytes, and that is a failure. */
static void pages_of_strangers_fail(void **state)
{
	uint8_t *ours =
		mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct victim v;

	(void)state;
	assert_true(ours != MAP_FAILED);
	memset(ours, 0x77, SIZE);
	v = victim(MAP_PRIVATE | MAP_ANONYMOUS, -1, NULL);
	assert_int_equal(process_wipe(&wiper, v.pid, &nobody, &set, &v.result, &v.error),
			 MEMSCRUB_RESIDUE);
	assert_true(v.result.private_memory.failed >= SIZE);
	assert_non_null(strstr(v.error.what, "outside the session"));
	end(&v);
	munmap(ours, SIZE);
}

static void a_process_that_is_gone_fails(void **state)
{
	struct victim v = victim(MAP_PRIVATE | MAP_ANONYMOUS, -1, NULL);

	(void)state;
	kill(v.pid, SIGKILL);
	(void)waitpid(v.pid, NULL, 0);
	assert_int_equal(wipe(&v), MEMSCRUB_SYSTEM);
	assert_true(v.result.private_memory.failed > 0);
	munmap(v.memory, SIZE);
}

/* ---- a wiper that does not wipe: this stands in libc's place ----------------------- */

static enum { HONEST, WRITES_NOTHING, SPARES_A_BYTE } kernel = HONEST;

ssize_t process_vm_writev(pid_t pid, const struct iovec *from, unsigned long n,
			  const struct iovec *to, unsigned long m, unsigned long flags)
{
	ssize_t done = 0;
	uint8_t byte = 1;
	struct iovec one = { &byte, 1 }, last = { 0 };

	for (unsigned long i = 0; kernel == WRITES_NOTHING && i < n; i++)
		done += (ssize_t)from[i].iov_len;
	if (kernel == WRITES_NOTHING)
		return done;
	done = syscall(SYS_process_vm_writev, pid, from, n, to, m, flags);
	if (kernel == SPARES_A_BYTE) {
		last.iov_base = (uint8_t *)to[m - 1].iov_base + to[m - 1].iov_len - 1;
		last.iov_len = 1;
		(void)syscall(SYS_process_vm_writev, pid, &one, 1, &last, 1, 0);
	}
	return done;
}

static void a_wiper_that_leaves_bytes_is_found_out(void **state)
{
	struct victim v = victim(MAP_PRIVATE | MAP_ANONYMOUS, -1, NULL);

	(void)state;
	kernel = WRITES_NOTHING;
	assert_int_equal(wipe(&v), MEMSCRUB_RESIDUE);
	assert_true(v.result.private_memory.failed >= SIZE);
	assert_non_null(strstr(v.error.what, "read back"));
	kernel = SPARES_A_BYTE;
	memset(&v.result, 0, sizeof(v.result));
	assert_int_equal(wipe(&v), MEMSCRUB_RESIDUE);
	assert_true(v.result.private_memory.failed >= PAGE);
	assert_true(v.result.private_memory.bytes >= SIZE - 8 * PAGE);
	kernel = HONEST;
	memset(&v.result, 0, sizeof(v.result));
	assert_int_equal(wipe(&v), MEMSCRUB_OK);
	end(&v);
}

/* ---- shared objects --------------------------------------------------------------- */

static int object(size_t size)
{
	int fd = memfd_create("tenant", MFD_CLOEXEC);

	assert_true(fd >= 0 && ftruncate(fd, (off_t)size) == 0);
	return fd;
}

static void begin_set(void)
{
	struct memscrub_error e;

	assert_int_equal(shared_init(&set, &e), MEMSCRUB_OK);
}

static void a_shared_object_is_held_then_scrubbed(void **state)
{
	struct scrub_result r = { 0 };
	struct memscrub_error e;
	int fd = object(SIZE);
	struct victim v = victim(MAP_SHARED, fd, NULL);

	(void)state;
	begin_set();
	assert_int_equal(wipe(&v), MEMSCRUB_OK);
	shared_take_fds(&set, v.pid);
	assert_int_equal(set.n, 1);
	assert_int_equal(v.memory[SIZE - 1], 0xa5); /* not before everybody is gone */
	assert_int_equal(shared_scrub(&set, &r, &e), MEMSCRUB_OK);
	assert_true(scrub_is_zero(v.memory, SIZE, NULL));
	assert_int_equal(r.bytes, SIZE);
	assert_int_equal(set.n, 0);
	end(&v);
	close(fd);
}

static void spared_objects_are_not_touched(void **state)
{
	struct scrub_result r = { 0 };
	struct memscrub_error e;
	int fd = object(SIZE);
	struct victim v = victim(MAP_SHARED, fd, NULL);

	(void)state;
	begin_set();
	assert_true(shared_spare(&set, fd));
	assert_int_equal(wipe(&v), MEMSCRUB_OK);
	shared_take_fds(&set, v.pid);
	assert_int_equal(shared_scrub(&set, &r, &e), MEMSCRUB_OK);
	assert_int_equal(v.memory[0], 0xa5);
	assert_int_equal(r.bytes, 0);
	end(&v);
	close(fd);
}

static void too_many_objects_fail(void **state)
{
	struct scrub_result r = { 0 };
	struct memscrub_error e;
	struct victim v;
	int fds[SHARED_OBJECTS + 3];

	(void)state;
	begin_set();
	for (size_t i = 0; i < SHARED_OBJECTS + 3; i++) {
		fds[i] = object(PAGE);
		assert_int_equal(pwrite(fds[i], "x", 1, 0), 1);
	}
	v = victim(MAP_PRIVATE | MAP_ANONYMOUS, -1, NULL);
	shared_take_fds(&set, v.pid);
	shared_take_fds(&set, v.pid);
	assert_int_equal(set.n, SHARED_OBJECTS);
	assert_int_equal(shared_scrub(&set, &r, &e), MEMSCRUB_RESIDUE);
	assert_true(r.failed >= 3 * PAGE);
	assert_non_null(strstr(e.what, "more objects"));
	end(&v);
	for (size_t i = 0; i < SHARED_OBJECTS + 3; i++)
		close(fds[i]);
}

static void sysv_segments_are_scrubbed_from_outside(void **state)
{
	struct scrub_result r = { 0 };
	struct memscrub_error e = { 0 };
	int gate[2], ns, id, status;
	char path[40], byte;
	pid_t pid;

	(void)state;
	assert_int_equal(pipe(gate), 0);
	pid = fork();
	if (pid == 0) {
		uint8_t *p;

		if (unshare(CLONE_NEWUSER | CLONE_NEWIPC) < 0)
			_exit(99);
		id = shmget(IPC_PRIVATE, SIZE, 0600);
		p = shmat(id, NULL, 0);
		if (id < 0 || p == (void *)-1)
			_exit(98);
		memset(p, 0xa5, SIZE / 2); /* the rest stays a hole */
		(void)!write(gate[1], "x", 1);
		pause();
	}
	close(gate[1]);
	assert_int_equal(read(gate[0], &byte, 1), 1);
	snprintf(path, sizeof(path), "/proc/%d/ns/ipc", pid);
	ns = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(ns >= 0);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(shared_scrub_sysv(ns, &r, &e), MEMSCRUB_OK);
	assert_int_equal(r.bytes, SIZE / 2);
	assert_int_equal(r.parts, 1);
	assert_int_equal(r.failed, 0);
	close(ns);
	close(gate[0]);
	assert_int_equal(shared_scrub_sysv(-1, &r, &e), MEMSCRUB_SYSTEM);
	assert_true(r.failed > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain),
		cmocka_unit_test(protected),
		cmocka_unit_test(copies_of_file_pages),
		cmocka_unit_test(pages_of_live_peers_stay),
		cmocka_unit_test(pages_of_strangers_fail),
		cmocka_unit_test(a_process_that_is_gone_fails),
		cmocka_unit_test(a_wiper_that_leaves_bytes_is_found_out),
		cmocka_unit_test(a_shared_object_is_held_then_scrubbed),
		cmocka_unit_test(spared_objects_are_not_touched),
		cmocka_unit_test(too_many_objects_fail),
		cmocka_unit_test(sysv_segments_are_scrubbed_from_outside),
	};

	(void)alarm(60);
	process_wiper_init(&wiper);
	begin_set();
	return cmocka_run_group_tests_name("process", tests, NULL, NULL);
}
