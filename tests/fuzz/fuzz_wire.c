/* tests/fuzz/fuzz_wire.c - what wire_decode accepts encodes back unchanged. The first
 * byte is the number of descriptors that came along. */
#include "runtime/wire.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t again[WIRE_BYTES];
	struct wire_message m;

	if (size == 0 ||
	    wire_decode(data + 1, size - 1, data[0] % (WIRE_FDS + 1), &m, NULL) != RUNTIME_OK)
		return 0;
	wire_encode(&m, again);
	if (size - 1 != sizeof(again) || memcmp(again, data + 1, sizeof(again)) != 0)
		abort();
	return 0;
}
