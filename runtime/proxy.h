/*
 * runtime/proxy.h - cordon-proxy: bytes between a sandbox without a network and one address.
 *
 * `cordon-proxy HOST PORT`, started by a keeper with one end of a stream socket pair as
 * descriptor 0; the agent speaks TLS over the other, so all that passes here is sealed. It
 * resolves and connects once, moves bytes until one side ends, and ends. At each step it is
 * able to do no more than the next ones need:
 *
 *   proxy_begin     no other descriptors; nobody (65534) where root started it; no
 *                   capabilities, no_new_privs; it dies with its keeper
 *   proxy_connect   resolves as nobody; then Landlock: no file, and from ABI 4 on no TCP
 *                   but to that port; connects to the first address that answers
 *   proxy_seal      seven system calls are left; no descriptor can be made any more
 *   proxy_pump      the bytes, counted, until the deadline
 *
 * Exit status: 0 a side ended, 1 a limit was reached, 2 it was called wrongly, 3 it could
 * not connect or confine itself. Unless 0, one line on standard error says why; whoever
 * starts it collects that.
 */
#pragma once

#include "runtime/runtime.h"

#define PROXY_UP (1u << 20)   /* bytes to the service: evidence and a few requests */
#define PROXY_DOWN (4u << 20) /* bytes from it: at most 16 sealed keys */
#define PROXY_MS 90000        /* for all of it; an agent gives up before */

struct proxy_limits {
	uint64_t up, down;
	int64_t deadline; /* runtime/deadline.h */
};

__attribute__((warn_unused_result)) enum runtime_status
proxy_begin(struct runtime_error *reterr);
__attribute__((warn_unused_result)) enum runtime_status
proxy_connect(const char *host, const char *port, int64_t deadline, int *ret_fd,
	      struct runtime_error *reterr);
__attribute__((warn_unused_result)) enum runtime_status
proxy_seal(struct runtime_error *reterr);
/* RUNTIME_REFUSED: a limit; an end of either side, in whatever way, is RUNTIME_OK. */
__attribute__((warn_unused_result)) enum runtime_status
proxy_pump(int near, int far, const struct proxy_limits *limits, struct runtime_error *reterr);

/* Landlock's part of proxy_connect, shown for its tests. A kernel without it: RUNTIME_OK,
 * the other walls stand. */
__attribute__((warn_unused_result)) enum runtime_status
proxy_confine(uint16_t port, struct runtime_error *reterr);
