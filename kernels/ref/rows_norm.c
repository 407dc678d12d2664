/* The scalar truth of normalisation, rotary embedding and the sum of squares. */
#include <math.h>

#include "kernels/ops.h"
#include "kernels/ref/lanes.h"

float cg_sumsq_f32_ref(size_t n, const float *x)
{
    float lane[CG_LANES] = {0};
    for (size_t i = 0; i < n; i++) lane[i % CG_LANES] = fmaf(x[i], x[i], lane[i % CG_LANES]);
    return cg_fold(lane);
}

float cg_rmsnorm_f32_ref(size_t n, float eps, const float *x, const float *w, float *y)
{
    float inv = 1.0f / sqrtf(cg_sumsq_f32_ref(n, x) / (float)n + eps);
    for (size_t i = 0; i < n; i++) y[i] = (x[i] * inv) * w[i];
    return inv;
}

void cg_rmsnorm_bwd_f32_ref(size_t n, float inv, const float *x, const float *w, const float *dy, float *dx)
{
    float lane[CG_LANES] = {0};
    for (size_t i = 0; i < n; i++) lane[i % CG_LANES] = fmaf(dy[i] * w[i], x[i], lane[i % CG_LANES]);
    float c = (cg_fold(lane) * (inv * inv * inv)) / (float)n;
    for (size_t i = 0; i < n; i++) {
        float g = dy[i] * w[i];
        dx[i] = dx[i] + fmaf(-c, x[i], g * inv);
    }
}

void cg_rmsnorm_dw_f32_ref(size_t n, float inv, const float *x, const float *dy, float *dw)
{
    for (size_t i = 0; i < n; i++) dw[i] = fmaf(dy[i], x[i] * inv, dw[i]);
}

void cg_rope_f32_ref(size_t n, const float *cos, const float *sin, const float *x, float *y)
{
    for (size_t i = 0; i < n / 2; i++) {
        float x1 = x[i], x2 = x[i + n / 2];
        y[i] = fmaf(x1, cos[i], -(x2 * sin[i]));
        y[i + n / 2] = fmaf(x2, cos[i], x1 * sin[i]);
    }
}
