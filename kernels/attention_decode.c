/* Attention of a few new rows of many sequences against what they have seen, kept as f32, bf16 or int8. Stored types are
 * expanded a panel at a time into scratch that stays in L1, then run through the f32 kernel: every row of the block uses
 * the panel, so the expansion costs little, and memory is read in the small type. */
#include <string.h>

#include "kernels/attention_impl.h"

#define CHUNK 64   /* positions of values expanded at a time */
#define FETCH_AT 8 /* rows of a panel ahead: caches may lie in memory */

/* ---- The cache --------------------------------------------------------------------------------------------------- */

static size_t element(enum cg_kv_type type)
{
    return type == CG_KV_F32 ? 4 : type == CG_KV_BF16 ? 2 : 1;
}

static size_t round64(size_t n)
{
    return (n + 63) / 64 * 64;
}

static size_t scales(enum cg_kv_type type, size_t cap)
{
    return type == CG_KV_S8 ? round64(cap * sizeof(float)) : 0;
}

size_t cg_kv_bytes(const struct cg_attention *at, enum cg_kv_type type, size_t cap)
{
    return round64(cg_attention_keys_size(at, cap) * element(type)) +
           round64(cg_attention_values_size(at, cap) * element(type)) + 2 * scales(type, cap);
}

struct cg_kv cg_kv_at(const struct cg_attention *at, enum cg_kv_type type, size_t cap, void *mem)
{
    uint8_t *p = mem;
    struct cg_kv kv = {.type = type, .cap = cap, .keys = p};
    p += round64(cg_attention_keys_size(at, cap) * element(type));
    kv.values = p;
    p += round64(cg_attention_values_size(at, cap) * element(type));
    if (type == CG_KV_S8) {
        kv.key_scale = (float *)(void *)p;
        kv.value_scale = (float *)(void *)(p + scales(type, cap));
    }
    return kv;
}

static void put_bf16(const struct cg_attention *at, const struct cg_kv *kv, size_t pos, const float *k, const float *v)
{
    size_t nr = at->gemm->pack_nr, hd = at->head_dim;
    uint16_t tmp[CG_ATTENTION_MAX_HEAD_DIM];
    uint16_t *keys = (uint16_t *)kv->keys + pos / nr * nr * hd + pos % nr;
    at->rows->to_bf16(hd, k, tmp);
    for (size_t i = 0; i < hd; i++) keys[i * nr] = tmp[i];
    for (size_t j = 0; j < hd; j += nr)
        at->rows->to_bf16(hd - j < nr ? hd - j : nr, v + j, (uint16_t *)kv->values + j * kv->cap + pos * nr);
}

static void put_s8(const struct cg_attention *at, const struct cg_kv *kv, size_t pos, const float *k, const float *v)
{
    size_t nr = at->gemm->pack_nr, hd = at->head_dim;
    int8_t tmp[CG_ATTENTION_MAX_HEAD_DIM];
    int8_t *keys = (int8_t *)kv->keys + pos / nr * nr * hd + pos % nr;
    kv->key_scale[pos] = at->rows->quant_s8(hd, k, tmp);
    for (size_t i = 0; i < hd; i++) keys[i * nr] = tmp[i];
    kv->value_scale[pos] = at->rows->quant_s8(hd, v, tmp);
    for (size_t j = 0; j < hd; j += nr)
        memcpy((int8_t *)kv->values + j * kv->cap + pos * nr, tmp + j, hd - j < nr ? hd - j : nr);
}

void cg_kv_put(const struct cg_attention *at, const struct cg_kv *kv, size_t pos, size_t n, const float *k, size_t ldk,
               const float *v, size_t ldv)
{
    if (kv->type == CG_KV_F32) {
        cg_attention_put_keys(at, kv->keys, pos, n, k, ldk);
        cg_attention_put_values(at, kv->values, kv->cap, pos, n, v, ldv);
        return;
    }
    for (size_t t = 0; t < n; t++) {
        if (kv->type == CG_KV_BF16) put_bf16(at, kv, pos + t, k + t * ldk, v + t * ldv);
        else put_s8(at, kv, pos + t, k + t * ldk, v + t * ldv);
    }
}

/* ---- A block of rows against one cache --------------------------------------------------------------------------- */

/* Panel of positions j.. as f32: where it lies, or expanded into `to`. */
static const float *key_panel(const struct cg_attention *at, const struct cg_kv *kv, size_t j, float *to)
{
    size_t nr = at->gemm->pack_nr, hd = at->head_dim;
    if (kv->type == CG_KV_F32) return (const float *)kv->keys + j * hd;
    if (kv->type == CG_KV_BF16) {
        at->rows->from_bf16(nr * hd, (const uint16_t *)kv->keys + j * hd, to);
        return to;
    }
    const int8_t *q = (const int8_t *)kv->keys + j * hd;
    for (size_t i = 0; i < hd; i++) at->rows->dequant_each_s8(nr, kv->key_scale + j, q + i * nr, to + i * nr);
    return to;
}

/* Rows pos .. pos+n-1 of the panel of value columns j.. as f32. */
static const float *value_rows(const struct cg_attention *at, const struct cg_kv *kv, size_t j, size_t pos, size_t n,
                               float *to)
{
    size_t nr = at->gemm->pack_nr, at0 = j * kv->cap + pos * nr;
    if (kv->type == CG_KV_F32) return (const float *)kv->values + at0;
    if (kv->type == CG_KV_BF16) {
        at->rows->from_bf16(n * nr, (const uint16_t *)kv->values + at0, to);
        return to;
    }
    for (size_t t = 0; t < n; t++)
        at->rows->dequant_s8(nr, kv->value_scale[pos + t], (const int8_t *)kv->values + at0 + t * nr, to + t * nr);
    return to;
}

/* Rows of a block: queries, scores, results. */
struct rows {
    size_t m;
    const float *q; /* [m][hd] */
    float *s;       /* [m][ld] */
    size_t ld;
    float *o; /* [m][pad(hd)] */
};

static void scores(const struct cg_attention *at, struct rows x, struct cg_span sp, const struct cg_kv *kv,
                   size_t column, float *panel)
{
    size_t nr = at->gemm->nr, mr = at->gemm->mr, hd = at->head_dim;
    for (size_t j = 0; j < cg_span_seen(sp, x.m - 1); j += nr) {
        const float *b = key_panel(at, kv, j, panel);
        for (size_t i = 0; i < x.m; i += mr) {
            size_t rows = x.m - i < mr ? x.m - i : mr, seen = cg_span_seen(sp, i + rows - 1);
            if (j < seen)
                cg_attention_tile_scores(at, rows, seen - j, x.q + i * hd, hd, b, FETCH_AT,
                                         x.s + i * x.ld + column + j, x.ld);
        }
    }
}

static void mix(const struct cg_attention *at, struct rows x, struct cg_span sp, const struct cg_kv *kv, size_t column,
                int accumulate, float *panel)
{
    size_t nr = at->gemm->nr, mr = at->gemm->mr, wd = cg_attention_pad(at, at->head_dim);
    size_t tk = cg_span_seen(sp, x.m - 1), chunk = kv->type == CG_KV_F32 ? tk : CHUNK;
    for (size_t p = 0; p < tk; p += chunk)
        for (size_t j = 0; j < wd; j += nr) {
            const float *b = value_rows(at, kv, j, p, tk - p < chunk ? tk - p : chunk, panel);
            for (size_t i = 0; i < x.m; i += mr) {
                size_t rows = x.m - i < mr ? x.m - i : mr, seen = cg_span_seen(sp, i + rows - 1);
                if (seen <= p) continue;
                at->gemm->fn.gemm_f32(rows, seen - p < chunk ? seen - p : chunk, x.s + i * x.ld + column + p, x.ld, 1,
                                      b, nr * kv->cap, x.o + i * wd + j, wd, accumulate || p > 0, FETCH_AT);
            }
        }
}

/* ---- Sequences --------------------------------------------------------------------------------------------------- */

/* Rows first .. first+n-1 (in the order position, head) of one sequence, from row `at` of the block on. */
struct piece {
    const struct cg_decode_seq *seq;
    size_t first, n, at;
};

static struct cg_span own_span(const struct cg_attention *at, const struct piece *p)
{
    return (struct cg_span){p->seq->own_len - p->seq->tq + 1, p->first, at->group};
}

/* As many rows as fit a block, from row *row of sequence *seq on; both move on. Returns the number of pieces. */
static size_t next_block(const struct cg_attention *at, size_t n, const struct cg_decode_seq *seqs, size_t *seq,
                         size_t *row, struct piece *pieces, size_t *m)
{
    size_t count = 0, block = cg_attention_block(at);
    for (*m = 0; *seq < n && *m < block; count++) {
        size_t all = seqs[*seq].tq * at->group, left = all - *row;
        pieces[count] = (struct piece){&seqs[*seq], *row, left < block - *m ? left : block - *m, *m};
        *m += pieces[count].n;
        *row += pieces[count].n;
        if (*row == all) {
            *row = 0;
            ++*seq;
        }
    }
    return count;
}

static struct rows part_of(const struct cg_attention *at, struct rows x, const struct piece *p)
{
    size_t hd = at->head_dim, wd = cg_attention_pad(at, hd);
    return (struct rows){p->n, x.q + p->at * hd, x.s + p->at * x.ld, x.ld, x.o + p->at * wd};
}

/* Softmax over the shared keys and a row's own, zeros behind them as far as its tile sees. */
static void softmax_piece(const struct cg_attention *at, struct rows x, const struct piece *p, size_t shared)
{
    struct cg_span sp = own_span(at, p);
    size_t mr = at->gemm->mr;
    for (size_t r = 0; r < p->n; r++) {
        size_t last = r / mr * mr + mr - 1 < p->n ? r / mr * mr + mr - 1 : p->n - 1;
        float *s = x.s + r * x.ld;
        at->rows->softmax_len_f32(shared + cg_span_seen(sp, last), shared + cg_span_seen(sp, r), at->scale, s, s);
    }
}

static const float *query(const struct cg_attention *at, const struct piece *p, size_t r)
{
    return p->seq->q + (p->first + r) / at->group * p->seq->ldq + (p->first + r) % at->group * at->head_dim;
}

static float *result(const struct cg_attention *at, const struct piece *p, size_t r)
{
    return p->seq->out + (p->first + r) / at->group * p->seq->ldo + (p->first + r) % at->group * at->head_dim;
}

static void decode_block(const struct cg_attention *at, const struct cg_kv *shared, size_t shared_len, size_t count,
                         const struct piece *pieces, struct rows x, float *panel)
{
    struct cg_span all = {shared_len, 0, SIZE_MAX};
    size_t hd = at->head_dim, wd = cg_attention_pad(at, hd);
    if (shared_len) scores(at, x, all, shared, 0, panel);
    for (size_t c = 0; c < count; c++) {
        struct rows part = part_of(at, x, &pieces[c]);
        scores(at, part, own_span(at, &pieces[c]), pieces[c].seq->own, shared_len, panel);
        softmax_piece(at, part, &pieces[c], shared_len);
    }
    if (shared_len) mix(at, x, all, shared, 0, 0, panel);
    for (size_t c = 0; c < count; c++) {
        const struct piece *p = &pieces[c];
        mix(at, part_of(at, x, p), own_span(at, p), p->seq->own, shared_len, shared_len > 0, panel);
        for (size_t r = 0; r < p->n; r++) cg_attention_store(hd, x.o + (p->at + r) * wd, result(at, p, r));
    }
}

/* Distance of two rows of scores: both parts in whole panels. */
static size_t decode_ld(const struct cg_attention *at, size_t shared_len, size_t own_len)
{
    return cg_attention_ld(at, (shared_len + 15) / 16 * 16 + cg_attention_pad(at, own_len));
}

static size_t panel_floats(const struct cg_attention *at)
{
    return (at->head_dim > CHUNK ? at->head_dim : CHUNK) * at->gemm->pack_nr;
}

size_t cg_attention_decode_scratch(const struct cg_attention *at, size_t shared_len, size_t own_len)
{
    size_t block = cg_attention_block(at);
    return block * (at->head_dim + cg_attention_pad(at, at->head_dim) + decode_ld(at, shared_len, own_len)) +
           panel_floats(at) + (block * sizeof(struct piece) + sizeof(float) - 1) / sizeof(float);
}

void cg_attention_decode(const struct cg_attention *at, const struct cg_kv *shared, size_t shared_len, size_t n,
                         const struct cg_decode_seq *seqs, size_t longest_own, float *scratch)
{
    size_t hd = at->head_dim, block = cg_attention_block(at), seq = 0, row = 0, count;
    struct piece *pieces = (struct piece *)(void *)scratch;
    float *panel = scratch + (block * sizeof *pieces + sizeof(float) - 1) / sizeof(float);
    float *q = panel + panel_floats(at), *o = q + block * hd;
    struct rows x = {0, q, o + block * cg_attention_pad(at, hd), decode_ld(at, shared_len, longest_own), o};
    while ((count = next_block(at, n, seqs, &seq, &row, pieces, &x.m)) > 0) {
        for (size_t c = 0; c < count; c++)
            for (size_t r = 0; r < pieces[c].n; r++)
                memcpy(q + (pieces[c].at + r) * hd, query(at, &pieces[c], r), hd * sizeof(float));
        decode_block(at, shared, shared_len, count, pieces, x, panel);
    }
}
