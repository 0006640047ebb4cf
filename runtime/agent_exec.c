/* runtime/agent_exec.c - see runtime/agent_exec.h. */
#include "runtime/agent_exec.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ARGUMENTS 256

/* As in runtime/inside.c, but by descriptor. */
static int exec_shell(int program, char *const argv[], char *const env[])
{
	char path[32], *words[ARGUMENTS];
	size_t n = 0;

	while (argv[n])
		n++;
	if (n < 1 || n + 2 > ARGUMENTS)
		return E2BIG;
	snprintf(path, sizeof(path), "/dev/fd/%d", program);
	words[0] = argv[0];
	words[1] = path;
	memcpy(words + 2, argv + 1, n * sizeof(words[0]));
	execve("/bin/sh", words, env);
	return errno;
}

int agent_exec(int program, char *const argv[], char *const env[])
{
	int err;

	syscall(SYS_execveat, program, "", argv, env, AT_EMPTY_PATH);
	err = errno;
	if (err != ENOENT && err != ENOEXEC)
		return err;
	/* A script: whoever interprets it opens it by its number, after the exec. The
	 * descriptor may be O_PATH, so that is learned from the kernel: ENOENT for "#!". */
	if (fcntl(program, F_SETFD, 0) < 0)
		return errno;
	if (err == ENOEXEC)
		return exec_shell(program, argv, env);
	syscall(SYS_execveat, program, "", argv, env, AT_EMPTY_PATH);
	return errno;
}
