/* memscrub/shared.h - objects that processes share, one at a time; private to the module. */
#pragma once

#include "memscrub/process.h"

/* Is the mount one of those on which only such objects live? */
bool shared_lives_on(const struct shared_set *s, dev_t dev);
/* A file of the session's own mounts that only this mapping may still reach? */
bool shared_is_nameless(const struct shared_set *s, const struct mapping *m);
void shared_lose(struct shared_set *s, uint64_t bytes, const char *what);
/* Is there a duplicate, or was it never the session's? */
bool shared_is_held(const struct shared_set *s, const struct mapping *m);
/* Do both map the same object? */
bool shared_same_object(const struct mapping *a, const struct mapping *b);
/* Takes hold of the file that the process runs: it may neither map it nor have it open. */
void shared_take_program(struct shared_set *s, pid_t pid);
/* Opens what is mapped there; false where the kernel does not let us (map_files is root's). */
bool shared_take_mapping(struct shared_set *s, pid_t pid, const struct mapping *m);
/* It was left to another process; it was wiped in place after all. */
void shared_owe(struct shared_set *s, const struct mapping *m);
void shared_settled(struct shared_set *s, const struct mapping *m);
