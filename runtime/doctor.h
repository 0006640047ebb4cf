/*
 * runtime/doctor.h - what this host can isolate, attest and scrub: a table of checks.
 * Each looks, or tries something that ends with a child process; nothing on the host
 * is changed, and no answer is guessed: what does not show is `unknown`.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum doctor_group { DOCTOR_ISOLATE, DOCTOR_ATTEST, DOCTOR_SCRUB, DOCTOR_GROUPS };
enum doctor_result { DOCTOR_UNKNOWN = 0, DOCTOR_MISSING, DOCTOR_WEAKER, DOCTOR_OK };

struct doctor_finding {
	const char *id;
	enum doctor_group group;
	bool needed; /* without it no sandbox starts */
	enum doctor_result result;
	char detail[200];
	const char *mend; /* what to do when it is not OK; "" when nothing can be done */
};

const char *doctor_group_str(enum doctor_group g);
const char *doctor_result_str(enum doctor_result r);

/* How many checks there are, and one of them made; `root` is --root's value or NULL. */
size_t doctor_checks(void);
void doctor_check(size_t i, const char *root, struct doctor_finding *ret);
