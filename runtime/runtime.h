/*
 * runtime/runtime.h - what all of runtime/ shares: statuses, findings, and the folders
 * of one root. Nothing outside runtime/ includes it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "policy/text.h"

enum runtime_status {
	RUNTIME_OK = 0,
	RUNTIME_REFUSED,   /* the answer is no: exit 1 (125 from `cordon run`) */
	RUNTIME_MALFORMED, /* input that cannot be read: exit 2 */
	RUNTIME_SYSTEM,    /* could not tell: exit 3 */
};

/* Exit status of every program but `cordon run`. */
int runtime_exit(enum runtime_status s);

struct runtime_error {
	char what[320];  /* one line: what went wrong, with errno's text where there is one */
	char where[192]; /* file, field, offset, step; may be empty */
	char hint[256];  /* what to do; may be empty */
};

/* Fills `e` (NULL is allowed) and returns `s`, so that it can be returned at once. */
__attribute__((format(printf, 5, 6))) enum runtime_status
runtime_fail(struct runtime_error *e, enum runtime_status s, const char *where,
	     const char *hint, const char *what, ...);
/* The status as a value that compilers and analyzers see at the call. */
#define runtime_fail(e, s, ...)                                                                \
	({                                                                                     \
		(void)(runtime_fail)(e, s, __VA_ARGS__);                                       \
		(s);                                                                           \
	})
/* "cordon: WHERE: WHAT; HINT" as one line, control bytes escaped. */
void runtime_error_print(FILE *to, const char *program, const struct runtime_error *e);

#define AUTO(fn) __attribute__((cleanup(fn)))
void closep(int *fd); /* for AUTO(closep) int fd = -1; keeps errno */
void freep(void *p);  /* for AUTO(freep) char *s = NULL */

/* ---- the folders of one root ----------------------------------------------------- */

/*
 * STATE/sessions/ID.journal   one per session
 * RUN/clerk.sock, RUN/clerk.lock, RUN/ID.sock
 * As root STATE is /var/lib/cordon and RUN /run/cordon; for a user STATE is
 * $XDG_STATE_HOME/cordon (else ~/.local/state/cordon) and RUN is STATE/run; with
 * --root DIR they are DIR and DIR/run. All are made 0700. What is there must be the
 * caller's own: STATE not writable for others, sessions and RUN not even open to them;
 * else it is refused. Absolute paths only reach `state` and `run`.
 */
struct paths {
	char state[4000], run[4000];
	int sessions_fd, run_fd; /* O_PATH|O_DIRECTORY|O_CLOEXEC; -1 where absent */
};

/* `root` is --root's value or NULL. With `create` the folders are made; without, absent
 * ones leave their descriptor -1 and that is RUNTIME_OK. */
__attribute__((warn_unused_result)) enum runtime_status
paths_open(const char *root, bool create, struct paths *ret, struct runtime_error *reterr);
void paths_close(struct paths *p);

/* ---- ids and processes ----------------------------------------------------------- */

#define SESSION_ID_BYTES 16
#define SESSION_ID_HEX 33 /* with the final zero */
void session_id_hex(const uint8_t id[static SESSION_ID_BYTES], char hex[static SESSION_ID_HEX]);
#define SESSION_SOCKET (SESSION_ID_HEX + 5)
/* "ID.sock", the name of a live session's socket in RUN. */
void session_socket(const uint8_t id[static SESSION_ID_BYTES],
		    char name[static SESSION_SOCKET]);
bool session_id_parse(const char *hex, uint8_t ret_id[static SESSION_ID_BYTES]);

/* This boot's id as 16 bytes; false when the kernel does not say. */
bool boot_id(uint8_t ret[static 16]);
/* Field 22 of /proc/PID/stat; 0 when there is no such process. */
uint64_t process_start_time(pid_t pid);
/* A pidfd of the process that has this pid and start time, or -1 (ESRCH when gone). */
int process_open(pid_t pid, uint64_t start_time);
