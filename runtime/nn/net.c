#include "runtime/nn/net.h"

#include <string.h>

#include "common/math.h"
#include "common/mem.h"
#include "kernels/gemm.h"

/* Every packed weight of a layer, for sizing and packing in one walk. */
struct weight_ref {
    size_t n, k, w, *packed;
};

static size_t layer_weights(struct cg_net *net, size_t l, struct weight_ref out[4])
{
    const struct cg_config *c = &net->model->cfg;
    const struct cg_layer_offsets *w = &net->model->layers[l];
    struct cg_layer_offsets *p = &net->packed_at[l];
    out[0] = (struct weight_ref){net->qkv_dim, c->hidden_size, w->qkv, &p->qkv};
    out[1] = (struct weight_ref){c->hidden_size, net->att_dim, w->o, &p->o};
    out[2] = (struct weight_ref){2 * c->intermediate_size, c->hidden_size, w->gate_up, &p->gate_up};
    out[3] = (struct weight_ref){c->hidden_size, c->intermediate_size, w->down, &p->down};
    return 4;
}

static struct weight_ref head_weight(struct cg_net *net)
{
    const struct cg_model *m = net->model;
    return (struct weight_ref){m->cfg.vocab_size, m->cfg.hidden_size, m->lm_head, &net->packed_head};
}

int cg_net_untuned(struct cg_net *net)
{
    struct weight_ref r[4];
    size_t n = layer_weights(net, 0, r);
    for (size_t i = 0; i < n; i++)
        if (!cg_plans_miss(net->plans, r[i].n, r[i].k)) return 0;
    return 1;
}

static size_t assign(const struct cg_net *net, struct weight_ref r, size_t at)
{
    *r.packed = at;
    size_t size = cg_pack_f32_size(r.n, r.k, cg_plan_pack_nr(net->plans, r.n, r.k));
    return at + (size + 15) / 16 * 16;
}

static void pack(const struct cg_net *net, struct weight_ref r)
{
    cg_pack_f32(r.n, r.k, net->model->w + r.w, 1, r.k, cg_plan_pack_nr(net->plans, r.n, r.k), net->packed + *r.packed,
                net->threads);
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

enum cg_status cg_net_create(const struct cg_model *model, const struct cg_plans *plans, size_t max_len,
                             struct cg_net *net)
{
    const struct cg_config *c = &model->cfg;
    memset(net, 0, sizeof *net);
    if (max_len > c->max_position_embeddings)
        return cg_fail(CG_ERR_USER, "sequences of %zu tokens are longer than the %zu positions of the model", max_len,
                       c->max_position_embeddings);
    net->model = model;
    net->plans = plans;
    net->rows = cg_plans_rows(plans);
    net->threads = cg_plans_threads(plans);
    net->att_dim = c->num_attention_heads * c->head_dim;
    net->kv_dim = c->num_key_value_heads * c->head_dim;
    net->qkv_dim = net->att_dim + 2 * net->kv_dim;
    net->packed_at = cg_alloc_n(c->num_hidden_layers, sizeof *net->packed_at);
    if (!net->packed_at) return cg_fail(CG_ERR_MEMORY, "out of memory");
    size_t at = 0;
    for (size_t l = 0; l < c->num_hidden_layers; l++) {
        struct weight_ref r[4];
        size_t n = layer_weights(net, l, r);
        for (size_t i = 0; i < n; i++) at = assign(net, r[i], at);
    }
    at = assign(net, head_weight(net), at);
    net->packed = cg_alloc_n(at, sizeof(float));
    if (!net->packed) {
        cg_net_free(net);
        return cg_fail(CG_ERR_MEMORY, "out of memory: %.2f GB more are needed for the packed weights",
                       (double)at * sizeof(float) / 1e9);
    }
    enum cg_status s = make_rope(net, max_len);
    if (s != CG_OK) {
        cg_net_free(net);
        return s;
    }
    cg_net_repack(net);
    return CG_OK;
}

void cg_net_free(struct cg_net *net)
{
    cg_free(net->packed);
    cg_free(net->packed_at);
    cg_free(net->rope_cos);
    cg_free(net->rope_sin);
    memset(net, 0, sizeof *net);
}

void cg_net_repack(struct cg_net *net)
{
    for (size_t l = 0; l < net->model->cfg.num_hidden_layers; l++) {
        struct weight_ref r[4];
        size_t n = layer_weights(net, l, r);
        for (size_t i = 0; i < n; i++) pack(net, r[i]);
    }
    pack(net, head_weight(net));
}

/* y[rows][n] = x[rows][k] W^T, and what `ep` (or NULL) says. */
static void linear_then(const struct cg_net *net, size_t rows, size_t n, size_t k, const float *x, const float *packed,
                        float *y, const struct cg_epilogue *ep)
{
    struct cg_plan plan = cg_plan_gemm_f32(net->plans, CG_FORM_NT, rows, n, k);
    cg_gemm(&plan, rows, n, k, x, k, 1, packed, y, n, 0, ep);
}

void cg_net_linear(const struct cg_net *net, size_t rows, size_t n, size_t k, const float *x, const float *packed,
                   float *y)
{
    linear_then(net, rows, n, k, x, packed, y, NULL);
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

void cg_net_rope(const struct cg_net *net, size_t n, const int32_t *pos, int sign, float *qkv)
{
    const struct cg_config *c = &net->model->cfg;
    size_t hd = c->head_dim, half = hd / 2, heads = c->num_attention_heads + c->num_key_value_heads;
#pragma omp parallel for num_threads(net->threads) if (n * heads * hd > CG_ROWS_SHARED_FROM)
    for (size_t t = 0; t < n; t++) {
        const float *cs = net->rope_cos + (size_t)pos[t] * half, *sn = net->rope_sin + (size_t)pos[t] * half;
        float back[CG_MAX_HEAD_DIM / 2];
        if (sign < 0) {
            for (size_t i = 0; i < half; i++) back[i] = -sn[i];
            sn = back;
        }
        for (size_t h = 0; h < heads; h++) {
            float *v = qkv + t * net->qkv_dim + h * hd;
            net->rows->rope_f32(hd, cs, sn, v, v);
        }
    }
}

void cg_layer_qkv(const struct cg_net *net, size_t layer, size_t n, const int32_t *pos, const struct cg_layer_buf *b,
                  float *xn)
{
    const struct cg_model *m = net->model;
    cg_net_norm(net, n, b->x, m->w + m->layers[layer].input_norm, xn, b->inv1);
    cg_net_linear(net, n, net->qkv_dim, m->cfg.hidden_size, xn, net->packed + net->packed_at[layer].qkv, b->qkv);
    cg_net_rope(net, n, pos, 1, b->qkv);
}

void cg_layer_mlp(const struct cg_net *net, size_t layer, size_t n, const struct cg_layer_buf *b, float *xn, float *h,
                  float *out)
{
    const struct cg_model *m = net->model;
    const struct cg_layer_offsets *p = &net->packed_at[layer];
    size_t d = m->cfg.hidden_size, f = m->cfg.intermediate_size;
    struct cg_epilogue add_x = {.rows = net->rows, .residual = b->x, .ld_residual = d};
    struct cg_epilogue swiglu = {.rows = net->rows, .swiglu = h, .ld_swiglu = f};
    struct cg_epilogue add_x2 = {.rows = net->rows, .residual = b->x2, .ld_residual = d};

    linear_then(net, n, d, net->att_dim, b->att, net->packed + p->o, b->x2, &add_x);
    cg_net_norm(net, n, b->x2, m->w + m->layers[layer].post_norm, xn, b->inv2);
    linear_then(net, n, 2 * f, d, xn, net->packed + p->gate_up, b->gu, &swiglu);
    linear_then(net, n, d, f, h, net->packed + p->down, out, &add_x2);
}
