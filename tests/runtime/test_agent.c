/*
 * tests/runtime/test_agent.c - an agent between a keeper and a key service that may each do
 * anything. In this process: whatever is not as it must be is refused, and why is said. As
 * the program: under the workload's filter and without a file, it becomes the workload and
 * leaves nothing of its secrets behind.
 */
#include "tests/runtime/agent_peers.h"

#include <errno.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>

#include "policy/policy.h"
#include "runtime/agent_service.h"
#include "runtime/confine.h"

#define PATIENCE_MS 20000

/* ---- certificates of all tests --------------------------------------------------- */

static struct identity root, middle, good, issued, other_name, expired, by_address;
static struct identity strangers_root, strangers, false_root, falsely;

static int make_identities(void **state)
{
	const char *names = "DNS:keys.internal";

	(void)state;
	root = certify("root", NULL, NULL, -DAY, DAY);
	middle = certify("middle", &root, NULL, -DAY, DAY);
	good = certify("keys.internal", &root, names, -DAY, DAY);
	issued = certify("keys.internal", &middle, names, -DAY, DAY);
	/* The common name says what was looked for; it does not count. */
	other_name = certify("keys.internal", &root, "DNS:other.internal", -DAY, DAY);
	expired = certify("keys.internal", &root, names, -2 * DAY, -DAY);
	by_address = certify("keys", &root, "IP:127.0.0.1,IP:::1", -DAY, DAY);
	strangers_root = certify("stranger", NULL, NULL, -DAY, DAY);
	strangers = certify("keys.internal", &strangers_root, names, -DAY, DAY);
	false_root = certify("root", NULL, NULL, -DAY, DAY); /* the name of ours */
	falsely = certify("keys.internal", &false_root, names, -DAY, DAY);
	return 0;
}

static int free_identities(void **state)
{
	struct identity *all[] = { &root,       &middle,     &good,       &issued,
				   &other_name, &expired,    &by_address, &strangers_root,
				   &strangers,  &false_root, &falsely };

	(void)state;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		identity_free(all[i]);
	return 0;
}

static struct run common_run(void)
{
	return (struct run){ .server = &good,
			     .chain = { root.certificate },
			     .pinned = root.certificate,
			     .secret = "secret of the volume" };
}

/* ---- in this process ------------------------------------------------------------- */

static enum runtime_status obtain_within(struct run *r, int64_t ms)
{
	int sock = peers_start(r), program = -1;
	enum runtime_status s = agent_obtain(sock, deadline_in(ms), &program, &r->error);

	assert_int_equal(s == RUNTIME_OK, program >= 0);
	if (program >= 0)
		close(program);
	close(sock);
	peers_join(r);
	return s;
}

static enum runtime_status obtain(struct run *r)
{
	return obtain_within(r, PATIENCE_MS);
}

static void assert_refused(struct run *r, const char *says)
{
	struct stat st;

	assert_int_not_equal(obtain(r), RUNTIME_OK);
	if (!strstr(r->error.what, says))
		fail_msg("\"%s\" says nothing of \"%s\"", r->error.what, says);
	assert_true(r->error.where[0] != '\0');
	/* No byte of a key where a workload could find it. */
	for (size_t i = 0; i < AGENT_KEYS; i++) {
		assert_int_equal(fstat(r->files[i], &st), 0);
		assert_int_equal(st.st_size, 0);
	}
	run_end(r);
}

static void keys_come_into_their_files(void **state)
{
	struct run r = common_run();

	(void)state;
	r.n_keys = 3;
	assert_int_equal(obtain(&r), RUNTIME_OK);
	assert_true(r.good_evidence);
	assert_true(r.sni);
	assert_key(&r, 0, "secret of the volume");
	assert_key(&r, 1, "secret of the volume1");
	assert_key(&r, 2, "secret of the volume2");
	run_end(&r);
}

static void every_hash_binds(void **state)
{
	(void)state;
	for (enum kbs_hash h = 0; h < KBS_HASHES; h++) {
		struct run r = common_run();

		r.hash = h;
		assert_int_equal(obtain(&r), RUNTIME_OK);
		assert_true(r.good_evidence);
		run_end(&r);
	}
}

/* ---- whom it believes ------------------------------------------------------------ */

static void any_certificate_of_the_chain_may_be_the_pinned_one(void **state)
{
	const struct {
		const struct identity *server;
		X509 *chain[3], *pinned;
	} good_ones[] = {
		{ &good, { root.certificate }, root.certificate },
		{ &good, { NULL }, good.certificate },
		{ &issued, { middle.certificate, root.certificate }, root.certificate },
		{ &issued, { middle.certificate }, middle.certificate },
		{ &issued, { root.certificate, middle.certificate }, root.certificate },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(good_ones) / sizeof(good_ones[0]); i++) {
		struct run r = common_run();

		r.server = good_ones[i].server;
		memcpy(r.chain, good_ones[i].chain, sizeof(r.chain));
		r.pinned = good_ones[i].pinned;
		if (obtain(&r) != RUNTIME_OK)
			fail_msg("chain %zu: %s", i, r.error.what);
		run_end(&r);
	}
}

static void other_chains_are_refused(void **state)
{
	const struct {
		const struct identity *server;
		X509 *chain[3], *pinned;
		const char *says;
	} bad[] = {
		/* the pinned one is not sent, though it is the issuer */
		{ &good, { NULL }, root.certificate, "did not send the certificate" },
		{ &issued, { root.certificate }, root.certificate, "does not hold" },
		{ &good, { root.certificate }, strangers_root.certificate, "did not send" },
		/* in the middle, with all that an outsider can have */
		{ &strangers,
		  { strangers_root.certificate },
		  root.certificate,
		  "did not send" },
		{ &strangers, { root.certificate }, root.certificate, "does not hold" },
		{ &strangers,
		  { strangers_root.certificate, root.certificate },
		  root.certificate,
		  "does not hold" },
		{ &falsely, { root.certificate }, root.certificate, "does not hold" },
		{ &falsely,
		  { false_root.certificate, root.certificate },
		  root.certificate,
		  "does not hold" },
		{ &strangers, { good.certificate }, good.certificate, "does not hold" },
		{ &other_name, { root.certificate }, root.certificate, "ostname mismatch" },
		{ &other_name, { NULL }, other_name.certificate, "ostname mismatch" },
		{ &by_address, { root.certificate }, root.certificate, "ostname mismatch" },
		{ &expired, { root.certificate }, root.certificate, "expired" },
		{ &expired, { NULL }, expired.certificate, "expired" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct run r = common_run();

		r.server = bad[i].server;
		memcpy(r.chain, bad[i].chain, sizeof(r.chain));
		r.pinned = bad[i].pinned;
		print_message("# chain %zu\n", i);
		assert_refused(&r, bad[i].says);
	}
}

static void an_expired_root_is_refused(void **state)
{
	struct identity old = certify("old", NULL, NULL, -2 * DAY, -DAY);
	struct identity young = certify("keys.internal", &old, "DNS:keys.internal", -DAY, DAY);
	struct run r = common_run();

	(void)state;
	r.server = &young;
	r.chain[0] = r.pinned = old.certificate;
	assert_refused(&r, "expired");
	identity_free(&old);
	identity_free(&young);
}

static void an_address_is_verified_as_an_address(void **state)
{
	static const char *const services[] = { "https://127.0.0.1:8443/prefix",
						"https://[::1]/prefix/" };
	struct run r;

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		r = common_run();
		r.server = &by_address;
		r.service = services[i];
		assert_int_equal(obtain(&r), RUNTIME_OK);
		assert_false(r.sni);
		run_end(&r);
	}
	r = common_run();
	r.server = &by_address;
	r.service = "https://127.0.0.2:8443/prefix";
	assert_refused(&r, "IP address mismatch");
}

static void older_tls_and_other_suites_are_refused(void **state)
{
	static const char *const weak[] = { "TLS_AES_128_GCM_SHA256", "TLS_AES_128_CCM_SHA256",
					    "TLS_AES_128_CCM_8_SHA256" };
	struct run r = common_run();

	(void)state;
	r.tls_max = TLS1_2_VERSION;
	assert_refused(&r, "TLS");
	for (size_t i = 0; i < sizeof(weak) / sizeof(weak[0]); i++) {
		r = common_run();
		r.suites = weak[i];
		assert_refused(&r, "TLS");
	}
	r = common_run();
	r.suites = "TLS_CHACHA20_POLY1305_SHA256";
	assert_int_equal(obtain(&r), RUNTIME_OK);
	run_end(&r);
}

/* ---- a service that does something else ------------------------------------------ */

static void its_refusals_are_told(void **state)
{
	static const unsigned statuses[] = { 401, 403, 500 };
	static const enum kbs_endpoint at[] = { KBS_AUTH, KBS_ATTEST, KBS_RESOURCE };

	(void)state;
	for (size_t i = 0; i < 9; i++) {
		struct run r = common_run();
		char status[8];

		r.twist = STATUS;
		r.at = at[i / 3];
		r.status = statuses[i % 3];
		snprintf(status, sizeof(status), "%u", r.status);
		assert_refused(&r, status);
		assert_non_null(strstr(r.error.what, "answered"));
		assert_true(r.error.hint[0] != '\0');
	}
}

static void answers_that_are_none_are_refused(void **state)
{
	static const struct {
		enum twist twist;
		enum kbs_endpoint at;
		const char *says;
	} bad[] = {
		{ GARBAGE, KBS_AUTH, "not proper" },
		{ GARBAGE, KBS_ATTEST, "not proper" },
		{ GARBAGE, KBS_RESOURCE, "not proper" },
		{ OVERSIZED, KBS_AUTH, "not proper" },
		{ OVERSIZED, KBS_ATTEST, "not proper" },
		{ OVERSIZED, KBS_RESOURCE, "not proper" },
		{ TRAILING, KBS_AUTH, "more behind it" },
		{ TRAILING, KBS_ATTEST, "more behind it" },
		{ TRAILING, KBS_RESOURCE, "more behind it" },
		{ NOT_JSON, KBS_AUTH, "" },
		{ NOT_JSON, KBS_ATTEST, "" },
		{ NOT_JSON, KBS_RESOURCE, "" },
		{ NO_COOKIE, KBS_AUTH, "names no session" },
		{ WRONG_TAG, KBS_RESOURCE, "" },
		{ HUGE, KBS_RESOURCE, "longer than" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct run r = common_run();

		r.twist = bad[i].twist;
		r.at = bad[i].at;
		print_message("# answer %zu\n", i);
		assert_refused(&r, bad[i].says);
	}
}

static void every_truncation_of_an_answer_is_refused(void **state)
{
	static const enum kbs_endpoint at[] = { KBS_AUTH, KBS_ATTEST, KBS_RESOURCE };
	size_t step = getenv("CORDON_SOAK") ? 1 : 23;

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct run whole = common_run();

		whole.at = at[i];
		assert_int_equal(obtain(&whole), RUNTIME_OK);
		run_end(&whole);
		assert_true(whole.answered > 100);
		for (size_t cut = 0; cut < whole.answered; cut += step) {
			struct run r = common_run();

			r.twist = CUT;
			r.at = at[i];
			r.cut = cut;
			assert_refused(&r, "ended during");
		}
	}
}

static void a_silent_service_ends_with_the_deadline(void **state)
{
	static const enum kbs_endpoint at[] = { KBS_NO_ENDPOINT, KBS_AUTH };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct run r = common_run();
		int64_t begun = deadline_in(0);

		r.twist = SILENCE;
		r.at = at[i];
		assert_int_equal(obtain_within(&r, 400), RUNTIME_SYSTEM);
		assert_non_null(strstr(r.error.what, "took too long"));
		assert_in_range(deadline_in(0) - begun, 400, 5000);
		run_end(&r);
	}
}

/* ---- a keeper that does something else ------------------------------------------- */

static void evidence_must_be_this_sessions(void **state)
{
	static const struct {
		enum twist twist;
		const char *says;
	} bad[] = {
		{ OTHER_REPORT_DATA, "not for what was asked" },
		{ OTHER_DESCRIPTOR, "another session's descriptor" },
		{ UNSEALED, "could still change" },
		{ TOO_LARGE, "too large" },
		{ EMPTY, "empty" },
		{ NO_TOKEN, "no compact JWS" },
		{ WRONG_TURN, "another" },
		{ LEAVES, "did not come" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct run r = common_run();

		r.twist = bad[i].twist;
		assert_refused(&r, bad[i].says);
		assert_false(r.good_evidence); /* the service saw none of it */
	}
}

static void a_job_must_be_whole(void **state)
{
	int sock[2], program = -1, file = memfd_create("x", MFD_CLOEXEC);
	struct agent_message m = { .kind = AGENT_JOB, .job = { .n_keys = 1 } };
	struct runtime_error e;

	(void)state;
	/* a text that is no descriptor */
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sock), 0);
	m.job.descriptor_len = (uint32_t)snprintf(m.job.descriptor, DESCRIPTOR_MAX, "tenant\n");
	strcpy(m.job.resources[0], RESOURCE);
	assert_true(agent_send(sock[0], &m, (int[]){ file, file, file }, 3));
	assert_int_equal(agent_obtain(sock[1], deadline_in(PATIENCE_MS), &program, &e),
			 RUNTIME_MALFORMED);
	assert_non_null(strstr(e.where, "descriptor"));
	/* another message; nobody there */
	m = (struct agent_message){ .kind = AGENT_READY };
	assert_true(agent_send(sock[0], &m, NULL, 0));
	assert_int_equal(agent_obtain(sock[1], deadline_in(PATIENCE_MS), &program, &e),
			 RUNTIME_SYSTEM);
	close(sock[0]);
	assert_int_equal(agent_obtain(sock[1], deadline_in(PATIENCE_MS), &program, &e),
			 RUNTIME_SYSTEM);
	assert_int_equal(program, -1);
	close(sock[1]);
	close(file);
}

static void a_key_goes_whole_into_a_new_file_or_not_at_all(void **state)
{
	static const char big[AGENT_SECRET_MAX + 1];
	int file = memfd_create("key", MFD_CLOEXEC), pair[2];
	struct runtime_error e;

	(void)state;
	assert_int_equal(agent_put_key(file, "k", big, 0, &e), RUNTIME_REFUSED);
	assert_int_equal(agent_put_key(file, "k", big, sizeof(big), &e), RUNTIME_REFUSED);
	assert_int_equal(agent_put_key(file, "k", big, sizeof(big) - 1, &e), RUNTIME_OK);
	assert_int_equal(lseek(file, 0, SEEK_END), AGENT_SECRET_MAX);
	assert_int_equal(agent_put_key(file, "k", big, 1, &e), RUNTIME_SYSTEM);
	assert_int_equal(pipe(pair), 0);
	assert_int_equal(agent_put_key(pair[1], "k", big, 1, &e), RUNTIME_SYSTEM);
	close(file);
	file = open("/dev/full", O_WRONLY | O_CLOEXEC);
	assert_int_equal(agent_put_key(file, "k", big, 1, &e), RUNTIME_SYSTEM);
	close(pair[0]);
	close(pair[1]);
	close(file);
}

/* ---- messages -------------------------------------------------------------------- */

static void messages_go_through_unchanged_and_no_others_do(void **state)
{
	static struct agent_message m, back;
	static const uint8_t bytes[64] = { 1, 2, 3 };

	(void)state;
	for (uint32_t kind = 0; kind <= AGENT_READY + 1; kind++)
		for (size_t n = 0; n <= AGENT_FDS; n++) {
			size_t want = kind == AGENT_JOB ? 4 : kind == AGENT_TOKEN ? 1 : 0;

			memset(&m, 0, sizeof(m));
			m.kind = kind;
			if (kind == AGENT_JOB) {
				m.job.descriptor_len = 1;
				m.job.descriptor[0] = 'd';
				m.job.n_keys = 2;
				strcpy(m.job.resources[0], "a");
				strcpy(m.job.resources[1], "b");
			} else if (kind == AGENT_TOKEN_WANTED) {
				memcpy(m.report_data, bytes, sizeof(bytes));
			} else if (kind == AGENT_REFUSED) {
				strcpy(m.error.what, "no");
			}
			assert_int_equal(agent_decode(&m, sizeof(m), n, &back),
					 n == want && kind >= AGENT_JOB && kind <= AGENT_READY);
			assert_false(agent_decode(&m, sizeof(m) - 1, n, &back));
		}
}

/* What no member names must be zero, and every text ends. */
static void bytes_beside_the_message_are_refused(void **state)
{
	static struct agent_message m, back;
	uint8_t *bytes = (uint8_t *)&m;

	(void)state;
	m.kind = AGENT_READY;
	for (size_t i = 0; i < sizeof(m); i += i < 300 ? 1 : 97) {
		bytes[i] ^= 0x40;
		assert_false(agent_decode(&m, sizeof(m), 0, &back));
		bytes[i] ^= 0x40;
	}
	m.kind = AGENT_REFUSED;
	memset(m.error.where, 'x', sizeof(m.error.where));
	assert_false(agent_decode(&m, sizeof(m), 0, &back));
	m.error.where[sizeof(m.error.where) - 1] = '\0';
	assert_true(agent_decode(&m, sizeof(m), 0, &back));
	m.error.where[10] = '\0';
	assert_false(agent_decode(&m, sizeof(m), 0, &back));
}

static void descriptors_of_a_bad_message_are_closed(void **state)
{
	static struct agent_message m;
	struct iovec iov = { &m, sizeof(m) };
	char control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct msghdr h = { .msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_control = control,
			    .msg_controllen = sizeof(control) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&h);
	int sock[2], pipes[2], fds[AGENT_FDS];
	size_t n = 7;
	char byte;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sock), 0);
	assert_int_equal(pipe(pipes), 0);
	m.kind = AGENT_READY; /* which brings none */
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &pipes[1], sizeof(int));
	assert_int_equal(sendmsg(sock[0], &h, 0), sizeof(m));
	close(pipes[1]);
	assert_false(agent_receive(sock[1], &m, fds, &n));
	assert_int_equal(errno, 0);
	assert_int_equal(n, 0);
	assert_int_equal(read(pipes[0], &byte, 1), 0); /* nobody holds the other end */
	close(pipes[0]);
	close(sock[0]);
	close(sock[1]);
}

static void services_are_taken_apart(void **state)
{
	static const char ca[] = "sha256:"
				 "00112233445566778899aabbccddeeff"
				 "00112233445566778899aabbccddeeff";
	static const struct {
		const char *url, *host, *port, *authority, *prefix;
		bool is_address;
	} good_ones[] = {
		{ "https://k", "k", "443", "k", "", false },
		{ "https://k/", "k", "443", "k", "", false },
		{ "https://k.x:1/a/b//", "k.x", "1", "k.x:1", "/a/b", false },
		{ "https://10.0.0.1:65535", "10.0.0.1", "65535", "10.0.0.1:65535", "", true },
		{ "https://[fd00::1]:8443/p", "fd00::1", "8443", "[fd00::1]:8443", "/p", true },
	};
	static const char *const bad[] = { "",
					   "http://k",
					   "https://",
					   "https://:1",
					   "https:///p",
					   "https://k:",
					   "https://k:0",
					   "https://k:65536",
					   "https://k:01",
					   "https://k:1x",
					   "https://[::1",
					   "https://[::1]x",
					   "https://[k]",
					   "https://[]" };
	struct agent_service s;

	(void)state;
	for (size_t i = 0; i < sizeof(good_ones) / sizeof(good_ones[0]); i++) {
		assert_true(agent_service_parse(good_ones[i].url, ca, &s));
		assert_string_equal(s.host, good_ones[i].host);
		assert_string_equal(s.port, good_ones[i].port);
		assert_string_equal(s.authority, good_ones[i].authority);
		assert_string_equal(s.prefix, good_ones[i].prefix);
		assert_int_equal(s.is_address, good_ones[i].is_address);
		assert_int_equal(s.ca[1], 0x11);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(agent_service_parse(bad[i], ca, &s));
	assert_false(agent_service_parse("https://k", "", &s));
	assert_false(agent_service_parse("https://k", ca + 1, &s));
}

/* ---- as the program -------------------------------------------------------------- */

static char program[4096], bystander[4096];

/* Sanitizers cannot be linked into a static program, and do not like to be traced. */
static void skip_sanitized(void)
{
#ifdef __SANITIZE_ADDRESS__
	print_message("skipped: with sanitizers the agent is no static program\n");
	skip();
#endif
}

struct started {
	pid_t pid;
	int out; /* what it prints */
};

static char *const words[] = { (char[]){ "the-workload" }, (char[]){ "--version" }, NULL };
static char *const environment[] = { (char[]){ "NAME=value of the workload" }, NULL };

/* Standard streams, the keeper's socket, and the agent itself to be executed. */
static void place_descriptors(int sock, int out, int agent)
{
	int null = open("/dev/null", O_RDWR);

	if (dup2(sock, 103) < 0 || dup2(out, 101) < 0 || dup2(agent, 104) < 0 ||
	    dup2(null, 0) < 0 || dup2(101, 1) < 0 || dup2(101, 2) < 0 ||
	    dup2(103, AGENT_SOCK) < 0 || dup2(104, 4) < 0 || close_range(5, ~0u, 0) < 0 ||
	    fcntl(4, F_SETFD, FD_CLOEXEC) < 0)
		_exit(99);
}

/* As a session has it: no file at all here, an ordinary user, 64 KiB that may be locked. */
static bool confine(const char *empty)
{
	const struct rlimit locked = { 65536, 65536 };

	return chroot(empty) == 0 && chdir("/") == 0 &&
	       setrlimit(RLIMIT_MEMLOCK, &locked) == 0 && setgroups(0, NULL) == 0 &&
	       setresgid(1000, 1000, 1000) == 0 && setresuid(1000, 1000, 1000) == 0 &&
	       prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
}

static struct started start_agent(int sock, const struct policy_plan *plan, bool traced)
{
	char empty[] = "/tmp/cordon-test-XXXXXX";
	int out[2], agent = open(program, O_RDONLY | O_CLOEXEC);
	struct started s;

	assert_true(agent >= 0);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	assert_non_null(mkdtemp(empty));
	s.pid = fork();
	assert_true(s.pid >= 0);
	if (s.pid == 0) {
		place_descriptors(sock, out[1], agent);
		if (plan && !confine(empty))
			_exit(98);
		if (traced && ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
			_exit(97);
		if (plan && confine_calls(plan) != 0)
			_exit(96);
		syscall(SYS_execveat, 4, "", words, environment, AT_EMPTY_PATH);
		_exit(95);
	}
	close(sock);
	close(out[1]);
	close(agent);
	s.out = out[0];
	if (traced) {
		int status;

		assert_int_equal(waitpid(s.pid, &status, 0), s.pid);
		if (!WIFSTOPPED(status))
			fail_msg("the agent did not start: %x", (unsigned)status);
		assert_int_equal(
			ptrace(PTRACE_SETOPTIONS, s.pid, NULL,
			       PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEEXEC),
			0);
	}
	assert_int_equal(rmdir(empty), 0); /* what runs in there keeps it */
	return s;
}

static int finish_agent(struct started *s, char *ret, size_t size)
{
	size_t at = 0;
	ssize_t n;
	int status;

	while (at < size - 1 && (n = read(s->out, ret + at, size - 1 - at)) > 0)
		at += (size_t)n;
	ret[at] = '\0';
	close(s->out);
	assert_int_equal(waitpid(s->pid, &status, 0), s->pid);
	return status;
}

/* How often these bytes are in its memory. */
static size_t count_in_memory(pid_t pid, const void *bytes, size_t len)
{
	char path[64], line[512];
	size_t found = 0, size = 0;
	char *copy = NULL;
	FILE *maps;
	int mem;

	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	maps = fopen(path, "re");
	assert_non_null(maps);
	snprintf(path, sizeof(path), "/proc/%d/mem", pid);
	mem = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(mem >= 0);
	while (fgets(line, sizeof(line), maps)) {
		unsigned long from = strtoul(line, NULL, 16);
		unsigned long to = strtoul(strchr(line, '-') + 1, NULL, 16);

		if (strchr(line, ' ')[1] != 'r' || strstr(line, "[v"))
			continue;
		if (to - from > size) {
			free(copy);
			size = to - from;
			copy = malloc(size);
			assert_non_null(copy);
		}
		assert_int_equal(pread(mem, copy, to - from, (off_t)from),
				 (ssize_t)(to - from));
		for (char *at = copy;
		     (at = memmem(at, (size_t)(copy + (to - from) - at), bytes, len)); at++)
			found++;
	}
	free(copy);
	fclose(maps);
	close(mem);
	return found;
}

/* Runs it to its next entry into this system call, or its exec; -1 else. */
static long next_call(pid_t pid, const long *wanted, size_t n)
{
	static const long files[] = { SYS_openat, SYS_open,   SYS_socket, SYS_connect,
				      SYS_stat,   SYS_access, SYS_statx,  SYS_newfstatat };
	bool entry = false;

	for (;;) {
		struct user_regs_struct regs;
		int status;

		assert_int_equal(ptrace(PTRACE_SYSCALL, pid, NULL, NULL), 0);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		if (!WIFSTOPPED(status))
			return -1;
		if (status >> 8 == (SIGTRAP | PTRACE_EVENT_EXEC << 8))
			return -2;
		if (WSTOPSIG(status) != (SIGTRAP | 0x80))
			continue;
		assert_int_equal(ptrace(PTRACE_GETREGS, pid, NULL, &regs), 0);
		entry = (long)regs.rax == -ENOSYS;
		for (size_t i = 0; entry && i < sizeof(files) / sizeof(files[0]); i++)
			if ((long)regs.orig_rax == files[i] &&
			    !(regs.orig_rax == SYS_newfstatat && regs.r10 & AT_EMPTY_PATH))
				fail_msg("system call %ld: it looks for a file",
					 (long)regs.orig_rax);
		for (size_t i = 0; entry && i < n; i++)
			if ((long)regs.orig_rax == wanted[i])
				return wanted[i];
	}
}

static struct policy_plan *default_plan(void)
{
	struct policy_plan *plan = NULL;
	struct policy *p = NULL;

	assert_int_equal(policy_builtin(&p, NULL), POLICY_OK);
	assert_int_equal(policy_plan_make(p, words, NULL, &plan, NULL), POLICY_OK);
	policy_free(p);
	return plan;
}

static void assert_file_of(pid_t pid, const char *name, const void *want, size_t len)
{
	char path[64], text[256];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	f = fopen(path, "re");
	assert_non_null(f);
	assert_int_equal(fread(text, 1, sizeof(text), f), len);
	assert_memory_equal(text, want, len);
	fclose(f);
}

static void it_becomes_the_workload_and_leaves_no_secret(void **state)
{
	static const long write_key[] = { SYS_pwrite64 }, exec[] = { SYS_execveat };
	struct policy_plan *plan;
	struct run r = common_run();
	struct started s;
	char said[256], path[64];
	int sock;

	(void)state;
	skip_sanitized();
	if (geteuid() != 0) {
		print_message("skipped: needs root, for an empty root folder\n");
		skip();
	}
	plan = default_plan();
	r.secret = "a canary that sings in memory";
	r.program = open(bystander, O_PATH | O_CLOEXEC);
	assert_true(r.program >= 0);
	sock = peers_start(&r);
	s = start_agent(sock, plan, true);
	policy_plan_free(plan);

	/* It can be seen at all: when the key is written, key and session are in memory. */
	assert_int_equal(next_call(s.pid, write_key, 1), SYS_pwrite64);
	assert_int_equal(count_in_memory(s.pid, r.secret, strlen(r.secret)), 1);
	assert_true(r.n_logged >= 4);
	assert_true(count_in_memory(s.pid, r.logged[r.n_logged - 1],
				    r.logged_len[r.n_logged - 1]) > 0);
	assert_int_equal(next_call(s.pid, exec, 1), SYS_execveat);
	peers_join(&r);
	assert_true(r.ready);
	assert_key(&r, 0, r.secret);
	assert_int_equal(count_in_memory(s.pid, r.secret, strlen(r.secret)), 0);
	assert_int_equal(count_in_memory(s.pid, "canary that", 11), 0);
	for (size_t i = 0; i < r.n_logged; i++)
		assert_int_equal(count_in_memory(s.pid, r.logged[i], r.logged_len[i]), 0);
	assert_true(count_in_memory(s.pid, words[0], strlen(words[0])) > 0);

	assert_int_equal(next_call(s.pid, exec, 0), -2);
	assert_file_of(s.pid, "cmdline", "the-workload\0--version", 23);
	assert_file_of(s.pid, "environ", environment[0], strlen(environment[0]) + 1);
	for (int fd = 3; fd < 40; fd++) {
		snprintf(path, sizeof(path), "/proc/%d/fd/%d", s.pid, fd);
		assert_int_equal(access(path, F_OK), -1);
	}
	assert_int_equal(ptrace(PTRACE_CONT, s.pid, NULL, NULL), 0);
	assert_int_equal(finish_agent(&s, said, sizeof(said)), 0);
	assert_non_null(strstr(said, "cordon-keeper"));
	run_end(&r);
}

/* A file with this text, executable; a keeper opens it with O_PATH. */
static int script_of(const char *text, int flags)
{
	char path[] = "/tmp/cordon-test-XXXXXX";
	int to = mkostemp(path, O_CLOEXEC), fd;

	assert_true(to >= 0);
	assert_int_equal(write(to, text, strlen(text)), (ssize_t)strlen(text));
	assert_int_equal(fchmod(to, 0755), 0);
	close(to);
	fd = open(path, flags | O_CLOEXEC);
	assert_int_equal(unlink(path), 0);
	return fd;
}

static int run_script(struct run *r, const char *text, int flags, char *said, size_t size)
{
	struct started s;
	int sock, status;

	r->program = script_of(text, flags);
	sock = peers_start(r);
	s = start_agent(sock, NULL, false);
	status = finish_agent(&s, said, size);
	peers_join(r);
	run_end(r);
	return status;
}

static void scripts_run_with_and_without_their_first_line(void **state)
{
	static const char *const texts[] = { "#!/bin/sh\necho \"$1|$NAME\"; exit 7\n",
					     "echo \"$1|$NAME\"; exit 7\n" };
	char said[256];

	(void)state;
	skip_sanitized();
	for (size_t i = 0; i < 4; i++) {
		struct run r = common_run();

		assert_int_equal(run_script(&r, texts[i % 2], i / 2 ? O_PATH : O_RDONLY, said,
					    sizeof(said)),
				 7 << 8);
		assert_string_equal(said, "--version|value of the workload\n");
		assert_true(r.ready);
	}
}

static void what_cannot_be_executed_ends_with_envs_statuses(void **state)
{
	struct run r = common_run();
	char said[256];

	(void)state;
	skip_sanitized();
	assert_int_equal(run_script(&r, "#!/nowhere\n", O_PATH, said, sizeof(said)), 127 << 8);
	r = common_run();
	assert_int_equal(run_script(&r, "#!/\n", O_PATH, said, sizeof(said)), 126 << 8);
}

static void a_refusal_is_told_and_ends_with_125(void **state)
{
	struct run r = common_run();
	char said[256];

	(void)state;
	skip_sanitized();
	r.twist = STATUS;
	r.at = KBS_RESOURCE;
	r.status = 403;
	assert_int_equal(run_script(&r, "#!/bin/sh\necho ran\n", O_PATH, said, sizeof(said)),
			 125 << 8);
	assert_string_equal(said, "");
	assert_false(r.ready);
	assert_int_equal(r.last.kind, AGENT_REFUSED);
	assert_non_null(strstr(r.last.error.what, "403 PolicyDeny"));
	assert_string_equal(r.last.error.where, RESOURCE);
}

/* OPENSSL_CONF and the like are the tenant's, and so is what started by hand is called. */
static void started_by_hand_it_refuses(void **state)
{
	int status;
	pid_t pid;

	(void)state;
	pid = fork();
	if (pid == 0) {
		close_range(3, ~0u, 0);
		execl(program, "cordon-agent", NULL);
		_exit(99);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 125 << 8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_come_into_their_files),
		cmocka_unit_test(every_hash_binds),
		cmocka_unit_test(any_certificate_of_the_chain_may_be_the_pinned_one),
		cmocka_unit_test(other_chains_are_refused),
		cmocka_unit_test(an_expired_root_is_refused),
		cmocka_unit_test(an_address_is_verified_as_an_address),
		cmocka_unit_test(older_tls_and_other_suites_are_refused),
		cmocka_unit_test(its_refusals_are_told),
		cmocka_unit_test(answers_that_are_none_are_refused),
		cmocka_unit_test(every_truncation_of_an_answer_is_refused),
		cmocka_unit_test(a_silent_service_ends_with_the_deadline),
		cmocka_unit_test(evidence_must_be_this_sessions),
		cmocka_unit_test(a_job_must_be_whole),
		cmocka_unit_test(a_key_goes_whole_into_a_new_file_or_not_at_all),
		cmocka_unit_test(messages_go_through_unchanged_and_no_others_do),
		cmocka_unit_test(bytes_beside_the_message_are_refused),
		cmocka_unit_test(descriptors_of_a_bad_message_are_closed),
		cmocka_unit_test(services_are_taken_apart),
		cmocka_unit_test(it_becomes_the_workload_and_leaves_no_secret),
		cmocka_unit_test(scripts_run_with_and_without_their_first_line),
		cmocka_unit_test(what_cannot_be_executed_ends_with_envs_statuses),
		cmocka_unit_test(a_refusal_is_told_and_ends_with_125),
		cmocka_unit_test(started_by_hand_it_refuses),
	};
	const char *build = getenv("O");

	signal(SIGPIPE, SIG_IGN);
	snprintf(program, sizeof(program), "%s/bin/cordon-agent",
		 build ? build : "build/release");
	snprintf(bystander, sizeof(bystander), "%s/bin/cordon-keeper",
		 build ? build : "build/release");
	return cmocka_run_group_tests_name("agent", tests, make_identities, free_identities);
}
