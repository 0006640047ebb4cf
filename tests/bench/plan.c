/*
 * tests/bench/plan.c - what the launches need, made once: plan FOLDER [POLICY]
 *
 *   plan     the built-in policy's plan for /bin/true, as bytes
 *   filter   its filter, as the kernel takes it
 *   limits   its cgroups on this host, in the words of bare.c; may be empty
 *   docker   the filter of that policy, where one is named
 */
#include <fcntl.h>
#include <linux/filter.h>
#include <string.h>
#include <unistd.h>

#include "policy/policy.h"
#include "runtime/cgroup.h"
#include "tests/bench/clerk.h"

static void save(const char *name, const void *bytes, size_t n)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	if (fd < 0 || write(fd, bytes, n) != (ssize_t)n || close(fd) < 0)
		die(name);
}

static _Noreturn void policy_failed(const struct policy_error *e)
{
	policy_error_print(stderr, e);
	fputc('\n', stderr);
	exit(3);
}

static bool exists(const char *folder, const char *file)
{
	char path[CGROUP_PATH + 64];

	snprintf(path, sizeof(path), "%s/%s", folder, file);
	return access(path, F_OK) == 0;
}

/* The files that cgroup_make() writes, and what. */
static void print_limits(FILE *f, const struct cgroup_dir *d, const struct policy_limits *l)
{
	const struct {
		enum cgroup_controller controller;
		const char *file[2]; /* v1, v2 */
		uint64_t value;
	} limits[] = {
		{ CGROUP_MEMORY, { "memory.limit_in_bytes", "memory.max" }, l->memory },
		{ CGROUP_MEMORY, { "memory.swappiness", "memory.swap.max" }, 0 },
		{ CGROUP_MEMORY, { "memory.memsw.limit_in_bytes", "-" }, l->memory },
		{ CGROUP_MEMORY, { "-", "memory.oom.group" }, 1 },
		{ CGROUP_PIDS, { "pids.max", "pids.max" }, l->pids },
		{ CGROUP_CPU, { "cpu.cfs_period_us", "-" }, 100000 },
		{ CGROUP_CPU, { "cpu.cfs_quota_us", "cpu.max" }, l->cpu_milli * 100 },
	};

	fprintf(f, "+%s\n", d->path);
	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++)
		if ((d->controllers & limits[i].controller) &&
		    exists(d->path, limits[i].file[d->v2]))
			fprintf(f, "%s=%ju\n", limits[i].file[d->v2],
				(uintmax_t)limits[i].value);
}

static void save_limits(const struct policy_limits *l)
{
	static const uint8_t id[SESSION_ID_BYTES] = "cordon bench";
	struct runtime_error e;
	struct cgroup cg;
	FILE *f = fopen("limits", "we");

	if (!f)
		die("limits");
	if (cgroup_find(CGROUP_ALL, false, id, &cg, &e) != RUNTIME_OK ||
	    cgroup_make(&cg, l, &e) != RUNTIME_OK)
		runtime_failed(&e);
	for (size_t i = 0; i < cg.n; i++) {
		print_limits(f, &cg.dirs[i], l);
		if (cgroup_remove(cg.dirs[i].path, &e) != RUNTIME_OK)
			runtime_failed(&e);
	}
	if (fclose(f) != 0)
		die("limits");
}

static void save_plan(void)
{
	char *argv[] = { (char[]){ "/bin/true" }, NULL };
	struct policy_error e = { 0 };
	struct policy *p = NULL;
	struct policy_plan *plan = NULL;
	uint8_t *bytes = NULL;
	size_t n = 0;

	if (policy_builtin(&p, &e) != POLICY_OK ||
	    policy_plan_make(p, argv, NULL, &plan, &e) != POLICY_OK)
		policy_failed(&e);
	if (policy_plan_encode(plan, &bytes, &n) != POLICY_OK)
		die("plan");
	save("plan", bytes, n);
	save("filter", plan->filter.insns, plan->filter.n_insns * sizeof(struct sock_filter));
	save_limits(&plan->limits);
	free(bytes);
	policy_plan_free(plan);
	policy_free(p);
}

static void save_filter(const char *policy, const char *name)
{
	struct policy_filter f = { 0 };
	struct policy_error e = { 0 };
	struct policy *p = NULL;

	if (policy_load(policy, &p, &e) != POLICY_OK ||
	    policy_filter_compile(p, &f, &e) != POLICY_OK)
		policy_failed(&e);
	save(name, f.insns, f.n_insns * sizeof(struct sock_filter));
	policy_filter_clear(&f);
	policy_free(p);
}

int main(int argc, char **argv)
{
	if (argc < 2 || argc > 3)
		return 2;
	if (chdir(argv[1]) < 0)
		die(argv[1]);
	save_plan();
	if (argc == 3)
		save_filter(argv[2], "docker");
	return 0;
}
