/* runtime/clerk_client.c - asking the clerk, and starting one where none answers. */
#include "runtime/clerk.h"

#include "policy/reader.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "attest/hex.h"
#include "runtime/clerk_attest.h"

#define PATIENCE_MS 10000
#define FILTER_MAGIC UINT64_C(0x31544c4644524343) /* "CCRDFLT1" as bytes */
#define FILTER_SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL)
#define FILTER_INSNS_MAX 32768u /* the kernel's own limit over all filters of a process */
#define INSN_BYTES 8u

/* ---- one request, one answer ----------------------------------------------------- */

/* An answer that comes late must not be taken for the next question's. */
static void hang_up(int sock)
{
	int saved = errno;
	uint8_t late;

	(void)shutdown(sock, SHUT_RDWR);
	while (recv(sock, &late, sizeof(late), MSG_DONTWAIT) > 0)
		;
	errno = saved;
}

static enum runtime_status receive(int sock, struct wire_message *ret, struct runtime_error *e)
{
	bool closed = false;
	enum runtime_status s = wire_receive(sock, ret, &closed, e);

	if (s == RUNTIME_OK && closed) {
		errno = ECONNRESET;
		s = runtime_fail(e, RUNTIME_SYSTEM, "clerk", NULL,
				 "it closed the connection instead of answering");
	}
	if (s != RUNTIME_OK)
		hang_up(sock);
	return s;
}

/* OK is RUNTIME_OK, NO is RUNTIME_REFUSED in the clerk's words, else it is no answer. */
static enum runtime_status judge(struct wire_message *m, struct runtime_error *e)
{
	if (m->type == WIRE_OK)
		return RUNTIME_OK;
	if (m->type == WIRE_NO)
		return runtime_fail(e, RUNTIME_REFUSED, "clerk", NULL, "%s", m->text);
	wire_close_fds(m);
	return runtime_fail(e, RUNTIME_MALFORMED, "clerk", NULL,
			    "it answered with something else");
}

static enum runtime_status ask(int sock, const struct wire_message *question,
			       struct wire_message *ret, struct runtime_error *e)
{
	enum runtime_status s = wire_send(sock, question, e);

	/* A clerk that is full says so and hangs up without being asked. */
	if (s == RUNTIME_OK || (s == RUNTIME_SYSTEM && errno == EPIPE))
		return receive(sock, ret, e);
	return s;
}

static enum runtime_status request(int sock, enum wire_type type,
				   const uint8_t id[static SESSION_ID_BYTES],
				   struct wire_message *ret, struct runtime_error *e)
{
	struct wire_message question = { .type = type };
	enum runtime_status s;

	memcpy(question.id, id, sizeof(question.id));
	s = ask(sock, &question, ret, e);
	return s == RUNTIME_OK ? judge(ret, e) : s;
}

/* A question that is answered with one descriptor. */
static enum runtime_status request_fd(int sock, const struct wire_message *question,
				      int *ret_fd, struct runtime_error *e)
{
	struct wire_message answer;
	enum runtime_status s = ask(sock, question, &answer, e);

	if (s != RUNTIME_OK)
		return s;
	if (answer.type == WIRE_HELD) {
		*ret_fd = answer.fds[0];
		return RUNTIME_OK;
	}
	s = judge(&answer, e);
	return s != RUNTIME_OK ? s
			       : runtime_fail(e, RUNTIME_MALFORMED, "clerk", NULL,
					      "it sent no descriptor");
}

enum runtime_status clerk_hold(int sock, const uint8_t id[static SESSION_ID_BYTES],
			       enum wire_slot slot, int fd, struct runtime_error *reterr)
{
	struct wire_message question = {
		.type = WIRE_HOLD, .a = slot, .fds = { fd }, .n_fds = 1
	};
	struct wire_message answer;
	enum runtime_status s;

	memcpy(question.id, id, sizeof(question.id));
	s = ask(sock, &question, &answer, reterr);
	return s == RUNTIME_OK ? judge(&answer, reterr) : s;
}

enum runtime_status clerk_ask(int sock, const uint8_t id[static SESSION_ID_BYTES],
			      unsigned *ret_held, struct runtime_error *reterr)
{
	struct wire_message answer;
	enum runtime_status s = request(sock, WIRE_ASK, id, &answer, reterr);

	if (s == RUNTIME_OK)
		*ret_held = (unsigned)answer.a;
	return s;
}

enum runtime_status clerk_take(int sock, const uint8_t id[static SESSION_ID_BYTES],
			       struct clerk_taken *ret, struct runtime_error *reterr)
{
	struct wire_message m = { .type = WIRE_TAKE };
	struct clerk_taken t = { .n = 0 };
	enum runtime_status s;

	memcpy(m.id, id, sizeof(m.id));
	s = ask(sock, &m, &m, reterr);
	while (s == RUNTIME_OK && m.type == WIRE_HELD && t.n < WIRE_FDS) {
		t.fds[t.n] = m.fds[0];
		t.slots[t.n++] = (enum wire_slot)m.a;
		s = receive(sock, &m, reterr);
	}
	if (s == RUNTIME_OK)
		s = judge(&m, reterr);
	if (s == RUNTIME_OK) {
		*ret = t;
		return s;
	}
	while (t.n > 0)
		closep(&t.fds[--t.n]);
	return s;
}

enum runtime_status clerk_log(int sock, const uint8_t id[static SESSION_ID_BYTES],
			      int *ret_ring, struct runtime_error *reterr)
{
	struct wire_message question = { .type = WIRE_LOG };

	memcpy(question.id, id, sizeof(question.id));
	return request_fd(sock, &question, ret_ring, reterr);
}

enum runtime_status clerk_ended(int sock, const uint8_t id[static SESSION_ID_BYTES],
				struct runtime_error *reterr)
{
	struct wire_message answer;

	return request(sock, WIRE_OVER, id, &answer, reterr);
}

enum runtime_status clerk_drop(int sock, const uint8_t id[static SESSION_ID_BYTES],
			       struct runtime_error *reterr)
{
	struct wire_message answer;

	return request(sock, WIRE_DROP, id, &answer, reterr);
}

enum runtime_status clerk_record(int sock, const uint8_t id[static SESSION_ID_BYTES],
				 enum wire_record what, int64_t *ret_index,
				 struct runtime_error *reterr)
{
	struct wire_message m = { .type = WIRE_RECORD, .a = what };
	enum runtime_status s;

	memcpy(m.id, id, sizeof(m.id));
	s = ask(sock, &m, &m, reterr);
	if (s == RUNTIME_OK && m.type == WIRE_NO)
		return runtime_fail(reterr, RUNTIME_REFUSED, "audit log", "", "%s", m.text);
	if (s == RUNTIME_OK)
		s = judge(&m, reterr);
	if (s == RUNTIME_OK)
		*ret_index = m.a;
	return s;
}

enum runtime_status clerk_token(int sock, const uint8_t id[static SESSION_ID_BYTES],
				const uint8_t *report_data, int *ret_fd,
				struct runtime_error *reterr)
{
	struct wire_message question = { .type = WIRE_TOKEN };

	memcpy(question.id, id, sizeof(question.id));
	hex_print(report_data, CLERK_REPORT_DATA, question.text);
	return request_fd(sock, &question, ret_fd, reterr);
}

/* ---- filters --------------------------------------------------------------------- */

/* Only to find a filter by: FNV-1a. What decides is the whole key. */
static int64_t key_hash(const uint8_t *key, size_t len)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < len; i++)
		h = (h ^ key[i]) * UINT64_C(0x100000001b3);
	return (int64_t)h;
}

bool clerk_filter_sealed(int fd)
{
	int seals = fcntl(fd, F_GET_SEALS);
	struct stat st;

	return seals >= 0 && (seals & FILTER_SEALS) == FILTER_SEALS && fstat(fd, &st) == 0 &&
	       st.st_size > 0 && st.st_size <= CLERK_FILTER_MAX;
}

/* Whole, for exactly this key, and of a length that fits: else it is no filter of ours. */
static bool filter_read(const uint8_t *bytes, size_t len, const uint8_t *key, size_t key_len,
			struct policy_filter *ret)
{
	struct rd r = { .at = bytes, .left = len };
	struct policy_filter f = { 0 };
	uint64_t magic = rd_u64le(&r), n = rd_u64le(&r), flags;
	const uint8_t *k = n == key_len ? rd_take(&r, key_len) : NULL;

	if (magic != FILTER_MAGIC || !k || memcmp(k, key, key_len) != 0)
		return false;
	n = rd_u64le(&r);
	flags = rd_u64le(&r);
	if (r.bad || n == 0 || n > FILTER_INSNS_MAX || flags > UINT32_MAX ||
	    r.left != n * INSN_BYTES)
		return false;
	f.insns = malloc(r.left);
	if (!f.insns)
		return false;
	f.n_insns = (size_t)n;
	f.flags = (uint32_t)flags;
	rd_copy(&r, f.insns, r.left);
	*ret = f;
	return true;
}

enum runtime_status clerk_filter_get(int sock, const uint8_t *key, size_t key_len,
				     struct policy_filter *ret, struct runtime_error *reterr)
{
	const struct wire_message question = { .type = WIRE_FILTER_GET,
					       .a = key_hash(key, key_len) };
	AUTO(closep) int fd = -1;
	struct stat st;
	enum runtime_status s = request_fd(sock, &question, &fd, reterr);
	bool mine;
	void *bytes;

	if (s != RUNTIME_OK)
		return s;
	/* The seals first: only then nobody can change or cut what is mapped. */
	if (!clerk_filter_sealed(fd) || fstat(fd, &st) != 0)
		return runtime_fail(reterr, RUNTIME_REFUSED, "clerk", NULL,
				    "the filter that it has is not sealed");
	bytes = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (bytes == MAP_FAILED)
		return runtime_fail(reterr, RUNTIME_SYSTEM, "filter", NULL,
				    "cannot be mapped: %m");
	mine = filter_read(bytes, (size_t)st.st_size, key, key_len, ret);
	munmap(bytes, (size_t)st.st_size);
	return mine ? RUNTIME_OK
		    : runtime_fail(reterr, RUNTIME_REFUSED, "clerk", NULL,
				   "the filter that it has is another one");
}

static int filter_memfd(const uint8_t *key, size_t key_len, const struct policy_filter *f)
{
	size_t len = 4 * 8 + key_len + f->n_insns * INSN_BYTES;
	AUTO(freep) uint8_t *bytes = malloc(len);
	struct wr w = { .at = bytes, .left = len };
	int fd;

	if (!bytes)
		return -1;
	wr_u64le(&w, FILTER_MAGIC);
	wr_u64le(&w, key_len);
	wr_bytes(&w, key, key_len);
	wr_u64le(&w, f->n_insns);
	wr_u64le(&w, f->flags);
	wr_bytes(&w, f->insns, f->n_insns * INSN_BYTES);
	fd = memfd_create("cordon-filter", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd >= 0 && (w.bad || write(fd, bytes, len) != (ssize_t)len ||
			fcntl(fd, F_ADD_SEALS, FILTER_SEALS) != 0))
		closep(&fd);
	return fd;
}

enum runtime_status clerk_filter_put(int sock, const uint8_t *key, size_t key_len,
				     const struct policy_filter *f,
				     struct runtime_error *reterr)
{
	struct wire_message m = { .type = WIRE_FILTER_PUT, .n_fds = 1 };
	AUTO(closep) int fd = -1;
	enum runtime_status s;

	if (f->n_insns == 0 || f->n_insns > FILTER_INSNS_MAX ||
	    key_len > CLERK_FILTER_MAX - 4 * 8 - FILTER_INSNS_MAX * INSN_BYTES)
		return runtime_fail(reterr, RUNTIME_REFUSED, "filter", NULL,
				    "it is empty, or too large to be kept");
	fd = filter_memfd(key, key_len, f);
	if (fd < 0)
		return runtime_fail(reterr, RUNTIME_SYSTEM, "filter", NULL,
				    "cannot be stored: %m");
	m.a = key_hash(key, key_len);
	m.fds[0] = fd;
	s = ask(sock, &m, &m, reterr);
	return s == RUNTIME_OK ? judge(&m, reterr) : s;
}

/* ---- connecting ------------------------------------------------------------------ */

/* In the new process, before exec: the caller's terminal, signals, session, folder and
 * descriptors stay behind. */
__attribute__((noreturn)) static void become(const char *program, const struct paths *p,
					     int ready)
{
	char *argv[] = { (char[]){ "cordon-clerk" }, (char[]){ "--serve" }, NULL };
	char *env[] = { NULL };
	int null = open("/dev/null", O_RDWR | O_CLOEXEC), run, sessions;
	sigset_t none;

	/* Out of the way first: dup2 below must not overwrite what it still needs. */
	run = fcntl(p->run_fd, F_DUPFD_CLOEXEC, CLERK_READY_FD + 1);
	sessions = fcntl(p->sessions_fd, F_DUPFD_CLOEXEC, CLERK_READY_FD + 1);
	ready = fcntl(ready, F_DUPFD_CLOEXEC, CLERK_READY_FD + 1);
	null = fcntl(null, F_DUPFD_CLOEXEC, CLERK_READY_FD + 1);
	if (run < 0 || sessions < 0 || ready < 0 || null < 0)
		_exit(1);
	for (int fd = 0; fd <= 2; fd++)
		if (dup2(null, fd) < 0)
			_exit(1);
	if (dup2(run, CLERK_RUN_FD) < 0 || dup2(sessions, CLERK_SESSIONS_FD) < 0 ||
	    dup2(ready, CLERK_READY_FD) < 0 ||
	    close_range(CLERK_READY_FD + 1, ~0u, CLOSE_RANGE_CLOEXEC) != 0)
		_exit(1);
	for (int sig = 1; sig < NSIG; sig++)
		signal(sig, SIG_DFL); /* fails for a few that nobody can change */
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	execve(program, argv, env);
	_exit(127);
}

static int64_t now_ms(void)
{
	struct timespec t = { 0 };

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Waits for the byte, or for the end of a clerk that found another one at work. */
static bool wait_ready(int ready, int64_t deadline)
{
	struct pollfd p = { .fd = ready, .events = POLLIN };
	int n;

	do {
		int64_t left = deadline - now_ms();

		n = poll(&p, 1, left > 0 ? (int)left : 0);
	} while (n < 0 && errno == EINTR);
	return n > 0;
}

/* Twice forked: the clerk is the child of init (or of the nearest reaper), and the
 * child in between is reaped here. */
static enum runtime_status start_clerk(const char *program, const struct paths *p,
				       int64_t deadline, struct runtime_error *e)
{
	int ready[2], status;
	pid_t between;
	bool came;

	if (access(program, X_OK) != 0)
		return runtime_fail(e, RUNTIME_SYSTEM, program, "install cordon-clerk there",
				    "cannot be run: %m");
	if (pipe2(ready, O_CLOEXEC) != 0)
		return runtime_fail(e, RUNTIME_SYSTEM, program, NULL, "cannot be started: %m");
	between = fork();
	if (between == 0) {
		setsid();
		if (fork() == 0)
			become(program, p, ready[1]);
		_exit(0);
	}
	close(ready[1]);
	while (between > 0 && waitpid(between, &status, 0) < 0 && errno == EINTR)
		;
	came = between > 0 && wait_ready(ready[0], deadline);
	close(ready[0]);
	if (between < 0)
		return runtime_fail(e, RUNTIME_SYSTEM, program, NULL, "cannot be started: %m");
	if (!came)
		return runtime_fail(e, RUNTIME_SYSTEM, program, NULL,
				    "was started and did not get ready within %d s",
				    PATIENCE_MS / 1000);
	return RUNTIME_OK;
}

/* A connection counts when it was answered: a clerk that is about to end may have one in
 * its backlog that it will never see. *ret_nobody: no clerk answered, start one. */
static enum runtime_status connect_once(int run_fd, int *ret_sock, bool *ret_nobody,
					struct runtime_error *e)
{
	static const uint8_t nobody[SESSION_ID_BYTES];
	const struct timeval patience = { .tv_sec = PATIENCE_MS / 1000 };
	AUTO(closep) int sock = -1;
	unsigned held;
	enum runtime_status s = wire_connect(run_fd, CLERK_SOCKET, &sock, e);

	*ret_nobody = s == RUNTIME_REFUSED;
	if (s != RUNTIME_OK)
		return s;
	if (setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) != 0)
		return runtime_fail(e, RUNTIME_SYSTEM, "clerk", NULL, "no time limit: %m");
	s = clerk_ask(sock, nobody, &held, e);
	/* Silence is not absence: a clerk that is stopped or slow holds what it holds. Nor is a
	 * no: it says that the clerk has no room for one more connection. */
	*ret_nobody = s == RUNTIME_SYSTEM && errno != EAGAIN;
	if (s == RUNTIME_REFUSED)
		s = RUNTIME_SYSTEM;
	if (s == RUNTIME_OK) {
		*ret_sock = sock;
		sock = -1;
	}
	return s;
}

enum runtime_status clerk_connect(const struct paths *p, const char *start, int *ret_sock,
				  struct runtime_error *reterr)
{
	struct timespec pause = { .tv_nsec = 1000000 };
	int64_t deadline = now_ms() + PATIENCE_MS;
	bool nobody = true;
	enum runtime_status s = RUNTIME_OK;

	if (p->run_fd < 0)
		return runtime_fail(reterr, RUNTIME_REFUSED, p->run, NULL,
				    "no clerk runs: the folder does not exist");
	for (;;) {
		s = connect_once(p->run_fd, ret_sock, &nobody, reterr);
		if (!nobody || now_ms() >= deadline)
			return s;
		if (!start)
			return runtime_fail(reterr, RUNTIME_REFUSED, p->run, NULL,
					    "no clerk runs");
		s = start_clerk(start, p, deadline, reterr);
		if (s != RUNTIME_OK)
			return s;
		/* Started, or beaten by one that is starting or ending at this moment. */
		if (connect_once(p->run_fd, ret_sock, &nobody, reterr) == RUNTIME_OK)
			return RUNTIME_OK;
		nanosleep(&pause, NULL);
		if (pause.tv_nsec < 200000000)
			pause.tv_nsec *= 2;
	}
}
