/*
 * tests/inside/attempt.h - what one attempt to break out is: it tries, harmlessly, and
 * says what came of it. Every attempt runs in a process of its own.
 */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum outcome {
	GOT_OUT = 0,  /* the sandbox did not hold */
	REFUSED = 1,  /* errno says how */
	NOT_MADE = 2, /* something that the attempt needs is missing */
};

struct attempt {
	const char *name;
	enum outcome (*make)(void);
	const char *tries;
	const char *needs; /* left out unless this word is given */
	bool alone;        /* its refusal ends the whole session: not one of `all` */
};

#define TRY(n, f, t, ...)                                                                      \
	{                                                                                      \
		.name = n, .make = f, .tries = t, ##__VA_ARGS__                                \
	}

/* The value of NAME=VALUE on the command line, or NULL. */
const char *word(const char *name);

/* Success is the break-out itself. */
static inline enum outcome got(long r)
{
	return r < 0 ? REFUSED : GOT_OUT;
}

/* Any answer but "you may not" and "there is no such call" comes from code of the kernel
 * that a sandbox was not meant to reach; the arguments are chosen to change nothing. */
static inline enum outcome reached(long r)
{
	return r < 0 && (errno == EPERM || errno == EACCES || errno == ENOSYS) ? REFUSED
									       : GOT_OUT;
}

static inline enum outcome opened(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd < 0)
		return REFUSED;
	close(fd);
	return GOT_OUT;
}

/* The first of several ways that works; errno is the last refusal's. */
static inline enum outcome any_opens(const char *const *paths, int flags)
{
	for (; *paths; paths++)
		if (opened(*paths, flags) == GOT_OUT)
			return GOT_OUT;
	return REFUSED;
}

/* Ends a helper process: its exit status is an outcome, a violent death is a refusal. */
static inline enum outcome outcome_of(pid_t pid)
{
	int status;

	if (pid < 0)
		return NOT_MADE;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return NOT_MADE;
	if (WIFEXITED(status) && WEXITSTATUS(status) <= NOT_MADE)
		return (enum outcome)WEXITSTATUS(status);
	errno = ECANCELED;
	return WIFSIGNALED(status) ? REFUSED : NOT_MADE;
}
