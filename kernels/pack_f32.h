/* Packing for the f32 GEMM's loops, and how they cut work into pieces. For gemm.c, gemm_parts.h and pack_f32.c only. */
#ifndef CG_KERNELS_PACK_F32_H
#define CG_KERNELS_PACK_F32_H

#include <stddef.h>

#include "kernels/util.h"

/* Piece `t` when n are cut into `pieces` of about one size: the first of it at *first, how many is returned. */
static inline size_t piece(size_t n, size_t pieces, size_t t, size_t *first)
{
    size_t base = n / pieces, more = n % pieces;
    *first = t * base + min_size(t, more);
    return base + (t < more);
}

/* A matrix operand: element (i, p) at a[i*rs + p*cs]. */
struct operand {
    const float *a;
    size_t rs, cs;
};

/* Panels first..last of B as cg_pack_f32 lays them out, of which n columns exist: element (p, j) at b[p*rs_b + j*cs_b].
 */
void cg_pack_panels(size_t first, size_t last, size_t n, size_t k, const float *b, size_t rs_b, size_t cs_b, size_t nr,
                    float *out);

/* m rows of A whose columns are contiguous (a.rs == 1), in tiles as piece() cuts them to at most mr rows, so that the
 * kernel reads one stream: the tile of `rows` rows from row i at out + i*k, its element (r, p) at + p*rows + r. */
void cg_pack_rows(size_t m, size_t mr, size_t k, struct operand a, float *out);

#endif
