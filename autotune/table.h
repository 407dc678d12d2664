/* Tables for people: columns as wide as what is in them, and no more of them than the terminal has room for. */
#ifndef CG_AUTOTUNE_TABLE_H
#define CG_AUTOTUNE_TABLE_H

#include <stddef.h>
#include <stdio.h>

enum { CG_TABLE_COLUMNS = 14, CG_TABLE_CELL = 48 };

struct cg_column {
    const char *title;
    int right; /* numbers */
    int drop;  /* of the columns with the highest of these, above 0, the last goes first when there is no room */
};

struct cg_table {
    const struct cg_column *columns;
    size_t n_columns, rows, capacity;
    char (*cells)[CG_TABLE_COLUMNS][CG_TABLE_CELL]; /* NULL: none yet */
    int failed;                                     /* out of memory: rows are missing */
};

/* A new row of empty cells: write into row[column], at most CG_TABLE_CELL bytes. NULL without memory. */
char (*cg_table_row(struct cg_table *t))[CG_TABLE_CELL];

/* `width`: columns of the terminal, 0 for no limit. */
void cg_table_print(const struct cg_table *t, FILE *f, int width);

void cg_table_free(struct cg_table *t);

#endif
