/* runtime/cgroup.c - where each controller is, and one folder in each such place. */
#include "runtime/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "runtime/files.h"

#define CPU_PERIOD_US 100000ull

static const struct {
	const char *name;
	enum cgroup_controller bit;
} controllers[] = {
	{ "memory", CGROUP_MEMORY },
	{ "pids", CGROUP_PIDS },
	{ "cpu", CGROUP_CPU },
};
#define N_CONTROLLERS (sizeof(controllers) / sizeof(controllers[0]))

const char *cgroup_controller_str(enum cgroup_controller c)
{
	for (size_t i = 0; i < N_CONTROLLERS; i++)
		if (controllers[i].bit == c)
			return controllers[i].name;
	return "?";
}

/* ---- small files ----------------------------------------------------------------- */

static bool join(char *to, size_t size, const char *dir, const char *name)
{
	int n = snprintf(to, size, "%s/%s", dir, name);

	return n > 0 && (size_t)n < size;
}

static int write_file(const char *dir, const char *name, const char *text)
{
	char path[CGROUP_PATH + 64];

	if (!join(path, sizeof(path), dir, name)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	return file_write_text(AT_FDCWD, path, text);
}

/* A word in a list that `separators` part. */
static bool has_word(const char *list, const char *word, const char *separators)
{
	size_t len = strlen(word);

	for (const char *p = list; *p;) {
		size_t n = strcspn(p, separators);

		if (n == len && memcmp(p, word, len) == 0)
			return true;
		p += n;
		p += strspn(p, separators);
	}
	return false;
}

/* ---- where the hierarchies are --------------------------------------------------- */

/* A line of mountinfo: ID PARENT DEV ROOT POINT OPTIONS [TAGS] - TYPE SOURCE SUPER. */
static bool mount_matches(char *line, const char *controller, char *root, char *point)
{
	char *fields[5], *s = NULL, *type, *options, *tail = strstr(line, " - ");
	size_t n = 0;

	if (!tail)
		return false;
	*tail = 0;
	for (char *f = strtok_r(line, " ", &s); f && n < 5; f = strtok_r(NULL, " ", &s))
		fields[n++] = f;
	type = strtok_r(tail + 3, " ", &s);
	options = strtok_r(NULL, " ", &s) ? strtok_r(NULL, " ", &s) : NULL;
	if (n < 5 || !type || !options || strlen(fields[3]) >= CGROUP_PATH ||
	    strlen(fields[4]) >= CGROUP_PATH)
		return false;
	if (controller ? strcmp(type, "cgroup") != 0 || !has_word(options, controller, ",")
		       : strcmp(type, "cgroup2") != 0)
		return false;
	file_unescape(fields[3]);
	file_unescape(fields[4]);
	memcpy(root, fields[3], strlen(fields[3]) + 1);
	memcpy(point, fields[4], strlen(fields[4]) + 1);
	return true;
}

/* Finds the mount of the v1 hierarchy that has `controller`, or of cgroup2 when it is
 * NULL: its root inside the hierarchy and its mount point. */
static bool find_mount(const char *mountinfo, const char *controller, char *root, char *point)
{
	char line[4096];

	for (const char *p = mountinfo; *p;) {
		size_t len = strcspn(p, "\n");

		if (len < sizeof(line)) {
			memcpy(line, p, len);
			line[len] = 0;
			if (mount_matches(line, controller, root, point))
				return true;
		}
		p += len;
		p += *p == '\n';
	}
	return false;
}

/* The caller's path in the hierarchy of `controller` ("" for v2), from
 * /proc/self/cgroup. */
static bool own_path(const char *self, const char *controller, char *ret)
{
	for (const char *p = self; *p;) {
		const char *end = strchrnul(p, '\n');
		const char *list = memchr(p, ':', (size_t)(end - p));
		const char *path =
			list ? memchr(list + 1, ':', (size_t)(end - list - 1)) : NULL;

		if (path) {
			char names[128];
			size_t n = (size_t)(path - list - 1), len = (size_t)(end - path - 1);

			if (n < sizeof(names) && len < CGROUP_PATH) {
				memcpy(names, list + 1, n);
				names[n] = 0;
				if (controller ? has_word(names, controller, ",")
					       : strncmp(p, "0::", 3) == 0) {
					memcpy(ret, path + 1, len);
					ret[len] = 0;
					return true;
				}
			}
		}
		p = *end ? end + 1 : end;
	}
	return false;
}

bool cgroup_locate(const struct cgroup_host *host, const char *controller,
		   char ret[static CGROUP_PATH], size_t *ret_floor)
{
	char root[CGROUP_PATH], point[CGROUP_PATH], path[CGROUP_PATH];
	const char *below;
	size_t n;

	if (!own_path(host->self, controller, path) ||
	    !find_mount(host->mountinfo, controller, root, point))
		return false;
	n = strcmp(root, "/") == 0 ? 0 : strlen(root);
	if (strncmp(path, root, n) != 0 || (path[n] && path[n] != '/'))
		return false; /* the mount shows another part of the tree */
	*ret_floor = strlen(point);
	below = path + n + strspn(path + n, "/");
	if (!*below) {
		memcpy(ret, point, strlen(point) + 1);
		return true;
	}
	return join(ret, CGROUP_PATH, point, below);
}

/* ---- choosing -------------------------------------------------------------------- */

static bool v2_offers(const char *dir, const char *file, unsigned wanted)
{
	char path[CGROUP_PATH + 64], list[512];

	if (!join(path, sizeof(path), dir, file) ||
	    file_read_text(AT_FDCWD, path, list, sizeof(list)) < 0)
		return false;
	for (size_t i = 0; i < N_CONTROLLERS; i++)
		if ((wanted & controllers[i].bit) &&
		    !has_word(list, controllers[i].name, " \n"))
			return false;
	return true;
}

/* Children of `dir` get the wanted controllers, now or already. A cgroup that has
 * processes of its own cannot pass controllers on (EBUSY): then the answer is no. */
static bool v2_enable(const char *dir, unsigned wanted)
{
	char words[64] = "";
	int n = 0;

	if (v2_offers(dir, "cgroup.subtree_control", wanted))
		return true;
	for (size_t i = 0; i < N_CONTROLLERS; i++)
		if (wanted & controllers[i].bit)
			n += snprintf(words + n, sizeof(words) - (size_t)n, "%s+%s",
				      n ? " " : "", controllers[i].name);
	return write_file(dir, "cgroup.subtree_control", words) == 0;
}

/* The nearest folder, from the caller's own upwards, that can have such children. */
static bool v2_parent(char *dir, size_t floor, unsigned wanted, bool look)
{
	for (;;) {
		char *slash;

		if (v2_offers(dir, "cgroup.controllers", wanted) && access(dir, W_OK) == 0 &&
		    (look || v2_enable(dir, wanted)))
			return true;
		slash = strrchr(dir, '/');
		if (!slash || (size_t)(slash - dir) < floor)
			return false;
		*slash = 0;
	}
}

/* How many of the wanted controllers cgroup2 lists at all, as bits. */
static unsigned v2_known(const char *own, size_t floor, unsigned wanted)
{
	char top[CGROUP_PATH];
	unsigned known = 0;

	memcpy(top, own, floor);
	top[floor] = 0;
	for (size_t i = 0; i < N_CONTROLLERS; i++)
		if ((wanted & controllers[i].bit) &&
		    v2_offers(top, "cgroup.controllers", controllers[i].bit))
			known |= controllers[i].bit;
	return known;
}

static bool add_dir(struct cgroup *cg, const char *parent, const char *leaf, unsigned bits,
		    bool v2)
{
	struct cgroup_dir *d;

	for (size_t i = 0; i < cg->n; i++) /* cpu,memory may be mounted together on v1 */
		if (strncmp(cg->dirs[i].path, parent, strlen(parent)) == 0 &&
		    strcmp(cg->dirs[i].path + strlen(parent) + 1, leaf) == 0) {
			cg->dirs[i].controllers |= bits;
			return true;
		}
	if (cg->n == CGROUP_DIRS)
		return false;
	d = &cg->dirs[cg->n];
	if (!join(d->path, sizeof(d->path), parent, leaf))
		return false;
	d->controllers = bits;
	d->v2 = v2;
	cg->n++;
	return true;
}

void cgroup_find_on(const struct cgroup_host *host, unsigned wanted, bool look,
		    const uint8_t id[static SESSION_ID_BYTES], struct cgroup *ret)
{
	char leaf[8 + SESSION_ID_HEX] = "cordon-", dir[CGROUP_PATH];
	struct cgroup cg = { 0 };
	size_t floor;

	session_id_hex(id, leaf + strlen(leaf));
	for (size_t i = 0; i < N_CONTROLLERS; i++) {
		unsigned bit = controllers[i].bit;

		if ((wanted & bit) && cgroup_locate(host, controllers[i].name, dir, &floor) &&
		    access(dir, W_OK) == 0 && add_dir(&cg, dir, leaf, bit, false))
			cg.served |= bit;
	}
	wanted &= ~cg.served;
	if (wanted && cgroup_locate(host, NULL, dir, &floor)) {
		unsigned v2 = v2_known(dir, floor, wanted);

		if (v2 && v2_parent(dir, floor, v2, look) && add_dir(&cg, dir, leaf, v2, true))
			cg.served |= v2;
	}
	*ret = cg;
}

enum runtime_status cgroup_find(unsigned wanted, bool look,
				const uint8_t id[static SESSION_ID_BYTES], struct cgroup *ret,
				struct runtime_error *reterr)
{
	static char self[1 << 14], mountinfo[1 << 18];
	const struct cgroup_host host = { .self = self, .mountinfo = mountinfo };

	if (file_read_text(AT_FDCWD, "/proc/self/cgroup", self, sizeof(self)) < 0 ||
	    file_read_text(AT_FDCWD, "/proc/self/mountinfo", mountinfo, sizeof(mountinfo)) < 0)
		return runtime_fail(reterr, RUNTIME_SYSTEM, "/proc/self", "mount /proc",
				    "cannot read where the cgroups are: %s", strerror(errno));
	cgroup_find_on(&host, wanted, look, id, ret);
	return RUNTIME_OK;
}

/* ---- limits ---------------------------------------------------------------------- */

/* Writes a number and reads it back; a kernel that rounds does so downwards, by less
 * than `grain`. */
static enum runtime_status set_number(const char *dir, const char *file, uint64_t v,
				      uint64_t grain, struct runtime_error *reterr)
{
	char text[32], path[CGROUP_PATH + 64];
	uint64_t got;

	snprintf(text, sizeof(text), "%" PRIu64, v);
	if (write_file(dir, file, text) < 0)
		return runtime_fail(reterr, RUNTIME_SYSTEM, dir, "run `cordon doctor`",
				    "cannot write %s to %s: %s", text, file, strerror(errno));
	if (!join(path, sizeof(path), dir, file) ||
	    file_read_text(AT_FDCWD, path, text, sizeof(text)) < 0)
		return runtime_fail(reterr, RUNTIME_SYSTEM, dir, "", "cannot read %s back: %s",
				    file, strerror(errno));
	got = strtoull(text, NULL, 10);
	if (got > v || v - got >= grain)
		return runtime_fail(reterr, RUNTIME_SYSTEM, dir, "",
				    "%s reads back as %" PRIu64 " instead of %" PRIu64, file,
				    got, v);
	return RUNTIME_OK;
}

static bool exists(const char *dir, const char *file)
{
	char path[CGROUP_PATH + 64];

	return join(path, sizeof(path), dir, file) && access(path, F_OK) == 0;
}

static enum runtime_status limit_memory(const struct cgroup_dir *d, uint64_t bytes,
					struct runtime_error *reterr)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	const char *swap = d->v2 ? "memory.swap.max" : "memory.swappiness";
	enum runtime_status s = set_number(
		d->path, d->v2 ? "memory.max" : "memory.limit_in_bytes", bytes, page, reterr);

	/* A tenant's pages must not reach a disk. */
	if (s == RUNTIME_OK && exists(d->path, swap))
		s = set_number(d->path, swap, 0, 1, reterr);
	if (s == RUNTIME_OK && !d->v2 && exists(d->path, "memory.memsw.limit_in_bytes"))
		s = set_number(d->path, "memory.memsw.limit_in_bytes", bytes, page, reterr);
	/* What sockets hold is not in that count; without a limit it would be the host's. */
	if (s == RUNTIME_OK && !d->v2 && exists(d->path, "memory.kmem.tcp.limit_in_bytes"))
		s = set_number(d->path, "memory.kmem.tcp.limit_in_bytes", bytes / 8, page,
			       reterr);
	if (s == RUNTIME_OK && d->v2)
		s = set_number(d->path, "memory.oom.group", 1, 1, reterr);
	return s;
}

static enum runtime_status limit_cpu(const struct cgroup_dir *d, uint64_t milli,
				     struct runtime_error *reterr)
{
	uint64_t quota = milli * CPU_PERIOD_US / 1000;
	char text[64], back[64], path[CGROUP_PATH + 64];
	enum runtime_status s;

	if (quota < 1000) /* the kernel's smallest quota is 1 ms */
		quota = 1000;
	if (d->v2) {
		snprintf(text, sizeof(text), "%" PRIu64 " %llu", quota, CPU_PERIOD_US);
		if (write_file(d->path, "cpu.max", text) < 0)
			return runtime_fail(
				reterr, RUNTIME_SYSTEM, d->path, "run `cordon doctor`",
				"cannot write %s to cpu.max: %s", text, strerror(errno));
		if (!join(path, sizeof(path), d->path, "cpu.max") ||
		    file_read_text(AT_FDCWD, path, back, sizeof(back)) < 0 ||
		    strncmp(back, text, strlen(text)) != 0)
			return runtime_fail(reterr, RUNTIME_SYSTEM, d->path, "",
					    "cpu.max does not read back as %s", text);
		return RUNTIME_OK;
	}
	s = set_number(d->path, "cpu.cfs_period_us", CPU_PERIOD_US, 1, reterr);
	return s == RUNTIME_OK ? set_number(d->path, "cpu.cfs_quota_us", quota, 1, reterr) : s;
}

static enum runtime_status limit_dir(const struct cgroup_dir *d, const struct policy_limits *l,
				     struct runtime_error *reterr)
{
	enum runtime_status s = RUNTIME_OK;

	if ((d->controllers & CGROUP_MEMORY) && l->memory)
		s = limit_memory(d, l->memory, reterr);
	if (s == RUNTIME_OK && (d->controllers & CGROUP_PIDS) && l->pids)
		s = set_number(d->path, "pids.max", l->pids, 1, reterr);
	if (s == RUNTIME_OK && (d->controllers & CGROUP_CPU) && l->cpu_milli)
		s = limit_cpu(d, l->cpu_milli, reterr);
	return s;
}

enum runtime_status cgroup_make(const struct cgroup *cg, const struct policy_limits *limits,
				struct runtime_error *reterr)
{
	enum runtime_status s = RUNTIME_OK;
	size_t made = 0;

	for (; made < cg->n && s == RUNTIME_OK; made++) {
		const struct cgroup_dir *d = &cg->dirs[made];

		if (mkdir(d->path, 0755) < 0) {
			s = runtime_fail(reterr, RUNTIME_SYSTEM, d->path, "run `cordon doctor`",
					 "cannot make the session's cgroup: %s",
					 strerror(errno));
			break;
		}
		s = limit_dir(d, limits, reterr);
	}
	while (s != RUNTIME_OK && made-- > 0)
		rmdir(cg->dirs[made].path);
	return s;
}

void cgroup_close(struct cgroup_entry *entry)
{
	if (entry->into >= 0)
		close(entry->into);
	for (size_t i = 0; i < entry->n; i++)
		close(entry->tasks[i]);
	*entry = (struct cgroup_entry){ .into = -1 };
}

enum runtime_status cgroup_open(const struct cgroup *cg, struct cgroup_entry *ret,
				struct runtime_error *reterr)
{
	struct cgroup_entry e = { .into = -1 };
	char path[CGROUP_PATH + 64];

	for (size_t i = 0; i < cg->n; i++) {
		const struct cgroup_dir *d = &cg->dirs[i];
		int fd = -1;

		if (d->v2)
			e.into = fd = open(d->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
		else if (join(path, sizeof(path), d->path, "tasks"))
			e.tasks[e.n] = fd = open(path, O_WRONLY | O_CLOEXEC);
		if (fd < 0) {
			runtime_fail(reterr, RUNTIME_SYSTEM, d->path, "run `cordon doctor`",
				     "cannot open the session's cgroup: %s", strerror(errno));
			cgroup_close(&e);
			return RUNTIME_SYSTEM;
		}
		e.n += !d->v2;
	}
	*ret = e;
	return RUNTIME_OK;
}

bool cgroup_enter(const struct cgroup_entry *entry)
{
	for (size_t i = 0; i < entry->n; i++)
		if (write(entry->tasks[i], "0", 1) != 1) /* "0": the writer itself */
			return false;
	return true;
}

unsigned cgroup_oom_kills(const struct cgroup *cg)
{
	for (size_t i = 0; i < cg->n; i++) {
		const struct cgroup_dir *d = &cg->dirs[i];
		char path[CGROUP_PATH + 64], text[512];
		const char *line;

		if (!(d->controllers & CGROUP_MEMORY) ||
		    !join(path, sizeof(path), d->path,
			  d->v2 ? "memory.events" : "memory.oom_control") ||
		    file_read_text(AT_FDCWD, path, text, sizeof(text)) < 0)
			continue;
		line = strstr(text, "oom_kill ");
		return line ? (unsigned)strtoul(line + strlen("oom_kill "), NULL, 10) : 0;
	}
	return 0;
}

/* ---- the end --------------------------------------------------------------------- */

/* By pidfd: a pid that was given to somebody else between the read and the kill is
 * caught by reading cgroup.procs once more through the open pidfd's pid. */
static void kill_listed(const char *path)
{
	char procs[CGROUP_PATH + 64], list[1 << 16], again[1 << 16];

	if (!join(procs, sizeof(procs), path, "cgroup.procs") ||
	    file_read_text(AT_FDCWD, procs, list, sizeof(list)) <= 0)
		return;
	for (char *p = list; *p; p += strspn(p, "\n")) {
		char *word = p;
		size_t n = strcspn(p, "\n");
		pid_t pid = (pid_t)strtol(p, NULL, 10);
		int fd;

		p += n;
		if (!*p)
			break; /* a longer list than fits: a number that was cut is another's */
		*p++ = 0;
		fd = pid > 0 ? pidfd_open(pid, 0) : -1;
		if (fd < 0)
			continue;
		if (file_read_text(AT_FDCWD, procs, again, sizeof(again)) > 0 &&
		    has_word(again, word, "\n"))
			(void)pidfd_send_signal(fd, SIGKILL, NULL, 0);
		close(fd);
	}
}

enum runtime_status cgroup_remove(const char *path, struct runtime_error *reterr)
{
	struct timespec wait = { .tv_nsec = 50 * 1000 };

	for (unsigned tries = 0; tries < 40; tries++) {
		if (rmdir(path) == 0 || errno == ENOENT)
			return RUNTIME_OK;
		if (errno != EBUSY)
			break;
		kill_listed(path);
		nanosleep(&wait, NULL);
		if (wait.tv_nsec < 100 * 1000 * 1000)
			wait.tv_nsec *= 2;
	}
	return runtime_fail(reterr, RUNTIME_SYSTEM, path, "run `cordon recover` once more",
			    "cannot remove the session's cgroup: %s", strerror(errno));
}
