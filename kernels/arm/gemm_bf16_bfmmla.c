/* Native bf16 GEMM with bfmmla: 2 rows of A times 2 columns of B, two pairs of products for each of the four f32 outputs,
 * one pair after the other. kernels/ref/bf16_dot_arm.c is what each output is. */
#include <arm_neon.h>

#include "kernels/ops.h"

/* gcc 12 would move loads ahead until it has to move accumulators about for them. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("no-schedule-insns")
#endif

#define INLINE static inline __attribute__((always_inline))
#define NR 12
#define KR 4
#define NV 6 /* vectors of 2 columns */

typedef struct {
    uint16_t x[KR];
} four;

/* c[j] += the 2x2 outputs of a (one row in each half) and columns 2j, 2j+1. As assembly, since gcc 12 hoists the loads of
 * all rows and spills accumulators for them. */
#define BFMMLA_6                         \
    "bfmmla %0.4s, %6.8h, %7.8h\n\t"     \
    "bfmmla %1.4s, %6.8h, %8.8h\n\t"     \
    "bfmmla %2.4s, %6.8h, %9.8h\n\t"    \
    "bfmmla %3.4s, %6.8h, %10.8h\n\t"    \
    "bfmmla %4.4s, %6.8h, %11.8h\n\t"    \
    "bfmmla %5.4s, %6.8h, %12.8h"
#define C_6 "+w"(c[0]), "+w"(c[1]), "+w"(c[2]), "+w"(c[3]), "+w"(c[4]), "+w"(c[5])
#define B_6 "w"(b[0]), "w"(b[1]), "w"(b[2]), "w"(b[3]), "w"(b[4]), "w"(b[5])

INLINE void two_rows(float32x4_t *c, const uint16_t *a0, const uint16_t *a1, const uint16x8_t *b)
{
    uint16x8_t x;
    __asm__("ldr %d6, %13\n\t"
            "ld1 {%6.d}[1], %14\n\t" BFMMLA_6
            : C_6, "=&w"(x)
            : B_6, "m"(*(const four *)a0), "Q"(*(const four *)a1));
}

/* The last of an odd number of rows stands in both halves. */
INLINE void one_row(float32x4_t *c, const uint16_t *a, const uint16x8_t *b)
{
    uint16x8_t x;
    __asm__("ld1r {%6.2d}, %13\n\t" BFMMLA_6 : C_6, "=&w"(x) : B_6, "Q"(*(const four *)a));
}

/* One group of 4 rows of B against m rows of A. */
INLINE void step(size_t m, float32x4_t *c, const uint16_t *const *a, size_t at, const uint16_t *b, int fetch,
                 size_t ahead)
{
    uint16x8_t bv[NV];
#pragma GCC unroll 6
    for (size_t j = 0; j < NV; j++) bv[j] = vld1q_u16(b + 8 * j);
    if (fetch) __builtin_prefetch(b + ahead);
#pragma GCC unroll 4
    for (size_t i = 0; i + 1 < m; i += 2) two_rows(c + NV * (i / 2), a[i] + at, a[i + 1] + at, bv);
    if (m % 2) one_row(c + NV * (m / 2), a[m - 1] + at, bv);
}

/* C[m][12]; m and fetch are constants. */
INLINE void tile(size_t m, size_t k, const uint16_t *a, size_t rs_a, const uint16_t *b, float *c, size_t rs_c,
                 int fetch, size_t ahead)
{
    float32x4_t acc[24];
    const uint16_t *rows[8];
    const size_t used = NV * ((m + 1) / 2);
#pragma GCC unroll 8
    for (size_t i = 0; i < m; i++) rows[i] = a + i * rs_a;
#pragma GCC unroll 24
    for (size_t x = 0; x < used; x++) acc[x] = vdupq_n_f32(0.0f);
        /* Starts that look alike to the compiler would share a register and be copied apart in the loop. */
#pragma GCC unroll 24
    for (size_t x = 0; x < used; x++) __asm__("" : "+w"(acc[x]));
    for (size_t p = 0; p < k; p += KR, b += NR * KR) step(m, acc, rows, p, b, fetch, ahead);
#pragma GCC unroll 8
    for (size_t i = 0; i < m; i++)
#pragma GCC unroll 3
        for (size_t j = 0; j < NR / 4; j++) {
            const float32x4_t *at = acc + NV * (i / 2) + 2 * j;
            float64x2_t lo = vreinterpretq_f64_f32(at[0]), hi = vreinterpretq_f64_f32(at[1]);
            vst1q_f32(c + i * rs_c + 4 * j, vreinterpretq_f32_f64(i % 2 ? vzip2q_f64(lo, hi) : vzip1q_f64(lo, hi)));
        }
}

/* One function a tile, so that each has the registers to itself. */
#define TILE(m)                                                                                              \
    static __attribute__((noinline)) void tile_##m(size_t k, const uint16_t *a, size_t rs_a,                 \
                                                   const uint16_t *b, float *c, size_t rs_c, size_t prefetch) \
    {                                                                                                        \
        if (prefetch) tile(m, k, a, rs_a, b, c, rs_c, 1, prefetch * NR);                                     \
        else tile(m, k, a, rs_a, b, c, rs_c, 0, 0);                                                          \
    }

#define CASE(m) \
    case m: tile_##m(k, a, rs_a, b, c, rs_c, prefetch); break;

#define TILES(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8)
TILES(TILE)

void cg_gemm_bf16_8x12_bfmmla(size_t m, size_t k, const uint16_t *a, size_t rs_a, const uint16_t *b, float *c,
                              size_t rs_c, size_t prefetch)
{
    switch (m) {
        TILES(CASE)
    }
}
