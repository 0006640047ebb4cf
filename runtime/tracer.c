/* runtime/tracer.c - one handler for each kind of stop; see ptrace(2). */
#include "runtime/tracer.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#define OPTIONS                                                                                \
	(PTRACE_O_EXITKILL | PTRACE_O_TRACEEXIT | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK |   \
	 PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC)

enum runtime_status tracer_seize(struct tracer *t, pid_t init, struct runtime_error *reterr)
{
	if (ptrace(PTRACE_SEIZE, init, NULL, OPTIONS) < 0)
		return runtime_fail(reterr, RUNTIME_SYSTEM, "ptrace",
				    "is another tracer attached, or ptrace restricted?",
				    "cannot trace the sandbox's first process: %s",
				    strerror(errno));
	t->init = init;
	t->hold = true;
	return RUNTIME_OK;
}

#define AT_ONCE 256 /* stops handled before the keeper looks at its messages again */

/* A task that vanished meanwhile (SIGKILL) gives ESRCH: its death is reported next. */
static void go_on(pid_t pid, int sig)
{
	(void)ptrace(PTRACE_CONT, pid, NULL, (long)sig);
}

static void forked(struct tracer *t, pid_t parent)
{
	unsigned long child = 0;
	bool told = ptrace(PTRACE_GETEVENTMSG, parent, NULL, &child) == 0;

	if (told && t->born && parent != t->init)
		t->born(parent, (pid_t)child, t->arg);
	if (told && !t->workload && parent == t->init) {
		t->workload = (pid_t)child;
		/* The first process never forks again and holds nothing of the tenant's: it
		 * may die without a stop. The workload has its options already. */
		(void)ptrace(PTRACE_SETOPTIONS, parent, NULL, OPTIONS & ~PTRACE_O_TRACEEXIT);
	}
	go_on(parent, 0);
}

static void execed(const struct tracer *t, pid_t pid)
{
	unsigned long former = 0;

	if (t->execed && ptrace(PTRACE_GETEVENTMSG, pid, NULL, &former) == 0)
		t->execed(pid, (pid_t)former, t->arg);
}

/* A stop that PTRACE_EVENT_STOP reports: a new task's first, or job control. Job control
 * must hold (LISTEN), or ^Z and SIGSTOP would not work inside. */
static void event_stop(const struct tracer *t, pid_t pid, int sig)
{
	if (t->appeared && pid != t->init)
		t->appeared(pid, t->arg);
	switch (sig) {
	case SIGSTOP:
	case SIGTSTP:
	case SIGTTIN:
	case SIGTTOU:
		(void)ptrace(PTRACE_LISTEN, pid, NULL, NULL);
		break;
	default:
		go_on(pid, 0);
	}
}

static void stopped(struct tracer *t, pid_t pid, int status)
{
	switch (status >> 16) {
	case 0: /* a signal on its way in */
		go_on(pid, WSTOPSIG(status));
		break;
	case PTRACE_EVENT_FORK:
	case PTRACE_EVENT_VFORK:
	case PTRACE_EVENT_CLONE:
		forked(t, pid);
		break;
	case PTRACE_EVENT_EXEC:
		execed(t, pid);
		if (pid == t->workload && t->hold)
			t->exec_stop = true;
		else
			go_on(pid, 0);
		break;
	case PTRACE_EVENT_EXIT:
		if (pid == t->workload) {
			t->exec_stop = false;
			t->workload_leaving = true;
		}
		if (t->exit_stop)
			t->exit_stop(pid, t->arg);
		go_on(pid, 0);
		break;
	case PTRACE_EVENT_STOP:
		event_stop(t, pid, WSTOPSIG(status));
		break;
	default:
		go_on(pid, 0);
	}
}

static void died(struct tracer *t, pid_t pid, int status)
{
	if (t->gone && pid != t->init)
		t->gone(pid, t->arg);
	if (pid == t->workload && !t->workload_gone) {
		t->workload_gone = true;
		t->workload_status = status;
	}
	if (pid == t->init) {
		t->init = 0;
		t->init_status = status;
	}
}

bool tracer_pump(struct tracer *t)
{
	for (int i = 0; i < AT_ONCE; i++) {
		int status;
		pid_t pid = waitpid(-1, &status, __WALL | WNOHANG);

		if (pid <= 0)
			return false;
		if (WIFSTOPPED(status))
			stopped(t, pid, status);
		else
			died(t, pid, status);
	}
	return true;
}

bool tracer_standing(struct tracer *t)
{
	/* A task on its way to its death refuses (ESRCH); one that is further on has been
	 * at its exit stop, or is gone, and the pump sees that. */
	bool stands = ptrace(PTRACE_SETOPTIONS, t->workload, NULL, OPTIONS) == 0;

	tracer_pump(t);
	return stands && t->exec_stop && !t->workload_gone;
}

void tracer_resume(struct tracer *t, bool hold)
{
	t->hold = hold;
	/* One that was killed meanwhile stands at its exit, and must not pass there unseen. */
	tracer_pump(t);
	if (t->exec_stop)
		go_on(t->workload, 0);
	t->exec_stop = false;
}

bool tracer_empty(const struct tracer *t)
{
	/* The kernel reports a pid namespace's first process last of all its tasks. */
	return t->init == 0;
}
