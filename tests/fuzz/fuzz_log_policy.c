/* tests/fuzz/fuzz_log_policy.c - any bytes are a policy or a finding with its line; a policy
 * is evaluated against a note that nobody has signed. */
#include "attest/log_policy.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char note[] = "log.example/a\n1\n"
				   "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\n"
				   "\u2014 log.example/a AAAAAAA=\n";
	struct attest_error e = { .what = "" };
	struct log_policy *p = NULL;
	struct checkpoint c;
	struct note n;

	if (log_policy_parse((const char *)data, size, &p, &e) != ATTEST_OK) {
		if (p || e.what[0] == '\0')
			abort();
		return 0;
	}
	if (log_policy_open(p, note, strlen(note), &c, &n, &e) == ATTEST_OK)
		abort();
	log_policy_free(p);
	return 0;
}
