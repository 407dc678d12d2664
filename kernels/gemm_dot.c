#include "kernels/gemm_dot.h"

#include <string.h>

#include "kernels/epilogue.h"
#include "kernels/gemm_parts.h"
#include "kernels/team.h"
#include "kernels/util.h"

/* Never a multiple of 1 KiB, so that the rows of a tile do not meet in one set of the cache. */
size_t cg_dot_stride(const struct cg_variant *v, size_t k, size_t size)
{
    size_t s = round_up(round_up(k, v->ku) * size, 64);
    return s % 1024 == 0 ? s + 64 : s;
}

/* Groups of kr elements, nr*kr apart. */
void cg_dot_pack_column(const struct cg_variant *v, size_t k, size_t size, const void *q, size_t col, void *panel)
{
    size_t piece = v->kr * size, group = v->pack_nr * piece, bytes = k * size, p = 0;
    const char *from = q;
    char *to = (char *)panel + col * piece;
    if (piece == 4)
        for (; p + 4 <= bytes; p += 4, to += group) memcpy(to, from + p, 4);
    for (; p + piece <= bytes; p += piece, to += group) memcpy(to, from + p, piece);
    if (p < bytes) memcpy(to, from + p, bytes - p);
}

static inline void call(const struct cg_dot *d, size_t m, size_t i, size_t col, float *c, size_t ldc)
{
    const struct cg_variant *v = d->v;
    size_t kpad = round_up(d->k, v->ku), stride = cg_dot_stride(v, d->k, d->size), rs = stride / d->size;
    const char *a = (const char *)d->a + i * stride;
    const char *b = (const char *)d->b + col * kpad * d->size;
    if (v->op == CG_OP_gemm_bf16) {
        v->fn.gemm_bf16(m, kpad, (const void *)a, rs, (const void *)b, c, ldc, d->plan->prefetch);
        return;
    }
    v->fn.gemm_s8(m, d->k, a, rs, (const void *)b, d->comp ? d->comp + col : NULL, d->sa + i, d->sb + col, c, ldc,
                  d->plan->prefetch);
}

/* Rows [i0, i1) of panel jp. Rows are dealt evenly to as few calls as MR allows. */
static void panel(const struct cg_dot *d, size_t i0, size_t i1, size_t jp)
{
    const struct cg_variant *v = d->v;
    size_t nr = v->pack_nr, col = jp * nr, cols = d->n - col < nr ? d->n - col : nr;
    size_t calls = ceil_div(i1 - i0, v->mr);
    for (size_t i = i0; calls > 0; calls--) {
        size_t m = ceil_div(i1 - i, calls);
        float *c = d->c + i * d->ldc + col;
        if (cols == nr) {
            call(d, m, i, col, c, d->ldc);
        } else {
            float tile[CG_MAX_TILE];
            call(d, m, i, col, tile, nr);
            for (size_t r = 0; r < m; r++) memcpy(c + r * d->ldc, tile + r * nr, cols * sizeof(float));
        }
        if (d->ep) cg_epilogue_tile(d->ep, i, m, col, cols, c, d->ldc);
        i += m;
    }
}

/* Rows [i0, i1) of panels [p0, p1), in blocks of mc rows so that a block of A stays in a cache while B passes by. */
static void rectangle(const struct cg_dot *d, size_t i0, size_t i1, size_t p0, size_t p1, int finish_rows)
{
    size_t mc = cg_dot_mc(d->plan, d->v, i1 - i0);
    for (size_t i = i0; i < i1; i += mc) {
        size_t end = i1 - i < mc ? i1 : i + mc;
        for (size_t p = p0; p < p1; p++) panel(d, i, end, p);
        if (finish_rows) cg_epilogue_rows(d->ep, i, end, d->n, d->c, d->ldc);
    }
}

struct job {
    const struct cg_dot *d;
    size_t m;
};

/* Are the rows that a part of `parts` has whole? */
static int whole_rows(const struct job *g, size_t parts)
{
    return parts == 1 || cg_dot_by_rows(g->d->plan, g->d->v, g->m, g->d->n, parts);
}

static void product_part(const void *job, size_t parts, size_t id)
{
    const struct job *g = job;
    const struct cg_dot *d = g->d;
    struct cg_part part = cg_dot_divide(d->plan, d->v, g->m, d->n, parts, id);
    int finish = cg_epilogue_needs_rows(d->ep) && whole_rows(g, parts);
    if (!cg_part_is_empty(part)) rectangle(d, part.i0, part.i1, part.t0, part.t1, finish);
}

static void rows_part(const void *job, size_t parts, size_t id)
{
    const struct job *g = job;
    cg_epilogue_rows(g->d->ep, g->m * id / parts, g->m * (id + 1) / parts, g->d->n, g->d->c, g->d->ldc);
}

void cg_dot_run(const struct cg_dot *d, size_t m)
{
    if (m == 0 || d->n == 0) return;
    struct job g = {d, m};
    int rest = cg_epilogue_needs_rows(d->ep) && !whole_rows(&g, cg_team_parts(d->plan));
    cg_team_run(d->plan, product_part, rest ? rows_part : NULL, &g);
}
