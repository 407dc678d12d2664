/* One row of vocabulary logits x[n], used at temperature T: log-probabilities, entropy, gradient, sampling.
 *
 * `scale` is 1 / T, finite and > 0. A row is worked on in chunks of CG_LOGITS_CHUNK elements whose sums are added in
 * ascending order, on the calling thread; callers split rows over threads. So the bits depend on the row alone. Logits
 * are expected to be finite: one that is -inf has probability 0 but makes the entropy NaN. */
#ifndef CG_KERNELS_LOGITS_H
#define CG_KERNELS_LOGITS_H

#include <stddef.h>

#include "kernels/registry.h"

#define CG_LOGITS_CHUNK 4096

/* With c = scale*LOG2E (see kernels/ops.h), max the maximum of x and t = x*c - max*c: S = sum exp2(t);
 * lse = log(S) + max*scale; entropy = log(S) - (sum exp2(t)*t) / S * ln(2), in nats. */
void cg_logits_stats(const struct cg_rowops *rows, size_t n, float scale, const float *x, float *max, float *lse,
                     float *entropy);

/* x[token]*scale - lse. */
float cg_logits_logprob(const float *x, size_t token, float scale, float lse);

/* Gradient of coef * logprob(token) to the raw logits: g = coef*scale; dx = exp2(x*c - lse*LOG2E) * -g; then
 * dx[token] = dx[token] + g. dx may be x. token < n. */
void cg_logits_grad(const struct cg_rowops *rows, size_t n, float scale, const float *x, float lse, float coef,
                    size_t token, float *dx);

/* The lowest index of the largest logit; NaN is passed over, 0 when there is nothing else (or n is 0). */
size_t cg_logits_argmax(const struct cg_rowops *rows, size_t n, const float *x);

/* Draws an index by inverse CDF at u in [0, 1): `max` and the chunk sums are those of cg_logits_stats. The chunk is the
 * first whose running sum of chunk sums exceeds u*S; within it the elements are added one by one in ascending order to
 * the sum before it, up to the first result above u*S (else the chunk's last element with a probability above 0).
 * Always an index < n with a probability above 0; the argmax where S is not a positive finite number. n > 0. */
size_t cg_logits_sample(const struct cg_rowops *rows, size_t n, float scale, const float *x, float max, float u);

#endif
