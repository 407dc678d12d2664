#include <string.h>

#include "common/mem.h"
#include "kernels/gemm.h"
#include "kernels/gemm_dot.h"

#define MAX_K 131071 /* longest reduction whose sum of products of -128 fits an int32 */

static size_t round_up(size_t x, size_t to)
{
    return (x + to - 1) / to * to;
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
        cg_dot_pack_column(v, k, 1, q, j % nr, out->b + j / nr * nr * kpad);
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

size_t cg_gemm_s8_scratch(const struct cg_packed_s8 *w, size_t m)
{
    return a_changes(w) ? m * cg_dot_stride(w->variant, w->k, 1) : 0;
}

/* Padding meets zeros of B; it is zero all the same. */
static void prepare(const struct cg_dot *d, size_t i0, size_t i1)
{
    size_t k = d->k, pad = round_up(k, d->v->ku), stride = cg_dot_stride(d->v, k, 1);
    uint8_t flip = d->v->a_offset ? 0x80 : 0;
    for (size_t i = i0; i < i1; i++) {
        const int8_t *from = (const int8_t *)d->a + i * d->lda;
        uint8_t *to = (uint8_t *)d->scratch + i * stride;
        for (size_t p = 0; p < k; p++) to[p] = (uint8_t)from[p] ^ flip;
        memset(to + k, 0, pad - k);
    }
}

void cg_gemm_s8(const struct cg_plan *plan, size_t m, const int8_t *a, size_t lda, const float *sa,
                const struct cg_packed_s8 *w, void *scratch, float *c, size_t ldc)
{
    int copy = a_changes(w);
    cg_dot_run(&(struct cg_dot){.plan = plan,
                                .v = w->variant,
                                .n = w->n,
                                .k = w->k,
                                .size = 1,
                                .a = a,
                                .lda = lda,
                                .b = w->b,
                                .comp = w->comp,
                                .sa = sa,
                                .sb = w->scale,
                                .prepare = copy ? prepare : NULL,
                                .scratch = copy ? scratch : NULL,
                                .c = c,
                                .ldc = ldc},
               m);
}
