/*
 * runtime/agent.h - what keeper and agent say to each other, inside of one session, before
 * the tenant's code runs.
 *
 * The agent is the sandbox's second process, confined as the workload will be (ids,
 * namespaces, Landlock, limits, seccomp filter): execve of cordon-agent stands where the
 * workload's stands in a session without keys. It has the workload's argv and environment,
 * standard streams, and descriptor AGENT_SOCK, a SOCK_SEQPACKET socket whose other end is
 * the keeper's; nothing else. All it needs comes over that socket:
 *
 *   keeper -> agent  JOB      the descriptor's text and the keys' resources; descriptors:
 *                             the byte stream to the key service (the proxy's other end),
 *                             the workload's program, one writable file for each key
 *   agent -> keeper  TOKEN?   report_data: "evidence for this, please"
 *   keeper -> agent  TOKEN    a sealed memfd with the token, made by the clerk
 *   agent -> keeper  REFUSED  where and why, for the operator alone; the agent ends
 *   agent -> keeper  READY    every key is in its file; the agent has zeroed its memory of
 *                             them, and executes the workload through its descriptor
 *
 * One message is one packet of a fixed size. Whatever is not of its form, or out of turn,
 * ends the session. Both sides know only what the other says here; no secret is in it.
 */
#pragma once

#include "attest/descriptor.h"
#include "runtime/runtime.h"

#define AGENT_SOCK 3
#define AGENT_KEYS 16u      /* of one session */
#define AGENT_RESOURCE 516u /* "kbs:///REPOSITORY/TYPE/TAG", at most 512, and a zero */
#define AGENT_REPORT_DATA 64u
#define AGENT_TOKEN_MAX 32768u  /* bytes of a token */
#define AGENT_SECRET_MAX 16384u /* bytes of one key */

enum agent_kind {
	AGENT_JOB = 1,
	AGENT_TOKEN_WANTED,
	AGENT_TOKEN,
	AGENT_REFUSED,
	AGENT_READY,
};

struct agent_job {
	char descriptor[DESCRIPTOR_MAX]; /* the text; service and service_ca stand in it */
	uint32_t descriptor_len;
	uint32_t n_keys;
	char resources[AGENT_KEYS][AGENT_RESOURCE];
};

struct agent_message {
	uint32_t kind; /* enum agent_kind */
	union {
		struct agent_job job; /* fds: stream, program, then n_keys files */
		uint8_t report_data[AGENT_REPORT_DATA];
		struct runtime_error error; /* clean text is the receiver's to make sure of */
	};
};

#define AGENT_FDS (2 + AGENT_KEYS)

/* False with errno (0: the other side is gone, or what came is not of this form). Received
 * descriptors are CLOEXEC and the caller's; on failure all are closed. */
bool agent_send(int sock, const struct agent_message *m, const int *fds, size_t n_fds);
bool agent_receive(int sock, struct agent_message *ret, int ret_fds[static AGENT_FDS],
		   size_t *ret_n);
/* A packet that came with `n_fds` descriptors, as a message; false: it is none. What it says
 * nothing about is zero, in `ret` as in the packet. */
bool agent_decode(const void *packet, size_t len, size_t n_fds, struct agent_message *ret);
