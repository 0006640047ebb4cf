/* attest/keyd_socket.c - admin.sock: where administrators come in. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "attest/keyd_store.h"

#define ADMIN_SOCKET "admin.sock"
#define BACKLOG 16
#define PATIENCE_SECONDS 20 /* longer than a store takes that waits for somebody else */

/* A unix socket's address holds 107 bytes, so the folder goes by its descriptor. */
static bool address(int dirfd, struct sockaddr_un *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->sun_family = AF_UNIX;
	return snprintf(ret->sun_path, sizeof(ret->sun_path), "/proc/self/fd/%d/" ADMIN_SOCKET,
			dirfd) > 0;
}

/* Removes the socket that a dead store left behind, and nothing but a socket. */
static bool clear_stale(int dirfd)
{
	struct stat st;

	if (fstatat(dirfd, ADMIN_SOCKET, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return errno == ENOENT;
	if (!S_ISSOCK(st.st_mode)) {
		errno = EEXIST;
		return false;
	}
	return unlinkat(dirfd, ADMIN_SOCKET, 0) == 0;
}

/* Anybody may knock: who is heard is in the list, and not in the mode of a file. */
enum attest_status keyd_store_listen(int dirfd, int *ret_sock, struct attest_error *reterr)
{
	int sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	struct sockaddr_un at;

	if (sock >= 0 && address(dirfd, &at) && clear_stale(dirfd) &&
	    bind(sock, (struct sockaddr *)&at, sizeof(at)) == 0 &&
	    fchmodat(dirfd, ADMIN_SOCKET, 0666, 0) == 0 && listen(sock, BACKLOG) == 0) {
		*ret_sock = sock;
		return ATTEST_OK;
	}
	(void)attest_fail(reterr, ATTEST_SYSTEM, ADMIN_SOCKET, "", "cannot listen there: %m");
	if (sock >= 0)
		close(sock);
	return ATTEST_SYSTEM;
}

static bool patient(int sock)
{
	const struct timeval t = { .tv_sec = PATIENCE_SECONDS };

	return setsockopt(sock, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof(t)) == 0 &&
	       setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t)) == 0;
}

enum attest_status keyd_store_connect(int dirfd, int *ret_sock, struct attest_error *reterr)
{
	int sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	struct sockaddr_un at;

	if (sock >= 0 && address(dirfd, &at) && patient(sock) &&
	    connect(sock, (struct sockaddr *)&at, sizeof(at)) == 0) {
		*ret_sock = sock;
		return ATTEST_OK;
	}
	(void)attest_fail(reterr, ATTEST_SYSTEM, ADMIN_SOCKET, "is the key service running?",
			  "nobody answers there: %m");
	if (sock >= 0)
		close(sock);
	return ATTEST_SYSTEM;
}
