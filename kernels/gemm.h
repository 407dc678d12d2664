/* GEMM of any size around the micro-kernels: packing, edges, blocking, threads. Threads and blocks split outputs, never
 * the reduction, so the bits do not depend on the plan. */
#ifndef CG_KERNELS_GEMM_H
#define CG_KERNELS_GEMM_H

#include <stddef.h>
#include <stdint.h>

#include "kernels/registry.h"

/* Floats that B[k][n] takes in panels of `nr` columns (with the padding that every variant of that panel width needs:
 * the number of panels is rounded up to a multiple of 4). */
size_t cg_pack_f32_size(size_t n, size_t k, size_t nr);

/* Packs B, element (p, j) at b[p*rs_b + j*cs_b], p < k, j < n, into panels of nr columns: panel j0 at out + j0*k*nr,
 * row p of it at + p*nr; columns past n are 0. For y = x * W^T with W[n][k] row-major: rs_b = 1, cs_b = k. */
void cg_pack_f32(size_t n, size_t k, const float *b, size_t rs_b, size_t cs_b, size_t nr, float *out, int threads);

/* C[m][n] (+)= A[m][k] * B, B packed with nr = plan->variant->pack_nr. A's element (i, p) at a[i*rs_a + p*cs_a]; C's
 * row i at c[i*ldc]. accumulate: 1 continues the chains from C. Runs on plan->threads threads of OpenMP (1: no region
 * is opened, so it may be called inside one; see also plan->team). */
void cg_gemm_f32(const struct cg_plan *plan, size_t m, size_t n, size_t k, const float *a, size_t rs_a, size_t cs_a,
                 const float *bp, float *c, size_t ldc, int accumulate);

/* The same with B in bf16 (CG_OP_gemm_bf16w): half the memory to read, f32 arithmetic. cg_pack_bf16w rounds f32 weights
 * (exact where they came from bf16); its sizes are in elements of 2 bytes. */
size_t cg_pack_bf16w_size(size_t n, size_t k, size_t nr);
void cg_pack_bf16w(size_t n, size_t k, const float *b, size_t rs_b, size_t cs_b, size_t nr, uint16_t *out, int threads);
void cg_gemm_bf16w(const struct cg_plan *plan, size_t m, size_t n, size_t k, const float *a, size_t rs_a, size_t cs_a,
                   const uint16_t *bp, float *c, size_t ldc, int accumulate);

struct cg_packed_s8;

/* What becomes of C before it leaves the caches, in this order; each is left out where its pointer is NULL. Every step
 * is the row operation of that name, so the bits are those of separate passes. */
struct cg_epilogue {
    const struct cg_rowops *rows;
    const float *bias;     /* [n]: C = C + bias */
    const float *residual; /* row i at residual[i*ld_residual], not in C: C = C + residual */
    size_t ld_residual;
    float *swiglu; /* C is [gate | up], n even: row i of swiglu(gate, up), n/2 wide, to swiglu[i*ld_swiglu] */
    size_t ld_swiglu;
    const struct cg_packed_s8 *quant_for; /* the next INT8 weights: the result (of swiglu where that is asked for) */
    void *quant;                          /* is quantised as cg_s8_rows_quant does, to quant and quant_scale[m] */
    float *quant_scale;
};

/* cg_gemm_f32 or cg_gemm_bf16w, whichever the plan's variant is, with an epilogue (or NULL). */
void cg_gemm(const struct cg_plan *plan, size_t m, size_t n, size_t k, const float *a, size_t rs_a, size_t cs_a,
             const void *bp, float *c, size_t ldc, int accumulate, const struct cg_epilogue *ep);

/* As cg_gemm_f32 with B not packed, element (p, j) at b[p*rs_b + j*cs_b]: packs it block by block into `scratch` of at
 * least cg_gemm_scratch(plan, n, k) floats. For NN: rs_b = ld, cs_b = 1. For TN give A transposed: rs_a = 1, cs_a = ld.
 */
size_t cg_gemm_scratch(const struct cg_plan *plan, size_t n, size_t k);
void cg_gemm_f32_pack(const struct cg_plan *plan, size_t m, size_t n, size_t k, const float *a, size_t rs_a,
                      size_t cs_a, const float *b, size_t rs_b, size_t cs_b, float *scratch, float *c, size_t ldc,
                      int accumulate);
/* The same with an epilogue (or NULL). */
void cg_gemm_pack(const struct cg_plan *plan, size_t m, size_t n, size_t k, const float *a, size_t rs_a, size_t cs_a,
                  const float *b, size_t rs_b, size_t cs_b, float *scratch, float *c, size_t ldc, int accumulate,
                  const struct cg_epilogue *ep);

/* INT8 weights W[n][k] with one scale a row (output channel), packed for one variant. */
struct cg_packed_s8 {
    const struct cg_variant *variant;
    size_t n, k;
    int8_t *b;     /* panels */
    int32_t *comp; /* -128 * column sums, or NULL */
    float *scale;  /* n, padded to whole panels */
};
/* Quantises f32 W[n][k] (row-major) per output channel with cg_quant_s8 and packs it; 0 on success, -1 without memory
 * or where k is above CG_S8_MAX_K: longer sums of products of -128 do not fit an int32. */
#define CG_S8_MAX_K 131071
int cg_pack_s8(const struct cg_variant *v, const struct cg_rowops *rows, size_t n, size_t k, const float *w,
               struct cg_packed_s8 *out);
/* Quantises other weights of the same sizes into the same memory, on `threads` threads; column p of them is multiplied
 * by columns[p] before (NULL: is not). The bits are those of cg_pack_s8. */
void cg_repack_s8(const struct cg_rowops *rows, const float *w, const float *columns, int threads,
                  struct cg_packed_s8 *p);
void cg_packed_s8_free(struct cg_packed_s8 *p);
/* Activations as the variant of `w` reads them: m rows of bytes with a stride of its own, cg_s8_rows_size bytes in all.
 * From f32 x[m][k] (leading dimension ldx), quantised per row with the scales in sa[m]; or from rows that are quantised
 * already. One row's place depends on its index only, so threads may each make some. */
size_t cg_s8_rows_size(const struct cg_packed_s8 *w, size_t m);
void cg_s8_rows_quant(const struct cg_packed_s8 *w, const struct cg_rowops *rows, size_t m, const float *x, size_t ldx,
                      void *out, float *sa);
void cg_s8_rows_copy(const struct cg_packed_s8 *w, size_t m, const int8_t *q, size_t ldq, void *out);
/* C[m][n] = f32(A * W^T) * sa * scale, A from one of these two; then the epilogue, or NULL. */
void cg_gemm_s8(const struct cg_plan *plan, size_t m, const void *a, const float *sa, const struct cg_packed_s8 *w,
                float *c, size_t ldc, const struct cg_epilogue *ep);

/* Weights W[n][k] in bf16 for the native bf16 GEMM (the declared fast mode), packed for one variant. */
struct cg_packed_bf16 {
    const struct cg_variant *variant;
    size_t n, k;
    uint16_t *b; /* panels */
};
/* Rounds f32 W[n][k] (row-major) to bf16 and packs it; 0 on success, -1 without memory. */
int cg_pack_bf16(const struct cg_variant *v, const struct cg_rowops *rows, size_t n, size_t k, const float *w,
                 struct cg_packed_bf16 *out);
void cg_packed_bf16_free(struct cg_packed_bf16 *p);
/* Activations as the variant of `w` reads them: f32 x[m][k] (leading dimension ldx) rounded to bf16, in rows with a
 * stride of their own, cg_bf16_rows_size bytes in all. One row's place depends on its index only, so threads may each
 * make some. */
size_t cg_bf16_rows_size(const struct cg_packed_bf16 *w, size_t m);
void cg_bf16_rows_round(const struct cg_packed_bf16 *w, const struct cg_rowops *rows, size_t m, const float *x,
                        size_t ldx, void *out);
/* C[m][n] = the variant's scalar model of A * W^T, A from cg_bf16_rows_round; then the epilogue, or NULL. */
void cg_gemm_bf16(const struct cg_plan *plan, size_t m, const void *a, const struct cg_packed_bf16 *w, float *c,
                  size_t ldc, const struct cg_epilogue *ep);

#endif
