/* Learning rates over the updates of a run, with the names and formulas of transformers' lr_scheduler_type. */
#ifndef CG_RUNTIME_OPTIM_SCHEDULE_H
#define CG_RUNTIME_OPTIM_SCHEDULE_H

#include <stddef.h>

struct cg_schedule {
    const char *type; /* "linear", "cosine", "constant", "constant_with_warmup", "cosine_with_min_lr",
                       * "cosine_with_restarts", "polynomial", "inverse_sqrt"; others are linear */
    double lr;        /* the peak */
    double min_lr;    /* where cosine_with_min_lr and polynomial end */
    double power;     /* of polynomial */
    size_t cycles;    /* of cosine_with_restarts */
    size_t total;     /* updates */
    size_t warmup;    /* updates of linear rise from 0; none in "constant" */
};

/* Learning rate of update `step`, from 0. */
double cg_schedule_at(const struct cg_schedule *s, size_t step);

/* Updates of warm-up: `steps`, or where that is 0 the share `ratio` of `total`, rounded up. */
size_t cg_schedule_warmup(size_t steps, double ratio, size_t total);

#endif
