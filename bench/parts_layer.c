/* A layer's forward pass in generation, with keys and values of the past: as runtime/nn/generate.c runs it. */
#include <omp.h>
#include <string.h>

#include "bench/parts_impl.h"
#include "common/mem.h"
#include "kernels/attention.h"

enum { VOCAB = 64 }; /* the head is not run */

struct layers {
    struct cg_world w;
    struct cg_attention at;
    int decode;                        /* one new token for each of many sequences; else many for one sequence */
    size_t sequences, each, past, cap; /* `each` new tokens a sequence; positions of a cache */
    size_t block;                      /* bytes of the cache of one layer, sequence and key/value head */
    struct cg_layer_buf buf;
    float *acts, *xn, *h, *out, *scratch;
    char *cache;
    size_t scratch_size;
    int32_t *pos;
};

static char *cache_of(const struct layers *d, size_t layer, size_t sequence, size_t kv)
{
    size_t kvs = d->w.model.cfg.num_key_value_heads;
    return d->cache + ((layer * d->sequences + sequence) * kvs + kv) * d->block;
}

/* Puts n rows of keys and values behind the first `pos`. */
static void put(const struct layers *d, char *cache, size_t pos, size_t n, const float *k, const float *v, size_t ld)
{
    if (d->decode) {
        struct cg_kv to = cg_kv_at(&d->at, CG_KV_F32, d->cap, cache);
        cg_kv_put(&d->at, &to, pos, n, k, ld, v, ld);
        return;
    }
    float *keys = (float *)(void *)cache;
    cg_attention_put_keys(&d->at, keys, pos, n, k, ld);
    cg_attention_put_values(&d->at, keys + cg_attention_keys_size(&d->at, d->cap), d->cap, pos, n, v, ld);
}

static void attend(struct layers *d, size_t layer, size_t sequence, size_t kv, float *scratch)
{
    const struct cg_net *net = &d->w.net;
    size_t hd = d->at.head_dim, row = sequence * d->each, q = kv * d->at.group * hd;
    char *cache = cache_of(d, layer, sequence, kv);
    const float *qkv = d->buf.qkv + row * net->qkv_dim, *k = qkv + net->att_dim + kv * hd;
    float *out = d->buf.att + row * net->att_dim + q;
    put(d, cache, d->past, d->each, k, k + net->kv_dim, net->qkv_dim);
    if (d->decode) {
        struct cg_kv own = cg_kv_at(&d->at, CG_KV_F32, d->cap, cache);
        struct cg_decode_seq seq = {qkv + q, out, 0, 0, 1, d->past + 1, &own};
        cg_attention_decode(&d->at, NULL, 0, 1, &seq, d->past + 1, scratch);
        return;
    }
    const float *keys = (const float *)(const void *)cache;
    cg_attention_forward(&d->at, d->each, d->past, qkv + q, net->qkv_dim, keys,
                         keys + cg_attention_keys_size(&d->at, d->cap), d->cap, out, net->att_dim, scratch);
}

enum cg_status cg_part_layer_call(void *state)
{
    struct layers *d = state;
    const struct cg_net *net = &d->w.net;
    size_t kvs = net->model->cfg.num_key_value_heads, n = d->sequences * d->each;
    for (size_t l = 0; l < CG_PART_LAYERS; l++) {
        cg_layer_qkv(net, l, n, d->pos, &d->buf, d->xn);
#pragma omp parallel for num_threads(net->threads) collapse(2) schedule(dynamic)
        for (size_t s = 0; s < d->sequences; s++)
            for (size_t kv = 0; kv < kvs; kv++)
                attend(d, l, s, kv, d->scratch + (size_t)omp_get_thread_num() * d->scratch_size);
        cg_layer_mlp(net, l, n, &d->buf, d->xn, d->h, d->out);
    }
    return CG_OK;
}

void cg_part_layer_close(void *state)
{
    struct layers *d = state;
    cg_world_close(&d->w);
    void *all[] = {d->acts, d->xn, d->h, d->out, d->cache, d->scratch, d->pos, d};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) cg_free(all[i]);
}

/* Everything but the past. */
static enum cg_status alloc_all(struct layers *d)
{
    const struct cg_net *net = &d->w.net;
    const struct cg_config *c = &net->model->cfg;
    size_t n = d->sequences * d->each, width = c->hidden_size, sum = 0;
    size_t widths[] = {width, 16, net->qkv_dim, net->att_dim, width, 16, 2 * c->intermediate_size};
    float **at[] = {&d->buf.x, &d->buf.inv1, &d->buf.qkv, &d->buf.att, &d->buf.x2, &d->buf.inv2, &d->buf.gu};
    for (size_t i = 0; i < 7; i++) sum += n * widths[i];
    d->acts = cg_alloc_n(sum, sizeof(float));
    d->xn = cg_alloc_n(n * width, sizeof(float));
    d->h = cg_alloc_n(n * c->intermediate_size, sizeof(float));
    d->out = cg_alloc_n(n * width, sizeof(float));
    d->cache = cg_alloc_n(CG_PART_LAYERS * d->sequences * c->num_key_value_heads, d->block);
    d->scratch = cg_alloc_n((size_t)net->threads, d->scratch_size * sizeof(float));
    d->pos = cg_alloc_n(n, sizeof *d->pos);
    if (!d->acts || !d->xn || !d->h || !d->out || !d->cache || !d->scratch || !d->pos)
        return cg_fail(CG_ERR_MEMORY, "out of memory");
    float *p = d->acts;
    for (size_t i = 0; i < 7; i++) {
        *at[i] = p;
        p += n * widths[i];
    }
    cg_parts_fill(d->buf.x, n * width, 1, 2);
    for (size_t i = 0; i < n; i++) d->pos[i] = (int32_t)(d->past + i % d->each);
    return CG_OK;
}

enum cg_status cg_part_layer_open(const struct cg_plans *plans, const struct cg_part_case *c, struct cg_part *p)
{
    struct layers *d = cg_alloc(sizeof *d);
    if (!d) return cg_fail(CG_ERR_MEMORY, "out of memory");
    p->state = d;
    d->decode = c->kind == CG_PART_LAYER;
    d->sequences = d->decode ? c->tokens : 1;
    d->each = c->tokens / d->sequences;
    d->past = c->past;
    size_t seen = d->past + d->each, size;
    CG_TRY(cg_world_open(&d->w, plans, CG_PART_LAYERS, VOCAB, seen));
    d->at = cg_attend_config(&d->w.net);
    d->cap = d->decode ? (seen + 15) / 16 * 16 : cg_attention_pad(&d->at, seen);
    d->block =
        d->decode ? cg_kv_bytes(&d->at, CG_KV_F32, d->cap)
                  : sizeof(float) * (cg_attention_keys_size(&d->at, d->cap) + cg_attention_values_size(&d->at, d->cap));
    size =
        d->decode ? cg_attention_decode_scratch(&d->at, 0, seen) : cg_attention_forward_scratch(&d->at, d->each, seen);
    d->scratch_size = (size + 15) / 16 * 16;
    CG_TRY(alloc_all(d));
    size_t hd = d->at.head_dim, kvs = d->w.model.cfg.num_key_value_heads;
    float *past = cg_alloc_n(d->past * hd + 1, sizeof *past); /* any keys and values */
    if (!past) return cg_fail(CG_ERR_MEMORY, "out of memory");
    cg_parts_fill(past, d->past * hd, 1, 3);
    for (size_t b = 0; b < CG_PART_LAYERS * d->sequences * kvs; b++)
        if (d->past) put(d, cache_of(d, 0, 0, b), 0, d->past, past, past, hd);
    cg_free(past);
    double tokens = (double)c->tokens, mean = (double)d->past + 0.5 * ((double)d->each + 1);
    p->work = CG_PART_LAYERS * (cg_parts_layer_work(&d->w.net, tokens) + 4 * tokens * mean * (double)d->w.net.att_dim);
    return CG_OK;
}
