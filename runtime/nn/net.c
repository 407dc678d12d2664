#include "runtime/nn/net.h"

#include <string.h>

#include "common/math.h"
#include "common/mem.h"
#include "runtime/nn/adapters.h"

int cg_net_untuned(const struct cg_net *net)
{
    for (int i = 0; i < CG_LINEARS; i++)
        if (!cg_plans_miss(net->plans, net->linears[i].n, net->linears[i].k)) return 0;
    return 1;
}

static enum cg_status make_rope(struct cg_net *net, size_t len)
{
    const struct cg_config *c = &net->model->cfg;
    size_t half = c->head_dim / 2;
    net->rope_len = len;
    net->rope_cos = cg_alloc_n(len * half, sizeof(float));
    net->rope_sin = cg_alloc_n(len * half, sizeof(float));
    if (!net->rope_cos || !net->rope_sin) return cg_fail(CG_ERR_MEMORY, "out of memory for the rotary tables");
    for (size_t i = 0; i < half; i++) {
        /* Rounded to f32 at the same places as the reference implementation, power and reciprocal: a frequency that is
         * one bit off turns far positions by visible angles. */
        float power = (float)cg_pow(c->rope_theta, (double)(2 * i) / (double)c->head_dim), freq = 1.0f / power;
        for (size_t p = 0; p < len; p++) {
            float angle = (float)p * freq;
            net->rope_cos[p * half + i] = cg_cosf(angle);
            net->rope_sin[p * half + i] = cg_sinf(angle);
        }
    }
    return CG_OK;
}

static enum cg_status open_all(struct cg_net *net, const struct cg_net_options *o)
{
    const struct cg_config *c = &net->model->cfg;
    if (o->max_len > c->max_position_embeddings)
        return cg_fail(CG_ERR_USER, "sequences of %zu tokens are longer than the %zu positions of the model",
                       o->max_len, c->max_position_embeddings);
    net->rows = cg_plans_rows(net->plans);
    net->threads = cg_plans_threads(net->plans);
    net->att_dim = c->num_attention_heads * c->head_dim;
    net->kv_dim = c->num_key_value_heads * c->head_dim;
    net->qkv_dim = net->att_dim + 2 * net->kv_dim;
    net->weights = o->weights;
    net->lends = o->lends;
    net->base = o->base;
    net->adapters = o->adapters;
    if (!o->params) CG_TRY(cg_params_create(net->model, "", &net->all));
    net->params = o->params ? o->params : &net->all;
    net->unpacked = o->unpacked && o->weights == CG_WEIGHTS_F32;
    CG_TRY(make_rope(net, o->max_len));
    return cg_linears_create(net, o->empty);
}

enum cg_status cg_net_open(const struct cg_model *model, const struct cg_plans *plans, const struct cg_net_options *o,
                           struct cg_net *net)
{
    memset(net, 0, sizeof *net);
    net->model = model;
    net->plans = plans;
    enum cg_status s = open_all(net, o);
    if (s != CG_OK) cg_net_free(net);
    return s;
}

enum cg_status cg_net_create(const struct cg_model *model, const struct cg_plans *plans, size_t max_len,
                             struct cg_net *net)
{
    return cg_net_open(model, plans, &(struct cg_net_options){.max_len = max_len}, net);
}

void cg_net_free(struct cg_net *net)
{
    cg_linears_free(net);
    cg_params_free(&net->all);
    cg_free(net->rope_cos);
    cg_free(net->rope_sin);
    memset(net, 0, sizeof *net);
}

void cg_net_outdated(struct cg_net *net)
{
    if (net->adapters) cg_adapters_refresh(net->adapters, net->plans);
    else net->scratch->outdated = 1;
}

void cg_net_refresh(struct cg_net *net)
{
    if (net->scratch->outdated) cg_linears_refresh(net);
}

float *cg_net_lend(const struct cg_net *net)
{
    net->scratch->outdated = 1;
    return net->packed;
}

void cg_net_norm(const struct cg_net *net, size_t rows, const float *x, const float *w, float *y, float *inv)
{
    size_t d = net->model->cfg.hidden_size;
    float eps = net->model->cfg.rms_norm_eps;
#pragma omp parallel for num_threads(net->threads) if (rows * d > CG_ROWS_SHARED_FROM)
    for (size_t t = 0; t < rows; t++) {
        float r = net->rows->rmsnorm_f32(d, eps, x + t * d, w, y + t * d);
        if (inv) inv[t] = r;
    }
}

void cg_net_embed(const struct cg_net *net, size_t n, const int32_t *tokens, float *x)
{
    size_t d = net->model->cfg.hidden_size;
    for (size_t t = 0; t < n; t++)
        memcpy(x + t * d, net->model->w + net->model->embed + (size_t)tokens[t] * d, d * sizeof *x);
}

void cg_net_turn(const struct cg_net *net, size_t layer, size_t n, const int32_t *pos, const struct cg_layer_buf *b)
{
    const struct cg_config *c = &net->model->cfg;
    const struct cg_layer_offsets *at = &net->model->layers[layer];
    size_t hd = c->head_dim, half = hd / 2, queries = c->num_attention_heads, heads = queries + c->num_key_value_heads;
#pragma omp parallel for num_threads(net->threads) if (n * heads * hd > CG_ROWS_SHARED_FROM)
    for (size_t t = 0; t < n; t++) {
        const float *cs = net->rope_cos + (size_t)pos[t] * half, *sn = net->rope_sin + (size_t)pos[t] * half;
        const float *x = b->qkv + t * net->qkv_dim;
        float *y = cg_layer_turned(b) + t * net->qkv_dim;
        for (size_t h = 0; h < heads; h++, x += hd, y += hd) {
            if (at->q_norm) {
                const float *w = net->model->w + (h < queries ? at->q_norm : at->k_norm);
                float r = net->rows->rmsnorm_f32(hd, c->rms_norm_eps, x, w, y);
                if (b->head_inv) b->head_inv[t * heads + h] = r;
                net->rows->rope_f32(hd, cs, sn, y, y);
            } else {
                net->rows->rope_f32(hd, cs, sn, x, y);
            }
        }
        if (x != y) memcpy(y, x, net->kv_dim * sizeof *y);
    }
}

void cg_net_rope_back(const struct cg_net *net, size_t n, const int32_t *pos, float *qkv)
{
    const struct cg_config *c = &net->model->cfg;
    size_t hd = c->head_dim, half = hd / 2, heads = c->num_attention_heads + c->num_key_value_heads;
#pragma omp parallel for num_threads(net->threads) if (n * heads * hd > CG_ROWS_SHARED_FROM)
    for (size_t t = 0; t < n; t++) {
        const float *cs = net->rope_cos + (size_t)pos[t] * half, *sn = net->rope_sin + (size_t)pos[t] * half;
        float back[CG_MAX_HEAD_DIM / 2];
        for (size_t i = 0; i < half; i++) back[i] = -sn[i];
        for (size_t h = 0; h < heads; h++) {
            float *v = qkv + t * net->qkv_dim + h * hd;
            net->rows->rope_f32(hd, cs, back, v, v);
        }
    }
}

enum cg_status cg_layer_qkv(const struct cg_net *net, size_t layer, size_t n, const int32_t *pos,
                            const struct cg_layer_buf *b, float *xn)
{
    const struct cg_linear *qkv = cg_net_linear(net, layer, CG_LINEAR_QKV);
    struct cg_epilogue bias = {.rows = net->rows, .bias = qkv->bias};
    cg_net_norm(net, n, b->x, qkv->norm, xn, b->inv1);
    CG_TRY(cg_linear_forward(net, qkv, n, xn, b->qkv, net->qkv_dim, qkv->bias ? &bias : NULL));
    cg_net_turn(net, layer, n, pos, b);
    return CG_OK;
}

enum cg_status cg_layer_att_out(const struct cg_net *net, size_t layer, size_t n, const struct cg_layer_buf *b)
{
    size_t d = net->model->cfg.hidden_size;
    struct cg_epilogue add_x = {.rows = net->rows, .residual = b->x, .ld_residual = d};
    return cg_linear_forward(net, cg_net_linear(net, layer, CG_LINEAR_O), n, b->att, b->x2, d, &add_x);
}

enum cg_status cg_layer_gate_up(const struct cg_net *net, size_t layer, size_t n, const struct cg_layer_buf *b,
                                float *xn, float *h)
{
    const struct cg_linear *gate_up = cg_net_linear(net, layer, CG_LINEAR_GATE_UP);
    size_t f = net->model->cfg.intermediate_size;
    struct cg_epilogue swiglu = {.rows = net->rows, .swiglu = h, .ld_swiglu = f};
    cg_net_norm(net, n, b->x2, gate_up->norm, xn, b->inv2);
    CG_TRY(cg_linear_quantise_for(net, cg_net_linear(net, layer, CG_LINEAR_DOWN), n, &swiglu));
    return cg_linear_forward(net, gate_up, n, xn, b->gu, 2 * f, &swiglu);
}

enum cg_status cg_layer_mlp(const struct cg_net *net, size_t layer, size_t n, const struct cg_layer_buf *b, float *xn,
                            float *h, float *out)
{
    size_t d = net->model->cfg.hidden_size;
    struct cg_epilogue add_x2 = {.rows = net->rows, .residual = b->x2, .ld_residual = d};
    CG_TRY(cg_layer_att_out(net, layer, n, b));
    CG_TRY(cg_layer_gate_up(net, layer, n, b, xn, h));
    return cg_linear_forward(net, cg_net_linear(net, layer, CG_LINEAR_DOWN), n, h, out, d, &add_x2);
}
