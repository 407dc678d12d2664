/* GEMM with bf16 weights and f32 arithmetic for SVE, in the tiles of gemm_f32_sve.c, compiled once for each length of
 * its vectors (-msve-vector-bits): V is the 32-bit lanes of one, a packed panel has 3V columns. Tiles of M x 3V (one
 * panel, M to 8), M x 6V (two, M to 4) and M x 12V (four, M to 2). A lane holds a column's pair of weights: the even
 * row of B is its low half, shifted up, the odd row its high half, with the low one masked off. One lane is one output. */
#include <arm_sve.h>

#include "kernels/ops.h"

/* gcc 12 would make a second copy of every loop for cs_a == 1, and move loads ahead until it has to move accumulators
 * about for them. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("no-version-loops-for-strides", "no-schedule-insns")
#endif

#define INLINE static inline __attribute__((always_inline))
#define BITS __ARM_FEATURE_SVE_BITS
#define V ((size_t)BITS / 32)
#define PANEL (3 * V) /* PACK_NR */

typedef svfloat32_t vec __attribute__((arm_sve_vector_bits(BITS)));

/* Where the panel is prefetched to: L1, or, from FAR_ROWS rows ahead on, L2 only: L1 would not hold it until then. */
enum fetch { NONE, NEAR, FAR };
#define FAR_ROWS 64

INLINE void prefetch_pair(const uint16_t *b, enum fetch fetch)
{
    enum { LINE = 64 / sizeof(uint16_t) };
    if (fetch == NONE) return;
    __asm__("" : "+r"(b)); /* one register, from which all are told */
#pragma GCC unroll 12
    for (size_t i = 0; i < 2 * PANEL; i += LINE) {
        if (fetch == NEAR) __builtin_prefetch(b + i, 0, 3);
        if (fetch == FAR) __builtin_prefetch(b + i, 0, 2);
    }
}

#define LD1RW "Uty" /* what ld1rw can address: a register and a small offset */

/* c[0..3) += even[0..3) * a[0], and then, with `both`, += odd[0..3) * a[cs_a]. As assembly, since gcc 12 hoists the
 * loads of all rows and spills accumulators for them. */
#define FMLA_3(b0, b1, b2)                 \
    "fmla %0.s, %4/m, %" b0 ".s, %3.s\n\t" \
    "fmla %1.s, %4/m, %" b1 ".s, %3.s\n\t" \
    "fmla %2.s, %4/m, %" b2 ".s, %3.s\n\t"
#define C_3 "+w"(c[0]), "+w"(c[1]), "+w"(c[2])
INLINE void row(vec *c, const float *a, size_t cs_a, const vec *even, const vec *odd, int both)
{
    svfloat32_t x;
    if (both)
        __asm__("ld1rw {%3.s}, %4/z, %11\n\t" FMLA_3("5", "6", "7") "ld1rw {%3.s}, %4/z, %12\n\t" FMLA_3("8", "9", "10")
                : C_3, "=&w"(x)
                : "Upl"(svptrue_b32()), "w"(even[0]), "w"(even[1]), "w"(even[2]), "w"(odd[0]), "w"(odd[1]), "w"(odd[2]),
                  LD1RW(*a), LD1RW(a[cs_a]));
    else
        __asm__("ld1rw {%3.s}, %4/z, %8\n\t" FMLA_3("5", "6", "7")
                : C_3, "=&w"(x)
                : "Upl"(svptrue_b32()), "w"(even[0]), "w"(even[1]), "w"(even[2]), LD1RW(*a));
}

/* Two rows of B (without `both`, the first of them) against m rows of A. The vectors of a panel stay in registers while
 * the rows pass. */
INLINE void pair(size_t m, size_t panels, vec *acc, const float *const *a, size_t cs_a, const uint16_t *b, size_t ps_b,
                 int both, enum fetch fetch, size_t ahead)
{
#pragma GCC unroll 4
    for (size_t q = 0; q < panels; q++, b += ps_b) {
        vec even[3], odd[3];
#pragma GCC unroll 3
        for (size_t v = 0; v < 3; v++) {
            svuint32_t w = svreinterpret_u32(svld1(svptrue_b16(), b + 2 * v * V));
            even[v] = svreinterpret_f32(svlsl_x(svptrue_b32(), w, 16));
            odd[v] = svreinterpret_f32(svand_x(svptrue_b32(), w, 0xffff0000));
        }
        prefetch_pair(b + ahead, fetch);
#pragma GCC unroll 8
        for (size_t i = 0; i < m; i++) row(acc + 3 * (i * panels + q), a[i], cs_a, even, odd, both);
    }
}

/* All pairs, and the row that is left where k is odd. */
INLINE void chain(size_t m, size_t panels, size_t k, vec *acc, const float **a, size_t cs_a, const uint16_t *b,
                  size_t ps_b, enum fetch fetch, size_t ahead)
{
    for (size_t p = k; p >= 2; p -= 2, b += 2 * PANEL) {
        pair(m, panels, acc, a, cs_a, b, ps_b, 1, fetch, ahead);
#pragma GCC unroll 8
        for (size_t i = 0; i < m; i++) a[i] += 2 * cs_a;
    }
    if (k % 2) pair(m, panels, acc, a, cs_a, b, ps_b, 0, NONE, 0);
}

/* C[m][PANEL*panels]; m, panels and fetch are constants. */
INLINE void tile(size_t m, size_t panels, size_t k, const float *a, size_t rs_a, size_t cs_a, const uint16_t *b,
                 size_t ps_b, float *c, size_t rs_c, int accumulate, enum fetch fetch, size_t ahead)
{
    const svbool_t all = svptrue_b32();
    vec acc[24];
    const float *rows[8];
#pragma GCC unroll 8
    for (size_t i = 0; i < m; i++) {
        rows[i] = a + i * rs_a;
#pragma GCC unroll 12
        for (size_t v = 0; v < 3 * panels; v++)
            acc[3 * panels * i + v] = accumulate ? svld1(all, c + i * rs_c + v * V) : svdup_f32(0.0f);
    }
    /* Starts that look alike to the compiler would share a register and be copied apart in the loop. */
#pragma GCC unroll 24
    for (size_t x = 0; x < 3 * panels * m; x++) __asm__("" : "+w"(acc[x]));
    if (cs_a == 1) chain(m, panels, k, acc, rows, 1, b, ps_b, fetch, ahead);
    else chain(m, panels, k, acc, rows, cs_a, b, ps_b, fetch, ahead);
#pragma GCC unroll 8
    for (size_t i = 0; i < m; i++)
#pragma GCC unroll 12
        for (size_t v = 0; v < 3 * panels; v++) svst1(all, c + i * rs_c + v * V, acc[3 * panels * i + v]);
}

/* One function a tile, so that each has the registers to itself. */
#define TILE(panels, m)                                                                                              \
    static __attribute__((noinline)) void tile_##m##x##panels(size_t k, const float *a, size_t rs_a, size_t cs_a,    \
                                                              const uint16_t *b, size_t ps_b, float *c, size_t rs_c, \
                                                              int accumulate, size_t prefetch)                       \
    {                                                                                                                \
        size_t ahead = prefetch * PANEL;                                                                             \
        if (prefetch >= FAR_ROWS) tile(m, panels, k, a, rs_a, cs_a, b, ps_b, c, rs_c, accumulate, FAR, ahead);       \
        else if (prefetch) tile(m, panels, k, a, rs_a, cs_a, b, ps_b, c, rs_c, accumulate, NEAR, ahead);             \
        else tile(m, panels, k, a, rs_a, cs_a, b, ps_b, c, rs_c, accumulate, NONE, 0);                               \
    }

#define CASE(panels, m)                                                                \
    case m:                                                                            \
        tile_##m##x##panels(k, a, rs_a, cs_a, b, ps_b, c, rs_c, accumulate, prefetch); \
        break;

#define TILES_1(X) X(1, 1) X(1, 2) X(1, 3) X(1, 4) X(1, 5) X(1, 6) X(1, 7) X(1, 8)
#define TILES_2(X) X(2, 1) X(2, 2) X(2, 3) X(2, 4)
#define TILES_4(X) X(4, 1) X(4, 2)
TILES_1(TILE)
TILES_2(TILE)
TILES_4(TILE)

#define KERNEL(name, TILES)                                                                                    \
    void cg_gemm_bf16w_##name(size_t m, size_t k, const float *a, size_t rs_a, size_t cs_a, const uint16_t *b, \
                              size_t ps_b, float *c, size_t rs_c, int accumulate, size_t prefetch)             \
    {                                                                                                          \
        switch (m) {                                                                                           \
            TILES(CASE)                                                                                        \
        }                                                                                                      \
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
