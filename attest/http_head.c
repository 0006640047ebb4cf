/* attest/http_head.c - the grammar of heads, and looking into them. */
#include <strings.h>

#include "attest/http_internal.h"

/* ---- characters -------------------------------------------------------------------- */

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_hex(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* All of `s` are letters, digits or one of `others`, and there is at least one. */
static bool made_of(struct span s, const char *others)
{
	for (size_t i = 0; i < s.len; i++) {
		char c = s.at[i];

		if (!is_digit(c) && !(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') &&
		    !(c && strchr(others, c)))
			return false;
	}
	return s.len > 0;
}

bool http_same(struct span a, const char *b)
{
	return a.len == strlen(b) && strncasecmp(a.at, b, a.len) == 0;
}

bool http_is_token(struct span s)
{
	return made_of(s, "!#$%&'*+-.^_`|~");
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t';
}

static struct span trim(struct span s)
{
	while (s.len && is_space(s.at[0])) {
		s.at++;
		s.len--;
	}
	while (s.len && is_space(s.at[s.len - 1]))
		s.len--;
	return s;
}

bool http_is_value(struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((s.at[i] < 0x20 || s.at[i] > 0x7e) && s.at[i] != '\t')
			return false;
	return trim(s).len == s.len;
}

static bool is_port(struct span s)
{
	uint64_t port;

	return span_decimal(s, &port) && port > 0 && port <= 65535;
}

bool http_is_host(struct span s)
{
	struct span name = s;

	if (span_skip(&s, "[")) { /* an IPv6 address */
		if (!span_until(&s, ']', &name) || name.len == 0)
			return false;
		for (size_t i = 0; i < name.len; i++)
			if (!is_hex(name.at[i]) && name.at[i] != ':' && name.at[i] != '.')
				return false;
		return s.len == 0 || (span_skip(&s, ":") && is_port(s));
	}
	if (span_until(&s, ':', &name))
		return made_of(name, "-._") && is_port(s);
	return made_of(name, "-._");
}

/* ---- target ------------------------------------------------------------------------ */

/* Takes one segment and the "/" in front of it. */
static bool next_segment(struct span *path, struct span *ret)
{
	const char *slash;

	if (!span_skip(path, "/"))
		return false;
	slash = path->len ? memchr(path->at, '/', path->len) : NULL;
	*ret = (struct span){ path->at, slash ? (size_t)(slash - path->at) : path->len };
	path->at += ret->len;
	path->len -= ret->len;
	return true;
}

bool http_segments(struct span path, struct span *ret, size_t max, size_t *ret_n)
{
	struct span one;
	size_t n = 0;

	for (; next_segment(&path, &one); n++) {
		if (n == max)
			return false;
		ret[n] = one;
	}
	*ret_n = n;
	return true;
}

/* "%" is left out: no path of ours needs it, and whoever decodes it first would decide what
 * the path is. */
static bool is_path(struct span s)
{
	struct span one;

	if (s.len == 0 || s.at[0] != '/' || !made_of(s, "-._~!$&'()*+,;=:@/"))
		return false;
	while (next_segment(&s, &one))
		if (span_is(one, ".") || span_is(one, ".."))
			return false;
	return true;
}

static bool is_query(struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.at[i] == '%' &&
		    (s.len - i < 3 || !is_hex(s.at[i + 1]) || !is_hex(s.at[i + 2])))
			return false;
	return s.len == 0 || made_of(s, "-._~!$&'()*+,;=:@/?%");
}

bool http_is_target(struct span s, struct span *ret_path, struct span *ret_query)
{
	struct span path = s, query = { NULL, 0 };

	if (span_until(&s, '?', &path))
		query = s;
	if (!is_path(path) || !is_query(query))
		return false;
	*ret_path = path;
	*ret_query = query;
	return true;
}

/* ---- first line -------------------------------------------------------------------- */

static const char *const methods[] = {
	[HTTP_GET] = "GET",
	[HTTP_POST] = "POST",
	[HTTP_PUT] = "PUT",
	[HTTP_DELETE] = "DELETE",
};

const char *http_method_str(enum http_method m)
{
	return methods[m];
}

struct parse {
	enum http_kind kind;
	const struct http_limits *limits;
	struct http_head *head;
	struct http_fault *fault;
	unsigned seen;       /* one bit for each rule that met its field */
	struct span codings; /* Transfer-Encoding */
};

static bool refuse(struct parse *p, unsigned status, const char *what)
{
	*p->fault = (struct http_fault){ status, what };
	return false;
}

static bool take_method(struct parse *p, struct span s)
{
	for (enum http_method m = HTTP_GET; m <= HTTP_DELETE; m++)
		if (span_is(s, methods[m])) {
			p->head->method = m;
			return true;
		}
	return http_is_token(s) ? refuse(p, 501, "this method is not known here")
				: refuse(p, 400, "no method");
}

static bool take_version(struct parse *p, struct span s)
{
	if (span_is(s, "HTTP/1.1"))
		return true;
	if (s.len == 8 && memcmp(s.at, "HTTP/", 5) == 0 && is_digit(s.at[5]) &&
	    s.at[6] == '.' && is_digit(s.at[7]))
		return refuse(p, 505, "only HTTP/1.1 is spoken here");
	return refuse(p, 400, "no version of HTTP");
}

static bool take_request_line(struct parse *p, struct span line)
{
	struct span method, target;

	if (!span_until(&line, ' ', &method) || !span_until(&line, ' ', &target))
		return refuse(p, 400, "no request line");
	if (!take_method(p, method) || !take_version(p, line))
		return false;
	if (target.len > p->limits->target)
		return refuse(p, 414, "the target is too long");
	if (!http_is_target(target, &p->head->path, &p->head->query))
		return refuse(p, 400, "the target is no plain path");
	return true;
}

static bool take_status_line(struct parse *p, struct span line)
{
	struct span version;
	uint64_t status;

	if (!span_until(&line, ' ', &version))
		return refuse(p, 400, "no status line");
	if (!take_version(p, version))
		return false;
	if (line.len < 4 || line.at[3] != ' ' ||
	    !span_decimal((struct span){ line.at, 3 }, &status) || status > 599)
		return refuse(p, 400, "no status");
	if (status < 200)
		return refuse(p, 400, "an interim response that was not asked for");
	p->head->status = (unsigned)status;
	return true;
}

/* ---- fields that decide something -------------------------------------------------- */

static bool take_host(struct parse *p, struct span value)
{
	return http_is_host(value) || refuse(p, 400, "Host is no host");
}

static bool take_length(struct parse *p, struct span value)
{
	uint64_t length;

	if (!span_decimal(value, &length))
		return refuse(p, 400, "Content-Length is not one plain number");
	if (length > p->limits->body)
		return refuse(p, 413, "the body is too long");
	p->head->length = (size_t)length;
	p->head->has_length = true;
	return true;
}

static bool take_codings(struct parse *p, struct span value)
{
	p->codings = value;
	return true;
}

static bool take_connection(struct parse *p, struct span value)
{
	struct span word = value;
	bool more = true;

	while (more) {
		more = span_until(&value, ',', &word);
		word = trim(more ? word : value);
		if (!http_is_token(word))
			return refuse(p, 400, "Connection is no list of words");
		if (http_same(word, "close"))
			p->head->keep_alive = false;
	}
	return true;
}

static bool take_expect(struct parse *p, struct span value)
{
	p->head->expect_continue = true;
	return http_same(value, "100-continue") ||
	       refuse(p, 417, "only 100-continue can be expected");
}

static const struct rule {
	const char *name;
	bool (*take)(struct parse *p, struct span value); /* NULL: it just comes once */
	bool of_responses;
} rules[] = {
	// clang-format off
	{ "host",              take_host,       false },
	{ "content-length",    take_length,     true },
	{ "transfer-encoding", take_codings,    true },
	{ "connection",        take_connection, true },
	{ "expect",            take_expect,     false },
	{ "content-type",      NULL,            true },
	{ "content-encoding",  NULL,            true },
	{ "authorization",     NULL,            false },
	{ "cookie",            NULL,            false },
	// clang-format on
};

enum { HOST, LENGTH, CODINGS }; /* the first rules, by name */

static bool has_seen(const struct parse *p, unsigned rule)
{
	return p->seen & 1u << rule;
}

static bool apply_rules(struct parse *p, const struct http_field *f)
{
	for (unsigned i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		if (!http_same(f->name, rules[i].name) ||
		    (p->kind == HTTP_RESPONSES && !rules[i].of_responses))
			continue;
		if (has_seen(p, i))
			return refuse(p, 400, "a field came twice that can come once");
		p->seen |= 1u << i;
		return !rules[i].take || rules[i].take(p, f->value);
	}
	return true;
}

static bool take_field(struct parse *p, struct span line)
{
	struct http_field f;

	/* No space is of a token: neither a folded line nor "Name :" gets through. */
	if (!span_until(&line, ':', &f.name) || !http_is_token(f.name))
		return refuse(p, 400, "a field without a proper name");
	if (p->head->n_fields == p->limits->fields || p->head->n_fields == HTTP_FIELDS_MAX)
		return refuse(p, 431, "too many fields");
	f.value = trim(line);
	p->head->fields[p->head->n_fields++] = f;
	return apply_rules(p, &f);
}

/* ---- all of it --------------------------------------------------------------------- */

/* RFC 9112, section 6: how long is the body? One answer, or none. */
static bool check_codings(struct parse *p)
{
	if (!has_seen(p, CODINGS))
		return true;
	if (has_seen(p, LENGTH))
		return refuse(p, 400, "Transfer-Encoding with Content-Length");
	return http_same(p->codings, "chunked")
		       ? refuse(p, 411, "a body needs a Content-Length here")
		       : refuse(p, 501, "a transfer coding that is not known here");
}

static bool check_request(struct parse *p)
{
	struct http_head *h = p->head;
	bool carries = h->method == HTTP_POST || h->method == HTTP_PUT;

	if (!has_seen(p, HOST))
		return refuse(p, 400, "no Host");
	if (carries && !h->has_length)
		return refuse(p, 411, "a body needs a Content-Length here");
	if (!carries && h->length > 0)
		return refuse(p, 400, "this method has no body");
	h->expect_continue &= h->length > 0;
	return true;
}

/* A body that ends with its connection may as well have been cut. */
static bool check_response(struct parse *p)
{
	if (p->head->status == 204)
		return p->head->length == 0 || refuse(p, 400, "this status has no body");
	return p->head->has_length || refuse(p, 411, "a response without Content-Length");
}

static bool take_line(struct span *text, struct span *ret)
{
	return span_until(text, '\r', ret) && span_skip(text, "\n");
}

bool http_head_parse(enum http_kind kind, const struct http_limits *limits, struct span text,
		     struct http_head *ret, struct http_fault *reterr)
{
	struct parse p = { .kind = kind, .limits = limits, .head = ret, .fault = reterr };
	struct span line;

	*ret = (struct http_head){ .keep_alive = true };
	if (!take_line(&text, &line))
		return refuse(&p, 400, "no line");
	if (kind == HTTP_REQUESTS ? !take_request_line(&p, line) : !take_status_line(&p, line))
		return false;
	while (take_line(&text, &line) && line.len > 0)
		if (!take_field(&p, line))
			return false;
	return check_codings(&p) &&
	       (kind == HTTP_REQUESTS ? check_request(&p) : check_response(&p));
}

/* ---- looking into a head ----------------------------------------------------------- */

enum http_found http_field(const struct http_head *h, const char *name, struct span *ret)
{
	const struct http_field *found = NULL;

	for (size_t i = 0; i < h->n_fields; i++) {
		if (!http_same(h->fields[i].name, name))
			continue;
		if (found)
			return HTTP_AMBIGUOUS;
		found = &h->fields[i];
	}
	if (!found)
		return HTTP_ABSENT;
	*ret = found->value;
	return HTTP_FOUND;
}

/* RFC 6265, section 4.1.1; without the quotes, which no cookie of ours has. */
static bool split_cookie(struct span pair, struct span *ret_name, struct span *ret_value)
{
	if (!span_until(&pair, '=', ret_name) || !http_is_token(*ret_name))
		return false;
	for (size_t i = 0; i < pair.len; i++)
		if (pair.at[i] <= ' ' || pair.at[i] > 0x7e || strchr("\",;\\", pair.at[i]))
			return false;
	*ret_value = pair;
	return true;
}

enum http_found http_cookie(const struct http_head *h, const char *name, struct span *ret)
{
	struct span all, pair, key, value;
	enum http_found found = http_field(h, "cookie", &all), mine = HTTP_ABSENT;
	bool more = found == HTTP_FOUND;

	if (found != HTTP_FOUND)
		return found;
	while (more) {
		more = span_until(&all, ';', &pair);
		if (!more)
			pair = all;
		if (!split_cookie(pair, &key, &value) || (more && !span_skip(&all, " ")))
			return HTTP_AMBIGUOUS;
		if (!span_is(key, name))
			continue;
		if (mine == HTTP_FOUND)
			return HTTP_AMBIGUOUS;
		mine = HTTP_FOUND;
		*ret = value;
	}
	return mine;
}

enum http_found http_set_cookie(const struct http_head *h, const char *name, struct span *ret)
{
	enum http_found mine = HTTP_ABSENT;

	for (size_t i = 0; i < h->n_fields; i++) {
		struct span rest = h->fields[i].value, pair = rest, key, value;

		if (!http_same(h->fields[i].name, "set-cookie"))
			continue;
		(void)span_until(&rest, ';', &pair);
		if (!split_cookie(pair, &key, &value) || !span_is(key, name))
			continue;
		if (mine == HTTP_FOUND)
			return HTTP_AMBIGUOUS;
		mine = HTTP_FOUND;
		*ret = value;
	}
	return mine;
}

enum http_found http_bearer(const struct http_head *h, struct span *ret)
{
	struct span value, scheme, token;
	enum http_found found = http_field(h, "authorization", &value);

	if (found != HTTP_FOUND)
		return found;
	if (!span_until(&value, ' ', &scheme) || !http_same(scheme, "bearer"))
		return HTTP_AMBIGUOUS;
	token = value;
	while (value.len && value.at[value.len - 1] == '=')
		value.len--;
	if (!made_of(value, "-._~+/"))
		return HTTP_AMBIGUOUS;
	*ret = token;
	return HTTP_FOUND;
}
