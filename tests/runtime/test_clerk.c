/* tests/runtime/test_clerk.c - the real cordon-clerk, asked by friends and by others. */
#include "runtime/clerk.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char program[PATH_MAX];
static char top[] = "/tmp/cordon-test-XXXXXX";
static struct paths paths;
static pid_t foreground; /* the last clerk that was run there, or 0 */

static const uint8_t one[SESSION_ID_BYTES] = { 1 }, two[SESSION_ID_BYTES] = { 2 };

/* ---- scaffold -------------------------------------------------------------------- */

static int connect_or_start(void)
{
	struct runtime_error e = { 0 };
	int sock = -1;

	if (clerk_connect(&paths, program, &sock, &e) != RUNTIME_OK)
		fail_msg("clerk_connect: %s: %s", e.where, e.what);
	return sock;
}

/* The process behind a connection. */
static pid_t peer(int sock)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	assert_int_equal(getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &cred, &len), 0);
	return cred.pid;
}

/* The test is the reaper of what it starts, so that nothing outlives it. */
static void end_clerk(pid_t pid)
{
	kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

static int make_root(void **state)
{
	(void)state;
	strcpy(top, "/tmp/cordon-test-XXXXXX");
	return mkdtemp(top) && paths_open(top, true, &paths, NULL) == RUNTIME_OK ? 0 : -1;
}

static int remove_root(void **state)
{
	char command[300];
	int sock = -1;

	(void)state;
	if (clerk_connect(&paths, NULL, &sock, NULL) == RUNTIME_OK) {
		end_clerk(peer(sock));
		close(sock);
	}
	if (foreground > 0 && waitpid(foreground, NULL, WNOHANG) == 0)
		end_clerk(foreground);
	foreground = 0;
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
	paths_close(&paths);
	snprintf(command, sizeof(command), "rm -rf %s", top);
	return system(command); /* NOLINT(cert-env33-c): a path of our own making */
}

static pid_t run_in_foreground(const char *idle, rlim_t files)
{
	pid_t pid = fork();

	if (pid == 0) {
		const struct rlimit limit = { files, files };

		if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 ||
		    (files && setrlimit(RLIMIT_NOFILE, &limit) != 0))
			_exit(99);
		execl(program, "cordon-clerk", "--root", top, "--foreground", "--idle", idle,
		      NULL);
		_exit(98);
	}
	foreground = pid;
	return pid;
}

static int connect_soon(void)
{
	int sock = -1;

	for (int i = 0; i < 1000; i++) {
		if (clerk_connect(&paths, NULL, &sock, NULL) == RUNTIME_OK)
			return sock;
		usleep(5000);
	}
	fail_msg("no clerk listens");
	return -1;
}

static bool same_file(int a, int b)
{
	struct stat x, y;

	return fstat(a, &x) == 0 && fstat(b, &y) == 0 && x.st_dev == y.st_dev &&
	       x.st_ino == y.st_ino;
}

/* ---- starting and ending --------------------------------------------------------- */

static void without_start_no_clerk_is_started(void **state)
{
	struct runtime_error e;
	int sock = -1;

	(void)state;
	assert_int_equal(clerk_connect(&paths, NULL, &sock, &e), RUNTIME_REFUSED);
	assert_int_equal(sock, -1);
}

static void a_program_that_is_absent_or_no_clerk_is_told(void **state)
{
	struct runtime_error e;
	int sock = -1;

	(void)state;
	assert_int_equal(clerk_connect(&paths, "/nonexistent", &sock, &e), RUNTIME_SYSTEM);
	assert_non_null(e.hint);
}

static void one_clerk_serves_one_root(void **state)
{
	int a = connect_or_start(), b = connect_or_start(), status;
	pid_t third = run_in_foreground("5", 0);

	(void)state;
	assert_int_equal(peer(a), peer(b));
	assert_int_equal(waitpid(third, &status, 0), third);
	assert_int_equal(status, 0); /* it found the other one at work, and said nothing */
	close(a);
	close(b);
}

static void starting_many_at_once_gives_one(void **state)
{
	enum { CLIENTS = 12 };
	int out[2], first = 0;

	(void)state;
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	for (int i = 0; i < CLIENTS; i++)
		if (fork() == 0) {
			int sock = -1, pid = -1;

			prctl(PR_SET_CHILD_SUBREAPER, 0);
			if (clerk_connect(&paths, program, &sock, NULL) == RUNTIME_OK)
				pid = peer(sock);
			(void)!write(out[1], &pid, sizeof(pid));
			_exit(0);
		}
	for (int i = 0; i < CLIENTS; i++) {
		int pid = 0;

		assert_int_equal(read(out[0], &pid, sizeof(pid)), sizeof(pid));
		assert_true(pid > 0);
		first = first ? first : pid;
		assert_int_equal(pid, first);
	}
	close(out[0]);
	close(out[1]);
}

static void a_started_clerk_keeps_nothing_of_its_starter(void **state)
{
	int leak = open("/dev/null", O_RDONLY), sock; /* not close-on-exec */
	static const char *const own[] = { "socket:", "anon_inode:[signalfd]" };
	char path[64], target[256];

	(void)state;
	sock = connect_or_start();
	for (int fd = 0; fd < 256; fd++) {
		ssize_t len;

		snprintf(path, sizeof(path), "/proc/%d/fd/%d", peer(sock), fd);
		len = readlink(path, target, sizeof(target) - 1);
		if (len < 0)
			continue;
		target[len] = '\0';
		if (strcmp(target, "/dev/null") == 0) {
			assert_true(fd <= 2);
			continue;
		}
		/* Its sockets and signals, and files of this root: folders, locks, the log. */
		assert_true(strncmp(target, own[0], strlen(own[0])) == 0 ||
			    strcmp(target, own[1]) == 0 ||
			    strncmp(target, paths.state, strlen(paths.state)) == 0);
	}
	close(leak);
	close(sock);
}

/* 0, or the error of looking into another process. */
static int look_into(pid_t pid)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/environ", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno;
	close(fd);
	return 0;
}

/* Starts a clerk and looks into it, and into a process that hides nothing, all of them
 * of one user and without capabilities: what differs is only what the clerk did. */
static int look_without_capabilities(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	const struct __user_cap_data_struct none[2] = { { 0 } };
	int sock = -1, open_one;
	pid_t plain;

	if ((geteuid() == 0 && prctl(PR_SET_SECUREBITS, SECBIT_NOROOT) != 0) ||
	    syscall(SYS_capset, &head, none) != 0 ||
	    clerk_connect(&paths, program, &sock, NULL) != RUNTIME_OK)
		return 1;
	plain = fork();
	if (plain == 0) {
		pause();
		_exit(0);
	}
	open_one = look_into(plain);
	end_clerk(plain);
	if (open_one != 0)
		return 2;
	return look_into(peer(sock)) == EACCES ? 0 : 3;
}

static void nobody_else_looks_into_a_clerk(void **state)
{
	pid_t pid = fork();
	int status;

	(void)state;
	if (pid == 0)
		_exit(look_without_capabilities());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void an_idle_clerk_ends_and_leaves_no_socket(void **state)
{
	pid_t pid = run_in_foreground("1", 0);
	int sock = connect_soon(), status;

	(void)state;
	usleep(1500000);
	assert_int_equal(waitpid(pid, &status, WNOHANG), 0); /* a connection is not idle */
	close(sock);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(faccessat(paths.run_fd, CLERK_SOCKET, F_OK, 0), -1);
	assert_int_equal(errno, ENOENT);
}

static void a_clerk_that_holds_something_is_not_idle(void **state)
{
	pid_t pid = run_in_foreground("0", 0);
	int status, fd = open("/dev/null", O_RDONLY | O_CLOEXEC), sock;

	(void)state;
	for (int i = 0; waitpid(pid, &status, WNOHANG) == pid && i < 100; i++)
		pid = run_in_foreground("0", 0); /* idle at once: it may end before we come */
	sock = connect_or_start();
	assert_int_equal(clerk_hold(sock, one, WIRE_SLOT_UIDS, fd, NULL), RUNTIME_OK);
	pid = peer(sock);
	close(sock);
	usleep(200000);
	sock = connect_soon();
	assert_int_equal(peer(sock), pid);
	close(sock);
	close(fd);
}

/* Clerks that end at once meet clients that come at any moment: none is turned away. */
static void the_end_of_an_idle_clerk_loses_no_client(void **state)
{
	const unsigned rounds = getenv("CORDON_SOAK") ? 2000 : 100;

	(void)state;
	for (unsigned i = 0; i < rounds; i++) {
		pid_t pid = run_in_foreground("0", 0);
		unsigned held = 1;
		int sock;

		usleep(i * 997 % 4000);
		sock = connect_or_start();
		assert_int_equal(clerk_ask(sock, one, &held, NULL), RUNTIME_OK);
		if (peer(sock) != pid)
			end_clerk(peer(sock)); /* the one with ten seconds' patience */
		close(sock);
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
}

static void after_kill_a_new_clerk_starts_on_demand(void **state)
{
	(void)state;
	for (int i = 0; i < 20; i++) {
		int sock = connect_or_start();
		unsigned held = 1;

		assert_int_equal(clerk_ask(sock, one, &held, NULL), RUNTIME_OK);
		assert_int_equal(held, 0);
		kill(peer(sock), SIGKILL); /* the socket stays behind, the lock does not */
		close(sock);
	}
}

static void a_request_to_a_killed_clerk_fails(void **state)
{
	int sock = connect_or_start();
	unsigned held;

	(void)state;
	end_clerk(peer(sock));
	assert_int_equal(clerk_ask(sock, one, &held, NULL), RUNTIME_SYSTEM);
	close(sock);
}

/* ---- descriptors ----------------------------------------------------------------- */

static void what_is_held_can_be_taken_more_than_once(void **state)
{
	int sock = connect_or_start(), other = connect_or_start(), ring = ring_make();
	int file = memfd_create("uids", MFD_CLOEXEC);
	struct clerk_taken t;
	unsigned held;

	(void)state;
	assert_int_equal(clerk_hold(sock, one, WIRE_SLOT_UIDS, file, NULL), RUNTIME_OK);
	assert_int_equal(clerk_hold(sock, one, WIRE_SLOT_RING, ring, NULL), RUNTIME_OK);
	close(sock); /* the descriptors outlive whoever gave them */
	for (int i = 0; i < 2; i++) {
		assert_int_equal(clerk_take(other, one, &t, NULL), RUNTIME_OK);
		assert_int_equal(t.n, 2);
		assert_int_equal(t.slots[0], WIRE_SLOT_UIDS);
		assert_true(same_file(t.fds[0], file));
		assert_int_equal(t.slots[1], WIRE_SLOT_RING);
		assert_true(same_file(t.fds[1], ring));
		assert_int_equal(fcntl(t.fds[0], F_GETFD), FD_CLOEXEC);
		close(t.fds[0]);
		close(t.fds[1]);
	}
	assert_int_equal(clerk_take(other, two, &t, NULL), RUNTIME_OK);
	assert_int_equal(t.n, 0);
	assert_int_equal(clerk_ask(other, one, &held, NULL), RUNTIME_OK);
	assert_int_equal(held, 2);
	close(other);
	close(ring);
	close(file);
}

static bool is_zero(int ring)
{
	static uint8_t bytes[RING_HEADER + RING_CAPACITY];
	uint8_t any = 0;

	assert_int_equal(pread(ring, bytes, sizeof(bytes), 0), sizeof(bytes));
	for (size_t i = 0; i < sizeof(bytes); i++)
		any |= bytes[i];
	return any == 0;
}

static void dropping_forgets_the_session_and_zeroes_its_ring(void **state)
{
	int sock = connect_or_start(), ring = ring_make(), log = -1;
	unsigned held = 1;

	(void)state;
	assert_true(ring_write(ring, "secret", 6));
	assert_int_equal(clerk_hold(sock, one, WIRE_SLOT_RING, ring, NULL), RUNTIME_OK);
	assert_int_equal(clerk_log(sock, one, &log, NULL), RUNTIME_OK);
	assert_true(same_file(log, ring));
	assert_int_equal(clerk_drop(sock, one, NULL), RUNTIME_OK);
	assert_true(is_zero(ring));
	assert_int_equal(clerk_ask(sock, one, &held, NULL), RUNTIME_OK);
	assert_int_equal(held, 0);
	assert_int_equal(clerk_drop(sock, one, NULL), RUNTIME_OK); /* again: nothing to do */
	close(log);
	close(ring);
	close(sock);
}

static void the_end_of_a_session_keeps_its_output_for_a_while(void **state)
{
	int sock = connect_or_start(), ring = ring_make(), log = -1;
	int file = memfd_create("uids", MFD_CLOEXEC);
	struct runtime_error e;
	unsigned held = 0;

	(void)state;
	assert_true(ring_write(ring, "bye", 3));
	assert_int_equal(clerk_hold(sock, one, WIRE_SLOT_UIDS, file, NULL), RUNTIME_OK);
	assert_int_equal(clerk_hold(sock, one, WIRE_SLOT_RING, ring, NULL), RUNTIME_OK);
	assert_int_equal(clerk_hold(sock, one, WIRE_SLOT_TMPFS, file, NULL), RUNTIME_OK);
	assert_int_equal(clerk_ended(sock, one, NULL), RUNTIME_OK);
	assert_int_equal(clerk_ask(sock, one, &held, NULL), RUNTIME_OK);
	assert_int_equal(held, 1);
	assert_int_equal(clerk_log(sock, one, &log, NULL), RUNTIME_OK);
	assert_false(is_zero(log));
	assert_int_equal(clerk_hold(sock, one, WIRE_SLOT_UIDS, file, &e), RUNTIME_REFUSED);
	assert_non_null(strstr(e.what, "over"));

	/* A clerk that is told to end does not leave ended sessions' output behind. */
	kill(peer(sock), SIGTERM);
	assert_int_equal(waitpid(peer(sock), NULL, 0), peer(sock));
	assert_true(is_zero(ring));
	close(log);
	close(ring);
	close(file);
	close(sock);
}

static void a_living_sessions_output_is_not_the_clerks_to_zero(void **state)
{
	int sock = connect_or_start(), ring = ring_make();

	(void)state;
	assert_true(ring_write(ring, "on", 2));
	assert_int_equal(clerk_hold(sock, one, WIRE_SLOT_RING, ring, NULL), RUNTIME_OK);
	kill(peer(sock), SIGTERM);
	assert_int_equal(waitpid(peer(sock), NULL, 0), peer(sock));
	assert_false(is_zero(ring));
	close(ring);
	close(sock);
}

static void a_ring_must_be_one_and_the_only_one(void **state)
{
	int sock = connect_or_start(), ring = ring_make(), log = -1;
	int file = memfd_create("plain", MFD_CLOEXEC);
	struct runtime_error e;

	(void)state;
	assert_int_equal(clerk_hold(sock, one, WIRE_SLOT_RING, file, &e), RUNTIME_REFUSED);
	assert_int_equal(clerk_log(sock, one, &log, &e), RUNTIME_REFUSED);
	assert_int_equal(clerk_hold(sock, one, WIRE_SLOT_RING, ring, &e), RUNTIME_OK);
	assert_int_equal(clerk_hold(sock, one, WIRE_SLOT_RING, ring, &e), RUNTIME_REFUSED);
	close(file);
	close(ring);
	close(sock);
}

/* ---- caps ------------------------------------------------------------------------ */

static void a_session_has_at_most_its_number_of_descriptors(void **state)
{
	int sock = connect_or_start(), fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	struct runtime_error e;

	(void)state;
	for (int i = 0; i < WIRE_FDS; i++)
		assert_int_equal(clerk_hold(sock, one, WIRE_SLOT_UIDS, fd, &e), RUNTIME_OK);
	assert_int_equal(clerk_hold(sock, one, WIRE_SLOT_UIDS, fd, &e), RUNTIME_REFUSED);
	assert_non_null(strstr(e.what, "descriptors"));
	assert_int_equal(clerk_hold(sock, two, WIRE_SLOT_UIDS, fd, &e), RUNTIME_OK);
	close(fd);
	close(sock);
}

static void at_its_caps_the_clerk_says_no_and_goes_on(void **state)
{
	pid_t pid = run_in_foreground("5", 256); /* few descriptors, low caps */
	int sock = connect_soon(), fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	int more[256], n = 0;
	uint8_t id[SESSION_ID_BYTES] = { 7 };
	struct runtime_error e;
	unsigned held = 0;

	(void)state;
	for (int i = 0;; i++) {
		enum runtime_status s;

		assert_true(i < 256);
		id[1] = (uint8_t)i;
		s = clerk_hold(sock, id, WIRE_SLOT_UIDS, fd, &e);
		if (s != RUNTIME_OK) {
			assert_int_equal(s, RUNTIME_REFUSED);
			assert_non_null(strstr(e.what, "as many descriptors"));
			break;
		}
	}
	for (;; n++) {
		enum runtime_status s;

		assert_true(n < 256);
		s = clerk_connect(&paths, NULL, &more[n], &e);
		if (s != RUNTIME_OK) {
			/* Refused would mean that there is no clerk, and so nothing held. */
			assert_int_equal(s, RUNTIME_SYSTEM);
			assert_non_null(strstr(e.what, "as many connections"));
			break;
		}
	}
	/* Nothing that it has was harmed. */
	assert_int_equal(clerk_ask(sock, id, &held, &e), RUNTIME_OK);
	assert_int_equal(clerk_drop(sock, (uint8_t[SESSION_ID_BYTES]){ 7 }, &e), RUNTIME_OK);
	assert_int_equal(clerk_hold(sock, id, WIRE_SLOT_UIDS, fd, &e), RUNTIME_OK);
	while (n > 0)
		close(more[--n]);
	assert_int_equal(peer(sock), pid);
	close(fd);
	close(sock);
}

static void a_late_answer_is_nobodys(void **state)
{
	const struct timeval patience = { .tv_usec = 1000 };
	const struct wire_message late = { .type = WIRE_OK, .a = 3 };
	struct runtime_error e;
	unsigned held = 77;
	int pair[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(
		setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
	assert_int_equal(clerk_ask(pair[0], one, &held, &e), RUNTIME_SYSTEM);
	assert_int_equal(wire_send(pair[1], &late, &e), RUNTIME_SYSTEM);
	assert_int_equal(clerk_ask(pair[0], two, &held, &e), RUNTIME_SYSTEM);
	assert_int_equal(held, 77);
	close(pair[0]);
	close(pair[1]);
}

/* ---- filters --------------------------------------------------------------------- */

static uint8_t insns[16] = { 6, [4] = 1, [8] = 6, [15] = 9 };
static const struct policy_filter filter = { .insns = insns, .n_insns = 2, .flags = 2 };

static void a_filter_comes_back_for_its_whole_key_alone(void **state)
{
	uint8_t key[1000];
	struct policy_filter f = { 0 };
	int sock = connect_or_start();

	(void)state;
	memset(key, 'k', sizeof(key));
	assert_int_equal(clerk_filter_get(sock, key, sizeof(key), &f, NULL), RUNTIME_REFUSED);
	assert_int_equal(clerk_filter_put(sock, key, sizeof(key), &filter, NULL), RUNTIME_OK);
	assert_int_equal(clerk_filter_get(sock, key, sizeof(key), &f, NULL), RUNTIME_OK);
	assert_int_equal(f.n_insns, 2);
	assert_int_equal(f.flags, 2);
	assert_memory_equal(f.insns, insns, sizeof(insns));
	free(f.insns);
	key[999] ^= 1;
	assert_int_equal(clerk_filter_get(sock, key, sizeof(key), &f, NULL), RUNTIME_REFUSED);
	assert_int_equal(clerk_filter_get(sock, key, 999, &f, NULL), RUNTIME_REFUSED);
	close(sock);
}

/* What the clerk hands out under a key's hash, as another client might have put it. */
static int put_raw(int sock, int64_t hash, const void *bytes, size_t n, int seals)
{
	struct wire_message m = { .type = WIRE_FILTER_PUT, .a = hash, .n_fds = 1 };
	bool closed;
	uint32_t type;
	int fd = memfd_create("raw", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_int_equal(write(fd, bytes, n), n);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
	m.fds[0] = fd;
	assert_int_equal(wire_send(sock, &m, NULL), RUNTIME_OK);
	assert_int_equal(wire_receive(sock, &m, &closed, NULL), RUNTIME_OK);
	type = m.type;
	close(fd);
	return (int)type;
}

static void a_filter_must_be_sealed(void **state)
{
	static const int seals[] = { F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_WRITE, F_SEAL_SEAL };
	const int all = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL;
	int sock = connect_or_start();

	(void)state;
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(put_raw(sock, 1, "x", 1, all & ~seals[i]), WIRE_NO);
	assert_int_equal(put_raw(sock, 1, "", 0, all), WIRE_NO);
	assert_int_equal(put_raw(sock, 1, "x", 1, all), WIRE_OK);
	close(sock);
}

static void a_filter_with_one_wrong_byte_in_its_frame_is_refused(void **state)
{
	const int all = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL;
	static const uint8_t key[] = "the key";
	struct wire_message m = { .type = WIRE_FILTER_GET };
	int sock = connect_or_start();
	uint64_t hash = UINT64_C(0xcbf29ce484222325);
	uint8_t bytes[256];
	struct policy_filter f;
	bool closed;
	ssize_t n;

	(void)state;
	for (size_t i = 0; i < sizeof(key); i++)
		hash = (hash ^ key[i]) * UINT64_C(0x100000001b3);
	assert_int_equal(clerk_filter_put(sock, key, sizeof(key), &filter, NULL), RUNTIME_OK);
	m.a = (int64_t)hash;
	assert_int_equal(wire_send(sock, &m, NULL), RUNTIME_OK);
	assert_int_equal(wire_receive(sock, &m, &closed, NULL), RUNTIME_OK);
	assert_int_equal(m.type, WIRE_HELD);
	n = pread(m.fds[0], bytes, sizeof(bytes), 0);
	assert_int_equal(n, 4 * 8 + (ssize_t)sizeof(key) + 16);
	wire_close_fds(&m);

	for (ssize_t i = 0; i < n - 16; i++) {
		bool in_flags = i >= 24 + (ssize_t)sizeof(key) && i < 28 + (ssize_t)sizeof(key);

		bytes[i] ^= 0x20;
		assert_int_equal(put_raw(sock, (int64_t)hash, bytes, (size_t)n, all), WIRE_OK);
		if (clerk_filter_get(sock, key, sizeof(key), &f, NULL) == RUNTIME_OK) {
			assert_true(in_flags); /* 32 bits that only the kernel judges */
			free(f.insns);
		}
		bytes[i] ^= 0x20;
	}
	for (ssize_t len = 1; len < n; len++) {
		assert_int_equal(put_raw(sock, (int64_t)hash, bytes, (size_t)len, all),
				 WIRE_OK);
		assert_int_equal(clerk_filter_get(sock, key, sizeof(key), &f, NULL),
				 RUNTIME_REFUSED);
	}
	close(sock);
}

static void the_filter_that_was_not_used_for_the_longest_time_goes_first(void **state)
{
	struct policy_filter f;
	int sock = connect_or_start();

	(void)state;
	for (uint8_t i = 0; i < 64; i++)
		assert_int_equal(clerk_filter_put(sock, &i, 1, &filter, NULL), RUNTIME_OK);
	assert_int_equal(clerk_filter_get(sock, (uint8_t[]){ 0 }, 1, &f, NULL), RUNTIME_OK);
	free(f.insns);
	assert_int_equal(clerk_filter_put(sock, (uint8_t[]){ 64 }, 1, &filter, NULL),
			 RUNTIME_OK);
	assert_int_equal(clerk_filter_get(sock, (uint8_t[]){ 0 }, 1, &f, NULL), RUNTIME_OK);
	free(f.insns);
	assert_int_equal(clerk_filter_get(sock, (uint8_t[]){ 1 }, 1, &f, NULL),
			 RUNTIME_REFUSED);
	close(sock);
}

/* ---- others ---------------------------------------------------------------------- */

static void garbage_costs_its_sender_the_connection_and_nobody_else(void **state)
{
	int sock = connect_or_start(), bad = connect_or_start();
	unsigned held;
	char c;

	(void)state;
	assert_int_equal(send(bad, "garbage", 7, MSG_NOSIGNAL), 7);
	assert_true(recv(bad, &c, 1, 0) <= 0);
	assert_int_equal(clerk_ask(sock, one, &held, NULL), RUNTIME_OK);
	close(bad);

	bad = connect_or_start(); /* well-formed, and for somebody else */
	assert_int_equal(
		wire_send(bad, &(struct wire_message){ .type = WIRE_SIGNAL, .a = 9 }, NULL),
		RUNTIME_OK);
	assert_true(recv(bad, &c, 1, 0) <= 0);
	assert_int_equal(clerk_ask(sock, one, &held, NULL), RUNTIME_OK);
	close(bad);
	close(sock);
}

static void a_client_that_reads_no_answers_loses_its_connection(void **state)
{
	const struct wire_message m = { .type = WIRE_ASK, .id = { 1 } };
	int sock = connect_or_start(), deaf = connect_or_start();
	unsigned held;
	int sent = 0;

	(void)state;
	while (sent < 100000 && wire_send(deaf, &m, NULL) == RUNTIME_OK)
		sent++;
	assert_true(sent < 100000);
	assert_int_equal(clerk_ask(sock, one, &held, NULL), RUNTIME_OK);
	close(deaf);
	close(sock);
}

/* Permissions opened wide: the clerk's own look at its peer is what is left. */
static void another_user_gets_no_answer(void **state)
{
	int sock, status;
	pid_t pid;

	(void)state;
	if (geteuid() != 0) {
		print_message("skipped: only root can become another user\n");
		skip();
	}
	sock = connect_or_start();
	assert_int_equal(chmod(top, 0755), 0);
	assert_int_equal(chmod(paths.run, 0755), 0);
	assert_int_equal(fchmodat(paths.run_fd, CLERK_SOCKET, 0666, 0), 0);
	pid = fork();
	if (pid == 0) {
		unsigned held;
		int mine = -1;

		if (setresuid(65534, 65534, 65534) != 0 ||
		    wire_connect(paths.run_fd, CLERK_SOCKET, &mine, NULL) != RUNTIME_OK)
			_exit(1);
		_exit(clerk_ask(mine, one, &held, NULL) == RUNTIME_SYSTEM ? 0 : 2);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	close(sock);
}

static uint32_t dice(uint32_t *seed)
{
	*seed = *seed * 1664525u + 1013904223u;
	return *seed >> 8;
}

/* Every type, with bytes changed and descriptors of any number, from one client after
 * the other: afterwards the clerk still has what it had, and nothing that it should not. */
static void mutated_messages_do_not_shake_the_clerk(void **state)
{
	const unsigned rounds = getenv("CORDON_SOAK") ? 10000 : 1500;
	int sock = connect_or_start(), ring = ring_make(), bad = -1;
	pid_t pid = peer(sock);
	uint32_t seed = 20240229;
	struct clerk_taken t;

	(void)state;
	assert_int_equal(clerk_hold(sock, one, WIRE_SLOT_RING, ring, NULL), RUNTIME_OK);
	for (unsigned i = 0; i < rounds; i++) {
		struct wire_message m = { .type = dice(&seed) % WIRE_TYPES,
					  .id = { 9 },
					  .a = dice(&seed) % 6 };
		uint8_t bytes[WIRE_BYTES];
		union {
			char room[CMSG_SPACE(4 * sizeof(int))];
			struct cmsghdr align;
		} control = { 0 };
		struct iovec iov = { .iov_base = bytes, .iov_len = sizeof(bytes) };
		struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
		size_t n_fds = dice(&seed) % 3;

		wire_encode(&m, bytes);
		for (unsigned k = dice(&seed) % 3; k > 0; k--)
			bytes[dice(&seed) % (dice(&seed) % 2 ? 40 : sizeof(bytes))] ^=
				(uint8_t)(1u << dice(&seed) % 8);
		if (dice(&seed) % 16 == 0)
			iov.iov_len = dice(&seed) % sizeof(bytes);
		if (n_fds > 0) {
			struct cmsghdr *c;

			msg.msg_control = control.room;
			msg.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
			c = CMSG_FIRSTHDR(&msg);
			c->cmsg_level = SOL_SOCKET;
			c->cmsg_type = SCM_RIGHTS;
			c->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
		}
		if (bad < 0)
			assert_int_equal(wire_connect(paths.run_fd, CLERK_SOCKET, &bad, NULL),
					 RUNTIME_OK);
		if (sendmsg(bad, &msg, MSG_NOSIGNAL) < 0 || i % 7 == 0) {
			close(bad);
			bad = -1;
		}
	}
	if (bad >= 0)
		close(bad);
	assert_int_equal(clerk_take(sock, one, &t, NULL), RUNTIME_OK);
	assert_int_equal(t.n, 1);
	assert_true(same_file(t.fds[0], ring));
	close(t.fds[0]);
	assert_int_equal(peer(sock), pid);
	close(ring);
	close(sock);
}

/* ---- by hand --------------------------------------------------------------------- */

static int run(char *const argv[])
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

		dup2(null, 2);
		dup2(null, 1);
		execv(program, argv);
		_exit(98);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void started_by_hand_it_stays_in_the_background(void **state)
{
	char *argv[] = { (char[]){ "cordon-clerk" }, (char[]){ "--root" }, top, NULL };
	int sock = -1;

	(void)state;
	assert_int_equal(run(argv), 0);
	assert_int_equal(clerk_connect(&paths, NULL, &sock, NULL), RUNTIME_OK);
	close(sock);
}

static void wrong_options_are_a_usage_error(void **state)
{
	char name[] = "cordon-clerk", serve[] = "--serve", idle[] = "--idle", three[] = "3",
	     front[] = "--foreground", word[] = "now", root[] = "--root",
	     unknown[] = "--daemon";
	char *wrong[][6] = {
		{ name, unknown },           { name, word },  { name, idle, three },
		{ name, front, idle, word }, { name, root },  { name, serve, front },
		{ name, serve, root, top },  { name, serve }, /* without its two descriptors */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_int_equal(run(wrong[i]), 2);
}

#define WITH_ROOT(test) cmocka_unit_test_setup_teardown(test, make_root, remove_root)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_ROOT(without_start_no_clerk_is_started),
		WITH_ROOT(a_program_that_is_absent_or_no_clerk_is_told),
		WITH_ROOT(one_clerk_serves_one_root),
		WITH_ROOT(starting_many_at_once_gives_one),
		WITH_ROOT(a_started_clerk_keeps_nothing_of_its_starter),
		WITH_ROOT(nobody_else_looks_into_a_clerk),
		WITH_ROOT(an_idle_clerk_ends_and_leaves_no_socket),
		WITH_ROOT(a_clerk_that_holds_something_is_not_idle),
		WITH_ROOT(the_end_of_an_idle_clerk_loses_no_client),
		WITH_ROOT(after_kill_a_new_clerk_starts_on_demand),
		WITH_ROOT(a_request_to_a_killed_clerk_fails),
		WITH_ROOT(what_is_held_can_be_taken_more_than_once),
		WITH_ROOT(dropping_forgets_the_session_and_zeroes_its_ring),
		WITH_ROOT(the_end_of_a_session_keeps_its_output_for_a_while),
		WITH_ROOT(a_living_sessions_output_is_not_the_clerks_to_zero),
		WITH_ROOT(a_ring_must_be_one_and_the_only_one),
		WITH_ROOT(a_session_has_at_most_its_number_of_descriptors),
		WITH_ROOT(at_its_caps_the_clerk_says_no_and_goes_on),
		cmocka_unit_test(a_late_answer_is_nobodys),
		WITH_ROOT(a_filter_comes_back_for_its_whole_key_alone),
		WITH_ROOT(a_filter_must_be_sealed),
		WITH_ROOT(a_filter_with_one_wrong_byte_in_its_frame_is_refused),
		WITH_ROOT(the_filter_that_was_not_used_for_the_longest_time_goes_first),
		WITH_ROOT(garbage_costs_its_sender_the_connection_and_nobody_else),
		WITH_ROOT(a_client_that_reads_no_answers_loses_its_connection),
		WITH_ROOT(another_user_gets_no_answer),
		WITH_ROOT(mutated_messages_do_not_shake_the_clerk),
		WITH_ROOT(started_by_hand_it_stays_in_the_background),
		WITH_ROOT(wrong_options_are_a_usage_error),
	};
	const char *build = getenv("O");

	snprintf(program, sizeof(program), "%s/bin/cordon-clerk",
		 build ? build : "build/release");
	if (access(program, X_OK) != 0) {
		print_error("%s is absent: run make first\n", program);
		return 1;
	}
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	return cmocka_run_group_tests_name("clerk", tests, NULL, NULL);
}
