/* GRPO (Shao et al. 2024): advantages within groups and the clipped loss, with the options, defaults and metric names
 * of TRL's GRPOTrainer. Pure functions over arrays. */
#ifndef CG_RUNTIME_RL_GRPO_H
#define CG_RUNTIME_RL_GRPO_H

#include <stddef.h>

#include "common/status.h"
#include "runtime/nn/train.h"

enum cg_loss_type { CG_LOSS_GRPO, CG_LOSS_BNPO, CG_LOSS_DR_GRPO, CG_LOSS_DAPO };
enum cg_scale_rewards { CG_SCALE_GROUP, CG_SCALE_BATCH, CG_SCALE_NONE };

struct cg_grpo_options {
    enum cg_loss_type loss_type;
    enum cg_scale_rewards scale_rewards;
    float epsilon_low, epsilon_high;
    float beta; /* weight of the KL term (k3 estimator); 0: no reference policy */
    size_t num_generations;
    size_t max_completion_length;
    size_t micro_batch; /* completions of one accumulation step; normalises loss_type grpo and bnpo */
    int mask_truncated_completions;
};

/* The names in configuration files; CG_ERR_USER lists the valid ones. */
enum cg_status cg_loss_type_parse(const char *name, enum cg_loss_type *out);
enum cg_status cg_scale_rewards_parse(const char *name, enum cg_scale_rewards *out);

struct cg_reward_stats {
    double mean, std; /* std: mean of the groups' (or the batch's) standard deviations, as TRL logs it */
    double frac_reward_zero_std;
};

/* advantage[i] for n rewards in groups of num_generations: (r - mean(group)) / (std + 1e-4), the standard deviation of
 * the group, of the batch, or not divided at all. */
void cg_grpo_advantages(const struct cg_grpo_options *o, size_t n, const float *reward, float *advantage,
                        struct cg_reward_stats *stats);

/* weight[i]: what the loss of each token of completion i is multiplied with, given all n completions' lengths and
 * whether each was cut off at max_completion_length. */
void cg_grpo_weights(const struct cg_grpo_options *o, size_t n, const size_t *len, const int *truncated, float *weight);

/* One prediction of the batch. */
struct cg_grpo_token {
    float advantage, weight;
    float old_logprob; /* when it was sampled */
    float ref_logprob; /* under the reference policy; unused when beta is 0 */
};

/* The loss as a cg_loss_fn: ctx points to this. Sums are in f64 over the rows in order. */
struct cg_grpo_loss {
    const struct cg_grpo_options *o;
    const struct cg_grpo_token *tokens; /* by row of the batch */
    double loss, kl, entropy, tokens_seen;
    double low_clipped, high_clipped, max_ratio_error; /* max |logprob - old_logprob| */
};
cg_loss_fn cg_grpo_loss;

#endif
