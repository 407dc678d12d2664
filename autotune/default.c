/* The analytic default plan: what a GEMM runs with where nothing was tuned. Everything follows from the list of
 * variants and the caches of the machine; no variant and no CPU model is named here. */
#include <stddef.h>
#include <stdint.h>

#include "autotune/plan.h"

enum {
    WORK_PER_THREAD = 200 * 1000, /* multiply-adds that pay for waking one more thread */
    PREFETCH_ROWS = 12,
    L2_FALLBACK = 256 * 1024, /* where the machine does not tell its caches */
};

/* The ISA mask of the best variant of `op` that runs on `isa` (with panels of `pack_nr` columns; 0: of any width): the
 * list is in ascending order, so it is that of the last one. Returns 0 when there is none. */
static int best_isa(enum cg_op op, size_t pack_nr, uint64_t isa, uint64_t *best)
{
    size_t count;
    const struct cg_variant *v = cg_variants(&count);
    int found = 0;
    for (size_t i = 0; i < count; i++) {
        if (v[i].op != op || !cg_variant_runs(&v[i], isa) || (pack_nr && v[i].pack_nr != pack_nr)) continue;
        *best = v[i].isa;
        found = 1;
    }
    return found;
}

/* The largest tile of an ISA level decides the panel width: it keeps the most accumulators in registers. Of two such,
 * the one with more rows reads the panels less often. */
static size_t default_pack_nr(enum cg_op op, uint64_t isa)
{
    size_t count;
    const struct cg_variant *v = cg_variants(&count), *best = NULL;
    for (size_t i = 0; i < count; i++) {
        if (v[i].op != op || v[i].isa != isa) continue;
        int tile = v[i].mr * v[i].nr, most = best ? best->mr * best->nr : 0;
        if (tile > most || (tile == most && v[i].mr > best->mr)) best = &v[i];
    }
    return best ? best->pack_nr : 0;
}

static size_t round_up(size_t x, size_t to)
{
    return x > SIZE_MAX - to ? x : (x + to - 1) / to * to;
}

/* Is tile `a` the better choice than `b` for `rows` rows and n columns? First the fewest passes over the panels, then
 * the smallest tile that does it (M = 1 has variants of its own), then the fewest columns computed for nothing, then the
 * widest tile. */
static int better_tile(const struct cg_variant *a, const struct cg_variant *b, size_t rows, size_t n)
{
    size_t passes_a = rows / a->mr + (rows % a->mr != 0), passes_b = rows / b->mr + (rows % b->mr != 0);
    if (passes_a != passes_b) return passes_a < passes_b;
    if (a->mr != b->mr) return a->mr < b->mr;
    size_t cols_a = round_up(n, a->nr), cols_b = round_up(n, b->nr);
    if (cols_a != cols_b) return cols_a < cols_b;
    return a->nr > b->nr;
}

static const struct cg_variant *choose(enum cg_op op, size_t pack_nr, uint64_t isa, size_t rows, size_t n)
{
    uint64_t level = 0;
    if (!best_isa(op, pack_nr, isa, &level)) return NULL;
    if (!pack_nr) pack_nr = default_pack_nr(op, level);
    size_t count;
    const struct cg_variant *v = cg_variants(&count), *best = NULL;
    for (size_t i = 0; i < count; i++) {
        if (v[i].op != op || v[i].isa != level || v[i].pack_nr != pack_nr) continue;
        if (!best || better_tile(&v[i], best, rows, n)) best = &v[i];
    }
    return best;
}

static uint16_t threads_for(size_t rows, size_t n, size_t k, int threads)
{
    double work = (double)rows * (double)n * (double)k / WORK_PER_THREAD;
    if (threads > UINT16_MAX) threads = UINT16_MAX;
    if (work < threads) threads = (int)work;
    return (uint16_t)(threads < 1 ? 1 : threads);
}

/* The reduction is cut only where one panel would not stay in half of L2; the rows so that their part of A stays in
 * the other half while every panel passes by. */
static void block(const struct cg_machine *m, struct cg_plan *plan, size_t rows, size_t k, size_t elem)
{
    const struct cg_variant *v = plan->variant;
    size_t l2 = cg_machine_cache(m, 2), kc = k;
    if (!l2) l2 = L2_FALLBACK;
    size_t most = l2 / 2 / (elem * v->nr);
    most = most < 256 ? 256 : most / 64 * 64;
    if (k > most) {
        size_t blocks = (k + most - 1) / most;
        kc = round_up((k + blocks - 1) / blocks, 64);
        if (kc < k) plan->kc = (uint32_t)kc;
    }
    if (rows <= v->mr || kc == 0) return;
    size_t mc = l2 / 2 / (elem * kc) / v->mr * v->mr;
    if (mc < v->mr) mc = v->mr;
    if (mc < rows) plan->mc = (uint32_t)mc;
}

struct cg_plan cg_plan_default(const struct cg_machine *m, enum cg_op op, enum cg_form form, size_t pack_nr, size_t rows,
                               size_t n, size_t k, int threads)
{
    (void)form;
    struct cg_plan plan = {.threads = 1, .prefetch = PREFETCH_ROWS};
    /* The layout of INT8 weights belongs to one variant, so that it must not depend on the rows. */
    size_t fit = op == CG_OP_gemm_s8 ? SIZE_MAX : rows;
    plan.variant = choose(op, pack_nr, m->isa, fit, n);
    if (!plan.variant) plan.variant = choose(op, 0, m->isa, fit, n);
    if (!plan.variant) return plan;
    plan.threads = threads_for(rows, n, k, threads);
    if (op == CG_OP_gemm_f32) block(m, &plan, rows, k, sizeof(float));
    return plan;
}
