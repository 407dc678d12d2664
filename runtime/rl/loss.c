#include "runtime/rl/loss.h"

#include "common/math.h"

/* A value and its derivative by the log-probability (or by the logarithm of the ratio, where it depends on that). */
struct term {
    float value, slope;
};

static float bounded(float x, float low, float high)
{
    return x < low ? low : x > high ? high : x;
}

/* -min(ratio A, clip(ratio) A), with the first ratio bounded by delta where there is one. Where both are equal, the
 * derivative is half of each, as torch has it. */
static struct term clipped(const struct cg_grpo_options *o, float ratio, float a)
{
    float low = 1.0f - o->epsilon_low, high = 1.0f + o->epsilon_high;
    int free = !(o->delta > 0.0f && ratio > o->delta), inside = ratio >= low && ratio <= high;
    float x = (free ? ratio : o->delta) * a, y = bounded(ratio, low, high) * a;
    float through = x < y ? (float)free : y < x ? (float)inside : 0.5f * (float)(free + inside);
    return (struct term){-(x < y ? x : y), through > 0.0f ? -(ratio * a) * through : 0.0f};
}

/* An estimate of the divergence from the reference policy: -d, d^2/2, e^d - d - 1 for d = log(reference / policy). */
static struct term divergence(enum cg_kl_estimator k, float d)
{
    if (k == CG_KL_K1) return (struct term){-d, 1.0f};
    if (k == CG_KL_K2) return (struct term){0.5f * d * d, -d};
    float e = cg_expf(d);
    return (struct term){e - d - 1.0f, 1.0f - e};
}

/* What a completion's rows have in common at the level of sequences. */
struct shared {
    float ratio;          /* exp of the mean logarithm of the tokens' ratios */
    float correction, kl; /* means over its tokens */
};

static struct shared share(const struct cg_grpo_options *o, size_t n, const struct cg_grpo_token *t,
                           const struct cg_row_stats *s)
{
    double log_ratio = 0, correction = 0, kl = 0;
    for (size_t i = 0; i < n; i++) {
        log_ratio += (double)(s[i].logprob - t[i].old_logprob);
        correction += (double)t[i].correction;
        if (o->beta != 0.0f) kl += (double)divergence(o->kl_estimator, t[i].ref_logprob - s[i].logprob).value;
    }
    double by = (double)n;
    return (struct shared){cg_expf((float)(log_ratio / by)), (float)(correction / by), (float)(kl / by)};
}

static void count_clipped(const struct cg_grpo_options *o, float ratio, struct cg_grpo_completion *c)
{
    if (o->loss_type == CG_LOSS_CISPO) {
        c->high_clipped += ratio > o->epsilon_high && c->advantage > 0.0f;
        return;
    }
    if (o->delta > 0.0f && ratio > o->delta) ratio = o->delta;
    c->low_clipped += ratio < 1.0f - o->epsilon_low && c->advantage < 0.0f;
    c->high_clipped += ratio > 1.0f + o->epsilon_high && c->advantage > 0.0f;
}

/* The loss of one token before its weight. With the ratio of the sequence, a token moves the losses of all tokens of
 * its completion: 1/n of each, that is the mean of what depends on the token (the correction, the divergence). */
static struct term token_loss(const struct cg_grpo_options *o, const struct cg_grpo_token *t, float lp, float a,
                              const struct shared *of)
{
    struct term x;
    if (o->loss_type == CG_LOSS_CISPO) {
        float by = -(of->ratio < o->epsilon_high ? of->ratio : o->epsilon_high) * a * t->correction;
        x = (struct term){by * lp, by};
    } else {
        x = clipped(o, of->ratio, a);
        x = (struct term){x.value * t->correction, x.slope * of->correction};
    }
    if (o->beta == 0.0f) return x;
    struct term kl = divergence(o->kl_estimator, t->ref_logprob - lp);
    if (o->use_bias_correction_kl) kl = (struct term){kl.value * of->ratio, (kl.slope + of->kl) * of->ratio};
    return (struct term){x.value + o->beta * kl.value, x.slope + o->beta * kl.slope};
}

static void add_row(const struct cg_grpo_loss *l, const struct cg_grpo_token *t, const struct cg_row_stats *s,
                    const struct shared *of, struct cg_logits_coef *coef)
{
    const struct cg_grpo_options *o = l->o;
    struct cg_grpo_completion *c = &l->completions[t->completion];
    struct term x = token_loss(o, t, s->logprob, c->advantage, of);
    *coef = (struct cg_logits_coef){.logprob = x.slope * c->weight};
    c->loss += (double)(x.value * c->weight);
    c->entropy += (double)s->entropy;
    count_clipped(o, of->ratio, c);
    if (o->beta == 0.0f) return;
    float kl = divergence(o->kl_estimator, t->ref_logprob - s->logprob).value;
    c->kl += (double)(o->use_bias_correction_kl ? kl * of->ratio : kl);
}

/* Rows of one completion: all of them, or some where no row depends on another. */
static void completion_loss(const struct cg_grpo_loss *l, size_t n, struct cg_grpo_token *t,
                            const struct cg_row_stats *s, struct cg_logits_coef *coef)
{
    const struct cg_grpo_options *o = l->o;
    if (l->first_iteration) {
        for (size_t i = 0; i < n; i++) t[i].old_logprob = s[i].logprob;
        if (!l->correction_known) cg_grpo_correct(o, l->corrected, n, t, l->sampling);
    }
    if (o->ratio_level == CG_RATIO_SEQUENCE) {
        struct shared of = share(o, n, t, s);
        for (size_t i = 0; i < n; i++) add_row(l, &t[i], &s[i], &of, &coef[i]);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        struct shared of = share(o, 1, &t[i], &s[i]);
        add_row(l, &t[i], &s[i], &of, &coef[i]);
    }
}

void cg_grpo_loss(void *ctx, size_t first, size_t n, const struct cg_row_stats *stats, struct cg_logits_coef *coef)
{
    const struct cg_grpo_loss *l = ctx;
    struct cg_grpo_token *t = l->tokens + first;
    for (size_t i = 0, end; i < n; i = end) {
        for (end = i + 1; end < n && t[end].completion == t[i].completion;) end++;
        completion_loss(l, end - i, t + i, stats + i, coef + i);
    }
}

int cg_grpo_loss_whole(const struct cg_grpo_loss *l)
{
    const struct cg_grpo_options *o = l->o;
    int of_sequences = o->correction_mode == CG_SEQUENCE_TRUNCATE || o->correction_mode == CG_SEQUENCE_MASK;
    if (l->first_iteration && l->corrected && !l->correction_known && of_sequences) return 1;
    if (o->ratio_level == CG_RATIO_TOKEN) return 0;
    return !l->first_iteration || l->corrected || (o->beta != 0.0f && o->use_bias_correction_kl);
}
