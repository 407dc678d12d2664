/* How long a GEMM takes with a plan, from what the machine was measured to reach: no product is run. The model and its
 * constants are explained in docs/tuning-model.md. */
#ifndef CG_AUTOTUNE_PREDICT_H
#define CG_AUTOTUNE_PREDICT_H

#include <stddef.h>

#include "autotune/plan.h"
#include "autotune/rates.h"
#include "detect/machine.h"

/* Seconds of one call of C[rows][n] with reduction k: NT with B packed before, NN and TN as training calls them (TN
 * adds to C). cold: B (and C of TN, gradients) comes from memory; else the call is one of many on the same operands. Of
 * any machine and its rates. A few microseconds at most. Negative where the rates do not have the plan's variant. */
double cg_predict_gemm(const struct cg_machine *m, const struct cg_rates *r, enum cg_form form,
                       const struct cg_plan *plan, size_t rows, size_t n, size_t k, int cold);

/* What one thread does in that call, counted without going through it. */
struct cg_predict_work {
    double tiles;     /* calls of the micro-kernel */
    double steps;     /* of the reduction, in all of them */
    double row_steps; /* rows times steps */
    double edges;     /* rows of tiles that reach past the last column */
    double packed_b;  /* elements packed of B */
    double packed_a;  /* and of a transposed A */
};
void cg_predict_count(enum cg_form form, const struct cg_plan *plan, size_t rows, size_t n, size_t k, size_t thread,
                      struct cg_predict_work *work);

#endif
