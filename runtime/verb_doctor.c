/* runtime/verb_doctor.c - `cordon doctor`: prints what runtime/doctor.c found. */
#include "runtime/verb.h"

#include <stdlib.h>

#include "runtime/doctor.h"
#include "runtime/table.h"

static bool print_findings(const struct doctor_finding *all, size_t n)
{
	static const char *const heads[] = { "GROUP", "CHECK", "RESULT", "DETAIL" };
	AUTO(table_freep) struct table *t = table_new(heads, 4);
	bool made = t != NULL;

	for (size_t i = 0; i < n && made; i++) {
		const char *cells[] = { doctor_group_str(all[i].group), all[i].id,
					doctor_result_str(all[i].result), all[i].detail };

		made = table_row(t, cells);
	}
	if (made)
		table_print(t, stdout);
	return made;
}

/* What to do about each check that is not ok. */
static bool print_mends(const struct doctor_finding *all, size_t n)
{
	static const char *const heads[] = { "CHECK", "HOW TO MEND" };
	AUTO(table_freep) struct table *t = table_new(heads, 2);
	bool made = t != NULL, any = false;

	for (size_t i = 0; i < n && made; i++) {
		const char *cells[] = { all[i].id, all[i].mend };

		if (all[i].result == DOCTOR_OK || all[i].mend[0] == '\0')
			continue;
		any = true;
		made = table_row(t, cells);
	}
	if (made && any) {
		putchar('\n');
		table_print(t, stdout);
	}
	return made;
}

static int print_tables(const struct doctor_finding *all, size_t n)
{
	struct runtime_error e;

	if (!print_findings(all, n) || !print_mends(all, n))
		return verb_fail(runtime_fail(&e, RUNTIME_SYSTEM, "", "", "no memory"), &e);
	return verb_finish(0);
}

static int print_json(const struct doctor_finding *all, size_t n)
{
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(
			list,
			json_pack("{s:s, s:s, s:b, s:s, s:o, s:s}", "id", all[i].id, "group",
				  doctor_group_str(all[i].group), "needed", all[i].needed,
				  "result", doctor_result_str(all[i].result), "detail",
				  verb_json_text(all[i].detail), "mend",
				  all[i].result == DOCTOR_OK ? "" : all[i].mend));
	return verb_json_print(
		json_pack("{s:s, s:o}", "schema", "cordon.doctor/1", "checks", list), false);
}

/* Whether sandboxes can be started here: a "no" is worse than a "could not tell". */
static int answer(const struct doctor_finding *all, size_t n)
{
	enum runtime_status s = RUNTIME_OK;

	for (size_t i = 0; i < n; i++) {
		if (!all[i].needed)
			continue;
		if (all[i].result == DOCTOR_MISSING)
			return runtime_exit(RUNTIME_REFUSED);
		if (all[i].result == DOCTOR_UNKNOWN)
			s = RUNTIME_SYSTEM;
	}
	return runtime_exit(s);
}

int verb_doctor(const struct verb_context *cx, int argc, char **argv)
{
	bool json = false;
	const struct verb_option options[] = { { .name = "--json", .flag = &json } };
	AUTO(freep) struct doctor_finding *all = NULL;
	size_t operands, n = doctor_checks();
	struct runtime_error e;
	enum runtime_status s = verb_options(argc, argv, options, 1, 0, &operands, &e);
	int printed;

	if (s != RUNTIME_OK)
		return verb_fail(s, &e);
	all = calloc(n, sizeof(*all));
	if (!all)
		return verb_fail(runtime_fail(&e, RUNTIME_SYSTEM, "", "", "no memory"), &e);
	for (size_t i = 0; i < n; i++)
		doctor_check(i, cx->root, &all[i]);
	printed = json ? print_json(all, n) : print_tables(all, n);
	return printed ? printed : answer(all, n);
}
