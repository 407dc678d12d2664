#include "autotune/space.h"

#include <string.h>

/* The values that one property of a plan may take; the default's stands first. */
enum { MAX_VALUES = 12 };
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

static int same_layout(const struct cg_variant *a, const struct cg_variant *b)
{
    if (a->op != b->op) return 0;
    return cg_op_is_dot(a->op) ? a == b : a->pack_nr == b->pack_nr;
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
        for (size_t j = 0; j < n; j++) seen |= same_layout(out[j], &v[i]);
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
            (s->form != CG_FORM_NT || same_layout(&v[i], like)))
            put(&a, (uint32_t)i);
    return a;
}

static struct axis threads_axis(const struct cg_plan *def, int threads)
{
    struct axis a = {.n = 0};
    put(&a, def->threads);
    for (int t = 1; t < threads && a.n < MAX_VALUES - 1; t *= 2) put(&a, (uint32_t)t);
    put(&a, (uint32_t)threads);
    return a;
}

static struct axis prefetch_axis(const struct cg_plan *def)
{
    static const uint32_t rows[] = {0, 4, 8, 12, 16, 24, 32};
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

size_t cg_space_plans(const struct cg_machine *m, const struct cg_shape *s, const struct cg_variant *like, int threads,
                      struct cg_plan *out, size_t max)
{
    struct cg_plan def = cg_space_default(m, s, like, threads);
    if (!def.variant || max == 0) return 0;
    size_t count;
    const struct cg_variant *v = cg_variants(&count);
    int packs = s->form != CG_FORM_NT, cuts = !cg_op_is_dot(s->op); /* the reduction and the columns */
    struct axis one = {.v = {0}, .n = 1};
    struct axis ax[6] = {
        threads_axis(&def, threads),
        variants_axis(m, s, like ? like : def.variant, &def),
        prefetch_axis(&def),
        s->m > 32 ? block_axis(def.mc, s->m, 32, 512) : one,
        cuts && (packs || s->k > 768) ? block_axis(def.kc, s->k, 256, 2048) : one,
        cuts && (packs || s->n > 4096) ? block_axis(def.nc, s->n, packs ? 192 : 1024, packs ? 3072 : 8192) : one,
    };
    size_t n = 0, at[6];
    for (size_t distance = 0; distance <= 3; distance++) {
        memset(at, 0, sizeof at);
        for (;;) {
            size_t changed = 0;
            for (int i = 0; i < 6; i++) changed += at[i] != 0;
            if (changed == distance) {
                if (n == max) return n;
                out[n++] = (struct cg_plan){.variant = &v[ax[1].v[at[1]]],
                                            .mc = ax[3].v[at[3]],
                                            .nc = ax[5].v[at[5]],
                                            .kc = ax[4].v[at[4]],
                                            .threads = (uint16_t)ax[0].v[at[0]],
                                            .prefetch = (uint16_t)ax[2].v[at[2]]};
            }
            int i = 0;
            while (i < 6 && ++at[i] == ax[i].n) at[i++] = 0;
            if (i == 6) break;
        }
    }
    return n;
}
