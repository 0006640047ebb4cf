/* runtime/dirty.c - see runtime/dirty.h. */
#include "runtime/dirty.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "runtime/files.h"

#define FILE_NAME "../dirty"
#define TEXT 65536u

static enum runtime_status fail(struct runtime_error *e, const char *what)
{
	return runtime_fail(e, RUNTIME_SYSTEM, "dirty",
			    "look at the file `dirty` in the state folder", "%s: %m", what);
}

/* -1: there is none. */
static enum runtime_status read_marks(int sessions_fd, char *text, size_t size, ssize_t *ret,
				      struct runtime_error *e)
{
	*ret = file_read_text(sessions_fd, FILE_NAME, text, size);
	if (*ret < 0 && errno != ENOENT)
		return fail(e, "cannot read the host's mark");
	return RUNTIME_OK;
}

struct mark {
	char boot[SESSION_ID_HEX], session[SESSION_ID_HEX], tenant[64];
};

/* The next line; false at the end, and `*ret_whole` false where a line is no mark. */
static bool next_mark(char **at, struct mark *ret, bool *ret_whole)
{
	char *line = strsep(at, "\n");
	int n = -1;

	if (!line || (!*line && !*at))
		return false;
	/* A line without its end was cut by a crash: its tenant's name may be, too. */
	*ret_whole = *at && strcspn(line, " ") == 32 && line[32] &&
		     strcspn(line + 33, " ") == 32 &&
		     sscanf(line, "%32[0-9a-f] %32[0-9a-f] %63s%n", ret->boot, ret->session,
			    ret->tenant, &n) == 3 &&
		     n > 66 && !line[n];
	return true;
}

static void this_boot(char hex[static SESSION_ID_HEX])
{
	uint8_t boot[16] = { 0 };

	(void)boot_id(boot); /* zeros are no boot's: the mark then counts as an older one */
	session_id_hex(boot, hex);
}

/* The file under its lock, so that no mark is written into one that is just cleared. */
static int open_locked(int sessions_fd, int flags)
{
	struct stat st;
	int fd;

	for (;;) {
		fd = openat(sessions_fd, FILE_NAME, flags | O_NOFOLLOW | O_CLOEXEC, 0600);
		if (fd < 0)
			return -1;
		if (flock(fd, LOCK_EX) < 0 || fstat(fd, &st) < 0) {
			closep(&fd);
			return -1;
		}
		if (st.st_nlink > 0)
			return fd;
		close(fd); /* cleared while we waited */
	}
}

/* Each mark gives the file another time, also where it adds no line: by that a sweep sees
 * what came while it ran. */
static bool stamp(int fd)
{
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT } };

	return clock_gettime(CLOCK_REALTIME, &times[1]) == 0 && futimens(fd, times) == 0;
}

static int64_t stamp_of(const struct stat *st)
{
	return (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;
}

static bool stands_already(char *text, const char *boot, const char *tenant)
{
	char *at = text;
	bool whole;
	struct mark m;

	while (next_mark(&at, &m, &whole))
		if (whole && strcmp(m.tenant, tenant) == 0 && strcmp(m.boot, boot) == 0)
			return true;
	return false;
}

enum runtime_status dirty_mark(int sessions_fd, const uint8_t id[static SESSION_ID_BYTES],
			       const char *tenant, struct runtime_error *reterr)
{
	AUTO(closep) int fd = open_locked(sessions_fd, O_RDWR | O_CREAT | O_APPEND);
	AUTO(closep) int folder = openat(sessions_fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char text[TEXT], boot[SESSION_ID_HEX], hex[SESSION_ID_HEX], line[192];
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	if (n < 0 || folder < 0)
		return fail(reterr, "cannot open the host's mark");
	text[n] = '\0';
	this_boot(boot);
	session_id_hex(id, hex);
	snprintf(line, sizeof(line), "%s %s %s\n", boot, hex, tenant);
	if (!stands_already(text, boot, tenant) &&
	    write(fd, line, strlen(line)) != (ssize_t)strlen(line))
		return fail(reterr, "cannot write the host's mark");
	if (!stamp(fd) || fsync(fd) < 0 || fsync(folder) < 0)
		return fail(reterr, "cannot write the host's mark");
	return RUNTIME_OK;
}

enum runtime_status dirty_seen(int sessions_fd, int64_t *ret, struct runtime_error *reterr)
{
	struct stat st;

	*ret = 0;
	if (fstatat(sessions_fd, FILE_NAME, &st, AT_SYMLINK_NOFOLLOW) == 0)
		*ret = stamp_of(&st);
	else if (errno != ENOENT)
		return fail(reterr, "cannot look at the host's mark");
	return RUNTIME_OK;
}

enum runtime_status dirty_clear(int sessions_fd, int64_t seen, struct runtime_error *reterr)
{
	AUTO(closep) int fd = open_locked(sessions_fd, O_RDONLY);
	struct stat st;

	if (fd < 0)
		return errno == ENOENT ? RUNTIME_OK
				       : fail(reterr, "cannot open the host's mark");
	if (fstat(fd, &st) < 0)
		return fail(reterr, "cannot look at the host's mark");
	if (stamp_of(&st) == seen && unlinkat(sessions_fd, FILE_NAME, 0) < 0)
		return fail(reterr, "cannot remove the host's mark");
	return RUNTIME_OK;
}

/* The first mark against `tenant`; *ret_old: all that are there are of other boots. */
static bool find_against(char *text, ssize_t len, const char *tenant, bool *ret_old,
			 char ret_by[static DIRTY_BY])
{
	char boot[SESSION_ID_HEX], *at = text;
	bool found = (size_t)len >= TEXT - 1, whole;
	struct mark m;

	this_boot(boot);
	*ret_old = !found;
	snprintf(ret_by, DIRTY_BY, "%s", found ? "more sessions than can be listed" : "");
	while (next_mark(&at, &m, &whole)) {
		*ret_old &= whole && strcmp(m.boot, boot) != 0;
		if (found || (whole && strcmp(m.tenant, tenant) == 0))
			continue;
		found = true;
		if (whole)
			snprintf(ret_by, DIRTY_BY, "session %.12s of tenant %s", m.session,
				 m.tenant);
		else
			snprintf(ret_by, DIRTY_BY, "a mark that cannot be read");
	}
	return found;
}

enum runtime_status dirty_stands(int sessions_fd, const char *tenant, bool zeroing, bool *ret,
				 char ret_by[static DIRTY_BY], struct runtime_error *reterr)
{
	char text[TEXT];
	bool old;
	ssize_t n = -1;
	int64_t seen;
	enum runtime_status s = dirty_seen(sessions_fd, &seen, reterr);

	*ret = false;
	ret_by[0] = '\0';
	if (s == RUNTIME_OK)
		s = read_marks(sessions_fd, text, sizeof(text), &n, reterr);
	if (s != RUNTIME_OK || n <= 0)
		return s;
	*ret = find_against(text, n, tenant, &old, ret_by);
	if (!old || !zeroing)
		return RUNTIME_OK;
	/* Free memory has been zeroed by whoever freed it ever since the restart. */
	*ret = false;
	return dirty_clear(sessions_fd, seen, reterr);
}
