/* policy/plan_digest.c - what is attested of a plan, and how much of its workload.
 * Linked into static programs: libc and libmd only. */
#include "policy/policy.h"

#include <linux/mount.h>
#include <sha2.h>
#include <stdlib.h>

_Static_assert(POLICY_DIGEST == SHA256_DIGEST_LENGTH, "a plan's digest is a SHA-256");

enum policy_status policy_plan_digest(const struct policy_plan *plan,
				      uint8_t ret[static POLICY_DIGEST])
{
	static char none[] = "";
	static uint8_t program[8]; /* every plan has one */
	struct policy_plan attested = *plan;
	enum policy_status s;
	uint8_t *bytes;
	SHA2_CTX sha;
	size_t len;

	attested.attestation = none;
	attested.witness = POLICY_WITNESS_OPTIONAL;
	attested.filter = (struct policy_filter){ .insns = program, .n_insns = 1 };
	s = policy_plan_encode(&attested, &bytes, &len);
	if (s != POLICY_OK)
		return s;
	SHA256Init(&sha);
	SHA256Update(&sha, bytes, len);
	SHA256Final(ret, &sha);
	free(bytes);
	return POLICY_OK;
}

bool policy_plan_runs_copy_alone(const struct policy_plan *plan)
{
	for (size_t i = 0; i < plan->n_mounts; i++)
		if (plan->mounts[i].kind == POLICY_MOUNT_BIND &&
		    !(plan->mounts[i].attr & MOUNT_ATTR_NOEXEC))
			return false;
	return plan->rootfs_copy;
}
