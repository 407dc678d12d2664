/* The row operations of one ISA, written once over 16-lane vectors. The including file has included that ISA's lane
 * header (kernels/x86/lanes_avx2.h, ...) and defined CG_ROW(op) as the op's function name.
 *
 * Why an ISA file includes more of ours than ops.h here: the contract fixes 16 lanes and the order of every operation,
 * so ISAs differ only in how a 16-lane vector is held. One template leaves one place where an order could go wrong, and
 * a new ISA is one header of small primitives. The scalar truth in kernels/ref is written without it.
 *
 * A lane header gives: v16, and with r the number of lanes in use, 1..16 (a literal 16 compiles to plain access)
 *   v_load(p, r) (others 0), v_store(p, r, v), v_store_s8(q, r, v) (rint, clamp to +-127, NaN to 0);
 *   v_load_s8(q, r), v_load_bf16(q, r) (others 0), v_store_bf16(q, r, v) (the bits of cg_bf16_of);
 *   v_set1, v_add, v_sub, v_mul, v_div, v_fma(a, b, c), v_fnma(a, b, c) = fma(-a, b, c), v_sqrt, v_abs, v_neg, v_rint;
 *   v_max(x, acc) (NaN in x: acc), v_clamp(x, lo, hi) and v_at_least(x, lo) (NaN stays), v_ldexp(p, n) (rounded once);
 *   v_first(r, a, b) (lanes < r of a, others of b), v_fold_add(v), v_fold_max(v) (8, 4, 2, 1);
 *   KV_ROWS (6 at most) and KV_COLS: a tile of so many rows and 16-lane vectors of sums fits the registers. */
#include <math.h>

#include "kernels/exp_poly.h"
#include "kernels/ops.h"

/* Runs the statements for i = 0, 16, ... with r = 16, then once with the r = n % 16 elements left. */
#define EACH16(n, i, r, ...)                                                                                           \
    do {                                                                                                               \
        size_t i = 0;                                                                                                  \
        for (; (n) - i >= 16; i += 16) {                                                                               \
            enum { r = 16 };                                                                                           \
            __VA_ARGS__                                                                                                \
        }                                                                                                              \
        if (i < (n)) {                                                                                                 \
            const size_t r = (n) - i;                                                                                  \
            __VA_ARGS__                                                                                                \
        }                                                                                                              \
    } while (0)

static inline v16 exp16(v16 t)
{
    t = v_clamp(t, v_set1(CG_EXP_LO), v_set1(CG_EXP_HI));
    v16 n = v_rint(v_mul(t, v_set1(CG_EXP_LOG2E)));
    v16 r = v_fnma(n, v_set1(CG_EXP_LN2_LO), v_fnma(n, v_set1(CG_EXP_LN2_HI), t));
    v16 p = v_fma(v_set1(CG_EXP_C6), r, v_set1(CG_EXP_C5));
    p = v_fma(p, r, v_set1(CG_EXP_C4));
    p = v_fma(p, r, v_set1(CG_EXP_C3));
    p = v_fma(p, r, v_set1(CG_EXP_C2));
    p = v_fma(p, r, v_set1(1.0f));
    p = v_fma(p, r, v_set1(1.0f));
    return v_ldexp(p, n);
}

/* 2^t for CG_EXP2_LO <= t <= CG_EXP2_HI. */
static inline v16 exp2_within16(v16 t)
{
    v16 n = v_rint(t), r = v_sub(t, n);
    v16 p = v_fma(v_set1(CG_EXP2_D6), r, v_set1(CG_EXP2_D5));
    p = v_fma(p, r, v_set1(CG_EXP2_D4));
    p = v_fma(p, r, v_set1(CG_EXP2_D3));
    p = v_fma(p, r, v_set1(CG_EXP2_D2));
    p = v_fma(p, r, v_set1(CG_EXP2_D1));
    p = v_fma(p, r, v_set1(1.0f));
    return v_ldexp(p, n);
}

/* 2^t for t <= 0. */
static inline v16 exp2_neg16(v16 t)
{
    return exp2_within16(v_at_least(t, v_set1(CG_EXP2_LO)));
}

static inline v16 exp2_16(v16 t)
{
    return exp2_within16(v_clamp(t, v_set1(CG_EXP2_LO), v_set1(CG_EXP2_HI)));
}

static inline v16 sigmoid16(v16 g)
{
    v16 one = v_set1(1.0f);
    return v_div(one, v_add(one, exp16(v_neg(g))));
}

/* Maximum of x*scale, or of |x|: order does not matter, so four vectors hide the latency. */
#define MAX16(n, x, start, of)                                                                                         \
    v16 m0 = v_set1(start), m1 = m0, m2 = m0, m3 = m0;                                                                 \
    size_t k = 0;                                                                                                      \
    for (; (n) - k >= 64; k += 64) {                                                                                   \
        m0 = v_max(of(v_load((x) + k, 16)), m0);                                                                       \
        m1 = v_max(of(v_load((x) + k + 16, 16)), m1);                                                                  \
        m2 = v_max(of(v_load((x) + k + 32, 16)), m2);                                                                  \
        m3 = v_max(of(v_load((x) + k + 48, 16)), m3);                                                                  \
    }                                                                                                                  \
    EACH16((n) - k, i, r, m0 = v_first(r, v_max(of(v_load((x) + k + i, r)), m0), m0););                                \
    m0 = v_max(v_max(m3, m2), v_max(m1, m0))

/* + 0: a maximum that is zero is +0. */
float CG_ROW(max_f32)(size_t n, const float *x)
{
#define SAME(v) (v)
    MAX16(n, x, -INFINITY, SAME);
    return v_fold_max(m0) + 0.0f;
}

static inline float max_of(size_t n, const float *x)
{
    MAX16(n, x, -INFINITY, SAME);
    return v_fold_max(m0);
}

/* Maximum of x*c. Rounding is monotonic, so for a usual c one product will do. */
static inline float max_scaled(size_t n, float c, const float *x)
{
    if (c > 0.0f && c < INFINITY) return max_of(n, x) * c;
    v16 sc = v_set1(c);
#define SCALED(v) v_mul(v, sc)
    MAX16(n, x, -INFINITY, SCALED);
    return v_fold_max(m0);
}

/* y = y * f. */
static inline void scale_row(size_t n, float f, float *y)
{
    v16 v = v_set1(f);
    EACH16(n, i, r, v_store(y + i, r, v_mul(v_load(y + i, r), v)););
}

void CG_ROW(softmax_f32)(size_t n, float scale, const float *x, float *y)
{
    float c = scale * CG_EXP_LOG2E;
    v16 cv = v_set1(c), m = v_set1(max_scaled(n, c, x)), sum = v_set1(0.0f);
    EACH16(n, i, r, v16 e = exp2_neg16(v_sub(v_mul(v_load(x + i, r), cv), m)); v_store(y + i, r, e);
           sum = v_first(r, v_add(sum, e), sum););
    scale_row(n, 1.0f / v_fold_add(sum), y);
}

void CG_ROW(softmax_bwd_f32)(size_t n, float scale, const float *p, const float *dp, float *dx)
{
    v16 sum = v_set1(0.0f), sc = v_set1(scale);
    EACH16(n, i, r, sum = v_first(r, v_fma(v_load(p + i, r), v_load(dp + i, r), sum), sum););
    v16 s = v_set1(v_fold_add(sum));
    EACH16(n, i, r, v_store(dx + i, r, v_mul(v_mul(v_load(p + i, r), v_sub(v_load(dp + i, r), s)), sc)););
}

static inline void zero_row(size_t n, float *y)
{
    EACH16(n, i, r, v_store(y + i, r, v_set1(0.0f)););
}

void CG_ROW(softmax_len_f32)(size_t n, size_t len, float scale, const float *x, float *y)
{
    CG_ROW(softmax_f32)(len, scale, x, y);
    zero_row(n - len, y + len);
}

void CG_ROW(softmax_len_bwd_f32)(size_t n, size_t len, float scale, const float *p, const float *dp, float *dx)
{
    CG_ROW(softmax_bwd_f32)(len, scale, p, dp, dx);
    zero_row(n - len, dx + len);
}

void CG_ROW(softmax_mask_f32)(size_t n, float scale, const float *mask, const float *x, float *y)
{
    v16 c = v_set1(scale * CG_EXP_LOG2E), l = v_set1(CG_EXP_LOG2E), top = v_set1(-INFINITY), sum = v_set1(0.0f);
    EACH16(n, i, r, v16 t = v_fma(v_load(mask + i, r), l, v_mul(v_load(x + i, r), c)); v_store(y + i, r, t);
           top = v_first(r, v_max(t, top), top););
    float max = v_fold_max(top);
    if (!(max > -INFINITY)) {
        zero_row(n, y);
        return;
    }
    v16 m = v_set1(max);
    EACH16(n, i, r, v16 e = exp2_neg16(v_sub(v_load(y + i, r), m)); v_store(y + i, r, e);
           sum = v_first(r, v_add(sum, e), sum););
    scale_row(n, 1.0f / v_fold_add(sum), y);
}

void CG_ROW(sumexp_f32)(size_t n, float scale, float sub, const float *x, float out[2])
{
    v16 c = v_set1(scale * CG_EXP_LOG2E), m = v_set1(sub), sum = v_set1(0.0f), dot = sum;
    EACH16(n, i, r, v16 t = v_sub(v_mul(v_load(x + i, r), c), m); v16 e = exp2_16(t);
           sum = v_first(r, v_add(sum, e), sum); dot = v_first(r, v_fma(e, t, dot), dot););
    out[0] = v_fold_add(sum);
    out[1] = v_fold_add(dot);
}

void CG_ROW(expmul_f32)(size_t n, float scale, float sub, float mul, const float *x, float *y)
{
    v16 c = v_set1(scale * CG_EXP_LOG2E), s = v_set1(sub), f = v_set1(mul);
    EACH16(n, i, r, v_store(y + i, r, v_mul(exp2_16(v_sub(v_mul(v_load(x + i, r), c), s)), f)););
}

void CG_ROW(logsoftmax_f32)(size_t n, float scale, float lse, const float *x, float *y)
{
    v16 sc = v_set1(scale), l = v_set1(lse);
    EACH16(n, i, r, v_store(y + i, r, v_sub(v_mul(v_load(x + i, r), sc), l)););
}

void CG_ROW(logsoftmax_bwd_f32)(size_t n, float scale, const float *y, const float *dy, float *dx)
{
    v16 sc = v_set1(scale), l = v_set1(CG_EXP_LOG2E), sum = v_set1(0.0f);
    EACH16(n, i, r, sum = v_first(r, v_add(sum, v_load(dy + i, r)), sum););
    v16 s = v_set1(v_fold_add(sum));
    EACH16(n, i, r, v16 p = exp2_16(v_mul(v_load(y + i, r), l));
           v_store(dx + i, r, v_mul(v_fnma(s, p, v_load(dy + i, r)), sc)););
}

float CG_ROW(sumsq_f32)(size_t n, const float *x)
{
    v16 sum = v_set1(0.0f);
    EACH16(n, i, r, v16 a = v_load(x + i, r); sum = v_first(r, v_fma(a, a, sum), sum););
    return v_fold_add(sum);
}

float CG_ROW(rmsnorm_f32)(size_t n, float eps, const float *x, const float *w, float *y)
{
    float inv = 1.0f / sqrtf(CG_ROW(sumsq_f32)(n, x) / (float)n + eps);
    v16 f = v_set1(inv);
    EACH16(n, i, r, v_store(y + i, r, v_mul(v_mul(v_load(x + i, r), f), v_load(w + i, r))););
    return inv;
}

void CG_ROW(rmsnorm_bwd_f32)(size_t n, float inv, const float *x, const float *w, const float *dy, float *dx)
{
    v16 sum = v_set1(0.0f), f = v_set1(inv);
    EACH16(n, i, r, v16 g = v_mul(v_load(dy + i, r), v_load(w + i, r));
           sum = v_first(r, v_fma(g, v_load(x + i, r), sum), sum););
    v16 c = v_set1((v_fold_add(sum) * (inv * inv * inv)) / (float)n);
    EACH16(n, i, r, v16 g = v_mul(v_load(dy + i, r), v_load(w + i, r));
           v16 d = v_fnma(c, v_load(x + i, r), v_mul(g, f)); v_store(dx + i, r, v_add(v_load(dx + i, r), d)););
}

void CG_ROW(rmsnorm_dw_f32)(size_t n, float inv, const float *x, const float *dy, float *dw)
{
    v16 f = v_set1(inv);
    EACH16(n, i, r,
           v_store(dw + i, r, v_fma(v_load(dy + i, r), v_mul(v_load(x + i, r), f), v_load(dw + i, r))););
}

void CG_ROW(rope_f32)(size_t n, const float *cos, const float *sin, const float *x, float *y)
{
    size_t h = n / 2;
    EACH16(h, i, r, v16 x1 = v_load(x + i, r), x2 = v_load(x + h + i, r), c = v_load(cos + i, r);
           v16 s = v_load(sin + i, r); v_store(y + i, r, v_fma(x1, c, v_neg(v_mul(x2, s))));
           v_store(y + h + i, r, v_fma(x2, c, v_mul(x1, s))););
}

void CG_ROW(swiglu_f32)(size_t n, const float *g, const float *u, float *y)
{
    EACH16(n, i, r, v16 a = v_load(g + i, r);
           v_store(y + i, r, v_mul(v_mul(a, sigmoid16(a)), v_load(u + i, r))););
}

void CG_ROW(swiglu_bwd_f32)(size_t n, const float *g, const float *u, const float *dy, float *dg, float *du)
{
    v16 one = v_set1(1.0f);
    EACH16(n, i, r, v16 a = v_load(g + i, r), b = v_load(u + i, r), d = v_load(dy + i, r); v16 s = sigmoid16(a);
           v_store(du + i, r, v_mul(d, v_mul(a, s)));
           v_store(dg + i, r, v_mul(v_mul(d, b), v_mul(s, v_fma(a, v_sub(one, s), one)))););
}

void CG_ROW(add_f32)(size_t n, const float *a, const float *b, float *y)
{
    EACH16(n, i, r, v_store(y + i, r, v_add(v_load(a + i, r), v_load(b + i, r))););
}

void CG_ROW(axpy_f32)(size_t n, float alpha, const float *x, float *y)
{
    v16 f = v_set1(alpha);
    EACH16(n, i, r, v_store(y + i, r, v_fma(f, v_load(x + i, r), v_load(y + i, r))););
}

void CG_ROW(adamw_f32)(size_t n, const struct cg_adamw *h, const float *g, float *p, float *m, float *v)
{
    v16 gs = v_set1(h->gscale), b1 = v_set1(h->b1), c1 = v_set1(h->one_minus_b1), b2 = v_set1(h->b2);
    v16 c2 = v_set1(h->one_minus_b2), wd = v_set1(h->lr_wd), step = v_set1(h->step_size);
    v16 bc2 = v_set1(h->rsqrt_bc2), eps = v_set1(h->eps);
    EACH16(n, i, r, v16 a = v_mul(v_load(g + i, r), gs), q = v_load(p + i, r);
           v16 m1 = v_fma(b1, v_load(m + i, r), v_mul(c1, a));
           v16 v1 = v_fma(b2, v_load(v + i, r), v_mul(c2, v_mul(a, a))); v_store(m + i, r, m1); v_store(v + i, r, v1);
           q = v_sub(q, v_mul(wd, q)); v16 d = v_div(m1, v_add(v_mul(v_sqrt(v1), bc2), eps));
           v_store(p + i, r, v_sub(q, v_mul(step, d))););
}

float CG_ROW(quant_s8)(size_t n, const float *x, int8_t *q)
{
    MAX16(n, x, 0.0f, v_abs);
    float m = v_fold_max(m0);
    v16 inv = v_set1(m == 0.0f ? 0.0f : 127.0f / m);
    EACH16(n, i, r, v_store_s8(q + i, r, v_mul(v_load(x + i, r), inv)););
    return m / 127.0f;
}

void CG_ROW(dequant_s8)(size_t n, float scale, const int8_t *q, float *y)
{
    v16 f = v_set1(scale);
    EACH16(n, i, r, v_store(y + i, r, v_mul(v_load_s8(q + i, r), f)););
}

void CG_ROW(to_bf16)(size_t n, const float *x, uint16_t *y)
{
    EACH16(n, i, r, v_store_bf16(y + i, r, v_load(x + i, r)););
}

void CG_ROW(from_bf16)(size_t n, const uint16_t *x, float *y)
{
    EACH16(n, i, r, v_store(y + i, r, v_load_bf16(x + i, r)););
}

#include "kernels/rows_kv.inc.h"
