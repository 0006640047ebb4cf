/* runtime/verb_logs.c - `cordon logs S`: the output of a detached session, as far as
 * its ring still holds it. The bytes are the tenant's: they reach a terminal escaped,
 * and anything else as they are. */
#include "runtime/verb.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/clerk.h"
#include "runtime/observe.h"

#define LOOK_MS 200 /* a memfd cannot be waited for */

/* How much of a UTF-8 character is still to come. */
struct character {
	unsigned char lead;
	unsigned more;
};

/* A tenant must not move an operator's cursor, change colours or answer queries. Of
 * controls only tab and newline pass; a C1 control, alone or as UTF-8, does not, and
 * neither does any other byte that continues nothing. */
static bool harmless(struct character *ch, unsigned char c)
{
	if (c >= 0x80 && c <= 0xbf) {
		bool due = ch->more > 0;

		ch->more -= due;
		return due && (ch->lead != 0xc2 || c > 0x9f);
	}
	ch->lead = c;
	ch->more = c < 0xc2 ? 0 : c < 0xe0 ? 1 : c < 0xf0 ? 2 : c < 0xf5 ? 3 : 0;
	if (c < 0x20)
		return c == '\n' || c == '\t';
	return c != 0x7f;
}

static void write_terminal(const unsigned char *bytes, size_t n, struct character *ch)
{
	for (size_t i = 0; i < n; i++) {
		if (harmless(ch, bytes[i]))
			putchar(bytes[i]);
		else
			printf("\\x%02x", bytes[i]);
	}
}

struct reader {
	int ring;
	uint64_t at;
	bool terminal;
	struct character last; /* where writing to the terminal stopped */
};

static enum runtime_status not_a_ring(struct runtime_error *reterr)
{
	return runtime_fail(reterr, RUNTIME_MALFORMED, "the session's output", "",
			    "what the clerk holds is not an output ring");
}

/* Writes all that the ring has now. */
static enum runtime_status drain(struct reader *r, struct runtime_error *reterr)
{
	unsigned char bytes[1 << 16];

	for (;;) {
		uint64_t missed = 0;
		ssize_t n = ring_read(r->ring, &r->at, bytes, sizeof(bytes), &missed);

		if (n < 0)
			return not_a_ring(reterr);
		if (missed > 0) {
			fflush(stdout);
			fprintf(stderr,
				"cordon: %llu bytes of output were overwritten before "
				"they were read\n",
				(unsigned long long)missed);
		}
		if (n == 0)
			break;
		if (r->terminal)
			write_terminal(bytes, (size_t)n, &r->last);
		else
			fwrite(bytes, 1, (size_t)n, stdout);
	}
	if (fflush(stdout) != 0)
		return runtime_fail(reterr, RUNTIME_SYSTEM, "standard output", "",
				    "not everything could be written: %m");
	return RUNTIME_OK;
}

/* Nobody writes any more: the session ended, or its keeper did. */
static bool silent(const struct observer *ob, const uint8_t id[static SESSION_ID_BYTES])
{
	struct observed o;

	observe_session(ob, id, &o, NULL);
	return observe_ended(&o) || o.facts.keeper == OBSERVE_KEEPER_GONE;
}

static enum runtime_status copy(const struct observer *ob, const struct observed *o, int ring,
				bool follow, struct runtime_error *reterr)
{
	struct reader r = { .ring = ring, .terminal = isatty(STDOUT_FILENO) };
	enum runtime_status s;
	bool last;

	do {
		/* First whether it may still write, then what it wrote. */
		last = !follow || silent(ob, o->id);
		s = drain(&r, reterr);
		if (!last && s == RUNTIME_OK)
			(void)poll(NULL, 0, LOOK_MS);
	} while (!last && s == RUNTIME_OK);
	return s;
}

/* ---- for programs ---------------------------------------------------------------- */

/* As clean text, but with its lines and tabs; `bytes` has room for a zero behind the last
 * and is written to. NULL: no memory. */
static char *escape_output(char *bytes, size_t n)
{
	size_t size = 4 * n + 1, len;
	char *text = malloc(size), *to = text;

	if (!text)
		return NULL;
	bytes[n] = '\0';
	for (size_t at = 0; at <= n; at += len + 1) {
		char end;

		len = strcspn(bytes + at, "\n\t"); /* or a zero of the tenant's */
		end = bytes[at + len];
		bytes[at + len] = '\0';
		text_escape(to, size - (size_t)(to - text), bytes + at);
		to += strlen(to);
		if (at + len == n)
			break;
		if (end)
			*to++ = end;
		else
			to = stpcpy(to, "\\x00");
	}
	*to = '\0';
	return text;
}

static int print_json(const struct observed *o, int ring)
{
	AUTO(freep) char *bytes = malloc(RING_CAPACITY + 1);
	AUTO(freep) char *text = NULL;
	uint64_t at = 0, missed = 0;
	struct runtime_error e;
	ssize_t n = bytes ? ring_read(ring, &at, bytes, RING_CAPACITY, &missed) : 0;

	if (n < 0)
		return verb_fail(not_a_ring(&e), &e);
	text = bytes ? escape_output(bytes, (size_t)n) : NULL;
	if (!text)
		return verb_fail(runtime_fail(&e, RUNTIME_SYSTEM, o->hex, "", "no memory"), &e);
	return verb_json_print(json_pack("{s:s, s:s, s:o, s:I, s:s}", "schema", "cordon.logs/1",
					 "id", o->hex, "name", verb_json_text(o->begin.name),
					 "missed", (json_int_t)missed, "output", text),
			       false);
}

/* ---- the verb -------------------------------------------------------------------- */

static enum runtime_status open_ring(const struct observer *ob, const struct observed *o,
				     int *ret, struct runtime_error *reterr)
{
	enum runtime_status s = RUNTIME_REFUSED;

	if (o->facts.journal > OBSERVE_TORN)
		return runtime_fail(reterr, RUNTIME_MALFORMED, o->hex, "", "%s", o->note);
	if (!o->begin.detached)
		return runtime_fail(reterr, RUNTIME_REFUSED, o->hex,
				    "`cordon run --detach` keeps it in memory instead",
				    "its output went to the terminal that started it");
	if (ob->clerk >= 0)
		s = clerk_log(ob->clerk, o->id, ret, reterr);
	else if (ob->without == OBSERVE_HELD_UNKNOWN)
		return runtime_fail(reterr, RUNTIME_SYSTEM, o->hex, "try again",
				    "the clerk, which keeps its output, does not answer");
	if (s == RUNTIME_REFUSED)
		return runtime_fail(reterr, RUNTIME_REFUSED, o->hex, "",
				    "its output is no longer kept: it was in memory only");
	return s;
}

int verb_logs(const struct verb_context *cx, int argc, char **argv)
{
	bool follow = false, json = false;
	const struct verb_option options[] = {
		{ .name = "--follow", .letter = 'f', .flag = &follow },
		{ .name = "--json", .flag = &json },
	};
	AUTO(closep) int ring = -1;
	struct observer ob;
	struct observed o;
	struct runtime_error e;
	size_t operands;
	enum runtime_status s = verb_options(argc, argv, options, 2, 1, &operands, &e);

	if (s == RUNTIME_OK && operands == 0)
		s = runtime_fail(&e, RUNTIME_MALFORMED, "logs",
				 "`cordon status` lists the sessions", "no session named");
	if (s == RUNTIME_OK && follow && json)
		s = runtime_fail(&e, RUNTIME_MALFORMED, "logs", "leave one of them out",
				 "--json is one object, and --follow does not end");
	if (s != RUNTIME_OK)
		return verb_fail(s, &e);
	observe_open(&cx->paths, &ob);
	s = observe_find(&ob, argv[1], &o, &e);
	if (s == RUNTIME_OK)
		s = open_ring(&ob, &o, &ring, &e);
	observe_close(&ob); /* who follows for days must not keep the clerk from its end */
	if (s == RUNTIME_OK && json)
		return print_json(&o, ring);
	if (s == RUNTIME_OK)
		s = copy(&ob, &o, ring, follow, &e);
	return s == RUNTIME_OK ? verb_finish(0) : verb_fail(s, &e);
}
