/*
 * tests/attest/test_keyd_serve.c - the store as a process of its own; the test is its front,
 * its zygote, its verifiers and its administrator.
 */
#include "tests/attest/keyd_sample.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define DATA "acme/volume/data-key"

static struct {
	pid_t pid;
	int front, zygote, stop; /* our ends */
	struct keyd_wire *out, *in;
	uint64_t ticket;
} at;

/* As a process is that nobody has guarded yet. */
static void unguard(void)
{
	struct rlimit core;

	if (getrlimit(RLIMIT_CORE, &core) != 0)
		_exit(1);
	core.rlim_cur = core.rlim_max;
	if (setrlimit(RLIMIT_CORE, &core) != 0 || prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) != 0)
		_exit(1);
}

static bool is_guarded(void)
{
	struct rlimit core;

	return getrlimit(RLIMIT_CORE, &core) == 0 && core.rlim_cur == 0 && core.rlim_max == 0 &&
	       prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0;
}

static _Noreturn void serve(int front, int zygote, int admin, int stop)
{
	struct keyd_config config = sample_config();
	const struct keyd_sockets sockets = {
		.front = front, .zygote = zygote, .admin = admin, .stop = stop
	};
	struct attest_error e = { .what = "" };
	struct keyd_store *s = NULL;

	signal(SIGSEGV, SIG_DFL);
	signal(SIGABRT, SIG_DFL);
	config.verify_seconds = 1;
	config.now = NULL;
	unguard();
	if (keyd_store_open(&config, &s, &e) != ATTEST_OK || !is_guarded() ||
	    keyd_store_serve(s, &sockets, &e) != ATTEST_OK) {
		attest_error_print(stderr, "store", &e);
		_exit(1);
	}
	keyd_store_close(s);
	_exit(0);
}

static int serve_begin(void **state)
{
	int front[2], zygote[2], stop[2], admin = -1;

	(void)state;
	sample_folder();
	if (keyd_store_init(keyd_fd, NULL) != ATTEST_OK ||
	    keyd_store_listen(keyd_fd, &admin, NULL) != ATTEST_OK ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, front) != 0 ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, zygote) != 0 ||
	    pipe2(stop, O_CLOEXEC) != 0)
		return -1;
	at.pid = fork();
	if (at.pid == 0) {
		close(front[0]);
		close(zygote[0]);
		close(stop[1]);
		serve(front[1], zygote[1], admin, stop[0]);
	}
	close(front[1]);
	close(zygote[1]);
	close(stop[0]);
	close(admin);
	at.front = front[0];
	at.zygote = zygote[0];
	at.stop = stop[1];
	at.out = keyd_wire_new();
	at.in = keyd_wire_new();
	return at.pid > 0 && at.out && at.in ? 0 : -1;
}

static void assert_ended(void)
{
	int status = 0;

	assert_int_equal(waitpid(at.pid, &status, 0), at.pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	at.pid = 0;
}

static int serve_end(void **state)
{
	(void)state;
	close(at.stop);
	if (at.pid > 0)
		assert_ended();
	close(at.front);
	close(at.zygote);
	keyd_wire_free(at.out);
	keyd_wire_free(at.in);
	close(keyd_fd);
	sample_rmtree(keyd_top);
	return 0;
}

/* ---- the front --------------------------------------------------------------------------------- */

static struct keyd_message *to_say(enum keyd_type type)
{
	keyd_wire_clear(at.out);
	at.out->m.type = type;
	at.out->m.ticket = ++at.ticket;
	return &at.out->m;
}

static void say_to(int sock)
{
	struct attest_error e = { .what = "" };

	if (keyd_send(sock, at.out, &e) != ATTEST_OK)
		fail_msg("%s: %s", e.where, e.what);
	keyd_wire_clear(at.out);
}

static struct keyd_message *hear_from(int sock, enum keyd_type wanted)
{
	struct pollfd p = { .fd = sock, .events = POLLIN };
	struct attest_error e = { .what = "" };
	bool closed = false;

	keyd_wire_clear(at.in);
	assert_int_equal(poll(&p, 1, 20000), 1);
	if (keyd_receive(sock, at.in, &closed, &e) != ATTEST_OK || closed)
		fail_msg("no answer: %s", e.what);
	if (at.in->m.type != (uint32_t)wanted)
		fail_msg("%s (%u), not %s", keyd_type_str(at.in->m.type), at.in->m.no.answer,
			 keyd_type_str(wanted));
	return &at.in->m;
}

static void hear_no(uint64_t ticket, enum keyd_answer why)
{
	struct keyd_message *m = hear_from(at.front, KEYD_NO);

	assert_int_equal(m->ticket, ticket);
	assert_int_equal(m->no.answer, why);
	assert_int_equal(m->no.text[0], 0); /* nobody outside learns more */
	assert_int_equal(m->no.hint[0], 0);
}

static void do_auth(struct client *c)
{
	struct jwk jwk;

	c->key = EVP_EC_gen("P-256");
	assert_int_equal(jwk_of(c->key, &jwk, NULL), ATTEST_OK);
	keyd_key_set(&c->attest.key, &jwk);
	strcpy(to_say(KEYD_AUTH)->auth.tee, "cordon-sandbox");
	say_to(at.front);
	c->challenge = hear_from(at.front, KEYD_CHALLENGE)->challenge;
	assert_int_equal(at.in->m.ticket, at.ticket);
	memcpy(c->attest.session, c->challenge.session, KEYD_SESSION);
	memcpy(c->attest.nonce, c->challenge.nonce, KEYD_NONCE);
}

static uint64_t do_attest(const struct client *c)
{
	struct keyd_message *m = to_say(KEYD_ATTEST);
	int body = memfd_create("body", MFD_CLOEXEC);

	assert_int_equal(write(body, "evidence", 8), 8);
	m->attest = c->attest;
	m->fds[0] = body;
	m->n_fds = 1;
	say_to(at.front); /* and closes the body */
	return at.ticket;
}

/* The verifier's socket; the body came through unread. */
static int do_verify(struct client *c)
{
	struct keyd_message *m = hear_from(at.zygote, KEYD_VERIFY);
	char body[16];
	int sock;

	c->verify = m->verify;
	assert_int_equal(pread(m->fds[0], body, sizeof(body), 0), 8);
	assert_memory_equal(body, "evidence", 8);
	assert_int_equal(lseek(m->fds[0], 0, SEEK_CUR), 8); /* where the front had left it */
	sock = dup(m->fds[1]);
	keyd_wire_clear(at.in);
	return sock;
}

static void give_verdict(int sock, const struct keyd_verdict *v)
{
	to_say(KEYD_VERDICT)->verdict = *v;
	say_to(sock);
	close(sock);
}

static void begin_session(struct client *c)
{
	const struct keyd_verdict v = good_verdict("acme");
	uint64_t ticket;

	do_auth(c);
	ticket = do_attest(c);
	give_verdict(do_verify(c), &v);
	assert_int_equal(hear_from(at.front, KEYD_ATTESTED)->ticket, ticket);
	assert_int_equal(at.in->m.attested.tier, TIER_AFFIRMING);
}

static uint64_t do_release(const struct client *c)
{
	struct keyd_message *m = to_say(KEYD_RELEASE);

	memcpy(m->release.session, c->challenge.session, KEYD_SESSION);
	m->release.name = name_of(DATA);
	say_to(at.front);
	return at.ticket;
}

/* ---- the administrator --------------------------------------------------------------------------- */

static int knock(void)
{
	struct attest_error e = { .what = "" };
	int sock = -1;

	if (keyd_store_connect(keyd_fd, &sock, &e) != ATTEST_OK)
		fail_msg("%s: %s", e.where, e.what);
	return sock;
}

static struct keyd_message *administer_by_socket(enum keyd_type wanted)
{
	struct keyd_message *m;
	int sock = knock();

	say_to(sock);
	m = hear_from(sock, wanted);
	close(sock);
	return m;
}

static void put_by_socket(void)
{
	struct keyd_message *m = to_say(KEYD_KEY_PUT);

	m->put.name = name_of(DATA);
	m->put.len = (uint32_t)strlen(CANARY);
	memcpy(m->put.value, CANARY, m->put.len);
	assert_int_equal(administer_by_socket(KEYD_DONE)->done.version, 1);
}

static void push_by_socket(void)
{
	struct keyd_message *m = to_say(KEYD_POLICY_PUSH);

	strcpy(m->push.tenant, "acme");
	m->push.len = 5;
	memcpy(m->push.text, "allow", 5);
	assert_int_equal(administer_by_socket(KEYD_DONE)->done.version, 1);
}

/* ---- tests ------------------------------------------------------------------------------------------ */

static void a_key_comes_through(void **state)
{
	struct client c = { NULL };
	struct keyd_message *m;
	void *secret = NULL;
	size_t len = 0;
	uint64_t ticket;

	(void)state;
	push_by_socket();
	put_by_socket();
	begin_session(&c);
	ticket = do_release(&c);
	m = hear_from(at.front, KEYD_SEALED);
	assert_int_equal(m->ticket, ticket);
	assert_int_equal(
		jwe_open(c.key, m->sealed.jwe, strlen(m->sealed.jwe), &secret, &len, NULL),
		ATTEST_OK);
	assert_int_equal(len, strlen(CANARY));
	assert_memory_equal(secret, CANARY, len);
	guard_free(secret);
	client_free(&c);
}

static void a_verifier_that_says_nothing_refuses(void **state)
{
	struct client c = { NULL };
	uint64_t ticket;

	(void)state;
	for (int way = 0; way < 4; way++) {
		int sock;

		do_auth(&c);
		ticket = do_attest(&c);
		sock = do_verify(&c);
		if (way == 1)
			assert_int_equal(write(sock, "yes", 3), 3);
		if (way == 2) { /* a message, and no verdict */
			to_say(KEYD_AUTH)->auth.tee[0] = 'x';
			say_to(sock);
		}
		if (way < 3)
			close(sock);
		hear_no(ticket, KEYD_FAILED); /* or it took too long */
		if (way == 3)
			close(sock);
		ticket = do_attest(&c);
		hear_no(ticket, KEYD_NO_SESSION);
		client_free(&c);
	}
}

static void verdicts_go_to_their_own_sessions(void **state)
{
	const struct keyd_verdict good = good_verdict("acme");
	const struct keyd_verdict bad = { .verdict = VERDICT_REFUSED,
					  .tier = TIER_CONTRAINDICATED };
	struct client a = { NULL }, b = { NULL };
	uint64_t ticket_a, ticket_b;
	int sock_a, sock_b;

	(void)state;
	push_by_socket();
	put_by_socket();
	do_auth(&a);
	do_auth(&b);
	ticket_a = do_attest(&a);
	sock_a = do_verify(&a);
	ticket_b = do_attest(&b);
	sock_b = do_verify(&b);
	assert_memory_not_equal(a.verify.report_data, b.verify.report_data, KEYD_BINDING);
	give_verdict(sock_b, &good);
	assert_int_equal(hear_from(at.front, KEYD_ATTESTED)->ticket, ticket_b);
	give_verdict(sock_a, &bad);
	hear_no(ticket_a, KEYD_UNATTESTED);
	hear_no(do_release(&a), KEYD_NO_SESSION);
	do_release(&b);
	hear_from(at.front, KEYD_SEALED);
	client_free(&a);
	client_free(&b);
}

static void a_revocation_is_in_force_at_once(void **state)
{
	struct client c = { NULL };

	(void)state;
	push_by_socket();
	put_by_socket();
	begin_session(&c);
	to_say(KEYD_KEY_REVOKE)->revoke.name = name_of(DATA);
	assert_int_equal(administer_by_socket(KEYD_DONE)->done.version, 1);
	hear_no(do_release(&c), KEYD_DENIED);
	client_free(&c);
}

static void an_administrator_is_told_why_not(void **state)
{
	struct keyd_message *m;

	(void)state;
	put_by_socket();
	m = to_say(KEYD_KEY_PUT);
	m->put.name = name_of(DATA);
	m = administer_by_socket(KEYD_NO);
	assert_int_equal(m->no.answer, KEYD_REFUSED);
	assert_non_null(strstr(m->no.text, "there is that key"));
	assert_non_null(strstr(m->no.hint, "rotate"));
	/* What is the front's is not for an administrator. */
	strcpy(to_say(KEYD_AUTH)->auth.tee, "snp");
	assert_int_equal(administer_by_socket(KEYD_NO)->no.answer, KEYD_MALFORMED);
}

static void administrators_that_only_knock_stop_nobody(void **state)
{
	int socks[40];

	(void)state;
	for (size_t i = 0; i < 40; i++)
		socks[i] = knock();
	for (size_t i = 0; i < 40; i++)
		close(socks[i]);
	put_by_socket();
}

static void a_front_that_talks_nonsense_ends_the_store(void **state)
{
	(void)state;
	assert_int_equal(write(at.front, "GET /", 5), 5);
	assert_ended();
}

static void a_front_may_not_give_verdicts(void **state)
{
	const struct keyd_verdict v = good_verdict("acme");

	(void)state;
	to_say(KEYD_VERDICT)->verdict = v;
	say_to(at.front);
	assert_ended();
}

static void a_zygote_that_ends_ends_the_store(void **state)
{
	(void)state;
	close(at.zygote);
	assert_ended();
	at.zygote = -1;
}

static void it_stops_when_told(void **state)
{
	(void)state;
	close(at.stop);
	at.stop = -1;
	assert_ended();
}

/* ---- the command --------------------------------------------------------------------------------------- */

static char said[16384];

/* Where the build puts programs, seen from this one. */
static bool find_command(char ret[static 300])
{
	char self[200] = "";
	char *end;

	if (readlink("/proc/self/exe", self, sizeof(self) - 1) <= 0 ||
	    !(end = strstr(self, "/tests/attest/")))
		return false;
	snprintf(ret, 300, "%.*s/bin/cordon-key", (int)(end - self), self);
	return access(ret, X_OK) == 0;
}

/* The exit status of `cordon key WORDS`, as that user; what it prints is `said`. */
static int command_as(uid_t uid, const char *words, const char *input)
{
	char line[1024], program[300];
	int in[2], out[2], status;
	size_t len = 0;
	ssize_t n;
	pid_t pid;

	assert_true(find_command(program));
	snprintf(line, sizeof(line), "exec %s %s --socket %s 2>&1", program, words, keyd_top);
	assert_int_equal(pipe2(in, O_CLOEXEC), 0);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		if (dup2(in[0], 0) < 0 || dup2(out[1], 1) < 0 ||
		    (uid != geteuid() && setresuid(uid, uid, uid) != 0))
			_exit(99);
		execl("/bin/sh", "sh", "-c", line, (char *)NULL);
		_exit(98);
	}
	close(in[0]);
	close(out[1]);
	if (input)
		assert_int_equal(write(in[1], input, strlen(input)), strlen(input));
	close(in[1]);
	while (len < sizeof(said) - 1 &&
	       (n = read(out[0], said + len, sizeof(said) - 1 - len)) > 0)
		len += (size_t)n;
	said[len] = '\0';
	close(out[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_null(strstr(said, CANARY));
	return WEXITSTATUS(status);
}

static int command(const char *words, const char *input)
{
	return command_as(geteuid(), words, input);
}

static void skip_without_command(void)
{
	char program[300];

	if (find_command(program))
		return;
	print_message("skipped: cordon-key is not built\n");
	skip();
}

static void the_command_does_what_it_says(void **state)
{
	struct client c = { NULL };

	(void)state;
	skip_without_command();
	push_by_socket();
	assert_int_equal(command("put acme/volume/data-key --uses 1", CANARY), 0);
	assert_string_equal(said, "stored: acme/volume/data-key version 1\n");
	begin_session(&c);
	do_release(&c);
	hear_from(at.front, KEYD_SEALED);
	hear_no(do_release(&c), KEYD_DENIED);
	assert_int_equal(command("put acme/volume/data-key", CANARY), 1);
	assert_non_null(strstr(said, "rotate makes a new version"));
	assert_int_equal(command("rotate kbs:///acme/volume/data-key --random --json", NULL),
			 0);
	assert_string_equal(said, "{\"logged\":true,\"schema\":\"cordon.key/1\",\"verb\":"
				  "\"rotate\",\"version\":2}\n");
	do_release(&c);
	hear_from(at.front, KEYD_SEALED);
	assert_int_equal(command("list acme", NULL), 0);
	assert_non_null(strstr(said, "acme/volume/data-key"));
	assert_non_null(strstr(said, "current"));
	assert_int_equal(command("list --json", NULL), 0);
	assert_non_null(strstr(said, "\"name\":\"kbs:///acme/volume/data-key\""));
	assert_non_null(strstr(said, "\"schema\":\"cordon.key-list/1\""));
	assert_int_equal(command("policy list --json", NULL), 0);
	assert_non_null(strstr(said, "\"schema\":\"cordon.key-policy-list/1\""));
	assert_int_equal(command("revoke acme/volume/data-key", NULL), 0);
	assert_string_equal(said, "revoked: acme/volume/data-key, 2 versions\n");
	assert_int_equal(command("revoke acme/volume/data-key", NULL), 1);
	client_free(&c);
}

static void the_command_takes_no_value_from_its_arguments(void **state)
{
	static char large[KEYD_SECRET_MAX + 2];

	(void)state;
	skip_without_command();
	assert_int_equal(command("put acme/a/b value", NULL), 2);
	assert_int_equal(command("put acme/a/b --value x", NULL), 2);
	assert_int_equal(command("put acme/a/b", NULL), 2); /* and no empty one */
	assert_int_equal(command("put acme/a/b --random --file x", NULL), 2);
	assert_int_equal(command("put acme/a", "x"), 2);
	assert_int_equal(command("revoke acme/a/b --uses 2", NULL), 2);
	assert_int_equal(command("put acme/a/b --file /no/such/file", NULL), 2);
	memset(large, 'x', sizeof(large) - 1);
	assert_int_equal(command("put acme/a/b", large), 2);
	large[KEYD_SECRET_MAX] = '\0';
	assert_int_equal(command("put acme/a/b", large), 0);
	assert_int_equal(command("put acme/a/c --fd 0", "x"), 0);
	assert_int_equal(command("put acme/a/d --file /dev/stdin", "x"), 0);
	assert_int_equal(command("--help", NULL), 0);
	assert_int_equal(command("", NULL), 2);
}

static void the_command_pushes_what_a_policy_demands(void **state)
{
	static const char policy[] =
		"cordon: 1\n"
		"tenant: acme\n"
		"isolation: { class: sandbox, shared-uid: accept }\n"
		"resources: { memory: 64MiB, cpus: 1, pids: 16, tmpfs: 16MiB }\n"
		"seccomp: { profile: default }\n"
		"capabilities: []\n"
		"network: { mode: none }\n"
		"scrub: { held: wiped, kernel: none }\n"
		"attestation:\n"
		"  classes: [sandbox]\n"
		"  plan: [ \"%064d\" ]\n"
		"  platform: { allow: { hosts: [host-a] } }\n" /* the judge looks for that word */
		"audit: { witness: optional }\n";
	struct client c = { NULL };
	char text[sizeof(policy) + 64], words[128];
	int n = snprintf(text, sizeof(text), policy, 1);
	int fd = openat(keyd_fd, "acme.yaml", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	(void)state;
	skip_without_command();
	assert_int_equal(write(fd, text, (size_t)n), n);
	close(fd);
	snprintf(words, sizeof(words), "policy push %s/acme.yaml", keyd_top);
	if (command(words, NULL) != 0)
		fail_msg("%s", said);
	assert_string_equal(said, "stored: policy of acme version 1\n");
	assert_int_equal(command("policy list", NULL), 0);
	assert_non_null(strstr(said, "acme"));
	put_by_socket();
	begin_session(&c);
	do_release(&c);
	hear_from(at.front, KEYD_SEALED);
	client_free(&c);
	fd = openat(keyd_fd, "acme.yaml", O_WRONLY | O_TRUNC | O_CLOEXEC);
	assert_int_equal(write(fd, text, 40), 40);
	close(fd);
	assert_int_equal(command(words, NULL), 2);
	assert_non_null(strstr(said, "acme.yaml"));
}

static void other_users_are_sent_away(void **state)
{
	(void)state;
	skip_without_command();
	if (geteuid() != 0) {
		print_message("skipped: only root can be somebody else\n");
		skip();
	}
	assert_int_equal(chmod(keyd_top, 0711), 0);
	if (command_as(65534, "list", NULL) == 126) {
		print_message("skipped: others cannot enter the folder of this tree\n");
		skip();
	}
	for (int i = 0; i < 2; i++) {
		assert_int_equal(command_as(65534, "list", NULL), 1);
		assert_non_null(strstr(said, "none of its administrators"));
	}
	assert_int_equal(entries_with("\"kind\":\"admin\""), 1); /* one a minute */
}

int main(void)
{
#define SERVE_TEST(f) cmocka_unit_test_setup_teardown(f, serve_begin, serve_end)
	const struct CMUnitTest tests[] = {
		SERVE_TEST(a_key_comes_through),
		SERVE_TEST(a_verifier_that_says_nothing_refuses),
		SERVE_TEST(verdicts_go_to_their_own_sessions),
		SERVE_TEST(a_revocation_is_in_force_at_once),
		SERVE_TEST(an_administrator_is_told_why_not),
		SERVE_TEST(administrators_that_only_knock_stop_nobody),
		SERVE_TEST(a_front_that_talks_nonsense_ends_the_store),
		SERVE_TEST(a_front_may_not_give_verdicts),
		SERVE_TEST(a_zygote_that_ends_ends_the_store),
		SERVE_TEST(it_stops_when_told),
		SERVE_TEST(the_command_does_what_it_says),
		SERVE_TEST(the_command_takes_no_value_from_its_arguments),
		SERVE_TEST(the_command_pushes_what_a_policy_demands),
		SERVE_TEST(other_users_are_sent_away),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests_name("keyd_serve", tests, NULL, NULL);
}
