#include <immintrin.h>

#include "kernels/ops.h"

/* gcc would make a second copy of every loop for cs_a == 1, which gains nothing and leaves it short of registers. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("no-version-loops-for-strides")
#endif

/* GEMM f32 for AVX-512. One lane is one output, so the chain of each is the scalar truth's whatever the tile.
 *
 * 8x48 is the main tile: 24 accumulators, three vectors of B and a broadcast of A fill 28 of 32 registers, and 24
 * multiply-adds stand against 11 loads. 6x64 is for widths that 48 does not divide. 4x96 and 1x192 read two and
 * four panels of 48 at once, since one or two rows of three vectors are too few chains to hide the latency of a
 * multiply-add and too few streams to fill the path to L2. */

/* From this many rows ahead on, the panel is prefetched to L2 only: L1 would not hold it until it is needed. */
#define FAR 64

/* One step of the reduction: M rows of A against V vectors of each of P panels. With one panel its vectors stay in
 * registers while the rows pass, with more the rows stay while the vectors pass. */
#define EACH_ROW(M) _Pragma("GCC unroll 8") for (size_t i = 0; i < M; i++)
#define EACH_VEC(V) _Pragma("GCC unroll 4") for (size_t v = 0; v < V; v++)
#define BROADCAST(p) _mm512_set1_ps(*(const float *)(p))
#define STEP(M, V, P, PREFETCH, HINT)                                                                      \
    do {                                                                                                   \
        __m512 x[M], y[V];                                                                                 \
        if (P > 1) EACH_ROW(M) x[i] = BROADCAST(ap + i * ra);                                              \
        _Pragma("GCC unroll 4") for (size_t q = 0; q < P; q++)                                             \
        {                                                                                                  \
            const float *bq = b + q * ps_b;                                                                \
            EACH_VEC(V)                                                                                    \
            {                                                                                              \
                if (PREFETCH) _mm_prefetch((const char *)(bq + ahead + 16 * v), HINT);                     \
                y[v] = _mm512_loadu_ps(bq + 16 * v);                                                       \
                if (P > 1) EACH_ROW(M) acc[i][q * V + v] = _mm512_fmadd_ps(x[i], y[v], acc[i][q * V + v]); \
            }                                                                                              \
        }                                                                                                  \
        if (P == 1) EACH_ROW(M)                                                                            \
            {                                                                                              \
                x[i] = BROADCAST(ap + i * ra);                                                             \
                EACH_VEC(V) acc[i][v] = _mm512_fmadd_ps(x[i], y[v], acc[i][v]);                            \
            }                                                                                              \
        ap += ca;                                                                                          \
        b += 16 * V;                                                                                       \
    } while (0)

#define EACH_ACC(M, VP) EACH_ROW(M) _Pragma("GCC unroll 12") for (size_t v = 0; v < VP; v++)

/* C is touched first: by the time it is written it has come from wherever it was. Where it is read at once, what is
 * touched is the next rows instead: the driver goes down a panel. */
#define TILE(M, V, P)                                                                                                 \
    static void tile_##M##_##V##_##P(size_t k, const float *a, size_t rs_a, size_t cs_a, const float *b, size_t ps_b, \
                                     float *c, size_t rs_c, int accumulate, size_t prefetch)                          \
    {                                                                                                                 \
        __m512 acc[M][V * P];                                                                                         \
        (void)ps_b;                                                                                                   \
        EACH_ACC(M, V *P) _mm_prefetch((const char *)(c + (accumulate ? i + M : i) * rs_c + 16 * v), _MM_HINT_T0);    \
        if (accumulate) EACH_ACC(M, V *P) acc[i][v] = _mm512_loadu_ps(c + i * rs_c + 16 * v);                         \
        else EACH_ACC(M, V *P) acc[i][v] = _mm512_setzero_ps();                                                       \
        const char *ap = (const char *)a;                                                                             \
        size_t ahead = prefetch * 16 * V, ra = rs_a * sizeof *a, ca = cs_a * sizeof *a;                               \
        if (prefetch >= FAR) {                                                                                        \
            _Pragma("GCC unroll 2") for (size_t p = 0; p < k; p++) STEP(M, V, P, 1, _MM_HINT_T1);                     \
        } else if (prefetch) {                                                                                        \
            _Pragma("GCC unroll 2") for (size_t p = 0; p < k; p++) STEP(M, V, P, 1, _MM_HINT_T0);                     \
        } else {                                                                                                      \
            _Pragma("GCC unroll 2") for (size_t p = 0; p < k; p++) STEP(M, V, P, 0, _MM_HINT_T0);                     \
        }                                                                                                             \
        EACH_ACC(M, V *P) _mm512_storeu_ps(c + i * rs_c + 16 * v, acc[i][v]);                                         \
    }

#define CASE(M, V, P)                                                                   \
    case M:                                                                             \
        tile_##M##_##V##_##P(k, a, rs_a, cs_a, b, ps_b, c, rs_c, accumulate, prefetch); \
        break;

#define KERNEL(name, ROWS, V, P)                                                                                       \
    ROWS(TILE, V, P)                                                                                                   \
    void cg_gemm_f32_##name(size_t m, size_t k, const float *a, size_t rs_a, size_t cs_a, const float *b, size_t ps_b, \
                            float *c, size_t rs_c, int accumulate, size_t prefetch)                                    \
    {                                                                                                                  \
        switch (m) {                                                                                                   \
            ROWS(CASE, V, P)                                                                                           \
        }                                                                                                              \
    }

#define ROWS_1(X, V, P) X(1, V, P)
#define ROWS_4(X, V, P) ROWS_1(X, V, P) X(2, V, P) X(3, V, P) X(4, V, P)
#define ROWS_6(X, V, P) ROWS_4(X, V, P) X(5, V, P) X(6, V, P)
#define ROWS_8(X, V, P) ROWS_6(X, V, P) X(7, V, P) X(8, V, P)

KERNEL(1x192_avx512, ROWS_1, 3, 4)
KERNEL(4x96_avx512, ROWS_4, 3, 2)
KERNEL(8x48_avx512, ROWS_8, 3, 1)
KERNEL(6x64_avx512, ROWS_6, 4, 1)
