/* What grpo-tune prints. */
#ifndef CG_AUTOTUNE_REPORT_H
#define CG_AUTOTUNE_REPORT_H

#include <stddef.h>
#include <stdio.h>

#include "autotune/search.h"
#include "autotune/shapes.h"
#include "autotune/store.h"

/* "8x48_avx512 t2 r2 p12 mc224 packed" (threads, division of the rows, prefetch, blocks, whether B is read in place)
 * into buf; returns buf. */
char *cg_plan_text(const struct cg_plan *p, char *buf, size_t size);

/* What became of one tuning run. */
struct cg_tune_report {
    const struct cg_shapes *shapes;
    const struct cg_found *found;
    size_t left_out; /* shapes that the budget has no room for */
    int threads, interrupted;
    double seconds;
    struct cg_tune_stats stats;
    const char *stored; /* file; NULL when it could not be written */
    size_t stored_total;
};

void cg_report_table(FILE *f, const struct cg_tune_report *r);
/* One line: how many, how much. */
void cg_report_total(FILE *f, const struct cg_tune_report *r);
/* CG_ERR_MEMORY. */
enum cg_status cg_report_json(FILE *f, const struct cg_tune_report *r);

void cg_report_store(FILE *f, const char *path, const struct cg_store *s);
enum cg_status cg_report_store_json(FILE *f, const char *path, const struct cg_store *s);

#endif
