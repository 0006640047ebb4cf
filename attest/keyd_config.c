/* attest/keyd_config.c - see attest/keyd_config.h. */
#include "attest/keyd_config.h"

#include <string.h>

#include "attest/kbs.h"
#include "policy/settings.h"

#define CONFIG_VERSION 1u
#define BODIES_MIN 4u /* whole bodies for which there must be memory */

static const struct keyd_options defaults = {
	.user = "nobody",
	.limits = {
		.connections = 1024,
		.connections_per_address = 64,
		.connection_age = 600,
		.requests = 100,
		.handshake = 10,
		.idle = 30,
		.head = 10,
		.request = 30,
		.answer = 10,
		.verify = 20,
		.body = 2048,
		.memory = 320,
		.challenges = 120,
		.session = 300,
		.sessions = 4096,
	},
};

/* ---- values ------------------------------------------------------------------------ */

/* HOST:PORT, [HOST]:PORT */
static bool split_listen(const char *text, struct keyd_options *o)
{
	const char *colon = strrchr(text, ':');
	size_t host = colon ? (size_t)(colon - text) : 0;
	size_t port = colon ? strlen(colon + 1) : 0;

	if (host > 2 && text[0] == '[' && text[host - 1] == ']') {
		text++;
		host -= 2;
	} else if (memchr(text, ':', host)) {
		return false;
	}
	if (host == 0 || host >= sizeof(o->host) || port == 0 || port > 5 ||
	    strspn(colon + 1, "0123456789") != port)
		return false;
	memcpy(o->host, text, host);
	o->host[host] = '\0';
	memcpy(o->port, colon + 1, port + 1);
	return true;
}

/* A relative path is one beside the configuration. */
static bool place(const char *config, char path[static KEYD_PATH_MAX])
{
	const char *slash = strrchr(config, '/');
	int folder = slash ? (int)(slash - config + 1) : 0;
	char whole[KEYD_PATH_MAX];
	int n;

	if (path[0] == '/' || path[0] == '\0')
		return true;
	n = snprintf(whole, sizeof(whole), "%.*s%s", folder, config, path);
	if (n < 0 || (size_t)n >= sizeof(whole))
		return false;
	memcpy(path, whole, (size_t)n + 1);
	return true;
}

static bool place_all(const char *config, struct keyd_options *o)
{
	return place(config, o->certificate) && place(config, o->key) &&
	       place(config, o->store) && place(config, o->anchors) &&
	       place(config, o->endorsements);
}

static enum attest_status wrong(struct attest_error *e, const char *path, const char *hint,
				const char *what)
{
	return attest_fail(e, ATTEST_MALFORMED, path, hint, "%s", what);
}

static enum attest_status check(const char *path, const struct keyd_options *o,
				struct attest_error *e)
{
	const struct keyd_limits *l = &o->limits;

	if (l->memory << 20 <
	    l->connections * KEYD_CONNECTION_BYTES + BODIES_MIN * (l->body << 10))
		return wrong(e, path, "fewer limits.connections, or more limits.memory (MiB)",
			     "the connections do not fit into the memory that they may have");
	if (l->head > l->request)
		return wrong(e, path, "", "limits.head is longer than limits.request");
	return ATTEST_OK;
}

/* ---- the file ---------------------------------------------------------------------- */

/* clang-format off */
#define TEXT(NAME, TO, MUST) \
	{ .name = (NAME), .kind = SETTING_TEXT, .required = (MUST), .to = (TO), .size = sizeof(TO) }
#define LIMIT(FIELD, NAME, MIN, MAX) \
	{ .name = "limits." NAME, .kind = SETTING_NUMBER, .min = (MIN), .max = (MAX), \
	  .to = &o->limits.FIELD }
/* clang-format on */

static enum policy_status read_file(const char *path, struct keyd_options *o, char listen[300],
				    uint64_t admins[KEYD_ADMINS], struct policy_error *e)
{
	uint64_t version = 0;
	const struct setting table[] = {
		{ .name = "keyd",
		  .kind = SETTING_NUMBER,
		  .required = true,
		  .min = CONFIG_VERSION,
		  .max = CONFIG_VERSION,
		  .to = &version },
		{ .name = "listen",
		  .kind = SETTING_TEXT,
		  .required = true,
		  .to = listen,
		  .size = 300 },
		TEXT("certificate", o->certificate, true),
		TEXT("key", o->key, true),
		TEXT("store", o->store, true),
		TEXT("anchors", o->anchors, true),
		TEXT("endorsements", o->endorsements, false),
		TEXT("user", o->user, false),
		{ .name = "admins",
		  .kind = SETTING_NUMBERS,
		  .max = UINT32_MAX - 1,
		  .to = admins,
		  .size = KEYD_ADMINS,
		  .n = &o->n_admins },
		LIMIT(connections, "connections", 1, 65536),
		LIMIT(connections_per_address, "connections-per-address", 1, 65536),
		LIMIT(connection_age, "connection-age", 1, 86400),
		LIMIT(requests, "requests", 1, 1000000),
		LIMIT(handshake, "handshake", 1, 300),
		LIMIT(idle, "idle", 1, 3600),
		LIMIT(head, "head", 1, 300),
		LIMIT(request, "request", 1, 300),
		LIMIT(answer, "answer", 1, 300),
		LIMIT(verify, "verify", 1, 300),
		LIMIT(body, "body", 64, KBS_BODY_MAX >> 10),
		LIMIT(memory, "memory", 1, 65536),
		LIMIT(challenges, "challenges", 1, 1000000),
		LIMIT(session, "session", 10, 86400),
		LIMIT(sessions, "sessions", 1, 1000000),
		{ .name = NULL },
	};

	return settings_load(path, table, e);
}

enum attest_status keyd_config_load(const char *path, struct keyd_options *ret,
				    struct attest_error *reterr)
{
	struct keyd_options o = defaults;
	struct policy_error why = { .what = "" };
	uint64_t admins[KEYD_ADMINS] = { 0 };
	char listen[300] = "", where[sizeof(why.key) + 300];
	enum policy_status s = read_file(path, &o, listen, admins, &why);

	if (s != POLICY_OK) {
		snprintf(where, sizeof(where), "%.150s:%u:%u%s%s", path, why.line, why.column,
			 why.key[0] ? ": " : "", why.key);
		return attest_fail(reterr,
				   s == POLICY_SYSTEM ? ATTEST_SYSTEM : ATTEST_MALFORMED, where,
				   why.hint, "%s", why.what);
	}
	for (size_t i = 0; i < o.n_admins; i++)
		o.admins[i] = (uid_t)admins[i];
	if (!split_listen(listen, &o))
		return wrong(reterr, path, "listen: 127.0.0.1:8443, or \"[::1]:8443\"",
			     "listen is no address and port");
	if (!place_all(path, &o))
		return wrong(reterr, path, "", "a path is too long");
	if (check(path, &o, reterr) != ATTEST_OK)
		return ATTEST_MALFORMED;
	*ret = o;
	return ATTEST_OK;
}
