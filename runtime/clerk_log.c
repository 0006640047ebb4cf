/* runtime/clerk_log.c - see runtime/clerk_log.h. */
#include "runtime/clerk_log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "attest/log_writer.h"
#include "runtime/clerk_entry.h"
#include "runtime/clerk_keys.h"
#include "runtime/fault.h"

#define PUBLISH_MS 250 /* a checkpoint at most this long after the first new entry */
#define RETRY_MS 5000  /* before a log that failed is opened anew */
#define RECEIPTS 64u   /* in one commit */

struct receipt_file {
	uint8_t id[SESSION_ID_BYTES];
	char text[RECEIPT_MAX];
	size_t len;
};

struct clerk_log {
	int sessions_fd, state_fd;
	struct clerk_keys keys;
	struct log_writer *writer; /* NULL: `why_not` */
	struct runtime_error why_not;
	struct entry_host host;
	int64_t publish_at, retry_at; /* ms; 0: none */
	int64_t last;                 /* CLOCK_REALTIME of the newest entry, ns */
	bool published;               /* the keys' folder knows that others have seen it */
	struct receipt_file *receipts[RECEIPTS]; /* of entries that are not yet durable */
	size_t n_receipts;
};

static int64_t now_ms(void)
{
	struct timespec t = { 0 };

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* What it could not do at its end is done at the next start. */
static void give_up(struct clerk_log *l)
{
	enum attest_status s = log_close(l->writer, NULL);

	(void)s;
	l->writer = NULL;
}

/* ---- one entry ------------------------------------------------------------------- */

static enum runtime_status put(struct clerk_log *l, struct log_entry *entry, int64_t *ret_index,
			       struct runtime_error *e)
{
	char bytes[LOG_ENTRY_MAX + 1];
	struct attest_error ae = { .what = "" };
	uint64_t index = log_next(l->writer);
	enum attest_status s;
	size_t len;

	entry->seq = index;
	s = log_entry_print(entry, bytes, &len, &ae);
	if (s == ATTEST_OK)
		s = log_append(l->writer, bytes, len, &index, &ae);
	*ret_index = (int64_t)index;
	return s == ATTEST_OK ? RUNTIME_OK : clerk_attest_fail(e, s, &ae);
}

/* A clock that was set back is told before anything is dated by it: without a word of it, a
 * reader takes times that run backwards for tampering. */
static enum runtime_status append(struct clerk_log *l, struct log_entry *entry,
				  int64_t *ret_index, struct runtime_error *e)
{
	struct log_entry step;
	enum runtime_status s = RUNTIME_OK;

	if (entry->t < l->last) {
		entry_begin(&step, &l->host, "clock.step", NULL, NULL);
		step.t = entry->t;
		s = put(l, &step, ret_index, e);
	}
	if (s == RUNTIME_OK)
		s = put(l, entry, ret_index, e);
	if (s == RUNTIME_OK)
		l->last = entry->t;
	return s;
}

/* ---- opening --------------------------------------------------------------------- */

/* Each start is in the log: what the clock did while nobody wrote is not known. */
static enum runtime_status note_opening(struct clerk_log *l, const struct log_start *start,
					struct runtime_error *e)
{
	struct attest_error ae = { .what = "" };
	struct log_entry entry;
	int64_t index;
	enum runtime_status s;
	enum attest_status as;

	entry_begin(&entry, &l->host, "log.start", NULL, NULL);
	s = append(l, &entry, &index, e);
	if (s == RUNTIME_OK && start->cut_bytes) {
		entry_begin(&entry, &l->host, "log.recovered", NULL, NULL);
		entry.reason = "the end of the journal, which nobody had been told of, was cut";
		entry.data[entry.n_data++] =
			(struct log_datum){ .name = "bytes",
					    .number = (int64_t)start->cut_bytes };
		s = append(l, &entry, &index, e);
	}
	if (s != RUNTIME_OK)
		return s;
	as = log_commit(l->writer, &ae);
	return as == ATTEST_OK ? RUNTIME_OK : clerk_attest_fail(e, as, &ae);
}

static enum runtime_status open_writer(struct clerk_log *l, struct runtime_error *e)
{
	struct log_start start = { .size = 0 };
	struct attest_error ae = { .what = "" };
	AUTO(closep) int dir = -1;
	enum attest_status s;

	l->published = clerk_keys_published(l->state_fd);
	if (l->published && faccessat(l->state_fd, "log/.state/signed", F_OK, 0) != 0)
		return runtime_fail(e, RUNTIME_REFUSED, "log",
				    "restore the log's folder; a new log needs a new root",
				    "the audit log was removed: its checkpoints were shown to "
				    "others and it is not there");
	if (mkdirat(l->state_fd, "log", 0700) < 0 && errno != EEXIST)
		return runtime_fail(e, RUNTIME_SYSTEM, "log", "", "cannot make its folder: %m");
	dir = openat(l->state_fd, "log", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir < 0)
		return runtime_fail(e, RUNTIME_SYSTEM, "log", "", "cannot open it: %m");
	s = log_open(dir, l->keys.log, &l->writer, &start, &ae);
	if (s != ATTEST_OK)
		return clerk_attest_fail(e, s, &ae);
	return note_opening(l, &start, e);
}

static void open_all(struct clerk_log *l)
{
	enum runtime_status s = RUNTIME_OK;

	if (!l->keys.log)
		s = clerk_keys_open(l->state_fd, &l->keys, &l->why_not);
	if (s == RUNTIME_OK)
		s = open_writer(l, &l->why_not);
	if (s == RUNTIME_OK) {
		l->publish_at = log_size(l->writer) > log_published(l->writer)
					? now_ms() + PUBLISH_MS
					: 0;
		return;
	}
	give_up(l);
	l->retry_at = now_ms() + RETRY_MS;
}

struct clerk_log *clerk_log_start(int sessions_fd)
{
	struct clerk_log *l = calloc(1, sizeof(*l));
	uint8_t boot[16] = { 0 };

	if (!l)
		return NULL;
	l->sessions_fd = sessions_fd;
	l->state_fd = openat(sessions_fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	(void)boot_id(boot); /* zeros where the kernel does not say */
	session_id_hex(boot, l->host.boot);
	(void)gethostname(l->host.name, sizeof(l->host.name) - 1); /* or it has none */
	open_all(l);
	return l;
}

/* A spoilt writer is given up; a while later the log is opened anew, from what the disk
 * has. */
static enum runtime_status usable(struct clerk_log *l, struct runtime_error *e)
{
	if (l->writer && log_failed(l->writer)) {
		give_up(l);
		l->publish_at = 0;
		l->retry_at = now_ms() + RETRY_MS;
	}
	if (!l->writer && now_ms() >= l->retry_at)
		open_all(l);
	if (l->writer)
		return RUNTIME_OK;
	return runtime_fail(e, RUNTIME_REFUSED, "audit log", "", "%.120s%s%.180s",
			    l->why_not.where, l->why_not.where[0] ? ": " : "", l->why_not.what);
}

/* ---- steps of sessions ------------------------------------------------------------ */

/* Signed now; its file is written when the entry is durable. */
static enum runtime_status add_receipt(struct clerk_log *l, const struct journal *j,
				       struct log_entry *entry, struct runtime_error *e)
{
	struct attest_error ae = { .what = "" };
	struct receipt_file *f = malloc(sizeof(*f));
	struct receipt r;
	enum attest_status s;

	if (!f || l->n_receipts == RECEIPTS) {
		free(f);
		return runtime_fail(e, RUNTIME_SYSTEM, "receipt", "", "no memory");
	}
	entry_receipt(j, &l->host, &r);
	s = receipt_sign(&r, l->keys.receipt, f->text, &f->len, &ae);
	if (s != ATTEST_OK) {
		free(f);
		return clerk_attest_fail(e, s, &ae);
	}
	memcpy(f->id, j->begin.id, sizeof(f->id));
	l->receipts[l->n_receipts++] = f;
	entry->outcome = receipt_clean(&r) ? LOG_OK : LOG_ERROR;
	entry->data_json = f->text;
	entry->data_json_len = f->len;
	return RUNTIME_OK;
}

static enum runtime_status record_start(struct clerk_log *l, const struct journal *j,
					const char *hex, int64_t *ret_index,
					struct runtime_error *e)
{
	struct log_entry entry;

	if (journal_state(j) != SESSION_PREPARED && journal_state(j) != SESSION_ATTESTING)
		return runtime_fail(e, RUNTIME_REFUSED, hex, "",
				    "a session that is %s is not about to start",
				    session_state_str(journal_state(j)));
	entry_begin(&entry, &l->host, ENTRY_START, j, hex);
	entry_start(&entry, j);
	return append(l, &entry, ret_index, e);
}

/* SCRUBBING, or an end that the log could not take when it came. */
static bool has_ended(const struct journal *j)
{
	const char *unlogged = journal_fact(j, "unlogged");

	switch (journal_state(j)) {
	case SESSION_SCRUBBING:
	case SESSION_LOST:
		return true;
	case SESSION_QUARANTINED:
		return unlogged && strcmp(unlogged, "end") == 0;
	default:
		return false;
	}
}

static enum runtime_status record_end(struct clerk_log *l, const struct journal *j,
				      const char *hex, int64_t *ret_index,
				      struct runtime_error *e)
{
	struct log_entry end, wipe;
	int64_t second;
	enum runtime_status s;

	if (!has_ended(j))
		return runtime_fail(e, RUNTIME_REFUSED, hex, "",
				    "a session that is %s has not ended",
				    session_state_str(journal_state(j)));
	entry_begin(&end, &l->host, ENTRY_END, j, hex);
	entry_end(&end, j);
	entry_begin(&wipe, &l->host, ENTRY_WIPE, j, hex);
	s = add_receipt(l, j, &wipe, e);
	if (s != RUNTIME_OK)
		return s;
	s = append(l, &end, ret_index, e);
	if (s == RUNTIME_OK)
		s = append(l, &wipe, &second, e);
	if (s != RUNTIME_OK) /* no file for a receipt that is not in the log */
		free(l->receipts[--l->n_receipts]);
	return s;
}

enum runtime_status clerk_log_record(struct clerk_log *l,
				     const uint8_t id[static SESSION_ID_BYTES],
				     enum wire_record what, int64_t *ret_index,
				     struct runtime_error *reterr)
{
	static struct journal j;
	char hex[SESSION_ID_HEX];
	bool torn = false;
	enum runtime_status s = usable(l, reterr);

	if (s == RUNTIME_OK)
		s = journal_read(l->sessions_fd, id, &j, &torn, reterr);
	if (s != RUNTIME_OK)
		return s;
	session_id_hex(id, hex);
	return what == WIRE_RECORD_START ? record_start(l, &j, hex, ret_index, reterr)
					 : record_end(l, &j, hex, ret_index, reterr);
}

/* ---- durable, published ---------------------------------------------------------- */

/* The receipt is in the log already; this is the copy that people look at. */
static void write_receipt(const struct clerk_log *l, const struct receipt_file *f)
{
	char name[SESSION_ID_HEX + 8], temp[SESSION_ID_HEX + 16], hex[SESSION_ID_HEX];
	int fd;
	bool ok;

	session_id_hex(f->id, hex);
	snprintf(name, sizeof(name), "%s.receipt", hex);
	snprintf(temp, sizeof(temp), ".%s.new", name);
	(void)unlinkat(l->sessions_fd, temp, 0); /* of an earlier try */
	fd = openat(l->sessions_fd, temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
		    0600);
	ok = fd >= 0 && write(fd, f->text, f->len) == (ssize_t)f->len &&
	     write(fd, "\n", 1) == 1 && fsync(fd) == 0;
	closep(&fd);
	if (!ok || renameat(l->sessions_fd, temp, l->sessions_fd, name) < 0)
		(void)unlinkat(l->sessions_fd, temp, 0); /* `cordon audit show` has it still */
}

enum runtime_status clerk_log_commit(struct clerk_log *l, struct runtime_error *reterr)
{
	struct attest_error ae = { .what = "the log was given up" };
	enum attest_status s = l->writer ? log_commit(l->writer, &ae) : ATTEST_SYSTEM;

	fault_point("clerk.committed");
	for (size_t i = 0; i < l->n_receipts; i++) {
		if (s == ATTEST_OK)
			write_receipt(l, l->receipts[i]);
		free(l->receipts[i]);
	}
	l->n_receipts = 0;
	if (s != ATTEST_OK)
		return clerk_attest_fail(reterr, s, &ae);
	if (!l->publish_at)
		l->publish_at = now_ms() + PUBLISH_MS;
	return RUNTIME_OK;
}

int64_t clerk_log_due(const struct clerk_log *l)
{
	return l->publish_at ? l->publish_at : INT64_MAX;
}

void clerk_log_publish(struct clerk_log *l)
{
	struct runtime_error ignored;

	l->publish_at = 0;
	if (!l->writer || log_published(l->writer) == log_size(l->writer))
		return;
	if (log_publish(l->writer, NULL) != ATTEST_OK)
		/* Spoilt, and the next record finds that out; or no room, and later there may
		 * be. */
		l->publish_at = log_failed(l->writer) ? 0 : now_ms() + RETRY_MS;
	else if (!l->published)
		l->published = clerk_keys_set_published(l->state_fd, &ignored) == RUNTIME_OK;
	fault_point("clerk.published");
}

void clerk_log_end(struct clerk_log *l)
{
	if (!l)
		return;
	clerk_log_publish(l);
	give_up(l);
	clerk_keys_close(&l->keys);
	closep(&l->state_fd);
	free(l);
}
