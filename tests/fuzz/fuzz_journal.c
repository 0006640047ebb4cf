/*
 * tests/fuzz/fuzz_journal.c - whatever the bytes are, a journal is whole, torn or
 * malformed; what is read keeps its promises: ended texts, edges of the table, counts
 * within bounds, and a good part that reads alone.
 *
 * The checksums would stop almost every mutant at the door, so each slot that starts
 * with the magic number is given the checksum and the sequence number that it needs;
 * the input as it came is parsed too.
 */
#include "runtime/journal.h"

#include "attest/crc32c.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void put(uint8_t *to, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		to[i] = (uint8_t)(v >> (8 * i));
}

static void must(bool held)
{
	if (!held)
		abort();
}

static void check(const struct journal *j)
{
	enum session_state at = SESSION_NONE;

	must(j->slots_used >= 1 && j->slots_used <= JOURNAL_SLOTS);
	must(1 + j->n_states + j->n_facts == j->slots_used);
	must(text_clean(j->begin.name) && text_clean(j->begin.tenant));
	for (size_t i = 0; i < j->n_states; i++) {
		at = session_next(at, (enum session_event)j->states[i].event);
		must(at != SESSION_NONE && at == (enum session_state)j->states[i].state);
		must(text_clean(j->states[i].why));
	}
	must(at == journal_state(j));
	for (size_t i = 0; i < j->n_facts; i++)
		must(text_clean(j->facts[i].value) && journal_fact(j, j->facts[i].key));
}

static void parse(const uint8_t *buf, size_t len)
{
	static uint8_t good[JOURNAL_BYTES];
	struct journal j, again;
	bool torn = false;

	if (journal_parse(buf, len, &j, &torn, NULL) != RUNTIME_OK && !torn)
		return;
	must(len == JOURNAL_BYTES);
	check(&j);
	memset(good, 0, sizeof(good));
	memcpy(good, buf, j.slots_used * JOURNAL_SLOT);
	must(journal_parse(good, sizeof(good), &again, &torn, NULL) == RUNTIME_OK);
	must(again.slots_used == j.slots_used && journal_state(&again) == journal_state(&j));
}

/* The input is a row of slots, each as long as it needs to be: one length byte pair,
 * then bytes; the rest is zero. Small inputs so become whole journals. */
static void unfold(const uint8_t *data, size_t size, uint8_t to[static JOURNAL_BYTES])
{
	memset(to, 0, JOURNAL_BYTES);
	for (uint32_t slot = 0; slot < JOURNAL_SLOTS && size >= 2; slot++) {
		uint8_t *at = to + (size_t)slot * JOURNAL_SLOT;
		size_t n = data[0] | (size_t)data[1] << 8;

		data += 2;
		size -= 2;
		if (n > size)
			n = size;
		if (n > JOURNAL_SLOT - 4)
			n = JOURNAL_SLOT - 4;
		memcpy(at, data, n);
		data += n;
		size -= n;
		if (memcmp(at, "CJNL", 4) != 0)
			continue;
		put(at + 4, slot);
		put(at + JOURNAL_SLOT - 4, crc32c(0, at, JOURNAL_SLOT - 4));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t whole[JOURNAL_BYTES];

	parse(data, size);
	unfold(data, size, whole);
	parse(whole, sizeof(whole));
	return 0;
}
