/*
 * runtime/clerk_keys.h - the clerk's two private keys: of the log, and of receipts.
 *
 * STATE/keys/NAME.key is the seed (32 bytes, RFC 8032) and behind it the key's name; it is
 * made once, whole and durable before anything is signed with it. Nobody but the clerk
 * reads it; its public half is a file beside the folder.
 */
#pragma once

#include "attest/note.h"
#include "runtime/runtime.h"

struct clerk_keys {
	struct note_signer *log, *receipt;
	char origin[NOTE_NAME]; /* of the log: HOST/cordon/RANDOM */
};

/* Opens, or makes what is missing, below the state folder. */
__attribute__((warn_unused_result)) enum runtime_status
clerk_keys_open(int state_fd, struct clerk_keys *ret, struct runtime_error *reterr);
void clerk_keys_close(struct clerk_keys *k);

/* The state folder has once shown a checkpoint of its log to others: from then on a log
 * that is not there is a log that was removed. */
bool clerk_keys_published(int state_fd);
__attribute__((warn_unused_result)) enum runtime_status
clerk_keys_set_published(int state_fd, struct runtime_error *reterr);

/* An attest finding in our words. */
enum runtime_status clerk_attest_fail(struct runtime_error *e, enum attest_status s,
				      const struct attest_error *from);
