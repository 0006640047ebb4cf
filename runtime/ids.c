/* runtime/ids.c - names of sessions, boots and processes that do not repeat. */
#include "runtime/runtime.h"

#include "runtime/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int nibble(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

void session_id_hex(const uint8_t id[static SESSION_ID_BYTES], char hex[static SESSION_ID_HEX])
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < SESSION_ID_BYTES; i++) {
		hex[2 * i] = digits[id[i] >> 4];
		hex[2 * i + 1] = digits[id[i] & 15];
	}
	hex[2 * SESSION_ID_BYTES] = '\0';
}

void session_socket(const uint8_t id[static SESSION_ID_BYTES], char name[static SESSION_SOCKET])
{
	session_id_hex(id, name);
	memcpy(name + SESSION_ID_HEX - 1, ".sock", sizeof(".sock"));
}

bool session_id_parse(const char *hex, uint8_t ret_id[static SESSION_ID_BYTES])
{
	uint8_t id[SESSION_ID_BYTES];

	for (size_t i = 0; i < SESSION_ID_BYTES; i++) {
		int high = nibble(hex[2 * i]);
		int low = high < 0 ? -1 : nibble(hex[2 * i + 1]);

		if (low < 0)
			return false;
		id[i] = (uint8_t)(high << 4 | low);
	}
	if (hex[2 * SESSION_ID_BYTES] != '\0')
		return false;
	memcpy(ret_id, id, sizeof(id));
	return true;
}

bool boot_id(uint8_t ret[static 16])
{
	char text[64], hex[SESSION_ID_HEX];
	size_t n = 0;

	if (file_read_text(AT_FDCWD, "/proc/sys/kernel/random/boot_id", text, sizeof(text)) < 0)
		return false;
	for (const char *c = text; *c && *c != '\n'; c++) {
		if (*c == '-')
			continue;
		if (n == sizeof(hex) - 1)
			return false;
		hex[n++] = *c;
	}
	hex[n] = '\0';
	return session_id_parse(hex, ret); /* 16 bytes of lower-case hex as well */
}

uint64_t process_start_time(pid_t pid)
{
	char path[32], stat[1024], *at, *end;
	uint64_t start;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	if (pid <= 0 || file_read_text(AT_FDCWD, path, stat, sizeof(stat)) < 0)
		return 0;
	/* Field 2 is the name in parentheses and may hold both spaces and parentheses;
	 * the last one closes it, and 20 spaces later field 22 starts (proc(5)). */
	at = strrchr(stat, ')');
	for (int spaces = 0; at && spaces < 20; spaces++)
		at = strchr(at + 1, ' ');
	if (!at)
		return 0;
	errno = 0;
	start = strtoull(at, &end, 10);
	return errno == 0 && *end == ' ' ? start : 0;
}

int process_open(pid_t pid, uint64_t start_time)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);

	/* First the descriptor, then the look: whatever had the pid before, the process
	 * that this descriptor names was there when its start time was read. */
	if (fd >= 0 && (start_time == 0 || process_start_time(pid) != start_time)) {
		close(fd);
		errno = ESRCH;
		return -1;
	}
	return fd;
}
