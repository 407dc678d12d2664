/* GEMM f32 for SVE, compiled once for each length of its vectors (-msve-vector-bits): V is the floats of one, a packed
 * panel has 3V columns. Tiles of M x 3V (one panel, M to 8), and for few rows, where that leaves too few chains to hide
 * the latency of a multiply-add, M x 6V (two panels, M to 4) and M x 12V (four, M to 2). One lane is one output, so the
 * chain of each is the scalar truth's whatever the tile. */
#include <arm_sve.h>

#include "kernels/ops.h"

/* gcc would make a second copy of every loop for cs_a == 1. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("no-version-loops-for-strides")
#endif

#define INLINE static inline __attribute__((always_inline))
#define BITS __ARM_FEATURE_SVE_BITS
#define V ((size_t)BITS / 32)
#define PANEL (3 * V) /* PACK_NR */

typedef svfloat32_t vec __attribute__((arm_sve_vector_bits(BITS)));

/* Where the panel is prefetched to: L1, or, from FAR_ROWS rows ahead on, L2 only: L1 would not hold it until then. */
enum fetch { NONE, NEAR, FAR };
#define FAR_ROWS 64

INLINE void prefetch_row(const float *b, enum fetch fetch)
{
    enum { LINE = 64 / sizeof(float) };
#pragma GCC unroll 12
    for (size_t i = 0; i < PANEL; i += LINE) {
        if (fetch == NEAR) __builtin_prefetch(b + i, 0, 3);
        if (fetch == FAR) __builtin_prefetch(b + i, 0, 2);
    }
}

/* c[0..3) += y[0..3) * a[u]. As assembly, since gcc 12 hoists the loads of all rows and spills accumulators for them. */
#define ROW(c0, c1, c2, y0, y1, y2, a, u)                                                                              \
    do {                                                                                                               \
        svfloat32_t x_;                                                                                                \
        __asm__ volatile("ld1rw {%3.s}, %8/z, [%4, %9]\n\t"                                                          \
                         "fmla %0.s, %8/m, %5.s, %3.s\n\t"                                                           \
                         "fmla %1.s, %8/m, %6.s, %3.s\n\t"                                                           \
                         "fmla %2.s, %8/m, %7.s, %3.s"                                                                 \
                         : "+w"(c0), "+w"(c1), "+w"(c2), "=&w"(x_)                                                     \
                         : "r"(a), "w"(y0), "w"(y1), "w"(y2), "Upl"(svptrue_b32()), "i"(4 * (u)), "m"((a)[u]));        \
    } while (0)

/* One step of the reduction: element `u` (a constant) of m rows of A against one panel, whose vectors stay in registers
 * while the rows pass. */
INLINE void step(size_t m, vec *acc, const float *const *a, int u, const float *b, enum fetch fetch, size_t ahead)
{
    vec y[3];
#pragma GCC unroll 3
    for (size_t v = 0; v < 3; v++) y[v] = svld1(svptrue_b32(), b + v * V);
    prefetch_row(b + ahead, fetch);
#pragma GCC unroll 8
    for (size_t i = 0; i < m; i++) ROW(acc[3 * i], acc[3 * i + 1], acc[3 * i + 2], y[0], y[1], y[2], a[i], u);
}

/* One step against several panels: the elements of A stay while the vectors pass. */
INLINE void wide_step(size_t m, size_t panels, vec *acc, const float *const *a, const float *b, size_t ps_b,
                      enum fetch fetch, size_t ahead)
{
    svbool_t all = svptrue_b32();
    vec x[4];
#pragma GCC unroll 4
    for (size_t i = 0; i < m; i++) x[i] = svdup_f32(*a[i]);
#pragma GCC unroll 4
    for (size_t q = 0; q < panels; q++, b += ps_b) {
        prefetch_row(b + ahead, fetch);
#pragma GCC unroll 3
        for (size_t v = 0; v < 3; v++) {
            vec y = svld1(all, b + v * V), *c = acc + 3 * q + v;
#pragma GCC unroll 4
            for (size_t i = 0; i < m; i++) c[3 * i * panels] = svmla_x(all, c[3 * i * panels], y, x[i]);
        }
    }
}

INLINE void move(size_t m, const float **rows, size_t by)
{
#pragma GCC unroll 8
    for (size_t i = 0; i < m; i++) rows[i] += by;
}

/* C[m][PANEL*panels]; m, panels and fetch are constants. */
INLINE void tile(size_t m, size_t panels, size_t k, const float *a, size_t rs_a, size_t cs_a, const float *b,
                 size_t ps_b, float *c, size_t rs_c, int accumulate, enum fetch fetch, size_t ahead)
{
    svbool_t all = svptrue_b32();
    vec acc[24];
    const float *rows[8];
#pragma GCC unroll 8
    for (size_t i = 0; i < m; i++) {
        rows[i] = a + i * rs_a;
#pragma GCC unroll 12
        for (size_t v = 0; v < 3 * panels; v++)
            acc[3 * panels * i + v] = accumulate ? svld1(all, c + i * rs_c + v * V) : svdup_f32(0.0f);
    }
    size_t p = 0;
    if (panels == 1 && cs_a == 1)
        for (; k - p >= 4; p += 4, b += 4 * PANEL) {
            step(m, acc, rows, 0, b, fetch, ahead);
            step(m, acc, rows, 1, b + PANEL, fetch, ahead);
            step(m, acc, rows, 2, b + 2 * PANEL, fetch, ahead);
            step(m, acc, rows, 3, b + 3 * PANEL, fetch, ahead);
            move(m, rows, 4);
        }
    for (; p < k; p++, b += PANEL) {
        if (panels == 1)
            step(m, acc, rows, 0, b, fetch, ahead);
        else
            wide_step(m, panels, acc, rows, b, ps_b, fetch, ahead);
        move(m, rows, cs_a);
    }
#pragma GCC unroll 8
    for (size_t i = 0; i < m; i++)
#pragma GCC unroll 12
        for (size_t v = 0; v < 3 * panels; v++) svst1(all, c + i * rs_c + v * V, acc[3 * panels * i + v]);
}

/* One function a tile, so that each has the registers to itself. */
#define TILE(panels, m)                                                                                                \
    static __attribute__((noinline)) void tile_##m##x##panels(size_t k, const float *a, size_t rs_a, size_t cs_a,      \
                                                              const float *b, size_t ps_b, float *c, size_t rs_c,      \
                                                              int accumulate, size_t prefetch)                         \
    {                                                                                                                  \
        size_t ahead = prefetch * PANEL;                                                                               \
        if (prefetch >= FAR_ROWS)                                                                                      \
            tile(m, panels, k, a, rs_a, cs_a, b, ps_b, c, rs_c, accumulate, FAR, ahead);                               \
        else if (prefetch)                                                                                             \
            tile(m, panels, k, a, rs_a, cs_a, b, ps_b, c, rs_c, accumulate, NEAR, ahead);                              \
        else                                                                                                           \
            tile(m, panels, k, a, rs_a, cs_a, b, ps_b, c, rs_c, accumulate, NONE, 0);                                  \
    }

#define CASE(panels, m)                                                                                                \
    case m:                                                                                                            \
        tile_##m##x##panels(k, a, rs_a, cs_a, b, ps_b, c, rs_c, accumulate, prefetch);                                 \
        break;

#define TILES_1(X) X(1, 1) X(1, 2) X(1, 3) X(1, 4) X(1, 5) X(1, 6) X(1, 7) X(1, 8)
#define TILES_2(X) X(2, 1) X(2, 2) X(2, 3) X(2, 4)
#define TILES_4(X) X(4, 1) X(4, 2)
TILES_1(TILE)
TILES_2(TILE)
TILES_4(TILE)

#define KERNEL(name, TILES)                                                                                            \
    void cg_gemm_f32_##name(size_t m, size_t k, const float *a, size_t rs_a, size_t cs_a, const float *b, size_t ps_b, \
                            float *c, size_t rs_c, int accumulate, size_t prefetch)                                    \
    {                                                                                                                  \
        switch (m) { TILES(CASE) }                                                                                     \
    }

#if BITS == 128
KERNEL(8x12_sve128, TILES_1)
KERNEL(4x24_sve128, TILES_2)
KERNEL(2x48_sve128, TILES_4)
#elif BITS == 256
KERNEL(8x24_sve256, TILES_1)
KERNEL(4x48_sve256, TILES_2)
KERNEL(2x96_sve256, TILES_4)
#elif BITS == 512
KERNEL(8x48_sve512, TILES_1)
KERNEL(4x96_sve512, TILES_2)
KERNEL(2x192_sve512, TILES_4)
#elif BITS == 1024
KERNEL(8x96_sve1024, TILES_1)
KERNEL(4x192_sve1024, TILES_2)
KERNEL(2x384_sve1024, TILES_4)
#elif BITS == 2048
KERNEL(8x192_sve2048, TILES_1)
KERNEL(4x384_sve2048, TILES_2)
KERNEL(2x768_sve2048, TILES_4)
#else
#error "compile with -msve-vector-bits=128, 256, 512, 1024 or 2048"
#endif
