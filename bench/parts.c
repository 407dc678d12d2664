#include "bench/parts.h"

#include <math.h>
#include <omp.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/mem.h"
#include "kernels/attention.h"
#include "runtime/nn/trainer_impl.h"

enum {
    LAYERS = 4,       /* so that the weights do not stay in the caches, as in a model */
    SEQUENCES = 32,   /* of the attention parts */
    SMALL_VOCAB = 64, /* where the head does not matter */
    ROW_ELEMENTS = 65536,
};

const char *cg_part_name(enum cg_part_kind kind)
{
    static const char *const names[] = {
#define X(id, name, what) name,
        CG_PARTS(X)
#undef X
    };
    return names[kind];
}

/* Numbers of [-scale, scale) that depend on `seed` only. */
static void fill(float *x, size_t n, float scale, uint32_t seed)
{
    uint32_t r = seed * 2654435761u + 1;
    for (size_t i = 0; i < n; i++) {
        r ^= r << 13, r ^= r >> 17, r ^= r << 5;
        x[i] = (float)(int32_t)r * 0x1p-31f * scale;
    }
}

/* A model of SmolLM2-135M's sizes with random weights, and what runs it. */
struct world {
    struct cg_model model;
    struct cg_net net;
    struct cg_batch batch;
    struct cg_trainer *trainer;
    struct cg_row_stats *stats;
    size_t tokens;
};

static enum cg_status world_open(struct world *w, const struct cg_plans *plans, size_t layers, size_t vocab,
                                 size_t longest)
{
    const struct cg_config cfg = {.vocab_size = vocab,
                                  .hidden_size = 576,
                                  .intermediate_size = 1536,
                                  .num_hidden_layers = layers,
                                  .num_attention_heads = 9,
                                  .num_key_value_heads = 3,
                                  .head_dim = 64,
                                  .max_position_embeddings = longest,
                                  .rms_norm_eps = 1e-5f,
                                  .rope_theta = 100000,
                                  .tie_word_embeddings = 1,
                                  .bos_token_id = -1,
                                  .eos_token_id = -1,
                                  .pad_token_id = -1};
    CG_TRY(cg_model_create(&cfg, &w->model));
    fill(w->model.w, w->model.n_params, 0.03f, 1);
    return cg_net_create(&w->model, plans, longest, &w->net);
}

static void world_close(struct world *w)
{
    cg_trainer_free(w->trainer);
    cg_free(w->stats);
    cg_batch_free(&w->batch);
    cg_net_free(&w->net);
    cg_model_free(&w->model);
}

/* `tokens` random tokens in sequences of `length`; `rows` of them are predicted. */
static enum cg_status fill_batch(struct world *w, size_t tokens, size_t length, size_t rows)
{
    size_t vocab = w->model.cfg.vocab_size;
    int32_t *ids = cg_alloc_n(length, sizeof *ids);
    enum cg_status st = ids ? CG_OK : cg_fail(CG_ERR_MEMORY, "out of memory");
    for (size_t i = 0; ids && i < length; i++) ids[i] = (int32_t)(i * 2654435761u % vocab);
    for (size_t at = 0; st == CG_OK && at < tokens; at += length)
        st = cg_batch_segment(&w->batch, ids, tokens - at < length ? tokens - at : length, CG_NO_PARENT, NULL);
    for (size_t r = 0; st == CG_OK && r < rows; r++) st = cg_batch_row(&w->batch, r, (int32_t)(r * 7919 % vocab));
    cg_free(ids);
    return st;
}

static double layer_work(const struct cg_net *net, double tokens)
{
    const struct cg_config *c = &net->model->cfg;
    double d = (double)c->hidden_size;
    return 2 * tokens * d * ((double)net->qkv_dim + (double)net->att_dim + 3 * (double)c->intermediate_size);
}

/* ---- A layer with keys and values of the past ----------------------------------------------------------------------
 */

struct decode {
    struct world w;
    struct cg_attention at;
    size_t sequences, each, past, cap; /* `each` new tokens a sequence */
    struct cg_layer_buf buf;
    float *acts, *xn, *h, *out, *cache, *scratch;
    size_t scratch_size;
    int32_t *pos;
};

static float *cache_of(const struct decode *d, size_t layer, size_t sequence, size_t kv)
{
    size_t kvs = d->w.model.cfg.num_key_value_heads;
    size_t block = cg_attention_keys_size(&d->at, d->cap) + cg_attention_values_size(&d->at, d->cap);
    return d->cache + ((layer * d->sequences + sequence) * kvs + kv) * block;
}

static void attend(struct decode *d, size_t layer, size_t sequence, size_t kv, float *scratch)
{
    const struct cg_net *net = &d->w.net;
    size_t hd = d->at.head_dim, row = sequence * d->each, q = kv * d->at.group * hd;
    float *keys = cache_of(d, layer, sequence, kv), *values = keys + cg_attention_keys_size(&d->at, d->cap);
    const float *qkv = d->buf.qkv + row * net->qkv_dim, *k = qkv + net->att_dim + kv * hd;
    cg_attention_put_keys(&d->at, keys, d->past, d->each, k, net->qkv_dim);
    cg_attention_put_values(&d->at, values, d->cap, d->past, d->each, k + net->kv_dim, net->qkv_dim);
    cg_attention_forward(&d->at, d->each, d->past, qkv + q, net->qkv_dim, keys, values, d->cap,
                         d->buf.att + row * net->att_dim + q, net->att_dim, scratch);
}

static enum cg_status decode_call(void *state)
{
    struct decode *d = state;
    const struct cg_net *net = &d->w.net;
    size_t kvs = net->model->cfg.num_key_value_heads, n = d->sequences * d->each;
    for (size_t l = 0; l < LAYERS; l++) {
        cg_layer_qkv(net, l, n, d->pos, &d->buf, d->xn);
#pragma omp parallel for num_threads(net->threads) collapse(2) schedule(static)
        for (size_t s = 0; s < d->sequences; s++)
            for (size_t kv = 0; kv < kvs; kv++)
                attend(d, l, s, kv, d->scratch + (size_t)omp_get_thread_num() * d->scratch_size);
        cg_layer_mlp(net, l, n, &d->buf, d->xn, d->h, d->out);
    }
    return CG_OK;
}

static void decode_close(void *state)
{
    struct decode *d = state;
    world_close(&d->w);
    void *all[] = {d->acts, d->xn, d->h, d->out, d->cache, d->scratch, d->pos, d};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) cg_free(all[i]);
}

static enum cg_status decode_alloc(struct decode *d)
{
    const struct cg_net *net = &d->w.net;
    const struct cg_config *c = &net->model->cfg;
    size_t n = d->sequences * d->each, width = c->hidden_size;
    size_t widths[] = {width, 16, net->qkv_dim, net->att_dim, width, 16, 2 * c->intermediate_size}, sum = 0;
    float **at[] = {&d->buf.x, &d->buf.inv1, &d->buf.qkv, &d->buf.att, &d->buf.x2, &d->buf.inv2, &d->buf.gu};
    for (size_t i = 0; i < 7; i++) sum += n * widths[i];
    size_t block = cg_attention_keys_size(&d->at, d->cap) + cg_attention_values_size(&d->at, d->cap);
    d->scratch_size = (cg_attention_forward_scratch(&d->at, d->each, d->cap) + 15) / 16 * 16;
    d->acts = cg_alloc_n(sum, sizeof(float));
    d->xn = cg_alloc_n(n * width, sizeof(float));
    d->h = cg_alloc_n(n * c->intermediate_size, sizeof(float));
    d->out = cg_alloc_n(n * width, sizeof(float));
    d->cache = cg_alloc_n(LAYERS * d->sequences * c->num_key_value_heads, block * sizeof(float));
    d->scratch = cg_alloc_n((size_t)net->threads, d->scratch_size * sizeof(float));
    d->pos = cg_alloc_n(n, sizeof *d->pos);
    if (!d->acts || !d->xn || !d->h || !d->out || !d->cache || !d->scratch || !d->pos)
        return cg_fail(CG_ERR_MEMORY, "out of memory");
    sum = 0;
    for (size_t i = 0; i < 7; i++) {
        *at[i] = d->acts + sum;
        sum += n * widths[i];
    }
    fill(d->buf.x, n * width, 1, 2);
    for (size_t i = 0; i < n; i++) d->pos[i] = (int32_t)(d->past + i % d->each);
    return CG_OK;
}

static enum cg_status decode_open(const struct cg_plans *plans, const struct cg_part_case *c, struct cg_part *p)
{
    struct decode *d = cg_alloc(sizeof *d);
    if (!d) return cg_fail(CG_ERR_MEMORY, "out of memory");
    p->state = d;
    d->sequences = c->kind == CG_PART_PREFILL ? 1 : c->tokens;
    d->each = c->tokens / d->sequences;
    d->past = c->past;
    CG_TRY(world_open(&d->w, plans, LAYERS, SMALL_VOCAB, d->past + d->each));
    d->at = cg_attend_config(&d->w.net);
    d->cap = cg_attention_pad(&d->at, d->past + d->each);
    CG_TRY(decode_alloc(d));
    /* The past: any keys and values. */
    size_t hd = d->at.head_dim, kvs = d->w.model.cfg.num_key_value_heads;
    float *past = cg_alloc_n(d->past * hd + 1, sizeof *past);
    if (!past) return cg_fail(CG_ERR_MEMORY, "out of memory");
    fill(past, d->past * hd, 1, 3);
    for (size_t b = 0; b < LAYERS * d->sequences * kvs; b++) {
        float *keys = cache_of(d, 0, 0, b), *values = keys + cg_attention_keys_size(&d->at, d->cap);
        cg_attention_put_keys(&d->at, keys, 0, d->past, past, hd);
        cg_attention_put_values(&d->at, values, d->cap, 0, d->past, past, hd);
    }
    cg_free(past);
    double tokens = (double)c->tokens, seen = (double)d->past + 0.5 * ((double)d->each + 1);
    p->work = LAYERS * (layer_work(&d->w.net, tokens) + 4 * tokens * seen * (double)d->w.net.att_dim);
    return CG_OK;
}

/* ---- Training: layers, head, attention -----------------------------------------------------------------------------
 */

static void loss(void *ctx, size_t first, size_t n, const struct cg_row_stats *stats, float *coef)
{
    const struct world *w = ctx;
    (void)first;
    (void)stats;
    for (size_t i = 0; i < n; i++) coef[i] = -1.0f / (float)w->batch.n_rows;
}

static void world_free(void *state)
{
    world_close(state);
    cg_free(state);
}

static enum cg_status layer_backward_call(void *state)
{
    struct world *w = state;
    cg_trainer_zero_grad(w->trainer);
    CG_TRY(cg_trainer_backward(w->trainer, &w->batch, 1, loss, w, w->stats));
    return cg_trainer_finish(w->trainer);
}

static enum cg_status head_call(void *state)
{
    struct world *w = state;
    return cg_trainer_head(w->trainer, &w->batch, 1, NULL, NULL, w->stats);
}

static enum cg_status head_backward_call(void *state)
{
    struct world *w = state;
    cg_trainer_zero_grad(w->trainer);
    return cg_trainer_head(w->trainer, &w->batch, 1, loss, w, w->stats);
}

/* Bytes of memory that this process has; 0 when the system does not say. */
static size_t resident(void)
{
    size_t total, pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (!f) return 0;
    if (fscanf(f, "%zu %zu", &total, &pages) != 2) pages = 0;
    fclose(f);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

static enum cg_status trainer_open(struct world *w, size_t tokens, size_t length, size_t rows, int with_grad)
{
    cg_batch_clear(&w->batch);
    cg_trainer_free(w->trainer);
    cg_free(w->stats);
    w->trainer = NULL;
    w->stats = cg_alloc_n(rows, sizeof *w->stats);
    if (!w->stats) return cg_fail(CG_ERR_MEMORY, "out of memory");
    CG_TRY(fill_batch(w, tokens, length, rows));
    CG_TRY(cg_trainer_create(&w->net, tokens, rows, with_grad, &w->trainer));
    return cg_trainer_run(w->trainer, &w->batch);
}

static enum cg_status train_open(const struct cg_plans *plans, const struct cg_part_case *c, struct cg_part *p)
{
    struct world *w = cg_alloc(sizeof *w);
    if (!w) return cg_fail(CG_ERR_MEMORY, "out of memory");
    p->state = w;
    int layer = c->kind == CG_PART_LAYER_BACKWARD, backward = c->kind != CG_PART_HEAD;
    CG_TRY(world_open(w, plans, layer ? LAYERS : 1, layer ? SMALL_VOCAB : 49152, c->length));
    double tokens = (double)c->tokens;
    if (layer) {
        CG_TRY(trainer_open(w, c->tokens, c->length, 1, 1));
        p->work =
            3 * LAYERS * (layer_work(&w->net, tokens) + 2 * tokens * ((double)c->length + 1) * (double)w->net.att_dim);
        return CG_OK;
    }
    /* How much more memory do many rows take than one? */
    size_t before = 0, after;
    for (size_t rows = 1;; rows = c->tokens) {
        CG_TRY(trainer_open(w, c->tokens, c->length, rows, backward));
        CG_TRY(p->call(w));
        after = resident();
        if (rows == c->tokens) break;
        before = after;
    }
    p->extra = after > before ? after - before : 0;
    p->work = (backward ? 3 : 1) * 2 * tokens * 576 * 49152;
    return CG_OK;
}

struct attention {
    struct world w;
    struct cg_attend_scratch scratch;
    float *qkv, *att, *datt, *dqkv;
};

static enum cg_status attention_call(void *state)
{
    struct attention *a = state;
    return cg_attend_forward(&a->w.net, &a->scratch, &a->w.batch, a->qkv, a->att);
}

static enum cg_status attention_backward_call(void *state)
{
    struct attention *a = state;
    CG_TRY(attention_call(state));
    return cg_attend_backward(&a->w.net, &a->scratch, &a->w.batch, a->qkv, a->datt, a->dqkv);
}

static void attention_close(void *state)
{
    struct attention *a = state;
    world_close(&a->w);
    void *all[] = {a->scratch.p, a->qkv, a->att, a->datt, a->dqkv, a};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) cg_free(all[i]);
}

static enum cg_status attention_open(const struct cg_plans *plans, const struct cg_part_case *c, struct cg_part *p)
{
    struct attention *a = cg_alloc(sizeof *a);
    if (!a) return cg_fail(CG_ERR_MEMORY, "out of memory");
    p->state = a;
    size_t n = SEQUENCES * c->tokens;
    CG_TRY(world_open(&a->w, plans, 1, SMALL_VOCAB, c->tokens));
    CG_TRY(fill_batch(&a->w, n, c->tokens, 0));
    size_t qkv = n * a->w.net.qkv_dim, att = n * a->w.net.att_dim;
    a->qkv = cg_alloc_n(qkv, sizeof(float));
    a->dqkv = cg_alloc_n(qkv, sizeof(float));
    a->att = cg_alloc_n(att, sizeof(float));
    a->datt = cg_alloc_n(att, sizeof(float));
    if (!a->qkv || !a->dqkv || !a->att || !a->datt) return cg_fail(CG_ERR_MEMORY, "out of memory");
    fill(a->qkv, qkv, 1, 2);
    fill(a->datt, att, 1, 3);
    /* The causal half: two products forward, five more backward. */
    double pairs = (double)n * (double)(c->tokens + 1) / 2;
    p->work = (c->kind == CG_PART_ATTENTION ? 2 : 7) * 2 * pairs * (double)a->w.net.att_dim;
    return CG_OK;
}

/* ---- Softmax -------------------------------------------------------------------------------------------------------
 */

struct softmax {
    const struct cg_rowops *rows;
    size_t n, count;
    float *x, *y;
};

static enum cg_status softmax_call(void *state)
{
    struct softmax *s = state;
    for (size_t r = 0; r < s->count; r++) s->rows->softmax_f32(s->n, 1, s->x + r * s->n, s->y + r * s->n);
    return CG_OK;
}

static void softmax_close(void *state)
{
    struct softmax *s = state;
    cg_free(s->x);
    cg_free(s->y);
    cg_free(s);
}

static enum cg_status softmax_open(const struct cg_plans *plans, const struct cg_part_case *c, struct cg_part *p)
{
    struct softmax *s = cg_alloc(sizeof *s);
    if (!s) return cg_fail(CG_ERR_MEMORY, "out of memory");
    p->state = s;
    s->rows = cg_plans_rows(plans);
    s->n = c->tokens;
    s->count = s->n < ROW_ELEMENTS ? ROW_ELEMENTS / s->n : 1;
    s->x = cg_alloc_n(s->n * s->count, sizeof(float));
    s->y = cg_alloc_n(s->n * s->count, sizeof(float));
    if (!s->x || !s->y) return cg_fail(CG_ERR_MEMORY, "out of memory");
    fill(s->x, s->n * s->count, 4, 1);
    p->work = (double)s->n * (double)s->count;
    p->bytes = 2 * sizeof(float) * p->work;
    return CG_OK;
}

/* -------------------------------------------------------------------------------------------------------------------
 */

typedef enum cg_status open_fn(const struct cg_plans *plans, const struct cg_part_case *c, struct cg_part *p);

enum cg_status cg_part_open(const struct cg_plans *plans, const struct cg_part_case *c, struct cg_part *p)
{
    static const struct {
        open_fn *open;
        enum cg_status (*call)(void *);
        void (*close)(void *);
    } kinds[CG_PART_COUNT] = {
        [CG_PART_LAYER] = {decode_open, decode_call, decode_close},
        [CG_PART_PREFILL] = {decode_open, decode_call, decode_close},
        [CG_PART_LAYER_BACKWARD] = {train_open, layer_backward_call, world_free},
        [CG_PART_HEAD] = {train_open, head_call, world_free},
        [CG_PART_HEAD_BACKWARD] = {train_open, head_backward_call, world_free},
        [CG_PART_ATTENTION] = {attention_open, attention_call, attention_close},
        [CG_PART_ATTENTION_BACKWARD] = {attention_open, attention_backward_call, attention_close},
        [CG_PART_SOFTMAX] = {softmax_open, softmax_call, softmax_close},
    };
    *p = (struct cg_part){.call = kinds[c->kind].call, .close = kinds[c->kind].close};
    enum cg_status st = kinds[c->kind].open(plans, c, p);
    if (st != CG_OK && p->state) p->close(p->state);
    return st;
}
