/*
 * runtime/keeper.h - one session's process: it makes the sandbox, traces it, writes the
 * journal, and stays until the last task is gone. It is started by `cordon run` with one
 * end of a socket pair as descriptor 3 and takes its order (WIRE_START) from there.
 */
#pragma once

#define KEEPER_CONTROL 3

/* Returns the process's exit status. */
int keeper_main(void);
