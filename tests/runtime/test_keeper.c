/* tests/runtime/test_keeper.c - the keeper takes bytes from others: its order, its plan and
 * what comes to its socket. None of them makes it fall, hang or start what nobody asked for. */
#include "tests/runtime/fixture.h"

#include <poll.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/socket.h>

#include "policy/policy.h"
#include "runtime/keeper.h"
#include "runtime/wire.h"

static bool soak(void)
{
	return getenv("CORDON_SOAK") != NULL;
}

/* Starting a keeper takes ten times as long under ASan. And ASan's own death is an endless
 * loop where a spoiled filter refuses exit_group: such a sandbox ends when the keeper has
 * given it its 30 s. Nothing else takes that long. */
#ifdef __SANITIZE_ADDRESS__
#define MANY 1000
#define SETTLE_MS 45000
#else
#define MANY 10000
#define SETTLE_MS 10000
#endif

static uint64_t seed = 0x9e3779b97f4a7c15u;

static uint64_t random_next(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

/* ---- a keeper and its order ------------------------------------------------------ */

struct ordered {
	pid_t pid;
	int control;
};

static struct ordered keeper_spawn(void)
{
	const char *o = getenv("O");
	char program[4096];
	char *argv[] = { program, NULL }, *env[] = { NULL };
	posix_spawn_file_actions_t files;
	struct ordered k;
	int pair[2];

	snprintf(program, sizeof(program), "%s/bin/cordon-keeper", o ? o : "build/release");
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(posix_spawn_file_actions_init(&files), 0);
	for (int i = 0; i < 3; i++)
		posix_spawn_file_actions_addopen(&files, i, "/dev/null", O_RDWR, 0);
	posix_spawn_file_actions_adddup2(&files, pair[1], KEEPER_CONTROL);
	assert_int_equal(posix_spawn(&k.pid, program, &files, NULL, argv, env), 0);
	posix_spawn_file_actions_destroy(&files);
	close(pair[1]);
	k.control = pair[0];
	return k;
}

static uint8_t *plan_bytes(const char *command, size_t *ret_len)
{
	char *argv[] = { strdup(command), NULL };
	struct policy_error e;
	struct policy *p = NULL;
	struct policy_plan *plan = NULL;
	uint8_t *bytes = NULL;

	assert_int_equal(policy_builtin(&p, &e), POLICY_OK);
	assert_int_equal(policy_plan_make(p, argv, NULL, &plan, &e), POLICY_OK);
	assert_int_equal(policy_plan_encode(plan, &bytes, ret_len), POLICY_OK);
	policy_plan_free(plan);
	policy_free(p);
	free(argv[0]);
	return bytes;
}

static int memory_file(const void *bytes, size_t n)
{
	int fd = memfd_create("plan", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, n), n);
	return fd;
}

/* The datagram of an order, to be spoiled by the caller, with its descriptors. */
static void order_encode(uint8_t id, uint8_t buf[static WIRE_BYTES])
{
	struct wire_message m = { .type = WIRE_START, .id = { id, 0xcd } };

	wire_encode(&m, buf);
}

static void send_raw(int sock, const void *bytes, size_t n, const int *fds, size_t n_fds)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int) * 8)];
		struct cmsghdr align;
	} c = { .bytes = { 0 } };
	struct iovec iov = { .iov_base = memcpy(malloc(n + 1), bytes, n), .iov_len = n };
	struct msghdr h = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (n_fds) {
		h.msg_control = c.bytes;
		h.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
		c.align.cmsg_level = SOL_SOCKET;
		c.align.cmsg_type = SCM_RIGHTS;
		c.align.cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
		memcpy(CMSG_DATA(&c.align), fds, sizeof(int) * n_fds);
	}
	(void)sendmsg(sock, &h, MSG_NOSIGNAL); /* a keeper that gave up already is fine */
	free(iov.iov_base);
}

static void send_order(struct fixture *f, const struct ordered *k, const uint8_t *order,
		       size_t n, int plan)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	const int fds[] = { plan, null, null, null, f->paths.sessions_fd, f->paths.run_fd };

	send_raw(k->control, order, n, fds, 6);
	close(null);
}

/* Waits for the keeper's end. Its exit status, or -1 when a signal ended it; the last
 * answer says whether it ran something. */
static int settle(struct ordered *k, struct wire_message *ret_last)
{
	struct pollfd p = { .fd = k->control, .events = POLLIN };
	struct runtime_error e;
	bool closed = false;
	int status;

	memset(ret_last, 0, sizeof(*ret_last));
	while (!closed) {
		assert_int_equal(poll(&p, 1, SETTLE_MS), 1); /* or it hangs */
		if (wire_receive(k->control, ret_last, &closed, &e) != RUNTIME_OK)
			break;
		if (!closed)
			wire_close_fds(ret_last);
	}
	close(k->control);
	assert_int_equal(waitpid(k->pid, &status, 0), k->pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* What a refusal must look like: words on one line, and the status of `cordon run`. */
static void assert_refusal(const struct wire_message *m)
{
	if (m->type != WIRE_FAILED)
		return; /* it never learnt whom to answer */
	assert_true(m->a >= 125 && m->a <= 127);
	assert_true(m->text[0] && !strchr(m->text, '\n'));
}

/* ---- the tests ------------------------------------------------------------------- */

static void a_good_order_runs(void **state)
{
	struct ordered k = keeper_spawn();
	struct wire_message last;
	uint8_t order[WIRE_BYTES], *plan;
	size_t len;
	int fd;

	plan = plan_bytes("/bin/true", &len);
	fd = memory_file(plan, len);
	order_encode(1, order);
	send_order(*state, &k, order, sizeof(order), fd);
	close(fd);
	assert_int_equal(settle(&k, &last), 0);
	assert_int_equal(last.type, WIRE_ENDED);
	assert_int_equal(last.a, 0);
	free(plan);
}

static void a_keeper_without_an_order_ends(void **state)
{
	struct ordered k = keeper_spawn();
	struct wire_message last;

	(void)state;
	shutdown(k.control, SHUT_WR);
	assert_true(settle(&k, &last) > 0);
}

static void every_truncated_order_is_refused(void **state)
{
	uint8_t order[WIRE_BYTES];
	struct wire_message last;
	size_t len;
	uint8_t *plan = plan_bytes("/bin/true", &len);
	int fd = memory_file(plan, len);

	order_encode(2, order);
	for (size_t n = 0; n < sizeof(order); n += soak() ? 1 : 37) {
		struct ordered k = keeper_spawn();

		send_order(*state, &k, order, n, fd);
		shutdown(k.control, SHUT_WR);
		assert_true(settle(&k, &last) > 0);
		assert_refusal(&last);
	}
	close(fd);
	free(plan);
}

static void descriptors_that_are_missing_are_refused(void **state)
{
	struct fixture *f = *state;
	uint8_t order[WIRE_BYTES];
	struct wire_message last;

	order_encode(3, order);
	for (size_t n = 0; n < 6; n++) {
		struct ordered k = keeper_spawn();
		const int fds[6] = { 0, 1, 2, 0, f->paths.sessions_fd, f->paths.run_fd };

		send_raw(k.control, order, sizeof(order), fds, n);
		shutdown(k.control, SHUT_WR);
		assert_true(settle(&k, &last) > 0);
		assert_refusal(&last);
	}
}

/* A sweep of free memory takes longer than a keeper is waited for here. */
static bool asks_for_sweep(const uint8_t *bytes, size_t n)
{
	struct policy_plan *p = NULL;
	struct policy_error e;
	bool sweeps = policy_plan_decode(bytes, n, &p, &e) == POLICY_OK &&
		      p->kernel == POLICY_KERNEL_SWEPT;

	policy_plan_free(p);
	return sweeps;
}

/* A spoiled plan is refused, or it is another good plan: then the keeper runs that one and
 * ends in order. It never falls. */
static void spoiled_plans_are_refused_or_run(void **state)
{
	size_t rounds = soak() ? MANY : 60, len;
	uint8_t order[WIRE_BYTES], *plan = plan_bytes("/bin/true", &len);
	uint8_t *bad = malloc(len);
	struct wire_message last;

	assert_non_null(bad);
	for (size_t i = 0; i < rounds; i++) {
		size_t n = i % 4 == 0 ? random_next() % len : len;
		struct ordered k;
		int fd, status;

		memcpy(bad, plan, len);
		/* The filter is most of a plan and means little: spoil the rest more often. */
		for (uint64_t m = random_next() % 3 + 1; m; m--)
			bad[random_next() % (i % 2        ? len
					     : len < 2048 ? len
							  : 2048)] ^=
				(uint8_t)(1u << (random_next() % 8));
		if (asks_for_sweep(bad, n))
			continue;
		k = keeper_spawn();
		fd = memory_file(bad, n);
		order_encode((uint8_t)(i + 4), order);
		order[12] = (uint8_t)(i >> 8);
		order[13] = 0x77;
		send_order(*state, &k, order, sizeof(order), fd);
		close(fd);
		status = settle(&k, &last);
		assert_true(status == 0 || status == 1);
		if (status)
			assert_refusal(&last);
	}
	free(bad);
	free(plan);
}

static void what_visitors_send_does_not_shake_it(void **state)
{
	size_t rounds = soak() ? 10000 : 300, len;
	struct fixture *f = *state;
	uint8_t order[WIRE_BYTES], *plan = plan_bytes("/bin/cat", &len);
	struct ordered k = keeper_spawn();
	struct wire_message last = { 0 }, stop = { .type = WIRE_STOP, .a = 0 };
	struct pollfd p = { .fd = k.control, .events = POLLIN };
	struct runtime_error e;
	char name[SESSION_SOCKET];
	bool closed = false;
	int fd = memory_file(plan, len), hold[2], sock;
	int fds[6] = { fd, -1, -1, -1, f->paths.sessions_fd, f->paths.run_fd };

	assert_int_equal(pipe2(hold, O_CLOEXEC), 0); /* cat reads it and so stays */
	fds[1] = hold[0];
	fds[2] = fds[3] = hold[1];
	order_encode(0xee, order);
	send_raw(k.control, order, sizeof(order), fds, 6);
	close(fd);
	close(hold[0]);
	assert_int_equal(poll(&p, 1, SETTLE_MS), 1);
	assert_int_equal(wire_receive(k.control, &last, &closed, &e), RUNTIME_OK);
	assert_int_equal(last.type, WIRE_RUNNING);
	session_socket(last.id, name);
	for (size_t i = 0; i < rounds; i++) {
		uint8_t bytes[WIRE_BYTES];
		size_t n = i % 3 ? sizeof(bytes) : random_next() % sizeof(bytes);

		wire_encode(&stop, bytes);
		/* Never the type: it would be a message that means something. */
		bytes[4] = (uint8_t)(WIRE_TYPES + random_next() % 200);
		for (uint64_t m = random_next() % 4; m; m--)
			bytes[random_next() % sizeof(bytes)] ^= (uint8_t)random_next();
		bytes[5] |= 1;
		assert_int_equal(wire_connect(f->paths.run_fd, name, &sock, &e), RUNTIME_OK);
		send_raw(sock, bytes, n, NULL, 0);
		close(sock);
	}
	assert_int_equal(kill(k.pid, 0), 0);
	memcpy(stop.id, last.id, sizeof(stop.id));
	assert_int_equal(wire_send(k.control, &stop, &e), RUNTIME_OK);
	assert_int_equal(settle(&k, &last), 0);
	assert_int_equal(last.type, WIRE_ENDED);
	close(hold[1]);
	free(plan);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define WITH_ROOT(test) cmocka_unit_test_setup_teardown(test, fixture_make, fixture_end)
		WITH_ROOT(a_good_order_runs),
		WITH_ROOT(a_keeper_without_an_order_ends),
		WITH_ROOT(every_truncated_order_is_refused),
		WITH_ROOT(descriptors_that_are_missing_are_refused),
		WITH_ROOT(spoiled_plans_are_refused_or_run),
		WITH_ROOT(what_visitors_send_does_not_shake_it),
	};

	return cmocka_run_group_tests_name("keeper", tests, NULL, NULL);
}
