/* tests/runtime/test_cli.c - the contract of `cordon` as programs and people meet it:
 * exit statuses, what goes where, columns, JSON. The program runs as itself. */
#include "tests/runtime/fixture.h"

#include <limits.h>
#include <poll.h>
#include <regex.h>
#include <sys/sendfile.h>

#include "runtime/table.h"
#include "runtime/verb.h"

struct ran {
	int status;
	char out[1 << 16], err[4096];
};

/* bin/cordon of the build that this test is of. */
static void program_path(char ret[static PATH_MAX])
{
	ssize_t n = readlink("/proc/self/exe", ret, PATH_MAX - 1);

	assert_true(n > 0);
	ret[n] = '\0';
	for (int up = 0; up < 3; up++)
		*strrchr(ret, '/') = '\0';
	assert_true(strlen(ret) + 12 < PATH_MAX);
	strcat(ret, "/bin/cordon");
}

static void slurp(int fd, char *to, size_t size)
{
	size_t have = 0;
	ssize_t n;

	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	while (have + 1 < size && (n = read(fd, to + have, size - 1 - have)) > 0)
		have += (size_t)n;
	to[have] = '\0';
	close(fd);
}

static pid_t start_program(const char *program, const char *const *argv, int out, int err)
{
	pid_t pid = fork();

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(out, STDOUT_FILENO);
		dup2(err, STDERR_FILENO);
		/* Not const for reasons of C's history alone; nothing is written to it. */
		execv(program, (char *const *)(uintptr_t)argv);
		_exit(77);
	}
	assert_true(pid > 0);
	return pid;
}

static struct ran run_argv(const char *program, const char *const *argv)
{
	static struct ran ran;
	int out = memfd_create("out", 0), err = memfd_create("err", 0), status;
	pid_t pid = start_program(program, argv, out, err);

	assert_int_equal(waitpid(pid, &status, 0), pid);
	ran.status = WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
	slurp(out, ran.out, sizeof(ran.out));
	slurp(err, ran.err, sizeof(ran.err));
	return ran;
}

#define RUN(...)                                                                               \
	({                                                                                     \
		char program[PATH_MAX];                                                        \
		program_path(program);                                                         \
		run_argv(program, (const char *const[]){ "cordon", __VA_ARGS__, NULL });       \
	})
#define RUN_ROOT(f, ...) RUN("--root", (f)->root, __VA_ARGS__)

static bool matches(const char *text, const char *pattern)
{
	regex_t regex;
	bool found;

	assert_int_equal(regcomp(&regex, pattern, REG_EXTENDED | REG_NEWLINE), 0);
	found = regexec(&regex, text, 0, NULL, 0) == 0;
	regfree(&regex);
	if (!found)
		print_error("no \"%s\" in:\n%s\n", pattern, text);
	return found;
}

static json_t *parse(const char *text, const char *schema)
{
	json_t *object = json_loads(text, JSON_REJECT_DUPLICATES, NULL);

	assert_non_null(object);
	assert_string_equal(json_string_value(json_object_get(object, "schema")), schema);
	return object;
}

/* ---- options and verbs ----------------------------------------------------------- */

static void help_and_version_are_answers(void **state)
{
	static const char *const verbs[] = { "run",  "status",  "explain", "logs",
					     "stop", "recover", "doctor" };
	struct ran r = RUN("--help");

	(void)state;
	assert_int_equal(r.status, 0);
	for (size_t i = 0; i < sizeof(verbs) / sizeof(*verbs); i++) {
		char line[64];

		snprintf(line, sizeof(line), "^  %s +[a-z]", verbs[i]);
		assert_true(matches(r.out, line));
	}
	for (size_t i = 1; i < sizeof(verbs) / sizeof(*verbs); i++) {
		struct ran verb = RUN(verbs[i], "--help");

		assert_int_equal(verb.status, 0);
		assert_true(matches(verb.out, "^usage: cordon "));
	}
	r = RUN("--version");
	assert_int_equal(r.status, 0);
	assert_true(matches(r.out, "^cordon [0-9]+\\.[0-9]+\\.[0-9]+$"));
}

static void wrong_usage_is_two_and_one_line_on_stderr(void **state)
{
	static const char *const wrong[][5] = {
		{ "frobnicate" },
		{ "--frobnicate" },
		{ "--root" },
		{ "--root=" },
		{ "status", "--nope" },
		{ "status", "a", "b" },
		{ "stop" },
		{ "explain" },
		{ "logs" },
		{ "logs", "abcd", "-f", "--json" },
		{ "stop", "abcd", "--grace" },
		{ "stop", "abcd", "--grace", "soon" },
		{ "stop", "abcd", "--grace", "25h" },
		{ "doctor", "now" },
		{ "recover", "all" },
		{ "status", "--json=1" },
		{ "../cordon" },
		{ "keeper" },
		{ "" },
	};
	char program[PATH_MAX];

	(void)state;
	program_path(program);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		const char *argv[9] = { "cordon", "--root", "/tmp/cordon-test-absent" };
		struct ran r;

		for (size_t a = 0; a < 5; a++)
			argv[a + 3] = wrong[i][a];
		r = run_argv(program, argv);
		assert_int_equal(r.status, 2);
		assert_string_equal(r.out, "");
		assert_true(matches(r.err, "^cordon: .+$"));
		assert_ptr_equal(strchr(r.err, '\n'), r.err + strlen(r.err) - 1);
	}
}

static void a_misspelt_verb_gets_a_hint(void **state)
{
	(void)state;
	assert_non_null(strstr(RUN("statsu").err, "did you mean `cordon status`?"));
	assert_non_null(strstr(RUN("sotp").err, "did you mean `cordon stop`?"));
	assert_null(strstr(RUN("banana").err, "did you mean"));
}

static void copy_program(const char *from, const char *to)
{
	int in = open(from, O_RDONLY | O_CLOEXEC), out = open(to, O_WRONLY | O_CREAT, 0700);
	ssize_t n;

	assert_true(in >= 0 && out >= 0);
	while ((n = sendfile(out, in, NULL, 1 << 20)) > 0)
		continue;
	assert_int_equal(n, 0);
	close(in);
	close(out);
}

static void write_script(const char *path, const char *script)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0700);

	assert_int_equal(write(fd, script, strlen(script)), (ssize_t)strlen(script));
	close(fd);
}

/* `make install DESTDIR=...`: the tree stands elsewhere than it was built for. */
static void an_installed_tree_works_wherever_it_was_put(void **state)
{
	static const char script[] = "#!/bin/sh\necho \"found $*\"\n";
	struct fixture *f = *state;
	char program[PATH_MAX], folder[96], copy[128], inner[128];
	struct ran r;

	program_path(program);
	snprintf(folder, sizeof(folder), "%s/bin", f->root);
	assert_int_equal(mkdir(folder, 0755), 0);
	snprintf(copy, sizeof(copy), "%s/cordon", folder);
	copy_program(program, copy);

	/* A known verb without its program is not a slip of the finger. */
	r = run_argv(copy, (const char *const[]){ "cordon", "policy", "check", NULL });
	assert_int_equal(r.status, 3);
	assert_true(matches(r.err, "^cordon: cordon-policy: the program is missing; "));
	r = run_argv(copy,
		     (const char *const[]){ "cordon", "--root", f->root, "doctor", NULL });
	assert_int_equal(r.status, 1);
	assert_true(matches(r.out, "^isolate  programs +missing +no cordon-keeper "));

	snprintf(folder, sizeof(folder), "%s/libexec", f->root);
	assert_int_equal(mkdir(folder, 0755), 0);
	snprintf(folder, sizeof(folder), "%s/libexec/cordon", f->root);
	assert_int_equal(mkdir(folder, 0755), 0);
	for (size_t i = 0; i < 3; i++) {
		static const char *const names[] = { "keeper", "clerk", "policy" };

		snprintf(inner, sizeof(inner), "%s/cordon-%s", folder, names[i]);
		write_script(inner, script);
	}
	r = run_argv(copy, (const char *const[]){ "cordon", "policy", "check", NULL });
	assert_int_equal(r.status, 0);
	assert_string_equal(r.out, "found check\n");
	r = run_argv(copy,
		     (const char *const[]){ "cordon", "--root", f->root, "doctor", NULL });
	assert_true(matches(
		r.out, "^isolate  programs +ok +.*/libexec/cordon: keeper, clerk, policy$"));
}

static void another_programs_verb_is_run_with_its_arguments(void **state)
{
	static const char script[] = "#!/bin/sh\necho \"$CORDON_ROOT|$0|$*\"\nexit 7\n";
	struct fixture *f = *state;
	char program[PATH_MAX], copy[128], other[160];
	struct ran r;

	program_path(program);
	snprintf(copy, sizeof(copy), "%s/cordon", f->root);
	copy_program(program, copy);
	snprintf(other, sizeof(other), "%s/cordon-hello", f->root);
	write_script(other, script);
	r = run_argv(copy, (const char *const[]){ "cordon", "--root", "/r", "hello", "--json",
						  "x", NULL });
	assert_int_equal(r.status, 7);
	assert_true(matches(r.out, "^/r\\|.*/cordon-hello\\|--json x$"));
}

/* ---- what all verbs print with --------------------------------------------------- */

static void a_tables_cells_are_aligned_and_cannot_command_a_terminal(void **state)
{
	static const char *const heads[] = { "A", "B", "C" };
	static const char *const rows[][3] = {
		{ "\xc3\xa9t\xc3\xa9", "x\033[2Jy", "" },
		{ "long enough", "\xe2\x80\xae", "z" },
	};
	struct table *t = table_new(heads, 3);
	char *text = NULL;
	size_t size;
	FILE *to = open_memstream(&text, &size);

	(void)state;
	for (size_t i = 0; i < 2; i++)
		assert_true(table_row(t, rows[i]));
	table_print(t, to);
	fclose(to);
	assert_string_equal(text, "A            B             C\n"
				  "\xc3\xa9t\xc3\xa9          x\\x1b[2Jy\n"
				  "long enough  \\xe2\\x80\\xae  z\n");
	table_free(t);
	free(text);
}

static void durations_and_ages_have_units(void **state)
{
	static const struct {
		const char *text;
		int64_t ms; /* -1: no duration */
	} cases[] = { { "5", 5000 },     { "0s", 0 },
		      { "500ms", 500 },  { "2m", 120000 },
		      { "1h", 3600000 }, { "24h", 86400000 },
		      { "25h", -1 },     { "", -1 },
		      { "s", -1 },       { "-1s", -1 },
		      { "5 s", -1 },     { "5d", -1 },
		      { "1.5s", -1 },    { "99999999999999999999", -1 } };
	char text[VERB_TIME];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		int64_t ms = -1;

		assert_int_equal(verb_duration(cases[i].text, &ms), cases[i].ms >= 0);
		assert_int_equal(ms, cases[i].ms);
	}
	assert_string_equal(verb_age(-5, text), "0s");
	assert_string_equal(verb_age(119, text), "119s");
	assert_string_equal(verb_age(120, text), "2m");
	assert_string_equal(verb_age(7200, text), "2h");
	assert_string_equal(verb_age(172800, text), "2d");
	assert_string_equal(verb_time(INT64_C(1795447772) * 1000000000, text),
			    "2026-11-23T15:29:32Z");
}

/* ---- status ---------------------------------------------------------------------- */

static void status_of_an_unused_root_is_empty_and_makes_nothing(void **state)
{
	struct ran r = RUN("--root", "/tmp/cordon-test-absent", "status");

	(void)state;
	assert_int_equal(r.status, 0);
	assert_true(matches(r.out, "^SESSION  NAME  TENANT  CLASS  STATE  ATTESTED  KEYS  "
				   "ASSURANCE  AGE  NOTE$"));
	assert_int_not_equal(access("/tmp/cordon-test-absent", F_OK), 0);
}

static void status_shows_every_session_in_columns(void **state)
{
	struct fixture *f = *state;
	struct journal_begin live = begin_of(f, true), dead = begin_of(f, false);
	struct ran r;

	strcpy(live.name, "web");
	live.created -= INT64_C(5) * 3600 * 1000000000;
	write_journal(f, &live, SESSION_RUNNING, NULL, 0);
	write_journal(f, &dead, SESSION_RUNNING, NULL, 0);
	r = RUN_ROOT(f, "status");
	assert_int_equal(r.status, 0);
	assert_true(matches(r.out,
			    "^01ab00000000  web   acme    sandbox  RUNNING  -         0     "
			    "-/-        5h$"));
	assert_true(matches(r.out,
			    "^02ab00000000  -     acme    sandbox  LOST     -         0     "
			    "-/-        [0-9]+s +keeper died while RUNNING"));
	r = RUN_ROOT(f, "status", "web");
	assert_true(matches(r.out, "^01ab"));
	assert_null(strstr(r.out, "02ab"));
	assert_int_equal(RUN_ROOT(f, "status", "nobody").status, 1);
}

/* The whole reason is for programs; a row has room for its first clause. */
static void status_says_why_a_session_came_to_its_end(void **state)
{
	static const struct {
		const char *why, *note;
	} cases[] = {
		{ "the workload never ran; what was prepared is not proven clean",
		  "the workload never ran" },
		{ "short", "short" },
		{ "forty characters are as many as fit here", "forty characters are as many as "
							      "fit here" },
		{ "forty characters are as many as fit hereby, no more",
		  "forty characters are as many as fit..." },
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct journal_begin b = begin_of(f, false);
		struct journal_writer *w = NULL;
		json_t *object, *session;
		char id[8], row[160];

		assert_int_equal(journal_create(f->paths.sessions_fd, &b, &w, NULL),
				 RUNTIME_OK);
		assert_int_equal(journal_move(w, EV_LOST, cases[i].why, NULL), RUNTIME_OK);
		journal_close(w);
		snprintf(id, sizeof(id), "%02xab", b.id[0]);
		snprintf(row, sizeof(row), "^%s.* LOST .*s +%s$", id, cases[i].note);
		assert_true(matches(RUN_ROOT(f, "status", id).out, row));
		object = parse(RUN_ROOT(f, "status", id, "--json").out, "cordon.status/1");
		session = json_array_get(json_object_get(object, "sessions"), 0);
		assert_string_equal(json_string_value(json_object_get(session, "note")),
				    cases[i].why);
		json_decref(object);
	}
}

static void status_json_has_its_members(void **state)
{
	static const char *const members[] = {
		"id",
		"name",
		"tenant",
		"class",
		"state",
		"journal_state",
		"attested",
		"keys",
		"assurance",
		"created",
		"age_seconds",
		"keeper",
		"held_descriptors",
		"note",
	};
	struct fixture *f = *state;
	struct journal_begin b = begin_of(f, true);
	json_t *object, *session;
	struct ran r;

	write_journal(f, &b, SESSION_RUNNING, NULL, 0);
	r = RUN_ROOT(f, "status", "--json");
	assert_int_equal(r.status, 0);
	object = parse(r.out, "cordon.status/1");
	session = json_array_get(json_object_get(object, "sessions"), 0);
	for (size_t i = 0; i < sizeof(members) / sizeof(*members); i++)
		assert_non_null(json_object_get(session, members[i]));
	assert_int_equal(json_object_size(session), sizeof(members) / sizeof(*members));
	assert_string_equal(json_string_value(json_object_get(session, "state")), "RUNNING");
	assert_true(matches(json_string_value(json_object_get(session, "created")),
			    "^20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$"));
	assert_true(json_is_true(json_object_get(json_object_get(session, "keeper"), "alive")));
	json_decref(object);
}

static void a_bad_journal_is_listed_explained_and_makes_two(void **state)
{
	struct fixture *f = *state;
	struct journal_begin good = begin_of(f, true), bad = begin_of(f, true);
	json_t *object;
	struct ran r;

	write_journal(f, &good, SESSION_RUNNING, NULL, 0);
	write_journal(f, &bad, SESSION_RUNNING, NULL, 0);
	damage(f, bad.id, 40, "?", 1);
	r = RUN_ROOT(f, "status");
	assert_int_equal(r.status, 2);
	assert_true(matches(r.out, "^01ab00000000 .* RUNNING"));
	assert_true(matches(r.out, "^02ab00000000 .* LOST "));
	assert_true(matches(r.err, "^cordon: .*02ab.*$"));
	r = RUN_ROOT(f, "status", "--json");
	assert_int_equal(r.status, 2);
	object = parse(r.out, "cordon.status/1");
	assert_int_equal(json_array_size(json_object_get(object, "sessions")), 2);
	json_decref(object);
	assert_int_equal(RUN_ROOT(f, "explain", "02ab").status, 2);
	assert_int_equal(RUN_ROOT(f, "recover").status, 2);
}

static void status_never_writes(void **state)
{
	struct fixture *f = *state;
	struct journal_begin b = begin_of(f, false);
	struct stat before, after;
	char name[48];

	write_journal(f, &b, SESSION_RUNNING, NULL, 0);
	damage(f, b.id, 3 * JOURNAL_SLOT + 4, "torn", 4);
	journal_name(b.id, name);
	assert_int_equal(fstatat(f->paths.sessions_fd, name, &before, 0), 0);
	assert_int_equal(RUN_ROOT(f, "status").status, 0);
	assert_int_equal(fstatat(f->paths.sessions_fd, name, &after, 0), 0);
	assert_memory_equal(&before.st_mtim, &after.st_mtim, sizeof(before.st_mtim));
	assert_int_not_equal(faccessat(f->paths.run_fd, "clerk.sock", F_OK, 0), 0);
}

static void watch_prints_one_object_a_line_until_it_is_interrupted(void **state)
{
	struct fixture *f = *state;
	char program[PATH_MAX], text[4096];
	const char *const argv[] = { "cordon",  "--root", f->root, "status",
				     "--watch", "--json", NULL };
	int out[2], status;
	size_t have = 0;
	pid_t pid;

	program_path(program);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	pid = start_program(program, argv, out[1], STDERR_FILENO);
	close(out[1]);
	while (have + 1 < sizeof(text)) {
		ssize_t n = read(out[0], text + have, sizeof(text) - 1 - have);

		assert_true(n > 0);
		have += (size_t)n;
		text[have] = '\0';
		if (strchr(text, '\n') != strrchr(text, '\n'))
			break;
	}
	kill(pid, SIGINT);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGINT);
	*strchr(text, '\n') = '\0';
	json_decref(parse(text, "cordon.status/1"));
	close(out[0]);
}

/* ---- explain --------------------------------------------------------------------- */

static void explain_says_who_what_when_and_what_is_not_proven(void **state)
{
	static const struct journal_fact facts[] = {
		{ "command", "sh" },
		{ "isolation.landlock", "ABI 7" },
		{ "isolation.core-scheduling", "unavailable: Invalid argument" },
		{ "limit.memory", "enforced (cgroup v1)" },
		{ "limit.cpu", "absent (no controller)" },
		{ "limit.files", "rlimit (RLIMIT_NOFILE)" },
		{ "oom", "3 killed at the memory limit" },
		{ "status", "9" },
		{ "assurance", "none/none" },
	};
	struct fixture *f = *state;
	struct journal_begin b = begin_of(f, false);
	json_t *object;
	struct ran r;

	strcpy(b.name, "web");
	write_journal(f, &b, SESSION_QUARANTINED, facts, sizeof(facts) / sizeof(*facts));
	r = RUN_ROOT(f, "explain", "web");
	assert_int_equal(r.status, 0);
	assert_true(matches(
		r.out, "^Session 01ab[0-9a-f]{28} \\(web\\) is a sandbox of tenant acme, under "
		       "the built-in policy\\.$"));
	assert_true(matches(r.out, "it runs sh"));
	assert_true(matches(r.out, "^  landlock +ABI 7$"));
	assert_non_null(strstr(r.out, "\nLimits:\n"
				      "  memory           enforced (cgroup v1)\n"
				      "  cpu              absent (no controller)\n"
				      "  files            rlimit (RLIMIT_NOFILE)\n\n"));
	assert_non_null(strstr(r.out, "The kernel killed 3 of its processes at the memory "
				      "limit.\n"));
	assert_non_null(strstr(r.out, "free memory as holding the tenant's data"));
	assert_null(strstr(r.out, "None of the tenant's code ran"));
	assert_true(matches(r.out, "Z  RUNNING +start: a test$"));
	assert_true(matches(r.out, "^The workload was ended by signal 9"));
	assert_true(
		matches(r.out, "^  - that its cpu is limited: absent \\(no controller\\)$"));
	assert_true(matches(r.out, "^  - that core-scheduling protects it: unavailable"));
	assert_null(strstr(r.out, "  core-scheduling  "));
	assert_true(matches(r.out, "^  - that all the memory it held was wiped"));
	assert_true(matches(r.out, "^What to do:$"));
	r = RUN_ROOT(f, "explain", "--json", "web");
	object = parse(r.out, "cordon.explain/1");
	assert_int_equal(json_array_size(json_object_get(object, "transitions")), 5);
	assert_int_equal(json_array_size(json_object_get(object, "unproven")), 5);
	assert_int_equal(json_integer_value(json_object_get(object, "wait_status")), 9);
	assert_int_equal(json_integer_value(json_object_get(object, "oom_kills")), 3);
	json_decref(object);
	assert_int_equal(RUN_ROOT(f, "explain", "nobody").status, 1);
}

static void explain_of_what_never_ran_fears_nothing_of_the_tenants(void **state)
{
	static const enum session_event way[] = { EV_HELD, EV_REFUSED, EV_RESIDUE };
	struct fixture *f = *state;
	struct journal_begin b = begin_of(f, false);
	struct journal_writer *w = NULL;
	struct ran r;

	assert_int_equal(journal_create(f->paths.sessions_fd, &b, &w, NULL), RUNTIME_OK);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(journal_move(w, way[i], "no", NULL), RUNTIME_OK);
	journal_close(w);
	r = RUN_ROOT(f, "explain", "01ab");
	assert_int_equal(r.status, 0);
	assert_true(matches(r.out, "^None of the tenant's code ran\\.$"));
	assert_null(strstr(r.out, "free memory"));
	assert_null(strstr(r.out, "Limits:"));
}

/* ---- logs ------------------------------------------------------------------------ */

static void logs_are_the_rings_bytes(void **state)
{
	static const char output[] = "one\n\033[31mtwo\n";
	struct fixture *f = *state;
	struct journal_begin b = begin_of(f, false);
	int ring = ring_make();
	struct ran r;

	assert_true(ring >= 0);
	assert_true(ring_write(ring, output, strlen(output)));
	write_journal(f, &b, SESSION_QUARANTINED, NULL, 0);
	start_clerk(f, b.id, WIRE_SLOT_RING, ring);
	r = RUN_ROOT(f, "logs", "01ab");
	assert_int_equal(r.status, 0);
	assert_string_equal(r.out, output);
	r = RUN_ROOT(f, "logs", "-f", "01ab"); /* it has ended: nothing to wait for */
	assert_int_equal(r.status, 0);
	assert_string_equal(r.out, output);
	close(ring);
}

static void logs_json_is_one_object_of_clean_text(void **state)
{
	static const char output[] = "a\tb\n\033[31m\xc3\xa9 \x9b \xc3\0\n\nend";
	struct fixture *f = *state;
	struct journal_begin b = begin_of(f, false);
	int ring = ring_make();
	json_t *object;
	struct ran r;

	strcpy(b.name, "web");
	assert_true(ring_write(ring, output, sizeof(output) - 1));
	write_journal(f, &b, SESSION_QUARANTINED, NULL, 0);
	start_clerk(f, b.id, WIRE_SLOT_RING, ring);
	r = RUN_ROOT(f, "logs", "web", "--json");
	assert_int_equal(r.status, 0);
	object = parse(r.out, "cordon.logs/1");
	assert_string_equal(json_string_value(json_object_get(object, "output")),
			    "a\tb\n\\x1b[31m\xc3\xa9 \\x9b \\xc3\\x00\n\nend");
	assert_string_equal(json_string_value(json_object_get(object, "name")), "web");
	assert_int_equal(strlen(json_string_value(json_object_get(object, "id"))), 32);
	assert_int_equal(json_integer_value(json_object_get(object, "missed")), 0);
	json_decref(object);
	close(ring);
}

static void logs_tell_of_bytes_that_were_overwritten(void **state)
{
	struct fixture *f = *state;
	struct journal_begin b = begin_of(f, false);
	int ring = ring_make();
	char *block = malloc(RING_CAPACITY);
	struct ran r;

	memset(block, 'x', RING_CAPACITY);
	assert_true(ring_write(ring, block, RING_CAPACITY));
	assert_true(ring_write(ring, block, 1000));
	write_journal(f, &b, SESSION_QUARANTINED, NULL, 0);
	start_clerk(f, b.id, WIRE_SLOT_RING, ring);
	r = RUN_ROOT(f, "logs", "01ab");
	assert_int_equal(r.status, 0);
	assert_true(matches(r.err, "1000 bytes of output were overwritten"));
	r = RUN_ROOT(f, "logs", "01ab", "--json");
	assert_int_equal(r.status, 0);
	assert_true(matches(r.out, "^  \"missed\": 1000,$"));
	free(block);
	close(ring);
}

static void logs_of_a_terminals_session_or_a_forgotten_one_are_a_no(void **state)
{
	struct fixture *f = *state;
	struct journal_begin foreground = begin_of(f, true), ended = begin_of(f, false);
	struct ran r;

	foreground.detached = false;
	write_journal(f, &foreground, SESSION_RUNNING, NULL, 0);
	write_journal(f, &ended, SESSION_CLEAN, NULL, 0);
	r = RUN_ROOT(f, "logs", "01ab");
	assert_int_equal(r.status, 1);
	assert_non_null(strstr(r.err, "went to the terminal that started it"));
	r = RUN_ROOT(f, "logs", "02ab");
	assert_int_equal(r.status, 1);
	assert_non_null(strstr(r.err, "no longer kept"));
}

/* A terminal is where a tenant's escape sequences would act. */
static void logs_reach_a_terminal_escaped(void **state)
{
	static const char output[] = "a\tb\033[31m\xc2\x9b\x9b\xc3\xa9\n";
	struct fixture *f = *state;
	struct journal_begin b = begin_of(f, false);
	char program[PATH_MAX], text[256] = "";
	const char *const argv[] = { "cordon", "--root", f->root, "logs", "01ab", NULL };
	int ring = ring_make(), master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), slave;
	ssize_t n;
	pid_t pid;

	assert_true(ring_write(ring, output, strlen(output)));
	write_journal(f, &b, SESSION_QUARANTINED, NULL, 0);
	start_clerk(f, b.id, WIRE_SLOT_RING, ring);
	assert_int_equal(grantpt(master), 0);
	assert_int_equal(unlockpt(master), 0);
	slave = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
	assert_true(slave >= 0);
	program_path(program);
	pid = start_program(program, argv, slave, STDERR_FILENO);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	n = read(master, text, sizeof(text) - 1);
	assert_true(n > 0);
	assert_null(strchr(text, '\033'));
	assert_non_null(strstr(text, "\\x1b[31m\xc2\\x9b\\x9b\xc3\xa9"));
	close(slave);
	close(master);
	close(ring);
}

/* ---- stop ------------------------------------------------------------------------ */

/* A keeper that ends its session when it is asked, after `delay_ms`. */
static pid_t start_keeper(struct fixture *f, struct journal_begin *b, unsigned delay_ms,
			  bool obey)
{
	struct journal_writer *w = NULL;
	struct wire_message m;
	int ready[2], listener, sock;
	bool closed;
	char name[48], byte;
	pid_t pid;

	*b = begin_of(f, true);
	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	pid = fork();
	if (pid != 0) {
		close(ready[1]);
		assert_int_equal(read(ready[0], &byte, 1), 1);
		close(ready[0]);
		return pid;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	b->keeper = getpid();
	b->keeper_start = process_start_time(getpid());
	assert_int_equal(journal_create(f->paths.sessions_fd, b, &w, NULL), RUNTIME_OK);
	move_to(w, SESSION_RUNNING);
	session_id_hex(b->id, name);
	strcat(name, ".sock");
	assert_int_equal(wire_listen(f->paths.run_fd, name, &listener, NULL), RUNTIME_OK);
	assert_int_equal(write(ready[1], "", 1), 1);
	assert_int_equal(wire_accept(listener, &sock, NULL), RUNTIME_OK);
	assert_int_equal(wire_receive(sock, &m, &closed, NULL), RUNTIME_OK);
	if (m.type != WIRE_STOP || m.a != 1500)
		_exit(1);
	(void)poll(NULL, 0, (int)delay_ms);
	if (!obey)
		_exit(0);
	for (enum session_event ev = EV_ENDING; ev <= EV_GONE; ev++)
		assert_int_equal(journal_move(w, ev, "stopped", NULL), RUNTIME_OK);
	assert_int_equal(journal_move(w, EV_RESIDUE, "stopped", NULL), RUNTIME_OK);
	_exit(0);
}

static void stop_asks_the_keeper_and_waits_for_the_end(void **state)
{
	struct fixture *f = *state;
	struct journal_begin b;
	pid_t keeper = start_keeper(f, &b, 300, true);
	struct ran r = RUN_ROOT(f, "stop", "01ab", "--grace", "1500ms");
	json_t *object;

	assert_int_equal(r.status, 0);
	assert_string_equal(r.out, "01ab00000000: QUARANTINED\n");
	assert_int_equal(waitpid(keeper, NULL, 0), keeper);
	r = RUN_ROOT(f, "stop", "01ab");
	assert_int_equal(r.status, 0);
	assert_string_equal(r.out, "01ab00000000: already QUARANTINED\n");
	r = RUN_ROOT(f, "stop", "01ab", "--json");
	assert_int_equal(r.status, 0);
	object = parse(r.out, "cordon.stop/1");
	assert_string_equal(json_string_value(json_object_get(object, "state")), "QUARANTINED");
	assert_string_equal(json_string_value(json_object_get(object, "name")), "");
	assert_non_null(json_object_get(object, "id"));
	json_decref(object);
}

static void stop_says_when_the_keeper_dies_instead(void **state)
{
	struct fixture *f = *state;
	struct journal_begin b;
	pid_t keeper = start_keeper(f, &b, 0, false);
	struct ran r = RUN_ROOT(f, "stop", "01ab", "--grace=1500ms");

	assert_int_equal(r.status, 1);
	assert_non_null(strstr(r.err, "run `cordon recover`"));
	assert_int_equal(waitpid(keeper, NULL, 0), keeper);
}

static void stop_without_a_keeper_says_to_recover(void **state)
{
	struct fixture *f = *state;
	struct journal_begin b = begin_of(f, false);
	struct ran r;

	write_journal(f, &b, SESSION_RUNNING, NULL, 0);
	r = RUN_ROOT(f, "stop", "01ab");
	assert_int_equal(r.status, 1);
	assert_non_null(strstr(r.err, "run `cordon recover`"));
	assert_int_equal(RUN_ROOT(f, "stop", "nobody").status, 1);
}

static void stop_could_not_tell_when_a_living_keeper_does_not_answer(void **state)
{
	struct fixture *f = *state;
	struct journal_begin b = begin_of(f, true);

	write_journal(f, &b, SESSION_RUNNING, NULL, 0);
	assert_int_equal(RUN_ROOT(f, "stop", "01ab").status, 3);
}

/* ---- recover and doctor ---------------------------------------------------------- */

static void recover_prints_what_it_mended_once(void **state)
{
	struct fixture *f = *state;
	struct journal_begin b = begin_of(f, false);
	json_t *object;
	struct ran r;

	strcpy(b.name, "web");
	write_journal(f, &b, SESSION_RUNNING, NULL, 0);
	r = RUN_ROOT(f, "recover");
	assert_int_equal(r.status, 0);
	assert_true(matches(r.out,
			    "^01ab00000000 web: RUNNING -> LOST: keeper and holder died; "
			    "none/none"));
	r = RUN_ROOT(f, "recover");
	assert_int_equal(r.status, 0);
	assert_string_equal(r.out, "nothing to recover\n");

	b = begin_of(f, false);
	write_journal(f, &b, SESSION_RUNNING, NULL, 0);
	r = RUN_ROOT(f, "recover", "--json");
	assert_int_equal(r.status, 0);
	object = parse(r.out, "cordon.recover/1");
	assert_int_equal(json_array_size(json_object_get(object, "sessions")), 1);
	json_decref(object);
}

static void doctor_answers_every_check_of_every_group(void **state)
{
	struct fixture *f = *state;
	struct ran r = RUN_ROOT(f, "doctor", "--json");
	json_t *object = parse(r.out, "cordon.doctor/1"), *check;
	unsigned groups = 0, missing = 0, unknown = 0;
	size_t i;

	json_array_foreach(json_object_get(object, "checks"), i, check)
	{
		const char *group = json_string_value(json_object_get(check, "group"));
		const char *result = json_string_value(json_object_get(check, "result"));
		bool needed = json_is_true(json_object_get(check, "needed"));

		groups |= strcmp(group, "isolate") == 0  ? 1
			  : strcmp(group, "attest") == 0 ? 2
							 : 4;
		missing += needed && strcmp(result, "missing") == 0;
		unknown += needed && strcmp(result, "unknown") == 0;
		assert_true(json_string_value(json_object_get(check, "detail"))[0] != '\0');
		if (strcmp(result, "ok") != 0)
			assert_true(json_string_value(json_object_get(check, "mend"))[0] !=
				    '\0');
	}
	assert_true(i > 20);
	assert_int_equal(groups, 7);
	assert_int_equal(r.status, missing ? 1 : unknown ? 3 : 0);
	json_decref(object);
	assert_true(matches(RUN_ROOT(f, "doctor").out, "^isolate  kernel +ok "));
}

static void doctor_says_no_where_others_can_write_the_root(void **state)
{
	struct fixture *f = *state;
	struct ran r;

	assert_int_equal(chmod(f->root, 0775), 0);
	r = RUN_ROOT(f, "doctor");
	assert_int_equal(r.status, 1);
	assert_true(matches(r.out, "^isolate  state-folder +missing "));
	assert_int_equal(RUN_ROOT(f, "status").status, 1);
	assert_int_equal(RUN_ROOT(f, "run", "--", "true").status, 125);
}

#define WITH_ROOT(test) cmocka_unit_test_setup_teardown(test, fixture_make, fixture_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(help_and_version_are_answers),
		cmocka_unit_test(wrong_usage_is_two_and_one_line_on_stderr),
		cmocka_unit_test(a_misspelt_verb_gets_a_hint),
		cmocka_unit_test(a_tables_cells_are_aligned_and_cannot_command_a_terminal),
		cmocka_unit_test(durations_and_ages_have_units),
		WITH_ROOT(another_programs_verb_is_run_with_its_arguments),
		WITH_ROOT(an_installed_tree_works_wherever_it_was_put),
		cmocka_unit_test(status_of_an_unused_root_is_empty_and_makes_nothing),
		WITH_ROOT(status_shows_every_session_in_columns),
		WITH_ROOT(status_says_why_a_session_came_to_its_end),
		WITH_ROOT(status_json_has_its_members),
		WITH_ROOT(a_bad_journal_is_listed_explained_and_makes_two),
		WITH_ROOT(status_never_writes),
		WITH_ROOT(watch_prints_one_object_a_line_until_it_is_interrupted),
		WITH_ROOT(explain_says_who_what_when_and_what_is_not_proven),
		WITH_ROOT(explain_of_what_never_ran_fears_nothing_of_the_tenants),
		WITH_ROOT(logs_are_the_rings_bytes),
		WITH_ROOT(logs_json_is_one_object_of_clean_text),
		WITH_ROOT(logs_tell_of_bytes_that_were_overwritten),
		WITH_ROOT(logs_of_a_terminals_session_or_a_forgotten_one_are_a_no),
		WITH_ROOT(logs_reach_a_terminal_escaped),
		WITH_ROOT(stop_asks_the_keeper_and_waits_for_the_end),
		WITH_ROOT(stop_says_when_the_keeper_dies_instead),
		WITH_ROOT(stop_without_a_keeper_says_to_recover),
		WITH_ROOT(stop_could_not_tell_when_a_living_keeper_does_not_answer),
		WITH_ROOT(recover_prints_what_it_mended_once),
		WITH_ROOT(doctor_answers_every_check_of_every_group),
		WITH_ROOT(doctor_says_no_where_others_can_write_the_root),
	};

	return cmocka_run_group_tests_name("cli", tests, NULL, NULL);
}
