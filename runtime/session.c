/* runtime/session.c - the table. An empty cell is a refused event. */
#include "runtime/session.h"

#include <stddef.h>

/* clang-format off */
static const enum session_state table[SESSION_STATES][SESSION_EVENTS] = {
	[SESSION_NONE]        = { [EV_HELD]        = SESSION_PREPARED,
				  [EV_HOLD_FAILED] = SESSION_SCRUBBING,
				  [EV_LOST]        = SESSION_LOST },
	[SESSION_PREPARED]    = { [EV_ATTEST]      = SESSION_ATTESTING,
				  [EV_START]       = SESSION_RUNNING,
				  [EV_REFUSED]     = SESSION_SCRUBBING,
				  [EV_ENDING]      = SESSION_SCRUBBING,
				  [EV_LOST]        = SESSION_LOST },
	[SESSION_ATTESTING]   = { [EV_AFFIRMED]    = SESSION_RUNNING,
				  [EV_REFUSED]     = SESSION_SCRUBBING,
				  [EV_ENDING]      = SESSION_SCRUBBING,
				  [EV_LOST]        = SESSION_LOST },
	[SESSION_RUNNING]     = { [EV_ENDING]      = SESSION_STOPPING,
				  [EV_LOST]        = SESSION_LOST },
	[SESSION_STOPPING]    = { [EV_GONE]        = SESSION_SCRUBBING,
				  [EV_LOST]        = SESSION_LOST },
	[SESSION_SCRUBBING]   = { [EV_CLEAN]       = SESSION_CLEAN,
				  [EV_RESIDUE]     = SESSION_QUARANTINED,
				  [EV_LOST]        = SESSION_LOST },
	[SESSION_QUARANTINED] = { [EV_SCRUB]       = SESSION_SCRUBBING,
				  [EV_LOST]        = SESSION_LOST },
};

static const char *const state_names[SESSION_STATES] = {
	[SESSION_NONE]        = "NONE",
	[SESSION_PREPARED]    = "PREPARED",
	[SESSION_ATTESTING]   = "ATTESTING",
	[SESSION_RUNNING]     = "RUNNING",
	[SESSION_STOPPING]    = "STOPPING",
	[SESSION_SCRUBBING]   = "SCRUBBING",
	[SESSION_CLEAN]       = "CLEAN",
	[SESSION_QUARANTINED] = "QUARANTINED",
	[SESSION_LOST]        = "LOST",
};

static const char *const event_names[SESSION_EVENTS] = {
	[EV_HELD]        = "held",
	[EV_HOLD_FAILED] = "hold-failed",
	[EV_ATTEST]      = "attest",
	[EV_AFFIRMED]    = "affirmed",
	[EV_START]       = "start",
	[EV_REFUSED]     = "refused",
	[EV_ENDING]      = "ending",
	[EV_GONE]        = "gone",
	[EV_CLEAN]       = "clean",
	[EV_RESIDUE]     = "residue",
	[EV_SCRUB]       = "scrub",
	[EV_LOST]        = "lost",
};
/* clang-format on */

enum session_state session_next(enum session_state s, enum session_event ev)
{
	if ((unsigned)s >= SESSION_STATES || (unsigned)ev >= SESSION_EVENTS)
		return SESSION_NONE;
	return table[s][ev];
}

bool session_final(enum session_state s)
{
	return s == SESSION_CLEAN || s == SESSION_QUARANTINED || s == SESSION_LOST;
}

const char *session_state_str(enum session_state s)
{
	return (unsigned)s < SESSION_STATES ? state_names[s] : "unknown";
}

const char *session_event_str(enum session_event ev)
{
	const char *name = (unsigned)ev < SESSION_EVENTS ? event_names[ev] : NULL;

	return name ? name : "unknown";
}
