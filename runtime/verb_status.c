/* runtime/verb_status.c - `cordon status`: every session, stopped and failed ones too. */
#include "runtime/verb.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "policy/policy.h"
#include "runtime/observe.h"
#include "runtime/table.h"

#define SHORT_ID 12

const char *verb_class(uint32_t class)
{
	switch (class) {
	case POLICY_CLASS_SANDBOX:
		return "sandbox";
	case POLICY_CLASS_GUEST:
		return "guest";
	default:
		return "-";
	}
}

static int64_t age_seconds(const struct observed *o)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec - o->begin.created / 1000000000;
}

static bool readable(const struct observed *o)
{
	return o->facts.journal <= OBSERVE_TORN;
}

/* ---- for people ------------------------------------------------------------------ */

#define CLAUSE 40

/* Why a session came to its end takes a sentence; a row has room for its first clause. */
static const char *brief_note(const struct observed *o, char ret[static CLAUSE + 4])
{
	size_t n = strcspn(o->note, ";:,");
	const char *cut = "";

	if (!observe_ended(o))
		return o->note; /* that one says what to do */
	if (n > CLAUSE) {
		for (n = CLAUSE; n > 0 && o->note[n] != ' ';)
			n--;
		cut = "...";
	}
	snprintf(ret, CLAUSE + 4, "%.*s%s", (int)n, o->note, cut);
	return ret;
}

static bool add_row(struct table *t, const struct observed *o)
{
	char id[SHORT_ID + 1], assurance[40], keys[12], age[VERB_TIME] = "-", note[CLAUSE + 4];

	snprintf(id, sizeof(id), "%.*s", SHORT_ID, o->hex);
	snprintf(keys, sizeof(keys), "%u", o->keys);
	snprintf(assurance, sizeof(assurance), "%s/%s", o->assurance[0], o->assurance[1]);
	if (readable(o))
		verb_age(age_seconds(o), age);

	const char *const cells[] = {
		id,
		o->begin.name[0] ? o->begin.name : "-",
		o->begin.tenant[0] ? o->begin.tenant : "-",
		verb_class(o->begin.class),
		session_state_str(o->shown),
		o->attested ? "yes" : "-",
		keys,
		assurance,
		age,
		brief_note(o, note),
	};
	return table_row(t, cells);
}

static int print_table(const struct observed *all, size_t n)
{
	static const char *const heads[] = { "SESSION",  "NAME", "TENANT",    "CLASS", "STATE",
					     "ATTESTED", "KEYS", "ASSURANCE", "AGE",   "NOTE" };
	AUTO(table_freep)
	struct table *t = table_new(heads, sizeof(heads) / sizeof(*heads));
	struct runtime_error e;
	bool made = t != NULL;

	for (size_t i = 0; i < n && made; i++)
		made = add_row(t, &all[i]);
	if (!made)
		return verb_fail(runtime_fail(&e, RUNTIME_SYSTEM, "", "", "no memory"), &e);
	table_print(t, stdout);
	return verb_finish(0);
}

/* ---- for programs ---------------------------------------------------------------- */

static json_t *keeper_json(const struct observed *o)
{
	json_t *alive = o->facts.keeper == OBSERVE_KEEPER_UNKNOWN
				? json_null()
				: json_boolean(o->facts.keeper == OBSERVE_KEEPER_ALIVE);

	return json_pack("{s:i, s:o}", "pid", o->begin.keeper, "alive", alive);
}

/* What a journal that cannot be read does not say is null. */
json_t *verb_session_json(const struct observed *o)
{
	bool known = readable(o);
	char created[VERB_TIME];
	const struct {
		const char *key;
		json_t *value;
	} members[] = {
		{ "id", json_string(o->hex) },
		{ "name", verb_json_text(o->begin.name) },
		{ "tenant", verb_json_text(o->begin.tenant) },
		{ "class", json_string(verb_class(o->begin.class)) },
		{ "state", json_string(session_state_str(o->shown)) },
		{ "journal_state",
		  known ? json_string(session_state_str(o->facts.state)) : json_null() },
		{ "attested", json_boolean(o->attested) },
		{ "keys", json_integer(o->keys) },
		{ "assurance",
		  json_pack("{s:s, s:s}", "held", o->assurance[0], "kernel", o->assurance[1]) },
		{ "created",
		  known ? json_string(verb_time(o->begin.created, created)) : json_null() },
		{ "age_seconds", known ? json_integer(age_seconds(o)) : json_null() },
		{ "keeper", known ? keeper_json(o) : json_null() },
		{ "held_descriptors", json_integer(o->held) },
		{ "note", verb_json_text(o->note) },
	};
	json_t *object = json_object();
	bool made = true;

	for (size_t i = 0; i < sizeof(members) / sizeof(*members); i++)
		made &= json_object_set_new(object, members[i].key, members[i].value) == 0;
	if (made)
		return object;
	json_decref(object);
	return NULL;
}

static int print_json(const struct observed *all, size_t n, bool brief)
{
	json_t *sessions = json_array();

	for (size_t i = 0; i < n; i++)
		if (json_array_append_new(sessions, verb_session_json(&all[i])) != 0) {
			json_decref(sessions);
			return verb_json_print(NULL, brief);
		}
	return verb_json_print(
		json_pack("{s:s, s:o}", "schema", "cordon.status/1", "sessions", sessions),
		brief);
}

/* ---- the verb -------------------------------------------------------------------- */

struct request {
	const char *name; /* one session, or NULL for all */
	bool json, watch;
};

/* A journal that cannot be read is shown among the others, and makes the answer 2. */
static int report_unreadable(const struct observed *all, size_t n)
{
	int status = 0;

	for (size_t i = 0; i < n; i++)
		if (all[i].facts.journal == OBSERVE_BAD)
			status = verb_fail(RUNTIME_MALFORMED, &all[i].error);
	return status;
}

static int print_all(const struct request *rq, const struct observed *all, size_t n)
{
	int printed, unreadable;

	if (rq->watch && !rq->json && isatty(STDOUT_FILENO))
		fputs("\033[H\033[2J", stdout);
	printed = rq->json ? print_json(all, n, rq->watch) : print_table(all, n);
	unreadable = report_unreadable(all, n);
	return printed ? printed : unreadable;
}

static int show(const struct paths *p, const struct request *rq)
{
	AUTO(freep) struct observed *all = NULL;
	struct observed one = { 0 };
	struct observer ob;
	struct runtime_error e;
	enum runtime_status s;
	size_t n = 0;

	observe_open(p, &ob);
	if (rq->name)
		s = observe_find(&ob, rq->name, &one, &e);
	else
		s = observe_all(&ob, &all, &n, &e);
	observe_close(&ob);
	if (s != RUNTIME_OK)
		return verb_fail(s, &e);
	return rq->name ? print_all(rq, &one, 1) : print_all(rq, all, n);
}

/* Until it is interrupted, or cannot go on. The folders are opened each time: the first
 * session may make them. */
static int watch(const char *root, const struct request *rq)
{
	for (;;) {
		struct runtime_error e;
		struct paths p;
		enum runtime_status s = paths_open(root, false, &p, &e);
		int status;

		if (s != RUNTIME_OK)
			return verb_fail(s, &e);
		status = show(&p, rq);
		paths_close(&p);
		if (status != 0 && (status != 2 || rq->name))
			return status;
		sleep(1);
		if (!rq->json && !isatty(STDOUT_FILENO))
			putchar('\n');
	}
}

int verb_status(const struct verb_context *cx, int argc, char **argv)
{
	struct request rq = { 0 };
	const struct verb_option options[] = {
		{ .name = "--json", .flag = &rq.json },
		{ .name = "--watch", .letter = 'w', .flag = &rq.watch },
	};
	struct runtime_error e;
	size_t operands;
	enum runtime_status s = verb_options(argc, argv, options, 2, 1, &operands, &e);

	if (s != RUNTIME_OK)
		return verb_fail(s, &e);
	rq.name = operands ? argv[1] : NULL;
	return rq.watch ? watch(cx->root, &rq) : show(&cx->paths, &rq);
}
