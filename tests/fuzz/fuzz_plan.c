/* tests/fuzz/fuzz_plan.c - what policy_plan_decode accepts encodes back unchanged, and
 * prints. */
#include "policy/policy.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void print(const struct policy_plan *plan)
{
	char *text = NULL;
	size_t len;
	FILE *to = open_memstream(&text, &len);

	if (!to)
		return;
	policy_plan_print(to, plan);
	policy_plan_explain(to, plan);
	fclose(to);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct policy_plan *plan = NULL;
	uint8_t *again = NULL;
	size_t len = 0;

	if (policy_plan_decode(data, size, &plan, NULL) != POLICY_OK)
		return 0;
	if (policy_plan_encode(plan, &again, &len) != POLICY_OK || len != size ||
	    memcmp(again, data, size) != 0)
		abort();
	print(plan);
	free(again);
	policy_plan_free(plan);
	return 0;
}
