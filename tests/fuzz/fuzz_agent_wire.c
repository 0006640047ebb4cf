/* tests/fuzz/fuzz_agent_wire.c - what agent_decode accepts is the packet again, and every
 * text in it ends. The first byte is the number of descriptors that came along; what a packet
 * lacks in length is zeros, so that few bytes make one. */
#include "runtime/agent.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_text(const char *text, size_t size)
{
	if (strnlen(text, size) == size)
		abort();
}

static void check(const struct agent_message *m)
{
	if (m->kind == AGENT_REFUSED) {
		check_text(m->error.what, sizeof(m->error.what));
		check_text(m->error.where, sizeof(m->error.where));
		check_text(m->error.hint, sizeof(m->error.hint));
	}
	if (m->kind != AGENT_JOB)
		return;
	if (m->job.n_keys > AGENT_KEYS || strlen(m->job.descriptor) != m->job.descriptor_len)
		abort();
	check_text(m->job.descriptor, sizeof(m->job.descriptor));
	for (size_t i = 0; i < m->job.n_keys; i++)
		check_text(m->job.resources[i], AGENT_RESOURCE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct agent_message packet, m;
	size_t n_fds;

	if (size == 0)
		return 0;
	n_fds = data[0] % (AGENT_FDS + 1);
	if (agent_decode(data + 1, size - 1, n_fds, &m) && size - 1 != sizeof(m))
		abort();
	memset(&packet, 0, sizeof(packet));
	memcpy(&packet, data + 1, size - 1 < sizeof(packet) ? size - 1 : sizeof(packet));
	if (!agent_decode(&packet, sizeof(packet), n_fds, &m))
		return 0;
	if (memcmp(&packet, &m, sizeof(m)) != 0) /* NOLINT: the bytes are meant */
		abort();
	check(&m);
	return 0;
}
