/* runtime/readback.c - /proc/PID of the workload against the plan. */
#include "runtime/readback.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "runtime/files.h"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x80
#endif

static enum runtime_status differs(struct runtime_error *e, const char *where, const char *got)
{
	return runtime_fail(e, RUNTIME_REFUSED, where, "do not run tenants on this kernel",
			    "read back as \"%s\", which is not what was set", got);
}

static enum runtime_status unreadable(struct runtime_error *e, const char *where)
{
	return runtime_fail(e, RUNTIME_SYSTEM, where,
			    "a drop that cannot be checked counts as failed",
			    "cannot read it back: %s", strerror(errno));
}

/* ---- /proc/PID/status ------------------------------------------------------------ */

/* The value of "NAME:\t..." as a string of its own; the kernel writes each name once. */
static bool status_field(const char *status, const char *name, char *ret, size_t size)
{
	size_t n = strlen(name);

	for (const char *line = status; *line;) {
		const char *end = strchrnul(line, '\n');

		if (strncmp(line, name, n) == 0 && line[n] == ':') {
			const char *v = line + n + 1 + strspn(line + n + 1, " \t");
			size_t len = (size_t)(end - v);

			while (len && v[len - 1] == ' ')
				len--;
			if (len >= size)
				return false;
			memcpy(ret, v, len);
			ret[len] = 0;
			return true;
		}
		line = *end ? end + 1 : end;
	}
	return false;
}

static enum runtime_status expect(const char *status, const char *name, const char *want,
				  struct runtime_error *e)
{
	char got[512];

	if (!status_field(status, name, got, sizeof(got)))
		return runtime_fail(e, RUNTIME_SYSTEM, name, "a newer kernel is needed",
				    "this kernel does not tell it");
	return strcmp(got, want) == 0 ? RUNTIME_OK : differs(e, name, got);
}

static enum runtime_status expect_caps(const char *status, const struct policy_process *p,
				       struct runtime_error *e)
{
	static const struct {
		const char *name;
		enum policy_capset set;
	} fields[] = { { "CapInh", POLICY_CAP_INHERITABLE },
		       { "CapPrm", POLICY_CAP_PERMITTED },
		       { "CapEff", POLICY_CAP_EFFECTIVE },
		       { "CapBnd", POLICY_CAP_BOUNDING },
		       { "CapAmb", POLICY_CAP_AMBIENT } };
	enum runtime_status s = RUNTIME_OK;
	char want[24];

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]) && s == RUNTIME_OK; i++) {
		snprintf(want, sizeof(want), "%016" PRIx64, p->caps[fields[i].set]);
		s = expect(status, fields[i].name, want, e);
	}
	return s;
}

static enum runtime_status expect_ids(const char *status, const struct launcher_spec *spec,
				      struct runtime_error *e)
{
	const struct policy_process *p = &spec->plan->process;
	unsigned uid = spec->ids.range ? spec->ids.first + p->uid : geteuid();
	unsigned gid = spec->ids.range ? spec->ids.first + p->gid : getegid();
	enum runtime_status s;
	char want[512] = "";
	size_t n = 0;

	snprintf(want, sizeof(want), "%u\t%u\t%u\t%u", uid, uid, uid, uid);
	s = expect(status, "Uid", want, e);
	snprintf(want, sizeof(want), "%u\t%u\t%u\t%u", gid, gid, gid, gid);
	if (s == RUNTIME_OK)
		s = expect(status, "Gid", want, e);
	if (s != RUNTIME_OK || !spec->ids.range)
		return s; /* an ordinary user cannot drop groups; reported, not demanded */
	want[0] = 0;
	for (size_t i = 0; i < p->n_groups && n < sizeof(want) - 16; i++)
		n += (size_t)snprintf(want + n, sizeof(want) - n, "%s%u", i ? " " : "",
				      spec->ids.first + p->groups[i]);
	return expect(status, "Groups", want, e);
}

/* The keeper's own filters are inherited; ours come on top. */
static enum runtime_status check_filters(const char *status, const struct policy_plan *plan,
					 const struct readback_host *here,
					 struct runtime_error *e)
{
	char want[24];

	snprintf(want, sizeof(want), "%lu", here->filters + confine_filters(plan));
	return expect(status, "Seccomp_filters", want, e);
}

static enum runtime_status check_status(int proc, const struct launcher_spec *spec,
					const struct readback_host *here,
					struct runtime_error *e)
{
	static const char *const zero = "0000000000000000";
	char status[8192];
	enum runtime_status s;

	if (file_read_text(proc, "status", status, sizeof(status)) < 0)
		return unreadable(e, "/proc/PID/status");
	s = expect_ids(status, spec, e);
	if (s == RUNTIME_OK)
		s = expect_caps(status, &spec->plan->process, e);
	if (s == RUNTIME_OK)
		s = expect(status, "NoNewPrivs", "1", e);
	if (s == RUNTIME_OK)
		s = expect(status, "Seccomp", "2", e);
	if (s == RUNTIME_OK)
		s = check_filters(status, spec->plan, here, e);
	if (s == RUNTIME_OK)
		s = expect(status, "SigBlk", zero, e);
	if (s == RUNTIME_OK)
		s = expect(status, "SigIgn", zero, e);
	return s;
}

/* ---- namespaces, files, limits --------------------------------------------------- */

static const struct {
	const char *path; /* below /proc/PID */
	uint64_t flag;
} namespaces[READBACK_NAMESPACES] = {
	{ "ns/user", CLONE_NEWUSER },     { "ns/pid", CLONE_NEWPID },
	{ "ns/mnt", CLONE_NEWNS },        { "ns/net", CLONE_NEWNET },
	{ "ns/ipc", CLONE_NEWIPC },       { "ns/uts", CLONE_NEWUTS },
	{ "ns/cgroup", CLONE_NEWCGROUP }, { "ns/time", CLONE_NEWTIME },
};

static enum runtime_status check_namespaces(int proc, uint64_t wanted,
					    const struct readback_host *here,
					    struct runtime_error *e)
{
	for (size_t i = 0; i < READBACK_NAMESPACES; i++) {
		const char *path = namespaces[i].path;
		struct stat st;

		if (!(wanted & namespaces[i].flag))
			continue;
		if (fstatat(proc, path, &st, 0) < 0)
			return unreadable(e, path);
		if (st.st_ino == here->namespaces[i].ino &&
		    st.st_dev == here->namespaces[i].dev)
			return differs(e, path, "the keeper's own namespace");
	}
	return RUNTIME_OK;
}

/* Nothing but 0, 1, 2 and `extra` more may be open in the new program. */
static enum runtime_status check_files(int proc, unsigned extra, struct runtime_error *e)
{
	int fd = openat(proc, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	enum runtime_status s = RUNTIME_OK;
	struct dirent *entry;

	if (!d) {
		if (fd >= 0)
			close(fd);
		return unreadable(e, "/proc/PID/fd");
	}
	while ((entry = readdir(d)) && s == RUNTIME_OK)
		if (entry->d_name[0] != '.' && strtol(entry->d_name, NULL, 10) > 2 &&
		    extra-- == 0)
			s = differs(e, "open descriptors", entry->d_name);
	closedir(d);
	return s;
}

static enum runtime_status check_folder(int proc, const char *want, struct runtime_error *e)
{
	char got[4096];
	ssize_t n = readlinkat(proc, "cwd", got, sizeof(got) - 1);

	if (n < 0)
		return unreadable(e, "/proc/PID/cwd");
	got[n] = 0;
	return strcmp(got, want) == 0 ? RUNTIME_OK : differs(e, "working folder", got);
}

static uint64_t limit_at(const char *column)
{
	return strncmp(column, "unlimited", 9) == 0 ? RLIM_INFINITY
						    : strtoull(column, NULL, 10);
}

/* One line a resource, in the order of their numbers, below a head line; columns as wide
 * as fs/proc/base.c prints them. prlimit(2) would want CAP_SYS_RESOURCE. */
static bool find_limit(const char *limits, uint32_t resource, struct rlimit *ret)
{
	for (uint32_t i = 0; i <= resource && limits; i++)
		limits = strchr(limits, '\n') ? strchr(limits, '\n') + 1 : NULL;
	if (!limits || strcspn(limits, "\n") < 48)
		return false;
	ret->rlim_cur = limit_at(limits + 26);
	ret->rlim_max = limit_at(limits + 47);
	return true;
}

static enum runtime_status check_limits(int proc, const struct policy_process *p,
					struct runtime_error *e)
{
	char text[4096];

	if (file_read_text(proc, "limits", text, sizeof(text)) < 0)
		return unreadable(e, "/proc/PID/limits");
	for (size_t i = 0; i < p->n_rlimits; i++) {
		struct rlimit now;
		char where[32];

		snprintf(where, sizeof(where), "rlimit %u", p->rlimits[i].resource);
		if (!find_limit(text, p->rlimits[i].resource, &now))
			return unreadable(e, where);
		if (now.rlim_max > p->rlimits[i].hard || now.rlim_cur > p->rlimits[i].soft)
			return differs(e, where, "higher than the plan's");
	}
	return RUNTIME_OK;
}

/* What the policy's mounts must not allow, as mountinfo says it. */
static bool has_plan_flags(const struct policy_plan *plan, const char *point, const char *flags)
{
	for (size_t i = 0; i < plan->n_mounts; i++) {
		uint64_t attr = plan->mounts[i].attr;

		if (strcmp(plan->mounts[i].target, point) != 0)
			continue;
		if (((attr & MOUNT_ATTR_RDONLY) && strncmp(flags, "ro", 2) != 0) ||
		    ((attr & MOUNT_ATTR_NODEV) && !strstr(flags, "nodev")) ||
		    ((attr & MOUNT_ATTR_NOEXEC) && !strstr(flags, "noexec")))
			return false;
	}
	return true;
}

/* One root, read-only; nothing mounted that the plan does not have, nothing set-id. A root
 * of the host that was left below or above ours would be a second "/". */
static enum runtime_status check_mount(char *line, const struct policy_plan *plan,
				       unsigned *roots, struct runtime_error *e)
{
	char *fields[7], *save = NULL;
	size_t n = 0;

	for (char *f = strtok_r(line, " ", &save); f && n < 7; f = strtok_r(NULL, " ", &save))
		fields[n++] = f;
	if (n < 7)
		return differs(e, "/proc/PID/mountinfo", line);
	file_unescape(fields[4]);
	if (!mounts_expected(plan, fields[4]))
		return differs(e, "mounts", fields[4]);
	if (strcmp(fields[6], "-") != 0) /* shared:N, master:N: what the host mounts comes in */
		return differs(e, fields[4], fields[6]);
	if (!strstr(fields[5], "nosuid"))
		return differs(e, fields[4], "a mount without nosuid");
	if (!has_plan_flags(plan, fields[4], fields[5]))
		return differs(e, fields[4], fields[5]);
	if (strcmp(fields[4], "/") != 0)
		return RUNTIME_OK;
	if (++*roots > 1 || (!plan->root_writable && strncmp(fields[5], "ro", 2) != 0))
		return differs(e, "root", *roots > 1 ? "more than one" : "writable");
	return RUNTIME_OK;
}

static enum runtime_status check_mounts(int proc, const struct policy_plan *plan,
					struct runtime_error *e)
{
	static char text[1 << 16];
	enum runtime_status s = RUNTIME_OK;
	unsigned roots = 0;
	char *save = NULL;
	ssize_t len = file_read_text(proc, "mountinfo", text, sizeof(text));

	if (len < 0 || len == (ssize_t)sizeof(text) - 1)
		return unreadable(e, "/proc/PID/mountinfo");
	for (char *line = strtok_r(text, "\n", &save); line && s == RUNTIME_OK;
	     line = strtok_r(NULL, "\n", &save))
		s = check_mount(line, plan, &roots, e);
	return s == RUNTIME_OK && roots != 1 ? differs(e, "root", "none") : s;
}

/* Each cgroup that was made must list the process. */
static enum runtime_status check_cgroups(int proc, const struct cgroup *cg,
					 struct runtime_error *e)
{
	char text[8192];

	if (!cg || !cg->n)
		return RUNTIME_OK;
	if (file_read_text(proc, "cgroup", text, sizeof(text)) < 0)
		return unreadable(e, "/proc/PID/cgroup");
	for (size_t i = 0; i < cg->n; i++) {
		const char *leaf = strrchr(cg->dirs[i].path, '/');
		const char *found = leaf ? strstr(text, leaf) : NULL;
		size_t times = 0;

		for (; found; found = strstr(found + 1, leaf))
			times++;
		if (times < cg->n)
			return differs(e, cg->dirs[i].path, "another cgroup");
	}
	return RUNTIME_OK;
}

static int open_process(pid_t pid)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d", pid);
	return open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

/* The filters that this process is under, and all that descend from it. */
static enum runtime_status own_filters(unsigned long *ret, struct runtime_error *e)
{
	char status[8192], filters[24];
	int proc;

	*ret = 0;
	if (prctl(PR_GET_SECCOMP) == 0)
		return RUNTIME_OK;
	proc = open_process(getpid());
	if (proc < 0 || file_read_text(proc, "status", status, sizeof(status)) < 0 ||
	    !status_field(status, "Seccomp_filters", filters, sizeof(filters))) {
		closep(&proc);
		return unreadable(e, "/proc/self/status");
	}
	close(proc);
	*ret = strtoul(filters, NULL, 10);
	return RUNTIME_OK;
}

/* It drops everything beside the workload's own start, the filter last. */
static enum runtime_status await_filter(int proc, char *status, size_t size,
					struct runtime_error *e)
{
	const struct timespec pause = { .tv_nsec = 50 * 1000 };
	unsigned long inherited;
	enum runtime_status s = own_filters(&inherited, e);
	char want[24];

	if (s != RUNTIME_OK)
		return s;
	snprintf(want, sizeof(want), "%lu", inherited + 1);
	for (int tries = 0; tries < 20000; tries++) {
		if (file_read_text(proc, "status", status, size) < 0)
			return unreadable(e, "/proc/PID/status of the first process");
		s = expect(status, "Seccomp_filters", want, e);
		if (s != RUNTIME_REFUSED)
			break;
		nanosleep(&pause, NULL);
	}
	return s;
}

enum runtime_status readback_first(pid_t pid, const struct launcher_spec *spec,
				   struct runtime_error *reterr)
{
	static const struct policy_process bare; /* no capability in any set */
	unsigned uid = spec->ids.range ? spec->ids.first + INSIDE_FIRST_ID : geteuid();
	char status[8192], want[64];
	int proc = open_process(pid);
	enum runtime_status s;

	if (proc < 0)
		return unreadable(reterr, "the first process");
	s = await_filter(proc, status, sizeof(status), reterr);
	snprintf(want, sizeof(want), "%u\t%u\t%u\t%u", uid, uid, uid, uid);
	if (s == RUNTIME_OK)
		s = expect(status, "Uid", want, reterr);
	if (s == RUNTIME_OK)
		s = expect_caps(status, &bare, reterr);
	if (s == RUNTIME_OK)
		s = expect(status, "NoNewPrivs", "1", reterr);
	close(proc);
	return s;
}

enum runtime_status readback_here(struct readback_host *ret, struct runtime_error *reterr)
{
	int proc = open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC);
	enum runtime_status s = RUNTIME_OK;
	struct stat st;

	if (proc < 0)
		return unreadable(reterr, "/proc/self");
	for (size_t i = 0; i < READBACK_NAMESPACES; i++) {
		if (fstatat(proc, namespaces[i].path, &st, 0) < 0) {
			s = unreadable(reterr, namespaces[i].path);
			break;
		}
		ret->namespaces[i].dev = st.st_dev;
		ret->namespaces[i].ino = st.st_ino;
	}
	close(proc);
	return s == RUNTIME_OK ? own_filters(&ret->filters, reterr) : s;
}

enum runtime_status readback_ready(pid_t pid, const struct launcher_spec *spec,
				   struct runtime_error *reterr)
{
	int proc = open_process(pid);
	enum runtime_status s;

	if (proc < 0)
		return unreadable(reterr, "the workload's process");
	s = check_limits(proc, &spec->plan->process, reterr);
	if (s == RUNTIME_OK)
		s = check_mounts(proc, spec->plan, reterr);
	if (s == RUNTIME_OK)
		s = check_cgroups(proc, spec->cgroup, reterr);
	close(proc);
	return s;
}

enum runtime_status readback_workload(pid_t pid, const struct launcher_spec *spec,
				      const struct readback_host *here,
				      struct runtime_error *reterr)
{
	int proc = open_process(pid);
	enum runtime_status s;

	if (proc < 0)
		return unreadable(reterr, "the workload's process");
	s = check_status(proc, spec, here, reterr);
	if (s == RUNTIME_OK)
		s = check_namespaces(proc, spec->plan->namespaces, here, reterr);
	if (s == RUNTIME_OK)
		s = check_files(proc, spec->with_agent, reterr);
	if (s == RUNTIME_OK)
		s = check_folder(proc, spec->plan->process.cwd, reterr);
	close(proc);
	return s;
}

enum runtime_status readback_again(pid_t pid, unsigned extra, struct runtime_error *reterr)
{
	int proc = open_process(pid);
	enum runtime_status s;

	if (proc < 0)
		return unreadable(reterr, "the workload's process");
	s = check_files(proc, extra, reterr);
	close(proc);
	return s;
}
