/* Importance-sampling correction: the policy's probability over that of the distribution that was drawn from. */
#include <math.h>

#include "common/math.h"
#include "runtime/rl/loss.h"

void cg_ratio_sums_add(struct cg_ratio_sums *s, double ratio)
{
    if (s->n == 0 || ratio < s->min) s->min = ratio;
    if (s->n == 0 || ratio > s->max) s->max = ratio;
    s->sum += ratio;
    s->squares += ratio * ratio;
    s->n++;
}

double cg_effective_sample_size(const struct cg_ratio_sums *s)
{
    if (s->n == 0) return 1;
    return s->squares > 0 ? s->sum * s->sum / ((double)s->n * s->squares) : 0;
}

/* exp(log_ratio) within the bounds, or 0 outside them. */
static float factor(const struct cg_grpo_options *o, double log_ratio, struct cg_sampling_sums *sums)
{
    float raw = cg_expf((float)log_ratio), used = raw;
    int mask = o->correction_mode == CG_TOKEN_MASK || o->correction_mode == CG_SEQUENCE_MASK;
    if (raw < o->clip_min) used = mask ? 0.0f : o->clip_min;
    if (o->clip_max > 0.0f && raw > o->clip_max) used = mask ? 0.0f : o->clip_max;
    cg_ratio_sums_add(&sums->raw, (double)raw);
    cg_ratio_sums_add(&sums->used, (double)used);
    return used;
}

void cg_grpo_correct(const struct cg_grpo_options *o, int corrected, size_t n, struct cg_grpo_token *t,
                     struct cg_sampling_sums *sums)
{
    int of_tokens = o->correction_mode == CG_TOKEN_TRUNCATE || o->correction_mode == CG_TOKEN_MASK;
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        double log_ratio = (double)(t[i].old_logprob - t[i].sampling_logprob);
        sum += log_ratio;
        sums->kl -= log_ratio;
        sums->difference += fabs(log_ratio);
        if (fabs(log_ratio) > sums->max_difference) sums->max_difference = fabs(log_ratio);
        t[i].correction = corrected && of_tokens ? factor(o, log_ratio, sums) : 1.0f;
    }
    sums->tokens += n;
    if (!corrected || of_tokens) return;
    float all = factor(o, sum, sums);
    for (size_t i = 0; i < n; i++) t[i].correction = all;
}
