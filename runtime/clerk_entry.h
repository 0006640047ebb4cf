/*
 * runtime/clerk_entry.h - what a session's journal says, as entries of the audit log and
 * as a receipt. The journal is the one source: what a keeper could not get into the log
 * waits there until somebody asks again.
 */
#pragma once

#include "attest/log_entry.h"
#include "attest/receipt.h"
#include "runtime/journal.h"

/* Kinds that sessions bring into the log. */
#define ENTRY_START "session.start"
#define ENTRY_END "session.end"
#define ENTRY_WIPE "wipe"

/* What all entries of a clerk share. */
struct entry_host {
	char boot[SESSION_ID_HEX], name[64];
};

/* Time, boot, host, session and tenant of an entry. `hex` and the journal are borrowed by
 * the entry. */
void entry_begin(struct log_entry *e, const struct entry_host *host, const char *kind,
		 const struct journal *j, const char *hex);
/* The start as it was obtained, item by item. */
void entry_start(struct log_entry *e, const struct journal *j);
/* How it ended. */
void entry_end(struct log_entry *e, const struct journal *j);

/* What its end was worth, from the lines in the journal. A place of which the journal has
 * no line is worth nothing. */
void entry_receipt(const struct journal *j, const struct entry_host *host, struct receipt *ret);
