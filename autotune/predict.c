#include "autotune/predict.h"

#include <math.h>

#include "autotune/predict_parts.h"
#include "kernels/peak.h"

static int is_dot(const struct cg_model *m)
{
    return cg_op_is_dot(m->plan->variant->op);
}

/* Threads that have a part, as those that divide the rows times those that divide the columns. */
static struct cg_grid grid_of(const struct cg_model *m, size_t rows, size_t threads)
{
    const struct cg_variant *v = m->plan->variant;
    if (!is_dot(m))
        return cg_grid_of(m->plan, rows, ceil_div(m->n, v->nr), threads, m->form == CG_FORM_NN ? CG_PACK_COST : 1);
    if (cg_dot_by_rows(m->plan, v, rows, m->n, threads))
        return (struct cg_grid){min_size(threads, ceil_div(rows, v->mr)), 1};
    return (struct cg_grid){1, min_size(threads, ceil_div(m->n, v->pack_nr))};
}

static struct cg_part part_of(const struct cg_model *m, size_t rows, struct cg_grid grid, size_t threads, size_t thread)
{
    const struct cg_variant *v = m->plan->variant;
    if (is_dot(m)) return cg_dot_divide(m->plan, v, rows, m->n, threads, thread);
    return cg_part_of(v, rows, ceil_div(m->n, v->nr), grid, thread);
}

static struct cg_model model_of(enum cg_form form, const struct cg_plan *plan, size_t n, size_t k)
{
    const struct cg_variant *v = plan->variant;
    size_t bytes = v->op == CG_OP_gemm_f32 ? sizeof(float) : v->op == CG_OP_gemm_s8 ? 1 : 2;
    int dot = cg_op_is_dot(v->op);
    return (struct cg_model){.plan = plan,
                             .form = form,
                             .n = n,
                             .k = dot ? round_up(k, v->ku) : k,
                             .bytes_b = bytes,
                             .bytes_a = dot ? bytes : sizeof(float),
                             .share_b = 1,
                             .share_a = 1,
                             .accumulate = form == CG_FORM_TN};
}

void cg_predict_count(enum cg_form form, const struct cg_plan *plan, size_t rows, size_t n, size_t k, size_t thread,
                      struct cg_predict_work *work)
{
    struct cg_model m = model_of(form, plan, n, k);
    size_t threads = plan->threads > 1 ? plan->threads : 1;
    if (rows > 0 && n > 0) cg_model_visit(&m, part_of(&m, rows, grid_of(&m, rows, threads), threads, thread));
    *work = m.work;
}

/* How much slower each thread multiplies when all do: shared cores, and clocks that go down. */
static double slowdown(const struct cg_rates *r, const struct cg_variant *v)
{
    double worst = 1;
    enum cg_op op = v->op == CG_OP_gemm_bf16w ? CG_OP_gemm_f32 : v->op;
    for (size_t i = 0; i < r->n_peaks; i++)
        if (r->peaks[i].op == op && (v->isa & CG_ISA_BIT(r->peaks[i].level)))
            worst = fmax(1, r->peaks[i].one * r->threads / r->peaks[i].all);
    return worst;
}

/* f32 arithmetic gives the first thread most; dot products a later one. */
static size_t largest_part(const struct cg_model *m, size_t rows, struct cg_grid grid, size_t threads)
{
    size_t best = 0, most = 0;
    for (size_t id = 0; is_dot(m) && id < threads; id++) {
        struct cg_part p = part_of(m, rows, grid, threads, id);
        if (cg_part_is_empty(p) || (p.i1 - p.i0) * (p.t1 - p.t0) <= most) continue;
        most = (p.i1 - p.i0) * (p.t1 - p.t0);
        best = id;
    }
    return best;
}

/* 0 with one thread, 1 with all that the rates are of. */
static double part_of_all(const struct cg_rates *r, size_t threads)
{
    if (threads <= 1) return 0;
    return r->threads > 1 ? fmin(1, (double)(threads - 1) / (r->threads - 1)) : 1;
}

double cg_predict_gemm(const struct cg_machine *machine, const struct cg_rates *r, enum cg_form form,
                       const struct cg_plan *plan, size_t rows, size_t n, size_t k, int cold)
{
    (void)machine;
    struct cg_model m = model_of(form, plan, n, k);
    const struct cg_variant *v = plan->variant;
    size_t threads = plan->threads > 1 ? plan->threads : 1;
    m.r = r;
    m.rates = cg_rates_of(r, v);
    if (!m.rates) return -1;
    if (rows == 0 || n == 0) return r->call;
    struct cg_grid grid = grid_of(&m, rows, threads);
    double opened = part_of_all(r, threads > 1 && plan->team > threads ? plan->team : threads), busiest = 0;
    m.others = part_of_all(r, grid.by_rows * grid.by_cols);
    m.slower = 1 + m.others * (slowdown(r, v) - 1);
    m.home_b = cold ? INFINITY : 0;
    m.home_c = cold && form == CG_FORM_TN ? INFINITY : 0;
    m.apart = fmin(1, (double)(n > v->nr ? n - v->nr : 0) / v->nr);
    m.ahead = fmin(1, (double)(plan->prefetch * v->nr * m.bytes_b) / CG_PEAK_AHEAD);
    m.share_b = grid.by_rows;
    m.share_a = grid.by_cols;
    /* The part with most outputs, and one that has the last column's tile. */
    size_t candidates[2] = {largest_part(&m, rows, grid, threads), is_dot(&m) ? threads - 1 : grid.by_cols - 1};
    for (int i = 0; i < 2; i++) {
        if (i && candidates[1] == candidates[0]) break;
        struct cg_model one = m;
        cg_model_visit(&one, part_of(&m, rows, grid, threads, candidates[i]));
        busiest = fmax(busiest, one.seconds);
    }
    return r->call + opened * r->region + busiest;
}
