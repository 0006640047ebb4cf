/* policy/plan_fields.c - see policy/plan_fields.h. */
#include "policy/plan_fields.h"

#include <linux/mount.h>
#include <string.h>

#define ENTRIES 4096u    /* argv, env */
#define TEXT_MAX 131071u /* MAX_ARG_STRLEN less its zero: longer ones execve refuses */
#define PATH_BYTES 4095u
#define INSNS_MAX 4096u /* BPF_MAXINSNS */

/* clang-format off */
#define AT(member) .at = offsetof(struct THIS, member)
#define COUNTED(member, count) AT(member), .count_at = offsetof(struct THIS, count)
#define END { .name = NULL }

#define THIS policy_mount
static const struct field mount_fields[] = {
	{ "kind",   FIELD_WORD,   AT(kind),   .words = words_mount_kind },
	{ "source", FIELD_TEXT,   AT(source), .max = PATH_BYTES, .form = text_is_path_or_empty },
	{ "target", FIELD_TEXT,   AT(target), .max = PATH_BYTES, .form = text_is_path },
	{ "attr",   FIELD_BITS64, AT(attr),   .words = words_mount_attr },
	{ "size",   FIELD_U64,    AT(size),   .max = UINT64_MAX },
	{ "mode",   FIELD_OCTAL,  AT(mode),   .max = 07777 },
	END
};
#undef THIS

#define THIS policy_rlimit
static const struct field rlimit_fields[] = {
	{ "resource", FIELD_WORD, AT(resource), .words = words_rlimit },
	{ "soft",     FIELD_U64,  AT(soft),     .max = UINT64_MAX },
	{ "hard",     FIELD_U64,  AT(hard),     .max = UINT64_MAX },
	END
};
#undef THIS

#define THIS policy_hook
static const struct field hook_fields[] = {
	{ "stage",     FIELD_WORD,  AT(stage), .words = words_hook_stage },
	{ "path",      FIELD_TEXT,  AT(path),  .max = PATH_BYTES, .form = text_is_path },
	{ "argv",      FIELD_TEXTS, AT(argv),  .max = ENTRIES },
	{ "env",       FIELD_TEXTS, AT(env),   .max = ENTRIES, .form = text_is_variable },
	{ "timeout_s", FIELD_U32,   AT(timeout_s), .max = UINT32_MAX },
	END
};
#undef THIS

#define THIS policy_rule
static const struct field rule_fields[] = {
	{ "egress",     FIELD_BOOL, AT(egress) },
	{ "cidr",       FIELD_TEXT, AT(cidr),       .max = 64, .form = text_is_cidr },
	{ "protocol",   FIELD_WORD, AT(protocol),   .words = words_protocol },
	{ "first_port", FIELD_U32,  AT(first_port), .max = 65535 },
	{ "last_port",  FIELD_U32,  AT(last_port),  .max = 65535 },
	END
};
#undef THIS

#define THIS policy_key
static const struct field key_fields[] = {
	{ "name",       FIELD_TEXT, AT(name),       .max = 64,  .form = text_is_name },
	{ "resource",   FIELD_TEXT, AT(resource),   .max = 512, .form = text_is_resource },
	{ "service",    FIELD_TEXT, AT(service),    .max = 512, .form = text_is_service },
	{ "service_ca", FIELD_TEXT, AT(service_ca), .max = 71,  .form = text_is_service_ca },
	END
};
#undef THIS

#define THIS policy_volume
static const struct field volume_fields[] = {
	{ "name",      FIELD_TEXT, AT(name),   .max = 64, .form = text_is_name },
	{ "source",    FIELD_TEXT, AT(source), .max = PATH_BYTES, .form = text_is_path },
	{ "size",      FIELD_U64,  AT(size),   .max = UINT64_MAX },
	{ "read_only", FIELD_BOOL, AT(read_only) },
	END
};
#undef THIS

static const char *check_mount(const void *record);
static const char *check_rlimit(const void *record);
static const char *check_rule(const void *record);

static const struct record
	mount_record = { sizeof(struct policy_mount), mount_fields, check_mount },
	rlimit_record = { sizeof(struct policy_rlimit), rlimit_fields, check_rlimit },
	hook_record = { sizeof(struct policy_hook), hook_fields, NULL },
	rule_record = { sizeof(struct policy_rule), rule_fields, check_rule },
	key_record = { sizeof(struct policy_key), key_fields, NULL },
	volume_record = { sizeof(struct policy_volume), volume_fields, NULL };

#define THIS policy_process
static const struct field process_fields[] = {
	{ "argv",   FIELD_TEXTS,   AT(argv), .max = ENTRIES },
	{ "env",    FIELD_TEXTS,   AT(env),  .max = ENTRIES, .form = text_is_variable },
	{ "cwd",    FIELD_TEXT,    AT(cwd),  .max = PATH_BYTES, .form = text_is_path_or_empty },
	{ "user",   FIELD_TEXT,    AT(user), .max = 32 },
	{ "home",   FIELD_TEXT,    AT(home), .max = PATH_BYTES, .form = text_is_path_or_empty },
	{ "uid",    FIELD_U32,     AT(uid),  .max = UINT32_MAX - 1 },
	{ "gid",    FIELD_U32,     AT(gid),  .max = UINT32_MAX - 1 },
	{ "groups", FIELD_NUMBERS, COUNTED(groups, n_groups), .max = 1024 },
	{ "umask",  FIELD_OCTAL,   AT(umask), .max = 0777 },
	{ "caps.bounding",    FIELD_BITS64, AT(caps[POLICY_CAP_BOUNDING]),    .words = words_capability },
	{ "caps.effective",   FIELD_BITS64, AT(caps[POLICY_CAP_EFFECTIVE]),   .words = words_capability },
	{ "caps.permitted",   FIELD_BITS64, AT(caps[POLICY_CAP_PERMITTED]),   .words = words_capability },
	{ "caps.inheritable", FIELD_BITS64, AT(caps[POLICY_CAP_INHERITABLE]), .words = words_capability },
	{ "caps.ambient",     FIELD_BITS64, AT(caps[POLICY_CAP_AMBIENT]),     .words = words_capability },
	{ "rlimits", FIELD_RECORDS, COUNTED(rlimits, n_rlimits), .max = 16, .record = &rlimit_record },
	{ "oom_score_adj", FIELD_I32, AT(oom_score_adj), .max = 1000 },
	END
};
#undef THIS

#define THIS policy_limits
static const struct field limits_fields[] = {
	{ "memory",     FIELD_U64,  AT(memory),     .max = UINT64_MAX },
	{ "cpu_milli",  FIELD_U64,  AT(cpu_milli),  .max = UINT64_MAX },
	{ "pids",       FIELD_U64,  AT(pids),       .max = UINT64_MAX },
	{ "tmpfs",      FIELD_U64,  AT(tmpfs),      .max = UINT64_MAX },
	{ "files",      FIELD_U64,  AT(files),      .max = UINT64_MAX },
	{ "core_sched", FIELD_WORD, AT(core_sched), .words = words_core_sched },
	{ "demanded",   FIELD_BOOL, AT(demanded) },
	END
};
#undef THIS

#define THIS policy_filter
static const struct field filter_fields[] = {
	{ "program", FIELD_PROGRAM, COUNTED(insns, n_insns), .max = INSNS_MAX },
	{ "flags",   FIELD_BITS32,  AT(flags), .words = words_filter_flag },
	END
};
#undef THIS

#define THIS policy_guest
static const struct field guest_fields[] = {
	{ "kernel",   FIELD_TEXT, AT(kernel),   .max = PATH_BYTES, .form = text_is_path_or_empty },
	{ "initrd",   FIELD_TEXT, AT(initrd),   .max = PATH_BYTES, .form = text_is_path_or_empty },
	{ "cmdline",  FIELD_TEXT, AT(cmdline),  .max = 4095 },
	{ "firmware", FIELD_TEXT, AT(firmware), .max = PATH_BYTES, .form = text_is_path_or_empty },
	{ "vcpus",    FIELD_U32,  AT(vcpus),    .max = 1024 },
	{ "volumes",  FIELD_RECORDS, COUNTED(volumes, n_volumes), .max = 64, .record = &volume_record },
	END
};
#undef THIS

static const struct record
	process_record = { sizeof(struct policy_process), process_fields, NULL },
	limits_record = { sizeof(struct policy_limits), limits_fields, NULL },
	filter_record = { sizeof(struct policy_filter), filter_fields, NULL },
	guest_record = { sizeof(struct policy_guest), guest_fields, NULL };

#define THIS policy_plan
static const struct field plan_fields[] = {
	{ "tenant",        FIELD_TEXT,    AT(tenant), .max = 63, .form = text_is_tenant },
	{ "class",         FIELD_WORD,    AT(class),  .words = words_class },
	{ "tee",           FIELD_BITS32,  AT(tee),    .words = words_tee },
	{ "shared_uid",    FIELD_BOOL,    AT(shared_uid), .words = words_shared_uid },
	{ "builtin",       FIELD_BOOL,    AT(builtin) },
	{ "rootfs",        FIELD_TEXT,    AT(rootfs), .max = PATH_BYTES, .form = text_is_path_or_empty },
	{ "root_writable", FIELD_BOOL,    AT(root_writable) },
	{ "rootfs_copy",   FIELD_BOOL,    AT(rootfs_copy) },
	{ "hostname",      FIELD_TEXT,    AT(hostname), .max = 63 },
	{ "namespaces",    FIELD_BITS64,  AT(namespaces), .words = words_namespace },
	{ "process",       FIELD_RECORD,  AT(process), .record = &process_record },
	{ "terminal",      FIELD_BOOL,    AT(terminal) },
	{ "mounts",        FIELD_RECORDS, COUNTED(mounts, n_mounts), .max = 256, .record = &mount_record },
	{ "hooks",         FIELD_RECORDS, COUNTED(hooks, n_hooks),   .max = 64,  .record = &hook_record },
	{ "limits",        FIELD_RECORD,  AT(limits), .record = &limits_record },
	{ "profile",       FIELD_TEXT,    AT(profile), .max = PATH_BYTES },
	{ "profile_digest", FIELD_TEXT,   AT(profile_digest), .max = 64, .form = text_is_sha256_or_empty },
	{ "seccomp_allow", FIELD_TEXTS,   AT(seccomp_allow), .max = 1024, .form = text_is_syscall },
	{ "seccomp_deny",  FIELD_TEXTS,   AT(seccomp_deny),  .max = 1024, .form = text_is_syscall },
	{ "filter",        FIELD_RECORD,  AT(filter),  .record = &filter_record },
	{ "network",       FIELD_WORD,    AT(network), .words = words_network },
	{ "rules",         FIELD_RECORDS, COUNTED(rules, n_rules), .max = 1024, .record = &rule_record },
	{ "keys",          FIELD_RECORDS, COUNTED(keys, n_keys),   .max = 64,   .record = &key_record },
	{ "held",          FIELD_WORD,    AT(held),    .words = words_held },
	{ "kernel",        FIELD_WORD,    AT(kernel),  .words = words_kernel },
	{ "attestation",   FIELD_TEXT,    AT(attestation), .max = 262144 },
	{ "witness",       FIELD_WORD,    AT(witness), .words = words_witness },
	{ "guest",         FIELD_RECORD,  AT(guest),   .record = &guest_record },
	END
};
#undef THIS
/* clang-format on */

static const char *check_plan(const void *record);
const struct record plan_record = { sizeof(struct policy_plan), plan_fields, check_plan };

/* ---- values ---------------------------------------------------------------------- */

static const void *place(const struct field *f, const void *record)
{
	return (const char *)record + f->at;
}

const char *field_text(const struct field *f, const void *record)
{
	const char *text = *(char *const *)place(f, record);

	return text ? text : "";
}

char *const *field_texts(const struct field *f, const void *record)
{
	static char *const none[] = { NULL };
	char *const *texts = *(char *const *const *)place(f, record);

	return texts ? texts : none;
}

uint64_t field_number(const struct field *f, const void *record)
{
	switch (f->type) {
	case FIELD_BOOL:
		return *(const bool *)place(f, record);
	case FIELD_U64:
	case FIELD_BITS64:
		return *(const uint64_t *)place(f, record);
	case FIELD_U32:
	case FIELD_OCTAL:
	case FIELD_I32: /* two's complement, as its bytes are */
	case FIELD_WORD:
	case FIELD_BITS32:
		return *(const uint32_t *)place(f, record);
	default:
		return 0;
	}
}

size_t field_count(const struct field *f, const void *record)
{
	size_t n = 0;

	if (f->type != FIELD_TEXTS)
		return *(const size_t *)(const void *)((const char *)record + f->count_at);
	for (char *const *t = field_texts(f, record); t[n];)
		n++;
	return n;
}

const void *field_array(const struct field *f, const void *record)
{
	const void *array;

	memcpy(&array, place(f, record), sizeof(array)); /* whatever it points to */
	return array;
}

static const char *check_number(const struct field *f, uint64_t v)
{
	switch (f->type) {
	case FIELD_I32: {
		int64_t i = (int32_t)(uint32_t)v;

		return i > (int64_t)f->max || i < -(int64_t)f->max ? "out of range" : NULL;
	}
	case FIELD_WORD:
		return word_by_value(f->words, v) ? NULL : "not one of its values";
	case FIELD_BITS32:
	case FIELD_BITS64:
		return v & ~words_mask(f->words) ? "unknown bits" : NULL;
	case FIELD_BOOL:
		return NULL;
	default:
		return v > f->max ? "out of range" : NULL;
	}
}

static const char *check_text(const struct field *f, const char *s, size_t max)
{
	if (strlen(s) > max)
		return "too long";
	return f->form && !f->form(s) ? "not of the form that it must have" : NULL;
}

const char *field_check(const struct field *f, const void *record)
{
	const char *wrong = NULL;

	switch (f->type) {
	case FIELD_TEXT:
		return check_text(f, field_text(f, record), f->max);
	case FIELD_TEXTS:
		if (field_count(f, record) > f->max)
			return "too many";
		for (char *const *t = field_texts(f, record); *t && !wrong; t++)
			wrong = check_text(f, *t, TEXT_MAX);
		return wrong;
	case FIELD_NUMBERS:
	case FIELD_PROGRAM:
	case FIELD_RECORDS:
		return field_count(f, record) > f->max ? "too many" : NULL;
	case FIELD_RECORD:
		return NULL;
	default:
		return check_number(f, field_number(f, record));
	}
}

/* ---- what single fields cannot say ----------------------------------------------- */

static bool empty(const char *s)
{
	return !s || s[0] == '\0';
}

/* CVE-2019-16884 and its kin: whatever covers a part of /proc fools every later check
 * that goes through it. Only a real proc may be there, and only as a whole. */
static const char *check_mount(const void *record)
{
	const struct policy_mount *m = record;
	bool proc = m->kind == POLICY_MOUNT_PROC;

	if (empty(m->source) == (m->kind == POLICY_MOUNT_BIND))
		return "a bind mount has a source, others have none";
	if (m->kind != POLICY_MOUNT_TMPFS && (m->size || m->mode))
		return "only a tmpfs has a size and a mode";
	if (m->kind == POLICY_MOUNT_TMPFS && !m->size)
		return "a tmpfs without a size";
	if (strcmp(m->target, "/") == 0)
		return "a mount over the root";
	if (proc ? strcmp(m->target, "/proc") != 0 : path_is_within(m->target, "/proc"))
		return "only a proc may be mounted at /proc, and nothing below it";
	return NULL;
}

static const char *check_rlimit(const void *record)
{
	const struct policy_rlimit *r = record;

	return r->soft > r->hard ? "its soft limit is above its hard limit" : NULL;
}

static const char *check_rule(const void *record)
{
	const struct policy_rule *r = record;

	return r->first_port < 1 || r->first_port > r->last_port ? "not a range of ports"
								 : NULL;
}

static bool no_texts(char *const *t)
{
	return !t || !t[0];
}

static const char *check_sandbox(const struct policy_plan *p)
{
	const struct policy_guest *g = &p->guest;

	if (p->tee)
		return "a sandbox with a TEE";
	if (!empty(g->kernel) || !empty(g->initrd) || !empty(g->cmdline) ||
	    !empty(g->firmware) || g->vcpus || g->n_volumes)
		return "a sandbox with a guest's parts";
	if (no_texts(p->process.argv) || p->process.argv[0][0] == '\0')
		return "a sandbox without a command";
	if (empty(p->process.cwd) || empty(p->process.home) || !text_is_user(p->process.user))
		return "a sandbox's process without user, home or working folder";
	if (!text_is_hostname(p->hostname))
		return "a sandbox without a host name";
	if (!p->filter.n_insns)
		return "a sandbox without a system call filter";
	return NULL;
}

static const char *check_guest(const struct policy_plan *p)
{
	if (!p->tee || (p->tee & POLICY_TEE_NONE && p->tee != POLICY_TEE_NONE))
		return "a guest needs its TEEs, or none alone";
	if (!no_texts(p->process.argv) || p->n_mounts || !empty(p->rootfs) || p->namespaces ||
	    p->filter.n_insns)
		return "a guest with a sandbox's parts";
	if (!p->guest.vcpus || !p->limits.memory)
		return "a guest without processors or memory";
	return NULL;
}

static const char *check_plan(const void *record)
{
	const struct policy_plan *p = record;

	if (empty(p->profile))
		return "no seccomp profile";
	if (p->network == POLICY_NET_NONE && p->n_rules)
		return "network rules without a network";
	return p->class == POLICY_CLASS_SANDBOX ? check_sandbox(p) : check_guest(p);
}
