/*
 * runtime/terminal.h - the caller's terminal while a sandbox has one of its own: raw mode,
 * window size, bytes both ways.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct terminal {
	int master; /* the sandbox's terminal; -1: none */
	int in;     /* the caller's terminal to read from, or -1 */
	int out;    /* the caller's terminal to write to */
	bool raw;
	char typed[4096]; /* from `in`, and not yet taken by the sandbox */
	size_t typed_at, typed_end;
};

/* Which of the caller's standard streams are terminals decides `in` and `out`. Raw mode
 * is set where input comes from a terminal. */
void terminal_start(struct terminal *t, int master);
void terminal_resize(const struct terminal *t);
/* Copies what is there; false when the sandbox's side has ended. */
bool terminal_from_sandbox(struct terminal *t);
/* Reads what was typed and passes on what the sandbox takes now. While terminal_full()
 * nothing more is read: terminal_flush() when the master can be written. A workload that
 * does not read must not keep us from hearing signals. */
void terminal_to_sandbox(struct terminal *t);
bool terminal_full(const struct terminal *t);
void terminal_flush(struct terminal *t);
/* Writes out what is left, restores the caller's terminal. */
void terminal_end(struct terminal *t);
