/* policy/yaml.c - see policy/yaml.h. libyaml's events, judged one by one: what is refused
 * is refused before anything is built of it. */
#include "policy/yaml.h"
#include "policy/policy_internal.h"

#include <string.h>
#include <yaml.h>

#define DEPTH_MAX 32u
#define NODES_MAX 16384u
#define KEYS_MAX 1024u /* of one mapping: finding double ones takes the square of it */

struct building {
	yaml_parser_t parser;
	const char *text;
	size_t len;
	/* libyaml counts characters; bytes are found by following it. */
	size_t at_char, at_byte;
	struct arena *arena;
	struct policy_error *err;
	struct node *open[DEPTH_MAX]; /* lists and mappings that are not yet closed */
	struct node *last[DEPTH_MAX]; /* the newest child of each */
	struct node *key[DEPTH_MAX];  /* a mapping's key that waits for its value */
	size_t depth, nodes;
	struct node *root;
};

static enum policy_status fail_at(struct policy_error *e, unsigned line, unsigned column,
				  const char *hint, const char *what)
{
	policy_fail(e, POLICY_INVALID, NULL, hint, "%s", what);
	if (e) {
		e->line = line;
		e->column = column;
	}
	return POLICY_INVALID;
}

/* ---- bytes ----------------------------------------------------------------------- */

/* One UTF-8 character in its shortest form: its length, 0 when there is none. */
static size_t utf8_char(const unsigned char *s, size_t left, uint32_t *ret)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t n = s[0] < 0x80 ? 1 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
	uint32_t c = n == 1 ? s[0] : s[0] & (0x7fu >> n);

	if (n > left || (s[0] >= 0x80 && s[0] < 0xc0) || s[0] >= 0xf8)
		return 0;
	for (size_t i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (s[i] & 0x3fu);
	}
	if (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return 0;
	*ret = c;
	return n;
}

#define BYTE_ORDER_MARK 0xfeff

/* Characters that a reader does not see, or that make the text look other than it is:
 * controls, byte order marks, line ends that only YAML knows, and the bidirectional
 * overrides with which reviewers are deceived (CVE-2021-42574). */
static bool forbidden(uint32_t c)
{
	return (c < 0x20 && c != '\t' && c != '\n' && c != '\r') || (c >= 0x7f && c < 0xa0) ||
	       (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) ||
	       c == BYTE_ORDER_MARK || (c & 0xfffe) == 0xfffe;
}

static enum policy_status check_bytes(const char *text, size_t len, struct policy_error *e)
{
	unsigned line = 1, column = 1;
	uint32_t c = 0;

	for (size_t i = 0, n; i < len; i += n) {
		n = utf8_char((const unsigned char *)text + i, len - i, &c);
		if (n == 0)
			return fail_at(e, line, column, "save the file as UTF-8",
				       "a byte that is not UTF-8");
		if (c == BYTE_ORDER_MARK)
			return fail_at(e, line, column, "save the file without it",
				       "a byte order mark");
		if (forbidden(c))
			return fail_at(e, line, column, "remove it",
				       c ? "a control character" : "a zero byte");
		column++;
		if (c == '\n') {
			line++;
			column = 1;
		}
	}
	return POLICY_OK;
}

/* Where libyaml's character `index` begins. Marks come almost in order, so the way from the
 * one before is short, forth or back. */
static size_t byte_of(struct building *b, size_t index)
{
	while (b->at_char > index && b->at_byte > 0) {
		do
			b->at_byte--;
		while (b->at_byte > 0 && ((unsigned char)b->text[b->at_byte] & 0xc0) == 0x80);
		b->at_char--;
	}
	while (b->at_char < index && b->at_byte < b->len) {
		do
			b->at_byte++;
		while (b->at_byte < b->len &&
		       ((unsigned char)b->text[b->at_byte] & 0xc0) == 0x80);
		b->at_char++;
	}
	return b->at_byte;
}

/* ---- the tree -------------------------------------------------------------------- */

static enum policy_status refuse(struct building *b, const yaml_mark_t *m, const char *hint,
				 const char *what)
{
	return fail_at(b->err, (unsigned)m->line + 1, (unsigned)m->column + 1, hint, what);
}

static enum policy_status refuse_double(struct building *b, const struct node *key,
					const struct node *first)
{
	char path[512] = "";
	size_t used = 0;

	for (size_t i = 1; i < b->depth && used < sizeof(path); i++) {
		const struct node *n = b->open[i];

		used += (size_t)(n->key ? snprintf(path + used, sizeof(path) - used, "%s%s",
						   used ? "." : "", n->key->text)
					: snprintf(path + used, sizeof(path) - used, "[%zu]",
						   b->open[i - 1]->count - 1));
	}
	policy_fail(b->err, POLICY_INVALID, NULL, "remove one of the two",
		    "the key is there twice");
	if (b->err) {
		snprintf(b->err->key, sizeof(b->err->key), "%.100s%s%.20s", path,
			 path[0] ? "." : "", key->text);
		b->err->line = key->line;
		b->err->column = key->column;
		b->err->other_line = first->line;
		b->err->other_column = first->column;
	}
	return POLICY_INVALID;
}

static enum policy_status new_node(struct building *b, const yaml_event_t *ev,
				   enum node_kind kind, struct node **ret)
{
	struct node *n;

	if (++b->nodes > NODES_MAX)
		return refuse(b, &ev->start_mark, "a policy is smaller than this",
			      "too many values");
	n = arena_array(b->arena, 1, sizeof(*n));
	if (!n)
		return policy_fail_memory(b->err);
	n->kind = kind;
	n->line = (unsigned)ev->start_mark.line + 1;
	n->column = (unsigned)ev->start_mark.column + 1;
	n->start = byte_of(b, ev->start_mark.index);
	n->end = byte_of(b, ev->end_mark.index);
	*ret = n;
	return POLICY_OK;
}

static enum policy_status take_key(struct building *b, struct node *n)
{
	struct node *mapping = b->open[b->depth - 1];

	if (n->kind != NODE_SCALAR)
		return fail_at(b->err, n->line, n->column, NULL, "a key must be a text");
	for (const struct node *c = mapping->first; c; c = c->next)
		if (strcmp(c->key->text, n->text) == 0)
			return refuse_double(b, n, c->key);
	if (mapping->count == KEYS_MAX)
		return fail_at(b->err, n->line, n->column, NULL,
			       "too many keys in one mapping");
	b->key[b->depth - 1] = n;
	return POLICY_OK;
}

/* Puts a finished or just opened node where it belongs. */
static enum policy_status place(struct building *b, struct node *n)
{
	size_t top = b->depth - 1;
	struct node *parent;

	if (b->depth == 0) {
		b->root = n;
		return POLICY_OK;
	}
	parent = b->open[top];
	if (parent->kind == NODE_MAPPING && !b->key[top])
		return take_key(b, n);
	n->key = b->key[top];
	b->key[top] = NULL;
	if (b->last[top])
		b->last[top]->next = n;
	else
		parent->first = n;
	b->last[top] = n;
	parent->count++;
	return POLICY_OK;
}

static enum policy_status open_node(struct building *b, const yaml_event_t *ev,
				    enum node_kind kind)
{
	struct node *n = NULL;
	enum policy_status s;

	if (b->depth == DEPTH_MAX)
		return refuse(b, &ev->start_mark, "a policy is flatter than this",
			      "nested too deeply");
	s = new_node(b, ev, kind, &n);
	if (s != POLICY_OK || !n)
		return s;
	s = place(b, n);
	if (s != POLICY_OK)
		return s;
	b->open[b->depth] = n;
	b->last[b->depth] = NULL;
	b->key[b->depth] = NULL;
	b->depth++;
	return POLICY_OK;
}

/* A block has no end of its own: libyaml closes it where the next thing begins, comments
 * and all. So it ends where its last child does. */
static enum policy_status close_node(struct building *b, const yaml_event_t *ev)
{
	struct node *n = b->open[--b->depth], *last = b->last[b->depth];
	bool flow = ev->end_mark.index > ev->start_mark.index;

	n->end = !flow && last ? last->end : byte_of(b, ev->end_mark.index);
	return POLICY_OK;
}

/* Escapes can bring in what the text itself may not hold. */
static bool clean_scalar(const unsigned char *s, size_t len)
{
	uint32_t c = 0;

	for (size_t i = 0, n; i < len; i += n) {
		n = utf8_char(s + i, len - i, &c);
		if (n == 0 || c == '\r' || forbidden(c))
			return false;
	}
	return true;
}

static enum policy_status add_scalar(struct building *b, const yaml_event_t *ev)
{
	const unsigned char *value = ev->data.scalar.value;
	size_t len = ev->data.scalar.length;
	struct node *n = NULL;
	enum policy_status s;

	if (!clean_scalar(value, len))
		return refuse(b, &ev->start_mark, "remove it", "a control character");
	s = new_node(b, ev, NODE_SCALAR, &n);
	if (s != POLICY_OK || !n)
		return s;
	n->plain = ev->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
	n->text = arena_text(b->arena, (const char *)value, len);
	return n->text ? place(b, n) : policy_fail_memory(b->err);
}

static const char *anchor_of(const yaml_event_t *ev)
{
	switch (ev->type) {
	case YAML_SCALAR_EVENT:
		return (const char *)ev->data.scalar.anchor;
	case YAML_SEQUENCE_START_EVENT:
		return (const char *)ev->data.sequence_start.anchor;
	case YAML_MAPPING_START_EVENT:
		return (const char *)ev->data.mapping_start.anchor;
	default:
		return NULL;
	}
}

static const char *tag_of(const yaml_event_t *ev)
{
	switch (ev->type) {
	case YAML_SCALAR_EVENT:
		return (const char *)ev->data.scalar.tag;
	case YAML_SEQUENCE_START_EVENT:
		return (const char *)ev->data.sequence_start.tag;
	case YAML_MAPPING_START_EVENT:
		return (const char *)ev->data.mapping_start.tag;
	default:
		return NULL;
	}
}

static enum policy_status take_event(struct building *b, const yaml_event_t *ev)
{
	static const char plainly[] = "write the value itself";

	if (ev->type == YAML_ALIAS_EVENT || anchor_of(ev))
		return refuse(b, &ev->start_mark, plainly,
			      "anchors and aliases are not allowed");
	if (tag_of(ev))
		return refuse(b, &ev->start_mark, plainly, "tags are not allowed");
	switch (ev->type) {
	case YAML_DOCUMENT_START_EVENT:
		if (b->root)
			return refuse(b, &ev->start_mark, "one file, one document",
				      "a second document");
		if (ev->data.document_start.version_directive ||
		    ev->data.document_start.tag_directives.start !=
			    ev->data.document_start.tag_directives.end)
			return refuse(b, &ev->start_mark, "remove the line that begins with %",
				      "directives are not allowed");
		return POLICY_OK;
	case YAML_SCALAR_EVENT:
		return add_scalar(b, ev);
	case YAML_SEQUENCE_START_EVENT:
		return open_node(b, ev, NODE_LIST);
	case YAML_MAPPING_START_EVENT:
		return open_node(b, ev, NODE_MAPPING);
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		return close_node(b, ev);
	default:
		return POLICY_OK;
	}
}

static enum policy_status parser_error(struct building *b)
{
	const yaml_parser_t *p = &b->parser;

	if (p->error == YAML_MEMORY_ERROR)
		return policy_fail_memory(b->err);
	policy_fail(b->err, POLICY_INVALID, NULL, NULL, "not YAML: %s%s%s",
		    p->problem ? p->problem : "it cannot be read", p->context ? " " : "",
		    p->context ? p->context : "");
	if (b->err) {
		b->err->line = (unsigned)p->problem_mark.line + 1;
		b->err->column = (unsigned)p->problem_mark.column + 1;
	}
	return POLICY_INVALID;
}

static enum policy_status take_events(struct building *b)
{
	enum policy_status s = POLICY_OK;
	bool end = false;

	while (s == POLICY_OK && !end) {
		yaml_event_t ev;

		if (!yaml_parser_parse(&b->parser, &ev))
			return parser_error(b);
		s = take_event(b, &ev);
		end = ev.type == YAML_STREAM_END_EVENT;
		yaml_event_delete(&ev);
	}
	return s;
}

enum policy_status yaml_read(const char *text, size_t len, struct arena *a, struct node **ret,
			     struct policy_error *reterr)
{
	struct building b = { .text = text, .len = len, .arena = a, .err = reterr };
	enum policy_status s = check_bytes(text, len, reterr);

	if (s != POLICY_OK)
		return s;
	if (!yaml_parser_initialize(&b.parser))
		return policy_fail_memory(reterr);
	yaml_parser_set_encoding(&b.parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&b.parser, (const unsigned char *)text, len);
	s = take_events(&b);
	yaml_parser_delete(&b.parser);
	if (s == POLICY_OK && !b.root)
		return fail_at(reterr, 1, 1, NULL, "nothing in it");
	if (s == POLICY_OK)
		*ret = b.root;
	return s;
}

const struct node *node_find(const struct node *mapping, const char *key)
{
	if (!mapping || mapping->kind != NODE_MAPPING)
		return NULL;
	for (const struct node *c = mapping->first; c; c = c->next)
		if (strcmp(c->key->text, key) == 0)
			return c;
	return NULL;
}

const struct node *node_at(const struct node *root, const char *path)
{
	char key[64];

	while (root && *path) {
		size_t n = strcspn(path, ".");

		if (n >= sizeof(key))
			return NULL;
		memcpy(key, path, n);
		key[n] = '\0';
		root = node_find(root, key);
		path += n + (path[n] == '.');
	}
	return root;
}
