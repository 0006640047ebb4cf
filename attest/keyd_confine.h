/*
 * attest/keyd_confine.h - what the processes of the key service that strangers talk to give
 * up before they do. Each step is for good, and a step that fails is a reason not to start.
 */
#pragma once

#include "attest/attest.h"

struct keyd_identity {
	uid_t uid;
	gid_t gid;
	bool change; /* we are root; else we stay who we are */
};

/* The ids of a user. ATTEST_MALFORMED: we are root, and there is no such user, or it is root
 * as well. */
__attribute__((warn_unused_result)) enum attest_status
keyd_identity_find(const char *user, struct keyd_identity *ret, struct attest_error *reterr);

/* Becomes that user, without groups, capabilities (all five sets), core dumps, and ways to
 * gain privileges; dies with its parent. */
__attribute__((warn_unused_result)) enum attest_status
keyd_confine_identity(const struct keyd_identity *id, struct attest_error *reterr);

/* From here on this process may make these system calls, and dies of any other. */
__attribute__((warn_unused_result)) enum attest_status
keyd_confine_calls(const uint32_t *calls, size_t n, struct attest_error *reterr);

/* A fork into new network, IPC, mount, UTS and PID namespaces, as far as the kernel gives
 * them: as root directly, else below a user namespace. 0 in the child, -1 with errno. */
pid_t keyd_confine_fork(void);
