/*
 * runtime/observe.h - what a session truthfully is. A journal says what its keeper last
 * wrote; whether that still holds depends on the boot, on the keeper and on who holds
 * the session's descriptors. Nothing here writes, kills, or starts a clerk.
 */
#pragma once

#include "runtime/journal.h"

enum observe_journal {
	OBSERVE_WHOLE = 0,
	OBSERVE_TORN,   /* a crash cut the last record short; what is before it counts */
	OBSERVE_UNBORN, /* no byte of a first record: nothing had been held */
	OBSERVE_BAD,    /* cannot be read */
	OBSERVE_JOURNALS,
};

enum observe_keeper {
	OBSERVE_KEEPER_GONE = 0,
	OBSERVE_KEEPER_ALIVE,
	OBSERVE_KEEPER_UNKNOWN,
	OBSERVE_KEEPERS,
};

enum observe_held {
	OBSERVE_HELD_NONE = 0,
	OBSERVE_HELD_SOME,
	OBSERVE_HELD_UNKNOWN,
	OBSERVE_HELDS,
};

struct observe_facts {
	enum observe_journal journal;
	enum session_state state; /* as journalled */
	bool same_boot;
	enum observe_keeper keeper;
	enum observe_held held; /* by the clerk */
};

#define OBSERVE_NOTE JOURNAL_VALUE

/* Facts to the state that is shown, and why in words ("" where there is nothing to
 * say). Total: every combination has an answer. */
enum session_state observe_judge(const struct observe_facts *f,
				 char ret_note[static OBSERVE_NOTE]);

struct observed {
	uint8_t id[SESSION_ID_BYTES];
	char hex[SESSION_ID_HEX];
	struct observe_facts facts;
	struct journal_begin begin; /* zero where the journal cannot be read */
	unsigned held;              /* descriptors at the clerk */
	bool attested;              /* the journal has the key service's yes */
	unsigned keys;              /* that it got */
	bool ran;                   /* it was RUNNING once: before, no code of the tenant ran */
	char assurance[2][16];      /* "held" and "kernel" group, "-" before there is one */
	enum session_state shown;
	char note[OBSERVE_NOTE];    /* where the state is final: the journal's last why */
	struct runtime_error error; /* OBSERVE_BAD, or what could not be told: why */
};

/* An end that stands: nothing is left for `cordon recover`. */
bool observe_ended(const struct observed *o);

/* Connected once for a whole listing; `clerk` is -1 where none runs or none answers. */
struct observer {
	const struct paths *paths;
	int clerk;
	enum observe_held without; /* what is known when `clerk` is -1 */
};
void observe_open(const struct paths *p, struct observer *ret);
void observe_close(struct observer *ob);

/* Looks at one session. `ret_journal` may be NULL. */
void observe_session(const struct observer *ob, const uint8_t id[static SESSION_ID_BYTES],
		     struct observed *ret, struct journal *ret_journal);

/* The ids of all journals; allocated. More than OBSERVE_MAX are RUNTIME_REFUSED. */
#define OBSERVE_MAX 65536u
__attribute__((warn_unused_result)) enum runtime_status
observe_ids(const struct paths *p, uint8_t (**ret)[SESSION_ID_BYTES], size_t *ret_n,
	    struct runtime_error *reterr);
/* All sessions, oldest first; allocated. */
__attribute__((warn_unused_result)) enum runtime_status
observe_all(const struct observer *ob, struct observed **ret, size_t *ret_n,
	    struct runtime_error *reterr);

/* The session that `text` names: a whole id, at least OBSERVE_PREFIX digits of one, or
 * the label of a session: a live one, else the newest that ever ran, else the newest.
 * None is RUNTIME_REFUSED; several are RUNTIME_MALFORMED, and the hint lists them. */
#define OBSERVE_PREFIX 4
__attribute__((warn_unused_result)) enum runtime_status
observe_find(const struct observer *ob, const char *text, struct observed *ret,
	     struct runtime_error *reterr);

/* A pidfd of the session's keeper, or -1: gone (ESRCH) or it could not be told. */
int observe_keeper_open(const struct journal_begin *b);
