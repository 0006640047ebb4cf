/* memscrub/error.c - statuses and findings. */
#include "memscrub/memscrub.h"

#include <errno.h>
#include <stdarg.h>

int memscrub_exit(enum memscrub_status s)
{
	switch (s) {
	case MEMSCRUB_OK:
		return 0;
	case MEMSCRUB_RESIDUE:
	case MEMSCRUB_REFUSED:
		return 1;
	case MEMSCRUB_SYSTEM:
		break;
	}
	return 3;
}

enum memscrub_status(memscrub_fail)(struct memscrub_error *e, enum memscrub_status s,
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

/* A tenant may have named the file. */
static void put_clean(FILE *to, const char *s)
{
	for (; *s; s++)
		putc((unsigned char)*s < 0x20 || *s == 0x7f ? '?' : *s, to);
}

void memscrub_error_print(FILE *to, const char *program, const struct memscrub_error *e)
{
	fprintf(to, "%s: ", program);
	put_clean(to, e->where);
	fputs(e->where[0] ? ": " : "", to);
	put_clean(to, e->what);
	fputs(e->hint[0] ? "; " : "", to);
	put_clean(to, e->hint);
	putc('\n', to);
}
