/* runtime/verb_explain.c - `cordon explain S`: what one session is, in sentences: who
 * started what, what the kernel confirmed, what happened, what is not proven. */
#include "runtime/verb.h"

#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "runtime/files.h"
#include "runtime/observe.h"
#include "runtime/places.h"

struct subject {
	struct observed seen;
	struct journal journal;
};

/* ---- what is not proven, what to do ---------------------------------------------- */

__attribute__((format(printf, 2, 3))) static void add(json_t *list, const char *format, ...)
{
	char text[JOURNAL_KEY + JOURNAL_VALUE + 128];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	json_array_append_new(list, verb_json_text(text));
}

/* Facts of one kind: "limit.memory" has the kind "limit." and the name "memory". */
static const char *fact_name(const struct journal_fact *f, const char *kind)
{
	size_t n = strlen(kind);

	return strncmp(f->key, kind, n) == 0 ? f->key + n : NULL;
}

/* How values begin that do not tell of protection. */
static bool falls_short(const char *value)
{
	static const char *const words[] = { "absent",
					     "unavailable",
					     "open",
					     "off",
					     "kept",
					     "memory file systems may swap",
					     "this CPU or kernel does not say" };

	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (strncmp(value, words[i], strlen(words[i])) == 0)
			return true;
	return false;
}

static json_t *unproven(const struct subject *su)
{
	json_t *list = json_array();
	const char *held = su->seen.assurance[0], *kernel = su->seen.assurance[1];

	if (!su->seen.attested)
		add(list, "that it ran where and what it should: no key service appraised "
			  "evidence of it, and a sandbox's host sees all its memory");
	for (size_t i = 0; i < su->journal.n_facts; i++) {
		const struct journal_fact *f = &su->journal.facts[i];
		const char *limit = fact_name(f, "limit.");
		const char *isolation = fact_name(f, "isolation.");

		if (limit && falls_short(f->value))
			add(list, "that its %s is limited: %s", limit, f->value);
		if (isolation && falls_short(f->value))
			add(list, "that %s protects it: %s", isolation, f->value);
	}
	if (strcmp(held, "-") == 0)
		add(list, "that its memory is wiped: %s",
		    observe_ended(&su->seen) ? "its journal has no word of it"
					     : "it has not come to its end yet");
	else if (strcmp(held, "none") == 0)
		add(list, "that all the memory it held was wiped: see what its end was worth");
	if (strcmp(kernel, "none") == 0)
		add(list,
		    "that what the kernel kept of it was wiped: pipes, sockets, page cache "
		    "and freed pages keep their bytes until they are used again");
	return list;
}

static json_t *next_steps(const struct subject *su)
{
	const struct observed *o = &su->seen;
	json_t *list = json_array();

	if (!observe_ended(o) && o->facts.keeper == OBSERVE_KEEPER_ALIVE) {
		add(list, "`cordon stop %.12s` ends it", o->hex);
		if (o->begin.detached)
			add(list, "`cordon logs %.12s` shows its output", o->hex);
	} else if (!observe_ended(o)) {
		add(list, "`cordon recover` removes what is left of it and closes its journal");
	} else if (!o->ran) {
		add(list, "nothing: none of the tenant's code ran in it");
	} else if (o->facts.state == SESSION_QUARANTINED) {
		add(list, "`cordon recover` tries again what can be done better: memory that "
			  "is still held, entries that are not in the log");
		if (strcmp(o->assurance[0], "none") == 0)
			add(list,
			    "treat this host's free memory as holding the tenant's data "
			    "until `cordon recover --sweep` or a restart with init_on_free=1");
	} else if (o->facts.state == SESSION_LOST) {
		add(list, "nothing can be done about its memory now; `cordon doctor` says what "
			  "this host can wipe next time");
	}
	return list;
}

/* ---- for people ------------------------------------------------------------------ */

static void print_who(const struct subject *su)
{
	const struct journal_begin *b = &su->seen.begin;
	const char *command = journal_fact(&su->journal, "command");
	const char *uids = journal_fact(&su->journal, "uids");
	char when[VERB_TIME];

	printf("Session %s%s%s%s is a %s of tenant %s, under %s.\n", su->seen.hex,
	       b->name[0] ? " (" : "", b->name, b->name[0] ? ")" : "", verb_class(b->class),
	       b->tenant, b->builtin ? "the built-in policy" : "a policy of its own");
	printf("User %u started it at %s%s", b->euid, verb_time(b->created, when),
	       b->detached ? ", detached" : "");
	if (command)
		printf("; it runs %s", command);
	if (uids)
		printf(" as host user ids %s (first, count)", uids);
	printf(".\nIt is %s%s%s.\n", session_state_str(su->seen.shown),
	       su->seen.note[0] ? ": " : "", su->seen.note);
}

/* One line of a list, its heading before the first. */
static void print_fact(const char *heading, bool *any, const char *name, const char *value)
{
	if (!*any)
		printf("\n%s\n", heading);
	*any = true;
	printf("  %-16s %s\n", name, value);
}

static void print_isolation(const struct subject *su)
{
	bool any = false;

	for (size_t i = 0; i < su->journal.n_facts; i++) {
		const struct journal_fact *f = &su->journal.facts[i];
		const char *name = fact_name(f, "isolation.");

		if (name && !falls_short(f->value)) /* those are among what is not proven */
			print_fact("The kernel confirmed:", &any, name, f->value);
	}
}

/* Item by item, those that are absent too, always in this order. */
static void print_limits(const struct subject *su)
{
	static const char *const limits[] = { "limit.memory", "limit.pids",  "limit.cpu",
					      "limit.tmpfs",  "limit.files", "limit.rlimits" };
	bool any = false;

	for (size_t i = 0; i < sizeof(limits) / sizeof(*limits); i++) {
		const char *value = journal_fact(&su->journal, limits[i]);

		if (value)
			print_fact("Limits:", &any, limits[i] + strlen("limit."), value);
	}
}

/* The workload's wait status; false before there is one. */
static bool wait_status(const struct subject *su, int *ret)
{
	const char *status = journal_fact(&su->journal, "status");

	if (status)
		*ret = (int)strtol(status, NULL, 10);
	return status != NULL;
}

/* Processes that the kernel killed at the memory limit. */
static unsigned long oom_kills(const struct subject *su)
{
	const char *oom = journal_fact(&su->journal, "oom");

	return oom ? strtoul(oom, NULL, 10) : 0;
}

static void print_status(const struct subject *su)
{
	unsigned long killed = oom_kills(su);
	int wait;

	if (observe_ended(&su->seen) && !su->seen.ran)
		printf("None of the tenant's code ran.\n");
	if (killed)
		printf("The kernel killed %lu of its processes at the memory limit.\n", killed);
	if (!wait_status(su, &wait))
		return;
	if (WIFSIGNALED(wait))
		printf("The workload was ended by signal %d (%s).\n", WTERMSIG(wait),
		       strsignal(WTERMSIG(wait)));
	else
		printf("The workload exited with status %d.\n", WEXITSTATUS(wait));
}

static void print_transitions(const struct subject *su)
{
	char when[VERB_TIME];

	printf("\nWhat happened:\n");
	for (size_t i = 0; i < su->journal.n_states; i++) {
		const struct journal_state *st = &su->journal.states[i];

		printf("  %s  %-11s  %s%s%s\n", verb_time(st->at, when),
		       session_state_str(st->state), session_event_str(st->event),
		       st->why[0] ? ": " : "", st->why);
	}
	if (su->journal.n_states == 0)
		printf("  nothing yet: its memory is not held\n");
	print_status(su);
}

/* Place by place, from the journal: a session that is not yet over has none. */
static void print_worth(const struct subject *su)
{
	bool any = false;

	for (unsigned p = 0; p < PLACES; p++) {
		struct receipt_line l;

		if (!place_find(&su->journal, (enum place)p, &l))
			continue;
		if (!any)
			printf("\nWhat its end was worth (%s/%s):\n", su->seen.assurance[0],
			       su->seen.assurance[1]);
		any = true;
		printf("  %-6s  %-26s  %-8s  %10llu bytes  %s\n", receipt_group_str(l.group),
		       l.place, receipt_assurance_str(l.assurance), (unsigned long long)l.bytes,
		       l.method);
	}
}

static void print_list(const json_t *list, const char *heading)
{
	size_t i;
	json_t *text;

	if (json_array_size(list) > 0)
		printf("\n%s\n", heading);
	json_array_foreach(list, i, text) printf("  - %s\n", json_string_value(text));
}

static int print_sentences(const struct subject *su)
{
	json_t *open = unproven(su), *next = next_steps(su);

	print_who(su);
	print_isolation(su);
	print_limits(su);
	print_transitions(su);
	print_worth(su);
	print_list(open, "Not proven:");
	print_list(next, "What to do:");
	json_decref(open);
	json_decref(next);
	return verb_finish(0);
}

/* ---- for programs ---------------------------------------------------------------- */

static json_t *facts_json(const struct subject *su, const char *kind)
{
	json_t *object = json_object();

	for (size_t i = 0; i < su->journal.n_facts; i++) {
		const struct journal_fact *f = &su->journal.facts[i];
		const char *name = fact_name(f, kind);

		if (name)
			json_object_set_new(object, name, verb_json_text(f->value));
	}
	return object;
}

static json_t *transitions_json(const struct subject *su)
{
	json_t *list = json_array();
	char when[VERB_TIME];

	for (size_t i = 0; i < su->journal.n_states; i++) {
		const struct journal_state *st = &su->journal.states[i];

		json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:o}", "at",
						      verb_time(st->at, when), "state",
						      session_state_str(st->state), "event",
						      session_event_str(st->event), "why",
						      verb_json_text(st->why)));
	}
	return list;
}

static json_t *worth_json(const struct subject *su)
{
	json_t *list = json_array();

	for (unsigned p = 0; p < PLACES; p++) {
		struct receipt_line l;

		if (place_find(&su->journal, (enum place)p, &l))
			json_array_append_new(
				list, json_pack("{s:s, s:s, s:s, s:I, s:I, s:o}", "group",
						receipt_group_str(l.group), "place", l.place,
						"assurance", receipt_assurance_str(l.assurance),
						"bytes", (json_int_t)l.bytes, "failed",
						(json_int_t)l.failed, "method",
						verb_json_text(l.method)));
	}
	return list;
}

static int print_json(const struct subject *su)
{
	const struct journal_begin *b = &su->seen.begin;
	const char *command = journal_fact(&su->journal, "command");
	int wait;

	return verb_json_print(
		json_pack("{s:s, s:o, s:i, s:b, s:s, s:o, s:o, s:I, s:o, s:o, s:o, s:o, s:o, "
			  "s:o}",
			  "schema", "cordon.explain/1", "session", verb_session_json(&su->seen),
			  "uid", (int)b->euid, "detached", b->detached, "policy",
			  b->builtin ? "built-in" : "own", "command",
			  command ? verb_json_text(command) : json_null(), "wait_status",
			  wait_status(su, &wait) ? json_integer(wait) : json_null(),
			  "oom_kills", (json_int_t)oom_kills(su), "isolation",
			  facts_json(su, "isolation."), "limits", facts_json(su, "limit."),
			  "transitions", transitions_json(su), "lines", worth_json(su),
			  "unproven", unproven(su), "next", next_steps(su)),
		false);
}

/* ---- the verb -------------------------------------------------------------------- */

/* As it was signed. */
static int print_receipt(const struct verb_context *cx, const struct subject *su)
{
	char name[SESSION_ID_HEX + 8], text[RECEIPT_MAX + 2];
	struct runtime_error e;
	ssize_t n;

	snprintf(name, sizeof(name), "%s.receipt", su->seen.hex);
	n = file_read_text(cx->paths.sessions_fd, name, text, sizeof(text));
	if (n <= 0)
		return verb_fail(runtime_fail(&e, RUNTIME_REFUSED, su->seen.hex,
					      "a session has one when it has ended and its "
					      "entry is in the log",
					      "there is no receipt of it"),
				 &e);
	fputs(text, stdout);
	return verb_finish(0);
}

static int explain(const struct verb_context *cx, const char *name, bool json, bool receipt,
		   struct subject *su)
{
	struct observer ob;
	struct runtime_error e;
	enum runtime_status s;

	observe_open(&cx->paths, &ob);
	s = observe_find(&ob, name, &su->seen, &e);
	if (s == RUNTIME_OK)
		observe_session(&ob, su->seen.id, &su->seen, &su->journal);
	observe_close(&ob);
	if (s != RUNTIME_OK)
		return verb_fail(s, &e);
	if (su->seen.facts.journal > OBSERVE_TORN)
		return verb_fail(RUNTIME_MALFORMED, &su->seen.error);
	if (receipt)
		return print_receipt(cx, su);
	return json ? print_json(su) : print_sentences(su);
}

int verb_explain(const struct verb_context *cx, int argc, char **argv)
{
	bool json = false, receipt = false;
	const struct verb_option options[] = { { .name = "--json", .flag = &json },
					       { .name = "--receipt", .flag = &receipt } };
	AUTO(freep) struct subject *su = calloc(1, sizeof(*su));
	struct runtime_error e;
	size_t operands;
	enum runtime_status s = verb_options(argc, argv, options, 2, 1, &operands, &e);

	if (s == RUNTIME_OK && operands == 0)
		s = runtime_fail(&e, RUNTIME_MALFORMED, "explain",
				 "`cordon status` lists the sessions", "no session named");
	if (!su)
		return verb_fail(runtime_fail(&e, RUNTIME_SYSTEM, "explain", "", "no memory"),
				 &e);
	return s == RUNTIME_OK ? explain(cx, argv[1], json, receipt, su) : verb_fail(s, &e);
}
