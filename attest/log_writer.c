/*
 * attest/log_writer.c - orders of writes, and the rules of a start.
 *
 * A commit: the group's frames in one write, one fdatasync of the journal's segment. A
 * publish of size n, where the checkpoint that readers have is of size s:
 *
 *   1. of the partial tiles only those of s stay. Those of the checkpoint before s were
 *      left for readers that had just fetched that one when s was published
 *   2. tiles and bundles between s and n: temp, write, fsync, rename, fsync the folder; the
 *      name of each folder on the way is durable before anything is put into it. (Full ones
 *      may have been written ahead)
 *   3. .state/signed says n and its root, and s and its root, the same way
 *   4. the signature is made, and `checkpoint` is replaced the same way
 *   5. segments of the journal go whose entries are all in full bundles
 *
 * So whoever holds a signature can rely on it that all of its entries and tiles are durable
 * and that this log will never sign another root of that size: what was signed, or may have
 * been, is in .state/signed, and a start goes on from nothing else.
 *
 * A start, under the lock: the root at the signed size is computed anew, from the tiles
 * above the last full bundle and from the journal; it must be the one that was signed. What
 * the journal has beyond it was acknowledged, or was about to be. A checkpoint older than
 * .state/signed is replaced (a crash between 3 and 4); a newer one, or another one of the
 * same size, says that .state was put back.
 */
#include "attest/log_writer.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "attest/log_io.h"
#include "attest/log_journal.h"
#include "attest/log_tiles.h"

#define CHECKPOINT "checkpoint"
#define STATE ".state"
#define SIGNED "signed"
#define RESERVE "reserve"
#define TEXT_MAX (NOTE_NAME + 80) /* of a checkpoint's text */
#define KEEP "keep the folder as it is for whoever looks into it, and start a new log elsewhere"

/* Entries as a bundle has them: uint16 length, big-endian, and the bytes. */
struct pending {
	uint8_t *bytes;
	size_t start, len, size; /* first byte, end of what is committed, room */
	size_t appended;         /* end of what waits for a commit */
};

struct log_writer {
	struct log_disk disk;
	int lock;
	const struct note_signer *signer; /* borrowed */
	struct log_journal journal;
	struct log_tiles tiles;
	struct log_tree tree, work; /* up to the last full bundle that was written; scratch */
	struct pending pending;     /* entries above `tree` */
	uint64_t size;              /* committed */
	struct checkpoint last, shown, before; /* signed; what readers have, and had before */
	uint8_t group[LOG_GROUP_BYTES];        /* frames that wait for a commit */
	size_t group_len, group_n;
	bool reserve; /* is there; without it only last words are taken */
};

static enum attest_status no_memory(struct attest_error *e)
{
	return attest_fail(e, ATTEST_SYSTEM, "log", NULL, "no memory");
}

static enum attest_status spoilt(struct attest_error *e)
{
	return attest_fail(e, ATTEST_SYSTEM, "log",
			   "mend the disk, then start again: a start reads what it holds",
			   "a flush failed before; nothing more is written");
}

__attribute__((format(printf, 3, 4))) static enum attest_status
tampered(struct attest_error *e, const char *where, const char *what, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, what);
	vsnprintf(text, sizeof(text), what, ap);
	va_end(ap);
	return attest_fail(e, ATTEST_REFUSED, where, KEEP, "tampered: %s", text);
}

/* ---- pending entries ----------------------------------------------------------------- */

/* Room for `more` bytes behind what is there; what was published goes when it is half. */
static bool pending_room(struct pending *p, size_t more)
{
	size_t size = p->size ? p->size : 64 * 1024;
	uint8_t *bytes;

	if (p->start > p->size / 2) {
		memmove(p->bytes, p->bytes + p->start, p->appended - p->start);
		p->appended -= p->start;
		p->len -= p->start;
		p->start = 0;
	}
	if (p->bytes && p->size - p->appended >= more)
		return true;
	while (size - p->appended < more)
		size *= 2;
	bytes = realloc(p->bytes, size);
	if (!bytes)
		return false;
	p->bytes = bytes;
	p->size = size;
	return true;
}

static bool pending_add(struct pending *p, const void *entry, size_t len)
{
	if (!pending_room(p, len + 2))
		return false;
	p->bytes[p->appended] = (uint8_t)(len >> 8);
	p->bytes[p->appended + 1] = (uint8_t)len;
	memcpy(p->bytes + p->appended + 2, entry, len);
	p->appended += len + 2;
	return true;
}

/* Adds the next n pending entries to the tree; their bytes as a bundle. */
static size_t pending_hash(const struct pending *p, struct log_tree *tree, uint64_t n)
{
	const uint8_t *begin = p->bytes + p->start, *at = begin;

	for (; n > 0; n--) {
		size_t len = (size_t)at[0] << 8 | at[1];

		log_tree_add(tree, at + 2, len);
		at += 2 + len;
	}
	return (size_t)(at - begin);
}

/* ---- what was signed, and what readers have ------------------------------------------- */

/* Two checkpoints' texts: what may have been signed, and what was shown before it. */
static enum attest_status signed_write(struct log_writer *w, const struct checkpoint *next,
				       struct attest_error *e)
{
	char text[2 * TEXT_MAX];
	size_t len;

	checkpoint_print(next, text);
	len = strlen(text);
	checkpoint_print(&w->shown, text + len);
	return log_disk_replace(&w->disk, w->disk.state, SIGNED, text, strlen(text),
				STATE "/" SIGNED, e);
}

static bool signed_parse(const struct log_writer *w, const char *text, size_t len,
			 struct checkpoint *last, struct checkpoint *before)
{
	const char *origin = note_signer_verifier(w->signer)->name;
	size_t first = 0;

	for (unsigned lines = 0; lines < 3 && first < len; first++)
		lines += text[first] == '\n';
	return checkpoint_parse(text, first, last, NULL) == ATTEST_OK &&
	       checkpoint_parse(text + first, len - first, before, NULL) == ATTEST_OK &&
	       before->size <= last->size && strcmp(last->origin, origin) == 0 &&
	       strcmp(before->origin, origin) == 0;
}

/* *ret_there: there is one. */
static enum attest_status signed_read(struct log_writer *w, bool *ret_there,
				      struct attest_error *e)
{
	char text[2 * TEXT_MAX];
	ssize_t len = -1;
	enum attest_status s =
		log_disk_read(w->disk.state, SIGNED, text, sizeof(text), &len, e);

	if (s != ATTEST_OK)
		return s;
	*ret_there = len >= 0;
	if (len >= 0 && !signed_parse(w, text, (size_t)len, &w->last, &w->before))
		return tampered(e, STATE "/" SIGNED,
				"not what this log wrote, or another key's");
	return ATTEST_OK;
}

/* Signs what .state/signed has, and shows it. */
static enum attest_status show(struct log_writer *w, struct attest_error *e)
{
	char text[TEXT_MAX], *note = NULL;
	enum attest_status s;

	checkpoint_print(&w->last, text);
	s = note_sign(w->signer, text, &note, e);
	if (s != ATTEST_OK)
		return s;
	s = log_disk_replace(&w->disk, w->disk.top, CHECKPOINT, note, strlen(note), CHECKPOINT,
			     e);
	free(note);
	if (s != ATTEST_OK)
		return s;
	w->before = w->shown;
	w->shown = w->last;
	return ATTEST_OK;
}

/* ---- the reserve --------------------------------------------------------------------- */

/* Not flushed: one that a crash loses is made again. */
static bool reserve_make(struct log_writer *w)
{
	int fd = log_io_open(w->disk.state, RESERVE, O_RDWR | O_CREAT);

	if (fd < 0)
		return false;
	w->reserve = log_io_allocate(fd, LOG_RESERVE) == 0;
	if (!w->reserve) {
		int saved = errno;

		(void)log_io_unlink(w->disk.state, RESERVE, 0);
		errno = saved;
	}
	close(fd);
	return w->reserve;
}

/* ---- append, commit -------------------------------------------------------------------- */

uint64_t log_next(const struct log_writer *w)
{
	return w->size + w->group_n;
}

enum attest_status log_append(struct log_writer *w, const void *entry, size_t len,
			      uint64_t *ret_index, struct attest_error *reterr)
{
	struct wr out = { .at = w->group + w->group_len,
			  .left = sizeof(w->group) - w->group_len };

	if (w->disk.spoilt)
		return spoilt(reterr);
	if (len == 0 || len > LOG_ENTRY_MAX)
		return attest_fail(reterr, ATTEST_REFUSED, "log", NULL,
				   "an entry has 1 to %u bytes, this one %zu", LOG_ENTRY_MAX,
				   len);
	if (w->group_n == LOG_GROUP || len + LOG_FRAME_HEAD > out.left)
		return attest_fail(reterr, ATTEST_REFUSED, "log", "commit first",
				   "the group is full");
	if (!pending_add(&w->pending, entry, len))
		return no_memory(reterr);
	log_frame_write(&out, log_next(w), entry, len);
	assert(!out.bad);
	*ret_index = log_next(w);
	w->group_len = sizeof(w->group) - out.left;
	w->group_n++;
	return ATTEST_OK;
}

static void drop_group(struct log_writer *w)
{
	w->pending.appended = w->pending.len;
	w->group_len = w->group_n = 0;
}

static enum attest_status commit(struct log_writer *w, struct attest_error *e)
{
	enum attest_status s =
		log_journal_commit(&w->journal, w->size, w->group, w->group_len, e);

	if (s == ATTEST_OK) {
		w->size += w->group_n;
		w->pending.len = w->pending.appended;
	}
	drop_group(w);
	return s;
}

enum attest_status log_commit(struct log_writer *w, struct attest_error *reterr)
{
	if (w->disk.spoilt)
		return spoilt(reterr);
	if (w->group_n == 0)
		return ATTEST_OK;
	if (!w->reserve && !reserve_make(w)) {
		drop_group(w);
		return log_disk_failed(STATE "/" RESERVE, "no room can be kept", reterr);
	}
	return commit(w, reterr);
}

enum attest_status log_last_words(struct log_writer *w, const void *entry, size_t len,
				  uint64_t *ret_index, struct attest_error *reterr)
{
	uint64_t index = 0;
	enum attest_status s;

	if (!w->disk.spoilt && w->group_n > 0)
		return attest_fail(reterr, ATTEST_REFUSED, "log", "commit first",
				   "other entries wait");
	s = log_append(w, entry, len, &index, reterr);
	if (s != ATTEST_OK)
		return s;
	if (w->reserve)
		(void)log_io_unlink(w->disk.state, RESERVE, 0);
	w->reserve = false;
	s = commit(w, reterr);
	if (s == ATTEST_OK)
		*ret_index = index;
	return s;
}

/* ---- publish --------------------------------------------------------------------------- */

static uint64_t above_tree(const struct log_writer *w)
{
	return w->size - w->tree.frontier.size;
}

/* One full bundle, and the tiles that it fills: what is written stays written. */
static enum attest_status put_full(struct log_writer *w, struct attest_error *e)
{
	enum attest_status s;
	size_t len;

	w->work = w->tree;
	len = pending_hash(&w->pending, &w->work, TLOG_TILE_WIDTH);
	s = log_tiles_full(&w->tiles, &w->work, w->pending.bytes + w->pending.start, len, e);
	if (s != ATTEST_OK)
		return s;
	w->tree = w->work;
	w->pending.start += len;
	return ATTEST_OK;
}

/* What is left; w->work is the whole tree afterwards. */
static enum attest_status put_partial(struct log_writer *w, struct attest_error *e)
{
	size_t len;

	w->work = w->tree;
	len = pending_hash(&w->pending, &w->work, above_tree(w));
	return log_tiles_partial(&w->tiles, w->shown.size, &w->work,
				 w->pending.bytes + w->pending.start, len, e);
}

static uint64_t full_bundles(uint64_t size)
{
	return size / TLOG_TILE_WIDTH * TLOG_TILE_WIDTH;
}

enum attest_status log_publish_ahead(struct log_writer *w, bool *ret_more,
				     struct attest_error *reterr)
{
	enum attest_status s = ATTEST_OK;

	if (w->disk.spoilt)
		return spoilt(reterr);
	if (above_tree(w) >= TLOG_TILE_WIDTH)
		s = put_full(w, reterr);
	*ret_more = above_tree(w) >= TLOG_TILE_WIDTH;
	return s;
}

enum attest_status log_publish(struct log_writer *w, struct attest_error *reterr)
{
	struct checkpoint next = w->last; /* the origin */
	enum attest_status s = ATTEST_OK;

	if (w->disk.spoilt)
		return spoilt(reterr);
	if (w->shown.size == w->size)
		return ATTEST_OK;
	log_tiles_sweep(&w->tiles, w->before.size, w->size, w->shown.size);
	while (s == ATTEST_OK && above_tree(w) >= TLOG_TILE_WIDTH)
		s = put_full(w, reterr);
	if (s == ATTEST_OK)
		s = put_partial(w, reterr);
	if (s != ATTEST_OK)
		return s;
	next.size = w->size;
	tlog_frontier_root(&w->work.frontier, &next.root);
	s = signed_write(w, &next, reterr);
	if (s != ATTEST_OK)
		return s;
	w->last = next;
	s = show(w, reterr);
	if (s == ATTEST_OK)
		log_journal_trim(&w->journal, full_bundles(w->size));
	return s;
}

/* ---- a start ----------------------------------------------------------------------------- */

static enum attest_status state_lock(struct log_writer *w, struct attest_error *e)
{
	w->lock = log_io_open(w->disk.state, "lock", O_RDWR | O_CREAT);
	if (w->lock >= 0 && flock(w->lock, LOCK_EX | LOCK_NB) == 0)
		return ATTEST_OK;
	if (w->lock >= 0 && errno == EWOULDBLOCK)
		return attest_fail(e, ATTEST_SYSTEM, STATE "/lock", NULL,
				   "another process writes this log");
	return log_disk_failed(STATE "/lock", "cannot be locked", e);
}

/* Without .state/signed there is no log yet: then nothing that one has may be there. */
static enum attest_status must_be_new(const struct log_writer *w, struct attest_error *e)
{
	static const char *const names[] = { CHECKPOINT, "tile" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (faccessat(w->disk.top, names[i], F_OK, AT_SYMLINK_NOFOLLOW) == 0)
			return tampered(e, names[i], "there is one, and no " STATE "/" SIGNED);
		if (errno != ENOENT)
			return log_disk_failed(names[i], "cannot be looked for", e);
	}
	return ATTEST_OK;
}

static enum attest_status state_folder(struct log_writer *w, struct attest_error *e)
{
	enum attest_status s = ATTEST_OK;

	w->disk.state = log_io_open(w->disk.top, STATE, O_RDONLY | O_DIRECTORY);
	if (w->disk.state < 0 && errno == ENOENT) {
		s = must_be_new(w, e);
		if (s == ATTEST_OK && log_io_mkdir(w->disk.top, STATE) != 0)
			return log_disk_failed(STATE, "cannot be made", e);
		w->disk.state = log_io_open(w->disk.top, STATE, O_RDONLY | O_DIRECTORY);
	}
	if (s == ATTEST_OK && w->disk.state < 0)
		s = log_disk_failed(STATE, "cannot be opened", e);
	return s;
}

/* What a predecessor named and did not flush is durable before anybody relies on it. */
static enum attest_status open_folders(struct log_writer *w, int dirfd, struct attest_error *e)
{
	enum attest_status s;

	w->disk.top = log_io_open(dirfd, ".", O_RDONLY | O_DIRECTORY);
	if (w->disk.top < 0)
		return log_disk_failed("log", "the folder cannot be opened", e);
	s = state_folder(w, e);
	if (s == ATTEST_OK)
		s = state_lock(w, e);
	if (s == ATTEST_OK)
		s = log_disk_sync(&w->disk, w->disk.top, "log", e);
	if (s == ATTEST_OK)
		s = log_disk_sync(&w->disk, w->disk.state, STATE, e);
	return s;
}

static enum attest_status no_entry(void *arg, uint64_t seq, const struct log_frame *f,
				   struct attest_error *e)
{
	(void)arg;
	(void)f;
	return tampered(e, STATE, "the journal has entry %" PRIu64 ", and no " STATE "/" SIGNED,
			seq);
}

/* A log of size 0, signed and shown: so every folder with entries has a .state/signed. */
static enum attest_status make_log(struct log_writer *w, struct log_start *start,
				   struct attest_error *e)
{
	enum attest_status s = must_be_new(w, e);

	if (s == ATTEST_OK)
		s = log_journal_read(&w->journal, 0, no_entry, NULL, &start->size,
				     &start->cut_bytes, e);
	if (s != ATTEST_OK)
		return s;
	log_disk_drop_temp(&w->disk);
	snprintf(w->last.origin, sizeof(w->last.origin), "%s",
		 note_signer_verifier(w->signer)->name);
	tlog_empty(&w->last.root);
	w->shown = w->last;
	s = signed_write(w, &w->last, e);
	if (s == ATTEST_OK)
		s = show(w, e);
	start->fresh = true;
	return s;
}

/* At the size that was signed the tree must be the one that was signed. */
static enum attest_status check_root(const struct log_writer *w, struct attest_error *e)
{
	struct tlog_hash root;

	if (w->work.frontier.size != w->last.size)
		return ATTEST_OK;
	tlog_frontier_root(&w->work.frontier, &root);
	if (!tlog_hash_equal(&root, &w->last.root))
		return tampered(e, "log",
				"the %" PRIu64 " entries are not those that were signed",
				w->last.size);
	return ATTEST_OK;
}

/* An entry above the last full bundle that was signed. */
static enum attest_status take(void *arg, uint64_t seq, const struct log_frame *f,
			       struct attest_error *e)
{
	struct log_writer *w = arg;

	if (!pending_add(&w->pending, f->entry, f->len))
		return no_memory(e);
	w->pending.len = w->pending.appended;
	if (seq >= w->last.size)
		return ATTEST_OK;
	log_tree_add(&w->work, f->entry, f->len);
	return check_root(w, e);
}

static enum attest_status read_entries(struct log_writer *w, struct log_start *start,
				       struct attest_error *e)
{
	uint64_t floor = full_bundles(w->last.size);
	enum attest_status s = log_tiles_load(&w->tiles, floor, &w->tree, e);

	if (s != ATTEST_OK)
		return s;
	w->work = w->tree;
	s = check_root(w, e);
	if (s == ATTEST_OK)
		s = log_journal_read(&w->journal, floor, take, w, &w->size, &start->cut_bytes,
				     e);
	if (s == ATTEST_OK && w->size < w->last.size)
		return tampered(e, STATE,
				"entry %" PRIu64 " was signed, and its frame in the journal is "
				"damaged or gone",
				w->size);
	start->size = w->size;
	return s;
}

/* *ret_there: there is a checkpoint, and it is this log's. */
static enum attest_status checkpoint_read(struct log_writer *w, bool *ret_there,
					  struct attest_error *e)
{
	const struct note_verifier *known = note_signer_verifier(w->signer);
	char *bytes = malloc(NOTE_MAX);
	ssize_t len = -1;
	enum attest_status s;
	struct note note;

	if (!bytes)
		return no_memory(e);
	s = log_disk_read(w->disk.top, CHECKPOINT, bytes, NOTE_MAX, &len, e);
	*ret_there = len >= 0;
	if (s == ATTEST_OK && len >= 0) {
		s = checkpoint_open(bytes, (size_t)len, known, 1, &w->shown, &note, e);
		if (s == ATTEST_MALFORMED || s == ATTEST_REFUSED)
			s = tampered(e, CHECKPOINT, "not one that this log's key signed");
	}
	free(bytes);
	return s;
}

static bool same_root(const struct checkpoint *a, const struct checkpoint *b)
{
	return tlog_hash_equal(&a->root, &b->root);
}

/* What readers have must be what was signed last, or be replaced by it. */
static enum attest_status check_checkpoint(struct log_writer *w, struct log_start *start,
					   struct attest_error *e)
{
	const struct checkpoint *c = &w->shown, *last = &w->last, *before = &w->before;
	bool there = false;
	enum attest_status s = checkpoint_read(w, &there, e);

	if (s != ATTEST_OK)
		return s;
	if (there && c->size > last->size)
		return tampered(e, CHECKPOINT,
				"its size %" PRIu64 " is above the %" PRIu64
				" that was signed last: " STATE " was put back",
				c->size, last->size);
	if (there && ((c->size == last->size && !same_root(c, last)) ||
		      (c->size == before->size && !same_root(c, before))))
		return tampered(e, CHECKPOINT,
				"another root of size %" PRIu64 " was signed by this key",
				c->size);
	if (there && c->size == last->size)
		return ATTEST_OK;
	start->put_back = last->size > 0 && (!there || c->size != before->size);
	w->shown = *before;
	return show(w, e);
}

static enum attest_status recover(struct log_writer *w, struct log_start *start,
				  struct attest_error *e)
{
	enum attest_status s = read_entries(w, start, e);

	if (s != ATTEST_OK)
		return s;
	log_disk_drop_temp(&w->disk);
	return check_checkpoint(w, start, e);
}

static enum attest_status start(struct log_writer *w, int dirfd, struct log_start *found,
				struct attest_error *e)
{
	enum attest_status s = open_folders(w, dirfd, e);
	bool there = false;

	if (s == ATTEST_OK)
		s = signed_read(w, &there, e);
	if (s == ATTEST_OK)
		s = there ? recover(w, found, e) : make_log(w, found, e);
	if (s != ATTEST_OK)
		return s;
	log_journal_trim(&w->journal, full_bundles(w->shown.size));
	(void)reserve_make(w); /* else the first commit tries again, and says so */
	return ATTEST_OK;
}

static void dispose(struct log_writer *w)
{
	const int fds[] = { w->disk.top, w->disk.state, w->lock };

	log_journal_close(&w->journal);
	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	free(w->pending.bytes);
	free(w);
}

enum attest_status log_open(int dirfd, const struct note_signer *signer,
			    struct log_writer **ret, struct log_start *ret_start,
			    struct attest_error *reterr)
{
	struct log_writer *w = calloc(1, sizeof(*w));
	struct log_start found = { 0 };
	enum attest_status s;

	if (!w)
		return no_memory(reterr);
	w->signer = signer;
	w->disk.top = w->disk.state = w->lock = -1;
	w->tiles.disk = &w->disk;
	log_journal_init(&w->journal, &w->disk);
	s = start(w, dirfd, &found, reterr);
	if (s != ATTEST_OK) {
		dispose(w);
		return s;
	}
	*ret_start = found;
	*ret = w;
	return ATTEST_OK;
}

enum attest_status log_close(struct log_writer *w, struct attest_error *reterr)
{
	enum attest_status s;

	if (!w)
		return ATTEST_OK;
	s = w->disk.spoilt ? spoilt(reterr) : log_publish(w, reterr);
	dispose(w);
	return s;
}

uint64_t log_size(const struct log_writer *w)
{
	return w->size;
}

uint64_t log_published(const struct log_writer *w)
{
	return w->shown.size;
}

bool log_failed(const struct log_writer *w)
{
	return w->disk.spoilt;
}

struct log_flushes log_flushes(const struct log_writer *w)
{
	return w->disk.flushes;
}
