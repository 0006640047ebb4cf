/* tests/fuzz/fuzz_note.c - what opens as a note, a checkpoint or a key prints back unchanged,
 * and nobody's signature appears from nowhere. The key is of a fixed seed, and known. */
#include "attest/note.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_key(const char *text)
{
	struct note_verifier v;
	char again[NOTE_VKEY + 1];
	size_t len = strlen(text);

	if (note_verifier_parse(text, &v, NULL) != ATTEST_OK || v.kind == NOTE_MLDSA44)
		return;
	note_verifier_print(&v, again);
	if (strncmp(again, text, strlen(again)) != 0 || len - strlen(again) > 1)
		abort();
}

static void check_checkpoint(const char *text, size_t len)
{
	char again[NOTE_NAME + 80];
	struct checkpoint c;

	if (checkpoint_parse(text, len, &c, NULL) != ATTEST_OK)
		return;
	checkpoint_print(&c, again);
	if (len < strlen(again) || memcmp(again, text, strlen(again)) != 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t seed[32] = { 1 };
	static struct note_verifier known[2];
	static struct note_signer *signer;
	struct note n;
	char *text = calloc(1, size + 1);

	if (!signer) {
		if (note_signer_new("log.example/a", seed, &signer, NULL) != ATTEST_OK)
			abort();
		known[0] = *note_signer_verifier(signer);
		note_verifier_make("witness.example", NOTE_COSIGNATURE, known[0].key,
				   &known[1]);
	}
	if (!text)
		return 0;
	memcpy(text, data, size);
	check_key(text);
	check_checkpoint(text, size);
	if (note_open((const char *)data, size, known, 2, &n, NULL) == ATTEST_OK &&
	    (n.n_marks == 0 || n.text_len == 0 || n.text[n.text_len - 1] != '\n'))
		abort();
	free(text);
	return 0;
}
