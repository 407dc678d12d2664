/* What grpo-tune prints. */
#ifndef CG_AUTOTUNE_REPORT_H
#define CG_AUTOTUNE_REPORT_H

#include <stddef.h>
#include <stdio.h>

#include "autotune/contest.h"
#include "autotune/search.h"
#include "autotune/shapes.h"
#include "autotune/store.h"

/* "8x48_avx512 t2 r2 p12 mc224 packed" (threads, division of the rows, prefetch, blocks, whether B is read in place)
 * into buf; returns buf. */
char *cg_plan_text(const struct cg_plan *p, char *buf, size_t size);

struct json_t;

/* What became of one run of the tuner. */
struct cg_tune_report {
    const struct cg_shapes *shapes; /* for several numbers of threads, the same shapes several times */
    const struct cg_found *found;
    size_t left_out; /* shapes that the budget has no room for */
    const int *threads;
    size_t n_threads;
    int interrupted, verbose; /* verbose: tables show all shapes and what is known of each */
    double seconds;
    struct cg_tune_stats stats;
    const struct cg_machine *machine;
    const char *counters_why; /* there are no hardware counters; NULL or "" when there are */
    const char *stored;       /* file; NULL when it could not be written */
    size_t stored_total;
    struct json_t **tried; /* of each shape, by cg_report_tried; NULL: none, nor is the list */
};

struct cg_tune_totals {
    size_t tuned, changed;
    double gain; /* of all tuned shapes together, by importance: 1.05 is 5% faster */
};
struct cg_tune_totals cg_report_totals(const struct cg_tune_report *r);

double cg_tuned_gain(const struct cg_tuned *t);

/* The shapes whose plan changed, what saves most first. `width`: columns of the terminal, 0 for no limit. */
void cg_report_table(FILE *f, const struct cg_tune_report *r, int width);
/* One line: how many, how much; and what was in the way. */
void cg_report_total(FILE *f, const struct cg_tune_report *r);
/* docs/file-formats.md describes it. CG_ERR_MEMORY. */
enum cg_status cg_report_json(FILE *f, const struct cg_tune_report *r);

/* Appends the plans that were timed for a shape to the list *tried, which is made when it is NULL. */
void cg_report_tried(struct json_t **tried, const struct cg_trial *standard, const struct cg_trial *t, size_t n);

void cg_report_store(FILE *f, const char *path, const struct cg_store *s, int width);
enum cg_status cg_report_store_json(FILE *f, const char *path, const struct cg_store *s);

#endif
