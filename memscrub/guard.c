/* memscrub/guard.c - a mapping of its own for each secret. */
#include "memscrub/guard.h"
#include "memscrub/memscrub.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#define ALIGN ((size_t)16)

struct layout {
	size_t page, body, total; /* guard page, whole pages of the secret, all */
	size_t at;                /* of the secret */
};

static struct layout layout_of(size_t size)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t body = (size + page - 1) / page * page;

	return (struct layout){ .page = page,
				.body = body,
				.total = body + 2 * page,
				.at = page + (body - size) / ALIGN * ALIGN };
}

void *guard_alloc(size_t size)
{
	struct layout l = layout_of(size);
	char *base;
	int saved;

	if (size == 0 || size > SIZE_MAX / 2) {
		errno = EINVAL;
		return NULL;
	}
	base = mmap(NULL, l.total, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (base == MAP_FAILED)
		return NULL;
	if (mprotect(base + l.page, l.body, PROT_READ | PROT_WRITE) == 0 &&
	    madvise(base, l.total, MADV_DONTDUMP) == 0 &&
	    madvise(base, l.total, MADV_DONTFORK) == 0 && mlock(base + l.page, l.body) == 0)
		return base + l.at;
	saved = errno;
	munmap(base, l.total);
	errno = saved;
	return NULL;
}

void guard_free(void *p, size_t size)
{
	struct layout l = layout_of(size);
	char *base;

	if (!p)
		return;
	base = (char *)p - l.at;
	scrub_zero(base + l.page, l.body);
	munmap(base, l.total);
}
