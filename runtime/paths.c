/* runtime/paths.c - the folders of one root, found or made, and judged. */
#include "runtime/runtime.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static enum runtime_status too_long(struct runtime_error *e, const char *root)
{
	return runtime_fail(e, RUNTIME_MALFORMED, root, "choose a shorter path for --root",
			    "the path is too long");
}

/* `a` then `b` into `to`; false when it does not fit. */
static bool join(char *to, size_t size, const char *a, const char *b)
{
	int n = snprintf(to, size, "%s%s", a, b);

	return n >= 0 && (size_t)n < size;
}

static enum runtime_status name_under_root(const char *root, struct paths *p,
					   struct runtime_error *e)
{
	char cwd[sizeof(p->state)], absolute[sizeof(p->state)];

	if (!root[0])
		return runtime_fail(e, RUNTIME_MALFORMED, "--root", "name a folder",
				    "the path is empty");
	if (root[0] == '/')
		cwd[0] = absolute[0] = '\0';
	else if (!getcwd(cwd, sizeof(cwd)))
		return runtime_fail(e, RUNTIME_SYSTEM, "--root", "give an absolute path",
				    "the current folder has no path: %m");
	else if (!join(absolute, sizeof(absolute), cwd, "/"))
		return too_long(e, root);
	if (!join(p->state, sizeof(p->state), absolute, root) ||
	    !join(p->run, sizeof(p->run), p->state, "/run"))
		return too_long(e, root);
	return RUNTIME_OK;
}

/* $XDG_STATE_HOME counts only when it is absolute, as its specification says. The user
 * database is not asked: this is also linked into static programs. */
static enum runtime_status name_for_user(struct paths *p, struct runtime_error *e)
{
	const char *base = getenv("XDG_STATE_HOME"), *below = "/cordon";

	if (!base || base[0] != '/') {
		base = getenv("HOME");
		below = "/.local/state/cordon";
	}
	if (!base || base[0] != '/')
		return runtime_fail(e, RUNTIME_MALFORMED, "HOME", "set HOME or give --root DIR",
				    "no folder for state: neither XDG_STATE_HOME nor HOME is "
				    "an absolute path");
	if (!join(p->state, sizeof(p->state), base, below) ||
	    !join(p->run, sizeof(p->run), p->state, "/run"))
		return too_long(e, base);
	return RUNTIME_OK;
}

static enum runtime_status name_folders(const char *root, struct paths *p,
					struct runtime_error *e)
{
	if (root)
		return name_under_root(root, p, e);
	if (geteuid() != 0)
		return name_for_user(p, e);
	snprintf(p->state, sizeof(p->state), "/var/lib/cordon");
	snprintf(p->run, sizeof(p->run), "/run/cordon");
	return RUNTIME_OK;
}

/* A folder that another user owns or can write is no place for keys, journals and
 * sockets: something may have been put there. Those that hold them nobody else may even
 * enter. */
static enum runtime_status judge(int fd, const char *path, bool inner, struct runtime_error *e)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return runtime_fail(e, RUNTIME_SYSTEM, path, NULL, "cannot be examined: %m");
	if (st.st_uid != geteuid())
		return runtime_fail(e, RUNTIME_REFUSED, path, "choose a folder of your own",
				    "belongs to user %u, not to user %u", st.st_uid, geteuid());
	if (st.st_mode & (inner ? 077 : 022))
		return runtime_fail(e, RUNTIME_REFUSED, path,
				    "chmod 700 it, or choose another folder",
				    "other users %s it (mode %04o)",
				    inner ? "have access to" : "can write", st.st_mode & 07777);
	return RUNTIME_OK;
}

/* A new folder's name is durable only when its parent is. */
static bool make_folder(int at, const char *name)
{
	char parent[sizeof(((struct paths *)0)->state)];
	char *slash;
	bool done;
	int fd;

	if (mkdirat(at, name, 0700) != 0)
		return errno == EEXIST;
	snprintf(parent, sizeof(parent), "%s", name);
	slash = strrchr(parent, '/');
	if (slash)
		slash[slash == parent] = '\0'; /* "/name" is in "/" */
	fd = openat(at, slash ? parent : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	done = fd >= 0 && fsync(fd) == 0;
	closep(&fd);
	return done;
}

static enum runtime_status unusable(const char *path, const char *how, struct runtime_error *e)
{
	if (errno == ENOTDIR)
		return runtime_fail(e, RUNTIME_MALFORMED, path, "name a folder",
				    "it, or what it would be in, is not a folder");
	return runtime_fail(e, RUNTIME_SYSTEM, path, NULL, "cannot be %s: %m", how);
}

/* Opens NAME below `at` (AT_FDCWD for an absolute path), made first with `create`.
 * Absent without `create`: *ret stays -1 and that is fine. `path` is for findings. The
 * root itself may be a symbolic link of its owner's; an inner folder may not. */
static enum runtime_status folder_open(int at, const char *name, const char *path, bool create,
				       bool inner, int *ret, struct runtime_error *e)
{
	int flags = O_PATH | O_DIRECTORY | O_CLOEXEC | (inner ? O_NOFOLLOW : 0);
	AUTO(closep) int fd = -1;
	enum runtime_status s;

	if (create && !make_folder(at, name))
		return unusable(path, "made", e);
	fd = openat(at, name, flags);
	if (fd < 0 && errno == ENOENT && !create)
		return RUNTIME_OK;
	if (fd < 0)
		return unusable(path, "opened", e);
	s = judge(fd, path, inner, e);
	if (s == RUNTIME_OK) {
		*ret = fd;
		fd = -1;
	}
	return s;
}

/* The ordinary folders above a user's state folder, or above --root's; the base directory
 * specification wants the former made 0700 when they are absent. */
static void make_above(const char *state)
{
	char path[sizeof(((struct paths *)0)->state)];

	snprintf(path, sizeof(path), "%s", state);
	for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		(void)make_folder(AT_FDCWD, path); /* the last one's failure will be told */
		*slash = '/';
	}
}

enum runtime_status paths_open(const char *root, bool create, struct paths *ret,
			       struct runtime_error *reterr)
{
	struct paths p = { .sessions_fd = -1, .run_fd = -1 };
	char sessions[sizeof(p.state)];
	AUTO(closep) int state = -1;
	enum runtime_status s = name_folders(root, &p, reterr);

	if (s != RUNTIME_OK)
		return s;
	if (!join(sessions, sizeof(sessions), p.state, "/sessions"))
		return too_long(reterr, p.state);
	if (create)
		make_above(p.state);
	s = folder_open(AT_FDCWD, p.state, p.state, create, false, &state, reterr);
	if (s == RUNTIME_OK && state >= 0)
		s = folder_open(state, "sessions", sessions, create, true, &p.sessions_fd,
				reterr);
	if (s == RUNTIME_OK && (state >= 0 || !root))
		s = folder_open(AT_FDCWD, p.run, p.run, create, true, &p.run_fd, reterr);
	if (s != RUNTIME_OK) {
		paths_close(&p);
		return s;
	}
	*ret = p;
	return RUNTIME_OK;
}

void paths_close(struct paths *p)
{
	closep(&p->sessions_fd);
	closep(&p->run_fd);
}
