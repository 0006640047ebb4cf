/* runtime/verb_run.c - `cordon run`: policy to plan, plan to a keeper, and then the eyes,
 * ears and voice of the workload until it ends. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "policy/policy.h"
#include "runtime/clerk.h"
#include "runtime/fault.h"
#include "runtime/keeper.h"
#include "runtime/relay.h"
#include "runtime/terminal.h"
#include "runtime/verb.h"
#include "runtime/wire.h"

#define EXIT_REFUSED 125
#define CLOSED_WINDOW_MS 5000 /* as long as the keeper gives a lost caller's workload */

struct run {
	const char *policy, *name, *receipt;
	bool detach, json, made_receipt;
	int receipt_fd; /* the keeper writes it when the session has ended */
	uint8_t id[SESSION_ID_BYTES];
	int control, signals;
	pid_t keeper;
	struct terminal terminal;
	struct relays relays;
	bool running;
};

/* ---- from a policy to plan bytes ------------------------------------------------- */

static int policy_failed(enum policy_status s, const struct policy_error *e)
{
	(void)s;
	fputs("cordon: ", stderr);
	policy_error_print(stderr, e);
	fputc('\n', stderr);
	return EXIT_REFUSED;
}

/* The clerk's copy where it has one; else compiled now and left with the clerk. Filters
 * are only a matter of speed here: a clerk that cannot be reached costs some milliseconds,
 * and what really needs it (holding descriptors) fails later with its own words. */
static enum policy_status get_filter(const struct verb_context *cx, const struct policy *p,
				     struct policy_filter *ret, struct policy_error *e)
{
	char program[PATH_MAX];
	struct runtime_error ignored;
	uint8_t *key = NULL;
	size_t len = 0;
	int clerk = -1;
	enum policy_status s = policy_filter_key(p, &key, &len, e);

	if (s != POLICY_OK)
		return s;
	if (clerk_connect(&cx->paths, verb_program("cordon-clerk", program) ? program : NULL,
			  &clerk, &ignored) != RUNTIME_OK)
		clerk = -1;
	if (clerk < 0 || clerk_filter_get(clerk, key, len, ret, &ignored) != RUNTIME_OK) {
		s = policy_filter_compile(p, ret, e);
		if (s == POLICY_OK && clerk >= 0 &&
		    clerk_filter_put(clerk, key, len, ret, &ignored) != RUNTIME_OK)
			closep(&clerk); /* the next run compiles it again */
	}
	closep(&clerk);
	free(key);
	return s;
}

static enum policy_status make_plan(const struct verb_context *cx, const struct run *r,
				    char *const *argv, struct policy_plan **ret,
				    struct policy_error *e)
{
	struct policy *p = NULL;
	struct policy_filter filter = { 0 };
	enum policy_status s =
		r->policy ? policy_load(r->policy, &p, e) : policy_builtin(&p, e);

	if (s == POLICY_OK)
		s = get_filter(cx, p, &filter, e);
	if (s == POLICY_OK)
		s = policy_plan_make(p, argv, &filter, ret, e);
	policy_filter_clear(&filter);
	policy_free(p);
	return s;
}

/* Sealed: the keeper reads exactly what was planned. -1 with errno. */
static int plan_memfd(const struct policy_plan *plan)
{
	int fd = memfd_create("cordon-plan", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	uint8_t *bytes = NULL;
	size_t len = 0;
	bool ok = fd >= 0 && policy_plan_encode(plan, &bytes, &len) == POLICY_OK &&
		  write(fd, bytes, len) == (ssize_t)len &&
		  fcntl(fd, F_ADD_SEALS,
			F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) == 0;

	free(bytes);
	if (!ok)
		closep(&fd);
	return fd;
}

/* ---- the keeper ------------------------------------------------------------------ */

static enum runtime_status spawn_keeper(struct run *r, struct runtime_error *e)
{
	char program[PATH_MAX];
	char *argv[] = { program, NULL };
	posix_spawn_file_actions_t files;
	int pair[2], err;

	if (!verb_program("cordon-keeper", program))
		return runtime_fail(e, RUNTIME_SYSTEM, "cordon-keeper", "install cordon whole",
				    "the program is missing");
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return runtime_fail(e, RUNTIME_SYSTEM, "control", "", "%s", strerror(errno));
	err = posix_spawn_file_actions_init(&files);
	for (int i = 0; i < 3 && !err; i++)
		err = posix_spawn_file_actions_addopen(&files, i, "/dev/null", O_RDWR, 0);
	if (!err)
		err = posix_spawn_file_actions_adddup2(&files, pair[1], KEEPER_CONTROL);
	if (!err)
		err = posix_spawn(&r->keeper, program, &files, NULL, argv,
				  keeper_environment());
	posix_spawn_file_actions_destroy(&files);
	close(pair[1]);
	r->control = pair[0];
	return err ? runtime_fail(e, RUNTIME_SYSTEM, program, "", "cannot start it: %s",
				  strerror(err))
		   : RUNTIME_OK;
}

static enum runtime_status order(const struct verb_context *cx, struct run *r, int plan,
				 struct runtime_error *e)
{
	struct wire_message m = { .type = WIRE_START, .a = r->detach ? WIRE_DETACHED : 0 };
	int streams[3] = { STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO };
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	enum runtime_status s = RUNTIME_OK;

	if (null < 0)
		return runtime_fail(e, RUNTIME_SYSTEM, "/dev/null", "", "%s", strerror(errno));
	if (!r->detach)
		s = relay_make(&r->relays, streams, e);
	memcpy(m.id, r->id, sizeof(m.id));
	snprintf(m.text, sizeof(m.text), "%s", r->name ? r->name : "");
	m.fds[m.n_fds++] = plan;
	for (int i = 0; i < 3; i++)
		m.fds[m.n_fds++] = r->detach ? null : streams[i];
	m.fds[m.n_fds++] = cx->paths.sessions_fd;
	m.fds[m.n_fds++] = cx->paths.run_fd;
	if (r->receipt_fd >= 0)
		m.fds[m.n_fds++] = r->receipt_fd;
	if (s == RUNTIME_OK)
		s = wire_send(r->control, &m, e);
	relay_passed(&r->relays);
	close(null);
	return s;
}

/* ---- until the end --------------------------------------------------------------- */

static const int forwarded[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGALRM };

/* What the caller had us ignore (nohup, a shell's background job) stays ignored: blocked,
 * it would reach us all the same. */
static void watch(sigset_t *set, int sig)
{
	struct sigaction now;

	if (sigaction(sig, NULL, &now) == 0 && now.sa_handler != SIG_IGN)
		sigaddset(set, sig);
}

static int watch_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < sizeof(forwarded) / sizeof(forwarded[0]); i++)
		watch(&set, forwarded[i]);
	sigaddset(&set, SIGWINCH);
	watch(&set, SIGTSTP);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -1;
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void pass_signal(const struct run *r, int sig)
{
	struct wire_message m = { .type = WIRE_SIGNAL, .a = sig };
	struct runtime_error ignored;

	memcpy(m.id, r->id, sizeof(m.id));
	if (wire_send(r->control, &m, &ignored) != RUNTIME_OK)
		return; /* the keeper is gone: its end is seen next */
}

/* The caller's window was closed: nobody will see or say anything any more. */
static void stop_session(const struct run *r)
{
	struct wire_message m = { .type = WIRE_STOP, .a = CLOSED_WINDOW_MS };
	struct runtime_error ignored;

	memcpy(m.id, r->id, sizeof(m.id));
	if (wire_send(r->control, &m, &ignored) != RUNTIME_OK)
		return; /* its keeper is gone: its end is seen next */
}

static void on_signal(struct run *r)
{
	struct signalfd_siginfo info;

	while (read(r->signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		int sig = (int)info.ssi_signo;

		if (sig == SIGWINCH) {
			terminal_resize(&r->terminal);
			continue;
		}
		if (sig != SIGTSTP) {
			pass_signal(r, sig);
			if (sig == SIGHUP && r->terminal.out >= 0)
				stop_session(r);
			continue;
		}
		/* Both stop; whoever continues us continues it. Not by SIGTSTP: the workload
		 * leads its session, so its process group is an orphaned one, and from
		 * those the kernel keeps that signal away. */
		pass_signal(r, SIGSTOP);
		raise(SIGSTOP);
		pass_signal(r, SIGCONT);
	}
}

static int status_of(int64_t wait_status)
{
	int st = (int)wait_status;

	return WIFSIGNALED(st) ? 128 + WTERMSIG(st) : WEXITSTATUS(st);
}

/* What a detached session's caller knows it by. Returns the exit status. */
static int announce(const struct run *r)
{
	char hex[SESSION_ID_HEX];

	session_id_hex(r->id, hex);
	if (r->json)
		return verb_json_print(json_pack("{s:s, s:s, s:s, s:s}", "schema",
						 "cordon.run/1", "id", hex, "name",
						 r->name ? r->name : "", "state", "RUNNING"),
				       false)
			       ? EXIT_REFUSED
			       : 0;
	puts(hex);
	return fflush(stdout) == 0 ? 0 : EXIT_REFUSED;
}

/* One message; true while the session goes on. */
static bool hear(struct run *r, int *ret_exit)
{
	struct runtime_error e = { 0 };
	struct wire_message m;
	bool closed = false;

	if (wire_receive(r->control, &m, &closed, &e) != RUNTIME_OK || closed) {
		fputs("cordon: the session's keeper died; `cordon recover` cleans up\n",
		      stderr);
		*ret_exit = EXIT_REFUSED;
		return false;
	}
	switch (m.type) {
	case WIRE_RUNNING:
		r->running = true;
		if (m.n_fds) {
			terminal_start(&r->terminal, m.fds[0]);
			m.n_fds = 0;
		}
		if (r->detach) {
			*ret_exit = announce(r);
			return false;
		}
		return true;
	case WIRE_FAILED:
		terminal_end(&r->terminal);
		fprintf(stderr, "cordon: %s\n", m.text);
		*ret_exit = (int)m.a;
		return false;
	case WIRE_ENDED:
		*ret_exit = status_of(m.a);
		return false;
	default:
		wire_close_fds(&m);
		return true;
	}
}

static int follow(struct run *r)
{
	int status = EXIT_REFUSED;

	for (;;) {
		bool full = terminal_full(&r->terminal);
		struct pollfd p[4 + RELAYS] = {
			{ .fd = r->control, .events = POLLIN },
			{ .fd = r->signals, .events = POLLIN },
			{ .fd = r->terminal.master,
			  .events = full ? POLLIN | POLLOUT : POLLIN },
			{ .fd = full ? -1 : r->terminal.in, .events = POLLIN },
		};

		relay_pollfds(&r->relays, p + 4);
		if (poll(p, sizeof(p) / sizeof(p[0]), -1) < 0) {
			if (errno != EINTR)
				break;
			continue;
		}
		if (p[1].revents)
			on_signal(r);
		if (p[2].revents && !terminal_from_sandbox(&r->terminal)) {
			/* Nobody has the sandbox's terminal open any more; what is typed
			 * now has no reader. */
			close(r->terminal.master);
			r->terminal.master = r->terminal.in = -1;
			r->terminal.typed_end = 0;
		}
		if (p[2].revents & POLLOUT)
			terminal_flush(&r->terminal);
		if (p[3].revents && r->terminal.in >= 0)
			terminal_to_sandbox(&r->terminal);
		relay_pump(&r->relays, p + 4);
		if (p[0].revents && !hear(r, &status))
			break;
	}
	terminal_end(&r->terminal);
	relay_drain(&r->relays);
	close(r->control);
	/* A detached session's keeper goes on; of any other the end has been seen. */
	if (!(r->detach && r->running))
		(void)waitpid(r->keeper, NULL, 0);
	return status;
}

/* ---- the verb -------------------------------------------------------------------- */

static int refused(const struct runtime_error *e)
{
	runtime_error_print(stderr, "cordon", e);
	return EXIT_REFUSED;
}

static bool good_label(const char *s)
{
	size_t n =
		strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");

	return n > 0 && n < 64 && s[n] == 0 && s[0] != '-' && s[0] != '.';
}

static int check_options(const struct run *r)
{
	struct runtime_error e = { 0 };

	if (r->name && !good_label(r->name))
		runtime_fail(&e, RUNTIME_MALFORMED, "--name",
			     "use letters, digits, '.', '_' and '-', at most 63",
			     "not a label");
	else if (r->json && !r->detach)
		runtime_fail(&e, RUNTIME_MALFORMED, "--json", "add --detach, or leave it out",
			     "in the foreground the output is the command's own");
	else
		return 0;
	return refused(&e);
}

/* Opened before anything starts: a session whose receipt has no place to go does not run.
 * What was there before is overwritten, as with any program's output. */
static enum runtime_status open_receipt(struct run *r, struct runtime_error *e)
{
	const int flags = O_WRONLY | O_CREAT | O_CLOEXEC;
	struct stat st;

	if (!r->receipt)
		return RUNTIME_OK;
	r->receipt_fd = open(r->receipt, flags | O_EXCL, 0644);
	r->made_receipt = r->receipt_fd >= 0;
	if (r->receipt_fd < 0 && errno == EEXIST)
		r->receipt_fd = open(r->receipt, flags, 0644);
	if (r->receipt_fd < 0 || fstat(r->receipt_fd, &st) < 0)
		return runtime_fail(e, RUNTIME_REFUSED, r->receipt,
				    "name a file that can be written", "cannot open it: %s",
				    strerror(errno));
	if (!S_ISREG(st.st_mode) || ftruncate(r->receipt_fd, 0) < 0)
		return runtime_fail(e, RUNTIME_REFUSED, r->receipt,
				    "name a file that can be written",
				    "a receipt goes into a regular file");
	return RUNTIME_OK;
}

/* Still empty: then it is no receipt, and whoever wanted one is told. */
static void close_receipt(const struct run *r)
{
	struct stat st;
	bool empty = r->receipt_fd >= 0 && fstat(r->receipt_fd, &st) == 0 && st.st_size == 0;

	if (!empty || (r->detach && r->running))
		return;
	if (r->made_receipt)
		(void)unlink(r->receipt);
	if (r->running)
		fprintf(stderr,
			"cordon: %s: no receipt was written; `cordon status` says why\n",
			r->receipt);
}

/* Everything behind "--" is the command; without "--", everything from the first word
 * that is no option. */
static int split(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--") == 0)
			return i;
		if (argv[i][0] != '-')
			return i;
		if (strcmp(argv[i], "-p") == 0 || strcmp(argv[i], "--policy") == 0 ||
		    strcmp(argv[i], "--name") == 0 || strcmp(argv[i], "--receipt") == 0)
			i++;
	}
	return argc;
}

/* From the policy to the session's end; the exit status. */
static int run_session(const struct verb_context *cx, struct run *r, char *const *command)
{
	struct runtime_error e = { 0 };
	struct policy_error pe = { 0 };
	struct policy_plan *plan = NULL;
	enum policy_status ps;
	enum runtime_status s;
	int fd;

	ps = make_plan(cx, r, command, &plan, &pe);
	if (ps != POLICY_OK)
		return policy_failed(ps, &pe);
	r->signals = watch_signals();
	fd = plan_memfd(plan);
	policy_plan_free(plan);
	if (fd < 0 || r->signals < 0) {
		runtime_fail(&e, RUNTIME_SYSTEM, "plan", "", "cannot hand it over: %s",
			     strerror(errno));
		return refused(&e);
	}
	fault_point("run.planned");
	s = spawn_keeper(r, &e);
	fault_point("run.spawned");
	if (s == RUNTIME_OK)
		s = order(cx, r, fd, &e);
	fault_point("run.ordered");
	close(fd);
	if (s != RUNTIME_OK)
		return refused(&e);
	return follow(r);
}

int verb_run(const struct verb_context *cx, int argc, char **argv)
{
	struct run r = { .control = -1,
			 .signals = -1,
			 .receipt_fd = -1,
			 .terminal = { .master = -1, .in = -1, .out = -1 } };
	const struct verb_option options[] = {
		{ .name = "--policy", .letter = 'p', .value = &r.policy },
		{ .name = "--name", .value = &r.name },
		{ .name = "--detach", .letter = 'd', .flag = &r.detach },
		{ .name = "--json", .flag = &r.json },
		{ .name = "--receipt", .value = &r.receipt },
	};
	struct runtime_error e = { 0 };
	int at = split(argc, argv), status;
	char **command = at < argc ? argv + at + (strcmp(argv[at], "--") == 0) : NULL;
	size_t operands;
	enum runtime_status s = verb_options(
		at, argv, options, sizeof(options) / sizeof(options[0]), 0, &operands, &e);

	if (s != RUNTIME_OK)
		return refused(&e);
	status = check_options(&r);
	if (status)
		return status;
	if (getrandom(r.id, sizeof(r.id), 0) != (ssize_t)sizeof(r.id))
		return EXIT_REFUSED;
	if (open_receipt(&r, &e) != RUNTIME_OK)
		return refused(&e);
	status = run_session(cx, &r, command && command[0] ? command : NULL);
	close_receipt(&r);
	return status;
}
