/* The loops around the micro-kernels that sum dot products, INT8 and native bf16: each panel of B is one stretch, the
 * reduction is never cut, rows of A come as the micro-kernel reads them. For gemm_s8.c and gemm_bf16.c only. */
#ifndef CG_KERNELS_GEMM_DOT_H
#define CG_KERNELS_GEMM_DOT_H

#include <stddef.h>
#include <stdint.h>

#include "kernels/registry.h"

/* One product: everything that a thread needs to know. */
struct cg_dot {
    const struct cg_plan *plan;
    const struct cg_variant *v; /* that B was packed for */
    size_t n, k;
    size_t size;         /* bytes of an element of A and B */
    const void *a;       /* rows cg_dot_stride apart, padded with zeros to a multiple of KU */
    const void *b;       /* panels */
    const int32_t *comp; /* INT8 */
    const float *sa, *sb;
    float *c;
    size_t ldc;
    const struct cg_epilogue *ep; /* or NULL */
};

/* Bytes from one row of A to the next. */
size_t cg_dot_stride(const struct cg_variant *v, size_t k, size_t size);

/* Puts q[k], a column of B, into column `col` of a panel, whose padding is zero already. */
void cg_dot_pack_column(const struct cg_variant *v, size_t k, size_t size, const void *q, size_t col, void *panel);

/* C[m][n]. */
void cg_dot_run(const struct cg_dot *d, size_t m);

#endif
