/* attest/measure.c - see attest/measure.h. */
#include "attest/measure.h"

#include <errno.h>
#include <fcntl.h>
#include <sha2.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "attest/tree_digest.h"

_Static_assert(SANDBOX_DIGEST == SHA256_DIGEST_LENGTH, "digests are SHA-256");

static enum attest_status measure_file(const char *path, uint8_t ret[static SANDBOX_DIGEST],
				       struct attest_error *e)
{
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	uint8_t chunk[16384];
	struct stat st;
	SHA2_CTX sha;
	ssize_t n = -1;

	SHA256Init(&sha);
	if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		while ((n = read(fd, chunk, sizeof(chunk))) > 0)
			SHA256Update(&sha, chunk, (size_t)n);
	else if (fd >= 0)
		errno = EINVAL; /* no file at all */
	if (n < 0)
		(void)attest_fail(e, ATTEST_MALFORMED, path, "", "cannot be read: %m");
	else
		SHA256Final(ret, &sha);
	if (fd >= 0)
		close(fd);
	return n < 0 ? ATTEST_MALFORMED : ATTEST_OK;
}

/* A session's copy has a top folder of its own, whatever that of the original is. */
static bool is_top_as_copied(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && (st.st_mode & 07777) == 0755 && st.st_uid == geteuid() &&
	       st.st_gid == getegid();
}

/* Owners count from the first id of the sandbox; an ordinary user's has the one id. */
static enum attest_status measure_root(const struct policy_plan *plan,
				       uint8_t ret[static SANDBOX_DIGEST],
				       struct attest_error *e)
{
	int fd = open(plan->rootfs, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	enum attest_status s;

	if (fd < 0)
		return attest_fail(e, ATTEST_MALFORMED, plan->rootfs, "",
				   "cannot be opened: %m");
	s = is_top_as_copied(fd)
		    ? tree_digest(fd, geteuid(), ret, e)
		    : attest_fail(e, ATTEST_REFUSED, plan->rootfs,
				  "chown it to yourself, and chmod 755 it",
				  "the copies that sessions make of it are of mode 0755, and "
				  "belong to whom they are made for: this would have another "
				  "digest");
	close(fd);
	return s;
}

static enum attest_status measure_workload(const struct policy_plan *plan, struct measures *m,
					   struct attest_error *e)
{
	enum attest_status s = measure_find_program(plan, &m->program, e);

	if (s != ATTEST_OK)
		return s;
	if (plan->rootfs_copy && !m->program.of_root)
		return attest_fail(e, ATTEST_REFUSED, m->program.inside,
				   "name one that is in workload.rootfs",
				   "the program is not in the root that is measured");
	if (!policy_plan_runs_copy_alone(plan)) {
		m->coverage = SANDBOX_BINARY;
		return measure_file(m->program.host, m->workload, e);
	}
	m->coverage = SANDBOX_ROOTFS;
	return measure_root(plan, m->workload, e);
}

enum attest_status measure_sandbox(const struct policy_plan *plan, const char *keeper,
				   struct measures *ret, struct attest_error *reterr)
{
	struct measures m = { .coverage = 0 };
	enum attest_status s;

	if (plan->class != POLICY_CLASS_SANDBOX)
		return attest_fail(reterr, ATTEST_SYSTEM, "isolation.class", "",
				   "this build measures sandboxes alone, and no guest");
	if (policy_plan_digest(plan, m.plan) != POLICY_OK)
		return attest_fail(reterr, ATTEST_SYSTEM, "plan", "", "it has no digest");
	s = measure_workload(plan, &m, reterr);
	if (s == ATTEST_OK)
		s = measure_file(keeper, m.cordon, reterr);
	if (s == ATTEST_OK)
		*ret = m;
	return s;
}
