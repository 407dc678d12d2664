/* GRPO (Shao et al. 2024): its options, and advantages within groups, with the names and defaults of TRL's GRPOTrainer;
 * loss.h has the loss. Pure functions over arrays; docs/grpo.md has the formulas and their sources. */
#ifndef CG_RUNTIME_RL_GRPO_H
#define CG_RUNTIME_RL_GRPO_H

#include <stddef.h>

#include "common/status.h"
#include "runtime/config/config.h"

enum cg_loss_type { CG_LOSS_GRPO, CG_LOSS_BNPO, CG_LOSS_DR_GRPO, CG_LOSS_DAPO, CG_LOSS_CISPO };
enum cg_scale_rewards { CG_SCALE_GROUP, CG_SCALE_BATCH, CG_SCALE_NONE };
enum cg_ratio_level { CG_RATIO_TOKEN, CG_RATIO_SEQUENCE };
enum cg_kl_estimator { CG_KL_K1, CG_KL_K2, CG_KL_K3 };
enum cg_correction_mode { CG_TOKEN_TRUNCATE, CG_TOKEN_MASK, CG_SEQUENCE_TRUNCATE, CG_SEQUENCE_MASK };

struct cg_grpo_options {
    enum cg_loss_type loss_type;
    enum cg_scale_rewards scale_rewards;
    enum cg_ratio_level ratio_level; /* importance_sampling_level */
    float epsilon_low, epsilon_high;
    float delta; /* upper bound of the ratio that is not clipped by epsilon; 0: none */
    float beta;  /* weight of the KL term; 0: no reference policy */
    enum cg_kl_estimator kl_estimator;
    int use_bias_correction_kl;
    int correct_sampling; /* importance_sampling_correction */
    enum cg_correction_mode correction_mode;
    float clip_min, clip_max; /* of the correction; clip_max 0: no bound */
    size_t num_generations, num_iterations;
    size_t max_completion_length;
    size_t micro_batch; /* completions of one accumulation step; normalises loss_type grpo, bnpo and dr_grpo */
    int mask_truncated_completions;
};

/* What a run's options say. CG_ERR_USER: they do not fit each other. */
enum cg_status cg_grpo_options_set(const struct cg_run_config *c, struct cg_grpo_options *o);

struct cg_reward_stats {
    double mean, std; /* over all rewards */
    double frac_reward_zero_std;
};

/* advantage[i] for n rewards in groups of num_generations: (r - mean(group)) / (std + 1e-4), the standard deviation of
 * the group, of the batch, or not divided at all. */
void cg_grpo_advantages(const struct cg_grpo_options *o, size_t n, const float *reward, float *advantage,
                        struct cg_reward_stats *stats);

/* weight[i]: what the loss of each token of completion i is multiplied with, given all n completions' lengths and
 * whether each was cut off at max_completion_length. */
void cg_grpo_weights(const struct cg_grpo_options *o, size_t n, const size_t *len, const int *truncated, float *weight);

#endif
