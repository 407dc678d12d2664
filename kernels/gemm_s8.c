#include <string.h>

#include "common/mem.h"
#include "kernels/gemm.h"
#include "kernels/gemm_dot.h"
#include "kernels/util.h"

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
    if (k > CG_S8_MAX_K || n > SIZE_MAX - nr) return -1;
    size_t cols = round_up(n, nr);
    out->b = cg_alloc_n(cols, kpad);
    out->scale = cg_alloc_n(cols, sizeof(float));
    if (v->a_offset) out->comp = cg_alloc_n(cols, sizeof(int32_t));
    if (!out->b || !out->scale || (v->a_offset && !out->comp)) {
        cg_packed_s8_free(out);
        return -1;
    }
    cg_repack_s8(rows, w, NULL, 1, out);
    return 0;
}

void cg_repack_s8(const struct cg_rowops *rows, const float *w, const float *columns, int threads,
                  struct cg_packed_s8 *p)
{
    const struct cg_variant *v = p->variant;
    size_t nr = v->pack_nr, k = p->k, kpad = round_up(k, v->ku);
#pragma omp parallel for num_threads(threads) if (threads > 1)
    for (size_t panel = 0; panel < ceil_div(p->n, nr); panel++) {
        int8_t q[CG_S8_MAX_K + 1];
        float scaled[CG_S8_MAX_K];
        for (size_t j = panel * nr; j < min_size(p->n, (panel + 1) * nr); j++) {
            const float *row = w + j * k;
            for (size_t i = 0; columns && i < k; i++) scaled[i] = row[i] * columns[i];
            p->scale[j] = rows->quant_s8(k, columns ? scaled : row, q);
            cg_dot_pack_column(v, k, 1, q, j % nr, p->b + panel * nr * kpad);
            if (v->a_offset) p->comp[j] = compensation(k, q);
        }
    }
}

void cg_packed_s8_free(struct cg_packed_s8 *p)
{
    cg_free(p->b);
    cg_free(p->comp);
    cg_free(p->scale);
    *p = (struct cg_packed_s8){0};
}

size_t cg_s8_rows_size(const struct cg_packed_s8 *w, size_t m)
{
    return m * cg_dot_stride(w->variant, w->k, 1);
}

/* A quantised row becomes what the variant reads: offset, and padded with what meets zeros of B. */
static void finish_row(const struct cg_packed_s8 *w, uint8_t *row)
{
    size_t k = w->k;
    if (w->variant->a_offset)
        for (size_t p = 0; p < k; p++) row[p] ^= 0x80;
    memset(row + k, 0, round_up(k, w->variant->ku) - k);
}

void cg_s8_rows_quant(const struct cg_packed_s8 *w, const struct cg_rowops *rows, size_t m, const float *x, size_t ldx,
                      void *out, float *sa)
{
    size_t stride = cg_dot_stride(w->variant, w->k, 1);
    for (size_t i = 0; i < m; i++) {
        uint8_t *row = (uint8_t *)out + i * stride;
        sa[i] = rows->quant_s8(w->k, x + i * ldx, (int8_t *)row);
        finish_row(w, row);
    }
}

void cg_s8_rows_copy(const struct cg_packed_s8 *w, size_t m, const int8_t *q, size_t ldq, void *out)
{
    size_t stride = cg_dot_stride(w->variant, w->k, 1);
    for (size_t i = 0; i < m; i++) {
        uint8_t *row = (uint8_t *)out + i * stride;
        memcpy(row, q + i * ldq, w->k);
        finish_row(w, row);
    }
}

void cg_gemm_s8(const struct cg_plan *plan, size_t m, const void *a, const float *sa, const struct cg_packed_s8 *w,
                float *c, size_t ldc, const struct cg_epilogue *ep)
{
    cg_dot_run(&(struct cg_dot){.plan = plan,
                                .v = w->variant,
                                .n = w->n,
                                .k = w->k,
                                .size = 1,
                                .a = a,
                                .b = w->b,
                                .comp = w->comp,
                                .sa = sa,
                                .sb = w->scale,
                                .c = c,
                                .ldc = ldc,
                                .ep = ep},
               m);
}
