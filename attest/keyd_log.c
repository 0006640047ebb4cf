/* attest/keyd_log.c - see attest/keyd_log.h. */
#include "attest/keyd_log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define FOLDER "log"
#define PUBLISH_MS 250 /* a checkpoint at most this long after the first new entry */
#define RETRY_MS 5000  /* before a log that failed is opened anew */

struct keyd_log {
	int dirfd;
	struct note_signer *signer;
	struct log_writer *writer; /* NULL: `why_not` */
	struct attest_error why_not;
	char boot[40], host[64];
	uint64_t least;
	int64_t last;                 /* CLOCK_REALTIME of the newest entry, ns */
	int64_t publish_at, retry_at; /* ms; 0: none */
};

static int64_t now_ns(clockid_t clock)
{
	struct timespec t = { 0 };

	clock_gettime(clock, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int64_t now_ms(void)
{
	return now_ns(CLOCK_MONOTONIC) / 1000000;
}

void keyd_log_begin(const struct keyd_log *l, struct log_entry *e, const char *kind)
{
	memset(e, 0, sizeof(*e));
	e->t = now_ns(CLOCK_REALTIME);
	e->mono = now_ns(CLOCK_BOOTTIME);
	e->boot = l->boot;
	e->host = l->host;
	e->kind = kind;
	e->actor = "cordon";
}

/* ---- entries ----------------------------------------------------------------------- */

static enum attest_status append(struct keyd_log *l, struct log_entry *entry,
				 struct attest_error *e)
{
	char bytes[LOG_ENTRY_MAX + 1];
	uint64_t index;
	size_t len;
	enum attest_status s;

	entry->seq = log_next(l->writer);
	s = log_entry_print(entry, bytes, &len, e);
	return s == ATTEST_OK ? log_append(l->writer, bytes, len, &index, e) : s;
}

/* A clock that was set back is told before anything is dated by it: without a word of it, a
 * reader takes times that run backwards for tampering. */
static enum attest_status append_in_time(struct keyd_log *l, struct log_entry *entry,
					 struct attest_error *e)
{
	struct log_entry step;
	enum attest_status s = ATTEST_OK;

	if (entry->t < l->last) {
		keyd_log_begin(l, &step, "clock.step");
		step.t = entry->t;
		s = append(l, &step, e);
	}
	if (s == ATTEST_OK)
		s = append(l, entry, e);
	if (s == ATTEST_OK)
		l->last = entry->t;
	return s;
}

/* ---- opening ------------------------------------------------------------------------- */

static void give_up(struct keyd_log *l)
{
	enum attest_status s = log_close(l->writer, NULL); /* the next start does the rest */

	(void)s;
	l->writer = NULL;
}

/* Each start is in the log: what the clock did while nobody wrote is not known. */
static enum attest_status note_opening(struct keyd_log *l, const struct log_start *start,
				       struct attest_error *e)
{
	struct log_entry entry;
	enum attest_status s;

	keyd_log_begin(l, &entry, "log.start");
	s = append_in_time(l, &entry, e);
	if (s == ATTEST_OK && start->cut_bytes) {
		keyd_log_begin(l, &entry, "log.recovered");
		entry.reason = "the end of the journal, which nobody had been told of, was cut";
		entry.data[entry.n_data++] =
			(struct log_datum){ .name = "bytes",
					    .number = (int64_t)start->cut_bytes };
		s = append_in_time(l, &entry, e);
	}
	return s == ATTEST_OK ? log_commit(l->writer, e) : s;
}

static enum attest_status open_writer(struct keyd_log *l, struct attest_error *e)
{
	struct log_start start = { .size = 0 };
	enum attest_status s;
	int dir;

	if (mkdirat(l->dirfd, FOLDER, 0700) != 0 && errno != EEXIST)
		return attest_fail(e, ATTEST_SYSTEM, FOLDER, "", "cannot make its folder: %m");
	dir = openat(l->dirfd, FOLDER, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir < 0)
		return attest_fail(e, ATTEST_SYSTEM, FOLDER, "", "cannot open it: %m");
	s = log_open(dir, l->signer, &l->writer, &start, e);
	close(dir);
	if (s != ATTEST_OK)
		return s;
	if (start.size < l->least)
		return attest_fail(
			e, ATTEST_REFUSED, FOLDER,
			"restore the log's folder; a new log needs a new store",
			"the audit log has fewer entries than it had: %llu, not %llu",
			(unsigned long long)start.size, (unsigned long long)l->least);
	return note_opening(l, &start, e);
}

static void open_all(struct keyd_log *l)
{
	if (open_writer(l, &l->why_not) == ATTEST_OK) {
		l->publish_at = now_ms() + PUBLISH_MS;
		return;
	}
	give_up(l);
	l->retry_at = now_ms() + RETRY_MS;
}

static void read_boot(char ret[static 40])
{
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, ret, 39);

	if (fd >= 0)
		close(fd);
	ret[n > 0 ? n : 0] = '\0';
	ret[strcspn(ret, "\n")] = '\0';
}

enum attest_status keyd_log_open(int dirfd, struct note_signer *signer, uint64_t least,
				 struct keyd_log **ret, struct attest_error *reterr)
{
	struct keyd_log *l = calloc(1, sizeof(*l));

	if (l)
		l->dirfd = fcntl(dirfd, F_DUPFD_CLOEXEC, 3);
	if (!l || l->dirfd < 0) {
		note_signer_free(signer);
		free(l);
		return attest_fail(reterr, ATTEST_SYSTEM, FOLDER, "", "%m");
	}
	l->signer = signer;
	l->least = least;
	read_boot(l->boot);
	(void)gethostname(l->host, sizeof(l->host) - 1); /* or it has none */
	open_all(l);
	*ret = l;
	return ATTEST_OK;
}

const struct attest_error *keyd_log_trouble(const struct keyd_log *l)
{
	return l->writer ? NULL : &l->why_not;
}

void keyd_log_close(struct keyd_log *l)
{
	if (!l)
		return;
	keyd_log_publish(l);
	give_up(l);
	note_signer_free(l->signer);
	close(l->dirfd);
	free(l);
}

/* A spoilt writer is given up; a while later the log is opened anew, from what the disk
 * has. */
static enum attest_status usable(struct keyd_log *l, struct attest_error *e)
{
	if (l->writer && log_failed(l->writer)) {
		l->least = log_size(l->writer);
		give_up(l);
		l->publish_at = 0;
		l->retry_at = now_ms() + RETRY_MS;
	}
	if (!l->writer && now_ms() >= l->retry_at)
		open_all(l);
	if (l->writer)
		return ATTEST_OK;
	if (e)
		*e = l->why_not;
	return ATTEST_SYSTEM;
}

/* Whatever the reason: a log that has not taken it is a failure of ours, and never an answer
 * to what was asked. */
enum attest_status keyd_log_put(struct keyd_log *l, struct log_entry *e,
				struct attest_error *reterr)
{
	enum attest_status s = usable(l, reterr);

	if (s == ATTEST_OK)
		s = append_in_time(l, e, reterr);
	if (s == ATTEST_OK)
		s = log_commit(l->writer, reterr);
	if (s != ATTEST_OK)
		return ATTEST_SYSTEM;
	if (!l->publish_at)
		l->publish_at = now_ms() + PUBLISH_MS;
	return ATTEST_OK;
}

/* ---- publishing ------------------------------------------------------------------------- */

uint64_t keyd_log_size(const struct keyd_log *l)
{
	return l->writer ? log_size(l->writer) : 0;
}

int64_t keyd_log_due(const struct keyd_log *l)
{
	return l->publish_at ? l->publish_at : INT64_MAX;
}

void keyd_log_publish(struct keyd_log *l)
{
	l->publish_at = 0;
	if (!l->writer || log_published(l->writer) == log_size(l->writer))
		return;
	if (log_publish(l->writer, NULL) != ATTEST_OK)
		/* Spoilt, and the next entry finds that out; or no room, and later there may
		 * be. */
		l->publish_at = log_failed(l->writer) ? 0 : now_ms() + RETRY_MS;
}
