/* runtime/keeper_admit.c - may this session start on this host, now, beside the others? */
#include "runtime/keeper_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "memscrub/memscrub.h"
#include "runtime/agent.h"
#include "runtime/dirty.h"

static enum runtime_status refuse(struct runtime_error *e, const char *where, const char *hint,
				  const char *what)
{
	return runtime_fail(e, RUNTIME_REFUSED, where, hint, "%s", what);
}

/* One service, because the evidence is bound to one. */
static enum runtime_status check_keys(const struct policy_plan *p, struct runtime_error *e)
{
	if (p->n_keys > AGENT_KEYS)
		return runtime_fail(e, RUNTIME_REFUSED, "keys", "ask for fewer",
				    "a session has at most %u keys", AGENT_KEYS);
	for (size_t i = 1; i < p->n_keys; i++)
		if (strcmp(p->keys[i].service, p->keys[0].service) != 0 ||
		    strcmp(p->keys[i].service_ca, p->keys[0].service_ca) != 0)
			return refuse(e, "keys", "name one service and one service_ca",
				      "a session's keys come from one service");
	return RUNTIME_OK;
}

static enum runtime_status check_plan(const struct policy_plan *p, struct runtime_error *e)
{
	enum runtime_status s = RUNTIME_OK;

	if (p->class != POLICY_CLASS_SANDBOX)
		return refuse(e, "isolation.class", "use class sandbox",
			      "this build starts sandboxes, no guests");
	if (p->n_keys)
		s = check_keys(p, e);
	if (s != RUNTIME_OK)
		return s;
	if (p->network != POLICY_NET_NONE)
		return refuse(e, "network.mode", "use mode none",
			      "this build gives a sandbox no network but its own loopback");
	if (p->witness == POLICY_WITNESS_REQUIRED)
		return refuse(e, "audit.witness", "write witness: optional",
			      "no witness signs this host's audit log");
	if (p->n_hooks)
		return refuse(e, "hooks", "leave them out", "no hook is allowed on this host");
	if (p->root_writable)
		return refuse(e, "workload.rootfs", "use a read-only root",
			      "a writable root would outlive its session");
	return RUNTIME_OK;
}

/* Another tenant's bytes may lie in free memory: whoever asks for more than none of its own
 * to lie there must not be told that the host can do it. */
static enum runtime_status check_dirty(const struct keeper *k, bool zeroing,
				       struct runtime_error *e)
{
	char by[DIRTY_BY];
	bool stands;
	enum runtime_status s =
		dirty_stands(k->paths.sessions_fd, k->plan->tenant, zeroing, &stands, by, e);

	if (s == RUNTIME_OK && stands)
		s = runtime_fail(
			e, RUNTIME_REFUSED, "scrub.kernel",
			"sweep free memory (`cordon recover --sweep`), or restart the host "
			"with init_on_free=1",
			"this host is dirty: %s gave memory back unwiped", by);
	return s;
}

static enum runtime_status check_scrub(const struct keeper *k, struct runtime_error *e)
{
	struct scrub_floor floor;
	char why[256];
	bool zeroing;

	if (k->plan->kernel == POLICY_KERNEL_NONE)
		return RUNTIME_OK;
	scrub_floor_read("", &floor);
	zeroing = scrub_floor_kernel(&floor, why);
	if (k->plan->kernel == POLICY_KERNEL_KERNEL && !zeroing)
		return runtime_fail(e, RUNTIME_REFUSED, "scrub.kernel",
				    "boot the host with init_on_free=1, or write kernel: none",
				    "the kernel does not zero freed memory on this boot: %s",
				    why);
	return check_dirty(k, zeroing, e);
}

enum runtime_status keeper_admit_plan(const struct keeper *k, struct runtime_error *reterr)
{
	enum runtime_status s = check_plan(k->plan, reterr);

	return s == RUNTIME_OK ? check_scrub(k, reterr) : s;
}

static bool journal_live(const struct journal *j)
{
	uint8_t boot[16];
	int fd;

	if (session_final(journal_state(j)) || !boot_id(boot) ||
	    memcmp(boot, j->begin.boot, 16) != 0)
		return false;
	fd = process_open(j->begin.keeper, j->begin.keeper_start);
	if (fd < 0)
		return false;
	close(fd);
	return true;
}

/* The id that a journal's file is named by; false for other files. */
static bool named_session(const char *name, uint8_t id[static SESSION_ID_BYTES])
{
	char hex[SESSION_ID_HEX] = "";

	if (strlen(name) != 32 + 8 || strcmp(name + 32, ".journal") != 0)
		return false;
	memcpy(hex, name, 32);
	return session_id_parse(hex, id);
}

/* A journal that cannot be read has no label that anybody could mean. */
static bool has_label(const struct keeper *k, const uint8_t id[static SESSION_ID_BYTES])
{
	static struct journal other;
	struct runtime_error ignored;
	bool torn;

	return memcmp(id, k->id, SESSION_ID_BYTES) != 0 &&
	       journal_read(k->paths.sessions_fd, id, &other, &torn, &ignored) == RUNTIME_OK &&
	       journal_live(&other) && strcmp(k->name, other.begin.name) == 0;
}

enum runtime_status keeper_admit_label(const struct keeper *k, struct runtime_error *reterr)
{
	enum runtime_status s = RUNTIME_OK;
	uint8_t id[SESSION_ID_BYTES];
	struct dirent *entry;
	int fd;
	DIR *d;

	if (!k->name[0])
		return RUNTIME_OK;
	fd = openat(k->paths.sessions_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	d = fd < 0 ? NULL : fdopendir(fd);
	if (!d) {
		if (fd >= 0)
			close(fd);
		return runtime_fail(reterr, RUNTIME_SYSTEM, "sessions", "",
				    "cannot list them: %s", strerror(errno));
	}
	while (s == RUNTIME_OK && (entry = readdir(d)))
		if (named_session(entry->d_name, id) && has_label(k, id))
			s = runtime_fail(reterr, RUNTIME_REFUSED, "--name",
					 "choose another label",
					 "a live session has the label %s already", k->name);
	closedir(d);
	return s;
}
