/* From the samples of micro-measurements to rates. */
#include <math.h>
#include <stdlib.h>

#include "autotune/rates_probes.h"
#include "kernels/peak.h"

#define BEYOND_BYTES ((size_t)64 << 20) /* nearly all caches */

static int ascending(const void *pa, const void *pb)
{
    double a = *(const double *)pa, b = *(const double *)pb;
    return a < b ? -1 : a > b;
}

/* What a fifth of the samples are below: neighbours in a shared cache or on a shared core only ever add time, and
 * `take` sees little of it; but a single lucky sample is no figure. */
static double typical(struct cg_rates_taken *p)
{
    qsort(p->sample, p->n, sizeof *p->sample, ascending);
    return p->sample[p->n / 5];
}

static struct cg_curve *curve_of(struct cg_rates *r, int all, enum cg_way way)
{
    switch (way) {
    case CG_READ_PREFETCH: return &r->read[all][1];
    case CG_READ_ROWS: return &r->strided[all];
    case CG_WRITE: return &r->write[all];
    case CG_COPY: return &r->copy[all];
    case CG_WRITE_TILES: return &r->tiles[all][0];
    case CG_UPDATE_TILES: return &r->tiles[all][1];
    default: return &r->read[all][0];
    }
}

/* More never costs less: what looks so is noise, and would let the model prefer more work. Nor does still more cost
 * more when everything comes from memory already. */
static void smooth_curves(struct cg_rates *r)
{
    for (int way = CG_READ; way <= CG_UPDATE_TILES; way++)
        for (int all = 0; all < 2; all++) {
            struct cg_curve *c = curve_of(r, all, (enum cg_way)way);
            if (c->n > 1 && cg_rate_size(c->n - 2) >= BEYOND_BYTES)
                c->v[c->n - 1] = fmax(c->v[c->n - 1], c->v[c->n - 2]);
            for (size_t i = c->n; i-- > 1;)
                if (c->v[i - 1] < c->v[i]) c->v[i - 1] = c->v[i];
        }
}

static void collect_pass(struct cg_rates *r, const struct cg_rates_probe *p, double seconds)
{
    struct cg_curve *c = curve_of(r, p->all, p->way);
    c->v[c->n++] = 1 / seconds; /* the sizes come in order */
}

/* That of one thread comes first. */
static void collect_peak(struct cg_rates *r, const struct cg_rates_probe *p, double seconds)
{
    if (r->n_peaks == CG_RATE_PEAKS) return;
    struct cg_rate_peak *at = &r->peaks[r->n_peaks];
    if (p->all) at->all = 1 / seconds, r->n_peaks++;
    else *at = (struct cg_rate_peak){cg_rates_peak_op(p->variant), cg_peak_level(p->variant), 1 / seconds, 0};
}

/* Of one tile with many steps, of one with few, and of several with few: what a step takes, and what a tile beside its
 * steps; what the call takes falls out. */
static void collect_variant(struct cg_rates *r, const struct cg_rates_probe *p, double of_long, double of_brief,
                            double of_tiles)
{
    const struct cg_variant *v = p->variant;
    if (!r->n_variants || r->variants[r->n_variants - 1].variant != v) {
        if (r->n_variants == CG_RATE_VARIANTS) return;
        r->variants[r->n_variants++] = (struct cg_rate_variant){.variant = v};
    }
    struct cg_rate_variant *to = &r->variants[r->n_variants - 1];
    double many = (double)cg_rates_steps(v, CG_PROBE_LONG), few = (double)cg_rates_steps(v, CG_PROBE_BRIEF);
    double step = many > few ? (of_long - of_brief) / (many - few) : of_long / many;
    step = fmin(fmax(step, 0.5 * of_long / many), of_long / many); /* the rest costs something, not nearly all */
    double tile = (of_tiles - of_brief) / (double)(cg_rates_tiles(v, CG_PROBE_TILES) - 1) - step * few;
    to->rows[to->n] = (uint16_t)p->rows;
    to->step[to->n] = step;
    to->tile[to->n] = fmin(fmax(tile, 0), of_brief);
    to->n++;
}

static void smooth_variants(struct cg_rates *r)
{
    for (size_t i = 0; i < r->n_variants; i++)
        for (size_t j = 1; j < r->variants[i].n; j++) {
            struct cg_rate_variant *v = &r->variants[i];
            v->step[j] = fmax(v->step[j], v->step[j - 1]);
            v->tile[j] = fmax(v->tile[j], v->tile[j - 1]);
        }
}

void cg_rates_collect(struct cg_rates_taken *p, size_t n, int threads, struct cg_rates *r)
{
    double of[CG_PROBE_ROW + 1] = {0};
    size_t rows = 0;
    const struct cg_variant *v = NULL;
    *r = (struct cg_rates){.threads = threads};
    for (size_t i = 0; i < n; i++) {
        const struct cg_rates_probe *is = &p[i].is;
        double x = typical(&p[i]);
        of[is->kind] = x;
        if (is->kind == CG_PROBE_PASS) collect_pass(r, is, x);
        if (is->kind == CG_PROBE_PEAK) collect_peak(r, is, x);
        if (is->kind == CG_PROBE_EDGE) v = is->variant;
    }
    r->region = of[CG_PROBE_REGION];
    r->call = fmax(0, of[CG_PROBE_CALL] - (of[CG_PROBE_CALLS] - of[CG_PROBE_CALL]) / (CG_PROBE_MANY - 1));
    r->edge = v ? fmax(0, of[CG_PROBE_EDGE] - of[CG_PROBE_WHOLE]) / v->mr : 0;
    r->pack_b = 1 / of[CG_PROBE_PACK_B];
    r->pack_a = 1 / of[CG_PROBE_PACK_A];
    r->pack_odd = 1 / of[CG_PROBE_PACK_ODD];
    r->pack_w = 1 / of[CG_PROBE_PACK_W];
    r->pack_far = 1 / of[CG_PROBE_PACK_FAR];
    for (; n > 2; n--, p++) {
        if (p->is.kind == CG_PROBE_LONG) collect_variant(r, &p->is, typical(p), typical(p + 1), typical(p + 2));
        if (p->is.kind == CG_PROBE_ROW && p[1].is.kind == CG_PROBE_ROW && p[1].is.op == p->is.op)
            cg_rates_collect_row(&r->rows[rows], rows, typical(p), typical(p + 1)), rows++;
    }
    smooth_curves(r);
    smooth_variants(r);
    cg_rates_bound(r);
}
