/* GEMM with bf16 weights and f32 arithmetic for Advanced SIMD, in the tiles of gemm_f32_neon.c: M x 12 (one packed
 * panel, M to 8) and M x 48 (four panels, M to 2). A 32-bit lane holds a column's pair of weights: the even row of B is
 * its low half, shifted up, the odd row its high half, with the low one masked off. One lane is one output. */
#include <arm_neon.h>

#include "kernels/ops.h"

/* gcc 12 would move loads ahead until it has to spill accumulators for them. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("no-schedule-insns")
#endif

#define INLINE static inline __attribute__((always_inline))
#define PANEL 12 /* PACK_NR: three vectors of four columns */

/* Where the panel is prefetched to: L1, or, from FAR_ROWS rows ahead on, L2 only: L1 would not hold it until then. */
enum fetch { NONE, NEAR, FAR };
#define FAR_ROWS 64

/* c[0..3) += even[0..3) * a[0], and then, unless odd is NULL, += odd[0..3) * a[cs_a]. As assembly, since gcc 12 hoists
 * the loads of all rows and spills accumulators for them. */
#define FMLA_3(b0, b1, b2)                \
    "fmla %0.4s, %" b0 ".4s, %3.s[0]\n\t" \
    "fmla %1.4s, %" b1 ".4s, %3.s[0]\n\t" \
    "fmla %2.4s, %" b2 ".4s, %3.s[0]\n\t"
#define C_3 "+w"(c[0]), "+w"(c[1]), "+w"(c[2])
INLINE void row(float32x4_t *c, const float *a, size_t cs_a, const float32x4_t *even, const float32x4_t *odd)
{
    float32x4_t x;
    if (odd)
        __asm__("ldr %s3, %10\n\t" FMLA_3("4", "5", "6") "ldr %s3, %11\n\t" FMLA_3("7", "8", "9")
                : C_3, "=&w"(x)
                : "w"(even[0]), "w"(even[1]), "w"(even[2]), "w"(odd[0]), "w"(odd[1]), "w"(odd[2]), "m"(*a),
                  "m"(a[cs_a]));
    else
        __asm__("ldr %s3, %7\n\t" FMLA_3("4", "5", "6")
                : C_3, "=&w"(x)
                : "w"(even[0]), "w"(even[1]), "w"(even[2]), "m"(*a));
}

/* Two rows of B, against elements `at` and at + cs_a of m rows of A; without `both`, the first of them. */
INLINE void pair(size_t m, size_t panels, float32x4_t *acc, const float *const *a, size_t at, size_t cs_a,
                 const uint16_t *b, size_t ps_b, int both, enum fetch fetch, size_t ahead)
{
    const uint32x4_t high = vdupq_n_u32(0xffff0000);
#pragma GCC unroll 4
    for (size_t j = 0; j < panels; j++, b += ps_b) {
        float32x4_t even[3], odd[3];
#pragma GCC unroll 3
        for (size_t v = 0; v < 3; v++) {
            uint32x4_t w = vreinterpretq_u32_u16(vld1q_u16(b + 8 * v));
            even[v] = vreinterpretq_f32_u32(vshlq_n_u32(w, 16));
            odd[v] = vreinterpretq_f32_u32(vandq_u32(w, high));
        }
        if (fetch == NEAR) __builtin_prefetch(b + ahead, 0, 3);
        if (fetch == FAR) __builtin_prefetch(b + ahead, 0, 2);
#pragma GCC unroll 8
        for (size_t i = 0; i < m; i++) row(acc + 3 * (i * panels + j), a[i] + at, cs_a, even, both ? odd : NULL);
    }
}

/* C[m][12*panels]; m, panels and fetch are constants. */
INLINE void tile(size_t m, size_t panels, size_t k, const float *a, size_t rs_a, size_t cs_a, const uint16_t *b,
                 size_t ps_b, float *c, size_t rs_c, int accumulate, enum fetch fetch, size_t ahead)
{
    float32x4_t acc[24];
    const float *rows[8];
#pragma GCC unroll 8
    for (size_t i = 0; i < m; i++) {
        rows[i] = a + i * rs_a;
#pragma GCC unroll 12
        for (size_t v = 0; v < 3 * panels; v++)
            acc[3 * panels * i + v] = accumulate ? vld1q_f32(c + i * rs_c + 4 * v) : vdupq_n_f32(0.0f);
    }
    /* Starts that look alike to the compiler would share a register and be copied apart in the loop. */
#pragma GCC unroll 24
    for (size_t x = 0; x < 3 * panels * m; x++) __asm__("" : "+w"(acc[x]));
    size_t p = 0, at = 0;
    for (; p + 2 <= k; p += 2, at += 2 * cs_a, b += 2 * PANEL)
        pair(m, panels, acc, rows, at, cs_a, b, ps_b, 1, fetch, ahead);
    if (p < k) pair(m, panels, acc, rows, at, cs_a, b, ps_b, 0, NONE, 0);
#pragma GCC unroll 8
    for (size_t i = 0; i < m; i++)
#pragma GCC unroll 12
        for (size_t v = 0; v < 3 * panels; v++) vst1q_f32(c + i * rs_c + 4 * v, acc[3 * panels * i + v]);
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

#define TILES_12(X) X(1, 1) X(1, 2) X(1, 3) X(1, 4) X(1, 5) X(1, 6) X(1, 7) X(1, 8)
#define TILES_48(X) X(4, 1) X(4, 2)
TILES_12(TILE)
TILES_48(TILE)

void cg_gemm_bf16w_8x12_neon(size_t m, size_t k, const float *a, size_t rs_a, size_t cs_a, const uint16_t *b,
                             size_t ps_b, float *c, size_t rs_c, int accumulate, size_t prefetch)
{
    switch (m) {
        TILES_12(CASE)
    }
}

void cg_gemm_bf16w_2x48_neon(size_t m, size_t k, const float *a, size_t rs_a, size_t cs_a, const uint16_t *b,
                             size_t ps_b, float *c, size_t rs_c, int accumulate, size_t prefetch)
{
    switch (m) {
        TILES_48(CASE)
    }
}
