#include "runtime/rl/grpo.h"

#include <math.h>
#include <string.h>

#include "common/math.h"

static const char *const loss_names[] = {"grpo", "bnpo", "dr_grpo", "dapo"};
static const char *const scale_names[] = {"group", "batch", "none"};

enum cg_status cg_loss_type_parse(const char *name, enum cg_loss_type *out)
{
    for (int i = 0; i < 4; i++)
        if (strcmp(name, loss_names[i]) == 0) {
            *out = (enum cg_loss_type)i;
            return CG_OK;
        }
    return cg_fail(CG_ERR_USER, "loss_type '%s' is unknown; use grpo, bnpo, dr_grpo or dapo", name);
}

enum cg_status cg_scale_rewards_parse(const char *name, enum cg_scale_rewards *out)
{
    for (int i = 0; i < 3; i++)
        if (strcmp(name, scale_names[i]) == 0) {
            *out = (enum cg_scale_rewards)i;
            return CG_OK;
        }
    return cg_fail(CG_ERR_USER, "scale_rewards '%s' is unknown; use group, batch or none", name);
}

static void mean_std(const float *x, size_t n, double *mean, double *std)
{
    double s = 0, q = 0;
    for (size_t i = 0; i < n; i++) s += (double)x[i];
    *mean = s / (double)n;
    for (size_t i = 0; i < n; i++) q += ((double)x[i] - *mean) * ((double)x[i] - *mean);
    *std = n > 1 ? sqrt(q / (double)(n - 1)) : 0.0; /* Bessel's correction, as torch.std has it */
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
            case CG_LOSS_DAPO: by = all > 1 ? all : 1; break;
            }
            weight[i] = o->mask_truncated_completions && truncated[i] ? 0.0f : (float)(1.0 / by);
        }
    }
}

void cg_grpo_loss(void *ctx, size_t first, size_t n, const struct cg_row_stats *stats, struct cg_logits_coef *coef)
{
    struct cg_grpo_loss *l = ctx;
    const struct cg_grpo_options *o = l->o;
    for (size_t i = 0; i < n; i++) {
        const struct cg_grpo_token *t = &l->tokens[first + i];
        float lp = stats[i].logprob, ratio = cg_expf(lp - t->old_logprob), a = t->advantage;
        float low = 1.0f - o->epsilon_low, high = 1.0f + o->epsilon_high;
        float clipped = ratio < low ? low : ratio > high ? high : ratio;
        float unclipped_loss = ratio * a, clipped_loss = clipped * a;
        int through = unclipped_loss <= clipped_loss; /* the minimum lets the gradient pass */
        float loss = -(through ? unclipped_loss : clipped_loss), grad = through ? -(ratio * a) : 0.0f;
        if (o->beta != 0.0f) {
            float d = t->ref_logprob - lp, e = cg_expf(d), kl = e - d - 1.0f;
            loss += o->beta * kl;
            grad += o->beta * (1.0f - e);
            l->kl += (double)kl;
        }
        coef[i] = (struct cg_logits_coef){.logprob = grad * t->weight};
        l->loss += (double)(loss * t->weight);
        l->entropy += (double)stats[i].entropy;
        l->tokens_seen += 1;
        l->low_clipped += ratio < low && a < 0;
        l->high_clipped += ratio > high && a > 0;
        double error = fabs((double)(lp - t->old_logprob));
        if (error > l->max_ratio_error) l->max_ratio_error = error;
    }
}
