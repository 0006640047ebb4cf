/*
 * runtime/journal.c - slots, their judgement, and the one writer.
 *
 * A slot (little-endian):
 *   000h magic u32 "CJNL"
 *   004h sequence number u32: the slot's own
 *   008h first u32, 00Ch last u32: the slots of the append that it belongs to
 *   010h kind u32
 *   014h payload, zeros behind it
 *   1FCh CRC-32C of all before it
 * An append is one record, or several facts. One that is not whole never happened: its
 * caller was not yet told that it was durable.
 */
#include "runtime/journal.h"

#include "attest/crc32c.h"
#include "policy/policy.h"
#include "policy/reader.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define JOURNAL_MAGIC 0x4c4e4a43u /* "CJNL" as bytes */
#define CRC_AT (JOURNAL_SLOT - 4)
#define FACT_SLOTS (JOURNAL_SLOTS - JOURNAL_RESERVE)

static bool all_zero(const uint8_t *p, size_t n)
{
	return n == 0 || (p[0] == 0 && memcmp(p, p + 1, n - 1) == 0);
}

enum session_state journal_state(const struct journal *j)
{
	return j->n_states ? (enum session_state)j->states[j->n_states - 1].state
			   : SESSION_NONE;
}

static bool was(const struct journal *j, enum session_state state)
{
	for (size_t i = 0; i < j->n_states; i++)
		if (j->states[i].state == state)
			return true;
	return false;
}

bool journal_ran(const struct journal *j)
{
	return was(j, SESSION_RUNNING);
}

bool journal_begun(const struct journal *j)
{
	return was(j, SESSION_RUNNING) || was(j, SESSION_ATTESTING);
}

const char *journal_fact(const struct journal *j, const char *key)
{
	for (size_t i = j->n_facts; i > 0; i--)
		if (strcmp(j->facts[i - 1].key, key) == 0)
			return j->facts[i - 1].value;
	return NULL;
}

/* ---- one record ------------------------------------------------------------------ */

struct span { /* the slots of one append */
	uint32_t first, last;
};

/* Words of a fact's key: limit.memory, core-scheduling. */
static bool key_clean(const char *key)
{
	return key[0] && key[strspn(key, "abcdefghijklmnopqrstuvwxyz0123456789.-_")] == '\0';
}

static bool fact_clean(const struct journal_fact *f)
{
	return strnlen(f->key, sizeof(f->key)) < sizeof(f->key) && key_clean(f->key) &&
	       strnlen(f->value, sizeof(f->value)) < sizeof(f->value) && text_clean(f->value);
}

static bool begin_clean(const struct journal_begin *b)
{
	return !all_zero(b->id, sizeof(b->id)) &&
	       strnlen(b->name, sizeof(b->name)) < sizeof(b->name) &&
	       strnlen(b->tenant, sizeof(b->tenant)) < sizeof(b->tenant) &&
	       text_clean(b->name) && text_clean(b->tenant) &&
	       b->class >= POLICY_CLASS_SANDBOX && b->class <= POLICY_CLASS_GUEST &&
	       b->keeper > 0 && b->keeper_start > 0 && b->created >= 0 &&
	       b->held >= POLICY_HELD_WIPED && b->held <= POLICY_HELD_NONE &&
	       b->kernel >= POLICY_KERNEL_KERNEL && b->kernel <= POLICY_KERNEL_NONE;
}

static void put_begin(struct wr *w, const struct journal_begin *b)
{
	wr_bytes(w, b->id, sizeof(b->id));
	wr_bytes(w, b->boot, sizeof(b->boot));
	wr_text(w, b->name, sizeof(b->name));
	wr_text(w, b->tenant, sizeof(b->tenant));
	wr_u32le(w, b->class);
	wr_u32le(w, b->euid);
	wr_u32le(w, (uint32_t)b->keeper);
	wr_u64le(w, b->keeper_start);
	wr_u64le(w, (uint64_t)b->created);
	wr_u32le(w, (b->detached ? 1u : 0u) | (b->builtin ? 2u : 0u));
	wr_u32le(w, b->held);
	wr_u32le(w, b->kernel);
}

static void get_begin(struct rd *r, struct journal_begin *b)
{
	uint32_t bits;

	rd_copy(r, b->id, sizeof(b->id));
	rd_copy(r, b->boot, sizeof(b->boot));
	rd_text(r, b->name, sizeof(b->name));
	rd_text(r, b->tenant, sizeof(b->tenant));
	b->class = rd_u32le(r);
	b->euid = rd_u32le(r);
	b->keeper = (int32_t)rd_u32le(r);
	b->keeper_start = rd_u64le(r);
	b->created = (int64_t)rd_u64le(r);
	bits = rd_u32le(r);
	b->detached = bits & 1;
	b->builtin = bits & 2;
	b->held = rd_u32le(r);
	b->kernel = rd_u32le(r);
	r->bad |= bits > 3 || !begin_clean(b);
}

static void put_state(struct wr *w, const struct journal_state *s)
{
	wr_u32le(w, s->state);
	wr_u32le(w, s->event);
	wr_u64le(w, (uint64_t)s->at);
	wr_text(w, s->why, sizeof(s->why));
}

/* Only edges of the session table: a journal cannot claim what could not happen. */
static void get_state(struct rd *r, enum session_state before, struct journal_state *s)
{
	s->state = rd_u32le(r);
	s->event = rd_u32le(r);
	s->at = (int64_t)rd_u64le(r);
	rd_text(r, s->why, sizeof(s->why));
	r->bad |= s->state == SESSION_NONE || s->event >= SESSION_EVENTS ||
		  s->state != session_next(before, (enum session_event)s->event) ||
		  !text_clean(s->why);
}

static void put_fact(struct wr *w, const struct journal_fact *f)
{
	wr_text(w, f->key, sizeof(f->key));
	wr_text(w, f->value, sizeof(f->value));
}

static void get_fact(struct rd *r, struct journal_fact *f)
{
	rd_text(r, f->key, sizeof(f->key));
	rd_text(r, f->value, sizeof(f->value));
	r->bad |= !fact_clean(f);
}

/* The frame around a payload: `w` writes between head_put and seal. */
static struct wr head_put(uint8_t *slot, uint32_t seq, struct span a, enum journal_kind kind)
{
	struct wr w = { .at = slot, .left = CRC_AT };

	memset(slot, 0, JOURNAL_SLOT);
	wr_u32le(&w, JOURNAL_MAGIC);
	wr_u32le(&w, seq);
	wr_u32le(&w, a.first);
	wr_u32le(&w, a.last);
	wr_u32le(&w, (uint32_t)kind);
	return w;
}

static void seal(uint8_t *slot)
{
	struct wr w = { .at = slot + CRC_AT, .left = 4 };

	wr_u32le(&w, crc32c(0, slot, CRC_AT));
}

/* ---- a whole journal ------------------------------------------------------------- */

/* Whether slot `seq` holds a record as it was written, and of which append. What the
 * record says is another question. */
static bool sound(const uint8_t *slot, uint32_t seq, struct span *ret)
{
	struct rd r = { .at = slot, .left = JOURNAL_SLOT };
	struct rd crc = { .at = slot + CRC_AT, .left = 4 };

	if (rd_u32le(&r) != JOURNAL_MAGIC || rd_u32le(&r) != seq ||
	    rd_u32le(&crc) != crc32c(0, slot, CRC_AT))
		return false;
	ret->first = rd_u32le(&r);
	ret->last = rd_u32le(&r);
	return true;
}

static enum runtime_status damaged(struct runtime_error *e, size_t slot, const char *what)
{
	char where[64];

	snprintf(where, sizeof(where), "journal: slot %zu: byte %zu", slot,
		 slot * JOURNAL_SLOT);
	return runtime_fail(e, RUNTIME_MALFORMED, where, "", "%s", what);
}

/* The append of slot `seq` follows that of the slot before it, or goes on with it. */
static bool span_follows(struct span before, struct span now, uint32_t seq,
			 enum journal_kind kind)
{
	if (seq > 0 && before.last >= seq)
		return kind == JOURNAL_FACT && now.first == before.first &&
		       now.last == before.last;
	return now.first == seq && now.last >= seq &&
	       (now.last == seq || (kind == JOURNAL_FACT && now.last < FACT_SLOTS));
}

/* Adds a sound record to `j`, or says what is wrong with it. */
static const char *record_add(struct journal *j, const uint8_t *slot, uint32_t seq,
			      struct span before, struct span now)
{
	struct rd r = { .at = slot + 16, .left = CRC_AT - 16 };
	uint32_t kind = rd_u32le(&r);
	enum session_state state = journal_state(j);

	if ((kind == JOURNAL_BEGIN) != (seq == 0))
		return "the first record, and no other, is the beginning";
	if (kind == JOURNAL_BEGIN)
		get_begin(&r, &j->begin);
	else if (kind == JOURNAL_STATE)
		get_state(&r, state, &j->states[j->n_states++]);
	else if (kind == JOURNAL_FACT && seq < FACT_SLOTS)
		get_fact(&r, &j->facts[j->n_facts++]);
	else
		return "this kind of record has no place here";
	rd_zeros(&r, r.left);
	if (r.bad)
		return "the record says what no session can do or be";
	if (!span_follows(before, now, seq, (enum journal_kind)kind))
		return "the record does not follow the one before it";
	return NULL;
}

/* Slot `cut` is the first that holds no sound record. A crash leaves that only in the
 * append that was being written: nothing of another one stands behind it. */
static bool cut_short(const uint8_t *buf, uint32_t cut)
{
	struct span a;

	for (uint32_t i = cut + 1; i < JOURNAL_SLOTS; i++) {
		const uint8_t *slot = buf + (size_t)i * JOURNAL_SLOT;

		if (!all_zero(slot, JOURNAL_SLOT) && (!sound(slot, i, &a) || a.first > cut))
			return false;
	}
	return true;
}

enum runtime_status journal_parse(const uint8_t *buf, size_t len, struct journal *ret,
				  bool *ret_torn, struct runtime_error *reterr)
{
	struct journal j = { 0 };
	struct span before = { 0 }, now = { 0 };
	uint32_t at = 0;

	*ret_torn = false;
	if (len <= JOURNAL_BYTES && all_zero(buf, len))
		return damaged(reterr, 0,
			       "the journal never got its first record: nothing was "
			       "held for this session yet");
	if (len != JOURNAL_BYTES)
		return damaged(reterr, len / JOURNAL_SLOT,
			       "the file does not have the one size "
			       "of a journal");
	for (; at < JOURNAL_SLOTS; at++, before = now) {
		const uint8_t *slot = buf + (size_t)at * JOURNAL_SLOT;
		const char *wrong;

		if (!sound(slot, at, &now))
			break;
		wrong = record_add(&j, slot, at, before, now);
		if (wrong)
			return damaged(reterr, at, wrong);
	}
	j.slots_used = at;
	if (at == 0)
		return damaged(reterr, 0, "the first record is damaged");
	if (before.last < at && all_zero(buf + (size_t)at * JOURNAL_SLOT,
					 (JOURNAL_SLOTS - at) * (size_t)JOURNAL_SLOT)) {
		*ret = j;
		return RUNTIME_OK;
	}
	if (!cut_short(buf, at))
		return damaged(reterr, at, "the record is damaged, and others follow it");
	if (before.last >= at) { /* the facts of an append that never became whole */
		j.n_facts -= at - before.first;
		j.slots_used = before.first;
	}
	*ret_torn = true;
	*ret = j;
	return damaged(reterr, j.slots_used, "the last append was cut short");
}

/* ---- the file -------------------------------------------------------------------- */

static void file_name(const uint8_t id[static SESSION_ID_BYTES], char name[static 48])
{
	session_id_hex(id, name);
	memcpy(name + SESSION_ID_HEX - 1, ".journal", sizeof(".journal"));
}

static enum runtime_status failed(struct runtime_error *e, const char *name, const char *what)
{
	return runtime_fail(e, RUNTIME_SYSTEM, name, NULL, "%s: %m", what);
}

/* Opens a journal that is the caller's own regular file. */
static enum runtime_status file_open(int sessions_fd, const char *name, int flags, int *ret_fd,
				     struct runtime_error *e)
{
	AUTO(closep)
	int fd = openat(sessions_fd, name, flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct stat st;

	if (fd < 0 && errno == ENOENT)
		return runtime_fail(e, RUNTIME_REFUSED, name, NULL, "there is no such session");
	if (fd < 0 || fstat(fd, &st) != 0)
		return failed(e, name, "cannot be opened");
	if (!S_ISREG(st.st_mode) || st.st_uid != geteuid())
		return runtime_fail(e, RUNTIME_REFUSED, name, NULL, "is not a file of user %u",
				    geteuid());
	*ret_fd = fd;
	fd = -1;
	return RUNTIME_OK;
}

/* A POSIX record lock: the sandbox, forked without exec from the keeper, does not share
 * it, so it ends with the keeper. Its trap: it also ends when this process closes any
 * other descriptor of the file. */
static enum runtime_status file_lock(int fd, const char *name, struct runtime_error *e)
{
	struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	if (fcntl(fd, F_SETLK, &whole) == 0)
		return RUNTIME_OK;
	if (errno == EACCES || errno == EAGAIN)
		return runtime_fail(e, RUNTIME_REFUSED, name, NULL,
				    "its keeper, or another recovery, is at work");
	return failed(e, name, "cannot be locked");
}

/* At most `size` bytes; -1 on error. */
static ssize_t file_read(int fd, uint8_t *to, size_t size)
{
	size_t have = 0;

	while (have < size) {
		ssize_t n = pread(fd, to + have, size - have, (off_t)have);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		if (n == 0)
			break;
		have += (size_t)n;
	}
	return (ssize_t)have;
}

static bool file_write(int fd, const uint8_t *from, size_t size, size_t at)
{
	while (size > 0) {
		ssize_t n = pwrite(fd, from, size, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		from += n;
		at += (size_t)n;
		size -= (size_t)n;
	}
	return true;
}

/* One byte more than a journal has, so that a longer file shows. A journal under
 * another session's name is not that session's. */
static enum runtime_status file_parse(int fd, const char *name,
				      const uint8_t id[static SESSION_ID_BYTES],
				      uint8_t buf[static JOURNAL_BYTES + 1],
				      struct journal *ret, bool *ret_torn,
				      struct runtime_error *e)
{
	ssize_t len = file_read(fd, buf, JOURNAL_BYTES + 1);
	enum runtime_status s;

	*ret_torn = false;
	if (len < 0)
		return failed(e, name, "cannot be read");
	s = journal_parse(buf, (size_t)len, ret, ret_torn, e);
	if ((s == RUNTIME_OK || *ret_torn) &&
	    memcmp(ret->begin.id, id, SESSION_ID_BYTES) != 0) {
		*ret_torn = false;
		return damaged(e, 0, "the journal is another session's");
	}
	return s;
}

enum runtime_status journal_read(int sessions_fd, const uint8_t id[static SESSION_ID_BYTES],
				 struct journal *ret, bool *ret_torn,
				 struct runtime_error *reterr)
{
	uint8_t buf[JOURNAL_BYTES + 1];
	AUTO(closep) int fd = -1;
	char name[48];
	enum runtime_status s;

	*ret_torn = false;
	file_name(id, name);
	s = file_open(sessions_fd, name, O_RDONLY, &fd, reterr);
	if (s != RUNTIME_OK)
		return s;
	/* Beside a living writer a read may see half an append: look again. */
	for (int tries = 0; tries < 3; tries++) {
		s = file_parse(fd, name, id, buf, ret, ret_torn, reterr);
		if (!*ret_torn)
			break;
	}
	return s;
}

enum runtime_status journal_discard(int sessions_fd, const uint8_t id[static SESSION_ID_BYTES],
				    struct runtime_error *reterr)
{
	uint8_t buf[JOURNAL_BYTES + 1];
	AUTO(closep) int fd = -1;
	char name[48];
	ssize_t len;
	enum runtime_status s;

	file_name(id, name);
	s = file_open(sessions_fd, name, O_RDWR, &fd, reterr);
	if (s == RUNTIME_OK)
		s = file_lock(fd, name, reterr);
	if (s != RUNTIME_OK)
		return s;
	len = file_read(fd, buf, sizeof(buf));
	if (len < 0)
		return failed(reterr, name, "cannot be read");
	if (len > (ssize_t)JOURNAL_BYTES || !all_zero(buf, (size_t)len))
		return runtime_fail(reterr, RUNTIME_REFUSED, name, NULL,
				    "it has records, and something may be held");
	if (unlinkat(sessions_fd, name, 0) != 0)
		return failed(reterr, name, "cannot be removed");
	return RUNTIME_OK;
}

/* ---- the writer ------------------------------------------------------------------ */

struct journal_writer {
	int fd;
	char name[48];
	enum session_state state;
	uint32_t used;    /* slots filled in the image */
	uint32_t durable; /* slots known to be on disk: [durable, used) wait for a retry */
	bool lost;        /* a record found no slot: this session cannot become CLEAN */
	uint32_t last[JOURNAL_SLOTS]; /* of an append's first slot: its last one */
	uint8_t image[JOURNAL_BYTES];
};

static uint8_t *slot_at(struct journal_writer *w, uint32_t slot)
{
	return w->image + (size_t)slot * JOURNAL_SLOT;
}

static int64_t now_ns(void)
{
	struct timespec t = { 0 };

	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Append by append, so that a crash can damage one at most. */
static enum runtime_status flush(struct journal_writer *w, struct runtime_error *e)
{
	while (w->durable < w->used) {
		uint32_t next = w->last[w->durable] + 1;
		size_t at = (size_t)w->durable * JOURNAL_SLOT;

		if (!file_write(w->fd, w->image + at,
				(next - w->durable) * (size_t)JOURNAL_SLOT, at) ||
		    fdatasync(w->fd) != 0)
			return failed(e, w->name, "cannot be written");
		w->durable = next;
	}
	return RUNTIME_OK;
}

/* The clean-up never waits: these states are entered whether or not the disk takes it. */
static bool never_waits(enum session_state s)
{
	return s >= SESSION_STOPPING && s != SESSION_CLEAN;
}

/* Makes the slots from w->used to `end` durable. On failure they stay in memory for a
 * later try with `keep`; without, they never were. */
static enum runtime_status append(struct journal_writer *w, uint32_t end, bool keep,
				  struct runtime_error *e)
{
	uint32_t first = w->used;
	enum runtime_status s;

	w->last[first] = end - 1;
	w->used = end;
	s = flush(w, e);
	if (s == RUNTIME_OK || keep)
		return s;
	w->used = first;
	memset(slot_at(w, first), 0, (end - first) * (size_t)JOURNAL_SLOT);
	/* Nothing else waits where keeping is not allowed: these slots are the file's end. */
	(void)file_write(w->fd, slot_at(w, first), (end - first) * (size_t)JOURNAL_SLOT,
			 (size_t)first * JOURNAL_SLOT);
	return s;
}

static enum runtime_status create_failed(int sessions_fd, struct journal_writer *w,
					 struct runtime_error *e)
{
	enum runtime_status s = failed(e, w->name, "the journal cannot be made");

	unlinkat(sessions_fd, w->name, 0); /* under the lock: it is this writer's file */
	journal_close(w);
	return s;
}

/* The name is durable when its folder is. */
static bool sync_folder(int sessions_fd)
{
	AUTO(closep) int fd = openat(sessions_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd >= 0 && fsync(fd) == 0;
}

enum runtime_status journal_create(int sessions_fd, const struct journal_begin *b,
				   struct journal_writer **ret, struct runtime_error *reterr)
{
	struct journal_writer *w = NULL;
	struct stat st;
	struct wr out;
	enum runtime_status s;

	if (!begin_clean(b))
		return runtime_fail(reterr, RUNTIME_MALFORMED, "journal", NULL,
				    "the session's first record is not sound");
	w = calloc(1, sizeof(*w));
	if (!w)
		return failed(reterr, "journal", "no memory");
	out = head_put(w->image, 0, (struct span){ 0, 0 }, JOURNAL_BEGIN);
	put_begin(&out, b);
	seal(w->image);
	w->used = w->durable = 1;
	file_name(b->id, w->name);

	w->fd = openat(sessions_fd, w->name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW,
		       0600);
	if (w->fd < 0) {
		s = failed(reterr, w->name, "the journal cannot be made");
		journal_close(w);
		return s;
	}
	/* A recovery that found the file empty may have locked or removed it just now. */
	s = file_lock(w->fd, w->name, reterr);
	if (s != RUNTIME_OK) {
		journal_close(w);
		return s;
	}
	/* Blocks first, then bytes in all of them: a file system that allocates late, or
	 * on the first write, has then done so for every record to come. */
	errno = posix_fallocate(w->fd, 0, JOURNAL_BYTES);
	if (errno != 0 || fstat(w->fd, &st) != 0 ||
	    !file_write(w->fd, w->image, sizeof(w->image), 0) || fsync(w->fd) != 0 ||
	    !sync_folder(sessions_fd))
		return create_failed(sessions_fd, w, reterr);
	if (st.st_nlink != 1) {
		errno = ENOENT;
		s = failed(reterr, w->name, "the journal was removed while it was made");
		journal_close(w);
		return s;
	}
	*ret = w;
	return RUNTIME_OK;
}

/* Takes over what the file holds; a torn end is cleared, durably, before anything else
 * is appended. */
static enum runtime_status take_over(struct journal_writer *w, const uint8_t *bytes,
				     const struct journal *j, bool torn,
				     struct runtime_error *e)
{
	size_t good = j->slots_used * JOURNAL_SLOT;

	memcpy(w->image, bytes, good);
	w->used = w->durable = (uint32_t)j->slots_used;
	w->state = journal_state(j);
	if (torn && (!file_write(w->fd, w->image + good, JOURNAL_BYTES - good, good) ||
		     fdatasync(w->fd) != 0))
		return failed(e, w->name, "cannot be mended");
	return RUNTIME_OK;
}

enum runtime_status journal_reopen(int sessions_fd, const uint8_t id[static SESSION_ID_BYTES],
				   struct journal_writer **ret, struct journal *ret_journal,
				   struct runtime_error *reterr)
{
	uint8_t buf[JOURNAL_BYTES + 1];
	struct journal_writer *w = calloc(1, sizeof(*w));
	struct journal j = { 0 };
	bool torn = false;
	enum runtime_status s;

	if (!w)
		return failed(reterr, "journal", "no memory");
	w->fd = -1;
	file_name(id, w->name);
	s = file_open(sessions_fd, w->name, O_RDWR, &w->fd, reterr);
	if (s == RUNTIME_OK)
		s = file_lock(w->fd, w->name, reterr);
	if (s == RUNTIME_OK)
		s = file_parse(w->fd, w->name, id, buf, &j, &torn, reterr);
	if (s == RUNTIME_OK || torn)
		s = take_over(w, buf, &j, torn, reterr);
	if (s != RUNTIME_OK) {
		journal_close(w);
		return s;
	}
	*ret_journal = j;
	*ret = w;
	return RUNTIME_OK;
}

/* What must be so before a transition may be tried at all. */
static enum runtime_status may_move(struct journal_writer *w, enum session_event ev,
				    enum session_state next, struct runtime_error *e)
{
	if (next == SESSION_NONE)
		return runtime_fail(e, RUNTIME_REFUSED, w->name, NULL,
				    "a session that is %s "
				    "cannot take the event %s",
				    session_state_str(w->state), session_event_str(ev));
	/* A new scrub starts only when its outcome, and a loss after it, can be written. */
	if (ev == EV_SCRUB && w->used + 3 > JOURNAL_SLOTS)
		return runtime_fail(e, RUNTIME_REFUSED, w->name, NULL,
				    "the journal has no room for another scrub");
	if (next == SESSION_CLEAN && (w->lost || flush(w, e) != RUNTIME_OK))
		return runtime_fail(
			e, RUNTIME_REFUSED, w->name, "free space or mend the disk",
			"records of this session are not on disk: it cannot be CLEAN");
	return RUNTIME_OK;
}

enum runtime_status journal_move(struct journal_writer *w, enum session_event ev,
				 const char *why, struct runtime_error *reterr)
{
	enum session_state next = session_next(w->state, ev);
	struct journal_state record = { .state = next, .event = ev, .at = now_ns() };
	enum runtime_status s = may_move(w, ev, next, reterr);
	struct wr out;

	if (s != RUNTIME_OK)
		return s;
	if (w->used == JOURNAL_SLOTS) {
		w->lost = true;
		s = runtime_fail(reterr, RUNTIME_SYSTEM, w->name, NULL, "the journal is full");
	} else {
		text_escape(record.why, sizeof(record.why), why ? why : "");
		out = head_put(slot_at(w, w->used), w->used, (struct span){ w->used, w->used },
			       JOURNAL_STATE);
		put_state(&out, &record);
		seal(slot_at(w, w->used));
		s = append(w, w->used + 1, never_waits(next), reterr);
	}
	if (s == RUNTIME_OK || never_waits(next))
		w->state = next;
	return s;
}

enum runtime_status journal_note_all(struct journal_writer *w, const struct journal_fact *facts,
				     size_t n, struct runtime_error *reterr)
{
	struct span a = { .first = w->used };

	for (size_t i = 0; i < n; i++)
		if (!fact_clean(&facts[i]))
			return runtime_fail(reterr, RUNTIME_MALFORMED, w->name, NULL,
					    "fact %zu is not a clean key and value", i);
	if (n == 0)
		return RUNTIME_OK;
	if (w->used > FACT_SLOTS || n > FACT_SLOTS - w->used)
		return runtime_fail(reterr, RUNTIME_SYSTEM, w->name, NULL,
				    "the journal has no room for another fact");
	a.last = a.first + (uint32_t)n - 1;
	for (uint32_t i = a.first; i <= a.last; i++) {
		struct wr out = head_put(slot_at(w, i), i, a, JOURNAL_FACT);

		put_fact(&out, &facts[i - a.first]);
		seal(slot_at(w, i));
	}
	return append(w, a.last + 1, never_waits(w->state), reterr);
}

enum runtime_status journal_note(struct journal_writer *w, const char *key, const char *value,
				 struct runtime_error *reterr)
{
	struct journal_fact f = { 0 };

	if (strlen(key) >= sizeof(f.key) || strlen(value) >= sizeof(f.value))
		return runtime_fail(reterr, RUNTIME_MALFORMED, key, NULL,
				    "the fact is too long for a record");
	memcpy(f.key, key, strlen(key));
	memcpy(f.value, value, strlen(value));
	return journal_note_all(w, &f, 1, reterr);
}

enum session_state journal_writer_state(const struct journal_writer *w)
{
	return w->state;
}

size_t journal_room(const struct journal_writer *w)
{
	return w->used < FACT_SLOTS ? FACT_SLOTS - w->used : 0;
}

void journal_close(struct journal_writer *w)
{
	if (!w)
		return;
	closep(&w->fd);
	free(w);
}
