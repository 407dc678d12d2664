/* INT8 GEMM for Advanced SIMD without sdot: smull makes eight s8*s8 products, sadalp adds pairs of them to int32 lanes.
 * smlal would add two products in 16 bits, which -128 * -128 twice does not fit. Each output is a vector of partial
 * sums over 16 rows of B at a time, so nothing is broadcast. */
#include <arm_neon.h>

#include "kernels/ops.h"

#define INLINE static inline __attribute__((always_inline))
#define NR 4
#define KR 16

/* Adds 16 products to the partial sums of one output. As assembly, since gcc 12 spills accumulators around the
 * intrinsics. */
INLINE int32x4_t dot16(int32x4_t c, int8x16_t a, int8x16_t b)
{
    int16x8_t lo, hi;
    __asm__("smull %1.8h, %3.8b, %4.8b\n\t"
            "smull2 %2.8h, %3.16b, %4.16b\n\t"
            "sadalp %0.4s, %1.8h\n\t"
            "sadalp %0.4s, %2.8h"
            : "+w"(c), "=&w"(lo), "=&w"(hi)
            : "w"(a), "w"(b));
    return c;
}

/* C[m][4]; m and fetch are constants. */
INLINE void tile(size_t m, size_t k, const int8_t *a, size_t rs_a, const int8_t *b, const float *sa, const float *sb,
                 float *c, size_t rs_c, int fetch, size_t ahead)
{
    int32x4_t acc[4 * NR];
#pragma GCC unroll 16
    for (size_t x = 0; x < NR * m; x++) acc[x] = vdupq_n_s32(0);
    for (size_t p = 0; p < k; p += KR, b += NR * KR) {
        int8x16_t bv[NR];
#pragma GCC unroll 4
        for (size_t j = 0; j < NR; j++) bv[j] = vld1q_s8(b + KR * j);
        if (fetch) __builtin_prefetch(b + ahead);
#pragma GCC unroll 4
        for (size_t i = 0; i < m; i++) {
            int8x16_t av = vld1q_s8(a + i * rs_a + p);
#pragma GCC unroll 4
            for (size_t j = 0; j < NR; j++) acc[NR * i + j] = dot16(acc[NR * i + j], av, bv[j]);
        }
    }
    float32x4_t scale = vld1q_f32(sb);
#pragma GCC unroll 4
    for (size_t i = 0; i < m; i++) {
        int32x4_t *x = acc + NR * i;
        int32x4_t sum = vpaddq_s32(vpaddq_s32(x[0], x[1]), vpaddq_s32(x[2], x[3]));
        vst1q_f32(c + i * rs_c, vmulq_f32(vmulq_n_f32(vcvtq_f32_s32(sum), sa[i]), scale));
    }
}

/* One function a tile, so that each has the registers to itself. */
#define TILE(m)                                                                                             \
    static __attribute__((noinline)) void tile_##m(size_t k, const int8_t *a, size_t rs_a, const int8_t *b, \
                                                   const float *sa, const float *sb, float *c, size_t rs_c, \
                                                   size_t prefetch)                                         \
    {                                                                                                       \
        if (prefetch) tile(m, k, a, rs_a, b, sa, sb, c, rs_c, 1, prefetch *NR);                             \
        else tile(m, k, a, rs_a, b, sa, sb, c, rs_c, 0, 0);                                                 \
    }
TILE(1)
TILE(2)
TILE(3)
TILE(4)

void cg_gemm_s8_4x4_neon(size_t m, size_t k, const void *a, size_t rs_a, const int8_t *b, const int32_t *comp,
                         const float *sa, const float *sb, float *c, size_t rs_c, size_t prefetch)
{
    (void)comp;
    switch (m) {
    case 1: tile_1(k, a, rs_a, b, sa, sb, c, rs_c, prefetch); break;
    case 2: tile_2(k, a, rs_a, b, sa, sb, c, rs_c, prefetch); break;
    case 3: tile_3(k, a, rs_a, b, sa, sb, c, rs_c, prefetch); break;
    case 4: tile_4(k, a, rs_a, b, sa, sb, c, rs_c, prefetch); break;
    }
}
