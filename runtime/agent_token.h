/*
 * runtime/agent_token.h - the sandbox's evidence as the agent gets it from its keeper: taken
 * out of a sealed memfd, and compared with what the agent knows itself. Its signature is not
 * checked here: the key service does that, and the host that signed it could lie here as
 * well as there. What this finds is a mistake of the host, before a nonce is spent on it.
 */
#pragma once

#include "runtime/agent.h"

/* The token and a final zero, the caller's to free; *ret_len characters. `fd` must be a memfd
 * that nobody can change any more, of at most AGENT_TOKEN_MAX bytes. */
__attribute__((warn_unused_result)) enum runtime_status
agent_token_take(int fd, char **ret, size_t *ret_len, struct runtime_error *reterr);

/* Is it for this session's descriptor, and for what was asked? */
__attribute__((warn_unused_result)) enum runtime_status
agent_token_check(const char *token, size_t len, const struct agent_job *job,
		  const uint8_t report_data[static AGENT_REPORT_DATA],
		  struct runtime_error *reterr);
