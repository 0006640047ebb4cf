/* runtime/agent_wire.c - the messages of runtime/agent.h as packets. */
#include "runtime/agent.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

_Static_assert(sizeof(struct agent_message) == sizeof(uint32_t) + sizeof(struct agent_job),
	       "a packet has no bytes that no member names");

union control {
	char bytes[CMSG_SPACE(sizeof(int) * AGENT_FDS)];
	struct cmsghdr align;
};

/* ---- form ------------------------------------------------------------------------ */

/* A text, its final zero, and zeros up to the end: `to` was cleared. */
static bool take_text(char *to, const char *from, size_t size)
{
	size_t n = strnlen(from, size);

	memcpy(to, from, n);
	return n < size;
}

static bool take_job(struct agent_job *to, const struct agent_job *from)
{
	to->descriptor_len = from->descriptor_len;
	to->n_keys = from->n_keys;
	if (from->n_keys < 1 || from->n_keys > AGENT_KEYS ||
	    !take_text(to->descriptor, from->descriptor, sizeof(to->descriptor)) ||
	    strlen(to->descriptor) != from->descriptor_len || from->descriptor_len == 0)
		return false;
	for (size_t i = 0; i < from->n_keys; i++)
		if (!take_text(to->resources[i], from->resources[i], AGENT_RESOURCE) ||
		    to->resources[i][0] == '\0')
			return false;
	return true;
}

static bool take_error(struct runtime_error *to, const struct runtime_error *from)
{
	return take_text(to->what, from->what, sizeof(to->what)) &&
	       take_text(to->where, from->where, sizeof(to->where)) &&
	       take_text(to->hint, from->hint, sizeof(to->hint));
}

/* What `m` says and nothing else; `ret` was cleared. False: it has no such form. */
static bool take(struct agent_message *ret, const struct agent_message *m, size_t n_fds)
{
	ret->kind = m->kind;
	switch (m->kind) {
	case AGENT_JOB:
		return take_job(&ret->job, &m->job) && n_fds == 2 + m->job.n_keys;
	case AGENT_TOKEN_WANTED:
		memcpy(ret->report_data, m->report_data, sizeof(ret->report_data));
		return n_fds == 0;
	case AGENT_TOKEN:
		return n_fds == 1;
	case AGENT_REFUSED:
		return take_error(&ret->error, &m->error) && n_fds == 0;
	case AGENT_READY:
		return n_fds == 0;
	default:
		return false;
	}
}

bool agent_decode(const void *packet, size_t len, size_t n_fds, struct agent_message *ret)
{
	struct agent_message m, clean = { .kind = 0 };

	if (len != sizeof(m))
		return false;
	memcpy(&m, packet, sizeof(m));
	/* One message, one packet: nothing rides along where no member is. */
	if (!take(&clean, &m, n_fds) || memcmp(packet, &clean, len) != 0) /* NOLINT: bytes */
		return false;
	*ret = clean;
	return true;
}

/* ---- sockets --------------------------------------------------------------------- */

bool agent_send(int sock, const struct agent_message *m, const int *fds, size_t n_fds)
{
	struct agent_message packet = { .kind = 0 };
	struct iovec iov = { .iov_base = &packet, .iov_len = sizeof(packet) };
	struct msghdr h = { .msg_iov = &iov, .msg_iovlen = 1 };
	union control c = { .bytes = { 0 } };

	if (!take(&packet, m, n_fds)) {
		errno = EINVAL;
		return false;
	}
	if (n_fds) {
		struct cmsghdr *cm = &c.align;

		h.msg_control = c.bytes;
		h.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
		cm->cmsg_level = SOL_SOCKET;
		cm->cmsg_type = SCM_RIGHTS;
		cm->cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
		memcpy(CMSG_DATA(cm), fds, sizeof(int) * n_fds);
	}
	/* Not tried again, as in runtime/inside.c: a workload's filter may answer EINTR for
	 * ever. */
	return sendmsg(sock, &h, MSG_NOSIGNAL) == (ssize_t)sizeof(packet);
}

static size_t take_fds(struct msghdr *h, int ret_fds[static AGENT_FDS])
{
	size_t n = 0;

	for (struct cmsghdr *cm = CMSG_FIRSTHDR(h); cm; cm = CMSG_NXTHDR(h, cm))
		if (cm->cmsg_level == SOL_SOCKET && cm->cmsg_type == SCM_RIGHTS) {
			n = (cm->cmsg_len - CMSG_LEN(0)) / sizeof(int);
			memcpy(ret_fds, CMSG_DATA(cm), n * sizeof(int));
		}
	return n;
}

bool agent_receive(int sock, struct agent_message *ret, int ret_fds[static AGENT_FDS],
		   size_t *ret_n)
{
	struct agent_message packet;
	struct iovec iov = { .iov_base = &packet, .iov_len = sizeof(packet) };
	union control c = { .bytes = { 0 } };
	struct msghdr h = { .msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_control = c.bytes,
			    .msg_controllen = CMSG_LEN(sizeof(int) * AGENT_FDS) };
	size_t n_fds;
	ssize_t n;

	*ret_n = 0;
	/* ECONNRESET is told once, when the other side ended without reading all that was
	 * sent to it; its last word is read after that. */
	n = recvmsg(sock, &h, MSG_CMSG_CLOEXEC);
	if (n < 0 && errno == ECONNRESET)
		n = recvmsg(sock, &h, MSG_CMSG_CLOEXEC);
	if (n < 0)
		return false;
	n_fds = take_fds(&h, ret_fds);
	if (!(h.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) &&
	    agent_decode(&packet, (size_t)n, n_fds, ret)) {
		*ret_n = n_fds;
		return true;
	}
	while (n_fds > 0)
		close(ret_fds[--n_fds]);
	errno = 0;
	return false;
}
