/* The search for the best plans within a budget of time. */
#ifndef CG_AUTOTUNE_SEARCH_H
#define CG_AUTOTUNE_SEARCH_H

#include <signal.h>
#include <stddef.h>

#include "autotune/shapes.h"
#include "autotune/store.h"
#include "common/status.h"
#include "detect/machine.h"

struct cg_tuner {
    const struct cg_machine *machine;
    int threads;
    double budget;                     /* seconds */
    const volatile sig_atomic_t *stop; /* set by Ctrl-C: what is finished is kept; may be NULL */
    /* Called now and then: shapes done, all shapes, seconds left, the shape at work. May be NULL. */
    void (*progress)(void *ctx, size_t done, size_t all, double left, const struct cg_shape *s);
    void *ctx;
};

/* What became of one shape. */
struct cg_found {
    struct cg_tuned tuned;   /* as the store keeps it; its plan is the chosen one */
    struct cg_plan standard; /* the default plan */
    size_t candidates;       /* that were timed; 0: the shape was not reached */
    int wrong;               /* candidates that gave other bits than the default (a fault of a kernel) */
};

/* How undisturbed a run was. */
struct cg_tune_stats {
    size_t batches, disturbed; /* disturbed: measured again, since other programs held the processors */
};

/* Times plans for all of `shapes` (sorted by cg_shapes_sort) and fills found[shapes->n]. A plan is chosen over the
 * default only when it gives the same bits and is faster by more than timing noise. CG_ERR_MEMORY; being stopped or out
 * of time is no error. */
enum cg_status cg_tune(const struct cg_tuner *t, const struct cg_shapes *shapes, struct cg_found *found,
                       struct cg_tune_stats *stats);

#endif
