/* runtime/agent_memory.c - see runtime/agent_memory.h. */
#include "runtime/agent_memory.h"

#include <errno.h>
#include <jansson.h>
#include <malloc.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>

/* For private keys. It is locked, as guarded memory is: both together stay below the 64 KiB
 * that a session may lock where its policy says nothing. */
#define LOCKED_HEAP 16384
#define STACK_USED (128u << 10) /* more than all that runs here needs */

/* ---- what is freed is zeroed ----------------------------------------------------- */

static void zero_free(void *p)
{
	if (p)
		explicit_bzero(p, malloc_usable_size(p));
	free(p);
}

static void *crypto_malloc(size_t size, const char *file, int line)
{
	(void)file;
	(void)line;
	return malloc(size);
}

static void crypto_free(void *p, const char *file, int line)
{
	(void)file;
	(void)line;
	zero_free(p);
}

static void *crypto_realloc(void *p, size_t size, const char *file, int line)
{
	void *moved;

	if (size == 0) {
		crypto_free(p, file, line);
		return NULL;
	}
	moved = malloc(size);
	if (moved && p) {
		size_t had = malloc_usable_size(p);

		memcpy(moved, p, had < size ? had : size);
		zero_free(p);
	}
	return moved;
}

/* ---- begin, end ------------------------------------------------------------------ */

/* jansson would open /dev/urandom for it. */
static bool seed_tables(void)
{
	size_t seed;

	if (getrandom(&seed, sizeof(seed), 0) != (ssize_t)sizeof(seed))
		return false;
	json_object_seed(seed | 1);
	return true;
}

/* Not guard_process(): its limit of 0 for core dumps lasts over the exec, and where
 * core_pattern is a pipe the workload's limit of 1 is the one that holds (core(5)). What is
 * not dumpable is not dumped, whatever the limit; that ends with the exec. */
bool agent_memory_begin(void)
{
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 || !seed_tables())
		return false;
	json_set_alloc_funcs(malloc, zero_free);
	errno = ENOMEM;
	return CRYPTO_set_mem_functions(crypto_malloc, crypto_realloc, crypto_free) &&
	       OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG | OPENSSL_INIT_NO_ATEXIT,
				   NULL) &&
	       /* 2: not locked. It is zeroed all the same. */
	       CRYPTO_secure_malloc_init(LOCKED_HEAP, 32) != 0;
}

static __attribute__((noinline)) void zero_stack(void)
{
	char below[STACK_USED];

	explicit_bzero(below, sizeof(below));
}

void agent_memory_end(void)
{
	OPENSSL_cleanup();
	zero_stack();
}
