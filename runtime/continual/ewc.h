/* Elastic weight consolidation (Kirkpatrick et al. 2017), online form with a decay of 1 (Schwarz et al. 2018): after
 * each stage the diagonal Fisher information of that stage is added to what is there, and the anchor moves to the
 * weights it ended with. Penalty: lambda/2 * sum_i F_i (w_i - anchor_i)^2. */
#ifndef CG_RUNTIME_CONTINUAL_EWC_H
#define CG_RUNTIME_CONTINUAL_EWC_H

#include <stddef.h>

#include "runtime/nn/params.h"

struct cg_ewc {
    const struct cg_params *params; /* not owned */
    int threads;
    float *fisher, *anchor; /* [params->n] */
    size_t stages;          /* consolidated so far */
};

enum cg_status cg_ewc_create(const struct cg_params *params, int threads, struct cg_ewc *out);
void cg_ewc_free(struct cg_ewc *e);

/* fisher += share * grad^2: one sequence's gradient of its own log-probability, squared by itself (a batch's summed
 * gradient squared is another thing). */
void cg_ewc_add_sample(struct cg_ewc *e, const float *grad, float share);

/* Makes the parameters the anchor: the stage is finished. */
void cg_ewc_consolidate(struct cg_ewc *e);

/* grad += lambda * F * (w - anchor); returns the penalty (f64 over fixed chunks in order). */
double cg_ewc_gradient(const struct cg_ewc *e, float lambda, float *grad);

#endif
