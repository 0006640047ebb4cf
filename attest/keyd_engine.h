/*
 * attest/keyd_engine.h - where the store of the key service keeps its rows. An engine knows
 * nothing of cryptography, policies or messages: it keeps rows as they are given, durably,
 * and changes one only if it is still what the caller has seen (compare-and-swap), so that
 * several stores may share one database.
 *
 * Every change is durable when its function returns ATTEST_OK; without that it has not
 * happened, or (a lost connection, a failed flush) nobody knows and nobody may rely on
 * either. ATTEST_REFUSED: there is no such row, it is another by now, or there is one
 * already. ATTEST_SYSTEM: could not tell; ATTEST_MALFORMED: not our database, or damaged.
 *
 * `mac` authenticates a row for the store (attest/keyd_envelope.h): whoever can write the
 * database alone can delete rows or bring old ones back, and make none.
 */
#pragma once

#include "attest/keyd_wire.h"

#define KEYD_MAC 32u
#define KEYD_WRAPPED (12u + 32u + 16u)                /* of a tenant's key */
#define KEYD_SEALED_MAX (12u + KEYD_SECRET_MAX + 16u) /* nonce, ciphertext, tag */
#define KEYD_ID 32u /* SHA-256 of a session's id: who reads the database has no cookie */

/* The one way there is: each to the next. */
enum keyd_state {
	KEYD_STATE_NONE = 0,
	KEYD_STATE_AUTHED,    /* its nonce was not used */
	KEYD_STATE_VERIFYING, /* it was: attested from here, or never */
	KEYD_STATE_ATTESTED,
	KEYD_STATES,
};

struct keyd_session_row {
	uint8_t id[KEYD_ID];
	uint32_t state; /* enum keyd_state */
	int64_t made, expires;
	uint32_t body_len;
	uint8_t body[KEYD_WIRE_MAX]; /* a KEYD_STORED message without its last zeros */
	uint8_t mac[KEYD_MAC];
};

struct keyd_key_row {
	struct keyd_name name;
	uint64_t version; /* from 1 */
	int64_t made;
	uint64_t uses, uses_max; /* uses_max 0: no limit */
	uint64_t successor;      /* the version that replaced it; 0: none did */
	uint32_t sealed_len;     /* 0: revoked, and the bytes are gone */
	uint8_t sealed[KEYD_SEALED_MAX];
	uint8_t mac[KEYD_MAC];
};

struct keyd_policy_row {
	uint64_t generation; /* one sequence over all tenants, from 1 */
	char tenant[KEYD_TENANT];
	uint64_t version; /* of that tenant, from 1 */
	int64_t made;
	uint32_t len;
	char text[KEYD_POLICY_MAX];
	uint8_t mac[KEYD_MAC];
};

/* An entry that the log does not have yet. */
struct keyd_owed {
	uint64_t id; /* given by the engine; in order of time */
	int64_t t;   /* CLOCK_REALTIME, ns */
	struct keyd_peer_row {
		int64_t uid, pid;
	} peer;
	struct keyd_name name;
};

struct keyd_db; /* an engine's own */

struct keyd_engine {
	const char *name;
	/* `dirfd` and name of a file, or what else the engine goes by. `make`: there must be
	 * none; else there must be one, of our schema. */
	enum attest_status (*open)(int dirfd, const char *where, bool make,
				   struct keyd_db **ret, struct attest_error *e);
	void (*close)(struct keyd_db *db); /* accepts NULL */

	/* Adds unless there are `most` that live at `now`: ATTEST_REFUSED. */
	enum attest_status (*session_add)(struct keyd_db *db,
					  const struct keyd_session_row *row, uint64_t most,
					  int64_t now, struct attest_error *e);
	enum attest_status (*session_get)(struct keyd_db *db, const uint8_t id[static KEYD_ID],
					  struct keyd_session_row *ret, struct attest_error *e);
	/* Replaces the row if its state is `from`. */
	enum attest_status (*session_swap)(struct keyd_db *db, enum keyd_state from,
					   const struct keyd_session_row *row,
					   struct attest_error *e);
	enum attest_status (*sessions_expire)(struct keyd_db *db, int64_t now,
					      struct attest_error *e);

	/* The wrapped key of a tenant. */
	enum attest_status (*tenant_add)(struct keyd_db *db, const char *tenant,
					 const uint8_t wrapped[static KEYD_WRAPPED],
					 struct attest_error *e);
	enum attest_status (*tenant_get)(struct keyd_db *db, const char *tenant,
					 uint8_t ret[static KEYD_WRAPPED],
					 struct attest_error *e);

	/* Adds a version, and gives the one before it (NULL: there is none) its successor and
	 * mac, at once. ATTEST_REFUSED: there is that version, or not the one before. */
	enum attest_status (*key_add)(struct keyd_db *db, const struct keyd_key_row *before,
				      const struct keyd_key_row *row, struct attest_error *e);
	/* The newest version, revoked or not. */
	enum attest_status (*key_newest)(struct keyd_db *db, const struct keyd_name *name,
					 struct keyd_key_row *ret, struct attest_error *e);
	/* Sets uses and mac if `uses` is still `from` and the version was not revoked. */
	enum attest_status (*key_count)(struct keyd_db *db, const struct keyd_key_row *row,
					uint64_t from, struct attest_error *e);
	/* All versions lose their bytes, and the entry is owed, at once. ATTEST_REFUSED: no
	 * version had any. owed->id is written. */
	enum attest_status (*key_revoke)(struct keyd_db *db, const struct keyd_name *name,
					 struct keyd_owed *owed, uint64_t *ret_versions,
					 struct attest_error *e);
	/* In order of name and version, without `sealed`; its length is there. */
	enum attest_status (*keys_list)(struct keyd_db *db, const char *tenant,
					bool (*each)(void *arg, const struct keyd_key_row *row),
					void *arg, struct attest_error *e);

	/* Adds as the next generation if that is row->generation. */
	enum attest_status (*policy_add)(struct keyd_db *db, const struct keyd_policy_row *row,
					 struct attest_error *e);
	/* The newest of the tenant up to that generation. */
	enum attest_status (*policy_at)(struct keyd_db *db, const char *tenant,
					uint64_t generation, struct keyd_policy_row *ret,
					struct attest_error *e);
	enum attest_status (*policies_list)(struct keyd_db *db, const char *tenant,
					    bool (*each)(void *arg,
							 const struct keyd_policy_row *row),
					    void *arg, struct attest_error *e);
	enum attest_status (*generation)(struct keyd_db *db, uint64_t *ret,
					 struct attest_error *e);

	/* The oldest owed entry; ATTEST_REFUSED: there is none. */
	enum attest_status (*owed_first)(struct keyd_db *db, struct keyd_owed *ret,
					 struct attest_error *e);
	enum attest_status (*owed_drop)(struct keyd_db *db, uint64_t id,
					struct attest_error *e);

	/* How many entries the log had at least; it only grows. */
	enum attest_status (*log_size)(struct keyd_db *db, uint64_t *ret,
				       struct attest_error *e);
	enum attest_status (*set_log_size)(struct keyd_db *db, uint64_t size,
					   struct attest_error *e);
};

extern const struct keyd_engine keyd_sqlite;
