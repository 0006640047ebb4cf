/* runtime/wire.c - messages as bytes, and bytes over sockets. */
#include "runtime/wire.h"

#include "policy/reader.h"
#include "runtime/session.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define WIRE_MAGIC 0x4e445243u /* "CRDN" as bytes */
#define GRACE_MAX_MS (24 * 60 * 60 * 1000)
#define CONNECT_SECONDS 10

/* clang-format off */
/* What each type may carry. `id`: it names a session, so it is not all zero. */
static const struct wire_rule {
	const char *name;
	uint8_t fds_min, fds_max;
	bool id, text;
	int64_t a_min, a_max, b_min, b_max;
} rules[WIRE_TYPES] = {
	/*                  name          fds    id     text   a                         b */
	[WIRE_START]      = { "START",      6, 7, true,  true,  0, WIRE_DETACHED,          0, 0 },
	[WIRE_SIGNAL]     = { "SIGNAL",     0, 0, false, false, 1, 64,                     0, 0 },
	[WIRE_STOP]       = { "STOP",       0, 0, false, false, 0, GRACE_MAX_MS,           0, 0 },
	[WIRE_RUNNING]    = { "RUNNING",    0, 1, true,  false, 0, 0,                      0, 0 },
	[WIRE_FAILED]     = { "FAILED",     0, 0, false, true,  125, 127,                  0, 0 },
	[WIRE_ENDED]      = { "ENDED",      0, 0, false, true,  0, 0xffff,
								1, SESSION_STATES - 1 },
	[WIRE_HOLD]       = { "HOLD",       1, 1, true,  false, 1, WIRE_SLOTS - 1,         0, 0 },
	[WIRE_TAKE]       = { "TAKE",       0, 0, true,  false, 0, 0,                      0, 0 },
	[WIRE_ASK]        = { "ASK",        0, 0, false, false, 0, 0,                      0, 0 },
	[WIRE_LOG]        = { "LOG",        0, 0, true,  false, 0, 0,                      0, 0 },
	[WIRE_OVER]       = { "OVER",       0, 0, true,  false, 0, 0,                      0, 0 },
	[WIRE_DROP]       = { "DROP",       0, 0, true,  false, 0, 0,                      0, 0 },
	[WIRE_RECORD]     = { "RECORD",     0, 0, true,  false, 1, WIRE_RECORDS - 1,       0, 0 },
	[WIRE_TOKEN]      = { "TOKEN",      0, 0, true,  true,  0, 0,                      0, 0 },
	[WIRE_FILTER_PUT] = { "FILTER_PUT", 1, 1, false, false, INT64_MIN, INT64_MAX,      0, 0 },
	[WIRE_FILTER_GET] = { "FILTER_GET", 0, 0, false, false, INT64_MIN, INT64_MAX,      0, 0 },
	[WIRE_HELD]       = { "HELD",       1, 1, false, false, 0, WIRE_SLOTS - 1,         0, 0 },
	[WIRE_OK]         = { "OK",         0, 0, false, false, 0, INT64_MAX,              0, 0 },
	[WIRE_NO]         = { "NO",         0, 0, false, true,  0, 0,                      0, 0 },
};
/* clang-format on */

static bool all_zero(const uint8_t *p, size_t n)
{
	return n == 0 || (p[0] == 0 && memcmp(p, p + 1, n - 1) == 0);
}

static enum runtime_status malformed(struct runtime_error *e, const char *field,
				     const char *what)
{
	return runtime_fail(e, RUNTIME_MALFORMED, field,
			    "both ends must be of the same version of cordon", "%s", what);
}

void wire_encode(const struct wire_message *m, uint8_t ret[static WIRE_BYTES])
{
	struct wr w = { .at = ret, .left = WIRE_BYTES };
	char raw[WIRE_TEXT], text[WIRE_TEXT];

	memcpy(raw, m->text, sizeof(raw));
	raw[sizeof(raw) - 1] = '\0';
	text_escape(text, sizeof(text), raw);

	wr_u32le(&w, WIRE_MAGIC);
	wr_u32le(&w, m->type);
	wr_bytes(&w, m->id, sizeof(m->id));
	wr_u64le(&w, (uint64_t)m->a);
	wr_u64le(&w, (uint64_t)m->b);
	wr_text(&w, text, sizeof(text));
}

enum runtime_status wire_decode(const uint8_t *buf, size_t len, size_t n_fds,
				struct wire_message *ret, struct runtime_error *reterr)
{
	struct rd r = { .at = buf, .left = len };
	struct wire_message m = { 0 };
	const struct wire_rule *rule;
	uint32_t magic;

	magic = rd_u32le(&r);
	m.type = rd_u32le(&r);
	rd_copy(&r, m.id, sizeof(m.id));
	m.a = (int64_t)rd_u64le(&r);
	m.b = (int64_t)rd_u64le(&r);
	rd_text(&r, m.text, sizeof(m.text));

	if (r.bad || r.left != 0)
		return malformed(reterr, "message", "is not of the one length and layout");
	if (magic != WIRE_MAGIC)
		return malformed(reterr, "magic", "is not a message of cordon's");
	if (m.type == 0 || m.type >= WIRE_TYPES)
		return malformed(reterr, "type", "is unknown");
	rule = &rules[m.type];
	if (n_fds < rule->fds_min || n_fds > rule->fds_max)
		return malformed(reterr, rule->name, "has the wrong number of descriptors");
	if (rule->id && all_zero(m.id, sizeof(m.id)))
		return malformed(reterr, rule->name, "names no session");
	if (m.a < rule->a_min || m.a > rule->a_max)
		return malformed(reterr, rule->name, "a is out of range");
	if (m.b < rule->b_min || m.b > rule->b_max)
		return malformed(reterr, rule->name, "b is out of range");
	if (!text_clean(m.text) || (m.text[0] && !rule->text))
		return malformed(reterr, rule->name, "text is not clean, or not wanted");
	*ret = m;
	return RUNTIME_OK;
}

/* ---- over a socket --------------------------------------------------------------- */

union control { /* aligned as the kernel's macros want it */
	char bytes[CMSG_SPACE(WIRE_FDS * sizeof(int))];
	struct cmsghdr align;
};

enum runtime_status wire_send(int sock, const struct wire_message *m,
			      struct runtime_error *reterr)
{
	uint8_t bytes[WIRE_BYTES];
	union control control = { 0 };
	struct iovec iov = { .iov_base = bytes, .iov_len = sizeof(bytes) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct wire_message check;
	enum runtime_status s;
	ssize_t n;

	/* What the other end would refuse is a mistake of ours: find it on this side. */
	wire_encode(m, bytes);
	s = wire_decode(bytes, sizeof(bytes), m->n_fds, &check, reterr);
	if (s != RUNTIME_OK)
		return s;
	if (m->n_fds > 0) {
		struct cmsghdr *c = &control.align;

		msg.msg_control = control.bytes;
		msg.msg_controllen = CMSG_SPACE(m->n_fds * sizeof(int));
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(m->n_fds * sizeof(int));
		memcpy(CMSG_DATA(c), m->fds, m->n_fds * sizeof(int));
	}
	do
		n = sendmsg(sock, &msg, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return runtime_fail(reterr, RUNTIME_SYSTEM, rules[m->type].name, NULL,
				    "cannot be sent: %m");
	return RUNTIME_OK; /* SOCK_SEQPACKET sends all or nothing */
}

/* Every descriptor that came is taken into `m`, so that every one is closed or used. */
static void take_fds(struct msghdr *msg, struct wire_message *m)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		if (n > WIRE_FDS - m->n_fds) /* more than our buffer has room for: never */
			n = WIRE_FDS - m->n_fds;
		memcpy(m->fds + m->n_fds, CMSG_DATA(c), n * sizeof(int));
		m->n_fds += n;
	}
}

enum runtime_status wire_receive(int sock, struct wire_message *ret, bool *ret_closed,
				 struct runtime_error *reterr)
{
	uint8_t bytes[WIRE_BYTES];
	union control control;
	struct iovec iov = { .iov_base = bytes, .iov_len = sizeof(bytes) };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = control.bytes,
			      /* Not all of it: its padding would have room for one more. */
			      .msg_controllen = CMSG_LEN(WIRE_FDS * sizeof(int)) };
	struct wire_message came = { 0 }, m;
	enum runtime_status s;
	ssize_t n;

	/* ECONNRESET is told once, when the peer ended without reading all that we sent;
	 * what it had said before is read after it. */
	do
		n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
	while (n < 0 && (errno == EINTR || errno == ECONNRESET));
	if (n < 0)
		return runtime_fail(reterr, RUNTIME_SYSTEM, "socket", NULL,
				    "cannot be read: %m");
	take_fds(&msg, &came);
	if (n == 0) { /* an empty datagram cannot be told from the end, and is as useless */
		wire_close_fds(&came);
		*ret_closed = true;
		return RUNTIME_OK;
	}
	if (msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC))
		s = malformed(reterr, "message", "is longer than a message can be");
	else
		s = wire_decode(bytes, (size_t)n, came.n_fds, &m, reterr);
	if (s != RUNTIME_OK) {
		wire_close_fds(&came);
		return s;
	}
	memcpy(m.fds, came.fds, sizeof(m.fds));
	m.n_fds = came.n_fds;
	*ret = m;
	*ret_closed = false;
	return RUNTIME_OK;
}

void wire_close_fds(struct wire_message *m)
{
	for (size_t i = 0; i < m->n_fds; i++)
		closep(&m->fds[i]);
	m->n_fds = 0;
}

/* ---- sockets below a folder ------------------------------------------------------ */

/* A unix socket's address holds 107 bytes, so the folder goes by its descriptor. */
static bool address(int run_fd, const char *name, struct sockaddr_un *ret)
{
	int n;

	memset(ret, 0, sizeof(*ret));
	ret->sun_family = AF_UNIX;
	n = snprintf(ret->sun_path, sizeof(ret->sun_path), "/proc/self/fd/%d/%s", run_fd, name);
	return n > 0 && (size_t)n < sizeof(ret->sun_path) && !strchr(name, '/');
}

/* Both ends judge the other: the same user, or root. */
static enum runtime_status judge_peer(int sock, const char *name, struct runtime_error *e)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	if (getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0)
		return runtime_fail(e, RUNTIME_SYSTEM, name, NULL,
				    "the kernel does not name the peer: %m");
	if (peer.uid != geteuid() && peer.uid != 0)
		return runtime_fail(e, RUNTIME_SYSTEM, name,
				    "only its owner and root may use it", "the peer is user %u",
				    peer.uid);
	return RUNTIME_OK;
}

/* Removes the socket that a killed process left behind, and nothing but a socket. */
static bool clear_stale(int run_fd, const char *name)
{
	struct stat st;

	if (fstatat(run_fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return errno == ENOENT;
	if (!S_ISSOCK(st.st_mode)) {
		errno = EEXIST;
		return false;
	}
	return unlinkat(run_fd, name, 0) == 0 || errno == ENOENT;
}

enum runtime_status wire_listen(int run_fd, const char *name, int *ret_sock,
				struct runtime_error *reterr)
{
	AUTO(closep) int sock = -1;
	struct sockaddr_un at;

	if (!address(run_fd, name, &at))
		return runtime_fail(reterr, RUNTIME_MALFORMED, name, NULL,
				    "is no name for a socket");
	sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	/* bind(2) gives the file the mode of the unbound socket: it is never wider. */
	if (sock < 0 || fchmod(sock, 0600) != 0 || !clear_stale(run_fd, name) ||
	    bind(sock, (struct sockaddr *)&at, sizeof(at)) != 0 || listen(sock, SOMAXCONN) != 0)
		return runtime_fail(reterr, RUNTIME_SYSTEM, name, NULL,
				    "cannot listen there: %m");
	*ret_sock = sock;
	sock = -1;
	return RUNTIME_OK;
}

enum runtime_status wire_connect(int run_fd, const char *name, int *ret_sock,
				 struct runtime_error *reterr)
{
	const struct timeval patience = { .tv_sec = CONNECT_SECONDS };
	AUTO(closep) int sock = -1;
	struct sockaddr_un at;
	enum runtime_status s;

	if (!address(run_fd, name, &at))
		return runtime_fail(reterr, RUNTIME_MALFORMED, name, NULL,
				    "is no name for a socket");
	sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (sock < 0 ||
	    setsockopt(sock, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) != 0)
		return runtime_fail(reterr, RUNTIME_SYSTEM, name, NULL,
				    "no socket can be made: %m");
	if (connect(sock, (struct sockaddr *)&at, sizeof(at)) != 0) {
		bool absent = errno == ENOENT || errno == ECONNREFUSED;

		return runtime_fail(reterr, absent ? RUNTIME_REFUSED : RUNTIME_SYSTEM, name,
				    NULL,
				    absent ? "nobody answers there" : "cannot connect: %m");
	}
	s = judge_peer(sock, name, reterr);
	if (s == RUNTIME_OK) {
		*ret_sock = sock;
		sock = -1;
	}
	return s;
}

enum runtime_status wire_accept(int listener, int *ret_sock, struct runtime_error *reterr)
{
	AUTO(closep) int sock = -1;
	enum runtime_status s;

	do
		sock = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	while (sock < 0 && errno == EINTR);
	if (sock < 0)
		return runtime_fail(reterr, RUNTIME_SYSTEM, "socket", NULL,
				    "no connection can be accepted: %m");
	s = judge_peer(sock, "socket", reterr);
	if (s == RUNTIME_OK) {
		*ret_sock = sock;
		sock = -1;
	}
	return s;
}
