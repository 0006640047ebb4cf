/*
 * tests/forensic/tenant.c - a workload that fills memory of one kind with canary lines and
 * ends in one way. What it fills on the way only (a buffer to write from) it clears itself,
 * so that each case leaves its lines in one kind of place.
 *
 *   tenant MODE KEY CASE LINES
 *
 * Exit 0, or the signal that MODE means; 2 for bad arguments, 3 when the kernel refused
 * something. A mode that stays says "ready" and is ended from outside.
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/forensic/canary.h"

#define BLOCK_LINES 64 /* one page: what is written at once */
#define BLOCK (BLOCK_LINES * CANARY_LINE)
#define THREADS 4

struct job {
	uint64_t tag, lines;
	char **argv;
};

static size_t bytes(const struct job *job)
{
	return job->lines * CANARY_LINE;
}

__attribute__((noreturn)) static void refused(const char *what)
{
	fprintf(stderr, "tenant: %s: %s\n", what, strerror(errno));
	_exit(3);
}

static void *map(const struct job *job, int flags, int fd)
{
	void *at = mmap(NULL, bytes(job), PROT_READ | PROT_WRITE, flags, fd, 0);

	if (at == MAP_FAILED)
		refused("mmap");
	return at;
}

static void *private_memory(const struct job *job)
{
	return map(job, MAP_PRIVATE | MAP_ANONYMOUS, -1);
}

static void fill(const struct job *job, void *at)
{
	canary_fill(at, job->tag, 0, job->lines);
}

/* A block at a time through `fd`; stops early, without a word, when that is full. */
static void pour(const struct job *job, int fd)
{
	static uint64_t block[BLOCK / sizeof(uint64_t)] __attribute__((aligned(BLOCK)));

	for (uint64_t line = 0; line + BLOCK_LINES <= job->lines; line += BLOCK_LINES) {
		canary_fill(block, job->tag, line, BLOCK_LINES);
		if (write(fd, block, BLOCK) != (ssize_t)BLOCK) {
			if (errno != EAGAIN)
				refused("write");
			break;
		}
	}
	explicit_bzero(block, sizeof(block));
}

__attribute__((noreturn)) static void stay(void)
{
	for (;;)
		pause();
}

__attribute__((noreturn)) static void stay_ready(void)
{
	if (write(STDOUT_FILENO, "ready\n", 6) != 6)
		refused("standard output");
	stay();
}

/* ---- private memory -------------------------------------------------------------- */

static void until_exit(const struct job *job)
{
	fill(job, private_memory(job));
}

static void until_killed(const struct job *job)
{
	until_exit(job);
	raise(SIGKILL);
}

static void until_fault(const struct job *job)
{
	volatile char *at = mmap(NULL, BLOCK, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	until_exit(job);
	*at = 0;
}

static void until_stopped(const struct job *job)
{
	until_exit(job);
	stay_ready();
}

/* As much as it takes: the memory limit ends this. */
static void until_out_of_memory(const struct job *job)
{
	until_exit(job);
	errno = ENOSPC;
	refused("the memory limit did not end this");
}

struct part {
	pthread_t thread;
	uint64_t *at;
	uint64_t tag, first, lines;
};

static void *fill_part(void *arg)
{
	const struct part *p = arg;

	canary_fill(p->at, p->tag, p->first, p->lines);
	stay();
}

/* Four threads, three of them still there when the process ends by one's exit_group. */
static void with_threads(const struct job *job)
{
	struct part parts[THREADS];
	uint64_t *at = private_memory(job), share = job->lines / THREADS;

	for (size_t i = 0; i < THREADS; i++) {
		parts[i] = (struct part){ .at = at + i * share * CANARY_WORDS,
					  .tag = job->tag,
					  .first = i * share,
					  .lines = share };
		if (pthread_create(&parts[i].thread, NULL, fill_part, &parts[i]) != 0)
			refused("pthread_create");
	}
	for (size_t i = 0; i < THREADS; i++) /* its last word is its number: not 0 before */
		while (!__atomic_load_n(&parts[i].at[share * CANARY_WORDS - 1],
					__ATOMIC_ACQUIRE))
			usleep(1000);
}

static void wait_for_end_of(int fd)
{
	char c;

	while (read(fd, &c, 1) != 0)
		;
	close(fd);
}

/* The grandchild shares its parent's pages, makes half of them its own, and outlives it.
 * The workload itself never had them. */
static void with_children(const struct job *job)
{
	int copied[2], ended[2];

	if (pipe(copied) < 0 || pipe(ended) < 0)
		refused("pipe");
	if (fork() == 0) {
		void *at = private_memory(job);
		pid_t parent = getpid();

		fill(job, at);
		if (fork() == 0) {
			canary_fill(at, job->tag, 0, job->lines / 2);
			close(copied[0]);
			close(copied[1]);
			while (getppid() == parent)
				usleep(1000);
			_exit(0);
		}
		close(copied[1]);
		wait_for_end_of(copied[0]);
		_exit(0);
	}
	close(copied[0]);
	close(copied[1]);
	close(ended[1]);
	wait_for_end_of(ended[0]);
}

static void freed_while_running(const struct job *job)
{
	void *at = private_memory(job);

	fill(job, at);
	munmap(at, bytes(job));
}

static void replaced_by_exec(const struct job *job)
{
	char *argv[] = { job->argv[0], (char[]){ "nothing" }, job->argv[2],
			 job->argv[3], job->argv[4],          NULL };

	until_exit(job);
	execv("/proc/self/exe", argv);
	refused("execv");
}

static void nothing(const struct job *job)
{
	(void)job;
}

/* ---- files and shared memory ----------------------------------------------------- */

static int make_file(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0)
		refused(path);
	return fd;
}

static void in_file(const struct job *job)
{
	int fd = make_file("/tmp/canary");

	pour(job, fd);
	close(fd);
}

static void in_file_until_stopped(const struct job *job)
{
	in_file(job);
	stay_ready();
}

static void in_deleted_file(const struct job *job)
{
	in_file(job);
	if (unlink("/tmp/canary") < 0)
		refused("unlink");
}

/* No name leads to it any more, but a descriptor keeps it until the end. */
static void in_nameless_file(const struct job *job)
{
	int fd = make_file("/tmp/canary");

	pour(job, fd);
	if (unlink("/tmp/canary") < 0)
		refused("unlink");
}

static void in_posix_shm(const struct job *job)
{
	int fd = shm_open("/canary", O_RDWR | O_CREAT | O_EXCL, 0600);

	if (fd < 0 || ftruncate(fd, (off_t)bytes(job)) < 0)
		refused("shm_open");
	fill(job, map(job, MAP_SHARED, fd));
}

static int make_memfd(void)
{
	int fd = memfd_create("canary", MFD_CLOEXEC);

	if (fd < 0)
		refused("memfd_create");
	return fd;
}

static void in_memfd(const struct job *job)
{
	int fd = make_memfd();

	if (ftruncate(fd, (off_t)bytes(job)) < 0)
		refused("ftruncate");
	fill(job, map(job, MAP_SHARED, fd));
}

/* Written, never mapped: only a descriptor leads to it. */
static void in_unmapped_memfd(const struct job *job)
{
	pour(job, make_memfd());
}

/* Mapped, without a descriptor. */
static void in_closed_memfd(const struct job *job)
{
	int fd = make_memfd();
	void *at;

	if (ftruncate(fd, (off_t)bytes(job)) < 0)
		refused("ftruncate");
	at = map(job, MAP_SHARED, fd);
	close(fd);
	fill(job, at);
}

static void in_shared_memory(const struct job *job)
{
	fill(job, map(job, MAP_SHARED | MAP_ANONYMOUS, -1));
}

static void *attach_sysv(const struct job *job)
{
	int id = shmget(IPC_PRIVATE, bytes(job), IPC_CREAT | 0600);
	void *at = id < 0 ? NULL : shmat(id, NULL, 0);

	if (id < 0 || at == (void *)-1)
		refused("System V shared memory");
	return at;
}

static void in_sysv(const struct job *job)
{
	fill(job, attach_sysv(job));
}

/* Attached by nobody when the session ends. */
static void in_detached_sysv(const struct job *job)
{
	void *at = attach_sysv(job);

	fill(job, at);
	if (shmdt(at) < 0)
		refused("shmdt");
}

/* ---- the kernel's own ------------------------------------------------------------ */

static void in_pipe(const struct job *job)
{
	int fds[2];

	if (pipe2(fds, O_NONBLOCK) < 0)
		refused("pipe");
	(void)fcntl(fds[1], F_SETPIPE_SZ, (int)bytes(job));
	pour(job, fds[1]);
}

static void in_socket(const struct job *job)
{
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) < 0)
		refused("socketpair");
	pour(job, fds[0]);
}

static void in_output(const struct job *job)
{
	pour(job, STDOUT_FILENO);
}

/* ---- to hide it ------------------------------------------------------------------ */

/* The kernel lets this mapping be changed as a whole or not at all; its size is nowhere said
 * but in /proc. */
static void *writable_vdso(void)
{
	void *base = (void *)(uintptr_t)getauxval(AT_SYSINFO_EHDR);
	size_t size = BLOCK;

	while (mprotect(base, size, PROT_READ | PROT_WRITE) < 0) {
		if (errno != EINVAL)
			refused("mprotect");
		size += BLOCK;
	}
	return base;
}

/* The kernel's code in each process. A page that is written becomes the process's own. */
static void in_vdso(const struct job *job)
{
	int filled[2];
	char c = 0;

	if (pipe(filled) < 0)
		refused("pipe");
	for (uint64_t line = 0; line < job->lines; line += BLOCK_LINES) {
		if (fork() != 0)
			continue;
		canary_fill(writable_vdso(), job->tag, line, BLOCK_LINES);
		if (write(filled[1], &c, 1) != 1)
			refused("write");
		stay();
	}
	close(filled[1]);
	for (uint64_t line = 0; line < job->lines; line += BLOCK_LINES)
		if (read(filled[0], &c, 1) != 1)
			refused("a child");
}

/* An id is an index, and above its 15 bits how often the indices came round: as long as
 * there are few segments they do so at 64. */
static bool can_be_segment(ino_t number)
{
	return (number & 0x7fff) < 64 && number <= INT32_MAX;
}

/* Each new one has the next number. */
static int memfd_numbered_like_a_segment(int *ret_number)
{
	for (;;) {
		int fd = make_memfd();
		struct stat st;

		if (fstat(fd, &st) < 0)
			refused("fstat");
		if (can_be_segment(st.st_ino)) {
			*ret_number = (int)st.st_ino;
			return fd;
		}
		close(fd);
	}
}

/* Ids only grow, from 0 in the session's own namespace. */
static void attach_segment_numbered(int number)
{
	int id;

	while ((id = shmget(IPC_PRIVATE, BLOCK, IPC_CREAT | 0600)) >= 0 && id < number)
		(void)shmctl(id, IPC_RMID, NULL);
	if (id != number || shmat(id, NULL, 0) == (void *)-1)
		refused("a segment of that id");
}

/* A segment's id is its inode number, on the mount on which memfds have theirs. It is seen
 * first, with a process that ends, and then a memfd of that number. */
static void in_collision(const struct job *job)
{
	int number, fd = memfd_numbered_like_a_segment(&number), status;
	pid_t pid = fork();

	if (pid == 0) {
		close(fd);
		attach_segment_numbered(number);
		_exit(0);
	}
	if (waitpid(pid, &status, 0) != pid || status != 0)
		_exit(3);
	pour(job, fd);
}

/* A program of one page, which unmaps that page and so dies of SIGSEGV. */
#define PROGRAM_AT 0x400000

static const struct program {
	Elf64_Ehdr header;
	Elf64_Phdr segment;
	unsigned char code[17];
} unmaps_itself = {
	.header = {
		.e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB,
			     EV_CURRENT },
		.e_type = ET_EXEC,
		.e_machine = EM_X86_64,
		.e_version = EV_CURRENT,
		.e_entry = PROGRAM_AT + offsetof(struct program, code),
		.e_phoff = offsetof(struct program, segment),
		.e_ehsize = sizeof(Elf64_Ehdr),
		.e_phentsize = sizeof(Elf64_Phdr),
		.e_phnum = 1,
	},
	.segment = {
		.p_type = PT_LOAD,
		.p_flags = PF_R | PF_X,
		.p_vaddr = PROGRAM_AT,
		.p_filesz = sizeof(struct program),
		.p_memsz = sizeof(struct program),
		.p_align = BLOCK,
	},
	.code = {
		0xb8, 11, 0, 0, 0,       /* mov $SYS_munmap, %eax */
		0xbf, 0, 0, 0x40, 0,     /* mov $PROGRAM_AT, %edi */
		0xbe, 0, 0x10, 0, 0,     /* mov $BLOCK, %esi */
		0x0f, 0x05,              /* syscall */
	},
};

/* Neither open nor mapped: what the process still has of the file is that it runs it. The
 * lines lie behind the program, in pages of their own. */
static void in_program(const struct job *job)
{
	char *none[] = { NULL }, *argv[] = { job->argv[0], NULL };
	int fd = make_memfd();

	if (write(fd, &unmaps_itself, sizeof(unmaps_itself)) != sizeof(unmaps_itself) ||
	    lseek(fd, BLOCK, SEEK_SET) < 0)
		refused("the program");
	pour(job, fd);
	fexecve(fd, argv, none);
	refused("fexecve");
}

/* ---- to hold up the wiper -------------------------------------------------------- */

/* Nearly all of it holes: whoever looks at each page is never done. */
#define ENDLESS ((size_t)1 << 46)

static void in_endless_sysv(const struct job *job)
{
	int id = shmget(IPC_PRIVATE, ENDLESS, IPC_CREAT | 0600 | SHM_NORESERVE);
	void *at = id < 0 ? NULL : shmat(id, NULL, 0);

	if (id < 0 || at == (void *)-1)
		refused("System V shared memory");
	fill(job, at);
	if (shmdt(at) < 0)
		refused("shmdt");
}

/* lseek(2) takes holes of huge pages for data. */
static void in_endless_huge_memfd(const struct job *job)
{
	int fd = memfd_create("canary", MFD_CLOEXEC | MFD_HUGETLB);

	if (fd < 0 || ftruncate(fd, (off_t)ENDLESS << 4) < 0)
		refused("memfd_create");
	fill(job, map(job, MAP_SHARED, fd));
}

/* Without a descriptor: an ordinary user's keeper has to go through the mappings. */
static void in_endless_mappings(const struct job *job)
{
	for (int i = 0; i < 4; i++) {
		int fd = make_memfd();
		void *at;

		if (ftruncate(fd, ENDLESS / 4) < 0)
			refused("ftruncate");
		at = mmap(NULL, ENDLESS / 4, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE,
			  fd, 0);
		if (at == MAP_FAILED)
			refused("mmap");
		close(fd);
		if (i == 0)
			fill(job, at);
	}
}

/* ---- which ----------------------------------------------------------------------- */

static const struct {
	const char *name;
	void (*run)(const struct job *job);
} modes[] = {
	{ "exit", until_exit },
	{ "sigkill", until_killed },
	{ "segv", until_fault },
	{ "stay", until_stopped },
	{ "oom", until_out_of_memory },
	{ "threads", with_threads },
	{ "fork", with_children },
	{ "munmap", freed_while_running },
	{ "execve", replaced_by_exec },
	{ "nothing", nothing },
	{ "tmpfs", in_file },
	{ "tmpfs-stay", in_file_until_stopped },
	{ "tmpfs-deleted", in_deleted_file },
	{ "tmpfs-nameless", in_nameless_file },
	{ "posix-shm", in_posix_shm },
	{ "memfd", in_memfd },
	{ "memfd-unmapped", in_unmapped_memfd },
	{ "memfd-closed", in_closed_memfd },
	{ "shared", in_shared_memory },
	{ "sysv", in_sysv },
	{ "sysv-detached", in_detached_sysv },
	{ "pipe", in_pipe },
	{ "socket", in_socket },
	{ "output", in_output },
	{ "vdso", in_vdso },
	{ "collide", in_collision },
	{ "exe", in_program },
	{ "sysv-endless", in_endless_sysv },
	{ "huge-endless", in_endless_huge_memfd },
	{ "mapped-endless", in_endless_mappings },
};

static bool number(const char *text, int base, uint64_t *ret)
{
	char *end;

	errno = 0;
	*ret = strtoull(text, &end, base);
	return errno == 0 && end != text && !*end;
}

int main(int argc, char **argv)
{
	struct job job = { .argv = argv };
	uint64_t key, the_case;

	if (argc == 5 && number(argv[2], 16, &key) && number(argv[3], 10, &the_case) &&
	    number(argv[4], 10, &job.lines) && job.lines <= UINT64_C(1) << 32) {
		job.tag = canary_tag(key, the_case);
		for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
			if (strcmp(modes[i].name, argv[1]) == 0) {
				modes[i].run(&job);
				return 0;
			}
	}
	fputs("usage: tenant MODE KEY CASE LINES\n", stderr);
	return 2;
}
