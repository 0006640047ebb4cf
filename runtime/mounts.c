/* runtime/mounts.c - detached mounts, then one pivot. */
#include "runtime/mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/openat2.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/fault.h"
#include "runtime/files.h"
#include "runtime/rootfs_copy.h"
#include "runtime/source.h"

#ifndef MOUNT_ATTR_NOSYMFOLLOW
#define MOUNT_ATTR_NOSYMFOLLOW 0x00200000
#endif

/* What is ours holds little: sockets of nobody, generated files, folders. */
#define SKELETON_BYTES (4u << 20)
#define COPY_BYTES (1ull << 30) /* at most, where no memory limit says otherwise */
#define COPY_SLACK (1ull << 20) /* for names and folders */
#define TTY_GROUP 5

#define SAFE (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV)
#define DATA (SAFE | MOUNT_ATTR_NOEXEC)

static enum runtime_status fail(struct runtime_error *e, const char *where, const char *what)
{
	return runtime_fail(e, RUNTIME_SYSTEM, where, "`cordon doctor` says what this host can",
			    "%s: %s", what, strerror(errno));
}

/* A target that cannot be reached or made is the root's matter, not the host's. */
static enum runtime_status fail_target(struct runtime_error *e, const char *target)
{
	return runtime_fail(e, RUNTIME_SYSTEM, target,
			    errno == ENOENT || errno == EROFS || errno == ELOOP ||
					    errno == ENOTDIR
				    ? "the rootfs needs a real folder there, no symbolic link"
				    : "`cordon doctor` says what this host can",
			    "cannot mount it: %s", strerror(errno));
}

/* ---- making detached mounts ------------------------------------------------------ */

/* A new file system with its options, NULL-terminated pairs; a NULL value is a flag. An
 * option named with a leading '?' may be missing in this kernel: *ret_missed says so. */
static int make_fs(const char *type, const char *const *options, uint64_t attr,
		   bool *ret_missed)
{
	int fs = fsopen(type, FSOPEN_CLOEXEC), fd = -1;

	if (fs < 0)
		return -1;
	for (; options[0]; options += 2) {
		bool optional = options[0][0] == '?';
		const char *key = options[0] + optional;
		int r = options[1] ? fsconfig(fs, FSCONFIG_SET_STRING, key, options[1], 0)
				   : fsconfig(fs, FSCONFIG_SET_FLAG, key, NULL, 0);

		if (r < 0 && !optional)
			goto out;
		if (r < 0 && ret_missed)
			*ret_missed = true;
	}
	if (fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0)
		fd = fsmount(fs, FSMOUNT_CLOEXEC, (unsigned)attr);
out:
	close(fs);
	return fd;
}

static int make_tmpfs(const struct mounts_ids *ids, uint64_t bytes, uint32_t mode,
		      uint64_t attr, bool *ret_noswap)
{
	char size[24], inodes[24], perm[8], uid[16], gid[16];
	uint64_t n = bytes / 4096;
	bool missed = false;
	const char *options[] = { "size", size,  "nr_inodes", inodes,    "mode", perm, "uid",
				  uid,    "gid", gid,         "?noswap", NULL,   NULL };
	int fd;

	snprintf(size, sizeof(size), "%" PRIu64, bytes);
	snprintf(inodes, sizeof(inodes), "%" PRIu64, n < 1024 ? 1024 : n);
	snprintf(perm, sizeof(perm), "%o", mode);
	/* Without a range it is made inside, where ids are the namespace's own. */
	snprintf(uid, sizeof(uid), "%u", ids->range ? ids->first : geteuid());
	snprintf(gid, sizeof(gid), "%u", ids->range ? ids->first : getegid());
	fd = make_fs("tmpfs", options, attr, &missed);
	if (ret_noswap && missed)
		*ret_noswap = false;
	return fd;
}

static int set_attr(int fd, uint64_t attr, bool recursive)
{
	/* Private: a copy of a shared mount is its peer, and what is mounted on one would
	 * appear on the other, inside and outside. */
	struct mount_attr a = { .attr_set = attr, .propagation = MS_PRIVATE };

	return mount_setattr(fd, "", AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0), &a,
			     sizeof(a));
}

/* A detached copy of what is at `path`, or of `dir` itself when that is empty. */
static int clone_tree(int dir, const char *path, uint64_t attr, bool recursive)
{
	int fd = open_tree(dir, path,
			   OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (*path ? 0 : AT_EMPTY_PATH) |
				   (recursive ? AT_RECURSIVE : 0));
	int saved;

	if (fd >= 0 && set_attr(fd, attr, recursive) < 0) {
		saved = errno;
		close(fd);
		errno = saved;
		return -1;
	}
	return fd;
}

/* ---- ownership of host folders --------------------------------------------------- */

/* A user namespace that only carries an id map, for an id-mapped mount: ids on disk
 * from `disk` on are shown as the host ids from `host` on. */
static int map_namespace(uid_t disk_uid, gid_t disk_gid, uid_t host_uid, gid_t host_gid,
			 unsigned count)
{
	char uids[40], gids[40], path[32];
	int fd = -1, proc;
	pid_t keeper = getpid();
	pid_t pid = (pid_t)syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, NULL, NULL, NULL, NULL);

	if (pid == 0) {
		/* Nothing of the keeper's must live on in here if that dies meanwhile. */
		if (prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() == keeper &&
		    close_range(0, ~0u, 0) == 0)
			pause();
		_exit(0);
	}
	if (pid < 0)
		return -1;
	fault_point("mapping");
	snprintf(path, sizeof(path), "/proc/%d", pid);
	proc = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	snprintf(uids, sizeof(uids), "%u %u %u", disk_uid, host_uid, count);
	snprintf(gids, sizeof(gids), "%u %u %u", disk_gid, host_gid, count);
	if (proc >= 0 && file_write_text(proc, "uid_map", uids) == 0 &&
	    file_write_text(proc, "gid_map", gids) == 0)
		fd = openat(proc, "ns/user", O_RDONLY | O_CLOEXEC);
	if (proc >= 0)
		close(proc);
	kill(pid, SIGKILL); /* our own child, not yet waited for: the pid is still its */
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return fd;
}

static int apply_map(int fd, int userns)
{
	struct mount_attr a = { .attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (uint64_t)userns };
	int r = userns < 0 ? -1 : mount_setattr(fd, "", AT_EMPTY_PATH, &a, sizeof(a));

	if (userns >= 0)
		close(userns);
	return r;
}

/* The owner of a writable folder is the workload inside, so that it can use what the policy
 * gave it although its host ids belong to nobody. A read-only one keeps its owners: the
 * workload may read what everybody may. */
static int own_by_workload(int fd, const struct policy_plan *plan, const struct mounts_ids *ids)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -1;
	return apply_map(fd, map_namespace(st.st_uid, st.st_gid, ids->first + plan->process.uid,
					   ids->first + plan->process.gid, 1));
}

static enum runtime_status add_view(struct mounts *m, int fd, const char *target,
				    struct runtime_error *e)
{
	struct stat st;

	if (m->n_views == MOUNTS_VIEWS) {
		close(fd);
		return runtime_fail(e, RUNTIME_REFUSED, target, "name fewer mounts",
				    "a sandbox has at most %u mounts", MOUNTS_VIEWS);
	}
	if (fstat(fd, &st) < 0) {
		close(fd);
		return fail(e, target, "cannot look at a mount");
	}
	m->views[m->n_views++] = (struct mounts_view){ .fd = fd,
						       .target = target,
						       .file = !S_ISDIR(st.st_mode) };
	return RUNTIME_OK;
}

/* ---- preparing ------------------------------------------------------------------- */

/* The host's folders and files that the host view shows, all read-only. */
static const struct {
	const char *path;
	uint64_t attr;
	bool optional;
} host_views[] = {
	{ "/usr", SAFE, false },
	{ "/etc/alternatives", DATA, true },
	{ "/etc/ld.so.cache", DATA, true },
	{ "/etc/ssl/certs", DATA, true },
	{ "/etc/ssl/openssl.cnf", DATA, true },
};

static const char *const devices[] = { "/dev/null",   "/dev/zero",    "/dev/full",
				       "/dev/random", "/dev/urandom", "/dev/tty" };
#define N_DEVICES (sizeof(devices) / sizeof(devices[0]))

/* Character devices by number, so that a swapped node on the host is not passed on. */
static const dev_t device_numbers[N_DEVICES] = { 0x103, 0x105, 0x107, 0x108, 0x109, 0x500 };

static enum runtime_status prepare_devices(struct mounts *m, struct runtime_error *e)
{
	for (size_t i = 0; i < N_DEVICES; i++) {
		int fd = clone_tree(AT_FDCWD, devices[i],
				    MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC,
				    false);
		struct stat st;
		enum runtime_status s;

		if (fd < 0)
			return fail(e, devices[i], "cannot show the device");
		if (fstat(fd, &st) < 0 || !S_ISCHR(st.st_mode) ||
		    st.st_rdev != device_numbers[i]) {
			close(fd);
			return runtime_fail(
				e, RUNTIME_REFUSED, devices[i],
				"make it with mknod as the kernel's devices.txt says",
				"this is not the device that its name says");
		}
		s = add_view(m, fd, devices[i], e);
		if (s != RUNTIME_OK)
			return s;
	}
	return RUNTIME_OK;
}

static enum runtime_status prepare_host_view(struct mounts *m, const struct mounts_ids *ids,
					     struct runtime_error *e)
{
	enum runtime_status s = RUNTIME_OK;

	m->skeleton = true;
	m->root = make_tmpfs(ids, SKELETON_BYTES, 0755, SAFE, NULL);
	if (m->root < 0)
		return fail(e, "/", "cannot make the root's tmpfs");
	for (size_t i = 0; i < sizeof(host_views) / sizeof(host_views[0]) && s == RUNTIME_OK;
	     i++) {
		int fd = clone_tree(AT_FDCWD, host_views[i].path,
				    host_views[i].attr | MOUNT_ATTR_RDONLY, true);

		if (fd >= 0)
			s = add_view(m, fd, host_views[i].path, e);
		else if (!(host_views[i].optional && errno == ENOENT))
			s = fail(e, host_views[i].path, "cannot show the host's folder");
	}
	return s;
}

/* A detached copy of a place that the plan names; of a writable one without what is mounted
 * below it, because an owner can be given to one file system at a time. */
static enum runtime_status clone_source(const char *path, uint64_t attr, int *ret_fd,
					struct runtime_error *e)
{
	int source, fd;
	enum runtime_status s = source_open(path, &source, e);

	if (s != RUNTIME_OK)
		return s;
	fd = clone_tree(source, "", attr, attr & MOUNT_ATTR_RDONLY);
	if (fd < 0)
		s = fail(e, path, "cannot show it in the sandbox");
	else
		*ret_fd = fd;
	close(source);
	return s;
}

/* A file system of its own, filled before anybody else can reach it. */
static enum runtime_status fill_copy(struct mounts *m, int source, uint64_t bytes,
				     const struct mounts_ids *ids, struct runtime_error *e)
{
	struct attest_error ae = { .what = "" };
	uid_t first = ids->range ? ids->first : geteuid();
	enum runtime_status s;
	int copy = make_tmpfs(ids, bytes, 0755, SAFE, &m->noswap);

	if (copy < 0)
		return fail(e, "/", "cannot make the root's tmpfs");
	m->copy = m->n_tmpfs;
	m->tmpfs_target[m->n_tmpfs] = "/";
	m->tmpfs[m->n_tmpfs++] = copy;
	s = rootfs_copy(source, copy, first, ids->range, e);
	if (s == RUNTIME_OK && tree_digest(copy, first, m->digest, &ae) != ATTEST_OK)
		s = runtime_fail(e, RUNTIME_SYSTEM, ae.where, ae.hint, "%s", ae.what);
	return s;
}

static enum runtime_status prepare_copy(struct mounts *m, const struct policy_plan *plan,
					const struct mounts_ids *ids, struct runtime_error *e)
{
	uint64_t bytes = 0, most = plan->limits.memory ? plan->limits.memory : COPY_BYTES;
	AUTO(closep) int source = -1, folder = -1;
	enum runtime_status s = source_open(plan->rootfs, &source, e);

	if (s != RUNTIME_OK)
		return s;
	folder = openat(source, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (folder < 0)
		return fail(e, plan->rootfs, "cannot open the root file system");
	s = rootfs_size(folder, &bytes, e);
	if (s == RUNTIME_OK && bytes > most)
		s = runtime_fail(e, RUNTIME_REFUSED, plan->rootfs,
				 "raise resources.memory, or name a smaller folder",
				 "a copy takes %llu bytes, and %llu are allowed",
				 (unsigned long long)bytes, (unsigned long long)most);
	return s == RUNTIME_OK ? fill_copy(m, folder, bytes + COPY_SLACK, ids, e) : s;
}

static enum runtime_status prepare_rootfs(struct mounts *m, const struct policy_plan *plan,
					  const struct mounts_ids *ids, struct runtime_error *e)
{
	uint64_t attr = SAFE | (plan->root_writable ? 0 : MOUNT_ATTR_RDONLY);
	enum runtime_status s = clone_source(plan->rootfs, attr, &m->root, e);
	struct stat st;

	if (s != RUNTIME_OK)
		return s;
	if (fstat(m->root, &st) < 0 || !S_ISDIR(st.st_mode))
		return runtime_fail(e, RUNTIME_REFUSED, plan->rootfs,
				    "name a folder that holds a root file system",
				    "this cannot be a sandbox's root");
	/* Ids of the image are the sandbox's ids, where the file system can map them. */
	if (ids->range)
		(void)apply_map(m->root, map_namespace(0, 0, ids->first, ids->first, 65536));
	return RUNTIME_OK;
}

static enum runtime_status prepare_bind(struct mounts *m, const struct policy_plan *plan,
					const struct mounts_ids *ids,
					const struct policy_mount *pm, struct runtime_error *e)
{
	int fd = -1;
	enum runtime_status s = clone_source(pm->source, pm->attr, &fd, e);

	if (s != RUNTIME_OK)
		return s;
	if (ids->range && !(pm->attr & MOUNT_ATTR_RDONLY) &&
	    own_by_workload(fd, plan, ids) < 0) {
		close(fd);
		return runtime_fail(
			e, RUNTIME_REFUSED, pm->source,
			"put it on a file system with id-mapped mounts (ext4, xfs, btrfs)",
			"cannot make it writable for the workload: %s", strerror(errno));
	}
	return add_view(m, fd, pm->target, e);
}

static enum runtime_status add_tmpfs(struct mounts *m, const struct mounts_ids *ids,
				     const char *target, uint64_t bytes, uint32_t mode,
				     uint64_t attr, struct runtime_error *e)
{
	int fd;

	if (m->n_tmpfs == MOUNTS_TMPFS - 2)
		return runtime_fail(e, RUNTIME_REFUSED, target, "name fewer",
				    "a sandbox has at most %u tmpfs mounts of its own",
				    MOUNTS_TMPFS - 3);
	fd = make_tmpfs(ids, bytes, mode, attr, &m->noswap);
	if (fd < 0)
		return fail(e, target, "cannot make a tmpfs");
	m->tmpfs[m->n_tmpfs] = fd;
	m->tmpfs_target[m->n_tmpfs] = target;
	m->tmpfs_attr[m->n_tmpfs] = attr;
	m->n_tmpfs++;
	return RUNTIME_OK;
}

static enum runtime_status prepare_mounts(struct mounts *m, const struct policy_plan *plan,
					  const struct mounts_ids *ids, struct runtime_error *e)
{
	enum runtime_status s = RUNTIME_OK;

	for (size_t i = 0; i < plan->n_mounts && s == RUNTIME_OK; i++) {
		const struct policy_mount *pm = &plan->mounts[i];

		switch (pm->kind) {
		case POLICY_MOUNT_BIND:
			s = prepare_bind(m, plan, ids, pm, e);
			break;
		case POLICY_MOUNT_TMPFS:
			s = add_tmpfs(m, ids, pm->target, pm->size, pm->mode, pm->attr, e);
			break;
		default:
			s = runtime_fail(
				e, RUNTIME_REFUSED, pm->target, "leave it out",
				"a sandbox already has its own file system of this kind");
		}
	}
	return s;
}

static enum runtime_status prepare_keys(struct mounts *m, struct runtime_error *e)
{
	const char *options[] = { "mode", "755", NULL };
	int fd = make_fs("ramfs", options, DATA, NULL);

	if (fd < 0)
		return fail(e, POLICY_CREDENTIALS, "cannot make a ramfs for the keys");
	m->tmpfs[m->n_tmpfs] = fd;
	m->tmpfs_target[m->n_tmpfs++] = POLICY_CREDENTIALS;
	m->keys = true;
	return RUNTIME_OK;
}

void mounts_init(struct mounts *m)
{
	memset(m, 0, sizeof(*m));
	m->root = -1;
	m->noswap = true;
}

void mounts_close(struct mounts *m)
{
	if (m->root >= 0)
		close(m->root);
	for (size_t i = 0; i < m->n_tmpfs; i++)
		close(m->tmpfs[i]);
	for (size_t i = 0; i < m->n_views; i++)
		close(m->views[i].fd);
	mounts_init(m);
}

enum runtime_status mounts_prepare(const struct policy_plan *plan, const struct mounts_ids *ids,
				   struct mounts *ret, struct runtime_error *reterr)
{
	struct mounts m;
	enum runtime_status s = RUNTIME_OK;

	mounts_init(&m);
	if (plan->rootfs[0] && !plan->rootfs_copy)
		s = prepare_rootfs(&m, plan, ids, reterr);
	else if (!plan->rootfs[0])
		s = prepare_host_view(&m, ids, reterr);
	if (s == RUNTIME_OK)
		s = prepare_devices(&m, reterr);
	if (s == RUNTIME_OK)
		s = add_tmpfs(&m, ids, "/tmp", plan->limits.tmpfs, 0755, DATA, reterr);
	if (s == RUNTIME_OK)
		s = prepare_mounts(&m, plan, ids, reterr);
	if (s == RUNTIME_OK && plan->rootfs_copy)
		s = prepare_copy(&m, plan, ids, reterr);
	if (s == RUNTIME_OK && plan->n_keys)
		s = prepare_keys(&m, reterr);
	if (s == RUNTIME_OK)
		*ret = m;
	else
		mounts_close(&m);
	return s;
}

/* ---- inside: folders and generated files ----------------------------------------- */

/* No symbolic link on the way and none at the end: a tree that somebody else made must
 * not steer a mount elsewhere. */
static int open_inside(int root, const char *path, int flags)
{
	struct open_how how = { .flags = (uint64_t)(flags | O_CLOEXEC),
				.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS |
					   RESOLVE_NO_MAGICLINKS };

	while (*path == '/')
		path++;
	return (int)syscall(SYS_openat2, root, *path ? path : ".", &how, sizeof(how));
}

/* One step down from `dir` (which is closed): the folder or file `name`, made if it is
 * missing and the file system lets us. */
static int step(int dir, const char *name, bool file)
{
	struct open_how how = { .flags = O_PATH | O_NOFOLLOW | O_CLOEXEC,
				.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS };
	int fd = (int)syscall(SYS_openat2, dir, name, &how, sizeof(how)), made, saved;

	if (fd < 0 && errno == ENOENT) {
		if (file) {
			made = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
			if (made >= 0)
				close(made);
		} else {
			made = mkdirat(dir, name, 0755);
		}
		if (made >= 0)
			fd = (int)syscall(SYS_openat2, dir, name, &how, sizeof(how));
	}
	saved = errno;
	close(dir);
	errno = saved;
	return fd;
}

/* Makes what is missing of a mount's target. Step by step, so that an image's symbolic
 * links cannot lead a mkdir out of it. */
static int make_target(int root, const char *path, bool file)
{
	char name[NAME_MAX + 1];
	int fd = fcntl(root, F_DUPFD_CLOEXEC, 3);

	while (fd >= 0 && *path) {
		size_t n;

		path += strspn(path, "/");
		n = strcspn(path, "/");
		if (n == 0)
			break;
		if (n > NAME_MAX) {
			close(fd);
			errno = ENAMETOOLONG;
			return -1;
		}
		memcpy(name, path, n);
		name[n] = 0;
		path += n;
		fd = step(fd, name, file && !*path);
	}
	if (fd < 0)
		return -1;
	close(fd);
	return 0;
}

static int attach(int fd, int root, const char *target)
{
	int to = open_inside(root, target, O_PATH);
	int r, saved;

	if (to < 0)
		return -1;
	r = move_mount(fd, "", to, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);
	saved = errno;
	close(to);
	errno = saved;
	return r;
}

/* Where its target is missing, that is made. */
static int attach_making(int fd, int root, const char *target, bool file)
{
	if (attach(fd, root, target) == 0)
		return 0;
	return errno != ENOENT || make_target(root, target, file) < 0
		       ? -1
		       : attach(fd, root, target);
}

static int write_at(int dir, const char *name, const char *text)
{
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	ssize_t n;

	if (fd < 0)
		return -1;
	n = write(fd, text, strlen(text));
	close(fd);
	return n == (ssize_t)strlen(text) ? 0 : -1;
}

static void passwd_text(const struct policy_plan *plan, char *passwd, char *group, size_t size)
{
	const struct policy_process *p = &plan->process;

	snprintf(passwd, size,
		 "root:x:0:0:root:/:/usr/sbin/nologin\n"
		 "%s:x:%u:%u:%s:%s:/bin/sh\n"
		 "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
		 p->user, p->uid, p->gid, p->user, p->home);
	snprintf(group, size, "root:x:0:\ntty:x:%d:\n%s:x:%u:\nnogroup:x:65534:\n", TTY_GROUP,
		 p->user, p->gid);
}

static int make_etc(int root, const struct policy_plan *plan)
{
	char passwd[2048], group[2048], hosts[512], link[PATH_MAX];
	ssize_t n = readlink("/etc/localtime", link, sizeof(link) - 1);
	int etc = openat(root, "etc", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int r = -1;

	if (etc < 0)
		return -1;
	passwd_text(plan, passwd, group, sizeof(passwd));
	snprintf(hosts, sizeof(hosts), "127.0.0.1 localhost %s\n::1 localhost\n",
		 plan->hostname);
	if (write_at(etc, "passwd", passwd) < 0 || write_at(etc, "group", group) < 0 ||
	    write_at(etc, "hosts", hosts) < 0 ||
	    write_at(etc, "hostname", plan->hostname) < 0 ||
	    write_at(etc, "nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\n") < 0 ||
	    write_at(etc, "host.conf", "multi on\n") < 0) /* both addresses of localhost */
		goto out;
	if (n > 0) {
		link[n] = 0;
		if (strncmp(link, "/usr/", 5) == 0 && symlinkat(link, etc, "localtime") < 0)
			goto out;
	}
	r = 0;
out:
	close(etc);
	return r;
}

/* /bin, /lib and so on are links into /usr where the host has them so. */
static int make_links(int root)
{
	static const char *const names[] = { "bin", "sbin", "lib", "lib32", "lib64", "libx32" };
	char host[16], to[64];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		ssize_t n;

		snprintf(host, sizeof(host), "/%s", names[i]);
		n = readlink(host, to, sizeof(to) - 1);
		if (n <= 0)
			continue;
		to[n] = 0;
		if (symlinkat(to, root, names[i]) < 0)
			return -1;
	}
	return symlinkat("../tmp", root, "var/tmp") < 0 ||
			       symlinkat("../run", root, "var/run") < 0
		       ? -1
		       : 0;
}

static enum runtime_status build_skeleton(int root, const struct policy_plan *plan,
					  struct runtime_error *e)
{
	static const char *const folders[] = { "dev", "etc", "home", "proc",   "run",
					       "tmp", "usr", "var",  "var/lib" };

	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++)
		if (mkdirat(root, folders[i], 0755) < 0)
			return fail(e, folders[i], "cannot make a folder of the root");
	if (make_target(root, plan->process.home, false) < 0)
		return fail(e, plan->process.home, "cannot make the home folder");
	if (make_links(root) < 0 || make_etc(root, plan) < 0)
		return fail(e, "/etc", "cannot fill the root");
	return RUNTIME_OK;
}

/* ---- inside: /dev, /proc, memory file systems ------------------------------------ */

static enum runtime_status build_dev(int root, bool skeleton, struct runtime_error *e)
{
	static const char *const links[][2] = { { "/proc/self/fd", "fd" },
						{ "/proc/self/fd/0", "stdin" },
						{ "/proc/self/fd/1", "stdout" },
						{ "/proc/self/fd/2", "stderr" },
						{ "pts/ptmx", "ptmx" } };
	const char *options[] = { "size", "65536", "nr_inodes", "64", "mode", "755", NULL };
	int dev = -1, fs;

	if (!skeleton) { /* an image's own /dev is hidden */
		fs = make_fs("tmpfs", options, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, NULL);
		if (fs < 0 || attach(fs, root, "/dev") < 0) {
			if (fs >= 0)
				close(fs);
			return fail_target(e, "/dev");
		}
		dev = fs;
	} else {
		dev = openat(root, "dev", O_PATH | O_DIRECTORY | O_CLOEXEC);
	}
	if (dev < 0)
		return fail(e, "/dev", "cannot open it");
	for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++)
		if (symlinkat(links[i][0], dev, links[i][1]) < 0)
			goto bad;
	for (size_t i = 0; i < N_DEVICES; i++) {
		int fd = openat(dev, strrchr(devices[i], '/') + 1,
				O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);

		if (fd < 0)
			goto bad;
		close(fd);
	}
	if (mkdirat(dev, "pts", 0755) < 0 || mkdirat(dev, "shm", 0755) < 0 ||
	    mkdirat(dev, "mqueue", 0755) < 0)
		goto bad;
	close(dev);
	return RUNTIME_OK;
bad:
	fail(e, "/dev", "cannot fill it");
	close(dev);
	return RUNTIME_SYSTEM;
}

/* A file system of the kernel's own, made in and for this sandbox's namespaces. */
static enum runtime_status mount_own(int root, const char *type, const char *const *options,
				     uint64_t attr, const char *target, struct runtime_error *e)
{
	int fd = make_fs(type, options, attr, NULL);
	enum runtime_status s = RUNTIME_OK;

	if (fd < 0 || attach(fd, root, target) < 0)
		s = fail_target(e, target);
	if (fd >= 0)
		close(fd);
	return s;
}

static enum runtime_status mount_proc(int root, struct runtime_error *e)
{
	/* Process folders only, and only of processes that the reader could trace: then
	 * nothing of the kernel's own files is left to mask. */
	const char *options[] = { "subset", "pid", "hidepid", "ptraceable", NULL };

	return mount_own(root, "proc", options, DATA | MOUNT_ATTR_RDONLY, "/proc", e);
}

static enum runtime_status mount_pts(int root, bool range, struct runtime_error *e)
{
	/* The host has one count of terminals for all, 4096 as a rule. */
	const char *options[] = { "ptmxmode",           "0666", "mode", "0620", "max", "64",
				  range ? "gid" : NULL, "5",    NULL };

	return mount_own(root, "devpts", options, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC,
			 "/dev/pts", e);
}

/* The session's own message queues. Unmounted they would still be there, but out of reach
 * of every Landlock rule, and so denied. */
static enum runtime_status mount_queues(int root, struct runtime_error *e)
{
	const char *options[] = { NULL };

	return mount_own(root, "mqueue", options, DATA, "/dev/mqueue", e);
}

/* The folders of the session's own tmpfs and where each is shown. */
struct memory_folder {
	const char *name, *target;
	mode_t mode;
	bool private; /* owned by the workload */
};

static int make_memory_folder(int dir, const struct memory_folder *f,
			      const struct policy_process *p)
{
	if (mkdirat(dir, f->name, 0700) < 0 || fchmodat(dir, f->name, f->mode, 0) < 0)
		return -1;
	if (f->private && fchownat(dir, f->name, p->uid, p->gid, AT_SYMLINK_NOFOLLOW) < 0)
		return -1;
	return open_tree(dir, f->name, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
}

static enum runtime_status mount_memory(int root, const struct policy_plan *plan,
					struct mounts *m, struct runtime_error *e)
{
	const struct memory_folder folders[] = {
		{ "shm", "/dev/shm", 01777, false },
		{ "home", plan->process.home, 0700, true },
		{ "run", "/run", 0755, true },
		{ "tmp", "/tmp", 01777, false },
	};
	enum { N = sizeof(folders) / sizeof(folders[0]) };
	int fds[N] = { -1, -1, -1, -1 };
	enum runtime_status s = RUNTIME_OK;

	for (size_t i = 0; i < N && s == RUNTIME_OK; i++) {
		fds[i] = make_memory_folder(m->tmpfs[0], &folders[i], &plan->process);
		if (fds[i] < 0)
			s = fail(e, folders[i].target, "cannot make its memory folder");
	}
	for (size_t i = 0; i < N; i++) {
		/* An image may lack a home; where it does, the workload has /tmp. */
		if (s == RUNTIME_OK && attach(fds[i], root, folders[i].target) < 0 &&
		    !(!m->skeleton && folders[i].private && errno == ENOENT))
			s = fail_target(e, folders[i].target);
		if (fds[i] >= 0)
			close(fds[i]);
	}
	for (size_t i = 1; i < m->n_tmpfs - m->keys && s == RUNTIME_OK; i++) {
		if (i == m->copy)
			continue;
		if (attach_making(m->tmpfs[i], root, m->tmpfs_target[i], false) < 0)
			s = fail_target(e, m->tmpfs_target[i]);
		else if (fchownat(m->tmpfs[i], "", plan->process.uid, plan->process.gid,
				  AT_EMPTY_PATH) < 0)
			s = fail(e, m->tmpfs_target[i], "cannot give it to the workload");
	}
	return s;
}

/* The workload reads its keys; only a descriptor from outside writes them. */
static enum runtime_status show_keys(int root, const struct mounts *m, struct runtime_error *e)
{
	int view = clone_tree(m->tmpfs[m->n_tmpfs - 1], "", DATA | MOUNT_ATTR_RDONLY, false);
	enum runtime_status s = RUNTIME_OK;

	if (view < 0 || attach_making(view, root, POLICY_CREDENTIALS, false) < 0)
		s = fail_target(e, POLICY_CREDENTIALS);
	if (view >= 0)
		close(view);
	return s;
}

/* The image's own text of `path` with `line` behind it. */
static bool extend_text(int root, const char *path, const char *line, char *ret, size_t size)
{
	int fd = open_inside(root, path, O_RDONLY | O_NONBLOCK);
	ssize_t n = fd < 0 ? -1 : read(fd, ret, size);
	size_t have = n < 0 ? 0 : (size_t)n;

	if (fd >= 0)
		close(fd);
	if (n < 0 || have + strlen(line) + 2 > size) {
		errno = n < 0 ? errno : EFBIG;
		return false;
	}
	snprintf(ret + have, size - have, "%s%s", have && ret[have - 1] != '\n' ? "\n" : "",
		 line);
	return true;
}

/* An image's passwd is shown with the workload's line added, if that is missing. The file
 * that is shown lies, without a name, in our own /dev. */
static enum runtime_status add_to_image(int root, const char *path, const char *line,
					struct runtime_error *e)
{
	char text[65536], name[32];
	int dev = open_inside(root, "/dev", O_PATH | O_DIRECTORY), view = -1;
	enum runtime_status s = RUNTIME_OK;

	snprintf(name, sizeof(name), ".%s", strrchr(path, '/') + 1);
	if (dev >= 0 && extend_text(root, path, line, text, sizeof(text)) &&
	    write_at(dev, name, text) == 0)
		view = open_tree(dev, name, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (view < 0 || set_attr(view, DATA | MOUNT_ATTR_RDONLY, false) < 0 ||
	    attach(view, root, path) < 0 || unlinkat(dev, name, 0) < 0)
		s = errno == ENOENT ? RUNTIME_OK /* an image without it */
				    : fail(e, path, "cannot show it with the workload's user");
	if (view >= 0)
		close(view);
	if (dev >= 0)
		close(dev);
	return s;
}

static bool has_id(int root, const char *path, unsigned id)
{
	char text[65536], want[16];
	int fd = open_inside(root, path, O_RDONLY | O_NONBLOCK);
	ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
	int len = snprintf(want, sizeof(want), "%u:", id);

	if (fd >= 0)
		close(fd);
	text[n < 0 ? 0 : n] = 0;
	for (char *line = text; *line;) {
		char *end = strchrnul(line, '\n'), *c = memchr(line, ':', (size_t)(end - line));

		c = c ? memchr(c + 1, ':', (size_t)(end - c - 1)) : NULL;
		if (c && strncmp(c + 1, want, (size_t)len) == 0)
			return true;
		line = *end ? end + 1 : end;
	}
	return false;
}

static enum runtime_status name_workload(int root, const struct policy_plan *plan,
					 struct runtime_error *e)
{
	const struct policy_process *p = &plan->process;
	enum runtime_status s = RUNTIME_OK;
	char line[512];

	snprintf(line, sizeof(line), "%s:x:%u:%u:%s:%s:/bin/sh\n", p->user, p->uid, p->gid,
		 p->user, p->home);
	if (!has_id(root, "/etc/passwd", p->uid))
		s = add_to_image(root, "/etc/passwd", line, e);
	snprintf(line, sizeof(line), "%s:x:%u:\n", p->user, p->gid);
	if (s == RUNTIME_OK && !has_id(root, "/etc/group", p->gid))
		s = add_to_image(root, "/etc/group", line, e);
	return s;
}

/* ---- inside: all of it ----------------------------------------------------------- */

static enum runtime_status make_terminal(int root, const struct policy_process *p,
					 int *ret_master, int *ret_slave,
					 struct runtime_error *e)
{
	int master = open_inside(root, "/dev/pts/ptmx", O_RDWR | O_NOCTTY), slave = -1,
	    zero = 0;

	if (master >= 0 && ioctl(master, TIOCSPTLCK, &zero) == 0)
		slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (slave < 0 || fchown(slave, p->uid, (gid_t)-1) < 0) {
		fail(e, "/dev/pts", "cannot make a terminal");
		if (master >= 0)
			close(master);
		if (slave >= 0)
			close(slave);
		return RUNTIME_SYSTEM;
	}
	*ret_master = master;
	*ret_slave = slave;
	return RUNTIME_OK;
}

/* What we filled, the workload must not. An image's own root is read-only from the start. */
static enum runtime_status close_to_writing(int root, const char *path, struct runtime_error *e)
{
	int fd = open_inside(root, path, O_PATH | O_DIRECTORY);
	enum runtime_status s = RUNTIME_OK;

	if (fd < 0 || set_attr(fd, MOUNT_ATTR_RDONLY, false) < 0)
		s = fail(e, path, "cannot make it read-only");
	if (fd >= 0)
		close(fd);
	return s;
}

static enum runtime_status enter_root(struct runtime_error *e)
{
	/* The working folder is the new root; pivot_root(".", ".") stacks the
	 * old root on it: no folder needed. */
	if (syscall(SYS_pivot_root, ".", ".") < 0)
		return fail(e, "/", "cannot change the root");
	if (umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
		return fail(e, "/", "cannot let go of the host's root");
	return RUNTIME_OK;
}

/* Only an attached mount, or a folder of one, can be cloned on kernels before 6.15. On the
 * old root's /dev they leave with the old root, and their descriptors keep the memory. */
static enum runtime_status attach_for_views(struct mounts *m, struct runtime_error *e)
{
	const size_t shown[] = { 0, m->copy, m->keys ? m->n_tmpfs - 1 : 0 };

	for (size_t i = 0; i < sizeof(shown) / sizeof(shown[0]); i++)
		if ((i == 0 || shown[i] != 0) &&
		    move_mount(m->tmpfs[shown[i]], "", AT_FDCWD, "/dev",
			       MOVE_MOUNT_F_EMPTY_PATH) < 0)
			return fail(e, "/dev", "cannot attach a memory file system");
	if (m->copy)
		m->root = clone_tree(m->tmpfs[m->copy], "", SAFE | MOUNT_ATTR_RDONLY, false);
	return m->root < 0 ? fail(e, "/", "cannot show the root's copy") : RUNTIME_OK;
}

enum runtime_status mounts_enter(const struct policy_plan *plan, const struct mounts_ids *ids,
				 struct mounts *m, bool terminal, int *ret_master,
				 int *ret_slave, struct runtime_error *reterr)
{
	struct mount_attr private = { .propagation = MS_PRIVATE };
	enum runtime_status s = RUNTIME_OK;
	int root;

	if (mount_setattr(AT_FDCWD, "/", AT_RECURSIVE, &private, sizeof(private)) < 0)
		return fail(reterr, "/", "cannot make the mounts private");
	s = attach_for_views(m, reterr);
	if (s != RUNTIME_OK)
		return s;
	root = m->root;
	if (move_mount(root, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return fail(reterr, "/", "cannot attach the new root");
	if (fchdir(root) < 0)
		return fail(reterr, "/", "cannot enter the new root");
	if (m->skeleton)
		s = build_skeleton(root, plan, reterr);
	if (s == RUNTIME_OK)
		s = build_dev(root, m->skeleton, reterr);
	if (s == RUNTIME_OK && !m->skeleton)
		s = name_workload(root, plan, reterr);
	if (s == RUNTIME_OK)
		s = mount_pts(root, ids->range, reterr);
	if (s == RUNTIME_OK)
		s = mount_queues(root, reterr);
	if (s == RUNTIME_OK)
		s = mount_proc(root, reterr);
	if (s == RUNTIME_OK)
		s = mount_memory(root, plan, m, reterr);
	if (s == RUNTIME_OK && m->keys)
		s = show_keys(root, m, reterr);
	for (size_t i = 0; i < m->n_views && s == RUNTIME_OK; i++)
		if (attach_making(m->views[i].fd, root, m->views[i].target, m->views[i].file) <
		    0)
			s = fail_target(reterr, m->views[i].target);
	if (s == RUNTIME_OK && terminal)
		s = make_terminal(root, &plan->process, ret_master, ret_slave, reterr);
	if (s == RUNTIME_OK)
		s = close_to_writing(root, m->skeleton ? "/" : "/dev", reterr);
	if (s == RUNTIME_OK)
		s = enter_root(reterr);
	return s;
}

/* ---- what a sandbox has ---------------------------------------------------------- */

static bool at_or_below(const char *path, const char *top)
{
	size_t n = strlen(top);

	return strncmp(path, top, n) == 0 && (path[n] == 0 || path[n] == '/');
}

bool mounts_expected(const struct policy_plan *plan, const char *path)
{
	static const char *const own[] = { "/",           "/dev",     "/dev/pts",
					   "/dev/mqueue", "/dev/shm", "/proc",
					   "/tmp",        "/run",     "/etc/passwd",
					   "/etc/group" };

	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		if (strcmp(path, own[i]) == 0)
			return true;
	for (size_t i = 0; i < N_DEVICES; i++)
		if (strcmp(path, devices[i]) == 0)
			return true;
	if (plan->n_keys && strcmp(path, POLICY_CREDENTIALS) == 0)
		return true;
	for (size_t i = 0; i < plan->n_mounts; i++)
		if (at_or_below(path, plan->mounts[i].target))
			return true;
	if (plan->rootfs[0]) /* an image may have mounts of its own anywhere */
		return true;
	for (size_t i = 0; i < sizeof(host_views) / sizeof(host_views[0]); i++)
		if (at_or_below(path, host_views[i].path))
			return true;
	return strcmp(path, plan->process.home) == 0;
}
