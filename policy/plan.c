/* policy/plan.c - from a policy to a plan. */
#include "policy/policy_internal.h"
#include "policy/words.h"

#include <stdlib.h>

static bool has_command(char *const *argv)
{
	return argv && argv[0];
}

/* One command, from one place: a command line that silently replaced a policy's command
 * would run something else than what was reviewed. */
static enum policy_status choose_command(const struct policy_plan *draft, char *const *argv,
					 struct policy_error *e)
{
	bool written = has_command(draft->process.argv);

	if (draft->class == POLICY_CLASS_GUEST)
		return has_command(argv) ? policy_fail(e, POLICY_REFUSED, "workload",
						       "run it without a command",
						       "a guest runs what its image says")
					 : POLICY_OK;
	if (written && has_command(argv))
		return policy_fail(
			e, POLICY_REFUSED, "workload.command",
			"run it without a command, or remove the policy's",
			"the policy names the command, and the command line another");
	if (!written && !has_command(argv))
		return policy_fail(e, POLICY_REFUSED, "workload.command",
				   "give one behind --, or write workload.command",
				   "neither the policy nor the command line names a command");
	if (!written && !argv[0][0])
		return policy_fail(e, POLICY_REFUSED, "workload.command", NULL,
				   "the command's name is empty");
	return POLICY_OK;
}

/* Through its bytes and back: the plan gets memory of its own and is judged by exactly
 * the checks that whoever carries it out applies. */
static enum policy_status copy_plan(const struct policy_plan *from, struct policy_plan **ret,
				    struct policy_error *e)
{
	uint8_t *bytes = NULL;
	size_t len = 0;
	enum policy_status s = policy_plan_encode(from, &bytes, &len);

	if (s == POLICY_SYSTEM)
		return policy_fail_memory(e);
	if (s != POLICY_OK)
		return policy_fail(
			e, s, NULL, "shorten the command or the environment",
			"the plan is longer than %u bytes, or holds more than a plan may",
			POLICY_PLAN_MAX);
	s = policy_plan_decode(bytes, len, ret, e);
	free(bytes);
	return s;
}

enum policy_status policy_plan_make(const struct policy *p, char *const *argv,
				    struct policy_filter *filter, struct policy_plan **ret,
				    struct policy_error *reterr)
{
	struct policy_plan plan = p->draft;
	struct policy_filter own = { .insns = NULL };
	enum policy_status s = choose_command(&plan, argv, reterr);

	/* A guest's kernel is not this one: its agent compiles the filter there. */
	if (s == POLICY_OK && plan.class == POLICY_CLASS_SANDBOX) {
		if (!filter)
			s = policy_filter_compile(p, &own, reterr);
		plan.filter = filter ? *filter : own;
		if (has_command(argv))
			plan.process.argv = (char **)(uintptr_t)argv; /* read only, below */
	}
	if (s == POLICY_OK)
		s = copy_plan(&plan, ret, reterr);
	policy_filter_clear(filter ? filter : &own);
	return s;
}
