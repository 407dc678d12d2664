#include "bench/parts.h"

#include <math.h>
#include <omp.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bench/parts_impl.h"
#include "common/mem.h"

enum {
    SEQUENCES = 32,       /* of the attention parts */
    SMALL_VOCAB = 64,     /* where the head does not matter */
    ROW_ELEMENTS = 65536, /* softmax: short rows stay in L2, ... */
    LONG_ROW = 16384,
    LONG_ELEMENTS = 8 << 20, /* ... rows of a vocabulary come from memory, as logits do */
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

void cg_parts_fill(float *x, size_t n, float scale, uint32_t seed)
{
    uint32_t r = seed * 2654435761u + 1;
    for (size_t i = 0; i < n; i++) {
        r ^= r << 13, r ^= r >> 17, r ^= r << 5;
        x[i] = (float)(int32_t)r * 0x1p-31f * scale;
    }
}

enum cg_status cg_world_open(struct cg_world *w, const struct cg_plans *plans, size_t layers, size_t vocab,
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
    memset(w, 0, sizeof *w);
    CG_TRY(cg_model_create(&cfg, &w->model));
    cg_parts_fill(w->model.w, w->model.n_params, 0.03f, 1);
    return cg_net_create(&w->model, plans, longest, &w->net);
}

void cg_world_close(struct cg_world *w)
{
    cg_trainer_free(w->trainer);
    cg_free(w->stats);
    cg_batch_free(&w->batch);
    cg_net_free(&w->net);
    cg_model_free(&w->model);
}

/* `tokens` random tokens in sequences of `length`; `rows` of them are predicted. */
static enum cg_status fill_batch(struct cg_world *w, size_t tokens, size_t length, size_t rows)
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

double cg_parts_layer_work(const struct cg_net *net, double tokens)
{
    const struct cg_config *c = &net->model->cfg;
    double d = (double)c->hidden_size;
    return 2 * tokens * d * ((double)net->qkv_dim + (double)net->att_dim + 3 * (double)c->intermediate_size);
}

/* ---- Training: layers, head, attention -----------------------------------------------------------------------------
 */

static void loss(void *ctx, size_t first, size_t n, const struct cg_row_stats *stats, struct cg_logits_coef *coef)
{
    const struct cg_world *w = ctx;
    (void)first;
    (void)stats;
    for (size_t i = 0; i < n; i++) coef[i] = (struct cg_logits_coef){.logprob = -1.0f / (float)w->batch.n_rows};
}

static void world_free(void *state)
{
    cg_world_close(state);
    cg_free(state);
}

static enum cg_status layer_backward_call(void *state)
{
    struct cg_world *w = state;
    cg_trainer_zero_grad(w->trainer);
    CG_TRY(cg_trainer_backward(w->trainer, &w->batch, 1, loss, w, w->stats));
    return cg_trainer_finish(w->trainer);
}

static enum cg_status head_call(void *state)
{
    struct cg_world *w = state;
    return cg_trainer_head(w->trainer, &w->batch, 1, 0, NULL, NULL, w->stats);
}

static enum cg_status head_backward_call(void *state)
{
    struct cg_world *w = state;
    cg_trainer_zero_grad(w->trainer);
    return cg_trainer_head(w->trainer, &w->batch, 1, 0, loss, w, w->stats);
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

static enum cg_status trainer_open(struct cg_world *w, size_t tokens, size_t length, size_t rows, int with_grad)
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
    struct cg_world *w = cg_alloc(sizeof *w);
    if (!w) return cg_fail(CG_ERR_MEMORY, "out of memory");
    p->state = w;
    int layer = c->kind == CG_PART_LAYER_BACKWARD, backward = c->kind != CG_PART_HEAD;
    CG_TRY(cg_world_open(w, plans, layer ? CG_PART_LAYERS : 1, layer ? SMALL_VOCAB : 49152, c->length));
    double tokens = (double)c->tokens;
    if (layer) {
        size_t length = c->length < c->tokens ? c->length : c->tokens;
        CG_TRY(trainer_open(w, c->tokens, c->length, 1, 1));
        p->work = 3 * CG_PART_LAYERS *
                  (cg_parts_layer_work(&w->net, tokens) + 2 * tokens * ((double)length + 1) * (double)w->net.att_dim);
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
    if (c->tokens == 1) before = after;
    p->extra = after > before ? after - before : 0;
    p->work = (backward ? 3 : 1) * 2 * tokens * 576 * 49152;
    return CG_OK;
}

struct attention {
    struct cg_world w;
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
    cg_world_close(&a->w);
    void *all[] = {a->scratch.p, a->qkv, a->att, a->datt, a->dqkv, a};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) cg_free(all[i]);
}

static enum cg_status attention_open(const struct cg_plans *plans, const struct cg_part_case *c, struct cg_part *p)
{
    struct attention *a = cg_alloc(sizeof *a);
    if (!a) return cg_fail(CG_ERR_MEMORY, "out of memory");
    p->state = a;
    size_t n = SEQUENCES * c->tokens;
    CG_TRY(cg_world_open(&a->w, plans, 1, SMALL_VOCAB, c->tokens));
    CG_TRY(fill_batch(&a->w, n, c->tokens, 0));
    size_t qkv = n * a->w.net.qkv_dim, att = n * a->w.net.att_dim;
    a->qkv = cg_alloc_n(qkv, sizeof(float));
    a->dqkv = cg_alloc_n(qkv, sizeof(float));
    a->att = cg_alloc_n(att, sizeof(float));
    a->datt = cg_alloc_n(att, sizeof(float));
    if (!a->qkv || !a->dqkv || !a->att || !a->datt) return cg_fail(CG_ERR_MEMORY, "out of memory");
    cg_parts_fill(a->qkv, qkv, 1, 2);
    cg_parts_fill(a->datt, att, 1, 3);
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
    size_t elements = s->n < LONG_ROW ? ROW_ELEMENTS : LONG_ELEMENTS;
    s->count = s->n < elements ? elements / s->n : 1;
    s->x = cg_alloc_n(s->n * s->count, sizeof(float));
    s->y = cg_alloc_n(s->n * s->count, sizeof(float));
    if (!s->x || !s->y) return cg_fail(CG_ERR_MEMORY, "out of memory");
    cg_parts_fill(s->x, s->n * s->count, 4, 1);
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
        [CG_PART_LAYER] = {cg_part_layer_open, cg_part_layer_call, cg_part_layer_close},
        [CG_PART_PREFILL] = {cg_part_layer_open, cg_part_layer_call, cg_part_layer_close},
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
