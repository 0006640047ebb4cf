/* policy/text.c - what a terminal may be shown. */
#include "policy/text.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* Unicode characters that move the cursor or reorder what a person reads: C1
 * controls, line and paragraph separators, directional marks and overrides. */
static bool misleads(uint32_t c)
{
	return (c >= 0x80 && c <= 0x9f) || c == 0x200e || c == 0x200f ||
	       (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
}

/* Bytes of the one clean character that `s` starts with; 0 when it starts with none.
 * RFC 3629, section 4: shortest forms only, no surrogates, nothing above 10FFFF. */
static size_t character(const char *s)
{
	static const struct {
		uint8_t first, last;
		size_t more;
		uint32_t least;
	} forms[] = { { 0xc2, 0xdf, 1, 0x80 },
		      { 0xe0, 0xef, 2, 0x800 },
		      { 0xf0, 0xf4, 3, 0x10000 } };
	uint8_t b = (uint8_t)s[0];

	if (b < 0x80)
		return b >= 0x20 && b != 0x7f;
	for (size_t f = 0; f < sizeof(forms) / sizeof(forms[0]); f++) {
		uint32_t c = b & (0x3fu >> forms[f].more);

		if (b < forms[f].first || b > forms[f].last)
			continue;
		for (size_t i = 1; i <= forms[f].more; i++) {
			if (((uint8_t)s[i] & 0xc0) != 0x80)
				return 0; /* also where the text ends */
			c = c << 6 | ((uint8_t)s[i] & 0x3fu);
		}
		if (c < forms[f].least || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff) ||
		    misleads(c))
			return 0;
		return forms[f].more + 1;
	}
	return 0;
}

bool text_clean(const char *s)
{
	while (*s) {
		size_t n = character(s);

		if (n == 0)
			return false;
		s += n;
	}
	return true;
}

void text_escape(char *to, size_t size, const char *from)
{
	while (*from) {
		char hex[5];
		size_t n = character(from), take = n;
		const char *piece = from;

		if (n == 0) {
			snprintf(hex, sizeof(hex), "\\x%02x", (unsigned)(uint8_t)*from);
			piece = hex;
			n = 4;
			take = 1;
		}
		if (n >= size)
			break;
		memcpy(to, piece, n);
		to += n;
		size -= n;
		from += take;
	}
	if (size > 0)
		*to = '\0';
}
