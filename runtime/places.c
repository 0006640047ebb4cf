/* runtime/places.c - one table, one line. */
#include "runtime/places.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const struct {
	const char *key, *name;
	enum receipt_group group;
} places[PLACES] = {
	[PLACE_ANONYMOUS] = { "scrub.anonymous", "anonymous memory", RECEIPT_HELD },
	[PLACE_SHARED] = { "scrub.shared", "shared memory", RECEIPT_HELD },
	[PLACE_TMPFS] = { "scrub.tmpfs", "tmpfs", RECEIPT_HELD },
	[PLACE_CREDENTIALS] = { "scrub.credentials", "credential memory", RECEIPT_HELD },
	[PLACE_RING] = { "scrub.ring", "output ring", RECEIPT_HELD },
	[PLACE_EXECVE] = { "scrub.kernel", "memory replaced by execve", RECEIPT_KERNEL },
	[PLACE_FREED] = { "scrub.kernel", "pages freed while running", RECEIPT_KERNEL },
	[PLACE_BUFFERS] = { "scrub.kernel", "pipe and socket buffers", RECEIPT_KERNEL },
	[PLACE_SLAB] = { "scrub.kernel", "slab", RECEIPT_KERNEL },
	[PLACE_STACKS] = { "scrub.kernel", "kernel stacks", RECEIPT_KERNEL },
	[PLACE_PAGE_CACHE] = { "scrub.kernel", "page cache", RECEIPT_KERNEL },
};

const char *place_str(enum place p)
{
	return places[p].name;
}

enum receipt_group place_group(enum place p)
{
	return places[p].group;
}

void place_fact(enum place p, const struct receipt_line *line, struct journal_fact *ret)
{
	char text[JOURNAL_VALUE];

	memset(ret, 0, sizeof(*ret));
	snprintf(ret->key, sizeof(ret->key), "%s", places[p].key);
	snprintf(text, sizeof(text), "%s %" PRIu64 " %" PRIu64 " %" PRIu64 " %s",
		 receipt_assurance_str(line->assurance), line->bytes, line->failed, line->ns,
		 line->method);
	text_escape(ret->value, sizeof(ret->value), text);
}

/* One decimal number and the blank behind it. */
static bool number(const char **at, uint64_t *ret)
{
	char *end;

	if (**at < '0' || **at > '9')
		return false;
	errno = 0;
	*ret = strtoull(*at, &end, 10);
	if (errno || *end != ' ')
		return false;
	*at = end + 1;
	return true;
}

static bool parse(const char *value, struct receipt_line *ret)
{
	size_t n = strcspn(value, " ");
	char word[16];

	if (n >= sizeof(word) || value[n] == '\0')
		return false;
	memcpy(word, value, n);
	word[n] = '\0';
	value += n + 1;
	if (!receipt_assurance_parse(word, &ret->assurance) || !number(&value, &ret->bytes) ||
	    !number(&value, &ret->failed) || !number(&value, &ret->ns))
		return false;
	snprintf(ret->method, sizeof(ret->method), "%.*s", (int)sizeof(ret->method) - 1, value);
	return true;
}

bool place_find(const struct journal *j, enum place p, struct receipt_line *ret)
{
	const char *value = journal_fact(j, places[p].key);

	memset(ret, 0, sizeof(*ret));
	if (!value || !parse(value, ret))
		return false;
	ret->group = places[p].group;
	snprintf(ret->place, sizeof(ret->place), "%s", places[p].name);
	return true;
}
