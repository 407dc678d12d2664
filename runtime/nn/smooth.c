#include "runtime/nn/smooth.h"

#include <math.h>
#include <string.h>

#include "common/math.h"
#include "common/mem.h"
#include "runtime/nn/net.h"

/* s = activations^ALPHA / weights^(1 - ALPHA). KL(f32 || INT8) a token of SmolLM2-135M with s = 1, then with 0.4, 0.5,
 * 0.6, 0.7: sums after a few examples (72 tokens) 0.066, then 0.017, 0.016, 0.024, 0.030; sums asked for in a chat (245
 * tokens) 0.047, then 0.020, 0.020, 0.022, 0.033. */
#define ALPHA 0.5
#define LEAST 1e-5f /* of both magnitudes: channels that are never used */

enum cg_status cg_smooth_create(struct cg_net *net)
{
    const struct cg_config *c = &net->model->cfg;
    size_t layer = 2 * c->hidden_size + net->qkv_dim;
    net->smooth = cg_alloc_n(net->inputs, sizeof *net->smooth);
    net->folded = cg_alloc_n(c->num_hidden_layers * layer + c->hidden_size, sizeof *net->folded);
    if (!net->smooth || !net->folded) return cg_fail(CG_ERR_MEMORY, "out of memory for the scales of INT8 weights");
    for (size_t i = 0; i < net->inputs; i++) net->smooth[i] = 1.0f;
    cg_smooth_fold(net);
    return CG_OK;
}

void cg_smooth_free(struct cg_net *net)
{
    cg_free(net->smooth);
    cg_free(net->folded);
}

void cg_smooth_observe(const struct cg_net *net, float *max)
{
    net->scratch->observed = max;
}

/* to[k] = the larger of it and the largest magnitude in each column of x[rows][k]; a NaN counts as 0. */
static void column_max(size_t rows, size_t k, const float *x, float *to)
{
    for (size_t i = 0; i < rows; i++)
        for (size_t p = 0; p < k; p++) {
            float a = fabsf(x[i * k + p]);
            to[p] = a > to[p] ? a : to[p];
        }
}

void cg_smooth_see(const struct cg_net *net, const struct cg_linear *lin, size_t rows, const float *x)
{
    column_max(rows, lin->k, x, net->scratch->observed + lin->input);
}

/* The heads of a group have one row of values between them, so one scale for each of its channels: x[heads][head_dim]
 * becomes the largest of each group. */
static void join_group(const struct cg_net *net, float *x)
{
    const struct cg_config *c = &net->model->cfg;
    size_t hd = c->head_dim, group = c->num_attention_heads / c->num_key_value_heads;
    for (size_t kv = 0; kv < c->num_key_value_heads; kv++, x += group * hd)
        for (size_t p = 0; p < hd; p++) {
            float max = 0;
            for (size_t h = 0; h < group; h++) max = x[h * hd + p] > max ? x[h * hd + p] : max;
            for (size_t h = 0; h < group; h++) x[h * hd + p] = max;
        }
}

static float scale_of(float activation, float weight)
{
    float a = activation > LEAST ? activation : LEAST, w = weight > LEAST ? weight : LEAST;
    float s = (float)(cg_pow((double)a, ALPHA) / cg_pow((double)w, 1 - ALPHA));
    return s > 0 && isfinite(s) ? s : 1.0f;
}

void cg_smooth_set(struct cg_net *net)
{
    size_t layers = net->model->cfg.num_hidden_layers, all = layers * CG_LINEARS + 1;
#pragma omp parallel for num_threads(net->threads)
    for (size_t i = 0; i < all; i++) {
        const struct cg_linear *lin = &net->linears[i];
        float w[CG_S8_MAX_K], *s = net->smooth + lin->input;
        memset(w, 0, lin->k * sizeof *w);
        column_max(lin->n, lin->k, lin->w, w);
        if (i + 1 < all && i % CG_LINEARS == CG_LINEAR_O) {
            join_group(net, s);
            join_group(net, w);
        }
        for (size_t p = 0; p < lin->k; p++) s[p] = scale_of(s[p], w[p]);
    }
    cg_net_outdated(net);
}

static float *fold_norm(const struct cg_net *net, const float *norm, struct cg_linear *lin, float *to)
{
    const float *s = net->smooth + lin->input;
    for (size_t p = 0; p < lin->k; p++) to[p] = norm[p] / s[p];
    lin->norm = to;
    return to + lin->k;
}

static float *fold_bias(const float *bias, struct cg_linear *lin, float *to)
{
    memcpy(to, bias, lin->n * sizeof *to);
    lin->bias = to;
    return to + lin->n;
}

/* Values, of which attention makes sums whose weights have the sum 1. */
static void fold_values(const struct cg_net *net, struct cg_linear *lin, float *bias)
{
    const struct cg_config *c = &net->model->cfg;
    const float *s = net->smooth + lin[CG_LINEAR_O].input;
    size_t hd = c->head_dim, group = c->num_attention_heads / c->num_key_value_heads, v = net->att_dim + net->kv_dim;
    for (size_t kv = 0; kv < c->num_key_value_heads; kv++, s += group * hd, v += hd)
        for (size_t p = 0; p < hd; p++) {
            lin[CG_LINEAR_QKV].s8.scale[v + p] /= s[p];
            if (bias) bias[v + p] /= s[p];
        }
}

void cg_smooth_fold(struct cg_net *net)
{
    const struct cg_model *m = net->model;
    size_t layers = m->cfg.num_hidden_layers, f = m->cfg.intermediate_size;
    float *to = net->folded;
    for (size_t l = 0; l < layers; l++) {
        struct cg_linear *lin = net->linears + l * CG_LINEARS;
        const struct cg_layer_offsets *o = &m->layers[l];
        const float *s = net->smooth + lin[CG_LINEAR_DOWN].input;
        to = fold_norm(net, m->w + o->input_norm, &lin[CG_LINEAR_QKV], to);
        to = fold_norm(net, m->w + o->post_norm, &lin[CG_LINEAR_GATE_UP], to);
        float *bias = o->qkv_bias ? to : NULL;
        if (bias) to = fold_bias(m->w + o->qkv_bias, &lin[CG_LINEAR_QKV], to);
        fold_values(net, lin, bias);
        for (size_t p = 0; p < f; p++) lin[CG_LINEAR_GATE_UP].s8.scale[f + p] /= s[p];
    }
    fold_norm(net, m->w + m->final_norm, &net->linears[layers * CG_LINEARS], to);
}
