#include "kernels/gemm_dot.h"

#include <omp.h>
#include <string.h>

#include "kernels/epilogue.h"
#include "kernels/gemm_parts.h"
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

static void share(const struct cg_dot *d, size_t m, size_t t, size_t threads)
{
    int finish_rows = cg_epilogue_needs_rows(d->ep), by_rows = cg_dot_by_rows(d->plan, d->v, m, d->n, threads);
    struct cg_part part = cg_dot_divide(d->plan, d->v, m, d->n, threads, t);
    if (!cg_part_is_empty(part)) rectangle(d, part.i0, part.i1, part.t0, part.t1, by_rows && finish_rows);
    if (by_rows || !finish_rows) return;
#pragma omp barrier
    cg_epilogue_rows(d->ep, m * t / threads, m * (t + 1) / threads, d->n, d->c, d->ldc);
}

void cg_dot_run(const struct cg_dot *d, size_t m)
{
    size_t nr = d->v->pack_nr, panels = ceil_div(d->n, nr);
    if (m == 0 || panels == 0) return;
    if (d->plan->threads <= 1) {
        rectangle(d, 0, m, 0, panels, cg_epilogue_needs_rows(d->ep));
        return;
    }
#pragma omp parallel num_threads(d->plan->threads)
    share(d, m, (size_t)omp_get_thread_num(), (size_t)omp_get_num_threads());
}
