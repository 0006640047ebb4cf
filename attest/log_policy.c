/*
 * attest/log_policy.c - lines to a tree of names, and its evaluation.
 *
 * Since a name is defined before it is used and is a member of one group at most, each
 * name needs to know only its group: walking them in order of definition counts what a
 * group has before the group itself is asked.
 */
#include "attest/log_policy.h"

#include <stdlib.h>
#include <string.h>

#include "attest/span.h"

#define NAMES (LOG_POLICY_WITNESSES + LOG_POLICY_GROUPS)
#define VKEY_TEXT 4096u /* of the longest kind, with its name */

_Static_assert(LOG_POLICY_LOGS + LOG_POLICY_WITNESSES <= NOTE_KNOWN, "all keys are asked");

struct name {
	struct span text; /* in `bytes` */
	bool is_group;
	size_t key;         /* of a witness: its place in `keys` */
	uint64_t needs;     /* of a group: that many members */
	struct name *group; /* that it is a member of, or NULL */
};

struct log_policy {
	char *bytes;
	struct note_verifier keys[LOG_POLICY_LOGS + LOG_POLICY_WITNESSES];
	size_t n_keys, n_logs, n_witnesses, n_groups;
	struct name names[NAMES];
	size_t n_names;
	bool has_quorum;
	const struct name *quorum; /* NULL: none is needed */
};

/* One line, word by word. */
struct statement {
	struct span rest;
	unsigned line;
	struct attest_error *e;
};

static enum attest_status bad(const struct statement *s, const char *what, struct span about)
{
	char where[32];

	snprintf(where, sizeof(where), "line %u", s->line);
	return attest_fail(s->e, ATTEST_MALFORMED, where, NULL, "%s%s%.*s", what,
			   about.len ? ": " : "", (int)(about.len < 100 ? about.len : 100),
			   about.len ? about.at : "");
}

static const struct span nothing = { "", 0 };

static bool next_word(struct statement *s, struct span *ret)
{
	struct span *r = &s->rest;
	size_t n = 0;

	while (r->len > 0 && (*r->at == ' ' || *r->at == '\t')) {
		r->at++;
		r->len--;
	}
	while (n < r->len && r->at[n] != ' ' && r->at[n] != '\t')
		n++;
	*ret = (struct span){ r->at, n };
	r->at += n;
	r->len -= n;
	return n > 0;
}

static struct name *find(struct log_policy *p, struct span text)
{
	for (size_t i = 0; i < p->n_names; i++)
		if (span_equal(p->names[i].text, text))
			return &p->names[i];
	return NULL;
}

/* ---- statements -------------------------------------------------------------------- */

/* The next word as a key of `kind`: a log's, or a witness's. */
static enum attest_status key_add(struct log_policy *p, struct statement *s,
				  enum note_kind kind)
{
	struct note_verifier *v = &p->keys[p->n_keys];
	char text[VKEY_TEXT];
	struct span word;
	char where[32];
	enum attest_status status;

	if (!next_word(s, &word) || word.len >= sizeof(text))
		return bad(s, "no verifier key where one should be", word);
	memcpy(text, word.at, word.len);
	text[word.len] = '\0';
	status = note_verifier_parse(text, v, s->e);
	if (status != ATTEST_OK) {
		snprintf(where, sizeof(where), "line %u: verifier key", s->line);
		if (s->e)
			memcpy(s->e->where, where, sizeof(where));
		return status;
	}
	if (v->kind != kind && v->kind != NOTE_MLDSA44)
		return bad(s,
			   kind == NOTE_ED25519 ? "not a key of a log"
						: "not a key of a witness",
			   word);
	for (size_t i = 0; i < p->n_keys; i++)
		if (p->keys[i].kind == v->kind &&
		    memcmp(p->keys[i].key, v->key, sizeof(v->key)) == 0)
			return bad(s, "this key was named before", word);
	p->n_keys++;
	return ATTEST_OK;
}

/* An URL is for those who talk to a log or a witness: nobody here. */
static enum attest_status end_with_url(struct statement *s)
{
	struct span word;

	if (next_word(s, &word) && next_word(s, &word))
		return bad(s, "more than the line can have", word);
	return ATTEST_OK;
}

static enum attest_status add_log(struct log_policy *p, struct statement *s)
{
	enum attest_status status;

	if (p->n_logs == LOG_POLICY_LOGS)
		return bad(s, "more logs than are taken here", nothing);
	status = key_add(p, s, NOTE_ED25519);
	p->n_logs += status == ATTEST_OK;
	return status == ATTEST_OK ? end_with_url(s) : status;
}

static enum attest_status add_name(struct log_policy *p, struct statement *s, struct name **ret)
{
	struct span word;

	if (!next_word(s, &word))
		return bad(s, "a name is missing", nothing);
	if (span_is(word, "none") || find(p, word))
		return bad(s, "this name is taken", word);
	*ret = &p->names[p->n_names++];
	(*ret)->text = word;
	return ATTEST_OK;
}

static enum attest_status add_witness(struct log_policy *p, struct statement *s)
{
	struct name *name;
	enum attest_status status;

	if (p->n_witnesses == LOG_POLICY_WITNESSES)
		return bad(s, "more witnesses than are taken here", nothing);
	status = add_name(p, s, &name);
	if (status != ATTEST_OK)
		return status;
	name->key = p->n_keys;
	p->n_witnesses++;
	status = key_add(p, s, NOTE_COSIGNATURE);
	return status == ATTEST_OK ? end_with_url(s) : status;
}

static enum attest_status add_group(struct log_policy *p, struct statement *s)
{
	struct name *group, *member;
	struct span needs, word;
	uint64_t n = 0;
	enum attest_status status;

	if (p->n_groups == LOG_POLICY_GROUPS)
		return bad(s, "more groups than are taken here", nothing);
	status = add_name(p, s, &group);
	if (status != ATTEST_OK)
		return status;
	p->n_groups++;
	group->is_group = true;
	if (!next_word(s, &needs))
		return bad(s, "all, any or a number is missing", nothing);
	for (; next_word(s, &word); n++) {
		member = find(p, word);
		if (!member || member == group)
			return bad(s, "a member that is not defined above", word);
		if (member->group)
			return bad(s, "a member of two groups, or twice of one", word);
		member->group = group;
	}
	if (span_is(needs, "all"))
		group->needs = n;
	else if (span_is(needs, "any"))
		group->needs = 1;
	else if (!span_decimal(needs, &group->needs))
		return bad(s, "neither all nor any nor a number", needs);
	if (group->needs < 1 || group->needs > n)
		return bad(s, "a group of that many members cannot need", needs);
	return ATTEST_OK;
}

static enum attest_status set_quorum(struct log_policy *p, struct statement *s)
{
	struct span word;

	if (p->has_quorum)
		return bad(s, "a second quorum", nothing);
	if (!next_word(s, &word))
		return bad(s, "a name is missing", nothing);
	p->has_quorum = true;
	p->quorum = find(p, word);
	if (!p->quorum && !span_is(word, "none"))
		return bad(s, "a name that is not defined above", word);
	if (next_word(s, &word))
		return bad(s, "more than the line can have", word);
	return ATTEST_OK;
}

static const struct {
	const char *word;
	enum attest_status (*read)(struct log_policy *p, struct statement *s);
} statements[] = {
	{ "log", add_log },
	{ "witness", add_witness },
	{ "group", add_group },
	{ "quorum", set_quorum },
};

static enum attest_status read_line(struct log_policy *p, struct statement *s)
{
	struct span word;

	if (!next_word(s, &word) || word.at[0] == '#')
		return ATTEST_OK;
	for (size_t i = 0; i < sizeof(statements) / sizeof(*statements); i++)
		if (span_is(word, statements[i].word))
			return statements[i].read(p, s);
	return bad(s, "a line begins with log, witness, group, quorum or #, not with", word);
}

static bool characters_allowed(struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((s.at[i] >= 0 && s.at[i] < 0x20 && s.at[i] != '\t') || s.at[i] == 0x7f)
			return false;
	return true;
}

static enum attest_status read_lines(struct log_policy *p, struct span rest,
				     struct attest_error *e)
{
	struct statement s = { .line = 1, .e = e };
	enum attest_status status;

	for (; span_until(&rest, '\n', &s.rest); s.line++) {
		status = characters_allowed(s.rest) ? read_line(p, &s)
						    : bad(&s, "a control character", nothing);
		if (status != ATTEST_OK)
			return status;
	}
	if (rest.len > 0)
		return bad(&s, "the line has no end", nothing);
	if (!p->has_quorum)
		return bad(&s, "no quorum is named", nothing);
	return p->n_logs > 0 ? ATTEST_OK : bad(&s, "no log is named", nothing);
}

/* ---- a policy ----------------------------------------------------------------------- */

void log_policy_free(struct log_policy *p)
{
	if (p)
		free(p->bytes);
	free(p);
}

static struct log_policy *policy_new(const char *bytes, size_t len)
{
	struct log_policy *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->bytes = malloc(len + 1);
	if (!p->bytes) {
		log_policy_free(p);
		return NULL;
	}
	memcpy(p->bytes, bytes, len);
	return p;
}

static enum attest_status no_memory(struct attest_error *e)
{
	return attest_fail(e, ATTEST_SYSTEM, "policy", NULL, "no memory");
}

enum attest_status log_policy_parse(const char *bytes, size_t len, struct log_policy **ret,
				    struct attest_error *reterr)
{
	struct log_policy *p;
	enum attest_status s;

	if (len > LOG_POLICY_MAX)
		return attest_fail(reterr, ATTEST_MALFORMED, "", NULL,
				   "a policy has at most %u bytes", LOG_POLICY_MAX);
	p = policy_new(bytes, len);
	if (!p)
		return no_memory(reterr);
	s = read_lines(p, (struct span){ p->bytes, len }, reterr);
	if (s != ATTEST_OK) {
		log_policy_free(p);
		return s;
	}
	*ret = p;
	return ATTEST_OK;
}

enum attest_status log_policy_of_key(const struct note_verifier *key, struct log_policy **ret,
				     struct attest_error *reterr)
{
	struct log_policy *p;

	if (key->kind != NOTE_ED25519)
		return attest_fail(reterr, ATTEST_MALFORMED, "verifier key", NULL,
				   "%s is not the key of a log", key->name);
	p = policy_new("", 0);
	if (!p)
		return no_memory(reterr);
	p->keys[p->n_keys++] = *key;
	p->n_logs = 1;
	*ret = p;
	return ATTEST_OK;
}

/* ---- evaluation ---------------------------------------------------------------------- */

static bool has_cosigned(const struct note *n, const struct note_verifier *witness)
{
	for (size_t i = 0; i < n->n_marks; i++)
		if (n->marks[i].by == witness)
			return true;
	return false;
}

static enum attest_status judge_quorum(const struct log_policy *p, const struct note *n,
				       struct attest_error *e)
{
	uint64_t have[NAMES] = { 0 }; /* members of a group that have witnessed */

	for (size_t i = 0; i < p->n_names; i++) {
		const struct name *name = &p->names[i];
		bool yes = name->is_group ? have[i] >= name->needs
					  : has_cosigned(n, &p->keys[name->key]);

		if (name->group)
			have[name->group - p->names] += yes;
		if (name != p->quorum || yes)
			continue;
		if (!name->is_group)
			return attest_fail(e, ATTEST_REFUSED, "quorum", NULL,
					   "witness %.*s has not cosigned", (int)name->text.len,
					   name->text.at);
		return attest_fail(e, ATTEST_REFUSED, "quorum", NULL,
				   "%llu of the members of %.*s have cosigned, %llu are needed",
				   (unsigned long long)have[i], (int)name->text.len,
				   name->text.at, (unsigned long long)name->needs);
	}
	return ATTEST_OK;
}

enum attest_status log_policy_open(const struct log_policy *p, const char *bytes, size_t len,
				   struct checkpoint *ret, struct note *ret_note,
				   struct attest_error *reterr)
{
	struct checkpoint c;
	struct note n;
	enum attest_status s = checkpoint_open(bytes, len, p->keys, p->n_keys, &c, &n, reterr);

	if (s == ATTEST_OK)
		s = judge_quorum(p, &n, reterr);
	if (s != ATTEST_OK)
		return s;
	*ret = c;
	*ret_note = n;
	return ATTEST_OK;
}
