/*
 * runtime/relay.h - the caller's files as a workload's standard streams, without the
 * files. Under the caller's own uid whoever has a file's descriptor, even a read-only one,
 * owns the file: it could change its mode, times and attributes, or open it anew to write.
 * So the workload gets pipes, and `cordon run` carries the bytes.
 *
 * Root's files are not its workload's, whose ids are others: nothing is relayed then, where
 * the kernel can also keep a workload from cutting a file that others may write.
 */
#pragma once

#include <poll.h>

#include "runtime/runtime.h"

#define RELAYS 3u

struct relay {
	int stream;     /* the caller's 0, 1 or 2 */
	int ours;       /* our end of the pipe; -1: nothing more passes */
	int theirs;     /* the workload's end; that of 0 stays open here, see relay_drain */
	int error;      /* errno of what stopped it, to be told at the end */
	size_t at, end; /* of its buffer: read, and not yet written */
	off_t passed;   /* bytes written */
};

struct relays {
	struct relay relay[RELAYS];
	size_t n;
};

/* Replaces those of `streams` that are regular files. 1 and 2 that are one file stay in
 * order through one pipe. On failure some pipes may have been made: the caller ends. */
__attribute__((warn_unused_result)) enum runtime_status
relay_make(struct relays *rs, int streams[static 3], struct runtime_error *reterr);
/* The streams were passed on: from now on their ends at the workload are the only ones. */
void relay_passed(struct relays *rs);

/* What to wait for, and what to do then. */
void relay_pollfds(const struct relays *rs, struct pollfd ret[static RELAYS]);
void relay_pump(struct relays *rs, const struct pollfd p[static RELAYS]);

/* After the workload's end: writes out what it left in its pipes, says what could not be
 * read or written, and moves the input file back to what the workload did not read. */
void relay_drain(struct relays *rs);
