/* attest/attest.c - statuses and findings. */
#include "attest/attest.h"

#include <errno.h>
#include <stdarg.h>

#include "policy/text.h"

int attest_exit(enum attest_status s)
{
	switch (s) {
	case ATTEST_OK:
		return 0;
	case ATTEST_REFUSED:
		return 1;
	case ATTEST_MALFORMED:
		return 2;
	case ATTEST_SYSTEM:
		break;
	}
	return 3;
}

enum attest_status(attest_fail)(struct attest_error *e, enum attest_status s, const char *where,
				const char *hint, const char *what, ...)
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

void attest_error_print(FILE *to, const char *program, const struct attest_error *e)
{
	char what[4 * sizeof(e->what)], where[4 * sizeof(e->where)], hint[4 * sizeof(e->hint)];

	text_escape(what, sizeof(what), e->what);
	text_escape(where, sizeof(where), e->where);
	text_escape(hint, sizeof(hint), e->hint);
	fprintf(to, "%s: %s%s%s%s%s\n", program, where, where[0] ? ": " : "", what,
		hint[0] ? "; " : "", hint);
}
