/* Drawing a token from a row of logits where the distribution is changed first: repetition penalty, temperature, top-k,
 * top-p, min-p, in this order and with the meanings they have in transformers. Where nothing is changed,
 * cg_logits_sample (kernels/logits.h) does the same in one reading. */
#ifndef CG_KERNELS_SAMPLE_H
#define CG_KERNELS_SAMPLE_H

#include <stddef.h>
#include <stdint.h>

#include "kernels/registry.h"

struct cg_sample_options {
    float scale;              /* 1 / temperature, finite and > 0 */
    int greedy;               /* choose the largest logit after the penalty; scale is for logprob alone then */
    float repetition_penalty; /* > 0, 1: none. Keskar et al. 2019 */
    size_t top_k;             /* 0: all. Fan et al. 2018 */
    float top_p;              /* at most 1: all; the most likely token is kept always. Holtzman et al. 2020 */
    float min_p;              /* 0 (none) to 1. Nguyen et al. 2024 */
};

/* Do these options change the distribution at the temperature? */
int cg_sample_changes(const struct cg_sample_options *o);

/* Tokens that the sequence holds already. */
struct cg_seen {
    const int32_t *tokens;
    size_t n;
};

struct cg_sampled {
    size_t token;
    float logprob;          /* at the temperature, with nothing else changed: as of cg_logits_logprob */
    float sampling_logprob; /* in the distribution drawn from; greedy: 0 */
    float entropy;          /* at the temperature, with nothing else changed: as of cg_logits_stats */
};

/* Draws at u in [0, 1) from x[n] (n > 0, less than 2^24), which holds other numbers in the meantime where there is a
 * penalty. seen[2]: a prompt and what followed; tokens below n. scratch: cg_sample_scratch(n) bytes, aligned to 16, for
 * one thread, all zero before the first call.
 *
 * Every token seen has y = x > 0 ? x / penalty : x * penalty, the others y = x. With max and lse as of cg_logits_stats
 * over y, c = scale*LOG2E (see kernels/ops.h): e_i = exp2(y_i*c - max*c), and w_i = floor(e_i * 2^32), whose sums are
 * exact in any order. Kept are in the end those that every step keeps:
 *   top_k: y_i at least the k-th largest y (so more than k where that one has equals);
 *   top_p: ordered by y descending, equals by index, those before which the sum of w is below top_p * total; total: the
 *          sum of w of what top_k keeps, or without top_k 2^32 * exp2((lse - max*scale)*LOG2E). In double;
 *   min_p: e_i >= min_p.
 * W being the sum of w over what is kept, the token is the first in ascending order at which the running sum of w is
 * above u * W, in double; sampling_logprob = y*scale - (log(W * 2^-32) + max*scale). With a penalty alone, token and
 * sampling_logprob are those of cg_logits_sample on y. The largest y is taken where max is not finite. */
size_t cg_sample_scratch(size_t n);
struct cg_sampled cg_sample(const struct cg_rowops *rows, size_t n, const struct cg_sample_options *o, float *x,
                            const struct cg_seen seen[2], float u, void *scratch);

#endif
