/* tests/policy/test_command.c - the program cordon-policy: what it reads, and what its JSON
 * always has. */
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#define POLICY                                                                                 \
	"cordon: 1\\ntenant: acme\\nisolation: { class: sandbox }\\n"                          \
	"scrub: { held: wiped, kernel: none }\\n"

/* The program of the same build: BUILD/tests/policy/THIS beside BUILD/bin. */
static void find_program(char *to, size_t size)
{
	char self[3072] = "", *end;
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	assert_true(n > 0);
	for (int i = 0; i < 3; i++) {
		end = strrchr(self, '/');
		assert_non_null(end);
		*end = '\0';
	}
	snprintf(to, size, "%s/bin/cordon-policy", self);
}

/* Runs a shell's line with $P as the program; its exit status, and what it wrote. */
static int shell(const char *line, char *out, size_t size)
{
	char program[4096];
	FILE *from;
	size_t n;
	int status;

	find_program(program, sizeof(program));
	if (access(program, X_OK) != 0) {
		print_message("skipped: %s is not built\n", program);
		skip();
	}
	assert_int_equal(setenv("P", program, 1), 0);
	from = popen(line, "r");
	assert_non_null(from);
	n = fread(out, 1, size - 1, from);
	out[n] = '\0';
	status = pclose(from);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void reads_pipes_and_no_devices_folders_or_sockets(void **state)
{
	static const struct {
		const char *line;
		int status;
		const char *says;
	} cases[] = {
		{ "printf '" POLICY "' | timeout 20 \"$P\" check /dev/fd/0 2>&1", 0, "ok" },
		{ "{ sleep 0.2; printf '" POLICY
		  "'; } | timeout 20 \"$P\" check /dev/fd/0 2>&1",
		  0, "ok" },
		{ "printf '{\"defaultAction\":\"SCMP_ACT_ALLOW\"}' |"
		  " timeout 20 \"$P\" check /dev/fd/0 2>&1",
		  0, "seccomp profile" },
		{ "head -c 2000000 /dev/zero | timeout 20 \"$P\" check /dev/fd/0 2>&1", 2,
		  "longer than" },
		{ "timeout 20 \"$P\" check /dev/zero 2>&1", 2, "neither a file nor a pipe" },
		{ "timeout 20 \"$P\" check /dev/null 2>&1", 2, "neither a file nor a pipe" },
		{ "timeout 20 \"$P\" check / 2>&1", 2, "neither a file nor a pipe" },
	};
	char out[4096];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int status = shell(cases[i].line, out, sizeof(out));

		if (status != cases[i].status || !strstr(out, cases[i].says))
			fail_msg("%s\ngave %d: %s", cases[i].line, status, out);
	}
}

static void a_fifo_that_nobody_writes_to_does_not_hold_it(void **state)
{
	char folder[] = "/tmp/cordon-test-XXXXXX", line[256], out[1024];
	int status;

	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(line, sizeof(line), "%s/fifo", folder);
	assert_int_equal(mkfifo(line, 0600), 0);
	snprintf(line, sizeof(line),
		 "timeout 20 \"$P\" check %s/fifo 2>&1; s=$?;"
		 " rm -r %s; exit $s",
		 folder, folder);
	status = shell(line, out, sizeof(out));
	assert_int_equal(status, 2);
	assert_non_null(strstr(out, "nothing in it"));
}

static void an_error_in_json_has_all_its_members(void **state)
{
	static const struct {
		const char *line, *file;
		json_int_t where;
		const char *key;
	} cases[] = {
		{ "printf '" POLICY "seccomp: { allow: [io_uring_setup] }\\n' |"
		  " \"$P\" check --json -",
		  "-", 5, "seccomp.allow[0]" },
		{ "\"$P\" check --json /no/such/file", "/no/such/file", 0, "" },
		{ "printf '{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":"
		  "[\"no_such\"],\"action\":\"SCMP_ACT_ERRNO\"}]}' | \"$P\" check --json -",
		  "-", 0, "syscalls[0]" },
		{ "printf '" POLICY "' | \"$P\" plan --json - -- ''", "-", 0, NULL },
	};
	static const char *const texts[] = { "file", "key", "what", "hint" };
	char out[4096];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int status = shell(cases[i].line, out, sizeof(out));
		json_t *o = json_loads(out, 0, NULL), *e = json_object_get(o, "error");

		if (!status || !json_is_object(e))
			fail_msg("%s\ngave %d: %s", cases[i].line, status, out);
		for (size_t k = 0; k < sizeof(texts) / sizeof(texts[0]); k++)
			assert_true(json_is_string(json_object_get(e, texts[k])));
		assert_true(json_is_integer(json_object_get(e, "column")));
		assert_int_equal(json_integer_value(json_object_get(e, "line")),
				 cases[i].where);
		assert_string_equal(json_string_value(json_object_get(e, "file")),
				    cases[i].file);
		if (cases[i].key)
			assert_string_equal(json_string_value(json_object_get(e, "key")),
					    cases[i].key);
		json_decref(o);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_pipes_and_no_devices_folders_or_sockets),
		cmocka_unit_test(a_fifo_that_nobody_writes_to_does_not_hold_it),
		cmocka_unit_test(an_error_in_json_has_all_its_members),
	};

	return cmocka_run_group_tests_name("command", tests, NULL, NULL);
}
