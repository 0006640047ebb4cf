/* attest/checkpoint.c - what a log signs: its name, its size, its root. */
#include "attest/note.h"

#include <string.h>

#include "attest/base64.h"
#include "attest/span.h"

static enum attest_status bad(struct attest_error *e, const char *what)
{
	return attest_fail(e, ATTEST_MALFORMED, "", NULL, "not a checkpoint: %s", what);
}

enum attest_status checkpoint_parse(const char *text, size_t len, struct checkpoint *ret,
				    struct attest_error *reterr)
{
	struct span rest = { text, len }, origin, size, root, extension;
	struct checkpoint c = { .size = 0 };
	struct tlog_hash empty;
	size_t n;

	if (!span_until(&rest, '\n', &origin) || !span_until(&rest, '\n', &size) ||
	    !span_until(&rest, '\n', &root))
		return bad(reterr, "it has not three lines");
	if (origin.len == 0 || origin.len >= sizeof(c.origin) ||
	    memchr(origin.at, '\0', origin.len))
		return bad(reterr, "its first line is not an origin");
	if (!span_decimal(size, &c.size))
		return bad(reterr, "its second line is not a size");
	if (!base64_decode(root.at, root.len, c.root.bytes, TLOG_HASH, &n) || n != TLOG_HASH)
		return bad(reterr, "its third line is not a root");
	while (span_until(&rest, '\n', &extension))
		if (extension.len == 0)
			return bad(reterr, "an extension line is empty");
	if (rest.len > 0)
		return bad(reterr, "its last line is cut off");

	tlog_empty(&empty);
	if (c.size == 0 && !tlog_hash_equal(&c.root, &empty))
		return attest_fail(reterr, ATTEST_REFUSED, "", NULL,
				   "the root of an empty log is the hash of nothing, and this "
				   "is another");
	memcpy(c.origin, origin.at, origin.len);
	*ret = c;
	return ATTEST_OK;
}

void checkpoint_print(const struct checkpoint *c, char ret[static NOTE_NAME + 80])
{
	char root[BASE64_SIZE(TLOG_HASH)];

	base64_encode(c->root.bytes, TLOG_HASH, root);
	snprintf(ret, NOTE_NAME + 80, "%s\n%llu\n%s\n", c->origin, (unsigned long long)c->size,
		 root);
}

/* A witness that happens to have the log's name does not speak for it. */
static bool signed_by_its_log(const struct note *n, const char *origin)
{
	for (size_t i = 0; i < n->n_marks; i++)
		if (n->marks[i].by->kind == NOTE_ED25519 &&
		    strcmp(n->marks[i].by->name, origin) == 0)
			return true;
	return false;
}

enum attest_status checkpoint_open(const char *bytes, size_t len,
				   const struct note_verifier *known, size_t n_known,
				   struct checkpoint *ret, struct note *ret_note,
				   struct attest_error *reterr)
{
	struct checkpoint c;
	struct note n;
	enum attest_status s = note_open(bytes, len, known, n_known, &n, reterr);

	if (s == ATTEST_OK)
		s = checkpoint_parse(n.text, n.text_len, &c, reterr);
	if (s != ATTEST_OK)
		return s;
	if (!signed_by_its_log(&n, c.origin))
		return attest_fail(reterr, ATTEST_REFUSED, "", NULL,
				   "it is a checkpoint of %s, which no known key signs for",
				   c.origin);
	*ret = c;
	*ret_note = n;
	return ATTEST_OK;
}
