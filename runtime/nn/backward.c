#include <string.h>

#include "common/mem.h"
#include "runtime/nn/adapters.h"
#include "runtime/nn/trainer_impl.h"

enum cg_status cg_trainer_grad_linear(struct cg_trainer *t, const struct cg_linear *lin, size_t rows, const float *dy,
                                      const float *x, float *dw, float *dx)
{
    if (dw) CG_TRY(cg_net_gemm(t->net, CG_FORM_TN, lin->n, lin->k, rows, dy, 1, lin->n, x, dw, 1));
    int adapted = cg_adapters_of(t->net, lin) != NULL;
    if (adapted) CG_TRY(cg_adapters_backward(t->net, lin, rows, dy, x, t->grad));
    if (!dx) return CG_OK;
    CG_TRY(cg_linear_backward(t->net, lin, rows, dy, dx));
    return adapted ? cg_adapters_input_grad(t->net, lin, rows, dx) : CG_OK;
}

/* Brings back what the forward pass left of a layer in buffers that layers share; then t->xn holds the normed input of
 * the MLP and t->h its SwiGLU, which are cheaper to make again than to keep in any case. */
static enum cg_status make_again(struct cg_trainer *t, const struct cg_batch *b, size_t l)
{
    const struct cg_net *net = t->net;
    const struct cg_model *m = net->model;
    const struct cg_layer_buf *buf = &t->bufs[l];
    size_t n = b->n_tokens, f = m->cfg.intermediate_size;
    if (t->o.recompute == CG_RECOMPUTE_ALL) {
        CG_TRY(cg_layer_qkv(net, l, n, b->pos, buf, t->xn));
        CG_TRY(cg_attend_forward(net, &t->attend, b, cg_layer_turned(buf), buf->att));
        CG_TRY(cg_layer_att_out(net, l, n, buf));
    } else if (buf->turned) {
        cg_net_turn(net, l, n, b->pos, buf);
    }
    if (t->o.recompute != CG_RECOMPUTE_NONE) return cg_layer_gate_up(net, l, n, buf, t->xn, t->h);
    cg_net_norm(net, n, buf->x2, m->w + m->layers[l].post_norm, t->xn, NULL);
#pragma omp parallel for num_threads(net->threads) if (n * f > CG_ROWS_SHARED_FROM)
    for (size_t r = 0; r < n; r++) net->rows->swiglu_f32(f, buf->gu + r * 2 * f, buf->gu + r * 2 * f + f, t->h + r * f);
    return CG_OK;
}

/* One layer: t->dx holds the gradient of its output on entry, of its input on return. */
static enum cg_status layer_backward(struct cg_trainer *t, const struct cg_batch *b, size_t l)
{
    const struct cg_net *net = t->net;
    const struct cg_model *m = net->model;
    const struct cg_layer_offsets *at = &m->layers[l];
    const struct cg_layer_buf *buf = &t->bufs[l];
    size_t n = b->n_tokens, f = m->cfg.intermediate_size;
    float *dqkv = buf->gu, *datt = buf->gu + n * net->qkv_dim; /* once gate and up have done their work */
    const struct cg_linear *lin = cg_net_linear(net, l, 0);
    CG_TRY(make_again(t, b, l));

    /* MLP. */
    CG_TRY(cg_trainer_grad_linear(t, &lin[CG_LINEAR_DOWN], n, t->dx, t->h, cg_trainer_grad_at(t, at->down), t->h));
#pragma omp parallel for num_threads(net->threads) if (n * f > CG_ROWS_SHARED_FROM)
    for (size_t r = 0; r < n; r++) {
        float *g = buf->gu + r * 2 * f;
        net->rows->swiglu_bwd_f32(f, g, g + f, t->h + r * f, g, g + f);
    }
    CG_TRY(cg_trainer_grad_linear(t, &lin[CG_LINEAR_GATE_UP], n, buf->gu, t->xn, cg_trainer_grad_at(t, at->gate_up),
                                  t->dtmp));
    cg_trainer_grad_norm(t, n, buf->x2, buf->inv2, m->w + at->post_norm, t->dtmp, t->dx,
                         cg_trainer_grad_at(t, at->post_norm));

    /* Attention. */
    CG_TRY(cg_trainer_grad_linear(t, &lin[CG_LINEAR_O], n, t->dx, buf->att, cg_trainer_grad_at(t, at->o), datt));
    CG_TRY(cg_attend_backward(net, &t->attend, b, cg_layer_turned(buf), datt, dqkv));
    cg_net_rope_back(net, n, b->pos, dqkv);
    if (at->q_norm) cg_trainer_grad_heads(t, l, n, dqkv);
    float *dbias = at->qkv_bias ? cg_trainer_grad_at(t, at->qkv_bias) : NULL;
    if (dbias) cg_trainer_grad_bias(t, n, net->qkv_dim, dqkv, dbias);
    cg_net_norm(net, n, buf->x, m->w + at->input_norm, t->xn, NULL);
    float *dnorm = cg_trainer_grad_at(t, at->input_norm), *dqkv_w = cg_trainer_grad_at(t, at->qkv);
    int goes_on = l > t->first || dnorm || cg_trainer_grad_at(t, m->embed);
    CG_TRY(cg_trainer_grad_linear(t, &lin[CG_LINEAR_QKV], n, dqkv, t->xn, dqkv_w, goes_on ? t->dtmp : NULL));
    if (goes_on) cg_trainer_grad_norm(t, n, buf->x, buf->inv1, m->w + at->input_norm, t->dtmp, t->dx, dnorm);
    return CG_OK;
}

enum cg_status cg_trainer_reserve_embed(struct cg_trainer *t, size_t need)
{
    size_t d = t->net->model->cfg.hidden_size;
    if (need <= t->cap_embed) return CG_OK;
    float *dx = cg_alloc_n(need, d * sizeof(float));
    int32_t *tokens = cg_alloc_n(need, sizeof *tokens);
    if (!dx || !tokens) {
        cg_free(dx);
        cg_free(tokens);
        return cg_fail(CG_ERR_MEMORY, "out of memory for the embedding gradients of %zu tokens", need);
    }
    if (t->n_embed) {
        memcpy(dx, t->embed_dx, t->n_embed * d * sizeof(float));
        memcpy(tokens, t->embed_tokens, t->n_embed * sizeof *tokens);
    }
    cg_free(t->embed_dx);
    cg_free(t->embed_tokens);
    t->embed_dx = dx;
    t->embed_tokens = tokens;
    t->cap_embed = need;
    return CG_OK;
}

/* Keeps the gradients of the input embeddings for cg_trainer_finish. */
static enum cg_status hold_embed(struct cg_trainer *t, const struct cg_batch *b)
{
    size_t d = t->net->model->cfg.hidden_size, need = t->n_embed + b->n_tokens;
    CG_TRY(cg_trainer_reserve_embed(t, need));
    memcpy(t->embed_dx + t->n_embed * d, t->dx, b->n_tokens * d * sizeof(float));
    memcpy(t->embed_tokens + t->n_embed, b->tokens, b->n_tokens * sizeof *b->tokens);
    t->n_embed = need;
    return CG_OK;
}

static enum cg_status backward(struct cg_trainer *t, const struct cg_batch *b, float temperature, int whole,
                               cg_loss_fn *loss, void *ctx, struct cg_row_stats *stats)
{
    const struct cg_model *m = t->net->model;
    CG_TRY(cg_trainer_run(t, b));
    CG_TRY(cg_trainer_head(t, b, temperature, whole, loss, ctx, stats));
    memset(t->dx, 0, b->n_tokens * m->cfg.hidden_size * sizeof(float));
    cg_trainer_grad_norm(t, b->n_tokens, t->final_x, t->final_inv, m->w + m->final_norm, t->dtmp, t->dx,
                         cg_trainer_grad_at(t, m->final_norm));
    for (size_t l = m->cfg.num_hidden_layers; l-- > t->first;) CG_TRY(layer_backward(t, b, l));
    return cg_trainer_grad_at(t, m->embed) ? hold_embed(t, b) : CG_OK;
}

enum cg_status cg_trainer_backward(struct cg_trainer *t, const struct cg_batch *b, float temperature, cg_loss_fn *loss,
                                   void *ctx, struct cg_row_stats *stats)
{
    return backward(t, b, temperature, 0, loss, ctx, stats);
}

enum cg_status cg_trainer_backward_whole(struct cg_trainer *t, const struct cg_batch *b, float temperature,
                                         cg_loss_fn *loss, void *ctx, struct cg_row_stats *stats)
{
    return backward(t, b, temperature, 1, loss, ctx, stats);
}

enum cg_status cg_trainer_finish(struct cg_trainer *t)
{
    const struct cg_model *m = t->net->model;
    size_t d = m->cfg.hidden_size;
    for (size_t i = 0; i < t->n_embed; i++) {
        float *g = cg_trainer_grad_at(t, m->embed) + (size_t)t->embed_tokens[i] * d;
        t->net->rows->add_f32(d, g, t->embed_dx + i * d, g);
    }
    t->n_embed = 0;
    return CG_OK;
}
