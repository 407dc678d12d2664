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

void cg_softmax_f32_ref(size_t n, float scale, const float *x, float *y)
{
    float lane[CG_LANES] = {0}, m = -INFINITY;
    for (size_t i = 0; i < n; i++) {
        float t = x[i] * scale;
        if (t > m) m = t;
    }
    for (size_t i = 0; i < n; i++) {
        y[i] = cg_exp(x[i] * scale - m);
        lane[i % CG_LANES] += y[i];
    }
    float inv = 1.0f / cg_fold(lane);
    for (size_t i = 0; i < n; i++) y[i] = y[i] * inv;
}

void cg_softmax_bwd_f32_ref(size_t n, float scale, const float *p, const float *dp, float *dx)
{
    float lane[CG_LANES] = {0};
    for (size_t i = 0; i < n; i++) lane[i % CG_LANES] = fmaf(p[i], dp[i], lane[i % CG_LANES]);
    float s = cg_fold(lane);
    for (size_t i = 0; i < n; i++) dx[i] = (p[i] * (dp[i] - s)) * scale;
}

void cg_sumexp_f32_ref(size_t n, float scale, float max, const float *x, float out[2])
{
    float sum[CG_LANES] = {0}, dot[CG_LANES] = {0};
    for (size_t i = 0; i < n; i++) {
        float t = x[i] * scale - max, e = cg_exp(t);
        sum[i % CG_LANES] += e;
        dot[i % CG_LANES] = fmaf(e, t, dot[i % CG_LANES]);
    }
    out[0] = cg_fold(sum);
    out[1] = cg_fold(dot);
}

void cg_expmul_f32_ref(size_t n, float scale, float sub, float mul, const float *x, float *y)
{
    for (size_t i = 0; i < n; i++) y[i] = cg_exp(x[i] * scale - sub) * mul;
}
