/* AdamW (Loshchilov & Hutter 2019) over the trained parameters, gradient clipping. */
#ifndef CG_RUNTIME_OPTIM_ADAMW_H
#define CG_RUNTIME_OPTIM_ADAMW_H

#include <stddef.h>

#include "common/status.h"
#include "kernels/registry.h"
#include "runtime/nn/params.h"
#include "runtime/optim/moments.h"

#define CG_OPTIMIZER_CHUNK ((size_t)65536) /* parameters that one task works on */

struct cg_adamw_options {
    float beta1, beta2, eps, weight_decay;
    float max_grad_norm; /* 0: gradients are not clipped */
    int bits8;           /* moments in 8 bits */
};

struct cg_optimizer {
    struct cg_adamw_options o;
    const struct cg_rowops *rows;
    int threads;
    const struct cg_params *params; /* not owned */
    struct cg_moments moments;      /* of the trained parameters */
    unsigned long step;             /* updates done */
};

enum cg_status cg_optimizer_create(const struct cg_params *params, const struct cg_rowops *rows, int threads,
                                   const struct cg_adamw_options *o, struct cg_optimizer *out);
void cg_optimizer_free(struct cg_optimizer *opt);

/* Forgets the moments and the step count: a new phase of training begins. */
void cg_optimizer_reset(struct cg_optimizer *opt);

/* Global L2 norm of grad[n]: sums of squares of fixed chunks, added in order in f64, whatever the threads. */
double cg_grad_norm(const struct cg_rowops *rows, const float *grad, size_t n, int threads);

/* One update of the trained parameters from their gradient; *norm receives its norm before clipping. Weight decay
 * spares vectors (norms). A norm that is not finite leaves weights, moments and the count of updates as they are; the
 * caller looks at *norm. */
enum cg_status cg_optimizer_step(struct cg_optimizer *opt, const float *grad, double lr, double *norm);

#endif
