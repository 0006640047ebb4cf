/*
 * tests/runtime/crash_log.h - what the audit log, the receipts and the host's mark must say
 * after a crash, by the programs with which anybody checks them, against what the journals
 * say:
 *
 *  - the log is whole, and extends what was seen of it before;
 *  - nothing of a tenant's ran without an entry from before;
 *  - CLEAN is in the log as a receipt that verifies and meets the policy's minima;
 *  - what was given back unwiped is marked on the host.
 */
#pragma once

#include "policy/policy.h"
#include "tests/runtime/crash.h"

#define MARK "it-ran" /* what a workload that can prints first */

/* ---- the log --------------------------------------------------------------------- */

/* A clerk that finds nothing to hold ends at once, and signs what is in the log. */
static inline void log_publish(struct world *w)
{
	char *argv[] = { (char[]){ "cordon-clerk" },
			 (char[]){ "--root" },
			 w->root,
			 (char[]){ "--foreground" },
			 (char[]){ "--idle" },
			 (char[]){ "0" },
			 NULL };

	must(w, finish(w, start(w, NULL, "out", argv), 10000, "an idle clerk") == 0,
	     "a clerk with nothing to hold did not end well");
}

static inline void copy_file(struct world *w, const char *from, const char *to)
{
	char bytes[8192];
	int in = open(from, O_RDONLY | O_CLOEXEC);
	int out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	ssize_t n = in < 0 ? -1 : read(in, bytes, sizeof(bytes));

	must(w, n > 0 && out >= 0 && write(out, bytes, (size_t)n) == n, "cannot copy %s", from);
	close(in);
	close(out);
}

/* Every entry and signature, and that it extends what was seen of it the last time. */
static inline void log_is_whole(struct world *w)
{
	char now[128], old[128], answer[8192];
	char *argv[] = { (char[]){ "cordon-audit" },
			 (char[]){ "verify" },
			 (char[]){ "--json" },
			 (char[]){ "--root" },
			 w->root,
			 (char[]){ "--old-checkpoint" },
			 old,
			 NULL };
	json_t *whole;
	int64_t size;
	int got;

	snprintf(now, sizeof(now), "%s/log/checkpoint", w->root);
	snprintf(old, sizeof(old), "%s/checkpoint", w->dir);
	if (w->log_size == 0) /* the first look */
		argv[5] = NULL;
	got = ask(w, answer, sizeof(answer), argv);
	must(w, got == 0, "cordon-audit verify: exit %d, %s", got, answer);
	whole = json_loads(answer, 0, NULL);
	size = json_integer_value(json_object_get(whole, "size"));
	json_decref(whole);
	must(w, size >= w->log_size, "the log had %lld entries and has %lld",
	     (long long)w->log_size, (long long)size);
	w->log_size = size;
	copy_file(w, now, old);
}

/* ---- one session in it ------------------------------------------------------------- */

struct told {
	unsigned starts, ends, wipes;
	int64_t started; /* the first of them, CLOCK_REALTIME in us */
	json_t *receipt; /* the last one */
};

static inline int64_t time_of(struct world *w, const char *text)
{
	struct tm t = { 0 };
	const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &t);

	must(w, rest && *rest == '.', "%s is no entry's time", text);
	return (int64_t)timegm(&t) * 1000000 + atoi(rest + 1);
}

static inline void hear(struct world *w, const json_t *entry, struct told *t)
{
	const char *kind = json_string_value(json_object_get(entry, "kind"));

	must(w, kind, "an entry without a kind");
	if (strcmp(kind, "session.start") == 0) {
		must(w, t->ends == 0, "it was entered as started when it had ended");
		if (t->starts++ == 0)
			t->started = time_of(w, json_string_value(json_object_get(entry, "t")));
	} else if (strcmp(kind, "session.end") == 0) {
		t->ends++;
	} else {
		must(w, strcmp(kind, "wipe") == 0, "what is a session's %s?", kind);
		must(w, ++t->wipes == t->ends, "a receipt without an end");
		json_decref(t->receipt);
		t->receipt = json_incref(json_object_get(entry, "data"));
	}
}

static inline void log_tells(struct world *w, struct told *ret)
{
	char *argv[] = { (char[]){ "cordon-audit" },
			 (char[]){ "show" },
			 (char[]){ "--json" },
			 (char[]){ "--root" },
			 w->root,
			 (char[]){ "--session" },
			 w->hex,
			 NULL };
	static char answer[1 << 17];
	int got = ask(w, answer, sizeof(answer), argv);
	json_t *whole = json_loads(answer, 0, NULL), *one;
	size_t i;

	memset(ret, 0, sizeof(*ret));
	must(w, got == 0 && whole, "cordon-audit show: exit %d, %s", got, answer);
	json_array_foreach(json_object_get(whole, "entries"), i, one)
		hear(w, json_object_get(one, "entry"), ret);
	must(w, ret->ends == ret->wipes, "an end without a receipt");
	json_decref(whole);
}

/* ---- against its journal ----------------------------------------------------------- */

/* When it came into that state first, us; 0: it never did. */
static inline int64_t state_since(const struct journal *j, enum session_state s)
{
	for (size_t i = 0; i < j->n_states; i++)
		if (j->states[i].state == s)
			return j->states[i].at / 1000;
	return 0;
}

static inline bool says(const json_t *receipt, const char *key)
{
	return json_is_true(json_object_get(receipt, key));
}

static inline const char *word_of(const json_t *receipt, const char *object, const char *key)
{
	const char *word =
		json_string_value(json_object_get(json_object_get(receipt, object), key));

	return word ? word : "";
}

/* The weakest line of a place. "": there is none. */
static inline const char *place_worth(const json_t *receipt, const char *place)
{
	const json_t *line;
	size_t i;

	json_array_foreach(
		json_object_get(receipt, "lines"), i,
		line) if (strcmp(json_string_value(json_object_get(line, "place")), place) ==
			  0) return json_string_value(json_object_get(line, "assurance"));
	return "";
}

/* Its file, for the session's owner to look at, is signed and is the one in the log. */
static inline void receipt_file_is(struct world *w, const json_t *logged)
{
	char path[160], key[128], answer[4096];
	char *argv[] = { (char[]){ "cordon-verify" },
			 (char[]){ "receipt" },
			 path,
			 (char[]){ "--key" },
			 key,
			 NULL };
	json_t *file;
	int got;

	snprintf(path, sizeof(path), "%s/sessions/%s.receipt", w->root, w->hex);
	snprintf(key, sizeof(key), "%s/receipt.pub", w->root);
	got = ask(w, answer, sizeof(answer), argv);
	must(w, got == 0, "cordon-verify receipt: exit %d, %s", got, answer);
	file = json_load_file(path, 0, NULL);
	must(w, json_equal(file, logged), "its receipt is not the one in the log");
	json_decref(file);
}

static inline void clean_is_earned(struct world *w, const struct journal *j,
				   const struct told *t)
{
	must(w, t->wipes > 0, "CLEAN, and the log has no receipt of it");
	must(w, says(t->receipt, "clean"), "CLEAN, and its receipt is not");
	must(w,
	     strcmp(word_of(t->receipt, "minima", "held"),
		    j->begin.held == POLICY_HELD_NONE ? "none" : "wiped") == 0,
	     "its receipt is measured by another policy");
	must(w,
	     j->begin.held == POLICY_HELD_NONE ||
		     strcmp(place_worth(t->receipt, "anonymous memory"), "wiped") == 0,
	     "CLEAN, and nobody wiped its memory");
	if (!w->no_receipt_files)
		receipt_file_is(w, t->receipt);
}

static inline void host_is_marked(struct world *w)
{
	char path[128], line[256] = "";
	FILE *f;

	snprintf(path, sizeof(path), "%s/dirty", w->root);
	f = fopen(path, "re");
	must(w, f && fgets(line, sizeof(line), f), "memory was freed unwiped, and no mark");
	fclose(f);
	must(w, strstr(line, " local\n") || strstr(line, " acme\n"), "the host's mark is %s",
	     line);
}

/* What the log says of a session that has ended, and its journal, are one story. */
static inline void log_agrees(struct world *w, const struct journal *j)
{
	const char *words = journal_fact(j, "assurance"), *unlogged;
	int64_t ran = state_since(j, SESSION_RUNNING);
	struct told t;
	char worth[40];

	session_id_hex(j->begin.id, w->hex);
	log_tells(w, &t);
	must(w, !ran || (t.starts > 0 && t.started <= ran),
	     "it ran, and the log has no entry of it from before");
	unlogged = journal_fact(j, "unlogged");
	if (journal_state(j) == SESSION_CLEAN)
		clean_is_earned(w, j, &t);
	if (!unlogged || strcmp(unlogged, "end") != 0) {
		must(w, t.wipes > 0, "its journal does not say that its end was not logged");
		snprintf(worth, sizeof(worth), "%s/%s", word_of(t.receipt, "assurance", "held"),
			 word_of(t.receipt, "assurance", "kernel"));
		must(w, words && strcmp(words, worth) == 0,
		     "the journal says %s, the log says %s", words ? words : "nothing", worth);
		must(w, says(t.receipt, "ran") == (ran != 0), "did it run?");
		must(w, says(t.receipt, "recovered") == (journal_fact(j, "recovered") != NULL),
		     "was it recovered?");
	}
	if (ran && words && strncmp(words, "none", 4) == 0)
		host_is_marked(w);
	json_decref(t.receipt);
}

/* ---- nothing changes ---------------------------------------------------------------- */

static inline uint64_t add_file(uint64_t sum, const char *folder, const char *name)
{
	char path[192], bytes[1 << 16];
	ssize_t n = 0;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	for (size_t i = 0; name[i]; i++)
		sum = (sum ^ (uint8_t)name[i]) * UINT64_C(1099511628211);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	while (fd >= 0 && (n = read(fd, bytes, sizeof(bytes))) > 0)
		for (ssize_t i = 0; i < n; i++)
			sum = (sum ^ (uint8_t)bytes[i]) * UINT64_C(1099511628211);
	if (fd >= 0)
		close(fd);
	return sum;
}

/* Of all that a recovery may write: journals, receipts, the mark, the log's entries. A sum
 * of files' sums does not ask for the folder's order. */
static inline uint64_t state_sum(const struct world *w)
{
	static const char *const folders[] = { "sessions", "log/.state" };
	const uint64_t basis = UINT64_C(14695981039346656037);
	uint64_t sum = add_file(basis, w->root, "dirty");
	const struct dirent *entry;
	char path[128];

	for (size_t i = 0; i < 2; i++) {
		DIR *d;

		snprintf(path, sizeof(path), "%s/%s", w->root, folders[i]);
		d = opendir(path);
		while (d && (entry = readdir(d)))
			if (ends_in(entry->d_name, ".journal") ||
			    ends_in(entry->d_name, ".receipt") ||
			    strncmp(entry->d_name, "journal.", 8) == 0)
				sum += add_file(basis, path, entry->d_name);
		if (d)
			closedir(d);
	}
	return sum;
}
