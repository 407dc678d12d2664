/* The scalar truth of the row operations around softmax. */
#include <math.h>

#include "kernels/ops.h"
#include "kernels/ref/exp.h"
#include "kernels/ref/lanes.h"

/* NaN elements are passed over, and a maximum that is zero is +0: so the result does not depend on the order in which
 * a variant compares. */
float cg_max_f32_ref(size_t n, const float *x)
{
    float m = -INFINITY;
    for (size_t i = 0; i < n; i++)
        if (x[i] > m) m = x[i];
    return m + 0.0f;
}

/* y = 2^(t - max t) / sum, from the t in y; a row without anything above -inf is NaN. */
static void normalise(size_t n, float *y)
{
    float lane[CG_LANES] = {0}, m = -INFINITY;
    for (size_t i = 0; i < n; i++)
        if (y[i] > m) m = y[i];
    for (size_t i = 0; i < n; i++) {
        y[i] = cg_exp2(y[i] - m);
        lane[i % CG_LANES] += y[i];
    }
    float inv = 1.0f / cg_fold(lane);
    for (size_t i = 0; i < n; i++) y[i] = y[i] * inv;
}

void cg_softmax_f32_ref(size_t n, float scale, const float *x, float *y)
{
    float c = scale * CG_EXP_LOG2E;
    for (size_t i = 0; i < n; i++) y[i] = x[i] * c;
    normalise(n, y);
}

void cg_softmax_bwd_f32_ref(size_t n, float scale, const float *p, const float *dp, float *dx)
{
    float lane[CG_LANES] = {0};
    for (size_t i = 0; i < n; i++) lane[i % CG_LANES] = fmaf(p[i], dp[i], lane[i % CG_LANES]);
    float s = cg_fold(lane);
    for (size_t i = 0; i < n; i++) dx[i] = (p[i] * (dp[i] - s)) * scale;
}

void cg_softmax_len_f32_ref(size_t n, size_t len, float scale, const float *x, float *y)
{
    cg_softmax_f32_ref(len, scale, x, y);
    for (size_t i = len; i < n; i++) y[i] = 0.0f;
}

void cg_softmax_len_bwd_f32_ref(size_t n, size_t len, float scale, const float *p, const float *dp, float *dx)
{
    cg_softmax_bwd_f32_ref(len, scale, p, dp, dx);
    for (size_t i = len; i < n; i++) dx[i] = 0.0f;
}

void cg_softmax_mask_f32_ref(size_t n, float scale, const float *mask, const float *x, float *y)
{
    float c = scale * CG_EXP_LOG2E;
    int any = 0;
    for (size_t i = 0; i < n; i++) {
        y[i] = fmaf(mask[i], CG_EXP_LOG2E, x[i] * c);
        any = any || y[i] > -INFINITY;
    }
    if (any) normalise(n, y);
    for (size_t i = 0; i < n && !any; i++) y[i] = 0.0f;
}

void cg_sumexp_f32_ref(size_t n, float scale, float sub, const float *x, float out[2])
{
    float sum[CG_LANES] = {0}, dot[CG_LANES] = {0}, c = scale * CG_EXP_LOG2E;
    for (size_t i = 0; i < n; i++) {
        float t = x[i] * c - sub, e = cg_exp2(t);
        sum[i % CG_LANES] += e;
        dot[i % CG_LANES] = fmaf(e, t, dot[i % CG_LANES]);
    }
    out[0] = cg_fold(sum);
    out[1] = cg_fold(dot);
}

void cg_expmul_f32_ref(size_t n, float scale, float sub, float mul, const float *x, float *y)
{
    float c = scale * CG_EXP_LOG2E;
    for (size_t i = 0; i < n; i++) y[i] = cg_exp2(x[i] * c - sub) * mul;
}

void cg_logsoftmax_f32_ref(size_t n, float scale, float lse, const float *x, float *y)
{
    for (size_t i = 0; i < n; i++) y[i] = x[i] * scale - lse;
}

void cg_logsoftmax_bwd_f32_ref(size_t n, float scale, const float *y, const float *dy, float *dx)
{
    float lane[CG_LANES] = {0};
    for (size_t i = 0; i < n; i++) lane[i % CG_LANES] += dy[i];
    float s = cg_fold(lane);
    for (size_t i = 0; i < n; i++) dx[i] = fmaf(-s, cg_exp2(y[i] * CG_EXP_LOG2E), dy[i]) * scale;
}
