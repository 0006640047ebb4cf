/* runtime/proxy.c - the bytes. */
#include "runtime/proxy.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "runtime/deadline.h"

/* One direction. It reads when all that it read before is gone: a slow side makes the other
 * wait, and nothing is kept beyond `bytes`. */
struct flow {
	const char *name;
	int from, to;
	uint64_t left; /* bytes that may still come */
	size_t at, len;
	char bytes[16384];
};

enum flow_state { FLOW_ON = 0, FLOW_ENDED, FLOW_FULL };

static bool not_now(void)
{
	return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
}

static enum flow_state flow_take(struct flow *f)
{
	ssize_t n = recv(f->from, f->bytes, sizeof(f->bytes), MSG_DONTWAIT);

	if (n < 0 && not_now())
		return FLOW_ON;
	if (n <= 0)
		return FLOW_ENDED;
	if ((uint64_t)n > f->left)
		return FLOW_FULL;
	f->left -= (uint64_t)n;
	f->at = 0;
	f->len = (size_t)n;
	return FLOW_ON;
}

static enum flow_state flow_give(struct flow *f)
{
	ssize_t n = send(f->to, f->bytes + f->at, f->len - f->at, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n < 0)
		return not_now() ? FLOW_ON : FLOW_ENDED;
	f->at += (size_t)n;
	return FLOW_ON;
}

static bool flow_holds(const struct flow *f)
{
	return f->at < f->len;
}

/* What a side is asked for: room for what the one flow holds, bytes for the other. A side
 * that nothing is asked of is left out (-1), or its hang-up would wake us without end. */
static struct pollfd want(const struct flow *in, const struct flow *out)
{
	struct pollfd p = { .fd = in->from };

	if (!flow_holds(in))
		p.events |= POLLIN;
	if (flow_holds(out))
		p.events |= POLLOUT;
	if (!p.events)
		p.fd = -1;
	return p;
}

/* The side's errors and its end show in recv and send themselves. */
static enum flow_state serve(struct flow *in, struct flow *out, const struct pollfd *p)
{
	enum flow_state s = FLOW_ON;

	if (p->revents && flow_holds(out))
		s = flow_give(out);
	if (s == FLOW_ON && p->revents && !flow_holds(in))
		s = flow_take(in);
	return s;
}

enum runtime_status proxy_pump(int near, int far, const struct proxy_limits *limits,
			       struct runtime_error *reterr)
{
	struct flow up = { "to the key service", near, far, limits->up, 0, 0, { 0 } };
	struct flow down = { "from the key service", far, near, limits->down, 0, 0, { 0 } };

	for (;;) {
		struct pollfd p[2] = { want(&up, &down), want(&down, &up) };
		int ready = deadline_poll(p, 2, limits->deadline);
		enum flow_state a, b;

		if (ready < 0)
			return runtime_fail(reterr, RUNTIME_SYSTEM, "poll", "", "%s",
					    strerror(errno));
		if (ready == 0)
			return runtime_fail(reterr, RUNTIME_REFUSED, "time",
					    "is the key service slow, or does it not answer?",
					    "neither side ended in time");
		a = serve(&up, &down, &p[0]);
		b = serve(&down, &up, &p[1]);
		if (a == FLOW_FULL || b == FLOW_FULL)
			return runtime_fail(reterr, RUNTIME_REFUSED,
					    a == FLOW_FULL ? up.name : down.name,
					    "does `service` name a key service?",
					    "more bytes than a session's keys take");
		if (a == FLOW_ENDED || b == FLOW_ENDED)
			return RUNTIME_OK;
	}
}
