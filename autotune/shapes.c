#include "autotune/shapes.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

/* How often one training step calls each linear layer with so many tokens, counted on GRPO steps of 8 to 64
 * completions: generation with 8, 32 and 64 sequences, prompts and log-probabilities with some hundred tokens, and the
 * backward pass. Only the order of magnitude matters: it decides what a short budget is spent on. */
static const struct {
    enum cg_op op;
    enum cg_form form;
    size_t tokens;
    double calls;
} uses[] = {
    {CG_OP_gemm_f32, CG_FORM_NT, 1, 8},    {CG_OP_gemm_f32, CG_FORM_NT, 8, 24},   {CG_OP_gemm_f32, CG_FORM_NT, 32, 32},
    {CG_OP_gemm_f32, CG_FORM_NT, 64, 24},  {CG_OP_gemm_f32, CG_FORM_NT, 256, 4},  {CG_OP_gemm_f32, CG_FORM_NT, 1024, 2},
    {CG_OP_gemm_f32, CG_FORM_NN, 256, 4},  {CG_OP_gemm_f32, CG_FORM_NN, 1024, 2}, {CG_OP_gemm_f32, CG_FORM_TN, 256, 4},
    {CG_OP_gemm_f32, CG_FORM_TN, 1024, 2}, {CG_OP_gemm_s8, CG_FORM_NT, 1, 0.5},   {CG_OP_gemm_s8, CG_FORM_NT, 32, 2},
    {CG_OP_gemm_s8, CG_FORM_NT, 256, 0.5},
};

/* Nor are a model's shapes of more than this: they would eat the budget of all others, and at that size the defaults
 * are at the limit of the machine. */
#define MODEL_MAX_WORK 4e9

int cg_shapes_share_layout(const struct cg_shape *a, const struct cg_shape *b)
{
    return a->op == b->op && a->form == CG_FORM_NT && b->form == CG_FORM_NT && a->n == b->n && a->k == b->k;
}

double cg_shape_flops(const struct cg_shape *s)
{
    return 2.0 * (double)s->m * (double)s->n * (double)s->k;
}

void cg_shapes_free(struct cg_shapes *all)
{
    cg_free(all->s);
    all->s = NULL;
    all->n = 0;
}

enum cg_status cg_shapes_add_one(struct cg_shapes *all, const struct cg_shape *s)
{
    for (size_t i = 0; i < all->n; i++) {
        struct cg_shape *o = &all->s[i];
        if (o->op != s->op || o->form != s->form || o->m != s->m || o->n != s->n || o->k != s->k) continue;
        o->weight += s->weight;
        if (o->model_bytes < s->model_bytes) o->model_bytes = s->model_bytes;
        return CG_OK;
    }
    struct cg_shape *more = realloc(all->s, (all->n + 1) * sizeof *more);
    if (!more) return cg_fail(CG_ERR_MEMORY, "out of memory");
    all->s = more;
    all->s[all->n++] = *s;
    return CG_OK;
}

/* One weight W[out][in], used `times` in the model. */
struct linear {
    const char *name;
    size_t out, in;
    double times;
};

static enum cg_status add_linear(struct cg_shapes *all, const struct cg_sizes *model, enum cg_op op,
                                 const struct linear *l, double model_flops, size_t model_bytes)
{
    /* bf16 stands in for f32 in the forward pass. */
    int bf16 = op == CG_OP_gemm_bf16w || op == CG_OP_gemm_bf16;
    for (size_t u = 0; u < sizeof uses / sizeof *uses; u++) {
        struct cg_shape s = {.op = op, .form = uses[u].form, .model_bytes = model_bytes};
        if (uses[u].op != (bf16 ? CG_OP_gemm_f32 : op) || (bf16 && s.form != CG_FORM_NT)) continue;
        size_t t = uses[u].tokens;
        s.m = s.form == CG_FORM_TN ? l->out : t;
        s.n = s.form == CG_FORM_NT ? l->out : l->in;
        s.k = s.form == CG_FORM_NT ? l->in : s.form == CG_FORM_NN ? l->out : t;
        if (cg_shape_flops(&s) / 2 > MODEL_MAX_WORK) continue;
        /* Few rows run at a fraction of the speed of many: they count for more than their arithmetic. */
        double slow = t <= 1 ? 12 : t <= 8 ? 3 : t <= 64 ? 1.3 : 1;
        s.weight = uses[u].calls * l->times * slow * cg_shape_flops(&s) / model_flops;
        snprintf(s.what, sizeof s.what, "%.18s %s", model->name, l->name);
        CG_TRY(cg_shapes_add_one(all, &s));
    }
    return CG_OK;
}

enum cg_status cg_shapes_add(struct cg_shapes *all, const struct cg_sizes *m, unsigned ops)
{
    double n = (double)m->layers;
    const struct linear linears[] = {
        {"qkv", (m->heads + 2 * m->kv_heads) * m->head_dim, m->hidden, n},
        {"o", m->hidden, m->heads * m->head_dim, n},
        {"gate-up", 2 * m->ff, m->hidden, n},
        {"down", m->hidden, m->ff, n},
        {"head", m->vocab, m->hidden, 1},
    };
    double params = 0;
    for (size_t i = 0; i < 5; i++) params += linears[i].times * (double)linears[i].out * (double)linears[i].in;
    size_t bytes = params > 1e15 ? (size_t)4e15 : (size_t)(4 * params);
    for (size_t i = 0; i < 5; i++)
        for (unsigned op = 0; cg_op_is_gemm((enum cg_op)op); op++)
            if (ops >> op & 1) CG_TRY(add_linear(all, m, (enum cg_op)op, &linears[i], 2 * params, bytes));
    return CG_OK;
}

static int by_weight(const void *pa, const void *pb)
{
    const struct cg_shape *a = pa, *b = pb;
    if (a->weight != b->weight) return a->weight > b->weight ? -1 : 1;
    if (a->n != b->n) return a->n < b->n ? -1 : 1;
    if (a->m != b->m) return a->m < b->m ? -1 : 1;
    return a->k < b->k ? -1 : a->k > b->k;
}

void cg_shapes_sort(struct cg_shapes *all)
{
    if (all->n < 2) return;
    qsort(all->s, all->n, sizeof *all->s, by_weight);
    /* Bring the members of a group behind the most important one. */
    for (size_t i = 0; i < all->n; i++) {
        size_t at = i + 1;
        for (size_t j = at; j < all->n; j++) {
            if (!cg_shapes_share_layout(&all->s[i], &all->s[j])) continue;
            struct cg_shape s = all->s[j];
            memmove(&all->s[at + 1], &all->s[at], (j - at) * sizeof s);
            all->s[at++] = s;
        }
        i = at - 1;
    }
}

double cg_shapes_share(const struct cg_shapes *all, size_t i)
{
    double sum = 0;
    for (size_t j = 0; j < all->n; j++) sum += sqrt(all->s[j].weight);
    return sqrt(all->s[i].weight) / sum;
}

/* Seconds that a search of this shape takes, about: 170 batches, but no more than `most` where that is enough for the
 * shortest. */
static double search_seconds(const struct cg_shape *s, double most)
{
    double call = cg_shape_flops(s) / 60e9, least = 170 * 0.5e-3, all = 170 * call;
    if (all > most) all = most;
    return all > least ? all : least;
}

void cg_shapes_fit(struct cg_shapes *all, double seconds)
{
    double sum = 0;
    for (size_t i = 0; i < all->n; i++) sum += search_seconds(&all->s[i], 0.08 * seconds);
    while (all->n && sum > 2 * seconds) { /* the estimate is rough, and what is too much will not be reached */
        size_t drop = 0;
        for (size_t i = 1; i < all->n; i++)
            if (all->s[i].weight < all->s[drop].weight) drop = i;
        sum -= search_seconds(&all->s[drop], 0.08 * seconds);
        memmove(&all->s[drop], &all->s[drop + 1], (all->n - drop - 1) * sizeof *all->s);
        all->n--;
    }
}
