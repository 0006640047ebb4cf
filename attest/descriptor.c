/* attest/descriptor.c - the session descriptor as text: one writer, and a reader of it. */
#include "attest/descriptor.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "attest/hex.h"
#include "attest/span.h"
#include "policy/words.h"

/* The writer and the reader share these lines, and nothing else is in a descriptor. */
#define HEAD "version = \"0.1.0\"\n\n[data]\n\"cordon.toml\" = '''\n"
#define VOLUMES "\n[volumes]\n"
#define TAIL "'''\n"

static const struct {
	enum descriptor_hash hash;
	const char *name; /* `algorithm` of the init-data */
	size_t size;
} hashes[] = {
	{ DESCRIPTOR_SHA256, "sha256", 32 },
	{ DESCRIPTOR_SHA384, "sha384", 48 },
};
#define HASHES (sizeof(hashes) / sizeof(hashes[0]))

size_t descriptor_hash_size(enum descriptor_hash h)
{
	for (size_t i = 0; i < HASHES; i++)
		if (hashes[i].hash == h)
			return hashes[i].size;
	return 0;
}

static const char *hash_name(enum descriptor_hash h)
{
	for (size_t i = 0; i < HASHES; i++)
		if (hashes[i].hash == h)
			return hashes[i].name;
	return NULL;
}

/* ---- forms ----------------------------------------------------------------------- */

/* A session without keys has no service; none has half of one. */
static bool service_fits(const struct descriptor *d)
{
	if (d->service[0] == '\0' || d->service_ca[0] == '\0')
		return d->service[0] == d->service_ca[0];
	return text_is_service(d->service) && text_is_service_ca(d->service_ca);
}

static bool volumes_fit(const struct descriptor *d)
{
	if (d->n_volumes > DESCRIPTOR_VOLUMES)
		return false;
	for (size_t i = 0; i < d->n_volumes; i++) {
		const struct descriptor_volume *v = &d->volumes[i];

		if (!text_is_name(v->name) || v->generation > INT64_MAX ||
		    (i > 0 && strcmp(v[-1].name, v->name) >= 0))
			return false;
	}
	return true;
}

/* ---- writing --------------------------------------------------------------------- */

struct writer {
	char *at;
	size_t left;
	bool bad; /* sticky: something did not fit */
};

__attribute__((format(printf, 2, 3))) static void put(struct writer *w, const char *format, ...)
{
	va_list ap;
	int n;

	va_start(ap, format);
	n = vsnprintf(w->at, w->left, format, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= w->left) {
		w->bad = true;
		w->left = 0;
		return;
	}
	w->at += n;
	w->left -= (size_t)n;
}

static void put_all(struct writer *w, const struct descriptor *d)
{
	char session[HEX_SIZE(DESCRIPTOR_SESSION)], plan[HEX_SIZE(DESCRIPTOR_PLAN)];

	hex_print(d->session, sizeof(d->session), session);
	hex_print(d->plan, sizeof(d->plan), plan);
	put(w, "algorithm = \"%s\"\n", hash_name(d->hash));
	put(w, HEAD);
	put(w, "schema = \"%s\"\n", DESCRIPTOR_SCHEMA);
	put(w, "tenant = \"%s\"\n", d->tenant);
	put(w, "session = \"%s\"\n", session);
	put(w, "plan_digest = \"%s\"\n", plan);
	put(w, "service = \"%s\"\n", d->service);
	put(w, "service_ca = \"%s\"\n", d->service_ca);
	if (d->n_volumes > 0)
		put(w, VOLUMES);
	for (size_t i = 0; i < d->n_volumes; i++)
		put(w, "\"%s\" = %" PRIu64 "\n", d->volumes[i].name, d->volumes[i].generation);
	put(w, TAIL);
}

static enum attest_status refused(struct attest_error *e, const char *member)
{
	return attest_fail(e, ATTEST_REFUSED, member, "", "this is not of its form");
}

enum attest_status descriptor_print(const struct descriptor *d, char ret[static DESCRIPTOR_MAX],
				    size_t *ret_len, struct attest_error *reterr)
{
	struct writer w = { .at = ret, .left = DESCRIPTOR_MAX };

	if (!hash_name(d->hash))
		return refused(reterr, "algorithm");
	if (!text_is_tenant(d->tenant))
		return refused(reterr, "tenant");
	if (!service_fits(d))
		return refused(reterr, "service");
	if (!volumes_fit(d))
		return refused(reterr, "volumes");
	put_all(&w, d);
	if (w.bad)
		return attest_fail(reterr, ATTEST_REFUSED, "descriptor", "",
				   "is larger than %u bytes", DESCRIPTOR_MAX);
	*ret_len = (size_t)(w.at - ret);
	return ATTEST_OK;
}

/* ---- reading --------------------------------------------------------------------- */

/* Each of these takes exactly what it wants off the front, or nothing. */
static bool take_text(struct span *s, const char *key, char *ret, size_t size)
{
	struct span rest = *s, value;

	if (!span_skip(&rest, key) || !span_skip(&rest, " = \"") ||
	    !span_until(&rest, '"', &value) || !span_skip(&rest, "\n") || value.len >= size ||
	    memchr(value.at, '\0', value.len))
		return false;
	memcpy(ret, value.at, value.len);
	ret[value.len] = '\0';
	*s = rest;
	return true;
}

static bool take_hex(struct span *s, const char *key, uint8_t *ret, size_t n)
{
	char text[HEX_SIZE(DESCRIPTOR_PLAN)];
	struct span before = *s;

	if (take_text(s, key, text, sizeof(text)) && hex_parse(text, strlen(text), ret, n))
		return true;
	*s = before;
	return false;
}

static bool take_hash(struct span *s, enum descriptor_hash *ret)
{
	char name[16];
	struct span before = *s;

	if (take_text(s, "algorithm", name, sizeof(name)))
		for (size_t i = 0; i < HASHES; i++)
			if (strcmp(hashes[i].name, name) == 0) {
				*ret = hashes[i].hash;
				return true;
			}
	*s = before;
	return false;
}

static bool take_schema(struct span *s)
{
	return span_skip(s, "schema = \"" DESCRIPTOR_SCHEMA "\"\n");
}

static bool take_tenant(struct span *s, char ret[static 64])
{
	struct span before = *s;

	if (take_text(s, "tenant", ret, 64) && text_is_tenant(ret))
		return true;
	*s = before;
	return false;
}

static bool take_service(struct span *s, struct descriptor *d)
{
	struct span before = *s;

	if (take_text(s, "service", d->service, sizeof(d->service)) &&
	    take_text(s, "service_ca", d->service_ca, sizeof(d->service_ca)) && service_fits(d))
		return true;
	*s = before;
	return false;
}

static bool take_volume(struct span *s, struct descriptor *d)
{
	struct descriptor_volume *v = &d->volumes[d->n_volumes];
	struct span rest = *s, name, number;

	if (d->n_volumes == DESCRIPTOR_VOLUMES || !span_skip(&rest, "\"") ||
	    !span_until(&rest, '"', &name) || !span_skip(&rest, " = ") ||
	    !span_until(&rest, '\n', &number) || name.len >= sizeof(v->name) ||
	    !span_decimal(number, &v->generation))
		return false;
	memcpy(v->name, name.at, name.len);
	v->name[name.len] = '\0';
	d->n_volumes++;
	if (strlen(v->name) != name.len || !volumes_fit(d))
		return false;
	*s = rest;
	return true;
}

static bool take_volumes(struct span *s, struct descriptor *d)
{
	if (!span_skip(s, VOLUMES))
		return true; /* there are none */
	do {
		if (!take_volume(s, d))
			return false;
	} while (s->len > 0 && s->at[0] == '"');
	return true;
}

/* Stops in front of the first thing that is not as it must be. */
static bool take_all(struct span *s, struct descriptor *d)
{
	return take_hash(s, &d->hash) && span_skip(s, HEAD) && take_schema(s) &&
	       take_tenant(s, d->tenant) &&
	       take_hex(s, "session", d->session, sizeof(d->session)) &&
	       take_hex(s, "plan_digest", d->plan, sizeof(d->plan)) && take_service(s, d) &&
	       take_volumes(s, d) && span_skip(s, TAIL) && s->len == 0;
}

enum attest_status descriptor_parse(const char *text, size_t len, struct descriptor *ret,
				    struct attest_error *reterr)
{
	struct descriptor d = { .n_volumes = 0 };
	struct span s = { text, len };
	char where[64];
	unsigned line = 1;

	if (len >= DESCRIPTOR_MAX)
		return attest_fail(reterr, ATTEST_MALFORMED, "descriptor", "",
				   "is larger than %u bytes", DESCRIPTOR_MAX);
	if (take_all(&s, &d)) {
		*ret = d;
		return ATTEST_OK;
	}
	for (const char *c = text; c < s.at; c++)
		line += *c == '\n';
	snprintf(where, sizeof(where), "descriptor, line %u", line);
	return attest_fail(reterr, ATTEST_MALFORMED, where,
			   "a descriptor has one spelling, that which `cordon` writes",
			   s.len == 0 ? "the text ends too early"
				      : "this line, or what follows it, is not as it must be");
}
