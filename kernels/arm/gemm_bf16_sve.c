/* Native bf16 GEMM with SVE's bfmmla, compiled once for each length of its vectors (-msve-vector-bits): each 128-bit
 * segment is 2 rows of A times 2 columns of B, two pairs of products for each of the four f32 outputs, one pair after
 * the other: kernels/ref/bf16_dot_arm.c is what each output is. V is the 32-bit lanes of a vector. Tiles of 8 x 3V, and
 * of 4 x 6V, which needs half the vectors of A put together and leaves few rows more chains, but reads twice the B for
 * a multiplication. */
#include <arm_sve.h>

#include "kernels/ops.h"

#define ELEM uint16_t
#define KR 4
typedef svfloat32_t acc_vec __attribute__((arm_sve_vector_bits(__ARM_FEATURE_SVE_BITS)));
typedef svbfloat16_t vec __attribute__((arm_sve_vector_bits(__ARM_FEATURE_SVE_BITS)));
#define as_vec(x) svreinterpret_bf16(x)
#define columns(b) svreinterpret_bf16(svld1(svptrue_b16(), b))
#define mmla(c, x, y) svbfmmla(c, x, y)

#include "kernels/arm/mmla_sve.inc.h"

/* C[m][nv*V/2]; m, nv and fetch are constants. */
INLINE void tile(size_t m, size_t nv, size_t k, const uint16_t *a, size_t rs_a, const uint16_t *b, float *c,
                 size_t rs_c, int fetch, size_t ahead)
{
    acc_vec acc[24];
    const uint16_t *rows[8];
    const size_t used = nv * ((m + 1) / 2), group = PER_VEC * nv;
#pragma GCC unroll 8
    for (size_t i = 0; i < m; i++) rows[i] = a + i * rs_a;
#pragma GCC unroll 24
    for (size_t x = 0; x < used; x++) acc[x] = svdup_f32(0.0f);
        /* Starts that look alike to the compiler would share a register and be copied apart in the loop. */
#pragma GCC unroll 24
    for (size_t x = 0; x < used; x++) __asm__("" : "+w"(acc[x]));
    for (size_t p = 0; p < k; p += KR, b += group) {
        if (fetch) prefetch_group(b + ahead, group);
        step(m, nv, acc, rows, b);
#pragma GCC unroll 8
        for (size_t i = 0; i < m; i++) rows[i] += KR;
    }
#pragma GCC unroll 8
    for (size_t i = 0; i < m; i++)
#pragma GCC unroll 6
        for (size_t j = 0; j < nv / 2; j++) {
            const acc_vec *at = acc + nv * (i / 2) + 2 * j;
            svfloat64_t lo = svreinterpret_f64(at[0]), hi = svreinterpret_f64(at[1]);
            svfloat64_t row = i % 2 ? svuzp2(lo, hi) : svuzp1(lo, hi);
            svst1(svptrue_b32(), c + i * rs_c + V * j, svreinterpret_f32(row));
        }
}

/* One function a tile, so that each has the registers to itself. */
#define TILE(nv, m)                                                                                                    \
    static __attribute__((noinline)) void tile_##m##x##nv(size_t k, const uint16_t *a, size_t rs_a, const uint16_t *b, \
                                                          float *c, size_t rs_c, size_t prefetch)                      \
    {                                                                                                                  \
        if (prefetch) tile(m, nv, k, a, rs_a, b, c, rs_c, 1, prefetch *nv *V / 2);                                     \
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

/* X(vectors of V/2 columns, rows) */
#define TILES_3V(X) X(6, 1) X(6, 2) X(6, 3) X(6, 4) X(6, 5) X(6, 6) X(6, 7) X(6, 8)
#define TILES_6V(X) X(12, 1) X(12, 2) X(12, 3) X(12, 4)

#if __ARM_FEATURE_SVE_BITS == 128
KERNEL(8x12_sve128, TILES_3V)
KERNEL(4x24_sve128, TILES_6V)
#elif __ARM_FEATURE_SVE_BITS == 256
KERNEL(8x24_sve256, TILES_3V)
KERNEL(4x48_sve256, TILES_6V)
#elif __ARM_FEATURE_SVE_BITS == 512
KERNEL(8x48_sve512, TILES_3V)
KERNEL(4x96_sve512, TILES_6V)
#elif __ARM_FEATURE_SVE_BITS == 1024
KERNEL(8x96_sve1024, TILES_3V)
KERNEL(4x192_sve1024, TILES_6V)
#elif __ARM_FEATURE_SVE_BITS == 2048
KERNEL(8x192_sve2048, TILES_3V)
KERNEL(4x384_sve2048, TILES_6V)
#else
#error "compile with -msve-vector-bits=128, 256, 512, 1024 or 2048"
#endif
