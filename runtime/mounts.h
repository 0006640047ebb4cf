/*
 * runtime/mounts.h - the file system that a sandbox sees.
 *
 * Built with the new mount API only: every mount is made detached, gets its attributes
 * while nobody can reach it, and is attached by descriptor, so that no path of the
 * tenant's tree is ever resolved twice. Two steps, because an ordinary user may clone
 * mounts only inside a user namespace: mounts_prepare() runs in the keeper when that is
 * privileged and in the sandbox's first process when it is not; mounts_enter() always
 * runs in that first process.
 *
 * Host view (plan.rootfs empty): a small tmpfs root with a generated /etc and, read-only
 * from the host, /usr and four parts of /etc that belong to it: alternatives, ld.so.cache,
 * ssl/certs and ssl/openssl.cnf. Nothing else is the host's. Both views get /dev of six
 * nodes and an own devpts, /proc with process folders only, and one size-limited tmpfs
 * whose folders are /tmp, /run, /dev/shm and the home. Everything but those is read-only.
 *
 * A root that is the session's own copy of a folder is a tmpfs, too: a read-only view of it
 * becomes /, and whoever holds its descriptor wipes it at the end.
 *
 * A session with keys has a ramfs more, which no kernel ever swaps: inside it is a read-only
 * view at POLICY_CREDENTIALS, outside whoever holds its descriptor writes the keys there.
 */
#pragma once

#include "attest/tree_digest.h"
#include "policy/policy.h"
#include "runtime/runtime.h"

#define MOUNTS_TMPFS 7 /* the session's own, at most four of the policy, a root, the keys' */
#define MOUNTS_VIEWS 48

/* host ids that the sandbox's ids start at */
struct mounts_ids {
	uid_t first;
	bool range; /* 65536 ids are mapped, inside 0 first; else only the workload's own */
};

struct mounts_view {
	int fd;             /* detached mount */
	const char *target; /* borrowed from the plan or static */
	bool file;
};

struct mounts {
	int root;                /* detached mount that becomes /; -1: a view of tmpfs[copy] */
	bool skeleton;           /* it is our tmpfs: folders are made as needed */
	int tmpfs[MOUNTS_TMPFS]; /* [0] is the session's own; kept open by who holds memory */
	const char *tmpfs_target[MOUNTS_TMPFS];
	uint64_t tmpfs_attr[MOUNTS_TMPFS];
	size_t n_tmpfs;
	bool keys;   /* the last of them is the keys' ramfs */
	size_t copy; /* which of them is the session's own copy of its root; 0: none */
	uint8_t digest[TREE_DIGEST]; /* of that copy */
	bool noswap;                 /* all of tmpfs were made so */
	struct mounts_view views[MOUNTS_VIEWS];
	size_t n_views;
};

/* Makes every detached mount. On failure nothing is left open. */
__attribute__((warn_unused_result)) enum runtime_status
mounts_prepare(const struct policy_plan *plan, const struct mounts_ids *ids, struct mounts *ret,
	       struct runtime_error *reterr);
void mounts_close(struct mounts *m); /* accepts what mounts_init() made */
void mounts_init(struct mounts *m);

/* In the sandbox's first process, in its own mount and pid namespace, as uid 0 of its
 * user namespace (or the only uid that it has): attaches all, makes the new root the
 * only root, read-only. With `terminal` a new pty of the sandbox's devpts is returned. */
__attribute__((warn_unused_result)) enum runtime_status
mounts_enter(const struct policy_plan *plan, const struct mounts_ids *ids, struct mounts *m,
	     bool terminal, int *ret_master, int *ret_slave, struct runtime_error *reterr);

/* Whether `path` (seen inside) is a mount point that a sandbox of this plan has. What lies
 * below a recursive view of the host counts as that view's. */
bool mounts_expected(const struct policy_plan *plan, const char *path);
