/*
 * attest/measure_view.h - the files that a sandbox of a plan will see, looked up on the host
 * without making the sandbox: which file is the program?
 *
 * A sandbox's root is a folder of the host, or the host's /usr with what belongs to it; over
 * it lie the mounts of the plan and its own memory file systems, which are empty at first.
 * Names are resolved one by one, symbolic links within that view. The answer is the sandbox's
 * as long as nobody changes the host's files, and the file is found, not kept open.
 */
#pragma once

#include <limits.h>

#include "attest/attest.h"
#include "policy/policy.h"

struct measure_program {
	char inside[PATH_MAX]; /* its path in the sandbox, without links */
	char host[PATH_MAX];   /* and on the host */
	bool of_root;          /* it lies in the root itself, in none of the mounts over it */
};

/* The file that execve(2) will be given for the plan's command, looked up in the PATH of its
 * environment. ATTEST_REFUSED: there is none that its user may execute. */
__attribute__((warn_unused_result)) enum attest_status
measure_find_program(const struct policy_plan *plan, struct measure_program *ret,
		     struct attest_error *reterr);
