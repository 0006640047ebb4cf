/* attest/keyd_internal.h - the inside of the store, shared by its parts. */
#pragma once

#include "attest/keyd_engine.h"
#include "attest/keyd_envelope.h"
#include "attest/keyd_log.h"
#include "attest/keyd_store.h"
#include "memscrub/guard.h"

#define AUTO(fn) __attribute__((cleanup(fn)))

/* guard_alloc gave nothing. */
static inline enum attest_status keyd_no_memory(const char *where, struct attest_error *e)
{
	return attest_fail(e, ATTEST_SYSTEM, where,
			   "raise the limit of locked memory (ulimit -l)",
			   "no locked memory: %m");
}

#define KEYD_HANDLE 33u /* a session in the log: the first half of its id's digest, in hex */
#define KEYD_PATH 400u  /* kbs:///TENANT/TYPE/TAG */

struct keyd_store {
	struct keyd_config config; /* without zeros; `admins` is a copy */
	uid_t *admins;
	const struct keyd_engine *engine;
	struct keyd_db *db;
	struct keyd_root *root;
	struct keyd_log *log;
	struct keyd_token_key *token_key; /* guarded */
	uint64_t log_seen;                /* entries that the database remembers */
	int64_t forbidden_at;             /* when it was last logged that somebody may not */
	uint64_t forbidden;               /* who came since then */
	struct keyd_wire *pack;
	/* Of the request that is being served. */
	struct keyd_session_row session;
	struct keyd_stored stored;       /* what session.body says */
	struct keyd_key_row key, before; /* and the version that it replaces */
	struct keyd_policy_row pinned, current;
};

int64_t keyd_now(const struct keyd_store *s);
void keyd_path(const struct keyd_name *n, char ret[static KEYD_PATH]);

/* Loads s->session and s->stored. ATTEST_REFUSED: there is none, it has expired, or is not
 * in that state. */
__attribute__((warn_unused_result)) enum attest_status
keyd_session_load(struct keyd_store *s, const uint8_t session[static KEYD_SESSION],
		  enum keyd_state wanted, struct attest_error *e);
void keyd_session_handle(const struct keyd_store *s, char ret[static KEYD_HANDLE]);
/* s->stored into s->session, which goes from one state to the next in the database. */
__attribute__((warn_unused_result)) enum attest_status
keyd_session_step(struct keyd_store *s, enum keyd_state to, struct attest_error *e);

/* The token of s->session: the caller's to free. */
__attribute__((warn_unused_result)) enum attest_status
keyd_token_make(const struct keyd_store *s, char **ret, struct attest_error *e);
/* A new token key: PKCS #8 DER in guarded memory. */
__attribute__((warn_unused_result)) enum attest_status
keyd_token_key_new(uint8_t **ret, size_t *ret_len, struct attest_error *e);
/* For use, the caller's to guard_free; `pem` gets its public half. */
#define KEYD_PEM 512u
__attribute__((warn_unused_result)) enum attest_status
keyd_token_key_open(const uint8_t *der, size_t len, struct keyd_token_key **ret,
		    char pem[static KEYD_PEM], size_t *ret_len, struct attest_error *e);

/* The tenant's key: guarded, the caller's to guard_free. */
__attribute__((warn_unused_result)) enum attest_status keyd_tenant_key(struct keyd_store *s,
								       const char *tenant,
								       bool make, uint8_t **ret,
								       struct attest_error *e);

/* The key's newest version into s->key, as it was written. ATTEST_REFUSED: there is no such
 * key. ATTEST_MALFORMED: its row was changed, or a newer one is gone from the database. */
__attribute__((warn_unused_result)) enum attest_status
keyd_key_newest(struct keyd_store *s, const struct keyd_name *name, struct attest_error *e);

/* Adds a datum to an entry; there is room. */
static inline void keyd_say(struct log_entry *e, const char *name, const char *text)
{
	if (text && text[0])
		e->data[e->n_data++] = (struct log_datum){ .name = name, .text = text };
}

static inline void keyd_say_number(struct log_entry *e, const char *name, uint64_t v)
{
	/* No number of ours grows beyond 53 bits in the life of a store but a limit. */
	e->data[e->n_data++] = (struct log_datum){ .name = name,
						   .number = v < (UINT64_C(1) << 53)
								     ? (int64_t)v
								     : (INT64_C(1) << 53) - 1 };
}

/* Writes what the log is owed, oldest first. True: nothing is owed any more. */
bool keyd_owed_pay(struct keyd_store *s, struct attest_error *e);

/* Says, and logs, that the peer is no administrator. ATTEST_REFUSED. */
enum attest_status keyd_forbid(struct keyd_store *s, const struct keyd_peer *peer,
			       const char *what, struct attest_error *e);
