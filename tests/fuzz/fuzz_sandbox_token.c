/* tests/fuzz/fuzz_sandbox_token.c - a token of anybody's, and a payload of anybody's: facts
 * that are read are written and read again alike. */
#include "attest/sandbox_token.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_token(const char *text, size_t len)
{
	struct sandbox_token *t;
	struct sandbox_facts f;
	size_t n;

	if (sandbox_token_parse(text, len, &t, NULL) != ATTEST_OK)
		return;
	(void)sandbox_token_chain(t, &n);
	if (n < 1 || n > SANDBOX_CERTIFICATES)
		abort();
	/* Its own key may have signed it: who trusts that key is asked elsewhere. */
	if (sandbox_token_verify(t, &f, NULL) == ATTEST_OK && f.issued < 0)
		abort();
	sandbox_token_free(t);
}

static void read_payload(const char *text, size_t len)
{
	char one[SANDBOX_PAYLOAD_MAX], two[SANDBOX_PAYLOAD_MAX];
	json_t *o = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL), *again;
	struct sandbox_facts f;
	size_t n;

	if (o && sandbox_facts_read(o, &f, NULL) == ATTEST_OK) {
		if (sandbox_facts_print(&f, one, &n, NULL) != ATTEST_OK)
			abort();
		again = json_loadb(one, n, 0, NULL);
		if (!again || sandbox_facts_read(again, &f, NULL) != ATTEST_OK ||
		    sandbox_facts_print(&f, two, &n, NULL) != ATTEST_OK ||
		    strcmp(one, two) != 0)
			abort();
		json_decref(again);
	}
	json_decref(o);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	read_token((const char *)data, size);
	read_payload((const char *)data, size);
	return 0;
}
