/*
 * policy/syscall_args.h - what this machine's kernel takes for a system call: its
 * number, and which of its parameters are 32 bits wide. Private to the module.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum {
	SYSCALL_ELSEWHERE = -1, /* a name of other architectures: never called here */
	SYSCALL_UNKNOWN = -2,   /* nobody knows that name */
};

/* The number of `name` on this architecture, or one of the above. */
int syscall_number(const char *name);
/* The name of `number` into `to` (cut to fit); false when it has none. */
bool syscall_name(int number, char *to, size_t size);
/* Whether only the low 32 bits of parameter `index` (from 0) have an effect. */
bool syscall_narrow(const char *name, unsigned index);
