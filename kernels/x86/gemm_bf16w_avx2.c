#include <immintrin.h>

#include "kernels/ops.h"

/* gcc would make a second copy of every loop for cs_a == 1, which gains nothing and leaves it short of registers. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("no-version-loops-for-strides")
#endif

/* GEMM with bf16 weights for AVX2: the tiles of the f32 kernel, at half its bytes of B. One lane is one output, so the
 * chain of each is the scalar truth's whatever the tile.
 *
 * A register of B holds two rows of 8 columns, the even row in the low halves. A shift by 16 is the even row in f32, a
 * mask the odd one, both exact. With 4x24, accumulators, B and A take all 16 registers, so the mask stays in memory.
 * 2x48 and 1x96 read two and four panels at once: a row or two of one panel are too few chains to hide the latency of a
 * multiply-add. */

/* From this many rows ahead on, the panel is prefetched to L2 only: L1 would not hold it until it is needed. */
#define FAR 64

#define EACH_ROW(M) _Pragma("GCC unroll 6") for (size_t i = 0; i < M; i++)
#define EACH_VEC(V) _Pragma("GCC unroll 3") for (size_t v = 0; v < V; v++)
#define EACH_ACC(M, VP) EACH_ROW(M) _Pragma("GCC unroll 12") for (size_t v = 0; v < VP; v++)

/* Assembly where gcc 12 would choose badly: it copies accumulators around the intrinsics, reads B once and then lacks
 * the registers to keep what it read, and keeps a register for every multiple of a stride. */
#define INLINE static inline __attribute__((always_inline))
#define OPAQUE(pointer) __asm__("" : "+r"(pointer))

static const uint32_t odd_rows[8] = {0xffff0000, 0xffff0000, 0xffff0000, 0xffff0000,
                                     0xffff0000, 0xffff0000, 0xffff0000, 0xffff0000};

/* The even or the odd row of a pair. */
INLINE __m256 expand(const uint16_t *b, int odd)
{
    const struct {
        uint16_t x[16];
    } *pair = (const void *)b;
    __m256 y;
    if (odd) __asm__("vmovups %1, %0\n\tvandps %2, %0, %0" : "=&x"(y) : "m"(*pair), "m"(odd_rows));
    else __asm__("vmovups %1, %0\n\tvpslld $16, %0, %0" : "=&x"(y) : "m"(*pair));
    return y;
}

/* One element of A against the two or three vectors of a panel. */
INLINE void row(size_t nv, __m256 *acc, const char *a, const __m256 *y)
{
    __m256 x;
    if (nv == 3)
        __asm__("vbroadcastss %4, %3\n\t"
                "vfmadd231ps %5, %3, %0\n\t"
                "vfmadd231ps %6, %3, %1\n\t"
                "vfmadd231ps %7, %3, %2"
                : "+x"(acc[0]), "+x"(acc[1]), "+x"(acc[2]), "=&x"(x)
                : "m"(*(const float *)a), "x"(y[0]), "x"(y[1]), "x"(y[2]));
    else
        __asm__("vbroadcastss %3, %2\n\t"
                "vfmadd231ps %4, %2, %0\n\t"
                "vfmadd231ps %5, %2, %1"
                : "+x"(acc[0]), "+x"(acc[1]), "=&x"(x)
                : "m"(*(const float *)a), "x"(y[0]), "x"(y[1]));
}

/* One vector of B against m rows, 1 or 2, the accumulators `step` apart. */
INLINE void column(size_t m, __m256 *acc, size_t step, const __m256 *x, __m256 y)
{
    if (m == 2)
        __asm__("vfmadd231ps %2, %4, %0\n\t"
                "vfmadd231ps %3, %4, %1"
                : "+x"(acc[0]), "+x"(acc[step])
                : "x"(x[0]), "x"(x[1]), "x"(y));
    else __asm__("vfmadd231ps %1, %2, %0" : "+x"(acc[0]) : "x"(x[0]), "x"(y));
}

/* One row of the reduction, the even or the odd one of a pair: M rows of A against V vectors of each of P panels. With
 * one panel its vectors stay in registers while the rows pass, with more the rows stay while the vectors pass. */
#define STEP(M, V, P, ODD)                                                               \
    do {                                                                                 \
        __m256 x[M], y[V];                                                               \
        const char *ai = ap;                                                             \
        const uint16_t *bq = b;                                                          \
        if (P > 1) EACH_ROW(M) x[i] = _mm256_broadcast_ss((const float *)(ap + i * ra)); \
        EACH_PANEL(P)                                                                    \
        {                                                                                \
            NEXT_PANEL(bq);                                                              \
            EACH_VEC(V)                                                                  \
            {                                                                            \
                y[v] = expand(bq + 16 * v, ODD);                                         \
                if (P > 1) column(M, &acc[0][q * V + v], V *P, x, y[v]);                 \
            }                                                                            \
        }                                                                                \
        if (P == 1) EACH_ROW(M)                                                          \
            {                                                                            \
                if (i > 0 && i % 3 == 0) {                                               \
                    ai += 3 * ra;                                                        \
                    OPAQUE(ai);                                                          \
                }                                                                        \
                row(V, acc[i], ai + i % 3 * ra, y);                                      \
            }                                                                            \
        ap += ca;                                                                        \
    } while (0)

#define EACH_PANEL(P) _Pragma("GCC unroll 4") for (size_t q = 0; q < P; q++)
#define NEXT_PANEL(bq)  \
    do {                \
        if (q > 0) {    \
            bq += ps_b; \
            OPAQUE(bq); \
        }               \
    } while (0)

#define FETCH(V, P, HINT)                                                                \
    do {                                                                                 \
        const uint16_t *bq = b + ahead;                                                  \
        EACH_PANEL(P)                                                                    \
        {                                                                                \
            NEXT_PANEL(bq);                                                              \
            EACH_VEC(V) if (v % 2 == 0) _mm_prefetch((const char *)(bq + 16 * v), HINT); \
        }                                                                                \
    } while (0)

#define PAIRS(M, V, P, PREFETCH, HINT)   \
    for (size_t g = k / 2; g > 0; g--) { \
        if (PREFETCH) FETCH(V, P, HINT); \
        STEP(M, V, P, 0);                \
        STEP(M, V, P, 1);                \
        b += 16 * V;                     \
    }

/* C is touched first: by the time it is written it has come from wherever it was. Where it is read at once, what is
 * touched is the next rows instead: the driver goes down a panel. */
#define TILE(M, V, P)                                                                                                 \
    static __attribute__((noinline)) void tile_##M##_##V##_##P(size_t k, const float *a, size_t rs_a, size_t cs_a,    \
                                                               const uint16_t *b, size_t ps_b, float *c, size_t rs_c, \
                                                               int accumulate, size_t prefetch)                       \
    {                                                                                                                 \
        __m256 acc[M][V * P];                                                                                         \
        (void)ps_b;                                                                                                   \
        EACH_ACC(M, V *P) _mm_prefetch((const char *)(c + (accumulate ? i + M : i) * rs_c + 8 * v), _MM_HINT_T0);     \
        if (accumulate) EACH_ACC(M, V *P) acc[i][v] = _mm256_loadu_ps(c + i * rs_c + 8 * v);                          \
        else EACH_ACC(M, V *P) acc[i][v] = _mm256_setzero_ps();                                                       \
        const char *ap = (const char *)a;                                                                             \
        size_t ahead = prefetch * 8 * V, ra = rs_a * sizeof *a, ca = cs_a * sizeof *a;                                \
        if (prefetch >= FAR) PAIRS(M, V, P, 1, _MM_HINT_T1)                                                           \
        else if (prefetch) PAIRS(M, V, P, 1, _MM_HINT_T0)                                                             \
        else PAIRS(M, V, P, 0, _MM_HINT_T0)                                                                           \
        if (k % 2) STEP(M, V, P, 0);                                                                                  \
        EACH_ACC(M, V *P) _mm256_storeu_ps(c + i * rs_c + 8 * v, acc[i][v]);                                          \
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
#define ROWS_2(X, V, P) ROWS_1(X, V, P) X(2, V, P)
#define ROWS_4(X, V, P) ROWS_2(X, V, P) X(3, V, P) X(4, V, P)
#define ROWS_6(X, V, P) ROWS_4(X, V, P) X(5, V, P) X(6, V, P)

KERNEL(1x96_avx2, ROWS_1, 3, 4)
KERNEL(2x48_avx2, ROWS_2, 3, 2)
KERNEL(4x24_avx2, ROWS_4, 3, 1)
KERNEL(6x16_avx2, ROWS_6, 2, 1)
