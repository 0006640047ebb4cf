/* policy/settings.c - see policy/settings.h. */
#include "policy/settings.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "policy/policy_internal.h"
#include "policy/reading.h"

#define PATH_SIZE 128u

static enum policy_status refuse(struct policy_error *e, const struct node *n, const char *key,
				 const char *hint, const char *what)
{
	policy_fail(e, POLICY_INVALID, key, hint, "%s", what);
	if (e) {
		e->line = n->line;
		e->column = n->column;
	}
	return POLICY_INVALID;
}

/* ---- values ---------------------------------------------------------------------- */

static enum policy_status take_text(const struct setting *s, const struct node *n,
				    struct policy_error *e)
{
	size_t len = n->kind == NODE_SCALAR ? strlen(n->text) : 0;

	if (len == 0 || strchr(n->text, '\n') || strchr(n->text, '\t'))
		return refuse(e, n, s->name, NULL, "one line of text is wanted here");
	if (len >= s->size)
		return refuse(e, n, s->name, NULL, "too long");
	memcpy(s->to, n->text, len + 1);
	return POLICY_OK;
}

static enum policy_status take_number(const struct setting *s, const struct node *n,
				      uint64_t *ret, struct policy_error *e)
{
	char range[96];
	const char *end = NULL;
	uint64_t v = 0;

	snprintf(range, sizeof(range), "from %" PRIu64 " to %" PRIu64, s->min, s->max);
	if (n->kind != NODE_SCALAR || !n->plain || !read_digits(n->text, &v, &end) || *end)
		return refuse(e, n, s->name, range, "a whole number is wanted here");
	if (v < s->min || v > s->max)
		return refuse(e, n, s->name, range, "out of range");
	*ret = v;
	return POLICY_OK;
}

static enum policy_status take_numbers(const struct setting *s, const struct node *n,
				       struct policy_error *e)
{
	enum policy_status status = POLICY_OK;
	uint64_t *to = s->to;
	size_t i = 0;

	if (n->kind != NODE_LIST)
		return refuse(e, n, s->name, "[0, 1000]", "a list of numbers is wanted here");
	if (n->count > s->size)
		return refuse(e, n, s->name, NULL, "too many of them");
	for (const struct node *c = n->first; c && status == POLICY_OK; c = c->next)
		status = take_number(s, c, &to[i++], e);
	*s->n = i;
	return status;
}

static enum policy_status take(const struct setting *s, const struct node *n,
			       struct policy_error *e)
{
	switch (s->kind) {
	case SETTING_TEXT:
		return take_text(s, n, e);
	case SETTING_NUMBER:
		return take_number(s, n, s->to, e);
	case SETTING_NUMBERS:
		return take_numbers(s, n, e);
	}
	return policy_fail(e, POLICY_SYSTEM, s->name, NULL, "a setting of no kind");
}

/* ---- keys ------------------------------------------------------------------------ */

static const struct setting *find(const struct setting *table, const char *path)
{
	for (; table->name; table++)
		if (strcmp(table->name, path) == 0)
			return table;
	return NULL;
}

/* Whether `path` is a mapping of keys that are known. */
static bool is_group(const struct setting *table, const char *path)
{
	size_t n = strlen(path);

	for (; table->name; table++)
		if (strncmp(table->name, path, n) == 0 && table->name[n] == '.')
			return true;
	return false;
}

static enum policy_status take_value(const struct setting *table, const char *path,
				     const struct node *n, struct policy_error *e);

static enum policy_status take_mapping(const struct setting *table, const char *path,
				       const struct node *n, struct policy_error *e)
{
	enum policy_status status = POLICY_OK;
	char inner[PATH_SIZE];

	if (n->kind != NODE_MAPPING)
		return refuse(e, n, path, "NAME: VALUE", "a mapping is wanted here");
	for (const struct node *c = n->first; c && status == POLICY_OK; c = c->next) {
		if (strchr(c->key->text, '.')) /* "a.b" is not the b of a */
			return refuse(e, c->key, c->key->text, NULL, "no such key");
		snprintf(inner, sizeof(inner), "%s%s%.60s", path, path[0] ? "." : "",
			 c->key->text);
		status = take_value(table, inner, c, e);
	}
	return status;
}

static enum policy_status take_value(const struct setting *table, const char *path,
				     const struct node *n, struct policy_error *e)
{
	const struct setting *s = find(table, path);

	if (s)
		return take(s, n, e);
	if (is_group(table, path))
		return take_mapping(table, path, n, e);
	return refuse(e, n->key, path, NULL, "no such key");
}

static enum policy_status take_all(const struct setting *table, const struct node *root,
				   struct policy_error *e)
{
	enum policy_status status = take_mapping(table, "", root, e);

	for (; table->name && status == POLICY_OK; table++)
		if (table->required && !node_at(root, table->name))
			status = policy_fail(e, POLICY_INVALID, table->name, "add it",
					     "it is missing");
	return status;
}

enum policy_status settings_parse(const char *name, const char *text, size_t len,
				  const struct setting *table, struct policy_error *reterr)
{
	struct arena arena = { .blocks = NULL };
	struct node *root = NULL;
	enum policy_status status = yaml_read(text, len, &arena, &root, reterr);

	if (status == POLICY_OK)
		status = take_all(table, root, reterr);
	arena_free(&arena);
	if (status != POLICY_OK && reterr)
		snprintf(reterr->file, sizeof(reterr->file), "%s", name);
	return status;
}

enum policy_status settings_load(const char *path, const struct setting *table,
				 struct policy_error *reterr)
{
	char *text = NULL;
	size_t len = 0;
	enum policy_status status =
		policy_read_file(path, "a configuration", SETTINGS_MAX, &text, &len, reterr);

	if (status == POLICY_OK)
		status = settings_parse(path, text, len, table, reterr);
	else if (reterr)
		snprintf(reterr->file, sizeof(reterr->file), "%s", path);
	free(text);
	return status;
}
