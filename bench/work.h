/* Useful work of a GRPO step: the multiplications and additions of its definition, whatever is done beside. */
#ifndef CG_BENCH_WORK_H
#define CG_BENCH_WORK_H

#include "runtime/rl/step.h"

/* Operations (a multiplication and an addition are two). Each shared prompt counts once, logits only where a token is
 * chosen or scored, causal attention half, and no activation that is computed again. Groups without a gradient need
 * no training. */
struct cg_work {
    double generate, train;
};

/* Of the step that the session made last, with one update (num_iterations 1). */
struct cg_work cg_step_work(const struct cg_session *s);

/* Forward and backward of `n` sequences of `length` tokens with the logits of `rows` tokens of each. */
double cg_sequences_work(const struct cg_config *c, double n, double length, double rows);

#endif
