/* cordon-policy - check a policy or a seccomp profile, say what it means, print the plan. */
#include "policy/plan_fields.h"
#include "policy/policy_internal.h"

#include <getopt.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
	"usage: cordon-policy check   [--json] FILE\n"
	"       cordon-policy explain [--json] FILE|--builtin [-- COMMAND [ARG...]]\n"
	"       cordon-policy digest  [--json] FILE|--builtin [-- COMMAND ARG...]\n"
	"       cordon-policy plan    [--json | --filter] FILE|--builtin [-- COMMAND "
	"[ARG...]]\n"
	"FILE is a policy (YAML), or for check a seccomp profile (JSON); - is standard input.\n"
	"exit status: 0 it is good, 1 refused, 2 usage or malformed, 3 could not tell\n";

enum exit_status { EXIT_YES = 0, EXIT_NO = 1, EXIT_INPUT = 2, EXIT_SYSTEM = 3 };

struct options {
	const char *verb, *file;
	bool json, filter, builtin;
	char **command; /* behind --, or NULL */
};

/* Everything that one call reads and makes. */
struct input {
	char *text;
	size_t len;
	struct policy *policy;
	struct policy_plan *plan;
	struct policy_filter filter; /* of a bare profile */
	struct policy_error err;
};

static void input_clear(struct input *in)
{
	free(in->text);
	policy_free(in->policy);
	policy_plan_free(in->plan);
	policy_filter_clear(&in->filter);
}

static int exit_of(enum policy_status s)
{
	switch (s) {
	case POLICY_OK:
		return EXIT_YES;
	case POLICY_REFUSED:
		return EXIT_NO;
	case POLICY_INVALID:
		return EXIT_INPUT;
	case POLICY_SYSTEM:
		break;
	}
	return EXIT_SYSTEM;
}

/* ---- JSON ------------------------------------------------------------------------ */

/* Bytes that are not UTF-8 come from a command line, or from a finding that was cut
 * within a character: "?" stands for them. */
static json_t *json_text(const char *s)
{
	json_t *text = json_string(s);
	char *ascii = text ? NULL : strdup(s);

	for (char *c = ascii; c && *c; c++)
		if ((unsigned char)*c >= 0x80)
			*c = '?';
	if (ascii)
		text = json_string(ascii);
	free(ascii);
	return text;
}

static json_t *json_bits(const struct field *f, uint64_t bits)
{
	json_t *list = json_array();

	for (const struct word *w = f->words; w->name; w++)
		if (bits & w->value)
			json_array_append_new(list, json_string(w->name));
	return list;
}

static json_t *json_record(const struct record *rec, const void *from);

static json_t *json_list(const struct field *f, const void *from)
{
	const char *array = f->type == FIELD_TEXTS ? NULL : field_array(f, from);
	size_t n = field_count(f, from);
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++) {
		json_t *item = NULL;

		if (f->type == FIELD_TEXTS)
			item = json_text(field_texts(f, from)[i]);
		else if (f->type == FIELD_RECORDS)
			item = json_record(f->record, array + i * f->record->size);
		else
			item = json_integer(((const uint32_t *)field_array(f, from))[i]);
		json_array_append_new(list, item);
	}
	return list;
}

static json_t *json_field(const struct field *f, const void *from)
{
	uint64_t v = field_number(f, from);

	switch (f->type) {
	case FIELD_TEXT:
		return json_text(field_text(f, from));
	case FIELD_TEXTS:
	case FIELD_NUMBERS:
	case FIELD_RECORDS:
		return json_list(f, from);
	case FIELD_RECORD:
		return json_record(f->record, (const char *)from + f->at);
	case FIELD_PROGRAM:
		return json_integer((json_int_t)field_count(f, from));
	case FIELD_BITS32:
	case FIELD_BITS64:
		return json_bits(f, v);
	case FIELD_I32:
		return json_integer((int32_t)(uint32_t)v);
	default:
		if (f->words && word_by_value(f->words, v))
			return json_string(word_by_value(f->words, v)->name);
		/* RLIM_INFINITY is the one value above what JSON programs can read. */
		return f->type == FIELD_BOOL ? json_boolean(v)
		       : v > INT64_MAX       ? json_string("unlimited")
					     : json_integer((json_int_t)v);
	}
}

/* "caps.bounding" becomes a member of "caps". */
static json_t *json_record(const struct record *rec, const void *from)
{
	json_t *object = json_object();

	for (const struct field *f = rec->fields; f->name; f++) {
		const char *dot = strchr(f->name, '.');
		json_t *into = object;
		char outer[32];

		if (dot) {
			snprintf(outer, sizeof(outer), "%.*s", (int)(dot - f->name), f->name);
			if (!json_object_get(object, outer))
				json_object_set_new(object, outer, json_object());
			into = json_object_get(object, outer);
		}
		json_object_set_new(into, dot ? dot + 1 : f->name, json_field(f, from));
	}
	return object;
}

/* `file` is what was read; the finding names another where it is of the profile. */
static json_t *json_error_of(const char *file, const struct policy_error *e)
{
	json_t *o = json_pack("{s:o, s:i, s:i, s:o, s:o, s:o}", "file",
			      json_text(e->file[0] ? e->file : file), "line", (int)e->line,
			      "column", (int)e->column, "key", json_text(e->key), "what",
			      json_text(e->what), "hint", json_text(e->hint));

	if (o && e->other_line)
		json_object_set_new(o, "other",
				    json_pack("{s:i, s:i}", "line", (int)e->other_line,
					      "column", (int)e->other_column));
	return o;
}

static int print_json(const struct options *o, enum policy_status s,
		      const struct policy_error *e, const char *member, json_t *value)
{
	json_t *out =
		json_pack("{s:s, s:s, s:o, s:s}", "schema", "cordon.policy/1", "verb", o->verb,
			  "file", json_text(o->file), "result", policy_status_str(s));
	int bad;

	if (value)
		json_object_set_new(out, member, value);
	if (e)
		json_object_set_new(out, "error", json_error_of(o->file, e));
	bad = json_dumpf(out, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(15)) ||
	      putchar('\n') < 0;
	json_decref(out);
	return bad ? EXIT_SYSTEM : exit_of(s);
}

/* ---- reading --------------------------------------------------------------------- */

/* A profile is a JSON object with a default action or rules, and says nothing of cordon. */
static bool is_profile(const char *text, size_t len)
{
	json_t *o = json_loadb(text, len, JSON_DECODE_INT_AS_REAL, NULL);
	bool yes = json_is_object(o) && !json_object_get(o, "cordon") &&
		   (json_object_get(o, "defaultAction") || json_object_get(o, "syscalls"));

	json_decref(o);
	return yes;
}

static enum policy_status compile_profile(const struct options *o, struct input *in)
{
	AUTO(profile_freep) struct profile *profile = NULL;
	struct policy *none = NULL;
	struct profile_context cx;
	enum policy_status s =
		policy_builtin(&none, &in->err); /* whose context: no capabilities */

	if (s != POLICY_OK)
		return s;
	s = policy_profile_context(none, &cx, &in->err);
	if (s == POLICY_OK)
		s = profile_parse(o->file, in->text, in->len, &profile, &in->err);
	if (s == POLICY_OK)
		s = profile_compile(profile, &cx, &in->filter, &in->err);
	policy_free(none);
	return s;
}

/* Without a command anywhere the plan is shown with the word COMMAND in its place. */
static enum policy_status make_plan(const struct options *o, struct input *in)
{
	static char word[] = "COMMAND";
	static char *placeholder[] = { word, NULL };
	const struct policy_plan *draft = &in->policy->draft;
	bool open = draft->class == POLICY_CLASS_SANDBOX && !draft->process.argv;

	return policy_plan_make(in->policy, !o->command && open ? placeholder : o->command,
				NULL, &in->plan, &in->err);
}

static enum policy_status read_input(const struct options *o, struct input *in)
{
	const char *slash = strrchr(o->file, '/');
	char folder[4096] = "";
	enum policy_status s;

	if (o->builtin) {
		s = policy_builtin(&in->policy, &in->err);
		return s == POLICY_OK ? make_plan(o, in) : s;
	}
	if (slash && (size_t)(slash - o->file) + 2 <= sizeof(folder))
		snprintf(folder, sizeof(folder), "%.*s", (int)(slash - o->file + 1), o->file);
	s = policy_read_file(o->file, "a policy", POLICY_FILE_MAX, &in->text, &in->len,
			     &in->err);
	if (s != POLICY_OK)
		return s;
	if (strcmp(o->verb, "check") == 0 && is_profile(in->text, in->len))
		return compile_profile(o, in);
	s = policy_parse_in(folder, o->file, in->text, in->len, &in->policy, &in->err);
	return s == POLICY_OK ? make_plan(o, in) : s;
}

/* ---- verbs ----------------------------------------------------------------------- */

static void summary(const struct input *in, char *to, size_t size)
{
	const struct policy_plan *p = in->plan;

	if (p)
		snprintf(to, size, "tenant %s, %s, network %s, %zu key%s, scrub %s/%s",
			 p->tenant, word_by_value(words_class, p->class)->name,
			 word_by_value(words_network, p->network)->name, p->n_keys,
			 p->n_keys == 1 ? "" : "s", word_by_value(words_held, p->held)->name,
			 word_by_value(words_kernel, p->kernel)->name);
	else
		snprintf(to, size, "seccomp profile, %zu instructions", in->filter.n_insns);
}

static int check(const struct options *o, const struct input *in)
{
	char line[256];

	summary(in, line, sizeof(line));
	if (o->json)
		return print_json(o, POLICY_OK, NULL, "summary", json_text(line));
	printf("%s: ok (%s)\n", o->file, line);
	return EXIT_YES;
}

static int explain_json(const struct options *o, const struct input *in)
{
	char *text = NULL, *rest = NULL;
	size_t len = 0;
	FILE *to = open_memstream(&text, &len);
	json_t *sentences;

	if (!to)
		return EXIT_SYSTEM;
	policy_plan_explain(to, in->plan);
	if (fclose(to) != 0) {
		free(text);
		return EXIT_SYSTEM;
	}
	sentences = json_array();
	for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
		json_array_append_new(sentences, json_text(line));
	free(text);
	return print_json(o, POLICY_OK, NULL, "sentences", sentences);
}

static int explain(const struct options *o, const struct input *in)
{
	if (o->json)
		return explain_json(o, in);
	policy_plan_explain(stdout, in->plan);
	return EXIT_YES;
}

static int plan(const struct options *o, const struct input *in)
{
	if (o->json)
		return print_json(o, POLICY_OK, NULL, "plan",
				  json_record(&plan_record, in->plan));
	if (o->filter)
		policy_filter_print(stdout, &in->plan->filter);
	else
		policy_plan_print(stdout, in->plan);
	return EXIT_YES;
}

/* What a relying party compares with the plan that evidence tells of. */
static int digest(const struct options *o, const struct input *in)
{
	uint8_t bytes[POLICY_DIGEST];
	char hex[2 * POLICY_DIGEST + 1];
	enum policy_status s = policy_plan_digest(in->plan, bytes);

	if (s != POLICY_OK) {
		fputs("cordon-policy: the plan has no encoding\n", stderr);
		return exit_of(s);
	}
	for (size_t i = 0; i < sizeof(bytes); i++)
		snprintf(hex + 2 * i, 3, "%02x", bytes[i]);
	if (o->json)
		return print_json(o, POLICY_OK, NULL, "digest", json_string(hex));
	puts(hex);
	return EXIT_YES;
}

static const struct verb {
	const char *name;
	int (*run)(const struct options *o, const struct input *in);
	bool filter, builtin, command; /* may have */
} verbs[] = {
	{ "check", check, false, false, false },
	{ "explain", explain, false, true, true },
	{ "plan", plan, true, true, true },
	{ "digest", digest, false, true, true },
	{ .name = NULL },
};

static int run(const struct verb *v, const struct options *o)
{
	struct input in = { .text = NULL };
	enum policy_status s = read_input(o, &in);
	int status;

	if (s == POLICY_OK) {
		status = v->run(o, &in);
	} else if (o->json) {
		status = print_json(o, s, &in.err, NULL, NULL);
	} else {
		if (!in.err.file[0])
			snprintf(in.err.file, sizeof(in.err.file), "%s", o->file);
		policy_error_print(stderr, &in.err);
		putc('\n', stderr);
		status = exit_of(s);
	}
	input_clear(&in);
	if (fflush(stdout) != 0 || ferror(stdout)) {
		perror("cordon-policy: standard output");
		return EXIT_SYSTEM;
	}
	return status;
}

static int misuse(const char *what, const char *which)
{
	fprintf(stderr, "cordon-policy: %s%s%s; see cordon-policy --help\n", what,
		which ? ": " : "", which ? which : "");
	return EXIT_INPUT;
}

static const char *check_options(const struct verb *v, const struct options *o)
{
	if (o->filter && (!v->filter || o->json))
		return "--filter goes with plan, and without --json";
	if (o->builtin && !v->builtin)
		return "--builtin goes with explain, plan and digest";
	if (o->command && !v->command)
		return "a command goes with explain, plan and digest";
	if (o->builtin && o->file)
		return "a file and --builtin at once";
	return o->builtin || o->file ? NULL : "no file";
}

int main(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "json", no_argument, NULL, 'j' },    { "filter", no_argument, NULL, 'f' },
		{ "builtin", no_argument, NULL, 'b' }, { "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'v' }, { NULL, 0, NULL, 0 },
	};
	struct options o = { .verb = NULL };
	const struct verb *v = verbs;
	const char *wrong;
	int c, end = argc;

	for (int i = 1; i < argc && !o.command; i++)
		if (strcmp(argv[i], "--") == 0) {
			end = i;
			o.command = argv + i + 1;
		}
	opterr = 0;
	while ((c = getopt_long(end, argv, "hv", longs, NULL)) != -1)
		switch (c) {
		case 'j':
			o.json = true;
			break;
		case 'f':
			o.filter = true;
			break;
		case 'b':
			o.builtin = true;
			break;
		case 'h':
			fputs(usage, stdout);
			return EXIT_YES;
		case 'v':
			puts("cordon-policy " CORDON_VERSION);
			return EXIT_YES;
		default:
			return misuse("unknown option", argv[optind - 1]);
		}
	if (optind == end)
		return misuse("no verb", NULL);
	o.verb = argv[optind++];
	while (v->name && strcmp(v->name, o.verb) != 0)
		v++;
	if (!v->name)
		return misuse("unknown verb", o.verb);
	if (optind < end)
		o.file = argv[optind++];
	if (optind < end)
		return misuse("one file at a time, and this is another", argv[optind]);
	wrong = check_options(v, &o);
	if (wrong)
		return misuse(wrong, NULL);
	if (o.builtin)
		o.file = "built-in policy";
	return run(v, &o);
}
