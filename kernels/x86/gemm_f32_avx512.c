#include <immintrin.h>

#include "kernels/ops.h"

/* GEMM f32 for AVX-512: M x 48 tiles, three vectors wide. With M = 8, 24 accumulators, three vectors of B and a
 * broadcast of A fill 28 of 32 registers, and 24 multiply-adds stand against 11 loads. One lane is one output, so the
 * chain of each is the scalar truth's whatever the tile. */

#define VECS 3
#define PANEL 48

/* One step of the reduction for M rows: row i of A is at ap + i*ra bytes. */
#define STEP(M, PREFETCH)                                                                                              \
    do {                                                                                                               \
        __m512 b0 = _mm512_loadu_ps(b), b1 = _mm512_loadu_ps(b + 16), b2 = _mm512_loadu_ps(b + 32);                    \
        if (PREFETCH) {                                                                                                \
            _mm_prefetch((const char *)(b + ahead), _MM_HINT_T0);                                                      \
            _mm_prefetch((const char *)(b + ahead + 16), _MM_HINT_T0);                                                 \
            _mm_prefetch((const char *)(b + ahead + 32), _MM_HINT_T0);                                                 \
        }                                                                                                              \
        _Pragma("GCC unroll 8") for (size_t i = 0; i < M; i++)                                                         \
        {                                                                                                              \
            __m512 x = _mm512_set1_ps(a[i * rs_a]);                                                                    \
            acc[i][0] = _mm512_fmadd_ps(x, b0, acc[i][0]);                                                             \
            acc[i][1] = _mm512_fmadd_ps(x, b1, acc[i][1]);                                                             \
            acc[i][2] = _mm512_fmadd_ps(x, b2, acc[i][2]);                                                             \
        }                                                                                                              \
        a += cs_a;                                                                                                     \
        b += PANEL;                                                                                                    \
    } while (0)

#define TILE(M)                                                                                                        \
    static void tile_##M##x48(size_t k, const float *a, size_t rs_a, size_t cs_a, const float *b, float *c,            \
                              size_t rs_c, int accumulate, size_t prefetch)                                            \
    {                                                                                                                  \
        __m512 acc[M][VECS];                                                                                           \
        _Pragma("GCC unroll 8") for (size_t i = 0; i < M; i++) _Pragma("GCC unroll 3") for (int v = 0; v < VECS; v++)  \
            acc[i][v] = accumulate ? _mm512_loadu_ps(c + i * rs_c + 16 * v) : _mm512_setzero_ps();                     \
        size_t ahead = prefetch * PANEL;                                                                               \
        if (ahead) {                                                                                                   \
            _Pragma("GCC unroll 2") for (size_t p = 0; p < k; p++) STEP(M, 1);                                         \
        } else {                                                                                                       \
            _Pragma("GCC unroll 2") for (size_t p = 0; p < k; p++) STEP(M, 0);                                         \
        }                                                                                                              \
        _Pragma("GCC unroll 8") for (size_t i = 0; i < M; i++) _Pragma("GCC unroll 3") for (int v = 0; v < VECS; v++)  \
            _mm512_storeu_ps(c + i * rs_c + 16 * v, acc[i][v]);                                                        \
    }

TILE(1)
TILE(2)
TILE(3)
TILE(4)
TILE(5)
TILE(6)
TILE(7)
TILE(8)

void cg_gemm_f32_8x48_avx512(size_t m, size_t k, const float *a, size_t rs_a, size_t cs_a, const float *b, size_t ps_b,
                             float *c, size_t rs_c, int accumulate, size_t prefetch)
{
    (void)ps_b;
#define CASE(M)                                                                                                        \
    case M: tile_##M##x48(k, a, rs_a, cs_a, b, c, rs_c, accumulate, prefetch); break
    switch (m) {
        CASE(1);
        CASE(2);
        CASE(3);
        CASE(4);
        CASE(5);
        CASE(6);
        CASE(7);
        CASE(8);
    }
#undef CASE
}
