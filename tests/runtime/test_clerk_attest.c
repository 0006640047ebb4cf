/* tests/runtime/test_clerk_attest.c - which sessions get evidence, and what it says. */
#include "runtime/clerk_attest.h"

#include <openssl/evp.h>
#include <sys/utsname.h>

#include "attest/hex.h"
#include "attest/sandbox_token.h"
#include "tests/attest/sandbox_sample.h"
#include "tests/runtime/fixture.h"

static const uint8_t asked[CLERK_REPORT_DATA] = { 7, 8, 9 };

/* What a keeper measures. */
static const struct journal_fact measured[] = {
	{ FACT_ATTEST_PLAN,
	  "1111111111111111111111111111111111111111111111111111111111111111" },
	{ FACT_ATTEST_FILTER,
	  "2222222222222222222222222222222222222222222222222222222222222222" },
	{ FACT_ATTEST_WORKLOAD,
	  "3333333333333333333333333333333333333333333333333333333333333333" },
	{ FACT_ATTEST_DESCRIPTOR,
	  "4444444444444444444444444444444444444444444444444444444444444444" },
	{ FACT_ATTEST_COVERAGE, "rootfs" },
};
#define MEASURED (sizeof(measured) / sizeof(measured[0]))

/* ---- a host ---------------------------------------------------------------------- */

static int keys_folder(struct fixture *f)
{
	char path[sizeof(f->root) + 8];
	int fd;

	snprintf(path, sizeof(path), "%s/keys", f->root);
	(void)mkdir(path, 0700);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

/* The host's key, with a certificate that names it so. */
static void make_key(struct fixture *f, const char *host)
{
	struct sample_spec anchor = SAMPLE_CA, leaf = SAMPLE_LEAF;
	struct sample_issuer by = sample_anchor(&anchor);
	AUTO(closep) int dir = keys_folder(f);
	EVP_PKEY *key = NULL;
	X509 *certificate;

	assert_int_equal(anchor_key_make(dir, "attestation.key", ANCHOR_P256, &key, NULL),
			 ATTEST_OK);
	leaf.name = host;
	certificate = sample_certificate(&leaf, key, &by);
	assert_int_equal(anchor_certificate_put(dir, "attestation.pem", certificate, NULL),
			 ATTEST_OK);
	X509_free(certificate);
	X509_free(by.certificate);
	EVP_PKEY_free(by.key);
	EVP_PKEY_free(key);
}

static int host_begin(void **state)
{
	fixture_make(state);
	make_key(*state, SAMPLE_HOST);
	return 0;
}

/* ---- asking ---------------------------------------------------------------------- */

/* What the clerk says to a session with this journal; a token is the caller's to close. */
static enum runtime_status ask(struct fixture *f, const struct journal_begin *b,
			       enum session_state s, const struct journal_fact *facts, size_t n,
			       int *ret, struct runtime_error *e)
{
	write_journal(f, b, s, facts, n);
	*ret = -1;
	return clerk_attest(f->paths.sessions_fd, b->id, asked, ret, e);
}

static void refuses(struct fixture *f, const struct journal_begin *b, enum session_state s,
		    const struct journal_fact *facts, size_t n, const char *words)
{
	struct runtime_error e = { .what = "" };
	int token;

	assert_int_equal(ask(f, b, s, facts, n, &token, &e), RUNTIME_REFUSED);
	assert_int_equal(token, -1);
	if (!strstr(e.what, words))
		fail_msg("\"%s\" says nothing of \"%s\"", e.what, words);
}

/* ---- the tests ------------------------------------------------------------------- */

static struct sandbox_facts facts_in(int token)
{
	char text[SANDBOX_TOKEN_MAX];
	struct sandbox_token *t = NULL;
	struct sandbox_facts facts;
	ssize_t n = pread(token, text, sizeof(text), 0);

	assert_true(n > 0);
	assert_int_equal(sandbox_token_parse(text, (size_t)n, &t, NULL), ATTEST_OK);
	assert_int_equal(sandbox_token_verify(t, &facts, NULL), ATTEST_OK);
	sandbox_token_free(t);
	return facts;
}

static void assert_bytes(const uint8_t *bytes, uint8_t each)
{
	for (size_t i = 0; i < SANDBOX_DIGEST; i++)
		assert_int_equal(bytes[i], each);
}

/* A keeper that is another program than this one. */
static pid_t start_other(void)
{
	pid_t pid = fork();
	char link[40], path[PATH_MAX];
	ssize_t n;

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		execl("/bin/sleep", "sleep", "60", NULL);
		_exit(127);
	}
	snprintf(link, sizeof(link), "/proc/%d/exe", pid);
	for (int i = 0; i < 1000; i++) {
		n = readlink(link, path, sizeof(path) - 1);
		path[n > 0 ? n : 0] = '\0';
		if (strstr(path, "sleep") || strstr(path, "coreutils"))
			return pid;
		usleep(5000);
	}
	fail_msg("no program began: %s", path);
	return -1;
}

static void program_of(pid_t pid, uint8_t ret[static SANDBOX_DIGEST])
{
	static uint8_t bytes[64 << 20];
	char path[40];
	size_t len = 0;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/exe", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	while ((n = read(fd, bytes + len, sizeof(bytes) - len)) > 0)
		len += (size_t)n;
	close(fd);
	assert_int_equal(n, 0);
	assert_int_equal(EVP_Q_digest(NULL, "SHA256", NULL, bytes, len, ret, NULL), 1);
}

static void a_token_says_what_was_measured_and_what_the_clerk_sees(void **state)
{
	struct fixture *f = *state;
	struct journal_begin b = begin_of(f, true);
	uint8_t program[SANDBOX_DIGEST];
	struct sandbox_facts facts;
	struct utsname host;
	int token;

	b.euid = 4711;
	b.keeper = start_other();
	b.keeper_start = process_start_time(b.keeper);
	assert_int_equal(ask(f, &b, SESSION_ATTESTING, measured, MEASURED, &token, NULL),
			 RUNTIME_OK);
	program_of(b.keeper, program);
	kill(b.keeper, SIGKILL);
	waitpid(b.keeper, NULL, 0);
	facts = facts_in(token);
	close(token);
	assert_bytes(facts.plan, 0x11);
	assert_bytes(facts.filter, 0x22);
	assert_bytes(facts.workload, 0x33);
	assert_bytes(facts.descriptor, 0x44);
	assert_int_equal(facts.coverage, SANDBOX_ROOTFS);
	assert_memory_equal(facts.cordon, program, sizeof(program));
	assert_memory_equal(facts.report_data, asked, sizeof(asked));
	assert_int_equal(facts.launcher_uid, 4711);
	assert_string_equal(facts.host_id, SAMPLE_HOST);
	assert_int_equal(uname(&host), 0);
	assert_string_equal(facts.kernel_release, host.release);
	assert_string_equal(facts.key_custody, "file");
	assert_true(llabs(facts.issued - (int64_t)time(NULL)) < 60);
	assert_false(facts.fault_points);
}

static void a_token_cannot_be_changed_by_whoever_gets_it(void **state)
{
	struct fixture *f = *state;
	const struct journal_begin b = begin_of(f, true);
	int token, all = F_SEAL_SEAL | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_WRITE;

	assert_int_equal(ask(f, &b, SESSION_ATTESTING, measured, MEASURED, &token, NULL),
			 RUNTIME_OK);
	assert_int_equal(fcntl(token, F_GET_SEALS), all);
	close(token);
}

static void a_session_that_is_not_attesting_gets_none(void **state)
{
	struct fixture *f = *state;

	for (unsigned s = SESSION_NONE; s < SESSION_STATES; s++) {
		const struct journal_begin b = begin_of(f, true);

		if (s != SESSION_ATTESTING)
			refuses(f, &b, s, measured, MEASURED, "attests nothing");
	}
}

static void a_session_that_was_not_measured_gets_none(void **state)
{
	static const char *const bad[] = { "", "33", "XY", "image or so" };
	struct fixture *f = *state;

	for (size_t left_out = 0; left_out < MEASURED; left_out++) {
		struct journal_fact some[MEASURED];
		const struct journal_begin b = begin_of(f, true);
		size_t n = 0;

		for (size_t i = 0; i < MEASURED; i++)
			if (i != left_out)
				some[n++] = measured[i];
		refuses(f, &b, SESSION_ATTESTING, some, n, "not measured");
	}
	for (size_t i = 0; i < MEASURED * sizeof(bad) / sizeof(bad[0]); i++) {
		struct journal_fact some[MEASURED];
		const struct journal_begin b = begin_of(f, true);

		memcpy(some, measured, sizeof(some));
		strcpy(some[i % MEASURED].value, bad[i / MEASURED]);
		refuses(f, &b, SESSION_ATTESTING, some, MEASURED, "not measured");
	}
}

static void a_keeper_that_is_gone_or_another_process_gets_none(void **state)
{
	struct fixture *f = *state;
	struct journal_begin gone = begin_of(f, false), other = begin_of(f, true);

	refuses(f, &gone, SESSION_ATTESTING, measured, MEASURED, "keeper is gone");
	other.keeper_start++; /* the number was given to somebody else since */
	refuses(f, &other, SESSION_ATTESTING, measured, MEASURED, "keeper is gone");
}

static void a_journal_that_is_absent_or_damaged_gets_none(void **state)
{
	struct fixture *f = *state;
	const struct journal_begin b = begin_of(f, true);
	const uint8_t byte = 0xff;
	int token = -1;

	assert_int_equal(clerk_attest(f->paths.sessions_fd, b.id, asked, &token, NULL),
			 RUNTIME_REFUSED);
	write_journal(f, &b, SESSION_ATTESTING, measured, MEASURED);
	damage(f, b.id, JOURNAL_SLOT + 100, &byte, 1);
	assert_int_equal(clerk_attest(f->paths.sessions_fd, b.id, asked, &token, NULL),
			 RUNTIME_MALFORMED);
	assert_int_equal(token, -1);
}

static void a_host_without_a_key_says_so(void **state)
{
	struct fixture *f = *state;
	AUTO(closep) int keys = keys_folder(f);
	struct journal_begin b = begin_of(f, true);

	assert_int_equal(unlinkat(keys, "attestation.key", 0), 0);
	refuses(f, &b, SESSION_ATTESTING, measured, MEASURED, "no attestation key");
}

static void a_key_that_others_may_read_signs_nothing(void **state)
{
	struct fixture *f = *state;
	AUTO(closep) int keys = keys_folder(f);
	const struct journal_begin b = begin_of(f, true);

	assert_int_equal(fchmodat(keys, "attestation.key", 0640, 0), 0);
	refuses(f, &b, SESSION_ATTESTING, measured, MEASURED, "");
}

static void a_certificate_of_another_key_or_of_no_host_signs_nothing(void **state)
{
	struct fixture *f = *state;
	AUTO(closep) int keys = keys_folder(f);
	const struct journal_begin another = begin_of(f, true), nobody = begin_of(f, true);

	assert_int_equal(unlinkat(keys, "attestation.key", 0), 0);
	assert_int_equal(renameat(keys, "attestation.pem", keys, "old.pem"), 0);
	make_key(f, SAMPLE_HOST);
	assert_int_equal(renameat(keys, "old.pem", keys, "attestation.pem"), 0);
	refuses(f, &another, SESSION_ATTESTING, measured, MEASURED, "");
	assert_int_equal(unlinkat(keys, "attestation.key", 0), 0);
	assert_int_equal(unlinkat(keys, "attestation.pem", 0), 0);
	make_key(f, "no host's name");
	refuses(f, &nobody, SESSION_ATTESTING, measured, MEASURED, "no host's id");
}

#define WITH_HOST(test) cmocka_unit_test_setup_teardown(test, host_begin, fixture_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_HOST(a_token_says_what_was_measured_and_what_the_clerk_sees),
		WITH_HOST(a_token_cannot_be_changed_by_whoever_gets_it),
		WITH_HOST(a_session_that_is_not_attesting_gets_none),
		WITH_HOST(a_session_that_was_not_measured_gets_none),
		WITH_HOST(a_keeper_that_is_gone_or_another_process_gets_none),
		WITH_HOST(a_journal_that_is_absent_or_damaged_gets_none),
		WITH_HOST(a_host_without_a_key_says_so),
		WITH_HOST(a_key_that_others_may_read_signs_nothing),
		WITH_HOST(a_certificate_of_another_key_or_of_no_host_signs_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
