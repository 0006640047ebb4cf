/* attest/receipt_json.h - the one spelling of a receipt, for whoever signs and verifies. */
#pragma once

#include "attest/receipt.h"

#define RECEIPT_TIME 40u

/* RFC 3339 in UTC with microseconds. */
void receipt_time(int64_t ns, char ret[static RECEIPT_TIME]);
/* Canonical JSON; `signature` is 64 bytes, or NULL for what is signed. */
bool receipt_print(const struct receipt *r, const char *signer, const uint8_t *signature,
		   char ret[static RECEIPT_MAX], size_t *ret_len);
