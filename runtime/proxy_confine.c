/* runtime/proxy_confine.c - what a proxy gives up, and the one connection that it makes. */
#include "runtime/proxy.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "memscrub/guard.h"
#include "policy/policy.h"
#include "runtime/confine.h"
#include "runtime/deadline.h"

#define NOBODY 65534
#define CONNECT_MS 10000 /* one address; there may be another */

static enum runtime_status fail(struct runtime_error *e, const char *where, const char *what)
{
	return runtime_fail(e, RUNTIME_SYSTEM, where, "`cordon doctor` says what this host can",
			    "%s: %s", what, strerror(errno));
}

/* ---- privileges ------------------------------------------------------------------ */

static enum runtime_status drop_ids(struct runtime_error *e)
{
	static const uint64_t none[POLICY_CAPSETS];
	struct confine_report r = { 0 };

	return confine_identity(NOBODY, NOBODY, NULL, 0, none, true, &r, e);
}

/* An ordinary user cannot lock its securebits; with no capability and no_new_privs there is
 * nothing that they would add. */
static enum runtime_status drop_caps(struct runtime_error *e)
{
	struct __user_cap_header_struct h = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[2] = { { 0 } };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return fail(e, "no_new_privs", "cannot set it");
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 ||
	    syscall(SYS_capset, &h, none) < 0)
		return fail(e, "capabilities", "cannot drop them");
	return RUNTIME_OK;
}

enum runtime_status proxy_begin(struct runtime_error *reterr)
{
	pid_t keeper = getppid();
	enum runtime_status s;

	if (close_range(3, ~0u, 0) < 0)
		return fail(reterr, "descriptors", "cannot close them");
	s = geteuid() == 0 ? drop_ids(reterr) : drop_caps(reterr);
	if (s != RUNTIME_OK)
		return s;
	/* After the change of ids, which clears both. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0 || !guard_process())
		return fail(reterr, "process", "cannot keep it to itself");
	if (getppid() != keeper)
		return runtime_fail(reterr, RUNTIME_SYSTEM, "keeper", "", "it is gone");
	return RUNTIME_OK;
}

/* ---- Landlock -------------------------------------------------------------------- */

/* Debian 12's header ends at ABI 2; these are the kernel's names and numbers. */
struct ruleset { /* struct landlock_ruleset_attr as of ABI 6 */
	uint64_t files, net, scoped;
};
struct port_rule { /* struct landlock_net_port_attr */
	uint64_t allowed, port;
};
#define RULE_NET_PORT 2
#define NET_BIND (1ull << 0)
#define NET_CONNECT (1ull << 1)
#define SCOPES 3ull /* abstract sockets, signals */

/* Rights on files by ABI; what a kernel does not know it refuses. */
static uint64_t all_files(long abi)
{
	static const unsigned known[] = { 0, 13, 14, 15, 15 };

	return (1ull << (abi < 5 ? known[abi] : 16)) - 1;
}

enum runtime_status proxy_confine(uint16_t port, struct runtime_error *reterr)
{
	long abi =
		syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	struct ruleset r = { 0 };
	struct port_rule rule = { NET_CONNECT, port };
	size_t size = offsetof(struct ruleset, net);
	AUTO(closep) int fd = -1;

	if (abi < 1)
		return RUNTIME_OK;
	r.files = all_files(abi);
	if (abi >= 4) {
		r.net = NET_BIND | NET_CONNECT;
		size = offsetof(struct ruleset, scoped);
	}
	if (abi >= 6) {
		r.scoped = SCOPES;
		size = sizeof(r);
	}
	fd = (int)syscall(SYS_landlock_create_ruleset, &r, size, 0);
	if (fd < 0 ||
	    (r.net && syscall(SYS_landlock_add_rule, fd, RULE_NET_PORT, &rule, 0) < 0) ||
	    syscall(SYS_landlock_restrict_self, fd, 0) < 0)
		return fail(reterr, "landlock", "cannot restrict");
	return RUNTIME_OK;
}

/* ---- the connection -------------------------------------------------------------- */

/* A connected descriptor, or -1 with errno. */
static int connect_one(const struct addrinfo *a, int64_t deadline)
{
	AUTO(closep)
	int fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK,
			a->ai_protocol);
	int64_t soon = deadline_in(CONNECT_MS);
	int err = 0, on = 1, ret;
	socklen_t len = sizeof(err);

	if (fd < 0)
		return -1;
	if (connect(fd, a->ai_addr, a->ai_addrlen) < 0) {
		if (errno != EINPROGRESS ||
		    !deadline_wait(fd, POLLOUT, soon < deadline ? soon : deadline) ||
		    getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len) < 0)
			return -1;
		if (err) {
			errno = err;
			return -1;
		}
	}
	/* Requests and answers are whole: there is nothing to wait for. */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	ret = fd;
	fd = -1;
	return ret;
}

static enum runtime_status connect_any(const struct addrinfo *list, const char *host,
				       int64_t deadline, int *ret_fd, struct runtime_error *e)
{
	int fd = -1;

	for (const struct addrinfo *a = list; a && fd < 0; a = a->ai_next)
		fd = connect_one(a, deadline);
	if (fd < 0)
		return runtime_fail(e, RUNTIME_SYSTEM, host, "is the key service up?",
				    "cannot connect: %s", strerror(errno));
	*ret_fd = fd;
	return RUNTIME_OK;
}

enum runtime_status proxy_connect(const char *host, const char *port, int64_t deadline,
				  int *ret_fd, struct runtime_error *reterr)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM,
					.ai_flags = AI_NUMERICSERV };
	struct addrinfo *list = NULL;
	enum runtime_status s;
	int err = getaddrinfo(host, port, &hints, &list);

	if (err)
		return runtime_fail(reterr, RUNTIME_SYSTEM, host,
				    "does the host's resolver know the key service?",
				    "cannot resolve it: %s", gai_strerror(err));
	s = proxy_confine((uint16_t)strtoul(port, NULL, 10), reterr);
	if (s == RUNTIME_OK)
		s = connect_any(list, host, deadline, ret_fd, reterr);
	freeaddrinfo(list);
	return s;
}

/* ---- system calls ---------------------------------------------------------------- */

#if defined(__x86_64__)
#define NATIVE_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define NATIVE_ARCH AUDIT_ARCH_AARCH64
#else
#error "name this architecture's AUDIT_ARCH"
#endif

#define ALLOW_CALL(name)                                                                       \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_##name, 0, 1),                                 \
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

/* What moves bytes between descriptors that are there, tells the time, and says one line. */
enum runtime_status proxy_seal(struct runtime_error *reterr)
{
	static const struct sock_filter insns[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, NATIVE_ARCH, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		ALLOW_CALL(ppoll),
		ALLOW_CALL(recvfrom),
		ALLOW_CALL(sendto),
		ALLOW_CALL(clock_gettime),
		ALLOW_CALL(restart_syscall),
		ALLOW_CALL(write),
		ALLOW_CALL(exit_group),
#ifdef __SANITIZE_ADDRESS__
		ALLOW_CALL(sigaltstack), /* ASan's own, in front of each _exit */
#endif
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
	};
	struct sock_fprog prog = { .len = sizeof(insns) / sizeof(insns[0]),
				   .filter = (struct sock_filter *)(uintptr_t)insns };

	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog) < 0
		       ? fail(reterr, "seccomp", "cannot load the filter")
		       : RUNTIME_OK;
}
