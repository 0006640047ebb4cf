/* policy/attestation_text.c - what a policy demands of evidence, without making its plan. */
#include "policy/policy_internal.h"

const char *policy_attestation_text(const struct policy *p)
{
	return p->draft.attestation ? p->draft.attestation : "";
}

const char *policy_tenant(const struct policy *p)
{
	return p->draft.tenant;
}
