/* tests/fuzz/fuzz_descriptor.c - what is read as a descriptor is written again alike, and
 * holds no quote that another reader of TOML could see more in. */
#include "attest/descriptor.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char again[DESCRIPTOR_MAX];
	struct attest_error e = { .what = "" };
	struct descriptor d;
	size_t len;

	if (descriptor_parse((const char *)data, size, &d, &e) != ATTEST_OK) {
		if (e.what[0] == '\0')
			abort();
		return 0;
	}
	if (descriptor_print(&d, again, &len, NULL) != ATTEST_OK || len != size ||
	    memcmp(again, data, size) != 0)
		abort();
	if (strpbrk(d.tenant, "'\"\\\n") || strpbrk(d.service, "'\"\\\n"))
		abort();
	return 0;
}
