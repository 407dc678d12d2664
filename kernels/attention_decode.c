/* Attention of a few new rows of many sequences against what they have seen, kept as f32, bf16 or int8 in panels of 16
 * columns: kv_f32 and its kin expand what they read in registers, so memory is read once and in the small type. */
#include <string.h>

#include "kernels/attention_impl.h"

/* ---- The cache --------------------------------------------------------------------------------------------------- */

static size_t round16(size_t n)
{
    return round_up(n, 16);
}

static size_t element(enum cg_kv_type type)
{
    return type == CG_KV_F32 ? 4 : type == CG_KV_BF16 ? 2 : 1;
}

static size_t round64(size_t n)
{
    return round_up(n, 64);
}

static size_t scales(enum cg_kv_type type, size_t cap)
{
    return type == CG_KV_S8 ? round64(cap * sizeof(float)) : 0;
}

size_t cg_kv_bytes(const struct cg_attention *at, enum cg_kv_type type, size_t cap)
{
    size_t hd = at->head_dim;
    return round64(cap * hd * element(type)) + round64(cap * round16(hd) * element(type)) + 2 * scales(type, cap);
}

struct cg_kv cg_kv_at(const struct cg_attention *at, enum cg_kv_type type, size_t cap, void *mem)
{
    size_t hd = at->head_dim;
    uint8_t *p = mem;
    struct cg_kv kv = {.type = type, .cap = cap, .keys = p};
    p += round64(cap * hd * element(type));
    kv.values = p;
    p += round64(cap * round16(hd) * element(type));
    if (type == CG_KV_S8) {
        kv.key_scale = (float *)(void *)p;
        kv.value_scale = (float *)(void *)(p + scales(type, cap));
    }
    return kv;
}

static void put_bf16(const struct cg_attention *at, const struct cg_kv *kv, size_t pos, const float *k, const float *v)
{
    size_t hd = at->head_dim;
    uint16_t tmp[CG_ATTENTION_MAX_HEAD_DIM];
    uint16_t *keys = (uint16_t *)kv->keys + pos / 16 * 16 * hd + pos % 16, *values = (uint16_t *)kv->values + pos * 16;
    at->rows->to_bf16(hd, k, tmp);
    for (size_t i = 0; i < hd; i++) keys[i * 16] = tmp[i];
    for (size_t j = 0; j < hd; j += 16) at->rows->to_bf16(hd - j < 16 ? hd - j : 16, v + j, values + j * kv->cap);
}

static void put_s8(const struct cg_attention *at, const struct cg_kv *kv, size_t pos, const float *k, const float *v)
{
    size_t hd = at->head_dim;
    int8_t tmp[CG_ATTENTION_MAX_HEAD_DIM];
    int8_t *keys = (int8_t *)kv->keys + pos / 16 * 16 * hd + pos % 16, *values = (int8_t *)kv->values + pos * 16;
    kv->key_scale[pos] = at->rows->quant_s8(hd, k, tmp);
    for (size_t i = 0; i < hd; i++) keys[i * 16] = tmp[i];
    kv->value_scale[pos] = at->rows->quant_s8(hd, v, tmp);
    for (size_t j = 0; j < hd; j += 16) memcpy(values + j * kv->cap, tmp + j, hd - j < 16 ? hd - j : 16);
}

void cg_kv_put(const struct cg_attention *at, const struct cg_kv *kv, size_t pos, size_t n, const float *k, size_t ldk,
               const float *v, size_t ldv)
{
    if (kv->type == CG_KV_F32) {
        cg_attention_put_panels(at->head_dim, 16, kv->keys, pos, n, k, ldk);
        cg_attention_put_columns(at->head_dim, 16, kv->values, kv->cap, pos, n, v, ldv);
        return;
    }
    for (size_t t = 0; t < n; t++) {
        if (kv->type == CG_KV_BF16) put_bf16(at, kv, pos + t, k + t * ldk, v + t * ldv);
        else put_s8(at, kv, pos + t, k + t * ldk, v + t * ldv);
    }
}

/* ---- Rows against one cache -------------------------------------------------------------------------------------- */

/* Rows of a block: queries, scores, results. */
struct rows {
    size_t m;
    const float *q; /* [m][hd] */
    float *s;       /* [m][ld] */
    size_t ld;
    float *o; /* [m][round16(hd)] */
};

/* Scores with the first tk keys, in whole panels, to column `column` of s. */
static void scores(const struct cg_attention *at, struct rows x, const struct cg_kv *kv, size_t tk, size_t column)
{
    size_t hd = at->head_dim, n = round16(tk), ps = 16 * hd;
    float *s = x.s + column;
    if (kv->type == CG_KV_F32) at->rows->kv_f32(x.m, n, hd, x.q, hd, kv->keys, ps, 16, s, x.ld, 0);
    else if (kv->type == CG_KV_BF16) at->rows->kv_bf16(x.m, n, hd, x.q, hd, kv->keys, ps, s, x.ld, 0);
    else at->rows->kv_keys_s8(x.m, n, hd, x.q, hd, kv->keys, ps, kv->key_scale, s, x.ld, 0);
}

/* Results (+)= probabilities in column `column` and on times the first tk values. */
static void mix(const struct cg_attention *at, struct rows x, const struct cg_kv *kv, size_t tk, size_t column,
                int accumulate)
{
    size_t n = round16(at->head_dim), ps = 16 * kv->cap;
    const float *p = x.s + column;
    if (kv->type == CG_KV_F32) at->rows->kv_f32(x.m, n, tk, p, x.ld, kv->values, ps, 16, x.o, n, accumulate);
    else if (kv->type == CG_KV_BF16) at->rows->kv_bf16(x.m, n, tk, p, x.ld, kv->values, ps, x.o, n, accumulate);
    else at->rows->kv_values_s8(x.m, n, tk, p, x.ld, kv->values, ps, kv->value_scale, x.o, n, accumulate);
}

/* ---- Sequences --------------------------------------------------------------------------------------------------- */

/* Rows first .. first+n-1 (in the order position, head) of one sequence, from row `at` of the block on. */
struct piece {
    const struct cg_decode_seq *seq;
    size_t first, n, at;
};

/* How many of its own keys row r of the piece sees. */
static size_t own_seen(const struct cg_attention *at, const struct piece *p, size_t r)
{
    return p->seq->own_len - p->seq->tq + 1 + (p->first + r) / at->group;
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
    size_t hd = at->head_dim;
    return (struct rows){p->n, x.q + p->at * hd, x.s + p->at * x.ld, x.ld, x.o + p->at * round16(hd)};
}

static const float *query(const struct cg_attention *at, const struct piece *p, size_t r)
{
    return p->seq->q + (p->first + r) / at->group * p->seq->ldq + (p->first + r) % at->group * at->head_dim;
}

static float *result(const struct cg_attention *at, const struct piece *p, size_t r)
{
    return p->seq->out + (p->first + r) / at->group * p->seq->ldo + (p->first + r) % at->group * at->head_dim;
}

/* A piece's own keys, and softmax over shared and own ones; zeros behind what a row sees, as far as the piece sees. */
static void score_piece(const struct cg_attention *at, struct rows x, const struct piece *p, size_t shared)
{
    size_t last = own_seen(at, p, p->n - 1);
    scores(at, x, p->seq->own, last, shared);
    for (size_t r = 0; r < p->n; r++) {
        float *s = x.s + r * x.ld;
        at->rows->softmax_len_f32(shared + last, shared + own_seen(at, p, r), at->scale, s, s);
    }
}

/* Asks for the first tk positions of a cache: each is small and far from the one before, so that hardware cannot guess
 * them, and they are read while others are worked on. */
static void fetch(const struct cg_attention *at, const struct cg_kv *kv, size_t tk)
{
    size_t hd = at->head_dim, size = element(kv->type), rows = round16(tk);
    const char *keys = kv->keys, *values = kv->values;
    for (size_t b = 0; b < rows * hd * size; b += 64) __builtin_prefetch(keys + b, 0, 2);
    for (size_t j = 0; j < hd; j += 16)
        for (size_t b = 0; b < tk * 16 * size; b += 64) __builtin_prefetch(values + j * kv->cap * size + b, 0, 2);
}

static void decode_block(const struct cg_attention *at, const struct cg_kv *shared, size_t shared_len, size_t count,
                         const struct piece *pieces, struct rows x)
{
    size_t hd = at->head_dim;
    for (size_t c = 0; c < count; c++) fetch(at, pieces[c].seq->own, pieces[c].seq->own_len);
    if (shared_len) scores(at, x, shared, shared_len, 0);
    for (size_t c = 0; c < count; c++) score_piece(at, part_of(at, x, &pieces[c]), &pieces[c], shared_len);
    if (shared_len) mix(at, x, shared, shared_len, 0, 0);
    for (size_t c = 0; c < count; c++) {
        const struct piece *p = &pieces[c];
        mix(at, part_of(at, x, p), p->seq->own, own_seen(at, p, p->n - 1), shared_len, shared_len > 0);
        for (size_t r = 0; r < p->n; r++) cg_attention_store(hd, x.o + (p->at + r) * round16(hd), result(at, p, r));
    }
}

/* Distance of two rows of scores: both parts in whole panels, and a line so that rows do not meet in the same sets. */
static size_t decode_ld(size_t shared_len, size_t own_len)
{
    return round16(shared_len) + round16(own_len) + 16;
}

/* Floats of the list of pieces in scratch, in whole lines. */
static size_t piece_floats(size_t block)
{
    return round16(ceil_div(block * sizeof(struct piece), sizeof(float)));
}

size_t cg_attention_decode_scratch(const struct cg_attention *at, size_t shared_len, size_t longest_own)
{
    size_t hd = at->head_dim, block = cg_attention_block(at);
    return piece_floats(block) + round16(block * hd) + block * (round16(hd) + decode_ld(shared_len, longest_own));
}

void cg_attention_decode(const struct cg_attention *at, const struct cg_kv *shared, size_t shared_len, size_t n,
                         const struct cg_decode_seq *seqs, size_t longest_own, float *scratch)
{
    size_t hd = at->head_dim, block = cg_attention_block(at), seq = 0, row = 0, count;
    struct piece *pieces = (struct piece *)(void *)scratch;
    float *q = scratch + piece_floats(block), *o = q + round16(block * hd); /* each begins a line */
    struct rows x = {0, q, o + block * round16(hd), decode_ld(shared_len, longest_own), o};
    while ((count = next_block(at, n, seqs, &seq, &row, pieces, &x.m)) > 0) {
        for (size_t c = 0; c < count; c++)
            for (size_t r = 0; r < pieces[c].n; r++)
                memcpy(q + (pieces[c].at + r) * hd, query(at, &pieces[c], r), hd * sizeof(float));
        decode_block(at, shared, shared_len, count, pieces, x);
    }
}
