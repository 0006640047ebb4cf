/*
 * runtime/places.h - the places of a sandbox in which a tenant's bytes can be, and the
 * journal's way to say what became of each.
 *
 * A line is a fact "scrub.SLUG": "ASSURANCE BYTES FAILED NANOSECONDS METHOD". The places that
 * only the kernel reaches share one, because nothing can be told of them apart.
 */
#pragma once

#include "attest/receipt.h"
#include "runtime/journal.h"

enum place {
	/* held */
	PLACE_ANONYMOUS,
	PLACE_SHARED,
	PLACE_TMPFS,
	PLACE_CREDENTIALS,
	PLACE_RING,
	/* kernel */
	PLACE_EXECVE,
	PLACE_FREED,
	PLACE_BUFFERS,
	PLACE_SLAB,
	PLACE_STACKS,
	PLACE_PAGE_CACHE,
	PLACES,
};

const char *place_str(enum place p); /* "anonymous memory" */
enum receipt_group place_group(enum place p);

/* The line of a place as a fact; `line->group` and `place` are set by the place. */
void place_fact(enum place p, const struct receipt_line *line, struct journal_fact *ret);
/* The newest line of that place in a journal. False: none, or it is damaged. */
bool place_find(const struct journal *j, enum place p, struct receipt_line *ret);
