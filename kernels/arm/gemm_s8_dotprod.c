/* INT8 GEMM with sdot: a lane adds four s8*s8 products to an int32, exactly. */
#include <arm_neon.h>

#include "kernels/ops.h"

#define INLINE static inline __attribute__((always_inline))
#define NV 3 /* vectors of 4 columns: NR = 12 */

/* One row of A, 4 elements, against NV vectors of B. As assembly, since gcc 12 hoists the loads of all rows and spills
 * accumulators for them. */
INLINE void row(int32x4_t *c, const int8_t *a, const int8x16_t *b)
{
    const struct {
        int8_t x[4];
    } *four = (const void *)a;
    int8x16_t x;
    __asm__("ldr %s3, %4\n\t"
            "sdot %0.4s, %5.16b, %3.4b[0]\n\t"
            "sdot %1.4s, %6.16b, %3.4b[0]\n\t"
            "sdot %2.4s, %7.16b, %3.4b[0]"
            : "+w"(c[0]), "+w"(c[1]), "+w"(c[2]), "=&w"(x)
            : "m"(*four), "w"(b[0]), "w"(b[1]), "w"(b[2]));
}

/* One group of 4 rows of B against m rows of A. */
INLINE void step(size_t m, int32x4_t *c, const int8_t *const *a, size_t at, const int8_t *b, int fetch, size_t ahead)
{
    int8x16_t bv[NV] = {vld1q_s8(b), vld1q_s8(b + 16), vld1q_s8(b + 32)};
    if (fetch) __builtin_prefetch(b + ahead);
#pragma GCC unroll 8
    for (size_t i = 0; i < m; i++) row(c + NV * i, a[i] + at, bv);
}

/* C[m][12]; m, split and fetch are constants. Few rows leave few chains, each bound by the latency of sdot: `split`
 * sets of accumulators take turns at the groups and are added at the end (integers: any order gives the same sum). */
INLINE void tile(size_t m, size_t split, size_t k, const int8_t *a, size_t rs_a, const int8_t *b, const float *sa,
                 const float *sb, float *c, size_t rs_c, int fetch, size_t ahead)
{
    int32x4_t acc[24];
    const int8_t *rows[8];
#pragma GCC unroll 8
    for (size_t i = 0; i < m; i++) rows[i] = a + i * rs_a;
#pragma GCC unroll 24
    for (size_t x = 0; x < NV * split * m; x++) acc[x] = vdupq_n_s32(0);
        /* Starts that look alike to the compiler would share a register and be copied apart in the loop. */
#pragma GCC unroll 24
    for (size_t x = 0; x < NV * split * m; x++) __asm__("" : "+w"(acc[x]));
    size_t groups = (k + 3) / 4, g = 0;
    if (groups >= split) {
        do {
#pragma GCC unroll 4
            for (size_t s = 0; s < split; s++, b += 16 * NV)
                step(m, acc + NV * m * s, rows, 4 * (g + s), b, fetch, ahead);
            g += split;
        } while (g + split <= groups);
    }
    for (; split > 1 && g < groups; g++, b += 16 * NV) step(m, acc, rows, 4 * g, b, 0, 0);
#pragma GCC unroll 24
    for (size_t x = NV * m; x < NV * split * m; x++) acc[x % (NV * m)] = vaddq_s32(acc[x % (NV * m)], acc[x]);
#pragma GCC unroll 8
    for (size_t i = 0; i < m; i++)
#pragma GCC unroll 3
        for (size_t j = 0; j < NV; j++) {
            float32x4_t f = vmulq_n_f32(vcvtq_f32_s32(acc[NV * i + j]), sa[i]);
            vst1q_f32(c + i * rs_c + 4 * j, vmulq_f32(f, vld1q_f32(sb + 4 * j)));
        }
}

/* One function a tile, so that each has the registers to itself. */
#define TILE(m, split)                                                                                      \
    static __attribute__((noinline)) void tile_##m(size_t k, const int8_t *a, size_t rs_a, const int8_t *b, \
                                                   const float *sa, const float *sb, float *c, size_t rs_c, \
                                                   size_t prefetch)                                         \
    {                                                                                                       \
        if (prefetch) tile(m, split, k, a, rs_a, b, sa, sb, c, rs_c, 1, prefetch * 4 * NV);                 \
        else tile(m, split, k, a, rs_a, b, sa, sb, c, rs_c, 0, 0);                                          \
    }

#define CASE(m, split) \
    case m: tile_##m(k, a, rs_a, b, sa, sb, c, rs_c, prefetch); break;

/* X(rows, sets of accumulators) */
#define TILES(X) X(1, 4) X(2, 2) X(3, 1) X(4, 1) X(5, 1) X(6, 1) X(7, 1) X(8, 1)
TILES(TILE)

void cg_gemm_s8_8x12_dotprod(size_t m, size_t k, const void *a, size_t rs_a, const int8_t *b, const int32_t *comp,
                             const float *sa, const float *sb, float *c, size_t rs_c, size_t prefetch)
{
    (void)comp;
    switch (m) {
        TILES(CASE)
    }
}
