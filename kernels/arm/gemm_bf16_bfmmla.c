/* Native bf16 GEMM with bfmmla: 2 rows of A times 2 columns of B, two pairs of products for each of the four f32
 * outputs, one pair after the other: kernels/ref/bf16_dot_arm.c is what each output is. Tiles of 8 x 12, and of 4 x 24,
 * which needs half the vectors of A put together and leaves few rows more chains, but reads twice the B for a
 * multiplication. */
#include <arm_neon.h>

#include "kernels/ops.h"

/* gcc 12 would move loads ahead until it has to move accumulators about for them. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("no-schedule-insns")
#endif

#define INLINE static inline __attribute__((always_inline))
#define KR 4

/* Two rows of A, one in each half; the last of an odd number stands in both. Loaded apart and then put together: a load
 * into the upper half would wait for the one into the lower. */
INLINE bfloat16x8_t two_rows(const uint16_t *const *a, size_t i, size_t m, size_t at)
{
    uint16x4_t lo = vld1_u16(a[i] + at), hi = lo;
    if (i + 1 < m) {
        hi = vld1_u16(a[i + 1] + at);
        __asm__("" : "+w"(hi));
    }
    return vreinterpretq_bf16_u16(vcombine_u16(lo, hi));
}

INLINE bfloat16x8_t two_columns(const uint16_t *b)
{
    return vreinterpretq_bf16_u16(vld1q_u16(b));
}

/* One group of 4 rows of B, nv vectors of 2 columns, against m rows of A: c[i/2*nv + j] holds the outputs of rows i and
 * i+1 and columns 2j, 2j+1. What is fewer stays in registers while the other passes. */
INLINE void step(size_t m, size_t nv, float32x4_t *c, const uint16_t *const *a, size_t at, const uint16_t *b)
{
    bfloat16x8_t av[2], bv[6];
    if (m > 4) {
#pragma GCC unroll 6
        for (size_t j = 0; j < nv; j++) bv[j] = two_columns(b + 8 * j);
#pragma GCC unroll 4
        for (size_t i = 0; i < m; i += 2) {
            av[0] = two_rows(a, i, m, at);
#pragma GCC unroll 6
            for (size_t j = 0; j < nv; j++) c[i / 2 * nv + j] = vbfmmlaq_f32(c[i / 2 * nv + j], av[0], bv[j]);
        }
        return;
    }
#pragma GCC unroll 2
    for (size_t i = 0; i < m; i += 2) av[i / 2] = two_rows(a, i, m, at);
#pragma GCC unroll 12
    for (size_t j = 0; j < nv; j++) {
        bv[0] = two_columns(b + 8 * j);
#pragma GCC unroll 2
        for (size_t i = 0; i < m; i += 2) c[i / 2 * nv + j] = vbfmmlaq_f32(c[i / 2 * nv + j], av[i / 2], bv[0]);
    }
}

/* C[m][2*nv]; m, nv and fetch are constants. */
INLINE void tile(size_t m, size_t nv, size_t k, const uint16_t *a, size_t rs_a, const uint16_t *b, float *c,
                 size_t rs_c, int fetch, size_t ahead)
{
    float32x4_t acc[24];
    const uint16_t *rows[8];
    const size_t used = nv * ((m + 1) / 2), group = 8 * nv;
#pragma GCC unroll 8
    for (size_t i = 0; i < m; i++) rows[i] = a + i * rs_a;
#pragma GCC unroll 24
    for (size_t x = 0; x < used; x++) acc[x] = vdupq_n_f32(0.0f);
        /* Starts that look alike to the compiler would share a register and be copied apart in the loop. */
#pragma GCC unroll 24
    for (size_t x = 0; x < used; x++) __asm__("" : "+w"(acc[x]));
    for (size_t p = 0; p < k; p += KR, b += group) {
        if (fetch)
#pragma GCC unroll 3
            for (size_t x = 0; x < group; x += 32) __builtin_prefetch(b + ahead + x);
        step(m, nv, acc, rows, p, b);
    }
#pragma GCC unroll 8
    for (size_t i = 0; i < m; i++)
#pragma GCC unroll 6
        for (size_t j = 0; j < nv / 2; j++) {
            const float32x4_t *at = acc + nv * (i / 2) + 2 * j;
            float64x2_t lo = vreinterpretq_f64_f32(at[0]), hi = vreinterpretq_f64_f32(at[1]);
            vst1q_f32(c + i * rs_c + 4 * j, vreinterpretq_f32_f64(i % 2 ? vzip2q_f64(lo, hi) : vzip1q_f64(lo, hi)));
        }
}

/* One function a tile, so that each has the registers to itself. */
#define TILE(nv, m)                                                                                                    \
    static __attribute__((noinline)) void tile_##m##x##nv(size_t k, const uint16_t *a, size_t rs_a, const uint16_t *b, \
                                                          float *c, size_t rs_c, size_t prefetch)                      \
    {                                                                                                                  \
        if (prefetch) tile(m, nv, k, a, rs_a, b, c, rs_c, 1, prefetch * 2 * nv);                                       \
        else tile(m, nv, k, a, rs_a, b, c, rs_c, 0, 0);                                                                \
    }

#define CASE(nv, m)                                        \
    case m:                                                \
        tile_##m##x##nv(k, a, rs_a, b, c, rs_c, prefetch); \
        break;

#define KERNEL(name, TILES)                                                                                   \
    TILES(TILE)                                                                                               \
    void cg_gemm_bf16_##name(size_t m, size_t k, const uint16_t *a, size_t rs_a, const uint16_t *b, float *c, \
                             size_t rs_c, size_t prefetch)                                                    \
    {                                                                                                         \
        switch (m) {                                                                                          \
            TILES(CASE)                                                                                       \
        }                                                                                                     \
    }

/* X(vectors of two columns, rows) */
#define TILES_12(X) X(6, 1) X(6, 2) X(6, 3) X(6, 4) X(6, 5) X(6, 6) X(6, 7) X(6, 8)
#define TILES_24(X) X(12, 1) X(12, 2) X(12, 3) X(12, 4)
KERNEL(8x12_bfmmla, TILES_12)
KERNEL(4x24_bfmmla, TILES_24)
