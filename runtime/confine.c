/* runtime/confine.c - give up, then prove it. */
#include "runtime/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/keyctl.h>
#include <linux/landlock.h>
#include <linux/securebits.h>
#include <stddef.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef PR_SCHED_CORE
#define PR_SCHED_CORE 62
#define PR_SCHED_CORE_CREATE 1
#endif
#define SCOPE_THREAD_GROUP 1 /* of PR_SCHED_CORE: the whole process */

static enum runtime_status fail(struct runtime_error *e, const char *where, const char *what)
{
	return runtime_fail(e, RUNTIME_SYSTEM, where, "`cordon doctor` says what this host can",
			    "%s: %s", what, strerror(errno));
}

static enum runtime_status not_taken(struct runtime_error *e, const char *where)
{
	return runtime_fail(e, RUNTIME_REFUSED, where, "do not run tenants on this kernel",
			    "the kernel did not keep what was set");
}

/* ---- attributes ------------------------------------------------------------------ */

void confine_core(struct confine_report *r)
{
	r->core_sched =
		prctl(PR_SCHED_CORE, PR_SCHED_CORE_CREATE, 0, SCOPE_THREAD_GROUP, 0) == 0;
	r->core_errno = r->core_sched ? 0 : errno;
}

static int speculation(unsigned long which)
{
	int state;

	/* Refused where the CPU is not affected or the host decided for all: the answer
	 * to GET says which, and that is what is reported. */
	(void)prctl(PR_SET_SPECULATION_CTRL, which, PR_SPEC_FORCE_DISABLE, 0, 0);
	state = prctl(PR_GET_SPECULATION_CTRL, which, 0, 0, 0);
	return state < 0 ? -errno : state;
}

static enum runtime_status set_rlimit(const struct policy_rlimit *want, bool demanded,
				      struct confine_report *r, struct runtime_error *e)
{
	struct rlimit lim = { .rlim_cur = want->soft, .rlim_max = want->hard }, now;
	char where[32];

	snprintf(where, sizeof(where), "rlimit %u", want->resource);
	if (getrlimit((__rlimit_resource_t)want->resource, &now) < 0)
		return fail(e, where, "cannot read it");
	if (lim.rlim_max > now.rlim_max) {
		if (demanded)
			return runtime_fail(
				e, RUNTIME_REFUSED, where,
				"ask for less, or raise the hard limit of the caller",
				"the policy asks for %llu, this host allows %llu",
				(unsigned long long)lim.rlim_max,
				(unsigned long long)now.rlim_max);
		lim.rlim_max = now.rlim_max;
		r->rlimit_clamped = true;
	}
	if (lim.rlim_cur > lim.rlim_max)
		lim.rlim_cur = lim.rlim_max;
	if (setrlimit((__rlimit_resource_t)want->resource, &lim) < 0)
		return fail(e, where, "cannot set it");
	if (getrlimit((__rlimit_resource_t)want->resource, &now) < 0 ||
	    now.rlim_cur != lim.rlim_cur || now.rlim_max != lim.rlim_max)
		return not_taken(e, where);
	return RUNTIME_OK;
}

enum runtime_status confine_rlimits(const struct policy_rlimit *limits, size_t n, bool demanded,
				    struct confine_report *r, struct runtime_error *reterr)
{
	enum runtime_status s = RUNTIME_OK;

	for (size_t i = 0; i < n && s == RUNTIME_OK; i++)
		s = set_rlimit(&limits[i], demanded, r, reterr);
	return s;
}

enum runtime_status confine_attributes(const struct policy_process *p, struct confine_report *r,
				       struct runtime_error *reterr)
{
	r->store_bypass = speculation(PR_SPEC_STORE_BYPASS);
	r->indirect_branch = speculation(PR_SPEC_INDIRECT_BRANCH);
	umask((mode_t)p->umask);
	/* The caller's session keyring stays outside. ENOSYS: there are no keyrings. */
	if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) < 0 && errno != ENOSYS)
		return fail(reterr, "keyring", "cannot leave the caller's session keyring");
	return RUNTIME_OK;
}

/* ---- identity -------------------------------------------------------------------- */

#define SECUREBITS                                                                             \
	(SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP |                       \
	 SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_KEEP_CAPS_LOCKED |                             \
	 SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED)

struct capsets {
	uint64_t effective, permitted, inheritable;
};

static int caps_set(const struct capsets *c)
{
	struct __user_cap_header_struct h = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct d[2];

	for (unsigned i = 0; i < 2; i++) {
		d[i].effective = (uint32_t)(c->effective >> (32 * i));
		d[i].permitted = (uint32_t)(c->permitted >> (32 * i));
		d[i].inheritable = (uint32_t)(c->inheritable >> (32 * i));
	}
	return (int)syscall(SYS_capset, &h, d);
}

static int caps_get(struct capsets *c)
{
	struct __user_cap_header_struct h = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct d[2];

	if (syscall(SYS_capget, &h, d) < 0)
		return -1;
	c->effective = d[0].effective | (uint64_t)d[1].effective << 32;
	c->permitted = d[0].permitted | (uint64_t)d[1].permitted << 32;
	c->inheritable = d[0].inheritable | (uint64_t)d[1].inheritable << 32;
	return 0;
}

/* Upwards until the kernel knows no more of them. */
static int drop_bounding(uint64_t keep)
{
	for (unsigned long c = 0; c < 64; c++)
		if (!(keep >> c & 1) && prctl(PR_CAPBSET_DROP, c, 0, 0, 0) < 0)
			return errno == EINVAL && c > 0 ? 0 : -1;
	return 0;
}

static int raise_ambient(uint64_t want)
{
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
		return -1;
	for (unsigned long c = 0; c < 64; c++)
		if ((want >> c & 1) && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, c, 0, 0) < 0)
			return -1;
	return 0;
}

/* What a process can ask about itself at once; the keeper reads all five sets from outside. */
static bool caps_are(const uint64_t want[static POLICY_CAPSETS])
{
	struct capsets c;

	return caps_get(&c) == 0 && c.effective == want[POLICY_CAP_EFFECTIVE] &&
	       c.permitted == want[POLICY_CAP_PERMITTED] &&
	       c.inheritable == want[POLICY_CAP_INHERITABLE];
}

static int set_ids(uint32_t uid, uint32_t gid, const uint32_t *groups, size_t n_groups)
{
	if (setgroups(n_groups, groups) < 0 || setresgid(gid, gid, gid) < 0 ||
	    setresuid(uid, uid, uid) < 0)
		return -1;
	return 0;
}

static bool ids_are(uint32_t uid, uint32_t gid)
{
	uid_t u[3];
	gid_t g[3];

	if (getresuid(&u[0], &u[1], &u[2]) < 0 || getresgid(&g[0], &g[1], &g[2]) < 0)
		return false;
	for (int i = 0; i < 3; i++)
		if (u[i] != uid || g[i] != gid)
			return false;
	return true;
}

enum runtime_status confine_identity(uint32_t uid, uint32_t gid, const uint32_t *groups,
				     size_t n_groups,
				     const uint64_t caps[static POLICY_CAPSETS], bool ids,
				     struct confine_report *r, struct runtime_error *reterr)
{
	const uint64_t setpcap = 1ull << CAP_SETPCAP;
	struct capsets last = { .effective = caps[POLICY_CAP_EFFECTIVE],
				.permitted = caps[POLICY_CAP_PERMITTED],
				.inheritable = caps[POLICY_CAP_INHERITABLE] };
	struct capsets mid = last;

	/* NO_SETUID_FIXUP first: the change of ids must not touch the sets behind our back. */
	if (prctl(PR_SET_SECUREBITS, SECUREBITS & ~(SECBIT_NO_CAP_AMBIENT_RAISE |
						    SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED)) < 0)
		return fail(reterr, "securebits", "cannot set them");
	if (drop_bounding(caps[POLICY_CAP_BOUNDING]) < 0)
		return fail(reterr, "bounding set", "cannot drop a capability");
	if (ids && set_ids(uid, gid, groups, n_groups) < 0)
		return fail(reterr, "user ids", "cannot change them");
	r->groups_kept = !ids && getgroups(0, NULL) > 0;
	mid.effective |= setpcap;
	mid.permitted |= setpcap;
	if (caps_set(&mid) < 0 || raise_ambient(caps[POLICY_CAP_AMBIENT]) < 0 ||
	    prctl(PR_SET_SECUREBITS, SECUREBITS) < 0 || caps_set(&last) < 0)
		return fail(reterr, "capabilities", "cannot set them");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return fail(reterr, "no_new_privs", "cannot set it");

	if (prctl(PR_GET_SECUREBITS) != SECUREBITS)
		return not_taken(reterr, "securebits");
	if (!caps_are(caps))
		return not_taken(reterr, "capabilities");
	if (!ids_are(uid, gid) || (ids && getgroups(0, NULL) != (int)n_groups))
		return not_taken(reterr, "user ids");
	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
		return not_taken(reterr, "no_new_privs");
	return RUNTIME_OK;
}

/* ---- Landlock -------------------------------------------------------------------- */

/* Debian 12's header ends at ABI 2; these are the kernel's numbers (linux/landlock.h). */
#define FS_TRUNCATE (1ull << 14)               /* ABI 3 */
#define FS_IOCTL_DEV (1ull << 15)              /* ABI 5 */
#define SCOPE_ABSTRACT_UNIX_SOCKET (1ull << 0) /* ABI 6 */
#define SCOPE_SIGNAL (1ull << 1)

struct ruleset_attr { /* struct landlock_ruleset_attr as of ABI 6 */
	uint64_t handled_access_fs, handled_access_net, scoped;
};

#define FS_READ (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define FS_WRITE                                                                               \
	(LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |                       \
	 LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_DIR |                        \
	 LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK |                          \
	 LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_SYM |                          \
	 LANDLOCK_ACCESS_FS_REFER | FS_TRUNCATE)
#define FS_FILE                                                                                \
	(LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE |                          \
	 LANDLOCK_ACCESS_FS_READ_FILE | FS_TRUNCATE | FS_IOCTL_DEV)
#define FS_ALL ((1ull << 16) - 1)

/* What each ABI can govern; below ABI 1 there is nothing. */
static uint64_t governed(int abi)
{
	uint64_t all = FS_ALL;

	if (abi < 2)
		all &= ~(uint64_t)LANDLOCK_ACCESS_FS_REFER;
	if (abi < 3)
		all &= ~FS_TRUNCATE;
	if (abi < 5)
		all &= ~FS_IOCTL_DEV;
	return all;
}

static const struct {
	const char *path;
	uint64_t access;
	bool optional;
} fixed_rules[] = {
	{ "/", FS_READ, false },
	{ "/dev", FS_READ | LANDLOCK_ACCESS_FS_WRITE_FILE | FS_IOCTL_DEV, false },
	{ "/dev/shm", FS_READ | FS_WRITE, true },
	{ "/dev/mqueue", FS_READ | FS_WRITE, false },
	{ "/tmp", FS_READ | FS_WRITE, false },
	{ "/run", FS_READ | FS_WRITE, true },
};

static enum runtime_status add_rule(int ruleset, const char *path, uint64_t access,
				    uint64_t handled, bool optional, struct runtime_error *e)
{
	struct landlock_path_beneath_attr rule = { .parent_fd =
							   open(path, O_PATH | O_CLOEXEC) };
	struct stat st;
	enum runtime_status s = RUNTIME_OK;

	if (rule.parent_fd < 0)
		return optional && errno == ENOENT
			       ? RUNTIME_OK
			       : fail(e, path, "cannot open it for Landlock");
	rule.allowed_access = access & handled;
	if (fstat(rule.parent_fd, &st) < 0)
		s = fail(e, path, "cannot look at it");
	else if (!S_ISDIR(st.st_mode))
		rule.allowed_access &= FS_FILE;
	if (s == RUNTIME_OK && rule.allowed_access &&
	    syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0)
		s = fail(e, path, "cannot add the Landlock rule");
	close(rule.parent_fd);
	return s;
}

static enum runtime_status add_rules(int ruleset, const struct policy_plan *plan,
				     uint64_t handled, struct runtime_error *e)
{
	enum runtime_status s;

	s = add_rule(ruleset, plan->rootfs[0] ? "/" : "/usr", LANDLOCK_ACCESS_FS_EXECUTE,
		     handled, false, e);
	for (size_t i = 0; i < sizeof(fixed_rules) / sizeof(fixed_rules[0]) && s == RUNTIME_OK;
	     i++)
		s = add_rule(ruleset, fixed_rules[i].path, fixed_rules[i].access, handled,
			     fixed_rules[i].optional, e);
	if (s == RUNTIME_OK)
		s = add_rule(ruleset, plan->process.home, FS_READ | FS_WRITE, handled, true, e);
	for (size_t i = 0; i < plan->n_mounts && s == RUNTIME_OK; i++) {
		const struct policy_mount *m = &plan->mounts[i];
		uint64_t access = FS_READ;

		if (!(m->attr & MOUNT_ATTR_RDONLY))
			access |= FS_WRITE;
		if (!(m->attr & MOUNT_ATTR_NOEXEC))
			access |= LANDLOCK_ACCESS_FS_EXECUTE;
		s = add_rule(ruleset, m->target, access, handled, false, e);
	}
	return s;
}

static enum runtime_status add_program(int ruleset, int fd, uint64_t handled,
				       struct runtime_error *e)
{
	struct landlock_path_beneath_attr rule = {
		.parent_fd = fd,
		.allowed_access =
			(LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE) & handled,
	};

	return syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0
		       ? fail(e, "cordon-agent", "cannot add the Landlock rule")
		       : RUNTIME_OK;
}

static bool opens(int probe)
{
	int fd = openat(probe, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return false;
	close(fd);
	return true;
}

enum runtime_status confine_files(const struct policy_plan *plan, int probe, int agent,
				  struct confine_report *r, struct runtime_error *reterr)
{
	long abi =
		syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	struct ruleset_attr attr = { 0 };
	size_t size = offsetof(struct ruleset_attr, handled_access_net);
	enum runtime_status s;
	int ruleset;

	r->landlock_abi = abi < 0 ? 0 : (int)abi;
	if (abi < 1)
		return RUNTIME_OK; /* an older kernel: the other walls stand, and the report says so */
	attr.handled_access_fs = governed((int)abi);
	if (abi >= 6) {
		attr.scoped = SCOPE_ABSTRACT_UNIX_SOCKET | SCOPE_SIGNAL;
		size = sizeof(attr);
	}
	if (!opens(probe))
		return fail(reterr, "landlock",
			    "the probe does not open before the restriction");
	ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, size, 0);
	if (ruleset < 0)
		return fail(reterr, "landlock", "cannot make a ruleset");
	s = add_rules(ruleset, plan, attr.handled_access_fs, reterr);
	if (s == RUNTIME_OK && agent >= 0)
		s = add_program(ruleset, agent, attr.handled_access_fs, reterr);
	if (s == RUNTIME_OK && syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
		s = fail(reterr, "landlock", "cannot restrict");
	close(ruleset);
	if (s == RUNTIME_OK && (opens(probe) || errno != EACCES))
		s = not_taken(reterr, "landlock");
	return s;
}
