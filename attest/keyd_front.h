/*
 * attest/keyd_front.h - the process that strangers talk to: TLS 1.3, HTTP, the messages of
 * the KBS protocol. It turns them into the store's typed messages and back. It has the key
 * of its TLS certificate, and no other: no database, no log, no evidence is judged here, and
 * of a tenant's secret it sees only what is sealed to somebody else.
 *
 * One thread, one loop (libevent), which never waits for anybody. A connection is always in
 * one phase that has an absolute deadline. Where there is no room for a new connection, the
 * one that has been doing nothing for the longest time is closed for it; where all are at
 * work, the new one is closed at once.
 */
#pragma once

#include "attest/keyd_config.h"
#include "attest/keyd_confine.h"

struct keyd_front {
	const struct keyd_options *options;
	const struct keyd_identity *identity;
	int listener; /* a listening TCP socket */
	int store;    /* the store's socket: its end is ours */
	int ready;    /* written to, and closed, when connections are taken */
};

/* The front's life; the descriptors are taken over. */
__attribute__((warn_unused_result)) enum attest_status
keyd_front_run(const struct keyd_front *f, struct attest_error *reterr);
