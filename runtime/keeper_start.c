/* runtime/keeper_start.c - from an order to a running workload. */
#include "runtime/keeper_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "runtime/agent.h"
#include "runtime/uids.h"

/* ---- facts: collected, then written with one flush ------------------------------- */

void keeper_fact(struct keeper *k, const char *key, const char *format, ...)
{
	char text[JOURNAL_VALUE];
	struct journal_fact *f;
	va_list ap;

	if (k->n_facts == sizeof(k->facts) / sizeof(k->facts[0]))
		return;
	f = &k->facts[k->n_facts++];
	memset(f, 0, sizeof(*f));
	snprintf(f->key, sizeof(f->key), "%s", key);
	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	text_escape(f->value, sizeof(f->value), text);
	va_end(ap);
}

static enum runtime_status write_facts(struct keeper *k, struct runtime_error *e)
{
	enum runtime_status s = RUNTIME_OK;

	if (k->n_facts)
		s = journal_note_all(k->journal, k->facts, k->n_facts, e);
	k->n_facts = 0;
	return s;
}

/* ---- the journal's first records ------------------------------------------------- */

enum runtime_status keeper_begin(struct keeper *k, struct runtime_error *reterr)
{
	struct journal_begin b = { .class = k->plan->class,
				   .euid = geteuid(),
				   .keeper = getpid(),
				   .keeper_start = process_start_time(getpid()),
				   .detached = k->detached,
				   .builtin = k->plan->builtin,
				   .held = k->plan->held,
				   .kernel = k->plan->kernel };
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	b.created = (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
	memcpy(b.id, k->id, sizeof(b.id));
	snprintf(b.name, sizeof(b.name), "%s", k->name);
	snprintf(b.tenant, sizeof(b.tenant), "%s", k->plan->tenant);
	if (!b.keeper_start || !boot_id(b.boot))
		return runtime_fail(reterr, RUNTIME_SYSTEM, "/proc", "mount it",
				    "cannot tell this boot or this process");
	return journal_create(k->paths.sessions_fd, &b, &k->journal, reterr);
}

/* ---- limits ---------------------------------------------------------------------- */

static uint64_t limit_of(const struct policy_limits *l, enum cgroup_controller c)
{
	return c == CGROUP_MEMORY ? l->memory : c == CGROUP_PIDS ? l->pids : l->cpu_milli;
}

/* Without a cgroup: what an rlimit does for one process at least, if anything does. */
static bool limit_without_cgroup(struct keeper *k, enum cgroup_controller c,
				 struct runtime_error *e)
{
	static const char *const how[] = { [CGROUP_MEMORY] = "RLIMIT_DATA, for each process",
					   [CGROUP_PIDS] = "RLIMIT_NPROC" };
	uint64_t limit = limit_of(&k->plan->limits, c);
	char key[32];

	snprintf(key, sizeof(key), "limit.%s", cgroup_controller_str(c));
	if (k->plan->limits.demanded) {
		runtime_fail(e, RUNTIME_REFUSED, key,
			     "give this user a delegated cgroup, or leave the limit out",
			     "no cgroup here can apply the limit that the policy demands");
		return false;
	}
	if (c == CGROUP_CPU) {
		keeper_fact(k, key, "absent (no cgroup that this user may write)");
		return true;
	}
	k->spec.extra[k->spec.n_extra++] = (struct policy_rlimit){
		.resource = c == CGROUP_MEMORY ? RLIMIT_DATA : RLIMIT_NPROC,
		.soft = limit,
		.hard = limit,
	};
	keeper_fact(k, key, "rlimit (%s)", how[c]);
	return true;
}

static enum runtime_status plan_limits(struct keeper *k, struct runtime_error *e)
{
	static const enum cgroup_controller all[] = { CGROUP_MEMORY, CGROUP_PIDS, CGROUP_CPU };
	unsigned wanted = 0;
	enum runtime_status s;

	for (size_t i = 0; i < 3; i++)
		if (limit_of(&k->plan->limits, all[i]))
			wanted |= all[i];
	s = cgroup_find(wanted, false, k->id, &k->cgroup, e);
	for (size_t i = 0; i < 3 && s == RUNTIME_OK; i++) {
		char key[32];

		if (!(wanted & all[i]))
			continue;
		snprintf(key, sizeof(key), "limit.%s", cgroup_controller_str(all[i]));
		if (k->cgroup.served & all[i])
			keeper_fact(k, key, "enforced (cgroup %s)",
				    k->cgroup.dirs[0].v2 ? "v2" : "v1");
		else if (!limit_without_cgroup(k, all[i], e))
			s = RUNTIME_REFUSED;
	}
	keeper_fact(k, "limit.tmpfs", "enforced (%llu bytes of memory file system)",
		    (unsigned long long)k->plan->limits.tmpfs);
	if (k->plan->limits.files)
		keeper_fact(k, "limit.files", "rlimit (RLIMIT_NOFILE, for each process)");
	for (size_t i = 0; i < k->cgroup.n; i++)
		keeper_fact(k, "cgroup", "%s", k->cgroup.dirs[i].path);
	return s;
}

/* ---- standard streams ------------------------------------------------------------ */

/* A socket stays in the network namespace that it was made in: any other than this could be
 * connected anew, to whatever the host reaches. */
static bool is_connected_pair(int fd)
{
	int domain = 0, type = 0;
	struct sockaddr_un peer;
	socklen_t len = sizeof(int), peer_len = sizeof(peer);

	return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 && domain == AF_UNIX &&
	       getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_STREAM &&
	       getpeername(fd, (struct sockaddr *)&peer, &peer_len) == 0;
}

/* A folder would be a way out (CVE-2024-21626), a disk is nobody's standard stream. */
static enum runtime_status check_stream(int fd, int which, struct runtime_error *e)
{
	char where[32];
	struct stat st;
	int flags = fcntl(fd, F_GETFL);

	snprintf(where, sizeof(where), "descriptor %d", which);
	if (flags < 0 || fstat(fd, &st) < 0)
		return runtime_fail(e, RUNTIME_SYSTEM, where, "", "cannot look at it: %s",
				    strerror(errno));
	if ((flags & O_PATH) || !(S_ISREG(st.st_mode) || S_ISFIFO(st.st_mode) ||
				  S_ISSOCK(st.st_mode) || S_ISCHR(st.st_mode)))
		return runtime_fail(e, RUNTIME_REFUSED, where,
				    "redirect it from or to a file, pipe or terminal",
				    "a sandbox gets no folder and no block device");
	if (S_ISSOCK(st.st_mode) && !is_connected_pair(fd))
		return runtime_fail(e, RUNTIME_REFUSED, where, "carry it over a pipe",
				    "a sandbox gets no socket of the host's network");
	return RUNTIME_OK;
}

/* A terminal is never passed in: the sandbox gets its own and the caller relays. */
static enum runtime_status foreground_streams(struct keeper *k, const int stdio[3],
					      struct runtime_error *e)
{
	enum runtime_status s = RUNTIME_OK;

	for (int i = 0; i < 3 && s == RUNTIME_OK; i++) {
		s = check_stream(stdio[i], i, e);
		k->spec.stdio[i] = isatty(stdio[i]) ? -1 : stdio[i];
		k->spec.terminal |= k->spec.stdio[i] < 0;
	}
	return s;
}

static enum runtime_status detached_streams(struct keeper *k, const int stdio[3],
					    struct runtime_error *e)
{
	int pipe_fds[2];

	k->ring = ring_make();
	if (k->ring < 0 || pipe2(pipe_fds, O_CLOEXEC) < 0)
		return runtime_fail(e, RUNTIME_SYSTEM, "output ring", "", "cannot make it: %s",
				    strerror(errno));
	k->out = pipe_fds[0];
	k->spec.stdio[0] = stdio[0]; /* /dev/null, opened by whoever started us */
	k->spec.stdio[1] = k->spec.stdio[2] = pipe_fds[1];
	return fcntl(k->out, F_SETFL, O_NONBLOCK) < 0
		       ? runtime_fail(e, RUNTIME_SYSTEM, "output ring", "", "%s",
				      strerror(errno))
		       : RUNTIME_OK;
}

/* ---- what the kernel granted ----------------------------------------------------- */

static const char *speculation_str(int state)
{
	if (state < 0)
		return "this CPU or kernel does not say";
	if (state == PR_SPEC_NOT_AFFECTED)
		return "not affected";
	if (state & (PR_SPEC_DISABLE | PR_SPEC_FORCE_DISABLE))
		return "disabled for the workload";
	return "open: the host allows no setting for one process";
}

static void note_obtained(struct keeper *k)
{
	const struct confine_report *r = &k->launcher.report;

	keeper_fact(k, "init", "%d %llu", k->launcher.init_pid,
		    (unsigned long long)process_start_time(k->launcher.init_pid));
	keeper_fact(k, "workload", "%d %llu", k->launcher.workload_pid,
		    (unsigned long long)process_start_time(k->launcher.workload_pid));
	if (r->landlock_abi)
		keeper_fact(k, "isolation.landlock", "ABI %d", r->landlock_abi);
	else
		keeper_fact(k, "isolation.landlock", "absent: this kernel has none");
	keeper_fact(k, "isolation.seccomp", "profile %s, %zu instructions",
		    strlen(k->plan->profile) < 200 ? k->plan->profile : "(long path)",
		    k->plan->filter.n_insns);
	if (k->plan->limits.core_sched == POLICY_CORE_OFF)
		keeper_fact(k, "isolation.core-scheduling", "off: the policy says so");
	else if (r->core_sched)
		keeper_fact(k, "isolation.core-scheduling", "own cookie");
	else
		keeper_fact(k, "isolation.core-scheduling", "unavailable: %s",
			    strerror(r->core_errno));
	keeper_fact(k, "isolation.store-bypass", "%s", speculation_str(r->store_bypass));
	keeper_fact(k, "isolation.indirect-branch", "%s", speculation_str(r->indirect_branch));
	keeper_fact(k, "isolation.swap",
		    k->launcher.noswap ? "memory file systems never swap"
				       : "memory file systems may swap");
	if (r->groups_kept)
		keeper_fact(k, "isolation.groups",
			    "kept: an ordinary user cannot drop its groups");
	if (r->rlimit_clamped)
		keeper_fact(k, "limit.rlimits", "some were clamped to this host's hard limits");
	keeper_fact(k, "isolation.readback",
		    "ids, capabilities, no_new_privs, seccomp, namespaces, mounts, files: as "
		    "planned");
}

/* ---- up to RUNNING --------------------------------------------------------------- */

static enum runtime_status reserve_ids(struct keeper *k, struct runtime_error *e)
{
	uid_t first;
	enum runtime_status s;

	if (geteuid() != 0) {
		k->spec.ids = (struct mounts_ids){ .first = geteuid(), .range = false };
		keeper_fact(k, "uids", "%u 1", geteuid());
		return uids_share(k->plan->tenant, k->plan->shared_uid, &k->uid_lock, e);
	}
	s = uids_reserve(&k->uid_lock, &first, e);
	if (s == RUNTIME_OK) {
		k->spec.ids = (struct mounts_ids){ .first = first, .range = true };
		keeper_fact(k, "uids", "%u %u", first, UIDS_BLOCK);
	}
	return s;
}

/* The program that runs before the workload, and both ends of its socket. */
static enum runtime_status open_agent(struct keeper *k, struct runtime_error *e)
{
	const char *program = keeper_beside("cordon-agent");
	int pair[2];

	k->spec.agent = program ? open(program, O_RDONLY | O_CLOEXEC) : -1;
	if (k->spec.agent < 0)
		return runtime_fail(e, RUNTIME_SYSTEM, "cordon-agent",
				    "it belongs beside cordon-keeper", "cannot open it: %s",
				    strerror(errno));
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return runtime_fail(e, RUNTIME_SYSTEM, "agent", "", "no socket: %s",
				    strerror(errno));
	k->agent = pair[0];
	k->spec.agent_sock = pair[1];
	k->spec.with_agent = true;
	return RUNTIME_OK;
}

/* The sandbox has its own by now. */
static void close_agent(struct keeper *k)
{
	closep(&k->spec.agent);
	closep(&k->spec.agent_sock);
}

enum runtime_status keeper_prepare(struct keeper *k, const int stdio[3],
				   struct runtime_error *reterr)
{
	char sock[SESSION_SOCKET];
	enum runtime_status s;

	keeper_fact(k, "command", "%.200s", k->plan->process.argv[0]);
	s = reserve_ids(k, reterr);
	if (s == RUNTIME_OK)
		s = keeper_admit_label(k, reterr);
	if (s == RUNTIME_OK)
		s = k->detached ? detached_streams(k, stdio, reterr)
				: foreground_streams(k, stdio, reterr);
	if (s == RUNTIME_OK)
		s = plan_limits(k, reterr);
	/* Named in the journal before they exist, so that recovery finds them. */
	if (s == RUNTIME_OK)
		s = write_facts(k, reterr);
	fault_point("noted");
	if (s == RUNTIME_OK)
		s = cgroup_make(&k->cgroup, &k->plan->limits, reterr);
	if (s == RUNTIME_OK) {
		k->cgroup_made = true;
		session_socket(k->id, sock);
		s = wire_listen(k->paths.run_fd, sock, &k->listener, reterr);
	}
	fault_point("limited");
	/* Standard streams that were there before are not the session's to wipe. */
	if (s == RUNTIME_OK)
		s = reaper_init(&k->reaper, k->spec.stdio, 3, reterr);
	if (s == RUNTIME_OK && k->plan->n_keys)
		s = open_agent(k, reterr);
	if (s == RUNTIME_OK) {
		k->spec.plan = k->plan;
		k->spec.cgroup = &k->cgroup;
		s = launcher_create(&k->spec, &k->launcher, reterr);
	}
	close_agent(k);
	fault_point("built");
	if (s == RUNTIME_OK)
		s = reaper_start(&k->reaper, &k->launcher.tracer, k->launcher.tmpfs,
				 k->launcher.n_tmpfs, reterr);
	if (s == RUNTIME_OK)
		s = keeper_hold(k, reterr);
	fault_point("held");
	return s;
}

enum runtime_status keeper_start(struct keeper *k, struct runtime_error *reterr)
{
	static struct agent_job job;
	enum runtime_status s =
		journal_move(k->journal, EV_HELD, "the session's memory is held", reterr);

	fault_point("prepared");
	/* The tracer must be able to read it, and its like-uid neighbours not us. */
	(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	if (s == RUNTIME_OK) {
		note_obtained(k);
		s = write_facts(k, reterr);
	}
	if (s == RUNTIME_OK && k->plan->n_keys)
		s = keeper_measure(k, &job, reterr);
	if (s == RUNTIME_OK)
		s = write_facts(k, reterr);
	/* Nothing runs that the log does not know of. */
	if (s == RUNTIME_OK)
		s = keeper_record(k, WIRE_RECORD_START, reterr);
	fault_point("recorded");
	if (s == RUNTIME_OK)
		s = launcher_check(&k->launcher, reterr);
	if (s == RUNTIME_OK && k->plan->n_keys)
		s = keeper_attest(k, &job, reterr);
	if (s == RUNTIME_OK)
		s = k->plan->n_keys ? journal_move(k->journal, EV_AFFIRMED,
						   "the key service released its keys", reterr)
				    : journal_move(k->journal, EV_START,
						   "confined, read back, started", reterr);
	fault_point("started");
	if (s == RUNTIME_OK) {
		k->ran = true;
		launcher_start(&k->launcher);
	}
	fault_point("running");
	return s;
}
