#include <string.h>

#include "common/mem.h"
#include "kernels/head.h"
#include "runtime/nn/trainer_impl.h"

/* Rows whose logits exist at a time: a quarter of a small batch's, which is a twelfth of what logits, log-softmax and
 * their gradients would take together. More rows read the head's weights and their gradient less often, but from
 * CG_HEAD_MAX_CHUNK on that gains nothing. */
#define CHUNK_MIN 64

size_t cg_trainer_head_chunk(size_t max_rows)
{
    size_t n = (max_rows + 3) / 4;
    n = n < CHUNK_MIN ? CHUNK_MIN : n > CG_HEAD_MAX_CHUNK ? CG_HEAD_MAX_CHUNK : n;
    return n < max_rows ? n : max_rows;
}

/* Vocabularies like to be multiples of 1024: three lines more, and rows do not meet in the same sets of the caches. */
size_t cg_trainer_ld_logits(size_t vocab)
{
    return (vocab + 15) / 16 * 16 + 48;
}

/* Lays the buffers of one layer into `p` (NULL: only counts); returns the floats used. */
static size_t lay_out(const struct cg_net *net, size_t n, float *p, struct cg_layer_buf *b)
{
    const struct cg_config *c = &net->model->cfg;
    size_t inv = (n + 15) / 16 * 16;
    size_t sizes[] = {n * c->hidden_size,          inv, n * net->qkv_dim, n * net->att_dim, n * c->hidden_size, inv,
                      n * 2 * c->intermediate_size};
    float **at[] = {&b->x, &b->inv1, &b->qkv, &b->att, &b->x2, &b->inv2, &b->gu};
    size_t used = 0;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        if (p) *at[i] = p + used;
        used += (sizes[i] + 15) / 16 * 16;
    }
    return used;
}

static int alloc_floats(float **p, size_t n)
{
    *p = cg_alloc_n(n, sizeof(float));
    return *p != NULL;
}

static int alloc_all(struct cg_trainer *t)
{
    const struct cg_net *net = t->net;
    const struct cg_config *c = &net->model->cfg;
    size_t n = t->max_tokens, d = c->hidden_size, sets = t->with_grad ? c->num_hidden_layers : 1;
    struct cg_layer_buf none = {0};
    size_t per_layer = lay_out(net, n, NULL, &none);
    t->bufs = cg_alloc_n(sets, sizeof *t->bufs);
    int ok = t->bufs && alloc_floats(&t->acts, per_layer * sets) && alloc_floats(&t->xn, n * d) &&
             alloc_floats(&t->h, n * c->intermediate_size) && alloc_floats(&t->final_x, n * d) &&
             alloc_floats(&t->hn, t->chunk * d) && alloc_floats(&t->logits, t->chunk * t->ld_logits) &&
             (t->coef = cg_alloc_n(t->chunk, sizeof *t->coef)) != NULL;
    if (!ok) return 0;
    for (size_t l = 0; l < sets; l++) lay_out(net, n, t->acts + l * per_layer, &t->bufs[l]);
    if (!t->with_grad) return 1;
    size_t few = t->chunk < CG_HEAD_FEW_ROWS ? t->chunk : CG_HEAD_FEW_ROWS;
    size_t part = cg_head_grad_scratch(few, c->vocab_size, d);
    if (!net->lends && !alloc_floats(&t->grad, net->model->n_params)) return 0;
    return alloc_floats(&t->dx, n * d) && alloc_floats(&t->dtmp, n * d) && alloc_floats(&t->dgu, n * 2 * c->intermediate_size) &&
           alloc_floats(&t->dqkv, n * net->qkv_dim) && alloc_floats(&t->datt, n * net->att_dim) &&
           alloc_floats(&t->dhn, t->chunk * d) && alloc_floats(&t->dpart, part > t->chunk * d ? part : t->chunk * d) &&
           alloc_floats(&t->dlast, n * d) && alloc_floats(&t->final_inv, n);
}

enum cg_status cg_trainer_create(const struct cg_net *net, size_t max_tokens, size_t max_rows, int with_grad,
                                 struct cg_trainer **out)
{
    *out = NULL;
    struct cg_trainer *t = cg_alloc(sizeof *t);
    if (!t) return cg_fail(CG_ERR_MEMORY, "out of memory");
    t->net = net;
    t->with_grad = with_grad;
    t->max_tokens = max_tokens ? max_tokens : 1;
    t->max_rows = max_rows ? max_rows : 1;
    t->chunk = cg_trainer_head_chunk(t->max_rows);
    t->ld_logits = cg_trainer_ld_logits(net->model->cfg.vocab_size);
    if (!alloc_all(t)) {
        cg_trainer_free(t);
        return cg_fail(CG_ERR_MEMORY,
                       "out of memory for the activations of %zu tokens; lower micro_batch_tokens or the batch size",
                       max_tokens);
    }
    *out = t;
    return CG_OK;
}

void cg_trainer_free(struct cg_trainer *t)
{
    if (!t) return;
    if (t->net->lends) t->grad = NULL;
    void *all[] = {t->bufs,  t->acts,      t->xn,      t->h,        t->final_x,  t->hn,           t->logits, t->coef,
                   t->grad,  t->dx,        t->dtmp,    t->dgu,      t->dqkv,     t->datt,         t->dhn,    t->dpart,
                   t->dlast, t->final_inv, t->attend.p, t->embed_dx, t->embed_tokens, t};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) cg_free(all[i]);
}

float *cg_trainer_grad(struct cg_trainer *t)
{
    return t->grad;
}

void cg_trainer_zero_grad(struct cg_trainer *t)
{
    if (t->net->lends) t->grad = cg_net_lend(t->net);
    memset(t->grad, 0, t->net->model->n_params * sizeof *t->grad);
    t->n_embed = 0;
}

static enum cg_status check_batch(const struct cg_trainer *t, const struct cg_batch *b)
{
    if (b->n_tokens > t->max_tokens || b->n_rows > t->max_rows)
        return cg_fail(CG_ERR_INTERNAL, "a batch of %zu tokens and %zu rows does not fit a trainer for %zu and %zu",
                       b->n_tokens, b->n_rows, t->max_tokens, t->max_rows);
    for (size_t i = 0; i < b->n_tokens; i++) {
        if (b->tokens[i] < 0 || (size_t)b->tokens[i] >= t->net->model->cfg.vocab_size)
            return cg_fail(CG_ERR_USER, "token %d is not in the model's vocabulary of %zu; model and tokenizer differ",
                           (int)b->tokens[i], t->net->model->cfg.vocab_size);
        if ((size_t)b->pos[i] >= t->net->rope_len)
            return cg_fail(CG_ERR_USER, "a sequence is longer than the %zu positions prepared", t->net->rope_len);
    }
    for (size_t i = 0; i < b->n_rows; i++)
        if (b->rows[i].target < 0 || (size_t)b->rows[i].target >= t->net->model->cfg.vocab_size)
            return cg_fail(CG_ERR_USER, "token %d is not in the model's vocabulary of %zu; model and tokenizer differ",
                           (int)b->rows[i].target, t->net->model->cfg.vocab_size);
    return CG_OK;
}

enum cg_status cg_trainer_run(struct cg_trainer *t, const struct cg_batch *b)
{
    CG_TRY(check_batch(t, b));
    const struct cg_net *net = t->net;
    size_t layers = net->model->cfg.num_hidden_layers, n = b->n_tokens;
    cg_net_embed(net, n, b->tokens, t->bufs[0].x);
    for (size_t l = 0; l < layers; l++) {
        struct cg_layer_buf *buf = &t->bufs[t->with_grad ? l : 0];
        float *out = l + 1 == layers ? t->final_x : t->bufs[t->with_grad ? l + 1 : 0].x;
        CG_TRY(cg_layer_qkv(net, l, n, b->pos, buf, t->xn));
        CG_TRY(cg_attend_forward(net, &t->attend, b, buf->qkv, buf->att));
        CG_TRY(cg_layer_mlp(net, l, n, buf, t->xn, t->h, out));
    }
    return CG_OK;
}

enum cg_status cg_trainer_forward(struct cg_trainer *t, const struct cg_batch *b, float temperature,
                                  struct cg_row_stats *stats)
{
    CG_TRY(cg_trainer_run(t, b));
    return cg_trainer_head(t, b, temperature, NULL, NULL, stats);
}

enum cg_status cg_trainer_logits(struct cg_trainer *t, const struct cg_batch *b, float *logits)
{
    CG_TRY(cg_trainer_run(t, b));
    const struct cg_net *net = t->net;
    const struct cg_model *m = net->model;
    cg_net_norm(net, b->n_tokens, t->final_x, m->w + m->final_norm, t->xn, NULL);
    return cg_linear_forward(net, cg_net_head(net), b->n_tokens, t->xn, logits, m->cfg.vocab_size, NULL);
}
