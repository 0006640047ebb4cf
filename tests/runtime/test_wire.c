/* tests/runtime/test_wire.c - messages between processes that need not trust each other. */
#include "runtime/session.h"
#include "runtime/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static const struct wire_message good[] = {
	{ .type = WIRE_START, .id = { 1 }, .a = WIRE_DETACHED, .text = "web", .n_fds = 6 },
	{ .type = WIRE_SIGNAL, .a = 9 },
	{ .type = WIRE_STOP, .a = 10000 },
	{ .type = WIRE_RUNNING, .id = { 1 } },
	{ .type = WIRE_FAILED, .a = 126, .text = "permission denied" },
	{ .type = WIRE_ENDED, .a = 0x8b, .b = SESSION_CLEAN, .text = "SIGSEGV" },
	{ .type = WIRE_HOLD, .id = { 1 }, .a = WIRE_SLOT_TMPFS, .n_fds = 1 },
	{ .type = WIRE_TAKE, .id = { 1 } },
	{ .type = WIRE_ASK, .id = { 1 } },
	{ .type = WIRE_LOG, .id = { 1 } },
	{ .type = WIRE_OVER, .id = { 1 } },
	{ .type = WIRE_DROP, .id = { 1 } },
	{ .type = WIRE_RECORD, .id = { 1 }, .a = WIRE_RECORD_END },
	{ .type = WIRE_TOKEN, .id = { 1 }, .text = "00ff" },
	{ .type = WIRE_FILTER_PUT, .a = INT64_MIN, .n_fds = 1 },
	{ .type = WIRE_FILTER_GET, .a = INT64_MAX },
	{ .type = WIRE_HELD, .id = { 1 }, .a = WIRE_SLOT_RING, .n_fds = 1 },
	{ .type = WIRE_OK, .a = INT64_MAX },
	{ .type = WIRE_NO, .text = "gr\xc3\xbc\xc3\x9f" },
};
#define N_GOOD (sizeof(good) / sizeof(good[0]))
#define HOLD_AT (WIRE_HOLD - 1)
#define OK_AT (WIRE_OK - 1)

static enum runtime_status decode(const struct wire_message *m, size_t n_fds)
{
	uint8_t bytes[WIRE_BYTES];
	struct wire_message back;
	struct runtime_error e;

	wire_encode(m, bytes);
	return wire_decode(bytes, sizeof(bytes), n_fds, &back, &e);
}

static void every_type_goes_through_unchanged(void **state)
{
	(void)state;
	assert_int_equal(N_GOOD, WIRE_TYPES - 1);
	for (size_t i = 0; i < N_GOOD; i++) {
		uint8_t bytes[WIRE_BYTES], again[WIRE_BYTES];
		struct wire_message m;
		struct runtime_error e;

		wire_encode(&good[i], bytes);
		assert_int_equal(wire_decode(bytes, sizeof(bytes), good[i].n_fds, &m, &e),
				 RUNTIME_OK);
		assert_int_equal(m.type, i + 1);
		assert_string_equal(m.text, good[i].text);
		wire_encode(&m, again);
		assert_memory_equal(bytes, again, sizeof(bytes));
	}
}

static void every_other_length_is_malformed(void **state)
{
	uint8_t bytes[WIRE_BYTES + 8] = { 0 };
	struct wire_message m = { .a = 77 };
	struct runtime_error e;

	(void)state;
	wire_encode(&good[0], bytes);
	for (size_t n = 0; n <= sizeof(bytes); n++)
		if (n != WIRE_BYTES)
			assert_int_equal(wire_decode(bytes, n, 6, &m, &e), RUNTIME_MALFORMED);
	assert_int_equal(m.a, 77);
}

/* A flipped byte may make another valid message; it never makes the same one. */
static void a_flipped_byte_never_reads_as_the_same_message(void **state)
{
	(void)state;
	for (size_t k = 0; k < N_GOOD; k++) {
		uint8_t bytes[WIRE_BYTES], again[WIRE_BYTES];

		wire_encode(&good[k], bytes);
		for (size_t i = 0; i < sizeof(bytes); i++) {
			struct wire_message m;

			bytes[i] ^= 0x81;
			if (wire_decode(bytes, sizeof(bytes), good[k].n_fds, &m, NULL) ==
			    RUNTIME_OK) {
				wire_encode(&m, again);
				assert_memory_equal(bytes, again, sizeof(bytes));
			}
			bytes[i] ^= 0x81;
		}
	}
}

static void magic_and_type_are_checked(void **state)
{
	static const uint32_t types[] = { 0, WIRE_TYPES, UINT32_MAX };
	uint8_t bytes[WIRE_BYTES];
	struct wire_message m = good[OK_AT];

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		m.type = types[i];
		assert_int_equal(decode(&m, 0), RUNTIME_MALFORMED);
	}
	wire_encode(&good[OK_AT], bytes);
	bytes[3] ^= 1;
	assert_int_equal(wire_decode(bytes, sizeof(bytes), 0, &m, NULL), RUNTIME_MALFORMED);
}

static void each_type_has_its_number_of_descriptors(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_GOOD; i++)
		for (size_t n = 0; n <= WIRE_FDS; n++) {
			bool fits = n == good[i].n_fds ||
				    (good[i].type == WIRE_RUNNING && n == 1) ||
				    /* the file for the receipt */
				    (good[i].type == WIRE_START && n == 7);

			assert_int_equal(decode(&good[i], n),
					 fits ? RUNTIME_OK : RUNTIME_MALFORMED);
		}
}

static void numbers_have_ranges(void **state)
{
	static const struct wire_message bad[] = {
		{ .type = WIRE_SIGNAL, .a = 0 },
		{ .type = WIRE_SIGNAL, .a = 65 },
		{ .type = WIRE_STOP, .a = -1 },
		{ .type = WIRE_STOP, .a = INT64_MAX },
		{ .type = WIRE_FAILED, .a = 124 },
		{ .type = WIRE_FAILED, .a = 128 },
		{ .type = WIRE_ENDED, .a = 0, .b = SESSION_NONE },
		{ .type = WIRE_ENDED, .a = 0, .b = SESSION_STATES },
		{ .type = WIRE_ENDED, .a = 0x10000, .b = SESSION_CLEAN },
		{ .type = WIRE_OK, .a = -1 },
		{ .type = WIRE_OK, .b = 1 },
		{ .type = WIRE_TAKE, .id = { 0 } },
		{ .type = WIRE_DROP, .id = { 0 } },
		{ .type = WIRE_DROP, .id = { 1 }, .text = "why" },
		{ .type = WIRE_RECORD, .id = { 1 }, .a = 0 },
		{ .type = WIRE_RECORD, .id = { 1 }, .a = WIRE_RECORDS },
		{ .type = WIRE_RECORD, .id = { 0 }, .a = WIRE_RECORD_START },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(decode(&bad[i], 0), RUNTIME_MALFORMED);
}

static void an_unclean_text_is_escaped_by_the_sender_and_refused_by_the_reader(void **state)
{
	struct wire_message m = { .type = WIRE_NO, .text = "\x1b[2J" };
	uint8_t bytes[WIRE_BYTES];
	struct wire_message back;

	(void)state;
	wire_encode(&m, bytes);
	assert_int_equal(wire_decode(bytes, sizeof(bytes), 0, &back, NULL), RUNTIME_OK);
	assert_string_equal(back.text, "\\x1b[2J");
	bytes[WIRE_BYTES - WIRE_TEXT] = 0x1b;
	assert_int_equal(wire_decode(bytes, sizeof(bytes), 0, &back, NULL), RUNTIME_MALFORMED);

	memset(m.text, 'x', sizeof(m.text)); /* not even ended */
	wire_encode(&m, bytes);
	assert_int_equal(wire_decode(bytes, sizeof(bytes), 0, &back, NULL), RUNTIME_OK);
	assert_int_equal(strlen(back.text), WIRE_TEXT - 1);
}

/* ---- over sockets ---------------------------------------------------------------- */

static int count_fds(void)
{
	int n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void descriptors_arrive_close_on_exec(void **state)
{
	struct wire_message m = good[HOLD_AT];
	bool closed;
	int pair[2], before;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	before = count_fds();
	m.fds[0] = 0;
	assert_int_equal(wire_send(pair[0], &m, NULL), RUNTIME_OK);
	assert_int_equal(wire_receive(pair[1], &m, &closed, NULL), RUNTIME_OK);
	assert_false(closed);
	assert_int_equal(m.n_fds, 1);
	assert_int_equal(fcntl(m.fds[0], F_GETFD), FD_CLOEXEC);
	wire_close_fds(&m);
	assert_int_equal(count_fds(), before);
	close(pair[0]);
	assert_int_equal(wire_receive(pair[1], &m, &closed, NULL), RUNTIME_OK);
	assert_true(closed);
	assert_int_equal(wire_send(pair[1], &good[OK_AT], NULL), RUNTIME_SYSTEM);
	assert_int_equal(errno, EPIPE);
	close(pair[1]);
}

/* What a hostile peer may send: any bytes, with any number of descriptors. */
static void send_raw(int sock, const uint8_t *bytes, size_t n, size_t n_fds)
{
	union {
		char room[CMSG_SPACE(16 * sizeof(int))];
		struct cmsghdr align;
	} control = { 0 };
	struct iovec iov = { .iov_base = (void *)(uintptr_t)bytes, .iov_len = n };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (n_fds > 0) {
		struct cmsghdr *c;

		msg.msg_control = control.room;
		msg.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(n_fds * sizeof(int)); /* all of them descriptor 0 */
	}
	assert_int_equal(sendmsg(sock, &msg, MSG_NOSIGNAL), n);
}

static void no_descriptor_stays_after_a_bad_message(void **state)
{
	uint8_t bytes[WIRE_BYTES + 1] = { 0 };
	struct wire_message m;
	bool closed;
	int pair[2], before;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	before = count_fds();
	wire_encode(&good[HOLD_AT], bytes);
	for (size_t n_fds = 0; n_fds <= 16; n_fds++) { /* HOLD wants exactly one */
		if (n_fds == 1)
			continue;
		send_raw(pair[0], bytes, WIRE_BYTES, n_fds);
		assert_int_equal(wire_receive(pair[1], &m, &closed, NULL), RUNTIME_MALFORMED);
		assert_int_equal(count_fds(), before);
	}
	send_raw(pair[0], bytes, WIRE_BYTES + 1, 1);
	assert_int_equal(wire_receive(pair[1], &m, &closed, NULL), RUNTIME_MALFORMED);
	send_raw(pair[0], bytes, 10, 1);
	assert_int_equal(wire_receive(pair[1], &m, &closed, NULL), RUNTIME_MALFORMED);
	assert_int_equal(count_fds(), before);
	close(pair[0]);
	close(pair[1]);
}

static void what_the_peer_would_refuse_is_not_sent(void **state)
{
	struct wire_message bad = { .type = WIRE_SIGNAL, .a = 4711 };
	int pair[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair), 0);
	assert_int_equal(wire_send(pair[0], &bad, NULL), RUNTIME_MALFORMED);
	assert_int_equal(recv(pair[1], &bad, 1, 0), -1);
	close(pair[0]);
	close(pair[1]);
}

/* ---- sockets below a folder ------------------------------------------------------ */

static char top[] = "/tmp/cordon-test-XXXXXX";
static int folder = -1;

static int make_folder(void **state)
{
	(void)state;
	strcpy(top, "/tmp/cordon-test-XXXXXX");
	if (!mkdtemp(top))
		return -1;
	folder = open(top, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return folder >= 0 ? 0 : -1;
}

static int remove_folder(void **state)
{
	(void)state;
	unlinkat(folder, "x.sock", 0);
	close(folder);
	return rmdir(top);
}

static void a_listener_is_for_its_owner_alone(void **state)
{
	int listener, client, server;
	struct wire_message m;
	struct stat st;
	bool closed;

	(void)state;
	assert_int_equal(wire_listen(folder, "x.sock", &listener, NULL), RUNTIME_OK);
	assert_int_equal(fstatat(folder, "x.sock", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(wire_connect(folder, "x.sock", &client, NULL), RUNTIME_OK);
	assert_int_equal(wire_accept(listener, &server, NULL), RUNTIME_OK);
	assert_int_equal(wire_send(client, &good[OK_AT], NULL), RUNTIME_OK);
	assert_int_equal(wire_receive(server, &m, &closed, NULL), RUNTIME_OK);
	assert_int_equal(m.type, WIRE_OK);
	close(client);
	close(server);
	close(listener);
}

static void a_dead_socket_is_told_and_replaced(void **state)
{
	int listener, client;

	(void)state;
	assert_int_equal(wire_connect(folder, "x.sock", &client, NULL), RUNTIME_REFUSED);
	assert_int_equal(wire_listen(folder, "x.sock", &listener, NULL), RUNTIME_OK);
	close(listener); /* as a killed process leaves it */
	assert_int_equal(wire_connect(folder, "x.sock", &client, NULL), RUNTIME_REFUSED);
	assert_int_equal(wire_listen(folder, "x.sock", &listener, NULL), RUNTIME_OK);
	assert_int_equal(wire_connect(folder, "x.sock", &client, NULL), RUNTIME_OK);
	close(client);
	close(listener);
}

static void only_a_socket_is_replaced(void **state)
{
	int fd = openat(folder, "x.sock", O_CREAT | O_WRONLY | O_CLOEXEC, 0600), listener;
	struct stat st;

	(void)state;
	close(fd);
	assert_int_equal(wire_listen(folder, "x.sock", &listener, NULL), RUNTIME_SYSTEM);
	assert_int_equal(fstatat(folder, "x.sock", &st, 0), 0);
	assert_true(S_ISREG(st.st_mode));
}

static void names_with_folders_or_too_long_are_refused(void **state)
{
	char longest[120];
	int sock;

	(void)state;
	memset(longest, 'n', sizeof(longest));
	longest[sizeof(longest) - 1] = '\0';
	assert_int_equal(wire_listen(folder, longest, &sock, NULL), RUNTIME_MALFORMED);
	assert_int_equal(wire_connect(folder, "../x.sock", &sock, NULL), RUNTIME_MALFORMED);
}

/* The permissions of file and folder are opened wide, so that only SO_PEERCRED stands
 * between the two users. */
static void another_user_is_refused_both_ways(void **state)
{
	int listener, server, status;
	pid_t pid;

	(void)state;
	if (geteuid() != 0) {
		print_message("skipped: only root can become another user\n");
		skip();
	}
	assert_int_equal(wire_listen(folder, "x.sock", &listener, NULL), RUNTIME_OK);
	assert_int_equal(chmod(top, 0711) | fchmodat(folder, "x.sock", 0666, 0), 0);
	pid = fork();
	if (pid == 0) {
		int sock = -1;

		/* Root's listener is anybody's to trust; root does not trust back. */
		if (setresuid(65534, 65534, 65534) != 0 ||
		    wire_connect(folder, "x.sock", &sock, NULL) != RUNTIME_OK)
			_exit(1);
		_exit(0);
	}
	assert_int_equal(wire_accept(listener, &server, NULL), RUNTIME_SYSTEM);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	close(listener);

	assert_int_equal(chmod(top, 0777), 0);
	pid = fork();
	if (pid == 0) { /* a stranger squats the name and leaves a backlog open */
		if (unlinkat(folder, "x.sock", 0) != 0 || setresuid(65534, 65534, 65534) != 0 ||
		    wire_listen(folder, "x.sock", &listener, NULL) != RUNTIME_OK)
			_exit(1);
		wire_accept(listener, &server, NULL) == RUNTIME_OK ? _exit(0) : _exit(2);
	}
	for (int i = 0; i < 500; i++) {
		struct runtime_error e;
		enum runtime_status s = wire_connect(folder, "x.sock", &server, &e);

		if (s != RUNTIME_REFUSED) {
			assert_int_equal(s, RUNTIME_SYSTEM);
			assert_non_null(strstr(e.what, "65534"));
			break;
		}
		usleep(10000);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

#define WITH_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_type_goes_through_unchanged),
		cmocka_unit_test(every_other_length_is_malformed),
		cmocka_unit_test(a_flipped_byte_never_reads_as_the_same_message),
		cmocka_unit_test(magic_and_type_are_checked),
		cmocka_unit_test(each_type_has_its_number_of_descriptors),
		cmocka_unit_test(numbers_have_ranges),
		cmocka_unit_test(
			an_unclean_text_is_escaped_by_the_sender_and_refused_by_the_reader),
		cmocka_unit_test(descriptors_arrive_close_on_exec),
		cmocka_unit_test(no_descriptor_stays_after_a_bad_message),
		cmocka_unit_test(what_the_peer_would_refuse_is_not_sent),
		WITH_FOLDER(a_listener_is_for_its_owner_alone),
		WITH_FOLDER(a_dead_socket_is_told_and_replaced),
		WITH_FOLDER(only_a_socket_is_replaced),
		WITH_FOLDER(names_with_folders_or_too_long_are_refused),
		WITH_FOLDER(another_user_is_refused_both_ways),
	};
	return cmocka_run_group_tests_name("wire", tests, NULL, NULL);
}
