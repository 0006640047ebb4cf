/* tests/fuzz/fuzz_proof.c - what proof_parse accepts prints back unchanged. */
#include "attest/proof.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct tlog_hash leaf = { { 1 } };
	struct proof p;
	char *again = NULL;

	if (proof_parse((const char *)data, size, &p, NULL) != ATTEST_OK)
		return 0;
	if (tlog_check_inclusion(&p.path, p.index, p.index + 1, &leaf, &leaf) && p.path.n > 0)
		abort(); /* a hash that is its own parent */
	/* Printing ends at a NUL, which no checkpoint has. */
	if (memchr(p.checkpoint, '\0', p.checkpoint_len))
		return 0;
	if (proof_print(&p, &again, NULL) == ATTEST_OK &&
	    (strlen(again) != size || memcmp(again, data, size) != 0))
		abort();
	free(again);
	return 0;
}
