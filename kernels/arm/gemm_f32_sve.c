/* GEMM f32 for SVE, compiled once for each length of its vectors (-msve-vector-bits), which hold V floats. Tiles of
 * 8 x 3V (24 accumulators, three vectors of B and one of A of 32 registers), of 6 x 4V for widths that 3V does not
 * divide, and for few rows, where one panel leaves too few chains to hide the latency of a multiply-add, tiles of two
 * and four panels. One lane is one output, so the chain of each is the scalar truth's whatever the tile. */
#include <arm_sve.h>

#include "kernels/ops.h"

/* gcc would make a second copy of every loop for cs_a == 1. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("no-version-loops-for-strides")
#endif

#define INLINE static inline __attribute__((always_inline))
#define BITS __ARM_FEATURE_SVE_BITS
#define V ((size_t)BITS / 32)
typedef svfloat32_t vec __attribute__((arm_sve_vector_bits(BITS)));

/* Where the panel is prefetched to: L1, or, from FAR_ROWS rows ahead on, L2 only: L1 would not hold it until then. */
enum fetch { NONE, NEAR, FAR };
#define FAR_ROWS 64

INLINE void prefetch_row(const float *b, size_t floats, enum fetch fetch)
{
    enum { LINE = 64 / sizeof(float) };
#pragma GCC unroll 16
    for (size_t i = 0; i < floats; i += LINE) {
        if (fetch == NEAR) __builtin_prefetch(b + i, 0, 3);
        if (fetch == FAR) __builtin_prefetch(b + i, 0, 2);
    }
}

/* a[u] in all lanes, for a constant u, and c += y * x. As assembly, since gcc 12 hoists the loads of all rows and
 * spills accumulators for them. */
INLINE svfloat32_t broadcast(const float *a, int u)
{
    svfloat32_t x;
#define LOAD(u)                                                                  \
    case u:                                                                      \
        __asm__ volatile("ld1rw {%0.s}, %1/z, [%2, %3]"                          \
                         : "=w"(x)                                               \
                         : "Upl"(svptrue_b32()), "r"(a), "i"(4 * u), "m"(a[u])); \
        break;
    switch (u) {
    default: LOAD(0) LOAD(1) LOAD(2) LOAD(3)
    }
    return x;
}

INLINE svfloat32_t fma_in_place(svfloat32_t c, svfloat32_t y, svfloat32_t x)
{
    __asm__ volatile("fmla %0.s, %1/m, %2.s, %3.s" : "+w"(c) : "Upl"(svptrue_b32()), "w"(y), "w"(x));
    return c;
}

/* One step of the reduction: element `u` of m rows of A against one panel of `n` vectors, which stay in registers while
 * the rows pass. */
INLINE void step(size_t m, size_t n, vec *acc, const float *const *a, int u, const float *b, enum fetch fetch,
                 size_t ahead)
{
    vec y[4];
#pragma GCC unroll 4
    for (size_t v = 0; v < n; v++) y[v] = svld1(svptrue_b32(), b + v * V);
    prefetch_row(b + ahead, n * V, fetch);
#pragma GCC unroll 8
    for (size_t i = 0; i < m; i++) {
        vec x = broadcast(a[i], u);
#pragma GCC unroll 4
        for (size_t v = 0; v < n; v++) acc[i * n + v] = fma_in_place(acc[i * n + v], y[v], x);
    }
}

/* One step against several panels: the elements of A stay while the vectors pass. */
INLINE void wide_step(size_t m, size_t n, size_t panels, vec *acc, const float *const *a, const float *b, size_t ps_b,
                      enum fetch fetch, size_t ahead)
{
    svbool_t all = svptrue_b32();
    vec x[4];
#pragma GCC unroll 4
    for (size_t i = 0; i < m; i++) x[i] = svdup_f32(*a[i]);
#pragma GCC unroll 4
    for (size_t q = 0; q < panels; q++, b += ps_b) {
        prefetch_row(b + ahead, n * V, fetch);
#pragma GCC unroll 4
        for (size_t v = 0; v < n; v++) {
            vec y = svld1(all, b + v * V), *c = acc + n * q + v;
#pragma GCC unroll 4
            for (size_t i = 0; i < m; i++) c[i * n * panels] = fma_in_place(c[i * n * panels], y, x[i]);
        }
    }
}

INLINE void move(size_t m, const float **rows, size_t by)
{
#pragma GCC unroll 8
    for (size_t i = 0; i < m; i++) rows[i] += by;
}

/* C[m][n*V*panels]; m, n, panels and fetch are constants. */
INLINE void tile(size_t m, size_t n, size_t panels, size_t k, const float *a, size_t rs_a, size_t cs_a, const float *b,
                 size_t rs_b, size_t ps_b, float *c, size_t rs_c, int accumulate, enum fetch fetch, size_t ahead)
{
    svbool_t all = svptrue_b32();
    vec acc[24];
    const float *rows[8];
    size_t p = 0;
#pragma GCC unroll 8
    for (size_t i = 0; i < m; i++) {
        rows[i] = a + i * rs_a;
#pragma GCC unroll 16
        for (size_t v = 0; v < n * panels; v++)
            acc[i * n * panels + v] = accumulate ? svld1(all, c + i * rs_c + v * V) : svdup_f32(0.0f);
    }
    if (panels == 1 && cs_a == 1) /* the pointers to A move once in four steps */
        for (; k - p >= 4; p += 4, b += rs_b) {
            step(m, n, acc, rows, 0, b, fetch, ahead);
            step(m, n, acc, rows, 1, b += rs_b, fetch, ahead);
            step(m, n, acc, rows, 2, b += rs_b, fetch, ahead);
            step(m, n, acc, rows, 3, b += rs_b, fetch, ahead);
            move(m, rows, 4);
        }
    for (; p < k; p++, b += rs_b) {
        if (panels == 1) step(m, n, acc, rows, 0, b, fetch, ahead);
        else wide_step(m, n, panels, acc, rows, b, ps_b, fetch, ahead);
        move(m, rows, cs_a);
    }
    __asm__("" : "+r"(c), "+r"(rs_c)); /* or gcc keeps the addresses of all rows through the loop */
#pragma GCC unroll 8
    for (size_t i = 0; i < m; i++)
#pragma GCC unroll 16
        for (size_t v = 0; v < n * panels; v++) svst1(all, c + i * rs_c + v * V, acc[i * n * panels + v]);
}

/* One function a tile, so that each has the registers to itself. */
#define TILE(n, panels, m)                                                                                        \
    static __attribute__((noinline)) void tile_##m##_##n##_##panels(                                              \
        size_t k, const float *a, size_t rs_a, size_t cs_a, const float *b, size_t rs_b, size_t ps_b, float *c,   \
        size_t rs_c, int accumulate, size_t prefetch)                                                             \
    {                                                                                                             \
        size_t ahead = prefetch * rs_b;                                                                           \
        if (prefetch >= FAR_ROWS)                                                                                 \
            tile(m, n, panels, k, a, rs_a, cs_a, b, rs_b, ps_b, c, rs_c, accumulate, FAR, ahead);                 \
        else if (prefetch) tile(m, n, panels, k, a, rs_a, cs_a, b, rs_b, ps_b, c, rs_c, accumulate, NEAR, ahead); \
        else tile(m, n, panels, k, a, rs_a, cs_a, b, rs_b, ps_b, c, rs_c, accumulate, NONE, 0);                   \
    }

#define CASE(n, panels, m)                                                                         \
    case m:                                                                                        \
        tile_##m##_##n##_##panels(k, a, rs_a, cs_a, b, rs_b, ps_b, c, rs_c, accumulate, prefetch); \
        break;

#define KERNEL_(mr, nr, bits, ROWS, n, panels)                                                                \
    ROWS(TILE, n, panels)                                                                                     \
    void cg_gemm_f32_##mr##x##nr##_sve##bits(size_t m, size_t k, const float *a, size_t rs_a, size_t cs_a,    \
                                             const float *b, size_t rs_b, size_t ps_b, float *c, size_t rs_c, \
                                             int accumulate, size_t prefetch)                                 \
    {                                                                                                         \
        switch (m) {                                                                                          \
            ROWS(CASE, n, panels)                                                                             \
        }                                                                                                     \
    }
#define KERNEL(mr, nr, bits, n, panels) KERNEL_(mr, nr, bits, ROWS_##mr, n, panels)

#define ROWS_2(X, n, panels) X(n, panels, 1) X(n, panels, 2)
#define ROWS_4(X, n, panels) ROWS_2(X, n, panels) X(n, panels, 3) X(n, panels, 4)
#define ROWS_6(X, n, panels) ROWS_4(X, n, panels) X(n, panels, 5) X(n, panels, 6)
#define ROWS_8(X, n, panels) ROWS_6(X, n, panels) X(n, panels, 7) X(n, panels, 8)

#if BITS == 128
KERNEL(8, 12, 128, 3, 1)
KERNEL(4, 24, 128, 3, 2)
KERNEL(2, 48, 128, 3, 4)
KERNEL(6, 16, 128, 4, 1)
#elif BITS == 256
KERNEL(8, 24, 256, 3, 1)
KERNEL(4, 48, 256, 3, 2)
KERNEL(2, 96, 256, 3, 4)
KERNEL(6, 32, 256, 4, 1)
#elif BITS == 512
KERNEL(8, 48, 512, 3, 1)
KERNEL(4, 96, 512, 3, 2)
KERNEL(2, 192, 512, 3, 4)
KERNEL(6, 64, 512, 4, 1)
#elif BITS == 1024
KERNEL(8, 96, 1024, 3, 1)
KERNEL(4, 192, 1024, 3, 2)
KERNEL(2, 384, 1024, 3, 4)
#elif BITS == 2048
KERNEL(8, 192, 2048, 3, 1)
KERNEL(4, 384, 2048, 3, 2)
KERNEL(2, 768, 2048, 3, 4)
#else
#error "compile with -msve-vector-bits=128, 256, 512, 1024 or 2048"
#endif
