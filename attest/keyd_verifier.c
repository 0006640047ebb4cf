/* attest/keyd_verifier.c - the zygote, and the confinement of what it forks. */
#include "attest/keyd_verifier.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <openssl/crypto.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "attest/kbs.h"
#include "attest/keyd_fault.h"
#include "attest/keyd_verdict.h"

#define VERIFIERS 64u /* at once; the store has as many calls */

/* Bytes of address space that a verifier may add to what it was forked with: a body, and a
 * few times that as JSON. */
#define MEMORY (256u << 20)

struct verifier {
	pid_t pid;
	int64_t until; /* ms */
};

struct zygote {
	const struct keyd_verifier *v;
	struct keyd_wire *wire;
	int children; /* a signalfd for SIGCHLD */
	rlim_t space; /* RLIMIT_AS of a verifier */
	struct verifier of[VERIFIERS];
	size_t n;
};

static int64_t now_ms(void)
{
	struct timespec t = { 0 };

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ---- a verifier -------------------------------------------------------------------- */

/* Reading what it has, memory, time, randomness for blinding, one answer, the end. */
static const uint32_t calls[] = {
	SYS_read,           SYS_sendmsg,      SYS_close,         SYS_mmap,
	SYS_munmap,         SYS_mremap,       SYS_brk,           SYS_madvise,
	SYS_mprotect,       SYS_getrandom,    SYS_clock_gettime, SYS_gettimeofday,
	SYS_futex,          SYS_getpid,       SYS_gettid,        SYS_tgkill,
	SYS_rt_sigprocmask, SYS_rt_sigreturn, SYS_exit,          SYS_exit_group,
};

#ifdef __SANITIZE_ADDRESS__
#define SANITIZED true /* its shadow needs address space, and calls of its own */
#else
#define SANITIZED false
#endif

/* Bytes that are mapped now, and MEMORY; the first number of statm counts pages. */
static rlim_t address_space(void)
{
	char text[128] = "";
	int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);

	if (fd >= 0) {
		if (read(fd, text, sizeof(text) - 1) < 0)
			text[0] = '\0';
		close(fd);
	}
	return strtoul(text, NULL, 10) * (rlim_t)sysconf(_SC_PAGESIZE) + MEMORY;
}

static bool limit(int what, rlim_t most)
{
	const struct rlimit l = { .rlim_cur = most, .rlim_max = most };

	return setrlimit(what, &l) == 0;
}

/* Descriptors 0 and 1 are all that it keeps. */
static bool keep_two(int body, int sock)
{
	int a = fcntl(body, F_DUPFD_CLOEXEC, 3), b = fcntl(sock, F_DUPFD_CLOEXEC, 3);

	return a >= 0 && b >= 0 && dup2(a, 0) == 0 && dup2(b, 1) == 1 &&
	       syscall(SYS_close_range, 2, ~0U, 0) == 0;
}

static bool give_up_the_rest(const struct zygote *z)
{
	return limit(RLIMIT_FSIZE, 0) && limit(RLIMIT_NOFILE, 2) &&
	       limit(RLIMIT_CPU, z->v->seconds + 1) &&
	       (SANITIZED ||
		(limit(RLIMIT_AS, z->space) &&
		 keyd_confine_calls(calls, sizeof(calls) / sizeof(*calls), NULL) == ATTEST_OK));
}

/* The whole body; NULL: there is none, or too much. */
static char *read_body(int fd, size_t *ret_len)
{
	char *body = malloc(KBS_BODY_MAX + 1);
	size_t have = 0;
	ssize_t n = 1;

	while (body && n > 0 && have <= KBS_BODY_MAX) {
		n = read(fd, body + have, KBS_BODY_MAX + 1 - have);
		have += n > 0 ? (size_t)n : 0;
	}
	if (body && (n != 0 || have > KBS_BODY_MAX)) {
		free(body);
		return NULL;
	}
	*ret_len = have;
	return body;
}

/* The zygote's guarded memory is not there. A verdict is no secret: common memory does. */
_Noreturn static void verify(const struct zygote *z, const struct keyd_verify *ask,
			     uint64_t ticket, int body_fd, int sock)
{
	struct keyd_wire *wire = calloc(1, sizeof(*wire));
	size_t len = 0;
	char *body;

	(void)prctl(PR_SET_NAME, "cordon-k-verify"); /* for whoever looks at ps */
	keyd_fault_point("keyd.verify");
	if (!wire || !keep_two(body_fd, sock) || !give_up_the_rest(z))
		_exit(3);
	body = read_body(0, &len);
	if (!body)
		_exit(3);
	wire->m.type = KEYD_VERDICT;
	wire->m.ticket = ticket;
	keyd_verifier_judge(ask, body, len, z->v->endorsements, &wire->m.verdict);
	_exit(keyd_send(1, wire, NULL) == ATTEST_OK ? 0 : 3);
}

/* ---- the zygote -------------------------------------------------------------------- */

static void start(struct zygote *z)
{
	const struct keyd_verify ask = z->wire->m.verify;
	const int body = z->wire->m.fds[0], sock = z->wire->m.fds[1];
	uint64_t ticket = z->wire->m.ticket;
	pid_t pid = fork();

	if (pid == 0)
		verify(z, &ask, ticket, body, sock);
	if (pid > 0) /* else the store sees the socket's end */
		z->of[z->n++] = (struct verifier){
			.pid = pid,
			.until = now_ms() + (int64_t)z->v->seconds * 1000,
		};
}

/* False: the store is gone, or says what no store says. */
static bool serve(struct zygote *z)
{
	bool closed = false;
	bool good = keyd_receive(z->v->sock, z->wire, &closed, NULL) == ATTEST_OK && !closed &&
		    z->wire->m.type == KEYD_VERIFY && z->wire->m.n_fds == 2;

	if (good)
		start(z);
	keyd_wire_clear(z->wire);
	return good;
}

static void reap(struct zygote *z)
{
	struct signalfd_siginfo said;
	pid_t pid;

	(void)!read(z->children, &said, sizeof(said));
	while ((pid = waitpid(-1, NULL, WNOHANG)) > 0)
		for (size_t i = 0; i < z->n; i++)
			if (z->of[i].pid == pid) {
				z->of[i] = z->of[--z->n];
				break;
			}
}

/* Kills who is late; ms until the next one is. They are ours until they were waited for, so
 * no number means another process. */
static int watch(struct zygote *z)
{
	int64_t now = now_ms(), next = INT64_MAX;

	for (size_t i = 0; i < z->n; i++) {
		if (z->of[i].until <= now)
			kill(z->of[i].pid, SIGKILL);
		else if (z->of[i].until < next)
			next = z->of[i].until;
	}
	return next == INT64_MAX ? -1 : (int)(next - now);
}

/* With a full table the messages wait in the socket. */
static bool turn(struct zygote *z)
{
	struct pollfd polled[] = {
		{ .fd = z->n < VERIFIERS ? z->v->sock : -1, .events = POLLIN },
		{ .fd = z->children, .events = POLLIN },
	};

	if (poll(polled, 2, watch(z)) < 0)
		return errno == EINTR;
	if (polled[1].revents)
		reap(z);
	return !polled[0].revents || serve(z);
}

static enum attest_status prepare(struct zygote *z, struct attest_error *e)
{
	sigset_t child;
	enum attest_status s = keyd_confine_identity(z->v->identity, e);

	if (s != ATTEST_OK)
		return s;
	(void)prctl(PR_SET_NAME, "cordon-k-zygote");
	tzset(); /* the zone's file, and jansson's seed: a verifier can open nothing */
	json_object_seed(0);
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	z->wire = keyd_wire_new();
	z->children = -1;
	z->space = address_space();
	if (sigprocmask(SIG_BLOCK, &child, NULL) == 0)
		z->children = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
	if (!z->wire || z->children < 0)
		return attest_fail(e, ATTEST_SYSTEM, "verifier", "",
				   "no locked memory, or no signals: %m");
	return ATTEST_OK;
}

enum attest_status keyd_verifier_run(struct keyd_verifier *v, struct attest_error *reterr)
{
	struct zygote *z = calloc(1, sizeof(*z));
	enum attest_status s;

	if (!z)
		return attest_fail(reterr, ATTEST_SYSTEM, "verifier", "", "no memory");
	z->v = v;
	s = prepare(z, reterr);
	if (s == ATTEST_OK && write(v->ready, "r", 1) == 1) {
		close(v->ready);
		while (turn(z))
			;
	}
	for (size_t i = 0; i < z->n; i++)
		kill(z->of[i].pid, SIGKILL);
	keyd_wire_free(z->wire);
	free(z);
	return s;
}
