/* tests/inside/attempts_kernel.h - parts of the kernel that tenants are kept away from. */
#pragma once

#include <linux/bpf.h>
#include <linux/io_uring.h>
#include <linux/kcmp.h>
#include <linux/keyctl.h>
#include <linux/perf_event.h>
#include <linux/reboot.h>
#include <pty.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/resource.h>
#include <sys/uio.h>

#include "tests/inside/attempt.h"

#define HIGH_BIT (1ul << 32) /* dropped by the kernel where a parameter is an int */

/* ---- whole subsystems ------------------------------------------------------------ */

static enum outcome io_uring(void)
{
	struct io_uring_params p = { 0 };

	return got(syscall(SYS_io_uring_setup, 1, &p));
}

static enum outcome userfault(void)
{
	return got(syscall(SYS_userfaultfd, 1 /* UFFD_USER_MODE_ONLY */));
}

static enum outcome bpf_map(void)
{
	union bpf_attr attr = {
		.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 4, .max_entries = 1
	};

	return got(syscall(SYS_bpf, BPF_MAP_CREATE, &attr, sizeof(attr)));
}

static enum outcome perf_counter(void)
{
	struct perf_event_attr attr = { .type = PERF_TYPE_SOFTWARE,
					.size = sizeof(attr),
					.config = PERF_COUNT_SW_TASK_CLOCK,
					.exclude_kernel = 1,
					.exclude_hv = 1 };

	return got(syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0));
}

static enum outcome fanotify(void)
{
	return got(syscall(SYS_fanotify_init, 0x200 /* FAN_REPORT_FID */, O_RDONLY));
}

static enum outcome secret_memory(void)
{
	return got(syscall(SYS_memfd_secret, 0));
}

static enum outcome segments(void)
{
	char buf[16];

	return got(syscall(SYS_modify_ldt, 0 /* read */, buf, sizeof(buf)));
}

static enum outcome gift_pages(void)
{
	static char page[4096];
	struct iovec v = { page, sizeof(page) };
	int p[2];

	return pipe(p) < 0 ? NOT_MADE : got(vmsplice(p[1], &v, 1, 0));
}

static enum outcome move_memory(void)
{
	void *page = &page;
	int status;

	return got(syscall(SYS_move_pages, 0, 1, &page, NULL, &status, 0));
}

static enum outcome new_mount_data(void)
{
	struct {
		uint32_t size, fd;
		uint64_t id, param;
	} req = { .size = 24, .id = ~0ull };
	char buf[512];

	return reached(syscall(457 /* statmount */, &req, buf, sizeof(buf), 0));
}

static enum outcome async_operations(void)
{
	unsigned long context = 0;

	return got(syscall(SYS_io_setup, 1, &context));
}

/* ---- keys ------------------------------------------------------------------------ */

static enum outcome callers_key(void)
{
	char got_it[sizeof("canary")];
	long key = syscall(SYS_keyctl, KEYCTL_SEARCH, KEY_SPEC_SESSION_KEYRING, "user",
			   "cordon-bait", 0);

	return key < 0 ? REFUSED
		       : got(syscall(SYS_keyctl, KEYCTL_READ, key, got_it, sizeof(got_it)));
}

static enum outcome key_made(void)
{
	return got(syscall(SYS_add_key, "user", "x", "y", 1, KEY_SPEC_PROCESS_KEYRING));
}

static enum outcome key_asked(void)
{
	return reached(syscall(SYS_request_key, "user", "cordon-none", NULL, 0));
}

/* ---- the host's own business ----------------------------------------------------- */

static enum outcome clock_set(void)
{
	return got(syscall(SYS_settimeofday, NULL, NULL)); /* judged, then sets nothing */
}

static enum outcome rebooted(void)
{
	return reached(
		syscall(SYS_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2, 0x77, NULL));
}

static enum outcome module_loaded(void)
{
	return reached(syscall(SYS_init_module, NULL, 0, ""));
}

static enum outcome module_from_file(void)
{
	return reached(syscall(SYS_finit_module, -1, "", 0));
}

static enum outcome kernel_replaced(void)
{
	return reached(syscall(SYS_kexec_load, 0, 1ul << 40, NULL, 0));
}

static enum outcome swap_changed(void)
{
	return reached(syscall(SYS_swapoff, NULL));
}

static enum outcome kernel_log(void)
{
	return got(syscall(SYS_syslog, 10 /* size of the buffer */, NULL, 0));
}

static enum outcome quota_asked(void)
{
	return reached(syscall(SYS_quotactl, 0x80000100 /* Q_SYNC, users */, NULL, 0, NULL));
}

static enum outcome io_ports(void)
{
	return got(syscall(SYS_iopl, 3));
}

static enum outcome named_host(void)
{
	return got(syscall(SYS_sethostname, "sandbox", 7));
}

/* ---- personalities --------------------------------------------------------------- */

static enum outcome no_randomness(void)
{
	return got(syscall(SYS_personality, ADDR_NO_RANDOMIZE));
}

static enum outcome no_randomness_high(void)
{
	return got(syscall(SYS_personality, HIGH_BIT | ADDR_NO_RANDOMIZE));
}

static enum outcome page_zero(void)
{
	return got(syscall(SYS_personality, MMAP_PAGE_ZERO | READ_IMPLIES_EXEC));
}

/* ---- other entrances ------------------------------------------------------------- */

static enum outcome old_entrance(void)
{
	long r = 20; /* getpid for i386 */

	__asm__ volatile("int $0x80" : "+a"(r)::"r8", "r9", "r10", "r11", "memory");
	return r > 0 ? GOT_OUT : REFUSED;
}

static enum outcome old_entrance_socket(void)
{
	long r = 359; /* socket for i386: a family that the 64-bit filter would refuse */

	__asm__ volatile("int $0x80"
			 : "+a"(r)
			 : "b"(40), "c"(1), "d"(0)
			 : "r8", "r9", "r10", "r11", "memory");
	return r >= 0 ? GOT_OUT : REFUSED;
}

static enum outcome x32_entrance(void)
{
	/* Not killed: the call was judged by its number alone. */
	(void)syscall((long)(0x40000000u | SYS_getpid));
	return GOT_OUT;
}

/* ---- terminals ------------------------------------------------------------------- */

/* A terminal of the sandbox's own is enough to ask: only the filter refuses there. */
static enum outcome on_terminal(unsigned long request, void *arg)
{
	int master, slave;
	pid_t pid;

	if (openpty(&master, &slave, NULL, NULL, NULL) < 0)
		return NOT_MADE;
	pid = fork();
	if (pid == 0) {
		setsid();
		if (ioctl(slave, TIOCSCTTY, 0) < 0)
			_exit(NOT_MADE);
		_exit(reached(syscall(SYS_ioctl, slave, request, arg)));
	}
	return outcome_of(pid);
}

static enum outcome typed(void)
{
	char c = 'x';

	return on_terminal(TIOCSTI, &c);
}

static enum outcome typed_high(void)
{
	char c = 'x';

	return on_terminal(HIGH_BIT | TIOCSTI, &c);
}

static enum outcome pasted(void)
{
	char c = 3; /* paste the selection */

	return on_terminal(TIOCLINUX, &c);
}

static enum outcome pasted_high(void)
{
	char c = 3;

	return on_terminal(HIGH_BIT | TIOCLINUX, &c);
}

static enum outcome discipline(void)
{
	int n_tty = 0;

	return on_terminal(TIOCSETD, &n_tty);
}

/* The caller's: what is typed here, his shell reads when the session is over. */
static enum outcome typed_to_caller(void)
{
	int tty = open("/dev/tty", O_RDWR | O_CLOEXEC);
	char c = 'x';

	return tty < 0 ? REFUSED : got(ioctl(tty, TIOCSTI, &c));
}

static enum outcome callers_terminal(void)
{
	return opened("/dev/tty", O_RDWR);
}

/* ---- more than the share --------------------------------------------------------- */

static enum outcome real_time(void)
{
	struct sched_param p = { .sched_priority = 1 };

	return got(sched_setscheduler(0, SCHED_FIFO, &p));
}

static enum outcome less_nice(void)
{
	return got(setpriority(PRIO_PROCESS, 0, -20));
}

static enum outcome disk_first(void)
{
	return got(syscall(SYS_ioprio_set, 1, 0, 1 << 13 /* real time */));
}

static enum outcome locked_memory(void)
{
	size_t size = 16u << 20;
	struct rlimit most;
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED || getrlimit(RLIMIT_MEMLOCK, &most) < 0)
		return NOT_MADE;
	most.rlim_cur = most.rlim_max;
	(void)setrlimit(RLIMIT_MEMLOCK, &most);
	return got(mlock(p, size));
}

static enum outcome many_files(void)
{
	struct rlimit most;

	if (getrlimit(RLIMIT_NOFILE, &most) < 0)
		return NOT_MADE;
	most.rlim_cur = most.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &most);
	return got(dup2(1, 5000));
}

static enum outcome hard_limit(void)
{
	struct rlimit l;

	if (getrlimit(RLIMIT_SIGPENDING, &l) < 0)
		return NOT_MADE;
	l.rlim_max++;
	return got(setrlimit(RLIMIT_SIGPENDING, &l));
}

/* A core of its own is harmless; the host's collector, which a pattern with a pipe would
 * start as root, is not. Both hang on the same limit. */
static enum outcome dumped(void)
{
	struct rlimit l;
	pid_t pid;
	int status;

	if (chdir("/tmp") < 0)
		return NOT_MADE;
	pid = fork();
	if (pid == 0) {
		if (getrlimit(RLIMIT_CORE, &l) == 0) {
			l.rlim_cur = l.rlim_max;
			(void)setrlimit(RLIMIT_CORE, &l);
		}
		abort();
	}
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		return NOT_MADE;
	errno = ENODATA;
	return WCOREDUMP(status) ? GOT_OUT : REFUSED;
}

/* Words `pids`, `memory` and `tmpfs` say what the policy gives: one beyond is too many. */
static long given(const char *name)
{
	const char *w = word(name);

	return w ? atol(w) : 0;
}

static enum outcome fork_bomb(void)
{
	long most = given("pids");
	pid_t group;

	if (!most)
		return NOT_MADE;
	group = fork();
	if (group == 0) {
		setpgid(0, 0);
		for (long i = 0; i <= most; i++) {
			pid_t pid = fork();

			if (pid == 0)
				for (;;)
					pause();
			if (pid < 0)
				_exit(REFUSED);
		}
		_exit(GOT_OUT);
	}
	enum outcome o = outcome_of(group);

	errno = EAGAIN;
	kill(-group, SIGKILL);
	return o;
}

static enum outcome memory_hog(void)
{
	size_t most = (size_t)given("memory");
	pid_t pid;

	if (!most)
		return NOT_MADE;
	pid = fork();
	if (pid == 0) {
		char *p = mmap(NULL, 2 * most, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (p == MAP_FAILED)
			_exit(REFUSED);
		for (size_t i = 0; i < 2 * most; i += 4096)
			p[i] = 1;
		_exit(GOT_OUT);
	}
	return outcome_of(pid);
}

/* Memory that belongs to no process counts as well. */
static enum outcome object_hog(void)
{
	static char chunk[1 << 20];
	size_t most = (size_t)given("memory");
	pid_t pid;

	if (!most)
		return NOT_MADE;
	pid = fork();
	if (pid == 0) {
		int fd = memfd_create("hog", 0);

		for (size_t i = 0; i < 2 * most; i += sizeof(chunk))
			if (write(fd, chunk, sizeof(chunk)) != (ssize_t)sizeof(chunk))
				_exit(REFUSED);
		_exit(GOT_OUT);
	}
	return outcome_of(pid);
}

static enum outcome file_hog(void)
{
	static char chunk[1 << 16];
	size_t most = (size_t)given("tmpfs"), n = 0;
	int fd = open("/tmp/hog", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0 || !most)
		return NOT_MADE;
	while (n <= most && write(fd, chunk, sizeof(chunk)) > 0)
		n += sizeof(chunk);
	int saved = errno;

	unlink("/tmp/hog");
	errno = saved;
	return n > most ? GOT_OUT : REFUSED;
}

/* The host has one count for all of them. */
static enum outcome terminal_hog(void)
{
	for (int i = 0; i < 100; i++)
		if (open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC) < 0)
			return i ? REFUSED : NOT_MADE;
	return GOT_OUT;
}

static enum outcome inode_hog(void)
{
	char name[32];
	enum outcome o = GOT_OUT;
	int n;

	for (n = 0; n < 40000 && o == GOT_OUT; n++) {
		snprintf(name, sizeof(name), "/tmp/i%d", n);
		o = got(symlink("x", name));
	}
	int saved = errno;

	while (n-- > 0) {
		snprintf(name, sizeof(name), "/tmp/i%d", n);
		unlink(name);
	}
	errno = saved;
	return o;
}

/* clang-format off */
#define KERNEL_ATTEMPTS \
	TRY("io-uring", io_uring, "make a ring whose operations no filter sees"), \
	TRY("aio", async_operations, "take from the host's count of asynchronous operations"), \
	TRY("userfaultfd", userfault, "stop the kernel at a fault of one's own choice"), \
	TRY("bpf", bpf_map, "make a BPF map"), \
	TRY("perf-event", perf_counter, "open a performance counter"), \
	TRY("fanotify", fanotify, "watch a whole file system"), \
	TRY("memfd-secret", secret_memory, "hold memory that cannot be wiped from outside"), \
	TRY("modify-ldt", segments, "reach the code for segment tables"), \
	TRY("vmsplice", gift_pages, "give pages to a pipe"), \
	TRY("move-pages", move_memory, "reach the code that moves pages"), \
	TRY("statmount", new_mount_data, "reach young mount code"), \
	TRY("callers-keyring", callers_key, "read a key of the caller's session keyring"), \
	TRY("add-key", key_made, "make a key"), \
	TRY("request-key", key_asked, "make the kernel look for a key"), \
	TRY("settimeofday", clock_set, "set the host's clock"), \
	TRY("reboot", rebooted, "reach reboot"), \
	TRY("init-module", module_loaded, "load a module"), \
	TRY("finit-module", module_from_file, "load a module from a file"), \
	TRY("kexec", kernel_replaced, "replace the kernel"), \
	TRY("swapoff", swap_changed, "take the host's swap away"), \
	TRY("syslog", kernel_log, "read the kernel's log"), \
	TRY("quotactl", quota_asked, "reach the quota code"), \
	TRY("iopl", io_ports, "reach the machine's ports"), \
	TRY("sethostname", named_host, "name the host"), \
	TRY("personality", no_randomness, "switch address randomisation off"), \
	TRY("personality-high-bits", no_randomness_high, "the same, with a bit that the kernel drops"), \
	TRY("personality-page-zero", page_zero, "map page zero, make data executable"), \
	TRY("int80", old_entrance, "enter the kernel as an i386 program"), \
	TRY("int80-socket", old_entrance_socket, "open AF_VSOCK as an i386 program"), \
	TRY("x32", x32_entrance, "call by an x32 number"), \
	TRY("tiocsti", typed, "type into a terminal"), \
	TRY("tiocsti-high-bits", typed_high, "the same, with a bit that the kernel drops"), \
	TRY("tioclinux", pasted, "paste into a console"), \
	TRY("tioclinux-high-bits", pasted_high, "the same, with a bit that the kernel drops"), \
	TRY("tiocsetd", discipline, "load a line discipline"), \
	TRY("dev-tty", callers_terminal, "open the caller's terminal"), \
	TRY("dev-tty-tiocsti", typed_to_caller, "type into the caller's terminal (CVE-2017-5226)"), \
	TRY("sched-fifo", real_time, "run before everybody else"), \
	TRY("nice", less_nice, "be less nice"), \
	TRY("ioprio", disk_first, "read and write before everybody else"), \
	TRY("mlock", locked_memory, "lock more memory than the limit"), \
	TRY("many-files", many_files, "open more files than the limit"), \
	TRY("hard-limit", hard_limit, "raise a hard limit"), \
	TRY("core-dump", dumped, "have a core dumped"), \
	TRY("fork-bomb", fork_bomb, "make more processes than the limit", .needs = "pids"), \
	TRY("memory-hog", memory_hog, "use twice the session's memory", .needs = "memory"), \
	TRY("memfd-hog", object_hog, "fill a memory file with twice the session's memory", .needs = "memory", .alone = true), \
	TRY("tmpfs-hog", file_hog, "write more to /tmp than it may hold", .needs = "tmpfs"), \
	TRY("pty-hog", terminal_hog, "take the host's terminals"), \
	TRY("inode-hog", inode_hog, "make more files in /tmp than it may hold")
/* clang-format on */
