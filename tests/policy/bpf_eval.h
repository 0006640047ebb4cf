/*
 * tests/policy/bpf_eval.h - runs a filter on a call, as the kernel would, and refuses
 * programs that the kernel would refuse. For tests; knows only what filters here use.
 */
#pragma once

#include "policy/policy.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BPF_STUCK 0xdead0000u /* no verdict: not one that any filter returns */

static inline uint32_t bpf_eval(const struct policy_filter *f, const struct seccomp_data *d)
{
	uint32_t a = 0;

	for (size_t pc = 0; pc < f->n_insns; pc++) {
		struct sock_filter i;

		memcpy(&i, f->insns + pc * sizeof(i), sizeof(i));
		switch (i.code) {
		case BPF_LD | BPF_W | BPF_ABS:
			if (i.k % 4 || i.k >= sizeof(*d))
				return BPF_STUCK;
			memcpy(&a, (const char *)d + i.k, sizeof(a));
			break;
		case BPF_ALU | BPF_AND | BPF_K:
			a &= i.k;
			break;
		case BPF_JMP | BPF_JA:
			pc += i.k;
			break;
		case BPF_JMP | BPF_JEQ | BPF_K:
			pc += a == i.k ? i.jt : i.jf;
			break;
		case BPF_JMP | BPF_JGT | BPF_K:
			pc += a > i.k ? i.jt : i.jf;
			break;
		case BPF_JMP | BPF_JGE | BPF_K:
			pc += a >= i.k ? i.jt : i.jf;
			break;
		case BPF_RET | BPF_K:
			return i.k;
		default:
			return BPF_STUCK;
		}
	}
	return BPF_STUCK;
}

#ifdef __x86_64__
#define BPF_NATIVE AUDIT_ARCH_X86_64
#else
#define BPF_NATIVE AUDIT_ARCH_AARCH64
#endif

/* A native call with up to six arguments, as registers. */
static inline uint32_t bpf_call(const struct policy_filter *f, int nr, uint64_t a0, uint64_t a1,
				uint64_t a2)
{
	const struct seccomp_data d = { .nr = nr, .arch = BPF_NATIVE, .args = { a0, a1, a2 } };

	return bpf_eval(f, &d);
}
