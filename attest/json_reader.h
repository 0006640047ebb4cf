/*
 * attest/json_reader.h - JSON that somebody else wrote, as jansson's values. The caps are
 * held on the text, before a parser sees it. Keeps and prints nothing; thread-safe.
 */
#pragma once

#include "attest/attest.h"
#include "attest/span.h"

struct json_t; /* jansson's */

struct json_caps {
	size_t bytes;
	unsigned depth;  /* of objects and arrays within each other */
	unsigned values; /* of all kinds, names of members counted too */
};

/*
 * One JSON object (RFC 8259) and nothing behind it but white space. Members that come twice,
 * what is no UTF-8, a NUL in a text, numbers that 64 bits cannot hold: ATTEST_MALFORMED, with
 * `where` (what is read: "token header") in the error. *ret is the caller's to json_decref.
 */
__attribute__((warn_unused_result)) enum attest_status
jr_object(struct span text, const struct json_caps *caps, const char *where,
	  struct json_t **ret, struct attest_error *reterr);
/* A member that is a text; NULL: there is none, or it is something else. Borrowed. */
const char *jr_text(const struct json_t *object, const char *name);
/* Whether each member's name is one of `names`, which ends in NULL. */
bool jr_only(const struct json_t *object, const char *const names[]);
