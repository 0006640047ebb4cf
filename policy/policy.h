/*
 * policy/policy.h - a tenant's policy, and the plan that is made of it.
 *
 * A policy is what somebody wrote (YAML, strict). A plan is what will be done:
 * complete, immutable, the same text for the same input, and independent of the
 * front end that filled it. The launcher reads plans and nothing else, so an OCI
 * bundle can become one as well.
 *
 * Nothing here starts, mounts, opens sockets, prints or logs; the only files read
 * are the policy and the seccomp profile that it names. Sizes are bytes. Every
 * function may be called from any thread as long as its arguments are not shared.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum policy_status {
	POLICY_OK = 0,
	POLICY_INVALID, /* the input is not a policy, profile or plan; reterr says where */
	POLICY_REFUSED, /* well-formed, but it asks for what is never given; reterr too */
	POLICY_SYSTEM,  /* memory, a file that cannot be read, libseccomp; reterr too */
};

const char *policy_status_str(enum policy_status s);

/* One finding. `line` and `column` count from 1; 0 means "no position". */
struct policy_error {
	char file[256];
	unsigned line, column;
	char key[128];  /* dotted path of the key: resources.memory; may be empty */
	char what[256]; /* what is wrong, one line, no position in it */
	char hint[256]; /* what to do about it; may be empty */
	unsigned other_line, other_column; /* a contradiction's second place, else 0 */
};

/* FILE:LINE:COLUMN: KEY: WHAT (other place: LINE:COLUMN); HINT - as one line, no newline. */
void policy_error_print(FILE *to, const struct policy_error *e);

/* ---- words ----------------------------------------------------------------------- */

enum policy_class { POLICY_CLASS_SANDBOX = 1, POLICY_CLASS_GUEST };

/* bits; POLICY_TEE_NONE only where the policy wrote "none" */
enum policy_tee {
	POLICY_TEE_NONE = 1 << 0,
	POLICY_TEE_SEV_SNP = 1 << 1,
	POLICY_TEE_TDX = 1 << 2,
};

/* resources.core-scheduling */
enum policy_core_sched {
	POLICY_CORE_OFF = 1, /* only by the built-in policy or by writing it */
	POLICY_CORE_PREFER,
	POLICY_CORE_REQUIRE,
};

enum policy_network { POLICY_NET_NONE = 1, POLICY_NET_ISOLATED };

enum policy_held { POLICY_HELD_WIPED = 1, POLICY_HELD_NONE };
enum policy_kernel { POLICY_KERNEL_KERNEL = 1, POLICY_KERNEL_SWEPT, POLICY_KERNEL_NONE };
enum policy_witness { POLICY_WITNESS_OPTIONAL = 1, POLICY_WITNESS_REQUIRED };

/* OCI process.capabilities, in this order */
enum policy_capset {
	POLICY_CAP_BOUNDING,
	POLICY_CAP_EFFECTIVE,
	POLICY_CAP_PERMITTED,
	POLICY_CAP_INHERITABLE,
	POLICY_CAP_AMBIENT,
	POLICY_CAPSETS,
};

enum policy_mount_kind {
	POLICY_MOUNT_BIND = 1,
	POLICY_MOUNT_TMPFS,
	POLICY_MOUNT_PROC,
	POLICY_MOUNT_DEVPTS,
	POLICY_MOUNT_MQUEUE,
};

/* ---- the plan -------------------------------------------------------------------- */

struct policy_mount {
	uint32_t kind; /* enum policy_mount_kind */
	char *source;  /* BIND: absolute host path; else "" */
	char *target;  /* absolute, normal path inside the root (no "..", no "//") */
	uint64_t attr; /* MOUNT_ATTR_* of mount_setattr(2); applied to the whole tree */
	uint64_t size; /* TMPFS: bytes */
	uint32_t mode; /* TMPFS: permissions of its top */
};

struct policy_rlimit {
	uint32_t resource;   /* RLIMIT_* of this architecture */
	uint64_t soft, hard; /* RLIM_INFINITY is UINT64_MAX */
};

/* What is executed. Entering a running session carries one of these, too. */
struct policy_process {
	char **argv;       /* NULL-terminated; argv[0] is looked up in the PATH of env */
	char **env;        /* NULL-terminated NAME=VALUE: exactly the workload's environment */
	char *cwd;         /* absolute, inside the root */
	char *user;        /* login name, as the sandbox's passwd shows it */
	char *home;        /* absolute, inside the root */
	uint32_t uid, gid; /* inside; never 0 from a policy */
	uint32_t *groups;
	size_t n_groups;
	uint32_t umask;
	uint64_t caps[POLICY_CAPSETS]; /* bit n = capability n */
	struct policy_rlimit *rlimits;
	size_t n_rlimits;
	int32_t oom_score_adj;
};

/* OCI hooks: carried, and refused unless the host allows the name */
struct policy_hook {
	/* 0 prestart 1 createRuntime 2 createContainer 3 startContainer 4 poststart 5 poststop */
	uint32_t stage;
	char *path;
	char **argv;
	char **env;
	uint32_t timeout_s;
};

/* 0 = not asked for */
struct policy_limits {
	uint64_t memory;    /* bytes, of the whole session */
	uint64_t cpu_milli; /* 1500 = one and a half CPUs */
	uint64_t pids;
	uint64_t tmpfs;      /* bytes of the session's writable memory file system */
	uint64_t files;      /* RLIMIT_NOFILE */
	uint32_t core_sched; /* enum policy_core_sched */
	bool demanded;       /* written in a policy: what cannot be applied refuses the start.
				False for the built-in policy: reported item by item. */
};

/* A compiled classic-BPF program for seccomp(2). `insns` are struct sock_filter,
 * 8 bytes each, in this host's byte order. */
struct policy_filter {
	uint8_t *insns;
	size_t n_insns;
	uint32_t flags; /* SECCOMP_FILTER_FLAG_* that the profile asked for */
};

/* one explicit flow of an isolated network */
struct policy_rule {
	bool egress;
	char *cidr;        /* "10.0.0.0/8", "fd00::/8" */
	uint32_t protocol; /* IPPROTO_TCP or IPPROTO_UDP */
	uint32_t first_port, last_port;
};

struct policy_key {
	char *name, *resource, *service, *service_ca;
};

struct policy_volume {
	char *name, *source;
	uint64_t size;
	bool read_only;
};

/* class guest; all empty for a sandbox */
struct policy_guest {
	char *kernel, *initrd, *cmdline, *firmware;
	uint32_t vcpus;
	struct policy_volume *volumes;
	size_t n_volumes;
};

struct policy_plan {
	char *tenant;
	uint32_t class;  /* enum policy_class */
	uint32_t tee;    /* enum policy_tee bits; 0 for a sandbox */
	bool shared_uid; /* isolation.shared-uid: accept */
	bool builtin;    /* made of the built-in policy */
	char *rootfs; /* absolute host folder, or "" for read-only views of the host's /usr */
	bool root_writable; /* never from a policy; an OCI bundle may */
	bool rootfs_copy;   /* the root is the session's own copy of rootfs, in memory */
	char *hostname;
	uint64_t namespaces; /* CLONE_NEW* bits to make */
	struct policy_process process;
	bool terminal; /* OCI process.terminal; `cordon run` looks at its own descriptors */
	struct policy_mount *mounts; /* in order */
	size_t n_mounts;
	struct policy_hook *hooks;
	size_t n_hooks;
	struct policy_limits limits;
	char *profile;        /* "default" or the profile's path */
	char *profile_digest; /* SHA-256 of the profile's file, 64 hexadecimal digits; "" for
				 our own */
	char **seccomp_allow, **seccomp_deny; /* the policy's own lists, NULL-terminated */
	struct policy_filter filter;
	uint32_t network; /* enum policy_network */
	struct policy_rule *rules;
	size_t n_rules;
	struct policy_key *keys;
	size_t n_keys;
	uint32_t held, kernel; /* scrub minima: enum policy_held, enum policy_kernel */
	char *attestation;     /* the block as text, indentation kept; "" when absent */
	uint32_t witness;      /* enum policy_witness */
	struct policy_guest guest;
};

struct policy; /* a parsed policy; opaque, immutable */

/* Reads a policy. `name` is used in findings. On failure nothing is returned. */
__attribute__((warn_unused_result)) enum policy_status
policy_parse(const char *name, const char *text, size_t len, struct policy **ret,
	     struct policy_error *reterr);
/* The same from a file of at most POLICY_FILE_MAX bytes; relative profile paths are
 * looked up beside it. */
#define POLICY_FILE_MAX (1u << 20)
__attribute__((warn_unused_result)) enum policy_status
policy_load(const char *path, struct policy **ret, struct policy_error *reterr);
/* What `cordon run` uses without -p: sandbox, no network, no keys, modest limits. */
const char *policy_builtin_text(void);
__attribute__((warn_unused_result)) enum policy_status
policy_builtin(struct policy **ret, struct policy_error *reterr);
/* The attestation block as a plan carries it, "" where there is none. Borrowed. */
const char *policy_attestation_text(const struct policy *p);
const char *policy_tenant(const struct policy *p); /* borrowed */
void policy_free(struct policy *p);
void policy_freep(struct policy **p);

/* The identity of the filter that a policy asks for: the same bytes mean the same
 * program from the same compiler (profile text, lists, capabilities, architecture,
 * libseccomp version, kernel release). Allocated; the caller frees. */
__attribute__((warn_unused_result)) enum policy_status
policy_filter_key(const struct policy *p, uint8_t **ret_key, size_t *ret_len,
		  struct policy_error *reterr);
__attribute__((warn_unused_result)) enum policy_status
policy_filter_compile(const struct policy *p, struct policy_filter *ret,
		      struct policy_error *reterr);
void policy_filter_clear(struct policy_filter *f);
/* One instruction a line, system calls and errnos by name. */
void policy_filter_print(FILE *to, const struct policy_filter *f);

/* Where a sandbox finds its keys, one file each by its name. */
#define POLICY_CREDENTIALS "/run/credentials"

/* Makes the plan. `argv` (NULL-terminated) is the command line's command or NULL for
 * the policy's own; naming one where the policy names another is POLICY_REFUSED.
 * `filter` is taken over (and cleared) when ready, compiled here when NULL. */
__attribute__((warn_unused_result)) enum policy_status
policy_plan_make(const struct policy *p, char *const *argv, struct policy_filter *filter,
		 struct policy_plan **ret, struct policy_error *reterr);
void policy_plan_free(struct policy_plan *plan);

/* What is attested of a plan: SHA-256 of its encoding without what is the key service's
 * (attestation, audit) and without the compiled filter, which differs from one libseccomp
 * to the next; the profile that it was made of is in. */
#define POLICY_DIGEST 32u
__attribute__((warn_unused_result)) enum policy_status
policy_plan_digest(const struct policy_plan *plan, uint8_t ret[static POLICY_DIGEST]);

/* All that can be executed is in the session's own copy of the root: no mount brings code
 * that is the host's to change. */
bool policy_plan_runs_copy_alone(const struct policy_plan *plan);

/* Stable text: one `key: value` a line, fixed order, values escaped. */
void policy_plan_print(FILE *to, const struct policy_plan *plan);
/* What the plan means, in sentences. */
void policy_plan_explain(FILE *to, const struct policy_plan *plan);

/* The plan as bytes, for the process that will carry it out. One plan has one
 * encoding; decoding checks every bound, every enum and every path. These two need
 * no library but libc. */
#define POLICY_PLAN_MAX (1u << 20)
__attribute__((warn_unused_result)) enum policy_status
policy_plan_encode(const struct policy_plan *plan, uint8_t **ret, size_t *ret_len);
__attribute__((warn_unused_result)) enum policy_status
policy_plan_decode(const uint8_t *buf, size_t len, struct policy_plan **ret,
		   struct policy_error *reterr);
