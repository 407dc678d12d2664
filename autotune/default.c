/* The analytic default plan: what a GEMM runs with where nothing was tuned. Everything follows from the list of
 * variants and the caches of the machine; no variant and no CPU model is named here. */
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "autotune/plan.h"

enum {
    WORK_PER_THREAD = 200 * 1000, /* multiply-adds that pay for waking one more thread */
    PREFETCH_ROWS = 12,           /* of f32; as many bytes of the others */
    MANY_ROWS = 1024,
    L2_FALLBACK = 256 * 1024, /* where the machine does not tell its caches */
};

/* The variants of a machine's architecture. */
struct list {
    const struct cg_variant *v;
    size_t n;
};

static struct list list_of(const struct cg_machine *m)
{
    struct list all;
    all.v = cg_variants_for(m->arch, &all.n);
    return all;
}

/* The ISA mask of the best variant of `op` that runs on `isa` (with panels of `pack_nr` columns; 0: of any width): the
 * list is in ascending order, so it is that of the last one. Returns 0 when there is none. */
static int best_isa(struct list all, enum cg_op op, size_t pack_nr, uint64_t isa, uint64_t *best)
{
    const struct cg_variant *v = all.v;
    int found = 0;
    for (size_t i = 0; i < all.n; i++) {
        if (v[i].op != op || !cg_variant_runs(&v[i], isa) || (pack_nr && v[i].pack_nr != pack_nr)) continue;
        *best = v[i].isa;
        found = 1;
    }
    return found;
}

static size_t round_up(size_t x, size_t to)
{
    return x > SIZE_MAX - to ? x : (x + to - 1) / to * to;
}

/* Floats of a vector register of the level that a variant is written for. */
static size_t lanes(uint64_t isa)
{
    static const struct {
        enum cg_isa level;
        size_t floats;
    } wide[] = {{CG_ISA_AVX512, 16},  {CG_ISA_AVX2, 8},      {CG_ISA_SVE_256, 8},
                {CG_ISA_SVE_512, 16}, {CG_ISA_SVE_1024, 32}, {CG_ISA_SVE_2048, 64}};
    for (size_t i = 0; i < sizeof wide / sizeof *wide; i++)
        if (isa & CG_ISA_BIT(wide[i].level)) return wide[i].floats;
    return isa ? 4 : 1;
}

/* Half cycles of one step of the reduction in a tile of `rows` rows: two multiply-adds or two loads a cycle, and no
 * less than the four cycles that the next link of each chain waits for the one before. */
static double step_cost(const struct cg_variant *v, size_t rows)
{
    size_t vectors = (v->nr + lanes(v->isa) - 1) / lanes(v->isa), cost = rows * vectors;
    if (cost < rows + vectors) cost = rows + vectors;
    return cost < 8 ? 8 : (double)cost;
}

static size_t passes_of(const struct cg_variant *v, size_t rows)
{
    return rows / v->mr + (rows % v->mr != 0);
}

/* All steps of C[rows][n], its rows cut evenly as the GEMM does. */
static double cost_of(const struct cg_variant *v, size_t rows, size_t n)
{
    size_t passes = passes_of(v, rows);
    if (passes == 0) return 0;
    size_t more = rows % passes;
    double cost =
        (double)(passes - more) * step_cost(v, rows / passes) + (double)more * step_cost(v, rows / passes + 1);
    return cost * (double)(round_up(n, v->nr) / v->nr);
}

/* Is tile `a` the better choice than `b` for `rows` rows and n columns? The cheaper one; then the one that reads the
 * panels less often; then the one that is no taller than it need be. */
static int better_tile(const struct cg_variant *a, const struct cg_variant *b, size_t rows, size_t n)
{
    double cost_a = cost_of(a, rows, n), cost_b = cost_of(b, rows, n);
    if (cost_a != cost_b) return cost_a < cost_b;
    if (passes_of(a, rows) != passes_of(b, rows)) return passes_of(a, rows) < passes_of(b, rows);
    return a->mr < b->mr;
}

/* What the best variant with panels of `pack_nr` columns costs for a few and for many rows, in like measure. */
static double width_cost(struct list all, enum cg_op op, uint64_t isa, size_t pack_nr, size_t n)
{
    static const size_t rows[] = {8, 64};
    const struct cg_variant *v = all.v;
    double total = 0;
    for (size_t r = 0; r < 2; r++) {
        double least = INFINITY;
        for (size_t i = 0; i < all.n; i++)
            if (v[i].op == op && v[i].isa == isa && v[i].pack_nr == pack_nr)
                least = fmin(least, cost_of(&v[i], rows[r], n));
        total += least / (double)rows[r];
    }
    return total;
}

/* How many variants of the level read panels of this width. */
static size_t family_of(struct list all, enum cg_op op, uint64_t isa, size_t pack_nr)
{
    const struct cg_variant *v = all.v;
    size_t family = 0;
    for (size_t i = 0; i < all.n; i++) family += v[i].op == op && v[i].isa == isa && v[i].pack_nr == pack_nr;
    return family;
}

/* Multiply-adds for each load. AMX loads tiles of A: 16 rows at once. */
static double intensity(const struct cg_variant *v)
{
    const uint64_t tiles = CG_ISA_BIT(CG_ISA_AMX_INT8) | CG_ISA_BIT(CG_ISA_AMX_BF16);
    double vectors = (double)v->nr / (double)lanes(v->isa), rows = v->isa & tiles ? v->mr / 16.0 : v->mr;
    return rows * vectors / (rows + vectors);
}

/* Is `a` with its panel width the better choice for every number of rows? The width that most variants read; then,
 * where it is one variant each, the one that reads the weights once for eight rows; then the one that loads the least.
 */
static int better_width(struct list all, const struct cg_variant *a, const struct cg_variant *b)
{
    size_t family_a = family_of(all, a->op, a->isa, a->pack_nr), family_b = family_of(all, b->op, b->isa, b->pack_nr);
    if (family_a != family_b) return family_a > family_b;
    if (cg_op_is_dot(a->op) && passes_of(a, 8) != passes_of(b, 8)) return passes_of(a, 8) < passes_of(b, 8);
    return intensity(a) > intensity(b);
}

/* The panel width for n columns on an ISA level: of those that waste the least on columns that are not there (within a
 * hundredth), the best for all numbers of rows. */
static size_t default_pack_nr(struct list all, enum cg_op op, uint64_t isa, size_t n)
{
    const struct cg_variant *v = all.v, *best = NULL;
    double least = INFINITY;
    for (size_t i = 0; i < all.n; i++)
        if (v[i].op == op && v[i].isa == isa) least = fmin(least, width_cost(all, op, isa, v[i].pack_nr, n));
    for (size_t i = 0; i < all.n; i++) {
        if (v[i].op != op || v[i].isa != isa || width_cost(all, op, isa, v[i].pack_nr, n) > 1.01 * least) continue;
        if (!best || better_width(all, &v[i], best)) best = &v[i];
    }
    return best ? best->pack_nr : 0;
}

static const struct cg_variant *choose(struct list all, enum cg_op op, size_t pack_nr, uint64_t isa, size_t rows,
                                       size_t n)
{
    uint64_t level = 0;
    if (!best_isa(all, op, pack_nr, isa, &level)) return NULL;
    if (!pack_nr) pack_nr = default_pack_nr(all, op, level, n);
    const struct cg_variant *v = all.v, *best = NULL;
    for (size_t i = 0; i < all.n; i++) {
        if (v[i].op != op || v[i].isa != level || v[i].pack_nr != pack_nr) continue;
        if (!best || better_tile(&v[i], best, rows, n)) best = &v[i];
    }
    return best;
}

/* The one that loads the least, then the taller one: it passes the panels less often. */
static int better_reader(const struct cg_variant *a, const struct cg_variant *b)
{
    return intensity(a) != intensity(b) ? intensity(a) > intensity(b) : a->mr > b->mr;
}

/* NN reads W as it lies or packs it at each call, so that no layout has to serve other numbers of rows: the tile that
 * costs the least, then the better reader. */
static const struct cg_variant *choose_nn(struct list all, enum cg_op op, uint64_t isa, size_t rows, size_t n)
{
    uint64_t level = 0;
    if (!best_isa(all, op, 0, isa, &level)) return NULL;
    const struct cg_variant *v = all.v, *best = NULL;
    for (size_t i = 0; i < all.n; i++) {
        if (v[i].op != op || v[i].isa != level) continue;
        double cost = cost_of(&v[i], rows, n), least = best ? cost_of(best, rows, n) : INFINITY;
        if (cost < 0.995 * least || (cost < 1.005 * least && better_reader(&v[i], best))) best = &v[i];
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
static void block(const struct cg_machine *m, struct cg_plan *plan, size_t rows, size_t k, size_t elem_b)
{
    const struct cg_variant *v = plan->variant;
    size_t l2 = cg_machine_cache(m, 2), kc = k;
    if (!l2) l2 = L2_FALLBACK;
    size_t most = l2 / 2 / (elem_b * v->nr);
    most = most < 256 ? 256 : most / 64 * 64;
    if (k > most && rows > v->mr) { /* a single pass reads the panel once */
        size_t blocks = (k + most - 1) / most;
        kc = round_up((k + blocks - 1) / blocks, 64);
        if (kc < k) plan->kc = (uint32_t)kc;
    }
    if (rows <= v->mr || kc == 0) return;
    size_t mc = l2 / 2 / (sizeof(float) * kc) / v->mr * v->mr;
    if (mc < v->mr) mc = v->mr;
    if (mc < rows) plan->mc = (uint32_t)mc;
}

/* Dot products: a block of rows passes every panel before the next one, so that C is written over few pages at a time;
 * with weights far larger than the caches, which each block reads again, only as much of A as half of L2 holds limits
 * it. */
static void block_dot(const struct cg_machine *m, struct cg_plan *plan, size_t rows, size_t n, size_t k, size_t elem)
{
    size_t l2 = cg_machine_cache(m, 2) / elem, mc = 64;
    if (!l2) l2 = L2_FALLBACK / elem;
    if (k > 0 && n > 4 * l2 / k) mc = l2 / 2 / k < 64 ? 64 : l2 / 2 / k / 64 * 64;
    if (mc < rows) plan->mc = (uint32_t)mc;
}

/* Bytes of an element of B. */
static size_t bytes_of(enum cg_op op)
{
    return op == CG_OP_gemm_f32 ? 4 : op == CG_OP_gemm_s8 ? 1 : 2;
}

/* Does it pay to prefetch the panel? A single row loads as little as it multiplies: prefetches would take half of the
 * load ports. AMD's prefetchers follow a panel that is read once, and the long stretches of the dot products, better by
 * themselves (Zen 4: up to twice as fast for INT8 from L3); with bf16 weights only as long as few rows read fast. */
static int wants_prefetch(const struct cg_machine *m, enum cg_op op, const struct cg_variant *v, size_t rows)
{
    if (rows == 1 || op == CG_OP_gemm_bf16) return 0;
    if (strcmp(m->vendor, "AuthenticAMD") != 0) return 1;
    return op != CG_OP_gemm_s8 && rows > (op == CG_OP_gemm_bf16w ? 4 : v->mr);
}

struct cg_plan cg_plan_default(const struct cg_machine *m, enum cg_op op, enum cg_form form, size_t pack_nr,
                               size_t rows, size_t n, size_t k, int threads)
{
    struct list all = list_of(m);
    struct cg_plan plan = {
        .threads = 1, .team = (uint16_t)threads, .prefetch = (uint16_t)(PREFETCH_ROWS * sizeof(float) / bytes_of(op))};
    /* The layout of weights for dot products belongs to one variant, so that it must not depend on the rows. */
    size_t fit = cg_op_is_dot(op) ? MANY_ROWS : rows;
    plan.variant =
        form == CG_FORM_NN && !pack_nr ? choose_nn(all, op, m->isa, rows, n) : choose(all, op, pack_nr, m->isa, fit, n);
    if (!plan.variant) plan.variant = choose(all, op, 0, m->isa, fit, n);
    if (!plan.variant) return plan;
    if (!wants_prefetch(m, op, plan.variant, rows)) plan.prefetch = 0;
    plan.threads = threads_for(rows, n, k, threads);
    if (cg_op_is_dot(op)) block_dot(m, &plan, rows, n, k, bytes_of(op));
    else block(m, &plan, rows, k, bytes_of(op));
    return plan;
}
