/* attest/measure_view.c - see attest/measure_view.h. */
#include "attest/measure_view.h"

#include <errno.h>
#include <linux/mount.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LINKS_MAX 40 /* as the kernel has it */

/* ---- what lies where ----------------------------------------------------------------- */

struct place {
	const char *target; /* in the sandbox */
	const char *source; /* on the host; NULL: nothing of the host's */
	bool noexec;
};

/* What every sandbox makes for itself, over its root. */
static const struct place own[] = {
	{ "/dev", NULL, true },
	{ "/proc", NULL, true },
	{ "/run", NULL, true },
	{ "/tmp", NULL, true },
};

/* Without a rootfs. */
static const struct place host_view[] = {
	{ "/", NULL, true },
	{ "/usr", "/usr", false },
	{ "/etc/alternatives", "/etc/alternatives", true },
};

/* Made where the host's are symbolic links, as such. */
static const char *const host_links[] = {
	"/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"
};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* `path` is `top` or below it. */
static bool is_within(const char *path, const char *top)
{
	size_t n = strcmp(top, "/") == 0 ? 0 : strlen(top);

	return strncmp(path, top, n) == 0 && (path[n] == '\0' || path[n] == '/');
}

/* The deepest mount over the path is what is seen, of two at one place the later. */
static void deeper(struct place *best, const struct place *p, const char *path)
{
	if (is_within(path, p->target) &&
	    (!best->target || strlen(p->target) >= strlen(best->target)))
		*best = *p;
}

static struct place place_of(const struct policy_plan *plan, const char *path)
{
	const struct place root = { "/", plan->rootfs, false };
	const struct place home = { plan->process.home, NULL, true };
	struct place best = { .target = NULL };

	if (plan->rootfs[0])
		deeper(&best, &root, path);
	for (size_t i = 0; i < COUNT(host_view) && !plan->rootfs[0]; i++)
		deeper(&best, &host_view[i], path);
	for (size_t i = 0; i < COUNT(own); i++)
		deeper(&best, &own[i], path);
	deeper(&best, &home, path);
	for (size_t i = 0; i < plan->n_mounts; i++) {
		const struct policy_mount *m = &plan->mounts[i];
		const struct place p = { m->target,
					 m->kind == POLICY_MOUNT_BIND ? m->source : NULL,
					 m->attr & MOUNT_ATTR_NOEXEC };

		deeper(&best, &p, path);
	}
	return best;
}

/* A folder on the way to a mount is there, if only because it was made for that. */
static bool leads_to_mount(const struct policy_plan *plan, const char *path)
{
	for (size_t i = 0; i < plan->n_mounts; i++)
		if (is_within(plan->mounts[i].target, path) &&
		    strcmp(plan->mounts[i].target, path) != 0)
			return true;
	for (size_t i = 0; i < COUNT(host_view) && !plan->rootfs[0]; i++)
		if (is_within(host_view[i].target, path) &&
		    strcmp(host_view[i].target, path) != 0)
			return true;
	return strcmp(path, "/") == 0;
}

static bool is_host_link(const struct policy_plan *plan, const char *path)
{
	for (size_t i = 0; i < COUNT(host_links) && !plan->rootfs[0]; i++)
		if (strcmp(path, host_links[i]) == 0)
			return true;
	return false;
}

static bool join(char *ret, const char *a, const char *b)
{
	int n = snprintf(ret, PATH_MAX, "%s%s", a, b);

	errno = ENAMETOOLONG;
	return n >= 0 && n < PATH_MAX;
}

/* What is at a path without links, and where that is on the host. False with errno. */
static bool look(const struct policy_plan *plan, const char *path, char host[static PATH_MAX],
		 struct stat *ret)
{
	struct place p = place_of(plan, path);
	bool link = p.source == NULL && is_host_link(plan, path);

	if (p.source) {
		if (!join(host, p.source, path + (p.target[1] ? strlen(p.target) : 0)))
			return false;
	} else if (!link || !join(host, path, "")) {
		errno = ENOENT;
		return false;
	}
	if (lstat(host, ret) < 0)
		return false;
	errno = ENOENT;
	return !link || S_ISLNK(ret->st_mode);
}

/* ---- resolving ------------------------------------------------------------------------ */

struct walk {
	const struct policy_plan *plan;
	char done[PATH_MAX]; /* without links; "" is the root */
	char rest[PATH_MAX];
	char host[PATH_MAX]; /* of `done` */
	struct stat st;      /* of `done` */
	unsigned links;
};

static void step_up(struct walk *w)
{
	char *slash = strrchr(w->done, '/');

	if (slash)
		*slash = '\0';
}

/* `done` was a link: its target is to be walked before the rest. */
static bool follow(struct walk *w)
{
	char target[PATH_MAX], rest[PATH_MAX];
	ssize_t n = readlink(w->host, target, sizeof(target));

	if (n < 0)
		return false;
	errno = ELOOP;
	if (++w->links > LINKS_MAX)
		return false;
	errno = ENAMETOOLONG;
	if ((size_t)n == sizeof(target))
		return false;
	target[n] = '\0';
	memcpy(rest, w->rest, sizeof(rest)); /* empty, or from a slash on */
	if (!join(w->rest, target, rest))
		return false;
	step_up(w);
	if (target[0] == '/')
		w->done[0] = '\0';
	return true;
}

/* Takes the next name off `rest`. False: there is none. */
static bool next_name(struct walk *w, char ret[static NAME_MAX + 2])
{
	size_t skip = strspn(w->rest, "/"), n = strcspn(w->rest + skip, "/");

	if (n == 0)
		return false;
	snprintf(ret, NAME_MAX + 2, "%.*s", (int)n, w->rest + skip);
	memmove(w->rest, w->rest + skip + n, strlen(w->rest + skip + n) + 1);
	return true;
}

static bool step_down(struct walk *w, const char *name)
{
	size_t n = strlen(w->done);

	errno = ENAMETOOLONG;
	if (strlen(name) > NAME_MAX || n + 1 + strlen(name) >= sizeof(w->done))
		return false;
	w->done[n] = '/';
	memcpy(w->done + n + 1, name, strlen(name) + 1);
	if (leads_to_mount(w->plan, w->done)) {
		w->st.st_mode = S_IFDIR;
		return true;
	}
	if (!look(w->plan, w->done, w->host, &w->st))
		return false;
	if (S_ISLNK(w->st.st_mode))
		return follow(w);
	errno = ENOTDIR; /* a slash behind a name asks for a folder, too */
	return S_ISDIR(w->st.st_mode) || w->rest[0] == '\0';
}

/* `path` is absolute. False with errno. */
static bool resolve(struct walk *w, const struct policy_plan *plan, const char *path)
{
	char name[NAME_MAX + 2];

	*w = (struct walk){ .plan = plan, .st.st_mode = S_IFDIR };
	if (!join(w->rest, path, ""))
		return false;
	while (next_name(w, name)) {
		if (strcmp(name, "..") == 0)
			step_up(w);
		else if (strcmp(name, ".") != 0 && !step_down(w, name))
			return false;
	}
	return true;
}

/* ---- the program ---------------------------------------------------------------------- */

static bool may_execute(const struct stat *st, const struct policy_process *p)
{
	if (st->st_uid == p->uid)
		return st->st_mode & S_IXUSR;
	if (st->st_gid == p->gid)
		return st->st_mode & S_IXGRP;
	for (size_t i = 0; i < p->n_groups; i++)
		if (st->st_gid == p->groups[i])
			return st->st_mode & S_IXGRP;
	return st->st_mode & S_IXOTH;
}

/* As the workload's own search judges it. */
static bool runnable(const struct policy_plan *plan, const char *path,
		     struct measure_program *ret, int *ret_errno)
{
	struct walk w;
	struct place p;

	if (!resolve(&w, plan, path)) {
		*ret_errno = errno;
		return false;
	}
	p = place_of(plan, w.done);
	if (!S_ISREG(w.st.st_mode) || p.noexec || !may_execute(&w.st, &plan->process)) {
		*ret_errno = S_ISDIR(w.st.st_mode) ? EISDIR : EACCES;
		return false;
	}
	memcpy(ret->inside, w.done, sizeof(ret->inside));
	memcpy(ret->host, w.host, sizeof(ret->host));
	ret->of_root = strcmp(p.target, "/") == 0;
	return true;
}

/* A relative path begins in the workload's folder. */
static bool try(const struct policy_plan *plan, const char *folder, size_t n, const char *name,
		struct measure_program *ret, int *ret_errno)
{
	bool relative = n == 0 || folder[0] != '/';
	char path[PATH_MAX];
	int len = snprintf(path, sizeof(path), "%s%s%.*s/%s", relative ? plan->process.cwd : "",
			   relative ? "/" : "", (int)n, folder, name);

	*ret_errno = ENAMETOOLONG;
	return len > 0 && (size_t)len < sizeof(path) && runnable(plan, path, ret, ret_errno);
}

static const char *path_of(char *const *env)
{
	for (; *env; env++)
		if (strncmp(*env, "PATH=", 5) == 0)
			return *env + 5;
	return "/usr/bin:/bin";
}

static bool search(const struct policy_plan *plan, struct measure_program *ret, int *ret_errno)
{
	const char *name = plan->process.argv[0], *dir = path_of(plan->process.env);
	bool denied = false;

	if (name[0] == '/')
		return runnable(plan, name, ret, ret_errno);
	if (strchr(name, '/'))
		return try(plan, "", 0, name, ret, ret_errno);
	while (name[0] && dir) {
		const char *end = strchrnul(dir, ':');

		if (try(plan, dir, (size_t)(end - dir), name, ret, ret_errno))
			return true;
		denied |= *ret_errno == EACCES;
		dir = *end ? end + 1 : NULL;
	}
	*ret_errno = denied ? EACCES : ENOENT;
	return false;
}

enum attest_status measure_find_program(const struct policy_plan *plan,
					struct measure_program *ret,
					struct attest_error *reterr)
{
	int err = 0;

	if (search(plan, ret, &err))
		return ATTEST_OK;
	return attest_fail(reterr, ATTEST_REFUSED, plan->process.argv[0],
			   "name a program that exists inside the sandbox",
			   "the sandbox could not run it: %s", strerror(err));
}
