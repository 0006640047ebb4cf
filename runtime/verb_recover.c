/* runtime/verb_recover.c - `cordon recover`: prints what runtime/recover.c did. */
#include "runtime/verb.h"

#include <string.h>

#include "runtime/dirty.h"
#include "runtime/recover.h"
#include "runtime/scrubbing.h"

struct report {
	json_t *sessions; /* NULL: for people */
	size_t said;
};

static const char *outcome_str(enum recover_outcome o)
{
	switch (o) {
	case RECOVER_MENDED:
		return "mended";
	case RECOVER_REMOVED:
		return "removed";
	case RECOVER_UNREADABLE:
		return "unreadable";
	case RECOVER_FAILED:
		break;
	}
	return "failed";
}

static void print_mended(const struct recovered *r)
{
	printf("%.12s%s%s: %s -> %s: %s; %u processes killed, %u cgroups removed\n", r->hex,
	       r->name[0] ? " " : "", r->name, session_state_str(r->was),
	       session_state_str(r->now), r->why, r->killed, r->folders);
}

static void say_json(json_t *sessions, const struct recovered *r)
{
	bool done = r->outcome == RECOVER_MENDED;
	json_t *object = json_pack("{s:s, s:o, s:s, s:i, s:i}", "id", r->hex, "name",
				   verb_json_text(r->name), "outcome", outcome_str(r->outcome),
				   "killed", (int)r->killed, "cgroups", (int)r->folders);

	if (done) {
		json_object_set_new(object, "was", json_string(session_state_str(r->was)));
		json_object_set_new(object, "state", json_string(session_state_str(r->now)));
		json_object_set_new(object, "why", verb_json_text(r->why));
	}
	json_array_append_new(sessions, object);
}

static void say(void *arg, const struct recovered *r)
{
	struct report *report = arg;

	report->said++;
	if (r->outcome == RECOVER_UNREADABLE || r->outcome == RECOVER_FAILED)
		runtime_error_print(stderr, "cordon", &r->error);
	if (report->sessions)
		say_json(report->sessions, r);
	else if (r->outcome == RECOVER_MENDED)
		print_mended(r);
	else if (r->outcome == RECOVER_REMOVED)
		printf("%.12s: removed: it ended before its first record, and nothing was "
		       "held\n",
		       r->hex);
}

/* Free memory is had and zeroed; then no mark of before has anything left to say. */
static enum runtime_status sweep(const struct paths *p, struct scrub_sweep_result *ret,
				 struct runtime_error *e)
{
	const struct scrub_sweep_limits none = { 0 };
	struct memscrub_error me = { .what = "" };
	int64_t marked;
	enum runtime_status s = dirty_seen(p->sessions_fd, &marked, e);

	if (s != RUNTIME_OK)
		return s;
	if (scrub_sweep(&none, ret, &me) != MEMSCRUB_OK)
		return runtime_fail(e, RUNTIME_SYSTEM, me.where, me.hint, "%s", me.what);
	if (!scrubbing_swept(ret))
		return runtime_fail(
			e, RUNTIME_REFUSED, "sweep", "try when the host has less to do",
			"free memory could not all be had: %u%% of it was", ret->percent);
	return dirty_clear(p->sessions_fd, marked, e);
}

int verb_recover(const struct verb_context *cx, int argc, char **argv)
{
	struct report report = { 0 };
	bool json = false, sweeping = false;
	const struct verb_option options[] = { { .name = "--json", .flag = &json },
					       { .name = "--sweep", .flag = &sweeping } };
	struct scrub_sweep_result swept = { 0 };
	enum runtime_status s, worst;
	struct runtime_error e;
	char clerk[PATH_MAX];
	size_t operands;
	int printed;

	s = verb_options(argc, argv, options, 2, 0, &operands, &e);
	if (s != RUNTIME_OK)
		return verb_fail(s, &e);
	if (json)
		report.sessions = json_array();
	s = recover_all(&cx->paths, verb_program("cordon-clerk", clerk) ? clerk : NULL, say,
			&report, &worst, &e);
	if (s == RUNTIME_OK && sweeping && cx->paths.sessions_fd >= 0)
		s = sweep(&cx->paths, &swept, &e);
	if (s != RUNTIME_OK) {
		json_decref(report.sessions);
		return verb_fail(s, &e);
	}
	if (sweeping && !json)
		printf("swept %llu MiB, %u%% of free memory; this host is not dirty\n",
		       (unsigned long long)(swept.bytes >> 20), swept.percent);
	if (json)
		printed = verb_json_print(
			json_pack("{s:s, s:o, s:I}", "schema", "cordon.recover/1", "sessions",
				  report.sessions, "swept_bytes", (json_int_t)swept.bytes),
			false);
	else if (report.said == 0 && !sweeping)
		printed = (puts("nothing to recover"), verb_finish(0));
	else
		printed = verb_finish(0);
	return printed ? printed : runtime_exit(worst);
}
