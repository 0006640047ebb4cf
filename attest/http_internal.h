/* attest/http_internal.h - the grammar of heads, for whoever reads and writes them. */
#pragma once

#include "attest/http.h"

bool http_is_token(struct span s); /* RFC 9110, section 5.6.2 */
bool http_is_value(struct span s); /* of a field: ASCII, no spaces around it */
bool http_is_host(struct span s);  /* HOST[:PORT] */
bool http_is_target(struct span s, struct span *ret_path, struct span *ret_query);
bool http_same(struct span a, const char *b); /* ASCII letters of either case */

const char *http_method_str(enum http_method m);

/* `text` is a whole head: lines that end in CR LF, the last one empty, and otherwise no byte
 * but tab, space and what ASCII can print. */
bool http_head_parse(enum http_kind kind, const struct http_limits *limits, struct span text,
		     struct http_head *ret, struct http_fault *reterr);
