/* What the model's two files share: predict.c, a call and its threads; predict_blocks.c, what one thread does. */
#ifndef CG_AUTOTUNE_PREDICT_PARTS_H
#define CG_AUTOTUNE_PREDICT_PARTS_H

#include "autotune/predict.h"
#include "kernels/gemm_parts.h"

/* Everything that does not change within a call; bytes are those of one thread. */
struct cg_model {
    const struct cg_rates *r;
    const struct cg_rate_variant *rates; /* of the plan's variant; NULL: only counting */
    const struct cg_plan *plan;
    enum cg_form form;
    size_t n, k;
    size_t bytes_b; /* of an element of B; of A too for dot products */
    size_t bytes_a;
    double others;           /* 0 with one thread, 1 with all: how much threads are in each other's way */
    double ahead;            /* how far panels are prefetched, of as far as it was measured */
    double apart;            /* how far apart the rows of B are, of as far as it was measured */
    double slower;           /* a thread's instructions when so many run */
    size_t share_b, share_a; /* threads that read the same B, the same A */
    double all;              /* the operands of the call */
    double home_b;           /* what passes by before B is read again */
    double home_c;           /* and before C is added to again */
    double memory_cost;      /* seconds a byte */
    int accumulate;
    struct cg_predict_work work;
    double seconds;
};

/* Counts and prices what the thread with `part` does: m->work and m->seconds. */
void cg_model_visit(struct cg_model *m, struct cg_part part);

#endif
