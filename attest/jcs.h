/*
 * attest/jcs.h - the canonical text of a JSON value (RFC 8785), for what is hashed or signed
 * and was made by others. What we write ourselves is canonical at once: json_writer.h.
 */
#pragma once

#include "attest/attest.h"

#define JCS_DEPTH 32u /* objects and arrays within each other */

struct json_t; /* jansson's */

/*
 * Numbers are those of ECMAScript, to the letter (RFC 8785, section 3.2.2.3): the shortest
 * digits that read back as the same double. ATTEST_MALFORMED: an integer that no double
 * holds (9007199254740993), which the RFC leaves to others; values deeper than JCS_DEPTH.
 * *ret has *ret_len bytes and a zero behind them, and is the caller's to free. Thread-safe in
 * the C locale.
 */
__attribute__((warn_unused_result)) enum attest_status
jcs_print(const struct json_t *value, char **ret, size_t *ret_len, struct attest_error *reterr);
