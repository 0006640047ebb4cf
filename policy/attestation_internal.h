/*
 * policy/attestation_internal.h - an attestation block as a tree of clauses. Whatever a
 * block may write becomes one of these, so that there is one evaluator. Private to the
 * module.
 */
#pragma once

#include "policy/attestation.h"
#include "policy/policy_internal.h"
#include "policy/words.h"

#define ATTESTATION_ALL_CLASSES                                                                \
	(ATTESTATION_SANDBOX | ATTESTATION_SEV_SNP | ATTESTATION_TDX | ATTESTATION_SIMULATED)

#define TCB_STATUS_BASELINE "UpToDate"
#define TCB_STATUS_NEVER "Revoked"

enum clause_kind {
	CLAUSE_ALL = 1,
	CLAUSE_ANY,
	CLAUSE_NOT, /* of one clause */
	CLAUSE_IN,  /* TEXTS: each of them is */
	CLAUSE_AT_LEAST,
	CLAUSE_AT_MOST,
	CLAUSE_NOT_BEFORE,
	CLAUSE_NOT_AFTER,
};

struct operand {
	union claim_value value;
	const char *line; /* TCB: only for this product line; NULL = for any */
};

struct clause {
	enum clause_kind kind;
	uint32_t classes; /* to whose evidence it applies; else it is left out */
	unsigned line, column;
	const struct claim_info *claim; /* IN and what follows it; else NULL */
	const struct operand *operands;
	size_t n_operands;
	struct clause *first, *last; /* ALL, ANY, NOT: what is within, in order */
	struct clause *next;
};

struct policy_attestation {
	struct arena arena;
	uint32_t classes, exceptions;
	struct clause root;             /* ALL */
	const struct operand *statuses; /* tcb.tdx.accept */
	size_t n_statuses;
};

extern const struct word words_evidence[];
extern const char *const words_coverage[], *const words_product_line[];

struct exception_word {
	uint32_t bit, classes;
	const char *name;
	const char *meaning; /* "It is accepted that ..." */
};
extern const struct exception_word exception_words[]; /* ends with a NULL name */

bool words_have(const char *const *words, const char *text);

/* The claims without which a class's evidence could be of any workload. */
struct reference {
	uint32_t class;
	const char *claim;
	const char *why; /* what it says of the workload */
};
extern const struct reference reference_claims[]; /* ends with a NULL claim */
/* Does evidence of this class pass only where it has one of certain values of the claim? */
bool clause_binds(const struct clause *c, uint32_t class, const char *claim);

/* The outcomes that are possible for a class, whatever its evidence says: bits 1 << outcome. */
unsigned clause_outcomes(const struct clause *c, uint32_t class);

/* A text of bounded size: what does not fit ends in "..". */
struct line_text {
	char *at;
	size_t size, used;
};
__attribute__((format(printf, 2, 3))) void line_add(struct line_text *t, const char *format,
						    ...);
void line_add_value(struct line_text *t, const struct claim_info *info,
		    const union claim_value *v, bool whole);
void clause_text(const struct clause *c, char *to, size_t size);

/* Reads the block's mapping into `to`, whose memory is of rd->arena. rd->policy is not
 * used. */
struct reading;
struct node;
enum policy_status attestation_read(struct reading *rd, const struct node *n,
				    struct policy_attestation *to);
