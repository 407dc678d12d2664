#include <immintrin.h>

#include "kernels/ops.h"

/* GEMM f32 for AVX2: M x 24 tiles, three vectors wide. With M = 4, 12 accumulators, three vectors of B and a broadcast
 * of A fill all 16 registers. One lane is one output, so the chain of each is the scalar truth's whatever the tile. */

#define VECS 3
#define PANEL 24

/* One step of the reduction for M rows: row i of A is at a + i*rs_a. */
#define STEP(M, PREFETCH)                                                                                              \
    do {                                                                                                               \
        __m256 b0 = _mm256_loadu_ps(b), b1 = _mm256_loadu_ps(b + 8), b2 = _mm256_loadu_ps(b + 16);                     \
        if (PREFETCH) {                                                                                                \
            _mm_prefetch((const char *)(b + ahead), _MM_HINT_T0);                                                      \
            _mm_prefetch((const char *)(b + ahead + 16), _MM_HINT_T0);                                                 \
        }                                                                                                              \
        _Pragma("GCC unroll 4") for (size_t i = 0; i < M; i++)                                                         \
        {                                                                                                              \
            __m256 x = _mm256_broadcast_ss(a + i * rs_a);                                                              \
            acc[i][0] = _mm256_fmadd_ps(x, b0, acc[i][0]);                                                             \
            acc[i][1] = _mm256_fmadd_ps(x, b1, acc[i][1]);                                                             \
            acc[i][2] = _mm256_fmadd_ps(x, b2, acc[i][2]);                                                             \
        }                                                                                                              \
        a += cs_a;                                                                                                     \
        b += PANEL;                                                                                                    \
    } while (0)

#define TILE(M)                                                                                                        \
    static void tile_##M##x24(size_t k, const float *a, size_t rs_a, size_t cs_a, const float *b, float *c,            \
                              size_t rs_c, int accumulate, size_t prefetch)                                            \
    {                                                                                                                  \
        __m256 acc[M][VECS];                                                                                           \
        _Pragma("GCC unroll 4") for (size_t i = 0; i < M; i++) _Pragma("GCC unroll 3") for (int v = 0; v < VECS; v++)  \
            acc[i][v] = accumulate ? _mm256_loadu_ps(c + i * rs_c + 8 * v) : _mm256_setzero_ps();                      \
        size_t ahead = prefetch * PANEL;                                                                               \
        if (ahead) {                                                                                                   \
            _Pragma("GCC unroll 2") for (size_t p = 0; p < k; p++) STEP(M, 1);                                         \
        } else {                                                                                                       \
            _Pragma("GCC unroll 2") for (size_t p = 0; p < k; p++) STEP(M, 0);                                         \
        }                                                                                                              \
        _Pragma("GCC unroll 4") for (size_t i = 0; i < M; i++) _Pragma("GCC unroll 3") for (int v = 0; v < VECS; v++)  \
            _mm256_storeu_ps(c + i * rs_c + 8 * v, acc[i][v]);                                                         \
    }

TILE(1)
TILE(2)
TILE(3)
TILE(4)

void cg_gemm_f32_4x24_avx2(size_t m, size_t k, const float *a, size_t rs_a, size_t cs_a, const float *b, size_t ps_b,
                           float *c, size_t rs_c, int accumulate, size_t prefetch)
{
    (void)ps_b;
#define CASE(M)                                                                                                        \
    case M: tile_##M##x24(k, a, rs_a, cs_a, b, c, rs_c, accumulate, prefetch); break
    switch (m) {
        CASE(1);
        CASE(2);
        CASE(3);
        CASE(4);
    }
#undef CASE
}
