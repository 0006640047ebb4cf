/*
 * tests/bench/wipe.c - how fast a process's private memory is wiped: wipe MIB
 *
 * The limit is what the kernel makes of one call after the other: process_vm_writev of
 * zeroes over the same memory, and process_vm_readv after it.
 */
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "memscrub/process.h"
#include "tests/bench/bench.h"

#define PIECE ((size_t)1 << 20)
#define TURNS 21

static uint8_t *memory;
static size_t size;

static pid_t victim(int advice)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		/* After the fork: the pages are nobody else's. */
		if (madvise(memory, size, advice) < 0)
			_exit(1);
		memset(memory, 0xa5, size);
		(void)ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		raise(SIGSTOP);
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status))
		die("the process to wipe");
	return pid;
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
}

static double by_call(pid_t pid, bool read_back)
{
	static uint8_t zeros[PIECE], back[PIECE];
	uint64_t begun = now_ns();

	for (size_t at = 0; at < size; at += PIECE) {
		struct iovec there = { memory + at, PIECE }, from = { zeros, PIECE },
			     to = { back, PIECE };

		if (process_vm_writev(pid, &from, 1, &there, 1, 0) != (ssize_t)PIECE ||
		    (read_back &&
		     process_vm_readv(pid, &to, 1, &there, 1, 0) != (ssize_t)PIECE))
			die("process_vm");
	}
	return (double)(now_ns() - begun) / 1e6;
}

static double by_wiper(pid_t pid)
{
	static struct process_wiper w;
	struct process_peers nobody = { 0 };
	struct process_result r = { 0 };
	struct memscrub_error e = { 0 };
	uint64_t begun;

	if (!w.scan && !w.frames)
		process_wiper_init(&w);
	begun = now_ns();
	/* What the harness's fork shares with us is `left` or `failed`; not of interest. */
	if (process_wipe(&w, pid, &nobody, NULL, &r, &e) == MEMSCRUB_SYSTEM ||
	    r.private_memory.bytes < size)
		die(e.what);
	return (double)(now_ns() - begun) / 1e6;
}

static void compare(const char *name, int advice)
{
	double wiped[TURNS], written[TURNS], both[TURNS], w, o, b, mib;

	for (size_t i = 0; i < TURNS; i++) {
		pid_t pid = victim(advice);

		/* In turn the first, that finds the memory as its owner left it. */
		for (size_t k = 0; k < 3; k++)
			switch ((i + k) % 3) {
			case 0:
				wiped[i] = by_wiper(pid);
				break;
			case 1:
				written[i] = by_call(pid, false);
				break;
			default:
				both[i] = by_call(pid, true);
			}
		end(pid);
	}
	mib = (double)(size >> 20);
	w = median(wiped, TURNS);
	o = median(written, TURNS);
	b = median(both, TURNS);
	printf("%-12s %9.0f %9.0f %9.0f   %.2f\n", name, mib / w * 1000, mib / b * 1000,
	       mib / o * 1000, w / b);
	row("wipe", name, w, "ms", "process_vm_writev and readv", b);
	row("wipe", name, w, "ms", "process_vm_writev", o);
}

int main(int argc, char **argv)
{
	if (argc != 2)
		return 2;
	size = (size_t)strtoul(argv[1], NULL, 10) << 20;
	memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		die("mmap");
	printf("\nwipe of %s MiB, MiB/s  wiper  write+read  write   wiper : write+read\n",
	       argv[1]);
	compare("small pages", MADV_NOHUGEPAGE);
	compare("huge pages", MADV_HUGEPAGE);
	return 0;
}
