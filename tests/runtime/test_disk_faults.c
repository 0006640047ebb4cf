/*
 * tests/runtime/test_disk_faults.c - disks that are full, that fail to write, and that fail
 * to flush, under the audit log and under a session's journal: nothing new starts, in one
 * clear line; what runs can be stopped and is wiped; what could not be written is said, and
 * made good once the disk is.
 *
 * A real file system is filled for the one case. For the others the kernel asks us: all of
 * a test's world lives under a seccomp filter by which each write and flush waits for our
 * answer, which is "go on", or an error for that program and that file.
 */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "tests/runtime/crash_check.h"

/* ---- a disk that fails when it is told to ------------------------------------------ */

static struct {
	atomic_int error; /* what a call gets; 0: go on */
	atomic_int left;  /* so many calls, < 0: all */
	char program[16]; /* whose */
	char file[24];    /* on a file whose path has this */
	bool writes;      /* writes and allocations as well as flushes */
} * disk;                 /* shared by the world and whoever answers it */

static void disk_fails(const char *program, const char *file, int error, bool writes, int calls)
{
	snprintf(disk->program, sizeof(disk->program), "%s", program);
	snprintf(disk->file, sizeof(disk->file), "%s", file);
	disk->writes = writes;
	atomic_store(&disk->left, calls);
	atomic_store(&disk->error, error);
}

static void disk_is_mended(void)
{
	atomic_store(&disk->error, 0);
}

/* The answer to one call: an errno, or 0. */
static int verdict(const struct seccomp_notif *asked)
{
	int error = atomic_load(&disk->error), nr = asked->data.nr;
	char link[64], path[256];
	struct process p;
	ssize_t n;

	if (!error || (!disk->writes && nr != __NR_fsync && nr != __NR_fdatasync) ||
	    !look_at((pid_t)asked->pid, &p) || strcmp(p.name, disk->program) != 0)
		return 0;
	snprintf(link, sizeof(link), "/proc/%u/fd/%u", asked->pid,
		 (unsigned)asked->data.args[0]);
	n = readlink(link, path, sizeof(path) - 1);
	path[n > 0 ? n : 0] = 0;
	if (!strstr(path, disk->file) || atomic_load(&disk->left) == 0)
		return 0;
	atomic_fetch_sub(&disk->left, 1);
	return error;
}

static void answer_one(int listener)
{
	struct seccomp_notif asked = { 0 };
	struct seccomp_notif_resp told = { 0 };

	if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &asked) != 0)
		return; /* whoever asked has died */
	told.id = asked.id;
	told.error = -verdict(&asked);
	told.flags = told.error ? 0 : SECCOMP_USER_NOTIF_FLAG_CONTINUE;
	(void)ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &told);
}

static int ask_about_disks(void)
{
#define ASK(nr)                                                                                \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (nr), 0, 1),                                       \
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF)
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		ASK(__NR_fsync),
		ASK(__NR_fdatasync),
		ASK(__NR_pwrite64),
		ASK(__NR_fallocate),
		ASK(__NR_write),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog filter = { .len = COUNT(code), .filter = code };

	return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
			    SECCOMP_FILTER_FLAG_NEW_LISTENER, &filter);
}

/* The world's process: its number of the listener goes out before it asks anything. */
__attribute__((noreturn)) static void live(const struct job *job, atomic_int *listener)
{
	int fd = ask_about_disks();

	atomic_store(listener, fd >= 0 ? fd : -2);
	if (fd < 0)
		_exit(77);
	while (atomic_load(listener) != -1) /* until the other side has it */
		pause_us(1000);
	close(fd);
	work(job);
	_exit(1);
}

/* Returns the wait status of the world. */
static int answer_world(pid_t pid, atomic_int *number)
{
	int pidfd = pidfd_open(pid, 0), listener, st = -1;

	while (atomic_load(number) == -1 && waitpid(pid, &st, WNOHANG) == 0)
		pause_us(1000);
	listener = pidfd_getfd(pidfd, atomic_load(number), 0);
	atomic_store(number, -1);
	while (listener >= 0 && waitpid(pid, &st, WNOHANG) == 0) {
		struct pollfd p[] = { { .fd = listener, .events = POLLIN },
				      { .fd = pidfd, .events = POLLIN } };

		if (poll(p, 2, 1000) > 0 && (p[0].revents & POLLIN))
			answer_one(listener);
	}
	close(listener);
	close(pidfd);
	return st;
}

static void on_a_failing_disk(void (*run)(struct world *w, const void *arg), const void *arg,
			      const char *name)
{
	struct job job = { .run = run, .arg = arg };
	atomic_int *number;
	pid_t pid;

	need_root();
	snprintf(job.name, sizeof(job.name), "%s", name);
	disk = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	number = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(disk != MAP_FAILED && number != MAP_FAILED);
	atomic_store(number, -1);
	fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		live(&job, number);
	assert_int_equal(answer_world(pid, number), 0);
	munmap(disk, 4096);
	munmap(number, 4096);
}

/* ---- what must be true of all of them ---------------------------------------------- */

static size_t count_lines(const struct world *w, const char *what)
{
	char path[96], line[1024];
	size_t n = 0;
	FILE *f;

	snprintf(path, sizeof(path), "%s/out", w->dir);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		n += strstr(line, what) != NULL;
	if (f)
		fclose(f);
	return n;
}

/* Nothing new starts; whoever tried is told in one line that has these words. */
static void nothing_starts(struct world *w, const char *words)
{
	size_t lines = count_lines(w, ""), ran = count_lines(w, MARK);
	struct world other = *w;
	int got;

	other.cli = other.keeper = 0;
	start_run(&other, NULL, false, "echo " MARK);
	got = finish(w, other.cli, 15000, "cordon run");
	must(w, got == 125, "on a failing disk cordon run ended with %d", got);
	must(w, count_lines(w, MARK) == ran, "it was refused, and it ran");
	must(w, count_lines(w, "") == lines + 1, "it was not refused in one line");
	must(w, count_lines(w, words) >= 1, "it was refused in other words than %s", words);
}

static void run_one(struct world *w)
{
	const char *const words[] = { "run", "--detach",   "--", "/bin/sh",
				      "-c",  "sleep 1000", NULL };
	char answer[256];
	int got = cordon(w, answer, sizeof(answer), words);

	must(w, got == 0 && strlen(answer) == SESSION_ID_HEX, "run: exit %d, %s", got, answer);
	snprintf(w->hex, sizeof(w->hex), "%.32s", answer);
	goes_on(w);
}

/* Stopped and wiped in any case; what is said of it is what `cordon stop` says. */
static int can_be_stopped(struct world *w, char *answer, size_t size)
{
	const char *const words[] = { "stop", "--grace", "100ms", w->hex, NULL };
	struct seen seen;
	int got;

	status(w, &seen);
	w->keeper = seen.keeper;
	w->init = w->workload = 0;
	find_all(w);
	must(w, alive(w->workload), "nothing runs that could be stopped");
	got = cordon(w, answer, size, words);
	tenant_gone(w, 2000);
	keeper_ends(w);
	return got;
}

static void stopped_but_unlogged(struct world *w)
{
	char answer[512];
	struct seen seen;

	must(w, can_be_stopped(w, answer, sizeof(answer)) == 0, "stop says %s", answer);
	must(w, strstr(answer, "QUARANTINED"), "stop says %s", answer);
	status(w, &seen);
	must(w, strcmp(seen.state, "QUARANTINED") == 0, "status says %s", seen.state);
	must(w, strcmp(seen.assurance, "wiped/none") == 0, "it was wiped: %s", seen.assurance);
	must(w, strstr(seen.note, "not in the audit log"), "status says %s", seen.note);
}

/* One that is to write opens a log that failed anew, after a while; the next one at once. */
static void clerk_changes(struct world *w)
{
	find_own(w);
	must(w, alive(w->clerk) && kill(w->clerk, SIGTERM) == 0, "no clerk to end");
	(void)finish(w, w->clerk, 5000, "the clerk");
}

/* All sessions of the root are CLEAN, in the log too. */
static void all_come_clean(struct world *w)
{
	const struct journal *j;

	recover_again(w);
	all_is_told(w, ended_truly(w, SESSION_CLEAN));
	for (forget_session(w); find_session(w); forget_session(w)) {
		j = ended_truly(w, SESSION_CLEAN);
		must(w, j, "a session without a journal");
		log_agrees(w, j);
	}
}

/* ---- the log ----------------------------------------------------------------------- */

struct failure {
	int error;
	bool writes;
};

static void the_log_fails(struct world *w, const void *arg)
{
	const struct failure *f = arg;

	run_one(w);
	disk_fails("cordon-clerk", "/log/", f->error, f->writes, -1);
	nothing_starts(w, "audit log");
	stopped_but_unlogged(w);
	recover(w, -1); /* tries, and can do no more */
	disk_is_mended();
	clerk_changes(w);
	recover(w, -1);
	all_come_clean(w);
}

static void a_log_that_cannot_be_flushed_starts_nothing_and_stops_all(void **state)
{
	static const struct failure flush = { EIO, false };

	(void)state;
	on_a_failing_disk(the_log_fails, &flush, "the log's flushes fail");
}

static void a_log_that_cannot_be_written_starts_nothing_and_stops_all(void **state)
{
	static const struct failure write = { EIO, true };

	(void)state;
	on_a_failing_disk(the_log_fails, &write, "the log's writes fail");
}

static void a_log_without_room_starts_nothing_and_stops_all(void **state)
{
	static const struct failure full = { ENOSPC, true };

	(void)state;
	on_a_failing_disk(the_log_fails, &full, "the log has no room");
}

/* ---- a session's journal ------------------------------------------------------------ */

/* Its last records are in nobody's hands but the keeper's: it is not CLEAN. */
static void the_journal_fails(struct world *w, const void *arg)
{
	const struct failure *f = arg;
	char answer[512];
	struct seen seen;

	run_one(w);
	disk_fails("cordon-keeper", ".journal", f->error, f->writes, -1);
	nothing_starts(w, "journal");
	(void)can_be_stopped(w, answer, sizeof(answer)); /* and may not be told how it ended */
	must(w, !strstr(answer, "CLEAN"), "stop says %s", answer);
	status(w, &seen);
	must(w, strcmp(seen.state, "CLEAN") != 0 && strcmp(seen.state, "RUNNING") != 0,
	     "status says %s", seen.state);
	disk_is_mended();
	recover(w, -1);
	recover_again(w);
	all_is_told(w, ended_truly(w, SESSION_QUARANTINED));
}

static void a_journal_that_cannot_be_flushed_stops_no_end(void **state)
{
	static const struct failure flush = { EIO, false };

	(void)state;
	on_a_failing_disk(the_journal_fails, &flush, "a journal's flushes fail");
}

static void a_journal_that_cannot_be_written_stops_no_end(void **state)
{
	static const struct failure write = { EIO, true };

	(void)state;
	on_a_failing_disk(the_journal_fails, &write, "a journal's writes fail");
}

/* The lines come late, and the clerk did not see them: the receipt knows none. */
static void the_lines_come_late(struct world *w, const void *arg)
{
	(void)arg;
	start_run(w, "scrubbed", false, "exit 3");
	await_stopped(w, KEEPER);
	disk_fails("cordon-keeper", ".journal", EIO, true, 1);
	wake(w, KEEPER);
	(void)finish(w, w->cli, 15000, "cordon run");
	keeper_ends(w);
	disk_is_mended();
	recover(w, -1);
	recover_again(w);
	all_is_told(w, ended_truly(w, SESSION_CLEAN));
}

static void a_state_says_no_more_than_the_receipt(void **state)
{
	(void)state;
	on_a_failing_disk(the_lines_come_late, NULL, "one append of the journal fails");
}

/* ---- the copy of a receipt ----------------------------------------------------------- */

static void the_receipt_fails(struct world *w, const void *arg)
{
	char answer[512];

	(void)arg;
	run_one(w);
	disk_fails("cordon-clerk", ".receipt", ENOSPC, true, -1);
	must(w, can_be_stopped(w, answer, sizeof(answer)) == 0, "stop says %s", answer);
	disk_is_mended();
	w->no_receipt_files = true;
	recover(w, -1);
	all_come_clean(w);
}

static void a_receipt_without_a_file_is_in_the_log(void **state)
{
	(void)state;
	on_a_failing_disk(the_receipt_fails, NULL, "a receipt's writes fail");
}

/* ---- a file system that is really full ------------------------------------------------ */

static void fill(struct world *w)
{
	static const char block[4096] = "";
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/filler", w->root);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	must(w, fd >= 0, "no filler: %m");
	while (write(fd, block, sizeof(block)) > 0)
		;
	must(w, errno == ENOSPC, "it cannot be filled: %m");
	close(fd);
}

/* The log has room set aside, so that an end can still be entered. */
static void the_disk_is_full(struct world *w, const void *arg)
{
	char path[128], answer[512];

	(void)arg;
	strcpy(w->root, "/tmp/cordon-full-XXXXXX"); /* its own mount is none that is left */
	must(w,
	     mkdtemp(w->root) && unshare(CLONE_NEWNS) == 0 &&
		     mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
		     mount("full", w->root, "tmpfs", 0, "size=8m,mode=0700") == 0,
	     "no file system to fill: %m");
	run_one(w);
	fill(w);
	nothing_starts(w, "No space left on device");
	must(w, can_be_stopped(w, answer, sizeof(answer)) == 0, "stop says %s", answer);
	must(w, strstr(answer, "CLEAN") || strstr(answer, "QUARANTINED"), "stop says %s",
	     answer);
	snprintf(path, sizeof(path), "%s/filler", w->root);
	must(w, unlink(path) == 0, "no room is made: %m");
	w->no_receipt_files = true; /* the log had room set aside, and they had none */
	clerk_changes(w);
	recover(w, -1);
	all_come_clean(w);
	(void)umount2(w->root, MNT_DETACH);
	(void)rmdir(w->root);
}

static void a_full_disk_starts_nothing_and_stops_all(void **state)
{
	static struct job job = { .run = the_disk_is_full, .name = "a full disk" };

	(void)state;
	need_root();
	run_jobs(&job, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_full_disk_starts_nothing_and_stops_all),
		cmocka_unit_test(a_log_that_cannot_be_flushed_starts_nothing_and_stops_all),
		cmocka_unit_test(a_log_that_cannot_be_written_starts_nothing_and_stops_all),
		cmocka_unit_test(a_log_without_room_starts_nothing_and_stops_all),
		cmocka_unit_test(a_journal_that_cannot_be_flushed_stops_no_end),
		cmocka_unit_test(a_journal_that_cannot_be_written_stops_no_end),
		cmocka_unit_test(a_state_says_no_more_than_the_receipt),
		cmocka_unit_test(a_receipt_without_a_file_is_in_the_log),
	};

	return cmocka_run_group_tests_name("disk-faults", tests, crash_prepare, crash_tidy);
}
