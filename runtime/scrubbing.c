/* runtime/scrubbing.c - see runtime/scrubbing.h. */
#include "runtime/scrubbing.h"

#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "policy/policy.h"
#include "runtime/clerk.h"
#include "runtime/fault.h"

#define SWEEP_SECONDS 120u

void scrubbing_begin(struct receipt *r, uint32_t held, uint32_t kernel, bool ran)
{
	memset(r, 0, sizeof(*r));
	r->ran = ran;
	r->minima[RECEIPT_HELD] = held == POLICY_HELD_NONE ? RECEIPT_NONE : RECEIPT_WIPED;
	r->minima[RECEIPT_KERNEL] = kernel == POLICY_KERNEL_NONE    ? RECEIPT_NONE
				    : kernel == POLICY_KERNEL_SWEPT ? RECEIPT_SWEPT
								    : RECEIPT_BY_KERNEL;
}

static struct receipt_line *new_line(struct receipt *r, enum place p)
{
	struct receipt_line *l = &r->lines[r->n_lines++]; /* as many as there are places */

	memset(l, 0, sizeof(*l));
	l->group = place_group(p);
	snprintf(l->place, sizeof(l->place), "%s", place_str(p));
	return l;
}

void scrubbing_none(struct receipt *r, enum place p, const char *why)
{
	struct receipt_line *l = new_line(r, p);

	snprintf(l->method, sizeof(l->method), "%s", why);
}

void scrubbing_add(struct receipt *r, enum place p, enum receipt_assurance good,
		   const char *method, const struct scrub_result *done, enum memscrub_status s,
		   const struct memscrub_error *e)
{
	struct receipt_line *l = new_line(r, p);

	l->bytes = done->bytes;
	l->failed = s != MEMSCRUB_OK && !done->failed ? 1 : done->failed; /* at least that */
	l->ns = done->ns;
	if (!l->failed) {
		l->assurance = good;
		snprintf(l->method, sizeof(l->method), "%s", method);
	} else {
		snprintf(l->method, sizeof(l->method), "%.60s%s%.140s", e->where,
			 e->where[0] ? ": " : "",
			 e->what[0] ? e->what : "some of it could not be wiped");
	}
}

void scrubbing_never_ran(struct receipt *r)
{
	static const struct {
		enum place place;
		enum receipt_assurance worth;
	} held[] = { { PLACE_ANONYMOUS, RECEIPT_WIPED }, { PLACE_SHARED, RECEIPT_VERIFIED } };
	const struct scrub_result nothing = { 0 };

	for (size_t i = 0; i < sizeof(held) / sizeof(held[0]); i++)
		scrubbing_add(r, held[i].place, held[i].worth,
			      "none of the tenant's code ran: there was nothing to wipe",
			      &nothing, MEMSCRUB_OK, NULL);
}

/* ---- held ------------------------------------------------------------------------ */

void scrubbing_processes(struct receipt *r, const struct reaper_result *done)
{
	struct scrub_result shared = done->shared;
	char method[96];

	snprintf(method, sizeof(method),
		 "%" PRIu64 " address space%s zeroed and read back at exit stops",
		 done->processes, done->processes == 1 ? "" : "s");
	scrubbing_add(r, PLACE_ANONYMOUS, RECEIPT_WIPED, method, &done->anonymous, MEMSCRUB_OK,
		      &done->why);
	shared.bytes += done->in_place.bytes;
	shared.failed += done->in_place.failed;
	shared.ns += done->in_place.ns;
	if (done->in_place.bytes)
		scrubbing_add(r, PLACE_SHARED, RECEIPT_WIPED,
			      "some of it could only be zeroed and read back through its last "
			      "user: a duplicate of a mapping is root's to have",
			      &shared, MEMSCRUB_OK, &done->why);
	else
		scrubbing_add(
			r, PLACE_SHARED, RECEIPT_VERIFIED,
			"every object that a process ended with was zeroed and read back by "
			"a duplicate, after the last process was gone",
			&shared, MEMSCRUB_OK, &done->why);
}

bool scrubbing_files(struct receipt *r, enum place p, const int *mounts, size_t n)
{
	struct memscrub_error first = { .what = "" }, e;
	struct scrub_result done = { 0 };
	enum memscrub_status worst = MEMSCRUB_OK;
	char method[64];

	for (size_t i = 0; i < n && !fault_set("no-scrub"); i++) {
		enum memscrub_status s = scrub_tree(mounts[i], &done, &e);

		if (s != MEMSCRUB_OK && worst == MEMSCRUB_OK) {
			worst = s;
			first = e;
		}
	}
	if (n > 0)
		snprintf(method, sizeof(method), "every file zeroed (%s) and read back",
			 scrub_method());
	else
		snprintf(method, sizeof(method),
			 "no memory file system of it was left to wipe");
	scrubbing_add(r, p, RECEIPT_VERIFIED, method, &done, worst, &first);
	return worst == MEMSCRUB_OK && done.failed == 0;
}

void scrubbing_ring(struct receipt *r, int ring)
{
	struct receipt_line *l;
	struct stat st;

	if (ring < 0 || fstat(ring, &st) < 0)
		return;
	l = new_line(r, PLACE_RING);
	l->assurance = RECEIPT_OWNED;
	l->bytes = (uint64_t)st.st_blocks * 512;
	snprintf(l->method, sizeof(l->method),
		 "kept by the clerk for `cordon logs`, %d s at most, then zeroed",
		 CLERK_RING_SECONDS);
}

/* ---- kernel ---------------------------------------------------------------------- */

/* One word for all of them: none can be told apart from outside. */
static void add_kernel(struct receipt *r, enum receipt_assurance a, uint64_t bytes, uint64_t ns,
		       const char *method)
{
	for (unsigned p = 0; p < PLACES; p++) {
		struct receipt_line *l;

		if (place_group((enum place)p) != RECEIPT_KERNEL)
			continue;
		l = new_line(r, (enum place)p);
		l->assurance = a;
		l->bytes = bytes;
		l->ns = ns;
		snprintf(l->method, sizeof(l->method), "%s", method);
	}
}

bool scrubbing_swept(const struct scrub_sweep_result *s)
{
	return s->end == SWEEP_FLOOR || s->percent >= SCRUBBING_SWEPT_PERCENT;
}

static void sweep(struct receipt *r, bool *ret_swept)
{
	const struct scrub_sweep_limits limits = { .ns = SWEEP_SECONDS * UINT64_C(1000000000) };
	struct scrub_sweep_result done = { 0 };
	struct memscrub_error e = { .what = "" };
	enum memscrub_status s = scrub_sweep(&limits, &done, &e);
	char method[RECEIPT_TEXT];

	*ret_swept = s == MEMSCRUB_OK && scrubbing_swept(&done);
	if (s != MEMSCRUB_OK)
		snprintf(method, sizeof(method), "the sweep of free memory failed: %.160s",
			 e.what);
	else
		snprintf(method, sizeof(method),
			 "%s: %u%% of %" PRIu64 " MiB of free memory had and zeroed; objects "
			 "inside the kernel's caches are out of its reach",
			 *ret_swept ? "swept" : "the sweep was cut short", done.percent,
			 done.free_before >> 20);
	add_kernel(r, *ret_swept ? RECEIPT_SWEPT : RECEIPT_NONE, done.bytes, done.ns, method);
}

void scrubbing_kernel(struct receipt *r, bool *ret_swept)
{
	struct scrub_floor floor;
	char why[256];

	*ret_swept = false;
	scrub_floor_read("", &floor);
	if (scrub_floor_kernel(&floor, why))
		add_kernel(r, RECEIPT_BY_KERNEL, 0, 0, why);
	else if (r->minima[RECEIPT_KERNEL] == RECEIPT_SWEPT)
		sweep(r, ret_swept);
	else
		add_kernel(r, RECEIPT_NONE, 0, 0, why);
}

void scrubbing_no_kernel(struct receipt *r, const char *why)
{
	add_kernel(r, RECEIPT_NONE, 0, 0, why);
}

/* ---- words ----------------------------------------------------------------------- */

void scrubbing_words(const struct receipt *r, char ret[static SCRUBBING_WORDS])
{
	snprintf(ret, SCRUBBING_WORDS, "%s/%s",
		 receipt_assurance_str(receipt_worth(r, RECEIPT_HELD)),
		 receipt_assurance_str(receipt_worth(r, RECEIPT_KERNEL)));
}

static enum place place_of(const struct receipt_line *l)
{
	unsigned p = 0;

	while (p + 1 < PLACES && strcmp(place_str((enum place)p), l->place) != 0)
		p++;
	return (enum place)p;
}

size_t scrubbing_facts(const struct receipt *r, struct journal_fact ret[static PLACES + 1])
{
	size_t n = 0;

	for (size_t i = 0; i < r->n_lines; i++) {
		place_fact(place_of(&r->lines[i]), &r->lines[i], &ret[n]);
		if (n == 0 || strcmp(ret[n].key, ret[n - 1].key) != 0)
			n++;
	}
	memset(&ret[n], 0, sizeof(ret[n]));
	snprintf(ret[n].key, sizeof(ret[n].key), "assurance");
	scrubbing_words(r, ret[n].value);
	return n + 1;
}

/* The first line that keeps the session from CLEAN. */
static const struct receipt_line *shortfall(const struct receipt *r)
{
	for (size_t i = 0; i < r->n_lines; i++)
		if (!receipt_line_meets(r, &r->lines[i]))
			return &r->lines[i];
	return NULL;
}

void scrubbing_say(const struct receipt *r, char *ret, size_t size)
{
	const struct receipt_line *l = shortfall(r);
	const char *never = r->ran ? "" : "the workload never ran; ";
	char words[SCRUBBING_WORDS];

	scrubbing_words(r, words);
	if (l)
		snprintf(ret, size, "%s%s; %s: %s", never, words, l->place, l->method);
	else
		snprintf(ret, size, "%s%s: what the policy asks for", never, words);
}
