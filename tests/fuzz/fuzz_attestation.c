/* tests/fuzz/fuzz_attestation.c - a text that is an attestation block has an answer for any
 * claims, the same one twice, and no class that it does not accept is let in; a text that is
 * none is said to be none. */
#include "policy/attestation.h"
#include "policy/text.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CLAIMS_MAX 128u

/* Claims of every name, with values out of the input itself: some are what it asks for. */
static size_t make_claims(const uint8_t *data, size_t size, const char *word, struct claim *c)
{
	static uint8_t bytes[CLAIM_BYTES_MAX];
	size_t n = 0;

	memcpy(bytes, data, size < sizeof(bytes) ? size : sizeof(bytes));
	for (const struct claim_info *i = claim_vocabulary(); i->name && n < CLAIMS_MAX; i++) {
		uint8_t by = size ? data[n % size] : 0;

		if (by % 4 == 0)
			continue;
		c[n] = (struct claim){ .name = i->name, .type = i->type };
		switch (i->type) {
		case CLAIM_BYTES:
			c[n].value.bytes.at = bytes;
			c[n].value.bytes.len = i->size;
			break;
		case CLAIM_TEXT:
			c[n].value.text = i->words ? i->words[0] : word;
			break;
		case CLAIM_TEXTS:
			c[n].value.texts.at = i->words;
			break;
		case CLAIM_TCB:
			c[n].value.tcb.have = by;
			memcpy(c[n].value.tcb.svn, bytes, CLAIM_TCB_PARTS);
			break;
		default:
			c[n].value.number = by;
		}
		n++;
	}
	return n;
}

static void ask(const struct policy_attestation *a, uint32_t class, const struct claim *c,
		size_t n)
{
	static struct attestation_line lines[ATTESTATION_CLAUSES_MAX];
	struct attestation_verdict v =
		policy_attestation_evaluate(a, class, c, n, lines, ATTESTATION_CLAUSES_MAX);

	if (v.n_lost ||
	    v.allowed != policy_attestation_evaluate(a, class, c, n, NULL, 0).allowed)
		abort();
	if (v.allowed && !(policy_attestation_classes(a) & class))
		abort();
	for (size_t i = 0; i < v.n_lines; i++) {
		if (!text_clean(lines[i].clause) || !text_clean(lines[i].seen))
			abort();
		if (v.allowed && lines[i].depth == 0 && lines[i].outcome != ATTESTATION_TRUE)
			abort();
	}
}

static void judge(const struct policy_attestation *a, const uint8_t *data, size_t size)
{
	char *word = strndup((const char *)data, size < 300 ? size : 300), *said = NULL;
	struct claim claims[CLAIMS_MAX];
	size_t n, len = 0;
	FILE *to = open_memstream(&said, &len);

	if (!word || !to)
		exit(1);
	policy_attestation_explain(to, a);
	if (fclose(to) != 0 || len == 0)
		abort();
	n = make_claims(data, size, word, claims);
	for (uint32_t class = 0; class < 1u << 5; class ++)
		ask(a, class, claims, n);
	free(said);
	free(word);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct policy_attestation *a = NULL;
	struct policy_error e = { .line = 0 };
	enum policy_status s =
		policy_attestation_parse("fuzz", (const char *)data, size, &a, &e);

	if (s == POLICY_OK)
		judge(a, data, size);
	else if ((s != POLICY_INVALID && s != POLICY_REFUSED) || !e.what[0] ||
		 strchr(e.what, '\n'))
		abort();
	policy_attestation_free(a);
	return 0;
}
