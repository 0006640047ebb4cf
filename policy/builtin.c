/* policy/builtin.c - the policy of `cordon run` without -p. It goes through the same
 * parser as every other; what alone sets it apart is that its limits are reported item by
 * item where a host cannot apply them, and do not refuse the start. */
#include "policy/policy_internal.h"

#include <string.h>

/* clang-format off */
static const char text[] =
	"# What cordon run uses without a policy.\n"
	"cordon: 1\n"
	"tenant: local\n"
	"isolation:\n"
	"  class: sandbox\n"
	"  shared-uid: refuse\n"
	"workload:\n"
	"  rootfs: host\n"
	"  hostname: sandbox\n"
	"resources:\n"
	"  memory: 1GiB\n"
	"  cpus: 2\n"
	"  pids: 512\n"
	"  tmpfs: 64MiB\n"
	"  core-scheduling: prefer\n"
	"seccomp: { profile: default }\n"
	"capabilities: []\n"
	"network: { mode: none }\n"
	"scrub: { held: wiped, kernel: none }\n"
	"audit: { witness: optional }\n";
/* clang-format on */

const char *policy_builtin_text(void)
{
	return text;
}

enum policy_status policy_builtin(struct policy **ret, struct policy_error *reterr)
{
	enum policy_status s = policy_parse("built-in policy", text, strlen(text), ret, reterr);

	if (s != POLICY_OK)
		return s;
	(*ret)->draft.builtin = true;
	(*ret)->draft.limits.demanded = false;
	return POLICY_OK;
}
