/*
 * memscrub/guard.h - memory for our own secrets: between two pages that cannot be touched,
 * locked (never swapped), left out of core dumps, absent in forked children (a child that
 * used a key there would crash, not sign with zeros), zeroed when it is freed.
 */
#pragma once

#include <stddef.h>

/* Zeroed, aligned to 16; its end lies within 16 bytes of the guard page behind it. NULL with
 * errno: ENOMEM also where RLIMIT_MEMLOCK does not allow it. */
__attribute__((warn_unused_result)) void *guard_alloc(size_t size);
/* `size` as it was allocated; p may be NULL. */
void guard_free(void *p, size_t size);
