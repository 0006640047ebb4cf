/*
 * runtime/verb.h - the verbs of `cordon`: what each gets, and what all of them use to
 * read options, fail and print. runtime/cordon.c has the table.
 *
 * A verb's argv[0] is its name; what it returns is the program's exit status: 0 yes,
 * 1 no, 2 usage or unreadable input, 3 could not tell. Results go to standard output,
 * findings to standard error.
 */
#pragma once

#include <jansson.h>
#include <limits.h>

#include "runtime/runtime.h"

struct verb_context {
	const char *root;   /* --root's value, or NULL */
	struct paths paths; /* open, as the verb's table entry asks */
};

int verb_run(const struct verb_context *cx, int argc, char **argv);
int verb_status(const struct verb_context *cx, int argc, char **argv);
int verb_explain(const struct verb_context *cx, int argc, char **argv);
int verb_logs(const struct verb_context *cx, int argc, char **argv);
int verb_stop(const struct verb_context *cx, int argc, char **argv);
int verb_recover(const struct verb_context *cx, int argc, char **argv);
int verb_doctor(const struct verb_context *cx, int argc, char **argv);

/* ---- options --------------------------------------------------------------------- */

struct verb_option {
	const char *name;   /* "--grace"; its value comes as "--grace T" or "--grace=T" */
	char letter;        /* 'g' for -g, or 0 */
	bool *flag;         /* set to true; exactly one of these two is not NULL */
	const char **value; /* borrowed from argv */
};

/* Reads the options in any place before "--". The operands that remain are moved to
 * argv[1] and on, and counted in *ret_operands. */
__attribute__((warn_unused_result)) enum runtime_status
verb_options(int argc, char **argv, const struct verb_option *options, size_t n_options,
	     size_t max_operands, size_t *ret_operands, struct runtime_error *reterr);

/* "500ms", "5s", "2m", "1h"; a bare number is seconds. False: no time, or over a day. */
bool verb_duration(const char *text, int64_t *ret_ms);

/* ---- failing and printing -------------------------------------------------------- */

/* Prints the finding and returns the exit status that goes with `s`. */
int verb_fail(enum runtime_status s, const struct runtime_error *e);

/* A JSON string of `text`, escaped (text_escape) where it is not UTF-8. */
json_t *verb_json_text(const char *text);
/* Prints one object and releases it; `brief`: on one line. Returns the exit status 0,
 * or 3 when it could not be made or written. */
int verb_json_print(json_t *object, bool brief);
/* Flushes standard output: `status`, or 3 with a finding when not all was written. */
int verb_finish(int status);

struct observed;
/* One session as `cordon status --json` shows it. */
json_t *verb_session_json(const struct observed *o);
const char *verb_class(uint32_t class); /* "sandbox" */

#define VERB_TIME 32
/* "2026-11-23T15:29:32Z" of CLOCK_REALTIME nanoseconds. */
const char *verb_time(int64_t ns, char ret[static VERB_TIME]);
/* "42s", "5m", "3h", "9d". */
const char *verb_age(int64_t seconds, char ret[static VERB_TIME]);

/* ---- programs beside this one ---------------------------------------------------- */

/* The path of one of cordon's programs: in the folder of the running program (a build),
 * else in ../libexec/cordon from there (an installed tree, wherever it was put), else in
 * the libexec folder. False: in none, or not executable. */
bool verb_program(const char *name, char ret[static PATH_MAX]);
