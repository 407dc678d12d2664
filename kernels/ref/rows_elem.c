/* The scalar truth of the element-wise row operations. */
#include <math.h>

#include "kernels/bf16.h"
#include "kernels/ops.h"
#include "kernels/ref/exp.h"

void cg_swiglu_f32_ref(size_t n, const float *g, const float *u, float *y)
{
    for (size_t i = 0; i < n; i++) {
        float s = 1.0f / (1.0f + cg_exp(-g[i]));
        y[i] = (g[i] * s) * u[i];
    }
}

void cg_swiglu_bwd_f32_ref(size_t n, const float *g, const float *u, const float *dy, float *dg, float *du)
{
    for (size_t i = 0; i < n; i++) {
        float gi = g[i], ui = u[i], di = dy[i];
        float s = 1.0f / (1.0f + cg_exp(-gi));
        du[i] = di * (gi * s);
        dg[i] = (di * ui) * (s * fmaf(gi, 1.0f - s, 1.0f));
    }
}

void cg_add_f32_ref(size_t n, const float *a, const float *b, float *y)
{
    for (size_t i = 0; i < n; i++) y[i] = a[i] + b[i];
}

void cg_axpy_f32_ref(size_t n, float alpha, const float *x, float *y)
{
    for (size_t i = 0; i < n; i++) y[i] = fmaf(alpha, x[i], y[i]);
}

void cg_adamw_f32_ref(size_t n, const struct cg_adamw *h, const float *g, float *p, float *m, float *v)
{
    for (size_t i = 0; i < n; i++) {
        float gi = g[i] * h->gscale;
        m[i] = fmaf(h->b1, m[i], h->one_minus_b1 * gi);
        v[i] = fmaf(h->b2, v[i], h->one_minus_b2 * (gi * gi));
        float pi = p[i] - h->lr_wd * p[i];
        p[i] = pi - h->step_size * (m[i] / (sqrtf(v[i]) * h->rsqrt_bc2 + h->eps));
    }
}

/* NaN elements are passed over by the maximum and quantised to 0. */
float cg_quant_s8_ref(size_t n, const float *x, int8_t *q)
{
    float m = 0.0f;
    for (size_t i = 0; i < n; i++)
        if (fabsf(x[i]) > m) m = fabsf(x[i]);
    if (m == 0.0f) {
        for (size_t i = 0; i < n; i++) q[i] = 0;
        return 0.0f;
    }
    float inv = 127.0f / m;
    for (size_t i = 0; i < n; i++) {
        float r = rintf(x[i] * inv);
        if (r > 127.0f) r = 127.0f;
        if (r < -127.0f) r = -127.0f;
        q[i] = r != r ? 0 : (int8_t)r;
    }
    return m / 127.0f;
}

void cg_dequant_s8_ref(size_t n, float scale, const int8_t *q, float *y)
{
    for (size_t i = 0; i < n; i++) y[i] = (float)q[i] * scale;
}

void cg_to_bf16_ref(size_t n, const float *x, uint16_t *y)
{
    for (size_t i = 0; i < n; i++) y[i] = cg_bf16_of(x[i]);
}

void cg_from_bf16_ref(size_t n, const uint16_t *x, float *y)
{
    for (size_t i = 0; i < n; i++) y[i] = cg_bf16_value(x[i]);
}

void cg_dot16_f32_ref(size_t m, size_t k, const float *a, size_t rs_a, const float *b, size_t rs_b, float *c,
                      size_t rs_c)
{
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < 16; j++) {
            float sum = 0.0f;
            for (size_t p = 0; p < k; p++) sum = fmaf(a[i * rs_a + p], b[p * rs_b + j], sum);
            c[i * rs_c + j] = sum;
        }
}

/* One element of a cache as f32. */
#define CACHE(OP, TYPE, STRIDE, SCALE, VALUE)                                                                                  \
    void cg_kv_##OP##_ref(size_t m, size_t n, size_t k, const float *a, size_t rs_a, const TYPE *b, size_t ps_b STRIDE SCALE, \
                          float *c, size_t rs_c, int accumulate)                                                       \
    {                                                                                                                  \
        for (size_t i = 0; i < m; i++)                                                                                 \
            for (size_t j = 0; j < n; j++) {                                                                           \
                float sum = accumulate ? c[i * rs_c + j] : 0.0f;                                                       \
                for (size_t p = 0; p < k; p++) {                                                                       \
                    TYPE x = b[j / 16 * ps_b + p * rs_b + j % 16];                                                       \
                    sum = fmaf(a[i * rs_a + p], VALUE, sum);                                                           \
                }                                                                                                      \
                c[i * rs_c + j] = sum;                                                                                 \
            }                                                                                                          \
    }
#define SCALED , const float *scale
#define STRIDED , size_t rs_b
CACHE(f32, float, STRIDED, , x)
#define rs_b 16
CACHE(bf16, uint16_t, , , cg_bf16_value(x))
CACHE(keys_s8, int8_t, , SCALED, (float)x *scale[j])
CACHE(values_s8, int8_t, , SCALED, (float)x *scale[p])
