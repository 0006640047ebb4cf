/*
 * runtime/inside.h - what happens between clone3 and execve, inside the new namespaces.
 *
 * Two processes: the sandbox's first process builds the file system, forks, and then only
 * reaps and ends with the workload; its child confines itself and becomes the workload.
 * Both talk to the keeper over one SOCK_SEQPACKET pair until the exec. None of the
 * tenant's code runs before that.
 */
#pragma once

#include "runtime/cgroup.h"
#include "runtime/confine.h"
#include "runtime/mounts.h"

#define INSIDE_EXTRA 2 /* rlimits that stand in for cgroup limits */

struct inside_spec {
	const struct policy_plan *plan;
	struct mounts_ids ids;
	struct mounts *mounts; /* prepared by the keeper when ids.range, else made inside */
	int stdio[3];          /* -1: the terminal */
	bool terminal;
	int sock;              /* this side of the pair */
	int agent, agent_sock; /* runs before the workload, with its socket; -1: nothing does */
	struct cgroup_entry cgroup;
	struct policy_rlimit extra[INSIDE_EXTRA];
	size_t n_extra;
};

#define INSIDE_FIRST_ID 65534 /* the first process's user and group, once it only waits */

enum inside_kind {
	INSIDE_GO = 'g', /* keeper: ids are mapped, the process is traced */
	INSIDE_READY =
		'r', /* workload: confined but for the filter; carries the report; fds are
			      * the terminal's master (if any), every tmpfs, and where an agent
			      * runs first the workload's program (O_PATH) */
	INSIDE_FAILED = 'f', /* either: exit_code and error */
};

struct inside_message {
	uint32_t kind;
	int32_t exit_code; /* 125, 126 or 127 */
	bool noswap;
	bool measured; /* and the root's digest is this */
	uint8_t digest[TREE_DIGEST];
	struct confine_report report;
	struct runtime_error error;
};

#define INSIDE_FDS (1 + MOUNTS_TMPFS + 1)

/* Sends or receives one message; false with errno (0: the other side is gone). */
bool inside_send(int sock, const struct inside_message *m, const int *fds, size_t n_fds);
bool inside_receive(int sock, struct inside_message *ret, int ret_fds[static INSIDE_FDS],
		    size_t *ret_n);

/* The first process. Never returns. */
_Noreturn void inside_main(const struct inside_spec *spec);
