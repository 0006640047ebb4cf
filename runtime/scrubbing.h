/*
 * runtime/scrubbing.h - the end of a session's memory, place by place. The keeper does it
 * at the session's end, recovery does what is left of it when the keeper died.
 *
 * Lines collect in a struct receipt, whose minima decide what CLEAN takes; the journal gets
 * them as facts before anything is given back.
 */
#pragma once

#include "memscrub/memscrub.h"
#include "runtime/places.h"
#include "runtime/reaper.h"

/* The minima of a plan or a journal (enum policy_held, enum policy_kernel). */
void scrubbing_begin(struct receipt *r, uint32_t held, uint32_t kernel, bool ran);

/* One line. With failed bytes, or with `s` other than MEMSCRUB_OK, it is worth nothing and
 * `e` says why; else `good` by `method`. */
void scrubbing_add(struct receipt *r, enum place p, enum receipt_assurance good,
		   const char *method, const struct scrub_result *done, enum memscrub_status s,
		   const struct memscrub_error *e);
/* A line that says that nothing was done, and why. */
void scrubbing_none(struct receipt *r, enum place p, const char *why);

/* Of a session in which nothing of the tenant's ran: no process had memory to wipe. Its file
 * systems are another matter: a copied root may be among them. */
void scrubbing_never_ran(struct receipt *r);
/* What was done at the exit stops, and to what outlived them. */
void scrubbing_processes(struct receipt *r, const struct reaper_result *done);
/* Memory file systems of one place, by their mounts' descriptors. False: some of it could
 * not be wiped and stays held. */
bool scrubbing_files(struct receipt *r, enum place p, const int *mounts, size_t n);
/* The ring stays, for `cordon logs`. */
void scrubbing_ring(struct receipt *r, int ring);
/* What only the kernel reaches: what it does by itself, or, where the policy wants it, a
 * sweep of free memory. *ret_swept: one was made to its end. */
void scrubbing_kernel(struct receipt *r, bool *ret_swept);

/* Is it worth the word? Nobody can have all of a busy host's free memory. */
#define SCRUBBING_SWEPT_PERCENT 90u
bool scrubbing_swept(const struct scrub_sweep_result *s);
/* Nothing is known of it. */
void scrubbing_no_kernel(struct receipt *r, const char *why);

/* "HELD/KERNEL" of the lines. */
#define SCRUBBING_WORDS 24u
void scrubbing_words(const struct receipt *r, char ret[static SCRUBBING_WORDS]);
/* The lines and the words ("assurance") as facts. */
size_t scrubbing_facts(const struct receipt *r, struct journal_fact ret[static PLACES + 1]);
/* In words: what the end was worth, and what keeps it from CLEAN, if anything does. */
void scrubbing_say(const struct receipt *r, char *ret, size_t size);
