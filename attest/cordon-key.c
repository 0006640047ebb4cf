/*
 * attest/cordon-key.c - an administrator's words to the key service: one message there, its
 * lines and its answer back, over admin.sock. A value comes in through a descriptor, never
 * through arguments, and none comes out.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "attest/json_writer.h"
#include "attest/keyd_internal.h"
#include "policy/policy.h"
#include "policy/text.h"

#define PATH_BYTES 4096u
#define SOCKET_NAME "admin.sock"

struct options {
	const char *socket, *file;
	int fd; /* of the value; -1: not said */
	bool random, json;
	uint64_t uses;
	const char *operand; /* NULL: none */
};

struct verb {
	const char *words[2]; /* of one word: the second is NULL */
	enum attest_status (*fill)(const struct options *o, struct keyd_message *m,
				   struct attest_error *e);
	void (*done)(const struct keyd_message *asked, const struct keyd_done *d);
	enum keyd_type type;
	bool operand, value, uses; /* what it takes: the first must be there */
};

/* ---- input --------------------------------------------------------------------------------- */

static enum attest_status read_value(int fd, const char *name, struct keyd_key_put *put,
				     struct attest_error *e)
{
	uint8_t more;
	ssize_t n = 1;
	size_t len = 0;

	while (len < sizeof(put->value) &&
	       (n = read(fd, put->value + len, sizeof(put->value) - len)) > 0)
		len += (size_t)n;
	if (n > 0)
		n = read(fd, &more, 1);
	if (n < 0)
		return attest_fail(e, ATTEST_MALFORMED, name, "", "%m");
	if (n > 0)
		return attest_fail(e, ATTEST_MALFORMED, name, "",
				   "a value has at most %u bytes", KEYD_SECRET_MAX);
	if (len == 0)
		return attest_fail(e, ATTEST_MALFORMED, name, "--random makes one",
				   "it holds no value");
	put->len = (uint32_t)len;
	return ATTEST_OK;
}

static enum attest_status read_value_from(const struct options *o, struct keyd_key_put *put,
					  struct attest_error *e)
{
	enum attest_status s;
	int fd;

	if (o->random)
		return ATTEST_OK;
	if (o->fd >= 0)
		return read_value(o->fd, "the descriptor", put, e);
	if (!o->file && isatty(STDIN_FILENO))
		return attest_fail(e, ATTEST_MALFORMED, "value",
				   "pipe it in, name a --file or --fd, or say --random",
				   "standard input is a terminal, which would show it");
	if (!o->file)
		return read_value(STDIN_FILENO, "standard input", put, e);
	fd = open(o->file, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return attest_fail(e, ATTEST_MALFORMED, o->file, "", "%m");
	s = read_value(fd, o->file, put, e);
	close(fd);
	return s;
}

static enum attest_status fill_put(const struct options *o, struct keyd_message *m,
				   struct attest_error *e)
{
	enum attest_status s = keyd_name_parse(o->operand, &m->put.name, e);

	m->put.uses = o->uses;
	return s == ATTEST_OK ? read_value_from(o, &m->put, e) : s;
}

static enum attest_status fill_revoke(const struct options *o, struct keyd_message *m,
				      struct attest_error *e)
{
	return keyd_name_parse(o->operand, &m->revoke.name, e);
}

static enum attest_status fill_list(const struct options *o, struct keyd_message *m,
				    struct attest_error *e)
{
	if (!o->operand)
		return ATTEST_OK;
	if (!keyd_tenant_valid(o->operand) || strlen(o->operand) >= sizeof(m->list.tenant))
		return attest_fail(e, ATTEST_MALFORMED, o->operand, "",
				   "no tenant can be called that");
	memcpy(m->list.tenant, o->operand, strlen(o->operand));
	return ATTEST_OK;
}

static void policy_finding(struct attest_error *e, const char *file,
			   const struct policy_error *from)
{
	char where[sizeof(e->where)];

	if (from->line)
		snprintf(where, sizeof(where), "%.120s:%u:%u: %.40s", file, from->line,
			 from->column, from->key);
	else
		snprintf(where, sizeof(where), "%.180s", file);
	(void)attest_fail(e, ATTEST_MALFORMED, where, from->hint, "%s", from->what);
}

/* The tenant and what its policy demands of evidence, out of the whole policy. */
static enum attest_status fill_push(const struct options *o, struct keyd_message *m,
				    struct attest_error *e)
{
	AUTO(policy_freep) struct policy *p = NULL;
	struct policy_error pe = { .what = "" };
	const char *text;

	if (policy_load(o->operand, &p, &pe) != POLICY_OK) {
		policy_finding(e, o->operand, &pe);
		return ATTEST_MALFORMED;
	}
	text = policy_attestation_text(p);
	if (!text[0])
		return attest_fail(e, ATTEST_MALFORMED, o->operand,
				   "write what its keys demand under attestation:",
				   "the policy has no attestation block");
	if (strlen(text) > sizeof(m->push.text))
		return attest_fail(e, ATTEST_MALFORMED, o->operand, "",
				   "its attestation block is longer than %u bytes",
				   KEYD_POLICY_MAX);
	snprintf(m->push.tenant, sizeof(m->push.tenant), "%s", policy_tenant(p));
	m->push.len = (uint32_t)strlen(text);
	memcpy(m->push.text, text, m->push.len);
	return ATTEST_OK;
}

/* ---- output ----------------------------------------------------------------------------------- */

static void print_time(int64_t at, char ret[static 32])
{
	time_t t = (time_t)at;
	struct tm utc;

	if (!gmtime_r(&t, &utc) || strftime(ret, 32, "%Y-%m-%dT%H:%M:%SZ", &utc) == 0)
		snprintf(ret, 32, "-");
}

static void put_name(struct json_writer *w, const struct keyd_name *n)
{
	char path[KEYD_PATH];

	snprintf(path, sizeof(path), "kbs:///%s/%s/%s", n->tenant, n->type, n->tag);
	jw_key(w, "name");
	jw_string(w, path);
}

static void put_number(struct json_writer *w, const char *name, uint64_t v)
{
	const uint64_t most = (UINT64_C(1) << 53) - 1;

	jw_key(w, name);
	jw_integer(w, (int64_t)(v < most ? v : most));
}

static void put_time(struct json_writer *w, const char *name, int64_t at)
{
	char text[32];

	print_time(at, text);
	jw_key(w, name);
	jw_string(w, text);
}

static void json_key(struct json_writer *w, const struct keyd_key_line *k)
{
	jw_key(w, "current");
	jw_bool(w, k->current);
	put_time(w, "made", k->made);
	put_name(w, &k->name);
	jw_key(w, "revoked");
	jw_bool(w, k->revoked);
	put_number(w, "uses", k->uses);
	if (k->uses_max)
		put_number(w, "uses_max", k->uses_max);
	put_number(w, "version", k->version);
}

static void json_policy(struct json_writer *w, const struct keyd_policy_line *p)
{
	char hex[65];

	for (size_t i = 0; i < sizeof(p->sha256); i++)
		snprintf(hex + 2 * i, 3, "%02x", (unsigned)p->sha256[i]);
	put_number(w, "bytes", p->len);
	put_time(w, "made", p->made);
	jw_key(w, "sha256");
	jw_string(w, hex);
	jw_key(w, "tenant");
	jw_string(w, p->tenant);
	put_number(w, "version", p->version);
}

/* Lines come one by one, and so they go out. */
static void print_json_line(const struct keyd_message *m, bool first)
{
	char text[1024];
	struct json_writer w;
	size_t len;

	jw_begin(&w, text, sizeof(text));
	jw_object(&w);
	if (m->type == KEYD_KEY)
		json_key(&w, &m->key);
	else
		json_policy(&w, &m->policy);
	jw_object_end(&w);
	if (jw_end(&w, &len))
		printf("%s%s", first ? "" : ",", text);
}

static void print_line(const struct keyd_message *m, bool first)
{
	char made[32], limit[24] = "-";

	if (m->type == KEYD_KEY) {
		const struct keyd_key_line *k = &m->key;

		if (first)
			printf("%-40s %7s  %-8s %6s %6s  %s\n", "KEY", "VERSION", "STATE",
			       "USES", "LIMIT", "MADE");
		if (k->uses_max)
			snprintf(limit, sizeof(limit), "%" PRIu64, k->uses_max);
		print_time(k->made, made);
		printf("%s/%s/%-*s %7" PRIu64 "  %-8s %6" PRIu64 " %6s  %s\n", k->name.tenant,
		       k->name.type,
		       (int)(38 - strlen(k->name.tenant) - strlen(k->name.type) > 38
				     ? 0
				     : 38 - strlen(k->name.tenant) - strlen(k->name.type)),
		       k->name.tag, k->version,
		       k->revoked   ? "revoked"
		       : k->current ? "current"
				    : "old",
		       k->uses, limit, made);
		return;
	}
	if (first)
		printf("%-24s %7s %7s  %s\n", "TENANT", "VERSION", "BYTES", "MADE");
	print_time(m->policy.made, made);
	printf("%-24s %7" PRIu64 " %7" PRIu32 "  %s\n", m->policy.tenant, m->policy.version,
	       m->policy.len, made);
}

static const char *unlogged(const struct keyd_done *d)
{
	return d->logged ? "" : "; its log entry is owed: the log cannot be written";
}

static void done_put(const struct keyd_message *asked, const struct keyd_done *d)
{
	printf("stored: %s/%s/%s version %" PRIu64 "%s\n", asked->put.name.tenant,
	       asked->put.name.type, asked->put.name.tag, d->version, unlogged(d));
}

static void done_revoke(const struct keyd_message *asked, const struct keyd_done *d)
{
	printf("revoked: %s/%s/%s, %" PRIu64 " version%s%s\n", asked->revoke.name.tenant,
	       asked->revoke.name.type, asked->revoke.name.tag, d->version,
	       d->version == 1 ? "" : "s", unlogged(d));
}

static void done_push(const struct keyd_message *asked, const struct keyd_done *d)
{
	printf("stored: policy of %s version %" PRIu64 "%s\n", asked->push.tenant, d->version,
	       unlogged(d));
}

/* ---- the conversation --------------------------------------------------------------------------- */

/* clang-format off */
static const struct verb verbs[] = {
	/*                                                   takes: operand, value, uses */
	{ { "put", NULL },      fill_put,    done_put,    KEYD_KEY_PUT,     true,  true,  true },
	{ { "list", NULL },     fill_list,   NULL,        KEYD_KEY_LIST,    false, false, false },
	{ { "rotate", NULL },   fill_put,    done_put,    KEYD_KEY_ROTATE,  true,  true,  true },
	{ { "revoke", NULL },   fill_revoke, done_revoke, KEYD_KEY_REVOKE,  true,  false, false },
	{ { "policy", "push" }, fill_push,   done_push,   KEYD_POLICY_PUSH, true,  false, false },
	{ { "policy", "list" }, fill_list,   NULL,        KEYD_POLICY_LIST, false, false, false },
};
/* clang-format on */

#define VERBS (sizeof(verbs) / sizeof(*verbs))

static const char *schema_of(const struct verb *v)
{
	if (v->done)
		return "cordon.key/1";
	return v->type == KEYD_KEY_LIST ? "cordon.key-list/1" : "cordon.key-policy-list/1";
}

static void print_done_json(const struct verb *v, const struct keyd_done *d)
{
	printf("{\"logged\":%s,\"schema\":\"%s\",\"verb\":\"%s%s%s\",\"%s\":%" PRIu64 "}\n",
	       d->logged ? "true" : "false", schema_of(v), v->words[0], v->words[1] ? " " : "",
	       v->words[1] ? v->words[1] : "",
	       v->type == KEYD_KEY_REVOKE ? "versions" : "version", d->version);
}

static enum attest_status refused(const struct keyd_no *no, struct attest_error *e)
{
	static const enum attest_status as[KEYD_ANSWERS] = {
		[KEYD_NO_SESSION] = ATTEST_REFUSED,  [KEYD_DENIED] = ATTEST_REFUSED,
		[KEYD_UNATTESTED] = ATTEST_REFUSED,  [KEYD_FULL] = ATTEST_SYSTEM,
		[KEYD_FAILED] = ATTEST_SYSTEM,       [KEYD_REFUSED] = ATTEST_REFUSED,
		[KEYD_MALFORMED] = ATTEST_MALFORMED,
	};

	return attest_fail(e, as[no->answer], "key service", no->hint, "%.300s", no->text);
}

static enum attest_status no_answer(struct attest_error *e)
{
	return attest_fail(e, ATTEST_SYSTEM, "key service", "look whether it has acted",
			   "it ended the conversation without an answer");
}

/* Lines, and then how it ended. */
static enum attest_status listen_to(int sock, const struct verb *v, const struct options *o,
				    struct keyd_wire *w, struct keyd_done *ret,
				    struct attest_error *e)
{
	bool closed = false, first = true;
	enum attest_status s;

	while ((s = keyd_receive(sock, w, &closed, e)) == ATTEST_OK) {
		if (closed)
			return no_answer(e);
		if (w->m.type == KEYD_NO)
			return refused(&w->m.no, e);
		if (w->m.type == KEYD_DONE) {
			*ret = w->m.done;
			return ATTEST_OK;
		}
		if (v->done || (w->m.type != KEYD_KEY && w->m.type != KEYD_POLICY))
			return no_answer(e);
		(o->json ? print_json_line : print_line)(&w->m, first);
		first = false;
		keyd_wire_clear(w);
	}
	return s;
}

static enum attest_status converse(int sock, const struct verb *v, const struct options *o,
				   struct keyd_wire *w, struct attest_error *e)
{
	AUTO(guard_freep) struct keyd_message *asked = guard_alloc(sizeof(*asked));
	struct keyd_done done = { .version = 0 };
	enum attest_status s;
	bool gone;

	if (!asked)
		return keyd_no_memory("message", e);
	*asked = w->m;
	s = keyd_send(sock, w, e);
	gone = s != ATTEST_OK && errno == EPIPE; /* it may have said why before it went */
	keyd_wire_clear(w);
	if (s != ATTEST_OK && !gone)
		return s;
	if (o->json && !v->done)
		printf("{\"%s\":[", v->type == KEYD_KEY_LIST ? "keys" : "policies");
	s = listen_to(sock, v, o, w, &done, e);
	if (o->json && !v->done)
		printf("],\"schema\":\"%s\"}\n", schema_of(v));
	else if (s == ATTEST_OK && o->json)
		print_done_json(v, &done);
	else if (s == ATTEST_OK && v->done)
		v->done(asked, &done);
	return s;
}

/* ---- where the key service is ------------------------------------------------------------------- */

/* The folder keyd below the state folder; `cordon` hands its --root over in the environment. */
static enum attest_status default_folder(char ret[static PATH_BYTES], struct attest_error *e)
{
	const char *root = getenv("CORDON_ROOT"), *below = "";
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
		return attest_fail(e, ATTEST_MALFORMED, "HOME",
				   "set HOME, or name the --socket",
				   "no folder for state: neither XDG_STATE_HOME nor HOME is an "
				   "absolute path");
	n = snprintf(ret, PATH_BYTES, "%s%s/keyd", root, below);
	if (n < 0 || (size_t)n >= PATH_BYTES)
		return attest_fail(e, ATTEST_MALFORMED, root, NULL, "the path is too long");
	return ATTEST_OK;
}

/* The socket, or the folder that it is in: both are what somebody may mean. */
static enum attest_status socket_folder(const struct options *o, char ret[static PATH_BYTES],
					struct attest_error *e)
{
	size_t n;
	const char *last;

	if (!o->socket)
		return default_folder(ret, e);
	n = strlen(o->socket);
	last = strrchr(o->socket, '/');
	last = last ? last + 1 : o->socket;
	if (n == 0 || n >= PATH_BYTES)
		return attest_fail(e, ATTEST_MALFORMED, "--socket", NULL,
				   "no path can be that");
	if (strcmp(last, SOCKET_NAME) == 0)
		n = (size_t)(last - o->socket);
	snprintf(ret, PATH_BYTES, "%.*s", n ? (int)n : 1, n ? o->socket : ".");
	return ATTEST_OK;
}

static enum attest_status connect_to(const struct options *o, int *ret_sock,
				     struct attest_error *e)
{
	char folder[PATH_BYTES];
	enum attest_status s = socket_folder(o, folder, e);
	int dir;

	if (s != ATTEST_OK)
		return s;
	dir = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return attest_fail(e, ATTEST_SYSTEM, folder,
				   "name the key service's folder with --socket", "%m");
	s = keyd_store_connect(dir, ret_sock, e);
	close(dir);
	return s;
}

/* ---- options --------------------------------------------------------------------------------------- */

static void usage(FILE *to)
{
	fputs("usage: cordon key put|rotate TENANT/TYPE/TAG [--uses N]\n"
	      "                             [--random | --file FILE | --fd N]\n"
	      "       cordon key list [TENANT]\n"
	      "       cordon key revoke TENANT/TYPE/TAG\n"
	      "       cordon key policy push FILE\n"
	      "       cordon key policy list [TENANT]\n"
	      "options: [--socket PATH] [--json]\n"
	      "A value is read from standard input unless another source is named.\n",
	      to);
}

static bool number(const char *text, uint64_t most, uint64_t *ret)
{
	char *end;

	errno = 0;
	*ret = strtoull(text, &end, 10);
	return text[0] >= '0' && text[0] <= '9' && !*end && !errno && *ret <= most;
}

static bool read_options(int argc, char **argv, struct options *o)
{
	static const struct option longs[] = { { "socket", required_argument, NULL, 's' },
					       { "file", required_argument, NULL, 'f' },
					       { "fd", required_argument, NULL, 'd' },
					       { "uses", required_argument, NULL, 'u' },
					       { "random", no_argument, NULL, 'r' },
					       { "json", no_argument, NULL, 'j' },
					       { "help", no_argument, NULL, 'h' },
					       { "version", no_argument, NULL, 'V' },
					       { 0 } };
	uint64_t fd;
	int c;

	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		switch (c) {
		case 's':
			o->socket = optarg;
			break;
		case 'f':
			o->file = optarg;
			break;
		case 'd':
			if (!number(optarg, 65535, &fd))
				return false;
			o->fd = (int)fd;
			break;
		case 'u':
			if (!number(optarg, INT64_MAX, &o->uses) || o->uses == 0)
				return false;
			break;
		case 'r':
			o->random = true;
			break;
		case 'j':
			o->json = true;
			break;
		case 'h':
			usage(stdout);
			exit(0);
		case 'V':
			puts("cordon-key " CORDON_VERSION);
			exit(0);
		default:
			return false;
		}
	}
	return true;
}

static const struct verb *find_verb(int n, char **words, const struct options *o)
{
	for (size_t i = 0; i < VERBS; i++) {
		const struct verb *v = &verbs[i];
		int own = v->words[1] ? 2 : 1, sources = o->random + !!o->file + (o->fd >= 0);

		if (n < own || strcmp(words[0], v->words[0]) != 0 ||
		    (own == 2 && strcmp(words[1], v->words[1]) != 0))
			continue;
		if (n - own > 1 || (v->operand && n == own) || sources > v->value ||
		    (o->uses && !v->uses))
			return NULL;
		return v;
	}
	return NULL;
}

static enum attest_status run(const struct verb *v, const struct options *o,
			      struct attest_error *e)
{
	struct keyd_wire *w;
	int sock = -1;
	enum attest_status s;

	if (!guard_process())
		return attest_fail(e, ATTEST_SYSTEM, "process", "",
				   "it cannot be kept out of core dumps: %m");
	w = keyd_wire_new();
	if (!w)
		return keyd_no_memory("message", e);
	w->m.type = v->type;
	s = v->fill(o, &w->m,
		    e); /* it may take its time, which the service would not wait for */
	if (s == ATTEST_OK)
		s = connect_to(o, &sock, e);
	if (s == ATTEST_OK)
		s = converse(sock, v, o, w, e);
	if (sock >= 0)
		close(sock);
	keyd_wire_free(w);
	return s;
}

int main(int argc, char **argv)
{
	struct options o = { .fd = -1 };
	struct attest_error e = { .what = "" };
	const struct verb *v;
	enum attest_status s;

	if (!read_options(argc, argv, &o) ||
	    !(v = find_verb(argc - optind, argv + optind, &o))) {
		usage(stderr);
		return 2;
	}
	o.operand = argv[optind + (v->words[1] ? 2 : 1)];
	s = run(v, &o, &e);
	if (s != ATTEST_OK)
		attest_error_print(stderr, "cordon key", &e);
	if (fflush(stdout) == 0 && !ferror(stdout))
		return attest_exit(s);
	fputs("cordon key: standard output: the answer could not be written\n", stderr);
	return attest_exit(ATTEST_SYSTEM);
}
