/*
 * tests/runtime/test_proxy.c - a proxy carries bytes between its keeper's stream and one
 * address: so many, so long, and nothing else.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/deadline.h"
#include "runtime/proxy.h"

#define PATIENCE_MS 10000

static char program[4096];

/* ---- a service, and a proxy to it ------------------------------------------------ */

static int listen_somewhere(uint16_t *ret_port)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof(a);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, len), 0);
	assert_int_equal(listen(fd, 8), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	*ret_port = ntohs(a.sin_port);
	return fd;
}

struct proxy {
	pid_t pid;
	int near;  /* our end of the keeper's stream */
	int words; /* its standard error */
};

static struct proxy start_proxy(const char *host, const char *port)
{
	int stream[2], words[2];
	struct proxy p;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, stream), 0);
	assert_int_equal(pipe2(words, O_CLOEXEC), 0);
	p.pid = fork();
	assert_true(p.pid >= 0);
	if (p.pid == 0) {
		/* 9 is a descriptor that its keeper forgot to close. */
		if (dup2(stream[1], 0) < 0 || dup2(words[1], 1) < 0 || dup2(words[1], 2) < 0 ||
		    dup2(words[1], 9) < 0)
			_exit(99);
		execl(program, "cordon-proxy", host, port, NULL);
		_exit(98);
	}
	close(stream[1]);
	close(words[1]);
	p.near = stream[0];
	p.words = words[0];
	return p;
}

static struct proxy start_to(uint16_t port)
{
	char text[8];

	snprintf(text, sizeof(text), "%u", port);
	return start_proxy("127.0.0.1", text);
}

/* What it says, and its exit status. */
static int end_of(struct proxy *p, char *said, size_t size)
{
	size_t at = 0;
	ssize_t n;
	int status;

	while (at < size - 1 && (n = read(p->words, said + at, size - 1 - at)) > 0)
		at += (size_t)n;
	said[at] = '\0';
	assert_int_equal(waitpid(p->pid, &status, 0), p->pid);
	close(p->near);
	close(p->words);
	if (!WIFEXITED(status))
		fail_msg("killed by signal %d", WTERMSIG(status));
	return WEXITSTATUS(status);
}

static int accept_one(int listener)
{
	int fd;

	assert_true(deadline_wait(listener, POLLIN, deadline_in(PATIENCE_MS)));
	fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

static void assert_comes(int fd, const char *text)
{
	char got[64];

	assert_true(strlen(text) < sizeof(got));
	assert_int_equal(recv(fd, got, strlen(text), MSG_WAITALL), (ssize_t)strlen(text));
	assert_memory_equal(got, text, strlen(text));
}

/* ---- bytes ----------------------------------------------------------------------- */

static void bytes_go_both_ways_until_a_side_ends(void **state)
{
	uint16_t port;
	int listener = listen_somewhere(&port);
	char said[512];

	(void)state;
	for (int near_ends = 0; near_ends < 2; near_ends++) {
		struct proxy p = start_to(port);
		int far = accept_one(listener);

		assert_int_equal(send(p.near, "question", 8, 0), 8);
		assert_comes(far, "question");
		assert_int_equal(send(far, "answer", 6, 0), 6);
		assert_comes(p.near, "answer");
		/* What is on its way when a side ends still arrives. */
		assert_int_equal(send(near_ends ? p.near : far, "last", 4, 0), 4);
		shutdown(near_ends ? p.near : far, SHUT_RDWR);
		assert_comes(near_ends ? far : p.near, "last");
		assert_int_equal(end_of(&p, said, sizeof(said)), 0);
		assert_string_equal(said, "");
		close(far);
	}
	close(listener);
}

struct sender {
	int fd;
	size_t len;
};

static void *send_all(void *arg)
{
	static const char block[65536];
	const struct sender *s = arg;

	for (size_t left = s->len; left > 0;) {
		ssize_t n = send(s->fd, block, left < sizeof(block) ? left : sizeof(block),
				 MSG_NOSIGNAL);

		if (n <= 0)
			break;
		left -= (size_t)n;
	}
	shutdown(s->fd, SHUT_WR);
	return NULL;
}

static size_t count_all(int fd)
{
	char block[65536];
	size_t sum = 0;
	ssize_t n;

	while ((n = recv(fd, block, sizeof(block), 0)) > 0)
		sum += (size_t)n;
	return sum;
}

/* To the last byte, and not one more. */
static void a_limit_of_bytes_holds_each_way(void **state)
{
	static const struct {
		size_t len;
		bool up;
		int status;
	} cases[] = {
		{ PROXY_UP, true, 0 },
		{ PROXY_UP + 1, true, 1 },
		{ PROXY_DOWN, false, 0 },
		{ PROXY_DOWN + 1, false, 1 },
	};
	uint16_t port;
	int listener = listen_somewhere(&port);
	char said[512];

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		struct proxy p = start_to(port);
		int far = accept_one(listener);
		struct sender s = { cases[i].up ? p.near : far, cases[i].len };
		pthread_t thread;
		size_t came;

		assert_int_equal(pthread_create(&thread, NULL, send_all, &s), 0);
		came = count_all(cases[i].up ? far : p.near);
		assert_int_equal(pthread_join(thread, NULL), 0);
		if (cases[i].status == 0)
			assert_int_equal(came, cases[i].len);
		else
			assert_true(came < cases[i].len);
		assert_int_equal(end_of(&p, said, sizeof(said)), cases[i].status);
		if (cases[i].status)
			assert_non_null(
				strstr(said, cases[i].up ? "cordon-proxy: to the key service"
							 : "cordon-proxy: from the key "
							   "service"));
		assert_true(cases[i].status == 0 || said[strlen(said) - 1] == '\n');
		close(far);
	}
	close(listener);
}

static void time_is_limited(void **state)
{
	struct proxy_limits limits = { .up = 100, .down = 100, .deadline = deadline_in(200) };
	int near[2], far[2];
	struct runtime_error e;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, near), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, far), 0);
	assert_int_equal(proxy_pump(near[0], far[0], &limits, &e), RUNTIME_REFUSED);
	assert_string_equal(e.where, "time");
	assert_int_equal(deadline_left(limits.deadline), 0);
	for (int i = 0; i < 2; i++) {
		close(near[i]);
		close(far[i]);
	}
}

/* One side does not read, the other hung up, and what it sent is not gone yet. */
static void waiting_for_a_side_costs_no_time(void **state)
{
	static const char bytes[65536];
	struct proxy_limits limits = { .up = 1u << 20, .down = 1u << 20 };
	struct timespec before, after;
	int near[2], far[2], small = 4096;
	struct runtime_error e;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, near), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, far), 0);
	assert_int_equal(setsockopt(near[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)), 0);
	assert_int_equal(send(far[1], bytes, sizeof(bytes), 0), sizeof(bytes));
	close(far[1]);
	limits.deadline = deadline_in(500);
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &before);
	assert_int_equal(proxy_pump(near[0], far[0], &limits, &e), RUNTIME_REFUSED);
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &after);
	assert_in_range((after.tv_sec - before.tv_sec) * 1000000000 + after.tv_nsec -
				before.tv_nsec,
			0, 100000000);
	close(far[0]);
	close(near[0]);
	close(near[1]);
}

/* ---- what it may do -------------------------------------------------------------- */

static void assert_status(pid_t pid, const char *line)
{
	char path[64], text[4096];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	f = fopen(path, "re");
	assert_non_null(f);
	text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
	fclose(f);
	if (!strstr(text, line))
		fail_msg("not \"%s\" in %s", line, text);
}

static void it_has_given_everything_up(void **state)
{
	uint16_t port;
	int listener = listen_somewhere(&port), far;
	struct proxy p = start_to(port);
	char said[512], path[64];
	int n = 0;

	(void)state;
	far = accept_one(listener);
	assert_int_equal(send(p.near, "x", 1, 0), 1);
	assert_comes(far, "x"); /* it pumps */
	if (geteuid() == 0) {
		assert_status(p.pid, "\nUid:\t65534\t65534\t65534\t65534\n");
		assert_status(p.pid, "\nGid:\t65534\t65534\t65534\t65534\n");
		assert_status(p.pid, "\nGroups:\t \n");
		assert_status(p.pid, "\nCapBnd:\t0000000000000000\n");
	}
	assert_status(p.pid, "\nCapInh:\t0000000000000000\n");
	assert_status(p.pid, "\nCapPrm:\t0000000000000000\n");
	assert_status(p.pid, "\nCapEff:\t0000000000000000\n");
	assert_status(p.pid, "\nCapAmb:\t0000000000000000\n");
	assert_status(p.pid, "\nNoNewPrivs:\t1\n");
	assert_status(p.pid, "\nSeccomp:\t2\n");
	for (int fd = 0; geteuid() == 0 && fd < 64; fd++) {
		snprintf(path, sizeof(path), "/proc/%d/fd/%d", p.pid, fd);
		n += access(path, F_OK) == 0;
	}
	assert_true(geteuid() != 0 || n == 4); /* streams, and the connection */
	close(far);
	assert_int_equal(end_of(&p, said, sizeof(said)), 0);
	close(listener);
}

static int connect_to(uint16_t port)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
				 .sin_port = htons(port),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int err = connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0 ? errno : 0;

	close(fd);
	return err;
}

static int status_of(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void it_reaches_no_other_port_and_no_file(void **state)
{
	long abi =
		syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	uint16_t its, other;
	int one = listen_somewhere(&its), two = listen_somewhere(&other);
	pid_t pid;

	(void)state;
	if (abi < 4) {
		close(one);
		close(two);
		print_message("skipped: this kernel's Landlock knows no ports\n");
		skip();
	}
	pid = fork();
	if (pid == 0) {
		if (connect_to(other) != 0) /* it is there */
			_exit(1);
		if (proxy_begin(NULL) != RUNTIME_OK || proxy_confine(its, NULL) != RUNTIME_OK)
			_exit(2);
		if (connect_to(its) != 0)
			_exit(3);
		if (connect_to(other) != EACCES)
			_exit(4);
		if (open("/etc/passwd", O_RDONLY | O_CLOEXEC) >= 0 || errno != EACCES)
			_exit(5);
		_exit(0);
	}
	assert_int_equal(status_of(pid), 0);
	close(one);
	close(two);
}

static void sealed_it_can_make_no_descriptor(void **state)
{
	static const long calls[] = { SYS_socket, SYS_openat,    SYS_connect, SYS_execve,
				      SYS_clone,  SYS_dup,       SYS_recvmsg, SYS_sendmsg,
				      SYS_mmap,   SYS_pidfd_open };

	(void)state;
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		pid_t pid = fork();

		if (pid == 0) {
			if (proxy_begin(NULL) != RUNTIME_OK || proxy_seal(NULL) != RUNTIME_OK)
				_exit(1);
			syscall(calls[i], 0, 0, 0, 0, 0, 0);
			_exit(2);
		}
		assert_int_equal(status_of(pid), SIGSYS);
	}
}

/* ---- its ends -------------------------------------------------------------------- */

static void it_dies_with_its_keeper(void **state)
{
	uint16_t port;
	int listener = listen_somewhere(&port), pair[2], fd, far;
	struct proxy p = { 0 };
	pid_t keeper;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	keeper = fork();
	if (keeper == 0) {
		struct iovec iov = { &p, sizeof(p) };
		char control[CMSG_SPACE(sizeof(int))] = { 0 };
		struct msghdr h = { .msg_iov = &iov,
				    .msg_iovlen = 1,
				    .msg_control = control,
				    .msg_controllen = sizeof(control) };
		struct cmsghdr *c = CMSG_FIRSTHDR(&h);

		p = start_to(port);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &p.near, sizeof(int));
		if (sendmsg(pair[1], &h, 0) < 0)
			_exit(1);
		pause();
		_exit(0);
	}
	{
		struct iovec iov = { &p, sizeof(p) };
		char control[CMSG_SPACE(sizeof(int))];
		struct msghdr h = { .msg_iov = &iov,
				    .msg_iovlen = 1,
				    .msg_control = control,
				    .msg_controllen = sizeof(control) };

		assert_int_equal(recvmsg(pair[0], &h, MSG_CMSG_CLOEXEC), sizeof(p));
		memcpy(&p.near, CMSG_DATA(CMSG_FIRSTHDR(&h)), sizeof(int));
	}
	far = accept_one(listener);
	assert_int_equal(send(p.near, "x", 1, 0), 1);
	assert_comes(far, "x");
	fd = pidfd_open(p.pid, 0);
	assert_true(fd >= 0);
	assert_int_equal(kill(keeper, SIGKILL), 0);
	(void)status_of(keeper);
	/* Both its sides are open still. */
	assert_true(deadline_wait(fd, POLLIN, deadline_in(PATIENCE_MS)));
	close(fd);
	close(far);
	close(p.near);
	close(pair[0]);
	close(pair[1]);
	close(listener);
}

static void a_service_that_is_not_there_is_told(void **state)
{
	uint16_t port;
	int listener = listen_somewhere(&port);
	struct proxy p;
	char said[512];

	(void)state;
	close(listener);
	p = start_to(port);
	assert_int_equal(end_of(&p, said, sizeof(said)), 3);
	assert_non_null(strstr(said, "127.0.0.1: cannot connect: Connection refused"));
	assert_int_equal(strcspn(said, "\n"), strlen(said) - 1); /* one line */
}

static void wrong_calls_are_usage_errors(void **state)
{
	static const char *const ports[] = { "", "0", "65536", "x", "80x", "-1" };
	char said[512];
	struct proxy p;
	pid_t pid;

	(void)state;
	for (size_t i = 0; i < sizeof(ports) / sizeof(ports[0]); i++) {
		p = start_proxy("127.0.0.1", ports[i]);
		assert_int_equal(end_of(&p, said, sizeof(said)), 2);
	}
	p = start_proxy("", "80");
	assert_int_equal(end_of(&p, said, sizeof(said)), 2);
	pid = fork(); /* a descriptor 0 that is no socket */
	if (pid == 0) {
		int null = open("/dev/null", O_RDWR | O_CLOEXEC);

		if (dup2(null, 0) < 0 || dup2(null, 2) < 0)
			_exit(99);
		execl(program, "cordon-proxy", "127.0.0.1", "80", NULL);
		_exit(98);
	}
	assert_int_equal(status_of(pid), 2 << 8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_go_both_ways_until_a_side_ends),
		cmocka_unit_test(a_limit_of_bytes_holds_each_way),
		cmocka_unit_test(time_is_limited),
		cmocka_unit_test(waiting_for_a_side_costs_no_time),
		cmocka_unit_test(it_has_given_everything_up),
		cmocka_unit_test(it_reaches_no_other_port_and_no_file),
		cmocka_unit_test(sealed_it_can_make_no_descriptor),
		cmocka_unit_test(it_dies_with_its_keeper),
		cmocka_unit_test(a_service_that_is_not_there_is_told),
		cmocka_unit_test(wrong_calls_are_usage_errors),
	};
	const char *build = getenv("O");

	snprintf(program, sizeof(program), "%s/bin/cordon-proxy",
		 build ? build : "build/release");
	if (access(program, X_OK) != 0) {
		print_error("%s is absent: run make first\n", program);
		return 1;
	}
	return cmocka_run_group_tests_name("proxy", tests, NULL, NULL);
}
