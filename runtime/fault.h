/*
 * runtime/fault.h - named points at which a test may hold a process and kill it. In the
 * fault build the process stops itself (SIGSTOP) at the point that CORDON_FAULT names;
 * every other build has no trace of them.
 */
#pragma once

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

/* What a keeper is started with: the caller's secrets in it would live on in a process
 * that the sandbox descends from. */
static inline char **keeper_environment(void)
{
	return environ;
}
#else
#define fault_point(name) ((void)0)

static inline char **keeper_environment(void)
{
	static char *none[] = { NULL };

	return none;
}
#endif
