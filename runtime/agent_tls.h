/*
 * runtime/agent_tls.h - TLS 1.3 to the key service, over a byte stream that somebody else
 * made and may read, cut, delay or change.
 *
 * What is believed: one certificate, by its SHA-256 (`service_ca`). The server must send it,
 * as its own or as an issuer's, and everything must lead to that very certificate, which is
 * the chain's end whether it is self-signed or not. Every certificate of the chain, that one
 * too, is valid now; issuers are allowed to sign; the server's is for servers and names the
 * host in its subjectAltName (the common name is not looked at, "*" stands for a whole label
 * only). The system's certificates are not there, and not asked for. Revocation is not
 * asked either: who withdraws a service's CA changes the policy.
 */
#pragma once

#include "runtime/agent_service.h"
#include "runtime/runtime.h"

struct agent_tls;

/* The deadline (runtime/deadline.h) is one for all: past it, every call fails. `stream` and
 * `to` are borrowed until agent_tls_free. */
__attribute__((warn_unused_result)) enum runtime_status
agent_tls_connect(int stream, const struct agent_service *to, int64_t deadline,
		  struct agent_tls **ret, struct runtime_error *reterr);
__attribute__((warn_unused_result)) enum runtime_status
agent_tls_write(struct agent_tls *t, const void *bytes, size_t len,
		struct runtime_error *reterr);
/* At least one byte; the end of the stream is an error. */
__attribute__((warn_unused_result)) enum runtime_status
agent_tls_read(struct agent_tls *t, void *buf, size_t size, size_t *ret_len,
	       struct runtime_error *reterr);
void agent_tls_free(struct agent_tls *t); /* NULL is allowed */
