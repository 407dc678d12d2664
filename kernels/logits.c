#include "kernels/logits.h"

#include <math.h>

#include "common/math.h"
#include "kernels/exp_poly.h"

#define LN2 0x1.62e430p-1f

static size_t chunk_len(size_t n, size_t at)
{
    return n - at < CG_LOGITS_CHUNK ? n - at : CG_LOGITS_CHUNK;
}

void cg_logits_stats(const struct cg_rowops *rows, size_t n, float scale, const float *x, float *max, float *lse,
                     float *entropy)
{
    float m = rows->max_f32(n, x), sub = m * (scale * CG_EXP_LOG2E);
    float s = 0.0f, st = 0.0f, part[2];
    for (size_t i = 0; i < n; i += CG_LOGITS_CHUNK) {
        rows->sumexp_f32(chunk_len(n, i), scale, sub, x + i, part);
        s = s + part[0];
        st = st + part[1];
    }
    float log_s = cg_logf(s);
    *max = m;
    *lse = log_s + m * scale;
    *entropy = log_s - st / s * LN2;
}

float cg_logits_logprob(const float *x, size_t token, float scale, float lse)
{
    return x[token] * scale - lse;
}

void cg_logits_grad(const struct cg_rowops *rows, size_t n, float scale, const float *x, float lse, float coef,
                    size_t token, float *dx)
{
    float c = coef * scale;
    rows->expmul_f32(n, scale, lse * CG_EXP_LOG2E, -c, x, dx);
    dx[token] = dx[token] + c;
}

size_t cg_logits_argmax(const struct cg_rowops *rows, size_t n, const float *x)
{
    float best = -INFINITY;
    size_t at = 0;
    for (size_t i = 0; i < n; i += CG_LOGITS_CHUNK) { /* the first chunk that holds the maximum */
        float m = rows->max_f32(chunk_len(n, i), x + i);
        if (m > best) {
            best = m;
            at = i;
        }
    }
    for (size_t i = at; i < n; i++)
        if (x[i] == best) return i;
    return 0;
}

/* The element of chunk x[0..n) at which the running sum, from `before`, exceeds `target`. */
static size_t pick(const struct cg_rowops *rows, size_t n, float scale, const float *x, float sub, float before,
                   float target)
{
    float e[CG_LOGITS_CHUNK];
    size_t last = 0;
    rows->expmul_f32(n, scale, sub, 1.0f, x, e);
    for (size_t i = 0; i < n; i++) {
        before = before + e[i];
        if (e[i] > 0.0f) last = i;
        if (before > target) return last;
    }
    return last;
}

size_t cg_logits_sample(const struct cg_rowops *rows, size_t n, float scale, const float *x, float max, float u)
{
    float s = 0.0f, part[2], sub = max * (scale * CG_EXP_LOG2E);
    for (size_t i = 0; i < n; i += CG_LOGITS_CHUNK) {
        rows->sumexp_f32(chunk_len(n, i), scale, sub, x + i, part);
        s = s + part[0];
    }
    if (!(s > 0.0f) || isinf(s)) return cg_logits_argmax(rows, n, x);
    float target = u * s, before = 0.0f, last_before = 0.0f;
    size_t last = 0; /* the last chunk with any probability: for a u that is not below 1 */
    for (size_t i = 0; i < n; i += CG_LOGITS_CHUNK) {
        rows->sumexp_f32(chunk_len(n, i), scale, sub, x + i, part);
        if (part[0] > 0.0f) {
            last = i;
            last_before = before;
        }
        if (before + part[0] > target) break;
        before = before + part[0];
    }
    return last + pick(rows, chunk_len(n, last), scale, x + last, sub, last_before, target);
}
