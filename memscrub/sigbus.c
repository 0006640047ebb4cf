/* memscrub/sigbus.c - one handler for the process, one way out for each thread. */
#include "memscrub/sigbus.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned users;
static struct sigaction before; /* written while there are no users */

/* The thread's way out; NULL outside of sigbus_try. */
static _Thread_local sigjmp_buf *volatile way_out;
static _Thread_local struct sigbus_fault fault;

/* Not ours: what stood before gets it. A default action takes effect when the access is
 * repeated. */
static void pass_on(int sig, siginfo_t *info, void *context)
{
	if (before.sa_flags & SA_SIGINFO)
		before.sa_sigaction(sig, info, context);
	else if (before.sa_handler == SIG_DFL ||
		 (before.sa_handler == SIG_IGN && info->si_code > 0))
		signal(sig, SIG_DFL);
	else if (before.sa_handler != SIG_IGN)
		before.sa_handler(sig);
}

static void on_sigbus(int sig, siginfo_t *info, void *context)
{
	sigjmp_buf *out = way_out;
	bool poisoned = info->si_code == BUS_MCEERR_AR;

	if (!out || (!poisoned && info->si_code != BUS_ADRERR)) {
		pass_on(sig, info, context);
		return;
	}
	fault.at = info->si_addr;
	fault.poisoned = poisoned;
	fault.extent = poisoned ? (size_t)1 << info->si_addr_lsb : 0;
	siglongjmp(*out, 1);
}

bool sigbus_enter(struct sigbus_saved *saved)
{
	/* Without SA_NODEFER the jump out would have to restore the signal mask. */
	const struct sigaction ours = { .sa_sigaction = on_sigbus,
					.sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK };
	sigset_t bus, mask;
	bool ok = true;

	pthread_mutex_lock(&lock);
	if (users == 0)
		ok = sigaction(SIGBUS, &ours, &before) == 0;
	users += ok;
	pthread_mutex_unlock(&lock);
	if (!ok)
		return false;

	/* The kernel kills a process whose fault cannot be delivered. */
	sigemptyset(&bus);
	sigaddset(&bus, SIGBUS);
	pthread_sigmask(SIG_UNBLOCK, &bus, &mask);
	saved->blocked = sigismember(&mask, SIGBUS) == 1;
	return true;
}

void sigbus_leave(const struct sigbus_saved *saved)
{
	sigset_t bus;

	if (saved->blocked) {
		sigemptyset(&bus);
		sigaddset(&bus, SIGBUS);
		pthread_sigmask(SIG_BLOCK, &bus, NULL);
	}
	pthread_mutex_lock(&lock);
	if (--users == 0)
		sigaction(SIGBUS, &before, NULL);
	pthread_mutex_unlock(&lock);
}

bool sigbus_try(void (*fn)(void *), void *arg, struct sigbus_fault *ret)
{
	sigjmp_buf out;

	if (sigsetjmp(out, 0) != 0) {
		way_out = NULL;
		*ret = fault;
		return false;
	}
	way_out = &out;
	fn(arg);
	way_out = NULL;
	return true;
}
