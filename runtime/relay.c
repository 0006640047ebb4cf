/* runtime/relay.c - bytes between the caller's files and a workload's pipes. */
#include "runtime/relay.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BUFFER 65536u   /* what a pipe holds */
#define SILENCE_MS 1000 /* everyone who could write is gone: the rest comes at once */

/* Copied, not spliced: a splice would put the page cache's own pages into a pipe of the
 * workload's (CVE-2022-0847). */
static char buffers[RELAYS][BUFFER];

/* ---- making ---------------------------------------------------------------------- */

static bool is_file(int fd, struct stat *ret_st, int *ret_flags)
{
	*ret_flags = fcntl(fd, F_GETFL);
	return *ret_flags >= 0 && !(*ret_flags & O_PATH) && fstat(fd, ret_st) == 0 &&
	       S_ISREG(ret_st->st_mode);
}

static bool one_file(int a, int b)
{
	struct stat sa, sb;
	int fa, fb;

	return is_file(a, &sa, &fa) && is_file(b, &sb, &fb) && fa == fb &&
	       sa.st_dev == sb.st_dev && sa.st_ino == sb.st_ino;
}

static bool add(struct relays *rs, int *stream)
{
	struct relay *r = &rs->relay[rs->n];
	bool in = *stream == STDIN_FILENO;
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		return false;
	*r = (struct relay){ .stream = *stream, .ours = ends[in], .theirs = ends[!in] };
	rs->n++;
	*stream = r->theirs;
	/* A workload that does not read must not keep us from hearing signals. */
	return fcntl(r->ours, F_SETFL, O_NONBLOCK) == 0;
}

/* Before Landlock's ABI 3 a workload could cut a file that it may only read. */
static bool truncation_is_governed(void)
{
	return syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) >=
	       3;
}

enum runtime_status relay_make(struct relays *rs, int streams[static 3],
			       struct runtime_error *reterr)
{
	struct stat st;
	bool ok = true;
	int flags;

	rs->n = 0;
	if (geteuid() == 0 && truncation_is_governed())
		return RUNTIME_OK;
	for (int i = 0; i < 3 && ok; i++) {
		if (i == STDERR_FILENO && one_file(STDOUT_FILENO, STDERR_FILENO))
			streams[i] = streams[STDOUT_FILENO];
		else if (is_file(i, &st, &flags))
			ok = add(rs, &streams[i]);
	}
	if (!ok)
		return runtime_fail(reterr, RUNTIME_SYSTEM, "standard streams", "",
				    "cannot make a pipe: %s", strerror(errno));
	/* Beyond `ulimit -f` our write shall fail and not end us before the workload. */
	(void)signal(SIGXFSZ, SIG_IGN);
	return RUNTIME_OK;
}

void relay_passed(struct relays *rs)
{
	for (size_t i = 0; i < rs->n; i++)
		if (rs->relay[i].stream != STDIN_FILENO)
			closep(&rs->relay[i].theirs);
}

/* ---- passing --------------------------------------------------------------------- */

static int from(const struct relay *r)
{
	return r->stream == STDIN_FILENO ? r->stream : r->ours;
}

static int to(const struct relay *r)
{
	return r->stream == STDIN_FILENO ? r->ours : r->stream;
}

/* The workload finds the end of its input, or that nobody reads its output. */
static void end(struct relay *r, int error)
{
	r->error = error;
	closep(&r->ours);
}

static bool later(void)
{
	return errno == EAGAIN || errno == EINTR;
}

static void pump(struct relay *r, char *buffer)
{
	ssize_t n;

	if (r->at == r->end) {
		n = read(from(r), buffer, BUFFER);
		if (n < 0 && later())
			return;
		if (n <= 0) {
			end(r, n < 0 ? errno : 0);
			return;
		}
		r->at = 0;
		r->end = (size_t)n;
	}
	while (r->at < r->end) {
		n = write(to(r), buffer + r->at, r->end - r->at);
		if (n < 0 && !later())
			end(r, errno);
		if (n <= 0)
			return;
		r->at += (size_t)n;
		r->passed += n;
	}
}

void relay_pollfds(const struct relays *rs, struct pollfd ret[static RELAYS])
{
	for (size_t i = 0; i < RELAYS; i++) {
		const struct relay *r = &rs->relay[i];

		ret[i] = (struct pollfd){ .fd = -1 };
		if (i >= rs->n || r->ours < 0)
			continue;
		ret[i].fd = r->at < r->end ? to(r) : from(r);
		ret[i].events = r->at < r->end ? POLLOUT : POLLIN;
	}
}

void relay_pump(struct relays *rs, const struct pollfd p[static RELAYS])
{
	for (size_t i = 0; i < rs->n; i++)
		if (p[i].revents)
			pump(&rs->relay[i], buffers[i]);
}

/* ---- the end --------------------------------------------------------------------- */

/* As with a file of its own, what the workload did not read is the next reader's. It may
 * have written to the pipe itself: never back beyond what we passed on. */
static void give_back(struct relay *r)
{
	off_t unread = (off_t)(r->end - r->at);
	int in_pipe = 0;

	if (ioctl(r->theirs, FIONREAD, &in_pipe) == 0)
		unread += in_pipe < r->passed ? in_pipe : r->passed;
	(void)lseek(r->stream, -unread, SEEK_CUR);
	closep(&r->ours);
	closep(&r->theirs);
}

static void report(const struct relay *r)
{
	static const char *const names[] = { "standard input", "standard output",
					     "standard error" };

	fprintf(stderr, "cordon: %s: cannot %s it: %s\n", names[r->stream],
		r->stream == STDIN_FILENO ? "read" : "write", strerror(r->error));
}

/* True while there may be more. */
static bool pass_rest(struct relays *rs)
{
	struct pollfd p[RELAYS];
	bool open = false;
	int n;

	relay_pollfds(rs, p);
	for (size_t i = 0; i < RELAYS; i++)
		open |= p[i].fd >= 0;
	if (!open)
		return false;
	n = poll(p, RELAYS, SILENCE_MS);
	if (n > 0)
		relay_pump(rs, p);
	return n > 0 || (n < 0 && errno == EINTR);
}

void relay_drain(struct relays *rs)
{
	for (size_t i = 0; i < rs->n; i++)
		if (rs->relay[i].stream == STDIN_FILENO)
			give_back(&rs->relay[i]);
	while (pass_rest(rs))
		;
	for (size_t i = 0; i < rs->n; i++)
		if (rs->relay[i].error)
			report(&rs->relay[i]);
}
