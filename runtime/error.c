/* runtime/error.c - statuses, findings, and two cleanups. */
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
