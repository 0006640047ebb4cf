/* attest/base64.c - one spelling for each sequence of bytes. */
#include "attest/base64.h"

static const char standard[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char for_urls[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/* ---- encoding ---------------------------------------------------------------------- */

/* Up to three bytes as n + 1 characters. */
static void put_group(const char *alphabet, const uint8_t *in, size_t n, char *ret)
{
	uint32_t bits = (uint32_t)in[0] << 16;

	bits |= n > 1 ? (uint32_t)in[1] << 8 : 0;
	bits |= n > 2 ? in[2] : 0;
	for (size_t i = 0; i <= n; i++)
		ret[i] = alphabet[bits >> (18 - 6 * i) & 63];
}

void base64_encode(const void *bytes, size_t len, char *ret)
{
	const uint8_t *in = bytes;

	while (len > 0) {
		size_t n = len < 3 ? len : 3;

		ret[2] = ret[3] = '=';
		put_group(standard, in, n, ret);
		ret += 4;
		in += n;
		len -= n;
	}
	*ret = '\0';
}

void base64url_encode(const void *bytes, size_t len, char *ret)
{
	const uint8_t *in = bytes;

	while (len > 0) {
		size_t n = len < 3 ? len : 3;

		put_group(for_urls, in, n, ret);
		ret += n + 1;
		in += n;
		len -= n;
	}
	*ret = '\0';
}

/* ---- decoding ---------------------------------------------------------------------- */

/* 0..63, or 64 for a character outside of the alphabet. */
static uint32_t value(const char *alphabet, char c)
{
	if (c >= 'A' && c <= 'Z')
		return (uint32_t)(c - 'A');
	if (c >= 'a' && c <= 'z')
		return (uint32_t)(c - 'a') + 26;
	if (c >= '0' && c <= '9')
		return (uint32_t)(c - '0') + 52;
	return c == alphabet[62] ? 62 : c == alphabet[63] ? 63 : 64;
}

/* Two to four characters as n - 1 bytes. The bits behind the last byte are zero, or there
 * would be two spellings. */
static bool take_group(const char *alphabet, const char *text, size_t n, uint8_t *ret)
{
	uint32_t bits = 0;

	for (size_t i = 0; i < n; i++) {
		uint32_t v = value(alphabet, text[i]);

		if (v == 64)
			return false;
		bits |= v << (18 - 6 * i);
	}
	for (size_t i = 0; i + 1 < n; i++)
		ret[i] = (uint8_t)(bits >> (16 - 8 * i));
	return (bits & ((1u << (24 - 8 * (n - 1))) - 1)) == 0;
}

/* `text` is without padding. */
static bool take_all(const char *alphabet, const char *text, size_t len, uint8_t *ret,
		     size_t size, size_t *ret_len)
{
	size_t bytes = len / 4 * 3 + (len % 4 ? len % 4 - 1 : 0);
	size_t n;

	if (len % 4 == 1 || bytes > size)
		return false;
	for (; len > 0; text += n, len -= n, ret += n - 1) {
		n = len < 4 ? len : 4;
		if (!take_group(alphabet, text, n, ret))
			return false;
	}
	*ret_len = bytes;
	return true;
}

bool base64_decode(const char *text, size_t len, void *ret, size_t size, size_t *ret_len)
{
	size_t pad = 0;

	if (len % 4 != 0)
		return false;
	while (pad < 2 && pad < len && text[len - 1 - pad] == '=')
		pad++;
	return take_all(standard, text, len - pad, ret, size, ret_len);
}

bool base64url_decode(const char *text, size_t len, void *ret, size_t size, size_t *ret_len)
{
	return take_all(for_urls, text, len, ret, size, ret_len);
}
