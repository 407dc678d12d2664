/* The memory of a GRPO step: made once with the session, so that steps allocate nothing. */
#ifndef CG_RUNTIME_RL_STEP_H
#define CG_RUNTIME_RL_STEP_H

#include "runtime/rl/rollout.h"

struct cg_step {
    struct cg_rollout r;
    float *advantage, *weight;
    size_t *len;
    int *truncated;
    struct cg_grpo_token *tokens; /* by row of a micro-batch */
    struct cg_row_stats *stats, *ref;
    const int32_t **ids; /* [num_generations] */
};

/* On failure *out may hold what cg_step_free takes. */
enum cg_status cg_step_create(const struct cg_session *s, struct cg_step **out);
void cg_step_free(struct cg_step *p);

#endif
