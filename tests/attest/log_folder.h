/* tests/attest/log_folder.h - a log's folder made by the definition, for tests to damage. */
#pragma once

#include <endian.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "attest/note.h"

#define FOLDER_ORIGIN "log.example/folder"

static const uint8_t folder_seed[32] = { 7, 7, 7 };

struct folder {
	char path[64];
	int fd;
	struct tlog_hash hashes[3][1024]; /* of each level */
	uint64_t size;
};

static inline int folder_remove_one(const char *path, const struct stat *st, int kind,
				    struct FTW *where)
{
	(void)st;
	(void)kind;
	(void)where;
	return remove(path);
}

static inline void folder_remove(struct folder *f)
{
	close(f->fd);
	nftw(f->path, folder_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static inline bool folder_make(struct folder *f)
{
	memset(f, 0, sizeof(*f));
	snprintf(f->path, sizeof(f->path), "%s/cordon-log.XXXXXX",
		 access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	if (!mkdtemp(f->path))
		return false;
	f->fd = open(f->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return f->fd >= 0;
}

/* Writes a file and the folders that it is in. */
static inline bool folder_put(struct folder *f, const char *path, const void *bytes, size_t len)
{
	char copy[256];
	bool done;
	int fd;

	snprintf(copy, sizeof(copy), "%s", path);
	for (char *slash = strchr(copy, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		mkdirat(f->fd, copy, 0700);
		*slash = '/';
	}
	fd = openat(f->fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	done = fd >= 0 && write(fd, bytes, len) == (ssize_t)len;
	if (fd >= 0)
		close(fd);
	return done;
}

static inline size_t folder_get(const struct folder *f, const char *path, uint8_t *to,
				size_t size)
{
	int fd = openat(f->fd, path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, to, size);

	if (fd >= 0)
		close(fd);
	return n < 0 ? 0 : (size_t)n;
}

/* Entry `i` of the folder; at most 511 bytes. */
typedef size_t folder_entry(uint64_t i, char to[static 512]);

static inline bool folder_put_bundle(struct folder *f, uint64_t index, unsigned width,
				     folder_entry *entry)
{
	static uint8_t bytes[256 * 514];
	struct tlog_tile t = { TLOG_ENTRIES_LEVEL, index, width };
	char path[TLOG_PATH_MAX], text[512];
	size_t len = 0;

	for (unsigned i = 0; i < width; i++) {
		size_t n = entry(index * 256 + i, text);
		uint16_t be = htobe16((uint16_t)n);

		memcpy(bytes + len, &be, 2);
		memcpy(bytes + len + 2, text, n);
		len += 2 + n;
	}
	return tlog_tile_path(&t, path) && folder_put(f, path, bytes, len);
}

static inline bool folder_put_tile(struct folder *f, unsigned level, uint64_t index,
				   unsigned width)
{
	struct tlog_tile t = { level, index, width };
	char path[TLOG_PATH_MAX];

	return tlog_tile_path(&t, path) &&
	       folder_put(f, path, f->hashes[level] + 256 * index, width * TLOG_HASH);
}

/* All files of a log of `size` but the checkpoint. */
static inline bool folder_fill(struct folder *f, uint64_t size, folder_entry *entry)
{
	bool done = true;
	char text[512];

	f->size = size;
	for (uint64_t i = 0; i < size; i++)
		tlog_leaf(text, entry(i, text), &f->hashes[0][i]);
	for (unsigned level = 1; level < 3; level++)
		for (uint64_t i = 0; i < tlog_level_count(size, level); i++) {
			struct tlog_frontier frontier = { .size = 0 };

			for (unsigned k = 0; k < 256; k++)
				tlog_frontier_add(&frontier,
						  &f->hashes[level - 1][256 * i + k]);
			tlog_frontier_root(&frontier, &f->hashes[level][i]);
		}
	for (unsigned level = 0; level < 3; level++)
		for (uint64_t at = 0; at < tlog_level_count(size, level); at += 256) {
			uint64_t left = tlog_level_count(size, level) - at;
			unsigned width = left < 256 ? (unsigned)left : 256;

			done = done && folder_put_tile(f, level, at / 256, width);
			if (level == 0)
				done = done && folder_put_bundle(f, at / 256, width, entry);
		}
	return done;
}

/* Signs the first `size` entries; NULL where it cannot. The caller's to free. */
static inline char *folder_sign(const struct folder *f, uint64_t size)
{
	struct checkpoint c = { .origin = FOLDER_ORIGIN, .size = size };
	struct tlog_frontier frontier = { .size = 0 };
	char text[NOTE_NAME + 80], *note = NULL;
	struct note_signer *signer;

	for (uint64_t i = 0; i < size; i++)
		tlog_frontier_add(&frontier, &f->hashes[0][i]);
	tlog_frontier_root(&frontier, &c.root);
	checkpoint_print(&c, text);
	if (note_signer_new(FOLDER_ORIGIN, folder_seed, &signer, NULL) != ATTEST_OK)
		return NULL;
	if (note_sign(signer, text, &note, NULL) != ATTEST_OK)
		note = NULL;
	note_signer_free(signer);
	return note;
}

static inline bool folder_publish(struct folder *f, uint64_t size)
{
	char *note = folder_sign(f, size);
	bool done = note && folder_put(f, "checkpoint", note, strlen(note));

	free(note);
	return done;
}

static inline struct note_verifier folder_key(void)
{
	struct note_verifier v = { .name = "" };
	struct note_signer *signer;

	if (note_signer_new(FOLDER_ORIGIN, folder_seed, &signer, NULL) == ATTEST_OK) {
		v = *note_signer_verifier(signer);
		note_signer_free(signer);
	}
	return v;
}
