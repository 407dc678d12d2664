/* One row of vocabulary logits x[n], used at temperature T: log-probabilities, entropy, gradient, sampling.
 *
 * `scale` is 1 / T, finite and > 0. A row is worked on in chunks of CG_LOGITS_CHUNK elements (at most 256 of them: of
 * a multiple of that for rows of more than a million) on the calling thread; callers split rows over threads. So the
 * bits depend on the row alone. Logits are expected to be finite: one that is -inf has probability 0 but makes the
 * entropy NaN. */
#ifndef CG_KERNELS_LOGITS_H
#define CG_KERNELS_LOGITS_H

#include <stddef.h>

#include "kernels/registry.h"

#define CG_LOGITS_CHUNK 4096

/* With c = scale*LOG2E (see kernels/ops.h): chunk i has m_i, its maximum times c, and with t = x*c - m_i its s_i =
 * sum exp2(t) and d_i = sum exp2(t)*t, as of sumexp_f32; a chunk of nothing but -inf has s_i = d_i = 0. With max the
 * maximum of the row, m = max*c, f_i = exp2(m_i - m) (0 where s_i is): S = sum fma(s_i, f_i), D = sum
 * fma(fma(m_i - m, s_i, d_i), f_i) where f_i > 0, both ascending from 0. lse = log(S) + max*scale; entropy =
 * log(S) - D / S * ln(2), in nats. */
void cg_logits_stats(const struct cg_rowops *rows, size_t n, float scale, const float *x, float *max, float *lse,
                     float *entropy);

/* y = log-softmax of scale * x: x*scale - lse, as logsoftmax_f32; y may be x. */
void cg_logits_logsoftmax(const struct cg_rowops *rows, size_t n, float scale, const float *x, float *y);

/* x[token]*scale - lse. */
float cg_logits_logprob(const float *x, size_t token, float scale, float lse);

/* What a loss makes of a row: its derivatives by the token's log-probability and by the row's entropy. */
struct cg_logits_coef {
    float logprob, entropy;
};

/* Gradient of coef.logprob * logprob(token) + coef.entropy * entropy to the raw logits; lse and entropy as of
 * cg_logits_stats. p being the probabilities, that is scale * (coef.logprob * ([i == token] - p[i]) -
 * coef.entropy * p[i] * (log p[i] + entropy)). With g = coef.logprob*scale and h = coef.entropy*scale:
 *   h == 0: dx = exp2(x*c - lse*LOG2E) * -g;
 *   else:   dx = fma(x*-(h*scale) - fma(h, entropy - lse, g), exp2(x*c - lse*LOG2E), 0);
 * then dx[token] = dx[token] + g. dx may be x. token < n. */
void cg_logits_grad(const struct cg_rowops *rows, size_t n, float scale, const float *x, float lse, float entropy,
                    struct cg_logits_coef coef, size_t token, float *dx);

/* The lowest index of the largest logit; NaN is passed over, 0 when there is nothing else (or n is 0). */
size_t cg_logits_argmax(const struct cg_rowops *rows, size_t n, const float *x);

/* A chosen token: its log-probability, as of cg_logits_logprob, and the row's entropy. */
struct cg_logits_choice {
    size_t token;
    float logprob, entropy;
};

/* Draws an index by inverse CDF at u in [0, 1): chunk i weighs w_i = s_i*f_i, W is their sum ascending. The chunk is
 * the first whose running sum of weights exceeds u*W; within it exp2(x*c - m_i) * f_i is added one by one in ascending
 * order to the sum before it, up to the first result above u*W (else the chunk's last element with a probability above
 * 0). Always an index < n with a probability above 0; the argmax where W is not a positive finite number. n > 0. Beside
 * the chosen chunk the row is read once. */
struct cg_logits_choice cg_logits_sample(const struct cg_rowops *rows, size_t n, float scale, const float *x, float u);

/* Chooses cg_logits_argmax, with what is known of the row. n > 0. */
struct cg_logits_choice cg_logits_greedy(const struct cg_rowops *rows, size_t n, float scale, const float *x);

#endif
