/* attest/cordon-measure.c - reference values for the sessions of one policy. */
#include <getopt.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "attest/hex.h"
#include "attest/measure.h"
#include "policy/text.h"

struct options {
	const char *policy, *keeper;
	bool json;
	char **command; /* behind --, or NULL */
};

static void usage(FILE *to)
{
	fputs("usage: cordon measure --policy FILE [--keeper FILE] [--json] [-- COMMAND "
	      "[ARG...]]\n"
	      "  --keeper FILE  the cordon-keeper that will run it (the one beside this "
	      "program)\n",
	      to);
}

/* ---- what is measured ------------------------------------------------------------------ */

static enum attest_status exit_of(enum policy_status s)
{
	switch (s) {
	case POLICY_OK:
		return ATTEST_OK;
	case POLICY_REFUSED:
		return ATTEST_REFUSED;
	case POLICY_INVALID:
		return ATTEST_MALFORMED;
	case POLICY_SYSTEM:
		break;
	}
	return ATTEST_SYSTEM;
}

/* Says by itself what is wrong. */
static enum attest_status make_plan(const struct options *o, struct policy_plan **ret)
{
	struct policy_error e = { .what = "" };
	struct policy *p = NULL;
	enum policy_status s = policy_load(o->policy, &p, &e);

	if (s == POLICY_OK)
		s = policy_plan_make(p, o->command, NULL, ret, &e);
	if (s != POLICY_OK) {
		if (!e.file[0])
			snprintf(e.file, sizeof(e.file), "%s", o->policy);
		fputs("cordon measure: ", stderr);
		policy_error_print(stderr, &e);
		fputc('\n', stderr);
	}
	policy_free(p);
	return exit_of(s);
}

/* Programs of one build lie in one folder. */
static enum attest_status find_keeper(const struct options *o, char ret[static PATH_MAX],
				      struct attest_error *e)
{
	static const char name[] = "cordon-keeper";
	ssize_t n;

	if (o->keeper) {
		if ((size_t)snprintf(ret, PATH_MAX, "%s", o->keeper) < PATH_MAX)
			return ATTEST_OK;
		return attest_fail(e, ATTEST_MALFORMED, "--keeper", "", "the path is too long");
	}
	n = readlink("/proc/self/exe", ret, PATH_MAX - sizeof(name));
	if (n <= 0)
		return attest_fail(e, ATTEST_SYSTEM, "/proc/self/exe", "name the --keeper",
				   "cannot be read: %m");
	ret[n] = '\0';
	memcpy(strrchr(ret, '/') + 1, name, sizeof(name));
	return ATTEST_OK;
}

/* ---- showing it ------------------------------------------------------------------------ */

static json_t *json_path(const char *path)
{
	char clean[4 * PATH_MAX];
	json_t *text = json_string(path);

	if (text)
		return text;
	text_escape(clean, sizeof(clean), path);
	return json_string(clean);
}

static bool print_json(const struct options *o, const struct measures *m, const char *keeper)
{
	char plan[HEX_SIZE(SANDBOX_DIGEST)], workload[HEX_SIZE(SANDBOX_DIGEST)];
	char cordon[HEX_SIZE(SANDBOX_DIGEST)];
	json_t *out;
	bool done;

	hex_print(m->plan, SANDBOX_DIGEST, plan);
	hex_print(m->workload, SANDBOX_DIGEST, workload);
	hex_print(m->cordon, SANDBOX_DIGEST, cordon);
	out = json_pack("{s:s, s:s, s:o, s:{s:s}, s:{s:s, s:s, s:o}, s:{s:s, s:o}}", "schema",
			"cordon.measure/1", "class", "sandbox", "policy", json_path(o->policy),
			"plan", "digest", plan, "workload", "digest", workload, "coverage",
			sandbox_coverage_str(m->coverage), "program",
			json_path(m->program.inside), "cordon", "digest", cordon, "file",
			json_path(keeper));
	done = out && json_dumpf(out, stdout, JSON_INDENT(2)) == 0 && putchar('\n') >= 0;
	json_decref(out);
	return done;
}

static void print_line(const char *name, const uint8_t *digest, const char *of,
		       const char *path)
{
	char hex[HEX_SIZE(SANDBOX_DIGEST)], clean[4 * PATH_MAX];

	hex_print(digest, SANDBOX_DIGEST, hex);
	text_escape(clean, sizeof(clean), path);
	printf("%-8s  %s  %s%s\n", name, hex, of, clean);
}

static void print_yaml(const char *name, const uint8_t *digest)
{
	char hex[HEX_SIZE(SANDBOX_DIGEST)];

	hex_print(digest, SANDBOX_DIGEST, hex);
	printf("  %s: [\"%s\"]\n", name, hex);
}

static bool print_text(const struct options *o, const struct measures *m, const char *keeper)
{
	bool binary = m->coverage == SANDBOX_BINARY;

	print_line("plan", m->plan, "", o->policy);
	print_line("workload", m->workload, binary ? "the file " : "the root file system of ",
		   m->program.inside);
	print_line("cordon", m->cordon, "", keeper);
	printf("\n# below `attestation:` of the policy; its plan stays the same\n");
	print_yaml("plan", m->plan);
	print_yaml("workload", m->workload);
	print_yaml("cordon", m->cordon);
	printf("  coverage: [%s]%s\n", sandbox_coverage_str(m->coverage),
	       binary ? " # needs accept: [coverage-binary]" : "");
	return true;
}

/* ---- the verb -------------------------------------------------------------------------- */

static int measure(const struct options *o)
{
	struct attest_error e = { .what = "" };
	struct policy_plan *plan = NULL;
	struct measures m;
	char keeper[PATH_MAX];
	enum attest_status s = make_plan(o, &plan);

	if (s != ATTEST_OK)
		return attest_exit(s);
	s = find_keeper(o, keeper, &e);
	if (s == ATTEST_OK)
		s = measure_sandbox(plan, keeper, &m, &e);
	if (s == ATTEST_OK && (!(o->json ? print_json : print_text)(o, &m, keeper) ||
			       fflush(stdout) != 0 || ferror(stdout)))
		s = attest_fail(&e, ATTEST_SYSTEM, "standard output", "",
				"the answer could not be written");
	if (s != ATTEST_OK)
		attest_error_print(stderr, "cordon measure", &e);
	policy_plan_free(plan);
	return attest_exit(s);
}

/* Launch digests of guests are computed from their firmware: not here, and not yet. */
static int refuse_guest(const char *tee)
{
	struct attest_error e;
	enum attest_status s = attest_fail(&e, ATTEST_SYSTEM, tee,
					   "cordon measure --policy FILE is for sandboxes",
					   "this build cannot measure guests");

	attest_error_print(stderr, "cordon measure", &e);
	return attest_exit(s);
}

static bool read_options(int argc, char **argv, struct options *o)
{
	static const struct option longs[] = { { "policy", required_argument, NULL, 'p' },
					       { "keeper", required_argument, NULL, 'k' },
					       { "json", no_argument, NULL, 'j' },
					       { "help", no_argument, NULL, 'h' },
					       { "version", no_argument, NULL, 'V' },
					       { 0 } };
	int c;

	while ((c = getopt_long(argc, argv, "+", longs, NULL)) != -1) {
		switch (c) {
		case 'p':
			o->policy = optarg;
			break;
		case 'k':
			o->keeper = optarg;
			break;
		case 'j':
			o->json = true;
			break;
		case 'h':
			usage(stdout);
			exit(0);
		case 'V':
			puts("cordon-measure " CORDON_VERSION);
			exit(0);
		default:
			return false;
		}
	}
	if (optind < argc && strcmp(argv[optind - 1], "--") == 0)
		o->command = argv + optind;
	return o->policy && (o->command || optind == argc);
}

int main(int argc, char **argv)
{
	struct options o = { NULL };

	if (argc > 1 && (strcmp(argv[1], "snp") == 0 || strcmp(argv[1], "tdx") == 0))
		return refuse_guest(argv[1]);
	if (!read_options(argc, argv, &o)) {
		usage(stderr);
		return 2;
	}
	return measure(&o);
}
