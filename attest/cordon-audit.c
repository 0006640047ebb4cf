/* cordon-audit - judges a log, shows its entries, proves them, checks proofs. It writes
 * nothing and asks nobody: what it says follows from the files and keys that it is given. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "attest/audit_entry.h"
#include "attest/base64.h"
#include "attest/log_reader.h"
#include "attest/proof.h"
#include "attest/span.h"
#include "policy/text.h"

#define PATH_BYTES 4096u
#define EXTRAS 16u /* files that are named; of more there is only the number */
#define RETRIES 5u /* with a newer checkpoint, where the log grew meanwhile */

static const char usage[] =
	"usage: cordon audit verify [--old-checkpoint FILE]\n"
	"       cordon audit show [--from N] [--to N] [--kind K] [--session ID] [--tenant T]\n"
	"       cordon audit prove INDEX\n"
	"       cordon audit check-proof FILE --entry E\n"
	"       cordon audit checkpoint\n"
	"\n"
	"  verify       every entry, tile and signature, and that time and numbers only grow\n"
	"  show         entries, each proven to be in the log\n"
	"  prove        the proof of one entry, as a file that needs no log to be checked\n"
	"  check-proof  whether FILE proves that the bytes of the file E were logged\n"
	"  checkpoint   what the log has signed last\n"
	"\n"
	"  --log DIR      the log's folder (the host's own, below --root)\n"
	"  --vkey FILE    the log's verifier key (log.vkey, below --root)\n"
	"  --policy FILE  logs, witnesses and their quorum, in place of --vkey\n"
	"  --root DIR     where the state is\n"
	"  --json         one object\n"
	"\n"
	"exit status: 0 good, 1 bad, 2 usage, unreadable or not a log, 3 could not tell\n";

struct options {
	const char *verb, *operand;
	const char *root, *log, *vkey, *policy, *entry, *old, *from, *to, *kind, *session,
		*tenant;
	bool json;
};

/* What one call reads. */
struct audit {
	const struct options *o;
	char log[PATH_BYTES];
	int dirfd;
	struct log_policy *policy;
	char *text; /* the checkpoint as it stands in its file */
	size_t len;
	struct checkpoint checkpoint;
	struct note note; /* points into `text` and `policy` */
	struct attest_error e;
};

/* ---- words ---------------------------------------------------------------------------- */

/* Bytes that are not UTF-8 come from a command line, or from a finding that was cut within
 * a character: "?" stands for them. */
static json_t *json_text(const char *s)
{
	json_t *text = json_string(s);
	char *ascii = text ? NULL : strdup(s);

	for (char *c = ascii; c && *c; c++)
		if ((unsigned char)*c >= 0x80)
			*c = '?';
	if (ascii)
		text = json_string(ascii);
	free(ascii);
	return text;
}

static json_t *json_hash(const struct tlog_hash *h)
{
	char text[BASE64_SIZE(TLOG_HASH)];

	base64_encode(h->bytes, TLOG_HASH, text);
	return json_string(text);
}

static const char *verdict(enum attest_status s)
{
	switch (s) {
	case ATTEST_OK:
		return "good";
	case ATTEST_REFUSED:
		return "bad";
	case ATTEST_MALFORMED:
		return "unreadable";
	case ATTEST_SYSTEM:
		break;
	}
	return "unknown";
}

static void print_line(const char *name, const char *text)
{
	char clean[4 * PATH_BYTES];

	text_escape(clean, sizeof(clean), text);
	printf("%-8s  %s\n", name, clean);
}

static void utc(int64_t seconds, char ret[static 32])
{
	time_t t = (time_t)seconds;
	struct tm tm;

	if (!gmtime_r(&t, &tm) || strftime(ret, 32, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		snprintf(ret, 32, "%lld s", (long long)seconds);
}

/* ---- reporting -------------------------------------------------------------------------- */

static json_t *report_new(const struct audit *a, enum attest_status s)
{
	char schema[64];

	snprintf(schema, sizeof(schema), "cordon.audit-%s/1", a->o->verb);
	return json_pack("{s:s, s:s}", "schema", schema, "verdict", verdict(s));
}

static json_t *report_error(const struct attest_error *e)
{
	return json_pack("{s:o, s:o, s:o}", "what", json_text(e->what), "where",
			 json_text(e->where), "hint", json_text(e->hint));
}

/* What the log signed, and who vouches for it. */
static json_t *report_marks(const struct note *n)
{
	json_t *list = json_array(), *o;

	for (size_t i = 0; i < n->n_marks; i++) {
		const struct note_mark *m = &n->marks[i];
		char vkey[NOTE_VKEY];

		note_verifier_print(m->by, vkey);
		o = json_pack("{s:s, s:s}", "name", m->by->name, "vkey", vkey);
		if (m->by->kind == NOTE_COSIGNATURE)
			json_object_set_new(o, "time", json_integer(m->time));
		json_array_append_new(list, o);
	}
	return list;
}

static void report_checkpoint(json_t *o, const struct checkpoint *c, const struct note *n)
{
	json_object_set_new(o, "origin", json_string(c->origin));
	json_object_set_new(o, "size", json_integer((json_int_t)c->size));
	json_object_set_new(o, "root", json_hash(&c->root));
	json_object_set_new(o, "signatures", report_marks(n));
	json_object_set_new(o, "unknown", json_integer((json_int_t)n->unknown));
}

static int report_print(json_t *o, enum attest_status s)
{
	if (!o || json_dumpf(o, stdout, JSON_INDENT(2)) != 0 || putchar('\n') < 0)
		s = ATTEST_SYSTEM;
	json_decref(o);
	return attest_exit(s);
}

/* The end of a call that failed: one line, or one object. */
static int failed(const struct audit *a, enum attest_status s)
{
	json_t *o;

	if (!a->o->json) {
		attest_error_print(stderr, "cordon-audit", &a->e);
		return attest_exit(s);
	}
	o = report_new(a, s);
	json_object_set_new(o, "error", report_error(&a->e));
	return report_print(o, s);
}

static void print_marks(const struct note *n)
{
	for (size_t i = 0; i < n->n_marks; i++) {
		const struct note_mark *m = &n->marks[i];
		char text[NOTE_NAME + 64], when[32];

		utc(m->time, when);
		snprintf(text, sizeof(text), "%s%s%s", m->by->name,
			 m->by->kind == NOTE_COSIGNATURE ? ", witnessed " : "",
			 m->by->kind == NOTE_COSIGNATURE ? when : "");
		print_line("signed", text);
	}
}

static void print_checkpoint(const struct checkpoint *c, const struct note *n)
{
	char text[BASE64_SIZE(TLOG_HASH)];

	print_line("origin", c->origin);
	printf("%-8s  %llu\n", "size", (unsigned long long)c->size);
	base64_encode(c->root.bytes, TLOG_HASH, text);
	print_line("root", text);
	print_marks(n);
}

/* ---- input -------------------------------------------------------------------------------- */

/* A whole file of at most `max` bytes, and a zero behind it; "-" is standard input. */
static enum attest_status read_file(const char *path, size_t max, char **ret, size_t *ret_len,
				    struct attest_error *e)
{
	bool input = strcmp(path, "-") == 0;
	int fd = input ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	char *text = calloc(1, max + 2);
	ssize_t n = 1;
	size_t len = 0;
	int saved;

	while (fd >= 0 && text && n > 0 && len <= max) {
		n = read(fd, text + len, max + 1 - len);
		len += n > 0 ? (size_t)n : 0;
	}
	saved = errno;
	if (fd >= 0 && !input)
		close(fd);
	errno = saved;
	if (text && fd >= 0 && n >= 0 && len <= max) {
		*ret = text;
		*ret_len = len;
		return ATTEST_OK;
	}
	free(text);
	if (!text)
		return attest_fail(e, ATTEST_SYSTEM, path, NULL, "no memory");
	if (fd >= 0 && n >= 0)
		return attest_fail(e, ATTEST_MALFORMED, path, NULL,
				   "it has more than the %zu bytes that it can have", max);
	return attest_fail(e,
			   errno == EIO || errno == ENOMEM ? ATTEST_SYSTEM : ATTEST_MALFORMED,
			   path, NULL, "it cannot be read: %m");
}

/* Says which file a finding is about. */
static enum attest_status in_file(struct attest_error *e, enum attest_status s,
				  const char *path)
{
	char where[sizeof(e->where)];

	if (s == ATTEST_OK)
		return s;
	snprintf(where, sizeof(where), "%.120s%s%.64s", path, e->where[0] ? ": " : "",
		 e->where);
	memcpy(e->where, where, sizeof(where));
	return s;
}

/* Design of the state folder: root has /var/lib/cordon, others the one of the base
 * directory specification. `cordon` hands its --root over in the environment. */
static enum attest_status below_root(const struct options *o, const char *name,
				     char ret[static PATH_BYTES], struct attest_error *e)
{
	const char *root = o->root ? o->root : getenv("CORDON_ROOT"), *below = "";
	const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
	int n;

	if (!root && geteuid() == 0) {
		root = "/var/lib/cordon";
	} else if (!root && state && state[0] == '/') {
		root = state;
		below = "/cordon";
	} else if (!root && home && home[0] == '/') {
		root = home;
		below = "/.local/state/cordon";
	}
	if (!root)
		return attest_fail(e, ATTEST_MALFORMED, "HOME", "set HOME, or name the files",
				   "no folder for state: neither XDG_STATE_HOME nor HOME is an "
				   "absolute path");
	n = snprintf(ret, PATH_BYTES, "%s%s/%s", root, below, name);
	if (n < 0 || (size_t)n >= PATH_BYTES)
		return attest_fail(e, ATTEST_MALFORMED, root, NULL, "the path is too long");
	return ATTEST_OK;
}

static enum attest_status load_key(struct audit *a)
{
	char path[PATH_BYTES], *text = NULL;
	struct note_verifier v;
	size_t len = 0;
	enum attest_status s = ATTEST_OK;

	if (a->o->vkey)
		snprintf(path, sizeof(path), "%s", a->o->vkey);
	else
		s = below_root(a->o, "log.vkey", path, &a->e);
	if (s == ATTEST_OK)
		s = read_file(path, NOTE_VKEY * 8, &text, &len, &a->e);
	if (s != ATTEST_OK)
		return s;
	s = strlen(text) != len ? attest_fail(&a->e, ATTEST_MALFORMED, "", NULL,
					      "a verifier key is a line of text")
				: note_verifier_parse(text, &v, &a->e);
	if (s == ATTEST_OK)
		s = log_policy_of_key(&v, &a->policy, &a->e);
	free(text);
	return in_file(&a->e, s, path);
}

static enum attest_status load_policy(struct audit *a)
{
	char *text = NULL;
	size_t len = 0;
	enum attest_status s;

	if (!a->o->policy)
		return load_key(a);
	s = read_file(a->o->policy, LOG_POLICY_MAX, &text, &len, &a->e);
	if (s == ATTEST_OK)
		s = in_file(&a->e, log_policy_parse(text, len, &a->policy, &a->e),
			    a->o->policy);
	free(text);
	return s;
}

static enum attest_status open_folder(struct audit *a)
{
	enum attest_status s = ATTEST_OK;

	if (a->o->log)
		snprintf(a->log, sizeof(a->log), "%s", a->o->log);
	else
		s = below_root(a->o, "log", a->log, &a->e);
	if (s != ATTEST_OK)
		return s;
	a->dirfd = open(a->log, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (a->dirfd >= 0)
		return ATTEST_OK;
	return attest_fail(&a->e,
			   errno == EIO || errno == ENOMEM ? ATTEST_SYSTEM : ATTEST_MALFORMED,
			   a->log, "name a log's folder with --log", "it cannot be opened: %m");
}

/* Reads and opens the checkpoint as it is now. */
static enum attest_status load_checkpoint(struct audit *a)
{
	enum attest_status s;

	free(a->text);
	a->text = NULL;
	s = log_checkpoint_read(a->dirfd, &a->text, &a->len, &a->e);
	if (s != ATTEST_OK)
		return in_file(&a->e, s, a->log);
	return in_file(
		&a->e,
		log_policy_open(a->policy, a->text, a->len, &a->checkpoint, &a->note, &a->e),
		"checkpoint");
}

static enum attest_status open_log(struct audit *a)
{
	enum attest_status s = open_folder(a);

	if (s == ATTEST_OK)
		s = load_policy(a);
	return s == ATTEST_OK ? load_checkpoint(a) : s;
}

/* Whether a writer has published since: what was missing may only have been tidied away. */
static bool has_moved_on(const struct audit *a)
{
	struct attest_error ignored;
	char *text = NULL;
	size_t len = 0;
	bool moved = log_checkpoint_read(a->dirfd, &text, &len, &ignored) == ATTEST_OK &&
		     (len != a->len || memcmp(text, a->text, len) != 0);

	free(text);
	return moved;
}

static bool number(const char *text, uint64_t *ret)
{
	return span_decimal(span_of(text), ret);
}

/* ---- verify --------------------------------------------------------------------------------- */

struct verification {
	struct audit_rules rules;
	struct log_judged judged;
	struct {
		char path[256], what[48];
	} extras[EXTRAS];
	uint64_t n_extras;
	struct checkpoint old;
};

static enum attest_status verify_entry(void *arg, uint64_t index, const uint8_t *bytes,
				       size_t len, struct attest_error *e)
{
	struct verification *v = arg;

	return audit_rules_check(&v->rules, index, bytes, len, e);
}

static void verify_extra(void *arg, const char *path, const char *what)
{
	struct verification *v = arg;

	if (v->n_extras < EXTRAS) {
		snprintf(v->extras[v->n_extras].path, sizeof(v->extras->path), "%s", path);
		snprintf(v->extras[v->n_extras].what, sizeof(v->extras->what), "%s", what);
	}
	v->n_extras++;
}

static enum attest_status load_old(struct audit *a, struct verification *v)
{
	const char *path = a->o->old;
	char *text = NULL;
	size_t len = 0;
	struct note n;
	enum attest_status s = read_file(path, NOTE_MAX, &text, &len, &a->e);

	if (s != ATTEST_OK)
		return s;
	s = in_file(&a->e, log_policy_open(a->policy, text, len, &v->old, &n, &a->e), path);
	free(text);
	if (s == ATTEST_OK && strcmp(v->old.origin, a->checkpoint.origin) != 0)
		return attest_fail(&a->e, ATTEST_REFUSED, path, NULL,
				   "it is a checkpoint of %s, not of %s", v->old.origin,
				   a->checkpoint.origin);
	return s;
}

static enum attest_status judge(struct audit *a, struct verification *v)
{
	struct log_judge rules = {
		.now = &a->checkpoint, .entry = verify_entry, .extra = verify_extra, .arg = v
	};
	enum attest_status s;

	for (unsigned i = 0;; i++) {
		memset(v, 0, sizeof(*v));
		s = a->o->old ? load_old(a, v) : ATTEST_OK;
		rules.old = a->o->old ? &v->old : NULL;
		if (s == ATTEST_OK)
			s = log_judge(a->dirfd, &rules, &v->judged, &a->e);
		if (s != ATTEST_REFUSED || i == RETRIES || !has_moved_on(a))
			return s;
		s = load_checkpoint(a);
		if (s != ATTEST_OK)
			return s;
	}
}

static void verify_print(const struct audit *a, const struct verification *v)
{
	const struct log_judged *j = &v->judged;
	char text[512];

	print_checkpoint(&a->checkpoint, &a->note);
	if (a->o->old) {
		snprintf(text, sizeof(text), "the checkpoint of %llu entries",
			 (unsigned long long)v->old.size);
		print_line("extends", text);
	}
	snprintf(text, sizeof(text),
		 "%llu entries (%llu of cordon's own), %llu bundles, %llu tiles, "
		 "%llu left from before",
		 (unsigned long long)j->entries, (unsigned long long)v->rules.own,
		 (unsigned long long)j->bundles, (unsigned long long)j->tiles,
		 (unsigned long long)j->leftovers);
	print_line("checked", text);
	for (size_t i = 0; i < EXTRAS && i < v->n_extras; i++) {
		snprintf(text, sizeof(text), "%s: %s", v->extras[i].path, v->extras[i].what);
		print_line("extra", text);
	}
	if (v->n_extras > EXTRAS) {
		snprintf(text, sizeof(text), "and %llu more",
			 (unsigned long long)(v->n_extras - EXTRAS));
		print_line("extra", text);
	}
	print_line("verdict", "good");
}

static json_t *verify_extras(const struct verification *v)
{
	json_t *list = json_array();

	for (size_t i = 0; i < EXTRAS && i < v->n_extras; i++)
		json_array_append_new(list, json_pack("{s:o, s:s}", "path",
						      json_text(v->extras[i].path), "what",
						      v->extras[i].what));
	return list;
}

static int verify_json(const struct audit *a, const struct verification *v,
		       enum attest_status s, bool opened)
{
	const struct log_judged *j = &v->judged;
	json_t *o = report_new(a, s);

	json_object_set_new(o, "log", json_text(a->log));
	if (opened)
		report_checkpoint(o, &a->checkpoint, &a->note);
	json_object_set_new(
		o, "checked",
		json_pack("{s:I, s:I, s:I, s:I, s:I}", "entries", (json_int_t)j->entries, "own",
			  (json_int_t)v->rules.own, "bundles", (json_int_t)j->bundles, "tiles",
			  (json_int_t)j->tiles, "leftovers", (json_int_t)j->leftovers));
	json_object_set_new(o, "extra", verify_extras(v));
	if (s != ATTEST_OK) {
		json_t *bad = json_object();

		if (j->has_index)
			json_object_set_new(bad, "index", json_integer((json_int_t)j->index));
		if (j->tile[0])
			json_object_set_new(bad, "tile", json_string(j->tile));
		json_object_set_new(o, "bad", bad);
		json_object_set_new(o, "error", report_error(&a->e));
	}
	return report_print(o, s);
}

static int verify(struct audit *a)
{
	struct verification v = { .n_extras = 0 };
	enum attest_status s = open_log(a);
	bool opened = s == ATTEST_OK;

	if (opened)
		s = judge(a, &v);
	if (a->o->json)
		return verify_json(a, &v, s, opened);
	if (s != ATTEST_OK)
		return failed(a, s);
	verify_print(a, &v);
	return attest_exit(s);
}

/* ---- show ----------------------------------------------------------------------------------- */

struct range {
	uint64_t from, to; /* the last one, too */
};

/* NULL where the entry has no such text. */
static const char *member(const json_t *entry, const char *name)
{
	return json_string_value(json_object_get(entry, name));
}

static bool same(const char *a, const char *b)
{
	return a && strcmp(a, b) == 0;
}

/* `own` is NULL for an entry that is not cordon's. */
static bool wanted(const struct options *o, const json_t *own)
{
	if (o->session && !same(member(own, "object"), o->session) &&
	    !same(member(json_object_get(own, "data"), "session"), o->session))
		return false;
	return (!o->kind || same(member(own, "kind"), o->kind)) &&
	       (!o->tenant || same(member(own, "tenant"), o->tenant));
}

static const char *clean(const json_t *own, const char *name, char *to, size_t size)
{
	const char *text = member(own, name);

	text_escape(to, size, text && text[0] ? text : "-");
	return to;
}

static void show_own(uint64_t index, const json_t *own)
{
	char kind[64], tenant[256], object[512], outcome[64], reason[2048];

	printf("%-8llu  %s  %-16s  %-12s  %-32s  %-7s  %s\n", (unsigned long long)index,
	       member(own, "t"), clean(own, "kind", kind, sizeof(kind)),
	       clean(own, "tenant", tenant, sizeof(tenant)),
	       clean(own, "object", object, sizeof(object)),
	       clean(own, "outcome", outcome, sizeof(outcome)),
	       clean(own, "reason", reason, sizeof(reason)));
}

static void show_opaque(uint64_t index, const uint8_t *bytes, size_t len)
{
	char begin[81] = "", text[4 * sizeof(begin)];

	memcpy(begin, bytes, len < sizeof(begin) - 1 ? len : sizeof(begin) - 1);
	text_escape(text, sizeof(text), begin);
	printf("%-8llu  %-27s  %zu bytes: %s\n", (unsigned long long)index, "-", len, text);
}

static bool show_json(uint64_t index, const uint8_t *bytes, size_t len, json_t *entry,
		      bool first)
{
	json_t *o = json_pack("{s:I}", "index", (json_int_t)index);
	char *base64 = entry ? NULL : malloc(BASE64_SIZE(len));
	bool done = entry || base64;

	if (entry) {
		json_object_set(o, "entry", entry);
	} else if (base64) {
		base64_encode(bytes, len, base64);
		json_object_set_new(o, "base64", json_string(base64));
	}
	done = done && fputs(first ? "\n    " : ",\n    ", stdout) >= 0 &&
	       json_dumpf(o, stdout, JSON_COMPACT) == 0;
	free(base64);
	json_decref(o);
	return done;
}

static enum attest_status show_entry(struct audit *a, uint64_t index, const uint8_t *bytes,
				     size_t len, bool *first)
{
	struct audit_entry own;
	json_t *entry = json_loadb((const char *)bytes, len, JSON_REJECT_DUPLICATES, NULL);
	bool is_own = json_is_object(entry) && audit_entry_scan(bytes, len, &own);
	bool done = true;

	if (wanted(a->o, is_own ? entry : NULL)) {
		if (a->o->json)
			done = show_json(index, bytes, len, entry, *first);
		else if (is_own)
			show_own(index, entry);
		else
			show_opaque(index, bytes, len);
		*first = false;
	}
	json_decref(entry);
	return done && !ferror(stdout) ? ATTEST_OK
				       : attest_fail(&a->e, ATTEST_SYSTEM, "standard output",
						     NULL, "it cannot be written");
}

static enum attest_status show_range(struct audit *a, struct range r)
{
	struct log_reader *reader = NULL;
	struct log_bundle b;
	bool first = true;
	enum attest_status s = log_reader_new(a->dirfd, a->checkpoint.size, &reader, &a->e);

	for (uint64_t i = r.from; s == ATTEST_OK && i < a->checkpoint.size && i <= r.to;) {
		s = log_reader_proven(reader, i / TLOG_TILE_WIDTH, &a->checkpoint.root, &b,
				      &a->e);
		for (; s == ATTEST_OK && i < b.first + b.n && i <= r.to; i++)
			s = show_entry(a, i, b.entries[i - b.first], b.lengths[i - b.first],
				       &first);
	}
	log_reader_free(reader);
	return s;
}

static int misuse(const char *what, const char *which);

/* As it comes, for a log may be larger than memory; the verdict is known last. */
static int show(struct audit *a)
{
	struct range r = { 0, UINT64_MAX };
	enum attest_status s;
	json_t *error;

	if (a->o->from && !number(a->o->from, &r.from))
		return misuse("--from is not an index", a->o->from);
	if (a->o->to && !number(a->o->to, &r.to))
		return misuse("--to is not an index", a->o->to);
	s = open_log(a);
	if (s != ATTEST_OK)
		return failed(a, s);
	if (!a->o->json) {
		printf("%-8s  %-27s  %-16s  %-12s  %-32s  %-7s  %s\n", "INDEX", "TIME", "KIND",
		       "TENANT", "OBJECT", "OUTCOME", "REASON");
		s = show_range(a, r);
		return s == ATTEST_OK || ferror(stdout) ? attest_exit(s) : failed(a, s);
	}
	printf("{\n  \"schema\": \"cordon.audit-show/1\",\n  \"size\": %llu,\n  \"entries\": [",
	       (unsigned long long)a->checkpoint.size);
	s = show_range(a, r);
	printf("\n  ],\n");
	if (s != ATTEST_OK) {
		error = report_error(&a->e);
		printf("  \"error\": ");
		json_dumpf(error, stdout, JSON_COMPACT);
		printf(",\n");
		json_decref(error);
	}
	printf("  \"verdict\": \"%s\"\n}\n", verdict(s));
	return attest_exit(s);
}

/* ---- proofs ----------------------------------------------------------------------------------- */

static enum attest_status make_proof(struct audit *a, uint64_t index, char **ret,
				     struct tlog_hash *ret_leaf)
{
	struct proof p = { .index = index, .checkpoint = a->text, .checkpoint_len = a->len };
	struct log_reader *reader = NULL;
	struct tlog_source source;
	struct log_bundle b;
	enum attest_status s;

	if (index >= a->checkpoint.size)
		return attest_fail(&a->e, ATTEST_REFUSED, a->o->operand, NULL,
				   "the log has no such entry; its checkpoint is of %llu",
				   (unsigned long long)a->checkpoint.size);
	s = log_reader_new(a->dirfd, a->checkpoint.size, &reader, &a->e);
	if (s != ATTEST_OK)
		return s;
	source = log_reader_source(reader);
	s = log_reader_proven(reader, index / TLOG_TILE_WIDTH, &a->checkpoint.root, &b, &a->e);
	if (s == ATTEST_OK)
		s = tlog_prove_inclusion(&source, index, a->checkpoint.size, &p.path, &a->e);
	if (s == ATTEST_OK)
		tlog_leaf(b.entries[index - b.first], b.lengths[index - b.first], ret_leaf);
	if (s == ATTEST_OK)
		s = proof_print(&p, ret, &a->e);
	log_reader_free(reader);
	return s;
}

static int prove(struct audit *a)
{
	struct tlog_hash leaf = { { 0 } };
	char *text = NULL;
	uint64_t index;
	enum attest_status s;
	json_t *o;

	if (!number(a->o->operand, &index))
		return misuse("not an index", a->o->operand);
	s = open_log(a);
	if (s == ATTEST_OK)
		s = make_proof(a, index, &text, &leaf);
	for (unsigned i = 0; s == ATTEST_REFUSED && i < RETRIES && a->text && has_moved_on(a);
	     i++) {
		s = load_checkpoint(a);
		if (s == ATTEST_OK)
			s = make_proof(a, index, &text, &leaf);
	}
	if (s != ATTEST_OK)
		return failed(a, s);
	if (!a->o->json) {
		fputs(text, stdout);
		free(text);
		return 0;
	}
	o = report_new(a, s);
	report_checkpoint(o, &a->checkpoint, &a->note);
	json_object_set_new(o, "index", json_integer((json_int_t)index));
	json_object_set_new(o, "leaf", json_hash(&leaf));
	json_object_set_new(o, "proof", json_string(text));
	free(text);
	return report_print(o, s);
}

static enum attest_status check_file(struct audit *a, struct proof *p, char **ret_text)
{
	struct tlog_hash leaf;
	char *entry = NULL;
	size_t len = 0, entry_len = 0;
	enum attest_status s = load_policy(a);

	if (s == ATTEST_OK)
		s = read_file(a->o->operand, PROOF_MAX, ret_text, &len, &a->e);
	if (s == ATTEST_OK)
		s = in_file(&a->e, proof_parse(*ret_text, len, p, &a->e), a->o->operand);
	if (s == ATTEST_OK)
		s = read_file(a->o->entry, TLOG_ENTRY_MAX, &entry, &entry_len, &a->e);
	if (s != ATTEST_OK)
		return s;
	tlog_leaf(entry, entry_len, &leaf);
	free(entry);
	return in_file(&a->e, proof_check(p, &leaf, a->policy, &a->checkpoint, &a->note, &a->e),
		       a->o->operand);
}

static int check_proof(struct audit *a)
{
	struct proof p = { .index = 0 };
	enum attest_status s;
	json_t *o;

	if (!a->o->entry)
		return misuse("check-proof needs the entry's bytes", "--entry E");
	s = check_file(a, &p, &a->text);
	if (s != ATTEST_OK)
		return failed(a, s);
	if (a->o->json) {
		o = report_new(a, s);
		json_object_set_new(o, "index", json_integer((json_int_t)p.index));
		report_checkpoint(o, &a->checkpoint, &a->note);
		return report_print(o, s);
	}
	printf("%-8s  %llu\n", "index", (unsigned long long)p.index);
	print_checkpoint(&a->checkpoint, &a->note);
	print_line("verdict", "good");
	return 0;
}

static int checkpoint(struct audit *a)
{
	enum attest_status s = open_log(a);
	json_t *o;

	if (s != ATTEST_OK)
		return failed(a, s);
	if (!a->o->json) {
		fwrite(a->text, 1, a->len, stdout);
		return 0;
	}
	o = report_new(a, s);
	report_checkpoint(o, &a->checkpoint, &a->note);
	json_object_set_new(o, "checkpoint", json_text(a->text));
	return report_print(o, s);
}

/* ---- the command line -------------------------------------------------------------------------- */

enum option_bits {
	OPT_OLD = 1 << 0,
	OPT_FILTER = 1 << 1,
	OPT_ENTRY = 1 << 2,
	OPT_LOG = 1 << 3,
};

static const struct verb {
	const char *name;
	int (*run)(struct audit *a);
	unsigned may;        /* options of some verbs only */
	const char *operand; /* NULL: none */
} verbs[] = {
	{ "verify", verify, OPT_OLD | OPT_LOG, NULL },
	{ "show", show, OPT_FILTER | OPT_LOG, NULL },
	{ "prove", prove, OPT_LOG, "INDEX" },
	{ "check-proof", check_proof, OPT_ENTRY, "FILE" },
	{ "checkpoint", checkpoint, OPT_LOG, NULL },
	{ .name = NULL },
};

static int misuse(const char *what, const char *which)
{
	struct attest_error e;

	(void)attest_fail(&e, ATTEST_MALFORMED, "", "see cordon audit --help", "%s%s%s", what,
			  which ? ": " : "", which ? which : "");
	attest_error_print(stderr, "cordon-audit", &e);
	return attest_exit(ATTEST_MALFORMED);
}

static const char *check_options(const struct verb *v, const struct options *o)
{
	if (o->old && !(v->may & OPT_OLD))
		return "--old-checkpoint goes with verify";
	if ((o->from || o->to || o->kind || o->session || o->tenant) && !(v->may & OPT_FILTER))
		return "--from, --to, --kind, --session and --tenant go with show";
	if (o->entry && !(v->may & OPT_ENTRY))
		return "--entry goes with check-proof";
	if (o->log && !(v->may & OPT_LOG))
		return "check-proof needs no log";
	if (o->vkey && o->policy)
		return "--vkey and --policy at once";
	if ((o->log && strlen(o->log) >= PATH_BYTES) ||
	    (o->vkey && strlen(o->vkey) >= PATH_BYTES))
		return "a path is too long";
	return NULL;
}

/* -1: go on; else the exit status. */
static int read_options(int argc, char **argv, struct options *o)
{
	const struct {
		const char *name;
		const char **value;
	} values[] = {
		{ "root", &o->root },          { "log", &o->log },       { "vkey", &o->vkey },
		{ "policy", &o->policy },      { "entry", &o->entry },   { "from", &o->from },
		{ "old-checkpoint", &o->old }, { "to", &o->to },         { "kind", &o->kind },
		{ "session", &o->session },    { "tenant", &o->tenant },
	};
	enum { VALUES = sizeof(values) / sizeof(*values) };
	struct option longs[VALUES + 4] = {
		[VALUES] = { "json", no_argument, NULL, 'j' },
		[VALUES + 1] = { "help", no_argument, NULL, 'h' },
		[VALUES + 2] = { "version", no_argument, NULL, 'v' },
	};
	int c;

	for (int i = 0; i < VALUES; i++)
		longs[i] = (struct option){ values[i].name, required_argument, NULL, 1000 + i };
	opterr = 0;
	while ((c = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		if (c >= 1000) {
			*values[c - 1000].value = optarg;
		} else if (c == 'j') {
			o->json = true;
		} else if (c == 'h') {
			fputs(usage, stdout);
			return 0;
		} else if (c == 'v') {
			puts("cordon-audit " CORDON_VERSION);
			return 0;
		} else {
			return misuse("unknown option, or one without its value",
				      argv[optind - 1]);
		}
	}
	return -1;
}

static int run(const struct verb *v, const struct options *o)
{
	struct audit a = { .o = o, .dirfd = -1 };
	int status = v->run(&a);

	log_policy_free(a.policy);
	free(a.text);
	if (a.dirfd >= 0)
		close(a.dirfd);
	return status;
}

static int dispatch(int argc, char **argv)
{
	struct options o = { .verb = NULL };
	const struct verb *v = verbs;
	const char *wrong;
	int status = read_options(argc, argv, &o);

	if (status >= 0)
		return status;
	if (optind == argc)
		return misuse("no verb", NULL);
	o.verb = argv[optind++];
	while (v->name && strcmp(v->name, o.verb) != 0)
		v++;
	if (!v->name)
		return misuse("unknown verb", o.verb);
	if (v->operand && optind == argc)
		return misuse("something is missing behind the verb", v->operand);
	if (v->operand)
		o.operand = argv[optind++];
	if (optind < argc)
		return misuse("unexpected argument", argv[optind]);
	wrong = check_options(v, &o);
	return wrong ? misuse(wrong, NULL) : run(v, &o);
}

int main(int argc, char **argv)
{
	int status = dispatch(argc, argv);

	if (fflush(stdout) == 0 && !ferror(stdout))
		return status;
	fputs("cordon-audit: standard output: the answer could not be written\n", stderr);
	return attest_exit(ATTEST_SYSTEM);
}
