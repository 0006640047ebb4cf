/*
 * attest/base64.h - base64 of RFC 4648: section 4 with padding, and section 5 ("url")
 * without, as JOSE has it. Thread-safe.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Characters for `n` bytes, and a final zero. */
#define BASE64_SIZE(n) (((n) + 2) / 3 * 4 + 1)

/* `ret` has room for BASE64_SIZE(len). */
void base64_encode(const void *bytes, size_t len, char *ret);
/* Only what base64_encode writes: no spaces, no missing padding, no stray bits behind the
 * last byte. At most `size` bytes go to `ret`; more is false. */
bool base64_decode(const char *text, size_t len, void *ret, size_t size, size_t *ret_len);

/* The same for base64url, which has no padding. */
#define BASE64URL_SIZE(n) (((n)*4 + 2) / 3 + 1)
void base64url_encode(const void *bytes, size_t len, char *ret);
bool base64url_decode(const char *text, size_t len, void *ret, size_t size, size_t *ret_len);
