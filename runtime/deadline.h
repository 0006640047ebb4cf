/*
 * runtime/deadline.h - a moment until which something must have happened, in milliseconds
 * of the monotonic clock; and waiting for a descriptor no longer than that.
 */
#pragma once

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

static inline int64_t deadline_in(int64_t ms)
{
	struct timespec t;

	/* A filter that hides the clock makes every deadline one that has passed. */
	if (clock_gettime(CLOCK_MONOTONIC, &t) < 0)
		return INT64_MIN;
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000 + ms;
}

/* Milliseconds; 0: it has passed. */
static inline int64_t deadline_left(int64_t deadline)
{
	int64_t now = deadline_in(0);

	return now == INT64_MIN || deadline <= now ? 0 : deadline - now;
}

/* ppoll until the deadline: how many are ready, 0 when it has passed, -1 with errno. An
 * interruption is not told: whoever loops asks the clock again. */
static inline int deadline_poll(struct pollfd *p, nfds_t n, int64_t deadline)
{
	int ready;

	do {
		int64_t left = deadline_left(deadline);
		struct timespec t = { .tv_sec = left / 1000, .tv_nsec = left % 1000 * 1000000 };

		if (left == 0)
			return 0;
		ready = ppoll(p, n, &t, NULL);
	} while (ready == 0 || (ready < 0 && errno == EINTR));
	return ready;
}

/* False with errno; ETIME: the deadline has passed. */
static inline bool deadline_wait(int fd, short events, int64_t deadline)
{
	struct pollfd p = { .fd = fd, .events = events };
	int ready = deadline_poll(&p, 1, deadline);

	if (ready == 0)
		errno = ETIME;
	return ready > 0;
}
