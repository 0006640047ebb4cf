/*
 * runtime/agent_memory.h - an agent's memory is given back by execve, out of everybody's
 * reach; so all that it knew is zeroed before. Keys lie in guarded memory
 * (memscrub/guard.h); this is for what libraries keep: the session key of a TLS connection,
 * the ephemeral key, states of generators, pieces of them on the stack.
 */
#pragma once

#include <stdbool.h>

/* First thing in a process, before a library allocates: from here on what is freed is
 * zeroed, no library reads a file, and nobody but root looks in. False with errno. */
__attribute__((warn_unused_result)) bool agent_memory_begin(void);
/* Last thing before execve or _exit: libraries give back all they have, and the stack below
 * the caller is zeroed. Neither OpenSSL nor jansson may be used any more. */
void agent_memory_end(void);
