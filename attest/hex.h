/* attest/hex.h - bytes as lower-case hexadecimal digits, and back. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HEX_SIZE(n) (2 * (n) + 1) /* digits of `n` bytes and a final zero */

static inline void hex_print(const uint8_t *bytes, size_t n, char *ret)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < n; i++) {
		ret[2 * i] = digits[bytes[i] >> 4];
		ret[2 * i + 1] = digits[bytes[i] & 15];
	}
	ret[2 * n] = '\0';
}

static inline bool hex_digit(char c, uint8_t *ret)
{
	*ret = (uint8_t)(c <= '9' ? c - '0' : c - 'a' + 10);
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

/* Exactly `n` bytes from 2 * n lower-case digits; one spelling only. */
static inline bool hex_parse(const char *text, size_t len, uint8_t *ret, size_t n)
{
	if (len != 2 * n)
		return false;
	for (size_t i = 0; i < n; i++) {
		uint8_t high, low;

		if (!hex_digit(text[2 * i], &high) || !hex_digit(text[2 * i + 1], &low))
			return false;
		ret[i] = (uint8_t)(high << 4 | low);
	}
	return true;
}
