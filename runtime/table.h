/*
 * runtime/table.h - rows of text in aligned columns. Every cell is escaped on its way
 * in, so that a stranger's bytes never reach a terminal. The last column is not padded.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct table;

#define TABLE_COLUMNS 16 /* at most */

/* `heads`: n column names, borrowed for the table's life. NULL: no memory. */
struct table *table_new(const char *const heads[], size_t n);
/* Copies n cells; control bytes and all that is not ASCII are escaped. False: no memory. */
bool table_row(struct table *t, const char *const cells[]);
void table_print(const struct table *t, FILE *to);
void table_free(struct table *t); /* accepts NULL */
void table_freep(struct table **t);
