/* tests/policy/test_settings.c - configuration files: what the table says, and nothing else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "policy/settings.h"

struct values {
	char name[8];
	uint64_t number, inner, list[3];
	size_t n;
};

static enum policy_status read_text(const char *text, size_t len, struct values *v,
				    struct policy_error *e)
{
	const struct setting table[] = {
		{ .name = "name",
		  .kind = SETTING_TEXT,
		  .required = true,
		  .to = v->name,
		  .size = sizeof(v->name) },
		{ .name = "number",
		  .kind = SETTING_NUMBER,
		  .min = 1,
		  .max = 9,
		  .to = &v->number },
		{ .name = "group.inner", .kind = SETTING_NUMBER, .max = 100, .to = &v->inner },
		{ .name = "list",
		  .kind = SETTING_NUMBERS,
		  .max = 100,
		  .to = v->list,
		  .size = 3,
		  .n = &v->n },
		{ .name = NULL },
	};

	return settings_parse("file", text, len, table, e);
}

static void reads_what_the_table_names(void **state)
{
	static const char text[] =
		"name: \"abc\"\nnumber: 7\ngroup: { inner: 100 }\nlist: [1, 2]\n";
	struct values v = { .number = 3 };

	(void)state;
	assert_int_equal(read_text(text, strlen(text), &v, NULL), POLICY_OK);
	assert_string_equal(v.name, "abc");
	assert_int_equal(v.number, 7);
	assert_int_equal(v.inner, 100);
	assert_int_equal(v.n, 2);
	assert_int_equal(v.list[1], 2);
}

static void keeps_what_the_file_does_not_say(void **state)
{
	struct values v = { .number = 3, .inner = 4 };

	(void)state;
	assert_int_equal(read_text("name: x", 7, &v, NULL), POLICY_OK);
	assert_int_equal(v.number, 3);
	assert_int_equal(v.inner, 4);
	assert_int_equal(v.n, 0);
}

/* Where a finding stands, and about which key. */
static void refuses_all_else_with_its_place(void **state)
{
	static const struct {
		const char *text;
		unsigned line, column;
		const char *key;
	} wrong[] = {
		{ "number: 7", 0, 0, "name" },
		{ "name: x\nnumber: 0", 2, 9, "number" },
		{ "name: x\nnumber: 10", 2, 9, "number" },
		{ "name: x\nnumber: \"7\"", 2, 9, "number" },
		{ "name: x\nnumber: 7.5", 2, 9, "number" },
		{ "name: x\nnumber: -1", 2, 9, "number" },
		{ "name: x\nnumber: 07", 2, 9, "number" },
		{ "name: x\nnumber: 99999999999999999999", 2, 9, "number" },
		{ "name: x\nnumber: [7]", 2, 9, "number" },
		{ "name: ''", 1, 7, "name" },
		{ "name: [x]", 1, 7, "name" },
		{ "name: abcdefgh", 1, 7, "name" },
		{ "name: \"a\\nb\"", 1, 7, "name" },
		{ "name: x\nother: 1", 2, 1, "other" },
		{ "name: x\ngroup: { other: 1 }", 2, 10, "group.other" },
		{ "name: x\ngroup: 1", 2, 8, "group" },
		{ "name: x\ngroup.inner: 1", 2, 1, "group.inner" },
		{ "name: x\nname: y", 2, 1, "name" },
		{ "name: x\nlist: 1", 2, 7, "list" },
		{ "name: x\nlist: [1, 2, 3, 4]", 2, 7, "list" },
		{ "name: x\nlist: [101]", 2, 8, "list" },
		{ "[name, x]", 1, 1, "" },
		{ "", 1, 1, "" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct policy_error e = { .what = "" };
		struct values v = { .number = 3 };

		assert_int_equal(read_text(wrong[i].text, strlen(wrong[i].text), &v, &e),
				 POLICY_INVALID);
		assert_string_equal(e.file, "file");
		assert_string_equal(e.key, wrong[i].key);
		assert_int_equal(e.line, wrong[i].line);
		assert_int_equal(e.column, wrong[i].column);
		assert_true(e.what[0]);
	}
}

/* Each prefix, each changed byte: an answer, and no more memory than there is. */
static void no_text_breaks_it(void **state)
{
	static const char text[] = "name: abc\nnumber: 7\ngroup: { inner: 1 }\nlist: [1, 2]\n";
	size_t len = strlen(text);
	struct values v = { .n = 0 };

	(void)state;
	for (size_t cut = 0; cut <= len; cut++) {
		char *copy = malloc(cut + 1);

		assert_non_null(copy);
		memcpy(copy, text, cut);
		(void)!read_text(copy, cut, &v, NULL);
		for (size_t i = 0; cut == len && i < 8 * len; i++) {
			copy[i / 8] = (char)(text[i / 8] ^ (1 << i % 8));
			(void)!read_text(copy, cut, &v, NULL);
			copy[i / 8] = text[i / 8];
		}
		free(copy);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_what_the_table_names),
		cmocka_unit_test(keeps_what_the_file_does_not_say),
		cmocka_unit_test(refuses_all_else_with_its_place),
		cmocka_unit_test(no_text_breaks_it),
	};

	return cmocka_run_group_tests_name("settings", tests, NULL, NULL);
}
