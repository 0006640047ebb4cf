/*
 * cordon - the one command people type. It reads the global options, finds the verb in
 * the table, opens the folders that the verb needs, and hands over. A verb that is not
 * in the table is another program, cordon-VERB, run in place of this one.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/verb.h"

enum folders { FOLDERS_NONE, FOLDERS_LOOK, FOLDERS_MAKE };

struct verb {
	const char *name;
	int (*run)(const struct verb_context *cx, int argc, char **argv); /* NULL: elsewhere */
	enum folders folders;
	int failed; /* exit status when the folders cannot be opened; 0: the usual one */
	const char *arguments, *summary, *more;
};

/* clang-format off */
static const struct verb verbs[] = {
	{ "run", verb_run, FOLDERS_MAKE, 125,
	  "[-p POLICY] [--name S] [--detach [--json]] [--receipt F] -- CMD...",
	  "run one command as one session",
	  "The exit status is the command's own; 125: cordon refused or failed before it\n"
	  "started; 126, 127: it could not be executed, or was not found.\n" },
	{ "status", verb_status, FOLDERS_LOOK, 0,
	  "[S] [--json] [-w|--watch]",
	  "every session, stopped and failed ones too",
	  "" },
	{ "explain", verb_explain, FOLDERS_LOOK, 0,
	  "S [--json|--receipt]",
	  "what one session is, in sentences; its signed receipt",
	  "" },
	{ "logs", verb_logs, FOLDERS_LOOK, 0,
	  "S [-f|--follow] [--json]",
	  "the output of a detached session",
	  "" },
	{ "stop", verb_stop, FOLDERS_LOOK, 0,
	  "S [--grace T] [--json]",
	  "end a session: SIGTERM, then SIGKILL after T (10s)",
	  "T is a number with ms, s, m or h; without a unit it is seconds.\n" },
	{ "recover", verb_recover, FOLDERS_LOOK, 0,
	  "[--sweep] [--json]",
	  "clean up after sessions whose keeper died, wipe what is held",
	  "" },
	{ "doctor", verb_doctor, FOLDERS_NONE, 0,
	  "[--json]",
	  "what this host can isolate, attest and scrub",
	  "Nothing on the host is changed.\n" },
	{ "policy", NULL, FOLDERS_NONE, 0,
	  "check|explain|plan F",
	  "judge a policy, say what it means, print its plan",
	  "" },
	{ "audit", NULL, FOLDERS_NONE, 0,
	  "verify|show|prove|check-proof|checkpoint [--log DIR --vkey FILE]",
	  "judge and prove the audit log",
	  "" },
	{ "verify", NULL, FOLDERS_NONE, 0,
	  "[--tee T] --evidence F ... | receipt F --key PUB",
	  "judge evidence, or a signed receipt, on any machine",
	  "" },
	{ "key", NULL, FOLDERS_NONE, 0,
	  "put|list|rotate|revoke|policy",
	  "the keys and policies of a key service",
	  "" },
	{ "init", NULL, FOLDERS_NONE, 0,
	  "[--dir D]",
	  "identities for development: host, key service, a policy",
	  "" },
	{ "measure", NULL, FOLDERS_NONE, 0,
	  "--policy F [-- CMD...]",
	  "the reference values that a session of a policy has",
	  "" },
	{ "scrub", NULL, FOLDERS_NONE, 0,
	  "bench|file",
	  "zero memory by hand and read it back",
	  "" },
};
/* clang-format on */

#define VERBS (sizeof(verbs) / sizeof(*verbs))

/* Programs of that name form that are not for people to type. */
static const char *const inner[] = { "agent", "clerk", "guest", "keeper", "proxy" };

static void print_help(FILE *to)
{
	fputs("usage: cordon [--root DIR] VERB [ARG...]\n\n", to);
	for (size_t i = 0; i < VERBS; i++)
		fprintf(to, "  %-9s %s\n", verbs[i].name, verbs[i].summary);
	fputs("\n  --root DIR  keep all state under DIR\n"
	      "  --help      this text; `cordon VERB --help` says more\n"
	      "  --version   print the version\n",
	      to);
}

static int print_verb_help(const struct verb *v)
{
	printf("usage: cordon [--root DIR] %s %s\n\n%s\n%s%s", v->name, v->arguments,
	       v->summary, v->more[0] ? "\n" : "", v->more);
	return verb_finish(0);
}

__attribute__((format(printf, 2, 3))) static int usage_error(const char *hint, const char *what,
							     ...)
{
	struct runtime_error e;
	char text[160];
	va_list args;

	va_start(args, what);
	vsnprintf(text, sizeof(text), what, args);
	va_end(args);
	return verb_fail(runtime_fail(&e, RUNTIME_MALFORMED, "", hint, "%s", text), &e);
}

/* ---- finding the verb ------------------------------------------------------------ */

/* Levenshtein's distance; names are short, so one row on the stack is enough. */
static size_t distance(const char *a, const char *b)
{
	size_t row[16];
	size_t n = strlen(b);

	if (n >= sizeof(row) / sizeof(*row))
		return SIZE_MAX;
	for (size_t i = 0; i <= n; i++)
		row[i] = i;
	for (size_t j = 1; a[j - 1]; j++) {
		size_t diagonal = row[0];

		row[0] = j;
		for (size_t i = 1; i <= n; i++) {
			size_t change = diagonal + (a[j - 1] != b[i - 1]);
			size_t least = 1 + (row[i] < row[i - 1] ? row[i] : row[i - 1]);

			diagonal = row[i];
			row[i] = change < least ? change : least;
		}
	}
	return row[n];
}

static int unknown_verb(const char *name)
{
	const char *nearest = NULL;
	size_t best = 3; /* two slips of the finger are a slip; more is another word */
	char hint[80] = "`cordon --help` lists the verbs";

	for (size_t i = 0; i < VERBS; i++) {
		size_t d = distance(name, verbs[i].name);

		if (d < best && d < strlen(verbs[i].name)) {
			best = d;
			nearest = verbs[i].name;
		}
	}
	if (nearest)
		snprintf(hint, sizeof(hint), "did you mean `cordon %s`?", nearest);
	return usage_error(hint, "no verb \"%.40s\"", name);
}

static bool verb_word(const char *name)
{
	size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-");

	for (size_t i = 0; i < sizeof(inner) / sizeof(*inner); i++)
		if (strcmp(name, inner[i]) == 0)
			return false;
	return n > 0 && n <= 32 && name[n] == '\0' && name[0] != '-';
}

/* Runs cordon-VERB in place of this program; it finds --root's value in CORDON_ROOT.
 * `known`: a verb of the table, so that only its program can be what is missing. */
static int run_program(const char *root, char **argv, bool known)
{
	struct runtime_error e;
	char program[64], path[PATH_MAX];

	if (!verb_word(argv[0]))
		return unknown_verb(argv[0]);
	snprintf(program, sizeof(program), "cordon-%s", argv[0]);
	if (!verb_program(program, path))
		return known ? verb_fail(runtime_fail(&e, RUNTIME_SYSTEM, program,
						      "install cordon whole",
						      "the program is missing"),
					 &e)
			     : unknown_verb(argv[0]);
	if (root ? setenv("CORDON_ROOT", root, 1) == 0 : unsetenv("CORDON_ROOT") == 0) {
		argv[0] = program;
		execv(path, argv);
	}
	return verb_fail(runtime_fail(&e, RUNTIME_SYSTEM, path, "", "it could not be run: %s",
				      strerror(errno)),
			 &e);
}

static int run_verb(const struct verb *v, const char *root, int argc, char **argv)
{
	struct verb_context cx = { .root = root, .paths = { .sessions_fd = -1, .run_fd = -1 } };
	struct runtime_error e;
	enum runtime_status s = RUNTIME_OK;
	int status;

	if (v->folders != FOLDERS_NONE)
		s = paths_open(root, v->folders == FOLDERS_MAKE, &cx.paths, &e);
	if (s != RUNTIME_OK) {
		status = verb_fail(s, &e);
		return v->failed ? v->failed : status;
	}
	status = v->run(&cx, argc, argv);
	if (v->folders != FOLDERS_NONE)
		paths_close(&cx.paths);
	return status;
}

static int dispatch(const char *root, int argc, char **argv)
{
	const struct verb *v = NULL;

	for (size_t i = 0; i < VERBS; i++)
		if (strcmp(argv[0], verbs[i].name) == 0)
			v = &verbs[i];
	if (!v || !v->run)
		return run_program(root, argv, v != NULL);
	if (argc > 1 && strcmp(argv[1], "--help") == 0)
		return print_verb_help(v);
	return run_verb(v, root, argc, argv);
}

/* Moves *i behind the global options. -1: go on; else the exit status. */
static int global_options(int argc, char **argv, int *i, const char **ret_root)
{
	for (; *i < argc && argv[*i][0] == '-'; (*i)++) {
		const char *arg = argv[*i];

		if (strcmp(arg, "--help") == 0) {
			print_help(stdout);
			return verb_finish(0);
		}
		if (strcmp(arg, "--version") == 0) {
			puts("cordon " CORDON_VERSION);
			return verb_finish(0);
		}
		if (strncmp(arg, "--root=", 7) == 0)
			*ret_root = arg + 7;
		else if (strcmp(arg, "--root") == 0 && *i + 1 < argc)
			*ret_root = argv[++*i];
		else if (strcmp(arg, "--root") != 0)
			return usage_error(
				"--root DIR, --help and --version come before the verb",
				"unknown option %.60s", arg);
		else
			*ret_root = "";
		if (*ret_root && (*ret_root)[0] == '\0')
			return usage_error("cordon --root DIR VERB", "--root needs a folder");
	}
	return -1;
}

/* A standard stream that the caller closed becomes one that is empty to read and fails to
 * write; left free, its number would go to the next file that is opened. */
static void fill_streams(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDONLY);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd > STDERR_FILENO)
		close(fd);
}

int main(int argc, char **argv)
{
	const char *root = NULL;
	int i = 1, status;

	fill_streams();
	status = global_options(argc, argv, &i, &root);
	if (status >= 0)
		return status;
	if (i == argc) {
		print_help(stderr);
		return 2;
	}
	return dispatch(root, argc - i, argv + i);
}
