/*
 * runtime/cgroup.h - a session's limits through cgroups, v1, v2 or both at once: each
 * controller is used where this host mounts it, below the caller's own cgroup.
 *
 * Nothing is guessed from one path: /proc/self/cgroup says where the caller is in each
 * hierarchy, /proc/self/mountinfo where that hierarchy can be reached. Not thread-safe.
 */
#pragma once

#include "policy/policy.h"
#include "runtime/runtime.h"

enum cgroup_controller { CGROUP_MEMORY = 1, CGROUP_PIDS = 2, CGROUP_CPU = 4 };
#define CGROUP_ALL (CGROUP_MEMORY | CGROUP_PIDS | CGROUP_CPU)
#define CGROUP_DIRS 3 /* at most one a controller */
#define CGROUP_PATH 320

struct cgroup_dir {
	char path[CGROUP_PATH]; /* absolute, of the session's own folder */
	unsigned controllers;   /* enum cgroup_controller bits that it serves */
	bool v2;
};

struct cgroup {
	struct cgroup_dir dirs[CGROUP_DIRS];
	size_t n;
	unsigned served; /* controllers that some folder serves */
};

const char *cgroup_controller_str(enum cgroup_controller c); /* "memory" */

/* Where the caller is and what is mounted: the texts of /proc/self/cgroup and
 * /proc/self/mountinfo. */
struct cgroup_host {
	const char *self, *mountinfo;
};

/* The caller's own folder in the hierarchy of `controller` (NULL: cgroup2), as a path that
 * can be opened here; *ret_floor is the length of the mount point in it. */
bool cgroup_locate(const struct cgroup_host *host, const char *controller,
		   char ret[static CGROUP_PATH], size_t *ret_floor);

/* cgroup_find() on a host as these texts describe it. */
void cgroup_find_on(const struct cgroup_host *host, unsigned wanted, bool look,
		    const uint8_t id[static SESSION_ID_BYTES], struct cgroup *ret);

/* Chooses the folders that would serve `wanted`; makes none. On a v2 hierarchy it may
 * switch controllers on for the children of a folder that the caller may write, unless it
 * is only to `look`. What cannot be served is left out of ret->served; that is not an error. */
__attribute__((warn_unused_result)) enum runtime_status
cgroup_find(unsigned wanted, bool look, const uint8_t id[static SESSION_ID_BYTES],
	    struct cgroup *ret, struct runtime_error *reterr);

/* Makes the folders, writes the limits, reads each back. On failure what was made is
 * removed again. */
__attribute__((warn_unused_result)) enum runtime_status
cgroup_make(const struct cgroup *cg, const struct policy_limits *limits,
	    struct runtime_error *reterr);

/* The ways in for a process that does not exist yet. Moving somebody else's makes the
 * kernel stop every fork on the host for a moment (an RCU wait, 10 ms and more), so a new
 * process is born into a v2 folder (clone3's CLONE_INTO_CGROUP) and, while it has one
 * thread, enters v1 folders by itself. */
struct cgroup_entry {
	int into;               /* for clone3, or -1 */
	int tasks[CGROUP_DIRS]; /* opened by the caller, whose right it is that counts */
	size_t n;
};

__attribute__((warn_unused_result)) enum runtime_status
cgroup_open(const struct cgroup *cg, struct cgroup_entry *ret, struct runtime_error *reterr);
/* In the new process, before it changes its ids. False with errno. */
bool cgroup_enter(const struct cgroup_entry *entry);
void cgroup_close(struct cgroup_entry *entry);

/* How many processes the kernel killed at this session's memory limit; 0 where it does not
 * say. */
unsigned cgroup_oom_kills(const struct cgroup *cg);

/* Kills what is left in it (by pidfd) and removes one folder; a missing one is fine.
 * Bounded: about two seconds, then RUNTIME_SYSTEM. */
__attribute__((warn_unused_result)) enum runtime_status
cgroup_remove(const char *path, struct runtime_error *reterr);
