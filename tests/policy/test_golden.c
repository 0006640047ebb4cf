/* tests/policy/test_golden.c - policies and the exact plan text that each becomes. After a
 * change that is meant, CORDON_GOLDEN=write renews tests/policy/golden/NAME.plan. */
#include "tests/policy/sample.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define GOLDEN "tests/policy/golden/"

static char *plan_text(const struct policy *p, bool command)
{
	static char word[] = "COMMAND";
	char *argv[] = { word, NULL };
	struct policy_filter f = sample_filter();
	struct policy_plan *plan = NULL;
	struct policy_error e;
	char *text = NULL;
	size_t len;
	FILE *to = open_memstream(&text, &len);

	assert_non_null(to);
	if (policy_plan_make(p, command ? argv : NULL, &f, &plan, &e) != POLICY_OK)
		fail_msg("%s: %s", e.key, e.what);
	policy_plan_print(to, plan);
	assert_int_equal(fclose(to), 0);
	policy_plan_free(plan);
	return text;
}

static void write_golden(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static void compare(const char *name, const char *text)
{
	static char wanted[65536];
	char path[128];
	size_t len;
	FILE *f;

	snprintf(path, sizeof(path), GOLDEN "%s.plan", name);
	if (getenv("CORDON_GOLDEN"))
		write_golden(path, text);
	f = fopen(path, "r");
	assert_non_null(f);
	len = fread(wanted, 1, sizeof(wanted) - 1, f);
	fclose(f);
	wanted[len] = '\0';
	assert_string_equal(text, wanted);
}

static void golden(const char *name, bool command)
{
	struct policy *p = NULL;
	struct policy_error e;
	char path[128], *text;

	snprintf(path, sizeof(path), GOLDEN "%s.yaml", name);
	if (policy_load(path, &p, &e) != POLICY_OK)
		fail_msg("%s:%u:%u: %s: %s", path, e.line, e.column, e.key, e.what);
	text = plan_text(p, command);
	policy_free(p);
	compare(name, text);
	free(text);
}

static void builtin_policy(void **state)
{
	struct policy *p = NULL;
	struct policy_error e;
	char *text;

	(void)state;
	assert_int_equal(policy_builtin(&p, &e), POLICY_OK);
	text = plan_text(p, true);
	policy_free(p);
	compare("builtin", text);
	free(text);
}

static void smallest_sandbox(void **state)
{
	(void)state;
	golden("smallest", true);
}

static void whole_sandbox(void **state)
{
	(void)state;
	golden("sandbox", false);
}

static void guest_with_keys(void **state)
{
	(void)state;
	golden("guest", false);
}

static void guest_without_a_tee(void **state)
{
	(void)state;
	golden("guest-none", false);
}

static void written_as_json(void **state)
{
	(void)state;
	golden("json", false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(builtin_policy),      cmocka_unit_test(smallest_sandbox),
		cmocka_unit_test(whole_sandbox),       cmocka_unit_test(guest_with_keys),
		cmocka_unit_test(guest_without_a_tee), cmocka_unit_test(written_as_json),
	};

	return cmocka_run_group_tests_name("golden", tests, NULL, NULL);
}
