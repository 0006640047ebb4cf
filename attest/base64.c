/* attest/base64.c - one spelling for each sequence of bytes. */
#include "attest/base64.h"

static const char alphabet[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_encode(const void *bytes, size_t len, char *ret)
{
	const uint8_t *in = bytes;

	for (; len > 0; in += 3) {
		uint32_t bits = (uint32_t)in[0] << 16;

		bits |= len > 1 ? (uint32_t)in[1] << 8 : 0;
		bits |= len > 2 ? in[2] : 0;
		*ret++ = alphabet[bits >> 18];
		*ret++ = alphabet[bits >> 12 & 63];
		*ret++ = '=';
		*ret++ = '=';
		if (len > 1)
			ret[-2] = alphabet[bits >> 6 & 63];
		if (len > 2)
			ret[-1] = alphabet[bits & 63];
		len -= len < 3 ? len : 3;
	}
	*ret = '\0';
}

/* 0..63, or 64 for a character outside of the alphabet. */
static uint32_t value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return (uint32_t)(c - 'A');
	if (c >= 'a' && c <= 'z')
		return (uint32_t)(c - 'a') + 26;
	if (c >= '0' && c <= '9')
		return (uint32_t)(c - '0') + 52;
	return c == '+' ? 62 : c == '/' ? 63 : 64;
}

bool base64_decode(const char *text, size_t len, void *ret, size_t size, size_t *ret_len)
{
	uint8_t *out = ret;
	size_t n = 0;

	if (len % 4 != 0)
		return false;
	for (size_t at = 0; at < len; at += 4) {
		bool last = at + 4 == len;
		size_t pad = 0, take;
		uint32_t bits = 0;

		if (last)
			pad = (text[at + 3] == '=') +
			      (text[at + 3] == '=' && text[at + 2] == '=');
		take = 3 - pad;
		for (size_t i = 0; i < 4; i++) {
			uint32_t v = i < 4 - pad ? value(text[at + i]) : 0;

			if (v == 64)
				return false;
			bits = bits << 6 | v;
		}
		/* Of a padded group the bits behind the last byte are zero. */
		if ((bits & ((1u << 8 * pad) - 1)) != 0 || size - n < take)
			return false;
		for (size_t i = 0; i < take; i++)
			out[n++] = (uint8_t)(bits >> (16 - 8 * i));
	}
	*ret_len = n;
	return true;
}
