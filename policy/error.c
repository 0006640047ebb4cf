/* policy/error.c - findings, and the words for statuses. Needs libc alone. */
#include "policy/policy_internal.h"

#include <stdarg.h>
#include <string.h>

const char *policy_status_str(enum policy_status s)
{
	switch (s) {
	case POLICY_OK:
		return "ok";
	case POLICY_INVALID:
		return "invalid";
	case POLICY_REFUSED:
		return "refused";
	case POLICY_SYSTEM:
		return "system";
	}
	return "unknown";
}

/* Findings quote what somebody else wrote; a terminal must not obey it. */
static void one_line(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			*text = '?';
}

enum policy_status(policy_fail)(struct policy_error *e, enum policy_status s, const char *key,
				const char *hint, const char *what, ...)
{
	va_list args;

	if (!e)
		return s;
	memset(e, 0, sizeof(*e));
	snprintf(e->key, sizeof(e->key), "%s", key ? key : "");
	snprintf(e->hint, sizeof(e->hint), "%s", hint ? hint : "");
	va_start(args, what);
	vsnprintf(e->what, sizeof(e->what), what, args);
	va_end(args);
	one_line(e->key);
	one_line(e->what);
	one_line(e->hint);
	return s;
}

enum policy_status policy_fail_memory(struct policy_error *e)
{
	return policy_fail(e, POLICY_SYSTEM, NULL, NULL, "out of memory");
}

void policy_error_print(FILE *to, const struct policy_error *e)
{
	char file[sizeof(e->file)];

	snprintf(file, sizeof(file), "%s", e->file);
	one_line(file);
	fputs(file[0] ? file : "policy", to);
	if (e->line)
		fprintf(to, ":%u:%u", e->line, e->column);
	if (e->key[0])
		fprintf(to, ": %s", e->key);
	fprintf(to, ": %s", e->what);
	if (e->other_line)
		fprintf(to, " (other place: %u:%u)", e->other_line, e->other_column);
	if (e->hint[0])
		fprintf(to, "; %s", e->hint);
}
