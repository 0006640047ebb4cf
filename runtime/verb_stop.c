/* runtime/verb_stop.c - `cordon stop S`: asks the session's keeper, and waits. */
#include "runtime/verb.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "runtime/observe.h"
#include "runtime/wire.h"

#define GRACE_MS 10000
#define LOOK_MS 50      /* how often the journal is read while the keeper works */
#define CONNECT_MS 2000 /* a keeper that has just started may not listen yet */
#define SCRUB_MS 60000  /* beyond the grace: what a keeper may need to clean up */

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void look_again(const struct paths *p, struct observed *o)
{
	struct observer ob;

	observe_open(p, &ob);
	observe_session(&ob, o->id, o, NULL);
	observe_close(&ob);
}

static enum runtime_status ask_keeper(const struct paths *p, const struct observed *o,
				      int64_t grace, struct runtime_error *reterr)
{
	struct wire_message stop = { .type = WIRE_STOP, .a = grace };
	char name[SESSION_SOCKET];
	AUTO(closep) int sock = -1;
	enum runtime_status s;

	memcpy(stop.id, o->id, sizeof(stop.id));
	session_socket(o->id, name);
	s = wire_connect(p->run_fd, name, &sock, reterr);
	return s == RUNTIME_OK ? wire_send(sock, &stop, reterr) : s;
}

/* Until the keeper was asked or the session needs no asking any more. */
static enum runtime_status ask(const struct paths *p, struct observed *o, int64_t grace,
			       struct runtime_error *reterr)
{
	int64_t until = now_ms() + CONNECT_MS;
	enum runtime_status s;

	for (;;) {
		s = ask_keeper(p, o, grace, reterr);
		if (s == RUNTIME_OK || now_ms() >= until)
			break;
		(void)poll(NULL, 0, LOOK_MS);
		look_again(p, o);
		if (o->facts.keeper != OBSERVE_KEEPER_ALIVE)
			return RUNTIME_OK;
	}
	return s == RUNTIME_REFUSED ? RUNTIME_SYSTEM : s; /* nobody said no: nobody answered */
}

/* Until the keeper has ended the session or itself. */
static enum runtime_status wait_for_end(const struct paths *p, struct observed *o, int keeper,
					int64_t limit, struct runtime_error *reterr)
{
	struct pollfd exited = { .fd = keeper, .events = POLLIN };
	int64_t until = now_ms() + limit;

	while (!observe_ended(o) && o->facts.keeper == OBSERVE_KEEPER_ALIVE) {
		if (now_ms() >= until)
			return runtime_fail(
				reterr, RUNTIME_SYSTEM, o->hex,
				"it goes on; `cordon status` shows when it has ended",
				"still %s after %lld s", session_state_str(o->shown),
				(long long)(limit / 1000));
		(void)poll(&exited, 1, LOOK_MS);
		look_again(p, o);
	}
	return RUNTIME_OK;
}

static enum runtime_status stop(const struct paths *p, struct observed *o, int64_t grace,
				struct runtime_error *reterr)
{
	AUTO(closep) int keeper = observe_keeper_open(&o->begin);
	enum runtime_status s = ask(p, o, grace, reterr);

	if (s == RUNTIME_OK && keeper >= 0)
		s = wait_for_end(p, o, keeper, grace + SCRUB_MS, reterr);
	if (s == RUNTIME_OK)
		look_again(p, o);
	return s;
}

static json_t *json_of(const struct observed *o)
{
	return json_pack("{s:s, s:s, s:o, s:s}", "schema", "cordon.stop/1", "id", o->hex,
			 "name", verb_json_text(o->begin.name), "state",
			 session_state_str(o->facts.state));
}

/* What is there to say once nobody works on it any more. */
static int conclude(const struct observed *o, bool already, bool json)
{
	struct runtime_error e;

	if (o->facts.journal == OBSERVE_BAD)
		return verb_fail(RUNTIME_MALFORMED, &o->error);
	if (!observe_ended(o) && o->facts.keeper != OBSERVE_KEEPER_GONE)
		return verb_fail(
			runtime_fail(&e, RUNTIME_SYSTEM, o->hex, "try again", "%s", o->note),
			&e);
	if (!observe_ended(o))
		return verb_fail(runtime_fail(&e, RUNTIME_REFUSED, o->hex,
					      "run `cordon recover`",
					      "its keeper is gone: nobody is left to stop it"),
				 &e);
	if (json)
		return verb_json_print(json_of(o), false);
	printf("%.12s%s%s: %s%s\n", o->hex, o->begin.name[0] ? " " : "", o->begin.name,
	       already ? "already " : "", session_state_str(o->facts.state));
	return verb_finish(0);
}

static enum runtime_status read_arguments(int argc, char **argv, int64_t *ret_grace,
					  bool *ret_json, struct runtime_error *reterr)
{
	const char *grace = NULL;
	const struct verb_option options[] = { { .name = "--grace", .value = &grace },
					       { .name = "--json", .flag = ret_json } };
	size_t operands;
	enum runtime_status s = verb_options(argc, argv, options, 2, 1, &operands, reterr);

	if (s != RUNTIME_OK)
		return s;
	if (operands == 0)
		return runtime_fail(reterr, RUNTIME_MALFORMED, "stop",
				    "`cordon status` lists the sessions", "no session named");
	if (grace && !verb_duration(grace, ret_grace))
		return runtime_fail(reterr, RUNTIME_MALFORMED, "--grace",
				    "write 500ms, 5s, 2m or 1h; a day at most",
				    "not a time: %s", grace);
	return RUNTIME_OK;
}

int verb_stop(const struct verb_context *cx, int argc, char **argv)
{
	int64_t grace = GRACE_MS;
	bool json = false;
	struct observer ob;
	struct observed o;
	struct runtime_error e;
	enum runtime_status s = read_arguments(argc, argv, &grace, &json, &e);
	bool already;

	if (s != RUNTIME_OK)
		return verb_fail(s, &e);
	observe_open(&cx->paths, &ob);
	s = observe_find(&ob, argv[1], &o, &e);
	observe_close(&ob);
	if (s != RUNTIME_OK)
		return verb_fail(s, &e);
	already = observe_ended(&o);
	if (o.facts.keeper == OBSERVE_KEEPER_ALIVE)
		s = stop(&cx->paths, &o, grace, &e);
	return s == RUNTIME_OK ? conclude(&o, already, json) : verb_fail(s, &e);
}
