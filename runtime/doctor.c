/* runtime/doctor.c - see doctor.h. */
#include "runtime/doctor.h"

#include "runtime/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <linux/landlock.h>
#include <linux/mount.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "memscrub/memscrub.h"
#include "runtime/cgroup.h"
#include "runtime/dirty.h"
#include "runtime/runtime.h"
#include "runtime/verb.h"

struct check {
	const char *id;
	enum doctor_group group;
	bool needed;
	void (*probe)(const struct check *c, struct doctor_finding *f);
	const char *mend;
	uint64_t what;    /* for probes that serve several checks */
	const char *root; /* --root's value; set for the call */
};

__attribute__((format(printf, 3, 4))) static void
say(struct doctor_finding *f, enum doctor_result r, const char *format, ...)
{
	va_list args;

	f->result = r;
	va_start(args, format);
	vsnprintf(f->detail, sizeof(f->detail), format, args);
	va_end(args);
}

/* The beginning of a small kernel file without the last newline; false with errno. */
static bool read_text(const char *path, char *to, size_t size)
{
	ssize_t n = file_read_text(AT_FDCWD, path, to, size);

	if (n > 0 && to[n - 1] == '\n')
		to[n - 1] = '\0';
	return n >= 0;
}

static bool has_word(const char *text, const char *word, const char *separators)
{
	size_t len = strlen(word);

	for (text += strspn(text, separators); *text; text += strspn(text, separators)) {
		size_t n = strcspn(text, separators);

		if (n == len && strncmp(text, word, n) == 0)
			return true;
		text += n;
	}
	return false;
}

/* ---- isolate --------------------------------------------------------------------- */

static void probe_kernel(const struct check *c, struct doctor_finding *f)
{
	unsigned long major = 0, minor = 0;
	struct utsname u;
	char *end = NULL;

	(void)c;
	if (uname(&u) == 0)
		major = strtoul(u.release, &end, 10);
	if (end && *end == '.')
		minor = strtoul(end + 1, NULL, 10);
	if (major == 0)
		say(f, DOCTOR_UNKNOWN, "the kernel's release cannot be read");
	else /* 5.14: pidfds, close_range, mount_setattr, landlock, cgroup.kill */
		say(f, major > 5 || (major == 5 && minor >= 14) ? DOCTOR_OK : DOCTOR_MISSING,
		    "%s", u.release);
}

/* A child tries; 0 or its errno, -1 when no child could be made. */
static int try_unshare(uint64_t flags)
{
	int status;
	pid_t pid = fork();

	if (pid == 0)
		_exit(unshare((int)flags) == 0 ? 0 : errno);
	if (pid < 0 || TEMP_FAILURE_RETRY(waitpid(pid, &status, 0)) != pid ||
	    !WIFEXITED(status))
		return -1;
	return WEXITSTATUS(status);
}

/* The switches that forbid user namespaces, those that are set so. */
static void name_switches(char *to, size_t size)
{
	static const struct {
		const char *path, *forbids;
	} switches[] = {
		{ "/proc/sys/user/max_user_namespaces", "0" },
		{ "/proc/sys/kernel/unprivileged_userns_clone", "0" },
		{ "/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1" },
	};
	size_t len = 0;
	char value[32];

	to[0] = '\0';
	for (size_t i = 0; i < sizeof(switches) / sizeof(*switches); i++)
		if (read_text(switches[i].path, value, sizeof(value)) &&
		    strcmp(value, switches[i].forbids) == 0 && len < size)
			len += (size_t)snprintf(to + len, size - len, ", %s is %s",
						strrchr(switches[i].path, '/') + 1, value);
}

static void probe_namespace(const struct check *c, struct doctor_finding *f)
{
	int error = try_unshare(CLONE_NEWUSER | c->what);
	char switches[160];

	if (error == 0) {
		say(f, DOCTOR_OK, "a child made one");
	} else if (error < 0) {
		say(f, DOCTOR_UNKNOWN, "no child process to try it with");
	} else {
		name_switches(switches, sizeof(switches));
		say(f, DOCTOR_MISSING, "%s%s", strerror(error), switches);
	}
}

/* With arguments that no kernel takes: only the absence of the call shows as ENOSYS. */
static void probe_mount_api(const struct check *c, struct doctor_finding *f)
{
	static const struct {
		long number;
		const char *name;
	} calls[] = { { SYS_fsopen, "fsopen" },
		      { SYS_fsmount, "fsmount" },
		      { SYS_open_tree, "open_tree" },
		      { SYS_move_mount, "move_mount" },
		      { SYS_mount_setattr, "mount_setattr" } };

	(void)c;
	for (size_t i = 0; i < sizeof(calls) / sizeof(*calls); i++) {
		if (syscall(calls[i].number, -1, NULL, -1, NULL, 0) < 0 && errno == ENOSYS) {
			say(f, DOCTOR_MISSING, "the kernel has no %s", calls[i].name);
			return;
		}
	}
	say(f, DOCTOR_OK, "fsopen, open_tree, mount_setattr");
}

static void probe_landlock(const struct check *c, struct doctor_finding *f)
{
	long abi =
		syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

	(void)c;
	if (abi < 0)
		say(f, DOCTOR_MISSING, "%s",
		    errno == EOPNOTSUPP ? "compiled in, and not switched on" : strerror(errno));
	else /* 6 brought the scopes: no signal or abstract socket leaves the sandbox */
		say(f, abi >= 6 ? DOCTOR_OK : DOCTOR_WEAKER, "ABI %ld", abi);
}

static void probe_seccomp(const struct check *c, struct doctor_finding *f)
{
	static const struct {
		uint32_t action;
		const char *name;
	} actions[] = { { SECCOMP_RET_KILL_PROCESS, "kill" },
			{ SECCOMP_RET_ERRNO, "errno" },
			{ SECCOMP_RET_USER_NOTIF, "notify" },
			{ SECCOMP_RET_LOG, "log" } };

	(void)c;
	for (size_t i = 0; i < sizeof(actions) / sizeof(*actions); i++) {
		if (syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &actions[i].action) !=
		    0) {
			say(f, DOCTOR_MISSING, "no filters with the action %s: %s",
			    actions[i].name, strerror(errno));
			return;
		}
	}
	say(f, DOCTOR_OK, "filters that kill, refuse, notify and log");
}

static void probe_no_new_privs(const struct check *c, struct doctor_finding *f)
{
	int now = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0);

	(void)c;
	if (now < 0)
		say(f, DOCTOR_MISSING, "%s", strerror(errno));
	else
		say(f, DOCTOR_OK, "set-user-id programs can be made harmless");
}

static void probe_core_scheduling(const struct check *c, struct doctor_finding *f)
{
	uint64_t cookie;

	(void)c;
	if (prctl(PR_SCHED_CORE, PR_SCHED_CORE_GET, 0, PR_SCHED_CORE_SCOPE_THREAD, &cookie) ==
	    0)
		say(f, DOCTOR_OK, "one tenant at a time on a core");
	else if (errno == ENODEV)
		say(f, DOCTOR_OK, "not needed: no core runs two threads");
	else if (errno == EINVAL)
		say(f, DOCTOR_MISSING, "not compiled into this kernel");
	else
		say(f, DOCTOR_UNKNOWN, "%s", strerror(errno));
}

static void probe_smt(const struct check *c, struct doctor_finding *f)
{
	char active[8];

	(void)c;
	if (!read_text("/sys/devices/system/cpu/smt/active", active, sizeof(active)))
		say(f, DOCTOR_UNKNOWN, "the kernel does not say");
	else if (strcmp(active, "0") == 0)
		say(f, DOCTOR_OK, "off: no two tenants share a core at the same time");
	else
		say(f, DOCTOR_WEAKER, "on: tenants may share a core at the same time");
}

static void probe_cpu_flaws(const struct check *c, struct doctor_finding *f)
{
	static const char folder[] = "/sys/devices/system/cpu/vulnerabilities";
	DIR *dir = opendir(folder);
	const struct dirent *entry;
	char path[sizeof(folder) + 256], words[256], first[64] = "";
	unsigned open_flaws = 0;

	(void)c;
	if (!dir) {
		say(f, DOCTOR_UNKNOWN, "the kernel does not say");
		return;
	}
	while ((entry = readdir(dir))) {
		snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
		if (!read_text(path, words, sizeof(words)) ||
		    strncmp(words, "Vulnerable", 10) != 0)
			continue;
		if (open_flaws++ == 0)
			snprintf(first, sizeof(first), "%.60s", entry->d_name);
	}
	closedir(dir);
	if (open_flaws)
		say(f, DOCTOR_WEAKER, "%u processor flaws without mitigation: %s%s", open_flaws,
		    first, open_flaws > 1 ? "..." : "");
	else
		say(f, DOCTOR_OK, "the kernel mitigates every processor flaw that it knows");
}

static void probe_cgroup(const struct check *c, struct doctor_finding *f)
{
	static const uint8_t id[SESSION_ID_BYTES];
	struct runtime_error e;
	struct cgroup cg;

	if (cgroup_find(c->what & UINT32_MAX, true, id, &cg, &e) != RUNTIME_OK) {
		say(f, DOCTOR_UNKNOWN, "%.160s", e.what);
	} else if (cg.served) {
		*strrchr(cg.dirs[0].path, '/') = '\0';
		say(f, DOCTOR_OK, "%s, below %.160s", cg.dirs[0].v2 ? "v2" : "v1",
		    cg.dirs[0].path);
	} else {
		say(f, DOCTOR_MISSING, "no hierarchy that can be written to has it");
	}
}

static void probe_state(const struct check *c, struct doctor_finding *f)
{
	struct runtime_error e;
	struct paths p;
	char *slash;

	if (paths_open(c->root, false, &p, &e) != RUNTIME_OK) {
		say(f, DOCTOR_MISSING, "%.110s: %.80s", e.where, e.what);
		return;
	}
	paths_close(&p);
	/* Where it is not there yet, the folder above it that is. */
	while (access(p.state, F_OK) != 0 && errno == ENOENT &&
	       (slash = strrchr(p.state, '/')) && slash > p.state)
		*slash = '\0';
	if (access(p.state, W_OK) != 0)
		say(f, DOCTOR_MISSING, "%.160s: %s", p.state, strerror(errno));
	else
		say(f, DOCTOR_OK, "%.190s", p.state);
}

/* "FOLDER: keeper, clerk, policy", and anew with each other folder. */
static void probe_programs(const struct check *c, struct doctor_finding *f)
{
	static const char *const names[] = { "cordon-keeper", "cordon-clerk", "cordon-policy" };
	char path[PATH_MAX], folder[PATH_MAX] = "", list[sizeof(f->detail)] = "";

	(void)c;
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		const char *name = names[i] + strlen("cordon-");
		size_t len = strlen(list);

		if (!verb_program(names[i], path)) {
			say(f, DOCTOR_MISSING, "no %s beside cordon or in its libexec folder",
			    names[i]);
			return;
		}
		*strrchr(path, '/') = '\0';
		if (strcmp(path, folder) == 0)
			snprintf(list + len, sizeof(list) - len, ", %s", name);
		else
			snprintf(list + len, sizeof(list) - len, "%s%.150s: %s",
				 len ? "; " : "", path, name);
		memcpy(folder, path, sizeof(folder));
	}
	say(f, DOCTOR_OK, "%s", list);
}

/* ---- attest ---------------------------------------------------------------------- */

static bool parameter_on(const char *path)
{
	char value[8];

	return read_text(path, value, sizeof(value)) &&
	       (strcmp(value, "Y") == 0 || strcmp(value, "1") == 0);
}

static bool cpu_flag(const char *flag)
{
	size_t size = 0;
	char *line = NULL;
	bool found = false;
	FILE *cpuinfo = fopen("/proc/cpuinfo", "re");

	while (cpuinfo && !found && getline(&line, &size, cpuinfo) > 0)
		found = strncmp(line, "flags", 5) == 0 && has_word(line, flag, " \t\n");
	free(line);
	if (cpuinfo)
		fclose(cpuinfo);
	return found;
}

static void probe_kvm(const struct check *c, struct doctor_finding *f)
{
	(void)c;
	if (access("/dev/kvm", R_OK | W_OK) == 0)
		say(f, DOCTOR_OK, "/dev/kvm");
	else
		say(f, DOCTOR_MISSING, "/dev/kvm: %s", strerror(errno));
}

static void probe_sev_snp(const struct check *c, struct doctor_finding *f)
{
	(void)c;
	if (parameter_on("/sys/module/kvm_amd/parameters/sev_snp") &&
	    access("/dev/sev", F_OK) == 0)
		say(f, DOCTOR_OK, "kvm_amd runs SEV-SNP guests");
	else if (access("/dev/sev-guest", F_OK) == 0)
		say(f, DOCTOR_WEAKER, "this host is itself a SEV guest and can start none");
	else if (cpu_flag("sev_snp"))
		say(f, DOCTOR_MISSING,
		    "the processor has it; kvm_amd, firmware or /dev/sev do not");
	else
		say(f, DOCTOR_MISSING, "the processor does not show it");
}

static void probe_tdx(const struct check *c, struct doctor_finding *f)
{
	(void)c;
	if (parameter_on("/sys/module/kvm_intel/parameters/tdx"))
		say(f, DOCTOR_OK, "kvm_intel runs TDX guests");
	else if (access("/dev/tdx_guest", F_OK) == 0)
		say(f, DOCTOR_WEAKER, "this host is itself a TDX guest and can start none");
	else if (cpu_flag("tdx_host_platform"))
		say(f, DOCTOR_MISSING, "the processor has it; kvm_intel has it switched off");
	else
		say(f, DOCTOR_MISSING, "the processor does not show it");
}

/* ---- scrub ----------------------------------------------------------------------- */

/* What the kernel does by itself, and where else copies of memory can come to be. */
static void probe_floor(const struct check *c, struct doctor_finding *f)
{
	static const enum doctor_result good[] = { [SCRUB_UNKNOWN] = DOCTOR_UNKNOWN,
						   [SCRUB_NO] = DOCTOR_WEAKER,
						   [SCRUB_YES] = DOCTOR_OK };
	static const enum doctor_result bad[] = { [SCRUB_UNKNOWN] = DOCTOR_UNKNOWN,
						  [SCRUB_NO] = DOCTOR_OK,
						  [SCRUB_YES] = DOCTOR_WEAKER };
	enum scrub_floor_fact fact = (enum scrub_floor_fact)c->what;
	struct scrub_floor floor;

	scrub_floor_read("", &floor);
	say(f,
	    fact < FLOOR_SWAP ? good[floor.facts[fact].answer] : bad[floor.facts[fact].answer],
	    "%s", floor.facts[fact].why);
}

/* Some tenant's bytes went back to free memory unwiped, and nobody swept since. */
static void probe_dirty(const struct check *c, struct doctor_finding *f)
{
	struct paths p = { .sessions_fd = -1, .run_fd = -1 };
	struct runtime_error e = { .what = "" };
	char by[DIRTY_BY] = "";
	bool stands = false;
	enum runtime_status s = paths_open(c->root, false, &p, &e);

	/* To no tenant's plan in particular: every mark counts. */
	if (s == RUNTIME_OK && p.sessions_fd >= 0)
		s = dirty_stands(p.sessions_fd, "", false, &stands, by, &e);
	if (s != RUNTIME_OK)
		say(f, DOCTOR_UNKNOWN, "%s: %s", e.where, e.what);
	else if (stands)
		say(f, DOCTOR_WEAKER, "%s gave memory back unwiped", by);
	else
		say(f, DOCTOR_OK, "no session gave memory back unwiped since a sweep");
	paths_close(&p);
}

/* Who shares memory with whom must be known before any of it is wiped. */
static void probe_kcmp(const struct check *c, struct doctor_finding *f)
{
	(void)c;
	if (syscall(SYS_kcmp, getpid(), getpid(), KCMP_VM, 0, 0) == 0)
		say(f, DOCTOR_OK, "the kernel says who shares memory");
	else
		say(f, DOCTOR_MISSING, "kcmp: %s", strerror(errno));
}

/* A file system without a mount: it is gone with its descriptor. */
static void probe_noswap(const struct check *c, struct doctor_finding *f)
{
	AUTO(closep) int fs = (int)syscall(SYS_fsopen, "tmpfs", FSOPEN_CLOEXEC);

	(void)c;
	if (fs < 0 && errno == EPERM)
		say(f, DOCTOR_WEAKER, "needs root; a ramfs serves instead");
	else if (fs < 0)
		say(f, DOCTOR_UNKNOWN, "%s", strerror(errno));
	else if (syscall(SYS_fsconfig, fs, FSCONFIG_SET_FLAG, "noswap", NULL, 0) != 0 ||
		 syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) != 0)
		say(f, DOCTOR_MISSING, "%s", strerror(errno));
	else
		say(f, DOCTOR_OK, "memory file systems that never reach a disk");
}

static void probe_memfd(const struct check *c, struct doctor_finding *f)
{
	AUTO(closep) int fd = memfd_create("cordon-doctor", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	(void)c;
	if (fd < 0 || fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) != 0)
		say(f, DOCTOR_MISSING, "%s", strerror(errno));
	else
		say(f, DOCTOR_OK, "with seals");
}

/* ---- the table ------------------------------------------------------------------- */

#define USERNS_MEND                                                                            \
	"raise user.max_user_namespaces, set kernel.unprivileged_userns_clone=1 and "          \
	"kernel.apparmor_restrict_unprivileged_userns=0 where they exist, or run as root"
#define KERNEL_MEND "use a kernel of a common distribution, 5.14 or newer"
#define CGROUP_MEND                                                                            \
	"run as root, or let the service manager delegate a cgroup; until then policies "      \
	"that demand this limit are refused"
#define GUEST_MEND "sandboxes work without; for guests use a host whose firmware has it on"

/* clang-format off */
static const struct check checks[] = {
	{ "kernel",          DOCTOR_ISOLATE, true,  probe_kernel, KERNEL_MEND, 0, 0 },
	{ "user-namespace",  DOCTOR_ISOLATE, true,  probe_namespace, USERNS_MEND, 0, 0 },
	{ "mount-namespace", DOCTOR_ISOLATE, true,  probe_namespace, USERNS_MEND, CLONE_NEWNS, 0 },
	{ "pid-namespace",   DOCTOR_ISOLATE, true,  probe_namespace, USERNS_MEND, CLONE_NEWPID, 0 },
	{ "net-namespace",   DOCTOR_ISOLATE, true,  probe_namespace, USERNS_MEND, CLONE_NEWNET, 0 },
	{ "ipc-namespace",   DOCTOR_ISOLATE, true,  probe_namespace, USERNS_MEND, CLONE_NEWIPC, 0 },
	{ "uts-namespace",   DOCTOR_ISOLATE, true,  probe_namespace, USERNS_MEND, CLONE_NEWUTS, 0 },
	{ "cgroup-namespace", DOCTOR_ISOLATE, true, probe_namespace, USERNS_MEND, CLONE_NEWCGROUP, 0 },
	{ "time-namespace",  DOCTOR_ISOLATE, false, probe_namespace, KERNEL_MEND, CLONE_NEWTIME, 0 },
	{ "mount-api",       DOCTOR_ISOLATE, true,  probe_mount_api, KERNEL_MEND, 0, 0 },
	{ "landlock",        DOCTOR_ISOLATE, false, probe_landlock,
	  "boot with landlock in lsm=; a kernel from 6.12 on also scopes signals and sockets", 0, 0 },
	{ "seccomp",         DOCTOR_ISOLATE, true,  probe_seccomp, KERNEL_MEND, 0, 0 },
	{ "no-new-privs",    DOCTOR_ISOLATE, true,  probe_no_new_privs, KERNEL_MEND, 0, 0 },
	{ "cgroup-memory",   DOCTOR_ISOLATE, false, probe_cgroup, CGROUP_MEND, CGROUP_MEMORY, 0 },
	{ "cgroup-pids",     DOCTOR_ISOLATE, false, probe_cgroup, CGROUP_MEND, CGROUP_PIDS, 0 },
	{ "cgroup-cpu",      DOCTOR_ISOLATE, false, probe_cgroup, CGROUP_MEND, CGROUP_CPU, 0 },
	{ "core-scheduling", DOCTOR_ISOLATE, false, probe_core_scheduling,
	  "use a kernel with CONFIG_SCHED_CORE, or switch SMT off (boot with nosmt)", 0, 0 },
	{ "smt",             DOCTOR_ISOLATE, false, probe_smt,
	  "boot with nosmt, or demand core-scheduling in the policy", 0, 0 },
	{ "cpu-flaws",       DOCTOR_ISOLATE, false, probe_cpu_flaws,
	  "update microcode and kernel, and boot without mitigations=off", 0, 0 },
	{ "state-folder",    DOCTOR_ISOLATE, true,  probe_state,
	  "give --root a folder of your own that only you may write", 0, 0 },
	{ "programs",        DOCTOR_ISOLATE, true,  probe_programs,
	  "install cordon whole: no sandbox starts without them", 0, 0 },
	{ "kvm",             DOCTOR_ATTEST,  false, probe_kvm, GUEST_MEND, 0, 0 },
	{ "sev-snp",         DOCTOR_ATTEST,  false, probe_sev_snp, GUEST_MEND, 0, 0 },
	{ "tdx",             DOCTOR_ATTEST,  false, probe_tdx, GUEST_MEND, 0, 0 },
	{ "init-on-free",    DOCTOR_SCRUB,   false, probe_floor,
	  "boot with init_on_free=1", FLOOR_INIT_ON_FREE, 0 },
	{ "init-on-alloc",   DOCTOR_SCRUB,   false, probe_floor,
	  "boot with init_on_alloc=1", FLOOR_INIT_ON_ALLOC, 0 },
	{ "host-clean",      DOCTOR_SCRUB,   false, probe_dirty,
	  "sweep free memory with `cordon recover --sweep`", 0, 0 },
	{ "swap",            DOCTOR_SCRUB,   false, probe_floor,
	  "swapoff -a, or encrypt it", FLOOR_SWAP, 0 },
	{ "zswap",           DOCTOR_SCRUB,   false, probe_floor,
	  "write N to /sys/module/zswap/parameters/enabled", FLOOR_ZSWAP, 0 },
	{ "zram",            DOCTOR_SCRUB,   false, probe_floor,
	  "swapoff the zram devices and reset them", FLOOR_ZRAM, 0 },
	{ "ksm",             DOCTOR_SCRUB,   false, probe_floor,
	  "write 2 to /sys/kernel/mm/ksm/run", FLOOR_KSM, 0 },
	{ "huge-pages",      DOCTOR_SCRUB,   false, probe_floor,
	  "write never to /sys/kernel/mm/transparent_hugepage/enabled", FLOOR_THP, 0 },
	{ "hugetlb-pool",    DOCTOR_SCRUB,   false, probe_floor,
	  "write 0 to /proc/sys/vm/nr_hugepages where no guest needs it", FLOOR_HUGETLB, 0 },
	{ "crash-dump",      DOCTOR_SCRUB,   false, probe_floor,
	  "unload the crash kernel (kexec -p -u)", FLOOR_CRASH_KERNEL, 0 },
	{ "hibernation",     DOCTOR_SCRUB,   false, probe_floor,
	  "boot with nohibernate", FLOOR_HIBERNATION, 0 },
	{ "core-pattern",    DOCTOR_SCRUB,   false, probe_floor,
	  "set kernel.core_pattern=core", FLOOR_CORE_PIPE, 0 },
	{ "kcmp",            DOCTOR_SCRUB,   true,  probe_kcmp, KERNEL_MEND, 0, 0 },
	{ "tmpfs-noswap",    DOCTOR_SCRUB,   false, probe_noswap,
	  "use a kernel from 6.4 on, and run as root", 0, 0 },
	{ "memfd",           DOCTOR_SCRUB,   true,  probe_memfd, KERNEL_MEND, 0, 0 },
};
/* clang-format on */

const char *doctor_group_str(enum doctor_group g)
{
	static const char *const names[DOCTOR_GROUPS] = { "isolate", "attest", "scrub" };

	return (unsigned)g < DOCTOR_GROUPS ? names[g] : "unknown";
}

const char *doctor_result_str(enum doctor_result r)
{
	switch (r) {
	case DOCTOR_OK:
		return "ok";
	case DOCTOR_WEAKER:
		return "weaker";
	case DOCTOR_MISSING:
		return "missing";
	case DOCTOR_UNKNOWN:
		break;
	}
	return "unknown";
}

size_t doctor_checks(void)
{
	return sizeof(checks) / sizeof(*checks);
}

void doctor_check(size_t i, const char *root, struct doctor_finding *ret)
{
	struct check c = checks[i];

	c.root = root;
	*ret = (struct doctor_finding){
		.id = c.id, .group = c.group, .needed = c.needed, .mend = c.mend
	};
	c.probe(&c, ret);
}
