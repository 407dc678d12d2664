/* Native bf16 GEMM with vdpbf16ps on 512-bit registers: a lane adds two products to an f32, as
 * kernels/ref/bf16_dot_x86.c says. The pairs of one output are one chain whatever the tile, so that no output depends
 * on how many rows there are. */
#include <immintrin.h>

#include "kernels/ops.h"

#define INLINE static inline __attribute__((always_inline))

/* From this many rows ahead on, the panel is prefetched to L2 only: L1 would not hold it until it is needed. */
#define FAR 64

/* A pair of elements of A. */
typedef struct {
    uint16_t x[2];
} pair;

/* One pair of A against nv registers of B: 3 or 4. As assembly, since gcc 12 copies and spills accumulators around the
 * intrinsic. */
INLINE void row(size_t nv, __m512 *c, const uint16_t *a, const __m512i *b)
{
    const pair *two = (const void *)a;
    __m512i x;
    if (nv == 3)
        __asm__("vpbroadcastd %4, %3\n\t"
                "vdpbf16ps %5, %3, %0\n\t"
                "vdpbf16ps %6, %3, %1\n\t"
                "vdpbf16ps %7, %3, %2"
                : "+v"(c[0]), "+v"(c[1]), "+v"(c[2]), "=&v"(x)
                : "m"(*two), "v"(b[0]), "v"(b[1]), "v"(b[2]));
    else
        __asm__("vpbroadcastd %5, %4\n\t"
                "vdpbf16ps %6, %4, %0\n\t"
                "vdpbf16ps %7, %4, %1\n\t"
                "vdpbf16ps %8, %4, %2\n\t"
                "vdpbf16ps %9, %4, %3"
                : "+v"(c[0]), "+v"(c[1]), "+v"(c[2]), "+v"(c[3]), "=&v"(x)
                : "m"(*two), "v"(b[0]), "v"(b[1]), "v"(b[2]), "v"(b[3]));
}

/* One register of B against the pairs x of m rows, 1 to 4, whose accumulators are `step` apart. */
INLINE void column(size_t m, __m512 *c, size_t step, const __m512i *x, const __m512i b)
{
    if (m == 4)
        __asm__("vdpbf16ps %8, %4, %0\n\t"
                "vdpbf16ps %8, %5, %1\n\t"
                "vdpbf16ps %8, %6, %2\n\t"
                "vdpbf16ps %8, %7, %3"
                : "+v"(c[0]), "+v"(c[step]), "+v"(c[2 * step]), "+v"(c[3 * step])
                : "v"(x[0]), "v"(x[1]), "v"(x[2]), "v"(x[3]), "v"(b));
    else if (m == 3)
        __asm__("vdpbf16ps %6, %3, %0\n\t"
                "vdpbf16ps %6, %4, %1\n\t"
                "vdpbf16ps %6, %5, %2"
                : "+v"(c[0]), "+v"(c[step]), "+v"(c[2 * step])
                : "v"(x[0]), "v"(x[1]), "v"(x[2]), "v"(b));
    else if (m == 2)
        __asm__("vdpbf16ps %4, %2, %0\n\t"
                "vdpbf16ps %4, %3, %1"
                : "+v"(c[0]), "+v"(c[step])
                : "v"(x[0]), "v"(x[1]), "v"(b));
    else __asm__("vdpbf16ps %2, %1, %0" : "+v"(c[0]) : "v"(x[0]), "v"(b));
}

/* One pair of rows of B against m rows of A. With up to four registers of B they stay while the rows pass, with six the
 * rows stay while the registers pass. */
INLINE void step(size_t m, size_t nv, __m512 *c, const uint16_t *a, size_t rs_a, const uint16_t *b)
{
    __m512i x[8], y[6];
    if (nv > 4) {
#pragma GCC unroll 8
        for (size_t i = 0; i < m; i++)
            __asm__("vpbroadcastd %1, %0" : "=v"(x[i]) : "m"(*(const pair *)(const void *)(a + i * rs_a)));
    }
#pragma GCC unroll 6
    for (size_t j = 0; j < nv; j++) {
        y[j] = _mm512_loadu_si512(b + 32 * j);
        if (nv > 4) column(m, c + j, nv, x, y[j]);
    }
    if (nv <= 4) {
#pragma GCC unroll 8
        for (size_t i = 0; i < m; i++) row(nv, c + i * nv, a + i * rs_a, y);
    }
}

/* C[m][16*nv]; it is touched first: by the time it is written it has come from wherever it was. m, nv and fetch are
 * constants. */
INLINE void tile(size_t m, size_t nv, size_t k, const uint16_t *a, size_t rs_a, const uint16_t *b, float *c,
                 size_t rs_c, int fetch, size_t ahead)
{
    __m512 acc[24];
#pragma GCC unroll 8
    for (size_t i = 0; i < m; i++)
#pragma GCC unroll 6
        for (size_t j = 0; j < nv; j++) _mm_prefetch((const char *)(c + i * rs_c + 16 * j), _MM_HINT_T0);
#pragma GCC unroll 24
    for (size_t x = 0; x < m * nv; x++) {
        acc[x] = _mm512_setzero_ps();
        /* Starts that look alike to the compiler would share a register and be copied apart in the loop. */
        __asm__("" : "+v"(acc[x]));
    }
    for (size_t g = k / 2; g > 0; g--, a += 2, b += 32 * nv) {
        if (fetch) {
#pragma GCC unroll 6
            for (size_t j = 0; j < nv; j++) {
                if (fetch == 1) _mm_prefetch((const char *)(b + ahead + 32 * j), _MM_HINT_T0);
                else _mm_prefetch((const char *)(b + ahead + 32 * j), _MM_HINT_T1);
            }
        }
        step(m, nv, acc, a, rs_a, b);
    }
#pragma GCC unroll 8
    for (size_t i = 0; i < m; i++)
#pragma GCC unroll 6
        for (size_t j = 0; j < nv; j++) _mm512_storeu_ps(c + i * rs_c + 16 * j, acc[i * nv + j]);
}

/* One function a tile: gcc's register allocator goes wrong where several share one. */
#define TILE(nv, m)                                                                                                    \
    static __attribute__((noinline)) void tile_##m##x##nv(size_t k, const uint16_t *a, size_t rs_a, const uint16_t *b, \
                                                          float *c, size_t rs_c, size_t prefetch)                      \
    {                                                                                                                  \
        size_t ahead = prefetch * 16 * nv;                                                                             \
        if (prefetch >= FAR) tile(m, nv, k, a, rs_a, b, c, rs_c, 2, ahead);                                            \
        else if (prefetch) tile(m, nv, k, a, rs_a, b, c, rs_c, 1, ahead);                                              \
        else tile(m, nv, k, a, rs_a, b, c, rs_c, 0, 0);                                                                \
    }

#define CASE(nv, m)                                        \
    case m:                                                \
        tile_##m##x##nv(k, a, rs_a, b, c, rs_c, prefetch); \
        break;

#define TILES_48(X) X(3, 1) X(3, 2) X(3, 3) X(3, 4) X(3, 5) X(3, 6) X(3, 7) X(3, 8)
#define TILES_64(X) X(4, 1) X(4, 2) X(4, 3) X(4, 4) X(4, 5) X(4, 6)
#define TILES_96(X) X(6, 1) X(6, 2) X(6, 3) X(6, 4)
TILES_48(TILE)
TILES_64(TILE)
TILES_96(TILE)

void cg_gemm_bf16_8x48_avx512_bf16(size_t m, size_t k, const uint16_t *a, size_t rs_a, const uint16_t *b, float *c,
                                   size_t rs_c, size_t prefetch)
{
    switch (m) {
        TILES_48(CASE)
    }
}

void cg_gemm_bf16_6x64_avx512_bf16(size_t m, size_t k, const uint16_t *a, size_t rs_a, const uint16_t *b, float *c,
                                   size_t rs_c, size_t prefetch)
{
    switch (m) {
        TILES_64(CASE)
    }
}

void cg_gemm_bf16_4x96_avx512_bf16(size_t m, size_t k, const uint16_t *a, size_t rs_a, const uint16_t *b, float *c,
                                   size_t rs_c, size_t prefetch)
{
    switch (m) {
        TILES_96(CASE)
    }
}
