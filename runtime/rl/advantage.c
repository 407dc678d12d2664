#include <math.h>

#include "runtime/rewards/rewards.h"
#include "runtime/rl/grpo.h"

/* Completions that no reward function applies to (NAN) are left out, as in TRL. */
static void mean_std(const float *x, size_t n, double *mean, double *std)
{
    cg_reward_mean_std(n, x, mean, std);
    if (isnan(*std)) *std = 0.0;
}

void cg_grpo_advantages(const struct cg_grpo_options *o, size_t n, const float *reward, float *advantage,
                        struct cg_reward_stats *stats)
{
    size_t g = o->num_generations;
    double batch_mean, batch_std;
    mean_std(reward, n, &batch_mean, &batch_std);
    size_t zero = 0;
    for (size_t first = 0; first < n; first += g) {
        double mean, std;
        mean_std(reward + first, g, &mean, &std);
        double by = o->scale_rewards == CG_SCALE_BATCH ? batch_std : std;
        zero += by <= 1e-8;
        for (size_t i = first; i < first + g; i++) {
            double a = (double)reward[i] - mean;
            if (isnan(a)) a = 0; /* nothing is known of it: it neither gains nor loses */
            advantage[i] = (float)(o->scale_rewards == CG_SCALE_NONE ? a : a / (by + 1e-4));
        }
    }
    stats->mean = batch_mean;
    stats->std = batch_std;
    stats->frac_reward_zero_std = n ? (double)zero / (double)(n / g) : 0;
}

/* Completions [first, end): the tokens that count, and completions. */
static size_t counted(const struct cg_grpo_options *o, size_t first, size_t end, const size_t *len,
                      const int *truncated)
{
    size_t sum = 0;
    for (size_t i = first; i < end; i++)
        if (!(o->mask_truncated_completions && truncated[i])) sum += len[i];
    return sum;
}

void cg_grpo_weights(const struct cg_grpo_options *o, size_t n, const size_t *len, const int *truncated, float *weight)
{
    double all = (double)counted(o, 0, n, len, truncated);
    double steps = ceil((double)n / (double)o->micro_batch); /* accumulation steps */
    for (size_t first = 0; first < n; first += o->micro_batch) {
        size_t end = n - first < o->micro_batch ? n : first + o->micro_batch;
        double micro = (double)counted(o, first, end, len, truncated), rows = (double)(end - first);
        for (size_t i = first; i < end; i++) {
            double by = 1;
            switch (o->loss_type) {
            case CG_LOSS_GRPO: by = (double)(len[i] ? len[i] : 1) * rows * steps; break;
            case CG_LOSS_BNPO: by = (micro > 1 ? micro : 1) * steps; break;
            case CG_LOSS_DR_GRPO: by = rows * (double)o->max_completion_length * steps; break;
            case CG_LOSS_DAPO:
            case CG_LOSS_CISPO: by = all > 1 ? all : 1; break;
            }
            weight[i] = o->mask_truncated_completions && truncated[i] ? 0.0f : (float)(1.0 / by);
        }
    }
}
