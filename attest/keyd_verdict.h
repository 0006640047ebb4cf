/*
 * attest/keyd_verdict.h - an answer of attest/evidence.h as the typed message of fixed size
 * that a verifier sends, and the store's judgement of it. The verifier makes it of an answer;
 * the store makes an answer of it again, so that evidence_release decides in both forms of
 * the same thing.
 */
#pragma once

#include "attest/evidence.h"
#include "attest/keyd_store.h"

/* Claims that have no room in a verdict are left out: a policy that asks for them refuses. */
void keyd_verdict_make(const struct attest_result *r, struct keyd_verdict *ret);
/* A refusal without an answer; `reason` is cleaned. */
void keyd_verdict_refuse(enum evidence_verdict v, const char *reason, struct keyd_verdict *ret);

/* A judge that knows policies as policy/attestation.h has them: the attestation block. */
extern const struct keyd_judge keyd_judge;
