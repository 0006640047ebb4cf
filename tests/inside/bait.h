/*
 * tests/inside/bait.h - things of the host that a sandbox must not reach, made harmless:
 * listeners, shared objects, a process and files that exist for the tests alone. An
 * attempt that reaches one has got out and has broken nothing.
 *
 * `words` tells an attempt where they are: one NAME=VALUE each.
 */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <mqueue.h>
#include <netinet/in.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <unistd.h>

#define BAIT_WORDS 8
#define BAIT_SECRET "canary"

struct bait {
	char words[BAIT_WORDS][256];
	size_t n;
	int tcp, abstract, clerk, shm;
	mqd_t mq;
	char mq_name[32];
	pid_t pid;
};

static inline void bait_say(struct bait *b, const char *name, const char *value)
{
	snprintf(b->words[b->n], sizeof(b->words[0]), "%s=%.230s", name, value);
	b->n++;
}

static inline void bait_say_number(struct bait *b, const char *name, long value)
{
	char text[24];

	snprintf(text, sizeof(text), "%ld", value);
	bait_say(b, name, text);
}

static inline void bait_need(bool done, const char *what)
{
	if (done)
		return;
	fprintf(stderr, "# bait: %s: %s\n", what, strerror(errno));
	exit(2);
}

/* A key that only processes of this session find. */
static inline void bait_key(void)
{
	long ring = syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL);

	bait_need(ring >= 0 && syscall(SYS_add_key, "user", "cordon-bait", BAIT_SECRET,
				       strlen(BAIT_SECRET), ring) >= 0,
		  "key");
	/* Whoever possesses the keyring may read it, whatever his uid. */
	bait_need(syscall(SYS_keyctl, KEYCTL_SETPERM, ring, 0x3f3f3f3f) == 0, "key");
}

static inline void bait_listeners(struct bait *b)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	socklen_t len = sizeof(in);
	int n = snprintf(un.sun_path + 1, sizeof(un.sun_path) - 1, "cordon-bait-%d", getpid());

	b->tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bait_need(bind(b->tcp, (struct sockaddr *)&in, len) == 0 && listen(b->tcp, 8) == 0 &&
			  getsockname(b->tcp, (struct sockaddr *)&in, &len) == 0,
		  "tcp");
	bait_say_number(b, "tcp", ntohs(in.sin_port));
	b->abstract = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n);
	bait_need(bind(b->abstract, (struct sockaddr *)&un, len) == 0 &&
			  listen(b->abstract, 8) == 0,
		  "abstract socket");
	bait_say(b, "abstract", un.sun_path + 1);
}

static inline void bait_objects(struct bait *b)
{
	key_t key = (key_t)(0x0c0d0000 + getpid());

	b->shm = shmget(key, 4096, IPC_CREAT | IPC_EXCL | 0666);
	bait_need(b->shm >= 0, "shared memory");
	bait_say_number(b, "shm", key);
	snprintf(b->mq_name, sizeof(b->mq_name), "/cordon-bait-%d", getpid());
	b->mq = mq_open(b->mq_name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666, NULL);
	bait_need(b->mq >= 0 && fchmod((int)b->mq, 0666) == 0, "message queue");
	bait_say(b, "mq", b->mq_name);
}

/* A process to see, to signal and to look into. */
static inline void bait_process(struct bait *b)
{
	b->pid = fork();
	if (b->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		prctl(PR_SET_NAME, "cordon-bait");
		for (;;)
			pause();
	}
	bait_need(b->pid > 0, "process");
	bait_say_number(b, "pid", b->pid);
}

static inline void bait_copy(const char *from, const char *dir, const char *name, mode_t mode)
{
	char path[512], chunk[16384];
	int in = open(from, O_RDONLY | O_CLOEXEC), out;
	ssize_t n;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	unlink(path);
	out = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	bait_need(in >= 0 && out >= 0, path);
	while ((n = read(in, chunk, sizeof(chunk))) > 0)
		bait_need(write(out, chunk, (size_t)n) == n, path);
	bait_need(n == 0 && fchmod(out, mode) == 0, path);
	close(in);
	close(out);
}

static inline void bait_text(const char *dir, const char *name, const char *text, mode_t mode)
{
	char path[512];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	unlink(path);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	bait_need(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) &&
			  fchmod(fd, mode) == 0,
		  path);
	close(fd);
}

/* A folder like that of a state root, with a socket like the clerk's. */
static inline void bait_state(struct bait *b, const char *host)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	char state[300], run[320];

	snprintf(state, sizeof(state), "%s/state", host);
	snprintf(run, sizeof(run), "%s/run", state);
	bait_need((mkdir(state, 0700) == 0 || errno == EEXIST) &&
			  (mkdir(run, 0700) == 0 || errno == EEXIST),
		  run);
	snprintf(un.sun_path, sizeof(un.sun_path), "%.90s/clerk.sock", run);
	unlink(un.sun_path);
	b->clerk = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	bait_need(bind(b->clerk, (struct sockaddr *)&un, sizeof(un)) == 0 &&
			  listen(b->clerk, 8) == 0,
		  un.sun_path);
	bait_say(b, "root", state);
}

/* In `dir`: what the sandbox is shown read-only at /mnt/bait. Beside it, `dir`.host: what
 * it is not shown at all. `program` is this test's own, which a set-id bit makes bait. */
static inline void bait_files(struct bait *b, const char *dir, const char *program)
{
	/* cap_net_raw=ep in a set of the second revision (linux/capability.h) */
	static const uint32_t caps[5] = { 0x02000001, 1u << 13 };
	char host[256], path[512];

	bait_need(mkdir(dir, 0755) == 0 || errno == EEXIST, dir);
	snprintf(host, sizeof(host), "%s.host", dir);
	bait_need(mkdir(host, 0755) == 0 || errno == EEXIST, host);
	bait_copy(program, dir, "breakout", 0755);
	bait_copy(program, dir, "set-uid", 06755);
	bait_copy(program, dir, "file-caps", 0755);
	snprintf(path, sizeof(path), "%s/file-caps", dir);
	if (geteuid() == 0)
		bait_need(setxattr(path, "security.capability", caps, sizeof(caps), 0) == 0,
			  path);
	bait_text(dir, "shown", BAIT_SECRET, 0666);
	bait_text(dir, "interpreter", "#!/proc/self/exe --here\n", 0755);
	bait_text(host, "canary", BAIT_SECRET, 0666);
	bait_say(b, "host", host);
	bait_state(b, host);
}

static inline void bait_make(struct bait *b, const char *dir, const char *program)
{
	memset(b, 0, sizeof(*b));
	bait_files(b, dir, program);
	bait_key();
	bait_listeners(b);
	bait_objects(b);
	bait_process(b);
}

/* What a careless caller leaves open when it starts a session, and a standard input that
 * was opened for reading from a file that anybody may write. */
static inline void bait_leak(const struct bait *b)
{
	static const int numbers[] = { 5, 10, 251 };
	char path[512];
	int root = open("/", O_RDONLY | O_DIRECTORY), in;

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		bait_need(dup2(root, numbers[i]) >= 0, "leak");
	snprintf(path, sizeof(path), "%s/canary", strchr(b->words[0], '=') + 1);
	in = open(path, O_RDONLY | O_CLOEXEC);
	bait_need(in >= 0 && dup2(in, 0) == 0, path);
}

static inline void bait_end(struct bait *b)
{
	kill(b->pid, SIGKILL);
	shmctl(b->shm, IPC_RMID, NULL);
	mq_unlink(b->mq_name);
	close(b->tcp);
	close(b->abstract);
	close(b->clerk);
}
