#include <immintrin.h>

#include "kernels/ops.h"

/* gcc would make a second copy of every loop for cs_a == 1, which gains nothing and leaves it short of registers. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("no-version-loops-for-strides")
#endif

/* GEMM with bf16 weights for AVX-512: the tiles of the f32 kernel, at half its bytes of B. One lane is one output, so
 * the chain of each is the scalar truth's whatever the tile.
 *
 * A register of B holds two rows of 16 columns, the even row in the low halves. A shift by 16 is the even row in f32, a
 * mask the odd one, both exact; they cost one instruction for every MR multiply-adds on ports that those want too.
 * 14x32 is tall for that reason: 28 accumulators, two vectors of B, a broadcast of A and the mask are all 32 registers.
 * 4x96, 1x192 and 3x128 read two or four panels at once: a few rows of one panel are too few chains to hide the latency
 * of a multiply-add. */

/* From this many rows ahead on, the panel is prefetched to L2 only: L1 would not hold it until it is needed. */
#define FAR 64

#define EACH_ROW(M) _Pragma("GCC unroll 14") for (size_t i = 0; i < M; i++)
#define EACH_VEC(V) _Pragma("GCC unroll 4") for (size_t v = 0; v < V; v++)
#define EACH_ACC(M, VP) EACH_ROW(M) _Pragma("GCC unroll 12") for (size_t v = 0; v < VP; v++)

/* Assembly where gcc 12 would choose badly: it copies accumulators around the intrinsics, reads B once and then lacks
 * the registers to keep what it read, and keeps a register for every multiple of a stride. */
#define INLINE static inline __attribute__((always_inline))
#define OPAQUE(pointer) __asm__("" : "+r"(pointer))

/* The even or the odd row of a pair. */
INLINE __m512 expand(const uint16_t *b, int odd, __m512i mask)
{
    const struct {
        uint16_t x[32];
    } *pair = (const void *)b;
    __m512 y;
    if (odd) __asm__("vpandd %1, %2, %0" : "=v"(y) : "m"(*pair), "v"(mask));
    else __asm__("vpslld $16, %1, %0" : "=v"(y) : "m"(*pair));
    return y;
}

/* One element of A against the two or three vectors of a panel. */
INLINE void row(size_t nv, __m512 *acc, const char *a, const __m512 *y)
{
    __m512 x;
    if (nv == 3)
        __asm__("vbroadcastss %4, %3\n\t"
                "vfmadd231ps %5, %3, %0\n\t"
                "vfmadd231ps %6, %3, %1\n\t"
                "vfmadd231ps %7, %3, %2"
                : "+v"(acc[0]), "+v"(acc[1]), "+v"(acc[2]), "=&v"(x)
                : "m"(*(const float *)a), "v"(y[0]), "v"(y[1]), "v"(y[2]));
    else
        __asm__("vbroadcastss %3, %2\n\t"
                "vfmadd231ps %4, %2, %0\n\t"
                "vfmadd231ps %5, %2, %1"
                : "+v"(acc[0]), "+v"(acc[1]), "=&v"(x)
                : "m"(*(const float *)a), "v"(y[0]), "v"(y[1]));
}

/* One vector of B against m rows, 1 to 4, the accumulators `step` apart. */
INLINE void column(size_t m, __m512 *acc, size_t step, const __m512 *x, __m512 y)
{
    if (m == 4)
        __asm__("vfmadd231ps %4, %8, %0\n\t"
                "vfmadd231ps %5, %8, %1\n\t"
                "vfmadd231ps %6, %8, %2\n\t"
                "vfmadd231ps %7, %8, %3"
                : "+v"(acc[0]), "+v"(acc[step]), "+v"(acc[2 * step]), "+v"(acc[3 * step])
                : "v"(x[0]), "v"(x[1]), "v"(x[2]), "v"(x[3]), "v"(y));
    else if (m == 3)
        __asm__("vfmadd231ps %3, %6, %0\n\t"
                "vfmadd231ps %4, %6, %1\n\t"
                "vfmadd231ps %5, %6, %2"
                : "+v"(acc[0]), "+v"(acc[step]), "+v"(acc[2 * step])
                : "v"(x[0]), "v"(x[1]), "v"(x[2]), "v"(y));
    else if (m == 2)
        __asm__("vfmadd231ps %2, %4, %0\n\t"
                "vfmadd231ps %3, %4, %1"
                : "+v"(acc[0]), "+v"(acc[step])
                : "v"(x[0]), "v"(x[1]), "v"(y));
    else __asm__("vfmadd231ps %1, %2, %0" : "+v"(acc[0]) : "v"(x[0]), "v"(y));
}

/* One row of the reduction, the even or the odd one of a pair: M rows of A against V vectors of each of P panels. With
 * one panel its vectors stay in registers while the rows pass, with more the rows stay while the vectors pass. */
#define STEP(M, V, P, ODD)                                                           \
    do {                                                                             \
        __m512 x[M], y[V];                                                           \
        const char *ai = ap;                                                         \
        const uint16_t *bq = b;                                                      \
        if (P > 1) EACH_ROW(M) x[i] = _mm512_set1_ps(*(const float *)(ap + i * ra)); \
        EACH_PANEL(P)                                                                \
        {                                                                            \
            NEXT_PANEL(bq);                                                          \
            EACH_VEC(V)                                                              \
            {                                                                        \
                y[v] = expand(bq + 32 * v, ODD, mask);                               \
                if (P > 1) column(M, &acc[0][q * V + v], V *P, x, y[v]);             \
            }                                                                        \
        }                                                                            \
        if (P == 1) EACH_ROW(M)                                                      \
            {                                                                        \
                if (i > 0 && i % 3 == 0) {                                           \
                    ai += 3 * ra;                                                    \
                    OPAQUE(ai);                                                      \
                }                                                                    \
                row(V, acc[i], ai + i % 3 * ra, y);                                  \
            }                                                                        \
        ap += ca;                                                                    \
    } while (0)

#define EACH_PANEL(P) _Pragma("GCC unroll 4") for (size_t q = 0; q < P; q++)
#define NEXT_PANEL(bq)  \
    do {                \
        if (q > 0) {    \
            bq += ps_b; \
            OPAQUE(bq); \
        }               \
    } while (0)

#define FETCH(V, P, HINT)                                                \
    do {                                                                 \
        const uint16_t *bq = b + ahead;                                  \
        EACH_PANEL(P)                                                    \
        {                                                                \
            NEXT_PANEL(bq);                                              \
            EACH_VEC(V) _mm_prefetch((const char *)(bq + 32 * v), HINT); \
        }                                                                \
    } while (0)

#define PAIRS(M, V, P, PREFETCH, HINT)   \
    for (size_t g = k / 2; g > 0; g--) { \
        if (PREFETCH) FETCH(V, P, HINT); \
        STEP(M, V, P, 0);                \
        STEP(M, V, P, 1);                \
        b += 32 * V;                     \
    }

/* C is touched first: by the time it is written it has come from wherever it was. Where it is read at once, what is
 * touched is the next rows instead: the driver goes down a panel. */
#define TILE(M, V, P)                                                                                                 \
    static __attribute__((noinline)) void tile_##M##_##V##_##P(size_t k, const float *a, size_t rs_a, size_t cs_a,    \
                                                               const uint16_t *b, size_t ps_b, float *c, size_t rs_c, \
                                                               int accumulate, size_t prefetch)                       \
    {                                                                                                                 \
        __m512 acc[M][V * P];                                                                                         \
        const __m512i mask = _mm512_set1_epi32((int)0xffff0000);                                                      \
        (void)ps_b;                                                                                                   \
        EACH_ACC(M, V *P) _mm_prefetch((const char *)(c + (accumulate ? i + M : i) * rs_c + 16 * v), _MM_HINT_T0);    \
        if (accumulate) EACH_ACC(M, V *P) acc[i][v] = _mm512_loadu_ps(c + i * rs_c + 16 * v);                         \
        else EACH_ACC(M, V *P) acc[i][v] = _mm512_setzero_ps();                                                       \
        const char *ap = (const char *)a;                                                                             \
        size_t ahead = prefetch * 16 * V, ra = rs_a * sizeof *a, ca = cs_a * sizeof *a;                               \
        if (prefetch >= FAR) PAIRS(M, V, P, 1, _MM_HINT_T1)                                                           \
        else if (prefetch) PAIRS(M, V, P, 1, _MM_HINT_T0)                                                             \
        else PAIRS(M, V, P, 0, _MM_HINT_T0)                                                                           \
        if (k % 2) STEP(M, V, P, 0);                                                                                  \
        EACH_ACC(M, V *P) _mm512_storeu_ps(c + i * rs_c + 16 * v, acc[i][v]);                                         \
    }

#define CASE(M, V, P)                                                                   \
    case M:                                                                             \
        tile_##M##_##V##_##P(k, a, rs_a, cs_a, b, ps_b, c, rs_c, accumulate, prefetch); \
        break;

#define KERNEL(name, ROWS, V, P)                                                                               \
    ROWS(TILE, V, P)                                                                                           \
    void cg_gemm_bf16w_##name(size_t m, size_t k, const float *a, size_t rs_a, size_t cs_a, const uint16_t *b, \
                              size_t ps_b, float *c, size_t rs_c, int accumulate, size_t prefetch)             \
    {                                                                                                          \
        switch (m) {                                                                                           \
            ROWS(CASE, V, P)                                                                                   \
        }                                                                                                      \
    }

#define ROWS_1(X, V, P) X(1, V, P)
#define ROWS_3(X, V, P) ROWS_1(X, V, P) X(2, V, P) X(3, V, P)
#define ROWS_4(X, V, P) ROWS_3(X, V, P) X(4, V, P)
#define ROWS_8(X, V, P) ROWS_4(X, V, P) X(5, V, P) X(6, V, P) X(7, V, P) X(8, V, P)
#define ROWS_14(X, V, P) ROWS_8(X, V, P) X(9, V, P) X(10, V, P) X(11, V, P) X(12, V, P) X(13, V, P) X(14, V, P)

KERNEL(1x192_avx512, ROWS_1, 3, 4)
KERNEL(4x96_avx512, ROWS_4, 3, 2)
KERNEL(3x128_avx512, ROWS_3, 2, 4)
KERNEL(8x48_avx512, ROWS_8, 3, 1)
KERNEL(14x32_avx512, ROWS_14, 2, 1)
