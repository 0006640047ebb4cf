/*
 * policy/filter_print.c - a compiled filter in words, and what it says to one call.
 *
 * Any bytes can be shown. What the accumulator holds is followed along all jumps, which
 * only go forward, so that a number is printed as a system call's name only where it is
 * compared with the system call's number.
 */
#include "policy/policy_internal.h"
#include "policy/syscall_args.h"

#include <inttypes.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

void policy_filter_clear(struct policy_filter *f)
{
	free(f->insns);
	*f = (struct policy_filter){ .insns = NULL };
}

/* What the accumulator holds: nothing that is known, or the word of seccomp_data at
 * that offset; NOT_YET where no path has come by. */
enum { HOLDS_NOT_YET, HOLDS_UNKNOWN, HOLDS_OFFSET };

static struct sock_filter insn_at(const struct policy_filter *f, size_t i)
{
	struct sock_filter insn;

	memcpy(&insn, f->insns + i * sizeof(insn), sizeof(insn));
	return insn;
}

static bool is_load(uint16_t code)
{
	return code == (BPF_LD | BPF_W | BPF_ABS);
}

/* The name of a comparison with a constant, else NULL. */
static const char *test_name(uint16_t code)
{
	switch (code) {
	case BPF_JMP | BPF_JEQ | BPF_K:
		return "jeq";
	case BPF_JMP | BPF_JGT | BPF_K:
		return "jgt";
	case BPF_JMP | BPF_JGE | BPF_K:
		return "jge";
	case BPF_JMP | BPF_JSET | BPF_K:
		return "jset";
	default:
		return NULL;
	}
}

/* ---- what the accumulator holds -------------------------------------------------- */

static void flow(uint8_t *holds, size_t n, size_t to, uint8_t what)
{
	if (to >= n)
		return;
	if (holds[to] != HOLDS_NOT_YET && holds[to] != what)
		what = HOLDS_UNKNOWN;
	holds[to] = what;
}

/* One byte for each instruction, before it runs; NULL without memory. */
static uint8_t *follow(const struct policy_filter *f)
{
	uint8_t *holds = calloc(f->n_insns + 1, 1);

	if (!holds)
		return NULL;
	holds[0] = HOLDS_UNKNOWN;
	for (size_t i = 0; i < f->n_insns; i++) {
		struct sock_filter insn = insn_at(f, i);
		uint8_t now = holds[i];

		if (is_load(insn.code))
			now = insn.k < sizeof(struct seccomp_data)
				      ? (uint8_t)(HOLDS_OFFSET + insn.k)
				      : HOLDS_UNKNOWN;
		else if (BPF_CLASS(insn.code) == BPF_LD || BPF_CLASS(insn.code) == BPF_ALU ||
			 BPF_CLASS(insn.code) == BPF_MISC)
			now = HOLDS_UNKNOWN;
		if (insn.code == (BPF_JMP | BPF_JA)) {
			flow(holds, f->n_insns, i + 1 + insn.k, now);
		} else if (BPF_CLASS(insn.code) == BPF_JMP) {
			flow(holds, f->n_insns, i + 1 + insn.jt, now);
			flow(holds, f->n_insns, i + 1 + insn.jf, now);
		} else if (BPF_CLASS(insn.code) != BPF_RET) {
			flow(holds, f->n_insns, i + 1, now);
		}
	}
	return holds;
}

/* ---- words ----------------------------------------------------------------------- */

static void print_offset(FILE *to, uint32_t k)
{
	const uint32_t args = offsetof(struct seccomp_data, args);
	const uint32_t ip = offsetof(struct seccomp_data, instruction_pointer);
	const bool little = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__;

	if (k == offsetof(struct seccomp_data, nr))
		fputs("syscall", to);
	else if (k == offsetof(struct seccomp_data, arch))
		fputs("arch", to);
	else if (k % 4 || k >= sizeof(struct seccomp_data))
		fprintf(to, "[%" PRIu32 "]", k);
	else if (k < args)
		fprintf(to, "ip.%s", (k == ip) == little ? "low" : "high");
	else
		fprintf(to, "arg%" PRIu32 ".%s", (k - args) / 8,
			((k - args) % 8 == 0) == little ? "low" : "high");
}

static const struct {
	uint32_t action;
	const char *name;
} actions[] = {
	{ SECCOMP_RET_KILL_PROCESS, "KILL_PROCESS" },
	{ SECCOMP_RET_KILL_THREAD, "KILL_THREAD" },
	{ SECCOMP_RET_TRAP, "TRAP" },
	{ SECCOMP_RET_ERRNO, "ERRNO" },
	{ SECCOMP_RET_USER_NOTIF, "USER_NOTIF" },
	{ SECCOMP_RET_TRACE, "TRACE" },
	{ SECCOMP_RET_LOG, "LOG" },
	{ SECCOMP_RET_ALLOW, "ALLOW" },
};

static void print_verdict(FILE *to, uint32_t value)
{
	uint32_t data = value & SECCOMP_RET_DATA;
	const char *name = NULL, *error;

	for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++)
		if (actions[i].action == (value & SECCOMP_RET_ACTION_FULL))
			name = actions[i].name;
	if (!name) {
		fprintf(to, "0x%08" PRIx32, value);
		return;
	}
	fputs(name, to);
	error = strerrorname_np((int)data);
	if ((value & SECCOMP_RET_ACTION_FULL) == SECCOMP_RET_ERRNO && data && error)
		fprintf(to, " %s", error);
	else if (data || (value & SECCOMP_RET_ACTION_FULL) == SECCOMP_RET_ERRNO)
		fprintf(to, " %" PRIu32, data);
}

static const struct {
	uint32_t arch;
	const char *name;
} arches[] = {
	{ AUDIT_ARCH_X86_64, "x86_64" },
	{ AUDIT_ARCH_I386, "i386" },
	{ AUDIT_ARCH_AARCH64, "aarch64" },
};

/* A constant that is compared with the word at `holds`. */
static void print_constant(FILE *to, uint8_t holds, uint32_t k)
{
	char name[64];

	if (holds == HOLDS_OFFSET + offsetof(struct seccomp_data, nr) && k <= INT32_MAX &&
	    syscall_name((int)k, name, sizeof(name))) {
		fputs(name, to);
		return;
	}
	for (size_t i = 0; i < sizeof(arches) / sizeof(arches[0]); i++)
		if (holds == HOLDS_OFFSET + offsetof(struct seccomp_data, arch) &&
		    arches[i].arch == k) {
			fputs(arches[i].name, to);
			return;
		}
	fprintf(to, "0x%" PRIx32, k);
}

/* Where a jump leads, and the verdict if one waits there. */
static void print_target(FILE *to, const struct policy_filter *f, size_t target)
{
	struct sock_filter insn;

	if (target >= f->n_insns) {
		fprintf(to, "%zu (outside)", target);
		return;
	}
	fprintf(to, "%zu", target);
	insn = insn_at(f, target);
	if (insn.code == (BPF_RET | BPF_K)) {
		fputs(" (", to);
		print_verdict(to, insn.k);
		fputc(')', to);
	}
}

static void print_insn(FILE *to, const struct policy_filter *f, size_t i, uint8_t holds)
{
	struct sock_filter insn = insn_at(f, i);

	fprintf(to, "%4zu: ", i);
	if (is_load(insn.code)) {
		fputs("ld ", to);
		print_offset(to, insn.k);
	} else if (insn.code == (BPF_ALU | BPF_AND | BPF_K)) {
		fprintf(to, "and 0x%" PRIx32, insn.k);
	} else if (insn.code == (BPF_RET | BPF_K)) {
		fputs("ret ", to);
		print_verdict(to, insn.k);
	} else if (insn.code == (BPF_JMP | BPF_JA)) {
		fputs("ja -> ", to);
		print_target(to, f, i + 1 + insn.k);
	} else if (test_name(insn.code)) {
		fprintf(to, "%s ", test_name(insn.code));
		print_constant(to, holds, insn.k);
		fputs(" -> ", to);
		print_target(to, f, i + 1 + insn.jt);
		fputs(" else ", to);
		print_target(to, f, i + 1 + insn.jf);
	} else {
		fprintf(to, "0x%04x jt %u jf %u k 0x%" PRIx32, insn.code, insn.jt, insn.jf,
			insn.k);
	}
	fputc('\n', to);
}

void policy_filter_print(FILE *to, const struct policy_filter *f)
{
	uint8_t *holds = follow(f); /* without memory the numbers stay numbers */

	for (size_t i = 0; i < f->n_insns; i++)
		print_insn(to, f, i, holds ? holds[i] : HOLDS_UNKNOWN);
	free(holds);
}

/* ---- one call -------------------------------------------------------------------- */

/* The word of seccomp_data at an offset; the arguments are zero. */
static uint32_t word_at(uint32_t offset, uint32_t number)
{
	if (offset == offsetof(struct seccomp_data, nr))
		return number;
	return offset == offsetof(struct seccomp_data, arch) ? seccomp_arch_native() : 0;
}

/* Whether a conditional jump is taken. */
static bool holds_for(const struct sock_filter *i, uint32_t a)
{
	switch (BPF_OP(i->code)) {
	case BPF_JEQ:
		return a == i->k;
	case BPF_JGT:
		return a > i->k;
	case BPF_JGE:
		return a >= i->k;
	default: /* BPF_JSET */
		return a & i->k;
	}
}

bool policy_filter_answer(const struct policy_filter *f, uint32_t number, uint32_t *ret)
{
	uint32_t a = 0;

	for (size_t pc = 0; pc < f->n_insns; pc++) {
		struct sock_filter i = insn_at(f, pc);

		if (i.code == (BPF_RET | BPF_K)) {
			*ret = i.k;
			return true;
		}
		if (is_load(i.code))
			a = word_at(i.k, number);
		else if (i.code == (BPF_ALU | BPF_AND | BPF_K))
			a &= i.k;
		else if (i.code == (BPF_JMP | BPF_JA))
			pc += i.k;
		else if (test_name(i.code))
			pc += holds_for(&i, a) ? i.jt : i.jf;
		else
			return false;
	}
	return false;
}
