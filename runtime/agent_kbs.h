/*
 * runtime/agent_kbs.h - the client's side of the KBS protocol 0.4.0 over one connection: it
 * asks, and reads answers that it does not trust further than they are checked. No retries:
 * who starts the session may start it again.
 */
#pragma once

#include "attest/kbs.h"
#include "runtime/agent_tls.h"

struct agent_kbs {
	struct agent_tls *tls;
	const struct agent_service *to;
	char session[KBS_SESSION_ID]; /* from the first answer on */
};

/* The challenge, and the session that it is of. */
__attribute__((warn_unused_result)) enum runtime_status
agent_kbs_auth(struct agent_kbs *k, const char *tee, struct kbs_challenge *ret,
	       struct runtime_error *reterr);
/* RUNTIME_OK: the service accepts the evidence. Its token is of no use here: the session's
 * cookie says as much. */
__attribute__((warn_unused_result)) enum runtime_status
agent_kbs_attest(struct agent_kbs *k, const struct kbs_attestation *a,
		 struct runtime_error *reterr);
/* The resource as it is sealed. `resource` is kbs:///REPOSITORY/TYPE/TAG; *ret is zeroed and
 * freed by http_reader_free, its body is the text. */
__attribute__((warn_unused_result)) enum runtime_status
agent_kbs_resource(struct agent_kbs *k, const char *resource, struct http_reader **ret,
		   struct runtime_error *reterr);

/* What attest/ found, at `step`, for whoever reads runtime's errors. Returns `s` by name. */
enum runtime_status agent_attest_failed(enum attest_status s, const char *step,
					const struct attest_error *from,
					struct runtime_error *reterr);
