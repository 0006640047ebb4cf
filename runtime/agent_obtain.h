/*
 * runtime/agent_obtain.h - all that an agent does between its first message and its last: the
 * job, a key pair, the key service, the evidence, and each key into its file.
 */
#pragma once

#include "runtime/agent.h"

#define AGENT_MS 60000 /* for all of it; the keeper's patience is longer */

/*
 * RUNTIME_OK: every key is in its file, all secrets were zeroed and freed, and *ret_program
 * is the workload's descriptor, CLOEXEC and the caller's. READY is the caller's to say, as
 * is REFUSED: reterr says why, and holds no secret. All else that came is closed.
 */
__attribute__((warn_unused_result)) enum runtime_status
agent_obtain(int sock, int64_t deadline, int *ret_program, struct runtime_error *reterr);

/* Into a new, empty file: all of it or an error. (agent_obtain's, shown for its tests.) */
__attribute__((warn_unused_result)) enum runtime_status
agent_put_key(int fd, const char *name, const void *secret, size_t len,
	      struct runtime_error *reterr);
