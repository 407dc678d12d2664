/* INT8 GEMM with the VEX form of vpdpbusd (AVX-VNNI): gemm_s8_avx512_vnni.c on 256-bit registers, 16 of them. */
#include <immintrin.h>

#include "kernels/ops.h"

#define INLINE static inline __attribute__((always_inline))
#define NV 3 /* registers of 8 columns: NR = 24 */

/* One row of A, 4 elements, against NV registers of B; as assembly, for gcc 12's register allocation. */
INLINE void row(__m256i *c, const uint8_t *a, const __m256i *b)
{
    const struct {
        uint8_t x[4];
    } *four = (const void *)a;
    __m256i av;
    __asm__("vpbroadcastd %4, %3\n\t"
            "%{vex%} vpdpbusd %5, %3, %0\n\t"
            "%{vex%} vpdpbusd %6, %3, %1\n\t"
            "%{vex%} vpdpbusd %7, %3, %2"
            : "+x"(c[0]), "+x"(c[1]), "+x"(c[2]), "=&x"(av)
            : "m"(*four), "x"(b[0]), "x"(b[1]), "x"(b[2]));
}

/* One group of 4 rows of B against m rows of A. */
INLINE void step(size_t m, __m256i *c, const uint8_t *a, size_t rs_a, const int8_t *b, int fetch, size_t ahead)
{
    __m256i bv[NV];
#pragma GCC unroll 3
    for (size_t j = 0; j < NV; j++) bv[j] = _mm256_loadu_si256((const __m256i *)(b + 32 * j));
    if (fetch) {
        _mm_prefetch((const char *)b + ahead, _MM_HINT_T0);
        _mm_prefetch((const char *)b + ahead + 64, _MM_HINT_T0);
    }
#pragma GCC unroll 4
    for (size_t i = 0; i < m; i++) row(c + i * NV, a + i * rs_a, bv);
}

/* C[m][24]; m, split and fetch are constants. `split` sets of accumulators give short tiles enough chains. */
INLINE void tile(size_t m, size_t split, size_t k, const uint8_t *a, size_t rs_a, const int8_t *b, const int32_t *comp,
                 const float *sa, const float *sb, float *c, size_t rs_c, int fetch, size_t ahead)
{
    __m256i acc[12];
#pragma GCC unroll 12
    for (size_t x = 0; x < split * m * NV; x++)
        acc[x] = x < m * NV ? _mm256_loadu_si256((const __m256i *)(comp + 8 * (x % NV))) : _mm256_setzero_si256();
        /* Starts that look alike to the compiler would share a register and be copied apart in the loop. */
#pragma GCC unroll 12
    for (size_t x = 0; x < split * m * NV; x++) __asm__("" : "+x"(acc[x]));
    size_t groups = (k + 3) / 4, g = 0;
    if (groups >= split) {
        do {
#pragma GCC unroll 4
            for (size_t s = 0; s < split; s++)
                step(m, acc + s * m * NV, a + 4 * s, rs_a, b + 32 * NV * s, fetch, ahead);
            a += 4 * split;
            b += 32 * NV * split;
            g += split;
        } while (g + split <= groups);
    }
    for (; split > 1 && g < groups; g++, a += 4, b += 32 * NV) step(m, acc, a, rs_a, b, 0, 0);
#pragma GCC unroll 12
    for (size_t x = m * NV; x < split * m * NV; x++) acc[x % (m * NV)] = _mm256_add_epi32(acc[x % (m * NV)], acc[x]);
#pragma GCC unroll 4
    for (size_t i = 0; i < m; i++)
#pragma GCC unroll 3
        for (size_t j = 0; j < NV; j++) {
            __m256 f = _mm256_mul_ps(_mm256_cvtepi32_ps(acc[i * NV + j]), _mm256_set1_ps(sa[i]));
            _mm256_storeu_ps(c + i * rs_c + 8 * j, _mm256_mul_ps(f, _mm256_loadu_ps(sb + 8 * j)));
        }
}

/* One function a tile: gcc's register allocator goes wrong where several share one. */
#define TILE(m, split)                                                                                               \
    static __attribute__((noinline)) void tile_##m(size_t k, const uint8_t *a, size_t rs_a, const int8_t *b,         \
                                                   const int32_t *comp, const float *sa, const float *sb, float *c,  \
                                                   size_t rs_c, size_t ahead)                                        \
    {                                                                                                                \
        tile(m, split, k, a, rs_a, b, comp, sa, sb, c, rs_c, 1, ahead);                                              \
    }                                                                                                                \
    static __attribute__((noinline)) void tile_##m##_plain(size_t k, const uint8_t *a, size_t rs_a, const int8_t *b, \
                                                           const int32_t *comp, const float *sa, const float *sb,    \
                                                           float *c, size_t rs_c)                                    \
    {                                                                                                                \
        tile(m, split, k, a, rs_a, b, comp, sa, sb, c, rs_c, 0, 0);                                                  \
    }

#define CASE(m, split)                                                                   \
    case m:                                                                              \
        if (prefetch) tile_##m(k, a, rs_a, b, comp, sa, sb, c, rs_c, prefetch * 8 * NV); \
        else tile_##m##_plain(k, a, rs_a, b, comp, sa, sb, c, rs_c);                     \
        break;

/* X(rows, sets of accumulators) */
#define TILES(X) X(1, 4) X(2, 2) X(3, 1) X(4, 1)
TILES(TILE)

void cg_gemm_s8_4x24_avx_vnni(size_t m, size_t k, const void *a, size_t rs_a, const int8_t *b, const int32_t *comp,
                              const float *sa, const float *sb, float *c, size_t rs_c, size_t prefetch)
{
    switch (m) {
        TILES(CASE)
    }
}
