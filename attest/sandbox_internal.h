/* attest/sandbox_internal.h - what the two halves of a sandbox's token share. */
#pragma once

#include "attest/sandbox_token.h"

/* The first member that is not of its form, or NULL. Who writes and who reads ask alike. */
const char *sandbox_facts_wrong(const struct sandbox_facts *f);
