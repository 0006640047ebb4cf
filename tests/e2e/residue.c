/*
 * tests/e2e/residue.c - looks for a secret where none may be: residue PLACE... <SECRET
 *
 * A PLACE is a process, by its number: its memory, arguments and environment. Or it is a
 * path: a file, or a folder with all that is below it on the same file system. Each half of
 * the secret is looked for as it is, backwards (a number in a little-endian word's order),
 * in hexadecimal digits and in base64, wherever in a longer text it may stand.
 *
 * Prints a line for each find, `PLACE AT FORM`, and one for each mapping that the kernel
 * keeps even from root, `PLACE AT unreadable`: memfd_secret(2). The last line says how much
 * was seen. Exit 0: nothing was found; 1: something was; 3: it could not look.
 */
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "attest/hex.h"

#define SECRET_MIN 24
#define SECRET_MAX 4096
#define TEXT_MAX (2 * SECRET_MAX + 1)
#define CHUNK (1u << 20)

struct form {
	const char *name;
	char text[TEXT_MAX];
	size_t len;
};

static struct form forms[2 * 10];
static size_t n_forms;
static uint64_t seen_bytes;
static bool found, failed;

/* ---- what is looked for ---------------------------------------------------------- */

static char *new_form(const char *name, size_t len)
{
	struct form *f = &forms[n_forms++];

	f->name = name;
	f->len = len;
	return f->text;
}

/* Whole groups of three bytes, and so the same text whatever stands around them. */
static void add_base64(const uint8_t *s, size_t len, const char *last_two)
{
	static const char letters[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
	char *at = new_form("base64", len / 3 * 4);

	for (; len >= 3; s += 3, len -= 3) {
		uint32_t group = (uint32_t)s[0] << 16 | (uint32_t)s[1] << 8 | s[2];

		for (int shift = 18; shift >= 0; shift -= 6) {
			uint32_t six = group >> shift & 63;

			*at++ = (char)(six < 62 ? letters[six] : last_two[six - 62]);
		}
	}
}

static void add_forms(const uint8_t *s, size_t len)
{
	char *at = new_form("as it is", len);

	memcpy(at, s, len);
	at = new_form("backwards", len);
	for (size_t i = 0; i < len; i++)
		at[i] = (char)s[len - 1 - i];
	at = new_form("hexadecimal", 2 * len);
	hex_print(s, len, at);
	at = new_form("hexadecimal", 2 * len);
	for (size_t i = 0; i < 2 * len; i++)
		at[i] = "0123456789ABCDEF"[(i % 2 ? s[i / 2] : s[i / 2] >> 4) & 15];
	for (size_t shift = 0; shift < 3; shift++) {
		add_base64(s + shift, len - shift, "+/");
		add_base64(s + shift, len - shift, "-_");
	}
}

static bool read_secret(void)
{
	uint8_t s[SECRET_MAX];
	size_t len = 0;
	ssize_t n;

	while (len < sizeof(s) && (n = read(0, s + len, sizeof(s) - len)) > 0)
		len += (size_t)n;
	if (len < SECRET_MIN || len == sizeof(s)) {
		fprintf(stderr, "residue: a secret has %d to %d bytes\n", SECRET_MIN,
			SECRET_MAX - 1);
		return false;
	}
	add_forms(s, len / 2);
	add_forms(s + len / 2, len - len / 2);
	return true;
}

/* ---- looking --------------------------------------------------------------------- */

static void look(const char *place, uint64_t from, const char *at, size_t len)
{
	for (size_t i = 0; i < n_forms; i++) {
		const char *hit = memmem(at, len, forms[i].text, forms[i].len);

		if (!hit)
			continue;
		printf("%s %#llx %s\n", place,
		       (unsigned long long)from + (unsigned long long)(hit - at),
		       forms[i].name);
		found = true;
	}
}

/* What is between `from` and `to`, or up to an end that comes earlier. False, with errno,
 * where it cannot be read. */
static bool look_between(const char *place, int fd, uint64_t from, uint64_t to)
{
	static char window[TEXT_MAX + CHUNK];
	size_t kept = 0;

	while (from < to) {
		size_t want = to - from < CHUNK ? (size_t)(to - from) : CHUNK;
		ssize_t n = pread(fd, window + kept, want, (off_t)from);

		if (n < 0)
			return false;
		if (n == 0)
			return true;
		look(place, from - kept, window, kept + (size_t)n);
		seen_bytes += (uint64_t)n;
		from += (uint64_t)n;
		n += (ssize_t)kept;
		kept = (size_t)n < TEXT_MAX ? (size_t)n : TEXT_MAX;
		memmove(window, window + (size_t)n - kept, kept);
	}
	return true;
}

static void cannot_look(const char *place)
{
	fprintf(stderr, "residue: %s: %s\n", place, strerror(errno));
	failed = true;
}

static void look_into_file(const char *path)
{
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0 || !look_between(path, fd, 0, UINT64_MAX)) {
		if (errno != ENOENT && errno != ESRCH) /* it went meanwhile */
			cannot_look(path);
	}
	if (fd >= 0)
		close(fd);
}

static void look_into_folder(char *path)
{
	char *paths[] = { path, NULL };
	FTS *tree = fts_open(paths, FTS_PHYSICAL | FTS_XDEV | FTS_NOCHDIR, NULL);
	FTSENT *e;

	while (tree && (e = fts_read(tree)))
		if (e->fts_info == FTS_F)
			look_into_file(e->fts_path);
		else if (e->fts_info == FTS_DNR || e->fts_info == FTS_ERR)
			cannot_look(e->fts_path);
	if (!tree)
		cannot_look(path);
	else
		fts_close(tree);
}

/* ---- a process ------------------------------------------------------------------- */

/* Kernel's own pages: without a tenant's bytes, and not to be read through mem. */
static bool is_kernels(const char *line)
{
	return strstr(line, "[vvar") || strstr(line, "[vsyscall]");
}

static void look_into_mapping(const char *pid, int mem, const char *line)
{
	unsigned long long from, to;
	char place[128];

	if (sscanf(line, "%llx-%llx", &from, &to) != 2) {
		errno = EPROTO;
		cannot_look(pid);
		return;
	}
	snprintf(place, sizeof(place), "%s", pid);
	if (is_kernels(line) || look_between(place, mem, from, to))
		return;
	if (strstr(line, "secretmem"))
		printf("%s %#llx unreadable\n", pid, from);
	else
		cannot_look(line);
}

static void look_into_memory(const char *pid)
{
	char path[64], line[4400];
	FILE *maps;
	int mem;

	snprintf(path, sizeof(path), "/proc/%s/mem", pid);
	mem = open(path, O_RDONLY | O_CLOEXEC);
	snprintf(path, sizeof(path), "/proc/%s/maps", pid);
	maps = fopen(path, "re");
	if ((mem < 0 || !maps) && errno != ENOENT && errno != ESRCH) /* as above */
		cannot_look(path);
	while (mem >= 0 && maps && fgets(line, sizeof(line), maps))
		look_into_mapping(pid, mem, line);
	if (maps)
		fclose(maps);
	if (mem >= 0)
		close(mem);
}

static void look_into_process(const char *pid)
{
	char path[64];

	look_into_memory(pid);
	snprintf(path, sizeof(path), "/proc/%s/cmdline", pid);
	look_into_file(path);
	snprintf(path, sizeof(path), "/proc/%s/environ", pid);
	look_into_file(path);
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		fputs("usage: residue PLACE... <SECRET\n", stderr);
		return 3;
	}
	if (!read_secret())
		return 3;
	for (int i = 1; i < argc; i++) {
		struct stat st;

		if (strspn(argv[i], "0123456789") == strlen(argv[i]))
			look_into_process(argv[i]);
		else if (lstat(argv[i], &st) == 0 && !S_ISDIR(st.st_mode))
			look_into_file(argv[i]);
		else
			look_into_folder(argv[i]);
	}
	printf("%llu bytes seen\n", (unsigned long long)seen_bytes);
	return failed ? 3 : found;
}
