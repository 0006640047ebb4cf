/*
 * attest/cordon-keyd.c - the key service. Three kinds of processes, each forked before the
 * next may know more than it: the zygote of the verifiers (anchors), the front (the TLS
 * certificate's key), and this one, the store (all keys, database, log). Where one ends, all
 * end; what they knew is in the store's files.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netdb.h>
#include <netinet/in.h>
#include <openssl/crypto.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "attest/evidence_files.h"
#include "attest/keyd_config.h"
#include "attest/keyd_front.h"
#include "attest/keyd_store.h"
#include "attest/keyd_verdict.h"
#include "attest/keyd_verifier.h"

#define PROGRAM "cordon-keyd"
#define BACKLOG 512
#define GOODBYE_MS 3000 /* for the others to end by themselves */

/* A process of ours: its id, our end of its socket, and the pipe on which it says that it is
 * ready, or ends. */
struct child {
	pid_t pid;
	int sock, ready;
};

struct service {
	struct keyd_options options;
	struct keyd_identity identity;
	struct child zygote, front;
	int listener, dir, admin, signals;
	char address[320]; /* HOST:PORT */
	struct keyd_store *store;
};

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static enum attest_status system_fail(struct attest_error *e, const char *where)
{
	return attest_fail(e, ATTEST_SYSTEM, where, "", "%m");
}

/* ---- the address ------------------------------------------------------------------- */

/* Numeric, so that no resolver has a say in where keys are given out. */
static enum attest_status resolve(const struct keyd_options *o, struct addrinfo **ret,
				  struct attest_error *e)
{
	const struct addrinfo hints = {
		.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE,
		.ai_socktype = SOCK_STREAM,
	};
	int error = getaddrinfo(o->host, o->port, &hints, ret);

	if (error == 0)
		return ATTEST_OK;
	return attest_fail(e, ATTEST_MALFORMED, "listen", "write an address: 127.0.0.1:8443",
			   "%s: %s", o->host, gai_strerror(error));
}

static bool name_of(int sock, char *ret, size_t size)
{
	struct sockaddr_storage at = { .ss_family = AF_UNSPEC };
	socklen_t len = sizeof(at);
	char host[256], port[16];

	if (getsockname(sock, (struct sockaddr *)&at, &len) != 0 ||
	    getnameinfo((struct sockaddr *)&at, len, host, sizeof(host), port, sizeof(port),
			NI_NUMERICHOST | NI_NUMERICSERV) != 0)
		return false;
	snprintf(ret, size, at.ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
	return true;
}

static enum attest_status open_listener(struct service *v, struct attest_error *e)
{
	struct addrinfo *at = NULL;
	const int one = 1;
	enum attest_status s = resolve(&v->options, &at, e);

	if (s != ATTEST_OK)
		return s;
	v->listener = socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (v->listener < 0 ||
	    setsockopt(v->listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) != 0 ||
	    bind(v->listener, at->ai_addr, at->ai_addrlen) != 0 ||
	    listen(v->listener, BACKLOG) != 0 ||
	    !name_of(v->listener, v->address, sizeof(v->address)))
		s = system_fail(e, "listen");
	freeaddrinfo(at);
	return s;
}

/* ---- the other processes ------------------------------------------------------------ */

/* The child's ends, in the child; ours, in us. */
struct ends {
	int sock, ready;
};

/* 0 in the child. */
static pid_t start(pid_t (*forked)(void), struct child *ret, struct ends *ret_ends)
{
	int pair[2] = { -1, -1 }, ready[2] = { -1, -1 };
	pid_t pid = -1;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0 &&
	    pipe2(ready, O_CLOEXEC) == 0)
		pid = forked();
	if (pid == 0) {
		close(pair[0]);
		close(ready[0]);
		*ret_ends = (struct ends){ pair[1], ready[1] };
		return 0;
	}
	close_fd(&pair[1]);
	close_fd(&ready[1]);
	if (pid < 0) {
		close_fd(&pair[0]);
		close_fd(&ready[0]);
		return -1;
	}
	*ret = (struct child){ .pid = pid, .sock = pair[0], .ready = ready[0] };
	return pid;
}

/* It has said by itself what went wrong, and its exit status is ours. */
static bool is_ready(struct child *c, int *ret_exit)
{
	int status = 0;
	char said;
	bool ready = read(c->ready, &said, 1) == 1;

	close_fd(&c->ready);
	if (ready)
		return true;
	*ret_exit = 3;
	if (waitpid(c->pid, &status, 0) == c->pid && WIFEXITED(status) && WEXITSTATUS(status))
		*ret_exit = WEXITSTATUS(status);
	c->pid = 0;
	return false;
}

_Noreturn static void leave(enum attest_status s, const struct attest_error *e)
{
	if (s != ATTEST_OK)
		attest_error_print(stderr, PROGRAM, e);
	_exit(attest_exit(s));
}

/* What is the store's alone. */
static void forget_store(struct service *v)
{
	close_fd(&v->dir);
	close_fd(&v->signals);
}

_Noreturn static void be_zygote(struct service *v, const struct ends *ends)
{
	struct attest_error e = { .what = "" };
	struct endorsements *en = NULL;
	enum attest_status s = endorsements_new(&en, &e);

	forget_store(v);
	close_fd(&v->listener);
	if (s == ATTEST_OK)
		s = endorsements_load(en, ENDORSEMENT_ANCHOR, v->options.anchors, &e);
	if (s == ATTEST_OK && v->options.endorsements[0])
		s = endorsements_load(en, ENDORSEMENT_OTHER, v->options.endorsements, &e);
	if (s == ATTEST_OK) {
		struct keyd_verifier verifier = {
			.sock = ends->sock,
			.endorsements = en,
			.identity = &v->identity,
			.seconds = (unsigned)v->options.limits.verify,
			.ready = ends->ready,
		};

		s = keyd_verifier_run(&verifier, &e);
	}
	leave(s, &e);
}

_Noreturn static void be_front(struct service *v, const struct ends *ends)
{
	const struct keyd_front front = {
		.options = &v->options,
		.identity = &v->identity,
		.listener = v->listener,
		.store = ends->sock,
		.ready = ends->ready,
	};
	struct attest_error e = { .what = "" };

	forget_store(v);
	close_fd(&v->zygote.sock);
	leave(keyd_front_run(&front, &e), &e);
}

/* False: exit with *ret_exit; it was said why. */
static bool start_others(struct service *v, int *ret_exit)
{
	struct attest_error e = { .what = "" };
	struct ends ends;
	pid_t pid = start(keyd_confine_fork, &v->zygote, &ends);

	if (pid == 0)
		be_zygote(v, &ends);
	if (pid > 0 && !is_ready(&v->zygote, ret_exit))
		return false;
	if (pid > 0)
		pid = start(fork, &v->front, &ends);
	if (pid == 0)
		be_front(v, &ends);
	if (pid > 0 && !is_ready(&v->front, ret_exit))
		return false;
	close_fd(&v->listener);
	if (pid > 0)
		return true;
	*ret_exit = attest_exit(system_fail(&e, "fork"));
	attest_error_print(stderr, PROGRAM, &e);
	return false;
}

/* ---- the store ---------------------------------------------------------------------- */

static enum attest_status open_folder(struct service *v, struct attest_error *e)
{
	struct stat st;

	v->dir = open(v->options.store, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (v->dir < 0 || fstat(v->dir, &st) != 0)
		return attest_fail(e, ATTEST_MALFORMED, v->options.store,
				   "make the folder, and let --init fill it", "%m");
	if (st.st_uid != geteuid() || (st.st_mode & 077))
		return attest_fail(e, ATTEST_REFUSED, v->options.store, "chmod 700",
				   "the store's folder must be for its owner alone");
	return ATTEST_OK;
}

static enum attest_status open_store(struct service *v, struct attest_error *e)
{
	const struct keyd_limits *l = &v->options.limits;
	const struct keyd_config config = {
		.dirfd = v->dir,
		.judge = keyd_judge,
		.session_seconds = (unsigned)l->session,
		.verify_seconds = (unsigned)l->verify,
		.sessions_max = (unsigned)l->sessions,
		.admins = v->options.admins,
		.n_admins = v->options.n_admins,
	};
	enum attest_status s = keyd_store_open(&config, &v->store, e);

	return s == ATTEST_OK ? keyd_store_listen(v->dir, &v->admin, e) : s;
}

static bool say_ready(const struct service *v)
{
	const struct attest_error *trouble = keyd_store_trouble(v->store);

	if (trouble)
		attest_error_print(stderr, PROGRAM, trouble);
	return printf("listening on %s\n", v->address) > 0 && fflush(stdout) == 0;
}

/* Whether somebody asked for the end; else one of the others has ended. */
static bool was_asked(const struct service *v)
{
	struct signalfd_siginfo said;

	while (read(v->signals, &said, sizeof(said)) == (ssize_t)sizeof(said))
		if (said.ssi_signo != SIGCHLD)
			return true;
	return false;
}

static enum attest_status serve(struct service *v, struct attest_error *e)
{
	const struct keyd_sockets sockets = {
		.front = v->front.sock,
		.zygote = v->zygote.sock,
		.admin = v->admin,
		.stop = v->signals,
	};
	enum attest_status s = keyd_store_serve(v->store, &sockets, e);

	if (s != ATTEST_OK || was_asked(v))
		return s;
	return attest_fail(e, ATTEST_SYSTEM, "service", "start it again",
			   "one of its processes has ended, and so do all");
}

/* ---- the end ------------------------------------------------------------------------ */

/* Its socket's end is its own; one that does not heed it is killed. */
static void end_child(struct child *c)
{
	const struct timespec pause = { .tv_nsec = 10 * 1000 * 1000 };

	close_fd(&c->sock);
	close_fd(&c->ready);
	if (c->pid <= 0)
		return;
	for (int ms = 0; ms < GOODBYE_MS; ms += 10) {
		if (waitpid(c->pid, NULL, WNOHANG) != 0)
			return;
		nanosleep(&pause, NULL);
	}
	kill(c->pid, SIGKILL);
	waitpid(c->pid, NULL, 0);
}

static void end_all(struct service *v)
{
	end_child(&v->front);
	end_child(&v->zygote);
	keyd_store_close(v->store);
	close_fd(&v->admin);
	close_fd(&v->dir);
	close_fd(&v->listener);
	close_fd(&v->signals);
}

/* ---- all of it ---------------------------------------------------------------------- */

/* Signals come through a descriptor, and to this process alone: the others end with it. */
static enum attest_status take_signals(struct service *v, struct attest_error *e)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGCHLD);
	if (sigprocmask(SIG_BLOCK, &set, NULL) == 0)
		v->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return v->signals < 0 || signal(SIGPIPE, SIG_IGN) == SIG_ERR ? system_fail(e, "signals")
								     : ATTEST_OK;
}

static enum attest_status prepare(struct service *v, struct attest_error *e)
{
	enum attest_status s;

	/* Which algorithms there are is decided here, and by no file of this machine. */
	if (OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL) != 1)
		return attest_fail(e, ATTEST_SYSTEM, "libcrypto", "", "it does not start");
	s = keyd_identity_find(v->options.user, &v->identity, e);
	if (s == ATTEST_OK)
		s = open_folder(v, e);
	if (s == ATTEST_OK)
		s = take_signals(v, e);
	return s == ATTEST_OK ? open_listener(v, e) : s;
}

static int run(struct service *v)
{
	struct attest_error e = { .what = "" };
	enum attest_status s = prepare(v, &e);
	int status = 0;

	if (s == ATTEST_OK && !start_others(v, &status)) {
		end_all(v);
		return status;
	}
	if (s == ATTEST_OK)
		s = open_store(v, &e);
	if (s == ATTEST_OK && !say_ready(v))
		s = system_fail(&e, "standard output");
	if (s == ATTEST_OK)
		s = serve(v, &e);
	end_all(v);
	if (s != ATTEST_OK)
		attest_error_print(stderr, PROGRAM, &e);
	return attest_exit(s);
}

static int init(struct service *v)
{
	struct attest_error e = { .what = "" };
	enum attest_status s = open_folder(v, &e);

	if (s == ATTEST_OK)
		s = keyd_store_init(v->dir, &e);
	close_fd(&v->dir);
	if (s != ATTEST_OK)
		attest_error_print(stderr, PROGRAM, &e);
	return attest_exit(s);
}

static void usage(FILE *to)
{
	fputs("usage: " PROGRAM " --config FILE [--init | --check]\n"
	      "  --init   make the store's keys and database in its (empty) folder, and exit\n"
	      "  --check  read the configuration, and exit\n",
	      to);
}

struct choice {
	const char *config;
	bool init, check;
};

static bool read_options(int argc, char **argv, struct choice *c)
{
	static const struct option longs[] = {
		{ "config", required_argument, NULL, 'c' }, { "init", no_argument, NULL, 'i' },
		{ "check", no_argument, NULL, 'k' },        { "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },      { 0 },
	};
	int o;

	while ((o = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		switch (o) {
		case 'c':
			c->config = optarg;
			break;
		case 'i':
			c->init = true;
			break;
		case 'k':
			c->check = true;
			break;
		case 'h':
			usage(stdout);
			exit(0);
		case 'V':
			puts(PROGRAM " " CORDON_VERSION);
			exit(0);
		default:
			return false;
		}
	}
	return optind == argc && c->config && !(c->init && c->check);
}

int main(int argc, char **argv)
{
	static struct service v = { .listener = -1,
				    .dir = -1,
				    .admin = -1,
				    .signals = -1,
				    .zygote = { .sock = -1, .ready = -1 },
				    .front = { .sock = -1, .ready = -1 } };
	struct choice choice = { .config = NULL };
	struct attest_error e = { .what = "" };
	enum attest_status s;

	if (!read_options(argc, argv, &choice)) {
		usage(stderr);
		return 2;
	}
	s = keyd_config_load(choice.config, &v.options, &e);
	if (s != ATTEST_OK) {
		attest_error_print(stderr, PROGRAM, &e);
		return attest_exit(s);
	}
	if (choice.check)
		return 0;
	return choice.init ? init(&v) : run(&v);
}
