/* INT8 GEMM with smmla: 2 rows of A times 2 columns of B, 8 products for each of the four int32 outputs, exactly. */
#include <arm_neon.h>

#include "kernels/ops.h"

#define INLINE static inline __attribute__((always_inline))
#define NR 12
#define KR 8
#define NV 6 /* vectors of 2 columns */

typedef struct {
    int8_t x[8];
} eight;

/* c[j] += the 2x2 outputs of a (one row in each half) and columns 2j, 2j+1. As assembly, since gcc 12 hoists the loads of
 * all rows and spills accumulators for them. */
#define SMMLA_6                             \
    "smmla %0.4s, %6.16b, %7.16b\n\t"       \
    "smmla %1.4s, %6.16b, %8.16b\n\t"       \
    "smmla %2.4s, %6.16b, %9.16b\n\t"      \
    "smmla %3.4s, %6.16b, %10.16b\n\t"      \
    "smmla %4.4s, %6.16b, %11.16b\n\t"      \
    "smmla %5.4s, %6.16b, %12.16b"
#define C_6 "+w"(c[0]), "+w"(c[1]), "+w"(c[2]), "+w"(c[3]), "+w"(c[4]), "+w"(c[5])
#define B_6 "w"(b[0]), "w"(b[1]), "w"(b[2]), "w"(b[3]), "w"(b[4]), "w"(b[5])

INLINE void two_rows(int32x4_t *c, const int8_t *a0, const int8_t *a1, const int8x16_t *b)
{
    int8x16_t x;
    __asm__("ldr %d6, %13\n\t"
            "ld1 {%6.d}[1], %14\n\t" SMMLA_6
            : C_6, "=&w"(x)
            : B_6, "m"(*(const eight *)a0), "Q"(*(const eight *)a1));
}

/* The last of an odd number of rows stands in both halves. */
INLINE void one_row(int32x4_t *c, const int8_t *a, const int8x16_t *b)
{
    int8x16_t x;
    __asm__("ld1r {%6.2d}, %13\n\t" SMMLA_6 : C_6, "=&w"(x) : B_6, "Q"(*(const eight *)a));
}

/* One group of 8 rows of B against m rows of A. */
INLINE void step(size_t m, int32x4_t *c, const int8_t *const *a, size_t at, const int8_t *b, int fetch, size_t ahead)
{
    int8x16_t bv[NV];
#pragma GCC unroll 6
    for (size_t j = 0; j < NV; j++) bv[j] = vld1q_s8(b + 16 * j);
    if (fetch) __builtin_prefetch(b + ahead);
#pragma GCC unroll 4
    for (size_t i = 0; i + 1 < m; i += 2) two_rows(c + NV * (i / 2), a[i] + at, a[i + 1] + at, bv);
    if (m % 2) one_row(c + NV * (m / 2), a[m - 1] + at, bv);
}

/* One row of outputs of 4 columns, scaled and stored. */
INLINE void store(float *c, int64x2_t lo_hi, float sa, const float *sb)
{
    float32x4_t f = vmulq_n_f32(vcvtq_f32_s32(vreinterpretq_s32_s64(lo_hi)), sa);
    vst1q_f32(c, vmulq_f32(f, vld1q_f32(sb)));
}

/* C[m][12]; m, split and fetch are constants. Few rows leave few chains, each bound by the latency of smmla: `split`
 * sets of accumulators take turns at the groups and are added at the end (integers: any order gives the same sum). */
INLINE void tile(size_t m, size_t split, size_t k, const int8_t *a, size_t rs_a, const int8_t *b, const float *sa,
                 const float *sb, float *c, size_t rs_c, int fetch, size_t ahead)
{
    int32x4_t acc[24];
    const int8_t *rows[8];
    const size_t set = NV * ((m + 1) / 2);
#pragma GCC unroll 8
    for (size_t i = 0; i < m; i++) rows[i] = a + i * rs_a;
#pragma GCC unroll 24
    for (size_t x = 0; x < split * set; x++) acc[x] = vdupq_n_s32(0);
        /* Starts that look alike to the compiler would share a register and be copied apart in the loop. */
#pragma GCC unroll 24
    for (size_t x = 0; x < split * set; x++) __asm__("" : "+w"(acc[x]));
    size_t groups = (k + KR - 1) / KR, g = 0;
    if (groups >= split) {
        do {
#pragma GCC unroll 4
            for (size_t s = 0; s < split; s++, b += NR * KR)
                step(m, acc + set * s, rows, KR * (g + s), b, fetch, ahead);
            g += split;
        } while (g + split <= groups);
    }
    for (; split > 1 && g < groups; g++, b += NR * KR) step(m, acc, rows, KR * g, b, 0, 0);
#pragma GCC unroll 24
    for (size_t x = set; x < split * set; x++) acc[x % set] = vaddq_s32(acc[x % set], acc[x]);
#pragma GCC unroll 8
    for (size_t i = 0; i < m; i++)
#pragma GCC unroll 3
        for (size_t j = 0; j < NR / 4; j++) {
            const int32x4_t *at = acc + NV * (i / 2) + 2 * j;
            int64x2_t lo = vreinterpretq_s64_s32(at[0]), hi = vreinterpretq_s64_s32(at[1]);
            store(c + i * rs_c + 4 * j, i % 2 ? vzip2q_s64(lo, hi) : vzip1q_s64(lo, hi), sa[i], sb + 4 * j);
        }
}

/* One function a tile, so that each has the registers to itself. */
#define TILE(m, split)                                                                                      \
    static __attribute__((noinline)) void tile_##m(size_t k, const int8_t *a, size_t rs_a, const int8_t *b, \
                                                   const float *sa, const float *sb, float *c, size_t rs_c, \
                                                   size_t prefetch)                                         \
    {                                                                                                       \
        if (prefetch) tile(m, split, k, a, rs_a, b, sa, sb, c, rs_c, 1, prefetch * NR);                     \
        else tile(m, split, k, a, rs_a, b, sa, sb, c, rs_c, 0, 0);                                          \
    }

#define CASE(m, split) \
    case m: tile_##m(k, a, rs_a, b, sa, sb, c, rs_c, prefetch); break;

/* X(rows, sets of accumulators) */
#define TILES(X) X(1, 2) X(2, 2) X(3, 1) X(4, 1) X(5, 1) X(6, 1) X(7, 1) X(8, 1)
TILES(TILE)

void cg_gemm_s8_8x12_i8mm(size_t m, size_t k, const void *a, size_t rs_a, const int8_t *b, const int32_t *comp,
                          const float *sa, const float *sb, float *c, size_t rs_c, size_t prefetch)
{
    (void)comp;
    switch (m) {
        TILES(CASE)
    }
}
