/* runtime/terminal.c - relays between two terminals. */
#include "runtime/terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

static struct termios saved; /* one terminal a process: to be restored at its end */

static int first_tty(const int order[3])
{
	for (int i = 0; i < 3; i++)
		if (isatty(order[i]))
			return order[i];
	return -1;
}

void terminal_start(struct terminal *t, int master)
{
	const int writers[3] = { STDOUT_FILENO, STDERR_FILENO, STDIN_FILENO };
	struct termios raw;

	*t = (struct terminal){ .master = master, .in = -1, .out = first_tty(writers) };
	(void)fcntl(master, F_SETFL, O_NONBLOCK); /* ours alone: the keeper's copy is closed */
	terminal_resize(t);
	if (!isatty(STDIN_FILENO)) {
		/* The caller's terminal stays cooked and ends lines itself. */
		if (tcgetattr(master, &raw) == 0) {
			raw.c_oflag &= ~(tcflag_t)OPOST;
			(void)tcsetattr(master, TCSANOW, &raw);
		}
		return;
	}
	t->in = STDIN_FILENO;
	if (tcgetattr(t->in, &saved) < 0)
		return;
	raw = saved;
	cfmakeraw(&raw);
	t->raw = tcsetattr(t->in, TCSADRAIN, &raw) == 0;
}

void terminal_resize(const struct terminal *t)
{
	struct winsize size;

	if (t->master >= 0 && t->out >= 0 && ioctl(t->out, TIOCGWINSZ, &size) == 0)
		(void)ioctl(t->master, TIOCSWINSZ, &size);
}

static bool write_all(int fd, const char *p, size_t n)
{
	while (n) {
		ssize_t w = write(fd, p, n);

		if (w < 0 && errno == EAGAIN) {
			struct pollfd wait = { .fd = fd, .events = POLLOUT };

			(void)poll(&wait, 1, -1);
			continue;
		}
		if (w < 0 && errno != EINTR)
			return false;
		if (w > 0) {
			p += w;
			n -= (size_t)w;
		}
	}
	return true;
}

bool terminal_from_sandbox(struct terminal *t)
{
	char buf[16384];
	ssize_t n = read(t->master, buf, sizeof(buf));

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return true;
	if (n <= 0)
		return false; /* EIO: the last process closed its side */
	(void)write_all(t->out, buf, (size_t)n);
	return true;
}

bool terminal_full(const struct terminal *t)
{
	return t->typed_at < t->typed_end;
}

void terminal_flush(struct terminal *t)
{
	while (terminal_full(t)) {
		ssize_t n =
			write(t->master, t->typed + t->typed_at, t->typed_end - t->typed_at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0) { /* nobody is left to read it */
			t->in = -1;
			t->typed_at = t->typed_end;
			return;
		}
		t->typed_at += (size_t)n;
	}
}

void terminal_to_sandbox(struct terminal *t)
{
	ssize_t n = read(t->in, t->typed, sizeof(t->typed));

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n <= 0) {
		t->in = -1;
		return;
	}
	t->typed_at = 0;
	t->typed_end = (size_t)n;
	terminal_flush(t);
}

void terminal_end(struct terminal *t)
{
	struct pollfd p = { .fd = t->master, .events = POLLIN };

	while (t->master >= 0 && poll(&p, 1, 0) > 0 && (p.revents & POLLIN) &&
	       terminal_from_sandbox(t))
		;
	if (t->raw)
		(void)tcsetattr(STDIN_FILENO, TCSADRAIN, &saved);
	t->raw = false;
	if (t->master >= 0)
		close(t->master);
	t->master = -1;
}
