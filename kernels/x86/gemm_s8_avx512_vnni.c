/* INT8 GEMM with vpdpbusd on 512-bit registers: a lane adds four u8*s8 products to an int32. A comes offset by 128 and
 * `comp` takes the offset out again; sums wrap modulo 2^32, so the result is exact even where they pass through more.
 */
#include <immintrin.h>

#include "kernels/ops.h"

#define INLINE static inline __attribute__((always_inline))

/* One row of A, 4 elements, against nv registers of B. As assembly, since gcc 12 copies and spills accumulators around
 * the intrinsic (and, less often, around a wrapper of the one instruction). */
INLINE void row(size_t nv, __m512i *c, const uint8_t *a, const __m512i *b)
{
    const struct {
        uint8_t x[4];
    } *four = (const void *)a;
    __m512i av;
    if (nv == 3)
        __asm__("vpbroadcastd %4, %3\n\t"
                "vpdpbusd %5, %3, %0\n\t"
                "vpdpbusd %6, %3, %1\n\t"
                "vpdpbusd %7, %3, %2"
                : "+v"(c[0]), "+v"(c[1]), "+v"(c[2]), "=&v"(av)
                : "m"(*four), "v"(b[0]), "v"(b[1]), "v"(b[2]));
    else
        __asm__("vpbroadcastd %5, %4\n\t"
                "vpdpbusd %6, %4, %0\n\t"
                "vpdpbusd %7, %4, %1\n\t"
                "vpdpbusd %8, %4, %2\n\t"
                "vpdpbusd %9, %4, %3"
                : "+v"(c[0]), "+v"(c[1]), "+v"(c[2]), "+v"(c[3]), "=&v"(av)
                : "m"(*four), "v"(b[0]), "v"(b[1]), "v"(b[2]), "v"(b[3]));
}

/* One group of 4 rows of B against m rows of A. `c` has nv registers a row. */
INLINE void step(size_t m, size_t nv, __m512i *c, const uint8_t *a, size_t rs_a, const int8_t *b, int fetch,
                 size_t ahead)
{
    __m512i bv[4];
#pragma GCC unroll 4
    for (size_t j = 0; j < nv; j++) bv[j] = _mm512_loadu_si512(b + 64 * j);
    if (fetch) {
#pragma GCC unroll 4
        for (size_t j = 0; j < nv; j++) _mm_prefetch((const char *)b + ahead + 64 * j, _MM_HINT_T0);
    }
#pragma GCC unroll 8
    for (size_t i = 0; i < m; i++) row(nv, c + i * nv, a + i * rs_a, bv);
}

/* C[m][16*nv]. Few rows leave few chains, each bound by the latency of vpdpbusd: `split` sets of accumulators take
 * turns at the groups and are added at the end (integers: any order gives the same sum). m, nv, split and fetch are
 * constants. */
INLINE void tile(size_t m, size_t nv, size_t split, size_t k, const uint8_t *a, size_t rs_a, const int8_t *b,
                 const int32_t *comp, const float *sa, const float *sb, float *c, size_t rs_c, int fetch, size_t ahead)
{
    __m512i acc[24];
#pragma GCC unroll 24
    for (size_t x = 0; x < split * m * nv; x++)
        acc[x] = x < m * nv ? _mm512_loadu_si512(comp + 16 * (x % nv)) : _mm512_setzero_si512();
        /* Starts that look alike to the compiler would share a register and be copied apart in the loop. */
#pragma GCC unroll 24
    for (size_t x = 0; x < split * m * nv; x++) __asm__("" : "+v"(acc[x]));
    size_t groups = (k + 3) / 4, g = 0;
    if (groups >= split) {
        do {
#pragma GCC unroll 4
            for (size_t s = 0; s < split; s++)
                step(m, nv, acc + s * m * nv, a + 4 * s, rs_a, b + 64 * nv * s, fetch, ahead);
            a += 4 * split;
            b += 64 * nv * split;
            g += split;
        } while (g + split <= groups);
    }
    for (; split > 1 && g < groups; g++, a += 4, b += 64 * nv) step(m, nv, acc, a, rs_a, b, 0, 0);
#pragma GCC unroll 24
    for (size_t x = m * nv; x < split * m * nv; x++) acc[x % (m * nv)] = _mm512_add_epi32(acc[x % (m * nv)], acc[x]);
#pragma GCC unroll 8
    for (size_t i = 0; i < m; i++)
#pragma GCC unroll 4
        for (size_t j = 0; j < nv; j++) {
            __m512 f = _mm512_mul_ps(_mm512_cvtepi32_ps(acc[i * nv + j]), _mm512_set1_ps(sa[i]));
            _mm512_storeu_ps(c + i * rs_c + 16 * j, _mm512_mul_ps(f, _mm512_loadu_ps(sb + 16 * j)));
        }
}

/* One function a tile: gcc's register allocator goes wrong where several share one. */
#define TILE(nv, m, split)                                                                                          \
    static __attribute__((noinline)) void tile_##m##x##nv(size_t k, const uint8_t *a, size_t rs_a, const int8_t *b, \
                                                          const int32_t *comp, const float *sa, const float *sb,    \
                                                          float *c, size_t rs_c, size_t ahead)                      \
    {                                                                                                               \
        tile(m, nv, split, k, a, rs_a, b, comp, sa, sb, c, rs_c, 1, ahead);                                         \
    }                                                                                                               \
    static __attribute__((noinline)) void tile_##m##x##nv##_plain(                                                  \
        size_t k, const uint8_t *a, size_t rs_a, const int8_t *b, const int32_t *comp, const float *sa,             \
        const float *sb, float *c, size_t rs_c)                                                                     \
    {                                                                                                               \
        tile(m, nv, split, k, a, rs_a, b, comp, sa, sb, c, rs_c, 0, 0);                                             \
    }

#define CASE(nv, m, split)                                                                       \
    case m:                                                                                      \
        if (prefetch) tile_##m##x##nv(k, a, rs_a, b, comp, sa, sb, c, rs_c, prefetch * 16 * nv); \
        else tile_##m##x##nv##_plain(k, a, rs_a, b, comp, sa, sb, c, rs_c);                      \
        break;

/* X(registers of 16 columns, rows, sets of accumulators) */
#define TILES_48(X) X(3, 1, 4) X(3, 2, 2) X(3, 3, 2) X(3, 4, 1) X(3, 5, 1) X(3, 6, 1) X(3, 7, 1) X(3, 8, 1)
#define TILES_64(X) X(4, 1, 4) X(4, 2, 2) X(4, 3, 1) X(4, 4, 1) X(4, 5, 1) X(4, 6, 1)
TILES_48(TILE)
TILES_64(TILE)

void cg_gemm_s8_8x48_avx512_vnni(size_t m, size_t k, const void *a, size_t rs_a, const int8_t *b, const int32_t *comp,
                                 const float *sa, const float *sb, float *c, size_t rs_c, size_t prefetch)
{
    switch (m) {
        TILES_48(CASE)
    }
}

void cg_gemm_s8_6x64_avx512_vnni(size_t m, size_t k, const void *a, size_t rs_a, const int8_t *b, const int32_t *comp,
                                 const float *sa, const float *sb, float *c, size_t rs_c, size_t prefetch)
{
    switch (m) {
        TILES_64(CASE)
    }
}
