/* Native bf16 GEMM with bfmmla: 2 rows of A times 2 columns of B, two pairs of products for each of the four f32
 * outputs, one pair after the other: kernels/ref/bf16_dot_arm.c is what each output is. Tiles of 8 x 12, and of 4 x 24,
 * which needs half the vectors of A put together and leaves few rows more chains, but reads twice the B for a
 * multiplication. */
#include <arm_neon.h>

#include "kernels/ops.h"

#define ELEM uint16_t
#define KR 4
typedef float32x4_t acc_vec;
typedef bfloat16x8_t vec;
typedef uint16x4_t half;
#define load_half(p) vld1_u16(p)
#define join(lo, hi) vreinterpretq_bf16_u16(vcombine_u16(lo, hi))
#define columns(b) vreinterpretq_bf16_u16(vld1q_u16(b))
#define mmla(c, x, y) vbfmmlaq_f32(c, x, y)

#include "kernels/arm/mmla_neon.inc.h"

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
