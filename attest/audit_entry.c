/*
 * attest/audit_entry.c - whose entry it is, and whether it may stand where it stands.
 *
 * A judge asks this of every entry of a log, a million times over, and needs four members:
 * so they are picked out of the text, and no tree is built.
 */
#include "attest/audit_entry.h"

#include <string.h>

#define TIME 27u /* characters: 2026-11-23T18:46:16.123456Z */

/* ---- canonical JSON, just as far as needed -------------------------------------------- */

/* Takes a string; *ret is what stands between its quotes. */
static bool take_string(struct span *s, struct span *ret)
{
	size_t n = 1;

	if (s->len == 0 || s->at[0] != '"')
		return false;
	for (; n < s->len && s->at[n] != '"'; n++)
		n += s->at[n] == '\\';
	if (n >= s->len)
		return false;
	*ret = (struct span){ s->at + 1, n - 1 };
	s->at += n + 1;
	s->len -= n + 1;
	return true;
}

/* Takes an object or array, by counting what opens and closes outside of strings. */
static bool take_nested(struct span *s)
{
	struct span ignored;
	size_t depth = 0;

	do {
		if (s->len == 0)
			return false;
		if (s->at[0] == '"') {
			if (!take_string(s, &ignored))
				return false;
			continue;
		}
		depth += s->at[0] == '{' || s->at[0] == '[';
		depth -= s->at[0] == '}' || s->at[0] == ']';
		s->at++;
		s->len--;
	} while (depth > 0);
	return true;
}

/* Takes a value; *ret is its text, of a string with its quotes. */
static bool take_value(struct span *s, struct span *ret)
{
	struct span ignored;
	const char *begin = s->at;
	bool good = true;

	if (s->len > 0 && s->at[0] == '"') {
		good = take_string(s, &ignored);
	} else if (s->len > 0 && (s->at[0] == '{' || s->at[0] == '[')) {
		good = take_nested(s);
	} else {
		while (s->len > 0 && s->at[0] != ',' && s->at[0] != '}') {
			s->at++;
			s->len--;
		}
	}
	*ret = (struct span){ begin, (size_t)(s->at - begin) };
	return good && ret->len > 0;
}

static bool ascends(struct span before, struct span now)
{
	size_t n = before.len < now.len ? before.len : now.len;
	int order = memcmp(before.at, now.at, n);

	return order < 0 || (order == 0 && before.len < now.len);
}

/* ---- an entry --------------------------------------------------------------------------- */

static bool is_time(struct span t)
{
	static const char form[] = "0000-00-00T00:00:00.000000Z";

	if (t.len != TIME)
		return false;
	for (size_t i = 0; i < TIME; i++)
		if (form[i] == '0' ? t.at[i] < '0' || t.at[i] > '9' : t.at[i] != form[i])
			return false;
	return true;
}

static bool unquoted(struct span value, struct span *ret)
{
	return take_string(&value, ret);
}

/* What is wanted of one member; false: no entry of ours has such a value there. */
static bool pick(struct span name, struct span value, struct audit_entry *e, bool *ret_v,
		 bool *ret_seq)
{
	if (span_is(name, "v"))
		return *ret_v = span_is(value, "1");
	if (span_is(name, "seq"))
		return *ret_seq = span_decimal(value, &e->seq);
	if (span_is(name, "t"))
		return unquoted(value, &e->t) && is_time(e->t);
	return !span_is(name, "kind") || unquoted(value, &e->kind);
}

bool audit_entry_scan(const uint8_t *bytes, size_t len, struct audit_entry *ret)
{
	struct span rest = { (const char *)bytes, len }, name, value, before = { "", 0 };
	struct audit_entry e = { .t = { "", 0 }, .kind = { "", 0 } };
	bool has_v = false, has_seq = false;

	if (!span_skip(&rest, "{"))
		return false;
	do {
		if (!take_string(&rest, &name) || !ascends(before, name) ||
		    !span_skip(&rest, ":") || !take_value(&rest, &value) ||
		    !pick(name, value, &e, &has_v, &has_seq))
			return false;
		before = name;
	} while (span_skip(&rest, ","));
	if (!span_skip(&rest, "}") || rest.len > 0 || !has_v || !has_seq || e.t.len == 0)
		return false;
	*ret = e;
	return true;
}

/* ---- the rules ---------------------------------------------------------------------------- */

enum attest_status audit_rules_check(struct audit_rules *r, uint64_t index,
				     const uint8_t *bytes, size_t len,
				     struct attest_error *reterr)
{
	struct audit_entry own;
	char where[48];
	bool explains;

	if (!audit_entry_scan(bytes, len, &own))
		return ATTEST_OK;
	snprintf(where, sizeof(where), "entry %llu", (unsigned long long)index);
	if (own.seq != index)
		return attest_fail(reterr, ATTEST_REFUSED, where, NULL,
				   "it says that it is entry %llu",
				   (unsigned long long)own.seq);
	/* Times of one form and one length compare as texts do. */
	explains = span_is(own.kind, "clock.step") || span_is(own.kind, "log.start");
	if (memcmp(own.t.at, r->last, TIME) < 0 && !explains && !r->explained)
		return attest_fail(reterr, ATTEST_REFUSED, where, NULL,
				   "its time %.27s is before %.27s of the entry in front of "
				   "it, and neither is a clock.step or log.start",
				   own.t.at, r->last);
	memcpy(r->last, own.t.at, TIME);
	r->explained = explains;
	r->own++;
	return ATTEST_OK;
}
