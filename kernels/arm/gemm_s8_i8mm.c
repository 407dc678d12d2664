/* INT8 GEMM with smmla: 2 rows of A times 2 columns of B, 8 products for each of the four int32 outputs, exactly. Tiles
 * of 8 x 12, and of 4 x 24, which needs half the vectors of A put together and leaves few rows more chains, but reads
 * twice the B for a multiplication. */
#include <arm_neon.h>

#include "kernels/ops.h"

#define ELEM int8_t
#define KR 8
typedef int32x4_t acc_vec;
typedef int8x16_t vec;
typedef int8x8_t half;
#define load_half(p) vld1_s8(p)
#define join(lo, hi) vcombine_s8(lo, hi)
#define columns(b) vld1q_s8(b)
#define mmla(c, x, y) vmmlaq_s32(c, x, y)

#include "kernels/arm/mmla_neon.inc.h"

/* One row of outputs of 4 columns, scaled and stored. */
INLINE void store(float *c, int64x2_t lo_hi, float sa, const float *sb)
{
    float32x4_t f = vmulq_n_f32(vcvtq_f32_s32(vreinterpretq_s32_s64(lo_hi)), sa);
    vst1q_f32(c, vmulq_f32(f, vld1q_f32(sb)));
}

/* C[m][2*nv]; m, nv, split and fetch are constants. Few rows leave few chains, each bound by the latency of smmla:
 * `split` sets of accumulators take turns at the groups and are added at the end (integers: any order is exact). */
INLINE void tile(size_t m, size_t nv, size_t split, size_t k, const int8_t *a, size_t rs_a, const int8_t *b,
                 const float *sa, const float *sb, float *c, size_t rs_c, int fetch, size_t ahead)
{
    int32x4_t acc[24];
    const int8_t *rows[8];
    const size_t set = nv * ((m + 1) / 2), group = 16 * nv;
#pragma GCC unroll 8
    for (size_t i = 0; i < m; i++) rows[i] = a + i * rs_a;
#pragma GCC unroll 24
    for (size_t x = 0; x < split * set; x++) acc[x] = vdupq_n_s32(0);
        /* Starts that look alike to the compiler would share a register and be copied apart in the loop. */
#pragma GCC unroll 24
    for (size_t x = 0; x < split * set; x++) __asm__("" : "+w"(acc[x]));
    size_t groups = (k + KR - 1) / KR, g = 0;
    for (; g + split <= groups; g += split, b += split * group) {
        if (fetch)
#pragma GCC unroll 12
            for (size_t x = 0; x < split * group; x += 64) __builtin_prefetch(b + ahead + x);
#pragma GCC unroll 4
        for (size_t s = 0; s < split; s++) step(m, nv, acc + set * s, rows, KR * (g + s), b + s * group);
    }
    for (; split > 1 && g < groups; g++, b += group) step(m, nv, acc, rows, KR * g, b);
#pragma GCC unroll 24
    for (size_t x = set; x < split * set; x++) acc[x % set] = vaddq_s32(acc[x % set], acc[x]);
#pragma GCC unroll 8
    for (size_t i = 0; i < m; i++)
#pragma GCC unroll 6
        for (size_t j = 0; j < nv / 2; j++) {
            const int32x4_t *at = acc + nv * (i / 2) + 2 * j;
            int64x2_t lo = vreinterpretq_s64_s32(at[0]), hi = vreinterpretq_s64_s32(at[1]);
            store(c + i * rs_c + 4 * j, i % 2 ? vzip2q_s64(lo, hi) : vzip1q_s64(lo, hi), sa[i], sb + 4 * j);
        }
}

/* One function a tile, so that each has the registers to itself. */
#define TILE(nv, m, split)                                                                                         \
    static __attribute__((noinline)) void tile_##m##x##nv(size_t k, const int8_t *a, size_t rs_a, const int8_t *b, \
                                                          const float *sa, const float *sb, float *c, size_t rs_c, \
                                                          size_t prefetch)                                         \
    {                                                                                                              \
        if (prefetch) tile(m, nv, split, k, a, rs_a, b, sa, sb, c, rs_c, 1, prefetch * 2 * nv);                    \
        else tile(m, nv, split, k, a, rs_a, b, sa, sb, c, rs_c, 0, 0);                                             \
    }

#define CASE(nv, m, split)                                         \
    case m:                                                        \
        tile_##m##x##nv(k, a, rs_a, b, sa, sb, c, rs_c, prefetch); \
        break;

#define KERNEL(name, TILES)                                                                                      \
    TILES(TILE)                                                                                                  \
    void cg_gemm_s8_##name(size_t m, size_t k, const void *a, size_t rs_a, const int8_t *b, const int32_t *comp, \
                           const float *sa, const float *sb, float *c, size_t rs_c, size_t prefetch)             \
    {                                                                                                            \
        (void)comp;                                                                                              \
        switch (m) {                                                                                             \
            TILES(CASE)                                                                                          \
        }                                                                                                        \
    }

/* X(vectors of two columns, rows, sets of accumulators) */
#define TILES_12(X) X(6, 1, 2) X(6, 2, 2) X(6, 3, 1) X(6, 4, 1) X(6, 5, 1) X(6, 6, 1) X(6, 7, 1) X(6, 8, 1)
#define TILES_24(X) X(12, 1, 1) X(12, 2, 1) X(12, 3, 1) X(12, 4, 1)
KERNEL(8x12_i8mm, TILES_12)
KERNEL(4x24_i8mm, TILES_24)
