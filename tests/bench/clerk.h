/*
 * tests/bench/clerk.h - a root's clerk: which process it is, and its end.
 */
#pragma once

#include <poll.h>
#include <signal.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "runtime/clerk.h"
#include "tests/bench/bench.h"

static inline _Noreturn void runtime_failed(const struct runtime_error *e)
{
	runtime_error_print(stderr, "bench", e);
	exit(3);
}

/* 0: there is none. */
static inline pid_t clerk_of(const char *root)
{
	struct ucred peer = { 0 };
	socklen_t n = sizeof(peer);
	struct runtime_error e;
	struct paths paths;
	int sock;

	if (paths_open(root, true, &paths, &e) != RUNTIME_OK)
		runtime_failed(&e);
	if (clerk_connect(&paths, NULL, &sock, &e) == RUNTIME_OK) {
		if (getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &peer, &n) < 0)
			die("SO_PEERCRED");
		close(sock);
	}
	paths_close(&paths);
	return peer.pid;
}

static inline void end_clerk(const char *root)
{
	pid_t pid = clerk_of(root);
	struct pollfd p = { .fd = pid ? pidfd_open(pid, 0) : -1, .events = POLLIN };

	if (p.fd < 0)
		return;
	(void)pidfd_send_signal(p.fd, SIGTERM, NULL, 0);
	if (poll(&p, 1, 10000) != 1)
		die("the clerk does not end");
	close(p.fd);
}
