/* The losses of GRPO and their gradients by the log-probabilities of the tokens; docs/grpo.md has the formulas. */
#ifndef CG_RUNTIME_RL_LOSS_H
#define CG_RUNTIME_RL_LOSS_H

#include "runtime/nn/train.h"
#include "runtime/rl/grpo.h"

/* One token that counts. */
struct cg_grpo_token {
    float old_logprob;      /* under the policy before the first update from this rollout; the loss writes it there */
    float sampling_logprob; /* under the distribution that it was drawn from */
    float ref_logprob;      /* under the reference policy; unused when beta is 0 */
    float correction; /* factor of its policy loss, for sampling_logprob; the loss writes it in the first iteration */
    uint32_t completion;
};

/* One completion, and the sums over its tokens, which the loss adds to: they begin at 0. */
struct cg_grpo_completion {
    float advantage, weight; /* of cg_grpo_advantages and cg_grpo_weights */
    size_t rows;             /* its tokens that count: all, or none */
    double loss, kl, entropy;
    size_t low_clipped, high_clipped; /* tokens whose ratio the clipping stopped, at the low and at the high end */
};

/* Smallest, largest and sum of some ratios, and the sum of their squares. */
struct cg_ratio_sums {
    double min, max, sum, squares;
    size_t n;
};
void cg_ratio_sums_add(struct cg_ratio_sums *s, double ratio);

/* The distribution that tokens were drawn from against the policy. */
struct cg_sampling_sums {
    double difference, max_difference; /* |log-probability of the policy - of sampling|, over tokens */
    double kl; /* log-probability of sampling - of the policy: its mean is KL(sampling||policy) */
    size_t tokens;
    struct cg_ratio_sums raw,
        used; /* correction before and after the bounds: of tokens or of completions, as its mode */
};

/* The loss as a cg_loss_fn: ctx points to this. Sums are in f64 over the rows in order. */
struct cg_grpo_loss {
    const struct cg_grpo_options *o;
    struct cg_grpo_completion *completions;
    struct cg_grpo_token *tokens;      /* by row of the batch */
    int first_iteration;               /* the policy is the one that generated: ratios are 1 */
    int corrected;                     /* sampling_logprob is of another distribution than the policy's */
    int correction_known;              /* it is in the tokens already, and in the sums */
    struct cg_sampling_sums *sampling; /* added to in the first iteration */
};
cg_loss_fn cg_grpo_loss;

/* Whether the loss must be told all rows of a completion at once: its gradient by one token depends on the others. */
int cg_grpo_loss_whole(const struct cg_grpo_loss *l);

/* Sets the correction of n tokens of one completion (all of them, where the mode is of sequences) from old_logprob and
 * sampling_logprob, and adds them to the sums. */
void cg_grpo_correct(const struct cg_grpo_options *o, int corrected, size_t n, struct cg_grpo_token *t,
                     struct cg_sampling_sums *sums);

/* A step's metrics with TRL's names, from its n completions: each is worked out for every micro step (of o->micro_batch
 * completions) and averaged over them, as TRL does. */
struct cg_loss_stats {
    double loss, kl, entropy;
    double low_mean, low_min, high_mean, high_max, region_mean; /* clip_ratio/...; low is never clipped in cispo */
};
void cg_grpo_loss_stats(const struct cg_grpo_options *o, size_t n, const struct cg_grpo_completion *c,
                        struct cg_loss_stats *stats);

/* Effective sample size as a share of the sample, (sum w)^2 / (n sum w^2) of the correction's factors w (Kong 1992);
 * 1 without any. */
double cg_effective_sample_size(const struct cg_ratio_sums *s);

#endif
