#include "runtime/nn/linear.h"

#include <string.h>

#include "common/mem.h"
#include "runtime/nn/adapters.h"
#include "runtime/nn/net.h"
#include "runtime/nn/smooth.h"

static size_t count(const struct cg_net *net)
{
    return net->model->cfg.num_hidden_layers * CG_LINEARS + 1;
}

/* Sizes of all matrices, and where their packed form lies. Returns the floats of all packed forms. */
static size_t lay_out(struct cg_net *net)
{
    const struct cg_model *m = net->model;
    const struct cg_config *c = &m->cfg;
    size_t at = 0, layers = c->num_hidden_layers;
    for (size_t l = 0; l < layers; l++) {
        struct cg_linear *lin = net->linears + l * CG_LINEARS;
        const struct cg_layer_offsets *o = &m->layers[l];
        lin[CG_LINEAR_QKV] = (struct cg_linear){.n = net->qkv_dim,
                                                .k = c->hidden_size,
                                                .w = m->w + o->qkv,
                                                .norm = m->w + o->input_norm,
                                                .bias = o->qkv_bias ? m->w + o->qkv_bias : NULL};
        lin[CG_LINEAR_O] = (struct cg_linear){.n = c->hidden_size, .k = net->att_dim, .w = m->w + o->o};
        lin[CG_LINEAR_GATE_UP] = (struct cg_linear){
            .n = 2 * c->intermediate_size, .k = c->hidden_size, .w = m->w + o->gate_up, .norm = m->w + o->post_norm};
        lin[CG_LINEAR_DOWN] = (struct cg_linear){.n = c->hidden_size, .k = c->intermediate_size, .w = m->w + o->down};
    }
    net->linears[layers * CG_LINEARS] = (struct cg_linear){
        .n = c->vocab_size, .k = c->hidden_size, .w = m->w + m->lm_head, .norm = m->w + m->final_norm};
    for (size_t i = 0; i < count(net); i++) {
        struct cg_linear *lin = &net->linears[i];
        lin->input = net->inputs;
        net->inputs += lin->k;
        lin->packed = at;
        at += cg_pack_f32_size(lin->n, lin->k, cg_plan_pack_nr(net->plans, lin->n, lin->k));
        at = (at + 15) / 16 * 16;
    }
    return at;
}

static enum cg_status create_s8(struct cg_net *net)
{
    for (size_t i = 0; i < count(net); i++) {
        struct cg_linear *lin = &net->linears[i];
        const struct cg_variant *v = cg_plan_s8_variant(net->plans, lin->n, lin->k);
        if (cg_pack_s8(v, net->rows, lin->n, lin->k, lin->w, &lin->s8) != 0)
            return cg_fail(CG_ERR_MEMORY, "out of memory for the INT8 weights, or a layer is wider than %d",
                           CG_S8_MAX_K);
    }
    return cg_smooth_create(net);
}

static void pack_all(struct cg_net *net)
{
    for (size_t i = 0; i < count(net); i++) {
        struct cg_linear *lin = &net->linears[i];
        if (net->weights == CG_WEIGHTS_S8)
            cg_repack_s8(net->rows, lin->w, net->smooth + lin->input, net->threads, &lin->s8);
        else
            cg_pack_f32(lin->n, lin->k, lin->w, 1, lin->k, cg_plan_pack_nr(net->plans, lin->n, lin->k),
                        net->packed + lin->packed, net->threads);
    }
    if (net->weights == CG_WEIGHTS_S8) cg_smooth_fold(net);
}

enum cg_status cg_linears_create(struct cg_net *net, int empty)
{
    net->scratch = cg_alloc(sizeof *net->scratch);
    if (net->base) {
        net->linears = net->base->linears;
        net->packed = net->base->packed;
        net->unpacked = net->base->unpacked;
        if (!net->scratch) return cg_fail(CG_ERR_MEMORY, "out of memory");
        net->scratch->outdated = net->unpacked;
        return CG_OK;
    }
    net->linears = cg_alloc_n(count(net), sizeof *net->linears);
    if (!net->linears || !net->scratch) return cg_fail(CG_ERR_MEMORY, "out of memory");
    size_t floats = lay_out(net);
    if (net->weights == CG_WEIGHTS_S8) return create_s8(net);
    net->scratch->outdated = net->unpacked;
    if (net->unpacked) return CG_OK;
    if (net->lends && floats < net->params->n) floats = net->params->n;
    net->packed = cg_alloc_n(floats, sizeof(float));
    if (!net->packed)
        return cg_fail(CG_ERR_MEMORY, "out of memory: %.2f GB more are needed for the packed weights",
                       (double)floats * sizeof(float) / 1e9);
    if (!empty) pack_all(net);
    return CG_OK;
}

void cg_linears_free(struct cg_net *net)
{
    for (size_t i = 0; net->linears && !net->base && i < count(net); i++) cg_packed_s8_free(&net->linears[i].s8);
    if (!net->base) cg_free(net->linears);
    if (!net->base) cg_free(net->packed);
    cg_smooth_free(net);
    if (net->scratch) {
        cg_free(net->scratch->pack);
        cg_free(net->scratch->inner);
        cg_free(net->scratch->delta);
        for (int i = 0; i < 2; i++) {
            cg_free(net->scratch->rows[i].q);
            cg_free(net->scratch->rows[i].scale);
        }
    }
    cg_free(net->scratch);
}

void cg_linears_refresh(struct cg_net *net)
{
    if (net->unpacked) return;
    if (!net->base) pack_all(net);
    net->scratch->outdated = 0;
}

/* Makes *p hold `need` items; what it held is lost. */
static enum cg_status reserve(void **p, size_t *cap, size_t need, size_t size)
{
    if (need <= *cap) return CG_OK;
    cg_free(*p);
    *p = cg_alloc_n(need, size);
    *cap = *p ? need : 0;
    return *p ? CG_OK : cg_fail(CG_ERR_MEMORY, "out of memory for the buffers of a product");
}

enum cg_status cg_reserve_floats(float **p, size_t *cap, size_t n)
{
    return reserve((void **)p, cap, n, sizeof **p);
}

static enum cg_status reserve_pack(const struct cg_net *net, const struct cg_plan *plan, size_t n, size_t k)
{
    struct cg_linear_scratch *s = net->scratch;
    return cg_reserve_floats(&s->pack, &s->pack_cap, cg_gemm_scratch(plan, n, k));
}

enum cg_status cg_linears_reserve(const struct cg_net *net, size_t rows, size_t head_rows)
{
    size_t layer = net->model->cfg.num_hidden_layers ? CG_LINEARS : 0, all = count(net);
    for (size_t i = 0; i < all; i = i + 1 == layer ? all - 1 : i + 1) { /* one layer, then the head */
        const struct cg_linear *lin = &net->linears[i];
        size_t m = i + 1 == all ? head_rows : rows;
        struct cg_plan forward = cg_plan_gemm_f32(net->plans, CG_FORM_NT, m, lin->n, lin->k);
        struct cg_plan dx = cg_plan_gemm_f32(net->plans, CG_FORM_NN, m, lin->k, lin->n);
        struct cg_plan dw = cg_plan_gemm_f32(net->plans, CG_FORM_TN, lin->n, lin->k, m);
        CG_TRY(reserve_pack(net, &forward, lin->n, lin->k));
        CG_TRY(reserve_pack(net, &dx, lin->k, lin->n));
        CG_TRY(reserve_pack(net, &dw, lin->k, m));
        if (i + 1 == all) break;
    }
    return CG_OK;
}

static enum cg_status reserve_rows(const struct cg_linear *lin, size_t rows, struct cg_s8_rows *r)
{
    CG_TRY(reserve(&r->q, &r->q_cap, cg_s8_rows_size(&lin->s8, rows), 1));
    return cg_reserve_floats(&r->scale, &r->scale_cap, rows);
}

enum cg_status cg_linear_quantise_for(const struct cg_net *net, const struct cg_linear *lin, size_t rows,
                                      struct cg_epilogue *ep)
{
    if (net->weights != CG_WEIGHTS_S8) return CG_OK;
    struct cg_s8_rows *r = &net->scratch->rows[!net->scratch->current];
    CG_TRY(reserve_rows(lin, rows, r));
    ep->quant_for = &lin->s8;
    ep->quant = r->q;
    ep->quant_scale = r->scale;
    r->made_ready = lin;
    return CG_OK;
}

/* An epilogue that adds the adapters' part, in the place of the residual, to which it is added before. */
static enum cg_status add_adapters(const struct cg_net *net, const struct cg_linear *lin, size_t rows, const float *x,
                                   const struct cg_epilogue *ep, struct cg_epilogue *out)
{
    struct cg_linear_scratch *s = net->scratch;
    const float *residual = ep ? ep->residual : NULL;
    CG_TRY(cg_reserve_floats(&s->delta, &s->delta_cap, rows * lin->n));
    for (size_t i = 0; residual && i < rows; i++)
        memcpy(s->delta + i * lin->n, residual + i * ep->ld_residual, lin->n * sizeof *s->delta);
    CG_TRY(cg_adapters_forward(net, lin, rows, x, s->delta, lin->n, residual != NULL));
    *out = ep ? *ep : (struct cg_epilogue){.rows = net->rows};
    out->residual = s->delta;
    out->ld_residual = lin->n;
    return CG_OK;
}

static enum cg_status forward_s8(const struct cg_net *net, const struct cg_linear *lin, size_t rows, const float *x,
                                 float *y, size_t ldy, const struct cg_epilogue *ep)
{
    struct cg_linear_scratch *s = net->scratch;
    if (s->outdated) return cg_fail(CG_ERR_INTERNAL, "the INT8 weights are older than the model's");
    struct cg_s8_rows *r = &s->rows[s->current];
    if (r->made_ready != lin) {
        CG_TRY(reserve_rows(lin, rows, r));
#pragma omp parallel for num_threads(net->threads) if (rows * lin->k > CG_ROWS_SHARED_FROM)
        for (size_t i = 0; i < rows; i++)
            cg_s8_rows_quant(&lin->s8, net->rows, 1, x + i * lin->k, 0, (char *)r->q + cg_s8_rows_size(&lin->s8, i),
                             r->scale + i);
    }
    struct cg_plan plan = cg_plan_gemm_s8(net->plans, rows, lin->n, lin->k);
    struct cg_epilogue with;
    if (cg_adapters_of(net, lin)) {
        CG_TRY(add_adapters(net, lin, rows, x, ep, &with));
        ep = &with;
    }
    cg_gemm_s8(&plan, rows, r->q, r->scale, &lin->s8, y, ldy, ep);
    r->made_ready = NULL;
    if (ep && ep->quant) s->current = !s->current;
    return CG_OK;
}

enum cg_status cg_linear_forward(const struct cg_net *net, const struct cg_linear *lin, size_t rows, const float *x,
                                 float *y, size_t ldy, const struct cg_epilogue *ep)
{
    size_t n = lin->n, k = lin->k;
    if (net->weights == CG_WEIGHTS_S8) return forward_s8(net, lin, rows, x, y, ldy, ep);
    if (net->scratch->observed) cg_smooth_see(net, lin, rows, x);
    struct cg_plan plan = cg_plan_gemm_f32(net->plans, CG_FORM_NT, rows, n, k);
    /* Adapters first: the chains of the product go on from their part, so that its epilogue finds the sum. */
    int adapted = cg_adapters_of(net, lin) != NULL;
    if (adapted) CG_TRY(cg_adapters_forward(net, lin, rows, x, y, ldy, 0));
    if (!net->scratch->outdated) {
        cg_gemm(&plan, rows, n, k, x, k, 1, net->packed + lin->packed, y, ldy, adapted, ep);
        return CG_OK;
    }
    CG_TRY(reserve_pack(net, &plan, n, k));
    cg_gemm_pack(&plan, rows, n, k, x, k, 1, lin->w, 1, k, net->scratch->pack, y, ldy, adapted, ep);
    return CG_OK;
}

enum cg_status cg_linear_backward(const struct cg_net *net, const struct cg_linear *lin, size_t rows, const float *dy,
                                  float *dx)
{
    return cg_net_gemm(net, CG_FORM_NN, rows, lin->k, lin->n, dy, lin->n, 1, lin->w, dx, 0);
}

enum cg_status cg_net_weights(const struct cg_net *net, size_t offset, size_t n, float *out)
{
    memcpy(out, net->model->w + offset, n * sizeof *out);
    return CG_OK;
}

enum cg_status cg_net_gemm(const struct cg_net *net, enum cg_form form, size_t m, size_t n, size_t k, const float *a,
                           size_t rs_a, size_t cs_a, const float *b, float *c, int accumulate)
{
    struct cg_plan plan = cg_plan_gemm_f32(net->plans, form, m, n, k);
    CG_TRY(reserve_pack(net, &plan, n, k));
    cg_gemm_f32_pack(&plan, m, n, k, a, rs_a, cs_a, b, n, 1, net->scratch->pack, c, n, accumulate);
    return CG_OK;
}
