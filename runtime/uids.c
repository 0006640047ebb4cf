/* runtime/uids.c - a block is a byte, its owner a lock. */
#include "runtime/uids.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

/* Host-wide on purpose, whatever root a session uses: ids are the kernel's, and two
 * roots must not hand out the same ones. */
#define LOCK_FOLDER "/run/cordon"
#define LOCK_FILE LOCK_FOLDER "/uids"

enum runtime_status uids_reserve(int *ret_lock, uid_t *ret_first, struct runtime_error *reterr)
{
	unsigned start = 0;
	struct stat st;
	int fd;

	if (mkdir(LOCK_FOLDER, 0700) < 0 && errno != EEXIST)
		return runtime_fail(reterr, RUNTIME_SYSTEM, LOCK_FOLDER, "",
				    "cannot make it: %s", strerror(errno));
	fd = open(LOCK_FILE, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0 || fstat(fd, &st) < 0 || st.st_uid != geteuid() || (st.st_mode & 077) ||
	    getrandom(&start, sizeof(start), 0) != sizeof(start)) {
		if (fd >= 0)
			close(fd);
		return runtime_fail(reterr, RUNTIME_SYSTEM, LOCK_FILE,
				    "it must be root's own file, mode 600",
				    "cannot use the register of user ids");
	}
	for (unsigned i = 0; i < UIDS_BLOCKS; i++) {
		unsigned block = (start % UIDS_BLOCKS + i) % UIDS_BLOCKS;
		struct flock l = {
			.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = block, .l_len = 1
		};

		if (fcntl(fd, F_OFD_SETLK, &l) == 0) {
			*ret_lock = fd;
			*ret_first = UIDS_FIRST + block * UIDS_BLOCK;
			return RUNTIME_OK;
		}
	}
	close(fd);
	return runtime_fail(reterr, RUNTIME_REFUSED, LOCK_FILE, "stop a session first",
			    "all %u blocks of user ids are in use", UIDS_BLOCKS);
}
