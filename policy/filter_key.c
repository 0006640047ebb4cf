/* policy/filter_key.c - which filter a policy asks for: its profile, what the profile is
 * resolved against, and the key under which the compiled program may be kept. */
#include "policy/policy_internal.h"

#include <inttypes.h>
#include <seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

enum policy_status policy_profile(const struct policy *p, struct profile **ret,
				  struct policy_error *reterr)
{
	if (!p->profile_text)
		return profile_default(ret, reterr);
	return profile_parse(p->draft.profile, p->profile_text, p->profile_len, ret, reterr);
}

/* "6.1.0-13-amd64" is 6 and 1. */
static bool release_numbers(const char *release, unsigned ret[static 2])
{
	char *dot, *end;
	unsigned long major = strtoul(release, &dot, 10);
	unsigned long minor = *dot == '.' ? strtoul(dot + 1, &end, 10) : 0;

	if (dot == release || *dot != '.' || end == dot + 1 || major > 999 || minor > 999)
		return false;
	ret[0] = (unsigned)major;
	ret[1] = (unsigned)minor;
	return true;
}

enum policy_status policy_profile_context(const struct policy *p, struct profile_context *ret,
					  struct policy_error *reterr)
{
	const struct policy_plan *draft = &p->draft;
	struct profile_context cx = {
		.caps = draft->process.caps[POLICY_CAP_BOUNDING],
		.allow = (const char *const *)draft->seccomp_allow,
		.deny = (const char *const *)draft->seccomp_deny,
	};
	struct utsname u;

	if (uname(&u) != 0 || !release_numbers(u.release, cx.kernel))
		return policy_fail(reterr, POLICY_SYSTEM, NULL, NULL,
				   "cannot tell the running kernel's version");
	*ret = cx;
	return POLICY_OK;
}

/* Profile and context, as both key and filter need them. */
static enum policy_status prepare(const struct policy *p, struct profile **ret_profile,
				  struct profile_context *ret_cx, struct policy_error *reterr)
{
	enum policy_status s = policy_profile_context(p, ret_cx, reterr);

	return s == POLICY_OK ? policy_profile(p, ret_profile, reterr) : s;
}

enum policy_status policy_filter_compile(const struct policy *p, struct policy_filter *ret,
					 struct policy_error *reterr)
{
	AUTO(profile_freep) struct profile *profile = NULL;
	struct profile_context cx;
	enum policy_status s = prepare(p, &profile, &cx, reterr);

	return s == POLICY_OK ? profile_compile(profile, &cx, ret, reterr) : s;
}

static void print_list(FILE *to, const char *name, const char *const *list)
{
	fputs(name, to);
	for (; list && *list; list++)
		fprintf(to, " %s", *list);
	putc('\n', to);
}

/* A file's text as it is. The default profile has no text: its rules as they hold here,
 * so that a changed table in a new release is another key. */
static enum policy_status print_profile(FILE *to, const struct policy *p,
					const struct profile_context *cx,
					struct policy_error *reterr)
{
	AUTO(profile_freep) struct profile *profile = NULL;
	enum policy_status s;

	fprintf(to, "profile %s %zu\n", p->profile_text ? "text" : "default", p->profile_len);
	if (p->profile_text) {
		fwrite(p->profile_text, 1, p->profile_len, to);
		return POLICY_OK;
	}
	s = policy_profile(p, &profile, reterr);
	return s == POLICY_OK ? profile_print_flat(to, profile, cx, reterr) : s;
}

enum policy_status policy_filter_key(const struct policy *p, uint8_t **ret_key, size_t *ret_len,
				     struct policy_error *reterr)
{
	const struct scmp_version *v = seccomp_version();
	struct profile_context cx = { .caps = 0 };
	struct utsname u;
	char *key = NULL;
	size_t len = 0;
	enum policy_status s = policy_profile_context(p, &cx, reterr);
	FILE *to;

	if (s != POLICY_OK)
		return s;
	to = open_memstream(&key, &len);
	if (!to || uname(&u) != 0) {
		if (to)
			fclose(to);
		free(key);
		return policy_fail_memory(reterr);
	}
	fprintf(to,
		"cordon filter 1 %s\narch %s\nlibseccomp %u.%u.%u\nkernel %s\ncaps %" PRIx64
		"\n",
		CORDON_VERSION, u.machine, v->major, v->minor, v->micro, u.release, cx.caps);
	print_list(to, "allow", cx.allow);
	print_list(to, "deny", cx.deny);
	s = print_profile(to, p, &cx, reterr); /* last: it may hold anything */
	if (fclose(to) != 0 && s == POLICY_OK)
		s = policy_fail_memory(reterr);
	if (s != POLICY_OK) {
		free(key);
		return s;
	}
	*ret_key = (uint8_t *)key;
	*ret_len = len;
	return POLICY_OK;
}
