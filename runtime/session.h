/*
 * runtime/session.h - the states of a session and the only edges between them.
 * The table is the truth: the keeper, recovery, the documents and the tests read it.
 *
 *   NONE --held--> PREPARED --start------------> RUNNING --ending--> STOPPING
 *    |               |  \--attest--> ATTESTING --affirmed--^            |
 *    |hold-failed    |refused,ending      |refused,ending              |gone
 *    \---------------+--------------------+-----> SCRUBBING <----------/
 *                                        clean |   |   ^ scrub
 *                                        CLEAN <   > residue: QUARANTINED
 *
 *   lost: from every state but CLEAN (and LOST) to LOST, which is final.
 */
#pragma once

#include <stdbool.h>

enum session_state {
	SESSION_NONE = 0, /* as a table entry: no such edge; in a journal: nothing held yet */
	SESSION_PREPARED,
	SESSION_ATTESTING,
	SESSION_RUNNING,
	SESSION_STOPPING,
	SESSION_SCRUBBING,
	SESSION_CLEAN,
	SESSION_QUARANTINED,
	SESSION_LOST,
	SESSION_STATES,
};

enum session_event {
	EV_HELD = 1,    /* the session's memory is held: it may be prepared */
	EV_HOLD_FAILED, /* it could not be */
	EV_ATTEST,      /* keys are wanted: evidence goes out */
	EV_AFFIRMED,    /* the key service said yes */
	EV_START,       /* no keys wanted: the workload starts */
	EV_REFUSED,     /* preparation or attestation said no */
	EV_ENDING,      /* the workload ended, or somebody asked for the end */
	EV_GONE,        /* no process of the session is left */
	EV_CLEAN,       /* nothing seen, both minima met, every entry in the log */
	EV_RESIDUE,     /* anything less */
	EV_SCRUB,       /* a quarantined session is scrubbed anew */
	EV_LOST,        /* holder gone, or another boot */
	SESSION_EVENTS,
};

/* The state that `ev` leads to, or SESSION_NONE where the event is refused. */
enum session_state session_next(enum session_state s, enum session_event ev);
bool session_final(enum session_state s);            /* CLEAN, QUARANTINED, LOST */
const char *session_state_str(enum session_state s); /* "RUNNING" */
const char *session_event_str(enum session_event ev);
