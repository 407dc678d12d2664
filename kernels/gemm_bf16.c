#include <string.h>

#include "common/mem.h"
#include "kernels/gemm.h"
#include "kernels/gemm_dot.h"
#include "kernels/util.h"

int cg_pack_bf16(const struct cg_variant *v, const struct cg_rowops *rows, size_t n, size_t k, const float *w,
                 struct cg_packed_bf16 *out)
{
    *out = (struct cg_packed_bf16){.variant = v, .n = n, .k = k};
    size_t nr = v->pack_nr;
    if (n > SIZE_MAX - nr || k > SIZE_MAX / 4 - v->ku) return -1;
    size_t kpad = round_up(k, v->ku);
    uint16_t *column = cg_alloc_n(kpad, sizeof *column);
    out->b = cg_alloc_n(round_up(n, nr), kpad * sizeof *out->b);
    if (!column || !out->b) {
        cg_free(column);
        cg_packed_bf16_free(out);
        return -1;
    }
    for (size_t j = 0; j < n; j++) {
        rows->to_bf16(k, w + j * k, column);
        cg_dot_pack_column(v, k, sizeof *column, column, j % nr, out->b + j / nr * nr * kpad);
    }
    cg_free(column);
    return 0;
}

void cg_packed_bf16_free(struct cg_packed_bf16 *p)
{
    cg_free(p->b);
    *p = (struct cg_packed_bf16){0};
}

size_t cg_bf16_rows_size(const struct cg_packed_bf16 *w, size_t m)
{
    return m * cg_dot_stride(w->variant, w->k, sizeof *w->b);
}

/* Padding meets zeros of B, but is zero all the same: it could be no number. */
void cg_bf16_rows_round(const struct cg_packed_bf16 *w, const struct cg_rowops *rows, size_t m, const float *x,
                        size_t ldx, void *out)
{
    size_t k = w->k, pad = round_up(k, w->variant->ku), stride = cg_dot_stride(w->variant, k, sizeof *w->b);
    for (size_t i = 0; i < m; i++) {
        uint16_t *row = (uint16_t *)out + i * (stride / sizeof *row);
        rows->to_bf16(k, x + i * ldx, row);
        memset(row + k, 0, (pad - k) * sizeof *row);
    }
}

void cg_gemm_bf16(const struct cg_plan *plan, size_t m, const void *a, const struct cg_packed_bf16 *w, float *c,
                  size_t ldc, const struct cg_epilogue *ep)
{
    cg_dot_run(&(struct cg_dot){.plan = plan,
                                .v = w->variant,
                                .n = w->n,
                                .k = w->k,
                                .size = sizeof *w->b,
                                .a = a,
                                .b = w->b,
                                .c = c,
                                .ldc = ldc,
                                .ep = ep},
               m);
}
