#include "autotune/table.h"

#include <stdlib.h>
#include <string.h>

char (*cg_table_row(struct cg_table *t))[CG_TABLE_CELL]
{
    if (t->rows == t->capacity) {
        size_t more = t->capacity ? 2 * t->capacity : 16;
        void *p = realloc(t->cells, more * sizeof *t->cells);
        if (!p) {
            t->failed = 1;
            return NULL;
        }
        t->cells = p;
        t->capacity = more;
    }
    memset(t->cells[t->rows], 0, sizeof *t->cells);
    return t->cells[t->rows++];
}

/* Leaves out columns (width 0) until a line fits. */
static void fit(const struct cg_table *t, size_t *w, int width)
{
    for (;;) {
        size_t sum = 0, worst = t->n_columns;
        for (size_t c = 0; c < t->n_columns; c++) {
            sum += w[c] ? w[c] + 2 : 0;
            if (w[c] && t->columns[c].drop > 0 &&
                (worst == t->n_columns || t->columns[c].drop >= t->columns[worst].drop))
                worst = c;
        }
        if (!width || sum <= (size_t)width + 2 || worst == t->n_columns) return;
        w[worst] = 0;
    }
}

static void line(const struct cg_table *t, FILE *f, const size_t *w, const char *(*cell)(const void *, size_t),
                 const void *row)
{
    size_t last = 0;
    for (size_t c = 0; c < t->n_columns; c++)
        if (w[c] && *cell(row, c)) last = c;
    for (size_t c = 0; c <= last; c++) {
        if (!w[c]) continue;
        int pad = t->columns[c].right ? (int)w[c] : c < last ? -(int)w[c] : 0;
        fprintf(f, "%*s%s", pad, cell(row, c), c < last ? "  " : "\n");
    }
}

static const char *title(const void *row, size_t c)
{
    return ((const struct cg_column *)row)[c].title;
}

static const char *text(const void *row, size_t c)
{
    return ((const char(*)[CG_TABLE_CELL])row)[c];
}

void cg_table_print(const struct cg_table *t, FILE *f, int width)
{
    size_t w[CG_TABLE_COLUMNS];
    for (size_t c = 0; c < t->n_columns; c++) {
        w[c] = 0;
        for (size_t r = 0; r < t->rows; r++) {
            size_t len = strlen(t->cells[r][c]);
            if (len > w[c]) w[c] = len;
        }
        size_t len = strlen(t->columns[c].title);
        if (w[c] && len > w[c]) w[c] = len; /* a column with nothing in it is left out */
    }
    fit(t, w, width);
    line(t, f, w, title, t->columns);
    for (size_t r = 0; r < t->rows; r++) line(t, f, w, text, t->cells[r]);
}

void cg_table_free(struct cg_table *t)
{
    free(t->cells);
    t->cells = NULL;
    t->rows = t->capacity = 0;
}
