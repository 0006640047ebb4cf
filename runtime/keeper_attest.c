/* runtime/keeper_attest.c - a session with keys: measured, attested by its agent, and only
 * then the workload. See runtime/agent.h. */
#include "runtime/keeper_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <sha2.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "attest/hex.h"
#include "runtime/agent.h"
#include "runtime/agent_service.h"
#include "runtime/clerk_attest.h"

#define ATTEST_MS (90 * 1000) /* from the agent's start to its last key */
#define PROXY_WORDS 200

static enum runtime_status fail(struct runtime_error *e, const char *where, const char *what)
{
	return runtime_fail(e, RUNTIME_SYSTEM, where, "", "%s: %s", what, strerror(errno));
}

/* ---- measuring ------------------------------------------------------------------- */

static void fact_digest(struct keeper *k, const char *key, const uint8_t *digest)
{
	char hex[HEX_SIZE(SHA256_DIGEST_LENGTH)];

	hex_print(digest, SHA256_DIGEST_LENGTH, hex);
	keeper_fact(k, key, "%s", hex);
}

/* Read through the descriptor that the agent executes. */
static enum runtime_status measure_program(struct keeper *k, uint8_t *ret,
					   struct runtime_error *e)
{
	char path[32], first[2] = "";
	static uint8_t chunk[65536];
	AUTO(closep) int fd = -1;
	SHA2_CTX sha;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", k->launcher.program);
	fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return fail(e, "workload", "its program cannot be read, to be measured");
	SHA256Init(&sha);
	while ((n = read(fd, chunk, sizeof(chunk))) > 0) {
		if (!first[0])
			memcpy(first, chunk, n > 1 ? 2 : 1);
		SHA256Update(&sha, chunk, (size_t)n);
	}
	if (n < 0)
		return fail(e, "workload", "its program cannot be measured");
	SHA256Final(ret, &sha);
	k->script = first[0] == '#' && first[1] == '!';
	return RUNTIME_OK;
}

static enum runtime_status describe(const struct keeper *k, const uint8_t *plan,
				    struct agent_job *job, struct runtime_error *e)
{
	struct descriptor d = { .hash = DESCRIPTOR_SHA256 };
	struct attest_error ae = { .what = "" };
	size_t len;

	snprintf(d.tenant, sizeof(d.tenant), "%s", k->plan->tenant);
	memcpy(d.session, k->id, sizeof(d.session));
	memcpy(d.plan, plan, sizeof(d.plan));
	snprintf(d.service, sizeof(d.service), "%s", k->plan->keys[0].service);
	snprintf(d.service_ca, sizeof(d.service_ca), "%s", k->plan->keys[0].service_ca);
	if (descriptor_print(&d, job->descriptor, &len, &ae) != ATTEST_OK)
		return runtime_fail(e, RUNTIME_REFUSED, "keys", ae.hint, "%s: %s", ae.where,
				    ae.what);
	job->descriptor_len = (uint32_t)len;
	return RUNTIME_OK;
}

static void digest_of(const void *bytes, size_t n, uint8_t ret[static SHA256_DIGEST_LENGTH])
{
	SHA2_CTX sha;

	SHA256Init(&sha);
	SHA256Update(&sha, bytes, n);
	SHA256Final(ret, &sha);
}

static void append(char *list, size_t size, const char *name)
{
	size_t n = strlen(list);

	snprintf(list + n, size - n, "%s%s", n ? " " : "", name);
}

enum runtime_status keeper_measure(struct keeper *k, struct agent_job *job,
				   struct runtime_error *reterr)
{
	uint8_t plan[POLICY_DIGEST], program[SHA256_DIGEST_LENGTH], other[SHA256_DIGEST_LENGTH];
	char names[JOURNAL_VALUE] = "";
	bool whole; /* all that can be executed was measured, and cannot change */
	enum runtime_status s;

	memset(job, 0, sizeof(*job));
	if (policy_plan_digest(k->plan, plan) != POLICY_OK)
		return runtime_fail(reterr, RUNTIME_SYSTEM, "plan", "", "it has no digest");
	s = measure_program(k, program, reterr);
	if (s == RUNTIME_OK)
		s = describe(k, plan, job, reterr);
	if (s != RUNTIME_OK)
		return s;
	fact_digest(k, FACT_ATTEST_PLAN, plan);
	whole = k->launcher.measured && policy_plan_runs_copy_alone(k->plan);
	fact_digest(k, FACT_ATTEST_WORKLOAD, whole ? k->launcher.digest : program);
	keeper_fact(k, FACT_ATTEST_COVERAGE, whole ? "rootfs" : "binary");
	digest_of(k->plan->filter.insns, 8 * k->plan->filter.n_insns, other);
	fact_digest(k, FACT_ATTEST_FILTER, other);
	digest_of(job->descriptor, job->descriptor_len, other);
	fact_digest(k, FACT_ATTEST_DESCRIPTOR, other);
	keeper_fact(k, "service", "%.300s", k->plan->keys[0].service);
	for (size_t i = 0; i < k->plan->n_keys; i++) {
		append(names, sizeof(names), k->plan->keys[i].name);
		snprintf(job->resources[i], sizeof(job->resources[i]), "%s",
			 k->plan->keys[i].resource);
	}
	keeper_fact(k, "keys", "%s", names);
	job->n_keys = (uint32_t)k->plan->n_keys;
	return RUNTIME_OK;
}

/* ---- where the keys go ----------------------------------------------------------- */

/* Written by the agent through its descriptor alone; the workload may read it. */
static int make_file(const struct keeper *k, const char *name)
{
	const struct policy_process *p = &k->plan->process;
	int dir = k->launcher.tmpfs[k->launcher.n_tmpfs - 1];
	int fd = openat(dir, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd >= 0 && ((k->spec.ids.range && fchown(fd, k->spec.ids.first + p->uid,
						     k->spec.ids.first + p->gid) < 0) ||
			fchmod(fd, 0400) < 0))
		closep(&fd);
	return fd;
}

/* ---- the byte proxy -------------------------------------------------------------- */

static _Noreturn void exec_proxy(const char *program, const struct agent_service *to,
				 int stream, int words)
{
	char host[sizeof(to->host)], port[sizeof(to->port)];
	char *argv[] = { (char[]){ "cordon-proxy" }, host, port, NULL }, *env[] = { NULL };
	sigset_t none;

	memcpy(host, to->host, sizeof(host));
	memcpy(port, to->port, sizeof(port));
	sigemptyset(&none);
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && dup2(stream, 0) == 0 &&
	    dup2(words, 1) == 1 && dup2(words, 2) == 2 && close_range(3, ~0u, 0) == 0 &&
	    sigprocmask(SIG_SETMASK, &none, NULL) == 0)
		execve(program, argv, env);
	_exit(127);
}

/* The agent's end of the stream, or -1. */
static int start_proxy(struct keeper *k, struct runtime_error *e)
{
	const char *program = keeper_beside("cordon-proxy");
	struct agent_service to;
	int stream[2] = { -1, -1 }, words[2] = { -1, -1 };
	pid_t pid = -1;

	if (!agent_service_parse(k->plan->keys[0].service, k->plan->keys[0].service_ca, &to)) {
		(void)runtime_fail(e, RUNTIME_REFUSED, "keys[0].service", "",
				   "not https://HOST[:PORT] and sha256:HEX");
		return -1;
	}
	if (program && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, stream) == 0 &&
	    pipe2(words, O_CLOEXEC | O_NONBLOCK) == 0)
		pid = fork();
	if (pid == 0)
		exec_proxy(program, &to, stream[1], words[1]);
	if (pid > 0) /* not yet waited for: the pid is still its */
		k->proxy = pidfd_open(pid, 0);
	if (k->proxy < 0) {
		(void)fail(e, "cordon-proxy", "cannot start it");
		if (pid > 0)
			(void)kill(pid, SIGKILL);
		closep(&stream[0]);
		closep(&words[0]);
	}
	k->proxy_words = words[0];
	closep(&stream[1]);
	closep(&words[1]);
	return stream[0];
}

static void end_proxy(struct keeper *k)
{
	if (k->proxy >= 0)
		(void)pidfd_send_signal(k->proxy, SIGKILL, NULL, 0);
	closep(&k->proxy);
	closep(&k->proxy_words);
}

/* What the proxy said last is why nothing came through. */
static void add_proxys_words(struct keeper *k)
{
	char said[PROXY_WORDS + 1], what[sizeof(k->refusal.what)];
	ssize_t n = k->proxy_words < 0 ? -1 : read(k->proxy_words, said, PROXY_WORDS);

	if (n <= 0)
		return;
	said[n] = '\0';
	said[strcspn(said, "\n")] = '\0';
	snprintf(what, sizeof(what), "%.100s (%.140s)", k->refusal.what, said);
	text_escape(k->refusal.what, sizeof(k->refusal.what), what);
}

/* ---- what the agent says --------------------------------------------------------- */

static void refuse(struct keeper *k, const struct runtime_error *why)
{
	if (!k->refused) {
		k->refused = true;
		text_escape(k->refusal.where, sizeof(k->refusal.where), why->where);
		text_escape(k->refusal.what, sizeof(k->refusal.what), why->what);
		text_escape(k->refusal.hint, sizeof(k->refusal.hint), why->hint);
	}
	closep(&k->agent);
}

static void refuse_words(struct keeper *k, const char *what)
{
	struct runtime_error e;

	(void)runtime_fail(&e, RUNTIME_REFUSED, "attestation", "", "%s", what);
	refuse(k, &e);
}

static void give_token(struct keeper *k, const uint8_t *report_data)
{
	static struct agent_message answer;
	AUTO(closep) int token = -1;
	struct runtime_error e;

	fault_point("token.wanted");
	if (k->clerk < 0)
		refuse_words(k, "no clerk runs that could sign the evidence");
	else if (clerk_token(k->clerk, k->id, report_data, &token, &e) != RUNTIME_OK)
		refuse(k, &e);
	if (token < 0)
		return;
	answer.kind = AGENT_TOKEN;
	if (!agent_send(k->agent, &answer, &token, 1))
		refuse_words(k, "the agent is gone");
	fault_point("token.given");
}

void keeper_hear_agent(struct keeper *k)
{
	static struct agent_message m;
	int fds[AGENT_FDS];
	size_t n = 0;

	if (!agent_receive(k->agent, &m, fds, &n)) {
		refuse_words(k, "the agent ended without a word: does the seccomp profile "
				"allow what it needs?");
		return;
	}
	switch (n == 0 ? m.kind : 0) {
	case AGENT_TOKEN_WANTED:
		give_token(k, m.report_data);
		break;
	case AGENT_REFUSED:
		refuse(k, &m.error);
		break;
	case AGENT_READY:
		k->keyed = true;
		closep(&k->agent);
		break;
	default:
		refuse_words(k, "the agent broke the rules of its conversation");
	}
	while (n > 0)
		close(fds[--n]);
}

/* ---- all of it ------------------------------------------------------------------- */

static enum runtime_status send_job(struct keeper *k, const struct agent_job *job, int stream,
				    struct runtime_error *e)
{
	static struct agent_message m;
	enum runtime_status s = RUNTIME_OK;
	int fds[AGENT_FDS];
	size_t n = 0;

	m.kind = AGENT_JOB;
	m.job = *job;
	fds[n++] = stream;
	fds[n++] = k->launcher.program;
	for (size_t i = 0; i < job->n_keys && s == RUNTIME_OK; i++) {
		fds[n] = make_file(k, k->plan->keys[i].name);
		if (fds[n] < 0)
			s = fail(e, k->plan->keys[i].name, "cannot make the key's file");
		else
			n++;
	}
	if (s == RUNTIME_OK && !agent_send(k->agent, &m, fds, n))
		s = fail(e, "agent", "cannot tell it what to do");
	while (n > 2)
		close(fds[--n]);
	return s;
}

static bool decided(const struct keeper *k)
{
	return tracer_empty(&k->launcher.tracer) || k->refused || k->stopping ||
	       keeper_now_ms() >= k->attest_until || (k->keyed && k->launcher.tracer.exec_stop);
}

static enum runtime_status judge(struct keeper *k, struct runtime_error *e)
{
	if (k->refused) {
		add_proxys_words(k);
		*e = k->refusal;
		return RUNTIME_REFUSED;
	}
	if (k->stopping)
		return runtime_fail(e, RUNTIME_REFUSED, "attestation", "",
				    "it was stopped before its keys came");
	if (tracer_empty(&k->launcher.tracer) || k->launcher.tracer.workload_leaving)
		return runtime_fail(e, RUNTIME_REFUSED, "attestation",
				    "can the program be executed inside the sandbox?",
				    "the agent ended before the workload began");
	if (!k->keyed || !k->launcher.tracer.exec_stop)
		return runtime_fail(e, RUNTIME_REFUSED, "attestation", "is the key service up?",
				    "no answer within %d s", ATTEST_MS / 1000);
	return launcher_check_again(&k->launcher, k->script, e);
}

enum runtime_status keeper_attest(struct keeper *k, const struct agent_job *job,
				  struct runtime_error *reterr)
{
	AUTO(closep) int stream = start_proxy(k, reterr);
	enum runtime_status s = RUNTIME_SYSTEM;

	if (stream >= 0)
		s = journal_move(k->journal, EV_ATTEST,
				 "confined, read back; its evidence goes out", reterr);
	fault_point("attesting");
	if (s == RUNTIME_OK)
		s = send_job(k, job, stream, reterr);
	closep(&stream);
	if (s == RUNTIME_OK) {
		k->agent_ran = true;
		k->attest_until = keeper_now_ms() + ATTEST_MS;
		launcher_start_agent(&k->launcher);
		keeper_watch(k, decided);
		k->attest_until = 0;
		s = judge(k, reterr);
	}
	end_proxy(k);
	closep(&k->agent);
	fault_point("attested");
	return s;
}
