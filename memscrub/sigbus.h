/*
 * memscrub/sigbus.h - touch mapped memory that may not be there: a file cut short, a
 * poisoned frame, an exhausted pool.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct sigbus_fault {
	char *at;
	bool poisoned;
	size_t extent; /* bytes lost with a poisoned frame */
};

/* Between these two our handler stands and SIGBUS reaches the calling thread. Calls of
 * several threads may overlap; the last to leave puts back what was there before the first.
 * `saved` keeps the thread's own part. */
struct sigbus_saved {
	bool blocked;
};
bool sigbus_enter(struct sigbus_saved *saved);
void sigbus_leave(const struct sigbus_saved *saved);

/* Calls fn(arg); false if a SIGBUS for an access of its own cut it short. */
__attribute__((warn_unused_result)) bool sigbus_try(void (*fn)(void *), void *arg,
						    struct sigbus_fault *ret);
