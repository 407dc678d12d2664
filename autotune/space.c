#include "autotune/space.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "autotune/predict.h"
#include "common/mem.h"

/* The values that one property of a plan may take; the default's stands first. */
enum { MAX_VALUES = 16 };
struct axis {
    uint32_t v[MAX_VALUES];
    size_t n;
};

static void put(struct axis *a, uint32_t v)
{
    for (size_t i = 0; i < a->n; i++)
        if (a->v[i] == v) return;
    if (a->n < MAX_VALUES) a->v[a->n++] = v;
}

struct cg_plan cg_space_default(const struct cg_machine *m, const struct cg_shape *s, const struct cg_variant *like,
                                int threads)
{
    struct cg_plan p = cg_plan_default(m, s->op, s->form, like ? like->pack_nr : 0, s->m, s->n, s->k, threads);
    if (like && cg_op_is_dot(s->op)) p.variant = like;
    return p;
}

size_t cg_space_layouts(const struct cg_machine *m, const struct cg_shape *s, int threads,
                        const struct cg_variant *out[CG_MAX_LAYOUTS])
{
    size_t count, n = 0;
    const struct cg_variant *v = cg_variants(&count);
    out[n++] = cg_space_default(m, s, NULL, threads).variant;
    if (!out[0]) return 0;
    for (size_t i = 0; i < count && n < CG_MAX_LAYOUTS; i++) {
        if (v[i].op != s->op || !v[i].isa || !cg_variant_runs(&v[i], m->isa)) continue;
        if (v[i].model != out[0]->model) continue; /* native bf16: another result */
        int seen = 0;
        for (size_t j = 0; j < n; j++) seen |= cg_variant_same_layout(out[j], &v[i]);
        if (!seen) out[n++] = &v[i];
    }
    return n;
}

/* Variants as indices into the list. The scalar truth is no candidate unless it is the default; where B is packed at
 * every call, its layout is no limit. */
static struct axis variants_axis(const struct cg_machine *m, const struct cg_shape *s, const struct cg_variant *like,
                                 const struct cg_plan *def)
{
    struct axis a = {.n = 0};
    size_t count;
    const struct cg_variant *v = cg_variants(&count);
    put(&a, (uint32_t)(def->variant - v));
    for (size_t i = 0; i < count; i++)
        if (v[i].op == s->op && v[i].isa && cg_variant_runs(&v[i], m->isa) &&
            (s->form != CG_FORM_NT || cg_variant_same_layout(&v[i], like)))
            put(&a, (uint32_t)i);
    return a;
}

/* Powers of two, and as many as there are cores of the fastest kinds or in the first NUMA nodes: slow cores and far
 * memory may be worse than nothing. */
static struct axis threads_axis(const struct cg_machine *m, const struct cg_plan *def, int threads)
{
    struct axis a = {.n = 0};
    uint32_t cores = 0;
    put(&a, def->threads);
    put(&a, (uint32_t)threads);
    for (int i = 0; i < m->n_cpus && a.n < MAX_VALUES / 2; i++) {
        if (m->cpus[i].smt) continue;
        int border = cores && (m->cpus[i].kind != m->cpus[i - 1].kind || m->cpus[i].node != m->cpus[i - 1].node);
        if (border && cores < (uint32_t)threads) put(&a, cores);
        cores++;
    }
    for (int t = 1; t < threads; t *= 2) put(&a, (uint32_t)t);
    return a;
}

/* Dot products divide either rows or columns: 1 or more. */
static struct axis by_rows_axis(const struct cg_plan *def, int dot, int threads)
{
    struct axis a = {.n = 0};
    put(&a, def->by_rows);
    if (threads < 2) return a;
    put(&a, 1);
    for (int t = 2; !dot && t < threads && a.n < MAX_VALUES - 1; t *= 2) put(&a, (uint32_t)t);
    put(&a, (uint32_t)threads);
    return a;
}

static struct axis prefetch_axis(const struct cg_plan *def)
{
    static const uint32_t rows[] = {0, 4, 8, 12, 16, 24, 32, 48};
    struct axis a = {.n = 0};
    put(&a, def->prefetch);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) put(&a, rows[i]);
    return a;
}

/* Block sizes from lo to hi in powers of two, as far as they cut `extent`; 0 leaves the choice to the GEMM. */
static struct axis block_axis(uint32_t def, size_t extent, size_t lo, size_t hi)
{
    struct axis a = {.n = 0};
    put(&a, def);
    put(&a, 0);
    for (size_t b = lo; b <= hi && b < 2 * extent; b *= 2) put(&a, (uint32_t)b);
    return a;
}

/* ---- All plans --------------------------------------------------------------------------------------------------- */

enum { VARIANT, THREADS, BY_ROWS, MC, KC, NC, IN_PLACE, PREFETCH, AXES };

struct space {
    struct axis ax[AXES];
    uint16_t team;
};

static struct space space_of(const struct cg_machine *m, const struct cg_shape *s, const struct cg_variant *like,
                             const struct cg_plan *def, int threads)
{
    int packs = s->form != CG_FORM_NT, dot = cg_op_is_dot(s->op), cuts = !dot; /* the reduction and the columns */
    struct space sp = {.ax = {{.v = {0}, .n = 1}}, .team = (uint16_t)threads};
    for (int i = 1; i < AXES; i++) sp.ax[i] = sp.ax[0];
    sp.ax[VARIANT] = variants_axis(m, s, like, def);
    sp.ax[THREADS] = threads_axis(m, def, threads);
    sp.ax[BY_ROWS] = by_rows_axis(def, dot, threads);
    if (s->m > 32) sp.ax[MC] = block_axis(def->mc, s->m, 32, 512);
    else put(&sp.ax[MC], def->mc);
    if (cuts && (packs || s->k > 768)) sp.ax[KC] = block_axis(def->kc, s->k, 256, 2048);
    if (cuts && (packs || s->n > 4096)) sp.ax[NC] = block_axis(def->nc, s->n, packs ? 192 : 1024, packs ? 3072 : 8192);
    if (packs)
        for (uint32_t i = 0; i < CG_IN_PLACE_COUNT; i++) put(&sp.ax[IN_PLACE], i);
    sp.ax[PREFETCH] = prefetch_axis(def);
    return sp;
}

static struct cg_plan plan_at(const struct space *sp, const size_t at[AXES])
{
    size_t count;
    const struct cg_variant *v = cg_variants(&count);
    uint32_t x[AXES];
    for (int i = 0; i < AXES; i++) x[i] = sp->ax[i].v[at[i]];
    return (struct cg_plan){.variant = &v[x[VARIANT]],
                            .mc = x[MC],
                            .nc = x[NC],
                            .kc = x[KC],
                            .threads = (uint16_t)x[THREADS],
                            .team = sp->team,
                            .by_rows = (uint16_t)x[BY_ROWS],
                            .prefetch = (uint16_t)x[PREFETCH],
                            .in_place = (uint16_t)x[IN_PLACE]};
}

/* Plans that say the same in other words. */
static int redundant(const struct cg_plan *p)
{
    if (p->by_rows > p->threads || (p->threads == 1 && p->by_rows)) return 1;
    return p->in_place == CG_IN_PLACE_ALWAYS && p->variant->pack_nr % CG_LINE_FLOATS != 0;
}

int cg_space_is_cold(const struct cg_machine *m, const struct cg_shape *s)
{
    size_t llc = cg_machine_cache(m, 3) ? cg_machine_cache(m, 3) : cg_machine_cache(m, 2);
    return s->model_bytes > llc;
}

int cg_plan_same(const struct cg_plan *a, const struct cg_plan *b)
{
    return a->variant == b->variant && a->mc == b->mc && a->nc == b->nc && a->kc == b->kc && a->threads == b->threads &&
           a->by_rows == b->by_rows && a->prefetch == b->prefetch && a->in_place == b->in_place;
}

/* Appends the plans that differ from the first of every axis in `distance` of the first `axes` axes. */
static size_t at_distance(const struct space *sp, int axes, size_t distance, struct cg_plan *out, size_t n, size_t max)
{
    size_t at[AXES] = {0};
    for (;;) {
        size_t changed = 0;
        for (int i = 0; i < axes; i++) changed += at[i] != 0;
        struct cg_plan p = plan_at(sp, at);
        if (changed == distance && !redundant(&p)) {
            if (n == max) return n;
            out[n++] = p;
        }
        int i = 0;
        while (i < axes && ++at[i] == sp->ax[i].n) at[i++] = 0;
        if (i == axes) return n;
    }
}

/* ---- The model's choice ------------------------------------------------------------------------------------------ */

enum {
    MODELLED = 4096, /* plans that the model looks at */
    ALIKE = 3,       /* of which so many may differ in their blocks alone */
};

struct guess {
    struct cg_plan plan;
    double seconds;
    size_t order; /* in the list: near the default comes first */
};

static int by_guess(const void *pa, const void *pb)
{
    const struct guess *a = pa, *b = pb;
    if (a->seconds != b->seconds) return a->seconds < b->seconds ? -1 : 1;
    return a->order < b->order ? -1 : 1;
}

static int alike(const struct cg_plan *a, const struct cg_plan *b)
{
    return a->variant == b->variant && a->threads == b->threads && a->by_rows == b->by_rows &&
           a->in_place == b->in_place;
}

/* Orders out[1..n) by predicted time and keeps max - 1 of them, not too many of a kind: the model knows how much work a
 * plan makes, and little of how blocks meet the caches. Prefetching, of which it knows only how far ahead
 * it pays, is left to the neighbours of the best. Returns how many plans there are then. */
static size_t best_guesses(const struct cg_machine *m, const struct cg_shape *s, const struct cg_rates *rates,
                           struct guess *g, struct cg_plan *out, size_t n, size_t max)
{
    size_t kept = 1;
    int cold = cg_space_is_cold(m, s);
    for (size_t i = 1; i < n; i++) {
        double t = cg_predict_gemm(m, rates, s->form, &out[i], s->m, s->n, s->k, cold);
        g[i] = (struct guess){out[i], t < 0 ? INFINITY : t, i};
    }
    qsort(g + 1, n - 1, sizeof *g, by_guess);
    for (size_t i = 1; i < n && kept < max; i++) {
        int same = 0;
        for (size_t j = 0; j < kept; j++) same += alike(&out[j], &g[i].plan);
        if (same < ALIKE) out[kept++] = g[i].plan;
    }
    return kept;
}

size_t cg_space_plans(const struct cg_machine *m, const struct cg_shape *s, const struct cg_variant *like, int threads,
                      const struct cg_rates *rates, struct cg_plan *out, size_t max)
{
    struct cg_plan def = cg_space_default(m, s, like, threads);
    if (!def.variant || max == 0) return 0;
    struct space sp = space_of(m, s, like ? like : def.variant, &def, threads);
    struct guess *g = rates ? cg_alloc_n(MODELLED, sizeof *g) : NULL;
    struct cg_plan *all = g ? cg_alloc_n(MODELLED, sizeof *all) : NULL, *list = all ? all : out;
    size_t n = 0, most = all ? MODELLED : max;
    for (size_t distance = 0; distance <= 3 && n < most; distance++)
        n = at_distance(&sp, all ? PREFETCH : AXES, distance, list, n, most);
    if (all) {
        n = best_guesses(m, s, rates, g, all, n, max);
        memcpy(out, all, n * sizeof *out);
    }
    cg_free(all);
    cg_free(g);
    return n;
}

size_t cg_space_neighbours(const struct cg_machine *m, const struct cg_shape *s, const struct cg_plan *from,
                           int threads, struct cg_plan *out, size_t max)
{
    struct space sp = space_of(m, s, from->variant, from, threads);
    size_t n = 0, at[AXES] = {0};
    for (int i = AXES - 1; i >= 0; i--) {
        for (size_t j = 1; j < sp.ax[i].n; j++) {
            uint32_t x = sp.ax[i].v[j], mine = sp.ax[i].v[0];
            int block = i == MC || i == KC || i == NC;
            if (block && x && mine && (x > 3 * mine || mine > 3 * x)) continue; /* more than a step */
            at[i] = j;
            struct cg_plan p = plan_at(&sp, at);
            if (!redundant(&p) && n < max) out[n++] = p;
        }
        at[i] = 0;
    }
    return n;
}
