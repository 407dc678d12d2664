#include <omp.h>
#include <string.h>

#include "common/mem.h"
#include "kernels/gemm.h"

#define MAX_K 131071  /* longest reduction whose sum of products of -128 fits an int32 */
#define MAX_TILE 1024 /* MR * NR of the largest variant's tile */

static size_t round_up(size_t x, size_t to)
{
    return (x + to - 1) / to * to;
}

/* Puts row q[k] into column `col` of a panel: groups of kr elements, nr*kr apart. */
static void pack_column(const struct cg_variant *v, size_t k, const int8_t *q, size_t col, int8_t *panel)
{
    size_t kr = v->kr, group = (size_t)v->pack_nr * kr, p = 0;
    panel += col * kr;
    if (kr == 4)
        for (; p + 4 <= k; p += 4, panel += group) memcpy(panel, q + p, 4);
    for (; p + kr <= k; p += kr, panel += group) memcpy(panel, q + p, kr);
    if (p < k) memcpy(panel, q + p, k - p);
}

static int32_t compensation(size_t k, const int8_t *q)
{
    int32_t sum = 0;
    for (size_t p = 0; p < k; p++) sum += q[p];
    return (int32_t)(UINT32_C(0) - 128 * (uint32_t)sum);
}

int cg_pack_s8(const struct cg_variant *v, const struct cg_rowops *rows, size_t n, size_t k, const float *w,
               struct cg_packed_s8 *out)
{
    *out = (struct cg_packed_s8){.variant = v, .n = n, .k = k};
    size_t nr = v->pack_nr, kpad = round_up(k, v->ku);
    if (k > MAX_K || n > SIZE_MAX - nr) return -1;
    size_t cols = round_up(n, nr);
    int8_t *q = cg_alloc(kpad);
    out->b = cg_alloc_n(cols, kpad);
    out->scale = cg_alloc_n(cols, sizeof(float));
    if (v->a_offset) out->comp = cg_alloc_n(cols, sizeof(int32_t));
    if (!q || !out->b || !out->scale || (v->a_offset && !out->comp)) {
        cg_free(q);
        cg_packed_s8_free(out);
        return -1;
    }
    for (size_t j = 0; j < n; j++) {
        out->scale[j] = rows->quant_s8(k, w + j * k, q);
        pack_column(v, k, q, j % nr, out->b + j / nr * nr * kpad);
        if (v->a_offset) out->comp[j] = compensation(k, q);
    }
    cg_free(q);
    return 0;
}

void cg_packed_s8_free(struct cg_packed_s8 *p)
{
    cg_free(p->b);
    cg_free(p->comp);
    cg_free(p->scale);
    *p = (struct cg_packed_s8){0};
}

/* Must A be copied: offset, or padded to whole groups? */
static int a_changes(const struct cg_packed_s8 *w)
{
    return w->variant->a_offset != 0 || w->k % w->variant->ku != 0;
}

/* Bytes of a copied row; never a multiple of 1 KiB, so that the rows of a tile do not meet in one set of the cache. */
static size_t a_stride(const struct cg_packed_s8 *w)
{
    size_t s = round_up(w->k, 64);
    return s % 1024 == 0 ? s + 64 : s;
}

size_t cg_gemm_s8_scratch(const struct cg_packed_s8 *w, size_t m)
{
    return a_changes(w) ? m * a_stride(w) : 0;
}

/* One product: everything that a thread needs to know. */
struct job {
    const struct cg_plan *plan;
    const struct cg_packed_s8 *w;
    const int8_t *a;
    size_t lda;
    const float *sa;
    uint8_t *scratch; /* NULL where A is used in place */
    float *c;
    size_t ldc;
};

/* Copies rows [i0, i1) of A as the kernel wants them. Padding meets zeros of B; it is zero all the same. */
static void prepare(const struct job *j, size_t i0, size_t i1)
{
    size_t k = j->w->k, pad = round_up(k, j->w->variant->ku), stride = a_stride(j->w);
    uint8_t flip = j->w->variant->a_offset ? 0x80 : 0;
    for (size_t i = i0; i < i1; i++) {
        const int8_t *from = j->a + i * j->lda;
        uint8_t *to = j->scratch + i * stride;
        for (size_t p = 0; p < k; p++) to[p] = (uint8_t)from[p] ^ flip;
        memset(to + k, 0, pad - k);
    }
}

/* Rows [i0, i1) of panel jp. Rows are dealt evenly to as few calls as MR allows. */
static void panel(const struct job *j, size_t i0, size_t i1, size_t jp)
{
    const struct cg_packed_s8 *w = j->w;
    const struct cg_variant *v = w->variant;
    size_t nr = v->pack_nr, col = jp * nr, cols = w->n - col < nr ? w->n - col : nr;
    const int8_t *b = w->b + col * round_up(w->k, v->ku);
    const int32_t *comp = w->comp ? w->comp + col : NULL;
    const uint8_t *a = j->scratch ? j->scratch : (const uint8_t *)j->a;
    size_t rs_a = j->scratch ? a_stride(w) : j->lda;
    size_t calls = (i1 - i0 + v->mr - 1) / v->mr;
    for (size_t i = i0; calls > 0; calls--) {
        size_t m = (i1 - i + calls - 1) / calls;
        float *c = j->c + i * j->ldc + col;
        if (cols == nr) {
            v->fn.gemm_s8(m, w->k, a + i * rs_a, rs_a, b, comp, j->sa + i, w->scale + col, c, j->ldc,
                          j->plan->prefetch);
        } else {
            float tile[MAX_TILE];
            v->fn.gemm_s8(m, w->k, a + i * rs_a, rs_a, b, comp, j->sa + i, w->scale + col, tile, nr, j->plan->prefetch);
            for (size_t r = 0; r < m; r++) memcpy(c + r * j->ldc, tile + r * nr, cols * sizeof(float));
        }
        i += m;
    }
}

/* Rows [i0, i1) of panels [p0, p1), in blocks of mc rows so that a block of A stays in a cache while B passes by.
 * prep: copy A, block by block. */
static void rectangle(const struct job *j, size_t i0, size_t i1, size_t p0, size_t p1, int prep)
{
    size_t mc = j->plan->mc ? round_up(j->plan->mc, j->w->variant->mr) : i1 - i0;
    for (size_t i = i0; i < i1; i += mc) {
        size_t end = i1 - i < mc ? i1 : i + mc;
        if (prep) prepare(j, i, end);
        for (size_t p = p0; p < p1; p++) panel(j, i, end, p);
    }
}

/* Is it better balanced to deal out rows (in steps of MR) than panels? */
static int by_rows(size_t tiles, size_t panels, size_t threads)
{
    size_t most_tiles = (tiles + threads - 1) / threads, most_panels = (panels + threads - 1) / threads;
    return most_tiles * panels < most_panels * tiles;
}

static void share(const struct job *j, size_t m, size_t panels, size_t t, size_t threads)
{
    size_t mr = j->w->variant->mr, tiles = (m + mr - 1) / mr;
    if (by_rows(tiles, panels, threads)) {
        size_t i0 = tiles * t / threads * mr, i1 = tiles * (t + 1) / threads * mr;
        if (i1 > m) i1 = m;
        if (i0 < i1) rectangle(j, i0, i1, 0, panels, j->scratch != NULL);
        return;
    }
    if (j->scratch) {
        prepare(j, m * t / threads, m * (t + 1) / threads);
#pragma omp barrier
    }
    rectangle(j, 0, m, panels * t / threads, panels * (t + 1) / threads, 0);
}

void cg_gemm_s8(const struct cg_plan *plan, size_t m, const int8_t *a, size_t lda, const float *sa,
                const struct cg_packed_s8 *w, void *scratch, float *c, size_t ldc)
{
    const struct job j = {.plan = plan,
                          .w = w,
                          .a = a,
                          .lda = lda,
                          .sa = sa,
                          .c = c,
                          .ldc = ldc,
                          .scratch = a_changes(w) ? scratch : NULL};
    size_t nr = w->variant->pack_nr, panels = (w->n + nr - 1) / nr;
    if (m == 0 || panels == 0) return;
    if (plan->threads <= 1) {
        rectangle(&j, 0, m, 0, panels, j.scratch != NULL);
        return;
    }
#pragma omp parallel num_threads(plan->threads)
    share(&j, m, panels, (size_t)omp_get_thread_num(), (size_t)omp_get_num_threads());
}
