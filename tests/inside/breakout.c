/*
 * tests/inside/breakout.c - attempts to get out of a sandbox, from inside.
 *
 *   breakout [NAME=VALUE...] all         TAP: "ok" where the sandbox held
 *   breakout [NAME=VALUE...] ATTEMPT     exit 0: it got out; 1: refused; 2: not made
 *   breakout hoard                       takes inotify instances until there are no more, says
 *                                        so, and keeps them for three seconds
 *   breakout notify                      takes one
 *   breakout list                        the names
 *   breakout bait DIR CMD ARG...         outside: puts out what must not be reached, leaks
 *                                        descriptors, and runs CMD; an argument @BAIT
 *                                        becomes the words that say where it is
 *
 * Attempts change nothing when they succeed: they ask, open or compare, and what they
 * reach is bait.
 */
#include <linux/capability.h>
#include <signal.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <time.h>

#include "tests/inside/attempts_files.h"
#include "tests/inside/attempts_kernel.h"
#include "tests/inside/attempts_network.h"
#include "tests/inside/attempts_processes.h"
#include "tests/inside/bait.h"

#define SECONDS 10

static const struct attempt attempts[] = { FILE_ATTEMPTS, PROCESS_ATTEMPTS, NETWORK_ATTEMPTS,
					   KERNEL_ATTEMPTS };
#define N_ATTEMPTS (sizeof(attempts) / sizeof(attempts[0]))

static char **words;
static size_t n_words;

const char *word(const char *name)
{
	size_t n = strlen(name);

	for (size_t i = 0; i < n_words; i++)
		if (strncmp(words[i], name, n) == 0 && words[i][n] == '=')
			return words[i] + n + 1;
	return NULL;
}

/* ---- one attempt ----------------------------------------------------------------- */

static const struct attempt *find(const char *name)
{
	for (size_t i = 0; i < N_ATTEMPTS; i++)
		if (strcmp(attempts[i].name, name) == 0)
			return &attempts[i];
	return NULL;
}

/* In a process of its own, because some attempts are answered by death. The reason why it
 * was refused goes to `why`. */
static enum outcome make(const struct attempt *a, char *why, size_t size)
{
	int status, answer[2], err = 0;
	enum outcome o;
	pid_t pid;

	if (pipe2(answer, O_CLOEXEC | O_NONBLOCK) < 0 || (pid = fork()) < 0) {
		snprintf(why, size, "cannot fork: %s", strerror(errno));
		return NOT_MADE;
	}
	if (pid == 0) {
		alarm(SECONDS);
		errno = 0;
		o = a->make();
		err = errno;
		(void)!write(answer[1], &err, sizeof(err));
		_exit(o);
	}
	close(answer[1]);
	while (waitpid(pid, &status, 0) < 0)
		;
	(void)!read(answer[0], &err, sizeof(err));
	close(answer[0]);
	if (WIFSIGNALED(status)) {
		snprintf(why, size, "killed by %s", strsignal(WTERMSIG(status)));
		return WTERMSIG(status) == SIGSYS || WTERMSIG(status) == SIGSEGV ||
				       WTERMSIG(status) == SIGKILL
			       ? REFUSED
			       : NOT_MADE;
	}
	snprintf(why, size, "%s", err ? strerror(err) : "refused");
	return (enum outcome)WEXITSTATUS(status);
}

static int make_one(const char *name)
{
	const struct attempt *a = find(name);
	char why[128];
	enum outcome o;

	if (!a) {
		fprintf(stderr, "breakout: no attempt is called %s\n", name);
		return NOT_MADE;
	}
	o = make(a, why, sizeof(why));
	printf("# %s: %s: %s\n", name,
	       o == GOT_OUT   ? "GOT OUT"
	       : o == REFUSED ? "refused"
			      : "not made",
	       why);
	fflush(stdout);
	return o;
}

static int make_all(void)
{
	bool held = true;
	char why[128];
	size_t n = 0;

	for (size_t i = 0; i < N_ATTEMPTS; i++) {
		const struct attempt *a = &attempts[i];
		enum outcome o;

		if (a->alone)
			continue;
		if (a->needs && !word(a->needs)) {
			printf("ok %zu - %s # SKIP no %s= is given\n", ++n, a->name, a->needs);
			continue;
		}
		o = make(a, why, sizeof(why));
		printf("%s %zu - %s: %s (%s)\n", o == REFUSED ? "ok" : "not ok", ++n, a->name,
		       a->tries, o == GOT_OUT ? "GOT OUT" : why);
		held &= o == REFUSED;
	}
	printf("1..%zu\n", n);
	return held ? 0 : 1;
}

/* ---- what an exec may have raised ------------------------------------------------ */

static int privileged(void)
{
	struct __user_cap_header_struct h = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct d[2] = { 0 };

	if (syscall(SYS_capget, &h, d) < 0)
		return NOT_MADE;
	return geteuid() != getuid() || getegid() != getgid() || getauxval(AT_SECURE) ||
			       d[0].permitted || d[1].permitted
		       ? GOT_OUT
		       : REFUSED;
}

/* ---- outside --------------------------------------------------------------------- */

static int with_bait(const char *dir, char *const *command)
{
	char *argv[256];
	struct bait b;
	int status;
	size_t n = 0;
	pid_t pid;

	bait_make(&b, dir, "/proc/self/exe");
	for (; *command && n < sizeof(argv) / sizeof(argv[0]) - BAIT_WORDS - 1; command++)
		if (strcmp(*command, "@BAIT") == 0)
			for (size_t i = 0; i < b.n; i++)
				argv[n++] = b.words[i];
		else
			argv[n++] = *command;
	argv[n] = NULL;
	pid = fork();
	if (pid == 0) {
		bait_leak(&b);
		execvp(argv[0], argv);
		_exit(127);
	}
	while (waitpid(pid, &status, 0) < 0)
		;
	bait_end(&b);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* ---- what a session may have many of, and the host must still have afterwards ---- */

static int hoard(void)
{
	int n = 0;

	while (n < 100000 && syscall(SYS_inotify_init1, 0) >= 0)
		n++;
	printf("hoarded %d\n", n);
	sleep(3);
	return 0;
}

int main(int argc, char **argv)
{
	look_for_leaks();
	words = argv + 1;
	while (n_words + 1 < (size_t)argc && strchr(words[n_words], '='))
		n_words++;
	argv += n_words;
	argc -= (int)n_words;
	if (argc > 1 && strcmp(argv[1], "--here") == 0)
		return GOT_OUT;
	if (argc == 2 && strcmp(argv[1], "--privileged") == 0)
		return privileged();
	if (argc == 2 && strcmp(argv[1], "list") == 0) {
		for (size_t i = 0; i < N_ATTEMPTS; i++)
			puts(attempts[i].name);
		return 0;
	}
	if (argc == 2 && strcmp(argv[1], "notify") == 0)
		return syscall(SYS_inotify_init1, 0) < 0;
	if (argc > 3 && strcmp(argv[1], "bait") == 0)
		return with_bait(argv[2], argv + 3);
	if (argc != 2) {
		fprintf(stderr, "usage: breakout [NAME=VALUE...] all|list|ATTEMPT\n");
		return NOT_MADE;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (strcmp(argv[1], "hoard") == 0)
		return hoard();
	return strcmp(argv[1], "all") == 0 ? make_all() : make_one(argv[1]);
}
