/*
 * runtime/cordon-agent.c - the program: stands where a workload with keys will stand, proves
 * the session to its key service, and becomes the workload. See runtime/agent.h.
 *
 * It is linked whole, because it runs in a sandbox whose files are the tenant's. It opens
 * none of them, and its arguments and environment are the workload's: it reads neither.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "runtime/agent_exec.h"
#include "runtime/agent_memory.h"
#include "runtime/agent_obtain.h"
#include "runtime/deadline.h"

#define EXIT_REFUSED 125
#define EXIT_CANNOT_RUN 126
#define EXIT_NOT_FOUND 127

/* ---- what libcrypto names and an agent never does -------------------------------- */

/* Code loaded from the tenant's files, names asked of the tenant's resolver: in a static
 * program these would look for libraries in the sandbox. */
#ifndef __SANITIZE_ADDRESS__
#include <dlfcn.h>
#include <netdb.h>

void *dlopen(const char *file, int mode)
{
	(void)file;
	(void)mode;
	return NULL;
}

void *dlsym(void *restrict handle, const char *restrict name)
{
	(void)handle;
	(void)name;
	return NULL;
}

int dlclose(void *handle)
{
	(void)handle;
	return -1;
}

char *dlerror(void)
{
	return NULL;
}

int dladdr(const void *address, Dl_info *ret)
{
	(void)address;
	(void)ret;
	return 0;
}

int getaddrinfo(const char *restrict node, const char *restrict service,
		const struct addrinfo *restrict hints, struct addrinfo **restrict ret)
{
	(void)node;
	(void)service;
	(void)hints;
	(void)ret;
	return EAI_FAIL;
}

void freeaddrinfo(struct addrinfo *list)
{
	(void)list;
}

int getnameinfo(const struct sockaddr *restrict address, socklen_t address_len,
		char *restrict host, socklen_t host_len, char *restrict service,
		socklen_t service_len, int flags)
{
	(void)address;
	(void)address_len;
	(void)host;
	(void)host_len;
	(void)service;
	(void)service_len;
	(void)flags;
	return EAI_FAIL;
}

struct hostent *gethostbyname(const char *name)
{
	(void)name;
	return NULL;
}
#endif

/* ---- the program ----------------------------------------------------------------- */

static _Noreturn void refuse(const struct runtime_error *e, int exit_code)
{
	struct agent_message m = { .kind = AGENT_REFUSED, .error = *e };

	(void)agent_send(AGENT_SOCK, &m, NULL, 0);
	_exit(exit_code);
}

static enum runtime_status begin(struct runtime_error *e)
{
	int type = 0;
	socklen_t len = sizeof(type);

	if (getsockopt(AGENT_SOCK, SOL_SOCKET, SO_TYPE, &type, &len) < 0 ||
	    type != SOCK_SEQPACKET || fcntl(AGENT_SOCK, F_SETFD, FD_CLOEXEC) < 0)
		return runtime_fail(e, RUNTIME_MALFORMED, "agent",
				    "it is started by `cordon run`, inside a session",
				    "descriptor %d is no keeper's", AGENT_SOCK);
	if (!agent_memory_begin())
		return runtime_fail(e, RUNTIME_SYSTEM, "agent",
				    "does the seccomp profile allow getrandom and prctl?",
				    "cannot keep its memory to itself: %s", strerror(errno));
	return RUNTIME_OK;
}

static _Noreturn void become(int program, char **argv, char **env)
{
	struct agent_message ready = { .kind = AGENT_READY };
	struct runtime_error e;
	int err;

	if (!agent_send(AGENT_SOCK, &ready, NULL, 0))
		_exit(EXIT_REFUSED); /* a keeper that does not hear must not be outlived */
	err = agent_exec(program, argv, env);
	runtime_fail(&e, RUNTIME_REFUSED, "command",
		     err == ENOENT ? "a script's interpreter must exist inside the sandbox"
				   : "it must be an executable file on a mount with exec",
		     "cannot run %s: %s", argv[0], strerror(err));
	refuse(&e, err == ENOENT ? EXIT_NOT_FOUND : EXIT_CANNOT_RUN);
}

int main(int argc, char **argv)
{
	char **env = environ, *own[] = { (char[]){ "TZ=:" }, NULL };
	struct runtime_error e;
	enum runtime_status s;
	int program = -1;

	(void)argc;
	/* OPENSSL_CONF and its kin are the tenant's, and not for us. A TZ of nothing but a
	 * colon: libc looks for no time zone where it only has to compare dates. */
	environ = own;
	s = begin(&e);
	if (s == RUNTIME_OK) {
		s = agent_obtain(AGENT_SOCK, deadline_in(AGENT_MS), &program, &e);
		agent_memory_end();
	}
	if (s != RUNTIME_OK)
		refuse(&e, EXIT_REFUSED);
	become(program, argv, env);
}
