/*
 * runtime/init.h - what `cordon init` makes, in the order in which it makes it.
 *
 * Everything but the host's own key is made in a folder beside the one that is asked for,
 * and gets that one's name when it is whole. While the host has no key yet a file in it says
 * so (INIT_UNFINISHED): the next run of somebody who was interrupted goes on from there.
 * Nothing that exists is ever written over.
 *
 *   DIR/anchors/anchor.pem   the development anchor; DIR/anchor.key is its key
 *   DIR/keyd/ca.pem, ca.key  what certifies the key service's TLS key, for this machine alone
 *   DIR/keyd/server.pem, server.key
 *   DIR/keyd/keyd.yaml       its configuration; DIR/keyd/store/ is empty
 *   DIR/policy.yaml          a policy of tenant acme
 *   STATE/keys/attestation.key, attestation.pem   the host's (runtime/clerk_attest.h)
 */
#pragma once

#include <limits.h>
#include <openssl/x509.h> /* for attest/anchor.h */

#include "attest/anchor.h"
#include "runtime/runtime.h"

#define INIT_UNFINISHED "unfinished"
#define INIT_DIGEST 32u
#define INIT_HOST 65u

#define INIT_ATTESTATION_KEY "attestation.key"
#define INIT_ATTESTATION_PEM "attestation.pem"

struct init {
	char dir[PATH_MAX];   /* absolute; a file of text can hold it */
	char host[INIT_HOST]; /* the host's id */
	unsigned port;        /* of the key service */
	struct anchor_span valid;
};

/* The new folder with all that is in it, from an empty one. */
__attribute__((warn_unused_result)) enum runtime_status
init_fill(int dir_fd, const struct init *i, struct runtime_error *reterr);
/* The host's key below `keys_fd` (the state's), certified by the anchor of the folder. One
 * that an interrupted run has made is used. */
__attribute__((warn_unused_result)) enum runtime_status
init_host(int dir_fd, int keys_fd, const struct init *i, struct runtime_error *reterr);

/* ---- parts ----------------------------------------------------------------------- */

/* A CA that can certify this machine's own names and no other, and a server key with its
 * certificate: the SHA-256 of the CA's DER is what a policy pins as service_ca. */
__attribute__((warn_unused_result)) enum runtime_status
init_tls(int keyd_fd, struct anchor_span valid, uint8_t ret_ca[static INIT_DIGEST],
	 struct runtime_error *reterr);
/* The texts, the caller's to free; NULL: no memory. */
char *init_keyd_text(const struct init *i);
char *init_policy_text(const struct init *i, const uint8_t ca[static INIT_DIGEST]);

/* Makes a file, whole and durable; it must not be there. */
__attribute__((warn_unused_result)) enum runtime_status init_put(int dir_fd, const char *name,
								 mode_t mode, const char *text,
								 size_t len,
								 struct runtime_error *reterr);
