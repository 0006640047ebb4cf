/* attest/evidence_claims.c - what verified evidence says, in memory of its own. */
#include <assert.h>
#include <string.h>

#include "attest/evidence_internal.h"

static struct claim *add(struct claims *c, const char *name, enum claim_type type)
{
	assert(c->n < CLAIMS_MAX);
	c->of[c->n] = (struct claim){ .name = name, .type = type };
	return &c->of[c->n++];
}

void claims_bytes(struct claims *c, const char *name, const uint8_t *bytes, size_t n)
{
	uint8_t *to = c->value[c->n].bytes;

	assert(n <= CLAIM_BYTES_MAX);
	memcpy(to, bytes, n);
	add(c, name, CLAIM_BYTES)->value = (union claim_value){ .bytes = { to, n } };
}

void claims_number(struct claims *c, const char *name, uint64_t number)
{
	add(c, name, CLAIM_NUMBER)->value.number = number;
}

void claims_truth(struct claims *c, const char *name, bool truth)
{
	add(c, name, CLAIM_TRUTH)->value.truth = truth;
}

void claims_time(struct claims *c, const char *name, int64_t time)
{
	add(c, name, CLAIM_TIME)->value.time = time;
}

void claims_text(struct claims *c, const char *name, const char *text)
{
	char *to = c->value[c->n].text;

	assert(strlen(text) < CLAIM_TEXT_SIZE);
	memcpy(to, text, strlen(text) + 1);
	add(c, name, CLAIM_TEXT)->value.text = to;
}

const struct claim *claims_find(const struct claims *c, const char *name)
{
	for (size_t i = 0; i < c->n; i++)
		if (strcmp(c->of[i].name, name) == 0)
			return &c->of[i];
	return NULL;
}

void claims_copy(struct claims *to, const struct claims *from)
{
	to->n = 0;
	for (size_t i = 0; i < from->n; i++) {
		const struct claim *c = &from->of[i];

		if (c->type == CLAIM_BYTES)
			claims_bytes(to, c->name, c->value.bytes.at, c->value.bytes.len);
		else if (c->type == CLAIM_TEXT)
			claims_text(to, c->name, c->value.text);
		else
			add(to, c->name, c->type)->value = c->value;
	}
}
