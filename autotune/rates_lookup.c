/* What rates say about one thing. */
#include <math.h>

#include "autotune/rates.h"

static const enum cg_op rated[CG_RATED_ROW_COUNT] = {
#define X(op, few, many) CG_OP_##op,
    CG_RATED_ROWS(X)
#undef X
};

const struct cg_rate_variant *cg_rates_of(const struct cg_rates *r, const struct cg_variant *v)
{
    for (size_t i = 0; i < r->n_variants; i++)
        if (r->variants[i].variant == v) return &r->variants[i];
    return NULL;
}

const struct cg_rate_row *cg_rates_row_of(const struct cg_rates *r, enum cg_op op)
{
    for (size_t i = 0; i < CG_RATED_ROW_COUNT; i++)
        if (rated[i] == op) return &r->rows[i];
    return NULL;
}

enum { FINE_OCTAVES = 8 };
#define FIRST_SIZE ((size_t)16 << 10)

size_t cg_rate_size(size_t i)
{
    if (i > 2 * FINE_OCTAVES) return FIRST_SIZE << (i - FINE_OCTAVES);
    return (FIRST_SIZE << i / 2) / 2 * (2 + i % 2);
}

double cg_curve_cost(const struct cg_curve *c, double bytes)
{
    int octave;
    if (!(bytes > (double)FIRST_SIZE)) return 1 / c->v[0];
    if (bytes >= (double)cg_rate_size(c->n - 1)) return 1 / c->v[c->n - 1];
    double part = 2 * frexp(bytes / (double)FIRST_SIZE, &octave) - 1; /* bytes = (1 + part) * 2^(octave - 1) * first */
    int fine = octave <= FINE_OCTAVES, upper = fine && part >= 0.5;
    size_t i = (size_t)(fine ? 2 * (octave - 1) + upper : octave - 1 + FINE_OCTAVES);
    if (fine) part = 2 * part - upper;
    return (1 - part) / c->v[i] + part / c->v[i + 1];
}
