/*
 * policy/yaml.h - a YAML text as a tree that knows where everything stood. Only the plain
 * part of YAML: one document, no directives, anchors, aliases, tags, no keys but texts,
 * no key twice. Private to the module.
 */
#pragma once

#include "policy/arena.h"
#include "policy/policy.h"

enum node_kind { NODE_SCALAR = 1, NODE_LIST, NODE_MAPPING };

struct node {
	enum node_kind kind;
	bool plain;                /* SCALAR: written without quotes, so it may be no text */
	unsigned line, column;     /* from 1 */
	const char *text;          /* SCALAR: its text, without zero bytes or control bytes
				  other than tab and newline */
	const struct node *key;    /* of a mapping's value: the key */
	struct node *first, *next; /* children, in order */
	size_t count;              /* of children */
	size_t start, end;         /* bytes of the text from its first to behind its last */
};

/* Everything hangs on the arena. On failure reterr has the position. */
__attribute__((warn_unused_result)) enum policy_status yaml_read(const char *text, size_t len,
								 struct arena *a,
								 struct node **ret,
								 struct policy_error *reterr);

/* The value of a key, or NULL. */
const struct node *node_find(const struct node *mapping, const char *key);
/* The same through several levels: node_at(root, "resources.memory"). */
const struct node *node_at(const struct node *root, const char *path);
