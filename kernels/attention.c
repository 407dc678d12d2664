#include "kernels/attention.h"

#include <string.h>

#include "kernels/gemm.h"

#define PREFETCH 0 /* operands are small and just written: they are in L1 or L2 */

size_t cg_attention_pad(const struct cg_attention *at, size_t n)
{
    size_t nr = at->gemm->pack_nr;
    return (n + nr - 1) / nr * nr;
}

size_t cg_attention_keys_size(const struct cg_attention *at, size_t cap)
{
    return cg_attention_pad(at, cap) * at->head_dim;
}

size_t cg_attention_values_size(const struct cg_attention *at, size_t cap)
{
    return cap * cg_attention_pad(at, at->head_dim);
}

void cg_attention_put_key(const struct cg_attention *at, float *keys, size_t pos, const float *k)
{
    size_t nr = at->gemm->pack_nr;
    float *to = keys + pos / nr * nr * at->head_dim + pos % nr;
    for (size_t i = 0; i < at->head_dim; i++) to[i * nr] = k[i];
}

void cg_attention_put_value(const struct cg_attention *at, float *values, size_t cap, size_t pos, const float *v)
{
    size_t nr = at->gemm->pack_nr, hd = at->head_dim;
    for (size_t j = 0; j < hd; j += nr)
        memcpy(values + j * cap + pos * nr, v + j, (hd - j < nr ? hd - j : nr) * sizeof(float));
}

/* C[m][n] (+)= A[m][k] B for panels at b + j*ps; n is a multiple of nr and C has room for all of it. */
static void panels(const struct cg_attention *at, size_t m, size_t n, size_t k, const float *a, size_t rs_a,
                   size_t cs_a, const float *b, size_t ps, float *c, size_t ldc, int accumulate)
{
    const struct cg_variant *v = at->gemm;
    for (size_t j = 0; j < n; j += v->nr)
        for (size_t i = 0; i < m; i += v->mr) {
            size_t mr = m - i < v->mr ? m - i : v->mr;
            v->fn.gemm_f32(mr, k, a + i * rs_a, rs_a, cs_a, b + j / v->nr * ps, ps, c + i * ldc + j, ldc, accumulate,
                           PREFETCH);
        }
}

/* Softmax of row i of s over its first `seen` entries; the rest of the row becomes 0. */
static void softmax_row(const struct cg_attention *at, float *s, size_t seen, size_t width)
{
    at->rows->softmax_f32(seen, at->scale, s, s);
    memset(s + seen, 0, (width - seen) * sizeof(float));
}

size_t cg_attention_forward_scratch(const struct cg_attention *at, size_t tq, size_t tk)
{
    (void)tq; /* rows are worked on in blocks of the micro-kernel's */
    return at->gemm->mr * (cg_attention_pad(at, tk) + cg_attention_pad(at, at->head_dim));
}

/* m rows (query row r at q + r*rs_q) that see seen0 + r*step keys each, in blocks that stop at the last key any of
 * their rows sees. A row's chain goes on over the block's later keys with probability 0; that can only turn a result of
 * -0, which comes from underflow, into +0: so a zero is stored as +0, and the bits do not depend on the block. */
static void attend_rows(const struct cg_attention *at, size_t m, size_t seen0, size_t step, const float *q, size_t rs_q,
                        const float *keys, const float *values, size_t cap, float *out, size_t rs_o, float *scratch)
{
    size_t hd = at->head_dim, wd = cg_attention_pad(at, hd), nr = at->gemm->pack_nr, mr = at->gemm->mr;
    float *o = scratch, *s = scratch + mr * wd;
    for (size_t i = 0; i < m; i += mr) {
        size_t rows = m - i < mr ? m - i : mr, seen = seen0 + i * step;
        size_t tk = seen + (rows - 1) * step, wk = cg_attention_pad(at, tk);
        panels(at, rows, wk, hd, q + i * rs_q, rs_q, 1, keys, hd * nr, s, wk, 0);
        for (size_t r = 0; r < rows; r++) softmax_row(at, s + r * wk, seen + r * step, wk);
        panels(at, rows, wd, tk, s, wk, 1, values, cap * nr, o, wd, 0);
        for (size_t r = 0; r < rows; r++)
            for (size_t j = 0; j < hd; j++) out[(i + r) * rs_o + j] = o[r * wd + j] + 0.0f;
    }
}

void cg_attention_forward(const struct cg_attention *at, size_t tq, size_t pos0, const float *q, size_t ldq,
                          const float *keys, const float *values, size_t cap, float *out, size_t ldo, float *scratch)
{
    size_t hd = at->head_dim;
    if (tq == 1) { /* the heads of the group are the rows: they read the same keys */
        attend_rows(at, at->group, pos0 + 1, 0, q, hd, keys, values, cap, out, hd, scratch);
        return;
    }
    for (size_t h = 0; h < at->group; h++)
        attend_rows(at, tq, pos0 + 1, 1, q + h * hd, ldq, keys, values, cap, out + h * hd, ldo, scratch);
}

size_t cg_attention_backward_scratch(const struct cg_attention *at, size_t tq, size_t tk)
{
    size_t wk = cg_attention_pad(at, tk), wd = cg_attention_pad(at, at->head_dim), hd = at->head_dim;
    return 2 * tq * wk                                       /* P, dS */
           + 2 * cg_pack_f32_size(tk, hd, at->gemm->pack_nr) /* K^T, V^T */
           + tk * wd                                         /* K in panels of columns */
           + 3 * tq * wd;                                    /* Q and dO in panels of columns, dQ */
}

/* Rows x[n][hd] (leading dimension ld) as panels of columns, [pad(hd)/nr][n][nr]. */
static void pack_columns(const struct cg_attention *at, size_t n, const float *x, size_t ld, float *out)
{
    size_t nr = at->gemm->pack_nr, hd = at->head_dim;
    for (size_t j = 0; j < hd; j += nr)
        for (size_t r = 0; r < n; r++) {
            float *to = out + j * n + r * nr;
            size_t w = hd - j < nr ? hd - j : nr;
            memcpy(to, x + r * ld + j, w * sizeof(float));
            memset(to + w, 0, (nr - w) * sizeof(float));
        }
}

void cg_attention_backward(const struct cg_attention *at, size_t tq, size_t pos0, const float *q, size_t ldq,
                           const float *k, const float *v, const float *dout, size_t ldo, float *dq, size_t lddq,
                           float *dk, float *dv, float *scratch)
{
    size_t hd = at->head_dim, nr = at->gemm->pack_nr, tk = pos0 + tq;
    size_t wk = cg_attention_pad(at, tk), wd = cg_attention_pad(at, hd), kt_size = cg_pack_f32_size(tk, hd, nr);
    float *p = scratch, *ds = p + tq * wk, *kt = ds + tq * wk, *vt = kt + kt_size, *kc = vt + kt_size;
    float *qc = kc + tk * wd, *oc = qc + tq * wd, *dqt = oc + tq * wd;

    cg_pack_f32(tk, hd, k, 1, hd, nr, kt, 1);
    cg_pack_f32(tk, hd, v, 1, hd, nr, vt, 1);
    pack_columns(at, tk, k, hd, kc);
    for (size_t h = 0; h < at->group; h++) {
        const float *qh = q + h * hd, *oh = dout + h * hd;
        pack_columns(at, tq, qh, ldq, qc);
        pack_columns(at, tq, oh, ldo, oc);
        panels(at, tq, wk, hd, qh, ldq, 1, kt, hd * nr, p, wk, 0);
        panels(at, tq, wk, hd, oh, ldo, 1, vt, hd * nr, ds, wk, 0);
        for (size_t t = 0; t < tq; t++) {
            size_t seen = pos0 + t + 1;
            softmax_row(at, p + t * wk, seen, wk);
            at->rows->softmax_bwd_f32(seen, at->scale, p + t * wk, ds + t * wk, ds + t * wk);
            memset(ds + t * wk + seen, 0, (wk - seen) * sizeof(float));
        }
        panels(at, tk, wd, tq, p, 1, wk, oc, tq * nr, dv, wd, 1);
        panels(at, tk, wd, tq, ds, 1, wk, qc, tq * nr, dk, wd, 1);
        panels(at, tq, wd, tk, ds, wk, 1, kc, tk * nr, dqt, wd, 0);
        for (size_t t = 0; t < tq; t++) memcpy(dq + t * lddq + h * hd, dqt + t * wd, hd * sizeof(float));
    }
}
