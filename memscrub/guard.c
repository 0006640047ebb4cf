/*
 * memscrub/guard.c - a mapping of its own for each secret:
 *
 *   info | wall | body ........ secret | wall
 *
 * The secret ends with its body, so that reading on hits the wall; its first byte is in the
 * body's first page, which is how `info` is found from it. What the body has beside the
 * secret stays zero.
 */
#include "memscrub/guard.h"
#include "memscrub/memscrub.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_memfd_secret
#define SYS_memfd_secret 447 /* one number on every architecture that has it */
#endif

#define ALIGN ((size_t)16)

struct info { /* written once, then read-only */
	size_t size, body;
	enum guard_kind kind;
};

static size_t page_size(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

static char *body_of(const void *p)
{
	return (char *)((uintptr_t)p / page_size() * page_size());
}

static const struct info *info_of(const void *p)
{
	return (const void *)(body_of(p) - 2 * page_size());
}

/* ---- the two kinds --------------------------------------------------------------- */

/* Pages come at the first touch; if there is none left, that shows here and not later. */
static void touch(volatile char *at, size_t n)
{
	for (size_t i = 0; i < n; i += page_size())
		at[i] = 0;
}

static bool place_secret(char *at, size_t n)
{
	int fd = (int)syscall(SYS_memfd_secret, O_CLOEXEC);
	bool placed = fd >= 0 && ftruncate(fd, (off_t)n) == 0 &&
		      mmap(at, n, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) == at;

	if (fd >= 0)
		close(fd);
	if (placed)
		touch(at, n);
	return placed;
}

/* A failed MAP_FIXED may leave nothing there, so this maps as well. */
static bool place_locked(char *at, size_t n)
{
	return mmap(at, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
		    0) == at &&
	       mlock(at, n) == 0;
}

static bool place(char *base, struct info *info)
{
	size_t page = page_size();
	char *body = base + 2 * page;

	info->kind = place_secret(body, info->body) ? GUARD_SECRET : GUARD_LOCKED;
	if (info->kind == GUARD_LOCKED && !place_locked(body, info->body)) {
		if (errno == EPERM || errno == EAGAIN) /* the limit is 0, or was reached */
			errno = ENOMEM;
		return false;
	}
	if (mprotect(base, page, PROT_READ | PROT_WRITE) != 0)
		return false;
	*(struct info *)(void *)base = *info;
	return mprotect(base, page, PROT_READ) == 0 &&
	       madvise(base, info->body + 3 * page, MADV_DONTDUMP) == 0 &&
	       madvise(base, info->body + 3 * page, MADV_DONTFORK) == 0;
}

/* ---- secrets --------------------------------------------------------------------- */

void *guard_alloc(size_t size)
{
	size_t page = page_size();
	struct info info = { .size = size };
	char *base;
	int saved;

	if (size == 0 || size > SIZE_MAX / 2) {
		errno = EINVAL;
		return NULL;
	}
	info.body = (size + page - 1) / page * page;
	base = mmap(NULL, info.body + 3 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (base == MAP_FAILED)
		return NULL;
	if (place(base, &info))
		return base + 2 * page + (info.body - size) / ALIGN * ALIGN;
	saved = errno;
	munmap(base, info.body + 3 * page);
	errno = saved;
	return NULL;
}

void guard_free(void *p)
{
	char *body = body_of(p), *behind;
	struct info info;

	if (!p)
		return;
	info = *info_of(p);
	behind = (char *)p + info.size;
	if (!scrub_is_zero(body, (size_t)((char *)p - body), NULL) ||
	    !scrub_is_zero(behind, (size_t)(body + info.body - behind), NULL))
		abort(); /* secrets ran over; who knows where else */
	scrub_zero(body, info.body);
	munmap(body - 2 * page_size(), info.body + 3 * page_size());
}

size_t guard_size(const void *p)
{
	return info_of(p)->size;
}

enum guard_kind guard_kind(const void *p)
{
	return info_of(p)->kind;
}

/* ---- the process ----------------------------------------------------------------- */

bool guard_process(void)
{
	const struct rlimit none = { 0, 0 };

	return setrlimit(RLIMIT_CORE, &none) == 0 && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0;
}
