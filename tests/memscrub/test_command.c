/* tests/memscrub/test_command.c - the program cordon-scrub: what it does, says and refuses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

/* The program of the same build: BUILD/tests/memscrub/THIS beside BUILD/bin. */
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
	snprintf(to, size, "%s/bin/cordon-scrub", self);
}

/* Runs a shell's line with $P as the program, in $D, a folder in memory; its exit status,
 * and what it wrote. */
static int shell(const char *line, char *out, size_t size)
{
	char folder[] = "/dev/shm/cordon-scrub.XXXXXX", program[4096], command[8192];
	FILE *from;
	size_t n;
	int status;

	find_program(program, sizeof(program));
	if (access(program, X_OK) != 0 || !mkdtemp(folder)) {
		print_message("skipped: no %s, or no /dev/shm\n", program);
		skip();
	}
	assert_int_equal(setenv("P", program, 1), 0);
	assert_int_equal(setenv("D", folder, 1), 0);
	snprintf(command, sizeof(command), "{ %s; } 2>&1; s=$?; rm -rf \"$D\"; exit $s", line);
	from = popen(command, "r");
	assert_non_null(from);
	n = fread(out, 1, size - 1, from);
	out[n] = '\0';
	status = pclose(from);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void says_what_it_did(void **state)
{
	static const struct {
		const char *line;
		int status;
		const char *says;
	} cases[] = {
		{ "seq 9999 >$D/a; \"$P\" file $D/a && ! tr -d '\\0' <$D/a | grep -q .", 0,
		  "49152 bytes in 1 extents zeroed and read back" },
		{ "seq 9 >$D/a; seq 9 >$D/b; \"$P\" file $D/a $D/b", 0, "/b: 4096 bytes" },
		{ ">$D/a; \"$P\" file $D/a", 0, " 0 bytes in 0 extents" },
		{ "seq 9 >$D/a; \"$P\" file --json $D/a", 0,
		  "\"result\":\"ok\",\"bytes\":4096,\"failed\":0,\"extents\":1," },
		{ "seq 9 >$D/'x\"\ny'; \"$P\" file --json $D/x*", 0, "/x\\u0022\\u000ay\"" },
		{ "\"$P\" file $D/none", 2,
		  "none: cannot be opened for writing: No such file" },
		{ "seq 9 >$D/a; \"$P\" file $D/none $D/a", 2, "/a: 4096 bytes" },
		{ "\"$P\" file $D", 2, "Is a directory" },
		{ "mkfifo $D/p; timeout 20 \"$P\" file $D/p", 1, "not a file that is memory" },
		{ "timeout 20 \"$P\" file /dev/null", 1, "not a file that is memory" },
		{ "f=$(mktemp build/scrub-test.XXXXXX); echo kept >$f; \"$P\" file $f; s=$?; "
		  "grep -q kept $f || s=9; rm $f; (exit $s)",
		  1, "says nothing of the blocks it had before" },
		{ "\"$P\"", 2, "no verb" },
		{ "\"$P\" polish", 2, "unknown verb: polish" },
		{ "\"$P\" file", 2, "no file" },
		{ "\"$P\" bench much", 2, "too much: much" },
		{ "\"$P\" --fast bench", 2, "unknown option: --fast" },
		{ "\"$P\" --help", 0, "usage: cordon-scrub" },
		{ "\"$P\" --version", 0, "cordon-scrub " },
		{ "\"$P\" --help >/dev/full", 3, "No space left" },
	};
	char out[4096];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int status = shell(cases[i].line, out, sizeof(out));

		if (status != cases[i].status || !strstr(out, cases[i].says))
			fail_msg("%s: status %d, %s", cases[i].line, status, out);
	}
}

static void bench_compares_with_limits(void **state)
{
	char out[8192];

	(void)state;
	assert_int_equal(shell("\"$P\" bench --json", out, sizeof(out)), 0);
	assert_non_null(strstr(out, "{\"schema\":\"cordon.scrub-bench/1\",\"method\":\""));
	assert_non_null(strstr(out, "\"case\":\"scrub of a memfd\""));
	assert_non_null(strstr(out, "\"against\":\"memcmp\",\"ratio\":"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(says_what_it_did),
		cmocka_unit_test(bench_compares_with_limits),
	};

	return cmocka_run_group_tests_name("cordon-scrub", tests, NULL, NULL);
}
