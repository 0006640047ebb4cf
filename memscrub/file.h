/* memscrub/file.h - what file.c and tree.c share. */
#pragma once

#include "memscrub/memscrub.h"

uint64_t scrub_now_ns(void);
void scrub_result_add(struct scrub_result *to, const struct scrub_result *part);

enum scrub_fs {
	SCRUB_FS_OTHER, /* on disk, or nobody knows where */
	SCRUB_FS_PAGES, /* tmpfs, ramfs */
	SCRUB_FS_HUGE,
};
/* False if the kernel does not say; errno is set. */
bool scrub_fs_of(int fd, enum scrub_fs *ret);
