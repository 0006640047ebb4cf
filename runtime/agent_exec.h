/* runtime/agent_exec.h - from the agent to the workload, in the same process. */
#pragma once

/* Executes the program behind this descriptor (CLOEXEC), as execve would by its path: a
 * script by its interpreter, which gets /dev/fd/N and the descriptor with it; what is
 * neither program nor "#!" by /bin/sh. Returns only if that fails, with the errno. */
int agent_exec(int program, char *const argv[], char *const env[]);
