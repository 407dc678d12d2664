#include "runtime/nn/adapters.h"

#include <math.h>
#include <string.h>

#include "common/mem.h"
#include "common/rng.h"
#include "runtime/nn/net.h"

/* The matrices that adapters can stand beside, by peft's names. */
static const struct {
    const char *name;
    enum cg_tensor_kind tensor;
    enum cg_linear_kind linear;
} kinds[] = {
    {"q_proj", CG_TENSOR_Q, CG_LINEAR_QKV},           {"k_proj", CG_TENSOR_K, CG_LINEAR_QKV},
    {"v_proj", CG_TENSOR_V, CG_LINEAR_QKV},           {"o_proj", CG_TENSOR_O, CG_LINEAR_O},
    {"gate_proj", CG_TENSOR_GATE, CG_LINEAR_GATE_UP}, {"up_proj", CG_TENSOR_UP, CG_LINEAR_GATE_UP},
    {"down_proj", CG_TENSOR_DOWN, CG_LINEAR_DOWN},
};
enum { KINDS = sizeof kinds / sizeof *kinds };

static enum cg_status choose(const struct cg_adapter_options *o, int chosen[KINDS])
{
    static const char *const by_default[] = {"q_proj", "v_proj"};
    const char *const *names = o->n_targets ? o->targets : by_default;
    for (size_t i = 0; i < (o->n_targets ? o->n_targets : 2); i++) {
        int found = 0;
        for (int k = 0; k < KINDS; k++)
            if (strcmp(names[i], "all-linear") == 0 || strcmp(names[i], kinds[k].name) == 0) chosen[k] = found = 1;
        if (!found)
            return cg_fail(
                CG_ERR_USER,
                "lora_target_modules: '%.40s' is none of q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, "
                "down_proj, all-linear",
                names[i]);
    }
    return CG_OK;
}

static size_t linear_offset(const struct cg_model *m, size_t layer, enum cg_linear_kind kind)
{
    const struct cg_layer_offsets *o = &m->layers[layer];
    const size_t all[CG_LINEARS] = {o->qkv, o->o, o->gate_up, o->down};
    return all[kind];
}

/* Finds the parts of all matrices. */
static void find_parts(const struct cg_model *m, const int chosen[KINDS], struct cg_adapters *a)
{
    for (size_t i = 0; i < cg_model_tensor_count(m); i++) {
        struct cg_tensor_ref t = cg_model_tensor(m, i);
        for (int k = 0; k < KINDS; k++) {
            if (!chosen[k] || t.kind != kinds[k].tensor) continue;
            struct cg_adapted *to = &a->of[t.layer * CG_LINEARS + kinds[k].linear];
            size_t row = (t.offset - linear_offset(m, t.layer, kinds[k].linear)) / t.cols;
            to->part[to->n++] = (struct cg_adapter){.tensor = i, .row = row, .rows = t.rows};
            to->k = t.cols;
        }
    }
}

static size_t pack_size(const struct cg_plans *plans, size_t n, size_t k)
{
    return (cg_pack_f32_size(n, k, cg_plan_pack_nr(plans, n, k)) + 15) / 16 * 16;
}

/* Places of all parts; returns the floats of what is packed. */
static size_t lay_out(const struct cg_plans *plans, struct cg_adapters *a)
{
    size_t packed = 0;
    for (size_t i = 0; i < a->n_of; i++) {
        struct cg_adapted *to = &a->of[i];
        if (to->n == 0) continue;
        to->packed_a = packed;
        packed += pack_size(plans, to->n * a->r, to->k);
        for (size_t p = 0; p < to->n; p++, a->n += a->r * to->k) to->part[p].a = a->n;
        for (size_t p = 0; p < to->n; p++) {
            to->part[p].b = a->n;
            a->n += to->part[p].rows * a->r;
            to->part[p].packed_b = packed;
            packed += pack_size(plans, to->part[p].rows, a->r);
        }
    }
    return packed;
}

static void init(struct cg_adapters *a, uint64_t seed)
{
    for (size_t i = 0; i < a->n_of; i++)
        for (size_t p = 0; p < a->of[i].n; p++) {
            size_t n = a->r * a->of[i].k;
            float *x = a->w + a->of[i].part[p].a, bound = 1.0f / sqrtf((float)a->of[i].k);
            for (size_t j = 0; j < n; j++) {
                float u = cg_rng_uniform(seed, CG_RNG_ADAPTER, (uint32_t)a->of[i].part[p].tensor, (uint32_t)j, 0);
                x[j] = (2.0f * u - 1.0f) * bound;
            }
        }
}

static enum cg_status create(const struct cg_model *model, const struct cg_plans *plans,
                             const struct cg_adapter_options *o, struct cg_adapters *a)
{
    int chosen[KINDS] = {0};
    CG_TRY(choose(o, chosen));
    a->r = o->r;
    a->alpha = o->alpha;
    a->scale = (float)(o->alpha / (double)o->r);
    for (int k = 0; k < KINDS; k++)
        if (chosen[k]) a->targets[a->n_targets++] = kinds[k].name;
    a->n_of = model->cfg.num_hidden_layers * CG_LINEARS;
    a->of = cg_alloc_n(a->n_of, sizeof *a->of);
    if (!a->of) return cg_fail(CG_ERR_MEMORY, "out of memory");
    find_parts(model, chosen, a);
    size_t packed = lay_out(plans, a);
    a->w = cg_alloc_n(a->n, sizeof *a->w);
    a->packed = cg_alloc_n(packed, sizeof *a->packed);
    if (!a->w || !a->packed)
        return cg_fail(CG_ERR_MEMORY, "out of memory: LoRA adapters of rank %zu take %.2f GB", a->r,
                       (double)(a->n + packed) * sizeof(float) / 1e9);
    init(a, o->seed);
    cg_adapters_refresh(a, plans);
    return CG_OK;
}

enum cg_status cg_adapters_create(const struct cg_model *model, const struct cg_plans *plans,
                                  const struct cg_adapter_options *o, struct cg_adapters *out)
{
    memset(out, 0, sizeof *out);
    enum cg_status s = create(model, plans, o, out);
    if (s != CG_OK) cg_adapters_free(out);
    return s;
}

void cg_adapters_free(struct cg_adapters *a)
{
    cg_free(a->of);
    cg_free(a->w);
    cg_free(a->packed);
    memset(a, 0, sizeof *a);
}

static void pack(const struct cg_plans *plans, size_t n, size_t k, const float *w, float *out)
{
    cg_pack_f32(n, k, w, 1, k, cg_plan_pack_nr(plans, n, k), out, 1);
}

void cg_adapters_refresh(struct cg_adapters *a, const struct cg_plans *plans)
{
#pragma omp parallel for num_threads(cg_plans_threads(plans))
    for (size_t i = 0; i < a->n_of; i++) {
        const struct cg_adapted *of = &a->of[i];
        if (of->n) pack(plans, of->n * a->r, of->k, a->w + of->part[0].a, a->packed + of->packed_a);
        for (size_t p = 0; p < of->n; p++)
            pack(plans, of->part[p].rows, a->r, a->w + of->part[p].b, a->packed + of->part[p].packed_b);
    }
}

const struct cg_adapted *cg_adapters_of(const struct cg_net *net, const struct cg_linear *lin)
{
    size_t i = (size_t)(lin - net->linears);
    return net->adapters && i < net->adapters->n_of && net->adapters->of[i].n ? &net->adapters->of[i] : NULL;
}

/* x[n] = x * scale. */
static void scale_by(float scale, size_t n, float *x)
{
    for (size_t i = 0; i < n; i++) x[i] *= scale;
}

/* u[rows][of->n * r] = scale A x, in the net's scratch. */
static enum cg_status inner(const struct cg_net *net, const struct cg_adapted *of, size_t rows, const float *x)
{
    const struct cg_adapters *a = net->adapters;
    struct cg_linear_scratch *s = net->scratch;
    size_t n = of->n * a->r;
    CG_TRY(cg_reserve_floats(&s->inner, &s->inner_cap, 2 * rows * n));
    struct cg_plan plan = cg_plan_gemm_f32(net->plans, CG_FORM_NT, rows, n, of->k);
    cg_gemm_f32(&plan, rows, n, of->k, x, of->k, 1, a->packed + of->packed_a, s->inner, n, 0);
    scale_by(a->scale, rows * n, s->inner);
    return CG_OK;
}

enum cg_status cg_adapters_forward(const struct cg_net *net, const struct cg_linear *lin, size_t rows, const float *x,
                                   float *y, size_t ldy, int accumulate)
{
    const struct cg_adapters *a = net->adapters;
    const struct cg_adapted *of = cg_adapters_of(net, lin);
    size_t n = of->n * a->r, at = 0;
    CG_TRY(inner(net, of, rows, x));
    for (size_t p = 0; p <= of->n; p++) { /* the rows of W between adapters, then those of an adapter */
        const struct cg_adapter *ad = &of->part[p];
        size_t end = p < of->n ? ad->row : lin->n;
        for (size_t i = 0; i < rows && !accumulate && end > at; i++)
            memset(y + i * ldy + at, 0, (end - at) * sizeof *y);
        if (p == of->n) break;
        struct cg_plan plan = cg_plan_gemm_f32(net->plans, CG_FORM_NT, rows, ad->rows, a->r);
        cg_gemm_f32(&plan, rows, ad->rows, a->r, net->scratch->inner + p * a->r, n, 1, a->packed + ad->packed_b,
                    y + ad->row, ldy, accumulate);
        at = ad->row + ad->rows;
    }
    return CG_OK;
}

/* C[m][n] (+)= A B, both as they lie: A's element (i, p) at a[i*rs_a + p*cs_a], B's row p at b[p*ldb]. */
static enum cg_status product(const struct cg_net *net, enum cg_form form, size_t m, size_t n, size_t k, const float *a,
                              size_t rs_a, size_t cs_a, const float *b, size_t ldb, float *c, size_t ldc,
                              int accumulate)
{
    struct cg_linear_scratch *s = net->scratch;
    struct cg_plan plan = cg_plan_gemm_f32(net->plans, form, m, n, k);
    CG_TRY(cg_reserve_floats(&s->pack, &s->pack_cap, cg_gemm_scratch(&plan, n, k)));
    cg_gemm_f32_pack(&plan, m, n, k, a, rs_a, cs_a, b, ldb, 1, s->pack, c, ldc, accumulate);
    return CG_OK;
}

enum cg_status cg_adapters_backward(const struct cg_net *net, const struct cg_linear *lin, size_t rows, const float *dy,
                                    const float *x, float *grad)
{
    const struct cg_adapters *a = net->adapters;
    const struct cg_adapted *of = cg_adapters_of(net, lin);
    size_t r = a->r, n = of->n * r;
    CG_TRY(inner(net, of, rows, x));
    float *u = net->scratch->inner, *du = u + rows * n;
    for (size_t p = 0; p < of->n; p++) {
        const struct cg_adapter *ad = &of->part[p];
        const float *d = dy + ad->row;
        CG_TRY(product(net, CG_FORM_TN, ad->rows, r, rows, d, 1, lin->n, u + p * r, n, grad + ad->b, r, 1));
        CG_TRY(product(net, CG_FORM_NN, rows, r, ad->rows, d, lin->n, 1, a->w + ad->b, r, du + p * r, n, 0));
    }
    scale_by(a->scale, rows * n, du);
    return product(net, CG_FORM_TN, n, of->k, rows, du, 1, n, x, of->k, grad + of->part[0].a, of->k, 1);
}

enum cg_status cg_adapters_input_grad(const struct cg_net *net, const struct cg_linear *lin, size_t rows, float *dx)
{
    const struct cg_adapted *of = cg_adapters_of(net, lin);
    size_t n = of->n * net->adapters->r;
    return product(net, CG_FORM_NN, rows, of->k, n, net->scratch->inner + rows * n, n, 1,
                   net->adapters->w + of->part[0].a, of->k, dx, of->k, 1);
}
