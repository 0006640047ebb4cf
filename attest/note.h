/*
 * attest/note.h - signed notes, verifier keys, checkpoints.
 *
 * Sources: C2SP signed-note v1.0, tlog-checkpoint v1.0, tlog-cosignature v1.0 (Ed25519).
 * Keys are Ed25519 (RFC 8032, plain); signatures of other kinds are carried and ignored.
 * Nothing here reads a clock or a file. Thread-safe.
 */
#pragma once

#include "attest/tlog.h"

#define NOTE_MAX (1u << 20)  /* bytes of a whole note */
#define NOTE_SIGNATURES 256u /* lines read; more is malformed */
#define NOTE_KNOWN 128u      /* keys that a note may be judged by */
#define NOTE_NAME 256u       /* of a key, with its final zero */
#define NOTE_VKEY 384u       /* of a verifier key's text, with its final zero */

enum note_kind {
	NOTE_ED25519 = 0x01,     /* the key signs the text */
	NOTE_COSIGNATURE = 0x04, /* a witness's: time and text (tlog-cosignature, Ed25519) */
	NOTE_MLDSA44 = 0x06,     /* a witness's, post-quantum: known by name, never judged */
};

struct note_verifier {
	char name[NOTE_NAME];
	uint8_t id[4];
	enum note_kind kind;
	uint8_t key[32]; /* public key; of NOTE_MLDSA44 its SHA-256 */
};

/* NAME+ID+BASE64. A wrong id, name, length, or a kind that is not listed above is
 * ATTEST_MALFORMED. One final newline is allowed. */
__attribute__((warn_unused_result)) enum attest_status
note_verifier_parse(const char *text, struct note_verifier *ret, struct attest_error *reterr);
/* The verifier of an Ed25519 key; false for a name that no key can have. */
bool note_verifier_make(const char *name, enum note_kind kind, const uint8_t key[static 32],
			struct note_verifier *ret);
void note_verifier_print(const struct note_verifier *v, char ret[static NOTE_VKEY]);

struct note_signer;
/* `seed` is the private key (RFC 8032), copied into guarded memory: not swapped, not dumped,
 * not there in a forked child, zeroed by note_signer_free. libcrypto has a copy of it only
 * while it signs. */
__attribute__((warn_unused_result)) enum attest_status
note_signer_new(const char *name, const uint8_t seed[static 32], struct note_signer **ret,
		struct attest_error *reterr);
void note_signer_free(struct note_signer *s); /* accepts NULL */
const struct note_verifier *note_signer_verifier(const struct note_signer *s);
/* A signature over any bytes; and whether one holds (no, too, where memory ran out). */
__attribute__((warn_unused_result)) enum attest_status
note_sign_raw(const struct note_signer *s, const void *data, size_t len, uint8_t ret[static 64],
	      struct attest_error *reterr);
bool note_verify_raw(const uint8_t key[static 32], const void *data, size_t len,
		     const uint8_t sig[static 64]);
/* The whole note of `text` (which must be one that a note may have) with one signature;
 * *ret is the caller's to free. */
__attribute__((warn_unused_result)) enum attest_status note_sign(const struct note_signer *s,
								 const char *text, char **ret,
								 struct attest_error *reterr);

/* One signature by a known key that holds. */
struct note_mark {
	const struct note_verifier *by; /* the caller's */
	int64_t time;                   /* of a cosignature; else 0 */
};

struct note {
	const char *text; /* in the caller's bytes; `text_len` with its final newline */
	size_t text_len;
	struct note_mark marks[NOTE_KNOWN]; /* each key once */
	size_t n_marks;
	size_t unknown; /* lines of keys that are not known, or of a kind never judged */
};

/*
 * Reads and judges. ATTEST_MALFORMED: not a note. ATTEST_REFUSED: a known key's signature is
 * wrong, or no known NOTE_ED25519 key has signed. Of `known` the first NOTE_KNOWN count.
 */
__attribute__((warn_unused_result)) enum attest_status
note_open(const char *bytes, size_t len, const struct note_verifier *known, size_t n_known,
	  struct note *ret, struct attest_error *reterr);

struct checkpoint {
	char origin[NOTE_NAME];
	uint64_t size;
	struct tlog_hash root;
};

/* A note's text as a checkpoint. Extension lines are allowed and not kept. ATTEST_REFUSED:
 * an empty tree with another root than its own. */
__attribute__((warn_unused_result)) enum attest_status
checkpoint_parse(const char *text, size_t len, struct checkpoint *ret,
		 struct attest_error *reterr);
/* Text for note_sign, without extension lines. */
void checkpoint_print(const struct checkpoint *c, char ret[static NOTE_NAME + 80]);
/* Opens a checkpoint: note, text, and a signature by a known NOTE_ED25519 key whose name is
 * the origin. */
__attribute__((warn_unused_result)) enum attest_status
checkpoint_open(const char *bytes, size_t len, const struct note_verifier *known,
		size_t n_known, struct checkpoint *ret, struct note *ret_note,
		struct attest_error *reterr);
