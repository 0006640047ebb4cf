/* runtime/cordon-proxy.c - the program; see runtime/proxy.h. */
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "attest/span.h"
#include "runtime/deadline.h"
#include "runtime/proxy.h"

/* Of a pair: then it has no address by which somebody else could be at the other end. */
static bool is_stream(int fd)
{
	int domain = 0, type = 0;
	socklen_t len = sizeof(int);

	return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 && domain == AF_UNIX &&
	       getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_STREAM;
}

static bool is_port(const char *text)
{
	uint64_t port;

	return span_decimal(span_of(text), &port) && port >= 1 && port <= 65535;
}

static enum runtime_status run(const char *host, const char *port, struct runtime_error *e)
{
	struct proxy_limits limits = { .up = PROXY_UP,
				       .down = PROXY_DOWN,
				       .deadline = deadline_in(PROXY_MS) };
	enum runtime_status s = proxy_begin(e);
	int far = -1;

	/* For what knows no deadline: a resolver. */
	alarm(PROXY_MS / 1000 + 1);
	if (s == RUNTIME_OK)
		s = proxy_connect(host, port, limits.deadline, &far, e);
	if (s == RUNTIME_OK)
		s = proxy_seal(e);
	return s == RUNTIME_OK ? proxy_pump(STDIN_FILENO, far, &limits, e) : s;
}

int main(int argc, char **argv)
{
	struct runtime_error e = { .what = "" };
	enum runtime_status s;

	if (argc == 2 && strcmp(argv[1], "--version") == 0) {
		puts("cordon-proxy " CORDON_VERSION);
		return 0;
	}
	if (argc != 3 || !argv[1][0] || !is_port(argv[2]) || !is_stream(STDIN_FILENO))
		s = runtime_fail(&e, RUNTIME_MALFORMED, "",
				 "`cordon run` starts it, with a stream as descriptor 0",
				 "it takes HOST and PORT");
	else
		s = run(argv[1], argv[2], &e);
	if (s != RUNTIME_OK)
		runtime_error_print(stderr, "cordon-proxy", &e);
	/* The filter knows no other way out. */
	_exit(runtime_exit(s));
}
