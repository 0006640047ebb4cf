/*
 * attest/kbs.h - the messages of the KBS attestation protocol 0.4.0 (Confidential Containers,
 * kbs-types 0.16): both sides write and read them here. HTTP is http.h's; which evidence is
 * good is decided elsewhere. Nothing here prints, or keeps a secret.
 *
 * Reading: the bounds of json_reader.h, with KBS_DEPTH and KBS_VALUES; duplicate members are
 * refused; members that are not known are ignored, as the original does. ATTEST_MALFORMED
 * says in `where` which member is wrong ("runtime-data.nonce").
 */
#pragma once

#include "attest/attest.h"
#include "attest/http.h"

struct json_t; /* jansson's */

#define KBS_VERSION "0.4.0"
#define KBS_PREFIX "/kbs/v0"
#define KBS_COOKIE "kbs-session-id"
#define KBS_SESSION_ID 33u /* 32 lower-case hexadecimal digits and a zero */
#define KBS_BODY_MAX (4u << 20)
#define KBS_DEPTH 32u             /* brackets in one another */
#define KBS_VALUES (1u << 16)     /* an SNP report and its certificates, byte by byte: 7000 */
#define KBS_TOKEN_MAX (96u << 10) /* it has to fit into a head */
#define KBS_TEE 32u               /* with the zero */
#define KBS_NONCE 129u            /* with the zero; ours have 44 characters */
#define KBS_RESOURCE_PATH 505u /* REPOSITORY/TYPE/TAG: what a policy may name, "kbs:///" off */
#define KBS_BINDING 64u        /* bytes of report_data, whatever the digest */

/* ---- paths and sessions ------------------------------------------------------------ */

enum kbs_endpoint {
	KBS_NO_ENDPOINT = 0, /* 404; see also KBS_BAD_METHOD */
	KBS_BAD_METHOD,      /* 405: the path is one of ours */
	KBS_AUTH,            /* POST /kbs/v0/auth */
	KBS_ATTEST,          /* POST /kbs/v0/attest */
	KBS_RESOURCE,        /* GET /kbs/v0/resource/REPOSITORY/TYPE/TAG */
};

/* Each segment is [A-Za-z0-9_-][A-Za-z0-9_.-]*. */
struct kbs_resource {
	struct span repository, type, tag; /* borrowed from the head */
};

/*
 * What a guest asks for. `ret` is written for KBS_RESOURCE only. One empty segment is passed
 * over right behind "resource": versions of the trustee-attester tool send
 * /kbs/v0/resource//REPOSITORY/TYPE/TAG. No other path has a second spelling.
 */
enum kbs_endpoint kbs_endpoint(const struct http_head *h, struct kbs_resource *ret);

/* The session that a request names; HTTP_AMBIGUOUS also for what is no id. */
enum http_found kbs_session(const struct http_head *h, char ret[static KBS_SESSION_ID]);
/* The session that an answer sets. */
enum http_found kbs_set_session(const struct http_head *h, char ret[static KBS_SESSION_ID]);
/* The value of Set-Cookie. `secure`: the connection is TLS; over any other the client would
 * not send such a cookie back. */
#define KBS_SET_COOKIE 160u
void kbs_set_cookie(const char id[static KBS_SESSION_ID], unsigned max_age_seconds, bool secure,
		    char ret[static KBS_SET_COOKIE]);

/* ---- hashes and the binding -------------------------------------------------------- */

enum kbs_hash {
	KBS_SHA384 = 0, /* where nobody selected one */
	KBS_SHA256,
	KBS_SHA512,
	KBS_HASHES,
};

const char *kbs_hash_str(enum kbs_hash h);

/*
 * report_data: the digest of {"additional-evidence", "nonce", "tee-pubkey"} in canonical form
 * (RFC 8785), zeros behind it. `tee_pubkey` is canonical already (jwk_print, or jcs_print of
 * what was sent). `additional` NULL: the form for a further device, without that member.
 * Needs no jansson. ATTEST_MALFORMED: nonce or key are longer than any such.
 */
#define KBS_PUBKEY 8192u /* bytes; the largest RSA key has less than 1 KiB */
__attribute__((warn_unused_result)) enum attest_status
kbs_binding(enum kbs_hash hash, const char *nonce, const char *tee_pubkey,
	    const char *additional, uint8_t ret[static KBS_BINDING],
	    struct attest_error *reterr);

/* ---- Request: POST /auth ----------------------------------------------------------- */

struct kbs_request {
	char tee[KBS_TEE]; /* [a-z0-9-]+; whether it is welcome is the caller's to judge */
	unsigned hashes;   /* bit 1u << KBS_x for each supported-hash-algorithms that we know */
};

/* ATTEST_REFUSED: another version of the protocol; `what` holds the words that clients look
 * for. */
__attribute__((warn_unused_result)) enum attest_status
kbs_request_parse(struct span body, struct kbs_request *ret, struct attest_error *reterr);
/* What is written is the caller's to free, here and below: *ret_len bytes and a zero. */
__attribute__((warn_unused_result)) enum attest_status
kbs_request_write(const char *tee, char **ret, size_t *ret_len, struct attest_error *reterr);

/* ---- Challenge --------------------------------------------------------------------- */

struct kbs_challenge {
	char nonce[KBS_NONCE]; /* opaque to the client */
	enum kbs_hash hash;
};

__attribute__((warn_unused_result)) enum attest_status
kbs_challenge_parse(struct span body, struct kbs_challenge *ret, struct attest_error *reterr);
/* KBS_SHA384 is left unsaid, as the original does. */
__attribute__((warn_unused_result)) enum attest_status
kbs_challenge_write(const struct kbs_challenge *c, char **ret, size_t *ret_len,
		    struct attest_error *reterr);

/* ---- Attestation: POST /attest ----------------------------------------------------- */

struct kbs_attestation {
	const char *nonce;
	struct json_t *tee_pubkey; /* an object */
	struct json_t *primary;    /* primary_evidence: any JSON */
	const char *additional; /* additional_evidence: "", or a text that nobody looked into */
	const char *init_data;  /* TOML; NULL: none */
	struct json_t *root;    /* of a parsed one: it owns all above */
};

__attribute__((warn_unused_result)) enum attest_status
kbs_attestation_parse(struct span body, struct kbs_attestation *ret,
		      struct attest_error *reterr);
/* After kbs_attestation_parse; cleared memory is allowed. */
void kbs_attestation_free(struct kbs_attestation *a);
/* `root` is not looked at, `additional` may be NULL for none. */
__attribute__((warn_unused_result)) enum attest_status
kbs_attestation_write(const struct kbs_attestation *a, char **ret, size_t *ret_len,
		      struct attest_error *reterr);

/* ---- Attestation response ---------------------------------------------------------- */

/* A token is a compact JWS: three parts of base64url. Parsed, it is the caller's to free. */
__attribute__((warn_unused_result)) enum attest_status
kbs_token_parse(struct span body, char **ret, struct attest_error *reterr);
__attribute__((warn_unused_result)) enum attest_status
kbs_token_write(const char *token, char **ret, size_t *ret_len, struct attest_error *reterr);

/* ---- errors ------------------------------------------------------------------------ */

/*
 * Every answer but 200, by cause. A client attests anew at 401 and gives up at any other:
 * so 401 is for sessions alone. KBS_DENIED is one answer, word for word, for "there is no
 * such resource", "it is not yours" and "the policy says no": whoever asks learns nothing.
 */
enum kbs_answer {
	KBS_NO_SESSION = 0, /* 401: no cookie or token, an unknown or expired one */
	KBS_BAD_TOKEN,      /* 401: it does not verify */
	KBS_DENIED,         /* 403: the detail is fixed */
	KBS_MALFORMED,      /* 400: the body is no such message */
	KBS_WRONG_VERSION,  /* 400 */
	KBS_NOT_ATTESTED,   /* 403: the evidence was judged and refused */
	KBS_NO_PATH,        /* 404: no endpoint; says nothing about resources */
	KBS_NO_SUCH_METHOD, /* 405 */
	KBS_SLOW_DOWN,      /* 429 */
	KBS_INTERNAL,       /* 500 */
	KBS_BUSY,           /* 503 */
	KBS_HTTP_FAULT,     /* the status of a struct http_fault */
	KBS_ANSWERS,
};

/* KBS_HTTP_FAULT: 400. */
unsigned kbs_answer_status(enum kbs_answer a);
/* {"detail","type"}, cut at a whole character where `detail` is very long; NULL: the words of
 * the cause. It goes to a stranger: no secrets and no policy in it. */
#define KBS_ERROR_BODY 2048u
void kbs_error_write(enum kbs_answer a, const char *detail, char ret[static KBS_ERROR_BODY],
		     size_t *ret_len);

struct kbs_error {
	char type[64];    /* the last part of its URL: "PolicyDeny" */
	char detail[512]; /* escaped for a terminal */
};

__attribute__((warn_unused_result)) enum attest_status
kbs_error_parse(struct span body, struct kbs_error *ret, struct attest_error *reterr);
