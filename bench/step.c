/* The layers, the head and the update of a step; the order and the sizes are those of runtime/nn/net.c, head.c,
 * backward.c, trainer.c and runtime/rl/step.c. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/step_impl.h"
#include "kernels/head.h"
#include "kernels/logits.h"
#include "kernels/util.h"
#include "runtime/nn/trainer_impl.h"
#include "runtime/optim/adamw.h"

const char *cg_step_phase_name(enum cg_step_phase phase)
{
    static const char *const names[] = {
#define X(id, name, what) name,
        CG_STEP_PHASES(X)
#undef X
    };
    return names[phase];
}

const char *cg_step_part_name(enum cg_step_part part)
{
    static const char *const names[] = {
#define X(id, name) name,
        CG_STEP_PARTS(X)
#undef X
    };
    return names[part];
}

/* ---- The list ---------------------------------------------------------------------------------------------------- */

static int alike(const struct cg_work *a, const struct cg_work *b)
{
    return a->phase == b->phase && a->part == b->part && a->kind == b->kind && a->form == b->form && a->op == b->op &&
           a->m == b->m && a->n == b->n && a->k == b->k && a->tasks == b->tasks && a->bytes == b->bytes &&
           a->footprint == b->footprint && a->flops == b->flops;
}

void cg_step_put(struct cg_lister *l, struct cg_work w)
{
    struct cg_step_list *s = l->out;
    w.phase = l->phase;
    w.calls = (w.calls != 0 ? w.calls : 1) * l->calls;
    if (w.calls == 0 || w.m == 0) return;
    for (size_t i = 0; i < s->n; i++)
        if (alike(&s->w[i], &w)) {
            s->w[i].calls += w.calls;
            return;
        }
    if (s->n == s->cap) {
        size_t cap = s->cap ? 2 * s->cap : 256;
        struct cg_work *more = realloc(s->w, cap * sizeof *more);
        if (!more) {
            l->failed = 1;
            return;
        }
        s->w = more;
        s->cap = cap;
    }
    s->w[s->n++] = w;
}

void cg_step_list_free(struct cg_step_list *s)
{
    free(s->w);
    memset(s, 0, sizeof *s);
}

static void split(struct cg_lister *l, enum cg_step_part part, size_t tasks)
{
    if (l->threads < 2) return;
    cg_step_put(l, (struct cg_work){.part = part, .kind = CG_WORK_SPLIT, .m = 1, .tasks = tasks});
}

void cg_step_rows_inside(struct cg_lister *l, enum cg_step_part part, enum cg_op op, size_t m, size_t n, double streams,
                         double footprint)
{
    cg_step_put(l, (struct cg_work){.part = part,
                                    .kind = CG_WORK_ROWS,
                                    .op = op,
                                    .m = 1,
                                    .n = n,
                                    .tasks = m,
                                    .bytes = 4.0 * streams * (double)m * (double)n,
                                    .footprint = footprint});
}

void cg_step_rows(struct cg_lister *l, enum cg_step_part part, enum cg_op op, size_t m, size_t n, double streams,
                  double footprint)
{
    if (m * n > CG_ROWS_SHARED_FROM) {
        split(l, part, m);
        cg_step_rows_inside(l, part, op, m, n, streams, footprint);
        return;
    }
    cg_step_put(l, (struct cg_work){.part = part,
                                    .kind = CG_WORK_ROWS,
                                    .op = op,
                                    .m = m,
                                    .n = n,
                                    .tasks = 1,
                                    .bytes = 4.0 * streams * (double)m * (double)n,
                                    .footprint = footprint});
}

void cg_step_gemm(struct cg_lister *l, enum cg_step_part part, enum cg_form form, size_t m, size_t n, size_t k)
{
    cg_step_put(l, (struct cg_work){.part = part,
                                    .kind = CG_WORK_GEMM,
                                    .form = form,
                                    .m = m,
                                    .n = n,
                                    .k = k,
                                    .flops = 2.0 * (double)m * (double)n * (double)k});
}

void cg_step_pass(struct cg_lister *l, enum cg_step_part part, enum cg_work_kind kind, double floats, double footprint,
                  size_t tasks)
{
    double streams = kind == CG_WORK_ZERO ? 1 : 2;
    if (tasks > 1) split(l, part, tasks);
    cg_step_put(l, (struct cg_work){.part = part,
                                    .kind = kind,
                                    .m = (size_t)floats / tasks,
                                    .tasks = tasks,
                                    .bytes = 4 * streams * floats,
                                    .footprint = footprint});
}

/* ---- Layers ------------------------------------------------------------------------------------------------------ */

/* Bytes of what one layer keeps for n tokens. */
double cg_step_layer_bytes(const struct cg_lister *l, size_t n)
{
    return 4.0 * (double)n * (2.0 * (double)l->s->hidden + (double)l->qkv + (double)l->att + 2.0 * (double)l->s->ff);
}

void cg_step_layers(struct cg_lister *l, size_t n, int keep)
{
    const struct cg_sizes *s = l->s;
    double near = cg_step_layer_bytes(l, n) + 4.0 * (double)n * (double)(s->hidden + s->ff),
           all = keep ? l->saved : near;
    double calls = l->calls;
    cg_step_pass(l, CG_PART_OF_ROWS, CG_WORK_COPY, (double)(n * s->hidden), near, 1);
    l->calls *= (double)s->layers;
    cg_step_rows(l, CG_PART_OF_ROWS, CG_OP_rmsnorm_f32, n, s->hidden, 2, near);
    cg_step_gemm(l, CG_PART_OF_LINEAR, CG_FORM_NT, n, l->qkv, s->hidden);
    cg_step_rows(l, CG_PART_OF_ROWS, CG_OP_rope_f32, n * (s->heads + s->kv_heads), s->head_dim, 2, near);
    cg_step_gemm(l, CG_PART_OF_LINEAR, CG_FORM_NT, n, s->hidden, l->att);
    cg_step_rows_inside(l, CG_PART_OF_ROWS, CG_OP_add_f32, n, s->hidden, 1, near);
    cg_step_rows(l, CG_PART_OF_ROWS, CG_OP_rmsnorm_f32, n, s->hidden, 2, near);
    cg_step_gemm(l, CG_PART_OF_LINEAR, CG_FORM_NT, n, 2 * s->ff, s->hidden);
    cg_step_rows_inside(l, CG_PART_OF_ROWS, CG_OP_swiglu_f32, n, s->ff, 1, all);
    cg_step_gemm(l, CG_PART_OF_LINEAR, CG_FORM_NT, n, s->hidden, s->ff);
    cg_step_rows_inside(l, CG_PART_OF_ROWS, CG_OP_add_f32, n, s->hidden, 1, near);
    l->calls = calls;
}

/* A linear layer W[out][in] backward: the gradients of its input and of its weights. */
static void grad_linear(struct cg_lister *l, size_t rows, size_t out, size_t in)
{
    cg_step_gemm(l, CG_PART_OF_LINEAR, CG_FORM_NN, rows, in, out);
    cg_step_gemm(l, CG_PART_OF_LINEAR, CG_FORM_TN, out, in, rows);
}

static void grad_norm(struct cg_lister *l, size_t n, double near)
{
    size_t d = l->s->hidden;
    cg_step_rows(l, CG_PART_OF_ROWS, CG_OP_rmsnorm_dw_f32, n, d, 2, near);
    cg_step_rows(l, CG_PART_OF_ROWS, CG_OP_rmsnorm_bwd_f32, n, d, 4, near);
}

static void layers_backward(struct cg_lister *l, size_t n)
{
    const struct cg_sizes *s = l->s;
    double near = cg_step_layer_bytes(l, n) + 4.0 * (double)n * (double)(2 * s->ff + l->qkv + l->att), calls = l->calls;
    l->calls *= (double)s->layers;
    cg_step_rows(l, CG_PART_OF_ROWS, CG_OP_swiglu_f32, n, s->ff, 3, l->saved);
    grad_linear(l, n, s->hidden, s->ff);
    cg_step_rows(l, CG_PART_OF_ROWS, CG_OP_swiglu_bwd_f32, n, s->ff, 5, near);
    cg_step_rows(l, CG_PART_OF_ROWS, CG_OP_rmsnorm_f32, n, s->hidden, 2, l->saved);
    grad_linear(l, n, 2 * s->ff, s->hidden);
    grad_norm(l, n, near);
    grad_linear(l, n, s->hidden, l->att);
    cg_step_rows(l, CG_PART_OF_ROWS, CG_OP_rope_f32, n * (s->heads + s->kv_heads), s->head_dim, 2, near);
    cg_step_rows(l, CG_PART_OF_ROWS, CG_OP_rmsnorm_f32, n, s->hidden, 2, l->saved);
    grad_linear(l, n, l->qkv, s->hidden);
    grad_norm(l, n, near);
    l->calls = calls;
    cg_step_pass(l, CG_PART_OF_ROWS, CG_WORK_COPY, (double)(n * s->hidden), near, 1); /* held for the embedding */
}

/* ---- The head ---------------------------------------------------------------------------------------------------- */

static void hidden_gradient(struct cg_lister *l, size_t n)
{
    size_t d = l->s->hidden, v = l->s->vocab;
    if (n <= CG_HEAD_FEW_ROWS && d % 16 == 0) {
        size_t tasks = ceil_div(v, CG_LOGITS_CHUNK) * ceil_div(d, CG_HEAD_STRIP);
        split(l, CG_PART_OF_HEAD, tasks);
        cg_step_put(l, (struct cg_work){.part = CG_PART_OF_HEAD,
                                        .kind = CG_WORK_ROWS,
                                        .op = CG_OP_kv_f32,
                                        .m = n,
                                        .n = d < CG_HEAD_STRIP ? d : CG_HEAD_STRIP,
                                        .k = v < CG_LOGITS_CHUNK ? v : CG_LOGITS_CHUNK,
                                        .tasks = tasks,
                                        .bytes = 4.0 * (double)d * (double)v,
                                        .footprint = 4.0 * (double)d * (double)v,
                                        .flops = 2.0 * (double)n * (double)d * (double)v});
        return;
    }
    for (size_t j = 0; j < v; j += CG_LOGITS_CHUNK) {
        size_t k = v - j < CG_LOGITS_CHUNK ? v - j : CG_LOGITS_CHUNK;
        cg_step_gemm(l, CG_PART_OF_HEAD, CG_FORM_NN, n, d, k);
        double bytes = 4.0 * (double)n * (double)d;
        if (j) /* on one thread */
            cg_step_put(l, (struct cg_work){.part = CG_PART_OF_HEAD,
                                            .kind = CG_WORK_ROWS,
                                            .op = CG_OP_add_f32,
                                            .m = 1,
                                            .n = n * d,
                                            .tasks = 1,
                                            .bytes = 3 * bytes,
                                            .footprint = 2 * bytes});
    }
}

static void head_rows(struct cg_lister *l, size_t n, int backward)
{
    size_t d = l->s->hidden, v = l->s->vocab;
    double logits = 4.0 * (double)n * (double)v;
    cg_step_pass(l, CG_PART_OF_HEAD, CG_WORK_COPY, (double)(n * d), 8.0 * (double)(n * d), 1);
    cg_step_gemm(l, CG_PART_OF_HEAD, CG_FORM_NT, n, v, d);
    cg_step_rows(l, CG_PART_OF_HEAD, CG_OP_max_f32, n, v, 1, logits);
    cg_step_rows_inside(l, CG_PART_OF_HEAD, CG_OP_sumexp_f32, n, v, 0, logits); /* what max brought near */
    if (!backward) return;
    cg_step_rows(l, CG_PART_OF_HEAD, CG_OP_expmul_f32, n, v, 2, logits);
    cg_step_gemm(l, CG_PART_OF_HEAD, CG_FORM_TN, v, d, n);
    hidden_gradient(l, n);
    cg_step_put(l, (struct cg_work){.part = CG_PART_OF_HEAD,
                                    .kind = CG_WORK_ROWS,
                                    .op = CG_OP_add_f32,
                                    .m = n,
                                    .n = d,
                                    .tasks = 1,
                                    .bytes = 12.0 * (double)(n * d),
                                    .footprint = 12.0 * (double)(n * d)});
}

/* The head for `rows` predictions of n tokens, in the chunks of a trainer for max_rows. */
static void head(struct cg_lister *l, size_t n, size_t rows, size_t max_rows, int backward)
{
    size_t chunk = cg_trainer_head_chunk(max_rows), whole = rows / chunk;
    double calls = l->calls, near = 12.0 * (double)(n * l->s->hidden);
    cg_step_rows(l, CG_PART_OF_HEAD, CG_OP_rmsnorm_f32, n, l->s->hidden, 2, near);
    if (backward) cg_step_pass(l, CG_PART_OF_HEAD, CG_WORK_ZERO, 2.0 * (double)(n * l->s->hidden), near, 1);
    l->calls = calls * (double)whole;
    head_rows(l, chunk, backward);
    l->calls = calls;
    if (rows % chunk) head_rows(l, rows % chunk, backward);
    if (backward) grad_norm(l, n, near);
}

/* ---- A pass over some groups, and the update --------------------------------------------------------------------- */

void cg_step_train_pass(struct cg_lister *l, size_t groups, size_t max_rows)
{
    const struct cg_workload *w = l->w;
    double each = (double)w->generations * (w->completion_length - 1);
    size_t n = groups * (w->prompt_length + (size_t)llround(each));
    size_t rows = (size_t)llround((double)(groups * w->generations) * w->completion_length);
    size_t own = (size_t)llround(w->completion_length) - 1; /* the last token predicts nothing */
    double completions = own ? each / (double)own : 0;
    l->saved = (double)l->s->layers * cg_step_layer_bytes(l, n);
    if (w->reference) {
        l->phase = CG_STEP_REFERENCE;
        cg_step_layers(l, n, 0);
        cg_step_attention(l, groups, own, completions);
        head(l, n, rows, max_rows, 0);
    }
    l->phase = CG_STEP_FORWARD;
    cg_step_layers(l, n, 1);
    cg_step_attention(l, groups, own, completions);
    l->phase = CG_STEP_BACKWARD;
    head(l, n, rows, max_rows, 1);
    layers_backward(l, n);
    cg_step_attention_backward(l, groups, own, completions);
    cg_step_put(l, (struct cg_work){.part = CG_PART_OF_ROWS,
                                    .kind = CG_WORK_ROWS,
                                    .op = CG_OP_add_f32,
                                    .m = n,
                                    .n = l->s->hidden,
                                    .tasks = 1,
                                    .bytes = 12.0 * (double)(n * l->s->hidden),
                                    .footprint = 4.0 * (double)l->s->hidden * (double)l->s->vocab});
    l->out->trained += l->calls * (double)n;
}

static void optimiser_pass(struct cg_lister *l, enum cg_op op, double params, double streams, int shared)
{
    size_t tasks = (size_t)ceil(params / CG_OPTIMIZER_CHUNK);
    if (shared) split(l, CG_PART_OF_WEIGHTS, tasks);
    cg_step_put(l, (struct cg_work){.part = CG_PART_OF_WEIGHTS,
                                    .kind = CG_WORK_ROWS,
                                    .op = op,
                                    .m = shared ? 1 : tasks,
                                    .n = (size_t)(params / (double)tasks),
                                    .tasks = shared ? tasks : 1,
                                    .bytes = 4 * streams * params,
                                    .footprint = 16 * params});
}

void cg_step_update(struct cg_lister *l, double params)
{
    size_t d = l->s->hidden, weights[4] = {l->qkv * d, d * l->att, 2 * l->s->ff * d, d * l->s->ff};
    double calls = l->calls, bytes = 16 * params;
    l->phase = CG_STEP_UPDATE;
    cg_step_pass(l, CG_PART_OF_WEIGHTS, CG_WORK_ZERO, params, bytes, 1);
    optimiser_pass(l, CG_OP_sumsq_f32, params, 1, params > 4.0 * CG_OPTIMIZER_CHUNK);
    optimiser_pass(l, CG_OP_adamw_f32, params, 7, params > CG_OPTIMIZER_CHUNK);
    l->calls = calls * (double)l->s->layers;
    for (int i = 0; i < 4; i++)
        cg_step_pass(l, CG_PART_OF_WEIGHTS, CG_WORK_PACK, (double)weights[i], bytes, l->threads);
    l->calls = calls;
    cg_step_pass(l, CG_PART_OF_WEIGHTS, CG_WORK_PACK, (double)(l->s->vocab * d), bytes, l->threads);
}
