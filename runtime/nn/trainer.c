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

/* What of a layer's buffers a level of recomputation keeps, as bits; the layers share the rest. PART_TURNED, which only
 * models with norms of q and k have, is never kept: it is quickly made again from qkv. */
enum { PART_X = 1, PART_ATTENTION = 2, PART_MLP = 4, PART_ALL = 7, PART_TURNED = 8 };

static unsigned kept(const struct cg_trainer_options *o)
{
    static const unsigned of[] = {PART_ALL, PART_X | PART_ATTENTION, PART_X};
    return o->with_grad ? of[o->recompute] : PART_ALL;
}

/* Lays some of the buffers of a layer into `p` (NULL: only counts); returns the floats used. */
static size_t lay_out(const struct cg_net *net, size_t n, unsigned parts, float *p, struct cg_layer_buf *b)
{
    const struct cg_config *c = &net->model->cfg;
    size_t inv = (n + 15) / 16 * 16, back = net->qkv_dim + net->att_dim, used = 0;
    /* Where gate and up were, the backward pass writes their gradients, then those of attention. */
    size_t gu = 2 * c->intermediate_size > back ? 2 * c->intermediate_size : back;
    size_t heads = c->num_attention_heads + c->num_key_value_heads;
    const struct {
        float **at;
        unsigned part;
        size_t size;
    } bufs[] = {{&b->x, PART_X, n * c->hidden_size},
                {&b->inv1, PART_ATTENTION, inv},
                {&b->qkv, PART_ATTENTION, n * net->qkv_dim},
                {&b->att, PART_ATTENTION, n * net->att_dim},
                {&b->x2, PART_ATTENTION, n * c->hidden_size},
                {&b->inv2, PART_ATTENTION, inv},
                {&b->gu, PART_MLP, n * gu},
                {&b->turned, PART_TURNED, n * net->qkv_dim},
                {&b->head_inv, PART_TURNED, n * heads}};
    for (size_t i = 0; i < sizeof bufs / sizeof *bufs; i++) {
        if (!(bufs[i].part & parts)) continue;
        if (p) *bufs[i].at = p + used;
        used += (bufs[i].size + 15) / 16 * 16;
    }
    return used;
}

/* Where the parameter at `offset` of the model is among the trained ones; CG_NOT_TRAINED also where those are adapters.
 */
static size_t trained_at(const struct cg_net *net, size_t offset)
{
    return net->params->w == net->model->w ? cg_params_find(net->params, offset) : CG_NOT_TRAINED;
}

static int alloc_floats(float **p, size_t n)
{
    *p = cg_alloc_n(n, sizeof(float));
    return *p != NULL;
}

static int alloc_layers(struct cg_trainer *t)
{
    size_t n = t->o.max_tokens, layers = t->net->model->cfg.num_hidden_layers;
    size_t common = t->first > 0, sets = layers - t->first + common;
    unsigned own = kept(&t->o), shared = PART_ALL & ~own;
    if (t->o.with_grad && cg_architecture(t->net->model->cfg.arch)->qk_norm) shared |= PART_TURNED;
    struct cg_layer_buf none = {0};
    size_t each = lay_out(t->net, n, own, NULL, &none);
    t->bufs = cg_alloc_n(layers, sizeof *t->bufs);
    if (!t->bufs || !alloc_floats(&t->acts, each * sets + lay_out(t->net, n, shared, NULL, &none))) return 0;
    for (size_t l = 0; l < layers; l++) {
        size_t set = l < t->first ? 0 : l - t->first + common;
        lay_out(t->net, n, own, t->acts + set * each, &t->bufs[l]);
        lay_out(t->net, n, shared, t->acts + sets * each, &t->bufs[l]);
    }
    return 1;
}

/* All but the gradient. */
static int alloc_acts(struct cg_trainer *t)
{
    const struct cg_net *net = t->net;
    const struct cg_config *c = &net->model->cfg;
    size_t n = t->o.max_tokens, d = c->hidden_size, threads = (size_t)net->threads;
    int ok = alloc_layers(t) && alloc_floats(&t->xn, n * d) && alloc_floats(&t->h, n * c->intermediate_size) &&
             alloc_floats(&t->final_x, n * d) && alloc_floats(&t->hn, t->chunk * d) &&
             alloc_floats(&t->logits, t->chunk * t->ld_logits) &&
             (t->coef = cg_alloc_n(t->o.max_rows, sizeof *t->coef)) != NULL &&
             cg_linears_reserve(net, n, t->chunk) == CG_OK;
    size_t longest = t->o.longest < n ? t->o.longest : n;
    if (ok && longest)
        ok = cg_attend_reserve(&t->attend, threads, cg_attend_floats(net, longest, longest, t->o.with_grad)) == CG_OK;
    if (!ok || !t->o.with_grad) return ok;
    size_t few = t->chunk < CG_HEAD_FEW_ROWS ? t->chunk : CG_HEAD_FEW_ROWS;
    size_t part = cg_head_grad_scratch(few, c->vocab_size, d);
    return alloc_floats(&t->dx, n * d) && alloc_floats(&t->dtmp, n * d) && alloc_floats(&t->dhn, t->chunk * d) &&
           alloc_floats(&t->dpart, part > t->chunk * d ? part : t->chunk * d) && alloc_floats(&t->final_inv, n) &&
           (trained_at(net, net->model->embed) == CG_NOT_TRAINED ||
            cg_trainer_reserve_embed(t, t->o.all_tokens) == CG_OK);
}

static enum cg_status ready(struct cg_trainer *t)
{
    if (t->bufs) return CG_OK;
    if (alloc_acts(t)) return CG_OK;
    cg_trainer_release(t);
    return cg_fail(CG_ERR_MEMORY,
                   "out of memory for the activations of %zu tokens; lower micro_batch_tokens or the batch size",
                   t->o.max_tokens);
}

enum cg_status cg_trainer_open(const struct cg_net *net, const struct cg_trainer_options *o, struct cg_trainer **out)
{
    *out = NULL;
    struct cg_trainer *t = cg_alloc(sizeof *t);
    if (!t) return cg_fail(CG_ERR_MEMORY, "out of memory");
    t->net = net;
    t->o = *o;
    t->first = o->with_grad ? net->params->first_layer : net->model->cfg.num_hidden_layers;
    if (!t->o.max_tokens) t->o.max_tokens = 1;
    if (!t->o.max_rows) t->o.max_rows = 1;
    if (!t->o.all_tokens) t->o.all_tokens = t->o.max_tokens;
    t->chunk = cg_trainer_head_chunk(t->o.max_rows);
    t->ld_logits = cg_trainer_ld_logits(net->model->cfg.vocab_size);
    enum cg_status s = CG_OK;
    if (o->with_grad && !net->lends && !alloc_floats(&t->grad, net->params->n))
        s = cg_fail(CG_ERR_MEMORY, "out of memory for the gradient of %zu parameters", net->params->n);
    if (s == CG_OK) s = ready(t);
    if (s != CG_OK) {
        cg_trainer_free(t);
        return s;
    }
    *out = t;
    return CG_OK;
}

enum cg_status cg_trainer_create(const struct cg_net *net, size_t max_tokens, size_t max_rows, int with_grad,
                                 struct cg_trainer **out)
{
    struct cg_trainer_options o = {.max_tokens = max_tokens, .max_rows = max_rows, .with_grad = with_grad};
    return cg_trainer_open(net, &o, out);
}

void cg_trainer_release(struct cg_trainer *t)
{
    if (!t) return;
    void *all[] = {t->bufs, t->acts, t->xn,  t->h,     t->final_x,   t->hn,       t->logits,   t->coef,
                   t->dx,   t->dtmp, t->dhn, t->dpart, t->final_inv, t->attend.p, t->embed_dx, t->embed_tokens};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) cg_free(all[i]);
    struct cg_trainer rest = {
        .net = t->net, .o = t->o, .first = t->first, .chunk = t->chunk, .ld_logits = t->ld_logits, .grad = t->grad};
    *t = rest;
}

void cg_trainer_free(struct cg_trainer *t)
{
    if (!t) return;
    cg_trainer_release(t);
    if (!t->net->lends) cg_free(t->grad);
    cg_free(t);
}

float *cg_trainer_grad_at(const struct cg_trainer *t, size_t offset)
{
    size_t at = trained_at(t->net, offset);
    return at == CG_NOT_TRAINED ? NULL : t->grad + at;
}

float *cg_trainer_grad(struct cg_trainer *t)
{
    return t->grad;
}

void cg_trainer_zero_grad(struct cg_trainer *t)
{
    if (t->net->lends) t->grad = cg_net_lend(t->net);
    memset(t->grad, 0, t->net->params->n * sizeof *t->grad);
    t->n_embed = 0;
}

static enum cg_status check_batch(const struct cg_trainer *t, const struct cg_batch *b)
{
    if (b->n_tokens > t->o.max_tokens || b->n_rows > t->o.max_rows)
        return cg_fail(CG_ERR_INTERNAL, "a batch of %zu tokens and %zu rows does not fit a trainer for %zu and %zu",
                       b->n_tokens, b->n_rows, t->o.max_tokens, t->o.max_rows);
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
    CG_TRY(ready(t));
    const struct cg_net *net = t->net;
    size_t layers = net->model->cfg.num_hidden_layers, n = b->n_tokens;
    cg_net_embed(net, n, b->tokens, t->bufs[0].x);
    for (size_t l = 0; l < layers; l++) {
        struct cg_layer_buf *buf = &t->bufs[l];
        float *out = l + 1 == layers ? t->final_x : t->bufs[l + 1].x;
        CG_TRY(cg_layer_qkv(net, l, n, b->pos, buf, t->xn));
        CG_TRY(cg_attend_forward(net, &t->attend, b, cg_layer_turned(buf), buf->att));
        CG_TRY(cg_layer_mlp(net, l, n, buf, t->xn, t->h, out));
    }
    return CG_OK;
}

enum cg_status cg_trainer_forward(struct cg_trainer *t, const struct cg_batch *b, float temperature,
                                  struct cg_row_stats *stats)
{
    CG_TRY(cg_trainer_run(t, b));
    return cg_trainer_head(t, b, temperature, 0, NULL, NULL, stats);
}

enum cg_status cg_trainer_logits(struct cg_trainer *t, const struct cg_batch *b, float *logits)
{
    CG_TRY(cg_trainer_run(t, b));
    const struct cg_net *net = t->net;
    const struct cg_linear *head = cg_net_head(net);
    cg_net_norm(net, b->n_tokens, t->final_x, head->norm, t->xn, NULL);
    return cg_linear_forward(net, head, b->n_tokens, t->xn, logits, head->n, NULL);
}
