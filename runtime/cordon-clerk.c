/* runtime/cordon-clerk.c - options, and a process that nobody can look into. */
#include "runtime/clerk.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "memscrub/guard.h"

#define IDLE_SECONDS 10u
#define IDLE_SECONDS_MAX 86400u

struct options {
	const char *root;
	bool serve, foreground;
	unsigned idle;
};

static void usage(FILE *to)
{
	fputs("usage: cordon-clerk [--root DIR] [--foreground [--idle SECONDS]]\n", to);
}

static bool number(const char *text, unsigned most, unsigned *ret)
{
	char *end;
	unsigned long n;

	errno = 0;
	n = strtoul(text, &end, 10);
	if (text[0] < '0' || text[0] > '9' || *end || errno || n > most)
		return false;
	*ret = (unsigned)n;
	return true;
}

static bool read_options(int argc, char **argv, struct options *o)
{
	static const struct option longs[] = {
		{ "root", required_argument, NULL, 'r' },
		{ "foreground", no_argument, NULL, 'f' },
		{ "idle", required_argument, NULL, 'i' },
		{ "serve", no_argument, NULL, 's' }, /* for clerk_connect alone */
		{ "version", no_argument, NULL, 'V' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		switch (c) {
		case 'r':
			o->root = optarg;
			break;
		case 'f':
			o->foreground = true;
			break;
		case 'i':
			if (!number(optarg, IDLE_SECONDS_MAX, &o->idle))
				return false;
			break;
		case 's':
			o->serve = true;
			break;
		case 'V':
			puts("cordon-clerk " CORDON_VERSION);
			exit(0);
		case 'h':
			usage(stdout);
			exit(0);
		default:
			return false;
		}
	}
	return optind == argc && !(o->idle != IDLE_SECONDS && !o->foreground) &&
	       !(o->serve && (o->root || o->foreground));
}

/* Nobody else's eyes, files or folder. */
static enum runtime_status seclude(int first_foreign_fd, struct runtime_error *e)
{
	umask(077);
	if (!guard_process() || chdir("/") != 0 ||
	    close_range((unsigned)first_foreign_fd, ~0u, 0) != 0)
		return runtime_fail(e, RUNTIME_SYSTEM, "seclusion", NULL, "failed: %m");
	return RUNTIME_OK;
}

/* Started by clerk_connect: the descriptors are where it put them. */
static enum runtime_status serve(unsigned idle, struct runtime_error *e)
{
	struct stat st;
	enum runtime_status s = seclude(CLERK_READY_FD + 1, e);

	if (s != RUNTIME_OK)
		return s;
	if (fstat(CLERK_RUN_FD, &st) != 0 || !S_ISDIR(st.st_mode) || st.st_uid != geteuid() ||
	    fstat(CLERK_SESSIONS_FD, &st) != 0 || !S_ISDIR(st.st_mode) ||
	    st.st_uid != geteuid() || fstat(CLERK_READY_FD, &st) != 0 || !S_ISFIFO(st.st_mode))
		return runtime_fail(e, RUNTIME_MALFORMED, "--serve", "leave --serve out",
				    "is for a clerk that cordon starts");
	return clerk_serve(CLERK_RUN_FD, CLERK_SESSIONS_FD, CLERK_READY_FD, idle, e);
}

/* Where a clerk that cordon starts has them; neither overwrites the other on its way. */
static bool place_folders(const struct paths *p)
{
	int run = fcntl(p->run_fd, F_DUPFD_CLOEXEC, CLERK_SESSIONS_FD + 1);
	int sessions = fcntl(p->sessions_fd, F_DUPFD_CLOEXEC, CLERK_SESSIONS_FD + 1);

	return run >= 0 && sessions >= 0 && dup2(run, CLERK_RUN_FD) >= 0 &&
	       dup2(sessions, CLERK_SESSIONS_FD) >= 0;
}

static enum runtime_status by_hand(const struct options *o, struct runtime_error *e)
{
	struct paths p;
	int sock = -1;
	enum runtime_status s = paths_open(o->root, true, &p, e);

	if (s != RUNTIME_OK)
		return s;
	if (!o->foreground) {
		s = clerk_connect(&p, "/proc/self/exe", &sock, e);
		closep(&sock);
	} else if (!place_folders(&p)) {
		s = runtime_fail(e, RUNTIME_SYSTEM, p.run, NULL, "no descriptor: %m");
	} else {
		s = seclude(CLERK_SESSIONS_FD + 1, e);
		if (s == RUNTIME_OK)
			s = clerk_serve(CLERK_RUN_FD, CLERK_SESSIONS_FD, -1, o->idle, e);
		return s; /* the paths' descriptors were closed among the others */
	}
	paths_close(&p);
	return s;
}

int main(int argc, char **argv)
{
	struct options o = { .idle = IDLE_SECONDS };
	struct runtime_error e;
	enum runtime_status s;

	if (!read_options(argc, argv, &o)) {
		usage(stderr);
		return 2;
	}
	/* It holds keys: no file of the host's says which code is loaded into it. */
	if (OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL) != 1) {
		fputs("cordon-clerk: libcrypto: it cannot be initialised\n", stderr);
		return 3;
	}
	s = o.serve ? serve(o.idle, &e) : by_hand(&o, &e);
	if (s != RUNTIME_OK)
		runtime_error_print(stderr, "cordon-clerk", &e);
	return runtime_exit(s);
}
