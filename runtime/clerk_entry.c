/* runtime/clerk_entry.c - see runtime/clerk_entry.h. */
#include "runtime/clerk_entry.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "policy/policy.h"
#include "runtime/places.h"

static int64_t now_ns(clockid_t clock)
{
	struct timespec t = { 0 };

	clock_gettime(clock, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

void entry_begin(struct log_entry *e, const struct entry_host *host, const char *kind,
		 const struct journal *j, const char *hex)
{
	memset(e, 0, sizeof(*e));
	e->t = now_ns(CLOCK_REALTIME);
	e->mono = now_ns(CLOCK_BOOTTIME);
	e->boot = host->boot;
	e->host = host->name;
	e->kind = kind;
	if (!j) {
		e->actor = "cordon";
		return;
	}
	e->uid = j->begin.euid;
	e->pid = j->begin.keeper;
	e->tenant = j->begin.tenant;
	e->object = hex;
}

static void add(struct log_entry *e, const char *name, const char *text)
{
	if (text && text[0] && e->n_data < LOG_ENTRY_DATA)
		e->data[e->n_data++] = (struct log_datum){ .name = name, .text = text };
}

/* The same fact may stand there several times (one cgroup each): the newest is taken. */
static void add_facts(struct log_entry *e, const struct journal *j, const char *kind)
{
	for (size_t i = 0; i < j->n_facts; i++) {
		const char *key = j->facts[i].key;

		if (strncmp(key, kind, strlen(kind)) == 0 &&
		    journal_fact(j, key) == j->facts[i].value)
			add(e, key, j->facts[i].value);
	}
}

void entry_start(struct log_entry *e, const struct journal *j)
{
	add(e, "class", j->begin.class == POLICY_CLASS_GUEST ? "guest" : "sandbox");
	add(e, "command", journal_fact(j, "command"));
	add(e, "name", j->begin.name);
	add(e, "policy", j->begin.builtin ? "built-in" : "own");
	add(e, "service", journal_fact(j, "service"));
	add(e, "uids", journal_fact(j, "uids"));
	add_facts(e, j, "attest.");
	add_facts(e, j, "isolation.");
	add_facts(e, j, "limit.");
}

/* The first word on why it ended, which is the one that was meant. */
static const char *why_it_ended(const struct journal *j)
{
	for (size_t i = 0; i < j->n_states; i++)
		if (j->states[i].event == EV_ENDING || j->states[i].event == EV_REFUSED ||
		    j->states[i].event == EV_HOLD_FAILED || j->states[i].event == EV_LOST)
			return j->states[i].why;
	return NULL;
}

void entry_end(struct log_entry *e, const struct journal *j)
{
	const char *status = journal_fact(j, "status");

	e->outcome = journal_ran(j) ? LOG_OK : LOG_DENIED;
	e->reason = why_it_ended(j);
	add(e, "keys", journal_fact(j, "keys"));
	add(e, "oom", journal_fact(j, "oom"));
	add(e, "ran", journal_ran(j) ? "yes" : "no");
	if (status && e->n_data < LOG_ENTRY_DATA)
		e->data[e->n_data++] = (struct log_datum){ .name = "wait_status",
							   .number = strtol(status, NULL, 10) };
}

/* ---- receipts -------------------------------------------------------------------- */

static void add_line(struct receipt *r, const struct journal *j, enum place p)
{
	struct receipt_line *l = &r->lines[r->n_lines];

	if (!place_find(j, p, l)) {
		if (p == PLACE_RING) /* only a detached session has one */
			return;
		if (p == PLACE_CREDENTIALS && !journal_fact(j, "keys"))
			return;
		*l = (struct receipt_line){ .group = place_group(p) };
		snprintf(l->place, sizeof(l->place), "%s", place_str(p));
		snprintf(l->method, sizeof(l->method),
			 "the session's journal has no word of it");
	}
	r->n_lines++;
}

static enum receipt_assurance held_minimum(uint32_t held)
{
	return held == POLICY_HELD_NONE ? RECEIPT_NONE : RECEIPT_WIPED;
}

static enum receipt_assurance kernel_minimum(uint32_t kernel)
{
	return kernel == POLICY_KERNEL_NONE    ? RECEIPT_NONE
	       : kernel == POLICY_KERNEL_SWEPT ? RECEIPT_SWEPT
					       : RECEIPT_BY_KERNEL;
}

void entry_receipt(const struct journal *j, const struct entry_host *host, struct receipt *ret)
{
	struct receipt *r = ret;

	memset(r, 0, sizeof(*r));
	session_id_hex(j->begin.id, r->session);
	session_id_hex(j->begin.boot, r->boot);
	snprintf(r->tenant, sizeof(r->tenant), "%s", j->begin.tenant);
	snprintf(r->class, sizeof(r->class), "%s",
		 j->begin.class == POLICY_CLASS_GUEST ? "guest" : "sandbox");
	snprintf(r->host, sizeof(r->host), "%s", host->name);
	r->started = j->begin.created;
	r->ended = now_ns(CLOCK_REALTIME);
	r->ran = journal_begun(j);
	r->recovered = journal_fact(j, "recovered") != NULL;
	r->minima[RECEIPT_HELD] = held_minimum(j->begin.held);
	r->minima[RECEIPT_KERNEL] = kernel_minimum(j->begin.kernel);
	for (unsigned p = 0; p < PLACES; p++)
		add_line(r, j, (enum place)p);
}
