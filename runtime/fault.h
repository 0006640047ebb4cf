/*
 * runtime/fault.h - named points at which a test may hold a process and kill it. In the
 * fault build the process stops itself (SIGSTOP) at the point that CORDON_FAULT names;
 * every other build has no trace of them.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#ifdef CORDON_FAULT_POINTS
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static inline void fault_point(const char *name)
{
	const char *wanted = getenv("CORDON_FAULT");

	if (wanted && strcmp(wanted, name) == 0)
		raise(SIGSTOP);
}

/* Whether a test wants a behaviour changed by that name (CORDON_FAULT). */
static inline bool fault_set(const char *name)
{
	const char *wanted = getenv("CORDON_FAULT");

	return wanted && strcmp(wanted, name) == 0;
}

/* What a keeper is started with: the caller's secrets in it would live on in a process
 * that the sandbox descends from. */
static inline char **keeper_environment(void)
{
	return environ;
}
#else
#define fault_point(name) ((void)0)
#define fault_set(name) false

static inline char **keeper_environment(void)
{
	static char *none[] = { NULL };

	return none;
}
#endif
