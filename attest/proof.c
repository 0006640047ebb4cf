/* attest/proof.c - the offline proof file: written, read, checked. */
#include "attest/proof.h"

#include <stdlib.h>
#include <string.h>

#include "attest/base64.h"
#include "attest/span.h"

#define HEADER "c2sp.org/tlog-proof@v1"

static enum attest_status bad(struct attest_error *e, unsigned line, const char *what)
{
	char where[32];

	snprintf(where, sizeof(where), "line %u", line);
	return attest_fail(e, ATTEST_MALFORMED, where, NULL, "not a proof: %s", what);
}

/* Whether base64 is sound can only be told by decoding it. */
static bool is_base64(struct span s)
{
	uint8_t *bytes = malloc(s.len + 1);
	size_t n;
	bool good = bytes && s.len > 0 && base64_decode(s.at, s.len, bytes, s.len, &n);

	free(bytes);
	return good;
}

/* The lines between the index and the empty line. */
static enum attest_status read_path(struct span *rest, unsigned line, struct tlog_proof *ret,
				    struct attest_error *e)
{
	struct span s;
	size_t n;

	for (ret->n = 0; span_until(rest, '\n', &s); ret->n++, line++) {
		if (s.len == 0)
			return ATTEST_OK;
		if (ret->n == TLOG_PROOF_MAX)
			return bad(e, line, "more hashes than any log can need");
		if (!base64_decode(s.at, s.len, ret->hashes[ret->n].bytes, TLOG_HASH, &n) ||
		    n != TLOG_HASH)
			return bad(e, line,
				   "this should be a hash, or the empty line behind "
				   "the last one");
	}
	return bad(e, line, "it ends before the checkpoint");
}

enum attest_status proof_parse(const char *bytes, size_t len, struct proof *ret,
			       struct attest_error *reterr)
{
	struct span rest = { bytes, len }, line;
	struct proof p = { .index = 0 };
	unsigned at = 2;
	enum attest_status s;

	if (len > PROOF_MAX)
		return bad(reterr, 1, "it is too long");
	if (!span_until(&rest, '\n', &line) || !span_is(line, HEADER))
		return bad(reterr, 1, "it does not begin with " HEADER);
	if (!span_until(&rest, '\n', &line))
		return bad(reterr, at, "it ends before the index");
	if (span_skip(&line, "extra ")) {
		if (!is_base64(line))
			return bad(reterr, at, "its extra data is not base64");
		p.extra = line.at;
		p.extra_len = line.len;
		at++;
		if (!span_until(&rest, '\n', &line))
			return bad(reterr, at, "it ends before the index");
	}
	if (!span_skip(&line, "index ") || !span_decimal(line, &p.index))
		return bad(reterr, at, "this should be the index");
	s = read_path(&rest, at + 1, &p.path, reterr);
	if (s != ATTEST_OK)
		return s;
	p.checkpoint = rest.at;
	p.checkpoint_len = rest.len;
	*ret = p;
	return ATTEST_OK;
}

enum attest_status proof_print(const struct proof *p, char **ret, struct attest_error *reterr)
{
	char hash[BASE64_SIZE(TLOG_HASH)];
	size_t len = 0;
	char *text = NULL;
	FILE *to = open_memstream(&text, &len);
	bool bad_stream;

	if (!to)
		return attest_fail(reterr, ATTEST_SYSTEM, "proof", NULL, "no memory");
	fputs(HEADER "\n", to);
	if (p->extra)
		fprintf(to, "extra %.*s\n", (int)p->extra_len, p->extra);
	fprintf(to, "index %llu\n", (unsigned long long)p->index);
	for (size_t i = 0; i < p->path.n; i++) {
		base64_encode(p->path.hashes[i].bytes, TLOG_HASH, hash);
		fprintf(to, "%s\n", hash);
	}
	fprintf(to, "\n%.*s", (int)p->checkpoint_len, p->checkpoint);
	bad_stream = ferror(to) != 0;
	if (fclose(to) != 0 || bad_stream) {
		free(text);
		return attest_fail(reterr, ATTEST_SYSTEM, "proof", NULL, "no memory");
	}
	*ret = text;
	return ATTEST_OK;
}

enum attest_status proof_check(const struct proof *p, const struct tlog_hash *leaf,
			       const struct log_policy *policy, struct checkpoint *ret,
			       struct note *ret_note, struct attest_error *reterr)
{
	struct checkpoint c;
	struct note n;
	enum attest_status s =
		log_policy_open(policy, p->checkpoint, p->checkpoint_len, &c, &n, reterr);

	if (s != ATTEST_OK)
		return s;
	if (!tlog_check_inclusion(&p->path, p->index, c.size, leaf, &c.root))
		return attest_fail(reterr, ATTEST_REFUSED, "",
				   "the entry must be byte for byte what was logged",
				   "this is not entry %llu of the %llu in %s",
				   (unsigned long long)p->index, (unsigned long long)c.size,
				   c.origin);
	*ret = c;
	*ret_note = n;
	return ATTEST_OK;
}
