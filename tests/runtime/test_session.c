/* tests/runtime/test_session.c - the whole table against the design's sentences; ids,
 * texts and folders. */
#include "runtime/runtime.h"
#include "runtime/session.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* The edges as the design tells them, one sentence each; LOST is a rule of its own. */
static const struct edge {
	enum session_state from;
	enum session_event event;
	enum session_state to;
} edges[] = {
	{ SESSION_NONE, EV_HELD, SESSION_PREPARED },
	{ SESSION_NONE, EV_HOLD_FAILED, SESSION_SCRUBBING }, /* a failed hold */
	{ SESSION_PREPARED, EV_ATTEST, SESSION_ATTESTING },
	{ SESSION_PREPARED, EV_START, SESSION_RUNNING }, /* without keys */
	{ SESSION_PREPARED, EV_REFUSED, SESSION_SCRUBBING },
	{ SESSION_PREPARED, EV_ENDING, SESSION_SCRUBBING }, /* a stop before the start */
	{ SESSION_ATTESTING, EV_AFFIRMED, SESSION_RUNNING },
	{ SESSION_ATTESTING, EV_REFUSED, SESSION_SCRUBBING },
	{ SESSION_ATTESTING, EV_ENDING, SESSION_SCRUBBING },
	{ SESSION_RUNNING, EV_ENDING, SESSION_STOPPING },
	{ SESSION_STOPPING, EV_GONE, SESSION_SCRUBBING },
	{ SESSION_SCRUBBING, EV_CLEAN, SESSION_CLEAN },
	{ SESSION_SCRUBBING, EV_RESIDUE, SESSION_QUARANTINED },
	{ SESSION_QUARANTINED, EV_SCRUB, SESSION_SCRUBBING },
};

static enum session_state by_design(enum session_state s, enum session_event ev)
{
	if (ev == EV_LOST)
		return s == SESSION_CLEAN || s == SESSION_LOST ? SESSION_NONE : SESSION_LOST;
	for (size_t i = 0; i < sizeof(edges) / sizeof(edges[0]); i++)
		if (edges[i].from == s && edges[i].event == ev)
			return edges[i].to;
	return SESSION_NONE;
}

static void every_state_takes_exactly_the_events_of_the_design(void **state)
{
	(void)state;
	for (unsigned s = 0; s < SESSION_STATES; s++)
		for (unsigned ev = 0; ev < SESSION_EVENTS; ev++)
			assert_int_equal(session_next(s, ev), by_design(s, ev));
}

static void the_only_way_to_clean_is_a_scrub(void **state)
{
	(void)state;
	for (unsigned s = 0; s < SESSION_STATES; s++)
		for (unsigned ev = 0; ev < SESSION_EVENTS; ev++)
			if (session_next(s, ev) == SESSION_CLEAN)
				assert_int_equal(s, SESSION_SCRUBBING);
}

static void nothing_leaves_clean_or_lost(void **state)
{
	(void)state;
	for (unsigned ev = 0; ev < SESSION_EVENTS; ev++) {
		assert_int_equal(session_next(SESSION_CLEAN, ev), SESSION_NONE);
		assert_int_equal(session_next(SESSION_LOST, ev), SESSION_NONE);
	}
}

static void values_outside_the_table_are_refused(void **state)
{
	(void)state;
	assert_int_equal(session_next(SESSION_STATES, EV_HELD), SESSION_NONE);
	assert_int_equal(session_next((enum session_state) - 1, EV_HELD), SESSION_NONE);
	assert_int_equal(session_next(SESSION_NONE, SESSION_EVENTS), SESSION_NONE);
	assert_int_equal(session_next(SESSION_NONE, (enum session_event) - 1), SESSION_NONE);
	assert_string_equal(session_state_str(SESSION_STATES), "unknown");
	assert_string_equal(session_event_str((enum session_event)0), "unknown");
}

static void every_state_and_event_has_a_name(void **state)
{
	(void)state;
	for (unsigned s = 0; s < SESSION_STATES; s++)
		assert_string_not_equal(session_state_str(s), "unknown");
	for (unsigned ev = 1; ev < SESSION_EVENTS; ev++)
		assert_string_not_equal(session_event_str(ev), "unknown");
}

static void an_ended_session_is_clean_quarantined_or_lost(void **state)
{
	(void)state;
	for (unsigned s = 0; s < SESSION_STATES; s++)
		assert_int_equal(session_final(s), s == SESSION_CLEAN ||
							   s == SESSION_QUARANTINED ||
							   s == SESSION_LOST);
}

/* ---- ids and processes ----------------------------------------------------------- */

static void an_id_is_32_lower_case_hex_digits(void **state)
{
	static const char good[] = "00ff0123456789abcdef00000000007f";
	uint8_t id[SESSION_ID_BYTES];
	char hex[SESSION_ID_HEX];

	(void)state;
	assert_true(session_id_parse(good, id));
	session_id_hex(id, hex);
	assert_string_equal(hex, good);
	assert_false(session_id_parse("00FF0123456789abcdef00000000007f", id));
	assert_false(session_id_parse("00ff0123456789abcdef00000000007f0", id));
	assert_false(session_id_parse("0gff0123456789abcdef00000000007f", id));
	for (size_t n = 0; n < 32; n++) {
		char cut[SESSION_ID_HEX] = "";

		memcpy(cut, good, n);
		assert_false(session_id_parse(cut, id));
	}
}

static void the_boot_id_stays_the_same(void **state)
{
	uint8_t a[16], b[16];

	(void)state;
	assert_true(boot_id(a));
	assert_true(boot_id(b));
	assert_memory_equal(a, b, sizeof(a));
}

static void a_process_is_opened_by_pid_and_start_time_together(void **state)
{
	uint64_t start = process_start_time(getpid());
	int fd = process_open(getpid(), start);

	(void)state;
	assert_true(start > 0);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(process_open(getpid(), start + 1), -1);
	assert_int_equal(process_open(getpid(), 0), -1);
	assert_int_equal(process_start_time(0), 0);
}

static void a_gone_process_cannot_be_opened(void **state)
{
	pid_t pid = fork();
	uint64_t start;

	(void)state;
	if (pid == 0) {
		pause();
		_exit(0);
	}
	start = process_start_time(pid);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	assert_int_equal(process_open(pid, start), -1);
	assert_int_equal(process_start_time(pid), 0);
}

/* ---- texts ----------------------------------------------------------------------- */

static const char *const clean[] = { "",
				     "plain",
				     "gr\xc3\xbc\xc3\x9f"
				     "e",
				     "\xe2\x82\xac",
				     "\xf0\x9f\x94\x92",
				     "\\x1b",
				     "\xef\xbf\xbd" };
static const char *const unclean[] = {
	"\x1b[31m",
	"a\nb",
	"\x7f",
	"\t", /* controls */
	"\xc2\x9b"
	"31m",
	"\xe2\x80\xa8", /* C1, line separator */
	"\xe2\x80\xae"
	"gpj",
	"\xe2\x81\xa6", /* right-to-left override, isolate */
	"\x80",
	"\xc3",
	"\xe2\x82",
	"\xf0\x9f", /* lone and cut */
	"\xc0\x80",
	"\xc1\xbf",
	"\xe0\x80\x80", /* not the shortest form */
	"\xf0\x80\x80\x80",
	"\xed\xa0\x80", /* the same; a surrogate */
	"\xf4\x90\x80\x80",
	"\xf5\x80\x80\x80", /* above 10FFFF */
	"\xff",
	"\xfe",
};

static void only_whole_harmless_utf8_is_clean_text(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(clean) / sizeof(clean[0]); i++)
		assert_true(text_clean(clean[i]));
	for (size_t i = 0; i < sizeof(unclean) / sizeof(unclean[0]); i++)
		assert_false(text_clean(unclean[i]));
}

static void an_escaped_text_is_clean_at_every_size(void **state)
{
	char to[64];

	(void)state;
	for (size_t i = 0; i < sizeof(unclean) / sizeof(unclean[0]); i++)
		for (size_t size = 1; size < sizeof(to); size++) {
			memset(to, 'x', sizeof(to));
			text_escape(to, size, unclean[i]);
			assert_true(strlen(to) < size);
			assert_true(text_clean(to));
		}
	text_escape(to, sizeof(to), "a\x1b\xc3\xbc");
	assert_string_equal(to, "a\\x1b\xc3\xbc");
	text_escape(to, 3, "a\xc3\xbc"); /* no half characters */
	assert_string_equal(to, "a");
}

static void a_finding_is_one_clean_line(void **state)
{
	struct runtime_error e;
	char *line = NULL;
	size_t len = 0;
	FILE *to = open_memstream(&line, &len);

	(void)state;
	assert_int_equal(runtime_fail(&e, RUNTIME_REFUSED, "a\nb", "try again", "no %d", 7),
			 RUNTIME_REFUSED);
	assert_int_equal(runtime_fail(NULL, RUNTIME_SYSTEM, NULL, NULL, "x"), RUNTIME_SYSTEM);
	runtime_error_print(to, "cordon", &e);
	fclose(to);
	assert_string_equal(line, "cordon: a\\x0ab: no 7; try again\n");
	free(line);
}

/* ---- folders --------------------------------------------------------------------- */

static char top[] = "/tmp/cordon-test-XXXXXX";

static const char *below(const char *name)
{
	static char path[256];

	snprintf(path, sizeof(path), "%s/%s", top, name);
	return path;
}

static int make_top(void **state)
{
	(void)state;
	strcpy(top, "/tmp/cordon-test-XXXXXX");
	return mkdtemp(top) ? 0 : -1;
}

static int remove_top(void **state)
{
	char command[300];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", top);
	return system(command); /* NOLINT(cert-env33-c): a path of our own making */
}

static void folders_are_made_for_the_owner_alone(void **state)
{
	struct paths p;
	struct runtime_error e;
	struct stat st;

	(void)state;
	assert_int_equal(paths_open(below("new"), true, &p, &e), RUNTIME_OK);
	assert_string_equal(p.state, below("new"));
	assert_true(p.sessions_fd >= 0 && p.run_fd >= 0);
	paths_close(&p);
	assert_int_equal(stat(below("new/sessions"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_int_equal(stat(below("new/run"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
}

static void absent_folders_are_fine_without_create(void **state)
{
	struct paths p;
	struct runtime_error e;

	(void)state;
	assert_int_equal(paths_open(below("absent"), false, &p, &e), RUNTIME_OK);
	assert_int_equal(p.sessions_fd, -1);
	assert_int_equal(p.run_fd, -1);
	assert_int_not_equal(access(below("absent"), F_OK), 0);
}

static void absent_parents_are_made_for_the_owner_alone(void **state)
{
	struct paths p;
	struct runtime_error e;
	struct stat st;

	(void)state;
	assert_int_equal(paths_open(below("a/b/c"), false, &p, &e), RUNTIME_OK);
	assert_int_not_equal(access(below("a"), F_OK), 0); /* looking makes nothing */
	assert_int_equal(paths_open(below("a/b/c"), true, &p, &e), RUNTIME_OK);
	paths_close(&p);
	assert_int_equal(stat(below("a"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_int_equal(stat(below("a/b/c"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
}

static void a_root_that_others_can_write_is_refused(void **state)
{
	static const mode_t closed[] = { 0701, 0710, 0755, 0700 };
	static const mode_t writable[] = { 0702, 0720, 0770, 01777 };
	struct paths p;
	struct runtime_error e;

	(void)state;
	assert_int_equal(mkdir(below("wide"), 0700), 0);
	for (size_t i = 0; i < sizeof(closed) / sizeof(closed[0]); i++) {
		assert_int_equal(chmod(below("wide"), closed[i]), 0);
		assert_int_equal(paths_open(below("wide"), true, &p, &e), RUNTIME_OK);
		paths_close(&p);
	}
	for (size_t i = 0; i < sizeof(writable) / sizeof(writable[0]); i++) {
		assert_int_equal(chmod(below("wide"), writable[i]), 0);
		assert_int_equal(paths_open(below("wide"), false, &p, &e), RUNTIME_REFUSED);
		assert_non_null(strstr(e.what, "can write"));
	}
}

static void an_inner_folder_that_others_can_enter_is_refused(void **state)
{
	static const mode_t open_modes[] = { 0701, 0710, 0755, 0770, 01777 };
	static const char *const inner[] = { "root/sessions", "root/run" };
	struct paths p;
	struct runtime_error e;

	(void)state;
	assert_int_equal(paths_open(below("root"), true, &p, &e), RUNTIME_OK);
	paths_close(&p);
	for (size_t n = 0; n < 2; n++) {
		for (size_t i = 0; i < sizeof(open_modes) / sizeof(open_modes[0]); i++) {
			assert_int_equal(chmod(below(inner[n]), open_modes[i]), 0);
			assert_int_equal(paths_open(below("root"), true, &p, &e),
					 RUNTIME_REFUSED);
		}
		assert_int_equal(chmod(below(inner[n]), 0700), 0);
	}
}

static void a_root_that_is_no_folder_is_malformed(void **state)
{
	struct paths p;
	struct runtime_error e;

	(void)state;
	close(open(below("file"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	for (int create = 0; create < 2; create++) {
		assert_int_equal(paths_open(below("file"), create, &p, &e), RUNTIME_MALFORMED);
		assert_non_null(strstr(e.what, "not a folder"));
		assert_int_equal(paths_open(below("file/in/it"), create, &p, &e),
				 RUNTIME_MALFORMED);
	}
}

static void a_folder_of_another_user_is_refused(void **state)
{
	struct paths p;
	struct runtime_error e;

	(void)state;
	if (geteuid() != 0) {
		print_message("skipped: only root can make another user's folder\n");
		skip();
	}
	assert_int_equal(mkdir(below("foreign"), 0700), 0);
	assert_int_equal(chown(below("foreign"), 65534, 65534), 0);
	assert_int_equal(paths_open(below("foreign"), true, &p, &e), RUNTIME_REFUSED);
}

static void a_link_in_place_of_an_inner_folder_is_refused(void **state)
{
	struct paths p;
	struct runtime_error e;

	(void)state;
	assert_int_equal(mkdir(below("real"), 0700), 0);
	assert_int_equal(mkdir(below("linked"), 0700), 0);
	assert_int_equal(symlink("../real", below("linked/sessions")), 0);
	assert_int_equal(paths_open(below("linked"), true, &p, &e), RUNTIME_MALFORMED);
}

static void a_relative_root_becomes_absolute(void **state)
{
	int here = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct paths p;
	struct runtime_error e;

	(void)state;
	assert_int_equal(chdir(top), 0);
	assert_int_equal(paths_open("relative", true, &p, &e), RUNTIME_OK);
	assert_int_equal(fchdir(here), 0);
	close(here);
	assert_string_equal(p.state, below("relative"));
	paths_close(&p);
	assert_int_equal(paths_open("", true, &p, &e), RUNTIME_MALFORMED);
}

/* In a child: it becomes an ordinary user, whose folders are below HOME or XDG's. */
static void an_ordinary_user_has_a_root_below_home(void **state)
{
	int status;
	pid_t pid;

	(void)state;
	assert_int_equal(mkdir(below("home"), 0700), 0);
	if (geteuid() == 0)
		assert_int_equal(chown(below("home"), 65534, 65534) | chmod(top, 0711), 0);
	pid = fork();
	if (pid == 0) {
		struct paths p;
		struct runtime_error e;

		if (geteuid() == 0 && setresuid(65534, 65534, 65534) != 0)
			_exit(1);
		unsetenv("XDG_STATE_HOME");
		setenv("HOME", below("home"), 1);
		if (paths_open(NULL, true, &p, &e) != RUNTIME_OK ||
		    strcmp(p.state, below("home/.local/state/cordon")) != 0 ||
		    strcmp(p.run, below("home/.local/state/cordon/run")) != 0)
			_exit(2);
		setenv("XDG_STATE_HOME", below("home/x"), 1);
		if (paths_open(NULL, true, &p, &e) != RUNTIME_OK ||
		    strcmp(p.state, below("home/x/cordon")) != 0)
			_exit(3);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_state_takes_exactly_the_events_of_the_design),
		cmocka_unit_test(the_only_way_to_clean_is_a_scrub),
		cmocka_unit_test(nothing_leaves_clean_or_lost),
		cmocka_unit_test(values_outside_the_table_are_refused),
		cmocka_unit_test(every_state_and_event_has_a_name),
		cmocka_unit_test(an_ended_session_is_clean_quarantined_or_lost),
		cmocka_unit_test(an_id_is_32_lower_case_hex_digits),
		cmocka_unit_test(the_boot_id_stays_the_same),
		cmocka_unit_test(a_process_is_opened_by_pid_and_start_time_together),
		cmocka_unit_test(a_gone_process_cannot_be_opened),
		cmocka_unit_test(only_whole_harmless_utf8_is_clean_text),
		cmocka_unit_test(an_escaped_text_is_clean_at_every_size),
		cmocka_unit_test(a_finding_is_one_clean_line),
		cmocka_unit_test_setup_teardown(folders_are_made_for_the_owner_alone, make_top,
						remove_top),
		cmocka_unit_test_setup_teardown(absent_folders_are_fine_without_create,
						make_top, remove_top),
		cmocka_unit_test_setup_teardown(absent_parents_are_made_for_the_owner_alone,
						make_top, remove_top),
		cmocka_unit_test_setup_teardown(a_root_that_others_can_write_is_refused,
						make_top, remove_top),
		cmocka_unit_test_setup_teardown(
			an_inner_folder_that_others_can_enter_is_refused, make_top, remove_top),
		cmocka_unit_test_setup_teardown(a_root_that_is_no_folder_is_malformed, make_top,
						remove_top),
		cmocka_unit_test_setup_teardown(a_folder_of_another_user_is_refused, make_top,
						remove_top),
		cmocka_unit_test_setup_teardown(a_link_in_place_of_an_inner_folder_is_refused,
						make_top, remove_top),
		cmocka_unit_test_setup_teardown(a_relative_root_becomes_absolute, make_top,
						remove_top),
		cmocka_unit_test_setup_teardown(an_ordinary_user_has_a_root_below_home,
						make_top, remove_top),
	};
	return cmocka_run_group_tests_name("session", tests, NULL, NULL);
}
