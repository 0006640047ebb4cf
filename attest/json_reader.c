/* attest/json_reader.c - bounds first, then jansson. */
#include "attest/json_reader.h"

#include <jansson.h>

/* Of a text that may be no JSON at all: no less than what a parser of it would meet. jansson
 * by itself recurses 2048 deep, and makes 200 bytes of memory of each "{},". */
static bool within(struct span text, const struct json_caps *caps)
{
	size_t depth = 0, values = 1;
	bool quoted = false;

	if (text.len > caps->bytes)
		return false;
	for (size_t i = 0; i < text.len; i++) {
		char c = text.at[i];

		if (c == '"')
			quoted = !quoted;
		else if (quoted)
			i += c == '\\'; /* and what it escapes */
		else if (c == '[' || c == '{')
			depth++;
		else if ((c == ']' || c == '}') && depth > 0)
			depth--;
		values += !quoted && (c == '[' || c == '{' || c == ',' || c == ':');
		if (depth > caps->depth || values > caps->values)
			return false;
	}
	return true;
}

enum attest_status jr_object(struct span text, const struct json_caps *caps, const char *where,
			     json_t **ret, struct attest_error *reterr)
{
	json_error_t why;
	json_t *root;

	if (!within(text, caps))
		return attest_fail(reterr, ATTEST_MALFORMED, where, NULL,
				   "is longer, deeper or of more values than any such");
	root = json_loadb(text.at, text.len, JSON_REJECT_DUPLICATES, &why);
	if (!root && json_error_code(&why) == json_error_out_of_memory)
		return attest_fail(reterr, ATTEST_SYSTEM, where, NULL, "no memory");
	if (!root && json_error_code(&why) == json_error_duplicate_key)
		return attest_fail(reterr, ATTEST_MALFORMED, where, NULL, "has a member twice");
	if (!json_is_object(root)) {
		json_decref(root);
		return attest_fail(reterr, ATTEST_MALFORMED, where, NULL,
				   "is not a JSON object");
	}
	*ret = root;
	return ATTEST_OK;
}

const char *jr_text(const json_t *object, const char *name)
{
	return json_string_value(json_object_get(object, name));
}

static bool among(const char *name, const char *const names[])
{
	for (; *names; names++)
		if (strcmp(name, *names) == 0)
			return true;
	return false;
}

bool jr_only(const json_t *object, const char *const names[])
{
	const char *name;
	json_t *value;

	/* jansson's loop takes the object as one that could be changed. */
	json_object_foreach((json_t *)(uintptr_t)object, name,
			    value) if (!among(name, names)) return false;
	return true;
}
