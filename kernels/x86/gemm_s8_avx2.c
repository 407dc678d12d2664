/* INT8 GEMM with AVX2. vpmaddubsw saturates, so B is widened to s16 as it is loaded and A once per block of the
 * reduction; vpmaddwd then adds two s16*s16 products to an int32, exactly. */
#include <immintrin.h>

#include "kernels/ops.h"

#define INLINE static inline __attribute__((always_inline))
#define MR 6
#define NR 16
#define BLOCK 512 /* elements of a row of A widened at a time: 6 KiB in all */

/* Widens m rows of kb elements; an odd one gets a zero. */
INLINE void widen(size_t m, size_t kb, const int8_t *a, size_t rs_a, int16_t *wide)
{
    for (size_t i = 0; i < m; i++, a += rs_a, wide += BLOCK) {
        size_t p = 0;
        for (; p + 16 <= kb; p += 16) {
            __m256i w = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(a + p)));
            _mm256_store_si256((__m256i *)(wide + p), w);
        }
        for (; p < kb; p++) wide[p] = a[p];
        if (p & 1) wide[p] = 0;
    }
}

/* One row of A, a pair of elements, against 16 columns of B. As assembly, since gcc 12 copies and spills accumulators
 * around the intrinsics: 12 accumulators, B and two temporaries are all 16 registers. */
INLINE void row(__m256i *c, const int16_t *a, __m256i b0, __m256i b1)
{
    const struct {
        int16_t x[2];
    } *pair = (const void *)a;
    __m256i t, u;
    __asm__("vpbroadcastd %4, %2\n\t"
            "vpmaddwd %5, %2, %3\n\t"
            "vpmaddwd %6, %2, %2\n\t"
            "vpaddd %3, %0, %0\n\t"
            "vpaddd %2, %1, %1"
            : "+x"(c[0]), "+x"(c[1]), "=&x"(t), "=&x"(u)
            : "m"(*pair), "x"(b0), "x"(b1));
}

/* acc[m][16] += pairs of rows of B; m and fetch are constants. */
INLINE void block(size_t m, size_t pairs, const int16_t *wide, const int8_t *b, __m256i *acc, int fetch, size_t ahead)
{
    __m256i c[2 * MR];
#pragma GCC unroll 12
    for (size_t x = 0; x < 2 * m; x++) c[x] = _mm256_load_si256(acc + x);
    do {
        __m256i b0 = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)b));
        __m256i b1 = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(b + 16)));
        if (fetch) _mm_prefetch((const char *)b + ahead, _MM_HINT_T0);
#pragma GCC unroll 6
        for (size_t i = 0; i < m; i++) row(c + 2 * i, wide + i * BLOCK, b0, b1);
        b += 2 * NR;
        wide += 2;
    } while (--pairs);
#pragma GCC unroll 12
    for (size_t x = 0; x < 2 * m; x++) _mm256_store_si256(acc + x, c[x]);
}

/* One function a number of rows, with and without prefetch: gcc's register allocator goes wrong where several share
 * one. */
#define BLOCKS(m)                                                                                                     \
    static __attribute__((noinline)) void block_##m(size_t pairs, const int16_t *wide, const int8_t *b, __m256i *acc, \
                                                    size_t ahead)                                                     \
    {                                                                                                                 \
        if (ahead) block(m, pairs, wide, b, acc, 1, ahead);                                                           \
        else block(m, pairs, wide, b, acc, 0, 0);                                                                     \
    }
BLOCKS(1)
BLOCKS(2)
BLOCKS(3)
BLOCKS(4)
BLOCKS(5)
BLOCKS(6)

void cg_gemm_s8_6x16_avx2(size_t m, size_t k, const void *a, size_t rs_a, const int8_t *b, const int32_t *comp,
                          const float *sa, const float *sb, float *c, size_t rs_c, size_t prefetch)
{
    static void (*const blocks[MR + 1])(size_t, const int16_t *, const int8_t *, __m256i *,
                                        size_t) = {NULL, block_1, block_2, block_3, block_4, block_5, block_6};
    (void)comp;
    int16_t wide[MR * BLOCK] __attribute__((aligned(32)));
    __m256i acc[2 * MR];
    for (size_t x = 0; x < 2 * m; x++) acc[x] = _mm256_setzero_si256();
    for (size_t p = 0; p < k; p += BLOCK) {
        size_t kb = k - p < BLOCK ? k - p : BLOCK;
        widen(m, kb, (const int8_t *)a + p, rs_a, wide);
        blocks[m]((kb + 1) / 2, wide, b + p * NR, acc, prefetch * NR);
    }
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < 2; j++) {
            __m256 f = _mm256_mul_ps(_mm256_cvtepi32_ps(acc[2 * i + j]), _mm256_set1_ps(sa[i]));
            _mm256_storeu_ps(c + i * rs_c + 8 * j, _mm256_mul_ps(f, _mm256_loadu_ps(sb + 8 * j)));
        }
}
