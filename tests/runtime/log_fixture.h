/*
 * tests/runtime/log_fixture.h - a whole clerk below the fixture's root, and what it leaves
 * there: receipts and a log, read as a stranger reads them.
 */
#pragma once

#include "tests/runtime/fixture.h"

#include <jansson.h>

#include "attest/base64.h"
#include "attest/log_reader.h"
#include "attest/receipt.h"
#include "runtime/files.h"

/* ---- the clerk ------------------------------------------------------------------- */

#define NO_IDLE 3600u

/* Serves until it is told to end. It listens when this returns. */
static inline void start_real_clerk(struct fixture *f)
{
	int ready[2];
	char byte;

	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	f->clerk = fork();
	if (f->clerk == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		umask(077);
		close(ready[0]);
		_exit(clerk_serve(f->paths.run_fd, f->paths.sessions_fd, ready[1], NO_IDLE,
				  NULL));
	}
	assert_true(f->clerk > 0);
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
}

/* As an idle one ends: all is published before. */
static inline void end_real_clerk(struct fixture *f)
{
	int status;

	assert_int_equal(kill(f->clerk, SIGTERM), 0);
	assert_int_equal(waitpid(f->clerk, &status, 0), f->clerk);
	assert_int_equal(status, 0);
	f->clerk = 0;
}

static inline int ask_clerk(struct fixture *f)
{
	int sock = -1;

	assert_int_equal(clerk_connect(&f->paths, NULL, &sock, NULL), RUNTIME_OK);
	return sock;
}

static inline enum runtime_status record(struct fixture *f,
					 const uint8_t id[static SESSION_ID_BYTES],
					 enum wire_record what, int64_t *ret_index,
					 struct runtime_error *e)
{
	int sock = ask_clerk(f);
	enum runtime_status s = clerk_record(sock, id, what, ret_index, e);

	close(sock);
	return s;
}

/* ---- files of the state folder --------------------------------------------------- */

/* A file below it, with a zero behind; the caller's to free. NULL: it is not there. */
static inline char *state_file(struct fixture *f, const char *name, size_t *ret_len)
{
	const size_t size = 1 << 16;
	char path[256], *text = malloc(size);
	ssize_t n;

	snprintf(path, sizeof(path), "%s/%s", f->root, name);
	n = file_read_text(AT_FDCWD, path, text, size);
	if (n < 0) {
		free(text);
		return NULL;
	}
	if (ret_len)
		*ret_len = (size_t)n;
	return text;
}

/* The raw key in receipt.pub: the last 32 bytes of what the PEM says. */
static inline void receipt_key(struct fixture *f, uint8_t ret[static 32])
{
	char *pem = state_file(f, "receipt.pub", NULL), *line = pem ? strchr(pem, '\n') : NULL;
	uint8_t der[44];
	size_t n;

	assert_non_null(line);
	assert_true(base64_decode(line + 1, strcspn(line + 1, "\n"), der, sizeof(der), &n));
	assert_int_equal(n, sizeof(der));
	memcpy(ret, der + 12, 32);
	free(pem);
}

/* STATE/sessions/ID.receipt; NULL: there is none. */
static inline char *receipt_text(struct fixture *f, const uint8_t id[static SESSION_ID_BYTES],
				 size_t *ret_len)
{
	char name[64], hex[SESSION_ID_HEX];

	session_id_hex(id, hex);
	snprintf(name, sizeof(name), "sessions/%s.receipt", hex);
	return state_file(f, name, ret_len);
}

/* The receipt, judged by the host's key. */
static inline struct receipt receipt_of(struct fixture *f,
					const uint8_t id[static SESSION_ID_BYTES])
{
	struct attest_error e = { .what = "" };
	struct receipt r = { .n_lines = 0 };
	uint8_t key[32];
	size_t len = 0;
	char *text = receipt_text(f, id, &len);

	assert_non_null(text);
	receipt_key(f, key);
	if (receipt_verify(text, len, key, &r, &e) != ATTEST_OK)
		fail_msg("%s: %s", e.where, e.what);
	free(text);
	return r;
}

static inline const struct receipt_line *line_of(const struct receipt *r, const char *place)
{
	for (size_t i = 0; i < r->n_lines; i++)
		if (strcmp(r->lines[i].place, place) == 0)
			return &r->lines[i];
	fail_msg("no line of %s", place);
	return NULL;
}

/* ---- the log --------------------------------------------------------------------- */

#define LOG_SEEN 128u

/* Its entries, each as JSON. */
struct log_seen {
	json_t *entries[LOG_SEEN];
	size_t n;
};

static inline enum attest_status see_entry(void *arg, uint64_t index, const uint8_t *bytes,
					   size_t len, struct attest_error *e)
{
	struct log_seen *seen = arg;

	(void)e;
	assert_int_equal(index, seen->n);
	assert_true(seen->n < LOG_SEEN);
	seen->entries[seen->n] = json_loadb((const char *)bytes, len, 0, NULL);
	assert_non_null(seen->entries[seen->n]);
	seen->n++;
	return ATTEST_OK;
}

static inline void forget_log(struct log_seen *seen)
{
	while (seen->n > 0)
		json_decref(seen->entries[--seen->n]);
}

/* What the checkpoint covers; the log is judged on the way. */
static inline void see_log(struct fixture *f, struct log_seen *ret)
{
	char path[128], *note, *vkey = state_file(f, "log.vkey", NULL);
	struct attest_error e = { .what = "" };
	struct checkpoint now;
	struct note_verifier key;
	struct log_judged judged;
	struct log_judge rules = { .now = &now, .entry = see_entry, .arg = ret };
	struct note marks;
	size_t len;
	int dir;

	memset(ret, 0, sizeof(*ret));
	snprintf(path, sizeof(path), "%s/log", f->root);
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(dir >= 0 && vkey);
	assert_int_equal(note_verifier_parse(vkey, &key, &e), ATTEST_OK);
	assert_int_equal(log_checkpoint_read(dir, &note, &len, &e), ATTEST_OK);
	assert_int_equal(checkpoint_open(note, len, &key, 1, &now, &marks, &e), ATTEST_OK);
	if (log_judge(dir, &rules, &judged, &e) != ATTEST_OK)
		fail_msg("%s: %s", e.where, e.what);
	free(note);
	free(vkey);
	close(dir);
}

static inline const char *entry_text(const struct log_seen *seen, size_t i, const char *name)
{
	const char *text;

	assert_true(i < seen->n);
	text = json_string_value(json_object_get(seen->entries[i], name));
	return text ? text : "";
}
