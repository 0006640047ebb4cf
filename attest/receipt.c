/* attest/receipt.c - the words of a receipt and what follows from its lines. Needs libc
 * alone: keepers link it. */
#include "attest/receipt.h"

#include <string.h>

static const char *const group_names[RECEIPT_GROUPS] = { "held", "kernel" };

static const char *const assurance_names[RECEIPT_ASSURANCES] = {
	[RECEIPT_NONE] = "none",         [RECEIPT_SWEPT] = "swept",
	[RECEIPT_BY_KERNEL] = "kernel",  [RECEIPT_WIPED] = "wiped",
	[RECEIPT_VERIFIED] = "verified", [RECEIPT_HARDWARE] = "hardware",
	[RECEIPT_OWNED] = "owned",
};

const char *receipt_group_str(enum receipt_group g)
{
	return (unsigned)g < RECEIPT_GROUPS ? group_names[g] : "unknown";
}

const char *receipt_assurance_str(enum receipt_assurance a)
{
	return (unsigned)a < RECEIPT_ASSURANCES ? assurance_names[a] : "unknown";
}

bool receipt_assurance_parse(const char *s, enum receipt_assurance *ret)
{
	for (unsigned i = 0; i < RECEIPT_ASSURANCES; i++)
		if (strcmp(s, assurance_names[i]) == 0) {
			*ret = (enum receipt_assurance)i;
			return true;
		}
	return false;
}

enum receipt_assurance receipt_worth(const struct receipt *r, enum receipt_group g)
{
	enum receipt_assurance worst = RECEIPT_NONE;
	bool any = false;

	for (size_t i = 0; i < r->n_lines; i++) {
		const struct receipt_line *l = &r->lines[i];

		if (l->group != g || l->assurance == RECEIPT_OWNED)
			continue;
		if (!any || l->assurance < worst)
			worst = l->assurance;
		any = true;
	}
	return worst;
}

bool receipt_line_meets(const struct receipt *r, const struct receipt_line *l)
{
	static const char *const objects[] = { "shared memory", "tmpfs", "credential memory" };
	enum receipt_assurance least = r->minima[l->group];

	/* An object can outlive whoever wiped it through his own mapping. */
	for (size_t i = 0; i < sizeof(objects) / sizeof(objects[0]); i++)
		if (strcmp(l->place, objects[i]) == 0 && least > RECEIPT_NONE)
			least = RECEIPT_VERIFIED;
	return !l->failed && l->assurance >= least;
}

bool receipt_clean(const struct receipt *r)
{
	for (size_t i = 0; i < r->n_lines; i++)
		if (!receipt_line_meets(r, &r->lines[i]))
			return false;
	return receipt_worth(r, RECEIPT_HELD) >= r->minima[RECEIPT_HELD] &&
	       receipt_worth(r, RECEIPT_KERNEL) >= r->minima[RECEIPT_KERNEL];
}
