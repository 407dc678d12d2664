#include "kernels/attention.h"

#include <string.h>

#include "kernels/attention_impl.h"

size_t cg_attention_pad(const struct cg_attention *at, size_t n)
{
    return round_up(n, at->gemm->pack_nr);
}

/* Rows of one head lie a whole token apart, often in different pages, where hardware does not look ahead. */
static inline void fetch_row(const float *x, size_t n)
{
    for (size_t i = 0; i < n; i += 16) __builtin_prefetch(x + i);
}

/* ---- Keys and values as the kernels read them -------------------------------------------------------------------- */

size_t cg_attention_keys_size(const struct cg_attention *at, size_t cap)
{
    return cg_attention_pad(at, cap) * at->head_dim;
}

size_t cg_attention_values_size(const struct cg_attention *at, size_t cap)
{
    return cap * cg_attention_pad(at, at->head_dim);
}

/* Positions pos..pos+3 of one panel. */
static void put_4_keys(size_t hd, size_t nr, float *to, const float *k, size_t ldk)
{
    size_t i = 0;
    for (; i + 4 <= hd; i += 4) transpose_4x4(k + i, ldk, to + i * nr, nr);
    for (; i < hd; i++)
        for (size_t j = 0; j < 4; j++) to[i * nr + j] = k[j * ldk + i];
}

void cg_attention_put_panels(size_t hd, size_t nr, float *keys, size_t pos, size_t n, const float *k, size_t ldk)
{
    for (size_t end = pos + n; pos < end;) {
        float *to = keys + pos / nr * nr * hd + pos % nr;
        if (end - pos >= 4 && pos % nr + 4 <= nr) {
            for (size_t t = AHEAD; t < AHEAD + 4 && t < end - pos; t++) fetch_row(k + t * ldk, hd);
            put_4_keys(hd, nr, to, k, ldk);
            pos += 4;
            k += 4 * ldk;
        } else {
            for (size_t i = 0; i < hd; i++) to[i * nr] = k[i];
            pos++;
            k += ldk;
        }
    }
}

void cg_attention_put_columns(size_t hd, size_t nr, float *values, size_t cap, size_t pos, size_t n, const float *v,
                              size_t ldv)
{
    for (size_t j = 0; j < hd; j += nr) {
        size_t w = (hd - j < nr ? hd - j : nr) * sizeof(float);
        for (size_t t = 0; t < n; t++) {
            if (t + AHEAD < n) fetch_row(v + (t + AHEAD) * ldv + j, w / sizeof(float));
            memcpy(values + j * cap + (pos + t) * nr, v + t * ldv + j, w);
        }
    }
}

void cg_attention_put_keys(const struct cg_attention *at, float *keys, size_t pos, size_t n, const float *k, size_t ldk)
{
    cg_attention_put_panels(at->head_dim, at->gemm->pack_nr, keys, pos, n, k, ldk);
}

void cg_attention_put_values(const struct cg_attention *at, float *values, size_t cap, size_t pos, size_t n,
                             const float *v, size_t ldv)
{
    cg_attention_put_columns(at->head_dim, at->gemm->pack_nr, values, cap, pos, n, v, ldv);
}

/* ---- Blocks of rows ---------------------------------------------------------------------------------------------- */

size_t cg_attention_block(const struct cg_attention *at)
{
    return round_up(BLOCK_ROWS, at->gemm->mr);
}

/* Scores of a tile of rows with the first `keys` positions (or more) of a panel: of all of it, or 16 at a time where
 * they are so few that this is cheaper, as at the diagonal. */
static void tile_scores(const struct cg_attention *at, size_t rows, size_t keys, const float *q, size_t rs_q,
                        const float *panel, float *s, size_t ld)
{
    size_t nr = at->gemm->nr, parts = ceil_div(rows, 6), step = ceil_div(rows, parts);
    /* In steps of the reduction: a chain waits for its own latency of about four multiply-adds. */
    size_t narrow = keys + 16 <= nr ? ceil_div(keys, 16) * parts * (step < 4 ? 4 : step) : SIZE_MAX;
    if (narrow >= nr / 16 * (rows < 2 ? 2 : rows)) {
        at->gemm->fn.gemm_f32(rows, at->head_dim, q, rs_q, 1, panel, nr, at->head_dim * nr, s, ld, 0, PREFETCH);
        return;
    }
    for (size_t i = 0; i < rows; i += step)
        for (size_t j = 0; j < keys; j += 16)
            at->rows->dot16_f32(rows - i < step ? rows - i : step, at->head_dim, q + i * rs_q, rs_q, panel + j, nr,
                                s + i * ld + j, ld);
}

void cg_attention_scores(const struct cg_attention *at, size_t m, struct cg_span sp, const float *q, size_t rs_q,
                         const float *keys, float *s, size_t ld)
{
    const struct cg_variant *v = at->gemm;
    size_t mr = v->mr, nr = v->nr, hd = at->head_dim;
    for (size_t j = 0; j < cg_span_seen(sp, m - 1); j += nr) /* a panel stays near while the rows pass */
        for (size_t i = 0; i < m; i += mr) {
            size_t rows = m - i < mr ? m - i : mr, seen = cg_span_seen(sp, i + rows - 1);
            if (j < seen) tile_scores(at, rows, seen - j, q + i * rs_q, rs_q, keys + j * hd, s + i * ld + j, ld);
        }
}

/* Softmax of row r over the keys it sees, zeros behind them as far as its tile of rows sees. */
static void softmax_tile_row(const struct cg_attention *at, size_t m, struct cg_span sp, size_t r, float *s)
{
    size_t mr = at->gemm->mr, last = r / mr * mr + mr - 1;
    at->rows->softmax_len_f32(cg_span_seen(sp, last < m ? last : m - 1), cg_span_seen(sp, r), at->scale, s, s);
}

void cg_attention_mix(const struct cg_attention *at, size_t m, struct cg_span sp, const float *p, size_t ld,
                      const float *values, size_t cap, float *o, int accumulate)
{
    const struct cg_variant *v = at->gemm;
    size_t mr = v->mr, nr = v->nr, wd = cg_attention_pad(at, at->head_dim);
    for (size_t i = 0; i < m; i += mr) {
        size_t rows = m - i < mr ? m - i : mr;
        for (size_t j = 0; j < wd; j += nr)
            v->fn.gemm_f32(rows, cg_span_seen(sp, i + rows - 1), p + i * ld, ld, 1, values + j * cap, nr, cap * nr,
                           o + i * wd + j, wd, accumulate, PREFETCH);
    }
}

/* ---- Forward ----------------------------------------------------------------------------------------------------- */

size_t cg_attention_forward_scratch(const struct cg_attention *at, size_t tq, size_t tk)
{
    (void)tq;
    return cg_attention_block(at) * (at->head_dim + cg_attention_pad(at, at->head_dim) + cg_attention_ld(at, tk));
}

/* Rows in the order position, head: those of one block see nearly the same keys. */
void cg_attention_forward(const struct cg_attention *at, size_t tq, size_t pos0, const float *q, size_t ldq,
                          const float *keys, const float *values, size_t cap, float *out, size_t ldo, float *scratch)
{
    size_t hd = at->head_dim, wd = cg_attention_pad(at, hd), block = cg_attention_block(at), group = at->group;
    size_t ld = cg_attention_ld(at, pos0 + tq);
    float *qb = scratch, *o = qb + block * hd, *s = o + block * wd;
    for (size_t i = 0; i < tq * group; i += block) {
        size_t m = tq * group - i < block ? tq * group - i : block;
        struct cg_span sp = {pos0 + 1, i, group};
        for (size_t r = 0; r < m; r++)
            memcpy(qb + r * hd, q + (i + r) / group * ldq + (i + r) % group * hd, hd * sizeof(float));
        cg_attention_scores(at, m, sp, qb, hd, keys, s, ld);
        for (size_t r = 0; r < m; r++) { /* where the results go and the next block comes from, a row at a time */
            size_t next = i + r + block < tq * group ? i + r + block : i + r;
            fetch_row(out + (i + r) / group * ldo + (i + r) % group * hd, hd);
            fetch_row(q + next / group * ldq + next % group * hd, hd);
            softmax_tile_row(at, m, sp, r, s + r * ld);
        }
        cg_attention_mix(at, m, sp, s, ld, values, cap, o, 0);
        for (size_t r = 0; r < m; r++)
            cg_attention_store(hd, o + r * wd, out + (i + r) / group * ldo + (i + r) % group * hd);
    }
}

/* ---- Backward ---------------------------------------------------------------------------------------------------- */

size_t cg_attention_backward_scratch(const struct cg_attention *at, size_t tq, size_t tk)
{
    (void)tq;
    /* Q, dO, dQ; P, dS */
    return cg_attention_block(at) * (3 * cg_attention_pad(at, at->head_dim) + 2 * cg_attention_ld(at, tk));
}

/* What one block of rows of one head needs. */
struct backward {
    const struct cg_attention *at;
    struct cg_attention_kv kv;
    size_t ld;
    float *qc, *oc;     /* Q and dO in panels of columns, [pad(hd)/nr][m][nr] */
    float *dq, *p, *ds; /* [m][pad(hd)], [m][ld], [m][ld] */
};

/* Rows x[n][hd] (leading dimension ld) as panels of columns, [pad(hd)/nr][n][nr]. */
static void pack_columns(const struct cg_attention *at, size_t n, const float *x, size_t ld, float *out)
{
    size_t nr = at->gemm->pack_nr, hd = at->head_dim;
    cg_attention_put_values(at, out, n, 0, n, x, ld);
    if (hd % nr)
        for (size_t r = 0; r < n; r++)
            memset(out + hd / nr * nr * n + r * nr + hd % nr, 0, (nr - hd % nr) * sizeof(float));
}

/* d[keys] += x^T y for a block of m rows: x is P or dS, [m][ld]; y in panels of columns. Only rows that see the first
 * key of a tile take part: all others' entries are 0. */
static void add_keys(const struct backward *b, size_t m, struct cg_span sp, const float *x, const float *y, float *d)
{
    const struct cg_variant *v = b->at->gemm;
    size_t mr = v->mr, nr = v->nr, wd = cg_attention_pad(b->at, b->at->head_dim), tk = cg_span_seen(sp, m - 1);
    for (size_t i = 0; i < tk; i += mr) {
        size_t keys = tk - i < mr ? tk - i : mr, r0 = i < sp.seen0 ? 0 : i + 1 - sp.seen0;
        for (size_t j = 0; j < wd; j += nr)
            v->fn.gemm_f32(keys, m - r0, x + r0 * b->ld + i, 1, b->ld, y + j * m + r0 * nr, nr, m * nr, d + i * wd + j,
                           wd, 1, PREFETCH);
    }
}

/* m rows of one head, the first at a position that sees `seen0` keys. */
static void backward_block(const struct backward *b, size_t m, size_t seen0, const float *q, size_t ldq,
                           const float *dout, size_t ldo, float *dq, size_t lddq, float *dk, float *dv)
{
    const struct cg_attention *at = b->at;
    size_t wd = cg_attention_pad(at, at->head_dim), ld = b->ld, mr = at->gemm->mr;
    struct cg_span sp = {seen0, 0, 1};
    pack_columns(at, m, q, ldq, b->qc);
    pack_columns(at, m, dout, ldo, b->oc);
    cg_attention_scores(at, m, sp, q, ldq, b->kv.keys, b->p, ld);
    cg_attention_scores(at, m, sp, dout, ldo, b->kv.values_t, b->ds, ld);
    for (size_t r = 0; r < m; r++) {
        float *p = b->p + r * ld, *ds = b->ds + r * ld;
        size_t seen = seen0 + r, end = seen + mr - 1; /* as far as a tile of keys or of rows may reach */
        at->rows->softmax_len_f32(end, seen, at->scale, p, p);
        at->rows->softmax_len_bwd_f32(end, seen, at->scale, p, ds, ds);
    }
    add_keys(b, m, sp, b->p, b->oc, dv);
    add_keys(b, m, sp, b->ds, b->qc, dk);
    cg_attention_mix(at, m, sp, b->ds, ld, b->kv.keys_t, b->kv.cap, b->dq, 0);
    for (size_t r = 0; r < m; r++) cg_attention_store(at->head_dim, b->dq + r * wd, dq + r * lddq);
}

void cg_attention_backward(const struct cg_attention *at, size_t tq, size_t pos0, const float *q, size_t ldq,
                           struct cg_attention_kv kv, const float *dout, size_t ldo, float *dq, size_t lddq, float *dk,
                           float *dv, float *scratch)
{
    size_t hd = at->head_dim, tk = pos0 + tq, wd = cg_attention_pad(at, hd);
    size_t block = cg_attention_block(at), ld = cg_attention_ld(at, tk);
    struct backward b = {at, kv, ld, scratch, scratch + block * wd, scratch + 2 * block * wd, NULL, NULL};
    b.p = b.dq + block * wd;
    b.ds = b.p + block * ld;
    for (size_t h = 0; h < at->group; h++)
        for (size_t t = 0; t < tq; t += block)
            backward_block(&b, tq - t < block ? tq - t : block, pos0 + t + 1, q + t * ldq + h * hd, ldq,
                           dout + t * ldo + h * hd, ldo, dq + t * lddq + h * hd, lddq, dk, dv);
    for (size_t i = 0; i < tk * wd; i++) { /* a zero has no sign: tiles add zero terms to a chain or do not */
        dk[i] += 0.0f;
        dv[i] += 0.0f;
    }
}
