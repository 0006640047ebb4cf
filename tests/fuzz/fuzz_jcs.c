/* tests/fuzz/fuzz_jcs.c - canonical JSON is JSON of the same value, and its own canonical
 * form. */
#include "attest/jcs.h"
#include "attest/json_reader.h"

#include <jansson.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct json_caps caps = { .bytes = 1u << 20, .depth = 40, .values = 1u << 16 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	json_t *object = NULL, *read = NULL;
	char *text = NULL, *again = NULL;
	size_t len, again_len;

	if (jr_object((struct span){ (const char *)data, size }, &caps, "", &object, NULL) !=
	    ATTEST_OK)
		return 0;
	if (jcs_print(object, &text, &len, NULL) == ATTEST_OK) {
		/* As doubles: from 2^63 to 10^21 canonical integers do not fit jansson's. */
		read = json_loadb(text, len, JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL,
				  NULL);
		if (!read || json_object_size(read) != json_object_size(object) ||
		    jcs_print(read, &again, &again_len, NULL) != ATTEST_OK ||
		    again_len != len || memcmp(again, text, len) != 0)
			abort();
	}
	free(again);
	free(text);
	json_decref(read);
	json_decref(object);
	return 0;
}
