/* The pieces of attention that its files share: one block of query rows against panels of keys and values. */
#ifndef CG_KERNELS_ATTENTION_IMPL_H
#define CG_KERNELS_ATTENTION_IMPL_H

#include "kernels/attention.h"
#include "kernels/util.h"

#define PREFETCH 0    /* operands are small and just written: they are in L1 or L2 */
#define AHEAD 12      /* rows that are fetched before they are copied */
#define BLOCK_ROWS 48 /* rows worked on together: their scores stay in L2, each panel of keys in L1 while they pass */

/* Row r of a block sees seen0 + (first + r) / every keys. */
struct cg_span {
    size_t seen0, first, every;
};

static inline size_t cg_span_seen(struct cg_span sp, size_t r)
{
    return sp.seen0 + (sp.first + r) / sp.every;
}

/* BLOCK_ROWS in whole tiles. */
size_t cg_attention_block(const struct cg_attention *at);

/* Distance of two rows of scores over tk keys: whole panels, and a line or more so that rows do not meet in the same
 * sets of L1 and a tile's height fits behind the last key. */
static inline size_t cg_attention_ld(const struct cg_attention *at, size_t tk)
{
    return cg_attention_pad(at, tk) + round_up(at->gemm->mr, 16);
}

/* Rows of k as panels of nr positions, [.../nr][hd][nr]; rows of v as panels of nr columns, [.../nr][cap][nr]. */
void cg_attention_put_panels(size_t hd, size_t nr, float *keys, size_t pos, size_t n, const float *k, size_t ldk);
void cg_attention_put_columns(size_t hd, size_t nr, float *values, size_t cap, size_t pos, size_t n, const float *v,
                              size_t ldv);

/* Scores s[m][ld] of q (row r at r*rs_q) with the keys that each tile of rows sees, in whole panels. */
void cg_attention_scores(const struct cg_attention *at, size_t m, struct cg_span sp, const float *q, size_t rs_q,
                         const float *keys, float *s, size_t ld);

/* o[m][pad(head_dim)] (+)= p[m][ld] times values; a row's chain runs to the last key that its tile sees. */
void cg_attention_mix(const struct cg_attention *at, size_t m, struct cg_span sp, const float *p, size_t ld,
                      const float *values, size_t cap, float *o, int accumulate);

/* A row of results; a zero is stored as +0. */
static inline void cg_attention_store(size_t hd, const float *o, float *out)
{
    for (size_t j = 0; j < hd; j++) out[j] = o[j] + 0.0f;
}

#endif
