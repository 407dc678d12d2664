/* INT8 GEMM with AMX tiles: TDPBSSD adds 16 rows x 64 bytes of A times 64 rows x 16 columns of B to a tile of int32. A
 * stays signed. `prefetch` counts steps of KU = 64 rows. The sums leave through a small buffer, where they meet the
 * scales. */
#include "kernels/ops.h"
#include "kernels/x86/amx.h"

#define INLINE static inline __attribute__((always_inline))

/* A row of a tile; as gcc's vectors, since the model is compiled for any machine. */
typedef int32_t int32x16 __attribute__((vector_size(64)));
typedef float float32x16 __attribute__((vector_size(64)));
typedef float float32x16_any __attribute__((vector_size(64), aligned(4), may_alias)); /* aligned or not */

/* C[rows][16] from the sums, at most 16 rows. */
INLINE void scale(size_t rows, const int32x16 *sum, const float *sa, const float *sb, float *c, size_t rs_c)
{
    const float32x16 by = *(const float32x16_any *)sb;
    for (size_t i = 0; i < rows; i++)
        *(float32x16_any *)(c + i * rs_c) = __builtin_convertvector(sum[i], float32x16) * sa[i] * by;
}

/* Up to 16 rows of 32 columns. Two chains would wait for each other's latency; so two sets of tiles take turns at the
 * steps and are added at the end (integers: any order gives the same sum). */
INLINE void tiles_1x2(size_t steps, const char *a, size_t stride, const char *b, int fetch, size_t ahead)
{
    CG_TILE_ZERO(0);
    CG_TILE_ZERO(1);
    CG_TILE_ZERO(2);
    CG_TILE_ZERO(3);
    for (; steps >= 2; steps -= 2, a += 128, b += 4096) {
        CG_TILE_LOAD(4, a, stride);
        CG_TILE_LOAD(6, b, 128);
        CG_TILE_DPBSSD(0, 4, 6);
        cg_fetch_lines(fetch, b + ahead, 16);
        CG_TILE_LOAD(7, b + 64, 128);
        CG_TILE_DPBSSD(1, 4, 7);
        cg_fetch_lines(fetch, b + ahead + 1024, 16);
        CG_TILE_LOAD(5, a + 64, stride);
        CG_TILE_LOAD(6, b + 2048, 128);
        CG_TILE_DPBSSD(2, 5, 6);
        cg_fetch_lines(fetch, b + ahead + 2048, 16);
        CG_TILE_LOAD(7, b + 2048 + 64, 128);
        CG_TILE_DPBSSD(3, 5, 7);
        cg_fetch_lines(fetch, b + ahead + 3072, 16);
    }
    if (steps) {
        CG_TILE_LOAD(4, a, stride);
        CG_TILE_LOAD(6, b, 128);
        CG_TILE_DPBSSD(0, 4, 6);
        CG_TILE_LOAD(7, b + 64, 128);
        CG_TILE_DPBSSD(1, 4, 7);
    }
}

static void up_to_16x32(size_t m, size_t steps, const char *a, size_t rs_a, const char *b, const float *sa,
                        const float *sb, float *c, size_t rs_c, size_t prefetch)
{
    int32x16 sum[4][16];
    cg_tiles_for_rows(m);
    if (prefetch) tiles_1x2(steps, a, rs_a, b, 1, prefetch * 2048);
    else tiles_1x2(steps, a, rs_a, b, 0, 0);
    CG_TILE_STORE(0, sum[0], 64);
    CG_TILE_STORE(1, sum[1], 64);
    CG_TILE_STORE(2, sum[2], 64);
    CG_TILE_STORE(3, sum[3], 64);
    for (size_t t = 0; t < 2; t++) {
        for (size_t i = 0; i < m; i++) sum[t][i] += sum[t + 2][i];
        scale(m, sum[t], sa, sb + 16 * t, c + 16 * t, rs_c);
    }
}

/* 17 rows and more take two tiles of 16, the second one ending with the last row: rows that both have are computed twice,
 * and no count of rows asks for a configuration of its own. */
void CG_AMX_KERNEL(cg_gemm_s8_32x32_amx)(size_t m, size_t k, const void *a, size_t rs_a, const int8_t *b,
                                         const int32_t *comp, const float *sa, const float *sb, float *c, size_t rs_c,
                                         size_t prefetch)
{
    (void)comp;
    size_t steps = (k + 63) / 64;
    const char *a0 = a, *bp = (const char *)b;
    if (m <= 16) {
        up_to_16x32(m, steps, a0, rs_a, bp, sa, sb, c, rs_c, prefetch);
        return;
    }
    int32x16 sum[4][16];
    size_t second = m - 16;
    cg_tiles_for_rows(16);
    if (prefetch) cg_tiles_2x2(0, steps, a0, a0 + second * rs_a, rs_a, bp, 1, prefetch * 2048);
    else cg_tiles_2x2(0, steps, a0, a0 + second * rs_a, rs_a, bp, 0, 0);
    CG_TILE_STORE(0, sum[0], 64);
    CG_TILE_STORE(1, sum[1], 64);
    CG_TILE_STORE(2, sum[2], 64);
    CG_TILE_STORE(3, sum[3], 64);
    scale(16, sum[0], sa, sb, c, rs_c);
    scale(16, sum[1], sa, sb + 16, c + 16, rs_c);
    scale(16, sum[2], sa + second, sb, c + second * rs_c, rs_c);
    scale(16, sum[3], sa + second, sb + 16, c + second * rs_c + 16, rs_c);
}

void CG_AMX_KERNEL(cg_gemm_s8_16x64_amx)(size_t m, size_t k, const void *a, size_t rs_a, const int8_t *b,
                                         const int32_t *comp, const float *sa, const float *sb, float *c, size_t rs_c,
                                         size_t prefetch)
{
    (void)comp;
    int32x16 sum[4][16];
    size_t steps = (k + 63) / 64;
    cg_tiles_for_rows(m);
    if (prefetch) cg_tiles_1x4(0, steps, a, rs_a, (const char *)b, 1, prefetch * 4096);
    else cg_tiles_1x4(0, steps, a, rs_a, (const char *)b, 0, 0);
    CG_TILE_STORE(0, sum[0], 64);
    CG_TILE_STORE(1, sum[1], 64);
    CG_TILE_STORE(2, sum[2], 64);
    CG_TILE_STORE(3, sum[3], 64);
    for (size_t t = 0; t < 4; t++) scale(m, sum[t], sa, sb + 16 * t, c + 16 * t, rs_c);
}
