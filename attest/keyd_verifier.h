/*
 * attest/keyd_verifier.h - who looks into evidence. The zygote is forked before the service
 * opens any key: it has the anchors, no network, and no files. For each VERIFY of the store
 * (attest/keyd_store.h) it forks a verifier, which gives up what is left (but for its two
 * descriptors and the calls that reading, computing and answering need), takes the body of
 * one request apart, says one VERDICT, and ends. One that does not end in time is killed.
 *
 * primary_evidence by the request's `tee`:
 *   cordon-sandbox   {"token": "..."}: attest/sandbox_token.h. The session's descriptor is
 *                    the init-data, and must be there.
 *   snp, tdx, cordon-simulated: this build judges none, so they are refused.
 */
#pragma once

#include "attest/evidence.h"
#include "attest/keyd_confine.h"

struct keyd_verifier {
	int sock; /* the store's VERIFY messages come here; its end is ours */
	const struct endorsements *endorsements;
	const struct keyd_identity *identity;
	unsigned seconds; /* for one verification */
	int ready;        /* written to, and closed, when messages are taken */
};

/* The zygote's life. The caller is the child of keyd_confine_fork, and exits with what this
 * returns: 0, or attest_exit of what `reterr` says. */
__attribute__((warn_unused_result)) enum attest_status
keyd_verifier_run(struct keyd_verifier *v, struct attest_error *reterr);

struct keyd_verify;
struct keyd_verdict;

/* What a verifier does between its two messages, in this process. For tests. */
void keyd_verifier_judge(const struct keyd_verify *ask, const char *body, size_t len,
			 const struct endorsements *en, struct keyd_verdict *ret);
