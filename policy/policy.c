/*
 * policy/policy.c - a policy as somebody wrote it, read by tables that look like it, and
 * the contradictions between its parts.
 */
#include "policy/attestation_internal.h"
#include "policy/reading.h"

#include <linux/mount.h>
#include <sha2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define KIB 1024ull
#define MIB (1024 * KIB)
#define TIB (MIB * MIB)

#define MOUNTS_MAX 32u
#define RULES_MAX 256u
#define ENVIRONMENT_MAX 256u

/* ---- what a sandbox is unless its policy says otherwise -------------------------- */

static const struct policy_rlimit default_rlimits[] = {
	/* 1 and not 0: a core_pattern that is a pipe runs a host's program with the dead
	 * process's memory whatever the limit, except when it is exactly 1 (core(5)). */
	{ RLIMIT_CORE, 1, 1 },
	{ RLIMIT_NOFILE, 1024, 4096 },
	{ RLIMIT_MEMLOCK, 64 * KIB, 8 * MIB },
	{ RLIMIT_MSGQUEUE, 819200, 819200 },
	{ RLIMIT_SIGPENDING, 1024, 1024 },
};

static const char *const default_env[] = {
	"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
	"HOME=",
	"USER=",
	"LANG=C.UTF-8",
	"TERM=xterm",
};
#define DEFAULT_ENV (sizeof(default_env) / sizeof(default_env[0]))

#define DEFAULT_TMPFS (64 * MIB)

/* Whenever the host as a whole runs out of memory, a tenant's session dies before any
 * process of the host, and of several sessions the one that holds most. */
#define OOM_FIRST 1000

static char user_tenant[] = "tenant", folder_root[] = "/";

static enum policy_status sandbox_defaults(struct reading *rd)
{
	struct policy_plan *plan = &rd->policy->draft;
	struct policy_process *p = &plan->process;

	p->rlimits = arena_array(rd->arena, 1, sizeof(default_rlimits));
	if (!p->rlimits)
		return policy_fail_memory(rd->err);
	memcpy(p->rlimits, default_rlimits, sizeof(default_rlimits));
	p->n_rlimits = sizeof(default_rlimits) / sizeof(default_rlimits[0]);
	p->user = user_tenant;
	p->umask = 022;
	p->oom_score_adj = OOM_FIRST;
	plan->hostname = plan->tenant;
	plan->namespaces = words_mask(words_namespace);
	return POLICY_OK;
}

/* ---- isolation ------------------------------------------------------------------- */

static enum policy_status read_version(struct reading *rd, const struct node *n,
				       const struct key *k, void *to)
{
	uint64_t v;

	(void)k, (void)to;
	return read_number(rd, n, 1, 1, &v);
}

static enum policy_status read_class(struct reading *rd, const struct node *n,
				     const struct key *k, void *to)
{
	enum policy_status s = read_word(rd, n, k, to);

	if (s == POLICY_OK && rd->policy->draft.class == POLICY_CLASS_SANDBOX)
		s = sandbox_defaults(rd);
	return s;
}

/* "none", or a list of what is acceptable. */
static enum policy_status read_tee(struct reading *rd, const struct node *n,
				   const struct key *k, void *to)
{
	const struct node *one = n->kind == NODE_LIST ? n->first : n;
	const struct node *seen[3] = { NULL }; /* by bit */
	uint32_t bits = 0, bit;
	enum policy_status s = n->kind == NODE_LIST ? want_list(rd, n, 1, 3) : POLICY_OK;

	for (; s == POLICY_OK && one; one = one->next) {
		s = read_word(rd, one, k, &bit);
		if (s != POLICY_OK)
			return s;
		if (bits & bit)
			return reading_clash(rd, one, seen[bit >> 1], "remove one of the two",
					     "%s is there twice", one->text);
		if (bits && (bits | bit) & POLICY_TEE_NONE)
			return reading_clash(rd, one, n->first,
					     "write none alone, or leave it out",
					     "no TEE and a TEE at once");
		seen[bit >> 1] = one;
		bits |= bit;
		if (n->kind != NODE_LIST)
			break;
	}
	*(uint32_t *)to = bits;
	return s;
}

/* ---- workload of a sandbox ------------------------------------------------------- */

struct protected_place {
	const char *path;
	const char *why;
};

/* None of these, nothing below them, and nothing that has them in it. */
static const struct protected_place never_sources[] = {
	{ "/proc", "it shows and changes the host's processes" },
	{ "/sys/fs/cgroup", "control groups decide over every session's limits" },
	{ "/sys", "it shows and changes the host's kernel" },
	{ "/dev", "it holds the host's devices" },
	{ "/var/lib/cordon", "it holds cordon's journals and keys" },
	{ "/run/cordon", "it holds cordon's sockets" },
	{ "/etc/cordon", "it holds cordon's own settings" },
	{ NULL, NULL },
};
static const struct protected_place never_targets[] = {
	{ "/proc", "checks that go through it would be fooled" },
	{ "/sys", "the sandbox has none" },
	{ "/dev", "the sandbox makes its own" },
	{ POLICY_CREDENTIALS, "keys are delivered there" },
	{ NULL, NULL },
};

static enum policy_status check_place(struct reading *rd, const struct node *n,
				      const char *path, const struct protected_place *never,
				      const char *verb)
{
	for (; never->path; never++) {
		if (path_is_within(path, never->path))
			return reading_fail(rd, n, POLICY_REFUSED, never->why, "%s is never %s",
					    never->path, verb);
		if (path_is_within(never->path, path))
			return reading_fail(rd, n, POLICY_REFUSED, never->why,
					    "%s has %s in it, which is never %s", path,
					    never->path, verb);
	}
	return POLICY_OK;
}

static enum policy_status read_source(struct reading *rd, const struct node *n,
				      const struct key *k, void *to)
{
	enum policy_status s = read_text(rd, n, k, to);

	return s == POLICY_OK ? check_place(rd, n, n->text, never_sources, "shown to a tenant")
			      : s;
}

static enum policy_status read_target(struct reading *rd, const struct node *n,
				      const struct key *k, void *to)
{
	enum policy_status s = read_text(rd, n, k, to);

	return s == POLICY_OK ? check_place(rd, n, n->text, never_targets, "mounted over") : s;
}

static enum policy_status read_rootfs(struct reading *rd, const struct node *n,
				      const struct key *k, void *to)
{
	if (n->kind == NODE_SCALAR && strcmp(n->text, "host") == 0)
		return POLICY_OK; /* what the plan's empty text means */
	return read_source(rd, n, k, to);
}

static enum policy_status read_command(struct reading *rd, const struct node *n,
				       const struct key *k, void *to)
{
	enum policy_status s = read_texts(rd, n, k, to);

	if (s == POLICY_OK && n->first->text[0] == '\0')
		return reading_fail(rd, n->first, POLICY_INVALID, NULL,
				    "the command's name is empty");
	return s;
}

static enum policy_status read_id(struct reading *rd, const struct node *n, const struct key *k,
				  void *to)
{
	enum policy_status s = read_u32(rd, n, k, to);

	if (s == POLICY_OK && *(uint32_t *)to == 0)
		return reading_fail(rd, n, POLICY_REFUSED, "1000 is what is used without it",
				    "a workload never runs as root, not even its own");
	return s;
}

static enum policy_status read_user_name(struct reading *rd, const struct node *n,
					 const struct key *k, void *to)
{
	enum policy_status s = read_text(rd, n, k, to);

	if (s == POLICY_OK && strcmp(n->text, "root") == 0)
		return reading_fail(rd, n, POLICY_REFUSED, NULL,
				    "a workload never runs as root");
	return s;
}

static enum policy_status read_variable(struct reading *rd, const struct node *n, char **ret)
{
	if (!text_is_variable_name(n->key->text))
		return reading_fail(rd, n->key, POLICY_INVALID,
				    "letters, digits and _, not beginning with a digit",
				    "this is not a variable's name");
	if (n->kind != NODE_SCALAR)
		return reading_fail(rd, n, POLICY_INVALID, NULL, "a text is wanted here");
	if (strlen(n->text) > 32767)
		return reading_fail(rd, n, POLICY_INVALID, NULL, "longer than 32767 bytes");
	*ret = arena_printf(rd->arena, "%s=%s", n->key->text, n->text);
	return *ret ? POLICY_OK : policy_fail_memory(rd->err);
}

/* A bare 8080 or true would be typed by YAML, and a variable is a text: quotes make clear
 * which bytes are meant. */
static enum policy_status read_environment(struct reading *rd, const struct node *n,
					   const struct key *k, void *to)
{
	enum policy_status s = POLICY_OK;
	char **env;
	size_t i = 0;

	if (n->kind != NODE_MAPPING)
		return reading_fail(rd, n, POLICY_INVALID, NULL,
				    "a mapping of names to texts is wanted here");
	if (n->count > k->max)
		return reading_fail(rd, n, POLICY_INVALID, NULL, "more than %zu variables",
				    (size_t)k->max);
	env = arena_array(rd->arena, n->count + 1, sizeof(*env));
	if (!env)
		return policy_fail_memory(rd->err);
	for (const struct node *c = n->first; c && s == POLICY_OK; c = c->next, i++) {
		size_t mark = reading_enter(rd, c->key->text);
		const char *text = "";

		if (c->kind == NODE_SCALAR && c->plain)
			s = read_plain_text(rd, c, &text);
		if (s == POLICY_OK)
			s = read_variable(rd, c, &env[i]);
		reading_leave(rd, mark);
	}
	*(char ***)to = env;
	return s;
}

static enum policy_status read_umask(struct reading *rd, const struct node *n,
				     const struct key *k, void *to)
{
	size_t len = n->kind == NODE_SCALAR ? strlen(n->text) : 0;

	(void)k;
	if (len < 3 || len > 4 || strspn(n->text, "01234567") != len ||
	    (len == 4 && n->text[0] != '0'))
		return reading_fail(rd, n, POLICY_INVALID, "like \"0022\"",
				    "three or four octal digits are wanted here");
	*(uint32_t *)to = (uint32_t)strtoul(n->text, NULL, 8);
	return POLICY_OK;
}

/* A mount as it is written: what it binds, or the size of its own memory. */
struct written_mount {
	char *source, *target;
	uint64_t tmpfs;
	bool write, exec;
};

/* clang-format off */
#define AT(type, member) .at = offsetof(struct type, member)
#define PATH_FORM .form = text_is_path, .wanted = "an absolute path without . and .."

static const struct key mount_keys[] = {
	{ "source", read_source, AT(written_mount, source), PATH_FORM },
	{ "tmpfs",  read_size,   AT(written_mount, tmpfs), .min = 64 * KIB, .max = TIB },
	{ "target", read_target, AT(written_mount, target), .flags = KEY_REQUIRED, PATH_FORM },
	{ "write",  read_bool,   AT(written_mount, write) },
	{ "exec",   read_bool,   AT(written_mount, exec) },
	{ .name = NULL }
};
/* clang-format on */

/* Data only, unless more is written. Programs are found through symbolic links
 * (libc.so.6 is one), so exec brings them back. */
static struct policy_mount planned_mount(const struct written_mount *w)
{
	uint64_t attr = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;

	if (!w->write && !w->tmpfs)
		attr |= MOUNT_ATTR_RDONLY;
	if (!w->exec)
		attr |= MOUNT_ATTR_NOEXEC | MOUNT_ATTR_NOSYMFOLLOW;
	return (struct policy_mount){
		.kind = w->tmpfs ? POLICY_MOUNT_TMPFS : POLICY_MOUNT_BIND,
		.source = w->source,
		.target = w->target,
		.attr = attr,
		.size = w->tmpfs,
		.mode = w->tmpfs ? 0755 : 0,
	};
}

static enum policy_status check_written_mount(struct reading *rd, const struct node *n,
					      const struct written_mount *w)
{
	const struct node *source = node_find(n, "source"), *write = node_find(n, "write");

	if (!w->source && !w->tmpfs)
		return reading_fail(rd, n, POLICY_INVALID, "write source: PATH or tmpfs: SIZE",
				    "neither a source nor a tmpfs");
	if (w->source && w->tmpfs)
		return reading_clash(rd, source, node_find(n, "tmpfs"), "write one of the two",
				     "a source and a tmpfs at once");
	if (w->tmpfs && write && !w->write)
		return reading_clash(rd, write, node_find(n, "tmpfs"), "leave write out",
				     "memory that cannot be written");
	return POLICY_OK;
}

static enum policy_status check_overlap(struct reading *rd, const struct node *list,
					const struct node *n)
{
	const struct node *mine = node_find(n, "target");

	for (const struct node *c = list->first; c != n; c = c->next) {
		const struct node *other = node_find(c, "target");

		if (path_is_within(mine->text, other->text) ||
		    path_is_within(other->text, mine->text))
			return reading_clash(rd, mine, other, "keep the targets apart",
					     "%.80s and %.80s overlap", mine->text,
					     other->text);
	}
	return POLICY_OK;
}

static enum policy_status read_mounts(struct reading *rd, const struct node *n,
				      const struct key *k, void *to)
{
	struct list {
		struct written_mount *mounts;
		size_t n;
	} written = { NULL, 0 };
	const struct key as_written = {
		.max = k->max,
		.keys = mount_keys,
		.size = sizeof(struct written_mount),
		.count_at = offsetof(struct list, n),
	};
	struct policy_plan *plan = &rd->policy->draft;
	enum policy_status s = read_records(rd, n, &as_written, &written);
	const struct node *c = n->first;

	(void)to;
	if (s != POLICY_OK)
		return s;
	plan->mounts = arena_array(rd->arena, written.n, sizeof(*plan->mounts));
	if (!plan->mounts)
		return policy_fail_memory(rd->err);
	for (size_t i = 0; i < written.n && s == POLICY_OK; i++, c = c->next) {
		size_t mark = reading_enter_item(rd, i);

		s = check_written_mount(rd, c, &written.mounts[i]);
		if (s == POLICY_OK)
			s = check_overlap(rd, n, c);
		plan->mounts[i] = planned_mount(&written.mounts[i]);
		reading_leave(rd, mark);
	}
	plan->n_mounts = written.n;
	return s;
}

/* ---- seccomp and capabilities ---------------------------------------------------- */

static enum policy_status digest_profile(struct reading *rd)
{
	struct policy *p = rd->policy;
	char hex[SHA256_DIGEST_STRING_LENGTH];

	SHA256Data((const uint8_t *)p->profile_text, p->profile_len, hex);
	p->draft.profile_digest = arena_printf(rd->arena, "%s", hex);
	return p->draft.profile_digest ? POLICY_OK : policy_fail_memory(rd->err);
}

static enum policy_status read_profile(struct reading *rd, const struct node *n,
				       const struct key *k, void *to)
{
	struct policy *p = rd->policy;
	enum policy_status s = read_text(rd, n, k, to);
	char *path, why[128];

	if (s != POLICY_OK || strcmp(n->text, POLICY_PROFILE_DEFAULT) == 0)
		return s;
	path = n->text[0] == '/' ? p->draft.profile
				 : arena_printf(rd->arena, "%s%s", rd->folder, n->text);
	if (!path)
		return policy_fail_memory(rd->err);
	s = policy_read_file(path, "a seccomp profile", POLICY_PROFILE_MAX, &p->profile_text,
			     &p->profile_len, rd->err);
	if (s == POLICY_OK)
		return digest_profile(rd);
	if (!rd->err)
		return s;
	snprintf(why, sizeof(why), "%.100s", rd->err->what);
	return reading_fail(rd, n, s, NULL, "the profile %.120s: %s", path, why);
}

/* An unknown name in a deny list would deny nothing, and one in an allow list is a
 * mistake that shows only when the workload fails. */
static enum policy_status read_syscalls(struct reading *rd, const struct node *n,
					const struct key *k, bool allow, void *to)
{
	enum policy_status s = read_texts(rd, n, k, to);
	size_t i = 0;

	for (const struct node *c = n->first; c && s == POLICY_OK; c = c->next, i++) {
		size_t mark = reading_enter_item(rd, i);
		struct policy_error e;

		s = profile_judge_name(c->text, allow, &e);
		if (s != POLICY_OK)
			reading_fail(rd, c, s, e.hint, "%s", e.what);
		reading_leave(rd, mark);
	}
	return s;
}

static enum policy_status read_allowed(struct reading *rd, const struct node *n,
				       const struct key *k, void *to)
{
	return read_syscalls(rd, n, k, true, to);
}

static enum policy_status read_denied(struct reading *rd, const struct node *n,
				      const struct key *k, void *to)
{
	return read_syscalls(rd, n, k, false, to);
}

/* Ambient, so that a workload which is not root has them after execve; for that the
 * kernel demands them inheritable as well (capabilities(7)). */
static enum policy_status read_capabilities(struct reading *rd, const struct node *n,
					    const struct key *k, void *to)
{
	char **names = NULL;
	uint64_t *sets = to, mask = 0;
	enum policy_status s = read_texts(rd, n, k, &names);

	for (const struct node *c = n->first; c && s == POLICY_OK; c = c->next) {
		const struct word *w = word_by_name(words_capability, c->text);

		if (!w)
			return reading_fail(rd, c, POLICY_INVALID, "like CAP_NET_BIND_SERVICE",
					    "there is no capability %.60s", c->text);
		mask |= w->value;
	}
	for (size_t i = 0; i < POLICY_CAPSETS; i++)
		sets[i] = mask;
	return s;
}

/* ---- network --------------------------------------------------------------------- */

static enum policy_status read_ports(struct reading *rd, const struct node *n,
				     const struct key *k, void *to)
{
	struct policy_rule *r = to;
	const char *text = n->kind == NODE_SCALAR ? n->text : "", *end = text;
	uint64_t first = 0, last = 0;
	bool good = read_digits(text, &first, &end);

	(void)k;
	last = first;
	if (good && *end == '-')
		good = read_digits(end + 1, &last, &end);
	if (good && !*end && first >= 1 && first <= last && last <= 65535) {
		r->first_port = (uint32_t)first;
		r->last_port = (uint32_t)last;
		return POLICY_OK;
	}
	return reading_fail(rd, n, POLICY_INVALID, "like 443 or 8000-8010",
			    "a port or a range of ports is wanted here");
}

/* clang-format off */
#define RULE_KEYS(peer) \
	{ peer,       read_text,  AT(policy_rule, cidr), .flags = KEY_REQUIRED, .form = text_is_cidr, \
	  .wanted = "a network like 10.0.0.0/8, without host bits" }, \
	{ "protocol", read_word,  AT(policy_rule, protocol), .flags = KEY_REQUIRED, .words = words_protocol }, \
	{ "ports",    read_ports, 0, .flags = KEY_REQUIRED }, \
	{ .name = NULL }

static const struct key egress_keys[] = { RULE_KEYS("to") };
static const struct key ingress_keys[] = { RULE_KEYS("from") };
/* clang-format on */

static enum policy_status read_rules(struct reading *rd, const struct node *n,
				     const struct key *k, void *to)
{
	struct list {
		struct policy_rule *rules;
		size_t n;
	} more = { NULL, 0 };
	const struct key as_written = {
		.max = k->max,
		.keys = k->keys,
		.size = sizeof(struct policy_rule),
		.count_at = offsetof(struct list, n),
		.initial = &(struct policy_rule){ .egress = k->keys == egress_keys },
	};
	struct policy_plan *plan = &rd->policy->draft;
	enum policy_status s = read_records(rd, n, &as_written, &more);
	struct policy_rule *all;

	(void)to;
	if (s != POLICY_OK)
		return s;
	all = arena_array(rd->arena, plan->n_rules + more.n, sizeof(*all));
	if (!all)
		return policy_fail_memory(rd->err);
	if (plan->n_rules)
		memcpy(all, plan->rules, plan->n_rules * sizeof(*all));
	if (more.n)
		memcpy(all + plan->n_rules, more.rules, more.n * sizeof(*all));
	plan->rules = all;
	plan->n_rules += more.n;
	return POLICY_OK;
}

/* ---- attestation: judged, and kept as it was written for the key service --------- */

/* The classes of evidence that a session of this policy can have. */
static uint32_t evidence_of(const struct policy_plan *plan)
{
	uint32_t classes = ATTESTATION_SIMULATED;

	if (plan->class == POLICY_CLASS_SANDBOX)
		classes |= ATTESTATION_SANDBOX;
	if (plan->tee & POLICY_TEE_SEV_SNP)
		classes |= ATTESTATION_SEV_SNP;
	if (plan->tee & POLICY_TEE_TDX)
		classes |= ATTESTATION_TDX;
	return classes;
}

static enum policy_status judge_attestation(struct reading *rd, const struct node *n)
{
	struct policy_attestation typed = { .classes = 0 };
	enum policy_status s = attestation_read(rd, n, &typed);

	if (s == POLICY_OK && !(typed.classes & evidence_of(&rd->policy->draft)))
		return reading_clash(rd, node_find(n, "classes"),
				     node_at(rd->root, "isolation.class"),
				     "accept the class of what is run",
				     "no session of this policy has evidence of these classes");
	return s;
}

static enum policy_status read_attestation(struct reading *rd, const struct node *n,
					   const struct key *k, void *to)
{
	size_t start = n->start, end = n->end;
	enum policy_status s = judge_attestation(rd, n);

	if (s != POLICY_OK)
		return s;
	if (rd->text[start] != '{') /* a block: with the indentation of its first line */
		while (start > 0 && rd->text[start - 1] == ' ')
			start--;
	while (end > start && strchr(" \t\r\n", rd->text[end - 1]))
		end--;
	if (end - start > k->max)
		return reading_fail(rd, n, POLICY_INVALID, NULL, "longer than %zu bytes",
				    (size_t)k->max);
	*(char **)to = arena_text(rd->arena, rd->text + start, end - start);
	return *(char **)to ? POLICY_OK : policy_fail_memory(rd->err);
}

/* ---- the language ---------------------------------------------------------------- */

/* clang-format off */
#define PLAN(member) AT(policy_plan, member)
#define LIST(member, count, type) PLAN(member), .count_at = offsetof(struct policy_plan, count), \
	.size = sizeof(struct type)

static const struct key isolation_keys[] = {
	{ "class",      read_class,     PLAN(class), .flags = KEY_REQUIRED, .words = words_class },
	{ "tee",        read_tee,       PLAN(tee), .flags = KEY_GUEST | KEY_REQUIRED, .words = words_tee },
	{ "shared-uid", read_word_bool, PLAN(shared_uid), .words = words_shared_uid },
	{ .name = NULL }
};

static const struct key user_keys[] = {
	{ "uid",  read_id,        PLAN(process.uid), .max = 65533 },
	{ "gid",  read_id,        PLAN(process.gid), .max = 65533 },
	{ "name", read_user_name, PLAN(process.user), .form = text_is_user,
	  .wanted = "a login name: lower-case letters, digits, - and _, at most 32" },
	{ .name = NULL }
};

static const struct key volume_keys[] = {
	{ "name",      read_text, AT(policy_volume, name), .flags = KEY_REQUIRED, .form = text_is_name,
	  .wanted = "a name of lower-case letters, digits, dots, - and _" },
	{ "source",    read_text, AT(policy_volume, source), .flags = KEY_REQUIRED, PATH_FORM },
	{ "size",      read_size, AT(policy_volume, size), .flags = KEY_REQUIRED, .min = 4 * KIB, .max = 1024 * TIB },
	{ "read-only", read_bool, AT(policy_volume, read_only) },
	{ .name = NULL }
};

#define MEMORY_RANGE .min = 4 * MIB, .max = 1024 * TIB

static const struct key workload_keys[] = {
	{ "rootfs",      read_rootfs,      PLAN(rootfs), .flags = KEY_SANDBOX, PATH_FORM },
	{ "copy-rootfs", read_bool,        PLAN(rootfs_copy), .flags = KEY_SANDBOX },
	{ "command",     read_command,     PLAN(process.argv), .flags = KEY_SANDBOX, .min = 1, .max = 1024 },
	{ "user",        read_mapping,     0, .flags = KEY_SANDBOX, .keys = user_keys },
	{ "environment", read_environment, PLAN(process.env), .flags = KEY_SANDBOX, .max = ENVIRONMENT_MAX },
	{ "cwd",         read_text,        PLAN(process.cwd), .flags = KEY_SANDBOX, PATH_FORM },
	{ "hostname",    read_text,        PLAN(hostname), .flags = KEY_SANDBOX, .form = text_is_hostname,
	  .wanted = "a host name: letters, digits, - and dots, at most 63" },
	{ "umask",       read_umask,       PLAN(process.umask), .flags = KEY_SANDBOX },
	{ "mounts",      read_mounts,      PLAN(mounts), .flags = KEY_SANDBOX, .max = MOUNTS_MAX },
	{ "kernel",      read_source,      PLAN(guest.kernel), .flags = KEY_GUEST | KEY_REQUIRED, PATH_FORM },
	{ "initrd",      read_source,      PLAN(guest.initrd), .flags = KEY_GUEST, PATH_FORM },
	{ "cmdline",     read_text,        PLAN(guest.cmdline), .flags = KEY_GUEST },
	{ "firmware",    read_source,      PLAN(guest.firmware), .flags = KEY_GUEST, PATH_FORM },
	{ "vcpus",       read_u32,         PLAN(guest.vcpus), .flags = KEY_GUEST | KEY_REQUIRED, .min = 1, .max = 1024 },
	{ "memory",      read_size,        PLAN(limits.memory), .flags = KEY_GUEST, MEMORY_RANGE },
	{ "volumes",     read_records,     LIST(guest.volumes, guest.n_volumes, policy_volume), .flags = KEY_GUEST,
	  .max = 64, .keys = volume_keys, .initial = &(struct policy_volume){ .read_only = true } },
	{ .name = NULL }
};

static const struct key resources_keys[] = {
	{ "memory",          read_size,  PLAN(limits.memory), MEMORY_RANGE },
	{ "cpus",            read_milli, PLAN(limits.cpu_milli), .min = 10, .max = 1024000 },
	{ "pids",            read_u64,   PLAN(limits.pids), .min = 1, .max = 4194304 },
	{ "tmpfs",           read_size,  PLAN(limits.tmpfs), .min = 64 * KIB, .max = TIB },
	{ "files",           read_u64,   PLAN(limits.files), .min = 16, .max = 1048576 },
	{ "core-scheduling", read_word,  PLAN(limits.core_sched), .words = words_core_sched },
	{ .name = NULL }
};

#define SYSCALL_LIST .flags = KEY_UNIQUE, .max = 512, .form = text_is_syscall, .wanted = "a system call's name"

static const struct key seccomp_keys[] = {
	{ "profile", read_profile, PLAN(profile) },
	{ "allow",   read_allowed, PLAN(seccomp_allow), SYSCALL_LIST },
	{ "deny",    read_denied,  PLAN(seccomp_deny), SYSCALL_LIST },
	{ .name = NULL }
};

static const struct key network_keys[] = {
	{ "mode",    read_word,  PLAN(network), .flags = KEY_REQUIRED, .words = words_network },
	{ "egress",  read_rules, PLAN(rules), .max = RULES_MAX, .keys = egress_keys },
	{ "ingress", read_rules, PLAN(rules), .max = RULES_MAX, .keys = ingress_keys },
	{ .name = NULL }
};

static const struct key key_keys[] = {
	{ "name",       read_text, AT(policy_key, name), .flags = KEY_REQUIRED, .form = text_is_name,
	  .wanted = "a name of lower-case letters, digits, dots, - and _" },
	{ "resource",   read_text, AT(policy_key, resource), .flags = KEY_REQUIRED, .form = text_is_resource,
	  .wanted = "kbs:///REPOSITORY/TYPE/TAG" },
	{ "service",    read_text, AT(policy_key, service), .flags = KEY_REQUIRED, .form = text_is_service,
	  .wanted = "https://HOST[:PORT][/PATH]" },
	{ "service_ca", read_text, AT(policy_key, service_ca), .flags = KEY_REQUIRED, .form = text_is_service_ca,
	  .wanted = "sha256: and 64 lower-case hexadecimal digits" },
	{ .name = NULL }
};

static const struct key scrub_keys[] = {
	{ "held",   read_word, PLAN(held), .flags = KEY_REQUIRED, .words = words_held },
	{ "kernel", read_word, PLAN(kernel), .flags = KEY_REQUIRED, .words = words_kernel },
	{ .name = NULL }
};

static const struct key audit_keys[] = {
	{ "witness", read_word, PLAN(witness), .words = words_witness },
	{ .name = NULL }
};

static const struct key policy_keys[] = {
	{ "cordon",       read_version,      0, .flags = KEY_REQUIRED },
	{ "tenant",       read_text,         PLAN(tenant), .flags = KEY_REQUIRED, .form = text_is_tenant,
	  .wanted = "a tenant's name: lower-case letters, digits and -, at most 63" },
	{ "isolation",    read_mapping,      0, .flags = KEY_REQUIRED, .keys = isolation_keys },
	{ "workload",     read_mapping,      0, .keys = workload_keys },
	{ "resources",    read_mapping,      0, .keys = resources_keys },
	{ "seccomp",      read_mapping,      0, .keys = seccomp_keys },
	{ "capabilities", read_capabilities, PLAN(process.caps), .flags = KEY_UNIQUE, .max = 64 },
	{ "network",      read_mapping,      0, .keys = network_keys },
	{ "keys",         read_records,      LIST(keys, n_keys, policy_key), .max = 64, .keys = key_keys },
	{ "scrub",        read_mapping,      0, .flags = KEY_REQUIRED, .keys = scrub_keys },
	{ "attestation",  read_attestation,  PLAN(attestation), .max = ATTESTATION_TEXT_MAX },
	{ "audit",        read_mapping,      0, .keys = audit_keys },
	{ .name = NULL }
};
/* clang-format on */

/* ---- contradictions -------------------------------------------------------------- */

static enum policy_status clash_at(struct reading *rd, const char *path, const char *other,
				   const char *hint, const char *what)
{
	size_t mark = reading_enter(rd, path);
	enum policy_status s = reading_clash(rd, node_at(rd->root, path),
					     node_at(rd->root, other), hint, "%s", what);

	reading_leave(rd, mark);
	return s;
}

static enum policy_status check_memory(struct reading *rd)
{
	const struct policy_plan *plan = &rd->policy->draft;
	const struct node *list = node_at(rd->root, "workload.mounts");
	const struct node *c = list ? list->first : NULL;

	if (!plan->limits.memory)
		return POLICY_OK;
	if (plan->limits.tmpfs > plan->limits.memory)
		return clash_at(rd, "resources.tmpfs", "resources.memory",
				"lower one, or raise the other",
				"more memory for files than there is memory");
	for (size_t i = 0; c && i < plan->n_mounts; i++, c = c->next)
		if (plan->mounts[i].size > plan->limits.memory)
			return reading_clash(rd, node_find(c, "tmpfs"),
					     node_at(rd->root, "resources.memory"),
					     "lower one, or raise the other",
					     "more memory for files than there is memory");
	return POLICY_OK;
}

/* The key was read twice into one limit; what was read first is asked for again. */
static enum policy_status check_guest_memory(struct reading *rd)
{
	const struct node *mine = node_at(rd->root, "workload.memory");
	const struct node *other = node_at(rd->root, "resources.memory");
	static const struct key range = { .max = UINT64_MAX };
	uint64_t a = 0, b = 0;

	if (rd->policy->draft.class != POLICY_CLASS_GUEST)
		return POLICY_OK;
	if (!mine && !other)
		return reading_fail(rd, node_at(rd->root, "isolation"), POLICY_INVALID,
				    "write workload.memory", "a guest without memory");
	if (mine && other && read_size(rd, mine, &range, &a) == POLICY_OK &&
	    read_size(rd, other, &range, &b) == POLICY_OK && a != b)
		return clash_at(rd, "workload.memory", "resources.memory",
				"write the same, or one of them", "two sizes for one memory");
	return POLICY_OK;
}

static enum policy_status check_guest(struct reading *rd)
{
	const struct policy_plan *plan = &rd->policy->draft;

	if (plan->class != POLICY_CLASS_GUEST)
		return POLICY_OK;
	if (!node_find(rd->root, "workload"))
		return reading_fail(rd, node_at(rd->root, "isolation.class"), POLICY_INVALID,
				    "write workload: kernel, vcpus, memory",
				    "a guest without a workload");
	if (plan->n_keys && !plan->attestation)
		return clash_at(rd, "keys", "isolation.class",
				"write attestation: what the guest must prove",
				"keys for a guest of which nothing is demanded");
	return POLICY_OK;
}

static enum policy_status check_copy(struct reading *rd)
{
	const struct policy_plan *plan = &rd->policy->draft;

	if (!plan->rootfs_copy || (plan->rootfs && plan->rootfs[0]))
		return POLICY_OK;
	return reading_fail(rd, node_at(rd->root, "workload.copy-rootfs"), POLICY_INVALID,
			    "write rootfs: the folder that is copied",
			    "the host's own files are not copied");
}

static enum policy_status check_seccomp(struct reading *rd)
{
	const struct node *allow = node_at(rd->root, "seccomp.allow");
	const struct node *deny = node_at(rd->root, "seccomp.deny");

	for (const struct node *d = deny ? deny->first : NULL; d; d = d->next)
		for (const struct node *a = allow ? allow->first : NULL; a; a = a->next)
			if (strcmp(a->text, d->text) == 0)
				return reading_clash(rd, d, a, "remove one of the two",
						     "%s is both allowed and denied", d->text);
	return POLICY_OK;
}

static enum policy_status check_network(struct reading *rd)
{
	const struct policy_plan *plan = &rd->policy->draft;

	if (plan->network != POLICY_NET_NONE || !plan->n_rules)
		return POLICY_OK;
	return clash_at(rd, plan->rules[0].egress ? "network.egress" : "network.ingress",
			"network.mode", "write mode: isolated, or remove the rules",
			"rules for a network that is not there");
}

/* A member that two mappings of one list must not share. */
static enum policy_status check_distinct(struct reading *rd, const char *path,
					 const char *member)
{
	const struct node *list = node_at(rd->root, path);

	for (const struct node *c = list ? list->first : NULL; c; c = c->next)
		for (const struct node *e = list->first; e != c; e = e->next)
			if (strcmp(node_find(c, member)->text, node_find(e, member)->text) == 0)
				return reading_clash(
					rd, node_find(c, member), node_find(e, member), NULL,
					"two of %s have the same %s", path, member);
	return POLICY_OK;
}

static enum policy_status check_names(struct reading *rd)
{
	enum policy_status s = check_distinct(rd, "keys", "name");

	if (s == POLICY_OK)
		s = check_distinct(rd, "workload.volumes", "name");
	return s == POLICY_OK ? check_distinct(rd, "workload.volumes", "source") : s;
}

/* The key service finds a tenant's policy by the resource's repository. */
static enum policy_status check_repositories(struct reading *rd)
{
	const char *tenant = rd->policy->draft.tenant;
	const struct node *list = node_find(rd->root, "keys");

	for (const struct node *c = list ? list->first : NULL; c; c = c->next) {
		const struct node *resource = node_find(c, "resource");
		const char *repository = resource->text + strlen("kbs:///");
		size_t n = strcspn(repository, "/");

		if (n != strlen(tenant) || strncmp(repository, tenant, n) != 0)
			return reading_clash(rd, resource, node_find(rd->root, "tenant"),
					     "a tenant has keys of its own repository only",
					     "the key is not this tenant's");
	}
	return POLICY_OK;
}

static enum policy_status check_contradictions(struct reading *rd)
{
	static enum policy_status (*const checks[])(struct reading *) = {
		check_guest,   check_guest_memory, check_memory, check_copy,
		check_seccomp, check_network,      check_names,  check_repositories,
	};
	enum policy_status s = POLICY_OK;

	for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]) && s == POLICY_OK; i++)
		s = checks[i](rd);
	return s;
}

/* ---- what follows from what was written ------------------------------------------ */

static bool same_variable(const char *a, const char *b)
{
	size_t n = strcspn(a, "=");

	return strncmp(a, b, n + 1) == 0;
}

static char credentials[] = "CREDENTIALS_DIRECTORY=" POLICY_CREDENTIALS;

/* The defaults first, each replaced by the policy's own where there is one. */
static enum policy_status finish_environment(struct reading *rd)
{
	struct policy_process *p = &rd->policy->draft.process;
	char **own = p->env, **env;
	size_t n_own = 0, n = 0;

	while (own && own[n_own])
		n_own++;
	env = arena_array(rd->arena, DEFAULT_ENV + n_own + 2, sizeof(*env));
	if (!env)
		return policy_fail_memory(rd->err);
	for (; n < DEFAULT_ENV; n++) {
		const char *value = same_variable("HOME=", default_env[n])   ? p->home
				    : same_variable("USER=", default_env[n]) ? p->user
									     : "";

		env[n] = arena_printf(rd->arena, "%s%s", default_env[n], value);
		if (!env[n])
			return policy_fail_memory(rd->err);
	}
	for (size_t i = 0; i < n_own; i++) {
		size_t at = 0;

		while (at < n && !same_variable(own[i], env[at]))
			at++;
		env[at] = own[i];
		n += at == n;
	}
	if (rd->policy->draft.n_keys) {
		size_t at = 0;

		while (at < n && !same_variable(credentials, env[at]))
			at++;
		env[at] = credentials;
	}
	p->env = env;
	return POLICY_OK;
}

static enum policy_status finish_sandbox(struct reading *rd)
{
	struct policy_plan *plan = &rd->policy->draft;
	struct policy_process *p = &plan->process;
	struct policy_limits *l = &plan->limits;

	p->home = arena_printf(rd->arena, "/home/%s", p->user);
	if (!p->home)
		return policy_fail_memory(rd->err);
	/* An image may lack the home; our own view of the host never does. */
	if (!p->cwd)
		p->cwd = plan->rootfs && plan->rootfs[0] ? folder_root : p->home;
	/* A memory file system without a size would take half of the host's memory. */
	if (!l->tmpfs)
		l->tmpfs = l->memory && l->memory < DEFAULT_TMPFS ? l->memory : DEFAULT_TMPFS;
	for (size_t i = 0; l->files && i < p->n_rlimits; i++)
		if (p->rlimits[i].resource == RLIMIT_NOFILE)
			p->rlimits[i].soft = p->rlimits[i].hard = l->files;
	return finish_environment(rd);
}

/* Neither a policy nor a profile, but something that a profile is often a part of: more
 * helpful to know than its first unknown key. */
static enum policy_status check_wrappers(struct reading *rd)
{
	for (const struct profile_wrapper *w = profile_wrappers; w->key; w++) {
		const struct node *n = node_find(rd->root, w->key);
		size_t mark;

		if (!n)
			continue;
		mark = reading_enter(rd, w->key);
		reading_fail(rd, n->key, POLICY_INVALID, w->hint, "%s", w->what);
		reading_leave(rd, mark);
		return POLICY_INVALID;
	}
	return POLICY_OK;
}

static enum policy_status read_policy(struct reading *rd)
{
	static const struct key whole = { .keys = policy_keys };
	static char profile_default_name[] = POLICY_PROFILE_DEFAULT;
	struct policy_plan *plan = &rd->policy->draft;
	enum policy_status s;

	plan->profile = profile_default_name;
	plan->network = POLICY_NET_NONE;
	plan->witness = POLICY_WITNESS_OPTIONAL;
	plan->limits.core_sched = POLICY_CORE_PREFER;
	plan->limits.demanded = true;
	plan->process.uid = plan->process.gid = 1000; /* in a guest, too, never root */
	s = check_wrappers(rd);
	if (s == POLICY_OK)
		s = read_mapping(rd, rd->root, &whole, plan);
	if (s == POLICY_OK)
		s = check_contradictions(rd);
	if (s == POLICY_OK && plan->class == POLICY_CLASS_SANDBOX)
		s = finish_sandbox(rd);
	return s;
}

/* ---- policies -------------------------------------------------------------------- */

void policy_free(struct policy *p)
{
	if (!p)
		return;
	free(p->profile_text);
	arena_free(&p->arena);
	free(p);
}

void policy_freep(struct policy **p)
{
	policy_free(*p);
}

enum policy_status policy_parse_in(const char *folder, const char *name, const char *text,
				   size_t len, struct policy **ret, struct policy_error *reterr)
{
	AUTO(policy_freep) struct policy *p = calloc(1, sizeof(*p));
	struct reading rd = { .policy = p, .text = text, .folder = folder, .err = reterr };
	struct node *root = NULL;
	enum policy_status s;

	if (!p)
		return policy_fail_memory(reterr);
	rd.arena = &p->arena;
	if (len > POLICY_FILE_MAX)
		s = policy_fail(reterr, POLICY_INVALID, NULL, NULL, "longer than %u bytes",
				POLICY_FILE_MAX);
	else
		s = yaml_read(text, len, rd.arena, &root, reterr);
	rd.root = root;
	if (s == POLICY_OK)
		s = read_policy(&rd);
	if (s != POLICY_OK) {
		if (reterr)
			snprintf(reterr->file, sizeof(reterr->file), "%s", name);
		return s;
	}
	*ret = p;
	p = NULL;
	return POLICY_OK;
}

enum policy_status policy_parse(const char *name, const char *text, size_t len,
				struct policy **ret, struct policy_error *reterr)
{
	return policy_parse_in("", name, text, len, ret, reterr);
}

enum policy_status policy_load(const char *path, struct policy **ret,
			       struct policy_error *reterr)
{
	const char *slash = strrchr(path, '/');
	int folder_len = slash ? (int)(slash - path + 1) : 0;
	char *text = NULL, *folder = NULL;
	size_t len = 0;
	enum policy_status s =
		policy_read_file(path, "a policy", POLICY_FILE_MAX, &text, &len, reterr);

	if (s != POLICY_OK) {
		if (reterr)
			snprintf(reterr->file, sizeof(reterr->file), "%s", path);
		return s;
	}
	if (asprintf(&folder, "%.*s", folder_len, path) < 0) {
		free(text);
		return policy_fail_memory(reterr);
	}
	s = policy_parse_in(folder, path, text, len, ret, reterr);
	free(folder);
	free(text);
	return s;
}
