/*
 * cordon-init - identities, a key service and a policy to develop with. See runtime/init.h
 * for what is made; here is that it is made whole, once, and over nothing.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "runtime/fault.h"
#include "runtime/init.h"
#include "runtime/verb.h"

#define DEFAULT_DIR "cordon-dev"
#define DEFAULT_PORT "8443"
#define YEAR (365 * 24 * 3600)
#define SKEW 3600 /* clocks of others may be behind ours */
#define DEPTH_MAX 8u

struct options {
	const char *dir, *port;
	bool json, help, version;
};

/* The folder and the state, both locked against another run of this. */
struct work {
	struct init init;
	char name[NAME_MAX + 1]; /* of the folder, in its parent */
	char temp[NAME_MAX + 1]; /* while it is not whole */
	int parent, keys;
	struct paths paths;
};

static enum runtime_status fail(struct runtime_error *e, const char *where, const char *what)
{
	return runtime_fail(e, RUNTIME_SYSTEM, where, "", "%s: %m", what);
}

static enum runtime_status is_there(struct runtime_error *e, const char *where)
{
	return runtime_fail(e, RUNTIME_REFUSED, where,
			    "nothing is written over: remove it, if nobody needs it, or choose "
			    "another --dir or --root",
			    "it exists already");
}

static bool exists(int dir_fd, const char *name)
{
	return faccessat(dir_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT;
}

/* ---- what is asked for ----------------------------------------------------------- */

static enum runtime_status read_port(const char *text, unsigned *ret, struct runtime_error *e)
{
	size_t n = strspn(text, "0123456789");
	unsigned long port = n > 0 && n <= 5 && !text[n] ? strtoul(text, NULL, 10) : 0;

	if (port == 0 || port > 65535)
		return runtime_fail(e, RUNTIME_MALFORMED, "--port", "a number from 1 to 65535",
				    "this is no port");
	*ret = (unsigned)port;
	return RUNTIME_OK;
}

/* A host's id is made of the host's name. */
static void name_host(char ret[static INIT_HOST])
{
	if (gethostname(ret, INIT_HOST) < 0)
		ret[0] = '\0';
	ret[INIT_HOST - 1] = '\0';
	for (char *c = ret; *c; c++) {
		const char one[] = { *c, '\0' };

		if (!anchor_is_host_id(one))
			*c = '-';
	}
	if (!ret[0])
		snprintf(ret, INIT_HOST, "host");
}

static enum runtime_status no_name(struct runtime_error *e)
{
	return runtime_fail(e, RUNTIME_MALFORMED, "--dir",
			    "name a folder that is to be made, in one that exists",
			    "no folder can be made by that name");
}

/* The parent's real path, and the name in it: files name the place, wherever one stands. */
static enum runtime_status find_place(const char *dir, struct work *w, struct runtime_error *e)
{
	char path[PATH_MAX], real[PATH_MAX];
	size_t n = strlen(dir);
	const char *name;
	char *slash;

	while (n > 1 && dir[n - 1] == '/')
		n--;
	if (n == 0 || n >= sizeof(path))
		return no_name(e);
	snprintf(path, sizeof(path), "%.*s", (int)n, dir);
	slash = strrchr(path, '/');
	name = slash ? slash + 1 : path;
	/* ".NAME.new" is a name as well */
	if (!name[0] || strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
	    strlen(name) + 5 > NAME_MAX)
		return no_name(e);
	snprintf(w->name, sizeof(w->name), "%.*s", NAME_MAX - 5, name);
	snprintf(w->temp, sizeof(w->temp), ".%.*s.new", NAME_MAX - 5, name);
	if (slash)
		slash[slash == path] = '\0';
	if (!realpath(slash ? path : ".", real))
		return fail(e, slash ? path : ".", "cannot make a folder there");
	n = (size_t)snprintf(w->init.dir, sizeof(w->init.dir), "%s/%s", real[1] ? real : "",
			     w->name);
	if (n >= sizeof(w->init.dir) || !text_clean(w->init.dir))
		return runtime_fail(e, RUNTIME_MALFORMED, "--dir", "choose another folder",
				    "no configuration can hold its path");
	w->parent = open(real, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return w->parent < 0 ? fail(e, real, "cannot open it") : RUNTIME_OK;
}

/* ---- one at a time --------------------------------------------------------------- */

static enum runtime_status lock(int fd, const char *path, struct runtime_error *e)
{
	if (flock(fd, LOCK_EX | LOCK_NB) == 0)
		return RUNTIME_OK;
	if (errno == EWOULDBLOCK)
		return runtime_fail(e, RUNTIME_REFUSED, path, "try again when it has ended",
				    "another `cordon init` is at work there");
	return fail(e, path, "cannot lock it");
}

static enum runtime_status open_state(struct work *w, struct runtime_error *e)
{
	enum runtime_status s = paths_open(getenv("CORDON_ROOT"), true, &w->paths, e);

	if (s != RUNTIME_OK)
		return s;
	if (mkdirat(w->paths.sessions_fd, "../keys", 0700) == 0 || errno == EEXIST)
		w->keys = openat(w->paths.sessions_fd, "../keys",
				 O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return w->keys < 0 ? fail(e, w->paths.state, "cannot open its keys")
			   : lock(w->keys, w->paths.state, e);
}

static enum runtime_status refuse_host_that_has_one(const struct work *w,
						    struct runtime_error *e)
{
	static const char *const names[] = { INIT_ATTESTATION_KEY, INIT_ATTESTATION_PEM };
	char path[sizeof(w->paths.state) + 32];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s/keys/%s", w->paths.state, names[i]);
		if (exists(w->keys, names[i]))
			return is_there(e, path);
	}
	return RUNTIME_OK;
}

/* ---- a folder that is not whole -------------------------------------------------- */

static bool empty_folder(int fd, unsigned depth);

/* A file, or a folder with all that is in it. */
static bool remove_entry(int dir_fd, const char *name, unsigned depth)
{
	AUTO(closep) int fd = -1;

	if (unlinkat(dir_fd, name, 0) == 0)
		return true;
	if (errno != EISDIR)
		return false;
	fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd >= 0 && empty_folder(fd, depth + 1) &&
	       unlinkat(dir_fd, name, AT_REMOVEDIR) == 0;
}

/* The mark goes last: what is left of it by another interruption is still known as ours. */
static bool empty_folder(int fd, unsigned depth)
{
	int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *e;
	bool ok = d && depth < DEPTH_MAX;

	if (!d)
		closep(&copy);
	while (ok && (e = readdir(d)))
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 &&
		    strcmp(e->d_name, INIT_UNFINISHED) != 0)
			ok = remove_entry(fd, e->d_name, depth);
	if (d)
		closedir(d);
	return ok && (unlinkat(fd, INIT_UNFINISHED, 0) == 0 || errno == ENOENT);
}

/* What a run left that was killed before the folder was whole. An empty one it may have
 * left, too; anything else is somebody's. */
static enum runtime_status remove_rest(const struct work *w, struct runtime_error *e)
{
	AUTO(closep) int fd = -1;

	if (unlinkat(w->parent, w->temp, AT_REMOVEDIR) == 0 || errno == ENOENT)
		return RUNTIME_OK;
	fd = openat(w->parent, w->temp, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || !exists(fd, INIT_UNFINISHED))
		return is_there(e, w->temp);
	return empty_folder(fd, 0) && unlinkat(w->parent, w->temp, AT_REMOVEDIR) == 0
		       ? RUNTIME_OK
		       : fail(e, w->temp, "cannot remove what an earlier run left");
}

static enum runtime_status fill_new(const struct work *w, struct runtime_error *e)
{
	AUTO(closep) int fd = -1;
	enum runtime_status s;

	if (mkdirat(w->parent, w->temp, 0700) < 0)
		return fail(e, w->init.dir, "cannot make the folder");
	fault_point("init.begun");
	fd = openat(w->parent, w->temp, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return fail(e, w->init.dir, "cannot open the new folder");
	s = init_put(fd, INIT_UNFINISHED, 0600, "", 0, e);
	if (s == RUNTIME_OK)
		s = init_fill(fd, &w->init, e);
	return s;
}

/* rename(2) puts a folder over nothing but an empty folder. */
static enum runtime_status make_dir(const struct work *w, struct runtime_error *e)
{
	struct runtime_error ignored;
	enum runtime_status s = remove_rest(w, e);

	if (s != RUNTIME_OK)
		return s;
	s = fill_new(w, e);
	fault_point("init.filled");
	if (s == RUNTIME_OK &&
	    (renameat(w->parent, w->temp, w->parent, w->name) < 0 || fsync(w->parent) < 0))
		s = fail(e, w->init.dir, "cannot give it its name");
	fault_point("init.named");
	if (s != RUNTIME_OK)
		(void)remove_rest(w, &ignored);
	return s;
}

/* ---- all of it ------------------------------------------------------------------- */

static int open_dir(const struct work *w)
{
	return openat(w->parent, w->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* An earlier run came so far that only the host's key is missing, or not certified. */
static bool is_unfinished(const struct work *w)
{
	AUTO(closep) int fd = open_dir(w);
	struct stat st;

	return fd >= 0 && fstat(fd, &st) == 0 && st.st_uid == geteuid() &&
	       exists(fd, INIT_UNFINISHED);
}

static enum runtime_status finish(const struct work *w, struct runtime_error *e)
{
	AUTO(closep) int fd = open_dir(w);
	enum runtime_status s;

	if (fd < 0)
		return fail(e, w->init.dir, "cannot open it");
	s = init_host(fd, w->keys, &w->init, e);
	if (s == RUNTIME_OK && (unlinkat(fd, INIT_UNFINISHED, 0) < 0 || fsync(fd) < 0))
		s = fail(e, w->init.dir, "cannot mark it as whole");
	return s;
}

static enum runtime_status make_all(const struct options *o, struct work *w,
				    struct runtime_error *e)
{
	enum runtime_status s = find_place(o->dir, w, e);
	bool unfinished = false;

	if (s == RUNTIME_OK)
		s = lock(w->parent, w->init.dir, e);
	if (s != RUNTIME_OK)
		return s;
	if (exists(w->parent, w->name)) {
		unfinished = is_unfinished(w);
		if (!unfinished)
			return is_there(e, w->init.dir);
	}
	s = open_state(w, e);
	if (s == RUNTIME_OK && !unfinished)
		s = refuse_host_that_has_one(w, e);
	if (s == RUNTIME_OK && !unfinished)
		s = make_dir(w, e);
	return s == RUNTIME_OK ? finish(w, e) : s;
}

/* ---- saying what was made -------------------------------------------------------- */

static const struct made {
	const char *what, *path;
	bool of_state, secret;
} made[] = {
	{ "host-key", "/keys/" INIT_ATTESTATION_KEY, true, true },
	{ "host-certificate", "/keys/" INIT_ATTESTATION_PEM, true, false },
	{ "anchor", "/anchors/anchor.pem", false, false },
	{ "anchor-key", "/anchor.key", false, true },
	{ "service", "/keyd/keyd.yaml", false, false },
	{ "service-certificate", "/keyd/server.pem", false, false },
	{ "service-key", "/keyd/server.key", false, true },
	{ "service-ca", "/keyd/ca.pem", false, false },
	{ "service-ca-key", "/keyd/ca.key", false, true },
	{ "service-store", "/keyd/store", false, true },
	{ "policy", "/policy.yaml", false, false },
};
#define MADE (sizeof(made) / sizeof(made[0]))

#define PLACE (PATH_MAX + 64)

static const char *place(const struct work *w, const struct made *m, char ret[static PLACE])
{
	snprintf(ret, PLACE, "%s%s", m->of_state ? w->paths.state : w->init.dir, m->path);
	return ret;
}

static int print_json(const struct work *w)
{
	json_t *files = json_array(), *o;
	char path[PLACE];

	for (size_t i = 0; i < MADE; i++)
		json_array_append_new(files,
				      json_pack("{s:s, s:o, s:b}", "what", made[i].what, "path",
						verb_json_text(place(w, &made[i], path)),
						"secret", made[i].secret));
	o = json_pack("{s:s, s:b, s:s, s:o, s:o}", "schema", "cordon.init/1", "development", 1,
		      "host_id", w->init.host, "dir", verb_json_text(w->init.dir), "files",
		      files);
	return verb_json_print(o, false);
}

static int print_text(const struct work *w)
{
	char path[PLACE], clean[4 * PLACE];
	const char *dir = w->init.dir, *root = getenv("CORDON_ROOT");

	printf("For development only: the private keys of all sides are plain files here.\n\n");
	for (size_t i = 0; i < MADE; i++) {
		text_escape(clean, sizeof(clean), place(w, &made[i], path));
		printf("  %-20s %s%s\n", made[i].what, clean,
		       made[i].secret ? "  (secret)" : "");
	}
	printf("\nThis host is called %s.\n"
	       "Next:\n"
	       "  cordon keyd --config %s/keyd/keyd.yaml --init\n"
	       "  cordon keyd --config %s/keyd/keyd.yaml &\n"
	       "  cordon key --socket %s/keyd/store put --random acme/volume/data-key\n"
	       "  cordon measure --policy %s/policy.yaml   (its lines go into the policy)\n"
	       "  cordon key --socket %s/keyd/store policy push %s/policy.yaml\n"
	       "  cordon%s%s run -p %s/policy.yaml\n",
	       w->init.host, dir, dir, dir, dir, dir, dir, root ? " --root " : "",
	       root ? w->paths.state : "", dir);
	return verb_finish(0);
}

/* ---- the verb -------------------------------------------------------------------- */

static const char usage[] =
	"usage: cordon [--root DIR] init [--dir D] [--port N] [--json]\n"
	"\n"
	"identities, a key service and a policy, for development only\n"
	"\n"
	"  --dir D   where they go (" DEFAULT_DIR "); the host's own key goes to its state\n"
	"  --port N  where the key service will listen (" DEFAULT_PORT ")\n";

static int run(const struct options *o)
{
	struct work w = { .parent = -1,
			  .keys = -1,
			  .paths = { .sessions_fd = -1, .run_fd = -1 } };
	struct runtime_error e = { .what = "" };
	int64_t now = (int64_t)time(NULL);
	enum runtime_status s = read_port(o->port, &w.init.port, &e);

	w.init.valid = (struct anchor_span){ now - SKEW, now + YEAR };
	name_host(w.init.host);
	if (s == RUNTIME_OK)
		s = make_all(o, &w, &e);
	closep(&w.keys);
	closep(&w.parent);
	paths_close(&w.paths);
	if (s != RUNTIME_OK)
		return verb_fail(s, &e);
	return o->json ? print_json(&w) : print_text(&w);
}

int main(int argc, char **argv)
{
	struct options o = { .dir = DEFAULT_DIR, .port = DEFAULT_PORT };
	const struct verb_option table[] = {
		{ .name = "--dir", .value = &o.dir },
		{ .name = "--port", .value = &o.port },
		{ .name = "--json", .flag = &o.json },
		{ .name = "--help", .flag = &o.help },
		{ .name = "--version", .flag = &o.version },
	};
	struct runtime_error e = { .what = "" };
	size_t operands;
	enum runtime_status s = verb_options(
		argc, argv, table, sizeof(table) / sizeof(table[0]), 0, &operands, &e);

	if (s != RUNTIME_OK)
		return verb_fail(s, &e);
	if (o.help || o.version) {
		fputs(o.help ? usage : "cordon-init " CORDON_VERSION "\n", stdout);
		return verb_finish(0);
	}
	return run(&o);
}
