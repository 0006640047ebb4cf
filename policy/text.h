/*
 * policy/text.h - text that somebody else wrote, on its way to a terminal or a log.
 * Used by every program that prints. Thread-safe.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Whole UTF-8 that a terminal shows as it is: no control characters, line separators or
 * marks that reorder what a person reads. */
bool text_clean(const char *s);
/* `from` as clean text: what is not becomes \xNN, what does not fit is cut off at a whole
 * character. Always terminated (for size > 0). */
void text_escape(char *to, size_t size, const char *from);
