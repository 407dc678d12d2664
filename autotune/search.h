/* The search for the best plans within a budget of time. */
#ifndef CG_AUTOTUNE_SEARCH_H
#define CG_AUTOTUNE_SEARCH_H

#include <signal.h>
#include <stddef.h>

#include "autotune/contest.h"
#include "autotune/shapes.h"
#include "autotune/store.h"
#include "common/status.h"
#include "detect/machine.h"

struct cg_rates;

/* What became of one shape. */
struct cg_found {
    struct cg_tuned tuned;   /* as the store keeps it; its plan is the chosen one */
    struct cg_plan standard; /* the default plan */
    double ratio, lo, hi;    /* time of the chosen plan over the default's, and its interval at 98% confidence */
    size_t samples;          /* pairs behind that; 0: the default stayed without a contest */
    struct cg_counts counts, counts_default; /* of one call, where there are counters */
    size_t candidates;                       /* plans that were timed; 0: the shape was not reached */
    int too_long;                            /* for its part of the budget: it was not tried */
    int wrong; /* candidates that gave other bits than the default (a fault of a kernel) */
};

struct cg_tuner {
    const struct cg_machine *machine;
    const struct cg_rates *rates; /* what the machine reaches: the model's first choices are timed; NULL: those nearest
                                     to the default */
    int threads;
    double budget;                     /* seconds */
    size_t breadth;                    /* plans of each shape that are timed at first, at most; 0: 20 */
    const volatile sig_atomic_t *stop; /* set by Ctrl-C: what is finished is kept; may be NULL */
    struct cg_counters *counters;      /* or NULL: what the default and the chosen plan do is counted */
    /* All three may be NULL. After every batch: shapes done, all shapes, seconds left, the shape at work. */
    void (*progress)(void *ctx, size_t done, size_t all, double left, const struct cg_shape *s);
    /* What is finished, as soon as it is: the n shapes of one packed weight; a shape later again when another
     * measurement has changed what is known of it. */
    void (*finished)(void *ctx, const struct cg_shape *shapes, const struct cg_found *found, size_t n);
    /* Every plan that was timed for a shape: the default, then n others. */
    void (*tried)(void *ctx, const struct cg_shape *s, const struct cg_trial *standard, const struct cg_trial *t,
                  size_t n);
    void *ctx;
};

/* Times plans for all of `shapes` (sorted by cg_shapes_sort) and fills found[shapes->n]. A plan is chosen over the
 * default only when it gives the same bits and is surely faster: ties keep the default. CG_ERR_MEMORY; being stopped or
 * out of time is no error. */
enum cg_status cg_tune(const struct cg_tuner *t, const struct cg_shapes *shapes, struct cg_found *found,
                       struct cg_tune_stats *stats);

#endif
