/*
 * attest/keyd_wire.h - the messages between the processes of the key service, and of
 * `cordon key` with it, over SOCK_SEQPACKET unix sockets: one datagram is one message, each
 * type has one length and one layout. No JSON and no pointers: whoever reads a message has
 * read all there is to read.
 *
 *   front -> store    AUTH, ATTEST, RELEASE      answered by CHALLENGE, ATTESTED, SEALED; or NO
 *   store -> zygote   VERIFY with the evidence and a socket for the one answer
 *   verifier -> store VERDICT on that socket, once
 *   admin -> store    KEY_PUT ... POLICY_LIST    answered by KEY or POLICY lines, then DONE; or NO
 *
 * Layout, little-endian: magic u32 "CKD1", type u32, ticket u64, then the type's fields in
 * the order of its struct: numbers as u32 or u64, texts and bytes padded with zeros to their
 * full size, `len` as u32 in front of bytes whose number varies. A text is clean UTF-8.
 * Answers carry the ticket of their question.
 *
 * KEY_PUT, KEY_ROTATE and what is made of them hold a secret in clear: struct keyd_message
 * and the bytes lie in guarded memory (struct keyd_wire), and are zeroed after each message.
 */
#pragma once

#include "attest/attest.h"
#include "attest/jwk.h"

#define KEYD_SESSION 16u  /* bytes of a session's id: the cookie */
#define KEYD_NONCE 32u    /* bytes */
#define KEYD_BINDING 64u  /* bytes of report_data */
#define KEYD_TENANT 64u   /* with the zero, here and below */
#define KEYD_SEGMENT 128u /* of a resource's type and tag */
#define KEYD_TEE 32u
#define KEYD_TEXT 256u
#define KEYD_SECRET_MAX 4096u /* bytes of a secret */
#define KEYD_POLICY_MAX 32768u
#define KEYD_JWE_MAX 8192u /* characters of a sealed secret as JSON */
#define KEYD_TOKEN_MAX 4096u
#define KEYD_CLAIMS 64u
#define KEYD_FDS 2

enum keyd_type {
	/* front to store */
	KEYD_AUTH = 1,
	KEYD_ATTEST, /* fd: the body of the request, a sealed memfd; the store never reads it */
	KEYD_RELEASE,
	/* store to front */
	KEYD_CHALLENGE,
	KEYD_ATTESTED,
	KEYD_SEALED,
	KEYD_NO, /* also to `cordon key` */
	/* store to zygote; fds: the body, and the verifier's socket */
	KEYD_VERIFY,
	/* verifier to store */
	KEYD_VERDICT,
	/* `cordon key` to store */
	KEYD_KEY_PUT,
	KEYD_KEY_LIST,
	KEYD_KEY_ROTATE,
	KEYD_KEY_REVOKE,
	KEYD_POLICY_PUSH,
	KEYD_POLICY_LIST,
	/* store to `cordon key` */
	KEYD_KEY,
	KEYD_POLICY,
	KEYD_DONE,
	/* goes to nobody: what a session is in the database */
	KEYD_STORED,
	KEYD_TYPES,
};

/* Why not: what somebody would treat differently, and nothing that tells a stranger more. */
enum keyd_answer {
	KEYD_OK = 0,     /* never in a NO */
	KEYD_NO_SESSION, /* none, expired, or not in that state: attest anew (401) */
	KEYD_DENIED,     /* no such key, or not for this session: one answer (403) */
	KEYD_UNATTESTED, /* the evidence was judged and refused (403) */
	KEYD_FULL,       /* as many sessions or verifications as there may be (503) */
	KEYD_FAILED,     /* disk, log, crypto: nothing was given (500) */
	/* to `cordon key` alone */
	KEYD_REFUSED,   /* the answer is no; text says why */
	KEYD_MALFORMED, /* a name, value or policy that there cannot be; text says why */
	KEYD_ANSWERS,
};

/* The resource kbs:///TENANT/TYPE/TAG. */
struct keyd_name {
	char tenant[KEYD_TENANT];
	char type[KEYD_SEGMENT], tag[KEYD_SEGMENT];
};

/* "kbs:///TENANT/TYPE/TAG" or "TENANT/TYPE/TAG". Segments are [A-Za-z0-9_-][A-Za-z0-9_.-]*,
 * a tenant is [a-z0-9][a-z0-9-]*. */
__attribute__((warn_unused_result)) enum attest_status
keyd_name_parse(const char *text, struct keyd_name *ret, struct attest_error *reterr);
bool keyd_name_valid(const struct keyd_name *n);
bool keyd_tenant_valid(const char *tenant);

/* The ephemeral public key that a session's secrets are sealed to, as its numbers
 * (attest/jwk.h, use JWK_TEE): the store makes the JSON of them, so there is one spelling. */
struct keyd_key {
	uint32_t kind; /* enum jwk_kind */
	uint32_t a_len;
	uint8_t a[JWK_A];
	uint32_t b_len;
	uint8_t b[JWK_B];
};

/* False: no key that secrets are sealed to. */
bool keyd_key_get(const struct keyd_key *k, struct jwk *ret);
void keyd_key_set(struct keyd_key *k, const struct jwk *from);

/* ---- sessions ---------------------------------------------------------------------- */

struct keyd_auth {
	char tee[KEYD_TEE];
	uint32_t hash; /* enum kbs_hash that report_data will be made with */
};

struct keyd_challenge {
	uint8_t session[KEYD_SESSION];
	uint8_t nonce[KEYD_NONCE]; /* goes out in base64 with padding */
	uint32_t seconds;          /* left to live */
};

struct keyd_attest {
	uint8_t session[KEYD_SESSION];
	uint8_t nonce[KEYD_NONCE]; /* as the client repeats it */
	struct keyd_key key;
};

struct keyd_attested {
	uint32_t tier; /* enum evidence_tier */
	uint32_t seconds;
	char token[KEYD_TOKEN_MAX];
};

struct keyd_release {
	uint8_t session[KEYD_SESSION];
	struct keyd_name name;
};

struct keyd_sealed {
	char jwe[KEYD_JWE_MAX]; /* flattened JSON */
};

struct keyd_no {
	uint32_t answer;          /* enum keyd_answer */
	char text[2 * KEYD_TEXT]; /* for `cordon key`; empty to the front */
	char hint[KEYD_TEXT];
};

/* ---- verification ------------------------------------------------------------------- */

struct keyd_verify {
	char tee[KEYD_TEE];
	uint8_t report_data[KEYD_BINDING]; /* as the store computed it */
	int64_t at;                        /* the time to verify for: UTC, seconds */
};

/* One thing that the evidence says, as policy/attestation.h has it. By type: `number` is the
 * number, truth, time, or the parts that a TCB has; `bytes` are the bytes, the text, the
 * texts (each with a zero behind it), or the 16 parts of a TCB. */
struct keyd_claim {
	char name[64];
	uint32_t type; /* enum claim_type */
	uint64_t number;
	uint32_t len;
	uint8_t bytes[256];
};

#define KEYD_CHECKS 16u /* the checks of attest/evidence.h by their ids, and room */

struct keyd_verdict {
	uint32_t verdict; /* enum evidence_verdict */
	uint32_t tier;    /* enum evidence_tier: of an accepted one, WARNING or AFFIRMING */
	uint32_t class;   /* enum attestation_class: one bit; 0 only if not accepted */
	uint8_t checks[KEYD_CHECKS];   /* enum evidence_outcome */
	uint8_t excepted[KEYD_CHECKS]; /* 0 or 1 */
	char tenant[KEYD_TENANT];  /* of the bound session descriptor; empty: none was bound */
	char subject[KEYD_TENANT]; /* its session's id */
	char reason[KEYD_TEXT];    /* of a refusal */
	uint32_t n_claims;
	struct keyd_claim claims[KEYD_CLAIMS];
};

struct keyd_stored {
	uint8_t nonce[KEYD_NONCE];
	struct keyd_auth auth;
	struct keyd_key key;         /* from VERIFYING on */
	uint64_t generation;         /* of policies, when ATTESTED */
	struct keyd_verdict verdict; /* when ATTESTED */
};

/* ---- administration ----------------------------------------------------------------- */

/* KEY_PUT and KEY_ROTATE; len 0: 32 random bytes are made. */
struct keyd_key_put {
	struct keyd_name name;
	uint64_t uses; /* at most so many releases of this version; 0: no limit */
	uint32_t len;
	uint8_t value[KEYD_SECRET_MAX];
};

struct keyd_key_revoke {
	struct keyd_name name;
};

struct keyd_list {                /* KEY_LIST and POLICY_LIST */
	char tenant[KEYD_TENANT]; /* empty: all */
};

struct keyd_policy_push {
	char tenant[KEYD_TENANT];
	uint32_t len;
	char text[KEYD_POLICY_MAX];
};

struct keyd_key_line {
	struct keyd_name name;
	uint64_t version, uses, uses_max;
	int64_t made;     /* UTC, seconds */
	uint32_t revoked; /* 0 or 1 */
	uint32_t current; /* 0 or 1: the version that is released */
};

struct keyd_policy_line {
	char tenant[KEYD_TENANT];
	uint64_t version;
	int64_t made;
	uint32_t len;
	uint8_t sha256[32];
};

struct keyd_done {
	uint64_t version; /* of what was stored; how many versions were revoked */
	uint32_t logged;  /* 0: the log could not be written, the entry is owed */
};

struct keyd_message {
	uint32_t type; /* enum keyd_type: which of the union's members it is */
	uint64_t ticket;
	union {
		struct keyd_auth auth;
		struct keyd_attest attest;
		struct keyd_release release;
		struct keyd_challenge challenge;
		struct keyd_attested attested;
		struct keyd_sealed sealed;
		struct keyd_no no;
		struct keyd_verify verify;
		struct keyd_verdict verdict;
		struct keyd_key_put put;
		struct keyd_key_revoke revoke;
		struct keyd_list list;
		struct keyd_policy_push push;
		struct keyd_key_line key;
		struct keyd_policy_line policy;
		struct keyd_done done;
		struct keyd_stored stored;
	};
	int fds[KEYD_FDS]; /* owned by the message after keyd_receive */
	size_t n_fds;
};

/* Bytes of the longest message, and of one of that type (0: no such type). */
#define KEYD_WIRE_MAX 40000u
size_t keyd_wire_size(uint32_t type);
const char *keyd_type_str(uint32_t type);

/* A message and its bytes, in guarded memory. */
struct keyd_wire {
	struct keyd_message m;
	uint8_t bytes[KEYD_WIRE_MAX];
	struct keyd_message check; /* keyd_encode's own */
};

/* NULL with errno: no locked memory. */
__attribute__((warn_unused_result)) struct keyd_wire *keyd_wire_new(void);
/* Zeroes all of it and closes the descriptors of the message. */
void keyd_wire_clear(struct keyd_wire *w);
void keyd_wire_free(struct keyd_wire *w); /* accepts NULL */

/* w->m into w->bytes; what keyd_decode would refuse is refused. *ret_len is
 * keyd_wire_size(w->m.type). */
__attribute__((warn_unused_result)) enum attest_status
keyd_encode(struct keyd_wire *w, size_t *ret_len, struct attest_error *reterr);
/* w->bytes into w->m, but for its descriptors: exact length, magic, type, number of
 * descriptors, ranges, padding. On failure all of `w` is zero. */
__attribute__((warn_unused_result)) enum attest_status
keyd_decode(struct keyd_wire *w, size_t len, size_t n_fds, struct attest_error *reterr);

/* ---- over a socket ------------------------------------------------------------------- */

/* Sends w->m; descriptors in it are borrowed. ATTEST_SYSTEM with errno: EAGAIN, a gone peer. */
__attribute__((warn_unused_result)) enum attest_status keyd_send(int sock, struct keyd_wire *w,
								 struct attest_error *reterr);
/* Receives into w->m, which must be clear. *ret_closed: the peer ended, and nothing was
 * received. Descriptors arrive CLOEXEC; on failure all that came are closed. */
__attribute__((warn_unused_result)) enum attest_status
keyd_receive(int sock, struct keyd_wire *w, bool *ret_closed, struct attest_error *reterr);
