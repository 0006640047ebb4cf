/*
 * attest/crc32c.h - CRC-32C (RFC 3720, appendix B.4), as the journals of the log and of
 * sessions have it: it finds torn writes, and stops nobody who means harm.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Of `n` bytes; `before` is that of the bytes in front of them, 0 where there are none. */
uint32_t crc32c(uint32_t before, const void *bytes, size_t n);
