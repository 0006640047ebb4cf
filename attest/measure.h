/*
 * attest/measure.h - reference values: what the evidence of a sandbox of this plan will say,
 * found out without running it. Whoever writes a policy calls this on a host that he trusts,
 * with the same files.
 */
#pragma once

#include "attest/measure_view.h"
#include "attest/sandbox_token.h"

struct measures {
	uint8_t plan[SANDBOX_DIGEST], workload[SANDBOX_DIGEST], cordon[SANDBOX_DIGEST];
	enum sandbox_coverage coverage;
	struct measure_program program;
};

/* `keeper` is the cordon-keeper that will run it. ATTEST_REFUSED: no session of this plan
 * would start. ATTEST_MALFORMED: the keeper cannot be read. */
__attribute__((warn_unused_result)) enum attest_status
measure_sandbox(const struct policy_plan *plan, const char *keeper, struct measures *ret,
		struct attest_error *reterr);
