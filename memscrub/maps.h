/*
 * memscrub/maps.h - the mappings of another process, one after the other. Reads as it goes
 * into its own buffer and allocates nothing; the process must stand still. Private to the
 * module.
 */
#pragma once

#include "memscrub/memscrub.h"

struct maps {
	int fd;
	bool bad; /* a read failed, or a line was none of proc(5)'s */
	bool end, cut;
	size_t at, have;
	char text[8192];
};

struct mapping {
	uint64_t start, end;
	bool write, shared;
	bool deleted; /* its name says that the file has none any more; a name can lie */
	dev_t dev;
	ino_t inode;
	char name[32]; /* its beginning */
};

/* False where the process has no maps any more, or they cannot be read: errno says why. */
bool maps_open(struct maps *m, pid_t pid);
/* False at the end; m->bad says whether it was one. */
bool maps_next(struct maps *m, struct mapping *ret);
void maps_close(struct maps *m);
