/*
 * tests/bench/compile.c - a filter made anew beside one that the clerk has ready:
 *	compile ROOT CORDON-CLERK [POLICY]
 */
#include "policy/policy.h"
#include "tests/bench/clerk.h"

static _Noreturn void policy_failed(const struct policy_error *e)
{
	policy_error_print(stderr, e);
	fputc('\n', stderr);
	exit(3);
}

static double compile(const struct policy *p)
{
	struct policy_filter f = { 0 };
	struct policy_error e = { 0 };
	uint64_t begin = now_ns();

	if (policy_filter_compile(p, &f, &e) != POLICY_OK)
		policy_failed(&e);
	begin = now_ns() - begin;
	policy_filter_clear(&f);
	return (double)begin / 1e6;
}

static void leave_with_clerk(const struct policy *p, int clerk)
{
	struct policy_filter f = { 0 };
	struct policy_error pe = { 0 };
	struct runtime_error e;
	uint8_t *key = NULL;
	size_t n = 0;

	if (policy_filter_compile(p, &f, &pe) != POLICY_OK ||
	    policy_filter_key(p, &key, &n, &pe) != POLICY_OK)
		policy_failed(&pe);
	if (clerk_filter_put(clerk, key, n, &f, &e) != RUNTIME_OK)
		runtime_failed(&e);
	policy_filter_clear(&f);
	free(key);
}

/* All that `cordon run` does for it: the key, the connection, the question. */
static double fetch(const struct policy *p, const struct paths *paths)
{
	struct policy_filter f = { 0 };
	struct policy_error pe = { 0 };
	struct runtime_error e;
	uint8_t *key = NULL;
	size_t n = 0;
	int clerk;
	uint64_t begin = now_ns();

	if (policy_filter_key(p, &key, &n, &pe) != POLICY_OK)
		policy_failed(&pe);
	if (clerk_connect(paths, NULL, &clerk, &e) != RUNTIME_OK ||
	    clerk_filter_get(clerk, key, n, &f, &e) != RUNTIME_OK)
		runtime_failed(&e);
	begin = now_ns() - begin;
	close(clerk);
	policy_filter_clear(&f);
	free(key);
	return (double)begin / 1e6;
}

static void report(const char *name, const struct policy *p, const struct paths *paths)
{
	static double made[ROUNDS], fetched[ROUNDS];

	for (size_t i = 0; i < ROUNDS; i++) {
		made[i] = compile(p);
		fetched[i] = fetch(p, paths);
	}
	printf("%-34s %9.3f %9.3f\n", name, median(made, ROUNDS), median(fetched, ROUNDS));
	row("compile", name, median(fetched, ROUNDS), "ms", "compiled anew",
	    median(made, ROUNDS));
}

int main(int argc, char **argv)
{
	struct policy_error pe = { 0 };
	struct policy *p[2] = { NULL, NULL };
	struct runtime_error e;
	struct paths paths;
	int clerk;

	if (argc < 3)
		return 2;
	if (policy_builtin(&p[0], &pe) != POLICY_OK)
		policy_failed(&pe);
	if (argc > 3 && policy_load(argv[3], &p[1], &pe) != POLICY_OK)
		policy_failed(&pe);
	if (paths_open(argv[1], true, &paths, &e) != RUNTIME_OK ||
	    clerk_connect(&paths, argv[2], &clerk, &e) != RUNTIME_OK)
		runtime_failed(&e);
	for (int i = 0; i < 2; i++)
		if (p[i])
			leave_with_clerk(p[i], clerk);
	close(clerk);

	printf("\n%-34s %9s %9s   ms, %d rounds in turn\n", "filter", "compiled", "the clerk's",
	       ROUNDS);
	report("our profile", p[0], &paths);
	if (p[1])
		report("the Docker profile", p[1], &paths);
	paths_close(&paths);
	end_clerk(argv[1]);
	policy_free(p[0]);
	policy_free(p[1]);
	return 0;
}
