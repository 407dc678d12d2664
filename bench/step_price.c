#include "bench/step_price.h"

#include <math.h>
#include <string.h>

#include "autotune/predict.h"
#include "runtime/nn/attend.h"

struct price {
    double seconds;
    enum cg_bound bound;
};

struct pricer {
    const struct cg_machine *m;
    const struct cg_plans *plans;
    const struct cg_rates *r;
    size_t threads;
    double weights;                   /* bytes of the weights that a pass reads */
    const struct cg_variant *unknown; /* its rates were not measured; NULL: none so far */
};

const char *cg_bound_name(enum cg_bound b)
{
    static const char *const names[] = {
#define X(id, name) name,
        CG_BOUNDS(X)
#undef X
    };
    return names[b];
}

/* Where `footprint` bytes live that `threads` threads work on. */
static enum cg_bound level_of(const struct pricer *p, double footprint, size_t threads)
{
    if (footprint <= (double)cg_machine_cache(p->m, 2) * (double)threads) return CG_BOUND_L2;
    return footprint <= (double)cg_machine_cache(p->m, 3) ? CG_BOUND_L3 : CG_BOUND_DRAM;
}

/* How work goes through memory. */
static const struct cg_curve *curve_of(const struct cg_rates *r, const struct cg_work *w, int all)
{
    if (w->kind == CG_WORK_ZERO) return &r->write[all];
    int reads = w->kind == CG_WORK_ROWS && (w->op == CG_OP_max_f32 || w->op == CG_OP_sumexp_f32 ||
                                            w->op == CG_OP_sumsq_f32 || w->op == CG_OP_kv_f32);
    return reads ? &r->read[all][1] : &r->copy[all];
}

/* Seconds that the bytes of `w` take with so many threads, each of which goes through its part of the footprint. */
static double memory(const struct pricer *p, const struct cg_work *w, size_t threads)
{
    double n = (double)threads;
    return w->bytes / n * cg_curve_cost(curve_of(p->r, w, threads > 1), w->footprint / n);
}

/* Work that `tasks` pieces of `each` seconds make, shared by the threads, and bytes that have to come meanwhile. */
static struct price shared(const struct pricer *p, const struct cg_work *w, double each, enum cg_bound bound)
{
    size_t threads = w->tasks < p->threads ? w->tasks : p->threads;
    double busy = ceil((double)w->tasks / (double)threads) * each, come = memory(p, w, threads);
    if (come > busy) return (struct price){come, level_of(p, w->footprint, threads)};
    return (struct price){busy, bound};
}

/* Its rates are not known: the whole prediction fails. */
static struct price unknown(struct pricer *p, const struct cg_variant *v)
{
    p->unknown = v;
    return (struct price){0, CG_BOUND_FMA};
}

static struct price gemm(struct pricer *p, const struct cg_work *w)
{
    struct cg_plan plan = cg_plan_gemm_f32(p->plans, w->form, w->m, w->n, w->k);
    const struct cg_rate_variant *v = cg_rates_of(p->r, plan.variant);
    /* Weights come from wherever a whole pass over them lives. */
    int cold = level_of(p, p->weights, p->threads) == CG_BOUND_DRAM;
    double s = cg_predict_gemm(p->m, p->r, w->form, &plan, w->m, w->n, w->k, cold);
    if (!v || s < 0) return unknown(p, plan.variant);
    double tile = (double)plan.variant->mr * (double)plan.variant->nr;
    double steps = (double)w->m * (double)w->n * (double)w->k / tile / plan.threads;
    if (steps * v->step[v->n - 1] > 0.7 * s) return (struct price){s, CG_BOUND_FMA};
    double bytes = 4.0 * ((double)w->m * (double)w->k + (double)w->k * (double)w->n + (double)w->m * (double)w->n);
    return (struct price){s, level_of(p, cold ? p->weights : bytes, plan.threads)};
}

static struct price tiles(struct pricer *p, const struct cg_work *w)
{
    const struct cg_variant *kernel = cg_attend_kernel(p->m, w->n);
    const struct cg_rate_variant *v = cg_rates_of(p->r, kernel);
    if (!v) return unknown(p, kernel);
    double steps = (double)w->k / ((double)kernel->mr * (double)kernel->nr);
    return shared(p, w, steps * v->step[v->n - 1] + (double)w->m * v->tile[v->n - 1], CG_BOUND_FMA);
}

/* Packing from memory waits for it longer than its bandwidth says. */
static struct price pack(const struct pricer *p, const struct cg_work *w)
{
    int far = w->bytes > 0 && level_of(p, w->footprint, p->threads) == CG_BOUND_DRAM;
    double each = 4 * (double)w->m / (far ? p->r->pack_far : p->r->pack_w);
    return shared(p, w, each, far ? CG_BOUND_DRAM : CG_BOUND_ROWS);
}

static struct price price(struct pricer *p, const struct cg_work *w)
{
    const struct cg_rate_row *row = w->kind == CG_WORK_ROWS ? cg_rates_row_of(p->r, w->op) : NULL;
    double m = (double)w->m, n = (double)w->n;
    switch (w->kind) {
    case CG_WORK_GEMM: return gemm(p, w);
    case CG_WORK_TILES: return tiles(p, w);
    case CG_WORK_ROWS:
        if (!row) break;
        if (w->op == CG_OP_kv_f32) return shared(p, w, n * (double)w->k * (row->call + m * row->element), CG_BOUND_FMA);
        return shared(p, w, m * (row->call + n * row->element), CG_BOUND_ROWS);
    case CG_WORK_PACK: return pack(p, w);
    case CG_WORK_COPY:
    case CG_WORK_ZERO: return shared(p, w, 0, CG_BOUND_ROWS);
    case CG_WORK_SPLIT: break;
    }
    return (struct price){p->r->region, CG_BOUND_OVERHEAD};
}

enum cg_status cg_step_price(const struct cg_step_list *s, const struct cg_plans *plans, const struct cg_rates *rates,
                             struct cg_step_prices *out)
{
    struct pricer p = {.m = cg_plans_machine(plans), .plans = plans, .r = rates, .weights = 4 * s->params};
    p.threads = (size_t)cg_plans_threads(plans);
    memset(out, 0, sizeof *out);
    for (size_t i = 0; i < s->n; i++) {
        const struct cg_work *w = &s->w[i];
        struct cg_step_row *row = &out->row[w->phase][w->part];
        struct price one = price(&p, w);
        if (w->kind != CG_WORK_SPLIT) row->calls += w->calls;
        row->flops += w->calls * w->flops;
        row->seconds += w->calls * one.seconds;
        row->bound[one.bound] += w->calls * one.seconds;
        out->flops += w->calls * w->flops;
        out->seconds += w->calls * one.seconds;
        if (w->phase == CG_STEP_PREFILL || w->phase == CG_STEP_DECODE) out->generate_seconds += w->calls * one.seconds;
    }
    if (!p.unknown) return CG_OK;
    return cg_fail(CG_ERR_USER, "the rates of this machine do not have %s, which its plans use; measure them again",
                   p.unknown->name);
}

enum cg_bound cg_step_row_bound(const struct cg_step_row *r)
{
    int best = 0;
    for (int b = 1; b < CG_BOUND_COUNT; b++)
        if (r->bound[b] > r->bound[best]) best = b;
    return (enum cg_bound)best;
}
