/*
 * attest/keyd_fault.h - named points at which a test may hold the store and kill it, as
 * runtime/fault.h has them. In the fault build the process stops itself (SIGSTOP) at the
 * point that CORDON_FAULT names; every other build has no trace of them.
 */
#pragma once

#ifdef CORDON_FAULT_POINTS
#include <signal.h>
#include <stdlib.h>
#include <string.h>

static inline void keyd_fault_point(const char *name)
{
	const char *wanted = getenv("CORDON_FAULT");

	if (wanted && strcmp(wanted, name) == 0)
		raise(SIGSTOP);
}
#else
#define keyd_fault_point(name) ((void)0)
#endif
