/* The op table: what a kernel variant is. All that an ISA file may include of ours.
 *
 * Numeric contract (docs/numerics.md): every variant of an op gives the bits of the op's scalar truth in kernels/ref.
 * - A GEMM output is one chain c = fma(a[k], b[k], c) over k ascending, from 0 or, with `accumulate`, from c.
 * - A sum over a row uses 16 virtual lanes: lane i takes elements i, i+16, ... in order, from +0; then lanes fold
 *   8, 4, 2, 1 (lane i += lane i+8, ...). Lanes past the end of the row take nothing.
 * - exp is cg_exp of kernels/ref/exp.h, exp2 its cg_exp2: each one polynomial, one sequence of operations.
 * - LOG2E is CG_EXP_LOG2E of kernels/exp_poly.h. Softmax and its kin work in powers of 2: c = scale*LOG2E, rounded. */
#ifndef CG_KERNELS_OPS_H
#define CG_KERNELS_OPS_H

#include <stddef.h>
#include <stdint.h>

/* ---- GEMM f32: C[m][NR] (+)= A[m][k] * B[k][NR], 1 <= m <= MR ----------------------------------------------------
 * a: element (i, p) at a[i*rs_a + p*cs_a].
 * b: panels of PACK_NR columns; row p of panel j at b[j*ps_b + p*rs_b]: packed ones (rs_b = PACK_NR), or a row-major
 *    matrix as it lies (ps_b = PACK_NR). NR is a multiple of PACK_NR, and all NR columns are read (packed panels are
 * padded with zeros; the caller sees to it that NR/PACK_NR panels exist). c: row i at c[i*rs_c], all NR columns are
 * written. accumulate: 0 starts the chains at 0, 1 at the content of c. prefetch: how many rows p ahead of the current
 * one the panel is prefetched; 0 for none, from 64 on to L2 only (the driver asks for the next panel so). */
typedef void cg_gemm_f32_fn(size_t m, size_t k, const float *a, size_t rs_a, size_t cs_a, const float *b, size_t rs_b,
                            size_t ps_b, float *c, size_t rs_c, int accumulate, size_t prefetch);

/* ---- GEMM bf16w: as GEMM f32 with B stored in bf16 (the upper half of an f32) and expanded exactly: inside the
 * contract. b: groups of 2 rows: group g of panel j at b[j*ps_b + g*2*PACK_NR], column n at +2*n, row p at +p%2; where
 * k is odd the last group's second row is 0 and must not be multiplied (there is no a for it). */
typedef void cg_gemm_bf16w_fn(size_t m, size_t k, const float *a, size_t rs_a, size_t cs_a, const uint16_t *b,
                              size_t ps_b, float *c, size_t rs_c, int accumulate, size_t prefetch);

/* ---- GEMM bf16: C[m][NR] = A[m][k] * B[k][NR] in the instructions' own arithmetic: the declared fast mode
 * ------------- Each variant names the scalar model of what it computes for one output; it is exact against that. a:
 * row i at a[i*rs_a]. b: packed panels of NR columns, groups of KR rows: group g at b[g*NR*KR], column n at +n*KR, row
 * p at +p%KR. Both are padded with zeros to a multiple of KU; k is that multiple.
 * c: row i at c[i*rs_c], all NR columns are written. */
typedef void cg_gemm_bf16_fn(size_t m, size_t k, const uint16_t *a, size_t rs_a, const uint16_t *b, float *c,
                             size_t rs_c, size_t prefetch);
/* The model: one output from a row of A and a column of B, k elements each, k a multiple of KU. */
typedef float cg_bf16_dot_fn(size_t k, const uint16_t *a, const uint16_t *b);

/* ---- GEMM s8: C[m][NR] = f32(sum_p A[m][p] * B[p][NR]) * sa[m] * sb[NR], 1 <= m <= MR -----------------------------
 * The sum is exact in int32 (k <= 131071); then round to f32, times sa, times sb, each rounded.
 * a: row i at a[i*rs_a], k padded with zeros to a multiple of KU. A variant with `a_offset` 128 gets a as u8 (s8 + 128)
 *    and `comp` holds -128 * sum_p B[p][n]; otherwise a is s8 and comp is NULL.
 * b: packed panels of NR columns, groups of KR rows: group g at b[g*NR*KR], column n at +n*KR, row p at +p%KR; padded
 *    with zeros to a multiple of KU, which is one of KR.
 * c: row i at c[i*rs_c], all NR columns are written. */
typedef void cg_gemm_s8_fn(size_t m, size_t k, const void *a, size_t rs_a, const int8_t *b, const int32_t *comp,
                           const float *sa, const float *sb, float *c, size_t rs_c, size_t prefetch);

/* ---- Row operations; formulas are exact, each operation rounded as written; fma only where it says fma ------------
 * In-place use (y == x) is allowed where a comment does not say otherwise. */

/* y = softmax(scale * x): t = x*c; e = exp2(t - max t); y = e * (1 / sum e). */
typedef void cg_softmax_f32_fn(size_t n, float scale, const float *x, float *y);
/* Softmax backward: s = sum fma(p, dp); dx = (p * (dp - s)) * scale. Masked or not: where p is 0, dx is. */
typedef void cg_softmax_bwd_f32_fn(size_t n, float scale, const float *p, const float *dp, float *dx);
/* Both over the first len <= n elements, as of a causal row; the others of y (dx) become +0, those of x are not read.
 */
typedef void cg_softmax_len_f32_fn(size_t n, size_t len, float scale, const float *x, float *y);
typedef void cg_softmax_len_bwd_f32_fn(size_t n, size_t len, float scale, const float *p, const float *dp, float *dx);
/* y = softmax(scale * x + mask), the mask added or, as 0 and -inf, boolean: t = fma(mask, LOG2E, x*c), then as softmax;
 * a row without any t above -inf becomes zeros. y may be x, not mask. */
typedef void cg_softmax_mask_f32_fn(size_t n, float scale, const float *mask, const float *x, float *y);
/* max over i of x[i]; -inf for n == 0. (NaN anywhere: the result is unspecified.) */
typedef float cg_max_f32_fn(size_t n, const float *x);
/* For one chunk of a long row: t = x*c - sub; out[0] = sum exp2(t); out[1] = sum fma(exp2(t), t). */
typedef void cg_sumexp_f32_fn(size_t n, float scale, float sub, const float *x, float out[2]);
/* y = exp2(x*c - sub) * mul. */
typedef void cg_expmul_f32_fn(size_t n, float scale, float sub, float mul, const float *x, float *y);
/* Log-softmax of a row whose log-sum-exp is known (kernels/logits.h): y = x*scale - lse. */
typedef void cg_logsoftmax_f32_fn(size_t n, float scale, float lse, const float *x, float *y);
/* Its backward: s = sum dy; dx = fma(-s, exp2(y*LOG2E), dy) * scale. */
typedef void cg_logsoftmax_bwd_f32_fn(size_t n, float scale, const float *y, const float *dy, float *dx);
/* RMSNorm (Zhang & Sennrich 2019): ss = sum fma(x, x); inv = 1 / sqrt(ss / n + eps); y = (x * inv) * w. Returns inv. */
typedef float cg_rmsnorm_f32_fn(size_t n, float eps, const float *x, const float *w, float *y);
/* RMSNorm backward of one row: g = dy*w; s = sum fma(g, x); c = (s * (inv*inv*inv)) / n; dx = dx + fma(-c, x, g*inv).
 */
typedef void cg_rmsnorm_bwd_f32_fn(size_t n, float inv, const float *x, const float *w, const float *dy, float *dx);
/* Its weight's gradient, one row of the chain over rows: dw = fma(dy, x*inv, dw). */
typedef void cg_rmsnorm_dw_f32_fn(size_t n, float inv, const float *x, const float *dy, float *dw);
/* Rotary embedding of one head, halves (x[i], x[i+n/2]), i < n/2, in place or not:
 * y1 = fma(x1, cos, -(x2*sin)); y2 = fma(x2, cos, x1*sin). The backward pass calls it with -sin. n is even. */
typedef void cg_rope_f32_fn(size_t n, const float *cos, const float *sin, const float *x, float *y);
/* SwiGLU (Shazeer 2020): s = 1 / (1 + exp(-g)); y = (g*s) * u. */
typedef void cg_swiglu_f32_fn(size_t n, const float *g, const float *u, float *y);
/* SwiGLU backward: s as above; du = dy * (g*s); dg = (dy*u) * (s * fma(g, 1 - s, 1)). dg == g, du == u allowed. */
typedef void cg_swiglu_bwd_f32_fn(size_t n, const float *g, const float *u, const float *dy, float *dg, float *du);
/* y = a + b. */
typedef void cg_add_f32_fn(size_t n, const float *a, const float *b, float *y);
/* y = fma(alpha, x, y). */
typedef void cg_axpy_f32_fn(size_t n, float alpha, const float *x, float *y);
/* sum fma(x, x). */
typedef float cg_sumsq_f32_fn(size_t n, const float *x);

/* AdamW (Loshchilov & Hutter 2019), one step over n parameters:
 * g' = g*gscale; m = fma(b1, m, (1-b1)*g'); v = fma(b2, v, (1-b2)*(g'*g'));
 * p = p - (lr*wd)*p; p = p - step_size * (m / (sqrt(v)*rsqrt_bc2 + eps)). */
struct cg_adamw {
    float gscale, b1, one_minus_b1, b2, one_minus_b2;
    float lr_wd;     /* learning rate times weight decay */
    float step_size; /* learning rate / (1 - b1^t) */
    float rsqrt_bc2; /* 1 / sqrt(1 - b2^t) */
    float eps;
};
typedef void cg_adamw_f32_fn(size_t n, const struct cg_adamw *h, const float *g, float *p, float *m, float *v);

/* Quantise a row to s8 (absmax): s = max|x| / 127; q = clamp(rne(x * (127 / max|x|)), -127, 127); returns s. A row of
 * zeros gives s = 0 and q = 0. */
typedef float cg_quant_s8_fn(size_t n, const float *x, int8_t *q);
/* y = q * scale. */
typedef void cg_dequant_s8_fn(size_t n, float scale, const int8_t *q, float *y);
/* y = bf16(x): to nearest, ties to even; denormals are kept, a NaN becomes a quiet one. Not in place. */
typedef void cg_to_bf16_fn(size_t n, const float *x, uint16_t *y);
/* y = f32(x): exact. Not in place. */
typedef void cg_from_bf16_fn(size_t n, const uint16_t *x, float *y);

/* m <= 6 rows, row i at a[i*rs_a], against 16 columns, row p at b[p*rs_b], as a GEMM: c[i*rs_c + j] = chain over p < k
 * of fma(a[p], b[p][j]), from 0. For the corners of attention that a GEMM's tiles are too wide for. c is apart from a,
 * b. */
typedef void cg_dot16_f32_fn(size_t m, size_t k, const float *a, size_t rs_a, const float *b, size_t rs_b, float *c,
                             size_t rs_c);
/* Rows against a cache of keys or values: C[m][n] (+)= A[m][k] * B, chains as of a GEMM; n is a multiple of 16. Row i
 * of A at a[i*rs_a], of C at c[i*rs_c]; B in panels of 16 columns, row p of panel j at b[j*ps_b + p*16] (of f32 at
 * b[j*ps_b + p*rs_b]: ps_b = 16 and rs_b = ld is a plain row-major matrix). B is f32; or bf16, expanded exactly; or s8
 * times a scale, rounded to f32: scale[n] a column (a key is a column), scale[k] a row (a value is a row). */
typedef void cg_kv_f32_fn(size_t m, size_t n, size_t k, const float *a, size_t rs_a, const float *b, size_t ps_b,
                          size_t rs_b, float *c, size_t rs_c, int accumulate);
typedef void cg_kv_bf16_fn(size_t m, size_t n, size_t k, const float *a, size_t rs_a, const uint16_t *b, size_t ps_b,
                           float *c, size_t rs_c, int accumulate);
typedef void cg_kv_keys_s8_fn(size_t m, size_t n, size_t k, const float *a, size_t rs_a, const int8_t *b, size_t ps_b,
                              const float *scale, float *c, size_t rs_c, int accumulate);
typedef void cg_kv_values_s8_fn(size_t m, size_t n, size_t k, const float *a, size_t rs_a, const int8_t *b, size_t ps_b,
                                const float *scale, float *c, size_t rs_c, int accumulate);

/* One list of the row operations: dispatch, variants, tests and benchmark follow from it. X(op, isas, suffix); the last
 * two are handed through and may be empty. */
#define CG_ROW_OPS(X, isas, suffix)      \
    X(softmax_f32, isas, suffix)         \
    X(softmax_bwd_f32, isas, suffix)     \
    X(softmax_len_f32, isas, suffix)     \
    X(softmax_len_bwd_f32, isas, suffix) \
    X(softmax_mask_f32, isas, suffix)    \
    X(logsoftmax_f32, isas, suffix)      \
    X(logsoftmax_bwd_f32, isas, suffix)  \
    X(max_f32, isas, suffix)             \
    X(sumexp_f32, isas, suffix)          \
    X(expmul_f32, isas, suffix)          \
    X(rmsnorm_f32, isas, suffix)         \
    X(rmsnorm_bwd_f32, isas, suffix)     \
    X(rmsnorm_dw_f32, isas, suffix)      \
    X(rope_f32, isas, suffix)            \
    X(swiglu_f32, isas, suffix)          \
    X(swiglu_bwd_f32, isas, suffix)      \
    X(add_f32, isas, suffix)             \
    X(axpy_f32, isas, suffix)            \
    X(sumsq_f32, isas, suffix)           \
    X(adamw_f32, isas, suffix)           \
    X(quant_s8, isas, suffix)            \
    X(dequant_s8, isas, suffix)          \
    X(dot16_f32, isas, suffix)           \
    X(kv_f32, isas, suffix)              \
    X(kv_bf16, isas, suffix)             \
    X(kv_keys_s8, isas, suffix)          \
    X(kv_values_s8, isas, suffix)        \
    X(to_bf16, isas, suffix)             \
    X(from_bf16, isas, suffix)

/* What a variant computes. */
enum cg_op {
    CG_OP_gemm_f32,
    CG_OP_gemm_bf16w,
    CG_OP_gemm_bf16,
    CG_OP_gemm_s8,
#define X(op, isas, suffix) CG_OP_##op,
    CG_ROW_OPS(X, , )
#undef X
        CG_OP_COUNT
};

#endif
