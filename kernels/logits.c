#include "kernels/logits.h"

#include <math.h>
#include <string.h>

#include "common/math.h"
#include "kernels/ref/exp.h"
#include "kernels/util.h"

#define LN2 0x1.62e430p-1f

#define CHUNKS 256 /* of one row, at most */

/* Elements of a chunk of a row of n: CG_LOGITS_CHUNK, or the multiple of it that makes at most CHUNKS of them. */
static size_t chunk_size(size_t n)
{
    return n ? ceil_div(n, (size_t)CG_LOGITS_CHUNK * CHUNKS) * CG_LOGITS_CHUNK : CG_LOGITS_CHUNK;
}

static size_t chunk_len(size_t n, size_t at, size_t chunk)
{
    return min_size(n - at, chunk);
}

/* One chunk on its own: its maximum times c, and the sums of sumexp_f32 against that. It is read from memory once. */
struct part {
    float max, top, sum, dot;
};

/* The parts of a row; returns how many, and in *max the row's maximum. */
static size_t parts_of(const struct cg_rowops *rows, size_t n, float scale, const float *x, struct part *p, float *max)
{
    size_t count = 0, chunk = chunk_size(n);
    *max = -INFINITY;
    for (size_t i = 0; i < n; i += chunk, count++) {
        size_t len = chunk_len(n, i, chunk);
        float m = rows->max_f32(len, x + i), sums[2] = {0.0f, 0.0f};
        p[count].max = m;
        p[count].top = m * (scale * CG_EXP_LOG2E);
        if (m > -INFINITY) rows->sumexp_f32(len, scale, p[count].top, x + i, sums);
        p[count].sum = sums[0];
        p[count].dot = sums[1];
        if (m > *max) *max = m;
    }
    return count;
}

/* What the sums of a part count in a row whose maximum times c is `top`. */
static float factor(const struct part *p, float top)
{
    return p->sum == 0.0f ? 0.0f : cg_exp2(p->top - top);
}

/* Log-sum-exp and entropy of a row of `count` parts with maximum `max`. */
static void combine(size_t count, const struct part *p, float scale, float max, float *lse, float *entropy)
{
    float top = max * (scale * CG_EXP_LOG2E), s = 0.0f, st = 0.0f;
    for (size_t i = 0; i < count; i++) {
        float f = factor(&p[i], top);
        s = fmaf(p[i].sum, f, s);
        if (f > 0.0f) st = fmaf(fmaf(p[i].top - top, p[i].sum, p[i].dot), f, st);
    }
    float log_s = cg_logf(s);
    *lse = log_s + max * scale;
    *entropy = log_s - st / s * LN2;
}

void cg_logits_stats(const struct cg_rowops *rows, size_t n, float scale, const float *x, float *max, float *lse,
                     float *entropy)
{
    struct part p[CHUNKS];
    size_t count = parts_of(rows, n, scale, x, p, max);
    combine(count, p, scale, *max, lse, entropy);
}

void cg_logits_logsoftmax(const struct cg_rowops *rows, size_t n, float scale, const float *x, float *y)
{
    float max, lse, entropy;
    cg_logits_stats(rows, n, scale, x, &max, &lse, &entropy);
    rows->logsoftmax_f32(n, scale, lse, x, y);
}

float cg_logits_logprob(const float *x, size_t token, float scale, float lse)
{
    return x[token] * scale - lse;
}

/* dx = p * (x*slope - offset), p = exp2(x*c - lse*LOG2E). */
static void grad_linear(const struct cg_rowops *rows, size_t n, float scale, const float *x, float lse, float slope,
                        float offset, float *dx)
{
    float p[CG_LOGITS_CHUNK], t[CG_LOGITS_CHUNK];
    for (size_t i = 0; i < n; i += CG_LOGITS_CHUNK) {
        size_t len = chunk_len(n, i, CG_LOGITS_CHUNK);
        rows->expmul_f32(len, scale, lse * CG_EXP_LOG2E, 1.0f, x + i, p);
        rows->logsoftmax_f32(len, slope, offset, x + i, t);
        memset(dx + i, 0, len * sizeof *dx);
        rows->rmsnorm_dw_f32(len, 1.0f, p, t, dx + i); /* dx = fma(t, p*1, dx) */
    }
}

void cg_logits_grad(const struct cg_rowops *rows, size_t n, float scale, const float *x, float lse, float entropy,
                    struct cg_logits_coef coef, size_t token, float *dx)
{
    float g = coef.logprob * scale, h = coef.entropy * scale;
    if (h == 0.0f) rows->expmul_f32(n, scale, lse * CG_EXP_LOG2E, -g, x, dx);
    else grad_linear(rows, n, scale, x, lse, -(h * scale), fmaf(h, entropy - lse, g), dx);
    dx[token] = dx[token] + g;
}

/* The first index from `at` on where x is `value`; 0 if there is none. */
static size_t first_of(size_t n, size_t at, const float *x, float value)
{
    for (size_t i = at; i < n; i++)
        if (x[i] == value) return i;
    return 0;
}

size_t cg_logits_argmax(const struct cg_rowops *rows, size_t n, const float *x)
{
    float best = -INFINITY;
    size_t at = 0;
    for (size_t i = 0; i < n; i += CG_LOGITS_CHUNK) { /* the first chunk that holds the maximum */
        float m = rows->max_f32(chunk_len(n, i, CG_LOGITS_CHUNK), x + i);
        if (m > best) {
            best = m;
            at = i;
        }
    }
    return first_of(n, at, x, best);
}

/* The element of chunk x[0..n) at which the running sum, from `before`, exceeds `target`. */
static size_t pick(const struct cg_rowops *rows, size_t n, float scale, const float *x, const struct part *p,
                   float factor_of_part, float before, float target)
{
    float e[CG_LOGITS_CHUNK];
    size_t last = 0;
    for (size_t i = 0; i < n; i += CG_LOGITS_CHUNK) {
        size_t len = chunk_len(n, i, CG_LOGITS_CHUNK);
        rows->expmul_f32(len, scale, p->top, factor_of_part, x + i, e);
        for (size_t j = 0; j < len; j++) {
            before = before + e[j];
            if (e[j] > 0.0f) last = i + j;
            if (before > target) return last;
        }
    }
    return last;
}

/* The index that cg_logits_sample draws, from the parts of the row. */
static size_t draw(const struct cg_rowops *rows, size_t n, float scale, const float *x, float u, size_t count,
                   const struct part *p, float max)
{
    float w[CHUNKS], s = 0.0f, top = max * (scale * CG_EXP_LOG2E);
    for (size_t i = 0; i < count; i++) {
        w[i] = p[i].sum * factor(&p[i], top);
        s = s + w[i];
    }
    if (!(s > 0.0f) || isinf(s)) return cg_logits_argmax(rows, n, x);
    float target = u * s, before = 0.0f, last_before = 0.0f;
    size_t last = 0; /* the last chunk with any probability: for a u that is not below 1 */
    for (size_t i = 0; i < count; i++) {
        if (w[i] > 0.0f) {
            last = i;
            last_before = before;
        }
        if (before + w[i] > target) break;
        before = before + w[i];
    }
    size_t at = last * chunk_size(n);
    return at + pick(rows, chunk_len(n, at, chunk_size(n)), scale, x + at, &p[last], factor(&p[last], top), last_before,
                     target);
}

struct cg_logits_choice cg_logits_sample(const struct cg_rowops *rows, size_t n, float scale, const float *x, float u)
{
    struct part p[CHUNKS];
    struct cg_logits_choice c;
    float max, lse;
    size_t count = parts_of(rows, n, scale, x, p, &max);
    combine(count, p, scale, max, &lse, &c.entropy);
    c.token = draw(rows, n, scale, x, u, count, p, max);
    c.logprob = cg_logits_logprob(x, c.token, scale, lse);
    return c;
}

struct cg_logits_choice cg_logits_greedy(const struct cg_rowops *rows, size_t n, float scale, const float *x)
{
    struct part p[CHUNKS];
    struct cg_logits_choice c;
    float max, lse;
    size_t i = 0, count = parts_of(rows, n, scale, x, p, &max);
    combine(count, p, scale, max, &lse, &c.entropy);
    while (i + 1 < count && p[i].max != max) i++; /* the first chunk that holds the maximum */
    c.token = first_of(n, i * chunk_size(n), x, max);
    c.logprob = cg_logits_logprob(x, c.token, scale, lse);
    return c;
}
