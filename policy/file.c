/* policy/file.c - reading a whole file that somebody else named. */
#include "policy/policy_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The file is not what was meant, as opposed to: this machine is in trouble. */
static bool is_the_files_fault(int error)
{
	return error == ENOENT || error == ENOTDIR || error == EACCES || error == EPERM ||
	       error == EISDIR || error == ELOOP || error == ENAMETOOLONG || error == ENXIO ||
	       error == EINVAL;
}

static enum policy_status file_trouble(struct policy_error *e, int error)
{
	return policy_fail(e, is_the_files_fault(error) ? POLICY_INVALID : POLICY_SYSTEM, NULL,
			   NULL, "cannot read it: %s", strerror(error));
}

/* All of it into buf; -1 with errno. */
static ssize_t read_all(int fd, char *buf, size_t size)
{
	size_t used = 0;

	while (used < size) {
		ssize_t n = read(fd, buf + used, size - used);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		if (n == 0)
			break;
		used += (size_t)n;
	}
	return (ssize_t)used;
}

/* A file, or a pipe such as the shell's <(command). Without O_NONBLOCK the opening of a fifo
 * that nobody writes to would hold us for ever; what is written to one is waited for. */
static int open_to_read(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat st;

	if (fd < 0)
		return -1;
	if (fstat(fd, &st) == 0 &&
	    (S_ISREG(st.st_mode) || (S_ISFIFO(st.st_mode) && fcntl(fd, F_SETFL, 0) == 0)))
		return fd;
	close(fd);
	errno = EINVAL;
	return -1;
}

enum policy_status policy_read_file(const char *path, const char *what, size_t max, char **ret,
				    size_t *ret_len, struct policy_error *reterr)
{
	bool standard = strcmp(path, "-") == 0;
	int fd = standard ? STDIN_FILENO : open_to_read(path);
	char *buf = fd < 0 ? NULL : malloc(max + 2);
	enum policy_status s = POLICY_OK;
	ssize_t n = -1;

	if (buf)
		n = read_all(fd, buf, max + 1);
	if (fd < 0 && errno == EINVAL)
		s = policy_fail(reterr, POLICY_INVALID, NULL, NULL,
				"neither a file nor a pipe");
	else if (n < 0)
		s = file_trouble(reterr, errno);
	else if ((size_t)n > max)
		s = policy_fail(reterr, POLICY_INVALID, NULL, NULL,
				"longer than %s may be (%zu bytes)", what, max);
	if (fd >= 0 && !standard)
		close(fd);
	if (s != POLICY_OK || !buf) {
		free(buf);
		return s;
	}
	buf[n] = '\0';
	*ret = buf;
	*ret_len = (size_t)n;
	return POLICY_OK;
}
