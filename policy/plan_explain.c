/* policy/plan_explain.c - a plan in sentences, one a line: what the workload may do, what
 * it may not, and what nobody limits. */
#include "policy/attestation.h"
#include "policy/policy_internal.h"
#include "policy/words.h"

#include <inttypes.h>
#include <linux/mount.h>
#include <linux/seccomp.h>
#include <string.h>

static const char *word(const struct word *words, uint64_t value)
{
	const struct word *w = word_by_value(words, value);

	return w ? w->name : "?";
}

/* What a policy or an OCI bundle wrote may hold anything; a line must stay a line. */
static void put(FILE *to, const char *s)
{
	for (; *s; s++)
		putc((unsigned char)*s < 0x20 || *s == 0x7f ? '?' : *s, to);
}

static void put_words(FILE *to, const struct word *words, uint64_t bits, const char *gap)
{
	const char *before = "";

	for (; words->name; words++)
		if (bits & words->value) {
			fprintf(to, "%s%s", before, words->name);
			before = gap;
		}
}

static void put_size(FILE *to, uint64_t bytes)
{
	static const char *const units[] = { "bytes", "KiB", "MiB", "GiB", "TiB" };
	size_t unit = 0;

	for (; unit < 4 && bytes && bytes % 1024 == 0; unit++)
		bytes /= 1024;
	fprintf(to, "%" PRIu64 " %s", bytes, units[unit]);
}

static void explain_class(FILE *to, const struct policy_plan *p)
{
	if (p->class == POLICY_CLASS_SANDBOX) {
		fprintf(to,
			"Tenant %s runs in a sandbox: processes of this host's own kernel, in "
			"new namespaces (",
			p->tenant);
		put_words(to, words_namespace, p->namespaces, ", ");
		fputs("). Whoever is root on this host can see all of it.\n", to);
	} else if (p->tee & POLICY_TEE_NONE) {
		fprintf(to,
			"Tenant %s runs in a virtual machine without a TEE: this host can "
			"see all of its memory.\n",
			p->tenant);
	} else {
		fprintf(to,
			"Tenant %s runs in a virtual machine whose memory the processor "
			"keeps from this host (",
			p->tenant);
		put_words(to, words_tee, p->tee, " or ");
		fputs("); where neither can be had, it does not start.\n", to);
	}
	fputs(p->shared_uid
		      ? "Another tenant's processes may run under the same kernel user id "
			"at the same time: this was accepted in writing.\n"
		      : "It is refused while another tenant's processes run under the same "
			"kernel user id.\n",
	      to);
}

static void explain_process(FILE *to, const struct policy_plan *p)
{
	const struct policy_process *w = &p->process;

	fputs("It runs the command", to);
	for (char *const *a = w->argv; a && *a; a++) {
		putc(' ', to);
		put(to, *a);
	}
	fprintf(to, ", as user %s (%" PRIu32 ":%" PRIu32 "), never as root, in ", w->user,
		w->uid, w->gid);
	put(to, w->cwd);
	fputs(".\nIts environment is exactly:", to);
	for (char *const *e = w->env; e && *e; e++) {
		putc(' ', to);
		put(to, *e);
	}
	fputs("\n", to);
}

static void explain_mount(FILE *to, const struct policy_mount *m)
{
	fprintf(to, "At %s it sees ", m->target);
	if (m->kind == POLICY_MOUNT_BIND) {
		fputs("the host's ", to);
		put(to, m->source);
	} else {
		fprintf(to, "a %s of its own", word(words_mount_kind, m->kind));
	}
	if (m->size) {
		fputs(" of ", to);
		put_size(to, m->size);
	}
	fprintf(to, ", %s%s.\n", m->attr & MOUNT_ATTR_RDONLY ? "to read" : "to read and write",
		m->attr & MOUNT_ATTR_NOEXEC ? "; nothing in it can be executed"
					    : " and to execute");
}

static void explain_files(FILE *to, const struct policy_plan *p)
{
	if (p->rootfs[0])
		fprintf(to, "Its root is the host's folder %s, %s.\n", p->rootfs,
			p->root_writable ? "writable" : "read-only");
	else
		fprintf(to,
			"Its root holds read-only views of the host's /usr and, where they are "
			"there, of /etc/alternatives, /etc/ld.so.cache, /etc/ssl/certs and "
			"/etc/ssl/openssl.cnf, and nothing else of the host's files%s.\n",
			p->n_mounts ? " but what follows" : "");
	for (size_t i = 0; i < p->n_mounts; i++)
		explain_mount(to, &p->mounts[i]);
	if (p->limits.tmpfs) {
		fputs("What it writes elsewhere goes to memory of at most ", to);
		put_size(to, p->limits.tmpfs);
		fputs(", which is gone with the session.\n", to);
	}
}

static void explain_guest(FILE *to, const struct policy_plan *p)
{
	const struct policy_guest *g = &p->guest;

	fprintf(to, "It boots the kernel %s on %" PRIu32 " virtual processor%s%s%s.\n",
		g->kernel, g->vcpus, g->vcpus == 1 ? "" : "s",
		g->firmware[0] ? ", with the firmware " : "", g->firmware);
	for (size_t i = 0; i < g->n_volumes; i++) {
		fprintf(to, "It has the volume %s (%s, ", g->volumes[i].name,
			g->volumes[i].source);
		put_size(to, g->volumes[i].size);
		fprintf(to, "), %s.\n", g->volumes[i].read_only ? "read-only" : "writable");
	}
}

static void explain_limits(FILE *to, const struct policy_plan *p)
{
	const struct policy_limits *l = &p->limits;

	if (l->memory) {
		fputs("It gets at most ", to);
		put_size(to, l->memory);
		fputs(" of memory.\n", to);
	}
	if (l->cpu_milli)
		fprintf(to, "It gets at most the time of %g processors.\n",
			(double)l->cpu_milli / 1000);
	if (l->pids)
		fprintf(to, "It has at most %" PRIu64 " processes and threads.\n", l->pids);
	if (l->files)
		fprintf(to, "A process of it has at most %" PRIu64 " open files.\n", l->files);
	if (!l->memory || !l->cpu_milli || !l->pids)
		fprintf(to, "NOT limited by this policy:%s%s%s.\n", l->memory ? "" : " memory",
			l->cpu_milli ? "" : " processors", l->pids ? "" : " processes");
	fputs(l->demanded
		      ? "Where this host cannot apply one of these limits, it does not start.\n"
		      : "Where this host cannot apply one of these limits, it starts all the "
			"same, and says so.\n",
	      to);
	fprintf(to, "Sharing a processor core's threads with other tenants: %s.\n",
		l->core_sched == POLICY_CORE_OFF      ? "nothing is done about it"
		: l->core_sched == POLICY_CORE_PREFER ? "prevented where the kernel can"
						      : "prevented, or it does not start");
}

/* Those that open large parts of the kernel even inside a user namespace. */
static const uint64_t dangerous_caps =
	1ull << 12 /* NET_ADMIN */ | 1ull << 13 /* NET_RAW */ | 1ull << 19 /* SYS_PTRACE */ |
	1ull << 21 /* SYS_ADMIN */ | 1ull << 38 /* PERFMON */ | 1ull << 39 /* BPF */;

static void explain_rights(FILE *to, const struct policy_plan *p)
{
	uint64_t caps = p->process.caps[POLICY_CAP_BOUNDING];

	if (caps) {
		fputs("It has the capabilities ", to);
		put_words(to, words_capability, caps, ", ");
		fputs(", inside its own user namespace only.\n", to);
	} else {
		fputs("It has no capabilities and can gain none: set-user-id programs have no "
		      "effect.\n",
		      to);
	}
	if (caps & dangerous_caps) {
		fputs("DANGEROUS even so, because they open large parts of the kernel: ", to);
		put_words(to, words_capability, caps & dangerous_caps, ", ");
		fputs(".\n", to);
	}
}

static void put_list(FILE *to, const char *verb, char *const *names)
{
	if (!names || !names[0])
		return;
	fprintf(to, "This policy %s in addition:", verb);
	for (; *names; names++)
		fprintf(to, " %s", *names);
	fputs("\n", to);
}

static bool is_in(char *const *names, const char *name, size_t len)
{
	for (; names && *names; names++)
		if (strncmp(*names, name, len) == 0 && (*names)[len] == '\0')
			return true;
	return false;
}

/* What the profile leaves out, but for what the policy allows all the same. */
static void put_exclusion(FILE *to, const struct profile_exclusion *x, char *const *allowed)
{
	bool any = false;

	for (const char *name = x->names; *name;) {
		size_t len = strcspn(name, " ");

		if (len && !is_in(allowed, name, len)) {
			fprintf(to, "%s%.*s", any ? " " : "Denied: ", (int)len, name);
			any = true;
		}
		name += len + (name[len] == ' ');
	}
	if (any)
		fprintf(to, " (%s).\n", x->reason);
}

/* No 64-bit architecture has a call of this number, and none will: 387 to 423 are left out
 * where numbers became the same for all. So no profile can name it. */
#define CALL_OF_NOBODY 400

/* What becomes of a call that the profile does not name, by the filter itself. */
static const char *unnamed_calls(const struct policy_filter *f)
{
	uint32_t answer;

	if (!policy_filter_answer(f, CALL_OF_NOBODY, &answer))
		return "what becomes of calls that it does not name cannot be told";
	switch (answer & SECCOMP_RET_ACTION_FULL) {
	case SECCOMP_RET_ALLOW:
		return "what it does not name is ALLOWED";
	case SECCOMP_RET_LOG:
		return "what it does not name is ALLOWED, and logged by the kernel";
	case SECCOMP_RET_ERRNO:
	case SECCOMP_RET_TRACE: /* nobody asks the kernel to be told */
		return "what it does not name is denied";
	case SECCOMP_RET_TRAP:
		return "what it does not name is denied by a signal, SIGSYS";
	case SECCOMP_RET_KILL_THREAD:
		return "what it does not name kills the thread";
	default:
		return "what it does not name kills the process";
	}
}

static void explain_seccomp(FILE *to, const struct policy_plan *p)
{
	bool ours = strcmp(p->profile, POLICY_PROFILE_DEFAULT) == 0;

	if (ours)
		fputs("System calls are filtered by cordon's own profile: what is not allowed "
		      "is "
		      "denied.\n",
		      to);
	else
		fprintf(to, "System calls are filtered by the profile %s%s%s.\n", p->profile,
			p->filter.n_insns ? ": " : "",
			p->filter.n_insns ? unnamed_calls(&p->filter) : "");
	put_list(to, "allows", p->seccomp_allow);
	put_list(to, "denies", p->seccomp_deny);
	if (p->class == POLICY_CLASS_SANDBOX)
		fputs("Refused below every profile, whatever it or this policy allows: clone3, "
		      "clone with CLONE_UNTRACED, new user namespaces, io_uring, io_setup, "
		      "userfaultfd, memfd_secret, process_mrelease and process_vm_writev.\n",
		      to);
	if (!ours)
		return;
	for (const struct profile_exclusion *x = profile_default_exclusions(); x->names; x++)
		put_exclusion(to, x, p->seccomp_allow);
}

static void explain_network(FILE *to, const struct policy_plan *p)
{
	if (p->network == POLICY_NET_NONE)
		fputs("It has no network but its own loopback.\n", to);
	else if (!p->n_rules)
		fputs("It has a network of its own, and no flow in or out is allowed.\n", to);
	else
		fputs("It has a network of its own; only these flows are allowed:\n", to);
	for (size_t i = 0; i < p->n_rules; i++) {
		const struct policy_rule *r = &p->rules[i];

		fprintf(to, "  %s %s, %s ports %" PRIu32 " to %" PRIu32 ".\n",
			r->egress ? "out to" : "in from", r->cidr,
			word(words_protocol, r->protocol), r->first_port, r->last_port);
	}
}

static void explain_keys(FILE *to, const struct policy_plan *p)
{
	for (size_t i = 0; i < p->n_keys; i++)
		fprintf(to,
			"It gets the key %s (%s) from %s once its evidence was accepted, and "
			"does not start without.\n",
			p->keys[i].name, p->keys[i].resource, p->keys[i].service);
	if (!p->n_keys)
		fputs("It gets no keys.\n", to);
}

static void explain_attestation(FILE *to, const struct policy_plan *p)
{
	AUTO(policy_attestation_freep) struct policy_attestation *a = NULL;
	const char *text = p->attestation;

	if (!text || !text[0]) {
		if (p->n_keys)
			fputs("This policy demands nothing of its evidence: what does, is the "
			      "key "
			      "service's own policy.\n",
			      to);
	} else if (policy_attestation_parse("attestation", text, strlen(text), &a, NULL) !=
		   POLICY_OK) {
		fputs("What it demands of its evidence cannot be read.\n", to);
	} else {
		policy_attestation_explain(to, a);
	}
}

static void explain_scrub(FILE *to, const struct policy_plan *p)
{
	static const char *const kernel[] = {
		[POLICY_KERNEL_KERNEL] = "the kernel clears what it frees (init_on_free)",
		[POLICY_KERNEL_SWEPT] = "free memory is at least swept afterwards",
		[POLICY_KERNEL_NONE] =
			"nothing is demanded of memory that only the kernel reaches",
	};

	fprintf(to, "When it ends, %s; %s.\n",
		p->held == POLICY_HELD_WIPED
			? "it is clean only once its memory was zeroed and read back, before "
			  "anybody else can have it"
			: "nothing is demanded of its own memory",
		kernel[p->kernel]);
	fputs(p->witness == POLICY_WITNESS_REQUIRED ? "The audit log must be witnessed.\n"
						    : "The audit log need not be witnessed.\n",
	      to);
}

void policy_plan_explain(FILE *to, const struct policy_plan *plan)
{
	explain_class(to, plan);
	if (plan->class == POLICY_CLASS_SANDBOX) {
		explain_process(to, plan);
		explain_files(to, plan);
	} else {
		explain_guest(to, plan);
	}
	explain_limits(to, plan);
	explain_rights(to, plan);
	explain_seccomp(to, plan);
	explain_network(to, plan);
	explain_keys(to, plan);
	explain_attestation(to, plan);
	explain_scrub(to, plan);
}
