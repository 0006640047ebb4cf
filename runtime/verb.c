/* runtime/verb.c - see verb.h. */
#include "runtime/verb.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* ---- options --------------------------------------------------------------------- */

static const struct verb_option *find_option(const char *arg, const struct verb_option *o,
					     size_t n, const char **ret_joined)
{
	size_t len = strcspn(arg, "=");

	*ret_joined = NULL;
	for (size_t i = 0; i < n; i++) {
		if (o[i].letter && arg[0] == '-' && arg[1] == o[i].letter && arg[2] == '\0')
			return &o[i];
		if (strlen(o[i].name) == len && strncmp(arg, o[i].name, len) == 0) {
			*ret_joined = arg[len] == '=' ? arg + len + 1 : NULL;
			return &o[i];
		}
	}
	return NULL;
}

/* Sets what argv[*i] asks for; a value of its own moves *i on. */
static enum runtime_status take_option(int argc, char **argv, int *i,
				       const struct verb_option *options, size_t n,
				       struct runtime_error *reterr)
{
	const char *arg = argv[*i], *joined;
	const struct verb_option *o = find_option(arg, options, n, &joined);

	if (!o)
		return runtime_fail(reterr, RUNTIME_MALFORMED, argv[0],
				    "see its --help for the options it has",
				    "unknown option %s", arg);
	if (o->flag && joined)
		return runtime_fail(reterr, RUNTIME_MALFORMED, argv[0], "", "%s takes no value",
				    o->name);
	if (o->flag) {
		*o->flag = true;
		return RUNTIME_OK;
	}
	if (!joined && *i + 1 == argc)
		return runtime_fail(reterr, RUNTIME_MALFORMED, argv[0], "", "%s needs a value",
				    o->name);
	*o->value = joined ? joined : argv[++*i];
	return RUNTIME_OK;
}

enum runtime_status verb_options(int argc, char **argv, const struct verb_option *options,
				 size_t n_options, size_t max_operands, size_t *ret_operands,
				 struct runtime_error *reterr)
{
	size_t operands = 0;
	bool ended = false;

	for (int i = 1; i < argc; i++) {
		if (!ended && strcmp(argv[i], "--") == 0) {
			ended = true;
		} else if (!ended && argv[i][0] == '-' && argv[i][1] != '\0') {
			enum runtime_status s =
				take_option(argc, argv, &i, options, n_options, reterr);

			if (s != RUNTIME_OK)
				return s;
		} else if (operands == max_operands) {
			return runtime_fail(reterr, RUNTIME_MALFORMED, argv[0],
					    "see its --help", "unexpected argument %s",
					    argv[i]);
		} else {
			argv[++operands] = argv[i];
		}
	}
	*ret_operands = operands;
	return RUNTIME_OK;
}

bool verb_duration(const char *text, int64_t *ret_ms)
{
	static const struct {
		const char *unit;
		int64_t ms;
	} units[] = {
		{ "", 1000 }, { "ms", 1 }, { "s", 1000 }, { "m", 60000 }, { "h", 3600000 }
	};
	static const int64_t day_ms = 86400000;
	int64_t n = 0;
	const char *at = text;

	while (*at >= '0' && *at <= '9' && n <= day_ms)
		n = 10 * n + (*at++ - '0');
	if (at == text)
		return false;
	for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++) {
		if (strcmp(at, units[i].unit) == 0 && n <= day_ms / units[i].ms) {
			*ret_ms = n * units[i].ms;
			return true;
		}
	}
	return false;
}

/* ---- failing and printing -------------------------------------------------------- */

int verb_fail(enum runtime_status s, const struct runtime_error *e)
{
	runtime_error_print(stderr, "cordon", e);
	return runtime_exit(s);
}

json_t *verb_json_text(const char *text)
{
	size_t size = 4 * strlen(text) + 1;
	json_t *string = json_string(text);

	if (!string) {
		AUTO(freep) char *escaped = malloc(size);

		if (escaped)
			text_escape(escaped, size, text);
		string = escaped ? json_string(escaped) : NULL;
	}
	return string;
}

int verb_finish(int status)
{
	struct runtime_error e;

	if (fflush(stdout) == 0 && !ferror(stdout))
		return status;
	return verb_fail(runtime_fail(&e, RUNTIME_SYSTEM, "standard output", "",
				      "not everything could be written: %s", strerror(errno)),
			 &e);
}

int verb_json_print(json_t *object, bool brief)
{
	struct runtime_error e;
	int printed =
		object ? json_dumpf(object, stdout, brief ? JSON_COMPACT : JSON_INDENT(2)) : -1;

	json_decref(object);
	if (printed < 0)
		return verb_fail(runtime_fail(&e, RUNTIME_SYSTEM, "--json", "",
					      "the object could not be made or written"),
				 &e);
	putchar('\n');
	return verb_finish(0);
}

const char *verb_time(int64_t ns, char ret[static VERB_TIME])
{
	time_t seconds = (time_t)(ns / 1000000000);
	struct tm tm;

	if (!gmtime_r(&seconds, &tm) ||
	    strftime(ret, VERB_TIME, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		snprintf(ret, VERB_TIME, "unknown");
	return ret;
}

const char *verb_age(int64_t seconds, char ret[static VERB_TIME])
{
	static const struct {
		int64_t from, unit;
		char letter;
	} steps[] = {
		{ 172800, 86400, 'd' }, { 7200, 3600, 'h' }, { 120, 60, 'm' }, { 0, 1, 's' }
	};
	size_t i = 0;

	if (seconds < 0) /* the clock was set back */
		seconds = 0;
	while (seconds < steps[i].from)
		i++;
	snprintf(ret, VERB_TIME, "%lld%c", (long long)(seconds / steps[i].unit),
		 steps[i].letter);
	return ret;
}

/* ---- programs beside this one ---------------------------------------------------- */

static bool own_folder(char ret[static PATH_MAX])
{
	ssize_t n = readlink("/proc/self/exe", ret, PATH_MAX - 1);
	char *slash;

	if (n <= 0)
		return false;
	ret[n] = '\0';
	slash = strrchr(ret, '/');
	if (!slash)
		return false;
	*slash = '\0';
	return true;
}

static bool executable(const char *folder, const char *name, char ret[static PATH_MAX])
{
	int n = snprintf(ret, PATH_MAX, "%s/%s", folder, name);

	return n > 0 && n < PATH_MAX && access(ret, X_OK) == 0;
}

/* In a tree as `make install` lays it out: PREFIX/bin beside PREFIX/libexec/cordon. */
static bool beside(const char *own, const char *name, char ret[static PATH_MAX])
{
	const char *slash = strrchr(own, '/');
	char folder[PATH_MAX];
	int n = slash ? snprintf(folder, sizeof(folder), "%.*s/libexec/cordon",
				 (int)(slash - own), own)
		      : -1;

	return n > 0 && n < PATH_MAX && executable(folder, name, ret);
}

bool verb_program(const char *name, char ret[static PATH_MAX])
{
	char own[PATH_MAX];

	return (own_folder(own) && (executable(own, name, ret) || beside(own, name, ret))) ||
	       executable(CORDON_LIBEXECDIR, name, ret);
}
