/*
 * attest/tree_digest.h - one digest for all content of a folder, whatever the file system
 * and the order in which it lists names: what evidence of coverage `rootfs` says.
 *
 * SHA-256 of one record for the folder itself, with the path ".", and for each entry below
 * it: depth first, a folder before what is in it, its names in the order of their bytes:
 *
 *   kind u8          'd', 'f', 'l': folder, file, symbolic link
 *   mode u32         permission bits without set-id, 01777 (0 for a link), little-endian:
 *                    a session's copy is without, and its mount would not heed them
 *   uid u32, gid u32 less `first_id`
 *   path             and a zero byte
 *   len u64          of the content: bytes of the file, of the link's target, 0
 *   content          SHA-256 of it (32 bytes)
 *
 * Times, extended attributes and which files are hard links of each other do not count. Any
 * other kind of entry is ATTEST_REFUSED. Needs libmd alone. Nothing is followed, and nothing
 * may change it meanwhile: whoever holds the folder sees to that.
 */
#pragma once

#include <sys/types.h>

#include "attest/attest.h"

#define TREE_DIGEST 32u
#define TREE_DEPTH 64u
#define TREE_ENTRIES (1u << 20)

__attribute__((warn_unused_result)) enum attest_status
tree_digest(int dir_fd, uid_t first_id, uint8_t ret[static TREE_DIGEST],
	    struct attest_error *reterr);
