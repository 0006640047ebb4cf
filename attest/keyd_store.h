/*
 * attest/keyd_store.h - the store of the key service: the one process that opens its keys,
 * its database and its audit log. It parses no evidence and no JSON of strangers.
 *
 * The folder of a store, for its owner alone:
 *   root.kek       32 bytes, 0400: wraps the tenants' keys (custody: file)
 *   log.key        what signs its audit log, 0400;  token.key: what signs tokens
 *   log.vkey       the log's verifier key, for `cordon audit`;  token.pub: PEM
 *   log/           the audit log (attest/log_writer.h)
 *   store.db       sessions, sealed keys, policies (attest/keyd_engine.h)
 *   admin.sock     `cordon key`
 *
 * How the others talk with it (attest/keyd_wire.h has the messages):
 *
 *   front     One socketpair for its life. It turns HTTP and KBS JSON into AUTH, ATTEST and
 *             RELEASE; any number may be under way, told apart by ticket. With ATTEST goes
 *             the body of the request as a sealed memfd (MFD_ALLOW_SEALING with all four
 *             seals), which the store hands on unread. `additional_evidence` must be "" and
 *             the key one that attest/jwk.h reads as JWK_TEE: the front refuses all else. The front never
 *             sees a verdict before the store has it, and cannot make one.
 *   verifier  For each ATTEST the store sends VERIFY to the zygote with two descriptors: the
 *             body, and one end of a new socketpair. The zygote forks; the child takes the
 *             body apart, verifies and appraises it for the report_data of VERIFY (which
 *             never passes through the front), sends one VERDICT and ends. A socket that
 *             ends without a whole VERDICT, or later than `verify_seconds`, is a refusal. So
 *             a verifier that was taken over can lie about its own call, and about no other.
 *   admin     Connections to admin.sock by the uids of the list, one verb each.
 *
 * Sessions: AUTHED -> VERIFYING -> ATTESTED; each step is a compare-and-swap in the database,
 * so that of two at once one wins, in one process or in several. A nonce ends with the first
 * ATTEST of its session, durably, before anything is verified. What the session may get is
 * judged at each release by two policies of the resource's tenant, and both must allow: the
 * one that was newest when it attested (its `generation`), and the one that is newest now.
 *
 * A release: evaluate - count durably - log entry durable - seal. A crash between two steps
 * burns a use and gives nothing. Where the log cannot be written nothing leaves.
 *
 * Single-threaded. Times are UTC seconds of the machine's clock.
 */
#pragma once

#include "attest/keyd_wire.h"
#include "attest/log_writer.h"

/* What decides about policies: wired to policy/attestation.h and attest/evidence.h. */
struct keyd_judge {
	void *arg;
	/* May this become a tenant's policy? ATTEST_REFUSED, too, where it accepts a class of
	 * evidence without a reference value for it. */
	enum attest_status (*check)(void *arg, const char *tenant, const char *text, size_t len,
				    struct attest_error *reterr);
	/* Does it give the resource to that session now? ATTEST_OK: yes. ATTEST_REFUSED: no.
	 * Anything else could not be told, and is a no as well. It is asked about accepted
	 * verdicts alone, and answers for tier, freshness and measurement as well. */
	enum attest_status (*allows)(void *arg, const struct keyd_name *name, const char *text,
				     size_t len, const struct keyd_verdict *verdict, int64_t at,
				     struct attest_error *reterr);
};

struct keyd_config {
	int dirfd; /* of the folder; borrowed */
	struct keyd_judge judge;
	unsigned session_seconds; /* from AUTH on; ATTEST does not prolong it. 0: 300 */
	unsigned verify_seconds;  /* 0: 30 */
	unsigned sessions_max;    /* live ones. 0: 4096 */
	int64_t (*now)(void);     /* NULL: the clock */
	const uid_t *admins;      /* who may use admin.sock beside the store's own uid */
	size_t n_admins;
};

struct keyd_store;

/* Makes what a new store needs in an empty folder. ATTEST_REFUSED: there is one already, or a
 * part of one: a missing root.kek beside a database is never made anew. */
__attribute__((warn_unused_result)) enum attest_status
keyd_store_init(int dirfd, struct attest_error *reterr);
/* ATTEST_REFUSED: the parts are not of one store. The first thing done is guard_process().
 * With a log that cannot be written, or has fewer entries than the database remembers, the
 * store opens, and refuses all but revocations. */
__attribute__((warn_unused_result)) enum attest_status
keyd_store_open(const struct keyd_config *config, struct keyd_store **ret,
		struct attest_error *reterr);
void keyd_store_close(struct keyd_store *s); /* accepts NULL */
/* What is wrong with the log; NULL: nothing. Borrowed until the next call. */
const struct attest_error *keyd_store_trouble(const struct keyd_store *s);

/* ---- one request each --------------------------------------------------------------- */

/*
 * All write `ret` on KEYD_OK alone, and `reterr` on everything else: it is for the operator's
 * eyes, holds no secret, and does not go to the asker.
 */

/* KEYD_FULL: there are sessions_max. KEYD_UNATTESTED: a class that is never welcome
 * ("sample"). */
__attribute__((warn_unused_result)) enum keyd_answer
keyd_store_auth(struct keyd_store *s, const struct keyd_auth *in, struct keyd_challenge *ret,
		struct attest_error *reterr);
/* Consumes the nonce, and says what a verifier must find. From here on the session is
 * attested or dead. */
__attribute__((warn_unused_result)) enum keyd_answer
keyd_store_attest(struct keyd_store *s, const struct keyd_attest *in, struct keyd_verify *ret,
		  struct attest_error *reterr);
/* The verdict on the session that keyd_store_attest gave to a verifier; NULL: there is none,
 * for the reason `why`, and the answer is KEYD_FAILED. Logged before it is answered, whatever it
 * is. */
__attribute__((warn_unused_result)) enum keyd_answer
keyd_store_attested(struct keyd_store *s, const uint8_t session[static KEYD_SESSION],
		    const struct keyd_verdict *verdict, const char *why,
		    struct keyd_attested *ret, struct attest_error *reterr);
/* Every no that depends on what is stored is KEYD_DENIED. */
__attribute__((warn_unused_result)) enum keyd_answer
keyd_store_release(struct keyd_store *s, const struct keyd_release *in, struct keyd_sealed *ret,
		   struct attest_error *reterr);

/* Who asks: as the kernel says it (SO_PEERCRED). */
struct keyd_peer {
	uid_t uid;
	pid_t pid;
};

/* Says one line of a list. False ends the list. */
typedef bool keyd_line(void *arg, const struct keyd_message *line);

/* KEYD_KEY_PUT to KEYD_POLICY_LIST, of a peer that may ask; another one's try is logged.
 * A revocation acts even where the log fails: ret->logged is 0 then, and the entry follows. */
__attribute__((warn_unused_result)) enum keyd_answer
keyd_store_admin(struct keyd_store *s, const struct keyd_peer *peer,
		 const struct keyd_message *in, keyd_line *line, void *arg,
		 struct keyd_done *ret, struct attest_error *reterr);
/* The store's own user, and those of the list. */
bool keyd_store_may_administer(const struct keyd_store *s, uid_t uid);

/* ---- what is to be done now and then ------------------------------------------------- */

/* Drops what has expired, writes entries that are owed, publishes the log. Returns after how
 * many ms it wants to be called again. */
int keyd_store_tick(struct keyd_store *s);

/* ---- the process ---------------------------------------------------------------------- */

struct keyd_sockets {
	/* SOCK_SEQPACKET pairs' ends. The front must take its answers at any time, also while
	 * it has more to ask: one that does not for 2 s is given up. */
	int front, zygote;
	int admin; /* listens; -1: none */
	int stop;  /* readable: end (a signalfd, a pipe); -1: none */
};

/* Serves until the front's end or `stop`. The descriptors are the caller's. */
__attribute__((warn_unused_result)) enum attest_status
keyd_store_serve(struct keyd_store *s, const struct keyd_sockets *sockets,
		 struct attest_error *reterr);
/* A listening admin.sock in a folder; one that a dead store left behind is replaced. Anybody
 * who can reach it may knock: who is heard is in the list. */
__attribute__((warn_unused_result)) enum attest_status
keyd_store_listen(int dirfd, int *ret_sock, struct attest_error *reterr);
/* The other end. What takes longer than 20 s on it fails. */
__attribute__((warn_unused_result)) enum attest_status
keyd_store_connect(int dirfd, int *ret_sock, struct attest_error *reterr);
