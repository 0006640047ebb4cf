/*
 * attest/keyd_config.h - the configuration of the key service: one YAML file (policy/settings.h),
 * described in cordon-keyd.yaml(5). Paths in it are looked up beside the file.
 */
#pragma once

#include "attest/attest.h"

#define KEYD_PATH_MAX 4096u
#define KEYD_ADMINS 16u

/* What a stranger may cost us. Times are seconds, all of them absolute: a byte now and then
 * does not move them. */
struct keyd_limits {
	uint64_t connections;             /* at once */
	uint64_t connections_per_address; /* an IPv4 address, or an IPv6 network of 64 bits */
	uint64_t connection_age;          /* no new request is taken after it */
	uint64_t requests;                /* of one connection */
	uint64_t handshake;               /* from the accept to the end of the TLS handshake */
	uint64_t idle;                    /* between two requests */
	uint64_t head;       /* from a request's first byte to the end of its head */
	uint64_t request;    /* from its first byte to its last */
	uint64_t answer;     /* for the client to take it */
	uint64_t verify;     /* for a verifier */
	uint64_t body;       /* KiB of a request */
	uint64_t memory;     /* MiB that requests may take up, all together */
	uint64_t challenges; /* per address, in a minute */
	uint64_t session;    /* from challenge to the last release */
	uint64_t sessions;   /* that live at once */
};

struct keyd_options {
	char host[256], port[8]; /* numeric */
	char certificate[KEYD_PATH_MAX], key[KEYD_PATH_MAX];
	char store[KEYD_PATH_MAX];
	char anchors[KEYD_PATH_MAX];
	char endorsements[KEYD_PATH_MAX]; /* "": none */
	char user[33]; /* who the processes become that strangers talk to, if we are root */
	uid_t admins[KEYD_ADMINS];
	size_t n_admins;
	struct keyd_limits limits;
};

/* Bytes that a connection may take up beside the body of its request: TLS, and the head. */
#define KEYD_CONNECTION_BYTES ((64u << 10) + (128u << 10))

/* ATTEST_MALFORMED: no such configuration; also one whose limits do not fit into its
 * memory. */
__attribute__((warn_unused_result)) enum attest_status
keyd_config_load(const char *path, struct keyd_options *ret, struct attest_error *reterr);
