/* memscrub/maps.c - /proc/PID/maps, line by line. */
#include "memscrub/maps.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

bool maps_open(struct maps *m, pid_t pid)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	m->bad = m->end = m->cut = false;
	m->at = m->have = 0;
	m->fd = open(path, O_RDONLY | O_CLOEXEC);
	return m->fd >= 0;
}

void maps_close(struct maps *m)
{
	if (m->fd >= 0)
		close(m->fd);
	m->fd = -1;
}

/* Moves what is left to the front and reads more behind it. */
static void fill(struct maps *m)
{
	ssize_t n;

	memmove(m->text, m->text + m->at, m->have - m->at);
	m->have -= m->at;
	m->at = 0;
	n = read(m->fd, m->text + m->have, sizeof(m->text) - m->have);
	m->bad |= n < 0;
	m->end = n <= 0;
	m->have += n > 0 ? (size_t)n : 0;
}

/* The next line without its end, terminated. Of one that is longer than the buffer (its
 * name is) the beginning. */
static char *line(struct maps *m)
{
	for (;;) {
		char *from = m->text + m->at;
		char *end = memchr(from, '\n', m->have - m->at);
		bool full = m->at == 0 && m->have == sizeof(m->text);
		bool rest = m->cut;

		if (!end && !full && !m->end) {
			fill(m);
			continue;
		}
		if (!end && !full)
			return NULL; /* no line is left */
		if (!end)
			end = m->text + sizeof(m->text) - 1;
		m->cut = *end != '\n';
		*end = '\0';
		m->at = (size_t)(end - m->text) + 1;
		if (!rest)
			return from;
	}
}

/* One number that `stop` follows. */
static uint64_t number(char **at, int base, char stop, bool *bad)
{
	char *end;
	uint64_t n = strtoull(*at, &end, base);

	*bad |= end == *at || *end != stop;
	*at = *end ? end + 1 : end;
	return n;
}

/* proc(5): START-END rwxs OFFSET MAJOR:MINOR INODE      NAME */
static bool parse(char *at, struct mapping *ret)
{
	static const char gone[] = " (deleted)";
	uint64_t major, minor;
	bool bad = false;

	ret->start = number(&at, 16, '-', &bad);
	ret->end = number(&at, 16, ' ', &bad);
	if (bad || strlen(at) < 5 || at[4] != ' ')
		return false;
	ret->write = at[1] == 'w';
	ret->shared = at[3] == 's';
	at += 5;
	(void)number(&at, 16, ' ', &bad);
	major = number(&at, 16, ':', &bad);
	minor = number(&at, 16, ' ', &bad);
	ret->inode = number(&at, 10, ' ', &bad);
	ret->dev = makedev((unsigned)major, (unsigned)minor);
	at += strspn(at, " ");
	snprintf(ret->name, sizeof(ret->name), "%s", at);
	ret->deleted = strlen(at) > sizeof(gone) - 1 &&
		       strcmp(at + strlen(at) - (sizeof(gone) - 1), gone) == 0;
	return !bad && ret->start < ret->end;
}

bool maps_next(struct maps *m, struct mapping *ret)
{
	char *text = m->bad ? NULL : line(m);

	if (!text)
		return false;
	m->bad |= !parse(text, ret);
	return !m->bad;
}
