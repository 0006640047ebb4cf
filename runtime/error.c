/* runtime/error.c - statuses, findings, clean text, and two cleanups. */
#include "runtime/runtime.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int runtime_exit(enum runtime_status s)
{
	switch (s) {
	case RUNTIME_OK:
		return 0;
	case RUNTIME_REFUSED:
		return 1;
	case RUNTIME_MALFORMED:
		return 2;
	case RUNTIME_SYSTEM:
		break;
	}
	return 3;
}

enum runtime_status(runtime_fail)(struct runtime_error *e, enum runtime_status s,
				  const char *where, const char *hint, const char *what, ...)
{
	int saved = errno; /* for %m in `what`, and for the caller afterwards */
	va_list ap;

	if (!e)
		return s;
	va_start(ap, what);
	vsnprintf(e->what, sizeof(e->what), what, ap);
	va_end(ap);
	snprintf(e->where, sizeof(e->where), "%s", where ? where : "");
	snprintf(e->hint, sizeof(e->hint), "%s", hint ? hint : "");
	errno = saved;
	return s;
}

void runtime_error_print(FILE *to, const char *program, const struct runtime_error *e)
{
	char what[4 * sizeof(e->what)], where[4 * sizeof(e->where)], hint[4 * sizeof(e->hint)];

	text_escape(what, sizeof(what), e->what);
	text_escape(where, sizeof(where), e->where);
	text_escape(hint, sizeof(hint), e->hint);
	fprintf(to, "%s: %s%s%s%s%s\n", program, where, where[0] ? ": " : "", what,
		hint[0] ? "; " : "", hint);
}

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

void closep(int *fd)
{
	int saved = errno;

	if (*fd >= 0)
		close(*fd);
	*fd = -1;
	errno = saved;
}

void freep(void *p)
{
	void *memory;

	memcpy(&memory, p, sizeof(memory)); /* `p` points at a pointer of any type */
	free(memory);
}
