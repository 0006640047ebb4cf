/*
 * memscrub/guard.h - memory for our own secrets, and a process that keeps them to itself.
 *
 * Each secret lies between two pages that cannot be touched, is locked (never swapped), left
 * out of core dumps, and zeroed when it is freed. Where the kernel has memfd_secret(2), its
 * pages are also out of the kernel's own map: neither ptrace, /proc/PID/mem nor a stray
 * read inside of the kernel finds them.
 *
 * A forked child does not have the memory at all (MADV_DONTFORK), and not zeros in its
 * place (MADV_WIPEONFORK): a child that used a key would crash, not sign or seal with
 * zeros. Secret memory is shared memory besides, and knows only the former.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Zeroed, aligned to 16; its end lies within 16 bytes of the wall behind it. NULL with
 * errno: ENOMEM also where RLIMIT_MEMLOCK does not allow it, EINVAL for no or an absurd
 * size. Costs whole pages: for keys, not for their many copies. Thread-safe. */
__attribute__((warn_unused_result)) void *guard_alloc(size_t size);
/* Accepts NULL. Ends the process where bytes were written beside the secret. */
void guard_free(void *p);
/* What was asked for. */
size_t guard_size(const void *p);

/* For AUTO: AUTO(guard_freep) uint8_t *key = guard_alloc(32); */
static inline void guard_freep(void *p)
{
	guard_free(*(void **)p);
}

enum guard_kind {
	GUARD_LOCKED, /* common memory, mlock */
	GUARD_SECRET, /* memfd_secret */
};

/* Which of them the kernel gave for `p`. */
enum guard_kind guard_kind(const void *p);

/* No core dumps of this process, now and later (RLIMIT_CORE), and no looks into it but
 * root's (PR_SET_DUMPABLE, which a piped core_pattern heeds too). False with errno. Lasts
 * over fork; PR_SET_DUMPABLE does not last over execve. */
__attribute__((warn_unused_result)) bool guard_process(void);
