/* policy/plan_digest.c - what is attested of a plan. Linked into static programs: libc and
 * libmd only. */
#include "policy/policy.h"

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
