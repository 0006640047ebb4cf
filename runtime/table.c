/* runtime/table.c - see table.h. */
#include "runtime/table.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/runtime.h"

struct table {
	const char *const *heads;
	size_t columns, rows, room;
	char **cells; /* rows * columns, row by row */
};

struct table *table_new(const char *const heads[], size_t n)
{
	struct table *t = calloc(1, sizeof(*t));

	assert(n > 0 && n <= TABLE_COLUMNS);
	if (t) {
		t->heads = heads;
		t->columns = n;
	}
	return t;
}

static bool make_room(struct table *t)
{
	size_t room = t->room ? 2 * t->room : 16;
	char **cells;

	if (t->rows < t->room)
		return true;
	cells = reallocarray(t->cells, room, t->columns * sizeof(*cells));
	if (!cells)
		return false;
	t->cells = cells;
	t->room = room;
	return true;
}

static char *clean_copy(const char *text)
{
	size_t size = 4 * strlen(text) + 1;
	char *copy = malloc(size);

	if (copy)
		text_escape(copy, size, text);
	return copy;
}

bool table_row(struct table *t, const char *const cells[])
{
	char **row;

	if (!make_room(t))
		return false;
	row = t->cells + t->rows * t->columns;
	for (size_t i = 0; i < t->columns; i++) {
		row[i] = clean_copy(cells[i]);
		if (!row[i]) {
			while (i > 0)
				free(row[--i]);
			return false;
		}
	}
	t->rows++;
	return true;
}

/* Characters, not bytes: all but the continuation bytes of UTF-8. */
static size_t characters(const char *text)
{
	size_t n = 0;

	for (; *text; text++)
		n += ((unsigned char)*text & 0xc0) != 0x80;
	return n;
}

static size_t width(const struct table *t, size_t column)
{
	size_t widest = characters(t->heads[column]);

	for (size_t r = 0; r < t->rows; r++) {
		size_t n = characters(t->cells[r * t->columns + column]);

		widest = n > widest ? n : widest;
	}
	return widest;
}

static void print_line(const struct table *t, const size_t *widths, const char *const *cells,
		       FILE *to)
{
	size_t last = t->columns - 1;

	/* Nothing is printed behind a line's last text. */
	while (last > 0 && cells[last][0] == '\0')
		last--;
	for (size_t i = 0; i < last; i++)
		fprintf(to, "%s%*s", cells[i], (int)(widths[i] - characters(cells[i]) + 2), "");
	fprintf(to, "%s\n", cells[last]);
}

void table_print(const struct table *t, FILE *to)
{
	size_t widths[TABLE_COLUMNS] = { 0 };

	for (size_t i = 0; i < t->columns; i++)
		widths[i] = width(t, i);
	print_line(t, widths, t->heads, to);
	for (size_t r = 0; r < t->rows; r++)
		print_line(t, widths, (const char *const *)t->cells + r * t->columns, to);
}

void table_free(struct table *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->rows * t->columns; i++)
		free(t->cells[i]);
	free(t->cells);
	free(t);
}

void table_freep(struct table **t)
{
	table_free(*t);
	*t = NULL;
}
