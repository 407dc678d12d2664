#include <string.h>

#include "runtime/rl/grpo.h"

/* The position of `value` among names separated by '|', as the option table has them. */
static enum cg_status choose(const char *key, const char *value, const char *names, int *out)
{
    size_t len = strlen(value);
    *out = 0;
    for (const char *p = names; *p; (*out)++) {
        size_t n = strcspn(p, "|");
        if (n == len && strncmp(p, value, n) == 0) return CG_OK;
        p += n + (p[n] == '|');
    }
    return cg_fail(CG_ERR_USER, "%s '%s' is unknown; use one of %s", key, value, names);
}

static enum cg_status check(const struct cg_run_config *c, const struct cg_grpo_options *o)
{
    int truncates = o->correction_mode == CG_TOKEN_TRUNCATE || o->correction_mode == CG_SEQUENCE_TRUNCATE;
    if (o->correct_sampling && truncates && o->clip_max == 0.0f && o->clip_min == 0.0f)
        return cg_fail(CG_ERR_USER,
                       "importance_sampling_mode %s needs importance_sampling_clip_max or importance_sampling_clip_min",
                       c->importance_sampling_mode);
    if (c->sync_ref_model && o->beta == 0.0f)
        return cg_fail(CG_ERR_USER, "sync_ref_model is true and beta 0: there is no reference model to move; set beta");
    if (o->clip_max > 0 && o->clip_min >= o->clip_max)
        return cg_fail(CG_ERR_USER,
                       "importance_sampling_clip_min (%g) must be less than importance_sampling_clip_max (%g)",
                       (double)o->clip_min, (double)o->clip_max);
    return CG_OK;
}

enum cg_status cg_grpo_options_set(const struct cg_run_config *c, struct cg_grpo_options *o)
{
    int loss, scale, level, estimator, mode;
    CG_TRY(choose("loss_type", c->loss_type, "grpo|bnpo|dr_grpo|dapo|cispo", &loss));
    CG_TRY(choose("scale_rewards", c->scale_rewards, "group|batch|none", &scale));
    CG_TRY(choose("importance_sampling_level", c->importance_sampling_level, "token|sequence", &level));
    CG_TRY(choose("kl_estimator", c->kl_estimator, "k1|k2|k3", &estimator));
    CG_TRY(choose("importance_sampling_mode", c->importance_sampling_mode,
                  "token_truncate|token_mask|sequence_truncate|sequence_mask", &mode));
    *o = (struct cg_grpo_options){
        .loss_type = (enum cg_loss_type)loss,
        .scale_rewards = (enum cg_scale_rewards)scale,
        .ratio_level = (enum cg_ratio_level)level,
        .epsilon_low = (float)c->epsilon,
        .epsilon_high = (float)(c->epsilon_high < 0 ? c->epsilon : c->epsilon_high),
        .delta = (float)c->delta,
        .beta = (float)c->beta,
        .kl_estimator = (enum cg_kl_estimator)estimator,
        .use_bias_correction_kl = c->use_bias_correction_kl,
        .correct_sampling = c->importance_sampling_correction,
        .correction_mode = (enum cg_correction_mode)mode,
        .clip_min = (float)c->importance_sampling_clip_min,
        .clip_max = (float)c->importance_sampling_clip_max,
        .num_generations = (size_t)c->num_generations,
        .num_iterations = (size_t)c->num_iterations,
        .max_completion_length = (size_t)c->max_completion_length,
        .micro_batch = (size_t)c->per_device_train_batch_size,
        .mask_truncated_completions = c->mask_truncated_completions,
    };
    return check(c, o);
}
