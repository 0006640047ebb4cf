/* runtime/agent_service.c - see runtime/agent_service.h. */
#include "runtime/agent_service.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "attest/hex.h"
#include "attest/span.h"

#define HTTPS_PORT "443"

static bool copy(char *ret, size_t size, struct span s)
{
	if (s.len >= size || memchr(s.at, '\0', s.len))
		return false;
	memcpy(ret, s.at, s.len);
	ret[s.len] = '\0';
	return true;
}

/* What is left of `authority` behind the host is its port. */
static bool take_host(struct span *authority, struct agent_service *s)
{
	struct in6_addr six;
	struct in_addr four;
	struct span host;

	if (span_skip(authority, "[")) {
		s->is_address = true;
		return span_until(authority, ']', &host) &&
		       copy(s->host, sizeof(s->host), host) &&
		       inet_pton(AF_INET6, s->host, &six) == 1;
	}
	host = (struct span){ authority->at, 0 };
	while (host.len < authority->len && host.at[host.len] != ':')
		host.len++;
	authority->at += host.len;
	authority->len -= host.len;
	if (host.len == 0 || !copy(s->host, sizeof(s->host), host))
		return false;
	s->is_address = inet_pton(AF_INET, s->host, &four) == 1;
	return true;
}

static bool take_port(struct span authority, struct agent_service *s)
{
	uint64_t port;

	if (authority.len == 0)
		return copy(s->port, sizeof(s->port), span_of(HTTPS_PORT));
	return span_skip(&authority, ":") && span_decimal(authority, &port) && port >= 1 &&
	       port <= 65535 && copy(s->port, sizeof(s->port), authority);
}

static bool take_ca(const char *text, struct agent_service *s)
{
	struct span ca = span_of(text);

	return span_skip(&ca, "sha256:") && hex_parse(ca.at, ca.len, s->ca, sizeof(s->ca));
}

bool agent_service_parse(const char *service, const char *service_ca, struct agent_service *ret)
{
	struct span rest = span_of(service), authority;
	struct agent_service s = { .is_address = false };

	if (!span_skip(&rest, "https://"))
		return false;
	authority = (struct span){ rest.at, strcspn(rest.at, "/") };
	rest.at += authority.len;
	rest.len -= authority.len;
	while (rest.len > 0 && rest.at[rest.len - 1] == '/')
		rest.len--;
	if (!copy(s.authority, sizeof(s.authority), authority) ||
	    !copy(s.prefix, sizeof(s.prefix), rest) || !take_host(&authority, &s) ||
	    !take_port(authority, &s) || !take_ca(service_ca, &s))
		return false;
	*ret = s;
	return true;
}
