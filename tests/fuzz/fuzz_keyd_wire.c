/* tests/fuzz/fuzz_keyd_wire.c - what keyd_decode accepts encodes back unchanged. The first
 * byte is the number of descriptors that came along. */
#include "attest/keyd_wire.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct keyd_wire w;
	size_t len = 0;

	if (size == 0 || size - 1 > sizeof(w.bytes))
		return 0;
	memset(&w, 0, sizeof(w));
	memcpy(w.bytes, data + 1, size - 1);
	if (keyd_decode(&w, size - 1, data[0] % (KEYD_FDS + 1), NULL) != ATTEST_OK)
		return 0;
	w.m.n_fds = data[0] % (KEYD_FDS + 1);
	memset(w.bytes, 0, sizeof(w.bytes));
	if (keyd_encode(&w, &len, NULL) != ATTEST_OK || len != size - 1 ||
	    memcmp(w.bytes, data + 1, len) != 0)
		abort();
	return 0;
}
