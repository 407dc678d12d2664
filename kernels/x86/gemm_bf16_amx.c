/* GEMM in AMX's own bf16 arithmetic: TDPBF16PS. One tile operation takes KU = 32 elements of the reduction, and what an
 * output is follows from that: cg_bf16_dot_amx of kernels/ref. Therefore the reduction is not divided among tiles, and an
 * output is the same in every tile. `prefetch` counts steps of KU rows. */
#include "kernels/ops.h"
#include "kernels/x86/amx.h"

/* Up to 16 rows of 32 columns, A in turn in two registers. */
static inline __attribute__((always_inline)) void tiles_1x2(size_t steps, const char *a, size_t stride, const char *b,
                                                            int fetch, size_t ahead)
{
    CG_TILE_ZERO(0);
    CG_TILE_ZERO(1);
    for (; steps >= 2; steps -= 2, a += 128, b += 4096) {
        CG_TILE_LOAD(4, a, stride);
        CG_TILE_LOAD(6, b, 128);
        CG_TILE_DPBF16PS(0, 4, 6);
        cg_fetch_lines(fetch, b + ahead, 16);
        CG_TILE_LOAD(7, b + 64, 128);
        CG_TILE_DPBF16PS(1, 4, 7);
        cg_fetch_lines(fetch, b + ahead + 1024, 16);
        CG_TILE_LOAD(5, a + 64, stride);
        CG_TILE_LOAD(6, b + 2048, 128);
        CG_TILE_DPBF16PS(0, 5, 6);
        cg_fetch_lines(fetch, b + ahead + 2048, 16);
        CG_TILE_LOAD(7, b + 2048 + 64, 128);
        CG_TILE_DPBF16PS(1, 5, 7);
        cg_fetch_lines(fetch, b + ahead + 3072, 16);
    }
    if (steps) {
        CG_TILE_LOAD(4, a, stride);
        CG_TILE_LOAD(6, b, 128);
        CG_TILE_DPBF16PS(0, 4, 6);
        CG_TILE_LOAD(7, b + 64, 128);
        CG_TILE_DPBF16PS(1, 4, 7);
    }
}

/* 17 rows and more take two tiles of 16, the second one ending with the last row: rows that both have are computed twice,
 * and no count of rows asks for a configuration of its own. */
void CG_AMX_KERNEL(cg_gemm_bf16_32x32_amx)(size_t m, size_t k, const uint16_t *a, size_t rs_a, const uint16_t *b,
                                           float *c, size_t rs_c, size_t prefetch)
{
    size_t steps = k / 32, stride = rs_a * sizeof *a, stride_c = rs_c * sizeof *c;
    const char *a0 = (const char *)a, *bp = (const char *)b;
    if (m <= 16) {
        cg_tiles_for_rows(m);
        if (prefetch) tiles_1x2(steps, a0, stride, bp, 1, prefetch * 2048);
        else tiles_1x2(steps, a0, stride, bp, 0, 0);
        CG_TILE_STORE(0, c, stride_c);
        CG_TILE_STORE(1, c + 16, stride_c);
        return;
    }
    size_t second = m - 16;
    float *c1 = c + second * rs_c;
    cg_tiles_for_rows(16);
    if (prefetch) cg_tiles_2x2(1, steps, a0, a0 + second * stride, stride, bp, 1, prefetch * 2048);
    else cg_tiles_2x2(1, steps, a0, a0 + second * stride, stride, bp, 0, 0);
    CG_TILE_STORE(0, c, stride_c);
    CG_TILE_STORE(1, c + 16, stride_c);
    CG_TILE_STORE(2, c1, stride_c);
    CG_TILE_STORE(3, c1 + 16, stride_c);
}

void CG_AMX_KERNEL(cg_gemm_bf16_16x64_amx)(size_t m, size_t k, const uint16_t *a, size_t rs_a, const uint16_t *b,
                                           float *c, size_t rs_c, size_t prefetch)
{
    size_t steps = k / 32, stride = rs_a * sizeof *a, stride_c = rs_c * sizeof *c;
    cg_tiles_for_rows(m);
    if (prefetch) cg_tiles_1x4(1, steps, (const char *)a, stride, (const char *)b, 1, prefetch * 4096);
    else cg_tiles_1x4(1, steps, (const char *)a, stride, (const char *)b, 0, 0);
    CG_TILE_STORE(0, c, stride_c);
    CG_TILE_STORE(1, c + 16, stride_c);
    CG_TILE_STORE(2, c + 32, stride_c);
    CG_TILE_STORE(3, c + 48, stride_c);
}
