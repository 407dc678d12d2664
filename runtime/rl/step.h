/* The memory of a GRPO step: made once with the session, so that steps allocate nothing. */
#ifndef CG_RUNTIME_RL_STEP_H
#define CG_RUNTIME_RL_STEP_H

#include "runtime/rl/loss.h"
#include "runtime/rl/rollout.h"

struct cg_step {
    struct cg_rollout r;
    struct cg_rollout more; /* dynamic sampling: candidates for the places of groups without spread */
    size_t iteration;       /* updates made from this rollout; 0: the next step makes a new one */
    float *advantage, *weight;
    size_t *len, *rows; /* tokens of each completion, and those that count: all, or none of a truncated one */
    int *truncated;
    size_t *order; /* [prompts] the groups as they go through the trainer: first the `idle` ones, without a gradient */
    size_t idle;
    struct cg_grpo_completion *completions;
    struct cg_grpo_token *tokens; /* the counting ones, in that order */
    int corrected;                /* drawn from another distribution than the policy's */
    struct cg_sampling_sums sampling;
    struct cg_step_stats stats;     /* what the rollout tells */
    struct cg_row_stats *row_stats; /* [batch_rows], of a batch */
    struct cg_logits_coef *coef;
    const int32_t **ids; /* [num_generations] */
};

/* On failure *out may hold what cg_step_free takes. */
enum cg_status cg_step_create(const struct cg_session *s, struct cg_step **out);
void cg_step_free(struct cg_step *p);

/* Lists the counting tokens of a new rollout whose advantages are known, and says whether they are to be corrected. */
void cg_step_list_tokens(const struct cg_session *s, struct cg_step *p);

/* The loss of all completions, and its gradient into the trainer. */
enum cg_status cg_step_gradient(struct cg_session *s, struct cg_step *p);

/* Replaces groups of p->r whose rewards are all the same by groups of the next prompts of the stage that have spread,
 * in at most dynamic_sampling_max_rounds rounds with the first; counts rounds and groups in p->stats. What is left
 * without spread then stays. */
enum cg_status cg_step_replace_groups(struct cg_session *s, struct cg_step *p, size_t stage);

#endif
