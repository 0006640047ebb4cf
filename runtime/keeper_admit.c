/* runtime/keeper_admit.c - may this session start on this host, now, beside the others? */
#include "runtime/keeper_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "runtime/files.h"

static enum runtime_status refuse(struct runtime_error *e, const char *where, const char *hint,
				  const char *what)
{
	return runtime_fail(e, RUNTIME_REFUSED, where, hint, "%s", what);
}

static enum runtime_status check_plan(const struct policy_plan *p, struct runtime_error *e)
{
	if (p->class != POLICY_CLASS_SANDBOX)
		return refuse(e, "isolation.class", "use class sandbox",
			      "this build starts sandboxes, no guests");
	if (p->n_keys)
		return refuse(e, "keys", "leave them out",
			      "this build has no key service to ask for keys");
	if (p->network != POLICY_NET_NONE)
		return refuse(e, "network.mode", "use mode none",
			      "this build gives a sandbox no network but its own loopback");
	if (p->n_hooks)
		return refuse(e, "hooks", "leave them out", "no hook is allowed on this host");
	if (p->root_writable)
		return refuse(e, "workload.rootfs", "use a read-only root",
			      "a writable root would outlive its session");
	return RUNTIME_OK;
}

/* init_on_free has no file of its own: the command line is the evidence that there is. */
static bool init_on_free(void)
{
	char line[4096];

	return file_read_text(AT_FDCWD, "/proc/cmdline", line, sizeof(line)) > 0 &&
	       strstr(line, "init_on_free=1") && !strstr(line, "page_poison=1");
}

static enum runtime_status check_scrub(const struct policy_plan *p, struct runtime_error *e)
{
	if (p->kernel == POLICY_KERNEL_KERNEL && !init_on_free())
		return refuse(e, "scrub.kernel",
			      "boot the host with init_on_free=1, or write kernel: none",
			      "the kernel does not clear freed memory on this boot");
	if (p->kernel == POLICY_KERNEL_SWEPT)
		return refuse(e, "scrub.kernel", "write kernel: none or kernel: kernel",
			      "this build cannot sweep free memory");
	return RUNTIME_OK;
}

enum runtime_status keeper_admit_plan(const struct policy_plan *p, struct runtime_error *reterr)
{
	enum runtime_status s = check_plan(p, reterr);

	return s == RUNTIME_OK ? check_scrub(p, reterr) : s;
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

enum runtime_status keeper_admit_neighbours(const struct keeper *k,
					    struct runtime_error *reterr)
{
	bool lone_uid = geteuid() != 0;
	static struct journal other;
	struct dirent *entry;
	enum runtime_status s = RUNTIME_OK;
	int fd;
	DIR *d;

	if (!lone_uid && !k->name[0])
		return RUNTIME_OK;
	fd = openat(k->paths.sessions_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	d = fd < 0 ? NULL : fdopendir(fd);
	if (!d) {
		if (fd >= 0)
			close(fd);
		return runtime_fail(reterr, RUNTIME_SYSTEM, "sessions", "",
				    "cannot list them: %s", strerror(errno));
	}
	while (s == RUNTIME_OK && (entry = readdir(d))) {
		uint8_t id[SESSION_ID_BYTES];
		char hex[SESSION_ID_HEX];
		struct runtime_error ignored;
		bool torn;

		if (strlen(entry->d_name) != 32 + 8 ||
		    strcmp(entry->d_name + 32, ".journal") != 0)
			continue;
		memcpy(hex, entry->d_name, 32);
		hex[32] = 0;
		if (!session_id_parse(hex, id) || memcmp(id, k->id, sizeof(id)) == 0 ||
		    journal_read(k->paths.sessions_fd, id, &other, &torn, &ignored) !=
			    RUNTIME_OK ||
		    !journal_live(&other))
			continue;
		if (k->name[0] && strcmp(k->name, other.begin.name) == 0)
			s = runtime_fail(reterr, RUNTIME_REFUSED, "--name",
					 "choose another label",
					 "a live session has the label %s already", k->name);
		else if (lone_uid && strcmp(k->plan->tenant, other.begin.tenant) != 0 &&
			 !(k->plan->shared_uid && journal_fact(&other, "shared-uid")))
			s = runtime_fail(
				reterr, RUNTIME_REFUSED, "isolation.shared-uid",
				"stop it, start sessions as root, or accept it in both "
				"policies",
				"tenant %s has a live session under this user's one kernel "
				"uid",
				other.begin.tenant);
	}
	closedir(d);
	return s;
}
